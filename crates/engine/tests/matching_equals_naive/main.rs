//! Property: shared, routed and cached evaluation of many rules finds what plain evaluation of each rule finds.

mod naive;

use std::sync::Arc;

use ipnet::IpNet;
use neph_engine::{Explainer, Matcher, Origin, Program, Record};
use neph_event::{Field, FieldType, Instant, Value};
use neph_plan::{
    Arithmetic, Case, Condition, EventQuery, Expr, FieldId, Function, Key, Leaf, Pattern, Phrase, Plan,
    Query, RegexDialect, Relation, Sample, Span, Stage, Test,
};
use proptest::prelude::*;

/// The fields of all plans. Ids of a plan point here through its own permutation.
const KINDS: [FieldType; 9] = [
    FieldType::Keyword,
    FieldType::Keyword,
    FieldType::Long,
    FieldType::Double,
    FieldType::Boolean,
    FieldType::Ip,
    FieldType::Date,
    FieldType::Version,
    FieldType::Dynamic,
];

fn path(field: usize) -> String {
    format!("group{}.field{field}", field % 3)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[aAbBé]{0,4}",
        2 => "[abc]{3,9}",
        1 => prop::sample::select(vec!["5", "05", "5.5", "true", "10.0.0.1", "1.2.0", "2020-01-01T00:00:00Z", "É", "."]).prop_map(str::to_owned),
    ]
}

fn address() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        "10.0.0.1",
        "10.0.1.1",
        "192.168.0.7",
        "2001:db8::1",
        "2001:db9::1",
    ])
    .prop_map(|text| {
        Value::Ip(
            text.parse()
                .unwrap_or(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)),
        )
    })
}

fn date() -> impl Strategy<Value = Value> {
    (0_i64..4).prop_map(|step| Value::Date(Instant::from_millis(1_577_836_800_000 + step)))
}

fn version() -> impl Strategy<Value = Value> {
    prop::sample::select(vec!["1.2.0", "1.10.0", "1.10.0-rc1", "2.0.0", "odd"])
        .prop_map(|text| Value::Version(text.into()))
}

fn long() -> impl Strategy<Value = Value> {
    (-3_i64..8).prop_map(Value::Long)
}

fn double() -> impl Strategy<Value = Value> {
    (-4_i32..12).prop_map(|half| Value::Double(f64::from(half) / 2.0))
}

fn string() -> impl Strategy<Value = Value> {
    text().prop_map(|text| Value::String(text.into()))
}

/// A value that a field of this kind can have.
fn value_of(kind: FieldType) -> BoxedStrategy<Value> {
    match kind {
        FieldType::Keyword | FieldType::Text => string().boxed(),
        FieldType::Long => long().boxed(),
        FieldType::Double => double().boxed(),
        FieldType::Boolean => any::<bool>().prop_map(Value::Bool).boxed(),
        FieldType::Ip => address().boxed(),
        FieldType::Date | FieldType::DateNanos => date().boxed(),
        FieldType::Version => version().boxed(),
        FieldType::Dynamic => {
            prop_oneof![string(), long(), double(), any::<bool>().prop_map(Value::Bool)].boxed()
        }
    }
}

/// A constant that a rule may compare a field of this kind with.
fn constant_for(kind: FieldType) -> BoxedStrategy<Value> {
    match kind {
        FieldType::Long | FieldType::Double => prop_oneof![long(), double(), string()].boxed(),
        FieldType::Keyword => prop_oneof![4 => string(), 1 => long()].boxed(),
        FieldType::Dynamic => prop_oneof![
            string(),
            long(),
            double(),
            address(),
            date(),
            version(),
            any::<bool>().prop_map(Value::Bool)
        ]
        .boxed(),
        other => prop_oneof![4 => value_of(other), 1 => string()].boxed(),
    }
}

fn case() -> impl Strategy<Value = Case> {
    prop::sample::select(vec![Case::Sensitive, Case::AsciiInsensitive, Case::Insensitive])
}

fn relation() -> impl Strategy<Value = Relation> {
    prop::sample::select(vec![
        Relation::Less,
        Relation::LessOrEqual,
        Relation::Greater,
        Relation::GreaterOrEqual,
    ])
}

fn pattern() -> impl Strategy<Value = Pattern> {
    prop_oneof!["[aAbBé*?]{0,5}", "[*]?[abc]{3,4}[*]?", "[abc]{3}[*][abc]?"]
        .prop_map(|text| Pattern::unescaped(&text))
}

fn parts() -> impl Strategy<Value = Vec<Box<str>>> {
    prop::collection::vec(text().prop_map(Into::into), 1..6)
}

fn expression() -> impl Strategy<Value = Box<str>> {
    prop::sample::select(vec!["a.*", "[ab]+", "(a|b)c?", "abc|b"]).prop_map(Into::into)
}

fn field() -> impl Strategy<Value = usize> {
    0..KINDS.len()
}

fn id(field: usize) -> FieldId {
    FieldId(u32::try_from(field).unwrap_or(0))
}

fn kind(field: usize) -> FieldType {
    KINDS.get(field).copied().unwrap_or(FieldType::Dynamic)
}

fn scalar() -> impl Strategy<Value = Expr> {
    prop_oneof![
        field().prop_map(|field| Expr::Field(id(field))),
        field()
            .prop_flat_map(|field| prop::option::weighted(0.9, value_of(kind(field))).prop_map(Expr::Const)),
    ]
}

fn expr() -> impl Strategy<Value = Expr> {
    let boxed = |expr: Expr| Box::new(expr);
    scalar().prop_recursive(3, 12, 3, move |inner| {
        let two = || (inner.clone(), inner.clone());
        prop_oneof![
            two().prop_map(move |(a, b)| Expr::Equals(boxed(a), boxed(b))),
            (relation(), two()).prop_map(move |(relation, (a, b))| Expr::Compare(
                relation,
                boxed(a),
                boxed(b)
            )),
            (inner.clone(), prop::collection::vec(inner.clone(), 1..3), case())
                .prop_map(move |(a, list, case)| Expr::In(boxed(a), list, case)),
            (inner.clone(), prop::collection::vec(pattern(), 1..3), case())
                .prop_map(move |(a, list, case)| Expr::Like(boxed(a), list, case)),
            (inner.clone(), expression(), case()).prop_map(move |(a, one, case)| Expr::Regex(
                boxed(a),
                vec![one],
                RegexDialect::Java,
                case
            )),
            inner.clone().prop_map(move |a| Expr::IsNull(boxed(a))),
            inner.clone().prop_map(move |a| Expr::Not(boxed(a))),
            inner.clone().prop_map(move |a| Expr::Negate(boxed(a))),
            two().prop_map(|(a, b)| Expr::And(vec![a, b])),
            two().prop_map(|(a, b)| Expr::Or(vec![a, b])),
            two().prop_map(move |(a, b)| Expr::Arithmetic(Arithmetic::Add, boxed(a), boxed(b))),
            two().prop_map(|(a, b)| Expr::Call(Function::Concat, vec![a, b], Case::Sensitive)),
            (two(), case()).prop_map(|((a, b), case)| Expr::Call(Function::StringContains, vec![a, b], case)),
            inner
                .clone()
                .prop_map(|a| Expr::Call(Function::Length, vec![a], Case::Sensitive)),
        ]
    })
}

fn network() -> impl Strategy<Value = IpNet> {
    prop::sample::select(vec![
        "10.0.0.0/24",
        "10.0.0.0/8",
        "192.168.0.0/16",
        "2001:db8::/32",
        "10.0.1.1/32",
    ])
    .prop_map(|text| text.parse().unwrap_or_default())
}

fn test() -> impl Strategy<Value = Test> {
    let equals = field().prop_flat_map(|field| {
        (prop::collection::vec(constant_for(kind(field)), 1..4), case())
            .prop_map(move |(constants, case)| Test::Equals(id(field), constants.into(), case))
    });
    let compare = field().prop_flat_map(|field| {
        (relation(), constant_for(kind(field)))
            .prop_map(move |(relation, constant)| Test::Compare(id(field), relation, constant))
    });
    let like = (field(), prop::collection::vec(pattern(), 1..6), case());
    let regex = (field(), prop::collection::vec(expression(), 1..3), case());
    let phrase = prop::collection::vec(pattern(), 1..3).prop_map(|words| Phrase { words });
    let words = (field(), prop::collection::vec(phrase, 1..3));
    prop_oneof![
        1 => field().prop_map(|field| Test::Exists(id(field))),
        4 => equals,
        2 => compare,
        4 => like.prop_map(|(field, patterns, case)| Test::Like(id(field), patterns.into(), case)),
        1 => regex.prop_map(|(field, list, case)| Test::Regex(id(field), list.into(), RegexDialect::Java, case)),
        1 => (field(), parts(), case()).prop_map(|(field, parts, case)| Test::StartsWith(id(field), parts.into(), case)),
        1 => (field(), parts(), case()).prop_map(|(field, parts, case)| Test::EndsWith(id(field), parts.into(), case)),
        1 => (field(), parts(), case()).prop_map(|(field, parts, case)| Test::Contains(id(field), parts.into(), case)),
        1 => (field(), prop::collection::vec(network(), 1..3)).prop_map(|(field, list)| Test::Cidr(id(field), list.into())),
        1 => words.prop_map(|(field, phrases)| Test::Words(id(field), phrases.into())),
        2 => expr().prop_map(Test::Expr),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        20 => test().prop_map(|test| Condition::Leaf(Leaf { test, span: Span::default() })),
        1 => any::<bool>().prop_map(Condition::Const),
    ];
    leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 0..4).prop_map(Condition::And),
            2 => prop::collection::vec(inner.clone(), 0..4).prop_map(Condition::Or),
            1 => inner.prop_map(|part| Condition::Not(Box::new(part))),
        ]
    })
}

fn keys() -> impl Strategy<Value = Vec<Key>> {
    let key = (prop::option::weighted(0.9, field()), any::<bool>());
    prop::collection::vec(key, 0..3).prop_map(|keys| {
        let make = |(field, optional): (Option<usize>, bool)| Key {
            name: "key".into(),
            field: field.map(id),
            optional: optional || field.is_none(),
        };
        keys.into_iter().map(make).collect()
    })
}

fn document() -> impl Strategy<Value = Vec<Vec<Value>>> {
    let fields: Vec<_> = KINDS
        .iter()
        .map(|kind| prop::collection::vec(value_of(*kind), 0..4))
        .collect();
    fields
}

fn plan(condition: Condition, keys: Vec<Key>) -> Plan {
    let fields = KINDS
        .iter()
        .enumerate()
        .map(|(field, kind)| Field::new(path(field), *kind).into())
        .collect();
    let query = if keys.is_empty() {
        Query::Events(EventQuery { condition })
    } else {
        Query::Sample(Sample {
            stages: vec![Stage {
                condition,
                keys,
                missing: false,
                runs: 1,
                span: Span::default(),
            }],
        })
    };
    Plan {
        fields,
        time: FieldId(6),
        tiebreaker: None,
        query,
        limits: vec![],
        failing_indices: vec![],
    }
}

/// The record with these values, grouped into objects so that paths nest.
fn json(values: &[Vec<Value>]) -> String {
    let mut root = serde_json::Map::new();
    for (field, values) in values.iter().enumerate() {
        let list: Vec<serde_json::Value> = values
            .iter()
            .map(|value| match value {
                Value::Bool(value) => (*value).into(),
                Value::Long(value) => (*value).into(),
                Value::Double(value) => (*value).into(),
                other => other.to_string().into(),
            })
            .collect();
        let path = path(field);
        let Some((group, name)) = path.split_once('.') else {
            continue;
        };
        let group = root.entry(group).or_insert_with(|| serde_json::json!({}));
        if let Some(group) = group.as_object_mut() {
            // One value stands without an array, as records usually have it.
            let value = if let [one] = list.as_slice() {
                one.clone()
            } else {
                list.into()
            };
            group.insert(name.to_owned(), value);
        }
    }
    serde_json::Value::Object(root).to_string()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_rules_at_once_find_what_each_rule_finds_alone(
        rules in prop::collection::vec((condition(), keys()), 1..12),
        documents in prop::collection::vec(document(), 1..5),
    ) {
        let plans: Vec<Plan> = rules.iter().map(|(condition, keys)| plan(condition.clone(), keys.clone())).collect();
        let (program, errors) = Program::compile(&plans);
        prop_assert_eq!(errors, vec![]);
        let mut matcher = Matcher::new(Arc::new(program));
        let origin = Origin { source: "test".into(), line: 1 };
        for values in &documents {
            let text = json(values);
            let record = Record { document: text.as_bytes(), id: None, index: None, position: 0, origin: &origin };
            prop_assert_eq!(matcher.read(text.as_bytes()), Ok(()));
            let mut found = vec![Vec::new(); plans.len()];
            matcher.matches(&record, |step| {
                if let Some(tuples) = found.get_mut(step.rule.0 as usize) {
                    tuples.push(step.keys().to_vec());
                }
            });
            let document = naive::Document { kinds: &KINDS, values };
            for ((condition, keys), found) in rules.iter().zip(&mut found) {
                let holds = naive::holds(condition, &document);
                let expected = if holds { naive::key_tuples(keys, &document) } else { vec![] };
                found.sort();
                prop_assert_eq!(&*found, &expected, "{:?} on {}", condition, text);
            }
        }
    }

    /// Of records of one kind some fields have the same values. A kind is passed over only where none of its records satisfies
    /// anything.
    #[test]
    fn what_is_passed_over_satisfies_nothing(
        conditions in prop::collection::vec(condition(), 1..4),
        is_told in prop::collection::vec(prop::bool::weighted(0.7), KINDS.len()),
        is_shown in prop::collection::vec(prop::bool::weighted(0.7), KINDS.len()),
        kinds in prop::collection::vec(document(), 1..3),
        others in prop::collection::vec(document(), 2..8),
    ) {
        let plans: Vec<Plan> = conditions.iter().map(|condition| plan(condition.clone(), vec![])).collect();
        let (program, errors) = Program::compile(&plans);
        prop_assert_eq!(errors, vec![]);
        let is_told_at = |place: usize| is_told.get(place) == Some(&true);
        let slots_of = |which: &dyn Fn(usize) -> bool| -> Vec<bool> {
            let fields = program.slots().fields().iter();
            fields.map(|field| (0..KINDS.len()).any(|place| path(place) == *field.path && which(place))).collect()
        };
        let told_slots = slots_of(&is_told_at);
        let is_text = |place: usize| matches!(KINDS.get(place), Some(FieldType::Keyword | FieldType::Dynamic));
        let shown_slots = slots_of(&|place| is_shown.get(place) == Some(&true) && is_text(place));
        let mut matcher = Matcher::new(Arc::new(program));
        let origin = Origin { source: "test".into(), line: 1 };
        for (kind, told) in (0_u8..).zip(&kinds) {
            for other in &others {
                let parts = told.iter().zip(other).enumerate();
                let values: Vec<Vec<Value>> =
                    parts.map(|(place, (told, other))| if is_told_at(place) { told.clone() } else { other.clone() }).collect();
                let document = naive::Document { kinds: &KINDS, values: &values };
                let expected: Vec<u32> = (0_u32..)
                    .zip(&conditions)
                    .filter(|(_, condition)| naive::holds(condition, &document))
                    .map(|(rule, _)| rule)
                    .collect();
                let text = json(&values);
                let known = matcher.may_match(&[kind], &text);
                let mut found = Vec::new();
                if known != Some(false) {
                    let record = Record { document: text.as_bytes(), id: None, index: None, position: 0, origin: &origin };
                    prop_assert_eq!(matcher.read(text.as_bytes()), Ok(()));
                    matcher.matches(&record, |step| found.push(step.rule.0));
                }
                if known.is_none() {
                    matcher.learn(&[kind], &told_slots, &shown_slots);
                }
                prop_assert_eq!(&found, &expected, "{:?}", values);
            }
        }
    }

    #[test]
    fn an_explanation_agrees_with_the_definition(condition in condition(), values in document()) {
        let text = json(&values);
        let plan = plan(condition.clone(), vec![]);
        let mut explainer = Explainer::new(&plan).map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
        let explanation = explainer.explain(0, text.as_bytes());
        let explanation = explanation.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let document = naive::Document { kinds: &KINDS, values: &values };
        let holds = explanation.map(|explanation| explanation.why.holds);
        prop_assert_eq!(holds, Some(naive::holds(&condition, &document)));
    }
}

/// What many rules have in common, so that it becomes a gate: tests of texts, and of other values.
fn gates() -> impl Strategy<Value = Vec<Condition>> {
    let any = condition();
    let telling = (0..2_usize, "[abé]", case()).prop_map(|(field, text, case)| {
        Condition::Leaf(Leaf {
            test: Test::Contains(id(field), [text.into()].into(), case),
            span: Span::default(),
        })
    });
    prop::collection::vec(prop_oneof![3 => telling, 1 => any], 3)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Values that come again are remembered, and so are kinds of events: neither may be seen in what is found. Most events come
    /// often, some have values of their own, which come in every field and in lists.
    #[test]
    fn what_is_found_does_not_depend_on_the_events_before(
        gates in gates(),
        rules in prop::collection::vec((0..3_usize, condition()), 45..60),
        documents in prop::collection::vec(document(), 20..40),
    ) {
        let conditions: Vec<Condition> = rules
            .into_iter()
            .map(|(gate, condition)| Condition::And(gates.get(gate).cloned().into_iter().chain([condition]).collect()))
            .collect();
        let plans: Vec<Plan> = conditions.iter().map(|condition| plan(condition.clone(), vec![])).collect();
        let (program, errors) = Program::compile(&plans);
        prop_assert_eq!(errors, vec![]);
        let mut matcher = Matcher::new(Arc::new(program));
        let origin = Origin { source: "test".into(), line: 1 };
        let expected_of = |values: &[Vec<Value>]| -> Vec<u32> {
            let document = naive::Document { kinds: &KINDS, values };
            (0_u32..).zip(&conditions).filter(|(_, condition)| naive::holds(condition, &document)).map(|(rule, _)| rule).collect()
        };
        let known: Vec<(String, Vec<u32>)> = documents.iter().map(|values| (json(values), expected_of(values))).collect();
        let mut state = 0x9e37_79b9_u64;
        for event in 0..6_000_u64 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let place = usize::try_from(state % known.len() as u64).unwrap_or(0);
            let own = if event % 16 == 0 { documents.get(place).map(|values| with_value(values, event)) } else { None };
            let own = own.map(|values| (json(&values), expected_of(&values)));
            let Some((text, expected)) = own.as_ref().or(known.get(place)) else {
                continue;
            };
            let record = Record { document: text.as_bytes(), id: None, index: None, position: event, origin: &origin };
            prop_assert_eq!(matcher.read(text.as_bytes()), Ok(()));
            let mut found = Vec::new();
            matcher.matches(&record, |step| found.push(step.rule.0));
            let differs = |rule: &u32| found.contains(rule) != expected.contains(rule);
            let differing: Vec<_> = (0_u32..).zip(&conditions).filter(|(rule, _)| differs(rule)).collect();
            prop_assert_eq!(&found, expected, "event {}: {} {:?}", event, text, differing);
        }
    }
}

/// The document with a value more in one of its texts, that no other event has.
fn with_value(values: &[Vec<Value>], event: u64) -> Vec<Vec<Value>> {
    let mut values = values.to_vec();
    let text = match event / 16 % 4 {
        0 => "aB",
        1 => "éA",
        2 => "bbb",
        _ => "",
    };
    let field = match event / 64 % 3 {
        0 => 0,
        1 => 1,
        _ => 8,
    };
    if let Some(values) = values.get_mut(field) {
        values.push(Value::String(format!("{text}{event}É").into()));
    }
    values
}
