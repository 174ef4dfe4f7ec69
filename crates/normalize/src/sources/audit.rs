//! The Linux audit log: raw lines, events joined by others, and what they have in common.
//!
//! Records: <https://github.com/linux-audit/audit-documentation/wiki>. [`log`] takes each line for a document as
//! Elastic's integration for audit log files does; [`events`] joins the lines of an event into the document that
//! Auditbeat makes of it, which is what rules are written for; [`libaudit`] stops halfway.

mod coalesce;
pub(super) mod events;
mod kinds;
pub(super) mod laurel;
pub(super) mod libaudit;
mod line;
mod lineage;
pub(super) mod log;
mod moves;
mod norms;
pub(super) mod programs;
mod tokens;
mod usual;

use smallvec::SmallVec;

use self::coalesce::Event;
use self::line::Fields;
use crate::convert;
use crate::tree::{Map, Value};

/// A time in milliseconds as text.
fn stamp<'a>(millis: i64, at: &Map<'a>) -> Option<&'a str> {
    convert::date(Value::Int(millis), at)
}

/// A number that may exceed signed ones.
fn number<'a>(value: u64) -> Value<'a> {
    i64::try_from(value).map_or(Value::Uint(value), Value::Int)
}

/// The object at a path, made where there is none.
fn object_at<'a>(path: &'a str, document: &'a Map<'a>) -> Option<&'a Map<'a>> {
    if document.map_at(path).is_none() {
        document.put(path, Value::Map(document.new_map()));
    }
    document.map_at(path)
}

/// An object of the document while it is filled.
#[derive(Clone, Copy)]
struct Filling<'a> {
    map: &'a Map<'a>,
    /// Whether it was made for the purpose: then each key comes once.
    is_new: bool,
}

impl<'a> Filling<'a> {
    /// The object under a key, made with room for so many entries where there is none; nothing where another kind of
    /// value stands there.
    fn of(key: &'a str, room: usize, parent: &'a Map<'a>) -> Option<Self> {
        match parent.get(key) {
            Some(Value::Map(map)) => Some(Self { map, is_new: false }),
            None => {
                let map = parent.with_room(room);
                parent.add(key, Value::Map(map));
                Some(Self { map, is_new: true })
            }
            Some(Value::Null) => {
                let map = parent.with_room(room);
                parent.set(key, Value::Map(map));
                Some(Self { map, is_new: true })
            }
            Some(_) => None,
        }
    }

    #[inline]
    fn set(self, key: &'a str, value: Value<'a>) {
        if self.is_new {
            self.map.add(key, value);
        } else {
            self.map.set(key, value);
        }
    }

    fn text(self, key: &'a str, text: &'a str) {
        self.set(key, Value::Text(text));
    }
}

/// Fields as an object.
fn put_fields<'a>(path: &'a str, fields: &Fields<'a>, document: &'a Map<'a>) {
    if fields.is_empty() {
        return;
    }
    if let Some(object) = document.child_at(path).or_else(|| object_at(path, document)) {
        object.make_room(fields.len());
        fields
            .iter()
            .for_each(|(key, value)| object.set(key, Value::Text(value)));
    }
}

/// The file names of an event as objects. They are the fields themselves, which change no more.
fn paths<'a>(paths: &[Fields<'a>], document: &'a Map<'a>) -> Value<'a> {
    let objects: SmallVec<[Value<'a>; 4]> = paths.iter().map(|path| Value::Map(path.into_map())).collect();
    document.list(&objects)
}

/// The permission bits of a file mode, in octal.
fn permissions<'a>(mode: &str, at: &Map<'a>) -> Option<&'a str> {
    let mode = u32::from_str_radix(mode, 8).ok()?;
    let mut out = at.text_writer(4);
    for shift in [9, 6, 3, 0] {
        out.push(char::from_digit(mode >> shift & 7, 8)?);
    }
    Some(out.into_bump_str())
}

/// A few words.
type Words = SmallVec<[&'static str; 4]>;

/// `event.category` and `event.type`: of the event, and of the system call that it came with.
fn classes(event: &Event<'_>) -> (Words, Words) {
    let Some(norm) = event.norm else {
        return (Words::new(), Words::new());
    };
    let call = event.call.filter(|call| !std::ptr::eq(*call, norm));
    let all = |own: &[&'static str], of_call: &[&'static str]| own.iter().chain(of_call).copied().collect();
    (
        all(norm.category, call.map_or(&[], |call| call.category)),
        all(norm.types, call.map_or(&[], |call| call.types)),
    )
}
