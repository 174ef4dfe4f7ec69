use proptest::prelude::*;
use serde_json::Value as Json;

use super::MAX_DEPTH;
use crate::{DateFormat, Field, FieldType, ReadError, Row, Slot, Slots, Value};

use FieldType::{Boolean, Date, DateNanos, Double, Dynamic, Ip, Keyword, Long, Text, Version};

/// The values of one field of a record, as text.
fn values(field: Field, json: &str) -> Vec<String> {
    let mut slots = Slots::default();
    let slot = slots.add(field);
    let mut row = Row::default();
    row.read(&slots, json.as_bytes())
        .unwrap_or_else(|error| panic!("{json}: {error}"));
    row.values(slot).map(|value| format!("{value:?}")).collect()
}

#[track_caller]
fn check(kind: FieldType, path: &str, json: &str, expected: &[&str]) {
    assert_eq!(values(Field::new(path, kind), json), expected, "{json}");
}

/// The error of a record that is read with `a` wanted, and that of the same record where nothing is.
#[track_caller]
fn error(json: &[u8]) -> ReadError {
    let mut slots = Slots::default();
    let slot = slots.add(Field::new("a", Keyword));
    let mut row = Row::default();
    row.read(&slots, br#"{"a": "before"}"#).unwrap();
    let wanted = row.read(&slots, json).unwrap_err();
    assert_eq!(row.values(slot).len(), 0, "a row is empty after an error");
    let skipped = Row::default().read(&Slots::default(), json).unwrap_err();
    assert_eq!(wanted, skipped);
    wanted
}

#[track_caller]
fn check_error(json: &[u8], offset: usize, reason: &str) {
    assert_eq!(
        error(json),
        ReadError::Json {
            offset,
            reason: reason.to_owned()
        },
        "{}",
        String::from_utf8_lossy(json)
    );
}

#[test]
fn arrays_are_values_and_objects_in_them_flatten() {
    check(
        Long,
        "a.b",
        r#"{"a":[{"b":1},{"b":[2,[3]]},{"c":9},4],"b":5}"#,
        &["Long(1)", "Long(2)", "Long(3)"],
    );
    check(Long, "a", r#"{"a":[]}"#, &[]);
    check(Long, "a", r#"{"a":[null,1,null]}"#, &["Long(1)"]);
    check(Long, "a", r#"{"a":[[[]],[1]]}"#, &["Long(1)"]);
    check(Long, "a", r#"{"a":{"b":1}}"#, &[]);
    check(Long, "a.b", r#"{"a":1}"#, &[]);
    check(Long, "a", r#"{"a":1,"a":2}"#, &["Long(1)", "Long(2)"]);
    check(
        Long,
        "a.b",
        r#"{"a":{"b":1},"a":{"b":2}}"#,
        &["Long(1)", "Long(2)"],
    );
}

#[test]
fn dots_stand_anywhere_in_keys() {
    for json in [
        r#"{"a":{"b":{"c":{"d":1}}}}"#,
        r#"{"a.b.c.d":1}"#,
        r#"{"a.b":{"c.d":1}}"#,
        r#"{"a":{"b.c":{"d":1}}}"#,
        r#"{"a":[{"b.c.d":[1]}]}"#,
        r#"{"a\u002eb":{"c":{"d":1}}}"#,
        r#"{"\u0061":{"b":{"c":{"d":1}}}}"#,
    ] {
        check(Long, "a.b.c.d", json, &["Long(1)"]);
    }
    for json in [
        r#"{"a.b.c":1}"#,
        r#"{"a.b.c.d.e":1}"#,
        r#"{"a..b.c.d":1}"#,
        r#"{".a.b.c.d":1}"#,
        r#"{"":{"":1}}"#,
    ] {
        check(Long, "a.b.c.d", json, &[]);
    }
    // Any path under a flattened object is a path like any other.
    check(
        Keyword,
        "labels.app.name",
        r#"{"labels":{"app.name":"x","app":{"name":"y"}}}"#,
        &["String(\"x\")", "String(\"y\")"],
    );
}

#[test]
fn the_field_of_everything_holds_every_value_of_the_record() {
    let json =
        r#"{"a":{"b":["x",{"c":1.50}]},"d.e":true,"f":null,"g":[],"h":"\u0041","i":{"j":{"k":"deep"}}}"#;
    let expected = ["x", "1.50", "true", "A", "deep"];
    // With and without other fields, so that both known and unknown keys are passed.
    for others in [&[][..], &["a.b", "d.e", "i"], &["a.b.c", "i.j.k", "zz"]] {
        let mut slots = Slots::default();
        let other_slots: Vec<Slot> = others
            .iter()
            .map(|path| slots.add(Field::new(*path, Keyword)))
            .collect();
        let everything = slots.add(Field::new(crate::ANY_FIELD, Keyword));
        let texts = |row: &Row, slot: Slot| -> Vec<String> {
            row.values(slot).map(|value| value.to_string()).collect()
        };
        let mut row = Row::default();
        row.read(&slots, json.as_bytes()).unwrap();
        assert_eq!(texts(&row, everything), expected, "{others:?}");
        let mut without = Slots::default();
        let same: Vec<Slot> = others
            .iter()
            .map(|path| without.add(Field::new(*path, Keyword)))
            .collect();
        let mut other_row = Row::default();
        other_row.read(&without, json.as_bytes()).unwrap();
        for (slot, alone) in other_slots.iter().zip(&same) {
            assert_eq!(texts(&row, *slot), texts(&other_row, *alone));
        }
        let document: Json = serde_json::from_str(json).unwrap();
        row.read_from(&slots, &document).unwrap();
        let mut found = texts(&row, everything);
        let mut wanted = ["x", "1.5", "true", "A", "deep"].map(str::to_owned);
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted);
        row.read(&slots, br#"{"a":"next"}"#).unwrap();
        assert_eq!(texts(&row, everything), ["next"]);
    }
}

#[test]
fn null_stands_for_the_null_value_and_absence_does_not() {
    let field = Field {
        null_value: Some(Value::String("NULL".into())),
        ..Field::new("a", Keyword)
    };
    for (json, expected) in [
        (r#"{"a":null}"#, &["String(\"NULL\")"][..]),
        (r#"{"a":[null]}"#, &["String(\"NULL\")"]),
        (r#"{"a":["x",null]}"#, &["String(\"x\")", "String(\"NULL\")"]),
        (r#"{"a":[]}"#, &[]),
        (r#"{"b":null}"#, &[]),
        (r#"{"a":{"b":null}}"#, &[]),
    ] {
        assert_eq!(values(field.clone(), json), expected, "{json}");
    }
    check(Keyword, "a", r#"{"a":null}"#, &[]);
    let number = Field {
        null_value: Some(Value::String("7".into())),
        ..Field::new("a", Long)
    };
    assert_eq!(values(number, r#"{"a":null}"#), ["Long(7)"]);
}

#[test]
fn strings_are_unescaped() {
    check(
        Keyword,
        "a",
        r#"{"a":"\"\\\/\b\f\n\r\tx\u00e9\ud83d\ude00\u0000"}"#,
        &[r#"String("\"\\/\u{8}\u{c}\n\r\txé😀\0")"#],
    );
    check(Keyword, "a\"é", r#"{"a\"\u00E9":"x"}"#, &[r#"String("x")"#]);
    check(Keyword, "a", r#"{"a":"é😀"}"#, &[r#"String("é😀")"#]);
    // Half a pair, alone or before something else.
    check(
        Keyword,
        "a",
        r#"{"a":["\ud800","\udc00x","\ud800\u0041","\ud800\ud83d\ude00","\ud800\\u"]}"#,
        &[
            r#"String("�")"#,
            r#"String("�x")"#,
            r#"String("�A")"#,
            r#"String("�😀")"#,
            r#"String("�\\u")"#,
        ],
    );
    let long = "x".repeat(1000);
    check(
        Keyword,
        "a",
        &format!(r#"{{"skip":"{long}\n{long}","a":"{long}"}}"#),
        &[&format!("String({long:?})")],
    );
}

#[test]
fn numbers_keep_their_size_and_their_text() {
    check(
        Dynamic,
        "a",
        r#"{"a":[0,-0,1,-9223372036854775808,9223372036854775807,9223372036854775808,18446744073709551615]}"#,
        &[
            "Long(0)",
            "Long(0)",
            "Long(1)",
            "Long(-9223372036854775808)",
            "Long(9223372036854775807)",
            "Unsigned(9223372036854775808)",
            "Unsigned(18446744073709551615)",
        ],
    );
    check(
        Dynamic,
        "a",
        r#"{"a":[18446744073709551616,-9223372036854775809,1.0,-0.0,1e3,1E-2,5e-324]}"#,
        &[
            "Double(1.8446744073709552e19)",
            "Double(-9.223372036854776e18)",
            "Double(1.0)",
            "Double(-0.0)",
            "Double(1000.0)",
            "Double(0.01)",
            "Double(5e-324)",
        ],
    );
    check(
        Long,
        "a",
        r#"{"a":[1.9,-1.9,1e3,"12","-3"," 4","1.5","1e2","x",true,1e18,9.3e18,1e20,-1e19,1e400]}"#,
        &[
            "Long(1)",
            "Long(-1)",
            "Long(1000)",
            "Long(12)",
            "Long(-3)",
            "Long(1)",
            "Long(100)",
            "Long(1000000000000000000)",
            "Unsigned(9300000000000000000)",
        ],
    );
    check(
        Double,
        "a",
        r#"{"a":[1,1.5,"2.5","inf","NaN",1e400,-1e400,"1e400",18446744073709551615,true]}"#,
        &[
            "Double(1.0)",
            "Double(1.5)",
            "Double(2.5)",
            "Double(1.8446744073709552e19)",
        ],
    );
    check(
        Keyword,
        "a",
        r#"{"a":[1.10,1e400,-0,123456789012345678901234567890,true,false]}"#,
        &[
            "String(\"1.10\")",
            "String(\"1e400\")",
            "String(\"-0\")",
            "String(\"123456789012345678901234567890\")",
            "String(\"true\")",
            "String(\"false\")",
        ],
    );
    check(
        Version,
        "a",
        r#"{"a":[1.10,"1.2.3",7]}"#,
        &["Version(\"1.10\")", "Version(\"1.2.3\")", "Version(\"7\")"],
    );
    check(
        Text,
        "a",
        r#"{"a":["x y",5]}"#,
        &["String(\"x y\")", "String(\"5\")"],
    );
    check(
        Boolean,
        "a",
        r#"{"a":[true,"false","",  "true","yes",1,null]}"#,
        &["Bool(true)", "Bool(false)", "Bool(false)", "Bool(true)"],
    );
}

#[test]
fn addresses_have_one_form() {
    check(
        Ip,
        "a",
        r#"{"a":["10.0.0.1","::ffff:10.0.0.1","0:0:0:0:0:0:0:1","fe80::1%eth0","fe80::1%","10.0.0.1%x","010.0.0.1","x",7]}"#,
        &["Ip(10.0.0.1)", "Ip(10.0.0.1)", "Ip(::1)", "Ip(fe80::1)"],
    );
}

#[test]
fn dates_have_the_precision_of_their_field() {
    let json = r#"{"a":["2020-01-01T00:00:00.123456789Z",1577836800123,1577836800123.5,2020,"x",true]}"#;
    check(
        DateNanos,
        "a",
        json,
        &[
            "Date(Instant { seconds: 1577836800, nanos: 123456789 })",
            "Date(Instant { seconds: 1577836800, nanos: 123000000 })",
            "Date(Instant { seconds: 1577836800, nanos: 123500000 })",
            "Date(Instant { seconds: 1577836800, nanos: 0 })",
        ],
    );
    check(
        Date,
        "a",
        json,
        &[
            "Date(Instant { seconds: 1577836800, nanos: 123000000 })",
            "Date(Instant { seconds: 1577836800, nanos: 123000000 })",
            "Date(Instant { seconds: 1577836800, nanos: 123000000 })",
            "Date(Instant { seconds: 1577836800, nanos: 0 })",
        ],
    );
    let field = Field {
        formats: DateFormat::alternatives("dd-MM-yyyy||epoch_second").unwrap(),
        ..Field::new("a", Date)
    };
    assert_eq!(
        values(field, r#"{"a":["02-01-1970",60,1.5,"1970-01-02"]}"#),
        [
            "Date(Instant { seconds: 86400, nanos: 0 })",
            "Date(Instant { seconds: 60, nanos: 0 })",
            "Date(Instant { seconds: 1, nanos: 500000000 })",
        ]
    );
}

#[test]
fn too_long_texts_are_not_matched() {
    let field = Field {
        ignore_above: Some(3),
        ..Field::new("a", Keyword)
    };
    // The last one has two characters, but four UTF-16 units.
    let json = r#"{"a":["abc","abcd","äöü","äöüß","😀x","😀😀",1234,123,"\u0061bc"]}"#;
    assert_eq!(
        values(field, json),
        ["\"abc\"", "\"äöü\"", "\"😀x\"", "\"123\"", "\"abc\""].map(|text| format!("String({text})"))
    );
}

#[test]
fn what_does_not_fit_is_counted() {
    let mut slots = Slots::default();
    let long = slots.add(Field::new("a", Long));
    let keyword = slots.add(Field::new("a", Keyword));
    let mut row = Row::default();
    row.read(&slots, br#"{"a":["x",1,"y"]}"#).unwrap();
    assert_eq!(row.malformed(), 2);
    assert_eq!((row.values(long).len(), row.values(keyword).len()), (1, 3));
    row.read(&slots, br#"{"a":2}"#).unwrap();
    assert_eq!(row.malformed(), 0);
    assert_eq!(row.first(keyword).unwrap().to_string(), "2");
}

#[test]
fn a_row_serves_slots_that_grow() {
    let mut slots = Slots::default();
    let mut row = Row::default();
    row.read(&slots, b"{}").unwrap();
    let first = slots.add(Field::new("a", Keyword));
    row.read(&slots, br#"{"a":"1"}"#).unwrap();
    let second = slots.add(Field::new("a.b", Keyword));
    assert_eq!(row.values(second).len(), 0);
    row.read(&slots, br#"{"a":[{"b":"2"},"1"]}"#).unwrap();
    assert_eq!((row.values(first).len(), row.values(second).len()), (1, 1));
    assert_eq!(row.values(Slot(99)).len(), 0);
}

#[test]
fn ids_and_indices_are_fields() {
    let json = r#"{"_id":"e1","_index":"logs-1","a":1}"#;
    assert_eq!(values(Field::record_id(), json), ["String(\"e1\")"]);
    assert_eq!(values(Field::record_index(), json), ["String(\"logs-1\")"]);
}

#[test]
fn errors_say_where() {
    let too_early = "the text ends too early";
    for (text, offset, reason) in [
        ("", 0, too_early),
        (" ", 1, too_early),
        ("{", 1, too_early),
        (r#"{"a"#, 3, too_early),
        (r#"{"a""#, 4, too_early),
        (r#"{"a":"#, 5, too_early),
        (r#"{"a":1"#, 6, too_early),
        (r#"{"a":1,"#, 7, too_early),
        (r#"{"a":tru"#, 8, too_early),
        (r#"{"a":[1"#, 7, too_early),
        (r#"{"a":["#, 6, too_early),
        (r#"{"a":"x\"#, 8, too_early),
        (r#"{"a":"\u00"#, 10, too_early),
        (r#"{"a":-"#, 6, too_early),
        (r#"{"a":1."#, 7, too_early),
        (r#"{"a":1e"#, 7, too_early),
        (r#"{"a":1} x"#, 8, "something follows the record"),
        (r#"{}{}"#, 2, "something follows the record"),
        (r#"{a:1}"#, 1, "a key or `}` is expected"),
        (r#"{"a":1,}"#, 7, "a key is expected"),
        (r#"{"a" 1}"#, 5, "`:` is expected"),
        (r#"{"a":1 "b":2}"#, 7, "`,` or `}` is expected"),
        (r#"{"a":[1 2]}"#, 8, "`,` or `]` is expected"),
        (r#"{"a":[1,]}"#, 8, "a value is expected"),
        (r#"{"a":[,1]}"#, 6, "a value is expected"),
        (r#"{"a":}"#, 5, "a value is expected"),
        (r#"{"a":nul}"#, 8, "a value is expected"),
        (r#"{"a":'x'}"#, 5, "a value is expected"),
        (r#"{"a":+1}"#, 5, "a value is expected"),
        (r#"{"a":.5}"#, 5, "a value is expected"),
        (r#"{"a":NaN}"#, 5, "a value is expected"),
        (r#"{"a":01}"#, 6, "a number has a leading zero"),
        (r#"{"a":-x}"#, 6, "a digit is expected"),
        (r#"{"a":1.}"#, 7, "a digit is expected"),
        (r#"{"a":1.e1}"#, 7, "a digit is expected"),
        (r#"{"a":1e+}"#, 8, "a digit is expected"),
        (r#"{"a":"\x"}"#, 7, "there is no such escape"),
        (r#"{"a":"\u12g4"}"#, 10, "`\\u` needs four hexadecimal digits"),
        ("{\"a\":\"x\ny\"}", 7, "a control character stands in a string"),
        ("{\"a\":\"x\0\"}", 7, "a control character stands in a string"),
        ("{\"a\":1}\u{b}", 7, "something follows the record"),
    ] {
        check_error(text.as_bytes(), offset, reason);
    }
    let long = format!(r#"{{"a":"{}{}"#, "x".repeat(500), "\u{1}");
    check_error(long.as_bytes(), 506, "a control character stands in a string");
    for text in ["[]", "1", "\"x\"", "null", "true", "[{\"a\":1}]"] {
        assert_eq!(error(text.as_bytes()), ReadError::NotAnObject, "{text}");
    }
}

#[test]
fn invalid_utf8_is_an_error_wherever_it_stands() {
    for (json, offset) in [
        (&b"\xff"[..], 0),
        (b"{\"a\":\"\xff\"}", 6),
        (b"{\"skip\":\"\xc3\"}", 9),
        (b"{\"\xed\xa0\x80\":1}", 2),
        (b"{} \xf0\x9f", 3),
    ] {
        check_error(json, offset, "not UTF-8");
    }
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    check(Long, "a", "\u{feff} {\"a\":1}", &["Long(1)"]);
    check_error("\u{feff}\u{feff}{}".as_bytes(), 3, "a value is expected");
    check_error("{}\u{feff}".as_bytes(), 2, "something follows the record");
}

/// `open` and `close` so many times in one another, as the value of `key`.
fn nested(key: &str, open: &str, close: &str, times: usize) -> String {
    format!("{{\"{key}\":{}1{}}}", open.repeat(times), close.repeat(times))
}

#[test]
fn deep_nesting_is_refused_and_never_exhausts_the_stack() {
    // The record itself is the first level.
    let most = MAX_DEPTH as usize - 1;
    std::thread::Builder::new()
        .stack_size(1024 * 1024)
        .spawn(move || {
            let mut slots = Slots::default();
            slots.add(Field::new("a", Long));
            slots.add(Field::new(vec!["b"; 3000].join("."), Long));
            let mut row = Row::default();
            for (open, close) in [
                ("[", "]"),
                ("{\"a\":", "}"),
                ("{\"b\":", "}"),
                ("[{\"b\":", "}]"),
                ("{\"z\":[", "]}"),
            ] {
                let levels = open.matches(['[', '{']).count();
                for key in ["a", "b", "z"] {
                    let fine = nested(key, open, close, most / levels);
                    assert_eq!(row.read(&slots, fine.as_bytes()), Ok(()), "{key} {open}");
                    for times in [most / levels + 1, 10_000, 100_000] {
                        let deep = nested(key, open, close, times);
                        assert_eq!(
                            row.read(&slots, deep.as_bytes()),
                            Err(ReadError::TooDeep),
                            "{key} {open} {times}"
                        );
                        let unclosed = nested(key, open, "", times);
                        assert_eq!(
                            row.read(&slots, unclosed.as_bytes()),
                            Err(ReadError::TooDeep),
                            "{key} {open}"
                        );
                    }
                }
            }
        })
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn documents_are_read_like_their_text() {
    let mut slots = Slots::default();
    let slot = slots.add(Field::new("a.b", Keyword));
    let mut row = Row::default();
    row.read_from(
        &slots,
        &serde_json::json!({"a": [{"b": "x"}, {"b": null}, {"b": [1, 1.5, true]}], "c": [[]]}),
    )
    .unwrap();
    assert_eq!(
        row.values(slot)
            .map(|value| value.to_string())
            .collect::<Vec<_>>(),
        ["x", "1", "1.5", "true"]
    );
    for json in [
        serde_json::json!([1]),
        serde_json::json!(null),
        serde_json::json!("x"),
    ] {
        let error = row.read_from(&slots, &json).unwrap_err();
        assert_eq!(error.to_string(), "the record is not a JSON object");
        assert_eq!(row.values(slot).len(), 0);
    }
}

#[test]
fn deep_documents_are_refused() {
    let mut slots = Slots::default();
    let slot = slots.add(Field::new("a", Long));
    let nested = |times: usize| {
        let array = (0..times).fold(Json::from(1), |inner, _| Json::Array(vec![inner]));
        Json::Object([("a".to_owned(), array)].into_iter().collect())
    };
    let mut row = Row::default();
    let most = MAX_DEPTH as usize - 1;
    row.read_from(&slots, &nested(most)).unwrap();
    assert_eq!(row.values(slot).len(), 1);
    let error = row.read_from(&slots, &nested(most + 1)).unwrap_err();
    assert_eq!(error.to_string(), "nested deeper than 1000 levels");
}

/// All scalars at a path, found by walking the built document.
fn naive<'j>(json: &'j Json, path: &str, found: &mut Vec<&'j Json>) {
    match json {
        Json::Array(items) => items.iter().for_each(|item| naive(item, path, found)),
        Json::Object(object) => {
            for (key, value) in object {
                if path == key {
                    leaves(value, found);
                } else if let Some(rest) = path
                    .strip_prefix(key.as_str())
                    .and_then(|rest| rest.strip_prefix('.'))
                {
                    naive(value, rest, found);
                }
            }
        }
        _ => {}
    }
}

fn leaves<'j>(json: &'j Json, found: &mut Vec<&'j Json>) {
    match json {
        Json::Array(items) => items.iter().for_each(|item| leaves(item, found)),
        Json::Object(_) | Json::Null => {}
        scalar => found.push(scalar),
    }
}

fn document() -> impl Strategy<Value = Json> {
    let scalar = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        "\\PC{0,20}".prop_map(Json::from),
        "[a\\\\\"\n\u{1}é😀]{0,40}".prop_map(Json::from),
    ];
    let value = scalar.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            proptest::collection::vec((key(), inner), 0..6)
                .prop_map(|pairs| Json::Object(pairs.into_iter().collect())),
        ]
    });
    proptest::collection::vec((key(), value), 0..6)
        .prop_map(|pairs| Json::Object(pairs.into_iter().collect()))
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("a".to_owned()),
        Just("b".to_owned()),
        Just("a.b".to_owned()),
        Just("b.a".to_owned()),
        Just("a.b.a".to_owned()),
        Just("é\n".to_owned()),
        Just("a_key_of_more_than_16_bytes".to_owned()),
        "\\PC{0,12}",
    ]
}

const PATHS: [&str; 7] = [
    "a",
    "a.b",
    "a.b.a",
    "b",
    "é\n",
    "a_key_of_more_than_16_bytes",
    "b.a_key_of_more_than_16_bytes.b.a",
];

fn paths() -> Slots {
    let mut slots = Slots::default();
    for path in PATHS {
        slots.add(Field::new(path, Dynamic));
    }
    slots
}

proptest! {
    #[test]
    fn rows_hold_what_a_walk_over_the_document_finds(json in document(), pretty in any::<bool>()) {
        let slots = paths();
        let text = if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) }.unwrap();
        let mut from_text = Row::default();
        let mut from_document = Row::default();
        from_text.read(&slots, text.as_bytes()).unwrap();
        from_document.read_from(&slots, &json).unwrap();
        for (slot, path) in (0..).map(Slot).zip(PATHS) {
            let mut expected = Vec::new();
            naive(&json, path, &mut expected);
            let expected: Vec<String> = expected
                .into_iter()
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                .collect();
            for row in [&from_text, &from_document] {
                let found: Vec<String> = row.values(slot).map(|value| value.to_string()).collect();
                prop_assert_eq!(&found, &expected, "{} in {}", path, &text);
            }
        }
    }

    #[test]
    fn what_was_read_before_makes_no_difference(
        documents in proptest::collection::vec((document(), 0_u8..3), 1..6),
        order in proptest::collection::vec((any::<proptest::sample::Index>(), 0_u8..6, any::<proptest::sample::Index>()), 1..40),
        everything in any::<bool>(),
    ) {
        let mut slots = paths();
        if everything {
            slots.add(Field::new(crate::ANY_FIELD, Dynamic));
        }
        let texts: Vec<Vec<u8>> = documents
            .iter()
            .map(|(json, form)| match form {
                0 => json.to_string().into_bytes(),
                1 => serde_json::to_string_pretty(json).unwrap().into_bytes(),
                _ => format!("\u{feff} {json}\n").into_bytes(),
            })
            .collect();
        let mut practised = Row::default();
        for (which, edit, place) in order {
            let mut text = which.get(&texts).clone();
            let place = place.index(text.len());
            match edit {
                0 => text.truncate(place),
                1 => { text.remove(place); }
                2 => text.insert(place, b'"'),
                _ => {}
            }
            let mut fresh = Row::default();
            prop_assert_eq!(practised.read(&slots, &text), fresh.read(&slots, &text), "{:?}", String::from_utf8_lossy(&text));
            for slot in (0..u32::try_from(slots.len()).unwrap()).map(Slot) {
                let values = |row: &Row| row.values(slot).map(|value| value.to_owned()).collect::<Vec<_>>();
                prop_assert_eq!(values(&practised), values(&fresh), "{:?}", String::from_utf8_lossy(&text));
            }
            prop_assert_eq!(practised.malformed(), fresh.malformed());
        }
    }

    #[test]
    fn mutated_texts_are_judged_as_another_reader_judges_them(
        json in document(),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), 0_u8..4, "[\\[\\]{}\",:\\\\a-f0-9.eE+\\-\\x00-\\x20untrfl]"), 1..5),
    ) {
        let mut chars: Vec<char> = json.to_string().chars().collect();
        for (place, what, new) in edits {
            let place = place.index(chars.len() + 1);
            match what {
                0 => chars.truncate(place),
                1 if place < chars.len() => { chars.remove(place); }
                2 if place < chars.len() => chars[place] = new.chars().next().unwrap(),
                _ => chars.insert(place, new.chars().next().unwrap()),
            }
        }
        let text: String = chars.into_iter().collect();
        let valid = serde_json::from_str::<serde::de::IgnoredAny>(&text);
        let is_object = text.trim_start_matches([' ', '\n', '\r', '\t']).starts_with('{');
        for slots in [paths(), Slots::default()] {
            let outcome = Row::default().read(&slots, text.as_bytes());
            prop_assert_eq!(outcome.is_ok(), valid.is_ok() && is_object, "{:?}: {:?} {:?}", text, outcome, valid);
            if let Err(ReadError::Json { offset, .. }) = outcome {
                prop_assert!(offset <= text.len());
            }
        }
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = Row::default().read(&paths(), &bytes);
        let _ = Row::default().read(&paths(), &[b"{\"a\":", bytes.as_slice()].concat());
        let _ = Row::default().read(&paths(), &[b"{\"skip\":\"", bytes.as_slice()].concat());
    }
}
