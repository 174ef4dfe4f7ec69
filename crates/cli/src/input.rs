//! What all commands that read records have in common: the input arguments, the progress bar, the closing summary.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use neph_enrich::Enrichment;
use neph_event::{DateFormat, Instant};
use neph_normalize::{Clock, Joiner, Normalizer, sources};
use neph_runtime::input::{ReadOptions, Reader, RecordPlace};
use neph_runtime::{Progress, RunOptions, Summary};

use crate::exit::Failure;
use crate::terminal::Terminal;

/// So many problems of a kind are shown in full; all are counted.
const SHOWN_PROBLEMS: u64 = 5;

/// Where records come from and how they are read.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct InputArgs {
    /// Files, folders, patterns such as `logs/**/*.json.gz`, or `-` for standard input; where the build has the feature
    /// `object-store`, also URLs of objects or prefixes: `s3://BUCKET/PREFIX/`, `gs://…`, `az://CONTAINER/…`. Compression
    /// (gzip, zstd, xz, zip) and framing (NDJSON, JSON arrays, Elasticsearch exports) are recognised by content.
    #[arg(value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Threads that read and match records; results do not depend on it. [default: one for each core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Longest record, in bytes; longer ones are skipped and counted.
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    max_record_bytes: usize,
    /// Take every record for one of this source, instead of recognising it by its content; `ecs` takes it as it is.
    /// `neph sources` lists the names.
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Option<String>,
    /// How far times that name no zone are from UTC, such as `+03:00`. [default: UTC]
    #[arg(long, value_name = "OFFSET", value_parser = zone, allow_hyphen_values = true)]
    timezone: Option<String>,
    /// When the records were written at the latest, for times without a year, such as those of syslog. [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    written_by: Option<Instant>,
    /// Add to events what files say: databases in MaxMind's format, the published address ranges of AWS, Azure and Google
    /// Cloud, own lists of assets and identities (CSV, JSON lines, YAML), or folders of them; their kind is told by their
    /// content. The word `user-agent` takes user agents apart. Nothing that a record says is replaced.
    #[arg(long, value_name = "FILE|DIR")]
    enrich: Vec<PathBuf>,
    /// Show no progress bar, even on a terminal.
    #[arg(long)]
    no_progress: bool,
}

impl InputArgs {
    /// These inputs, read as they are read when nothing else is asked for.
    pub(crate) fn of(inputs: Vec<PathBuf>) -> Self {
        Self {
            inputs,
            threads: None,
            max_record_bytes: 16 << 20,
            source: None,
            timezone: None,
            written_by: None,
            enrich: Vec::new(),
            no_progress: false,
        }
    }

    /// Opens the inputs; lines that belong together come as one record.
    pub(crate) fn reader(&self, live: bool) -> Result<Reader, Failure> {
        self.normalizer()?;
        self.reader_joining(live, Joiner::new(self.source.as_deref()))
    }

    /// The source that is forced, if one is.
    pub(crate) fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// Opens the inputs; each line comes by itself.
    pub(crate) fn reader_of_lines(&self) -> Result<Reader, Failure> {
        self.reader_joining(false, Joiner::of(Vec::new()))
    }

    /// What is added to events. What a file holds that cannot be used is told.
    pub(crate) fn enrichment(&self, terminal: &Terminal) -> Result<Option<Arc<Enrichment>>, Failure> {
        if self.enrich.is_empty() {
            return Ok(None);
        }
        let (enrichment, problems) = Enrichment::load(&self.enrich);
        for problem in &problems {
            terminal.warning(&problem.to_string());
        }
        if enrichment.is_empty() {
            return Err(Failure::Message("nothing of `--enrich` can be used".into()));
        }
        Ok(Some(Arc::new(enrichment)))
    }

    /// A normaliser for the source that is forced, if one is.
    pub(crate) fn normalizer(&self) -> Result<Normalizer, Failure> {
        let normalizer = Normalizer::new(self.source.as_deref()).map_err(|error| {
            let names: Vec<&str> = sources().iter().map(|source| source.name).collect();
            Failure::Message(format!("{error}; there are {}", names.join(", ")))
        })?;
        Ok(normalizer.with_clock(self.clock()))
    }

    /// What times without a year or a zone are read by.
    fn clock(&self) -> Clock {
        let today = || Instant::from_nanos(jiff::Timestamp::now().as_nanosecond());
        let now = self.written_by.unwrap_or_else(today);
        let clock = Clock::default().with_now(now);
        match &self.timezone {
            // It was looked at when the arguments were read.
            Some(zone) => clock.clone().with_zone(zone).unwrap_or(clock),
            None => clock,
        }
    }

    fn reader_joining(&self, live: bool, joiner: Joiner<RecordPlace>) -> Result<Reader, Failure> {
        if self.inputs.is_empty() {
            return Err(Failure::Message(
                "no input given: name files, folders or patterns, or `-` for standard input".into(),
            ));
        }
        let options = ReadOptions {
            record_bytes: self.max_record_bytes,
            live,
            joiner,
            ..ReadOptions::default()
        };
        Reader::new(&self.inputs, options).map_err(|error| Failure::Message(error.to_string()))
    }

    /// How the run goes.
    pub(crate) fn run_options(&self, strict: bool, terminal: &Terminal) -> Result<RunOptions, Failure> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Ok(RunOptions {
            threads: self.threads.unwrap_or_else(cores).max(1),
            strict,
            keep_problems: SHOWN_PROBLEMS,
            source: self.source.clone(),
            clock: self.clock(),
            enrichment: self.enrichment(terminal)?,
            profile: false,
        })
    }

    /// A bar on standard error, if a person is watching.
    pub(crate) fn progress(&self, terminal: &Terminal) -> Bar {
        if self.no_progress || !terminal.interactive {
            return Bar::default();
        }
        Bar {
            bar: Some(ProgressBar::no_length()),
            text: None,
        }
    }
}

fn zone(text: &str) -> Result<String, String> {
    match Clock::default().with_zone(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn time(text: &str) -> Result<Instant, String> {
    let read = DateFormat::Iso.parse(text);
    read.ok_or_else(|| format!("`{text}` is no time such as `2026-01-31T23:59:59Z`"))
}

/// What a line says of how far a run is.
type Words = Box<dyn Fn(Progress) -> String>;

/// A progress bar, or nothing.
#[derive(Default)]
pub(crate) struct Bar {
    bar: Option<ProgressBar>,
    /// What stands there instead of how much was read.
    text: Option<Words>,
}

impl Bar {
    /// A line on standard error that says how a run without an end stands, if a person is watching.
    pub(crate) fn telling(terminal: &Terminal, text: Words) -> Self {
        let bar = terminal.interactive.then(ProgressBar::no_length);
        if let (Some(bar), Ok(style)) = (&bar, ProgressStyle::with_template("{spinner} {msg}")) {
            bar.set_style(style);
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self {
            bar,
            text: Some(text),
        }
    }

    /// Shows how far the run is.
    pub(crate) fn show(&self, progress: Progress) {
        let Some(bar) = &self.bar else { return };
        if let Some(text) = &self.text {
            bar.set_message(text(progress));
            return;
        }
        if bar.length().is_none() {
            let template = match progress.total_bytes {
                Some(total) => {
                    bar.set_length(total);
                    "{bar:30} {percent:>3}% {binary_bytes_per_sec} {msg} eta {eta}"
                }
                None => "{spinner} {binary_bytes} {binary_bytes_per_sec} {msg}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        bar.set_position(progress.bytes);
        bar.set_message(format!(
            "{} records, {} matches",
            HumanCount(progress.records),
            HumanCount(progress.matches)
        ));
    }

    /// Prints above the bar without tearing it.
    pub(crate) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Says on standard error what was read and what was not.
pub(crate) fn report(summary: &Summary, terminal: &Terminal) {
    for problem in summary.problems.kept() {
        terminal.warning(&problem.to_string());
    }
    for (kind, count) in summary.problems.counts() {
        if *count > SHOWN_PROBLEMS {
            terminal.warning(&format!("{count} problems of the kind `{kind}` in all"));
        }
    }
    let mut line = format!(
        "read {} records ({}) from {} in {:.2?}",
        HumanCount(summary.records),
        HumanBytes(summary.bytes),
        plural(summary.inputs, "input"),
        summary.elapsed
    );
    let skipped = &summary.skipped;
    for (count, what) in [
        (summary.refused, "refused record"),
        (
            summary.problems.total().saturating_sub(summary.refused),
            "problem with inputs",
        ),
        (skipped.hidden_files, "hidden file skipped"),
        (skipped.repeated_files, "file named twice"),
        (skipped.bulk_deletes, "bulk delete skipped"),
    ] {
        if count > 0 {
            line.push_str(&format!("; {count} × {what}"));
        }
    }
    if summary.cancelled {
        line.push_str("; ended before the inputs did");
    }
    // Nothing can be done when standard error is gone.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
    // Inputs of nothing but ECS documents have no sources to speak of.
    if summary.events.keys().any(|source| *source != "ecs") || !summary.dropped.is_empty() {
        for (source, count) in &summary.events {
            let _ = writeln!(std::io::stderr().lock(), "  {} × {source}", HumanCount(*count));
        }
        for ((source, reason), count) in &summary.dropped {
            let _ = writeln!(
                std::io::stderr().lock(),
                "  {} × no event: {source}: {reason}",
                HumanCount(*count)
            );
        }
    }
}

/// The same in JSON.
pub(crate) fn summary_json(summary: &Summary) -> serde_json::Value {
    let counts: serde_json::Map<String, serde_json::Value> = summary
        .problems
        .counts()
        .iter()
        .map(|(kind, count)| (kind.to_string(), (*count).into()))
        .collect();
    let kept: Vec<serde_json::Value> = summary
        .problems
        .kept()
        .iter()
        .map(|problem| {
            serde_json::json!({
                "source": &*problem.source,
                "line": problem.line,
                "kind": problem.kind.as_str(),
                "message": problem.message,
            })
        })
        .collect();
    let dropped: Vec<serde_json::Value> = summary
        .dropped
        .iter()
        .map(|((source, reason), count)| serde_json::json!({"source": source, "reason": reason, "count": count}))
        .collect();
    serde_json::json!({
        "inputs": summary.inputs,
        "stored_bytes": summary.stored_bytes,
        "bytes": summary.bytes,
        "records": summary.records,
        "refused": summary.refused,
        "events": summary.events,
        "dropped": dropped,
        "matches": summary.matches,
        "problem_counts": counts,
        "problems": kept,
        "skipped": {
            "hidden_files": summary.skipped.hidden_files,
            "repeated_files": summary.skipped.repeated_files,
            "bulk_deletes": summary.skipped.bulk_deletes,
        },
        "cancelled": summary.cancelled,
        "seconds": summary.elapsed.as_secs_f64(),
    })
}

/// `1 input`, `2 inputs`.
pub(crate) fn plural(count: u64, noun: &str) -> String {
    format!(
        "{} {noun}{}",
        HumanCount(count),
        if count == 1 { "" } else { "s" }
    )
}
