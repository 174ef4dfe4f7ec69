//! Google Cloud audit log entries, those of GKE included.
//!
//! Record: <https://cloud.google.com/logging/docs/reference/audit/auditlog/rest/Shared.Types/AuditLog> in a
//! <https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry>. Beyond what Elastic's integration sets:
//! `source.address` for callers without an IP address, `user.*`, the region, the service's data in snake case, and
//! category and type by the verb of the method where it leaves them out.

use std::sync::LazyLock;

use smallvec::SmallVec;

use crate::mapping::{How, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::snake::snake_keys;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::sources::k8s_audit;
use crate::tree::{Map, Value};

pub(super) const INFO: SourceInfo = SourceInfo {
    name: "gcp_audit",
    aliases: &[],
    title: "Google Cloud audit: log entries, sink files, Pub/Sub messages, GKE",
    module: "gcp",
    dataset: "gcp.audit",
    os: None,
    mappings: &[ENTRY, PAYLOAD],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[ENTRY, PAYLOAD]));

const AUDIT_LOG: &str = "type.googleapis.com/google.cloud.audit.AuditLog";

const ENTRY: &[Mapping] = &[
    to(How::Date, "timestamp", "@timestamp"),
    to(How::Date, "receiveTimestamp", "@timestamp"),
    keep("insertId", "event.id"),
    keep("logName", "log.logger"),
    keep("severity", "log.level"),
    keep("resource.labels.project_id", "cloud.project.id"),
    keep("resource.labels.instance_id", "cloud.instance.id"),
    keep("resource.labels.location", "cloud.region"),
    keep("resource.labels.region", "cloud.region"),
    keep("resource.labels.zone", "cloud.availability_zone"),
    keep("labels", "gcp.audit.labels"),
];

const PAYLOAD: &[Mapping] = &[
    keep("protoPayload.@type", "gcp.audit.type"),
    keep(
        "protoPayload.authenticationInfo.authoritySelector",
        "gcp.audit.authentication_info.authority_selector",
    ),
    keep(
        "protoPayload.authenticationInfo.serviceAccountKeyName",
        "gcp.audit.authentication_info.service_account_key_name",
    ),
    keep(
        "protoPayload.authenticationInfo.serviceAccountDelegationInfo",
        "gcp.audit.authentication_info.service_account_delegation_info",
    ),
    keep(
        "protoPayload.authenticationInfo.thirdPartyPrincipal",
        "gcp.audit.authentication_info.third_party_principal",
    ),
    keep(
        "protoPayload.authenticationInfo.principalEmail",
        "client.user.email",
    ),
    keep("protoPayload.authenticationInfo.principalEmail", "user.name"),
    keep(
        "protoPayload.authenticationInfo.principalSubject",
        "client.user.id",
    ),
    keep("protoPayload.authenticationInfo.principalSubject", "user.id"),
    keep("protoPayload.authorizationInfo", "gcp.audit.authorization_info"),
    to(How::Ip, "protoPayload.requestMetadata.callerIp", "source.ip"),
    // Exporters that rename fields write the acronym in capitals.
    to(How::Ip, "protoPayload.requestMetadata.callerIP", "source.ip"),
    keep(
        "protoPayload.requestMetadata.callerSuppliedUserAgent",
        "user_agent.original",
    ),
    keep("protoPayload.metadata", "gcp.audit.metadata"),
    keep(
        "protoPayload.policyViolationInfo.orgPolicyViolationInfo.violationInfo",
        "gcp.audit.policy_violation_info.violations",
    ),
    keep(
        "protoPayload.policyViolationInfo.orgPolicyViolationInfo.payload",
        "gcp.audit.policy_violation_info.payload",
    ),
    keep(
        "protoPayload.policyViolationInfo.orgPolicyViolationInfo.resourceType",
        "gcp.audit.policy_violation_info.resource_type",
    ),
    keep(
        "protoPayload.policyViolationInfo.orgPolicyViolationInfo.resourceTags",
        "gcp.audit.policy_violation_info.resource_tags",
    ),
    keep("protoPayload.methodName", "event.action"),
    to(
        How::Long,
        "protoPayload.numResponseItems",
        "gcp.audit.num_response_items",
    ),
    keep("protoPayload.request", "gcp.audit.request"),
    keep("protoPayload.response", "gcp.audit.response"),
    keep("protoPayload.serviceData", "gcp.audit.service_data"),
    keep(
        "protoPayload.resourceLocation.currentLocations",
        "gcp.audit.resource_location.current_locations",
    ),
    keep("protoPayload.serviceName", "service.name"),
    to(How::Long, "protoPayload.status.code", "gcp.audit.status.code"),
    keep("protoPayload.status.message", "gcp.audit.status.message"),
    keep("protoPayload.status.details", "gcp.audit.status.details"),
];

const DERIVED: &[Derived] = &[
    derived("gcp.audit.labels.*", &["labels"]),
    derived("gcp.audit.metadata.*", &["protoPayload.metadata"]),
    derived("gcp.audit.request.*", &["protoPayload.request"]),
    derived("gcp.audit.response.*", &["protoPayload.response"]),
    derived("gcp.audit.service_data.*", &["protoPayload.serviceData"]),
    derived("cloud.provider", &[]),
    derived("event.kind", &[]),
    derived("event.provider", &["logName"]),
    derived(
        "event.category",
        &[
            "operation",
            "protoPayload.authorizationInfo",
            "protoPayload.methodName",
        ],
    ),
    derived(
        "event.type",
        &[
            "operation",
            "protoPayload.authorizationInfo",
            "protoPayload.methodName",
        ],
    ),
    derived("user.email", &["protoPayload.authenticationInfo.principalEmail"]),
    derived(
        "event.outcome",
        &["protoPayload.status.code", "protoPayload.authorizationInfo"],
    ),
    derived("gcp.audit.resource_name", &["protoPayload.resourceName"]),
    derived("gcp.audit.logentry_operation.id", &["operation.id"]),
    derived("gcp.audit.request.policy_value", &["protoPayload.request.policy"]),
    derived(
        "gcp.audit.response.status_value",
        &["protoPayload.response.status"],
    ),
    derived("orchestrator.type", &["resource.type"]),
    derived("orchestrator.cluster.name", &["resource.labels.cluster_name"]),
    derived("container.image.name", &["protoPayload.request.spec"]),
    derived("orchestrator.api_version", &["protoPayload.resourceName"]),
    derived("orchestrator.namespace", &["protoPayload.resourceName"]),
    derived("orchestrator.resource.type", &["protoPayload.resourceName"]),
    derived("orchestrator.resource.name", &["protoPayload.resourceName"]),
    derived("source.address", &["protoPayload.requestMetadata.callerIp"]),
    derived("related.ip", &["protoPayload.requestMetadata.callerIp"]),
    derived(
        "related.user",
        &["protoPayload.authenticationInfo.principalEmail"],
    ),
];

fn detect(record: &Record<'_>) -> Confidence {
    let Some(payload) = record.object.and_then(|object| object.map_at("protoPayload")) else {
        return Confidence::No;
    };
    let has = |key: &str| payload.get(key).is_some();
    match payload.text_at_key("@type") {
        Some(AUDIT_LOG) => Confidence::Certain,
        Some(_) => Confidence::Likely,
        None if has("methodName") || has("serviceName") => Confidence::Certain,
        None => Confidence::Likely,
    }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some(entry) = record.object else {
        return Err(Dropped::Malformed("it is no JSON object"));
    };
    if entry
        .map_at("protoPayload")
        .and_then(|p| p.text_at_key("@type"))
        .is_some_and(|kind| kind != AUDIT_LOG)
    {
        return Err(Dropped::NoEvent("the entry is no audit log"));
    }
    let document = record.document();
    PLAN.apply(entry, document);
    document.put_text("cloud.provider", "gcp");
    document.put_text("event.kind", "event");
    if let Some((_, provider)) = document
        .text_at("log.logger")
        .and_then(|name| name.split_once("%2F"))
    {
        document.put_text("event.provider", provider);
    }
    // Rules name the changes of a policy in snake case, as later versions of the integration write them.
    if let Some(data) = document.map_at("gcp.audit.service_data") {
        snake_keys(data, false);
    }
    orchestrator(entry, document);
    if document.text_at("orchestrator.type").is_some()
        && let Some(request) = document.map_at("gcp.audit.request")
    {
        document.extend_new("container.image.name", k8s_audit::images(request));
    }
    operation(entry, document);
    authorization(document);
    classify(document);
    if let Some(email) = document.text_at("user.name").filter(|name| name.contains('@')) {
        document.put_text("user.email", email);
    }
    let resource = entry.at("protoPayload.resourceName");
    if document.at("orchestrator.type").is_none()
        && let Some(resource) = resource
    {
        document.put("gcp.audit.resource_name", resource);
    }
    for (part, field, value) in [
        ("gcp.audit.request", "policy", "policy_value"),
        ("gcp.audit.response", "status", "status_value"),
    ] {
        // The field is an object in most records, so another type goes beside it.
        if let Some(part) = document.map_at(part)
            && part.get(field).is_some_and(|field| field.as_map().is_none())
        {
            part.rename(field, value);
        }
    }
    if document.at("source.ip").is_none() {
        document.copy_from(entry, "protoPayload.requestMetadata.callerIp", "source.address");
    }
    for (from, to) in [("source.ip", "related.ip"), ("client.user.email", "related.user")] {
        if let Some(value) = document.at(from) {
            document.append_new(to, value);
        }
    }
    document.prune();
    Ok(document)
}

/// Long running operations: their first and last entries are a session's start and end.
fn operation<'a>(entry: &Map<'a>, document: &'a Map<'a>) {
    let Some(operation) = entry.get("operation").and_then(Value::as_map) else {
        return;
    };
    if let (Some(id), Some(event)) = (operation.get("id"), document.at("event.id"))
        && !id.same(event)
    {
        document.put("gcp.audit.logentry_operation.id", id);
    }
    let flag = |key: &str| operation.get(key).and_then(Value::as_bool) == Some(true);
    match (flag("first"), flag("last")) {
        (true, true) => {}
        (first, last) => {
            document.put_texts("event.category", &["session"]);
            if first {
                document.put_texts("event.type", &["start"]);
            } else if last {
                document.put_texts("event.type", &["end"]);
            }
        }
    }
}

/// Category, type and outcome from the permission that was asked for, if it was one.
fn authorization<'a>(document: &'a Map<'a>) {
    let list = document
        .at("gcp.audit.authorization_info")
        .and_then(Value::as_list)
        .unwrap_or(&[]);
    for element in list {
        // The integration stops at the first element without attributes.
        if !element
            .as_map()
            .is_some_and(|element| element.rename("resourceAttributes", "resource_attributes"))
        {
            break;
        }
    }
    let granted = match list {
        [single] => {
            document.append("event.category", Value::Text("network"));
            document.append("event.category", Value::Text("configuration"));
            let granted = single
                .as_map()
                .and_then(|single| single.get("granted"))
                .and_then(Value::as_bool);
            if let Some(granted) = granted {
                document.append("event.type", Value::Text("access"));
                document.append(
                    "event.type",
                    Value::Text(if granted { "allowed" } else { "denied" }),
                );
            }
            granted
        }
        _ => None,
    };
    let status = document.at("gcp.audit.status.code").and_then(Value::to_int);
    let outcome = match (status, granted) {
        (Some(0), _) | (None, Some(true)) => "success",
        (Some(_), _) | (None, Some(false)) => "failure",
        (None, None) => "unknown",
    };
    document.put_text("event.outcome", outcome);
}

/// Category and type by the verb of the method, where the integration leaves them out: it looks at calls that ask for
/// one permission only.
fn classify<'a>(document: &'a Map<'a>) {
    let method = document.text_at("event.action").unwrap_or("");
    let verb = method
        .rsplit(['.', '/'])
        .next()
        .unwrap_or(method)
        .to_ascii_lowercase();
    let begins = |verbs: &[&str]| verbs.iter().any(|known| verb.starts_with(known));
    let kind = if begins(&["insert", "create", "import", "copy", "clone"]) {
        "creation"
    } else if begins(&["delete", "remove"]) {
        "deletion"
    } else if begins(&[
        "get",
        "list",
        "aggregatedlist",
        "search",
        "watch",
        "read",
        "test",
        "query",
    ]) {
        "access"
    } else if begins(&[
        "set", "update", "patch", "add", "attach", "detach", "enable", "disable", "move",
    ]) {
        "change"
    } else {
        return;
    };
    if document.at("event.category").is_none() {
        let iam = verb.contains("iam") || verb.contains("serviceaccount") || verb.contains("role");
        document.put_texts("event.category", &[if iam { "iam" } else { "configuration" }]);
    }
    if document.at("event.type").is_none() {
        document.put_texts("event.type", &[kind]);
    }
}

fn orchestrator<'a>(entry: &Map<'a>, document: &'a Map<'a>) {
    let kind = entry.text_at("resource.type");
    if !matches!(kind, Some("k8s_cluster" | "gke_cluster")) {
        return;
    }
    document.put_text("orchestrator.type", "kubernetes");
    document.copy_from(entry, "resource.labels.cluster_name", "orchestrator.cluster.name");
    if kind == Some("k8s_cluster")
        && let Some(resource) = entry.text_at("protoPayload.resourceName")
    {
        let parts = ResourceName::parse(resource);
        for (field, part) in [
            ("orchestrator.api_version", parts.version),
            ("orchestrator.namespace", parts.namespace),
            ("orchestrator.resource.type", parts.kind),
            ("orchestrator.resource.name", parts.name),
        ] {
            if let Some(part) = part {
                document.put_text(field, part);
            }
        }
    }
}

/// `GROUP/VERSION/namespaces/NAMESPACE/TYPE/NAME` and its shorter forms.
#[derive(Debug, Default, PartialEq)]
struct ResourceName<'a> {
    version: Option<&'a str>,
    namespace: Option<&'a str>,
    kind: Option<&'a str>,
    name: Option<&'a str>,
}

impl<'a> ResourceName<'a> {
    fn parse(text: &'a str) -> Self {
        let parts: SmallVec<[&'a str; 8]> = text.split('/').collect();
        let part = |index: usize| parts.get(index).copied();
        let version_at = (1..parts.len()).find(|index| part(*index).is_some_and(is_version));
        if let Some(at) = version_at {
            if part(at + 1) == Some("namespaces")
                && let (Some(namespace), Some(kind)) = (part(at + 2), part(at + 3).and_then(kind_of))
            {
                let name = part(at + 4)
                    .filter(|_| part(at + 3) == Some(kind))
                    .and_then(host_name);
                return Self {
                    version: part(at),
                    namespace: Some(namespace),
                    kind: Some(kind),
                    name,
                };
            }
            if let Some(kind) = part(at + 1).and_then(kind_of) {
                return Self {
                    version: part(at),
                    kind: Some(kind),
                    ..Self::default()
                };
            }
            if at >= 2 && part(at - 2) == Some("apis") {
                return Self {
                    version: part(at),
                    kind: part(at - 1),
                    ..Self::default()
                };
            }
            if part(at - 1) == Some("api") {
                return Self {
                    version: part(at),
                    ..Self::default()
                };
            }
        }
        let start = text.find(|letter: char| letter.is_ascii_lowercase());
        Self {
            kind: start.and_then(|start| text.get(start..)).and_then(kind_of),
            ..Self::default()
        }
    }
}

/// `v1`, `v1beta2`
fn is_version(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('v') else {
        return false;
    };
    let letters = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let tail = letters.trim_start_matches(|letter: char| letter.is_ascii_lowercase());
    letters.len() < rest.len() && tail.bytes().all(|byte| byte.is_ascii_digit())
}

/// The leading part that could be a host name: names of roles hold colons, and the integration keeps what is before.
fn host_name(text: &str) -> Option<&str> {
    let end = text
        .find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-' || letter == '.'))
        .unwrap_or(text.len());
    text.get(..end)
        .filter(|name| name.starts_with(|first: char| first.is_ascii_alphanumeric()))
}

/// The leading `pods`, `customresourcedefinitions.apiextensions.k8s.io`
fn kind_of(text: &str) -> Option<&str> {
    let mut end = text
        .find(|letter: char| !letter.is_ascii_lowercase())
        .unwrap_or(text.len());
    if end == 0 {
        return None;
    }
    while let Some(rest) = text.get(end..).and_then(|rest| rest.strip_prefix('.')) {
        let more = rest
            .find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit())
            .unwrap_or(rest.len());
        if more == 0 {
            break;
        }
        end += 1 + more;
    }
    text.get(..end)
}

#[cfg(test)]
mod tests {
    use super::ResourceName;

    #[test]
    fn resource_names_fall_into_their_parts() {
        let check = |text, version, namespace, kind, name| {
            assert_eq!(
                ResourceName::parse(text),
                ResourceName {
                    version,
                    namespace,
                    kind,
                    name
                },
                "{text}"
            );
        };
        check("core/v1/nodes", Some("v1"), None, Some("nodes"), None);
        check(
            "core/v1/namespaces/shop",
            Some("v1"),
            None,
            Some("namespaces"),
            None,
        );
        check(
            "apps/v1/namespaces/shop/deployments/cart",
            Some("v1"),
            Some("shop"),
            Some("deployments"),
            Some("cart"),
        );
        check(
            "batch/v1beta1/namespaces/shop/jobs",
            Some("v1beta1"),
            Some("shop"),
            Some("jobs"),
            None,
        );
        check(
            "core/v1/namespaces/shop/pods/web/exec",
            Some("v1"),
            Some("shop"),
            Some("pods"),
            Some("web"),
        );
        check(
            "apis/metrics.k8s.io/v1beta1",
            Some("v1beta1"),
            None,
            Some("metrics.k8s.io"),
            None,
        );
        check("api/v1", Some("v1"), None, None, None);
        check("readyz", None, None, Some("readyz"), None);
        check("", None, None, None, None);
    }
}
