//! Access logs of web servers, proxies and load balancers.
//!
//! Whatever the server, a request becomes the same fields: `source.*` is who asked, `url.*` what was asked for (as it
//! was sent: nothing is decoded), `http.*` how it was asked and answered, `event.outcome` a failure from status 400 on.
//! A text log is first put under the names of its columns, which are the vendor's, and then goes through a mapping
//! table like any other record.

pub(super) mod access;
mod asked;
pub(super) mod aws;
pub(super) mod envoy;
pub(super) mod squid;
pub(super) mod traefik;
pub(super) mod w3c;

use std::net::IpAddr;

use crate::convert;
use crate::source::{Derived, derived};
use crate::tree::{Map, Value};

/// What [`finish`], [`request_line`], [`target`] and [`client`] set.
pub(super) const DERIVED: &[Derived] = &[
    derived("event.kind", &[]),
    derived("event.category", &[]),
    derived("event.type", &[]),
    derived("event.outcome", &["status"]),
    derived("http.request.method", &["request"]),
    derived("http.version", &["request"]),
    derived("url.original", &["request"]),
    derived("url.path", &["request"]),
    derived("url.query", &["request"]),
    derived("url.extension", &["request"]),
    derived("url.fragment", &["request"]),
    derived("url.scheme", &["request"]),
    derived("url.domain", &["request"]),
    derived("url.port", &["request"]),
    derived("url.username", &["request"]),
    derived("url.password", &["request"]),
    derived("neph.url.decoded", &["request"]),
    derived("neph.url.hosts", &["request"]),
    derived("source.address", &["client"]),
    derived("source.ip", &["client"]),
    derived("source.port", &["client"]),
    derived("source.domain", &["client"]),
    derived("related.ip", &["client"]),
    derived("related.user", &["user"]),
];

/// Reads `GET /path HTTP/1.1`. What is no request (as when a client speaks TLS to a port without it) sets nothing.
pub(super) fn request_line<'a>(document: &'a Map<'a>, line: &'a str) {
    let Some((name, rest)) = line.split_once(' ') else {
        return;
    };
    if name.is_empty()
        || !name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'-' || byte == b'_')
    {
        return;
    }
    document.put_text("http.request.method", name);
    // What was asked for may hold blanks, where a client sent them.
    match rest.rsplit_once(' ') {
        Some((asked, protocol)) if protocol.starts_with("HTTP/") => {
            version(document, protocol);
            target(document, asked);
        }
        _ => target(document, rest),
    }
}

/// Sets `http.version` from `HTTP/1.1`.
pub(super) fn version<'a>(document: &'a Map<'a>, protocol: &'a str) {
    if let Some(version) = protocol.strip_prefix("HTTP/") {
        document.put_text("http.version", version);
    }
}

/// Sets `url.*` from what a request asked for: a path, a whole URL, or the authority of a tunnel.
pub(super) fn target<'a>(document: &'a Map<'a>, asked: &'a str) {
    let asked = asked.trim();
    if asked.is_empty() {
        return;
    }
    document.put_text("url.original", asked);
    asked::set(document, asked);
    if document.at("http.request.method").and_then(Value::as_text) == Some("CONNECT") {
        return authority(document, asked);
    }
    let is_scheme =
        |scheme: &str| !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let path = match asked.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) {
        Some((scheme, rest)) => {
            document.put_text("url.scheme", scheme);
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            authority(document, rest.get(..end).unwrap_or(""));
            rest.get(end..).unwrap_or("")
        }
        None => asked,
    };
    let (path, fragment) = path
        .split_once('#')
        .map_or((path, None), |(path, tail)| (path, Some(tail)));
    let (path, query) = path
        .split_once('?')
        .map_or((path, None), |(path, query)| (path, Some(query)));
    self::path(document, path);
    for (field, part) in [("url.query", query), ("url.fragment", fragment)] {
        if let Some(part) = part.filter(|part| !part.is_empty()) {
            document.put_text(field, part);
        }
    }
}

/// Sets `url.path` and `url.extension`.
pub(super) fn path<'a>(document: &'a Map<'a>, path: &'a str) {
    if path.is_empty() {
        return;
    }
    document.put_text("url.path", path);
    let name = path.rsplit('/').next().unwrap_or("");
    if let Some((_, extension)) = name
        .rsplit_once('.')
        .filter(|(_, extension)| !extension.is_empty())
    {
        document.put_text("url.extension", extension);
    }
}

/// Sets `url.domain` and what stands round it.
fn authority<'a>(document: &'a Map<'a>, text: &'a str) {
    let host = match text.rsplit_once('@') {
        Some((login, host)) => {
            let (name, password) = login.split_once(':').unwrap_or((login, ""));
            for (field, part) in [("url.username", name), ("url.password", password)] {
                if !part.is_empty() {
                    document.put_text(field, part);
                }
            }
            host
        }
        None => text,
    };
    domain(document, host);
}

/// Sets `url.domain` and `url.port` from `host`, `host:port` or `[::1]:port`.
pub(super) fn domain<'a>(document: &'a Map<'a>, host: &'a str) {
    let (name, port) = host_and_port(host);
    if !name.is_empty() {
        document.put_text("url.domain", name);
    }
    if let Some(port) = port {
        document.put("url.port", Value::Int(i64::from(port)));
    }
}

/// Splits a port off; an IPv6 address without brackets has none.
pub(super) fn host_and_port(text: &str) -> (&str, Option<u16>) {
    match text.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (text, None),
        },
        _ => (text, None),
    }
}

/// Sets `prefix.address`, and `ip`, `port` or `domain` beside it as far as the address tells them.
pub(super) fn peer<'a>(document: &'a Map<'a>, prefix: &'a str, address: &'a str) {
    let address = address.trim();
    if address.is_empty() || address == "-" {
        return;
    }
    if document.map_at(prefix).is_none() {
        document.put(prefix, Value::Map(document.new_map()));
    }
    let Some(peer) = document.map_at(prefix) else {
        return;
    };
    let (host, port) = host_and_port(address);
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    peer.set("address", Value::Text(host));
    if host.parse::<IpAddr>().is_ok() {
        peer.set("ip", Value::Text(host));
        document.append_new("related.ip", Value::Text(host));
    } else if host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
    {
        peer.set("domain", Value::Text(host));
    }
    if let Some(port) = port {
        peer.set("port", Value::Int(i64::from(port)));
    }
}

/// Sets `source.*` from the address of who asked.
pub(super) fn client<'a>(document: &'a Map<'a>, address: &'a str) {
    peer(document, "source", address);
}

/// Sets what every request has, after its other fields.
pub(super) fn finish<'a>(document: &'a Map<'a>) {
    let status = document.at("http.response.status_code").and_then(Value::to_int);
    if let Some(event) = document.child("event") {
        event.set("kind", Value::Text("event"));
        event.put_texts("category", &["web"]);
        event.put_texts("type", &["access"]);
        if let Some(status) = status.filter(|status| *status > 0) {
            event.set(
                "outcome",
                Value::Text(if status < 400 { "success" } else { "failure" }),
            );
        }
    }
    if let Some(user @ Value::Text(_)) = document.at("user.name") {
        document.append_new("related.user", user);
    }
}

/// Sets `event.duration`, which is in nanoseconds, from a decimal number of units of so many nanoseconds.
pub(super) fn duration<'a>(document: &'a Map<'a>, value: Option<Value<'a>>, unit_nanos: f64) {
    let number = match value {
        Some(Value::Text(text)) => text.trim().parse::<f64>().ok(),
        Some(Value::Int(number)) => Some(number as f64),
        Some(Value::Float(number)) => Some(number),
        _ => None,
    };
    if let Some(nanos) = number.map(|number| number * unit_nanos)
        && (0.0..9e18).contains(&nanos)
    {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is in range, and parts of a nanosecond may go"
        )]
        document.put("event.duration", Value::Int(nanos.round() as i64));
    }
}

/// The time of the common log format, `21/Nov/2026:19:36:56 +0000`, as a date in ISO 8601.
/// <https://httpd.apache.org/docs/2.4/mod/mod_log_config.html#formats>
pub(super) fn common_log_time<'a>(text: &str, at: &'a Map<'a>) -> Option<&'a str> {
    let (stamp, offset) = text.split_once(' ').unwrap_or((text, "+0000"));
    let mut parts = stamp.splitn(4, ['/', ':']);
    let (day, month, year, time) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    const MONTHS: &[&str] = &[
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let (hours, minutes) = (offset.get(..3)?, offset.get(3..5)?);
    let iso = format!("{year}-{month:02}-{day}T{time}{hours}:{minutes}");
    convert::date(Value::Text(at.text(&iso)), at)
}

#[cfg(test)]
mod tests;
