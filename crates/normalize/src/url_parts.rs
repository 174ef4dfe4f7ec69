//! A URL in its parts, as Elasticsearch's `uri_parts` processor takes them.
//! <https://www.elastic.co/docs/reference/enrich-processor/uri-parts-processor>

use crate::tree::{Map, Value};

/// Sets `url.original` and the parts of the URL that are there. Escapes of the path and the query are decoded where
/// the whole URL is well formed.
pub(crate) fn set<'a>(url: &'a str, document: &'a Map<'a>) {
    document.put_text("url.original", url);
    let Some((scheme, rest)) = url.split_once("://") else {
        return;
    };
    let (rest, fragment) = split(rest, '#');
    let (rest, query) = split(rest, '?');
    let (authority, path) = match rest.find('/').and_then(|slash| rest.split_at_checked(slash)) {
        Some((authority, path)) => (authority, path),
        None => (rest, ""),
    };
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match host_and_port.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse::<u16>().ok()),
        _ => (host_and_port, None),
    };
    let decode = url.bytes().all(is_legal);
    let read = |part: &'a str| -> &'a str {
        match decode.then(|| decoded(part)).flatten() {
            Some(text) => document.text(&text),
            None => part,
        }
    };
    document.put_text("url.scheme", scheme);
    if !host.is_empty() {
        document.put_text("url.domain", host);
    }
    if let Some(port) = port {
        document.put("url.port", Value::Int(i64::from(port)));
    }
    let path = read(path);
    document.put_text("url.path", path);
    if let Some((_, extension)) = path.rsplit_once('.') {
        document.put_text("url.extension", extension);
    }
    if let Some(query) = query {
        document.put_text("url.query", read(query));
    }
    if let Some(fragment) = fragment {
        document.put_text("url.fragment", read(fragment));
    }
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

/// Whether a byte may stand in a URI by RFC 2396; letters beyond ASCII may, too.
fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"-_.!~*'();/?:@&=+$,[]%#".contains(&byte)
}

/// `%2F` and its like decoded; nothing where there is none, or where the result is no UTF-8.
pub(crate) fn decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let pair = tail
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match pair {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or(&[]);
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::set;
    use crate::tree::Arena;

    #[test]
    fn urls_fall_into_their_parts() {
        let check = |url: &str, expected: &str| {
            let arena = Arena::default();
            let document = arena.map();
            set(arena.text(url), document);
            assert_eq!(
                sonic_rs::to_string(document.map_at("url").unwrap()).unwrap(),
                expected,
                "{url}"
            );
        };
        check(
            "https://graph.example/v1.0/users?$select=id%2Cname#top",
            r#"{"original":"https://graph.example/v1.0/users?$select=id%2Cname#top","scheme":"https","domain":"graph.example","path":"/v1.0/users","extension":"0/users","query":"$select=id,name","fragment":"top"}"#,
        );
        check(
            "http://u:p@[::1]:8080/a b%20c",
            r#"{"original":"http://u:p@[::1]:8080/a b%20c","scheme":"http","domain":"[::1]","port":8080,"path":"/a b%20c"}"#,
        );
        check("/relative", r#"{"original":"/relative"}"#);
    }
}
