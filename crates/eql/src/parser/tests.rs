use super::parse;
use crate::ast::{Expr, ExprKind};

/// An expression with its structure in brackets.
fn shape(expr: &Expr, text: &str) -> String {
    let of = |expr: &Expr| shape(expr, text);
    let joined = |parts: &[Expr], word: &str| {
        format!(
            "[{}]",
            parts
                .iter()
                .map(of)
                .collect::<Vec<_>>()
                .join(&format!(" {word} "))
        )
    };
    match &expr.kind {
        ExprKind::Error => "!".to_owned(),
        ExprKind::Literal(_) => expr.span.text(text).to_owned(),
        ExprKind::Field(field) => format!("{}{}", if field.optional { "?" } else { "" }, field.name),
        ExprKind::Group(inner) => format!("({})", of(inner)),
        ExprKind::Call(call) => {
            format!(
                "{}{}{}",
                call.name,
                if call.insensitive { "~" } else { "" },
                joined(&call.arguments, ",")
            )
        }
        ExprKind::Negate(inner) => format!("[- {}]", of(inner)),
        ExprKind::Arithmetic(operator, a, b) => format!("[{} {operator:?} {}]", of(a), of(b)),
        ExprKind::Compare(operator, _, a, b) => format!("[{} {} {}]", of(a), operator.text(), of(b)),
        ExprKind::Predicate(predicate) => {
            let not = if predicate.negated { "not " } else { "" };
            format!(
                "[{} {not}{} {}]",
                of(&predicate.value),
                predicate.operator.text(),
                joined(&predicate.list, ",")
            )
        }
        ExprKind::Not(inner) => format!("[not {}]", of(inner)),
        ExprKind::And(parts) => joined(parts, "and"),
        ExprKind::Or(parts) => joined(parts, "or"),
    }
}

fn condition(text: &str) -> String {
    let query = format!("any where {text}");
    let (tree, diagnostics) = parse(&query);
    assert!(diagnostics.is_empty(), "{query}: {diagnostics:?}");
    shape(&tree.unwrap().event_queries()[0].condition, &query)
}

/// The codes of a query's problems, each with the text under it.
fn problems(text: &str) -> Vec<String> {
    let (_, diagnostics) = parse(text);
    diagnostics
        .iter()
        .map(|diagnostic| format!("{} `{}`", diagnostic.code.name, diagnostic.span.text(text)))
        .collect()
}

/// The query with all sure fixes applied.
fn mended(text: &str) -> String {
    let mut mended = text.to_owned();
    let (_, diagnostics) = parse(text);
    let fixes = diagnostics.into_iter().filter_map(|diagnostic| diagnostic.fix);
    let mut edits: Vec<_> = fixes
        .filter(|fix| fix.applicability == neph_diag::Applicability::Sure)
        .flat_map(|fix| fix.edits)
        .collect();
    edits.sort_by_key(|edit| edit.span.start);
    for edit in edits.iter().rev() {
        mended.replace_range(edit.span.range(), &edit.replacement);
    }
    mended
}

#[test]
fn precedence_is_that_of_the_grammar() {
    assert_eq!(condition("a or b and not c"), "[a or [b and [not c]]]");
    assert_eq!(
        condition("1 + 2 * 3 : 3 == 7"),
        "[[1 Add [2 Multiply [3 : [3]]]] == 7]"
    );
    assert_eq!(condition("a - b - -c"), "[[a Subtract b] Subtract [- c]]");
    assert_eq!(
        condition("not a == 1 and (b or c)"),
        "[[not [a == 1]] and ([b or c])]"
    );
    assert_eq!(condition("x not in (1, 2)"), "[x not in [1 , 2]]");
    assert_eq!(
        condition("x in~ (\"a\") or y like~ \"b\""),
        "[[x in~ [\"a\"]] or [y like~ [\"b\"]]]"
    );
    assert_eq!(
        condition("startsWith~(?a.`b c`.d, \"x\")"),
        "startsWith~[?a.b c.d , \"x\"]"
    );
    assert_eq!(condition("`a``b` == null"), "[a`b == null]");
}

#[test]
fn several_errors_are_reported_at_once() {
    assert_eq!(
        problems("process where a = 1 and b == 'x' and or c in () and d[0] == \"\\q\" | head"),
        [
            "assignment-operator `=`",
            "single-quotes `'x'`",
            "syntax-error `or`",
            "syntax-error `)`",
            "array-index `0`",
            "invalid-escape `\\q`",
        ]
    );
    assert_eq!(
        problems("sequence by a with maxspan=30 [x where b = 1] [y where ] by c with runs=101 fork=true"),
        [
            "maxspan-form `30`",
            "assignment-operator `=`",
            "syntax-error `]`",
            "runs-form `101`",
            "syntax-error `fork`",
        ]
    );
}

#[test]
fn mistakes_of_other_languages_are_mended() {
    for (wrong, right) in [
        (
            "process where a = 'x' && b <> 1",
            "process where a == \"x\" and b != 1",
        ),
        (
            "process WHERE a == 1 AND NOT (b == 2)",
            "process where a == 1 and not (b == 2)",
        ),
        (
            "process where a == 'say \"hi\"'",
            "process where a == \"say \\\"hi\\\"\"",
        ),
        (
            "process where a not like \"x*\"",
            "process where not a like \"x*\"",
        ),
        ("process where a in (1, 2,)", "process where a in (1, 2)"),
        ("process where sequence == 1", "process where `sequence` == 1"),
        ("`a b` where true", "\"a b\" where true"),
        (
            "sequence with maxspan=1s by k [a where true] [b where true]",
            "sequence by k with maxspan=1s [a where true] [b where true]",
        ),
        (
            "sequence by k with maxspan=2 minutes [a where true] [b where true]",
            "sequence by k with maxspan=2m [a where true] [b where true]",
        ),
    ] {
        assert_eq!(mended(wrong), right);
        assert_eq!(problems(right), Vec::<String>::new(), "{right}");
    }
}

#[test]
fn refusals_say_what_is_wrong() {
    for (query, expected) in [
        ("", "syntax-error ``"),
        ("?x where true", "event-category `?x`"),
        ("12 where true", "event-category `12`"),
        ("process.name == \"a\"", "syntax-error `process`"),
        ("join [a where true] [b where true]", "join-unsupported `join`"),
        (
            "file where child of [registry where true]",
            "process-relationship `child of`",
        ),
        ("a where (b == 1", "syntax-error ``"),
        ("a where b == 1 == 2", "syntax-error `==`"),
        ("a where b : c", "syntax-error `c`"),
        (
            "sequence with maxspan=2.5m [a where true] [b where true]",
            "maxspan-form `2.5m`",
        ),
        (
            "sequence with maxspan=0s [a where true] [b where true]",
            "maxspan-form `0s`",
        ),
        ("sequence [a where true [b where true]", "syntax-error `[`"),
        ("a where \"x", "unterminated-string `\"x`"),
    ] {
        assert_eq!(problems(query), [expected], "{query}");
    }
}

#[test]
fn nesting_is_bounded_and_the_stack_holds() {
    let deep = |open: &str, close: &str, count: usize| {
        format!("any where {}true{}", open.repeat(count), close.repeat(count))
    };
    for query in [
        deep("(", ")", 50_000),
        deep("not ", "", 50_000),
        deep("- ", "", 50_000),
        deep("concat(", ")", 50_000),
        format!("any where 1{} == 1", " + 1".repeat(50_000)),
        deep("child of [a where ", "]", 50_000),
    ] {
        let found = problems(&query);
        assert!(
            found.iter().any(|problem| problem.starts_with("query-too-large")),
            "{found:?}"
        );
    }
    assert_eq!(problems(&deep("(", ")", 60)), Vec::<String>::new());
    let long = format!("any where {}", vec!["a == 1"; 20_000].join(" or "));
    assert_eq!(problems(&long), Vec::<String>::new());
    assert!(problems(&"x".repeat(crate::MAX_BYTES + 1))[0].starts_with("query-too-large"));
}
