//! Audit events as go-libaudit gives them: the records of one event, joined and named, before they become ECS.
//!
//! Record: <https://github.com/elastic/go-libaudit>. A text holds all records of one event, one a line.

use super::coalesce::{self, Address, Event, Reading};
use super::line::{self, Line};
use super::norms::Role;
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "auditd_libaudit",
    aliases: &[],
    title: "Linux audit log, the lines of one event in one record, in the form of go-libaudit; not recognised, only asked for",
    module: "auditd",
    dataset: "auditd.libaudit",
    os: Some("linux"),
    mappings: &[],
    derived: &[DERIVED],
    detect: |_| Confidence::No,
    start: || Box::new(Stateless(normalize)),
};

const DERIVED: &[Derived] = &[
    derived("@timestamp", &[]),
    derived("category", &[]),
    derived("data.*", &[]),
    derived("ecs.*", &[]),
    derived("file.*", &[]),
    derived("network.direction", &[]),
    derived("paths", &[]),
    derived("process.*", &[]),
    derived("record_type", &[]),
    derived("result", &[]),
    derived("sequence", &[]),
    derived("session", &[]),
    derived("source.*", &[]),
    derived("destination.*", &[]),
    derived("summary.*", &[]),
    derived("tags", &[]),
    derived("user.*", &[]),
];

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let document = record.document();
    let lines: Vec<Line<'a>> = record.text.lines().filter_map(line::parse).collect();
    let none =
        Dropped::Malformed("it has no record of the audit log, or several without that of a system call");
    let mut event = Event::of(lines.first().ok_or(none)?, document);
    coalesce::read(&mut event, &lines, Reading::Exact, document).ok_or(none)?;
    let text = |path: &'a str, value: Option<&'a str>| {
        if let Some(value) = value {
            document.put_text(path, value);
        }
    };
    let stamp = super::stamp(event.millis, document);
    text("@timestamp", stamp.map(|stamp| short_stamp(stamp, document)));
    document.put("sequence", super::number(event.serial));
    text("category", Some(event.category));
    text(
        "record_type",
        Some(document.text(&event.kind.to_ascii_lowercase())),
    );
    text("result", event.result);
    text("session", event.session);
    if !event.tags.is_empty() {
        document.put_texts("tags", event.tags);
    }
    text("summary.actor.primary", event.summary.actor);
    text("summary.actor.secondary", event.summary.actor_as);
    let norm = event.norm;
    text(
        "summary.action",
        norm.map(|norm| norm.action).filter(|action| !action.is_empty()),
    );
    text(
        "summary.object.type",
        Some(event.summary.object).filter(|object| !object.is_empty()),
    );
    text("summary.object.primary", event.summary.primary);
    text("summary.object.secondary", event.summary.secondary);
    text("summary.how", event.summary.how);
    super::put_fields("user.ids", &event.ids, document);
    super::put_fields("user.selinux", &event.selinux, document);
    if let Some(file) = event.file.and_then(|position| event.paths.get(position)) {
        for (from, to) in [
            ("name", "file.path"),
            ("rdev", "file.device"),
            ("inode", "file.inode"),
            ("ouid", "file.uid"),
            ("ogid", "file.gid"),
        ] {
            text(to, file.get(from));
        }
        text(
            "file.mode",
            file.get("mode")
                .and_then(|mode| super::permissions(mode, document)),
        );
        for (key, value) in file.iter() {
            if let Some(label) = key.strip_prefix("obj_")
                && let Some(labels) = super::object_at("file.selinux", document)
            {
                labels.set(label, Value::Text(value));
            }
        }
    }
    end("source", event.source, document);
    end("destination", event.destination, document);
    text("network.direction", event.direction);
    if let Some(arguments) = &event.arguments {
        document.put_texts("process.args", arguments);
    }
    for (from, to) in [
        ("pid", "process.pid"),
        ("ppid", "process.ppid"),
        ("proctitle", "process.title"),
        ("comm", "process.name"),
        ("exe", "process.exe"),
        ("cwd", "process.cwd"),
    ] {
        text(to, event.data.remove(from));
    }
    super::put_fields("data", &event.data, document);
    if !event.paths.is_empty() {
        document.put("paths", super::paths(&event.paths, document));
    }
    words(&event, document);
    Ok(document)
}

/// One end of a connection.
fn end<'a>(prefix: &'a str, address: Option<Address<'a>>, document: &'a Map<'a>) {
    let Some(address) = address else { return };
    let Some(target) = super::object_at(prefix, document) else {
        return;
    };
    for (key, value) in [("ip", address.ip), ("port", address.port), ("path", address.path)] {
        if let Some(value) = value {
            target.set(key, Value::Text(value));
        }
    }
}

/// The part that is ECS already.
fn words<'a>(event: &Event<'a>, document: &'a Map<'a>) {
    let (category, types) = super::classes(event);
    if !category.is_empty() {
        document.put_texts("ecs.event.category", &category);
    }
    if !types.is_empty() {
        document.put_texts("ecs.event.type", &types);
    }
    if event.norm.is_some_and(|norm| norm.alert) {
        document.put_text("ecs.event.kind", "alert");
    }
    let two = event
        .call
        .zip(event.norm)
        .is_some_and(|(call, norm)| !std::ptr::eq(call, norm));
    if two && event.result == Some("fail") {
        document.put_text("ecs.event.outcome", "failure");
    }
    for (role, name) in &event.people {
        let path = match role {
            Role::User => "ecs.user",
            Role::Effective => "ecs.user.effective",
            Role::Target => "ecs.user.target",
            Role::Group => "ecs.group",
        };
        let Some(target) = super::object_at(path, document) else {
            continue;
        };
        let unset = matches!(*name, "" | "unset" | "4294967295" | "-1");
        if unset {
            target.remove("name");
            target.set("id", Value::Text("unset"));
        } else if name.bytes().all(|byte| byte.is_ascii_digit()) {
            target.set("id", Value::Text(name));
        } else {
            target.set("name", Value::Text(name));
        }
    }
}

/// A time without the zeros at the end of its decimals, as Go writes it.
fn short_stamp<'a>(stamp: &'a str, document: &'a Map<'a>) -> &'a str {
    match stamp.strip_suffix('Z') {
        Some(rest) if rest.ends_with('0') => {
            let short = rest.trim_end_matches('0').trim_end_matches('.');
            document.text(&[short, "Z"].concat())
        }
        _ => stamp,
    }
}
