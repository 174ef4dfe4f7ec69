//! Azure activity log: event hub and diagnostic records, and the shape of the REST interface.
//!
//! Record: <https://learn.microsoft.com/azure/azure-monitor/platform/activity-log-schema>. Beyond what Elastic's
//! integration sets: the identity of callers whose claims have no full name, an outcome for `Succeeded` and `Failed`,
//! and category and type by the verb of the operation.

use super::{SHARED, lift_shared, split_address};
use crate::mapping::{Mapping, keep};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "azure_activitylogs",
    aliases: &[],
    title: "Azure activity log: event hub, diagnostic settings, blob files, REST interface",
    module: "azure",
    dataset: "azure.activitylogs",
    os: None,
    mappings: &[SHARED, INSIDE],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

const CLAIMS: &str = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims";

/// What is renamed inside of `azure.activitylogs`.
const INSIDE: &[Mapping] = &[
    keep("operationName", "azure.activitylogs.operation_name"),
    keep("operationName", "event.action"),
    keep("resultType", "azure.activitylogs.result_type"),
    keep("resultSignature", "azure.activitylogs.result_signature"),
    keep("operationVersion", "azure.activitylogs.operation_version"),
    keep("tenantId", "azure.activitylogs.tenant_id"),
    keep("Level", "azure.activitylogs.level"),
    keep(
        "properties.serviceRequestId",
        "azure.activitylogs.properties.service_request_id",
    ),
    keep(
        "properties.statusCode",
        "azure.activitylogs.properties.status_code",
    ),
    keep("properties.statusMessage", "message"),
];

const DERIVED: &[Derived] = &[
    derived("azure.activitylogs.*", &[]),
    derived(
        "azure.activitylogs.identity.claims.xms_mirid",
        &["identity.claims"],
    ),
    derived(
        "azure.activitylogs.event_category",
        &["properties.eventCategory", "properties.policies"],
    ),
    derived("azure.subscription_id", &["resourceId"]),
    derived("azure.resource.group", &["resourceId"]),
    derived("azure.resource.provider", &["resourceId"]),
    derived("azure.resource.name", &["resourceId"]),
    derived("azure.resource.namespace", &["resourceId"]),
    derived("azure.resource.authorization_rule", &["resourceId"]),
    derived("cloud.provider", &[]),
    derived("event.kind", &[]),
    derived("event.duration", &["durationMs"]),
    derived("event.outcome", &["resultType", "properties.result"]),
    derived("event.category", &["operationName"]),
    derived("event.type", &["category", "operationName"]),
    derived("source.address", &["callerIpAddress"]),
    derived("related.ip", &["callerIpAddress"]),
    derived("related.user", &["identity.claims"]),
    derived("user.name", &["identity.claims"]),
    derived("user.domain", &["identity.claims"]),
    derived("user.email", &["identity.claims"]),
    derived("user.full_name", &["identity.claims.name"]),
];

fn detect(record: &Record<'_>) -> Confidence {
    let Some(object) = record.object else {
        return Confidence::No;
    };
    let has = |key: &str| object.get(key).is_some();
    let category = object
        .text_at("category")
        .or_else(|| object.text_at("category.value"))
        .or_else(|| object.text_at("evt.category"))
        .unwrap_or("");
    let known = [
        "Administrative",
        "Security",
        "ServiceHealth",
        "Alert",
        "Recommendation",
        "Policy",
        "Autoscale",
        "ResourceHealth",
        "Write",
        "Delete",
        "Action",
        "Read",
    ]
    .iter()
    .any(|name| name.eq_ignore_ascii_case(category));
    let action = has("operationName") || has("authorization") || object.at("evt.name").is_some();
    let rest = has("channels") && (has("claims") || has("caller") || has("eventTimestamp"));
    if (known && action && has("resourceId")) || rest {
        return Confidence::Certain;
    }
    let azure = has("resourceId") && has("operationName") && has("time");
    if azure && object.at("identity.authorization").is_some() {
        Confidence::Likely
    } else {
        Confidence::No
    }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let object = super::record(record)?;
    from_rest(object);
    let document = record.document();
    document.put("azure.activitylogs", Value::Map(object));
    if let Some(name @ Value::Text(_)) = object.get("identity") {
        object.remove("identity");
        object.set("identity_name", name);
    }
    event_category(object);
    outcome(object, document);
    if let Some(action @ Value::Text(_)) = object.get("operationName") {
        document.put("event.action", action);
    }
    if let Some(properties) = object.map_at("properties") {
        properties.rename("serviceRequestId", "service_request_id");
        properties.rename("statusCode", "status_code");
        if let Some(message) = properties.remove("statusMessage") {
            document.put("message", message);
        }
    }
    event_type(object, document);
    classify(document);
    lift_shared(object, document);
    if let Some(identity) = object.map_at("identity") {
        evidence(identity);
        claims(identity, document);
    }
    Ok(document)
}

/// The REST interface and the portal write the same record with other names: `{value, localizedValue}` pairs,
/// claims beside the authorization, other times.
fn from_rest<'a>(object: &'a Map<'a>) {
    for key in [
        "operationName",
        "category",
        "status",
        "subStatus",
        "eventName",
        "resourceProviderName",
        "resourceType",
    ] {
        if let Some(value) = object
            .get(key)
            .and_then(Value::as_map)
            .and_then(|pair| pair.get("value"))
        {
            object.set(key, value);
        }
    }
    for (from, to) in [
        ("eventTimestamp", "time"),
        ("status", "resultType"),
        ("subStatus", "resultSignature"),
        ("claims.ipaddr", "callerIpAddress"),
        ("httpRequest.clientIpAddress", "callerIpAddress"),
        ("evt.name", "operationName"),
        ("evt.category", "category"),
        ("evt.outcome", "resultType"),
        ("claims", "identity.claims"),
        ("authorization", "identity.authorization"),
    ] {
        if let Some(value) = object.at(from)
            && object.at(to).is_none()
        {
            object.put(to, value);
        }
    }
    if object.get("operationName").is_none()
        && let Some(action) = object.at("identity.authorization.action")
    {
        object.set("operationName", action);
    }
    for key in [
        "claims",
        "authorization",
        "evt",
        "status",
        "subStatus",
        "eventTimestamp",
    ] {
        object.remove(key);
    }
}

fn event_category<'a>(object: &'a Map<'a>) {
    let properties = match object.get("properties") {
        None | Some(Value::Null) => None,
        Some(Value::Map(properties)) => Some(properties),
        Some(_) => return,
    };
    let given = properties.and_then(|properties| properties.remove("eventCategory"));
    let policies = properties.is_some_and(|properties| properties.get("policies").is_some());
    let category = given.unwrap_or(Value::Text(if policies { "Policy" } else { "Administrative" }));
    object.set("event_category", category);
}

fn outcome<'a>(object: &'a Map<'a>, document: &'a Map<'a>) {
    let result = object.text_at("resultType");
    let named = |text: &'a str, names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(text));
    let outcome = match result {
        Some(text) if named(text, &["success", "succeeded"]) => Some("success"),
        Some(text) if named(text, &["failure", "failed"]) => Some("failure"),
        _ => object
            .text_at("properties.result")
            .filter(|text| ["success", "failure", "unknown"].contains(text)),
    };
    if let Some(outcome) = outcome {
        document.put_text("event.outcome", outcome);
    }
}

pub(super) fn event_type<'a>(object: &Map<'a>, document: &'a Map<'a>) {
    let kind = match object.text_at("category").unwrap_or("").to_lowercase().as_str() {
        "write" | "action" => "change",
        "read" => "access",
        "delete" => "deletion",
        _ => return,
    };
    document.put_texts("event.type", &[kind]);
}

/// Category and type by the verb of the operation, for the many records whose category says nothing about it.
fn classify<'a>(document: &'a Map<'a>) {
    let Some(action) = document.text_at("event.action") else {
        return;
    };
    let lower = action.to_ascii_lowercase();
    let (what, verb) = lower.rsplit_once('/').unwrap_or(("", &lower));
    let kind = match verb {
        "write" if what.ends_with("/snapshots") || what.ends_with("/images") => "creation",
        "write" | "action" => "change",
        "read" => "access",
        "delete" => "deletion",
        _ => return,
    };
    let category = if what.contains("microsoft.authorization/") {
        "iam"
    } else {
        "configuration"
    };
    document.put_texts("event.category", &[category]);
    if document.at("event.type").is_none() {
        document.put_texts("event.type", &[kind]);
    }
}

fn evidence<'a>(identity: &'a Map<'a>) {
    let Some(evidence) = identity.map_at("authorization.evidence") else {
        return;
    };
    for (from, to) in [
        ("roleAssignmentScope", "role_assignment_scope"),
        ("roleDefinitionId", "role_definition_id"),
        ("roleAssignmentId", "role_assignment_id"),
        ("principalId", "principal_id"),
        ("principalType", "principal_type"),
    ] {
        evidence.rename(from, to);
    }
}

/// Who called: the claims of the token, by name; dots in the keys of the others become underscores.
fn claims<'a>(identity: &'a Map<'a>, document: &'a Map<'a>) {
    let Some(claims) = identity.get("claims").and_then(Value::as_map) else {
        return;
    };
    let user = identity.new_map();
    if let Some(full_name) = claims.remove("name") {
        user.set("fullname", full_name);
    }
    for (claim, field) in [
        ("surname", "surname"),
        ("name", "name"),
        ("givenname", "givenname"),
    ] {
        if let Some(value) = claims
            .get(&[CLAIMS, claim].join("/"))
            .filter(|value| !matches!(value, Value::Null))
        {
            user.set(field, value);
        }
    }
    if user.get("name").is_some() {
        user.set("schema", Value::Text(CLAIMS));
    }
    if !user.is_empty() {
        identity.set("claims_initiated_by_user", Value::Map(user));
    }
    claims.rename_keys(|key| key.contains('.').then(|| claims.text(&key.replace('.', "_"))));

    if let Some(name) = user.text_at("name") {
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
    if let Some(name) = document.at("user.name") {
        document.append_new("related.user", name);
    }
    if let Some(full_name @ Value::Text(_)) = user.get("fullname") {
        document.put("user.full_name", full_name);
    }
}
