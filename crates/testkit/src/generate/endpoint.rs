//! Process, network and file events of Linux hosts, in the shape in which Elastic's endpoint integration stores them
//! (<https://www.elastic.co/docs/reference/integrations/endpoint>).

use std::io::{self, Write};

use super::random::Random;
use super::text::Text;

mod catalog;

use catalog::{ATTACKING_PARENTS, ATTACKS, DESTINATIONS, FILES, PARENTS, Parent, Program};

/// Output is handed to the writer in pieces of about this many bytes.
const PIECE: usize = 256 << 10;

/// Nanoseconds of a millisecond.
const MILLISECOND: i64 = 1_000_000;

/// Recent processes that a host keeps for events to refer to.
const RECENT: usize = 16;

/// What to generate.
#[derive(Clone, Debug)]
pub struct EndpointOptions {
    /// About how many bytes; the last event is whole.
    pub bytes: u64,
    /// The same seed gives the same bytes.
    pub seed: u64,
    /// Hosts; at least one.
    pub hosts: u32,
    /// Attacks in a million events: a request to the metadata service by a process, seen as its start and, within a
    /// second, its connection.
    pub attacks_per_million: u32,
    /// Time of the first event, in milliseconds since the epoch.
    pub start_millis: i64,
    /// Events of one host in a second, on average; at least one.
    pub events_per_host_second: u32,
}

impl Default for EndpointOptions {
    fn default() -> Self {
        Self {
            bytes: 1 << 30,
            seed: 1,
            hosts: 200,
            attacks_per_million: 20,
            start_millis: 1_772_359_200_000,
            events_per_host_second: 5,
        }
    }
}

/// An attack in the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attack {
    /// `event.id` of the process event.
    pub process: String,
    /// `event.id` of the network event.
    pub network: String,
}

/// What was generated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generated {
    /// Bytes written.
    pub bytes: u64,
    /// Events written, one a line.
    pub events: u64,
    /// Attacks, in the order of their process events. Each was written whole.
    pub attacks: Vec<Attack>,
}

/// Writes endpoint events as NDJSON, in the order of their times but for a jitter of up to 40 ms.
///
/// # Errors
/// What the writer reports.
pub fn endpoint(writer: &mut dyn Write, options: &EndpointOptions) -> io::Result<Generated> {
    let mut random = Random::new(options.seed);
    let mut hosts: Vec<Host> = (0..options.hosts.max(1))
        .map(|number| Host::new(number, &mut random))
        .collect();
    let per_second = i64::from(options.hosts.max(1)) * i64::from(options.events_per_host_second.max(1));
    let gap = (1000 * MILLISECOND / per_second).max(1);
    let mut clock = options.start_millis * MILLISECOND;
    let mut text = Text::default();
    let mut generated = Generated::default();
    let mut due: Vec<Due> = Vec::new();
    while generated.bytes + (text.bytes.len() as u64) < options.bytes || !due.is_empty() {
        let index = random.below(hosts.len() as u64);
        clock += gap / 2 + i64::try_from(random.below(gap.unsigned_abs())).unwrap_or(0);
        if due.first().is_some_and(|due| due.time <= clock) {
            let Due {
                time,
                host,
                process,
                attack,
            } = due.remove(0);
            let Some(host) = hosts.get_mut(host) else { continue };
            let id = host.event(
                "network",
                "connection_attempted",
                "start",
                time,
                &mut random,
                &mut text,
            );
            host.connection(&process, ("169.254.169.254", 80), &mut random, &mut text);
            if let Some(attack) = generated.attacks.get_mut(attack) {
                attack.network = id;
            }
            generated.events += 1;
            continue;
        }
        let host_index = usize::try_from(index).unwrap_or(0);
        let Some(host) = hosts.get_mut(host_index) else {
            continue;
        };
        let jitter = i64::try_from(random.below(40)).unwrap_or(0) * MILLISECOND;
        let kind = random.below(100);
        let attacks = generated.bytes < options.bytes
            && random.below(1_000_000) < u64::from(options.attacks_per_million);
        if attacks {
            let parent = usize::try_from(random.below(ATTACKING_PARENTS)).unwrap_or(0);
            let program = random.pick(ATTACKS);
            let Some(process) = program.and_then(|program| host.start_process(parent, program, &mut random))
            else {
                continue;
            };
            let id = host.event("process", "exec", "start", clock, &mut random, &mut text);
            host.process(&process, &mut random, &mut text);
            let wait = 50 + i64::try_from(random.below(850)).unwrap_or(0);
            due.push(Due {
                time: clock + wait * MILLISECOND,
                host: host_index,
                process,
                attack: generated.attacks.len(),
            });
            due.sort_by_key(|due| due.time);
            generated.attacks.push(Attack {
                process: id,
                network: String::new(),
            });
        } else if kind < 45 || host.recent.is_empty() {
            let parent = usize::try_from(random.below(PARENTS.len() as u64)).unwrap_or(0);
            let program = PARENTS
                .get(parent)
                .and_then(|parent| weighted(parent.children, &mut random));
            let Some(process) = program.and_then(|program| host.start_process(parent, program, &mut random))
            else {
                continue;
            };
            let (action, kind) = match random.below(10) {
                0..6 => ("exec", "start"),
                6 | 7 => ("fork", "start"),
                _ => ("end", "end"),
            };
            host.event("process", action, kind, clock - jitter, &mut random, &mut text);
            host.process(&process, &mut random, &mut text);
            host.remember(process);
        } else {
            let process = host
                .recent
                .get(usize::try_from(random.below(host.recent.len() as u64)).unwrap_or(0));
            let Some(process) = process.cloned() else { continue };
            if kind < 75 {
                // The agent of the cloud provider asks the metadata service too, and is no attack.
                let agent = process.program.name.starts_with("amazon-ssm");
                let destination = if agent {
                    ("169.254.169.254", 80)
                } else {
                    random.pick(DESTINATIONS).copied().unwrap_or_default()
                };
                let (action, kind) = match random.below(3) {
                    0 => ("disconnect_received", "end"),
                    1 => ("connection_accepted", "start"),
                    _ => ("connection_attempted", "start"),
                };
                host.event("network", action, kind, clock - jitter, &mut random, &mut text);
                host.connection(&process, destination, &mut random, &mut text);
            } else {
                let (action, kind) = match random.below(3) {
                    0 => ("creation", "creation"),
                    1 => ("rename", "change"),
                    _ => ("deletion", "deletion"),
                };
                host.event("file", action, kind, clock - jitter, &mut random, &mut text);
                host.file(&process, &mut random, &mut text);
            }
        }
        generated.events += 1;
        if text.bytes.len() >= PIECE {
            writer.write_all(&text.bytes)?;
            generated.bytes += text.bytes.len() as u64;
            text.bytes.clear();
        }
    }
    writer.write_all(&text.bytes)?;
    generated.bytes += text.bytes.len() as u64;
    Ok(generated)
}

/// A connection that follows a process event of an attack.
struct Due {
    time: i64,
    host: usize,
    process: Process,
    /// Index among the attacks.
    attack: usize,
}

/// A host, and the parts of its events that stay the same as ready JSON text.
struct Host {
    agent: String,
    host: String,
    address: String,
    parents: Vec<ParentProcess>,
    recent: Vec<Process>,
    next_recent: usize,
    sequence: u64,
}

/// A long-lived process of a host.
struct ParentProcess {
    user: String,
    /// `process.parent` and `process.entry_leader`.
    json: String,
}

#[derive(Clone)]
struct Process {
    program: &'static Program,
    line: &'static [&'static str],
    entity: String,
    pid: u64,
    parent: usize,
}

fn weighted(programs: &'static [Program], random: &mut Random) -> Option<&'static Program> {
    let total: u64 = programs.iter().map(|program| u64::from(program.weight)).sum();
    let mut left = random.below(total);
    programs.iter().find(|program| {
        let weight = u64::from(program.weight);
        let found = left < weight;
        left = left.saturating_sub(weight);
        found
    })
}

impl Host {
    fn new(number: u32, random: &mut Random) -> Self {
        let agent = [8, 4, 4, 4, 12].map(|length| random.hex(length)).join("-");
        let address = format!(
            "10.{}.{}.{}",
            20 + (number >> 16),
            (number >> 8) & 255,
            number & 255
        );
        let host = format!(
            r#""host":{{"hostname":"node-{number:05}","id":"{id}","ip":["127.0.0.1","{address}"],"name":"node-{number:05}","os":{{"kernel":"6.8.0-1021-aws","name":"Linux","platform":"ubuntu","type":"linux","version":"24.04"}}}}"#,
            id = random.hex(32),
        );
        let parents = PARENTS
            .iter()
            .map(|parent| ParentProcess::new(parent, random))
            .collect();
        Self {
            agent: format!(
                r#"{{"agent":{{"id":"{agent}","type":"endpoint","version":"8.17.1"}},"@timestamp":""#
            ),
            host,
            address,
            parents,
            recent: Vec::new(),
            next_recent: 0,
            sequence: random.below(1 << 20),
        }
    }

    fn start_process(
        &self,
        parent: usize,
        program: &'static Program,
        random: &mut Random,
    ) -> Option<Process> {
        let line = random.pick(program.lines)?;
        Some(Process {
            program,
            line,
            entity: random.base64(24),
            pid: 1000 + random.below(4_000_000),
            parent,
        })
    }

    fn remember(&mut self, process: Process) {
        match self.recent.get_mut(self.next_recent) {
            Some(slot) => *slot = process,
            None => self.recent.push(process),
        }
        self.next_recent = (self.next_recent + 1) % RECENT;
    }

    /// Writes what all events have, up to the members of their category; gives its id.
    fn event(
        &mut self,
        category: &str,
        action: &str,
        kind: &str,
        time: i64,
        random: &mut Random,
        text: &mut Text,
    ) -> String {
        let id = random.base64(20);
        self.sequence += 1;
        text.put(&[&self.agent]).time(time);
        text.put(&[
            r#"","ecs":{"version":"8.10.0"},"event":{"action":""#,
            action,
            r#"","category":[""#,
            category,
        ]);
        text.put(&[r#""],"dataset":"endpoint.events."#, category, r#"","id":""#, &id]);
        text.put(&[r#"","kind":"event","module":"endpoint","sequence":"#]);
        text.number(self.sequence)
            .put(&[r#","type":[""#, kind, r#""]},"#, &self.host]);
        id
    }

    /// Writes `process`, with everything that is known of it at its start, and ends the event.
    fn process(&self, process: &Process, random: &mut Random, text: &mut Text) {
        self.open_process(process, text);
        text.put(&[r#","args":["#]);
        for (position, argument) in process.line.iter().enumerate() {
            text.put(&[if position == 0 { "\"" } else { ",\"" }, argument, "\""]);
        }
        text.put(&[r#"],"args_count":"#])
            .number(process.line.len() as u64);
        text.put(&[r#","command_line":""#]);
        for (position, argument) in process.line.iter().enumerate() {
            text.put(&[if position == 0 { "" } else { " " }, argument]);
        }
        text.put(&[
            r#"","hash":{"sha256":""#,
            &random.hex(64),
            r#""},"working_directory":"/home/ubuntu""#,
        ]);
        self.close_process(process, text);
    }

    fn connection(
        &self,
        process: &Process,
        (address, port): (&str, u64),
        random: &mut Random,
        text: &mut Text,
    ) {
        self.open_process(process, text);
        self.close_process_with(process, text, |text| {
            text.put(&[
                r#","destination":{"address":""#,
                address,
                r#"","ip":""#,
                address,
                r#"","port":"#,
            ])
            .number(port);
            text.put(&[
                r#"},"network":{"transport":"tcp","type":"ipv4"},"source":{"address":""#,
                &self.address,
            ]);
            text.put(&[r#"","ip":""#, &self.address, r#"","port":"#])
                .number(32768 + random.below(28000));
            text.put(&["}"]);
        });
    }

    fn file(&self, process: &Process, random: &mut Random, text: &mut Text) {
        let Some((folder, name, extension)) = random.pick(FILES) else {
            return;
        };
        let number = random.below(1_000_000);
        self.open_process(process, text);
        self.close_process_with(process, text, |text| {
            text.put(&[r#","file":{"extension":""#, extension, r#"","name":""#, name])
                .number(number);
            text.put(&[".", extension, r#"","path":""#, folder, "/", name])
                .number(number);
            text.put(&[".", extension, r#"","size":"#])
                .number(random.below(1 << 22));
            text.put(&["}"]);
        });
    }

    fn open_process(&self, process: &Process, text: &mut Text) {
        let program = process.program;
        text.put(&[
            r#","process":{"entity_id":""#,
            &process.entity,
            r#"","executable":""#,
            program.executable,
        ]);
        text.put(&[r#"","name":""#, program.name, r#"","pid":"#])
            .number(process.pid);
    }

    fn close_process(&self, process: &Process, text: &mut Text) {
        self.close_process_with(process, text, |_| ());
    }

    fn close_process_with(&self, process: &Process, text: &mut Text, more: impl FnOnce(&mut Text)) {
        let Some(parent) = self.parents.get(process.parent) else {
            return;
        };
        text.put(&[&parent.json, "}"]);
        more(text);
        text.put(&[&parent.user, "}\n"]);
    }
}

impl ParentProcess {
    fn new(parent: &Parent, random: &mut Random) -> Self {
        let (entity, leader) = (random.base64(24), random.base64(24));
        let pid = 300 + random.below(3000);
        let (user, id) = parent.user;
        let json = format!(
            r#","parent":{{"command_line":"{line}","entity_id":"{entity}","executable":"{executable}","name":"{name}","pid":{pid}}},"entry_leader":{{"entity_id":"{leader}","entry_meta":{{"type":"{entry}"}},"pid":{leader_pid}}}"#,
            line = parent.line,
            executable = parent.executable,
            name = parent.name,
            entry = parent.entry,
            leader_pid = pid - 17,
        );
        let user =
            format!(r#","user":{{"id":"{id}","name":"{user}"}},"group":{{"id":"{id}","name":"{user}"}}"#);
        Self { user, json }
    }
}
