//! What the sensor of this host sees, as records of a stream `sensor/HOST`.
//!
//! The sensor's queue takes up what comes while the log is busy. When it is full, the sensor gives up what matters least, and counts it;
//! what it lost for any cause goes to the ledger, and so does the time in which it did not run.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use neph_event::Instant as Moment;
use neph_sensor::{Abilities, Cause, Class, Counts, Notice, Options, Steady};
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
/// How long is waited until a sensor that cannot start is tried again. Meanwhile as often it goes to the ledger that nothing is seen.
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
    let sensor = options.sensor.clone();
    let start = move || match Steady::start(sensor.clone()) {
        Ok(sensor) => Ok(Box::new(sensor) as Box<dyn Looks>),
        Err(error) => Err(error.to_string()),
    };
    let rhythm = Rhythm {
        tell: TELL,
        again: START_AGAIN,
    };
    let sensing = Sensing::new(options, database, intake, shutdown, rhythm);
    let looked = tokio::task::spawn_blocking(move || sensing.run(start));
    looked.await.map_err(io::Error::other)
}

/// What looks: a sensor that is started again when it ends.
trait Looks: Send {
    fn abilities(&self) -> &Abilities;
    fn counts(&self) -> &Counts;
    fn read(&mut self, wait: Duration, lines: &mut Vec<u8>) -> usize;
    fn take_notices(&mut self) -> Vec<Notice>;
    fn close(&mut self);
    fn is_over(&self) -> bool;
}

impl Looks for Steady {
    fn abilities(&self) -> &Abilities {
        Self::abilities(self)
    }

    fn counts(&self) -> &Counts {
        Self::counts(self)
    }

    fn read(&mut self, wait: Duration, lines: &mut Vec<u8>) -> usize {
        Self::read(self, wait, lines)
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        Self::take_notices(self)
    }

    fn close(&mut self) {
        Self::close(self);
    }

    fn is_over(&self) -> bool {
        Self::is_over(self)
    }
}

/// How often something is done.
#[derive(Clone, Copy, Debug)]
struct Rhythm {
    tell: Duration,
    again: Duration,
}

struct Sensing {
    options: SensorOptions,
    database: Database,
    intake: Intake,
    shutdown: Shutdown,
    rhythm: Rhythm,
    stream: Arc<str>,
    counter: Counter,
    /// Losses that the ledger knows.
    told: BTreeMap<(Class, Cause), u64>,
    /// Since when losses are gathered.
    since: Moment,
    /// Since when nothing is seen that the ledger does not know of, and why.
    blind: Option<(Moment, String)>,
}

impl Sensing {
    fn new(
        options: SensorOptions,
        database: Database,
        intake: Intake,
        shutdown: Shutdown,
        rhythm: Rhythm,
    ) -> Self {
        Self {
            stream: intake.stream(Protocol::Sensor, &options.host),
            counter: intake
                .counts()
                .of(Protocol::Sensor, &Arc::from(options.host.as_str())),
            options,
            database,
            intake,
            shutdown,
            rhythm,
            told: BTreeMap::new(),
            since: now(),
            blind: None,
        }
    }

    fn run(mut self, start: impl FnMut() -> Result<Box<dyn Looks>, String>) {
        let Some(mut sensor) = self.start(start) else {
            return self.tell_blind();
        };
        self.tell_blind();
        self.blind = None;
        self.news(SensorNews::Looks(sensor.abilities().clone()));
        let mut lines = Vec::new();
        let (mut told, mut told_blind) = (Instant::now(), Instant::now());
        while !self.shutdown.is_wanted() {
            lines.clear();
            sensor.read(WAIT, &mut lines);
            self.store(&lines);
            for notice in sensor.take_notices() {
                self.notice(notice);
            }
            if told.elapsed() >= self.rhythm.tell {
                self.tell_losses(sensor.counts());
                told = Instant::now();
            }
            if told_blind.elapsed() >= self.rhythm.again {
                self.tell_blind();
                told_blind = Instant::now();
            }
        }
        // What was seen by now still counts.
        sensor.close();
        while !sensor.is_over() {
            lines.clear();
            sensor.read(WAIT, &mut lines);
            self.store(&lines);
        }
        self.tell_losses(sensor.counts());
        self.tell_blind();
    }

    /// A sensor that looks; `None` if it is time to stop before there is one.
    fn start(&mut self, mut start: impl FnMut() -> Result<Box<dyn Looks>, String>) -> Option<Box<dyn Looks>> {
        let mut last = None;
        while !self.shutdown.is_wanted() {
            let why = match start() {
                Ok(sensor) => return Some(sensor),
                Err(why) => why,
            };
            if last.as_ref() != Some(&why) {
                self.news(SensorNews::Blind(why.clone()));
                last = Some(why.clone());
            }
            self.tell_blind();
            self.blind = Some((now(), why));
            let began = Instant::now();
            while began.elapsed() < self.rhythm.again && !self.shutdown.is_wanted() {
                std::thread::sleep(WAIT.min(self.rhythm.again));
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
                let since = self.blind.take().map_or_else(now, |(since, _)| since);
                self.blind = Some((since, why.clone()));
                self.news(SensorNews::Blind(why));
            }
            Notice::Restarted(abilities) => {
                self.tell_blind();
                self.blind = None;
                self.news(SensorNews::Looks(abilities));
            }
        }
    }

    /// Writes to the ledger that nothing was seen, if that is so, since it was written there the last time.
    fn tell_blind(&mut self) {
        if let Some((since, why)) = self.blind.take() {
            self.lost(since, None, format!("the sensor did not run: {why}"));
            self.blind = Some((now(), why));
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
    fn tell_losses(&mut self, counts: &Counts) {
        let from = std::mem::replace(&mut self.since, now());
        for ((class, cause), count) in &counts.lost {
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

#[cfg(test)]
mod tests;
