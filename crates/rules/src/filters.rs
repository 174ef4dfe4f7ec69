//! `filters` of a rule: Kibana's filter bar, in Elasticsearch's query DSL, to conditions on every event of the plan.
//!
//! `term`, `terms`, `match`, `match_phrase`, `exists`, `wildcard`, `prefix`, `regexp`, `range`, `bool` and `match_all` are
//! understood, with `meta.negate` and `meta.disabled` around them. A filter with anything else in it is not applied.
//! <https://www.elastic.co/docs/reference/query-languages/query-dsl/term-level-queries>

use neph_diag::{Diagnostic, Span, has_errors};
use neph_event::Schema;
use neph_kql::{Fields, Target, Wanted};
use neph_plan::{Case, Condition, Pattern, PatternPart, Plan, Relation};

use crate::codes;
use crate::compile::now;
use neph_document::{Data, Node, Table};

/// The key of a filter that could not be applied, and what that means.
pub(crate) const UNAPPLIED: (&str, &str) = (
    "filters",
    "a filter is not applied: events that it leaves out take part",
);

/// Filters inside filters are read to this depth.
const MAX_DEPTH: u32 = 32;

/// What came of the filters.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Whether a filter could not be applied.
    pub(crate) unapplied: bool,
}

/// Restricts every event that a plan looks at to those that pass the filters.
pub(crate) fn restrict(plan: &mut Plan, filters: &Node) -> Outcome {
    let mut outcome = Outcome::default();
    let mut lowering = Lowering {
        fields: Fields::new(Schema::builtin(), now(), std::mem::take(&mut plan.fields)),
    };
    let mut conditions = Vec::new();
    for filter in filters.items() {
        let known = lowering.fields.diagnostics.len();
        match lowering.filter(filter) {
            Some(condition) if !has_errors(lowering.fields.diagnostics.get(known..).unwrap_or(&[])) => {
                conditions.push(condition);
            }
            _ => {
                // What was found in a filter that is not applied is of no use.
                lowering.fields.diagnostics.truncate(known);
                outcome.unapplied = true;
                let message = format!("`{}` is not honoured yet: {}", UNAPPLIED.0, UNAPPLIED.1);
                outcome
                    .diagnostics
                    .push(Diagnostic::new(&codes::KEY_NOT_HONOURED, filter.span, message));
            }
        }
    }
    // Their fixes are of queries, and would be written into the file without its quotes.
    let found = lowering.fields.diagnostics.drain(..);
    outcome.diagnostics.extend(found.map(|diagnostic| Diagnostic {
        fix: None,
        ..diagnostic
    }));
    plan.fields = lowering.fields.into_fields();
    let filter = Condition::all(conditions);
    let apply = |condition: &mut Condition| {
        let own = std::mem::replace(condition, Condition::Const(false));
        *condition = Condition::all(vec![own, filter.clone()]);
    };
    plan.query.conditions_mut().into_iter().for_each(apply);
    outcome
}

struct Lowering<'a> {
    fields: Fields<'a>,
}

impl Lowering<'_> {
    /// A filter of the bar; `None` where it is not understood.
    fn filter(&mut self, node: &Node) -> Option<Condition> {
        let table = node.as_table()?;
        let meta = table.table("meta");
        let flag = |name: &str| meta.and_then(|meta| meta.boolean(name)).unwrap_or(false);
        if flag("disabled") {
            return Some(Condition::Const(true));
        }
        let condition = match table.get("query") {
            Some(query) => self.query(query, 0)?,
            // Older exports have the query beside `meta`.
            None => {
                let entry = table
                    .entries
                    .iter()
                    .find(|entry| !matches!(&*entry.key, "meta" | "$state"))?;
                self.clause(&entry.key, &entry.value, 0)?
            }
        };
        Some(if flag("negate") {
            condition.negated()
        } else {
            condition
        })
    }

    /// `{"term": {…}}` and its like: a table with one key.
    fn query(&mut self, node: &Node, depth: u32) -> Option<Condition> {
        let [entry] = node.as_table()?.entries.as_slice() else {
            return None;
        };
        self.clause(&entry.key, &entry.value, depth)
    }

    fn clause(&mut self, kind: &str, body: &Node, depth: u32) -> Option<Condition> {
        if depth > MAX_DEPTH {
            return None;
        }
        match kind {
            "match_all" => return Some(Condition::Const(true)),
            "bool" => return self.boolean(body.as_table()?, depth + 1),
            "exists" => {
                let name = body.as_table()?.text("field")?;
                let target = self.fields.resolve(name, body.span)?;
                return Some(self.fields.exists(&target, Span::default()));
            }
            _ => {}
        }
        // All others name the field: `{"wildcard": {"file.path": …}}`, with options beside it at most.
        let is_option = |key: &str| matches!(key, "boost" | "_name");
        let mut named = body
            .as_table()?
            .entries
            .iter()
            .filter(|entry| !is_option(&entry.key));
        let (entry, None) = (named.next()?, named.next()) else {
            return None;
        };
        let (name, value) = (&entry.key, &entry.value);
        let target = self.fields.resolve(name, entry.key_span)?;
        let options = value.as_table();
        let insensitive = options
            .and_then(|options| options.boolean("case_insensitive"))
            .unwrap_or(false);
        let case = insensitive.then_some(Case::AsciiInsensitive);
        let text = |keys: &[&str]| match options {
            Some(options) => keys.iter().find_map(|key| options.get(key)).and_then(scalar),
            None => scalar(value),
        };
        let span = value.span;
        Some(match kind {
            "range" => return self.range(&target, options?, span),
            "terms" => {
                let texts: Option<Vec<String>> = match &value.data {
                    Data::List(items) => items.iter().map(scalar).collect(),
                    _ => None,
                };
                let texts = texts?;
                let wanted = texts.iter().map(|text| (Wanted::Phrase(text), span));
                self.fields.any_of(&target, wanted, case, Span::default())
            }
            "term" => self.one(&target, Wanted::Phrase(&text(&["value"])?), case, span),
            "match_phrase" => self.one(&target, Wanted::Phrase(&text(&["query"])?), case, span),
            "match" => {
                let text = text(&["query"])?;
                let phrase = options.and_then(|options| options.text("type")) == Some("phrase");
                if options.is_some_and(|options| options.get("operator").is_some()) {
                    return None;
                }
                let wanted = if phrase {
                    Wanted::Phrase(&text)
                } else {
                    Wanted::Text(&text)
                };
                self.one(&target, wanted, case, span)
            }
            "wildcard" => {
                let pattern = wildcard(&text(&["value", "wildcard"])?);
                self.one(&target, Wanted::Wildcard(&pattern), case, span)
            }
            "prefix" => {
                let mut pattern = Pattern::literal(&text(&["value"])?);
                pattern.parts.push(PatternPart::Any);
                self.one(&target, Wanted::Wildcard(&pattern), case, span)
            }
            "regexp" => {
                let text = text(&["value"])?;
                if !self.fields.check_regex(&text, span) {
                    return None;
                }
                self.one(&target, Wanted::Regex(&text), case, span)
            }
            _ => return None,
        })
    }

    fn one(&mut self, target: &Target, wanted: Wanted<'_>, case: Option<Case>, place: Span) -> Condition {
        self.fields
            .any_of(target, [(wanted, place)], case, Span::default())
    }

    fn range(&mut self, target: &Target, bounds: &Table, place: Span) -> Option<Condition> {
        let mut ends: Vec<(Relation, String, Span)> = Vec::new();
        for entry in &bounds.entries {
            let relation = match &*entry.key {
                "gt" => Relation::Greater,
                "gte" | "from" => Relation::GreaterOrEqual,
                "lt" => Relation::Less,
                "lte" | "to" => Relation::LessOrEqual,
                "boost" | "format" | "relation" | "include_lower" | "include_upper" => continue,
                _ => return None,
            };
            if matches!(entry.value.data, Data::Null) {
                continue;
            }
            ends.push((relation, scalar(&entry.value)?, place));
        }
        let ends: Vec<(Relation, &str, Span)> = ends
            .iter()
            .map(|(relation, text, place)| (*relation, text.as_str(), *place))
            .collect();
        Some(self.fields.between(target, &ends, Span::default()))
    }

    fn boolean(&mut self, table: &Table, depth: u32) -> Option<Condition> {
        let mut all = Vec::new();
        let mut any = Vec::new();
        for entry in &table.entries {
            let clauses = match &entry.value.data {
                Data::List(items) => items
                    .iter()
                    .map(|item| self.query(item, depth))
                    .collect::<Option<Vec<_>>>(),
                Data::Table(_) => self.query(&entry.value, depth).map(|one| vec![one]),
                _ => None,
            };
            match &*entry.key {
                "must" | "filter" => all.extend(clauses?),
                "must_not" => all.extend(clauses?.into_iter().map(Condition::negated)),
                "should" => any.extend(clauses?),
                "minimum_should_match" | "boost" | "_name" => {}
                _ => return None,
            }
        }
        // Of the clauses of `should` one must hold, unless others decide already.
        let default = i64::from(all.is_empty());
        let minimum = match table.get("minimum_should_match") {
            None => default,
            Some(_) => table
                .integer("minimum_should_match")
                .or_else(|| table.text("minimum_should_match")?.parse().ok())?,
        };
        match minimum {
            _ if any.is_empty() => {}
            0 => {}
            1 => all.push(Condition::any(any)),
            _ => return None,
        }
        Some(Condition::all(all))
    }
}

fn scalar(node: &Node) -> Option<String> {
    Some(match &node.data {
        Data::Text(text) => text.clone(),
        Data::Bool(truth) => truth.to_string(),
        Data::Integer(number) => number.to_string(),
        Data::Number(number) => number.to_string(),
        _ => return None,
    })
}

/// A pattern of the `wildcard` query: `*`, `?`, and `\` before a character that is meant.
fn wildcard(text: &str) -> Pattern {
    let mut parts: Vec<PatternPart> = Vec::new();
    let mut literal = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let part = match character {
            '*' => PatternPart::Any,
            '?' => PatternPart::One,
            '\\' => {
                literal.push(characters.next().unwrap_or('\\'));
                continue;
            }
            other => {
                literal.push(other);
                continue;
            }
        };
        if !literal.is_empty() {
            parts.push(PatternPart::Literal(std::mem::take(&mut literal).into()));
        }
        if part != PatternPart::Any || parts.last() != Some(&PatternPart::Any) {
            parts.push(part);
        }
    }
    if !literal.is_empty() {
        parts.push(PatternPart::Literal(literal.into()));
    }
    Pattern { parts }
}
