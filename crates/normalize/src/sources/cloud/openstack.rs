//! OpenStack notifications: Nova, Cinder, Glance, Neutron, Keystone; plain, versioned and in CADF.
//!
//! Envelope: <https://docs.openstack.org/nova/latest/admin/notifications.html>; the message bus puts it as text into
//! `oslo.message`. Keystone and the audit middleware write CADF events,
//! <https://docs.openstack.org/keystone/latest/admin/event_notifications.html>, alone or as the payload. The payload
//! stands under `openstack.payload`, without the frames of versioned objects.

use super::{caller, classify, user};
use crate::convert;
use crate::json;
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "openstack_notifications",
    aliases: &["openstack"],
    title: "OpenStack notifications: Nova, Cinder, Glance, Neutron, Keystone and CADF events",
    module: "openstack",
    dataset: "openstack.notifications",
    os: None,
    mappings: &[],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

const USER_ID: &[&str] = &[
    "payload.action_initiator_user",
    "payload.initiator.user_id",
    "payload.initiator.id",
    "_context_user_id",
    "ctxt.user_id",
    "ctxt.user",
    "payload.user_id",
];
const USER_NAME: &[&str] = &[
    "payload.initiator.username",
    "payload.initiator.name",
    "_context_user_name",
    "ctxt.user_name",
];
const PROJECT: &[&str] = &[
    "payload.action_initiator_project",
    "payload.initiator.project_id",
    "_context_project_id",
    "_context_tenant",
    "ctxt.project_id",
    "payload.tenant_id",
    "payload.project_id",
    "payload.owner",
    "payload.owner_id",
];
const ADDRESS: &[&str] = &[
    "payload.initiator.host.address",
    "_context_remote_address",
    "ctxt.remote_address",
];
const INSTANCE: &[&str] = &[
    "payload.instance_uuid",
    "payload.instance_id",
    "payload.server_id",
    "payload.uuid",
];
const REQUEST: &[&str] = &["_context_request_id", "ctxt.request_id", "payload.request_id"];

const DERIVED: &[Derived] = &[
    derived("@timestamp", &["timestamp", "payload.eventTime"]),
    derived("client.ip", ADDRESS),
    derived("cloud.availability_zone", &["payload.availability_zone"]),
    derived("cloud.instance.id", INSTANCE),
    derived("cloud.instance.name", &["payload.display_name"]),
    derived("cloud.project.id", PROJECT),
    derived("cloud.provider", &[]),
    derived("cloud.service.name", &["event_type", "publisher_id"]),
    derived("event.action", &["event_type", "payload.action"]),
    derived("event.category", &["event_type"]),
    derived("event.id", &["message_id", "payload.id"]),
    derived("event.kind", &[]),
    derived("event.outcome", &["event_type", "priority", "payload.outcome"]),
    derived("event.provider", &["publisher_id"]),
    derived(
        "event.reason",
        &["payload.reason.reasonType", "payload.fault.exception_message"],
    ),
    derived("event.type", &["event_type"]),
    derived("host.name", &["publisher_id"]),
    derived("http.response.status_code", &["payload.reason.reasonCode"]),
    derived("log.level", &["priority"]),
    derived("openstack.event_type", &["event_type"]),
    derived("openstack.payload.*", &["payload"]),
    derived("openstack.publisher_id", &["publisher_id"]),
    derived("related.ip", ADDRESS),
    derived("related.user", USER_ID),
    derived("source.address", ADDRESS),
    derived("source.ip", ADDRESS),
    derived("trace.id", REQUEST),
    derived("user.id", USER_ID),
    derived("user.name", USER_NAME),
    derived("user_agent.original", &["payload.initiator.host.agent"]),
];

fn is_cadf(object: &Map<'_>) -> bool {
    let kind = object.text_at("typeURI").unwrap_or("");
    (kind.contains("cloud/audit") || kind.contains("cadf"))
        && object.get("action").is_some()
        && (object.get("initiator").is_some() || object.get("observer").is_some())
}

fn detect(record: &Record<'_>) -> Confidence {
    let Some(object) = record.object else {
        return Confidence::No;
    };
    let has = |key: &str| object.get(key).is_some();
    let notification = has("event_type") && has("publisher_id") && has("payload");
    if has("oslo.message") || notification || is_cadf(object) {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some(outer) = record.object else {
        return Err(Dropped::Malformed("it is no JSON object"));
    };
    let read = |value: Option<Value<'a>>| match value? {
        Value::Text(text) => json::parse(record.arena, text).ok()?.as_map(),
        other => other.as_map(),
    };
    let object = match outer.get("oslo.message") {
        Some(message) => read(Some(message)).ok_or(Dropped::Malformed("`oslo.message` is no JSON object"))?,
        None => outer,
    };
    // An event of CADF may stand alone; then it is put where notifications have it.
    let frame = if is_cadf(object) && object.get("payload").is_none() {
        let frame = record.arena.map();
        frame.add("payload", Value::Map(object));
        frame
    } else {
        object.shallow_copy()
    };
    if let Some(payload) = read(frame.get("payload")) {
        frame.set("payload", bare(Value::Map(payload), payload));
    }
    let Some(action) = frame
        .text_at("event_type")
        .or_else(|| frame.text_at("payload.action"))
    else {
        return Err(Dropped::Malformed("it has neither `event_type` nor `action`"));
    };
    Ok(document(record, frame, action))
}

/// `{"nova_object.name": …, "nova_object.data": {…}}` is its data.
fn bare<'a>(value: Value<'a>, at: &Map<'a>) -> Value<'a> {
    match value {
        Value::Map(map) => {
            let data = map
                .iter()
                .find(|(key, value)| key.ends_with("_object.data") && value.as_map().is_some());
            if let Some((_, data)) = data {
                return bare(data, at);
            }
            let out = at.new_map();
            map.iter().for_each(|(key, value)| out.add(key, bare(value, at)));
            Value::Map(out)
        }
        Value::List(list) => {
            let elements: Vec<Value<'a>> = list.iter().map(|element| bare(*element, at)).collect();
            at.list(&elements)
        }
        other => other,
    }
}

fn document<'a>(record: &Record<'a>, frame: &'a Map<'a>, action: &'a str) -> &'a Map<'a> {
    let document = record.document();
    let first = |paths: &[&str]| paths.iter().find_map(|path| frame.text_at(path));
    document.put_text("event.action", action);
    let time = first(&["timestamp", "payload.eventTime"])
        .and_then(|time| convert::date(Value::Text(time), document));
    if let Some(time) = time {
        document.put_text("@timestamp", time);
    }
    for (from, to) in [
        ("message_id", "event.id"),
        ("event_type", "openstack.event_type"),
        ("publisher_id", "openstack.publisher_id"),
        ("publisher_id", "event.provider"),
        ("priority", "log.level"),
        ("payload.availability_zone", "cloud.availability_zone"),
        ("payload.initiator.host.agent", "user_agent.original"),
        ("payload.reason.reasonType", "event.reason"),
        ("payload.fault.exception_message", "event.reason"),
    ] {
        document.copy_from(frame, from, to);
    }
    if let Some(id) = first(&["payload.id"]).filter(|_| frame.text_at("payload.typeURI").is_some()) {
        document.put_new("event.id", Value::Text(id));
    }
    let service = service(action, frame.text_at("publisher_id").unwrap_or(""));
    if let Some(service) = service {
        document.put_text("cloud.service.name", service);
    }
    // `compute.host1`, `nova-compute:host1`, `volume.host1@lvm`
    let host = frame
        .text_at("publisher_id")
        .and_then(|publisher| publisher.split_once([':', '.']))
        .map(|(_, host)| host.split_once('@').map_or(host, |(host, _)| host));
    if let Some(host) = host.filter(|host| !host.is_empty()) {
        document.put_text("host.name", host);
    }
    user(first(USER_ID), first(USER_NAME), None, document);
    if let Some(address) = first(ADDRESS) {
        caller(address, document);
    }
    for (paths, to) in [(PROJECT, "cloud.project.id"), (REQUEST, "trace.id")] {
        if let Some(text) = first(paths) {
            document.put_text(to, text);
        }
    }
    let of_instance = action.starts_with("instance") || action.starts_with("compute.instance");
    if of_instance || frame.at("payload.instance_uuid").is_some() {
        if let Some(id) = first(INSTANCE) {
            document.put_text("cloud.instance.id", id);
        }
        if let Some(name) = first(&["payload.display_name"]) {
            document.put_text("cloud.instance.name", name);
        }
    }
    if let Some(code) = frame.at("payload.reason.reasonCode").and_then(Value::to_int) {
        document.put("http.response.status_code", Value::Int(code));
    }
    outcome(frame, action, document);
    classify(service.unwrap_or(""), action, document);
    if let Some(payload) = frame.get("payload") {
        document.put("openstack.payload", payload);
    }
    document.put_text("event.kind", "event");
    document.put_text("cloud.provider", "openstack");
    document.prune();
    document
}

/// The service by the thing that the event is about, or by who published it.
fn service(action: &str, publisher: &str) -> Option<&'static str> {
    let thing = action.split('.').next().unwrap_or("");
    Some(match thing {
        "compute" | "instance" | "keypair" | "aggregate" | "server_group" | "servergroup" | "flavor"
        | "scheduler" => "nova",
        "volume" | "snapshot" | "backup" | "consistencygroup" | "group" | "cgsnapshot" | "group_snapshot" => {
            "cinder"
        }
        "image" | "task" | "metadef_namespace" => "glance",
        "identity" => "keystone",
        "network"
        | "subnet"
        | "port"
        | "router"
        | "floatingip"
        | "security_group"
        | "security_group_rule" => "neutron",
        "trove" | "dbaas" => "trove",
        "magnum" => "magnum",
        _ if publisher.starts_with("nova") => "nova",
        _ if publisher.starts_with("identity") => "keystone",
        _ => return None,
    })
}

fn outcome<'a>(frame: &Map<'a>, action: &str, document: &'a Map<'a>) {
    let of_cadf = frame.text_at("payload.outcome").map(|outcome| match outcome {
        "success" => "success",
        "failure" => "failure",
        _ => "unknown",
    });
    let failed = action.ends_with(".error")
        || frame
            .text_at("priority")
            .is_some_and(|priority| priority.eq_ignore_ascii_case("error"));
    let outcome = of_cadf.unwrap_or(if failed {
        "failure"
    } else if action.ends_with(".start") {
        "unknown"
    } else {
        "success"
    });
    document.put_text("event.outcome", outcome);
}
