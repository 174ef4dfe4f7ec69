//! What steps of sequences and samples, their keys, and pipes must be.

use neph_diag::{Diagnostic, Span};
use neph_event::Value;
use neph_plan::{Key, Limit};

use crate::ast::{self, Body, Pipe, Sample, Sequence, Term};
use crate::bind::Binder;
use crate::bound::{Bound, Kind};
use crate::codes;
use crate::compile::Compiler;
use crate::types::Type;

/// Steps of a sequence, each counted as often as it runs.
const MAX_STAGES: u32 = 256;
/// Filters of a sample. Source: `SampleIterator` and its check in Elasticsearch's EQL plugin, which lets six through.
const MAX_FILTERS: usize = 6;

impl Compiler<'_, '_> {
    /// Checks a sequence; gives the keys of its steps and of `until`.
    pub(crate) fn check_sequence(&mut self, sequence: &Sequence) -> Vec<Vec<Key>> {
        let terms: Vec<&Term> = sequence.terms.iter().chain(&sequence.until).collect();
        let runs = |term: &&Term| term.runs.map_or(1, |runs| runs.count);
        let count: u32 = terms.iter().map(runs).sum();
        if count < 2 {
            self.report(
                &codes::STAGE_COUNT,
                sequence.keyword,
                "a sequence needs at least two steps",
            );
        } else if count > MAX_STAGES {
            let message = format!("the sequence has {count} steps; at most {MAX_STAGES} are allowed");
            self.report(&codes::STAGE_COUNT, sequence.keyword, message);
        }
        self.check_missing(sequence);
        self.keys(&sequence.keys, &terms)
    }

    fn check_missing(&mut self, sequence: &Sequence) {
        if let Some(until) = sequence.until.as_ref().filter(|until| until.missing) {
            self.report(
                &codes::MISSING_EVENT,
                until.span,
                "`until` ends a sequence by an event, not by a missing one",
            );
        }
        let Some(first) = sequence.terms.iter().find(|term| term.missing) else {
            return;
        };
        if sequence.terms.iter().all(|term| term.missing) {
            self.report(
                &codes::MISSING_EVENT,
                first.span,
                "a sequence needs at least one event that is not missing",
            );
        }
        if sequence.maxspan.is_none() {
            self.binder.diagnostics.push(
                Diagnostic::new(&codes::MISSING_EVENT, first.span, "a missing event needs `maxspan`")
                    .with_help("without a longest time it is never certain that an event stayed away: `sequence … with maxspan=5m`"),
            );
        }
    }

    /// Checks a sample; gives the keys of its filters.
    pub(crate) fn check_sample(&mut self, sample: &Sample) -> Vec<Vec<Key>> {
        if sample.terms.len() < 2 {
            self.report(
                &codes::STAGE_COUNT,
                sample.keyword,
                "a sample needs at least two filters",
            );
        } else if sample.terms.len() > MAX_FILTERS {
            let message = format!(
                "the sample has {} filters; at most {MAX_FILTERS} are allowed",
                sample.terms.len()
            );
            self.report(&codes::STAGE_COUNT, sample.keyword, message);
        }
        for term in &sample.terms {
            if term.missing {
                self.report(
                    &codes::MISSING_EVENT,
                    term.span,
                    "a sample cannot ask for a missing event",
                );
            }
            if let Some(runs) = term.runs {
                self.report(
                    &codes::RUNS_FORM,
                    runs.span,
                    "`with runs` belongs to the steps of a sequence",
                );
            }
            if sample.keys.is_empty() && term.keys.is_empty() {
                self.report(
                    &codes::JOIN_KEY,
                    term.span,
                    "a filter of a sample needs at least one join key",
                );
            }
        }
        let terms: Vec<&Term> = sample.terms.iter().collect();
        self.keys(&sample.keys, &terms)
    }

    fn report(&mut self, code: &'static neph_diag::Code, span: Span, message: impl Into<String>) {
        self.binder.diagnostics.push(Diagnostic::new(code, span, message));
    }

    fn keys(&mut self, common: &[ast::Field], terms: &[&Term]) -> Vec<Vec<Key>> {
        let common: Vec<(Key, Type, Span)> = common.iter().filter_map(|field| self.key(field)).collect();
        let mut all = Vec::new();
        for term in terms {
            let own: Vec<(Key, Type, Span)> = term.keys.iter().filter_map(|field| self.key(field)).collect();
            all.push(own);
        }
        self.check_counts(terms);
        self.check_types(&all);
        let whole =
            |own: Vec<(Key, Type, Span)>| common.iter().cloned().chain(own).map(|(key, ..)| key).collect();
        all.into_iter().map(whole).collect()
    }

    fn check_counts(&mut self, terms: &[&Term]) {
        let Some(first) = terms.first() else { return };
        let count = first.keys.len();
        for term in terms.iter().skip(1).filter(|term| term.keys.len() != count) {
            let keys = |number: usize| format!("{number} join key{}", if number == 1 { "" } else { "s" });
            let message = format!(
                "this step has {}, the first one has {}",
                keys(term.keys.len()),
                keys(count)
            );
            self.binder.diagnostics.push(
                Diagnostic::new(&codes::JOIN_KEY, term.span, message)
                    .with_secondary(first.span, "the first step")
                    .with_help("keys are joined by position: every step, `until` included, has as many as the others"),
            );
        }
    }

    fn check_types(&mut self, all: &[Vec<(Key, Type, Span)>]) {
        let positions = all.iter().map(Vec::len).max().unwrap_or(0);
        for position in 0..positions {
            let mut first: Option<&(Key, Type, Span)> = None;
            for key in all.iter().filter_map(|keys| keys.get(position)) {
                match first {
                    None if key.1.is_open() => {}
                    None => first = Some(key),
                    Some(first) if !first.1.is_compatible(key.1) => {
                        let message = format!(
                            "join key `{}` is of type `{}` and cannot equal `{}` of type `{}`",
                            key.0.name,
                            key.1.name(),
                            first.0.name,
                            first.1.name(),
                        );
                        self.binder.diagnostics.push(
                            Diagnostic::new(&codes::JOIN_KEY, key.2, message)
                                .with_secondary(first.2, "joined with this key"),
                        );
                    }
                    Some(_) => {}
                }
            }
        }
    }

    /// The plan's key of a field; `None` where the field cannot be used, which has been reported.
    fn key(&mut self, field: &ast::Field) -> Option<(Key, Type, Span)> {
        let bound = self.binder.resolve(field);
        if !self.binder.check_exact(&bound, field.span, None) {
            return None;
        }
        let read = match &bound.kind {
            Kind::Field(read) => Some(read.id),
            Kind::Constant(..) => None,
            _ => return None,
        };
        Some((
            Key {
                name: field.name.clone(),
                field: read,
                optional: field.optional,
            },
            bound.ty,
            field.span,
        ))
    }

    pub(crate) fn pipes(&mut self, query: &ast::Query) -> Vec<Limit> {
        if let (Body::Sample(_), Some(pipe)) = (&query.body, query.pipes.first()) {
            self.report(
                &codes::UNSUPPORTED_PIPE,
                pipe.span,
                "samples have no order, so they take no pipes",
            );
        }
        query.pipes.iter().filter_map(|pipe| self.pipe(pipe)).collect()
    }

    fn pipe(&mut self, pipe: &Pipe) -> Option<Limit> {
        let name = &*pipe.name;
        let limit = match name {
            "head" => Limit::Head,
            "tail" => Limit::Tail,
            "count" | "filter" | "sort" | "unique" | "unique_count" => {
                self.binder.diagnostics.push(
                    Diagnostic::new(
                        &codes::UNSUPPORTED_PIPE,
                        pipe.name_span,
                        format!("the pipe `{name}` is not supported"),
                    )
                    .with_help("the pipes are `head` and `tail`"),
                );
                return None;
            }
            _ => {
                let mut diagnostic = Diagnostic::new(
                    &codes::UNSUPPORTED_PIPE,
                    pipe.name_span,
                    format!("there is no pipe `{name}`"),
                );
                let close = ["head", "tail"]
                    .into_iter()
                    .find(|known| crate::bind::distance(known, name) <= 2);
                diagnostic = match close {
                    Some(close) => diagnostic.with_help(format!("did you mean `{close}`?")),
                    None => diagnostic.with_help("the pipes are `head` and `tail`"),
                };
                self.binder.diagnostics.push(diagnostic);
                return None;
            }
        };
        let [argument] = pipe.arguments.as_slice() else {
            let message = format!(
                "`{name}` takes exactly one argument, not {}",
                pipe.arguments.len()
            );
            self.report(&codes::PIPE_ARGUMENT, pipe.span, message);
            return None;
        };
        match count(&mut self.binder, argument) {
            Some(count) => Some(limit(count)),
            None => {
                let written = argument.span.text(self.binder.text);
                let message = format!("`{name}` takes a whole number that is not negative, not `{written}`");
                self.report(&codes::PIPE_ARGUMENT, argument.span, message);
                None
            }
        }
    }
}

fn count(binder: &mut Binder<'_>, argument: &ast::Expr) -> Option<u64> {
    let bound: Bound = binder.bind(argument);
    match bound.as_constant() {
        Some(Some(Value::Long(count))) => u64::try_from(*count).ok(),
        _ => None,
    }
}
