//! Mapping tables: which path of a vendor's record becomes which field.
//!
//! A table is plain data, shown by `--explain` and in the list of fields. To apply it, it is compiled into a
//! [`Plan`], so that a record is walked once, whatever the number of rows, and no path is taken apart at run time.

use std::ops::Range;

use smallvec::SmallVec;

use crate::convert;
use crate::tree::{KeyTable, Map, Value};

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
    /// The document's objects, children before parents; the last is the document itself.
    objects: Vec<Object>,
    /// The document's fields, object by object.
    fields: Vec<Target>,
    /// Number of looks.
    looks: usize,
    /// Whether the tables have a field and an object of one name, so that the one stands in the way of the other.
    tangled: bool,
}

/// What a plan met at the paths that it was told to look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looks<'a>(&'a [Found<'a>]);

impl<'a> Looks<'a> {
    /// The value at a path, by the path's number; nothing where it is blank or missing.
    #[inline]
    pub(crate) fn get(self, number: usize) -> Option<Value<'a>> {
        let found = self.0.get(number)?;
        (found.number != MISSING).then_some(found.value)
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
#[derive(Clone, Debug, Default)]
struct Wanted {
    /// Numbers of the rows that want it.
    rows: Range<u16>,
    /// The source to go on with where rows want something inside of it.
    inside: Option<u16>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    /// The field that it may fill; looks are numbered behind the fields.
    field: u16,
    /// Its number in the tables: the row with the lowest counts.
    number: u16,
    how: How,
}

/// An object of the document.
#[derive(Debug, Default)]
struct Object {
    /// The fields of it, by number.
    fields: Range<usize>,
    /// Objects inside, by number.
    children: Vec<(&'static str, usize)>,
    /// How many entries it may have, and some that code adds later.
    room: usize,
}

/// A field.
#[derive(Debug)]
struct Target {
    path: &'static str,
    key: &'static str,
    /// The value, if it is always the same.
    constant: Option<&'static str>,
}

/// What was found for a field, and the number of the row that found it.
#[derive(Clone, Copy, Debug)]
struct Found<'a> {
    value: Value<'a>,
    number: u16,
}

/// No row found anything.
const MISSING: u16 = u16::MAX;

/// Of an object with so many entries it is likely that code adds some more.
const LARGE: usize = 4;

/// Places for what code adds to a large object after its plan was applied.
const SPARE: usize = 8;

impl Plan {
    /// Compiles tables, in their order.
    pub(crate) fn of(tables: &[&'static [Mapping]]) -> Self {
        Self::with(tables, &[], &[])
    }

    /// Compiles tables, constants (a field and its value, whatever stands there) and paths to look at on the way.
    pub(crate) fn with(
        tables: &[&'static [Mapping]],
        constants: &[(&'static str, &'static str)],
        looks: &[&'static str],
    ) -> Self {
        let mut plan = Self {
            sources: vec![Source::default()],
            rows: Vec::new(),
            objects: Vec::new(),
            fields: Vec::new(),
            looks: looks.len(),
            tangled: false,
        };
        let table = || tables.iter().copied().flatten();
        let mut paths: Vec<&'static str> = Vec::new();
        for path in table()
            .map(|row| row.to)
            .chain(constants.iter().map(|(field, _)| *field))
        {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        plan.lay_out(&paths, "");
        for (field, value) in constants {
            for target in plan.fields.iter_mut().filter(|target| target.path == *field) {
                target.constant = Some(value);
            }
        }
        // The rows of one path stand together.
        let mut rows: Vec<(&'static str, Row)> = Vec::new();
        for (number, row) in (0..).zip(table()) {
            let field = (0..).zip(&plan.fields).find(|(_, field)| field.path == row.to);
            if let Some((field, _)) = field {
                let how = row.how;
                rows.push((row.from, Row { field, number, how }));
            }
        }
        for (field, path) in looks.iter().enumerate() {
            let row = Row {
                field: small(plan.fields.len() + field),
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
                if wanted.rows.is_empty() {
                    wanted.rows = number..number;
                }
                wanted.rows.end = number + 1;
            }
        }
        plan
    }

    /// Numbers the fields and objects beneath a prefix, which is empty or ends with a dot, and gives the number of its
    /// own object.
    fn lay_out(&mut self, paths: &[&'static str], prefix: &str) -> usize {
        let (mut keys, mut inner): (Vec<&'static str>, Vec<&'static str>) = (Vec::new(), Vec::new());
        for path in paths {
            match path.strip_prefix(prefix).map(|rest| (rest, rest.split_once('.'))) {
                Some((_, Some((key, _)))) if !inner.contains(&key) => inner.push(key),
                Some((key, None)) => keys.push(key),
                _ => {}
            }
        }
        self.tangled |= keys.iter().any(|key| inner.contains(key));
        let children: Vec<_> = inner
            .into_iter()
            .map(|key| (key, self.lay_out(paths, &format!("{prefix}{key}."))))
            .collect();
        let first = self.fields.len();
        for path in paths {
            if let Some(key) = path.strip_prefix(prefix)
                && keys.contains(&key)
            {
                let constant = None;
                self.fields.push(Target { path, key, constant });
            }
        }
        let entries = children.len() + self.fields.len() - first;
        self.objects.push(Object {
            fields: first..self.fields.len(),
            children,
            room: entries + if entries >= LARGE { SPARE } else { 1 },
        });
        self.objects.len() - 1
    }

    /// The place of what is wanted of a path, made where there is none.
    fn wanted(&mut self, path: &'static str) -> Option<&mut Wanted> {
        let (mut here, mut rest) = (0, path);
        while let Some((key, tail)) = rest.split_once('.') {
            let next = self.sources.len();
            let inside = &mut self.sources.get_mut(here)?.wanted(key)?.inside;
            here = usize::from(*inside.get_or_insert(small(next)));
            if here == next {
                self.sources.push(Source::default());
            }
            rest = tail;
        }
        self.sources.get_mut(here)?.wanted(rest)
    }

    /// Copies what the tables name from `record` to `document`. What is null or empty is not copied, what stands in
    /// the document already is not replaced; of two rows for one field the first that has a value counts.
    pub(crate) fn apply<'a>(&self, record: &Map<'a>, document: &'a Map<'a>) -> Looks<'a> {
        let found = self.found(record, document);
        let (found, looks) = found.split_at_checked(self.fields.len()).unwrap_or((found, &[]));
        if document.is_empty() && !self.tangled {
            self.build(found, document);
        } else {
            for (field, found) in self.fields.iter().zip(found) {
                if let Some(value) = field.constant {
                    document.put_text(field.path, value);
                } else if found.number != MISSING {
                    document.put_new(field.path, found.value);
                }
            }
        }
        Looks(looks)
    }

    /// Looks at what it was told to look at, and copies nothing.
    pub(crate) fn look<'a>(&self, record: &'a Map<'a>) -> Looks<'a> {
        let found = self.found(record, record);
        Looks(found.get(self.fields.len()..).unwrap_or(&[]))
    }

    /// What the record has for each field and look.
    fn found<'a>(&self, record: &Map<'a>, at: &Map<'a>) -> &'a [Found<'a>] {
        let nothing = Found {
            value: Value::Null,
            number: MISSING,
        };
        let found = at.places(self.fields.len() + self.looks, nothing);
        self.collect(record, 0, found, at);
        found
    }

    fn collect<'a>(&self, object: &Map<'a>, source: usize, found: &mut [Found<'a>], at: &Map<'a>) {
        let Some(source) = self.sources.get(source) else {
            return;
        };
        for (key, value) in object.iter() {
            let Some(wanted) = source.keys.get(key).and_then(|number| source.wanted.get(number)) else {
                continue;
            };
            if value.is_blank() {
                continue;
            }
            let rows = usize::from(wanted.rows.start)..usize::from(wanted.rows.end);
            for row in self.rows.get(rows).unwrap_or(&[]) {
                if let Some(found) = found.get_mut(usize::from(row.field))
                    && row.number <= found.number
                    && let Some(value) = converted(row.how, value, at)
                {
                    found.value = value;
                    found.number = row.number;
                }
            }
            // The walk goes no deeper than the longest path of the tables.
            if let (Some(inside), Value::Map(inner)) = (wanted.inside, value) {
                self.collect(inner, usize::from(inside), found, at);
            }
        }
    }

    /// Fills an empty document, objects inside before those round them.
    fn build<'a>(&self, found: &[Found<'a>], document: &'a Map<'a>) {
        let mut built: SmallVec<[Option<&'a Map<'a>>; 16]> = SmallVec::new();
        for (number, object) in self.objects.iter().enumerate() {
            let mut here: Option<&'a Map<'a>> = None;
            if number + 1 == self.objects.len() {
                document.make_room(object.room);
                here = Some(document);
            }
            let fields = self.fields.get(object.fields.clone()).unwrap_or(&[]);
            let found = found.get(object.fields.clone()).unwrap_or(&[]);
            for (field, found) in fields.iter().zip(found) {
                let value = match field.constant {
                    None if found.number == MISSING => continue,
                    None => found.value,
                    Some(text) => Value::Text(text),
                };
                here.get_or_insert_with(|| document.with_room(object.room))
                    .add(field.key, value);
            }
            for (key, child) in &object.children {
                if let Some(map) = built.get(*child).copied().flatten() {
                    here.get_or_insert_with(|| document.with_room(object.room))
                        .add(key, Value::Map(map));
                }
            }
            built.push(here);
        }
    }
}

impl Source {
    /// The place of what is wanted of a key, made where there is none.
    fn wanted(&mut self, key: &'static str) -> Option<&mut Wanted> {
        let number = self.keys.number(key);
        if number == self.wanted.len() {
            self.wanted.push(Wanted::default());
        }
        self.wanted.get_mut(number)
    }
}

/// A number in a table that people wrote; none has so many rows that it does not fit.
fn small(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(MISSING)
}

/// A value as a row of a table would have it.
#[inline]
pub(crate) fn converted<'a>(how: How, value: Value<'a>, at: &Map<'a>) -> Option<Value<'a>> {
    match how {
        How::Keep => Some(value),
        How::Text => Some(Value::Text(convert::text(value, at)?)),
        How::Long => value.to_int().map(Value::Int),
        How::Date => convert::date(value, at).map(Value::Text),
        How::Ip => convert::ip(value),
    }
}

#[cfg(test)]
mod tests {
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
        Plan::of(&[TABLE]).apply(read(record), document);
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
