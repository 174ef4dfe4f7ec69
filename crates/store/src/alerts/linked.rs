//! Alerts in brief, with the values that may tie them together: what incidents are made of.

use neph_event::Instant;
use rusqlite::{Connection, params_from_iter};

use super::search::Filter;
use super::{AlertQuery, AlertState, Severity, Verdict};
use crate::database::from_nanos;
use crate::{Database, StoreError};

/// An alert in brief.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertBrief {
    /// Its id.
    pub id: String,
    /// The rule's id.
    pub rule_id: String,
    /// The rule's name.
    pub rule_name: String,
    /// How bad it is.
    pub severity: Severity,
    /// Risk score, 0 to 100.
    pub risk_score: u8,
    /// The reason in one sentence.
    pub reason: String,
    /// The time that it is filed under.
    pub time: Instant,
    /// Where it stands.
    pub state: AlertState,
    /// Of a closed alert: what it was.
    pub verdict: Option<Verdict>,
    /// Values of the entity fields that were asked for, by field.
    pub entities: Vec<(String, String)>,
    /// ATT&CK ids of techniques.
    pub techniques: Vec<String>,
    /// ATT&CK names of tactics.
    pub tactics: Vec<String>,
}

impl Database {
    /// The newest alerts that a query finds, at most `most`, in brief and in the order of time; of what they are about only these
    /// `fields` are told. The second is whether there are more.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn brief(
        &self,
        query: &AlertQuery,
        fields: &[&str],
        most: u32,
    ) -> Result<(Vec<AlertBrief>, bool), StoreError> {
        self.read(|db| brief(db, query, fields, most))
    }
}

fn brief(
    db: &Connection,
    query: &AlertQuery,
    fields: &[&str],
    most: u32,
) -> Result<(Vec<AlertBrief>, bool), StoreError> {
    let filter = Filter::of(query);
    let mut statement = db.prepare_cached(&format!(
        "SELECT a.row, a.id, a.rule_id, a.rule_name, a.severity, a.risk_score, a.reason, a.time, a.state, a.verdict
         FROM alerts a WHERE {} ORDER BY a.time DESC, a.row DESC LIMIT {}",
        filter.sql(),
        u64::from(most) + 1
    ))?;
    let mut values = db.prepare_cached("SELECT kind, value FROM alert_values WHERE row = ?1")?;
    let mut rows = statement.query(params_from_iter(filter.parameters))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if found.len() == most as usize {
            found.reverse();
            return Ok((found, true));
        }
        let mut alert = AlertBrief {
            id: row.get(1)?,
            rule_id: row.get(2)?,
            rule_name: row.get(3)?,
            severity: Severity::from_number(row.get(4)?),
            risk_score: row.get(5)?,
            reason: row.get(6)?,
            time: from_nanos(row.get(7)?),
            state: AlertState::from_number(row.get(8)?),
            verdict: row.get::<_, Option<i64>>(9)?.map(Verdict::from_number),
            entities: Vec::new(),
            techniques: Vec::new(),
            tactics: Vec::new(),
        };
        let mut own = values.query([row.get::<_, i64>(0)?])?;
        while let Some(value) = own.next()? {
            let kind = value.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            match kind.strip_prefix('=') {
                Some(field) if fields.contains(&field) => {
                    let field = field.to_owned();
                    alert.entities.push((field, value.get(1)?));
                }
                None if kind == "technique" => alert.techniques.push(value.get(1)?),
                None if kind == "tactic" => alert.tactics.push(value.get(1)?),
                _ => {}
            }
        }
        found.push(alert);
    }
    found.reverse();
    Ok((found, false))
}
