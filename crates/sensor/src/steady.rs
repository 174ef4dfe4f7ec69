//! A sensor that is started again when it ends.

use std::time::{Duration, Instant};

use crate::observation::Lost;
use crate::options::Options;
use crate::sensor::{Counts, Sensor, StartError};
use crate::source::Abilities;

/// How long it is waited before a sensor that ended is started again; twice as long each time that it fails.
const FIRST: Duration = Duration::from_millis(500);
/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(60);
/// A sensor that has run for so long is not taken to be failing when it ends.
const SOUND: Duration = Duration::from_secs(60);

/// A sensor that is started again when it ends, so that who reads it need not care.
#[derive(Debug)]
pub struct Steady {
    options: Options,
    sensor: Option<Sensor>,
    abilities: Abilities,
    /// What sensors before the present one did.
    past: Counts,
    counts: Counts,
    started: Instant,
    failures: u32,
    next: Instant,
    notices: Vec<Notice>,
    is_closed: bool,
}

/// What happened to a sensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It ended, or cannot be started again: nothing is seen meanwhile.
    Ended(String),
    /// It runs again. What happened meanwhile was not seen.
    Restarted(Abilities),
}

impl Steady {
    /// Begins to look.
    ///
    /// # Errors
    ///
    /// If no way works now; later failures are [`Notice`]s.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let sensor = Sensor::start(&options)?;
        Ok(Self {
            abilities: sensor.abilities().clone(),
            options,
            sensor: Some(sensor),
            past: Counts::default(),
            counts: Counts::default(),
            started: Instant::now(),
            failures: 0,
            next: Instant::now(),
            notices: Vec::new(),
            is_closed: false,
        })
    }

    /// What the present sensor sees, or the last one saw, and why not more.
    pub fn abilities(&self) -> &Abilities {
        &self.abilities
    }

    /// Whether it looks now.
    pub fn is_running(&self) -> bool {
        self.sensor.is_some()
    }

    /// What all sensors did together.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What happened since the last time that this was asked.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// See [`Sensor::note_lost`].
    pub fn note_lost(&mut self, lost: Lost) {
        match &self.sensor {
            Some(sensor) => sensor.note_lost(lost),
            None => *self.past.lost.entry((lost.class, lost.cause)).or_default() += lost.count,
        }
    }

    /// Looks no longer, and is not started again. What was seen by now is still to be read, until [`Steady::is_over`].
    pub fn close(&mut self) {
        self.is_closed = true;
        if let Some(sensor) = &mut self.sensor {
            sensor.close();
        }
    }

    /// Whether it was closed and everything was read.
    pub fn is_over(&self) -> bool {
        self.is_closed && self.sensor.is_none()
    }

    /// Waits at most so long for something, appends ECS documents to `lines`, one a line, and returns how many.
    pub fn read(&mut self, wait: Duration, lines: &mut Vec<u8>) -> usize {
        let Some(sensor) = &mut self.sensor else {
            if !self.is_closed {
                self.start_again(wait);
            }
            return 0;
        };
        let read = sensor.read(wait, lines);
        self.counts = self.past.clone();
        self.counts.add(sensor.counts());
        match read {
            Ok(written) => written,
            Err(error) => {
                self.past.clone_from(&self.counts);
                self.sensor = None;
                if self.is_closed {
                    return 0;
                }
                if self.started.elapsed() >= SOUND {
                    self.failures = 0;
                }
                self.wait_longer(error.to_string());
                0
            }
        }
    }

    fn start_again(&mut self, wait: Duration) {
        let left = self.next.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            std::thread::sleep(left.min(wait));
            return;
        }
        match Sensor::start(&self.options) {
            Ok(sensor) => {
                self.abilities = sensor.abilities().clone();
                self.notices.push(Notice::Restarted(self.abilities.clone()));
                self.sensor = Some(sensor);
                self.started = Instant::now();
            }
            Err(error) => self.wait_longer(error.to_string()),
        }
    }

    fn wait_longer(&mut self, why: String) {
        let pause = FIRST.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        self.next = Instant::now() + pause.min(LONGEST);
        self.notices.push(Notice::Ended(why));
    }
}
