//! The records of one event as one event: what Auditbeat and go-libaudit make of them before it becomes ECS.
//!
//! <https://github.com/elastic/go-libaudit>

use ahash::AHashMap;

use super::kinds;
use super::line::{self, Fields, Letters, Line, Raw};
use super::norms::{self, Norm, Role, Whose};
use crate::tree::Map;

/// How many arguments of a program are kept.
const MOST_ARGUMENTS: usize = 100_000;

/// How many types of records of one event are kept.
const MOST_KINDS: usize = 64;

/// How many file names of one event are kept.
const MOST_PATHS: usize = 1024;

/// How the records are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// As go-libaudit reads them, to the letter.
    Exact,
    /// What the audit daemon interprets for the reader (behind a group separator) is taken for what it is, arguments in
    /// pieces are put together, and parts that are missing are done without.
    Lenient,
}

/// One event of the audit log.
#[derive(Clone, Debug, Default)]
pub(super) struct Event<'a> {
    pub(super) node: Option<&'a str>,
    pub(super) millis: i64,
    pub(super) serial: u64,
    pub(super) kind: &'a str,
    /// The types of all its records, each once.
    pub(super) kinds: Vec<&'a str>,
    pub(super) category: &'static str,
    pub(super) result: Option<&'static str>,
    pub(super) session: Option<&'a str>,
    pub(super) tags: Vec<&'a str>,
    pub(super) summary: Summary<'a>,
    /// `auid`, `uid`, `euid` … of the process.
    pub(super) ids: Fields<'a>,
    /// Names of these, as the daemon interpreted them (`AUID`, `UID` …).
    pub(super) names: Fields<'a>,
    pub(super) selinux: Fields<'a>,
    /// Everything else of the records.
    pub(super) data: Fields<'a>,
    pub(super) arguments: Option<Vec<&'a str>>,
    pub(super) paths: Vec<Fields<'a>>,
    /// Which of the paths the event is about.
    pub(super) file: Option<usize>,
    pub(super) source: Option<Address<'a>>,
    pub(super) destination: Option<Address<'a>>,
    pub(super) direction: Option<&'static str>,
    pub(super) norm: Option<&'static Norm>,
    pub(super) call: Option<&'static Norm>,
    pub(super) people: Vec<(Role, &'a str)>,
}

/// Who did what to what.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Summary<'a> {
    pub(super) actor: Option<&'a str>,
    pub(super) actor_as: Option<&'a str>,
    pub(super) object: &'a str,
    pub(super) primary: Option<&'a str>,
    pub(super) secondary: Option<&'a str>,
    pub(super) how: Option<&'a str>,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Address<'a> {
    pub(super) ip: Option<&'a str>,
    pub(super) port: Option<&'a str>,
    pub(super) path: Option<&'a str>,
}

/// A record with its fields decoded.
#[derive(Debug, Default)]
pub(super) struct Record<'a> {
    pub(super) fields: Fields<'a>,
    /// What the daemon interpreted, by keys in capitals.
    pub(super) names: Fields<'a>,
    pub(super) tags: Vec<&'a str>,
    /// Number, piece and text of the arguments of a program.
    pub(super) arguments: Vec<(usize, Option<usize>, &'a str)>,
}

/// The audit records of a text, those of one host and stamp together. Lines that are none are passed over.
pub(super) fn groups(text: &str) -> Vec<Vec<Line<'_>>> {
    let mut groups: Vec<Vec<Line<'_>>> = Vec::new();
    let mut places: AHashMap<(Option<&str>, i64, u64), usize> = AHashMap::new();
    for line in text.lines().filter_map(line::parse) {
        let stamp = |line: &Line<'_>| (line.millis, line.serial);
        if let Some(group) = groups.last_mut()
            && let Some(last) = group.last()
            && stamp(last) == stamp(&line)
            && last.node == line.node
        {
            group.push(line);
            continue;
        }
        let place = *places
            .entry((line.node, line.millis, line.serial))
            .or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(line),
            None => {
                let mut group = Vec::with_capacity(8);
                group.push(line);
                groups.push(group);
            }
        }
    }
    groups
}

/// Makes one event of its records.
pub(super) fn event<'a>(lines: &[Line<'a>], reading: Reading, at: &Map<'a>) -> Option<Event<'a>> {
    let first = lines.first()?;
    let stamp = Event {
        node: first.node,
        millis: first.millis,
        serial: first.serial,
        ..Event::default()
    };
    let records = lines.iter().map(|line| (line.kind, decode(line, reading, at)));
    assemble(stamp, records.collect(), reading, at)
}

/// Makes one event of records that are decoded already; `event` has its stamp.
pub(super) fn assemble<'a>(
    mut event: Event<'a>,
    mut records: Vec<(&'a str, Record<'a>)>,
    reading: Reading,
    at: &Map<'a>,
) -> Option<Event<'a>> {
    records.retain(|(kind, _)| *kind != "EOE");
    let call = records.iter().position(|(kind, _)| *kind == "SYSCALL");
    if reading == Reading::Exact && records.len() > 1 && call.is_none() {
        return None;
    }
    let alone = records.len() == 1;
    let base = call.unwrap_or(0);
    event.kind = records.first()?.0;
    event.category = kinds::record_number(event.kind).map_or("unknown", kinds::category);
    begin(&mut event, &records.get(base)?.1);
    for (position, (kind, record)) in records.into_iter().enumerate() {
        if event.kinds.len() < MOST_KINDS && !event.kinds.contains(&kind) {
            event.kinds.push(kind);
        }
        match kind {
            "SYSCALL" if alone => {}
            "SYSCALL" => {
                event.data.remove("items");
            }
            _ if alone && reading == Reading::Exact => {}
            "PATH" => path(record, &mut event),
            "SOCKADDR" => address(&record.fields, &mut event, at),
            "EXECVE" => arguments(record, &mut event, reading, at),
            _ if position == base => {}
            _ => add(record, &mut event, reading),
        }
    }
    finish(&mut event);
    Some(event)
}

/// The event as the record of the system call says or, where there is none, the only one.
fn begin<'a>(event: &mut Event<'a>, record: &Record<'a>) {
    let fields = &record.fields;
    event.result = Some(match fields.get("result") {
        Some("success") => "success",
        Some(_) => "fail",
        None => "unknown",
    });
    event.session = fields.get("ses");
    event.summary.actor = fields.get("auid");
    event.summary.actor_as = fields.get("uid");
    event.tags.clone_from(&record.tags);
    event.names.clone_from(&record.names);
    for (key, value) in fields.iter() {
        if matches!(key, "result" | "ses") {
            continue;
        }
        if key.ends_with("uid") || key.ends_with("gid") {
            event.ids.add(key, value);
        } else if let Some(label) = key.strip_prefix("subj_") {
            event.selinux.add(label, value);
        } else {
            event.data.add(key, value);
        }
    }
}

/// Adds what a record says that has no place of its own.
fn add<'a>(record: Record<'a>, event: &mut Event<'a>, reading: Reading) {
    if reading == Reading::Lenient {
        event.tags.extend(record.tags);
    }
    for (key, value) in record.fields.iter() {
        if key != "result" || reading == Reading::Exact {
            event.data.set_new(key, value);
        }
    }
}

fn path<'a>(record: Record<'a>, event: &mut Event<'a>) {
    if event.paths.len() >= MOST_PATHS {
        return;
    }
    let mut path = record.fields;
    for key in ["OUID", "OGID"] {
        if let Some(name) = record.names.get(key) {
            path.set(key, name);
        }
    }
    event.paths.push(path);
}

fn arguments<'a>(mut record: Record<'a>, event: &mut Event<'a>, reading: Reading, at: &Map<'a>) {
    let count = record.fields.get("argc");
    if let Some(count) = count {
        event.data.set("argc", count);
    }
    if reading == Reading::Exact {
        let whole = count
            .and_then(|count| count.parse().ok())
            .is_some_and(|count: usize| {
                record.arguments.len() == count
                    && record
                        .arguments
                        .iter()
                        .enumerate()
                        .all(|(at, (number, _, _))| at == *number)
            });
        if whole {
            event.arguments = Some(record.arguments.iter().map(|(_, _, text)| *text).collect());
        }
        return;
    }
    // Long lists come in several records, long arguments in several pieces.
    record
        .arguments
        .sort_by_key(|(number, piece, _)| (*number, *piece));
    let list = event.arguments.get_or_insert_with(Vec::new);
    let mut last = None;
    for (number, piece, text) in record.arguments {
        match (piece, list.last_mut()) {
            (Some(_), Some(whole)) if last == Some(number) => *whole = at.text(&[*whole, text].concat()),
            _ => list.push(text),
        }
        last = Some(number);
    }
}

fn address<'a>(socket: &Fields<'a>, event: &mut Event<'a>, at: &Map<'a>) {
    let Some(call) = event.data.get("syscall") else {
        return;
    };
    for (key, value) in socket.iter() {
        event.data.set(at.text(&["socket_", key].concat()), value);
    }
    let end = Address {
        ip: socket.get("addr"),
        port: socket.get("port"),
        path: socket.get("path"),
    };
    let end = (end.ip.is_some() || end.port.is_some() || end.path.is_some()).then_some(end);
    match call {
        "recvfrom" | "recvmsg" | "accept" | "accept4" => {
            event.source = end;
            event.direction = Some("ingress");
        }
        "connect" | "sendto" | "sendmsg" => {
            event.destination = end;
            event.direction = Some("egress");
        }
        _ => {}
    }
}

/// The fields of a record, decoded as its type asks.
fn decode<'a>(line: &Line<'a>, reading: Reading, at: &Map<'a>) -> Record<'a> {
    let mut record = Record::default();
    let mut body = line.body;
    if reading == Reading::Lenient
        && let Some((raw, interpreted)) = body.split_once('\u{1d}')
    {
        body = raw;
        for field in line::fields(interpreted, Letters::All) {
            if let Some(value) = field.said() {
                record.names.set(field.key, value);
            }
        }
    }
    let rewritten = rewrite(line.kind, body);
    let body = match &rewritten {
        Some(text) => at.text(text),
        None => body,
    };
    let letters = match reading {
        Reading::Exact => Letters::Small,
        Reading::Lenient if line.kind == "EXECVE" => Letters::All,
        Reading::Lenient => Letters::Small,
    };
    let mut raw = RawFields::default();
    collect(body, letters, line.kind == "EXECVE", &mut raw, true);
    for (number, piece, value) in raw.arguments {
        let text = match line::unhex(value) {
            Some(text) => at.text(text.split('\0').next().unwrap_or("")),
            None => line::bare(value),
        };
        record.arguments.push((number, piece, text));
    }
    record.fields = raw.said;
    enrich(line.kind, &raw.quoted, reading, &mut record, at);
    record
}

/// Fields whose values may be hexadecimal, which they are not where they have quotes.
const MAY_BE_HEX: [&str; 9] = [
    "key",
    "cwd",
    "exe",
    "comm",
    "proctitle",
    "cmd",
    "data",
    "name",
    "acct",
];

#[derive(Default)]
struct RawFields<'a> {
    /// Values without their quotes.
    said: Fields<'a>,
    /// Values with their quotes, for those that may be hexadecimal.
    quoted: Fields<'a>,
    arguments: Vec<(usize, Option<usize>, &'a str)>,
}

/// The fields of a text, and those inside of its `msg='…'`.
fn collect<'a>(text: &'a str, letters: Letters, has_arguments: bool, out: &mut RawFields<'a>, nested: bool) {
    for Raw { key, value } in line::fields(text, letters) {
        let Some(said) = (Raw { key, value }).said() else {
            // An empty argument is one.
            if has_arguments
                && value == "\"\""
                && let Some((number, piece)) = line::argument(key)
            {
                out.arguments.push((number, piece, value));
            }
            continue;
        };
        if key == "msg" && nested {
            collect(said, letters, false, out, false);
            continue;
        }
        if has_arguments && let Some((number, piece)) = line::argument(key) {
            if out.arguments.len() < MOST_ARGUMENTS {
                out.arguments.push((number, piece, value));
            }
            continue;
        }
        out.said.set(key, said);
        if MAY_BE_HEX.contains(&key) {
            out.quoted.set(key, value);
        }
    }
}

/// The text of records that are no fields by themselves.
fn rewrite(kind: &str, body: &str) -> Option<String> {
    match kind {
        "AVC" => {
            let (_, rest) = body.split_once("avc:")?;
            let (result, rest) = rest.trim_start().split_once(char::is_whitespace)?;
            let (permissions, rest) = rest.trim_start().strip_prefix('{')?.split_once('}')?;
            let rest = rest.trim_start().strip_prefix("for")?;
            let permissions: Vec<&str> = permissions.split_ascii_whitespace().collect();
            Some(format!(
                "seresult={result} seperms={} {rest}",
                permissions.join(",")
            ))
        }
        "LOGIN" => Some(body.replacen("old ", "old_", 2).replacen("new ", "new_", 2)),
        "CRED_DISP" | "USER_START" | "USER_END" => {
            let body = body.replacen(" (hostname=", " hostname=", 2);
            Some(body.trim_end_matches([')', '\'']).to_owned())
        }
        _ => None,
    }
}

/// Gives the fields of a record their meaning; `quoted` has those whose values may be hexadecimal, as they stood.
pub(super) fn enrich<'a>(
    kind: &str,
    quoted: &Fields<'a>,
    reading: Reading,
    record: &mut Record<'a>,
    at: &Map<'a>,
) {
    let fields = &mut record.fields;
    for key in ["auid", "old-auid", "ses"] {
        if matches!(fields.get(key), Some("4294967295" | "-1")) {
            fields.set(key, "unset");
        }
    }
    selinux("subj", fields, at);
    if let Some(result) = fields.remove("success").or_else(|| fields.remove("res")) {
        let lower = result.to_ascii_lowercase();
        let good = lower == "yes" || lower == "1" || lower.starts_with("suc");
        fields.set("result", if good { "success" } else { "fail" });
    }
    if let Some(name) = fields
        .get("exit")
        .and_then(|exit| exit.strip_prefix('-')?.parse().ok())
        .and_then(kinds::error)
    {
        fields.set("exit", name);
    }
    if let Some(key) = fields.remove("key") {
        record.tags = match quoted.get("key").and_then(line::unhex) {
            Some(keys) => keys.split('\u{1}').map(|key| at.text(key)).collect(),
            None => vec![key.split_once('=').map_or(key, |(_, key)| key)],
        };
    }
    let unhex = |key: &'a str, fields: &mut Fields<'a>| {
        if let Some(text) = quoted.get(key).and_then(line::unhex) {
            fields.set(key, at.text(&text.replace('\0', " ")));
        }
    };
    unhex("cwd", fields);
    match kind {
        "SYSCALL" | "SECCOMP" => {
            if kind == "SECCOMP"
                && let Some(name) = fields.get("sig").and_then(|sig| kinds::signal(sig.parse().ok()?))
            {
                fields.set("sig", name);
            }
            if let Some(architecture) = fields.get("arch").and_then(kinds::architecture) {
                fields.set("arch", architecture);
                if let Some(name) = fields
                    .get("syscall")
                    .and_then(|call| kinds::system_call(architecture, call.parse().ok()?))
                {
                    fields.set("syscall", name);
                }
            }
            unhex("exe", fields);
            if reading == Reading::Lenient {
                unhex("comm", fields);
            }
        }
        "SOCKADDR" => socket(fields, at),
        "PROCTITLE" => unhex("proctitle", fields),
        "USER_CMD" => unhex("cmd", fields),
        "TTY" | "USER_TTY" => unhex("data", fields),
        "PATH" => {
            selinux("obj", fields, at);
            unhex("name", fields);
        }
        "USER_LOGIN" => unhex("acct", fields),
        _ => {}
    }
}

/// A security context as its parts.
fn selinux<'a>(key: &'a str, fields: &mut Fields<'a>, at: &Map<'a>) {
    let Some(context) = fields.remove(key) else { return };
    let parts = ["_user", "_role", "_domain", "_level", "_category"];
    for (name, part) in parts.iter().zip(context.splitn(parts.len(), ':')) {
        fields.set(at.text(&[key, name].concat()), part);
    }
}

/// A socket address in hexadecimal as its parts. <https://man7.org/linux/man-pages/man3/sockaddr.3type.html>
fn socket<'a>(fields: &mut Fields<'a>, at: &Map<'a>) {
    let Some(text) = fields.get("saddr") else { return };
    let byte = |position: usize| u8::from_str_radix(text.get(2 * position..2 * position + 2)?, 16).ok();
    let pair = |position: usize| Some(u16::from_be_bytes([byte(position)?, byte(position + 1)?]));
    let (Some(low), Some(high)) = (byte(0), byte(1)) else {
        return;
    };
    let port = pair(2);
    let (family, address) = match u16::from_le_bytes([low, high]) {
        1 => {
            let path = text.get(4..).and_then(line::unhex).unwrap_or_default();
            fields.remove("saddr");
            fields.set("family", "unix");
            fields.set("path", at.text(path.split('\0').next().unwrap_or("")));
            return;
        }
        2 => {
            let bytes: Option<Vec<u8>> = (4..8).map(byte).collect();
            let bytes = bytes.and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
            ("ipv4", bytes.map(std::net::IpAddr::from))
        }
        10 => {
            let bytes: Option<Vec<u8>> = (8..24).map(byte).collect();
            let bytes = bytes.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
            let address = bytes.map(|bytes| std::net::IpAddr::from(bytes).to_canonical());
            ("ipv6", address)
        }
        16 => return fields.set("family", "netlink"),
        other => return fields.set("family", at.text(&other.to_string())),
    };
    let (Some(address), Some(port)) = (address, port) else {
        return;
    };
    fields.remove("saddr");
    fields.set("family", family);
    fields.set("addr", at.text(&address.to_string()));
    fields.set("port", at.text(&port.to_string()));
}

/// What the event means.
fn finish(event: &mut Event<'_>) {
    event.summary.how = how(&event.data);
    event.call = event.data.get("syscall").and_then(norms::of_system_call);
    let norm = if event.kind == "SYSCALL" {
        event.call
    } else {
        norms::of_record(event.kind, |field| event.data.get(field).is_some())
    };
    event.norm = norm;
    let Some(norm) = norm else { return };
    event.summary.object = norm.object;
    match norm.object {
        "file" | "filesystem" if !event.paths.is_empty() => event.file = file(event, norm.path),
        "socket" => {
            event.summary.primary = event
                .data
                .get("socket_addr")
                .or_else(|| event.data.get("socket_path"));
            event.summary.secondary = event.data.get("socket_port");
        }
        _ => {}
    }
    if let Some(position) = event.file
        && let Some(path) = event.paths.get(position)
    {
        event.summary.primary = path.get("name");
        if path.get("mode").is_some() {
            event.summary.object = "file";
        }
    }
    let said = |keys: &'static [&'static str]| keys.iter().find_map(|key| value(event, key));
    let (actor, actor_as) = (said(norm.actor), said(norm.actor_as));
    let (primary, secondary, how) = (said(norm.primary), said(norm.secondary), said(norm.how));
    let summary = &mut event.summary;
    summary.actor = actor.or(summary.actor);
    summary.actor_as = actor_as.or(summary.actor_as);
    summary.primary = primary.or(summary.primary);
    summary.secondary = secondary.or(summary.secondary);
    summary.how = how.or(summary.how);
    if norm.from_address
        && event.source.is_none()
        && let Some(address) = event.data.remove("addr")
    {
        event.source = Some(Address {
            ip: Some(address),
            ..Address::default()
        });
        event.direction = Some("ingress");
    }
    for (whose, role) in norm.people {
        let name = match whose {
            Whose::Actor => event.summary.actor,
            Whose::ActorAs => event.summary.actor_as,
            Whose::Object => event.summary.primary,
            Whose::Uid => event.ids.get("uid"),
        };
        event.people.push((*role, name.unwrap_or("")));
    }
}

fn value<'a>(event: &Event<'a>, key: &str) -> Option<&'a str> {
    event.data.get(key).or_else(|| event.ids.get(key))
}

/// The path that an event is about: the one at the position that its kind suggests, or the first behind it that is
/// neither a directory on the way nor unknown.
fn file(event: &Event<'_>, hint: usize) -> Option<usize> {
    let start = if event.paths.len() > hint { hint } else { 0 };
    let known = |path: &Fields<'_>| !matches!(path.get("nametype"), Some("PARENT" | "UNKNOWN"));
    let found = event.paths.iter().skip(start).position(known);
    Some(found.map_or(start, |found| start + found))
}

/// By what program; the name of the script where the program is an interpreter.
fn how<'a>(data: &Fields<'a>) -> Option<&'a str> {
    let program = data.get("exe").or_else(|| data.get("comm"))?;
    let interpreters = ["/usr/bin/python", "/usr/bin/sh", "/usr/bin/bash", "/usr/bin/perl"];
    if interpreters
        .iter()
        .any(|interpreter| program.starts_with(interpreter))
    {
        return Some(data.get("comm").unwrap_or(program));
    }
    Some(program)
}
