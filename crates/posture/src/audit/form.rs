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
use serde_json::{Value, json};

use super::collected::Collected;
use super::finding::Outcome;
use super::mutes::Mutes;
use super::report::Report;

/// Who says it, and when.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The version of the program.
    pub version: &'a str,
    /// The time of the run.
    pub at: Timestamp,
}

/// The whole report as one JSON object.
pub fn json(report: &Report, collected: &Collected, mutes: &Mutes, told: Told<'_>) -> Value {
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            let mut value = serde_json::to_value(finding).unwrap_or(Value::Null);
            if let (Some(object), true) = (value.as_object_mut(), report.is_new(finding)) {
                object.insert("new".to_owned(), json!(true));
            }
            value
        })
        .collect();
    let muted: Vec<Value> = report
        .muted
        .iter()
        .map(|(finding, index)| json!({"finding": finding, "by": mutes.entries.get(*index)}))
        .collect();
    let checks: Vec<Value> = report.checks.iter().map(|check| check.document()).collect();
    let (problems, more) = collected.problems();
    json!({
        "version": told.version, "at": told.at.to_string(),
        "summary": {
            "fail": report.count(Outcome::Fail), "unknown": report.count(Outcome::Unknown), "pass": report.count(Outcome::Pass),
            "muted": report.muted.len(), "new": report.new.len(), "left_out": report.more,
        },
        "findings": findings, "muted": muted, "checks": checks,
        "files": collected.files(), "not_known": collected.unknown(), "problems": problems, "further_problems": more,
    })
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
