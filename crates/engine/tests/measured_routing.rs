//! What many rules find does not depend on which guards they wait for, nor on when the values of a whole record are read.
//!
//! The events are more than are measured before guards are chosen anew, so that both routers are in use.

#![expect(
    clippy::indexing_slicing,
    reason = "clippy exempts test functions, but not the functions that they share"
)]

use std::sync::Arc;

use neph_engine::{Matcher, Origin, Program, Record};
use neph_event::{ANY_FIELD, Field, FieldType, Value};
use neph_plan::{Case, Condition, EventQuery, FieldId, Leaf, Pattern, Plan, Query, RegexDialect, Span, Test};

const EVENTS: usize = 6_000;
const PATHS: [&str; 5] = ["kind", "name", "line", "other.line", ANY_FIELD];

fn field(place: u32) -> FieldId {
    FieldId(place)
}

fn leaf(test: Test) -> Condition {
    Condition::Leaf(Leaf {
        test,
        span: Span::default(),
    })
}

fn plan(condition: Condition) -> Plan {
    let fields = PATHS
        .iter()
        .map(|path| Field::new(*path, FieldType::Keyword).into());
    Plan {
        fields: fields.collect(),
        time: field(0),
        tiebreaker: None,
        query: Query::Events(EventQuery { condition }),
        limits: vec![],
        failing_indices: vec![],
    }
}

fn equals(place: u32, text: &str) -> Condition {
    leaf(Test::Equals(
        field(place),
        [Value::String(text.into())].into(),
        Case::Insensitive,
    ))
}

fn holds(place: u32, texts: &[&str], case: Case) -> Condition {
    let texts: Vec<Box<str>> = texts.iter().map(|text| (*text).into()).collect();
    leaf(Test::Contains(field(place), texts.into(), case))
}

/// What is sought anywhere: also what JSON escapes, numbers, and what is too short to tell anything.
const KEYWORDS: [&str; 8] = [
    "needle",
    "a/b",
    "c:\\x",
    "say \"hi\"",
    "two\nlines",
    "42",
    "é",
    "zz",
];

fn keyword_rules() -> Vec<Plan> {
    let rules = KEYWORDS.iter().enumerate().map(|(number, keyword)| {
        let sought = holds(4, &[keyword], Case::Insensitive);
        plan(match number % 2 {
            0 => Condition::And(vec![equals(0, "start"), sought]),
            _ => sought,
        })
    });
    rules.collect()
}

fn other_rules() -> Vec<Plan> {
    let mut rules = Vec::new();
    for number in 0..60 {
        let name = format!("tool{}.exe", number % 11);
        let word = format!("option-{}", number % 17);
        let either = |condition: &dyn Fn(u32) -> Condition| Condition::Or(vec![condition(2), condition(3)]);
        let ends = leaf(Test::EndsWith(
            field(1),
            [name.as_str().into()].into(),
            Case::Insensitive,
        ));
        let line = either(&|place| holds(place, &[&word, "rare"], Case::AsciiInsensitive));
        let like = leaf(Test::Like(
            field(2),
            [Pattern::unescaped(&format!("tool?*{word}"))].into(),
            Case::Sensitive,
        ));
        let regex = leaf(Test::Regex(
            field(2),
            [format!("option-{}$", number % 5).into()].into(),
            RegexDialect::Search,
            Case::Insensitive,
        ));
        let kind = equals(0, if number % 3 == 0 { "start" } else { "end" });
        rules.push(plan(match number % 6 {
            0 => Condition::And(vec![kind, ends, line]),
            1 => Condition::And(vec![kind, Condition::Not(Box::new(ends)), line]),
            2 => Condition::And(vec![kind, Condition::Or(vec![like, ends])]),
            3 => Condition::And(vec![kind, regex]),
            4 => Condition::And(vec![
                kind,
                Condition::Not(Box::new(holds(4, &["needle"], Case::Insensitive))),
            ]),
            _ => Condition::Or(vec![
                Condition::And(vec![kind, like]),
                Condition::And(vec![ends, regex]),
            ]),
        }));
    }
    rules
}

/// Documents, always the same ones, and for each what stands in it anywhere.
fn documents() -> Vec<(String, Vec<String>)> {
    let mut state = 0x9e37_79b9_u64;
    let mut below = |limit: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % limit
    };
    let mut made = Vec::new();
    for _ in 0..EVENTS {
        let kind = ["start", "END", "idle"][below(3) as usize].to_owned();
        let name = format!("C:\\Tools\\TOOL{}.EXE", below(14));
        let extra = [
            "",
            " Needle",
            " a/b",
            " C:\\x",
            " say \"HI\"",
            " two\nlines",
            " É",
            " 42",
            " zz",
        ];
        let extra = extra[(below(40) as usize).min(extra.len() - 1) * usize::from(below(4) == 0)];
        let line = format!("tool{} option-{}{extra}", below(14), below(20));
        let number = below(60);
        let json = format!(
            r#"{{"kind":{},"name":{},"{}":{},"sub":{{"number":{number},"list":[true,null]}}}}"#,
            serde_json::Value::from(kind.as_str()),
            serde_json::Value::from(name.as_str()),
            if below(2) == 0 { "line" } else { "other.line" },
            serde_json::Value::from(line.as_str()),
        );
        // Writers may escape what they need not.
        let json = match below(20) {
            0 => json.replace('/', "\\/"),
            1 => json.replace("ee", "\\u0065\\u0065"),
            _ => json,
        };
        made.push((
            json,
            vec![kind, name, line, number.to_string(), "true".to_owned()],
        ));
    }
    made
}

/// For each rule the events that it finds.
fn found(plans: &[Plan], documents: &[(String, Vec<String>)]) -> Vec<Vec<u64>> {
    let (program, errors) = Program::compile(plans);
    assert_eq!(errors, vec![]);
    let mut matcher = Matcher::new(Arc::new(program));
    let origin = Origin {
        source: "test".into(),
        line: 1,
    };
    let mut found = vec![Vec::new(); plans.len()];
    for (position, (json, _)) in (0_u64..).zip(documents) {
        assert_eq!(matcher.read(json.as_bytes()), Ok(()));
        let record = Record {
            document: json.as_bytes(),
            id: None,
            index: None,
            position,
            origin: &origin,
        };
        matcher.matches(&record, |step| found[step.rule.0 as usize].push(position));
    }
    found
}

#[test]
fn many_rules_find_what_each_finds_alone_before_and_after_guards_are_measured() {
    let documents = documents();
    let mut plans = keyword_rules();
    plans.extend(other_rules());
    let together = found(&plans, &documents);
    for (number, (plan, together)) in plans.iter().zip(&together).enumerate() {
        let alone = found(std::slice::from_ref(plan), &documents);
        assert_eq!(alone.first(), Some(together), "rule {number}");
    }
    let (early, late) = (|at: &&u64| **at < 4_000, |at: &&u64| **at > 4_200);
    let rules_that_find = |when: &dyn Fn(&&u64) -> bool| {
        together
            .iter()
            .filter(|found| found.iter().any(|at| when(&at)))
            .count()
    };
    assert!(rules_that_find(&early) > 50 && rules_that_find(&late) > 50);
}

#[test]
fn what_is_sought_anywhere_is_found_in_every_value() {
    let documents = documents();
    let found = found(&keyword_rules(), &documents);
    for ((number, keyword), found) in KEYWORDS.iter().enumerate().zip(&found) {
        let has = |values: &[String]| values.iter().any(|value| value.to_lowercase().contains(keyword));
        let expected: Vec<u64> = (0_u64..)
            .zip(&documents)
            .filter(|(_, (_, values))| has(values) && (number % 2 == 1 || values[0] == "start"))
            .map(|(position, _)| position)
            .collect();
        assert!(!expected.is_empty(), "{keyword:?}");
        assert_eq!(*found, expected, "{keyword:?}");
    }
}
