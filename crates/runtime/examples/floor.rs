//! How fast records are read and parsed, against the JSON parser alone.
//!
//! `cargo run --release -p neph-runtime --example floor -- FILE…`: for each file of JSON lines the bare loop (the file in
//! memory, split into lines, each parsed into a whole document) of `sonic-rs` and of `simd-json`, and `parse` on one and two
//! threads, which also reads the file. Three times each, the best is told: by the clock, and by the processor's time, which
//! other work on the machine disturbs less.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use neph_runtime::input::{ReadOptions, Reader};
use neph_runtime::{RunOptions, parse};

const ROUNDS: usize = 3;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let mut out = std::io::stdout();
    for file in std::env::args_os().skip(1).map(PathBuf::from) {
        let mut bytes = 0;
        let bare = best(|| {
            let text = std::fs::read(&file)?;
            bytes = text.len();
            measured(|| {
                for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    std::hint::black_box(sonic_rs::from_slice::<sonic_rs::Value>(line)?);
                }
                Ok(())
            })
        })?;
        let simd = best(|| {
            let text = std::fs::read(&file)?;
            let mut line_buffer = Vec::new();
            let mut buffers = simd_json::Buffers::default();
            measured(|| {
                for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    // It parses in place.
                    line_buffer.clear();
                    line_buffer.extend_from_slice(line);
                    std::hint::black_box(simd_json::to_borrowed_value_with_buffers(
                        &mut line_buffer,
                        &mut buffers,
                    )?);
                }
                Ok(())
            })
        })?;
        writeln!(out, "{}: {bytes} bytes", file.display())?;
        tell(&mut out, "sonic-rs", bytes, bare, bare)?;
        tell(&mut out, "simd-json", bytes, simd, bare)?;
        for threads in [1, 2] {
            let run = best(|| {
                let mut reader = Reader::new(std::slice::from_ref(&file), ReadOptions::default())?;
                let options = RunOptions {
                    threads,
                    ..RunOptions::default()
                };
                measured(|| {
                    parse(&mut reader, &options, &mut |_| ())?;
                    Ok(())
                })
            })?;
            tell(&mut out, &format!("parse, threads: {threads}"), bytes, run, bare)?;
        }
    }
    Ok(())
}

/// Seconds by the clock and of the processor.
type Times = (f64, f64);

fn tell(out: &mut impl Write, what: &str, bytes: usize, run: Times, bare: Times) -> Outcome<()> {
    let speed = |seconds: f64| bytes as f64 / seconds / 1e6;
    let (clock, processor) = run;
    writeln!(
        out,
        "  {what:18} {:6.0} MB/s ({:.2} times sonic-rs), {:6.0} MB per second of processor ({:.2} times)",
        speed(clock),
        clock / bare.0,
        speed(processor),
        processor / bare.1
    )?;
    Ok(())
}

fn best(mut run: impl FnMut() -> Outcome<Times>) -> Outcome<Times> {
    let mut best = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        let (clock, processor) = run()?;
        best = (best.0.min(clock), best.1.min(processor));
    }
    Ok(best)
}

fn measured(work: impl FnOnce() -> Outcome<()>) -> Outcome<Times> {
    let (began, used) = (Instant::now(), processor_seconds()?);
    work()?;
    Ok((began.elapsed().as_secs_f64(), processor_seconds()? - used))
}

/// What this process has used of processors, by Linux's `/proc/self/stat`, in its ticks of a hundredth of a second.
fn processor_seconds() -> Outcome<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse().unwrap_or(0.0))
        .sum();
    Ok(ticks / 100.0)
}
