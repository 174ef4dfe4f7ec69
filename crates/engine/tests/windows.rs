//! First-seen queries and aggregates from JSON records on: what alerts, what is forgotten, what is counted as lost.

use std::sync::Arc;
use std::time::Duration;

use neph_engine::{
    Emit, Match, Matcher, OperatorConfig, Operators, Origin, Outcome, Program, Record, RuleIndex,
    RuleStatistics,
};
use neph_event::{Field, FieldType, Instant, Value};
use neph_plan::{
    Aggregate, Case, Condition, DistinctAtLeast, FieldId, FirstSeen, Key, Pattern, Plan, Query, Span, Test,
};

const MINUTE: u64 = 60_000_000_000;
const HOUR: u64 = 60 * MINUTE;

fn key(name: &str, field: u32) -> Key {
    Key {
        name: name.into(),
        field: Some(FieldId(field)),
        optional: false,
    }
}

fn plan(query: Query) -> Plan {
    let fields = [
        ("@timestamp", FieldType::Date),
        ("action", FieldType::Keyword),
        ("user", FieldType::Keyword),
        ("host", FieldType::Keyword),
    ];
    Plan {
        fields: fields
            .into_iter()
            .map(|(name, kind)| Field::new(name, kind).into())
            .collect(),
        time: FieldId(0),
        tiebreaker: None,
        query,
        limits: Vec::new(),
        failing_indices: Vec::new(),
    }
}

fn logins() -> Condition {
    let patterns = vec![Pattern::literal("login")];
    Condition::leaf(
        Test::Like(FieldId(1), patterns.into(), Case::Sensitive),
        Span::default(),
    )
}

fn first_seen() -> Plan {
    plan(Query::FirstSeen(FirstSeen {
        condition: logins(),
        fields: vec![key("user", 2), key("host", 3)],
        interval: 5 * MINUTE,
        history: 2 * HOUR,
    }))
}

fn aggregate(group: Vec<Key>, at_least: u64, distinct: Option<u64>, lookback: u64) -> Plan {
    plan(Query::Aggregate(Aggregate {
        condition: logins(),
        group,
        interval: 5 * MINUTE,
        lookback,
        at_least,
        distinct: distinct.map(|at_least| DistinctAtLeast {
            field: key("host", 3),
            at_least,
        }),
    }))
}

/// A record `minutes` after midnight.
fn record(minutes: f64, rest: &str) -> String {
    let time = Instant::from_millis(1_767_225_600_000 + (minutes * 60_000.0) as i64);
    format!(r#"{{"@timestamp":"{time}","action":"login",{rest}}}"#)
}

struct Run {
    matcher: Matcher,
    operators: Operators,
    position: u64,
    outcomes: Vec<Outcome>,
}

impl Run {
    fn new(plan: &Plan, config: OperatorConfig) -> Self {
        let (program, errors) = Program::compile([plan]);
        assert!(errors.is_empty(), "{errors:?}");
        Self {
            matcher: Matcher::new(Arc::new(program)),
            operators: Operators::new(&[plan], &config),
            position: 0,
            outcomes: Vec::new(),
        }
    }

    fn push(&mut self, document: &str) {
        let origin = Origin {
            source: "test".into(),
            line: self.position,
        };
        let record = Record {
            document: document.as_bytes(),
            id: None,
            index: None,
            position: self.position,
            origin: &origin,
        };
        self.position += 1;
        assert!(self.matcher.read(record.document).is_ok());
        let (operators, outcomes) = (&mut self.operators, &mut self.outcomes);
        self.matcher
            .matches(&record, |step| operators.push(step, outcomes));
    }

    fn advance(&mut self, minutes: f64) {
        let watermark = Instant::from_millis(1_767_225_600_000 + (minutes * 60_000.0) as i64);
        self.operators.advance(watermark, &mut self.outcomes);
    }

    fn finish(&mut self) -> Vec<String> {
        self.operators.finish(&mut self.outcomes);
        self.said()
    }

    /// Everything that was said since it was asked last.
    fn said(&mut self) -> Vec<String> {
        let text = |outcome: Outcome| match outcome {
            Outcome::Found(found) => format!("+{}", shown(&found)),
            Outcome::Retracted(gone) => format!("-{}", shown(&gone)),
        };
        self.outcomes.drain(..).map(text).collect()
    }

    fn statistics(&self) -> RuleStatistics {
        self.operators.statistics(RuleIndex(0))
    }
}

/// `web,ann 00:05..00:10 #3 (2 events, 1 value)`: keys, window, numbers of the records that are kept, what was counted.
fn shown(found: &Match) -> String {
    let keys: Vec<String> = found.keys.iter().flatten().map(Value::to_string).collect();
    let Some(window) = found.window else {
        return "no window".into();
    };
    let clock = |instant: Instant| instant.to_string().get(11..16).unwrap_or_default().to_owned();
    let lines: Vec<String> = found
        .events
        .iter()
        .filter_map(|(_, event)| Some(event.as_ref()?.origin().line.to_string()))
        .collect();
    let counted = window.tally.map_or_else(String::new, |tally| {
        let values = tally
            .distinct
            .map_or_else(String::new, |distinct| format!(", {} values", distinct.count));
        format!(" ({} events{values})", tally.count)
    });
    format!(
        "{} {}..{} #{}{counted}",
        keys.join(","),
        clock(window.from),
        clock(window.to),
        lines.join(" #")
    )
}

fn live(lateness: u64) -> OperatorConfig {
    OperatorConfig {
        emit: Emit::AtOnce,
        default_lateness: Some(Duration::from_nanos(lateness)),
        ..OperatorConfig::default()
    }
}

#[test]
fn a_tuple_is_new_once_an_interval_and_again_when_its_history_is_over() {
    let mut run = Run::new(&first_seen(), OperatorConfig::default());
    run.push(&record(7.0, r#""user":"ann","host":"web""#));
    run.push(&record(6.0, r#""user":"ann","host":"web""#));
    run.push(&record(9.9, r#""user":"ann","host":"db""#));
    run.push(&record(31.0, r#""user":"ann","host":"web""#));
    // Both hosts are new for bob, one for ann; without a host there is no tuple.
    run.push(&record(40.0, r#""user":["ann","bob"],"host":["web","mail"]"#));
    run.push(&record(41.0, r#""user":"eve""#));
    run.push(r#"{"action":"login","user":"no","host":"time"}"#);
    run.push(&record(42.0, r#""user":"eve","host":"web""#).replace("login", "logout"));
    // The last one before was at 00:40; an interval remembers from two hours before its end.
    run.push(&record(159.9, r#""user":"ann","host":"web""#));
    run.push(&record(280.0, r#""user":"ann","host":"web""#));
    assert_eq!(
        run.finish(),
        [
            "+ann,web 00:05..00:10 #1",
            "+ann,db 00:05..00:10 #2",
            "+ann,mail 00:40..00:45 #4",
            "+bob,mail 00:40..00:45 #4",
            "+bob,web 00:40..00:45 #4",
            "+ann,web 04:40..04:45 #9",
        ]
    );
    assert_eq!(run.matcher.statistics().without_time, 1);
}

#[test]
fn what_comes_late_takes_a_finding_back_or_is_remembered() {
    let mut run = Run::new(&first_seen(), live(10 * MINUTE));
    run.push(&record(62.0, r#""user":"ann","host":"web""#));
    run.advance(62.0);
    assert_eq!(run.said(), ["+ann,web 01:00..01:05 #0"]);
    run.push(&record(61.0, r#""user":"ann","host":"web""#));
    run.advance(62.0);
    assert_eq!(
        run.said(),
        ["-ann,web 01:00..01:05 #0", "+ann,web 01:00..01:05 #1"]
    );
    run.push(&record(57.0, r#""user":"ann","host":"web""#));
    run.advance(63.0);
    assert_eq!(
        run.said(),
        ["-ann,web 01:00..01:05 #1", "+ann,web 00:55..01:00 #2"]
    );
    // Too late to be found, and yet seen.
    run.advance(90.0);
    run.push(&record(58.0, r#""user":"eve","host":"web""#));
    run.push(&record(91.0, r#""user":"eve","host":"web""#));
    run.advance(200.0);
    assert_eq!(run.statistics().late, 1);
    assert!(run.finish().is_empty());
}

#[test]
fn old_tuples_are_forgotten() {
    let mut run = Run::new(&first_seen(), live(5 * MINUTE));
    let mut most = 0;
    for minute in 0..3000_u32 {
        for number in 0..5 {
            run.push(&record(
                minute.into(),
                &format!(r#""user":"u{minute}-{number}","host":"web""#),
            ));
        }
        run.push(&record(minute.into(), r#""user":"always","host":"web""#));
        run.advance(minute.into());
        most = most.max(run.statistics().keys);
    }
    // Two hours of new tuples, and what has gathered since the last look.
    assert!((600..800).contains(&most), "{most}");
    assert_eq!(run.statistics().evicted, 0);
    let always = run.finish().iter().filter(|line| line.contains("always")).count();
    assert_eq!(always, 1);
}

#[test]
fn memory_is_bounded_and_what_is_forgotten_is_counted() {
    let config = OperatorConfig {
        rule_bytes: 200_000,
        ..OperatorConfig::default()
    };
    let mut plans = vec![
        first_seen(),
        aggregate(vec![key("user", 2)], 2, Some(1), 9 * MINUTE),
    ];
    for plan in plans.drain(..) {
        let mut run = Run::new(&plan, config.clone());
        for number in 0..20_000_u32 {
            run.push(&record(
                f64::from(number) / 20_000.0,
                &format!(r#""user":"u{number}","host":"web""#),
            ));
            assert!(run.operators.state_bytes() <= 200_000);
        }
        let statistics = run.statistics();
        assert!(statistics.evicted > 10_000, "{statistics:?}");
        let found = run.finish().len();
        if matches!(plan.query, Query::FirstSeen(_)) {
            assert!(found > 0);
        } else {
            assert_eq!(found, 0);
        }
    }
}

#[test]
fn what_lies_in_order_of_time_needs_little_memory_and_loses_nothing() {
    let config = OperatorConfig {
        rule_bytes: 200_000,
        ..OperatorConfig::default()
    };
    let plan = aggregate(vec![key("user", 2)], 50, Some(2), 9 * MINUTE);
    let mut run = Run::new(&plan, config);
    for number in 0..20_000_u32 {
        run.push(&record(
            f64::from(number) / 10.0,
            &format!(r#""user":"u{}","host":"h{}""#, number / 1000, number % 3),
        ));
    }
    let found = run.finish();
    // A hundred minutes for each user: 20 runs with 50 events each, none of them counted twice.
    assert_eq!(found.len(), 400, "{found:?}");
    assert!(found.iter().all(|line| line.ends_with("(50 events, 3 values)")));
    assert_eq!(run.statistics().evicted, 0);
    // The peak is what was held just before memory was released.
    assert!(run.statistics().peak_bytes <= 210_000);
}

#[test]
fn runs_that_overlap_count_each_event_for_one_alert() {
    let plan = aggregate(vec![key("user", 2)], 3, None, 9 * MINUTE);
    let mut run = Run::new(&plan, OperatorConfig::default());
    // 00:01:30 lies in the look-back of the run that ends at 00:10, 00:00:30 does not.
    for minutes in [0.5, 1.5, 6.0, 7.0, 8.0, 11.0, 12.0, 16.0, 17.0] {
        run.push(&record(minutes, r#""user":"ann","host":"web""#));
    }
    assert_eq!(
        run.finish(),
        [
            "+ann 00:01..00:10 #1 #2 #3 #4 (4 events)",
            "+ann 00:11..00:20 #5 #6 #7 #8 (4 events)",
        ]
    );
}

#[test]
fn groups_may_be_empty_or_many_and_values_must_be_distinct() {
    let logs = [
        record(1.0, r#""user":"ann","host":["a","b"]"#),
        record(2.0, r#""user":["ann","bob"],"host":"a""#),
        record(3.0, r#""user":"bob""#),
        record(4.0, r#""host":"c""#),
    ];
    let cases = [
        (vec![], 4, None, vec!["+ 23:56..00:05 #0 #1 #2 #3 (4 events)"]),
        (
            vec![],
            1,
            Some(3),
            vec!["+ 23:56..00:05 #0 #1 #2 #3 (4 events, 3 values)"],
        ),
        (vec![], 1, Some(4), vec![]),
        (
            vec![key("user", 2)],
            2,
            None,
            vec![
                "+ann 23:56..00:05 #0 #1 (2 events)",
                "+bob 23:56..00:05 #1 #2 (2 events)",
            ],
        ),
        (
            vec![key("user", 2)],
            1,
            Some(2),
            vec!["+ann 23:56..00:05 #0 #1 (2 events, 2 values)"],
        ),
    ];
    for (group, at_least, distinct, expected) in cases {
        let mut run = Run::new(
            &aggregate(group, at_least, distinct, 9 * MINUTE),
            OperatorConfig::default(),
        );
        logs.iter().for_each(|log| run.push(log));
        assert_eq!(
            run.finish(),
            expected,
            "at least {at_least}, distinct {distinct:?}"
        );
    }
}

#[test]
fn a_count_is_told_when_late_events_cannot_change_it() {
    let plan = aggregate(vec![key("user", 2)], 2, None, 9 * MINUTE);
    let mut run = Run::new(&plan, live(4 * MINUTE));
    run.push(&record(1.0, r#""user":"ann","host":"web""#));
    run.push(&record(4.0, r#""user":"ann","host":"web""#));
    run.advance(8.9);
    assert!(run.said().is_empty());
    run.push(&record(2.0, r#""user":"ann","host":"web""#));
    run.advance(9.0);
    assert_eq!(run.said(), ["+ann 23:56..00:05 #0 #2 #1 (3 events)"]);
    run.push(&record(3.0, r#""user":"ann","host":"web""#));
    assert_eq!(run.statistics().late, 1);
    // Of another group, whose run is over too: the next run still sees it.
    run.push(&record(3.0, r#""user":"bob","host":"web""#));
    run.push(&record(9.5, r#""user":"bob","host":"web""#));
    run.advance(100.0);
    assert_eq!(run.said(), ["+bob 00:01..00:10 #4 #5 (2 events)"]);
    assert_eq!(run.statistics().keys, 0);
}
