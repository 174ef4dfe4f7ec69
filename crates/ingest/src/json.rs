//! JSON of clients, looked at no further than is needed to take it apart.

use std::borrow::Cow;

use sonic_rs::{JsonValueTrait as _, LazyValue};

/// Depth of arrays and objects beyond which JSON is refused. Elasticsearch maps no more than 20 levels unless it is told to
/// (<https://www.elastic.co/docs/reference/elasticsearch/index-settings/mapping-limit>).
const DEEPEST: usize = 100;

/// Whether a text is nested too deep. The parser goes down with the nesting, so that this must be known before it is asked.
pub(crate) fn is_too_deep(text: &[u8]) -> bool {
    text.len() > 2 * DEEPEST && opening_brackets(text) > DEEPEST && depth(text) > DEEPEST
}

/// How often `{` and `[` stand in a text, strings included; nearly no document has so many that more must be known. The
/// parts are short enough for the compiler to count them in vectors of bytes.
fn opening_brackets(text: &[u8]) -> usize {
    let of_part = |part: &[u8]| part.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>();
    text.chunks(128).map(|part| usize::from(of_part(part))).sum()
}

fn depth(text: &[u8]) -> usize {
    let (mut depth, mut greatest) = (0_usize, 0_usize);
    let (mut string, mut escaped) = (false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if string => escaped = true,
            b'"' => string = !string,
            b'{' | b'[' if !string => {
                depth += 1;
                greatest = greatest.max(depth);
            }
            b'}' | b']' if !string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    greatest
}

/// A text that is one JSON value.
pub(crate) fn value(text: &[u8]) -> Option<LazyValue<'_>> {
    if is_too_deep(text) {
        return None;
    }
    sonic_rs::from_slice(text).ok()
}

/// Whether a text is one JSON object and nothing else.
pub(crate) fn is_object(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"{") && value(text).is_some()
}

/// The text of a value, as a part of the text that it was read from.
pub(crate) fn raw<'a>(value: &LazyValue<'a>) -> Option<&'a [u8]> {
    match value.as_raw_cow() {
        Cow::Borrowed(text) => Some(text.as_bytes()),
        Cow::Owned(_) => None,
    }
}

/// The content of a string, or the text of a number.
pub(crate) fn text<'a>(value: &LazyValue<'a>) -> Option<Cow<'a, str>> {
    if value.is_number() {
        return raw(value).and_then(|text| std::str::from_utf8(text).ok()).map(Cow::Borrowed);
    }
    if !value.is_str() {
        return None;
    }
    if let Cow::Borrowed(raw) = value.as_raw_cow()
        && !raw.contains('\\')
    {
        let content = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        return content.map(Cow::Borrowed);
    }
    value.as_str().map(|text| Cow::Owned(text.to_owned()))
}

/// The objects of a text in which objects stand one after the other, with white space between them or not.
pub(crate) struct Objects<'a> {
    rest: &'a [u8],
}

/// What stands where an object was to begin or to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoObject;

/// Takes a text apart into its objects. Behind what is no object, nothing more is found.
pub(crate) fn objects(text: &[u8]) -> Objects<'_> {
    Objects { rest: text }
}

impl<'a> Iterator for Objects<'a> {
    type Item = Result<&'a [u8], NoObject>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.trim_ascii_start();
        self.rest = &[];
        if rest.is_empty() {
            return None;
        }
        let object = end_of_object(rest).and_then(|end| rest.split_at_checked(end));
        let Some((object, behind)) = object.filter(|(object, _)| is_object(object)) else {
            return Some(Err(NoObject));
        };
        self.rest = behind;
        Some(Ok(object))
    }
}

/// Where the object with which a text begins ends, by its brackets.
fn end_of_object(text: &[u8]) -> Option<usize> {
    if !text.starts_with(b"{") {
        return None;
    }
    let (mut depth, mut string, mut escaped) = (0_usize, false, false);
    for (position, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if string => escaped = true,
            b'"' => string = !string,
            b'{' if !string => depth += 1,
            b'}' if !string => {
                depth -= 1;
                if depth == 0 {
                    return Some(position + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_told_from_all_else() {
        for right in ["{}", " {\"a\":[1,{\"b\":null}]} ", "{\"a\":\"}\"}\r"] {
            assert!(is_object(right.as_bytes()), "{right}");
        }
        for wrong in ["", "[]", "1", "null", "{", "{}{}", "{\"a\":}", "{a:1}", "{\"a\":\"\u{1}", "{\"a\":1}x", "plain"] {
            assert!(!is_object(wrong.as_bytes()), "{wrong}");
        }
        assert!(!is_object(b"{\"a\":\"\xff\"}"));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(is_object(nested(DEEPEST - 1).as_bytes()));
        assert!(!is_object(nested(DEEPEST).as_bytes()));
        assert!(!is_object(nested(1_000_000).as_bytes()));
        assert!(!is_object("{\"a\":".repeat(1_000_000).as_bytes()));
        let text = format!("{{\"a\":\"{}\"}}", "[".repeat(1000));
        assert!(is_object(text.as_bytes()));
    }

    #[test]
    fn objects_in_a_row_are_taken_apart() {
        let split = |text: &str| -> Vec<Option<String>> {
            let objects = objects(text.as_bytes());
            objects.map(|object| object.ok().map(|object| String::from_utf8_lossy(object).into_owned())).collect()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(split("{\"a\":\"}{\"}{\n}\n {\"b\":{}} "), [some("{\"a\":\"}{\"}"), some("{\n}"), some("{\"b\":{}}")]);
        assert_eq!(split("{}x{}"), [some("{}"), None]);
        assert_eq!(split("{\"a\":1"), [None]);
        assert_eq!(split("  "), []);
    }
}
