//! Linux audit events as Auditbeat and Elastic's auditd manager ship them: joined and put into ECS by the agent.
//!
//! Record: <https://www.elastic.co/docs/reference/integrations/auditd_manager>. What is left to do is to give the
//! parts that are no ECS their place under `auditd`, and numbers their type.

use std::sync::LazyLock;

use smallvec::SmallVec;

use crate::mapping::{Mapping, keep};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value, same_key};

pub(super) const INFO: SourceInfo = SourceInfo {
    name: "auditd_manager",
    aliases: &[],
    title: "Linux audit events from Auditbeat or the auditd manager of an Elastic agent",
    module: "auditd_manager",
    dataset: "auditd_manager.auditd",
    os: Some("linux"),
    mappings: &[MOVES],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

const MOVES: &[Mapping] = &[
    keep("event.original", "auditd.messages"),
    keep("error.message", "auditd.warnings"),
    keep("source.path", "source.address"),
    keep("destination.path", "destination.address"),
    keep("user.audit", "auditd.user.audit"),
    keep("user.new_auid", "auditd.user.new_auid"),
    keep("user.old_auid", "auditd.user.old_auid"),
    keep("file.selinux", "auditd.file.selinux"),
    keep("user.selinux", "auditd.user.selinux"),
    keep("user.saved", "auditd.user.saved"),
    keep("user.filesystem", "auditd.user.filesystem"),
    keep("auditd.sequence", "event.sequence"),
    keep("auditd.data.id", "event.id"),
    keep("process.ppid", "process.parent.pid"),
];

/// The moves out of one object.
struct Moves {
    /// The path of the object: one key, or two.
    object: &'static str,
    outer: &'static str,
    inner: Option<&'static str>,
    /// The key inside of it, and the path, object and key that it goes to.
    keys: Vec<(&'static str, &'static Mapping, &'static str, &'static str)>,
}

/// [`MOVES`] by object.
static MOVED: LazyLock<Vec<Moves>> = LazyLock::new(|| {
    let mut moved: Vec<Moves> = Vec::new();
    for row in MOVES {
        let (Some((object, key)), Some((target, name))) =
            (row.from.rsplit_once('.'), row.to.rsplit_once('.'))
        else {
            continue;
        };
        let moves = (key, row, target, name);
        match moved.iter_mut().find(|moves| moves.object == object) {
            Some(known) => known.keys.push(moves),
            None => {
                let (outer, inner) = match object.split_once('.') {
                    Some((outer, inner)) => (outer, Some(inner)),
                    None => (object, None),
                };
                moved.push(Moves {
                    object,
                    outer,
                    inner,
                    keys: vec![moves],
                });
            }
        }
    }
    moved
});

const DERIVED: &[Derived] = &[
    derived("event.original", &["event.original"]),
    derived("event.outcome", &["event.outcome"]),
    derived("error.message", &["error.message"]),
    derived("process.args_count", &["process.args"]),
    derived("process.command_line", &["process.args"]),
];

/// Keys of `auditd.data` that are numbers, which the agent may write as text.
fn is_number(key: &str) -> bool {
    matches!(
        key,
        "removed"
            | "items"
            | "lport"
            | "rport"
            | "sport"
            | "dport"
            | "entries"
            | "argc"
            | "seqno"
            | "nargs"
            | "old_vcpu"
            | "new_vcpu"
            | "changed"
            | "added"
            | "spid"
            | "opid"
            | "nlnk_pid"
            | "vm_pid"
            | "audit_pid"
    )
}

fn detect(record: &Record<'_>) -> Confidence {
    let Some(object) = record.object else {
        return Confidence::No;
    };
    let auditd = inside(object, "auditd").is_some_and(|auditd| {
        ["data", "summary", "sequence", "message_type", "result", "session"]
            .iter()
            .any(|key| auditd.get(key).is_some())
    });
    if auditd {
        return Confidence::Certain;
    }
    let named = |path: &str| object.text_at(path).is_some_and(|name| name == "auditd");
    // Auditbeat has other modules, whose documents are ECS as they come.
    let auditbeat = object.text_at("agent.type") == Some("auditbeat")
        || object.text_at("@metadata.beat") == Some("auditbeat");
    if auditbeat || named("service.type") || named("event.module") {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some(document) = record.object else {
        return Err(Dropped::Malformed("it is no JSON object"));
    };
    let filled = document.is_filled();
    underscore_keys(document);
    move_values(filled, document);
    let auditd = inside(document, "auditd");
    for (list, text) in [("messages", "event.original"), ("warnings", "error.message")] {
        if let Some(lines) = auditd.and_then(|auditd| auditd.get(list)?.as_list())
            && !lines.is_empty()
        {
            let lines: Vec<&str> = lines.iter().filter_map(|line| line.as_text()).collect();
            if !lines.is_empty() {
                document.put_text(text, document.text(&lines.join("\n")));
            }
        }
    }
    if let Some(event) = inside(document, "event")
        && event.text_at_key("outcome") == Some("fail")
    {
        event.set("outcome", Value::Text("failure"));
    }
    numbers(auditd, document);
    if let Some(process) = inside(document, "process") {
        arguments(process);
    }
    if !filled {
        document.prune();
    }
    Ok(document)
}

/// The object under a key.
fn inside<'a>(map: &Map<'a>, key: &str) -> Option<&'a Map<'a>> {
    map.get(key)?.as_map()
}

/// Moves what is no ECS to its place. Objects that lose all they have go too, if nothing else was blank.
fn move_values<'a>(filled: bool, document: &'a Map<'a>) {
    let mut moved: SmallVec<[(&'static Mapping, &'static str, &'static str, Value<'a>); 16]> =
        SmallVec::new();
    for moves in MOVED.iter() {
        let object = inside(document, moves.outer);
        let object = match moves.inner {
            Some(inner) => object.and_then(|object| inside(object, inner)),
            None => object,
        };
        let Some(object) = object else {
            continue;
        };
        object.take_out(|key, value| {
            let row = moves.keys.iter().find(|(known, ..)| same_key(known, key));
            match row {
                Some((_, row, target, name)) if !value.is_blank() => {
                    moved.push((row, target, name, value));
                    true
                }
                _ => false,
            }
        });
    }
    // Many go to one object.
    let mut last: Option<(&'static str, &'a Map<'a>)> = None;
    for (row, target, name, value) in &moved {
        let known = last.filter(|(known, _)| known == target).map(|(_, map)| map);
        let map = known.or_else(|| document.child_at(target));
        last = map.map(|map| (*target, map));
        match map {
            Some(map) if map.get(name).is_none() => map.add(name, *value),
            // It stays where it was.
            _ => {
                document.put(row.from, *value);
            }
        }
    }
    if filled {
        for (row, ..) in &moved {
            remove_emptied(row.from, document);
        }
    }
}

/// Removes the objects on the way to `path` that are empty, from the inside out.
fn remove_emptied(path: &str, document: &Map<'_>) {
    let mut path = path;
    while let Some((parent, _)) = path.rsplit_once('.')
        && document.map_at(parent).is_some_and(Map::is_empty)
    {
        document.take(parent);
        path = parent;
    }
}

/// `ecs-version` and its like: keys use underscores, as deep as objects go.
fn underscore_keys<'a>(map: &'a Map<'a>) {
    map.rename_keys(|key| map.underscored(key, b'-'));
    for (_, value) in map.iter() {
        if let Value::Map(inner) = value {
            underscore_keys(inner);
        }
    }
}

/// Gives numbers that are text their type.
fn numbers<'a>(auditd: Option<&'a Map<'a>>, document: &'a Map<'a>) {
    let number = |value: Value<'a>| value.as_text().and_then(long).map(Value::Int);
    let data = auditd.and_then(|auditd| inside(auditd, "data"));
    if let Some(data) = data {
        data.retain(|key, value| {
            Some(if is_number(key) {
                number(value).unwrap_or(value)
            } else {
                value
            })
        });
    }
    let process = inside(document, "process");
    let objects: [(_, &[&'static str]); 5] = [
        (data.and_then(|data| inside(data, "socket")), &["port"]),
        (inside(document, "destination"), &["port"]),
        (inside(document, "source"), &["port"]),
        (process, &["pid", "exit_code"]),
        (process.and_then(|process| inside(process, "parent")), &["pid"]),
    ];
    for (object, keys) in objects {
        let Some(object) = object else {
            continue;
        };
        for key in keys {
            if let Some(number) = object.get(key).and_then(number) {
                object.set(key, number);
            }
        }
    }
}

/// A decimal or hexadecimal integer.
fn long(text: &str) -> Option<i64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// What rules ask of arguments beside the list itself.
fn arguments<'a>(process: &'a Map<'a>) {
    let Some(arguments) = process.get("args").and_then(Value::as_list) else {
        return;
    };
    process.put_new(
        "args_count",
        Value::Int(i64::try_from(arguments.len()).unwrap_or(i64::MAX)),
    );
    let words: Vec<&str> = arguments
        .iter()
        .filter_map(|argument| argument.as_text())
        .collect();
    let line = words.join(" ");
    if !line.is_empty() {
        process.put_new("command_line", Value::Text(process.text(&line)));
    }
}
