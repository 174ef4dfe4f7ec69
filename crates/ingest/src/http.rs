//! The protocols that go over HTTP, as one router.
//!
//! Every request is let in by the [gate](crate::Gate) before anything of its body is read. What is refused is answered in the form of
//! the protocol that the path belongs to, so that clients know whether to try again: 429 or 503 with `Retry-After` where
//! they should.

mod body;
mod bulk;
mod elastic;
mod hec;
mod otlp;
mod plain;

pub(crate) use bulk::cut as cut_bulk;
pub(crate) use hec::cut as cut_hec;
pub(crate) use otlp::cut as cut_otlp;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};

use crate::counts::{Counter, Protocol, Refused};
use crate::gate::{Credentials, Shown, shown};
use crate::intake::{Gathered, Intake, Unappended};
use crate::limits::Reservation;

/// After so many seconds a client that was refused for want of room may try again.
const RETRY_AFTER: &str = "2";

/// The other end of a connection; the listener puts it into each request.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// SHA-256 of the certificate that it has shown, in hexadecimal.
    pub certificate: Option<Arc<str>>,
}

/// A sender that was let in, and its counts.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    pub(crate) name: Arc<str>,
    pub(crate) counter: Counter,
}

/// Why a request is refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) reason: Refused,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn malformed(message: String) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            reason: Refused::Malformed,
            message,
        }
    }

    pub(crate) fn too_long(message: String) -> Self {
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            reason: Refused::TooLong,
            message,
        }
    }

    pub(crate) fn busy() -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            reason: Refused::Busy,
            message: "too many bytes are under way already".to_owned(),
        }
    }
}

impl Refusal {
    /// What was to be done has been given up.
    pub(crate) fn stopping() -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            reason: Refused::Failed,
            message: "the service is stopping".to_owned(),
        }
    }
}

impl From<Unappended> for Refusal {
    fn from(unappended: Unappended) -> Self {
        let status = match unappended.reason {
            Refused::Busy => StatusCode::TOO_MANY_REQUESTS,
            Refused::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self {
            status,
            reason: unappended.reason,
            message: unappended.message,
        }
    }
}

/// The protocol that a path belongs to, which decides the form of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Elastic,
    Hec,
    Otlp,
    Plain,
}

impl Dialect {
    fn of(path: &str) -> Self {
        if path.starts_with("/services/collector") {
            Self::Hec
        } else if path == "/v1/logs" {
            Self::Otlp
        } else if path == "/ingest" || path.starts_with("/ingest/") {
            Self::Plain
        } else {
            Self::Elastic
        }
    }

    fn protocol(self) -> Protocol {
        match self {
            Self::Elastic => Protocol::Bulk,
            Self::Hec => Protocol::Hec,
            Self::Otlp => Protocol::Otlp,
            Self::Plain => Protocol::Http,
        }
    }

    /// The answer to a request that is refused as a whole.
    pub(crate) fn refuse(self, headers: &axum::http::HeaderMap, refusal: &Refusal) -> Response {
        let mut response = match self {
            Self::Elastic => elastic::refused(headers, refusal),
            Self::Hec => hec::refused(refusal),
            Self::Otlp => otlp::refused(headers, refusal),
            Self::Plain => plain::refused(refusal),
        };
        if matches!(
            refusal.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        ) {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        response
    }
}

/// The router of all protocols over HTTP:
///
/// | paths | protocol |
/// | --- | --- |
/// | `/`, `/_bulk`, `/{index}/_bulk`, `/{index}/_doc…`, `/{index}/_create/{id}`, `/_…` | Elasticsearch |
/// | `/ingest`, `/ingest/{source}` | JSON, NDJSON, lines, webhooks |
/// | `/v1/logs` | OTLP |
/// | `/services/collector…` | Splunk HEC |
///
/// It has no fallback, so that it can be merged with others.
pub fn router(intake: &Intake) -> Router {
    Router::new()
        .merge(elastic::routes())
        .merge(bulk::routes())
        .merge(plain::routes())
        .merge(otlp::routes())
        .merge(hec::routes())
        .route_layer(from_fn_with_state(intake.clone(), admit))
        .with_state(intake.clone())
}

/// Lets a request in, or not.
async fn admit(State(intake): State<Intake>, mut request: Request, next: Next) -> Response {
    let dialect = Dialect::of(request.uri().path());
    let is_sending = matches!(*request.method(), Method::POST | Method::PUT);
    let peer = request.extensions().get::<Peer>().cloned();
    let verified = |id, secret| {
        let credentials = Credentials {
            id,
            secret,
            certificate: peer.as_ref().and_then(|peer| peer.certificate.clone()),
            peer: peer.as_ref().map(|peer| peer.address.ip()),
        };
        let sender = intake.gate().authenticate(&credentials);
        sender.ok_or("the token is not known")
    };
    let sender = match shown(request.headers()) {
        Shown::Secret(id, secret) => verified(id, secret),
        Shown::Nothing => match plain::token_of_query(dialect, request.uri()) {
            Some(secret) => verified(None, secret),
            None => Err("a token is required"),
        },
        Shown::Malformed => Err("the credentials are of no known form"),
    };
    let counted = match (&sender, &peer) {
        (Ok(sender), _) => Arc::clone(&sender.name),
        (Err(_), Some(peer)) => peer.address.ip().to_string().into(),
        (Err(_), None) => Arc::from("unknown"),
    };
    let counter = intake.counts().of(dialect.protocol(), &counted);
    counter.request();
    match sender {
        Ok(sender) => {
            request.extensions_mut().insert(Admitted {
                name: sender.name,
                counter,
            });
            let response = next.run(request).await;
            if response.status().is_success() && is_sending {
                tokio::time::sleep(intake.pause()).await;
            }
            response
        }
        Err(message) => {
            counter.refused(Refused::Unauthenticated, 1);
            let refusal = Refusal {
                status: StatusCode::UNAUTHORIZED,
                reason: Refused::Unauthenticated,
                message: message.to_owned(),
            };
            let mut response = dialect.refuse(request.headers(), &refusal);
            if response.status() == StatusCode::UNAUTHORIZED {
                let offer = HeaderValue::from_static("Basic realm=\"nephoscope\", charset=\"UTF-8\"");
                response.headers_mut().append(header::WWW_AUTHENTICATE, offer);
                for scheme in ["Bearer", "ApiKey"] {
                    let offer = HeaderValue::from_static(scheme);
                    response.headers_mut().append(header::WWW_AUTHENTICATE, offer);
                }
            }
            // Nothing of its body is wanted, and nothing that comes behind it.
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
            response
        }
    }
}

/// Appends what was gathered of a request, stream by stream, on a thread that may wait for the disk.
pub(crate) async fn append(
    intake: &Intake,
    gathered: Vec<Gathered>,
    held: Reservation,
    counter: &Counter,
) -> Result<(), Refusal> {
    let (intake, counter) = (intake.clone(), counter.clone());
    let mut held = held;
    // Records may be more than the text that they were made of.
    let bytes = gathered
        .iter()
        .map(|stream| stream.records.bytes.len())
        .sum::<usize>();
    if !held.try_grow(bytes) {
        counter.refused(Refused::Busy, gathered.iter().map(Gathered::len).sum());
        return Err(Refusal::busy());
    }
    let appended = tokio::task::spawn_blocking(move || {
        for stream in gathered {
            let bytes = stream.records.bytes.len();
            let mut failed = None;
            for (count, outcome) in intake.append(stream) {
                match outcome {
                    Ok(()) => counter.accepted(count, 0),
                    Err(unappended) => {
                        counter.refused(unappended.reason, count);
                        failed = Some(unappended);
                    }
                }
            }
            match failed {
                Some(unappended) => return Err(unappended),
                None => counter.accepted(0, bytes),
            }
        }
        drop(held);
        Ok(())
    });
    match appended.await {
        Ok(appended) => appended.map_err(Refusal::from),
        Err(_) => Err(Refusal::stopping()),
    }
}

/// A JSON answer.
pub(crate) fn answer_json(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = (status, body.into()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
