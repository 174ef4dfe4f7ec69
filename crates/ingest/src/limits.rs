//! Bounds of everything that a client decides, and the bytes that may be under way at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

/// Bounds for clients. Each has a reason in `docs/ingest.md`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Most bytes of a request's body, decompressed.
    pub body_bytes: usize,
    /// Most bytes of one record; a longer one is refused, the others of its request are taken.
    pub record_bytes: usize,
    /// Most bytes of all clients that are held in memory until they are durable.
    pub in_flight_bytes: usize,
    /// A body may become so many times as long by decompression once it is past [`Self::ratio_from_bytes`].
    pub ratio: usize,
    /// Decompressed bytes from which on the ratio is watched: short texts compress well without harm.
    pub ratio_from_bytes: usize,
    /// Most bytes of a request's line and headers together.
    pub header_bytes: usize,
    /// Most headers of a request.
    pub headers: usize,
    /// Time for a request's line and headers to come.
    pub header_time: Duration,
    /// Time between two pieces of a body, and between two pieces of a syslog stream's unfinished line.
    pub piece_time: Duration,
    /// Time for a whole body.
    pub body_time: Duration,
    /// Time for a TLS handshake.
    pub handshake_time: Duration,
    /// A syslog connection over which nothing came for so long is closed.
    pub idle_time: Duration,
    /// Most connections of one listener.
    pub connections: usize,
    /// Most connections of one address at one listener.
    pub connections_of_peer: usize,
    /// Most bytes of a line of syslog or of a followed file.
    pub line_bytes: usize,
    /// Most names of streams; records of further ones go to one stream, `PROTOCOL/others`.
    pub streams: usize,
    /// Most senders that are counted by name.
    pub senders: usize,
    /// Names by which a listener on loopback is asked beside addresses and `localhost`; with any, every listener takes only them.
    pub hosts: Arc<[String]>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 64 << 20,
            record_bytes: 8 << 20,
            in_flight_bytes: 256 << 20,
            ratio: 250,
            ratio_from_bytes: 4 << 20,
            header_bytes: 32 << 10,
            headers: 100,
            header_time: Duration::from_secs(15),
            piece_time: Duration::from_secs(20),
            body_time: Duration::from_secs(180),
            handshake_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(15 * 60),
            connections: 2048,
            connections_of_peer: 512,
            line_bytes: 256 << 10,
            streams: 4096,
            senders: 4096,
            hosts: Arc::new([]),
        }
    }
}

/// Bytes that one permit stands for; a body takes whole ones.
const UNIT: usize = 1 << 10;

/// The bytes that all clients together may have under way.
#[derive(Clone, Debug)]
pub struct InFlight {
    free: Arc<Semaphore>,
    units: usize,
}

impl InFlight {
    /// So many bytes, rounded up.
    pub fn new(bytes: usize) -> Self {
        let units = bytes
            .div_ceil(UNIT)
            .clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Self {
            free: Arc::new(Semaphore::new(units)),
            units,
        }
    }

    /// Bytes under way now.
    pub fn bytes(&self) -> usize {
        self.units.saturating_sub(self.free.available_permits()) * UNIT
    }

    /// A reservation of nothing, which can grow.
    pub(crate) fn nothing(&self) -> Reservation {
        Reservation {
            free: Arc::clone(&self.free),
            units: self.units,
            held: None,
        }
    }
}

/// Bytes that are reserved until it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    free: Arc<Semaphore>,
    units: usize,
    held: Option<OwnedSemaphorePermit>,
}

impl Reservation {
    fn missing(&self, bytes: usize) -> u32 {
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        // What is longer than everything together may still come alone.
        let wanted = bytes.div_ceil(UNIT).min(self.units);
        u32::try_from(wanted.saturating_sub(held)).unwrap_or(u32::MAX)
    }

    fn add(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.held {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
    }

    /// Reserves up to `bytes` in all, or says at once that there is no room. It never waits: two bodies that each wait for
    /// the other's bytes would wait for ever.
    pub(crate) fn try_grow(&mut self, bytes: usize) -> bool {
        let missing = self.missing(bytes);
        if missing == 0 {
            return true;
        }
        match Arc::clone(&self.free).try_acquire_many_owned(missing) {
            Ok(permit) => {
                self.add(permit);
                true
            }
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => false,
        }
    }

    /// Reserves `bytes` in all, waiting until there is room. Only for who holds nothing yet.
    pub(crate) async fn wait_for(&mut self, bytes: usize) {
        let missing = self.missing(bytes);
        if missing > 0
            && let Ok(permit) = Arc::clone(&self.free).acquire_many_owned(missing).await
        {
            self.add(permit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_given_back_and_never_overdrawn() {
        let flight = InFlight::new(10 << 10);
        let mut first = flight.nothing();
        assert!(first.try_grow(6 << 10));
        assert!(first.try_grow(5 << 10), "growing to less changes nothing");
        assert_eq!(flight.bytes(), 6 << 10);
        let mut second = flight.nothing();
        assert!(!second.try_grow((4 << 10) + 1));
        assert!(second.try_grow(4 << 10));
        drop(first);
        assert_eq!(flight.bytes(), 4 << 10);
        drop(second);
        assert!(
            flight.nothing().try_grow(usize::MAX),
            "what is too long may come alone"
        );
        assert_eq!(flight.bytes(), 0);
    }
}
