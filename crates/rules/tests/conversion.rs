//! Rules out and in again: Elastic's through both formats, Sigma's as EQL.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may fail loudly and says what it saw"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use neph_normalize::Normalizer;
use neph_rules::{Rule, RuleKind, RuleSet, RuleState, export, load, load_text};
use serde_json::Value;

#[path = "support/corpus.rs"]
mod corpus;
mod support;

/// All rules of a set that run, as Kibana's API has them; and why the others are not among them, by the reason's first words.
fn exported(set: &RuleSet) -> (Vec<String>, BTreeMap<String, usize>) {
    let mut lines = Vec::new();
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    for (report, rule) in set.all() {
        let Some(rule) = rule.filter(|rule| rule.plan.is_some()) else {
            continue;
        };
        match export::to_api(rule, report, &set.report) {
            Ok(object) => lines.push(Value::Object(object).to_string()),
            Err(reason) => *refused.entry(reason.chars().take(60).collect()).or_default() += 1,
        }
    }
    (lines, refused)
}

/// What a rule is, without where it was read.
fn told(rule: &Rule) -> String {
    let Rule {
        origin: _,
        metadata: _,
        plan,
        note,
        condition,
        ..
    } = rule;
    let mut copy = rule.clone();
    copy.origin = load_text(Path::new("x.eql"), "any where true".into()).rules[0]
        .origin
        .clone();
    copy.metadata = neph_rules::Metadata::default();
    copy.version = Some(copy.version.unwrap_or(1));
    copy.plan = None;
    copy.condition = neph_rules::Condition::Single;
    let condition = match condition {
        neph_rules::Condition::ThreatMatch(threat) => serde_json::to_string(threat).expect("JSON"),
        other => format!("{other:?}"),
    };
    let plan = plan.as_ref().map(|plan| {
        // Tables of indicators are told apart by numbers that nothing depends on.
        let text = format!("{:?}", plan.query);
        match text.find("LookupTable") {
            Some(_) => String::new(),
            None => format!("{text}{:?}", plan.fields),
        }
    });
    format!("{copy:?}\n{note:?}\n{condition}\n{plan:?}")
}

fn assert_same(before: &RuleSet, after: &RuleSet, what: &str) {
    let by_id: BTreeMap<&str, &Rule> = after
        .all()
        .into_iter()
        .filter_map(|(_, rule)| Some((rule?.id.as_str(), rule?)))
        .collect();
    for (_, rule) in before.all() {
        let Some(rule) = rule.filter(|rule| rule.plan.is_some()) else {
            continue;
        };
        let again = by_id
            .get(rule.id.as_str())
            .unwrap_or_else(|| panic!("{what}: {} is there again", rule.name));
        assert_eq!(told(rule), told(again), "{what}: {}", rule.name);
    }
}

#[test]
fn rules_of_elastic_are_the_same_after_a_round_trip() {
    let Some(files) = corpus::archive("rules-elastic.tar.xz") else {
        return;
    };
    // A third of them, of every folder: all take a minute without optimisation.
    let every = if std::env::var_os("NEPH_ALL_RULES").is_some() {
        1
    } else {
        3
    };
    let special = files.keys().filter(|name| name.contains("threat_intel"));
    let picked: BTreeSet<&str> = files
        .keys()
        .step_by(every)
        .chain(special)
        .map(String::as_str)
        .collect();
    let folder = corpus::folder(&files, |name| picked.contains(name));
    let set = load(&[folder.path()]);
    let (lines, refused) = exported(&set);
    assert!(refused.is_empty(), "{refused:?}");
    assert!(lines.len() > 500, "{}", lines.len());
    for line in &lines {
        let object: Value = serde_json::from_str(line).expect("JSON");
        for key in [
            "rule_id",
            "name",
            "description",
            "risk_score",
            "severity",
            "type",
            "immutable",
            "version",
        ] {
            assert!(!object[key].is_null(), "{key} of {}", object["name"]);
        }
        assert_eq!(object["immutable"], false);
    }
    let closing = serde_json::json!({"exported_count": lines.len(), "exported_rules_count": lines.len(), "missing_rules": []});
    let text = format!("{}\n{closing}\n", lines.join("\n"));
    let again = load_text(Path::new("export.ndjson"), text);
    assert!(
        again.report.files[0]
            .diagnostics
            .iter()
            .all(|found| found.code.name != "rule-key-unknown"),
        "every key is known again"
    );
    assert_same(&set, &again, "ndjson");

    let written = tempfile::tempdir().expect("a folder");
    for (number, (report, rule)) in set.all().into_iter().enumerate() {
        let Some(rule) = rule.filter(|rule| rule.plan.is_some()) else {
            continue;
        };
        let text = export::to_toml(rule, report, &set.report).expect("it can be written");
        std::fs::write(written.path().join(format!("{number}.toml")), text).expect("a file");
    }
    assert_same(&set, &load(&[written.path()]), "toml");
}

/// The events beside the rules of Sigma, as they are and in ECS.
fn regression_events(files: &BTreeMap<String, String>) -> Vec<String> {
    let mut events = Vec::new();
    let json = files
        .iter()
        .filter(|(name, _)| name.contains("regression") && name.contains(".json"));
    for (_, text) in json {
        for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
            match value.expect("JSON") {
                Value::Array(list) => events.extend(list.iter().map(Value::to_string)),
                single => events.push(single.to_string()),
            }
        }
    }
    let mut normalizer = Normalizer::new(None).expect("a normaliser");
    let mut made = Vec::new();
    for event in &events {
        let documents = normalizer.push(event.as_bytes()).documents;
        made.extend(
            documents
                .iter()
                .map(|made| String::from_utf8_lossy(&made.document.to_json()).into_owned()),
        );
    }
    events.append(&mut made);
    events
}

#[test]
fn converted_rules_of_sigma_match_what_they_matched() {
    let Some(files) = corpus::archive("rules-sigma.tar.xz") else {
        return;
    };
    // Those with events, and every tenth besides: all take minutes without optimisation.
    let all = std::env::var_os("NEPH_ALL_RULES").is_some();
    let rules = || {
        files
            .keys()
            .filter(|name| name.starts_with("rules") && name.ends_with(".yml"))
    };
    let tested = |name: &str| {
        let stem = name
            .rsplit('/')
            .next()
            .map(|file| format!("/{}/", file.trim_end_matches(".yml")));
        stem.is_some_and(|stem| {
            files
                .keys()
                .any(|other| other.starts_with("regression_data") && other.contains(&stem))
        })
    };
    let mut picked: BTreeSet<&str> = rules()
        .step_by(if all { 1 } else { 10 })
        .map(String::as_str)
        .collect();
    picked.extend(rules().map(String::as_str).filter(|name| tested(name)));
    let folder = corpus::folder(&files, |name| picked.contains(name));
    let set = load(&[folder.path()]);
    let (lines, refused) = exported(&set);
    eprintln!(
        "{} of {} rules are converted; the others: {refused:#?}",
        lines.len(),
        set.rules.len()
    );
    assert!(
        lines.len() * 100 >= set.rules.len() * 85,
        "{} of {}",
        lines.len(),
        set.rules.len()
    );
    let converted = load_text(Path::new("converted.ndjson"), lines.join("\n"));
    let rejected: Vec<_> = converted
        .report
        .rules
        .iter()
        .filter(|rule| rule.state == RuleState::Rejected)
        .map(|rule| (&rule.name, &rule.diagnostics))
        .collect();
    assert!(rejected.is_empty(), "{rejected:#?}");
    assert!(converted.rules.iter().all(|rule| rule.kind == RuleKind::Eql));

    let events = regression_events(&files);
    assert!(events.len() > 400, "{}", events.len());
    let ids: BTreeSet<&str> = converted.rules.iter().map(|rule| rule.id.as_str()).collect();
    let of = |rules: &[Arc<Rule>]| -> BTreeSet<(String, u64)> {
        let found = support::matches(rules, &events, None);
        let pairs = found.iter().flat_map(|found| {
            let id = &rules[found.rule.0 as usize].id;
            let events = found.events.iter().filter_map(|(_, event)| event.as_ref());
            events.map(move |event| (id.clone(), event.origin().line))
        });
        pairs.filter(|(id, _)| ids.contains(id.as_str())).collect()
    };
    let (before, after) = (of(&set.rules), of(&converted.rules));
    let lost: Vec<_> = before.difference(&after).collect();
    let gained: Vec<_> = after.difference(&before).collect();
    assert!(
        lost.is_empty() && gained.is_empty(),
        "lost {lost:#?}, gained {gained:#?}"
    );
    assert!(before.len() > 300, "{}", before.len());
    eprintln!("{} matches of {} events are the same", before.len(), events.len());
}
