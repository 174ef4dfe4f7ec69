//! `neph audit` as people and CI run it.

#![expect(clippy::expect_used, reason = "a test may fail loudly and says what it saw")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const INSTANCES: &str = r#"{"Reservations": [{"OwnerId": "111122223333", "Instances": [
    {"InstanceId": "i-open", "State": {"Name": "running"}, "MetadataOptions": {"HttpTokens": "optional", "HttpPutResponseHopLimit": 1, "HttpEndpoint": "enabled"}},
    {"InstanceId": "i-safe", "State": {"Name": "running"}, "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1, "HttpEndpoint": "enabled"}}]}]}"#;

const MUTES: &str = "[[mute]]\ncheck = \"aws-imdsv1\"\nresource = \"i-open\"\nowner = \"ops\"\nreason = \"replaced soon\"\nexpires = 2999-01-01\n";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    folder
}

fn neph(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neph"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the binary starts")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn collected() -> TempDir {
    folder(&[
        (
            "collected/aws/111122223333/eu-west-1/ec2-describe-instances.json",
            INSTANCES,
        ),
        ("mutes.toml", MUTES),
        (
            "wrong.toml",
            "[[mute]]\ncheck = \"aws-imdv1\"\nresource = \"*\"\n",
        ),
    ])
}

#[test]
fn a_run_tells_failures_with_their_fix_and_ends_as_asked() {
    let folder = collected();
    let run = |more: &[&str]| {
        let mut arguments = vec!["audit", "run", "collected", "--check", "aws-imdsv1"];
        arguments.extend_from_slice(more);
        neph(folder.path(), &arguments)
    };
    let output = run(&[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("i-open") && text.contains("--http-tokens required") && !text.contains("i-safe"),
        "{text}"
    );
    assert!(text.contains("1 checks: 1 failed, 0 unknown, 1 passed"), "{text}");
    assert_eq!(code(&output), 0);
    assert_eq!(code(&run(&["--fail-on", "high"])), 1);
    assert_eq!(code(&run(&["--fail-on", "critical"])), 0);
    assert_eq!(code(&run(&["--fail-on", "low", "--mutes", "mutes.toml"])), 0);
    let wrong = run(&["--mutes", "wrong.toml"]);
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(
        said.contains("did you mean `aws-imdsv1`?") && said.contains("a mute says no `owner`"),
        "{said}"
    );
    assert_eq!(code(&wrong), 2);
}

#[test]
fn forms_can_be_read_and_what_is_new_is_told_once() {
    let folder = collected();
    let run = |more: &[&str]| {
        let mut arguments = vec!["audit", "run", "collected", "--check", "aws-imds*"];
        arguments.extend_from_slice(more);
        neph(folder.path(), &arguments)
    };
    for form in ["json", "sarif"] {
        let value: Value = serde_json::from_slice(&run(&["--format", form]).stdout).expect("JSON");
        assert!(value.is_object());
    }
    for line in String::from_utf8_lossy(&run(&["--format", "ocsf"]).stdout).lines() {
        let value: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(value["class_uid"], 2003);
    }
    assert!(String::from_utf8_lossy(&run(&["--format", "html"]).stdout).starts_with("<!DOCTYPE html>"));
    // The first run is what things begin with.
    let history = ["--history", "runs", "--new-since", "7d", "--fail-on", "new"];
    assert_eq!(code(&run(&history[..2])), 0);
    assert_eq!(code(&run(&history)), 0);
    let path = folder
        .path()
        .join("collected/aws/111122223333/eu-west-1/ec2-describe-instances.json");
    std::fs::write(
        path,
        INSTANCES
            .replace("i-safe", "i-new")
            .replace("\"required\"", "\"optional\""),
    )
    .expect("a file");
    let output = run(&history);
    assert_eq!(code(&output), 1, "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("high new"));
}

#[test]
fn what_nothing_fits_is_an_error() {
    let folder = folder(&[("words.txt", "nothing"), ("x.json", "{}")]);
    let output = neph(folder.path(), &["audit", "run", "."]);
    assert_eq!(code(&output), 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing was read"));
    let output = neph(folder.path(), &["audit", "run", ".", "--check", "aws-imdx*"]);
    assert_eq!(code(&output), 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("no check fits `aws-imdx*`"));
}

#[test]
fn checks_and_capabilities_are_listed() {
    let folder = folder(&[]);
    let output = neph(
        folder.path(),
        &["audit", "checks", "--technique", "t1613", "--format", "json"],
    );
    let checks: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let checks = checks.as_array().expect("a list");
    assert!(
        checks.len() > 10
            && checks
                .iter()
                .all(|check| check["techniques"].to_string().contains("T1613"))
    );
    let output = neph(folder.path(), &["audit", "entitlements", "--list-capabilities"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("snapshot-create"));
}

#[test]
fn entitlements_are_compared_with_what_is_expected() {
    let details = r#"{"UserDetailList": [{"UserName": "ann", "UserId": "A", "Arn": "arn:aws:iam::111122223333:user/ann", "Path": "/", "GroupList": [], "AttachedManagedPolicies": [],
        "UserPolicyList": [{"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ec2:CreateSnapshot", "Resource": "*"}]}}]}],
        "RoleDetailList": [], "GroupDetailList": [], "Policies": []}"#;
    let folder = folder(&[
        ("collected/iam.json", details),
        ("none.toml", "owner = \"ops\"\n"),
    ]);
    let output = neph(folder.path(), &["audit", "entitlements", "collected"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("user/ann") && text.contains("snapshot-create"),
        "{text}"
    );
    let output = neph(
        folder.path(),
        &[
            "audit",
            "entitlements",
            "--expected",
            "none.toml",
            "--fail-on",
            "unexpected",
            "collected",
        ],
    );
    assert_eq!(code(&output), 1);
    // What is drafted of it expects it.
    let draft = neph(
        folder.path(),
        &["audit", "entitlements", "--format", "toml", "collected"],
    );
    std::fs::write(folder.path().join("expected.toml"), &draft.stdout).expect("a file");
    let output = neph(
        folder.path(),
        &[
            "audit",
            "entitlements",
            "--expected",
            "expected.toml",
            "--fail-on",
            "unexpected",
            "collected",
        ],
    );
    assert_eq!(code(&output), 0, "{}", String::from_utf8_lossy(&output.stdout));
}
