//! What is wrong with a template, before any alert comes: its syntax, names that nobody knows, and what it makes of an alert and of a
//! group that are made up.

use minijinja::{Error, ErrorKind};
use neph_diag::{Diagnostic, Span};
use neph_event::Instant;
use neph_store::{AlertRecord, DeliveryKind, Severity, StoredAlert};
use serde_json::json;

use super::{NAME, Template, context, why};
use crate::codes;
use crate::{Form, Group, Message};

/// Bytes of a template.
const MOST_TEXT: usize = 1 << 18;

/// Functions of Jinja that need no declaration.
const FUNCTIONS: [&str; 4] = ["range", "dict", "namespace", "debug"];

impl Template {
    /// Takes the text over, if nothing is wrong with it.
    pub(super) fn checked(mut self, text: &str) -> Result<Self, Vec<Diagnostic>> {
        if text.len() > MOST_TEXT {
            let message = format!("the template has more than {MOST_TEXT} bytes");
            return Err(vec![Diagnostic::new(&codes::TEMPLATE, Span::new(0, 0), message)]);
        }
        if let Err(error) = self.environment.add_template_owned(NAME, text.to_owned()) {
            return Err(vec![told(text, &error)]);
        }
        let mut wrong = self.unknown_names(text);
        let made = [false, true]
            .map(|with_group| with_message(with_group, |message| self.make(context(Form::Ecs, message))));
        let failed = made.iter().filter_map(|made| made.as_ref().err());
        // The same mistake shows in both.
        wrong.extend(
            failed
                .filter(|error| is_of_template(error))
                .take(1)
                .map(|error| told(text, error)),
        );
        match wrong.is_empty() {
            true => Ok(self),
            false => Err(wrong),
        }
    }

    fn unknown_names(&self, text: &str) -> Vec<Diagnostic> {
        let Ok(template) = self.environment.get_template(NAME) else {
            return Vec::new();
        };
        let known = with_message(false, |message| context(Form::Ecs, message));
        let known: Vec<&str> = known
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .collect();
        let mut unknown: Vec<String> = template
            .undeclared_variables(false)
            .into_iter()
            .filter(|name| !known.contains(&name.as_str()) && !FUNCTIONS.contains(&name.as_str()))
            .collect();
        unknown.sort();
        let told = unknown.iter().map(|name| {
            Diagnostic::new(
                &codes::TEMPLATE,
                word(text, name),
                format!("there is no variable `{name}`"),
            )
            .with_help(format!("there are {}", known.join(", ")))
        });
        told.collect()
    }
}

/// Whether a template fails whatever the alert is.
fn is_of_template(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::SyntaxError
            | ErrorKind::UnknownFilter
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownMethod
            | ErrorKind::TooManyArguments
            | ErrorKind::MissingArgument
            | ErrorKind::TemplateNotFound
            | ErrorKind::BadSerialization
            | ErrorKind::WriteFailure
            | ErrorKind::OutOfFuel
    )
}

fn told(text: &str, error: &Error) -> Diagnostic {
    let at_line = || {
        let line = error.line().unwrap_or(1).saturating_sub(1);
        let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
        let length = text
            .get(start..)
            .and_then(|rest| rest.lines().next())
            .map_or(0, str::len);
        start..start + length
    };
    let range = error
        .range()
        .filter(|range| range.end <= text.len())
        .unwrap_or_else(at_line);
    Diagnostic::new(&codes::TEMPLATE, Span::new(range.start, range.end), why(error))
}

/// Where a name stands first.
fn word(text: &str, name: &str) -> Span {
    let is_part = |character: char| character.is_alphanumeric() || character == '_' || character == '.';
    let found = text.match_indices(name).find(|(at, _)| {
        let before = text.get(..*at).and_then(|text| text.chars().next_back());
        let behind = text.get(at + name.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(is_part) && !behind.is_some_and(|next| next.is_alphanumeric() || next == '_')
    });
    let at = found.map_or(0, |(at, _)| at);
    Span::new(at, at + found.map_or(0, |_| name.len()))
}

/// Whether a template makes JSON: its text, without what Jinja does, begins with a brace or a bracket.
pub(super) fn begins_json(text: &str) -> bool {
    let mut rest = text.trim_start();
    loop {
        let end = match rest.get(..2) {
            Some("{%") => "%}",
            Some("{#") => "#}",
            Some("{{") => return false,
            _ => return rest.starts_with(['{', '[']),
        };
        match rest.split_once(end) {
            Some((_, behind)) => rest = behind.trim_start(),
            None => return false,
        }
    }
}

/// A message of an alert that is made up, or of a group of such.
fn with_message<T>(with_group: bool, look: impl FnOnce(&Message<'_>) -> T) -> T {
    let time = Instant::from_millis(0);
    let document = json!({
        "@timestamp": time.to_string(),
        "message": "m",
        "event": {"kind": "alert", "id": "0"},
        "rule": {"name": "r"},
    });
    let record = AlertRecord::new(
        StoredAlert {
            id: "0".to_owned(),
            rule_id: "r".to_owned(),
            rule_name: "r".to_owned(),
            rule_version: "1".to_owned(),
            severity: Severity::Low,
            risk_score: 1,
            reason: "m".to_owned(),
            time,
            first: Some(time),
            last: Some(time),
            count: 1,
            techniques: Vec::new(),
            tactics: Vec::new(),
            tags: Vec::new(),
            entities: Vec::new(),
            document: document.to_string().into_bytes(),
        },
        time,
    );
    let group = Group {
        count: 2,
        ids: vec!["0".to_owned(), "1".to_owned()],
        values: vec![("user.name".to_owned(), vec![("u".to_owned(), 2)])],
        ..Group::default()
    };
    look(&Message {
        key: "0:1".to_owned(),
        kind: DeliveryKind::Raised,
        alert: &record,
        group: with_group.then_some(&group),
        link: Some("http://localhost/".to_owned()),
        sent: time,
        test: true,
    })
}
