//! How fast the service goes through what the log holds, beside one run of detection over the same bytes.
//!
//! `cargo run --release -p neph-runtime --example service_speed -- FILE THREADS RULES...`: FILE has one record a line, RULES
//! are files or folders of rules or `builtin:/rules`. The file is put into a log of a folder of its own, in blocks of 1,000
//! records, before the clock starts. Told are events a second of each, and their ratio.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use neph_engine::{OperatorConfig, Operators};
use neph_rules::{AlertFlow, load};
use neph_runtime::input::{ReadOptions, Reader, record_time};
use neph_runtime::service::{Service, ServiceOptions, system_now};
use neph_runtime::{RunOptions, detect, prepare};
use neph_store::{Batch, Records, Store, StoreOptions};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Records of a block.
const BLOCK: usize = 1_000;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args_os().skip(1);
    let (file, threads) = (arguments.next(), arguments.next());
    let rules: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    let (Some(file), Some(threads), false) = (file.map(PathBuf::from), threads, rules.is_empty()) else {
        return Err("usage: service_speed FILE THREADS RULES...".into());
    };
    let run = RunOptions {
        threads: threads.to_string_lossy().parse()?,
        ..RunOptions::default()
    };
    let mut out = std::io::stdout();

    let set = load(&rules);
    let rule_list = set.rules;
    let plans: Vec<_> = rule_list.iter().filter_map(|rule| rule.plan.as_ref()).collect();
    let mut operators = Operators::new(&plans, &OperatorConfig::default());
    let mut flow = AlertFlow::new(rule_list.clone(), false);
    let mut told = Vec::new();
    let mut reader = Reader::new(std::slice::from_ref(&file), ReadOptions::default())?;
    let program = prepare(set.program);
    let began = Clock::now();
    let detection = detect(
        &mut reader,
        &program,
        &mut operators,
        &run,
        &mut |_| {},
        &mut |outcome| flow.take(outcome, &mut told),
    )?;
    flow.finish(&mut told);
    let alone = began.elapsed();
    let records = detection.summary.records;
    writeln!(
        out,
        "{} rules, {records} records; detection: {:.2} s, {:.0} events/s, {} alerts",
        rule_list.len(),
        alone.as_secs_f64(),
        rate(records, alone),
        told.len()
    )?;
    drop(told);

    let folder = tempfile::tempdir()?;
    let (store, _) = Store::open(folder.path(), &StoreOptions::default())?;
    let store = Arc::new(store);
    let text = std::fs::read(&file)?;
    let lines: Vec<&[u8]> = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    for block in lines.chunks(BLOCK) {
        let mut records = Records::default();
        for line in block {
            records.push(line);
        }
        let received = block
            .last()
            .and_then(|line| record_time(line))
            .unwrap_or_else(system_now);
        store.log.append(Batch {
            stream: "file".into(),
            received,
            records,
        })?;
    }
    drop(text);
    let options = ServiceOptions {
        run,
        mends: false,
        ..ServiceOptions::default()
    };
    let set = load(&rules);
    let began = Clock::now();
    let service = Service::start(Arc::clone(&store), set, options)?;
    let is_done = service.wait_until_processed(Duration::from_secs(3_600));
    let served = began.elapsed();
    let status = service.status();
    service.stop()?;
    writeln!(
        out,
        "service: {:.2} s, {:.0} events/s, {} alerts, {} commits, all read: {is_done}; {:.2} times the time of detection",
        served.as_secs_f64(),
        rate(status.records, served),
        status.alerts_raised,
        status.commits,
        served.as_secs_f64() / alone.as_secs_f64(),
    )?;
    Ok(())
}

fn rate(records: u64, time: Duration) -> f64 {
    let records = u32::try_from(records).unwrap_or(u32::MAX);
    f64::from(records) / time.as_secs_f64()
}
