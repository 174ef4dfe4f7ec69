//! Podman's events: the file backend's `events.log`, `podman events --format json`, and the fields of the journal.
//! <https://docs.podman.io/en/latest/markdown/podman-events.1.html>. An exec comes without its command.

use std::sync::LazyLock;

use crate::mapping::{How, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::sources::docker;
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "podman_events",
    aliases: &[],
    title: "Podman events: events.log, `podman events` as JSON, and the journal",
    module: "podman",
    dataset: "podman.events",
    os: Some("linux"),
    mappings: &[FIELDS],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[FIELDS]));

const FIELDS: &[Mapping] = &[
    to(How::Date, "Time", "@timestamp"),
    to(How::Date, "time", "@timestamp"),
    to(How::Date, "PODMAN_TIME", "@timestamp"),
    keep("Type", "podman.event.type"),
    keep("PODMAN_TYPE", "podman.event.type"),
    keep("Status", "event.action"),
    keep("PODMAN_EVENT", "event.action"),
    to(How::Long, "ContainerExitCode", "process.exit_code"),
    to(How::Long, "PODMAN_EXIT_CODE", "process.exit_code"),
    keep("Network", "podman.event.network"),
    keep("PodID", "podman.event.pod_id"),
    keep("HealthStatus", "podman.event.health_status"),
    keep("_HOSTNAME", "host.name"),
];

const DERIVED: &[Derived] = &[
    derived("event.kind", &[]),
    derived(
        "event.category",
        &["Type", "Status", "PODMAN_TYPE", "PODMAN_EVENT"],
    ),
    derived("event.type", &["Status", "PODMAN_EVENT"]),
    derived("event.outcome", &["Status", "PODMAN_EVENT"]),
    derived("container.id", &["ID", "PODMAN_ID"]),
    derived("container.name", &["Name", "PODMAN_NAME"]),
    derived("container.runtime", &[]),
    derived(
        "container.image.name",
        &["Image", "Name", "PODMAN_IMAGE", "PODMAN_NAME"],
    ),
    derived(
        "container.image.tag",
        &["Image", "Name", "PODMAN_IMAGE", "PODMAN_NAME"],
    ),
    derived("container.image.hash.all", &["ID", "PODMAN_ID"]),
    derived("container.labels.*", &["Attributes"]),
    derived("podman.event.id", &["ID", "PODMAN_ID"]),
];

const TYPES: &[&str] = &[
    "container",
    "image",
    "pod",
    "system",
    "volume",
    "network",
    "machine",
    "secret",
    "artifact",
];

fn detect(record: &Record<'_>) -> Confidence {
    let Some(object) = record.object else {
        return Confidence::No;
    };
    if object.text_at("PODMAN_EVENT").is_some() && object.text_at("PODMAN_TYPE").is_some() {
        return Confidence::Certain;
    }
    let known = object.text_at("Type").is_some_and(|kind| TYPES.contains(&kind))
        && object.text_at("Status").is_some()
        && (object.text_at("Time").is_some() || object.get("time").is_some())
        && object.get("Actor").is_none();
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
    let text = |keys: [&str; 2]| keys.iter().find_map(|key| object.text_at(key));
    let Some(action) = text(["Status", "PODMAN_EVENT"]) else {
        return Err(Dropped::Malformed("it has no `Status`"));
    };
    let kind = text(["Type", "PODMAN_TYPE"]).unwrap_or("container");
    let document = record.document();
    PLAN.apply(object, document);
    document.put_text("container.runtime", "podman");
    let (id, name) = (text(["ID", "PODMAN_ID"]), text(["Name", "PODMAN_NAME"]));
    match kind {
        "container" => {
            if let Some(id) = id {
                document.put_text("container.id", id);
            }
            if let Some(name) = name {
                document.put_text("container.name", name);
            }
            if let Some(image) = text(["Image", "PODMAN_IMAGE"]) {
                docker::image(document, image);
            }
        }
        "image" => {
            if let Some(name) = name {
                docker::image(document, name);
            }
            if let Some(id) = id {
                let digest = document.text(&["sha256:", id.trim_start_matches("sha256:")].concat());
                document.put_texts("container.image.hash.all", &[digest]);
            }
        }
        _ => {}
    }
    if let Some(id) = id {
        document.put_text("podman.event.id", id);
    }
    if let Some(attributes) = object
        .map_at("Attributes")
        .or_else(|| object.map_at("attributes"))
    {
        docker::labels(document, attributes.iter());
    }
    if let Some(event) = document.child("event") {
        classify(kind, action, event);
    }
    Ok(document)
}

fn classify<'a>(kind: &str, action: &str, event: &'a Map<'a>) {
    event.set("kind", Value::Text("event"));
    let (category, nature) = match (kind, action) {
        ("container", "exec") => ("process", "start"),
        ("container", "exec_died") => ("process", "end"),
        ("container" | "pod", "start" | "restart" | "unpause" | "init") => ("host", "start"),
        ("container" | "pod", "died" | "stop" | "kill" | "pause" | "cleanup") => ("host", "end"),
        ("container", "attach" | "export" | "checkpoint") => ("host", "access"),
        ("container", "health_status" | "sync") => ("host", "info"),
        ("system", _) => ("host", "info"),
        (_, "create" | "commit" | "import" | "load" | "loadFromArchive" | "pull" | "tag" | "build") => {
            ("configuration", "creation")
        }
        (_, "remove" | "untag" | "prune") => ("configuration", "deletion"),
        (_, "push" | "save" | "mount" | "unmount" | "connect" | "disconnect") => ("configuration", "access"),
        _ => ("configuration", "change"),
    };
    event.put_texts("category", &[category]);
    event.put_texts("type", &[nature]);
    if !matches!(action, "died" | "exec_died" | "health_status" | "pull-error") {
        event.set("outcome", Value::Text("success"));
    }
}
