//! Conditions that no event can meet are told, in every language.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test may fail loudly and says what it saw"
)]

use std::path::Path;

use neph_rules::{RuleSet, RuleState, load, load_text};

#[path = "support/corpus.rs"]
mod corpus;

/// The codes and marked texts of what is found impossible.
fn found(set: &RuleSet) -> Vec<(&'static str, String)> {
    let codes = [
        "value-impossible",
        "field-impossible",
        "regex-never-matches",
        "literal-wildcard",
    ];
    let files = set.report.files.iter();
    let all = files.flat_map(|file| {
        file.diagnostics
            .iter()
            .map(|found| (found.code.name, found.span.text(&file.text)))
    });
    all.filter(|(code, _)| codes.contains(code))
        .map(|(code, text)| (code, text.trim().to_owned()))
        .collect()
}

fn sigma(items: &str) -> RuleSet {
    let text = format!(
        "title: T\nid: 5013bed5-b1a5-4d4b-9a63-9b3d4b0f1a09\nlogsource: {{product: kubernetes, service: audit}}\ndetection:\n  selection:\n    {items}\n  condition: selection\n"
    );
    load_text(Path::new("rule.yml"), text)
}

fn elastic(kind: &str, language: &str, query: &str) -> RuleSet {
    let text = format!(
        "[rule]\nrule_id = \"5013bed5-b1a5-4d4b-9a63-9b3d4b0f1a10\"\nname = \"N\"\ndescription = \"D\"\ntype = \"{kind}\"\nlanguage = \"{language}\"\nseverity = \"low\"\nrisk_score = 21\nquery = '''{query}'''\n"
    );
    load_text(Path::new("rule.toml"), text)
}

#[test]
fn what_cannot_be_is_told_at_its_place() {
    for (items, code, text) in [
        (
            "responseStatus.code: ALLOW",
            "value-impossible",
            "responseStatus.code: ALLOW",
        ),
        (
            "responseStatus.code: 42",
            "value-impossible",
            "responseStatus.code: 42",
        ),
        (
            "responseStatus.code|startswith: 6",
            "value-impossible",
            "responseStatus.code|startswith: 6",
        ),
        ("hostPath: '*'", "field-impossible", "hostPath: '*'"),
        ("verb|re: 'a^b'", "regex-never-matches", "verb|re: 'a^b'"),
    ] {
        let set = sigma(items);
        assert_eq!(
            set.report.rules[0].state,
            RuleState::Active,
            "{items}: it runs all the same"
        );
        let found = found(&set);
        assert_eq!(found.len(), 1, "{items}: {found:?}");
        assert_eq!(found[0].0, code, "{items}");
        assert!(found[0].1.starts_with(text), "{items}: {:?}", found[0].1);
    }
    for items in [
        "responseStatus.code: 403",
        "responseStatus.code|startswith: 4",
        "responseStatus.code: [200, 201]",
        "requestObject.spec.hostPath: x",
        "verb|re: '^a$'",
        "verb: create",
    ] {
        assert!(found(&sigma(items)).is_empty(), "{items}");
    }
}

#[test]
fn every_language_is_looked_at() {
    for (kind, language, query, text) in [
        (
            "eql",
            "eql",
            "any where kubernetes.audit.stage == \"Done\"",
            "kubernetes.audit.stage == \"Done\"",
        ),
        (
            "query",
            "kuery",
            "kubernetes.audit.stage: (Done or Panic)",
            "kubernetes.audit.stage: (Done or Panic)",
        ),
        (
            "query",
            "lucene",
            "kubernetes.audit.level:Everything",
            "kubernetes.audit.level:Everything",
        ),
        (
            "eql",
            "eql",
            "any where aws.cloudtrail.user_identity.arn regex \".*:assumed-role/aws:.*\"",
            "aws.cloudtrail.user_identity.arn regex",
        ),
    ] {
        let found = found(&elastic(kind, language, query));
        assert_eq!(found.len(), 1, "{query}: {found:?}");
        assert_eq!(found[0].0, "value-impossible");
        assert!(found[0].1.starts_with(text), "{query}: {:?}", found[0].1);
    }
    let query = "any where stringContains(aws.cloudtrail.request_parameters, \"valuesToAdd=[*]\")";
    assert_eq!(found(&elastic("eql", "eql", query))[0].0, "literal-wildcard");
    for query in [
        "kubernetes.audit.stage: ResponseComplete",
        "kubernetes.audit.annotations.authorization_k8s_io/decision: \"allow\"",
        "aws.cloudtrail.user_identity.arn: *assumed-role/Admin*",
        "http.response.status_code: 404",
    ] {
        assert!(found(&elastic("query", "kuery", query)).is_empty(), "{query}");
    }
}

/// Of the public rules exactly these are found; each was read.
#[test]
fn of_the_public_rules_the_broken_ones_are_found() {
    const KNOWN: &[&str] = &[
        "352a918a-34d8-4882-8470-44830c507aa3 value-impossible",
        "3a01e5c6-ce01-46d7-ac9f-52dc349695fb value-impossible",
        "402b955c-8fe0-4a8c-b635-622b4ac5f902 field-impossible",
        "4577ef08-61d1-4458-909f-25a4b10c87fe literal-wildcard",
        "597a7e84-187d-458b-9e4f-2f5a0e676711 value-impossible",
        "84b777bd-c946-4d17-aa2e-c39f5a454325 field-impossible",
        "ad9012a6-e518-4432-9890-f3b82b8fc71f field-impossible",
        "c5cd1b20-36bb-488d-8c05-486be3d0cb97 field-impossible",
    ];
    let (Some(elastic), Some(sigma)) = (
        corpus::archive("rules-elastic.tar.xz"),
        corpus::archive("rules-sigma.tar.xz"),
    ) else {
        return;
    };
    let mut seen: Vec<String> = Vec::new();
    let all = std::env::var_os("NEPH_ALL_RULES").is_some();
    let sources = [
        "kubernetes",
        "imds_malicious",
        "snapshot_shared",
        "integrations/gcp",
    ];
    for (files, ending) in [(elastic, ".toml"), (sigma, ".yml")] {
        let folder = corpus::folder(&files, |name| {
            name.starts_with("rules")
                && name.ends_with(ending)
                && (all || sources.iter().any(|source| name.contains(source)))
        });
        let set = load(&[folder.path()]);
        for rule in &set.report.rules {
            let file = &set.report.files[rule.file];
            let codes = ["value-impossible", "field-impossible", "regex-never-matches"];
            for diagnostic in &rule.diagnostics {
                let in_brackets = diagnostic.code.name == "literal-wildcard"
                    && diagnostic.span.text(&file.text).contains("[*]");
                if codes.contains(&diagnostic.code.name) || in_brackets {
                    let id = rule.id.as_deref().unwrap_or("-");
                    seen.push(format!("{id} {}", diagnostic.code.name));
                    eprintln!("{id} {}: {}", diagnostic.code.name, diagnostic.message);
                }
            }
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen, KNOWN);
}
