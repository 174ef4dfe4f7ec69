//! The reason of an alert: one sentence of who did what where.
//!
//! A sequence has a clause for each step, with the time between them, and the place once at the beginning where all
//! steps share it. Values stand in backticks as they are in the events, cut when long; control characters become spaces,
//! so that no event can steer the terminal that shows the sentence.

use neph_event::Instant;
use serde_json::Value;

use super::fields::{has, text};

/// Values longer than this many characters are cut.
const MAX_VALUE: usize = 160;
/// So many matched values are added that the clause itself does not tell.
const MAX_EXTRAS: usize = 3;

/// A step of the alert: its event, or `None` where nothing happened as the rule wants it.
pub(crate) struct Step<'a> {
    /// The event's document.
    pub(crate) document: Option<&'a Value>,
    /// Its time.
    pub(crate) time: Option<Instant>,
    /// Fields and values that the rule's condition met.
    pub(crate) matched: &'a [(String, String)],
}

/// The sentence for all steps, in order.
pub(crate) fn sentence(steps: &[Step<'_>]) -> String {
    let places: Vec<String> = steps.iter().filter_map(|step| step.document.map(place)).collect();
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
                    sentence.push_str(&later(before, step.time));
                }
                let mut clause = clause(document);
                if common.is_none() {
                    clause.push_str(&place(document));
                }
                clause.push_str(&extras(&clause, step.matched));
                sentence.push_str(&clause);
                before = step.time.or(before);
            }
            None if sentence.is_empty() => sentence.push_str("without what should come before"),
            None => sentence.push_str("and what should follow did not happen"),
        }
    }
    match common {
        Some(place) => {
            let place = place.trim_start();
            let mut characters = place.chars();
            let head: String = characters
                .next()
                .into_iter()
                .flat_map(char::to_uppercase)
                .collect();
            format!("{head}{}: {sentence}", characters.as_str())
        }
        None => {
            let mut characters = sentence.chars();
            let head: String = characters
                .next()
                .into_iter()
                .flat_map(char::to_uppercase)
                .collect();
            format!("{head}{}", characters.as_str())
        }
    }
}

fn later(before: Option<Instant>, now: Option<Instant>) -> String {
    let Some((before, now)) = before.zip(now) else {
        return "then ".into();
    };
    let millis = now.as_millis().saturating_sub(before.as_millis());
    match millis {
        ..=0 => "at the same time ".into(),
        1..1000 => format!("{millis} ms later "),
        1000..120_000 => format!("{} s later ", millis / 1000),
        120_000..7_200_000 => format!("{} min later ", millis / 60_000),
        _ => format!("{} h later ", millis / 3_600_000),
    }
}

/// Matched values that the clause does not show, but for those that only tell kinds of events apart.
fn extras(clause: &str, matched: &[(String, String)]) -> String {
    let telling: Vec<String> = matched
        .iter()
        .filter(|(field, value)| {
            let is_kind =
                field.starts_with("event.") || field.ends_with("os.type") || field == "data_stream.dataset";
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
fn clause(event: &Value) -> String {
    let category = |word| has(event, "event.category", word);
    if category("process") && (has(event, "event.type", "start") || has(event, "event.action", "exec")) {
        return process_start(event);
    }
    if category("authentication") {
        return authentication(event);
    }
    if text(event, "dns.question.name").is_some() || category("dns") {
        return object(event, "looked up", &["dns.question.name"]);
    }
    if category("file") {
        return object(event, file_verb(event), &["file.path", "file.name"]);
    }
    if category("registry") {
        return object(
            event,
            "changed the registry at",
            &["registry.path", "registry.key"],
        );
    }
    if category("library") || category("driver") {
        return object(
            event,
            "loaded",
            &["dll.path", "driver.path", "file.path", "dll.name"],
        );
    }
    if text(event, "process.name").is_some() && category("network") {
        return connection(event);
    }
    if let Some(request) = request(event) {
        return request;
    }
    if category("network") {
        return connection(event);
    }
    call(event)
}

fn process_start(event: &Value) -> String {
    let name = text(event, "process.name").or_else(|| text(event, "process.executable"));
    let started = name.map_or_else(|| "a process".to_owned(), |name| quoted(&name));
    let mut out = match who(event) {
        Some(user) => format!("{user} started {started}"),
        None => format!("{started} was started"),
    };
    if let Some(line) = text(event, "process.command_line") {
        out.push_str(&format!(" as {}", quoted(&line)));
    }
    if let Some(parent) =
        text(event, "process.parent.name").or_else(|| text(event, "process.parent.executable"))
    {
        out.push_str(&format!(" from {}", quoted(&parent)));
    }
    out
}

fn connection(event: &Value) -> String {
    let action = text(event, "event.action").unwrap_or_default();
    let verb = match action.as_str() {
        "connection_attempted" => "tried to connect to",
        "connection_accepted" => "accepted a connection from",
        "disconnect_received" | "connection_closed" | "end" => "ended a connection to",
        _ if has(event, "event.type", "denied") => "was denied a connection to",
        _ => "connected to",
    };
    let side = if action == "connection_accepted" {
        "source"
    } else {
        "destination"
    };
    let address = ["ip", "address", "domain"]
        .iter()
        .find_map(|part| text(event, &format!("{side}.{part}")));
    let mut target = address.unwrap_or_else(|| "an address".to_owned());
    if let Some(port) = text(event, &format!("{side}.port")) {
        target = if target.contains(':') {
            format!("[{target}]:{port}")
        } else {
            format!("{target}:{port}")
        };
    }
    format!("{} {verb} {}", actor(event), quoted(&target))
}

fn authentication(event: &Value) -> String {
    let verb = match (
        has(event, "event.outcome", "failure"),
        has(event, "event.outcome", "success"),
    ) {
        (true, _) => "failed to log in",
        (_, true) => "logged in",
        _ => "tried to log in",
    };
    let mut out = format!("{} {verb}", who(event).unwrap_or_else(|| "somebody".into()));
    out.push_str(&from(event));
    out
}

fn file_verb(event: &Value) -> &'static str {
    let kind = |word| has(event, "event.type", word);
    let action = text(event, "event.action").unwrap_or_default();
    match action.as_str() {
        "rename" => "renamed a file to",
        "open" | "read" => "opened",
        "overwrite" | "modification" => "changed",
        _ if kind("creation") => "created",
        _ if kind("deletion") => "deleted",
        _ if kind("change") => "changed",
        _ => "accessed",
    }
}

fn object(event: &Value, verb: &str, fields: &[&str]) -> String {
    let object = fields.iter().find_map(|field| text(event, field));
    let object = object.map_or_else(|| "something".to_owned(), |object| quoted(&object));
    format!("{} {verb} {object}", actor(event))
}

/// A request of a web server's log.
fn request(event: &Value) -> Option<String> {
    let url = ["url.original", "url.full", "url.path"]
        .iter()
        .find_map(|field| text(event, field))?;
    let method =
        text(event, "http.request.method").map_or_else(String::new, |method| format!("{} ", shown(&method)));
    let mut out = match text(event, "source.ip").or_else(|| text(event, "client.ip")) {
        Some(address) => format!("{} requested {method}{}", quoted(&address), quoted(&url)),
        None => format!("{} requested {method}{}", actor(event), quoted(&url)),
    };
    if let Some(status) = text(event, "http.response.status_code") {
        out.push_str(&format!(", answered {}", shown(&status)));
    }
    Some(out)
}

/// A call of an interface, or whatever else the event calls an action.
fn call(event: &Value) -> String {
    let action = text(event, "event.action").or_else(|| text(event, "event.code"));
    let mut out = match (
        &action,
        text(event, "event.provider").or_else(|| text(event, "event.dataset")),
    ) {
        (Some(action), Some(provider)) => {
            format!("{} did {} ({})", actor(event), quoted(action), shown(&provider))
        }
        (Some(action), None) => format!("{} did {}", actor(event), quoted(action)),
        (None, Some(provider)) => format!("an event of {}", quoted(&provider)),
        (None, None) => match text(event, "event.category") {
            Some(category) => format!("an event of the category {}", quoted(&category)),
            None => "an event".to_owned(),
        },
    };
    if has(event, "event.outcome", "failure") {
        out.push_str(" without success");
    }
    out.push_str(&from(event));
    out
}

fn from(event: &Value) -> String {
    let address = ["source.ip", "source.address", "client.ip"]
        .iter()
        .find_map(|field| text(event, field));
    address.map_or_else(String::new, |address| format!(" from {}", quoted(&address)))
}

/// The process, with its user; else the user.
fn actor(event: &Value) -> String {
    match (text(event, "process.name"), who(event)) {
        (Some(process), Some(user)) => format!("{} of {user}", quoted(&process)),
        (Some(process), None) => quoted(&process),
        (None, Some(user)) => user,
        (None, None) => "somebody".into(),
    }
}

fn who(event: &Value) -> Option<String> {
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
fn place(event: &Value) -> String {
    let host = ["host.name", "host.hostname", "host.id"]
        .iter()
        .find_map(|field| text(event, field));
    let container = text(event, "container.name").or_else(|| text(event, "container.id"));
    let cluster = text(event, "orchestrator.cluster.name");
    let account = text(event, "cloud.account.id");
    let mut out = String::new();
    if let Some(container) = &container {
        out.push_str(&format!(" in container {}", quoted(container)));
    }
    if let Some(host) = &host {
        out.push_str(&format!(" on {}", quoted(host)));
    }
    if host.is_none() {
        if let Some(cluster) = cluster {
            out.push_str(&format!(" in cluster {}", quoted(&cluster)));
        } else if let Some(account) = account {
            out.push_str(&format!(" in account {}", quoted(&account)));
        }
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
    use serde_json::json;

    use super::*;

    fn one(document: Value) -> String {
        sentence(&[Step {
            document: Some(&document),
            time: None,
            matched: &[],
        }])
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
        let matched = vec![
            ("event.type".to_owned(), "start".to_owned()),
            ("process.name".to_owned(), "curl".to_owned()),
            ("process.working_directory".to_owned(), "/tmp".to_owned()),
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
            sentence(&steps),
            "On `web-1`: `curl` was started (process.working_directory `/tmp`), 12 ms later `curl` tried to connect to \
             `169.254.169.254:80`, and what should follow did not happen"
        );
    }
}
