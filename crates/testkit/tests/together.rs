//! All public rules active at once find what each finds alone.
//!
//! A deterministic sample of the rules of both public sets is run over the events that lie beside Sigma's rules, as they are and
//! normalised, and over generated logs: all rules at once, twice, and each rule alone. The alerts must be the same. The rules
//! lie beside the project; without them the test says that it was skipped.
//!
//! `NEPH_TOGETHER=all` takes all rules and all events.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test may fail loudly and says what it saw"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use neph_engine::{Match, Matcher, OperatorConfig, Operators, Origin, Outcome, Program, Record};
use neph_normalize::Normalizer;
use neph_rules::alert::alert_id;
use neph_rules::{Rule, load};
use neph_testkit::generate::{EndpointOptions, endpoint};

fn archive(name: &str) -> Option<BTreeMap<String, String>> {
    let shared = std::env::var_os("NEPH_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = shared.join("corpora").join(name);
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    };
    let mut files = BTreeMap::new();
    let mut archive = tar::Archive::new(liblzma::read::XzDecoder::new(file));
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a path").to_string_lossy().into_owned();
        let mut text = String::new();
        if entry.header().entry_type().is_file() && entry.read_to_string(&mut text).is_ok() {
            files.insert(name.trim_start_matches("./").to_owned(), text);
        }
    }
    Some(files)
}

/// Every `step`th rule that is running, and those beside whose file events lie.
fn rules(files: &BTreeMap<String, String>, ending: &str, step: usize) -> Vec<Arc<Rule>> {
    let folder = tempfile::tempdir().expect("a folder");
    let tested: BTreeSet<&str> = files
        .keys()
        .filter(|name| name.starts_with("regression_data"))
        .filter_map(|name| name.rsplit('/').nth(1))
        .collect();
    let names = files
        .keys()
        .filter(|name| name.starts_with("rules") && name.ends_with(ending));
    for (number, name) in names.enumerate() {
        let stem = name.rsplit('/').next().unwrap_or("").trim_end_matches(ending);
        if number % step == 0 || (tested.contains(stem) && number % 2 == 0) {
            let path = folder.path().join(format!("{number:05}{ending}"));
            std::fs::write(path, &files[name]).expect("a file");
        }
    }
    load(&[folder.path()]).rules
}

/// The events beside Sigma's rules, as they are and in ECS.
fn regression_events(files: &BTreeMap<String, String>, step: usize) -> Vec<String> {
    let mut events = Vec::new();
    let json = files
        .iter()
        .filter(|(name, _)| name.starts_with("regression_data") && name.contains(".json"));
    for (_, text) in json {
        for value in serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>() {
            match value.expect("JSON") {
                serde_json::Value::Array(list) => events.extend(list.iter().map(ToString::to_string)),
                single => events.push(single.to_string()),
            }
        }
    }
    let events: Vec<String> = events.into_iter().step_by(step).collect();
    let mut normalizer = Normalizer::new(None).expect("a normaliser");
    let mut all = events.clone();
    for event in &events {
        let documents = normalizer.push(event.as_bytes()).documents;
        all.extend(
            documents
                .iter()
                .map(|made| String::from_utf8_lossy(&made.document.to_json()).into_owned()),
        );
    }
    all
}

/// The ids of the alerts of each rule, in order.
fn alerts(rules: &[&Rule], events: &[String]) -> BTreeMap<String, Vec<String>> {
    let plans: Vec<_> = rules
        .iter()
        .map(|rule| rule.plan.as_ref().expect("a plan"))
        .collect();
    let (program, errors) = Program::compile(plans.iter().copied());
    assert!(errors.is_empty(), "{errors:?}");
    let mut operators = Operators::new(&plans, &OperatorConfig::default());
    let mut matcher = Matcher::new(Arc::new(program));
    let mut told = Vec::new();
    for (position, event) in (0_u64..).zip(events) {
        if matcher.read(event.as_bytes()).is_err() {
            continue;
        }
        let origin = Origin {
            source: "events".into(),
            line: position + 1,
        };
        let record = Record {
            document: event.as_bytes(),
            id: None,
            index: None,
            position,
            origin: &origin,
        };
        let mut steps = Vec::new();
        matcher.matches(&record, |step| steps.push(step));
        steps.into_iter().for_each(|step| operators.push(step, &mut told));
    }
    operators.finish(&mut told);
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for outcome in told {
        let (word, found_match): (&str, Match) = match outcome {
            Outcome::Found(found) => ("", found),
            Outcome::Retracted(found) => ("not ", found),
        };
        let rule = rules[found_match.rule.0 as usize];
        let id = format!("{word}{}", alert_id(rule, &found_match));
        found.entry(rule.id.clone()).or_default().push(id);
    }
    found.values_mut().for_each(|ids| ids.sort());
    found
}

#[test]
fn all_at_once_find_what_each_finds_alone() {
    let (Some(elastic), Some(sigma)) = (archive("rules-elastic.tar.xz"), archive("rules-sigma.tar.xz"))
    else {
        return;
    };
    let all = std::env::var_os("NEPH_TOGETHER").is_some_and(|value| value == "all");
    let (elastic_step, sigma_step, event_step, generated) = if all {
        (1, 1, 1, 10_000_000)
    } else {
        (10, 19, 2, 100_000)
    };
    let mut both = rules(&elastic, ".toml", elastic_step);
    both.append(&mut rules(&sigma, ".yml", sigma_step));
    assert!(both.len() >= 300, "{}", both.len());
    let mut events = regression_events(&sigma, event_step);
    let mut written = Vec::new();
    let options = EndpointOptions {
        bytes: generated,
        seed: 7,
        hosts: 3,
        attacks_per_million: 50_000,
        ..EndpointOptions::default()
    };
    endpoint(&mut written, &options).expect("memory can be written to");
    events.extend(String::from_utf8_lossy(&written).lines().map(str::to_owned));
    let refs: Vec<&Rule> = both.iter().map(AsRef::as_ref).collect();

    let together = alerts(&refs, &events);
    assert_eq!(together, alerts(&refs, &events), "twice the same");
    let backwards: Vec<&Rule> = refs.iter().copied().rev().collect();
    assert_eq!(
        together,
        alerts(&backwards, &events),
        "the order of rules does not matter"
    );
    for rule in &both {
        let alone = alerts(&[rule], &events);
        assert_eq!(
            alone.get(&rule.id),
            together.get(&rule.id),
            "`{}` finds the same alone as with the others",
            rule.name
        );
    }
    let number: usize = together.values().map(Vec::len).sum();
    eprintln!(
        "{} rules, {} events, {number} alerts of {} rules",
        both.len(),
        events.len(),
        together.len()
    );
    assert!(
        together.len() >= 20,
        "rules of many kinds find something: {}",
        together.len()
    );
}
