//! ECS documents of what was seen, in the form in which Elastic's endpoint writes them on Linux
//! (<https://github.com/elastic/endpoint-package>, <https://www.elastic.co/docs/reference/ecs>).
//!
//! What ECS has no field for stands below `neph.sensor`. Hashes of files are not made: that would mean to read every program.

mod entity;
mod kind;
mod process;
mod relatives;
#[cfg(test)]
mod rules;
mod seen;
mod shapes;
mod text;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use self::entity::Entities;
use self::kind::Kind;
pub use self::kind::{DocumentKind, kinds};
use self::relatives::Relatives;
use self::seen::{connection, opened};
use self::shapes::{
    AbilityFields, Agent, ContainerFields, DataStream, Datasets, Document, EngineFields, EventFields,
    ExecutableFields, LostFields, NamespaceFields, Orchestrator, Own, Resource, SensorFields, Version,
};
use self::text::{Stamp, Text};
use crate::clock::{self, Wall};
use crate::containers::{EngineState, Runtime};
use crate::enrich::Known;
use crate::event::{Event, What};
use crate::host::Host;
use crate::observation::{Context, Lost, SinceBoot};
use crate::options::Options;
use crate::source::Abilities;
use crate::table::overlaid;
use crate::users::Names;

/// The version of ECS that documents follow.
const ECS: &str = "8.17.0";

/// What is written of where documents belong that are about the sensor itself.
const OWN_DATASET: &str = "neph.sensor";

/// `data_stream.namespace` of all documents.
const NAMESPACE: &str = "default";

/// Writes documents.
#[derive(Debug)]
pub(crate) struct Writer {
    /// As documents have it.
    host: Box<RawValue>,
    agent: Agent,
    mode: &'static str,
    users: Names,
    groups: Names,
    /// What ids of this run begin with.
    run: String,
    sequence: u64,
    wall: Wall,
    cloud: Option<Map<String, Value>>,
    entities: Entities,
    relatives: Relatives,
}

impl Writer {
    /// One for the host on which it runs.
    pub(crate) fn new(options: &Options, abilities: &Abilities) -> Self {
        let host = Host::read(&options.host);
        let agent = Agent {
            id: hash(&[b"agent", host.id.as_bytes()], 32),
            kind: "endpoint",
            name: "neph".to_owned(),
            version: env!("CARGO_PKG_VERSION"),
        };
        let started = clock::since_boot().0.to_le_bytes();
        Self {
            run: hash(&[b"run", host.id.as_bytes(), host.boot.as_bytes(), &started], 16),
            agent,
            mode: abilities.mode.name(),
            users: Names::of("/etc/passwd"),
            groups: Names::of("/etc/group"),
            sequence: 0,
            wall: Wall::now(),
            cloud: None,
            entities: Entities::of_host(&host),
            relatives: Relatives::default(),
            host: to_raw_value(&host).unwrap_or_default(),
        }
    }

    /// Looks at the clocks, and at files that tell names, as often as something new is to be written.
    pub(crate) fn refresh(&mut self) {
        let wall = self.wall.followed();
        let renamed = [self.users.refresh(), self.groups.refresh()];
        if wall != self.wall || renamed.contains(&true) {
            self.wall = wall;
            self.relatives.forget();
        }
    }

    /// Tells with every document which instance of a cloud the host is.
    pub(crate) fn in_cloud(&mut self, members: Map<String, Value>) {
        self.cloud = Some(members).filter(|members| !members.is_empty());
    }

    /// Appends the document of an event.
    pub(crate) fn event(&mut self, event: &Event, known: &Known, lines: &mut Vec<u8>) {
        self.sequence += 1;
        let id = self.id();
        let document = self.document(event, known, &id);
        append(&document, lines);
    }

    /// Appends a document that tells who a container is.
    pub(crate) fn container(&mut self, members: &Map<String, Value>, lines: &mut Vec<u8>) {
        self.sequence += 1;
        let id = self.id();
        let kind = Kind {
            category: "host",
            types: &["info"],
            action: "container_known",
            outcome: "unknown",
            dataset: OWN_DATASET,
            datasets: Datasets::One(OWN_DATASET),
        };
        let mut document = self.frame(clock::since_boot(), &kind, "who a container is became known", &id);
        document.event.module = "neph";
        tell(members, &mut document);
        append(&document, lines);
    }

    /// Appends a document that tells of something that was lost.
    pub(crate) fn lost(&mut self, lost: &Lost, lines: &mut Vec<u8>) {
        let fields = SensorFields {
            mode: self.mode,
            lost: Some(LostFields {
                class: lost.class.name(),
                cause: lost.cause.name(),
                count: lost.count,
            }),
            ..SensorFields::default()
        };
        self.about_itself("sensor_lost", "the sensor lost something", fields, lines);
    }

    /// Appends a document that tells that an engine of containers answers, or does so no longer.
    pub(crate) fn engine(&mut self, state: &EngineState, lines: &mut Vec<u8>) {
        let (action, message) = match state.problem {
            None => ("container_engine_connected", "a container engine answers"),
            Some(_) => ("container_engine_lost", "a container engine does not answer"),
        };
        let fields = SensorFields {
            mode: self.mode,
            engine: Some(EngineFields {
                socket: state.socket.to_string_lossy().into_owned(),
                runtime: state.runtime.map(Runtime::name),
                problem: state.problem.clone(),
            }),
            ..SensorFields::default()
        };
        self.about_itself(action, message, fields, lines);
    }

    /// Appends the document that tells what the sensor sees.
    pub(crate) fn started(&mut self, abilities: &Abilities, lines: &mut Vec<u8>) {
        let (failed, attached): (Vec<_>, Vec<_>) =
            abilities.hooks.iter().partition(|hook| hook.failed.is_some());
        let fields = SensorFields {
            mode: self.mode,
            abilities: Some(AbilityFields {
                unseen: abilities.unseen.iter().map(|part| part.name()).collect(),
                uncertain: abilities.uncertain.iter().map(|part| part.name()).collect(),
                hooks: attached.into_iter().map(|hook| hook.name.clone()).collect(),
                failed: failed
                    .into_iter()
                    .map(|hook| format!("{}: {}", hook.name, hook.failed.as_deref().unwrap_or_default()))
                    .collect(),
                passed_over: abilities
                    .passed_over
                    .iter()
                    .map(|(mode, why)| format!("{mode}: {why}"))
                    .collect(),
            }),
            ..SensorFields::default()
        };
        self.about_itself("sensor_started", "the sensor started", fields, lines);
    }

    fn about_itself(
        &mut self,
        action: &'static str,
        message: &'static str,
        fields: SensorFields<'_>,
        lines: &mut Vec<u8>,
    ) {
        self.sequence += 1;
        let id = self.id();
        let kind = Kind {
            category: "host",
            types: &["info"],
            action,
            outcome: "unknown",
            dataset: OWN_DATASET,
            datasets: Datasets::One(OWN_DATASET),
        };
        let mut document = self.frame(clock::since_boot(), &kind, message, &id);
        document.event.module = "neph";
        document.neph.sensor = fields;
        append(&document, lines);
    }

    /// An id that no other document has.
    fn id(&self) -> String {
        format!("{}-{:x}", self.run, self.sequence)
    }

    fn frame<'a>(&'a self, at: SinceBoot, kind: &Kind, message: &'static str, id: &'a str) -> Document<'a> {
        Document {
            timestamp: Stamp(self.wall.of(at)),
            message,
            ecs: Version { version: ECS },
            data_stream: DataStream {
                kind: "logs",
                dataset: kind.datasets,
                namespace: NAMESPACE,
            },
            agent: &self.agent,
            event: EventFields {
                id,
                sequence: self.sequence,
                kind: "event",
                category: [kind.category],
                types: kind.types,
                action: kind.action,
                outcome: kind.outcome,
                module: "endpoint",
                dataset: kind.dataset,
                created: Stamp(self.wall.of(clock::since_boot())),
            },
            host: &self.host,
            cloud: self.cloud.as_ref(),
            process: None,
            user: None,
            group: None,
            file: None,
            source: None,
            destination: None,
            network: None,
            container: None,
            orchestrator: None,
            neph: Own {
                sensor: SensorFields {
                    mode: self.mode,
                    ..SensorFields::default()
                },
            },
        }
    }

    fn document<'a>(&'a self, event: &'a Event, known: &'a Known, id: &'a str) -> Document<'a> {
        let kind = Kind::of(&event.what, event.container().is_some());
        let message = match kind.category {
            "process" => "Endpoint process event",
            "network" => "Endpoint network event",
            _ => "Endpoint file event",
        };
        let mut document = self.frame(event.at, &kind, message, id);
        let own = &event.process.own;
        let seen = match &event.what {
            What::Connect(connect) | What::Outcome(connect) => Some(&connect.context),
            _ => None,
        };
        let context = overlaid((*own.context).clone(), seen.unwrap_or(&Context::default()));
        let contained = event.container().is_some();
        let (user, group) = self.effective(&context, contained);
        document.user = user;
        document.group = group;
        document.process = Some(self.process(event, &context));
        place(event, known, &mut document);
        let sensor = &mut document.neph.sensor;
        sensor.cgroup = own.context.cgroup.as_deref().map(Text);
        sensor.namespaces = context.namespaces.map(|namespaces| NamespaceFields {
            mnt: namespaces.mnt,
            pid: namespaces.pid,
            net: namespaces.net,
            user: namespaces.user,
            uts: namespaces.uts,
        });
        sensor.login_uid = context.login_uid;
        sensor.audit_session = context.session_id;
        sensor.unnamed = own.program.unnamed;
        sensor.made_by = event.process.maker.map(|maker| self.entities.of(maker));
        let file = own.program.executable.as_slice();
        let path = (file != own.program.path()).then_some(Text(file));
        sensor.executable = (path.is_some() || known.executable.is_some()).then_some(ExecutableFields {
            path,
            origin: known.executable.as_deref(),
        });
        if own.program.args.is_some() && own.program.args_bytes > own.program.args_seen() {
            sensor.args_truncated = Some(own.program.args_bytes);
        }
        if own.program.args.is_none() {
            sensor.unknown.push("arguments");
        }
        if own.program.executable.is_empty() {
            sensor.unknown.push("executable");
        }
        if event.process.parent.is_none() && own.id.pid > 1 {
            sensor.unknown.push("parent");
        }
        match &event.what {
            What::Connect(connect) | What::Outcome(connect) => connection(connect, &mut document),
            What::Open(open) => opened(open, &mut document),
            What::End { status } => {
                let signal = status & 0x7f;
                document.neph.sensor.signal = (signal != 0).then_some(signal);
            }
            What::Running | What::Exec | What::Changed(_) => {}
        }
        document
    }
}

/// The container and the pod in which it happened.
fn place<'a>(event: &'a Event, known: &'a Known, document: &mut Document<'a>) {
    let Some(found) = event.container() else { return };
    document.container = Some(ContainerFields::Id {
        id: &found.id,
        runtime: found.runtime,
    });
    document.orchestrator = found.pod.as_ref().map(|pod| Orchestrator::Pod {
        kind: "kubernetes",
        resource: Resource { kind: "pod", id: pod },
    });
    if let Some(members) = &known.container {
        tell(members, document);
    }
}

/// Who a container is, by the members of documents that say so.
fn tell<'a>(members: &'a Map<String, Value>, document: &mut Document<'a>) {
    if let Some(container) = members.get("container") {
        document.container = Some(ContainerFields::Told(container));
    }
    if let Some(orchestrator) = members.get("orchestrator") {
        document.orchestrator = Some(Orchestrator::Told(orchestrator));
    }
    let own = members
        .get("neph")
        .and_then(|own| own.get("sensor")?.get("container"));
    document.neph.sensor.container = own;
}

/// So many hexadecimal digits of a hash of parts, none of which can be taken for the end of another.
fn hash(parts: &[&[u8]], digits: usize) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(part);
    }
    let mut text = String::with_capacity(digits);
    for byte in hasher.finalize().iter().take(digits / 2) {
        for nibble in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(nibble.into(), 16));
        }
    }
    text
}

fn append(document: &Document<'_>, lines: &mut Vec<u8>) {
    let before = lines.len();
    // Every value of a document can be written as JSON, and memory takes every byte.
    if serde_json::to_writer(&mut *lines, document).is_ok() {
        lines.push(b'\n');
    } else {
        lines.truncate(before);
    }
}
