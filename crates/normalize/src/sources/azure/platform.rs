//! Azure platform (resource) logs: whatever resources write by diagnostic settings.
//!
//! Record: <https://learn.microsoft.com/azure/azure-monitor/platform/resource-logs-schema>. The Kubernetes audit events
//! of AKS stand as objects in `properties.log`. Beyond what Elastic's integration sets: durations that are numbers,
//! the user of the event, and who calls the API server of AKS.

use super::{caller, date, split_address};
use crate::json;
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "azure_platformlogs",
    aliases: &[],
    title: "Azure resource logs, those of AKS included: event hub, diagnostic settings, blob files",
    module: "azure",
    dataset: DATASET,
    os: None,
    mappings: &[],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

pub(in crate::sources) const DATASET: &str = "azure.platformlogs";

pub(in crate::sources) const DERIVED: &[Derived] = &[
    derived("@timestamp", &["time", "EventTimeString"]),
    derived("azure.platformlogs.*", &[]),
    derived("azure.correlation_id", &["correlationId"]),
    derived("azure.resource.authorization_rule", &["resourceId"]),
    derived("azure.resource.group", &["resourceId"]),
    derived("azure.resource.id", &["resourceId"]),
    derived("azure.resource.name", &["resourceId"]),
    derived("azure.resource.namespace", &["resourceId"]),
    derived("azure.resource.provider", &["resourceId"]),
    derived("azure.subscription_id", &["resourceId"]),
    derived("client.ip", &["callerIpAddress"]),
    derived("cloud.provider", &[]),
    derived("cloud.region", &["Region"]),
    derived("error.message", &[]),
    derived("event.action", &["operationName", "EventName"]),
    derived("event.duration", &["durationMs"]),
    derived("event.kind", &[]),
    derived("event.outcome", &["resultType", "properties.result", "Status"]),
    derived("event.type", &["category"]),
    derived("geo.name", &["location"]),
    derived("log.level", &["level"]),
    derived("message", &["properties.log"]),
    derived("related.ip", &["callerIpAddress", "properties.log.sourceIPs"]),
    derived(
        "related.user",
        &["identity.claim.upn", "properties.log.user.username"],
    ),
    derived("source.address", &["callerIpAddress"]),
    derived("source.ip", &["callerIpAddress", "properties.log.sourceIPs"]),
    derived("user.email", &["identity.claim.upn"]),
    derived(
        "user.name",
        &["identity.claim.upn", "properties.log.user.username"],
    ),
];

/// Any record of Azure Monitor may be a platform log, so other sources go first.
fn detect(record: &Record<'_>) -> Confidence {
    let Some(object) = record.object else {
        return Confidence::No;
    };
    let has = |key: &str| object.get(key).is_some();
    let when = has("time") || has("EventTimeString");
    let what = has("operationName") || has("EventName") || has("properties") || has("EventProperties");
    if has("category") && has("resourceId") && when && what {
        Confidence::Likely
    } else {
        Confidence::No
    }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    if record.object.is_none() {
        return Ok(document(record, damaged(record)?));
    }
    Ok(document(record, super::record(record)?))
}

/// What can be saved of a record that is no JSON: Azure cuts and spoils some.
fn damaged<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let object = record.arena.map();
    for key in ["resourceId", "category", "time"] {
        let value = record.text.find(&[key, "\":"].concat()).and_then(|at| {
            let rest = record.text.get(at + key.len() + 2..)?;
            let rest = rest.strip_prefix(' ').unwrap_or(rest).strip_prefix('"')?;
            Some(rest.split_once('"')?.0)
        });
        if let Some(value) = value {
            object.add(key, Value::Text(value));
        }
    }
    if object.is_empty() {
        return Err(Dropped::Malformed("it is no JSON object"));
    }
    Ok(object)
}

/// The document of a platform log.
pub(in crate::sources) fn document<'a>(record: &Record<'a>, object: &'a Map<'a>) -> &'a Map<'a> {
    let document = record.document();
    document.put("azure.platformlogs", Value::Map(object));
    if object
        .get("identity")
        .is_some_and(|identity| identity.as_text().is_some())
    {
        object.rename("identity", "identity_name");
    }
    let parsed = |text: Option<Value<'a>>| json::parse(record.arena, text?.as_text()?).ok();
    if let Some(properties @ Value::Map(_)) = parsed(object.get("EventProperties")) {
        object.set("properties", properties);
    }
    if object
        .get("properties")
        .is_some_and(|it| !matches!(it, Value::Null))
    {
        object.remove("EventProperties");
    }
    let when = [object.get("EventTimeString"), object.remove("time")];
    if let Some(time) = when.into_iter().flatten().find_map(|time| date(time, document)) {
        document.put_text("@timestamp", time);
    }
    if let Some(properties) = object.map_at("properties") {
        match parsed(properties.get("log")) {
            Some(log @ (Value::Map(_) | Value::List(_))) => properties.set("log", log),
            _ => {
                if let Some(log @ Value::Text(_)) = properties.get("log") {
                    properties.remove("log");
                    document.put("message", log);
                }
            }
        }
        properties.rename("statusCode", "status_code");
    }
    caller(object, &["callerIpAddress"], document);
    object.remove("callerIpAddress");
    if let Some(nanos) = object.remove("durationMs").and_then(super::nanoseconds) {
        document.put("event.duration", nanos);
    }
    outcome(object, document);
    for (from, to) in [
        ("resourceId", "azure.resource.id"),
        ("Region", "cloud.region"),
        ("EventName", "event.action"),
        ("level", "log.level"),
        ("location", "geo.name"),
        ("correlationId", "azure.correlation_id"),
    ] {
        if let Some(value) = object.remove(from) {
            document.put(to, value);
        }
    }
    let policies = object.at("properties.policies").is_some();
    let category = match object.at("properties.eventCategory") {
        Some(category) if !matches!(category, Value::Null) => category,
        _ => Value::Text(if policies { "Policy" } else { "Administrative" }),
    };
    object.set("event_category", category);
    for (from, to) in [
        ("resultType", "result_type"),
        ("operationName", "operation_name"),
        ("resultSignature", "result_signature"),
        ("resultDescription", "result_description"),
        ("Status", "status"),
    ] {
        object.rename(from, to);
    }
    if let Some(action @ Value::Text(_)) = object.get("operation_name") {
        document.put("event.action", action);
    }
    super::activity::event_type(object, document);
    actor(object, document);
    if record.object.is_none() {
        document.put_text(
            "error.message",
            "the record is no JSON; only parts of it could be read",
        );
    }
    super::finish(document);
    document
}

fn outcome<'a>(object: &Map<'a>, document: &'a Map<'a>) {
    let result = object.text_at("resultType").filter(|text| {
        ["success", "failure"]
            .iter()
            .any(|word| word.eq_ignore_ascii_case(text))
    });
    let of_properties = || {
        object
            .text_at("properties.result")
            .filter(|text| ["success", "failure", "unknown"].contains(text))
    };
    let status = || {
        object
            .text_at("Status")
            .filter(|text| ["success", "failure", "unknown", "Succeeded", "Failed"].contains(text))
    };
    match result.or_else(of_properties).or_else(status) {
        Some("Succeeded") => document.put_text("event.outcome", "success"),
        Some("Failed") => document.put_text("event.outcome", "failure"),
        Some(other) => document.put_text("event.outcome", other),
        None => false,
    };
}

/// Who did it: the claims of the caller's token, or the user of the Kubernetes audit event inside.
fn actor<'a>(object: &Map<'a>, document: &'a Map<'a>) {
    if let Some(name) = object.text_at("identity.claim.upn") {
        let local = split_address(name).map_or(name, |(local, _)| local);
        document.put_text("user.name", local);
        document.put_text("user.email", name);
        document.append_new("related.user", Value::Text(name));
    }
    let Some(log) = object.map_at("properties.log") else {
        return;
    };
    if let Some(name) = log.text_at("user.username") {
        document.put_new("user.name", Value::Text(name));
        document.append_new("related.user", Value::Text(name));
    }
    if document.at("source.ip").is_none()
        && let Some(addresses) = log.at("sourceIPs").and_then(crate::convert::ip)
    {
        document.put("source.ip", addresses);
        match addresses {
            Value::List(list) => document.extend_new("related.ip", list.iter().copied()),
            single => document.append_new("related.ip", single),
        }
    }
}
