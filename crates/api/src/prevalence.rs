//! How often the values of an alert occur in all that is stored: on how many hosts, for how many users, since when. What is rare is
//! worth a look.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::{Duration, Instant as Clock};

use neph_event::{Instant, parse_date};
use neph_runtime::service::OnceById;
use neph_store::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::alerts::bounded;
use crate::hunt::compile;
use crate::problem::Problem;
use crate::route::{Answer, Call, Route, schema_of};
use crate::search::{lookup, scan};
use crate::when::now;

pub(crate) static ROUTES: &[Route] = &[Route::get(
    "/api/v1/alerts/{id}/prevalence",
    Role::Viewer,
    "alerts.prevalence",
    "How often an alert's values occur in stored events: hosts, users, first and last time. The newest time is looked at first; it ends when its client goes away.",
    schema_of::<Prevalence>,
    prevalence,
)
.with_query(&[schema_of::<Asked>])
.heavy()];

/// Fields whose values are worth asking for, behind those that the rule's author names.
const FIELDS: [&str; 25] = [
    "process.hash.sha256",
    "file.hash.sha256",
    "process.command_line",
    "process.executable",
    "process.name",
    "process.parent.name",
    "file.path",
    "dns.question.name",
    "destination.domain",
    "destination.ip",
    "url.domain",
    "source.ip",
    "user_agent.original",
    "user.name",
    "user.id",
    "user.email",
    "container.image.name",
    "container.name",
    "kubernetes.pod.name",
    "orchestrator.resource.name",
    "cloud.instance.id",
    "cloud.account.id",
    "service.name",
    "event.action",
    "host.name",
];
/// Values at most, and of one field.
const MOST: usize = 14;
const OF_ONE: usize = 2;
/// Longer values are not asked for, in bytes.
const LONGEST: usize = 2000;
/// Different hosts and users that are told apart.
const DIFFERENT: usize = 10_000;
/// Events that are counted at most.
const EVENTS: u64 = 500_000;
/// A page waits so long, whatever other searches may take.
const TIME: Duration = Duration::from_secs(20);
const DAY: i128 = 86_400 * 1_000_000_000;

/// How far back.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Asked {
    /// Days before now, 1 to 400; 30 without it.
    #[schemars(range(min = 1, max = 400))]
    days: Option<i64>,
}

/// How often values occur.
#[derive(Debug, Serialize, JsonSchema)]
struct Prevalence {
    /// The values, those of the fields first that the rule's author wants looked at.
    values: Vec<Counted>,
    /// Events not before.
    from: String,
    /// Events before.
    to: String,
    /// Since when everything was looked at.
    seen_from: String,
    /// Whether all of the time was looked at.
    complete: bool,
    /// Why not, if not.
    stopped: Option<String>,
    /// Records that were looked at.
    records: u64,
    /// Milliseconds that it took.
    millis: u64,
}

/// A value, and how often it occurs.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct Counted {
    /// The ECS field.
    field: String,
    /// The value.
    value: String,
    /// Events that have it.
    events: u64,
    /// Hosts on which it occurs; 10,000 stands for that and more.
    hosts: usize,
    /// Users for whom it occurs; 10,000 stands for that and more.
    users: usize,
    /// When it occurred first within the time.
    first: Option<String>,
    /// When it occurred last.
    last: Option<String>,
    #[serde(skip)]
    places: [BTreeSet<String>; 2],
    #[serde(skip)]
    times: Option<(Instant, Instant)>,
}

impl Counted {
    fn count(&mut self, host: Option<&String>, user: Option<&String>, time: Option<Instant>) {
        self.events += 1;
        for (seen, value) in self.places.iter_mut().zip([host, user]) {
            if let Some(value) = value.filter(|_| seen.len() < DIFFERENT) {
                seen.insert(value.clone());
            }
        }
        if let Some(time) = time {
            let (first, last) = self.times.unwrap_or((time, time));
            self.times = Some((first.min(time), last.max(time)));
        }
    }

    fn finish(&mut self) {
        self.hosts = self.places.first().map_or(0, BTreeSet::len);
        self.users = self.places.last().map_or(0, BTreeSet::len);
        self.first = self.times.map(|(first, _)| first.to_string());
        self.last = self.times.map(|(_, last)| last.to_string());
    }
}

/// The documents of the events that an alert holds.
pub(crate) fn events_of(document: &Value) -> impl Iterator<Item = &Value> {
    let steps = document.pointer("/neph/alert/steps").and_then(Value::as_array);
    steps
        .into_iter()
        .flatten()
        .filter_map(|step| step.get("events")?.as_array())
        .flatten()
        .filter_map(|event| event.get("document"))
}

/// The fields that the rule's author wants looked at first, as the alert says.
pub(crate) fn wanted_fields(document: &Value) -> Vec<&str> {
    let parameters = document.get("kibana.alert.rule.parameters");
    let fields = parameters.and_then(|parameters| parameters.pointer("/investigation_fields/field_names"));
    fields
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn keys(document: &Value) -> Vec<Counted> {
    let documents: Vec<&Value> = events_of(document).collect();
    let documents = match documents.is_empty() {
        true => vec![document],
        false => documents,
    };
    let mut found: Vec<Counted> = Vec::new();
    let mut fields = wanted_fields(document);
    fields.extend(FIELDS);
    for (place, field) in fields.iter().enumerate() {
        // The name of a field becomes part of a query, where only plain ones mean a field.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_');
        let is_time = field.starts_with('@') || field.ends_with("entity_id");
        if fields.iter().take(place).any(|before| before == field) || is_time || !field.bytes().all(is_plain)
        {
            continue;
        }
        let mut values: Vec<String> = Vec::new();
        for value in documents.iter().flat_map(|document| lookup(document, field)) {
            if values.len() < OF_ONE
                && !value.is_empty()
                && value.len() <= LONGEST
                && !values.contains(&value)
            {
                values.push(value);
            }
        }
        found.extend(values.into_iter().map(|value| Counted {
            field: (*field).to_owned(),
            value,
            ..Counted::default()
        }));
    }
    found.truncate(MOST);
    found
}

fn prevalence(call: &Call<'_>) -> Result<Answer, Problem> {
    let began = Clock::now();
    let deadline = began + TIME.min(call.app.limits.query_time);
    let asked: Asked = call.query()?;
    let days = i128::from(bounded(asked.days, 30, 400, "days")?);
    let record = call.app.store.db.alert(call.part("id"))?;
    let document: Value = serde_json::from_slice(&record.alert.document).unwrap_or_default();
    let mut values = keys(&document);
    let now = now();
    let from = now.saturating_sub_nanos(days * DAY);
    let to = now.saturating_add_nanos(DAY);
    let mut told = Prevalence {
        values: Vec::new(),
        from: from.to_string(),
        to: now.to_string(),
        seen_from: now.to_string(),
        complete: true,
        stopped: None,
        records: 0,
        millis: 0,
    };
    if !values.is_empty() {
        let condition = |key: &Counted| {
            let value = key.value.replace('\\', "\\\\").replace('"', "\\\"");
            format!("{}: \"{value}\"", key.field)
        };
        let query: Vec<String> = values.iter().map(condition).collect();
        let (plan, _) = compile(&query.join(" or "), Some("kql"))?;
        let plan = plan.ok_or_else(|| Problem::failed("the values of the alert cannot be searched for"))?;
        let mut once = OnceById::default();
        let mut left = EVENTS;
        for times in slices(from, now, to) {
            let begin = times.start;
            let scanned = scan(call, &plan, times, None, deadline, &mut |found| {
                if once.is_new(&found) {
                    left = left.saturating_sub(1);
                    let events = found.events.iter().filter_map(|(_, event)| event.as_ref());
                    for event in events {
                        let document = serde_json::from_slice(event.document()).unwrap_or_default();
                        count(&document, &mut values);
                    }
                }
                left > 0
            })?;
            told.records += scanned.records;
            if let Some(why) = scanned.stopped {
                told.complete = false;
                told.stopped = Some(why.to_owned());
                break;
            }
            told.seen_from = begin.to_string();
        }
    }
    values.iter_mut().for_each(Counted::finish);
    told.values = values;
    told.millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Answer::json(&told)
}

/// The time in pieces, the newest first: what is looked at before the time is over is the end of it, whole.
fn slices(from: Instant, now: Instant, to: Instant) -> Vec<Range<Instant>> {
    let mut pieces = Vec::new();
    let mut end = to;
    for days in [1, 7, 30] {
        let begin = now.saturating_sub_nanos(days * DAY).max(from);
        if begin < end {
            pieces.push(begin..end);
            end = begin;
        }
    }
    if from < end {
        pieces.push(from..end);
    }
    pieces
}

fn count(document: &Value, values: &mut [Counted]) {
    let first = |fields: &[&str]| {
        fields
            .iter()
            .find_map(|field| lookup(document, field).into_iter().next())
    };
    let host = first(&["host.name", "host.id", "host.hostname", "cloud.instance.id"]);
    let user = first(&["user.name", "user.id", "user.email"]);
    let time = first(&["@timestamp"]).and_then(|time| parse_date(&time, &[]));
    for value in values {
        let has = lookup(document, &value.field)
            .iter()
            .any(|own| own.eq_ignore_ascii_case(&value.value));
        if has {
            value.count(host.as_ref(), user.as_ref(), time);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_fields_of_the_rules_author_come_first_and_hostile_names_are_no_query() {
        let document = json!({
            "kibana.alert.rule.parameters": {"investigation_fields": {"field_names": ["file.name", "a\" or b", "user.name"]}},
            "neph": {"alert": {"steps": [{"events": [{"document": {
                "user.name": ["root", "www", "third"], "file": {"name": "x"}, "a\" or b": "1", "process": {"name": "p".repeat(3000)}
            }}]}]}}
        });
        let found: Vec<(String, String)> = keys(&document)
            .into_iter()
            .map(|key| (key.field, key.value))
            .collect();
        let pair = |field: &str, value: &str| (field.to_owned(), value.to_owned());
        assert_eq!(
            found,
            [
                pair("file.name", "x"),
                pair("user.name", "root"),
                pair("user.name", "www")
            ]
        );
    }

    #[test]
    fn hosts_and_users_are_counted_once() {
        let mut values = vec![Counted {
            field: "process.name".into(),
            value: "curl".into(),
            ..Counted::default()
        }];
        for (host, user, time) in [("a", "u", 5), ("a", "v", 3), ("b", "u", 9)] {
            let document = json!({"@timestamp": format!("2026-01-01T00:00:0{time}Z"), "process.name": "curl",
                "host": {"name": host}, "user": {"name": user}});
            count(&document, &mut values);
        }
        count(&json!({"process.name": "wget", "host.name": "c"}), &mut values);
        let [value] = values.as_mut_slice() else {
            panic!("one value");
        };
        value.finish();
        assert_eq!((value.events, value.hosts, value.users), (3, 2, 2));
        assert_eq!(value.first.as_deref(), Some("2026-01-01T00:00:03.000Z"));
        assert_eq!(value.last.as_deref(), Some("2026-01-01T00:00:09.000Z"));
    }

    #[test]
    fn slices_cover_the_time_from_its_end() {
        let at = |day: i64| Instant {
            seconds: day * 86_400,
            nanos: 0,
        };
        let all = slices(at(0), at(100), at(101));
        assert_eq!(
            all,
            [at(99)..at(101), at(93)..at(99), at(70)..at(93), at(0)..at(70)]
        );
        assert_eq!(
            slices(at(97), at(100), at(101)),
            [at(99)..at(101), at(97)..at(99)]
        );
    }
}
