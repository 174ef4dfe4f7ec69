//! `cargo xtask generate`: logs of any size with known attacks in them, on standard output.

use std::io::{BufWriter, Write};

use neph_testkit::generate::{EndpointOptions, endpoint};

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
}

/// Writes the logs to standard output, and what they hold to standard error.
pub(crate) fn run(args: &Args) -> Result<(), String> {
    let Kind::Endpoint {
        bytes,
        seed,
        hosts,
        attacks,
    } = args.kind;
    let options = EndpointOptions {
        bytes,
        seed,
        hosts,
        attacks_per_million: attacks,
        ..EndpointOptions::default()
    };
    let mut output = BufWriter::new(std::io::stdout().lock());
    let generated = endpoint(&mut output, &options).and_then(|generated| output.flush().map(|()| generated));
    let generated = generated.map_err(|error| format!("cannot write the logs: {error}"))?;
    let (bytes, events, attacks) = (generated.bytes, generated.events, generated.attacks.len());
    let _ = writeln!(
        std::io::stderr(),
        "{events} events with {attacks} attacks in {bytes} bytes"
    );
    Ok(())
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
