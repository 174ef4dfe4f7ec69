//! Linux audit events as LAUREL writes them: joined, decoded, with what it knows of parents and containers.
//!
//! Record: <https://github.com/threathunters-io/laurel/blob/master/json-format.md>. The document is the same as of raw
//! lines, see [`super::events`].

use smallvec::SmallVec;

use super::coalesce::{self, Event, Kinds, Reading, Record as Part};
use super::events;
use super::kinds;
use super::line::Fields;
use super::lineage::Lineage;
use crate::convert;
use crate::mapping::{Mapping, keep};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, Made, Source, SourceInfo, derived};
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "laurel",
    aliases: &["auditd_laurel"],
    title: "Linux audit events in the JSON of LAUREL",
    module: "auditd_manager",
    dataset: "auditd_manager.auditd",
    os: Some("linux"),
    mappings: &[PARENT],
    derived: &[events::DERIVED, DERIVED],
    detect,
    start: || Box::new(Laurel),
};

/// What is known of the parent; the object that says so has moved between versions.
const PARENT: &[Mapping] = &[
    keep("PARENT_INFO.comm", "process.parent.name"),
    keep("PARENT_INFO.exe", "process.parent.executable"),
    keep("PARENT_INFO.ARGV", "process.parent.args"),
    keep("SYSCALL.PPID.comm", "process.parent.name"),
    keep("SYSCALL.PPID.exe", "process.parent.executable"),
    keep("SYSCALL.PPID.ARGV", "process.parent.args"),
    keep("CONTAINER_INFO.ID", "container.id"),
    keep("SYSCALL.CONTAINER.id", "container.id"),
    keep("SYSCALL.PID.container.id", "container.id"),
];

const DERIVED: &[Derived] = &[
    derived(
        "process.parent.args_count",
        &["PARENT_INFO.ARGV", "SYSCALL.PPID.ARGV"],
    ),
    derived(
        "process.parent.command_line",
        &["PARENT_INFO.ARGV", "SYSCALL.PPID.ARGV"],
    ),
];

fn detect(record: &Record<'_>) -> Confidence {
    let Some(object) = record.object else {
        return Confidence::No;
    };
    let stamped = object.text_at("ID").and_then(stamp).is_some();
    let kinds = object.iter().any(|(key, value)| {
        let record = kinds::record_number(key).is_some();
        record && (value.as_map().is_some() || value.as_list().is_some())
    });
    if stamped && kinds {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

/// `1626611363.720:348501`
fn stamp(id: &str) -> Option<(i64, u64)> {
    let (time, serial) = id.split_once(':')?;
    Some((super::line::millis(time)?, serial.parse().ok()?))
}

/// The records of an event.
type Parts<'a> = Vec<Option<Part<'a>>>;

struct Laurel;

impl Source for Laurel {
    fn normalize<'a>(&mut self, record: &Record<'a>, out: &mut Made<'a>) -> Result<(), Dropped> {
        let Some(object) = record.object else {
            return Err(Dropped::Malformed("it is no JSON object"));
        };
        let Some((millis, serial)) = object.text_at("ID").and_then(stamp) else {
            return Err(Dropped::Malformed("its `ID` is no stamp of an audit event"));
        };
        let document = record.document();
        let mut event = Event::new(object.text_at("NODE"), millis, serial, document);
        let (kinds, mut parts): (Kinds<'a>, Parts<'a>) = parts(object)
            .into_iter()
            .map(|(kind, part)| (kind, Some(part)))
            .unzip();
        let part = |position: usize| parts.get_mut(position)?.take();
        if coalesce::assemble(&mut event, &kinds, part, Reading::Lenient, document).is_none() {
            return Err(Dropped::Malformed("it has no record of the audit log"));
        }
        for row in PARENT {
            if let Some(value) = object.at(row.from).filter(|value| !value.is_blank()) {
                document.put_new(row.to, value);
            }
        }
        parent_words(document);
        // LAUREL says itself what the parent was.
        events::fill(&event, document, &mut Lineage::default(), false);
        out.push(document);
        Ok(())
    }
}

/// The command line of the parent.
fn parent_words<'a>(document: &'a Map<'a>) {
    let Some(arguments) = document.at("process.parent.args").and_then(Value::as_list) else {
        return;
    };
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.as_text()).collect();
    document.put_text("process.parent.command_line", document.text(&words.join(" ")));
    let count = i64::try_from(words.len()).unwrap_or(i64::MAX);
    document.put("process.parent.args_count", Value::Int(count));
}

/// The records of an event: what is special first, then the system call and what belongs to it.
fn parts<'a>(object: &'a Map<'a>) -> SmallVec<[(&'a str, Part<'a>); 8]> {
    let mut parts: SmallVec<[(&'a str, Part<'a>); 8]> = SmallVec::new();
    for (kind, value) in object.iter() {
        if kinds::record_number(kind).is_none() {
            continue;
        }
        match value {
            Value::Map(map) => parts.push((kind, part(kind, map))),
            Value::List(list) => {
                let maps = list.iter().filter_map(|value| value.as_map());
                parts.extend(maps.map(|map| (kind, part(kind, map))));
            }
            _ => {}
        }
    }
    let belongs = |kind: &str| matches!(kind, "EXECVE" | "CWD" | "PATH" | "PROCTITLE" | "SOCKADDR");
    parts.sort_by_key(|(kind, _)| {
        if *kind == "SYSCALL" {
            1
        } else {
            2 * u8::from(belongs(kind))
        }
    });
    parts
}

fn part<'a>(kind: &str, map: &'a Map<'a>) -> Part<'a> {
    let mut part = Part::with_room(map.len(), map);
    for (key, value) in map.iter() {
        let capitals = !key.bytes().any(|byte| byte.is_ascii_lowercase());
        match value {
            Value::List(list) => {
                let words = list
                    .iter()
                    .filter_map(|word| word.as_text())
                    .map(|word| plain(word, map));
                match (kind, key) {
                    ("EXECVE", "ARGV") => {
                        part.arguments = words
                            .enumerate()
                            .map(|(number, word)| (number, None, word))
                            .collect();
                    }
                    ("PROCTITLE", "ARGV") => {
                        let words: Vec<&str> = words.collect();
                        part.fields.set("proctitle", map.text(&words.join(" ")));
                    }
                    ("SYSCALL", "ARGV") => {
                        for (name, word) in ["a0", "a1", "a2", "a3"].into_iter().zip(words) {
                            part.fields.set(name, word.strip_prefix("0x").unwrap_or(word));
                        }
                    }
                    _ => {}
                }
            }
            Value::Map(address) if kind == "SOCKADDR" && key == "SADDR" => {
                for (from, to) in [
                    ("family", "family"),
                    ("addr", "addr"),
                    ("port", "port"),
                    ("path", "path"),
                ] {
                    if let Some(value) = address.get(from).and_then(|value| convert::text(value, map)) {
                        part.fields.set(to, plain(value, map));
                    }
                }
            }
            Value::Null | Value::Map(_) => {}
            scalar => {
                let Some(text) = convert::text(scalar, map) else {
                    continue;
                };
                let text = plain(text, map);
                let text = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0o")) {
                    Some(digits)
                        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
                    {
                        digits
                    }
                    _ => text,
                };
                match (kind, key) {
                    ("EXECVE", "ARGV_STR") if part.arguments.is_empty() => {
                        let words = text.split(' ').enumerate();
                        part.arguments = words.map(|(number, word)| (number, None, word)).collect();
                    }
                    ("SYSCALL", "SYSCALL") => part.fields.set("syscall", text),
                    ("SYSCALL", "ARCH") => part.fields.set("arch", text),
                    _ if capitals => {
                        let names = part.names.get_or_insert_with(|| Fields::with_room(0, map));
                        names.set(key, text);
                    }
                    _ => part.fields.set_new(key, text),
                }
            }
        }
    }
    if part.fields.get("addr").is_some() {
        part.fields.remove("saddr");
    }
    coalesce::enrich(kind, Reading::Lenient, &mut part, map);
    part
}

/// A text with its percent signs resolved; what is no UTF-8 then stays as it is.
fn plain<'a>(text: &'a str, at: &Map<'a>) -> &'a str {
    if !text.contains('%') {
        return text;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        rest = match behind
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
        {
            Some(byte) => {
                bytes.push(byte);
                behind.get(2..).unwrap_or("")
            }
            None => {
                bytes.push(b'%');
                behind
            }
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).map_or(text, |text| at.text(&text))
}
