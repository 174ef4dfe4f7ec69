//! The records of one event as one event: what Auditbeat and go-libaudit make of them before it becomes ECS.
//!
//! <https://github.com/elastic/go-libaudit>

use ahash::AHashMap;
use smallvec::SmallVec;

use super::kinds;
use super::line::{self, Fields, Line, bit};
use super::norms::{self, Norm, Role, Whose};
use super::tokens::{self, Letters, Mark, Raw};
use super::usual::{self, Usual};
use crate::tree::{Arena, Map};

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
#[derive(Clone, Debug)]
pub(super) struct Event<'a> {
    pub(super) node: Option<&'a str>,
    pub(super) millis: i64,
    pub(super) serial: u64,
    pub(super) kind: &'a str,
    /// The types of all its records, each once.
    pub(super) kinds: SmallVec<[&'a str; 8]>,
    pub(super) category: &'static str,
    pub(super) result: Option<&'static str>,
    pub(super) session: Option<&'a str>,
    pub(super) tags: &'a [&'a str],
    pub(super) summary: Summary<'a>,
    /// `auid`, `uid`, `euid` … of the process.
    pub(super) ids: Fields<'a>,
    /// Names of these, as the daemon interpreted them (`AUID`, `UID` …).
    pub(super) names: Option<Fields<'a>>,
    pub(super) selinux: Fields<'a>,
    /// Everything else of the records.
    pub(super) data: Fields<'a>,
    pub(super) arguments: Option<Vec<&'a str>>,
    pub(super) paths: SmallVec<[Fields<'a>; 4]>,
    /// Which of the paths the event is about.
    pub(super) file: Option<usize>,
    pub(super) source: Option<Address<'a>>,
    pub(super) destination: Option<Address<'a>>,
    pub(super) direction: Option<&'static str>,
    pub(super) norm: Option<&'static Norm>,
    /// The name of the system call, and what is said of it.
    pub(super) system_call: Option<&'a str>,
    pub(super) call: Option<&'static Norm>,
    pub(super) people: SmallVec<[(Role, &'a str); 4]>,
}

impl<'a> Event<'a> {
    /// An event of a record, of which nothing but the stamp counts yet.
    pub(super) fn of(line: &Line<'a>, at: &Map<'a>) -> Self {
        Self::new(line.node, line.millis, line.serial, at)
    }

    /// An event of which only the stamp is known.
    pub(super) fn new(node: Option<&'a str>, millis: i64, serial: u64, at: &Map<'a>) -> Self {
        // These two are made anew when it is known how many they are.
        let none = Fields::with_room(0, at);
        Self {
            node,
            millis,
            serial,
            kind: "",
            kinds: SmallVec::new(),
            category: "",
            result: None,
            session: None,
            tags: &[],
            summary: Summary::default(),
            ids: none,
            names: None,
            selinux: Fields::with_room(0, at),
            data: none,
            arguments: None,
            paths: SmallVec::new(),
            file: None,
            source: None,
            destination: None,
            direction: None,
            norm: None,
            system_call: None,
            call: None,
            people: SmallVec::new(),
        }
    }
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

/// A record with its fields decoded. It is handed on whole, so it should stay small.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) fields: Fields<'a>,
    /// The ids of users and groups, where they are kept apart.
    ids: Option<Fields<'a>>,
    /// What the daemon interpreted, by keys in capitals.
    pub(super) names: Option<Fields<'a>>,
    tags: &'a [&'a str],
    /// Number, piece and text of the arguments of a program.
    pub(super) arguments: Vec<(usize, Option<usize>, &'a str)>,
    /// Which of the fields that may be hexadecimal stood there without quotes, as bits; see [`Mark`].
    unquoted: u32,
}

impl<'a> Record<'a> {
    /// A record without fields, with room for so many.
    pub(super) fn with_room(room: usize, at: &Map<'a>) -> Self {
        Self {
            fields: Fields::with_room(room, at),
            ids: None,
            names: None,
            tags: &[],
            arguments: Vec::new(),
            unquoted: 0,
        }
    }
}

/// What the records of an event share: host, time and serial.
type Stamp<'a> = (Option<&'a str>, i64, u64);

/// The records of an event.
pub(super) type Group<'a> = bumpalo::collections::Vec<'a, Line<'a>>;

/// The audit records of a text, those of one host and stamp together. Lines that are none are passed over.
pub(super) fn groups<'a>(text: &'a str, arena: &'a Arena) -> SmallVec<[Group<'a>; 1]> {
    let mut groups: SmallVec<[Group<'a>; 1]> = SmallVec::new();
    let mut places: Option<AHashMap<Stamp<'a>, usize>> = None;
    let key = |line: &Line<'_>| (line.millis, line.serial);
    for text in line::lines(text) {
        let last = groups.last().and_then(|group| group.last());
        let Some(line) = line::parse_behind(text, last) else {
            continue;
        };
        if let Some(group) = groups.last_mut()
            && let Some(last) = group.last()
            && key(last) == key(&line)
            && last.node == line.node
        {
            group.push(line);
            continue;
        }
        // Nearly all texts are of one event, and need no table.
        let place = match groups.first().and_then(|first| first.first()) {
            None => 0,
            Some(first) => {
                let first = ((first.node, first.millis, first.serial), 0);
                let places = places.get_or_insert_with(|| AHashMap::from_iter([first]));
                *places
                    .entry((line.node, line.millis, line.serial))
                    .or_insert(groups.len())
            }
        };
        match groups.get_mut(place) {
            Some(group) => group.push(line),
            None => {
                let mut group = arena.vec(USUAL_LINES);
                group.push(line);
                groups.push(group);
            }
        }
    }
    groups
}

/// Room for the records of most events.
const USUAL_LINES: usize = 8;

/// Makes one event of its records, if they are one; `event` has their stamp.
pub(super) fn read<'a>(
    event: &mut Event<'a>,
    lines: &[Line<'a>],
    reading: Reading,
    at: &Map<'a>,
) -> Option<()> {
    let kinds: Kinds<'a> = lines.iter().map(|line| line.kind).collect();
    let record = |position: usize| lines.get(position).map(|line| decode(line, reading, at));
    assemble(event, &kinds, record, reading, at)
}

/// The types of the records of an event.
pub(super) type Kinds<'a> = SmallVec<[&'a str; 8]>;

/// Makes one event of records, of which it is known what types they are; each is asked for once. `event` has its stamp.
pub(super) fn assemble<'a>(
    event: &mut Event<'a>,
    kinds: &[&'a str],
    mut record: impl FnMut(usize) -> Option<Record<'a>>,
    reading: Reading,
    at: &Map<'a>,
) -> Option<()> {
    let said = |kind: &&str| *kind != "EOE";
    let count = kinds.iter().filter(|kind| said(kind)).count();
    let call = kinds.iter().position(|kind| *kind == "SYSCALL");
    if reading == Reading::Exact && count > 1 && call.is_none() {
        return None;
    }
    let alone = count == 1;
    let first = kinds.iter().position(said)?;
    let base = call.unwrap_or(first);
    event.kind = kinds.get(first)?;
    event.category = kinds::record_number(event.kind).map_or("unknown", kinds::category);
    let base_record = record(base)?;
    begin(event, &base_record, at);
    let mut base_record = Some(base_record);
    for (position, kind) in kinds.iter().enumerate().filter(|(_, kind)| said(kind)) {
        if event.kinds.len() < MOST_KINDS && !event.kinds.contains(kind) {
            event.kinds.push(kind);
        }
        let mut this = || match position == base {
            true => base_record.take(),
            false => record(position),
        };
        match *kind {
            "SYSCALL" if alone => {}
            "SYSCALL" => {
                event.data.remove("items");
            }
            _ if alone && reading == Reading::Exact => {}
            "PATH" => path(this()?, event),
            "SOCKADDR" => address(&this()?.fields, event, at),
            "EXECVE" => arguments(this()?, event, reading, at),
            _ if position == base => {}
            _ => add(this()?, event, reading, at),
        }
    }
    finish(event);
    Some(())
}

/// Room for the users and groups of a system call.
const USUAL_IDS: usize = 9;

/// The event as the record of the system call says or, where there is none, the only one.
fn begin<'a>(event: &mut Event<'a>, record: &Record<'a>, at: &Map<'a>) {
    let (ids, mut data) = match record.ids {
        Some(ids) => (ids, record.fields),
        None => apart(&record.fields, at),
    };
    event.result = Some(match data.remove("result") {
        Some("success") => "success",
        Some(_) => "fail",
        None => "unknown",
    });
    event.session = data.remove("ses");
    event.summary.actor = ids.get("auid");
    event.summary.actor_as = ids.get("uid");
    event.tags = record.tags;
    event.names = record.names;
    for (key, value) in data.iter() {
        if let Some(label) = key.strip_prefix("subj_") {
            event.selinux.add(label, value);
            data.remove(key);
        }
    }
    (event.ids, event.data) = (ids, data);
}

/// The ids of users and groups, and the other fields.
fn apart<'a>(fields: &Fields<'a>, at: &Map<'a>) -> (Fields<'a>, Fields<'a>) {
    // What other records add comes behind.
    let mut data = Fields::with_room(fields.len() + 4, at);
    let mut ids = Fields::with_room(USUAL_IDS, at);
    for (key, value) in fields.iter() {
        if Mark::of(key).is_id() {
            ids.add(key, value);
        } else {
            data.add(key, value);
        }
    }
    (ids, data)
}

/// Adds what a record says that has no place of its own.
fn add<'a>(record: Record<'a>, event: &mut Event<'a>, reading: Reading, at: &Map<'a>) {
    if reading == Reading::Lenient && !record.tags.is_empty() {
        event.tags = at.slice(&[event.tags, record.tags].concat());
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
    if let Some(names) = record.names {
        if let Some(name) = names.get("OUID") {
            path.set("OUID", name);
        }
        if let Some(name) = names.get("OGID") {
            path.set("OGID", name);
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
        let key = match key {
            "family" => "socket_family",
            "addr" => "socket_addr",
            "port" => "socket_port",
            "path" => "socket_path",
            other => at.text(&["socket_", other].concat()),
        };
        event.data.set(key, value);
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

/// A record has about one field for so many bytes.
const BYTES_OF_FIELD: usize = 10;

/// Room is made for at most so many fields before they are there.
const MOST_ROOM: usize = 40;

/// The fields of a record, decoded as its type asks.
fn decode<'a>(line: &Line<'a>, reading: Reading, at: &Map<'a>) -> Record<'a> {
    let mut body = line.body;
    let interpreted = match memchr::memchr(b'\x1d', body.as_bytes()) {
        Some(end) if reading == Reading::Lenient => {
            let interpreted = body.get(end..).unwrap_or_default();
            body = body.get(..end).unwrap_or_default();
            interpreted
        }
        _ => "",
    };
    let room = match line.kind {
        "CWD" | "EXECVE" | "PROCTITLE" | "SOCKADDR" => 4,
        "SYSCALL" => (body.len() / BYTES_OF_FIELD).clamp(USUAL_IDS, MOST_ROOM) - USUAL_IDS + 6,
        _ => (body.len() / BYTES_OF_FIELD + 2).min(MOST_ROOM),
    };
    let mut record = Record::with_room(room, at);
    // The event is made of this record, which is of no other use.
    if line.kind == "SYSCALL" {
        record.ids = Some(Fields::with_room(USUAL_IDS, at));
    }
    if !interpreted.is_empty() {
        let mut names = Fields::with_room((interpreted.len() / BYTES_OF_FIELD + 1).min(MOST_ROOM), at);
        for field in tokens::fields(interpreted, Letters::All, usual::names(line.kind)) {
            if let Some(value) = field.said() {
                names.set_marked(field.key, field.mark, value);
            }
        }
        record.names = Some(names);
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
    let has_arguments = line.kind == "EXECVE";
    collect(
        body,
        letters,
        has_arguments,
        usual::of(line.kind),
        &mut record,
        true,
    );
    for (_, _, value) in &mut record.arguments {
        *value = match line::unhex(value, 0, at) {
            Some(text) => text.split('\0').next().unwrap_or(""),
            None => tokens::bare(value),
        };
    }
    enrich(line.kind, reading, &mut record, at);
    record
}

/// The fields of a text, and those inside of its `msg='…'`.
fn collect<'a>(
    text: &'a str,
    letters: Letters,
    has_arguments: bool,
    usual: &'static [Usual],
    out: &mut Record<'a>,
    nested: bool,
) {
    let (mut fields, mut ids, mut unquoted) = (out.fields, out.ids, out.unquoted);
    for raw in tokens::fields(text, letters, usual) {
        let Raw { key, value, mark } = raw;
        if mark.is_plain() && !has_arguments {
            if let Some(said) = raw.said() {
                fields.set_marked(key, mark, said);
            }
            continue;
        }
        let Some(said) = raw.said() else {
            // An empty argument is one.
            if has_arguments
                && value == "\"\""
                && let Some((number, piece)) = line::argument(key)
            {
                out.arguments.push((number, piece, value));
            }
            continue;
        };
        if nested && key == "msg" {
            (out.fields, out.ids, out.unquoted) = (fields, ids, unquoted);
            collect(said, letters, false, usual::MESSAGE, out, false);
            (fields, ids, unquoted) = (out.fields, out.ids, out.unquoted);
            continue;
        }
        if has_arguments && let Some((number, piece)) = line::argument(key) {
            if out.arguments.len() < MOST_ARGUMENTS {
                out.arguments.push((number, piece, value));
            }
            continue;
        }
        match &mut ids {
            Some(ids) if mark.is_id() => ids.set_marked(key, mark, said),
            _ => fields.set_marked(key, mark, said),
        }
        if said.len() == value.len() {
            unquoted |= mark.hex();
        } else {
            unquoted &= !mark.hex();
        }
    }
    (out.fields, out.ids, out.unquoted) = (fields, ids, unquoted);
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

/// Gives the fields of a record their meaning.
pub(super) fn enrich<'a>(kind: &str, reading: Reading, record: &mut Record<'a>, at: &Map<'a>) {
    const COMMON: u64 = bit("auid")
        | bit("old-auid")
        | bit("ses")
        | bit("subj")
        | bit("success")
        | bit("res")
        | bit("exit")
        | bit("key")
        | bit("cwd");
    if record.fields.may_have(COMMON) || record.ids.is_some() {
        enrich_common(record, at);
    }
    let unquoted = record.unquoted;
    let fields = &mut record.fields;
    match kind {
        "SYSCALL" | "SECCOMP" => {
            if kind == "SECCOMP" {
                fields.change("sig", |signal| kinds::signal(signal.parse().ok()?));
            }
            let mut architecture = None;
            fields.change("arch", |arch| {
                architecture = kinds::architecture(arch);
                architecture
            });
            if let Some(architecture) = architecture {
                fields.change("syscall", |call| {
                    kinds::system_call(architecture, call.parse().ok()?)
                });
            }
            unhex("exe", unquoted, fields, at);
            if reading == Reading::Lenient {
                unhex("comm", unquoted, fields, at);
            }
        }
        "SOCKADDR" => socket(fields, at),
        "PROCTITLE" => unhex("proctitle", unquoted, fields, at),
        "USER_CMD" => unhex("cmd", unquoted, fields, at),
        "TTY" | "USER_TTY" => unhex("data", unquoted, fields, at),
        "PATH" => {
            selinux("obj", OBJECT, fields);
            unhex("name", unquoted, fields, at);
        }
        "USER_LOGIN" => unhex("acct", unquoted, fields, at),
        _ => {}
    }
}

/// Gives the fields their meaning that have the same in records of all types.
fn enrich_common<'a>(record: &mut Record<'a>, at: &Map<'a>) {
    let unquoted = record.unquoted;
    let fields = &mut record.fields;
    let unset = |id: &str| matches!(id, "4294967295" | "-1").then_some("unset");
    fields.change("ses", unset);
    let ids = record.ids.as_mut().unwrap_or(fields);
    ids.change("auid", unset);
    ids.change("old-auid", unset);
    selinux("subj", SUBJECT, fields);
    let success = fields.get("success");
    if let Some(result) = success.or_else(|| fields.get("res")) {
        let is = |word: &str| result.eq_ignore_ascii_case(word);
        let begins = |word: &str| {
            result
                .get(..word.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(word))
        };
        let good = is("yes") || result == "1" || begins("suc");
        let key = if success.is_some() { "success" } else { "res" };
        fields.replace(key, "result", if good { "success" } else { "fail" });
    }
    fields.change("exit", |exit| kinds::error(exit.strip_prefix('-')?.parse().ok()?));
    if let Some(key) = fields.remove("key") {
        let keys = (unquoted & const { Mark::of("key") }.hex() != 0).then(|| line::unhex(key, 0, at));
        record.tags = match keys.flatten() {
            Some(keys) => at.slice(&keys.split('\u{1}').collect::<SmallVec<[&'a str; 4]>>()),
            None => at.slice(&[key.split_once('=').map_or(key, |(_, key)| key)]),
        };
    }
    unhex("cwd", unquoted, fields, at);
}

/// Resolves a value that is hexadecimal, which it is not where it had quotes.
#[inline(always)]
fn unhex<'a>(key: &'static str, unquoted: u32, fields: &mut Fields<'a>, at: &Map<'a>) {
    if unquoted & Mark::of(key).hex() != 0 {
        fields.change(key, |value| line::unhex(value, b' ', at));
    }
}

/// What the parts of the security context of a process and of a file are called.
const SUBJECT: [&str; 5] = [
    "subj_user",
    "subj_role",
    "subj_domain",
    "subj_level",
    "subj_category",
];
const OBJECT: [&str; 5] = ["obj_user", "obj_role", "obj_domain", "obj_level", "obj_category"];

/// A security context as its parts.
fn selinux<'a>(key: &str, names: [&'static str; 5], fields: &mut Fields<'a>) {
    let Some(context) = fields.remove(key) else { return };
    for (name, part) in names.iter().zip(context.splitn(names.len(), ':')) {
        fields.set(name, part);
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
            let path = text.get(4..).and_then(|path| line::unhex(path, 0, at));
            fields.remove("saddr");
            fields.set("family", "unix");
            fields.set(
                "path",
                path.and_then(|path| path.split('\0').next()).unwrap_or(""),
            );
            return;
        }
        2 => {
            let bytes: Option<SmallVec<[u8; 4]>> = (4..8).map(byte).collect();
            let bytes = bytes.and_then(|bytes| bytes.into_inner().ok());
            ("ipv4", bytes.map(std::net::IpAddr::from))
        }
        10 => {
            let bytes: Option<SmallVec<[u8; 16]>> = (8..24).map(byte).collect();
            let bytes = bytes.and_then(|bytes| bytes.into_inner().ok());
            let address = bytes.map(|bytes| std::net::IpAddr::from(bytes).to_canonical());
            ("ipv6", address)
        }
        16 => return fields.set("family", "netlink"),
        other => return fields.set("family", written(other, at)),
    };
    let (Some(address), Some(port)) = (address, port) else {
        return;
    };
    fields.remove("saddr");
    fields.set("family", family);
    fields.set("addr", written(address, at));
    fields.set("port", written(port, at));
}

/// A value as text in the arena.
fn written<'a>(value: impl std::fmt::Display, at: &Map<'a>) -> &'a str {
    use std::fmt::Write as _;
    let mut out = at.text_writer(LONGEST_ADDRESS);
    // Writing into memory cannot fail.
    let _ = write!(out, "{value}");
    out.into_bump_str()
}

/// Room for any address as text.
const LONGEST_ADDRESS: usize = 46;

/// What the event means.
fn finish(event: &mut Event<'_>) {
    event.summary.how = how(&event.data);
    event.system_call = event.data.get("syscall");
    event.call = event.system_call.and_then(norms::of_system_call);
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

#[inline(never)]
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
