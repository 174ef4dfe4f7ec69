//! Mapping tables: which path of a vendor's record becomes which field.
//!
//! A table is plain data, shown by `--explain` and in the list of fields. To apply it, it is compiled into a
//! [`Plan`], so that a record is walked once, whatever the number of rows, and no path is taken apart at run time.

use ahash::AHashMap;
use smallvec::SmallVec;

use crate::convert;
use crate::tree::{Map, Value};

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
    rows: Vec<Row>,
    /// What to look for in the record's objects; the first is the record itself.
    sources: Vec<AHashMap<&'static str, Wanted>>,
    /// The document's objects, parents before children; the first is the document itself.
    targets: Vec<Target>,
}

#[derive(Debug)]
struct Row {
    how: How,
    /// The target that holds the field.
    target: usize,
    key: &'static str,
}

#[derive(Debug, Default)]
struct Wanted {
    /// Rows that want the value itself.
    rows: SmallVec<[usize; 2]>,
    /// The source to go on with where rows want something inside of it.
    inside: Option<usize>,
}

#[derive(Debug)]
struct Target {
    parent: usize,
    key: &'static str,
}

impl Plan {
    /// Compiles tables, in their order.
    pub(crate) fn of(tables: &[&'static [Mapping]]) -> Self {
        let root = Target { parent: 0, key: "" };
        let mut plan = Self {
            rows: Vec::new(),
            sources: vec![AHashMap::new()],
            targets: vec![root],
        };
        for row in tables.iter().copied().flatten() {
            let number = plan.rows.len();
            let (target, key) = plan.target(row.to);
            plan.rows.push(Row {
                how: row.how,
                target,
                key,
            });
            plan.want(row.from, number);
        }
        plan
    }

    /// The object that holds a field, and the field's key in it.
    fn target(&mut self, path: &'static str) -> (usize, &'static str) {
        let (mut here, mut rest) = (0, path);
        while let Some((key, tail)) = rest.split_once('.') {
            let known = self
                .targets
                .iter()
                .skip(1)
                .position(|target| target.parent == here && target.key == key);
            here = match known {
                Some(position) => position + 1,
                None => {
                    self.targets.push(Target { parent: here, key });
                    self.targets.len() - 1
                }
            };
            rest = tail;
        }
        (here, rest)
    }

    fn want(&mut self, path: &'static str, row: usize) {
        let (mut here, mut rest) = (0, path);
        loop {
            let (key, tail) = match rest.split_once('.') {
                Some((key, tail)) => (key, Some(tail)),
                None => (rest, None),
            };
            let next = self.sources.len();
            let Some(wanted) = self
                .sources
                .get_mut(here)
                .map(|source| source.entry(key).or_default())
            else {
                return;
            };
            let Some(tail) = tail else {
                return wanted.rows.push(row);
            };
            here = *wanted.inside.get_or_insert(next);
            if here == next {
                self.sources.push(AHashMap::new());
            }
            rest = tail;
        }
    }

    /// Copies what the tables name from `record` to `document`. What is null or empty is not copied, what stands in
    /// the document already is not replaced; of two rows for one field the first that has a value counts.
    pub(crate) fn apply<'a>(&self, record: &Map<'a>, document: &'a Map<'a>) {
        let mut found: SmallVec<[Option<Value<'a>>; 64]> = SmallVec::from_elem(None, self.rows.len());
        self.collect(record, 0, &mut found);
        let mut maps: SmallVec<[Option<&'a Map<'a>>; 16]> = SmallVec::from_elem(None, self.targets.len());
        for (row, value) in self.rows.iter().zip(found) {
            let Some(value) = value else { continue };
            let Some(value) = converted(row.how, value, document) else {
                continue;
            };
            if let Some(map) = self.map(row.target, &mut maps, document)
                && map.get(row.key).is_none()
            {
                map.add(row.key, value);
            }
        }
    }

    fn collect<'a>(&self, object: &Map<'a>, source: usize, found: &mut [Option<Value<'a>>]) {
        let Some(source) = self.sources.get(source) else {
            return;
        };
        for (key, value) in object.iter() {
            let Some(wanted) = source.get(key) else { continue };
            if !wanted.rows.is_empty() && !value.is_blank() {
                for row in &wanted.rows {
                    if let Some(place) = found.get_mut(*row) {
                        *place = Some(value);
                    }
                }
            }
            // The walk goes no deeper than the longest path of the tables.
            if let (Some(inside), Value::Map(inner)) = (wanted.inside, value) {
                self.collect(inner, inside, found);
            }
        }
    }

    /// The document's object of a target, made where needed.
    fn map<'a>(
        &self,
        number: usize,
        maps: &mut SmallVec<[Option<&'a Map<'a>>; 16]>,
        document: &'a Map<'a>,
    ) -> Option<&'a Map<'a>> {
        if number == 0 {
            return Some(document);
        }
        if let Some(known) = maps.get(number).copied().flatten() {
            return Some(known);
        }
        let target = self.targets.get(number)?;
        let map = self.map(target.parent, maps, document)?.child(target.key);
        if let Some(place) = maps.get_mut(number) {
            *place = map;
        }
        map
    }
}

/// A value as a row of a table would have it.
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
            r#"{"actor":{"name":"u"},"raw":{"user":{"name":"u"}},"numbers":{"count":7},"@timestamp":"2026-01-01T00:00:00.000Z"}"#,
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
