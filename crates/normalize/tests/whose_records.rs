//! Whose a record is: over all raw records of the corpora, and no source claims what is another's.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "clippy exempts test functions, but not the functions that they share"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use neph_normalize::{Arena, Clock, Confidence, Normalizer, Record, parse, sources};
use serde_json::Value;

/// The corpora lie beside the checkout, or where `NEPH_SHARED` says; without them the tests say that they were skipped.
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

fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Folder and raw record of every record of the corpus.
fn raw_records(corpora: &Path) -> Vec<(String, Value)> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(corpora.join("normalise"))
        .expect("the corpus can be listed")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    let mut records = Vec::new();
    for folder in folders {
        let name = folder
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or("")
            .to_owned();
        for file in ["pairs.ndjson", "raw-only.ndjson"] {
            for line in lines(&folder.join(file)) {
                let mut pair: Value = serde_json::from_str(&line).expect("a pair is JSON");
                records.push((name.clone(), pair["raw"].take()));
            }
        }
    }
    records
}

/// What the records of a folder may be recognised as beside a source of the folder's name: its records are the same as
/// those of other folders (the lines of an audit log are read in three ways, the Windows event log holds all channels), or
/// Beats have made finished documents of them.
const ALSO: &[(&str, &[&str])] = &[
    ("auditd_libaudit", &["auditd", "auditd_log"]),
    ("auditd_log", &["auditd"]),
    ("auditd_manager", &["ecs"]),
    ("azure_activitylogs", &["azure_signinlogs"]),
    (
        "azure_auditlogs",
        &[
            "azure_signinlogs",
            "azure_graphactivity",
            "azure_identityprotection",
        ],
    ),
    ("gke", &["gcp_audit", "kubernetes_audit"]),
    ("kubernetes_audit", &["gcp_audit"]),
    ("linux_auth", &["linux_syslog"]),
    ("linux_syslog", &["linux_auth"]),
    ("windows_azure", &["windows_"]),
    ("windows_forwarded", &["windows_"]),
    ("windows_powershell", &["windows_"]),
    ("windows_security", &["windows_"]),
    ("windows_sysmon", &["windows_", "ecs"]),
    ("windows_winlogbeat", &["windows_", "ecs"]),
];

/// Records that nothing tells apart from any other text: a damaged line, lines that a program in a container prints as it
/// likes, and a document with nothing of the log that it came from. They are read where the source is forced.
const UNCLEAR: &[(&str, usize)] = &[
    ("auditd_log", 1),
    ("kubernetes_container_logs", 2),
    ("linux_auth", 1),
];

fn is_named(source: &str, folder: &str) -> bool {
    sources()
        .iter()
        .any(|info| info.name == source && (info.name == folder || info.aliases.contains(&folder)))
}

#[test]
fn folders_of_the_corpus_are_names_of_sources() {
    let Some(corpora) = corpora() else { return };
    let folders: BTreeSet<String> = raw_records(&corpora)
        .into_iter()
        .map(|(folder, _)| folder)
        .collect();
    let unknown: Vec<&String> = folders
        .iter()
        .filter(|folder| Normalizer::new(Some(folder)).is_err())
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn records_are_recognised_as_what_they_are() {
    let Some(corpora) = corpora() else { return };
    let mut found: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut unclear: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut normalizer = Normalizer::new(None).expect("no source was named");
    // All in one stream, as in a file of many sources: what came before decides nothing.
    for (folder, raw) in raw_records(&corpora) {
        let bytes = serde_json::to_vec(&raw).expect("a JSON value has a text");
        let outcome = normalizer.push(&bytes);
        let also = ALSO
            .iter()
            .find(|(name, _)| *name == folder)
            .map_or(&[][..], |(_, also)| *also);
        let counts = found.entry(folder.clone()).or_default();
        for made in &outcome.documents {
            let name = made.source.name;
            *counts.entry(name.to_owned()).or_default() += 1;
            let is_right = is_named(name, &folder) || also.iter().any(|prefix| name.starts_with(prefix));
            if !is_right {
                wrong.push(format!("{folder}: {name} claims {}", shortened(&raw)));
            }
        }
        for refusal in &outcome.refused {
            *counts.entry(format!("({refusal})")).or_default() += 1;
            if *refusal == neph_normalize::Refusal::Unrecognised {
                unclear.entry(folder.clone()).or_default().push(shortened(&raw));
            }
        }
    }
    for (folder, records) in unclear {
        let known = UNCLEAR
            .iter()
            .find(|(name, _)| *name == folder)
            .map_or(0, |(_, count)| *count);
        if records.len() > known {
            wrong.push(format!("{folder}: nobody claims {records:#?}"));
        }
    }
    for (folder, counts) in &found {
        println!("{folder}: {counts:?}");
    }
    assert!(wrong.is_empty(), "{} records\n{}", wrong.len(), wrong.join("\n"));
}

fn shortened(raw: &Value) -> String {
    raw.to_string().chars().take(300).collect()
}

/// A source that is certain must be the only one, or what a record is would depend on the record before it, whose source is
/// asked first.
#[test]
fn at_most_one_source_is_certain() {
    let Some(corpora) = corpora() else { return };
    let mut texts: Vec<String> = Vec::new();
    for (_, raw) in raw_records(&corpora) {
        texts.push(raw.as_str().map_or_else(|| raw.to_string(), str::to_owned));
    }
    for line in lines(&corpora.join("attacks/index.jsonl")) {
        let case: Value = serde_json::from_str(&line).expect("a case is JSON");
        let file = case["file"].as_str().expect("a case has a file");
        for line in lines(&corpora.join("attacks").join(file)) {
            let record: Value = serde_json::from_str(&line).expect("a record is JSON");
            let message = record["message"]
                .as_str()
                .filter(|_| record.as_object().is_some_and(|object| object.len() == 1));
            texts.push(message.map_or(line.clone(), str::to_owned));
        }
    }
    let mut shared: BTreeMap<Vec<&str>, (usize, String)> = BTreeMap::new();
    for text in &texts {
        let (arena, clock) = (Arena::default(), Clock::default());
        let object = parse(&arena, text).ok().and_then(|value| value.as_map());
        let record = Record {
            arena: &arena,
            text,
            object,
            agent: None,
            clock: &clock,
        };
        let certain: Vec<&str> = sources()
            .iter()
            .filter(|info| (info.detect)(&record) == Confidence::Certain)
            .map(|info| info.name)
            .collect();
        if certain.len() > 1 {
            let entry = shared
                .entry(certain)
                .or_insert_with(|| (0, text.chars().take(200).collect()));
            entry.0 += 1;
        }
    }
    println!("{} records", texts.len());
    assert!(shared.is_empty(), "{shared:#?}");
}
