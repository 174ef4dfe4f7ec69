//! Entra ID audit logs.
//!
//! Record: <https://learn.microsoft.com/graph/api/resources/directoryaudit>, in the form of a diagnostic record.
//! Beyond what Elastic's integration sets: the user, group and user agent that the event names, its category and
//! type, and the address of the initiator where the record has no other.

use super::{caller, graph, risk, signin, split_address, time};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, Made, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "azure_auditlogs",
    aliases: &[],
    title: "Entra ID audit logs: event hub, diagnostic settings, blob files",
    module: "azure",
    dataset: DATASET,
    os: None,
    mappings: &[],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

pub(super) const DATASET: &str = "azure.auditlogs";

pub(super) const DERIVED: &[Derived] = &[
    derived("@timestamp", &["time"]),
    derived("azure.auditlogs.*", &[]),
    derived("azure.tenant_id", &["tenantId"]),
    derived("azure.correlation_id", &["correlationId"]),
    derived("azure.resource.id", &["resourceId"]),
    derived("azure.resource.provider", &["resourceId"]),
    derived("client.ip", CALLER),
    derived("cloud.provider", &[]),
    derived("event.action", &["operationName"]),
    derived("event.category", &[]),
    derived("event.duration", &["durationMs"]),
    derived("event.kind", &[]),
    derived("event.outcome", &["properties.result"]),
    derived("event.type", &["operationName"]),
    derived("group.id", &["properties.targetResources"]),
    derived("group.name", &["properties.targetResources"]),
    derived("log.level", &["level"]),
    derived("related.ip", CALLER),
    derived(
        "related.user",
        &[
            "properties.initiatedBy.user.userPrincipalName",
            "properties.targetResources",
        ],
    ),
    derived("source.address", CALLER),
    derived("source.ip", CALLER),
    derived("user.domain", &["properties.initiatedBy.user.userPrincipalName"]),
    derived("user.email", &["properties.initiatedBy.user.userPrincipalName"]),
    derived("user.id", &["properties.initiatedBy.user.id"]),
    derived("user.name", &["properties.initiatedBy.user.userPrincipalName"]),
    derived("user.target.id", &["properties.targetResources"]),
    derived("user.target.name", &["properties.targetResources"]),
    derived(
        "user_agent.original",
        &["properties.userAgent", "properties.additionalDetails"],
    ),
];

const CALLER: &[&str] = &["callerIpAddress", "properties.initiatedBy.user.ipAddress"];

fn is_audit(object: &Map<'_>) -> bool {
    object.text_at("category") == Some("AuditLogs")
}

fn detect(record: &Record<'_>) -> Confidence {
    match record.object {
        Some(object) if is_audit(object) && object.get("properties").is_some() => Confidence::Certain,
        _ => Confidence::No,
    }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let object = super::record(record)?;
    if is_audit(object) {
        return Ok(document(record, object));
    }
    // The logs of Entra ID come mixed from one hub. Where they are all taken for audits, each is read as what it is.
    let others = [&signin::INFO, &risk::INFO, &graph::INFO, &graph::AAD];
    let Some(other) = others
        .into_iter()
        .find(|other| (other.detect)(record) == Confidence::Certain)
    else {
        return Err(Dropped::NoEvent("the record is of another category"));
    };
    let mut made = Made::new();
    (other.start)().normalize(record, &mut made)?;
    let document = made
        .pop()
        .ok_or(Dropped::Malformed("it is none of the logs of Entra ID"))?;
    document.put_text("event.dataset", other.dataset);
    Ok(document)
}

/// The document of a directory audit in the form of a diagnostic record.
pub(super) fn document<'a>(record: &Record<'a>, object: &'a Map<'a>) -> &'a Map<'a> {
    let document = record.document();
    document.put("azure.auditlogs", Value::Map(object));
    time(object, document);
    caller(object, &["callerIpAddress"], document);
    if document.at("source.ip").is_some() {
        document.take("source.address");
        object.remove("callerIpAddress");
    } else if object.get("callerIpAddress").is_some_and(Value::is_blank)
        || document.at("source.address").is_some()
    {
        object.remove("callerIpAddress");
    }
    if let Some(nanos) = object.remove("durationMs").and_then(super::nanoseconds) {
        document.put("event.duration", nanos);
    }
    for (from, to) in [
        ("level", "log.level"),
        ("tenantId", "azure.tenant_id"),
        ("correlationId", "azure.correlation_id"),
        ("resourceId", "azure.resource.id"),
    ] {
        if let Some(value) = object.remove(from) {
            document.put(to, value);
        }
    }
    for (from, to) in [
        ("Level", "level"),
        ("operationName", "operation_name"),
        ("operationVersion", "operation_version"),
        ("resultSignature", "result_signature"),
    ] {
        object.rename(from, to);
    }
    if let Some(action @ Value::Text(_)) = object.get("operation_name") {
        document.put("event.action", action);
    }
    if let Some(properties) = object.map_at("properties") {
        of_properties(properties, document);
    }
    document.put_texts("event.category", &["iam"]);
    document.put_texts(
        "event.type",
        event_type(document.text_at("event.action").unwrap_or("")),
    );
    super::finish(document);
    document
}

fn of_properties<'a>(properties: &'a Map<'a>, document: &'a Map<'a>) {
    if let Some(result) = properties.text_at("result")
        && (result.eq_ignore_ascii_case("success") || result.eq_ignore_ascii_case("failure"))
    {
        properties.remove("result");
        document.put_text("event.outcome", result);
    }
    for key in ["userAgent", "initiatedBy.app.appId"] {
        remove_null(properties, key);
    }
    for key in [
        "initiatedBy.app.servicePrincipalName",
        "initiatedBy.user.displayName",
    ] {
        remove_null(properties, key);
    }
    initiator(properties, document);
    targets(properties, document);
    for (from, to) in [
        ("activityDisplayName", "activity_display_name"),
        ("activityDateTime", "activity_datetime"),
        ("additionalDetails", "additional_details"),
        ("resultReason", "result_reason"),
        ("resultDescription", "result_description"),
        ("correlationId", "correlation_id"),
        ("loggedByService", "logged_by_service"),
        ("operationType", "operation_type"),
        ("initiatedBy", "initiated_by"),
        ("additional_details.userAgent", "additional_details.user_agent"),
    ] {
        properties.rename(from, to);
    }
    let agent = properties.get("userAgent").or_else(|| {
        let details = properties.get("additional_details")?.as_list()?;
        let said = details
            .iter()
            .filter_map(|detail| detail.as_map())
            .find(|detail| detail.text_at("key") == Some("User-Agent"))?;
        said.get("value")
    });
    if let Some(agent @ Value::Text(_)) = agent.filter(|agent| !agent.is_blank()) {
        document.put_new("user_agent.original", agent);
    }
}

fn remove_null(map: &Map<'_>, path: &str) {
    if matches!(map.at(path), Some(Value::Null)) {
        map.take(path);
    }
}

/// The user, or else the application, that did it.
fn initiator<'a>(properties: &'a Map<'a>, document: &'a Map<'a>) {
    if let Some(name) = properties.text_at("initiatedBy.user.userPrincipalName") {
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
        document.append_new("related.user", Value::Text(name));
    }
    for (from, to) in [
        ("initiatedBy.user.id", "user.id"),
        ("initiatedBy.app.servicePrincipalId", "user.id"),
        ("initiatedBy.user.displayName", "user.full_name"),
        ("initiatedBy.app.displayName", "user.name"),
    ] {
        if let Some(value) = properties.text_at(from) {
            document.put_new(to, Value::Text(value));
        }
    }
    if document.at("source.ip").is_none() && document.at("source.address").is_none() {
        caller(properties, &["initiatedBy.user.ipAddress"], document);
    }
}

/// The things that the event is about, by their number; the integration turns the array into an object of this form.
fn targets<'a>(properties: &'a Map<'a>, document: &'a Map<'a>) {
    let Some(list) = properties.get("targetResources").and_then(Value::as_list) else {
        return;
    };
    let numbered = document.new_map();
    let mut whole = true;
    for (index, target) in list.iter().enumerate() {
        let Some(target) = target.as_map() else {
            whole = false;
            continue;
        };
        let out = document.new_map();
        numbered.add(super::number(index, document), Value::Map(out));
        for (from, to, always) in [
            ("displayName", "display_name", false),
            ("id", "id", true),
            ("type", "type", true),
            ("ipAddress", "ip_address", false),
            ("userPrincipalName", "user_principal_name", false),
        ] {
            match target.get(from) {
                None | Some(Value::Null) if !always => {}
                value => out.add(to, value.unwrap_or(Value::Null)),
            }
        }
        modified(target, out, &mut whole);
        name_target(target, document);
    }
    let users = list
        .iter()
        .filter_map(|target| target.as_map())
        .filter(|target| target.text_at("type") == Some("User"))
        .filter_map(|target| name_of(target));
    document.extend_new("related.user", users);
    properties.set("target_resources", Value::Map(numbered));
    // Where a target has no list of changes the integration stops, and keeps the array.
    if whole {
        properties.remove("targetResources");
    }
}

fn modified<'a>(target: &Map<'a>, out: &'a Map<'a>, whole: &mut bool) {
    let numbered = out.new_map();
    out.add("modified_properties", Value::Map(numbered));
    let Some(list) = target.get("modifiedProperties").and_then(Value::as_list) else {
        *whole = false;
        return;
    };
    for (index, change) in list.iter().enumerate() {
        let Some(change) = change.as_map() else { continue };
        let entry = out.new_map();
        numbered.add(super::number(index, out), Value::Map(entry));
        entry.add("display_name", change.get("displayName").unwrap_or(Value::Null));
        for (from, to) in [("newValue", "new_value"), ("oldValue", "old_value")] {
            if let Some(value) = change.get(from).filter(|value| !matches!(value, Value::Null)) {
                entry.add(to, value);
            }
        }
    }
}

fn name_of<'a>(target: &Map<'a>) -> Option<Value<'a>> {
    let name = target
        .text_at("userPrincipalName")
        .or_else(|| target.text_at("displayName"));
    name.map(Value::Text)
}

fn name_target<'a>(target: &Map<'a>, document: &'a Map<'a>) {
    let (id_field, name_field) = match target.text_at("type") {
        Some("User") => ("user.target.id", "user.target.name"),
        Some("Group") => ("group.id", "group.name"),
        _ => return,
    };
    if let Some(id) = target.text_at("id") {
        document.put_new(id_field, Value::Text(id));
    }
    if let Some(name) = name_of(target) {
        document.put_new(name_field, name);
    }
}

/// `event.type` of an operation, by its words.
fn event_type(action: &str) -> &'static [&'static str] {
    let lower = action.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let creates = has(&["add ", "create", "invite", "register", "hard create"]);
    let deletes = has(&["delete", "remove"]);
    if has(&[
        "member",
        "owner",
        "role",
        "password",
        "update",
        "change",
        "reset",
        "set ",
        "credential",
        "consent",
    ]) {
        if has(&["group"]) {
            &["group", "change"]
        } else if has(&["user", "password"]) {
            &["user", "change"]
        } else {
            &["admin", "change"]
        }
    } else if creates {
        if has(&["user"]) {
            &["user", "creation"]
        } else if has(&["group"]) {
            &["group", "creation"]
        } else {
            &["creation"]
        }
    } else if deletes {
        if has(&["user"]) {
            &["user", "deletion"]
        } else if has(&["group"]) {
            &["group", "deletion"]
        } else {
            &["deletion"]
        }
    } else {
        &["info"]
    }
}
