//! The log of Podman's API service: an access line after each call, and the lines of its logger.
//!
//! <https://docs.podman.io/en/latest/markdown/podman-system-service.1.html>. The access line is in Apache's combined
//! format; a client on a unix socket is `@`. The logger is logrus with times in whole seconds, like that of many
//! programs, so its lines are known by what they speak of.

use std::sync::LazyLock;

use crate::logfmt;
use crate::mapping::{How, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::sources::docker::api;
use crate::sources::web;
use crate::sources::web::access::common_log;
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "podman_api",
    aliases: &["podman_api_log"],
    title: "Log of Podman's API service: access lines, and the lines of its logger",
    module: "podman",
    dataset: "podman.api",
    os: Some("linux"),
    mappings: &[FIELDS],
    derived: &[DERIVED, api::DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[FIELDS]));

const FIELDS: &[Mapping] = &[
    to(How::Date, "time", "@timestamp"),
    keep("level", "log.level"),
    keep("msg", "message"),
    keep("error", "error.message"),
    keep("X-Reference-Id", "podman.api.reference_id"),
];

const DERIVED: &[Derived] = &[
    derived("event.kind", &[]),
    derived("event.outcome", &[]),
    derived("http.version", &[]),
    derived("http.response.status_code", &[]),
    derived("http.response.body.bytes", &[]),
    derived("user_agent.original", &[]),
    derived("source.address", &[]),
    derived("source.ip", &[]),
    derived("related.ip", &[]),
    derived("container.runtime", &[]),
];

/// What Podman and the libraries of its makers write of.
const MARKS: &[&str] = &[
    "podman",
    "libpod",
    "X-Reference-Id",
    "IdleTracker",
    "APIHandler",
    "API service",
    "conmon",
    "OCI runtime",
    "[graphdriver]",
    "containers storage",
    "parsed reference into",
    "exporting opaque data as blob",
    "registries configuration",
    "CORS Headers",
    "parallel job count",
    "SIGHUP",
    "event backend",
    "containers.conf",
];

/// What they write of as well as others.
const WORDS: &[&str] = &[
    "container",
    "image",
    "network",
    "volume",
    "exec",
    "healthcheck",
    "blob",
    "manifest",
    "storage",
    "cgroup",
    "msg=\"Using ",
    "msg=\"Trying ",
    "namespace",
    "pod ",
    "overlay",
    "layer",
    "mount",
    "database",
];

fn detect(record: &Record<'_>) -> Confidence {
    let text = record.text;
    if record.object.is_some() {
        return Confidence::No;
    }
    if let Some(rest) = text.strip_prefix("time=\"") {
        let Some((time, rest)) = rest.split_once('"') else {
            return Confidence::No;
        };
        // `2026-11-21T19:38:22Z`, or with an offset; decimals are not among them.
        if time.get(10..11) != Some("T") || time.contains('.') || !rest.starts_with(" level=") {
            return Confidence::No;
        }
        return if MARKS.iter().any(|mark| rest.contains(mark)) {
            Confidence::Certain
        } else if WORDS.iter().any(|word| rest.contains(word)) {
            Confidence::Likely
        } else {
            Confidence::No
        };
    }
    let socket = text.starts_with("@ - - [") && common_log(text).is_some();
    let libpod = text.contains("/libpod/") && common_log(text).is_some_and(|(_, words)| is_libpod(&words));
    if socket || libpod {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

fn is_libpod(words: &[crate::words::Word<'_>]) -> bool {
    let asked = words
        .get(4)
        .and_then(|word| word.text().split(' ').nth(1))
        .unwrap_or("");
    let (stripped, version) = api::stripped(asked);
    version.is_some() && asked.contains("/libpod/") && asked.len() > stripped.len()
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let document = record.document();
    document.put_text("container.runtime", "podman");
    if let Some((_, words)) = common_log(record.text) {
        let word = |position: usize| words.get(position).map_or("-", |word| word.text());
        access(document, &[0, 3, 4, 5, 6, 8].map(word));
        return Ok(document);
    }
    let Some(pairs) = logfmt::parse(record.arena, record.text) else {
        return Err(Dropped::Malformed("neither an access line nor key=value pairs"));
    };
    PLAN.apply(pairs, document);
    document.put_text("event.kind", "event");
    Ok(document)
}

/// Fills a document from client, time, request, status, size and user agent.
fn access<'a>(document: &'a Map<'a>, [client, time, request, status, size, agent]: &[&'a str; 6]) {
    if let Some(date) = web::common_log_time(time, document) {
        document.put_text("@timestamp", date);
    }
    if let Some((method, rest)) = request.split_once(' ') {
        let (asked, protocol) = rest.rsplit_once(' ').unwrap_or((rest, ""));
        api::request(document, method, asked);
        web::version(document, protocol);
    }
    for (text, field) in [
        (status, "http.response.status_code"),
        (size, "http.response.body.bytes"),
    ] {
        if let Ok(number) = text.parse() {
            document.put(field, Value::Int(number));
        }
    }
    if !matches!(*agent, "" | "-") {
        document.put_text("user_agent.original", agent);
    }
    if *client == "@" {
        document.put_text("source.address", client);
    } else {
        web::client(document, client);
    }
    if let Ok(status) = status.parse::<u16>() {
        document.put_text("event.outcome", if status < 400 { "success" } else { "failure" });
    }
}
