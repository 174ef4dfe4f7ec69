//! `neph rules stats`: how many rules there are of each kind.

use std::collections::BTreeMap;
use std::io::Write;

use neph_rules::catalogue::{entries, statistics};

use super::pick::PickArgs;
use crate::exit::{Exit, Failure};
use crate::format::Format;
use crate::table::{harmless, table};
use crate::terminal::Terminal;

/// So many rows of the long tables are shown; JSON has all.
const MOST: usize = 15;

/// Count rules by state, type, language, severity, tactic, technique and source
#[derive(Debug, clap::Args)]
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
    let wanted: Vec<_> = entries(&set)
        .into_iter()
        .filter(|entry| filter.takes(entry))
        .collect();
    let counted = statistics(&wanted);
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{}", serde_json::json!(counted))?,
        Format::Table => {
            for (title, counts, most) in [
                ("STATE", &counted.by_state, usize::MAX),
                ("TYPE", &counted.by_type, usize::MAX),
                ("LANGUAGE", &counted.by_language, usize::MAX),
                ("SEVERITY", &counted.by_severity, usize::MAX),
                ("TACTIC", &counted.by_tactic, usize::MAX),
                ("TECHNIQUE", &counted.by_technique, MOST),
                ("SOURCE", &counted.by_source, MOST),
            ] {
                writeln!(out, "{}\n", rows(title, counts, most))?;
            }
            writeln!(out, "{} rules; {}", counted.rules, set.report.counts())?;
        }
    }
    Ok(if set.report.failures.is_empty() {
        Exit::Nothing
    } else {
        Exit::Errors
    })
}

/// The most frequent first.
fn rows(title: &str, counts: &BTreeMap<String, usize>, most: usize) -> comfy_table::Table {
    let mut sorted: Vec<(&String, &usize)> = counts.iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let mut table = table(&[title, "RULES"]);
    for (name, count) in sorted.iter().take(most) {
        table.add_row([harmless(name), count.to_string()]);
    }
    if let Some(rest) = sorted.get(most..).filter(|rest| !rest.is_empty()) {
        table.add_row([format!("{} more", rest.len()), String::new()]);
    }
    table
}
