//! Protocols by which clients hand in records, up to the durable log.
//!
//! Everything that comes in goes through one [`Intake`]: it knows who may send ([`Gate`]), how much may be under way
//! ([`Limits`]), what came ([`Counts`]), and appends to the log. A client is told that a record was taken only when the log
//! has it on disk.
//!
//! - [`router`]: Elasticsearch `_bulk`, OTLP, Splunk HEC, JSON and lines over HTTP; [`serve`] runs a router on a listener,
//!   with TLS or without.
//! - [`syslog`]: RFC 5424 and 3164 over UDP, TCP and TLS.
//! - [`follow`]: files that others write and rotate. With the feature `object-store`, `poll` reads objects that appear below a
//!   prefix of cloud storage.
//! - [`sense`]: what the sensor of this host sees.
//!
//! What is kept of a record is what came, in a form that the readers of `neph` know: a document of `_bulk` as a search hit,
//! a log record of OTLP as an OTLP request, a line as the line.
//!
//! **Architecture invariant:** no protocol parses a record further than it must to cut it out. **Architecture invariant:** nothing
//! that a client decides is unbounded: bytes, time, depth, names, connections.

mod counts;
mod follow;
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod host;
mod http;
mod intake;
mod json;
mod limits;
mod listener;
#[cfg(feature = "object-store")]
mod poll;
mod sensor;
pub mod syslog;

pub use counts::{Counts, Protocol, Refused, Row};
pub use follow::{FileGroup, FollowOptions, follow};
pub use gate::{Credentials, Gate, Secret, Sender, Tokens};
pub use http::{Peer, router};
pub use intake::{Bounded, Done, Intake, Sink};
pub use limits::{InFlight, Limits};
pub use listener::{Shutdown, Stopper, TlsError, TlsFiles, serve, shutdown};
#[cfg(feature = "object-store")]
pub use poll::{PollOptions, poll};
pub use sensor::{SensorNews, SensorOptions, sense};
