//! Exceptions: events that rules are not to see.
//!
//! Kibana keeps them in exception lists, whose items stand in an export beside the rules that name their lists; overlays
//! state them by rule. Either way an exception is a condition and the rules that it is for. An event that satisfies it is no
//! step of any of them, as in Kibana, where exceptions become filters of the rule's search: of a sequence, each step's
//! events are left out, those of `until` and of steps that must not happen included.
//!
//! The items' form is that of the exceptions API:
//! <https://www.elastic.co/docs/api/doc/kibana/operation/operation-createexceptionlistitem>.

use std::sync::Arc;

use neph_diag::{Diagnostic, Span, has_errors};
use neph_engine::RuleIndex;
use neph_event::{Field, Instant, Schema};
use neph_kql::{Fields, Target, Wanted};
use neph_plan::{Case, Condition, Pattern};
use serde::Serialize;

use crate::check::Findings;
use crate::codes;
use crate::compile::now;
use crate::keys;
use crate::lists::Lists;
use crate::upkeep::{self, Upkeep};
use crate::yaml_document::written;
use neph_document::{Data, Node, Table};

/// Deepest nesting of entries; Kibana has one.
const MAX_DEPTH: u32 = 8;

/// An exception and the rules that it is for.
#[derive(Clone, Debug)]
pub struct RuleException {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub source: ExceptionSource,
    /// Who answers for it, and why it is there.
    pub upkeep: Upkeep,
    /// The fields that its condition reads.
    pub fields: Vec<Arc<Field>>,
    /// The condition that the events satisfy.
    pub condition: Condition,
    /// The rules, by their position in the [`RuleSet`](crate::RuleSet).
    pub rules: Vec<RuleIndex>,
}

/// Where an exception comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExceptionSource {
    /// A list of Kibana's, by its id.
    ExceptionList(String),
    /// An overlay, by its name.
    Overlay(String),
}

/// An exception list that a rule names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExceptionListRef {
    /// `list_id`.
    pub list_id: String,
    /// `type`: `detection`, `rule_default`, `endpoint`, …
    pub kind: String,
    /// Where the rule names it.
    #[serde(skip)]
    pub(crate) span: Span,
}

/// A list or an item as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) table: Table,
    pub(crate) place: Span,
}

/// What an item or an overlay's exception came to.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) upkeep: Upkeep,
    pub(crate) fields: Vec<Arc<Field>>,
    pub(crate) condition: Condition,
}

/// The exception lists that a rule names.
pub(crate) fn references(rule: &Table) -> Vec<ExceptionListRef> {
    let named = rule.tables("exceptions_list").filter_map(|(table, place)| {
        let id = table.text("list_id").or_else(|| table.text("id"))?;
        Some(ExceptionListRef {
            list_id: id.to_owned(),
            kind: table.trimmed("type"),
            span: table.get("list_id").map_or(place, |node| node.span),
        })
    });
    named.collect()
}

/// Reads an item; `None` where it cannot be applied, or its time is over: `diagnostics` say which.
pub(crate) fn item(
    raw: &Raw,
    text: &str,
    lists: &Lists,
    at: Instant,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Draft> {
    let table = &raw.table;
    let name = match table.trimmed("name") {
        name if name.is_empty() => table.trimmed("item_id"),
        name => name,
    };
    let mut upkeep = Upkeep {
        owner: table.text("created_by").map(str::to_owned),
        reason: Some(table.trimmed("description")).filter(|reason| !reason.is_empty() && *reason != name),
        ..Upkeep::default()
    };
    if let Some(node) = table.get("expire_time") {
        let end = written(node, text).and_then(upkeep::end);
        match end {
            None => {
                let message = format!("`{}` is not a date", node.span.text(text));
                diagnostics.push(Diagnostic::new(&codes::VALUE, node.span, message));
                return None;
            }
            Some(end) => {
                upkeep.expires = Some(end.to_string());
                upkeep.is_expired = end < at;
                if upkeep.is_expired {
                    let message = format!("the exception `{name}` expired at {end} and is not applied");
                    diagnostics.push(Diagnostic::new(&codes::EXPIRED, node.span, message));
                    return None;
                }
            }
        }
    }
    let known = diagnostics.len();
    let mut findings = Findings::default();
    findings.check(table, raw.place, "exception", keys::EXCEPTION_ITEM, None);
    diagnostics.append(&mut findings.diagnostics);
    let mut builder = Builder::new(text, lists);
    let mut parts = builder.entries(table.get("entries"), "", 0);
    if let Some(os) = table.get("os_types").filter(|node| !node.items().is_empty()) {
        parts.push(builder.any_text("host.os.type", os, os.span));
    }
    if parts.is_empty() {
        let message = format!("the exception `{name}` has no entries");
        builder.refuse(
            raw.place,
            message,
            "an item without entries would except every event",
        );
    }
    let (fields, condition) = builder.finish(parts, diagnostics);
    if has_errors(diagnostics.get(known..).unwrap_or(&[])) {
        return None;
    }
    Some(Draft {
        name,
        upkeep,
        fields,
        condition,
    })
}

/// The exception of an overlay as pairs of fields and what they are, all of which must hold.
pub(crate) fn pairs(
    table: &Table,
    text: &str,
    lists: &Lists,
    place: Span,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Vec<Arc<Field>>, Condition) {
    let mut builder = Builder::new(text, lists);
    let mut parts = Vec::new();
    for entry in &table.entries {
        parts.push(builder.pair(&entry.key, entry.key_span, &entry.value));
    }
    if parts.is_empty() {
        builder.refuse(
            place,
            "an exception without fields would except every event".into(),
            "",
        );
    }
    builder.finish(parts, diagnostics)
}

/// Makes a condition of entries.
struct Builder<'a> {
    text: &'a str,
    lists: &'a Lists,
    fields: Fields<'static>,
    problems: Vec<Diagnostic>,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str, lists: &'a Lists) -> Self {
        Self {
            text,
            lists,
            fields: Fields::new(Schema::builtin(), now(), Vec::new()),
            problems: Vec::new(),
        }
    }

    fn refuse(&mut self, place: Span, message: String, help: &str) {
        let diagnostic = Diagnostic::new(&codes::EXCEPTION, place, message);
        self.problems.push(match help {
            "" => diagnostic,
            help => diagnostic.with_help(help),
        });
    }

    fn finish(
        mut self,
        parts: Vec<Condition>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> (Vec<Arc<Field>>, Condition) {
        diagnostics.append(&mut self.problems);
        // Fixes of names of fields are for queries: here they would take the quotes with them.
        let found = self.fields.diagnostics.drain(..);
        diagnostics.extend(found.map(|diagnostic| Diagnostic {
            fix: None,
            ..diagnostic
        }));
        (self.fields.into_fields(), Condition::all(parts))
    }

    /// The conditions of Kibana's entries; fields of nested ones stand below `prefix`.
    fn entries(&mut self, node: Option<&Node>, prefix: &str, depth: u32) -> Vec<Condition> {
        let nodes = node.map_or(&[][..], Node::items);
        let mut parts = Vec::with_capacity(nodes.len());
        for node in nodes {
            match node.as_table() {
                Some(table) => parts.push(self.entry(table, node.span, prefix, depth)),
                None => self.refuse(node.span, "an entry of an exception is a table".into(), ""),
            }
        }
        parts
    }

    fn entry(&mut self, entry: &Table, place: Span, prefix: &str, depth: u32) -> Condition {
        let (Some(field), Some(kind)) = (entry.text("field"), entry.text("type")) else {
            self.refuse(
                place,
                "an entry of an exception needs `field` and `type`".into(),
                "",
            );
            return Condition::Const(false);
        };
        let name = match prefix {
            "" => field.to_owned(),
            prefix => format!("{prefix}.{field}"),
        };
        if kind == "nested" {
            if depth >= MAX_DEPTH {
                self.refuse(
                    place,
                    format!("entries are nested deeper than {MAX_DEPTH} levels"),
                    "",
                );
                return Condition::Const(false);
            }
            let inside = self.entries(entry.get("entries"), &name, depth + 1);
            if inside.is_empty() {
                self.refuse(place, format!("nothing is asked of `{name}`"), "");
            }
            return Condition::all(inside);
        }
        let field_place = entry.get("field").map_or(place, |node| node.span);
        let value = entry.get("value");
        let condition = match (kind, value) {
            ("exists", _) => match self.fields.resolve(&name, field_place) {
                Some(target) => self.fields.exists(&target, Span::default()),
                None => Condition::Const(false),
            },
            ("list", _) => {
                let list = entry.table("list");
                let id = list.and_then(|list| list.get("id"));
                match id.and_then(|id| Some((id.as_text()?, id.span))) {
                    Some((id, place)) => self.listed(&name, id, place),
                    None => {
                        self.refuse(place, "an entry of type `list` needs `list.id`".into(), "");
                        Condition::Const(false)
                    }
                }
            }
            ("match" | "match_any" | "wildcard", None) => {
                self.refuse(place, format!("an entry of type `{kind}` needs `value`"), "");
                Condition::Const(false)
            }
            ("match" | "match_any", Some(value)) => self.any_text(&name, value, field_place),
            ("wildcard", Some(value)) => self.any_pattern(&name, value, field_place, None),
            (other, _) => {
                let place = entry.get("type").map_or(place, |node| node.span);
                let help = "the types are `match`, `match_any`, `exists`, `wildcard`, `list` and `nested`";
                self.refuse(place, format!("`{other}` is not a type of entry"), help);
                Condition::Const(false)
            }
        };
        match entry.text("operator") {
            None | Some("included") => condition,
            Some("excluded") => condition.negated(),
            Some(other) => {
                let place = entry.get("operator").map_or(place, |node| node.span);
                let help = "the operators are `included` and `excluded`";
                self.refuse(place, format!("`{other}` is not an operator of an entry"), help);
                Condition::Const(false)
            }
        }
    }

    /// A field of an overlay's exception: a value or several, `{list: …}`, `{wildcard: …}`, `{exists: …}`.
    fn pair(&mut self, name: &str, place: Span, value: &Node) -> Condition {
        let Some(table) = value.as_table() else {
            return self.any_text(name, value, place);
        };
        let mut parts = Vec::new();
        for entry in &table.entries {
            let condition = match (entry.key.as_str(), &entry.value.data) {
                ("list", Data::Text(list)) => self.listed(name, list, entry.value.span),
                ("wildcard", _) => self.any_pattern(name, &entry.value, place, Some(Case::Sensitive)),
                ("exists", Data::Bool(wanted)) => match self.fields.resolve(name, place) {
                    Some(target) => {
                        let exists = self.fields.exists(&target, Span::default());
                        if *wanted { exists } else { exists.negated() }
                    }
                    None => Condition::Const(false),
                },
                ("not", _) => self.any_text(name, &entry.value, place).negated(),
                (key @ ("list" | "exists"), _) => {
                    let wanted = if key == "list" {
                        "the name of a list"
                    } else {
                        "`true` or `false`"
                    };
                    self.refuse(entry.value.span, format!("`{key}` must be {wanted}"), "");
                    Condition::Const(false)
                }
                (other, _) => {
                    let help =
                        "a field is a value, a list of values, or one of `list`, `wildcard`, `exists`, `not`";
                    self.refuse(
                        entry.key_span,
                        format!("`{other}` is nothing that a field can be asked"),
                        help,
                    );
                    Condition::Const(false)
                }
            };
            parts.push(condition);
        }
        Condition::all(parts)
    }

    fn listed(&mut self, field: &str, list: &str, place: Span) -> Condition {
        match self.lists.get(list) {
            Some(list) => list.condition(&mut self.fields, field, place),
            None => {
                let message = format!("there is no list `{list}`");
                let names: Vec<String> = self
                    .lists
                    .iter()
                    .map(|known| format!("`{}`", known.name))
                    .take(8)
                    .collect();
                let help = match names.is_empty() {
                    true => "no lists are given; `--lists PATH` gives them".to_owned(),
                    false => format!("lists that are given: {}", names.join(", ")),
                };
                self.problems
                    .push(Diagnostic::new(&codes::LIST_NAME, place, message).with_help(help));
                Condition::Const(false)
            }
        }
    }

    /// The values of a scalar or list, with their places.
    fn values<'n>(&mut self, node: &'n Node) -> Vec<(&'n str, Span)>
    where
        'a: 'n,
    {
        let alone = [node];
        let nodes: Vec<&Node> = match &node.data {
            Data::List(items) => items.iter().collect(),
            _ => alone.to_vec(),
        };
        let mut values = Vec::with_capacity(nodes.len());
        for node in nodes {
            match written(node, self.text) {
                Some(value) => values.push((value, node.span)),
                None => {
                    let message = format!("a field is compared with a text, but this is {}", node.kind());
                    self.refuse(node.span, message, "");
                }
            }
        }
        if values.is_empty() && self.problems.is_empty() {
            self.refuse(node.span, "there is no value to compare with".into(), "");
        }
        values
    }

    /// The field is any of the values, as `match_phrase` finds them.
    fn any_text(&mut self, name: &str, node: &Node, place: Span) -> Condition {
        let values = self.values(node);
        let Some(target) = self.fields.resolve(name, place) else {
            return Condition::Const(false);
        };
        let wanted = values
            .iter()
            .map(|(value, place)| (Wanted::Phrase(value), *place));
        self.fields.any_of(&target, wanted, None, Span::default())
    }

    fn any_pattern(&mut self, name: &str, node: &Node, place: Span, case: Option<Case>) -> Condition {
        let values = self.values(node);
        let Some(target) = self.fields.resolve(name, place) else {
            return Condition::Const(false);
        };
        self.patterns(&target, &values, case)
    }

    fn patterns(&mut self, target: &Target, values: &[(&str, Span)], case: Option<Case>) -> Condition {
        let patterns: Vec<(Pattern, Span)> = values
            .iter()
            .map(|(value, place)| (Pattern::unescaped(value), *place))
            .collect();
        let wanted = patterns
            .iter()
            .map(|(pattern, place)| (Wanted::Wildcard(pattern), *place));
        self.fields.any_of(target, wanted, case, Span::default())
    }
}
