//! Tokens and the audit log.

use axum::http::StatusCode;
use neph_store::{AuditQuery, NewToken, Role, TokenRecord};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alerts::bounded;
use crate::problem::Problem;
use crate::route::{Answer, Call, Route, Verb, schema_of};
use crate::when::now;
use crate::wire::{instant, role, time, word};

pub(crate) static ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/me",
        Role::Ingest,
        "tokens.me",
        "Whose token this is, and what it may.",
        schema_of::<Me>,
        me,
    ),
    Route::get(
        "/api/v1/tokens",
        Role::Admin,
        "tokens.list",
        "The tokens, without their secrets.",
        schema_of::<Tokens>,
        list,
    ),
    Route::post(
        "/api/v1/tokens",
        Role::Admin,
        "tokens.create",
        "Makes a token; its secret is told this once.",
        schema_of::<Created>,
        create,
    )
    .with_body(schema_of::<New>),
    Route::get(
        "/api/v1/tokens/{id}",
        Role::Admin,
        "tokens.revoke",
        "Revokes a token.",
        schema_of::<Revoked>,
        revoke,
    )
    .with_verb(Verb::Delete),
    Route::get(
        "/api/v1/audit",
        Role::Admin,
        "audit.list",
        "Who asked for what, from where, and whether it was done; newest first.",
        schema_of::<Audit>,
        audit,
    )
    .with_query(&[schema_of::<AuditFilter>]),
];

/// Whose token it is.
#[derive(Debug, Serialize, JsonSchema)]
struct Me {
    /// The token's name.
    name: String,
    /// Its role.
    role: String,
}

fn me(call: &Call<'_>) -> Result<Answer, Problem> {
    Answer::json(&Me {
        name: call.who.name.to_string(),
        role: word(&call.who.role),
    })
}

/// The tokens.
#[derive(Debug, Serialize, JsonSchema)]
struct Tokens {
    /// All that were made, revoked ones included.
    tokens: Vec<Token>,
}

/// A token.
#[derive(Debug, Serialize, JsonSchema)]
struct Token {
    /// The public half.
    id: String,
    /// What people call it.
    name: String,
    /// `ingest`, `viewer`, `analyst`, `engineer` or `admin`.
    role: String,
    /// When it was made.
    created: String,
    /// Until when it is good.
    expires: Option<String>,
    /// When it was used last, to the minute.
    used: Option<String>,
    /// Since when it is no longer good.
    revoked: Option<String>,
}

impl From<TokenRecord> for Token {
    fn from(record: TokenRecord) -> Self {
        Self {
            id: record.id,
            name: record.name,
            role: word(&record.role),
            created: record.created.to_string(),
            expires: time(record.expires),
            used: time(record.used),
            revoked: time(record.revoked),
        }
    }
}

impl Tokens {
    fn new(records: Vec<TokenRecord>) -> Self {
        Self {
            tokens: records.into_iter().map(Token::from).collect(),
        }
    }
}

/// Tokens as the API tells them, for a store whose service does not run.
///
/// # Errors
/// They cannot be written as JSON.
pub fn tokens_json(records: Vec<TokenRecord>) -> Result<serde_json::Value, String> {
    serde_json::to_value(Tokens::new(records)).map_err(|error| error.to_string())
}

fn list(call: &Call<'_>) -> Result<Answer, Problem> {
    Answer::json(&Tokens::new(call.app.store.db.tokens()?))
}

/// A token to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct New {
    /// What people call it.
    name: String,
    /// `ingest`, `viewer`, `analyst`, `engineer` or `admin`.
    role: String,
    /// Until when it is good: a time; without it for ever.
    #[serde(default)]
    expires: Option<String>,
}

/// A token that was made.
#[derive(Debug, Serialize, JsonSchema)]
struct Created {
    /// The public half.
    id: String,
    /// The token; it is told this once.
    token: String,
}

fn create(call: &Call<'_>) -> Result<Answer, Problem> {
    let new: New = call.body()?;
    let name = new.name.trim();
    if name.is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
        return Err(Problem::invalid(
            "`name` must be 1 to 200 bytes without control characters",
        ));
    }
    call.about(format!("{name} {}", new.role));
    let token = call.app.store.db.create_token(
        NewToken {
            name: name.to_owned(),
            role: role(&new.role)?,
            expires: instant(new.expires.as_ref(), now())?,
        },
        now(),
    )?;
    Answer::json_as(
        StatusCode::OK,
        &Created {
            id: token.id.clone(),
            token: token.reveal(),
        },
    )
}

/// A token that was revoked.
#[derive(Debug, Serialize, JsonSchema)]
struct Revoked {
    /// The public half.
    id: String,
}

fn revoke(call: &Call<'_>) -> Result<Answer, Problem> {
    let id = call.part("id").to_owned();
    call.app.store.db.revoke_token(&id, now())?;
    call.app.keys.forget();
    Answer::json(&Revoked { id })
}

/// Which entries.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct AuditFilter {
    /// Only of this token.
    who: Option<String>,
    /// Only what begins so, for example `alerts.`.
    what: Option<String>,
    /// Not before.
    from: Option<String>,
    /// Before.
    to: Option<String>,
    /// `next` of the page before.
    before: Option<i64>,
    /// How many, 1 to 1000; 100 without it.
    limit: Option<i64>,
}

/// A page of the audit log.
#[derive(Debug, Serialize, JsonSchema)]
struct Audit {
    /// Newest first.
    entries: Vec<AuditRow>,
    /// `before` of the next page; null on the last one.
    next: Option<i64>,
}

/// An entry of the audit log.
#[derive(Debug, Serialize, JsonSchema)]
struct AuditRow {
    /// Its number.
    number: i64,
    /// When.
    at: String,
    /// Who: the token's name, or `neph` itself.
    who: String,
    /// From where: an address, or empty.
    from: String,
    /// What, as the routes are called.
    what: String,
    /// On what.
    target: String,
    /// `ok`, or why not.
    outcome: String,
}

fn audit(call: &Call<'_>) -> Result<Answer, Problem> {
    let filter: AuditFilter = call.query()?;
    let limit = bounded(filter.limit, 100, 1000, "limit")?;
    let entries = call.app.store.db.audit_log(&AuditQuery {
        who: filter.who,
        what: filter.what,
        from: instant(filter.from.as_ref(), now())?,
        to: instant(filter.to.as_ref(), now())?,
        before: filter.before,
        limit,
    })?;
    let next = match entries.len() == usize::try_from(limit).unwrap_or(0) {
        true => entries.last().map(|(number, _)| *number),
        false => None,
    };
    let entries = entries.into_iter().map(|(number, entry)| AuditRow {
        number,
        at: entry.at.to_string(),
        who: entry.who,
        from: entry.from,
        what: entry.what,
        target: entry.target,
        outcome: entry.outcome,
    });
    Answer::json(&Audit {
        entries: entries.collect(),
        next,
    })
}
