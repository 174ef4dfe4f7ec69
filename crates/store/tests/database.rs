//! The database: transactions that are whole or not there, readers beside the writer, tokens and the audit log.

#![expect(
    clippy::unwrap_used,
    reason = "the lints know test functions only, not what these call"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use neph_event::Instant;
use neph_store::{
    AlertChange, AlertQuery, AuditEntry, AuditQuery, Commit, LedgerRow, Limits, NewToken, Role, Severity,
    Store, StoreError, StoreOptions, StoredAlert, Token,
};

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

/// Commit number n: one alert, one row, one offset.
fn commit(number: u64) -> Commit {
    let alert = StoredAlert {
        id: format!("{number}"),
        rule_id: "rule".into(),
        rule_name: "Rule".into(),
        rule_version: String::new(),
        severity: Severity::Low,
        risk_score: 1,
        reason: format!("reason {number}"),
        time: at(number as i64),
        first: None,
        last: None,
        count: 1,
        techniques: vec!["T1".into()],
        tactics: vec![],
        tags: vec![],
        entities: vec![("host.name".into(), format!("h{number}"))],
        document: b"{}".to_vec(),
    };
    let row = LedgerRow {
        stream: "s".into(),
        received: at(60 * (number as i64 % 7)),
        rule_set: "r".into(),
        offsets: number..number + 1,
        evaluated: 1,
        ..LedgerRow::default()
    };
    Commit {
        now: at(1),
        alerts: vec![AlertChange::Raised(alert)],
        unseen: Vec::new(),
        ledger: vec![row],
        processed: number + 1,
        outputs: vec!["out".into()],
    }
}

const FOLDER: &str = "NEPH_TEST_FOLDER";

/// Commits on from where the last one stopped, until it is killed.
#[test]
fn child_that_commits() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let store = open(Path::new(&folder));
    for number in store.db.processed().unwrap().. {
        store.db.commit(commit(number)).unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "done {number}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn a_commit_is_whole_or_not_there_whenever_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut done = 0;
    for round in 0..20_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "child_that_commits",
                "--nocapture",
                "--test-threads",
                "1",
            ])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let wanted = done + 1 + round * 7 % 30;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let number = line
                .unwrap()
                .split_once("done ")
                .and_then(|(_, number)| number.parse::<u64>().ok());
            // A number that the kill cut short is less, and changes nothing.
            done = done.max(number.map_or(0, |number| number + 1));
            if done >= wanted {
                child.kill().unwrap();
                break;
            }
        }
        child.wait().unwrap();
        let store = open(folder.path());
        let processed = store.db.processed().unwrap();
        assert!(processed >= done);
        assert_eq!(store.db.count_alerts(&AlertQuery::default()).unwrap(), processed);
        let everything = at(0)..at(100_000);
        let evaluated: u64 = store
            .db
            .intervals(everything)
            .unwrap()
            .iter()
            .map(|one| one.total.evaluated)
            .sum();
        assert_eq!(evaluated, processed);
        assert_eq!(
            store
                .db
                .outbox_counts()
                .unwrap()
                .iter()
                .map(|one| one.waiting)
                .sum::<u64>(),
            processed
        );
        done = processed;
    }
    assert!(done > 20);
}

#[test]
fn many_write_and_read_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let reader = Store::open_read_only(folder.path()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let db = store.db.clone();
            scope.spawn(move || {
                for number in 0..25 {
                    db.audit(AuditEntry {
                        at: at(number),
                        who: format!("t{thread}"),
                        from: "127.0.0.1".into(),
                        what: "alerts.close".into(),
                        target: number.to_string(),
                        outcome: "ok".into(),
                    })
                    .unwrap();
                }
            });
        }
        for db in [&store.db, &reader.db] {
            scope.spawn(move || {
                let query = AuditQuery {
                    limit: 1000,
                    ..AuditQuery::default()
                };
                let mut seen = 0;
                while seen < 200 {
                    let now = db.audit_log(&query).unwrap().len();
                    assert!(now >= seen);
                    seen = now;
                }
            });
        }
    });
    let page = |before| {
        let query = AuditQuery {
            who: Some("t3".into()),
            what: Some("alerts.".into()),
            from: Some(at(5)),
            to: Some(at(20)),
            before,
            limit: 10,
        };
        store.db.audit_log(&query).unwrap()
    };
    let first = page(None);
    let second = page(Some(first.last().unwrap().0));
    assert_eq!((first.len(), second.len()), (10, 5));
    assert_eq!(first[0].1.target, "19");
    // Old entries go, and those of the time itself stay.
    assert_eq!(store.db.prune_audit(at(18)).unwrap(), 8 * 18);
    let left = page(None);
    assert_eq!(left.iter().map(|(_, entry)| entry.at).min(), Some(at(18)));
    assert_eq!(store.db.prune_audit(at(18)).unwrap(), 0);
    assert!(matches!(
        reader.db.commit(commit(0)),
        Err(StoreError::ReadOnly { .. })
    ));
}

#[test]
fn a_failed_change_undoes_itself_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    std::thread::scope(|scope| {
        for thread in 0..8_i64 {
            let db = &store.db;
            scope.spawn(move || {
                for number in 0..20 {
                    if (thread + number) % 3 == 0 {
                        assert!(matches!(
                            db.revoke_token("none", at(1)),
                            Err(StoreError::Missing { .. })
                        ));
                    } else {
                        db.run_started(at(number), "1").unwrap();
                    }
                }
            });
        }
    });
    let expected = (0..8)
        .flat_map(|thread| (0..20).map(move |number| thread + number))
        .filter(|sum| sum % 3 != 0)
        .count();
    assert_eq!(store.db.runs(1000).unwrap().len(), expected);
}

#[test]
fn a_database_of_a_newer_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let path = folder.path().join("neph.sqlite");
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    let limits = Limits::default();
    let error = Store::open(folder.path(), &StoreOptions { limits })
        .err()
        .unwrap();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    let error = Store::open_read_only(folder.path()).err().unwrap();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    let nothing = tempfile::tempdir().unwrap();
    assert!(Store::open_read_only(nothing.path()).is_err());
    assert!(
        std::fs::read_dir(nothing.path()).unwrap().next().is_none(),
        "reading makes nothing"
    );
}

#[test]
fn tokens_are_good_until_they_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let db = &store.db;
    let new = |name: &str, role, expires| NewToken {
        name: name.into(),
        role,
        expires,
    };
    let admin = db.create_token(new("first", Role::Admin, None), at(100)).unwrap();
    let sender = db
        .create_token(new("filebeat", Role::Ingest, Some(at(200))), at(101))
        .unwrap();
    let verified = |token: &Token, now| db.verify_token(token, at(now)).unwrap().map(|record| record.role);
    assert_eq!(verified(&admin, 150), Some(Role::Admin));
    assert_eq!(verified(&sender, 199), Some(Role::Ingest));
    assert_eq!(verified(&sender, 200), None, "expired");
    let parsed = Token::parse(&admin.reveal()).unwrap();
    assert_eq!(verified(&parsed, 150), Some(Role::Admin));
    let mut wrong = admin.reveal();
    let last = wrong.pop().unwrap();
    wrong.push(if last == 'a' { 'b' } else { 'a' });
    assert_eq!(verified(&Token::parse(&wrong).unwrap(), 150), None);
    let other = format!(
        "neph_{}_{}",
        sender.id,
        admin.reveal().rsplit('_').next().unwrap()
    );
    assert_eq!(
        verified(&Token::parse(&other).unwrap(), 150),
        None,
        "the secret of another"
    );
    assert_eq!(verified(&Token::parse("neph_0000_0000").unwrap(), 150), None);
    db.revoke_token(&admin.id, at(160)).unwrap();
    assert_eq!(verified(&admin, 161), None);
    db.revoke_token(&admin.id, at(170)).unwrap();
    let listed = db.tokens().unwrap();
    assert_eq!(
        listed.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(),
        ["first", "filebeat"]
    );
    assert_eq!(
        (listed[0].used, listed[0].revoked),
        (Some(at(150)), Some(at(160)))
    );
    // The secret is nowhere on disk.
    let secret = admin.reveal().rsplit('_').next().unwrap().to_owned();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        assert!(
            !bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes())
        );
    }
}

#[cfg(unix)]
#[test]
fn what_is_kept_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("not/there/yet");
    drop(open(&deep));
    for path in [deep.clone(), deep.join("events"), deep.join("state")] {
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o077,
            0,
            "{}",
            path.display()
        );
    }
}
