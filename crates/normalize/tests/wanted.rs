//! Documents of which only some fields are wanted, beside whole ones: what is wanted is the same in both. Documents of records
//! that follow others of their source, beside those of records that do not: they are the same. Documents of records that say the
//! same at a glance: what glances tell is the same in all of them.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test may fail loudly and says what it saw"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use neph_event::{Field, FieldType, Row, Slots};
use neph_normalize::{Document, Map, Normalizer, Outcome, Value};
use neph_testkit::generate::{self, RecordKind};

fn corpora() -> Option<PathBuf> {
    let shared = std::env::var_os("NEPH_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let corpora = shared.join("corpora");
    if !corpora.is_dir() {
        println!("skipped: there are no corpora at {}", corpora.display());
        return None;
    }
    Some(corpora)
}

/// The first records of a file, which may stand as `raw` in the objects of its lines.
fn records(file: &Path) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.is_empty()).take(MOST);
    lines
        .map(|line| {
            let object = serde_json::from_str::<serde_json::Value>(line).unwrap_or_default();
            match object.get("raw") {
                Some(serde_json::Value::String(text)) => text.as_bytes().to_vec(),
                Some(raw) => serde_json::to_vec(raw).expect("a JSON value has a text"),
                None => line.as_bytes().to_vec(),
            }
        })
        .collect()
}

/// So many records of a file are looked at: each is read once for each of its fields.
const MOST: usize = 4;

/// The paths of the values of a document, and of the objects that hold them.
fn paths(map: &Map<'_>, prefix: &str, out: &mut BTreeSet<String>) {
    for (key, value) in map.iter() {
        let path = format!("{prefix}{key}");
        let inner = |value: Value<'_>, out: &mut BTreeSet<String>| {
            if let Value::Map(inner) = value {
                paths(inner, &format!("{path}."), out);
            }
        };
        inner(value, out);
        for element in value.as_list().unwrap_or(&[]) {
            inner(*element, out);
        }
        out.insert(path);
    }
}

fn values(document: Document<'_>, path: &str) -> Vec<String> {
    let (mut slots, mut row) = (Slots::default(), Row::default());
    let slot = slots.add(Field::new(path, FieldType::Keyword));
    row.read_from(&slots, document).expect("documents can be read");
    row.values(slot).map(|value| value.to_string()).collect()
}

/// Compares every field of a record's document, wanted alone; how many were. None, where records of its source are always
/// read as a whole.
fn compare(record: &[u8], name: &str) -> usize {
    let mut whole = Normalizer::new(None).expect("no source was named");
    let mut partial = Normalizer::new(None).expect("no source was named");
    let outcome = whole.push(record);
    let [full] = outcome.documents.as_slice() else {
        return 0;
    };
    // What is filled while a record is read, where those before were of its source, is the same.
    let mut warm = Normalizer::new(None).expect("no source was named");
    warm.push(record);
    warm.push(record);
    let again = warm.push(record);
    let again = again.documents.first().expect("it became a document before");
    assert_eq!(again.document.to_string(), full.document.to_string(), "{name}");
    let mut fields = BTreeSet::new();
    paths(full.document.root(), "", &mut fields);
    let known = full.source.fields().into_iter();
    fields.extend(known.map(|field| field.trim_end_matches(".*").to_owned()));
    let mut compared = 0;
    partial.push(record);
    for field in fields {
        partial.want(Some(vec![field.clone()]));
        // Parts are read where two records before were of one source.
        partial.push(record);
        let outcome = partial.push(record);
        let made = outcome.documents.first().expect("it became a document before");
        if !made.is_partial {
            return 0;
        }
        compared += 1;
        assert_eq!(made.source.name, full.source.name, "{name}");
        assert_eq!(
            values(made.document, &field),
            values(full.document, &field),
            "{name}: `{field}` of {}",
            String::from_utf8_lossy(record)
        );
    }
    compared
}

#[test]
fn wanted_fields_are_as_in_whole_documents() {
    let Some(corpora) = corpora() else { return };
    let mut compared = BTreeMap::new();
    for kind in ["normalise", "attacks"] {
        let folders = std::fs::read_dir(corpora.join(kind)).expect("the corpus can be listed");
        for folder in folders.flatten().map(|entry| entry.path()) {
            let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            for file in files.map(|entry| entry.path()) {
                let name = file.display().to_string();
                let fields: usize = records(&file).iter().map(|record| compare(record, &name)).sum();
                *compared.entry(folder.clone()).or_insert(0) += fields;
            }
        }
    }
    for (folder, fields) in compared.iter().filter(|(_, fields)| **fields > 0) {
        println!("{}: {fields} fields compared", folder.display());
    }
    for source in ["aws_cloudtrail", "kubernetes_audit"] {
        let fields = compared.get(&corpora.join("normalise").join(source));
        assert!(fields.is_some_and(|fields| *fields > 0), "{source}");
    }
}

#[test]
fn wanted_fields_of_generated_records_are_as_in_whole_documents() {
    for kind in [RecordKind::CloudTrail, RecordKind::KubernetesAudit] {
        let mut bytes = Vec::new();
        generate::records(&mut bytes, kind, 40_000, 7).expect("memory can be written");
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let compared: usize = lines.map(|line| compare(line, "generated")).sum();
        assert!(compared > 1000, "{kind:?}: {compared}");
    }
}

/// Records like one, as nobody writes them: without a key, with another value there, with keys that come twice, are escaped or
/// stand for paths, cut off, with more behind.
fn variants(record: &str, round: usize) -> Vec<String> {
    let whole: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(record).expect("generated records are JSON");
    let key = whole.keys().nth(round % whole.len()).cloned().unwrap_or_default();
    let write = |change: &dyn Fn(&mut serde_json::Map<String, serde_json::Value>)| {
        let mut changed = whole.clone();
        change(&mut changed);
        serde_json::to_string(&changed).expect("a JSON value has a text")
    };
    let other = [
        serde_json::json!(null),
        serde_json::json!(""),
        serde_json::json!(7),
        serde_json::json!(["a", {"type": "b", "userName": "c"}]),
        serde_json::json!({"type": "Root", "userName": "c", "sessionContext.x": 1}),
    ];
    let other = other.get(round % 5).cloned().unwrap_or_default();
    let inside = record.get(1..).unwrap_or_default();
    let escaped = format!("\"\\u{:04x}", key.bytes().next().unwrap_or(b'x'));
    vec![
        record.to_owned(),
        write(&|changed| drop(changed.remove(&key))),
        write(&|changed| drop(changed.insert(key.clone(), other.clone()))),
        write(&|changed| drop(changed.insert("@timestamp".to_owned(), other.clone()))),
        write(&|changed| drop(changed.insert("event".to_owned(), serde_json::json!({"category": ["x"]})))),
        write(&|changed| drop(changed.insert("userIdentity.type".to_owned(), other.clone()))),
        write(&|changed| drop(changed.insert("digestEndTime".to_owned(), other.clone()))),
        format!("{{\"{key}\":{other},{inside}"),
        format!("{{ \"eventName\" : \"ConsoleLogin\" , {inside}"),
        record.replacen(&format!("\"{}", key.get(..1).unwrap_or_default()), &escaped, 1),
        format!("{record}}}"),
        record
            .get(..record.len() - 1 - round % 30)
            .unwrap_or_default()
            .to_owned(),
        record.replacen(":\"", ":\"\u{1}", 1),
    ]
}

/// What became of a record, and what it has in some fields.
fn outcome_of(outcome: &Outcome<'_>, fields: &[String]) -> (String, Vec<Vec<String>>) {
    let what = match outcome.documents.as_slice() {
        [made] => made.source.name.to_owned(),
        documents => format!("{} documents, {:?}", documents.len(), outcome.refused),
    };
    let documents = outcome.documents.iter();
    let values = documents.flat_map(|made| fields.iter().map(|field| values(made.document, field)));
    (what, values.collect())
}

#[test]
fn what_a_glance_tells_is_the_same_in_all_records_of_a_kind() {
    for (kind, told_fields, other_fields) in [
        (
            RecordKind::CloudTrail,
            &["event.action", "event.provider", "event.type"][..],
            &[
                "user.name",
                "event.original",
                "source.ip",
                "@timestamp",
                "cloud.region",
            ][..],
        ),
        (
            RecordKind::KubernetesAudit,
            &["event.action"],
            &["user.name", "event.original", "user_agent.original"],
        ),
    ] {
        let mut bytes = Vec::new();
        generate::records(&mut bytes, kind, 120_000, 11).expect("memory can be written");
        let text = String::from_utf8(bytes).expect("JSON is UTF-8");
        let first = text.lines().next().expect("there are records").as_bytes();
        let mut kinds: BTreeMap<Vec<u8>, (String, Vec<Vec<String>>)> = BTreeMap::new();
        let (mut again, mut texts_shown) = (0, 0);
        for (round, record) in text.lines().enumerate() {
            for variant in variants(record, round) {
                let mut normalizer = Normalizer::new(None).expect("no source was named");
                // Without others of its source before there is no glance, and none where everything is wanted.
                assert!(normalizer.glance(variant.as_bytes()).is_none());
                normalizer.push(first);
                normalizer.push(first);
                assert!(normalizer.glance(variant.as_bytes()).is_none());
                normalizer.want(Some(vec!["event.action".to_owned()]));
                let Some(glance) = normalizer.glance(variant.as_bytes()) else {
                    continue;
                };
                let fields = glance.source.fields().into_iter();
                let told: Vec<String> = fields
                    .map(|field| field.trim_end_matches(".*").to_owned())
                    .filter(|field| glance.tells(field))
                    .collect();
                for field in told_fields {
                    assert!(told.iter().any(|told| told == field), "{field}");
                }
                for field in other_fields {
                    assert!(!glance.tells(field), "{field}");
                }
                let shown: Vec<String> = glance
                    .source
                    .fields()
                    .into_iter()
                    .map(|field| field.trim_end_matches(".*").to_owned())
                    .filter(|field| glance.shows(field))
                    .collect();
                assert!(!glance.shows("event.original") && !glance.shows("event.category"));
                let said = glance.kind.to_vec();
                let mut alone = Normalizer::new(None).expect("no source was named");
                let whole = alone.push(variant.as_bytes());
                let seen = outcome_of(&whole, &told);
                if !variant.contains("\\u") && !variant.contains("\\/") {
                    for text in whole
                        .documents
                        .iter()
                        .flat_map(|made| shown.iter().flat_map(|field| values(made.document, field)))
                    {
                        texts_shown += 1;
                        let quoted = serde_json::to_string(&text).expect("a text is JSON");
                        assert!(variant.contains(quoted.trim_matches('"')), "{text} in {variant}");
                    }
                }
                if let Some(known) = kinds.get(&said) {
                    again += 1;
                    assert_eq!(known, &seen, "{variant}");
                }
                kinds.insert(said, seen);
            }
        }
        assert!(
            !kinds.is_empty() && (again > 100 || kind != RecordKind::CloudTrail),
            "{again}"
        );
        assert!(texts_shown > 1_000, "{texts_shown}");
    }
}
