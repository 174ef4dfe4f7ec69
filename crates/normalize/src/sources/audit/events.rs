//! Events of the Linux audit log as Auditbeat ships them: what Elastic's and Sigma's rules for Linux are written for.
//!
//! A record is a text with all lines of one event; a line that comes alone is taken for what it is. Document:
//! <https://www.elastic.co/docs/reference/integrations/auditd_manager>. Beyond it: names of users where the daemon
//! interpreted them, the parent of a process as far as the same log showed it, and ids of processes.
//!
//! **`process.entity_id`** is a hash of the host and the process id, and so is `process.parent.entity_id`: the log does
//! not say when a process began, and what the same text gives must not depend on what was read before it. A process id
//! that is given out anew within the span of one sequence is taken for the same process.

use sha1::{Digest, Sha1};

use super::coalesce::{self, Event, Reading};
use super::kinds;
use super::line;
use super::lineage::{Lineage, Program};
use super::norms::Role;
use crate::convert;
use crate::join::{CONTEXT_END, Joining, Part};
use crate::mapping::{Mapping, keep};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, Source, SourceInfo, derived};
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "auditd",
    aliases: &["audit_log"],
    title: "Linux audit log: raw lines, those of one event joined, in the shape of Auditbeat",
    module: "auditd_manager",
    dataset: "auditd_manager.auditd",
    os: Some("linux"),
    mappings: &[PROCESS, IDS],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Events),
};

/// Records of one event share a stamp and a serial.
pub(in crate::sources) const JOINING: Joining = Joining {
    source: "auditd",
    marks: &["audit("],
    part,
    // The daemon writes what several processors report as it comes, so records of other events may stand between.
    patience: 64,
};

/// What a line is to those around it. What user space reports is whole; the kernel may report an event in parts.
fn part(text: &str) -> Part<'_> {
    let Some(start) = memchr::memmem::find(text.as_bytes(), b"audit(") else {
        return Part::Alone;
    };
    let Some(line) = line::parse(text) else {
        return Part::Alone;
    };
    let kernel = matches!(kinds::record_number(line.kind), None | Some(1006 | 1300..=1999));
    let stamp = text.get(start..).and_then(|rest| rest.split(')').next());
    match stamp {
        Some(stamp) if line.kind == "EOE" => Part::Last(stamp),
        Some(stamp) if kernel => Part::More(stamp),
        _ => Part::Alone,
    }
}

/// Fields of the records that become fields of the process.
const PROCESS: &[Mapping] = &[
    keep("pid", "process.pid"),
    keep("ppid", "process.parent.pid"),
    keep("proctitle", "process.title"),
    keep("comm", "process.name"),
    keep("exe", "process.executable"),
    keep("cwd", "process.working_directory"),
];

/// Users and groups of the process.
const IDS: &[Mapping] = &[
    keep("uid", "user.id"),
    keep("gid", "user.group.id"),
    keep("euid", "user.effective.id"),
    keep("egid", "user.effective.group.id"),
    keep("auid", "auditd.user.audit.id"),
    keep("suid", "auditd.user.saved.id"),
    keep("sgid", "auditd.user.saved.group.id"),
    keep("fsuid", "auditd.user.filesystem.id"),
    keep("fsgid", "auditd.user.filesystem.group.id"),
    keep("old-auid", "auditd.user.old_auid.id"),
    keep("old_auid", "auditd.user.old_auid.id"),
    keep("new-auid", "auditd.user.new_auid.id"),
    keep("new_auid", "auditd.user.new_auid.id"),
    keep("UID", "user.name"),
    keep("GID", "user.group.name"),
    keep("EUID", "user.effective.name"),
    keep("EGID", "user.effective.group.name"),
    keep("AUID", "auditd.user.audit.name"),
    keep("SUID", "auditd.user.saved.name"),
    keep("SGID", "auditd.user.saved.group.name"),
    keep("FSUID", "auditd.user.filesystem.name"),
    keep("FSGID", "auditd.user.filesystem.group.name"),
];

/// What code derives.
pub(super) const DERIVED: &[Derived] = &[
    derived("@timestamp", &[]),
    derived("auditd.data.*", &[]),
    derived("auditd.file.selinux.*", &["obj"]),
    derived("auditd.log.*", &["type", "a0", "a1"]),
    derived("auditd.message_type", &["type"]),
    derived("auditd.paths", &["name"]),
    derived("auditd.result", &["res", "success"]),
    derived("auditd.session", &["ses"]),
    derived("auditd.summary.*", &[]),
    derived("auditd.user.selinux.*", &["subj"]),
    derived("container.id", &["contid"]),
    derived("destination.ip", &["saddr"]),
    derived("destination.port", &["saddr"]),
    derived("destination.address", &["saddr"]),
    derived("event.action", &["type", "syscall"]),
    derived("event.category", &["type", "syscall"]),
    derived("event.id", &["id"]),
    derived("event.kind", &["type"]),
    derived("event.outcome", &["res", "success"]),
    derived("event.sequence", &[]),
    derived("event.type", &["type", "syscall"]),
    derived("file.*", &["name", "inode", "mode"]),
    derived("group.id", &["id"]),
    derived("group.name", &["acct"]),
    derived("host.name", &["node"]),
    derived("network.direction", &["syscall", "addr"]),
    derived("network.type", &["saddr"]),
    derived("process.args", &["a0", "a1"]),
    derived("process.args_count", &["argc"]),
    derived("process.command_line", &["a0", "a1", "proctitle"]),
    derived("process.entity_id", &["node", "pid"]),
    derived("process.parent.args", &["ppid"]),
    derived("process.parent.args_count", &["ppid"]),
    derived("process.parent.command_line", &["ppid"]),
    derived("process.parent.entity_id", &["node", "ppid"]),
    derived("process.parent.executable", &["ppid"]),
    derived("process.parent.name", &["ppid"]),
    derived("related.*", &[]),
    derived("service.type", &[]),
    derived("source.address", &["addr", "saddr"]),
    derived("source.ip", &["addr", "saddr"]),
    derived("source.port", &["saddr"]),
    derived("tags", &["key"]),
    derived("user.target.id", &["id"]),
    derived("user.target.name", &["acct"]),
];

fn detect(record: &Record<'_>) -> Confidence {
    if record.object.is_some() {
        return Confidence::No;
    }
    let first = record.text.lines().next().unwrap_or("");
    match line::parse(first) {
        Some(_) => Confidence::Certain,
        None => Confidence::No,
    }
}

/// The source. What a parent was is told by the lines in front of an event, if the log showed it; see
/// [`super::programs`].
fn normalize<'a>(record: &Record<'a>, out: &mut Vec<&'a Map<'a>>) -> Result<(), Dropped> {
    let mut lineage = Lineage::default();
    let text = match record.text.split_once(CONTEXT_END) {
        None => record.text,
        Some((context, text)) => {
            for lines in coalesce::groups(context) {
                let document = record.document();
                if let Some(event) = coalesce::event(&lines, Reading::Lenient, document) {
                    learn(&event, document, &mut lineage);
                }
            }
            text.trim_start_matches(['\r', '\n'])
        }
    };
    let groups = coalesce::groups(text);
    if groups.is_empty() {
        return Err(Dropped::Malformed("it has no record of the audit log"));
    }
    for (position, lines) in groups.iter().enumerate() {
        if lines.iter().all(|line| line.kind == "EOE") {
            continue;
        }
        let document = record.document();
        if let Some(event) = coalesce::event(lines, Reading::Lenient, document) {
            fill(&event, document, &mut lineage, position + 1 < groups.len());
            if text.len() < record.text.len() {
                document.put_new("event.original", Value::Text(text));
            }
            out.push(document);
        }
    }
    if out.is_empty() {
        return Err(Dropped::NoEvent("the end of an event, without its records"));
    }
    Ok(())
}

struct Events;

impl Source for Events {
    fn normalize<'a>(&mut self, record: &Record<'a>, out: &mut Vec<&'a Map<'a>>) -> Result<(), Dropped> {
        normalize(record, out)
    }
}

/// Room for what stands beneath the root of most documents.
const USUAL_ENTRIES: usize = 16;

/// Keeps what an event says of its process; the document is used up on the way.
fn learn<'a>(event: &Event<'a>, document: &'a Map<'a>, lineage: &mut Lineage) {
    if let Some(node) = event.node {
        document.put_new("host.name", Value::Text(node));
    }
    process(event, document, lineage, true);
}

/// Makes the document of an event; with `teaches`, later events ask what this one says of its process.
pub(super) fn fill<'a>(event: &Event<'a>, document: &'a Map<'a>, lineage: &mut Lineage, teaches: bool) {
    document.make_room(USUAL_ENTRIES);
    if let Some(node) = event.node {
        document.put_new("host.name", Value::Text(node));
    }
    if let Some(time) = super::stamp(event.millis, document) {
        document.put_text("@timestamp", time);
    }
    document.put_text("service.type", "auditd");
    name(event, document);
    summary(event, document);
    let data = process(event, document, lineage, teaches);
    people(event, document);
    file(event, document);
    ends(event, document);
    if !data.is_empty()
        && let Some(object) = super::object_at("auditd.data", document)
    {
        if object.is_empty() {
            object.make_room(data.len() + 1);
        }
        for (key, value) in data.iter() {
            match key.strip_prefix("socket_") {
                Some(key) => {
                    if let Some(socket) = object.child("socket") {
                        socket.set(underscored(key, document), Value::Text(value));
                    }
                }
                None => object.set(underscored(key, document), Value::Text(value)),
            }
        }
    }
    if let Some(id) = data.get("id") {
        document.put_text("event.id", id);
    }
    raw(event, document);
    if !event.paths.is_empty() {
        document.put("auditd.paths", super::paths(&event.paths, document));
    }
}

/// How many arguments are kept by their numbers.
const NUMBERED: [&str; 16] = [
    "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "a10", "a11", "a12", "a13", "a14", "a15",
];

/// What rules for raw records ask for: the types of all records, and the arguments of a program by their numbers, which
/// those of the system call have under `auditd.data`.
fn raw<'a>(event: &Event<'a>, document: &'a Map<'a>) {
    document.put_texts("auditd.log.record_type", &event.kinds);
    let Some(log) = document.map_at("auditd.log") else {
        return;
    };
    for (name, argument) in NUMBERED.iter().zip(event.arguments.iter().flatten()) {
        log.set(name, Value::Text(argument));
    }
}

/// Keys are written with underscores alone.
fn underscored<'a>(key: &'a str, at: &Map<'a>) -> &'a str {
    at.underscored(key, b'-').unwrap_or(key)
}

/// What happened.
fn name<'a>(event: &Event<'a>, document: &'a Map<'a>) {
    let alert = event.norm.is_some_and(|norm| norm.alert);
    document.put_text("event.kind", if alert { "alert" } else { "event" });
    document.put("event.sequence", super::number(event.serial));
    let action = event.norm.map_or("", |norm| norm.action);
    let kind = document.text(&event.kind.to_ascii_lowercase());
    // What has no name of its own goes by its system call, or by its record type.
    let call = event.data.get("syscall").filter(|_| event.kind == "SYSCALL");
    document.put_text(
        "event.action",
        if action.is_empty() {
            call.unwrap_or(kind)
        } else {
            action
        },
    );
    let (category, types) = super::classes(event);
    for (field, words) in [("event.category", category), ("event.type", types)] {
        let list = document.list(&distinct(&words));
        if !words.is_empty() {
            document.put(field, list);
        }
    }
    let outcome = match event.result {
        Some("success") => "success",
        Some("fail") => "failure",
        _ => "unknown",
    };
    document.put_text("event.outcome", outcome);
    document.put_text("auditd.message_type", kind);
    if let Some(result) = event.result {
        document.put_text("auditd.result", result);
    }
    if let Some(session) = event.session {
        document.put_text("auditd.session", session);
    }
    for tag in &event.tags {
        document.append_new("tags", Value::Text(tag));
    }
}

fn distinct<'a>(words: &[&'a str]) -> Vec<Value<'a>> {
    let mut out: Vec<Value<'a>> = Vec::new();
    for word in words {
        if !out.iter().any(|known| known.same(Value::Text(word))) {
            out.push(Value::Text(word));
        }
    }
    out
}

/// Who did what to what, in the words of the audit user space. Names stand for ids where they are known.
fn summary<'a>(event: &Event<'a>, document: &'a Map<'a>) {
    let named = |id: Option<&'a str>, name: &str| {
        let name = event.names.get(name);
        match (id, name) {
            (Some(id), Some(name)) if id.bytes().all(|byte| byte.is_ascii_digit()) => Some(name),
            (id, _) => id,
        }
    };
    let summary = &event.summary;
    for (field, value) in [
        ("auditd.summary.actor.primary", named(summary.actor, "AUID")),
        ("auditd.summary.actor.secondary", named(summary.actor_as, "UID")),
        ("auditd.summary.object.type", Some(summary.object)),
        ("auditd.summary.object.primary", summary.primary),
        ("auditd.summary.object.secondary", summary.secondary),
        ("auditd.summary.how", summary.how),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            document.put_text(field, value);
        }
    }
}

/// The process and its parent; gives the fields that are left.
fn process<'a>(
    event: &Event<'a>,
    document: &'a Map<'a>,
    lineage: &mut Lineage,
    teaches: bool,
) -> line::Fields<'a> {
    let mut data = event.data.clone();
    for row in PROCESS {
        let Some(value) = data.remove(row.from) else {
            continue;
        };
        match value.parse::<i64>() {
            Ok(number) if row.to.ends_with("pid") => document.put(row.to, Value::Int(number)),
            _ => document.put_text(row.to, value),
        };
    }
    let executable = document.text_at("process.executable");
    if let (Some(program), Some(name)) = (executable, document.text_at("process.name"))
        && let Some(whole) = whole_name(name, program)
    {
        document.put_text("process.name", whole);
    }
    let title = document.text_at("process.title");
    match &event.arguments {
        Some(arguments) => {
            document.put_texts("process.args", arguments);
            let count = i64::try_from(arguments.len()).unwrap_or(i64::MAX);
            document.put("process.args_count", Value::Int(count));
            document.put_text("process.command_line", document.text(&arguments.join(" ")));
        }
        None => {
            if let Some(title) = title {
                document.put_text("process.command_line", title);
            }
        }
    }
    if let Some(container) = data.get("contid") {
        document.put_new("container.id", Value::Text(container));
    }
    let host = ["host.id", "host.name", "agent.id"]
        .iter()
        .find_map(|path| document.text_at(path))
        .unwrap_or("");
    let pid = document.at("process.pid").and_then(Value::to_int);
    let parent = document.at("process.parent.pid").and_then(Value::to_int);
    if let Some(pid) = pid {
        document.put_text("process.entity_id", entity(host, pid, document));
    }
    if let Some(parent) = parent {
        document.put_text("process.parent.entity_id", entity(host, parent, document));
        if let Some(program) = lineage.get(host, parent) {
            program.put("process.parent", document);
        }
    }
    if let Some(pid) = pid.filter(|_| teaches) {
        remember(event, document, lineage, host, pid);
    }
    data
}

/// Keeps what later events of the process and of its children ask for.
fn remember<'a>(event: &Event<'a>, document: &'a Map<'a>, lineage: &mut Lineage, host: &str, pid: i64) {
    let call = event.data.get("syscall");
    if event.result == Some("fail") {
        return;
    }
    match call {
        Some("execve" | "execveat") => {
            lineage.set(host, pid, Program::of(document, event.arguments.as_deref()))
        }
        Some("fork" | "vfork" | "clone" | "clone3") => {
            let child = event.data.get("exit").and_then(|exit| exit.parse().ok());
            if let Some(child) = child {
                let known = lineage.get(host, pid).cloned();
                lineage.set(host, child, known.unwrap_or_else(|| Program::of(document, None)));
            }
        }
        Some("exit_group") => lineage.forget(host, pid),
        Some(_) => lineage.set_new(host, pid, || Program::of(document, None)),
        None => {}
    }
}

/// The kernel cuts names of programs at 15 bytes; the whole one where the path goes on.
fn whole_name<'a>(name: &str, executable: &'a str) -> Option<&'a str> {
    let last = executable.rsplit('/').next()?;
    (name.len() == 15 && last.len() > 15 && last.starts_with(name)).then_some(last)
}

/// The id of a process on a host.
fn entity<'a>(host: &str, pid: i64, at: &Map<'a>) -> &'a str {
    let digest = Sha1::new()
        .chain_update(host.as_bytes())
        .chain_update([0])
        .chain_update(pid.to_be_bytes())
        .finalize();
    let mut id = at.text_writer(20);
    for byte in digest.iter().take(10) {
        for half in [byte >> 4, byte & 15] {
            id.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
        }
    }
    id.into_bump_str()
}

/// Users and groups.
fn people<'a>(event: &Event<'a>, document: &'a Map<'a>) {
    for row in IDS {
        let value = event.ids.get(row.from).or_else(|| event.names.get(row.from));
        if let Some(value) = value.filter(|value| !matches!(*value, "unset" | "4294967295")) {
            document.put_text(row.to, value);
        }
    }
    super::put_fields("auditd.user.selinux", &event.selinux, document);
    let name_of = |role: Role, id: &str| {
        let (ids, names) = match role {
            Role::User => ("auid", "AUID"),
            Role::Effective => ("uid", "UID"),
            Role::Target | Role::Group => ("id", "ID"),
        };
        let known = event.ids.get(ids).or_else(|| event.data.get(ids));
        event.names.get(names).filter(|_| known == Some(id))
    };
    for (role, name) in &event.people {
        let (id_field, name_field) = match role {
            Role::User => ("user.id", "user.name"),
            Role::Effective => ("user.effective.id", "user.effective.name"),
            Role::Target => ("user.target.id", "user.target.name"),
            Role::Group => ("group.id", "group.name"),
        };
        document.take(id_field);
        document.take(name_field);
        if matches!(*name, "" | "unset" | "4294967295" | "-1") {
            continue;
        }
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            document.put_text(id_field, name);
            if let Some(name) = name_of(*role, name) {
                document.put_text(name_field, name);
            }
        } else {
            document.put_text(name_field, name);
        }
    }
    for field in [
        "user.name",
        "user.effective.name",
        "user.target.name",
        "auditd.user.audit.name",
    ] {
        if let Some(name) = document.text_at(field) {
            document.append_new("related.user", Value::Text(name));
        }
    }
}

/// The file that the event is about.
fn file<'a>(event: &Event<'a>, document: &'a Map<'a>) {
    let Some(path) = event.file.and_then(|position| event.paths.get(position)) else {
        return;
    };
    for (from, to) in [
        ("rdev", "file.device"),
        ("inode", "file.inode"),
        ("ouid", "file.uid"),
        ("ogid", "file.gid"),
        ("OUID", "file.owner"),
        ("OGID", "file.group"),
    ] {
        if let Some(value) = path.get(from) {
            document.put_text(to, value);
        }
    }
    if let Some(mode) = path
        .get("mode")
        .and_then(|mode| super::permissions(mode, document))
    {
        document.put_text("file.mode", mode);
    }
    for (key, value) in path.iter() {
        if let Some(label) = key.strip_prefix("obj_")
            && let Some(labels) = super::object_at("auditd.file.selinux", document)
        {
            labels.set(label, Value::Text(value));
        }
    }
    let Some(name) = path.get("name") else { return };
    // Names are as the program gave them: those that are not absolute begin at its directory.
    let directory = document.text_at("process.working_directory");
    let whole = match directory {
        Some(directory) if !name.starts_with('/') => {
            let name = name.strip_prefix("./").unwrap_or(name);
            document.text(&format!("{}/{name}", directory.trim_end_matches('/')))
        }
        _ => name,
    };
    document.put_text("file.path", whole);
    if let Some((directory, last)) = whole.rsplit_once('/')
        && !last.is_empty()
    {
        document.put_text("file.name", last);
        document.put_text(
            "file.directory",
            if directory.is_empty() { "/" } else { directory },
        );
        if let Some((stem, extension)) = last.rsplit_once('.')
            && !stem.is_empty()
            && !extension.is_empty()
        {
            document.put_text("file.extension", extension);
        }
    }
}

/// The ends of a connection.
fn ends<'a>(event: &Event<'a>, document: &'a Map<'a>) {
    for (prefix, end) in [("source", event.source), ("destination", event.destination)] {
        let Some(end) = end else { continue };
        let Some(target) = super::object_at(prefix, document) else {
            continue;
        };
        if let Some(ip) = end.ip {
            match convert::ip(Value::Text(ip)) {
                Some(ip) => {
                    target.set("ip", ip);
                    document.append_new("related.ip", ip);
                    let kind = if end.ip.is_some_and(|ip| ip.contains(':')) {
                        "ipv6"
                    } else {
                        "ipv4"
                    };
                    document.put_text("network.type", kind);
                }
                None => target.set("domain", Value::Text(ip)),
            }
        }
        if let Some(port) = end.port.and_then(|port| port.parse().ok()) {
            target.set("port", Value::Int(port));
        }
        if let Some(address) = end.path.or(end.ip) {
            target.set("address", Value::Text(address));
        }
    }
    if let Some(direction) = event.direction {
        document.put_text("network.direction", direction);
    }
}
