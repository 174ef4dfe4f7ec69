//! Tokens of clouds that take the same one with every request, from a program, a file or a service, renewed before they expire.

use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use ureq::http::Request;

use crate::http::{Client, usual};
use crate::problem::{Problem, quoted};

/// Tokens are renewed so long before they expire.
const EARLY: SignedDuration = SignedDuration::from_mins(3);
/// How long a token lasts that does not say it.
const LASTS: SignedDuration = SignedDuration::from_mins(20);

/// A token. It has no `Debug`: it is secret.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) secret: String,
    pub(crate) expires: Timestamp,
}

impl Token {
    /// `access_token` and `expires_in`, as RFC 6749 (5.1) has it.
    pub(crate) fn of_answer(value: &Value) -> Result<Self, Problem> {
        let secret = value.get("access_token").and_then(Value::as_str);
        let secret = secret
            .ok_or_else(|| Problem::Denied("the answer brings no token".to_owned()))?
            .to_owned();
        // Some write numbers as text.
        let seconds = value
            .get("expires_in")
            .and_then(|value| value.as_i64().or_else(|| value.as_str()?.parse().ok()));
        let lasts = seconds
            .filter(|seconds| (0..=86_400).contains(seconds))
            .map_or(LASTS, SignedDuration::from_secs);
        Ok(Self {
            secret,
            expires: Timestamp::now() + lasts,
        })
    }

    /// What a program or a variable says, which does not say how long it is good for.
    pub(crate) fn plain(secret: &str) -> Self {
        Self {
            secret: secret.trim().to_owned(),
            expires: Timestamp::now() + LASTS,
        }
    }
}

type Fetch = Box<dyn Fn() -> Result<Token, Problem> + Send + Sync>;

/// Hands out a token that does not expire soon.
pub(crate) struct Bearer {
    fetch: Fetch,
    current: Mutex<Option<Token>>,
}

impl Bearer {
    pub(crate) fn new(fetch: impl Fn() -> Result<Token, Problem> + Send + Sync + 'static) -> Self {
        Self {
            fetch: Box::new(fetch),
            current: Mutex::default(),
        }
    }

    fn current(&self, client: &Client) -> Result<String, Problem> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = current
            .as_ref()
            .filter(|token| token.expires.duration_since(Timestamp::now()) > EARLY)
        {
            return Ok(token.secret.clone());
        }
        let token = (self.fetch)()?;
        client.hide(&token.secret);
        *current = Some(token.clone());
        Ok(token.secret)
    }

    /// Asks for JSON as the bearer of the token; with a body it is posted.
    pub(crate) fn json(
        &self,
        client: &Client,
        lane: &str,
        url: &str,
        body: Option<&Value>,
    ) -> Result<Value, Problem> {
        let request = || {
            let header = format!("Bearer {}", self.current(client)?);
            let request = match body {
                None => Request::get(url).header("Authorization", header).body(Vec::new()),
                Some(body) => Request::post(url)
                    .header("Authorization", header)
                    .header("Content-Type", "application/json")
                    .body(body.to_string().into_bytes()),
            };
            request.map_err(|error| Problem::Refused(format!("the address cannot be used: {error}")))
        };
        client.ask(lane, &request, &usual)?.json()
    }
}

/// What one of the clouds' own tools prints.
pub(crate) fn printed(program: &str, arguments: &[&str]) -> Result<String, Problem> {
    let done = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let done = done.map_err(|error| {
        Problem::Denied(format!(
            "there are no credentials, and `{program}` cannot be run for them: {error}"
        ))
    })?;
    match done.status.success() {
        true => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
        false => {
            let said = quoted(&String::from_utf8_lossy(&done.stderr));
            Err(Problem::Denied(format!(
                "`{program}` gives no credentials: {said}"
            )))
        }
    }
}
