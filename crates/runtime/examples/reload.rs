//! What it costs to load rules, and to load them again when one file has changed.
//!
//! `cargo run --release -p neph-runtime --example reload -- RULES [COPIES]`: the files of RULES are copied to a temporary folder, as
//! often as is said, with ids of their own; then they are loaded, one of them is changed, and they are loaded again. Told are seconds by the clock and of
//! the processor, and the most memory so far.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use neph_engine::Program;
use neph_plan::Plan;
use neph_rules::{Library, LoadOptions, RuleSet, unchanged};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args_os().skip(1);
    let rules = arguments
        .next()
        .map(PathBuf::from)
        .ok_or("usage: reload RULES [COPIES]")?;
    let copies: usize = match arguments.next() {
        Some(copies) => copies.to_string_lossy().parse()?,
        None => 1,
    };
    let folder = tempfile::tempdir()?;
    let mut files = Vec::new();
    for copy in 0..copies {
        copy_rules(&rules, folder.path(), copy, &mut files)?;
    }
    let mut out = std::io::stdout();
    let options = LoadOptions::default();
    let mut library = Library::new();
    let paths = [folder.path()];
    let tell = |what: &str, library: &Library, set: &RuleSet, began: (Instant, f64)| -> Outcome<()> {
        let (clock, processor) = (began.0.elapsed().as_secs_f64(), processor_seconds()? - began.1);
        let reuse = library.reuse();
        writeln!(
            std::io::stdout(),
            "{what:<18} {clock:.3} s, {processor:.3} s of the processor; {} rules run, {} files read, {} kept; {}",
            set.rules.len(),
            reuse.read,
            reuse.kept,
            peak_memory()?,
        )?;
        Ok(())
    };
    let began = (Instant::now(), processor_seconds()?);
    let first = library.load(&paths, &options);
    tell("loaded", &library, &first, began)?;
    let changed = files.get(files.len() / 2).ok_or("no rule files")?;
    let text = fs::read_to_string(changed)?;
    fs::write(changed, text.replacen("level: ", "level:  ", 1) + "\n# changed\n")?;
    let began = (Instant::now(), processor_seconds()?);
    let second = library.load(&paths, &options);
    tell("one file changed", &library, &second, began)?;
    let plans: Vec<&Plan> = second
        .rules
        .iter()
        .filter_map(|rule| rule.plan.as_ref())
        .collect();
    let began = Instant::now();
    let (program, _) = Program::compile(plans);
    writeln!(
        out,
        "of it the program   {:.3} s, {} tests",
        began.elapsed().as_secs_f64(),
        program.tests()
    )?;
    let (first, second) = (first.rules, second.rules);
    let began = Instant::now();
    let same = unchanged(&first, &second).len();
    writeln!(
        out,
        "rules that go on    {:.3} s, {same} of them",
        began.elapsed().as_secs_f64()
    )?;
    Ok(())
}

/// Copies rule files; ids of all but the first copy are made their own.
fn copy_rules(from: &Path, to: &Path, copy: usize, files: &mut Vec<PathBuf>) -> Outcome<()> {
    let mut entries: Vec<PathBuf> = fs::read_dir(from)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            copy_rules(&path, to, copy, files)?;
        } else if path.extension() == Some(OsStr::new("yml")) {
            let text = fs::read_to_string(&path)?;
            let text = match copy {
                0 => text,
                copy => text.replacen("\nid: ", &format!("\nid: {copy}"), 1),
            };
            let target = to.join(format!("{}.yml", files.len()));
            fs::write(&target, text)?;
            files.push(target);
        }
    }
    Ok(())
}

fn processor_seconds() -> Outcome<f64> {
    // User and system time of all threads of this process, in hundredths of a second, from Linux.
    let text = fs::read_to_string("/proc/self/stat")?;
    let behind = text.rsplit(')').next().ok_or("no time")?;
    let mut times = behind.split_whitespace().skip(11);
    let user: f64 = times.next().ok_or("no time")?.parse()?;
    let system: f64 = times.next().ok_or("no time")?.parse()?;
    Ok((user + system) / 100.0)
}

/// The most memory that the process has had, from Linux.
fn peak_memory() -> Outcome<String> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"));
    let kib: f64 = line
        .and_then(|line| line.split_whitespace().nth(1))
        .ok_or("no memory")?
        .parse()?;
    Ok(format!("{:.0} MB at most", kib / 1e3))
}
