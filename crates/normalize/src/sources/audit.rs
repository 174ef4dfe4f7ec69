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
mod norms;
pub(super) mod programs;

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

/// Fields as an object.
fn put_fields<'a>(path: &'a str, fields: &Fields<'a>, document: &'a Map<'a>) {
    if fields.is_empty() {
        return;
    }
    if let Some(object) = object_at(path, document) {
        fields
            .iter()
            .for_each(|(key, value)| object.set(key, Value::Text(value)));
    }
}

/// The file names of an event as objects.
fn paths<'a>(paths: &[Fields<'a>], document: &'a Map<'a>) -> Value<'a> {
    let objects: Vec<Value<'a>> = paths
        .iter()
        .map(|path| {
            let object = document.with_room(path.len());
            path.iter()
                .for_each(|(key, value)| object.add(key, Value::Text(value)));
            Value::Map(object)
        })
        .collect();
    document.list(&objects)
}

/// The permission bits of a file mode, in octal.
fn permissions<'a>(mode: &str, at: &Map<'a>) -> Option<&'a str> {
    let mode = u32::from_str_radix(mode, 8).ok()?;
    Some(at.text(&format!("{:04o}", mode & 0o7777)))
}

/// `event.category` and `event.type`: of the event, and of the system call that it came with.
fn classes(event: &Event<'_>) -> (Vec<&'static str>, Vec<&'static str>) {
    let Some(norm) = event.norm else {
        return (Vec::new(), Vec::new());
    };
    let call = event.call.filter(|call| !std::ptr::eq(*call, norm));
    let all = |own: &[&'static str], of_call: &[&'static str]| own.iter().chain(of_call).copied().collect();
    (
        all(norm.category, call.map_or(&[], |call| call.category)),
        all(norm.types, call.map_or(&[], |call| call.types)),
    )
}
