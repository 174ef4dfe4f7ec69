//! Elasticsearch's `_bulk`, and its interfaces for single documents.
//!
//! What is kept of an item is a search hit, `{"_index":…,"_id":…,"_source":{…}}`, with the document word by word; this is what
//! inputs are read from everywhere else too. An item is answered with 201 once it is durable, with 429 where it may come
//! again, and with 400 where it never can be taken. Nothing is ever changed or removed: an `update` is the record of what it sets,
//! and a `delete` is refused.

mod filter;
mod split;

use axum::Router;
use axum::extract::{Extension, Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{post, put};
use neph_event::EventId;

use super::{Admitted, Dialect, Refusal, body, elastic, quoted};
use crate::counts::{Counter, Protocol, Refused};
use crate::intake::{BLOCK_BYTES, Gathered, Gathering, Intake};
use filter::Filter;
use split::{Action, Fault, Item};

use split::{is_index_name, items};

pub(super) fn routes() -> Router<Intake> {
    Router::new()
        .route("/_bulk", post(bulk).put(bulk))
        .route("/{index}/_bulk", post(bulk_of).put(bulk_of))
        .route("/{index}/_doc", post(document))
        .route("/{index}/_doc/{id}", put(document_with_id).post(document_with_id))
        .route("/{index}/_create/{id}", put(creation).post(creation))
}

async fn bulk(
    State(intake): State<Intake>,
    Extension(sender): Extension<Admitted>,
    request: Request,
) -> Response {
    answer_bulk(intake, sender, None, request).await
}

async fn bulk_of(
    State(intake): State<Intake>,
    Extension(sender): Extension<Admitted>,
    Path(index): Path<String>,
    request: Request,
) -> Response {
    answer_bulk(intake, sender, Some(index), request).await
}

async fn answer_bulk(intake: Intake, sender: Admitted, index: Option<String>, request: Request) -> Response {
    let began = std::time::Instant::now();
    let (parts, body) = request.into_parts();
    let refuse = |refusal: Refusal| {
        sender.counter.refused(refusal.reason, 1);
        Dialect::Elastic.refuse(&parts.headers, &refusal)
    };
    let query = parts.uri.query().unwrap_or_default();
    let pairs = form_urlencoded::parse(query.as_bytes());
    let filter = pairs.filter(|(key, _)| key == "filter_path").last();
    let filter = Filter::new(filter.as_ref().map_or("", |(_, value)| value));
    let whole = match body::read(&intake, &parts.headers, body, &sender.counter).await {
        Ok(whole) => whole,
        Err(refusal) => return refuse(refusal),
    };
    let counter = sender.counter.clone();
    let answered = tokio::task::spawn_blocking(move || {
        let (items, gathered) = take(&intake, &whole.bytes, index.as_deref()).map_err(|malformed| {
            let message = format!(
                "malformed action or metadata line {}: {}",
                malformed.line, malformed.message
            );
            Refusal::malformed(message)
        })?;
        let outcomes = append(&intake, gathered, &counter);
        Ok(answer_items(&items, outcomes, &filter, began.elapsed(), &counter))
    });
    match answered.await {
        Ok(Ok(text)) => elastic::answer(&parts.headers, StatusCode::OK, text),
        Ok(Err(refusal)) => refuse(refusal),
        Err(_) => refuse(Refusal::stopping()),
    }
}

/// Bytes that a hit has beside the document, the index and the id.
const ENVELOPE: usize = 40;

/// The items of a body, each with the number of the stream that it goes to, and the streams.
type Taken<'a> = (Vec<(Item<'a>, usize)>, Vec<Gathered>);

fn take<'a>(intake: &Intake, body: &'a [u8], index: Option<&'a str>) -> Result<Taken<'a>, split::Malformed> {
    let items = items(body, index, intake.limits().record_bytes)?;
    let mut gathering = Gathering::new(intake, Protocol::Bulk);
    let mut taken = Vec::with_capacity(items.len());
    // What of the body is still to be gathered, at most.
    let mut left = body.len();
    for item in items {
        let mut number = usize::MAX;
        if let Ok(document) = item.document {
            let id = item.id.as_ref().map_or(0, |id| id.len());
            let length = document.len() + item.index.len() + id + ENVELOPE;
            number = gathering.number(split::lasting_name(&item.index), length);
            if let Some(stream) = gathering.stream(number) {
                if stream.len() == 0 {
                    // With room for what the log puts behind the records.
                    let most = left.max(length).min(BLOCK_BYTES);
                    stream.records.bytes.reserve(most + most / 64);
                }
                put_hit(stream, &item, document);
            }
            left = left.saturating_sub(document.len());
        }
        taken.push((item, number));
    }
    Ok((taken, gathering.finish()))
}

/// Adds a document as the search hit that it would be.
fn put_hit(gathered: &mut Gathered, item: &Item<'_>, document: &[u8]) {
    let out = &mut gathered.records.bytes;
    out.extend_from_slice(b"{\"_index\":\"");
    // A name of an index holds nothing that JSON escapes.
    out.extend_from_slice(item.index.as_bytes());
    if let Some(id) = &item.id {
        out.extend_from_slice(b"\",\"_id\":");
        put_quoted(out, id);
        out.extend_from_slice(b",\"_source\":");
    } else {
        out.extend_from_slice(b"\",\"_source\":");
    }
    out.extend_from_slice(document);
    out.push(b'}');
    gathered.end();
}

/// Adds a text as a JSON string.
fn put_quoted(out: &mut Vec<u8>, text: &str) {
    if text
        .bytes()
        .any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    {
        return out.extend_from_slice(quoted(text).as_bytes());
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// What became of the blocks of a stream, in order: how many records each has, and why it was not taken if it was not.
type Outcomes = Vec<(usize, Option<Refused>)>;

/// Appends each stream.
fn append(intake: &Intake, gathered: Vec<Gathered>, counter: &Counter) -> Vec<Outcomes> {
    let handed_over: Vec<_> = gathered
        .into_iter()
        .map(|stream| (stream.len(), stream.records.bytes.len(), intake.hand_over(stream)))
        .collect();
    // All share a sync.
    let appended = handed_over.into_iter().map(|(records, bytes, waiting)| {
        let outcomes = waiting.outcomes().into_iter();
        let outcomes: Outcomes = outcomes
            .map(|(count, appended)| (count, appended.err().map(|error| error.reason)))
            .collect();
        let taken: usize = outcomes
            .iter()
            .filter(|(_, refused)| refused.is_none())
            .map(|(count, _)| count)
            .sum();
        counter.accepted(taken, if taken == records { bytes } else { 0 });
        outcomes
    });
    appended.collect()
}

/// Which parts of an item's answer are wanted.
#[derive(Clone, Copy)]
struct Wanted {
    index: bool,
    id: bool,
    version: bool,
    result: bool,
    shards: bool,
    sequence: bool,
    status: bool,
    error_type: bool,
    error_reason: bool,
}

impl Wanted {
    fn new(filter: &Filter, action: Action) -> Self {
        let wants = |leaf: &[&str]| {
            let mut path = vec!["items", action.name()];
            path.extend_from_slice(leaf);
            filter.wants(&path)
        };
        Self {
            index: wants(&["_index"]),
            id: wants(&["_id"]),
            version: wants(&["_version"]),
            result: wants(&["result"]),
            shards: wants(&["_shards"]),
            sequence: wants(&["_seq_no"]),
            status: wants(&["status"]),
            error_type: wants(&["error", "type"]),
            error_reason: wants(&["error", "reason"]),
        }
    }
}

/// The answer, and the counts of what was refused.
fn answer_items(
    all: &[(Item<'_>, usize)],
    outcomes: Vec<Outcomes>,
    filter: &Filter,
    took: std::time::Duration,
    counter: &Counter,
) -> String {
    let actions = [Action::Index, Action::Create, Action::Update, Action::Delete];
    let wanted = actions.map(|action| Wanted::new(filter, action));
    // For each stream what becomes of its next record.
    let mut outcomes: Vec<_> = outcomes
        .into_iter()
        .map(|blocks| {
            blocks
                .into_iter()
                .flat_map(|(count, refused)| std::iter::repeat_n(refused, count))
        })
        .collect();
    let (mut items, mut has_errors) = (String::with_capacity(all.len() * 48), false);
    for (item, stream) in all {
        let fault = match item.document {
            Err(fault) => Some(fault),
            Ok(_) => match outcomes.get_mut(*stream).and_then(Iterator::next) {
                Some(None) => None,
                Some(Some(Refused::Busy)) => Some(Fault::Busy),
                Some(Some(Refused::TooLong)) => Some(Fault::TooLong),
                _ => Some(Fault::Failed),
            },
        };
        if let Some(fault) = fault {
            has_errors = true;
            counter.refused(fault.reason(), 1);
        }
        if let Some(wanted) = wanted.get(item.action as usize) {
            let before = items.len();
            if before > 0 {
                items.push(',');
            }
            let begun = items.len();
            put_item(&mut items, item, fault, *wanted);
            if items.len() == begun {
                items.truncate(before);
            }
        }
    }
    let mut out = String::with_capacity(items.len() + 64);
    if filter.wants(&["took"]) {
        out.push_str(&format!(",\"took\":{}", took.as_millis()));
    }
    if filter.wants(&["errors"]) {
        out.push_str(&format!(",\"errors\":{has_errors}"));
    }
    if !items.is_empty() || (all.is_empty() && filter.wants(&["items"])) {
        out.push_str(",\"items\":[");
        out.push_str(&items);
        out.push(']');
    }
    format!("{{{}}}", out.strip_prefix(',').unwrap_or_default())
}

/// Adds what is wanted of an item's answer, or nothing.
fn put_item(out: &mut String, item: &Item<'_>, fault: Option<Fault>, wanted: Wanted) {
    let mut members = String::new();
    let mut put = |key: &str, value: &str| {
        members.push_str(if members.is_empty() { "\"" } else { ",\"" });
        members.push_str(key);
        members.push_str("\":");
        members.push_str(value);
    };
    if wanted.index {
        put("_index", &quoted(&item.index));
    }
    if wanted.id {
        match (&item.id, item.document) {
            (Some(id), _) => put("_id", &quoted(id)),
            // The id under which alerts will name the event.
            (None, Ok(document)) => put("_id", &quoted(EventId::of_bytes(document).as_str())),
            (None, Err(_)) => put("_id", "null"),
        }
    }
    match fault {
        None => {
            if wanted.version {
                put("_version", "1");
            }
            if wanted.result {
                put(
                    "result",
                    if item.action == Action::Update {
                        "\"updated\""
                    } else {
                        "\"created\""
                    },
                );
            }
            if wanted.shards {
                put("_shards", "{\"total\":1,\"successful\":1,\"failed\":0}");
            }
            if wanted.sequence {
                put("_seq_no", "0");
                put("_primary_term", "1");
            }
            if wanted.status {
                put(
                    "status",
                    if item.action == Action::Update {
                        "200"
                    } else {
                        "201"
                    },
                );
            }
        }
        Some(fault) => {
            let (status, kind, reason) = fault.told();
            if wanted.status {
                put("status", &status.as_u16().to_string());
            }
            let error = match (wanted.error_type, wanted.error_reason) {
                (true, true) => format!("{{\"type\":\"{kind}\",\"reason\":\"{reason}\"}}"),
                (true, false) => format!("{{\"type\":\"{kind}\"}}"),
                (false, true) => format!("{{\"reason\":\"{reason}\"}}"),
                (false, false) => String::new(),
            };
            if !error.is_empty() {
                put("error", &error);
            }
        }
    }
    if !members.is_empty() {
        out.push_str("{\"");
        out.push_str(item.action.name());
        out.push_str("\":{");
        out.push_str(&members);
        out.push_str("}}");
    }
}

impl Fault {
    fn reason(self) -> Refused {
        match self {
            Self::TooLong => Refused::TooLong,
            Self::Delete => Refused::Unsupported,
            Self::Busy => Refused::Busy,
            Self::Failed => Refused::Failed,
            Self::NotAnObject | Self::NoIndex | Self::IndexName | Self::LongId | Self::NoDocument => {
                Refused::Malformed
            }
        }
    }

    /// Status, type and reason of an item's error, with the names that Elasticsearch has for them: clients look at these.
    fn told(self) -> (StatusCode, &'static str, &'static str) {
        let bad = StatusCode::BAD_REQUEST;
        match self {
            Self::NotAnObject => (
                bad,
                "document_parsing_exception",
                "the document is no JSON object, or too deep",
            ),
            Self::TooLong => (bad, "document_parsing_exception", "the document is too long"),
            Self::NoIndex => (bad, "action_request_validation_exception", "index is missing"),
            Self::IndexName => (bad, "invalid_index_name_exception", "invalid index name"),
            Self::LongId => (
                bad,
                "illegal_argument_exception",
                "the id is too long, it must be no longer than 512 bytes",
            ),
            Self::NoDocument => (
                bad,
                "illegal_argument_exception",
                "an update without a document is not supported",
            ),
            Self::Delete => (bad, "illegal_argument_exception", "records are not deleted"),
            Self::Busy => (
                StatusCode::TOO_MANY_REQUESTS,
                "es_rejected_execution_exception",
                "no room for more records now",
            ),
            Self::Failed => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable_shards_exception",
                "the records could not be stored",
            ),
        }
    }
}

async fn document(
    State(intake): State<Intake>,
    Extension(sender): Extension<Admitted>,
    Path(index): Path<String>,
    request: Request,
) -> Response {
    answer_document(intake, sender, Action::Index, index, None, request).await
}

async fn document_with_id(
    State(intake): State<Intake>,
    Extension(sender): Extension<Admitted>,
    Path((index, id)): Path<(String, String)>,
    request: Request,
) -> Response {
    answer_document(intake, sender, Action::Index, index, Some(id), request).await
}

async fn creation(
    State(intake): State<Intake>,
    Extension(sender): Extension<Admitted>,
    Path((index, id)): Path<(String, String)>,
    request: Request,
) -> Response {
    answer_document(intake, sender, Action::Create, index, Some(id), request).await
}

/// A single document is a bulk of one, answered by itself.
async fn answer_document(
    intake: Intake,
    sender: Admitted,
    action: Action,
    index: String,
    id: Option<String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let refuse = |refusal: Refusal| {
        sender.counter.refused(refusal.reason, 1);
        Dialect::Elastic.refuse(&parts.headers, &refusal)
    };
    let whole = match body::read(&intake, &parts.headers, body, &sender.counter).await {
        Ok(whole) => whole,
        Err(refusal) => return refuse(refusal),
    };
    if !is_index_name(&index) {
        return refuse(Refusal::malformed("invalid index name".to_owned()));
    }
    let document = whole.bytes.as_slice();
    if document.len() > intake.limits().record_bytes {
        return refuse(Refusal::too_long("the document is too long".to_owned()));
    }
    if !crate::json::is_object(document) || id.as_ref().is_some_and(|id| id.len() > 512) {
        return refuse(Refusal::malformed(
            "the document is no JSON object, or its id is too long".to_owned(),
        ));
    }
    let shown = id
        .clone()
        .unwrap_or_else(|| EventId::of_bytes(document).as_str().to_owned());
    let mut gathered = Gathered::new(intake.stream(Protocol::Bulk, split::lasting_name(&index)));
    let item = Item {
        action,
        index: index.as_str().into(),
        id: id.map(Into::into),
        document: Ok(document),
    };
    put_hit(&mut gathered, &item, document);
    let appended = super::append(&intake, vec![gathered], whole.reservation, &sender.counter).await;
    if let Err(refusal) = appended {
        return Dialect::Elastic.refuse(&parts.headers, &refusal);
    }
    let text = format!(
        "{{\"_index\":{},\"_id\":{},\"_version\":1,\"result\":\"created\",\"_shards\":{{\"total\":1,\"successful\":1,\"failed\":0}},\
         \"_seq_no\":0,\"_primary_term\":1}}",
        quoted(&index),
        quoted(&shown)
    );
    elastic::answer(&parts.headers, StatusCode::CREATED, text)
}

/// Takes a body apart, for the fuzz target.
pub(crate) fn cut(body: &[u8]) {
    for item in items(body, Some("x"), 1 << 20).into_iter().flatten() {
        if let Ok(document) = item.document {
            assert!(crate::json::is_object(document) && is_index_name(&item.index));
        }
    }
}
