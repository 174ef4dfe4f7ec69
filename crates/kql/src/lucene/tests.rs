use super::*;
use crate::fields::shown;

fn tree(expr: &Expr) -> String {
    let list = |parts: &[Expr]| parts.iter().map(tree).collect::<Vec<_>>().join(" ");
    match &expr.kind {
        ExprKind::Error => "error".to_owned(),
        ExprKind::Everything => "everything".to_owned(),
        ExprKind::Or(parts) => format!("(or {})", list(parts)),
        ExprKind::And(parts) => format!("(and {})", list(parts)),
        ExprKind::Not(inner) => format!("(not {})", tree(inner)),
        ExprKind::Group(inner) | ExprKind::Nested(_, inner) => tree(inner),
        ExprKind::Field(name, inner) => format!("{}={}", shown(&name.pattern), tree(inner)),
        ExprKind::Range(_, operator, bound) => format!("{operator:?}<{}>", shown(&bound.pattern)),
        ExprKind::Value(literal) => match literal.form {
            Form::Quoted => format!("{:?}", shown(&literal.pattern)),
            Form::Bare => shown(&literal.pattern),
            Form::Regex => format!("/{}/", shown(&literal.pattern)),
        },
    }
}

fn read(text: &str) -> String {
    let (expr, diagnostics) = parse(text);
    assert!(diagnostics.is_empty(), "{text}: {diagnostics:?}");
    tree(&expr)
}

fn errors(text: &str) -> Vec<String> {
    parse(text).1.iter().map(|each| each.message.clone()).collect()
}

#[test]
fn marked_clauses_decide() {
    assert_eq!(read("a:1 AND b:2"), "(and a=1 b=2)");
    assert_eq!(read("a:1 OR b:2"), "(or a=1 b=2)");
    assert_eq!(read("a:1 b:2"), "(or a=1 b=2)");
    assert_eq!(read("+a:1 b:2 -c:3"), "(and a=1 (not c=3))");
    assert_eq!(read("a:1 AND NOT b:2"), "(and a=1 (not b=2))");
    assert_eq!(read("a:1 && !b:2"), "(and a=1 (not b=2))");
    assert_eq!(read("NOT a:1"), "(not a=1)");
    assert_eq!(read("a:1 OR b:2 AND c:3"), "(and b=2 c=3)", "as Lucene has it");
    assert_eq!(read("(a:1 OR b:2) AND c:3"), "(and (or a=1 b=2) c=3)");
    assert_eq!(read("a:(1 OR 2 AND NOT 3)"), "a=(and 2 (not 3))");
    assert_eq!(read(" "), "everything");
}

#[test]
fn all_kinds_of_values() {
    assert_eq!(read(r#"a:"x y\"z""#), r#"a="x y\"z""#);
    assert_eq!(read(r"a:C\:\\x\ y*"), r"a=C:\x y*");
    assert_eq!(read("a:x?z"), "a=x?z");
    assert_eq!(read(r"a:/x[0-9]+\/y/ AND b:1"), "(and a=/x[0-9]+/y/ b=1)");
    assert_eq!(read("_exists_:a.b"), "a.b=*");
    assert_eq!(read("a:[1 TO 5}"), "a=(and GreaterOrEqual<1> Less<5>)");
    assert_eq!(
        read("a:{* TO 2020-01-01T10:00:00Z]"),
        "a=LessOrEqual<2020-01-01T10:00:00Z>"
    );
    assert_eq!(read("a:[* TO *]"), "a=*");
    assert_eq!(read("a:>=5 AND b:<3"), "(and a=GreaterOrEqual<5> b=Less<3>)");
    assert_eq!(read("a:x^2 b:y"), "(or a=x b=y)");
    assert_eq!(read("foo"), "foo");
}

#[test]
fn problems_are_told() {
    assert_eq!(errors("a:(x OR y"), ["`(` is never closed"]);
    assert_eq!(
        errors("a:x) AND b:y"),
        ["this closes nothing", "a clause is missing before this operator"]
    );
    assert_eq!(errors("a:"), ["a value is missing here"]);
    assert_eq!(errors("a:[1 TO"), ["this is no range"]);
    assert_eq!(errors("AND a:x"), ["a clause is missing before this operator"]);
    assert_eq!(errors("a:x AND"), ["a clause is missing here"]);
    assert_eq!(errors("a:\"x"), ["the quotation mark is never closed"]);
    assert_eq!(errors("a:/x"), ["the regular expression is never closed"]);
    assert_eq!(
        errors("a:x~2"),
        ["fuzzy and proximity searches (`~`) are not supported"]
    );
    assert_eq!(errors(&"(".repeat(100_000)).len(), 1);
}
