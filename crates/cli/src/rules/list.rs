//! `neph rules list`: the rules and what became of each.

use std::io::Write;

use neph_rules::RuleState;
use neph_rules::catalogue::{Entry, entries};

use super::pick::PickArgs;
use crate::exit::{Exit, Failure};
use crate::format::Format;
use crate::table::{harmless, severity_style, table};
use crate::terminal::{Terminal, paint};

/// List rules: state, type, severity, techniques, sources, fields that nothing fills
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  neph rules list rules/\n  neph rules list --state degraded rules/\n  neph rules list --technique T1552 --type eql --format json rules/"
)]
pub(crate) struct Args {
    #[command(flatten)]
    pick: PickArgs,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    let set = args.pick.load();
    for failure in &set.report.failures {
        terminal.error(&format!(
            "cannot read `{}`: {}",
            failure.path.display(),
            failure.reason
        ));
    }
    let filter = args.pick.filter();
    let all = entries(&set);
    let number = all.len();
    let wanted: Vec<Entry> = all.into_iter().filter(|entry| filter.takes(entry)).collect();
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Json => writeln!(
            out,
            "{}",
            serde_json::json!({"rules": wanted, "counts": set.report.counts()})
        )?,
        Format::Table => {
            if !wanted.is_empty() {
                writeln!(out, "{}", rows(&wanted, terminal))?;
            }
            writeln!(out, "{} of {number} rules; {}", wanted.len(), set.report.counts())?;
        }
    }
    Ok(if set.report.failures.is_empty() {
        Exit::Nothing
    } else {
        Exit::Errors
    })
}

fn rows(entries: &[Entry], terminal: &Terminal) -> comfy_table::Table {
    let mut table = table(&[
        "STATE",
        "SEVERITY",
        "TYPE",
        "LANGUAGE",
        "RULE",
        "TECHNIQUES",
        "SOURCES",
        "FIELDS MISSING",
    ]);
    for entry in entries {
        let severity = entry.severity.map_or("-", |severity| severity.word());
        table.add_row([
            state(entry.state).to_owned(),
            paint(terminal.colour_out, severity_style(severity), severity),
            entry.kind.unwrap_or("-").to_owned(),
            entry.language.clone().unwrap_or_else(|| "-".into()),
            harmless(
                entry
                    .name
                    .as_deref()
                    .or(entry.rule_id.as_deref())
                    .unwrap_or(&entry.file),
            ),
            harmless(&entry.techniques.join(" ")),
            harmless(&entry.sources.join(" ")),
            harmless(&entry.fields_missing.join(" ")),
        ]);
    }
    table
}

pub(crate) fn state(state: RuleState) -> &'static str {
    match state {
        RuleState::Active => "active",
        RuleState::Degraded => "degraded",
        RuleState::Rejected => "rejected",
    }
}
