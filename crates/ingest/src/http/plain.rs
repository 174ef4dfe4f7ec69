//! JSON and lines by plain HTTP: what scripts, webhooks and services send that know no protocol of their own.
//!
//! `POST /ingest` takes one object, an array of objects, objects one a line or one after the other, the `EventList` of a
//! Kubernetes API server, and lines of text. What it is, is told by its bytes. `?source=NAME`, or `/ingest/NAME`, says of
//! which source of `neph` the records are, where that must not be left to their looks. `?host=NAME` says which of several machines
//! that send with one token it is: each has a time of its own, so that one that was away for long does not make its records late.

use axum::Router;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::post;
use memchr::memchr_iter;

use super::{Admitted, Dialect, Refusal, answer_json, body, quoted};
use crate::counts::{Protocol, Refused};
use crate::gate::Secret;
use crate::intake::{Gathered, Intake};
use crate::json::{self, Json};

/// Most faults that an answer names.
const MOST_TOLD: usize = 10;

pub(super) fn routes() -> Router<Intake> {
    Router::new()
        .route("/ingest", post(ingest))
        .route("/ingest/{source}", post(ingest_of))
}

pub(super) fn refused(refusal: &Refusal) -> Response {
    let text = format!("{{\"error\":{}}}", quoted(&refusal.message));
    answer_json(refusal.status, text)
}

/// The token of a URL. Only webhooks that can state neither a header nor a user have it there: URLs end up in the logs
/// of whatever stands between.
pub(super) fn token_of_query(dialect: Dialect, uri: &Uri) -> Option<Secret> {
    if dialect != Dialect::Plain {
        return None;
    }
    parameter(uri, "token").map(Secret::from)
}

pub(super) fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(uri.query()?.as_bytes());
    let (_, value) = pairs.find(|(key, _)| key == name)?;
    Some(value.into_owned()).filter(|value| !value.is_empty())
}

async fn ingest(
    State(intake): State<Intake>,
    Extension(sender): Extension<Admitted>,
    request: Request,
) -> Response {
    let source = parameter(request.uri(), "source");
    answer(intake, sender, source, request).await
}

async fn ingest_of(
    State(intake): State<Intake>,
    Extension(sender): Extension<Admitted>,
    Path(source): Path<String>,
    request: Request,
) -> Response {
    answer(intake, sender, Some(source), request).await
}

async fn answer(intake: Intake, sender: Admitted, source: Option<String>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let refuse = |refusal: Refusal| {
        sender.counter.refused(refusal.reason, 1);
        Dialect::Plain.refuse(&parts.headers, &refusal)
    };
    let name = match parameter(&parts.uri, "host") {
        None => sender.name.to_string(),
        // What is behind a question mark is not the host's to say.
        Some(host) => format!("{}/{}", sender.name, host.replace('?', "_")),
    };
    let stream = match &source {
        None => intake.stream(Protocol::Http, &name),
        Some(source) if is_source_name(source) => {
            intake.stream(Protocol::Http, &format!("{name}?source={source}"))
        }
        Some(_) => {
            let message = "the name of a source consists of a-z, 0-9, `_` and `-`".to_owned();
            return refuse(Refusal::malformed(message));
        }
    };
    let whole = match body::read(&intake, &parts.headers, body, &sender.counter).await {
        Ok(whole) => whole,
        Err(refusal) => return refuse(refusal),
    };
    let mut gathering = Taking {
        gathered: Gathered::new(stream),
        longest: intake.limits().record_bytes,
        seen: 0,
        faults: Vec::new(),
        refused: 0,
    };
    gathering.take(&whole.bytes);
    for (reason, count) in gathering.counted() {
        sender.counter.refused(reason, count);
    }
    let (accepted, refused) = (gathering.gathered.len(), gathering.refused);
    let told: Vec<String> = gathering
        .faults
        .iter()
        .take(MOST_TOLD)
        .map(|(record, _, message)| format!("{{\"record\":{record},\"error\":{}}}", quoted(message)))
        .collect();
    let gathered = vec![gathering.gathered];
    if let Err(refusal) = super::append(&intake, gathered, whole.reservation, &sender.counter).await {
        return Dialect::Plain.refuse(&parts.headers, &refusal);
    }
    let status = if accepted == 0 && refused > 0 {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    let text = format!(
        "{{\"accepted\":{accepted},\"refused\":{refused},\"errors\":[{}]}}",
        told.join(",")
    );
    answer_json(status, text)
}

/// Whether a text can be the name of a source.
fn is_source_name(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    !name.is_empty() && name.len() <= 64 && name.bytes().all(known)
}

/// The records of a body.
struct Taking {
    gathered: Gathered,
    longest: usize,
    /// Records so far, good and bad.
    seen: usize,
    /// The first faults, with the number of their record, counted from 1.
    faults: Vec<(usize, Refused, &'static str)>,
    refused: usize,
}

impl Taking {
    fn take(&mut self, body: &[u8]) {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let text = body.trim_ascii();
        match text.first() {
            None => {}
            Some(b'[' | b'{') if let Some(value) = json::value(text) => match event_list(value) {
                _ if value.is_array() => self.array(value),
                Some(items) => self.array(items),
                None => self.object(text),
            },
            Some(b'{') if !first_line_is_object(text) => {
                for object in json::objects(text) {
                    match object {
                        Ok(object) => self.object(object.raw()),
                        Err(_) => {
                            self.fault(Refused::Malformed, "no JSON object; nothing behind it was read")
                        }
                    }
                }
            }
            Some(_) => self.lines(body),
        }
    }

    fn array(&mut self, array: Json<'_>) {
        for element in array.elements() {
            if element.is_object() {
                self.object(element.raw());
            } else {
                self.fault(Refused::Malformed, "no JSON object");
            }
        }
    }

    fn lines(&mut self, body: &[u8]) {
        let mut start = 0;
        for end in memchr_iter(b'\n', body).chain([body.len()]) {
            let line = body.get(start..end).unwrap_or_default();
            start = end + 1;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.trim_ascii().is_empty() {
                continue;
            }
            if line.starts_with(b"{") && !json::is_object(line) {
                self.fault(Refused::Malformed, "no JSON object");
            } else {
                self.object(line);
            }
        }
    }

    fn object(&mut self, record: &[u8]) {
        if record.len() > self.longest {
            self.fault(Refused::TooLong, "the record is too long");
            return;
        }
        self.seen += 1;
        self.gathered.add(record);
    }

    fn fault(&mut self, reason: Refused, message: &'static str) {
        self.seen += 1;
        self.refused += 1;
        self.faults.push((self.seen, reason, message));
    }

    fn counted(&self) -> [(Refused, usize); 2] {
        let of = |reason| {
            (
                reason,
                self.faults
                    .iter()
                    .filter(|(_, found, _)| *found == reason)
                    .count(),
            )
        };
        [of(Refused::Malformed), of(Refused::TooLong)]
    }
}

fn first_line_is_object(text: &[u8]) -> bool {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    json::is_object(line)
}

/// The events of what the webhook of a Kubernetes API server sends.
/// <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/#audit-k8s-io-v1-EventList>
fn event_list(value: Json<'_>) -> Option<Json<'_>> {
    let kind = value.member("kind")?.text()?;
    value
        .member("items")
        .filter(|items| kind == "EventList" && items.is_array())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(body: &str) -> (Vec<String>, Vec<usize>) {
        let mut gathering = Taking {
            gathered: Gathered::new("x".into()),
            longest: 60,
            seen: 0,
            faults: Vec::new(),
            refused: 0,
        };
        gathering.take(body.as_bytes());
        let records = gathering.gathered.records;
        let mut start = 0;
        let taken = records.ends.iter().map(|end| {
            let record = String::from_utf8_lossy(&records.bytes[start..*end as usize]).into_owned();
            start = *end as usize;
            record
        });
        (
            taken.collect(),
            gathering.faults.iter().map(|(record, ..)| *record).collect(),
        )
    }

    fn check(body: &str, records: &[&str], faults: &[usize]) {
        let (found, found_faults) = take(body);
        assert_eq!(found, records, "{body}");
        assert_eq!(found_faults, faults, "{body}");
    }

    #[test]
    fn what_a_body_holds_is_told_by_its_bytes() {
        check("", &[], &[]);
        check(" \n\n", &[], &[]);
        check("{\n \"a\": 1\n}\n", &["{\n \"a\": 1\n}"], &[]);
        check(
            "{\"a\":1}\r\n{\"b\":\n{\"c\":2}\n",
            &["{\"a\":1}", "{\"c\":2}"],
            &[2],
        );
        check(
            "{\"a\":\n1}{\"b\":2}\n{\"c\":3} x",
            &["{\"a\":\n1}", "{\"b\":2}", "{\"c\":3}"],
            &[4],
        );
        check("[{\"a\":1}, 2, {\"b\":[3]}]", &["{\"a\":1}", "{\"b\":[3]}"], &[2]);
        check(
            "[2026] a line\nand another\n",
            &["[2026] a line", "and another"],
            &[],
        );
        check("\u{feff}plain\n", &["plain"], &[]);
        check(
            "{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\",\"items\":[{\"auditID\":\"1\"},{\"auditID\":\"2\"}]}",
            &["{\"auditID\":\"1\"}", "{\"auditID\":\"2\"}"],
            &[],
        );
        check(&format!("short\n{}\n", "x".repeat(61)), &["short"], &[2]);
    }

    #[test]
    fn names_of_sources_are_names() {
        assert!(is_source_name("k8s_audit"));
        for wrong in ["", "../x", "a b", "A", "x\n", &"a".repeat(65)] {
            assert!(!is_source_name(wrong));
        }
    }
}
