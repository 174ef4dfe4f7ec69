//! VK Cloud audit: the action log of its interface and the nested records of Cloud Audit, those of its Kubernetes
//! clusters included.
//!
//! Records: <https://cloud.vk.com/docs/en/tools-for-using-services/audit>. What the address of a record's source names
//! is the service, not the caller. Bodies are JSON text and become objects under `vkcloud.request` and
//! `vkcloud.response`; `vkcloud.operation` is the action that the body of a general call (`vm-action`) holds.

use super::{body, call, caller, classify, user};
use crate::convert;
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, Made, Source, SourceInfo, Stateless, derived};
use crate::sources::k8s_audit;
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "vkcloud_audit",
    aliases: &["vkcloud"],
    title: "VK Cloud audit: action log and Cloud Audit",
    module: "vkcloud",
    dataset: DATASET,
    os: None,
    mappings: &[],
    derived: &[DERIVED],
    detect: |record| match record.object {
        Some(object) if !is_of_cluster(object) => detect(object),
        Some(object) => detect(object).min(Confidence::Likely),
        None => Confidence::No,
    },
    start: || Box::new(Stateless(normalize)),
};

/// Audit events of clusters are read by rules for Kubernetes, too, so that each becomes two documents.
pub(in crate::sources) const KUBERNETES: SourceInfo = SourceInfo {
    name: "vkcloud_audit_kubernetes",
    aliases: &[],
    title: "VK Cloud audit of Kubernetes clusters, as Kubernetes audit and as VK Cloud audit",
    module: "kubernetes",
    dataset: "kubernetes.audit_logs",
    os: None,
    mappings: k8s_audit::INFO.mappings,
    derived: &[DERIVED],
    detect: |record| match record.object {
        Some(object) if is_of_cluster(object) => detect(object),
        _ => Confidence::No,
    },
    start: || Box::new(Cluster),
};

const DATASET: &str = "vkcloud.audit";

const DERIVED: &[Derived] = &[
    derived("@timestamp", &["timestamp"]),
    derived("client.ip", &["subject.address"]),
    derived("cloud.instance.id", &["resource.id"]),
    derived("cloud.project.id", &["subject.project_id", "uri", "labels.uri"]),
    derived("cloud.provider", &[]),
    derived("cloud.service.name", &["source", "source.id"]),
    derived("event.action", &["action"]),
    derived("event.category", &["action", "source", "source.id"]),
    derived("event.id", &["event_id"]),
    derived("event.kind", &[]),
    derived("event.outcome", &["success", "status.code"]),
    derived("event.provider", &["source", "source.id"]),
    derived("event.type", &["action"]),
    derived("http.request.body.content", &["request_body", "request"]),
    derived("http.request.method", &["method", "labels.method"]),
    derived("http.response.body.content", &["response_body", "response"]),
    derived("http.response.status_code", &["status.code"]),
    derived("labels.*", &["labels"]),
    derived("log.level", &["severity"]),
    derived("message", &["message"]),
    derived("observer.ip", &["source.address"]),
    derived("orchestrator.namespace", &["resource.metadata.namespace"]),
    derived("orchestrator.resource.name", &["resource.name"]),
    derived("orchestrator.resource.type", &["resource.type"]),
    derived("orchestrator.type", &["labels.auditID"]),
    derived("related.ip", &["subject.address"]),
    derived(
        "related.user",
        &[
            "user_id",
            "user_email",
            "subject.user_id",
            "subject.metadata.email",
        ],
    ),
    derived("source.address", &["subject.address"]),
    derived("source.ip", &["subject.address"]),
    derived("trace.id", &["request_id"]),
    derived("url.original", &["uri", "labels.uri"]),
    derived("url.path", &["uri", "labels.uri"]),
    derived("url.query", &["uri", "labels.uri"]),
    derived("user.effective.id", &["delegate.third_party.user_id"]),
    derived("user.effective.name", &["delegate.third_party.username"]),
    derived("user.email", &["user_email", "subject.metadata.email"]),
    derived("user.id", &["user_id", "subject.user_id"]),
    derived(
        "user.name",
        &[
            "user_email",
            "subject.metadata.email",
            "subject.third_party.username",
        ],
    ),
    derived("user.roles", &["subject.third_party.metadata.groups"]),
    derived("user_agent.original", &["subject.user_agent"]),
    derived("vkcloud.operation", &["request_body", "request"]),
    derived("vkcloud.request.*", &["request_body", "request"]),
    derived("vkcloud.resource.*", &["resource", "uri"]),
    derived("vkcloud.response.*", &["response_body", "response"]),
    derived("vkcloud.status.*", &["status"]),
    derived("vkcloud.subject.*", &["subject"]),
];

fn is_flat(object: &Map<'_>) -> bool {
    object.text_at("source").is_some()
        && matches!(object.text_at("success"), Some("yes" | "no"))
        && object.text_at("action").is_some()
        && ["event_id", "request_id", "uri", "user_id"]
            .iter()
            .filter(|key| object.get(key).is_some())
            .count()
            >= 2
}

fn detect(object: &Map<'_>) -> Confidence {
    let is_map = |key: &str| object.map_at(key).is_some();
    let nested = object.text_at("action").is_some()
        && is_map("subject")
        && is_map("resource")
        && is_map("status")
        && (is_map("source") || is_map("labels") || object.get("severity").is_some());
    if is_flat(object) || nested {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

fn is_of_cluster(object: &Map<'_>) -> bool {
    object.map_at("labels").is_some_and(|labels| {
        labels.get("auditID").is_some() || labels.get("tag").and_then(Value::as_text) == Some("kubernetes")
    })
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some(object) = record.object else {
        return Err(Dropped::Malformed("it is no JSON object"));
    };
    let Some(action) = object.text_at("action") else {
        return Err(Dropped::Malformed("it has no `action`"));
    };
    let document = record.document();
    for (from, to) in [
        ("event_id", "event.id"),
        ("request_id", "trace.id"),
        ("severity", "log.level"),
        ("message", "message"),
    ] {
        document.copy_from(object, from, to);
    }
    if let Some(time) = object
        .get("timestamp")
        .and_then(|time| convert::date_or_seconds(time, document))
    {
        document.put_text("@timestamp", time);
    }
    document.put_text("event.action", action);
    let service = object.text_at("source").or_else(|| object.text_at("source.id"));
    if let Some(service) = service {
        document.put_text("event.provider", service);
        document.put_text("cloud.service.name", service);
    }
    bodies(record, object, document);
    if is_flat(object) {
        flat(object, document);
    } else {
        nested(object, document);
    }
    classify(service.unwrap_or(""), action, document);
    if let Some(operation) = document.text_at("vkcloud.operation") {
        classify(service.unwrap_or(""), operation, document);
    }
    document.put_text("event.kind", "event");
    document.put_text("cloud.provider", "vkcloud");
    document.prune();
    Ok(document)
}

fn bodies<'a>(record: &Record<'a>, object: &Map<'a>, document: &'a Map<'a>) {
    for (froms, text, to) in [
        (
            ["request_body", "request"],
            "http.request.body.content",
            "vkcloud.request",
        ),
        (
            ["response_body", "response"],
            "http.response.body.content",
            "vkcloud.response",
        ),
    ] {
        let value = froms.iter().find_map(|from| object.get(from));
        let Some(parsed) = body(value, record.arena) else {
            continue;
        };
        document.put(to, parsed);
        if let Some(content @ Value::Text(_)) = value {
            document.put(text, content);
        }
    }
    // A general call says what it does by the one key of its body: `{"createImage": {…}}`.
    if let Some(request) = document.map_at("vkcloud.request")
        && let Some((operation, Value::Map(_))) = request.iter().next()
        && request.len() == 1
        && object
            .text_at("action")
            .is_some_and(|action| action.contains("action"))
    {
        document.put_text("vkcloud.operation", operation);
    }
}

/// The action log: a flat record without an address.
fn flat<'a>(object: &Map<'a>, document: &'a Map<'a>) {
    let succeeded = object.text_at("success") == Some("yes");
    document.put_text("event.outcome", if succeeded { "success" } else { "failure" });
    user(
        object.text_at("user_id"),
        None,
        object.text_at("user_email"),
        document,
    );
    let uri = object.text_at("uri");
    call(object.text_at("method"), uri, document);
    // `/v2.1/servers/ID/action` is about a server.
    let path = uri.map_or("", |uri| uri.split_once('?').map_or(uri, |(path, _)| path));
    let is_id =
        |part: &str| part.len() >= 32 && part.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    // `/v3/PROJECT` names no resource; `/volumes/ID` does.
    let is_version = |part: &str| {
        part.strip_prefix('v')
            .is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
    };
    let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
    while let Some(kind) = parts.next() {
        if let Some(id) = parts.peek().copied().filter(|id| is_id(id) && !is_id(kind))
            && !is_version(kind)
        {
            document.put_text("vkcloud.resource.type", kind);
            document.put_text("vkcloud.resource.id", id);
            if kind == "servers" {
                document.put_text("cloud.instance.id", id);
            }
        }
    }
}

/// Cloud Audit: who, what and how it went stand in objects.
fn nested<'a>(object: &Map<'a>, document: &'a Map<'a>) {
    let text = |path: &str| object.text_at(path);
    user(
        text("subject.user_id").or_else(|| text("subject.third_party.user_id")),
        text("subject.third_party.username"),
        text("subject.metadata.email"),
        document,
    );
    if let Some(address) = text("subject.address") {
        caller(address, document);
    }
    if let Some(groups) = text("subject.third_party.metadata.groups") {
        let groups: Vec<Value<'a>> = groups.split(", ").map(Value::Text).collect();
        document.put("user.roles", document.list(&groups));
    }
    for (from, to) in [
        ("subject.project_id", "cloud.project.id"),
        ("subject.user_agent", "user_agent.original"),
        ("subject.type", "vkcloud.subject.type"),
        ("delegate.third_party.user_id", "user.effective.id"),
        ("delegate.third_party.username", "user.effective.name"),
        ("resource.id", "vkcloud.resource.id"),
        ("resource.type", "vkcloud.resource.type"),
        ("resource.name", "vkcloud.resource.name"),
        ("resource.metadata", "vkcloud.resource.metadata"),
        ("status", "vkcloud.status"),
    ] {
        document.copy_from(object, from, to);
    }
    if let Some(address) = object.at("source.address").and_then(convert::ip) {
        document.put("observer.ip", address);
    }
    call(text("labels.method"), text("labels.uri"), document);
    if let Some(kind) = text("resource.type")
        && ["server", "instance", "vm", "virtual-machine"].contains(&kind)
    {
        document.copy_from(object, "resource.id", "cloud.instance.id");
    }
    if is_of_cluster(object) {
        document.put_text("orchestrator.type", "kubernetes");
        for (from, to) in [
            ("resource.type", "orchestrator.resource.type"),
            ("resource.name", "orchestrator.resource.name"),
            ("resource.metadata.namespace", "orchestrator.namespace"),
        ] {
            document.copy_from(object, from, to);
        }
    }
    if let Some(labels) = object.map_at("labels") {
        let renamed = labels.shallow_copy();
        renamed.rename_keys(|key| key.contains('.').then(|| labels.text(&key.replace('.', "_"))));
        document.put("labels", Value::Map(renamed));
    }
    // The code is of HTTP or of gRPC, where zero is well.
    if let Some(code) = object.at("status.code").and_then(Value::to_int) {
        let outcome = if matches!(code, 0 | 200..400) {
            "success"
        } else {
            "failure"
        };
        document.put_text("event.outcome", outcome);
        if code >= 100 {
            document.put("http.response.status_code", Value::Int(code));
        }
    }
}

struct Cluster;

impl Source for Cluster {
    fn normalize<'a>(&mut self, record: &Record<'a>, out: &mut Made<'a>) -> Result<(), Dropped> {
        let Some(object) = record.object else {
            return Err(Dropped::Malformed("it is no JSON object"));
        };
        let inner = Record {
            object: Some(audit_event(record, object)),
            ..*record
        };
        let event = k8s_audit::normalize(&inner)?;
        event.put_text("cloud.provider", "vkcloud");
        out.push(event);
        let audit = normalize(record)?;
        audit.put_text("event.module", "vkcloud");
        audit.put_text("event.dataset", DATASET);
        out.push(audit);
        Ok(())
    }
}

/// The audit event that the cluster wrote, as far as the record still has it.
fn audit_event<'a>(record: &Record<'a>, object: &Map<'a>) -> &'a Map<'a> {
    let event = record.arena.map();
    for (key, value) in [
        ("kind", "Event"),
        ("apiVersion", "audit.k8s.io/v1"),
        ("stage", "ResponseComplete"),
    ] {
        event.add(key, Value::Text(value));
    }
    for (from, to) in [
        ("timestamp", "stageTimestamp"),
        ("action", "verb"),
        ("labels.auditID", "auditID"),
        ("subject.user_agent", "userAgent"),
        ("subject.third_party.user_id", "user.uid"),
        ("subject.third_party.username", "user.username"),
        ("delegate.third_party.username", "impersonatedUser.username"),
        ("resource.type", "objectRef.resource"),
        ("resource.name", "objectRef.name"),
        ("resource.metadata.namespace", "objectRef.namespace"),
        ("resource.metadata.apiGroup", "objectRef.apiGroup"),
        ("resource.metadata.apiVersion", "objectRef.apiVersion"),
        ("resource.metadata.subresource", "objectRef.subresource"),
        ("status.code", "responseStatus.code"),
        ("status.message", "responseStatus.message"),
    ] {
        event.copy_from(object, from, to);
    }
    for (from, to) in [
        ("subject.third_party.metadata.groups", "user.groups"),
        ("delegate.third_party.metadata.groups", "impersonatedUser.groups"),
    ] {
        if let Some(groups) = object.text_at(from) {
            let groups: Vec<Value<'a>> = groups.split(", ").map(Value::Text).collect();
            event.put(to, event.list(&groups));
        }
    }
    if let Some(address) = object.at("subject.address") {
        event.add("sourceIPs", event.list(&[address]));
    }
    let request = body(object.get("request"), record.arena);
    let response = body(object.get("response"), record.arena);
    let level = match (&request, &response) {
        (_, Some(_)) => "RequestResponse",
        (Some(_), None) => "Request",
        (None, None) => "Metadata",
    };
    event.add("level", Value::Text(level));
    for (key, value) in [("requestObject", request), ("responseObject", response)] {
        if let Some(value) = value {
            event.add(key, value);
        }
    }
    if let Some(labels) = object.map_at("labels") {
        let annotations = event.new_map();
        for (key, value) in labels.iter().filter(|(key, _)| key.contains('/')) {
            annotations.add(key, value);
        }
        event.add("annotations", Value::Map(annotations));
    }
    event
}
