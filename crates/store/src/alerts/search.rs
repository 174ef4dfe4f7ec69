//! Finding and counting alerts.

use neph_event::Instant;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::read::{COLUMNS, add_values, record};
use super::{AlertPage, AlertQuery, AlertSort, AlertState, Cursor, Facet, Severity};
use crate::database::to_nanos;
use crate::{Database, StoreError};

/// Most alerts of one page.
const MAX_PAGE: u32 = 1000;
/// Most words of a text that are looked for.
const MAX_WORDS: usize = 32;

impl Cursor {
    /// Reads what [`Cursor`]'s `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('_').map(|part| part.parse::<i64>().ok());
        let cursor = Self {
            keys: [parts.next()??, parts.next()??],
            row: parts.next()??,
        };
        parts.next().is_none().then_some(cursor)
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [first, second] = self.keys;
        write!(f, "{first}_{second}_{}", self.row)
    }
}

impl Database {
    /// A page of the alerts that a query finds, at most `limit` (and never more than 1,000). The greatest come first, or with
    /// `ascending` the least.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn search(
        &self,
        query: &AlertQuery,
        sort: AlertSort,
        ascending: bool,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<AlertPage, StoreError> {
        self.read(|db| search(db, query, sort, ascending, after, limit.clamp(1, MAX_PAGE)))
    }

    /// How many alerts a query finds.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn count_alerts(&self, query: &AlertQuery) -> Result<u64, StoreError> {
        self.read(|db| {
            let filter = Filter::of(query);
            let sql = format!("SELECT count(*) FROM alerts a WHERE {}", filter.sql());
            let mut statement = db.prepare_cached(&sql)?;
            let count: i64 = statement.query_row(params_from_iter(filter.parameters), |row| row.get(0))?;
            Ok(u64::try_from(count).unwrap_or(0))
        })
    }

    /// How many of the alerts that a query finds lie in each stretch of time of a length in nanoseconds, counted from 1970 on, by
    /// their severity or their state: start, value and count, in the order of time; empty stretches are left out.
    ///
    /// # Errors
    ///
    /// The database failed; another facet, or no length, is [`StoreError::Invalid`].
    pub fn histogram(
        &self,
        query: &AlertQuery,
        facet: &Facet,
        length: i64,
    ) -> Result<Vec<(Instant, String, u64)>, StoreError> {
        let value = match facet {
            Facet::State => "a.state",
            Facet::Severity => "a.severity",
            _ => {
                return Err(StoreError::Invalid {
                    why: "a histogram is by severity or by state".to_owned(),
                });
            }
        };
        if length <= 0 {
            return Err(StoreError::Invalid {
                why: "a histogram needs stretches of some length".to_owned(),
            });
        }
        self.read(|db| {
            let filter = Filter::of(query);
            // The remainder is taken twice so that times before 1970 round down, too.
            let start = format!("a.time - ((a.time % {length}) + {length}) % {length}");
            let mut statement = db.prepare_cached(&format!(
                "SELECT {start}, {value}, count(*) FROM alerts a WHERE {} GROUP BY 1, 2 ORDER BY 1, 2",
                filter.sql()
            ))?;
            let rows = statement.query_map(params_from_iter(filter.parameters), |row| {
                let number: i64 = row.get(1)?;
                let word = match facet {
                    Facet::State => AlertState::from_number(number).word(),
                    _ => Severity::from_number(number).word(),
                };
                let count = crate::ledger::count_from_sql(row, 2)?;
                Ok((crate::database::from_nanos(row.get(0)?), word.to_owned(), count))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

fn search(
    db: &Connection,
    query: &AlertQuery,
    sort: AlertSort,
    ascending: bool,
    after: Option<&Cursor>,
    limit: u32,
) -> Result<AlertPage, StoreError> {
    let [first, second] = match sort {
        AlertSort::Time => ["a.time", "0"],
        AlertSort::Severity => ["a.severity", "a.time"],
        AlertSort::Risk => ["a.risk_score", "a.time"],
        AlertSort::Updated => ["a.updated", "0"],
    };
    let (order, beyond) = if ascending { ("ASC", ">") } else { ("DESC", "<") };
    let mut filter = Filter::of(query);
    if let Some(cursor) = after {
        let [first_key, second_key] = cursor.keys;
        // The first comparison alone lets the index begin where the page does.
        filter.add(&format!("{first} {beyond}= ?"), [Value::from(first_key)]);
        filter.add(
            &format!("({first}, {second}, a.row) {beyond} (?, ?, ?)"),
            [first_key.into(), second_key.into(), cursor.row.into()],
        );
    }
    let keys = match second {
        "0" => format!("{first} {order}"),
        _ => format!("{first} {order}, {second} {order}"),
    };
    let sql = format!(
        "SELECT {COLUMNS}, {first}, {second} FROM alerts a WHERE {} ORDER BY {keys}, a.row {order} LIMIT {}",
        filter.sql(),
        limit + 1
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(filter.parameters))?;
    let mut page = AlertPage::default();
    let mut last = None;
    while let Some(row) = rows.next()? {
        if page.alerts.len() == limit as usize {
            page.next = last;
            break;
        }
        let (number, mut alert) = record(row)?;
        add_values(db, number, &mut alert)?;
        last = Some(Cursor {
            keys: [row.get(21)?, row.get(22)?],
            row: number,
        });
        page.alerts.push(alert);
    }
    Ok(page)
}

/// The condition of a query, with its parameters in order.
pub(super) struct Filter {
    conditions: Vec<String>,
    pub(super) parameters: Vec<Value>,
}

impl Filter {
    pub(super) fn of(query: &AlertQuery) -> Self {
        let mut filter = Self {
            conditions: Vec::new(),
            parameters: Vec::new(),
        };
        filter.one_of("a.state", query.states.iter().map(|state| state.number().into()));
        filter.one_of(
            "a.severity",
            query.severities.iter().map(|severity| severity.number().into()),
        );
        filter.one_of(
            "a.verdict",
            query.verdicts.iter().map(|verdict| verdict.number().into()),
        );
        filter.one_of("a.rule_id", query.rules.iter().map(|rule| rule.clone().into()));
        filter.one_of(
            "coalesce(a.assignee, '')",
            query
                .assignees
                .iter()
                .map(|assignee| assignee.clone().unwrap_or_default().into()),
        );
        if !query.techniques.is_empty() {
            let each =
                vec!["value = ? OR substr(value, 1, length(?) + 1) = ? || '.'"; query.techniques.len()]
                    .join(" OR ");
            let values = query
                .techniques
                .iter()
                .flat_map(|id| [id, id, id])
                .map(|id| Value::from(id.clone()));
            filter.add(&in_values(&format!("kind = 'technique' AND ({each})")), values);
        }
        filter.valued("kind = 'tactic'", &query.tactics);
        filter.valued("kind IN ('tag', 'label')", &query.tags);
        let mut fields: Vec<&str> = query.entities.iter().map(|(field, _)| field.as_str()).collect();
        fields.sort_unstable();
        fields.dedup();
        for field in fields {
            let of_field = query.entities.iter().filter(|(name, _)| name == field);
            let values: Vec<Value> = of_field.map(|(_, value)| value.clone().into()).collect();
            let (kind, kind_value) = match field {
                "" => ("substr(kind, 1, 1) = '='", None),
                _ => ("kind = ?", Some(Value::from(format!("={field}")))),
            };
            filter.add(
                &in_values(&format!("{kind} AND value IN ({})", marks(values.len()))),
                kind_value.into_iter().chain(values),
            );
        }
        if let Some(expression) = full_text(&query.text) {
            filter.add(
                "a.row IN (SELECT rowid FROM alert_text WHERE alert_text MATCH ?)",
                [expression.into()],
            );
        }
        if let Some(from) = query.from {
            filter.add("a.time >= ?", [to_nanos(from).into()]);
        }
        if let Some(to) = query.to {
            filter.add("a.time < ?", [to_nanos(to).into()]);
        }
        if let Some(from) = query.updated_from {
            filter.add("a.updated >= ?", [to_nanos(from).into()]);
        }
        if !query.retracted {
            filter.add("a.retracted IS NULL", []);
        }
        for other in &query.excluded {
            let other = Self::of(&AlertQuery {
                retracted: true,
                ..other.clone()
            });
            // What an alert lacks it cannot have: a comparison with nothing is neither true nor false in SQL.
            filter.add(&format!("NOT coalesce({}, 0)", other.sql()), other.parameters);
        }
        filter
    }

    /// Adds a condition with `?` for its parameters.
    fn add(&mut self, condition: &str, parameters: impl IntoIterator<Item = Value>) {
        self.conditions.push(format!("({condition})"));
        self.parameters.extend(parameters);
    }

    fn one_of(&mut self, column: &str, values: impl ExactSizeIterator<Item = Value>) {
        if values.len() > 0 {
            self.add(&format!("{column} IN ({})", marks(values.len())), values);
        }
    }

    fn valued(&mut self, kind: &str, values: &[String]) {
        if !values.is_empty() {
            let condition = in_values(&format!("{kind} AND value IN ({})", marks(values.len())));
            self.add(&condition, values.iter().map(|value| value.clone().into()));
        }
    }

    pub(super) fn sql(&self) -> String {
        match self.conditions.is_empty() {
            true => "1".to_owned(),
            false => format!("({})", self.conditions.join(" AND ")),
        }
    }
}

fn in_values(condition: &str) -> String {
    format!("a.row IN (SELECT row FROM alert_values WHERE {condition})")
}

fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}

/// Words as an FTS5 expression: each quoted, so that nothing of them is syntax, the last as a beginning
/// (<https://www.sqlite.org/fts5.html#full_text_query_syntax>).
fn full_text(text: &str) -> Option<String> {
    let has_letters = |word: &&str| word.chars().any(char::is_alphanumeric);
    let words: Vec<String> = text
        .split_whitespace()
        .filter(has_letters)
        .take(MAX_WORDS)
        .map(|word| format!("\"{}\"", word.replace('"', "\"\"")))
        .collect();
    (!words.is_empty()).then(|| words.join(" ") + "*")
}
