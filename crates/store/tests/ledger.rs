//! The ledger: everything adds up, and what was not watched is told.

#![expect(
    clippy::unwrap_used,
    reason = "the lints know test functions only, not what these call"
)]

use std::time::Duration;

use neph_event::Instant;
use neph_store::{
    Backfill, BackfillState, Batch, Commit, Gap, GapKind, LedgerRow, Limits, LossRow, Records, RuleHealth,
    RuleInSet, RuleSet, SilenceLimits, Store, StoreError, StoreOptions, Unseen, UnseenKind,
};

fn at(seconds: i64) -> Instant {
    Instant { seconds, nanos: 0 }
}

/// Minutes after the beginning.
fn minute(minutes: i64) -> Instant {
    at(minutes * 60)
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        min_free_bytes: 0,
        ..Limits::default()
    };
    let store = Store::open(folder.path(), &StoreOptions { limits }).unwrap().0;
    (folder, store)
}

fn row(stream: &str, received: Instant, offsets: std::ops::Range<u64>, evaluated: u64) -> LedgerRow {
    LedgerRow {
        stream: stream.into(),
        received,
        rule_set: "set".into(),
        offsets,
        evaluated,
        ..LedgerRow::default()
    }
}

fn commit(store: &Store, rows: Vec<LedgerRow>) {
    let processed = rows.iter().map(|row| row.offsets.end).max().unwrap_or(0);
    let commit = Commit {
        ledger: rows,
        processed,
        ..Commit::default()
    };
    store.db.commit(commit).unwrap();
}

#[test]
fn rows_of_a_minute_are_added_up_and_none_counts_twice() {
    let (_folder, store) = store();
    let first = LedgerRow {
        times: Some((at(5), at(9))),
        events: 12,
        late: 1,
        bytes: 100,
        ..row("a", at(61), 0..100, 10)
    };
    let second = LedgerRow {
        times: Some((at(2), at(3))),
        refused: 2,
        dropped: 3,
        ..row("a", at(119), 100..150, 5)
    };
    let next_minute = row("a", at(120), 150..160, 1);
    let other = row("b", at(61), 160..170, 7);
    commit(&store, vec![first.clone(), second.clone()]);
    commit(&store, vec![next_minute.clone(), other]);
    // After a crash the pipeline tells of the same blocks again.
    commit(&store, vec![first, second, next_minute]);
    assert_eq!(store.db.processed().unwrap(), 170);
    let intervals = store.db.intervals(at(0)..at(1000)).unwrap();
    assert_eq!(intervals.len(), 2);
    let total = &intervals[0].total;
    assert_eq!(intervals[0].received, at(60)..at(180));
    assert_eq!(
        (
            total.evaluated,
            total.refused,
            total.dropped,
            total.events,
            total.late,
            total.bytes
        ),
        (16, 2, 3, 12, 1, 100)
    );
    assert_eq!(
        (total.offsets.clone(), total.times),
        (0..160, Some((at(2), at(9))))
    );
    assert_eq!(intervals[1].total.evaluated, 7);
    // A row that is half counted would be wrong either way.
    let half = Commit {
        ledger: vec![row("a", at(1), 165..175, 1)],
        processed: 175,
        ..Commit::default()
    };
    assert!(matches!(store.db.commit(half), Err(StoreError::Invalid { .. })));
    assert_eq!(store.db.processed().unwrap(), 170, "nothing of it was kept");
}

#[test]
fn the_balance_holds_and_shows_what_is_missing() {
    let (_folder, store) = store();
    let append = |stream: &str, count: usize| {
        let mut records = Records::default();
        for number in 0..count {
            records.push(number.to_string().as_bytes());
        }
        let batch = Batch {
            stream: stream.into(),
            received: at(60),
            records,
        };
        let offset = store.log.append(batch.clone()).unwrap();
        offset..offset + batch.records.bytes.len() as u64
    };
    let first = append("a", 10);
    let second = append("b", 4);
    append("a", 3);
    let balances = || store.db.balance(&store.log).unwrap();
    assert!(
        balances().iter().all(neph_store::Balance::holds),
        "nothing is processed yet"
    );
    commit(
        &store,
        vec![
            LedgerRow {
                refused: 2,
                ..row("a", at(60), first, 8)
            },
            row("b", at(60), second, 3),
        ],
    );
    let found = balances();
    assert_eq!(
        (
            found[0].received,
            found[0].evaluated,
            found[0].refused,
            found[0].pending
        ),
        (13, 8, 2, 3)
    );
    assert!(found[0].holds());
    assert!(!found[1].holds(), "one record of b is not accounted for");
}

fn gaps(store: &Store, from: i64, to: i64, now: i64) -> Vec<Gap> {
    store
        .db
        .gaps(minute(from)..minute(to), minute(now), &SilenceLimits::default())
        .unwrap()
}

/// One line a gap, in minutes.
fn told(gaps: &[Gap]) -> Vec<String> {
    let line = |gap: &Gap| {
        let whose = gap.stream.as_deref().or(gap.rule.as_deref()).unwrap_or("-");
        let open = if gap.open { " open" } else { "" };
        let closed = if gap.closed_by.is_empty() {
            String::new()
        } else {
            format!(" closed by {:?}", gap.closed_by)
        };
        format!(
            "{:?} {whose} {}..{}{open}{closed}",
            gap.kind,
            gap.from.seconds / 60,
            gap.to.seconds / 60
        )
    };
    gaps.iter().map(line).collect()
}

#[test]
fn times_without_a_service_are_gaps() {
    let (_folder, store) = store();
    let db = &store.db;
    let first = db.run_started(minute(0), "1").unwrap();
    db.run_stopped(first, minute(10)).unwrap();
    let second = db.run_started(minute(20), "1").unwrap();
    db.heartbeat(second, minute(30)).unwrap();
    // Killed: the next run shows how long it was away.
    let third = db.run_started(minute(45), "2").unwrap();
    db.heartbeat(third, minute(60)).unwrap();
    assert_eq!(
        told(&gaps(&store, 0, 100, 60)),
        ["ServiceDown - 10..20", "ServiceDown - 30..45"]
    );
    assert_eq!(
        told(&gaps(&store, 12, 40, 60)),
        ["ServiceDown - 12..20", "ServiceDown - 30..40"]
    );
    assert_eq!(told(&gaps(&store, 50, 100, 90)), ["ServiceDown - 60..90 open"]);
    let runs = db.runs(10).unwrap();
    assert_eq!(
        runs.iter().map(|run| run.stopped).collect::<Vec<_>>(),
        [None, None, Some(minute(10))]
    );
}

#[test]
fn a_silent_source_is_a_gap_measured_by_its_own_habit() {
    let (_folder, store) = store();
    let run = store.db.run_started(minute(0), "1").unwrap();
    let mut offset = 0;
    let mut rows = Vec::new();
    let mut add = |stream: &str, at_minute: i64, records: u64| {
        rows.push(row(stream, minute(at_minute), offset..offset + 1, records));
        offset += 1;
    };
    // `busy` comes every minute and pauses for twenty; `hourly` comes every hour; ticks are no source.
    for at_minute in (0..40).chain(60..300) {
        add("busy", at_minute, 5);
        add("tick", at_minute, 0);
    }
    for hour in 0..5 {
        add("hourly", hour * 60, 1);
    }
    commit(&store, rows);
    store.db.heartbeat(run, minute(400)).unwrap();
    assert_eq!(told(&gaps(&store, 0, 300, 300)), ["SourceSilent busy 40..60"]);
    assert_eq!(
        told(&gaps(&store, 0, 330, 330)),
        ["SourceSilent busy 40..60", "SourceSilent busy 300..330 open"]
    );
    // Long after both are silent, `hourly` by its own measure; one that stopped long ago still is.
    store.db.heartbeat(run, minute(2000)).unwrap();
    assert_eq!(
        told(&gaps(&store, 310, 2000, 2000)),
        [
            "SourceSilent busy 310..2000 open",
            "SourceSilent hourly 310..2000 open"
        ]
    );
    store.db.heartbeat(run, minute(60_000)).unwrap();
    assert_eq!(told(&gaps(&store, 50_000, 60_000, 60_000)).len(), 2);
    let own = SilenceLimits {
        streams: [
            ("bu".to_owned(), Duration::from_secs(3600)),
            ("".to_owned(), Duration::from_secs(1800)),
        ]
        .into(),
        ..SilenceLimits::default()
    };
    let found = store.db.gaps(minute(0)..minute(300), minute(300), &own).unwrap();
    assert_eq!(
        told(&found),
        [
            "SourceSilent hourly 1..60",
            "SourceSilent hourly 61..120",
            "SourceSilent hourly 121..180",
            "SourceSilent hourly 181..240",
            "SourceSilent hourly 241..300 open"
        ]
    );
}

#[test]
fn a_source_is_not_silent_while_nobody_could_hear_it() {
    let (_folder, store) = store();
    let first = store.db.run_started(minute(0), "1").unwrap();
    store.db.run_stopped(first, minute(10)).unwrap();
    let second = store.db.run_started(minute(60), "1").unwrap();
    store.db.heartbeat(second, minute(100)).unwrap();
    let rows = (0..10)
        .chain(65..100)
        .zip(0..)
        .map(|(at_minute, offset)| row("a", minute(at_minute), offset..offset + 1, 1));
    commit(&store, rows.collect());
    assert_eq!(told(&gaps(&store, 0, 100, 100)), ["ServiceDown - 10..60"]);
}

fn rules(id: &str, rules: &[(&str, RuleHealth)]) -> RuleSet {
    let rules = rules.iter().map(|(rule, health)| RuleInSet {
        id: (*rule).to_owned(),
        name: format!("Rule {rule}"),
        version: "v1".into(),
        health: *health,
        why: if *health == RuleHealth::Rejected {
            "unknown field".into()
        } else {
            String::new()
        },
    });
    RuleSet {
        id: id.to_owned(),
        rules: rules.collect(),
    }
}

#[test]
fn rules_that_were_broken_or_absent_are_gaps_until_they_are_filled() {
    use RuleHealth::{Active, Degraded, Rejected};
    let (_folder, store) = store();
    let db = &store.db;
    db.rule_set_active(
        minute(0),
        rules("one", &[("a", Active), ("b", Rejected), ("old", Active)]),
    )
    .unwrap();
    db.rule_set_active(
        minute(10),
        rules("two", &[("a", Rejected), ("b", Active), ("c", Degraded)]),
    )
    .unwrap();
    db.rule_set_active(
        minute(20),
        rules("two", &[("a", Rejected), ("b", Active), ("c", Degraded)]),
    )
    .unwrap();
    db.rule_set_active(
        minute(30),
        rules(
            "three",
            &[("a", Active), ("b", Active), ("c", Active), ("d", Rejected)],
        ),
    )
    .unwrap();
    let before = [
        "RuleAbsent c 0..10",
        "RuleAbsent d 0..30",
        "RuleBroken b 0..10",
        "RuleBroken a 10..30",
        "RuleBroken d 30..50 open",
    ];
    let mut found = told(&gaps(&store, 0, 50, 50));
    found.sort();
    let mut expected = before.map(str::to_owned);
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(gaps(&store, 40, 50, 50)[0].why, "unknown field");

    let backfill = |rule: &str, from, to, state| Backfill {
        id: 0,
        rule: rule.into(),
        version: "v1".into(),
        from: minute(from),
        to: minute(to),
        started: minute(50),
        finished: None,
        records: 0,
        alerts: 0,
        new_alerts: 0,
        state,
        detail: String::new(),
    };
    let mut running = backfill("a", 10, 25, BackfillState::Running);
    running.id = db.save_backfill(running.clone()).unwrap();
    assert_eq!(told(&gaps(&store, 10, 30, 50))[0], "RuleBroken a 10..30");
    running.state = BackfillState::Done;
    running.records = 99;
    assert_eq!(db.save_backfill(running).unwrap(), 1);
    let of_a = |store: &Store| -> Vec<String> {
        told(&gaps(store, 0, 50, 50))
            .into_iter()
            .filter(|line| line.contains(" a "))
            .collect()
    };
    assert_eq!(
        of_a(&store),
        ["RuleBroken a 10..25 closed by [1]", "RuleBroken a 25..30"]
    );
    db.save_backfill(backfill("*", 20, 40, BackfillState::Done))
        .unwrap();
    assert_eq!(of_a(&store), ["RuleBroken a 10..30 closed by [1, 2]"]);
    let kept = db.backfills(10).unwrap();
    assert_eq!(
        (kept.len(), kept[1].records, kept[1].state),
        (2, 99, BackfillState::Done)
    );
    assert_eq!(db.rule_set("two").unwrap().rules.len(), 3);
    assert!(matches!(db.rule_set("none"), Err(StoreError::Missing { .. })));
}

#[test]
fn losses_and_late_records_are_gaps() {
    let (_folder, store) = store();
    store
        .db
        .lost(LossRow {
            stream: "syslog/10.0.0.5".into(),
            from: minute(5),
            to: minute(6),
            records: Some(12),
            why: "the system dropped datagrams".into(),
        })
        .unwrap();
    // Two records of an hour are one stretch.
    for (from, to, records) in [(2, 3, 1), (4, 5, 3)] {
        note(&store, late(from, to, records), 50);
    }
    let found = gaps(&store, 0, 51, 51);
    assert_eq!(told(&found), ["Late a 2..5", "Loss syslog/10.0.0.5 5..6"]);
    assert_eq!(
        found.iter().map(|gap| gap.records).collect::<Vec<_>>(),
        [Some(4), Some(12)]
    );
    assert_eq!(found[0].rule.as_deref(), Some("r"));
    assert_eq!(found[1].kind, GapKind::Loss);
}

fn late(from: i64, to: i64, records: u64) -> Unseen {
    Unseen {
        kind: UnseenKind::Late,
        stream: "a".into(),
        rule: "r".into(),
        from: minute(from),
        to: minute(to),
        records,
        why: "too late".into(),
        ended: true,
    }
}

fn note(store: &Store, unseen: Unseen, at_minute: i64) {
    let commit = Commit {
        now: minute(at_minute),
        unseen: vec![unseen],
        ..Commit::default()
    };
    store.db.commit(commit).unwrap();
}

#[test]
fn a_back_fill_closes_what_was_known_when_it_began() {
    let (_folder, store) = store();
    note(&store, late(10, 20, 1), 50);
    let mut backfill = Backfill {
        id: 0,
        rule: "r".into(),
        version: "v1".into(),
        from: minute(0),
        to: minute(60),
        started: minute(40),
        finished: Some(minute(41)),
        records: 0,
        alerts: 0,
        new_alerts: 0,
        state: BackfillState::Done,
        detail: String::new(),
    };
    store.db.save_backfill(backfill.clone()).unwrap();
    let open = |store: &Store| {
        let found = gaps(store, 0, 70, 70);
        assert_eq!(found.len(), 1);
        found[0].closed_by.is_empty()
    };
    assert!(open(&store), "it came after the back-fill had begun");
    backfill.started = minute(51);
    store.db.save_backfill(backfill).unwrap();
    assert!(!open(&store));
    // Another record of the same hour opens it again.
    note(&store, late(11, 12, 1), 52);
    assert!(open(&store));
}

#[test]
fn what_was_not_taken_is_told_while_it_lasts_and_after() {
    let (_folder, store) = store();
    let untaken = |to, records, ended| Unseen {
        kind: UnseenKind::Untaken,
        stream: String::new(),
        rule: String::new(),
        from: minute(10),
        to: minute(to),
        records,
        why: "no room".into(),
        ended,
    };
    let db = &store.db;
    db.note_unseen(vec![untaken(11, 5, false)], minute(11)).unwrap();
    let tell = |now| {
        let gap = gaps(&store, 0, 60, now).remove(0);
        assert_eq!(gap.kind, GapKind::Untaken);
        let length = (gap.to.seconds - gap.from.seconds) / 60;
        (length, gap.open, gap.records)
    };
    assert_eq!(tell(12), (2, true, Some(5)));
    db.note_unseen(vec![untaken(12, 9, false)], minute(12)).unwrap();
    // Does nobody say any more that it lasts, it ended at the last word.
    assert_eq!(tell(30), (2, false, Some(9)));
    db.note_unseen(vec![untaken(14, 12, true)], minute(14)).unwrap();
    assert_eq!(tell(14), (4, false, Some(12)));
}

#[test]
fn old_rows_become_one_a_day_and_say_the_same() {
    let (_folder, store) = store();
    let day = 24 * 60;
    let minutes = [0, 1, 30, day - 1, day, day + 5, 3 * day + 7, 40 * day];
    let rows = minutes.iter().zip(0..).map(|(at_minute, offset)| LedgerRow {
        times: Some((minute(*at_minute), minute(at_minute + 1))),
        refused: 1,
        ..row("a", minute(*at_minute), offset..offset + 1, 2)
    });
    commit(&store, rows.collect());
    let before = store.db.balance(&store.log).unwrap();
    let everything = minute(0)..minute(50 * day);
    // Thirty days stay as they are.
    store.retain(0, minute(30 * day)).unwrap();
    assert_eq!(store.db.intervals(everything.clone()).unwrap().len(), 6);
    for _ in 0..2 {
        store.retain(0, minute(40 * day)).unwrap();
        assert_eq!(store.db.balance(&store.log).unwrap(), before);
        let intervals = store.db.intervals(everything.clone()).unwrap();
        let told: Vec<(i64, i64, u64, u64)> = intervals
            .iter()
            .map(|one| {
                let days = |time: Instant| time.seconds / 60 / day;
                (
                    days(one.received.start),
                    days(one.received.end),
                    one.total.evaluated,
                    one.total.refused,
                )
            })
            .collect();
        assert_eq!(told, [(0, 2, 12, 6), (3, 4, 2, 1), (40, 40, 2, 1)]);
        assert_eq!(intervals[0].total.times, Some((minute(0), minute(day + 6))));
    }
    let silent = gaps(&store, 0, 10 * day, 41 * day);
    assert_eq!(
        told(&silent),
        [
            format!("Refused a 0..{}", 2 * day),
            format!("SourceSilent a {}..{}", 2 * day, 3 * day),
            format!("Refused a {}..{}", 3 * day, 4 * day),
            format!("SourceSilent a {}..{}", 4 * day, 10 * day)
        ]
    );
}

#[test]
fn what_is_past_its_time_goes_and_the_balance_holds() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        min_free_bytes: 0,
        segment_bytes: 1,
        max_age: Duration::from_secs(7 * 86_400),
        ..Limits::default()
    };
    let store = Store::open(folder.path(), &StoreOptions { limits }).unwrap().0;
    let day = 24 * 60;
    for days in [0, 1, 2, 40, 95, 99] {
        let mut records = Records::default();
        records.push(b"one");
        records.push(b"two");
        let batch = Batch {
            stream: "a".into(),
            received: minute(days * day),
            records,
        };
        let offset = store.log.append(batch).unwrap();
        let refused = LedgerRow {
            refused: 1,
            ..row("a", minute(days * day), offset..offset + 6, 1)
        };
        commit(&store, vec![refused]);
    }
    let balance = |store: &Store| store.db.balance(&store.log).unwrap().remove(0);
    assert_eq!((balance(&store).received, balance(&store).holds()), (12, true));
    // What the log still holds stays, however old.
    assert_eq!(
        store
            .db
            .prune_ledger(minute(50 * day), store.log.begin())
            .unwrap(),
        0
    );
    store.retain(store.log.end(), minute(100 * day)).unwrap();
    assert_eq!((balance(&store).received, balance(&store).holds()), (12, true));
    assert_eq!(
        store
            .db
            .prune_ledger(minute(50 * day), store.log.begin())
            .unwrap(),
        4
    );
    assert_eq!((balance(&store).received, balance(&store).holds()), (4, true));
    assert_eq!(
        store
            .db
            .prune_ledger(minute(50 * day), store.log.begin())
            .unwrap(),
        0
    );
    // What was removed meanwhile is counted on.
    store.retain(store.log.end(), minute(104 * day)).unwrap();
    assert_eq!((balance(&store).received, balance(&store).holds()), (4, true));
}

#[test]
fn names_are_added_up_once_and_forgotten_when_nobody_sends_to_them() {
    let (_folder, store) = store();
    let name = |index: &str, records, by_content| neph_store::NameCount {
        index: index.into(),
        records,
        by_content,
        ..neph_store::NameCount::default()
    };
    let with = |offsets: std::ops::Range<u64>, received, names| LedgerRow {
        untimed: 2,
        names,
        ..row("a", received, offsets, 5)
    };
    let first = with(0..10, at(5), vec![name("logs-mine", 3, 7), name("other", 2, 7)]);
    commit(&store, vec![first.clone()]);
    commit(&store, vec![first]);
    commit(&store, vec![with(10..20, at(65), vec![name("logs-mine", 4, 9)])]);
    let names = store.db.names(at(0)).unwrap();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(
        (names[0].total.records, names[0].total.by_content),
        (7, 9),
        "the rules are those of the last"
    );
    assert_eq!((names[0].first, names[0].last), (at(5), at(65)));
    assert_eq!(store.db.names(at(60)).unwrap().len(), 1);
    let untimed: u64 = store
        .db
        .intervals(at(0)..at(3600))
        .unwrap()
        .iter()
        .map(|interval| interval.total.untimed)
        .sum();
    assert_eq!(untimed, 4);
    store.retain(0, at(40 * 86_400)).unwrap();
    assert!(store.db.names(at(0)).unwrap().is_empty());
}
