//! What containers print, where no other source knows it: `kubernetes_container_logs`.
//!
//! The wrappings of container runtimes (Docker's `json-file`, the CRI format) are taken off before, so that a web server
//! in a container is a web server; what is left is a line with what the agent says of its pod, which goes to the fields
//! that Elastic's integration fills. <https://www.elastic.co/docs/reference/integrations/kubernetes/container-logs>

use crate::convert;
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value};

pub(super) const INFO: SourceInfo = SourceInfo {
    name: "kubernetes_container_logs",
    aliases: &["container_logs"],
    title: "Output of containers: Docker's json-file, the CRI format, lines that an agent ships with their pod",
    module: "kubernetes",
    dataset: "kubernetes.container_logs",
    os: None,
    mappings: &[],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

const DERIVED: &[Derived] = &[
    derived("message", &[]),
    derived("@timestamp", &["time"]),
    derived("stream", &["stream"]),
    derived(
        "service.name",
        &["kubernetes.labels", "kubernetes.container.name"],
    ),
    derived("service.version", &["kubernetes.labels"]),
    derived("data_stream.namespace", &["kubernetes.annotations"]),
    derived("event.kind", &[]),
];

/// Only what comes from a container for sure: its line is whatever the program printed.
fn detect(record: &Record<'_>) -> Confidence {
    let container = record.agent.is_some_and(|agent| {
        agent.text_at("stream").is_some()
            || agent.map_at("kubernetes.pod").is_some()
            || agent.map_at("kubernetes.container").is_some()
    });
    if container && (!record.text.is_empty() || record.object.is_some()) {
        Confidence::Likely
    } else {
        Confidence::No
    }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    if record.text.is_empty() && record.object.is_none() {
        return Err(Dropped::NoEvent("an empty line"));
    }
    let document = record.document();
    document.put_text("message", record.text);
    document.put_text("event.kind", "event");
    if let Some(date) = document
        .at("event.created")
        .and_then(|created| convert::date(created, document))
    {
        document.put_new("@timestamp", Value::Text(date));
    }
    let label = |name: &str| {
        let labels = document.map_at("kubernetes.labels")?;
        labels.text_at_key(name)
    };
    let name = label("app_kubernetes_io/name").or_else(|| document.text_at("kubernetes.container.name"));
    for (field, value) in [
        ("service.name", name),
        ("service.version", label("app_kubernetes_io/version")),
    ] {
        if let Some(value) = value {
            document.put_new(field, Value::Text(value));
        }
    }
    if let Some(annotations) = document.map_at("kubernetes.annotations") {
        for (key, field) in [
            ("elastic_co/dataset", "data_stream.dataset"),
            ("elastic_co/namespace", "data_stream.namespace"),
        ] {
            if let Some(value) = annotations.text_at_key(key) {
                document.put(field, Value::Text(value));
            }
        }
    }
    Ok(document)
}
