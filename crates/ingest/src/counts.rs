//! What came in, by protocol and sender: for the metrics and the coverage ledger.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// How records came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Protocol {
    /// Elasticsearch's `_bulk` and its interfaces for single documents.
    Bulk,
    /// JSON and lines by HTTP, webhooks included.
    Http,
    /// OTLP/HTTP logs.
    Otlp,
    /// Splunk's HTTP event collector.
    Hec,
    /// Syslog by any transport.
    Syslog,
    /// Followed files.
    File,
    /// Objects of cloud storage.
    Object,
    /// The sensor of this host.
    Sensor,
}

impl Protocol {
    /// The name, with which streams begin too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::Http => "http",
            Self::Otlp => "otlp",
            Self::Hec => "hec",
            Self::Syslog => "syslog",
            Self::File => "file",
            Self::Object => "object",
            Self::Sensor => "sensor",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why something was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Refused {
    /// No valid credentials.
    Unauthenticated,
    /// Not of the protocol's form: no JSON, wrong framing, an unknown action.
    Malformed,
    /// Longer than a limit allows, or decompressing to too much.
    TooLong,
    /// Too much is under way, or the log has no room: the client tries again.
    Busy,
    /// The log could not be written.
    Failed,
    /// A request over a protocol that loses what is not read in time (UDP): lost.
    Dropped,
    /// Something that the log cannot do, such as deleting records.
    Unsupported,
}

impl Refused {
    /// All of them, in the order of [`Row::refused`].
    pub const ALL: [Self; 7] = [
        Self::Unauthenticated,
        Self::Malformed,
        Self::TooLong,
        Self::Busy,
        Self::Failed,
        Self::Dropped,
        Self::Unsupported,
    ];

    /// The name for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Malformed => "malformed",
            Self::TooLong => "too_long",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
            Self::Unsupported => "unsupported",
        }
    }
}

/// What one sender sent by one protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The protocol.
    pub protocol: Protocol,
    /// The sender's name; `others` for those beyond the limit of names.
    pub sender: Arc<str>,
    /// Requests, datagrams or connections.
    pub requests: u64,
    /// Bytes as they came, compressed or not.
    pub bytes: u64,
    /// Records that are durable.
    pub accepted: u64,
    /// Bytes of these.
    pub accepted_bytes: u64,
    /// Records refused, or requests where their records are not known, for each of [`Refused::ALL`].
    pub refused: [u64; Refused::ALL.len()],
}

impl Row {
    /// How many were refused for one reason.
    pub fn refused_for(&self, reason: Refused) -> u64 {
        self.refused.get(reason as usize).copied().unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct Cells {
    requests: AtomicU64,
    bytes: AtomicU64,
    accepted: AtomicU64,
    accepted_bytes: AtomicU64,
    refused: [AtomicU64; Refused::ALL.len()],
}

/// The counts of one sender and protocol, to add to.
#[derive(Clone, Debug)]
pub(crate) struct Counter(Arc<Cells>);

impl Counter {
    pub(crate) fn request(&self) {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn accepted(&self, records: usize, bytes: usize) {
        self.0.accepted.fetch_add(records as u64, Ordering::Relaxed);
        self.0.accepted_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self, reason: Refused, records: usize) {
        if let Some(cell) = self.0.refused.get(reason as usize) {
            cell.fetch_add(records as u64, Ordering::Relaxed);
        }
    }
}

type Rows = HashMap<(Protocol, Arc<str>), Arc<Cells>>;

/// All counts since the start.
#[derive(Debug)]
pub struct Counts {
    rows: RwLock<Rows>,
    most: usize,
}

impl Default for Counts {
    fn default() -> Self {
        Self::new(4096)
    }
}

impl Counts {
    /// Counts for up to so many senders by name.
    pub fn new(senders: usize) -> Self {
        Self {
            rows: RwLock::default(),
            most: senders,
        }
    }

    pub(crate) fn of(&self, protocol: Protocol, sender: &Arc<str>) -> Counter {
        let mut key = (protocol, Arc::clone(sender));
        {
            let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(cells) = rows.get(&key) {
                return Counter(Arc::clone(cells));
            }
        }
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        if rows.len() >= self.most {
            key.1 = Arc::from("others");
        }
        Counter(Arc::clone(rows.entry(key).or_default()))
    }

    /// A copy of all counts, by protocol and sender.
    pub fn rows(&self) -> Vec<Row> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        let mut out: Vec<Row> = rows
            .iter()
            .map(|((protocol, sender), cells)| Row {
                protocol: *protocol,
                sender: Arc::clone(sender),
                requests: read(&cells.requests),
                bytes: read(&cells.bytes),
                accepted: read(&cells.accepted),
                accepted_bytes: read(&cells.accepted_bytes),
                refused: cells.refused.each_ref().map(read),
            })
            .collect();
        out.sort_by(|a, b| (a.protocol, &a.sender).cmp(&(b.protocol, &b.sender)));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_beyond_the_limit_are_counted_together() {
        let counts = Counts::new(2);
        for name in ["a", "b", "c", "d", "a"] {
            counts.of(Protocol::Bulk, &Arc::from(name)).accepted(2, 10);
        }
        let rows = counts.rows();
        let named: Vec<(&str, u64)> = rows.iter().map(|row| (&*row.sender, row.accepted)).collect();
        assert_eq!(named, [("a", 4), ("b", 2), ("others", 4)]);
    }
}
