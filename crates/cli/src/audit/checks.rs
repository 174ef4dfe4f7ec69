//! `neph audit checks`: which checks there are.

use std::io::Write as _;

use neph_posture::audit::{Check, Selection};
use serde_json::Value;

use super::run::SelectionArgs;
use crate::exit::{Exit, Failure};
use crate::table::table;

/// List the checks that there are, with techniques, mitigations, severity and what they read
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  neph audit checks
  neph audit checks --technique T1552.005
  neph audit checks --mitigation M1035 --format json")]
pub(super) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table for people.
    Table,
    /// A JSON array.
    Json,
    /// A table of Markdown.
    Markdown,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let selection: Selection = args.selection.selection()?;
    let checks = selection.checks();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match args.format {
        Format::Json => {
            let documents: Vec<Value> = checks.iter().map(|check| check.document()).collect();
            writeln!(out, "{:#}", Value::Array(documents))?;
        }
        Format::Markdown => write!(out, "{}", neph_posture::audit::form::markdown(&checks))?,
        Format::Table => {
            let mut rows = table(&[
                "CHECK",
                "ROW",
                "SEVERITY",
                "TECHNIQUES",
                "MITIGATIONS",
                "WHAT HAS TO HOLD",
                "READS",
            ]);
            for check in &checks {
                rows.add_row(row(check));
            }
            writeln!(out, "{rows}")?;
            writeln!(out, "{} checks", checks.len())?;
        }
    }
    out.flush()?;
    Ok(Exit::Nothing)
}

fn row(check: &Check) -> [String; 7] {
    [
        check.id.to_owned(),
        check.row.to_owned(),
        check.severity.name().to_owned(),
        check.techniques.join(" "),
        check.mitigations.join(" "),
        check.title.to_owned(),
        check.sources().join("; "),
    ]
}
