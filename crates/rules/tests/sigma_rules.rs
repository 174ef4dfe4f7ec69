//! Sigma files in the load report, and what their rules find.

#![expect(clippy::expect_used, reason = "a test may fail loudly")]

use std::path::Path;

use neph_plan::Leaf;
use neph_rules::{Reason, RuleKind, RuleSeverity, RuleState, load, load_text};

mod support;

const FILE: &str = "\
title: Shell of a web server
id: 0c41e5a2-8a1f-4b0e-9d52-6f4c86d0a7b1
name: web_shell
level: high
author: [A, B]
date: 2026-01-31
tags: [attack.persistence, attack.t1505.003]
logsource: {product: linux, category: process_creation}
detection:
  parent: {ParentImage|endswith: [/nginx, /httpd]}
  shell: {Image|endswith: [/sh, /bash]}
  condition: all of them
---
title: Not the health check
logsource: {product: linux, category: process_creation}
filter:
  rules: [web_shell, another_rule]
  health: {CommandLine|contains: health}
  condition: not health
---
title: Many shells
id: 5b8b1b52-1df4-4d38-8a0a-0d0a4bb3a0cf
correlation: {type: event_count, rules: [web_shell], group-by: [host.name], timespan: 5m, generate: true, condition: {gte: 5}}
---
title: Logon from outside of the office
id: 4a0f8f1e-6f0a-4c38-93a5-1f8a7f9f1b3d
level: informational
logsource: {product: acme}
detection:
  s: {User|expand: '%staff%'}
  condition: s
";

fn event(parent: &str, image: &str, line: &str) -> String {
    format!(
        r#"{{"event":{{"category":["process"],"type":["start"]}},"host":{{"os":{{"type":"linux"}}}},"process":{{"executable":"{image}","command_line":"{line}","parent":{{"executable":"{parent}"}}}}}}"#
    )
}

#[test]
fn each_document_is_reported_once() {
    let set = load_text(Path::new("rules.yml"), FILE.to_owned());
    let report = &set.report;
    let states: Vec<_> = report
        .rules
        .iter()
        .map(|rule| (rule.name.as_deref().unwrap(), rule.kind.unwrap(), rule.state))
        .collect();
    assert_eq!(
        states,
        [
            ("Shell of a web server", RuleKind::Sigma, RuleState::Active),
            ("Many shells", RuleKind::SigmaCorrelation, RuleState::Active),
            (
                "Logon from outside of the office",
                RuleKind::Sigma,
                RuleState::Degraded
            ),
        ]
    );
    assert_eq!(report.files[0].other_objects, 1);
    assert_eq!(report.counts().unsupported.len(), 0);
    assert_eq!(
        report.rules[2].reasons,
        [
            Reason::FieldsUnknown {
                fields: vec!["User".into()]
            },
            Reason::LogSourceUnknown {
                logsource: "product: acme".into()
            },
            Reason::ListsMissing {
                lists: vec!["staff".into()]
            },
        ]
    );
    let said: Vec<(&str, &str)> = report.files[0]
        .diagnostics
        .iter()
        .map(|found| (found.code.name, found.span.text(FILE)))
        .collect();
    assert_eq!(
        said,
        [
            ("sigma-filter-target", "another_rule"),
            ("sigma-logsource-unknown", "{product: acme}"),
            ("sigma-field-unknown", "User|expand"),
            ("sigma-placeholder", "'%staff%'"),
        ]
    );

    let rule = &set.rules[0];
    assert_eq!((rule.severity, rule.risk_score), (RuleSeverity::High, 73));
    assert_eq!(rule.authors, ["A, B"]);
    assert_eq!(rule.threat[0].tactic.id, "TA0003");
    assert_eq!(rule.threat[0].techniques[0].subtechniques[0].id, "T1505.003");
    assert_eq!(
        (
            rule.origin.line,
            set.rules[1].origin.line,
            set.rules[2].origin.line
        ),
        (1, 21, 25)
    );
}

#[test]
fn spans_of_a_plan_are_those_of_its_document() {
    let set = load_text(Path::new("rules.yml"), FILE.to_owned());
    for rule in &set.rules {
        let mut texts = Vec::new();
        for condition in rule.plan.as_ref().unwrap().query.conditions() {
            condition.for_each_leaf(&mut |leaf: &Leaf| texts.push(leaf.span.text(&rule.query)));
        }
        assert!(
            texts.iter().all(|text| !text.is_empty()
                || rule.kind != RuleKind::Sigma
                || rule.name.starts_with("Shell")),
            "{texts:?}"
        );
        assert!(rule.query.starts_with("title:"), "{}", rule.query);
    }
}

#[test]
fn filters_take_out_what_they_describe() {
    let set = load_text(Path::new("rules.yml"), FILE.to_owned());
    let events = [
        event("/usr/sbin/nginx", "/bin/sh", "sh -c id"),
        event("/usr/sbin/nginx", "/bin/sh", "sh health.sh"),
        event("/usr/sbin/cron", "/bin/sh", "sh -c id"),
        event("/usr/sbin/nginx", "/bin/sh", "sh -c id").replace("linux", "windows"),
        event("/usr/sbin/nginx", "/bin/sh", "sh -c id").replace("process\"]", "file\"]"),
    ];
    let found = support::matches(&set.rules[..1], &events, None);
    let lines: Vec<u64> = found
        .iter()
        .map(|found| {
            found.events[0]
                .1
                .as_ref()
                .expect("the event is kept")
                .origin()
                .line
        })
        .collect();
    assert_eq!(lines, [1]);
}

#[test]
fn other_yaml_files_are_ignored_and_a_broken_one_is_a_rejected_rule() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("compose.yaml"),
        "services:\n  web: {image: x}\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("broken.yml"), "title: [\n").unwrap();
    let report = load(&[folder.path()]).report;
    assert_eq!(report.ignored.len(), 1);
    assert_eq!(report.ignored[0].reason, "it holds no document of Sigma");
    assert_eq!(report.rules.len(), 1);
    assert_eq!(report.rules[0].state, RuleState::Rejected);
    assert_eq!(report.files[0].diagnostics[0].code.name, "sigma-yaml");
}
