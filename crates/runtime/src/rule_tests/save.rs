//! From an alert to a test that gives it again: its events, raw where the raw record is known to become the same document,
//! and what is expected.

use std::path::{Component, Path, PathBuf};

use neph_event::{Instant, parse_date};
use neph_normalize::{Clock, Normalizer};
use neph_rules::alert::Alert;
use neph_rules::rule_tests::{Setting, parse_test_file};
use neph_rules::{Condition, Rule, is_builtin};
use serde_json::Value;

use super::TestRunner;
use super::judge::collect;

/// What an alert is about; the first few that it has are expected of it.
const ENTITIES: [&str; 9] = [
    "host.name",
    "host.id",
    "user.name",
    "container.id",
    "cloud.account.id",
    "orchestrator.cluster.name",
    "source.ip",
    "process.entity_id",
    "event.action",
];

/// So many entities are expected.
const MOST_ENTITIES: usize = 3;

/// A test made of alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedTest {
    /// The text of the test file.
    pub text: String,
    /// What keeps it from passing as it is; nothing if it passes.
    pub failures: Vec<String>,
}

/// Makes the test file that will stand at `path`, with a case for the alert. `setting` is what the alert's run was given.
/// `None` for an alert that stands for many and holds none of their events.
pub fn save(alert: &Alert, rule: &Rule, setting: &Setting, path: &Path) -> Option<SavedTest> {
    let events = events_of(alert);
    if events.is_empty() {
        return None;
    }
    let of_file = Setting {
        rules: vec![rule.origin.path.clone()],
        ..setting.clone()
    };
    // A threshold's alert holds examples of what was counted; so many more of the last one make up the number.
    let padding = match &rule.condition {
        Condition::Threshold(threshold) => threshold.value.saturating_sub(events.len() as u64),
        _ => 0,
    };
    let mut best: Option<SavedTest> = None;
    // A rule may need others, which lie elsewhere.
    for (setting, padding) in [(&of_file, 0), (&of_file, padding), (setting, padding)] {
        let text = text_of(alert, &events, setting, path, padding);
        let file = parse_test_file(path, text.clone());
        let mut failures: Vec<String> = file
            .diagnostics
            .iter()
            .map(|found| found.message.clone())
            .collect();
        for report in TestRunner::default().run(&file, |_| true) {
            failures.extend(report.failures.into_iter().map(|failure| failure.message));
        }
        let saved = SavedTest { text, failures };
        if saved.failures.is_empty() {
            return Some(saved);
        }
        best.get_or_insert(saved);
    }
    best
}

/// A file name for an alert's test, of its rule's name and its id.
pub fn file_name(alert: &Alert) -> String {
    let mut name: String = alert
        .rule_name
        .chars()
        .map(|char| {
            if char.is_ascii_alphanumeric() {
                char.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(60)
        .collect();
    while name.contains("--") {
        name = name.replace("--", "-");
    }
    let id: String = alert.id.chars().take(8).collect();
    format!("{}-{id}.test.yaml", name.trim_matches('-'))
}

/// The documents that an alert holds, in the order of its steps, each once.
fn events_of(alert: &Alert) -> Vec<Value> {
    let steps = alert
        .document
        .get("neph")
        .and_then(|neph| neph.pointer("/alert/steps"))
        .and_then(Value::as_array);
    let documents = steps
        .into_iter()
        .flatten()
        .filter_map(|step| step.get("events")?.as_array())
        .flatten()
        .filter_map(|event| event.get("document"));
    let mut events: Vec<Value> = Vec::new();
    for document in documents {
        if !events.contains(document) {
            events.push(document.clone());
        }
    }
    events
}

fn text_of(alert: &Alert, events: &[Value], setting: &Setting, path: &Path, padding: u64) -> String {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut text = String::from("# Made of an alert; docs/rule-tests.md describes the form.\n");
    for (key, paths) in [
        ("rules", &setting.rules),
        ("overlays", &setting.overlays),
        ("lists", &setting.lists),
        ("mappings", &setting.mappings),
        ("indicators", &setting.indicators),
    ] {
        if !paths.is_empty() {
            let paths: Vec<String> = paths.iter().map(|to| quoted(&relative(folder, to))).collect();
            text.push_str(&format!("{key}: [{}]\n", paths.join(", ")));
        }
    }
    text.push_str(&format!("rule: {}\n", quoted(&alert.rule_id)));
    if let Some(first) = alert.first {
        text.push_str(&format!("base: {}\n", quoted(&first.to_string())));
    }
    text.push_str(&format!(
        "cases:\n  - name: {}\n    events:\n",
        quoted(&alert.reason)
    ));
    for (number, document) in events.iter().enumerate() {
        match raw_of(document) {
            Some(raw) => text.push_str(&format!("      - raw: {}\n", quoted(raw))),
            None => {
                text.push_str("      - ecs:\n");
                block(document, 10, &mut text);
            }
        }
        if padding > 0 && number + 1 == events.len() {
            let at = time_of(document).map_or(String::new(), |time| {
                format!("        at: {}\n", quoted(&time.to_string()))
            });
            text.push_str(&format!(
                "{at}        repeat: {}\n        every: 1ms\n",
                padding + 1
            ));
        }
    }
    text.push_str(&format!(
        "    expect:\n      - rule: {}\n",
        quoted(&alert.rule_id)
    ));
    let document = alert.document.clone().into_value();
    let mut fields = Vec::new();
    for field in ENTITIES {
        let mut values = Vec::new();
        collect(&document, field, &mut values);
        if let [value] = values.as_slice() {
            fields.push(format!("          {field}: {}\n", quoted(value)));
        }
    }
    if !fields.is_empty() {
        text.push_str("        fields:\n");
        fields
            .into_iter()
            .take(MOST_ENTITIES)
            .for_each(|field| text.push_str(&field));
    }
    text
}

fn time_of(document: &Value) -> Option<Instant> {
    parse_date(document.get("@timestamp")?.as_str()?, &[])
}

/// The raw record of a document, if it is known and becomes this document and no other.
fn raw_of(document: &Value) -> Option<&str> {
    let raw = document.pointer("/event/original")?.as_str()?;
    let clock = clock_of(time_of(document)?);
    let mut normalizer = Normalizer::new(None).ok()?.with_clock(clock);
    let outcome = normalizer.push(raw.as_bytes());
    let [made] = outcome.documents.as_slice() else {
        return None;
    };
    let again: Value = serde_json::from_slice(&made.document.to_json()).ok()?;
    (outcome.refused.is_empty() && again == *document).then_some(raw)
}

/// The way from a folder to a file.
fn relative(folder: &Path, to: &Path) -> String {
    // What the binary carries has no place on disk that a way could lead to.
    if is_builtin(to) {
        return to.display().to_string();
    }
    let whole = |path: &Path| {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
    };
    let (folder, to) = (whole(folder), whole(to));
    let shared = folder
        .components()
        .zip(to.components())
        .take_while(|(a, b)| a == b)
        .count();
    let mut way = PathBuf::new();
    folder
        .components()
        .skip(shared)
        .for_each(|_| way.push(Component::ParentDir));
    way.extend(to.components().skip(shared));
    way.display().to_string()
}

/// An object in block style. Documents are bounded in depth by whoever read them.
fn block(value: &Value, indent: usize, out: &mut String) {
    let Value::Object(entries) = value else { return };
    for (key, value) in entries {
        out.push_str(&" ".repeat(indent));
        out.push_str(&quoted(key));
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push_str(":\n");
                block(value, indent + 2, out);
            }
            Value::String(text) => out.push_str(&format!(": {}\n", quoted(text))),
            other => out.push_str(&format!(": {}\n", printable(&other.to_string()))),
        }
    }
}

/// A text in the quotes that JSON and YAML share.
fn quoted(text: &str) -> String {
    let is_plain = !text.is_empty()
        && text.starts_with(|char: char| char.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
        && !matches!(
            text,
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if is_plain {
        text.to_owned()
    } else {
        printable(&Value::from(text).to_string())
    }
}

/// JSON text with what YAML allows only escaped.
fn printable(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for char in json.chars() {
        match char {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(char)));
            }
            char => out.push(char),
        }
    }
    out
}

/// The clock by which raw records of a time are read.
pub(super) fn clock_of(time: Instant) -> Clock {
    const DAY: i128 = 86_400_000_000_000;
    Clock::default().with_now(time.saturating_add_nanos(DAY))
}
