//! Log records of OpenTelemetry: `ExportLogsServiceRequest` as JSON, which is also what the collector's file exporter
//! writes, one request a line.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>. A request is a wrapping: the body of each log record
//! is what some source wrote, and goes to that source with what the attributes say around it, by the semantic
//! conventions put into ECS. A body that no source knows becomes a document of its own.
//! <https://opentelemetry.io/docs/specs/semconv/registry/attributes/>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::convert;
use crate::mapping::{self, How, Mapping, keep, to};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value};

pub(super) const INFO: SourceInfo = SourceInfo {
    name: "otlp",
    aliases: &["otel", "opentelemetry"],
    title: "OpenTelemetry log records (OTLP as JSON) whose body no other source knows",
    module: "otel",
    dataset: "otel.logs",
    os: None,
    mappings: &[RECORD, ATTRIBUTES],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

/// Of a log record itself.
const RECORD: &[Mapping] = &[
    keep("severityText", "log.level"),
    keep("traceId", "trace.id"),
    keep("spanId", "span.id"),
    keep("eventName", "event.action"),
];

/// Of the attributes of resource and record, whose keys hold dots; the rows are applied one by one.
const ATTRIBUTES: &[Mapping] = &[
    keep("service.name", "service.name"),
    keep("service.version", "service.version"),
    keep("service.instance.id", "service.node.name"),
    keep("deployment.environment.name", "service.environment"),
    keep("deployment.environment", "service.environment"),
    keep("host.name", "host.name"),
    keep("host.id", "host.id"),
    keep("host.ip", "host.ip"),
    keep("host.arch", "host.architecture"),
    keep("os.type", "host.os.type"),
    keep("os.name", "host.os.name"),
    keep("os.version", "host.os.version"),
    keep("cloud.provider", "cloud.provider"),
    keep("cloud.account.id", "cloud.account.id"),
    keep("cloud.region", "cloud.region"),
    keep("cloud.availability_zone", "cloud.availability_zone"),
    keep("container.id", "container.id"),
    keep("container.name", "container.name"),
    keep("container.image.name", "container.image.name"),
    keep("container.image.tags", "container.image.tag"),
    keep("container.runtime", "container.runtime"),
    keep("k8s.cluster.name", "orchestrator.cluster.name"),
    keep("k8s.namespace.name", "orchestrator.namespace"),
    keep("k8s.namespace.name", "kubernetes.namespace"),
    keep("k8s.pod.name", "kubernetes.pod.name"),
    keep("k8s.pod.uid", "kubernetes.pod.uid"),
    keep("k8s.container.name", "kubernetes.container.name"),
    keep("k8s.node.name", "kubernetes.node.name"),
    to(How::Long, "process.pid", "process.pid"),
    to(How::Long, "process.parent_pid", "process.parent.pid"),
    keep("process.executable.name", "process.name"),
    keep("process.executable.path", "process.executable"),
    keep("process.command_line", "process.command_line"),
    keep("process.command_args", "process.args"),
    keep("process.working_directory", "process.working_directory"),
    keep("process.owner", "user.name"),
    keep("user.name", "user.name"),
    keep("enduser.id", "user.name"),
    to(How::Text, "user.id", "user.id"),
    keep("user.email", "user.email"),
    keep("event.name", "event.action"),
    keep("log.file.path", "log.file.path"),
    keep("log.iostream", "stream"),
    keep("http.request.method", "http.request.method"),
    keep("http.method", "http.request.method"),
    to(
        How::Long,
        "http.response.status_code",
        "http.response.status_code",
    ),
    to(How::Long, "http.status_code", "http.response.status_code"),
    keep("url.full", "url.full"),
    keep("http.url", "url.full"),
    keep("url.full", "url.original"),
    keep("http.target", "url.original"),
    keep("url.path", "url.path"),
    keep("url.query", "url.query"),
    keep("url.scheme", "url.scheme"),
    keep("user_agent.original", "user_agent.original"),
    keep("http.user_agent", "user_agent.original"),
    keep("client.address", "client.address"),
    to(How::Ip, "client.address", "client.ip"),
    to(How::Ip, "client.address", "source.ip"),
    keep("source.address", "source.address"),
    to(How::Ip, "source.address", "source.ip"),
    to(How::Long, "source.port", "source.port"),
    keep("destination.address", "destination.address"),
    to(How::Ip, "destination.address", "destination.ip"),
    to(How::Long, "destination.port", "destination.port"),
    keep("server.address", "server.address"),
    keep("file.path", "file.path"),
    keep("file.name", "file.name"),
    keep("exception.type", "error.type"),
    keep("exception.message", "error.message"),
    keep("exception.stacktrace", "error.stack_trace"),
];

const DERIVED: &[Derived] = &[
    derived("@timestamp", &["timeUnixNano", "observedTimeUnixNano"]),
    derived("message", &["body"]),
    derived("event.kind", &[]),
    derived("event.category", &["http.request.method"]),
    derived("event.type", &["http.request.method"]),
    derived("event.created", &["timeUnixNano"]),
    derived("otel.body.*", &["body"]),
    derived("otel.attributes.*", &["attributes"]),
    derived("otel.resource.attributes.*", &["resource.attributes"]),
    derived("otel.scope.name", &["scope.name"]),
];

/// Marks what [`records`] makes of a request, until [`unwrap`] opens it.
const RECORD_KEY: &str = "otlp log record";

/// The log records of a request, each with its resource and scope.
pub(crate) fn records<'a>(request: &'a Map<'a>) -> Option<Vec<Value<'a>>> {
    let list =
        |map: &Map<'a>, keys: &[&str]| keys.iter().find_map(|key| map.get(key)?.as_list()).unwrap_or(&[]);
    let resources = request
        .get("resourceLogs")
        .or_else(|| request.get("resource_logs"))?
        .as_list()?;
    let mut out = Vec::new();
    for resource in resources.iter().filter_map(|resource| resource.as_map()) {
        for scope in list(
            resource,
            &["scopeLogs", "scope_logs", "instrumentationLibraryLogs"],
        ) {
            let Some(scope) = scope.as_map() else { continue };
            for record in list(scope, &["logRecords", "log_records", "logs"]) {
                let whole = request.new_map();
                whole.add(RECORD_KEY, *record);
                for (key, value) in [
                    ("resource", resource.get("resource")),
                    ("scope", scope.get("scope")),
                ] {
                    if let Some(value) = value {
                        whole.add(key, value);
                    }
                }
                out.push(Value::Map(whole));
            }
        }
    }
    Some(out)
}

/// The body of what [`records`] made, and the fields around it.
pub(crate) fn unwrap<'a>(whole: &'a Map<'a>) -> Option<(Value<'a>, &'a Map<'a>)> {
    let record = whole.get(RECORD_KEY)?;
    let empty = whole.new_map();
    let record = record.as_map().unwrap_or(empty);
    let agent = whole.new_map();
    for row in RECORD {
        if let Some(value) = record.get(row.from).filter(|value| !value.is_blank()) {
            agent.put(row.to, value);
        }
    }
    let time = ["timeUnixNano", "observedTimeUnixNano", "time_unix_nano"]
        .iter()
        .filter_map(|key| record.get(key)?.to_int())
        .find(|nanos| *nanos > 0);
    if let Some(date) = time.and_then(|nanos| convert::date(Value::Int(nanos / 1_000_000), whole)) {
        agent.put_text("@timestamp", date);
    }
    let attributes = pairs(record.get("attributes"), whole, MAX_ATTRIBUTES);
    let resource = pairs(whole.at("resource.attributes"), whole, MAX_ATTRIBUTES);
    for named in [attributes, resource] {
        for row in ATTRIBUTES {
            let value = named.get(row.from).filter(|value| !value.is_blank());
            if let Some(value) = value.and_then(|value| mapping::converted(row.how, value, whole)) {
                agent.put_new(row.to, value);
            }
        }
    }
    let kept = whole.new_map();
    if let Some(name) = whole.text_at("scope.name") {
        kept.put_text("scope.name", name);
    }
    for (field, named) in [("attributes", attributes), ("resource.attributes", resource)] {
        if !named.is_empty() {
            kept.put(field, Value::Map(named));
        }
    }
    agent.put("otel", Value::Map(kept));
    let body = record.get("body").map_or(Value::Null, |body| plain(body, whole));
    let body = match body {
        text @ (Value::Text(_) | Value::Map(_)) => text,
        Value::Null => Value::Text(""),
        other => {
            kept.put("body", other);
            Value::Text("")
        }
    };
    Some((body, agent))
}

/// More attributes than this are left out: those of a resource go with each of its records. Exporters stop at 128.
const MAX_ATTRIBUTES: usize = 1024;

/// A list of keys and values as an object.
fn pairs<'a>(list: Option<Value<'a>>, at: &'a Map<'a>, most: usize) -> &'a Map<'a> {
    let out = at.new_map();
    for pair in list.and_then(Value::as_list).unwrap_or(&[]).iter().take(most) {
        let Some(pair) = pair.as_map() else { continue };
        if let (Some(key), Some(value)) = (pair.text_at_key("key"), pair.get("value")) {
            out.add(key, plain(value, at));
        }
    }
    out
}

/// An `AnyValue` as the value that it is. It nests no deeper than JSON is read.
fn plain<'a>(value: Value<'a>, at: &'a Map<'a>) -> Value<'a> {
    let Some((kind, inner)) = value.as_map().and_then(|map| map.iter().next()) else {
        return value;
    };
    match kind {
        "stringValue" | "boolValue" | "doubleValue" | "string_value" | "bool_value" | "double_value" => inner,
        "intValue" | "int_value" => inner.to_int().map_or(inner, Value::Int),
        "arrayValue" | "array_value" => {
            let values = inner
                .as_map()
                .and_then(|map| map.get("values")?.as_list())
                .unwrap_or(&[]);
            let values: Vec<Value<'a>> = values.iter().map(|value| plain(*value, at)).collect();
            at.list(&values)
        }
        "kvlistValue" | "kvlist_value" => Value::Map(pairs(
            inner.as_map().and_then(|map| map.get("values")),
            at,
            usize::MAX,
        )),
        "bytesValue" | "bytes_value" => {
            let text = inner.as_text().and_then(|text| STANDARD.decode(text).ok());
            match text.and_then(|bytes| String::from_utf8(bytes).ok()) {
                Some(text) => Value::Text(at.text(&text)),
                None => inner,
            }
        }
        _ => value,
    }
}

fn detect(record: &Record<'_>) -> Confidence {
    let ours = record.agent.is_some_and(|agent| agent.map_at("otel").is_some());
    if ours { Confidence::Likely } else { Confidence::No }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    if record.agent.is_none() {
        return Err(Dropped::Malformed("no log record of an export request"));
    }
    let document = record.document();
    if let Some(created) = document.at("event.created") {
        document.put_new("@timestamp", created);
    }
    match record.object {
        Some(body) => {
            if let Some(message) = body.text_at_key("message").or_else(|| body.text_at_key("msg")) {
                document.put_new("message", Value::Text(message));
            }
            document.put("otel.body", Value::Map(body));
        }
        None if !record.text.is_empty() => {
            document.put_text("message", record.text);
        }
        None => {}
    }
    document.put_text("event.kind", "event");
    if document.at("http.request.method").is_some() {
        document.put_texts("event.category", &["web"]);
        document.put_texts("event.type", &["access"]);
    }
    Ok(document)
}

#[cfg(test)]
mod tests;
