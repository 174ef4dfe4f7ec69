//! Access logs of nginx and Apache: the common and combined log formats, the forms that nginx's and Apache's own
//! configuration files add to them, and nginx's variables as JSON.
//!
//! <https://httpd.apache.org/docs/2.4/mod/mod_log_config.html>,
//! <https://nginx.org/en/docs/http/ngx_http_log_module.html>. Both servers write the combined format, so a line that
//! carries no mark of nginx is called Apache's, whose format it is; `--source nginx_access` says otherwise.

use std::sync::LazyLock;

use crate::convert;
use crate::mapping::{How, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::sources::web;
use crate::tree::{Map, Value};
use crate::words::{self, Word, Words};

pub(in crate::sources) const APACHE: SourceInfo = SourceInfo {
    name: "apache_access",
    aliases: &["apache", "combined_log"],
    title: "Access log of Apache httpd: common, combined and virtual host formats, and of servers that write the same",
    module: "apache",
    dataset: "apache.access",
    os: None,
    mappings: &[FIELDS],
    derived: &[web::DERIVED, DERIVED],
    detect: detect_apache,
    start: || Box::new(Stateless(normalize)),
};

pub(in crate::sources) const NGINX: SourceInfo = SourceInfo {
    name: "nginx_access",
    aliases: &["nginx"],
    title: "Access log of nginx: combined and main formats, ingress controller, JSON of its variables",
    module: "nginx",
    dataset: "nginx.access",
    os: None,
    mappings: &[FIELDS],
    derived: &[web::DERIVED, DERIVED],
    detect: detect_nginx,
    start: || Box::new(Stateless(normalize)),
};

static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[FIELDS]));

/// By the names of nginx's variables, which the columns of text logs are put under.
const FIELDS: &[Mapping] = &[
    keep("remote_user", "user.name"),
    to(How::Long, "status", "http.response.status_code"),
    to(How::Long, "body_bytes_sent", "http.response.body.bytes"),
    to(How::Long, "bytes_sent", "http.response.bytes"),
    to(How::Long, "request_length", "http.request.bytes"),
    keep("http_referer", "http.request.referrer"),
    keep("http_referrer", "http.request.referrer"),
    keep("http_user_agent", "user_agent.original"),
    keep("request_method", "http.request.method"),
    keep("request_body", "http.request.body.content"),
    keep("request_id", "http.request.id"),
    keep("scheme", "url.scheme"),
    to(How::Ip, "http_x_forwarded_for", "network.forwarded_ip"),
    to(How::Date, "time_iso8601", "@timestamp"),
    to(How::Date, "@timestamp", "@timestamp"),
    to(How::Date, "timestamp", "@timestamp"),
];

const DERIVED: &[Derived] = &[
    derived("@timestamp", &["time_local", "msec"]),
    derived("event.duration", &["request_time"]),
    derived("url.domain", &["vhost", "host", "http_host", "server_name"]),
];

/// Columns of the combined log format, with what is often added to it.
const COMBINED: &[&str] = &[
    "remote_addr",
    "",
    "remote_user",
    "time_local",
    "request",
    "status",
    "body_bytes_sent",
    "http_referer",
    "http_user_agent",
    "http_x_forwarded_for",
];

/// What ingress-nginx writes behind the user agent.
/// <https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/log-format/>
const INGRESS: &[&str] = &[
    "remote_addr",
    "",
    "remote_user",
    "time_local",
    "request",
    "status",
    "body_bytes_sent",
    "http_referer",
    "http_user_agent",
    "request_length",
    "request_time",
    "",
    "",
    "",
    "",
    "",
    "",
    "request_id",
];

/// The words of a line in the common log format or one that begins like it, from the client on, and the virtual host
/// before them.
pub(in crate::sources) fn common_log(line: &str) -> Option<(Option<&str>, Words<'_>)> {
    // The time tells quickly: `[21/Nov/2026:19:36:56 +0000] "`.
    let (before, behind) = line.split_once('[')?;
    let time = behind.get(..26)?;
    let shape = time.bytes().enumerate().all(|(position, byte)| match position {
        2 | 6 => byte == b'/',
        3..=5 => byte.is_ascii_alphabetic(),
        11 | 14 | 17 => byte == b':',
        20 => byte == b' ',
        21 => byte == b'+' || byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    if !shape || behind.get(26..29) != Some("] \"") {
        return None;
    }
    let mut words = words::split(line)?;
    let vhost = match before.split_whitespace().count() {
        3 => None,
        4 => Some(words.remove(0).text()),
        _ => return None,
    };
    let number = |word: Option<&Word<'_>>| {
        word.is_some_and(|word| word.text() == "-" || word.text().bytes().all(|byte| byte.is_ascii_digit()))
    };
    let form = matches!(words.get(3), Some(Word::Bracketed(_)))
        && matches!(words.get(4), Some(Word::Quoted(_)))
        && number(words.get(5))
        && number(words.get(6));
    form.then_some((vhost, words))
}

fn detect_apache(record: &Record<'_>) -> Confidence {
    if record.object.is_some() {
        return Confidence::No;
    }
    let Some((_, words)) = common_log(record.text) else {
        return Confidence::No;
    };
    // Formats that begin alike have sources of their own. Podman writes `@` for a client without an address.
    if matches!(words.len(), 7 | 9) && words.first() != Some(&Word::Bare("@")) {
        Confidence::Certain
    } else {
        Confidence::Likely
    }
}

fn detect_nginx(record: &Record<'_>) -> Confidence {
    if let Some(object) = record.object {
        let some = |keys: &[&str]| keys.iter().any(|key| object.get(key).is_some());
        let request = some(&["request", "request_uri", "uri"]) && some(&["status"]);
        return if object.get("remote_addr").is_some()
            && request
            && some(&[
                "body_bytes_sent",
                "http_user_agent",
                "time_local",
                "time_iso8601",
                "request_time",
                "bytes_sent",
            ]) {
            Confidence::Certain
        } else {
            Confidence::No
        };
    }
    let Some((_, words)) = common_log(record.text) else {
        return Confidence::No;
    };
    let path = record.agent.and_then(|agent| agent.text_at("log.file.path"));
    let main = words.len() == 10 && matches!(words.get(9), Some(Word::Quoted(_)));
    if is_ingress(&words) || main || path.is_some_and(|path| path.contains("nginx")) {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

fn is_ingress(words: &[Word<'_>]) -> bool {
    words.len() == 18 && matches!(words.get(11), Some(Word::Bracketed(_)))
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let document = record.document();
    let columns = match record.object {
        Some(object) => object,
        None => {
            let Some((vhost, words)) = common_log(record.text) else {
                return Err(Dropped::Malformed("no line of the common log format"));
            };
            let names = if is_ingress(&words) { INGRESS } else { COMBINED };
            let columns = words::columns(record.arena, names, &words);
            if let Some(vhost) = vhost.filter(|vhost| *vhost != "-") {
                columns.add("vhost", Value::Text(vhost));
            }
            columns
        }
    };
    filled(columns, document);
    Ok(document)
}

/// Fills a document from columns that have the names of nginx's variables.
pub(in crate::sources) fn filled<'a>(columns: &Map<'a>, document: &'a Map<'a>) {
    if let Some(request) = columns.text_at_key("request") {
        web::request_line(document, request);
    }
    if let Some(asked) = ["request_uri", "uri"]
        .iter()
        .find_map(|key| columns.text_at_key(key))
        && document.at("url.original").is_none()
    {
        web::target(document, asked);
        if let Some(query) = ["args", "query_string"]
            .iter()
            .find_map(|key| columns.text_at_key(key))
        {
            document.put_new("url.query", Value::Text(query));
        }
    }
    PLAN.apply(columns, document);
    if let Some(time) = columns.text_at_key("time_local")
        && let Some(date) = web::common_log_time(time, document)
    {
        document.put_text("@timestamp", date);
    }
    if document.at("@timestamp").is_none()
        && let Some(millis) = columns.get("msec").and_then(epoch_millis)
        && let Some(date) = convert::date(Value::Int(millis), document)
    {
        document.put_text("@timestamp", date);
    }
    web::duration(document, columns.get("request_time"), 1e9);
    if let Some(protocol) = columns.text_at_key("server_protocol") {
        web::version(document, protocol);
    }
    let host = ["vhost", "host", "http_host", "server_name"]
        .iter()
        .find_map(|key| columns.text_at_key(key));
    if let Some(host) = host.filter(|_| document.at("url.domain").is_none()) {
        web::domain(document, host);
    }
    if let Some(address) = columns.text_at_key("remote_addr") {
        web::client(document, address);
    }
    web::finish(document);
}

/// Seconds since the epoch with decimals, as milliseconds.
pub(super) fn epoch_millis(value: Value<'_>) -> Option<i64> {
    let seconds = match value {
        Value::Text(text) => text.parse::<f64>().ok()?,
        Value::Float(seconds) => seconds,
        Value::Int(seconds) => seconds as f64,
        _ => return None,
    };
    let millis = seconds * 1e3;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is in range, and parts of a millisecond may go"
    )]
    (0.0..1e15).contains(&millis).then(|| millis.round() as i64)
}
