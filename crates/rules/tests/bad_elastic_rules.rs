//! Bad rules of Elastic are told of with place and help, and the others go on.

use std::path::Path;

use neph_rules::{RuleState, load, load_text};

fn rule(id: u32, more: &str) -> String {
    format!(
        "[rule]\nrule_id = \"00000000-0000-0000-0000-{id:012}\"\nname = \"N{id}\"\ndescription = \"D\"\ntype = \"query\"\nlanguage = \"kuery\"\nseverity = \"low\"\nrisk_score = 21\n{more}\n"
    )
}

#[test]
fn every_key_of_the_wrong_type_is_told_at_its_place() {
    let keys = [
        "rule_id",
        "name",
        "description",
        "type",
        "severity",
        "risk_score",
        "query",
        "language",
        "index",
        "author",
        "tags",
        "threat",
        "interval",
        "from",
        "max_signals",
        "enabled",
        "severity_mapping",
        "note",
        "investigation_fields",
        "references",
        "version",
    ];
    for wrong in ["{ a = 1 }", "[[1]]", "1979-05-27", "1.5"] {
        let mut text = "[rule]\n".to_owned();
        for key in keys {
            text.push_str(&format!("{key} = {wrong}\n"));
        }
        let set = load_text(Path::new("rule.toml"), text.clone());
        let report = &set.report.rules[0];
        assert_eq!(report.state, RuleState::Rejected);
        for key in keys {
            let line = text.find(&format!("\n{key} = ")).expect("the key") as u32 + 1;
            let end = line
                + text
                    .get(line as usize..)
                    .and_then(|rest| rest.find('\n'))
                    .expect("a line") as u32;
            let told = report
                .diagnostics
                .iter()
                .filter(|found| line <= found.span.start && found.span.start < end);
            assert!(told.count() > 0, "{key} = {wrong}: {:#?}", report.diagnostics);
        }
    }
}

#[test]
fn one_bad_rule_does_not_hold_up_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let deep = format!("query = \"{}a: b{}\"", "(".repeat(5_000), ")".repeat(5_000));
    let nested = format!("filters = {}1{}", "[".repeat(5_000), "]".repeat(5_000));
    let huge = format!("query = '''name: ({})'''", "x or ".repeat(2_000_000));
    for (name, text) in [
        ("a_good.toml", rule(1, "query = \"process.name: a\"")),
        ("b_same_id.toml", rule(1, "query = \"process.name: b\"")),
        ("c_deep_query.toml", rule(3, &deep)),
        ("d_deep_value.toml", rule(4, &nested)),
        ("e_huge.toml", rule(5, &huge)),
        ("f_cut_short.toml", "[rule]\nname = \"".to_owned()),
        ("g_no_query.toml", rule(7, "")),
        ("h_bytes.toml", "[rule]\nname = \"\u{0}\"".to_owned()),
        ("i_good.toml", rule(9, "query = \"process.name: c\"")),
        (
            "j.json",
            format!("{}{}", "{\"a\":".repeat(100_000), "1".to_owned()),
        ),
        (
            "k.ndjson",
            "{\"rule_id\": 1, \"type\": [], \"query\": {}, \"language\": \"kuery\"}\nnot json\n".to_owned(),
        ),
    ] {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    std::fs::write(folder.path().join("l.toml"), [0xff, 0xfe, 0x00]).expect("a file");
    let set = load(&[folder.path()]);
    let names: Vec<&str> = set.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["N1", "N9"]);
    let counts = set.report.counts();
    assert_eq!(counts.rules, counts.active + counts.degraded + counts.rejected);
    assert_eq!(set.report.failures.len(), 1, "{:?}", set.report.failures);
    for report in set
        .report
        .rules
        .iter()
        .filter(|report| report.state == RuleState::Rejected)
    {
        let file = &set.report.files[report.file];
        let errors = report
            .diagnostics
            .iter()
            .filter(|found| found.severity() == neph_diag::Severity::Error);
        let errors: Vec<_> = errors.collect();
        assert!(!errors.is_empty(), "{}", file.name);
        for error in errors {
            assert!(
                file.text.get(error.span.range()).is_some(),
                "{}: the place of `{}` is in the file",
                file.name,
                error.message
            );
        }
    }
    let duplicate = set.report.rules.iter().find(|report| {
        report
            .diagnostics
            .iter()
            .any(|found| found.code.name == "rule-id-duplicate")
    });
    let duplicate = duplicate.expect("the second rule of an id is told");
    assert!(duplicate.diagnostics.iter().any(|found| !found.help.is_empty()));
}
