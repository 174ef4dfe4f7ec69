//! From YAML documents to the syntax tree.

use std::collections::BTreeMap;

use neph_diag::{Diagnostic, Span};

use crate::ast::{
    About, Aggregation, Correlation, Filter, Item, Level, LogSource, Modifiers, Named, Placed, Rule, Scalar,
    Search, Value,
};
use crate::condition::Read;
use crate::yaml::{self, Data, Node};
use crate::{codes, condition, modifiers};

/// A document of a Sigma file.
#[derive(Clone, Debug)]
pub struct Document {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub content: Content,
    /// What is wrong with it. With an error among them it is not to be run.
    pub diagnostics: Vec<Diagnostic>,
}

impl Document {
    /// Forgets what a detection rule looks for: what is left says what documents of other files mean by it.
    pub fn outline(&mut self) {
        if let Content::Rule(rule) = &mut self.content {
            let Rule { about, logsource, .. } = std::mem::take(&mut **rule);
            **rule = Rule {
                about: About {
                    id: about.id,
                    name: about.name,
                    ..About::default()
                },
                logsource,
                ..Rule::default()
            };
        }
    }
}

/// What a document is.
#[derive(Clone, Debug)]
pub enum Content {
    /// A detection rule.
    Rule(Box<Rule>),
    /// A filter.
    Filter(Box<Filter>),
    /// A correlation rule; nothing but what it says of itself, where the rest cannot be read.
    Correlation(Box<Result<Correlation, About>>),
    /// It could not be read as YAML.
    Broken,
    /// YAML, but nothing of Sigma.
    Foreign,
}

/// Keys that rules have.
const KEYS: &[&str] = &[
    "title",
    "id",
    "name",
    "related",
    "taxonomy",
    "status",
    "description",
    "license",
    "references",
    "author",
    "date",
    "modified",
    "logsource",
    "detection",
    "fields",
    "falsepositives",
    "level",
    "tags",
    "scope",
];

const STATUSES: &[&str] = &["stable", "test", "experimental", "deprecated", "unsupported"];

/// Searches inside searches are read this deep.
const MAX_DEPTH: u32 = 16;

/// Reads all documents of a text. Documents with `action: global` are put under those that follow and are not listed.
pub fn parse(text: &str) -> Vec<Document> {
    let mut global: Option<Node> = None;
    let mut previous: Option<Node> = None;
    let mut documents = Vec::new();
    let mut ids: BTreeMap<String, Span> = BTreeMap::new();
    for mut document in yaml::read(text) {
        let Some(root) = document.root.take() else {
            documents.push(Document {
                span: document.span,
                content: Content::Broken,
                diagnostics: document.diagnostics,
            });
            continue;
        };
        let merged = match root.get("action").and_then(Node::text).as_deref() {
            Some("global") => {
                global = Some(match &global {
                    Some(earlier) => yaml::merge(earlier, &root),
                    None => root,
                });
                continue;
            }
            Some("reset") => {
                global = None;
                continue;
            }
            Some("repeat") => match &previous {
                Some(earlier) => yaml::merge(earlier, &root),
                None => root,
            },
            _ => match &global {
                Some(global) => yaml::merge(global, &root),
                None => root,
            },
        };
        let mut reader = Reader {
            text,
            diagnostics: document.diagnostics,
        };
        let content = reader.document(&merged, &mut ids);
        documents.push(Document {
            span: document.span,
            content,
            diagnostics: reader.diagnostics,
        });
        previous = Some(merged);
    }
    documents
}

/// Reads a fragment: a `detection`, or what stands in one, with or without `logsource`; a whole rule is one, too. Nothing
/// where it is none, which has been told.
pub(crate) fn fragment(text: &str) -> (Option<Rule>, Vec<Diagnostic>) {
    let mut documents = yaml::read(text);
    let end = Span::new(text.len(), text.len());
    if let Some(second) = documents.get(1) {
        let message = "a query is one document";
        return (
            None,
            vec![Diagnostic::new(&codes::KEY_MISSING, second.span, message)],
        );
    }
    let document = documents.pop();
    let (root, diagnostics) =
        document.map_or_else(Default::default, |document| (document.root, document.diagnostics));
    let mut reader = Reader { text, diagnostics };
    let Some(root) = root else {
        if reader.diagnostics.is_empty() {
            reader.missing("detection", end);
        }
        return (None, reader.diagnostics);
    };
    let (node, place) = match root.entry("detection") {
        Some(entry) => (&entry.value, entry.key_span),
        None => (&root, root.span),
    };
    let logsource = root
        .entry("logsource")
        .map(|entry| (reader.logsource_of(&entry.value), entry.value.span));
    let timeframe = node.get("timeframe");
    let timeframe = timeframe.and_then(|node| Some((reader.timespan(node, "timeframe")?, node.span)));
    let (searches, read) = reader.searches(node, place, &["timeframe", "logsource"]);
    let aggregation = read.iter().find_map(|read| read.aggregation.clone());
    let (logsource, logsource_span) = logsource.unwrap_or_default();
    let rule = Rule {
        about: About {
            title: Some("query".into()),
            id_span: place,
            ..About::default()
        },
        logsource,
        logsource_span,
        searches,
        conditions: read.into_iter().map(|read| read.condition).collect(),
        aggregation,
        timeframe,
    };
    let rule = (!neph_diag::has_errors(&reader.diagnostics)).then_some(rule);
    (rule, reader.diagnostics)
}

pub(crate) struct Reader<'a> {
    pub(crate) text: &'a str,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn document(&mut self, root: &Node, ids: &mut BTreeMap<String, Span>) -> Content {
        let has = |key: &str| root.get(key).is_some();
        let sigma = ["detection", "correlation", "filter"].iter().any(|key| has(key));
        let begun = has("logsource") && has("title");
        if !sigma && !begun {
            return Content::Foreign;
        }
        self.check_keys(root);
        let id_span = ["id", "title"].iter().find_map(|key| root.get(key)).map_or(
            Span::new(root.span.start as usize, root.span.start as usize),
            |node| node.span,
        );
        let about = self.about(root, id_span, ids);
        if let Some(entry) = root.entry("correlation") {
            return Content::Correlation(Box::new(self.correlation(root, entry, about)));
        }
        let (logsource, logsource_span) = self.logsource(root, id_span);
        if let Some(filter) = root.entry("filter") {
            let (searches, read) = self.searches(&filter.value, filter.key_span, &["rules"]);
            for aggregation in read.iter().filter_map(|read| read.aggregation.as_ref()) {
                let message = "a filter cannot aggregate";
                self.diagnostics
                    .push(Diagnostic::new(&codes::AGGREGATION, aggregation.span, message));
            }
            let conditions = read.into_iter().map(|read| read.condition).collect();
            let rules = match filter.value.get("rules") {
                Some(Node {
                    data: Data::Text(text),
                    ..
                }) if text.eq_ignore_ascii_case("any") => Vec::new(),
                Some(node) => self.placed(node, "rules"),
                None => {
                    self.missing("rules", filter.key_span);
                    Vec::new()
                }
            };
            return Content::Filter(Box::new(Filter {
                about,
                logsource,
                rules,
                searches,
                conditions,
            }));
        }
        let timeframe = root.get("detection").and_then(|node| {
            let node = node.get("timeframe")?;
            Some((self.timespan(node, "timeframe")?, node.span))
        });
        let (searches, read) = match root.entry("detection") {
            Some(entry) => self.searches(&entry.value, entry.key_span, &["timeframe"]),
            None => {
                self.missing("detection", id_span);
                (Vec::new(), Vec::new())
            }
        };
        let aggregations = read.iter().filter_map(|read| read.aggregation.clone());
        let mut aggregations: Vec<Aggregation> = aggregations.collect();
        if read.len() > 1
            && let Some(aggregation) = aggregations.first()
        {
            let message = "a condition that aggregates must be the only one";
            self.diagnostics
                .push(Diagnostic::new(&codes::AGGREGATION, aggregation.span, message));
        }
        Content::Rule(Box::new(Rule {
            about,
            logsource,
            logsource_span,
            searches,
            conditions: read.into_iter().map(|read| read.condition).collect(),
            aggregation: aggregations.pop(),
            timeframe,
        }))
    }

    /// What every document may say of itself.
    fn about(&mut self, root: &Node, id_span: Span, ids: &mut BTreeMap<String, Span>) -> About {
        let id = self.string(root, "id");
        if let Some(id) = &id {
            if let Some(first) = ids.get(id) {
                let message = format!("the id `{id}` belongs to an earlier document of this file");
                let diagnostic = Diagnostic::new(&codes::DUPLICATE_ID, id_span, message);
                self.diagnostics
                    .push(diagnostic.with_secondary(*first, "the earlier one"));
            } else {
                ids.insert(id.clone(), id_span);
            }
            if !is_uuid(id) {
                let message = format!("the id `{id}` is no UUID");
                self.diagnostics
                    .push(Diagnostic::new(&codes::VALUE_ODD, id_span, message));
            }
        }
        let title = self.string(root, "title");
        if root.get("title").is_none_or(|node| node.data == Data::Null) {
            self.missing("title", id_span);
        }
        let status = self.string(root, "status");
        if let Some(status) = &status
            && !STATUSES.contains(&status.as_str())
        {
            let place = root.get("status").map_or(id_span, |node| node.span);
            let diagnostic = Diagnostic::new(
                &codes::VALUE_ODD,
                place,
                format!("`{status}` is no status of Sigma"),
            );
            self.diagnostics
                .push(diagnostic.with_help(format!("it is one of `{}`", STATUSES.join("`, `"))));
        }
        About {
            title,
            id,
            name: self.string(root, "name"),
            status,
            description: self.string(root, "description"),
            license: self.string(root, "license"),
            author: root
                .get("author")
                .map(|node| self.texts_of(node, "author").join(", ")),
            date: self.string(root, "date"),
            modified: self.string(root, "modified"),
            references: self.texts(root, "references"),
            tags: self.texts(root, "tags"),
            fields: self.texts(root, "fields"),
            false_positives: self.texts(root, "falsepositives"),
            level: self.level(root),
            id_span,
        }
    }

    fn check_keys(&mut self, root: &Node) {
        self.check_twice(root);
        for entry in root.entries() {
            if KEYS.contains(&entry.key.as_str())
                || ["correlation", "filter", "action"].contains(&entry.key.as_str())
            {
                continue;
            }
            // A key that stands there already was not meant a second time.
            let free = KEYS.iter().copied().filter(|known| root.get(known).is_none());
            let lower = entry.key.to_lowercase();
            let alike = free
                .map(|known| (strsim::jaro_winkler(&lower, known), known))
                .filter(|(score, _)| *score > 0.92)
                .max_by(|a, b| a.0.total_cmp(&b.0));
            if let Some((_, known)) = alike {
                let message = format!("`{}` is not a key of Sigma", entry.key);
                self.diagnostics.push(
                    Diagnostic::new(&codes::KEY_ALIKE, entry.key_span, message)
                        .with_help(format!("did you mean `{known}`?")),
                );
            }
        }
    }

    pub(crate) fn check_twice(&mut self, map: &Node) {
        // That no key stands there twice, as in most maps, is told without a tree.
        let mut keys: Vec<&str> = map.entries().iter().map(|entry| entry.key.as_str()).collect();
        keys.sort_unstable();
        if keys.is_sorted_by(|a, b| a < b) {
            return;
        }
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for entry in map.entries() {
            match seen.get(entry.key.as_str()) {
                Some(first) => self.diagnostics.push(
                    Diagnostic::new(
                        &codes::KEY_TWICE,
                        entry.key_span,
                        format!("`{}` stands here twice", entry.key),
                    )
                    .with_secondary(*first, "first here"),
                ),
                None => drop(seen.insert(&entry.key, entry.key_span)),
            }
        }
    }

    pub(crate) fn missing(&mut self, key: &str, place: Span) {
        self.diagnostics.push(Diagnostic::new(
            &codes::KEY_MISSING,
            place,
            format!("`{key}` is missing"),
        ));
    }

    pub(crate) fn wrong_kind(&mut self, node: &Node, what: &str, wanted: &str) {
        let diagnostic = Diagnostic::new(&codes::VALUE_TYPE, node.span, format!("{what} must be {wanted}"));
        self.diagnostics
            .push(diagnostic.with_label(format!("this is {}", node.kind())));
    }

    pub(crate) fn string(&mut self, map: &Node, key: &str) -> Option<String> {
        let node = map.get(key)?;
        if node.data == Data::Null {
            return None;
        }
        let text = node.text();
        if text.is_none() {
            self.wrong_kind(node, &format!("`{key}`"), "a text");
        }
        text
    }

    fn texts(&mut self, map: &Node, key: &str) -> Vec<String> {
        map.get(key)
            .map_or_else(Vec::new, |node| self.texts_of(node, key))
    }

    pub(crate) fn texts_of(&mut self, node: &Node, key: &str) -> Vec<String> {
        match &node.data {
            Data::Null => Vec::new(),
            Data::List(items) => {
                for item in items
                    .iter()
                    .filter(|item| !item.is_text() && item.data != Data::Null)
                {
                    self.wrong_kind(item, &format!("each item of `{key}`"), "a text");
                }
                items.iter().filter_map(Node::text).collect()
            }
            _ => {
                let text = node.text();
                if text.is_none() {
                    self.wrong_kind(node, &format!("`{key}`"), "a list of texts");
                }
                text.into_iter().collect()
            }
        }
    }

    /// A text or a list of texts, with their places.
    pub(crate) fn placed(&mut self, node: &Node, key: &str) -> Vec<Placed> {
        self.texts_of(node, key);
        let nodes = match &node.data {
            Data::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        nodes
            .iter()
            .filter_map(|node| {
                Some(Placed {
                    text: node.text()?,
                    span: node.span,
                })
            })
            .collect()
    }

    fn level(&mut self, root: &Node) -> Option<Level> {
        let word = self.string(root, "level")?;
        let found = Level::ALL.iter().find(|(known, _)| *known == word.to_lowercase());
        if found.is_none() {
            let place = root.get("level").map_or(root.span, |node| node.span);
            let words: Vec<&str> = Level::ALL.iter().map(|(known, _)| *known).collect();
            self.diagnostics.push(
                Diagnostic::new(&codes::VALUE, place, format!("`{word}` is not a level"))
                    .with_help(format!("it is one of `{}`", words.join("`, `"))),
            );
        }
        found.map(|(_, level)| *level)
    }

    fn logsource(&mut self, root: &Node, place: Span) -> (LogSource, Span) {
        let Some(entry) = root.entry("logsource") else {
            self.missing("logsource", place);
            return (LogSource::default(), place);
        };
        let logsource = self.logsource_of(&entry.value);
        if logsource.parts().next().is_none() && matches!(entry.value.data, Data::Map(_)) {
            let message = "`logsource` states neither `product` nor `category` nor `service`";
            self.diagnostics
                .push(Diagnostic::new(&codes::KEY_MISSING, entry.key_span, message));
        }
        (logsource, entry.value.span)
    }

    pub(crate) fn logsource_of(&mut self, node: &Node) -> LogSource {
        if !matches!(node.data, Data::Map(_)) {
            self.wrong_kind(node, "`logsource`", "a map");
            return LogSource::default();
        }
        LogSource {
            product: self.string(node, "product"),
            category: self.string(node, "category"),
            service: self.string(node, "service"),
        }
    }

    /// Search identifiers and conditions of a `detection` or `filter`; keys in `others` are neither.
    fn searches(&mut self, node: &Node, place: Span, others: &[&str]) -> (Vec<Named>, Vec<Read>) {
        if !matches!(node.data, Data::Map(_)) {
            self.wrong_kind(node, "this", "a map of search identifiers and a `condition`");
            return (Vec::new(), Vec::new());
        }
        self.check_twice(node);
        let mut searches = Vec::new();
        let mut conditions = Vec::new();
        for entry in node.entries() {
            if entry.key == "condition" {
                conditions = self.conditions(&entry.value);
            } else if !others.contains(&entry.key.as_str())
                && let Some(search) = self.search(&entry.value, 0)
            {
                searches.push(Named {
                    name: entry.key.clone(),
                    span: entry.key_span,
                    search,
                });
            }
        }
        if node.get("condition").is_none() {
            self.missing("condition", place);
        }
        if searches.is_empty() && !neph_diag::has_errors(&self.diagnostics) {
            let message = "there is no search identifier beside `condition`";
            self.diagnostics
                .push(Diagnostic::new(&codes::KEY_MISSING, place, message));
        }
        (searches, conditions)
    }

    fn conditions(&mut self, node: &Node) -> Vec<Read> {
        let nodes = match &node.data {
            Data::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut conditions = Vec::new();
        for node in nodes {
            let Data::Text(text) = &node.data else {
                self.wrong_kind(node, "`condition`", "a text or a list of texts");
                continue;
            };
            conditions.extend(self.condition(node, text));
        }
        conditions
    }

    /// Reads the condition that a value of this text is.
    pub(crate) fn condition(&mut self, node: &Node, text: &str) -> Option<Read> {
        let start = self.verbatim(node.span, text);
        let place = |span: Span| match start {
            Some(start) => Span::new(start + span.start as usize, start + span.end as usize),
            None => node.span,
        };
        condition::read(text, &place, &mut self.diagnostics)
    }

    /// Where the text of a scalar begins in the file, if it stands there as it is.
    fn verbatim(&self, span: Span, value: &str) -> Option<usize> {
        let raw = span.text(self.text);
        [0, 1]
            .into_iter()
            .find(|quote| raw.get(*quote..raw.len().saturating_sub(*quote)) == Some(value))
            .map(|quote| span.start as usize + quote)
    }

    pub(crate) fn search(&mut self, node: &Node, depth: u32) -> Option<Search> {
        if depth > MAX_DEPTH {
            self.wrong_kind(node, "a search identifier", "less deeply nested");
            return None;
        }
        match &node.data {
            Data::Map(entries) => {
                self.check_twice(node);
                if entries.is_empty() {
                    self.wrong_kind(node, "a search identifier", "a map with fields");
                }
                let items: Vec<Item> = entries.iter().filter_map(|entry| self.item(entry)).collect();
                (items.len() == entries.len()).then_some(Search::All(items))
            }
            Data::List(items) if items.is_empty() => {
                self.wrong_kind(node, "a search identifier", "a list that is not empty");
                None
            }
            Data::List(items) if items.iter().all(|item| scalar(item).is_some()) => {
                Some(Search::All(vec![keywords(items.iter(), node.span)]))
            }
            Data::List(items) => {
                let parts: Vec<Search> = items
                    .iter()
                    .filter_map(|item| self.search(item, depth + 1))
                    .collect();
                (parts.len() == items.len()).then_some(Search::Any(parts))
            }
            Data::Null => {
                self.wrong_kind(node, "a search identifier", "a map or a list");
                None
            }
            _ => Some(Search::All(vec![keywords(std::iter::once(node), node.span)])),
        }
    }

    fn item(&mut self, entry: &yaml::Entry) -> Option<Item> {
        let (field, chain) = match entry.key.split_once('|') {
            Some((field, chain)) => (field, Some(chain)),
            None => (entry.key.as_str(), None),
        };
        let modifiers = match chain {
            Some(chain) => {
                let start = self.verbatim(entry.key_span, &entry.key);
                let behind = field.len() + 1;
                let span = match start {
                    Some(start) => Span::new(start + behind, start + behind + chain.len()),
                    None => entry.key_span,
                };
                modifiers::read(chain, span, &mut self.diagnostics)
            }
            None => Modifiers::default(),
        };
        let nodes = match &entry.value.data {
            Data::List(items) => items.as_slice(),
            _ => std::slice::from_ref(&entry.value),
        };
        if nodes.is_empty() {
            self.wrong_kind(
                &entry.value,
                &format!("`{}`", entry.key),
                "a value or a list that is not empty",
            );
            return None;
        }
        let mut values = Vec::with_capacity(nodes.len());
        for node in nodes {
            match scalar(node) {
                Some(scalar) => values.push(Value {
                    scalar,
                    span: node.span,
                }),
                None => self.wrong_kind(
                    node,
                    &format!("a value of `{field}`"),
                    "a text, a number, a boolean or `null`",
                ),
            }
        }
        (values.len() == nodes.len()).then(|| Item {
            field: (!field.is_empty()).then(|| field.to_owned()),
            modifiers,
            values,
            span: entry.key_span.to(entry.value.span),
            key_span: entry.key_span,
        })
    }
}

fn keywords<'n>(nodes: impl Iterator<Item = &'n Node>, span: Span) -> Item {
    Item {
        field: None,
        modifiers: Modifiers::default(),
        values: nodes
            .filter_map(|node| {
                Some(Value {
                    scalar: scalar(node)?,
                    span: node.span,
                })
            })
            .collect(),
        span,
        key_span: span,
    }
}

fn scalar(node: &Node) -> Option<Scalar> {
    Some(match &node.data {
        Data::Null => Scalar::Null,
        Data::Bool(truth) => Scalar::Bool(*truth),
        Data::Number(text) => Scalar::Number(text.clone()),
        Data::Text(text) => Scalar::Text(text.clone()),
        Data::List(_) | Data::Map(_) => return None,
    })
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups
            .iter()
            .all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
