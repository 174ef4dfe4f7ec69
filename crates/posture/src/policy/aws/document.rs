//! Policy documents: JSON to statements.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>

use serde_json::{Map, Value};

use super::condition::{Condition, Operator};
use crate::glob::{Case, Pattern, Segments};

/// Statements beyond this are refused; AWS takes some hundred at most.
const MAX_STATEMENTS: usize = 10_000;
/// Values of one element beyond this are refused.
const MAX_VALUES: usize = 10_000;

/// Why a document is not one of the policy language.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy document, `{at}`: {what}")]
pub struct DocumentError {
    /// The element: `Statement[2].Effect`.
    pub at: String,
    /// What is wrong with it.
    pub what: String,
}

/// A policy document.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// The statements in their order.
    pub statements: Vec<Statement>,
}

/// Whether a statement allows or denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It allows.
    Allow,
    /// It denies.
    Deny,
}

/// A statement.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Its `Sid`, or `statement 1`, counted from 1, where it has none.
    pub name: String,
    /// Whether it allows or denies.
    pub effect: Effect,
    /// Whom it is about; `None` in policies that are attached to somebody.
    pub principal: Option<Principals>,
    /// Actions, or with `negated` all but these.
    pub actions: Listed<Pattern>,
    /// Resources; `None` where the policy stands for the one resource that it is attached to.
    pub resources: Option<Listed<Template>>,
    /// All of them have to hold.
    pub conditions: Vec<Condition>,
}

/// An element or its `Not…` form.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// Whether it was written as `NotAction`, `NotResource`.
    pub negated: bool,
    /// The values.
    pub values: Vec<T>,
}

/// Whom a statement is about.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>
#[derive(Clone, Debug, Default)]
pub struct Principals {
    /// Whether it was written as `NotPrincipal`.
    pub negated: bool,
    /// `*`: everybody, also without an identity.
    pub everyone: bool,
    /// Accounts and ARNs.
    pub aws: Vec<String>,
    /// Services: `ec2.amazonaws.com`.
    pub services: Vec<String>,
    /// Identity providers and canonical users, which are compared as they are written.
    pub others: Vec<String>,
}

/// A text with policy variables: `arn:aws:s3:::home/${aws:username}/*`.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// As it was written.
    pub text: String,
    /// Its parts; a single text where there is no variable.
    pub pieces: Vec<Piece>,
}

/// A part of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text, in which `*` and `?` are wildcards where the element has them.
    Text(String),
    /// A character that stands for itself: `${*}`, `${?}`, `${$}`.
    Literal(char),
    /// A key of the context, in lower case, and what to take where it is absent.
    Variable(String, Option<String>),
}

impl Template {
    /// Reads a text; variables are texts like any other in documents of the language's first version.
    pub fn new(text: &str, has_variables: bool) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        let mut plain = String::new();
        while let Some((before, behind)) = rest.split_once("${").filter(|_| has_variables) {
            let Some((inside, after)) = behind.split_once('}') else {
                break;
            };
            plain.push_str(before);
            rest = after;
            let piece = match inside {
                "*" | "?" | "$" => inside.chars().next().map(Piece::Literal),
                _ => {
                    let (key, default) = match inside.split_once(',') {
                        Some((key, default)) => (key, Some(unquoted(default))),
                        None => (inside, None),
                    };
                    Some(Piece::Variable(key.trim().to_ascii_lowercase(), default))
                }
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.extend(piece);
        }
        plain.push_str(rest);
        if !plain.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Self {
            text: text.to_owned(),
            pieces,
        }
    }
}

fn unquoted(default: &str) -> String {
    let trimmed = default.trim();
    let inner = trimmed
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''));
    inner.unwrap_or(trimmed).to_owned()
}

impl Document {
    /// Reads a document: an object, or a string that holds one, also encoded as in URLs, as IAM's API answers.
    ///
    /// # Errors
    /// Names the first element that the language does not have in this form.
    pub fn read(value: &Value) -> Result<Self, DocumentError> {
        match value {
            Value::Object(object) => Self::of_object(object),
            Value::String(text) => {
                let decoded = if text.trim_start().starts_with('%') {
                    percent_encoding::percent_decode_str(text).decode_utf8_lossy()
                } else {
                    text.as_str().into()
                };
                match serde_json::from_str(&decoded) {
                    Ok(Value::Object(object)) => Self::of_object(&object),
                    Ok(_) => Err(fault("document", "is not an object")),
                    Err(error) => Err(fault("document", format!("is not JSON: {error}"))),
                }
            }
            _ => Err(fault("document", "is not an object")),
        }
    }

    fn of_object(object: &Map<String, Value>) -> Result<Self, DocumentError> {
        let has_variables = match object.get("Version") {
            None => false,
            Some(Value::String(version)) => match version.as_str() {
                "2012-10-17" => true,
                "2008-10-17" => false,
                _ => {
                    return Err(fault(
                        "Version",
                        format!("`{version}` is not a version of the language"),
                    ));
                }
            },
            Some(_) => return Err(fault("Version", "is not a string")),
        };
        let statements = match object.get("Statement") {
            Some(Value::Array(items)) if items.len() > MAX_STATEMENTS => {
                return Err(fault(
                    "Statement",
                    format!("has {} statements, more than {MAX_STATEMENTS}", items.len()),
                ));
            }
            Some(Value::Array(items)) => items.iter().collect(),
            Some(single @ Value::Object(_)) => vec![single],
            Some(_) => return Err(fault("Statement", "is neither an object nor a list")),
            None => return Err(fault("Statement", "is missing")),
        };
        let statements = statements
            .into_iter()
            .enumerate()
            .map(|(index, value)| {
                statement(value, index, has_variables).map_err(|mut error| {
                    error.at = format!("Statement[{index}].{}", error.at);
                    error
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { statements })
    }
}

fn fault(at: &str, what: impl Into<String>) -> DocumentError {
    DocumentError {
        at: at.to_owned(),
        what: what.into(),
    }
}

fn statement(value: &Value, index: usize, has_variables: bool) -> Result<Statement, DocumentError> {
    let Value::Object(object) = value else {
        return Err(fault("", "is not an object"));
    };
    let name = match object.get("Sid") {
        Some(Value::String(sid)) if !sid.is_empty() => sid.clone(),
        None | Some(Value::String(_) | Value::Null) => format!("statement {}", index + 1),
        Some(_) => return Err(fault("Sid", "is not a string")),
    };
    let effect = match object.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        Some(other) => {
            return Err(fault(
                "Effect",
                format!("`{other}` is neither `Allow` nor `Deny`"),
            ));
        }
        None => return Err(fault("Effect", "is missing")),
    };
    let actions = listed(object, "Action", "NotAction", |text| {
        Pattern::new(text, Case::Ignored, Segments::None)
    })?;
    let resources = listed(object, "Resource", "NotResource", |text| {
        Template::new(text, has_variables)
    })?;
    Ok(Statement {
        name,
        effect,
        principal: principals(object)?,
        actions: actions.ok_or_else(|| fault("Action", "is missing"))?,
        resources,
        conditions: conditions(object, has_variables)?,
    })
}

fn listed<T>(
    object: &Map<String, Value>,
    name: &str,
    negated_name: &str,
    make: impl Fn(&str) -> T,
) -> Result<Option<Listed<T>>, DocumentError> {
    let (value, at, negated) = match (object.get(name), object.get(negated_name)) {
        (Some(_), Some(_)) => return Err(fault(name, format!("stands beside `{negated_name}`"))),
        (Some(value), None) => (value, name, false),
        (None, Some(value)) => (value, negated_name, true),
        (None, None) => return Ok(None),
    };
    let values = texts(value, at)?.iter().map(|text| make(text)).collect();
    Ok(Some(Listed { negated, values }))
}

/// A string or a list of strings; numbers and booleans, as conditions have them, become strings.
fn texts(value: &Value, at: &str) -> Result<Vec<String>, DocumentError> {
    let scalar = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    match value {
        Value::Array(items) if items.len() > MAX_VALUES => Err(fault(at, "has too many values")),
        Value::Array(items) => items
            .iter()
            .map(|item| scalar(item).ok_or_else(|| fault(at, "holds what is no string")))
            .collect(),
        other => match scalar(other) {
            Some(text) => Ok(vec![text]),
            None => Err(fault(at, "is neither a string nor a list of strings")),
        },
    }
}

fn principals(object: &Map<String, Value>) -> Result<Option<Principals>, DocumentError> {
    let (value, at, negated) = match (object.get("Principal"), object.get("NotPrincipal")) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(fault("Principal", "stands beside `NotPrincipal`")),
        (Some(value), None) => (value, "Principal", false),
        (None, Some(value)) => (value, "NotPrincipal", true),
    };
    let mut found = Principals {
        negated,
        ..Principals::default()
    };
    match value {
        Value::String(text) if text == "*" => found.everyone = true,
        Value::Object(kinds) => {
            for (kind, value) in kinds {
                let mut values = texts(value, at)?;
                match kind.as_str() {
                    "AWS" => {
                        found.everyone |= values.iter().any(|value| value == "*");
                        found.aws.append(&mut values);
                    }
                    "Service" => found.services.append(&mut values),
                    "Federated" | "CanonicalUser" => found.others.append(&mut values),
                    other => return Err(fault(at, format!("`{other}` is not a kind of principals"))),
                }
            }
        }
        _ => return Err(fault(at, "is neither `*` nor an object")),
    }
    Ok(Some(found))
}

fn conditions(object: &Map<String, Value>, has_variables: bool) -> Result<Vec<Condition>, DocumentError> {
    let operators = match object.get("Condition") {
        None => return Ok(Vec::new()),
        Some(Value::Object(operators)) => operators,
        Some(_) => return Err(fault("Condition", "is not an object")),
    };
    let mut conditions = Vec::new();
    for (written, keys) in operators {
        let at = format!("Condition.{written}");
        let Value::Object(keys) = keys else {
            return Err(fault(&at, "is not an object"));
        };
        let operator = Operator::read(written);
        for (key, values) in keys {
            let values = texts(values, &at)?;
            conditions.push(Condition {
                written: written.clone(),
                operator,
                key: key.to_ascii_lowercase(),
                key_written: key.clone(),
                values: values
                    .iter()
                    .map(|value| Template::new(value, has_variables))
                    .collect(),
            });
        }
    }
    Ok(conditions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_are_read_in_all_forms_that_the_cloud_prints() {
        let object = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}});
        let encoded = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Sid%22%3A%22a%22%2C%22Effect%22%3A%22Deny%22%2C%22NotAction%22%3A%5B%22iam%3A%2A%22%5D%2C%22Resource%22%3A%22%2A%22%7D%5D%7D";
        assert_eq!(Document::read(&object).unwrap().statements[0].name, "statement 1");
        assert_eq!(
            Document::read(&json!(object.to_string()))
                .unwrap()
                .statements
                .len(),
            1
        );
        let read = Document::read(&json!(encoded)).unwrap();
        assert_eq!(
            (read.statements[0].name.as_str(), read.statements[0].effect),
            ("a", Effect::Deny)
        );
        assert!(read.statements[0].actions.negated);
    }

    #[test]
    fn what_the_language_does_not_have_is_named() {
        let of = |statement: Value| {
            let document = json!({"Version": "2012-10-17", "Statement": [statement]});
            Document::read(&document).unwrap_err().to_string()
        };
        assert_eq!(
            of(json!({"Effect": "allow", "Action": "*", "Resource": "*"})),
            "policy document, `Statement[0].Effect`: `allow` is neither `Allow` nor `Deny`"
        );
        assert!(
            of(json!({"Effect": "Allow", "Action": "*", "NotAction": "*"}))
                .contains("stands beside `NotAction`")
        );
        assert!(of(json!({"Effect": "Allow", "Action": {"a": 1}})).contains("neither a string nor a list"));
        assert!(of(json!({"Effect": "Allow", "Action": "*", "Condition": []})).contains("Condition"));
        assert!(of(json!(7)).contains("is not an object"));
        assert!(Document::read(&json!({"Version": "2025-01-01", "Statement": []})).is_err());
        assert!(Document::read(&json!("%7Bnot json")).is_err());
    }

    #[test]
    fn variables_have_defaults_and_escapes() {
        let template = Template::new("a/${aws:UserName, 'some one'}/${*}b*", true);
        assert_eq!(
            template.pieces,
            [
                Piece::Text("a/".into()),
                Piece::Variable("aws:username".into(), Some("some one".into())),
                Piece::Text("/".into()),
                Piece::Literal('*'),
                Piece::Text("b*".into()),
            ]
        );
        assert_eq!(
            Template::new("${aws:username}", false).pieces,
            [Piece::Text("${aws:username}".into())]
        );
        assert_eq!(
            Template::new("a${open", true).pieces,
            [Piece::Text("a${open".into())]
        );
        assert_eq!(Template::new("", true).pieces, [Piece::Text(String::new())]);
    }
}
