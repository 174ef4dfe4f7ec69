//! What matching costs beyond parsing, measured in one process: `cargo bench -p neph-engine --bench matching`.
//!
//! The floor is `sonic_rs` building the whole document. Each contender runs over the same records in turn, round after
//! round, and its best round counts, so that what else the machine does disturbs all alike and decides little.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod events;
mod rules;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use neph_engine::{Matcher, Origin, Program, Record};
use neph_plan::Plan;

const RECORDS: usize = 20_000;
const ROUNDS: usize = 15;

fn main() {
    let records = events::generate(RECORDS);
    let bytes: usize = records.iter().map(Vec::len).sum();
    println!("{RECORDS} records of {} bytes on average", bytes / RECORDS);

    let rule_counts = [1_usize, 10, 100, 1_000];
    let mut matchers: Vec<(String, Matcher)> =
        vec![("one rule".to_owned(), matcher(&[rules::metadata_service()]))];
    for count in rule_counts {
        matchers.push((
            format!("{count} generated rules"),
            matcher(&rules::generate(count)),
        ));
    }

    let mut documents = Duration::MAX;
    let mut best = vec![(Duration::MAX, Duration::MAX, 0_u64); matchers.len()];
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for record in &records {
            let document: Result<sonic_rs::Value, _> = sonic_rs::from_slice(record);
            black_box(&document);
        }
        documents = documents.min(start.elapsed());
        for ((_, matcher), (read, matched, steps)) in matchers.iter_mut().zip(&mut best) {
            *read = (*read).min(run(matcher, &records, false).0);
            let (time, found) = run(matcher, &records, true);
            *matched = (*matched).min(time);
            *steps = found;
        }
    }

    let report = |name: &str, time: Duration, note: &str| {
        let nanos = time.as_secs_f64() * 1e9 / RECORDS as f64;
        let rate = bytes as f64 / time.as_secs_f64() / 1e6;
        let ratio = time.as_secs_f64() / documents.as_secs_f64();
        println!("{name:<24} {nanos:>8.0} ns/record {rate:>7.0} MB/s  ratio {ratio:.2}{note}");
    };
    report("document (floor)", documents, "");
    for ((name, matcher), (read, matched, steps)) in matchers.iter().zip(best) {
        let fields = matcher.program().slots().len();
        report(&format!("{name}, read"), read, &format!("  ({fields} fields)"));
        report(
            &format!("{name}, match"),
            matched,
            &format!("  ({} tests, {steps} step matches)", matcher.program().tests()),
        );
    }
}

fn matcher(plans: &[Plan]) -> Matcher {
    let (program, errors) = Program::compile(plans);
    assert!(errors.is_empty(), "{errors:?}");
    Matcher::new(Arc::new(program))
}

/// Reads all records, and matches them if asked to; gives the time and the number of step matches.
fn run(matcher: &mut Matcher, records: &[Vec<u8>], matching: bool) -> (Duration, u64) {
    let origin = Origin {
        source: "bench".into(),
        line: 1,
    };
    let mut found = 0;
    let start = Instant::now();
    for (position, document) in records.iter().enumerate() {
        assert!(matcher.read(document).is_ok());
        if matching {
            let record = Record {
                document,
                id: None,
                index: None,
                position: position as u64,
                origin: &origin,
            };
            matcher.matches(&record, |step| {
                black_box(&step);
                found += 1;
            });
        }
    }
    (start.elapsed(), found)
}
