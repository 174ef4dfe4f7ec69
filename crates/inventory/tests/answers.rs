//! Answers part by part, and what is wrong with those that are broken.

use neph_inventory::{AnswerError, Part, Shape, answers, whole_answers};

/// What is handed out, in words.
fn parts(text: &[u8]) -> (Vec<String>, Result<(), AnswerError>) {
    let mut told = Vec::new();
    let outcome = answers(text, &mut |part| {
        told.push(match part {
            Part::Item { list, value } => format!("{list}: {value}"),
            Part::End { shape, lists, rest } => {
                let shape = if shape == Shape::List { "list" } else { "object" };
                format!("{shape} {lists:?} {}", serde_json::Value::Object(rest))
            }
        });
    });
    (told, outcome)
}

#[test]
fn lists_are_handed_out_item_by_item() {
    let (told, outcome) =
        parts(br#"{"OwnerId": "1", "Snapshots": [{"a": [1]}, 2], "Empty": [], "More": {"b": null}}"#);
    assert_eq!(outcome, Ok(()));
    let rest = r#"{"OwnerId":"1","More":{"b":null}}"#;
    assert_eq!(
        told,
        [
            r#"Snapshots: {"a":[1]}"#.to_owned(),
            "Snapshots: 2".to_owned(),
            format!(r#"object ["Snapshots", "Empty"] {rest}"#),
        ]
    );
}

#[test]
fn answers_may_follow_one_another_and_begin_with_a_mark_of_order() {
    let (told, outcome) = parts(b"\xef\xbb\xbf[1]\n[]\n\n{\"a\": true}\n");
    assert_eq!(outcome, Ok(()));
    assert_eq!(
        told,
        [": 1", "list [] {}", "list [] {}", r#"object [] {"a":true}"#]
    );
}

#[test]
fn what_windows_powershell_wrote_is_read() {
    let text = "[{\"Name\": \"ä😀\"}]\r\n";
    for (mark, bytes) in [
        (
            [0xff, 0xfe],
            text.encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<u8>>(),
        ),
        (
            [0xfe, 0xff],
            text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        ),
    ] {
        let file = [&mark, bytes.as_slice()].concat();
        let (told, outcome) = parts(&file);
        assert_eq!(outcome, Ok(()));
        assert_eq!(told[0], ": {\"Name\":\"ä😀\"}");
        assert_eq!(whole_answers(&file).unwrap()[0][0]["Name"], "ä😀");
    }
}

#[test]
fn broken_answers_are_told_by_what_is_wrong() {
    for (text, expected) in [
        (&b""[..], AnswerError::Empty),
        (b" \n", AnswerError::Empty),
        (b"\xff\xfe[\0", AnswerError::Truncated { line: 1 }),
        (b"[{\"a\": 1},\n{\"b\"", AnswerError::Truncated { line: 2 }),
        (b"{\"Snapshots\": [", AnswerError::Truncated { line: 1 }),
        (b"{\"NextToken\": \"x", AnswerError::Truncated { line: 1 }),
        (b"\"text\"", AnswerError::Scalar),
        (b"[] 12", AnswerError::Scalar),
    ] {
        assert_eq!(parts(text).1, Err(expected), "{}", String::from_utf8_lossy(text));
    }
    for text in [
        &b"{]"[..],
        b"[1,]",
        b"Unable to locate credentials",
        b"\x1f\x8b\x08",
    ] {
        assert!(
            matches!(parts(text).1, Err(AnswerError::Json(_))),
            "{}",
            String::from_utf8_lossy(text)
        );
    }
    let deep = "[".repeat(100_000);
    assert!(matches!(parts(deep.as_bytes()).1, Err(AnswerError::Json(_))));
}

#[test]
fn an_item_is_bounded_and_a_list_is_not() {
    let large = format!("[\"{}\"]", "x".repeat(17 << 20));
    assert_eq!(parts(large.as_bytes()).1, Err(AnswerError::ItemTooLarge));
    let item = format!("\"{}\"", "x".repeat(1 << 20));
    let long = format!("{{\"a\": [{}]}}", [item.as_str(); 18].join(","));
    let (told, outcome) = parts(long.as_bytes());
    // What is no list is kept until the end, and is no more than an item, whatever stands between.
    let kept: Vec<String> = (0..18)
        .map(|number| format!("\"k{number}\": {item}, \"l{number}\": [1]"))
        .collect();
    assert_eq!(
        parts(format!("{{{}}}", kept.join(",")).as_bytes()).1,
        Err(AnswerError::ItemTooLarge)
    );
    assert_eq!((told.len(), outcome), (19, Ok(())));
}
