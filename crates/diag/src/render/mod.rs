//! Diagnostics for people ([`text()`], [`file_text()`]), for programs ([`json()`], [`Record`]) and for code-scanning services ([`sarif()`]).

mod json;
mod sarif;
mod text;
mod view;

pub use json::{EditRecord, FixRecord, LabelRecord, Place, Record, json, record};
pub use sarif::sarif;
pub use text::{file_text, summary, text};

use crate::{Diagnostic, SourceFile};

/// The diagnostics of one file.
#[derive(Clone, Copy, Debug)]
pub struct FileReport<'a> {
    /// The file.
    pub source: SourceFile<'a>,
    /// Its diagnostics, in any order.
    pub diagnostics: &'a [Diagnostic],
}

impl<'a> FileReport<'a> {
    /// The diagnostics in the order of the text, errors first where several stand at one place.
    pub fn in_order(&self) -> Vec<&'a Diagnostic> {
        let mut sorted: Vec<&Diagnostic> = self.diagnostics.iter().collect();
        sorted.sort_by(|a, b| {
            (a.span.start, b.severity(), a.code.name, a.span.end).cmp(&(
                b.span.start,
                a.severity(),
                b.code.name,
                b.span.end,
            ))
        });
        sorted
    }
}

fn severity_name(severity: crate::Severity) -> &'static str {
    match severity {
        crate::Severity::Info => "info",
        crate::Severity::Warning => "warning",
        crate::Severity::Error => "error",
    }
}
