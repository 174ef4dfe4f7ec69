//! Alerts as the store keeps them, and what analysts do with them.

mod actions;
mod commit;
mod facets;
mod linked;
mod read;
mod search;

use neph_event::Instant;

pub(crate) use commit::apply;
pub use linked::AlertBrief;
pub(crate) use read::by_row;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// `low`.
    Low,
    /// `medium`.
    Medium,
    /// `high`.
    High,
    /// `critical`.
    Critical,
}

/// Where an alert stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// Nobody has looked at it.
    Open,
    /// Somebody is on it.
    Acknowledged,
    /// Done, with a verdict.
    Closed,
}

/// What an analyst found an alert to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is what the rule says.
    TruePositive,
    /// What the rule says happened, and it was allowed.
    Benign,
    /// What the rule says did not happen.
    FalsePositive,
}

/// What the pipeline tells of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAlert {
    /// Hash of the rule and its events: the same alert has the same id however often it is raised.
    pub id: String,
    /// The rule's id.
    pub rule_id: String,
    /// The rule's name.
    pub rule_name: String,
    /// The rule's version as its file says, or empty.
    pub rule_version: String,
    /// How bad it is.
    pub severity: Severity,
    /// Risk score, 0 to 100.
    pub risk_score: u8,
    /// The reason in one sentence.
    pub reason: String,
    /// The time that the alert is filed under, usually of its last event.
    pub time: Instant,
    /// Time of the first event.
    pub first: Option<Instant>,
    /// Time of the last event.
    pub last: Option<Instant>,
    /// How many alerts or events it stands for, at least 1; grows as a suppressed or grouped alert is updated.
    pub count: u64,
    /// ATT&CK ids of techniques and subtechniques.
    pub techniques: Vec<String>,
    /// ATT&CK names of tactics.
    pub tactics: Vec<String>,
    /// The rule's tags.
    pub tags: Vec<String>,
    /// What it is about: ECS field and value, for example `host.name` and `web-1`.
    pub entities: Vec<(String, String)>,
    /// The whole ECS document as JSON.
    pub document: Vec<u8>,
}

/// A change of the alerts that the pipeline made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertChange {
    /// An alert. Raised once more with the same id it changes nothing.
    Raised(StoredAlert),
    /// The alert stands for more now: replaces document, times, count and reason, never what analysts did. Is the alert
    /// unknown, it is raised.
    Updated(StoredAlert),
    /// A late event shows that it was none. It is kept and marked; raised again later, the mark goes.
    Retracted {
        /// The alert's id.
        id: String,
    },
}

/// An alert with what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRecord {
    /// What the pipeline told. `document` is empty in pages of [`Database::search`](crate::Database::search).
    pub alert: StoredAlert,
    /// Where it stands.
    pub state: AlertState,
    /// Of a closed alert: what it was.
    pub verdict: Option<Verdict>,
    /// Of a closed alert: why, in the analyst's words.
    pub close_reason: Option<String>,
    /// Who is on it.
    pub assignee: Option<String>,
    /// Tags of analysts; the rule's are in `alert.tags`.
    pub labels: Vec<String>,
    /// Is it withdrawn, since when.
    pub retracted: Option<Instant>,
    /// When it was stored.
    pub created: Instant,
    /// When anything of it changed last.
    pub updated: Instant,
    /// When it was closed.
    pub closed: Option<Instant>,
    /// How often the pipeline updated it.
    pub updates: u64,
}

impl AlertRecord {
    /// An alert that was stored at that time, and that nobody has done anything with.
    pub fn new(alert: StoredAlert, created: Instant) -> Self {
        Self {
            alert,
            state: AlertState::Open,
            verdict: None,
            close_reason: None,
            assignee: None,
            labels: Vec::new(),
            retracted: None,
            created,
            updated: created,
            closed: None,
            updates: 0,
        }
    }
}

/// Which alerts. Everything that is given must hold; of a list with several values one must; an empty list asks nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertQuery {
    /// States.
    pub states: Vec<AlertState>,
    /// Severities.
    pub severities: Vec<Severity>,
    /// Verdicts.
    pub verdicts: Vec<Verdict>,
    /// Ids of rules.
    pub rules: Vec<String>,
    /// ATT&CK ids of techniques; `T1059` finds its subtechniques too.
    pub techniques: Vec<String>,
    /// ATT&CK names of tactics.
    pub tactics: Vec<String>,
    /// Tags, of rules or of analysts.
    pub tags: Vec<String>,
    /// Assignees; `None` stands for nobody.
    pub assignees: Vec<Option<String>>,
    /// ECS field and value; an empty field finds the value in any field. Several of one field: one must hold; of different
    /// fields: each must.
    pub entities: Vec<(String, String)>,
    /// Words that all stand in the alert's reason, rule, tags, entities or other values; the last may be the beginning of one.
    pub text: String,
    /// Not before.
    pub from: Option<Instant>,
    /// Before.
    pub to: Option<Instant>,
    /// Changed then or later.
    pub updated_from: Option<Instant>,
    /// Withdrawn alerts too.
    pub retracted: bool,
    /// None of these may find the alert. Theirs count withdrawn alerts whatever they say of them.
    pub excluded: Vec<AlertQuery>,
}

/// What a page is sorted by; equal ones by id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AlertSort {
    /// The alert's time.
    #[default]
    Time,
    /// Severity, then time.
    Severity,
    /// Risk score, then time.
    Risk,
    /// When anything of it changed last.
    Updated,
}

/// Where a page ended: opaque, made by [`AlertPage::next`], read back by [`Cursor::parse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) keys: [i64; 2],
    pub(crate) row: i64,
}

/// One page of alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertPage {
    /// The alerts, without documents.
    pub alerts: Vec<AlertRecord>,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
}

/// What alerts are counted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Facet {
    /// [`AlertState`], as `open`, `acknowledged`, `closed`.
    State,
    /// [`Severity`], as `low` …
    Severity,
    /// [`Verdict`]; alerts without one are not counted.
    Verdict,
    /// Id of the rule.
    Rule,
    /// ATT&CK id of techniques.
    Technique,
    /// ATT&CK name of tactics.
    Tactic,
    /// Who is on it; empty for nobody.
    Assignee,
    /// Tags of rules and analysts.
    Tag,
    /// Values of one ECS field among the entities.
    Entity(String),
    /// The day in UTC, as `2026-11-22`.
    Day,
}

/// What an analyst does with alerts.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum AlertAction {
    /// Open again, or for the first time.
    Open,
    /// Somebody looks at it.
    Acknowledge,
    /// Done.
    Close {
        /// What it was.
        verdict: Verdict,
        /// Why, in the analyst's words; may be empty.
        reason: String,
    },
    /// Puts it on somebody's desk, or on nobody's.
    Assign {
        /// Who.
        assignee: Option<String>,
    },
    /// Adds a note.
    Note {
        /// The note.
        text: String,
    },
    /// Adds tags.
    AddTags {
        /// The tags.
        tags: Vec<String>,
    },
    /// Takes tags away; those of the rule stay.
    RemoveTags {
        /// The tags.
        tags: Vec<String>,
    },
}

/// Which alerts an action is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// These.
    Ids(Vec<String>),
    /// All that a query finds.
    Query(Box<AlertQuery>),
}

/// What an action did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionDone {
    /// Number of the action, by which it can be undone. 0 if nothing changed.
    pub action: i64,
    /// Alerts that it changed.
    pub changed: u64,
    /// Alerts for which it already was so.
    pub unchanged: u64,
    /// Ids that no alert has.
    pub missing: Vec<String>,
}

/// What undoing an action did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undone {
    /// Number of the action that was undone.
    pub action: i64,
    /// Alerts that are as before.
    pub restored: u64,
    /// Alerts that somebody changed since, and that therefore stay as they are.
    pub changed_since: u64,
}

/// Who did what to an alert, and when. Entries are added and never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Number of the action; one action may concern many alerts.
    pub action: i64,
    /// When.
    pub at: Instant,
    /// Who.
    pub who: String,
    /// What: `undo`, or the name of an [`AlertAction`], as `close` or `add_tags`.
    pub what: String,
    /// The [`AlertAction`] as JSON; of `undo`, the number of the action.
    pub details: String,
    /// As JSON: state, verdict, reason, assignee and tags before.
    pub before: String,
    /// The same afterwards.
    pub after: String,
    /// Was it undone later.
    pub undone: bool,
}
