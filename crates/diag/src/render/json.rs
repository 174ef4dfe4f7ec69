//! Diagnostics for programs. The shape is a promise: fields are added, never renamed or taken away.

use serde::{Deserialize, Serialize};

use super::{FileReport, severity_name};
use crate::source::{LineIndex, Position, SourceFile};
use crate::{Applicability, Diagnostic, Span};

/// A diagnostic as JSON:
///
/// ```json
/// {
///   "file": "rules/a.toml", "code": "unknown-field", "severity": "error", "message": "…",
///   "span": {"start": 10, "end": 14, "from": {"line": 1, "column": 11}, "to": {"line": 1, "column": 15}},
///   "label": "…", "labels": [{"span": {…}, "message": "…"}], "help": ["…"],
///   "fix": {"title": "…", "applicability": "sure", "edits": [{"span": {…}, "replacement": "…"}]}
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Name of the file.
    pub file: String,
    /// Name of the code.
    pub code: String,
    /// `error`, `warning` or `info`.
    pub severity: String,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Place,
    /// What is to be said under the place; may be empty.
    pub label: String,
    /// Remarks on other places.
    pub labels: Vec<LabelRecord>,
    /// Help, a paragraph each.
    pub help: Vec<String>,
    /// The fix; null where there is none.
    pub fix: Option<FixRecord>,
}

/// A range of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
    /// Line and column of `start`.
    pub from: Position,
    /// Line and column of `end`.
    pub to: Position,
}

/// A remark on another place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelRecord {
    /// Where.
    pub span: Place,
    /// The remark.
    pub message: String,
}

/// A fix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixRecord {
    /// What it does.
    pub title: String,
    /// `sure` (applied by `--fix`) or `maybe`.
    pub applicability: String,
    /// Its edits, ascending.
    pub edits: Vec<EditRecord>,
}

/// An edit of a fix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditRecord {
    /// What is replaced; empty for an insertion.
    pub span: Place,
    /// What comes in its place.
    pub replacement: String,
}

/// One diagnostic as a [`Record`].
pub fn record(diagnostic: &Diagnostic, source: &SourceFile<'_>) -> Record {
    record_of(diagnostic, source, &LineIndex::new(source.text))
}

/// The diagnostics of all files as one JSON array of [`Record`]s, in the order of the files and of their texts.
pub fn json(reports: &[FileReport<'_>]) -> String {
    let mut records = Vec::new();
    for report in reports {
        let lines = LineIndex::new(report.source.text);
        records.extend(
            report
                .in_order()
                .into_iter()
                .map(|diagnostic| record_of(diagnostic, &report.source, &lines)),
        );
    }
    // Strings, numbers and lists only: this cannot fail.
    serde_json::to_string_pretty(&records).unwrap_or_default()
}

fn record_of(diagnostic: &Diagnostic, source: &SourceFile<'_>, lines: &LineIndex<'_>) -> Record {
    let place = |span: Span| Place {
        start: span.start,
        end: span.end,
        from: lines.position(span.start as usize),
        to: lines.position(span.end as usize),
    };
    Record {
        file: source.name.to_owned(),
        code: diagnostic.code.name.to_owned(),
        severity: severity_name(diagnostic.severity()).to_owned(),
        message: diagnostic.message.clone(),
        span: place(diagnostic.span),
        label: diagnostic.label.clone(),
        labels: diagnostic
            .labels
            .iter()
            .map(|label| LabelRecord {
                span: place(label.span),
                message: label.message.clone(),
            })
            .collect(),
        help: diagnostic.help.clone(),
        fix: diagnostic.fix.as_ref().map(|fix| FixRecord {
            title: fix.title.clone(),
            applicability: match fix.applicability {
                Applicability::Sure => "sure".to_owned(),
                Applicability::Maybe => "maybe".to_owned(),
            },
            edits: fix
                .edits
                .iter()
                .map(|edit| EditRecord {
                    span: place(edit.span),
                    replacement: edit.replacement.clone(),
                })
                .collect(),
        }),
    }
}
