//! Entra ID sign-ins and directory audits as the Graph API gives them, without the frame of a diagnostic record.
//!
//! Records: <https://learn.microsoft.com/graph/api/resources/signin> and
//! <https://learn.microsoft.com/graph/api/resources/directoryaudit>. They are put into the frame that diagnostic
//! settings write, so that the same rules read them.

use super::{audit, signin};
use crate::record::Record;
use crate::source::{Confidence, Dropped, SourceInfo, Stateless};
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "entraid_graphapi",
    aliases: &[],
    title: "Entra ID sign-ins and directory audits from the Graph API",
    module: "azure",
    dataset: audit::DATASET,
    os: None,
    mappings: &[],
    derived: &[signin::DERIVED, audit::DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

enum Kind {
    SignIn,
    Audit,
}

fn kind(object: &Map<'_>) -> Option<Kind> {
    let has = |key: &str| object.get(key).is_some();
    if has("properties") {
        return None;
    }
    if has("activityDisplayName") && (has("initiatedBy") || has("targetResources") || has("loggedByService"))
    {
        Some(Kind::Audit)
    } else if has("createdDateTime") && has("status") && (has("appId") || has("appDisplayName")) {
        Some(Kind::SignIn)
    } else {
        None
    }
}

fn detect(record: &Record<'_>) -> Confidence {
    match record.object.and_then(kind) {
        Some(_) => Confidence::Certain,
        None => Confidence::No,
    }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some(object) = record.object else {
        return Err(Dropped::Malformed("it is no JSON object"));
    };
    let Some(kind) = kind(object) else {
        return Err(Dropped::Malformed(
            "it is neither a sign-in nor a directory audit",
        ));
    };
    let frame = record.arena.map();
    let from_inside: &[(&str, &str)] = match kind {
        Kind::SignIn => {
            frame.add("category", Value::Text(sign_in_category(object)));
            frame.add("operationName", Value::Text("Sign-in activity"));
            &[
                ("createdDateTime", "time"),
                ("correlationId", "correlationId"),
                ("userDisplayName", "identity"),
                ("location.countryOrRegion", "location"),
                ("ipAddress", "callerIpAddress"),
                ("resourceTenantId", "tenantId"),
            ]
        }
        Kind::Audit => {
            frame.add("category", Value::Text("AuditLogs"));
            &[
                ("activityDisplayName", "operationName"),
                ("activityDateTime", "time"),
                ("correlationId", "correlationId"),
            ]
        }
    };
    for (from, to) in from_inside {
        if let Some(value) = object.at(from).filter(|value| !value.is_blank()) {
            frame.add(to, value);
        }
    }
    let properties = object.shallow_copy();
    properties.retain(|key, value| (!key.starts_with("@odata")).then_some(value));
    frame.add("properties", Value::Map(properties));
    let document = match kind {
        Kind::SignIn => {
            if let Some(code) = object
                .at("status.errorCode")
                .and_then(|code| crate::convert::text(code, frame))
            {
                frame.add("resultType", Value::Text(code));
                frame.rename("resultType", "result_type");
            }
            signin::document(record, frame)
        }
        Kind::Audit => audit::document(record, frame),
    };
    let dataset = match kind {
        Kind::SignIn => signin::DATASET,
        Kind::Audit => audit::DATASET,
    };
    document.put_text("event.dataset", dataset);
    document.put_text("event.provider", "Microsoft Graph");
    Ok(document)
}

/// The log that a sign-in would stand in.
fn sign_in_category(object: &Map<'_>) -> &'static str {
    let kinds = object
        .get("signInEventTypes")
        .and_then(Value::as_list)
        .unwrap_or(&[]);
    let is = |name: &str| kinds.iter().any(|kind| kind.as_text() == Some(name));
    if is("servicePrincipal") {
        "ServicePrincipalSignInLogs"
    } else if is("managedIdentity") {
        "ManagedIdentitySignInLogs"
    } else if is("nonInteractiveUser") {
        "NonInteractiveUserSignInLogs"
    } else {
        "SignInLogs"
    }
}
