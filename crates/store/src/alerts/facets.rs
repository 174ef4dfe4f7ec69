//! Counting alerts by their values.

use std::collections::HashMap;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::search::Filter;
use super::{AlertQuery, AlertState, Facet, Severity, Verdict};
use crate::{Database, StoreError};

/// Is less than one of so many alerts found, their values are looked up one by one; else all values are gone through in their order,
/// which costs less than a look-up for each.
const FEW: usize = 16;

impl Database {
    /// How many of the alerts that a query finds have each value of a facet: the most frequent first, at most `limit`.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn count_by(
        &self,
        query: &AlertQuery,
        facet: &Facet,
        limit: u32,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        let column = match facet {
            Facet::State => "a.state",
            Facet::Severity => "a.severity",
            Facet::Verdict => "a.verdict",
            Facet::Rule => "a.rule_id",
            Facet::Assignee => "coalesce(a.assignee, '')",
            Facet::Day => "date(a.time / 1000000000, 'unixepoch')",
            Facet::Technique => return self.read(|db| count_values(db, query, &["technique"], limit)),
            Facet::Tactic => return self.read(|db| count_values(db, query, &["tactic"], limit)),
            Facet::Tag => return self.read(|db| count_values(db, query, &["tag", "label"], limit)),
            Facet::Entity(field) => {
                return self.read(|db| count_values(db, query, &[&format!("={field}")], limit));
            }
        };
        self.read(|db| count_column(db, query, facet, column, limit))
    }
}

fn count_column(
    db: &Connection,
    query: &AlertQuery,
    facet: &Facet,
    column: &str,
    limit: u32,
) -> Result<Vec<(String, u64)>, StoreError> {
    let filter = Filter::of(query);
    let sql = format!(
        "SELECT {column}, count(*) FROM alerts a WHERE {} AND {column} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {limit}",
        filter.sql()
    );
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(filter.parameters), |row| {
        let name = match (facet, row.get::<_, Value>(0)?) {
            (Facet::State, Value::Integer(number)) => AlertState::from_number(number).word().to_owned(),
            (Facet::Severity, Value::Integer(number)) => Severity::from_number(number).word().to_owned(),
            (Facet::Verdict, Value::Integer(number)) => Verdict::from_number(number).word().to_owned(),
            (_, Value::Text(text)) => text,
            _ => String::new(),
        };
        Ok((name, crate::ledger::count_from_sql(row, 1)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Alerts, by their rows.
struct Rows {
    all: Vec<i64>,
    /// A bit for each row up to the greatest.
    bits: Vec<u64>,
}

impl Rows {
    fn of(db: &Connection, query: &AlertQuery) -> Result<Self, StoreError> {
        let filter = Filter::of(query);
        let mut statement =
            db.prepare_cached(&format!("SELECT a.row FROM alerts a WHERE {}", filter.sql()))?;
        let rows = statement.query_map(params_from_iter(filter.parameters), |row| row.get(0))?;
        let all: Vec<i64> = rows.collect::<Result<_, _>>()?;
        let mut bits = Vec::new();
        for (word, bit) in all.iter().filter_map(|row| place(*row)) {
            if bits.len() <= word {
                bits.resize(word + 1, 0);
            }
            if let Some(word) = bits.get_mut(word) {
                *word |= bit;
            }
        }
        Ok(Self { all, bits })
    }

    fn has(&self, row: i64) -> bool {
        place(row).is_some_and(|(word, bit)| self.bits.get(word).is_some_and(|word| word & bit != 0))
    }

    fn are_few(&self) -> bool {
        self.all.len() < self.bits.len() * 64 / FEW
    }
}

/// The word of a row's bit, and the bit. SQLite counts rows from 1.
fn place(row: i64) -> Option<(usize, u64)> {
    let row = usize::try_from(row).ok()?;
    Some((row / 64, 1 << (row % 64)))
}

/// Counts the values of these kinds; a value that an alert has of two kinds counts once.
fn count_values(
    db: &Connection,
    query: &AlertQuery,
    kinds: &[&str],
    limit: u32,
) -> Result<Vec<(String, u64)>, StoreError> {
    let found = Rows::of(db, query)?;
    let mut counts: HashMap<String, u64> = HashMap::new();
    let mut has = db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM alert_values WHERE row = ?1 AND kind = ?2 AND value = ?3)",
    )?;
    let mut before: Vec<&str> = Vec::new();
    for kind in kinds {
        let mut is_new = |row: i64, value: &str| -> Result<bool, rusqlite::Error> {
            for earlier in &before {
                if has.query_row((row, earlier, value), |row| row.get(0))? {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        if found.are_few() {
            let mut statement =
                db.prepare_cached("SELECT value FROM alert_values WHERE row = ?1 AND kind = ?2")?;
            for row in &found.all {
                let mut values = statement.query((row, kind))?;
                while let Some(value) = values.next()? {
                    let value: String = value.get(0)?;
                    if is_new(*row, &value)? {
                        *counts.entry(value).or_default() += 1;
                    }
                }
            }
        } else {
            let mut statement =
                db.prepare_cached("SELECT value, row FROM alert_values WHERE kind = ?1 ORDER BY value")?;
            let mut values = statement.query([kind])?;
            // Equal values follow one another, so each is taken out of the database once.
            let mut same: Option<(String, u64)> = None;
            while let Some(next) = values.next()? {
                let (value, row) = (next.get_ref(0)?, next.get(1)?);
                let value = value.as_str().map_err(rusqlite::Error::from)?;
                if same.as_ref().is_none_or(|(own, _)| own != value) {
                    add(&mut counts, same.replace((value.to_owned(), 0)));
                }
                if let Some((_, count)) = &mut same
                    && found.has(row)
                    && is_new(row, value)?
                {
                    *count += 1;
                }
            }
            add(&mut counts, same);
        }
        before.push(kind);
    }
    let mut counts: Vec<(String, u64)> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
    counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(counts)
}

fn add(counts: &mut HashMap<String, u64>, counted: Option<(String, u64)>) {
    if let Some((value, count)) = counted {
        *counts.entry(value).or_default() += count;
    }
}
