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

/// How a sensor is started.
type Start = fn(&Options) -> Result<Sensor, StartError>;

/// A sensor that is started again when it ends, so that who reads it need not care.
#[derive(Debug)]
pub struct Steady {
    options: Options,
    start: Start,
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
        Self::by(Sensor::start, options)
    }

    fn by(start: Start, options: Options) -> Result<Self, StartError> {
        let sensor = start(&options)?;
        Ok(Self {
            abilities: sensor.abilities().clone(),
            options,
            start,
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
            None => {
                for counts in [&mut self.past, &mut self.counts] {
                    *counts.lost.entry((lost.class, lost.cause)).or_default() += lost.count;
                }
            }
        }
    }

    /// Looks no longer, and is not started again. What was seen by now is still to be read, until [`Steady::is_over`].
    pub fn close(&mut self) {
        self.is_closed = true;
        if let Some(sensor) = &mut self.sensor {
            sensor.close();
        }
    }

    /// Gives up what was seen and not read; how much of what that is, is counted.
    pub fn give_up(&mut self) {
        if let Some(sensor) = &mut self.sensor {
            sensor.give_up();
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
        match (self.start)(&self.options) {
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::observation::{Cause, Class, Observation, ProcessId, SinceBoot};
    use crate::source::{Mode, Source, SourceError};

    /// A source that tells of one end of a process and of a loss, and then ends unless it is told to stay.
    struct Brief {
        stays: bool,
        told: bool,
    }

    impl Source for Brief {
        fn poll(&mut self, wait: Duration, sink: &mut dyn FnMut(Observation)) -> Result<(), SourceError> {
            if std::mem::replace(&mut self.told, true) {
                if !self.stays {
                    return Err(SourceError::Unsupported("the kernel has enough".to_owned()));
                }
                std::thread::sleep(wait);
                return Ok(());
            }
            sink(Observation::Exit {
                at: SinceBoot(1),
                process: ProcessId {
                    pid: u32::MAX,
                    start: 1,
                },
                status: 0,
            });
            sink(Observation::Lost(lost(3)));
            Ok(())
        }

        fn abilities(&self) -> Abilities {
            Abilities {
                mode: Mode::Connector,
                hooks: Vec::new(),
                unseen: Vec::new(),
                uncertain: Vec::new(),
                passed_over: Vec::new(),
            }
        }
    }

    fn lost(count: u64) -> Lost {
        Lost {
            class: Class::Exec,
            cause: Cause::BufferFull,
            count,
        }
    }

    fn options() -> Options {
        Options {
            containers: None,
            packages: false,
            attach: false,
            ..Options::default()
        }
    }

    fn brief(options: &Options, stays: bool) -> Result<Sensor, StartError> {
        let source = Brief { stays, told: false };
        Sensor::with(Box::new(source), Vec::new(), options)
    }

    fn refused() -> StartError {
        StartError {
            tried: vec![(Mode::Connector, SourceError::Unsupported("not now".to_owned()))],
        }
    }

    /// Reads until something is to be told of the sensor; the lines meanwhile.
    fn until_noticed(steady: &mut Steady) -> (Vec<Notice>, String) {
        let end = Instant::now() + Duration::from_secs(20);
        let mut lines = Vec::new();
        while steady.notices.is_empty() && Instant::now() < end {
            steady.read(Duration::from_millis(50), &mut lines);
        }
        (steady.take_notices(), String::from_utf8(lines).unwrap())
    }

    #[test]
    fn a_sensor_that_ends_is_started_again_and_its_counts_go_on() {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let start: Start = |options| match STARTED.fetch_add(1, Ordering::Relaxed) {
            0 => brief(options, false),
            1 => Err(refused()),
            _ => brief(options, true),
        };
        let mut steady = Steady::by(start, options()).unwrap();
        let (notices, lines) = until_noticed(&mut steady);
        assert!(matches!(notices.as_slice(), [Notice::Ended(why)] if why.contains("has enough")));
        // What it told before it ended has been read.
        assert!(
            lines.contains("sensor_started") && lines.contains("sensor_lost"),
            "{lines}"
        );
        assert!(!steady.is_running());
        // What is given up behind it while there is none counts, too.
        steady.note_lost(lost(4));
        assert_eq!(steady.counts().lost[&(Class::Exec, Cause::BufferFull)], 7);
        let ended = Instant::now();
        let (notices, _) = until_noticed(&mut steady);
        assert!(matches!(notices.as_slice(), [Notice::Ended(why)] if why.contains("not now")));
        assert!(ended.elapsed() >= FIRST - Duration::from_millis(100));
        let refused = Instant::now();
        let (notices, _) = until_noticed(&mut steady);
        assert!(
            matches!(notices.as_slice(), [Notice::Restarted(_)]),
            "{notices:?}"
        );
        assert!(
            refused.elapsed() >= 2 * FIRST - Duration::from_millis(100),
            "twice as long each time"
        );
        let mut lines = Vec::new();
        while steady.counts().seen[&Class::Exit] < 2 {
            steady.read(Duration::from_millis(50), &mut lines);
        }
        assert_eq!(steady.counts().lost[&(Class::Exec, Cause::BufferFull)], 10);
        assert!(String::from_utf8(lines).unwrap().contains("sensor_started"));
    }

    #[test]
    fn who_closed_it_does_not_get_it_again() {
        let mut steady = Steady::by(|options| brief(options, true), options()).unwrap();
        steady.close();
        let end = Instant::now() + Duration::from_secs(20);
        let mut lines = Vec::new();
        while !steady.is_over() && Instant::now() < end {
            steady.read(Duration::from_millis(50), &mut lines);
        }
        assert!(steady.is_over() && steady.take_notices().is_empty());
        assert!(String::from_utf8(lines).unwrap().contains("sensor_started"));
        // The end of what was to be brought away may fail behind it.
        steady.note_lost(lost(5));
        let told = steady.counts().lost.get(&(Class::Exec, Cause::BufferFull));
        assert!(told.is_some_and(|count| *count >= 5));
    }

    /// A source that has something to tell when it is asked for the last time, and not before.
    struct Late;

    impl Source for Late {
        fn poll(&mut self, wait: Duration, _: &mut dyn FnMut(Observation)) -> Result<(), SourceError> {
            std::thread::sleep(wait);
            Ok(())
        }

        fn finish(&mut self, sink: &mut dyn FnMut(Observation)) -> Result<(), SourceError> {
            Brief {
                stays: true,
                told: false,
            }
            .poll(Duration::ZERO, sink)
        }

        fn abilities(&self) -> Abilities {
            Brief {
                stays: true,
                told: true,
            }
            .abilities()
        }
    }

    #[test]
    fn what_waits_in_the_kernel_at_the_end_is_told() {
        let start: Start = |options| Sensor::with(Box::new(Late), Vec::new(), options);
        let mut steady = Steady::by(start, options()).unwrap();
        steady.close();
        let mut lines = Vec::new();
        while !steady.is_over() {
            steady.read(Duration::from_millis(50), &mut lines);
        }
        assert_eq!(steady.counts().seen[&Class::Exit], 1);
        assert_eq!(steady.counts().lost[&(Class::Exec, Cause::BufferFull)], 3);
        assert!(String::from_utf8(lines).unwrap().contains("sensor_lost"));
    }

    #[test]
    fn what_is_given_up_is_counted() {
        let start: Start = |options| brief(options, true);
        let mut steady = Steady::by(start, options()).unwrap();
        let sensor = steady.sensor.as_ref().unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while !sensor.has_waiting() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        steady.close();
        steady.give_up();
        let mut lines = Vec::new();
        while !steady.is_over() {
            steady.read(Duration::from_millis(50), &mut lines);
        }
        assert_eq!(steady.counts().seen[&Class::Exit], 1);
        assert_eq!(steady.counts().lost[&(Class::Exit, Cause::Shed)], 1);
        assert!(String::from_utf8(lines).unwrap().contains("\"class\":\"exit\""));
    }
}
