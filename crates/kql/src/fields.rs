//! Questions to fields, as Elasticsearch's query DSL answers them: `term`, `match`, `match_phrase`, `wildcard`, `regexp`,
//! `exists` and `range`.
//!
//! A keyword is compared as a whole and exactly; one with a normalizer, without case. Analysed text is compared word by
//! word ([`neph_plan::words`]). Dates that leave parts out stand for the whole time, and a network for its addresses.
//! <https://www.elastic.co/docs/reference/query-languages/query-dsl/full-text-queries>

use std::sync::Arc;

use neph_diag::{Diagnostic, Span, has_errors};
use neph_event::{ANY_FIELD, Exactness, Field, FieldType, Instant, Schema, Value};
use neph_plan::{
    Case, Condition, Expr, FieldId, Pattern, PatternPart, Phrase, RegexDialect, Relation, Test, regex,
};

use crate::codes;
use crate::typing::{self, Typed};

/// A field as a query uses it, once for every place.
#[derive(Clone, Debug)]
pub struct FieldUse {
    /// The name in the query; a pattern where it has wildcards.
    pub name: Box<str>,
    /// Where it stands.
    pub span: Span,
    /// Whether the schema has it.
    pub known: bool,
    /// The integrations that are known to fill it, as `package.data_stream`; empty where none is known.
    pub sources: Arc<[&'static str]>,
}

/// The fields of a plan in the making.
#[derive(Debug)]
pub struct Fields<'a> {
    pub(crate) schema: &'a Schema,
    now: Instant,
    fields: Vec<Arc<Field>>,
    /// Every use of a field.
    pub uses: Vec<FieldUse>,
    /// What was found wrong.
    pub diagnostics: Vec<Diagnostic>,
}

/// A field that is asked.
#[derive(Clone, Debug)]
pub struct Target {
    id: FieldId,
    name: Box<str>,
    type_name: Box<str>,
    compares: Compares,
}

impl Target {
    /// The name of the field.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a keyword, as a field is that no mapping has, since texts become keywords then.
    pub(crate) fn is_keyword(&self) -> bool {
        matches!(&*self.type_name, "keyword" | "") && !matches!(self.compares, Compares::Both)
    }
}

/// How the values of a field compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compares {
    Whole(Case),
    ByWords,
    /// Whole or by words: any field may be either.
    Both,
    /// Not at all: an object, a shape.
    Never,
}

/// A value that a field is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// `match`: the value, or any of its words.
    Text(&'a str),
    /// `match_phrase`: the value, or all its words in a row.
    Phrase(&'a str),
    /// The pattern, matched by the value or by one of its words.
    Wildcard(&'a Pattern),
    /// Lucene's regular expression, matched likewise.
    Regex(&'a str),
}

impl<'a> Fields<'a> {
    /// Begins with the fields of a plan, if there are any.
    pub fn new(schema: &'a Schema, now: Instant, fields: Vec<Arc<Field>>) -> Self {
        Self {
            schema,
            now,
            fields,
            uses: Vec::new(),
            diagnostics: Vec::new(),
        }
    }

    /// The fields, for the plan.
    pub fn into_fields(self) -> Vec<Arc<Field>> {
        self.fields
    }

    pub(crate) fn fields(&self) -> &[Arc<Field>] {
        &self.fields
    }

    /// The id of a field; equal fields share one.
    pub fn intern(&mut self, field: impl Into<Arc<Field>>) -> FieldId {
        let field = field.into();
        let known = self.fields.iter().position(|other| *other == field);
        let position = known.unwrap_or_else(|| {
            self.fields.push(field);
            self.fields.len() - 1
        });
        FieldId(u32::try_from(position).unwrap_or(u32::MAX))
    }

    /// Looks a field up, and reports one that the schema does not have; `None` where that is an error.
    pub fn resolve(&mut self, name: &str, span: Span) -> Option<Target> {
        self.resolve_in(name, span, false)
    }

    /// The same for a name in braces, if it is `nested`: there the fields of the objects of a list can be asked, whose
    /// types a mapping does not tell here.
    pub(crate) fn resolve_in(&mut self, name: &str, span: Span, nested: bool) -> Option<Target> {
        let def = self.schema.get(name);
        let own = match name {
            "_id" => Some(Field::record_id()),
            "_index" => Some(Field::record_index()),
            _ => None,
        };
        let reported = self.uses.iter().any(|other| *other.name == *name);
        self.uses.push(FieldUse {
            name: name.into(),
            span,
            known: def.is_some() || own.is_some(),
            sources: def
                .as_ref()
                .map(|def| Arc::clone(&def.sources))
                .unwrap_or_default(),
        });
        if def.is_none() && own.is_none() && (!reported || self.schema.is_strict()) {
            self.diagnostics
                .push(codes::unknown_field(self.schema, name, span));
            if self.schema.is_strict() {
                return None;
            }
        }
        let target = self.target(name);
        if nested && &*target.type_name == "nested" {
            return Some(Target {
                id: self.intern(Schema::unknown(name)),
                compares: Compares::Whole(Case::Sensitive),
                ..target
            });
        }
        Some(target)
    }

    /// The field of a name that is known to exist, or not to.
    pub(crate) fn target(&mut self, name: &str) -> Target {
        let own = match name {
            "_id" => Some(Field::record_id()),
            "_index" => Some(Field::record_index()),
            _ => None,
        };
        let def = self.schema.get(name);
        let compares = match &def {
            None => Compares::Whole(Case::Sensitive),
            Some(def) => match def.exactness {
                Exactness::Unsupported => Compares::Never,
                Exactness::Normalized => Compares::Whole(Case::Insensitive),
                _ if is_analysed(&def.type_name) => Compares::ByWords,
                Exactness::Exact | Exactness::NoExactSubfield => Compares::Whole(Case::Sensitive),
            },
        };
        let type_name = def.as_ref().map_or("", |def| &*def.type_name).into();
        let field = own
            .or_else(|| def.map(|def| def.field.clone()))
            .unwrap_or_else(|| Schema::unknown(name));
        Target {
            id: self.intern(field),
            name: name.into(),
            type_name,
            compares,
        }
    }

    /// All values of an event together, whichever fields they belong to.
    pub fn everywhere(&mut self) -> Target {
        Target {
            id: self.intern(Field::new(ANY_FIELD, FieldType::Dynamic)),
            name: "any field".into(),
            type_name: "".into(),
            compares: Compares::Both,
        }
    }

    fn field(&self, target: &Target) -> Field {
        let known = self.fields.get(target.id.0 as usize);
        known.map_or_else(|| Schema::unknown(&target.name), |field| (**field).clone())
    }

    /// The field has a value. An object has one if something in it has.
    pub fn exists(&mut self, target: &Target, span: Span) -> Condition {
        let mut ids = vec![target.id];
        if matches!(target.compares, Compares::Never) || target.type_name.as_ref() == "flattened" {
            let prefix = format!("{}.", target.name);
            let mut inside: Vec<Field> = self
                .schema
                .fields()
                .filter(|def| def.is_supported() && def.name.starts_with(&prefix))
                .map(|def| def.field.clone())
                .collect();
            if target.type_name.as_ref() == "geo_point" {
                inside.extend(
                    ["lat", "lon"].map(|part| Field::new(format!("{prefix}{part}"), FieldType::Double)),
                );
            }
            ids.extend(inside.into_iter().map(|field| self.intern(field)));
        }
        ids.sort_unstable();
        ids.dedup();
        let tests = ids.into_iter().map(|id| Condition::leaf(Test::Exists(id), span));
        Condition::any(tests.collect())
    }

    /// A value stands in this relation to the bound.
    pub fn range(
        &mut self,
        target: &Target,
        relation: Relation,
        bound: &str,
        place: Span,
        span: Span,
    ) -> Condition {
        if !self.is_readable(target, place) {
            return Condition::Const(false);
        }
        let field = self.field(target);
        let value = match target.compares {
            Compares::ByWords => None,
            _ => typing::bound(bound, &field, relation, self.now),
        };
        match value {
            Some(value) => Condition::leaf(Test::Compare(target.id, relation, value), span),
            None => self.never(target, bound, place),
        }
    }

    /// One value meets all bounds, each given with its text and the place of it.
    pub fn between(&mut self, target: &Target, bounds: &[(Relation, &str, Span)], span: Span) -> Condition {
        let tests: Vec<Condition> = bounds
            .iter()
            .map(|(relation, bound, place)| self.range(target, *relation, bound, *place, span))
            .collect();
        // Expressions compare values of one type only; those of a field without type are compared one bound at a time.
        if tests.len() < 2 || self.field(target).kind == FieldType::Dynamic {
            return Condition::all(tests);
        }
        let compare = |test: &Condition| match test {
            Condition::Leaf(leaf) => match &leaf.test {
                Test::Compare(field, relation, value) => Some(Expr::Compare(
                    *relation,
                    Box::new(Expr::Field(*field)),
                    Box::new(Expr::Const(Some(value.clone()))),
                )),
                _ => None,
            },
            _ => None,
        };
        match tests.iter().map(compare).collect::<Option<Vec<Expr>>>() {
            Some(all) => Condition::leaf(Test::Expr(Expr::And(all)), span),
            None => Condition::all(tests),
        }
    }

    /// A value is any of these; `span` is the text of the whole question, those beside the values their own.
    pub fn any_of<'w>(
        &mut self,
        target: &Target,
        wanted: impl IntoIterator<Item = (Wanted<'w>, Span)>,
        case: Option<Case>,
        span: Span,
    ) -> Condition {
        let field = self.field(target);
        let mut found = Found::default();
        for (wanted, place) in wanted {
            if !self.is_readable(target, place) {
                return Condition::Const(false);
            }
            match (target.compares, wanted) {
                (Compares::ByWords, wanted) => self.words(target, wanted, place, &mut found),
                (Compares::Both, wanted) => found.anything(wanted),
                (_, Wanted::Text(text) | Wanted::Phrase(text)) => match typing::typed(text, &field, self.now)
                {
                    Typed::Value(value) => found.values.push(value),
                    Typed::Network(network) => found.networks.push(network),
                    Typed::ValueOrNetwork(value, network) => {
                        found.values.push(value);
                        found.networks.push(network);
                    }
                    Typed::Between(first, last) => found.periods.push((first, last)),
                    Typed::Never => {
                        self.never(target, text, place);
                    }
                },
                (_, Wanted::Wildcard(_) | Wanted::Regex(_)) if !holds_text(field.kind) => {
                    let shown = match wanted {
                        Wanted::Wildcard(pattern) => shown(pattern),
                        Wanted::Regex(text) | Wanted::Text(text) | Wanted::Phrase(text) => text.to_owned(),
                    };
                    self.never(target, &shown, place);
                }
                (_, Wanted::Wildcard(pattern)) => match pattern.as_literal() {
                    Some(literal) => found.values.push(Value::String(literal.into())),
                    None => found.patterns.push(pattern.clone()),
                },
                (_, Wanted::Regex(text)) => found.regexes.push(text.into()),
            }
        }
        let case = case.unwrap_or(match target.compares {
            Compares::Whole(case) => case,
            Compares::ByWords | Compares::Both | Compares::Never => Case::Sensitive,
        });
        found.into_condition(target.id, case, span)
    }

    fn words(&mut self, target: &Target, wanted: Wanted<'_>, place: Span, found: &mut Found) {
        let before = found.phrases.len();
        match wanted {
            Wanted::Text(text) => {
                found.phrases.extend(single_words(text));
            }
            Wanted::Phrase(text) => found.phrases.extend(Phrase::of(text)),
            Wanted::Wildcard(pattern) => match pattern.as_literal() {
                Some(text) => return self.words(target, Wanted::Text(text), place, found),
                None => found.phrases.push(Phrase {
                    words: vec![pattern.clone()],
                }),
            },
            Wanted::Regex(text) => return found.regexes.push(text.into()),
        }
        if found.phrases.len() == before {
            let message = format!(
                "`{}` is analysed text, and there is no word in what it is compared with",
                target.name
            );
            self.diagnostics.push(
                Diagnostic::new(&codes::TYPE_NEVER_MATCHES, place, message)
                    .with_help("signs and spaces only separate words; ask for words"),
            );
        }
    }

    /// Reports a regular expression that does not compile; whether it does.
    pub fn check_regex(&mut self, text: &str, span: Span) -> bool {
        let compiled = regex::compile(&[text.into()], RegexDialect::Lucene, Case::Sensitive);
        if let Err(error) = &compiled {
            let message = format!("the regular expression is not valid: {}", error.reason);
            self.diagnostics
                .push(Diagnostic::new(&codes::LUCENE_SYNTAX, span, message));
        }
        compiled.is_ok()
    }

    fn is_readable(&mut self, target: &Target, span: Span) -> bool {
        let readable = target.compares != Compares::Never;
        if !readable {
            let message = format!(
                "`{}` is of type `{}`, which queries cannot read",
                target.name, target.type_name
            );
            self.diagnostics
                .push(Diagnostic::new(&codes::UNSUPPORTED_TYPE, span, message));
        }
        readable
    }

    fn never(&mut self, target: &Target, constant: &str, span: Span) -> Condition {
        let kind = self.field(target).kind;
        let help = match kind {
            FieldType::Ip => "compare with an address, or with a network: `\"10.0.0.0/8\"`",
            kind => codes::comparable(kind),
        };
        self.diagnostics
            .push(codes::type_never_matches(&target.name, &target.type_name, constant, span).with_help(help));
        Condition::Const(false)
    }

    pub(crate) fn has_errors(&self) -> bool {
        has_errors(&self.diagnostics)
    }
}

/// Whether values of a kind have a text that patterns can match.
fn holds_text(kind: FieldType) -> bool {
    matches!(
        kind,
        FieldType::Keyword | FieldType::Text | FieldType::Dynamic | FieldType::Version
    )
}

fn is_analysed(type_name: &str) -> bool {
    matches!(type_name, "text" | "match_only_text" | "annotated_text")
}

/// A pattern as KQL writes it.
pub(crate) fn shown(pattern: &Pattern) -> String {
    let mut text = String::new();
    for part in &pattern.parts {
        match part {
            PatternPart::Literal(literal) => text.push_str(literal),
            PatternPart::One => text.push('?'),
            PatternPart::Any => text.push('*'),
        }
    }
    text
}

/// Each word of a text, as a phrase of its own.
fn single_words(text: &str) -> impl Iterator<Item = Phrase> {
    neph_plan::words::words(text).map(|word| Phrase {
        words: vec![Pattern::literal(word)],
    })
}

/// What a field may be, by the test that finds it.
#[derive(Default)]
struct Found {
    values: Vec<Value>,
    networks: Vec<ipnet::IpNet>,
    periods: Vec<(Instant, Instant)>,
    patterns: Vec<Pattern>,
    phrases: Vec<Phrase>,
    regexes: Vec<Box<str>>,
}

impl Found {
    /// A value or words of it, whatever field they belong to.
    fn anything(&mut self, wanted: Wanted<'_>) {
        match wanted {
            Wanted::Text(text) => {
                self.values.push(Value::String(text.into()));
                self.phrases.extend(single_words(text));
            }
            Wanted::Phrase(text) => {
                self.values.push(Value::String(text.into()));
                self.phrases.extend(Phrase::of(text));
            }
            Wanted::Wildcard(pattern) => {
                self.patterns.push(pattern.clone());
                self.phrases.push(Phrase {
                    words: vec![pattern.clone()],
                });
            }
            Wanted::Regex(text) => self.regexes.push(text.into()),
        }
    }

    fn into_condition(self, id: FieldId, case: Case, span: Span) -> Condition {
        let mut tests = Vec::new();
        if !self.values.is_empty() {
            tests.push(Test::Equals(id, self.values.into(), case));
        }
        if !self.networks.is_empty() {
            tests.push(Test::Cidr(id, self.networks.into()));
        }
        if !self.patterns.is_empty() {
            tests.push(Test::Like(id, self.patterns.into(), case));
        }
        if !self.phrases.is_empty() {
            tests.push(Test::Words(id, self.phrases.into()));
        }
        if !self.regexes.is_empty() {
            tests.push(Test::Regex(id, self.regexes.into(), RegexDialect::Lucene, case));
        }
        let mut conditions: Vec<Condition> = tests
            .into_iter()
            .map(|test| Condition::leaf(test, span))
            .collect();
        for (first, last) in self.periods {
            // One value must lie between both ends, so that both are asked of one choice.
            let bound = |relation, date| {
                let (value, date) = (Expr::Field(id), Expr::Const(Some(Value::Date(date))));
                Expr::Compare(relation, Box::new(value), Box::new(date))
            };
            let both = vec![
                bound(Relation::GreaterOrEqual, first),
                bound(Relation::LessOrEqual, last),
            ];
            conditions.push(Condition::leaf(Test::Expr(Expr::And(both)), span));
        }
        Condition::any(conditions)
    }
}
