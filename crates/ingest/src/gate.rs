//! Who may send: credentials as clients state them, and the gate that knows whose they are.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use neph_store::{Database, Role, Token};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::intake::now;

/// Most bytes of an `Authorization` header that are looked at.
const LONGEST_HEADER: usize = 4096;

/// A secret: it is compared, and never shown.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The secret's text, for a gate to hash or to compare. It must not be written anywhere.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a client says to prove who it is.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Name or id that goes with the secret: the user of `Basic`, the id of an API key.
    pub id: Option<String>,
    /// The secret itself: a token, a password, the second part of an API key.
    pub secret: Secret,
    /// SHA-256 of the client's certificate, in hexadecimal, where it has shown one that the listener trusts.
    pub certificate: Option<Arc<str>>,
    /// From where it comes.
    pub peer: Option<IpAddr>,
}

/// Whoever was let in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sender {
    /// Name for counts, streams and logs: that of the token, never a secret.
    pub name: Arc<str>,
}

/// Knows whose credentials are whose.
pub trait Gate: Send + Sync {
    /// Who shows these, if they may send records. The time that it takes must not depend on how much of a secret is right.
    fn authenticate(&self, credentials: &Credentials) -> Option<Sender>;
}

/// A fixed list of tokens, for tests and for a single sender.
pub struct Tokens {
    known: Vec<([u8; 32], Sender)>,
}

impl Tokens {
    /// Lets in who shows one of these secrets: pairs of a sender's name and a secret.
    pub fn new<'a>(tokens: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let known = tokens.into_iter().map(|(name, secret)| {
            let sender = Sender { name: name.into() };
            (Sha256::digest(secret.as_bytes()).into(), sender)
        });
        Self {
            known: known.collect(),
        }
    }
}

impl Gate for Tokens {
    fn authenticate(&self, credentials: &Credentials) -> Option<Sender> {
        // Hashes are compared, all of them and each to its end, so that time tells nothing of any.
        let shown: [u8; 32] = Sha256::digest(credentials.secret.reveal().as_bytes()).into();
        let mut found = None;
        for (hash, sender) in &self.known {
            let same: Choice = hash.ct_eq(&shown);
            if bool::from(same) {
                found = Some(sender);
            }
        }
        found.cloned()
    }
}

/// The tokens of the store: those with the role `ingest`, and those of administrators.
impl Gate for Database {
    fn authenticate(&self, credentials: &Credentials) -> Option<Sender> {
        let secret = credentials.secret.reveal();
        let token = Token::parse(secret).or_else(|| {
            // An API key states the id of its token apart from the secret.
            let id = credentials.id.as_ref()?;
            Token::parse(&format!("{id}:{secret}"))
        })?;
        // A database that fails lets nobody in.
        let record = self.verify_token(&token, now()).ok()??;
        matches!(record.role, Role::Ingest | Role::Admin).then(|| Sender {
            name: record.name.into(),
        })
    }
}

/// What the headers of a request say of who sends it.
#[derive(Debug)]
pub(crate) enum Shown {
    /// Nothing.
    Nothing,
    /// Something that is no credentials of any scheme that is known.
    Malformed,
    /// A name, if the scheme has one, and a secret.
    Secret(Option<String>, Secret),
}

/// Headers in which clients that know no `Authorization` put a token.
const TOKEN_HEADERS: [&str; 2] = ["x-nephoscope-token", "x-api-key"];

/// Reads the credentials of a request: `Authorization` as `Bearer`, `ApiKey` (base64 of `id:secret`), `Basic` and
/// `Splunk`, else a token in a header of its own.
///
/// <https://www.elastic.co/docs/api/doc/elasticsearch/authentication>, <https://www.rfc-editor.org/rfc/rfc7617>,
/// <https://help.splunk.com/en/splunk-enterprise/get-started/get-data-in>
pub(crate) fn shown(headers: &HeaderMap) -> Shown {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = all.next() else {
        let token = TOKEN_HEADERS.iter().find_map(|name| headers.get(*name));
        return match token.map(|token| token.to_str()) {
            None => Shown::Nothing,
            Some(Ok(token)) if !token.is_empty() => Shown::Secret(None, token.to_owned().into()),
            Some(_) => Shown::Malformed,
        };
    };
    // Of two, a proxy may have looked at the other one.
    if all.next().is_some() {
        return Shown::Malformed;
    }
    match value.to_str() {
        Ok(text) if text.len() <= LONGEST_HEADER => from_text(text).unwrap_or(Shown::Malformed),
        _ => Shown::Malformed,
    }
}

fn from_text(text: &str) -> Option<Shown> {
    let (scheme, rest) = text.trim().split_once(' ')?;
    let rest = rest.trim();
    if rest.is_empty() {
        return None;
    }
    let (id, secret) = match scheme.to_ascii_lowercase().as_str() {
        "bearer" | "splunk" | "token" => (None, rest.to_owned()),
        scheme @ ("apikey" | "basic") => {
            let decoded = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
            match decoded.split_once(':') {
                Some((id, secret)) => (Some(id.to_owned()), secret.to_owned()),
                None if scheme == "apikey" => (None, decoded),
                None => return None,
            }
        }
        _ => return None,
    };
    Some(Shown::Secret(id, secret.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<(Option<String>, String)> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        match shown(&headers) {
            Shown::Secret(id, secret) => Some((id, secret.reveal().to_owned())),
            _ => None,
        }
    }

    #[test]
    fn every_scheme_is_read() {
        let pair = |id: &str, secret: &str| Some((Some(id.to_owned()), secret.to_owned()));
        let alone = |secret: &str| Some((None, secret.to_owned()));
        assert_eq!(read("Bearer abc"), alone("abc"));
        assert_eq!(read("bearer   abc "), alone("abc"));
        assert_eq!(read("Splunk abc"), alone("abc"));
        assert_eq!(read("ApiKey aWQ6c2VjcmV0"), pair("id", "secret"));
        assert_eq!(read("Basic ZWxhc3RpYzpwYTpzcw=="), pair("elastic", "pa:ss"));
        for wrong in [
            "Bearer",
            "Bearer ",
            "abc",
            "Digest a=b",
            "Basic ***",
            "Basic YWJj",
            "ApiKey /w==",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn two_headers_are_refused_and_secrets_are_not_shown() {
        let mut headers = HeaderMap::new();
        headers.append(header::AUTHORIZATION, "Bearer a".parse().unwrap());
        headers.append(header::AUTHORIZATION, "Bearer b".parse().unwrap());
        assert!(matches!(shown(&headers), Shown::Malformed));
        let secret = Secret::from("hunter2".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }

    #[test]
    fn tokens_are_told_apart() {
        let gate = Tokens::new([("one", "s1"), ("two", "s2")]);
        let ask = |secret: &str| {
            let credentials = Credentials {
                id: None,
                secret: secret.to_owned().into(),
                certificate: None,
                peer: None,
            };
            gate.authenticate(&credentials)
                .map(|sender| sender.name.to_string())
        };
        assert_eq!(ask("s1").as_deref(), Some("one"));
        assert_eq!(ask("s2").as_deref(), Some("two"));
        for wrong in ["", "s", "s11", "S1"] {
            assert_eq!(ask(wrong), None);
        }
    }
}
