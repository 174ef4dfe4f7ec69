//! A bulk body: lines of actions, each before its document.
//!
//! <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>

use std::borrow::Cow;

use memchr::memchr;

use crate::json::{self, Json};

/// Most items of one body: what is remembered of each item may be longer than the item.
pub(crate) const MOST_ITEMS: usize = 500_000;

/// Most bytes of an id, as in Elasticsearch.
const LONGEST_ID: usize = 512;

/// What an item asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Index,
    Create,
    Update,
    Delete,
}

impl Action {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    fn of(name: &str) -> Option<Self> {
        [Self::Index, Self::Create, Self::Update, Self::Delete]
            .into_iter()
            .find(|action| action.name() == name)
    }
}

/// Why an item is refused while the others are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    NotAnObject,
    TooLong,
    NoIndex,
    IndexName,
    LongId,
    NoDocument,
    Delete,
    /// The records of its stream could not be stored for want of room.
    Busy,
    /// They could not be stored.
    Failed,
}

/// One item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item<'a> {
    pub(crate) action: Action,
    pub(crate) index: Cow<'a, str>,
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) document: Result<&'a [u8], Fault>,
}

/// Why a whole body is refused: behind such a line nobody knows what is an action and what a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// The line, counted from 1.
    pub(crate) line: usize,
    pub(crate) message: &'static str,
}

/// An action line, read.
#[derive(Clone)]
struct ActionLine<'a> {
    action: Action,
    index: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
}

/// Takes a body apart. `index` is that of the path; documents longer than `longest` are refused.
pub(crate) fn items<'a>(
    body: &'a [u8],
    index: Option<&'a str>,
    longest: usize,
) -> Result<Vec<Item<'a>>, Malformed> {
    let mut out = Vec::new();
    let mut lines = Lines { rest: body, line: 0 };
    // Most clients write the same action line again and again.
    let mut last: Option<(&[u8], ActionLine<'a>)> = None;
    while let Some(line) = lines.next() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let number = lines.line;
        let malformed = |message| Malformed {
            line: number,
            message,
        };
        let action = match &last {
            Some((text, action)) if *text == line => action.clone(),
            _ => {
                let action = action_line(line).ok_or_else(|| malformed("it is no action"))?;
                last = Some((line, action.clone()));
                action
            }
        };
        let document = match action.action {
            Action::Delete => Err(Fault::Delete),
            wanted => {
                let document = lines.next().ok_or_else(|| malformed("its document is missing"))?;
                document_of(wanted, document, longest)
            }
        };
        let index = action.index.or_else(|| index.map(Cow::Borrowed));
        let document = match (&index, &action.id) {
            (None, _) => Err(Fault::NoIndex),
            (Some(index), _) if !is_index_name(index) => Err(Fault::IndexName),
            (_, Some(id)) if id.len() > LONGEST_ID => Err(Fault::LongId),
            _ => document,
        };
        out.push(Item {
            action: action.action,
            index: index.unwrap_or_default(),
            id: action.id.filter(|id| !id.is_empty()),
            document,
        });
        if out.len() > MOST_ITEMS {
            return Err(malformed("there are too many items in one body"));
        }
    }
    Ok(out)
}

struct Lines<'a> {
    rest: &'a [u8],
    line: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.line += 1;
        let end = memchr(b'\n', self.rest).unwrap_or(self.rest.len());
        let line = self.rest.get(..end)?;
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

fn action_line(line: &[u8]) -> Option<ActionLine<'_>> {
    let mut members = json::value(line)?.members();
    let (name, value) = members.next()?;
    let action = Action::of(&name).filter(|_| value.is_object())?;
    let (mut index, mut id) = (None, None);
    for (key, value) in value.members() {
        match &*key {
            "_index" => index = value.text(),
            "_id" => id = value.text(),
            _ => {}
        }
    }
    // A second action in the same object would have no document.
    members
        .next()
        .is_none()
        .then_some(ActionLine { action, index, id })
}

/// The record of an item.
fn document_of(action: Action, line: &[u8], longest: usize) -> Result<&[u8], Fault> {
    if line.len() > longest {
        return Err(Fault::TooLong);
    }
    let object = json::value(line)
        .filter(|value| value.is_object())
        .ok_or(Fault::NotAnObject)?;
    if action != Action::Update {
        return Ok(object.raw());
    }
    let document = object.member("doc").or_else(|| object.member("upsert"));
    document
        .filter(|document| document.is_object())
        .map(Json::raw)
        .ok_or(Fault::NoDocument)
}

/// Whether a name can be that of an index.
/// <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-indices-create>
pub(crate) fn is_index_name(name: &str) -> bool {
    let wrong = |letter: char| {
        letter.is_uppercase()
            || letter.is_control()
            || letter.is_whitespace()
            || "\\/*?\"<>|,#:".contains(letter)
    };
    !name.is_empty()
        && name.len() <= 255
        && name != "."
        && name != ".."
        && !name.starts_with(['-', '_', '+'])
        && !name.chars().any(wrong)
}

/// The part of an index's name that stays the same while indices roll over: without `-2026.11.22` and `-000001`.
pub(crate) fn lasting_name(index: &str) -> &str {
    let is_number =
        |text: &str, length: usize| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_part = |text: &str| {
        let mut parts = text.split('.');
        let date = parts.next().is_some_and(|year| is_number(year, 4))
            && parts.next().is_none_or(|month| is_number(month, 2))
            && parts.all(|part| is_number(part, 2));
        date && text.contains('.') || is_number(text, 6)
    };
    let mut name = index;
    while let Some((rest, part)) = name.rsplit_once('-') {
        if rest.is_empty() || !is_part(part) {
            break;
        }
        name = rest;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(body: &str) -> Result<Vec<String>, Malformed> {
        let items = items(body.as_bytes(), Some("path"), 100)?;
        let shown = items.iter().map(|item| {
            let document = item
                .document
                .map(|document| String::from_utf8_lossy(document).into_owned());
            format!(
                "{} {} {:?} {:?}",
                item.action.name(),
                item.index,
                item.id.as_deref(),
                document
            )
        });
        Ok(shown.collect())
    }

    #[test]
    fn items_are_read_and_bad_ones_stand_alone() {
        let long = "x".repeat(100);
        let body = format!(
            "{{\"index\":{{\"_index\":\"a\",\"_id\":\"1\"}}}}\n{{\"n\":1}}\n\
             {{\"create\":{{}}}}\r\n{{\"n\":2}}\r\n\n\
             {{ \"create\" : {{\"_id\":7,\"pipeline\":{{\"x\":[]}}}} }}\nnot json\n\
             {{\"update\":{{\"_id\":\"3\"}}}}\n{{\"doc\":{{\"n\":3}},\"upsert\":{{}}}}\n\
             {{\"update\":{{}}}}\n{{\"script\":\"x\"}}\n\
             {{\"delete\":{{\"_id\":\"4\"}}}}\n\
             {{\"index\":{{\"_index\":\"../etc\"}}}}\n{{}}\n\
             {{\"index\":{{}}}}\n{{\"n\":\"{long}\"}}\n\
             {{\"index\":{{}}}}\n[]\n\
             {{\"index\":{{\"_index\":\"\\u0061b\"}}}}\n{{\"last\":0}}"
        );
        assert_eq!(
            split(&body).unwrap(),
            [
                r#"index a Some("1") Ok("{\"n\":1}")"#,
                r#"create path None Ok("{\"n\":2}")"#,
                r#"create path Some("7") Err(NotAnObject)"#,
                r#"update path Some("3") Ok("{\"n\":3}")"#,
                "update path None Err(NoDocument)",
                r#"delete path Some("4") Err(Delete)"#,
                "index ../etc None Err(IndexName)",
                "index path None Err(TooLong)",
                "index path None Err(NotAnObject)",
                r#"index ab None Ok("{\"last\":0}")"#,
            ]
        );
    }

    #[test]
    fn what_is_no_action_refuses_the_body() {
        for (body, line) in [
            ("{}\n", 1),
            ("{\"index\":{}}\n{}\nx\n", 3),
            ("{\"index\":{}}\n", 1),
            ("{\"index\":1}\n{}\n", 1),
            ("{\"index\":{},\"create\":{}}\n{}\n", 1),
            ("{\"drop\":{}}\n{}\n", 1),
            ("{\"index\":{}\n{}\n", 1),
        ] {
            assert_eq!(split(body).unwrap_err().line, line, "{body}");
        }
        assert_eq!(split("").unwrap().len(), 0);
        assert_eq!(split("\n\n").unwrap().len(), 0);
    }

    #[test]
    fn names_of_indices() {
        for right in [
            "logs-system.auth-default",
            "filebeat-8.17.0-2026.11.22",
            ".ds-logs",
            "журнал",
        ] {
            assert!(is_index_name(right), "{right}");
        }
        for wrong in [
            "", ".", "..", "../x", "a/b", "_all", "-a", "A", "a b", "a*", "a\n", "a\\b", "<x>", "c:d",
        ] {
            assert!(!is_index_name(wrong), "{wrong}");
        }
        for (index, name) in [
            ("filebeat-8.17.0-2026.11.22-000001", "filebeat-8.17.0"),
            ("logstash-2026.11.22", "logstash"),
            ("logs-2026.11", "logs"),
            ("logs-system.auth-default", "logs-system.auth-default"),
            ("2026.11.22", "2026.11.22"),
            ("a-1234", "a-1234"),
        ] {
            assert_eq!(lasting_name(index), name);
        }
    }
}
