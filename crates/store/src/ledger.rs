//! The coverage ledger: which rules evaluated which events of which stream, with what loss, and when nobody watched.

mod condense;
mod gaps;
mod names;
mod rows;
mod rule_sets;
mod unseen;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use neph_event::Instant;

use crate::log::Offset;

pub use names::{NameCount, NameRow};
pub(crate) use rows::{count_from_sql, count_to_sql, merge};
pub(crate) use unseen::note;

/// What became of the records of one block. The store adds up rows of the same stream, minute of receipt and rule set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerRow {
    /// The block's stream.
    pub stream: String,
    /// When the block was received.
    pub received: Instant,
    /// The rule set that evaluated it.
    pub rule_set: String,
    /// The block's offsets.
    pub offsets: Range<Offset>,
    /// Least and greatest event time, where any record has one.
    pub times: Option<(Instant, Instant)>,
    /// Records that the rules saw (or that became part of a record that they saw).
    pub evaluated: u64,
    /// Records that could not be read.
    pub refused: u64,
    /// Records that a rule of the source's configuration drops.
    pub dropped: u64,
    /// Events that the evaluated records became.
    pub events: u64,
    /// Of the evaluated records: those that no normaliser knows.
    pub unrecognised: u64,
    /// Of the evaluated records: those too late for windows that were decided already.
    pub late: u64,
    /// Bytes of the records.
    pub bytes: u64,
    /// Of the evaluated records: those without a time of their own, whose time is that of their receipt.
    pub untimed: u64,
    /// Where the records say that they belong; empty in what is read.
    pub names: Vec<NameCount>,
}

/// A stretch of minutes in which one rule set evaluated one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// Start of the first minute, and end of the last, by time of receipt.
    pub received: Range<Instant>,
    /// What is added up; `received` and `offsets` span all.
    pub total: LedgerRow,
}

/// Whether a rule runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleHealth {
    /// It runs.
    Active,
    /// It runs, and something that it asks for is not there.
    Degraded,
    /// It does not run.
    Rejected,
}

/// One rule of a rule set.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RuleInSet {
    /// The rule's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// A hash of what it does: changes exactly when the rule may find something else.
    pub version: String,
    /// Whether it runs.
    pub health: RuleHealth,
    /// Why not, or what is missing.
    pub why: String,
}

/// The rules that ran together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSet {
    /// A hash of all of it.
    pub id: String,
    /// Its rules.
    pub rules: Vec<RuleInSet>,
}

/// Records that were lost outside the log, such as datagrams that the system dropped, or a stretch of the log that cannot be
/// read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossRow {
    /// The stream; empty if it is not known.
    pub stream: String,
    /// From when, by time of receipt.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
    /// How many records, where that is known.
    pub records: Option<u64>,
    /// How they were lost, lower case.
    pub why: String,
}

/// Why something was not seen, where that follows from nothing else in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnseenKind {
    /// The store took no records, and said so to those who sent them. Times are of receipt.
    Untaken,
    /// Records came when a rule had decided the windows that they belong to. Times are of events.
    Late,
    /// A rule ran without the history that it looks back on. Times are of events.
    History,
}

/// A stretch in which something was not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// Why.
    pub kind: UnseenKind,
    /// The stream, or empty.
    pub stream: String,
    /// The rule, or empty.
    pub rule: String,
    /// From when.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
    /// How many records: of `Untaken` all, else those that are new.
    pub records: u64,
    /// Why in words, lower case.
    pub why: String,
    /// Whether it is over.
    pub ended: bool,
}

/// How a back-fill stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackfillState {
    /// It runs, or did when the service stopped.
    Running,
    /// It read everything.
    Done,
    /// It broke off.
    Failed,
}

/// One run of one rule over history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backfill {
    /// Its number; 0 in a new one.
    pub id: i64,
    /// The rule; `*` for all of the rule set.
    pub rule: String,
    /// The rule's version, or the rule set's id.
    pub version: String,
    /// Event times that it covers: from, inclusive.
    pub from: Instant,
    /// Until, exclusive.
    pub to: Instant,
    /// When it was started.
    pub started: Instant,
    /// When it ended.
    pub finished: Option<Instant>,
    /// Records read so far.
    pub records: u64,
    /// Alerts found.
    pub alerts: u64,
    /// Of these, alerts that were not there before.
    pub new_alerts: u64,
    /// How it stands.
    pub state: BackfillState,
    /// Why it failed, or who started it.
    pub detail: String,
}

/// What kind of time nobody watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum GapKind {
    /// The service did not run.
    ServiceDown,
    /// A source that sent before sent nothing.
    SourceSilent,
    /// A rule was rejected.
    RuleBroken,
    /// A rule of the newest set was not loaded. That it was there in another version is no gap.
    RuleAbsent,
    /// Records were lost or could not be read.
    Loss,
    /// Records came that could not be read.
    Refused,
    /// Records came too late for the windows of a rule.
    Late,
    /// The store took no records: those who sent them were told to send again, and some cannot.
    Untaken,
    /// A rule ran without the history that it looks back on.
    HistoryMissing,
}

/// A stretch of time in which something was not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// What kind.
    pub kind: GapKind,
    /// From when.
    pub from: Instant,
    /// Until when; the end of what was asked for if it lasts.
    pub to: Instant,
    /// Does it last.
    pub open: bool,
    /// The stream, where it concerns one.
    pub stream: Option<String>,
    /// The rule, where it concerns one.
    pub rule: Option<String>,
    /// Records that are concerned, where that is known.
    pub records: Option<u64>,
    /// Why, lower case.
    pub why: String,
    /// Numbers of the back-fills that together cover all of it; empty while it is not closed.
    pub closed_by: Vec<i64>,
}

/// After what time a stream counts as silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilenceLimits {
    /// At least this long.
    pub least: Duration,
    /// And this many times the stream's usual pause.
    pub factor: u32,
    /// Streams, by the beginning of their names, with a limit of their own; the longest beginning holds.
    pub streams: BTreeMap<String, Duration>,
}

impl Default for SilenceLimits {
    fn default() -> Self {
        Self {
            least: Duration::from_secs(15 * 60),
            factor: 10,
            streams: BTreeMap::new(),
        }
    }
}

/// Whether all records of a stream are accounted for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// The stream.
    pub stream: String,
    /// Records that the log took since it began, those removed by retention included.
    pub received: u64,
    /// Records that the rules saw.
    pub evaluated: u64,
    /// Records that could not be read.
    pub refused: u64,
    /// Records that the configuration drops.
    pub dropped: u64,
    /// Records behind the processed offset.
    pub pending: u64,
}

impl Balance {
    /// Does it add up.
    pub fn holds(&self) -> bool {
        self.evaluated
            .checked_add(self.refused)
            .and_then(|sum| sum.checked_add(self.dropped))
            .and_then(|sum| sum.checked_add(self.pending))
            == Some(self.received)
    }
}

/// Nanoseconds of a minute.
const MINUTE: i64 = 60_000_000_000;

/// The start of the minute that holds a time.
fn nanos_of_minute(time: Instant) -> i64 {
    let nanos = crate::database::to_nanos(time);
    nanos.saturating_sub(nanos.rem_euclid(MINUTE))
}
