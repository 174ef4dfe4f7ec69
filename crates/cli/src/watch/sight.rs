//! The sensor as the command uses it: it says how it stands, and ends when it is time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use neph_sensor::{Abilities, Lost, Notice, Options, Steady};
use tokio::signal::unix::{SignalKind, signal};

use super::check::{banner, refused};
use super::counts::Shared;
use crate::exit::Failure;
use crate::terminal::Terminal;

/// How long is waited for something: alerts are told, counters shown and signals obeyed at least as often.
const WAIT: Duration = Duration::from_millis(100);

/// How long what was seen by the end may still be worked off; what is left then is given up, and counted. Whoever ends a service waits for
/// it no longer than 20 seconds (`packaging/neph-watch.service`).
const LAST: Duration = Duration::from_secs(8);

/// When to end: after a time, or when somebody asks for it.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    asked: Arc<AtomicBool>,
    at: Option<Instant>,
}

impl Stop {
    /// SIGINT and SIGTERM ask for the end; a second one ends at once, as if nobody had listened.
    pub(super) fn after(time: Option<Duration>) -> Result<Self, Failure> {
        let asked = Arc::new(AtomicBool::new(false));
        let failed = |error: std::io::Error| Failure::Message(format!("signals cannot be heard: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let (mut interrupted, mut terminated) = {
            let _inside = runtime.enter();
            (
                signal(SignalKind::interrupt()).map_err(failed)?,
                signal(SignalKind::terminate()).map_err(failed)?,
            )
        };
        let told = Arc::clone(&asked);
        thread::Builder::new()
            .name("neph-signals".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    loop {
                        tokio::select! {
                            _ = interrupted.recv() => {}
                            _ = terminated.recv() => {}
                        }
                        if told.swap(true, Ordering::Relaxed) {
                            std::process::exit(130);
                        }
                    }
                });
            })
            .map_err(failed)?;
        Ok(Self {
            asked,
            at: time.map(|time| Instant::now() + time),
        })
    }

    fn is_wanted(&self) -> bool {
        self.asked.load(Ordering::Relaxed) || self.at.is_some_and(|at| Instant::now() >= at)
    }
}

/// The sensor.
pub(super) struct Sight {
    sensor: Steady,
    stop: Stop,
    /// Since when nothing more is looked at, and what was seen by then is read.
    closed: Option<Instant>,
    shared: Arc<Shared>,
    terminal: Terminal,
}

impl Sight {
    /// Begins to look, and says what is seen.
    pub(super) fn start(
        options: Options,
        stop: Stop,
        shared: Arc<Shared>,
        terminal: Terminal,
    ) -> Result<Self, Failure> {
        let sensor = Steady::start(options).map_err(|error| refused(&error))?;
        terminal.note_plain(&banner(sensor.abilities()));
        Ok(Self {
            sensor,
            stop,
            closed: None,
            shared,
            terminal,
        })
    }

    /// What is seen.
    pub(super) fn abilities(&self) -> &Abilities {
        self.sensor.abilities()
    }

    /// Waits a while for something, and appends it to `lines`; `false` when it is over.
    pub(super) fn read(&mut self, lines: &mut Vec<u8>) -> bool {
        if self.sensor.is_over() {
            return false;
        }
        // What was seen by now still counts.
        match self.closed {
            None if self.stop.is_wanted() => {
                self.closed = Some(Instant::now());
                self.sensor.close();
            }
            Some(since) if since.elapsed() > LAST => self.sensor.give_up(),
            None | Some(_) => {}
        }
        self.sensor.read(WAIT, lines);
        self.shared.note(self.sensor.counts());
        for notice in self.sensor.take_notices() {
            match notice {
                Notice::Ended(why) => self.terminal.error(&format!(
                    "nothing is seen for now, and the sensor is started again: {why}"
                )),
                Notice::Restarted(abilities) => self
                    .terminal
                    .note_plain(&format!("the sensor runs again\n{}", banner(&abilities))),
            }
        }
        true
    }

    /// Notes what was given up behind the sensor.
    pub(super) fn note_lost(&mut self, lost: Lost) {
        self.sensor.note_lost(lost);
    }

    /// Ends with the next reading.
    pub(super) fn stop(&self) {
        self.stop.asked.store(true, Ordering::Relaxed);
    }
}
