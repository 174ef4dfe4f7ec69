//! Random EQL sequences over random records, from text to matches, against the naive interpreter: what the steps match is
//! worked out here by hand.

use std::sync::Arc;

use neph_diag::has_errors;
use neph_engine::{
    Emit, Event, Match, Matcher, OperatorConfig, Operators, Ordinal, Origin, Outcome, Program, Record,
    RuleIndex, StepMatch, sort_matches,
};
use neph_eql::{CompileOptions, compile};
use neph_event::{EventId, Instant, Schema, Value};
use neph_testkit::naive;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

const MAPPING: &str = r#"{"properties": {
    "@timestamp": {"type": "date"}, "event.category": {"type": "keyword"}, "order": {"type": "long"},
    "number": {"type": "long"}, "user": {"type": "keyword"}, "host": {"type": "keyword"}
}, "event_category_field": "event.category", "timestamp_field": "@timestamp", "tiebreaker_field": "order"}"#;

fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(default);
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A step: `[category where number < below]`.
#[derive(Clone, Debug)]
struct Step {
    category: Option<char>,
    below: i64,
    missing: bool,
    runs: u32,
}

impl Step {
    fn text(&self) -> String {
        let category = self.category.map_or("any".to_owned(), String::from);
        let runs = if self.runs > 1 {
            format!(" with runs={}", self.runs)
        } else {
            String::new()
        };
        let mark = if self.missing { "!" } else { "" };
        format!("{mark}[{category} where number < {}]{runs}", self.below)
    }

    fn holds(&self, record: &Seen) -> bool {
        self.category.is_none_or(|category| category == record.category)
            && record.number.is_some_and(|number| number < self.below)
    }
}

#[derive(Clone, Debug)]
struct Seen {
    millis: i64,
    order: Option<i64>,
    category: char,
    number: Option<i64>,
    users: Vec<&'static str>,
    host: Option<&'static str>,
}

impl Seen {
    fn document(&self, position: usize) -> Vec<u8> {
        let user = match self.users.as_slice() {
            [] => Json::Null,
            [user] => json!(user),
            users => json!(users),
        };
        let document = json!({
            "_id": position.to_string(),
            "@timestamp": Instant::from_millis(self.millis).to_string(),
            "event": {"category": self.category.to_string()},
            "order": self.order,
            "number": self.number,
            "user": user,
            "host": self.host,
        });
        document.to_string().into_bytes()
    }
}

fn step() -> impl Strategy<Value = Step> {
    let category = prop::option::weighted(0.8, prop::sample::select(vec!['a', 'b', 'c']));
    let runs = prop_oneof![5 => Just(1_u32), 1 => 2..4_u32];
    (category, 1..4_i64, prop::bool::weighted(0.2), runs).prop_map(|(category, below, missing, runs)| Step {
        category,
        below,
        missing,
        runs,
    })
}

fn seen() -> impl Strategy<Value = Seen> {
    let users = prop_oneof![
        1 => Just(vec![]),
        5 => prop::sample::select(vec!["u", "v"]).prop_map(|user| vec![user]),
        1 => Just(vec!["v", "u", "v"]),
    ];
    (
        0..12_i64,
        prop::option::weighted(0.3, 0..2_i64),
        prop::sample::select(vec!['a', 'b', 'c']),
        prop::option::weighted(0.9, 0..3_i64),
        users,
        prop::option::weighted(0.7, Just("h")),
    )
        .prop_map(|(millis, order, category, number, users, host)| Seen {
            millis,
            order,
            category,
            number,
            users,
            host,
        })
}

/// Join keys, as written and as an event has them.
#[derive(Clone, Copy, Debug)]
struct Keys {
    text: &'static str,
    user: bool,
    user_optional: bool,
    host_optional: bool,
}

const KEYS: [Keys; 4] = [
    Keys {
        text: "",
        user: false,
        user_optional: false,
        host_optional: false,
    },
    Keys {
        text: " by user",
        user: true,
        user_optional: false,
        host_optional: false,
    },
    Keys {
        text: " by ?user",
        user: true,
        user_optional: true,
        host_optional: false,
    },
    Keys {
        text: " by user, ?host",
        user: true,
        user_optional: false,
        host_optional: true,
    },
];

impl Keys {
    fn of(self, record: &Seen) -> Vec<Vec<Option<Value>>> {
        let text = |text: &&str| Some(Value::String((*text).into()));
        let mut users: Vec<Vec<Option<Value>>> = record.users.iter().map(|user| vec![text(user)]).collect();
        users.sort();
        users.dedup();
        if users.is_empty() && self.user_optional {
            users.push(vec![None]);
        }
        if !self.user {
            users = vec![vec![]];
        }
        if self.host_optional {
            users
                .iter_mut()
                .for_each(|keys| keys.push(record.host.as_ref().and_then(text)));
        }
        users
    }
}

fn query(steps: &[Step], until: Option<&Step>, keys: Keys, maxspan: Option<u64>) -> String {
    let mut text = format!("sequence{}", keys.text);
    if let Some(millis) = maxspan {
        text.push_str(&format!(" with maxspan={millis}ms"));
    }
    for step in steps {
        text.push_str(&format!("\n  {}", step.text()));
    }
    if let Some(until) = until {
        text.push_str(&format!("\nuntil {}", until.text()));
    }
    text
}

fn steps_by_hand(records: &[Seen], steps: &[&Step], keys: Keys) -> Vec<StepMatch> {
    let mut result = Vec::new();
    for (position, record) in records.iter().enumerate() {
        let id = Some(EventId::given(position.to_string()));
        let event = Arc::new(Event::new(
            Vec::new(),
            id,
            Origin {
                source: "".into(),
                line: 0,
            },
        ));
        for (number, _) in steps.iter().enumerate().filter(|(_, step)| step.holds(record)) {
            for keys in keys.of(record) {
                let position = position as u64;
                let ordinal = Ordinal {
                    time: Instant::from_millis(record.millis),
                    tiebreaker: record.order.map(Value::Long),
                    position,
                };
                let keys: Vec<_> = keys.into_iter().collect();
                let event = Arc::clone(&event);
                let step = StepMatch::new(RuleIndex(0), number as u16, &keys, Some(ordinal), position, event);
                result.push(step);
            }
        }
    }
    result
}

/// A line for each match: keys and ids.
fn lines(matches: &[Match]) -> Vec<String> {
    let id = |event: &Option<Arc<Event>>| event.as_ref().map(|event| event.id().to_string());
    let line = |found: &Match| {
        let ids: Json = found
            .events
            .iter()
            .map(|(stage, event)| json!([stage, id(event)]))
            .collect();
        format!("{:?} {ids}", found.keys)
    };
    matches.iter().map(line).collect()
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn sequences(
        mut steps in prop::collection::vec(step(), 2..=4),
        until in prop::option::weighted(0.3, step()),
        keys in prop::sample::select(KEYS.to_vec()),
        maxspan in prop::option::weighted(0.6, 1..10_u64),
        positive in 0..2_usize,
        records in prop::collection::vec(seen(), 0..30),
        emit in prop_oneof![Just(Emit::WhenFinal), Just(Emit::AtOnce)],
    ) {
        if steps.iter().all(|step| step.missing) {
            steps[positive].missing = false;
        }
        let until = until.map(|until| Step { missing: false, runs: 1, ..until });
        let maxspan = if steps.iter().any(|step| step.missing) { maxspan.or(Some(4)) } else { maxspan };
        let text = query(&steps, until.as_ref(), keys, maxspan);

        let schema = Schema::from_mapping(MAPPING).unwrap();
        let compiled = compile(&text, &CompileOptions::new(&schema, Instant::default()));
        prop_assert!(!has_errors(&compiled.diagnostics), "{text}: {:?}", compiled.diagnostics);
        let plan = compiled.plan.unwrap();

        let all: Vec<&Step> = steps.iter().chain(&until).collect();
        let expected = naive::interpret(&plan, &steps_by_hand(&records, &all, keys), 1);

        let (program, errors) = Program::compile([&plan]);
        prop_assert!(errors.is_empty());
        let mut matcher = Matcher::new(Arc::new(program));
        let mut operators = Operators::new(&[&plan], &OperatorConfig { emit, ..OperatorConfig::default() });
        let mut outcomes = Vec::new();
        for (position, record) in records.iter().enumerate() {
            let document = record.document(position);
            matcher.read(&document).unwrap();
            let origin = Origin { source: "test".into(), line: position as u64 };
            let record = Record { document: &document, id: None, index: None, position: position as u64, origin: &origin };
            matcher.matches(&record, |step| operators.push(step, &mut outcomes));
            operators.advance(Instant::from_millis(i64::MIN), &mut outcomes);
        }
        operators.finish(&mut outcomes);
        let mut found: Vec<Match> = Vec::new();
        for outcome in outcomes {
            match outcome {
                Outcome::Found(new) => found.push(new),
                Outcome::Retracted(gone) => {
                    let gone = lines(&[gone]);
                    let place = found.iter().position(|was| lines(std::slice::from_ref(was)) == gone);
                    prop_assert!(place.is_some(), "{text}\ntaken back: {gone:?}");
                    place.map(|place| found.remove(place));
                }
            }
        }
        sort_matches(&mut found);
        prop_assert_eq!(lines(&found), lines(&expected), "{}", text);
    }
}
