//! A report in the forms that others read.

mod alert;
mod html;
mod ocsf;
mod sarif;

pub use alert::{alert, alert_id};
pub use html::html;
pub use ocsf::ocsf;
pub use sarif::sarif;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::collected::Collected;
use super::finding::{Finding, Outcome};
use super::mutes::{Mute, Mutes};
use super::report::Report;
use crate::inventory::Problem;

/// Who says it, and when.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The version of the program.
    pub version: &'a str,
    /// The time of the run.
    pub at: Timestamp,
}

/// The whole report as one JSON object, to be written without another copy of it in memory.
pub fn json<'a>(
    report: &'a Report,
    collected: &'a Collected,
    mutes: &'a Mutes,
    told: Told<'a>,
) -> impl Serialize + 'a {
    let (problems, further_problems) = collected.problems();
    Whole {
        version: told.version,
        at: told.at.to_string(),
        summary: Summary {
            fail: report.count(Outcome::Fail),
            unknown: report.count(Outcome::Unknown),
            pass: report.count(Outcome::Pass),
            muted: report.muted.len(),
            new: report.new.len(),
            left_out: report.more,
        },
        findings: report
            .findings
            .iter()
            .map(|finding| Answer {
                finding,
                new: report.is_new(finding),
            })
            .collect(),
        muted: report
            .muted
            .iter()
            .map(|(finding, index)| Muted {
                finding,
                by: mutes.entries.get(*index),
            })
            .collect(),
        checks: report.checks.iter().map(|check| check.document()).collect(),
        files: collected.files(),
        not_known: collected.unknown(),
        problems,
        further_problems,
    }
}

#[derive(Serialize)]
struct Whole<'a> {
    version: &'a str,
    at: String,
    summary: Summary,
    findings: Vec<Answer<'a>>,
    muted: Vec<Muted<'a>>,
    checks: Vec<Value>,
    files: usize,
    not_known: &'a [String],
    problems: &'a [Problem],
    further_problems: usize,
}

#[derive(Serialize)]
struct Summary {
    fail: usize,
    unknown: usize,
    pass: usize,
    muted: usize,
    new: usize,
    left_out: usize,
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    new: bool,
}

#[derive(Serialize)]
struct Muted<'a> {
    finding: &'a Finding,
    by: Option<&'a Mute>,
}

/// The checks as a table of Markdown, as the manual has it.
pub fn markdown(checks: &[&super::check::Check]) -> String {
    let mut out = String::from(
        "| check | row | severity | techniques | mitigations | what has to hold | reads |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for check in checks {
        let sources: Vec<String> = check
            .sources()
            .iter()
            .map(|source| format!("`{source}`"))
            .collect();
        out.push_str(&format!(
            "| `{}` | {} | {} | {} | {} | {} | {} |\n",
            check.id,
            check.row,
            check.severity.name(),
            check.techniques.join(" "),
            check.mitigations.join(" "),
            check.title,
            sources.join(", ")
        ));
    }
    out
}
