//! Types that several routes speak of.

use neph_event::Instant;
use neph_store::{AlertQuery, AlertRecord, AlertState, Role, Severity, Verdict};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::problem::Problem;
use crate::when;

/// An alert with what became of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Alert {
    /// Hash of the rule and its events.
    pub(crate) id: String,
    /// The rule's id.
    rule_id: String,
    /// The rule's name.
    rule_name: String,
    /// The rule's version, or empty.
    rule_version: String,
    /// `low`, `medium`, `high` or `critical`.
    severity: String,
    /// 0 to 100.
    risk_score: u8,
    /// What happened, in one sentence.
    reason: String,
    /// The time that it is filed under.
    time: String,
    /// Time of the first event.
    first: Option<String>,
    /// Time of the last event.
    last: Option<String>,
    /// How many alerts or events it stands for.
    count: u64,
    /// ATT&CK ids of techniques.
    techniques: Vec<String>,
    /// ATT&CK names of tactics.
    tactics: Vec<String>,
    /// The rule's tags.
    tags: Vec<String>,
    /// What it is about.
    entities: Vec<Entity>,
    /// `open`, `acknowledged` or `closed`.
    status: String,
    /// Of a closed alert: `true_positive`, `benign` or `false_positive`.
    verdict: Option<String>,
    /// Of a closed alert: why.
    close_reason: Option<String>,
    /// Who is on it.
    assignee: Option<String>,
    /// Tags of analysts.
    labels: Vec<String>,
    /// Since when it is withdrawn, if it is.
    retracted: Option<String>,
    /// When it was stored.
    created: String,
    /// When anything of it changed last.
    pub(crate) updated: String,
    /// When it was closed.
    closed: Option<String>,
    /// How often it was told again.
    updates: u64,
}

/// A field and a value.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Entity {
    /// The ECS field.
    pub(crate) field: String,
    /// The value.
    pub(crate) value: String,
}

/// The word that a value of the store is written as.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

/// A time as it is written.
pub(crate) fn time(time: Option<Instant>) -> Option<String> {
    time.map(|time| time.to_string())
}

impl From<&AlertRecord> for Alert {
    fn from(record: &AlertRecord) -> Self {
        let alert = &record.alert;
        let entity = |(field, value): &(String, String)| Entity {
            field: field.clone(),
            value: value.clone(),
        };
        Self {
            id: alert.id.clone(),
            rule_id: alert.rule_id.clone(),
            rule_name: alert.rule_name.clone(),
            rule_version: alert.rule_version.clone(),
            severity: alert.severity.word().to_owned(),
            risk_score: alert.risk_score,
            reason: alert.reason.clone(),
            time: alert.time.to_string(),
            first: time(alert.first),
            last: time(alert.last),
            count: alert.count,
            techniques: alert.techniques.clone(),
            tactics: alert.tactics.clone(),
            tags: alert.tags.clone(),
            entities: alert.entities.iter().map(entity).collect(),
            status: record.state.word().to_owned(),
            verdict: record.verdict.map(|verdict| verdict.word().to_owned()),
            close_reason: record.close_reason.clone(),
            assignee: record.assignee.clone(),
            labels: record.labels.clone(),
            retracted: time(record.retracted),
            created: record.created.to_string(),
            updated: record.updated.to_string(),
            closed: time(record.closed),
            updates: record.updates,
        }
    }
}

/// Times as clients write them; weekdays and other forms of RFC 3339 are read, too.
pub(crate) const TIME: &str = "^(now|today|yesterday|[1-9][0-9]{0,2}[mhd]|20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?Z)?)$";

/// Which alerts. Everything that is given must hold; of several values of one key one must.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AlertFilter {
    /// `open`, `acknowledged`, `closed`.
    #[schemars(extend("items" = {"type": "string", "enum": ["open", "acknowledged", "closed"]}))]
    status: Vec<String>,
    /// `low`, `medium`, `high`, `critical`.
    #[schemars(extend("items" = {"type": "string", "enum": ["low", "medium", "high", "critical"]}))]
    severity: Vec<String>,
    /// `true_positive`, `benign`, `false_positive`.
    #[schemars(extend("items" = {"type": "string", "enum": ["true_positive", "benign", "false_positive"]}))]
    verdict: Vec<String>,
    /// Ids of rules.
    rule: Vec<String>,
    /// ATT&CK ids of techniques; `T1059` finds its sub-techniques too.
    technique: Vec<String>,
    /// ATT&CK names of tactics.
    tactic: Vec<String>,
    /// Tags, of rules or analysts.
    tag: Vec<String>,
    /// Assignees; empty for nobody.
    assignee: Vec<String>,
    /// `FIELD:VALUE`, for example `host.name:web-1`; `:VALUE` finds the value in any field.
    #[schemars(inner(regex(pattern = "^[^:]*:")))]
    entity: Vec<String>,
    /// Words that all stand in the alert; the last may be the beginning of one.
    q: Option<String>,
    /// Not before: a time (RFC 3339), a day, or a time ago (`7d`).
    #[schemars(regex(pattern = TIME))]
    from: Option<String>,
    /// Before.
    #[schemars(regex(pattern = TIME))]
    to: Option<String>,
    /// Withdrawn alerts, too.
    retracted: Option<bool>,
    /// What must not hold: `KEY:VALUE`, the key being `status`, `severity`, `verdict`, `rule`, `technique`, `tactic`, `tag`,
    /// `assignee`, or a field of entities: `severity:low`, `host.name:web-1`; `:VALUE` is the value in any field.
    #[schemars(inner(regex(pattern = NOT)))]
    not: Vec<String>,
}

/// What [`AlertFilter::not`] takes.
const NOT: &str = "^(status:(open|acknowledged|closed)|severity:(low|medium|high|critical)|verdict:(true_positive|benign|false_positive)|(rule|technique|tactic|tag|assignee):.*|[a-z_]+(\\.[a-z_]+)+:.*|:.*)$";

/// Words that the store knows.
fn words<T: DeserializeOwned>(given: &[String], what: &str) -> Result<Vec<T>, Problem> {
    let read = |word: &String| {
        serde_json::from_value(Value::String(word.clone()))
            .map_err(|_| Problem::invalid(format!("`{word}` is no {what}")))
    };
    given.iter().map(read).collect()
}

/// A time that a client wrote.
pub(crate) fn instant(text: Option<&String>, now: Instant) -> Result<Option<Instant>, Problem> {
    let Some(text) = text else {
        return Ok(None);
    };
    match when::parse(text, now, &jiff::tz::TimeZone::UTC) {
        Some(time) => Ok(Some(time)),
        None => Err(Problem::invalid(format!(
            "`{text}` is no time; write RFC 3339, a day, or a time ago such as `7d`"
        ))),
    }
}

impl AlertFilter {
    /// As the store asks.
    pub(crate) fn store(&self) -> Result<AlertQuery, Problem> {
        let now = when::now();
        let entity = |text: &String| match text.split_once(':') {
            Some((field, value)) => Ok((field.to_owned(), value.to_owned())),
            None => Err(Problem::invalid(format!(
                "`{text}` is no entity; write `FIELD:VALUE`"
            ))),
        };
        Ok(AlertQuery {
            states: words::<AlertState>(&self.status, "status")?,
            severities: words::<Severity>(&self.severity, "severity")?,
            verdicts: words::<Verdict>(&self.verdict, "verdict")?,
            rules: self.rule.clone(),
            techniques: self.technique.clone(),
            tactics: self.tactic.clone(),
            tags: self.tag.clone(),
            assignees: self
                .assignee
                .iter()
                .map(|name| Some(name.clone()).filter(|name| !name.is_empty()))
                .collect(),
            entities: self.entity.iter().map(entity).collect::<Result<_, _>>()?,
            text: self.q.clone().unwrap_or_default(),
            from: instant(self.from.as_ref(), now)?,
            to: instant(self.to.as_ref(), now)?,
            updated_from: None,
            retracted: self.retracted.unwrap_or(false),
            excluded: self
                .not
                .iter()
                .map(|text| Self::excluded(text)?.store())
                .collect::<Result<_, _>>()?,
        })
    }

    /// The filter that finds what an entry of `not` speaks of.
    fn excluded(text: &str) -> Result<Self, Problem> {
        let wrong = || {
            Problem::invalid(format!(
                "`{text}` excludes nothing; write `KEY:VALUE`, for example `severity:low` or `host.name:web-1`"
            ))
        };
        let (key, value) = text.split_once(':').ok_or_else(wrong)?;
        let mut filter = Self::default();
        let (values, value) = match key {
            "status" => (&mut filter.status, value),
            "severity" => (&mut filter.severity, value),
            "verdict" => (&mut filter.verdict, value),
            "rule" => (&mut filter.rule, value),
            "technique" => (&mut filter.technique, value),
            "tactic" => (&mut filter.tactic, value),
            "tag" => (&mut filter.tag, value),
            "assignee" => (&mut filter.assignee, value),
            field if field.is_empty() || field.contains('.') => (&mut filter.entity, text),
            _ => return Err(wrong()),
        };
        values.push(value.to_owned());
        Ok(filter)
    }
}

/// A role that a client wrote.
pub(crate) fn role(word: &str) -> Result<Role, Problem> {
    crate::keys::role(word).ok_or_else(|| Problem::invalid(format!("`{word}` is no role")))
}
