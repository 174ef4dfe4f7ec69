//! Mappings: which events belong to a log source, and where its fields stand.
//!
//! The shipped mappings are the files of `data`; users can add files of the same form, which go before them. A file is a
//! list of sources, each for the log sources that have all of its parts:
//!
//! ```yaml
//! - logsource: {product: acme, service: audit}
//!   when:                       # which events these are: a Sigma search of these very paths, or of fields with `only`
//!     event.dataset: acme.audit
//!   fields:
//!     User: [user.name, actor]  # where a field stands: any of these, or where `fallback` says
//!     Port: {only: [source.port]}
//!     Direction: [{field: network.direction, values: {out: egress}}]
//!     Account: [user.name, {join: [user.domain, user.name], by: '\'}] # what it is compared with other fields as, too
//!   fallback: ['acme.{}', '{}'] # where all fields stand, `{}` being the name
//! ```
//!
//! The source with the most parts that says something of a field wins; the `when` of a rule is that of the source with
//! the most parts that has one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use neph_diag::{Diagnostic, Span, has_errors};
use neph_event::{Field, FieldType};
use neph_plan::Condition;

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
    known: Known,
}

/// Where fields stand, as far as it was asked: thousands of rules ask for the same fields of the same log sources.
#[derive(Debug, Default)]
struct Known(Mutex<HashMap<LogSource, Arc<KnownPlaces>>>);

/// The same for one log source, by the names of the fields.
#[derive(Debug, Default)]
pub(crate) struct KnownPlaces {
    /// As rules name them.
    of_rules: Mutex<HashMap<String, Arc<Places>>>,
    /// As the searches of mappings name them.
    own: Mutex<HashMap<String, Arc<Places>>>,
    /// The positions of the sources that hold for it.
    sources: OnceLock<Vec<usize>>,
    /// Which events belong to it.
    pub(crate) selecting: OnceLock<Selecting>,
}

/// Which events belong to a log source, as a rule whose first fields these are asks it.
#[derive(Debug)]
pub(crate) struct Selecting {
    pub(crate) fields: Vec<Arc<Field>>,
    pub(crate) conditions: Vec<Condition>,
}

impl Clone for Known {
    /// What was asked of one copy says nothing once something is added to the other.
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// The places of a field.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) list: Vec<Alternative>,
    /// Whether a mapping knows the field.
    pub(crate) known: bool,
}

impl Places {
    /// One path.
    pub(crate) fn one(path: &str) -> Arc<Self> {
        Arc::new(Self {
            list: vec![Alternative::at(path)],
            known: true,
        })
    }
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
    joined: Vec<Joined>,
    /// Whether the field stands nowhere else.
    only: bool,
}

/// A value whose parts stand apart in the event, such as the domain and the name of an account. Such a field is compared with
/// other fields, whose values may be whole, as what its parts come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    /// Paths of the parts.
    pub(crate) parts: Vec<String>,
    /// What stands between them.
    pub(crate) by: String,
}

/// A place where a field may stand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Alternative {
    /// What is read of the event.
    pub(crate) field: Arc<Field>,
    /// What the values that a rule may name are called there; empty where they are called the same.
    pub(crate) values: BTreeMap<String, String>,
}

impl Alternative {
    pub(crate) fn at(path: &str) -> Self {
        Self {
            field: Field::new(path, FieldType::Keyword).into(),
            values: BTreeMap::new(),
        }
    }
}

impl Mappings {
    /// The shipped mappings. They remember each field that rules ask them for, so who compiles what others write takes them anew.
    pub fn shipped() -> Self {
        static SHIPPED_MAPPINGS: LazyLock<Mappings> = LazyLock::new(|| {
            let mut mappings = Mappings::default();
            for (_, text) in SHIPPED {
                // That they have no faults is tested.
                mappings.add(text);
            }
            mappings
        });
        SHIPPED_MAPPINGS.clone()
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
            self.known = Known::default();
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
        let is_open = logsource.parts().next().is_none();
        let mut known = self.known.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match known.get(logsource) {
            Some(known) => Arc::clone(known),
            None => Arc::clone(known.entry(logsource.clone()).or_default()),
        };
        let holding = known.sources.get_or_init(|| {
            let sources = self.sources.iter().enumerate();
            let holding = sources.filter(|(_, source)| is_open || source.logsource.covers(logsource));
            holding.map(|(place, _)| place).collect()
        });
        View {
            sources: holding
                .iter()
                .filter_map(|place| self.sources.get(*place))
                .collect(),
            is_open,
            known,
        }
    }
}

/// The sources that hold for one log source, those with the most parts first.
#[derive(Debug, Default)]
pub(crate) struct View<'m> {
    sources: Vec<&'m Source>,
    /// Whether no log source is stated: then it is about all events, and a field stands wherever any source says.
    is_open: bool,
    pub(crate) known: Arc<KnownPlaces>,
}

impl View<'_> {
    /// Which events belong to the log source: all of these searches hold. Empty where no mapping knows it.
    pub(crate) fn when(&self) -> Vec<&Search> {
        if self.is_open {
            return Vec::new();
        }
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

    /// The places of a field as the search of a mapping names it: those that a mapping states as its only ones, or the path.
    pub(crate) fn own(&self, name: &str) -> Arc<Places> {
        let mut own = self.known.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = own.get(name) {
            return Arc::clone(places);
        }
        let stated = self.sources.iter().find_map(|source| source.fields.get(name));
        let places = match stated.filter(|stated| stated.only) {
            Some(only) => Arc::new(Places {
                list: only.alternatives.clone(),
                known: true,
            }),
            None => Places::one(name),
        };
        own.insert(name.to_owned(), Arc::clone(&places));
        places
    }

    /// The values that a field is in parts.
    pub(crate) fn joined(&self, name: &str) -> Vec<&Joined> {
        let mut stated = self.sources.iter().filter_map(|source| source.fields.get(name));
        match self.is_open {
            true => stated.flat_map(|place| &place.joined).collect(),
            false => stated
                .next()
                .map_or_else(Vec::new, |place| place.joined.iter().collect()),
        }
    }

    /// Where a field stands, and whether a mapping knows it.
    pub(crate) fn field(&self, name: &str) -> Arc<Places> {
        let mut known = self.known.of_rules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = known.get(name) {
            return Arc::clone(places);
        }
        let (list, is_known) = self.find(name);
        let places = Arc::new(Places {
            list,
            known: is_known,
        });
        known.insert(name.to_owned(), Arc::clone(&places));
        places
    }

    fn find(&self, name: &str) -> (Vec<Alternative>, bool) {
        let mut alternatives = Vec::new();
        if self.is_open {
            let places = self.sources.iter().filter_map(|source| source.fields.get(name));
            let stated = places.flat_map(|place| place.alternatives.iter().cloned());
            for alternative in stated.chain([Alternative::at(name)]) {
                if !alternatives.contains(&alternative) {
                    alternatives.push(alternative);
                }
            }
            return (alternatives.clone(), alternatives.len() > 1);
        }
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
                    let alternative = Alternative::at(&template.replace("{}", name));
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
    let only = node.get("only");
    let node = only.unwrap_or(node);
    let nodes = match &node.data {
        Data::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let (joined, places): (Vec<&Node>, Vec<&Node>) =
        nodes.iter().partition(|node| node.get("join").is_some());
    Place {
        alternatives: alternatives(reader, &places),
        joined: joined
            .into_iter()
            .map(|node| self::joined(reader, node))
            .collect(),
        only: only.is_some(),
    }
}

fn joined(reader: &mut Reader<'_>, node: &Node) -> Joined {
    let parts = node.get("join").map(|list| reader.texts_of(list, "join"));
    let parts = parts.unwrap_or_default();
    if parts.len() < 2 {
        wrong(reader, node.span, "`join` takes a list of at least two paths");
    }
    Joined {
        parts,
        by: node.get("by").and_then(Node::text).unwrap_or_default(),
    }
}

fn alternatives(reader: &mut Reader<'_>, nodes: &[&Node]) -> Vec<Alternative> {
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
            values: values
                .iter()
                .filter_map(|entry| Some((entry.key.to_lowercase(), entry.value.text()?)))
                .collect(),
            ..Alternative::at(&path)
        });
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_mappings_have_no_faults() {
        let mut mappings = Mappings::default();
        for (name, text) in SHIPPED {
            assert_eq!(mappings.add(text), [], "{name}");
        }
        for source in &mappings.sources {
            let text = source.logsource.to_string();
            assert!(source.logsource.parts().next().is_some(), "{text}");
            let same = mappings
                .sources
                .iter()
                .filter(|other| other.logsource == source.logsource);
            assert_eq!(same.count(), 1, "{text} stands twice");
            assert!(
                !mappings.view(&source.logsource).when().is_empty(),
                "{text} selects no events"
            );
        }
    }

    #[test]
    fn what_is_asked_of_the_shipped_mappings_is_not_remembered_for_ever() {
        let mappings = Mappings::shipped();
        mappings.view(&LogSource::default()).field("a name of somebody's");
        assert_eq!(mappings.known.0.lock().unwrap().len(), 1);
        assert!(Mappings::shipped().known.0.lock().unwrap().is_empty());
    }

    fn paths(mappings: &Mappings, product: &str, service: &str, field: &str) -> (Vec<String>, bool) {
        let logsource = LogSource {
            product: Some(product.into()),
            category: None,
            service: Some(service.into()),
        };
        let places = mappings.view(&logsource).field(field);
        (
            places
                .list
                .iter()
                .map(|place| place.field.path.to_string())
                .collect(),
            places.known,
        )
    }

    #[test]
    fn the_source_with_the_most_parts_wins_and_later_files_go_first() {
        let mut mappings = Mappings::default();
        let general = "- logsource: {product: acme}\n  fields: {User: user.name, Host: host.name}\n  fallback: ['acme.{}']\n";
        let special = "- logsource: {product: acme, service: audit}\n  when: {kind: audit}\n  fields: {User: {only: actor}}\n";
        assert_eq!(mappings.add(general), []);
        assert_eq!(mappings.add(special), []);
        let owned = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            paths(&mappings, "acme", "audit", "User"),
            (owned(&["actor"]), true)
        );
        assert_eq!(
            paths(&mappings, "acme", "web", "User"),
            (owned(&["user.name", "acme.User"]), true)
        );
        assert_eq!(
            paths(&mappings, "acme", "web", "Port"),
            (owned(&["acme.Port"]), true)
        );
        assert_eq!(
            paths(&mappings, "other", "audit", "Port"),
            (owned(&["Port"]), false)
        );
        assert_eq!(
            mappings.add("- logsource: {product: acme}\n  fields: {Host: [h]}\n"),
            []
        );
        assert_eq!(
            paths(&mappings, "acme", "web", "Host"),
            (owned(&["h", "acme.Host"]), true)
        );
        let view = mappings.view(&LogSource {
            product: Some("ACME".into()),
            ..LogSource::default()
        });
        assert!(view.when().is_empty());
    }

    #[test]
    fn a_wrong_file_says_what_is_wrong_and_adds_nothing() {
        let mut mappings = Mappings::default();
        let text =
            "- logsource: {product: acme}\n  field: {a: b}\n  fallback: [x]\n- {when: {a|cotains: b}}\n- 1\n";
        let messages: Vec<String> = mappings
            .add(text)
            .into_iter()
            .map(|found| found.message)
            .collect();
        assert_eq!(
            messages,
            [
                "a source has no key `field`",
                "the fallback `x` has no place `{}` for the field's name",
                "there is no modifier `cotains`",
                "`logsource` is missing",
                "a source must be a map",
            ]
        );
        assert!(mappings.sources.is_empty());
    }
}
