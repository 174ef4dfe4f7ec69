//! Tokens: what clients prove with that they may. Only a hash of the secret is kept.

use neph_event::Instant;
use rusqlite::{OptionalExtension, Row};
use sha2::{Digest, Sha256};

use crate::database::{from_nanos, to_nanos};
use crate::{Database, StoreError};

/// What a token may, each more than the one before; `Ingest` may send events and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May send events.
    Ingest,
    /// May look.
    Viewer,
    /// May work on alerts.
    Analyst,
    /// May change rules, lists and outputs, and start back-fills.
    Engineer,
    /// May everything.
    Admin,
}

/// A token in clear text: `neph_<id>_<secret>`. Shown once.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The public half.
    pub id: String,
    secret: String,
}

/// A token to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// What people call it.
    pub name: String,
    /// What it may.
    pub role: Role,
    /// Until when.
    pub expires: Option<Instant>,
}

/// What is kept of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// The public half.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it may.
    pub role: Role,
    /// When it was made.
    pub created: Instant,
    /// Until when it is good.
    pub expires: Option<Instant>,
    /// When it was used last, to the minute.
    pub used: Option<Instant>,
    /// Since when it is no longer good.
    pub revoked: Option<Instant>,
}

/// What tokens begin with, so that scanners for leaked secrets know them.
const PREFIX: &str = "neph";
/// Uses within this time are not written down again.
const USED_EVERY: i64 = 60_000_000_000;

impl Token {
    /// Reads `neph_<id>_<secret>`, or `<id>:<secret>` as Elasticsearch's API keys are decoded.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = match text.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('_')) {
            Some(rest) => rest.split_once('_')?,
            None => text.split_once(':')?,
        };
        let plain = |part: &str| {
            !part.is_empty() && part.len() <= 64 && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        (plain(id) && plain(secret)).then(|| Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
        })
    }

    /// The token in clear text.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}_{}_{}", self.id, self.secret)
    }

    fn random() -> Result<Self, StoreError> {
        let mut bytes = [0_u8; 40];
        getrandom::fill(&mut bytes).map_err(|error| StoreError::Invalid {
            why: format!("the system gives no random numbers: {error}"),
        })?;
        let (id, secret) = bytes.split_at(8);
        Ok(Self {
            id: hexadecimal(id),
            secret: hexadecimal(secret),
        })
    }

    fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret.as_bytes()).into()
    }
}

impl std::fmt::Debug for Token {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares in a time that does not depend on where the two differ.
fn equal(left: &[u8], right: &[u8]) -> bool {
    let difference = left
        .iter()
        .zip(right)
        .fold(0, |sum, (left, right)| sum | (left ^ right));
    left.len() == right.len() && std::hint::black_box(difference) == 0
}

impl Database {
    /// Makes a token. Its secret is in the answer and nowhere else.
    ///
    /// # Errors
    ///
    /// The database failed, or the system has no random numbers.
    pub fn create_token(&self, new: NewToken, now: Instant) -> Result<Token, StoreError> {
        let token = Token::random()?;
        let (id, hash) = (token.id.clone(), token.hash());
        self.write(move |db| {
            db.execute(
                "INSERT INTO tokens (id, hash, name, role, created, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                (
                    id,
                    hash,
                    new.name,
                    name_of(new.role),
                    to_nanos(now),
                    new.expires.map(to_nanos),
                ),
            )?;
            Ok(())
        })?;
        Ok(token)
    }

    /// All tokens, the revoked included, oldest first.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        self.read(|db| {
            let mut statement =
                db.prepare_cached(&format!("SELECT {COLUMNS} FROM tokens ORDER BY created, id"))?;
            let rows = statement.query_map([], |row| Ok(record(row)?.0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Makes a token good for nothing from now on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such token; the database failed.
    pub fn revoke_token(&self, id: &str, now: Instant) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.write(move |db| {
            let changed = db.execute(
                "UPDATE tokens SET revoked = coalesce(revoked, ?2) WHERE id = ?1",
                (&id, to_nanos(now)),
            )?;
            match changed {
                0 => Err(StoreError::Missing { what: "token", id }),
                _ => Ok(()),
            }
        })
    }

    /// What is kept of a token, if it is good: known, with the right secret, neither expired nor revoked. Notes that it was
    /// used, at most once a minute.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn verify_token(&self, token: &Token, now: Instant) -> Result<Option<TokenRecord>, StoreError> {
        let found = self.read(|db| {
            Ok(db
                .prepare_cached(&format!("SELECT {COLUMNS} FROM tokens WHERE id = ?1"))?
                .query_row([&token.id], record)
                .optional()?)
        })?;
        // An unknown id takes as long as a wrong secret.
        let expected = found.as_ref().map_or([0; 32].as_slice(), |(_, hash)| hash);
        let right = equal(expected, &token.hash());
        let good = |record: &TokenRecord| {
            right && record.revoked.is_none() && record.expires.is_none_or(|expires| now < expires)
        };
        let Some((record, _)) = found.filter(|(record, _)| good(record)) else {
            return Ok(None);
        };
        let stale = record
            .used
            .is_none_or(|used| to_nanos(now).saturating_sub(to_nanos(used)) >= USED_EVERY);
        if stale && !self.is_read_only() {
            let id = record.id.clone();
            // Not waited for: whoever proves who they are need not wait for the disk, and need not fail with it.
            self.write_later(move |db| {
                db.execute("UPDATE tokens SET used = ?2 WHERE id = ?1", (id, to_nanos(now)))?;
                Ok(())
            });
        }
        Ok(Some(record))
    }
}

const COLUMNS: &str = "id, name, role, created, expires, used, revoked, hash";

fn record(row: &Row<'_>) -> rusqlite::Result<(TokenRecord, Vec<u8>)> {
    let time = |index| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(index)?.map(from_nanos));
    let record = TokenRecord {
        id: row.get(0)?,
        name: row.get(1)?,
        role: role_of(&row.get::<_, String>(2)?),
        created: from_nanos(row.get(3)?),
        expires: time(4)?,
        used: time(5)?,
        revoked: time(6)?,
    };
    Ok((record, row.get(7)?))
}

fn name_of(role: Role) -> &'static str {
    match role {
        Role::Ingest => "ingest",
        Role::Viewer => "viewer",
        Role::Analyst => "analyst",
        Role::Engineer => "engineer",
        Role::Admin => "admin",
    }
}

/// A name that this program does not know gives the least.
fn role_of(name: &str) -> Role {
    match name {
        "admin" => Role::Admin,
        "engineer" => Role::Engineer,
        "analyst" => Role::Analyst,
        "viewer" => Role::Viewer,
        _ => Role::Ingest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_in_both_forms() {
        let token = Token::random().unwrap();
        assert_eq!(Token::parse(&token.reveal()), Some(token.clone()));
        assert_eq!(
            Token::parse(&format!("{}:{}", token.id, token.secret)),
            Some(token.clone())
        );
        assert!(!format!("{token:?}").contains(&token.secret));
        for wrong in [
            "",
            "neph_",
            "neph_a",
            "neph__b",
            "neph_a_",
            ":",
            "a:",
            "a:ü",
            "a:b:c",
            "neph_a_b_c",
        ] {
            assert_eq!(Token::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn comparing_looks_at_length_and_every_byte() {
        assert!(equal(b"abc", b"abc") && equal(b"", b""));
        for (left, right) in [("abc", "abd"), ("abc", "xbc"), ("abc", "ab"), ("", "a")] {
            assert!(!equal(left.as_bytes(), right.as_bytes()));
        }
    }
}
