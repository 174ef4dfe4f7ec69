//! JSON of clients, looked at no further than is needed to take it apart.
//!
//! Documents are checked and cut here, and read nowhere in this crate. Nothing recurses: a client decides how deep its
//! documents are.

use std::borrow::Cow;

/// Depth of arrays and objects beyond which JSON is refused. Elasticsearch maps no more than 20 levels unless it is told to
/// (<https://www.elastic.co/docs/reference/elasticsearch/index-settings/mapping-limit>).
const DEEPEST: u32 = 100;

/// A value: the text of it, without white space around it, known to be valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Json<'a>(&'a [u8]);

/// A text that is one JSON value and nothing else.
pub(crate) fn value(text: &[u8]) -> Option<Json<'_>> {
    let text = text.trim_ascii();
    let is_whole = value_end(text, 0) == Some(text.len()) && simdutf8::basic::from_utf8(text).is_ok();
    is_whole.then_some(Json(text))
}

/// Whether a text is one JSON object and nothing else.
pub(crate) fn is_object(text: &[u8]) -> bool {
    value(text).is_some_and(Json::is_object)
}

impl<'a> Json<'a> {
    pub(crate) fn raw(self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn is_object(self) -> bool {
        self.0.starts_with(b"{")
    }

    pub(crate) fn is_array(self) -> bool {
        self.0.starts_with(b"[")
    }

    pub(crate) fn is_string(self) -> bool {
        self.0.starts_with(b"\"")
    }

    pub(crate) fn is_null(self) -> bool {
        self.0 == b"null"
    }

    /// The content of a string, or the text of a number.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        match self.0.first()? {
            b'"' => content(self.0),
            b'-' | b'0'..=b'9' => std::str::from_utf8(self.0).ok().map(Cow::Borrowed),
            _ => None,
        }
    }

    /// The members of an object, in order; none of what is no object.
    pub(crate) fn members(self) -> Members<'a> {
        Members {
            text: if self.is_object() { self.0 } else { b"" },
            at: 1,
        }
    }

    /// The value of a member.
    pub(crate) fn member(self, key: &str) -> Option<Self> {
        self.members()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// The elements of an array, in order; none of what is no array.
    pub(crate) fn elements(self) -> Elements<'a> {
        Elements {
            text: if self.is_array() { self.0 } else { b"" },
            at: 1,
        }
    }
}

/// See [`Json::members`].
pub(crate) struct Members<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, Json<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key_start = space_end(self.text, self.at);
        let key_end = string_end(self.text, key_start)?;
        let start = space_end(self.text, colon_end(self.text, key_end)?);
        let end = value_end(self.text, start)?;
        // Behind a comma, or the bracket that ends the object.
        self.at = space_end(self.text, end) + 1;
        let key = content(self.text.get(key_start..key_end)?)?;
        Some((key, Json(self.text.get(start..end)?)))
    }
}

/// See [`Json::elements`].
pub(crate) struct Elements<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = space_end(self.text, self.at);
        let end = value_end(self.text, start)?;
        self.at = space_end(self.text, end) + 1;
        Some(Json(self.text.get(start..end)?))
    }
}

/// The content of a string in its quotes.
fn content(quoted: &[u8]) -> Option<Cow<'_, str>> {
    let inner = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if memchr::memchr(b'\\', inner).is_none() {
        return std::str::from_utf8(inner).ok().map(Cow::Borrowed);
    }
    serde_json::from_slice(quoted).ok().map(Cow::Owned)
}

/// Where white space that begins at `at` ends.
fn space_end(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// Where a string that begins at `at` ends.
fn string_end(text: &[u8], at: usize) -> Option<usize> {
    if text.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        at = plain_end(text, at);
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => match text.get(at + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                b'u' if text.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => at += 6,
                _ => return None,
            },
            byte if *byte < 0x20 => return None,
            _ => at += 1,
        }
    }
}

/// Skips bytes of a string that are neither quotes, backslashes nor control characters, eight at a time; it may stop
/// before one that is none of these.
fn plain_end(text: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES * 0x80;
    let has_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    while let Some(eight) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*eight);
        let quotes = has_zero(word ^ (ONES * u64::from(b'"')));
        let slashes = has_zero(word ^ (ONES * u64::from(b'\\')));
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let found = quotes | slashes | controls;
        if found != 0 {
            // Borrows reach upwards only, so that the lowest mark is right.
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at
}

/// Where the colon behind a key ends.
fn colon_end(text: &[u8], at: usize) -> Option<usize> {
    let at = space_end(text, at);
    (text.get(at) == Some(&b':')).then_some(at + 1)
}

/// Where the key that begins at `at`, and its colon, end.
fn key_end(text: &[u8], at: usize) -> Option<usize> {
    colon_end(text, string_end(text, space_end(text, at))?)
}

fn digits_end(text: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    while text.get(end).is_some_and(u8::is_ascii_digit) {
        end += 1;
    }
    (end > at).then_some(end)
}

fn number_end(text: &[u8], at: usize) -> Option<usize> {
    let start = at + usize::from(text.get(at) == Some(&b'-'));
    let mut end = digits_end(text, start)?;
    if text.get(start) == Some(&b'0') && end > start + 1 {
        return None;
    }
    if text.get(end) == Some(&b'.') {
        end = digits_end(text, end + 1)?;
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        end = digits_end(text, end + 1 + sign)?;
    }
    Some(end)
}

/// Where the value that begins at `at`, or behind white space there, ends. <https://www.rfc-editor.org/rfc/rfc8259>
fn value_end(text: &[u8], mut at: usize) -> Option<usize> {
    // One bit for each open bracket, set for objects, the innermost lowest.
    let (mut depth, mut objects) = (0_u32, 0_u128);
    loop {
        at = space_end(text, at);
        match text.get(at)? {
            b'"' => at = string_end(text, at)?,
            opening @ (b'{' | b'[') => {
                let (is_object, closing) = (*opening == b'{', opening + 2);
                at = space_end(text, at + 1);
                if text.get(at) == Some(&closing) {
                    at += 1;
                } else {
                    depth += 1;
                    if depth > DEEPEST {
                        return None;
                    }
                    objects = objects << 1 | u128::from(is_object);
                    if is_object {
                        at = key_end(text, at)?;
                    }
                    continue;
                }
            }
            b't' if text.get(at..)?.starts_with(b"true") => at += 4,
            b'f' if text.get(at..)?.starts_with(b"false") => at += 5,
            b'n' if text.get(at..)?.starts_with(b"null") => at += 4,
            _ => at = number_end(text, at)?,
        }
        // A value has ended, and with it maybe those that it stands in.
        loop {
            if depth == 0 {
                return Some(at);
            }
            at = space_end(text, at);
            let is_object = objects & 1 == 1;
            match text.get(at)? {
                b',' if is_object => {
                    at = key_end(text, at + 1)?;
                    break;
                }
                b',' => {
                    at += 1;
                    break;
                }
                b'}' if is_object => {}
                b']' if !is_object => {}
                _ => return None,
            }
            at += 1;
            depth -= 1;
            objects >>= 1;
        }
    }
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
    type Item = Result<Json<'a>, NoObject>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.trim_ascii_start();
        self.rest = &[];
        if rest.is_empty() {
            return None;
        }
        let object = value_end(rest, 0).and_then(|end| rest.split_at_checked(end));
        let is_whole = |object: &[u8]| object.starts_with(b"{") && simdutf8::basic::from_utf8(object).is_ok();
        let Some((object, behind)) = object.filter(|(object, _)| is_whole(object)) else {
            return Some(Err(NoObject));
        };
        self.rest = behind;
        Some(Ok(Json(object)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_told_from_all_else() {
        for right in ["{}", " {\"a\":[1,{\"b\":null}]} ", "{\"a\":\"}\"}\r"] {
            assert!(is_object(right.as_bytes()), "{right}");
        }
        for wrong in [
            "",
            "[]",
            "1",
            "null",
            "{",
            "{}{}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":\"\u{1}",
            "{\"a\":1}x",
            "plain",
        ] {
            assert!(!is_object(wrong.as_bytes()), "{wrong}");
        }
        assert!(!is_object(b"{\"a\":\"\xff\"}"));
    }

    #[test]
    fn depth_is_bounded() {
        let most = DEEPEST as usize;
        let nested = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(is_object(nested(most - 1).as_bytes()));
        assert!(!is_object(nested(most).as_bytes()));
        assert!(!is_object(nested(1_000_000).as_bytes()));
        assert!(!is_object("{\"a\":".repeat(1_000_000).as_bytes()));
        let text = format!("{{\"a\":\"{}\"}}", "[".repeat(1000));
        assert!(is_object(text.as_bytes()));
    }

    #[test]
    fn objects_in_a_row_are_taken_apart() {
        let split = |text: &str| -> Vec<Option<String>> {
            let objects = objects(text.as_bytes());
            objects
                .map(|object| {
                    object
                        .ok()
                        .map(|object| String::from_utf8_lossy(object.raw()).into_owned())
                })
                .collect()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            split("{\"a\":\"}{\"}{\n}\n {\"b\":{}} "),
            [some("{\"a\":\"}{\"}"), some("{\n}"), some("{\"b\":{}}")]
        );
        assert_eq!(split("{}x{}"), [some("{}"), None]);
        assert_eq!(split("{\"a\":1"), [None]);
        assert_eq!(split("  "), []);
    }

    #[test]
    fn values_are_valid_exactly_where_a_parser_takes_them() {
        let pieces = [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"a\"",
            "\"\\n\"",
            "\"\\u00e9\"",
            "\"\\x\"",
            "1",
            "-0",
            "01",
            "1.",
            "1.5e+3",
            "1e",
            "-",
            "true",
            "nul",
            "null",
            " ",
            "\"\u{1}\"",
            "\"long text of a string, ü\"",
            "\"",
        ];
        // Every sequence of up to four pieces.
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            let longer = texts
                .iter()
                .flat_map(|text| pieces.iter().map(move |piece| format!("{text}{piece}")));
            texts = longer.collect();
            for text in &texts {
                let expected = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
                assert_eq!(value(text.as_bytes()).is_some(), expected, "{text}");
            }
        }
    }

    #[test]
    fn members_and_elements_are_cut_out() {
        let text = br#" { "a" : [1, {"b":"]"} ,"x\"y"], "\u0062" : -1.5e3 ,"c":{} , "d":null}"#;
        let object = value(text).unwrap();
        let shown: Vec<String> = object
            .members()
            .map(|(key, value)| format!("{key}={}", String::from_utf8_lossy(value.raw())))
            .collect();
        assert_eq!(
            shown,
            [r#"a=[1, {"b":"]"} ,"x\"y"]"#, "b=-1.5e3", "c={}", "d=null"]
        );
        let list = object.member("a").unwrap();
        let shown: Vec<String> = list
            .elements()
            .map(|value| String::from_utf8_lossy(value.raw()).into_owned())
            .collect();
        assert_eq!(shown, ["1", r#"{"b":"]"}"#, r#""x\"y""#]);
        assert_eq!(list.elements().last().unwrap().text().unwrap(), "x\"y");
        assert_eq!(object.member("b").unwrap().text().unwrap(), "-1.5e3");
        assert_eq!(
            value(b"[]").unwrap().members().count() + value(b"{}").unwrap().elements().count(),
            0
        );
    }
}
