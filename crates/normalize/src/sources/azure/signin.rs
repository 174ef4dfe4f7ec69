//! Entra ID sign-in logs: interactive, non-interactive, service principals, managed identities, AD FS.
//!
//! Record: <https://learn.microsoft.com/entra/identity/monitoring-health/concept-sign-in-log-activity-details>, in the
//! form of a diagnostic record. Keys become snake case. Beyond what Elastic's integration sets: `user.email`,
//! `related.user`.

use super::{caller, split_address, time};
use crate::convert;
use crate::record::Record;
use crate::snake::{keep_last, snake_keys};
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "azure_signinlogs",
    aliases: &[],
    title: "Entra ID sign-in logs: event hub, diagnostic settings, blob files",
    module: "azure",
    dataset: DATASET,
    os: None,
    mappings: &[],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

pub(super) const DATASET: &str = "azure.signinlogs";

pub(super) const DERIVED: &[Derived] = &[
    derived("@timestamp", &["time"]),
    derived("azure.signinlogs.*", &[]),
    derived("azure.tenant_id", &["tenantId"]),
    derived("azure.correlation_id", &["correlationId"]),
    derived("azure.resource.id", &["resourceId"]),
    derived("azure.resource.provider", &["resourceId"]),
    derived("client.ip", &["properties.ipAddress"]),
    derived("cloud.provider", &[]),
    derived("event.action", &["operationName"]),
    derived("event.category", &[]),
    derived("event.duration", &["durationMs"]),
    derived("event.id", &["properties.id"]),
    derived("event.kind", &[]),
    derived("event.outcome", &["properties.status.errorCode"]),
    derived("event.type", &[]),
    derived("geo.city_name", &["properties.location.city"]),
    derived("geo.country_iso_code", &["location"]),
    derived("geo.country_name", &["properties.location.state"]),
    derived(
        "geo.location.lat",
        &["properties.location.geoCoordinates.latitude"],
    ),
    derived(
        "geo.location.lon",
        &["properties.location.geoCoordinates.longitude"],
    ),
    derived("log.level", &["Level"]),
    derived(
        "message",
        &[
            "properties.status.failureReason",
            "properties.status.additionalDetails",
        ],
    ),
    derived("related.ip", &["properties.ipAddress"]),
    derived(
        "related.user",
        &["properties.userPrincipalName", "properties.userId"],
    ),
    derived("source.address", &["properties.ipAddress"]),
    derived("source.ip", &["properties.ipAddress"]),
    derived("user.domain", &["properties.userPrincipalName"]),
    derived("user.email", &["properties.userPrincipalName"]),
    derived("user.full_name", &["properties.userDisplayName"]),
    derived("user.id", &["properties.userId"]),
    derived("user.name", &["properties.userPrincipalName"]),
    derived("user_agent.original", &["properties.userAgent"]),
];

fn is_sign_in(object: &Map<'_>) -> bool {
    object
        .text_at("category")
        .is_some_and(|category| category.ends_with("SignInLogs"))
}

fn detect(record: &Record<'_>) -> Confidence {
    match record.object {
        Some(object) if is_sign_in(object) && object.get("properties").is_some() => Confidence::Certain,
        _ => Confidence::No,
    }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let object = super::record(record)?;
    if !is_sign_in(object) {
        return Err(Dropped::NoEvent("the record is no sign-in"));
    }
    Ok(document(record, object))
}

/// The document of a sign-in in the form of a diagnostic record.
pub(super) fn document<'a>(record: &Record<'a>, object: &'a Map<'a>) -> &'a Map<'a> {
    snake_keys(object, false);
    let document = record.document();
    document.put("azure.signinlogs", Value::Map(object));
    time(object, document);
    caller(
        object,
        &["properties.ipaddress", "properties.ip_address"],
        document,
    );
    object.take("properties.ipaddress");
    object.take("properties.ip_address");
    if let Some(level) = object.remove("level") {
        as_text(document, "log.level", level);
    }
    if let Some(nanos) = object.remove("duration_ms").and_then(super::nanoseconds) {
        document.put("event.duration", nanos);
    }
    for (from, to) in [
        ("location", "geo.country_iso_code"),
        ("tenant_id", "azure.tenant_id"),
        ("correlation_id", "azure.correlation_id"),
        ("resource_id", "azure.resource.id"),
        ("properties.location.city", "geo.city_name"),
        ("properties.location.state", "geo.country_name"),
        ("properties.location.geo_coordinates.latitude", "geo.location.lat"),
        (
            "properties.location.geo_coordinates.longitude",
            "geo.location.lon",
        ),
    ] {
        if let Some(value) = object.take(from) {
            document.put(to, value);
        }
    }
    object.take("properties.location");
    if let Some(action) = object.get("operation_name") {
        as_text(document, "event.action", action);
    }
    if let Some(properties) = object.map_at("properties") {
        of_properties(properties, document);
    }
    document.put_texts("event.category", &["authentication"]);
    document.put_texts("event.type", &["info"]);
    super::finish(document);
    document
}

fn of_properties<'a>(properties: &'a Map<'a>, document: &'a Map<'a>) {
    for (from, to) in [
        ("created_date_time", "created_at"),
        ("processing_time_in_milliseconds", "processing_time_ms"),
        ("risk_level_during_sign_in", "risk_level_during_signin"),
    ] {
        properties.rename(from, to);
    }
    let status = properties.map_at("status");
    let failed = status
        .and_then(|status| status.get("error_code"))
        .and_then(Value::to_int)
        .is_some_and(|code| code > 0);
    document.put_text("event.outcome", if failed { "failure" } else { "success" });
    let said = |key: &str| status.and_then(|status| status.remove(key)?.as_text());
    match (said("failure_reason"), said("additional_details")) {
        (Some(reason), Some(details)) => {
            let text = [reason, " (", details, ")"].concat();
            document.put_text("message", document.text(&text));
        }
        (Some(text), None) | (None, Some(text)) => {
            document.put_text("message", text);
        }
        (None, None) => {}
    }
    if let Some(Value::List(list)) = properties.get("authentication_processing_details") {
        let by_key = document.new_map();
        for detail in list.iter().filter_map(|detail| detail.as_map()) {
            if let (Some(key), Some(value)) = (
                detail.get("key").and_then(|key| convert::text(key, document)),
                detail.get("value"),
            ) {
                by_key.add(key, value);
            }
        }
        keep_last(by_key);
        properties.set("authentication_processing_details", Value::Map(by_key));
    }
    if let Some(id) = properties.get("id").filter(|id| !id.is_blank()) {
        as_text(document, "event.id", id);
    }
    if let Some(agent) = properties.remove("user_agent") {
        document.put_new("user_agent.original", agent);
    }
    if let Some(name) = properties.get("user_display_name") {
        as_text(document, "user.full_name", name);
    }
    match properties.get("user_id") {
        Some(Value::Null) => {
            properties.remove("user_id");
        }
        Some(id) => as_text(document, "user.id", id),
        None => {}
    }
    if let Some(name) = properties.text_at("user_principal_name") {
        match split_address(name) {
            Some((local, domain)) => {
                document.put_text("user.name", local);
                document.put_text("user.domain", domain);
                document.put_text("user.email", name);
            }
            None => {
                document.put_text("user.name", name);
            }
        }
    }
    for path in ["user.name", "user.id"] {
        if let Some(user) = document.at(path).filter(|user| !user.is_blank()) {
            document.append_new("related.user", user);
        }
    }
}

/// Sets a scalar as a string; null is left out, an empty string is kept.
fn as_text<'a>(document: &'a Map<'a>, path: &'a str, value: Value<'a>) {
    if let Some(text) = convert::text(value, document) {
        document.put_text(path, text);
    }
}
