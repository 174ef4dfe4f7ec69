//! What a record says of its kind, seen without normalising it.
//!
//! Of a source that says which parts of a record it looks at whatever fields are wanted
//! ([`always_reads`](crate::Source::always_reads)) these parts decide whether a record is of the source, what is made of it,
//! and every field that comes from nothing else. Records that say the same in them are of one kind; what follows from the kind
//! need be found out once.

use neph_event::json::Reader;
use neph_event::{Field, FieldType};

use crate::json::MAX_DEPTH;
use crate::mapping::{How, Mapping};
use crate::source::{Derived, EVERY_DOCUMENT, OS_TYPE, SourceInfo};
use crate::wanted::{Part, Parts, covered};

/// A glance at a record.
#[derive(Clone, Copy, Debug)]
pub struct Glance<'n> {
    /// The source, whose one document the record becomes if any record of the kind does.
    pub source: &'static SourceInfo,
    /// The record.
    pub text: &'n str,
    /// What the record says of its kind, as it stands there. No record of another source says the same.
    pub kind: &'n [u8],
    /// What the source always looks at.
    always: &'static [&'static str],
    /// What of it may be any text.
    any: &'static [&'static str],
}

/// Kinds of which more is said than so many bytes are not told.
const LONGEST: usize = 1 << 10;

impl<'n> Glance<'n> {
    pub(crate) fn new(
        source: &'static SourceInfo,
        text: &'n str,
        kind: &'n [u8],
        always: &'static [&'static str],
        any: &'static [&'static str],
    ) -> Self {
        Self {
            source,
            text,
            kind,
            always,
            any,
        }
    }

    /// Whether whatever a record says fits a field, so that nobody need be told of values that do not.
    pub fn fits(&self, field: &Field) -> bool {
        let is_made_so = |how: How| match field.kind {
            FieldType::Date | FieldType::DateNanos => how == How::Date,
            FieldType::Ip => how == How::Ip,
            FieldType::Long => how == How::Long,
            _ => false,
        };
        let takes_all = matches!(
            field.kind,
            FieldType::Keyword | FieldType::Text | FieldType::Version | FieldType::Dynamic
        );
        takes_all
            || (self.derived(&field.path).next().is_none()
                && self.rows(&field.path).all(|row| is_made_so(row.how)))
    }

    /// Whether documents of one kind have the same values in a field.
    pub fn tells(&self, field: &str) -> bool {
        let is_read = |from: &str| {
            let behind = |path: &&str| from.strip_prefix(*path);
            let told = self.always.iter().filter(|path| !self.any.contains(path));
            let mut rests = told.filter_map(behind);
            rests.any(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let mut derived = self.derived(field);
        covered("event.original", field).is_none()
            && self.rows(field).all(|row| is_read(row.from))
            && derived.all(|derived| derived.from.iter().all(|from| is_read(from)))
    }

    /// Whether all texts of a field stand in its record as they are.
    pub fn shows(&self, field: &str) -> bool {
        let os = self.source.os.map(|_| OS_TYPE);
        let mut made = EVERY_DOCUMENT.iter().copied().chain(os);
        made.all(|made| covered(made, field).is_none())
            && self.derived(field).next().is_none()
            && self.rows(field).all(|row| row.how == How::Keep)
    }

    /// The rows that a field comes from.
    fn rows(&self, field: &str) -> impl Iterator<Item = &'static Mapping> {
        let rows = self.source.mappings.iter().copied().flatten();
        rows.filter(move |row| covered(row.to, field).is_some())
    }

    /// What code sets in a field.
    fn derived(&self, field: &str) -> impl Iterator<Item = &'static Derived> {
        let derived = self.source.derived.iter().copied().flatten();
        derived.filter(move |derived| {
            let subtree = derived.field.strip_suffix(".*");
            covered(subtree.unwrap_or(derived.field), field).is_some()
        })
    }
}

/// Appends what a record says in some of its parts to `said`, of the parts `any` only whether there is a text, and checks that it is a JSON object; `None` where it is none, or where
/// it takes more than a glance.
pub(crate) fn glance(text: &str, parts: &Parts, any: &[&str], said: &mut Vec<u8>) -> Option<()> {
    let mut json = Reader::new(text);
    if !json.is_at_object() || json.token().is_err() {
        return None;
    }
    object(&mut json, parts, parts.record(), any, 0, said)?;
    json.end().ok()
}

/// An object whose `{` was taken. Parts are nested no deeper than tables name them, so the stack suffices.
fn object(
    json: &mut Reader<'_>,
    parts: &Parts,
    within: Part,
    any: &[&str],
    depth: u32,
    said: &mut Vec<u8>,
) -> Option<()> {
    let mut another = json.first_key().ok()?;
    while another {
        let key = json.raw();
        // What it is would have to be resolved first.
        if json.is_escaped() {
            return None;
        }
        let part = parts.inside(within, key);
        if part == Part::Nothing {
            json.skip_within(depth + 1, MAX_DEPTH).ok()?;
            another = json.next_key().ok()?;
            continue;
        }
        // No key without escapes has a quote, so that what follows it cannot be taken for a part of it.
        said.extend_from_slice(key.as_bytes());
        said.push(b'"');
        if part != Part::Whole && json.is_at_object() {
            json.token().ok()?;
            said.push(b'{');
            object(json, parts, part, &[], depth + 1, said)?;
            said.push(b'}');
        } else {
            let start = json.position();
            json.skip_within(depth + 1, MAX_DEPTH).ok()?;
            let value = json.since(start).trim_ascii_start();
            match value {
                [b'"', _, _, ..] if any.contains(&key) => said.push(b'*'),
                value => said.extend_from_slice(value),
            }
        }
        said.push(b',');
        if said.len() > LONGEST {
            return None;
        }
        another = json.next_key().ok()?;
    }
    Some(())
}
