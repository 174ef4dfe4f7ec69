use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{MappingError, Schema};
use crate::{DateFormat, Value};

fn mapping(json: &str) -> Schema {
    Schema::from_mapping(json).unwrap()
}

fn problems(json: &str) -> Vec<String> {
    match Schema::from_mapping(json) {
        Err(MappingError::Shape(problems)) => problems,
        other => panic!("{other:?}"),
    }
}

/// What tells fields apart: type word, kind, path, exactness.
fn summary(schema: &Schema, name: &str) -> String {
    let def = schema.get(name).unwrap();
    format!(
        "{} {:?} {} {:?}",
        def.type_name, def.field.kind, def.field.path, def.exactness
    )
}

#[test]
fn text_is_read_through_its_one_keyword_subfield() {
    let schema = mapping(
        r#"{"properties": {
            "none": {"type": "text"},
            "one": {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256, "null_value": "-"}}},
            "wild": {"type": "match_only_text", "fields": {"w": {"type": "wildcard"}, "t": {"type": "text"}}},
            "two": {"type": "text", "fields": {"a": {"type": "keyword"}, "b": {"type": "keyword"}}},
            "lower": {"type": "text", "fields": {"a": {"type": "keyword", "normalizer": "lowercase"}}},
            "both": {"type": "text", "fields": {"a": {"type": "keyword", "normalizer": "x"}, "b": {"type": "keyword"}}},
            "key": {"type": "keyword", "fields": {"text": {"type": "match_only_text"}}},
            "norm": {"type": "keyword", "normalizer": "lowercase"}
        }}"#,
    );
    assert!(schema.is_strict());
    assert_eq!(summary(&schema, "none"), "text Text none NoExactSubfield");
    assert_eq!(summary(&schema, "one"), "text Keyword one Exact");
    let one = schema.get("one").unwrap();
    assert_eq!(one.field.ignore_above, Some(256));
    assert_eq!(one.field.null_value, Some(Value::String("-".into())));
    assert_eq!(schema.get("one.keyword").unwrap().field, one.field);
    assert_eq!(summary(&schema, "wild"), "match_only_text Keyword wild Exact");
    assert_eq!(summary(&schema, "wild.t"), "text Text wild NoExactSubfield");
    assert_eq!(summary(&schema, "two"), "text Text two NoExactSubfield");
    assert_eq!(summary(&schema, "two.a"), "keyword Keyword two Exact");
    assert_eq!(summary(&schema, "lower"), "text Text lower NoExactSubfield");
    assert_eq!(summary(&schema, "lower.a"), "keyword Keyword lower Normalized");
    assert_eq!(summary(&schema, "both"), "text Keyword both Exact");
    assert_eq!(summary(&schema, "key"), "keyword Keyword key Exact");
    assert_eq!(
        summary(&schema, "key.text"),
        "match_only_text Text key NoExactSubfield"
    );
    assert_eq!(summary(&schema, "norm"), "keyword Keyword norm Normalized");
}

#[test]
fn every_type_has_its_kind() {
    for (word, expected) in [
        ("constant_keyword", "Keyword Exact"),
        ("unsigned_long", "Long Exact"),
        ("short", "Long Exact"),
        ("scaled_float", "Double Exact"),
        ("boolean", "Boolean Exact"),
        ("date_nanos", "DateNanos Exact"),
        ("ip", "Ip Exact"),
        ("version", "Version Exact"),
        ("geo_point", "Dynamic Unsupported"),
        ("ip_range", "Dynamic Unsupported"),
    ] {
        let schema = mapping(&format!(r#"{{"properties": {{"f": {{"type": "{word}"}}}}}}"#));
        let def = schema.get("f").unwrap();
        assert_eq!(
            format!("{:?} {:?}", def.field.kind, def.exactness),
            expected,
            "{word}"
        );
    }
}

#[test]
fn an_alias_reads_its_target() {
    let schema = mapping(
        r#"{"event_category_field": "kind", "timestamp_field": "when", "tiebreaker_field": "n", "properties": {
            "kind": {"type": "alias", "path": "event_type"},
            "event_type": {"type": "text", "fields": {"raw": {"type": "keyword", "ignore_above": "9"}}},
            "sub": {"type": "alias", "path": "event_type.raw"}, "n": {"type": "long"}, "when": {"type": "date"}}}"#,
    );
    assert_eq!(summary(&schema, "kind"), "text Keyword event_type Exact");
    assert_eq!(summary(&schema, "sub"), "keyword Keyword event_type Exact");
    assert_eq!(schema.get("kind").unwrap().field.ignore_above, Some(9));
    assert_eq!(&*schema.get("kind").unwrap().name, "kind");
    assert_eq!(&*schema.category_field, "kind");
    assert_eq!(&*schema.timestamp_field, "when");
    assert_eq!(schema.tiebreaker_field.as_deref(), Some("n"));
}

#[test]
fn nested_properties_and_dotted_names_are_the_same() {
    let nested = mapping(
        r#"{"mappings": {"dynamic": "strict", "properties": {"a": {"properties": {"b.c": {"type": "ip"},
            "d": {"type": "object", "properties": {"e": {"type": "long"}}}}}}}}"#,
    );
    assert_eq!(summary(&nested, "a.b.c"), "ip Ip a.b.c Exact");
    assert_eq!(summary(&nested, "a.d.e"), "long Long a.d.e Exact");
    assert_eq!(summary(&nested, "a"), "object Dynamic a Unsupported");
    assert_eq!(summary(&nested, "a.d"), "object Dynamic a.d Unsupported");
    assert!(nested.get("a.x").is_none());
    let answer =
        mapping(r#"{"one": {"mappings": {"properties": {"a": {"type": "ip"}}}}, "two": {"mappings": {}}}"#);
    assert_eq!(summary(&answer, "a"), "ip Ip a Exact");
}

#[test]
fn keys_of_a_flattened_object_are_keywords_and_nested_objects_cannot_be_read() {
    let schema = mapping(
        r#"{"properties": {"labels": {"type": "flattened", "ignore_above": 5},
            "n": {"type": "nested", "properties": {"x": {"type": "long"}}}}}"#,
    );
    assert_eq!(summary(&schema, "labels"), "flattened Keyword labels Exact");
    assert_eq!(
        summary(&schema, "labels.any.thing"),
        "keyword Keyword labels.any.thing Exact"
    );
    assert_eq!(schema.get("labels.any").unwrap().field.ignore_above, Some(5));
    assert_eq!(summary(&schema, "n"), "nested Dynamic n Unsupported");
    assert_eq!(summary(&schema, "n.x"), "nested Long n.x Unsupported");
    assert!(schema.get("label").is_none());
}

#[test]
fn indices_add_up() {
    let schema = mapping(
        r#"{"properties": {"d": {"type": "date", "format": {"i1": "dd-MM-yyyy", "i2": "yyyy-MM-dd"}}},
            "indices": {"i1": {"only": {"type": "ip"}, "k": {"type": "keyword"}, "t": {"type": "date"}},
                        "i2": {"k": {"type": "long"}, "t": {"type": "date", "format": "epoch_second"}}}}"#,
    );
    assert_eq!(schema.get("d").unwrap().field.formats.len(), 2);
    assert_eq!(
        schema.get("t").unwrap().field.formats,
        [DateFormat::IsoOrMillis, DateFormat::EpochSecond]
    );
    assert_eq!(summary(&schema, "only"), "ip Ip only Exact");
    assert_eq!(summary(&schema, "k"), "keyword and long Keyword k Unsupported");
}

#[test]
fn runtime_fields() {
    let schema = mapping(
        r#"{"properties": {"broken": {"type": "long", "runtime": true, "index": "i"}, "ok": {"type": "long"}},
            "runtime": {"plain": {"type": "ip"}, "made": {"type": "long", "script": {"source": "emit(1)"}}}}"#,
    );
    assert_eq!(schema.get("broken").unwrap().fails_in_index.as_deref(), Some("i"));
    assert_eq!(schema.get("ok").unwrap().fails_in_index, None);
    assert_eq!(summary(&schema, "plain"), "ip Ip plain Exact");
    assert_eq!(summary(&schema, "made"), "long Long made Unsupported");
}

#[test]
fn every_problem_is_named_with_its_key() {
    assert_eq!(
        problems(
            r#"{"tiebreaker_field": 1, "properties": {"a": {"type": "keywrod"}, "b": 7, "c": {"type": "alias"}, "d": {},
            "e": {"type": "alias", "path": "nowhere"}, "f": {"type": "keyword", "ignore_above": -1}, "g..h": {"type": "ip"},
            "o": {"properties": {"p": {"type": 3}}}, "q": {"type": "keyword", "null_value": []},
            "v": {"type": "long", "null_value": "x"}, "r": {"type": "date", "format": 5}, "s": {"type": "text", "fields": {"u": {}}}}}"#
        ),
        [
            "`tiebreaker_field`: it is not a text",
            "`a.type`: `keywrod` is not a field type",
            "`b`: it is not an object",
            "`c`: the alias has no `path`",
            "`d`: it has neither `type` nor `properties`",
            "`f.ignore_above`: `-1` is not a number of characters",
            "`g..h`: a part of the name is empty",
            "`o.p.type`: it is not a text",
            "`o.p`: it has neither `type` nor `properties`",
            "`q.null_value`: `[]` is not a value of the field's type",
            "`v.null_value`: `\"x\"` is not a value of the field's type",
            "`r.format`: it is not a text",
            "`s.u`: it has no `type`",
            "`e.path`: there is no field `nowhere`",
        ]
    );
    assert_eq!(problems("[]"), ["`the mapping`: it is not an object"]);
    assert_eq!(problems("{}"), ["it has no `properties`"]);
    assert!(matches!(Schema::from_mapping("{"), Err(MappingError::Invalid(_))));
}

#[test]
fn names_that_are_close_are_offered() {
    let schema = mapping(
        r#"{"properties": {"pid": {"type": "long"}, "ppid": {"type": "long"}, "opcode": {"type": "long"},
            "process.executable": {"type": "keyword"}, "process.parent.executable": {"type": "keyword"},
            "process.command_line": {"type": "keyword"}, "source.ip": {"type": "ip"}, "user.name": {"type": "keyword"}}}"#,
    );
    assert_eq!(schema.similar("pib"), ["pid", "ppid"]);
    assert_eq!(schema.similar("xxx"), [""; 0]);
    assert_eq!(schema.similar("executable"), ["process.executable"]);
    assert_eq!(
        schema.similar("proces.executabel"),
        ["process.executable", "process.parent.executable"]
    );
    assert_eq!(schema.similar("process.commandline"), ["process.command_line"]);
    assert_eq!(schema.similar("Source.IP"), ["source.ip"]);
    assert_eq!(schema.similar("user.nmae"), ["user.name"]);
    assert_eq!(
        schema.similar("process.parnt.executable"),
        ["process.parent.executable", "process.executable"]
    );
    assert_eq!(schema.similar(""), [""; 0]);
}

/// The folder of the test corpora, where it is there.
fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("NEPH_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let path = root.join(path);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn the_mappings_of_the_corpus_are_read() {
    let Some(folder) = shared("corpora/eql/datasets") else {
        return;
    };
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let schema =
            Schema::from_mapping(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (name, property) in json["properties"].as_object().unwrap() {
            let def = schema.get(name).unwrap();
            let word = property["type"].as_str().unwrap();
            assert!(
                word == "alias" || *def.type_name == *word,
                "{name}: {}",
                def.type_name
            );
            assert!(def.is_supported(), "{}: {name}: {def:?}", path.display());
        }
        read += 1;
    }
    assert!(read > 10, "only {read} mappings");
}

#[test]
fn the_builtin_schema_has_ecs_and_vendor_fields() {
    let schema = Schema::builtin();
    assert!(schema.version().starts_with("ECS "), "{}", schema.version());
    assert!(schema.fields().len() > 5000);
    assert!(!schema.is_strict());
    for (name, expected) in [
        ("@timestamp", "date DateNanos @timestamp Exact"),
        ("process.name", "keyword Keyword process.name Exact"),
        (
            "process.name.text",
            "match_only_text Text process.name NoExactSubfield",
        ),
        ("process.name.caseless", "keyword Keyword process.name Normalized"),
        (
            "process.command_line",
            "wildcard Keyword process.command_line Exact",
        ),
        ("process.pid", "long Long process.pid Exact"),
        ("source.ip", "ip Ip source.ip Exact"),
        (
            "source.geo.location",
            "geo_point Dynamic source.geo.location Unsupported",
        ),
        (
            "kubernetes.audit.annotations.any/thing",
            "text Text kubernetes.audit.annotations.any/thing NoExactSubfield",
        ),
        ("labels.anything", "keyword Keyword labels.anything Exact"),
        (
            "aws.cloudtrail.user_identity.arn",
            "keyword Keyword aws.cloudtrail.user_identity.arn Exact",
        ),
        (
            "aws.cloudtrail.flattened.request_parameters.a.b",
            "keyword Keyword aws.cloudtrail.flattened.request_parameters.a.b Exact",
        ),
        (
            "winlog.event_data.TargetUserName",
            "keyword Keyword winlog.event_data.TargetUserName Exact",
        ),
        ("auditd.data.syscall", "keyword Keyword auditd.data.syscall Exact"),
    ] {
        assert_eq!(summary(schema, name), expected, "{name}");
    }
    assert!(schema.get("process.nam").is_none());
    assert!(schema.similar("process.nam").contains(&"process.name"));
    let sources = |name: &str| schema.get(name).unwrap().sources.to_vec();
    assert!(sources("aws.cloudtrail.error_code").contains(&"aws.cloudtrail"));
    assert!(sources("process.entity_id").contains(&"endpoint.events.process"));
    assert!(!sources("process.entity_id").contains(&"aws.cloudtrail"));
}

#[test]
fn every_row_of_the_table_is_understood() {
    let table = include_str!("../../data/schema.tsv");
    // A field that no source of the table fills may be filled by sources of our own.
    let own: BTreeMap<&str, usize> = include_str!("../../data/own.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            (columns[0], columns[2].split(',').count())
        })
        .collect();
    let mut sources = 0;
    let mut last = "";
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        assert_eq!(columns.len(), if line.starts_with('=') { 2 } else { 3 }, "{line}");
        match columns[0] {
            "=" => {}
            "+" => sources += 1,
            name => {
                assert!(last < name, "{name} stands behind {last}");
                last = name;
                let def = Schema::builtin().get(name).unwrap();
                assert_eq!(def.name, name);
                assert!(super::kind_of(&def.type_name).is_some(), "{line}");
                let listed = columns[2].split(',').filter(|number| !number.is_empty()).count();
                assert_eq!(def.sources.len(), *own.get(name).unwrap_or(&listed), "{line}");
                assert_eq!(
                    columns[1].contains("keys=") || &*def.type_name == "flattened",
                    def.keys.is_some(),
                    "{line}"
                );
            }
        }
    }
    assert!(sources > 100, "{sources}");
}
