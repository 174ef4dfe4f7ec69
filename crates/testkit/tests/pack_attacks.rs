//! The shipped rules over labelled records of attacks and of what looks like them.
//!
//! A case of technique T is caught by an alert of T: one that names T, a sub-technique of T, or T's parent technique
//! without any sub-technique of it. (T1578 alone says less than T1578.001 and nothing else; T1578.002 says something else.)
//! The same makes a false alarm of a benign case. Cases are run one by one, as a log that starts with them.
//!
//! The cases lie beside the project; without them the test says that it was skipped.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test may fail loudly and says what it saw"
)]

mod shipped;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use neph_rules::Rule;
use serde_json::Value;
use shipped::Pack;

/// Of the detectable attack cases so many per cent are caught at least.
const LEAST: usize = 95;

/// Benign cases in which a rule of the technique alerts, and why it must.
const EXPLAINED: &[(&str, &str)] = &[
    (
        "panther_aws_ecr_events_02_Authorized_account",
        "one push and no history: that the account may push is not in the record; a list of the site says so",
    ),
    (
        "elastic_gcp_images_insert",
        "one image made and no history: that the principal makes images is not in the record",
    ),
];

/// The rules that alert on the records of a file.
fn alerting<'p>(pack: &'p Pack, file: &Path) -> Vec<&'p Rule> {
    let alerts = pack.alerts(file);
    let ids: BTreeSet<&str> = alerts.iter().map(|alert| alert.rule_id.as_str()).collect();
    let is_among = |rule: &&Arc<Rule>| ids.contains(rule.id.as_str());
    pack.rules.iter().filter(is_among).map(|rule| &**rule).collect()
}

/// Whether the alerts of a rule are of a technique.
fn is_of(rule: &Rule, wanted: &str) -> bool {
    let parent = wanted.split('.').next().unwrap_or(wanted);
    let techniques = rule.threat.iter().flat_map(|threat| &threat.techniques);
    let below = format!("{wanted}.");
    let names: Vec<(&str, Vec<&str>)> = techniques
        .map(|technique| {
            let subs = technique.subtechniques.iter().map(|sub| sub.id.as_str());
            (technique.technique.id.as_str(), subs.collect())
        })
        .collect();
    names.iter().any(|(id, subs)| {
        *id == wanted
            || subs.iter().any(|sub| *sub == wanted || sub.starts_with(&below))
            || (*id == parent && subs.is_empty())
    })
}

#[test]
fn attacks_are_caught_and_what_looks_like_them_is_not() {
    let Some(folder) = shipped::attacks() else { return };
    let pack = Pack::load();
    let index = std::fs::read_to_string(folder.join("index.jsonl")).expect("an index");
    // By technique, label and kind: cases, and those that raised an alert of the technique.
    let mut table: BTreeMap<(String, String, String), (usize, usize)> = BTreeMap::new();
    let (mut detectable, mut caught) = (0, 0);
    let mut missed = Vec::new();
    let mut raised = Vec::new();
    let mut unexplained = Vec::new();
    for line in index.lines() {
        let case: Value = serde_json::from_str(line).expect("a case is JSON");
        let text = |key: &str| case[key].as_str().unwrap_or_default();
        let (name, technique) = (text("case"), text("technique"));
        let is_detectable = case["detectable"] != Value::Bool(false);
        let rules = alerting(&pack, &folder.join(text("file")));
        let own: Vec<&str> = rules
            .iter()
            .filter(|rule| is_of(rule, technique))
            .map(|rule| rule.name.as_str())
            .collect();
        let hit = usize::from(!own.is_empty());
        let mut kind = text("kind").to_owned();
        if !is_detectable {
            kind.push_str(", not detectable");
        }
        let row = table
            .entry((technique.to_owned(), text("label").to_owned(), kind))
            .or_default();
        row.0 += 1;
        row.1 += hit;
        match text("label") {
            "attack" if is_detectable => {
                detectable += 1;
                caught += hit;
                if hit == 0 {
                    missed.push(format!("{technique} {name}"));
                }
            }
            "benign" if hit > 0 => {
                let told = format!("{technique} {name}: {}", own.join(", "));
                match EXPLAINED.iter().find(|(explained, _)| *explained == name) {
                    Some((_, why)) => raised.push(format!("{told} ({why})")),
                    None => unexplained.push(told),
                }
            }
            _ => {}
        }
    }
    println!(
        "{:<10} {:<7} {:>6} {:>5}  kind",
        "technique", "label", "raised", "of"
    );
    for ((technique, label, kind), (cases, hits)) in &table {
        println!("{technique:<10} {label:<7} {hits:>6} {cases:>5}  {kind}");
    }
    println!("{caught} of {detectable} detectable attack cases caught");
    for (head, list) in [("missed", &missed), ("benign and raised, explained", &raised)] {
        println!("{head}: {}\n  {}", list.len(), list.join("\n  "));
    }
    assert!(
        unexplained.is_empty(),
        "benign cases raise alerts of their technique:\n  {}",
        unexplained.join("\n  ")
    );
    assert!(
        caught * 100 >= detectable * LEAST,
        "{caught} of {detectable} are less than {LEAST} %; missed:\n  {}",
        missed.join("\n  ")
    );
}
