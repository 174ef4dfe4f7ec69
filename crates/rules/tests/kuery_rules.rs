//! Rules of type `query`: KQL and Lucene queries with their filters and index patterns.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail loudly and says what it saw"
)]

use std::path::Path;

use neph_rules::{Reason, RuleSet, RuleState, load_text};

mod support;

/// A rule of type `query` with these lines in it.
fn rule(lines: &str) -> RuleSet {
    let text = format!(
        r#"[rule]
rule_id = "0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11"
name = "Name"
description = "Text"
type = "query"
severity = "low"
risk_score = 21
{lines}
"#
    );
    load_text(Path::new("rule.toml"), text)
}

fn codes(set: &RuleSet) -> Vec<&str> {
    let diagnostics = &set.report.rules[0].diagnostics;
    diagnostics
        .iter()
        .map(|diagnostic| diagnostic.code.name)
        .collect()
}

fn found(set: &RuleSet, event: &str) -> bool {
    assert_eq!(set.rules.len(), 1, "{:?}", set.report.rules[0].diagnostics);
    let event = format!(r#"{{"@timestamp":"2026-11-21T10:00:00Z",{event}}}"#);
    !support::matches(&set.rules, &[event], None).is_empty()
}

#[test]
fn a_query_is_kql_unless_the_rule_says_lucene() {
    let curl = r#""process":{"name":"curl"}"#;
    for (lines, matches) in [
        ("query = 'process.name: (curl or wget)'", true),
        ("language = 'kuery'\nquery = 'process.name: c*l'", true),
        (
            "language = 'lucene'\nquery = 'process.name:/c.rl/ AND NOT user.name:root'",
            true,
        ),
        (
            "language = 'lucene'\nquery = 'process.name:curl AND _exists_:user.name'",
            false,
        ),
        ("query = 'process.name: curl'\nindex = ['logs-*']", true),
    ] {
        let set = rule(lines);
        assert_eq!(set.report.rules[0].state, RuleState::Active, "{lines}");
        assert_eq!(found(&set, curl), matches, "{lines}");
    }
    let set = rule("language = 'eql'\nquery = 'any where true'");
    assert_eq!(set.report.rules[0].state, RuleState::Rejected);
    assert_eq!(codes(&set), ["rule-value"]);
}

#[test]
fn problems_of_the_query_lie_in_the_file() {
    let set = rule("query = '''process.name: (curl\nand user.name: root)'''");
    assert_eq!(set.report.rules[0].state, RuleState::Rejected);
    let diagnostic = &set.report.rules[0].diagnostics[0];
    assert_eq!(diagnostic.code.name, "kql-syntax");
    let text = &set.report.files[0].text;
    assert!(
        text[diagnostic.span.range()].starts_with("user.name"),
        "{diagnostic:?}"
    );
}

#[test]
fn filters_leave_events_out() {
    let filtered = |filter: &str| rule(&format!("query = 'process.name: *'\nfilters = [{filter}]"));
    let event = r#""process":{"name":"powershell.exe","args":["a","b"],"pid":7},"file":{"path":"C:\\Program Files\\X\\run.ps1"}"#;
    for (filter, passes) in [
        (
            r"{query.wildcard.'file.path' = {value = '?:\\program files\\*.ps?', case_insensitive = true}}",
            true,
        ),
        (
            r"{query.wildcard.'file.path' = {value = '?:\\program files\\*.ps?'}}",
            false,
        ),
        (
            r"{meta.negate = true, query.wildcard.'file.path' = {value = '?:\\program files\\*', case_insensitive = true}}",
            false,
        ),
        (
            r"{meta = {negate = true, disabled = true}, query.exists.field = 'file.path'}",
            true,
        ),
        (r"{meta.negate = true, query.exists.field = 'file.path'}", false),
        (r"{meta.negate = false, exists.field = 'user.name'}", false),
        (r"{query.match_phrase.'process.name' = 'powershell.exe'}", true),
        (r"{query.match_phrase.'process.name'.query = 'powershell'}", false),
        (r"{query.term.'process.pid' = 7}", true),
        (r"{query.terms.'process.args' = ['x', 'b']}", true),
        (r"{query.terms.'process.args' = ['x', 'y']}", false),
        (r"{query.prefix.'process.name'.value = 'power'}", true),
        (r"{query.regexp.'process.name'.value = 'p.*exe'}", true),
        (r"{query.range.'process.pid' = {gte = 7, lt = 9}}", true),
        (r"{query.range.'process.pid' = {gt = 7}}", false),
        (
            r"{query.bool = {should = [{term.'process.pid' = 1}, {term.'process.pid' = 7}], must_not = [{exists.field = 'user.name'}]}}",
            true,
        ),
        (
            r"{query.bool = {should = [{term.'process.pid' = 1}], filter = {term.'process.pid' = 7}, minimum_should_match = 1}}",
            false,
        ),
        (r"{query.match_all = {}}", true),
    ] {
        let set = filtered(filter);
        assert_eq!(set.report.rules[0].state, RuleState::Active, "{filter}");
        assert_eq!(found(&set, event), passes, "{filter}");
    }
}

#[test]
fn a_filter_that_is_not_understood_degrades_the_rule() {
    for filter in [
        "{query.geo_distance.'source.geo.location' = 'x'}",
        "{query.match.'process.name' = {query = 'x', operator = 'and'}}",
        "{query.bool.must = [{script.source = 'x'}]}",
        "{query.term.'source.geo.location' = 'x'}",
        "{meta.negate = true}",
        "1",
    ] {
        let set = rule(&format!("query = 'process.name: *'\nfilters = [{filter}]"));
        let report = &set.report.rules[0];
        assert_eq!(report.state, RuleState::Degraded, "{filter}");
        assert!(
            matches!(&report.reasons[..], [Reason::KeyNotHonoured { key, .. }] if key == "filters"),
            "{filter}: {:?}",
            report.reasons
        );
        assert!(found(&set, r#""process":{"name":"x"}"#), "{filter}");
    }
}
