//! The text rendering as people see it.

use neph_diag::render::{FileReport, file_text, summary, text};
use neph_diag::{Applicability, Code, Diagnostic, Edit, Severity, SourceFile, Span};
use proptest::prelude::*;

static MIXED: Code = Code {
    name: "and-or-mixed",
    severity: Severity::Warning,
    summary: "mixed",
    explanation: "page",
};
static UNKNOWN: Code = Code {
    name: "unknown-field",
    severity: Severity::Error,
    summary: "unknown",
    explanation: "page",
};

/// The span of the first `part` in `source`.
fn span_of(source: &str, part: &str) -> Span {
    let start = source.split(part).next().map_or(0, str::len);
    assert!(start < source.len(), "`{part}` is in the source");
    Span::new(start, start + part.len())
}

fn insert(at: usize, what: &str) -> Edit {
    Edit {
        span: Span::new(at, at),
        replacement: what.into(),
    }
}

fn mixed(source: &str) -> Diagnostic {
    let span = span_of(source, "b == 2 and c == 3");
    Diagnostic::new(&MIXED, span, "`and` and `or` are mixed without parentheses")
        .with_label("`and` is evaluated first")
        .with_secondary(span_of(source, "or"), "then this `or`")
        .with_help("put parentheses where you mean them")
        .with_fix(
            "put parentheses round the `and`",
            vec![insert(span.start as usize, "("), insert(span.end as usize, ")")],
            Applicability::Sure,
        )
}

fn check(diagnostic: &Diagnostic, source: &str, expected: &str) {
    let shown = text(
        diagnostic,
        &SourceFile {
            name: "rule.eql",
            text: source,
        },
        false,
    );
    assert!(shown == expected, "got:\n{shown}\nexpected:\n{expected}");
}

#[test]
fn labels_help_and_suggestion() {
    let source = "any where\n  a == 1 or b == 2 and c == 3";
    check(
        &mixed(source),
        source,
        r#"warning[and-or-mixed]: `and` and `or` are mixed without parentheses
 --> rule.eql:2:13
  |
2 |   a == 1 or b == 2 and c == 3
  |          -- ^^^^^^^^^^^^^^^^^ `and` is evaluated first
  |          |
  |          then this `or`
  |
  = help: put parentheses where you mean them
help: put parentheses round the `and`
  |
2 |   a == 1 or (b == 2 and c == 3)
  |             +                 +
"#,
    );
}

#[test]
fn a_long_line_is_cut_round_what_is_marked() {
    let source = format!(
        "any where {}a == 1 or b == 2 and c == 3{}",
        "x == 1 or ".repeat(300),
        " or z == 9".repeat(300)
    );
    check(
        &mixed(&source),
        &source,
        r#"warning[and-or-mixed]: `and` and `or` are mixed without parentheses
 --> rule.eql:1:3021
  |
1 | any where x == 1 or x == 1 or x == 1 or x == 1 or x == 1 or … x == 1 or x == 1 or x == 1 or a == 1 or b == 2 and c == 3 or z == 9 or z == 9 or z == 9 or z == 9 …
  |                  -- then this `or`                                                                    ^^^^^^^^^^^^^^^^^ `and` is evaluated first
  |
  = help: put parentheses where you mean them
help: put parentheses round the `and`
  |
1 |  … x == 1 or x == 1 or x == 1 or a == 1 or (b == 2 and c == 3) or z == 9 or z == 9 or z == 9 or z == 9 …
  |                                            +                 +
"#,
    );
}

#[test]
fn a_position_at_the_end_and_a_replacement() {
    let source = "any where process.nmae\n";
    let diagnostic = Diagnostic::new(
        &UNKNOWN,
        span_of(source, "process.nmae"),
        "unknown field `process.nmae`",
    )
    .with_fix(
        "write `process.name`",
        vec![Edit {
            span: span_of(source, "process.nmae"),
            replacement: "process.name".into(),
        }],
        Applicability::Maybe,
    );
    check(
        &diagnostic,
        source,
        r#"error[unknown-field]: unknown field `process.nmae`
 --> rule.eql:1:11
  |
1 | any where process.nmae
  |           ^^^^^^^^^^^^
  |
help: write `process.name` (not applied by `--fix`)
  |
1 - any where process.nmae
1 + any where process.name
  |
"#,
    );
    let end = Diagnostic::new(&UNKNOWN, Span::new(23, 23), "the query ends here");
    check(
        &end,
        source,
        r#"error[unknown-field]: the query ends here
 --> rule.eql:2:1
  |
2 |
  | ^
"#,
    );
}

#[test]
fn tabs_wide_and_steering_characters() {
    let source = "any\twhere\r\n\tname == \"漢字\u{202e}\u{1b}[31m\" and oops\r\n";
    let diagnostic = Diagnostic::new(
        &UNKNOWN,
        span_of(source, "oops"),
        "unknown field `\u{1b}[31moops`",
    )
    .with_secondary(span_of(source, "\"漢字\u{202e}\u{1b}[31m\""), "no\ndirection")
    .with_help("first\nsecond \u{7}");
    check(
        &diagnostic,
        source,
        r#"error[unknown-field]: unknown field `␛[31moops`
 --> rule.eql:2:25
  |
2 |     name == "漢字�␛[31m" and oops
  |             ------------     ^^^^
  |             |
  |             no direction
  |
  = help: first
          second ␇
"#,
    );
}

#[test]
fn a_span_over_many_lines() {
    let source = format!(
        "sequence\n  [any where a]\n{}  [any where b]\nuntil [any where c]",
        "\n".repeat(40)
    );
    let diagnostic = Diagnostic::new(
        &MIXED,
        Span::new(0, source.find("until").unwrap() - 1),
        "a sequence with no join key",
    )
    .with_secondary(span_of(&source, "until"), "ends it");
    check(
        &diagnostic,
        &source,
        r#"warning[and-or-mixed]: a sequence with no join key
  --> rule.eql:1:1
   |
 1 | / sequence
 2 | |   [any where a]
...  |
43 | |   [any where b]
   | |_______________^
44 |   until [any where c]
   |   ----- ends it
"#,
    );
}

#[test]
fn an_empty_text() {
    check(
        &Diagnostic::new(&UNKNOWN, Span::new(0, 0), "nothing is asked"),
        "",
        r#"error[unknown-field]: nothing is asked
 --> rule.eql:1:1
  |
1 |
  | ^
"#,
    );
}

#[test]
fn colour_is_only_added_when_asked_for() {
    let source = "any where a == 1 or b == 2 and c == 3";
    let file = SourceFile {
        name: "rule.eql",
        text: source,
    };
    let plain = text(&mixed(source), &file, false);
    let coloured = text(&mixed(source), &file, true);
    assert!(!plain.contains('\u{1b}'));
    assert!(coloured.contains("\u{1b}["), "{coloured:?}");
}

#[test]
fn a_file_shows_its_diagnostics_in_order() {
    let source = "any where a == 1 or b == 2 and c == 3";
    let file = SourceFile {
        name: "rule.eql",
        text: source,
    };
    let early = Diagnostic::new(&UNKNOWN, span_of(source, "a =="), "first");
    let late = Diagnostic::new(&UNKNOWN, span_of(source, "c =="), "last");
    let diagnostics = [late.clone(), mixed(source), early.clone()];
    let shown = file_text(
        &FileReport {
            source: file,
            diagnostics: &diagnostics,
        },
        false,
    );
    let expected = [&early, &mixed(source), &late].map(|diagnostic| text(diagnostic, &file, false));
    assert_eq!(shown, expected.join("\n"));
}

#[test]
fn the_summary_counts() {
    let source = "any where a == 1 or b == 2 and c == 3";
    let warnings = [mixed(source), mixed(source)];
    let errors = [Diagnostic::new(&UNKNOWN, Span::new(0, 1), "x")];
    let file = SourceFile {
        name: "a",
        text: source,
    };
    let report = |diagnostics| FileReport {
        source: file,
        diagnostics,
    };
    assert_eq!(summary(&[report(&[])]), "no problems in 1 file");
    assert_eq!(
        summary(&[report(&warnings), report(&errors), report(&[])]),
        "1 error, 2 warnings in 2 of 3 files"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
    #[test]
    fn any_text_and_any_spans_render(
        source in prop_oneof![
            "(?s).{0,60}",
            "[a\t\r\né漢\u{202e}\u{200b} ]{0,300}",
            "[ab ]{0,400}\n?[ab漢]{0,400}",
        ],
        spans in prop::collection::vec((0_usize..500, 0_usize..500), 1..8),
        edits in prop::collection::vec((0_usize..400, 0_usize..40, "(?s).{0,5}"), 0..4),
        message in "(?s).{0,20}",
    ) {
        let mut diagnostic = Diagnostic::new(&UNKNOWN, Span::new(spans[0].0, spans[0].1), message.clone())
            .with_label(message.clone());
        for (start, end) in &spans[1..] {
            diagnostic = diagnostic.with_secondary(Span::new(*start, *end), message.clone());
        }
        let edits = edits
            .into_iter()
            .map(|(start, len, replacement)| Edit { span: Span::new(start, start + len), replacement })
            .collect();
        let diagnostic = diagnostic.with_help(message).with_fix("t", edits, Applicability::Maybe);
        let file = SourceFile { name: "a\nb", text: &source };
        let shown = text(&diagnostic, &file, false);
        prop_assert!(shown.starts_with("error[unknown-field]"));
        prop_assert!(!shown.chars().any(|c| c != '\n' && (c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c))), "{shown:?}");
        let _ = text(&diagnostic, &file, true);
    }
}
