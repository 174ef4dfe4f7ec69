//! What is wrong with a file is told at its place, all at once, and nothing makes the reader panic.

use std::collections::BTreeMap;

use neph_sigma::{CODES, Content, Mappings, Options, compile, parse};
use proptest::prelude::*;

/// Every problem of a text: its code, its message, and the text at its place.
fn problems(text: &str) -> Vec<(String, String, String)> {
    let lists = BTreeMap::new();
    let options = Options {
        mappings: &Mappings::shipped(),
        lists: &lists,
    };
    let mut found = Vec::new();
    for document in parse(text) {
        let mut diagnostics = document.diagnostics;
        if let Content::Rule(rule) = &document.content {
            diagnostics.extend(compile(rule, &[], &options).diagnostics);
        }
        diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        for diagnostic in diagnostics {
            assert!(CODES.contains(&diagnostic.code));
            let place = diagnostic.span.text(text).lines().next().unwrap_or("").to_owned();
            found.push((diagnostic.code.name.to_owned(), diagnostic.message, place));
        }
    }
    found
}

fn check(text: &str, expected: &[(&str, &str, &str)]) {
    let found = problems(text);
    let found: Vec<(&str, &str, &str)> = found
        .iter()
        .map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str()))
        .collect();
    assert_eq!(found, expected, "{text}");
}

const HEAD: &str = "title: t\nlogsource: {product: windows, category: process_creation}\ndetection:\n";

fn rule(detection: &str, expected: &[(&str, &str, &str)]) {
    check(&format!("{HEAD}{detection}"), expected);
}

#[test]
fn all_problems_of_a_rule_at_once() {
    check(
        "titel: t\nid: 1\nstatus: done\nlevel: severe\nlogsource: {product: windows, category: process_creation}\ndetection:\n  \
         sel:\n    A|cotains|re: x\n    B|cidr: nonsense\n    C|re: '(?=a)'\n    D|gt: many\n  other: {E: 1}\n  condition: \
         selection and sel\n",
        &[
            ("sigma-key-alike", "`titel` is not a key of Sigma", "titel"),
            ("sigma-value-odd", "the id `1` is no UUID", "1"),
            ("sigma-key-missing", "`title` is missing", "1"),
            ("sigma-value-odd", "`done` is no status of Sigma", "done"),
            ("sigma-value", "`severe` is not a level", "severe"),
            (
                "sigma-modifier-unknown",
                "there is no modifier `cotains`",
                "cotains",
            ),
            (
                "sigma-value",
                "`nonsense` is neither a network (`10.0.0.0/8`) nor an address",
                "nonsense",
            ),
            (
                "sigma-regex",
                "the regular expression cannot be used: look-around, including look-ahead and look-behind, is not supported",
                "'(?=a)'",
            ),
            ("sigma-value", "a number is needed", "many"),
            (
                "sigma-condition-name",
                "there is no search identifier `selection`",
                "selection",
            ),
        ],
    );
}

#[test]
fn modifiers_that_do_not_go_together() {
    let conflict = "sigma-modifier-conflict";
    rule(
        "  s:\n    A|contains|startswith: x\n    B|i: x\n    C|re|cidr: x\n    D|base64|cidr: 10.0.0.0/8\n  condition: s\n",
        &[
            (
                conflict,
                "`startswith` does not go together with `contains`",
                "startswith",
            ),
            (conflict, "`i` is a flag of `re` and stands behind it", "i"),
            (conflict, "`cidr` does not go together with `re`", "cidr"),
            (
                conflict,
                "encodings and `windash` change texts; they do not go together with `cidr`",
                "base64|cidr",
            ),
        ],
    );
    rule(
        "  s: {A|base64: 'a*'}\n  condition: s\n",
        &[(
            "sigma-value",
            "a value that is encoded cannot have wildcards; escape them with `\\`",
            "'a*'",
        )],
    );
}

#[test]
fn shapes_that_are_wrong() {
    rule(
        "  s: {A: {b: c}}\n  condition: s\n",
        &[
            (
                "sigma-value-type",
                "a value of `A` must be a text, a number, a boolean or `null`",
                "{b: c}",
            ),
            ("sigma-condition-name", "there is no search identifier `s`", "s"),
        ],
    );
    rule(
        "  s: {A: 1, A: 2}\n  condition: s\n",
        &[("sigma-key-twice", "`A` stands here twice", "A")],
    );
    rule(
        "  s: {A: 1}\n",
        &[("sigma-key-missing", "`condition` is missing", "detection")],
    );
    rule(
        "  s: {A: 1}\n  unused: {B: 1}\n  condition: s\n",
        &[(
            "sigma-search-unused",
            "the condition does not use `unused`",
            "unused",
        )],
    );
    rule(
        "  s: {A: 1}\n  timeframe: 5m\n  condition: s | median(B) > 3\n",
        &[("sigma-aggregation", "there is no aggregation `median`", "median")],
    );
    check(
        "title: t\nlogsource: [a]\ndetection: x\n",
        &[
            ("sigma-value-type", "`logsource` must be a map", "[a]"),
            (
                "sigma-value-type",
                "this must be a map of search identifiers and a `condition`",
                "x",
            ),
        ],
    );
    check(
        "title: t\ncorrelation: {type: event_count}\n",
        &[
            ("sigma-key-missing", "`timespan` is missing", "correlation"),
            ("sigma-key-missing", "`condition` is missing", "correlation"),
            ("sigma-key-missing", "`rules` is missing", "correlation"),
        ],
    );
}

#[test]
fn what_no_mapping_knows_is_named() {
    check(
        "title: t\nlogsource: {product: acme}\ndetection:\n  s: {Feld: 1}\n  condition: s\n",
        &[
            (
                "sigma-logsource-unknown",
                "no mapping knows the log source `product: acme`",
                "{product: acme}",
            ),
            (
                "sigma-field-unknown",
                "no mapping knows the field `Feld` of this log source",
                "Feld",
            ),
        ],
    );
}

#[test]
fn a_broken_document_does_not_hide_the_others() {
    let text = format!("title: [\n---\n{HEAD}  s: {{A|cotains: 1}}\n  condition: s\n---\nother: yaml\n");
    let found = problems(&text);
    let codes: Vec<&str> = found.iter().map(|(code, ..)| code.as_str()).collect();
    assert_eq!(codes, ["sigma-yaml", "sigma-modifier-unknown"], "{found:?}");
}

#[test]
fn global_documents_stand_under_those_that_follow() {
    let text = "action: global\ntitle: t\nlogsource: {product: windows, service: security}\ndetection:\n  condition: s\n---\n\
                detection:\n  s: {EventID: 1}\n---\ntitle: u\ndetection:\n  s: {EventID: 2}\n";
    assert_eq!(problems(text), []);
    let titles: Vec<Option<String>> = parse(text)
        .into_iter()
        .map(|document| match document.content {
            Content::Rule(rule) => rule.about.title,
            _ => None,
        })
        .collect();
    assert_eq!(titles, [Some("t".to_owned()), Some("u".to_owned())]);
}

#[test]
fn ids_belong_to_one_document_each() {
    let one = "title: t\nid: 11111111-2222-4333-8444-555555555555\nlogsource: {product: windows}\ndetection:\n  s: {A: 1}\n  condition: s\n";
    let found = problems(&format!("{one}---\n{one}"));
    assert_eq!(found.len(), 1);
    assert_eq!(found.first().unwrap().0, "sigma-id-duplicate");
}

#[test]
fn bombs_are_refused_quickly() {
    let mut bomb = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (inner, outer) in "abcdefgh".chars().zip("bcdefghi".chars()) {
        bomb.push_str(&format!(
            "{outer}: &{outer} [{}]\n",
            vec![format!("*{inner}"); 10].join(", ")
        ));
    }
    bomb.push_str("title: t\nlogsource: {product: windows}\ndetection: {s: *i, condition: s}\n");
    let begin = std::time::Instant::now();
    let codes: Vec<String> = problems(&bomb).into_iter().map(|(code, ..)| code).collect();
    assert_eq!(codes, ["sigma-too-large"]);
    let deep = format!(
        "title: t\nlogsource: {{}}\ndetection:\n  s: {}{}\n  condition: s\n",
        "[".repeat(5000),
        "]".repeat(5000)
    );
    assert!(!problems(&deep).is_empty());
    let long = "x".repeat(neph_sigma::MAX_BYTES + 1);
    assert_eq!(problems(&long).first().unwrap().0, "sigma-too-large");
    let many = format!(
        "{HEAD}  s:\n    A:\n{}  condition: s\n",
        "      - 'some value'\n".repeat(150_000)
    );
    assert_eq!(problems(&many), []);
    let names = format!(
        "{HEAD}  s: {{A: [1, 2]}}\n  condition: {}s\n",
        "s or ".repeat(100_000)
    );
    assert_eq!(problems(&names).first().unwrap().0, "sigma-too-large");
    assert!(begin.elapsed().as_secs() < 60);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn no_text_makes_it_panic(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "title: t\n", "logsource:\n", "  product: windows\n", "  category: process_creation\n", "detection:\n", "  s:\n",
                "    A|contains|all:\n", "      - 'é*\\?'\n", "    '|re': '(a'\n", "  condition: s or 1 of s*\n", "  condition: (not\n",
                "---\n", "- ", "&a ", "*a\n", "{", "}", "[", "]", ": ", "|windash", "|base64offset", "\"", "'", "\u{feff}", "\t", "#",
                "%x%", "|expand: '%x%'\n", "null\n", "? ", "!!str ", "filter:\n", "  rules: any\n", "action: global\n", "...\n",
            ]),
            0..30,
        ),
        noise in ".{0,12}",
        at in 0_usize..30,
    ) {
        let mut parts: Vec<&str> = parts;
        parts.insert(at.min(parts.len()), &noise);
        let text = parts.concat();
        for (_, message, _) in problems(&text) {
            prop_assert!(!message.is_empty() && !message.ends_with('.'));
        }
        Mappings::default().add(&text);
    }
}

#[test]
fn fragments_are_queries() {
    use neph_sigma::compile_fragment;
    let lists = BTreeMap::new();
    let options = Options {
        mappings: &Mappings::shipped(),
        lists: &lists,
    };
    let told = |text: &str| {
        let compiled = compile_fragment(text, &options);
        let told: Vec<String> = compiled
            .diagnostics
            .iter()
            .map(|found| format!("{} @{}", found.message, found.span.text(text)))
            .collect();
        (compiled.plan.is_some(), told)
    };
    let nothing: Vec<String> = Vec::new();
    assert_eq!(
        told("{s: {Image|endswith: /curl}, condition: s}"),
        (true, nothing.clone())
    );
    assert_eq!(
        told(
            "logsource: {product: linux, category: process_creation}\ndetection:\n  s: {Image: a}\n  condition: s\n"
        ),
        (true, nothing.clone())
    );
    assert_eq!(told("s: [mimikatz]\ncondition: s\n"), (true, nothing));
    assert_eq!(
        told("{s: {Feld: 1}, condition: s}"),
        (
            true,
            vec!["no mapping knows the field `Feld` of this log source @Feld".to_owned()]
        )
    );
    assert_eq!(
        told("{s: {Image|endwith: a}, condition: t}"),
        (false, vec!["there is no modifier `endwith` @endwith".to_owned(),])
    );
    assert!(!told("").0);
    assert!(!told("[").0);
    assert_eq!(
        told("a: 1\n---\nb: 2\n"),
        (false, vec!["a query is one document @b: 2".to_owned()])
    );
}
