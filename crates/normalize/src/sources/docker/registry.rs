//! Notifications of a registry (CNCF Distribution, Docker's registry 2): who pushed, pulled, mounted or deleted what.
//!
//! <https://distribution.github.io/distribution/about/notifications/>. Each request brings `{"events": […]}`, a wrapping like others; an event
//! stands for a manifest, which is an image, or for one of its blobs.

use std::sync::LazyLock;

use crate::mapping::{How, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::sources::{docker, web};
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "docker_registry",
    aliases: &["registry_notifications"],
    title: "Notifications of a container registry: pushes, pulls, mounts and deletions with their digests",
    module: "docker",
    dataset: "docker.registry",
    os: None,
    mappings: &[FIELDS],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[FIELDS]));

const FIELDS: &[Mapping] = &[
    to(How::Date, "timestamp", "@timestamp"),
    keep("id", "event.id"),
    keep("action", "event.action"),
    keep("actor.name", "user.name"),
    keep("target.mediaType", "docker.registry.media_type"),
    keep("target.digest", "docker.registry.digest"),
    to(How::Long, "target.size", "docker.registry.size"),
    keep("target.repository", "docker.registry.repository"),
    keep("target.fromRepository", "docker.registry.from_repository"),
    keep("target.tag", "docker.registry.tag"),
    keep("target.url", "url.full"),
    keep("request.id", "http.request.id"),
    keep("request.method", "http.request.method"),
    keep("request.useragent", "user_agent.original"),
    keep("source.addr", "server.address"),
    keep("source.instanceID", "docker.registry.instance_id"),
];

const DERIVED: &[Derived] = &[
    derived("event.kind", &[]),
    derived("event.category", &["action"]),
    derived("event.type", &["action"]),
    derived("event.outcome", &[]),
    derived("related.user", &["actor.name"]),
    derived("related.ip", &["request.addr"]),
    derived("source.address", &["request.addr"]),
    derived("source.ip", &["request.addr"]),
    derived("source.port", &["request.addr"]),
    derived(
        "container.image.name",
        &["request.host", "target.repository", "target.tag", "target.digest"],
    ),
    derived("container.image.tag", &["target.tag"]),
    derived("container.image.hash.all", &["target.digest"]),
];

const ACTIONS: &[&str] = &["push", "pull", "mount", "delete"];

/// Whether this is an event of a registry.
pub(crate) fn is_event(object: &Map<'_>) -> bool {
    object
        .text_at_key("action")
        .is_some_and(|action| ACTIONS.contains(&action))
        && object.text_at("target.repository").is_some()
        && object.map_at("request").is_some()
        && object.map_at("source").is_some()
}

fn detect(record: &Record<'_>) -> Confidence {
    match record.object {
        Some(object) if is_event(object) => Confidence::Certain,
        _ => Confidence::No,
    }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some(object) = record.object else {
        return Err(Dropped::Malformed("it is no JSON object"));
    };
    let Some(action) = object.text_at_key("action") else {
        return Err(Dropped::Malformed("it has no `action`"));
    };
    let document = record.document();
    PLAN.apply(object, document);
    image(document, object);
    if let Some(address) = object.text_at("request.addr") {
        web::client(document, address);
    }
    if let Some(user @ Value::Text(_)) = document.at("user.name") {
        document.append_new("related.user", user);
    }
    if let Some(event) = document.child("event") {
        let nature = match action {
            "push" | "mount" => "creation",
            "delete" => "deletion",
            _ => "access",
        };
        event.set("kind", Value::Text("event"));
        event.put_texts("category", &["configuration"]);
        event.put_texts("type", &[nature]);
        // A registry tells what happened, not what was refused.
        event.set("outcome", Value::Text("success"));
    }
    Ok(document)
}

/// The image, where the event is not of a blob: by its tag, or its digest where it has none.
fn image<'a>(document: &'a Map<'a>, object: &'a Map<'a>) {
    let text = |path: &str| object.text_at(path).filter(|text| !text.is_empty());
    let Some(repository) = text("target.repository") else {
        return;
    };
    let tag = text("target.tag");
    // A deletion names nothing but a tag or a digest.
    let is_image = tag.is_some()
        || text("target.mediaType").map_or(object.text_at_key("action") == Some("delete"), |kind| {
            kind.contains("manifest") || kind.contains("image.index")
        });
    let digest = text("target.digest").filter(|_| is_image);
    let mut name = String::new();
    if let Some(host) = text("request.host") {
        name.extend([host, "/"]);
    }
    name.push_str(repository);
    match (tag, digest) {
        (Some(tag), _) => name.extend([":", tag]),
        (None, Some(digest)) => name.extend(["@", digest]),
        (None, None) => {}
    }
    docker::image(document, document.text(&name));
    if let Some(digest) = digest {
        document.put_texts("container.image.hash.all", &[digest]);
    }
}
