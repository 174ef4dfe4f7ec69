//! Parts of rules that no test needs.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly and says what it saw"
)]

use std::process::Command;

use serde_json::Value;

const RULE: &str = r#"[rule]
rule_id = "0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11"
name = "Keys"
description = "d"
type = "query"
severity = "low"
risk_score = 21
index = ["logs-x-*"]
language = "kuery"
query = 'event.action: (create or import) and not user.name: robot and cloud.region: eu'
"#;

const ATTACK: &str = "cases:
  - name: somebody makes a key
    events: [{ecs: {event.action: create, user.name: eve, cloud.region: eu}}]
    expect: [{rule: Keys}]
";

const ROBOT: &str = "  - name: the robot makes a key
    events: [{ecs: {event.action: import, user.name: robot, cloud.region: eu}}]
    expect: []
";

const ACTION: &str = "  - name: a key is read
    events: [{ecs: {event.action: read, user.name: eve, cloud.region: eu}}]
    expect: []
";

const REST: &str = "  - name: somebody brings a key
    events: [{ecs: {event.action: import, user.name: eve, cloud.region: eu}}]
    expect: [{rule: Keys}]
  - name: elsewhere nobody minds
    events: [{ecs: {event.action: create, user.name: eve, cloud.region: us}}]
    expect: []
";

/// Number of parts, the exit code, and each survivor with the text that it stands at.
fn mutate(cases: &[&str]) -> (u64, Option<i32>, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("keys.toml"), RULE).expect("a file");
    std::fs::write(folder.path().join("keys.test.yaml"), cases.concat()).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_neph"))
        .args(["rules", "test", "--mutate", "--format", "json"])
        .arg(folder.path())
        .output()
        .expect("the binary starts");
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rule = &json["rules"][0];
    let told = |survivor: &Value| {
        let number = |key: &str| {
            survivor["span"][key]
                .as_u64()
                .and_then(|at| usize::try_from(at).ok())
        };
        let text = RULE.get(number("start").expect("a place")..number("end").expect("a place"));
        format!(
            "{} @ {}",
            survivor["message"].as_str().expect("a text"),
            text.expect("a text")
        )
    };
    let survivors: Vec<String> = rule["survivors"]
        .as_array()
        .expect("a list")
        .iter()
        .map(told)
        .collect();
    let total = rule["total"].as_u64().expect("a number");
    assert_eq!(
        total,
        rule["killed"].as_u64().expect("a number") + survivors.len() as u64
    );
    (total, output.status.code(), survivors)
}

#[test]
fn a_part_survives_until_a_test_needs_it() {
    let region = "no test needs this condition @ cloud.region: eu";
    let action = "no test needs this condition @ event.action: (create or import)";
    let import = "no test needs the value `import` @ event.action: (create or import)";
    let robot = "no test needs this condition @ user.name: robot";
    let (total, code, survivors) = mutate(&[ATTACK]);
    assert_eq!((total, code), (5, Some(1)));
    assert_eq!(survivors, [action, import, robot, region]);
    assert_eq!(mutate(&[ATTACK, ROBOT]).2, [action, import, region]);
    assert_eq!(mutate(&[ATTACK, ROBOT, ACTION]).2, [import, region]);
    assert_eq!(mutate(&[ATTACK, ROBOT, ACTION, REST]), (5, Some(0), Vec::new()));
}
