//! SARIF 2.1.0, the exchange format of static analysis
//! (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>).

use serde_json::{Value, json};

use super::FileReport;
use crate::source::{LineIndex, fit};
use crate::{Applicability, Diagnostic, Fix, Registry, Severity, Span};

/// The diagnostics of all files as a SARIF log of one run. Its rules are all codes of `registry`, with their pages; a
/// diagnostic whose code is not in there names its rule without describing it.
///
/// `version` is the version of the tool. Columns count Unicode code points.
pub fn sarif(reports: &[FileReport<'_>], registry: &Registry, version: &str) -> String {
    let rules: Vec<Value> = registry
        .codes()
        .iter()
        .map(|code| {
            json!({
                "id": code.name,
                "shortDescription": { "text": code.summary },
                "help": { "text": code.page(false), "markdown": code.explanation.trim() },
                "defaultConfiguration": { "level": level(code.severity) },
            })
        })
        .collect();
    let mut results = Vec::new();
    for report in reports {
        let lines = LineIndex::new(report.source.text);
        let file = Place {
            uri: uri_of(report.source.name),
            text: report.source.text,
            lines: &lines,
        };
        results.extend(
            report
                .in_order()
                .into_iter()
                .map(|diagnostic| file.result(diagnostic, registry)),
        );
    }
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "neph", "semanticVersion": version, "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{log:#}")
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

/// A file in which results stand.
struct Place<'a> {
    uri: String,
    text: &'a str,
    lines: &'a LineIndex<'a>,
}

impl Place<'_> {
    fn result(&self, diagnostic: &Diagnostic, registry: &Registry) -> Value {
        // A result has one message; services that show it know nothing of labels and help.
        let mut message = diagnostic.message.clone();
        for help in &diagnostic.help {
            message.push_str("\nhelp: ");
            message.push_str(help);
        }
        let mut result = json!({
            "ruleId": diagnostic.code.name,
            "level": level(diagnostic.severity()),
            "message": { "text": message },
            "locations": [self.location(diagnostic.span)],
        });
        let Some(object) = result.as_object_mut() else {
            return result;
        };
        if let Some(index) = registry.index_of(diagnostic.code.name) {
            object.insert("ruleIndex".to_owned(), json!(index));
        }
        if !diagnostic.labels.is_empty() {
            let related: Vec<Value> = diagnostic
                .labels
                .iter()
                .map(|label| {
                    let mut location = self.location(label.span);
                    if let Some(object) = location.as_object_mut() {
                        object.insert("message".to_owned(), json!({ "text": label.message }));
                    }
                    location
                })
                .collect();
            object.insert("relatedLocations".to_owned(), Value::Array(related));
        }
        if let Some(fix) = diagnostic.fix.as_ref().filter(|fix| !fix.edits.is_empty()) {
            object.insert("fixes".to_owned(), json!([self.fix(fix)]));
        }
        result
    }

    fn location(&self, span: Span) -> Value {
        json!({ "physicalLocation": { "artifactLocation": { "uri": self.uri }, "region": self.region(span) } })
    }

    fn region(&self, span: Span) -> Value {
        let range = fit(span, self.text);
        let start = self.lines.position(range.start);
        let end = self.lines.position(range.end);
        json!({ "startLine": start.line, "startColumn": start.column, "endLine": end.line, "endColumn": end.column })
    }

    fn fix(&self, fix: &Fix) -> Value {
        let replacements: Vec<Value> = fix
            .edits
            .iter()
            .map(|edit| {
                json!({ "deletedRegion": self.region(edit.span), "insertedContent": { "text": edit.replacement } })
            })
            .collect();
        json!({
            "description": { "text": fix.title },
            "artifactChanges": [{ "artifactLocation": { "uri": self.uri }, "replacements": replacements }],
            "properties": { "sure": fix.applicability == Applicability::Sure },
        })
    }
}

/// A path as a URI reference: what RFC 3986 does not allow in a path is percent-encoded.
fn uri_of(path: &str) -> String {
    let mut uri = String::with_capacity(path.len() + 8);
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                uri.push(char::from(byte))
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}
