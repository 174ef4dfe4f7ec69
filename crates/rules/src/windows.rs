//! What rules of the types `new_terms`, `threshold` and `threat_match` ask of the events that their query finds.
//!
//! Both forms are read: that of the TOML files of <https://github.com/elastic/detection-rules>, where the settings are
//! tables of `field` and `value`, and that of Kibana's API and exports.

use neph_diag::{Diagnostic, Span};
use neph_event::{FieldDef, Schema};
use neph_kql::Fields;
use neph_plan::{Aggregate, DistinctAtLeast, FirstSeen, Key, Plan, Query};
use serde::Serialize;

use crate::codes;
use crate::compile::now;
use crate::rule::RuleKind;
use crate::schedule::{Schedule, parse_date_math};
use crate::threat_match::{self, ThreatMatch};
use neph_document::{Node, Table};

/// A rule may name so many fields whose terms must be new, as in Kibana.
const MAX_TERMS: usize = 3;
/// A threshold may group by so many fields, as in Kibana.
const MAX_GROUPS: usize = 5;

/// Settings of a rule of type `new_terms`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewTerms {
    /// The fields whose values, together, must be new.
    pub fields: Vec<String>,
    /// How far back they must not have been seen, as written (`now-7d`).
    pub history_window_start: String,
    /// The same in nanoseconds.
    pub history_nanos: u64,
}

/// Settings of a rule of type `threshold`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Threshold {
    /// The fields that events of one group share; without any, all events are one group.
    pub fields: Vec<String>,
    /// So many events make an alert, at least.
    pub value: u64,
    /// A field that must have many values, too.
    pub cardinality: Option<Cardinality>,
}

/// How many values a field must have among the events of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cardinality {
    /// The field.
    pub field: String,
    /// So many values, at least.
    pub value: u64,
}

/// What a rule asks of the events that its query finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing: each is an alert.
    #[default]
    Single,
    /// Terms must be new.
    NewTerms(NewTerms),
    /// Events must be many.
    Threshold(Threshold),
    /// Indicators must name a value of the event.
    ThreatMatch(Box<ThreatMatch>),
}

/// The settings of a rule, with the places of its fields.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) condition: Condition,
    /// Each field, and where it stands; those of `condition` in its order.
    fields: Vec<(String, Span)>,
}

impl Settings {
    pub(crate) fn new(condition: Condition, fields: Vec<(String, Span)>) -> Self {
        Self { condition, fields }
    }

    pub(crate) fn condition_mut(&mut self) -> &mut Condition {
        &mut self.condition
    }
}

/// What came of applying settings to a plan.
pub(crate) struct Applied {
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Fields that no known source fills.
    pub(crate) unfilled: Vec<String>,
}

/// Reads settings. Where something is wrong with them, it is told and there are none.
pub(crate) fn read(
    kind: RuleKind,
    table: &Table,
    place: Span,
    schedule: &Schedule,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Settings> {
    let known = diagnostics.len();
    let mut reader = Reader { place, diagnostics };
    let settings = match kind {
        RuleKind::NewTerms => reader.new_terms(table, schedule),
        RuleKind::Threshold => reader.threshold(table),
        RuleKind::ThreatMatch => threat_match::read(table, place, reader.diagnostics),
        _ => Some(Settings::default()),
    };
    let found = diagnostics.get(known..).unwrap_or(&[]);
    settings.filter(|_| !neph_diag::has_errors(found))
}

struct Reader<'a> {
    /// The place of the rule.
    place: Span,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn missing(&mut self, key: &str, place: Span) {
        let message = format!("`{key}` is missing");
        self.diagnostics
            .push(Diagnostic::new(&codes::KEY_MISSING, place, message));
    }

    fn refuse(&mut self, place: Span, message: String, help: &str) {
        self.diagnostics
            .push(Diagnostic::new(&codes::VALUE, place, message).with_help(help));
    }

    fn new_terms(&mut self, table: &Table, schedule: &Schedule) -> Option<Settings> {
        let (fields, start) = match table.entry("new_terms") {
            Some(entry) => {
                let inner = entry.value.as_table()?;
                let starts = inner.get("history_window_start");
                // That keys are missing altogether is told where keys are checked.
                if starts.is_some_and(|starts| starts.items().is_empty()) {
                    self.missing("history_window_start", entry.key_span);
                }
                let mut starts = inner.tables("history_window_start");
                (
                    inner.get("value"),
                    starts.find_map(|(start, _)| start.get("value")),
                )
            }
            None => {
                for key in ["new_terms_fields", "history_window_start"] {
                    if table.get(key).is_none() {
                        self.missing(key, self.place);
                    }
                }
                (table.get("new_terms_fields"), table.get("history_window_start"))
            }
        };
        let names = names(fields?);
        self.check_fields(&names, fields?.span, 1, MAX_TERMS);
        let start = start?;
        let text = start.as_text()?;
        let history_nanos = self.history(text, start.span, schedule)?;
        Some(Settings {
            condition: Condition::NewTerms(NewTerms {
                fields: names.iter().map(|(name, _)| name.clone()).collect(),
                history_window_start: text.to_owned(),
                history_nanos,
            }),
            fields: names,
        })
    }

    fn history(&mut self, text: &str, place: Span, schedule: &Schedule) -> Option<u64> {
        let Some(distance) = parse_date_math(text).filter(|distance| *distance < 0) else {
            let message = format!("`{text}` is not a time in the past");
            self.refuse(
                place,
                message,
                "`now` and how far the history reaches back, for example `now-7d`",
            );
            return None;
        };
        let history = distance.unsigned_abs();
        if history <= schedule.lookback_nanos.max(schedule.interval_nanos) {
            let message = format!(
                "the history from `{text}` is not longer than what a run looks at, from `{}`",
                schedule.from
            );
            let help =
                "let `history_window_start` reach back further than `from`: else nothing was seen before";
            self.refuse(place, message, help);
        }
        Some(history)
    }

    fn threshold(&mut self, table: &Table) -> Option<Settings> {
        let Some(entry) = table.entry("threshold") else {
            self.missing("threshold", self.place);
            return None;
        };
        let inner = entry.value.as_table()?;
        let mut fields = inner.get("field").map(names).unwrap_or_default();
        let place = inner.get("field").map_or(entry.key_span, |node| node.span);
        self.check_fields(&fields, place, 0, MAX_GROUPS);
        let value = self.number(inner, "value", "threshold.value");
        let cardinalities: Vec<&Table> = inner.tables("cardinality").map(|(table, _)| table).collect();
        if cardinalities.len() > 1 {
            let place = inner.get("cardinality").map_or(place, |node| node.span);
            let message = "only one field can have a cardinality".to_owned();
            self.refuse(place, message, "leave one; a second rule can ask for the other");
        }
        let mut cardinality = None;
        let groups = fields.iter().map(|(name, _)| name.clone()).collect();
        if let Some(inner) = cardinalities.first() {
            let field = inner.get("field");
            let least = self.number(inner, "value", "threshold.cardinality.value");
            let (field, least) = (field?, least?);
            let name = field.as_text()?.trim().to_owned();
            if name.is_empty() {
                self.refuse(field.span, "the name of a field is empty".into(), "name a field");
            }
            fields.push((name.clone(), field.span));
            cardinality = Some(Cardinality {
                field: name,
                value: least,
            });
        }
        Some(Settings {
            condition: Condition::Threshold(Threshold {
                fields: groups,
                value: value?,
                cardinality,
            }),
            fields,
        })
    }

    fn number(&mut self, table: &Table, key: &str, path: &str) -> Option<u64> {
        let number = table.integer(key)?;
        let value = u64::try_from(number).ok().filter(|value| *value > 0);
        if value.is_none() {
            let place = table.get(key).map_or(self.place, |node| node.span);
            let message = format!("`{path}` is {number}, but must be at least 1");
            self.refuse(place, message, "it is the least number that makes an alert");
        }
        value
    }

    fn check_fields(&mut self, names: &[(String, Span)], place: Span, least: usize, most: usize) {
        if !(least..=most).contains(&names.len()) {
            let message = format!("{} fields are named, but {least} to {most} can be", names.len());
            self.refuse(place, message, "name the fields that tell the cases apart");
        }
        for (position, (name, place)) in names.iter().enumerate() {
            if names.iter().take(position).any(|(other, _)| other == name) {
                self.refuse(*place, format!("`{name}` is named twice"), "name each field once");
            }
        }
    }
}

/// The names of fields in a list or a text, without empty ones: Kibana writes `""` for no field.
fn names(node: &Node) -> Vec<(String, Span)> {
    let alone = node.as_text().map(|_| node);
    let nodes = node.items().iter().chain(alone);
    nodes
        .filter_map(|node| Some((node.as_text()?.trim().to_owned(), node.span)))
        .filter(|(name, _)| !name.is_empty())
        .collect()
}

/// Makes of a plan of single events one that asks for what the settings say.
pub(crate) fn apply(settings: &mut Settings, schedule: &Schedule, plan: &mut Plan) -> Applied {
    let schema = Schema::builtin();
    let mut fields = Fields::new(schema, now(), std::mem::take(&mut plan.fields));
    let mut diagnostics = Vec::new();
    let mut unfilled = Vec::new();
    let mut keys = Vec::new();
    for (name, place) in &settings.fields {
        let def = schema.get(name);
        if let Some(def) = def.as_deref().filter(|def| !def.is_supported()) {
            diagnostics.push(unsupported(def, *place));
        }
        fields.resolve(name, *place);
        if def.as_deref().is_none_or(|def| def.sources.is_empty()) && !name.starts_with('_') {
            unfilled.push(name.clone());
        }
        let field = def.map_or_else(|| Schema::unknown(name), |def| def.field.clone());
        keys.push(Key {
            name: name.as_str().into(),
            field: Some(fields.intern(field)),
            optional: false,
        });
    }
    // Fixes of names of fields are for queries: here they would take the quotes with them.
    let found = fields.diagnostics.drain(..);
    diagnostics.extend(found.map(|diagnostic| Diagnostic {
        fix: None,
        ..diagnostic
    }));
    plan.fields = fields.into_fields();
    let interval = schedule.interval_nanos;
    if let Query::Events(events) = &mut plan.query {
        let condition = std::mem::replace(&mut events.condition, neph_plan::Condition::Const(false));
        match &mut settings.condition {
            Condition::Single => events.condition = condition,
            Condition::NewTerms(new_terms) => {
                plan.query = Query::FirstSeen(FirstSeen {
                    condition,
                    fields: keys,
                    interval,
                    history: new_terms.history_nanos,
                });
            }
            Condition::Threshold(threshold) => {
                let distinct = threshold.cardinality.as_ref().and_then(|cardinality| {
                    Some(DistinctAtLeast {
                        field: keys.pop()?,
                        at_least: cardinality.value,
                    })
                });
                plan.query = Query::Aggregate(Aggregate {
                    condition,
                    group: keys,
                    interval,
                    // Runs that look back less than their interval would leave events out.
                    lookback: schedule.lookback_nanos.max(interval),
                    at_least: threshold.value,
                    distinct,
                });
            }
            Condition::ThreatMatch(threat) => {
                let named = threat_match::condition(threat, &keys, &plan.fields);
                events.condition = neph_plan::Condition::all(vec![condition, named]);
            }
        }
    }
    Applied {
        diagnostics,
        unfilled,
    }
}

fn unsupported(def: &FieldDef, place: Span) -> Diagnostic {
    let message = format!(
        "`{}` is of type `{}`, whose values cannot be told apart",
        def.name, def.type_name
    );
    Diagnostic::new(&neph_plan::codes::UNSUPPORTED_TYPE, place, message)
}
