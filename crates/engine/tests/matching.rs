//! What each kind of test, key and clock field does to one record.

use std::sync::Arc;

use neph_engine::{Matcher, Origin, Program, Record, RuleIndex, StepMatch};
use neph_event::{Field, FieldType, Instant, Value};
use neph_plan::{
    Arithmetic, Case, Condition, EventQuery, Expr, FieldId, Function, Key, Leaf, Pattern, Plan, Query,
    RegexDialect, Relation, Sample, Sequence, Span, Stage, Test,
};

/// The fields that the tests below use, by the ids that the constants give.
fn fields() -> Vec<Field> {
    vec![
        Field::new("@timestamp", FieldType::Date),
        Field::new("event.sequence", FieldType::Long),
        Field::new("name", FieldType::Keyword),
        Field::new("size", FieldType::Long),
        Field::new("ratio", FieldType::Double),
        Field::new("ip", FieldType::Ip),
        Field::new("version", FieldType::Version),
        Field::new("flag", FieldType::Boolean),
        Field::new("any", FieldType::Dynamic),
        Field::new("tag", FieldType::Keyword),
        Field::new("nanos", FieldType::DateNanos),
    ]
}
const TIME: FieldId = FieldId(0);
const TIEBREAKER: FieldId = FieldId(1);
const NAME: FieldId = FieldId(2);
const SIZE: FieldId = FieldId(3);
const RATIO: FieldId = FieldId(4);
const IP: FieldId = FieldId(5);
const VERSION: FieldId = FieldId(6);
const FLAG: FieldId = FieldId(7);
const ANY: FieldId = FieldId(8);
const TAG: FieldId = FieldId(9);
const NANOS: FieldId = FieldId(10);

fn plan(query: Query) -> Plan {
    Plan {
        fields: fields(),
        time: TIME,
        tiebreaker: Some(TIEBREAKER),
        query,
        limits: Vec::new(),
        failing_indices: Vec::new(),
    }
}

fn events(condition: Condition) -> Plan {
    plan(Query::Events(EventQuery { condition }))
}

fn leaf(test: Test) -> Condition {
    Condition::Leaf(Leaf {
        test,
        span: Span::default(),
    })
}

fn not(condition: Condition) -> Condition {
    Condition::Not(Box::new(condition))
}

fn text(text: &str) -> Value {
    Value::String(text.into())
}

fn equals(field: FieldId, value: Value) -> Condition {
    leaf(Test::Equals(field, vec![value], Case::Sensitive))
}

fn like(field: FieldId, patterns: &[&str]) -> Condition {
    let patterns = patterns
        .iter()
        .map(|pattern| Pattern::unescaped(pattern))
        .collect();
    leaf(Test::Like(field, patterns, Case::AsciiInsensitive))
}

fn stage(condition: Condition, keys: Vec<Key>) -> Stage {
    Stage {
        condition,
        keys,
        missing: false,
        runs: 1,
        span: Span::default(),
    }
}

fn key(field: FieldId, optional: bool) -> Key {
    Key {
        name: "key".into(),
        field: Some(field),
        optional,
    }
}

fn matcher(plans: &[Plan]) -> Matcher {
    let (program, errors) = Program::compile(plans);
    assert_eq!(errors, vec![]);
    Matcher::new(Arc::new(program))
}

fn run(matcher: &mut Matcher, json: &str) -> Vec<StepMatch> {
    let origin = Origin {
        source: "test".into(),
        line: 1,
    };
    let record = Record {
        document: json.as_bytes(),
        id: None,
        index: None,
        position: 7,
        origin: &origin,
    };
    let mut found = Vec::new();
    assert_eq!(matcher.read(json.as_bytes()), Ok(()));
    matcher.matches(&record, |found_step| found.push(found_step));
    found
}

/// Checks for each record whether the condition holds.
fn check(condition: Condition, expected: &[(&str, bool)]) {
    let mut matcher = matcher(&[events(condition.clone())]);
    for (json, holds) in expected {
        assert_eq!(
            run(&mut matcher, json).len(),
            usize::from(*holds),
            "{json} under {condition:?}"
        );
    }
}

#[test]
fn a_missing_field_makes_a_test_false_and_its_negation_true() {
    let greater = leaf(Test::Compare(SIZE, Relation::Greater, Value::Long(-1)));
    check(greater.clone(), &[("{}", false), (r#"{"size":0}"#, true)]);
    check(
        not(greater),
        &[
            ("{}", true),
            (r#"{"size":null}"#, true),
            (r#"{"size":[]}"#, true),
            (r#"{"size":0}"#, false),
        ],
    );
    check(
        not(equals(NAME, text("v"))),
        &[
            ("{}", true),
            (r#"{"name":"v"}"#, false),
            (r#"{"name":"w"}"#, true),
        ],
    );
    check(
        leaf(Test::Exists(NAME)),
        &[
            ("{}", false),
            (r#"{"name":[null]}"#, false),
            (r#"{"name":""}"#, true),
        ],
    );
}

#[test]
fn any_of_several_values_satisfies_and_none_may_for_a_negation() {
    let both = Condition::And(vec![equals(TAG, text("a")), equals(TAG, text("b"))]);
    check(both, &[(r#"{"tag":["a","b"]}"#, true), (r#"{"tag":"a"}"#, false)]);
    check(
        not(equals(TAG, text("a"))),
        &[(r#"{"tag":["a","b"]}"#, false), (r#"{"tag":["b","c"]}"#, true)],
    );
    check(equals(TAG, text("b")), &[(r#"{"tag":[{"x":1},"b"]}"#, true)]);
}

#[test]
fn equality_is_exact_and_wildcards_fold_ascii_letters_only() {
    check(
        equals(NAME, text("c*")),
        &[
            (r#"{"name":"c*"}"#, true),
            (r#"{"name":"cmd"}"#, false),
            (r#"{"name":"C*"}"#, false),
        ],
    );
    check(
        like(NAME, &["curl", "python*", "*.EXE", "*secret*", "a?c*e"]),
        &[
            (r#"{"name":"CURL"}"#, true),
            (r#"{"name":"curly"}"#, false),
            (r#"{"name":"Python3.11"}"#, true),
            (r#"{"name":"ipython"}"#, false),
            (r#"{"name":"cmd.exe"}"#, true),
            (r#"{"name":"top SECRET file"}"#, true),
            (r#"{"name":"abcde"}"#, true),
            (r#"{"name":"abcd"}"#, false),
            (r#"{"name":""}"#, false),
            ("{}", false),
        ],
    );
    check(
        like(NAME, &["*Ä*"]),
        &[(r#"{"name":"xÄx"}"#, true), (r#"{"name":"xäx"}"#, false)],
    );
    let unicode = leaf(Test::Contains(NAME, vec!["Ä".into()], Case::Insensitive));
    check(
        unicode,
        &[(r#"{"name":"xäx"}"#, true), (r#"{"name":"xax"}"#, false)],
    );
    check(like(NAME, &["*"]), &[(r#"{"name":""}"#, true), ("{}", false)]);
}

#[test]
fn long_lists_are_found_as_short_ones_are() {
    let names: Vec<String> = (0..200).map(|number| format!("*needle{number}*")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    check(
        like(NAME, &names),
        &[
            (r#"{"name":"has NEEDLE137 in it"}"#, true),
            (r#"{"name":"needle"}"#, false),
        ],
    );
    let starts: Vec<Box<str>> = (0..200).map(|number| format!("start{number}").into()).collect();
    let ends = starts.clone();
    let starts = leaf(Test::StartsWith(NAME, starts, Case::Sensitive));
    check(
        starts,
        &[
            (r#"{"name":"start99 x"}"#, true),
            (r#"{"name":"start"}"#, false),
            (r#"{"name":"Start99"}"#, false),
        ],
    );
    let ends = leaf(Test::EndsWith(NAME, ends, Case::Sensitive));
    check(
        ends,
        &[
            (r#"{"name":"x start19"}"#, true),
            (r#"{"name":"start19 x"}"#, false),
            (r#"{"name":"9"}"#, false),
        ],
    );
}

#[test]
fn numbers_compare_by_value_whatever_their_width() {
    check(
        equals(SIZE, Value::Double(3.0)),
        &[
            (r#"{"size":3}"#, true),
            (r#"{"size":"3"}"#, true),
            (r#"{"size":4}"#, false),
        ],
    );
    check(
        equals(RATIO, Value::Long(1)),
        &[
            (r#"{"ratio":1.0}"#, true),
            (r#"{"ratio":1}"#, true),
            (r#"{"ratio":1.5}"#, false),
        ],
    );
    check(
        equals(SIZE, Value::Unsigned(u64::MAX)),
        &[
            (r#"{"size":18446744073709551615}"#, true),
            (r#"{"size":-1}"#, false),
        ],
    );
    check(equals(SIZE, text("12")), &[(r#"{"size":12}"#, true)]);
    check(
        equals(SIZE, text("abc")),
        &[(r#"{"size":12}"#, false), ("{}", false)],
    );
    check(
        leaf(Test::Compare(RATIO, Relation::LessOrEqual, Value::Long(2))),
        &[
            (r#"{"ratio":2}"#, true),
            (r#"{"ratio":2.1}"#, false),
            (r#"{"ratio":[9,1]}"#, true),
        ],
    );
}

#[test]
fn dynamic_values_compare_across_types() {
    check(
        equals(ANY, Value::Long(5)),
        &[
            (r#"{"any":5}"#, true),
            (r#"{"any":"5"}"#, true),
            (r#"{"any":5.0}"#, true),
            (r#"{"any":"05"}"#, true),
            (r#"{"any":"x"}"#, false),
        ],
    );
    check(
        equals(ANY, text("5")),
        &[
            (r#"{"any":5}"#, true),
            (r#"{"any":"5"}"#, true),
            (r#"{"any":"05"}"#, false),
        ],
    );
    check(
        equals(ANY, text("true")),
        &[(r#"{"any":true}"#, true), (r#"{"any":false}"#, false)],
    );
    check(
        equals(ANY, Value::Bool(true)),
        &[
            (r#"{"any":true}"#, true),
            (r#"{"any":"true"}"#, true),
            (r#"{"any":1}"#, false),
        ],
    );
    check(
        equals(ANY, text("Curl")),
        &[(r#"{"any":"Curl"}"#, true), (r#"{"any":"curl"}"#, false)],
    );
    check(
        like(ANY, &["46*"]),
        &[
            (r#"{"any":4624}"#, true),
            (r#"{"any":"4624"}"#, true),
            (r#"{"any":5000}"#, false),
        ],
    );
    let greater = leaf(Test::Compare(ANY, Relation::Greater, Value::Long(9)));
    check(
        greater,
        &[
            (r#"{"any":10}"#, true),
            (r#"{"any":"10"}"#, true),
            (r#"{"any":"9"}"#, false),
            (r#"{"any":"ten"}"#, false),
        ],
    );
    let date = Value::Date(Instant::from_millis(1_600_000_000_000));
    check(
        equals(ANY, date),
        &[
            (r#"{"any":1600000000000}"#, true),
            (r#"{"any":"2020-09-13T12:26:40Z"}"#, true),
        ],
    );
    let ip = Value::Ip("2001:db8::1".parse().unwrap());
    check(
        equals(ANY, ip),
        &[
            (r#"{"any":"2001:db8:0:0::1"}"#, true),
            (r#"{"any":"2001:db8::2"}"#, false),
        ],
    );
}

#[test]
fn addresses_versions_dates_and_booleans() {
    check(
        equals(IP, text("10.0.0.1")),
        &[
            (r#"{"ip":"10.0.0.1"}"#, true),
            (r#"{"ip":"::ffff:10.0.0.1"}"#, true),
            (r#"{"ip":"10.0.0.2"}"#, false),
        ],
    );
    let cidr = Test::Cidr(
        IP,
        vec!["10.6.48.157/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
    );
    check(
        leaf(cidr.clone()),
        &[
            (r#"{"ip":"10.1.2.3"}"#, true),
            (r#"{"ip":"11.1.2.3"}"#, false),
            (r#"{"ip":"2001:db8::9"}"#, true),
            ("{}", false),
        ],
    );
    check(not(leaf(cidr)), &[("{}", true), (r#"{"ip":"10.1.2.3"}"#, false)]);
    let on_text = Test::Cidr(ANY, vec!["10.0.0.0/8".parse().unwrap()]);
    check(
        leaf(on_text),
        &[
            (r#"{"any":"10.9.9.9"}"#, true),
            (r#"{"any":"ten"}"#, false),
            (r#"{"any":10}"#, false),
        ],
    );
    check(
        equals(VERSION, Value::Version("1.2".into())),
        &[(r#"{"version":"1.2"}"#, true), (r#"{"version":"1.2.0"}"#, false)],
    );
    let below = leaf(Test::Compare(
        VERSION,
        Relation::Less,
        Value::Version("1.10.0".into()),
    ));
    check(
        below,
        &[
            (r#"{"version":"1.9.0"}"#, true),
            (r#"{"version":"1.10.0-beta"}"#, true),
            (r#"{"version":"1.10.1"}"#, false),
            (r#"{"version":"none"}"#, false),
        ],
    );
    check(
        equals(TIME, text("2020-01-01T00:00:00Z")),
        &[
            (r#"{"@timestamp":"2020-01-01T00:00:00.000Z"}"#, true),
            (r#"{"@timestamp":1577836800000}"#, true),
            (r#"{"@timestamp":"2020-01-01T00:00:00.001Z"}"#, false),
        ],
    );
    let nanos = Value::Date(Instant {
        seconds: 1_577_836_800,
        nanos: 1,
    });
    check(
        equals(NANOS, nanos),
        &[
            (r#"{"nanos":"2020-01-01T00:00:00.000000001Z"}"#, true),
            (r#"{"nanos":"2020-01-01T00:00:00Z"}"#, false),
        ],
    );
    check(
        equals(FLAG, Value::Bool(false)),
        &[
            (r#"{"flag":false}"#, true),
            (r#"{"flag":true}"#, false),
            ("{}", false),
        ],
    );
    check(
        not(equals(FLAG, Value::Bool(true))),
        &[(r#"{"flag":false}"#, true), ("{}", true)],
    );
}

#[test]
fn regular_expressions_cover_the_whole_value_or_search() {
    let test = |expression: &str, dialect| {
        leaf(Test::Regex(
            NAME,
            vec![expression.into()],
            dialect,
            Case::Sensitive,
        ))
    };
    check(
        test("c[a-z]+l", RegexDialect::Lucene),
        &[
            (r#"{"name":"curl"}"#, true),
            (r#"{"name":"curly"}"#, false),
            ("{}", false),
        ],
    );
    check(
        test("url", RegexDialect::Search),
        &[(r#"{"name":"curly"}"#, true), (r#"{"name":"wget"}"#, false)],
    );
}

#[test]
fn an_expression_holds_for_some_choice_of_values_and_null_is_false() {
    let concat = |a, b| {
        Expr::Call(
            Function::Concat,
            vec![Expr::Field(a), Expr::Field(b)],
            Case::Sensitive,
        )
    };
    let joined = Expr::Equals(
        Box::new(concat(NAME, TAG)),
        Box::new(Expr::Const(Some(text("xb")))),
    );
    check(
        leaf(Test::Expr(joined)),
        &[
            (r#"{"name":["w","x"],"tag":["a","b"]}"#, true),
            (r#"{"name":["w","x"],"tag":["a"]}"#, false),
            (r#"{"name":"xb"}"#, false),
        ],
    );
    // Two uses of a field share the choice.
    let twice = Expr::Equals(
        Box::new(concat(TAG, TAG)),
        Box::new(Expr::Const(Some(text("ab")))),
    );
    check(
        leaf(Test::Expr(twice)),
        &[
            (r#"{"tag":["a","b","ab"]}"#, false),
            (r#"{"tag":["a","b"]}"#, false),
        ],
    );
    let greater = Expr::Compare(
        Relation::Greater,
        Box::new(Expr::Field(SIZE)),
        Box::new(Expr::Const(Some(Value::Long(-1)))),
    );
    let is_null = leaf(Test::Expr(Expr::IsNull(Box::new(greater.clone()))));
    check(is_null, &[("{}", true), (r#"{"size":3}"#, false)]);
    check(
        leaf(Test::Expr(Expr::Not(Box::new(greater)))),
        &[("{}", false), (r#"{"size":3}"#, false), (r#"{"size":-3}"#, true)],
    );
    let half = Expr::Arithmetic(
        Arithmetic::Divide,
        Box::new(Expr::Field(SIZE)),
        Box::new(Expr::Const(Some(Value::Long(2)))),
    );
    let half = Expr::Equals(Box::new(half), Box::new(Expr::Const(Some(Value::Long(41)))));
    check(
        leaf(Test::Expr(half)),
        &[
            (r#"{"size":82}"#, true),
            (r#"{"size":83}"#, true),
            (r#"{"size":84}"#, false),
        ],
    );
}

#[test]
fn null_is_three_valued_inside_a_leaf() {
    let null = || Expr::Const(None);
    let truth = |truth| Expr::Const(Some(Value::Bool(truth)));
    for (expr, expected) in [
        (Expr::Not(Box::new(Expr::And(vec![null(), truth(false)]))), true),
        (Expr::Not(Box::new(Expr::And(vec![null(), truth(true)]))), false),
        (Expr::Or(vec![null(), truth(true)]), true),
        (Expr::IsNull(Box::new(Expr::Or(vec![null(), truth(false)]))), true),
        (
            Expr::IsNull(Box::new(Expr::In(
                Box::new(truth(true)),
                vec![null(), truth(false)],
                Case::Sensitive,
            ))),
            true,
        ),
        (
            Expr::In(Box::new(truth(true)), vec![null(), truth(true)], Case::Sensitive),
            true,
        ),
        (
            Expr::IsNull(Box::new(Expr::Like(Box::new(null()), vec![], Case::Sensitive))),
            true,
        ),
    ] {
        check(leaf(Test::Expr(expr)), &[("{}", expected)]);
    }
}

#[test]
fn keys_multiply_their_distinct_values() {
    let keys = vec![
        key(TAG, false),
        key(NAME, true),
        Key {
            name: "unmapped".into(),
            field: None,
            optional: true,
        },
    ];
    let condition = Condition::Const(true);
    let mut matcher = matcher(&[plan(Query::Sample(Sample {
        stages: vec![stage(condition, keys)],
    }))]);
    let found = run(&mut matcher, r#"{"tag":["b","a","b"],"name":["x","y"]}"#);
    let tuples: Vec<_> = found.iter().map(|step| step.keys.to_vec()).collect();
    let tuple = |tag: &str, name: &str| vec![Some(text(tag)), Some(text(name)), None];
    assert_eq!(
        tuples,
        [tuple("a", "x"), tuple("a", "y"), tuple("b", "x"), tuple("b", "y")]
    );
    assert!(found.iter().all(|step| Arc::ptr_eq(&step.event, &found[0].event)));
    assert_eq!(
        run(&mut matcher, r#"{"tag":"a"}"#)[0].keys.to_vec(),
        [Some(text("a")), None, None]
    );
    assert_eq!(run(&mut matcher, r#"{"name":"x"}"#).len(), 0);
}

#[test]
fn too_many_key_tuples_are_cut_and_counted() {
    let keys = vec![key(TAG, false), key(NAME, false), key(SIZE, false)];
    let mut matcher = matcher(&[plan(Query::Sample(Sample {
        stages: vec![stage(Condition::Const(true), keys)],
    }))]);
    let list: Vec<String> = (0..200).map(|number| format!("\"{number}\"")).collect();
    let list = list.join(",");
    let found = run(
        &mut matcher,
        &format!(r#"{{"tag":[{list}],"name":[{list}],"size":[1,2]}}"#),
    );
    assert_eq!(found.len(), 10_000);
    assert_eq!(matcher.statistics().dropped_key_tuples, 70_000);
    assert_eq!(matcher.statistics().step_matches, 10_000);
}

#[test]
fn steps_have_the_numbers_of_their_stages_and_until_comes_last() {
    let stages = vec![
        stage(equals(NAME, text("a")), vec![]),
        stage(Condition::Const(true), vec![]),
    ];
    let until = Some(stage(equals(NAME, text("a")), vec![]));
    let sequence = plan(Query::Sequence(Sequence {
        stages,
        until,
        maxspan: None,
    }));
    let mut matcher = matcher(&[events(equals(NAME, text("b"))), sequence]);
    let steps = |found: Vec<StepMatch>| {
        found
            .iter()
            .map(|step| (step.rule.0, step.step))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        steps(run(&mut matcher, r#"{"@timestamp":5,"name":"a"}"#)),
        [(1, 0), (1, 1), (1, 2)]
    );
    assert_eq!(
        steps(run(&mut matcher, r#"{"@timestamp":5,"name":["b","a"]}"#)),
        [(0, 0), (1, 0), (1, 1), (1, 2)]
    );
    // Without time an event takes part in event queries only, and what is left out is counted.
    assert_eq!(steps(run(&mut matcher, r#"{"name":["b","a"]}"#)), [(0, 0)]);
    assert_eq!(matcher.statistics().without_time, 1);
}

#[test]
fn an_event_has_its_order_and_its_id() {
    let mut matcher = matcher(&[events(Condition::Const(true))]);
    let found = run(
        &mut matcher,
        r#"{"_id":"x1","@timestamp":"2020-01-01T00:00:00Z","event":{"sequence":9}}"#,
    );
    let ordinal = found[0].ordinal.clone().unwrap();
    assert_eq!(
        (ordinal.time.as_millis(), ordinal.tiebreaker, ordinal.position),
        (1_577_836_800_000, Some(Value::Long(9)), 7)
    );
    assert_eq!(found[0].event.id().as_str(), "x1");
    let found = run(&mut matcher, r#"{"event.sequence":9}"#);
    assert_eq!((found[0].ordinal.clone(), found[0].position), (None, 7));
    assert_eq!(found[0].event.id().as_str().len(), 32);
    let origin = Origin {
        source: "hits".into(),
        line: 3,
    };
    let record = Record {
        document: b"{\"_id\":\"inner\"}",
        id: Some("outer"),
        index: None,
        position: 0,
        origin: &origin,
    };
    matcher.read(record.document).unwrap();
    matcher.matches(&record, |step| assert_eq!(step.event.id().as_str(), "outer"));
}

#[test]
fn events_of_a_failing_index_are_left_out_of_that_rule_alone() {
    let mut failing = events(Condition::Const(true));
    failing.failing_indices = vec!["broken".into()];
    let mut matcher = matcher(&[failing, events(Condition::Const(true))]);
    assert_eq!(run(&mut matcher, r#"{"_index":"broken"}"#).len(), 1);
    assert_eq!(run(&mut matcher, r#"{"_index":"sound"}"#).len(), 2);
    let origin = Origin {
        source: "hits".into(),
        line: 3,
    };
    let record = Record {
        document: b"{}",
        id: None,
        index: Some("broken"),
        position: 0,
        origin: &origin,
    };
    matcher.read(record.document).unwrap();
    let mut rules = Vec::new();
    matcher.matches(&record, |step| rules.push(step.rule));
    assert_eq!(rules, [RuleIndex(1)]);
    assert_eq!(matcher.statistics().failing_index, 2);
}

#[test]
fn unreadable_records_match_nothing_and_are_counted() {
    let mut matcher = matcher(&[events(not(equals(NAME, text("v"))))]);
    let origin = Origin {
        source: "test".into(),
        line: 1,
    };
    for json in ["{", "[]", "7", "", "{\"name\":\"\u{0}\"}x"] {
        assert!(matcher.read(json.as_bytes()).is_err(), "{json}");
        let record = Record {
            document: json.as_bytes(),
            id: None,
            index: None,
            position: 0,
            origin: &origin,
        };
        matcher.matches(&record, |_| panic!("an unreadable record must not match"));
    }
    run(&mut matcher, r#"{"ip":"no address"}"#);
    let statistics = matcher.statistics();
    assert_eq!(
        (
            statistics.records,
            statistics.unreadable,
            statistics.malformed_values
        ),
        (1, 5, 1)
    );
}

#[test]
fn equal_tests_of_different_rules_are_one_and_bad_rules_do_not_stop_the_others() {
    let mut other_order = events(Condition::And(vec![
        like(NAME, &["b*", "a*"]),
        equals(TAG, text("t")),
    ]));
    // The same fields under other ids.
    other_order.fields.swap(2, 9);
    let swap = |condition| match condition {
        Condition::Leaf(Leaf {
            test: Test::Like(_, patterns, case),
            span,
        }) => Condition::Leaf(Leaf {
            test: Test::Like(TAG, patterns, case),
            span,
        }),
        Condition::Leaf(Leaf {
            test: Test::Equals(_, values, case),
            span,
        }) => Condition::Leaf(Leaf {
            test: Test::Equals(NAME, values, case),
            span,
        }),
        other => other,
    };
    if let Query::Events(EventQuery {
        condition: Condition::And(parts),
    }) = &mut other_order.query
    {
        *parts = std::mem::take(parts).into_iter().map(swap).collect();
    }
    let first = events(Condition::And(vec![
        equals(TAG, text("t")),
        like(NAME, &["a*", "b*"]),
    ]));
    let broken = Condition::Leaf(Leaf {
        test: Test::Regex(NAME, vec!["a(".into()], RegexDialect::Search, Case::Sensitive),
        span: Span::new(3, 9),
    });
    let outside = events(leaf(Test::Exists(FieldId(99))));
    let plans = [first, events(broken), outside, other_order];
    let (program, errors) = Program::compile(&plans);
    assert_eq!(program.tests(), 2);
    assert_eq!(
        errors
            .iter()
            .map(|error| (error.rule.0, error.span))
            .collect::<Vec<_>>(),
        [(1, Some(Span::new(3, 9))), (2, Some(Span::default()))]
    );
    let mut matcher = Matcher::new(Arc::new(program));
    let found = run(&mut matcher, r#"{"name":"abc","tag":"t"}"#);
    assert_eq!(found.iter().map(|step| step.rule.0).collect::<Vec<_>>(), [0, 3]);
}

#[test]
fn an_event_wakes_only_the_rules_whose_necessary_texts_it_has() {
    let both = |name: &str, tag: Condition| Condition::And(vec![equals(NAME, text(name)), tag]);
    let fragment = |number: usize| {
        like(
            TAG,
            &[&format!("*fragment{number}.*"), &format!("x*other{number}.")],
        )
    };
    let mut plans: Vec<Plan> = (0..100)
        .map(|number| events(both("common", fragment(number))))
        .collect();
    plans.extend((0..100).map(|number| {
        let rare = equals(TAG, text(&format!("rare{number}")));
        events(Condition::Or(vec![
            both(&format!("name{number}"), not(fragment(number))),
            rare,
        ]))
    }));
    plans.push(events(not(equals(NAME, text("common")))));
    plans.push(events(Condition::Const(false)));
    let mut matcher = matcher(&plans);
    let mut woken_and_found = |json: &str| {
        let before = matcher.statistics().woken_conditions;
        let found: Vec<u32> = run(&mut matcher, json).iter().map(|step| step.rule.0).collect();
        (matcher.statistics().woken_conditions - before, found)
    };
    // The negation has no necessary text and is always woken.
    assert_eq!(
        woken_and_found(r#"{"name":"common","tag":"a fragment7. b"}"#),
        (2, vec![7])
    );
    assert_eq!(
        woken_and_found(r#"{"name":"common","tag":["fragment7.","x OTHER8."]}"#),
        (3, vec![7, 8])
    );
    assert_eq!(
        woken_and_found(r#"{"name":"name3","tag":"rare5"}"#),
        (3, vec![103, 105, 200])
    );
    assert_eq!(woken_and_found("{}"), (1, vec![200]));
}

#[test]
fn deep_conditions_are_refused_instead_of_overflowing() {
    let mut deep = leaf(Test::Exists(NAME));
    for level in 0..2_000 {
        deep = if level % 2 == 0 {
            not(deep)
        } else {
            Condition::And(vec![deep, Condition::Const(true)])
        };
    }
    let (_, errors) = Program::compile(&[events(deep)]);
    assert_eq!(errors.len(), 1);
}

#[test]
fn a_program_is_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<Program>();
    sent::<Matcher>();
}
