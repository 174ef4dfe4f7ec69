//! Events of the Linux audit log as Auditbeat ships them: what Elastic's and Sigma's rules for Linux are written for.
//!
//! A record is a text with all lines of one event; a line that comes alone is taken for what it is. Document:
//! <https://www.elastic.co/docs/reference/integrations/auditd_manager>. Beyond it: names of users where the daemon
//! interpreted them, the parent of a process as far as the same log showed it, and ids of processes.
//!
//! **`process.entity_id`** is a hash of the host and the process id, and so is `process.parent.entity_id`: the log does
//! not say when a process began, and what the same text gives must not depend on what was read before it. A process id
//! that is given out anew within the span of one sequence is taken for the same process.

use std::sync::LazyLock;

use sha1::{Digest, Sha1};
use smallvec::SmallVec;

use super::coalesce::{self, Event, Reading};
use super::line;
use super::lineage::{Lineage, Program};
use super::moves::{Moves, Objects};
use super::norms::Role;
use super::{Filling, kinds};
use crate::convert;
use crate::join::{CONTEXT_END, Joining, Part};
use crate::mapping::{Mapping, keep};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, Made, Source, SourceInfo, derived};
use crate::tree::{Map, Value, has_byte};

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

/// Both, ready to be applied.
static MOVES: LazyLock<Moves> = LazyLock::new(|| Moves::of(&[PROCESS, IDS]));

/// What a process or a user is said to be that is none.
fn is_unset(id: &str) -> bool {
    matches!(id, "unset" | "4294967295")
}

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
    match line::lines(record.text).next().and_then(line::parse) {
        Some(_) => Confidence::Certain,
        None => Confidence::No,
    }
}

/// The source. What a parent was is told by the lines in front of an event, if the log showed it; see
/// [`super::programs`].
fn normalize<'a>(record: &Record<'a>, out: &mut Made<'a>) -> Result<(), Dropped> {
    let mut lineage = Lineage::default();
    let end = memchr::memchr(CONTEXT_END as u8, record.text.as_bytes());
    let text = match end.and_then(|end| Some((record.text.get(..end)?, record.text.get(end + 1..)?))) {
        None => record.text,
        Some((context, text)) => {
            for lines in coalesce::groups(context, record.arena) {
                let Some(first) = lines.first() else { continue };
                let document = record.document();
                let mut event = Event::of(first, document);
                if coalesce::read(&mut event, &lines, Reading::Lenient, document).is_some() {
                    learn(&event, document, &mut lineage);
                }
            }
            text.trim_start_matches(['\r', '\n'])
        }
    };
    let groups = coalesce::groups(text, record.arena);
    if groups.is_empty() {
        return Err(Dropped::Malformed("it has no record of the audit log"));
    }
    for (position, lines) in groups.iter().enumerate() {
        if lines.iter().all(|line| line.kind == "EOE") {
            continue;
        }
        let Some(first) = lines.first() else { continue };
        let document = record.document();
        let mut event = Event::of(first, document);
        if coalesce::read(&mut event, lines, Reading::Lenient, document).is_some() {
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
    fn normalize<'a>(&mut self, record: &Record<'a>, out: &mut Made<'a>) -> Result<(), Dropped> {
        normalize(record, out)
    }
}

/// Room for what stands beneath the root of most documents.
const USUAL_ENTRIES: usize = 16;

/// Keeps what an event says of its process; the document is used up on the way.
fn learn<'a>(event: &Event<'a>, document: &'a Map<'a>, lineage: &mut Lineage) {
    moves(event, document);
    if let Some(node) = event.node {
        document.put_new("host.name", Value::Text(node));
    }
    process(event, document, lineage, true);
}

/// Makes the document of an event; with `teaches`, later events ask what this one says of its process.
pub(super) fn fill<'a>(event: &Event<'a>, document: &'a Map<'a>, lineage: &mut Lineage, teaches: bool) {
    document.make_room(USUAL_ENTRIES);
    let left = moves(event, document);
    if let Some(node) = event.node
        && let Some(host) = document.child_with_room("host", 2)
    {
        host.put_new("name", Value::Text(node));
    }
    if let Some(time) = super::stamp(event.millis, document) {
        document.set("@timestamp", Value::Text(time));
    }
    if let Some(service) = document.child_with_room("service", 1) {
        service.set("type", Value::Text("auditd"));
    }
    let auditd = Filling::of("auditd", 8, document);
    name(event, document, auditd);
    if let Some(auditd) = auditd {
        summary(event, auditd.map);
    }
    process(event, document, lineage, teaches);
    people(event, document);
    file(event, document);
    ends(event, document);
    if let Some(auditd) = auditd {
        raw(event, auditd.map);
        if !event.paths.is_empty() {
            auditd.set("paths", super::paths(&event.paths, document));
        }
        data(left, auditd.map);
    }
}

/// Puts the fields where the tables say, and gives the others. Those of the process are taken out of the data; those of
/// a socket are put into an object of their own there.
fn moves<'a>(event: &Event<'a>, document: &'a Map<'a>) -> &'a Map<'a> {
    let moves = &*MOVES;
    let mut objects = Objects::default();
    for fields in event.names.iter().chain([&event.ids]) {
        for (key, value) in fields.iter() {
            if let Some(number) = moves.number(key)
                && number >= PROCESS.len()
                && !is_unset(value)
            {
                moves.put(number, Value::Text(value), &mut objects, document);
            }
        }
    }
    let mut socket: Option<&'a Map<'a>> = None;
    let data = event.data.into_map_without(|key, value| {
        // The tables name the fields of the process first.
        if let Some(number) = moves.number(key).filter(|number| *number < PROCESS.len()) {
            let id = key.ends_with("pid").then(|| value.parse().ok()).flatten();
            let value = id.map_or(Value::Text(value), Value::Int);
            moves.put(number, value, &mut objects, document);
            return true;
        }
        if let Some(key) = key.strip_prefix("socket_") {
            let socket = socket.get_or_insert_with(|| document.with_room(4));
            socket.set(underscored(key, document), Value::Text(value));
            return true;
        }
        false
    });
    if let Some(socket) = socket {
        data.add("socket", Value::Map(socket));
    }
    data
}

/// What is left of the fields, as an object. It is that of the event, which is used up.
fn data<'a>(data: &'a Map<'a>, auditd: &'a Map<'a>) {
    if data.is_empty() {
        return;
    }
    let has_dashes = data.iter().any(|(key, _)| has_byte(key, b'-'));
    match auditd.get("data") {
        None | Some(Value::Null) if !has_dashes => auditd.set("data", Value::Map(data)),
        _ => {
            if let Some(known) = auditd.child("data") {
                for (key, value) in data.iter() {
                    known.set(underscored(key, data), value);
                }
            }
        }
    }
}

/// How many arguments are kept by their numbers.
const NUMBERED: [&str; 16] = [
    "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "a10", "a11", "a12", "a13", "a14", "a15",
];

/// What rules for raw records ask for: the types of all records, and the arguments of a program by their numbers, which
/// those of the system call have under `auditd.data`.
fn raw<'a>(event: &Event<'a>, auditd: &'a Map<'a>) {
    let arguments = event.arguments.as_deref().unwrap_or_default();
    let Some(log) = Filling::of("log", 1 + arguments.len().min(NUMBERED.len()), auditd) else {
        return;
    };
    let kinds: SmallVec<[Value<'a>; 8]> = event.kinds.iter().map(|kind| Value::Text(kind)).collect();
    log.set("record_type", auditd.list(&kinds));
    for (name, argument) in NUMBERED.iter().zip(arguments) {
        log.text(name, argument);
    }
}

/// Keys are written with underscores alone.
fn underscored<'a>(key: &'a str, at: &Map<'a>) -> &'a str {
    at.underscored(key, b'-').unwrap_or(key)
}

/// What happened.
fn name<'a>(event: &Event<'a>, document: &'a Map<'a>, auditd: Option<Filling<'a>>) {
    let kind = match event.kind {
        "SYSCALL" => "syscall",
        other => document.text(&other.to_ascii_lowercase()),
    };
    if let Some(out) = Filling::of("event", 12, document) {
        let alert = event.norm.is_some_and(|norm| norm.alert);
        out.text("kind", if alert { "alert" } else { "event" });
        out.set("sequence", super::number(event.serial));
        let action = event.norm.map_or("", |norm| norm.action);
        // What has no name of its own goes by its system call, or by its record type.
        let call = event.system_call.filter(|_| event.kind == "SYSCALL");
        out.text(
            "action",
            if action.is_empty() {
                call.unwrap_or(kind)
            } else {
                action
            },
        );
        let (category, types) = super::classes(event);
        for (field, words) in [("category", category), ("type", types)] {
            if !words.is_empty() {
                out.set(field, document.list(&distinct(words)));
            }
        }
        let outcome = match event.result {
            Some("success") => "success",
            Some("fail") => "failure",
            _ => "unknown",
        };
        out.text("outcome", outcome);
        if let Some(id) = event.data.get("id") {
            out.text("id", id);
        }
    }
    if let Some(auditd) = auditd {
        auditd.text("message_type", kind);
        if let Some(result) = event.result {
            auditd.text("result", result);
        }
        if let Some(session) = event.session {
            auditd.text("session", session);
        }
    }
    append_new(document, "tags", event.tags.iter().copied());
}

/// Adds texts to the list under a key, each once.
fn append_new<'a>(object: &'a Map<'a>, key: &'a str, texts: impl Iterator<Item = &'a str>) {
    append_distinct(object, key, &distinct(texts));
}

/// Adds values, which are distinct, to the list under a key, each once.
fn append_distinct<'a>(object: &'a Map<'a>, key: &'a str, values: &[Value<'a>]) {
    if values.is_empty() {
        return;
    }
    if object.get(key).is_none() {
        object.add(key, object.list(values));
    } else {
        values.iter().for_each(|value| object.append_new(key, *value));
    }
}

fn distinct<'a, 'w: 'a>(words: impl IntoIterator<Item = &'w str>) -> SmallVec<[Value<'a>; 4]> {
    let mut out: SmallVec<[Value<'a>; 4]> = SmallVec::new();
    for word in words {
        if !out.iter().any(|known| known.same(Value::Text(word))) {
            out.push(Value::Text(word));
        }
    }
    out
}

/// Who did what to what, in the words of the audit user space. Names stand for ids where they are known.
fn summary<'a>(event: &Event<'a>, auditd: &'a Map<'a>) {
    let named = |id: Option<&'a str>, name: &str| {
        let name = event.names.and_then(|names| names.get(name));
        match (id, name) {
            (Some(id), Some(name)) if id.bytes().all(|byte| byte.is_ascii_digit()) => Some(name),
            (id, _) => id,
        }
    };
    let filled = |value: Option<&'a str>| value.filter(|value| !value.is_empty());
    let said = &event.summary;
    let actor = [
        ("primary", filled(named(said.actor, "AUID"))),
        ("secondary", filled(named(said.actor_as, "UID"))),
    ];
    let object = [
        ("type", filled(Some(said.object))),
        ("primary", filled(said.primary)),
        ("secondary", filled(said.secondary)),
    ];
    let how = filled(said.how);
    let is_said = |parts: &[(&str, Option<&str>)]| parts.iter().any(|(_, value)| value.is_some());
    if !is_said(&actor) && !is_said(&object) && how.is_none() {
        return;
    }
    let Some(summary) = Filling::of("summary", 3, auditd) else {
        return;
    };
    for (key, parts) in [("actor", &actor[..]), ("object", &object[..])] {
        if is_said(parts)
            && let Some(inner) = Filling::of(key, parts.len(), summary.map)
        {
            for (key, value) in parts {
                if let Some(value) = value {
                    inner.text(key, value);
                }
            }
        }
    }
    if let Some(how) = how {
        summary.text("how", how);
    }
}

/// Completes the process and its parent.
fn process<'a>(event: &Event<'a>, document: &'a Map<'a>, lineage: &mut Lineage, teaches: bool) {
    if let Some(container) = event.data.get("contid") {
        document.put_new("container.id", Value::Text(container));
    }
    let is_said = document.get("process").is_some() || event.arguments.is_some();
    let Some(process) = is_said.then(|| document.child("process")).flatten() else {
        return;
    };
    let number = |object: &'a Map<'a>| object.get("pid")?.to_int();
    let pid = number(process);
    let parent = process.get("parent").and_then(Value::as_map);
    let parent = parent.and_then(|parent| Some((parent, number(parent)?)));
    let executable = process.text_at_key("executable");
    if let (Some(program), Some(name)) = (executable, process.text_at_key("name"))
        && let Some(whole) = whole_name(name, program)
    {
        process.set("name", Value::Text(whole));
    }
    match &event.arguments {
        Some(arguments) => {
            let list: SmallVec<[Value<'a>; 16]> =
                arguments.iter().map(|argument| Value::Text(argument)).collect();
            process.set("args", process.list(&list));
            let count = i64::try_from(arguments.len()).unwrap_or(i64::MAX);
            process.set("args_count", Value::Int(count));
            process.set("command_line", Value::Text(joined(arguments, process)));
        }
        None => {
            if let Some(title) = process.text_at_key("title") {
                process.set("command_line", Value::Text(title));
            }
        }
    }
    let text = |object: &str, key: &str| document.get(object)?.as_map()?.text_at_key(key);
    let host = text("host", "id")
        .or_else(|| text("host", "name"))
        .or_else(|| text("agent", "id"))
        .unwrap_or("");
    if let Some(pid) = pid {
        process.set("entity_id", Value::Text(entity(host, pid, document)));
    }
    if let Some((parent, pid)) = parent {
        parent.set("entity_id", Value::Text(entity(host, pid, document)));
        if let Some(program) = lineage.get(host, pid) {
            program.put(parent);
        }
    }
    if let Some(pid) = pid.filter(|_| teaches) {
        remember(event, document, lineage, host, pid);
    }
}

/// Words with blanks between them.
fn joined<'a>(words: &[&str], at: &Map<'a>) -> &'a str {
    let length = words.iter().map(|word| word.len() + 1).sum();
    let mut out = at.text_writer(length);
    for (position, word) in words.iter().enumerate() {
        if position > 0 {
            out.push(' ');
        }
        out.push_str(word);
    }
    out.into_bump_str()
}

/// Keeps what later events of the process and of its children ask for.
fn remember<'a>(event: &Event<'a>, document: &'a Map<'a>, lineage: &mut Lineage, host: &str, pid: i64) {
    let call = event.system_call;
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

/// The id of a process on a host: the first bytes of the SHA-1 of both.
fn entity<'a>(host: &str, pid: i64, at: &Map<'a>) -> &'a str {
    let digest = digest(host.as_bytes(), pid);
    let id = at.places(20, 0);
    for (digits, byte) in id.as_chunks_mut().0.iter_mut().zip(digest) {
        *digits = HEXADECIMAL.get(usize::from(byte)).copied().unwrap_or_default();
    }
    let id: &'a [u8] = id;
    std::str::from_utf8(id).unwrap_or_default()
}

/// Each byte in hexadecimal.
const HEXADECIMAL: [[u8; 2]; 256] = {
    let mut all = [[0; 2]; 256];
    let mut byte = 0;
    while byte < all.len() {
        #[expect(clippy::indexing_slicing, reason = "it is computed by the compiler")]
        {
            let digits = b"0123456789abcdef";
            all[byte] = [digits[byte >> 4], digits[byte & 15]];
        }
        byte += 1;
    }
    all
};

/// The SHA-1 of a host, a zero and a process id. Nearly all fit one block, and the padding is most of the work then.
/// <https://www.rfc-editor.org/rfc/rfc3174#section-4>
fn digest(host: &[u8], pid: i64) -> [u8; 20] {
    let mut block = [0; 64];
    let bytes = host.len() + 9;
    if bytes + 9 > block.len() {
        return Sha1::digest([host, &[0], &pid.to_be_bytes()].concat()).into();
    }
    if let Some((text, rest)) = block.split_at_mut_checked(host.len())
        && let Some((number, rest)) = rest.get_mut(1..).and_then(<[u8]>::split_first_chunk_mut)
        && let Some(end) = rest.first_mut()
    {
        text.copy_from_slice(host);
        *number = pid.to_be_bytes();
        *end = 0x80;
    }
    if let Some((_, length)) = block.split_last_chunk_mut() {
        *length = (8 * bytes as u64).to_be_bytes();
    }
    let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    sha1::block_api::compress(&mut state, &[block]);
    let mut out = [0; 20];
    for (to, word) in out.chunks_exact_mut(4).zip(state) {
        to.copy_from_slice(&word.to_be_bytes());
    }
    out
}

/// Users and groups.
fn people<'a>(event: &Event<'a>, document: &'a Map<'a>) {
    super::put_fields("auditd.user.selinux", &event.selinux, document);
    if !event.people.is_empty() {
        roles(event, document);
    }
    let map = |object: &'a Map<'a>, key: &str| object.get(key).and_then(Value::as_map);
    let name = |object: Option<&'a Map<'a>>| object?.text_at_key("name");
    let user = map(document, "user");
    let within = |key: &str| user.and_then(|user| map(user, key));
    let audit = map(document, "auditd")
        .and_then(|auditd| map(auditd, "user"))
        .and_then(|user| map(user, "audit"));
    let names = [
        name(user),
        name(within("effective")),
        name(within("target")),
        name(audit),
    ];
    let names = distinct(names.into_iter().flatten());
    if !names.is_empty()
        && let Some(related) = Filling::of("related", 2, document)
    {
        append_distinct(related.map, "user", &names);
    }
}

/// Those who the kind of event says something of.
fn roles<'a>(event: &Event<'a>, document: &'a Map<'a>) {
    let name_of = |role: Role, id: &str| {
        let (ids, names) = match role {
            Role::User => ("auid", "AUID"),
            Role::Effective => ("uid", "UID"),
            Role::Target | Role::Group => ("id", "ID"),
        };
        let known = event.ids.get(ids).or_else(|| event.data.get(ids));
        let name = event.names.and_then(|all| all.get(names));
        name.filter(|_| known == Some(id))
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
        if is_unset(name) || matches!(*name, "" | "-1") {
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
}

/// The file that the event is about.
fn file<'a>(event: &Event<'a>, document: &'a Map<'a>) {
    let Some(path) = event.file.and_then(|position| event.paths.get(position)) else {
        return;
    };
    let mode = path
        .get("mode")
        .and_then(|mode| super::permissions(mode, document));
    let fields = [
        ("device", path.get("rdev")),
        ("inode", path.get("inode")),
        ("uid", path.get("ouid")),
        ("gid", path.get("ogid")),
        ("owner", path.get("OUID")),
        ("group", path.get("OGID")),
    ];
    let name = path.get("name");
    for (key, value) in path.iter() {
        if let Some(label) = key.strip_prefix("obj_")
            && let Some(labels) = super::object_at("auditd.file.selinux", document)
        {
            labels.set(label, Value::Text(value));
        }
    }
    if name.is_none() && mode.is_none() && fields.iter().all(|(_, value)| value.is_none()) {
        return;
    }
    let Some(file) = Filling::of("file", 12, document) else {
        return;
    };
    for (key, value) in fields.into_iter().chain([("mode", mode)]) {
        if let Some(value) = value {
            file.text(key, value);
        }
    }
    let Some(name) = name else { return };
    // Names are as the program gave them: those that are not absolute begin at its directory.
    let directory = document.text_at("process.working_directory");
    let whole = match directory {
        Some(directory) if !name.starts_with('/') => {
            let name = name.strip_prefix("./").unwrap_or(name);
            document.text(&format!("{}/{name}", directory.trim_end_matches('/')))
        }
        _ => name,
    };
    file.text("path", whole);
    if let Some((directory, last)) = whole.rsplit_once('/')
        && !last.is_empty()
    {
        file.text("name", last);
        file.text("directory", if directory.is_empty() { "/" } else { directory });
        if let Some((stem, extension)) = last.rsplit_once('.')
            && !stem.is_empty()
            && !extension.is_empty()
        {
            file.text("extension", extension);
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

#[cfg(test)]
mod tests {
    use sha1::{Digest as _, Sha1};

    use super::{MOVES, digest};

    #[test]
    fn the_tables_fit() {
        assert!(MOVES.fits());
    }

    #[test]
    fn processes_are_numbered_by_their_digest() {
        for length in [0, 1, 7, 45, 46, 47, 54, 55, 56, 200] {
            let host = "h".repeat(length);
            for pid in [0_i64, 1, -1, 4_194_304, i64::MAX] {
                let text = [host.as_bytes(), &[0], &pid.to_be_bytes()].concat();
                let expected: [u8; 20] = Sha1::digest(text).into();
                assert_eq!(digest(host.as_bytes(), pid), expected, "{length} {pid}");
            }
        }
    }
}
