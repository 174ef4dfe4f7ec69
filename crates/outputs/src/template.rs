//! Templates of bodies and mails, in Jinja: <https://docs.rs/minijinja/latest/minijinja/syntax/>.
//!
//! A template that begins with a brace or a bracket makes JSON: what is printed inside of a string is escaped as part of it, what is
//! printed elsewhere is a whole value of JSON, so that nothing that stands in a log can change what the body is made of. In other
//! templates values are printed on one line, with everything visible that is not.
//!
//! Variables: `alert` (the document in the form of the output, names nested), `rule`, `link`, `count`, `group`, `kind`, `key`, `severity`,
//! `risk_score`, `title`, `reason`, `facts`, `techniques`, `tactics`, `time`, `sent`, `test`. Filters beside Jinja's own: `json`,
//! `time(FORMAT)`, `defang`, `lines`.

mod check;

use std::io;
use std::path::Path;

use minijinja::value::{Serde, Value as Printed};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};
use neph_diag::{Diagnostic, is_invisible};
use serde_json::{Map, Value, json};

use crate::fields::{find, nested, put};
use crate::form::{sentence, severity_word};
use crate::text::{defanged, visible};
use crate::told::Told;
use crate::{Form, Message, OpenError};

/// Steps of a template at most.
const FUEL: u64 = 200_000;

/// Bytes of what a template makes.
const MOST_BYTES: usize = 1 << 20;

/// The name of the one template.
const NAME: &str = "body";

/// Signs around a printed value in JSON, before it is known where it stands. No text has them: they are no characters.
const BEGIN: char = '\u{fdd0}';
const END: char = '\u{fdd1}';

/// A template that was read.
#[derive(Debug)]
pub(crate) struct Template {
    environment: Environment<'static>,
    makes_json: bool,
}

impl Template {
    /// Reads a template; what is wrong with it is told with its place in the text.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<Diagnostic>> {
        let makes_json = check::begins_json(text);
        let mut environment = Environment::new();
        environment.set_debug(true);
        environment.set_fuel(Some(FUEL));
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        // Blocks give texts that are not escaped once more; what escapes is the formatter.
        environment.set_auto_escape_callback(|_| AutoEscape::Custom("neph".into()));
        environment.set_formatter(if makes_json { print_json } else { print_text });
        for name in ["json", "tojson"] {
            environment.add_filter(name, |value: &Printed| {
                json_of(value).map(Printed::from_safe_string)
            });
        }
        environment.add_filter("time", time);
        environment.add_filter("defang", |text: &str| defanged(text));
        environment.add_filter("lines", |text: &str| Printed::from_safe_string(lines(text)));
        let template = Self {
            environment,
            makes_json,
        };
        template.checked(text)
    }

    /// Reads a template from a file.
    pub(crate) fn read(path: &Path) -> Result<Self, OpenError> {
        let text = std::fs::read_to_string(path).map_err(|source| OpenError::File {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text).map_err(|wrong| {
            let message = wrong.first().map_or("", |diagnostic| diagnostic.message.as_str());
            OpenError::Invalid(format!("the template `{}` is wrong: {message}", path.display()))
        })
    }

    /// The body of a message; why not, where the template fails on it.
    pub(crate) fn render(&self, form: Form, message: &Message<'_>) -> Result<String, String> {
        self.make(context(form, message)).map_err(|error| why(&error))
    }

    fn make(&self, context: Value) -> Result<String, Error> {
        let mut made = Bounded(Vec::new());
        let template = self.environment.get_template(NAME)?;
        template.render_captured_to(Printed::from(Serde(context)), &mut made)?;
        let text = String::from_utf8_lossy(&made.0).into_owned();
        if !self.makes_json {
            return Ok(text);
        }
        let text = placed(&text);
        match serde_json::from_str::<Value>(&text) {
            Ok(_) => Ok(text),
            Err(error) => Err(Error::new(
                ErrorKind::BadSerialization,
                format!("what it makes is no JSON: {error}"),
            )),
        }
    }
}

/// What an error says.
fn why(error: &Error) -> String {
    let mut text = error.kind().to_string();
    if let Some(detail) = error.detail() {
        text.push_str(&format!(": {detail}"));
    }
    if let Some(source) = std::error::Error::source(error) {
        text.push_str(&format!(": {source}"));
    }
    text
}

/// What a template knows of a message.
fn context(form: Form, message: &Message<'_>) -> Value {
    let record = message.alert;
    let alert = &record.alert;
    let told = Told::new(message);
    let document: Value = serde_json::from_slice(&alert.document).unwrap_or_default();
    let of_rule = |path: &str| find(&document, path).cloned().unwrap_or_default();
    let mut rule = Map::new();
    put(&mut rule, "id", alert.rule_id.as_str());
    put(&mut rule, "name", alert.rule_name.as_str());
    put(&mut rule, "version", alert.rule_version.as_str());
    put(&mut rule, "description", of_rule("rule.description"));
    put(&mut rule, "references", of_rule("rule.reference"));
    put(&mut rule, "tags", alert.tags.as_slice());
    put(&mut rule, "note", of_rule("kibana.alert.rule.note"));
    put(
        &mut rule,
        "false_positives",
        of_rule("kibana.alert.rule.false_positives"),
    );
    let facts: Vec<Value> = told
        .facts
        .iter()
        .map(|(name, text)| json!({"name": name, "text": text}))
        .collect();
    let group = message.group.map(|group| {
        let values = group.values.iter().map(|(field, values)| {
            let counted = |(value, count): &(String, u64)| json!({"value": value, "count": count});
            json!({"field": field, "values": values.iter().map(counted).collect::<Vec<_>>()})
        });
        json!({
            "count": group.count,
            "updated": group.updated,
            "withdrawn": group.retracted,
            "first": group.first.to_string(),
            "last": group.last.to_string(),
            "ids": group.ids,
            "values": values.collect::<Vec<_>>(),
        })
    });
    let context = json!({
        "alert": nested(&form.document(message)),
        "rule": rule,
        "link": message.link,
        "count": message.group.map_or(alert.count, |group| group.count),
        "group": group,
        "kind": message.kind.word(),
        "key": message.key,
        "severity": severity_word(alert.severity),
        "risk_score": alert.risk_score,
        "title": told.title,
        "reason": sentence(message),
        "facts": facts,
        "techniques": alert.techniques,
        "tactics": alert.tactics,
        "time": alert.time.to_string(),
        "sent": message.sent.to_string(),
        "test": message.test,
    });
    without_signs(context)
}

/// The value without the signs that stand around printed values.
fn without_signs(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains([BEGIN, END]) => text.replace([BEGIN, END], "\u{fffd}").into(),
        Value::Array(values) => values.into_iter().map(without_signs).collect(),
        Value::Object(object) => {
            let entries = object
                .into_iter()
                .map(|(key, value)| (key.replace([BEGIN, END], "\u{fffd}"), without_signs(value)));
            Value::Object(entries.collect())
        }
        other => other,
    }
}

/// Prints where JSON is made: the value as JSON between signs.
fn print_json(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Printed) -> Result<(), Error> {
    let text = match value.as_str().filter(|_| value.is_safe()) {
        // What a block made: its values stand between signs already.
        Some(text) if text.contains(BEGIN) => return Ok(out.write_str(text)?),
        Some(text) if serde_json::from_str::<Value>(text).is_ok() => text.to_owned(),
        _ => json_of(value)?,
    };
    Ok(write!(out, "{BEGIN}{text}{END}")?)
}

/// Prints where text is made: on one line, unless it is made for more.
fn print_text(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Printed) -> Result<(), Error> {
    match value.as_str() {
        Some(text) if value.is_safe() => out.write_str(text)?,
        Some(text) => out.write_str(&visible(text))?,
        None if value.is_undefined() || value.is_none() => {}
        None => out.write_str(&visible(&value.to_string()))?,
    }
    Ok(())
}

fn json_of(value: &Printed) -> Result<String, Error> {
    if value.is_undefined() {
        return Ok("null".to_owned());
    }
    // What a filter made of what a block made.
    if let Some(text) = value.as_str().filter(|text| text.contains(BEGIN)) {
        return Ok(Value::from(unmarked(text)).to_string());
    }
    serde_json::to_string(value).map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}

/// Puts printed values where they stand: inside of a string without quotes, elsewhere whole.
fn placed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_string, mut is_escaped) = (false, false);
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
        if character == BEGIN {
            let (value, behind) = rest.split_once(END).unwrap_or((rest, ""));
            rest = behind;
            match (in_string, serde_json::from_str::<Value>(value)) {
                (true, _) => out.push_str(&inside(value)),
                (false, Ok(_)) => out.push_str(value),
                // A filter has changed it.
                (false, Err(_)) => out.push_str(&Value::from(value).to_string()),
            }
            continue;
        }
        match character {
            '"' if !is_escaped => in_string = !in_string,
            _ => {}
        }
        is_escaped = in_string && character == '\\' && !is_escaped;
        out.push(character);
    }
    out
}

/// A text with printed values as plain text, without signs.
fn unmarked(text: &str) -> String {
    let mut parts = text.split(BEGIN);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (value, behind) = part.split_once(END).unwrap_or((part, ""));
        match serde_json::from_str(value) {
            Ok(Value::String(text)) => out.push_str(&text),
            Ok(Value::Null) => {}
            _ => out.push_str(value),
        }
        out.push_str(behind);
    }
    out
}

/// A value of JSON as part of a string of JSON.
fn inside(value: &str) -> String {
    let whole = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let quoted = match serde_json::from_str::<Value>(value) {
        Ok(Value::String(text)) => whole(&text),
        Ok(Value::Null) => return String::new(),
        _ => whole(value),
    };
    let inner = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
}

/// The filter `time`: a time in a form of its own, in UTC (<https://docs.rs/jiff/latest/jiff/fmt/strtime/>).
fn time(value: &Printed, form: Option<&str>) -> Result<String, Error> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let form = form.unwrap_or("%Y-%m-%d %H:%M:%S UTC");
    let stamp = text.parse().unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let mut shown = String::new();
    jiff::fmt::strtime::BrokenDownTime::from(&stamp.to_zoned(jiff::tz::TimeZone::UTC))
        .format(form, &mut shown)
        .map_err(|error| {
            Error::new(
                ErrorKind::SyntaxError,
                format!("`{form}` is no form of a time: {error}"),
            )
        })?;
    // What is no time stays what it is.
    Ok(if text.parse::<jiff::Timestamp>().is_ok() {
        shown
    } else {
        text
    })
}

/// The filter `lines`: a text of several lines, with everything visible that is not.
fn lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars().filter(|character| *character != '\r') {
        match character {
            '\n' => out.push('\n'),
            _ if is_invisible(character) => out.push_str(&visible(character.encode_utf8(&mut [0; 4]))),
            _ => out.push(character),
        }
    }
    out
}

/// Takes so many bytes at most.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MOST_BYTES {
            return Err(io::Error::other(format!("it makes more than {MOST_BYTES} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
