//! `neph status`: what the service sees, and what it did not see, and why.

use std::collections::BTreeMap;
use std::io::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use neph_api::{StatusBalance, StatusJob, StatusReport, StatusSource, parse_when, report};
use neph_store::{SilenceLimits, Store};

use crate::config;
use crate::exit::{Exit, Failure};
use crate::format::Format;
use crate::service::{ServiceArgs, escape};
use crate::table::{harmless, table};
use crate::terminal::Terminal;

/// Tell what the service sees, and what it did not see, and why; also of a service that does not run
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  neph status                      # the last day\n  neph status --since Friday\n  neph status --since 7d --data /var/lib/neph --format json\n  neph status --server https://neph.example.com:9470 --token-file token"
)]
pub(crate) struct Args {
    /// From when on: a weekday, a day, a time (RFC 3339), or a time ago (`90m`, `7d`).
    #[arg(long, value_name = "TIME", default_value = "24h")]
    since: String,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// End with exit code 1 if something was not seen.
    #[arg(long)]
    fail_on_gaps: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

pub(crate) fn run(args: &Args, _terminal: &Terminal) -> Result<Exit, Failure> {
    let now = neph_api::now();
    let since = parse_when(&args.since, now, &TimeZone::system())
        .filter(|since| *since <= now)
        .ok_or_else(|| {
            Failure::Message(format!(
                "`{}` is no time gone by; write a weekday, a day, RFC 3339, or a time ago such as `7d`",
                args.since
            ))
        })?;
    let told = match args.service.server {
        Some(_) => {
            let path = format!("/api/v1/status?since={}", escape(&since.to_string()));
            serde_json::from_value(args.service.client()?.get(&path)?).map_err(|error| {
                Failure::Message(format!("the service's answer is of another kind: {error}"))
            })?
        }
        // The store is read, whether the service runs or not.
        None => {
            let data = args.service.data()?;
            let store = Store::open_read_only(&data).map_err(|error| {
                Failure::Message(format!(
                    "there is no store that can be read in `{}`: {}",
                    data.display(),
                    causes(&error)
                ))
            })?;
            report(&store, since, now, &silences(&args.service)?)
                .map_err(|error| Failure::Message(causes(&error)))?
        }
    };
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{}", serde_json::json!(told))?,
        Format::Table => print(&mut out, &told)?,
    }
    let failed = |job: &StatusJob| job.state.as_deref() == Some("failed");
    let unseen = told.gaps.iter().any(|gap| gap.closed_by.is_empty()) || told.jobs.iter().any(failed);
    Ok(match args.fail_on_gaps && unseen {
        true => Exit::Alerts,
        false => Exit::Nothing,
    })
}

/// An error with what is behind it.
fn causes(error: &dyn std::error::Error) -> String {
    let behind = error.source().map(|source| format!(": {}", causes(source)));
    format!("{error}{}", behind.unwrap_or_default())
}

/// The limits of the configuration, where there is one.
fn silences(service: &ServiceArgs) -> Result<SilenceLimits, Failure> {
    let configured = match service.config.clone().or_else(config::usual) {
        Some(path) => config::load(&path)?.config,
        None => None,
    };
    Ok(SilenceLimits {
        streams: silence_streams(configured.as_ref().map_or(&[], |config| &config.silences)),
        ..SilenceLimits::default()
    })
}

/// The limits of the configuration, as the store takes them.
pub(crate) fn silence_streams(silences: &[neph_config::Silence]) -> BTreeMap<String, std::time::Duration> {
    silences
        .iter()
        .map(|silence| (silence.stream.clone(), silence.after))
        .collect()
}

fn print(out: &mut impl Write, told: &StatusReport) -> std::io::Result<()> {
    let or = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), local);
    match (told.running, &told.started) {
        (true, started) => writeln!(
            out,
            "The service runs since {} (version {}).",
            or(started),
            told.version.as_deref().unwrap_or("?")
        )?,
        (false, None) => writeln!(out, "The service never ran on this data.")?,
        (false, started) => writeln!(
            out,
            "The service does not run. It ran last from {} to {}.",
            or(started),
            or(&told.stopped)
        )?,
    }
    write!(out, "Events take {} on disk", size(told.stored_bytes))?;
    if told.oldest.is_some() {
        write!(out, ", the oldest was received {}", or(&told.oldest))?;
    }
    match told.pending_bytes {
        0 => writeln!(out, "; all are evaluated.")?,
        pending => writeln!(out, "; {} wait to be evaluated.", size(pending))?,
    }
    writeln!(out)?;
    sources(out, &told.sources)?;
    names(out, told)?;
    balance(out, &told.balance)?;
    gaps(out, told)?;
    if !told.outputs.is_empty() {
        let mut rows = table(&[
            "OUTPUT",
            "STATE",
            "DELIVERED",
            "WAITING",
            "SINCE",
            "GIVEN UP",
            "LAST FAILURE",
        ]);
        for output in &told.outputs {
            rows.add_row([
                harmless(&output.name),
                or(&output.state),
                output.delivered.to_string(),
                output.waiting.to_string(),
                or(&output.oldest),
                output.dead.to_string(),
                harmless(output.error.as_deref().unwrap_or("-")),
            ]);
        }
        writeln!(out, "\n{rows}")?;
    }
    jobs(out, &told.jobs)?;
    let running = told
        .backfills
        .iter()
        .filter(|backfill| backfill.state == "running");
    for backfill in running {
        writeln!(
            out,
            "Back-fill {} of {} runs since {}: {} records read, {} alerts found.",
            backfill.id,
            harmless(&backfill.rule),
            local(&backfill.started),
            backfill.records,
            backfill.alerts
        )?;
    }
    Ok(())
}

/// What is looked at on a schedule.
fn jobs(out: &mut impl Write, jobs: &[StatusJob]) -> std::io::Result<()> {
    if jobs.is_empty() {
        return Ok(());
    }
    let mut rows = table(&[
        "LOOKS AT", "LAST", "OUTCOME", "FOUND", "NEW", "GONE", "NEXT", "WHY",
    ]);
    let or = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), local);
    for job in jobs {
        let next = match (&job.due, job.on_change) {
            (None, true) => "when files change".to_owned(),
            (due, _) => or(due),
        };
        rows.add_row([
            harmless(&job.name),
            or(&job.began),
            job.state.clone().unwrap_or_else(|| "-".to_owned()),
            job.found.to_string(),
            job.new.to_string(),
            job.gone.to_string(),
            next,
            harmless(if job.why.is_empty() { "-" } else { &job.why }),
        ]);
    }
    writeln!(out, "\n{rows}")
}

fn sources(out: &mut impl Write, sources: &[StatusSource]) -> std::io::Result<()> {
    if sources.is_empty() {
        return writeln!(out, "No source sent anything in this time.");
    }
    let mut rows = table(&[
        "SOURCE",
        "LAST",
        "PER SECOND",
        "LAG",
        "RECORDS",
        "REFUSED",
        "UNKNOWN",
        "DROPPED",
        "LATE",
        "NO TIME",
    ]);
    for source in sources {
        rows.add_row([
            harmless(&source.stream),
            local(&source.last_received),
            format!("{:.1}", source.rate),
            source.lag_seconds.map_or_else(|| "-".to_owned(), seconds),
            source.records.to_string(),
            source.refused.to_string(),
            source.unrecognised.to_string(),
            source.dropped.to_string(),
            source.late.to_string(),
            source.untimed.to_string(),
        ]);
    }
    writeln!(out, "{rows}")
}

/// Where records say that they belong that no rule names: rules see them for their content, or not at all.
fn names(out: &mut impl Write, told: &StatusReport) -> std::io::Result<()> {
    let mut unnamed = told
        .names
        .iter()
        .filter(|name| name.rules_by_name == 0)
        .peekable();
    if unnamed.peek().is_none() {
        return Ok(());
    }
    writeln!(out, "\nSent to names that no rule's index patterns name:")?;
    let mut rows = table(&[
        "SOURCE",
        "INDEX",
        "DATASET",
        "RECORDS",
        "LAST",
        "RULES THAT LOOK AT THEM",
    ]);
    for name in unnamed {
        let said = |name: &Option<String>| name.as_deref().map_or_else(|| "-".to_owned(), harmless);
        rows.add_row([
            harmless(&name.stream),
            said(&name.index),
            said(&name.dataset),
            name.records.to_string(),
            local(&name.last),
            match name.rules_by_content {
                0 => "none".to_owned(),
                by => format!("{by} of {}, by content", by + name.rules_left_out),
            },
        ]);
    }
    writeln!(out, "{rows}")
}

/// Says whether all records are accounted for.
fn balance(out: &mut impl Write, balances: &[StatusBalance]) -> std::io::Result<()> {
    if balances.iter().all(|balance| balance.holds) {
        return match balances.is_empty() {
            true => Ok(()),
            false => writeln!(out, "All records that were received are accounted for."),
        };
    }
    for balance in balances.iter().filter(|balance| !balance.holds) {
        writeln!(
            out,
            "Of {} the store took {} records, but the ledger knows of {} evaluated, {} unreadable, {} dropped and {} that wait.",
            harmless(&balance.stream),
            balance.received,
            balance.evaluated,
            balance.refused,
            balance.dropped,
            balance.pending
        )?;
    }
    Ok(())
}

fn gaps(out: &mut impl Write, told: &StatusReport) -> std::io::Result<()> {
    let since = local(&told.since);
    if told.gaps.is_empty() {
        return writeln!(out, "\nSince {since} nothing is known that was not seen.");
    }
    writeln!(out, "\nNot seen since {since}:")?;
    let mut rows = table(&["FROM", "TO", "WHAT", "OF", "RECORDS", "WHY", "CLOSED BY"]);
    for gap in &told.gaps {
        let what = match gap.kind.as_str() {
            "service_down" => "service down",
            "source_silent" => "source silent",
            "rule_broken" => "rule broken",
            "rule_absent" => "rule absent",
            "loss" => "records lost",
            "refused" => "records unreadable",
            "late" => "records late",
            "untaken" => "records not taken",
            "history_missing" => "history missing",
            other => other,
        };
        let of = gap
            .rule
            .as_deref()
            .or(gap.stream.as_deref())
            .unwrap_or("everything");
        let closed: Vec<String> = gap.closed_by.iter().map(|id| format!("back-fill {id}")).collect();
        rows.add_row([
            local(&gap.from),
            match gap.open {
                true => "still".to_owned(),
                false => local(&gap.to),
            },
            harmless(what),
            harmless(of),
            gap.records
                .map_or_else(|| "-".to_owned(), |count| count.to_string()),
            harmless(&gap.why),
            match closed.is_empty() {
                true => "-".to_owned(),
                false => closed.join(", "),
            },
        ]);
    }
    writeln!(out, "{rows}")
}

/// A time of a report as people of this place read it.
fn local(time: &str) -> String {
    match time.parse::<Timestamp>() {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime("%a %F %T").to_string(),
        Err(_) => harmless(time),
    }
}

fn seconds(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.1} s"),
        ..7200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a size to be shown")]
    let mut number = bytes as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if number < 1024.0 {
            return match unit {
                "bytes" => format!("{bytes} bytes"),
                _ => format!("{number:.1} {unit}"),
            };
        }
        number /= 1024.0;
    }
    format!("{number:.1} TiB")
}
