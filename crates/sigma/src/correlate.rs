//! From correlation rules, and from what old rules ask behind a `|`, to the plan.
//!
//! The conditions of the rules that a correlation is over become part of its plan, and a correlation over a correlation
//! holds that one's whole plan: the engine needs to know of no rule but the one that it runs, and it shares what is equal.

use neph_diag::{Diagnostic, Span};
use neph_event::FieldType;
use neph_plan::{
    Asked, CandidateEvents, Candidates, Condition as Logic, FirstOf, Measure, Presence, Query, Source,
};

use crate::ast::{
    About, Aggregated, Aggregation, Condition, Correlation, CorrelationCondition, CorrelationType, Filter,
    Placed, Rule,
};
use crate::codes;
use crate::collection::{Collection, DocumentId, Referent};
use crate::lower::{Compiled, Lowering, Options};

/// Correlations over correlations are read this deep.
const MAX_DEPTH: usize = 8;
/// A correlation is over so many rules, those that its correlations are over included.
const MAX_SOURCES: usize = 256;
/// So many alternatives of rules are tried.
const MAX_ALTERNATIVES: usize = 256;
/// Old rules that state no time count within a day.
const DEFAULT_TIMEFRAME: u64 = 86_400_000_000_000;

/// Compiles a correlation rule.
pub(crate) fn compile(
    collection: &Collection<'_>,
    id: DocumentId,
    correlation: &Correlation,
    options: &Options<'_>,
) -> Compiled {
    let mut linker = Linker {
        collection,
        lowering: Lowering::new(options),
        origins: Vec::new(),
    };
    let query = linker.correlation(id, correlation, &mut Vec::new());
    let compiled = linker
        .lowering
        .finish(correlation.about.id_span, query.map(Query::Correlation));
    Compiled {
        origins: linker.origins,
        ..compiled
    }
}

struct Linker<'a, 'd> {
    collection: &'a Collection<'d>,
    lowering: Lowering<'a>,
    /// The documents of the conditions so far.
    origins: Vec<DocumentId>,
}

/// A correlation on the way from the outermost one to a rule.
#[derive(Clone)]
pub(crate) struct Level<'c> {
    id: DocumentId,
    correlation: &'c Correlation,
    /// What leads on to the rule.
    reference: &'c Placed,
    /// What it leads to.
    about: &'c About,
}

impl<'d> Linker<'_, 'd> {
    /// The plan of a correlation; `path` leads to it.
    fn correlation<'c>(
        &mut self,
        id: DocumentId,
        correlation: &'c Correlation,
        path: &mut Vec<Level<'c>>,
    ) -> Option<neph_plan::Correlation>
    where
        'd: 'c,
    {
        let mut sources = Vec::new();
        for reference in &correlation.rules {
            let (target, referent) = match self.collection.find(id.file, reference) {
                Ok(found) => found,
                Err(problem) => {
                    self.tell(path, *problem);
                    continue;
                }
            };
            if self.origins.len() >= MAX_SOURCES {
                let message = format!("the correlation is over more than {MAX_SOURCES} rules");
                self.tell(path, Diagnostic::new(&codes::TOO_LARGE, reference.span, message));
                return None;
            }
            let is_above = target == id || path.iter().any(|level| level.id == target);
            let problem = match referent {
                _ if is_above => Some((
                    &codes::CORRELATION_CYCLE,
                    match target == id && path.is_empty() {
                        true => "the correlation is over itself".to_owned(),
                        false => format!("`{}` leads back to this correlation", reference.text),
                    },
                )),
                Referent::Broken => Some((
                    &codes::REFERENCE,
                    format!(
                        "the rule `{}` cannot be used: it has errors itself",
                        reference.text
                    ),
                )),
                Referent::Correlation(_) if path.len() + 1 >= MAX_DEPTH => Some((
                    &codes::TOO_LARGE,
                    format!("correlations are over correlations more than {MAX_DEPTH} times"),
                )),
                _ => None,
            };
            if let Some((code, message)) = problem {
                self.tell(path, Diagnostic::new(code, reference.span, message));
                continue;
            }
            let about = match referent {
                Referent::Rule(rule) => &rule.about,
                Referent::Correlation(inner) => &inner.about,
                Referent::Broken => continue,
            };
            let over_matches = match referent {
                Referent::Rule(rule) => rule.aggregation.is_some(),
                _ => true,
            };
            if over_matches && self.measures(correlation) {
                let message = format!(
                    "`{}` finds groups of events, of which no single value can be measured",
                    reference.text
                );
                self.tell(
                    path,
                    Diagnostic::new(&codes::CORRELATION, reference.span, message),
                );
                continue;
            }
            path.push(Level {
                id,
                correlation,
                reference,
                about,
            });
            let candidates = match referent {
                Referent::Rule(rule) => {
                    let candidates = self.rule(rule, path);
                    let number = match &candidates {
                        Some(Candidates::Matches(inner)) => inner.events().len(),
                        _ => 1,
                    };
                    self.origins.extend(std::iter::repeat_n(target, number));
                    candidates
                }
                Referent::Correlation(inner) => self
                    .correlation(target, inner, path)
                    .map(|inner| Candidates::Matches(Box::new(inner))),
                Referent::Broken => None,
            };
            path.pop();
            sources.push(Source {
                name: about.title.as_deref().unwrap_or(reference.text.as_str()).into(),
                candidates: candidates?,
            });
        }
        let is_complete = sources.len() == correlation.rules.len();
        let asked = self.asked(correlation, path)?;
        is_complete.then(|| neph_plan::Correlation {
            sources,
            group: correlation
                .group_by
                .iter()
                .map(|field| field.text.as_str().into())
                .collect(),
            timespan: correlation.timespan,
            asked,
        })
    }

    fn measures(&self, correlation: &Correlation) -> bool {
        use CorrelationType as Kind;
        matches!(
            correlation.kind,
            Kind::ValueSum | Kind::ValueAvg | Kind::ValuePercentile | Kind::ValueMedian
        )
    }

    /// Tells a problem: in its own place where the correlation is the outermost one, else where that one refers to it.
    fn tell(&mut self, path: &[Level<'_>], problem: Diagnostic) {
        let Some(outermost) = path.first() else {
            return self.lowering.diagnostics.push(problem);
        };
        let message = format!(
            "`{}` cannot be used: {}",
            outermost.reference.text, problem.message
        );
        self.lowering
            .diagnostics
            .push(Diagnostic::new(problem.code, outermost.reference.span, message));
    }

    /// The events of a rule, or where it is an old one that aggregates, its matches.
    fn rule(&mut self, rule: &Rule, path: &[Level<'_>]) -> Option<Candidates> {
        let outermost = path.first()?.reference;
        let filters = self.collection.filters_of(rule);
        // What is wrong with the rule, or to be said of it, is said where it stands.
        let told = std::mem::take(&mut self.lowering.diagnostics);
        let unknown = std::mem::take(&mut self.lowering.unknown_fields);
        let candidates = match &rule.aggregation {
            None => {
                let condition = self.lowering.detection(rule, &filters);
                let detection_said = std::mem::take(&mut self.lowering.diagnostics);
                let events = self.lowering.events(condition, path);
                self.lowering.diagnostics.extend(
                    detection_said
                        .into_iter()
                        .filter(|said| said.severity() == neph_diag::Severity::Error),
                );
                Some(Candidates::Events(events))
            }
            Some(aggregation) => self
                .lowering
                .aggregated(rule, &filters, aggregation, path)
                .map(|inner| Candidates::Matches(Box::new(inner))),
        };
        let own = std::mem::replace(&mut self.lowering.diagnostics, told);
        let of_fields = std::mem::replace(&mut self.lowering.unknown_fields, unknown);
        for field in of_fields.into_keys() {
            self.lowering
                .unknown_fields
                .entry(field)
                .or_insert(outermost.span);
        }
        let mut errors = own
            .into_iter()
            .filter(|said| said.severity() == neph_diag::Severity::Error)
            .peekable();
        if errors.peek().is_some() {
            let of_aliases: Vec<Diagnostic> = errors
                .filter(|said| std::ptr::eq(said.code, &codes::CORRELATION_ALIAS))
                .collect();
            if of_aliases.is_empty() {
                let message = format!(
                    "the rule `{}` cannot be used: it has errors itself",
                    outermost.text
                );
                self.tell(&[], Diagnostic::new(&codes::REFERENCE, outermost.span, message));
            }
            for problem in of_aliases {
                self.lowering.diagnostics.push(problem);
            }
            return None;
        }
        candidates
    }

    fn asked(&mut self, correlation: &Correlation, path: &[Level<'_>]) -> Option<Asked> {
        use CorrelationType as Kind;
        let count = correlation.rules.len();
        if correlation.kind.is_temporal() {
            let alternatives = match &correlation.condition {
                None => Ok(vec![Presence {
                    present: (0..).take(count).collect(),
                    absent: Vec::new(),
                }]),
                Some(CorrelationCondition::Number { bounds, span, .. }) => subsets(count, |number| {
                    bounds.iter().all(|bound| bound.holds(number as f64))
                })
                .map_err(|message| (*span, message)),
                Some(CorrelationCondition::Rules(condition)) => {
                    self.of_rules(correlation, condition, path)?
                }
            };
            let alternatives = alternatives.and_then(|alternatives| {
                let needs_none = alternatives.iter().any(|one| one.present.is_empty());
                match alternatives.is_empty() || needs_none {
                    false => Ok(alternatives),
                    true if needs_none => Err((
                        correlation.span,
                        "the condition holds also where none of the rules matches".into(),
                    )),
                    true => Err((correlation.span, "the condition never holds".into())),
                }
            });
            return match alternatives {
                Ok(alternatives) => Some(Asked::Together {
                    alternatives,
                    ordered: correlation.kind == Kind::TemporalOrdered,
                }),
                Err((span, message)) => {
                    self.tell(path, Diagnostic::new(&codes::CORRELATION, span, message));
                    None
                }
            };
        }
        let Some(CorrelationCondition::Number {
            bounds,
            fields,
            percentile,
            span,
        }) = &correlation.condition
        else {
            return None;
        };
        let measure = match correlation.kind {
            Kind::EventCount => Measure::Count,
            Kind::ValueCount => Measure::Distinct,
            Kind::ValueSum => Measure::Sum,
            Kind::ValueAvg => Measure::Average,
            Kind::ValuePercentile => {
                if percentile.is_none() && path.is_empty() {
                    let message = "the condition does not say which percentile";
                    self.lowering.diagnostics.push(
                        Diagnostic::new(&codes::CORRELATION_PERCENTILE, *span, message)
                            .with_help("`percentile: 95`; without it the median is taken, the 50th"),
                    );
                }
                Measure::Percentile(percentile.unwrap_or(50.0))
            }
            _ => Measure::Percentile(50.0),
        };
        Some(Asked::Number {
            measure,
            fields: fields.iter().map(|field| field.text.as_str().into()).collect(),
            bounds: bounds.clone(),
        })
    }

    /// The alternatives that a condition over rules leaves. `None` where a name is wrong, which has been told.
    fn of_rules(
        &mut self,
        correlation: &Correlation,
        condition: &Condition,
        path: &[Level<'_>],
    ) -> Option<Result<Vec<Presence>, (Span, String)>> {
        let mut used = vec![false; correlation.rules.len()];
        let known = self.lowering.diagnostics.len();
        let normal = self.normal_form(correlation, condition, false, &mut used, path);
        if self.lowering.diagnostics.len() > known {
            return None;
        }
        for (rule, _) in correlation.rules.iter().zip(&used).filter(|(_, used)| !**used) {
            let message = format!("the condition does not use the rule `{}`", rule.text);
            self.tell(path, Diagnostic::new(&codes::CORRELATION, rule.span, message));
        }
        match normal {
            Some(_) if self.lowering.diagnostics.len() > known => None,
            Some(alternatives) => Some(Ok(alternatives)),
            None => Some(Err((
                correlation.span,
                format!("the condition has more than {MAX_ALTERNATIVES} alternatives"),
            ))),
        }
    }

    /// The disjunctive normal form, without contradictions; `None` where it is too large.
    fn normal_form(
        &mut self,
        correlation: &Correlation,
        condition: &Condition,
        is_negated: bool,
        used: &mut [bool],
        path: &[Level<'_>],
    ) -> Option<Vec<Presence>> {
        match condition {
            Condition::Name(name, span) => {
                let Some(place) = correlation.rules.iter().position(|rule| rule.text == *name) else {
                    let message = format!("the condition names `{name}`, which is not among `rules`");
                    self.tell(path, Diagnostic::new(&codes::CORRELATION, *span, message));
                    return Some(Vec::new());
                };
                if let Some(used) = used.get_mut(place) {
                    *used = true;
                }
                let place = vec![u16::try_from(place).ok()?];
                Some(vec![match is_negated {
                    false => Presence {
                        present: place,
                        absent: Vec::new(),
                    },
                    true => Presence {
                        present: Vec::new(),
                        absent: place,
                    },
                }])
            }
            Condition::Of { span, .. } => {
                let message = "rules are named singly here, without `of`";
                self.tell(path, Diagnostic::new(&codes::CORRELATION, *span, message));
                Some(Vec::new())
            }
            Condition::Not(part) => self.normal_form(correlation, part, !is_negated, used, path),
            Condition::And(parts) | Condition::Or(parts) => {
                let is_and = matches!(condition, Condition::And(_)) != is_negated;
                let mut whole = match is_and {
                    true => vec![Presence::default()],
                    false => Vec::new(),
                };
                for part in parts {
                    let part = self.normal_form(correlation, part, is_negated, used, path)?;
                    whole = match is_and {
                        true => product(&whole, &part),
                        false => whole.into_iter().chain(part).collect(),
                    };
                    if whole.len() > MAX_ALTERNATIVES {
                        return None;
                    }
                }
                Some(whole)
            }
        }
    }
}

/// Both of two alternatives, those that contradict themselves left out.
fn product(left: &[Presence], right: &[Presence]) -> Vec<Presence> {
    let mut both = Vec::new();
    for one in left {
        for other in right {
            let joined = |a: &[u16], b: &[u16]| {
                let mut list = [a, b].concat();
                list.sort_unstable();
                list.dedup();
                list
            };
            let presence = Presence {
                present: joined(&one.present, &other.present),
                absent: joined(&one.absent, &other.absent),
            };
            let contradicts = presence.present.iter().any(|rule| presence.absent.contains(rule));
            if !contradicts && !both.contains(&presence) {
                both.push(presence);
            }
        }
    }
    both
}

/// The alternatives that say that so many of the rules match.
fn subsets(rules: usize, holds: impl Fn(usize) -> bool) -> Result<Vec<Presence>, String> {
    let numbers: Vec<usize> = (1..=rules).filter(|number| holds(*number)).collect();
    let Some(least) = numbers.first().copied() else {
        return Err(format!("the condition never holds of {rules} rules"));
    };
    // Where more rules do no harm the others need not be absent, and the fewest are enough.
    let is_open = numbers.last() == Some(&rules) && numbers.len() == rules - least + 1;
    let wanted = if is_open { vec![least] } else { numbers };
    let mut alternatives = Vec::new();
    for number in wanted {
        choose(rules, number, &mut Vec::new(), &mut |present| {
            let absent = (0..)
                .take(rules)
                .filter(|rule| !is_open && !present.contains(rule));
            if alternatives.len() <= MAX_ALTERNATIVES {
                alternatives.push(Presence {
                    present: present.to_vec(),
                    absent: absent.collect(),
                });
            }
            alternatives.len() <= MAX_ALTERNATIVES
        });
    }
    match alternatives.len() > MAX_ALTERNATIVES {
        true => Err(format!(
            "the condition has more than {MAX_ALTERNATIVES} alternatives"
        )),
        false => Ok(alternatives),
    }
}

/// Hands on every choice of so many of the rules; ends when `give` says so.
fn choose(rules: usize, number: usize, chosen: &mut Vec<u16>, give: &mut impl FnMut(&[u16]) -> bool) -> bool {
    if chosen.len() == number {
        return give(chosen);
    }
    let next = chosen.last().map_or(0, |last| usize::from(*last) + 1);
    for rule in next..rules {
        let Ok(rule) = u16::try_from(rule) else { break };
        chosen.push(rule);
        let goes_on = choose(rules, number, chosen, give);
        chosen.pop();
        if !goes_on {
            return false;
        }
    }
    true
}

/// What a level is called by in aliases.
fn is_called(level: &Level<'_>, name: &str) -> bool {
    level.reference.text == name || level.about.is_called(name)
}

impl Lowering<'_> {
    /// The events that satisfy a condition, with the values that the correlations on the path need of them.
    fn events(&mut self, condition: Logic, path: &[Level<'_>]) -> CandidateEvents {
        let keys = self.outer_keys(path);
        let mut measured = FirstOf::default();
        if let Some(level) = path.last()
            && let Some(CorrelationCondition::Number { fields, .. }) = &level.correlation.condition
            && level.correlation.kind != CorrelationType::ValueCount
            && let Some(field) = fields.first()
        {
            measured = self.value(path, path.len() - 1, field, FieldType::Double);
        }
        CandidateEvents {
            condition,
            keys,
            measured,
        }
    }

    /// The values that the correlations on the path need, the innermost first.
    fn outer_keys(&mut self, path: &[Level<'_>]) -> Vec<Vec<FirstOf>> {
        let mut keys = Vec::new();
        for (place, level) in path.iter().enumerate().rev() {
            let counted = match &level.correlation.condition {
                Some(CorrelationCondition::Number { fields, .. })
                    if level.correlation.kind == CorrelationType::ValueCount =>
                {
                    fields.as_slice()
                }
                _ => &[],
            };
            let fields = level.correlation.group_by.iter().chain(counted);
            let fields: Vec<Placed> = fields.cloned().collect();
            keys.push(
                fields
                    .iter()
                    .map(|field| self.value(path, place, field, FieldType::Keyword))
                    .collect(),
            );
        }
        keys
    }

    /// Where a value stands that the correlation at `place` of the path calls by this name.
    fn value(&mut self, path: &[Level<'_>], place: usize, field: &Placed, kind: FieldType) -> FirstOf {
        let mut name = field.text.as_str();
        for (at, level) in path.iter().enumerate().skip(place) {
            let Some(alias) = level
                .correlation
                .aliases
                .iter()
                .find(|alias| alias.name.text == name)
            else {
                continue;
            };
            let below = path.get(at..).unwrap_or(&[]);
            let of_rule = |rule: &Placed| below.iter().any(|level| is_called(level, &rule.text));
            match alias.fields.iter().find(|(rule, _)| of_rule(rule)) {
                Some((_, field)) => name = &field.text,
                None => {
                    let message = format!(
                        "the alias `{name}` does not say which field it is in the rule `{}`",
                        level.reference.text
                    );
                    let span = if at == 0 {
                        alias.name.span
                    } else {
                        level_span(path)
                    };
                    let problem = Diagnostic::new(&codes::CORRELATION_ALIAS, span, message);
                    if !self
                        .diagnostics
                        .iter()
                        .any(|known| known.message == problem.message)
                    {
                        self.diagnostics
                            .push(problem.with_help("add a line with the rule's name and the field"));
                    }
                    return FirstOf::default();
                }
            }
        }
        self.lookup(name, kind, field.span)
    }

    /// What an old rule asks of the events that its condition finds; the correlations on the path are over its matches.
    pub(crate) fn aggregated(
        &mut self,
        rule: &Rule,
        filters: &[&Filter],
        aggregation: &Aggregation,
        path: &[Level<'_>],
    ) -> Option<neph_plan::Correlation> {
        let timespan = match rule.timeframe {
            Some((timespan, _)) => timespan,
            None => {
                let message = "the rule does not say within which time it counts";
                self.diagnostics.push(
                    Diagnostic::new(&codes::TIMEFRAME_MISSING, aggregation.span, message)
                        .with_help("add `timeframe: 5m` to `detection`; a day is taken without it"),
                );
                DEFAULT_TIMEFRAME
            }
        };
        let source =
            |lowering: &mut Self, name: &str, condition: Logic, group: &[&Placed], measured: FirstOf| {
                let mut keys = vec![
                    group
                        .iter()
                        .map(|field| lowering.lookup(&field.text, FieldType::Keyword, field.span))
                        .collect(),
                ];
                keys.extend(lowering.outer_keys(path));
                Source {
                    name: name.into(),
                    candidates: Candidates::Events(CandidateEvents {
                        condition,
                        keys,
                        measured,
                    }),
                }
            };
        let title = rule.about.title.as_deref().unwrap_or_default();
        match &aggregation.asked {
            Aggregated::Number {
                measure,
                field,
                group,
                bound,
            } => {
                let condition = self.detection(rule, filters);
                let mut keys: Vec<&Placed> = group.iter().collect();
                let mut measured = FirstOf::default();
                if let Some(field) = field {
                    match measure.needs_numbers() {
                        true => measured = self.lookup(&field.text, FieldType::Double, field.span),
                        false => keys.push(field),
                    }
                }
                Some(neph_plan::Correlation {
                    sources: vec![source(self, title, condition, &keys, measured)],
                    group: group.iter().map(|field| field.text.as_str().into()).collect(),
                    timespan,
                    asked: Asked::Number {
                        measure: *measure,
                        fields: field.iter().map(|field| field.text.as_str().into()).collect(),
                        bounds: vec![*bound],
                    },
                })
            }
            Aggregated::Near { present, absent } => {
                let names: Vec<&str> = present
                    .iter()
                    .chain(absent)
                    .map(|name| name.text.as_str())
                    .collect();
                let condition = self.scoped(rule, filters, &names, |lowering, used| {
                    lowering.any(&rule.searches, &rule.conditions, used)
                });
                let mut sources = vec![source(self, title, condition, &[], FirstOf::default())];
                for name in present.iter().chain(absent) {
                    let condition = Condition::Name(name.text.clone(), name.span);
                    let others: Vec<&str> = rule.searches.iter().map(|named| named.name.as_str()).collect();
                    let condition = self.scoped(rule, filters, &others, |lowering, used| {
                        lowering.any(&rule.searches, std::slice::from_ref(&condition), used)
                    });
                    sources.push(source(self, &name.text, condition, &[], FirstOf::default()));
                }
                let end = present.len() + 1;
                Some(neph_plan::Correlation {
                    asked: Asked::Together {
                        alternatives: vec![Presence {
                            present: (0..).take(end).collect(),
                            absent: (0..).take(sources.len()).skip(end).collect(),
                        }],
                        ordered: false,
                    },
                    sources,
                    group: Vec::new(),
                    timespan,
                })
            }
        }
    }
}

/// Where the outermost correlation refers to the rule.
fn level_span(path: &[Level<'_>]) -> Span {
    path.first().map_or(Span::default(), |level| level.reference.span)
}
