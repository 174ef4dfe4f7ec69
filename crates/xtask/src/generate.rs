//! `cargo xtask generate`: logs of any size with known attacks in them, on standard output.

use std::io::{BufWriter, Write};

use neph_testkit::generate::{DayOptions, EndpointOptions, RecordKind, day, endpoint, records};

/// Generate logs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, clap::Subcommand)]
enum Kind {
    /// Process, network and file events of Linux hosts as Elastic's endpoint integration stores them, as NDJSON
    Endpoint {
        /// How much: bytes, or with K, M or G that many of 1,024 bytes and so on
        #[arg(long, default_value = "1G", value_parser = size)]
        bytes: u64,
        /// The same seed gives the same bytes
        #[arg(long, default_value_t = EndpointOptions::default().seed)]
        seed: u64,
        /// Number of hosts
        #[arg(long, default_value_t = EndpointOptions::default().hosts)]
        hosts: u32,
        /// Attacks in a million events
        #[arg(long, default_value_t = EndpointOptions::default().attacks_per_million)]
        attacks: u32,
    },
    /// What the logs of a company without any attack hold on a day, as NDJSON with the records of all sources in order
    Day {
        /// The same seed gives the same events
        #[arg(long, default_value_t = DayOptions::default().seed)]
        seed: u64,
        /// So many days; the last is the day, and the others are what it is measured against
        #[arg(long, default_value_t = DayOptions::default().days)]
        days: u32,
        /// Of what goes on all the time, one in so many is written; the work of people is always written whole
        #[arg(long, default_value_t = DayOptions::default().sampled)]
        sampled: u64,
    },
    /// Records as a source writes them, one a line, a few of them of attacks
    Records {
        /// Whose: cloudtrail, kubernetes-audit, auditd-manager, auditd, sysmon, sysmon-agent, sysmon-flat, linux, linux-flat
        #[arg(value_parser = kind)]
        kind: RecordKind,
        /// How much: bytes, or with K, M or G that many of 1,024 bytes and so on
        #[arg(long, default_value = "1G", value_parser = size)]
        bytes: u64,
        /// The same seed gives the same bytes
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

/// Writes the logs to standard output, and what they hold to standard error.
pub(crate) fn run(args: &Args) -> Result<(), String> {
    let mut output = BufWriter::new(std::io::stdout().lock());
    let said = match args.kind {
        Kind::Endpoint {
            bytes,
            seed,
            hosts,
            attacks,
        } => {
            let options = EndpointOptions {
                bytes,
                seed,
                hosts,
                attacks_per_million: attacks,
                ..EndpointOptions::default()
            };
            endpoint(&mut output, &options).map(|generated| {
                let (bytes, events, attacks) = (generated.bytes, generated.events, generated.attacks.len());
                format!("{events} events with {attacks} attacks in {bytes} bytes")
            })
        }
        Kind::Day { seed, days, sampled } => {
            let options = DayOptions { seed, days, sampled };
            day(&mut output, &options).map(|generated| {
                let records: Vec<String> = generated
                    .records
                    .iter()
                    .map(|(source, count)| format!("{count:>9} {source}"))
                    .collect();
                format!("{}\n{} bytes", records.join("\n"), generated.bytes)
            })
        }
        Kind::Records { kind, bytes, seed } => records(&mut output, kind, bytes, seed)
            .map(|generated| format!("{} events in {} bytes", generated.events, generated.bytes)),
    };
    let said = said.and_then(|said| output.flush().map(|()| said));
    let said = said.map_err(|error| format!("cannot write the logs: {error}"))?;
    let _ = writeln!(std::io::stderr(), "{said}");
    Ok(())
}

fn kind(name: &str) -> Result<RecordKind, String> {
    let known = RecordKind::ALL.iter().find(|(_, known)| *known == name);
    known.map(|(kind, _)| *kind).ok_or_else(|| {
        let names = RecordKind::ALL.map(|(_, name)| name);
        format!("expected one of {}", names.join(", "))
    })
}

fn size(text: &str) -> Result<u64, String> {
    let (number, shift) = match text.chars().last() {
        Some('K' | 'k') => (text.get(..text.len() - 1), 10),
        Some('M' | 'm') => (text.get(..text.len() - 1), 20),
        Some('G' | 'g') => (text.get(..text.len() - 1), 30),
        _ => (Some(text), 0),
    };
    let number: u64 = number
        .unwrap_or_default()
        .parse()
        .map_err(|_| "expected a number such as `500M`".to_owned())?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "too many".to_owned())
}
