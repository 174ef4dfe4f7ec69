//! What each kind of test does to one record: nulls, several values, types, case.

use neph_event::{Instant, Value};
use neph_plan::{Arithmetic, Case, Condition, Expr, Function, RegexDialect, Relation, Test};

use crate::plans::*;

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
    let unicode = leaf(Test::Contains(NAME, ["Ä".into()].into(), Case::Insensitive));
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
    let starts = leaf(Test::StartsWith(NAME, starts.into(), Case::Sensitive));
    check(
        starts,
        &[
            (r#"{"name":"start99 x"}"#, true),
            (r#"{"name":"start"}"#, false),
            (r#"{"name":"Start99"}"#, false),
        ],
    );
    let ends = leaf(Test::EndsWith(NAME, ends.into(), Case::Sensitive));
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
    // A number beside it makes texts be read as numbers, but not this text.
    check(
        leaf(Test::Equals(
            ANY,
            [text("5"), Value::Long(-2)].into(),
            Case::Insensitive,
        )),
        &[
            (r#"{"any":5}"#, true),
            (r#"{"any":"5"}"#, true),
            (r#"{"any":"05"}"#, false),
            (r#"{"any":"-2.0"}"#, true),
            (r#"{"any":true}"#, false),
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
        ["10.6.48.157/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()].into(),
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
    let on_text = Test::Cidr(ANY, ["10.0.0.0/8".parse().unwrap()].into());
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
            [expression.into()].into(),
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
