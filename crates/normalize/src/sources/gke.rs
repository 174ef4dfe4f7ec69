//! Logs of Google Kubernetes Engine other than audit: events, containers, nodes and their runtime.
//!
//! Record: <https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry> of a resource of Kubernetes. The
//! payload stands under `gcp.gke`.

use std::sync::LazyLock;

use crate::convert;
use crate::mapping::{How, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::tree::Map;

pub(super) const INFO: SourceInfo = SourceInfo {
    name: "gke",
    aliases: &[],
    title: "Google Kubernetes Engine: events, containers, nodes",
    module: "gcp",
    dataset: "gcp.gke",
    os: None,
    mappings: &[FIELDS],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[FIELDS]));

const FIELDS: &[Mapping] = &[
    to(How::Date, "timestamp", "@timestamp"),
    to(How::Date, "receiveTimestamp", "@timestamp"),
    keep("insertId", "event.id"),
    keep("logName", "log.logger"),
    keep("severity", "log.level"),
    keep("resource.labels.project_id", "cloud.project.id"),
    keep("resource.labels.location", "cloud.region"),
    keep("resource.labels.cluster_name", "orchestrator.cluster.name"),
    keep("resource.labels.namespace_name", "orchestrator.namespace"),
    keep("jsonPayload.involvedObject.namespace", "orchestrator.namespace"),
    keep("resource.labels.pod_name", "orchestrator.resource.name"),
    keep("jsonPayload.involvedObject.name", "orchestrator.resource.name"),
    keep("resource.labels.node_name", "orchestrator.resource.name"),
    keep("resource.type", "orchestrator.resource.type"),
    keep("resource.labels.container_name", "container.name"),
    keep(
        "jsonPayload.involvedObject.apiVersion",
        "orchestrator.api_version",
    ),
    keep("jsonPayload.reason", "event.action"),
    keep("jsonPayload._HOSTNAME", "host.name"),
    keep("jsonPayload.source.host", "host.name"),
    keep("resource.labels.node_name", "host.name"),
    keep("jsonPayload._MACHINE_ID", "host.id"),
    keep("jsonPayload._CMDLINE", "process.command_line"),
    keep("jsonPayload._EXE", "process.executable"),
    keep("jsonPayload._COMM", "process.name"),
    to(How::Long, "jsonPayload._PID", "process.pid"),
    keep("jsonPayload._UID", "process.user.id"),
    to(How::Long, "jsonPayload.PRIORITY", "log.syslog.priority"),
    to(
        How::Long,
        "jsonPayload.SYSLOG_FACILITY",
        "log.syslog.facility.code",
    ),
    keep("textPayload", "message"),
    keep("jsonPayload.message", "message"),
    keep("jsonPayload.MESSAGE", "message"),
    keep("jsonPayload", "gcp.gke"),
];

const DERIVED: &[Derived] = &[
    derived("cloud.provider", &[]),
    derived("event.category", &["resource.type"]),
    derived("event.kind", &[]),
    derived("event.reason", &["jsonPayload.message"]),
    derived("event.type", &[]),
    derived("gcp.gke.*", &["jsonPayload"]),
    derived("orchestrator.type", &[]),
];

fn detect(record: &Record<'_>) -> Confidence {
    let Some(object) = record.object else {
        return Confidence::No;
    };
    let has = |key: &str| object.get(key).is_some();
    let of_cluster = object
        .text_at("resource.type")
        .is_some_and(|kind| kind.starts_with("k8s_") || kind.starts_with("gke_"));
    let payload = has("jsonPayload") || has("textPayload");
    if of_cluster && payload && (has("logName") || has("insertId")) {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some(entry) = record.object else {
        return Err(Dropped::Malformed("it is no JSON object"));
    };
    let document = record.document();
    PLAN.apply(entry, document);
    if let Some(message) = document.at("message").and_then(|it| convert::text(it, document)) {
        document.put_text("message", message);
        document.put_text("event.reason", message);
    }
    document.put_text("orchestrator.type", "kubernetes");
    document.put_text("cloud.provider", "gcp");
    document.put_text("event.kind", "event");
    document.put_texts("event.category", &["process"]);
    document.put_texts("event.type", &["change"]);
    document.prune();
    Ok(document)
}
