//! The service and live detection over files tell the same of the same records.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use neph_engine::{Emit, OperatorConfig, Operators};
use neph_event::Instant;
use neph_normalize::Joiner;
use neph_rules::{AlertFlow, BUILTIN_LISTS, BUILTIN_RULES, Library, LoadOptions, RuleSet, Told};
use neph_runtime::input::{ReadOptions, Reader, record_time};
use neph_runtime::service::Service;
use neph_runtime::{RunOptions, detect, prepare};
use neph_store::{Batch, Records};
use neph_testkit::generate::{DayOptions, day};

use crate::LONG;
use crate::world::{Random, World, alerts, append, lose_state, options, rule};

/// Rules of every kind that have something to tell of a day like any other.
fn rules() -> Vec<(&'static str, String)> {
    let eql = |query: &str| format!("language = \"eql\"\nquery = '''{query}'''");
    let kuery = |query: &str| format!("language = \"kuery\"\nquery = '''{query}'''");
    vec![
        (
            "failure.toml",
            rule(
                "failure",
                "eql",
                &eql("any where event.outcome == \"failure\" and user.name like \"*a*\""),
            ),
        ),
        (
            "twice.toml",
            rule(
                "twice",
                "eql",
                &eql(
                    "sequence by user.name with maxspan=5m [any where event.outcome == \"failure\"] [any where event.outcome == \"success\"]",
                ),
            ),
        ),
        (
            "missing.toml",
            rule(
                "missing",
                "eql",
                &eql(
                    "sequence by user.name with maxspan=2m [any where event.outcome == \"failure\"] ![any where event.outcome == \"success\"]",
                ),
            ),
        ),
        (
            "many.toml",
            rule(
                "many",
                "threshold",
                &format!(
                    "{}\n[rule.threshold]\nfield = [\"user.name\"]\nvalue = 2\n",
                    kuery("event.outcome: failure")
                ),
            ),
        ),
        (
            "new.toml",
            rule(
                "new",
                "new_terms",
                &format!(
                    "{}\n[rule.new_terms]\nfield = \"new_terms_fields\"\nvalue = [\"user.name\", \"event.action\"]\n[[rule.new_terms.history_window_start]]\nfield = \"history_window_start\"\nvalue = \"now-4h\"\n",
                    kuery("event.outcome: failure")
                ),
            ),
        ),
        (
            "quiet.toml",
            rule(
                "quiet",
                "eql",
                &format!(
                    "{}\n[rule.alert_suppression]\ngroup_by = [\"user.name\"]\nmissing_fields_strategy = \"suppress\"\nduration = {{ value = 30, unit = \"m\" }}\n",
                    eql("any where event.outcome == \"failure\"")
                ),
            ),
        ),
    ]
}

/// A line of the day, when it was written and received, and the stream that brought it.
struct Line {
    text: String,
    received: i64,
    stream: &'static str,
}

/// The records of a day in the order of their receipt: of several streams, some of which are slow, some records out of order or
/// late, though no later than rules wait.
fn lines() -> Vec<Line> {
    let options = DayOptions {
        seed: 7,
        days: 1,
        sampled: 4_000,
    };
    let mut text = Vec::new();
    day(&mut text, &options).unwrap();
    let mut random = Random(99);
    let mut now = 0;
    let mut lines = Vec::new();
    // Groups of audit lines without a last line are complete when so many records came without one of theirs: after more of a file of
    // everything than of a stream of their own, so that they come late to one of the two.
    let text = String::from_utf8(text).unwrap();
    for text in text.lines().filter(|line| !line.contains("msg=audit(")) {
        now = record_time(text.as_bytes())
            .map_or(now, |time| time.seconds)
            .max(now);
        // What shippers make of lines of text comes in its order, since lines belong together.
        let is_text = text.contains("\"message\"");
        let stream = match (is_text, text.len() % 3) {
            (true, _) => "shippers",
            (false, 0) => "clouds/a",
            (false, 1) => "clouds/b",
            _ => "clouds/c",
        };
        let delay = match (stream, random.below(12)) {
            ("shippers", _) => 2,
            ("clouds/c", 0) => 100 + i64::try_from(random.below(90)).unwrap(),
            ("clouds/c", _) => 60,
            (_, 0) => i64::try_from(random.below(90)).unwrap(),
            _ => 1,
        };
        lines.push(Line {
            text: text.to_owned(),
            received: now + delay,
            stream,
        });
    }
    lines.sort_by_key(|line| line.received);
    let end = lines.last().unwrap().received + 3_600;
    lines.push(Line {
        text: format!(
            "{{\"@timestamp\":\"{}\",\"event\":{{\"category\":[\"process\"],\"type\":[\"start\"],\"action\":\"the end\"}},\"ecs\":{{\"version\":\"8.0.0\"}}}}",
            Instant { seconds: end, nanos: 0 }
        ),
        received: end,
        stream: "clouds/a",
    });
    lines
}

fn load(world: &World, library: &mut Library) -> RuleSet {
    let options = LoadOptions {
        lists: vec![BUILTIN_LISTS.into()],
        ..LoadOptions::default()
    };
    library.load(&[world.rules(), BUILTIN_RULES.into()], &options)
}

/// What time it is: that of the records, which were written long ago.
static NOW: AtomicI64 = AtomicI64::new(0);

fn now() -> Instant {
    Instant {
        seconds: NOW.load(Ordering::Relaxed),
        nanos: 0,
    }
}

/// Rule and id of what live detection tells over a file of the lines.
fn detected(world: &World, library: &mut Library, lines: &[Line]) -> BTreeSet<(String, String)> {
    let path = world.folder.path().join("records.ndjson");
    let text: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    fs::write(&path, text.join("\n") + "\n").unwrap();
    let set = load(world, library);
    let rules = set.rules;
    let plans: Vec<_> = rules.iter().filter_map(|rule| rule.plan.as_ref()).collect();
    let config = OperatorConfig {
        emit: Emit::AtOnce,
        lateness: rules
            .iter()
            .map(|rule| Some(Duration::from_nanos(rule.schedule.lateness_nanos())))
            .collect(),
        ..OperatorConfig::default()
    };
    let mut operators = Operators::new(&plans, &config);
    let read = ReadOptions {
        live: true,
        joiner: Joiner::new(None),
        ..ReadOptions::default()
    };
    let mut reader = Reader::new(&[path], read).unwrap();
    let cancelled = reader.cancel_flag();
    let mut flow = AlertFlow::new(rules.clone(), true);
    let mut told = Vec::new();
    let end = rules.iter().position(|rule| rule.id == "end").unwrap();
    detect(
        &mut reader,
        &prepare(set.program),
        &mut operators,
        &RunOptions::default(),
        &mut |_| {},
        &mut |outcome| {
            if let neph_engine::Outcome::Found(found) = &outcome
                && found.rule.0 as usize == end
            {
                cancelled.store(true, Ordering::Relaxed);
            }
            flow.take(outcome, &mut told);
        },
    )
    .unwrap();
    flow.finish(&mut told);
    let mut found = BTreeSet::new();
    for told in told {
        match told {
            Told::Raised(alert) | Told::Updated(alert) => found.insert((alert.rule_id, alert.id)),
            Told::Retracted(alert) => found.remove(&(alert.rule_id, alert.id)),
        };
    }
    found
}

/// What the service tells that is started anew in between, once after a crash.
fn served(world: &World, library: &mut Library, lines: &[Line]) -> BTreeSet<(String, String)> {
    let mut batches: Vec<Batch> = Vec::new();
    for line in lines {
        let is_next = batches.last().is_none_or(|last| {
            *last.stream != *line.stream || last.received.seconds != line.received || last.records.len() > 50
        });
        if is_next {
            batches.push(Batch {
                stream: line.stream.into(),
                received: Instant {
                    seconds: line.received,
                    nanos: 0,
                },
                records: Records::default(),
            });
        }
        let last = batches.last_mut().unwrap();
        assert!(last.records.push(line.text.as_bytes()));
    }
    let end = batches.last().unwrap().received;
    for hours in 1..10 {
        batches.push(Batch {
            stream: "neph/tick".into(),
            received: end.saturating_add_nanos(hours * 3_600_000_000_000),
            records: Records::default(),
        });
    }
    for (run, part) in batches.chunks(batches.len() / 4 + 1).enumerate() {
        let store = world.store();
        let mut options = options(2);
        options.now = now;
        NOW.store(part.last().unwrap().received.seconds, Ordering::Relaxed);
        let service = Service::start(store.clone(), load(world, library), options).unwrap();
        append(&store, part);
        assert!(service.wait_until_processed(LONG), "{:?}", service.status());
        println!("run {run}: {} late", service.status().late);
        service.stop().unwrap();
        drop(store);
        if run == 1 {
            lose_state(&world.data(), 1);
        }
    }
    let found = alerts(&world.store());
    found.into_iter().map(|(rule, id, _)| (rule, id)).collect()
}

#[test]
fn the_service_tells_of_a_day_what_live_detection_tells_of_it() {
    let mut own = rules();
    let end = "language = \"eql\"\nquery = '''any where event.action == \"the end\"'''";
    own.push(("end.toml", rule("end", "eql", end)));
    let world = World::new(&own);
    let lines = lines();
    let streams: BTreeSet<&str> = lines.iter().map(|line| line.stream).collect();
    assert_eq!(streams.len(), 4);
    let mut library = Library::new();
    let expected = detected(&world, &mut library, &lines);
    let found = served(&world, &mut library, &lines);
    for (name, _) in &own {
        let id = name.trim_end_matches(".toml");
        let count = |set: &BTreeSet<(String, String)>| set.iter().filter(|one| one.0 == id).count();
        println!("{id}: {} and {}", count(&expected), count(&found));
        assert!(count(&expected) > 0, "{id} has something to tell");
    }
    println!("{} records, {} alerts", lines.len(), expected.len());
    let missing: Vec<_> = expected.difference(&found).collect();
    let more: Vec<_> = found.difference(&expected).collect();
    assert!(
        missing.is_empty() && more.is_empty(),
        "missing: {missing:?}\nmore: {more:?}"
    );
}
