//! Alerts out of the database, and out of the ECS documents that rules make.

use neph_event::Instant;
use neph_event::{DateFormat, parse_date};
use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::Value;

use super::{AlertRecord, AlertState, HistoryEntry, Severity, StoredAlert, Verdict};
use crate::database::{from_nanos, unpack};
use crate::ledger::count_from_sql;
use crate::{Database, StoreError};

/// ECS fields whose values are what an alert is about (<https://www.elastic.co/docs/reference/ecs/ecs-field-reference>).
const ENTITY_FIELDS: [&str; 32] = [
    "agent.id",
    "client.ip",
    "cloud.account.id",
    "cloud.instance.id",
    "cloud.project.id",
    "container.id",
    "container.image.name",
    "container.name",
    "destination.domain",
    "destination.ip",
    "dns.question.name",
    "file.hash.sha256",
    "file.path",
    "host.hostname",
    "host.id",
    "host.name",
    "kubernetes.namespace",
    "kubernetes.pod.name",
    "orchestrator.cluster.name",
    "orchestrator.namespace",
    "orchestrator.resource.name",
    "process.entity_id",
    "process.executable",
    "process.name",
    "resource.id",
    "service.name",
    "source.domain",
    "source.ip",
    "url.domain",
    "user.email",
    "user.id",
    "user.name",
];
/// Values of one field that are taken.
const MAX_VALUES: usize = 64;

impl Severity {
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Low => 1,
            Self::Medium => 2,
            Self::High => 3,
            Self::Critical => 4,
        }
    }

    pub(crate) fn from_number(number: i64) -> Self {
        match number {
            ..=1 => Self::Low,
            2 => Self::Medium,
            3 => Self::High,
            4.. => Self::Critical,
        }
    }

    /// `low`, `medium`, `high`, `critical`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl AlertState {
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Open => 0,
            Self::Acknowledged => 1,
            Self::Closed => 2,
        }
    }

    pub(crate) fn from_number(number: i64) -> Self {
        match number {
            0 => Self::Open,
            1 => Self::Acknowledged,
            _ => Self::Closed,
        }
    }

    /// `open`, `acknowledged`, `closed`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Closed => "closed",
        }
    }
}

impl Verdict {
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::TruePositive => 1,
            Self::Benign => 2,
            Self::FalsePositive => 3,
        }
    }

    pub(crate) fn from_number(number: i64) -> Self {
        match number {
            1 => Self::TruePositive,
            2 => Self::Benign,
            _ => Self::FalsePositive,
        }
    }

    /// `true_positive`, `benign`, `false_positive`.
    pub fn word(self) -> &'static str {
        match self {
            Self::TruePositive => "true_positive",
            Self::Benign => "benign",
            Self::FalsePositive => "false_positive",
        }
    }
}

impl StoredAlert {
    /// Reads everything out of the ECS document of an alert, as the rules make it.
    ///
    /// # Errors
    ///
    /// It is no JSON object, or says no id (`neph.alert.id` or `event.id`) or rule (`rule.id`).
    pub fn from_document(document: Vec<u8>) -> Result<Self, StoreError> {
        let invalid = |why: String| StoreError::Invalid { why };
        let value: Value = serde_json::from_slice(&document)
            .map_err(|error| invalid(format!("the alert's document is no JSON: {error}")))?;
        let text = |path: &str| texts(&value, path).into_iter().next();
        let time = |path: &str| text(path).and_then(|text| parse_date(&text, &[DateFormat::Iso]));
        let number = |path: &str| text(path).and_then(|text| text.parse::<u64>().ok());
        let id = text("neph.alert.id")
            .or_else(|| text("event.id"))
            .ok_or_else(|| invalid("the alert's document has no id".to_owned()))?;
        let rule_id = text("rule.id").ok_or_else(|| invalid(format!("alert `{id}` names no rule")))?;
        let risk_score = number("kibana.alert.risk_score").or_else(|| number("event.risk_score"));
        let severity = match text("kibana.alert.severity").as_deref() {
            Some("critical") => Severity::Critical,
            Some("high") => Severity::High,
            Some("medium") => Severity::Medium,
            _ => Severity::Low,
        };
        let mut techniques = texts(&value, "threat.technique.id");
        techniques.extend(texts(&value, "threat.technique.subtechnique.id"));
        let (first, last) = (time("event.start"), time("event.end"));
        Ok(Self {
            rule_name: text("rule.name").unwrap_or_else(|| rule_id.clone()),
            rule_version: text("rule.version").unwrap_or_default(),
            severity,
            risk_score: u8::try_from(risk_score.unwrap_or(0).min(100)).unwrap_or(100),
            reason: text("message")
                .or_else(|| text("event.reason"))
                .unwrap_or_default(),
            time: time("@timestamp").or(last).or(first).unwrap_or_default(),
            first,
            last,
            count: number("kibana.alert.suppression.docs_count")
                .unwrap_or(0)
                .saturating_add(1),
            techniques,
            tactics: texts(&value, "threat.tactic.name"),
            tags: texts(&value, "tags"),
            entities: entities(&value),
            id,
            rule_id,
            document,
        })
    }
}

fn entities(document: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for field in ENTITY_FIELDS {
        let values = texts(document, field);
        found.extend(
            values
                .into_iter()
                .take(MAX_VALUES)
                .map(|value| (field.to_owned(), value)),
        );
    }
    // What the events of a sequence were joined by stands in the document even where the events differ otherwise.
    let keys = document
        .pointer("/neph/alert/join_keys")
        .and_then(Value::as_array);
    for key in keys.into_iter().flatten() {
        let values = texts(key, "value");
        for field in texts(key, "fields")
            .into_iter()
            .filter(|field| ENTITY_FIELDS.contains(&field.as_str()))
        {
            found.extend(values.iter().map(|value| (field.clone(), value.clone())));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Texts and numbers at a path, whose names may be written nested, with dots, or both; lists give all of theirs.
fn texts(document: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    gather(document, path, &mut found);
    found
}

fn gather(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| gather(item, path, found)),
        Value::Object(fields) => {
            if let Some(inner) = fields.get(path) {
                gather(inner, "", found);
            }
            for (dot, _) in path.match_indices('.') {
                let (name, rest) = path.split_at(dot);
                if let (Some(inner), Some(rest)) = (fields.get(name), rest.strip_prefix('.')) {
                    gather(inner, rest, found);
                }
            }
        }
        Value::String(text) if path.is_empty() => found.push(text.clone()),
        Value::Number(number) if path.is_empty() => found.push(number.to_string()),
        _ => {}
    }
}

/// Columns of an alert, in the order in which [`record`] reads them, of a table `a`.
pub(super) const COLUMNS: &str = "a.row, a.id, a.rule_id, a.rule_name, a.rule_version, a.severity, a.risk_score, a.reason,
     a.time, a.first, a.last, a.count, a.updates, a.state, a.verdict, a.close_reason, a.assignee, a.retracted, a.created,
     a.updated, a.closed";

/// An alert without its document and values, and its row.
pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<(i64, AlertRecord)> {
    let time = |index| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(index)?.map(from_nanos));
    let record = AlertRecord {
        alert: StoredAlert {
            id: row.get(1)?,
            rule_id: row.get(2)?,
            rule_name: row.get(3)?,
            rule_version: row.get(4)?,
            severity: Severity::from_number(row.get(5)?),
            risk_score: row.get(6)?,
            reason: row.get(7)?,
            time: from_nanos(row.get(8)?),
            first: time(9)?,
            last: time(10)?,
            count: count_from_sql(row, 11)?,
            techniques: Vec::new(),
            tactics: Vec::new(),
            tags: Vec::new(),
            entities: Vec::new(),
            document: Vec::new(),
        },
        updates: count_from_sql(row, 12)?,
        state: AlertState::from_number(row.get(13)?),
        verdict: row.get::<_, Option<i64>>(14)?.map(Verdict::from_number),
        close_reason: row.get(15)?,
        assignee: row.get(16)?,
        labels: Vec::new(),
        retracted: time(17)?,
        created: from_nanos(row.get(18)?),
        updated: from_nanos(row.get(19)?),
        closed: time(20)?,
    };
    Ok((row.get(0)?, record))
}

/// Adds techniques, tags and the like.
pub(super) fn add_values(db: &Connection, row: i64, record: &mut AlertRecord) -> Result<(), StoreError> {
    let mut statement =
        db.prepare_cached("SELECT kind, value FROM alert_values WHERE row = ?1 ORDER BY kind, value")?;
    let mut rows = statement.query([row])?;
    while let Some(found) = rows.next()? {
        let (kind, value): (String, String) = (found.get(0)?, found.get(1)?);
        match kind.as_str() {
            "technique" => record.alert.techniques.push(value),
            "tactic" => record.alert.tactics.push(value),
            "tag" => record.alert.tags.push(value),
            "label" => record.labels.push(value),
            field => record
                .alert
                .entities
                .push((field.trim_start_matches('=').to_owned(), value)),
        }
    }
    Ok(())
}

/// An alert with everything, by its row.
pub(crate) fn by_row(db: &Connection, row: i64) -> Result<AlertRecord, StoreError> {
    let found = db
        .prepare_cached(&format!("SELECT {COLUMNS} FROM alerts a WHERE row = ?1"))?
        .query_row([row], record)
        .optional()?;
    let (_, mut record) = found.ok_or_else(|| StoreError::Missing {
        what: "alert",
        id: row.to_string(),
    })?;
    add_values(db, row, &mut record)?;
    let packed: Option<Vec<u8>> = db
        .prepare_cached("SELECT document FROM alert_documents WHERE row = ?1")?
        .query_row([row], |row| row.get(0))
        .optional()?;
    record.alert.document = unpack(&packed.unwrap_or_default())?;
    Ok(record)
}

/// The row of an alert.
pub(super) fn row_of(db: &Connection, id: &str) -> Result<Option<i64>, StoreError> {
    Ok(db
        .prepare_cached("SELECT row FROM alerts WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?)
}

impl Database {
    /// An alert with its document.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is none of that id; the database failed.
    pub fn alert(&self, id: &str) -> Result<AlertRecord, StoreError> {
        self.read(|db| match row_of(db, id)? {
            Some(row) => by_row(db, row),
            None => Err(missing(id)),
        })
    }

    /// What happened to an alert, oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is none of that id; the database failed.
    pub fn alert_history(&self, id: &str) -> Result<Vec<HistoryEntry>, StoreError> {
        self.read(|db| {
            let row = row_of(db, id)?.ok_or_else(|| missing(id))?;
            let mut statement = db.prepare_cached(
                "SELECT h.action, c.at, c.who, c.what, c.details, h.before, h.after,
                        EXISTS (SELECT 1 FROM actions u WHERE u.undoes = c.action)
                 FROM history h JOIN actions c ON c.action = h.action WHERE h.row = ?1 ORDER BY h.action",
            )?;
            let rows = statement.query_map([row], |row| {
                Ok(HistoryEntry {
                    action: row.get(0)?,
                    at: from_nanos(row.get(1)?),
                    who: row.get(2)?,
                    what: row.get(3)?,
                    details: row.get(4)?,
                    before: row.get(5)?,
                    after: row.get(6)?,
                    undone: row.get(7)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// When the pipeline last told an alert again, if it did.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such alert; the database failed.
    pub fn told_again(&self, id: &str) -> Result<Option<Instant>, StoreError> {
        self.read(|db| {
            let row = row_of(db, id)?.ok_or_else(|| missing(id))?;
            let at: Option<i64> = db
                .prepare_cached("SELECT told_again FROM alerts WHERE row = ?1")?
                .query_row([row], |row| row.get(0))?;
            Ok(at.map(from_nanos))
        })
    }
}

pub(super) fn missing(id: &str) -> StoreError {
    StoreError::Missing {
        what: "alert",
        id: id.to_owned(),
    }
}
