//! The kinds of work over files in the form in which the clouds' tools print them, kept by a real store.

#![expect(
    clippy::unwrap_used,
    reason = "the lints know test functions only, not what these call"
)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Stopwatch};

use jiff::Timestamp;
use neph_baseline::{Act, Baseline, Collected};
use neph_event::Instant;
use neph_inventory::{Folder, Limits};
use neph_schedule::{Baselines, Images, Job, Looked, Options, Posture, Scheduler, When, Work};
use neph_store::{AlertQuery, AlertRecord, AlertSort, JobRun, JobState, Severity, Store, StoreOptions};
use serde_json::{Value, json};

struct Place {
    folder: tempfile::TempDir,
    store: Store,
    /// Seconds that the clock is ahead.
    ahead: Arc<Mutex<i64>>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let limits = neph_store::Limits {
            min_free_bytes: 0,
            ..neph_store::Limits::default()
        };
        let store = Store::open(&folder.path().join("data"), &StoreOptions { limits })
            .unwrap()
            .0;
        Self {
            folder,
            store,
            ahead: Arc::default(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, value: &Value) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, value.to_string()).unwrap();
    }

    /// Runs the work once, as the service does.
    fn run(&self, work: impl Fn() -> Box<dyn Work>) -> JobRun {
        let ahead = Arc::clone(&self.ahead);
        let options = Options {
            db: self.store.db.clone(),
            outputs: Box::new(Vec::new),
            clock: Arc::new(move || {
                let now = Instant::from_nanos(Timestamp::now().as_nanosecond());
                now.saturating_add_nanos(i128::from(*ahead.lock().unwrap()) * 1_000_000_000)
            }),
            hear: Box::new(|_| {}),
        };
        *self.ahead.lock().unwrap() += 7200;
        let before = self
            .store
            .db
            .job_runs("job", 1)
            .unwrap()
            .first()
            .map(|run| run.id);
        let job = Job {
            name: "job".into(),
            kind: "posture",
            when: When {
                every: Some(Duration::from_secs(3600)),
                on_change: false,
            },
            work: work(),
        };
        let scheduler = Scheduler::start(options, vec![job]).unwrap();
        let began = Stopwatch::now();
        let run = loop {
            let newest = self.store.db.job_runs("job", 1).unwrap().into_iter().next();
            if let Some(run) = newest.filter(|run| Some(run.id) != before && run.ended.is_some()) {
                break run;
            }
            assert!(began.elapsed() < Duration::from_secs(120), "it takes too long");
            std::thread::sleep(Duration::from_millis(10));
        };
        scheduler.stop(Duration::from_secs(10));
        run
    }

    fn alerts(&self) -> Vec<AlertRecord> {
        let page = self
            .store
            .db
            .search(&AlertQuery::default(), AlertSort::Time, true, None, 1000)
            .unwrap();
        page.alerts
    }

    fn document(&self, id: &str) -> Value {
        let found = self.store.db.alert(id).unwrap();
        serde_json::from_slice(&found.alert.document).unwrap()
    }
}

fn instance(id: &str, tokens: &str) -> Value {
    json!({"InstanceId": id, "State": {"Name": "running"}, "MetadataOptions": {
        "State": "applied", "HttpTokens": tokens, "HttpPutResponseHopLimit": 1, "HttpEndpoint": "enabled", "InstanceMetadataTags": "disabled"}})
}

const INSTANCES: &str = "collected/aws/111122223333/eu-west-1/ec2-describe-instances.json";

fn instances(of: &[Value]) -> Value {
    json!({"Reservations": [{"OwnerId": "111122223333", "Instances": of}]})
}

#[test]
fn failures_of_checks_become_alerts_with_techniques_and_mitigations() {
    let place = Place::new();
    let work = || -> Box<dyn Work> {
        Box::new(Posture {
            collected: vec![place.path("collected")],
            mutes: place.path("mutes.toml"),
            history: place.path("runs"),
            least: Some(Severity::High),
            version: "0".into(),
        })
    };
    let run = place.run(work);
    assert_eq!(
        (run.state, run.why.as_str()),
        (JobState::Failed, "none of the files is one that a check knows")
    );
    place.write(
        INSTANCES,
        &instances(&[instance("i-1", "optional"), instance("i-2", "required")]),
    );
    let run = place.run(work);
    assert_eq!(run.state, JobState::Done, "{}", run.why);
    let alerts = place.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let alert = &alerts[0].alert;
    assert_eq!(
        (alert.rule_id.as_str(), alert.severity),
        ("aws-imdsv1", Severity::High)
    );
    assert_eq!(alert.techniques, ["T1552", "T1552.005"]);
    assert!(
        alert.tags.contains(&"Mitigation: M1042".to_owned()),
        "{:?}",
        alert.tags
    );
    assert!(
        alert
            .entities
            .contains(&("cloud.account.id".into(), "111122223333".into()))
    );
    assert!(
        alert.entities.contains(&("resource.id".into(), "i-1".into())),
        "{:?}",
        alert.entities
    );
    let document = place.document(&alert.id);
    assert_eq!(document["neph"]["audit"]["mitigations"][0]["id"], "M1042");
    assert!(
        document["neph"]["alert"]["note"]
            .as_str()
            .unwrap()
            .contains("aws ec2 modify-instance-metadata-options")
    );
    // The same, and then the file that tells of it cannot be read: nothing is known to be gone.
    assert_eq!(place.run(work).new, 0);
    let runs = || std::fs::read_dir(place.path("runs")).unwrap().count();
    assert_eq!(runs(), 1, "what is the same is remembered once");
    std::fs::write(place.path(INSTANCES), "{\"Reservations\": [{").unwrap();
    let run = place.run(work);
    assert_eq!((run.state, run.gone), (JobState::Failed, 0));
    // Another account only.
    std::fs::remove_file(place.path(INSTANCES)).unwrap();
    let other = "collected/aws/444455556666/eu-west-1/ec2-describe-instances.json";
    place.write(
        other,
        &json!({"Reservations": [{"OwnerId": "444455556666", "Instances": [instance("i-9", "required")]}]}),
    );
    let run = place.run(work);
    assert_eq!(
        (run.state, run.gone),
        (JobState::Done, 0),
        "the account was not looked at"
    );
    // Mended.
    place.write(INSTANCES, &instances(&[instance("i-1", "required")]));
    assert_eq!(place.run(work).gone, 1);
    assert_eq!(place.alerts()[0].labels, ["gone"]);
    // Another instance fails, for which somebody answers.
    place.write(
        INSTANCES,
        &instances(&[instance("i-1", "required"), instance("i-3", "optional")]),
    );
    let mute = "[[mute]]\ncheck = \"aws-imdsv1\"\nresource = \"i-3\"\nowner = \"somebody\"\nreason = \"old\"\nexpires = 2999-01-01\n";
    std::fs::write(place.path("mutes.toml"), mute).unwrap();
    assert_eq!(place.run(work).new, 0);
    std::fs::write(place.path("mutes.toml"), "").unwrap();
    assert_eq!(place.run(work).new, 1);
    assert_eq!(place.alerts().len(), 2);
}

const SNAPSHOTS: &str = "collected/aws/111122223333/eu-west-1/ec2-describe-snapshots.json";

fn snapshots(ids: &[&str]) -> Value {
    let snapshot = |id: &&str| {
        json!({"SnapshotId": id, "OwnerId": "111122223333", "VolumeId": "vol-1", "State": "completed", "VolumeSize": 8, "Encrypted": true,
               "StartTime": "2026-11-01T00:00:00+00:00", "Description": "", "Progress": "100%", "StorageTier": "standard"})
    };
    json!({"Snapshots": ids.iter().map(snapshot).collect::<Vec<_>>()})
}

#[test]
fn differences_become_alerts_with_who_did_it() {
    let place = Place::new();
    place.write(SNAPSHOTS, &snapshots(&["snap-1", "snap-2"]));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let work = || -> Box<dyn Work> {
        let asked = Arc::clone(&asked);
        Box::new(Baselines {
            collected: vec![place.path("collected")],
            folder: place.path("baselines"),
            approvals: place.path("baselines/approvals.toml"),
            least: Some(Severity::Low),
            acts: Arc::new(move |_, differences| {
                asked.lock().unwrap().push(differences.len());
                let mut act = Act::default();
                act.who = Some("mallory".into());
                act.action = Some("CreateSnapshot".into());
                differences.iter().map(|_| vec![act.clone()]).collect()
            }),
            by: "test".into(),
        })
    };
    let run = place.run(work);
    assert_eq!(run.state, JobState::Failed);
    assert!(run.why.starts_with("there is no baseline yet"), "{}", run.why);
    let folder = Folder::open(&[place.path("collected")], &Limits::default());
    let baseline = Baseline::take(
        Collected::read(&folder),
        "2026-11-02T00:00:00Z".parse().unwrap(),
        "test",
    );
    std::fs::create_dir_all(place.path("baselines")).unwrap();
    baseline.keep(&place.path("baselines")).unwrap();
    let run = place.run(work);
    assert_eq!((run.state, run.found), (JobState::Done, 0), "{}", run.why);
    place.write(SNAPSHOTS, &snapshots(&["snap-1", "snap-3"]));
    let run = place.run(work);
    assert_eq!(
        (run.state, run.found, run.new),
        (JobState::Done, 2, 2),
        "{}",
        run.why
    );
    let mut alerts = place.alerts();
    alerts.sort_by(|one, other| one.alert.rule_id.cmp(&other.alert.rule_id));
    let rules: Vec<&str> = alerts.iter().map(|one| one.alert.rule_id.as_str()).collect();
    assert_eq!(rules, ["baseline-snapshot-gone", "baseline-snapshot-new"]);
    assert!(
        alerts[1].alert.reason.contains("mallory"),
        "{}",
        alerts[1].alert.reason
    );
    assert!(
        alerts[1]
            .alert
            .entities
            .contains(&("resource.id".into(), "snap-3".into())),
        "{:?}",
        alerts[1].alert.entities
    );
    assert_eq!(asked.lock().unwrap().as_slice(), [2]);
    assert_eq!(place.run(work).new, 0);
    assert_eq!(
        asked.lock().unwrap().len(),
        1,
        "who did it is asked of what is new alone"
    );
    let kept = std::fs::read_dir(place.path("baselines")).unwrap();
    let kept = kept.filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .ends_with(".comparison.json")
    });
    assert_eq!(kept.count(), 2, "comparisons that found the same are kept once");
    // Nothing could be collected: nothing is gone.
    std::fs::remove_file(place.path(SNAPSHOTS)).unwrap();
    place.write(
        "collected/aws/111122223333/eu-west-1/ec2-describe-images.json",
        &json!({"Images": []}),
    );
    let run = place.run(work);
    assert_eq!((run.state, run.gone), (JobState::Partial, 0), "{}", run.why);
    // One was approved, the other undone.
    let approval = "[[approved]]\nid = \"snap-2\"\nowner = \"ops\"\nnote = \"old\"\nexpires = 2999-01-01\n";
    std::fs::write(place.path("baselines/approvals.toml"), approval).unwrap();
    place.write(SNAPSHOTS, &snapshots(&["snap-1"]));
    let run = place.run(work);
    assert_eq!(
        (run.state, run.found, run.gone),
        (JobState::Done, 0, 1),
        "{}",
        run.why
    );
    let tagged: Vec<String> = place
        .alerts()
        .into_iter()
        .filter(|one| one.labels == ["gone"])
        .map(|one| one.alert.rule_id)
        .collect();
    assert_eq!(tagged, ["baseline-snapshot-new"]);
}

fn root(path: &Path, files: &[(&str, &str, u32)]) {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text, mode) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(*mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        archive.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    std::fs::write(path, archive.into_inner().unwrap()).unwrap();
}

#[test]
fn images_that_are_not_what_they_should_be_become_alerts() {
    let place = Place::new();
    let (golden, app, gone) = (
        place.path("golden.tar"),
        place.path("app.tar"),
        place.path("other.tar"),
    );
    let clean = [
        ("usr/bin/app", "program", 0o755),
        ("var/www/html/index.php", "<?php echo 1;", 0o644),
    ];
    root(&golden, &clean);
    root(&app, &clean);
    let of = |keys: Option<PathBuf>| {
        let named = [app.as_path(), gone.as_path()].map(|path| format!("root:{}", path.display()));
        let golden = format!("root:{}", golden.display());
        move || -> Box<dyn Work> {
            Box::new(Images {
                images: named.to_vec(),
                golden: Some(golden.clone()),
                keys: keys.clone(),
                root: None,
                changes: None,
                reader: Box::new(|| Ok(neph_images::Reader::default())),
                least: Some(Severity::Medium),
            })
        }
    };
    let work = of(None);
    let run = place.run(&work);
    assert_eq!(
        run.state,
        JobState::Partial,
        "one image is not there: {}",
        run.why
    );
    assert!(run.why.contains("other.tar"), "{}", run.why);
    assert!(place.alerts().is_empty());
    root(&gone, &clean);
    let shell = "<?php system($_GET['c']);";
    root(&app, &[clean[0], clean[1], ("var/www/html/x.php", shell, 0o644)]);
    let run = place.run(&work);
    assert_eq!(run.state, JobState::Done, "{}", run.why);
    let mut alerts = place.alerts();
    alerts.sort_by(|one, other| one.alert.rule_id.cmp(&other.alert.rule_id));
    let told: Vec<&str> = alerts.iter().map(|one| one.alert.rule_id.as_str()).collect();
    assert_eq!(told, ["neph-image-file-added", "neph-image-layer-swapped"]);
    assert!(
        alerts[0]
            .alert
            .entities
            .contains(&("file.path".into(), "/var/www/html/x.php".into()))
    );
    let (_, report) = place.store.db.job_report("job").unwrap().unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(
        report["images"][0]["differences"][0]["path"],
        "/var/www/html/x.php"
    );
    assert_eq!(
        report["images"][1]["differences"].as_array().map(Vec::len),
        Some(1),
        "only that it has the same content"
    );
    assert_eq!(place.run(&work).new, 0);
    // The image cannot be read: what it holds is not known.
    std::fs::write(&app, b"no archive").unwrap();
    assert_eq!(place.run(&work).gone, 0);
    root(&app, &clean);
    assert_eq!(place.run(&work).gone, 2);
    assert_eq!(place.alerts()[0].labels, ["gone"]);
    let broken = place.path("keys.toml");
    std::fs::write(&broken, "[[key]]\nnme = 1\n").unwrap();
    let run = place.run(of(Some(broken)));
    assert_eq!(run.state, JobState::Failed);
    assert!(run.why.contains("neph image verify"), "{}", run.why);
}

#[test]
fn looking_for_nothing_is_fine() {
    let looked = Looked::nothing(vec!["a call failed".into()], None);
    assert!((looked.is_gone)("") && looked.open.is_empty() && looked.least.is_none());
}
