//! Typed lists: values that exceptions, overlays and Sigma's placeholders name.
//!
//! A list has a type, which says how an entry meets a value of a field:
//!
//! | type | an entry meets a value that … |
//! | --- | --- |
//! | `exact` | is it |
//! | `wildcard` | fits it as a whole; `*` is any text, `?` one character |
//! | `cidr` | is an address in it |
//! | `regex` | has a part that fits it; `^` and `$` anchor |
//!
//! `docs/lists.md` describes the files. What a file may cost is bounded: its bytes, and the entries of a list.

mod read;

use std::collections::BTreeMap;
use std::path::PathBuf;

use ipnet::IpNet;
use neph_diag::Span;
use neph_event::Schema;
use neph_kql::{Fields, Wanted};
use neph_plan::functions::parse_block;
use neph_plan::{Case, Condition, Pattern, RegexDialect, Test};

pub(crate) use read::read;

/// Most entries of a list.
pub const MAX_ENTRIES: usize = 1_000_000;
/// Most regular expressions of a list: they are matched by one automaton, which grows with them.
pub const MAX_REGEXES: usize = 2_000;

/// How the entries of a list meet values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListKind {
    /// The value is the entry.
    #[default]
    Exact,
    /// The value fits the pattern as a whole.
    Wildcard,
    /// The value is an address in the network.
    Cidr,
    /// A part of the value fits the regular expression.
    Regex,
}

impl ListKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Exact, Self::Wildcard, Self::Cidr, Self::Regex];

    /// The word that files use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Wildcard => "wildcard",
            Self::Cidr => "cidr",
            Self::Regex => "regex",
        }
    }
}

/// A list.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// The name that others use for it.
    pub name: String,
    /// How its entries meet values.
    pub kind: ListKind,
    /// Whether letters meet whatever their case.
    pub ignore_case: bool,
    /// What it holds.
    pub description: Option<String>,
    /// Who keeps it.
    pub owner: Option<String>,
    /// Whether its time is over: then its entries do not count.
    pub is_expired: bool,
    /// When its entries end to count, in RFC 3339.
    pub expires: Option<String>,
    /// The entries that count, in the order of the file, each once.
    pub entries: Vec<Box<str>>,
    /// Entries whose own time is over.
    pub expired_entries: usize,
    /// Where it was read.
    pub path: PathBuf,
}

/// All lists, by their names.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    by_name: BTreeMap<String, List>,
}

impl Lists {
    /// The list of a name.
    pub fn get(&self, name: &str) -> Option<&List> {
        self.by_name.get(name)
    }

    /// All lists, in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &List> {
        self.by_name.values()
    }

    /// The entries that count of every list, by its name: what Sigma's placeholders stand for.
    pub fn texts(&self) -> BTreeMap<String, Vec<String>> {
        let texts = |list: &List| list.entries.iter().map(|entry| entry.to_string()).collect();
        self.by_name
            .iter()
            .map(|(name, list)| (name.clone(), texts(list)))
            .collect()
    }

    /// Takes a list in; gives it back where another has its name.
    pub(crate) fn insert(&mut self, list: List) -> Result<(), Box<List>> {
        match self.by_name.entry(list.name.clone()) {
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(list);
                Ok(())
            }
            std::collections::btree_map::Entry::Occupied(_) => Err(Box::new(list)),
        }
    }
}

impl List {
    /// The condition that a value of the field meets an entry; `place` is where the field and the list are named.
    pub(crate) fn condition(&self, fields: &mut Fields<'_>, field: &str, place: Span) -> Condition {
        if self.entries.is_empty() {
            return Condition::Const(false);
        }
        let case = match self.ignore_case {
            true => Case::AsciiInsensitive,
            false => Case::Sensitive,
        };
        let Some(target) = fields.resolve(field, place) else {
            return Condition::Const(false);
        };
        let reported = fields.diagnostics.len();
        let entries = self.entries.iter();
        let condition = match self.kind {
            ListKind::Exact => {
                let wanted = entries.map(|entry| (Wanted::Phrase(entry), place));
                fields.any_of(&target, wanted, self.ignore_case.then_some(case), Span::default())
            }
            ListKind::Wildcard => {
                let patterns: Vec<Pattern> = entries.map(|entry| Pattern::unescaped(entry)).collect();
                let wanted = patterns.iter().map(|pattern| (Wanted::Wildcard(pattern), place));
                fields.any_of(&target, wanted, Some(case), Span::default())
            }
            ListKind::Cidr => {
                let networks: Vec<IpNet> = entries.filter_map(|entry| parse_block(entry)).collect();
                Condition::leaf(
                    Test::Cidr(field_id(fields, field), networks.into()),
                    Span::default(),
                )
            }
            ListKind::Regex => {
                let expressions = self.entries.clone();
                let id = field_id(fields, field);
                let test = Test::Regex(id, expressions.into(), RegexDialect::Search, case);
                Condition::leaf(test, Span::default())
            }
        };
        // What is wrong with one entry for this field is wrong with most: the first stands for all.
        let same = fields.diagnostics.len() - reported;
        fields.diagnostics.truncate(reported + 1);
        if let Some(first) = fields.diagnostics.get_mut(reported)
            && same > 1
        {
            let message = format!("{} (and {} more entries of the list)", first.message, same - 1);
            first.message = message;
        }
        condition
    }
}

fn field_id(fields: &mut Fields<'_>, name: &str) -> neph_plan::FieldId {
    let def = Schema::builtin().get(name);
    fields.intern(def.map_or_else(|| Schema::unknown(name), |def| def.field.clone()))
}
