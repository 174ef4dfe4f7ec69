//! Errors as the API tells them: `application/problem+json` (<https://www.rfc-editor.org/rfc/rfc9457>).

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use neph_diag::render::Record;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// Why a request was not done.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Problem {
    /// A word for programs, for example `not-found`.
    pub code: &'static str,
    /// The status of the answer.
    pub status: u16,
    /// What kind of problem it is.
    pub title: &'static str,
    /// What is wrong with this request.
    pub detail: String,
    /// What is wrong with a query, rule or overlay, with places in its text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Value>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code,
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or("Error"),
            detail: detail.into(),
            diagnostics: Vec::new(),
        }
    }

    /// What the client sent makes no sense.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid-request", detail)
    }

    /// A text in the request has mistakes.
    pub(crate) fn text(detail: impl Into<String>, diagnostics: Vec<Record>) -> Self {
        let diagnostics = diagnostics
            .iter()
            .map(|record| serde_json::to_value(record).unwrap_or(Value::Null));
        Self {
            diagnostics: diagnostics.collect(),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-text", detail)
        }
    }

    /// What is asked for is not there.
    pub(crate) fn missing(what: &str, id: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            format!("there is no {what} `{id}`"),
        )
    }

    /// There is nothing at this path.
    pub(crate) fn no_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "there is nothing at this path",
        )
    }

    /// The path does not take this method.
    pub(crate) fn no_method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "this path does not take this method",
        )
    }

    /// Nobody known sent it.
    pub(crate) fn unknown_sender() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "a token is needed: `Authorization: Bearer neph_…`",
        )
    }

    /// Its sender may not do that.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// Something else was done meanwhile.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// The body is too large.
    pub(crate) fn too_large(limit: u64) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            format!("the body is larger than {limit} bytes"),
        )
    }

    /// The body did not come in time.
    pub(crate) fn too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "too-slow",
            "the body did not come in time",
        )
    }

    /// Too much is under way.
    pub(crate) fn busy(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail)
    }

    /// The service cannot do that now.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    /// The service failed.
    pub(crate) fn failed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", detail)
    }

    /// The answer that tells it.
    pub(crate) fn response(&self) -> Response<Body> {
        let body = serde_json::to_vec(self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        match self.status {
            401 => {
                headers.insert(
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static("Bearer realm=\"neph\""),
                );
            }
            429 | 503 => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

impl From<neph_store::StoreError> for Problem {
    fn from(error: neph_store::StoreError) -> Self {
        use neph_store::StoreError::{Busy, Full, Invalid, Missing, ReadOnly, Refused};
        match &error {
            Missing { what, id } => Self::missing(what, id),
            Invalid { why } | Refused { why } => Self::invalid(why.clone()),
            Busy | Full { .. } | ReadOnly { .. } => Self::unavailable(error.to_string()),
            _ => Self::failed(error.to_string()),
        }
    }
}
