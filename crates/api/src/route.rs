//! What a route is: one description from which it is served, guarded, audited and documented.

use axum::body::Bytes;
use axum::http::StatusCode;
use neph_store::Role;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::app::App;
use crate::keys::Who;
use crate::problem::Problem;

/// Gives the schema of a type.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of `T`, for the tables of routes.
pub(crate) fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Looks.
    Get,
    /// Does something.
    Post,
    /// Replaces something.
    Put,
    /// Takes something away.
    Delete,
}

impl Verb {
    /// The method's name in lower case, as OpenAPI writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Delete => "delete",
        }
    }
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Everyone, without a token.
    Nothing,
    /// Whoever has this role or more.
    Role(Role),
}

/// What a route answers.
#[derive(Clone, Copy, Debug)]
pub enum Gives {
    /// JSON.
    Json(SchemaOf),
    /// A JSON value a line.
    Lines,
    /// Text.
    Text(&'static str),
    /// Server-sent events.
    Events,
}

/// A route.
#[derive(Debug)]
pub struct Route {
    /// The method.
    pub verb: Verb,
    /// The path, with names in braces.
    pub path: &'static str,
    /// Who may.
    pub need: Need,
    /// Its name, also in the audit log: `alerts.search`.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// Types whose keys are the parameters of the query.
    pub query: &'static [SchemaOf],
    /// The type of the body.
    pub body: Option<SchemaOf>,
    /// The answer.
    pub gives: Gives,
    /// Whether it searches stored events, of which only some may run at once.
    pub heavy: bool,
    /// Does it.
    pub(crate) run: fn(&Call<'_>) -> Result<Answer, Problem>,
}

impl Route {
    /// A route that only looks, whose answer is JSON.
    pub(crate) const fn get(
        path: &'static str,
        role: Role,
        name: &'static str,
        about: &'static str,
        gives: SchemaOf,
        run: fn(&Call<'_>) -> Result<Answer, Problem>,
    ) -> Self {
        Self {
            verb: Verb::Get,
            path,
            need: Need::Role(role),
            name,
            about,
            query: &[],
            body: None,
            gives: Gives::Json(gives),
            heavy: false,
            run,
        }
    }

    /// A route that does something.
    pub(crate) const fn post(
        path: &'static str,
        role: Role,
        name: &'static str,
        about: &'static str,
        gives: SchemaOf,
        run: fn(&Call<'_>) -> Result<Answer, Problem>,
    ) -> Self {
        Self {
            verb: Verb::Post,
            ..Self::get(path, role, name, about, gives, run)
        }
    }

    pub(crate) const fn with_query(self, query: &'static [SchemaOf]) -> Self {
        Self { query, ..self }
    }

    pub(crate) const fn with_body(self, body: SchemaOf) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }

    pub(crate) const fn with_verb(self, verb: Verb) -> Self {
        Self { verb, ..self }
    }

    pub(crate) const fn giving(self, gives: Gives) -> Self {
        Self { gives, ..self }
    }

    pub(crate) const fn heavy(self) -> Self {
        Self { heavy: true, ..self }
    }

    pub(crate) const fn open(self) -> Self {
        Self {
            need: Need::Nothing,
            ..self
        }
    }

    /// Whether using it is written into the audit log: whatever changes something, and searches.
    pub fn is_audited(&self) -> bool {
        self.verb != Verb::Get
    }

    /// The names in braces of the path.
    pub fn path_names(&self) -> impl Iterator<Item = &'static str> {
        self.path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

/// A request to a route by someone who may.
pub(crate) struct Call<'a> {
    pub(crate) app: &'a App,
    pub(crate) who: &'a Who,
    /// Values of the path's names.
    pub(crate) path: Vec<(String, String)>,
    /// The query's parameters, typed as the schema says.
    pub(crate) query: Map<String, Value>,
    pub(crate) body: Bytes,
    /// Set when nobody waits for the answer any more, or its time is over.
    pub(crate) cancel: std::sync::Arc<std::sync::atomic::AtomicBool>,
    /// The id of the last event that the client of a live stream has seen.
    pub(crate) resume: Option<String>,
    /// The session of a browser that sends it, if it is of one.
    pub(crate) session: Option<crate::session::Known>,
    /// Whether what is answered is encrypted on its way.
    pub(crate) is_secure: bool,
    /// What the request is about, for the audit log, where the path does not say it.
    pub(crate) target: std::sync::Mutex<String>,
}

impl Call<'_> {
    /// The value of a name in the path.
    pub(crate) fn part(&self, name: &str) -> &str {
        self.path
            .iter()
            .find(|(own, _)| own == name)
            .map_or("", |(_, value)| value)
    }

    /// The query's parameters as a type that the route names. Keys of its other types are not looked at.
    pub(crate) fn query<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_value(Value::Object(self.query.clone()))
            .map_err(|error| Problem::invalid(format!("the query of the request is wrong: {error}")))
    }

    /// The body as the type that the route names.
    pub(crate) fn body<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Problem::invalid(format!("the body of the request is wrong: {error}")))
    }

    /// Says what the request is about, for the audit log.
    pub(crate) fn about(&self, target: impl Into<String>) {
        let mut own = self
            .target
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *own = target.into();
    }
}

/// What a route answers.
pub(crate) enum Answer {
    /// A body with its type.
    Body(StatusCode, &'static str, Vec<u8>),
    /// JSON that sets a cookie.
    Cookie(StatusCode, Vec<u8>, String),
    /// Pieces of NDJSON, as they are made.
    Lines(mpsc::Receiver<Bytes>),
    /// Live changes, from behind this point on.
    Live(crate::live::From),
}

impl Answer {
    /// JSON.
    pub(crate) fn json<T: Serialize>(value: &T) -> Result<Self, Problem> {
        Self::json_as(StatusCode::OK, value)
    }

    /// JSON with a status.
    pub(crate) fn json_as<T: Serialize>(status: StatusCode, value: &T) -> Result<Self, Problem> {
        let body = serde_json::to_vec(value)
            .map_err(|error| Problem::failed(format!("the answer cannot be written: {error}")))?;
        Ok(Self::Body(status, "application/json", body))
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answer")
    }
}
