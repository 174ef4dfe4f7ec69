//! Audit log files line by line, as Elastic's integration for them does: each record is a document of its own.
//!
//! Record: <https://www.elastic.co/docs/reference/integrations/auditd>. Nothing is joined and no system call is named,
//! which rules cannot do much with: where no source is asked for, [`super::events`] takes such lines.

use super::norms::{self, Role, Whose};
use super::{line, stamp};
use crate::convert;
use crate::mapping::{Mapping, keep};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "auditd_log",
    aliases: &[],
    title: "Linux audit log, each line a document; not recognised, only asked for",
    module: "auditd",
    dataset: "auditd.log",
    os: Some("linux"),
    mappings: &[BEFORE_PROCESS, PROCESS, AFTER_PROCESS],
    derived: &[DERIVED],
    detect: |_| Confidence::No,
    start: || Box::new(Stateless(normalize)),
};

/// Fields of the record that move; what is there already stays.
const BEFORE_PROCESS: &[Mapping] = &[
    keep("acct", "user.name"),
    keep("user", "user.name"),
    keep("uid", "user.id"),
    keep("gid", "user.group.id"),
    keep("agid", "user.audit.group.id"),
    keep("auid", "user.audit.id"),
    keep("fsgid", "user.filesystem.group.id"),
    keep("fsuid", "user.filesystem.id"),
    keep("egid", "user.effective.group.id"),
    keep("euid", "user.effective.id"),
    keep("sgid", "user.saved.group.id"),
    keep("suid", "user.saved.id"),
    keep("ogid", "user.owner.group.id"),
    keep("ouid", "user.owner.id"),
];

const PROCESS: &[Mapping] = &[
    keep("comm", "process.name"),
    keep("exe", "process.executable"),
    keep("pid", "process.pid"),
    keep("ppid", "process.parent.pid"),
    keep("cmd", "process.args"),
    keep("argc", "process.args_count"),
    keep("exit", "process.exit_code"),
    keep("cwd", "process.working_directory"),
];

const AFTER_PROCESS: &[Mapping] = &[
    keep("terminal", "user.terminal"),
    keep("msg", "message"),
    keep("src", "source.address"),
    keep("addr", "source.address"),
    keep("dst", "destination.address"),
];

const DERIVED: &[Derived] = &[
    derived("@timestamp", &[]),
    derived("auditd.log.*", &[]),
    derived("container.name", &["vm"]),
    derived("container.runtime", &["virt"]),
    derived("event.action", &["type", "syscall"]),
    derived("event.category", &["type", "syscall"]),
    derived("event.kind", &[]),
    derived("event.outcome", &["res"]),
    derived("event.type", &["type", "syscall"]),
    derived("group.id", &["id", "acct", "uid"]),
    derived("group.name", &["acct"]),
    derived("host.architecture", &["arch"]),
    derived("network.direction", &["syscall"]),
    derived("process.args", &["a0", "a1"]),
    derived("process.executable", &["a0"]),
    derived("source.ip", &["src", "addr"]),
    derived("user.effective.name", &["acct"]),
    derived("user.target.id", &["id"]),
    derived("user.target.name", &["acct"]),
];

/// A line, taken apart.
#[derive(Default)]
struct Parts<'a> {
    /// The record's own fields.
    outer: &'a str,
    /// Those of the message inside.
    inner: Option<&'a str>,
    /// What and to what end an access was decided.
    decision: Option<(&'a str, &'a str)>,
    /// What the daemon interpreted.
    interpreted: Option<&'a str>,
    /// Login and session, before and after.
    login: Option<[&'a str; 4]>,
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let document = record.document();
    let log = document.new_map();
    document.put("auditd.log", Value::Map(log));
    document.put_text("event.kind", "event");
    let text = record.text;
    let (kind, parts) = match line::parse(text) {
        Some(line) => {
            if let Some(time) = stamp(line.millis, document) {
                document.put_text("@timestamp", time);
            }
            if let Some(node) = line.node {
                log.add("node", Value::Text(node));
            }
            log.add("sequence", super::number(line.serial));
            (line.kind, Parts::of(line.body))
        }
        None => {
            let Some((kind, rest)) = text
                .split_once("type=")
                .and_then(|(_, rest)| rest.split_once(' '))
            else {
                return Err(Dropped::Malformed("it is no record of the audit log"));
            };
            let outer = Some(rest).filter(|rest| begins_with_field(rest)).unwrap_or("");
            (
                kind,
                Parts {
                    outer,
                    ..Parts::default()
                },
            )
        }
    };
    log.add("record_type", Value::Text(kind));
    let arguments = parts.fields(kind, log);
    decode(log);
    name_event(kind, document, log);
    moves(document, log);
    outcome(document, log);
    if kind == "EXECVE" {
        put_arguments(arguments, document);
    }
    if document.at("event.action").is_none() {
        document.put_text("event.action", document.text(&kind.to_ascii_lowercase()));
    }
    if let Some(address) = document.at("source.address").and_then(convert::ip) {
        document.put("source.ip", address);
    }
    for key in ["arch", "res"] {
        log.remove(key);
    }
    Ok(document)
}

impl<'a> Parts<'a> {
    fn of(body: &'a str) -> Self {
        let body = body.lines().next().unwrap_or("");
        Self::with_login(body)
            .or_else(|| Self::with_message(body))
            .or_else(|| Self::with_interpreted(body))
            .or_else(|| Self::with_decision(body))
            .unwrap_or_default()
    }

    /// `… old auid=1 new auid=2 old ses=3 new ses=4`, as old kernels wrote it.
    fn with_login(body: &'a str) -> Option<Self> {
        let (head, rest) = body.rsplit_once(" old auid=")?;
        let (old_auid, rest) = rest.split_once(" new auid=")?;
        let (auid, rest) = rest.split_once(" old ses=")?;
        let (old_session, rest) = rest.split_once(" new ses=")?;
        let session = rest.split_whitespace().next()?;
        Some(Self {
            outer: from_first_field(head)?,
            login: Some([old_auid, auid, old_session, session]),
            ..Self::default()
        })
    }

    /// `… msg='op=login acct="root"'`
    fn with_message(body: &'a str) -> Option<Self> {
        let (head, quote, message) = ['\'', '"'].into_iter().find_map(|quote| {
            let at = body.rfind(&format!(" msg={quote}"))?;
            let message = body.get(at + " msg='".len()..)?;
            Some((body.get(..at)?, quote, message.get(..message.rfind(quote)?)?))
        })?;
        let outer = from_first_field(head)?;
        let decision = Some(message).filter(|_| quote == '\'').and_then(decision);
        let (decision, inner) = match decision {
            Some((decision, rest)) => (Some(decision), rest),
            None => (None, behind_words(message)),
        };
        Some(Self {
            outer,
            inner: Some(inner),
            decision,
            ..Self::default()
        })
    }

    /// `… <group separator>SADDR={ saddr_fam=inet }`
    fn with_interpreted(body: &'a str) -> Option<Self> {
        let (head, tail) = body.rsplit_once('\u{1d}')?;
        let (name, rest) = tail.split_once("={ ")?;
        let inner = rest.get(..rest.rfind(" }")?)?;
        let word = |text: &str| !text.is_empty() && text.chars().all(is_word);
        (word(name) && begins_with_field(inner)).then_some(())?;
        Some(Self {
            outer: from_first_field(head)?,
            inner: Some(inner),
            interpreted: Some(name),
            ..Self::default()
        })
    }

    /// `avc:  denied  { read } for  pid=1 …`, or fields alone.
    fn with_decision(body: &'a str) -> Option<Self> {
        for (at, _) in body.match_indices(' ') {
            let rest = body.get(at + 1..)?;
            if let Some((found, rest)) = decision(rest)
                && begins_with_field(rest)
            {
                return Some(Self {
                    outer: rest,
                    decision: Some(found),
                    ..Self::default()
                });
            }
            if begins_with_field(rest) {
                return Some(Self {
                    outer: rest,
                    ..Self::default()
                });
            }
        }
        None
    }

    /// Adds the fields to `log`, and gives the arguments of a program that was executed.
    fn fields(&self, kind: &str, log: &'a Map<'a>) -> Vec<(usize, &'a str)> {
        let mut arguments = Vec::new();
        let mut left = MOST_FIELDS;
        let mut add = |key: &'a str, value: &'a str| {
            let number = || key.strip_prefix('a').map(leading_number);
            if kind == "EXECVE"
                && let Some(Some((number, rest))) = number()
            {
                if rest != "_len" {
                    arguments.push((number, value));
                }
            } else if left > 0 {
                left -= 1;
                log.append(key, Value::Text(value));
                if let Some(Value::List([single])) = log.get(key) {
                    log.set(key, *single);
                }
            }
        };
        for part in split(self.outer, |next| !is_words(next)) {
            if let Some((key, value)) = part.split_once('=') {
                add(key, value);
            }
        }
        if let Some(inner) = self.inner {
            for part in split(inner, |next| next.find('=').is_some_and(|at| at > 0)) {
                if let Some((key, value)) = part.split_once('=') {
                    add(key, value);
                }
            }
        }
        if let Some((action, request)) = self.decision {
            let decision = log.new_map();
            decision.add("action", Value::Text(action));
            decision.add("request", Value::Text(request));
            log.set("avc", Value::Map(decision));
        }
        if let Some(name) = self.interpreted {
            log.set(
                "original_field",
                Value::Text(log.text(&name.to_ascii_lowercase())),
            );
        }
        if let Some(login) = self.login {
            for (key, value) in ["old_auid", "new_auid", "old_ses", "new_ses"].iter().zip(login) {
                log.set(key, Value::Text(value));
            }
        }
        for (from, to) in [("old-auid", "old_auid"), ("old-ses", "old_ses")] {
            if log.get(to).is_none()
                && let Some(value) = log.remove(from)
            {
                log.add(to, value);
            }
        }
        arguments
    }
}

/// More fields than this of one record are left out; arguments are not counted.
const MOST_FIELDS: usize = 1024;

/// `12[0]` as a number and what stands behind it.
fn leading_number(text: &str) -> Option<(usize, &str)> {
    let digits = text.len()
        - text
            .trim_start_matches(|letter: char| letter.is_ascii_digit())
            .len();
    Some((text.get(..digits)?.parse().ok()?, text.get(digits..)?))
}

fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

fn begins_with_field(text: &str) -> bool {
    let rest = text.trim_start_matches(is_word);
    rest.len() < text.len() && rest.starts_with('=')
}

/// A text from its first field on.
fn from_first_field(text: &str) -> Option<&str> {
    text.match_indices(' ')
        .filter_map(|(at, _)| text.get(at + 1..))
        .find(|rest| begins_with_field(rest))
}

/// A message without the words before its first field.
fn behind_words(message: &str) -> &str {
    let words = message
        .find('=')
        .and_then(|equals| message.get(..equals))
        .unwrap_or(message);
    match words.rfind(char::is_whitespace) {
        Some(blank) => message.get(blank..).unwrap_or("").trim_start(),
        None => message,
    }
}

/// What an access decision says, and what stands behind it.
fn decision(text: &str) -> Option<((&str, &str), &str)> {
    let word = |text: &'_ str| -> Option<usize> {
        let length = text.len() - text.trim_start_matches(is_word).len();
        (length > 0).then_some(length)
    };
    let rest = text.strip_prefix("avc:")?.trim_start();
    let (action, rest) = rest.split_at_checked(word(rest)?)?;
    let rest = rest.trim_start().strip_prefix('{')?.trim_start();
    let (request, rest) = rest.split_at_checked(word(rest)?)?;
    let rest = rest
        .trim_start()
        .strip_prefix('}')?
        .trim_start()
        .strip_prefix("for")?;
    Some(((action, request), rest.trim_start()))
}

/// Whether the first word of a text is plain, so that it belongs to the value before it.
fn is_words(text: &str) -> bool {
    let first = text.split(is_blank).next().unwrap_or("");
    !first.is_empty() && first.chars().all(|letter| is_word(letter) || letter == '"')
}

fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

/// Cuts a text at the blanks behind which a new field begins, as `begins` says of what follows.
fn split(text: &str, begins: impl Fn(&str) -> bool) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(is_blank);
        if rest.is_empty() {
            return None;
        }
        let mut end = rest.len();
        let mut from = 0;
        while let Some(blank) = rest.get(from..).and_then(|tail| tail.find(is_blank)) {
            let blank = from + blank;
            let next = rest.get(blank..)?.trim_start_matches(is_blank);
            let word_end = next.find(is_blank).unwrap_or(next.len());
            if next.is_empty() || begins(next.get(..word_end)?) {
                end = blank;
                break;
            }
            from = rest.len() - next.len();
        }
        let (part, tail) = rest.split_at_checked(end)?;
        rest = tail;
        Some(part)
    })
}

/// Fields that may be written in hexadecimal.
const MAY_BE_HEXADECIMAL: &[&str] = &[
    "acct",
    "apparmor",
    "cgroup",
    "cmd",
    "comm",
    "cwd",
    "data",
    "denied_mask",
    "device",
    "dir",
    "exe",
    "file",
    "grp",
    "info",
    "invalid_context",
    "name",
    "new-chardev",
    "new-disk",
    "new-fs",
    "new-net",
    "new-rng",
    "new_group",
    "ocomm",
    "old-chardev",
    "old-disk",
    "old-fs",
    "old-net",
    "old-rng",
    "operation",
    "path",
    "proctitle",
    "profile",
    "requested_mask",
    "root_dir",
    "sw",
    "vm",
    "watch",
];

/// Fields that are numbers.
const NUMBERS: &[&str] = &[
    "lport",
    "rport",
    "entries",
    "dst_prefixlen",
    "ksize",
    "size",
    "src_prefixlen",
];

/// Gives values their meaning, and takes away those that stand for nothing.
fn decode<'a>(log: &'a Map<'a>) {
    let single = |key: &str, value: Value<'a>| -> Option<Value<'a>> {
        let Value::Text(text) = value else {
            return Some(value);
        };
        if matches!(text, "" | "?" | "(null)") {
            return None;
        }
        if matches!(key, "success" | "key_enforce") {
            let yes = ["yes", "true", "1"]
                .iter()
                .any(|yes| text.eq_ignore_ascii_case(yes));
            return Some(Value::Bool(yes));
        }
        let decoded = MAY_BE_HEXADECIMAL
            .contains(&key)
            .then(|| readable(text))
            .flatten();
        let text = match &decoded {
            Some(text) => log.text(text),
            None => text,
        };
        let text = text.strip_prefix(['\'', '"']).unwrap_or(text);
        let text = text.strip_suffix(['\'', '"']).unwrap_or(text);
        if key == "arch" && text == "c000003e" {
            return Some(Value::Text("x86_64"));
        }
        if NUMBERS.contains(&key)
            && let Ok(number) = text.parse()
        {
            return Some(Value::Int(number));
        }
        Some(Value::Text(text))
    };
    log.retain(|key, value| match value {
        Value::List(list) => {
            let kept: Vec<Value<'a>> = list.iter().filter_map(|value| single(key, *value)).collect();
            (!kept.is_empty()).then(|| log.list(&kept))
        }
        value => single(key, value),
    });
}

/// Hexadecimal text that holds what could not stand in the log as it is; control characters in caret notation.
fn readable(text: &str) -> Option<String> {
    if text.is_empty() || !text.len().is_multiple_of(2) {
        return None;
    }
    let mut out = String::with_capacity(text.len() / 2);
    let mut needed = false;
    for at in (0..text.len()).step_by(2) {
        let pair = text
            .get(at..at + 2)
            .filter(|pair| pair.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let byte = u8::from_str_radix(pair, 16).ok()?;
        needed |= byte < 33 || byte == 34 || byte == 127;
        if byte < 32 || byte == 127 {
            out.push('^');
            out.push(char::from(byte ^ 64));
        } else {
            out.push(char::from(byte));
        }
    }
    needed.then_some(out)
}

/// Record types that the integration has no words for.
const WITHOUT_WORDS: &[&str] = &["TIME_ADJNTPVAL", "TIME_INJOFFSET"];

/// Action, category, type, and who is named.
fn name_event<'a>(kind: &'a str, document: &'a Map<'a>, log: &'a Map<'a>) {
    let text = |key: &str| log.get(key).and_then(Value::as_text);
    let norm = norms::of_record(kind, |field| log.get(field).is_some())
        .filter(|_| !WITHOUT_WORDS.contains(&kind))
        .or_else(|| norms::of_system_call(text("syscall")?));
    if let Some(norm) = norm {
        // The integration treats what is an alert elsewhere as an event like others.
        let plain = |words: &[&'static str], not: &str| -> Vec<&'static str> {
            words
                .iter()
                .copied()
                .filter(|word| !norm.alert || *word != not)
                .collect()
        };
        if !norm.action.is_empty() {
            document.put_texts("event.action", &[norm.action]);
        }
        let (category, types) = (
            plain(norm.category, "intrusion_detection"),
            plain(norm.types, "info"),
        );
        for (field, words) in [("event.category", category), ("event.type", types)] {
            if !words.is_empty() {
                document.put_texts(field, &words);
            }
        }
        for (whose, role) in norm.people {
            let first = |keys: &[&str]| keys.iter().find_map(|key| log.get(key));
            let or = |keys: &'static [&'static str], other: &'static [&'static str]| {
                if keys.is_empty() { other } else { keys }
            };
            let value = match whose {
                Whose::Actor => first(or(norm.actor, &["auid"])),
                Whose::ActorAs => first(or(norm.actor_as, &["uid"])),
                Whose::Object => first(norm.primary),
                Whose::Uid => log.get("uid"),
            };
            let Some(Value::Text(name)) = value else { continue };
            let id = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
            let field = match (role, id) {
                (Role::User, true) => "user.id",
                (Role::User, false) => "user.name",
                (Role::Effective, true) => "user.effective.id",
                (Role::Effective, false) => "user.effective.name",
                (Role::Target, true) => "user.target.id",
                (Role::Target, false) => "user.target.name",
                (Role::Group, true) => "group.id",
                (Role::Group, false) => "group.name",
            };
            document.put_text(field, name);
        }
    }
    let words = |category: &'a str, kind: &'a str| {
        document.put_text("event.category", category);
        document.put_text("event.type", kind);
    };
    match kind {
        "SYSTEM_BOOT" | "SYSTEM_SHUTDOWN" => words("host", "info"),
        "SYSCALL" if text("syscall") == Some("execve") => words("process", "info"),
        "VIRT_CONTROL" => {
            document.put_text("event.category", "host");
            let of = |op| match op {
                "start" => Some("start"),
                "stop" => Some("end"),
                "create" => Some("creation"),
                "delete" => Some("deletion"),
                _ => None,
            };
            if let Some(kind) = text("op").and_then(of) {
                document.put_text("event.type", kind);
            }
        }
        "VIRT_MACHINE_ID" => {
            words("host", "creation");
            for (from, to) in [("vm", "container.name"), ("virt", "container.runtime")] {
                if let Some(name) = text(from) {
                    document.put_text(to, name);
                }
            }
        }
        _ => {}
    }
    if kind == "SYSCALL" {
        let direction = match text("syscall") {
            Some("accept" | "43" | "recvfrom" | "45" | "recvmsg" | "47" | "accept4" | "288") => {
                Some("ingress")
            }
            Some("connect" | "42" | "sendto" | "44" | "sendmsg" | "46") => Some("egress"),
            _ => None,
        };
        if let Some(direction) = direction {
            document.put_text("network.direction", direction);
        }
    }
    document.copy_from(log, "arch", "host.architecture");
}

fn moves<'a>(document: &'a Map<'a>, log: &'a Map<'a>) {
    let rows = [BEFORE_PROCESS, PROCESS, AFTER_PROCESS].into_iter().flatten();
    for row in rows {
        if document.at(row.to).is_none()
            && let Some(value) = log.remove(row.from)
        {
            document.put(row.to, value);
        }
    }
    if let Some(command) = document.text_at("process.args") {
        let words: Vec<&str> = command.split(is_blank).filter(|word| !word.is_empty()).collect();
        document.put_texts("process.args", &words);
        document.put("process.args_count", count(words.len()));
    }
    for path in [
        "process.pid",
        "process.parent.pid",
        "process.args_count",
        "process.exit_code",
    ] {
        if let Some(number) = document.at(path).and_then(Value::to_int) {
            document.put(path, Value::Int(number));
        }
    }
}

fn count<'a>(count: usize) -> Value<'a> {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn outcome<'a>(document: &'a Map<'a>, log: &'a Map<'a>) {
    let result = log.get("res").map(|result| match result {
        Value::Text("1" | "success") => "success",
        Value::Text("0" | "failed") => "failure",
        _ => "unknown",
    });
    let decided = log.map_at("avc").and_then(|decision| decision.text_at("action"));
    let outcome = match decided {
        Some("granted") => Some("success"),
        Some("denied") => Some("failure"),
        Some(_) => result.or(Some("unknown")),
        None => result,
    };
    if let Some(outcome) = outcome {
        document.put_text("event.outcome", outcome);
    }
}

/// The arguments of a program; where the first are missing, because the record goes on with an earlier one, it is said.
fn put_arguments<'a>(mut arguments: Vec<(usize, &'a str)>, document: &'a Map<'a>) {
    arguments.retain(|(_, value)| !matches!(*value, "" | "?" | "(null)"));
    arguments.sort_by_key(|(number, _)| *number);
    let Some((first, _)) = arguments.first().copied() else {
        return;
    };
    let mut words: Vec<&str> = Vec::with_capacity(arguments.len() + 1);
    if first > 0 {
        words.push(document.text(&format!("[... {first} truncated arguments ...]")));
    }
    words.extend(arguments.iter().map(|(_, value)| {
        let value = value.strip_prefix(['\'', '"']).unwrap_or(value);
        value.strip_suffix(['\'', '"']).unwrap_or(value)
    }));
    if first == 0
        && let Some(program) = words.first()
    {
        document.put_text("process.executable", program);
    }
    document.put_texts("process.args", &words);
}

#[cfg(test)]
mod tests {
    use super::{Parts, readable, split};

    #[test]
    fn lines_have_parts() {
        let parts =
            Parts::of(" user pid=1 uid=0 msg='avc:  denied  { read } for request=x tclass=a :  exe=\"/b\"'");
        assert_eq!(
            (parts.outer, parts.decision),
            ("pid=1 uid=0", Some(("denied", "read")))
        );
        assert_eq!(parts.inner, Some("request=x tclass=a :  exe=\"/b\""));
        let parts = Parts::of(" pid=1 msg='changing the time exe=\"/b\"'");
        assert_eq!(parts.inner, Some("exe=\"/b\""));
        let parts = Parts::of(" avc:  granted  { transition } for  pid=7 comm=\"x\"");
        assert_eq!(
            (parts.outer, parts.decision),
            ("pid=7 comm=\"x\"", Some(("granted", "transition")))
        );
        let parts = Parts::of(" saddr=02\u{1d}SADDR={ saddr_fam=inet lport=5 }");
        assert_eq!(
            (parts.outer, parts.inner),
            ("saddr=02", Some("saddr_fam=inet lport=5"))
        );
        let parts = Parts::of(" login pid=1 old auid=2 new auid=3 old ses=4 new ses=5");
        assert_eq!((parts.outer, parts.login), ("pid=1", Some(["2", "3", "4", "5"])));
    }

    #[test]
    fn values_may_have_blanks() {
        let words: Vec<&str> = split("a=b c  d=e f-g=h i", |next| !super::is_words(next)).collect();
        assert_eq!(words, ["a=b c", "d=e", "f-g=h i"]);
    }

    #[test]
    fn hexadecimal_is_read_where_it_was_needed() {
        assert_eq!(readable("6C73202D6C"), Some("ls -l".to_owned()));
        assert_eq!(readable("6C737F0D"), Some("ls^?^M".to_owned()));
        assert_eq!(readable("6C73"), None);
        assert_eq!(readable("ls"), None);
    }
}
