//! Texts in other languages beside rules.

#![expect(clippy::expect_used, reason = "a test may fail loudly and says what it saw")]

use neph_rules::{Lang, LoadOptions, RuleSet, load_with};
use tempfile::TempDir;

const RULE: &str = r#"[rule]
rule_id = "0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11"
name = "Login"
description = "Somebody logged in."
type = "query"
severity = "medium"
risk_score = 47
language = "kuery"
query = 'event.action: login'
false_positives = ["Everybody"]
note = "Look."
"#;

const SIGMA: &str = "title: One
id: 7c8e2d6f-8d0f-4b35-8a7c-3c1f0e3f5a01
logsource: {product: linux}
detection: {s: {Image: /a}, condition: s}
---
title: Two
id: 7c8e2d6f-8d0f-4b35-8a7c-3c1f0e3f5a02
logsource: {product: linux}
detection: {s: {Image: /b}, condition: s}
";

fn load(files: &[(&str, &str)], lang: Lang) -> (RuleSet, TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("the file can be written");
    }
    let options = LoadOptions {
        lang,
        ..LoadOptions::default()
    };
    (load_with(&[folder.path()], &options), folder)
}

/// Each diagnostic of a file of texts with the text that it stands at.
fn said(set: &RuleSet) -> Vec<String> {
    let of = set.report.beside.iter();
    of.flat_map(|file| {
        let told = file.diagnostics.iter();
        told.map(|found| format!("{} @ {}", found.message, found.span.text(&file.text)))
    })
    .collect()
}

#[test]
fn a_rule_speaks_the_language_that_is_wanted_as_far_as_it_can() {
    let texts = "ru:\n  name: Вход\n  false_positives: [Все]\n  note: Смотрите.\nzh:\n  name: 登录\n";
    let files = [("a.toml", RULE), ("a.texts.yaml", texts)];
    let told = |lang| {
        let (set, _folder) = load(&files, lang);
        assert_eq!(said(&set), Vec::<String>::new());
        let rule = &set.rules[0];
        assert_eq!(set.report.rules[0].name.as_deref(), Some(rule.name.as_str()));
        [
            rule.name.clone(),
            rule.description.clone(),
            rule.false_positives.join("|"),
            rule.note.clone().unwrap_or_default(),
        ]
    };
    assert_eq!(
        told(Lang::English),
        ["Login", "Somebody logged in.", "Everybody", "Look."]
    );
    assert_eq!(
        told(Lang::Russian),
        ["Вход", "Somebody logged in.", "Все", "Смотрите."]
    );
    assert_eq!(
        told(Lang::Chinese),
        ["登录", "Somebody logged in.", "Everybody", "Look."]
    );
}

#[test]
fn texts_are_found_for_a_file_that_is_named() {
    let (_, folder) = load(
        &[("a.toml", RULE), ("a.texts.yml", "ru: {name: Вход}")],
        Lang::English,
    );
    let options = LoadOptions {
        lang: Lang::Russian,
        ..LoadOptions::default()
    };
    let set = load_with(&[folder.path().join("a.toml")], &options);
    assert_eq!(set.rules[0].name, "Вход");
}

#[test]
fn rules_of_one_file_have_texts_by_their_ids() {
    let texts = "rules:\n  7c8e2d6f-8d0f-4b35-8a7c-3c1f0e3f5a02:\n    ru: {name: Два}\n  none:\n    ru: {name: Три}\n";
    let (set, _folder) = load(&[("a.yml", SIGMA), ("a.texts.yaml", texts)], Lang::Russian);
    let names: Vec<&str> = set.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["One", "Два"]);
    assert_eq!(
        said(&set),
        ["the file beside has no rule with the id `none` @ none"]
    );
}

#[test]
fn what_is_wrong_with_texts_is_told_at_its_place() {
    for (rules, texts, expected) in [
        (RULE, "ru: {nam: x}", "`ru` has no key `nam` @ nam"),
        (
            RULE,
            "de: {name: x}",
            "`de` is not a key that a rule file has @ de",
        ),
        (
            RULE,
            "ru: {false_positives: x}",
            "`ru.false_positives` must be a list of strings @ x",
        ),
        (RULE, "ru: x", "`ru` must be a table @ x"),
        (
            RULE,
            "[x]",
            "a file of texts holds a table of languages, but this is a list @ [x]",
        ),
    ] {
        let (set, _folder) = load(&[("a.toml", rules), ("a.texts.yaml", texts)], Lang::English);
        assert_eq!(said(&set), [expected], "{texts}");
        assert_eq!(set.rules.len(), 1);
    }
    let (set, _folder) = load(
        &[("a.yml", SIGMA), ("a.texts.yaml", "ru: {name: x}")],
        Lang::Russian,
    );
    assert!(
        said(&set)[0].starts_with("it is not said which rule of the file"),
        "{:?}",
        said(&set)
    );
    let (set, _folder) = load(&[("b.texts.yaml", "ru: {name: x}")], Lang::Russian);
    assert_eq!(
        set.report.ignored[0].reason,
        "it holds texts of rules, but no rule file stands beside it"
    );
}
