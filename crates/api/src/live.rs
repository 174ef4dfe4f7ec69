//! Changes of alerts as they happen: server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! One thread asks the database what changed, whoever changed it, and tells all streams. An event's id is the time of the
//! change: a client that comes back with `Last-Event-ID` gets what it missed from the database. What changed within the last
//! seconds is asked for again each time, since changes become visible in another order than that of their times, and what was
//! told already is left out.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::body::Bytes;
use neph_event::Instant;
use neph_store::{AlertQuery, AlertRecord, AlertSort, Role, Store, StoreError};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};

use crate::app::App;
use crate::problem::Problem;
use crate::route::{Answer, Call, Gives, Route, schema_of};
use crate::when::now;
use crate::wire::{self, Alert};

pub(crate) static ROUTES: &[Route] = &[Route::get(
    "/api/v1/stream",
    Role::Viewer,
    "alerts.stream",
    "Changes of alerts as they happen, as server-sent events `alert`; `Last-Event-ID` resumes, a comment comes every 15 seconds.",
    schema_of::<Alert>,
    open,
)
.with_query(&[schema_of::<Since>])
.giving(Gives::Events)];

/// How often the database is asked while somebody listens.
const PAUSE: Duration = Duration::from_millis(250);
/// Without an event for so long a comment is sent, so that proxies keep the connection and clients see that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Changes up to so long ago are asked for again.
const OVERLAP_NANOS: i128 = 5_000_000_000;
/// Changes that a client may have missed at most; beyond it is told to load anew.
const BACKLOG: usize = 10_000;
/// Changes that a slow client may be behind.
const BEHIND: usize = 4096;
/// Alerts that one question to the database gives.
const PAGE: u32 = 1000;

/// Where a stream begins.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Since {
    /// Begins with what changed since then: the id of an event, or a time; without it, and without `Last-Event-ID`, with what changes from now on.
    since: Option<String>,
}

#[derive(Clone)]
enum Message {
    Changed(Arc<str>),
    End,
}

/// Tells all streams.
pub(crate) struct Live {
    sender: broadcast::Sender<Message>,
    streams: Arc<Semaphore>,
    closing: Arc<AtomicBool>,
}

/// What a stream begins with.
pub(crate) struct From {
    backlog: Vec<Arc<str>>,
    receiver: broadcast::Receiver<Message>,
    permit: OwnedSemaphorePermit,
}

impl Live {
    pub(crate) fn start(store: &Arc<Store>, streams: usize) -> Self {
        let (sender, _) = broadcast::channel(BEHIND);
        let closing = Arc::new(AtomicBool::new(false));
        let (store, telling, ends) = (Arc::downgrade(store), sender.clone(), Arc::clone(&closing));
        // Without the thread streams are silent but for their heartbeat, and pages still load.
        let _ = std::thread::Builder::new()
            .name("neph-live".into())
            .spawn(move || tell_all(&store, &telling, &ends));
        Self {
            sender,
            streams: Arc::new(Semaphore::new(streams)),
            closing,
        }
    }

    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        let _ = self.sender.send(Message::End);
    }

    /// How many streams are open.
    pub(crate) fn open(&self) -> usize {
        self.sender.receiver_count()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.close();
    }
}

fn tell_all(store: &Weak<Store>, sender: &broadcast::Sender<Message>, closing: &AtomicBool) {
    // Changes that were told, by alert, with the time of the change.
    let mut told: HashMap<String, Instant> = HashMap::new();
    let mut since = now();
    while !closing.load(Ordering::Relaxed) {
        std::thread::sleep(PAUSE);
        let Some(store) = store.upgrade() else {
            return;
        };
        let horizon = now().saturating_sub_nanos(OVERLAP_NANOS);
        if sender.receiver_count() > 0 {
            // A database that fails is told of by what depends on it; the next question may work.
            if let Ok(changed) = changed_since(&store, since.min(horizon), usize::MAX) {
                for record in changed {
                    if told.insert(record.alert.id.clone(), record.updated) != Some(record.updated) {
                        let _ = sender.send(Message::Changed(event(&record)));
                    }
                }
                since = horizon;
            }
        } else {
            since = horizon;
        }
        told.retain(|_, at| *at >= since);
    }
}

/// Alerts that changed at this time or later, in the order of their changes; at most `most` and one more.
fn changed_since(store: &Store, since: Instant, most: usize) -> Result<Vec<AlertRecord>, StoreError> {
    let query = AlertQuery {
        retracted: true,
        updated_from: Some(since),
        ..AlertQuery::default()
    };
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let page = store
            .db
            .search(&query, AlertSort::Updated, false, cursor.as_ref(), PAGE)?;
        found.extend(page.alerts);
        let ended = found.len() > most;
        match page.next.filter(|_| !ended) {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    found.reverse();
    Ok(found)
}

/// An event in the form of the wire.
fn event(record: &AlertRecord) -> Arc<str> {
    let data = serde_json::to_string(&Alert::from(record)).unwrap_or_default();
    format!(
        "id: {}\nevent: alert\ndata: {data}\n\n",
        record.updated.as_nanos()
    )
    .into()
}

fn open(call: &Call<'_>) -> Result<Answer, Problem> {
    let live = &call.app.live;
    let permit = Arc::clone(&live.streams)
        .try_acquire_owned()
        .map_err(|_| Problem::busy("too many streams are open"))?;
    // First the receiver, then the backlog: what changes between comes twice, and never not at all.
    let receiver = live.sender.subscribe();
    let since: Since = call.query()?;
    let since = call.resume.clone().or(since.since);
    let since = match since.as_ref().map(|id| (id, id.parse::<i64>())) {
        None => None,
        Some((_, Ok(nanos))) => Some(Instant::from_nanos(i128::from(nanos) + 1)),
        Some((text, Err(_))) => wire::instant(Some(text), now())?,
    };
    let mut backlog = Vec::new();
    if let Some(since) = since {
        let changed = changed_since(&call.app.store, since, BACKLOG)?;
        match changed.len() > BACKLOG {
            true => backlog.push("event: reset\ndata: {}\n\n".into()),
            false => backlog.extend(changed.iter().map(event)),
        }
    }
    Ok(Answer::Live(From {
        backlog,
        receiver,
        permit,
    }))
}

/// The body of a stream.
pub(crate) fn stream(from: From) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + use<> {
    let From {
        backlog,
        mut receiver,
        permit,
    } = from;
    let (sender, pieces) = mpsc::channel::<Bytes>(16);
    tokio::spawn(async move {
        let _permit = permit;
        let begin = std::iter::once(Arc::from(": neph\nretry: 2000\n\n")).chain(backlog);
        for event in begin {
            if sender.send(bytes(&event)).await.is_err() {
                return;
            }
        }
        loop {
            let piece = match tokio::time::timeout(HEARTBEAT, receiver.recv()).await {
                Err(_) => Bytes::from_static(b": still here\n\n"),
                Ok(Ok(Message::Changed(event))) => bytes(&event),
                // The client is too slow: it has to load anew, and goes on from here.
                Ok(Err(broadcast::error::RecvError::Lagged(_))) => {
                    Bytes::from_static(b"event: reset\ndata: {}\n\n")
                }
                Ok(Ok(Message::End) | Err(broadcast::error::RecvError::Closed)) => return,
            };
            if sender.send(piece).await.is_err() {
                return;
            }
        }
    });
    ReceiverStream::new(pieces).map(Ok)
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Open streams, for metrics.
pub(crate) fn count(app: &App) -> usize {
    app.live.open()
}
