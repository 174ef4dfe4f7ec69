//! What kind of document tells of what happened.

use std::net::SocketAddr;

use super::shapes::Datasets;
use crate::event::{Became, What};
use crate::observation::{Connect, Context, Open, Outcome, Peer, ProcessId, SinceBoot, Transport};
use crate::source::Part;

/// What kind of document it is.
pub(super) struct Kind {
    pub(super) category: &'static str,
    pub(super) types: &'static [&'static str],
    pub(super) action: &'static str,
    pub(super) outcome: &'static str,
    pub(super) dataset: &'static str,
    pub(super) datasets: Datasets,
}

impl Kind {
    /// The kind of document of an event, in a container or outside.
    pub(super) fn of(what: &What, contained: bool) -> Self {
        let of = |contained_as: &'static str, dataset: &'static str| match contained {
            true => Datasets::Two([dataset, contained_as]),
            false => Datasets::One(dataset),
        };
        let process = |types, action| Self {
            category: "process",
            types,
            action,
            outcome: "unknown",
            dataset: "endpoint.events.process",
            datasets: of("cloud_defend.process", "endpoint.events.process"),
        };
        let network = |types, action, outcome| Self {
            category: "network",
            types,
            action,
            outcome,
            dataset: "endpoint.events.network",
            datasets: Datasets::One("endpoint.events.network"),
        };
        match what {
            What::Running => process(&["info"], "already_running"),
            What::Exec => process(&["start"], "exec"),
            What::End { .. } => process(&["end"], "end"),
            What::Changed(Became::User) => process(&["change"], "uid_change"),
            What::Changed(Became::Group) => process(&["change"], "gid_change"),
            What::Changed(Became::Session) => process(&["change"], "session_id_change"),
            What::Connect(connect) => network(&["start"], "connection_attempted", outcome(connect.outcome)),
            What::Outcome(connect) => match connect.outcome {
                Outcome::Failed(_) => network(&["info"], "connection_failed", "failure"),
                outcome_known => network(&["info"], "connection_established", outcome(outcome_known)),
            },
            What::Open(open) => Self {
                category: "file",
                // Elastic's sensor for containers tells every open as a change, and rules ask for that.
                types: match (open.failed, open.writing) {
                    _ if open.made => &["creation"],
                    (Some(_), _) => &["access", "denied"],
                    (None, true) => &["change"],
                    (None, false) => &["access", "change"],
                },
                action: if open.made { "creation" } else { "open" },
                outcome: if open.failed.is_some() {
                    "failure"
                } else {
                    "success"
                },
                dataset: "endpoint.events.file",
                datasets: of("cloud_defend.file", "endpoint.events.file"),
            },
        }
    }
}

/// A kind of documents, before one is written: what rules can find in them can be judged by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentKind {
    /// Fields whose values are known.
    pub values: Vec<(&'static str, Vec<&'static str>)>,
    /// What else there may be: fields, and what lies below them.
    pub has: Vec<&'static str>,
    /// What of that there never is.
    pub lacks: &'static [&'static str],
    /// What has to be seen for there to be any.
    pub needs: Option<Part>,
}

/// What every document may have.
const HAS: [&str; 14] = [
    "@timestamp",
    "_id",
    "agent",
    "cloud",
    "container",
    "ecs",
    "event",
    "group",
    "host",
    "message",
    "neph",
    "orchestrator",
    "process",
    "user",
];

/// What Elastic's endpoint tells beside, and the sensor does not.
const LACKS: &[&str] = &[
    "event.code",
    "event.provider",
    "process.Ext",
    "process.code_signature",
    "process.env_vars",
    "process.hash",
    "process.io",
    "process.parent.Ext",
    "process.parent.code_signature",
    "process.parent.hash",
    "process.pe",
    "file.Ext",
    "file.hash",
];

/// The kinds of documents about what happens on the host, in a container and outside.
pub fn kinds() -> Vec<DocumentKind> {
    let connect = |outcome, peer| {
        Box::new(Connect {
            at: SinceBoot(0),
            process: ProcessId { pid: 0, start: 0 },
            thread: Vec::new(),
            peer,
            local: None,
            outcome,
            context: Context::default(),
        })
    };
    let ip = || Peer::Ip {
        transport: Transport::Tcp,
        address: SocketAddr::from(([0, 0, 0, 0], 0)),
    };
    let open = |writing, made, failed| {
        What::Open(Box::new(Open {
            at: SinceBoot(0),
            process: ProcessId { pid: 0, start: 0 },
            path: Vec::new(),
            writing,
            made,
            failed,
        }))
    };
    let outcomes = [Outcome::Attempted, Outcome::Accepted, Outcome::Failed(None)];
    let mut all: Vec<(What, Option<Part>)> = vec![
        (What::Running, None),
        (What::Exec, None),
        (What::End { status: 0 }, Some(Part::Exits)),
        (What::Changed(Became::User), None),
        (What::Changed(Became::Group), None),
        (What::Changed(Became::Session), None),
        (open(false, false, None), Some(Part::Files)),
        (open(true, false, None), Some(Part::Files)),
        (open(false, false, Some(0)), Some(Part::Files)),
        (open(true, true, None), Some(Part::Files)),
    ];
    for outcome in outcomes {
        all.push((What::Connect(connect(outcome, ip())), Some(Part::Connections)));
        all.push((
            What::Connect(connect(outcome, Peer::Unix(Vec::new()))),
            Some(Part::UnixSockets),
        ));
        all.push((What::Outcome(connect(outcome, ip())), Some(Part::Outcomes)));
    }
    let mut kinds: Vec<DocumentKind> = Vec::new();
    for (what, needs) in &all {
        for contained in [false, true] {
            let kind = DocumentKind::of(what, contained, *needs);
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
    }
    kinds
}

impl DocumentKind {
    fn of(what: &What, contained: bool, needs: Option<Part>) -> Self {
        let kind = Kind::of(what, contained);
        let mut has = HAS.to_vec();
        match kind.category {
            "network" => has.extend(["destination", "network", "source"]),
            "file" => has.push("file"),
            _ => {}
        }
        if !contained {
            has.retain(|name| *name != "container" && *name != "orchestrator");
        }
        let datasets = match kind.datasets {
            Datasets::One(one) => vec![one],
            Datasets::Two(two) => two.to_vec(),
        };
        Self {
            values: vec![
                ("agent.type", vec!["endpoint"]),
                ("data_stream.dataset", datasets),
                ("data_stream.type", vec!["logs"]),
                ("event.action", vec![kind.action]),
                ("event.category", vec![kind.category]),
                ("event.dataset", vec![kind.dataset]),
                ("event.kind", vec!["event"]),
                ("event.module", vec!["endpoint"]),
                ("event.outcome", vec![kind.outcome]),
                ("event.type", kind.types.to_vec()),
                ("host.os.type", vec!["linux"]),
            ],
            has,
            lacks: LACKS,
            needs,
        }
    }

    /// What Elastic's endpoint tells of this category on Linux and the sensor does not: what happened and what more is told may be anything.
    pub fn beyond(category: &'static str) -> Option<Self> {
        let of_it = |kind: &Self| {
            kind.values
                .iter()
                .any(|(name, values)| *name == "event.category" && *values == [category])
        };
        let mut kind = kinds().into_iter().rfind(of_it)?;
        kind.values
            .retain(|(name, _)| !matches!(*name, "event.action" | "event.type" | "event.outcome"));
        if category == "network" {
            kind.has.push("dns");
        }
        kind.lacks = &[];
        kind.needs = None;
        Some(kind)
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Attempted => "unknown",
        Outcome::Accepted => "success",
        Outcome::Failed(_) => "failure",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::trial::Trial;

    /// The names of the fields of a document.
    fn fields(value: &Value, path: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| {
                let below = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                fields(value, &below, found);
            }),
            _ => found.push(path.to_owned()),
        }
    }

    #[test]
    fn every_document_is_of_one_of_the_kinds() {
        let mut trial = Trial::new();
        trial.exec(10, 1, "/bin/sh", &["sh"]);
        trial.exec_inside(11, 10, "/bin/cat", &["cat"]);
        for pid in [10, 11] {
            trial.connect(pid, "192.0.2.1:80");
            trial.connect_unix(pid, "/run/docker.sock");
            trial.open(pid, "/etc/shadow");
            trial.change(
                pid,
                Context {
                    euid: Some(7),
                    egid: Some(7),
                    session_leader: Some(7),
                    ..Context::default()
                },
            );
            trial.change(
                pid,
                Context {
                    euid: Some(8),
                    egid: Some(8),
                    session_leader: Some(8),
                    ..Context::default()
                },
            );
            trial.exit(pid, 0);
        }
        let documents = trial.documents();
        assert!(documents.len() > 12);
        for document in documents
            .iter()
            .filter(|document| document["event"]["module"] == "endpoint")
        {
            let value = |path: &str| path.split('.').fold(document, |value, key| &value[key]);
            let values = |path: &str| match value(path) {
                Value::Array(values) => values
                    .iter()
                    .filter_map(|value| value.as_str())
                    .map(str::to_owned)
                    .collect(),
                value => value.as_str().map(str::to_owned).into_iter().collect::<Vec<_>>(),
            };
            let mut told = Vec::new();
            fields(document, "", &mut told);
            let within = |names: &[&str], field: &String| {
                names
                    .iter()
                    .any(|name| field == name || field.starts_with(&format!("{name}.")))
            };
            let is_of = |kind: &DocumentKind| {
                let known = |field: &String| kind.values.iter().any(|(name, _)| name == field);
                kind.values.iter().all(|(name, known)| values(name) == *known)
                    && told.iter().all(|field| {
                        known(field)
                            || field == "data_stream.namespace"
                            || (within(&kind.has, field) && !within(kind.lacks, field))
                    })
            };
            assert!(kinds().iter().any(is_of), "{document}");
        }
    }
}
