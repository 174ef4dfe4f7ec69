//! Lines of `key=value` pairs, as logrus and other loggers of Go programs write them.
//! <https://pkg.go.dev/github.com/sirupsen/logrus#TextFormatter>

use crate::tree::{Arena, Map, Value};

/// More pairs than this are no line of a log.
const MAX_PAIRS: usize = 256;

/// The pairs of a line, in their order; nothing where something else than pairs stands in it.
pub(crate) fn parse<'a>(arena: &'a Arena, line: &'a str) -> Option<&'a Map<'a>> {
    let pairs = arena.map();
    let mut rest = line.trim();
    for _ in 0..MAX_PAIRS {
        if rest.is_empty() {
            return (!pairs.is_empty()).then_some(pairs);
        }
        let (key, behind) = rest.split_once('=')?;
        let is_key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/');
        if key.is_empty() || !key.bytes().all(is_key) {
            return None;
        }
        let (value, tail) = match behind.strip_prefix('"') {
            Some(quoted) => {
                let end = closing_quote(quoted)?;
                let tail = quoted.get(end + 1..)?;
                if !tail.is_empty() && !tail.starts_with(' ') {
                    return None;
                }
                (unquoted(arena, quoted.get(..end)?), tail)
            }
            None => match behind.split_once(' ') {
                Some((value, tail)) => (value, tail),
                None => (behind, ""),
            },
        };
        pairs.set(key, Value::Text(value));
        rest = tail.trim_start();
    }
    None
}

/// Where the quote stands that closes a quoted text.
pub(crate) fn closing_quote(quoted: &str) -> Option<usize> {
    let mut escaped = false;
    quoted.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// A text without its escapes, which are those of Go's `strconv.Quote`. An escape that is none stays as it is.
fn unquoted<'a>(arena: &'a Arena, text: &'a str) -> &'a str {
    if !text.contains('\\') {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let mut chars = after.chars();
        let digits = match chars.next() {
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            _ => 0,
        };
        if digits > 0 {
            let code = chars
                .as_str()
                .get(..digits)
                .and_then(|hex| u32::from_str_radix(hex, 16).ok());
            match (code.and_then(char::from_u32), chars.as_str().get(digits..)) {
                (Some(char), Some(tail)) => {
                    out.push(char);
                    rest = tail;
                }
                _ => {
                    out.push('\\');
                    rest = after;
                }
            }
            continue;
        }
        match after.chars().next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some(same @ ('"' | '\\' | '\'')) => out.push(same),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    arena.text(&out)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::tree::Arena;

    fn check(line: &str, expected: Option<&str>) {
        let arena = Arena::default();
        let read = parse(&arena, line).map(|pairs| sonic_rs::to_string(pairs).unwrap());
        assert_eq!(read.as_deref(), expected, "{line}");
    }

    #[test]
    fn pairs_are_read_with_their_escapes() {
        check(
            r#"time="2026-01-01T00:00:00Z" level=debug msg="form data: {\"a\":\"\u003e\\n\"}" n=1"#,
            Some(
                r#"{"time":"2026-01-01T00:00:00Z","level":"debug","msg":"form data: {\"a\":\">\\n\"}","n":"1"}"#,
            ),
        );
        check(r#"a="\x41\q\u00"  b="#, Some(r#"{"a":"A\\q\\u00","b":""}"#));
        check("a=1 b", None);
        check(r#"a="1"#, None);
        check(r#"a="1"b"#, None);
        check("GET /a=1 HTTP/1.1", None);
        check("", None);
    }
}
