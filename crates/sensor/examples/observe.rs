//! Writes what the sensor sees to a file, one document a line, until standard input ends, and then tells what it took:
//!
//! `observe MODE CONTROL-GROUP FILE`, where MODE is `ebpf`, `audit` or `connector`.
//!
//! It says `ready` once it looks. `bench/sensor.py` runs it.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use neph_sensor::{Limits, Mode, Options, Sensor};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "observe MODE CONTROL-GROUP FILE";
    let mode = arguments
        .next()
        .and_then(|name| Mode::named(&name))
        .ok_or(usage)?;
    let options = Options {
        mode: Some(mode),
        cgroup: Some(arguments.next().ok_or(usage)?.into()),
        attach: false,
        // What it takes is what is measured.
        limits: Limits {
            share: 1.0,
            ..Limits::default()
        },
        ..Options::default()
    };
    let mut file = BufWriter::new(File::create(arguments.next().ok_or(usage)?)?);
    let mut sensor = Sensor::start(&options)?;
    let mut out = io::stdout();
    for hook in &sensor.abilities().hooks {
        let failed = hook.failed.as_deref().unwrap_or("attached");
        writeln!(out, "{}: {failed}", hook.name)?;
    }
    let before = used()?;
    writeln!(out, "ready")?;
    out.flush()?;

    let end = Arc::new(AtomicBool::new(false));
    std::thread::spawn({
        let end = Arc::clone(&end);
        move || {
            // Whatever ends it, it is the end.
            drop(io::stdin().read_to_end(&mut Vec::new()));
            end.store(true, Ordering::Relaxed);
        }
    });
    let mut lines = Vec::new();
    loop {
        let ended = end.load(Ordering::Relaxed);
        let written = sensor.read(Duration::from_millis(if ended { 500 } else { 100 }), &mut lines)?;
        file.write_all(&lines)?;
        lines.clear();
        if ended && written == 0 {
            break;
        }
    }
    file.flush()?;
    let counts = sensor.counts();
    let lost: Vec<_> = counts
        .lost
        .iter()
        .map(|((class, cause), count)| json!([class.name(), cause.name(), count]))
        .collect();
    let peak = fs::read_to_string("/proc/self/status")?;
    let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let told = json!({
        "seen": counts.seen.iter().map(|(class, count)| json!([class.name(), count])).collect::<Vec<_>>(),
        "lost": lost,
        "written": counts.written,
        "processes": counts.processes,
        "repaired": counts.repaired,
        "strangers": counts.strangers,
        "ticks": used()? - before,
        "peak": peak.map(str::trim),
        "programs": programs()?,
    });
    writeln!(out, "{told}")?;
    Ok(())
}

/// Ticks of the processor that this process has used.
fn used() -> Result<u64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").ok_or("no name in /proc/self/stat")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>);
    Ok(ticks.sum::<Result<u64, _>>()?)
}

/// How often each program in the kernel ran, and nanoseconds that it took, where the kernel counts that
/// (`kernel.bpf_stats_enabled`).
fn programs() -> Result<Vec<serde_json::Value>, Box<dyn Error>> {
    let mut programs = Vec::new();
    for entry in fs::read_dir("/proc/self/fdinfo")? {
        let Ok(info) = fs::read_to_string(entry?.path()) else {
            continue;
        };
        let field = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse::<u64>().ok()
        };
        if let (Some(kind), Some(time), Some(count)) =
            (field("prog_type:"), field("run_time_ns:"), field("run_cnt:"))
        {
            programs.push(json!([kind, count, time]));
        }
    }
    Ok(programs)
}
