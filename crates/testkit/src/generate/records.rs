//! Records of the logs that much of detection lives on, as their sources write them: what the normaliser is measured by.

use std::io::{self, Write};

use neph_event::Instant;

use super::random::Random;
use super::text::Text;

mod catalog;

use catalog::{ADDRESSES, AUDITD, AUDITD_MANAGER, CLOUD_TRAIL, FILES, FRAGMENTS, KUBERNETES_AUDIT, USERS};

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
}

impl RecordKind {
    /// Every kind, and its name.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::CloudTrail, "cloudtrail"),
        (Self::KubernetesAudit, "kubernetes-audit"),
        (Self::AuditdManager, "auditd-manager"),
        (Self::Auditd, "auditd"),
    ];

    fn templates(self) -> &'static [&'static str] {
        match self {
            Self::CloudTrail => CLOUD_TRAIL,
            Self::KubernetesAudit => KUBERNETES_AUDIT,
            Self::AuditdManager => AUDITD_MANAGER,
            Self::Auditd => AUDITD,
        }
    }
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
    let mut random = Random::new(seed);
    let mut text = Text::default();
    let mut generated = GeneratedRecords::default();
    let mut millis = START_MILLIS;
    while generated.bytes + (text.bytes.len() as u64) < bytes {
        millis += random.below(200);
        let scene = Scene {
            user: random.pick(USERS).copied().unwrap_or_default(),
            address: random.pick(ADDRESSES).copied().unwrap_or_default(),
            file: random.pick(FILES).copied().unwrap_or_default(),
            account: 100_000_000_000 + random.below(40),
            host: random.below(200),
            pid: 1000 + random.below(60_000),
            parent: 300 + random.below(600),
            serial: 1000 + generated.events,
            millis,
        };
        let template = random.pick(kind.templates()).copied().unwrap_or_default();
        scene.write(template, &mut random, &mut text, 0);
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
    user: &'static str,
    address: &'static str,
    file: &'static str,
    account: u64,
    host: u64,
    pid: u64,
    parent: u64,
    serial: u64,
    millis: u64,
}

impl Scene {
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
            "uuid" => text.put(&[&[8, 4, 4, 4, 12].map(|length| random.hex(length)).join("-")]),
            _ => match (
                name.split_once(' '),
                FRAGMENTS.iter().find(|(known, _)| *known == name),
            ) {
                (Some(("hex", length)), _) => text.put(&[&random.hex(length.parse().unwrap_or(8))]),
                (Some(("below", end)), _) => text.number(random.below(end.parse().unwrap_or(10))),
                (_, Some((_, fragment))) if depth < MAX_DEPTH => {
                    self.write(fragment, random, text, depth + 1);
                    text
                }
                _ => text.put(&["<", name, ">"]),
            },
        };
    }

    /// The first letters of the time in ISO 8601 with decimals, and what stands behind.
    fn time<'t>(&self, letters: usize, behind: &str, text: &'t mut Text) -> &'t mut Text {
        let time = Instant::from_millis(i64::try_from(self.millis).unwrap_or(0)).to_string();
        text.put(&[time.get(..letters).unwrap_or(&time), behind])
    }
}
