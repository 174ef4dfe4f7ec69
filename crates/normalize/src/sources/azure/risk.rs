//! Entra ID Protection logs: risky users and risk events of users and service principals.
//!
//! Record: <https://learn.microsoft.com/entra/id-protection/howto-export-risk-data>. Keys become snake case.

use super::{caller, split_address, time};
use crate::convert;
use crate::record::Record;
use crate::snake::snake_keys;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "azure_identityprotection",
    aliases: &["azure_identity_protection"],
    title: "Entra ID Protection: risky users and risk events",
    module: "azure",
    dataset: "azure.identity_protection",
    os: None,
    mappings: &[],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

const DERIVED: &[Derived] = &[
    derived("@timestamp", &["time"]),
    derived("azure.identityprotection.*", &[]),
    derived("azure.correlation_id", &["correlationId"]),
    derived("azure.resource.id", &["resourceId"]),
    derived("azure.resource.provider", &["resourceId"]),
    derived("azure.tenant_id", &["tenantId"]),
    derived("client.ip", CALLER),
    derived("cloud.provider", &[]),
    derived("event.action", &["operationName"]),
    derived("event.category", &[]),
    derived("event.duration", &["durationMs"]),
    derived("event.id", &["properties.id"]),
    derived("event.kind", &[]),
    derived("event.type", &[]),
    derived("log.level", &["Level", "level"]),
    derived("related.ip", CALLER),
    derived("related.user", &["properties.userPrincipalName"]),
    derived("source.address", CALLER),
    derived("source.ip", CALLER),
    derived("user.domain", &["properties.userPrincipalName"]),
    derived("user.email", &["properties.userPrincipalName"]),
    derived("user.full_name", &["properties.userDisplayName"]),
    derived("user.id", &["properties.userId"]),
    derived("user.name", &["properties.userPrincipalName"]),
];

const CALLER: &[&str] = &["properties.ipAddress", "callerIpAddress"];

fn detect(record: &Record<'_>) -> Confidence {
    match record.text_at("category") {
        Some("RiskyUsers" | "UserRiskEvents" | "RiskyServicePrincipals" | "ServicePrincipalRiskEvents") => {
            Confidence::Certain
        }
        _ => Confidence::No,
    }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let object = super::record(record)?;
    snake_keys(object, false);
    let document = record.document();
    document.put("azure.identityprotection", Value::Map(object));
    time(object, document);
    caller(object, &["properties.ip_address", "caller_ip_address"], document);
    if let Some(level) = object
        .remove("level")
        .and_then(|level| convert::text(level, document))
    {
        document.put_text("log.level", level);
    }
    if let Some(nanos) = object.remove("duration_ms").and_then(super::nanoseconds) {
        document.put("event.duration", nanos);
    }
    for (from, to) in [
        ("resource_id", "azure.resource.id"),
        ("tenant_id", "azure.tenant_id"),
        ("correlation_id", "azure.correlation_id"),
    ] {
        if let Some(value) = object.remove(from) {
            document.put(to, value);
        }
    }
    for (from, to) in [
        ("operation_name", "event.action"),
        ("properties.id", "event.id"),
        ("properties.user_id", "user.id"),
        ("properties.user_display_name", "user.full_name"),
    ] {
        document.copy_from(object, from, to);
    }
    if let Some(name) = object.text_at("properties.user_principal_name") {
        let (local, domain) = split_address(name).unzip();
        document.put_text("user.name", local.unwrap_or(name));
        if let Some(domain) = domain {
            document.put_text("user.domain", domain);
            document.put_text("user.email", name);
        }
        document.append_new("related.user", Value::Text(name));
    }
    document.put_texts("event.category", &["iam"]);
    document.put_texts("event.type", &["user", "info"]);
    super::finish(document);
    Ok(document)
}
