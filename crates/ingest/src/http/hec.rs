//! Splunk's HTTP event collector.
//!
//! <https://help.splunk.com/en/splunk-enterprise/get-started/get-data-in/9.4/get-data-with-http-event-collector>: the paths, the form
//! of events and the codes of answers. A batch is taken as a whole or not at all. An acknowledgement is asked for by its number;
//! as a batch is durable before it is answered, every number that was given out is acknowledged.
//!
//! What is kept of an event is the event, word by word; where there is metadata, in an object as agents write them, with
//! the event as its `message`.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use memchr::memchr_iter;

use super::plain::parameter;
use super::{Admitted, Dialect, Refusal, answer_json, body, quoted};
use crate::counts::{Protocol, Refused};
use crate::intake::{Gathering, Intake, now};
use crate::json::{self, Json};

/// Most acknowledgements that one request may ask for.
const MOST_ACKS: usize = 100_000;

/// The next number of an acknowledgement. It begins with the time, so that no number is ever given twice, across restarts
/// neither, and every number below it that a client knows was given to it.
static NEXT_ACK: LazyLock<AtomicU64> = LazyLock::new(|| {
    let micros = now().as_nanos() / 1000;
    AtomicU64::new(u64::try_from(micros).unwrap_or_default())
});

pub(super) fn routes() -> Router<Intake> {
    let mut router = Router::new();
    for path in ["", "/event", "/event/1.0"] {
        router = router.route(&format!("/services/collector{path}"), post(events));
    }
    for path in ["/raw", "/raw/1.0"] {
        router = router.route(&format!("/services/collector{path}"), post(raw));
    }
    for path in ["/health", "/health/1.0"] {
        router = router.route(&format!("/services/collector{path}"), get(health));
    }
    router.route("/services/collector/ack", post(acknowledged))
}

/// A code of the protocol, with its text and status.
#[derive(Clone, Copy)]
struct Code(u16, u8, &'static str);

const NO_TOKEN: Code = Code(401, 2, "Token is required");
const BAD_AUTHORIZATION: Code = Code(401, 3, "Invalid authorization");
const BAD_TOKEN: Code = Code(403, 4, "Invalid token");
const NO_DATA: Code = Code(400, 5, "No data");
const BAD_DATA: Code = Code(400, 6, "Invalid data format");
const INTERNAL: Code = Code(503, 8, "Internal server error");
const BUSY: Code = Code(503, 9, "Server is busy");
const NO_CHANNEL: Code = Code(400, 10, "Data channel is missing");
const BAD_CHANNEL: Code = Code(400, 11, "Invalid data channel");
const NO_EVENT: Code = Code(400, 12, "Event field is required");
const BLANK_EVENT: Code = Code(400, 13, "Event field cannot be blank");
const TOO_LONG: Code = Code(413, 6, "Invalid data format");
const HEALTHY: Code = Code(200, 17, "HEC is healthy");

impl Code {
    fn answer(self) -> Response {
        self.with("")
    }

    fn with(self, more: &str) -> Response {
        let Self(status, code, text) = self;
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        answer_json(status, format!("{{\"text\":\"{text}\",\"code\":{code}{more}}}"))
    }
}

pub(super) fn refused(refusal: &Refusal) -> Response {
    let code = match (refusal.reason, refusal.message.as_str()) {
        (Refused::Unauthenticated, "a token is required") => NO_TOKEN,
        (Refused::Unauthenticated, "the token is not known") => BAD_TOKEN,
        (Refused::Unauthenticated, _) => BAD_AUTHORIZATION,
        (Refused::Busy, _) => BUSY,
        (Refused::Failed, _) => INTERNAL,
        (_, message) => {
            let more = format!(",\"reason\":{}", quoted(message));
            return Code(refusal.status.as_u16(), 6, "Invalid data format").with(&more);
        }
    };
    code.answer()
}

/// The channel that a request states, or why it is none.
fn channel(headers: &HeaderMap, uri: &Uri) -> Result<Option<String>, Code> {
    let header = headers.get("x-splunk-request-channel");
    let channel = match header.map(|header| header.to_str()) {
        Some(Ok(channel)) => Some(channel.to_owned()),
        Some(Err(_)) => return Err(BAD_CHANNEL),
        None => parameter(uri, "channel"),
    };
    let is_guid =
        |text: &str| text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    match channel {
        Some(channel) if !is_guid(&channel) => Err(BAD_CHANNEL),
        channel => Ok(channel),
    }
}

/// What is said about an event beside it.
#[derive(Default)]
struct Metadata {
    /// `@timestamp`, ready.
    time: Option<String>,
    host: Option<String>,
    source: Option<String>,
    sourcetype: Option<String>,
    index: Option<String>,
    /// JSON of an object.
    fields: Option<String>,
}

impl Metadata {
    fn of_query(uri: &Uri) -> Self {
        Self {
            time: None,
            host: parameter(uri, "host"),
            source: parameter(uri, "source"),
            sourcetype: parameter(uri, "sourcetype"),
            index: parameter(uri, "index"),
            fields: None,
        }
    }

    fn is_empty(&self) -> bool {
        let texts = [
            &self.time,
            &self.host,
            &self.source,
            &self.sourcetype,
            &self.index,
            &self.fields,
        ];
        texts.iter().all(|text| text.is_none())
    }

    /// The object in which the event stands, up to its `message`.
    fn head(&self) -> String {
        let mut out = "{\"input\":{\"type\":\"hec\"}".to_owned();
        if let Some(time) = &self.time {
            out.push_str(&format!(",\"@timestamp\":{}", quoted(time)));
        }
        if let Some(host) = &self.host {
            out.push_str(&format!(",\"host\":{{\"name\":{}}}", quoted(host)));
        }
        let mut own = String::new();
        for (key, value) in [
            ("source", &self.source),
            ("sourcetype", &self.sourcetype),
            ("index", &self.index),
        ] {
            if let Some(value) = value {
                own.push_str(&format!(",\"{key}\":{}", quoted(value)));
            }
        }
        if let Some(fields) = &self.fields {
            own.push_str(",\"fields\":");
            own.push_str(fields);
        }
        if let Some(own) = own.strip_prefix(',') {
            out.push_str(&format!(",\"splunk\":{{{own}}}"));
        }
        out.push_str(",\"message\":");
        out
    }
}

/// A time in seconds since 1970, with decimals or not, as a date.
fn time(text: &str) -> Option<String> {
    let seconds: f64 = text.trim().parse().ok()?;
    // What is beyond the year 9999 is in milliseconds.
    let millis = if seconds.abs() > 253_402_300_799.0 {
        seconds
    } else {
        seconds * 1000.0
    };
    let instant = neph_event::Instant::from_millis(millis.round() as i64);
    (millis.is_finite() && millis.abs() < 253_402_300_799_999.0).then(|| instant.to_string())
}

/// The events of a body.
struct Events<'i> {
    gathering: Gathering<'i>,
    sender: &'i str,
    /// What the URL says about all of them.
    uri: &'i Uri,
    longest: usize,
    /// Bytes that may still be made: what the URL says would otherwise be repeated without bound.
    room: usize,
    count: usize,
}

impl<'i> Events<'i> {
    fn new(intake: &'i Intake, sender: &'i str, body: &[u8], uri: &'i Uri) -> Self {
        Self {
            gathering: Gathering::new(intake, Protocol::Hec),
            sender,
            uri,
            longest: intake.limits().record_bytes,
            room: (1 << 20) + 8 * body.len(),
            count: 0,
        }
    }

    /// Takes objects apart, each into the stream of its kind.
    fn take(&mut self, body: &[u8]) -> Result<(), Code> {
        match json::value(body).filter(|body| body.is_array()) {
            Some(array) => {
                for element in array.elements() {
                    self.take_one(element)?;
                }
            }
            None => {
                for object in json::objects(body) {
                    self.take_one(object.map_err(|_| BAD_DATA)?)?;
                }
            }
        }
        if self.count == 0 { Err(NO_DATA) } else { Ok(()) }
    }

    fn take_one(&mut self, object: Json<'_>) -> Result<(), Code> {
        if !object.is_object() {
            return Err(BAD_DATA);
        }
        let mut metadata = Metadata::of_query(self.uri);
        let mut event = None;
        for (key, value) in object.members() {
            let text = || value.text().map(Cow::into_owned);
            match &*key {
                "event" if !value.is_null() => event = Some(value),
                "time" => metadata.time = text().and_then(|text| time(&text)),
                "host" => metadata.host = text(),
                "source" => metadata.source = text(),
                "sourcetype" => metadata.sourcetype = text(),
                "index" => metadata.index = text(),
                "fields" if value.is_object() => {
                    metadata.fields = Some(String::from_utf8_lossy(value.raw()).into_owned());
                }
                _ => {}
            }
        }
        let event = event.ok_or(NO_EVENT)?;
        let is_bare = metadata.is_empty() && (event.is_object() || event.is_string());
        let text = if event.is_string() { event.text() } else { None };
        let text = text.as_ref().map_or(event.raw(), |text| text.as_bytes());
        self.put(&metadata, text, is_bare)
    }

    /// Takes lines.
    fn take_lines(&mut self, body: &[u8]) -> Result<(), Code> {
        let metadata = Metadata::of_query(self.uri);
        let mut start = 0;
        for end in memchr_iter(b'\n', body).chain([body.len()]) {
            let line = body.get(start..end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            start = end + 1;
            if !line.trim_ascii().is_empty() {
                self.put(&metadata, line, metadata.is_empty())?;
            }
        }
        if self.count == 0 { Err(NO_DATA) } else { Ok(()) }
    }

    fn put(&mut self, metadata: &Metadata, event: &[u8], is_bare: bool) -> Result<(), Code> {
        if event.trim_ascii().is_empty() {
            return Err(BLANK_EVENT);
        }
        let number = self
            .gathering
            .number(metadata.sourcetype.as_deref().unwrap_or(self.sender), 0);
        let Some(stream) = self.gathering.stream(number) else {
            return Ok(());
        };
        let before = stream.records.bytes.len();
        if is_bare {
            stream.add(event);
        } else {
            let mut record = metadata.head();
            record.push_str(&quoted(&String::from_utf8_lossy(event)));
            record.push('}');
            stream.add(record.as_bytes());
        }
        let length = stream.records.bytes.len() - before;
        self.room = self
            .room
            .checked_sub(length)
            .filter(|_| length <= self.longest)
            .ok_or(TOO_LONG)?;
        self.count += 1;
        Ok(())
    }
}

async fn events(state: State<Intake>, sender: Extension<Admitted>, request: Request) -> Response {
    answer(state.0, sender.0, request, |events, body| events.take(body)).await
}

async fn raw(state: State<Intake>, sender: Extension<Admitted>, request: Request) -> Response {
    answer(state.0, sender.0, request, |events, body| events.take_lines(body)).await
}

async fn answer(
    intake: Intake,
    sender: Admitted,
    request: Request,
    take: fn(&mut Events<'_>, &[u8]) -> Result<(), Code>,
) -> Response {
    let (parts, body) = request.into_parts();
    let channel = match channel(&parts.headers, &parts.uri) {
        Ok(channel) => channel,
        Err(code) => {
            sender.counter.refused(Refused::Malformed, 1);
            return code.answer();
        }
    };
    let whole = match body::read(&intake, &parts.headers, body, &sender.counter).await {
        Ok(whole) => whole,
        Err(refusal) => {
            sender.counter.refused(refusal.reason, 1);
            return Dialect::Hec.refuse(&parts.headers, &refusal);
        }
    };
    let gathered = {
        let mut events = Events::new(&intake, &sender.name, &whole.bytes, &parts.uri);
        match take(&mut events, &whole.bytes) {
            Ok(()) => events.gathering.finish(),
            Err(code) => {
                sender.counter.refused(Refused::Malformed, 1);
                return code.with(&format!(",\"invalid-event-number\":{}", events.count));
            }
        }
    };
    match super::append(&intake, gathered, whole.reservation, &sender.counter).await {
        Ok(()) => {
            let ack = channel.map(|_| NEXT_ACK.fetch_add(1, Ordering::Relaxed));
            let ack = ack.map_or(String::new(), |ack| format!(",\"ackId\":{ack}"));
            Code(200, 0, "Success").with(&ack)
        }
        Err(refusal) => Dialect::Hec.refuse(&parts.headers, &refusal),
    }
}

async fn health() -> Response {
    HEALTHY.answer()
}

async fn acknowledged(
    State(intake): State<Intake>,
    Extension(sender): Extension<Admitted>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    match channel(&parts.headers, &parts.uri) {
        Ok(Some(_)) => {}
        Ok(None) => return NO_CHANNEL.answer(),
        Err(code) => return code.answer(),
    }
    let whole = match body::read(&intake, &parts.headers, body, &sender.counter).await {
        Ok(whole) => whole,
        Err(refusal) => return Dialect::Hec.refuse(&parts.headers, &refusal),
    };
    #[derive(serde::Deserialize)]
    struct Asked {
        acks: Vec<u64>,
    }
    let Ok(asked) = serde_json::from_slice::<Asked>(&whole.bytes) else {
        return BAD_DATA.answer();
    };
    let next = NEXT_ACK.load(Ordering::Relaxed);
    let acks = asked.acks.iter().take(MOST_ACKS);
    let acks: Vec<String> = acks.map(|ack| format!("\"{ack}\":{}", *ack < next)).collect();
    answer_json(StatusCode::OK, format!("{{\"acks\":{{{}}}}}", acks.join(",")))
}

/// Takes a body apart, for the fuzz target.
pub(crate) fn cut(intake: &Intake, body: &[u8], uri: &Uri) {
    for take in [Events::take, Events::take_lines] {
        let mut events = Events::new(intake, "x", body, uri);
        // What is wrong with it is all the same.
        let _ = take(&mut events, body);
        let records: usize = events.gathering.finish().iter().map(|stream| stream.len()).sum();
        assert!(records <= body.len());
    }
}
