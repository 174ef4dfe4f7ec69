//! Rules of Sigma files (`*.yml`, `*.yaml`).
//!
//! A document becomes a rule with Kibana's schedule and limits; severity and risk score follow its level, and the ATT&CK
//! mapping its tags. Filters and correlations reach over files, so that documents are compiled when all files have been
//! read.

use std::collections::BTreeSet;
use std::sync::Arc;

use neph_attack::attack;
use neph_diag::{Diagnostic, Span};
use neph_plan::{Condition, Plan, Query};
use neph_sigma::ast::{About, Level};
use neph_sigma::{Collection, Compiled, Content, Document, DocumentId, Options};

use crate::elastic::{MAX_SIGNALS, Reading};
use crate::embedded::Embedded;
use crate::parallel;
use crate::report::Reason;
use crate::rule::{
    Metadata, Rule, RuleKind, RuleOrigin, RuleSeverity, Technique, Threat, ThreatItem, Tuning,
};
use crate::schedule::Schedule;
use crate::shared_text::SharedText;
use crate::texts::Texts;
use crate::windows;

/// A file of Sigma, before its documents are compiled.
pub(crate) struct SigmaFile<'a> {
    pub(crate) text: &'a SharedText,
    pub(crate) documents: &'a [Document],
    /// Where a rule that begins at an offset was read.
    pub(crate) origin: Box<dyn Fn(usize) -> RuleOrigin + Sync + 'a>,
}

/// What the documents of a file are.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    /// Detection rules, correlation rules, and documents that cannot be read.
    pub(crate) rules: Vec<Reading>,
    /// What is to be said of the filters.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// What a document is.
enum Linked {
    Rule(Box<Reading>),
    Filter(Vec<Diagnostic>),
    Nothing,
}

/// Whether one of the documents is there for the rules of others.
pub(crate) fn is_about_others(documents: &[Document]) -> bool {
    let about_others =
        |document: &Document| matches!(document.content, Content::Filter(_) | Content::Correlation(_));
    documents.iter().any(about_others)
}

/// Number of the filters of a file; `None` where none of the documents is of Sigma.
pub(crate) fn filters(documents: &[Document]) -> Option<u64> {
    let is_foreign = |document: &Document| matches!(document.content, Content::Foreign);
    let is_filter = |document: &&Document| matches!(document.content, Content::Filter(_));
    let filters = documents.iter().filter(is_filter).count() as u64;
    (!documents.iter().all(is_foreign)).then_some(filters)
}

/// Which of the files have documents whose meaning depends on others, or are there for the rules of others.
pub(crate) fn involved(files: &[&[Document]]) -> BTreeSet<usize> {
    let about_others = files.iter().enumerate().filter(|(_, file)| is_about_others(file));
    let mut involved: BTreeSet<usize> = about_others.map(|(file, _)| file).collect();
    if !involved.is_empty() {
        let documents = Collection::new(files.to_vec()).involved().into_iter();
        involved.extend(documents.map(|id| id.file));
    }
    involved
}

/// Compiles the documents of the files that `wanted` chooses; what they mean to one another is told by all.
pub(crate) fn link(
    files: &[SigmaFile<'_>],
    options: &Options<'_>,
    wanted: impl Fn(usize) -> bool,
) -> Vec<Documents> {
    let collection = Collection::new(files.iter().map(|file| file.documents).collect());
    let silent = collection.silent();
    let mut linked: Vec<Documents> = files.iter().map(|_| Documents::default()).collect();
    let documents = collection.documents().filter(|(id, _)| wanted(id.file));
    let documents: Vec<(DocumentId, &Document)> = documents.collect();
    let made = parallel::map(&documents, |(id, document)| {
        let Some(file) = files.get(id.file) else {
            return Linked::Nothing;
        };
        let linking = Linking {
            files,
            collection: &collection,
            options,
            id: *id,
        };
        linking.link(file, document, silent.contains_key(id))
    });
    for ((id, _), made) in documents.into_iter().zip(made) {
        let Some(linked) = linked.get_mut(id.file) else {
            continue;
        };
        match made {
            Linked::Rule(reading) => linked.rules.push(*reading),
            Linked::Filter(diagnostics) => linked.diagnostics.extend(diagnostics),
            Linked::Nothing => {}
        }
    }
    linked
}

fn unreadable(document: &Document) -> Reading {
    Reading {
        id: None,
        name: None,
        kind: None,
        id_place: document.span,
        rule: None,
        only_correlated: false,
        not_honoured: Vec::new(),
        unfilled: Vec::new(),
        reasons: Vec::new(),
        query_map: None,
        diagnostics: document.diagnostics.clone(),
        impossible: Vec::new(),
    }
}

/// What a document is read with.
struct Linking<'a, 'd> {
    files: &'a [SigmaFile<'d>],
    collection: &'a Collection<'d>,
    options: &'a Options<'a>,
    id: DocumentId,
}

impl Linking<'_, '_> {
    /// `is_silent`: the rule raises no alerts of its own.
    fn link(&self, file: &SigmaFile<'_>, document: &Document, is_silent: bool) -> Linked {
        let mut reading = match &document.content {
            Content::Rule(rule) => {
                let source = rule.logsource.to_string();
                self.read(file, document, &rule.about, RuleKind::Sigma, &source)
            }
            Content::Correlation(read) => {
                let about = match read.as_ref() {
                    Ok(correlation) => &correlation.about,
                    Err(about) => about,
                };
                self.read(file, document, about, RuleKind::SigmaCorrelation, "")
            }
            Content::Broken => unreadable(document),
            Content::Filter(_) => {
                let mut diagnostics = document.diagnostics.clone();
                diagnostics.extend(self.collection.filter_problems(self.id));
                return Linked::Filter(diagnostics);
            }
            Content::Foreign => return Linked::Nothing,
        };
        if is_silent {
            reading.only_correlated = true;
            let message = "the rule raises no alerts of its own: a correlation is over it";
            reading.diagnostics.push(
                Diagnostic::new(&neph_sigma::ONLY_CORRELATED, reading.id_place, message)
                    .with_help("with `generate: true` in the correlation it does"),
            );
        }
        reading.check_possible();
        Linked::Rule(Box::new(reading))
    }

    fn read(
        &self,
        file: &SigmaFile<'_>,
        document: &Document,
        about: &About,
        kind: RuleKind,
        logsource: &str,
    ) -> Reading {
        let origin = (file.origin)(document.span.start as usize);
        let mut diagnostics = document.diagnostics.clone();
        let compiled = self.collection.compile(self.id, self.options);
        let Compiled {
            plan,
            diagnostics: compiling,
            unknown_fields,
            missing_lists,
            unknown_source,
            origins,
        } = compiled.unwrap_or_default();
        diagnostics.extend(compiling);
        // Alerts are told apart by the id; a rule that states none goes by its title.
        let stem = || {
            origin
                .path
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
        };
        let id = about
            .id
            .clone()
            .or_else(|| about.title.clone())
            .or_else(stem)
            .unwrap_or_default();
        let mut reasons = Vec::new();
        if unknown_source {
            reasons.push(Reason::LogSourceUnknown {
                logsource: logsource.to_owned(),
            });
        }
        if !missing_lists.is_empty() {
            reasons.push(Reason::ListsMissing { lists: missing_lists });
        }
        let (query, places) = self.query();
        let plan = plan
            .filter(|_| !neph_diag::has_errors(&diagnostics))
            .map(|mut plan| {
                self.move_spans(&mut plan, document.span, &origins, &places);
                plan
            });
        Reading {
            id: Some(id.clone()),
            name: about.title.clone(),
            kind: Some(kind),
            id_place: about.id_span,
            rule: plan.map(|plan| Arc::new(build(about, id, kind, query, origin, plan))),
            only_correlated: false,
            not_honoured: Vec::new(),
            unfilled: unknown_fields,
            reasons,
            query_map: Some(Embedded::part(document.span)),
            diagnostics,
            impossible: Vec::new(),
        }
    }

    /// The text of the rule: its document, and behind it those of the rules that it is over; and where in it each begins.
    fn query(&self) -> (SharedText, Vec<(DocumentId, usize)>) {
        let parts = self.collection.parts(self.id).into_iter().filter_map(|id| {
            let file = self.files.get(id.file)?;
            let span = file.documents.get(id.document)?.span;
            let text = span.text(file.text).trim_end();
            Some((
                id,
                file.text
                    .part(span.start as usize..span.start as usize + text.len()),
            ))
        });
        let parts: Vec<(DocumentId, SharedText)> = parts.collect();
        if let [(id, alone)] = parts.as_slice() {
            return (alone.clone(), vec![(*id, 0)]);
        }
        let mut query = String::new();
        let mut places = Vec::new();
        for (id, text) in parts {
            if !query.is_empty() {
                query.push_str(BETWEEN);
            }
            places.push((id, query.len()));
            query.push_str(&text);
        }
        (query.into(), places)
    }

    /// Moves the spans of the plan from the file to the text of the rule; what a part has from elsewhere, such as a filter,
    /// has none.
    fn move_spans(&self, plan: &mut Plan, own: Span, origins: &[DocumentId], places: &[(DocumentId, usize)]) {
        let Query::Correlation(correlation) = &mut plan.query else {
            let conditions = plan.query.conditions_mut();
            return conditions
                .into_iter()
                .for_each(|condition| move_spans(condition, own, 0));
        };
        for (position, events) in correlation.events_mut().into_iter().enumerate() {
            let origin = origins.get(position).copied().unwrap_or(self.id);
            let place = places.iter().find(|(id, _)| *id == origin);
            let document = self
                .files
                .get(origin.file)
                .and_then(|file| file.documents.get(origin.document));
            let (span, place) = match (document, place) {
                (Some(document), Some((_, place))) => (document.span, *place),
                _ => (Span::default(), 0),
            };
            move_spans(&mut events.condition, span, place);
        }
    }
}

/// What stands between the documents of a rule's text.
const BETWEEN: &str = "\n---\n";

/// Where a place in the text of a rule stands in its file; what stands in another file has no place there.
pub(crate) fn in_file(query: &str, file: &str, span: Span) -> Span {
    let mut start = 0;
    for document in query.split(BETWEEN) {
        let end = start + document.len();
        if (start..=end).contains(&(span.start as usize))
            && let Some(place) = file.find(document)
        {
            let from = place + (span.start as usize).saturating_sub(start);
            return Span::new(from, from + span.len());
        }
        start = end + BETWEEN.len();
    }
    Span::default()
}

fn build(
    about: &About,
    id: String,
    kind: RuleKind,
    query: SharedText,
    origin: RuleOrigin,
    plan: Plan,
) -> Rule {
    let (severity, risk_score) = match about.level {
        Some(Level::Informational) | None => (RuleSeverity::Low, 1),
        Some(Level::Low) => (RuleSeverity::Low, RuleSeverity::Low.number()),
        Some(Level::Medium) => (RuleSeverity::Medium, RuleSeverity::Medium.number()),
        Some(Level::High) => (RuleSeverity::High, RuleSeverity::High.number()),
        Some(Level::Critical) => (RuleSeverity::Critical, RuleSeverity::Critical.number()),
    };
    Rule {
        name: about.title.clone().unwrap_or_else(|| id.clone()),
        id,
        description: about.description.clone().unwrap_or_default(),
        version: None,
        kind,
        query,
        language: "sigma".into(),
        condition: windows::Condition::Single,
        severity,
        risk_score,
        severity_mapping: Vec::new(),
        risk_score_mapping: Vec::new(),
        name_override: None,
        authors: about.author.iter().cloned().collect(),
        license: about.license.clone(),
        references: about.references.clone(),
        tags: about.tags.clone(),
        false_positives: about.false_positives.clone(),
        note: None,
        setup: None,
        investigation_fields: about.fields.clone(),
        threat: threat(&about.tags),
        index: Vec::new(),
        schedule: Schedule::default(),
        max_signals: MAX_SIGNALS,
        timestamp_override: None,
        timestamp_field: "@timestamp".into(),
        building_block: None,
        timeline: None,
        metadata: Metadata {
            creation_date: about.date.clone(),
            updated_date: about.modified.clone(),
            maturity: about.status.clone(),
            ..Metadata::default()
        },
        enabled: true,
        tuning: Tuning::default(),
        texts: Texts::default(),
        origin,
        plan: Some(plan),
    }
}

/// Moves the spans of a condition from the file to the text that has the document at `place`.
fn move_spans(condition: &mut Condition, document: Span, place: usize) {
    match condition {
        Condition::Const(_) => {}
        Condition::And(parts) | Condition::Or(parts) => {
            parts
                .iter_mut()
                .for_each(|part| move_spans(part, document, place));
        }
        Condition::Not(part) => move_spans(part, document, place),
        Condition::Leaf(leaf) => {
            let inside = document.start <= leaf.span.start && leaf.span.end <= document.end;
            let moved = |offset: u32| (offset.saturating_sub(document.start)) as usize + place;
            leaf.span = match inside {
                true => Span::new(moved(leaf.span.start), moved(leaf.span.end)),
                false => Span::default(),
            };
        }
    }
}

/// The name of a technique; empty for one that ATT&CK does not have.
fn technique_name(id: &str) -> String {
    attack()
        .technique(id)
        .map_or_else(String::new, |technique| technique.name.to_owned())
}

/// The ATT&CK mapping of tags such as `attack.execution` and `attack.t1059.001`. Tags do not say which technique belongs to
/// which tactic: with one tactic all do, otherwise they stand apart.
fn threat(tags: &[String]) -> Vec<Threat> {
    let mut tactics = Vec::new();
    let mut techniques: Vec<Technique> = Vec::new();
    for tag in tags.iter().filter_map(|tag| tag.strip_prefix("attack.")) {
        let word = tag.to_lowercase().replace('_', "-");
        if let Some(tactic) = attack().tactics().iter().find(|tactic| tactic.short_name == word) {
            tactics.push(ThreatItem {
                id: tactic.id.into(),
                name: tactic.name.into(),
                reference: format!("https://attack.mitre.org/tactics/{}/", tactic.id),
            });
            continue;
        }
        let id = tag.to_uppercase();
        let (main, sub) = match id.split_once('.') {
            Some((main, sub)) => (main, Some(sub)),
            None => (id.as_str(), None),
        };
        let digits = main.strip_prefix('T').unwrap_or("");
        if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let place = techniques.iter().position(|known| known.technique.id == main);
        let place = place.unwrap_or_else(|| {
            techniques.push(Technique {
                technique: ThreatItem {
                    id: main.into(),
                    name: technique_name(main),
                    reference: format!("https://attack.mitre.org/techniques/{main}/"),
                },
                subtechniques: Vec::new(),
            });
            techniques.len() - 1
        });
        if let (Some(sub), Some(technique)) = (sub, techniques.get_mut(place)) {
            technique.subtechniques.push(ThreatItem {
                name: technique_name(&id),
                id: id.clone(),
                reference: format!("https://attack.mitre.org/techniques/{main}/{sub}/"),
            });
        }
    }
    for technique in &mut techniques {
        technique.subtechniques.shrink_to_fit();
    }
    techniques.shrink_to_fit();
    let of = |tactic: ThreatItem, techniques: Vec<Technique>| Threat {
        framework: "MITRE ATT&CK".into(),
        tactic,
        techniques,
    };
    if let [tactic] = tactics.as_slice() {
        return vec![of(tactic.clone(), techniques)];
    }
    let apart = (!techniques.is_empty()).then(|| of(ThreatItem::default(), techniques));
    let mut threat = Vec::with_capacity(tactics.len() + usize::from(apart.is_some()));
    threat.extend(tactics.into_iter().map(|tactic| of(tactic, Vec::new())));
    threat.extend(apart);
    threat
}
