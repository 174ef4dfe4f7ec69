//! Microsoft Graph activity logs, and those of the older Azure AD Graph.
//!
//! Record: <https://learn.microsoft.com/graph/microsoft-graph-activity-logs-overview>. Keys become snake case, what is
//! empty goes. `event.duration` is the true number of nanoseconds; Elastic's integration multiplies in 32 bits, so its
//! durations above two seconds are wrong.

use super::{caller, date};
use crate::convert;
use crate::record::Record;
use crate::snake::snake_keys;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value};
use crate::url_parts;

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "azure_graphactivity",
    aliases: &["azure_graphactivitylogs"],
    title: "Microsoft Graph activity logs: event hub, diagnostic settings, blob files",
    module: "azure",
    dataset: "azure.graphactivitylogs",
    os: None,
    mappings: &[],
    derived: &[&[derived("azure.graphactivitylogs.*", &[])], DERIVED],
    detect: |record| detect(record, "MicrosoftGraphActivityLogs"),
    start: || {
        Box::new(Stateless(|record| {
            normalize(record, "azure.graphactivitylogs", "Microsoft Graph")
        }))
    },
};

pub(in crate::sources) const AAD: SourceInfo = SourceInfo {
    name: "azure_aadgraphactivity",
    aliases: &["azure_aadgraphactivitylogs"],
    title: "Azure AD Graph activity logs: event hub, diagnostic settings, blob files",
    module: "azure",
    dataset: "azure.aadgraphactivitylogs",
    os: None,
    mappings: &[],
    derived: &[&[derived("azure.aadgraphactivitylogs.*", &[])], DERIVED],
    detect: |record| detect(record, "AzureADGraphActivityLogs"),
    start: || {
        Box::new(Stateless(|record| {
            normalize(record, "azure.aadgraphactivitylogs", "Azure AD Graph")
        }))
    },
};

const DERIVED: &[Derived] = &[
    derived("@timestamp", &["time"]),
    derived("azure.correlation_id", &["correlationId"]),
    derived("azure.resource.id", &["resourceId"]),
    derived("azure.resource.provider", &["resourceId"]),
    derived("azure.tenant_id", TENANT),
    derived("client.ip", CALLER),
    derived("client.user.id", &["properties.userId"]),
    derived("cloud.account.id", TENANT),
    derived("cloud.provider", &[]),
    derived("cloud.region", LOCATION),
    derived("cloud.service.name", &[]),
    derived("destination.geo.region_name", LOCATION),
    derived("event.action", &["operationName"]),
    derived("event.category", &[]),
    derived("event.duration", &["durationMs", "properties.durationMs"]),
    derived("event.kind", &[]),
    derived("event.outcome", &["properties.responseStatusCode"]),
    derived("event.type", &[]),
    derived("http.request.id", &["properties.requestId"]),
    derived("http.request.method", &["properties.requestMethod"]),
    derived("http.response.bytes", &["properties.responseSizeBytes"]),
    derived("http.response.status_code", &["properties.responseStatusCode"]),
    derived("log.level", &["Level"]),
    derived("related.ip", CALLER),
    derived("related.user", &["properties.userId"]),
    derived("source.address", CALLER),
    derived("source.ip", CALLER),
    derived("url.domain", URI),
    derived("url.extension", URI),
    derived("url.fragment", URI),
    derived("url.original", URI),
    derived("url.path", URI),
    derived("url.port", URI),
    derived("url.query", URI),
    derived("url.scheme", URI),
    derived("user.id", &["properties.userId"]),
    derived("user_agent.original", &["properties.userAgent"]),
];

const CALLER: &[&str] = &["callerIpAddress", "properties.ipAddress"];
const LOCATION: &[&str] = &["location", "properties.location"];
const TENANT: &[&str] = &["tenantId", "properties.tenantId"];
const URI: &[&str] = &["properties.requestUri"];

fn detect(record: &Record<'_>, category: &str) -> Confidence {
    if record.text_at("category") == Some(category) {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

fn normalize<'a>(
    record: &Record<'a>,
    namespace: &'static str,
    service: &'static str,
) -> Result<&'a Map<'a>, Dropped> {
    let object = super::record(record)?;
    snake_keys(object, true);
    let document = record.document();
    document.put(namespace, Value::Map(object));
    super::time(object, document);
    caller(object, &["caller_ip_address", "properties.ip_address"], document);
    if let Some(level) = object
        .remove("level")
        .and_then(|level| convert::text(level, document))
    {
        document.put_text("log.level", level);
    }
    let durations = [
        object.remove("duration_ms"),
        object.take("properties.duration_ms"),
    ];
    if let Some(nanos) = durations.into_iter().flatten().find_map(super::nanoseconds) {
        document.put("event.duration", nanos);
    }
    for (froms, to) in [
        (["location", "properties.location"], "destination.geo.region_name"),
        (["tenant_id", "properties.tenant_id"], "azure.tenant_id"),
    ] {
        for from in froms {
            if let Some(value) = object.take(from) {
                document.put_new(to, value);
            }
        }
    }
    for (from, to) in [
        ("resource_id", "azure.resource.id"),
        ("correlation_id", "azure.correlation_id"),
        ("properties.request_id", "http.request.id"),
        ("properties.request_method", "http.request.method"),
        ("properties.response_size_bytes", "http.response.bytes"),
        ("properties.response_status_code", "http.response.status_code"),
        ("properties.user_id", "user.id"),
        ("properties.user_agent", "user_agent.original"),
    ] {
        if let Some(value) = object.take(from) {
            document.put(to, value);
        }
    }
    for key in ["caller_ip_address", "properties.ip_address"] {
        object.take(key);
    }
    if let Some(uri) = object
        .take("properties.request_uri")
        .and_then(Value::as_filled_text)
    {
        url_parts::set(uri, document);
    }
    if let Some(properties) = object.map_at("properties") {
        of_properties(properties);
    }
    for (from, to) in [
        ("azure.tenant_id", "cloud.account.id"),
        ("destination.geo.region_name", "cloud.region"),
        ("user.id", "client.user.id"),
    ] {
        document.copy(from, to);
    }
    if let Some(user @ Value::Text(_)) = document.at("user.id").filter(|id| !id.is_blank()) {
        document.append_new("related.user", user);
    }
    if let Some(action @ Value::Text(_)) = object.get("operation_name") {
        document.put("event.action", action);
    }
    document.put_text("cloud.service.name", service);
    document.put_texts("event.category", &["web"]);
    document.put_texts("event.type", &["access"]);
    if let Some(code) = document.at("http.response.status_code").and_then(Value::to_int) {
        document.put_text("event.outcome", if code < 400 { "success" } else { "failure" });
    }
    super::finish(document);
    document.prune();
    Ok(document)
}

fn of_properties<'a>(properties: &'a Map<'a>) {
    for key in ["roles", "scopes", "wids"] {
        if let Some(text) = properties.text_at(key) {
            let words: Vec<Value<'a>> = text.split(' ').map(Value::Text).collect();
            properties.set(key, properties.list(&words));
        }
    }
    properties.rename("_billed_size", "billed_size");
    properties.rename("_is_billable", "is_billable");
    match properties.get("is_billable").and_then(Value::as_text) {
        Some(text) if text.eq_ignore_ascii_case("true") => properties.set("is_billable", Value::Bool(true)),
        Some(text) if text.eq_ignore_ascii_case("false") => properties.set("is_billable", Value::Bool(false)),
        _ => {}
    }
    if let Some(method) = properties.get("client_auth_method").and_then(Value::to_int) {
        properties.set("client_auth_method", Value::Int(method));
    }
    for key in ["time_generated", "token_issued_at"] {
        if let Some(time) = properties.get(key).and_then(|time| date(time, properties)) {
            properties.set(key, Value::Text(time));
        }
    }
}
