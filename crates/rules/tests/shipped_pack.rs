//! The shipped rules over the shipped samples: exactly these alerts, and one of them whole.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly and says what it saw"
)]

use std::path::{Path, PathBuf};

use neph_rules::{Alert, AlertBuilder, LoadOptions, RuleSet, load_with};

mod support;

fn pack() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules")
}

/// The rules that the samples are of, and the lists of those whom they leave alone.
const RULES: [&str; 9] = [
    "linux/credential_access_metadata_service_unusual_process.toml",
    "cross-platform/credential_access_metadata_service_command_line.toml",
    "cross-platform/defense_evasion_metadata_service_address_disguised.toml",
    "cross-platform/exfiltration_metadata_service_answer_exported.toml",
    "cross-platform/discovery_container_listing.toml",
    "cross-platform/discovery_container_engine_api_by_command.toml",
    "windows/discovery_msol_user_listing.toml",
    "exceptions/metadata_and_discovery.json",
    "exceptions/containers.json",
];

fn load_pack() -> RuleSet {
    let files = RULES.map(|name| pack().join(name));
    let options = LoadOptions {
        lists: vec![pack().join("../lists")],
        ..LoadOptions::default()
    };
    let set = load_with(&files, &options);
    for rule in &set.report.rules {
        assert_eq!(rule.state, neph_rules::RuleState::Active, "{rule:#?}");
        let loud = rule
            .diagnostics
            .iter()
            .filter(|told| told.severity() > neph_diag::Severity::Info);
        assert_eq!(loud.count(), 0, "{:#?}", rule.diagnostics);
    }
    assert_eq!(set.report.counts().files_failed, 0);
    assert_eq!(set.rules.len(), RULES.len() - 2);
    set
}

fn sample(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(pack().join(format!("samples/{name}.ndjson"))).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn alerts<T: AsRef<str>>(set: &RuleSet, events: &[T]) -> Vec<Alert> {
    let mut builders: Vec<AlertBuilder<_>> = set.rules.iter().cloned().map(AlertBuilder::new).collect();
    support::matches(&set.rules, events, None)
        .iter()
        .map(|found| builders[found.rule.0 as usize].build(found))
        .collect()
}

/// Each alert as `rule: lines`, sorted; the lines are those of the sample, as `event.id` has them behind its name.
fn told(alerts: &[Alert], sample: &str) -> Vec<String> {
    let mut lines: Vec<String> = alerts
        .iter()
        .map(|alert| {
            let steps = alert.document["neph"]["alert"]["steps"].as_array().unwrap();
            let events = steps.iter().flat_map(|step| step["events"].as_array().unwrap());
            let ids: Vec<&str> = events
                .map(|event| event["document"]["event"]["id"].as_str().unwrap())
                .map(|id| id.strip_prefix(sample).unwrap().trim_start_matches('-'))
                .collect();
            format!("{}: {}", alert.rule_name, ids.join(" "))
        })
        .collect();
    lines.sort();
    lines
}

const UNUSUAL: &str = "Metadata Service Contacted by an Unusual Process";
const COMMAND_LINE: &str = "Command Line Requests Credentials from the Metadata Service";
const DISGUISED: &str = "Command Line Disguises the Address of the Metadata Service";
const EXPORTED: &str = "Answer of the Metadata Service Exported";
const CONTAINERS: &str = "Containers Listed or Inspected by What Has No Business with Them";
const ENGINE: &str = "Container Engine or Kubelet Asked by a Command Without Its Client";
const MSOL: &str = "Azure AD Users Listed with Get-MsolUser";

#[test]
fn each_sample_gives_exactly_its_alerts() {
    let set = load_pack();
    let lines = |rule: &str, numbers: std::ops::RangeInclusive<u32>| -> Vec<String> {
        numbers.map(|number| format!("{rule}: {number:02}")).collect()
    };
    let expected = [
        (
            "metadata-service-linux",
            vec![
                format!("{EXPORTED}: 01"),
                format!("{COMMAND_LINE}: 01"),
                format!("{UNUSUAL}: 01 02"),
                format!("{UNUSUAL}: 04 03"),
                format!("{UNUSUAL}: 05 06"),
                format!("{UNUSUAL}: 07 08"),
            ],
        ),
        (
            "metadata-service-command-lines",
            [
                lines(EXPORTED, 8..=9),
                lines(DISGUISED, 1..=2),
                lines(DISGUISED, 5..=6),
                lines(COMMAND_LINE, 3..=4),
                lines(COMMAND_LINE, 7..=9),
            ]
            .concat(),
        ),
        (
            "container-listing",
            [
                lines(ENGINE, 8..=9),
                lines(CONTAINERS, 1..=1),
                lines(CONTAINERS, 6..=7),
            ]
            .concat(),
        ),
        ("azure-ad-users-powershell", lines(MSOL, 1..=3)),
    ];
    let mut files: Vec<String> = std::fs::read_dir(pack().join("samples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "ndjson"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    let mut named: Vec<&str> = expected.iter().map(|(file, _)| *file).collect();
    named.sort_unstable();
    assert_eq!(files, named, "every sample has its expectation");
    for (file, lines) in &expected {
        assert_eq!(told(&alerts(&set, &sample(file)), file), *lines, "{file}");
    }
}

#[test]
fn neither_order_nor_repetition_of_the_input_changes_the_ids() {
    let set = load_pack();
    let forward = sample("metadata-service-linux");
    let backward: Vec<String> = forward.iter().rev().cloned().collect();
    let ids = |events: &[String]| {
        let mut ids: Vec<String> = alerts(&set, events).into_iter().map(|alert| alert.id).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&forward), ids(&backward));
    assert_eq!(ids(&forward), ids(&forward));
}

#[test]
fn an_alert_explains_itself() {
    let set = load_pack();
    let found = alerts(&set, &sample("metadata-service-linux"));
    let alert = found.iter().find(|alert| alert.rule_name == UNUSUAL).unwrap();
    let mut document = alert.document.clone().into_value();
    let mut take_out = |path: &[&str]| {
        let (last, way) = path.split_last().unwrap();
        let place = way.iter().fold(&mut document, |place, key| &mut place[*key]);
        assert!(
            place.as_object_mut().unwrap().shift_remove(*last).is_some(),
            "{path:?}"
        );
    };
    // Long texts that stand in the rule file, and a path of this machine.
    take_out(&["neph", "alert", "note"]);
    take_out(&["neph", "alert", "setup"]);
    take_out(&["neph", "alert", "rule", "file"]);
    take_out(&["kibana.alert.rule.note"]);
    take_out(&["kibana.alert.rule.parameters"]);
    take_out(&["rule", "description"]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
}

#[test]
fn reasons_are_sentences() {
    let set = load_pack();
    let mut reasons = String::new();
    for file in [
        "metadata-service-linux",
        "metadata-service-command-lines",
        "container-listing",
        "azure-ad-users-powershell",
    ] {
        for alert in alerts(&set, &sample(file)) {
            reasons.push_str(&format!("{}\n", alert.reason));
        }
    }
    insta::assert_snapshot!(reasons);
}
