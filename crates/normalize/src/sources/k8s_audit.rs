//! Kubernetes audit events: log file, webhook, and the wrappings of EKS, AKS and GKE.
//!
//! Record: <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>. The whole event stands under
//! `kubernetes.audit`, with dots in the keys of annotations replaced. Beyond what Elastic's integration sets:
//! `@timestamp` from the event, `event.category` and `event.type` by verb, an outcome by response code where no
//! annotation says it, groups, the user who was impersonated, the path and the response code, and the cloud where the
//! event tells it.

use std::sync::LazyLock;

use super::azure::{self, platform};
use crate::convert;
use crate::json;
use crate::mapping::{How, Looks, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, Source, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value};

/// Audit events of AKS inside of its platform logs. Rules ask for them under both names, so that each becomes two
/// documents: a Kubernetes audit event and an Azure platform log.
pub(super) const AKS: SourceInfo = SourceInfo {
    name: "kubernetes_audit_aks",
    aliases: &[],
    title: "Kubernetes audit events of AKS, as Kubernetes audit and as Azure platform logs",
    module: "kubernetes",
    dataset: "kubernetes.audit_logs",
    os: None,
    mappings: &[FIELDS],
    derived: &[DERIVED, platform::DERIVED],
    detect: |record| match record.object {
        Some(object) if aks_log(object).is_some() => Confidence::Certain,
        _ => Confidence::No,
    },
    start: || Box::new(Aks),
};

struct Aks;

impl Source for Aks {
    fn normalize<'a>(&mut self, record: &Record<'a>, out: &mut Vec<&'a Map<'a>>) -> Result<(), Dropped> {
        let object = azure::record(record)?;
        // The event is read twice, because each document changes what it takes over.
        let twin = object.deep_copy();
        let text = aks_log(object).and_then(Value::as_text);
        out.push(normalize(record)?);
        if text.is_some() {
            let log = platform::document(record, twin);
            log.put_text("event.module", "azure");
            log.put_text("event.dataset", platform::DATASET);
            out.push(log);
        }
        Ok(())
    }
}

pub(super) const INFO: SourceInfo = SourceInfo {
    name: "kubernetes_audit",
    aliases: &[],
    title: "Kubernetes API server audit: log file, webhook event lists, EKS, AKS and GKE",
    module: "kubernetes",
    dataset: "kubernetes.audit_logs",
    os: None,
    mappings: &[FIELDS],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    let paths: Vec<&str> = LOOKS.iter().map(|(_, path)| *path).collect();
    Plan::with(
        &[FIELDS],
        &[("orchestrator.type", "kubernetes"), ("event.kind", "event")],
        &paths,
    )
});

/// What code looks at, in the order of [`LOOKS`].
#[derive(Clone, Copy)]
enum Look {
    Verb,
    Code,
    Annotations,
    UserId,
    UserName,
    Impersonated,
    Containers,
    Request,
    Response,
    Uri,
    Extra,
}

const LOOKS: &[(Look, &str)] = &[
    (Look::Verb, "verb"),
    (Look::Code, "responseStatus.code"),
    (Look::Annotations, "annotations"),
    (Look::UserId, "user.uid"),
    (Look::UserName, "user.username"),
    (Look::Impersonated, "impersonatedUser.username"),
    (Look::Containers, "requestObject.spec.containers"),
    (Look::Request, "requestObject"),
    (Look::Response, "responseObject"),
    (Look::Uri, "requestURI"),
    (Look::Extra, "user.extra"),
];

const FIELDS: &[Mapping] = &[
    to(How::Date, "stageTimestamp", "@timestamp"),
    to(How::Date, "requestReceivedTimestamp", "@timestamp"),
    to(How::Date, "timestamp", "@timestamp"),
    keep("verb", "event.action"),
    keep("user.username", "user.name"),
    keep("user.uid", "user.id"),
    keep("user.groups", "user.roles"),
    keep("impersonatedUser.username", "user.effective.name"),
    keep("impersonatedUser.uid", "user.effective.id"),
    keep("impersonatedUser.groups", "user.effective.roles"),
    keep("userAgent", "user_agent.original"),
    keep("requestURI", "url.original"),
    to(How::Long, "responseStatus.code", "http.response.status_code"),
    to(How::Ip, "sourceIPs", "source.ip"),
    to(How::Ip, "sourceIPs", "client.ip"),
    keep("apiVersion", "orchestrator.api_version"),
    keep("objectRef.resource", "orchestrator.resource.type"),
    keep("objectRef.namespace", "orchestrator.namespace"),
    keep("objectRef.name", "orchestrator.resource.name"),
    keep("protoPayload.resourceName", "orchestrator.resource.name"),
    keep("resource.type", "orchestrator.resource.type"),
    keep("resource.labels.cluster_name", "orchestrator.cluster.name"),
    keep("resource.labels.project_id", "orchestrator.cluster.id"),
];

const DERIVED: &[Derived] = &[
    derived("kubernetes.audit.*", &[]),
    derived("orchestrator.type", &[]),
    derived("event.kind", &[]),
    derived("event.category", &["verb"]),
    derived("event.type", &["verb"]),
    derived("event.outcome", &["annotations", "responseStatus.code"]),
    derived(
        "related.user",
        &["user.username", "user.uid", "impersonatedUser.username"],
    ),
    derived("related.ip", &["sourceIPs"]),
    derived("container.image.name", &["requestObject.spec.containers"]),
    derived("cloud.provider", &["user.extra"]),
    derived("url.path", &["requestURI"]),
];

fn detect(record: &Record<'_>) -> Confidence {
    let Some(object) = record.object else {
        return Confidence::No;
    };
    let (mut marks, mut verb, mut other_kind, mut version) = (0, false, false, false);
    for (key, value) in object.iter() {
        match key {
            "kubernetes"
                if value
                    .as_map()
                    .is_some_and(|inside| inside.map_at("audit").is_some()) =>
            {
                return Confidence::Certain;
            }
            "category" if aks_log(object).is_some() => return Confidence::Likely,
            // Entries of Google Cloud are audit entries of Google Cloud first.
            "protoPayload" if object.text_at("protoPayload.serviceName") == Some("k8s.io") => {
                return Confidence::Likely;
            }
            // Objects of kind `Event` in the API itself have another version and no verb.
            "kind" => other_kind = value.as_filled_text().is_some_and(|kind| kind != "Event"),
            "apiVersion" => {
                version = value
                    .as_text()
                    .is_some_and(|version| version.starts_with("audit.k8s.io"));
            }
            "verb" => verb = value.as_filled_text().is_some(),
            "auditID" | "stage" | "level" | "requestURI" | "objectRef" | "responseStatus" | "sourceIPs" => {
                marks += 1
            }
            _ => {}
        }
    }
    match marks {
        _ if other_kind => Confidence::No,
        _ if version => Confidence::Certain,
        3.. if verb => Confidence::Certain,
        2 if verb => Confidence::Likely,
        _ => Confidence::No,
    }
}

/// The audit event inside of a diagnostic record of AKS.
fn aks_log<'a>(object: &Map<'a>) -> Option<Value<'a>> {
    let category = object.text_at("category")?;
    category
        .starts_with("kube-audit")
        .then(|| object.at("properties.log"))?
}

pub(super) fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some(object) = record.object else {
        return Err(Dropped::Malformed("it is no JSON object"));
    };
    let (document, audit) = match object.map_at("kubernetes.audit") {
        // The agent read the event into its place already.
        Some(audit) => (object, audit),
        None => {
            let document = record.document();
            let audit = match aks_log(object) {
                Some(log) => unwrap_aks(record, object, log, document)?,
                None => object,
            };
            (document, audit)
        }
    };
    audit.prune_as_read();
    unwrap_gke(audit, document);
    let looks = PLAN.apply(audit, document);
    for part in [Look::Request, Look::Response] {
        if let Some(part) = looks.get(part as usize).and_then(Value::as_map) {
            part.remove("metadata");
        }
    }
    if let Some(kubernetes) = document.child("kubernetes") {
        kubernetes.set("audit", Value::Map(audit));
    }
    if let Some(uri) = looks.get(Look::Uri as usize).and_then(Value::as_filled_text) {
        let path = uri.split_once('?').map_or(uri, |(path, _)| path);
        document.put_text("url.path", path);
    }
    // The authenticator of EKS says which role of AWS a user is.
    if let Some(extra) = looks.get(Look::Extra as usize).and_then(Value::as_map)
        && ["arn", "canonicalArn", "accessKeyId"]
            .iter()
            .any(|key| extra.get(key).is_some())
    {
        document.put_text("cloud.provider", "aws");
    }
    related(looks, document);
    if let Some(event) = document.child("event") {
        classify(looks, event);
    }
    Ok(document)
}

/// AKS: the event is JSON text in `properties.log`; what is round it is kept beside the event.
fn unwrap_aks<'a>(
    record: &Record<'a>,
    object: &'a Map<'a>,
    log: Value<'a>,
    document: &'a Map<'a>,
) -> Result<&'a Map<'a>, Dropped> {
    let audit = match log {
        Value::Text(text) => json::parse(record.arena, text).ok().and_then(Value::as_map),
        other => other.as_map(),
    };
    let Some(audit) = audit else {
        return Err(Dropped::Malformed("`properties.log` is no JSON object"));
    };
    let around = object.shallow_copy();
    if let Some(properties) = object.map_at("properties") {
        let rest = properties.shallow_copy();
        rest.remove("log");
        around.set("properties", Value::Map(rest));
    }
    if let Some(time) = around.get("time").and_then(|time| convert::date(time, document)) {
        document.put_text("@timestamp", time);
    }
    for (from, to) in [
        ("operationName", "operation_name"),
        ("resourceId", "resource_id"),
        ("serviceBuild", "service_build"),
        ("properties.containerID", "container_id"),
        ("properties.pod", "pod"),
        ("properties.stream", "stream"),
    ] {
        around.rename(from, to);
    }
    audit.set("aks_metadata", Value::Map(around));
    document.put_text("cloud.provider", "azure");
    Ok(audit)
}

/// GKE: a log entry of Google Cloud, whose parts get the names that they have in an audit event.
fn unwrap_gke<'a>(audit: &'a Map<'a>, document: &'a Map<'a>) {
    if !audit
        .iter()
        .any(|(key, _)| matches!(key, "protoPayload" | "insertId" | "receiveTimestamp" | "labels"))
    {
        return;
    }
    let entry = audit.map_at("protoPayload").is_some();
    for (from, to) in [
        ("insertId", "auditID"),
        ("receiveTimestamp", "requestReceivedTimestamp"),
        ("labels", "annotations"),
        ("protoPayload.status.code", "responseStatus.code"),
    ] {
        if audit.at(from).is_some() {
            audit.rename(from, to);
        }
    }
    if entry {
        audit.rename("timestamp", "stageTimestamp");
        if let Some(payload) = audit.map_at("protoPayload")
            && payload.get("status").is_some_and(Value::is_blank)
        {
            payload.remove("status");
        }
        document.put_text("cloud.provider", "gcp");
    }
}

fn related<'a>(looks: Looks<'a>, document: &'a Map<'a>) {
    for look in [Look::UserId, Look::UserName, Look::Impersonated] {
        if let Some(user @ Value::Text(_)) = looks.get(look as usize) {
            document.append_new("related.user", user);
        }
    }
    match document.at("source.ip") {
        Some(Value::List([ip])) => document.append_new("related.ip", *ip),
        Some(Value::List(list)) => document.extend_new("related.ip", list.iter().copied()),
        Some(ip) => document.append_new("related.ip", ip),
        None => {}
    }
    let Some(containers) = looks.get(Look::Containers as usize).and_then(Value::as_list) else {
        return;
    };
    let images = containers
        .iter()
        .filter_map(|container| container.as_map()?.get("image"));
    document.extend_new("container.image.name", images);
}

fn classify<'a>(looks: Looks<'a>, event: &'a Map<'a>) {
    let code = looks.get(Look::Code as usize).and_then(Value::to_int);
    let mut outcome = code.map(|code| {
        if matches!(code, 0 | 100..400) {
            "success"
        } else {
            "failure"
        }
    });
    if let Some(annotations) = looks.get(Look::Annotations as usize).and_then(Value::as_map) {
        match annotations.text_at_key("authorization.k8s.io/decision") {
            Some("allow") => outcome = Some("success"),
            Some("forbid") => outcome = Some("failure"),
            _ => {}
        }
        annotations.rename_keys(|key| annotations.underscored(key, b'.'));
    }
    if let Some(outcome) = outcome {
        event.set("outcome", Value::Text(outcome));
    }
    if let Some(verb) = looks.get(Look::Verb as usize).and_then(Value::as_text) {
        event.put_texts("category", &["configuration"]);
        event.put_texts(
            "type",
            match verb {
                "get" | "list" | "watch" | "proxy" => &["access"],
                "create" | "connect" => &["creation"],
                "delete" | "deletecollection" => &["deletion"],
                "update" | "patch" => &["change"],
                _ => &["info"],
            },
        );
    }
}
