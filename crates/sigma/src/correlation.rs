//! From YAML to correlation rules.
//! <https://github.com/SigmaHQ/sigma-specification/blob/main/specification/sigma-correlation-rules-specification.md>

use neph_diag::{Diagnostic, Span};
use neph_plan::Bound;

use crate::ast::{About, Alias, Correlation, CorrelationCondition, CorrelationType, Placed};
use crate::codes;
use crate::document::Reader;
use crate::modifiers::closest;
use crate::yaml::{Data, Entry, Node};

const KEYS: &[&str] = &[
    "type",
    "rules",
    "aliases",
    "group-by",
    "timespan",
    "condition",
    "generate",
];
const OPERATORS: &[&str] = &["gt", "gte", "lt", "lte", "eq", "neq"];

const SECOND: u64 = 1_000_000_000;

impl Reader<'_> {
    /// Reads a correlation; what is wrong with it is told, and then there is nothing but what it says of itself.
    #[expect(clippy::result_large_err, reason = "it is moved once for each document")]
    pub(crate) fn correlation(
        &mut self,
        root: &Node,
        entry: &Entry,
        about: About,
    ) -> Result<Correlation, About> {
        let known = self.diagnostics.len();
        let read = self.read_correlation(root, entry, about.clone());
        let found = self.diagnostics.get(known..).unwrap_or(&[]);
        match read {
            Some(correlation) if !neph_diag::has_errors(found) => Ok(correlation),
            _ => Err(about),
        }
    }

    fn read_correlation(&mut self, root: &Node, entry: &Entry, about: About) -> Option<Correlation> {
        let node = &entry.value;
        if !matches!(node.data, Data::Map(_)) {
            self.wrong_kind(node, "`correlation`", "a map with `type`, `rules` and `timespan`");
            return None;
        }
        self.check_twice(node);
        for other in node
            .entries()
            .iter()
            .filter(|other| !KEYS.contains(&other.key.as_str()))
        {
            let message = format!("a correlation has no key `{}`", other.key);
            let diagnostic = Diagnostic::new(&codes::CORRELATION, other.key_span, message);
            self.diagnostics
                .push(match closest(&other.key, KEYS.iter().copied()) {
                    Some(known) => diagnostic.with_help(format!("did you mean `{known}`?")),
                    None => diagnostic.with_help(format!("its keys are `{}`", KEYS.join("`, `"))),
                });
        }
        for key in ["logsource", "detection"] {
            if let Some(other) = root.entry(key) {
                let message = format!("a correlation rule has no `{key}`: its rules have");
                self.diagnostics.push(
                    Diagnostic::new(&codes::CORRELATION, other.key_span, message).with_help(
                        "put the detection into a document of its own, and name that under `rules`",
                    ),
                );
            }
        }
        let kind = self.kind(node, entry.key_span);
        let timespan = match node.get("timespan") {
            Some(span) => self.timespan(span, "timespan"),
            None => {
                self.missing("timespan", entry.key_span);
                None
            }
        };
        let mut group_by = node
            .get("group-by")
            .map_or_else(Vec::new, |node| self.placed(node, "group-by"));
        let mut once: Vec<Placed> = Vec::new();
        group_by.retain(|field| {
            let is_new = !once.iter().any(|known| known.text == field.text);
            once.push(field.clone());
            is_new
        });
        let aliases = node
            .get("aliases")
            .map_or_else(Vec::new, |node| self.aliases(node));
        let generate = self.generate(root, node);
        let kind = kind?;
        let condition = node
            .entry("condition")
            .and_then(|entry| self.correlation_condition(&entry.value, kind));
        if !kind.is_temporal() && node.get("condition").is_none() {
            self.missing("condition", entry.key_span);
        }
        let mut rules = node
            .get("rules")
            .map_or_else(Vec::new, |node| self.placed(node, "rules"));
        if let (true, Some(CorrelationCondition::Rules(condition))) = (rules.is_empty(), &condition) {
            named_in(condition, &mut rules);
        }
        if rules.is_empty() {
            match node.entry("rules") {
                None => self.missing("rules", entry.key_span),
                Some(empty) => self.diagnostics.push(Diagnostic::new(
                    &codes::CORRELATION,
                    empty.key_span,
                    "`rules` names no rule",
                )),
            }
        }
        Some(Correlation {
            about,
            kind,
            rules,
            group_by,
            aliases,
            timespan: timespan?,
            condition,
            generate,
            span: node.get("type").map_or(entry.key_span, |node| node.span),
        })
    }

    fn kind(&mut self, node: &Node, place: Span) -> Option<CorrelationType> {
        let Some(kind) = node.get("type") else {
            self.missing("type", place);
            return None;
        };
        let word = self.string(node, "type")?;
        let found = CorrelationType::ALL.iter().find(|(known, _)| *known == word);
        if found.is_none() {
            let words = CorrelationType::ALL.map(|(known, _)| known);
            let help = match closest(&word, words.into_iter()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("it is one of `{}`", words.join("`, `")),
            };
            let message = format!("`{word}` is no type of correlation");
            self.diagnostics
                .push(Diagnostic::new(&codes::CORRELATION, kind.span, message).with_help(help));
        }
        found.map(|(_, kind)| *kind)
    }

    /// A length of time such as `90m`, in nanoseconds.
    pub(crate) fn timespan(&mut self, node: &Node, key: &str) -> Option<u64> {
        let text = node.text().unwrap_or_default();
        let nanos = text.char_indices().next_back().and_then(|(place, unit)| {
            let seconds = match unit {
                's' => 1,
                'm' => 60,
                'h' => 3_600,
                'd' => 86_400,
                'w' => 604_800,
                _ => return None,
            };
            let number: u64 = text.get(..place)?.parse().ok()?;
            number.checked_mul(seconds)?.checked_mul(SECOND)
        });
        let nanos = nanos.filter(|nanos| *nanos > 0);
        if nanos.is_none() {
            let message = format!("`{key}` is no length of time");
            self.diagnostics.push(
                Diagnostic::new(&codes::VALUE, node.span, message)
                    .with_help("a number and `s`, `m`, `h` or `d`: `90m` are one and a half hours"),
            );
        }
        nanos
    }

    /// `generate` stands in the correlation, with pySigma, or beside it, with the specification.
    fn generate(&mut self, root: &Node, node: &Node) -> bool {
        let Some(generate) = node.get("generate").or_else(|| root.get("generate")) else {
            return false;
        };
        match generate.data {
            Data::Bool(truth) => truth,
            _ => {
                self.wrong_kind(generate, "`generate`", "`true` or `false`");
                false
            }
        }
    }

    fn aliases(&mut self, node: &Node) -> Vec<Alias> {
        if !matches!(node.data, Data::Map(_)) {
            self.wrong_kind(
                node,
                "`aliases`",
                "a map of names, each with a map of rules and fields",
            );
            return Vec::new();
        }
        self.check_twice(node);
        let mut aliases = Vec::new();
        for entry in node.entries() {
            if !matches!(entry.value.data, Data::Map(_)) {
                let what = format!("the alias `{}`", entry.key);
                self.wrong_kind(&entry.value, &what, "a map of rules, each with its field");
                continue;
            }
            self.check_twice(&entry.value);
            let mut fields = Vec::new();
            for field in entry.value.entries() {
                match field.value.text() {
                    Some(text) => fields.push((
                        Placed {
                            text: field.key.clone(),
                            span: field.key_span,
                        },
                        Placed {
                            text,
                            span: field.value.span,
                        },
                    )),
                    None => self.wrong_kind(&field.value, "the field of an alias", "a text"),
                }
            }
            aliases.push(Alias {
                name: Placed {
                    text: entry.key.clone(),
                    span: entry.key_span,
                },
                fields,
            });
        }
        aliases
    }

    fn correlation_condition(&mut self, node: &Node, kind: CorrelationType) -> Option<CorrelationCondition> {
        if let (Data::Text(text), true) = (&node.data, kind.is_temporal()) {
            let read = self.condition(node, text)?;
            if let Some(aggregation) = &read.aggregation {
                let message = "the condition of a correlation rule cannot aggregate";
                self.diagnostics
                    .push(Diagnostic::new(&codes::CORRELATION, aggregation.span, message));
            }
            return Some(CorrelationCondition::Rules(read.condition));
        }
        if !matches!(node.data, Data::Map(_)) {
            let wanted = match kind.is_temporal() {
                true => "a map such as `gte: 2`, or rules joined by `and`, `or` and `not`",
                false => "a map such as `gte: 10`",
            };
            self.wrong_kind(node, "`condition`", wanted);
            return None;
        }
        self.check_twice(node);
        let needs_field = !kind.is_temporal() && kind != CorrelationType::EventCount;
        let mut bounds = Vec::new();
        let mut fields = Vec::new();
        let mut percentile = None;
        for entry in node.entries() {
            let key = entry.key.as_str();
            match key {
                "field" if needs_field => fields = self.placed(&entry.value, "field"),
                "percentile" if kind == CorrelationType::ValuePercentile => {
                    percentile = self.number(&entry.value, key);
                    if percentile.is_some_and(|number| !(0.0..=100.0).contains(&number)) {
                        let message = "`percentile` must be from 0 to 100";
                        self.diagnostics
                            .push(Diagnostic::new(&codes::VALUE, entry.value.span, message));
                    }
                }
                _ if OPERATORS.contains(&key) => {
                    let Some(number) = self.number(&entry.value, key) else {
                        continue;
                    };
                    bounds.push(match key {
                        "gt" => Bound::Greater(number),
                        "gte" => Bound::GreaterOrEqual(number),
                        "lt" => Bound::Less(number),
                        "lte" => Bound::LessOrEqual(number),
                        "eq" => Bound::Equal(number),
                        _ => Bound::NotEqual(number),
                    });
                }
                _ => {
                    let message = format!("the condition of this type of correlation has no key `{key}`");
                    let known = OPERATORS.join("`, `");
                    self.diagnostics.push(
                        Diagnostic::new(&codes::CORRELATION, entry.key_span, message).with_help(format!(
                            "bounds are `{known}`; what is counted or measured is `field`"
                        )),
                    );
                }
            }
        }
        if bounds.is_empty() {
            let message = "the condition states no bound";
            self.diagnostics.push(
                Diagnostic::new(&codes::CORRELATION, node.span, message)
                    .with_help("for example `gte: 10`; several bounds must all be kept"),
            );
        }
        if needs_field && fields.is_empty() {
            self.missing("field", node.span);
        }
        if let (Some(second), true) = (fields.get(1), kind != CorrelationType::ValueCount) {
            let message = "only one field can be measured";
            self.diagnostics
                .push(Diagnostic::new(&codes::CORRELATION, second.span, message));
        }
        Some(CorrelationCondition::Number {
            bounds,
            fields,
            percentile,
            span: node.span,
        })
    }

    fn number(&mut self, node: &Node, key: &str) -> Option<f64> {
        let number = node.text().and_then(|text| text.trim().parse::<f64>().ok());
        let number = number.filter(|number| number.is_finite());
        if number.is_none() {
            self.wrong_kind(node, &format!("`{key}`"), "a number");
        }
        number
    }
}

/// The rules that a condition names, each once.
fn named_in(condition: &crate::ast::Condition, rules: &mut Vec<Placed>) {
    use crate::ast::Condition;
    match condition {
        Condition::Name(name, span) => {
            if !rules.iter().any(|known| known.text == *name) {
                rules.push(Placed {
                    text: name.clone(),
                    span: *span,
                });
            }
        }
        Condition::Of { .. } => {}
        Condition::And(parts) | Condition::Or(parts) => parts.iter().for_each(|part| named_in(part, rules)),
        Condition::Not(part) => named_in(part, rules),
    }
}
