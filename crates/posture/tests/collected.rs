//! Folders that a collector filled are read without noise, and what it could not ask is told.

use neph_posture::Inventory;
use serde_json::json;

#[test]
fn what_a_collector_wrote_for_others_is_no_news_and_what_it_could_not_ask_is() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let row = |file: &str, call: &str, problem: Option<&str>| {
        json!({"file": file, "cloud": "aws", "account": "111122223333", "region": "global", "call": call, "items": 1,
            "at": "2026-11-01T00:00:00Z", "complete": problem.is_none(), "problem": problem})
    };
    let details = "aws/111122223333/global/iam-get-account-authorization-details.json";
    let calls = [
        row(details, "iam get-account-authorization-details", None),
        row(
            "aws/111122223333/global/volumes.json",
            "ec2 describe-volumes",
            None,
        ),
        row("aws/111122223333/global/broken.json", "ec2 describe-images", None),
        row(
            "aws/111122223333/global/p.json",
            "organizations list-policies",
            Some("access denied: no"),
        ),
        row(
            "aws/111122223333/global/x.json",
            "ec2 describe-instances",
            Some("access denied: no"),
        ),
        row("host/h/iptables-save.txt", "iptables-save", None),
    ];
    let record = json!({"version": 1, "by": "neph 0.1.0", "began": "2026-11-01T00:00:00Z", "ended": "2026-11-01T00:00:00Z", "calls": calls});
    write("collection.json", &record.to_string());
    write(".neph-collect.lock", "");
    write(
        details,
        r#"{"UserDetailList":[],"GroupDetailList":[],"RoleDetailList":[],"Policies":[]}"#,
    );
    write(
        "aws/111122223333/global/volumes.json",
        r#"{"Volumes":[{"VolumeId":"vol-1"}]}"#,
    );
    write("aws/111122223333/global/broken.json", r#"{"Images":["#);
    write("host/h/iptables-save.txt", "*filter\n");
    write("somebody.json", r#"{"some":"thing"}"#);
    let (inventory, refused) = Inventory::read(&[root.path().to_owned()]);
    let names: Vec<String> = refused
        .iter()
        .map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    // A broken answer is news, and so is a file that nobody says anything of.
    assert_eq!(names, ["broken.json", "somebody.json"]);
    assert_eq!(inventory.files(), 1);
    let told: Vec<&str> = inventory
        .problems()
        .0
        .iter()
        .map(|problem| problem.what.as_str())
        .collect();
    assert_eq!(
        told,
        ["`organizations list-policies` is not complete: access denied: no"]
    );
}
