//! Detection through the whole pipeline.

use std::collections::BTreeSet;
use std::path::PathBuf;

use neph_engine::{Match, OperatorConfig, Outcome};
use neph_plan::Plan;
use neph_runtime::input::{ReadOptions, Reader};
use neph_runtime::{Detection, RunOptions, detect};
use neph_testkit::generate::{EndpointOptions, Generated, endpoint};
use serde_json::Value;

use crate::plans::{
    compile, ended, metadata_request, often, one_after_the_other, started_and_not_ended, started_anew,
};
use crate::{Folder, pack};

/// What a test compares of a match: rule, and `event.id` of its events.
type Seen = (u32, Vec<Option<String>>);

fn seen(found: &Match) -> Seen {
    let id = |event: &std::sync::Arc<neph_engine::Event>| {
        let document: Value = serde_json::from_slice(event.document()).unwrap();
        document["event"]["id"].as_str().unwrap().to_owned()
    };
    (
        found.rule.0,
        found
            .events
            .iter()
            .map(|(_, event)| event.as_ref().map(id))
            .collect(),
    )
}

fn run(plans: &[Plan], inputs: &[PathBuf], threads: usize, chunk_bytes: usize) -> (Vec<Seen>, Detection) {
    run_within(&OperatorConfig::default(), plans, inputs, threads, chunk_bytes)
}

fn run_within(
    config: &OperatorConfig,
    plans: &[Plan],
    inputs: &[PathBuf],
    threads: usize,
    chunk_bytes: usize,
) -> (Vec<Seen>, Detection) {
    let (program, mut operators) = compile(plans, config);
    let mut reader = Reader::new(
        inputs,
        ReadOptions {
            chunk_bytes,
            ..ReadOptions::default()
        },
    )
    .unwrap();
    let options = RunOptions {
        threads,
        ..RunOptions::default()
    };
    let mut matches = Vec::new();
    let detection = detect(
        &mut reader,
        &program,
        &mut operators,
        &options,
        &mut |_| (),
        &mut |outcome| match outcome {
            Outcome::Found(found) => matches.push(seen(&found)),
            Outcome::Retracted(_) => panic!("nothing is taken back in a batch"),
        },
    );
    (matches, detection.unwrap())
}

fn generate(bytes: u64) -> (Vec<u8>, Generated) {
    let options = EndpointOptions {
        bytes,
        hosts: 10,
        attacks_per_million: 4000,
        ..EndpointOptions::default()
    };
    let mut output = Vec::new();
    let generated = endpoint(&mut output, &options).unwrap();
    (output, generated)
}

/// The connections of the attacks. Their other event is the last tool that started before, which may be a harmless one.
fn attacks(generated: &Generated) -> BTreeSet<String> {
    generated
        .attacks
        .iter()
        .map(|attack| attack.network.clone())
        .collect()
}

fn connections(matches: &[Seen]) -> BTreeSet<String> {
    let sequences = matches.iter().filter(|(rule, _)| *rule == 0);
    sequences.map(|(_, events)| events[1].clone().unwrap()).collect()
}

#[test]
fn exactly_the_attacks_are_found_on_any_number_of_threads_and_with_any_chunks() {
    let (bytes, generated) = generate(5 << 20);
    assert!(generated.attacks.len() >= 10);
    let folder = Folder::new();
    let input = [folder.write("events.ndjson", &bytes)];
    let plans = [metadata_request(), ended()];
    let (one, detection) = run(&plans, &input, 1, 1 << 20);
    assert_eq!(connections(&one), attacks(&generated));
    assert_eq!(detection.summary.records, generated.events);
    assert_eq!(detection.summary.matches, one.len() as u64);
    assert_eq!(detection.rules[0].finished, generated.attacks.len() as u64);
    assert_eq!(detection.matching.records, generated.events);
    assert!(detection.rules[1].finished > 100);
    for (threads, chunk_bytes) in [(2, 1 << 20), (3, 50_000), (1, 5_000), (4, 333_333)] {
        let (other, other_detection) = run(&plans, &input, threads, chunk_bytes);
        assert!(other == one, "{threads} threads, chunks of {chunk_bytes}");
        assert_eq!(other_detection.rules, detection.rules);
        assert_eq!(other_detection.matching, detection.matching);
    }
}

#[test]
fn what_is_told_and_given_up_in_little_memory_does_not_depend_on_threads() {
    let (bytes, generated) = generate(8 << 20);
    let folder = Folder::new();
    let input = [folder.write("events.ndjson", &bytes)];
    let programs = ["curl", "wget", "awk", "perl", "python3.11", "sh", "ls"];
    let pairs = programs
        .iter()
        .flat_map(|first| programs.map(|second| [*first, second]));
    let mut plans: Vec<Plan> = pairs.map(one_after_the_other).collect();
    plans.extend([
        metadata_request(),
        ended(),
        started_and_not_ended(),
        started_anew(),
    ]);
    plans.extend((1..=20).map(|at_least| often("exec", at_least)));
    let config = OperatorConfig {
        rule_bytes: 300_000,
        total_bytes: 3 << 19,
        ..OperatorConfig::default()
    };
    for chunk_bytes in [1 << 20, 700_000] {
        let (one, detection) = run_within(&config, &plans, &input, 1, chunk_bytes);
        // All kinds of rules told something, and gave something up.
        let evicted = |range: std::ops::Range<usize>| -> u64 {
            let rules = &detection.rules[range];
            assert!(rules.iter().any(|rule| rule.finished > 0));
            rules.iter().map(|rule| rule.evicted).sum()
        };
        let (sequences, groups) = (evicted(0..49), evicted(53..73));
        assert!(
            sequences > 100 && groups > 100,
            "{sequences} of sequences, {groups} of groups"
        );
        assert!(detection.rules[50].finished > 100);
        assert_eq!(detection.matching.records, generated.events);
        // There is so much for operators to do that they have threads.
        assert!(detection.matching.step_matches > 4 * generated.events);
        for threads in [2, 4] {
            let (other, other_detection) = run_within(&config, &plans, &input, threads, chunk_bytes);
            assert_eq!(other_detection.rules, detection.rules, "{threads} threads");
            assert!(other == one, "{threads} threads");
        }
    }
}

#[test]
fn events_of_one_sequence_may_stand_in_different_files() {
    let (bytes, generated) = generate(5 << 20);
    let folder = Folder::new();
    let mut parts = [const { Vec::new() }; 3];
    for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        parts[number % 3].extend_from_slice(line);
    }
    folder.write("logs/a.ndjson", &parts[0]);
    folder.write("logs/b.ndjson.gz", pack::gzip(&parts[1]));
    folder.write("logs/c.zip", pack::zip(&[("c", &parts[2])]));
    let input = [folder.path().join("logs")];
    let (one, _) = run(&[metadata_request(), ended()], &input, 1, 1 << 20);
    assert_eq!(connections(&one), attacks(&generated));
    assert!(run(&[metadata_request(), ended()], &input, 3, 10_000).0 == one);
}

#[test]
fn what_cannot_be_read_costs_nothing_else() {
    let (bytes, generated) = generate(1 << 20);
    let mut spoiled = Vec::new();
    let faults: [&[u8]; 5] = [
        b"{\"@timestamp\":\n",
        b"{\"unread\":\"\xff\"}\n",
        b"[]\n",
        b"{\"a\":1}}\n",
        b"{\"event\":{\"category\":\"process\"},\"unread\":nul}\n",
    ];
    let deep = format!("{{\"unread\":{}{}}}\n", "[".repeat(10_000), "]".repeat(10_000));
    for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if number % 50 == 0 {
            spoiled.extend_from_slice(faults[number / 50 % 5]);
        }
        if number % 200 == 0 {
            spoiled.extend_from_slice(deep.as_bytes());
        }
        spoiled.extend_from_slice(line);
    }
    let folder = Folder::new();
    let whole = run(
        &[metadata_request(), ended()],
        &[folder.write("whole", &bytes)],
        2,
        1 << 20,
    );
    let (matches, detection) = run(
        &[metadata_request(), ended()],
        &[folder.write("spoiled", &spoiled)],
        2,
        1 << 20,
    );
    assert!(matches == whole.0);
    assert_eq!(detection.summary.records, generated.events);
    let refused = generated.events.div_ceil(50) + generated.events.div_ceil(200);
    assert_eq!(
        detection.summary.refused,
        refused,
        "{:?}",
        detection.summary.problems.counts()
    );
    assert_eq!(detection.summary.problems.total(), refused);
    assert_eq!(
        detection.summary.problems.counts().len(),
        5,
        "{:?}",
        detection.summary.problems.counts()
    );
}

#[test]
fn an_id_of_the_export_is_the_id_of_the_event() {
    let folder = Folder::new();
    let event = |time: u32, action: &str| {
        format!(
            "{{\"@timestamp\":\"2024-01-01T00:00:{time:02}Z\",\"event\":{{\"id\":\"e\",\"action\":\"{action}\"}},\"host\":{{\"id\":\"h\"}}}}"
        )
    };
    let hits = format!(
        "{{\"hits\":{{\"hits\":[{{\"_index\":\"i\",\"_id\":\"given\",\"_source\":{}}}]}}}}",
        event(1, "exec")
    );
    folder.write("hits", hits);
    folder.write("own", event(10, "exec").replacen('{', "{\"_id\":\"own\",", 1));
    let (program, mut operators) = compile(&[started_and_not_ended()], &OperatorConfig::default());
    let mut reader = Reader::new(&[folder.path().to_path_buf()], ReadOptions::default()).unwrap();
    let mut ids = Vec::new();
    let mut sink = |outcome| {
        if let Outcome::Found(found) = outcome {
            let event = found.events[0].1.as_ref().unwrap();
            ids.push((event.id().as_str().to_owned(), event.origin().line));
        }
    };
    detect(
        &mut reader,
        &program,
        &mut operators,
        &RunOptions::default(),
        &mut |_| (),
        &mut sink,
    )
    .unwrap();
    assert_eq!(ids, [("given".to_owned(), 1), ("own".to_owned(), 1)]);
}
