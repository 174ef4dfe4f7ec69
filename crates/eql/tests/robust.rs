//! No text makes the compiler panic, spans stay inside the text, and sure fixes leave a query that still compiles.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests fail the test"
)]

use std::sync::LazyLock;

use neph_diag::{Applicability, Diagnostic, has_errors};
use neph_eql::{CompileOptions, compile, eval_constant, parse};
use neph_event::{Instant, Schema};
use proptest::prelude::*;

fn spans_fit(text: &str, diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        let edits = diagnostic
            .fix
            .iter()
            .flat_map(|fix| &fix.edits)
            .map(|edit| edit.span);
        let labels = diagnostic.labels.iter().map(|label| label.span);
        for span in edits.chain(labels).chain([diagnostic.span]) {
            assert!(span.start <= span.end, "{diagnostic:?}");
            assert!(text.get(span.range()).is_some(), "{diagnostic:?} in {text:?}");
        }
        assert!(!diagnostic.message.ends_with('.'), "{}", diagnostic.message);
        if let Some(fix) = &diagnostic.fix {
            let ascending = fix
                .edits
                .windows(2)
                .all(|pair| pair[0].span.end <= pair[1].span.start);
            assert!(ascending, "{fix:?}");
        }
    }
}

/// A small schema: looking for similar names in the built-in one takes long in an unoptimised build.
static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let mapping = r#"{"properties": {
        "@timestamp": {"type": "date"}, "event.category": {"type": "keyword"}, "process.name": {"type": "keyword"},
        "process.pid": {"type": "long"}, "source.ip": {"type": "ip"}, "file.path": {"type": "text"}, "ratio": {"type": "double"}}}"#;
    Schema::from_mapping(mapping).unwrap().with_strict(false)
});

fn check(text: &str) {
    spans_fit(text, &parse(text).1);
    let compiled = compile(text, &CompileOptions::new(&SCHEMA, Instant::from_millis(0)));
    spans_fit(text, &compiled.diagnostics);
    assert_eq!(
        compiled.plan.is_some(),
        !has_errors(&compiled.diagnostics),
        "{text:?}"
    );
    if let Err(diagnostics) = eval_constant(text) {
        spans_fit(text, &diagnostics);
        assert!(!diagnostics.is_empty());
    }
}

/// Pieces of the language, for texts that come close to queries.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec![
            "process",
            "any",
            "where",
            "and",
            "or",
            "not",
            "in",
            "in~",
            "like",
            "like~",
            "regex",
            "regex~",
            ":",
            "==",
            "!=",
            "<",
            ">=",
            "=",
            "(",
            ")",
            "[",
            "]",
            "![",
            ",",
            "|",
            "head",
            "tail",
            "sequence",
            "sample",
            "by",
            "with",
            "maxspan",
            "runs",
            "until",
            "5m",
            "0",
            "1",
            "-1",
            "2.5",
            "1e9",
            "null",
            "true",
            "false",
            "process.name",
            "?user.id",
            "process.pid",
            "source.ip",
            "@timestamp",
            "`a b`",
            "\"x*\"",
            "\"C:\\\\x\"",
            "\"\\q\"",
            "'s'",
            "\"\"\"raw\"\"\"",
            "\"[a\"",
            "\"now-1d/d\"",
            "+",
            "-",
            "*",
            "/",
            "%",
            ".",
            "?",
            "~",
            "!",
            "&&",
            "||",
            "length",
            "concat",
            "startsWith~",
            "cidrMatch",
            "number",
            "between",
            "\"10.0.0.0/8\"",
            "child",
            "of",
            "fork",
            "//",
            "/*",
            "*/",
            "\n",
            "é",
            "\u{200b}",
            "“",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,4}",
        "\\PC{0,3}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_of_the_language_in_any_order(pieces in proptest::collection::vec(piece(), 0..40), glue in " ?") {
        check(&pieces.join(&glue));
    }

    #[test]
    fn any_text_at_all(text in any::<String>()) {
        check(&text);
    }
}

/// Found by fuzzing: the pattern goes wrong behind the end of a text that ends within it.
#[test]
fn a_regular_expression_without_end_is_reported_inside_the_text() {
    check("any where process.name regex'\"^cpr");
    check("any where process.name regex \"\\\"a");
    check("any where process.name regex \"\"\"\"é");
}

#[test]
fn the_ends_cut_off_of_a_query_are_survived() {
    let query = r#"sequence by host.id, ?user.id with maxspan=5m /* c */ [process where process.name in~ ("a", 'b') and not x.`y z` regex """[a-z]+""" or length(process.name) > -1 + 2 * 3] by a with runs=2 ![file where file.path : "C:\\x\u{41}*"] by b until [any where ?c == null] by d | head 5 | tail 2"#;
    for (end, _) in query.char_indices() {
        check(&query[..end]);
        check(&query[end..]);
    }
}

/// Applies the sure fixes of all diagnostics, as long as they do not overlap.
fn mend(text: &str, diagnostics: &[Diagnostic]) -> String {
    let fixes = diagnostics
        .iter()
        .filter_map(|diagnostic| diagnostic.fix.as_ref());
    let sure = fixes.filter(|fix| fix.applicability == Applicability::Sure);
    let mut edits: Vec<_> = sure.flat_map(|fix| &fix.edits).collect();
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let mut mended = String::new();
    let mut at = 0;
    for edit in edits {
        if edit.span.range().start < at {
            continue;
        }
        mended.push_str(&text[at..edit.span.range().start]);
        mended.push_str(&edit.replacement);
        at = edit.span.range().end;
    }
    mended.push_str(&text[at..]);
    mended
}

#[test]
fn a_first_step_that_mixes_operators_is_reported_and_mended_and_means_the_same() {
    let query = concat!(
        "sequence by host.id, process.parent.entity_id with maxspan=1s\n",
        " [process where host.os.type == \"linux\" and process.name : (\"curl\", \"wget\") or process.executable : \"/tmp/*\"",
        " or process.command_line : \"*169.254*\" and not process.executable : \"/opt/*\"]\n",
        " [network where destination.ip == \"169.254.169.254\"]",
    );
    let options = CompileOptions::new(Schema::builtin(), Instant::from_millis(0));
    let compiled = compile(query, &options);
    let codes: Vec<&str> = compiled
        .diagnostics
        .iter()
        .map(|diagnostic| diagnostic.code.name)
        .collect();
    assert_eq!(codes, ["and-or-mixed"]);
    assert_eq!(compiled.maxspan, Some(1_000_000_000));
    let mended = mend(query, &compiled.diagnostics);
    let again = compile(&mended, &options);
    assert!(again.diagnostics.is_empty(), "{:?}", again.diagnostics);
    // Spans differ, tests and logic do not.
    let logic = |compiled: &neph_eql::Compiled| {
        let text = format!("{:?}", compiled.plan);
        text.split("span: Span")
            .map(|part| part.split_once('}').map_or(part, |(_, rest)| rest).to_owned())
            .collect::<String>()
    };
    let skeleton = |text: String| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    assert_eq!(skeleton(logic(&compiled)), skeleton(logic(&again)));
}
