//! `neph status` on a store in which everything went wrong once: what was not seen, since when, and why.

#![expect(clippy::expect_used, reason = "a test may fail loudly and says what it saw")]

use std::process::{Command, Output};

use neph_event::Instant;
use neph_store::{
    Backfill, BackfillState, Batch, Commit, LedgerRow, Limits, LossRow, Records, RuleHealth, RuleInSet,
    RuleSet, Store, StoreOptions, Unseen, UnseenKind,
};
use serde_json::Value;

const MINUTE: i128 = 60_000_000_000;
const HOUR: i128 = 60 * MINUTE;

/// A store whose times count back from now.
struct Past {
    store: Store,
    now: Instant,
}

impl Past {
    fn ago(&self, minutes: i128) -> Instant {
        self.now.saturating_sub_nanos(minutes * MINUTE)
    }

    /// Takes records in and says what became of them, as the service does.
    fn receive(&self, stream: &str, minutes_ago: i128, good: u64, bad: u64) {
        let received = self.ago(minutes_ago);
        let mut records = Records::default();
        for _ in 0..good + bad {
            assert!(records.push(b"{}"));
        }
        let batch = Batch {
            stream: stream.into(),
            received,
            records,
        };
        let offset = self.store.log.append(batch).expect("room");
        let row = LedgerRow {
            stream: stream.into(),
            received,
            rule_set: "set".into(),
            offsets: offset..self.store.log.end(),
            times: Some((received, received)),
            evaluated: good,
            refused: bad,
            events: good,
            bytes: self.store.log.end() - offset,
            ..LedgerRow::default()
        };
        let commit = Commit {
            now: received,
            processed: row.offsets.end,
            ledger: vec![row],
            ..Commit::default()
        };
        self.store.db.commit(commit).expect("a commit");
    }

    fn rules(&self, id: &str, minutes_ago: i128, rules: &[(&str, RuleHealth, &str)]) {
        let rules = rules.iter().map(|(id, health, why)| RuleInSet {
            id: (*id).into(),
            name: (*id).into(),
            version: "1".into(),
            health: *health,
            why: (*why).into(),
        });
        let set = RuleSet {
            id: id.into(),
            rules: rules.collect(),
        };
        let at = self.ago(minutes_ago);
        self.store.db.rule_set_active(at, set).expect("a rule set");
    }

    fn missed(&self, kind: UnseenKind, of: (&str, &str), minutes_ago: (i128, i128), records: u64, why: &str) {
        let unseen = Unseen {
            kind,
            stream: of.0.into(),
            rule: of.1.into(),
            from: self.ago(minutes_ago.0),
            to: self.ago(minutes_ago.1),
            records,
            why: why.into(),
            ended: true,
        };
        let noted = self.ago(minutes_ago.1);
        self.store.db.note_unseen(vec![unseen], noted).expect("a note");
    }
}

fn neph(data: &std::path::Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neph"))
        .current_dir(data)
        .env("TZ", "UTC")
        .args(["status", "--data"])
        .arg(data)
        .args(arguments)
        .output()
        .expect("the binary starts")
}

#[test]
fn everything_that_was_not_seen_is_told_with_its_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = StoreOptions {
        limits: Limits {
            min_free_bytes: 0,
            ..Limits::default()
        },
    };
    let (store, _) = Store::open(folder.path(), &options).expect("a store");
    // At the beginning of a minute, since rows of the ledger are of minutes.
    let now = jiff::Timestamp::now().as_nanosecond();
    let past = Past {
        store,
        now: Instant::from_nanos(now - now % MINUTE),
    };
    let db = &past.store.db;
    let in_hours = |hours: i128| hours * 60;

    // The service was stopped for two hours, crashed later, and runs since.
    let first = db.run_started(past.ago(in_hours(40)), "0.1").expect("a run");
    db.run_stopped(first, past.ago(in_hours(30))).expect("a run");
    let second = db.run_started(past.ago(in_hours(28)), "0.1").expect("a run");
    db.heartbeat(second, past.ago(in_hours(20))).expect("a run");
    let third = db.run_started(past.ago(in_hours(19)), "0.1").expect("a run");
    db.heartbeat(third, Instant::from_nanos(now)).expect("a run");
    // One rule was broken for fifteen hours, another was added then.
    past.rules(
        "one",
        in_hours(40),
        &[
            ("steady", RuleHealth::Active, ""),
            ("broken", RuleHealth::Rejected, "unknown field `proces.name`"),
        ],
    );
    past.rules(
        "two",
        in_hours(25),
        &[
            ("steady", RuleHealth::Active, ""),
            ("broken", RuleHealth::Active, ""),
            ("added", RuleHealth::Active, ""),
        ],
    );
    // A source sends all the time, of which seven records cannot be read; another falls silent ten hours ago.
    for twenty in (0..=120).rev() {
        let minutes = twenty * 20;
        let down = (in_hours(28)..in_hours(30)).contains(&minutes)
            || (in_hours(19)..in_hours(20)).contains(&minutes);
        if !down {
            let bad = if minutes == in_hours(5) { 7 } else { 0 };
            past.receive("bulk/web", minutes, 3, bad);
            if minutes >= in_hours(10) {
                past.receive("syslog/10.0.0.5", minutes, 1, 0);
            }
        }
    }
    db.lost(LossRow {
        stream: "syslog/10.0.0.5".into(),
        from: past.ago(in_hours(12)),
        to: past.ago(in_hours(12) - 1),
        records: Some(12),
        why: "datagrams found no room".into(),
    })
    .expect("a loss");
    // Events came late for a rule, and were filled in; another ran without history; for half an hour the disk was full.
    past.missed(
        UnseenKind::Late,
        ("bulk/web", "steady"),
        (in_hours(8), in_hours(8) - 10),
        12,
        "records came when the windows they belong to were decided",
    );
    past.missed(
        UnseenKind::History,
        ("", "added"),
        (in_hours(2), in_hours(1)),
        0,
        "too much came while its history was read",
    );
    past.missed(
        UnseenKind::Untaken,
        ("", ""),
        (in_hours(4), in_hours(4) - 30),
        5000,
        "the store took no records: no room for more events",
    );
    let backfill = db.save_backfill(Backfill {
        id: 0,
        rule: "steady".into(),
        version: "1".into(),
        from: past.ago(in_hours(9)),
        to: past.ago(in_hours(7)),
        started: past.ago(in_hours(6)),
        finished: Some(past.ago(in_hours(6))),
        records: 36,
        alerts: 1,
        new_alerts: 1,
        state: BackfillState::Done,
        detail: "events came too late".into(),
    });
    assert_eq!(backfill.expect("a back-fill"), 1);
    drop(past.store);

    let output = neph(folder.path(), &["--since", "50h", "--format", "json"]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let end = Instant::from_nanos(now - now % MINUTE);
    let hours_ago = |gap: &Value, key: &str| {
        let time: jiff::Timestamp = gap[key].as_str().expect("a time").parse().expect("a time");
        (end.nanos_since(Instant::from_nanos(time.as_nanosecond())) + HOUR / 2).div_euclid(HOUR)
    };
    type Told = (String, String, i128, i128, bool, Option<u64>, bool);
    let gaps: Vec<Told> = told["gaps"]
        .as_array()
        .expect("gaps")
        .iter()
        .map(|gap| {
            let of = gap["rule"]
                .as_str()
                .or(gap["stream"].as_str())
                .unwrap_or("everything");
            (
                gap["kind"].as_str().expect("a kind").to_owned(),
                of.to_owned(),
                hours_ago(gap, "from"),
                hours_ago(gap, "to"),
                gap["open"] == true,
                gap["records"].as_u64(),
                gap["closed_by"].as_array().is_some_and(|by| !by.is_empty()),
            )
        })
        .collect();
    let expected = [
        ("rule_broken", "broken", 40, 25, false, None, false),
        ("rule_absent", "added", 40, 25, false, None, false),
        ("service_down", "everything", 30, 28, false, None, false),
        ("service_down", "everything", 20, 19, false, None, false),
        ("loss", "syslog/10.0.0.5", 12, 12, false, Some(12), false),
        ("source_silent", "syslog/10.0.0.5", 10, 0, true, None, false),
        ("late", "steady", 8, 8, false, Some(12), true),
        ("refused", "bulk/web", 5, 5, false, Some(7), false),
        ("untaken", "everything", 4, 4, false, Some(5000), false),
        ("history_missing", "added", 2, 1, false, Some(0), false),
    ]
    .map(|(kind, of, from, to, open, records, closed)| {
        (kind.to_owned(), of.to_owned(), from, to, open, records, closed)
    });
    assert_eq!(gaps, expected);
    for balance in told["balance"].as_array().expect("balances") {
        assert_eq!(balance["holds"], true, "{balance}");
    }

    // For people: the same in the same order, one line each.
    let output = neph(folder.path(), &["--since", "50h"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{text}");
    let mut rest = text
        .split("Not seen since")
        .nth(1)
        .unwrap_or_else(|| panic!("{text}"))
        .lines();
    for words in [
        ["rule broken", "broken", "unknown field `proces.name`", ""],
        ["rule absent", "added", "the rule was not loaded", ""],
        ["service down", "everything", "the service was stopped", ""],
        [
            "service down",
            "everything",
            "the service ended without being stopped",
            "",
        ],
        [
            "records lost",
            "syslog/10.0.0.5",
            "datagrams found no room",
            " 12 ",
        ],
        [
            "source silent",
            "syslog/10.0.0.5",
            "nothing came for longer than",
            "still",
        ],
        ["records late", "steady", "windows", "back-fill 1"],
        [
            "records unreadable",
            "bulk/web",
            "records could not be read",
            " 7 ",
        ],
        ["records not taken", "everything", "no room for more", " 5000 "],
        ["history missing", "added", "history was read", ""],
    ] {
        let line = rest
            .by_ref()
            .find(|line| words.iter().all(|word| line.contains(word)));
        assert!(line.is_some(), "no line has {words:?}: {text}");
    }
    assert!(text.contains("The service runs since"), "{text}");
    assert!(
        text.contains("All records that were received are accounted for."),
        "{text}"
    );

    // What is past is left out, what lasts is not.
    let output = neph(
        folder.path(),
        &["--since", "30m", "--format", "json", "--fail-on-gaps"],
    );
    assert_eq!(output.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["gaps"].as_array().map(Vec::len), Some(1), "{}", told["gaps"]);
    assert_eq!(told["gaps"][0]["kind"], "source_silent");
}
