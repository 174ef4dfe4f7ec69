//! Texts of a rule in other languages, which stand beside its file: `NAME.texts.yaml`.
//!
//! ```yaml
//! ru:
//!   name: …
//!   description: …
//!   false_positives: […]
//!   note: …
//! ```
//!
//! A file of several rules (Sigma) has the same under `rules`, by the rules' ids. What a language lacks stays English.
//! The form is described for its users in `docs/pack.md`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use neph_diag::{Diagnostic, Span};

use crate::check::Findings;
use crate::codes;
use crate::elastic::Reading;
use crate::keys::{TEXTS, TEXTS_OF_RULE};
use crate::rule::Rule;
use crate::yaml_document;
use neph_document::{Node, Table};

/// Endings of the names of text files.
const ENDINGS: [&str; 2] = [".texts.yaml", ".texts.yml"];

/// The language in which people are told of rules and alerts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lang {
    /// English, in which rule files are written.
    #[default]
    English,
    /// Russian.
    Russian,
    /// Chinese.
    Chinese,
}

impl Lang {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::English, Self::Russian, Self::Chinese];

    /// Its code: <https://www.loc.gov/standards/iso639-2/php/code_list.php>.
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Russian => "ru",
            Self::Chinese => "zh",
        }
    }
}

/// What a rule says of itself in one language. Empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleText {
    /// Display name.
    pub name: Option<String>,
    /// What it detects.
    pub description: Option<String>,
    /// What is known to trigger it without harm.
    pub false_positives: Vec<String>,
    /// Investigation guide, Markdown.
    pub note: Option<String>,
}

/// The language that a rule's texts are in, and its texts in others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// The language of the rule's name, description and guide and of its alerts' reasons.
    pub lang: Lang,
    /// What stands beside its file.
    pub others: BTreeMap<Lang, RuleText>,
}

/// The path of the rule file of a text file, without its ending; none for another file.
pub(crate) fn rules_of(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let stem = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending))?;
    Some(path.with_file_name(stem))
}

/// Where the texts of a rule file may stand.
pub(crate) fn beside(path: &Path) -> impl Iterator<Item = PathBuf> {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
    ENDINGS
        .map(|ending| path.with_file_name(format!("{stem}{ending}")))
        .into_iter()
}

/// The texts of the rules of one file.
#[derive(Debug, Default)]
struct TextFile {
    /// Of the only rule.
    only: BTreeMap<Lang, RuleText>,
    /// By id of the rule, with the place of the id.
    by_rule: BTreeMap<String, (BTreeMap<Lang, RuleText>, Span)>,
    /// What is wrong with it.
    diagnostics: Vec<Diagnostic>,
}

/// Gives the rules of a file their texts; what is to be said of these.
pub(crate) fn give(text: &str, rules: &mut [Reading]) -> Vec<Diagnostic> {
    let mut file = TextFile::read(text);
    // Of a rule that cannot be read the id may be missing.
    let are_whole = rules.iter().all(|reading| reading.rule.is_some());
    let alerting = rules.iter().filter(|reading| !reading.only_correlated).count();
    for reading in rules {
        let is_alone = alerting == 1 && !reading.only_correlated;
        if let Some(rule) = &mut reading.rule {
            file.give(Arc::make_mut(rule), is_alone);
        }
    }
    file.finish(are_whole)
}

impl TextFile {
    fn read(text: &str) -> Self {
        let mut file = Self::default();
        let mut findings = Findings::default();
        for (root, mut diagnostics) in yaml_document::parse(text) {
            file.diagnostics.append(&mut diagnostics);
            let Some(root) = root else { continue };
            let Some(table) = root.as_table() else {
                let message = format!(
                    "a file of texts holds a table of languages, but this is {}",
                    root.kind()
                );
                file.diagnostics
                    .push(Diagnostic::new(&codes::VALUE_TYPE, root.span, message));
                continue;
            };
            findings.check(table, root.span, "", TEXTS, None);
            file.only.extend(languages(table));
            let rules = table.table("rules");
            for entry in rules.map_or(&[][..], |rules| &rules.entries) {
                let Some(texts) = entry.value.as_table() else {
                    let message = format!("`rules.{}` must be a table of languages", entry.key);
                    file.diagnostics.push(
                        Diagnostic::new(&codes::VALUE_TYPE, entry.value.span, message)
                            .with_label(format!("this is {}", entry.value.kind())),
                    );
                    continue;
                };
                let path = format!("rules.{}", entry.key);
                findings.check(texts, entry.value.span, &path, TEXTS_OF_RULE, None);
                file.by_rule
                    .insert(entry.key.clone(), (languages(texts), entry.key_span));
            }
        }
        file.diagnostics.append(&mut findings.diagnostics);
        file
    }

    /// Gives a rule of the file its texts; `alone` says whether it is the only one that alerts.
    fn give(&mut self, rule: &mut Rule, alone: bool) {
        let own = self.by_rule.remove(&rule.id).map(|(texts, _)| texts);
        if let Some(texts) = own.or_else(|| alone.then(|| std::mem::take(&mut self.only))) {
            rule.texts.others = texts;
        }
    }

    /// What is wrong with it, when all rules have theirs.
    fn finish(mut self, are_whole: bool) -> Vec<Diagnostic> {
        if !are_whole {
            return self.diagnostics;
        }
        for (id, (_, place)) in &self.by_rule {
            let message = format!("the file beside has no rule with the id `{id}`");
            self.diagnostics.push(
                Diagnostic::new(&codes::TEXTS_WITHOUT_RULE, *place, message)
                    .with_help("mend the id, or take the texts out"),
            );
        }
        if !self.only.is_empty() {
            let message = "it is not said which rule of the file these texts are of".to_owned();
            self.diagnostics.push(
                Diagnostic::new(&codes::TEXTS_WITHOUT_RULE, Span::default(), message)
                    .with_help("put them under `rules`, by the id of their rule"),
            );
        }
        self.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        self.diagnostics
    }
}

fn languages(table: &Table) -> BTreeMap<Lang, RuleText> {
    let texts = |lang: Lang| Some((lang, text(table.get(lang.code())?)?));
    Lang::ALL.into_iter().filter_map(texts).collect()
}

fn text(node: &Node) -> Option<RuleText> {
    let table = node.as_table()?;
    let text = |key: &str| Some(table.trimmed(key)).filter(|text| !text.is_empty());
    Some(RuleText {
        name: text("name"),
        description: text("description"),
        false_positives: table.texts("false_positives"),
        note: text("note"),
    })
}

impl Rule {
    /// Puts the rule's texts into a language, as far as there are any in it.
    pub(crate) fn speak(&mut self, lang: Lang) {
        self.texts.lang = lang;
        let Some(text) = self.texts.others.get(&lang) else {
            return;
        };
        if let Some(name) = &text.name {
            self.name.clone_from(name);
        }
        if let Some(description) = &text.description {
            self.description.clone_from(description);
        }
        if !text.false_positives.is_empty() {
            self.false_positives.clone_from(&text.false_positives);
        }
        if text.note.is_some() {
            self.note.clone_from(&text.note);
        }
    }
}
