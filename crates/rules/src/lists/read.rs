//! Files of lists: YAML, CSV, plain text.

use std::collections::HashSet;
use std::path::Path;

use neph_diag::{Diagnostic, Span};
use neph_event::Instant;
use neph_plan::functions::parse_block;
use neph_plan::{Case, RegexDialect, regex};

use super::{List, ListKind, MAX_ENTRIES, MAX_REGEXES};
use crate::check::Findings;
use crate::codes;
use crate::keys;
use crate::upkeep;
use crate::yaml_document::{self, written};
use neph_document::{Data, Node, Table};

/// So many entries that cannot be read are told singly.
const MAX_TOLD: usize = 20;

/// What a file came to.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The lists that can be used, each with the place of its name.
    pub(crate) lists: Vec<(List, Span)>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Reads the lists of a file's text. `Err` says why it is no file of lists at all.
pub(crate) fn read(path: &Path, text: &str, now: Instant) -> Result<Reading, String> {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let mut reader = Reader {
        path,
        text,
        now,
        out: Reading::default(),
    };
    match ending.map(str::to_ascii_lowercase).as_deref() {
        Some("yml" | "yaml") => reader.yaml(),
        Some("csv") => reader.csv(),
        Some("txt" | "list") | None => reader.plain(),
        Some(_) => {
            return Err("its name does not end with `.csv`, `.txt`, `.list`, `.yml` or `.yaml`".into());
        }
    }
    reader.out.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
    Ok(reader.out)
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    now: Instant,
    out: Reading,
}

/// An entry as it is written.
struct Entry<'a> {
    value: &'a str,
    place: Span,
    expires: Option<Instant>,
}

impl<'a> Reader<'a> {
    fn say(&mut self, code: &'static neph_diag::Code, place: Span, message: String, help: &str) {
        let diagnostic = Diagnostic::new(code, place, message);
        self.out.diagnostics.push(match help {
            "" => diagnostic,
            help => diagnostic.with_help(help),
        });
    }

    fn yaml(&mut self) {
        for (root, mut diagnostics) in yaml_document::parse(self.text) {
            self.out.diagnostics.append(&mut diagnostics);
            let Some(root) = root else { continue };
            match &root.data {
                Data::Table(table) => self.document(table, root.span),
                // A bare list is the entries.
                Data::List(_) => {
                    let entries = Node {
                        span: root.span,
                        data: root.data,
                    };
                    self.settle(&Table::default(), root.span, Some(&entries));
                }
                _ => {
                    let message = format!("a list file holds a table or a list, but this is {}", root.kind());
                    self.say(&codes::VALUE_TYPE, root.span, message, "");
                }
            }
        }
    }

    fn document(&mut self, table: &Table, place: Span) {
        let mut findings = Findings::default();
        findings.check(table, place, "list", keys::LIST, None);
        self.out.diagnostics.append(&mut findings.diagnostics);
        self.settle(table, place, table.get("entries"));
    }

    /// Makes the list of its keys and entries.
    fn settle(&mut self, table: &Table, place: Span, entries: Option<&Node>) {
        let mut list = self.head(table);
        let name_place = table.get("name").map_or(place, |node| node.span);
        let mut found = Vec::new();
        for node in entries.map_or(&[][..], Node::items) {
            let (value, expires) = match node.as_table() {
                None => (written(node, self.text), None),
                Some(entry) => {
                    let mut findings = Findings::default();
                    findings.check(entry, node.span, "list.entries", keys::LIST_ENTRY, None);
                    self.out.diagnostics.append(&mut findings.diagnostics);
                    let value = entry.get("value").and_then(|node| written(node, self.text));
                    let expires = upkeep::expiry(entry, self.text, &mut self.out.diagnostics);
                    (value, expires.map(|(time, _)| time))
                }
            };
            match value {
                Some(value) => found.push(Entry {
                    value,
                    place: node.span,
                    expires,
                }),
                None if node.as_table().is_some() => {}
                None => {
                    let message = format!("an entry is a text, but this is {}", node.kind());
                    self.say(&codes::VALUE_TYPE, node.span, message, "");
                }
            }
        }
        self.fill(&mut list, found);
        self.out.lists.push((list, name_place));
    }

    /// The list without its entries.
    fn head(&mut self, table: &Table) -> List {
        let text = |key: &str| {
            let text = table.get(key).and_then(|node| written(node, self.text));
            text.map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty())
        };
        let stem = || {
            let stem = self.path.file_stem();
            stem.map(|stem| stem.to_string_lossy().into_owned())
        };
        let mut list = List {
            name: text("name").or_else(stem).unwrap_or_default(),
            ignore_case: table.boolean("ignore_case").unwrap_or(false),
            description: text("description"),
            owner: text("owner"),
            path: self.path.to_owned(),
            ..List::default()
        };
        if let Some(node) = table.get("type")
            && let Some(word) = node.as_text()
        {
            match ListKind::ALL.into_iter().find(|kind| kind.word() == word) {
                Some(kind) => list.kind = kind,
                None => {
                    let help = "the types are `exact`, `wildcard`, `cidr` and `regex`";
                    self.say(
                        &codes::VALUE,
                        node.span,
                        format!("`{word}` is not a type of list"),
                        help,
                    );
                }
            }
        }
        if let Some((time, place)) = upkeep::expiry(table, self.text, &mut self.out.diagnostics) {
            list.is_expired = time < self.now;
            list.expires = Some(time.to_string());
            if list.is_expired {
                let message = format!(
                    "the list `{}` expired at {time}: its entries do not count",
                    list.name
                );
                self.say(&codes::EXPIRED, place, message, "renew it, or remove it");
            }
        }
        list
    }

    fn fill(&mut self, list: &mut List, entries: Vec<Entry<'_>>) {
        let most = match list.kind {
            ListKind::Regex => MAX_REGEXES,
            _ => MAX_ENTRIES,
        };
        if entries.len() > most {
            let place = entries.get(most).map_or(Span::default(), |entry| entry.place);
            let message = format!(
                "the list `{}` has {} entries, but only {most} of type `{}` are read",
                list.name,
                entries.len(),
                list.kind.word()
            );
            self.say(
                &codes::LIST_ENTRY,
                place,
                message,
                "split the list, or use networks and patterns",
            );
        }
        let mut seen: HashSet<&str> = HashSet::with_capacity(entries.len().min(most));
        let mut wrong = Vec::new();
        let mut expired = None;
        for entry in entries.iter().take(most) {
            let value = entry.value.trim();
            if value.is_empty() || !seen.insert(value) {
                continue;
            }
            if entry.expires.is_some_and(|time| time < self.now) {
                list.expired_entries += 1;
                expired.get_or_insert(entry.place);
                continue;
            }
            match problem(list.kind, value) {
                Some(problem) => wrong.push((entry.place, problem)),
                None if list.is_expired => {}
                None => list.entries.push(value.into()),
            }
        }
        let count = wrong.len();
        for (position, (place, mut message)) in wrong.into_iter().take(MAX_TOLD).enumerate() {
            if position + 1 == MAX_TOLD && count > MAX_TOLD {
                message = format!("{message}, and {} more entries are wrong", count - MAX_TOLD);
            }
            self.say(&codes::LIST_ENTRY, place, message, "");
        }
        if let Some(place) = expired {
            let entries = if list.expired_entries == 1 {
                "entry"
            } else {
                "entries"
            };
            let message = format!(
                "{} {entries} of the list `{}` expired",
                list.expired_entries, list.name
            );
            self.say(&codes::EXPIRED, place, message, "renew or remove them");
        }
    }

    /// Lines of comments at the beginning that read `# key: value`, and where the rest begins.
    fn comments(&self) -> (Table, usize) {
        let mut table = Table::default();
        let mut at = 0;
        for line in self.text.split_inclusive('\n') {
            let body = line.trim();
            let comment = body.strip_prefix('#');
            if comment.is_none() && !body.is_empty() {
                break;
            }
            let pair = comment.and_then(|comment| comment.split_once(':'));
            let pair = pair.map(|(key, value)| (key.trim(), value.trim()));
            // Other comments are for readers.
            if let Some((key, value)) = pair
                && keys::LIST_HEAD.iter().any(|known| known.name == key)
            {
                let place = |part: &str| {
                    let start = at + line.find(part).unwrap_or(0);
                    Span::new(start, start + part.len())
                };
                let data = match value {
                    "true" => Data::Bool(true),
                    "false" => Data::Bool(false),
                    text => Data::Text(text.to_owned()),
                };
                let span = place(value);
                table.entries.push(neph_document::Entry {
                    key: key.to_owned(),
                    key_span: place(key),
                    value: Node { span, data },
                });
            }
            at += line.len();
        }
        (table, at)
    }

    fn plain(&mut self) {
        let (table, start) = self.comments();
        let mut findings = Findings::default();
        findings.check(&table, Span::default(), "list", keys::LIST_HEAD, None);
        self.out.diagnostics.append(&mut findings.diagnostics);
        let mut list = self.head(&table);
        let mut entries = Vec::new();
        let mut at = start;
        for line in self.text.get(start..).unwrap_or("").split_inclusive('\n') {
            let value = line.trim();
            let indent = line.len() - line.trim_start().len();
            if !value.is_empty() && !value.starts_with('#') {
                entries.push(Entry {
                    value,
                    place: Span::new(at + indent, at + indent + value.len()),
                    expires: None,
                });
            }
            at += line.len();
        }
        self.fill(&mut list, entries);
        let place = table.get("name").map_or(Span::default(), |node| node.span);
        self.out.lists.push((list, place));
    }

    fn csv(&mut self) {
        let (table, start) = self.comments();
        let mut findings = Findings::default();
        findings.check(&table, Span::default(), "list", keys::LIST_HEAD, None);
        self.out.diagnostics.append(&mut findings.diagnostics);
        let mut list = self.head(&table);
        let body = self.text.get(start..).unwrap_or("");
        let mut reader = csv::ReaderBuilder::new()
            .comment(Some(b'#'))
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(body.as_bytes());
        let header = reader.headers().cloned().unwrap_or_default();
        let column = |name: &str| header.iter().position(|head| head.eq_ignore_ascii_case(name));
        let (value, expires) = (column("value"), column("expires"));
        let header_line = body.lines().next().map_or(0, str::len);
        if value.is_none() && header.len() > 1 {
            let place = Span::new(start, start + header_line);
            let help = "the first line names the columns; `value` is the entry, `expires` its end";
            self.say(
                &codes::LIST_ENTRY,
                place,
                "no column is called `value`".into(),
                help,
            );
            return;
        }
        let mut records = Vec::new();
        // One column without a name that we know is a list without a header.
        if value.is_none() {
            records.push((header.clone(), start));
        }
        let mut record = csv::StringRecord::new();
        loop {
            match reader.read_record(&mut record) {
                Ok(false) => break,
                Ok(true) => {
                    let at = record.position().map_or(0, |position| position.byte());
                    records.push((record.clone(), start + usize::try_from(at).unwrap_or(0)));
                }
                Err(error) => {
                    let at = error.position().map_or(0, |position| position.byte());
                    let at = start + usize::try_from(at).unwrap_or(0);
                    self.say(
                        &codes::SYNTAX,
                        Span::new(at, at),
                        format!("this is not valid CSV: {error}"),
                        "",
                    );
                    break;
                }
            }
        }
        let mut entries = Vec::new();
        for (record, at) in &records {
            let Some(value) = record.get(value.unwrap_or(0)) else {
                continue;
            };
            let line = self.text.get(*at..).unwrap_or("");
            let blank = line.len() - line.trim_start().len();
            let length = line.trim_start().lines().next().map_or(0, str::len);
            let place = Span::new(at + blank, at + blank + length);
            let written = expires
                .and_then(|column| record.get(column))
                .filter(|text| !text.is_empty());
            let expires = written.and_then(upkeep::end);
            if let (Some(text), None) = (written, expires) {
                let message = format!("`{text}` is not a date");
                self.say(&codes::VALUE, place, message, upkeep::DATE_HELP);
            }
            entries.push(Entry {
                value,
                place,
                expires,
            });
        }
        self.fill(&mut list, entries);
        let place = table.get("name").map_or(Span::default(), |node| node.span);
        self.out.lists.push((list, place));
    }
}

/// What is wrong with an entry of such a list.
fn problem(kind: ListKind, value: &str) -> Option<String> {
    match kind {
        ListKind::Exact | ListKind::Wildcard => None,
        ListKind::Cidr => parse_block(value)
            .is_none()
            .then(|| format!("`{value}` is neither an address nor a network such as `10.0.0.0/8`")),
        ListKind::Regex => regex::compile(&[value.into()], RegexDialect::Search, Case::Sensitive)
            .err()
            .map(|error| format!("`{value}` is not a regular expression: {}", error.reason)),
    }
}
