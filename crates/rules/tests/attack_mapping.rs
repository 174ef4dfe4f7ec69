//! The ATT&CK mapping of rules, compared with ATT&CK.

#![expect(
    clippy::indexing_slicing,
    reason = "a test may fail loudly and says what it saw"
)]

use std::path::Path;

use neph_rules::load_text;

/// What is said of a rule with these tags, this tactic and this technique, with the text that it stands at.
fn said(tags: &str, tactic: (&str, &str), technique: (&str, &str)) -> Vec<String> {
    let text = format!(
        r#"[rule]
rule_id = "0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11"
name = "n"
description = "d"
type = "query"
severity = "medium"
risk_score = 47
language = "kuery"
query = 'event.action: login'
tags = [{tags}]
[[rule.threat]]
framework = "MITRE ATT&CK"
[rule.threat.tactic]
id = "{}"
name = "{}"
reference = ""
[[rule.threat.technique]]
id = "{}"
name = "{}"
reference = ""
"#,
        tactic.0, tactic.1, technique.0, technique.1
    );
    let report = load_text(Path::new("a.toml"), text.clone()).report;
    let found = report.files[0].diagnostics.iter();
    found
        .map(|found| {
            let help = found
                .help
                .first()
                .map_or(String::new(), |help| format!(" ({help})"));
            format!("{} @ {}{help}", found.message, found.span.text(&text))
        })
        .collect()
}

const DISCOVERY: (&str, &str) = ("TA0007", "Discovery");
const CONTAINERS: (&str, &str) = ("T1613", "Container and Resource Discovery");

#[test]
fn what_att_ck_has_is_said_to_be_right() {
    let tags = r#""Mitigation: M1047", "Data Component: Snapshot Creation", "Data Source ID: DS0020", "Detection Strategy: DET0490", "Tactic: Discovery""#;
    assert_eq!(said(tags, DISCOVERY, CONTAINERS), Vec::<String>::new());
}

#[test]
fn what_att_ck_has_not_is_told_at_its_place() {
    for (tags, tactic, technique, expected) in [
        (
            "",
            ("TA0007", "Discover"),
            CONTAINERS,
            "the tactic `TA0007` is called `Discovery` @ \"Discover\"",
        ),
        (
            "",
            ("TA0999", "x"),
            CONTAINERS,
            "ATT&CK 18.1 has no tactic `TA0999` @ \"TA0999\"",
        ),
        (
            "",
            DISCOVERY,
            ("T9999", "x"),
            "ATT&CK 18.1 has no technique `T9999` @ \"T9999\"",
        ),
        (
            "",
            DISCOVERY,
            ("T1086", "PowerShell"),
            "ATT&CK 18.1 has taken `T1086` back @ \"T1086\" (`T1059.001` took its place)",
        ),
        (
            "",
            DISCOVERY,
            ("T1525", "Implant Internal Image"),
            "`T1525` is no technique of the tactic `Discovery` @ \"T1525\" (it is one of Persistence)",
        ),
        (
            "\"Mitigation: M9\"",
            DISCOVERY,
            CONTAINERS,
            "ATT&CK 18.1 has no mitigation `M9` @ \"Mitigation: M9\"",
        ),
        (
            "\"Data Component: Pod Creations\"",
            DISCOVERY,
            CONTAINERS,
            "ATT&CK 18.1 has no data component `Pod Creations` @ \"Data Component: Pod Creations\" (did you mean `Pod Creation`?)",
        ),
        (
            "\"Detection Strategy: DET0423\"",
            DISCOVERY,
            CONTAINERS,
            "`DET0423` detects none of the rule's techniques @ \"Detection Strategy: DET0423\" (it detects T1578.001)",
        ),
    ] {
        let said = said(tags, tactic, technique);
        assert!(
            said.len() == 1 && said[0].starts_with(expected),
            "{said:?}\n{expected}"
        );
    }
}
