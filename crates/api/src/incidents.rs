//! Incidents: alerts that belong together, because they are about the same machine or principal and follow one another.
//!
//! Nothing of it is stored. Two alerts are of one incident when they share a value that names a machine, a process, a container or a
//! principal, and no more than an hour lies between them; an incident lasts a day at most, so that a host that never falls
//! silent makes one a day. It goes by the id of its first alert, and every alert of it leads to it. Values count
//! whatever field they stand in: the instance that a host calls its own is the session that a cloud's audit log names.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use axum::http::StatusCode;
use neph_event::Instant;
use neph_store::{AlertBrief, AlertQuery, AlertState, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::alerts::bounded;
use crate::app::App;
use crate::problem::Problem;
use crate::route::{Answer, Call, Gives, Route, schema_of};
use crate::when::now;
use crate::wire::{AlertFilter, Entity};

pub(crate) static ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/incidents",
        Role::Viewer,
        "incidents.list",
        "Alerts that belong together, as incidents, newest first: those of which the filter finds an alert.",
        schema_of::<Incidents>,
        list,
    )
    .with_query(&[schema_of::<AlertFilter>, schema_of::<Apart>]),
    Route::get(
        "/api/v1/incidents/{id}",
        Role::Viewer,
        "incidents.get",
        "The incident that an alert belongs to, with its alerts in the order of time.",
        schema_of::<Whole>,
        get,
    )
    .with_query(&[schema_of::<Apart>]),
    Route::get(
        "/api/v1/incidents/{id}/report",
        Role::Viewer,
        "incidents.report",
        "The incident that an alert belongs to as a page of HTML that stands alone, to print or hand on.",
        schema_of::<Value>,
        report,
    )
    .with_query(&[schema_of::<Apart>])
    .giving(Gives::Text("text/html; charset=utf-8")),
];

/// Fields whose values name the machine that something happened on.
const MACHINES: [&str; 4] = ["host.id", "host.name", "host.hostname", "container.id"];
/// Fields whose values name a thing that something happened with, wherever.
const THINGS: [&str; 3] = ["cloud.instance.id", "kubernetes.pod.name", "process.entity_id"];
/// Fields whose values name who did it. A local account means something on its machine alone, so these count without one.
const PRINCIPALS: [&str; 3] = ["user.email", "user.id", "user.name"];
/// Fields whose values name where it came from. Many share an address, so these count where nothing else ties an alert to others.
const ADDRESSES: [&str; 2] = ["client.ip", "source.ip"];

/// Alerts that are looked at for a list of incidents.
const MOST_ALERTS: u32 = 20_000;
/// Alerts of one incident that are told.
const MOST_MEMBERS: usize = 1000;
/// Ids of one incident that are told; an action takes as many.
const MOST_IDS: usize = 10_000;
/// Alerts that a report has whole.
const REPORTED: usize = 100;
/// Rules and values of an incident that are named.
const NAMED: usize = 20;
const MINUTE: i128 = 60 * 1_000_000_000;
/// An incident lasts so long at most.
const LONGEST: i128 = 24 * 60 * MINUTE;

/// What belongs together.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Apart {
    /// Minutes that may lie between two alerts of one incident, 1 to 1440; 60 without it.
    #[schemars(range(min = 1, max = 1440))]
    minutes: Option<i64>,
    /// Incidents at most, 1 to 1000; 200 without it.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<i64>,
}

/// Incidents.
#[derive(Debug, Serialize, JsonSchema)]
struct Incidents {
    /// Those that changed last come first.
    incidents: Vec<Incident>,
    /// How many there are.
    total: u64,
    /// Whether all alerts of the time were looked at; else the newest 20,000.
    complete: bool,
}

/// Alerts that belong together.
#[derive(Debug, Serialize, JsonSchema)]
struct Incident {
    /// The id of its first alert.
    id: String,
    /// How many alerts it has.
    alerts: u64,
    /// Of these, how many are not closed.
    open: u64,
    /// Of these, how many the filter finds.
    found: u64,
    /// Time of its first alert.
    first: String,
    /// Time of its last alert.
    last: String,
    /// The worst of its alerts.
    severity: String,
    /// The greatest of its alerts.
    risk_score: u8,
    /// What the worst of its alerts says.
    reason: String,
    /// Its rules, those that fired most first; 20 at most.
    rules: Vec<RuleCount>,
    /// ATT&CK ids of techniques.
    techniques: Vec<String>,
    /// ATT&CK names of tactics.
    tactics: Vec<String>,
    /// The machines and principals that tie it together, the most frequent first; 20 at most.
    about: Vec<Entity>,
}

/// A rule, and how often it fired.
#[derive(Debug, Serialize, JsonSchema)]
struct RuleCount {
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// Its alerts.
    alerts: u64,
}

/// An incident with its alerts.
#[derive(Debug, Serialize, JsonSchema)]
struct Whole {
    /// The incident.
    #[serde(flatten)]
    incident: Incident,
    /// Its alerts, in the order of time; the first 1000.
    members: Vec<Member>,
    /// Ids of its alerts, 10,000 at most: what an action on all of it takes.
    ids: Vec<String>,
}

/// An alert of an incident.
#[derive(Debug, Serialize, JsonSchema)]
struct Member {
    /// Its id.
    id: String,
    /// The rule's id.
    rule_id: String,
    /// The rule's name.
    rule_name: String,
    /// `low`, `medium`, `high` or `critical`.
    severity: String,
    /// 0 to 100.
    risk_score: u8,
    /// What happened, in one sentence.
    reason: String,
    /// Its time.
    time: String,
    /// `open`, `acknowledged` or `closed`.
    status: String,
    /// Of a closed alert: `true_positive`, `benign` or `false_positive`.
    verdict: Option<String>,
    /// What ties it to the others.
    entities: Vec<Entity>,
    /// ATT&CK ids of techniques.
    techniques: Vec<String>,
}

fn fields() -> Vec<&'static str> {
    [&MACHINES[..], &THINGS, &PRINCIPALS, &ADDRESSES].concat()
}

/// What ties an alert to others: field and value.
fn anchors(alert: &AlertBrief) -> impl Iterator<Item = (&str, &str)> {
    let has = |fields: &[&str]| {
        alert
            .entities
            .iter()
            .any(|(field, _)| fields.contains(&field.as_str()))
    };
    let has_machine = has(&MACHINES);
    let has_better = has_machine || has(&THINGS) || has(&PRINCIPALS);
    let counts = move |field: &str| match () {
        () if PRINCIPALS.contains(&field) => !has_machine,
        () if ADDRESSES.contains(&field) => !has_better,
        () => true,
    };
    alert
        .entities
        .iter()
        .filter(move |(field, _)| counts(field))
        .flat_map(|(field, value)| {
            // The id of an assumed role ends with the name of its session; of the role of an instance, that is the instance
            // (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#principaltable>).
            let session = value
                .rsplit_once(':')
                .map(|(_, session)| session)
                .filter(|session| field == "user.id" && session.starts_with("i-"));
            [Some(value.as_str()), session]
                .into_iter()
                .flatten()
                .map(move |value| (field.as_str(), value))
        })
        .filter(|(_, value)| !value.is_empty())
}

/// Which alerts, which are in the order of time, belong together: lists of their places, each in the order of time.
fn together(alerts: &[AlertBrief], apart: i128) -> Vec<Vec<usize>> {
    let mut sets = Sets {
        parents: (0..alerts.len()).collect(),
        begins: alerts.iter().map(|alert| alert.time.as_nanos()).collect(),
    };
    let mut last: HashMap<&str, (usize, i128)> = HashMap::new();
    for (place, alert) in alerts.iter().enumerate() {
        let time = alert.time.as_nanos();
        for (_, value) in anchors(alert) {
            if let Some((before, at)) = last.insert(value, (place, time))
                && time - at <= apart
            {
                sets.join(before, place, time);
            }
        }
    }
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for place in 0..alerts.len() {
        groups.entry(sets.root(place)).or_default().push(place);
    }
    groups.into_values().collect()
}

/// Disjoint sets of alerts, with the time of the first alert of each.
struct Sets {
    parents: Vec<usize>,
    begins: Vec<i128>,
}

impl Sets {
    fn root(&mut self, mut place: usize) -> usize {
        while let Some(&above) = self.parents.get(place).filter(|above| **above != place) {
            // Halves the way for whoever comes next.
            let further = self.parents.get(above).copied().unwrap_or(above);
            if let Some(own) = self.parents.get_mut(place) {
                *own = further;
            }
            place = further;
        }
        place
    }

    /// Puts two together, unless what came of it would last too long.
    fn join(&mut self, one: usize, other: usize, until: i128) {
        let (one, other) = (self.root(one), self.root(other));
        let begin = |place: usize| self.begins.get(place).copied().unwrap_or(until);
        let earlier = begin(one).min(begin(other));
        if one == other || until - earlier > LONGEST {
            return;
        }
        let (root, child) = (one.min(other), one.max(other));
        if let (Some(parent), Some(own)) = (self.parents.get_mut(child), self.begins.get_mut(root)) {
            *parent = root;
            *own = earlier;
        }
    }
}

fn incident(members: &[&AlertBrief], found: u64) -> Option<Incident> {
    let (first, last) = (members.first()?, members.last()?);
    let worst = members
        .iter()
        .max_by_key(|alert| (alert.severity, alert.risk_score, alert.time))?;
    let mut rules: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    let mut about: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for alert in members {
        rules.entry(&alert.rule_id).or_insert((0, &alert.rule_name)).0 += 1;
        // The same value by several names counts once; process ids tell people nothing.
        let values: BTreeMap<&str, &str> = anchors(alert)
            .filter(|(field, _)| *field != "process.entity_id")
            .map(|(field, value)| (value, field))
            .collect();
        for (value, field) in values {
            about.entry(value).or_insert((0, field)).0 += 1;
        }
    }
    let texts = |of: fn(&AlertBrief) -> &Vec<String>| {
        let all: BTreeSet<&String> = members
            .iter()
            .flat_map(|alert| of(alert))
            .filter(|text| !text.is_empty())
            .collect();
        all.into_iter().cloned().collect()
    };
    Some(Incident {
        id: first.id.clone(),
        alerts: members.len() as u64,
        open: members
            .iter()
            .filter(|alert| alert.state != AlertState::Closed)
            .count() as u64,
        found,
        first: first.time.to_string(),
        last: last.time.to_string(),
        severity: worst.severity.word().to_owned(),
        risk_score: members.iter().map(|alert| alert.risk_score).max()?,
        reason: worst.reason.clone(),
        rules: most_frequent(rules)
            .map(|(id, alerts, name)| RuleCount {
                id: id.to_owned(),
                name: name.to_owned(),
                alerts,
            })
            .collect(),
        techniques: texts(|alert| &alert.techniques),
        tactics: texts(|alert| &alert.tactics),
        about: most_frequent(about)
            .map(|(value, _, field)| Entity {
                field: field.to_owned(),
                value: value.to_owned(),
            })
            .collect(),
    })
}

fn most_frequent<'a>(
    counts: BTreeMap<&'a str, (u64, &'a str)>,
) -> impl Iterator<Item = (&'a str, u64, &'a str)> {
    let mut counts: Vec<_> = counts
        .into_iter()
        .map(|(key, (count, of))| (key, count, of))
        .collect();
    counts.sort_by_key(|(_, count, _)| std::cmp::Reverse(*count));
    counts.truncate(NAMED);
    counts.into_iter()
}

fn apart(asked: &Apart) -> Result<i128, Problem> {
    Ok(i128::from(bounded(asked.minutes, 60, 1440, "minutes")?) * MINUTE)
}

fn list(call: &Call<'_>) -> Result<Answer, Problem> {
    let query = call.filter()?.store()?;
    let asked: Apart = call.query()?;
    let limit = bounded(asked.limit, 200, 1000, "limit")? as usize;
    let db = &call.app.store.db;
    // What belongs together does not depend on who has looked at it already, so the filter only chooses.
    let all = AlertQuery {
        from: query.from,
        to: query.to,
        retracted: query.retracted,
        ..AlertQuery::default()
    };
    let (alerts, more) = db.brief(&all, &fields(), MOST_ALERTS)?;
    let wanted: Option<BTreeSet<String>> = match all == query {
        true => None,
        false => {
            let (found, _) = db.brief(&query, &[], MOST_ALERTS)?;
            Some(found.into_iter().map(|alert| alert.id).collect())
        }
    };
    let mut groups = together(&alerts, apart(&asked)?);
    let found = |group: &[usize]| match &wanted {
        None => group.len(),
        Some(wanted) => group
            .iter()
            .filter_map(|place| alerts.get(*place))
            .filter(|alert| wanted.contains(&alert.id))
            .count(),
    };
    groups.retain(|group| found(group) > 0);
    groups.sort_by_key(|group| std::cmp::Reverse(group.last().copied()));
    let total = groups.len() as u64;
    let incidents = groups.iter().take(limit).filter_map(|group| {
        let members: Vec<&AlertBrief> = group.iter().filter_map(|place| alerts.get(*place)).collect();
        incident(&members, found(group) as u64)
    });
    Answer::json(&Incidents {
        incidents: incidents.collect(),
        total,
        complete: !more,
    })
}

/// The alerts of the incident that an alert belongs to.
fn members(app: &App, id: &str, apart: i128) -> Result<Vec<AlertBrief>, Problem> {
    let own = app.store.db.alert(id)?;
    let around = |to: Instant| AlertQuery {
        from: Some(own.alert.time.saturating_sub_nanos(LONGEST)),
        to: Some(to),
        retracted: own.retracted.is_some(),
        ..AlertQuery::default()
    };
    let next = own.alert.time.saturating_add_nanos(1);
    // In a flood the newest alerts may all lie behind this one; then those before it count.
    for to in [next.saturating_add_nanos(LONGEST), next] {
        let (alerts, _) = app.store.db.brief(&around(to), &fields(), MOST_ALERTS)?;
        let mut groups = together(&alerts, apart).into_iter();
        let is_in = |group: &Vec<usize>| {
            group
                .iter()
                .any(|place| alerts.get(*place).is_some_and(|alert| alert.id == id))
        };
        if let Some(group) = groups.find(is_in) {
            return Ok(group
                .into_iter()
                .filter_map(|place| alerts.get(place).cloned())
                .collect());
        }
    }
    Err(Problem::missing("incident of alert", id))
}

fn whole(call: &Call<'_>) -> Result<Whole, Problem> {
    let asked: Apart = call.query()?;
    let alerts = members(call.app, call.part("id"), apart(&asked)?)?;
    let all: Vec<&AlertBrief> = alerts.iter().collect();
    let incident =
        incident(&all, alerts.len() as u64).ok_or_else(|| Problem::missing("incident", call.part("id")))?;
    let member = |alert: &AlertBrief| Member {
        id: alert.id.clone(),
        rule_id: alert.rule_id.clone(),
        rule_name: alert.rule_name.clone(),
        severity: alert.severity.word().to_owned(),
        risk_score: alert.risk_score,
        reason: alert.reason.clone(),
        time: alert.time.to_string(),
        status: alert.state.word().to_owned(),
        verdict: alert.verdict.map(|verdict| verdict.word().to_owned()),
        entities: anchors(alert)
            .map(|(field, value)| Entity {
                field: field.to_owned(),
                value: value.to_owned(),
            })
            .collect(),
        techniques: alert.techniques.clone(),
    };
    Ok(Whole {
        incident,
        members: alerts.iter().take(MOST_MEMBERS).map(member).collect(),
        ids: alerts
            .iter()
            .take(MOST_IDS)
            .map(|alert| alert.id.clone())
            .collect(),
    })
}

fn get(call: &Call<'_>) -> Result<Answer, Problem> {
    Answer::json(&whole(call)?)
}

fn report(call: &Call<'_>) -> Result<Answer, Problem> {
    let whole = whole(call)?;
    let mut alerts = Vec::new();
    for member in whole.members.iter().take(REPORTED) {
        let (alert, history) = crate::alerts::reported(call.app, &member.id)?;
        alerts.push((alert, history));
    }
    let incident = serde_json::to_value(&whole).unwrap_or_default();
    let made = neph_console::incident_report(&incident, &alerts, &now().to_string());
    Ok(Answer::Body(
        StatusCode::OK,
        "text/html; charset=utf-8",
        made.into_bytes(),
    ))
}

#[cfg(test)]
mod tests {
    use neph_store::Severity;

    use super::*;

    fn alert(minute: i64, entities: &[(&str, &str)]) -> AlertBrief {
        AlertBrief {
            id: format!("{minute}"),
            rule_id: "rule".into(),
            rule_name: "Rule".into(),
            severity: Severity::High,
            risk_score: 73,
            reason: format!("at {minute}"),
            time: Instant {
                seconds: minute * 60,
                nanos: 0,
            },
            state: AlertState::Open,
            verdict: None,
            entities: entities
                .iter()
                .map(|(field, value)| ((*field).to_owned(), (*value).to_owned()))
                .collect(),
            techniques: Vec::new(),
            tactics: Vec::new(),
        }
    }

    fn groups(alerts: &[AlertBrief]) -> Vec<Vec<usize>> {
        together(alerts, 60 * MINUTE)
    }

    #[test]
    fn alerts_of_one_host_within_an_hour_are_one_incident() {
        let web = [("host.name", "web-1")];
        let alerts = [
            alert(0, &web),
            alert(10, &[("host.name", "web-2")]),
            alert(59, &web),
            alert(118, &web),
            alert(300, &web),
        ];
        assert_eq!(groups(&alerts), [vec![0, 2, 3], vec![1], vec![4]]);
    }

    #[test]
    fn the_session_of_an_instance_ties_the_cloud_to_the_host() {
        let alerts = [
            alert(
                0,
                &[
                    ("host.name", "web-1"),
                    ("cloud.instance.id", "i-0abc"),
                    ("user.name", "www-data"),
                ],
            ),
            alert(5, &[("user.id", "AROAEXAMPLE:i-0abc"), ("user.name", "web-role")]),
            alert(
                6,
                &[("user.name", "web-role"), ("user.id", "AROAEXAMPLE:someone")],
            ),
            alert(7, &[("host.name", "db-1"), ("user.name", "www-data")]),
        ];
        // A local account of two hosts ties nothing; a principal of the cloud does.
        assert_eq!(groups(&alerts), [vec![0, 1, 2], vec![3]]);
    }

    #[test]
    fn an_address_ties_what_nothing_else_does() {
        let alerts = [
            alert(0, &[("source.ip", "203.0.113.50")]),
            alert(1, &[("source.ip", "203.0.113.50"), ("user.name", "eve")]),
            alert(2, &[("source.ip", "203.0.113.50")]),
        ];
        assert_eq!(groups(&alerts), [vec![0, 2], vec![1]]);
    }

    #[test]
    fn a_host_that_never_falls_silent_makes_one_a_day() {
        let alerts: Vec<AlertBrief> = (0..72)
            .map(|half| alert(half * 30, &[("host.id", "noisy")]))
            .collect();
        let groups = groups(&alerts);
        assert_eq!(groups.len(), 2);
        assert_eq!(groups.iter().map(Vec::len).sum::<usize>(), 72);
        assert!(groups.iter().all(|group| group.len() <= 49), "{groups:?}");
    }

    #[test]
    fn an_alert_that_ties_two_incidents_makes_them_one() {
        let alerts = [
            alert(0, &[("host.name", "a")]),
            alert(1, &[("host.name", "b")]),
            alert(2, &[("host.name", "a"), ("cloud.instance.id", "b")]),
        ];
        assert_eq!(groups(&alerts), [vec![0, 1, 2]]);
        assert_eq!(groups(&[]), Vec::<Vec<usize>>::new());
    }
}
