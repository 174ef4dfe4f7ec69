use super::*;
use crate::fields::shown;

/// The tree as text: conditions in brackets, values in single quotes (bare) or double ones.
fn tree(expr: &Expr) -> String {
    let list = |parts: &[Expr]| parts.iter().map(tree).collect::<Vec<_>>().join(" ");
    match &expr.kind {
        ExprKind::Error => "error".to_owned(),
        ExprKind::Everything => "everything".to_owned(),
        ExprKind::Or(parts) => format!("(or {})", list(parts)),
        ExprKind::And(parts) => format!("(and {})", list(parts)),
        ExprKind::Not(inner) => format!("(not {})", tree(inner)),
        ExprKind::Group(inner) => format!("[{}]", tree(inner)),
        ExprKind::Field(name, inner) => format!("{}={}", shown(&name.pattern), tree(inner)),
        ExprKind::Nested(name, inner) => format!("{}={{{}}}", shown(&name.pattern), tree(inner)),
        ExprKind::Range(name, operator, bound) => {
            format!("{} {operator:?} {}", shown(&name.pattern), shown(&bound.pattern))
        }
        ExprKind::Value(literal) => match literal.form {
            Form::Quoted => format!("{:?}", shown(&literal.pattern)),
            Form::Bare | Form::Regex => {
                let part = |part: &PatternPart| match part {
                    PatternPart::Literal(text) => text.to_string(),
                    PatternPart::One => "<?>".to_owned(),
                    PatternPart::Any => "<*>".to_owned(),
                };
                format!("'{}'", literal.pattern.parts.iter().map(part).collect::<String>())
            }
        },
    }
}

fn read(text: &str) -> String {
    let (expr, diagnostics) = parse(text);
    assert!(diagnostics.is_empty(), "{text}: {diagnostics:?}");
    tree(&expr)
}

fn errors(text: &str) -> Vec<String> {
    let (_, diagnostics) = parse(text);
    diagnostics
        .iter()
        .map(|each| format!("{}: {} @ {}", each.code.name, each.message, each.span.text(text)))
        .collect()
}

#[test]
fn and_binds_tighter_than_or_and_not_tighter_than_both() {
    assert_eq!(read("a: 1 or b: 2 and c: 3"), "(or a='1' (and b='2' c='3'))");
    assert_eq!(read("not a: 1 and b: 2"), "(and (not a='1') b='2')");
    assert_eq!(
        read("(a: 1 OR b: 2) And Not c: 3"),
        "(and [(or a='1' b='2')] (not c='3'))"
    );
    assert_eq!(read("not (a: 1)"), "(not [a='1'])");
    assert_eq!(read("  \n"), "everything");
}

#[test]
fn value_lists_have_the_same_operators() {
    assert_eq!(
        read("a: (x or not y and \"z w\")"),
        "a=[(or 'x' (and (not 'y') \"z w\"))]"
    );
    assert_eq!(read("a: (not (x or y))"), "a=[(not [(or 'x' 'y')])]");
    assert_eq!(read("a: ( x\n or\n y )"), "a=[(or 'x' 'y')]");
}

#[test]
fn bare_values_keep_inner_space_and_wildcards() {
    assert_eq!(read("a: foo bar   baz  "), "a='foo bar   baz'");
    assert_eq!(read("a: foo*b?r"), "a='foo<*>b?r'");
    assert_eq!(read("foo bar"), "'foo bar'");
    assert_eq!(read("a.*.b: *"), "a.*.b='<*>'");
    assert_eq!(read("a: android or notable"), "(or a='android' 'notable')");
    assert_eq!(read("a: and"), "a='and'");
}

#[test]
fn escapes_are_resolved() {
    assert_eq!(
        read(r"a: C\:\\x\*\(y\)\<\>\{\}\u0041\t!"),
        "a='C:\\x*(y)<>{}A\t!'"
    );
    assert_eq!(read(r"a: x \and y \OR z \not w"), "a='x and y OR z not w'");
    assert_eq!(read(r"a\:b: c"), "a:b='c'");
    assert_eq!(
        read(r#"a: "C:\Program \"x\" \\ \u00e9 \ud83d\ude00*""#),
        "a=\"C:\\\\Program \\\"x\\\" \\\\ é 😀*\""
    );
    assert_eq!(read("a: \"line\nbreak\""), "a=\"line\\nbreak\"");
}

#[test]
fn ranges_and_nested_objects() {
    assert_eq!(
        read("a >= 5 and b<\"now-1d\""),
        "(and a GreaterOrEqual 5 b Less now-1d)"
    );
    assert_eq!(read("a <=1 or b > 2"), "(or a LessOrEqual 1 b Greater 2)");
    assert_eq!(read("a:{ b: x and c: { d: y } }"), "a={(and b='x' c={d='y'})}");
    assert_eq!(read("\"a b\": x"), "a b='x'");
}

#[test]
fn every_problem_is_told_with_its_place() {
    assert_eq!(errors("a: (x or y"), ["kql-syntax: `(` is never closed @ ("]);
    assert_eq!(errors("a: x) and b: y"), ["kql-syntax: `)` closes nothing @ )"]);
    assert_eq!(errors("a: "), ["kql-syntax: a value is missing at the end @ "]);
    assert_eq!(errors("a: ()"), ["kql-syntax: the list of values is empty @ ()"]);
    assert_eq!(
        errors("and b: x"),
        Vec::<String>::new(),
        "the word is a text there, as in Kibana"
    );
    assert_eq!(
        errors("a: x:y"),
        ["kql-syntax: `:` cannot stand inside a value @ :"]
    );
    assert_eq!(
        errors("a: (x or b: y) and c: \"z"),
        [
            "kql-syntax: a list of values has values only, no fields @ b:",
            "kql-syntax: the quotation mark is never closed @ \"",
        ]
    );
    assert_eq!(
        errors("not(a: x) and b: (y or"),
        [
            "kql-syntax: a space is missing between `not` and `(` @ (",
            "kql-syntax: `(` is never closed @ (",
        ]
    );
    assert_eq!(
        errors("not not a: x"),
        ["kql-syntax: `not` stands twice in a row @ not not"]
    );
    assert_eq!(
        errors(r"a: C:\x"),
        ["kql-syntax: `:` cannot stand inside a value @ :"]
    );
    assert_eq!(
        errors(r"a: \Windows\*"),
        [r"kql-escape: this backslash starts no escape @ \"]
    );
    assert_eq!(
        errors("a: cannot be"),
        ["kql-syntax: `not` cannot stand behind a value @ n"]
    );
    assert_eq!(
        errors("a: x > 5"),
        ["kql-syntax: `>` cannot stand inside a value @ >"]
    );
    assert_eq!(errors("a:(x)and b:y"), ["kql-syntax: `a` cannot stand here @ a"]);
    assert_eq!(
        errors(": x"),
        ["kql-syntax: a condition is missing before `:` @ :"]
    );
}

#[test]
fn a_missing_space_is_put_in() {
    let text = "a: x and not(b: y)";
    let (_, diagnostics) = parse(text);
    let fixes: Vec<_> = diagnostics.iter().filter_map(|each| each.fix.clone()).collect();
    let fixed = neph_diag::fix::apply(text, &fixes, true).text;
    assert_eq!(fixed, "a: x and not (b: y)");
    assert_eq!(read(&fixed), "(and a='x' (not [b='y']))");
}

#[test]
fn nesting_is_bounded() {
    let deep = |levels: usize| format!("{}a: x{}", "(".repeat(levels), ")".repeat(levels));
    assert!(errors(&deep(MAX_DEPTH)).is_empty());
    for text in [
        deep(100_000),
        "not (".repeat(50_000),
        "a:{".repeat(50_000),
        format!("a: ({}", "(".repeat(50_000)),
    ] {
        let found = errors(&text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("query-too-large"), "{found:?}");
    }
}
