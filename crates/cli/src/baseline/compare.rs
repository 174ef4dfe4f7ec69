//! `neph baseline compare`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use neph_baseline::{
    Act, Actors, Baseline, Difference, Finding, History, Kept, Review, Severity, alert, review,
};
use neph_event::Instant;
use neph_rules::{RuleSeverity, Told};
use neph_runtime::input::Chunk;
use serde_json::{Value, json};

use super::{
    FolderArgs, approvals_path, collect, day_of, keep, now, print, problems_json, program, read_approvals,
    when,
};
use crate::detect::{self, Tell};
use crate::exit::{Exit, Failure};
use crate::input::InputArgs;
use crate::service::ServiceArgs;
use crate::table::harmless;
use crate::terminal::Terminal;

/// So many alerts are given to the service at once.
const AT_ONCE: usize = 50;

/// Tell how snapshots and images differ from the baseline, from the golden images, and what of that nobody approved
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  neph baseline compare collected/
  neph baseline compare --events cloudtrail/ --events azure-activity.json collected/
  neph baseline compare --events cloudtrail/ --tell collected/         # to the outputs of the service
  neph baseline compare --new-since 7d --fail-on=high --format json collected/ > alerts.json

Exit codes: 0; 1 with --fail-on when there is a difference that nobody approved; 2 when nothing could be read or the approvals have errors.")]
pub(super) struct Compare {
    /// Files and folders of what was collected now.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    folder: FolderArgs,
    /// The file of approvals, golden images and accounts. [default: approvals.toml in the folder, where it is there]
    #[arg(long, value_name = "FILE")]
    approvals: Option<PathBuf>,
    /// The baseline. [default: the newest of the folder]
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Logs that tell who did it, when and from where: CloudTrail, Azure activity, Google Cloud audit, VK Cloud, OpenStack, or whatever else
    /// `neph detect` reads; may be given several times.
    #[arg(long, value_name = "PATH")]
    events: Vec<PathBuf>,
    /// Show also what is approved.
    #[arg(long)]
    all: bool,
    /// End with exit code 1 if there is a difference that nobody approved, of at least this severity where one is given.
    #[arg(long, value_enum, value_name = "SEVERITY", num_args = 0..=1, require_equals = true, default_missing_value = "low")]
    fail_on: Option<FailOn>,
    /// Only differences that no comparison of the folder found before this time: `7d`, `12h`, a day, or a time.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    new_since: Option<Timestamp>,
    /// Give the alerts to the service that runs, which tells them to its outputs and shows them in its console; one that it has already is
    /// not told again. Needs the role `engineer`.
    #[arg(long)]
    tell: bool,
    #[command(flatten)]
    service: ServiceArgs,
    /// Do not keep in the folder what was found.
    #[arg(long)]
    no_keep: bool,
    /// Form of the output: `json` and `ndjson` hold alerts as `neph detect` gives them.
    #[arg(long, value_enum, default_value_t = detect::Format::Table)]
    format: detect::Format,
}

/// Severities, for `--fail-on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    Low,
    Medium,
    High,
    Critical,
}

impl FailOn {
    fn severity(self) -> Severity {
        match self {
            Self::Low => Severity::Low,
            Self::Medium => Severity::Medium,
            Self::High => Severity::High,
            Self::Critical => Severity::Critical,
        }
    }
}

pub(super) fn run(args: &Compare, terminal: &Terminal) -> Result<Exit, Failure> {
    let found_at = now();
    let today = day_of(found_at);
    let folder = &args.folder.folder;
    let path = approvals_path(args.approvals.as_deref(), folder);
    let Some(approvals) = read_approvals(path.as_deref(), today, terminal)? else {
        return Ok(Exit::Errors);
    };
    let history = History::read(folder).map_err(|source| Failure::Read {
        path: folder.display().to_string(),
        source,
    })?;
    for (path, why) in &history.refused {
        terminal.warning(&harmless(&format!("`{}` {why}", path.display())));
    }
    let before = baseline(args, &history)?;
    let Some(collected) = collect(&args.paths, terminal) else {
        return Ok(Exit::Errors);
    };
    let mut review = review(&before, &collected, &approvals, today);
    let problems = problems_json(&collected);
    drop(collected);
    if !args.no_keep {
        let unseen = review.unknown.iter().chain(&review.not_compared);
        let unknown = unseen.map(|one| one.records).sum();
        let differences = review
            .findings
            .iter()
            .map(|one| (&one.difference, one.standing.name()));
        let kept = Kept::new(found_at, program(), before.taken, unknown, differences);
        keep(folder, |folder| kept.save(folder))?;
    }
    let total = review.findings.len();
    if let Some(since) = args.new_since {
        let seen = history.first_seen();
        review.findings.retain(|one| {
            seen.get(one.difference.id.as_str())
                .is_none_or(|first| *first >= since)
        });
    }
    let older = total - review.findings.len();
    let differences: Vec<Difference> = review.findings.iter().map(|one| one.difference.clone()).collect();
    let acts = acts(&args.events, &differences, before.taken, terminal)?;
    drop(differences);
    let least = args.fail_on.map(FailOn::severity);
    let fails = |one: &Finding| {
        one.standing.is_open() && least.is_some_and(|least| one.difference.severity() >= least)
    };
    let fail = review.findings.iter().any(fails);
    match args.format {
        detect::Format::Table => {
            let shown = |one: &Finding| args.all || one.standing.is_open();
            print::findings(&review, &acts, shown)?;
        }
        _ => alerts(
            args,
            &review,
            &acts,
            found_at,
            &json!({"older": older, "collected": problems, "baseline": before.taken}),
            *terminal,
        )?,
    }
    if args.tell {
        tell(args, &review, &acts, found_at, terminal)?;
    }
    print::summary(&review, older, before.taken, terminal);
    Ok(if fail { Exit::Alerts } else { Exit::Nothing })
}

/// The baseline that is named, or the newest of the folder that can be read.
fn baseline(args: &Compare, history: &History) -> Result<Baseline, Failure> {
    let newest = history.baselines.last().map(|(_, _, path)| path.as_path());
    let Some(path) = args.baseline.as_deref().or(newest) else {
        return Err(Failure::Message(format!(
            "there is no baseline in `{}`: take one with `neph baseline take`",
            args.folder.folder.display()
        )));
    };
    let name = path.display().to_string();
    let file = std::fs::File::open(path).map_err(|source| Failure::Read {
        path: name.clone(),
        source,
    })?;
    Baseline::read(file).map_err(|error| Failure::Message(format!("`{name}` {error}")))
}

/// Reads the events and gives for each difference the acts behind it.
fn acts(
    events: &[PathBuf],
    differences: &[Difference],
    since: Timestamp,
    terminal: &Terminal,
) -> Result<Vec<Vec<Act>>, Failure> {
    if events.is_empty() || differences.is_empty() {
        return Ok(vec![Vec::new(); differences.len()]);
    }
    let mut actors = Actors::new(differences, since).map_err(Failure::Message)?;
    let input = InputArgs::of(events.to_vec());
    let mut reader = input.reader(false)?;
    let mut normalizer = input.normalizer()?.with_original(true);
    let mut chunk = Chunk::default();
    let mut take = |text: String| {
        if let Ok(Value::Object(document)) = serde_json::from_str(&text) {
            actors.event(&document);
        }
    };
    while reader.next_chunk(&mut chunk) {
        for problem in chunk.problems() {
            terminal.warning(&problem.to_string());
        }
        for record in chunk.records() {
            match record {
                Ok(record) => {
                    let outcome = normalizer.push(record.document);
                    outcome
                        .documents
                        .iter()
                        .for_each(|made| take(made.document.to_string()));
                }
                Err((_, problem)) => terminal.warning(&problem.to_string()),
            }
        }
    }
    let held = normalizer.finish();
    held.documents
        .iter()
        .for_each(|made| take(made.document.to_string()));
    Ok(actors.finish(differences.len()))
}

/// Alerts of what nobody approved, as rules give them.
fn alerts(
    args: &Compare,
    review: &Review,
    acts: &[Vec<Act>],
    found: Timestamp,
    more: &Value,
    terminal: Terminal,
) -> Result<(), Failure> {
    let mut printer = detect::Printer::new(args.format, false, terminal);
    let mut counts: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    let mut approved = Vec::new();
    for (finding, acts) in review.findings.iter().zip(acts) {
        let class = counts.entry(finding.difference.class.name()).or_default();
        *class.entry(finding.standing.name()).or_default() += 1;
        if finding.standing.is_open() {
            let made = alert(&finding.difference, acts, &finding.standing, found);
            printer.tell(Told::Raised(as_of_rules(made)))?;
        } else if args.all {
            approved.push(finding);
        }
    }
    let summary = json!({
        "compared": found, "counts": counts, "approved": approved, "same": review.same, "unknown": review.unknown,
        "not_compared": review.not_compared, "sharing_unknown": review.sharing_unknown, "more": more,
    });
    Ok(printer.end(Some(summary))?)
}

/// Gives the alerts to the service, some at a time.
fn tell(
    args: &Compare,
    review: &Review,
    acts: &[Vec<Act>],
    found: Timestamp,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let client = args.service.client()?;
    let open: Vec<(&Finding, &Vec<Act>)> = review
        .findings
        .iter()
        .zip(acts)
        .filter(|(one, _)| one.standing.is_open())
        .collect();
    let (mut raised, mut repeated) = (0, 0);
    for some in open.chunks(AT_ONCE) {
        let documents = some
            .iter()
            .map(|(one, acts)| Value::Object(alert(&one.difference, acts, &one.standing, found).document));
        let answer = client.post(
            "/api/v1/findings",
            &json!({"alerts": documents.collect::<Value>()}),
        )?;
        let count = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or(0);
        raised += count("raised");
        repeated += count("repeated");
    }
    terminal.note_plain(&format!(
        "the service took {raised} alerts, and had {repeated} already"
    ));
    Ok(())
}

fn as_of_rules(alert: neph_baseline::Alert) -> neph_rules::Alert {
    let at = Some(Instant::from_nanos(alert.at.as_nanosecond()));
    neph_rules::Alert {
        id: alert.id,
        rule_id: alert.meaning.id.to_owned(),
        rule_name: alert.meaning.name.to_owned(),
        severity: match alert.severity {
            Severity::Low => RuleSeverity::Low,
            Severity::Medium => RuleSeverity::Medium,
            Severity::High => RuleSeverity::High,
            Severity::Critical => RuleSeverity::Critical,
        },
        risk_score: alert.severity.score(),
        reason: alert.reason,
        first: at,
        last: at,
        run_time: at,
        event_ids: alert.events,
        document: alert.document.into(),
    }
}
