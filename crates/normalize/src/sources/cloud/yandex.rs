//! Yandex Cloud Audit Trails.
//!
//! Record: <https://yandex.cloud/docs/audit-trails/concepts/format>. The whole record stands under
//! `yandex.audit_trails`.

use super::{caller, classify, user};
use crate::convert;
use crate::record::Record;
use crate::snake::snake_case;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "yandex_audit_trails",
    aliases: &["yandex"],
    title: "Yandex Cloud Audit Trails: objects in a bucket, Cloud Logging, data streams",
    module: "yandex",
    dataset: "yandex.audit_trails",
    os: None,
    mappings: &[],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

const PREFIX: &str = "yandex.cloud.audit.";
const PATH: &[&str] = &["resource_metadata.path"];
const ADDRESS: &[&str] = &["request_metadata.remote_address"];

const DERIVED: &[Derived] = &[
    derived("@timestamp", &["event_time"]),
    derived("client.ip", ADDRESS),
    derived("cloud.account.id", PATH),
    derived("cloud.account.name", PATH),
    derived("cloud.instance.id", PATH),
    derived("cloud.project.id", PATH),
    derived("cloud.project.name", PATH),
    derived("cloud.provider", &[]),
    derived("cloud.service.name", &["event_source"]),
    derived("error.code", &["error.code"]),
    derived("error.message", &["error.message"]),
    derived("event.action", &["event_type"]),
    derived("event.category", &["event_type"]),
    derived("event.id", &["event_id"]),
    derived("event.kind", &[]),
    derived("event.outcome", &["event_status", "authorization.authorized"]),
    derived("event.provider", &["event_source"]),
    derived("event.type", &["event_type"]),
    derived("related.ip", ADDRESS),
    derived(
        "related.user",
        &["authentication.subject_id", "authentication.subject_name"],
    ),
    derived("source.address", ADDRESS),
    derived("source.ip", ADDRESS),
    derived("trace.id", &["request_metadata.request_id"]),
    derived("user.email", &["authentication.subject_name"]),
    derived("user.id", &["authentication.subject_id"]),
    derived("user.name", &["authentication.subject_name"]),
    derived("user_agent.original", &["request_metadata.user_agent"]),
    derived("yandex.audit_trails.*", &[]),
];

fn detect(record: &Record<'_>) -> Confidence {
    match record.text_at("event_type") {
        Some(kind) if kind.starts_with(PREFIX) => Confidence::Certain,
        _ => Confidence::No,
    }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some(object) = record.object else {
        return Err(Dropped::Malformed("it is no JSON object"));
    };
    let Some(kind) = object.text_at("event_type") else {
        return Err(Dropped::Malformed("it has no `event_type`"));
    };
    let document = record.document();
    let action = kind.rsplit_once('.').map_or(kind, |(_, action)| action);
    document.put_text("event.action", action);
    if let Some(time) = object
        .get("event_time")
        .and_then(|time| convert::date(time, document))
    {
        document.put_text("@timestamp", time);
    }
    for (from, to) in [
        ("event_id", "event.id"),
        ("event_source", "event.provider"),
        ("event_source", "cloud.service.name"),
        ("request_metadata.user_agent", "user_agent.original"),
        ("request_metadata.request_id", "trace.id"),
        ("error.message", "error.message"),
    ] {
        document.copy_from(object, from, to);
    }
    if let Some(code) = object
        .at("error.code")
        .and_then(|code| convert::text(code, document))
    {
        document.put_text("error.code", code);
    }
    let name = object.text_at("authentication.subject_name");
    let email = name.filter(|name| name.contains('@'));
    user(object.text_at("authentication.subject_id"), name, email, document);
    if let Some(address) = object.text_at("request_metadata.remote_address") {
        caller(address, document);
    }
    let refused = object.at("authorization.authorized").and_then(Value::as_bool) == Some(false);
    let outcome = match object.text_at("event_status") {
        _ if refused => "failure",
        Some("DONE" | "SUCCESS") => "success",
        Some("ERROR" | "CANCELLED") => "failure",
        _ => "unknown",
    };
    document.put_text("event.outcome", outcome);
    path(object, document);
    let service = object.text_at("event_source").unwrap_or("");
    classify(service, &snake_case(action, false), document);
    document.put_text("event.kind", "event");
    document.put_text("cloud.provider", "yandex");
    document.put("yandex.audit_trails", Value::Map(object));
    document.prune();
    Ok(document)
}

/// Where the resource lies: organization, cloud, folder, and itself.
fn path<'a>(object: &Map<'a>, document: &'a Map<'a>) {
    let path = object
        .at("resource_metadata.path")
        .and_then(Value::as_list)
        .unwrap_or(&[]);
    for step in path.iter().filter_map(|step| step.as_map()) {
        let (id, name) = match step.text_at("resource_type") {
            Some("resource-manager.cloud") => ("cloud.account.id", Some("cloud.account.name")),
            Some("resource-manager.folder") => ("cloud.project.id", Some("cloud.project.name")),
            Some("compute.instance") => ("cloud.instance.id", None),
            _ => continue,
        };
        document.copy_from(step, "resource_id", id);
        if let Some(name) = name {
            document.copy_from(step, "resource_name", name);
        }
    }
}
