//! The log of the Docker daemon, with that of the containerd that it runs.
//!
//! Lines are pairs of logrus, or JSON (`log-format`). At level debug each call of the API is a line, written before the
//! call runs, so its outcome is not known; the body of a POST follows in a line of its own, which the reader joins to it.
//! Engines from 28 on write both into one line, and a second line where the call fails.
//! <https://docs.docker.com/engine/daemon/logs/>,
//! <https://github.com/moby/moby/blob/master/daemon/server/middleware/debug.go>. Times have nine decimals, as moby and
//! containerd write them and hardly anybody else does.

use std::sync::LazyLock;

use super::{api, cri};
use crate::join::{Joining, Part};
use crate::json;
use crate::logfmt;
use crate::mapping::{How, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::sources::docker;
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "docker_daemon",
    aliases: &["dockerd_log", "dockerd", "containerd"],
    title: "Log of the Docker daemon with the calls of its API (level debug), and of containerd",
    module: "docker",
    dataset: "docker.daemon",
    os: None,
    mappings: &[FIELDS],
    derived: &[DERIVED, api::DERIVED, cri::CALL],
    detect,
    start: || Box::new(Stateless(normalize)),
};

/// The body of a call stands in the line behind it, which says nothing of the call: they are told to belong together by
/// their order alone. Lines of other goroutines may come between.
pub(in crate::sources) const JOINING: Joining = Joining {
    source: "docker_daemon",
    marks: &["Calling POST", "form data: "],
    part: |line| match line
        .strip_prefix("time=\"")
        .and_then(|rest| rest.split_once(" msg=\""))
    {
        Some((_, message)) if message.starts_with("Calling POST ") => Part::First(""),
        Some((_, message)) if message.starts_with(FORM) => Part::Last(""),
        _ => Part::Alone,
    },
    patience: 8,
};

static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[FIELDS]));

const FIELDS: &[Mapping] = &[
    to(How::Date, "time", "@timestamp"),
    keep("level", "log.level"),
    keep("msg", "message"),
    keep("error", "error.message"),
    keep("error-response", "error.message"),
    to(How::Long, "status", "http.response.status_code"),
    keep("container", "container.id"),
    keep("containerID", "container.id"),
    keep("module", "docker.daemon.module"),
    keep("namespace", "docker.daemon.namespace"),
    keep("ns", "docker.daemon.namespace"),
    keep("topic", "docker.daemon.topic"),
    keep("type", "docker.daemon.type"),
];

const DERIVED: &[Derived] = &[
    derived("event.kind", &[]),
    derived("event.outcome", &["status"]),
    derived("event.provider", &["msg"]),
    derived("user.id", &["msg"]),
    derived("process.pid", &["msg"]),
    derived("container.runtime", &[]),
];

const CALLING: &str = "Calling ";
const FORM: &str = "form data: ";

/// What the daemon and containerd write and nothing else: beginnings of messages, and pairs.
const MARKS: &[&str] = &[
    "msg=\"Calling ",
    "msg=\"form data: ",
    "msg=\"handling ",
    "msg=\"Handler for ",
    "module=libcontainerd",
    "module=api",
    "namespace=moby",
    "namespace=k8s.io",
    " ns=moby",
    " ns=k8s.io",
    "containerd",
    "moby",
    "[BUILDER]",
    "attach: std",
];

/// Whether a time has exactly nine decimals.
fn has_nanos(time: &str) -> bool {
    let decimals = time.get(20..29);
    time.get(19..20) == Some(".")
        && decimals.is_some_and(|decimals| decimals.bytes().all(|byte| byte.is_ascii_digit()))
        && time
            .get(29..30)
            .is_some_and(|next| matches!(next, "Z" | "+" | "-"))
}

fn detect(record: &Record<'_>) -> Confidence {
    if let Some(object) = record.object {
        let shape = object.text_at("time").is_some_and(has_nanos)
            && object.text_at("level").is_some()
            && object.text_at("msg").is_some();
        return match shape {
            true if object.get("request-url").is_some() || is_call(object.text_at("msg").unwrap_or("")) => {
                Confidence::Certain
            }
            true => Confidence::Likely,
            false => Confidence::No,
        };
    }
    let Some(time) = record.text.strip_prefix("time=\"") else {
        return Confidence::No;
    };
    let Some((time, rest)) = time.split_once('"') else {
        return Confidence::No;
    };
    if !has_nanos(time) || !rest.starts_with(" level=") {
        return Confidence::No;
    }
    let head = rest.split('\n').next().unwrap_or("");
    if MARKS.iter().any(|mark| head.contains(mark)) {
        Confidence::Certain
    } else {
        Confidence::Likely
    }
}

fn is_call(message: &str) -> bool {
    message.starts_with(CALLING) || message.starts_with(FORM)
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let mut lines = record.text.split('\n');
    let pairs = match record.object {
        Some(object) => object,
        None => logfmt::parse(record.arena, lines.next().unwrap_or(""))
            .ok_or(Dropped::Malformed("no line of key=value pairs"))?,
    };
    let document = record.document();
    PLAN.apply(pairs, document);
    document.put_text("container.runtime", "docker");
    if let Some(event) = document.child("event") {
        event.set("kind", Value::Text("event"));
    }
    let message = pairs.text_at_key("msg").unwrap_or("");
    if let Some(asked) = pairs.text_at_key("request-url") {
        api::request(document, pairs.text_at_key("method").unwrap_or("GET"), asked);
        if let Some(form) = pairs.get("form-data") {
            form_data(record, document, form);
        }
    } else if let Some((method, asked)) = message
        .strip_prefix(CALLING)
        .and_then(|call| call.split_once(' '))
    {
        api::request(document, method, asked);
    } else if let Some(failure) = message.strip_prefix("Handler for ") {
        failed(document, failure);
    } else if let Some((exec, container)) = message
        .strip_prefix("starting exec command ")
        .and_then(|rest| rest.split_once(" in container "))
    {
        document.put_text("docker.api.exec_id", exec);
        docker::container(document, container);
    } else {
        follow(record, document, message);
        cri::call(document, message);
    }
    if record.object.is_none() {
        for line in lines {
            let Some(next) = logfmt::parse(record.arena, line) else {
                continue;
            };
            follow(record, document, next.text_at_key("msg").unwrap_or(""));
        }
    }
    if let Some(status) = document.at("http.response.status_code").and_then(Value::to_int) {
        document.put_text("event.outcome", if status < 400 { "success" } else { "failure" });
    }
    Ok(document)
}

/// A line that belongs to the line of a call; joined to it, or alone where that did not come.
fn follow<'a>(record: &Record<'a>, document: &'a Map<'a>, message: &'a str) {
    if let Some(form) = message.strip_prefix(FORM) {
        form_data(record, document, Value::Text(form));
    } else if message.starts_with("{Action=") {
        caller(document, message);
    }
}

/// Who called, as Docker of Red Hat says it: `{Action=json, LoginUID=1000, PID=21075}`.
fn caller<'a>(document: &'a Map<'a>, message: &'a str) {
    for pair in message.trim_matches(['{', '}']).split(", ") {
        match pair.split_once('=') {
            Some(("LoginUID", id)) => {
                document.put_text("user.id", id);
            }
            Some(("PID", pid)) => {
                if let Ok(pid) = pid.parse() {
                    document.put("process.pid", Value::Int(pid));
                }
            }
            _ => {}
        }
    }
}

/// The body of a call. Its text is kept, and its parts where it is JSON.
fn form_data<'a>(record: &Record<'a>, document: &'a Map<'a>, form: Value<'a>) {
    let body = match form {
        Value::Text(text) => {
            document.put_text("http.request.body.content", text);
            json::parse(record.arena, text).ok().and_then(Value::as_map)
        }
        other => other.as_map(),
    };
    if let Some(body) = body {
        api::body(document, body);
    }
}

/// `POST /v1.41/containers/x/start returned error: …`
fn failed<'a>(document: &'a Map<'a>, text: &'a str) {
    let Some((call, error)) = text.split_once(" returned error: ") else {
        return;
    };
    if let Some((method, asked)) = call.split_once(' ') {
        api::request(document, method, asked);
    }
    document.put_text("error.message", error);
    document.put_text("event.outcome", "failure");
}
