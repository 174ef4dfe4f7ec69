//! `neph baseline`: snapshots and images as they were, as they are, and what people say about the difference.

mod approve;
mod compare;
mod history;
mod print;

use std::io::Write;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use neph_baseline::{Approvals, Baseline, Collected};
use neph_diag::{SourceFile, has_errors, render};
use neph_inventory::{Folder, Limits};
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};
use crate::table::harmless;
use crate::terminal::Terminal;

/// The name of the file of approvals in the folder of baselines.
const APPROVALS: &str = "approvals.toml";
/// So many problems are shown in full.
const SHOWN_PROBLEMS: usize = 20;

/// Take baselines of snapshots and images, tell what differs from them, and approve what should
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aws ec2 describe-snapshots --owner-ids self > collected/aws/111122223333/eu-west-1/ec2-describe-snapshots.json
  neph baseline take collected/                       # what there is now, into baselines/
  neph baseline compare --events trail/ collected/    # a week later: what is new, gone, changed, copied out, and by whom
  neph baseline approve --name 'nightly-*' --class new --owner 'backup team' --expires 180d
  neph baseline history --new-since 7d

`neph collect` fills such folders, or the tools of the clouds do; docs/baseline.md lists the calls.")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Take(Take),
    Compare(compare::Compare),
    Approve(approve::Approve),
    History(history::ListHistory),
}

/// Where baselines are kept.
#[derive(Debug, clap::Args)]
struct FolderArgs {
    /// The folder of baselines, comparisons and approvals; nothing is written anywhere else.
    #[arg(long, value_name = "DIR", default_value = "baselines")]
    folder: PathBuf,
}

/// Write down which snapshots and images there are, as a baseline that later collections are held against
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  neph baseline take collected/
  neph baseline take --folder /srv/baselines --strict collected/   # only if everything could be collected")]
struct Take {
    /// Files and folders of what was collected.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    folder: FolderArgs,
    /// Take none when anything is wrong with what was collected.
    #[arg(long)]
    strict: bool,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// One JSON object.
    Json,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    match &args.command {
        Command::Take(args) => take(args, terminal),
        Command::Compare(args) => compare::run(args, terminal),
        Command::Approve(args) => approve::run(args, terminal),
        Command::History(args) => history::run(args, terminal),
    }
}

/// What takes and compares, in files.
fn program() -> String {
    format!("neph {}", env!("CARGO_PKG_VERSION"))
}

fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn day_of(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

fn take(args: &Take, terminal: &Terminal) -> Result<Exit, Failure> {
    let Some(collected) = collect(&args.paths, terminal) else {
        return Ok(Exit::Errors);
    };
    if args.strict && !collected.problems.is_empty() {
        terminal.error("no baseline was taken, because something is wrong with what was collected");
        return Ok(Exit::Errors);
    }
    let problems = problems_json(&collected);
    let baseline = Baseline::take(collected, now(), program());
    let path = keep(&args.folder.folder, |folder| baseline.keep(folder))?;
    let mut out = std::io::stdout().lock();
    let incomplete = baseline.covers.iter().filter(|cover| !cover.complete).count();
    if args.format == Format::Json {
        let document = json!({
            "baseline": path.display().to_string(), "taken": baseline.taken, "records": baseline.records.len(),
            "covers": baseline.covers, "problems": problems,
        });
        writeln!(out, "{document}")?;
    } else {
        let table = print::covers(&baseline);
        writeln!(out, "{table}")?;
        writeln!(
            out,
            "{} snapshots and images of {} lists in `{}`",
            baseline.records.len(),
            baseline.covers.len(),
            harmless(&path.display().to_string())
        )?;
    }
    if incomplete > 0 {
        terminal.warning(&format!(
            "{incomplete} lists are not whole: what they lack will not be told as new or gone"
        ));
    }
    Ok(Exit::Nothing)
}

/// Writes into the folder of baselines, which is made where it is not there.
fn keep(folder: &Path, write: impl FnOnce(&Path) -> std::io::Result<PathBuf>) -> Result<PathBuf, Failure> {
    let written = std::fs::create_dir_all(folder).and_then(|()| write(folder));
    written.map_err(|source| Failure::Write {
        path: folder.display().to_string(),
        source,
    })
}

/// Reads what was collected and tells what is wrong with it; `None` says that there is nothing to go on with.
fn collect(paths: &[PathBuf], terminal: &Terminal) -> Option<Collected> {
    let folder = Folder::open(paths, &Limits::default());
    let bar = terminal.interactive.then(|| {
        let bar = ProgressBar::new(folder.files().iter().map(|file| file.bytes).sum());
        let style = ProgressStyle::with_template("{bar:30} {percent:>3}% {binary_bytes_per_sec} eta {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar
    });
    let collected = Collected::read_telling(&folder, &mut |bytes| {
        if let Some(bar) = &bar {
            bar.inc(bytes);
        }
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    for problem in collected.problems.iter().take(SHOWN_PROBLEMS) {
        let told = match problem.file.as_str() {
            "" => problem.what.clone(),
            file => format!("`{file}` {}", problem.what),
        };
        terminal.warning(&harmless(&told));
    }
    let more = collected.problems.len().saturating_sub(SHOWN_PROBLEMS) + collected.more_problems;
    if more > 0 {
        terminal.warning(&format!("{more} further problems"));
    }
    for ((kind, field), count) in &collected.unknown_fields {
        let told = format!(
            "`{field}` of {count} × {} is not known and not compared",
            kind.name()
        );
        terminal.warning(&harmless(&told));
    }
    if collected.covers.is_empty() {
        terminal.error("nothing was read: none of the files lists snapshots or images");
        return None;
    }
    Some(collected)
}

fn problems_json(collected: &Collected) -> Value {
    let fields = collected.unknown_fields.iter();
    let fields: Vec<Value> = fields
        .map(|((kind, field), count)| json!({"kind": kind, "field": field, "items": count}))
        .collect();
    json!({
        "problems": collected.problems, "more": collected.more_problems, "unknown_fields": fields, "other_files": collected.other_files,
        "offered": collected.offered,
    })
}

/// The file of approvals: the one that is named, or that of the folder where it is there.
fn approvals_path(named: Option<&Path>, folder: &Path) -> Option<PathBuf> {
    match named {
        Some(path) => Some(path.to_owned()),
        None => Some(folder.join(APPROVALS)).filter(|path| path.is_file()),
    }
}

/// Reads approvals and tells what is wrong with them; `None` says that there are errors.
fn read_approvals(
    path: Option<&Path>,
    today: Date,
    terminal: &Terminal,
) -> Result<Option<Approvals>, Failure> {
    let Some(path) = path else {
        return Ok(Some(Approvals::default()));
    };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| Failure::Read {
        path: name.clone(),
        source,
    })?;
    Ok(checked(&name, &text, today, terminal))
}

fn checked(name: &str, text: &str, today: Date, terminal: &Terminal) -> Option<Approvals> {
    let (approvals, diagnostics) = Approvals::read(text, today);
    let source = SourceFile { name, text };
    for diagnostic in &diagnostics {
        terminal.note_plain(&render::text(diagnostic, &source, terminal.colour_err));
    }
    (!has_errors(&diagnostics)).then_some(approvals)
}

/// A time: `7d`, `12h`, `2w` before now, a day, or a time of RFC 3339.
fn when(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if let Ok(day) = text.parse::<Date>() {
        let start = day.to_zoned(TimeZone::UTC);
        return start
            .map(|start| start.timestamp())
            .map_err(|error| error.to_string());
    }
    let ago = hours(text).ok_or_else(|| {
        format!("`{text}` is no time such as `7d`, `12h`, `2026-11-01` or `2026-11-01T08:00:00Z`")
    })?;
    let span = jiff::SignedDuration::from_hours(ago);
    now().checked_sub(span).map_err(|error| error.to_string())
}

/// A last day: `180d` from today, or a day.
fn last_day(text: &str) -> Result<Date, String> {
    if let Ok(day) = text.parse::<Date>() {
        return Ok(day);
    }
    let ahead = hours(text).ok_or_else(|| format!("`{text}` is no day such as `180d` or `2027-03-31`"))?;
    let at = now().checked_add(jiff::SignedDuration::from_hours(ahead));
    at.map(day_of).map_err(|error| error.to_string())
}

fn hours(text: &str) -> Option<i64> {
    let unit = text.chars().next_back()?;
    let number: i64 = text
        .strip_suffix(unit)?
        .parse()
        .ok()
        .filter(|number| (0..1_000_000).contains(number))?;
    match unit {
        'h' => Some(number),
        'd' => Some(number * 24),
        'w' => Some(number * 24 * 7),
        _ => None,
    }
}
