//! `neph audit run`: all checks over what was collected.

use std::io::Write;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use neph_diag::{SourceFile, has_errors, render};
use neph_posture::audit::{
    Check, Collected, Finding, History, Mutes, Outcome, Report, Run, Selection, Severity, form,
};

use crate::exit::{Exit, Failure};
use crate::table::{harmless, severity_style, table};
use crate::terminal::{Terminal, paint};

/// Resources of one check that the table shows.
const SHOWN: usize = 25;
/// Resources of one check whose fixes the table shows.
const SHOWN_FIXES: usize = 3;

/// Check collected settings and files of infrastructure as code against the techniques: metadata services, firewalls, sharing of snapshots and images, mutable tags, Docker and Kubernetes APIs
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  neph audit run collected/                                     # what `neph collect`, or the clouds' own tools, wrote
  neph audit run deploy/                                        # Dockerfiles, compose files, manifests, Terraform
  neph audit run collected/ --technique T1552.005 --format html > audit.html
  neph audit run . --format sarif --fail-on high > audit.sarif  # in CI
  neph audit run collected/ --mutes mutes.toml --history runs/ --new-since 7d --fail-on new

Files are told by their content, wherever they lie; `neph audit checks` says which command prints what a check reads.
Exit codes: 0; 1 with --fail-on; 2 when nothing could be read or the list of mutes has errors.")]
pub(super) struct Args {
    /// Files and folders of what was collected, or of infrastructure as code.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    selection: SelectionArgs,
    /// A list of failures that somebody answers for (TOML): check, resource, owner, reason, expiry.
    #[arg(long, value_name = "FILE")]
    mutes: Option<PathBuf>,
    /// Remember this run in a folder, and know those before.
    #[arg(long, value_name = "DIR")]
    history: Option<PathBuf>,
    /// Mark failures that no run before this time knew: `7d`, `12h`, `2w`.
    #[arg(long, value_name = "AGE", requires = "history", value_parser = age)]
    new_since: Option<SignedDuration>,
    /// End with exit code 1 when a check fails with this severity or a worse one, or when a failure is new.
    #[arg(long, value_enum, value_name = "WHAT")]
    fail_on: Option<FailOn>,
    /// Answers that the table shows; may be given several times. [default: fail, unknown]
    #[arg(long, value_enum, value_name = "OUTCOME")]
    show: Vec<Show>,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Show no progress.
    #[arg(long)]
    no_progress: bool,
}

/// Which checks.
#[derive(Debug, clap::Args)]
pub(super) struct SelectionArgs {
    /// Ask these checks only; `*` stands for any text; may be given several times.
    #[arg(long, value_name = "PATTERN")]
    check: Vec<String>,
    /// Ask checks about these techniques only; `T1552` stands for its sub-techniques too.
    #[arg(long, value_name = "ID")]
    technique: Vec<String>,
    /// Ask checks of these mitigations only.
    #[arg(long, value_name = "ID")]
    mitigation: Vec<String>,
}

impl SelectionArgs {
    pub(super) fn selection(&self) -> Result<Selection, Failure> {
        let upper = |ids: &[String]| ids.iter().map(|id| id.to_uppercase()).collect();
        let selection = Selection {
            checks: self.check.clone(),
            techniques: upper(&self.technique),
            mitigations: upper(&self.mitigation),
        };
        let nothing = selection.nothing();
        match nothing.as_slice() {
            [] if selection.checks().is_empty() => {
                Err(Failure::Message("no check fits all that is asked for".to_owned()))
            }
            [] => Ok(selection),
            names => Err(Failure::Message(format!(
                "no check fits `{}`; `neph audit checks` lists them",
                names.join("`, `")
            ))),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    /// Any failure.
    Low,
    /// Failures from medium on.
    Medium,
    /// Failures from high on.
    High,
    /// Critical failures.
    Critical,
    /// Failures that are new since the time of --new-since.
    New,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Show {
    /// What does not hold.
    Fail,
    /// What was not collected.
    Unknown,
    /// What holds.
    Pass,
}

/// Forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Tables for people, with fixes.
    Table,
    /// One JSON object.
    Json,
    /// SARIF 2.1.0, for code hosts.
    Sarif,
    /// OCSF Compliance Findings, one JSON object a line.
    Ocsf,
    /// A page that stands alone.
    Html,
}

fn age(text: &str) -> Result<SignedDuration, String> {
    let wrong = || format!("`{text}` is no age such as `7d`, `12h` or `2w`");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let number = text.strip_suffix(unit).unwrap_or("");
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let hours = match unit {
        'h' => 1,
        'd' => 24,
        'w' => 24 * 7,
        _ => return Err(wrong()),
    };
    // A hundred years are enough.
    if !(0..=24 * 36_525 / hours).contains(&number) {
        return Err(wrong());
    }
    Ok(SignedDuration::from_hours(number * hours))
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    if args.fail_on == Some(FailOn::New) && args.new_since.is_none() {
        return Err(Failure::Message(
            "`--fail-on new` needs `--new-since` and `--history`".to_owned(),
        ));
    }
    let selection = args.selection.selection()?;
    let now = Timestamp::now();
    let mutes = match &args.mutes {
        None => Mutes::default(),
        Some(path) => match read_mutes(path, now, terminal)? {
            Some(mutes) => mutes,
            None => return Ok(Exit::Errors),
        },
    };
    let past = match &args.history {
        Some(folder) => History::read(folder).map_err(|error| Failure::Message(error.to_string()))?,
        None => History::default(),
    };
    let bar = bar(terminal.interactive && !args.no_progress);
    let collected = Collected::read(&args.paths, &mut |done, total| show(&bar, "reading", done, total));
    let mut report = neph_posture::audit::run(&collected, &selection, &mut |done, total| {
        show(&bar, "asking", done, total)
    });
    bar.finish_and_clear();
    tell_problems(&collected, terminal);
    if collected.files() == 0 {
        terminal.error("nothing was read: none of the files is one that a check knows");
        return Ok(Exit::Errors);
    }
    report.mute(&mutes);
    if let Some(age) = args.new_since {
        let since = now.checked_sub(age).unwrap_or(Timestamp::MIN);
        report.compare(&past, since);
    }
    if let Some(folder) = &args.history {
        Run::of(&report, now)
            .write(folder)
            .map_err(|error| Failure::Message(error.to_string()))?;
    }
    let told = form::Told {
        version: env!("CARGO_PKG_VERSION"),
        at: now,
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match args.format {
        Format::Table => tables(&mut out, &report, &args.show, terminal)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &form::json(&report, &collected, &mutes, told))
                .map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Format::Sarif => writeln!(out, "{:#}", form::sarif(&report, &mutes, told))?,
        Format::Ocsf => {
            for finding in form::ocsf(&report, told) {
                writeln!(out, "{finding}")?;
            }
        }
        Format::Html => write!(out, "{}", form::html(&report, &collected, &mutes, told))?,
    }
    out.flush()?;
    let fails = match args.fail_on {
        None => false,
        Some(FailOn::Low) => report.fails_at(Severity::Low),
        Some(FailOn::Medium) => report.fails_at(Severity::Medium),
        Some(FailOn::High) => report.fails_at(Severity::High),
        Some(FailOn::Critical) => report.fails_at(Severity::Critical),
        Some(FailOn::New) => !report.new.is_empty(),
    };
    Ok(if fails { Exit::Alerts } else { Exit::Nothing })
}

fn bar(is_shown: bool) -> ProgressBar {
    if !is_shown {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} eta {eta}") {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, what: &'static str, done: usize, total: usize) {
    bar.set_message(what);
    bar.set_length(total as u64);
    bar.set_position(done as u64);
}

fn tell_problems(collected: &Collected, terminal: &Terminal) {
    let (problems, more) = collected.problems();
    for problem in problems {
        terminal.warning(&harmless(&format!("`{}` {}", problem.file, problem.what)));
    }
    if more > 0 {
        terminal.warning(&format!("{more} further problems"));
    }
}

/// `None` says that the list has errors, which were shown.
fn read_mutes(path: &Path, now: Timestamp, terminal: &Terminal) -> Result<Option<Mutes>, Failure> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| Failure::Read {
        path: name.clone(),
        source,
    })?;
    let (mutes, diagnostics) = Mutes::read(&text, now.to_zoned(TimeZone::UTC).date());
    let source = SourceFile {
        name: &name,
        text: &text,
    };
    for diagnostic in &diagnostics {
        terminal.note_plain(&render::text(diagnostic, &source, terminal.colour_err));
    }
    Ok((!has_errors(&diagnostics)).then_some(mutes))
}

fn tables(out: &mut impl Write, report: &Report, asked: &[Show], terminal: &Terminal) -> Result<(), Failure> {
    let shows = |show: Show| match asked {
        [] => show != Show::Pass,
        asked => asked.contains(&show),
    };
    for outcome in [Outcome::Pass, Outcome::Unknown, Outcome::Fail] {
        let show = match outcome {
            Outcome::Pass => Show::Pass,
            Outcome::Unknown => Show::Unknown,
            Outcome::Fail => Show::Fail,
        };
        if !shows(show) {
            continue;
        }
        // The worst comes last, where a person looks first.
        let mut checks: Vec<&Check> = report.checks.clone();
        checks.sort_by_key(|check| check.severity);
        for check in checks {
            let own: Vec<&Finding> = report
                .findings
                .iter()
                .filter(|finding| finding.check == check.id && finding.outcome == outcome)
                .collect();
            if !own.is_empty() {
                block(out, report, check, outcome, &own, terminal)?;
            }
        }
    }
    let muted = match report.muted.len() {
        0 => String::new(),
        count => format!(", {count} muted"),
    };
    let new = match report.new.len() {
        0 => String::new(),
        count => format!("; {count} new"),
    };
    writeln!(
        out,
        "{} checks: {} failed, {} unknown, {} passed{muted}{new}",
        report.checks.len(),
        report.count(Outcome::Fail),
        report.count(Outcome::Unknown),
        report.count(Outcome::Pass)
    )?;
    Ok(())
}

fn block(
    out: &mut impl Write,
    report: &Report,
    check: &Check,
    outcome: Outcome,
    own: &[&Finding],
    terminal: &Terminal,
) -> Result<(), Failure> {
    let word = match outcome {
        Outcome::Fail => paint(
            terminal.colour_out,
            severity_style(check.severity.name()),
            check.severity.name(),
        ),
        other => other.name().to_owned(),
    };
    writeln!(
        out,
        "{word} {}: {} ({}; {})",
        check.id,
        check.title,
        check.techniques.join(", "),
        check.mitigations.join(", ")
    )?;
    let mut rows = table(&["", "WHERE", "RESOURCE", "WHAT", "EVIDENCE"]);
    for finding in own.iter().take(SHOWN) {
        let mark = match (outcome, report.is_new(finding)) {
            (Outcome::Fail, true) => format!("{} new", finding.severity.name()),
            (Outcome::Fail, false) => finding.severity.name().to_owned(),
            _ => String::new(),
        };
        let evidence: Vec<String> = finding
            .evidence
            .iter()
            .map(|one| {
                let place = match one.line {
                    0 => one.file.clone(),
                    line => format!("{}:{line}", one.file),
                };
                format!("{} = {} ({place})", one.field, one.value)
            })
            .collect();
        rows.add_row([
            mark,
            harmless(&finding.scope.to_string()),
            harmless(&finding.resource),
            harmless(&finding.what),
            harmless(&evidence.join("; ")),
        ]);
    }
    writeln!(out, "{rows}")?;
    if own.len() > SHOWN {
        writeln!(out, "  {} further; --format json has all", own.len() - SHOWN)?;
    }
    let mut told: Vec<&[String]> = Vec::new();
    for finding in own.iter().filter(|finding| !finding.fix.is_empty()) {
        if told.len() >= SHOWN_FIXES {
            break;
        }
        if !told.contains(&finding.fix.as_slice()) {
            told.push(&finding.fix);
        }
    }
    for fix in told {
        for line in fix {
            writeln!(out, "    {}", harmless(line))?;
        }
    }
    writeln!(out)?;
    Ok(())
}
