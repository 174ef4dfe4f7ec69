//! What the sensor of this host sees, as records of a stream `sensor/HOST`.
//!
//! The sensor's queue takes up what comes while the log is busy. When it is full, the sensor gives up what matters least, and counts it;
//! what it lost for any cause goes to the ledger, and so does the time in which it did not run.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use neph_event::Instant as Moment;
use neph_sensor::{Abilities, Cause, Class, Notice, Options, Steady};
use neph_store::{Database, LossRow};
use tokio::sync::mpsc::UnboundedSender;

use crate::counts::{Counter, Protocol, Refused};
use crate::intake::{BLOCK_BYTES, Gathered, Intake, now};
use crate::listener::Shutdown;

/// How long is waited for something before it is looked whether to stop.
const WAIT: Duration = Duration::from_millis(200);
/// How long is waited until records are handed to the log again that it did not take.
const TRY_AGAIN: Duration = Duration::from_millis(100);
/// How often losses are written to the ledger, where there are any.
const TELL: Duration = Duration::from_secs(10);
/// How long is waited until a sensor that cannot start is tried again.
const START_AGAIN: Duration = Duration::from_secs(60);

/// What to look at.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SensorOptions {
    /// How to look.
    pub sensor: Options,
    /// The name of this host: of the stream behind `sensor/`.
    pub host: String,
    /// Who is told how the sensor stands.
    pub news: UnboundedSender<SensorNews>,
}

impl SensorOptions {
    /// Looks as `sensor` says at the host of this name.
    pub fn new(sensor: Options, host: String, news: UnboundedSender<SensorNews>) -> Self {
        Self { sensor, host, news }
    }
}

/// How a sensor stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SensorNews {
    /// It looks.
    Looks(Abilities),
    /// It does not, and is tried again.
    Blind(String),
    /// So many of a class were lost for a cause, within the last seconds.
    Lost(Class, Cause, u64),
}

/// Takes what the sensor sees until it is time to stop.
///
/// # Errors
/// If the thread that looks panics.
pub async fn sense(
    options: SensorOptions,
    database: Database,
    intake: Intake,
    shutdown: Shutdown,
) -> io::Result<()> {
    let looked = tokio::task::spawn_blocking(move || Sensing::new(options, database, intake, shutdown).run());
    looked.await.map_err(io::Error::other)
}

struct Sensing {
    options: SensorOptions,
    database: Database,
    intake: Intake,
    shutdown: Shutdown,
    stream: Arc<str>,
    counter: Counter,
    /// Losses that the ledger knows.
    told: BTreeMap<(Class, Cause), u64>,
    /// Since when losses are gathered.
    since: Moment,
    /// Since when nothing is seen.
    blind_since: Option<Moment>,
}

impl Sensing {
    fn new(options: SensorOptions, database: Database, intake: Intake, shutdown: Shutdown) -> Self {
        Self {
            stream: intake.stream(Protocol::Sensor, &options.host),
            counter: intake
                .counts()
                .of(Protocol::Sensor, &Arc::from(options.host.as_str())),
            options,
            database,
            intake,
            shutdown,
            told: BTreeMap::new(),
            since: now(),
            blind_since: None,
        }
    }

    fn run(mut self) {
        let Some(mut sensor) = self.start() else { return };
        self.news(SensorNews::Looks(sensor.abilities().clone()));
        let mut lines = Vec::new();
        let mut told = Instant::now();
        while !self.shutdown.is_wanted() {
            lines.clear();
            sensor.read(WAIT, &mut lines);
            self.store(&lines);
            for notice in sensor.take_notices() {
                self.notice(notice);
            }
            if told.elapsed() >= TELL {
                self.tell_losses(&sensor);
                told = Instant::now();
            }
        }
        // What was seen by now still counts.
        sensor.close();
        while !sensor.is_over() {
            lines.clear();
            sensor.read(WAIT, &mut lines);
            self.store(&lines);
        }
        self.tell_losses(&sensor);
    }

    /// A sensor that looks; `None` if it is time to stop before there is one.
    fn start(&self) -> Option<Steady> {
        let mut last = None;
        while !self.shutdown.is_wanted() {
            let why = match Steady::start(self.options.sensor.clone()) {
                Ok(sensor) => return Some(sensor),
                Err(error) => error.to_string(),
            };
            if last.as_ref() != Some(&why) {
                self.news(SensorNews::Blind(why.clone()));
                last = Some(why);
            }
            let began = Instant::now();
            while began.elapsed() < START_AGAIN && !self.shutdown.is_wanted() {
                std::thread::sleep(WAIT);
            }
        }
        None
    }

    fn news(&self, news: SensorNews) {
        // Nobody may be there who wants to know.
        let _ = self.options.news.send(news);
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Ended(why) => {
                self.blind_since.get_or_insert_with(now);
                self.news(SensorNews::Blind(why));
            }
            Notice::Restarted(abilities) => {
                if let Some(from) = self.blind_since.take() {
                    self.lost(from, None, "the sensor did not run".to_owned());
                }
                self.news(SensorNews::Looks(abilities));
            }
        }
    }

    /// Hands records to the log until it has them. What comes meanwhile waits in the sensor.
    fn store(&mut self, lines: &[u8]) {
        let mut gathered = Gathered::new(Arc::clone(&self.stream));
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            if gathered.records.bytes.len() + line.len() > BLOCK_BYTES {
                self.append(std::mem::replace(
                    &mut gathered,
                    Gathered::new(Arc::clone(&self.stream)),
                ));
            }
            gathered.add(line.strip_suffix(b"\n").unwrap_or(line));
        }
        self.append(gathered);
    }

    /// Appends one block.
    fn append(&mut self, gathered: Gathered) {
        let (records, bytes) = (gathered.len(), gathered.records.bytes.len());
        if records == 0 {
            return;
        }
        self.counter.request();
        self.counter.bytes(bytes);
        loop {
            let outcomes = self.intake.append(gathered.clone());
            match outcomes.into_iter().find_map(|(_, outcome)| outcome.err()) {
                None => return self.counter.accepted(records, bytes),
                Some(why) if why.reason == Refused::TooLong || self.shutdown.is_wanted() => {
                    self.counter.refused(why.reason, records);
                    return self.lost(now(), Some(records as u64), why.message);
                }
                Some(_) => std::thread::sleep(TRY_AGAIN),
            }
        }
    }

    /// Writes to the ledger what the sensor lost since the last time.
    fn tell_losses(&mut self, sensor: &Steady) {
        let from = std::mem::replace(&mut self.since, now());
        for ((class, cause), count) in &sensor.counts().lost {
            let told = self.told.entry((*class, *cause)).or_default();
            let new = count.saturating_sub(std::mem::replace(told, *count));
            if new == 0 {
                continue;
            }
            self.counter
                .refused(Refused::Dropped, usize::try_from(new).unwrap_or(usize::MAX));
            self.news(SensorNews::Lost(*class, *cause, new));
            self.lost(
                from,
                Some(new),
                format!("the sensor lost {}: {}", class.name(), cause.name()),
            );
        }
    }

    fn lost(&self, from: Moment, records: Option<u64>, why: String) {
        let loss = LossRow {
            stream: self.stream.to_string(),
            from,
            to: now(),
            records,
            why,
        };
        // The database failed, and says so elsewhere; the counters know of the loss.
        let _ = self.database.lost(loss);
    }
}
