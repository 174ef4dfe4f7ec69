//! The language of rules: `role:admin or (role:member and project_id:%(project_id)s)`.
//!
//! <https://docs.openstack.org/oslo.policy/latest/reference/api/oslo_policy.policy.html>

use serde_json::Value;

/// Parentheses and negations nest at most so deep.
const MAX_DEPTH: usize = 32;
/// Longer rules are refused.
const MAX_LENGTH: usize = 64 << 10;

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// `@`, or nothing at all.
    Everybody,
    /// `!`
    Nobody,
    /// `not …`
    Not(Box<Self>),
    /// `… and …`
    All(Vec<Self>),
    /// `… or …`
    Any(Vec<Self>),
    /// `role:admin`
    Role(String),
    /// `rule:admin_api`
    Rule(String),
    /// A word that is no check, which never holds.
    Unknown(String),
    /// `project_id:%(project_id)s`, `is_admin:True`; also checks that ask a server.
    Attribute(String, String),
}

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// It is too long or nests too deep.
    #[error("the rule is too long or nests too deep")]
    TooLarge,
    /// A parenthesis is missing.
    #[error("a parenthesis is not closed")]
    Open,
    /// Something stands where a check should.
    #[error("`{0}` is no check")]
    NoCheck(String),
    /// The rule ends where a check should follow.
    #[error("the rule ends too early")]
    End,
}

impl Check {
    /// The first word that is no check.
    pub fn unknown(&self) -> Option<&str> {
        match self {
            Self::Unknown(word) => Some(word),
            Self::Not(check) => check.unknown(),
            Self::All(checks) | Self::Any(checks) => checks.iter().find_map(Self::unknown),
            _ => None,
        }
    }

    /// Reads a rule.
    ///
    /// # Errors
    /// When it is not of the language.
    pub fn read(text: &str) -> Result<Self, RuleError> {
        if text.len() > MAX_LENGTH {
            return Err(RuleError::TooLarge);
        }
        let tokens = tokens(text);
        if tokens.is_empty() {
            return Ok(Self::Everybody);
        }
        let mut reader = Reader { tokens: &tokens };
        let check = reader.any(0)?;
        match reader.tokens.first() {
            Some(rest) => Err(RuleError::NoCheck(rest.clone())),
            None => Ok(check),
        }
    }
}

/// Words, and parentheses at their ends; `%(project_id)s` holds parentheses that are its own.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    for word in text.split_whitespace() {
        let start = word.trim_start_matches('(');
        tokens.extend(std::iter::repeat_n("(".to_owned(), word.len() - start.len()));
        let inner = start.trim_end_matches(')');
        // A word that ends with `)s` has no parenthesis to give.
        if !inner.is_empty() {
            tokens.push(inner.to_owned());
        }
        tokens.extend(std::iter::repeat_n(")".to_owned(), start.len() - inner.len()));
    }
    tokens
}

struct Reader<'t> {
    tokens: &'t [String],
}

impl Reader<'_> {
    fn takes(&mut self, word: &str) -> bool {
        match self.tokens.split_first() {
            Some((first, rest)) if first.eq_ignore_ascii_case(word) => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }

    fn any(&mut self, depth: usize) -> Result<Check, RuleError> {
        let mut checks = vec![self.all(depth)?];
        while self.takes("or") {
            checks.push(self.all(depth)?);
        }
        Ok(single(checks, Check::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Check, RuleError> {
        let mut checks = vec![self.one(depth)?];
        while self.takes("and") {
            checks.push(self.one(depth)?);
        }
        Ok(single(checks, Check::All))
    }

    fn one(&mut self, depth: usize) -> Result<Check, RuleError> {
        if depth >= MAX_DEPTH {
            return Err(RuleError::TooLarge);
        }
        if self.takes("not") {
            return Ok(Check::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.takes("(") {
            let check = self.any(depth + 1)?;
            return if self.takes(")") {
                Ok(check)
            } else {
                Err(RuleError::Open)
            };
        }
        let Some((word, rest)) = self.tokens.split_first() else {
            return Err(RuleError::End);
        };
        self.tokens = rest;
        match (word.as_str(), word.split_once(':')) {
            ("@", _) => Ok(Check::Everybody),
            ("!", _) => Ok(Check::Nobody),
            (_, Some(("role", role))) => Ok(Check::Role(role.to_owned())),
            (_, Some(("rule", name))) => Ok(Check::Rule(name.to_owned())),
            (_, Some((left, right))) => Ok(Check::Attribute(left.to_owned(), right.to_owned())),
            (")" | "and" | "or", _) => Err(RuleError::NoCheck(word.clone())),
            _ => Ok(Check::Unknown(word.clone())),
        }
    }
}

fn single(mut checks: Vec<Check>, many: impl Fn(Vec<Check>) -> Check) -> Check {
    match (checks.len(), checks.pop()) {
        (1, Some(check)) => check,
        (_, last) => {
            checks.extend(last);
            many(checks)
        }
    }
}

/// The older form of a rule as text: a list of alternatives, each a check or a list of checks that all have to hold.
pub(super) fn of_lists(value: &Value) -> String {
    let alternatives = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let words: Vec<String> = alternatives
        .iter()
        .map(|alternative| match alternative {
            Value::Array(checks) => {
                let checks: Vec<&str> = checks.iter().filter_map(Value::as_str).collect();
                if checks.is_empty() {
                    "@".to_owned()
                } else {
                    format!("({})", checks.join(" and "))
                }
            }
            other => other.as_str().unwrap_or("!").to_owned(),
        })
        .collect();
    match (value, words.is_empty()) {
        (Value::Array(_) | Value::Null, true) => String::new(),
        (_, true) => "!".to_owned(),
        _ => words.join(" or "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rules_are_read_with_their_precedence() {
        let role = |name: &str| Check::Role(name.to_owned());
        assert_eq!(Check::read(""), Ok(Check::Everybody));
        assert_eq!(Check::read("@"), Ok(Check::Everybody));
        assert_eq!(
            Check::read("role:a or role:b and not (rule:c or !)"),
            Ok(Check::Any(vec![
                role("a"),
                Check::All(vec![
                    role("b"),
                    Check::Not(Box::new(Check::Any(vec![Check::Rule("c".into()), Check::Nobody])))
                ])
            ]))
        );
        assert_eq!(
            Check::read("(role:member and project_id:%(project_id)s)"),
            Ok(Check::All(vec![
                role("member"),
                Check::Attribute("project_id".into(), "%(project_id)s".into())
            ]))
        );
        assert_eq!(
            Check::read(&of_lists(&json!([["role:a", "role:b"], "role:c"]))),
            Check::read("(role:a and role:b) or role:c")
        );
        assert_eq!(Check::read(&of_lists(&json!([]))), Ok(Check::Everybody));
    }

    #[test]
    fn what_is_no_rule_is_told() {
        for text in ["role:a or", "(role:a", "role:a role:b", "and", ")"] {
            assert!(Check::read(text).is_err(), "{text}");
        }
        assert_eq!(Check::read("role:a or admin").unwrap().unknown(), Some("admin"));
        assert_eq!(Check::read(&"not ".repeat(100)), Err(RuleError::TooLarge));
        assert_eq!(Check::read(&"(".repeat(100_000)), Err(RuleError::TooLarge));
    }
}
