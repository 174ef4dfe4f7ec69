//! Who keeps a list, an overlay or an exception, why, and how long.

use neph_diag::{Diagnostic, Span};
use neph_event::{Instant, Rounding, parse_date_rounded};
use serde::Serialize;

use crate::codes;
use crate::yaml_document::written;
use neph_document::Table;

/// How dates are written.
pub(crate) const DATE_HELP: &str =
    "a day (`2027-03-31`, of which the end counts) or a time (`2027-03-31T12:00:00Z`)";

/// Who answers for something, and why it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Upkeep {
    /// Who answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Why it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When its time is over, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Whether its time is over.
    pub is_expired: bool,
}

/// Reads the keys `owner`, `reason` and `expires`; one that is over is reported, as what `noun` says.
pub(crate) fn read(
    table: &Table,
    text: &str,
    noun: &str,
    now: Instant,
    diagnostics: &mut Vec<Diagnostic>,
) -> Upkeep {
    let words = |key: &str| {
        let words = table.get(key).and_then(|node| written(node, text));
        words
            .map(|words| words.trim().to_owned())
            .filter(|words| !words.is_empty())
    };
    let expires = expiry(table, text, diagnostics);
    let is_expired = expires.is_some_and(|(time, _)| time < now);
    if let Some((time, place)) = expires.filter(|_| is_expired) {
        let message = format!("{noun} expired at {time} and is not applied");
        diagnostics.push(
            Diagnostic::new(&codes::EXPIRED, place, message)
                .with_help("renew it with a later date, or remove it"),
        );
    }
    Upkeep {
        owner: words("owner"),
        reason: words("reason"),
        expires: expires.map(|(time, _)| time.to_string()),
        is_expired,
    }
}

/// The key `expires` of a table, and its place.
pub(crate) fn expiry(
    table: &Table,
    text: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<(Instant, Span)> {
    let node = table.get("expires")?;
    let time = written(node, text).and_then(end);
    if time.is_none() {
        let message = format!("`{}` is not a date", node.span.text(text).trim());
        diagnostics.push(Diagnostic::new(&codes::VALUE, node.span, message).with_help(DATE_HELP));
    }
    Some((time?, node.span))
}

/// The last moment of what a date names.
pub(crate) fn end(text: &str) -> Option<Instant> {
    // A bare number would be read as milliseconds, which no person writes.
    let is_number = text.trim().bytes().all(|byte| byte.is_ascii_digit());
    (!is_number)
        .then(|| parse_date_rounded(text.trim(), &[], Rounding::Up))
        .flatten()
        .map(Instant::truncated_to_millis)
}
