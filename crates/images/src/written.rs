//! What people write about images: TOML read key by key, with every mistake told at once.

use globset::{GlobBuilder, GlobMatcher};
use jiff::civil::Date;
use neph_diag::{Code, Diagnostic, Span};
use neph_document::{Data, Node, Table};

use crate::codes;

/// Names less alike than this are not suggested.
const ALIKE: f64 = 0.75;

/// A pattern of names or paths: `*` stands for any text without a slash, `**` for any.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    matcher: GlobMatcher,
}

impl Pattern {
    /// Reads a pattern; `None` where it is none.
    pub fn new(text: &str) -> Option<Self> {
        let glob = GlobBuilder::new(text).literal_separator(true).build().ok()?;
        Some(Self {
            text: text.to_owned(),
            matcher: glob.compile_matcher(),
        })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a name or a path is one of it.
    pub fn matches(&self, name: &str) -> bool {
        self.matcher.is_match(name)
    }
}

/// Reads one file.
pub(crate) struct Reader<'t> {
    pub(crate) text: &'t str,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Reader<'_> {
    pub(crate) fn say(&mut self, code: &'static Code, place: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::new(code, place, message));
    }

    /// Tells of keys that are not known.
    pub(crate) fn keys(&mut self, table: &Table, known: &[&'static str], whose: &str) {
        for entry in table
            .entries
            .iter()
            .filter(|entry| !known.contains(&entry.key.as_str()))
        {
            let scored = known
                .iter()
                .map(|name| (strsim::jaro_winkler(&entry.key, name), *name));
            let best = scored
                .max_by(|one, other| one.0.total_cmp(&other.0))
                .filter(|best| best.0 > ALIKE);
            let message = format!("{whose} has no key `{}`", entry.key);
            let help = match best {
                Some((_, meant)) => format!("did you mean `{meant}`?"),
                None => format!("its keys are `{}`", known.join("`, `")),
            };
            self.diagnostics
                .push(Diagnostic::new(&codes::KEY_UNKNOWN, entry.key_span, message).with_help(help));
        }
    }

    /// The tables of a list such as `[[image]]`.
    pub(crate) fn tables<'n>(&mut self, root: &'n Table, key: &str) -> Vec<(&'n Table, Span)> {
        let Some(node) = root.get(key) else {
            return Vec::new();
        };
        let Data::List(items) = &node.data else {
            let diagnostic =
                Diagnostic::new(&codes::VALUE, node.span, format!("`{key}` is no list of tables"));
            self.diagnostics
                .push(diagnostic.with_help(format!("begin each entry with `[[{key}]]`")));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items {
            match item.as_table() {
                Some(table) => tables.push((table, item.span)),
                None => self.say(
                    &codes::VALUE,
                    item.span,
                    format!("an entry of `{key}` is no table"),
                ),
            }
        }
        tables
    }

    /// The text of a key; an empty one says nothing.
    pub(crate) fn text(&mut self, table: &Table, key: &str) -> Option<(String, Span)> {
        let node = table.get(key)?;
        match &node.data {
            Data::Text(text) if text.trim().is_empty() => None,
            Data::Text(text) => Some((text.clone(), node.span)),
            _ => {
                self.say(&codes::VALUE, node.span, format!("`{key}` is no string"));
                None
            }
        }
    }

    /// The text of a key that must be there.
    pub(crate) fn needed(
        &mut self,
        table: &Table,
        key: &str,
        place: Span,
        whose: &str,
    ) -> Option<(String, Span)> {
        if table.get(key).is_none_or(Node::is_blank) {
            self.say(&codes::KEY_MISSING, place, format!("{whose} says no `{key}`"));
            return None;
        }
        self.text(table, key)
    }

    /// Texts of a list, or one text.
    pub(crate) fn texts(&mut self, table: &Table, key: &str) -> Vec<(String, Span)> {
        let Some(node) = table.get(key) else {
            return Vec::new();
        };
        let nodes = match &node.data {
            Data::Text(_) => std::slice::from_ref(node),
            Data::List(items) => items,
            _ => {
                self.say(&codes::VALUE, node.span, format!("`{key}` is no list of strings"));
                return Vec::new();
            }
        };
        let mut texts = Vec::new();
        for item in nodes {
            match item.as_text() {
                Some(text) => texts.push((text.to_owned(), item.span)),
                None => self.say(
                    &codes::VALUE,
                    item.span,
                    format!("`{key}` holds what is no string"),
                ),
            }
        }
        texts
    }

    /// Patterns of a list.
    pub(crate) fn patterns(&mut self, table: &Table, key: &str) -> Vec<Pattern> {
        let texts = self.texts(table, key);
        texts
            .into_iter()
            .filter_map(|(text, place)| self.pattern(&text, place))
            .collect()
    }

    pub(crate) fn pattern(&mut self, text: &str, place: Span) -> Option<Pattern> {
        let pattern = Pattern::new(text);
        if pattern.is_none() {
            self.say(&codes::VALUE, place, format!("`{text}` is no pattern"));
        }
        pattern
    }

    /// Whether a key is `true`.
    pub(crate) fn flag(&mut self, table: &Table, key: &str) -> bool {
        match table.get(key).map(|node| (&node.data, node.span)) {
            None => false,
            Some((Data::Bool(truth), _)) => *truth,
            Some((_, place)) => {
                self.say(
                    &codes::VALUE,
                    place,
                    format!("`{key}` is neither `true` nor `false`"),
                );
                false
            }
        }
    }

    /// A day, as a date of TOML or in quotes.
    pub(crate) fn day(&mut self, table: &Table, key: &str) -> Option<(Date, Span)> {
        let node = table.get(key)?;
        let written = match &node.data {
            Data::Text(text) => text,
            Data::Date => node.span.text(self.text),
            _ => "",
        };
        // A time of day may follow, which does not matter here.
        let day = written.get(..10).and_then(|day| day.parse().ok());
        if day.is_none() {
            let diagnostic = Diagnostic::new(&codes::VALUE, node.span, format!("`{key}` is no day"));
            self.diagnostics
                .push(diagnostic.with_help("write it as `2027-03-31`"));
        }
        Some((day?, node.span))
    }

    /// First and last day; they must be in order.
    pub(crate) fn span(&mut self, table: &Table, from: &str, until: &str) -> (Option<Date>, Option<Date>) {
        let (first, last) = (self.day(table, from), self.day(table, until));
        if let (Some((first, begins)), Some((last, ends))) = (first, last)
            && last < first
        {
            let message = format!("`{last}` is before `{first}`");
            self.diagnostics
                .push(Diagnostic::new(&codes::DATES, ends, message).with_secondary(begins, "here it begins"));
        }
        (first.map(|(day, _)| day), last.map(|(day, _)| day))
    }
}
