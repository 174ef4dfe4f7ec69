//! The reason of an alert: one sentence of who did what where.
//!
//! A sequence has a clause for each step, with the time between them, and the place once at the beginning where all
//! steps share it. Values stand in backticks as they are in the events, cut when long; control characters become spaces,
//! so that no event can steer the terminal that shows the sentence.

use std::sync::Arc;

use neph_event::Instant;

use super::fields::{has, text};
use super::phrases::{self, Phrase};
use super::tree::Tree;
use crate::texts::Lang;

/// Values longer than this many characters are cut.
const MAX_VALUE: usize = 160;
/// So many matched values are added that the clause itself does not tell.
const MAX_EXTRAS: usize = 3;

/// A step of the alert: its event, or `None` where nothing happened as the rule wants it.
pub(crate) struct Step<'a> {
    /// The event's document.
    pub(crate) document: Option<&'a Tree<'a>>,
    /// Its time.
    pub(crate) time: Option<Instant>,
    /// Fields and values that the rule's condition met.
    pub(crate) matched: &'a [(Arc<str>, String)],
}

/// The sentence for all steps, in order.
pub(crate) fn sentence(lang: Lang, steps: &[Step<'_>]) -> String {
    let places: Vec<String> = steps
        .iter()
        .filter_map(|step| step.document.map(|event| place(lang, event)))
        .collect();
    let common = places
        .first()
        .filter(|first| !first.is_empty() && places.iter().all(|place| place == *first));
    let mut sentence = String::new();
    let mut before: Option<Instant> = None;
    for step in steps {
        if !sentence.is_empty() {
            sentence.push_str(", ");
        }
        match step.document {
            Some(document) => {
                if !sentence.is_empty() {
                    sentence.push_str(&later(lang, before, step.time));
                }
                let mut clause = clause(lang, document);
                if common.is_none() {
                    clause.push_str(&place(lang, document));
                }
                clause.push_str(&extras(&clause, step.matched));
                sentence.push_str(&clause);
                before = step.time.or(before);
            }
            None if sentence.is_empty() => sentence.push_str(phrases::NOT_BEFORE.word(lang)),
            None => sentence.push_str(phrases::NOT_BEHIND.word(lang)),
        }
    }
    match common {
        Some(place) => format!("{}: {sentence}", capitalised(place.trim_start())),
        None => capitalised(&sentence),
    }
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let head: String = characters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .collect();
    format!("{head}{}", characters.as_str())
}

fn later(lang: Lang, before: Option<Instant>, now: Option<Instant>) -> String {
    let Some((before, now)) = before.zip(now) else {
        return phrases::THEN.word(lang).into();
    };
    let millis = now.as_millis().saturating_sub(before.as_millis());
    let (phrase, number) = match millis {
        ..=0 => (phrases::SAME_TIME, 0),
        1..1000 => (phrases::MILLIS_LATER, millis),
        1000..120_000 => (phrases::SECONDS_LATER, millis / 1000),
        120_000..7_200_000 => (phrases::MINUTES_LATER, millis / 60_000),
        _ => (phrases::HOURS_LATER, millis / 3_600_000),
    };
    phrase.tell(lang, &[&number.to_string()])
}

/// Matched values that the clause does not show, but for those that only tell kinds of events apart.
fn extras(clause: &str, matched: &[(Arc<str>, String)]) -> String {
    let telling: Vec<String> = matched
        .iter()
        .filter(|(field, value)| {
            let is_kind = field.starts_with("event.")
                || field.ends_with("os.type")
                || **field == *"data_stream.dataset";
            !is_kind && !value.is_empty() && !clause.contains(&shown(value))
        })
        .take(MAX_EXTRAS)
        .map(|(field, value)| format!("{field} {}", quoted(value)))
        .collect();
    if telling.is_empty() {
        String::new()
    } else {
        format!(" ({})", telling.join(", "))
    }
}

/// Who did what.
fn clause(lang: Lang, event: &Tree<'_>) -> String {
    let category = |word| has(event, "event.category", word);
    if category("process") && (has(event, "event.type", "start") || has(event, "event.action", "exec")) {
        return process_start(lang, event);
    }
    if category("authentication") {
        return authentication(lang, event);
    }
    if text(event, "dns.question.name").is_some() || category("dns") {
        return object(lang, event, phrases::LOOKED_UP, &["dns.question.name"]);
    }
    if category("file") {
        return object(lang, event, file_phrase(event), &["file.path", "file.name"]);
    }
    if category("registry") {
        let fields = ["registry.path", "registry.key"];
        return object(lang, event, phrases::REGISTRY_CHANGED, &fields);
    }
    if category("library") || category("driver") {
        let fields = ["dll.path", "driver.path", "file.path", "dll.name"];
        return object(lang, event, phrases::LOADED, &fields);
    }
    if text(event, "process.name").is_some() && category("network") {
        return connection(lang, event);
    }
    if let Some(request) = request(lang, event) {
        return request;
    }
    // Changes of networks are of this category too, and connect to nothing.
    let far = ["destination.ip", "destination.address", "destination.domain"];
    let is_connection =
        has(event, "event.type", "connection") || far.iter().any(|field| text(event, field).is_some());
    if category("network") && is_connection {
        return connection(lang, event);
    }
    call(lang, event)
}

fn process_start(lang: Lang, event: &Tree<'_>) -> String {
    let name = text(event, "process.name").or_else(|| text(event, "process.executable"));
    let started = name.map_or_else(|| phrases::A_PROCESS.word(lang).to_owned(), |name| quoted(&name));
    let mut out = match who(event) {
        Some(user) => phrases::STARTED_BY.tell(lang, &[&user, &started]),
        None => phrases::WAS_STARTED.tell(lang, &[&started]),
    };
    if let Some(line) = text(event, "process.command_line") {
        out.push_str(&phrases::AS_COMMAND.tell(lang, &[&quoted(&line)]));
    }
    if let Some(parent) =
        text(event, "process.parent.name").or_else(|| text(event, "process.parent.executable"))
    {
        out.push_str(&phrases::FROM_PARENT.tell(lang, &[&quoted(&parent)]));
    }
    out
}

fn connection(lang: Lang, event: &Tree<'_>) -> String {
    let action = text(event, "event.action").unwrap_or_default();
    let phrase = match &*action {
        "connection_attempted" => phrases::TRIED_TO_CONNECT,
        "connection_accepted" => phrases::ACCEPTED,
        "disconnect_received" | "connection_closed" | "end" => phrases::ENDED,
        _ if has(event, "event.type", "denied") => phrases::WAS_DENIED,
        _ => phrases::CONNECTED,
    };
    let side = if action == "connection_accepted" {
        "source"
    } else {
        "destination"
    };
    let address = ["ip", "address", "domain"]
        .iter()
        .find_map(|part| text(event, &format!("{side}.{part}")));
    let mut target = address.unwrap_or_else(|| phrases::AN_ADDRESS.word(lang).into());
    if let Some(port) = text(event, &format!("{side}.port")) {
        target = if target.contains(':') {
            format!("[{target}]:{port}").into()
        } else {
            format!("{target}:{port}").into()
        };
    }
    phrase.tell(lang, &[&actor(lang, event), &quoted(&target)])
}

fn authentication(lang: Lang, event: &Tree<'_>) -> String {
    let phrase = match (
        has(event, "event.outcome", "failure"),
        has(event, "event.outcome", "success"),
    ) {
        (true, _) => phrases::LOGIN_FAILED,
        (_, true) => phrases::LOGGED_IN,
        _ => phrases::TRIED_TO_LOG_IN,
    };
    let who = who(event).unwrap_or_else(|| phrases::SOMEBODY.word(lang).into());
    phrase.tell(lang, &[&who]) + &from(lang, event)
}

fn file_phrase(event: &Tree<'_>) -> Phrase {
    let kind = |word| has(event, "event.type", word);
    let action = text(event, "event.action").unwrap_or_default();
    match &*action {
        "rename" => phrases::RENAMED,
        "open" | "read" => phrases::OPENED,
        "overwrite" | "modification" => phrases::CHANGED,
        _ if kind("creation") => phrases::CREATED,
        _ if kind("deletion") => phrases::DELETED,
        _ if kind("change") => phrases::CHANGED,
        _ => phrases::ACCESSED,
    }
}

fn object(lang: Lang, event: &Tree<'_>, phrase: Phrase, fields: &[&str]) -> String {
    let object = fields.iter().find_map(|field| text(event, field));
    let object = object.map_or_else(
        || phrases::SOMETHING.word(lang).to_owned(),
        |object| quoted(&object),
    );
    phrase.tell(lang, &[&actor(lang, event), &object])
}

/// A request of a web server's log.
fn request(lang: Lang, event: &Tree<'_>) -> Option<String> {
    let url = ["url.original", "url.full", "url.path"]
        .iter()
        .find_map(|field| text(event, field))?;
    let method =
        text(event, "http.request.method").map_or_else(String::new, |method| format!("{} ", shown(&method)));
    let client = text(event, "source.ip").or_else(|| text(event, "client.ip"));
    let client = client.map_or_else(|| actor(lang, event), |address| quoted(&address));
    let mut out = phrases::REQUESTED.tell(lang, &[&client, &method, &quoted(&url)]);
    if let Some(status) = text(event, "http.response.status_code") {
        out.push_str(&phrases::ANSWERED.tell(lang, &[&shown(&status)]));
    }
    Some(out)
}

/// A call of an interface, or whatever else the event calls an action.
fn call(lang: Lang, event: &Tree<'_>) -> String {
    let action = text(event, "event.action").or_else(|| text(event, "event.code"));
    let mut out = match (
        &action,
        text(event, "event.provider").or_else(|| text(event, "event.dataset")),
    ) {
        (Some(action), Some(provider)) => {
            phrases::DID_IN.tell(lang, &[&actor(lang, event), &quoted(action), &shown(&provider)])
        }
        (Some(action), None) => phrases::DID.tell(lang, &[&actor(lang, event), &quoted(action)]),
        (None, Some(provider)) => phrases::AN_EVENT_OF.tell(lang, &[&quoted(&provider)]),
        (None, None) => match text(event, "event.category") {
            Some(category) => phrases::AN_EVENT_OF_CATEGORY.tell(lang, &[&quoted(&category)]),
            None => phrases::AN_EVENT.word(lang).to_owned(),
        },
    };
    if has(event, "event.outcome", "failure") {
        out.push_str(phrases::WITHOUT_SUCCESS.word(lang));
    }
    out.push_str(&from(lang, event));
    out
}

fn from(lang: Lang, event: &Tree<'_>) -> String {
    let address = ["source.ip", "source.address", "client.ip"]
        .iter()
        .find_map(|field| text(event, field));
    address.map_or_else(String::new, |address| {
        phrases::FROM_ADDRESS.tell(lang, &[&quoted(&address)])
    })
}

/// The process, with its user; else the user.
fn actor(lang: Lang, event: &Tree<'_>) -> String {
    match (text(event, "process.name"), who(event)) {
        (Some(process), Some(user)) => phrases::OF_USER.tell(lang, &[&quoted(&process), &user]),
        (Some(process), None) => quoted(&process),
        (None, Some(user)) => user,
        (None, None) => phrases::SOMEBODY.word(lang).into(),
    }
}

fn who(event: &Tree<'_>) -> Option<String> {
    let fields = [
        "user.name",
        "user.email",
        "kubernetes.audit.user.username",
        "aws.cloudtrail.user_identity.arn",
        "client.user.email",
        "client.user.id",
        "user.id",
    ];
    fields
        .iter()
        .find_map(|field| text(event, field))
        .map(|user| quoted(&user))
}

/// Where, with a space in front; empty where the event does not say.
fn place(lang: Lang, event: &Tree<'_>) -> String {
    let host = ["host.name", "host.hostname", "host.id"]
        .iter()
        .find_map(|field| text(event, field));
    let container = text(event, "container.name").or_else(|| text(event, "container.id"));
    let cluster = text(event, "orchestrator.cluster.name");
    let account = text(event, "cloud.account.id");
    let mut out = String::new();
    if let Some(container) = &container {
        out.push_str(&phrases::IN_CONTAINER.tell(lang, &[&quoted(container)]));
    }
    if let Some(host) = &host {
        out.push_str(&phrases::ON_HOST.tell(lang, &[&quoted(host)]));
    } else if let Some(cluster) = cluster {
        out.push_str(&phrases::IN_CLUSTER.tell(lang, &[&quoted(&cluster)]));
    } else if let Some(account) = account {
        out.push_str(&phrases::IN_ACCOUNT.tell(lang, &[&quoted(&account)]));
    }
    out
}

pub(super) fn quoted(value: &str) -> String {
    format!("`{}`", shown(value))
}

fn shown(value: &str) -> String {
    let mut out: String = value
        .chars()
        .take(MAX_VALUE)
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    if value.chars().nth(MAX_VALUE).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn one(document: Value) -> String {
        let document = Tree::from(document);
        sentence(
            Lang::English,
            &[Step {
                document: Some(&document),
                time: None,
                matched: &[],
            }],
        )
    }

    #[test]
    fn clauses_of_kinds_of_events() {
        let cases = [
            (
                json!({"event": {"category": ["process"], "type": ["start"]}, "process": {"name": "curl",
                    "command_line": "curl -s http://x", "parent": {"name": "sh"}}, "user": {"name": "www"},
                    "host": {"name": "web-1"}}),
                "On `web-1`: `www` started `curl` as `curl -s http://x` from `sh`",
            ),
            (
                json!({"event": {"category": "network", "action": "connection_attempted"}, "process": {"name": "curl"},
                    "destination": {"ip": "fd00:ec2::254", "port": 80}}),
                "`curl` tried to connect to `[fd00:ec2::254]:80`",
            ),
            (
                json!({"event": {"category": ["network", "configuration"], "action": "beta.compute.snapshots.insert"},
                    "user": {"name": "ann"}, "source": {"ip": "192.0.2.1"}}),
                "`ann` did `beta.compute.snapshots.insert` from `192.0.2.1`",
            ),
            (
                json!({"event": {"category": "authentication", "outcome": "failure"}, "user": {"name": "ann"},
                    "source": {"ip": "192.0.2.1"}, "host": {"name": "h"}}),
                "On `h`: `ann` failed to log in from `192.0.2.1`",
            ),
            (
                json!({"event": {"category": ["file"], "type": ["creation"]}, "file": {"path": "/tmp/x"},
                    "process": {"name": "sh"}, "user": {"name": "root"}, "container": {"name": "web"},
                    "host": {"name": "n1"}}),
                "In container `web` on `n1`: `sh` of `root` created `/tmp/x`",
            ),
            (
                json!({"event": {"action": "CreateSnapshot", "provider": "ec2.amazonaws.com", "outcome": "failure"},
                    "aws": {"cloudtrail": {"user_identity": {"arn": "arn:aws:iam::1:user/eve"}}},
                    "source": {"ip": "198.51.100.7"}, "cloud": {"account": {"id": "1"}}}),
                "In account `1`: `arn:aws:iam::1:user/eve` did `CreateSnapshot` (ec2.amazonaws.com) without success from `198.51.100.7`",
            ),
            (
                json!({"event": {"category": ["web"]}, "url": {"original": "/?u=http://169.254.169.254/"},
                    "http": {"request": {"method": "GET"}, "response": {"status_code": 200}},
                    "source": {"ip": "203.0.113.9"}}),
                "`203.0.113.9` requested GET `/?u=http://169.254.169.254/`, answered 200",
            ),
            (json!({}), "An event"),
        ];
        for (document, expected) in cases {
            assert_eq!(one(document), expected);
        }
    }

    #[test]
    fn a_clause_in_each_language() {
        let event = json!({"event": {"category": ["process"], "type": ["start"]}, "process": {"name": "curl",
            "command_line": "curl x"}, "user": {"name": "www"}, "host": {"name": "web-1"}});
        let event = Tree::from(event);
        let step = Step {
            document: Some(&event),
            time: None,
            matched: &[],
        };
        let told = Lang::ALL.map(|lang| sentence(lang, std::slice::from_ref(&step)));
        assert_eq!(
            told,
            [
                "On `web-1`: `www` started `curl` as `curl x`",
                "На узле `web-1`: `www` запустил `curl` командой `curl x`",
                "主机 `web-1`: `www` 启动了 `curl`，命令行 `curl x`"
            ]
        );
    }

    #[test]
    fn values_cannot_steer_a_terminal_and_are_cut() {
        let long = "x".repeat(1000);
        let text = one(json!({"event": {"action": format!("\u{1b}[31m{long}\n")}}));
        assert!(!text.contains('\u{1b}') && !text.contains('\n'));
        assert!(text.chars().count() < 250, "{text}");
    }

    #[test]
    fn steps_are_clauses_and_places_stand_once() {
        let start = json!({"event": {"category": ["process"], "type": ["start"]}, "process": {"name": "curl"},
            "host": {"name": "web-1"}});
        let connect = json!({"event": {"category": ["network"], "action": "connection_attempted"},
            "process": {"name": "curl"}, "destination": {"ip": "169.254.169.254", "port": 80}, "host": {"name": "web-1"}});
        let (start, connect) = (Tree::from(start), Tree::from(connect));
        let matched = vec![
            ("event.type".into(), "start".to_owned()),
            ("process.name".into(), "curl".to_owned()),
            ("process.working_directory".into(), "/tmp".to_owned()),
        ];
        let steps = [
            Step {
                document: Some(&start),
                time: Some(Instant::from_millis(0)),
                matched: &matched,
            },
            Step {
                document: Some(&connect),
                time: Some(Instant::from_millis(12)),
                matched: &[],
            },
            Step {
                document: None,
                time: None,
                matched: &[],
            },
        ];
        assert_eq!(
            sentence(Lang::English, &steps),
            "On `web-1`: `curl` was started (process.working_directory `/tmp`), 12 ms later `curl` tried to connect to \
             `169.254.169.254:80`, and what should follow did not happen"
        );
    }
}
