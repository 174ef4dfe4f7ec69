//! Squid's native access log. <https://wiki.squid-cache.org/Features/LogFormat>

use std::sync::LazyLock;

use super::access::epoch_millis;
use crate::convert;
use crate::mapping::{How, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::sources::web;
use crate::tree::{Map, Value};
use crate::words::{self, Words};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "squid_access",
    aliases: &["squid"],
    title: "Access log of the Squid proxy, native format",
    module: "squid",
    dataset: "squid.log",
    os: None,
    mappings: &[FIELDS],
    derived: &[web::DERIVED, DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[FIELDS]));

const FIELDS: &[Mapping] = &[
    to(How::Long, "bytes", "http.response.bytes"),
    keep("method", "http.request.method"),
    keep("user", "user.name"),
    keep("type", "http.response.mime_type"),
];

const DERIVED: &[Derived] = &[
    derived("@timestamp", &["time"]),
    derived("event.duration", &["elapsed"]),
    derived("event.action", &["result"]),
    derived("event.reason", &["url"]),
    derived("http.response.status_code", &["result"]),
    derived("destination.address", &["hierarchy"]),
    derived("destination.ip", &["hierarchy"]),
    derived("destination.port", &["hierarchy"]),
    derived("destination.domain", &["hierarchy"]),
    derived("squid.hierarchy_status", &["hierarchy"]),
];

const COLUMNS: &[&str] = &[
    "time",
    "elapsed",
    "client",
    "result",
    "bytes",
    "method",
    "url",
    "user",
    "hierarchy",
    "type",
];

fn words(line: &str) -> Option<Words<'_>> {
    let (seconds, _) = line.trim_start().split_once('.')?;
    if seconds.len() < 9 || !seconds.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let words = words::split(line)?;
    let code = |position: usize| {
        let (name, behind) = words.get(position)?.text().split_once('/')?;
        name.bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
            .then_some(behind)
    };
    let status = code(3)?;
    let form = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit()) && code(8).is_some();
    form.then_some(words)
}

fn detect(record: &Record<'_>) -> Confidence {
    if record.object.is_none() && words(record.text).is_some() {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some(words) = words(record.text) else {
        return Err(Dropped::Malformed("no line of the native log format"));
    };
    let columns = words::columns(record.arena, COLUMNS, &words);
    let document = record.document();
    PLAN.apply(columns, document);
    if let Some(millis) = columns.get("time").and_then(epoch_millis)
        && let Some(date) = convert::date(Value::Int(millis), document)
    {
        document.put_text("@timestamp", date);
    }
    web::duration(document, columns.get("elapsed"), 1e6);
    if let Some((action, status)) = columns
        .text_at_key("result")
        .and_then(|result| result.split_once('/'))
    {
        document.put_text("event.action", action);
        if let Some(status) = status.parse().ok().filter(|status| *status > 0) {
            document.put("http.response.status_code", Value::Int(status));
        }
    }
    if let Some((how, peer)) = columns
        .text_at_key("hierarchy")
        .and_then(|text| text.split_once('/'))
    {
        document.put_text("squid.hierarchy_status", how);
        web::peer(document, "destination", peer);
    }
    match columns.text_at_key("url") {
        // In place of a URL, where there was none.
        Some(error) if error.starts_with("error:") => {
            document.put_text("event.reason", error);
        }
        Some(url) => web::target(document, url),
        None => {}
    }
    if let Some(address) = columns.text_at_key("client") {
        web::client(document, address);
    }
    web::finish(document);
    Ok(document)
}
