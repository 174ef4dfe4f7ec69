//! What a request asks a server to fetch: its target decoded, and the hosts of the URLs within it.
//!
//! A server that can be made to ask elsewhere (server-side request forgery) is told where by a URL in the request, and
//! that URL is disguised: escaped several times, with the address as one number, in octal, as IPv6, behind a name that
//! resolves to it. Rules see the target as it was sent in `url.original`; here are the two things that no query can
//! compute: `neph.url.decoded` and `neph.url.hosts`.
//!
//! Forms of IPv4 addresses: <https://url.spec.whatwg.org/#concept-ipv4-parser>, which is `inet_aton`.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::tree::{Map, Value};

/// How often escapes are decoded: each proxy and application on the way takes off one layer.
const ROUNDS: usize = 5;
/// A longer target is looked at up to here only.
const LONGEST: usize = 16 * 1024;
/// Hosts that one request may name.
const MOST_HOSTS: usize = 16;
/// Public domains that answer for each address written before them.
const WILDCARD_DOMAINS: &[&str] = &[".nip.io", ".sslip.io", ".xip.io"];

/// Sets `neph.url.decoded` and, where the request holds a URL or an address, `neph.url.hosts`.
pub(super) fn set<'a>(document: &'a Map<'a>, asked: &'a str) {
    let decoded = match decode(cut(asked)) {
        Cow::Borrowed(text) => text,
        Cow::Owned(text) => document.text(&text),
    };
    document.put_text("neph.url.decoded", decoded);
    for host in hosts(decoded) {
        document.append_new("neph.url.hosts", Value::Text(document.text(&host)));
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or("")
}

/// Takes off escapes (`%2e`, and `%u002e` as IIS reads it) until none is left or [`ROUNDS`] are over, and writes digits
/// and dots of other scripts as the plain ones that clients make of them.
fn decode(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..ROUNDS {
        match unescaped(&text) {
            Some(next) => text = Cow::Owned(next),
            None => break,
        }
    }
    if text.chars().any(|letter| plain(letter).is_some()) {
        let mut written = String::with_capacity(text.len());
        for letter in text.chars() {
            match plain(letter) {
                Some(number) => written.push_str(&number),
                None => written.push(letter),
            }
        }
        text = Cow::Owned(written);
    }
    text
}

/// One layer of escapes taken off; nothing where there is none.
fn unescaped(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let hexadecimal = |digits: Option<&[u8]>| {
        let digits = std::str::from_utf8(digits?).ok()?;
        let is_plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_plain.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut found = false;
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first == b'%' {
            if let Some(byte) = hexadecimal(tail.get(..2)).and_then(|byte| u8::try_from(byte).ok()) {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or(&[]);
                found = true;
                continue;
            }
            let wide = tail.first().is_some_and(|letter| matches!(letter, b'u' | b'U'));
            if wide && let Some(letter) = hexadecimal(tail.get(1..5)).and_then(char::from_u32) {
                bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                rest = tail.get(5..).unwrap_or(&[]);
                found = true;
                continue;
            }
        }
        bytes.push(*first);
    }
    found.then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// What clients make of a digit or dot of another script (Unicode's NFKC, which names go through before they are
/// looked up: <https://www.unicode.org/reports/tr46/>).
fn plain(letter: char) -> Option<String> {
    let from = |first: char, number: u32| (u32::from(letter) - u32::from(first) + number).to_string();
    match letter {
        '①'..='⑳' => Some(from('①', 1)),
        '⓪' => Some("0".to_owned()),
        '０'..='９' => Some(from('０', 0)),
        '．' | '。' | '｡' => Some(".".to_owned()),
        _ => None,
    }
}

/// The hosts of the URLs in a text, and addresses that stand as values of parameters. An address in whatever form is
/// given in its usual one.
fn hosts(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut add = |host: String| {
        if found.len() < MOST_HOSTS && !found.contains(&host) {
            found.push(host);
        }
    };
    let is_slash = |letter: char| matches!(letter, '/' | '\\');
    let mut rest = text;
    while let Some(slash) = rest.find(is_slash) {
        let (before, at) = rest.split_at(slash);
        let after = at.trim_start_matches(is_slash);
        let slashes = at.len() - after.len();
        // `scheme:/host` is understood too; without a scheme only two slashes begin a host.
        if before.ends_with(':') || slashes > 1 {
            let name = authority(after);
            match address(name) {
                Some(address) => add(address),
                None if before.ends_with([':', '=']) && !name.is_empty() => {
                    for host in named(name) {
                        add(host);
                    }
                }
                None => {}
            }
        }
        rest = after;
    }
    for value in text
        .split(['&', '?', ';'])
        .filter_map(|part| part.split_once('='))
    {
        let name = authority(value.1);
        // A number alone is an identifier more often than an address.
        if (name.matches('.').count() == 3 || name.starts_with('['))
            && let Some(address) = address(name)
        {
            add(address);
        }
    }
    found
}

/// The host at the start of a text, without login and port.
fn authority(text: &str) -> &str {
    let end = text
        .find(|letter: char| {
            letter.is_whitespace()
                || matches!(
                    letter,
                    '/' | '\\' | '?' | '#' | '&' | '"' | '\'' | '<' | '>' | ',' | ')'
                )
        })
        .unwrap_or(text.len());
    let authority = text.get(..end).unwrap_or("");
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.starts_with('[') {
        return host.find(']').and_then(|end| host.get(..=end)).unwrap_or(host);
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

/// A name in lower case, and before it the address that it stands for by itself.
fn named(name: &str) -> impl Iterator<Item = String> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let stem = WILDCARD_DOMAINS
        .iter()
        .find_map(|domain| name.strip_suffix(domain));
    let within = stem.and_then(|stem| {
        let hexadecimal = stem.rsplit('.').next().filter(|label| label.len() == 8);
        let hexadecimal = hexadecimal.and_then(|label| u32::from_str_radix(label, 16).ok());
        let dotted = || {
            let mut parts: Vec<&str> = stem.rsplit(['.', '-']).take(4).collect();
            parts.reverse();
            parts.join(".").parse().ok()
        };
        hexadecimal.map(Ipv4Addr::from).or_else(dotted)
    });
    let within = within.map(|address| address.to_string());
    within
        .into_iter()
        .chain(Some(name).filter(|name| !name.is_empty()))
}

/// The address that a host is, in its usual form; an IPv6 address that stands for an IPv4 one as that.
fn address(host: &str) -> Option<String> {
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').unwrap_or(inner);
        let inner = inner.split_once('%').map_or(inner, |(address, _)| address);
        let address: Ipv6Addr = inner.parse().ok()?;
        return Some(embedded(address).map_or_else(|| address.to_string(), |address| address.to_string()));
    }
    number_form(host).map(|address| address.to_string())
}

/// The IPv4 address within one of IPv6: mapped, compatible (RFC 4291), by NAT64 (RFC 6052) or 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(join(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(join(high, low)),
        [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

/// One to four numbers, decimal, octal (`0…`) or hexadecimal (`0x…`), of which the last fills what is left.
fn number_form(host: &str) -> Option<Ipv4Addr> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let mut numbers = Vec::with_capacity(4);
    for part in host.split('.') {
        if numbers.len() == 4 {
            return None;
        }
        let (digits, radix) = match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
            Some(digits) => (digits, 16),
            None if part.len() > 1 && part.starts_with('0') => (part, 8),
            None => (part, 10),
        };
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        numbers.push(u32::from_str_radix(digits, radix).ok()?);
    }
    let (last, first) = numbers.split_last()?;
    let bits_left = 32_u32.checked_sub(u32::try_from(first.len()).ok()?.checked_mul(8)?)?;
    if bits_left < 32 && *last >> bits_left != 0 {
        return None;
    }
    let mut whole = 0_u32;
    for (number, shift) in first.iter().zip([24, 16, 8]) {
        whole |= u32::from(u8::try_from(*number).ok()?) << shift;
    }
    Some(Ipv4Addr::from(whole | *last))
}

#[cfg(test)]
mod tests {
    use super::{decode, hosts};

    #[test]
    fn escapes_are_taken_off_layer_by_layer() {
        assert_eq!(decode("/a?b=c"), "/a?b=c");
        assert_eq!(decode("u=http%3A%2F%2Fh"), "u=http://h");
        assert_eq!(decode("u=http%25253A%25252F%25252Fh"), "u=http://h");
        assert_eq!(decode("%u0031%u002e"), "1.");
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%+1%zz"), "%+1%zz");
        assert_eq!(decode("①⑥⑨。２"), "169.2");
        // What is no UTF-8 hides nothing behind it.
        assert_eq!(decode("%ff%31"), "\u{fffd}1");
        // Deeper than anyone decodes.
        assert_eq!(decode("%2525252525252e"), "%252e");
    }

    #[test]
    fn hosts_are_found_whatever_their_form() {
        let check = |text: &str, expected: &[&str]| assert_eq!(hosts(text), expected, "{text}");
        for form in [
            "169.254.169.254",
            "2852039166",
            "0xa9fea9fe",
            "0XA9.0xFE.0xA9.0xFE",
            "0251.0376.0251.0376",
            "025177524776",
            "169.254.43518",
            "169.16689662",
            "0xa9.254.0251.254",
            "169.254.169.254.",
            "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]",
            "[::169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a9fe:a9fe::1]",
            "[::ffff:a9fe:a9fe%25eth0]",
            "user:secret@169.254.169.254",
        ] {
            check(&format!("/?u=http://{form}:80/latest"), &["169.254.169.254"]);
        }
        check("/?u=http:/2852039166/x", &["169.254.169.254"]);
        check("/?u=//2852039166/x", &["169.254.169.254"]);
        check(r"/?u=http:\\2852039166\x", &["169.254.169.254"]);
        check("/?host=169.254.169.254:80&x=1", &["169.254.169.254"]);
        check("/?h=[fd00:ec2::254]", &["fd00:ec2::254"]);
        check(
            "/go/https://Metadata.Google.Internal./v1",
            &["metadata.google.internal"],
        );
        check(
            "/?u=http://169-254-169-254.nip.io/",
            &["169.254.169.254", "169-254-169-254.nip.io"],
        );
        check(
            "/?u=http://a.169.254.169.254.sslip.io",
            &["169.254.169.254", "a.169.254.169.254.sslip.io"],
        );
        check(
            "/?u=http://a9fea9fe.nip.io",
            &["169.254.169.254", "a9fea9fe.nip.io"],
        );
        check("/a//b/c?id=2852039166&v=1.2.3", &[]);
        check("/?u=http://256.1.1.1/", &["256.1.1.1"]);
        check("/?u=http://1.2.3.4.5/", &["1.2.3.4.5"]);
    }
}
