//! Logs in the extended format of the W3C, whose `#Fields` line names the columns: IIS and Amazon CloudFront.
//!
//! <https://www.w3.org/TR/WD-logfile.html>,
//! <https://learn.microsoft.com/en-us/windows/win32/http/w3c-logging>,
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html>. A record is the
//! line with the names and a row behind it: the reader of a file puts the names before each row. A row that comes alone
//! has the columns that the server writes unless told otherwise.

use std::sync::LazyLock;

use crate::convert;
use crate::join::{Joining, Part};
use crate::mapping::{How, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::sources::web;
use crate::tree::{Map, Value};

pub(in crate::sources) const IIS: SourceInfo = SourceInfo {
    name: "iis_access",
    aliases: &["iis"],
    title: "Access log of Microsoft IIS in the W3C format, with the columns that its `#Fields` line names",
    module: "iis",
    dataset: "iis.access",
    os: Some("windows"),
    mappings: &[FIELDS],
    derived: &[web::DERIVED, DERIVED],
    detect: detect_iis,
    start: || Box::new(Stateless(normalize_iis)),
};

pub(in crate::sources) const CLOUDFRONT: SourceInfo = SourceInfo {
    name: "aws_cloudfront",
    aliases: &["cloudfront", "aws_cloudfront_logs"],
    title: "Standard access log of Amazon CloudFront, text and JSON",
    module: "aws",
    dataset: "aws.cloudfront_logs",
    os: None,
    mappings: &[FIELDS],
    derived: &[web::DERIVED, DERIVED],
    detect: detect_cloudfront,
    start: || Box::new(Stateless(normalize_cloudfront)),
};

pub(in crate::sources) const IIS_JOINING: Joining = Joining {
    source: "iis_access",
    marks: &[],
    part: |line| match line.strip_prefix(NAMES) {
        Some(names) if names_web(names) && !names_cloudfront(names) => Part::Head,
        None if is_row(line, ' ') => Part::Row,
        _ => Part::Alone,
    },
    patience: 0,
};

pub(in crate::sources) const CLOUDFRONT_JOINING: Joining = Joining {
    source: "aws_cloudfront",
    marks: &[],
    part: |line| match line.strip_prefix(NAMES) {
        Some(names) if names_cloudfront(names) => Part::Head,
        None if is_row(line, '\t') => Part::Row,
        _ => Part::Alone,
    },
    patience: 0,
};

static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[FIELDS]));

const FIELDS: &[Mapping] = &[
    keep("cs-method", "http.request.method"),
    keep("cs-username", "user.name"),
    to(How::Long, "sc-status", "http.response.status_code"),
    to(How::Long, "sc-bytes", "http.response.body.bytes"),
    to(How::Long, "cs-bytes", "http.request.body.bytes"),
    keep("cs(User-Agent)", "user_agent.original"),
    keep("cs(Referer)", "http.request.referrer"),
    keep("cs(Cookie)", "iis.access.cookie"),
    keep("s-sitename", "iis.access.site_name"),
    keep("s-computername", "iis.access.server_name"),
    keep("sc-substatus", "iis.access.sub_status"),
    keep("sc-win32-status", "iis.access.win32_status"),
    keep("x-edge-location", "aws.cloudfront.edge_location"),
    keep("x-edge-result-type", "aws.cloudfront.edge_result_type"),
    keep("x-edge-request-id", "http.request.id"),
    keep(
        "x-edge-detailed-result-type",
        "aws.cloudfront.edge_detailed_result_type",
    ),
    keep("x-host-header", "destination.domain"),
    keep("cs-protocol", "network.protocol"),
    keep("ssl-cipher", "tls.cipher"),
    keep("ssl-protocol", "aws.cloudfront.ssl_protocol"),
    to(How::Long, "c-port", "source.port"),
    to(How::Long, "s-port", "destination.port"),
];

const DERIVED: &[Derived] = &[
    derived("@timestamp", &["date", "time"]),
    derived("event.duration", &["time-taken"]),
    derived("http.version", &["cs-version", "cs-protocol-version"]),
    derived("destination.address", &["s-ip"]),
    derived("destination.ip", &["s-ip"]),
    derived("destination.domain", &["s-ip"]),
    derived("cloud.provider", &["x-edge-location"]),
    derived("network.forwarded_ip", &["X-Forwarded-For"]),
];

/// What differs between the servers.
struct Server {
    /// The columns that are written unless told otherwise.
    columns: &'static str,
    separator: char,
    /// Nanoseconds in a unit of `time-taken`.
    time_taken: f64,
    cloud: Option<&'static str>,
}

static IIS_SERVER: Server = Server {
    columns: "date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) \
              sc-status sc-substatus sc-win32-status time-taken",
    separator: ' ',
    time_taken: 1e6,
    cloud: None,
};

static CLOUDFRONT_SERVER: Server = Server {
    columns: "date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) \
              cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol \
              cs-bytes time-taken x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type \
              cs-protocol-version fle-status fle-encrypted-fields c-port time-to-first-byte \
              x-edge-detailed-result-type sc-content-type sc-content-len sc-range-start sc-range-end",
    separator: '\t',
    time_taken: 1e9,
    cloud: Some("aws"),
};

const NAMES: &str = "#Fields:";

/// Whether a line begins as a row: `2026-11-21 19:36:56` and the separator.
fn is_row(line: &str, separator: char) -> bool {
    let Some(start) = line.get(..20) else { return false };
    start.bytes().enumerate().all(|(position, byte)| match position {
        4 | 7 => byte == b'-',
        10 => byte == if separator == '\t' { b'\t' } else { b' ' },
        13 | 16 => byte == b':',
        19 => char::from(byte) == separator,
        _ => byte.is_ascii_digit(),
    })
}

/// What names columns of web servers.
fn names_web(names: &str) -> bool {
    ["cs-", "sc-", "c-ip"].iter().any(|part| names.contains(part))
}

/// What names the columns of CloudFront and of nobody else.
fn names_cloudfront(names: &str) -> bool {
    names.contains("x-edge-")
}

fn detect_iis(record: &Record<'_>) -> Confidence {
    let text = record.text;
    if record.object.is_some() || text.is_empty() {
        return Confidence::No;
    }
    if let Some(names) = text.strip_prefix(NAMES) {
        let names = names.split('\n').next().unwrap_or("");
        return if names_web(names) && !names_cloudfront(names) {
            Confidence::Certain
        } else {
            Confidence::No
        };
    }
    if text.starts_with("#Software: Microsoft Internet Information Services") {
        return Confidence::Certain;
    }
    if [
        "#Version: ",
        "#Date: ",
        "#Start-Date: ",
        "#End-Date: ",
        "#Remark: ",
    ]
    .iter()
    .any(|line| text.starts_with(line))
    {
        return Confidence::Likely;
    }
    if !is_row(text, ' ') {
        return Confidence::No;
    }
    // A row with the columns that IIS writes unless told otherwise.
    let words: smallvec::SmallVec<[&str; 16]> = text.split(' ').collect();
    let word = |position: usize| words.get(position).copied().unwrap_or("");
    let method = word(3);
    let default = words.len() == 15
        && word(2).parse::<std::net::IpAddr>().is_ok()
        && !method.is_empty()
        && method.bytes().all(|byte| byte.is_ascii_uppercase())
        && word(4).starts_with('/');
    if default {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

fn detect_cloudfront(record: &Record<'_>) -> Confidence {
    let sure = match record.object {
        Some(object) => object.get("x-edge-location").is_some(),
        None => match record.text.strip_prefix(NAMES) {
            Some(names) => names_cloudfront(names.split('\n').next().unwrap_or("")),
            None => is_row(record.text, '\t') && record.text.split('\t').count() >= 23,
        },
    };
    if sure { Confidence::Certain } else { Confidence::No }
}

fn normalize_iis<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    normalize(&IIS_SERVER, record)
}

fn normalize_cloudfront<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    normalize(&CLOUDFRONT_SERVER, record)
}

fn normalize<'a>(server: &'static Server, record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let document = record.document();
    if let Some(object) = record.object {
        filled(server, object, document);
        return Ok(document);
    }
    let (names, row) = match record.text.strip_prefix(NAMES) {
        Some(behind) => behind.split_once('\n').unwrap_or((behind, "#")),
        None => (server.columns, record.text),
    };
    if row.starts_with('#') {
        return Err(Dropped::NoEvent("a line about the log itself"));
    }
    let columns = record.arena.map();
    let values = || row.trim_end().split(server.separator);
    for (name, value) in names.split_whitespace().zip(values()).take(MAX_COLUMNS) {
        if !matches!(value, "" | "-") {
            columns.set(name, Value::Text(value));
        }
    }
    // CloudFront adds columns at the end from time to time.
    let differ = names.split_whitespace().count() != values().count();
    if columns.is_empty() || differ && server.separator == ' ' {
        return Err(Dropped::Malformed("it has not the columns that were named"));
    }
    // The line with the names is not the row's own.
    document.put_text("event.original", row);
    filled(server, columns, document);
    Ok(document)
}

/// More columns than this are no log of these servers.
const MAX_COLUMNS: usize = 256;

fn filled<'a>(server: &Server, columns: &Map<'a>, document: &'a Map<'a>) {
    PLAN.apply(columns, document);
    let text = |keys: &[&str]| {
        keys.iter()
            .find_map(|key| columns.text_at_key(key))
            .filter(|text| *text != "-")
    };
    if let (Some(date), Some(time)) = (text(&["date"]), text(&["time"]))
        && let Some(date) = convert::date(
            Value::Text(document.text(&[date, "T", time, "Z"].concat())),
            document,
        )
    {
        document.put_text("@timestamp", date);
    }
    if let Some(cloud) = server.cloud {
        document.put_text("cloud.provider", cloud);
    }
    web::duration(document, columns.get("time-taken"), server.time_taken);
    if let Some(path) = text(&["cs-uri-stem"]) {
        let asked = match text(&["cs-uri-query"]) {
            Some(query) => document.text(&[path, "?", query].concat()),
            None => path,
        };
        web::target(document, asked);
    }
    if let Some(host) = text(&["cs-host", "cs(Host)", "x-host-header"]) {
        web::domain(document, host);
    }
    if let Some(scheme) = text(&["cs-protocol"]) {
        document.put_text("url.scheme", scheme);
    }
    if let Some(protocol) = text(&["cs-version", "cs-protocol-version"]) {
        web::version(document, protocol);
    }
    // IIS writes blanks as `+`, CloudFront as `%20`; rules compare with what clients send.
    if let Some(agent) = text(&["cs(User-Agent)"]) {
        let agent = match server.separator {
            ' ' => agent.replace('+', " "),
            _ => agent.replace("%2520", " ").replace("%20", " "),
        };
        document.put_text("user_agent.original", document.text(&agent));
    }
    if let Some(address) = text(&["s-ip"]) {
        web::peer(document, "destination", address);
    }
    if let Some(address) = text(&["c-ip"]) {
        web::client(document, address);
    }
    if let Some(forwarded) = text(&["X-Forwarded-For", "x-forwarded-for"])
        && forwarded.parse::<std::net::IpAddr>().is_ok()
    {
        document.put_text("network.forwarded_ip", forwarded);
    }
    web::finish(document);
}
