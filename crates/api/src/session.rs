//! Sessions of browsers: a page that shows a token once works with a cookie from then on, which no script of any page can read.
//!
//! The cookie is `HttpOnly` and `SameSite=Strict`, and `Secure` where the connection is encrypted. Whatever changes something needs
//! beside it the session's own word in a header, which pages of other sites can neither know nor send
//! (<https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html>). A session is as good as
//! its token: it ends when that is revoked or expires. Sessions live in memory, and end with the service.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant as Clock};

use axum::http::{HeaderMap, StatusCode, header};
use neph_store::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::problem::Problem;
use crate::route::{Answer, Call, Route, Verb, schema_of};
use crate::when::now;
use crate::wire::word;

pub(crate) static ROUTES: &[Route] = &[
    Route::post(
        "/api/v1/session",
        Role::Viewer,
        "session.begin",
        "Begins a session for a browser: the answer sets a cookie, and gives the word that must stand in `X-CSRF-Token` of what changes something.",
        schema_of::<Session>,
        begin,
    )
    .open()
    .with_body(schema_of::<Login>),
    Route::get(
        "/api/v1/session",
        Role::Viewer,
        "session.get",
        "Whose request this is, and of a session its word.",
        schema_of::<Session>,
        get,
    ),
    Route::post(
        "/api/v1/session",
        Role::Viewer,
        "session.end",
        "Ends the session.",
        schema_of::<Ended>,
        end,
    )
    .with_verb(Verb::Delete),
];

/// The cookie's name.
const COOKIE: &str = "neph_session";
/// The header with the session's word.
const HEADER: &str = "x-csrf-token";
/// How long a session lasts.
const LASTS: Duration = Duration::from_secs(12 * 3600);
/// A session that is not used for so long ends.
const IDLE: Duration = Duration::from_secs(3600);
/// Sessions at once; beyond, the one ends that was used longest ago.
const MOST: usize = 1024;

/// Whoever begins a session.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    /// A token.
    token: String,
}

/// Whose a request is.
#[derive(Debug, Serialize, JsonSchema)]
struct Session {
    /// The token's name.
    name: String,
    /// What it may: `viewer`, `analyst`, `engineer` or `admin`.
    role: String,
    /// Of a session: what must stand in `X-CSRF-Token` of requests that change something.
    csrf: Option<String>,
    /// Of a session: when it ends at the latest.
    expires: Option<String>,
}

/// A session that has ended.
#[derive(Debug, Serialize, JsonSchema)]
struct Ended {
    /// Whether there was one.
    ended: bool,
}

/// What a session's secret is known by.
type Key = [u8; 32];

/// The sessions that are under way.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<Key, Open>>);

/// A session that is under way.
struct Open {
    token: String,
    csrf: String,
    began: Clock,
    used: Clock,
    expires: neph_event::Instant,
}

/// The session of a request.
#[derive(Clone)]
pub(crate) struct Known {
    key: Key,
    pub(crate) token: String,
    csrf: String,
    expires: neph_event::Instant,
}

fn secret() -> Result<String, Problem> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Problem::unavailable(format!("the system gives no random numbers: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn key(secret: &str) -> Key {
    Sha256::digest(secret.as_bytes()).into()
}

/// The session's secret in a request's cookies.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter();
    cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

impl Sessions {
    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session for a token; gives its secret.
    fn begin(&self, token: &str) -> Result<(String, Known), Problem> {
        let (secret, csrf) = (secret()?, secret()?);
        let lasts = i128::try_from(LASTS.as_nanos()).unwrap_or(i128::MAX);
        let expires = now().saturating_add_nanos(lasts);
        let own = key(&secret);
        let mut open = self.open();
        open.retain(|_, session| session.is_alive());
        if open.len() >= MOST {
            let oldest = open.iter().min_by_key(|(_, session)| session.used);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                open.remove(&oldest);
            }
        }
        let known = Known {
            key: own,
            token: token.to_owned(),
            csrf: csrf.clone(),
            expires,
        };
        open.insert(
            own,
            Open {
                token: token.to_owned(),
                csrf,
                began: Clock::now(),
                used: Clock::now(),
                expires,
            },
        );
        Ok((secret, known))
    }

    /// The session of a request. Sessions are found by hashes of secrets, so that time tells nothing of any secret.
    pub(crate) fn find(&self, headers: &HeaderMap) -> Option<Known> {
        let own = key(cookie(headers)?);
        let mut open = self.open();
        let session = open.get_mut(&own)?;
        if !session.is_alive() {
            open.remove(&own);
            return None;
        }
        session.used = Clock::now();
        Some(Known {
            key: own,
            token: session.token.clone(),
            csrf: session.csrf.clone(),
            expires: session.expires,
        })
    }

    fn end(&self, known: &Known) -> bool {
        self.open().remove(&known.key).is_some()
    }
}

impl Open {
    fn is_alive(&self) -> bool {
        self.began.elapsed() < LASTS && self.used.elapsed() < IDLE
    }
}

impl Known {
    /// Refuses what changes something without the session's word.
    pub(crate) fn guard(&self, verb: Verb, headers: &HeaderMap) -> Result<(), Problem> {
        let given = headers.get(HEADER).map_or(&b""[..], |word| word.as_bytes());
        let is_right = bool::from(given.ct_eq(self.csrf.as_bytes()));
        match verb == Verb::Get || is_right {
            true => Ok(()),
            false => Err(Problem::forbidden(
                "a session needs its word in the header `X-CSRF-Token` for this; `GET /api/v1/session` gives it",
            )),
        }
    }
}

/// The header that sets the cookie, or takes it away.
fn set(call: &Call<'_>, secret: &str, lasts: Duration) -> String {
    let secure = if call.is_secure { "; Secure" } else { "" };
    format!(
        "{COOKIE}={secret}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}",
        lasts.as_secs()
    )
}

fn begin(call: &Call<'_>) -> Result<Answer, Problem> {
    let Login { token } = call.body()?;
    let who = call.app.keys.verify(token.trim());
    let who = who
        .filter(|who| who.role >= Role::Viewer)
        .ok_or_else(Problem::unknown_sender)?;
    call.about(who.name.to_string());
    let (secret, known) = call.app.sessions.begin(token.trim())?;
    let session = Session {
        name: who.name.to_string(),
        role: word(&who.role),
        csrf: Some(known.csrf),
        expires: Some(known.expires.to_string()),
    };
    let body = serde_json::to_vec(&session).unwrap_or_default();
    Ok(Answer::Cookie(StatusCode::OK, body, set(call, &secret, LASTS)))
}

fn get(call: &Call<'_>) -> Result<Answer, Problem> {
    let session = call.session.as_ref();
    Answer::json(&Session {
        name: call.who.name.to_string(),
        role: word(&call.who.role),
        csrf: session.map(|session| session.csrf.clone()),
        expires: session.map(|session| session.expires.to_string()),
    })
}

fn end(call: &Call<'_>) -> Result<Answer, Problem> {
    let session = call.session.as_ref();
    let ended = session.is_some_and(|session| call.app.sessions.end(session));
    let body = serde_json::to_vec(&Ended { ended }).unwrap_or_default();
    Ok(Answer::Cookie(
        StatusCode::OK,
        body,
        set(call, "", Duration::ZERO),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookie.parse().unwrap());
        headers
    }

    #[test]
    fn sessions_are_found_by_their_secret_until_they_end() {
        let sessions = Sessions::default();
        let (secret, known) = sessions.begin("neph_a_b").unwrap();
        let (other, _) = sessions.begin("neph_a_b").unwrap();
        assert_ne!(secret, other);
        let found = sessions
            .find(&with(&format!("theme=dark; {COOKIE}={secret}")))
            .unwrap();
        assert_eq!((found.token.as_str(), found.key), ("neph_a_b", known.key));
        for wrong in [
            "",
            "theme=dark",
            "neph_session=",
            "neph_session=x",
            "xneph_session=1",
        ] {
            assert!(sessions.find(&with(wrong)).is_none(), "{wrong}");
        }
        let mut headers = with(&format!("{COOKIE}={secret}"));
        assert!(found.guard(Verb::Get, &headers).is_ok());
        assert!(found.guard(Verb::Post, &headers).is_err());
        headers.insert(HEADER, "x".parse().unwrap());
        assert!(found.guard(Verb::Delete, &headers).is_err());
        headers.insert(HEADER, known.csrf.parse().unwrap());
        assert!(found.guard(Verb::Post, &headers).is_ok());
        assert!(sessions.end(&known) && !sessions.end(&known));
        assert!(sessions.find(&headers).is_none());
        assert!(sessions.find(&with(&format!("{COOKIE}={other}"))).is_some());
    }

    #[test]
    fn sessions_are_no_more_than_so_many_and_end_by_themselves() {
        let sessions = Sessions::default();
        let (first, _) = sessions.begin("t").unwrap();
        for _ in 0..MOST {
            sessions.begin("t").unwrap();
        }
        assert!(sessions.find(&with(&format!("{COOKIE}={first}"))).is_none());
        let (last, known) = sessions.begin("t").unwrap();
        assert_eq!(sessions.open().len(), MOST);
        if let Some(before) = Clock::now().checked_sub(IDLE) {
            sessions.open().get_mut(&known.key).unwrap().used = before;
            assert!(sessions.find(&with(&format!("{COOKIE}={last}"))).is_none());
        }
    }
}
