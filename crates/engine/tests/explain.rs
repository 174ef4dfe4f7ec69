//! What an explanation tells of the parts of a condition.

use std::sync::Arc;

use neph_engine::{Explainer, Explanation, Finding, Why, WhyNode};
use neph_event::{Field, FieldType, Value};
use neph_plan::{
    Case, Condition, EventQuery, Expr, FieldId, Function, Leaf, Pattern, Plan, Query, Relation, Span, Test,
};

const CATEGORY: FieldId = FieldId(1);
const NAME: FieldId = FieldId(2);
const SIZE: FieldId = FieldId(3);
const IP: FieldId = FieldId(4);

fn leaf(start: usize, test: Test) -> Condition {
    Condition::Leaf(Leaf {
        test,
        span: Span::new(start, start + 1),
    })
}

fn string(text: &str) -> Value {
    Value::String(text.into())
}

#[expect(clippy::panic, reason = "a test helper; the lint knows only test functions")]
fn explain(condition: Condition, document: &str) -> Explanation {
    let fields = vec![
        Field::new("@timestamp", FieldType::Date).into(),
        Field::new("event.category", FieldType::Keyword).into(),
        Field::new("process.name", FieldType::Keyword).into(),
        Field::new("size", FieldType::Long).into(),
        Field::new("ip", FieldType::Ip).into(),
    ];
    let query = Query::Events(EventQuery { condition });
    let plan = Plan {
        fields,
        time: FieldId(0),
        tiebreaker: None,
        query,
        limits: vec![],
        failing_indices: vec![],
    };
    let mut explainer = Explainer::new(&plan).unwrap_or_else(|error| panic!("{error:?}"));
    match explainer.explain(0, document.as_bytes()) {
        Ok(Some(explanation)) => explanation,
        other => panic!("{other:?}"),
    }
}

fn category() -> Condition {
    leaf(
        1,
        Test::Equals(CATEGORY, [string("process")].into(), Case::Sensitive),
    )
}

fn names(start: usize, patterns: &[&str]) -> Condition {
    let patterns = patterns
        .iter()
        .map(|pattern| Pattern::unescaped(pattern))
        .collect();
    leaf(start, Test::Like(NAME, patterns, Case::AsciiInsensitive))
}

fn finding(field: &str, value: Option<Value>, met: Option<&str>) -> Finding {
    Finding {
        field: field.into(),
        value,
        met: met.map(Into::into),
    }
}

#[test]
fn each_test_names_the_value_and_the_alternative_that_it_met() {
    let large = leaf(3, Test::Compare(SIZE, Relation::GreaterOrEqual, Value::Long(10)));
    let inside = leaf(
        4,
        Test::Cidr(
            IP,
            ["192.168.0.0/16".parse().unwrap(), "10.0.0.0/8".parse().unwrap()].into(),
        ),
    );
    let condition = Condition::And(vec![
        category(),
        names(2, &["curl", "py*n?", "wget"]),
        large,
        inside,
    ]);
    let document = r#"{"event":{"category":["x","process"]},"process":{"name":"PYTHON3"},"size":[3,12,11],"ip":"10.1.2.3"}"#;
    let explanation = explain(condition, document);
    assert!(explanation.why.holds);
    let tests = explanation.why.deciding_tests();
    assert_eq!(
        tests.iter().map(|test| test.span.start).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    assert_eq!(
        tests[0].findings,
        [finding(
            "event.category",
            Some(string("process")),
            Some("process")
        )]
    );
    assert_eq!(
        tests[1].findings,
        [finding("process.name", Some(string("PYTHON3")), Some("py*n?"))]
    );
    let sizes = [12, 11].map(|size| finding("size", Some(Value::Long(size)), Some(">= 10")));
    assert_eq!(tests[2].findings, sizes);
    let address = Value::Ip("10.1.2.3".parse().unwrap());
    assert_eq!(
        tests[3].findings,
        [finding("ip", Some(address.clone()), Some("10.0.0.0/8"))]
    );
    let field = |name: &str, value| (Arc::from(name), value);
    assert_eq!(
        explanation.matched_fields(),
        [
            field("event.category", string("process")),
            field("process.name", string("PYTHON3")),
            field("size", Value::Long(12)),
            field("size", Value::Long(11)),
            field("ip", address),
        ]
    );
}

#[test]
fn a_negation_tells_whether_the_field_is_missing_or_has_another_value() {
    let condition = Condition::And(vec![category(), Condition::Not(Box::new(names(2, &["curl"])))]);
    let missing = explain(condition.clone(), r#"{"event.category":"process"}"#);
    assert!(missing.why.holds);
    assert_eq!(
        missing.why.deciding_tests()[1].findings,
        [finding("process.name", None, None)]
    );
    let other = explain(
        condition.clone(),
        r#"{"event.category":"process","process.name":["wget","nc"]}"#,
    );
    let failed = ["wget", "nc"].map(|name| finding("process.name", Some(string(name)), None));
    assert_eq!(other.why.deciding_tests()[1].findings, failed);
    assert_eq!(
        other.matched_fields(),
        [("event.category".into(), string("process"))]
    );
    let refuted = explain(
        condition,
        r#"{"event.category":"process","process.name":["wget","curl"]}"#,
    );
    assert!(!refuted.why.holds);
    // What refutes the whole is the name alone, the category holding.
    let deciding = refuted.why.deciding_tests();
    assert_eq!(deciding.len(), 1);
    assert_eq!(
        deciding[0].findings,
        [finding("process.name", Some(string("curl")), Some("curl"))]
    );
}

#[test]
fn the_tree_has_the_shape_of_the_query() {
    let condition = Condition::Or(vec![
        Condition::And(vec![category(), Condition::Const(true)]),
        Condition::Not(Box::new(leaf(2, Test::Exists(NAME)))),
    ]);
    let explanation = explain(condition, r#"{"process":{"name":"x"}}"#);
    let WhyNode::Any(parts) = &explanation.why.node else {
        panic!("{explanation:?}")
    };
    assert_eq!(
        parts.iter().map(|part| part.holds).collect::<Vec<_>>(),
        [false, false]
    );
    let [
        Why {
            node: WhyNode::All(inner),
            ..
        },
        Why {
            node: WhyNode::Not(negated),
            holds: false,
        },
    ] = parts.as_slice()
    else {
        panic!("{parts:?}")
    };
    assert!(!inner[0].holds && inner[1].holds && inner[1].node == WhyNode::Constant);
    assert!(negated.holds);
    assert_eq!(explanation.matched_fields(), []);
}

#[test]
fn an_expression_shows_the_choice_that_made_it_true() {
    let concat = Expr::Call(
        Function::Concat,
        vec![Expr::Field(NAME), Expr::Field(CATEGORY)],
        Case::Sensitive,
    );
    let expr = Expr::Equals(Box::new(concat), Box::new(Expr::Const(Some(string("b2")))));
    let condition = leaf(5, Test::Expr(expr));
    let explanation = explain(
        condition.clone(),
        r#"{"process.name":["a","b"],"event.category":["1","2"]}"#,
    );
    let chosen = [
        finding("process.name", Some(string("b")), None),
        finding("event.category", Some(string("2")), None),
    ];
    assert_eq!(explanation.why.deciding_tests()[0].findings, chosen);
    let explanation = explain(condition, r#"{"process.name":"a"}"#);
    let failed = [
        finding("process.name", Some(string("a")), None),
        finding("event.category", None, None),
    ];
    assert_eq!(explanation.why.deciding_tests()[0].findings, failed);
}

#[test]
fn many_values_are_listed_in_part_and_counted() {
    let list: Vec<String> = (0..50).map(|number| format!("\"n{number}\"")).collect();
    let document = format!(r#"{{"process.name":[{}]}}"#, list.join(","));
    let test = explain(names(1, &["n*"]), &document);
    let test = test.why.deciding_tests()[0].clone();
    assert_eq!((test.findings.len(), test.unlisted), (8, 42));
}
