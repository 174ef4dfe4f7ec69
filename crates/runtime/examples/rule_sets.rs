//! What sets of rules cost over the records of a file, stage by stage, in one process and on one thread.
//!
//! `cargo run --release -p neph-runtime --example rule_sets -- RULES FILE [ROUNDS]`: RULES is a file or folder of rules, FILE
//! has one ECS document a line. Told are the time and memory that loading takes, and, of each round's processor time the best:
//! building the whole documents (the floor), reading the fields that the rules ask for, and reading and matching.

use std::hint::black_box;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use neph_engine::{Matcher, Origin, Record, Statistics};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args_os().skip(1);
    let (rules, file) = (arguments.next(), arguments.next());
    let (Some(rules), Some(file)) = (rules.map(PathBuf::from), file.map(PathBuf::from)) else {
        return Err("usage: rule_sets RULES FILE [ROUNDS]".into());
    };
    let rounds: u32 = match arguments.next() {
        Some(rounds) => rounds.to_string_lossy().parse()?,
        None => 3,
    };
    let mut out = std::io::stdout();
    let before = processor_seconds()?;
    let set = neph_rules::load(&[rules]);
    let loading = processor_seconds()? - before;
    writeln!(
        out,
        "{} rules run: {} tests over {} fields; loaded in {loading:.2} s, {} so far",
        set.rules.len(),
        set.program.tests(),
        set.program.slots().len(),
        peak_memory()?,
    )?;
    let program = Arc::new(set.program);
    let text = std::fs::read(&file)?;
    let lines: Vec<&[u8]> = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    let mut best = [f64::MAX; 3];
    let mut statistics = Statistics::default();
    for _ in 0..rounds {
        let mut matcher = Matcher::new(Arc::clone(&program));
        let times = [
            measured(|| {
                for line in &lines {
                    let _ = black_box(sonic_rs::from_slice::<sonic_rs::Value>(line));
                }
            })?,
            measured(|| {
                for line in &lines {
                    let _ = black_box(matcher.read(line));
                }
            })?,
            {
                let mut matcher = Matcher::new(Arc::clone(&program));
                let time = measured(|| match_all(&mut matcher, &lines))?;
                statistics = matcher.statistics();
                time
            },
        ];
        for (best, time) in best.iter_mut().zip(times) {
            *best = best.min(time);
        }
    }
    let [floor, ..] = best;
    for (what, seconds) in ["whole documents", "reading", "reading and matching"]
        .iter()
        .zip(best)
    {
        writeln!(
            out,
            "{what:<22} {:>7.0} ns a record {:>6.0} k/s  ratio {:.2}",
            seconds * 1e9 / lines.len() as f64,
            lines.len() as f64 / seconds / 1e3,
            seconds / floor,
        )?;
    }
    writeln!(
        out,
        "{} records of {} bytes; of 1,000 records {:.0} conditions woken, {:.2} step matches; {} in the end",
        lines.len(),
        text.len() / lines.len().max(1),
        statistics.woken_conditions as f64 * 1e3 / statistics.records as f64,
        statistics.step_matches as f64 * 1e3 / statistics.records as f64,
        peak_memory()?,
    )?;
    Ok(())
}

fn match_all(matcher: &mut Matcher, lines: &[&[u8]]) {
    let origin = Origin {
        source: "file".into(),
        line: 1,
    };
    let mut aside = Vec::new();
    for (position, document) in (0_u64..).zip(lines) {
        if matcher.read(document).is_err() {
            continue;
        }
        aside.push((position, *document));
        if !matcher.set_aside() {
            match_aside(matcher, &mut aside, &origin);
        }
    }
    match_aside(matcher, &mut aside, &origin);
}

fn match_aside(matcher: &mut Matcher, aside: &mut Vec<(u64, &[u8])>, origin: &Origin) {
    for (position, document) in aside.drain(..) {
        if !matcher.take_up() {
            return;
        }
        let record = Record {
            document,
            id: None,
            index: None,
            position,
            origin,
        };
        matcher.matches(&record, |step| {
            black_box(&step);
        });
    }
}

/// The processor's seconds that the work takes.
fn measured(work: impl FnOnce()) -> Outcome<f64> {
    let before = processor_seconds()?;
    work();
    Ok(processor_seconds()? - before)
}

/// The processor's seconds of this process so far, from Linux.
fn processor_seconds() -> Outcome<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    let nanos: f64 = text.split_whitespace().next().ok_or("no time")?.parse()?;
    Ok(nanos / 1e9)
}

/// The most memory that the process has had, from Linux.
fn peak_memory() -> Outcome<String> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"));
    let kib: f64 = line
        .and_then(|line| line.split_whitespace().nth(1))
        .ok_or("no memory")?
        .parse()?;
    Ok(format!("{:.0} MB at most", kib / 1e3))
}
