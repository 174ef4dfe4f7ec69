//! What documents of several files mean to one another: filters change rules, correlations are over rules.

use std::collections::{BTreeMap, HashMap, HashSet};

use neph_diag::{Diagnostic, Span};

use crate::ast::{About, Correlation, Filter, LogSource, Placed, Rule};
use crate::document::{Content, Document};
use crate::lower::{Compiled, Options};
use crate::modifiers::closest;
use crate::{codes, correlate};

/// The place of a document in a [`Collection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId {
    /// The file, in the order of [`Collection::new`].
    pub file: usize,
    /// The document of the file.
    pub document: usize,
}

/// Documents that may refer to one another.
#[derive(Debug)]
pub struct Collection<'d> {
    files: Vec<&'d [Document]>,
    /// By id and by name the rules that are called so.
    called: BTreeMap<&'d str, Vec<DocumentId>>,
    filters: Vec<&'d Filter>,
}

/// What a reference leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Referent<'d> {
    Rule(&'d Rule),
    Correlation(&'d Correlation),
    /// It cannot be used.
    Broken,
}

impl<'d> Collection<'d> {
    /// The documents of these files.
    pub fn new(files: Vec<&'d [Document]>) -> Self {
        let mut collection = Self {
            files: Vec::new(),
            called: BTreeMap::new(),
            filters: Vec::new(),
        };
        for (file, documents) in files.iter().enumerate() {
            for (document, content) in documents.iter().enumerate() {
                let id = DocumentId { file, document };
                if let Content::Filter(filter) = &content.content
                    && !neph_diag::has_errors(&content.diagnostics)
                {
                    collection.filters.push(filter);
                }
                let Some(about) = about_rule(&content.content) else {
                    continue;
                };
                for name in about.id.iter().chain(&about.name) {
                    let known = collection.called.entry(name.as_str()).or_default();
                    if !known.contains(&id) {
                        known.push(id);
                    }
                }
            }
        }
        collection.files = files;
        collection
    }

    fn document(&self, id: DocumentId) -> Option<&'d Document> {
        self.files.get(id.file)?.get(id.document)
    }

    /// All documents, in the order of the files and of their text.
    pub fn documents(&self) -> impl Iterator<Item = (DocumentId, &'d Document)> {
        self.files.iter().enumerate().flat_map(|(file, documents)| {
            let documents = documents.iter().enumerate();
            documents.map(move |(document, content)| (DocumentId { file, document }, content))
        })
    }

    /// Compiles a detection rule, with the filters of all files that apply to it, or a correlation rule with the rules
    /// that it is over. `None` where the document is neither.
    pub fn compile(&self, id: DocumentId, options: &Options<'_>) -> Option<Compiled> {
        match &self.document(id)?.content {
            Content::Rule(rule) => Some(crate::compile(rule, &self.filters_of(rule), options)),
            Content::Correlation(read) => {
                let correlation = read.as_ref().as_ref().ok()?;
                Some(correlate::compile(self, id, correlation, options))
            }
            _ => None,
        }
    }

    /// The filters that apply to a rule.
    pub(crate) fn filters_of(&self, rule: &Rule) -> Vec<&'d Filter> {
        let filters = self.filters.iter().copied();
        filters.filter(|filter| applies(filter, rule)).collect()
    }

    /// The documents that the rules of a correlation are over, directly and through others, the correlation's own first.
    pub fn parts(&self, id: DocumentId) -> Vec<DocumentId> {
        let mut parts = vec![id];
        let mut at = 0;
        while let Some(id) = parts.get(at).copied() {
            at += 1;
            let Some(Content::Correlation(read)) = self.document(id).map(|document| &document.content) else {
                continue;
            };
            let rules = read
                .as_ref()
                .as_ref()
                .map(|correlation| correlation.rules.as_slice());
            for reference in rules.unwrap_or(&[]) {
                if let Ok((part, _)) = self.find(id.file, reference)
                    && !parts.contains(&part)
                {
                    parts.push(part);
                }
            }
        }
        parts
    }

    /// The documents whose meaning depends on others: rules with filters, correlations, and the rules that these are over.
    pub fn involved(&self) -> HashSet<DocumentId> {
        let mut involved = HashSet::new();
        for (id, document) in self.documents() {
            match &document.content {
                Content::Rule(rule) if !self.filters_of(rule).is_empty() => drop(involved.insert(id)),
                Content::Correlation(_) => involved.extend(self.parts(id)),
                _ => {}
            }
        }
        involved
    }

    /// The rules that raise no alerts of their own, because correlations are over them that do not say `generate`; with
    /// one of those correlations each.
    pub fn silent(&self) -> HashMap<DocumentId, DocumentId> {
        let mut silent = HashMap::new();
        let mut loud = Vec::new();
        for (id, document) in self.documents() {
            let Content::Correlation(read) = &document.content else {
                continue;
            };
            let Ok(correlation) = read.as_ref() else { continue };
            for reference in &correlation.rules {
                match self.find(id.file, reference) {
                    Ok((part, _)) if correlation.generate => loud.push(part),
                    Ok((part, _)) => drop(silent.insert(part, id)),
                    Err(_) => {}
                }
            }
        }
        silent.retain(|part, _| !loud.contains(part));
        silent
    }

    /// The rule that a reference in this file leads to: one of the same file before others.
    pub(crate) fn find(
        &self,
        file: usize,
        reference: &Placed,
    ) -> Result<(DocumentId, Referent<'d>), Box<Diagnostic>> {
        let problem = |message: String| Box::new(Diagnostic::new(&codes::REFERENCE, reference.span, message));
        let name = reference.text.as_str();
        let called = self.called.get(name).map_or(&[][..], Vec::as_slice);
        let mut here = called.iter().filter(|id| id.file == file);
        let found = match (here.next(), called) {
            (Some(id), _) => *id,
            (None, [id]) => *id,
            (None, []) => {
                let help = match closest(name, self.called.keys().copied()) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => "rules are referred to by their `id` or `name`, not by their title".into(),
                };
                return Err(Box::new(
                    problem(format!("no rule that is loaded is called `{name}`")).with_help(help),
                ));
            }
            (None, several) => {
                let message = format!("{} rules are called `{name}`", several.len());
                return Err(Box::new(
                    problem(message).with_help("refer to the rule by its `id`"),
                ));
            }
        };
        let Some(document) = self.document(found) else {
            return Ok((found, Referent::Broken));
        };
        let is_broken = neph_diag::has_errors(&document.diagnostics);
        let referent = match &document.content {
            Content::Rule(rule) if !is_broken => Referent::Rule(rule),
            Content::Correlation(read) if !is_broken => match read.as_ref() {
                Ok(correlation) => Referent::Correlation(correlation),
                Err(_) => Referent::Broken,
            },
            _ => Referent::Broken,
        };
        Ok((found, referent))
    }

    /// What is to be said of a filter beside what its own document says: what it names and what it applies to.
    pub fn filter_problems(&self, id: DocumentId) -> Vec<Diagnostic> {
        let Some(Content::Filter(filter)) = self.document(id).map(|document| &document.content) else {
            return Vec::new();
        };
        let told = |span: Span, message: String| Diagnostic::new(&codes::FILTER_TARGET, span, message);
        if filter.rules.is_empty() {
            let mut rules = self
                .documents()
                .filter_map(|(_, document)| match &document.content {
                    Content::Rule(rule) => Some(rule),
                    _ => None,
                });
            let message = format!(
                "no rule that is loaded is of the filter's log source `{}`",
                filter.logsource
            );
            return match rules.any(|rule| applies(filter, rule)) {
                true => Vec::new(),
                false => vec![told(filter.about.id_span, message)],
            };
        }
        let mut problems = Vec::new();
        for reference in &filter.rules {
            let name = &reference.text;
            let mut targets: Vec<&Content> = Vec::new();
            for found in self.called.get(name.as_str()).into_iter().flatten() {
                targets.extend(self.document(*found).map(|document| &document.content));
            }
            let of_source =
                |target: &&Content| matches!(target, Content::Rule(rule) if applies(filter, rule));
            if targets.iter().any(of_source) {
                continue;
            }
            let problem = match targets.first() {
                None => {
                    let problem = told(
                        reference.span,
                        format!("no rule that is loaded is called `{name}`"),
                    );
                    match closest(name, self.called.keys().copied()) {
                        Some(known) => problem.with_help(format!("did you mean `{known}`?")),
                        None => problem,
                    }
                }
                Some(Content::Correlation(_)) => told(
                    reference.span,
                    format!("`{name}` is a correlation rule, and filters are for detection rules"),
                )
                .with_help("name the rules that the correlation is over"),
                Some(_) => told(
                    reference.span,
                    format!("the rule `{name}` is of another log source than the filter"),
                ),
            };
            problems.push(problem);
        }
        problems
    }
}

/// What a rule says of itself.
fn about_rule(content: &Content) -> Option<&About> {
    match content {
        Content::Rule(rule) => Some(&rule.about),
        Content::Correlation(read) => Some(match read.as_ref() {
            Ok(correlation) => &correlation.about,
            Err(about) => about,
        }),
        _ => None,
    }
}

/// Whether a filter names this rule, or every rule of its log source.
fn applies(filter: &Filter, rule: &Rule) -> bool {
    let named = |reference: &Placed| rule.about.is_called(&reference.text);
    let source: &LogSource = &filter.logsource;
    source.covers(&rule.logsource) && (filter.rules.is_empty() || filter.rules.iter().any(named))
}
