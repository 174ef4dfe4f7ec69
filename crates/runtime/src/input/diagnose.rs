//! Says what is wrong with a record that could not be parsed.

use super::ProblemKind;
use super::problem::Refusal;

/// Depth of arrays and objects beyond which a record is not read: what the JSON parser allows. Elasticsearch maps no more
/// than 20 levels unless it is told to
/// (<https://www.elastic.co/docs/reference/elasticsearch/index-settings/mapping-limit>).
const DEEPEST: usize = 250;

/// Finds the reason why `document` is no readable record, with the byte at which reading ends. Called for records that a
/// reader refused; `reason` is what that reader said.
pub fn diagnose(document: &[u8], reason: &str) -> (ProblemKind, String) {
    if let Err(error) = std::str::from_utf8(document) {
        let byte = error.valid_up_to() + 1;
        return (
            ProblemKind::InvalidUtf8,
            format!("invalid UTF-8 at byte {byte} of the record"),
        );
    }
    if is_too_deep(document) {
        return too_deep();
    }
    match sonic_rs::from_slice::<sonic_rs::Value>(document) {
        // The parser says that it lacks text, or stops at the end of what there is.
        Err(error) if document.starts_with(b"{") && (error.is_eof() || error.offset() >= document.len()) => {
            (ProblemKind::CutShort, "the record ends early".to_owned())
        }
        Err(error) => {
            let byte = error.offset() + 1;
            (
                ProblemKind::NotJson,
                format!("not valid JSON at byte {byte} of the record"),
            )
        }
        Ok(value) if !sonic_rs::JsonValueTrait::is_object(&value) => (
            ProblemKind::NotAnObject,
            "the record is not a JSON object".to_owned(),
        ),
        Ok(_) => (ProblemKind::NotJson, reason.to_owned()),
    }
}

/// Whether arrays and objects are nested too deep. Parsers go down with them, so that this must be known before any of
/// them is let at the record.
pub(crate) fn is_too_deep(document: &[u8]) -> bool {
    document.len() > 2 * DEEPEST && opening_brackets(document) > DEEPEST && depth(document) > DEEPEST
}

pub(crate) fn too_deep() -> Refusal {
    let message = format!("arrays and objects are nested deeper than {DEEPEST} levels");
    (ProblemKind::TooDeep, message)
}

/// How often `{` and `[` stand in a text, strings included. Nearly no record has so many that more needs to be known, so
/// this is what each record costs: the parts are short enough for the compiler to count them in vectors of bytes.
fn opening_brackets(document: &[u8]) -> usize {
    let of_part = |part: &[u8]| part.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>();
    document.chunks(128).map(|part| usize::from(of_part(part))).sum()
}

/// The greatest depth of arrays and objects in a text, by brackets outside of strings.
fn depth(document: &[u8]) -> usize {
    let (mut depth, mut greatest) = (0_usize, 0_usize);
    let (mut string, mut escaped) = (false, false);
    for byte in document {
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
