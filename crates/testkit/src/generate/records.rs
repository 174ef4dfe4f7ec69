//! Records of the logs that much of detection lives on, as their sources write them, mostly harmless: what normalisers and
//! matchers are measured by.

use std::io::{self, Write};

use neph_event::Instant;

use super::random::Random;
use super::text::Text;

mod catalog;
mod hosts;
mod programs;
mod sysmon;

use catalog::{
    ADDRESSES, AUDITD, AUDITD_MANAGER, CALLS, CLOUD_TRAIL, FILES, FRAGMENTS, KUBERNETES_AUDIT, USERS,
};
use hosts::{Form, Process, System, seed_of, weighted};

/// Output is handed to the writer in pieces of about this many bytes.
const PIECE: usize = 256 << 10;

/// Time of the first record, in milliseconds since the epoch.
const START_MILLIS: u64 = 1_772_359_200_000;

/// Fragments inside fragments are written this deep.
const MAX_DEPTH: u32 = 4;

/// Whose records to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// AWS CloudTrail events, one a line.
    /// <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>
    CloudTrail,
    /// Audit events of a Kubernetes API server, one a line.
    /// <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>
    KubernetesAudit,
    /// Linux audit events as Auditbeat ships them, one a line.
    /// <https://www.elastic.co/docs/reference/integrations/auditd_manager>
    AuditdManager,
    /// The lines of a Linux audit log, several an event.
    /// <https://github.com/linux-audit/audit-documentation/wiki>
    Auditd,
    /// Events of Sysmon as ECS documents, one a line.
    /// <https://www.elastic.co/docs/reference/integrations/windows>
    Sysmon,
    /// The same events as Winlogbeat ships them.
    /// <https://www.elastic.co/docs/reference/beats/winlogbeat/exported-fields-winlog>
    SysmonAgent,
    /// The same events as flat objects with Sysmon's own names.
    /// <https://learn.microsoft.com/sysinternals/downloads/sysmon#events>
    SysmonFlat,
    /// Starts of processes on Linux as ECS documents, one a line.
    /// <https://www.elastic.co/docs/reference/integrations/endpoint>
    Linux,
    /// The same as flat objects with the names of Sysmon for Linux.
    LinuxFlat,
}

impl RecordKind {
    /// Every kind, and its name.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::CloudTrail, "cloudtrail"),
        (Self::KubernetesAudit, "kubernetes-audit"),
        (Self::AuditdManager, "auditd-manager"),
        (Self::Auditd, "auditd"),
        (Self::Sysmon, "sysmon"),
        (Self::SysmonAgent, "sysmon-agent"),
        (Self::SysmonFlat, "sysmon-flat"),
        (Self::Linux, "linux"),
        (Self::LinuxFlat, "linux-flat"),
    ];

    fn written(self) -> Written {
        match self {
            Self::CloudTrail => Written::Template(CLOUD_TRAIL),
            Self::KubernetesAudit => Written::Template(KUBERNETES_AUDIT),
            Self::AuditdManager => Written::Template(AUDITD_MANAGER),
            Self::Auditd => Written::Template(AUDITD),
            Self::Sysmon => Written::Host(System::Windows, Form::Ecs),
            Self::SysmonAgent => Written::Host(System::Windows, Form::Agent),
            Self::SysmonFlat => Written::Host(System::Windows, Form::Flat),
            Self::Linux => Written::Host(System::Linux, Form::Ecs),
            Self::LinuxFlat => Written::Host(System::Linux, Form::Flat),
        }
    }
}

/// How the records of a kind are made.
#[derive(Clone, Copy)]
enum Written {
    /// One of these templates, with how often each is taken.
    Template(&'static [(u32, &'static str)]),
    /// What happens to a process of a host.
    Host(System, Form),
}

/// What was generated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GeneratedRecords {
    /// Bytes written.
    pub bytes: u64,
    /// Events written; an event of an audit log has several lines.
    pub events: u64,
}

/// Writes about so many bytes of records, in the order of their times; the last event is whole. The same seed gives
/// the same bytes.
///
/// # Errors
/// What the writer reports.
pub fn records(
    writer: &mut dyn Write,
    kind: RecordKind,
    bytes: u64,
    seed: u64,
) -> io::Result<GeneratedRecords> {
    let mut seeds = Random::new(seed);
    let mut text = Text::default();
    let mut generated = GeneratedRecords::default();
    let mut millis = START_MILLIS;
    while generated.bytes + (text.bytes.len() as u64) < bytes {
        // Each event has numbers of its own, so that they are the same in every form of it.
        let seed = seeds.next();
        let mut random = Random::new(seed);
        millis += random.below(200);
        let mut scene = Scene {
            seed,
            user: random.pick(USERS).copied().unwrap_or_default(),
            address: random.pick(ADDRESSES).copied().unwrap_or_default(),
            file: random.pick(FILES).copied().unwrap_or_default(),
            account: 100_000_000_000 + random.below(40),
            host: random.below(200),
            pid: 1000 + random.below(60_000),
            parent: 300 + random.below(600),
            serial: 1000 + generated.events,
            millis,
            process: Process::default(),
        };
        match kind.written() {
            Written::Template(templates) => {
                let template = weighted(templates, |(weight, _)| *weight, &mut random);
                scene.write(template.map_or("", |(_, text)| text), &mut random, &mut text, 0);
            }
            Written::Host(system, form) => {
                scene.process = Process::new(system, &scene, &mut random);
                match system {
                    System::Windows => sysmon::sysmon(form, &mut scene, &mut random, &mut text),
                    System::Linux => hosts::linux_process(form, &scene, &mut random, &mut text),
                }
            }
        }
        text.put(&["\n"]);
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

/// What is the same everywhere in an event.
struct Scene {
    /// What everything that is drawn by its name is drawn from.
    seed: u64,
    user: &'static str,
    address: &'static str,
    file: &'static str,
    account: u64,
    host: u64,
    pid: u64,
    parent: u64,
    serial: u64,
    millis: u64,
    process: Process,
}

impl Scene {
    /// A template in which everything is drawn by its name.
    fn render(&self, template: &str) -> String {
        let mut text = Text::default();
        self.write(template, &mut Random::new(self.seed), &mut text, 0);
        String::from_utf8(text.bytes).unwrap_or_default()
    }

    /// What is drawn from it is the same wherever the name stands in the event.
    fn named(&self, name: &str) -> Random {
        Random::new(self.seed ^ seed_of(name))
    }

    /// Writes a template: what stands in `<>` is filled in, everything else stays.
    fn write(&self, template: &str, random: &mut Random, text: &mut Text, depth: u32) {
        let mut rest = template;
        while let Some((before, name, behind)) = rest.split_once('<').and_then(|(before, tail)| {
            let (name, behind) = tail.split_once('>')?;
            Some((before, name, behind))
        }) {
            text.put(&[before]);
            self.fill(name, random, text, depth);
            rest = behind;
        }
        text.put(&[rest]);
    }

    fn fill(&self, name: &str, random: &mut Random, text: &mut Text, depth: u32) {
        match name {
            "user" => text.put(&[self.user]),
            "address" => text.put(&[self.address]),
            "file" => text.put(&[self.file]),
            "account" => text.number(self.account),
            "host" => text.number(self.host),
            "pid" => text.number(self.pid),
            "parent" => text.number(self.parent),
            "serial" => text.number(self.serial),
            "stamp" => {
                let fraction = (1000 + self.millis % 1000).to_string();
                text.number(self.millis / 1000)
                    .put(&[".", fraction.get(1..).unwrap_or_default(), ":"]);
                text.number(self.serial)
            }
            "time" => self.time(19, "Z", text),
            "millis" => self.time(23, "Z", text),
            "micros" => self.time(23, "417Z", text),
            "utc" => text.put(&[&self.iso(23).replacen('T', " ", 1)]),
            "hostid" => text.put(&[&uuid(&mut Random::new(self.host))]),
            "uuid" => text.put(&[&uuid(random)]),
            _ if self.process.fill(name, text) => text,
            _ => {
                self.fill_other(name, random, text, depth);
                text
            }
        };
    }

    fn fill_other(&self, name: &str, random: &mut Random, text: &mut Text, depth: u32) {
        let mut words = name.splitn(3, ' ');
        let (what, number) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut by_name;
        let random = match words.next() {
            Some(key) => {
                by_name = self.named(key);
                &mut by_name
            }
            None => random,
        };
        match what {
            "hex" => text.put(&[&random.hex(number.parse().unwrap_or(8))]),
            "below" => text.number(random.below(number.parse().unwrap_or(10))),
            "guid" | "uuid" => text.put(&[&uuid(&mut self.named(number))]),
            _ => {
                self.fill_fragment(name, random, text, depth);
                text
            }
        };
    }

    fn fill_fragment(&self, name: &str, random: &mut Random, text: &mut Text, depth: u32) {
        let fragment = FRAGMENTS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, fragment)| *fragment);
        let choices = sysmon::CHOICES.iter().chain(CALLS);
        let choice = || choices.clone().find(|(known, _)| *known == name);
        let fragment = fragment.or_else(|| self.named(name).pick(choice()?.1).copied());
        match fragment {
            Some(fragment) if depth < MAX_DEPTH => self.write(fragment, random, text, depth + 1),
            _ => drop(text.put(&["<", name, ">"])),
        }
    }

    /// The first letters of the time in ISO 8601 with decimals, and what stands behind.
    fn time<'t>(&self, letters: usize, behind: &str, text: &'t mut Text) -> &'t mut Text {
        text.put(&[&self.iso(letters), behind])
    }

    fn iso(&self, letters: usize) -> String {
        let mut time = Instant::from_millis(i64::try_from(self.millis).unwrap_or(0)).to_string();
        time.truncate(letters);
        time
    }
}

fn uuid(random: &mut Random) -> String {
    [8, 4, 4, 4, 12].map(|length| random.hex(length)).join("-")
}
