//! `neph rules preview`: what a rule would tell of stored events.

use std::io::Write;
use std::path::PathBuf;

use neph_rules::LoadOptions;
use neph_runtime::service::{Preview, ServiceOptions, preview};
use neph_store::Store;
use serde_json::json;

use super::{BesideArgs, LangArgs, rule_path};
use crate::exit::{Exit, Failure};
use crate::format::Format;
use crate::serve::Rules;
use crate::service::{ServiceArgs, Span};
use crate::table::{harmless, table};
use crate::terminal::Terminal;

/// Tell what a rule would find in stored events: how many alerts, the noisiest values, and exceptions that lose nothing true
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  neph rules preview 4f855297-c8e0-4097-9d97-d653f7e471c4 --last 7d\n  neph rules preview my-rule --rules own/ --last 24h --data /var/lib/neph --format json"
)]
pub(crate) struct Args {
    /// The rule's id.
    #[arg(value_name = "RULE")]
    rule: String,
    #[command(flatten)]
    span: Span,
    /// Rule files or folders of them, `builtin` for the rules that the binary carries; may be given several times. [default: those of the
    /// configuration]
    #[arg(long = "rules", value_name = "PATH", value_parser = rule_path)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    beside: BesideArgs,
    #[command(flatten)]
    lang: LangArgs,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    service: ServiceArgs,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    let times = args.span.range()?;
    let data = args.service.data()?;
    let store = Store::open_read_only(&data).map_err(|error| {
        Failure::Message(format!(
            "there is no store that can be read in `{}`: {error}",
            data.display()
        ))
    })?;
    let (paths, load): (Vec<PathBuf>, LoadOptions) = match args.paths.is_empty() {
        false => (
            args.paths.clone(),
            args.beside.options(&args.paths, args.lang.lang()),
        ),
        true => {
            let settings = args.service.settings(terminal)?;
            let files = Rules::load(&settings, &data).0.files();
            (files.paths, files.options)
        }
    };
    let told = preview(
        &store,
        &paths,
        &load,
        &args.rule,
        times,
        &ServiceOptions::default(),
    )
    .map_err(|error| Failure::Message(error.to_string()))?;
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{}", json!(told))?,
        Format::Table => print(&mut out, &told)?,
    }
    Ok(Exit::Nothing)
}

/// Tests and alerts that are named of those that an exception would lose.
const NAMED: usize = 10;

fn print(out: &mut impl Write, told: &Preview) -> std::io::Result<()> {
    writeln!(
        out,
        "{} ({})\n{} alerts from {} to {}, in {} records",
        harmless(&told.rule_name),
        harmless(&told.rule_id),
        told.alerts,
        told.from,
        told.to,
        told.records
    )?;
    if told.alerts == 0 {
        return Ok(());
    }
    let days: Vec<String> = told
        .per_day
        .iter()
        .map(|(day, count)| format!("{day}: {count}"))
        .collect();
    writeln!(out, "by day: {}", days.join(", "))?;
    if !told.noisy.is_empty() {
        let mut rows = table(&["FIELD", "MOST FREQUENT VALUES", "OTHERS"]);
        for field in &told.noisy {
            let values: Vec<String> = field
                .values
                .iter()
                .map(|value| format!("{} ({})", harmless(&value.value), value.alerts))
                .collect();
            rows.add_row([
                harmless(&field.field),
                values.join(", "),
                field.others.to_string(),
            ]);
        }
        writeln!(out, "\n{rows}")?;
    }
    for exception in &told.exceptions {
        let proof = &exception.proof;
        let proved = format!(
            "{} of {} tests fail with it, {} of {} true alerts are lost",
            proof.broken_tests.len(),
            proof.tests,
            proof.lost_alerts.len(),
            proof.true_alerts,
        );
        match exception.is_safe {
            true => writeln!(
                out,
                "\nException {}: removes {} alerts, leaves {}. Safe: {proved}.\n{}",
                harmless(&exception.name),
                exception.removes,
                exception.left,
                lines(&exception.overlay)
            )?,
            false => {
                let lost = proof.broken_tests.iter().chain(&proof.lost_alerts);
                let lost: Vec<String> = lost.take(NAMED).map(|one| harmless(one)).collect();
                writeln!(
                    out,
                    "\nNOT SAFE, not proposed: {} would remove {} alerts, but {proved}: {}.",
                    harmless(&exception.name),
                    exception.removes,
                    lost.join(", ")
                )?;
            }
        }
    }
    match told.exceptions.iter().any(|exception| exception.is_safe) {
        true => writeln!(
            out,
            "\nWith all exceptions that are safe {} alerts are left.",
            told.left_with_all_safe
        ),
        false => Ok(()),
    }
}

/// The lines of an overlay, set off.
fn lines(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| format!("    {}", harmless(line)))
        .collect();
    lines.join("\n")
}
