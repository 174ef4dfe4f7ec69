//! Reads one rule of Elastic's format, from TOML or JSON.

use std::sync::Arc;

use neph_diag::{Diagnostic, Span};
use neph_event::Schema;
use neph_kql::Dialect;
use neph_plan::{Condition as Plain, FieldId, Test};

use crate::check::Findings;
use crate::codes;
use crate::compile::{self, Overrides};
use crate::embedded::{Embedded, Host};
use crate::exceptions;
use crate::filters;
use crate::guide;
use crate::impossible;
use crate::keys;
use crate::kuery;
use crate::report::Reason;
use crate::rule::{Metadata, Rule, RuleKind, RuleOrigin, RuleSeverity, SeverityMapping, Tuning};
use crate::schedule::{Schedule, parse_date_math, parse_interval};
use crate::scope::IndexScope;
use crate::suppression;
use crate::texts::Texts;
use crate::threat;
use crate::threat_match::{self, ThreatMatch};
use crate::windows::{self, Condition, Settings};
use neph_document::{Node, Table};

/// Kibana's default of `max_signals`.
pub(crate) const MAX_SIGNALS: u64 = 100;

/// Keys that alerts carry as they are written.
const CARRIED: [&str; 6] = [
    "related_integrations",
    "required_fields",
    "meta",
    "data_view_id",
    "namespace",
    "response_actions",
];

/// The key of a data view that is not known here, and what that means.
const UNRESOLVED_VIEW: (&str, &str) = (
    "data_view_id",
    "the data view is not resolved: events of every index take part",
);

/// Whether a data view may leave events out: Kibana's own ones for security do not.
fn is_narrow(view: &Node) -> bool {
    let own = ["security-solution-default", "security-solution-alert-default"];
    !view.is_blank() && view.as_text().is_none_or(|id| !own.contains(&id))
}

/// What a rule's text came to.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// `rule_id`, as far as it could be read.
    pub(crate) id: Option<String>,
    /// `name`, as far as it could be read.
    pub(crate) name: Option<String>,
    /// The type, where it is one.
    pub(crate) kind: Option<RuleKind>,
    /// Where the rule's id stands, or the rule.
    pub(crate) id_place: Span,
    /// The rule as far as it could be read; without a plan where something stands against running it.
    pub(crate) rule: Option<Arc<Rule>>,
    /// Whether it raises no alerts of its own, because it is only there for correlations.
    pub(crate) only_correlated: bool,
    /// Keys that ask for what is not done yet, with what does not happen.
    pub(crate) not_honoured: Vec<(&'static str, &'static str)>,
    /// Fields that the query needs and no known source fills.
    pub(crate) unfilled: Vec<String>,
    /// Other reasons for which it runs less well than its author wrote it.
    pub(crate) reasons: Vec<Reason>,
    /// The way from the query's offsets to the file's; `None` where the query is the file.
    pub(crate) query_map: Option<Embedded>,
    /// All that is to be said.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// What is to be said besides if it runs: conditions that no event can meet.
    pub(crate) impossible: Vec<Diagnostic>,
}

impl Reading {
    /// Looks for conditions that no event can meet.
    pub(crate) fn check_possible(&mut self) {
        let plan = self.rule.as_ref().and_then(|rule| rule.plan.as_ref());
        let found = plan.map(impossible::check).unwrap_or_default();
        let placed = found.into_iter().map(|diagnostic| match &self.query_map {
            Some(map) => map.place(diagnostic),
            None => diagnostic,
        });
        self.impossible = placed.collect();
    }
}

/// A rule's table and where it stands.
pub(crate) struct Source<'a> {
    /// The whole file.
    pub(crate) text: &'a str,
    pub(crate) host: Host,
    /// The table of the rule.
    pub(crate) rule: &'a Table,
    /// The place of that table.
    pub(crate) place: Span,
    /// The top of a TOML file, where `[metadata]` and `[transform]` stand beside the rule.
    pub(crate) file: Option<&'a Table>,
    pub(crate) origin: RuleOrigin,
}

/// Reads a rule and compiles its query.
pub(crate) fn read(source: Source<'_>) -> Reading {
    let rule = source.rule;
    let mut findings = Findings::default();
    let kind = rule
        .text("type")
        .and_then(|word| RuleKind::ALL.into_iter().find(|kind| kind.word() == word));
    match source.file {
        Some(file) => findings.check(file, Span::default(), "", keys::FILE, kind),
        None => findings.check(rule, source.place, "", keys::RULE, kind),
    }
    findings.finish();
    let mut not_honoured = std::mem::take(&mut findings.not_honoured);
    let mut reader = Reader {
        source: &source,
        diagnostics: findings.diagnostics,
        unfilled: Vec::new(),
        query_map: None,
        unapplied_filters: false,
    };
    let rule_read = reader.rule(kind);
    if reader.unapplied_filters {
        not_honoured.push(filters::UNAPPLIED);
    }
    if let Some(view) = rule.entry("data_view_id").filter(|entry| is_narrow(&entry.value)) {
        let (key, what) = UNRESOLVED_VIEW;
        let message = format!("`rule.{key}` is not honoured yet: {what}");
        reader
            .diagnostics
            .push(Diagnostic::new(&codes::KEY_NOT_HONOURED, view.key_span, message));
        not_honoured.push(UNRESOLVED_VIEW);
    }
    let mut diagnostics = reader.diagnostics;
    diagnostics.sort_by_key(|diagnostic| diagnostic.span);
    let refused = neph_diag::has_errors(&diagnostics);
    Reading {
        id: rule.text("rule_id").map(str::to_owned),
        name: rule.text("name").map(str::to_owned),
        kind,
        id_place: rule.get("rule_id").map_or(source.place, |node| node.span),
        rule: rule_read.map(|rule| {
            Arc::new(Rule {
                plan: rule.plan.filter(|_| !refused),
                ..rule
            })
        }),
        only_correlated: false,
        not_honoured,
        unfilled: reader.unfilled,
        reasons: Vec::new(),
        query_map: reader.query_map,
        diagnostics,
        impossible: Vec::new(),
    }
}

struct Reader<'a> {
    source: &'a Source<'a>,
    diagnostics: Vec<Diagnostic>,
    unfilled: Vec<String>,
    query_map: Option<Embedded>,
    unapplied_filters: bool,
}

impl<'a> Reader<'a> {
    fn table(&self) -> &'a Table {
        self.source.rule
    }

    /// The value of a key whose shape was checked elsewhere.
    fn node(&self, key: &str) -> Option<&'a Node> {
        self.table().get(key)
    }

    fn refuse(&mut self, key: &str, message: String, help: &str) {
        let place = self.node(key).map_or(self.source.place, |node| node.span);
        self.diagnostics
            .push(Diagnostic::new(&codes::VALUE, place, message).with_help(help));
    }

    fn warn(&mut self, key: &str, message: String, help: &str) {
        let place = self.node(key).map_or(self.source.place, |node| node.span);
        self.diagnostics
            .push(Diagnostic::new(&codes::VALUE_ODD, place, message).with_help(help));
    }

    /// Reads all keys, also when some are wrong, so that every problem is found.
    fn rule(&mut self, kind: Option<RuleKind>) -> Option<Rule> {
        self.check_kind(kind);
        let table = self.table();
        let severity = self.severity();
        let risk_score = self.risk_score();
        let id = self.id();
        let schedule = self.schedule();
        let max_signals = self.max_signals();
        let threat = threat::read(table, &mut self.diagnostics);
        let severity_mapping = self.severity_mapping();
        let risk_score_mapping = self.risk_score_mapping();
        let version = self.version();
        let index = table.texts("index");
        for key in ["name", "description", "query"] {
            if self
                .node(key)
                .and_then(Node::as_text)
                .is_some_and(|text| text.trim().is_empty())
            {
                self.refuse(key, format!("`{key}` is empty"), "say it in at least a word");
            }
        }
        let mut settings = kind
            .and_then(|kind| windows::read(kind, table, self.source.place, &schedule, &mut self.diagnostics));
        let plan = self.plan(kind, &index, &schedule, settings.as_mut());
        let tuning = self.tuning(kind);
        let note = table.text("note").map(|note| {
            let transform = self.source.file.and_then(|file| file.table("transform"));
            guide::with_searches(note.trim(), transform)
        });
        let optional = |key: &str| {
            table
                .text(key)
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty())
        };
        let mut rule = Rule {
            id: id?,
            name: table.trimmed("name"),
            description: table.trimmed("description"),
            version,
            kind: kind?,
            query: table.text("query").unwrap_or("").into(),
            language: language(table, kind?).to_owned(),
            condition: settings?.condition,
            severity: severity?,
            risk_score: risk_score?,
            severity_mapping,
            risk_score_mapping,
            name_override: optional("rule_name_override"),
            authors: table.texts("author"),
            license: optional("license"),
            references: table.texts("references"),
            tags: table.texts("tags"),
            false_positives: table
                .texts("false_positives")
                .iter()
                .map(|text| text.trim().to_owned())
                .collect(),
            note: note.filter(|note| !note.is_empty()),
            setup: optional("setup"),
            investigation_fields: table
                .table("investigation_fields")
                .map_or_else(Vec::new, |inner| inner.texts("field_names")),
            threat,
            index,
            schedule,
            max_signals,
            timestamp_override: optional("timestamp_override"),
            timestamp_field: optional("timestamp_field").unwrap_or_else(|| "@timestamp".into()),
            building_block: optional("building_block_type"),
            timeline: optional("timeline_id").map(|id| (id, table.trimmed("timeline_title"))),
            metadata: self.metadata(),
            enabled: table.boolean("enabled").unwrap_or(true),
            tuning,
            texts: Texts::default(),
            origin: self.source.origin.clone(),
            plan,
        };
        // What is wrong with `group_by` itself has been said.
        if let Some(suppression) = rule.tuning.suppression.as_ref().filter(|_| rule.plan.is_some()) {
            for (place, message) in suppression.misfits(&rule) {
                if !place.is_empty() && !self.diagnostics.iter().any(|said| said.span == place) {
                    self.diagnostics
                        .push(Diagnostic::new(&codes::VALUE, place, message));
                }
            }
        }
        // All has been said of its places; what a rule is does not depend on where it stands.
        let settings = rule.tuning.suppression.iter_mut();
        for field in settings.flat_map(|settings| &mut settings.group_by) {
            field.span = Span::default();
        }
        Some(rule)
    }

    fn tuning(&mut self, kind: Option<RuleKind>) -> Tuning {
        let table = self.table();
        let suppression = self
            .node("alert_suppression")
            .and_then(|node| suppression::read(node, kind, &mut self.diagnostics));
        let carried = CARRIED.iter().filter_map(|key| {
            let node = table.get(key).filter(|node| !node.is_blank())?;
            Some(((*key).to_owned(), node.to_json()))
        });
        Tuning {
            suppression,
            exception_lists: exceptions::references(table),
            overlays: Vec::new(),
            fallback_disabled: table
                .boolean("timestamp_override_fallback_disabled")
                .unwrap_or(false),
            carried: carried.collect(),
        }
    }

    fn check_kind(&mut self, kind: Option<RuleKind>) {
        let Some(node) = self.node("type") else { return };
        let Some(word) = node.as_text() else { return };
        match kind {
            Some(kind) if kind.is_supported() => {}
            Some(kind) => {
                let message = format!("rules of type `{}` are not supported yet", kind.word());
                self.diagnostics
                    .push(Diagnostic::new(&codes::TYPE_UNSUPPORTED, node.span, message));
            }
            None => {
                let words: Vec<String> = RuleKind::ALL
                    .iter()
                    .map(|kind| format!("`{}`", kind.word()))
                    .collect();
                let help = format!("the types are {}", words.join(", "));
                self.refuse("type", format!("`{word}` is not a type of rule"), &help);
            }
        }
    }

    fn id(&mut self) -> Option<String> {
        let id = self.table().text("rule_id")?.trim().to_owned();
        if id.is_empty() {
            self.refuse("rule_id", "`rule_id` is empty".into(), "`uuidgen` makes one");
        } else if !is_uuid(&id) {
            let help = "ids of rules are UUIDs, so that no two authors choose the same; `uuidgen` makes one";
            self.warn("rule_id", format!("`{id}` is not a UUID"), help);
        }
        Some(id)
    }

    fn severity(&mut self) -> Option<RuleSeverity> {
        let word = self.table().text("severity")?;
        let severity = RuleSeverity::from_word(word);
        if severity.is_none() {
            let message = format!("`{word}` is not a severity");
            self.refuse(
                "severity",
                message,
                "the severities are `low`, `medium`, `high` and `critical`",
            );
        }
        severity
    }

    fn risk_score(&mut self) -> Option<u8> {
        let number = self.table().integer("risk_score")?;
        let score = u8::try_from(number).ok().filter(|score| *score <= 100);
        if score.is_none() {
            let message = format!("the risk score {number} is outside 0 to 100");
            self.refuse(
                "risk_score",
                message,
                "Elastic's scale is low 21, medium 47, high 73, critical 99",
            );
        }
        score
    }

    fn version(&mut self) -> Option<u64> {
        let number = self.table().integer("version")?;
        let version = u64::try_from(number).ok().filter(|version| *version > 0);
        if version.is_none() {
            self.refuse(
                "version",
                format!("the version {number} is below 1"),
                "versions count from 1",
            );
        }
        version
    }

    fn max_signals(&mut self) -> u64 {
        let Some(number) = self.table().integer("max_signals") else {
            return MAX_SIGNALS;
        };
        match u64::try_from(number).ok().filter(|count| *count > 0) {
            Some(count) => count,
            None => {
                let help = "it is the number of alerts of one run that are raised singly; the rest becomes one grouped alert";
                self.refuse(
                    "max_signals",
                    format!("`max_signals` is {number}, but must be at least 1"),
                    help,
                );
                MAX_SIGNALS
            }
        }
    }

    fn schedule(&mut self) -> Schedule {
        let mut schedule = Schedule::default();
        let table = self.table();
        if let Some(text) = table.text("interval") {
            match parse_interval(text) {
                Some(nanos) => schedule.interval_nanos = nanos,
                None => {
                    let message = format!("`{text}` is not an interval");
                    self.refuse(
                        "interval",
                        message,
                        "a number and one of `s`, `m`, `h`, `d`, for example `5m`",
                    );
                }
            }
            schedule.interval = text.to_owned();
        }
        if let Some(text) = table.text("from") {
            match parse_date_math(text).map(|distance| (distance <= 0, distance.unsigned_abs())) {
                Some((true, nanos)) => schedule.lookback_nanos = nanos,
                Some((false, _)) => {
                    let message = format!("`{text}` lies in the future");
                    self.refuse("from", message, "a rule looks back, for example from `now-9m`");
                }
                None => {
                    let message = format!("`{text}` is not date math");
                    self.refuse(
                        "from",
                        message,
                        "`now` and a distance, for example `now-9m` or `now-1h`",
                    );
                }
            }
            schedule.from = text.to_owned();
        }
        if let Some(text) = table.text("to") {
            if parse_date_math(text) != Some(0) {
                let help =
                    "what a run looks at ends now; events are looked at as they come, whatever `to` says";
                self.warn(
                    "to",
                    format!("`{text}` is not honoured as the end of what a run looks at"),
                    help,
                );
            }
            schedule.to = text.to_owned();
        }
        if schedule.lookback_nanos < schedule.interval_nanos && !neph_diag::has_errors(&self.diagnostics) {
            let key = if self.node("from").is_some() {
                "from"
            } else {
                "interval"
            };
            let place = self.node(key).map_or(self.source.place, |node| node.span);
            let message = format!(
                "the rule runs every `{}` but looks back only from `{}`: late events are not waited for",
                schedule.interval, schedule.from
            );
            let help =
                "let `from` reach back further than the interval, by the lateness that is to be tolerated";
            self.diagnostics
                .push(Diagnostic::new(&codes::SCHEDULE, place, message).with_help(help));
        }
        schedule
    }

    fn severity_mapping(&mut self) -> Vec<SeverityMapping> {
        let mut mappings = Vec::new();
        for (mapping, place) in self.table().tables("severity_mapping") {
            self.check_operator(mapping, place);
            let word = mapping.trimmed("severity");
            match RuleSeverity::from_word(&word) {
                Some(severity) => {
                    mappings.push(SeverityMapping {
                        field: mapping.trimmed("field"),
                        value: mapping.trimmed("value"),
                        severity,
                    });
                }
                None if word.is_empty() => {}
                None => {
                    let place = mapping.get("severity").map_or(place, |node| node.span);
                    let message = format!("`{word}` is not a severity");
                    self.diagnostics
                        .push(Diagnostic::new(&codes::VALUE, place, message));
                }
            }
        }
        // The highest wins, as in Kibana: it is looked for first.
        mappings.sort_by_key(|mapping| std::cmp::Reverse(mapping.severity));
        mappings
    }

    fn risk_score_mapping(&mut self) -> Vec<String> {
        let mut fields = Vec::new();
        for (mapping, place) in self.table().tables("risk_score_mapping") {
            self.check_operator(mapping, place);
            fields.push(mapping.trimmed("field"));
        }
        fields
    }

    fn check_operator(&mut self, mapping: &Table, place: Span) {
        let word = mapping.trimmed("operator");
        if !word.is_empty() && word != "equals" {
            let place = mapping.get("operator").map_or(place, |node| node.span);
            let message = format!("`{word}` is not an operator of a mapping");
            self.diagnostics.push(
                Diagnostic::new(&codes::VALUE, place, message).with_help("the one operator is `equals`"),
            );
        }
    }

    fn metadata(&self) -> Metadata {
        let Some(table) = self.source.file.and_then(|file| file.table("metadata")) else {
            return Metadata::default();
        };
        let text = |key: &str| table.text(key).map(str::to_owned);
        Metadata {
            creation_date: text("creation_date"),
            updated_date: text("updated_date"),
            maturity: text("maturity"),
            integration: table.texts("integration"),
            min_stack_version: text("min_stack_version"),
            min_stack_comments: text("min_stack_comments"),
        }
    }

    fn plan(
        &mut self,
        kind: Option<RuleKind>,
        index: &[String],
        schedule: &Schedule,
        settings: Option<&mut Settings>,
    ) -> Option<neph_plan::Plan> {
        let table = self.table();
        let kind = kind?;
        let Some(node) = self.node("query") else {
            if kind != RuleKind::MachineLearning {
                let message = "`query` is missing".to_owned();
                self.diagnostics
                    .push(Diagnostic::new(&codes::KEY_MISSING, self.source.place, message));
            }
            return None;
        };
        if !kind.is_supported() {
            return None;
        }
        let dialect = self.dialect(kind)?;
        let query = node.as_text()?;
        let overrides = Overrides {
            category: table.text("event_category_override"),
            timestamp: table.text("timestamp_field"),
            tiebreaker: table.text("tiebreaker_field"),
        };
        let compiled = match dialect {
            Some(dialect) => kuery::compile(query, dialect, &overrides),
            None => compile::eql(query, &overrides),
        };
        self.unfilled = compiled.unfilled;
        let map = Embedded::new(self.source.text, node.span, query, self.source.host);
        self.diagnostics.extend(
            compiled
                .diagnostics
                .into_iter()
                .map(|diagnostic| map.place(diagnostic)),
        );
        self.query_map = Some(map);
        let mut plan = compiled.plan?;
        if let Some(filters) = self.node("filters") {
            let outcome = filters::restrict(&mut plan, filters);
            self.diagnostics.extend(outcome.diagnostics);
            self.unapplied_filters = outcome.unapplied;
        }
        let settings = settings?;
        if table.boolean("timestamp_override_fallback_disabled") == Some(true)
            && let Some(name) = table.text("timestamp_override")
        {
            require_field(&mut plan, name);
        }
        let applied = windows::apply(settings, schedule, &mut plan);
        self.diagnostics.extend(applied.diagnostics);
        for field in applied.unfilled {
            if !self.unfilled.contains(&field) {
                self.unfilled.push(field);
            }
        }
        IndexScope::new(index).restrict(&mut plan);
        if let Condition::ThreatMatch(threat) = settings.condition_mut() {
            threat.selection = Some(self.selection(threat)?);
        }
        Some(plan)
    }

    /// The plan that chooses the indicators of a rule of type `threat_match`.
    fn selection(&mut self, threat: &ThreatMatch) -> Option<neph_plan::Plan> {
        let node = self.node("threat_query")?;
        let query = node.as_text()?;
        let Some(dialect) = kuery::dialect(&threat.language) else {
            let words = kuery::LANGUAGES.map(|(word, _)| format!("`{word}`")).join(" or ");
            let message = format!(
                "the language of `threat_query` is {words}, not `{}`",
                threat.language
            );
            self.refuse(
                "threat_language",
                message,
                "indicators are chosen by KQL or Lucene",
            );
            return None;
        };
        let compiled = kuery::compile(query, dialect, &Overrides::default());
        let map = Embedded::new(self.source.text, node.span, query, self.source.host);
        let placed = compiled
            .diagnostics
            .into_iter()
            .map(|diagnostic| map.place(diagnostic));
        self.diagnostics.extend(placed);
        let mut plan = compiled.plan?;
        if let Some(filters) = self.node("threat_filters") {
            let outcome = filters::restrict(&mut plan, filters);
            self.diagnostics.extend(outcome.diagnostics);
            self.unapplied_filters |= outcome.unapplied;
        }
        IndexScope::new(&threat.index).restrict(&mut plan);
        threat_match::admit_networks(&mut plan);
        Some(plan)
    }

    /// The language of the query of such a rule, inside `None` for EQL; outside where it has another.
    fn dialect(&mut self, kind: RuleKind) -> Option<Option<Dialect>> {
        let language = self.table().text("language");
        if kind == RuleKind::Eql {
            if let Some(language) = language.filter(|language| *language != "eql") {
                let message = format!("the language of a rule of type `eql` is `eql`, not `{language}`");
                self.refuse("language", message, "make `type` and `language` agree");
            }
            return Some(None);
        }
        let language = self::language(self.table(), kind);
        let dialect = kuery::dialect(language);
        if dialect.is_none() {
            let words = kuery::LANGUAGES.map(|(word, _)| format!("`{word}`")).join(" or ");
            let message = format!(
                "the language of a rule of type `{}` is {words}, not `{language}`",
                kind.word()
            );
            self.refuse("language", message, "make `type` and `language` agree");
        }
        dialect.map(Some)
    }
}

/// Leaves events without a field out of every step.
fn require_field(plan: &mut neph_plan::Plan, name: &str) {
    let field = Schema::builtin().get(name);
    let field = field.map_or_else(|| Schema::unknown(name), |def| def.field.clone());
    let known = plan.fields.iter().position(|known| **known == field);
    let position = known.unwrap_or_else(|| {
        plan.fields.push(field.into());
        plan.fields.len() - 1
    });
    let exists = Test::Exists(FieldId(u32::try_from(position).unwrap_or(u32::MAX)));
    for condition in plan.query.conditions_mut() {
        let own = std::mem::replace(condition, Plain::Const(false));
        *condition = Plain::all(vec![own, Plain::leaf(exists.clone(), Span::default())]);
    }
}

/// The language of the query of such a rule. Kibana takes a query without one for KQL.
fn language(table: &Table, kind: RuleKind) -> &str {
    let usual = if kind == RuleKind::Eql { "eql" } else { "kuery" };
    table.text("language").unwrap_or(usual)
}

/// Five groups of hexadecimal digits, 8-4-4-4-12.
fn is_uuid(text: &str) -> bool {
    let mut groups = text.split('-');
    [8, 4, 4, 4, 12].iter().all(|length| {
        groups
            .next()
            .is_some_and(|group| group.len() == *length && group.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }) && groups.next().is_none()
}
