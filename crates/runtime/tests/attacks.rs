//! A folder with logs of all sources, as it lies on a disk, goes through a run: every record is recognised as what it is.
//!
//! The corpora lie beside the checkout, or where `NEPH_SHARED` says; without them the tests say that they were skipped.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the lints know test functions only, not what these call"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use neph_engine::{OperatorConfig, Operators, Program};
use neph_normalize::{Joiner, sources};
use neph_plan::Plan;
use neph_runtime::input::{ProblemKind, ReadOptions, Reader};
use neph_runtime::{RunOptions, Summary, detect, prepare};
use serde_json::Value;

fn corpora() -> Option<PathBuf> {
    let shared = std::env::var_os("NEPH_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let folder = shared.join("corpora");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: the corpora are not there");
    None
}

/// Reads inputs as `neph detect` does, with a rule that keeps every event.
fn run(inputs: &[PathBuf], threads: usize, chunk_bytes: usize) -> (Summary, Vec<String>) {
    let schema = neph_event::Schema::builtin();
    let options = neph_eql::CompileOptions::new(schema, neph_event::Instant::from_millis(0));
    let plan: Plan = neph_eql::compile("any where true", &options).plan.unwrap();
    let (program, errors) = Program::compile([&plan]);
    assert_eq!(errors, []);
    let mut operators = Operators::new(&[&plan], &OperatorConfig::default());
    let read = ReadOptions {
        joiner: Joiner::new(None),
        chunk_bytes,
        ..ReadOptions::default()
    };
    let mut reader = Reader::new(inputs, read).unwrap();
    let options = RunOptions {
        threads,
        ..RunOptions::default()
    };
    let mut events = Vec::new();
    let outcome = detect(
        &mut reader,
        &prepare(program),
        &mut operators,
        &options,
        &mut |_| (),
        &mut |outcome| {
            let neph_engine::Outcome::Found(found) = outcome else {
                panic!("nothing is taken back in a batch")
            };
            let (_, event) = found.events.first().unwrap();
            let event = event.as_ref().unwrap();
            let (origin, id) = (event.origin(), event.id().as_str());
            events.push(format!("{}:{} {id}", origin.source, origin.line));
        },
    );
    (outcome.unwrap().summary, events)
}

/// What the records of a case may be recognised as, by the name that the corpus gives its source.
fn sources_of(name: &str) -> &'static [&'static str] {
    match name {
        "auditd" => &["auditd"],
        "aws_cloudtrail" => &["aws_cloudtrail"],
        "azure_activity" | "azure_activity_rest" => &["azure_activitylogs"],
        "docker_events" => &["docker_events"],
        "dockerd_log" => &["docker_daemon", "dockerd"],
        "gcp_audit" | "gcp_audit_gke" => &["gcp_audit", "gke"],
        "k8s_audit" => &["kubernetes_audit"],
        "k8s_audit_aks" => &["kubernetes_audit", "azure_platformlogs", "aks"],
        "podman_api_log" => &["podman_api"],
        "podman_events" => &["podman_events"],
        "sysmon_windows" => &["windows_sysmon"],
        "vkcloud_audit" => &["vkcloud"],
        "windows_security" => &["windows_security"],
        _ => &[],
    }
}

#[test]
fn attacks_are_recognised() {
    let Some(corpora) = corpora() else { return };
    let index = std::fs::read_to_string(corpora.join("attacks/index.jsonl")).unwrap();
    let mut wrong = Vec::new();
    let mut by_source: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
    let mut cases = 0;
    for line in index.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| case.get(key).and_then(Value::as_str).unwrap().to_owned();
        let (source, file) = (text("source"), text("file"));
        let (summary, _) = run(&[corpora.join("attacks").join(&file)], 1, 1 << 20);
        cases += 1;
        let allowed = sources_of(&source);
        let found = by_source.entry(source.clone()).or_default();
        for (name, count) in &summary.events {
            *found.entry(name).or_default() += count;
            if !allowed.iter().any(|prefix| name.starts_with(prefix)) {
                wrong.push(format!("{file}: {count} × {name}"));
            }
        }
        // A line of a daemon that is no event is known to be one of its lines.
        let dropped = summary
            .dropped
            .iter()
            .map(|((name, reason), count)| (name, reason, count));
        for (name, reason, count) in dropped {
            *found.entry("(no event)").or_default() += count;
            if !allowed.iter().any(|prefix| name.starts_with(prefix)) {
                wrong.push(format!("{file}: {count} × {name}: {reason}"));
            }
        }
        if summary.problems.total() > 0 {
            wrong.push(format!("{file}: {:?}", summary.problems.kept()));
        }
        if summary.events.is_empty() {
            wrong.push(format!("{file}: no events"));
        }
    }
    for (source, found) in &by_source {
        println!("{source}: {found:?}");
    }
    assert!(
        wrong.is_empty(),
        "{} of {cases} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// The attacks and the raw records of the corpus for the normaliser in one folder, a file for each source and one with all
/// of them.
fn mixed(corpora: &Path, folder: &Path) -> u64 {
    let mut all = String::new();
    let mut records = 0;
    let mut names: Vec<PathBuf> = std::fs::read_dir(corpora.join("normalise"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    names.sort();
    for path in names {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut text = String::new();
        for file in ["pairs.ndjson", "raw-only.ndjson"] {
            for line in std::fs::read_to_string(path.join(file))
                .unwrap_or_default()
                .lines()
            {
                let pair: Value = serde_json::from_str(line).unwrap();
                // A text of several lines stands as a JSON string, as agents ship it; others as they were.
                let raw = match pair.get("raw").unwrap() {
                    Value::String(raw) if raw.contains(['\n', '\r']) || raw.trim().is_empty() => {
                        Value::from(raw.as_str()).to_string()
                    }
                    Value::String(raw) => raw.clone(),
                    other => other.to_string(),
                };
                text.push_str(&raw);
                text.push('\n');
                records += 1;
            }
        }
        std::fs::write(folder.join(format!("{name}.log")), &text).unwrap();
        all.push_str(&text);
        records += text.lines().count() as u64;
    }
    std::fs::write(folder.join("all.log"), all).unwrap();
    for technique in ["T1525", "T1552.005", "T1578.001", "T1580", "T1613"] {
        let to = folder.join(technique);
        std::fs::create_dir(&to).unwrap();
        for entry in std::fs::read_dir(corpora.join("attacks").join(technique)).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            records += text.lines().count() as u64;
            std::fs::write(to.join(path.file_name().unwrap()), text).unwrap();
        }
    }
    records
}

#[test]
fn a_folder_of_mixed_logs_is_read_however_it_is_cut() {
    let Some(corpora) = corpora() else { return };
    let folder = tempfile::tempdir().unwrap();
    let records = mixed(&corpora, folder.path());
    let inputs = [folder.path().to_path_buf()];
    let (summary, events) = run(&inputs, 1, 1 << 20);
    println!("{:#?}\n{:?}", summary.events, summary.problems.counts());
    let known: Vec<&str> = summary.events.keys().copied().collect();
    assert!(known.len() >= 20, "{known:?}");
    assert!(
        known
            .iter()
            .all(|name| sources().iter().any(|info| info.name == *name))
    );
    assert_eq!(summary.records + summary.refused, records);
    // Nearly all is recognised; what is not is shown.
    let unrecognised = summary
        .problems
        .counts()
        .get(&ProblemKind::Unrecognised)
        .copied()
        .unwrap_or(0);
    assert!(
        unrecognised * 100 <= records,
        "{unrecognised} of {records}: {:#?}",
        summary.problems.kept()
    );
    for (threads, chunk_bytes) in [(2, 10_000), (4, 777)] {
        let (other, other_events) = run(&inputs, threads, chunk_bytes);
        assert_eq!(other.events, summary.events);
        assert_eq!(other.problems.counts(), summary.problems.counts());
        let differing: Vec<_> = other_events
            .iter()
            .zip(&events)
            .filter(|(a, b)| a != b)
            .take(5)
            .collect();
        assert!(
            other_events == events,
            "{threads} threads, chunks of {chunk_bytes}: {differing:#?}"
        );
    }
}
