//! YAML to a tree whose every value knows its place.
//!
//! What the reading may cost is bounded: the length of the text, the depth, and the number of values, aliases written
//! out included.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle};
use neph_diag::{Diagnostic, Span};

use crate::codes;

/// Longest text that is read, in bytes.
pub const MAX_BYTES: usize = 16 << 20;
/// Most values of one document, aliases written out.
const MAX_NODES: usize = 200_000;
/// Deepest nesting.
const MAX_DEPTH: usize = 64;
/// So many documents that cannot be read are reported singly.
const MAX_BROKEN: usize = 1000;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its place in the text.
    pub span: Span,
    /// The value.
    pub data: Data,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Nothing.
    Null,
    /// A truth.
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map; keys are texts, and one may stand there twice.
    Map(Vec<Entry>),
}

/// An entry of a map.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// What stands under it.
    pub value: Node,
}

/// A document; `root` is missing where it could not be read.
#[derive(Clone, Debug)]
pub struct Document {
    /// Where it stands in its file.
    pub span: Span,
    /// Its value.
    pub root: Option<Node>,
    /// What keeps it from being read.
    pub diagnostics: Vec<Diagnostic>,
}

impl Node {
    pub(crate) fn kind(&self) -> &'static str {
        match self.data {
            Data::Null => "nothing",
            Data::Bool(_) => "a boolean",
            Data::Number(_) => "a number",
            Data::Text(_) => "a text",
            Data::List(_) => "a list",
            Data::Map(_) => "a map",
        }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.data {
            Data::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value as a text, also of a number or boolean.
    pub(crate) fn text(&self) -> Option<String> {
        match &self.data {
            Data::Text(text) | Data::Number(text) => Some(text.clone()),
            Data::Bool(truth) => Some(truth.to_string()),
            _ => None,
        }
    }

    /// Whether it has a [text](Self::text).
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.data, Data::Text(_) | Data::Number(_) | Data::Bool(_))
    }

    fn size(&self) -> usize {
        match &self.data {
            Data::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Data::Map(entries) => 1 + entries.iter().map(|entry| 1 + entry.value.size()).sum::<usize>(),
            _ => 1,
        }
    }
}

/// Puts `over` upon `base`: maps are joined, everything else is replaced.
pub(crate) fn merge(base: &Node, over: &Node) -> Node {
    let (Data::Map(below), Data::Map(above)) = (&base.data, &over.data) else {
        return over.clone();
    };
    let mut entries: Vec<Entry> = below
        .iter()
        .map(|entry| match above.iter().find(|other| other.key == entry.key) {
            Some(other) => Entry {
                value: merge(&entry.value, &other.value),
                ..other.clone()
            },
            None => entry.clone(),
        })
        .collect();
    entries.extend(
        above
            .iter()
            .filter(|entry| below.iter().all(|other| other.key != entry.key))
            .cloned(),
    );
    Node {
        span: over.span,
        data: Data::Map(entries),
    }
}

/// Reads all documents of a text; empty ones are left out.
pub fn read(text: &str) -> Vec<Document> {
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes; up to {MAX_BYTES} are read", text.len());
        return vec![Document {
            span: Span::default(),
            root: None,
            diagnostics: vec![Diagnostic::new(&codes::TOO_LARGE, Span::default(), message)],
        }];
    }
    let mut parser = Parser::new_from_str(text);
    let mut reader = Reader::new(text);
    let mut broken = 0;
    loop {
        match parser.next_event() {
            None | Some(Ok((Event::StreamEnd, _))) => break,
            Some(Ok((event, span))) => {
                let span = span
                    .byte_range()
                    .map_or(Span::default(), |range| Span::new(range.start, range.end));
                reader.take(event, span);
            }
            Some(Err(error)) => {
                let at = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
                reader.fail(at, &error.info());
                broken += 1;
                if broken >= MAX_BROKEN || !matches!(parser.proceed_next_document(), Ok(true)) {
                    break;
                }
            }
        }
    }
    reader.documents
}

/// A list or map that is open.
struct Open {
    span: Span,
    anchor: usize,
    data: Data,
    /// The key that waits for its value.
    key: Option<(String, Span)>,
}

struct Reader<'a> {
    text: &'a str,
    documents: Vec<Document>,
    open: Vec<Open>,
    root: Option<Node>,
    diagnostics: Vec<Diagnostic>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    start: usize,
    /// Containers that are not read, because they are too deep or the document is too large.
    skipped: usize,
    full: bool,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            documents: Vec::new(),
            open: Vec::new(),
            root: None,
            diagnostics: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            start: 0,
            skipped: 0,
            full: false,
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span) {
        match event {
            Event::DocumentStart(..) => self.start = span.start as usize,
            Event::DocumentEnd => self.finish(span.end as usize),
            Event::MappingStart(_, anchor, _) => self.begin(Data::Map(Vec::new()), anchor, span),
            Event::SequenceStart(_, anchor, _) => self.begin(Data::List(Vec::new()), anchor, span),
            Event::MappingEnd | Event::SequenceEnd => self.end(span),
            Event::Scalar(value, style, anchor, tag) => {
                let quoted =
                    style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.core_suffix() == Some("str"));
                let data = if quoted {
                    Data::Text(value.into_owned())
                } else {
                    plain(&value)
                };
                self.put(Node { span, data }, anchor);
            }
            Event::Alias(anchor) => {
                let size = self.anchors.get(&anchor).map(Node::size);
                if size.is_none() && !self.full {
                    let message = "the alias stands inside of what it names";
                    self.diagnostics
                        .push(Diagnostic::new(&codes::YAML, span, message));
                }
                // What is counted first is copied only where it fits.
                let fits = size.is_some_and(|size| self.count(size, span));
                let named = self.anchors.get(&anchor).filter(|_| fits);
                let data = named.map_or(Data::Null, |node| node.data.clone());
                self.place(Node { span, data });
            }
            _ => {}
        }
    }

    /// Counts values; false where there are too many.
    fn count(&mut self, nodes: usize, span: Span) -> bool {
        self.nodes = self.nodes.saturating_add(nodes);
        let fits = self.nodes <= MAX_NODES;
        if !fits && !self.full {
            self.full = true;
            let message = format!("the document has more than {MAX_NODES} values");
            self.diagnostics
                .push(Diagnostic::new(&codes::TOO_LARGE, span, message));
        }
        fits
    }

    fn begin(&mut self, data: Data, anchor: usize, span: Span) {
        let deep = self.open.len() >= MAX_DEPTH;
        if self.skipped > 0 || deep || !self.count(1, span) {
            if deep && self.skipped == 0 {
                let message = format!("lists and maps are nested deeper than {MAX_DEPTH} levels");
                self.diagnostics
                    .push(Diagnostic::new(&codes::TOO_LARGE, span, message));
                self.full = true;
            }
            self.skipped += 1;
            return;
        }
        self.open.push(Open {
            span,
            anchor,
            data,
            key: None,
        });
    }

    fn end(&mut self, span: Span) {
        if self.skipped > 0 {
            self.skipped -= 1;
            if self.skipped == 0 {
                self.place(Node {
                    span,
                    data: Data::Null,
                });
            }
            return;
        }
        let Some(open) = self.open.pop() else { return };
        let node = Node {
            span: open.span.to(self.trimmed(open.span, span)),
            data: open.data,
        };
        if open.anchor != 0 {
            self.anchors.insert(open.anchor, node.clone());
        }
        self.place(node);
    }

    /// The end of a block stands at what follows it; the white space between does not belong to it.
    fn trimmed(&self, from: Span, to: Span) -> Span {
        let inside = self.text.get(from.start as usize..to.end as usize).unwrap_or("");
        let end = from.start as usize + inside.trim_end().len();
        Span::new(from.start as usize, end)
    }

    fn put(&mut self, node: Node, anchor: usize) {
        if self.skipped > 0 || !self.count(1, node.span) {
            return self.place(Node {
                span: node.span,
                data: Data::Null,
            });
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.place(node);
    }

    fn place(&mut self, node: Node) {
        if self.skipped > 0 {
            return;
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        match &mut open.data {
            Data::List(items) => items.push(node),
            Data::Map(entries) => match open.key.take() {
                Some((key, key_span)) => entries.push(Entry {
                    key,
                    key_span,
                    value: node,
                }),
                None => {
                    let key = match node.data {
                        Data::Null => String::new(),
                        Data::Text(text) | Data::Number(text) => text,
                        Data::Bool(truth) => truth.to_string(),
                        Data::List(_) | Data::Map(_) => {
                            let message = format!("a key is {}, but must be a text", node.kind());
                            self.diagnostics
                                .push(Diagnostic::new(&codes::YAML, node.span, message));
                            String::new()
                        }
                    };
                    open.key = Some((key, node.span));
                }
            },
            _ => {}
        }
    }

    fn fail(&mut self, at: usize, reason: &str) {
        let mut end = at;
        if let Some(character) = self.text.get(at..).and_then(|rest| rest.chars().next()) {
            end += character.len_utf8();
        }
        let message = format!("the document cannot be read: {}", reason.trim_end_matches('.'));
        self.diagnostics
            .push(Diagnostic::new(&codes::YAML, Span::new(at, end), message));
        self.root = None;
        self.full = true;
        self.finish(end);
    }

    fn finish(&mut self, end: usize) {
        let root = self.root.take().filter(|_| !self.full);
        let diagnostics = std::mem::take(&mut self.diagnostics);
        let empty = root.as_ref().is_none_or(|node| node.data == Data::Null);
        if !empty || !diagnostics.is_empty() {
            // A document begins with its first value, behind the line of dashes and what it has for a comment.
            let start = root.as_ref().map_or(self.start, |node| node.span.start as usize);
            let body = self.text.get(start..end.max(start)).unwrap_or("");
            let body = body.trim_end();
            let marks = ["---", "..."].into_iter();
            let before = marks
                .filter_map(|mark| body.strip_suffix(mark))
                .find(|rest| rest.ends_with('\n'));
            let body = before.unwrap_or(body).trim_end();
            let span = Span::new(start, start + body.len());
            self.documents.push(Document {
                span,
                root,
                diagnostics,
            });
        }
        self.open.clear();
        self.anchors.clear();
        self.nodes = 0;
        self.skipped = 0;
        self.full = false;
        self.start = end;
    }
}

/// The value of a plain scalar by the core schema. <https://yaml.org/spec/1.2.2/#103-core-schema>
fn plain(text: &str) -> Data {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        "true" | "True" | "TRUE" => Data::Bool(true),
        "false" | "False" | "FALSE" => Data::Bool(false),
        _ if is_number(text) => Data::Number(text.to_owned()),
        _ => Data::Text(text.to_owned()),
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    digits.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'-' | b'+'))
        && text.parse::<f64>().is_ok_and(f64::is_finite)
}
