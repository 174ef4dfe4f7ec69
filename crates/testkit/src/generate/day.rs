//! The life of a company of medium size without any attack: what its logs hold on a day, as vendors write it.
//!
//! 2,000 hosts, 50 accounts of three clouds, five Kubernetes clusters, a small OpenStack and projects in VK Cloud. What rules
//! may look at, the rare work of administrators above all, is written whole at any scale; what goes on all the time (agents
//! that report, controllers that watch, monitoring that asks) is written once in [`DayOptions::sampled`] times. The days
//! before the last are what the last is measured against: most of its principals have done there what they do. Each day brings
//! something new besides: people who travel or begin, tools in a new version, hosts that live for a day, services, operators.
//!
//! All records are JSON objects, one a line and in the order of their times; lines of text logs are the `message` of the
//! object that a shipper makes of them.

#![expect(
    clippy::indexing_slicing,
    reason = "an object of JSON makes room for a key, and lists written here are as long as they are"
)]

use std::io::{self, Write};

use neph_event::Instant;
use serde_json::{Value, json};

use super::random::Random;

mod aws;
mod azure;
mod company;
mod containers;
mod gcp;
mod kubernetes;
mod linux;
mod openstack;
mod web;
mod windows;

use company::Company;

/// What day to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayOptions {
    /// The same seed gives the same events.
    pub seed: u64,
    /// So many days; the last one is the day.
    pub days: u32,
    /// Of what goes on all the time, one in so many is written.
    pub sampled: u64,
}

impl Default for DayOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            days: 3,
            sampled: 1,
        }
    }
}

/// What was generated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GeneratedDay {
    /// Bytes written.
    pub bytes: u64,
    /// Records written, by the source that they come from.
    pub records: std::collections::BTreeMap<&'static str, u64>,
    /// When the last day begins, in milliseconds since the epoch.
    pub last_day: i64,
}

/// Midnight before the first day, in milliseconds since the epoch: Tuesday, 3 March 2026.
const START: i64 = 1_772_496_000_000;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Writes the records.
///
/// # Errors
/// What the writer reports.
pub fn day(writer: &mut dyn Write, options: &DayOptions) -> io::Result<GeneratedDay> {
    let mut generated = GeneratedDay::default();
    let mut random = Random::new(options.seed);
    let mut company = Company::new(&mut random);
    for day in 0..options.days.max(1) {
        company.travel(day);
        let mut life = Life {
            random: Random::new(random.next()),
            company: &company,
            sampled: options.sampled.max(1),
            midnight: START + i64::from(day) * DAY,
            day,
            records: Vec::new(),
        };
        generated.last_day = life.midnight;
        aws::live(&mut life);
        azure::live(&mut life);
        gcp::live(&mut life);
        kubernetes::live(&mut life);
        linux::live(&mut life);
        windows::live(&mut life);
        containers::live(&mut life);
        openstack::live(&mut life);
        web::live(&mut life);
        life.records.sort_by_key(|record| record.0);
        for (_, source, record) in life.records {
            let mut line = record.to_string();
            line.push('\n');
            writer.write_all(line.as_bytes())?;
            generated.bytes += line.len() as u64;
            *generated.records.entry(source).or_default() += 1;
        }
    }
    Ok(generated)
}

/// One day while it is made up.
struct Life<'c> {
    random: Random,
    company: &'c Company,
    sampled: u64,
    /// When the day begins, in milliseconds since the epoch.
    midnight: i64,
    /// Its number.
    day: u32,
    /// Time, source and record.
    records: Vec<(i64, &'static str, Value)>,
}

impl Life<'_> {
    /// Adds a record.
    fn tell(&mut self, time: i64, source: &'static str, record: Value) {
        self.records.push((time, source, record));
    }

    /// Adds a line of a text log, as a shipper on a host sends it.
    fn tell_line(&mut self, time: i64, source: &'static str, host: &str, file: &str, line: &str) {
        let record = json!({
            "@timestamp": iso(time),
            "agent": {"type": "filebeat", "version": "8.15.0"},
            "host": {"name": host},
            "log": {"file": {"path": file}},
            "message": line,
        });
        self.tell(time, source, record);
    }

    /// How often something is written that happens so often; at least once.
    fn often(&self, times: u64) -> u64 {
        (times / self.sampled).max(1)
    }

    /// A time of the day at which people work.
    fn at_work(&mut self) -> i64 {
        // Most of it before noon and in the middle of the afternoon.
        let hours = self.random.below(5) + self.random.below(6);
        self.midnight + 8 * HOUR + self.below(HOUR) + i64::try_from(hours).unwrap_or(0) * HOUR
    }

    /// A time of the day.
    fn any_time(&mut self) -> i64 {
        self.midnight + self.below(DAY - HOUR)
    }

    /// A time within an hour of the day.
    fn at_hour(&mut self, hour: i64) -> i64 {
        self.midnight + hour * HOUR + self.below(HOUR)
    }

    fn below(&mut self, end: i64) -> i64 {
        i64::try_from(self.random.below(end.unsigned_abs())).unwrap_or(0)
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        self.random.pick(items).copied()
    }

    /// Hexadecimal digits.
    fn hex(&mut self, length: usize) -> String {
        self.random.hex(length)
    }

    fn uuid(&mut self) -> String {
        [8, 4, 4, 4, 12].map(|length| self.random.hex(length)).join("-")
    }

    /// Hexadecimal digits that stay the same for a name.
    fn hex_of(name: &str, length: usize) -> String {
        let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Random::new(seed).hex(length)
    }

    fn uuid_of(name: &str) -> String {
        [8, 4, 4, 4, 12]
            .map(|length| Self::hex_of(&format!("{name}{length}"), length))
            .join("-")
    }
}

/// A time in milliseconds since the epoch in ISO 8601, with milliseconds.
fn iso(time: i64) -> String {
    let text = Instant::from_millis(time).to_string();
    format!("{}Z", text.get(..23).unwrap_or(&text))
}

/// A time in ISO 8601, with seconds.
fn iso_seconds(time: i64) -> String {
    let text = Instant::from_millis(time).to_string();
    format!("{}Z", text.get(..19).unwrap_or(&text))
}
