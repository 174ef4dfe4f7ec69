//! `neph explain`: what a diagnostic's code means.

use std::io::Write;

use neph_diag::Registry;

use crate::exit::{Exit, Failure};
use crate::terminal::Terminal;

/// Explain a diagnostic code, or list all of them
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: neph explain and-or-mixed")]
pub(crate) struct Args {
    /// The code, as a diagnostic shows it in brackets; without it all codes are listed.
    code: Option<String>,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// A JSON object with name, severity, summary and the page in Markdown (a list of such objects without CODE).
    Json,
}

/// The codes of all crates.
pub(crate) fn registry() -> Registry {
    Registry::new(&[
        neph_plan::codes::CODES,
        neph_eql::CODES,
        neph_kql::CODES,
        neph_sigma::CODES,
        neph_rules::CODES,
        neph_config::CODES,
        neph_outputs::CODES,
        neph_posture::CODES,
        neph_images::CODES,
        neph_baseline::CODES,
    ])
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    let registry = registry();
    let mut out = std::io::stdout().lock();
    let Some(name) = &args.code else {
        match args.format {
            Format::Json => {
                let codes: Vec<_> = registry.codes().iter().map(|code| record(code)).collect();
                writeln!(out, "{}", serde_json::Value::Array(codes))?;
            }
            Format::Text => {
                let width = registry
                    .codes()
                    .iter()
                    .map(|code| code.name.len())
                    .max()
                    .unwrap_or(0);
                for code in registry.codes() {
                    writeln!(out, "{:width$}  {}", code.name, code.summary)?;
                }
            }
        }
        return Ok(Exit::Nothing);
    };
    let Some(code) = registry.get(name) else {
        let similar = registry.similar(name);
        let hint = if similar.is_empty() {
            "`neph explain` lists all codes".to_owned()
        } else {
            format!(
                "did you mean {}?",
                similar
                    .iter()
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        };
        return Err(Failure::Message(format!("there is no code `{name}`; {hint}")));
    };
    match args.format {
        Format::Json => writeln!(out, "{}", record(code))?,
        Format::Text => write!(out, "{}", code.page(terminal.colour_out))?,
    }
    Ok(Exit::Nothing)
}

fn record(code: &neph_diag::Code) -> serde_json::Value {
    serde_json::json!({
        "code": code.name,
        "severity": match code.severity {
            neph_diag::Severity::Info => "info",
            neph_diag::Severity::Warning => "warning",
            neph_diag::Severity::Error => "error",
        },
        "summary": code.summary,
        "explanation": code.explanation,
    })
}
