//! Envoy's access log: its default text format, that of Istio, and JSON with the keys that Istio and Envoy Gateway use.
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage>,
//! <https://istio.io/latest/docs/tasks/observability/logs/access-log/>

use std::sync::LazyLock;

use crate::mapping::{How, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::sources::web;
use crate::tree::Map;
use crate::words::{self, Word, Words};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "envoy_access",
    aliases: &["envoy", "istio_access"],
    title: "Access log of Envoy and Istio, default text formats and JSON",
    module: "envoyproxy",
    dataset: "envoyproxy.log",
    os: None,
    mappings: &[FIELDS],
    derived: &[web::DERIVED, DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[FIELDS]));

const FIELDS: &[Mapping] = &[
    to(How::Date, "start_time", "@timestamp"),
    to(How::Date, "timestamp", "@timestamp"),
    keep("method", "http.request.method"),
    to(How::Long, "response_code", "http.response.status_code"),
    to(How::Long, "bytes_received", "http.request.body.bytes"),
    to(How::Long, "bytes_sent", "http.response.body.bytes"),
    keep("user_agent", "user_agent.original"),
    keep("user-agent", "user_agent.original"),
    keep("request_id", "http.request.id"),
    keep("x-request-id", "http.request.id"),
    keep("response_flags", "envoyproxy.response_flags"),
    keep("response_code_details", "envoyproxy.response_code_details"),
    keep("upstream_cluster", "envoyproxy.upstream_cluster"),
    keep("route_name", "envoyproxy.route_name"),
    keep("requested_server_name", "tls.client.server_name"),
    to(How::Ip, "x_forwarded_for", "network.forwarded_ip"),
    to(How::Ip, "x-forwarded-for", "network.forwarded_ip"),
];

const DERIVED: &[Derived] = &[
    derived("event.duration", &["duration"]),
    derived("http.version", &["protocol"]),
    derived("url.domain", &["authority", ":authority"]),
    derived("destination.address", &["upstream_host"]),
    derived("destination.ip", &["upstream_host"]),
    derived("destination.port", &["upstream_host"]),
    derived("destination.domain", &["upstream_host"]),
];

const DEFAULT: &[&str] = &[
    "start_time",
    "request",
    "response_code",
    "response_flags",
    "bytes_received",
    "bytes_sent",
    "duration",
    "upstream_service_time",
    "x_forwarded_for",
    "user_agent",
    "request_id",
    "authority",
    "upstream_host",
];

const ISTIO: &[&str] = &[
    "start_time",
    "request",
    "response_code",
    "response_flags",
    "response_code_details",
    "connection_termination_details",
    "upstream_transport_failure_reason",
    "bytes_received",
    "bytes_sent",
    "duration",
    "upstream_service_time",
    "x_forwarded_for",
    "user_agent",
    "request_id",
    "authority",
    "upstream_host",
    "upstream_cluster",
    "upstream_local_address",
    "downstream_local_address",
    "downstream_remote_address",
    "requested_server_name",
    "route_name",
];

/// The words of a line and the names of its columns.
fn words(line: &str) -> Option<(Words<'_>, &'static [&'static str])> {
    let time = line.strip_prefix('[')?;
    // `2026-11-21T19:36:56.123Z] "`
    let iso = time.get(4..5) == Some("-") && time.get(10..11) == Some("T") && time.contains("Z] \"");
    if !iso {
        return None;
    }
    let words = words::split(line)?;
    let quoted = |position: usize| matches!(words.get(position), Some(Word::Quoted(_)));
    let code = words.get(2)?.text();
    if !quoted(1) || code.is_empty() || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match words.len() {
        13 if quoted(8) && quoted(12) => Some((words, DEFAULT)),
        22 if quoted(6) && quoted(11) && quoted(15) => Some((words, ISTIO)),
        _ => None,
    }
}

fn detect(record: &Record<'_>) -> Confidence {
    let sure = match record.object {
        Some(object) => {
            object.get("response_flags").is_some()
                && object.get("response_code").is_some()
                && ["authority", ":authority", "upstream_cluster", "upstream_host"]
                    .iter()
                    .any(|key| object.get(key).is_some())
        }
        None => words(record.text).is_some(),
    };
    if sure { Confidence::Certain } else { Confidence::No }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let document = record.document();
    let columns = match record.object {
        Some(object) => object,
        None => {
            let Some((words, names)) = words(record.text) else {
                return Err(Dropped::Malformed("no line of Envoy's default formats"));
            };
            words::columns(record.arena, names, &words)
        }
    };
    let text = |keys: &[&str]| {
        keys.iter()
            .find_map(|key| columns.text_at_key(key))
            .filter(|text| *text != "-")
    };
    if let Some(request) = text(&["request"]) {
        web::request_line(document, request);
    }
    PLAN.apply(columns, document);
    if let Some(path) = text(&["x-envoy-origin-path", "path"]) {
        web::target(document, path);
    }
    if let Some(protocol) = text(&["protocol"]) {
        web::version(document, protocol);
    }
    web::duration(document, columns.get("duration"), 1e6);
    if let Some(authority) = text(&["authority", ":authority"]) {
        web::domain(document, authority);
    }
    if let Some(upstream) = text(&["upstream_host"]) {
        web::peer(document, "destination", upstream);
    }
    // Behind another proxy the peer is that proxy; the first address is that of who asked.
    let forwarded = text(&["x_forwarded_for", "x-forwarded-for"]).and_then(|list| list.split(',').next());
    if let Some(address) = forwarded.or_else(|| text(&["downstream_remote_address"])) {
        web::client(document, address);
    }
    web::finish(document);
    Ok(document)
}
