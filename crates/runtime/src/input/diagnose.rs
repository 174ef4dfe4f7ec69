//! Says what is wrong with a record that could not be parsed.

use super::ProblemKind;

/// Depth of arrays and objects beyond which a record is not read; the same as Elasticsearch's JSON reader has.
const DEEPEST: usize = 1000;

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
    if depth(document) > DEEPEST {
        return (
            ProblemKind::TooDeep,
            format!("nested deeper than {DEEPEST} levels"),
        );
    }
    match sonic_rs::from_slice::<sonic_rs::Value>(document) {
        Err(error) if error.is_eof() => (ProblemKind::CutShort, "the record ends early".to_owned()),
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

/// The greatest depth of arrays and objects in a text, by brackets outside of strings.
pub(crate) fn depth(document: &[u8]) -> usize {
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
