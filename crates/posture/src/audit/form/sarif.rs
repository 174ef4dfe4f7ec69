//! SARIF 2.1.0 (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>).

use serde_json::{Value, json};

use super::Told;
use crate::audit::check::Severity;
use crate::audit::finding::{Finding, Outcome};
use crate::audit::mutes::Mutes;
use crate::audit::report::Report;

/// The report as a SARIF log of one run. Failures are results of the kind `fail`, muted ones are suppressed, what is unknown is `open`;
/// what passed is left out.
pub fn sarif(report: &Report, mutes: &Mutes, told: Told<'_>) -> Value {
    let rules: Vec<Value> = report
        .checks
        .iter()
        .map(|check| {
            let tags: Vec<&str> = check
                .techniques
                .iter()
                .chain(check.mitigations)
                .copied()
                .collect();
            json!({
                "id": check.id,
                "shortDescription": {"text": check.title},
                "fullDescription": {"text": check.why},
                "help": {"text": format!("{}\nIt reads: {}", check.why, check.sources().join("; "))},
                "defaultConfiguration": {"level": level(check.severity)},
                "properties": {"tags": tags, "security-severity": score(check.severity), "precision": "high"},
            })
        })
        .collect();
    let mut results: Vec<Value> = report
        .findings
        .iter()
        .filter(|finding| finding.outcome != Outcome::Pass)
        .map(|finding| result(report, finding, None))
        .collect();
    for (finding, index) in &report.muted {
        let reason = mutes
            .entries
            .get(*index)
            .map(|mute| format!("{} ({}, until {})", mute.reason, mute.owner, mute.expires));
        results.push(result(report, finding, Some(reason.unwrap_or_default())));
    }
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "neph audit", "semanticVersion": told.version, "rules": rules}},
            "invocations": [{"executionSuccessful": true, "endTimeUtc": told.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()}],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(report: &Report, finding: &Finding, muted: Option<String>) -> Value {
    let mut message = format!("{}: {}", finding.resource, finding.what);
    for line in &finding.fix {
        message.push_str("\nfix: ");
        message.push_str(line);
    }
    let is_failure = finding.outcome == Outcome::Fail;
    let index = report.checks.iter().position(|check| check.id == finding.check);
    let evidence = finding.evidence.first();
    let mut location = json!({
        "logicalLocations": [{"name": finding.resource, "fullyQualifiedName": format!("{}/{}", finding.scope, finding.resource), "kind": "resource"}],
    });
    if let (Some(evidence), Some(object)) = (evidence, location.as_object_mut()) {
        object.insert(
            "physicalLocation".to_owned(),
            json!({"artifactLocation": {"uri": uri(&evidence.file)}, "region": {"startLine": evidence.line.max(1)}}),
        );
    }
    let mut result = json!({
        "ruleId": finding.check,
        "kind": if is_failure { "fail" } else { "open" },
        "level": if is_failure { level(finding.severity) } else { "none" },
        "message": {"text": message},
        "locations": [location],
        "partialFingerprints": {"nephAudit/v1": finding.key().replace('\u{1f}', "|")},
    });
    if let Some(object) = result.as_object_mut() {
        if let Some(index) = index {
            object.insert("ruleIndex".to_owned(), json!(index));
        }
        if !report.new.is_empty() {
            let state = if report.is_new(finding) {
                "new"
            } else {
                "unchanged"
            };
            object.insert("baselineState".to_owned(), json!(state));
        }
        if let Some(reason) = muted {
            object.insert(
                "suppressions".to_owned(),
                json!([{"kind": "external", "status": "accepted", "justification": reason}]),
            );
        }
    }
    result
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "note",
        Severity::Medium => "warning",
        Severity::High | Severity::Critical => "error",
    }
}

/// The number by which code hosts sort results.
fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "3.0",
        Severity::Medium => "5.5",
        Severity::High => "8.0",
        Severity::Critical => "9.5",
    }
}

/// A path as a URI reference.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 8);
    if path.starts_with('/') {
        out.push_str("file://");
    }
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte))
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
