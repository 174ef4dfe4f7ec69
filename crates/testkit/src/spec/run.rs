//! Running a case.

use std::fmt::Write;
use std::sync::Arc;

use neph_diag::render::FileReport;
use neph_diag::{Diagnostic, SourceFile, fix, has_errors, render};
use neph_engine::{
    Emit, Fetch, Match, Matcher, OperatorConfig, Operators, Origin, Outcome, Program, Record, apply_limits,
    sort_matches,
};
use neph_eql::CompileOptions;
use neph_event::{Instant, Schema, Value};
use neph_kql::Dialect;
use neph_plan::{Plan, Query as PlanQuery};

use super::events::{self, BEGINNING, InputEvent};
use super::markdown::{Case, Kind, Language, Options, Subject};

/// The name under which diagnostics show the query.
fn name(language: Language) -> &'static str {
    match language {
        Language::Eql => "query.eql",
        Language::Kql => "query.kql",
        Language::Lucene => "query.lucene",
    }
}

/// Why a case has no outcome that could be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Failure {
    /// Line of the case in its file, from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

/// Runs a case: for each of its expectations the text that would be right.
///
/// # Errors
/// Where the case itself is broken: a mapping or event that cannot be read, a refused query of which matches are
/// expected, or results that depend on the order of delivery.
pub fn run(case: &Case) -> Result<Vec<String>, Failure> {
    let fail = |reason: String| Failure {
        line: case.line,
        reason,
    };
    match &case.subject {
        Subject::Expressions => Ok(case
            .expectations
            .iter()
            .map(|expectation| evaluate(&expectation.text))
            .collect()),
        Subject::Query {
            language,
            text,
            options,
            mapping,
            events,
        } => {
            let query = Query::new(*language, text, options, mapping.as_deref()).map_err(fail)?;
            let kinds: Vec<Kind> = case
                .expectations
                .iter()
                .map(|expectation| expectation.kind)
                .collect();
            if has_errors(&query.diagnostics) && !kinds.contains(&Kind::Diagnostics) {
                return Err(fail(format!("the query is refused:\n{}", query.rendered())));
            }
            let mut outcomes = Vec::new();
            for kind in kinds {
                outcomes.push(match kind {
                    Kind::Matches => query
                        .matches(&events::parse(events).map_err(fail)?)
                        .map_err(fail)?,
                    Kind::Diagnostics => query.rendered(),
                    Kind::Fixed => query.fixed(),
                    Kind::Values => String::new(),
                });
            }
            Ok(outcomes)
        }
    }
}

/// A compiled query.
struct Query<'a> {
    language: Language,
    text: &'a str,
    options: &'a Options,
    plan: Option<Plan>,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Query<'a> {
    fn new(
        language: Language,
        text: &'a str,
        options: &'a Options,
        mapping: Option<&str>,
    ) -> Result<Self, String> {
        let mut schema = match mapping {
            Some(json) => Schema::from_mapping(json).map_err(|error| error.to_string())?,
            None => Schema::builtin().clone(),
        };
        if let Some(field) = &options.tiebreaker {
            schema.tiebreaker_field = Some(field.as_str().into());
        }
        let now = Instant::from_nanos(BEGINNING);
        let (plan, diagnostics) = match language {
            Language::Eql => {
                let compiled = neph_eql::compile(text, &CompileOptions::new(&schema, now));
                (compiled.plan, compiled.diagnostics)
            }
            Language::Kql | Language::Lucene => {
                let dialect = match language {
                    Language::Lucene => Dialect::Lucene,
                    _ => Dialect::Kql,
                };
                let options = neph_kql::CompileOptions::new(dialect, &schema, now);
                let compiled = neph_kql::compile(text, &options);
                (compiled.plan, compiled.diagnostics)
            }
        };
        Ok(Self {
            language,
            text,
            options,
            plan,
            diagnostics,
        })
    }

    fn rendered(&self) -> String {
        let source = SourceFile {
            name: name(self.language),
            text: self.text,
        };
        render::file_text(
            &FileReport {
                source,
                diagnostics: &self.diagnostics,
            },
            false,
        )
    }

    fn fixed(&self) -> String {
        let fixes: Vec<_> = self
            .diagnostics
            .iter()
            .filter_map(|diagnostic| diagnostic.fix.clone())
            .collect();
        let mut text = fix::apply(self.text, &fixes, true).text;
        text.push('\n');
        text
    }

    fn matches(&self, events: &[InputEvent]) -> Result<String, String> {
        let Some(plan) = &self.plan else {
            return Err(format!("the query is refused:\n{}", self.rendered()));
        };
        let (program, errors) = Program::compile([plan]);
        if let Some(error) = errors.first() {
            return Err(format!("the plan cannot run: {error}"));
        }
        let program = Arc::new(program);
        let forward: Vec<usize> = (0..events.len()).collect();
        let backward: Vec<usize> = forward.iter().rev().copied().collect();
        let found = self.deliver(plan, &program, events, &forward, Emit::WhenFinal)?;
        for (order, emit, how) in [
            (&backward, Emit::WhenFinal, "in reverse"),
            (&forward, Emit::AtOnce, "told at once"),
            (&backward, Emit::AtOnce, "in reverse, told at once"),
        ] {
            let other = self.deliver(plan, &program, events, order, emit)?;
            if sorted(&other) != sorted(&found) {
                let (other, found) = (other.join("\n"), found.join("\n"));
                return Err(format!(
                    "delivered {how}, the events give\n{other}\ninstead of\n{found}"
                ));
            }
        }
        // Samples have no order of time, so there is only one end to cut them at.
        let fetch = if matches!(plan.query, PlanQuery::Sample(_)) {
            Fetch::Head
        } else {
            self.options.fetch
        };
        let rows = apply_limits(found, &plan.limits, self.options.size, fetch);
        Ok(rows.iter().map(|row| format!("{row}\n")).collect())
    }

    /// All that is found when the events come in `order`; their positions stay.
    fn deliver(
        &self,
        plan: &Plan,
        program: &Arc<Program>,
        events: &[InputEvent],
        order: &[usize],
        emit: Emit,
    ) -> Result<Vec<String>, String> {
        let config = OperatorConfig {
            emit,
            max_samples_per_key: self.options.max_samples_per_key,
            ..OperatorConfig::default()
        };
        let mut matcher = Matcher::new(Arc::clone(program));
        let mut operators = Operators::new(&[plan], &config);
        let mut outcomes = Vec::new();
        let mut steps = Vec::new();
        for (position, event) in order
            .iter()
            .filter_map(|index| Some((*index, events.get(*index)?)))
        {
            matcher
                .read(&event.document)
                .map_err(|error| format!("event `{}`: {error}", event.id))?;
            let position = u64::try_from(position).unwrap_or(u64::MAX);
            let origin = Origin {
                source: "spec".into(),
                line: position + 1,
            };
            let record = Record {
                document: &event.document,
                id: Some(&event.id),
                index: None,
                position,
                origin: &origin,
            };
            matcher.matches(&record, |step| steps.push(step));
            for step in steps.drain(..) {
                operators.push(step, &mut outcomes);
            }
            if emit == Emit::AtOnce {
                operators.advance(Instant::from_nanos(i128::MIN), &mut outcomes);
            }
        }
        operators.finish(&mut outcomes);

        let mut standing: Vec<Match> = Vec::new();
        for outcome in outcomes {
            match outcome {
                Outcome::Found(found) => standing.push(found),
                Outcome::Retracted(gone) => {
                    let gone = line_of(&gone);
                    let index = standing.iter().position(|found| line_of(found) == gone);
                    standing
                        .remove(index.ok_or_else(|| format!("`{gone}` is taken back, but was not told"))?);
                }
            }
        }
        sort_matches(&mut standing);
        Ok(standing.iter().map(line_of).collect())
    }
}

/// The lines in an order that does not depend on when each was told.
fn sorted(lines: &[String]) -> Vec<&String> {
    let mut sorted: Vec<&String> = lines.iter().collect();
    sorted.sort();
    sorted
}

/// A result in one line.
fn line_of(found: &Match) -> String {
    let mut line = String::new();
    for (index, key) in found.keys.iter().enumerate() {
        line.push_str(if index == 0 { "" } else { ", " });
        match key {
            Some(key) => {
                let _ = write!(line, "{}", key.as_ref());
            }
            None => line.push_str("null"),
        }
    }
    if !found.keys.is_empty() {
        line.push_str(": ");
    }
    let ids: Vec<&str> = found
        .events
        .iter()
        .map(|(_, event)| event.as_ref().map_or("-", |event| event.id().as_str()))
        .collect();
    line.push_str(&ids.join(" "));
    line
}

/// Lines `EXPRESSION => VALUE` with the values that the expressions have.
fn evaluate(lines: &str) -> String {
    let mut out = String::new();
    for line in lines.lines() {
        let expression = line
            .rsplit_once(" => ")
            .map_or(line, |(expression, _)| expression);
        let value = match neph_eql::eval_constant(expression) {
            Ok(value) => json_of(value).to_string(),
            Err(_) => "error".to_owned(),
        };
        let _ = writeln!(out, "{expression} => {value}");
    }
    out
}

fn json_of(value: Option<Value>) -> serde_json::Value {
    match value {
        None => serde_json::Value::Null,
        Some(Value::Bool(value)) => value.into(),
        Some(Value::Long(value)) => value.into(),
        Some(Value::Unsigned(value)) => value.into(),
        Some(Value::Double(value)) => value.into(),
        Some(other) => other.as_ref().to_string().into(),
    }
}
