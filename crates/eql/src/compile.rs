//! From text to plan.

use neph_diag::{Diagnostic, has_errors};
use neph_event::{Exactness, Field, FieldType, Instant, Schema, Value};
use neph_plan::{
    Case, Condition, EventQuery, FieldId, Leaf, Limit, Plan, Query, Sample, Sequence, Stage, Test,
};

use crate::ast::{self, Body, Category};
use crate::bind::{Binder, FieldUse};
use crate::bound::Bound;
use crate::codes;
use crate::lints::{self, Checked};
use crate::lower::Lowering;
use crate::parser::parse;

/// What [`compile`] needs to know beside the text.
#[derive(Clone, Copy, Debug)]
pub struct CompileOptions<'a> {
    /// The fields that there are.
    pub schema: &'a Schema,
    /// The field of the event's category, where it is not the schema's.
    pub category_field: Option<&'a str>,
    /// The field of the event's time, where it is not the schema's.
    pub timestamp_field: Option<&'a str>,
    /// The field that orders events of one time, where it is not the schema's.
    pub tiebreaker_field: Option<&'a str>,
    /// What `now` is in dates.
    pub now: Instant,
    /// Whether to look for what is allowed but probably not meant.
    pub lints: bool,
}

impl<'a> CompileOptions<'a> {
    /// The schema's own fields, and lints on.
    pub fn new(schema: &'a Schema, now: Instant) -> Self {
        Self {
            schema,
            category_field: None,
            timestamp_field: None,
            tiebreaker_field: None,
            now,
            lints: true,
        }
    }
}

/// What a query looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryKind {
    /// Single events.
    Events,
    /// Events in order.
    Sequence,
    /// Events in any order.
    Sample,
}

/// What came of a text.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The plan; there is none when an error was reported.
    pub plan: Option<Plan>,
    /// The syntax tree, if the text was a query at all.
    pub query: Option<ast::Query>,
    /// Everything that is wrong or probably not meant, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// The fields, once for every place where one stands.
    pub fields: Vec<FieldUse>,
    /// What the query looks for.
    pub kind: Option<QueryKind>,
    /// Longest time from the first event of a sequence to the last, in nanoseconds.
    pub maxspan: Option<u64>,
}

/// Compiles a query.
pub fn compile(text: &str, options: &CompileOptions<'_>) -> Compiled {
    let (query, mut diagnostics) = parse(text);
    let Some(query) = query else {
        return Compiled {
            plan: None,
            query,
            diagnostics,
            fields: Vec::new(),
            kind: None,
            maxspan: None,
        };
    };
    let mut compiler = Compiler {
        binder: Binder::new(text, options.schema),
        options,
    };
    let bound = compiler.bind(&query);
    diagnostics.append(&mut compiler.binder.diagnostics);

    let mut plan = None;
    if !has_errors(&diagnostics) {
        let lowered = compiler.lower(&query, &bound);
        diagnostics.append(&mut compiler.binder.diagnostics);
        if options.lints {
            let binder = &compiler.binder;
            let conditions = bound.conditions.iter().map(|(_, condition)| condition).collect();
            lints::check(
                &Checked {
                    text,
                    query: &query,
                    conditions,
                    plan: &lowered,
                    binder,
                },
                &mut diagnostics,
            );
        }
        plan = Some(lowered);
    }
    diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
    let (kind, maxspan) = match &query.body {
        Body::Event(_) => (QueryKind::Events, None),
        Body::Sequence(sequence) => (
            QueryKind::Sequence,
            sequence.maxspan.and_then(|maxspan| maxspan.nanos),
        ),
        Body::Sample(_) => (QueryKind::Sample, None),
    };
    let fields = compiler.binder.uses;
    Compiled {
        plan,
        query: Some(query),
        diagnostics,
        fields,
        kind: Some(kind),
        maxspan,
    }
}

pub(crate) struct Compiler<'a, 'b> {
    pub(crate) binder: Binder<'a>,
    pub(crate) options: &'b CompileOptions<'a>,
}

/// A query behind analysis.
pub(crate) struct BoundQuery {
    /// The category's field, and the condition, of every event query in the order of the text.
    conditions: Vec<(Option<FieldId>, Bound)>,
    /// The join keys of every step, in the order of the text.
    keys: Vec<Vec<neph_plan::Key>>,
    limits: Vec<Limit>,
}

impl Compiler<'_, '_> {
    fn bind(&mut self, query: &ast::Query) -> BoundQuery {
        let mut conditions = Vec::new();
        for event_query in query.event_queries() {
            let category = self.category_field(&event_query.category);
            conditions.push((category, self.binder.condition(&event_query.condition)));
        }
        let keys = match &query.body {
            Body::Event(_) => Vec::new(),
            Body::Sequence(sequence) => self.check_sequence(sequence),
            Body::Sample(sample) => self.check_sample(sample),
        };
        let limits = self.pipes(query);
        BoundQuery {
            conditions,
            keys,
            limits,
        }
    }

    fn category_field(&mut self, category: &Category) -> Option<FieldId> {
        category.name.as_ref()?;
        let schema = self.options.schema;
        let name = self.options.category_field.unwrap_or(&schema.category_field);
        match schema.get(name) {
            Some(def) if def.exactness == Exactness::Exact => Some(self.binder.intern(def.field.clone())),
            Some(_) => {
                let message = format!("the event category is in `{name}`, which keeps no exact values");
                self.binder.diagnostics.push(Diagnostic::new(
                    &codes::NO_EXACT_VALUES,
                    category.span,
                    message,
                ));
                None
            }
            None if schema.is_strict() => {
                let message = format!("the event category is in `{name}`, which the mapping does not have");
                self.binder.diagnostics.push(
                    Diagnostic::new(&codes::UNKNOWN_COLUMN, category.span, message)
                        .with_help("`any where …` needs no category"),
                );
                None
            }
            None => Some(self.binder.intern(Schema::unknown(name))),
        }
    }

    fn lower(&mut self, query: &ast::Query, bound: &BoundQuery) -> Plan {
        let schema = self.options.schema;
        let known = |name: &str, fallback: FieldType| match schema.get(name) {
            Some(def) => def.field.clone(),
            None => Field::new(name, fallback),
        };
        let time_name = self.options.timestamp_field.unwrap_or(&schema.timestamp_field);
        let time = self.binder.intern(known(time_name, FieldType::DateNanos));
        let tiebreaker = self
            .options
            .tiebreaker_field
            .or(schema.tiebreaker_field.as_deref())
            .map(|name| self.binder.intern(known(name, FieldType::Dynamic)));

        let event_queries = query.event_queries();
        let mut conditions = Vec::new();
        for (event_query, (category_field, condition)) in event_queries.iter().zip(&bound.conditions) {
            let category = category_test(&event_query.category, *category_field);
            let mut lowering = Lowering {
                binder: &mut self.binder,
                now: self.options.now,
            };
            let condition = lowering.condition(condition);
            conditions.push(Condition::all(category.into_iter().chain([condition]).collect()));
        }
        let stages = |terms: &mut dyn Iterator<Item = &ast::Term>| -> Vec<Stage> {
            let parts = conditions.iter().zip(&bound.keys);
            terms
                .zip(parts)
                .map(|(term, (condition, keys))| Stage {
                    condition: condition.clone(),
                    keys: keys.clone(),
                    missing: term.missing,
                    runs: term.runs.map_or(1, |runs| runs.count),
                    span: term.span,
                })
                .collect()
        };
        let lowered = match &query.body {
            Body::Event(_) => {
                let condition = conditions.pop().unwrap_or(Condition::Const(false));
                Query::Events(EventQuery { condition })
            }
            Body::Sequence(sequence) => {
                let mut stages = stages(&mut sequence.terms.iter().chain(&sequence.until));
                let until = if sequence.until.is_some() {
                    stages.pop()
                } else {
                    None
                };
                Query::Sequence(Sequence {
                    stages,
                    until,
                    maxspan: sequence.maxspan.and_then(|maxspan| maxspan.nanos),
                })
            }
            Body::Sample(sample) => Query::Sample(Sample {
                stages: stages(&mut sample.terms.iter()),
            }),
        };
        Plan {
            fields: self.binder.fields.clone(),
            time,
            tiebreaker,
            query: lowered,
            limits: bound.limits.clone(),
            failing_indices: self.binder.failing_indices.clone(),
        }
    }
}

fn category_test(category: &Category, field: Option<FieldId>) -> Option<Condition> {
    let (name, field) = (category.name.as_ref()?, field?);
    let test = Test::Equals(field, [Value::String(name.clone())].into(), Case::Sensitive);
    Some(Condition::Leaf(Leaf {
        test,
        span: category.span,
    }))
}
