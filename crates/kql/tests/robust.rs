//! No text makes the compilers panic, spans stay inside the text, and sure fixes leave a query that still compiles.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::sync::LazyLock;

use neph_diag::{Applicability, Diagnostic, has_errors};
use neph_event::{Instant, Schema};
use neph_kql::{CompileOptions, Dialect, compile, parse};
use proptest::prelude::*;

/// A small schema: looking for similar names in the built-in one takes long in an unoptimised build.
static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let mapping = r#"{"properties": {
        "@timestamp": {"type": "date"}, "name": {"type": "keyword"}, "n": {"type": "long"}, "ip": {"type": "ip"},
        "text": {"type": "text"}, "keyed": {"type": "flattened"}}}"#;
    Schema::from_mapping(mapping).unwrap().with_strict(false)
});

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
    }
}

fn check(text: &str) {
    for dialect in [Dialect::Kql, Dialect::Lucene] {
        let (expr, diagnostics) = parse(text, dialect);
        spans_fit(text, &diagnostics);
        expr.walk(&mut |expr| assert!(text.get(expr.span.range()).is_some(), "{expr:?} in {text:?}"));
        let options = CompileOptions::new(dialect, &SCHEMA, Instant::from_millis(0));
        let compiled = compile(text, &options);
        spans_fit(text, &compiled.diagnostics);
        assert_eq!(
            compiled.plan.is_none(),
            has_errors(&compiled.diagnostics),
            "{text:?}"
        );
        if let Some(plan) = compiled.plan {
            let sure: Vec<_> = compiled
                .diagnostics
                .iter()
                .filter_map(|diagnostic| diagnostic.fix.clone())
                .filter(|fix| fix.applicability == Applicability::Sure)
                .collect();
            let fixed = neph_diag::fix::apply(text, &sure, true).text;
            let again = compile(&fixed, &options).plan;
            assert!(again.is_some(), "{text:?} became {fixed:?}");
            assert!(!plan.fields.is_empty());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in ".{0,60}") {
        check(&text);
    }

    #[test]
    fn texts_of_the_languages_own_pieces(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "name", "n", "ip", "text", "@timestamp", "keyed.a", "na*", "*", ":", ": ", " and ", " or ", "not ", " AND ",
                " OR ", "NOT ", "(", ")", "{", "}", "[", "]", " TO ", "<", ">=", "\"", "\"x y\"", "\\", "\\:", "\\*", "\\u00e9",
                "/a.*/", "/", "+", "-", "~2", "^3", "x", "5", "10.0.0.0/8", "now-1d", "2020-01", "é", " ", "\n", "_exists_:", "null",
            ]),
            0..24,
        )
    ) {
        check(&pieces.concat());
    }
}

#[test]
fn long_texts_take_no_long_time() {
    for text in [
        "a: x or ".repeat(100_000),
        "(".repeat(1_000_000),
        "a: \"".repeat(200_000),
        "x ".repeat(400_000),
        " ".repeat(900_000),
        format!("a: x{}y", " ".repeat(900_000)),
        format!("a) b{}y", " ".repeat(900_000)),
        "name: (".to_owned() + &"a or ".repeat(150_000) + "b)",
        "\\".repeat(300_000),
        "not ".repeat(200_000),
        ")".repeat(20_000),
        "x".repeat(2_000_000),
    ] {
        for dialect in [Dialect::Kql, Dialect::Lucene] {
            let (_, diagnostics) = parse(&text, dialect);
            spans_fit(&text, &diagnostics);
        }
    }
}
