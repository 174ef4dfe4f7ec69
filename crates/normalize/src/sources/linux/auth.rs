//! Logins and what they lead to: `/var/log/auth.log`, `/var/log/secure`, as Elastic's integration for systems reads them.
//!
//! Document: <https://www.elastic.co/docs/reference/integrations/system>.

use super::header::{self, Header};
use super::syslog;
use crate::convert;
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "linux_auth",
    aliases: &["auth_log"],
    title: "Authentication log: sshd, sudo, su, login, PAM, and the programs that manage users and groups",
    module: "system",
    dataset: "system.auth",
    os: Some("linux"),
    mappings: &[],
    derived: &[syslog::HEADER, DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

const DERIVED: &[Derived] = &[
    derived("event.action", &[]),
    derived("event.category", &[]),
    derived("event.code", &[]),
    derived("event.outcome", &[]),
    derived("event.type", &[]),
    derived("group.id", &[]),
    derived("group.name", &[]),
    derived("related.*", &[]),
    derived("source.address", &[]),
    derived("source.domain", &[]),
    derived("source.ip", &[]),
    derived("source.port", &[]),
    derived("system.auth.*", &[]),
    derived("user.effective.name", &[]),
    derived("user.id", &[]),
    derived("user.name", &[]),
];

/// Programs whose lines belong to the authentication log.
const PROGRAMS: &[&str] = &[
    "chage",
    "chfn",
    "chpasswd",
    "chsh",
    "gdm",
    "gpasswd",
    "groupadd",
    "groupdel",
    "groupmod",
    "lightdm",
    "login",
    "newgrp",
    "pam",
    "passwd",
    "polkitd",
    "runuser",
    "sshd",
    "sshd-session",
    "su",
    "sudo",
    "systemd-logind",
    "unix_chkpwd",
    "useradd",
    "userdel",
    "usermod",
];

/// Programs that manage users and groups: whom, and what they do to them.
fn manages(program: &str) -> Option<(&'static str, &'static str)> {
    Some(match program {
        "useradd" => ("user", "creation"),
        "userdel" => ("user", "deletion"),
        "usermod" => ("user", "change"),
        "groupadd" => ("group", "creation"),
        "groupdel" => ("group", "deletion"),
        "groupmod" => ("group", "change"),
        _ => return None,
    })
}

/// The header that the agent has taken off already.
fn parsed<'a>(record: &Record<'a>) -> Option<&'a Map<'a>> {
    let syslog = |object: &'a Map<'a>| {
        object
            .map_at("log.syslog")
            .filter(|syslog| syslog.get("appname").is_some())
    };
    record
        .object
        .and_then(syslog)
        .or_else(|| record.agent.and_then(syslog))
}

fn detect(record: &Record<'_>) -> Confidence {
    let ours = |program: &str, message: &str| PROGRAMS.contains(&program) || message.starts_with("pam_");
    let found = match (record.object, parsed(record)) {
        (Some(object), Some(syslog)) => ours(
            syslog.text_at("appname").unwrap_or(""),
            object.text_at("message").unwrap_or(""),
        ),
        (None, Some(syslog)) => ours(syslog.text_at("appname").unwrap_or(""), record.text),
        (None, None) => {
            let header = header::parse(record.text)
                .filter(|header| ours(header.program.unwrap_or(""), header.message));
            // With its priority before it, it is a line of syslog whatever it was found in.
            if header.is_some_and(|header| header.priority.is_some()) {
                return Confidence::Certain;
            }
            header.is_some()
        }
        (Some(_), None) => false,
    };
    if found { Confidence::Likely } else { Confidence::No }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let document = match record.object {
        Some(object) => object.deep_copy(),
        None => record.document(),
    };
    let message = if let Some(syslog) = parsed(record) {
        if let Some(program) = syslog.text_at("appname") {
            document.put_new("process.name", Value::Text(program));
        }
        match record.object {
            Some(_) => document.remove("message").and_then(Value::as_text).unwrap_or(""),
            None => record.text,
        }
    } else {
        let Some(header) =
            header::parse(record.text).filter(|header| header.program.is_some() || header.modern)
        else {
            return Err(Dropped::Malformed("it has no header of syslog"));
        };
        put_header(&header, record, document);
        header.message
    };
    document.put_text("event.kind", "event");
    if !known(message, document) {
        document.put_text("message", message);
        unknown(message, document);
    }
    if let Some(address) = document.at("source.address") {
        match convert::ip(address) {
            Some(ip) => document.put("source.ip", ip),
            None => document.put("source.domain", address),
        };
    }
    if let Some((whom, what)) = document.text_at("process.name").and_then(manages) {
        document.append("event.category", Value::Text("iam"));
        let failed = document
            .text_at("message")
            .is_some_and(|message| message.contains("fail"));
        document.put_text("event.outcome", if failed { "failure" } else { "success" });
        document.put_texts("event.type", &[whom, what]);
    }
    for (from, to) in [
        ("user.name", "related.user"),
        ("user.effective.name", "related.user"),
        ("source.ip", "related.ip"),
        ("host.hostname", "related.hosts"),
    ] {
        if let Some(value) = document.text_at(from) {
            document.append_new(to, Value::Text(value));
        }
    }
    Ok(document)
}

fn put_header<'a>(header: &Header<'a>, record: &Record<'a>, document: &'a Map<'a>) {
    syslog::put(header, record, document);
    if let Some(version) = header.version {
        document.put_text("system.auth.syslog.version", version);
    }
    if let Some(id) = header.message_id {
        document.put_text("event.code", id);
    }
    // Structured data: `[id name="value" …]`.
    let Some(data) = header.data else { return };
    let Some(target) = document.new_map().child("auth") else {
        return;
    };
    for (name, value) in data
        .split('"')
        .collect::<Vec<_>>()
        .chunks_exact(2)
        .filter_map(|pair| {
            let name = pair.first()?.strip_suffix('=')?.rsplit(' ').next()?;
            Some((name, *pair.get(1)?))
        })
    {
        target.set(
            document.text(&name.to_ascii_lowercase()),
            Value::Text(document.text(value)),
        );
    }
    if let Some(auth) = document.map_at("system.auth") {
        auth.merge(target);
    }
}

/// Takes apart messages that are known; gives whether it is one.
fn known<'a>(message: &'a str, document: &'a Map<'a>) -> bool {
    login(message, document).is_some()
        || invalid_user(message, document).is_some()
        || silent_client(message, document).is_some()
        || sudo(message, document).is_some()
        || new_account(message, document).is_some()
}

/// `Accepted publickey for root from 192.0.2.1 port 5 ssh2: RSA …`
fn login<'a>(message: &'a str, document: &'a Map<'a>) -> Option<()> {
    let (event, rest) = message.split_once(' ')?;
    let (method, rest) = rest.split_once(" for ")?;
    let (user, rest) = rest.split_once(" from ")?;
    let (address, rest) = rest.split_once(" port ")?;
    let (port, rest) = rest.split_once(" ssh2")?;
    let port: i64 = port.parse().ok()?;
    if address.contains(' ') {
        return None;
    }
    let user = user.strip_prefix("invalid user").map_or(user, str::trim_start);
    document.put_text("system.auth.ssh.event", event);
    document.put_text("system.auth.ssh.method", method);
    document.put_text("user.name", user);
    document.put_text("source.address", address);
    document.put("source.port", Value::Int(port));
    if let Some(signature) = rest.strip_prefix(": ") {
        document.put_text("system.auth.ssh.signature", signature);
    }
    ssh(event, document);
    Some(())
}

/// `Invalid user test from 192.0.2.1`
fn invalid_user<'a>(message: &'a str, document: &'a Map<'a>) -> Option<()> {
    let (event, rest) = message.split_once(" user ")?;
    let (user, rest) = rest.split_once(" from ")?;
    let address = rest.split(' ').next().filter(|address| is_address(address))?;
    document.put_text("system.auth.ssh.event", event);
    document.put_text("user.name", user);
    document.put_text("source.address", address);
    ssh(event, document);
    Some(())
}

fn is_address(text: &str) -> bool {
    let plain =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | ':' | '-' | '_' | '%');
    !text.is_empty() && text.chars().all(plain)
}

fn ssh<'a>(event: &str, document: &'a Map<'a>) {
    let (categories, outcome): (&[&str], _) = match event {
        "Accepted" => (&["authentication", "session"], "success"),
        "Invalid" | "Failed" => (&["authentication"], "failure"),
        _ => return,
    };
    document.put_texts("event.type", &["info"]);
    document.put_texts("event.category", categories);
    document.put_text("event.action", "ssh_login");
    document.put_text("event.outcome", outcome);
}

/// `Did not receive identification string from 192.0.2.1`
fn silent_client<'a>(message: &'a str, document: &'a Map<'a>) -> Option<()> {
    let rest = message.strip_prefix("Did not receive identification string from ")?;
    let address = rest.split(' ').next().filter(|address| is_address(address))?;
    let ip = convert::ip(Value::Text(address))?;
    document.put_text("system.auth.ssh.dropped_ip", address);
    document.put("source.ip", ip);
    Some(())
}

/// `alice : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls`, also with `user NOT in sudoers ;` before.
fn sudo<'a>(message: &'a str, document: &'a Map<'a>) -> Option<()> {
    let message = message.lines().next()?;
    let (user, rest) = message.split_once(" :")?;
    let (error, rest) = match rest.strip_prefix(" TTY=") {
        Some(rest) => (None, rest),
        None => {
            let (error, rest) = rest.split_once(" ; TTY=")?;
            (Some(error.strip_prefix(' ')?), rest)
        }
    };
    let (tty, rest) = rest.split_once(" ; PWD=")?;
    let (directory, rest) = rest.split_once(" ; USER=")?;
    let (target, command) = rest.split_once(" ; COMMAND=")?;
    document.put_text("user.name", user);
    document.put_text("user.effective.name", target);
    for (field, value) in [
        ("system.auth.sudo.error", error),
        ("system.auth.sudo.tty", Some(tty)),
        ("system.auth.sudo.pwd", Some(directory)),
        ("system.auth.sudo.user", Some(target)),
        ("system.auth.sudo.command", Some(command)),
    ] {
        if let Some(value) = value {
            document.put_text(field, value);
        }
    }
    document.put_texts("event.category", &["process"]);
    Some(())
}

/// `new group: name=a, GID=1` and `new user: name=a, UID=1, GID=1, home=/a, shell=/bin/sh`
fn new_account<'a>(message: &'a str, document: &'a Map<'a>) -> Option<()> {
    if let Some(rest) = message.strip_prefix("new group: name=") {
        let (name, rest) = rest.split_once(", GID=")?;
        let id = rest.split(|letter: char| !letter.is_ascii_digit()).next()?;
        document.put_text("group.name", name);
        document.put_text("group.id", id);
        return Some(());
    }
    let rest = message.strip_prefix("new user: name=")?;
    let (name, rest) = rest.split_once(", UID=")?;
    let (id, rest) = rest.split_once(", GID=")?;
    let (group, rest) = rest.split_once(", home=")?;
    let (home, shell) = rest.split_once(", shell=")?;
    for (field, value) in [
        ("user.name", name),
        ("user.id", id),
        ("group.id", group),
        ("system.auth.useradd.home", home),
        ("system.auth.useradd.shell", shell),
    ] {
        document.put_text(field, value);
    }
    Some(())
}

/// What can be said of a message that is not taken apart: who, and what PAM did.
fn unknown<'a>(message: &'a str, document: &'a Map<'a>) {
    let failure = message.contains("authentication failure");
    match pam_kind(message) {
        Some("session") => document.append_new("event.category", Value::Text("session")),
        Some("auth") => {
            document.append_new("event.category", Value::Text("authentication"));
            document.put_text("event.outcome", "success");
        }
        _ => {}
    }
    if failure {
        document.put_text("event.outcome", "failure");
        document.append_new("event.category", Value::Text("authentication"));
    }
    for (words, action) in [("session opened", "logged-on"), ("session closed", "logged-off")] {
        if message.contains(words) {
            document.put_text("event.action", action);
        }
    }
    let people = People::of(message);
    if let Some(id) = people.by_id {
        document.put_text("user.id", id);
    }
    match (people.by, people.for_whom.or(people.plain)) {
        (Some(by), effective) => {
            document.put_text("user.name", by);
            if let Some(effective) = effective {
                document.put_text("user.effective.name", effective);
            }
        }
        (None, Some(user)) => {
            document.put_text("user.name", user);
        }
        (None, None) => {}
    }
}

/// `pam_unix(sshd:session): …`
fn pam_kind(message: &str) -> Option<&str> {
    let (_, kind) = message
        .strip_prefix("pam_unix(")?
        .split_once(')')?
        .0
        .split_once(':')?;
    Some(kind)
}

/// Whom a message names.
#[derive(Debug, Default, PartialEq, Eq)]
struct People<'a> {
    for_whom: Option<&'a str>,
    by: Option<&'a str>,
    by_id: Option<&'a str>,
    plain: Option<&'a str>,
}

impl<'a> People<'a> {
    /// `… for user X by Y(uid=Z)`, `… for user X`, `… by user Y`, `… user 'X' …`
    fn of(message: &'a str) -> Self {
        let message = message.strip_suffix('\n').unwrap_or(message);
        if let Some((_, rest)) = message.split_once("for user ") {
            if let Some((for_whom, by)) = rest.split_once(" by ") {
                let (by, by_id) = without_id(by);
                return Self {
                    for_whom: Some(unquoted(without_id(for_whom).0)),
                    by: Some(unquoted(by)),
                    by_id,
                    ..Self::default()
                };
            }
            if !rest.contains('\n') {
                return Self {
                    for_whom: Some(unquoted(without_id(rest).0)),
                    ..Self::default()
                };
            }
        }
        if let Some((_, by)) = message.split_once("by user ")
            && !by.contains('\n')
        {
            return Self {
                by: Some(unquoted(by)),
                ..Self::default()
            };
        }
        let quoted = message.split_once(" user ").and_then(|(_, rest)| {
            let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
            rest.get(1..)?.split(quote).next()
        });
        Self {
            plain: quoted,
            ..Self::default()
        }
    }
}

/// `root(uid=0)` as its parts.
fn without_id(name: &str) -> (&str, Option<&str>) {
    let parts = name.strip_suffix(')').and_then(|name| name.split_once("(uid="));
    match parts {
        Some((name, id)) if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()) => {
            (name, Some(id))
        }
        _ => (name, None),
    }
}

fn unquoted(text: &str) -> &str {
    let text = text.strip_prefix(['\'', '"']).unwrap_or(text);
    text.strip_suffix(['\'', '"']).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::People;

    #[test]
    fn messages_name_people() {
        let people = |for_whom, by, by_id, plain| People {
            for_whom,
            by,
            by_id,
            plain,
        };
        for (message, expected) in [
            (
                "pam_unix(sudo:session): session opened for user root by alice(uid=1000)",
                people(Some("root"), Some("alice"), Some("1000"), None),
            ),
            (
                "session opened for user root(uid=0) by (uid=0)",
                people(Some("root"), Some(""), Some("0"), None),
            ),
            (
                "session closed for user 'bob'",
                people(Some("bob"), None, None, None),
            ),
            (
                "subsystem request for sftp by user bob",
                people(None, Some("bob"), None, None),
            ),
            (
                "failed adding user 'aol', exit code: 4",
                people(None, None, None, Some("aol")),
            ),
            ("Connection closed", people(None, None, None, None)),
        ] {
            assert_eq!(People::of(message), expected, "{message}");
        }
    }
}
