//! ECS documents of what was seen, in the form in which Elastic's endpoint writes them on Linux
//! (<https://github.com/elastic/endpoint-package>, <https://www.elastic.co/docs/reference/ecs>).
//!
//! What ECS has no field for stands below `neph.sensor`. Hashes of files are not made: that would mean to read every program.

#[cfg(test)]
mod rules;
mod shapes;
mod text;

use std::net::SocketAddr;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use self::shapes::{
    AbilityFields, Address, Agent, ContainerFields, DataStream, Datasets, Device, Document, End, EntryMeta,
    EventFields, ExecutableFields, FileFields, GroupFields, LostFields, NamespaceFields, Network,
    Orchestrator, Own, Previous, ProcessFields, Resource, SensorFields, SocketFields, Thread,
    ThreadCapabilities, Tty, UserFields, Version,
};
use self::text::{Args, Capabilities, CommandLine, Number, Stamp, Text, moment};
use crate::clock::{self, Wall};
use crate::enrich::Known;
use crate::event::{Event, What};
use crate::host::Host;
use crate::observation::{Connect, Context, Lost, Open, Outcome, Peer, ProcessId, SinceBoot, Transport};
use crate::options::Options;
use crate::process::{EntryKind, Kin, name_of};
use crate::source::Abilities;
use crate::table::overlaid;
use crate::users::Names;

/// The version of ECS that documents follow.
const ECS: &str = "8.17.0";

/// Bytes of arguments that are told of a parent, and of leaders.
const ARGS_OF_PARENT: usize = 4 << 10;
const ARGS_OF_LEADER: usize = 1 << 10;

/// What is written of where documents belong that are about the sensor itself.
const OWN_DATASET: &str = "neph.sensor";

/// Writes documents.
#[derive(Debug)]
pub(crate) struct Writer {
    host: Host,
    agent: Agent,
    namespace: String,
    mode: &'static str,
    users: Names,
    groups: Names,
    /// What ids of this run begin with.
    run: String,
    sequence: u64,
    wall: Wall,
    cloud: Option<Map<String, Value>>,
}

/// What kind of document it is.
struct Kind {
    category: &'static str,
    types: &'static [&'static str],
    action: &'static str,
    outcome: &'static str,
    dataset: &'static str,
    datasets: Datasets,
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
            namespace: options
                .host
                .namespace
                .clone()
                .unwrap_or_else(|| "default".to_owned()),
            mode: abilities.mode.name(),
            users: Names::of("/etc/passwd"),
            groups: Names::of("/etc/group"),
            sequence: 0,
            wall: Wall::now(),
            cloud: None,
            host,
        }
    }

    /// Looks at the clocks, and at files that tell names, as often as something new is to be written.
    pub(crate) fn refresh(&mut self) {
        self.wall = self.wall.followed();
        self.users.refresh();
        self.groups.refresh();
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

    /// `process.entity_id`: the same for a process whenever and by whichever sensor of the host it is told of.
    fn entity(&self, id: ProcessId) -> String {
        let parts = [
            self.host.id.as_bytes(),
            self.host.boot.as_bytes(),
            &id.pid.to_le_bytes(),
            &id.start.to_le_bytes(),
        ];
        hash(&parts, 32)
    }

    fn frame<'a>(&'a self, at: SinceBoot, kind: &Kind, message: &'static str, id: &'a str) -> Document<'a> {
        Document {
            timestamp: Stamp(self.wall.of(at)),
            message,
            ecs: Version { version: ECS },
            data_stream: DataStream {
                kind: "logs",
                dataset: kind.datasets,
                namespace: &self.namespace,
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
        let kind = kind_of(&event.what, event.container().is_some());
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
        sensor.made_by = event.process.maker.map(|maker| self.entity(maker));
        let file = own.program.executable.as_slice();
        let path = (file != own.program.path()).then_some(Text(file));
        sensor.executable = (path.is_some() || known.executable.is_some()).then_some(ExecutableFields {
            path,
            origin: known.executable.as_ref(),
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
            What::Running | What::Fork | What::Exec => {}
        }
        document
    }

    fn process<'a>(&'a self, event: &'a Event, context: &Context) -> ProcessFields<'a> {
        let process = &event.process;
        let own = &process.own;
        let contained = own.container.is_some();
        let mut fields = self.kin(own, usize::MAX);
        (fields.user, fields.group) = self.effective(context, contained);
        fields.real_user = context.uid.map(|id| self.user(id, contained));
        fields.real_group = context.gid.map(|id| self.group(id, contained));
        fields.tty = tty(context);
        fields.vpid = context.inner_pid;
        let thread = match &event.what {
            What::Connect(connect) | What::Outcome(connect) if !connect.thread.is_empty() => {
                Some(Text(&connect.thread))
            }
            _ => None,
        };
        let capabilities = ThreadCapabilities {
            effective: context.capabilities_effective.map(Capabilities),
            permitted: context.capabilities_permitted.map(Capabilities),
        };
        let known = capabilities.effective.is_some() || capabilities.permitted.is_some();
        fields.thread = (known || thread.is_some()).then_some(Thread {
            name: thread,
            capabilities: known.then_some(capabilities),
        });
        if let What::End { status } = event.what {
            // As shells tell it: 128 and the signal, or what the program returned.
            let signal = status & 0x7f;
            fields.exit_code = Some(if signal == 0 {
                status >> 8 & 0xff
            } else {
                128 + signal
            });
            fields.end = Some(Stamp(self.wall.of(event.at)));
        }
        if event.what_starts() {
            fields.previous = process.previous.as_ref().map(|program| {
                [Previous {
                    executable: Text(program.path()),
                    args: program.args.as_deref().map(|args| Args {
                        args,
                        most: ARGS_OF_LEADER,
                    }),
                    args_count: args_count(program),
                }]
            });
        }
        fields.parent = process.parent.as_ref().map(|parent| {
            let mut fields = self.kin(parent, ARGS_OF_PARENT);
            let contained = parent.container.is_some();
            (fields.user, fields.group) = self.effective(&parent.context, contained);
            fields.real_user = parent.context.uid.map(|id| self.user(id, contained));
            fields.real_group = parent.context.gid.map(|id| self.group(id, contained));
            Box::new(fields)
        });
        let leader = |kin: &'a Kin, kind: Option<EntryKind>| {
            let mut fields = self.kin(kin, ARGS_OF_LEADER);
            fields.same_as_process = Some(kin.id == own.id);
            fields.entry_meta = kind.map(|kind| EntryMeta { kind: kind.name() });
            Box::new(fields)
        };
        fields.entry_leader = process
            .entry
            .as_ref()
            .map(|entry| leader(&entry.leader, Some(entry.kind)));
        fields.session_leader = event.session.as_ref().map(|kin| leader(kin, None));
        fields.group_leader = event.group.as_ref().map(|kin| leader(kin, None));
        fields
    }

    fn kin<'a>(&'a self, kin: &'a Kin, most: usize) -> ProcessFields<'a> {
        let program = &kin.program;
        let text = |bytes: &'a [u8]| (!bytes.is_empty()).then_some(Text(bytes));
        let args = program.args.as_deref().map(|args| Args { args, most });
        ProcessFields {
            entity_id: self.entity(kin.id),
            pid: kin.id.pid,
            name: text(program.name()),
            executable: text(program.path()),
            args,
            args_count: args_count(program),
            command_line: args.map(CommandLine),
            working_directory: program.cwd.as_deref().map(Text),
            start: moment(kin.start(), self.wall),
            interactive: kin.context.tty.map(|tty| tty != 0),
            ..ProcessFields::default()
        }
    }

    fn effective(
        &self,
        context: &Context,
        contained: bool,
    ) -> (Option<UserFields<'_>>, Option<GroupFields<'_>>) {
        let user = context.euid.or(context.uid).map(|id| self.user(id, contained));
        let group = context.egid.or(context.gid).map(|id| self.group(id, contained));
        (user, group)
    }

    /// Names are those of the host; a container has its own, but number 0 is `root` everywhere.
    fn user(&self, id: u32, contained: bool) -> UserFields<'_> {
        UserFields {
            id: Number(id),
            name: self.users.get(id).filter(|_| !contained || id == 0),
        }
    }

    fn group(&self, id: u32, contained: bool) -> GroupFields<'_> {
        GroupFields {
            id: Number(id),
            name: self.groups.get(id).filter(|_| !contained || id == 0),
        }
    }
}

fn kind_of(what: &What, contained: bool) -> Kind {
    let of = |contained_as: &'static str, dataset: &'static str| match contained {
        true => Datasets::Two([dataset, contained_as]),
        false => Datasets::One(dataset),
    };
    let process = |types, action| Kind {
        category: "process",
        types,
        action,
        outcome: "unknown",
        dataset: "endpoint.events.process",
        datasets: of("cloud_defend.process", "endpoint.events.process"),
    };
    let network = |types, action, outcome| Kind {
        category: "network",
        types,
        action,
        outcome,
        dataset: "endpoint.events.network",
        datasets: Datasets::One("endpoint.events.network"),
    };
    match what {
        What::Running => process(&["info"], "already_running"),
        What::Fork => process(&["start"], "fork"),
        What::Exec => process(&["start"], "exec"),
        What::End { .. } => process(&["end"], "end"),
        What::Connect(connect) => network(&["start"], "connection_attempted", outcome(connect.outcome)),
        What::Outcome(connect) => match connect.outcome {
            Outcome::Failed(_) => network(&["info"], "connection_failed", "failure"),
            outcome_known => network(&["info"], "connection_established", outcome(outcome_known)),
        },
        What::Open(open) => Kind {
            category: "file",
            // Elastic's sensor for containers tells every open as a change, and rules ask for that.
            types: match (open.failed, open.writing) {
                (Some(_), _) => &["access", "denied"],
                (None, true) => &["change"],
                (None, false) => &["access", "change"],
            },
            action: "open",
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

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Attempted => "unknown",
        Outcome::Accepted => "success",
        Outcome::Failed(_) => "failure",
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

fn connection<'a>(connect: &'a Connect, document: &mut Document<'a>) {
    let sensor = &mut document.neph.sensor;
    if let Outcome::Failed(error) = connect.outcome {
        sensor.error = error;
    }
    match &connect.peer {
        Peer::Ip { transport, address } => {
            let destination = end(*address);
            let (name, number) = match transport {
                Transport::Tcp => (Some("tcp"), None),
                Transport::Udp => (Some("udp"), None),
                Transport::Other(number) => (None, Some(number.to_string())),
                Transport::Unknown => (None, None),
            };
            document.network = Some(Network {
                transport: name,
                kind: Some(if destination.ip.is_some_and(|ip| ip.is_ipv4()) {
                    "ipv4"
                } else {
                    "ipv6"
                }),
                direction: "egress",
                iana_number: number,
            });
            document.destination = Some(destination);
            document.source = connect
                .local
                .filter(|local| !local.ip().is_unspecified() || local.port() != 0)
                .map(end);
        }
        Peer::Unix(path) => {
            let (is_abstract, path) = match path.strip_prefix(b"\0") {
                Some(name) => (true, name),
                None => (false, path.as_slice()),
            };
            sensor.socket = Some(SocketFields {
                path: Text(path),
                is_abstract,
            });
            document.network = Some(Network {
                transport: Some("unix"),
                kind: None,
                direction: "egress",
                iana_number: None,
            });
            document.destination = Some(End {
                address: Address::Path(Text(path)),
                ip: None,
                port: None,
            });
        }
    }
}

/// An address that was written as IPv6 and is one of IPv4 goes there.
fn end<'a>(address: SocketAddr) -> End<'a> {
    let ip = address.ip().to_canonical();
    End {
        address: Address::Ip(ip),
        ip: Some(ip),
        port: Some(address.port()),
    }
}

fn opened<'a>(open: &'a Open, document: &mut Document<'a>) {
    document.neph.sensor.writing = Some(open.writing);
    document.neph.sensor.error = open.failed;
    let name = name_of(&open.path);
    let directory = open.path.strip_suffix(name).map(|directory| match directory {
        b"/" => directory,
        longer => longer.strip_suffix(b"/").unwrap_or(longer),
    });
    let dot = name.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0);
    document.file = Some(FileFields {
        path: Text(&open.path),
        name: Text(name),
        directory: directory.filter(|directory| !directory.is_empty()).map(Text),
        extension: dot
            .and_then(|dot| name.get(dot + 1..))
            .filter(|extension| !extension.is_empty())
            .map(Text),
    });
}

fn tty(context: &Context) -> Option<Tty> {
    let tty = context.tty.filter(|tty| *tty != 0)?;
    Some(Tty {
        char_device: Device {
            major: tty >> 16,
            minor: tty & 0xffff,
        },
    })
}

fn args_count(program: &crate::process::Program) -> Option<u64> {
    let seen = program
        .args
        .as_ref()
        .map(|args| u64::try_from(args.len()).unwrap_or(u64::MAX));
    program.args_count.or(seen)
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
