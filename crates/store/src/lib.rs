//! What the service keeps, in one data directory, without any other server.
//!
//! - [`EventLog`]: records as they were received, in order, compressed, durable before they are acknowledged. It is the
//!   write-ahead log that the pipeline reads and the history that searches read.
//! - [`Database`]: alerts and what analysts did with them, the coverage ledger, the outbox, tokens, the audit log.
//! - [`Snapshots`]: blobs of the pipeline's state.
//!
//! A record is acknowledged when [`EventLog::append`] returns. What the pipeline made of a stretch of the log becomes durable
//! together with the offset that it reached, in one transaction ([`Database::commit`]); after a crash the pipeline reads on
//! from there, and alerts that it raises again are known by their ids.
//!
//! **Architecture invariant:** this crate knows no rule, no language and no vendor's records, and reads no clock: times are
//! handed in.

mod alerts;
mod audit;
mod database;
mod error;
mod jobs;
mod ledger;
mod log;
mod outbox;
mod runs;
mod snapshots;
mod store;
mod tokens;

pub use alerts::{
    ActionDone, AlertAction, AlertBrief, AlertChange, AlertPage, AlertQuery, AlertRecord, AlertSort,
    AlertState, Cursor, Facet, HistoryEntry, Selection, Severity, StoredAlert, Undone, Verdict,
};
pub use audit::{AuditEntry, AuditQuery};
pub use database::{Commit, Committed, Database};
pub use error::{GapReason, StoreError};
pub use jobs::{Job, JobEnd, JobFinding, JobRun, JobState, Seen};
pub use ledger::{
    Backfill, BackfillState, Balance, Gap, GapKind, Interval, LedgerRow, LossRow, NameCount, NameRow,
    RuleHealth, RuleInSet, RuleSet, SilenceLimits, Unseen, UnseenKind,
};
pub use log::{
    Batch, Block, Blocks, Damage, EventLog, Limits, LogRecovery, Offset, Records, Removed, StreamCount,
    TornTail, Untaken,
};
pub use outbox::{Delivery, DeliveryKind, OutboxCounts, Together};
pub use runs::Run;
pub use snapshots::{Snapshot, SnapshotNotice, Snapshots};
pub use store::{Recovery, Store, StoreOptions};
pub use tokens::{NewToken, Role, Token, TokenRecord};
