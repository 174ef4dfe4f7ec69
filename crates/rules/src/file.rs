//! The rules of one file.

use std::path::Path;

use neph_diag::{Diagnostic, LineIndex, Span};

use crate::elastic::{self, Reading, Source};
use crate::embedded::Host;
use crate::exceptions::Raw;
use crate::rule::RuleOrigin;
use crate::{bare, codes, sigma};
use neph_document::{Node, Table};

/// Formats, by the file name's ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Toml,
    Json,
    Ndjson,
    Eql,
    Sigma,
}

impl Format {
    /// The format of a file; `None` for a file that is none of ours.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match ending.as_str() {
            "toml" => Self::Toml,
            "json" => Self::Json,
            "ndjson" | "jsonl" => Self::Ndjson,
            "eql" => Self::Eql,
            "yml" | "yaml" => Self::Sigma,
            _ => return None,
        })
    }
}

/// What a file holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    /// Its rules, also those that cannot run.
    pub(crate) rules: Vec<Reading>,
    /// What is to be said of the file as a whole.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Lines of an export that are no rules: exception lists, their items, connectors. Filters of Sigma.
    pub(crate) other_objects: u64,
    /// Documents of Sigma, which are compiled when all files have been read.
    pub(crate) sigma: Vec<neph_sigma::Document>,
    /// Of these, exception lists and their items.
    pub(crate) exceptions: Vec<Raw>,
}

/// Where a rule of a Sigma file that begins at an offset was read.
pub(crate) fn sigma_origin<'a>(path: &'a Path, text: &'a str) -> impl Fn(usize) -> RuleOrigin + Sync + 'a {
    let lines = LineIndex::new(text);
    move |start| origin(path, lines.position(start).line, false)
}

/// Reads the rules of a file's text. `Err` says why the file is no rule file at all.
pub(crate) fn read(path: &Path, format: Format, text: &str) -> Result<Contents, String> {
    let mut contents = read_as(path, format, text)?;
    contents.rules.iter_mut().for_each(Reading::check_possible);
    Ok(contents)
}

fn read_as(path: &Path, format: Format, text: &str) -> Result<Contents, String> {
    match format {
        Format::Toml => toml(path, text),
        Format::Ndjson => ndjson(path, text),
        Format::Json => json(path, text),
        Format::Sigma => {
            let sigma = neph_sigma::parse(text);
            let Some(other_objects) = sigma::filters(&sigma) else {
                return Err("it holds no document of Sigma".into());
            };
            Ok(Contents {
                sigma,
                other_objects,
                ..Contents::default()
            })
        }
        Format::Eql => {
            let rules = vec![bare::read(text, origin(path, 1, false))];
            Ok(Contents {
                rules,
                ..Contents::default()
            })
        }
    }
}

fn origin(path: &Path, line: usize, is_pack: bool) -> RuleOrigin {
    let name = if is_pack {
        path.file_stem()
    } else {
        path.parent().and_then(Path::file_name)
    };
    let ruleset = name.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    RuleOrigin {
        path: path.to_owned(),
        line,
        ruleset,
    }
}

fn toml(path: &Path, text: &str) -> Result<Contents, String> {
    let (file, errors) = neph_document::toml::parse(text, &codes::SYNTAX);
    if let Some(lists) = file.get("exceptions").filter(|_| file.entry("rule").is_none()) {
        return Ok(exception_file(lists, errors));
    }
    let hints = ["rule", "rules", "metadata", "transform"];
    if errors.is_empty() && !hints.iter().any(|key| file.entry(key).is_some()) {
        return Err("it has no table `rule`".into());
    }
    let empty = Table::default();
    let node = file.get("rule");
    let rule = node.and_then(Node::as_table).unwrap_or(&empty);
    let place = node.map_or(Span::default(), |node| node.span);
    let line = LineIndex::new(text).position(place.start as usize).line;
    let source = Source {
        text,
        host: Host::Toml,
        rule,
        place,
        file: Some(&file),
        origin: origin(path, line, false),
    };
    let mut reading = elastic::read(source);
    if !errors.is_empty() {
        // What is missing may stand in the part that could not be read.
        reading
            .diagnostics
            .retain(|diagnostic| diagnostic.code != &codes::KEY_MISSING);
        reading.diagnostics.extend(errors);
        reading.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        reading.rule = None;
    }
    Ok(Contents {
        rules: vec![reading],
        ..Contents::default()
    })
}

/// A file of exception lists as repositories of rules keep them: `[[exceptions]]`, each with a `container`, the list, and
/// `items`.
fn exception_file(lists: &Node, diagnostics: Vec<Diagnostic>) -> Contents {
    let mut contents = Contents {
        diagnostics,
        ..Contents::default()
    };
    for list in lists.items().iter().filter_map(Node::as_table) {
        let items = list.get("items").map_or(&[][..], Node::items);
        for node in list.get("container").into_iter().chain(items) {
            if let Some(table) = node.as_table() {
                contents.other_objects += 1;
                contents.exceptions.push(Raw {
                    table: table.clone(),
                    place: node.span,
                });
            }
        }
    }
    contents
}

/// One JSON document: a rule, or a list of rules. A file of several documents is read as NDJSON.
fn json(path: &Path, text: &str) -> Result<Contents, String> {
    let root = match neph_document::json::parse(text, 0, &codes::SYNTAX) {
        Ok(root) => root,
        Err(error) => {
            let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
            if neph_document::json::parse(first, 0, &codes::SYNTAX).is_ok() {
                return ndjson(path, text);
            }
            if let Some(documents) = several(text) {
                return documents_of(path, text, &documents);
            }
            return Ok(Contents {
                rules: vec![broken(*error)],
                ..Contents::default()
            });
        }
    };
    let items = if root.as_table().is_some() {
        std::slice::from_ref(&root)
    } else {
        root.items()
    };
    documents_of(path, text, items)
}

/// The values of a text that is several JSON values, one behind the other over any number of lines, as tools that
/// print indented events write them.
fn several(text: &str) -> Option<Vec<Node>> {
    let mut documents = Vec::new();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&serde_json::value::RawValue>();
    loop {
        match values.next() {
            None => return Some(documents),
            Some(value) => {
                let body = value.ok()?.get();
                let base = values.byte_offset() - body.len();
                documents.push(neph_document::json::parse(body, base, &codes::SYNTAX).ok()?);
            }
        }
    }
}

fn documents_of(path: &Path, text: &str, documents: &[Node]) -> Result<Contents, String> {
    let lines = LineIndex::new(text);
    let mut export = Export {
        path,
        text,
        contents: Contents::default(),
        stated: None,
    };
    for document in documents {
        export.take(document, lines.position(document.span.start as usize).line);
    }
    export.finish()
}

fn ndjson(path: &Path, text: &str) -> Result<Contents, String> {
    let mut export = Export {
        path,
        text,
        contents: Contents::default(),
        stated: None,
    };
    let mut base = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let body = line.trim_start();
        let start = base + (line.len() - body.len());
        base += line.len();
        let body = body.trim_end();
        if body.is_empty() {
            continue;
        }
        match neph_document::json::parse(body, start, &codes::SYNTAX) {
            Ok(node) => export.take(&node, number + 1),
            Err(error) => export.contents.rules.push(broken(*error)),
        }
        // A file of events is told by its first line, however long it is.
        if export.contents.rules.is_empty() && export.contents.other_objects == 0 && export.stated.is_none() {
            return export.finish();
        }
    }
    export.finish()
}

fn broken(error: Diagnostic) -> Reading {
    Reading {
        id: None,
        name: None,
        kind: None,
        id_place: error.span,
        rule: None,
        only_correlated: false,
        not_honoured: Vec::new(),
        unfilled: Vec::new(),
        reasons: Vec::new(),
        query_map: None,
        diagnostics: vec![error],
        impossible: Vec::new(),
    }
}

/// The objects of an export from Kibana.
struct Export<'a> {
    path: &'a Path,
    text: &'a str,
    contents: Contents,
    /// Number of rules that the closing line states, and its place.
    stated: Option<(u64, Span)>,
}

impl Export<'_> {
    fn take(&mut self, node: &Node, line: usize) {
        let Some(table) = node.as_table() else { return };
        let has = |key: &str| table.entry(key).is_some();
        let attributes = table.get("attributes");
        if table.text("type") == Some("security-rule")
            && let Some(inner) = attributes.and_then(|node| Some((node.as_table()?, node.span)))
        {
            self.rule(inner.0, inner.1, line);
        } else if has("exported_count") || has("exported_rules_count") {
            let count = table
                .integer("exported_rules_count")
                .or_else(|| table.integer("exported_count"));
            self.stated = count.and_then(|count| Some((u64::try_from(count).ok()?, node.span)));
        } else if has("item_id") || (has("list_id") && !has("rule_id")) || attributes.is_some() {
            self.contents.other_objects += 1;
            if attributes.is_none() {
                self.contents.exceptions.push(Raw {
                    table: table.clone(),
                    place: node.span,
                });
            }
        } else if has("rule_id")
            || (has("risk_score") && has("severity"))
            || (has("query") && has("language"))
        {
            self.rule(table, node.span, line);
        }
    }

    fn rule(&mut self, rule: &Table, place: Span, line: usize) {
        // The object's opening brace stands for the rule where a key is missing; the whole object would be a page.
        let place = Span {
            end: place.start.saturating_add(1),
            ..place
        };
        let origin = origin(self.path, line, true);
        let source = Source {
            text: self.text,
            host: Host::Json,
            rule,
            place,
            file: None,
            origin,
        };
        self.contents.rules.push(elastic::read(source));
    }

    fn finish(mut self) -> Result<Contents, String> {
        if self.contents.rules.is_empty() && self.contents.other_objects == 0 && self.stated.is_none() {
            return Err("it holds no rule".into());
        }
        if let Some((stated, place)) = self.stated {
            let read = self.contents.rules.len() as u64;
            if stated != read {
                let message = format!("the export states {stated} rules, but {read} were found in it");
                self.contents
                    .diagnostics
                    .push(Diagnostic::new(&codes::EXPORT_SHORT, place, message));
            }
        }
        Ok(self.contents)
    }
}
