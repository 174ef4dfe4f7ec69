//! Events that rules are not to see, and operators that go on in another set of rules.

#![expect(clippy::expect_used, reason = "a test may fail loudly and says what it saw")]

use std::sync::Arc;

use neph_engine::{
    Emit, Exception, Matcher, OperatorConfig, Operators, Origin, Outcome, Program, Record, RuleIndex,
};
use neph_event::{Field, FieldType, Instant};
use neph_plan::{
    Case, Condition, EventQuery, FieldId, Key, Pattern, Plan, Query, Sequence, Span, Stage, Test,
};

fn fields() -> Vec<Arc<Field>> {
    [
        ("@timestamp", FieldType::Date),
        ("action", FieldType::Keyword),
        ("user", FieldType::Keyword),
    ]
    .into_iter()
    .map(|(name, kind)| Field::new(name, kind).into())
    .collect()
}

fn is(field: u32, text: &str) -> Condition {
    let test = Test::Like(FieldId(field), [Pattern::literal(text)].into(), Case::Sensitive);
    Condition::leaf(test, Span::default())
}

fn plan(query: Query) -> Plan {
    Plan {
        fields: fields(),
        time: FieldId(0),
        tiebreaker: None,
        query,
        limits: Vec::new(),
        failing_indices: Vec::new(),
    }
}

fn single(action: &str) -> Plan {
    let condition = is(1, action);
    plan(Query::Events(EventQuery { condition }))
}

fn sequence(actions: &[&str]) -> Plan {
    let stage = |action: &&str| Stage {
        condition: is(1, action),
        keys: vec![Key {
            name: "user".into(),
            field: Some(FieldId(2)),
            optional: false,
        }],
        missing: false,
        runs: 1,
        span: Span::default(),
    };
    plan(Query::Sequence(Sequence {
        stages: actions.iter().map(stage).collect(),
        until: None,
        maxspan: None,
    }))
}

struct Run {
    matcher: Matcher,
    position: u64,
}

impl Run {
    fn new(program: Program) -> Self {
        let matcher = Matcher::new(Arc::new(program));
        Self { matcher, position: 0 }
    }

    fn push(&mut self, operators: &mut Operators, action: &str, user: &str) -> Vec<(u32, usize)> {
        self.position += 1;
        let second = self.position;
        let json = format!(
            r#"{{"@timestamp":"2026-01-01T00:00:{second:02}Z","action":"{action}","user":"{user}"}}"#
        );
        self.matcher.read(json.as_bytes()).expect("the record is JSON");
        let origin = Origin {
            source: "test".into(),
            line: second,
        };
        let record = Record {
            document: json.as_bytes(),
            id: None,
            index: None,
            position: second,
            origin: &origin,
        };
        let mut outcomes = Vec::new();
        self.matcher
            .matches(&record, |step| operators.push(step, &mut outcomes));
        // 2026-01-01T00:00:00Z, and so many seconds.
        let now = Instant::from_millis(1_767_225_600_000 + i64::try_from(second).expect("few events") * 1000);
        operators.advance(now, &mut outcomes);
        let told = outcomes.iter().map(|outcome| match outcome {
            Outcome::Found(found) => (found.rule.0, found.events.len()),
            Outcome::Retracted(_) => (u32::MAX, 0),
        });
        told.collect()
    }
}

fn operators(plans: &[&Plan]) -> Operators {
    let config = OperatorConfig {
        emit: Emit::AtOnce,
        ..OperatorConfig::default()
    };
    Operators::new(plans, &config)
}

#[test]
fn an_excepted_event_is_no_step_of_the_rules_that_it_is_excepted_from() {
    let plans = [single("login"), sequence(&["login", "delete"]), single("login")];
    let robot = is(2, "robot");
    let exception = Exception {
        fields: &fields(),
        condition: &robot,
        rules: &[RuleIndex(0), RuleIndex(1)],
    };
    let (program, errors, refused) = Program::compile_excepting(&plans, &[exception]);
    assert!(errors.is_empty() && refused.is_empty());
    let mut run = Run::new(program);
    let mut operators = operators(&plans.iter().collect::<Vec<_>>());
    assert_eq!(run.push(&mut operators, "login", "ann"), [(0, 1), (2, 1)]);
    assert_eq!(run.push(&mut operators, "login", "robot"), [(2, 1)]);
    assert_eq!(run.push(&mut operators, "delete", "robot"), []);
    assert_eq!(run.push(&mut operators, "delete", "ann"), [(1, 2)]);
    // The login of two rules, and the second step of one of them.
    assert_eq!(run.matcher.excepted(), [3]);
}

#[test]
fn operators_go_on_under_another_number() {
    let old_plans = [sequence(&["login", "delete"]), sequence(&["login", "upload"])];
    let mut old = operators(&old_plans.iter().collect::<Vec<_>>());
    let mut run = Run::new(Program::compile(&old_plans).0);
    assert_eq!(run.push(&mut old, "login", "ann"), []);
    let held = old.state_bytes();
    let new_plans = [
        single("login"),
        sequence(&["login", "upload"]),
        sequence(&["login", "delete"]),
    ];
    let mut new = operators(&new_plans.iter().collect::<Vec<_>>());
    // The second sequence is a changed one and begins anew.
    new.adopt(&mut old, &[(RuleIndex(0), RuleIndex(2))]);
    assert_eq!(old.state_bytes() + new.state_bytes(), held);
    assert!(new.state_bytes() > 0);
    let position = run.position;
    let mut run = Run::new(Program::compile(&new_plans).0);
    run.position = position;
    assert_eq!(run.push(&mut new, "delete", "ann"), [(2, 2)]);
    assert_eq!(run.push(&mut new, "upload", "ann"), []);
    assert_eq!(new.statistics(RuleIndex(2)).finished, 1);
    let mut left = Vec::new();
    old.finish(&mut left);
    assert!(left.is_empty());
}
