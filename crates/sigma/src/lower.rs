//! From the syntax tree to the plan.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use neph_diag::{Diagnostic, Span};
use neph_event::{Field, FieldType, Schema, Value as Constant};
use neph_plan::{
    Case, Condition as Logic, EventQuery, Expr, FieldId, FirstOf, Function, Leaf, Pattern, PatternPart, Plan,
    Query, RegexDialect, Relation, Test, functions, pattern, regex,
};

use crate::ast::{Affix, Comparison, Condition, Filter, Item, Named, Rule, Scalar, Search, Transform, Value};
use crate::collection::DocumentId;
use crate::mapping::{Alternative, Joined, Mappings, Places, Selecting, View};
use crate::modifiers::closest;
use crate::text::{TransformError, surrounded, transform};
use crate::{codes, text};

/// Tests of one rule, those that a condition repeats counted each time.
const MAX_LEAVES: usize = 100_000;

/// So many fields of a rule are looked through before they are looked up.
const FEW_FIELDS: usize = 128;

/// Every value of an event, wherever it stands.
fn everywhere() -> Arc<Places> {
    static EVERYWHERE: LazyLock<Arc<Places>> = LazyLock::new(|| Places::one(neph_event::ANY_FIELD));
    Arc::clone(&EVERYWHERE)
}

/// What compiling needs beside the rule.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The mappings.
    pub mappings: &'a Mappings,
    /// The lists that placeholders name. Mappings remember what selects the events of a log source, so other lists want mappings anew.
    pub lists: &'a BTreeMap<String, Vec<String>>,
}

/// What a rule came to.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    /// The plan; its spans are those of the file. Missing where one of the diagnostics is an error.
    pub plan: Option<Plan>,
    /// What is to be said.
    pub diagnostics: Vec<Diagnostic>,
    /// Fields that no mapping knows.
    pub unknown_fields: Vec<String>,
    /// Placeholders without a list.
    pub missing_lists: Vec<String>,
    /// Whether no mapping knows the log source.
    pub unknown_source: bool,
    /// Of a correlation rule the documents that its conditions stand in, in the order of
    /// [`neph_plan::Correlation::events`]; the spans are those of their files.
    pub origins: Vec<DocumentId>,
}

/// Compiles a rule, with the filters that apply to it.
pub fn compile(rule: &Rule, filters: &[&Filter], options: &Options<'_>) -> Compiled {
    let mut lowering = Lowering::new(options);
    let query = match &rule.aggregation {
        None => {
            let condition = lowering.detection(rule, filters);
            Some(Query::Events(EventQuery { condition }))
        }
        Some(aggregation) => lowering
            .aggregated(rule, filters, aggregation, &[])
            .map(Query::Correlation),
    };
    lowering.finish(rule.about.id_span, query)
}

/// Compiles a query: a `detection`, or what stands in one, with or without `logsource`. Without one it is about all events,
/// and a field is looked for wherever any mapping says that it stands.
pub fn compile_fragment(text: &str, options: &Options<'_>) -> Compiled {
    let (rule, mut diagnostics) = crate::document::fragment(text);
    let mut compiled = rule.map_or_else(Compiled::default, |rule| compile(&rule, &[], options));
    diagnostics.append(&mut compiled.diagnostics);
    diagnostics.sort_by_key(|diagnostic| diagnostic.span);
    Compiled {
        diagnostics,
        ..compiled
    }
}

/// What a rule is lowered with, and what has come of it so far.
pub(crate) struct Lowering<'a> {
    options: &'a Options<'a>,
    /// What holds for the log source of the detection that is being lowered.
    pub(crate) view: View<'a>,
    fields: Vec<Arc<Field>>,
    /// The fields behind the first few.
    ids: HashMap<Arc<Field>, FieldId>,
    /// Of these few what tells most of them apart.
    marks: Vec<u64>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) unknown_fields: BTreeMap<String, Span>,
    missing_lists: BTreeSet<String>,
    unknown_source: bool,
    leaves: usize,
    /// Whether the search of a mapping is being lowered, whose fields are known and whose spans are of another file.
    scoping: bool,
}

impl<'a> Lowering<'a> {
    pub(crate) fn new(options: &'a Options<'a>) -> Self {
        Self {
            options,
            view: View::default(),
            fields: Vec::new(),
            ids: HashMap::new(),
            marks: Vec::with_capacity(FEW_FIELDS),
            diagnostics: Vec::new(),
            unknown_fields: BTreeMap::new(),
            missing_lists: BTreeSet::new(),
            unknown_source: false,
            leaves: 0,
            scoping: false,
        }
    }

    /// The condition of a rule: its log source, its detection, and the filters.
    pub(crate) fn detection(&mut self, rule: &Rule, filters: &[&Filter]) -> Logic {
        self.scoped(rule, filters, &[], |lowering, used| {
            lowering.any(&rule.searches, &rule.conditions, used)
        })
    }

    /// A condition about events of the rule's log source that pass the filters; `used` are search identifiers of the rule
    /// that are used elsewhere.
    pub(crate) fn scoped(
        &mut self,
        rule: &Rule,
        filters: &[&Filter],
        used: &[&str],
        condition: impl FnOnce(&mut Self, &[&str]) -> Logic,
    ) -> Logic {
        self.view = self.options.mappings.view(&rule.logsource);
        let mut parts = Vec::new();
        self.unknown_source |= self.source(rule, &mut parts);
        parts.push(condition(self, used));
        for filter in filters {
            parts.push(self.any(&filter.searches, &filter.conditions, &[]));
        }
        Logic::And(parts)
    }

    /// The plan, unless something is wrong.
    pub(crate) fn finish(mut self, id_span: Span, query: Option<Query>) -> Compiled {
        let time = match Schema::builtin().get("@timestamp") {
            Some(def) => def.field.clone(),
            None => Field::new("@timestamp", FieldType::DateNanos),
        };
        let time = self.intern(&Arc::new(time));
        self.fields.shrink_to_fit();
        if self.leaves > MAX_LEAVES {
            let message = format!("the rule has more than {MAX_LEAVES} tests");
            self.diagnostics
                .push(Diagnostic::new(&codes::TOO_LARGE, id_span, message));
        }
        for (field, span) in &self.unknown_fields {
            let message = format!("no mapping knows the field `{field}` of this log source");
            self.diagnostics
                .push(Diagnostic::new(&codes::FIELD_UNKNOWN, *span, message));
        }
        let query = query.filter(|_| !neph_diag::has_errors(&self.diagnostics));
        let plan = query.map(|query| Plan {
            fields: self.fields,
            time,
            tiebreaker: None,
            query,
            limits: Vec::new(),
            failing_indices: Vec::new(),
        });
        Compiled {
            plan,
            diagnostics: self.diagnostics,
            unknown_fields: self.unknown_fields.into_keys().collect(),
            missing_lists: self.missing_lists.into_iter().collect(),
            unknown_source: self.unknown_source,
            origins: Vec::new(),
        }
    }

    /// Where a value of a field is looked for: in the first of these that has one.
    pub(crate) fn lookup(&mut self, field: &str, kind: FieldType, span: Span) -> FirstOf {
        let places = self.places(field, span);
        // Where values are called otherwise, they are no values of the field.
        let places = places.list.iter().filter(|place| place.values.is_empty());
        let ids = places.map(|place| self.intern_as(&place.field, kind));
        FirstOf(ids.collect())
    }

    fn intern(&mut self, field: &Arc<Field>) -> FieldId {
        let few = self.fields.iter().take(FEW_FIELDS);
        self.marks
            .extend(few.skip(self.marks.len()).map(|field| mark(field)));
        let sought = mark(field);
        let mut few = self.marks.iter().zip(&self.fields);
        if let Some(place) = few.position(|(mark, known)| *mark == sought && known == field) {
            return field_id(place);
        }
        if let Some(id) = self.ids.get(field) {
            return *id;
        }
        let id = field_id(self.fields.len());
        if self.fields.len() >= FEW_FIELDS {
            self.ids.insert(Arc::clone(field), id);
        }
        self.fields.push(Arc::clone(field));
        id
    }

    /// The same for the values of a field as another type.
    fn intern_as(&mut self, field: &Arc<Field>, kind: FieldType) -> FieldId {
        match field.kind == kind {
            true => self.intern(field),
            false => self.intern(&Field::new(field.path.clone(), kind).into()),
        }
    }

    /// The condition of the log source; whether none is known.
    fn source(&mut self, rule: &Rule, parts: &mut Vec<Logic>) -> bool {
        let known = Arc::clone(&self.view.known);
        // Thousands of rules have the same few log sources. What is lowered first has the same fields in each of them.
        let is_first = self.fields.is_empty();
        if is_first && let Some(lowered) = known.selecting.get() {
            self.fields.clone_from(&lowered.fields);
            parts.extend(lowered.conditions.iter().map(|condition| {
                let mut condition = condition.clone();
                place_all(&mut condition, rule.logsource_span);
                condition
            }));
            return false;
        }
        let mut searches: Vec<Search> = self.view.when().into_iter().cloned().collect();
        let unknown = searches.is_empty() && rule.logsource.parts().next().is_some();
        if unknown {
            let message = format!("no mapping knows the log source `{}`", rule.logsource);
            self.diagnostics.push(
                Diagnostic::new(&codes::SOURCE_UNKNOWN, rule.logsource_span, message)
                    .with_help("only events whose `event.module` or `event.dataset` names it are looked at"),
            );
            searches.push(named_source(rule));
        }
        self.scoping = true;
        let (told, missing) = (self.diagnostics.len(), self.missing_lists.len());
        let first = parts.len();
        for search in &searches {
            let mut condition = self.search(search);
            place_all(&mut condition, rule.logsource_span);
            parts.push(condition);
        }
        self.scoping = false;
        let is_silent = self.diagnostics.len() == told && self.missing_lists.len() == missing;
        if is_first && is_silent && !unknown && self.fields.len() <= FEW_FIELDS {
            known.selecting.get_or_init(|| Selecting {
                fields: self.fields.clone(),
                conditions: parts.get(first..).unwrap_or_default().to_vec(),
            });
        }
        unknown
    }

    /// Any of the conditions over these searches.
    pub(crate) fn any(
        &mut self,
        searches: &[Named],
        conditions: &[Condition],
        used_elsewhere: &[&str],
    ) -> Logic {
        let mut lowered: Vec<Logic> = searches.iter().map(|named| self.search(&named.search)).collect();
        let mut used: Vec<bool> = searches
            .iter()
            .map(|named| used_elsewhere.contains(&named.name.as_str()))
            .collect();
        let mut names = Names {
            searches,
            left: vec![0; searches.len()],
            lowered: &mut lowered,
            used: &mut used,
            diagnostics: &mut self.diagnostics,
            leaves: &mut self.leaves,
        };
        conditions.iter().for_each(|condition| names.count(condition));
        let parts: Vec<Logic> = conditions
            .iter()
            .map(|condition| names.condition(condition))
            .collect();
        let complete = !conditions.is_empty() && !neph_diag::has_errors(&self.diagnostics);
        for (named, _) in searches.iter().zip(&used).filter(|(_, used)| !**used && complete) {
            let message = format!("the condition does not use `{}`", named.name);
            self.diagnostics
                .push(Diagnostic::new(&codes::SEARCH_UNUSED, named.span, message));
        }
        joined(parts)
    }

    pub(crate) fn search(&mut self, search: &Search) -> Logic {
        match search {
            Search::All(items) => {
                let parts = items.iter().map(|item| self.item(item)).collect();
                all(parts)
            }
            Search::Any(parts) => joined(parts.iter().map(|part| self.search(part)).collect()),
        }
    }

    fn item(&mut self, item: &Item) -> Logic {
        let places = match &item.field {
            Some(field) => self.places(field, item.key_span),
            None => everywhere(),
        };
        let places = &places.list;
        let condition = if item.modifiers.all {
            let parts = item
                .values
                .iter()
                .map(|value| self.values(item, places, std::slice::from_ref(value), value.span))
                .collect();
            all(parts)
        } else {
            self.values(item, places, &item.values, item.span)
        };
        match item.modifiers.negated {
            true => Logic::Not(Box::new(condition)),
            false => condition,
        }
    }

    /// Where a field stands. The search of a mapping names places of events themselves, but for fields that stand only
    /// where the mapping says.
    fn places(&mut self, field: &str, span: Span) -> Arc<Places> {
        if self.scoping {
            return self.view.own(field);
        }
        let places = self.view.field(field);
        // Rules may use names of ECS as well.
        let is_ecs = || {
            let def = Schema::builtin().get(field);
            def.is_some_and(|def| !def.sources.is_empty())
        };
        if !places.known && !is_ecs() {
            self.unknown_fields.entry(field.to_owned()).or_insert(span);
        }
        places
    }

    /// Any of the values.
    fn values(&mut self, item: &Item, places: &[Alternative], values: &[Value], span: Span) -> Logic {
        match item.modifiers.comparison {
            Comparison::Exists => self.exists(places, values, span),
            Comparison::Cidr => self.networks(places, values, span),
            Comparison::Regex { .. } => self.expressions(item, places, values, span),
            Comparison::FieldReference(affix) => self.references(item, affix, places, values, span),
            Comparison::Number(relation) => self.numbers(item, Some(relation), places, values, span),
            _ if item.modifiers.time_part.is_some() => self.numbers(item, None, places, values, span),
            _ => self.texts(item, places, values, span),
        }
    }

    fn refuse(&mut self, value: &Value, message: impl Into<String>) {
        self.diagnostics
            .push(Diagnostic::new(&codes::VALUE, value.span, message));
    }

    fn texts(&mut self, item: &Item, places: &[Alternative], values: &[Value], span: Span) -> Logic {
        let mut parts = Vec::new();
        let mut patterns = Vec::new();
        for value in values {
            let Some(text) = value.scalar.text() else {
                if item.modifiers.comparison != Comparison::Equals || item.field.is_none() {
                    self.refuse(value, "`null` can only be compared with a field as a whole");
                }
                parts.push(Logic::Not(Box::new(self.present(places, value.span))));
                continue;
            };
            let mut missing = Vec::new();
            match transform(
                &text,
                &item.modifiers.transforms,
                self.options.lists,
                &mut missing,
            ) {
                Ok(made) => patterns.extend(made.into_iter().map(|pattern| surround(pattern, item))),
                Err(TransformError::Wildcard) => {
                    self.refuse(
                        value,
                        "a value that is encoded cannot have wildcards; escape them with `\\`",
                    );
                }
                Err(TransformError::NotText) => {
                    self.refuse(
                        value,
                        "the encoded value is no text; put `base64` or `base64offset` behind",
                    );
                }
            }
            for name in missing {
                if self.missing_lists.insert(name.clone()) {
                    let message = format!("there is no list for the placeholder `%{name}%`");
                    self.diagnostics
                        .push(Diagnostic::new(&codes::PLACEHOLDER, value.span, message));
                }
            }
        }
        let case = if item.modifiers.cased {
            Case::Sensitive
        } else {
            Case::Insensitive
        };
        let renamed: Vec<Option<Vec<Wanted>>> = places
            .iter()
            .map(|place| (!place.values.is_empty()).then(|| wanted(renamed(&patterns, place))))
            .collect();
        let plain = wanted(patterns);
        parts.reserve_exact(places.len() * plain.len());
        for (place, renamed) in places.iter().zip(&renamed) {
            let wanted = renamed.as_ref().unwrap_or(&plain);
            if wanted.is_empty() {
                continue;
            }
            let field = self.intern(&place.field);
            parts.extend(wanted.iter().map(|wanted| leaf(wanted.test(field, case), span)));
        }
        joined(parts)
    }

    fn present(&mut self, places: &[Alternative], span: Span) -> Logic {
        let parts = places
            .iter()
            .map(|place| {
                let field = self.intern(&place.field);
                leaf(Test::Exists(field), span)
            })
            .collect();
        joined(parts)
    }

    fn exists(&mut self, places: &[Alternative], values: &[Value], span: Span) -> Logic {
        let mut parts = Vec::new();
        for value in values {
            let wanted = value.scalar.text().map(|text| text.to_lowercase());
            let present = self.present(places, span);
            match wanted.as_deref() {
                Some("true" | "yes") => parts.push(present),
                Some("false" | "no") => parts.push(Logic::Not(Box::new(present))),
                _ => self.refuse(value, "`exists` takes `true` or `false`"),
            }
        }
        joined(parts)
    }

    fn networks(&mut self, places: &[Alternative], values: &[Value], span: Span) -> Logic {
        let mut networks = Vec::new();
        for value in values {
            let texts = match value.scalar.text() {
                Some(text) if text.starts_with('%') => {
                    let mut missing = Vec::new();
                    let made = transform(&text, &[Transform::Expand], self.options.lists, &mut missing);
                    self.missing_lists.extend(missing);
                    let made = made.unwrap_or_default();
                    made.iter()
                        .filter_map(|one| one.as_literal().map(str::to_owned))
                        .collect()
                }
                Some(text) => vec![text],
                None => Vec::new(),
            };
            for text in &texts {
                match functions::parse_block(text) {
                    Some(network) => networks.push(network),
                    None => self.refuse(
                        value,
                        format!("`{text}` is neither a network (`10.0.0.0/8`) nor an address"),
                    ),
                }
            }
        }
        if networks.is_empty() {
            return Logic::Const(false);
        }
        let networks: Arc<[_]> = networks.into();
        let parts = places
            .iter()
            .map(|place| {
                let field = self.intern(&place.field);
                leaf(Test::Cidr(field, Arc::clone(&networks)), span)
            })
            .collect();
        joined(parts)
    }

    fn expressions(&mut self, item: &Item, places: &[Alternative], values: &[Value], span: Span) -> Logic {
        let Comparison::Regex {
            ignore_case,
            multi_line,
            dot_all,
        } = item.modifiers.comparison
        else {
            return Logic::Const(false);
        };
        let case = match ignore_case {
            true => Case::Insensitive,
            false => Case::Sensitive,
        };
        let flags = match (multi_line, dot_all) {
            (false, false) => "",
            (true, false) => "(?m)",
            (false, true) => "(?s)",
            (true, true) => "(?ms)",
        };
        let mut expressions: Vec<Box<str>> = Vec::new();
        for value in values {
            let Some(text) = value.scalar.text() else {
                self.refuse(value, "a regular expression is needed");
                continue;
            };
            let expression: Box<str> = format!("{flags}{text}").into();
            match regex::compile(std::slice::from_ref(&expression), RegexDialect::Search, case) {
                Ok(_) => expressions.push(expression),
                Err(error) => {
                    let message = format!("the regular expression cannot be used: {error}");
                    self.diagnostics
                        .push(Diagnostic::new(&codes::REGEX, value.span, message));
                }
            }
        }
        let expressions: Arc<[_]> = expressions.into();
        let parts = places
            .iter()
            .filter(|place| place.values.is_empty())
            .map(|place| {
                let field = self.intern(&place.field);
                leaf(
                    Test::Regex(field, Arc::clone(&expressions), RegexDialect::Search, case),
                    span,
                )
            })
            .collect();
        joined(parts)
    }

    /// Numbers, compared by a relation or (parts of a time) for being equal.
    fn numbers(
        &mut self,
        item: &Item,
        relation: Option<Relation>,
        places: &[Alternative],
        values: &[Value],
        span: Span,
    ) -> Logic {
        let mut parts = Vec::new();
        for value in values {
            let number = value
                .scalar
                .text()
                .and_then(|text| text.trim().parse::<f64>().ok());
            let Some(number) = number.filter(|number| number.is_finite()) else {
                self.refuse(value, "a number is needed");
                continue;
            };
            let constant = Constant::Double(number);
            for place in places {
                let kind = match item.modifiers.time_part {
                    Some(_) => FieldType::Date,
                    None => FieldType::Double,
                };
                let field = self.intern_as(&place.field, kind);
                let test = match (item.modifiers.time_part, relation) {
                    (None, Some(relation)) => Test::Compare(field, relation, constant.clone()),
                    (None, None) => Test::Equals(field, [constant.clone()].into(), Case::Sensitive),
                    (Some(part), relation) => {
                        let part = Box::new(Expr::TimePart(part, Box::new(Expr::Field(field))));
                        let constant = Box::new(Expr::Const(Some(constant.clone())));
                        Test::Expr(match relation {
                            Some(relation) => Expr::Compare(relation, part, constant),
                            None => Expr::Equals(part, constant),
                        })
                    }
                };
                parts.push(leaf(test, span));
            }
        }
        joined(parts)
    }

    /// The values of a field, to be compared with those of another.
    fn operands(&mut self, places: &[Alternative], name: Option<&str>) -> Vec<Expr> {
        let joined: Vec<Joined> = match name {
            Some(name) if !self.scoping => self.view.joined(name).into_iter().cloned().collect(),
            _ => Vec::new(),
        };
        let mut field = |field: &Arc<Field>| Expr::Field(self.intern(field));
        let mut operands: Vec<Expr> = places.iter().map(|place| field(&place.field)).collect();
        for Joined { parts, by } in &joined {
            let mut values = Vec::new();
            for part in parts {
                if !values.is_empty() {
                    values.push(Expr::Const(Some(Constant::String(by.as_str().into()))));
                }
                values.push(field(&Field::new(part.as_str(), FieldType::Keyword).into()));
            }
            operands.push(Expr::Call(Function::Concat, values, Case::Sensitive));
        }
        operands
    }

    fn references(
        &mut self,
        item: &Item,
        affix: Affix,
        places: &[Alternative],
        values: &[Value],
        span: Span,
    ) -> Logic {
        let case = if item.modifiers.cased {
            Case::Sensitive
        } else {
            Case::Insensitive
        };
        let mut parts = Vec::new();
        let ones = self.operands(places, item.field.as_deref());
        for value in values {
            let Scalar::Text(name) = &value.scalar else {
                self.refuse(value, "`fieldref` takes the name of a field");
                continue;
            };
            let others = self.places(name, value.span);
            let others = self.operands(&others.list, Some(name));
            for one in &ones {
                for other in &others {
                    let (one, other) = (one.clone(), other.clone());
                    let function = match affix {
                        Affix::Whole => None,
                        Affix::Start => Some(Function::StartsWith),
                        Affix::End => Some(Function::EndsWith),
                        Affix::Inside => Some(Function::StringContains),
                    };
                    let expr = match function {
                        None => Expr::In(Box::new(one), vec![other], case),
                        Some(function) => Expr::Call(function, vec![one, other], case),
                    };
                    parts.push(leaf(Test::Expr(expr), span));
                }
            }
        }
        joined(parts)
    }
}

/// The search identifiers of a rule, and what conditions make of them.
struct Names<'a> {
    searches: &'a [Named],
    lowered: &'a mut [Logic],
    /// How many times each is still to be taken.
    left: Vec<usize>,
    used: &'a mut [bool],
    diagnostics: &'a mut Vec<Diagnostic>,
    leaves: &'a mut usize,
}

impl Names<'_> {
    /// The positions of the search identifiers that a part of a condition names.
    fn named(&self, condition: &Condition) -> Vec<usize> {
        let named = |wanted: &dyn Fn(&str) -> bool| {
            let names = self.searches.iter().enumerate();
            names
                .filter(|(_, named)| wanted(&named.name))
                .map(|(place, _)| place)
                .collect()
        };
        match condition {
            Condition::Name(name, _) => named(&|known| known == name),
            Condition::Of { pattern: None, .. } => named(&|known| !known.starts_with('_')),
            Condition::Of {
                pattern: Some(text), ..
            } => {
                let matcher = pattern::Matcher::new(&Pattern::unescaped(text), Case::Sensitive);
                named(&|known| matcher.is_match(known))
            }
            Condition::And(_) | Condition::Or(_) | Condition::Not(_) => Vec::new(),
        }
    }

    /// Counts how many times each search identifier will be taken.
    fn count(&mut self, condition: &Condition) {
        match condition {
            Condition::And(parts) | Condition::Or(parts) => parts.iter().for_each(|part| self.count(part)),
            Condition::Not(part) => self.count(part),
            Condition::Name(..) | Condition::Of { .. } => {
                for place in self.named(condition) {
                    if let Some(left) = self.left.get_mut(place) {
                        *left += 1;
                    }
                }
            }
        }
    }

    fn condition(&mut self, condition: &Condition) -> Logic {
        match condition {
            Condition::And(parts) => all(parts.iter().map(|part| self.condition(part)).collect()),
            Condition::Or(parts) => joined(parts.iter().map(|part| self.condition(part)).collect()),
            Condition::Not(part) => Logic::Not(Box::new(self.condition(part))),
            Condition::Name(name, span) => {
                let found = self.take(condition);
                match found.into_iter().next() {
                    Some(condition) => condition,
                    None => {
                        self.unknown(name, *span);
                        Logic::Const(false)
                    }
                }
            }
            Condition::Of {
                all: every,
                pattern,
                span,
            } => {
                let parts = self.take(condition);
                if let Some(text) = pattern
                    && parts.is_empty()
                {
                    self.unknown(text, *span);
                }
                if *every { all(parts) } else { joined(parts) }
            }
        }
    }

    fn take(&mut self, condition: &Condition) -> Vec<Logic> {
        let places = self.named(condition);
        let mut found = Vec::with_capacity(places.len());
        for place in places {
            let (Some(lowered), Some(left)) = (self.lowered.get_mut(place), self.left.get_mut(place)) else {
                continue;
            };
            if let Some(used) = self.used.get_mut(place) {
                *used = true;
            }
            let mut size = 1;
            lowered.for_each_leaf(&mut |_| size += 1);
            *self.leaves = self.leaves.saturating_add(size);
            *left = left.saturating_sub(1);
            // Beyond the limit the rule is refused, so that nothing more needs to be copied.
            found.push(match *left {
                _ if *self.leaves > MAX_LEAVES => Logic::Const(false),
                0 => std::mem::replace(lowered, Logic::Const(false)),
                _ => lowered.clone(),
            });
        }
        found
    }

    fn unknown(&mut self, name: &str, span: Span) {
        let message = format!("there is no search identifier `{name}`");
        let diagnostic = Diagnostic::new(&codes::CONDITION_NAME, span, message);
        let known = self.searches.iter().map(|named| named.name.as_str());
        self.diagnostics.push(match closest(name, known) {
            Some(known) => diagnostic.with_help(format!("did you mean `{known}`?")),
            None => diagnostic,
        });
    }
}

/// The pattern as the item compares it: keywords are found anywhere.
fn surround(pattern: Pattern, item: &Item) -> Pattern {
    match item.modifiers.comparison {
        Comparison::Contains => surrounded(pattern, true, true),
        Comparison::StartsWith => surrounded(pattern, false, true),
        Comparison::EndsWith => surrounded(pattern, true, false),
        _ if item.field.is_none() => surrounded(pattern, true, true),
        _ => pattern,
    }
}

/// The patterns as the values are called at a place that calls them otherwise.
fn renamed(patterns: &[Pattern], place: &Alternative) -> Vec<Pattern> {
    patterns
        .iter()
        .filter_map(|pattern| {
            let value = place.values.get(&pattern.as_literal()?.to_lowercase())?;
            Some(text::pattern(value))
        })
        .collect()
}

/// What is looked for in each place where a field may stand.
enum Wanted {
    Anything,
    Equal(Arc<[Constant]>),
    Start(Arc<[Box<str>]>),
    End(Arc<[Box<str>]>),
    Inside(Arc<[Box<str>]>),
    Like(Arc<[Pattern]>),
}

impl Wanted {
    fn test(&self, field: FieldId, case: Case) -> Test {
        match self {
            Self::Anything => Test::Exists(field),
            Self::Equal(list) => Test::Equals(field, Arc::clone(list), case),
            Self::Start(list) => Test::StartsWith(field, Arc::clone(list), case),
            Self::End(list) => Test::EndsWith(field, Arc::clone(list), case),
            Self::Inside(list) => Test::Contains(field, Arc::clone(list), case),
            Self::Like(list) => Test::Like(field, Arc::clone(list), case),
        }
    }
}

/// The patterns, each kind together.
fn wanted(patterns: Vec<Pattern>) -> Vec<Wanted> {
    let (mut equal, mut start, mut end, mut inside, mut like) = (vec![], vec![], vec![], vec![], vec![]);
    let mut anything = false;
    for mut pattern in patterns {
        match pattern.parts.as_mut_slice() {
            [] => equal.push(Constant::String("".into())),
            [PatternPart::Any] => anything = true,
            [PatternPart::Literal(text)] => equal.push(Constant::String(std::mem::take(text))),
            [PatternPart::Literal(text), PatternPart::Any] => start.push(std::mem::take(text)),
            [PatternPart::Any, PatternPart::Literal(text)] => end.push(std::mem::take(text)),
            [PatternPart::Any, PatternPart::Literal(text), PatternPart::Any] => {
                inside.push(std::mem::take(text))
            }
            _ => like.push(pattern),
        }
    }
    let mut wanted = Vec::new();
    if anything {
        wanted.push(Wanted::Anything);
    }
    if !equal.is_empty() {
        wanted.push(Wanted::Equal(equal.into()));
    }
    if !start.is_empty() {
        wanted.push(Wanted::Start(start.into()));
    }
    if !end.is_empty() {
        wanted.push(Wanted::End(end.into()));
    }
    if !inside.is_empty() {
        wanted.push(Wanted::Inside(inside.into()));
    }
    if !like.is_empty() {
        wanted.push(Wanted::Like(like.into()));
    }
    wanted
}

/// The length and the last bytes of a field's path.
fn mark(field: &Field) -> u64 {
    let path = field.path.as_bytes();
    let last = path.last_chunk().map_or(0, |last| u32::from_le_bytes(*last));
    (path.len() as u64) << u32::BITS | u64::from(last)
}

fn field_id(place: usize) -> FieldId {
    FieldId(u32::try_from(place).unwrap_or(u32::MAX))
}

fn leaf(test: Test, span: Span) -> Logic {
    Logic::Leaf(Leaf { test, span })
}

fn all(mut parts: Vec<Logic>) -> Logic {
    match parts.len() {
        1 => parts.pop().unwrap_or(Logic::Const(true)),
        _ => Logic::And(parts),
    }
}

fn joined(mut parts: Vec<Logic>) -> Logic {
    match parts.len() {
        1 => parts.pop().unwrap_or(Logic::Const(false)),
        _ => Logic::Or(parts),
    }
}

fn place_all(condition: &mut Logic, span: Span) {
    match condition {
        Logic::Const(_) => {}
        Logic::And(parts) | Logic::Or(parts) => parts.iter_mut().for_each(|part| place_all(part, span)),
        Logic::Not(part) => place_all(part, span),
        Logic::Leaf(leaf) => leaf.span = span,
    }
}

/// Events that name a log source themselves.
fn named_source(rule: &Rule) -> Search {
    let names: Vec<&str> = rule.logsource.parts().map(|(_, part)| part).collect();
    let mut wanted = BTreeSet::new();
    for name in &names {
        wanted.insert((*name).to_owned());
        wanted.insert(format!("{name}.*"));
        wanted.insert(format!("*.{name}"));
    }
    let values: Vec<Value> = wanted
        .into_iter()
        .map(|text| Value {
            scalar: Scalar::Text(text),
            span: Span::default(),
        })
        .collect();
    let item = |field: &str| {
        Search::All(vec![Item {
            field: Some(field.to_owned()),
            modifiers: crate::ast::Modifiers::default(),
            values: values.clone(),
            span: Span::default(),
            key_span: Span::default(),
        }])
    };
    Search::Any(vec![item("event.module"), item("event.dataset")])
}
