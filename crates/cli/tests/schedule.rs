//! What was collected is looked at while the service runs: alerts of what is new, runs that are remembered, failures that are told.

#![cfg(unix)]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly and says what it saw"
)]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod running;

use std::path::Path;
use std::process::Command;

use running::{LITTLE_FREE, Running, wait_for};
use serde_json::{Value, json};

fn write(folder: &Path, name: &str, value: &Value) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, value.to_string()).expect("a file");
}

fn instances(tokens: &str) -> Value {
    let options = json!({"State": "applied", "HttpTokens": tokens, "HttpPutResponseHopLimit": 1, "HttpEndpoint": "enabled"});
    json!({"Reservations": [{"OwnerId": "111122223333", "Instances": [
        {"InstanceId": "i-1", "State": {"Name": "running"}, "MetadataOptions": options}]}]})
}

fn snapshots(ids: &[&str]) -> Value {
    let snapshot = |id: &&str| {
        json!({"SnapshotId": id, "OwnerId": "111122223333", "VolumeId": "vol-1", "State": "completed", "VolumeSize": 8, "Encrypted": true,
               "StartTime": "2026-11-01T00:00:00+00:00", "Description": "", "Progress": "100%", "StorageTier": "standard"})
    };
    json!({"Snapshots": ids.iter().map(snapshot).collect::<Vec<_>>()})
}

fn job(service: &Running, name: &str) -> Value {
    let jobs = service.get("/api/v1/schedule");
    let found = jobs
        .as_array()
        .into_iter()
        .flatten()
        .find(|job| job["name"] == name);
    found.cloned().unwrap_or_default()
}

fn status(data: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_neph"))
        .args(["status", "--data"])
        .arg(data)
        .output()
        .expect("the binary starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn what_is_collected_is_looked_at_while_the_service_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, here) = (folder.path().join("data"), folder.path());
    std::fs::create_dir(&data).expect("a folder");
    let place = "collected/aws/111122223333/eu-west-1";
    write(
        here,
        &format!("{place}/ec2-describe-instances.json"),
        &instances("optional"),
    );
    write(
        here,
        &format!("{place}/ec2-describe-snapshots.json"),
        &snapshots(&["snap-1"]),
    );
    // A machine's own settings are collected, too: of a folder that stands for its disk.
    write(
        here,
        "disk/etc/docker/daemon.json",
        &json!({"hosts": ["tcp://0.0.0.0:2375"]}),
    );
    std::fs::write(here.join("disk/etc/hostname"), "web-1\n").expect("a file");
    let config = here.join("neph.toml");
    let text = format!(
        "{LITTLE_FREE}[baselines]\ncollected = [\"collected\"]\nevery = \"2s\"\n[posture]\ncollected = [\"collected\"]\non_change = true\nevery = \"2s\"\nalerts = \"high\"\n\
         [[collect]]\nname = \"own\"\nsource = \"host\"\nto = \"collected\"\nevery = \"1h\"\noptions = [\"--root\", \"{}\"]\n\
         [[collect]]\nname = \"wrong\"\nsource = \"host\"\nto = \"collected\"\nevery = \"1h\"\noptions = [\"--rot\"]\n\
         [[images]]\nname = \"shop\"\nimages = [\"app.tar\"]\ngolden = \"golden.tar\"\nevery = \"2s\"\n",
        here.join("disk").display()
    );
    std::fs::write(&config, text).expect("a file");
    let more = ["--config", config.to_str().expect("text")];
    let service = Running::start(&data, &more);
    wait_for("the run of the checks", || {
        (job(&service, "posture")["state"] == "done").then_some(())
    });
    wait_for("a failed run", || {
        (job(&service, "baselines")["state"] == "failed").then_some(())
    });
    wait_for("the others", || {
        let ended = |name: &str| !job(&service, name)["ended"].is_null();
        (ended("images:shop") && ended("collect:own")).then_some(())
    });
    let why = job(&service, "baselines")["why"].to_string();
    assert!(why.contains("there is no baseline yet"), "{why}");
    assert!(
        job(&service, "images:shop")["why"]
            .to_string()
            .contains("golden.tar")
    );
    assert_eq!(job(&service, "collect:own")["state"], "done");
    let rules = |service: &Running| {
        let mut rules: Vec<String> = service.get("/api/v1/alerts?limit=1000")["alerts"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|alert| alert["rule_id"].as_str().unwrap_or_default().to_owned())
            .collect();
        rules.sort();
        rules
    };
    assert_eq!(
        rules(&service),
        ["aws-imdsv1", "docker-api-open"],
        "{}",
        service.said()
    );
    let said = service.said();
    assert!(said.contains("--rot"), "{said}");
    // A baseline is taken in the console, and somebody makes a snapshot.
    let (code, taken) = service.send("POST", "/api/v1/baselines/take", &json!(null));
    assert_eq!((code, &taken["records"]), (200, &json!(1)), "{taken}");
    write(
        here,
        &format!("{place}/ec2-describe-snapshots.json"),
        &snapshots(&["snap-1", "snap-2"]),
    );
    let (code, _) = service.send("POST", "/api/v1/schedule/baselines/run", &json!(null));
    assert_eq!(code, 200);
    let all = ["aws-imdsv1", "baseline-snapshot-new", "docker-api-open"];
    wait_for("the alert of the snapshot", || {
        (rules(&service) == all).then_some(())
    });
    let (code, _) = service.send("POST", "/api/v1/schedule/nothing/run", &json!(null));
    assert_eq!(code, 404);
    let told = status(&data);
    assert!(
        told.contains("LOOKS AT") && told.contains("images:shop") && told.contains("failed"),
        "{told}"
    );
    // After a restart, and many runs later, there are no others.
    service.end();
    let service = Running::start(&data, &more);
    let began = job(&service, "posture")["began"]
        .as_str()
        .expect("a time")
        .to_owned();
    wait_for("two further runs", || {
        let runs = service.get("/api/v1/schedule/posture");
        let runs = runs["runs"]
            .as_array()?
            .iter()
            .filter(|run| run["began"].as_str().is_some_and(|time| time > began.as_str()))
            .count();
        (runs >= 2).then_some(())
    });
    assert_eq!(rules(&service), all);
    // Mended: the finding is gone, and its alert says so.
    write(
        here,
        &format!("{place}/ec2-describe-instances.json"),
        &instances("required"),
    );
    wait_for("that it is gone", || {
        let findings = service.get("/api/v1/schedule/posture");
        let findings = findings["findings"].as_array()?.clone();
        findings.iter().any(|one| !one["gone"].is_null()).then_some(())
    });
    let alerts = service.get("/api/v1/alerts?rule=aws-imdsv1");
    assert_eq!(alerts["alerts"][0]["labels"], json!(["gone"]), "{alerts}");
    // A job that is no longer configured is gone, at SIGHUP.
    std::fs::write(&config, "").expect("a file");
    service.signal("HUP");
    wait_for("that nothing is looked at", || {
        service
            .get("/api/v1/schedule")
            .as_array()
            .is_some_and(Vec::is_empty)
            .then_some(())
    });
    service.end();
}
