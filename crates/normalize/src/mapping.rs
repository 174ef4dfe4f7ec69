//! Mapping tables: which path of a vendor's record becomes which field.
//!
//! A table is plain data, shown by `--explain` and in the list of fields. To apply it, it is compiled into a
//! [`Plan`], so that a record is walked once, whatever the number of rows, and no path is taken apart at run time.

mod draft;
mod layout;

use smallvec::SmallVec;

use crate::convert;
use crate::tree::{KeyTable, Map, Value};

use draft::{COMPLETED, Completed};
pub(crate) use draft::{Draft, Laid};
use layout::{Layout, Onto};

/// One row of a mapping table.
#[derive(Clone, Copy, Debug)]
pub struct Mapping {
    /// Path in the vendor's record.
    pub from: &'static str,
    /// Field in the document.
    pub to: &'static str,
    /// What happens to the value on the way.
    pub how: How,
}

/// What happens to a value on its way from the record to the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Nothing.
    Keep,
    /// Written as a string.
    Text,
    /// Read as an integer; left out where it is none.
    Long,
    /// Read as a date and written in UTC with milliseconds; left out where it is none.
    Date,
    /// Left out where it is no IP address.
    Ip,
    /// Written as Java's `Map.toString` would.
    JavaText,
}

/// A row that keeps the value.
pub(crate) const fn keep(from: &'static str, to: &'static str) -> Mapping {
    Mapping {
        from,
        to,
        how: How::Keep,
    }
}

/// A row that converts the value.
pub(crate) const fn to(how: How, from: &'static str, to: &'static str) -> Mapping {
    Mapping { from, to, how }
}

/// Mapping tables, ready to be applied.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What to look for in the record's objects; the first is the record itself.
    sources: Vec<Source>,
    rows: Vec<Row>,
    layout: Layout,
    /// Number of looks.
    looks: usize,
    /// Numbers of the fields that code sets.
    sets: Vec<usize>,
    /// Numbers and values of the constants.
    constants: Vec<(usize, &'static str)>,
    completed: Completed,
}

/// What a plan met at the paths that it was told to look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looks<'a>(&'a [Value<'a>]);

impl<'a> Looks<'a> {
    /// The value at a path, by the path's number; nothing where it is blank or missing.
    #[inline]
    pub(crate) fn get(self, number: usize) -> Option<Value<'a>> {
        present(*self.0.get(number)?)
    }
}

/// A value, unless it stands for none.
#[inline]
fn present(value: Value<'_>) -> Option<Value<'_>> {
    match value {
        Value::Null => None,
        value => Some(value),
    }
}

/// The keys of an object of the record that are wanted.
#[derive(Debug, Default)]
struct Source {
    keys: KeyTable,
    /// By number of the key.
    wanted: Vec<Wanted>,
}

/// What becomes of the value of a key.
///
/// In one number, for it is handed on with every key, and what is put together from smaller parts is waited for: the first
/// of the rows that want the value, the one behind the last, and the source to go on with where rows want something inside
/// of it (or [`MISSING`]), sixteen bits each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted(u64);

impl Wanted {
    /// Nothing is made of it.
    pub(crate) const NOTHING: Self = Self::new(0, 0, MISSING);

    /// The record itself.
    const RECORD: Self = Self::new(0, 0, 0);

    const fn new(first: u16, end: u16, inside: u16) -> Self {
        Self(first as u64 | (end as u64) << 16 | (inside as u64) << 32)
    }

    /// The part of sixteen bits that begins at a bit.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the other bits belong to other parts"
    )]
    #[inline(always)]
    const fn part(self, bit: u32) -> u16 {
        (self.0 >> bit) as u16
    }

    #[inline(always)]
    const fn rows(self) -> (u16, u16) {
        (self.part(0), self.part(16))
    }

    #[inline(always)]
    const fn inside(self) -> u16 {
        self.part(32)
    }

    /// Whether some row wants the value.
    #[inline(always)]
    pub(crate) const fn has_rows(self) -> bool {
        self.part(0) < self.part(16)
    }

    /// All of it in the lower 48 bits.
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// What the lower 48 bits stand for.
    #[inline(always)]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits & ((1 << 48) - 1))
    }
}

#[derive(Clone, Copy, Debug)]
struct Row {
    /// The field that it may fill; looks are numbered behind the fields.
    field: u16,
    /// Its number in the tables: the row with the lowest counts.
    number: u16,
    how: How,
}

/// What a plan is made of beside its tables.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extras<'t> {
    /// Fields and their values, whatever stands there.
    pub(crate) constants: &'t [(&'static str, &'static str)],
    /// Paths of the record to look at on the way.
    pub(crate) looks: &'t [&'static str],
    /// Fields that code sets.
    pub(crate) sets: &'t [&'static str],
    /// Which of these are lists that go on where one stands in the document already.
    pub(crate) lists: &'t [&'static str],
    /// Whether it drafts documents, so that what every document has needs its place.
    pub(crate) drafts: bool,
}

/// No row found anything.
const MISSING: u16 = u16::MAX;

impl Plan {
    /// Compiles tables, in their order.
    pub(crate) fn of(tables: &[&'static [Mapping]]) -> Self {
        Self::with(tables, Extras::default())
    }

    /// Compiles tables and what comes with them.
    pub(crate) fn with(tables: &[&'static [Mapping]], extras: Extras<'_>) -> Self {
        let table = || tables.iter().copied().flatten();
        let mut layout = Layout::of(
            table()
                .map(|row| row.to)
                .chain(extras.constants.iter().map(|(field, _)| *field))
                .chain(extras.sets.iter().copied())
                .chain(COMPLETED.into_iter().filter(|_| extras.drafts)),
        );
        for (field, _) in extras.constants {
            layout.set_onto(field, Onto::Replace);
        }
        for row in table().filter(|row| row.how == How::JavaText) {
            layout.set_late(row.to);
        }
        for field in extras.sets {
            if table().all(|row| row.to != *field) {
                layout.set_onto(field, Onto::Replace);
            }
        }
        for field in extras.lists {
            layout.set_onto(field, Onto::Append);
        }
        // All of them have a place.
        let number = |field: &str| layout.number(field).unwrap_or(usize::MAX);
        let constants = extras.constants.iter();
        let mut plan = Self {
            sources: vec![Source::default()],
            rows: Vec::new(),
            looks: extras.looks.len(),
            sets: extras.sets.iter().map(|field| number(field)).collect(),
            constants: constants.map(|(field, value)| (number(field), *value)).collect(),
            completed: COMPLETED.map(number),
            layout,
        };
        // The rows of one path stand together.
        let mut rows: Vec<(&'static str, Row)> = Vec::new();
        for (number, row) in (0..).zip(table()) {
            if let Some(field) = plan.layout.number(row.to) {
                let (field, how) = (small(field), row.how);
                rows.push((row.from, Row { field, number, how }));
            }
        }
        for (number, path) in extras.looks.iter().enumerate() {
            let row = Row {
                field: small(plan.layout.len() + number),
                number: 0,
                how: How::Keep,
            };
            rows.push((path, row));
        }
        rows.sort_by_key(|(path, _)| *path);
        for (path, row) in rows {
            let number = small(plan.rows.len());
            plan.rows.push(row);
            if let Some(wanted) = plan.wanted(path) {
                let first = if wanted.has_rows() { wanted.part(0) } else { number };
                *wanted = Wanted::new(first, number + 1, wanted.inside());
            }
        }
        plan
    }

    /// The place of what is wanted of a path, made where there is none.
    fn wanted(&mut self, path: &'static str) -> Option<&mut Wanted> {
        let (mut here, mut rest) = (0, path);
        while let Some((key, tail)) = rest.split_once('.') {
            let next = self.sources.len();
            let wanted = self.sources.get_mut(here)?.wanted(key)?;
            if wanted.inside() == MISSING {
                let (first, end) = wanted.rows();
                *wanted = Wanted::new(first, end, small(next));
            }
            here = usize::from(wanted.inside());
            if here == next {
                self.sources.push(Source::default());
            }
            rest = tail;
        }
        self.sources.get_mut(here)?.wanted(rest)
    }

    /// Copies what the tables name from `record` to `document`. What is null or empty is not copied, what stands in
    /// the document already is not replaced; of two rows for one field the first that has a value counts.
    pub(crate) fn apply<'a>(&'static self, record: &Map<'a>, document: &'a Map<'a>) -> Looks<'a> {
        let mut found = Found::new(self, document);
        found.collect(record, Wanted::RECORD);
        let (values, looks) = found.values();
        self.layout.build(values, document);
        Looks(looks)
    }

    /// What becomes of the value under a key, of the object of which `within` is wanted.
    #[inline(always)]
    pub(crate) fn inside(&self, within: Wanted, key: &str) -> Wanted {
        let source = self.sources.get(usize::from(within.inside()));
        let wanted = source.and_then(|source| source.wanted.get(source.keys.get(key)?));
        wanted.copied().unwrap_or(Wanted::NOTHING)
    }

    /// What becomes of a record.
    pub(crate) fn of_record(&self) -> Wanted {
        Wanted::RECORD
    }
}

/// What a record has for each field and look of a plan; null where it has nothing.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    plan: &'static Plan,
    values: &'a mut [Value<'a>],
    /// The number of the row that found each.
    numbers: SmallVec<[u16; 128]>,
    /// In whose memory it is.
    at: &'a Map<'a>,
}

impl<'a> Found<'a> {
    pub(crate) fn new(plan: &'static Plan, at: &'a Map<'a>) -> Self {
        let count = plan.layout.len() + plan.looks;
        Self {
            plan,
            values: at.places(count, Value::Null),
            numbers: SmallVec::from_elem(MISSING, count),
            at,
        }
    }

    /// Takes a value, which is not blank, to where its rows want it.
    #[inline(always)]
    pub(crate) fn take(&mut self, wanted: Wanted, value: Value<'a>) {
        let (first, end) = wanted.rows();
        let rows = usize::from(first)..usize::from(end);
        for row in self.plan.rows.get(rows).unwrap_or(&[]) {
            let field = usize::from(row.field);
            if let (Some(place), Some(number)) = (self.values.get_mut(field), self.numbers.get_mut(field))
                && row.number <= *number
            {
                // Most values stay as they are; they go the short way, in registers.
                match row.how {
                    How::Keep | How::JavaText => *place = value,
                    how => match converted(how, value, self.at) {
                        Some(value) => *place = value,
                        None => continue,
                    },
                }
                *number = row.number;
            }
        }
    }

    /// Takes what is wanted of an object and the objects inside.
    fn collect(&mut self, object: &Map<'a>, within: Wanted) {
        for (key, value) in object.iter() {
            let wanted = self.plan.inside(within, key);
            if value.is_blank() {
                continue;
            }
            self.take(wanted, value);
            // The walk goes no deeper than the longest path of the tables.
            if let (true, Value::Map(inner)) = (wanted.inside() != MISSING, value) {
                self.collect(inner, wanted);
            }
        }
    }

    /// The values of the fields, with the constants among them, and those of the looks.
    fn values(self) -> (&'a mut [Value<'a>], &'a [Value<'a>]) {
        let (values, looks) = self.values.split_at_mut(self.plan.layout.len());
        for (number, text) in &self.plan.constants {
            if let Some(place) = values.get_mut(*number) {
                *place = Value::Text(text);
            }
        }
        (values, looks)
    }
}

impl Source {
    /// The place of what is wanted of a key, made where there is none.
    fn wanted(&mut self, key: &'static str) -> Option<&mut Wanted> {
        let number = self.keys.number(key);
        if number == self.wanted.len() {
            self.wanted.push(Wanted::NOTHING);
        }
        self.wanted.get_mut(number)
    }
}

/// A number in a table that people wrote; none has so many rows that it does not fit.
fn small(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(MISSING)
}

/// A value as a row of a table would have it. What becomes a text of Java does so where the document is written.
#[inline(never)]
pub(crate) fn converted<'a>(how: How, value: Value<'a>, at: &Map<'a>) -> Option<Value<'a>> {
    match how {
        How::Keep | How::JavaText => Some(value),
        How::Text => Some(Value::Text(convert::text(value, at)?)),
        How::Long => value.to_int().map(Value::Int),
        How::Date => convert::date(value, at).map(Value::Text),
        How::Ip => convert::ip(value),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::{How, Mapping, Plan, keep, to};
    use crate::json;
    use crate::tree::Arena;

    const TABLE: &[Mapping] = &[
        keep("user.name", "actor.name"),
        keep("session.name", "actor.name"),
        keep("user", "raw.user"),
        to(How::Long, "count", "numbers.count"),
        to(How::Date, "when", "@timestamp"),
    ];

    fn check(record: &str, before: &str, after: &str) {
        let arena = Arena::default();
        let read = |text| json::parse(&arena, text).unwrap().as_map().unwrap();
        let document = read(before);
        static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[TABLE]));
        PLAN.apply(read(record), document);
        assert_eq!(sonic_rs::to_string(document).unwrap(), after, "{record}");
    }

    #[test]
    fn plans_copy_what_their_tables_name() {
        check(
            r#"{"session":{"name":"s"},"user":{"name":"u"},"count":"7","when":"2026-01-01T00:00:00Z"}"#,
            "{}",
            r#"{"@timestamp":"2026-01-01T00:00:00.000Z","actor":{"name":"u"},"raw":{"user":{"name":"u"}},"numbers":{"count":7}}"#,
        );
        check(
            r#"{"session":{"name":"s"},"user":{"name":""}}"#,
            "{}",
            r#"{"actor":{"name":"s"},"raw":{"user":{"name":""}}}"#,
        );
        check(
            r#"{"user":{"name":"u"}}"#,
            r#"{"actor":{"name":"old"},"raw":1}"#,
            r#"{"actor":{"name":"old"},"raw":1}"#,
        );
        check(r#"{"count":"seven","when":[],"user":null}"#, "{}", "{}");
    }
}
