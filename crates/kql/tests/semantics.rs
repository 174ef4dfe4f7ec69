//! What queries find: each line of a table is a query, an event and whether it is found.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::sync::{Arc, LazyLock};

use neph_engine::{Matcher, OperatorConfig, Operators, Origin, Outcome, Program, Record};
use neph_event::{Instant, Schema, parse_date};
use neph_kql::{CompileOptions, Compiled, Dialect, compile};

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let mapping = r#"{"properties": {
        "@timestamp": {"type": "date"}, "name": {"type": "keyword"}, "n": {"type": "long"}, "ratio": {"type": "double"},
        "ip": {"type": "ip"}, "flag": {"type": "boolean"}, "text": {"type": "text"}, "v": {"type": "version"},
        "both": {"type": "text", "fields": {"raw": {"type": "keyword"}}},
        "low": {"type": "keyword", "normalizer": "lowercase"}, "place": {"type": "geo_point"},
        "hash": {"properties": {"md5": {"type": "keyword"}, "sha1": {"type": "keyword"}}},
        "items": {"type": "nested", "properties": {"k": {"type": "keyword"}, "v": {"type": "long"}}}}}"#;
    Schema::from_mapping(mapping).unwrap().with_strict(false)
});

fn compiled(query: &str, dialect: Dialect) -> Compiled {
    let now = parse_date("2026-11-21T12:00:00Z", &[]).unwrap();
    compile(query, &CompileOptions::new(dialect, &SCHEMA, now))
}

fn found(query: &str, dialect: Dialect, event: &str) -> bool {
    let compiled = compiled(query, dialect);
    let plan = compiled
        .plan
        .unwrap_or_else(|| panic!("{query}: {:?}", compiled.diagnostics));
    let (program, errors) = Program::compile([&plan]);
    assert!(errors.is_empty(), "{query}: {errors:?}");
    let mut operators = Operators::new(&[&plan], &OperatorConfig::default());
    let mut matcher = Matcher::new(Arc::new(program));
    let document = format!(r#"{{"@timestamp":"2026-11-21T10:00:00Z",{event}}}"#);
    matcher.read(document.as_bytes()).unwrap();
    let origin = Origin {
        source: "events".into(),
        line: 1,
    };
    let record = Record {
        document: document.as_bytes(),
        id: None,
        index: None,
        position: 0,
        origin: &origin,
    };
    let (mut steps, mut told) = (Vec::new(), Vec::new());
    matcher.matches(&record, |step| steps.push(step));
    for step in steps {
        operators.push(step, &mut told);
    }
    operators.finish(&mut told);
    told.iter().any(|outcome| matches!(outcome, Outcome::Found(_)))
}

fn table(dialect: Dialect, lines: &[(&str, &str, bool)]) {
    for (query, event, expected) in lines {
        assert_eq!(found(query, dialect, event), *expected, "{query} over {event}");
    }
}

fn codes(query: &str) -> Vec<&'static str> {
    let diagnostics = compiled(query, Dialect::Kql).diagnostics;
    diagnostics
        .iter()
        .map(|diagnostic| diagnostic.code.name)
        .collect()
}

#[test]
fn keywords_are_compared_as_a_whole_and_exactly() {
    let event = r#""name":["Foo Bar","a*b"]"#;
    table(
        Dialect::Kql,
        &[
            ("name: Foo Bar", event, true),
            ("name: \"Foo Bar\"", event, true),
            ("name: foo bar", event, false),
            ("name: Foo", event, false),
            ("name: Foo*", event, true),
            ("name: foo*", event, false),
            ("name: \"Foo*\"", event, false),
            ("name: \"a*b\"", event, true),
            (r"name: a\*b", event, true),
            ("name: F?o*", event, false),
            ("name: *", event, true),
            ("name: *", r#""n":1"#, false),
            ("not name: x", r#""n":1"#, true),
            ("name: (x or a*)", event, true),
            ("name: (Foo* and a*)", event, true),
            ("name: (Foo* and not a*)", event, false),
            ("name: (not x)", event, true),
            ("low: CURL", r#""low":"Curl""#, true),
            ("low: cu*L", r#""low":"CURL""#, true),
        ],
    );
}

#[test]
fn bare_wildcards_split_at_spaces_unless_the_field_is_a_keyword() {
    let event = r#""name":"C:\\Program Files\\x","text":"sudo su root""#;
    table(
        Dialect::Kql,
        &[
            (r"name: C\:\\Program Files\\*", event, true),
            (r"name: C\:\\Program*Files\\*", event, true),
            ("name: x *x", event, false),
            ("name: C* Files?x", event, false),
            ("text: nobody su*", event, true),
            ("text: nobody none su?*", event, false),
        ],
    );
    assert_eq!(codes("text: a b*"), ["wildcard-with-space"]);
    assert!(codes("name: a b*").is_empty());
}

#[test]
fn analysed_text_is_compared_by_words() {
    let event = r#""text":"Failed password for Root from 10.0.0.1""#;
    table(
        Dialect::Kql,
        &[
            ("text: password", event, true),
            ("text: ROOT nobody", event, true),
            ("text: \"password FOR root\"", event, true),
            ("text: \"password root\"", event, false),
            ("text: pass", event, false),
            ("text: Pass*", event, true),
            ("text: *word for*", event, true),
            ("text: *d*for*", event, false),
            ("text: 10.0.0.1", event, true),
            ("text: *", event, true),
            ("both: password", r#""both":"a Password""#, true),
            ("both.raw: password", r#""both":"a Password""#, false),
            ("both.raw: \"a Password\"", r#""both":"a Password""#, true),
        ],
    );
    assert_eq!(codes("text: \"***\""), ["type-never-matches", "literal-wildcard"]);
}

#[test]
fn values_take_the_type_of_the_field() {
    let event = r#""n":[5,80],"ratio":0.5,"ip":"10.1.2.3","flag":true,"v":"1.10.0""#;
    table(
        Dialect::Kql,
        &[
            ("n: 5", event, true),
            ("n: \"80\"", event, true),
            ("n: 6", event, false),
            ("n >= 80", event, true),
            ("n > 80", event, false),
            ("n < 6 and n > 79", event, true),
            ("ratio <= 0.5", event, true),
            ("ip: 10.1.2.3", event, true),
            ("ip: 10.0.0.0/8", event, true),
            ("ip: (\"192.168.0.0/16\" or \"::1\")", event, false),
            ("ip > 10.1.0.0", event, true),
            ("flag: true", event, true),
            ("flag: false", event, false),
            ("v >= 1.9.0", event, true),
            ("other: 7", r#""other":7"#, true),
            ("other: true", r#""other":true"#, true),
            ("other > 6", r#""other":"7""#, true),
            ("other: 10.0.0.0/8", r#""other":"10.9.9.9""#, true),
            ("name > b", r#""name":"c""#, true),
        ],
    );
    for query in [
        "n: x",
        "n: 5*",
        "ip: 10.*",
        "ip: x",
        "flag: True",
        "@timestamp: x*",
        "text > a",
        "n > x",
    ] {
        assert_eq!(codes(query), ["type-never-matches"], "{query}");
        assert!(!found(query, Dialect::Kql, event), "{query}");
    }
}

#[test]
fn dates_stand_for_all_the_time_that_they_leave_open() {
    let event = r#""n":1"#;
    table(
        Dialect::Kql,
        &[
            ("@timestamp: 2026-11-21", event, true),
            ("@timestamp: \"2026-11-20\"", event, false),
            ("@timestamp: \"2026-11-21T10:00:00Z\"", event, true),
            ("@timestamp >= now-3h and @timestamp < now-1h", event, true),
            ("@timestamp > now-1h", event, false),
            ("@timestamp <= \"2026-11-21\"", event, true),
            ("@timestamp > \"2026-11-21\"", event, false),
        ],
    );
}

#[test]
fn names_with_wildcards_stand_for_fields_of_the_schema() {
    let event = r#""hash":{"sha1":"abc"}"#;
    table(
        Dialect::Kql,
        &[
            ("hash.*: abc", event, true),
            ("hash.*: *", event, true),
            ("hash.m*: *", event, false),
            ("*: *", event, true),
            ("*", event, true),
            ("", event, true),
            ("place: *", r#""place":{"lat":1.0,"lon":2.0}"#, true),
            ("place: *", event, false),
        ],
    );
    assert_eq!(codes("nothing.*: x"), ["unknown-field"]);
    assert!(!found("nothing.*: x", Dialect::Kql, r#""nothing":{"a":"x"}"#));
    let strict = SCHEMA.clone().with_strict(true);
    for query in ["nothing.*: x", "nothing: x"] {
        let compiled = compile(
            query,
            &CompileOptions::new(Dialect::Kql, &strict, Instant::from_millis(0)),
        );
        assert!(compiled.plan.is_none());
        assert_eq!(compiled.diagnostics[0].code.name, "unknown-column");
    }
}

#[test]
fn lists_kept_as_objects_are_reached_by_position_or_without() {
    let query = "azure.auditlogs.properties.target_resources.*.modified_properties.*.new_value: x";
    let options = CompileOptions::new(Dialect::Kql, Schema::builtin(), Instant::from_millis(0));
    let plan = compile(query, &options).plan.unwrap();
    let reads = |path: &str| plan.fields.iter().any(|field| &*field.path == path);
    assert!(reads(
        "azure.auditlogs.properties.target_resources.0.modified_properties.9.new_value"
    ));
    assert!(reads(
        "azure.auditlogs.properties.target_resources.modified_properties.new_value"
    ));
}

#[test]
fn conditions_in_braces_hold_for_one_object() {
    let event =
        r#""items":[{"k":"a","v":1},{"k":"b","v":2},{"k":"c","in":[{"x":"p","y":1},{"x":"q","y":2}]}]"#;
    table(
        Dialect::Kql,
        &[
            ("items: { k: a }", event, true),
            ("items: { k: c or v > 1 }", event, true),
            ("items: { k: a and v: 1 }", event, true),
            ("items: { k: a and v: 2 }", event, false),
            ("items: { k: a and not v: 1 }", event, false),
            ("items: { k: b and not v: 1 }", event, true),
            ("not items: { k: a and v: 2 }", event, true),
            ("items: { k: (a or b) and v >= 2 }", event, true),
            ("items: { k: c and not v: * }", event, true),
            (
                "items: { k: a and v: 1 } and items: { k: b and v: 2 }",
                event,
                true,
            ),
            ("items: { k: c and in: { x: p and y: 1 } }", event, true),
            ("items: { k: c and in: { x: p and y: 2 } }", event, false),
            ("items: { k: a and in: { x: p and y: 1 } }", event, false),
            ("items.in: { x: q and y: 2 }", event, true),
            ("items.in: { x: q and y: 1 }", event, false),
            ("items: { k: a and v: 1 }", r#""items":{"k":"a","v":1}"#, true),
            ("items: { k: a and v: 1 }", r#""items.k":"a""#, false),
            (
                "deep.list: { k: a and v: 1 }",
                r#""deep":{"list":[{"k":"a","v":2},{"k":"a","v":1}]}"#,
                true,
            ),
            (
                "deep.list: { k: a and v: 1 }",
                r#""deep.list":[{"k":"a","v":2},{"k":"b","v":1}]"#,
                false,
            ),
        ],
    );
    assert!(codes("items: { k: a and v: 2 }").is_empty());
    assert_eq!(codes("item*: { k: a and v: 2 }"), ["field-pattern"]);
}

#[test]
fn free_text_is_looked_for_everywhere() {
    let event = r#""a":{"b":["x","Mimi Katz"]},"n":4711"#;
    table(
        Dialect::Kql,
        &[
            ("katz", event, true),
            ("\"mimi katz\"", event, true),
            ("\"katz mimi\"", event, false),
            ("mimi*", event, true),
            ("4711", event, true),
            ("*: katz", event, true),
            ("dog or x", event, true),
            ("not katz", event, false),
        ],
    );
}

#[test]
fn lints_tell_what_was_probably_not_meant() {
    for (query, expected) in [
        ("name: a and n: 1 or n: 2", vec!["and-or-mixed"]),
        ("name: (a and b or c)", vec!["and-or-mixed"]),
        ("(name: a and n: 1) or n: 2", vec![]),
        ("name: \"a*\"", vec!["literal-wildcard"]),
        ("name: \"*\"", vec![]),
        ("name = a", vec!["free-text"]),
        ("name: a && n: 1", vec!["kql-syntax"]),
        ("nam: a", vec!["unknown-field"]),
        ("name: null", vec!["kql-null"]),
        ("n > 5*", vec!["kql-range"]),
        ("place: x", vec!["unsupported-type"]),
    ] {
        assert_eq!(codes(query), expected, "{query}");
    }
    let fixed = |query: &str| {
        let diagnostics = compiled(query, Dialect::Kql).diagnostics;
        let fixes: Vec<_> = diagnostics
            .iter()
            .filter_map(|diagnostic| diagnostic.fix.clone())
            .collect();
        neph_diag::fix::apply(query, &fixes, false).text
    };
    assert_eq!(fixed("name: a and n: 1 or n: 2"), "(name: a and n: 1) or n: 2");
    assert_eq!(fixed(r#"name: "C:\\a*""#), r"name: C\:\\a*");
}

#[test]
fn lucene_queries_find_what_lucene_would() {
    let event = r#""name":"Curl","n":5,"text":"a quick fox","ip":"10.1.2.3""#;
    table(
        Dialect::Lucene,
        &[
            ("name:Curl AND n:[1 TO 5]", event, true),
            ("name:Curl AND n:{1 TO 5}", event, false),
            ("name:C?r* -n:6", event, true),
            ("name:/C.+l/", event, true),
            ("name:/C/", event, false),
            ("_exists_:name AND NOT _exists_:flag", event, true),
            ("text:\"quick fox\"", event, true),
            ("text:(dog OR fox)", event, true),
            ("n:>=5", event, true),
            ("n:(>5 OR <2)", event, false),
            ("ip:\"10.0.0.0/8\"", event, true),
            ("quick", event, true),
            ("*:*", event, true),
            ("name:null", event, false),
        ],
    );
}
