//! Traefik's access log, in its common log format and as JSON.
//! <https://doc.traefik.io/traefik/observability/access-logs/>

use std::sync::LazyLock;

use super::access::common_log;
use crate::mapping::{How, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::sources::web;
use crate::tree::{Map, Value};
use crate::words::{self, Word};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "traefik_access",
    aliases: &["traefik"],
    title: "Access log of Traefik, common log format and JSON",
    module: "traefik",
    dataset: "traefik.access",
    os: None,
    mappings: &[FIELDS],
    derived: &[web::DERIVED, DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[FIELDS]));

/// By the names of the JSON form, which the columns of the text form are put under.
const FIELDS: &[Mapping] = &[
    to(How::Date, "StartUTC", "@timestamp"),
    to(How::Date, "StartLocal", "@timestamp"),
    to(How::Date, "time", "@timestamp"),
    keep("ClientUsername", "user.name"),
    keep("RequestMethod", "http.request.method"),
    keep("RequestScheme", "url.scheme"),
    to(How::Long, "DownstreamStatus", "http.response.status_code"),
    to(How::Long, "OriginStatus", "http.response.status_code"),
    to(How::Long, "DownstreamContentSize", "http.response.body.bytes"),
    to(How::Long, "RequestContentSize", "http.request.body.bytes"),
    keep("request_User-Agent", "user_agent.original"),
    keep("request_Referer", "http.request.referrer"),
    keep("RouterName", "traefik.access.frontend_name"),
    keep("ServiceURL", "traefik.access.backend_url"),
    keep("ServiceName", "service.name"),
    to(How::Long, "RequestCount", "traefik.access.request_count"),
    keep("entryPointName", "traefik.access.entry_point"),
    keep("TLSVersion", "tls.version"),
    keep("TLSCipher", "tls.cipher"),
    keep("TLSClientSubject", "tls.client.subject"),
];

const DERIVED: &[Derived] = &[
    derived("event.duration", &["Duration"]),
    derived("http.version", &["RequestProtocol"]),
    derived("url.domain", &["RequestHost", "RequestAddr"]),
];

const COLUMNS: &[&str] = &[
    "ClientHost",
    "",
    "ClientUsername",
    "StartUTC",
    "request",
    "OriginStatus",
    "DownstreamContentSize",
    "request_Referer",
    "request_User-Agent",
    "RequestCount",
    "RouterName",
    "ServiceURL",
    "Duration",
];

fn is_text(words: &[Word<'_>]) -> bool {
    let duration = words.get(12).map(|word| word.text());
    words.len() == 13
        && matches!(words.get(10), Some(Word::Quoted(_)))
        && duration.is_some_and(|duration| duration.ends_with("ms"))
}

fn detect(record: &Record<'_>) -> Confidence {
    let sure = match record.object {
        Some(object) => ["RequestMethod", "RequestPath", "DownstreamStatus"]
            .iter()
            .all(|key| object.get(key).is_some()),
        None => common_log(record.text).is_some_and(|(_, words)| is_text(&words)),
    };
    if sure { Confidence::Certain } else { Confidence::No }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let document = record.document();
    let columns = match record.object {
        Some(object) => object,
        None => {
            let words = common_log(record.text).filter(|(_, words)| is_text(words));
            let Some((_, words)) = words else {
                return Err(Dropped::Malformed("no line of Traefik's access log"));
            };
            words::columns(record.arena, COLUMNS, &words)
        }
    };
    if let Some(request) = columns.text_at_key("request") {
        web::request_line(document, request);
    }
    if record.object.is_none()
        && let Some(date) = columns
            .text_at_key("StartUTC")
            .and_then(|time| web::common_log_time(time, document))
    {
        document.put_text("@timestamp", date);
    }
    PLAN.apply(columns, document);
    if let Some(path) = columns.text_at_key("RequestPath") {
        web::target(document, path);
    }
    match columns.get("Duration") {
        Some(Value::Text(text)) => {
            let millis = text.strip_suffix("ms").unwrap_or(text);
            web::duration(document, Some(Value::Text(millis)), 1e6);
        }
        nanos => web::duration(document, nanos, 1.0),
    }
    if let Some(protocol) = columns.text_at_key("RequestProtocol") {
        web::version(document, protocol);
    }
    if let Some(host) = ["RequestHost", "RequestAddr"]
        .iter()
        .find_map(|key| columns.text_at_key(key))
        && host != "-"
    {
        web::domain(document, host);
    }
    // `ClientHost` is without the port, and follows `X-Forwarded-For` where Traefik trusts it.
    if let Some(address) = ["ClientHost", "ClientAddr"]
        .iter()
        .find_map(|key| columns.text_at_key(key))
    {
        web::client(document, address);
    }
    if document.at("user.name").and_then(Value::as_text) == Some("-") {
        document.take("user.name");
    }
    web::finish(document);
    Ok(document)
}
