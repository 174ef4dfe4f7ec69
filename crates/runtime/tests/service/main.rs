//! The service: what it tells is what one run over the same records tells, however often it dies.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail loudly and says what it saw"
)]

mod belongs;
mod changes;
mod like_detect;
mod world;

use std::time::Duration;

use neph_engine::Outcome;
use neph_rules::{AlertFlow, Told};
use neph_runtime::service::{OnceById, backfill, history, preview};
use neph_runtime::{RunOptions, detect, prepare};
use neph_store::{AlertAction, Store, Verdict};
use world::{Random, World, alerts, append, at, batches, by_rule, lose_state, options, rules, tick};

const LONG: Duration = Duration::from_secs(300);

/// The alerts of one uninterrupted run of these batches.
fn uninterrupted(batches: &[neph_store::Batch], threads: usize) -> Vec<(String, String, u64)> {
    let world = World::new(&rules());
    let store = world.store();
    append(&store, batches);
    let service = world.start(&store, options(threads));
    assert!(service.wait_until_processed(LONG), "{:?}", service.status());
    let status = service.status();
    assert_eq!(
        status.refused,
        status.problems.values().sum::<u64>(),
        "{status:?}"
    );
    service.stop().unwrap();
    alerts(&store)
}

fn with_end(mut batches: Vec<neph_store::Batch>) -> Vec<neph_store::Batch> {
    // Hours later everything is decided.
    let end = batches.last().unwrap().received.seconds - world::BEGIN;
    for hour in 1..8 {
        batches.push(tick(end + hour * 3600));
    }
    batches
}

#[test]
fn every_kind_of_rule_tells_something_on_any_number_of_threads() {
    let batches = with_end(batches(1, 6 * 3600));
    let one = uninterrupted(&batches, 1);
    println!("{:?}", by_rule(&one));
    let names: Vec<&str> = by_rule(&one).iter().map(|(rule, _)| *rule).collect();
    assert_eq!(
        names,
        ["event", "missing", "new", "sequence", "suppressed", "threshold"]
    );
    assert_eq!(uninterrupted(&batches, 3), one);
}

#[test]
fn whatever_dies_when_the_same_alerts_stand_once() {
    for seed in 1..4_u64 {
        let batches = with_end(batches(seed, 4 * 3600));
        let expected = uninterrupted(&batches, 2);
        let world = World::new(&rules());
        let mut random = Random(seed * 77);
        let mut left = batches.as_slice();
        let mut deaths = 0;
        while !left.is_empty() {
            let store = world.store();
            let mut options = options(1 + usize::try_from(random.below(2)).unwrap());
            options.snapshot_every = Duration::from_millis(20);
            let service = world.start(&store, options);
            // Some of it is read, and then the process ends anywhere.
            let (now, later) = left.split_at(left.len().min(1 + usize::try_from(random.below(90)).unwrap()));
            append(&store, now);
            left = later;
            if left.is_empty() {
                assert!(service.wait_until_processed(LONG), "{:?}", service.status());
            } else {
                std::thread::sleep(Duration::from_millis(random.below(40)));
            }
            service.stop().unwrap();
            drop(store);
            deaths += 1;
            if !left.is_empty() {
                lose_state(&world.data(), usize::try_from(random.below(2)).unwrap());
            }
        }
        let store = world.store();
        println!("seed {seed}: {deaths} deaths, {} alerts", expected.len());
        assert_eq!(alerts(&store), expected, "seed {seed}");
        for balance in store.db.balance(&store.log).unwrap() {
            assert!(balance.holds(), "{balance:?}");
        }
    }
}

#[test]
fn state_that_is_all_lost_is_made_again_from_history() {
    let batches = with_end(batches(9, 4 * 3600));
    let expected = uninterrupted(&batches, 2);
    let world = World::new(&rules());
    let half = batches.len() / 2;
    let store = world.store();
    let service = world.start(&store, options(2));
    append(&store, &batches[..half]);
    assert!(service.wait_until_processed(LONG));
    service.stop().unwrap();
    drop(store);
    lose_state(&world.data(), 9);
    let store = world.store();
    let service = world.start(&store, options(2));
    append(&store, &batches[half..]);
    assert!(service.wait_until_processed(LONG));
    let began = std::time::Instant::now();
    while !service.status().seeding.is_empty() && began.elapsed() < LONG {
        // What comes next wakes rules that have got their history.
        store.log.append(tick(20 * 3600)).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(service.wait_until_processed(LONG));
    service.stop().unwrap();
    // Suppression of alerts that were told before is not made again; everything else is.
    let but_suppressed = |alerts: Vec<(String, String, u64)>| -> Vec<_> {
        alerts
            .into_iter()
            .filter(|(rule, _, _)| rule != "suppressed")
            .collect()
    };
    let (found, expected) = (but_suppressed(alerts(&store)), but_suppressed(expected));
    let missing: Vec<_> = expected.iter().filter(|one| !found.contains(one)).collect();
    let more: Vec<_> = found.iter().filter(|one| !expected.contains(one)).collect();
    assert!(
        missing.is_empty() && more.is_empty(),
        "missing {missing:?}, more {more:?}"
    );
}

#[test]
fn rules_change_without_making_others_forget_and_new_ones_know_the_past() {
    let all = with_end(batches(3, 5 * 3600));
    let expected = uninterrupted(&all, 2);
    let without: Vec<(&str, String)> = rules()
        .into_iter()
        .filter(|(name, _)| *name != "new.toml")
        .collect();
    let world = World::new(&without);
    let store = world.store();
    let service = world.start(&store, options(2));
    let changes = service.subscribe();
    let cut = all.len() * 2 / 3;
    append(&store, &all[..cut]);
    assert!(service.wait_until_processed(LONG));
    // A rule that is broken is refused, and the others go on.
    world.write("event.toml", "[rule]\nname = ");
    assert!(service.reload(world.load()).is_err());
    assert!(service.status().reload_problem.is_some());
    for (name, text) in rules() {
        world.write(name, &text);
    }
    let reloaded = service.reload(world.load()).unwrap();
    assert_eq!((reloaded.rules, reloaded.unchanged), (6, 5));
    assert_eq!(reloaded.seeded, ["new"]);
    assert_eq!(service.status().reload_problem, None);
    let switched = all[cut].received;
    append(&store, &all[cut..]);
    let began = std::time::Instant::now();
    while (service.status().rules < 6 || !service.status().seeding.is_empty()) && began.elapsed() < LONG {
        store.log.append(tick(20 * 3600)).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(service.wait_until_processed(LONG));
    service.stop().unwrap();
    let found = alerts(&store);
    let of = |rule: &str, alerts: &[(String, String, u64)]| -> Vec<(String, String, u64)> {
        alerts.iter().filter(|one| one.0 == rule).cloned().collect()
    };
    for rule in ["event", "missing", "sequence", "suppressed", "threshold"] {
        assert_eq!(of(rule, &found), of(rule, &expected), "{rule}");
    }
    // The new rule tells of the time from when it was switched on, and knows what was seen before.
    let new = of("new", &found);
    assert!(new.iter().all(|one| expected.contains(one)), "{new:?}");
    let late: Vec<_> = new
        .iter()
        .map(|one| store.db.alert(&one.1).unwrap().alert.time)
        .collect();
    assert!(
        late.iter().all(|time| time.seconds >= switched.seconds - 600),
        "{late:?} {switched:?}"
    );
    let told: usize = changes.try_iter().map(|changes| changes.len()).sum();
    assert!(told >= found.len(), "{told} of {}", found.len());
}

#[test]
fn what_comes_too_late_is_counted_and_filled_in() {
    let event = |second: i64, action: &str| {
        let mut records = neph_store::Records::default();
        let text = format!(
            "{{\"@timestamp\":\"{}\",\"event\":{{\"action\":\"{action}\"}},\"user\":{{\"name\":\"u1\"}},\"host\":{{\"name\":\"h1\"}},\"ecs\":{{\"version\":\"8.0.0\"}}}}",
            at(second),
        );
        assert!(records.push(text.as_bytes()));
        records
    };
    let batch = |stream: &str, received: i64, records: neph_store::Records| neph_store::Batch {
        stream: stream.into(),
        received: at(received),
        records,
    };
    let world = World::new(&rules());
    let store = world.store();
    let mut options = options(2);
    options.mends = true;
    options.mend_after = Duration::from_millis(50);
    let service = world.start(&store, options);
    append(
        &store,
        &[
            batch("a", 1_000, event(1_000, "login")),
            batch("a", 9_000, event(9_000, "read")),
        ],
    );
    // Two hours after the login another stream tells of the failure before it.
    append(
        &store,
        &[
            batch("b", 9_001, event(990, "fail")),
            batch("a", 9_002, event(9_002, "read")),
        ],
    );
    assert!(service.wait_until_processed(LONG));
    assert_eq!(service.status().late, 1, "{:?}", service.status());
    let began = std::time::Instant::now();
    while service.status().mended == 0 && began.elapsed() < LONG {
        std::thread::sleep(Duration::from_millis(20));
    }
    service.stop().unwrap();
    let late = |now: i64| -> Vec<neph_store::Gap> {
        let gaps = store
            .db
            .gaps(at(0)..at(now), at(now), &Default::default())
            .unwrap();
        gaps.into_iter()
            .filter(|gap| gap.kind == neph_store::GapKind::Late)
            .collect()
    };
    let of_sequence = late(1_000_000_000);
    let of_sequence = of_sequence
        .iter()
        .find(|gap| gap.rule.as_deref() == Some("sequence"));
    let gap = of_sequence.unwrap();
    assert_eq!((gap.stream.as_deref(), gap.records), (Some("b"), Some(1)));
    assert!(!gap.closed_by.is_empty(), "{gap:?}");
    let found = alerts(&store);
    assert_eq!(
        found.iter().filter(|one| one.0 == "sequence").count(),
        1,
        "{found:?}"
    );
    let rows = store.db.backfills(10).unwrap();
    assert!(
        rows.iter()
            .any(|row| row.rule == "sequence" && row.new_alerts == 1),
        "{rows:?}"
    );
}

#[test]
fn a_rule_that_is_given_history_when_the_service_ends_misses_nothing() {
    let past = batches(3, 5 * 3600);
    let without: Vec<(&str, String)> = rules()
        .into_iter()
        .filter(|(name, _)| *name != "new.toml")
        .collect();
    let world = World::new(&without);
    let store = world.store();
    let service = world.start(&store, options(2));
    append(&store, &past);
    assert!(service.wait_until_processed(LONG));
    for (name, text) in rules() {
        world.write(name, &text);
    }
    assert_eq!(service.reload(world.load()).unwrap().seeded, ["new"]);
    // Two whom nobody has seen, and one who is known, come while the history is read; then the service ends.
    let begin = past.last().unwrap().received.seconds - world::BEGIN;
    for (second, user) in [(1, "newcomer"), (2, "u1"), (3, "stranger")] {
        let mut records = neph_store::Records::default();
        let text = format!(
            "{{\"@timestamp\":\"{}\",\"event\":{{\"action\":\"login\"}},\"user\":{{\"name\":\"{user}\"}},\"host\":{{\"name\":\"h1\"}},\"ecs\":{{\"version\":\"8.0.0\"}}}}",
            at(begin + second),
        );
        assert!(records.push(text.as_bytes()));
        let batch = neph_store::Batch {
            stream: "a".into(),
            received: at(begin + second),
            records,
        };
        append(&store, &[batch]);
    }
    assert!(service.wait_until_processed(LONG));
    assert_eq!(service.status().seeding, ["new"], "it ends while the rule waits");
    service.stop().unwrap();
    drop(store);
    let store = world.store();
    let service = world.start(&store, options(2));
    // Which rules wait is known when something has been evaluated.
    store.log.append(tick(20 * 3600)).unwrap();
    assert!(service.wait_until_processed(LONG));
    let began = std::time::Instant::now();
    while !service.status().seeding.is_empty() && began.elapsed() < LONG {
        store.log.append(tick(20 * 3600)).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(service.wait_until_processed(LONG));
    service.stop().unwrap();
    let found: Vec<_> = alerts(&store).into_iter().filter(|one| one.0 == "new").collect();
    let times: Vec<i64> = found
        .iter()
        .map(|one| store.db.alert(&one.1).unwrap().alert.time.seconds - world::BEGIN - begin)
        .collect();
    assert_eq!(times.len(), 2, "{times:?}");
    assert!(times.contains(&1) && times.contains(&3), "{times:?}");
}

/// A clock that stands where it was put.
static CLOCK: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);

#[test]
fn what_a_rule_missed_while_it_was_broken_is_filled_in_once() {
    let all = with_end(batches(4, 2 * 3600));
    let of_two = |alerts: Vec<(String, String, u64)>| -> Vec<_> {
        alerts
            .into_iter()
            .filter(|one| one.0 == "event" || one.0 == "sequence")
            .collect()
    };
    let expected = of_two(uninterrupted(&all, 2));
    assert!(!expected.is_empty());
    let world = World::new(&rules());
    for name in ["event", "sequence"] {
        let text = rules()
            .into_iter()
            .find(|(file, _)| *file == format!("{name}.toml"));
        world.write(
            &format!("{name}.toml"),
            &text.unwrap().1.replace("any where", "any were"),
        );
    }
    let store = world.store();
    let options = neph_runtime::service::ServiceOptions {
        mends: true,
        mend_after: Duration::from_millis(50),
        now: || at(CLOCK.load(std::sync::atomic::Ordering::Relaxed)),
        ..options(2)
    };
    let service = world.start(&store, options);
    append(&store, &all);
    assert!(service.wait_until_processed(LONG));
    assert_eq!(of_two(alerts(&store)), []);
    let gaps = |now: i64| -> Vec<(String, bool)> {
        let gaps = store
            .db
            .gaps(at(0)..at(now), at(now), &Default::default())
            .unwrap();
        gaps.into_iter()
            .filter(|gap| gap.kind == neph_store::GapKind::RuleBroken)
            .map(|gap| (gap.rule.unwrap_or_default(), !gap.closed_by.is_empty()))
            .collect()
    };
    let both = |closed: bool| [("event".to_owned(), closed), ("sequence".to_owned(), closed)];
    CLOCK.store(10 * 3600, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(gaps(10 * 3600), both(false));
    for (name, text) in rules() {
        world.write(name, &text);
    }
    service.reload(world.load()).unwrap();
    let began = std::time::Instant::now();
    while service.status().mended < 2 && began.elapsed() < LONG {
        store.log.append(tick(10 * 3600)).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    service.stop().unwrap();
    assert_eq!(of_two(alerts(&store)), expected);
    assert_eq!(gaps(10 * 3600), both(true));
    let rows = store.db.backfills(10).unwrap();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(
        rows.iter()
            .all(|row| row.new_alerts == row.alerts && row.detail == "the rule was broken")
    );
}

#[test]
fn the_past_is_searched_and_filled_in_once() {
    let all = with_end(batches(5, 4 * 3600));
    let expected = uninterrupted(&all, 2);
    let world = World::new(&rules());
    let store = world.store();
    append(&store, &all);
    // As `query` does: everything once, by the ids of the records.
    let (set, mut found, mut once) = (world.load(), Vec::new(), OnceById::default());
    let rules = set.rules;
    let plans: Vec<_> = rules.iter().filter_map(|rule| rule.plan.as_ref()).collect();
    let mut operators = neph_engine::Operators::new(&plans, &neph_engine::OperatorConfig::default());
    let mut flow = AlertFlow::new(rules.clone(), false);
    let (mut twice, mut told) = (0, Vec::new());
    detect(
        &mut history(&store, at(0)..at(4 * 3600), None, None),
        &prepare(set.program),
        &mut operators,
        &RunOptions::default(),
        &mut |_| {},
        &mut |outcome| {
            if let Outcome::Found(one) = &outcome {
                twice += u64::from(!once.is_new(one));
            }
            flow.take(outcome, &mut told);
        },
    )
    .unwrap();
    flow.finish(&mut told);
    for told in told {
        if let Told::Raised(alert) = told {
            found.push(alert);
        }
    }
    assert!(twice > 0, "records that came twice match twice");
    assert!(found.len() >= expected.len());
    // One stream alone has fewer.
    let mut of_one = history(&store, at(0)..at(4 * 3600), Some(&["a"]), None);
    let mut chunk = neph_runtime::input::Chunk::default();
    let mut records = 0;
    while of_one.next_chunk(&mut chunk) {
        assert_eq!(&**chunk.source(), "a");
        records += chunk.len();
    }
    assert!(records > 0);
    // An interval is filled in, and then nothing is new.
    let first = backfill(&store, world.load(), "*", at(3600)..at(3 * 3600), &options(2)).unwrap();
    assert!(first.alerts > 0 && first.new_alerts > 0, "{first:?}");
    let again = backfill(&store, world.load(), "*", at(3600)..at(3 * 3600), &options(2)).unwrap();
    assert_eq!((again.alerts, again.new_alerts), (first.alerts, 0));
    assert!(backfill(&store, world.load(), "nobody", at(0)..at(1), &options(1)).is_err());
    let rows = store.db.backfills(10).unwrap();
    assert_eq!(rows.len(), 2);
    // What was filled in is what would have been told: sequences and the like do not depend on how it came.
    let filled = alerts(&store);
    for rule in ["event", "sequence"] {
        let of = |alerts: &[(String, String, u64)]| -> Vec<(String, String, u64)> {
            alerts.iter().filter(|one| one.0 == rule).cloned().collect()
        };
        let expected: Vec<_> = of(&expected)
            .into_iter()
            .filter(|one| filled.contains(one) || in_interval(&found, &one.1))
            .collect();
        assert_eq!(of(&filled), expected, "{rule}");
    }
}

fn in_interval(found: &[neph_rules::Alert], id: &str) -> bool {
    let alert = found.iter().find(|alert| alert.id == id);
    let time = alert.and_then(|alert| alert.last.or(alert.first));
    time.is_some_and(|time| (at(3600)..at(3 * 3600)).contains(&time))
}

#[test]
fn a_preview_counts_what_would_be_told_and_what_would_quieten_it() {
    let mut texts = rules();
    // It is switched off, and has a test of what must stay found.
    for (name, text) in &mut texts {
        if *name == "event.toml" {
            *text = text
                .replace("type = ", "enabled = false\ntype = ")
                .replace(" and user.name == \"u3\"", "");
        }
    }
    let world = World::new(&texts);
    let test = "cases:\n  - name: a deletion by u5\n    events:\n      - {at: +0s, ecs: {event: {action: delete}, user: {name: u5}, host: {name: elsewhere}}}\n    expect:\n      - {count: 1}\n";
    world.write("event.test.yaml", test);
    let store = world.store();
    append(&store, &batches(11, 3 * 3600));
    let times = at(0)..at(4 * 3600);
    let load = neph_rules::LoadOptions::default();
    let run = |store: &Store| {
        preview(
            store,
            &[world.rules()],
            &load,
            "event",
            times.clone(),
            &options(2),
        )
        .unwrap()
    };
    let seen = run(&store);
    println!("{}", serde_json::to_string_pretty(&seen).unwrap());
    assert!(seen.alerts > 20);
    assert_eq!(seen.per_day.values().sum::<u64>(), seen.alerts);
    let users = seen
        .noisy
        .iter()
        .find(|field| field.field == "user.name")
        .unwrap();
    assert_eq!(users.values.len(), 5);
    assert!(!seen.exceptions.is_empty());
    for proposal in &seen.exceptions {
        assert_eq!(proposal.left + proposal.removes, seen.alerts, "{proposal:?}");
        assert!(proposal.removes > 0);
        assert_eq!(proposal.proof.tests, 1, "{proposal:?}");
        // The test names the user that must be found.
        let is_tested = proposal.field == "user.name" && proposal.value == "u5";
        assert_eq!(proposal.is_safe, !is_tested, "{proposal:?}");
    }
    // An alert that was closed as true makes its user's exception unsafe.
    let chosen = seen.exceptions.first().unwrap();
    let filled = backfill(
        &store,
        neph_rules::load_text(
            std::path::Path::new("event.toml"),
            texts[0].1.replace("enabled = false\n", ""),
        ),
        "event",
        times.clone(),
        &options(1),
    )
    .unwrap();
    assert_eq!(filled.alerts, seen.alerts);
    let of_user = alerts(&store).into_iter().find(|(_, id, _)| {
        let record = store.db.alert(id).unwrap();
        record
            .alert
            .entities
            .contains(&(chosen.field.clone(), chosen.value.clone()))
    });
    let (_, id, _) = of_user.unwrap();
    let close = AlertAction::Close {
        verdict: Verdict::TruePositive,
        reason: "it was".to_owned(),
    };
    store
        .db
        .act(neph_store::Selection::Ids(vec![id.clone()]), close, "me", at(0))
        .unwrap();
    let seen = run(&store);
    let proposal = seen
        .exceptions
        .iter()
        .find(|one| one.value == chosen.value && one.field == chosen.field)
        .unwrap();
    assert!(!proposal.is_safe);
    assert_eq!(proposal.proof.lost_alerts, std::slice::from_ref(&id));
    assert!(proposal.overlay.is_empty(), "it is named, and not given");
    assert!(
        seen.exceptions
            .iter()
            .filter(|one| one.is_safe)
            .all(|one| !one.overlay.is_empty())
    );
    // What lies outside of the time that is looked at is not lost either.
    let closed = store.db.alert(&id).unwrap().alert.time;
    let times = closed.saturating_add_nanos(1_000_000_000)..at(4 * 3600);
    let seen = preview(&store, &[world.rules()], &load, "event", times, &options(2)).unwrap();
    for one in &seen.exceptions {
        let is_chosen = one.value == chosen.value && one.field == chosen.field;
        assert_eq!(one.proof.lost_alerts.len(), usize::from(is_chosen), "{one:?}");
        assert_eq!((one.proof.true_alerts, one.proof.outside), (1, 1));
    }
    assert!(
        seen.exceptions
            .iter()
            .any(|one| one.value == chosen.value && !one.is_safe),
        "{:?}",
        seen.exceptions
    );
}
