//! What the service reads by itself: followed files, and prefixes of object storage. A changed configuration is taken over while
//! the service runs: what stays the same goes on, what changed ends and begins anew with the cursor that it has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use neph_config::{Config, Files, Objects, Sensor};
use neph_ingest::{
    FileGroup, FollowOptions, Intake, SensorNews, SensorOptions, Shutdown, Stopper, follow, sense, shutdown,
};
use neph_rules::RuleSet;
use neph_store::{Database, EventLog, Store};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::log::Log;

/// What is read.
pub(super) struct Readers {
    runtime: Handle,
    store: Arc<Store>,
    intake: Intake,
    data: PathBuf,
    log: Log,
    /// By their cursors, of which each has one reader.
    running: BTreeMap<PathBuf, Running>,
    /// The files that the sensor looks at.
    looked: neph_sensor::Files,
}

struct Running {
    what: What,
    stopper: Stopper,
    task: JoinHandle<()>,
}

/// One reader's part of the configuration.
#[derive(Clone, Debug, PartialEq)]
enum What {
    Files(Vec<Files>),
    Objects(Objects),
    Sensor(Sensor),
    /// Something was read with this cursor, and ends.
    Nothing,
}

impl Readers {
    pub(super) fn new(runtime: Handle, store: Arc<Store>, intake: Intake, data: &Path, log: Log) -> Self {
        Self {
            runtime,
            store,
            intake,
            data: data.to_owned(),
            log,
            running: BTreeMap::new(),
            looked: neph_sensor::Files::default(),
        }
    }

    /// Lets the sensor look at the files that rules ask for.
    pub(super) fn look_for(&mut self, rules: &RuleSet) {
        let mut looked = neph_sensor::Files::default();
        crate::watch::add_files(rules.rules.iter().map(AsRef::as_ref), &mut looked);
        self.looked = looked;
    }

    /// Reads what a configuration says from now on.
    pub(super) fn change(&mut self, settings: &Config) {
        let mut wanted: BTreeMap<PathBuf, What> = settings
            .objects
            .iter()
            .map(|objects| (self.cursor_of(objects), What::Objects(objects.clone())))
            .collect();
        if !settings.files.is_empty() {
            wanted.insert(self.data.join("followed"), What::Files(settings.files.clone()));
        }
        if let Some(sensor) = &settings.sensor {
            wanted.insert(self.data.join("sensor"), What::Sensor(sensor.clone()));
        }
        for cursor in self.running.keys() {
            wanted.entry(cursor.clone()).or_insert(What::Nothing);
        }
        for (cursor, what) in wanted {
            if self
                .running
                .get(&cursor)
                .is_none_or(|running| running.what != what)
            {
                self.start(cursor, what);
            }
        }
    }

    /// Ends all; they have ended when the future has.
    pub(super) fn stop(self) -> impl Future<Output = ()> {
        for running in self.running.values() {
            running.stopper.stop();
        }
        async move {
            for running in self.running.into_values() {
                let _ = running.task.await;
            }
        }
    }

    /// Starts a reader, once the one before that had its cursor has ended.
    fn start(&mut self, cursor: PathBuf, what: What) {
        let before = self.running.remove(&cursor).map(|running| {
            running.stopper.stop();
            running.task
        });
        let (stopper, stop) = shutdown();
        let (read, store, intake, log) = (
            what.clone(),
            Arc::clone(&self.store),
            self.intake.clone(),
            self.log,
        );
        let own = cursor.clone();
        let looked = self.looked.clone();
        let task = self.runtime.spawn(async move {
            if let Some(before) = before {
                let _ = before.await;
            }
            match read {
                What::Files(files) => follow_files(&files, own, store.log.clone(), intake, stop, log).await,
                What::Objects(objects) => poll_objects(objects, own, intake, stop, log).await,
                What::Sensor(sensor) => look(sensor, looked, store.db.clone(), intake, stop, log).await,
                What::Nothing => {}
            }
        });
        self.running.insert(cursor, Running { what, stopper, task });
    }

    #[cfg(feature = "object-store")]
    fn cursor_of(&self, objects: &Objects) -> PathBuf {
        neph_ingest::PollOptions::in_folder(objects.url.clone(), &self.data).cursor
    }

    /// Nothing is read with it.
    #[cfg(not(feature = "object-store"))]
    fn cursor_of(&self, objects: &Objects) -> PathBuf {
        self.data.join(&objects.url)
    }
}

async fn follow_files(
    files: &[Files],
    cursor: PathBuf,
    events: Arc<EventLog>,
    intake: Intake,
    stop: Shutdown,
    log: Log,
) {
    for files in files {
        let names: Vec<String> = files
            .paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        log.info("files are followed", &[("paths", &names.join(" "))]);
    }
    let group = |files: &Files| FileGroup {
        paths: files.paths.clone(),
        from_end: files.from_end,
        source: files.source.clone(),
    };
    let options = FollowOptions::new(files.iter().map(group).collect(), cursor);
    if let Err(error) = follow(options, events, intake, stop).await {
        log.error("files are not followed any more", &[("error", &error)]);
    }
}

/// Takes what the sensor of this host sees.
async fn look(
    sensor: Sensor,
    files: neph_sensor::Files,
    database: Database,
    intake: Intake,
    stop: Shutdown,
    log: Log,
) {
    let mut options = neph_sensor::Options {
        mode: sensor.mode.as_deref().and_then(neph_sensor::Mode::named),
        cgroup: sensor.cgroup,
        files,
        ..neph_sensor::Options::default()
    };
    options.limits.memory = sensor.memory;
    options.limits.share = f64::from(sensor.cpu) / 100.0;
    options.host.name.clone_from(&sensor.host);
    let host = sensor.host.unwrap_or_else(crate::watch::host);
    let (news, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let sensing = tokio::spawn(sense(
        SensorOptions::new(options, host, news),
        database,
        intake,
        stop,
    ));
    // The sensor holds the other end until it ends.
    while let Some(news) = heard.recv().await {
        match news {
            SensorNews::Looks(seen) => {
                let unseen: Vec<&str> = seen.unseen.iter().map(|part| part.name()).collect();
                log.info(
                    "the sensor looks at this host",
                    &[("mode", &seen.mode), ("not_seen", &unseen.join(", "))],
                );
            }
            SensorNews::Blind(why) => log.error("nothing is seen of this host", &[("error", &why)]),
            SensorNews::Lost(class, cause, count) => log.warn(
                "the sensor lost something",
                &[
                    ("class", &class.name()),
                    ("cause", &cause.name()),
                    ("count", &count),
                ],
            ),
        }
    }
    if let Ok(Err(error)) = sensing.await {
        log.error("the sensor ended", &[("error", &error)]);
    }
}

#[cfg(feature = "object-store")]
async fn poll_objects(objects: Objects, cursor: PathBuf, intake: Intake, stop: Shutdown, log: Log) {
    log.info("objects are polled", &[("url", &objects.url)]);
    let mut options = neph_ingest::PollOptions::new(objects.url, cursor);
    options.every = objects.every;
    options.source = objects.source;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    options.problems = Some(tell);
    let poll = tokio::spawn(neph_ingest::poll(options, intake, stop));
    // The poller holds the other end until it ends.
    while let Some(problem) = told.recv().await {
        log.warn("objects cannot be read", &[("problem", &problem)]);
    }
    if let Ok(Err(error)) = poll.await {
        log.error("objects are not polled any more", &[("error", &error)]);
    }
}

/// A configuration with objects is a mistake for a build without them.
#[cfg(not(feature = "object-store"))]
async fn poll_objects(_: Objects, _: PathBuf, _: Intake, _: Shutdown, _: Log) {}
