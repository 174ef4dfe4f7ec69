//! What it costs to make alerts of matches.
//!
//! `cargo run --release -p neph-runtime --example alert_cost -- RULES FILE…`: matches of the rules in the files (of their recognised
//! sources, or of ECS) are made into alerts over and over, at least 10,000 times. Told are the processor's microseconds for
//! the first alert of each rule, for which what depends on the rule alone is made, for each later one, and for writing one as a
//! line of JSON.

use std::collections::HashSet;
use std::hint::black_box;
use std::io::Write;
use std::path::PathBuf;

use neph_engine::{Match, OperatorConfig, Operators, Outcome as Told};
use neph_plan::Plan;
use neph_rules::AlertBuilder;
use neph_runtime::input::{ReadOptions, Reader};
use neph_runtime::{RunOptions, detect, prepare};

/// At least so many alerts are made.
const ALERTS: usize = 10_000;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let rules = paths.next().ok_or("usage: alert_cost RULES FILE…")?;
    let files: Vec<PathBuf> = paths.collect();
    let set = neph_rules::load(&[rules]);
    let rules = set.rules;
    let plans: Vec<&Plan> = rules.iter().filter_map(|rule| rule.plan.as_ref()).collect();
    let mut operators = Operators::new(&plans, &OperatorConfig::default());
    let mut found: Vec<Match> = Vec::new();
    let mut reader = Reader::new(&files, ReadOptions::default())?;
    detect(
        &mut reader,
        &prepare(set.program),
        &mut operators,
        &RunOptions::default(),
        &mut |_| (),
        &mut |told| {
            if let Told::Found(one) = told {
                found.push(one);
            }
        },
    )?;
    let mut out = std::io::stdout();
    if found.is_empty() {
        writeln!(out, "no rule matches anything")?;
        return Ok(());
    }
    let mut builders: Vec<_> = rules.iter().cloned().map(AlertBuilder::new).collect();
    let mut build = |found: &Match| Some(builders.get_mut(found.rule.0 as usize)?.build(found));
    let mut seen = HashSet::new();
    let (firsts, others): (Vec<&Match>, Vec<&Match>) =
        found.iter().partition(|found| seen.insert(found.rule));
    let first = measured(|| {
        for found in &firsts {
            black_box(build(found));
        }
    })?;
    for found in &others {
        black_box(build(found));
    }
    let rounds = ALERTS.div_ceil(found.len());
    let later = measured(|| {
        for found in (0..rounds).flat_map(|_| &found) {
            black_box(build(found));
        }
    })?;
    let alerts: Vec<_> = found.iter().filter_map(build).collect();
    let mut bytes = 0;
    let writing = measured(|| {
        for alert in (0..rounds).flat_map(|_| &alerts) {
            bytes += black_box(alert.document.to_json()).len();
        }
    })?;
    let number = rounds * found.len();
    writeln!(
        out,
        "{} rules, of which {} match, {} times; {} bytes an alert\nfirst alert of a rule {:>8.1} µs\nlater alerts         {:>8.1} µs, {number} of them\nwriting one          {:>8.1} µs",
        rules.len(),
        firsts.len(),
        found.len(),
        bytes / number,
        first * 1e6 / firsts.len() as f64,
        later * 1e6 / number as f64,
        writing * 1e6 / number as f64,
    )?;
    Ok(())
}

/// The processor's seconds that the work takes, from Linux.
fn measured(work: impl FnOnce()) -> Outcome<f64> {
    let before = processor_seconds()?;
    work();
    Ok(processor_seconds()? - before)
}

fn processor_seconds() -> Outcome<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    let nanos: f64 = text.split_whitespace().next().ok_or("no time")?.parse()?;
    Ok(nanos / 1e9)
}
