//! Mappings: which events belong to a log source, and where its fields stand.
//!
//! The shipped mappings are the files of `data`; users can add files of the same form, which go before them. A file is a
//! list of sources, each for the log sources that have all of its parts:
//!
//! ```yaml
//! - logsource: {product: acme, service: audit}
//!   when:                       # which events these are: a Sigma search
//!     event.dataset: acme.audit
//!   fields:
//!     User: [user.name, actor]  # where a field stands: any of these, or where `fallback` says
//!     Port: {only: [source.port]}
//!     Direction: [{field: network.direction, values: {out: egress}}]
//!   fallback: ['acme.{}', '{}'] # where all fields stand, `{}` being the name
//! ```
//!
//! The source with the most parts that says something of a field wins; the `when` of a rule is that of the source with
//! the most parts that has one.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use neph_diag::{Diagnostic, Span, has_errors};

use crate::ast::{LogSource, Search};
use crate::codes;
use crate::document::Reader;
use crate::yaml::{self, Data, Node};

const SHIPPED: &[(&str, &str)] = &[
    ("windows", include_str!("../data/windows.yml")),
    ("linux", include_str!("../data/linux.yml")),
    ("cloud", include_str!("../data/cloud.yml")),
    ("software", include_str!("../data/software.yml")),
    ("network", include_str!("../data/network.yml")),
];

/// All mappings, later files before earlier ones.
#[derive(Clone, Debug, Default)]
pub struct Mappings {
    sources: Vec<Source>,
    files: usize,
}

#[derive(Clone, Debug)]
struct Source {
    logsource: LogSource,
    when: Option<Search>,
    fields: BTreeMap<String, Place>,
    fallback: Vec<String>,
    file: usize,
}

#[derive(Clone, Debug)]
struct Place {
    alternatives: Vec<Alternative>,
    /// Whether the field stands nowhere else.
    only: bool,
}

/// A place where a field may stand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Alternative {
    /// Path in the event.
    pub(crate) path: String,
    /// What the values that a rule may name are called there; empty where they are called the same.
    pub(crate) values: BTreeMap<String, String>,
}

impl Alternative {
    pub(crate) fn at(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            values: BTreeMap::new(),
        }
    }
}

impl Mappings {
    /// The shipped mappings.
    pub fn shipped() -> &'static Self {
        static SHIPPED_MAPPINGS: LazyLock<Mappings> = LazyLock::new(|| {
            let mut mappings = Mappings::default();
            for (_, text) in SHIPPED {
                // That they have no faults is tested.
                mappings.add(text);
            }
            mappings
        });
        &SHIPPED_MAPPINGS
    }

    /// Adds the mappings of a file, which go before all that were added earlier. Nothing is added where one of the
    /// diagnostics is an error.
    pub fn add(&mut self, text: &str) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        let mut sources = Vec::new();
        for document in yaml::read(text) {
            diagnostics.extend(document.diagnostics);
            let Some(root) = document.root else { continue };
            let Data::List(items) = &root.data else {
                let message = "a mapping file must be a list of sources";
                diagnostics.push(Diagnostic::new(&codes::MAPPING, root.span, message));
                continue;
            };
            for item in items {
                let mut reader = Reader {
                    text,
                    diagnostics: Vec::new(),
                };
                sources.push(source(&mut reader, item, self.files + 1));
                diagnostics.append(&mut reader.diagnostics);
            }
        }
        if !has_errors(&diagnostics) {
            self.files += 1;
            self.sources.extend(sources);
            self.sources.sort_by_key(|source| {
                let parts = source.logsource.parts().count();
                std::cmp::Reverse((parts, source.file))
            });
        }
        diagnostics
    }

    /// What holds for rules of a log source.
    pub(crate) fn view(&self, logsource: &LogSource) -> View<'_> {
        let sources: Vec<&Source> = self
            .sources
            .iter()
            .filter(|source| source.logsource.covers(logsource))
            .collect();
        View { sources }
    }
}

/// The sources that hold for one log source, those with the most parts first.
#[derive(Debug)]
pub(crate) struct View<'m> {
    sources: Vec<&'m Source>,
}

impl View<'_> {
    /// Which events belong to the log source: all of these searches hold. Empty where no mapping knows it.
    pub(crate) fn when(&self) -> Vec<&Search> {
        let rank = |source: &Source| (source.logsource.parts().count(), source.file);
        let Some(best) = self
            .sources
            .iter()
            .find(|source| source.when.is_some())
            .map(|source| rank(source))
        else {
            return Vec::new();
        };
        self.sources
            .iter()
            .filter(|source| rank(source) == best)
            .filter_map(|source| source.when.as_ref())
            .collect()
    }

    /// Where a field stands, and whether a mapping knows it.
    pub(crate) fn field(&self, name: &str) -> (Vec<Alternative>, bool) {
        let mut alternatives = Vec::new();
        let stated = self.sources.iter().find_map(|source| source.fields.get(name));
        if let Some(place) = stated {
            alternatives.clone_from(&place.alternatives);
            if place.only {
                return (alternatives, true);
            }
        }
        let fallback = self.sources.iter().find(|source| !source.fallback.is_empty());
        match fallback {
            Some(source) => {
                for template in &source.fallback {
                    let alternative = Alternative::at(template.replace("{}", name));
                    if !alternatives.contains(&alternative) {
                        alternatives.push(alternative);
                    }
                }
            }
            None if !alternatives.contains(&Alternative::at(name)) => {
                alternatives.push(Alternative::at(name))
            }
            None => {}
        }
        (alternatives, stated.is_some() || fallback.is_some())
    }
}

fn wrong(reader: &mut Reader<'_>, span: Span, message: impl Into<String>) {
    reader
        .diagnostics
        .push(Diagnostic::new(&codes::MAPPING, span, message));
}

fn source(reader: &mut Reader<'_>, node: &Node, file: usize) -> Source {
    let mut source = Source {
        logsource: LogSource::default(),
        when: None,
        fields: BTreeMap::new(),
        fallback: Vec::new(),
        file,
    };
    if !matches!(node.data, Data::Map(_)) {
        wrong(reader, node.span, "a source must be a map");
        return source;
    }
    for entry in node.entries() {
        match entry.key.as_str() {
            "logsource" => source.logsource = reader.logsource_of(&entry.value),
            "when" => source.when = reader.search(&entry.value, 0),
            "fallback" => source.fallback = reader.texts_of(&entry.value, "fallback"),
            "fields" => {
                for field in entry.value.entries() {
                    let place = place(reader, &field.value);
                    source.fields.insert(field.key.clone(), place);
                }
            }
            other => wrong(reader, entry.key_span, format!("a source has no key `{other}`")),
        }
    }
    if node.get("logsource").is_none() {
        wrong(reader, node.span, "`logsource` is missing");
    }
    for template in source.fallback.iter().filter(|template| !template.contains("{}")) {
        wrong(
            reader,
            node.span,
            format!("the fallback `{template}` has no place `{{}}` for the field's name"),
        );
    }
    source
}

fn place(reader: &mut Reader<'_>, node: &Node) -> Place {
    if let Some(list) = node.get("only") {
        return Place {
            alternatives: alternatives(reader, list),
            only: true,
        };
    }
    Place {
        alternatives: alternatives(reader, node),
        only: false,
    }
}

fn alternatives(reader: &mut Reader<'_>, node: &Node) -> Vec<Alternative> {
    let nodes = match &node.data {
        Data::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut list = Vec::with_capacity(nodes.len());
    for node in nodes {
        let path = node.text().or_else(|| node.get("field").and_then(Node::text));
        let Some(path) = path else {
            wrong(
                reader,
                node.span,
                "a place of a field must be a path, or a map with `field` and `values`",
            );
            continue;
        };
        let values = node.get("values").map_or(&[][..], Node::entries);
        list.push(Alternative {
            path,
            values: values
                .iter()
                .filter_map(|entry| Some((entry.key.to_lowercase(), entry.value.text()?)))
                .collect(),
        });
    }
    list
}
