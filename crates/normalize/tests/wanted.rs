//! Documents of which only some fields are wanted, beside whole ones: what is wanted is the same in both. Documents of records
//! that follow others of their source, beside those of records that do not: they are the same.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test may fail loudly and says what it saw"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use neph_event::{Field, FieldType, Row, Slots};
use neph_normalize::{Document, Map, Normalizer, Value};
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
