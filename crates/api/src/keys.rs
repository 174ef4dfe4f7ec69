//! Whose a token is: those of the store, and those of the configuration.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Clock};

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use neph_ingest::{Credentials, Gate, Sender};
use neph_store::{Database, Role, Token};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::when::now;

/// How long an answer of the store is remembered; a token that is revoked is refused after it.
const REMEMBERED: Duration = Duration::from_secs(5);
/// Tokens that are remembered.
const MOST: usize = 1024;
/// Longest header that is read.
const LONGEST: usize = 4096;

/// Somebody known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The token's name, for the audit log and the histories of alerts.
    pub name: Arc<str>,
    /// What it may.
    pub role: Role,
}

/// A token of the configuration.
pub struct FixedToken {
    /// SHA-256 of the secret.
    hash: [u8; 32],
    who: Who,
}

impl FixedToken {
    /// A token with its secret.
    pub fn new(name: &str, role: Role, secret: &str) -> Self {
        Self {
            hash: Sha256::digest(secret.as_bytes()).into(),
            who: Who {
                name: name.into(),
                role,
            },
        }
    }
}

/// Knows all tokens.
pub struct Keys {
    database: Database,
    fixed: Mutex<Arc<Vec<FixedToken>>>,
    /// What the store said of tokens, by their hash: a sender of many batches costs no query each.
    remembered: Mutex<HashMap<[u8; 32], (Who, Clock)>>,
}

impl Keys {
    /// Tokens of the store, and these.
    pub fn new(database: Database, fixed: Vec<FixedToken>) -> Self {
        Self {
            database,
            fixed: Mutex::new(Arc::new(fixed)),
            remembered: Mutex::default(),
        }
    }

    /// Lets other tokens take the place of those of the configuration.
    pub fn change_fixed(&self, fixed: Vec<FixedToken>) {
        *self.fixed.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(fixed);
    }

    /// Forgets what is remembered of the store's tokens.
    pub(crate) fn forget(&self) {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Whose token this is. All hashes are compared to their end, so that time tells nothing of any.
    pub fn verify(&self, token: &str) -> Option<Who> {
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let fixed = Arc::clone(&self.fixed.lock().unwrap_or_else(PoisonError::into_inner));
        let mut found = None;
        for one in fixed.iter() {
            if bool::from(one.hash.ct_eq(&hash)) {
                found = Some(one.who.clone());
            }
        }
        if found.is_some() {
            return found;
        }
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((who, at)) = remembered.get(&hash)
            && at.elapsed() < REMEMBERED
        {
            return Some(who.clone());
        }
        drop(remembered);
        let record = self.database.verify_token(&Token::parse(token)?, now()).ok()?;
        let who = record.map(|record| Who {
            name: record.name.into(),
            role: record.role,
        });
        remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MOST {
            remembered.clear();
        }
        // Wrong ones are not remembered: whoever guesses would fill the room of the right ones.
        if let Some(who) = &who {
            remembered.insert(hash, (who.clone(), Clock::now()));
        }
        who
    }

    /// Who sends a request with these headers.
    pub(crate) fn of_headers(&self, headers: &HeaderMap) -> Option<Who> {
        let mut all = headers.get_all(header::AUTHORIZATION).iter();
        let value = all.next()?.to_str().ok()?;
        // Of two, a proxy may have looked at the other one.
        if all.next().is_some() || value.len() > LONGEST {
            return None;
        }
        let (scheme, rest) = value.trim().split_once(' ')?;
        let token = match scheme.to_ascii_lowercase().as_str() {
            "bearer" => rest.trim().to_owned(),
            "basic" => {
                let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
                decoded.split_once(':')?.1.to_owned()
            }
            _ => return None,
        };
        self.verify(&token)
    }
}

/// Senders and administrators may send, in any of the ways in which clients show a token; who only looks may not put anything
/// into what others look at, nor fill the store until what is old goes. An API key of Elasticsearch is the token's id and its
/// secret.
impl Gate for Keys {
    fn authenticate(&self, credentials: &Credentials) -> Option<Sender> {
        let secret = credentials.secret.reveal();
        let whole = credentials
            .id
            .as_ref()
            .filter(|_| !secret.starts_with("neph_"))
            .and_then(|id| self.verify(&format!("neph_{id}_{secret}")));
        let who = whole.or_else(|| self.verify(secret))?;
        matches!(who.role, Role::Ingest | Role::Admin).then_some(Sender { name: who.name })
    }
}

/// The role of a word of the configuration.
pub fn role(word: &str) -> Option<Role> {
    Some(match word {
        "ingest" => Role::Ingest,
        "viewer" => Role::Viewer,
        "analyst" => Role::Analyst,
        "engineer" => Role::Engineer,
        "admin" => Role::Admin,
        _ => return None,
    })
}
