//! Agreement with the documents that Elastic's integrations make of the same records, field by field.
//!
//! Reads `corpora/normalise` beside the repository (or under `NEPH_SHARED`); says so where it is not there.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail loudly, and its table is for people"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use neph_event::Instant;
use neph_normalize::{Clock, Joiner, Normalizer};
use serde_json::Value;

/// The least share of expected fields that must be equal, in percent.
const FLOORS: &[(&str, f64)] = &[
    ("aws_cloudtrail", 99.5),
    ("gcp_audit", 99.5),
    ("kubernetes_audit", 99.5),
    ("azure_activitylogs", 99.5),
    ("aws_guardduty", 99.0),
    ("aws_vpcflow", 97.0),
    ("azure_signinlogs", 99.0),
    ("azure_auditlogs", 99.0),
    ("azure_platformlogs", 99.0),
    ("azure_graphactivity", 95.0),
    ("entraid_graphapi", 0.0),
    ("gke", 0.0),
    ("auditd_manager", 99.5),
    ("sysmon_linux", 99.0),
    ("linux_auth", 99.0),
    ("linux_syslog", 99.0),
    ("auditd_log", 99.0),
    ("auditd_libaudit", 99.0),
    ("windows_sysmon", 99.5),
    ("windows_security", 99.5),
    ("windows_powershell", 99.5),
    ("windows_powershell_operational", 99.5),
    ("windows_forwarded", 99.0),
    ("windows_winlogbeat", 99.0),
    ("windows_azure", 99.0),
];

/// What is not compared: it depends on databases or clocks, or the test set-up of the integration adds it.
const MASKED: &[&str] = &[
    "event.created",
    "event.ingested",
    "event.original",
    "source.geo",
    "source.as",
    "client.geo",
    "destination.geo",
    "geo",
    "user_agent.name",
    "user_agent.version",
    "user_agent.os",
    "user_agent.device",
    "tags",
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
    println!(
        "skipped: there is no corpora/normalise under {}",
        shared.display()
    );
    None
}

fn lines(path: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a line of the corpus is JSON"))
        .collect()
}

/// Leaves by dotted path; arrays are leaves.
fn flatten(prefix: &str, value: &Value, out: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let path = if prefix.is_empty() {
                    key.clone()
                } else {
                    format!("{prefix}.{key}")
                };
                flatten(&path, value, out);
            }
        }
        leaf => {
            out.insert(prefix.to_owned(), leaf.clone());
        }
    }
}

fn masked(path: &str) -> bool {
    MASKED.iter().any(|mask| {
        path.strip_prefix(mask)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

#[derive(Default)]
struct Agreement {
    pairs: usize,
    perfect: usize,
    fields: usize,
    equal: usize,
    /// Records that recognition gives to another source (a log entry of Google Cloud is Kubernetes audit, too).
    elsewhere: usize,
    /// Differing field → how often, and an example of what was expected and what came.
    differences: BTreeMap<String, (usize, String)>,
}

impl Agreement {
    fn percent(&self) -> f64 {
        100.0 * self.equal as f64 / self.fields.max(1) as f64
    }

    fn differ(&mut self, path: &str, example: impl FnOnce() -> String) {
        self.differences
            .entry(path.to_owned())
            .or_insert_with(|| (0, example()))
            .0 += 1;
    }

    fn add(&mut self, case: &str, expected: &Value, actual: &[Value]) {
        self.pairs += 1;
        let before = self.equal + self.fields;
        if expected.is_null() {
            self.fields += 1;
            if actual.is_empty() {
                self.equal += 1;
            } else {
                self.differ("(dropped)", || case.to_owned());
            }
            return;
        }
        let (mut wanted, mut got) = (BTreeMap::new(), BTreeMap::new());
        flatten("", expected, &mut wanted);
        actual.iter().for_each(|document| flatten("", document, &mut got));
        let mut all = true;
        for (path, value) in wanted.iter().filter(|(path, _)| !masked(path)) {
            self.fields += 1;
            if got.get(path) == Some(value) {
                self.equal += 1;
            } else {
                all = false;
                self.differ(path, || {
                    let short = |value: Option<&Value>| value.map_or("-".into(), ToString::to_string);
                    let cut = |text: String| text.chars().take(160).collect::<String>();
                    format!(
                        "{case}: wanted {} got {}",
                        cut(short(Some(value))),
                        cut(short(got.get(path)))
                    )
                });
            }
        }
        assert!(self.equal + self.fields > before, "{case}: nothing was compared");
        self.perfect += usize::from(all);
    }
}

fn agreement_of(source: &str, folder: &std::path::Path, force: bool) -> Agreement {
    let mut agreement = Agreement::default();
    for pair in lines(&folder.join("pairs.ndjson")) {
        // A normaliser of its own for each pair: they come from different streams.
        let mut normalizer = Normalizer::new(force.then_some(source)).expect("the folder names a source");
        let mut raw = pair["raw"].clone();
        if source.starts_with("linux_") {
            // The header of syslog has neither year nor zone: the pipeline took the year in which it ran, and the agent
            // told it the zone.
            let ran = Instant::from_millis(1_735_689_599_000);
            normalizer = normalizer.with_clock(Clock::default().with_now(ran));
            let zone = &pair["expected"]["event"]["timezone"];
            if raw.is_string() && zone.is_string() {
                raw = serde_json::json!({"message": raw, "event": {"timezone": zone}});
            }
        }
        let raw = serde_json::to_vec(&raw).expect("a JSON value has a text");
        let outcome = normalizer.push(&raw);
        let ours = outcome.documents.iter().all(|made| made.source.name == source);
        if !force && !(ours && (!outcome.documents.is_empty() || pair["expected"].is_null())) {
            agreement.elsewhere += 1;
            continue;
        }
        let documents: Vec<Value> = outcome
            .documents
            .iter()
            .map(|made| serde_json::from_slice(&made.document.to_json()).expect("documents are JSON"))
            .collect();
        let case = format!("{}#{}", pair["case"].as_str().unwrap_or(""), pair["i"]);
        agreement.add(&case, &pair["expected"], &documents);
    }
    agreement
}

#[test]
fn documents_agree_with_those_of_the_integrations() {
    let Some(corpora) = corpora() else { return };
    let mut failures = Vec::new();
    println!(
        "{:<34}{:>6}{:>9}{:>8}{:>8}{:>9}",
        "source", "pairs", "perfect", "fields", "equal", "percent"
    );
    for (source, floor) in FLOORS {
        for force in [true, false] {
            let agreement = agreement_of(source, &corpora.join("normalise").join(source), force);
            let label = format!("{source}{}", if force { "" } else { " (recognised)" });
            println!(
                "{label:<34}{:>6}{:>10}{:>9}{:>8}{:>8}{:>8.2}%",
                agreement.pairs,
                agreement.elsewhere,
                agreement.perfect,
                agreement.fields,
                agreement.equal,
                agreement.percent()
            );
            if force {
                let mut differences: Vec<_> = agreement.differences.iter().collect();
                differences.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
                for (path, (count, example)) in differences.into_iter().take(12) {
                    println!("    {count:>4} × {path}: {example}");
                }
            }
            if agreement.fields > 0 && agreement.percent() < *floor {
                failures.push(format!(
                    "{label}: {:.2} % is below {floor} %",
                    agreement.percent()
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn records_without_expectation_are_read_and_recognised() {
    let Some(corpora) = corpora() else { return };
    let mut failures = Vec::new();
    for (source, _) in FLOORS {
        let mut normalizer = Normalizer::new(None).expect("no source was named");
        for line in lines(&corpora.join("normalise").join(source).join("raw-only.ndjson")) {
            let raw = serde_json::to_vec(&line["raw"]).expect("a JSON value has a text");
            let outcome = normalizer.push(&raw);
            // The folder of the Windows security log holds events of all channels, and some records of Beats are ECS
            // documents already.
            let family = source.split('_').next().unwrap_or(source);
            let recognised = outcome
                .documents
                .iter()
                .any(|made| made.source.name.starts_with(family) || made.source.name == "ecs");
            if !recognised {
                failures.push(format!("{source}: {} gives {:?}", line["case"], outcome.refused));
            }
        }
        println!("{source}: {:?}", normalizer.counts());
    }
    // The folders of clouds hold nothing that their source does not read when it is asked for by name.
    for source in CLOUDS {
        for line in lines(&corpora.join("normalise").join(source).join("raw-only.ndjson")) {
            let mut normalizer = Normalizer::new(Some(source)).expect("the folder names a source");
            let raw = serde_json::to_vec(&line["raw"]).expect("a JSON value has a text");
            let outcome = normalizer.push(&raw);
            if outcome.documents.len() != 1 {
                failures.push(format!(
                    "{} as {source} gives {:?}",
                    line["case"], outcome.refused
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Folders of clouds with records without expectation.
const CLOUDS: &[&str] = &[
    "aws_cloudtrail",
    "aws_guardduty",
    "aws_vpcflow",
    "azure_activitylogs",
    "azure_auditlogs",
    "entraid_graphapi",
    "gcp_audit",
    "gke",
    "kubernetes_audit",
];

/// What the agent looked up on the host by name or id; and the path of a file, which we make absolute.
const LOOKED_UP: &[&str] = &[
    "auditd.messages",
    "auditd.summary.actor",
    "auditd.user.audit.name",
    "auditd.user.filesystem.group.name",
    "auditd.user.filesystem.name",
    "auditd.user.saved.group.name",
    "auditd.user.saved.name",
    "auditd.user.new_auid.name",
    "auditd.user.old_auid.name",
    "file.group",
    "file.owner",
    "file.path",
    "group.id",
    "group.name",
    "related.user",
    "user.effective.group.name",
    "user.effective.id",
    "user.effective.name",
    "user.group.name",
    "user.name",
    "user.target.id",
    "user.target.name",
];

#[test]
fn raw_audit_records_agree_with_what_auditbeat_made_of_them() {
    let Some(corpora) = corpora() else { return };
    let mut agreement = Agreement::default();
    for pair in lines(&corpora.join("normalise/auditd_manager/pairs.ndjson")) {
        let Some(records) = pair["raw"]["event"]["original"].as_array() else {
            continue;
        };
        let records: Vec<&str> = records.iter().filter_map(Value::as_str).collect();
        let mut normalizer = Normalizer::new(None).expect("no source was named");
        let text = records.join("\n");
        let outcome = normalizer.push(text.as_bytes());
        let documents: Vec<Value> = outcome
            .documents
            .iter()
            .inspect(|made| assert_eq!(made.source.name, "auditd"))
            .map(|made| serde_json::from_slice(&made.document.to_json()).expect("documents are JSON"))
            .collect();
        let mut expected = pair["expected"].clone();
        for path in LOOKED_UP {
            let pointer = format!("/{}", path.replace('.', "/"));
            let (parent, key) = pointer.rsplit_once('/').expect("a pointer has a slash");
            if let Some(parent) = expected.pointer_mut(parent).and_then(Value::as_object_mut) {
                parent.remove(key);
            }
        }
        let case = format!("{}#{}", pair["case"].as_str().unwrap_or(""), pair["i"]);
        agreement.add(&case, &expected, &documents);
    }
    println!("{} records: {:.2} %", agreement.pairs, agreement.percent());
    for (path, (count, example)) in &agreement.differences {
        println!("    {count:>4} × {path}: {example}");
    }
    assert!(agreement.pairs == 0 || agreement.percent() > 99.0);
}

/// The wrappings and the cases that no source here reads yet are named; everything else must be recognised.
#[test]
fn records_of_attacks_are_recognised() {
    let Some(corpora) = corpora() else { return };
    let mut by_vendor: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in std::fs::read_dir(corpora.join("attacks"))
        .expect("the corpus can be listed")
        .flatten()
    {
        if let Ok(entries) = std::fs::read_dir(folder.path()) {
            files.extend(entries.flatten().map(|entry| entry.path()));
        }
    }
    files.sort();
    let mut unexpected = Vec::new();
    for file in files {
        let name = file
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or("")
            .to_owned();
        let mut normalizer = Normalizer::new(None).expect("no source was named");
        let mut joiner = Joiner::new(None);
        for line in std::fs::read_to_string(&file).unwrap_or_default().lines() {
            if !joiner.push(line.as_bytes(), ()) {
                normalizer.push(line.as_bytes());
            }
            while let Some(joined) = joiner.next_joined() {
                normalizer.push(&joined.record);
            }
        }
        joiner.finish();
        while let Some(joined) = joiner.next_joined() {
            normalizer.push(&joined.record);
        }
        let counts = normalizer.counts();
        let vendor = by_vendor
            .entry(name.split('_').next().unwrap_or("").to_owned())
            .or_default();
        for (source, count) in &counts.documents {
            *vendor.entry((*source).to_owned()).or_default() += usize::try_from(*count).unwrap_or(0);
        }
        for (reason, count) in &counts.refused {
            *vendor.entry(reason.clone()).or_default() += usize::try_from(*count).unwrap_or(0);
            if !PENDING.iter().any(|prefix| name.starts_with(prefix)) {
                unexpected.push(format!("{name}: {count} × {reason}"));
            }
        }
    }
    for (vendor, counts) in &by_vendor {
        println!("{vendor}: {counts:?}");
    }
    assert!(unexpected.is_empty(), "{unexpected:#?}");
}

/// Beginnings of the names of attack files whose source has no module yet.
const PENDING: &[&str] = &["synth_vk_"];
