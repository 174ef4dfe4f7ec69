//! How fast records are read and parsed, against the JSON parser alone.
//!
//! `cargo run --release -p neph-runtime --example floor -- FILE…`: for each file of JSON lines the bare loop (the file in
//! memory, split into lines, each parsed into a whole document) and `parse` on one and two threads, three times each; the
//! best is told.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use neph_runtime::input::{ReadOptions, Reader};
use neph_runtime::{RunOptions, parse};

const ROUNDS: usize = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout();
    for file in std::env::args_os().skip(1).map(PathBuf::from) {
        let mut bytes = 0;
        let bare = best(|| {
            let text = std::fs::read(&file)?;
            bytes = text.len();
            let began = Instant::now();
            let mut records = 0;
            for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                sonic_rs::from_slice::<sonic_rs::Value>(line)?;
                records += 1;
            }
            writeln!(std::io::stderr(), "{records} records")?;
            Ok(began.elapsed())
        })?;
        let speed = |time: Duration| bytes as f64 / time.as_secs_f64() / 1e6;
        writeln!(out, "{}: {} bytes", file.display(), bytes)?;
        writeln!(out, "  bare loop  {:7.0} MB/s", speed(bare))?;
        for threads in [1, 2] {
            let time = best(|| {
                let mut reader = Reader::new(std::slice::from_ref(&file), ReadOptions::default())?;
                let options = RunOptions {
                    threads,
                    ..RunOptions::default()
                };
                Ok(parse(&mut reader, &options, &mut |_| ())?.elapsed)
            })?;
            let ratio = time.as_secs_f64() / bare.as_secs_f64();
            writeln!(
                out,
                "  {threads} thread(s) {:8.0} MB/s, {ratio:.2} times the bare loop",
                speed(time)
            )?;
        }
    }
    Ok(())
}

fn best(
    mut run: impl FnMut() -> Result<Duration, Box<dyn std::error::Error>>,
) -> Result<Duration, Box<dyn std::error::Error>> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        best = best.min(run()?);
    }
    Ok(best)
}
