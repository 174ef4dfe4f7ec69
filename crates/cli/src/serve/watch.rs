//! Waits for the end, and for what changes meanwhile: files of rules, the configuration, SIGHUP.
//!
//! Files are looked at once a second: that works on every file system, also on shared folders and mounted configuration.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use neph_api::{App, Keys};
use neph_config::Config;
use neph_rules::Snapshot;

use super::log::Log;
use super::notify::Manager;
use super::rules::Rules;
use super::{Args, fixed_tokens};
use crate::config;
use crate::terminal::Terminal;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// How often what is old is removed.
const RETAIN_EVERY: Duration = Duration::from_secs(60);

/// What is watched.
pub(super) struct Watch<'a> {
    args: &'a Args,
    settings: Config,
    paths: Vec<PathBuf>,
    /// The files as they were when they were read last.
    loaded: Snapshot,
    /// The files as they were at the last look.
    seen: Snapshot,
}

/// What is to be done now.
pub(super) enum Action<'a> {
    /// Something changed.
    Apply(&'a Change),
    /// It is time to remove what is old.
    Retain(&'a Config),
    /// It is time to see whether anything is wrong.
    Look,
}

/// What changed.
pub(super) struct Change {
    settings: Config,
}

impl<'a> Watch<'a> {
    pub(super) fn new(args: &'a Args, settings: Config, rules: &Rules) -> Self {
        let mut paths = rules.paths();
        paths.extend(beside(args, &settings));
        let now = Snapshot::take(&paths);
        Self {
            args,
            settings,
            paths,
            loaded: now.clone(),
            seen: now,
        }
    }

    /// Waits for the end; gives the name of the signal. `act` gives the paths of rules that count from then on.
    pub(super) async fn until_end(
        &mut self,
        manager: &Manager,
        log: Log,
        terminal: Terminal,
        act: &mut dyn FnMut(Action<'_>) -> Vec<PathBuf>,
    ) -> &'static str {
        let mut signals = Signals::new();
        let mut alive = tokio::time::Instant::now();
        let mut retained: Option<tokio::time::Instant> = None;
        loop {
            let wanted = match tokio::time::timeout(EVERY, signals.next()).await {
                Ok(Signal::End(name)) => return name,
                Ok(Signal::Reload) => true,
                Err(_) => false,
            };
            if manager.pause().is_some_and(|pause| alive.elapsed() >= pause) {
                manager.alive();
                alive = tokio::time::Instant::now();
            }
            act(Action::Look);
            if retained.is_none_or(|at| at.elapsed() >= RETAIN_EVERY) {
                act(Action::Retain(&self.settings));
                retained = Some(tokio::time::Instant::now());
            }
            if wanted || self.has_changed() {
                if wanted {
                    log.info("configuration and rules are read again", &[("reason", &"SIGHUP")]);
                }
                self.loaded = Snapshot::take(&self.paths);
                self.seen = self.loaded.clone();
                if let Some(change) = self.read(log, &terminal) {
                    self.settings = change.settings.clone();
                    self.paths = act(Action::Apply(&change));
                    self.paths.extend(beside(self.args, &self.settings));
                    self.loaded = Snapshot::take(&self.paths);
                    self.seen = self.loaded.clone();
                }
            }
        }
    }

    /// Whether files changed, and have come to rest.
    fn has_changed(&mut self) -> bool {
        if !self.settings.rules.watch {
            return false;
        }
        let now = Snapshot::take(&self.paths);
        if now == self.loaded || now != self.seen {
            self.seen = now;
            return false;
        }
        true
    }

    fn read(&self, log: Log, terminal: &Terminal) -> Option<Change> {
        match self.args.settings(terminal) {
            Ok(Some(settings)) => Some(Change { settings }),
            Ok(None) => {
                log.error(
                    "the changed configuration has mistakes; the one before goes on",
                    &[],
                );
                None
            }
            Err(error) => {
                log.error(
                    "the configuration cannot be read; the one before goes on",
                    &[("error", &error)],
                );
                None
            }
        }
    }
}

impl Change {
    /// The configuration as it is now.
    pub(super) fn settings(&self) -> &Config {
        &self.settings
    }

    /// Takes the change over, as far as it can be without a new start; gives the paths to watch.
    pub(super) fn apply(&self, rules: &mut Rules, app: &Arc<App>, keys: &Keys, log: Log) -> Vec<PathBuf> {
        match fixed_tokens(&self.settings) {
            Ok(tokens) => keys.change_fixed(tokens),
            Err(error) => log.error("tokens cannot be read; those before count", &[("error", &error)]),
        }
        let (new, running) = rules.again(&self.settings, app.data_folder());
        let Some(service) = app.service() else {
            return rules.paths();
        };
        match service.reload(running) {
            Ok(reloaded) => {
                new.tell(&log);
                log.info(
                    "rules are taken over",
                    &[("rules", &reloaded.rules), ("unchanged", &reloaded.unchanged)],
                );
                app.change_rules(new.set(), new.files());
                *rules = new;
            }
            Err(error) => log.error(
                "the changed rules are not taken over, those before go on",
                &[("reason", &error)],
            ),
        }
        rules.paths()
    }
}

/// The configuration, and the templates that it names.
fn beside(args: &Args, settings: &Config) -> Vec<PathBuf> {
    let templates = settings
        .outputs
        .iter()
        .filter_map(neph_outputs::template_of)
        .cloned();
    let configuration = args.config.clone().or_else(config::usual);
    configuration.into_iter().chain(templates).collect()
}

enum Signal {
    End(&'static str),
    Reload,
}

/// The signals of the system.
#[cfg(unix)]
struct Signals {
    kinds: Vec<(tokio::signal::unix::Signal, &'static str)>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [
            (SignalKind::terminate(), "SIGTERM"),
            (SignalKind::interrupt(), "SIGINT"),
            (SignalKind::hangup(), "SIGHUP"),
        ];
        Self {
            kinds: kinds
                .into_iter()
                .filter_map(|(kind, name)| Some((signal(kind).ok()?, name)))
                .collect(),
        }
    }

    async fn next(&mut self) -> Signal {
        std::future::poll_fn(|context| {
            for (signal, name) in &mut self.kinds {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(match *name {
                        "SIGHUP" => Signal::Reload,
                        other => Signal::End(other),
                    });
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Self {
        Self
    }

    async fn next(&mut self) -> Signal {
        // Without the signal the service is ended from outside, which it survives.
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::End("interrupt"),
            Err(_) => std::future::pending().await,
        }
    }
}
