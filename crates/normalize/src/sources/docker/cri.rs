//! Calls that Kubernetes makes of containerd, as containerd logs them, and the events of containerd.
//!
//! <https://github.com/containerd/containerd/blob/main/internal/cri/instrument/instrumented_service.go>: the verb of the
//! runtime interface, then what it is about. The command of an exec is printed as Go prints a list, so its words are told
//! apart at blanks, which is not always where one ends.

use std::sync::LazyLock;

use crate::convert;
use crate::json;
use crate::mapping::{How, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::sources::docker;
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "containerd_events",
    aliases: &[],
    title: "Events of containerd, as `ctr events` prints them",
    module: "containerd",
    dataset: "containerd.events",
    os: None,
    mappings: &[FIELDS],
    derived: &[EVENT],
    detect,
    start: || Box::new(Stateless(normalize)),
};

static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[FIELDS]));

const FIELDS: &[Mapping] = &[
    keep("container_id", "container.id"),
    keep("id", "containerd.event.id"),
    keep("exec_id", "containerd.event.exec_id"),
    to(How::Long, "pid", "process.pid"),
    to(How::Long, "exit_status", "process.exit_code"),
    keep("labels", "containerd.event.labels"),
];

const EVENT: &[Derived] = &[
    derived("@timestamp", &[]),
    derived("event.kind", &[]),
    derived("event.action", &[]),
    derived("event.category", &[]),
    derived("event.type", &[]),
    derived("container.id", &["id"]),
    derived("container.runtime", &[]),
    derived("container.image.name", &["image", "name"]),
    derived("container.image.tag", &["image", "name"]),
    derived("container.image.hash.all", &["image", "name"]),
    derived("containerd.event.namespace", &[]),
];

/// What [`call`] sets.
pub(super) const CALL: &[Derived] = &[
    derived("event.dataset", &["msg"]),
    derived("event.module", &["msg"]),
    derived("orchestrator.type", &["msg"]),
];

/// The verbs of the runtime interface, and what they are to an event.
const VERBS: &[(&str, &str)] = &[
    ("RunPodSandbox", "creation"),
    ("StopPodSandbox", "end"),
    ("RemovePodSandbox", "deletion"),
    ("ListPodSandbox", "access"),
    ("PodSandboxStatus", "access"),
    ("PortForward", "access"),
    ("CreateContainer", "creation"),
    ("StartContainer", "start"),
    ("StopContainer", "end"),
    ("RemoveContainer", "deletion"),
    ("ListContainers", "access"),
    ("ContainerStatus", "access"),
    ("ExecSync", "start"),
    ("Exec", "start"),
    ("Attach", "access"),
    ("UpdateContainerResources", "change"),
    ("PullImage", "creation"),
    ("RemoveImage", "deletion"),
    ("ListImages", "access"),
    ("ImageStatus", "access"),
];

/// Reads a message as a call: `Exec for "id" with command [sh -c id], tty true and stdin true`.
pub(super) fn call<'a>(document: &'a Map<'a>, message: &'a str) {
    let (verb, rest) = message.split_once(' ').unwrap_or((message, ""));
    let Some((_, nature)) = VERBS.iter().find(|(name, _)| *name == verb) else {
        return;
    };
    // What comes back says so behind the same words.
    if !(rest.starts_with("for ")
        || rest.starts_with("within ")
        || rest.starts_with("with ")
        || rest.starts_with('"'))
    {
        return;
    }
    let named = rest.split('"').nth(1).unwrap_or("");
    document.put_text("container.runtime", "containerd");
    document.put_text("orchestrator.type", "kubernetes");
    match verb {
        "PullImage" | "RemoveImage" | "ImageStatus" => docker::image(document, named),
        name if name.contains("Sandbox") || name == "PortForward" || name == "CreateContainer" => {}
        _ => docker::container(document, named),
    }
    let command = rest
        .split_once("with command [")
        .and_then(|(_, tail)| tail.rsplit_once(']'))
        .map_or("", |(command, _)| command);
    let words: Vec<Value<'a>> = command.split_whitespace().map(Value::Text).collect();
    docker::command(document, &words);
    if let Some(event) = document.child("event") {
        event.set("module", Value::Text("containerd"));
        event.set("dataset", Value::Text("containerd.log"));
        event.set("action", Value::Text(verb));
        event.put_texts(
            "category",
            if command.is_empty() {
                &["api"]
            } else {
                &["api", "process"]
            },
        );
        event.put_texts("type", &[nature]);
        if message.ends_with(" successfully") || rest.contains("\" returns ") {
            event.set("outcome", Value::Text("success"));
        } else if rest.contains("\" failed") {
            event.set("outcome", Value::Text("failure"));
        }
    }
}

/// Time, namespace, topic and body of `2026-11-21 19:34:02.87 +0000 UTC k8s.io /tasks/start {…}`.
fn parts(line: &str) -> Option<(&str, &str, &str, &str)> {
    let (date, rest) = line.split_once(' ')?;
    if date.len() != 10 || date.get(4..5) != Some("-") {
        return None;
    }
    let (clock, rest) = rest.split_once(' ')?;
    let (offset, rest) = rest.split_once(' ')?;
    let (_, rest) = rest.split_once(' ')?;
    let (namespace, rest) = rest.split_once(' ')?;
    let (topic, body) = rest.split_once(' ')?;
    let known = offset.len() == 5
        && clock.get(2..3) == Some(":")
        && topic.starts_with('/')
        && topic.bytes().filter(|byte| *byte == b'/').count() == 2
        && body.starts_with('{');
    let length = date.len() + clock.len() + offset.len() + 2;
    known.then_some((line.get(..length)?, namespace, topic, body))
}

fn detect(record: &Record<'_>) -> Confidence {
    if record.object.is_none() && parts(record.text).is_some() {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some((time, namespace, topic, body)) = parts(record.text) else {
        return Err(Dropped::Malformed("no line of an event"));
    };
    let Some(body) = json::parse(record.arena, body).ok().and_then(Value::as_map) else {
        return Err(Dropped::Malformed("its body is no JSON object"));
    };
    let document = record.document();
    PLAN.apply(body, document);
    let iso = time.get(..time.len() - 6).unwrap_or(time).replacen(' ', "T", 1);
    let offset = time.get(time.len() - 5..).unwrap_or("+0000");
    let (hours, minutes) = offset.split_at_checked(3).unwrap_or(("+00", "00"));
    let iso = document.text(&format!("{iso}{hours}:{minutes}"));
    if let Some(date) = convert::date(Value::Text(iso), document) {
        document.put_text("@timestamp", date);
    }
    document.put_text("container.runtime", "containerd");
    document.put_text("containerd.event.namespace", namespace);
    let mut topics = topic.trim_start_matches('/').splitn(2, '/');
    let (kind, action) = (topics.next().unwrap_or(""), topics.next().unwrap_or(""));
    match kind {
        "containers" => {
            if let Some(id) = body.text_at("id") {
                document.put_text("container.id", id);
            }
        }
        "images" => {
            if let Some(name) = body.text_at("name") {
                docker::image(document, name);
            }
        }
        _ => {}
    }
    if let Some(image) = body.text_at("image") {
        docker::image(document, image);
    }
    let (category, nature) = match (kind, action) {
        ("tasks", "exec-started") => ("process", "start"),
        ("tasks", "exec-added") => ("process", "info"),
        ("tasks", "exit" | "oom") => ("process", "end"),
        ("tasks", "start" | "resumed") => ("host", "start"),
        ("tasks", "delete" | "paused") => ("host", "end"),
        (_, "create") => ("configuration", "creation"),
        (_, "delete" | "remove") => ("configuration", "deletion"),
        _ => ("configuration", "change"),
    };
    if let Some(event) = document.child("event") {
        event.set("kind", Value::Text("event"));
        event.set("action", Value::Text(topic));
        event.put_texts("category", &[category]);
        event.put_texts("type", &[nature]);
    }
    Ok(document)
}
