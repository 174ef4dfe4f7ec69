//! Log records of OpenTelemetry by OTLP/HTTP, as JSON or Protocol Buffers.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>. What is kept is the protocol's own JSON, a request for each log record with its
//! resource and scope, which is what the source `otlp` of the normaliser reads. Where resource and scope are much longer
//! than a log record, several share them.

mod message;
mod wire;

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;

use super::{Admitted, Dialect, Refusal, answer_json, body, quoted};
use crate::counts::{Protocol, Refused};
use crate::intake::{Gathered, Intake};
use crate::json::{self, Json};

/// What stands around log records is at most so many times as long as they are.
const MOST_AROUND: usize = 4;

pub(super) fn routes() -> Router<Intake> {
    Router::new().route("/v1/logs", post(logs))
}

/// Whether a request is of JSON; otherwise it is of Protocol Buffers.
fn is_json(headers: &HeaderMap) -> bool {
    let media = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    media.is_some_and(|media| {
        media
            .trim_start()
            .to_ascii_lowercase()
            .starts_with("application/json")
    })
}

fn answer_protobuf(status: StatusCode, message: Vec<u8>) -> Response {
    let mut response = (status, message).into_response();
    let media = HeaderValue::from_static("application/x-protobuf");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}

/// Answers of refusals hold a `google.rpc.Status`.
pub(super) fn refused(headers: &HeaderMap, refusal: &Refusal) -> Response {
    // https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
    let code = match refusal.reason {
        Refused::Unauthenticated => 16,
        Refused::Busy => 8,
        Refused::Failed => 14,
        Refused::Malformed | Refused::TooLong | Refused::Dropped | Refused::Unsupported => 3,
    };
    if is_json(headers) {
        let text = format!("{{\"code\":{code},\"message\":{}}}", quoted(&refusal.message));
        return answer_json(refusal.status, text);
    }
    let mut message = Vec::new();
    wire::put_number(&mut message, 1, code);
    wire::put_bytes(&mut message, 2, refusal.message.as_bytes());
    answer_protobuf(refusal.status, message)
}

async fn logs(
    State(intake): State<Intake>,
    Extension(sender): Extension<Admitted>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let refuse = |refusal: Refusal| {
        sender.counter.refused(refusal.reason, 1);
        Dialect::Otlp.refuse(&parts.headers, &refusal)
    };
    let whole = match body::read(&intake, &parts.headers, body, &sender.counter).await {
        Ok(whole) => whole,
        Err(refusal) => return refuse(refusal),
    };
    let mut records = Records {
        gathered: Gathered::new(intake.stream(Protocol::Otlp, &sender.name)),
        longest: intake.limits().record_bytes,
        accepted: 0,
        refused: 0,
    };
    let taken = if is_json(&parts.headers) {
        records.take_json(&whole.bytes)
    } else {
        records.take_protobuf(&whole.bytes).ok()
    };
    if taken.is_none() {
        return refuse(Refusal::malformed(
            "the body is no `ExportLogsServiceRequest`".to_owned(),
        ));
    }
    let refused = records.refused;
    sender.counter.refused(Refused::TooLong, refused);
    let appended = super::append(
        &intake,
        vec![records.gathered],
        whole.reservation,
        &sender.counter,
    )
    .await;
    if let Err(refusal) = appended {
        return Dialect::Otlp.refuse(&parts.headers, &refusal);
    }
    // https://opentelemetry.io/docs/specs/otlp/#partial-success-1
    let message = "log records are too long or nested too deep";
    match (is_json(&parts.headers), refused) {
        (true, 0) => answer_json(StatusCode::OK, "{}"),
        (true, refused) => answer_json(
            StatusCode::OK,
            format!(
                "{{\"partialSuccess\":{{\"rejectedLogRecords\":\"{refused}\",\"errorMessage\":\"{message}\"}}}}"
            ),
        ),
        (false, 0) => answer_protobuf(StatusCode::OK, Vec::new()),
        (false, refused) => {
            let (mut partial, mut answer) = (Vec::new(), Vec::new());
            wire::put_number(&mut partial, 1, refused as u64);
            wire::put_bytes(&mut partial, 2, message.as_bytes());
            wire::put_bytes(&mut answer, 1, &partial);
            answer_protobuf(StatusCode::OK, answer)
        }
    }
}

/// The records of a request.
struct Records {
    gathered: Gathered,
    longest: usize,
    accepted: usize,
    refused: usize,
}

/// Log records that wait for more to share a record with.
struct Open<'a> {
    resource: &'a str,
    scope: &'a str,
    text: String,
    count: usize,
}

impl Records {
    fn add(&mut self, open: &mut Open<'_>, record: &str) {
        let around = open.resource.len() + open.scope.len();
        if record.len() + around > self.longest {
            self.refused += 1;
            return;
        }
        if open.text.len() + record.len() + around > self.longest {
            self.close(open);
        }
        if open.count > 0 {
            open.text.push(',');
        }
        open.text.push_str(record);
        open.count += 1;
        if open.text.len() * MOST_AROUND >= around {
            self.close(open);
        }
    }

    /// Writes the log records that wait, if any do.
    fn close(&mut self, open: &mut Open<'_>) {
        if open.count == 0 {
            return;
        }
        for part in [
            "{\"resourceLogs\":[{\"resource\":",
            open.resource,
            ",\"scopeLogs\":[{\"scope\":",
            open.scope,
            ",\"logRecords\":[",
            &open.text,
            "]}]}]}",
        ] {
            self.gathered.records.bytes.extend_from_slice(part.as_bytes());
        }
        self.gathered.end();
        self.accepted += open.count;
        open.text.clear();
        open.count = 0;
    }

    fn take_protobuf(&mut self, request: &[u8]) -> Result<(), wire::NoMessage> {
        let (_, resources) = message::parts(request, 0, 1)?;
        let mut record = String::new();
        for resource in resources {
            let (source, scopes) = message::parts(resource, 1, 2)?;
            let source = message::source(source.unwrap_or_default(), false)?;
            for scope in scopes {
                let (scope, logs) = message::parts(scope, 1, 2)?;
                let scope = message::source(scope.unwrap_or_default(), true)?;
                let mut open = Open {
                    resource: &source,
                    scope: &scope,
                    text: String::new(),
                    count: 0,
                };
                for log in logs {
                    record.clear();
                    message::log_record(log, &mut record)?;
                    self.add(&mut open, &record);
                }
                self.close(&mut open);
            }
        }
        Ok(())
    }

    fn take_json(&mut self, request: &[u8]) -> Option<()> {
        let request = json::value(request).filter(|request| request.is_object())?;
        for resource in list(request, &["resourceLogs", "resource_logs"]) {
            let source = object(resource, "resource");
            for scope in list(
                resource,
                &["scopeLogs", "scope_logs", "instrumentationLibraryLogs"],
            ) {
                let mut open = Open {
                    resource: source,
                    scope: object(scope, "scope"),
                    text: String::new(),
                    count: 0,
                };
                for log in list(scope, &["logRecords", "log_records", "logs"]) {
                    match std::str::from_utf8(log.raw()) {
                        Ok(record) if log.is_object() => self.add(&mut open, record),
                        _ => self.refused += 1,
                    }
                }
                self.close(&mut open);
            }
        }
        Some(())
    }
}

/// The elements of the first of these members that there is.
fn list<'a>(value: Json<'a>, keys: &[&str]) -> impl Iterator<Item = Json<'a>> + use<'a> {
    let found = value.members().find(|(key, _)| keys.contains(&&**key));
    found.into_iter().flat_map(|(_, list)| list.elements())
}

/// The text of a member that is an object.
fn object<'a>(value: Json<'a>, key: &str) -> &'a str {
    let found = value.member(key).filter(|value| value.is_object());
    found
        .and_then(|value| std::str::from_utf8(value.raw()).ok())
        .unwrap_or("{}")
}

/// The records of a body, in both encodings, for the fuzz target.
pub(crate) fn cut(body: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for is_json in [false, true] {
        let mut records = Records {
            gathered: Gathered::new("x".into()),
            longest: 1 << 20,
            accepted: 0,
            refused: 0,
        };
        // What was taken before a fault is looked at as well.
        let _ = if is_json {
            records.take_json(body)
        } else {
            records.take_protobuf(body).ok()
        };
        out.extend(records.gathered.records.iter().map(<[u8]>::to_vec));
    }
    out
}
