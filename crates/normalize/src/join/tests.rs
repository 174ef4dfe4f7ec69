use super::{Joined, Joiner, Joining, MAX_GROUP_BYTES, MAX_HELD_BYTES, Part};

/// `id=7 …` is a line of group 7, `id=7 end` its last; `begin` opens the one group of lines that begin with `-`.
fn part(line: &str) -> Part<'_> {
    if line.starts_with("begin") {
        return Part::First("");
    }
    if line.starts_with('-') {
        return Part::More("");
    }
    let Some(rest) = line.strip_prefix("id=") else {
        return Part::Alone;
    };
    match rest.split_once(' ') {
        Some((key, "end")) => Part::Last(key),
        Some((key, _)) => Part::More(key),
        None => Part::Alone,
    }
}

fn table(line: &str) -> Part<'_> {
    if line.starts_with("#Fields") {
        Part::Head
    } else if line.starts_with('|') {
        Part::Row
    } else {
        Part::Alone
    }
}

fn joiner() -> Joiner<usize> {
    let joining = |part, marks| Joining {
        source: "test",
        marks,
        part,
        patience: 5,
    };
    Joiner::of(vec![joining(part, &["id=", "begin", "-"]), joining(table, &[])])
}

/// What comes out, a record a line with the number of its first line; `joined` are those that were taken.
fn run(joiner: &mut Joiner<usize>, lines: &[&str]) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    let text = |joined: Joined<usize>| (joined.first, String::from_utf8(joined.record).unwrap());
    for (number, line) in lines.iter().enumerate() {
        let taken = joiner.push(line.as_bytes(), number);
        while let Some(joined) = joiner.next_joined() {
            out.push(text(joined));
        }
        if !taken {
            out.push((number, (*line).to_owned()));
        }
    }
    joiner.finish();
    while let Some(joined) = joiner.next_joined() {
        out.push(text(joined));
    }
    out
}

fn check(lines: &[&str], expected: &[(usize, &str)]) {
    let found = run(&mut joiner(), lines);
    let found: Vec<(usize, &str)> = found
        .iter()
        .map(|(number, text)| (*number, text.as_str()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn interleaved_groups_are_told_apart() {
    check(
        &["id=1 a", "other", "id=2 a", "id=1 b", "id=2 end", "id=1 end"],
        &[
            (1, "other"),
            (2, "id=2 a\nid=2 end"),
            (0, "id=1 a\nid=1 b\nid=1 end"),
        ],
    );
}

#[test]
fn a_first_line_ends_the_group_before_it() {
    check(
        &["begin 1", "-a", "begin 2", "begin 3", "-b"],
        &[(0, "begin 1\n-a"), (2, "begin 2"), (3, "begin 3\n-b")],
    );
}

#[test]
fn groups_without_an_end_are_waited_for_so_long() {
    check(
        &[
            "id=1 a", "1", "2", "3", "id=1 b", "5", "6", "7", "8", "9", "10", "id=1 c",
        ],
        &[
            (1, "1"),
            (2, "2"),
            (3, "3"),
            (5, "5"),
            (6, "6"),
            (7, "7"),
            (8, "8"),
            (9, "9"),
            (0, "id=1 a\nid=1 b"),
            (10, "10"),
            (11, "id=1 c"),
        ],
    );
}

#[test]
fn wrapped_lines_are_joined_in_their_wrapping() {
    check(
        &[
            r#"{"host":"h","message":"id=1 \"a\"","x":[1]}"#,
            r#""id=1 b""#,
            r#"{"message":"id=1 c","host":"other"}"#,
            r#"{"message":"id=1 end"}"#,
            r#""id=1 end""#,
        ],
        &[
            (
                0,
                r#"{"host":"h","message":"id=1 \"a\"\nid=1 c\nid=1 end","x":[1]}"#,
            ),
            (1, r#""id=1 b\nid=1 end""#),
        ],
    );
}

#[test]
fn what_only_looks_like_a_line_goes_on_as_it_is() {
    let lines = [
        r#"{"message":{"id=":1}}"#,
        r#"{"id=1":"a","message":"no"}"#,
        r#"{"message":"id=1"#,
        r#"""#,
        "\"",
        "{",
        "",
    ];
    let expected: Vec<(usize, &str)> = lines.iter().copied().enumerate().collect();
    check(&lines, &expected);
}

#[test]
fn heads_go_in_front_of_their_rows() {
    check(
        &[
            "|early",
            "#Fields a",
            "|1",
            "else",
            "\"|quoted\"",
            "#Fields b",
            "|2",
        ],
        &[
            (0, "|early"),
            (1, "#Fields a"),
            (2, "#Fields a\n|1"),
            (3, "else"),
            (4, "\"|quoted\""),
            (5, "#Fields b"),
            (6, "#Fields b\n|2"),
        ],
    );
}

#[test]
fn memory_is_bounded() {
    let mut joiner = joiner();
    joiner.joinings[0].patience = u64::MAX;
    let long = "x".repeat(MAX_GROUP_BYTES / 4);
    for number in 0..200 {
        // One key grows beyond the bounds of a group, the others stay open.
        let line = format!("id={} {}", number % 2 * number, long);
        assert!(joiner.push(line.as_bytes(), number));
        assert!(joiner.held_bytes <= MAX_HELD_BYTES);
        while let Some(joined) = joiner.next_joined() {
            assert!(joined.record.len() <= MAX_GROUP_BYTES);
        }
    }
    joiner.finish();
    assert_eq!(joiner.held_bytes, 0);
    assert!(joiner.groups.is_empty() && joiner.queue.is_empty());
    // Groups that end at once leave nothing behind.
    for number in 0..100_000 {
        joiner.push(b"begin", number);
        while joiner.next_joined().is_some() {}
    }
    assert!(joiner.queue.len() <= 100_000);
    joiner.joinings[0].patience = 5;
    joiner.push(b"other", 0);
    assert!(joiner.queue.len() <= 6, "{}", joiner.queue.len());
}
