//! The event stream of Docker Engine: `docker events --format json`, `GET /events`.
//!
//! <https://docs.docker.com/reference/api/engine/version/v1.48/#tag/System/operation/SystemEvents>. The same shape comes
//! from Podman's compatible endpoint. An action may carry text behind a colon: the command of an exec, the state of a
//! health check. A command is its arguments joined by blanks, so they are told apart at blanks, which is not always where
//! they were joined.

use std::sync::LazyLock;

use crate::convert;
use crate::mapping::{Mapping, Plan, keep};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::sources::docker;
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "docker_events",
    aliases: &[],
    title: "Docker Engine events: `docker events` as JSON and the API's event stream",
    module: "docker",
    dataset: "docker.events",
    os: None,
    mappings: &[FIELDS],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[FIELDS]));

const FIELDS: &[Mapping] = &[
    keep("Type", "docker.event.type"),
    keep("Action", "docker.event.action"),
    keep("Actor.ID", "docker.event.actor.id"),
    keep("scope", "docker.event.scope"),
    keep("Actor.Attributes.execID", "docker.event.exec_id"),
    keep("Actor.Attributes.signal", "docker.event.signal"),
    keep("Actor.Attributes.comment", "docker.event.comment"),
    keep("Actor.Attributes.container", "container.id"),
    keep("Actor.Attributes.containerID", "container.id"),
];

const DERIVED: &[Derived] = &[
    derived("@timestamp", &["timeNano", "time"]),
    derived("event.kind", &[]),
    derived("event.action", &["Action", "status"]),
    derived("event.reason", &["Action"]),
    derived("event.category", &["Type", "Action"]),
    derived("event.type", &["Action"]),
    derived("event.outcome", &["Action"]),
    derived("container.id", &["Actor.ID", "id"]),
    derived("container.name", &["Actor.Attributes.name"]),
    derived("container.runtime", &["Actor.Attributes.podId"]),
    derived(
        "container.image.name",
        &["Actor.Attributes.image", "Actor.Attributes.name", "Actor.ID"],
    ),
    derived(
        "container.image.tag",
        &["Actor.Attributes.image", "Actor.Attributes.name", "Actor.ID"],
    ),
    derived(
        "container.image.hash.all",
        &["Actor.ID", "Actor.Attributes.imageID"],
    ),
    derived("container.labels.*", &["Actor.Attributes"]),
    derived("docker.event.attributes.*", &["Actor.Attributes"]),
    derived("process.command_line", &["Action"]),
    derived("process.args", &["Action"]),
    derived("process.name", &["Action"]),
    derived("host.os.type", &["Action"]),
    derived("process.executable", &["Action"]),
    derived("process.exit_code", &["Actor.Attributes.exitCode"]),
];

fn detect(record: &Record<'_>) -> Confidence {
    let Some(object) = record.object else {
        return Confidence::No;
    };
    let texts = object.text_at("Type").is_some() && object.text_at("Action").is_some();
    let known = texts
        && object
            .map_at("Actor")
            .is_some_and(|actor| actor.get("ID").is_some() || actor.get("Attributes").is_some())
        && (object.get("timeNano").is_some() || object.get("time").is_some());
    if known {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some(object) = record.object else {
        return Err(Dropped::Malformed("it is no JSON object"));
    };
    let Some(whole) = object.text_at("Action").or_else(|| object.text_at("status")) else {
        return Err(Dropped::Malformed("it has no `Action`"));
    };
    let document = record.document();
    let kind = object.text_at("Type").unwrap_or("container");
    let (action, detail) = whole.split_once(": ").unwrap_or((whole, ""));
    PLAN.apply(object, document);
    let millis = |key: &str, unit: i64, factor: i64| {
        let number = object.get(key).and_then(Value::to_int)?;
        Some((number / unit).saturating_mul(factor))
    };
    if let Some(date) = millis("timeNano", 1_000_000, 1)
        .or_else(|| millis("time", 1, 1000))
        .and_then(|millis| convert::date(Value::Int(millis), document))
    {
        document.put_text("@timestamp", date);
    }
    let attributes = object.map_at("Actor.Attributes");
    // Podman's endpoint names the pod of a container, also where it has none.
    let is_podman = attributes.is_some_and(|attributes| attributes.get("podId").is_some());
    document.put_text("container.runtime", if is_podman { "podman" } else { "docker" });
    let id = object.text_at("Actor.ID").or_else(|| object.text_at("id"));
    let attribute = |key: &str| attributes.and_then(|attributes| attributes.text_at_key(key));
    match kind {
        "container" => {
            if let Some(id) = id {
                document.put_text("container.id", id);
            }
            if let Some(name) = attribute("name") {
                document.put_text("container.name", name);
            }
            if let Some(image) = attribute("image").or_else(|| object.text_at("from")) {
                docker::image(document, image);
            }
        }
        "image" => image(document, id, attribute("name"), action),
        _ => {}
    }
    if let Some(digest) = attribute("imageID") {
        document.put_texts("container.image.hash.all", &[digest]);
    }
    if let Some(attributes) = attributes {
        described(document, attributes, kind == "container" || kind == "image");
    }
    if let Some(code) = attributes.and_then(|attributes| exit_code(attributes)) {
        document.put("process.exit_code", Value::Int(code));
    }
    if action.starts_with("exec_") && !detail.trim().is_empty() {
        let command = detail.trim();
        document.put_text("process.command_line", command);
        let words: Vec<Value<'a>> = command.split_whitespace().map(Value::Text).collect();
        document.put("process.args", document.list(&words));
        docker::program(document, command.split_whitespace().next().unwrap_or(command));
    } else if !detail.is_empty() {
        document.put_text("event.reason", detail);
    }
    if let Some(event) = document.child("event") {
        event.set("action", Value::Text(action));
        classify(kind, action, event);
    }
    Ok(document)
}

/// Docker and Podman spell it differently.
fn exit_code(attributes: &Map<'_>) -> Option<i64> {
    ["exitCode", "containerExitCode"]
        .iter()
        .find_map(|key| attributes.get(key).and_then(Value::to_int))
}

/// The image of an image event: its id is a digest, or the name with its tag where it was pulled or pushed.
fn image<'a>(document: &'a Map<'a>, id: Option<&'a str>, name: Option<&'a str>, action: &str) {
    let digest = id.filter(|id| id.starts_with("sha256:"));
    let named = match action {
        // The name comes without the tag here, the id has both.
        "pull" | "push" => id.filter(|_| digest.is_none()).or(name),
        _ => name.or(id.filter(|_| digest.is_none())),
    };
    if let Some(named) = named {
        docker::image(document, named);
    }
    if let Some(digest) = digest {
        document.put_texts("container.image.hash.all", &[digest]);
    }
}

/// Attributes that the engine writes itself; the others are labels.
const OWN: &[&str] = &[
    "image",
    "name",
    "execID",
    "exitCode",
    "containerExitCode",
    "signal",
    "comment",
    "imageID",
    "imageRef",
    "container",
    "containerID",
    "podId",
    "execDuration",
    "oldName",
    "type",
    "driver",
    "reclaimed",
];

fn described<'a>(document: &'a Map<'a>, attributes: &'a Map<'a>, labelled: bool) {
    let is_own = |name: &str| !labelled || OWN.contains(&name);
    docker::labels(document, attributes.iter().filter(|(name, _)| !is_own(name)));
    let own = document.new_map();
    for (name, value) in attributes
        .iter()
        .filter(|(name, value)| is_own(name) && !value.is_blank())
    {
        own.add(name, value);
    }
    if !own.is_empty() {
        document.put("docker.event.attributes", Value::Map(own));
    }
}

fn classify<'a>(kind: &str, action: &str, event: &'a Map<'a>) {
    event.set("kind", Value::Text("event"));
    let (category, nature) = match (kind, action) {
        ("container", "exec_start") => ("process", "start"),
        ("container", "exec_die") => ("process", "end"),
        ("container", "exec_create" | "exec_detach" | "top") => ("process", "info"),
        ("container", "start" | "restart" | "unpause") => ("host", "start"),
        ("container", "die" | "stop" | "kill" | "pause" | "oom") => ("host", "end"),
        ("container", "attach" | "export" | "archive-path") => ("host", "access"),
        ("container", "health_status") => ("host", "info"),
        (_, "create" | "commit" | "import" | "load" | "pull" | "tag" | "build") => {
            ("configuration", "creation")
        }
        (_, "destroy" | "delete" | "untag" | "prune" | "remove") => ("configuration", "deletion"),
        (_, "push" | "save" | "mount" | "unmount" | "connect" | "disconnect") => ("configuration", "access"),
        _ => ("configuration", "change"),
    };
    event.put_texts("category", &[category]);
    event.put_texts("type", &[nature]);
    // The stream tells what happened; the end of a process alone says not how well.
    if !matches!(action, "die" | "exec_die" | "oom" | "health_status") {
        event.set("outcome", Value::Text("success"));
    }
}
