//! Which alerts an output gets.

use std::sync::Arc;

use neph_config::Output;
use neph_diag::{Diagnostic, has_errors};
use neph_engine::{Matcher, Origin, Program, Record};
use neph_event::{Instant, Schema};
use neph_kql::{CompileOptions, Dialect};
use neph_store::{AlertRecord, Severity};

/// The filter of an output.
#[derive(Debug)]
pub(crate) struct Filter {
    least: Severity,
    rules: Vec<String>,
    query: Option<Matcher>,
}

impl Filter {
    /// The filter of an output, with what is to be said of its query; none where the query is wrong. `now` is the time that dates in
    /// the query count from.
    pub(crate) fn new(output: &Output, now: Instant) -> (Option<Self>, Vec<Diagnostic>) {
        let (query, diagnostics) = match &output.filter {
            None => (None, Vec::new()),
            Some(text) => {
                let (matcher, diagnostics) = matcher(text, now);
                if matcher.is_none() {
                    return (None, diagnostics);
                }
                (matcher, diagnostics)
            }
        };
        let filter = Self {
            least: match output.severity.as_str() {
                "critical" => Severity::Critical,
                "high" => Severity::High,
                "medium" => Severity::Medium,
                _ => Severity::Low,
            },
            rules: output.rules.clone(),
            query,
        };
        (Some(filter), diagnostics)
    }

    /// Whether the output gets the alert. One whose document cannot be read is told rather than lost.
    pub(crate) fn takes(&mut self, record: &AlertRecord) -> bool {
        let alert = &record.alert;
        if alert.severity < self.least || !(self.rules.is_empty() || self.rules.contains(&alert.rule_id)) {
            return false;
        }
        let Some(matcher) = &mut self.query else {
            return true;
        };
        if matcher.read(&alert.document).is_err() {
            return true;
        }
        let mut takes = false;
        let origin = Origin {
            source: "".into(),
            line: 0,
        };
        let document = Record {
            document: &alert.document,
            id: Some(&alert.id),
            index: None,
            position: 0,
            origin: &origin,
        };
        matcher.matches(&document, |_| takes = true);
        takes
    }
}

fn matcher(query: &str, now: Instant) -> (Option<Matcher>, Vec<Diagnostic>) {
    let options = CompileOptions::new(Dialect::Kql, Schema::builtin(), now);
    let compiled = neph_kql::compile(query, &options);
    let mut diagnostics = compiled.diagnostics;
    let Some(plan) = compiled.plan.filter(|_| !has_errors(&diagnostics)) else {
        return (None, diagnostics);
    };
    let (program, errors) = Program::compile([&plan]);
    for error in &errors {
        let span = error.span.unwrap_or_default();
        diagnostics.push(Diagnostic::new(
            &crate::codes::FILTER,
            span,
            format!("the filter cannot be run: {error}"),
        ));
    }
    match errors.is_empty() {
        true => (Some(Matcher::new(Arc::new(program))), diagnostics),
        false => (None, diagnostics),
    }
}
