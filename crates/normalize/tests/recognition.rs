//! Sources of containers, sensors, web servers and exchange formats know their own records, and leave those of others.
//!
//! Reads the corpora beside the repository (or under `NEPH_SHARED`); says so where they are not there.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test may fail loudly, and its table is for people"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use neph_normalize::{Joiner, Normalizer};
use serde_json::Value;

#[path = "seeds/containers.rs"]
mod containers;

/// The sources that are asked about here.
const OURS: &[&str] = &[
    "docker_events",
    "docker_daemon",
    "docker_authz",
    "docker_registry",
    "containerd_events",
    "podman_events",
    "podman_api",
    "kubernetes_container_logs",
    "falco",
    "tetragon",
    "nginx_access",
    "apache_access",
    "aws_elb",
    "aws_cloudfront",
    "aws_s3access",
    "aws_waf",
    "traefik_access",
    "envoy_access",
    "iis_access",
    "squid_access",
    "ocsf",
    "otlp",
];

/// Beginnings of the names of attack files, and the source of every record in them.
const ATTACKS: &[(&str, &str)] = &[
    ("docker_events_", "docker_events"),
    ("dockerd_log_", "docker_daemon"),
    ("podman_events_", "podman_events"),
    ("podman_api_", "podman_api"),
];

fn corpora() -> Option<PathBuf> {
    let shared = std::env::var_os("NEPH_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let corpora = shared.join("corpora");
    if corpora.join("normalise").is_dir() {
        return Some(corpora);
    }
    println!("skipped: there are no corpora under {}", shared.display());
    None
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the corpus can be listed")
        .flatten()
        .flat_map(|folder| std::fs::read_dir(folder.path()).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

/// The documents of the lines of a file, joined as a reader joins them: their sources, and themselves.
fn documents(file: &Path) -> (Vec<(&'static str, Value)>, BTreeMap<String, u64>) {
    let text = std::fs::read_to_string(file).expect("a file of the corpus can be read");
    let mut joiner: Joiner<()> = Joiner::new(None);
    let mut records: Vec<Vec<u8>> = Vec::new();
    for line in text.lines() {
        if !joiner.push(line.as_bytes(), ()) {
            records.push(line.as_bytes().to_vec());
        }
        records.extend(std::iter::from_fn(|| joiner.next_joined()).map(|joined| joined.record));
    }
    joiner.finish();
    records.extend(std::iter::from_fn(|| joiner.next_joined()).map(|joined| joined.record));
    let mut normalizer = Normalizer::new(None).expect("no source was named");
    let mut out = Vec::new();
    for record in records {
        for made in normalizer.push(&record).documents {
            let document = serde_json::from_slice(&made.document.to_json()).expect("documents are JSON");
            out.push((made.source.name, document));
        }
    }
    (out, normalizer.counts().refused.clone())
}

fn name(file: &Path) -> &str {
    file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("")
}

#[test]
fn records_of_container_engines_are_recognised_as_theirs() {
    let Some(corpora) = corpora() else { return };
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for file in files(&corpora.join("attacks")) {
        let Some((_, source)) = ATTACKS.iter().find(|(prefix, _)| name(&file).starts_with(prefix)) else {
            continue;
        };
        let (documents, refused) = documents(&file);
        assert!(refused.is_empty(), "{}: {refused:?}", file.display());
        for (found, document) in &documents {
            assert_eq!(found, source, "{}: {document}", file.display());
        }
        *seen.entry(*source).or_default() += documents.len();
    }
    println!("{seen:?}");
    assert_eq!(seen.len(), ATTACKS.len(), "{seen:?}");
}

#[test]
fn bodies_come_to_the_calls_that_sent_them() {
    let Some(corpora) = corpora() else { return };
    let mut calls: BTreeMap<bool, usize> = BTreeMap::new();
    for file in files(&corpora.join("attacks")) {
        if !name(&file).starts_with("dockerd_log_") {
            continue;
        }
        for (_, document) in documents(&file).0 {
            let message = document.pointer("/message").and_then(Value::as_str).unwrap_or("");
            assert!(
                !message.starts_with("form data"),
                "a body without its call in {}: {message}",
                file.display()
            );
            if document.pointer("/event/action").and_then(Value::as_str) == Some("ContainerExec") {
                let with_command = document.pointer("/process/command_line").is_some();
                *calls.entry(with_command).or_default() += 1;
            }
        }
    }
    println!("calls of exec by whether their command is known: {calls:?}");
    assert_eq!(calls.get(&false), None);
    assert!(calls.get(&true).is_some_and(|count| *count > 5));
}

#[test]
fn records_of_others_are_left_to_them() {
    let Some(corpora) = corpora() else { return };
    let mut taken = Vec::new();
    let mut asked = 0;
    let pairs = files(&corpora.join("normalise"));
    for file in pairs
        .iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "ndjson"))
    {
        let folder = file
            .parent()
            .and_then(Path::file_name)
            .and_then(|name| name.to_str())
            .unwrap_or("");
        if OURS.contains(&folder) {
            continue;
        }
        for line in std::fs::read_to_string(file)
            .expect("a file of the corpus can be read")
            .lines()
        {
            let pair: Value = serde_json::from_str(line).expect("a line of the corpus is JSON");
            let raw = serde_json::to_vec(&pair["raw"]).expect("a JSON value has a text");
            // A normaliser of its own: what came before must not decide.
            let mut normalizer = Normalizer::new(None).expect("no source was named");
            asked += 1;
            for made in normalizer.push(&raw).documents {
                if OURS.contains(&made.source.name) {
                    taken.push(format!(
                        "{folder}: {} is taken by {}",
                        pair["case"], made.source.name
                    ));
                }
            }
        }
    }
    for file in files(&corpora.join("attacks")) {
        if ATTACKS.iter().any(|(prefix, _)| name(&file).starts_with(prefix)) {
            continue;
        }
        for (source, _) in documents(&file).0 {
            asked += 1;
            if OURS.contains(&source) {
                taken.push(format!("{} is taken by {source}", file.display()));
            }
        }
    }
    println!("{asked} records of other sources, {} taken", taken.len());
    assert!(asked > 1000);
    assert!(taken.is_empty(), "{taken:#?}");
}

#[test]
fn each_source_is_the_one_that_knows_its_record() {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in containers::seeds() {
        let raw = serde_json::to_vec(&seed).expect("a value has a text");
        let mut normalizer = Normalizer::new(None).expect("no source was named");
        let outcome = normalizer.push(&raw);
        for made in &outcome.documents {
            assert!(OURS.contains(&made.source.name), "{seed}: {}", made.source.name);
            *known.entry(made.source.name).or_default() += 1;
        }
        assert!(!outcome.documents.is_empty(), "{seed}: {:?}", outcome.refused);
    }
    let unknown: Vec<&&str> = OURS.iter().filter(|name| !known.contains_key(**name)).collect();
    assert!(unknown.is_empty(), "no record of {unknown:?}");
}

/// The paths of what is in a document; arrays are leaves.
fn leaves(prefix: &str, value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let path = [prefix, key].join(if prefix.is_empty() { "" } else { "." });
                leaves(&path, value, out);
            }
        }
        _ => out.push(prefix.to_owned()),
    }
}

#[test]
fn every_field_is_in_the_tables_of_its_source() {
    let mut missing: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for seed in containers::seeds() {
        let raw = serde_json::to_vec(&seed).expect("a value has a text");
        let mut normalizer = Normalizer::new(None).expect("no source was named");
        for made in normalizer.push(&raw).documents {
            let fields = made.source.fields();
            let known = |path: &str| {
                fields.iter().any(|field| {
                    let field = field.strip_suffix(".*").unwrap_or(field);
                    path.strip_prefix(field)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                })
            };
            let mut paths = Vec::new();
            let document = serde_json::from_slice(&made.document.to_json()).expect("documents are JSON");
            leaves("", &document, &mut paths);
            // What an agent says of a line stays as it says it.
            paths.retain(|path| !known(path) && !path.starts_with("kubernetes.") && path != "event.created");
            if !paths.is_empty() {
                missing.entry(made.source.name).or_default().extend(paths);
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
