//! What the configuration wants looked at again and again.

use std::path::Path;
use std::sync::{Arc, Weak};

use jiff::Timestamp;
use neph_api::App;
use neph_config::{Config, Schedule};
use neph_images::{Access, Options as ReadOptions, Platform, Reader};
use neph_runtime::service::OutputNames;
use neph_schedule::{
    ActsOf, Baselines, Images, Job, Looked, Notice, Options, Posture, Scheduler, When, Work,
};
use neph_store::{Severity, Store};

use super::log::Log;
use crate::collect::{Scheduled, problem_of};

/// Calls that failed and are told.
const PROBLEMS: usize = 20;

/// Starts what looks; nothing where the system gives no thread.
pub(super) fn start(
    store: &Store,
    app: &Arc<App>,
    outputs: &OutputNames,
    settings: &Config,
    log: Log,
) -> Option<Arc<Scheduler>> {
    let names = outputs.clone();
    let options = Options {
        db: store.db.clone(),
        outputs: Box::new(move || names.get()),
        clock: Arc::new(neph_api::now),
        hear: Box::new(move |notice| tell(log, notice)),
    };
    match Scheduler::start(options, jobs(settings, app, log)) {
        Ok(scheduler) => {
            let scheduler = Arc::new(scheduler);
            app.set_scheduler(Arc::clone(&scheduler));
            Some(scheduler)
        }
        Err(error) => {
            log.error("nothing is looked at on schedule", &[("error", &error)]);
            None
        }
    }
}

fn tell(log: Log, notice: &Notice<'_>) {
    match notice {
        Notice::Ended {
            job,
            new,
            gone,
            why: "",
        } => log.info(
            "what was collected has been looked at",
            &[("job", job), ("new", new), ("gone", gone)],
        ),
        Notice::Ended { job, new, gone, why } => log.warn(
            "what was collected has been looked at in part",
            &[("job", job), ("new", new), ("gone", gone), ("unseen", why)],
        ),
        Notice::Failed { job, why } => log.warn(
            "a job failed, and is tried again",
            &[("job", job), ("reason", why)],
        ),
        Notice::Store { job, error } => log.error(
            "what a job found cannot be kept",
            &[("job", job), ("error", error)],
        ),
        _ => {}
    }
}

/// The jobs of a configuration.
pub(super) fn jobs(settings: &Config, app: &Arc<App>, log: Log) -> Vec<Job> {
    let mut jobs = Vec::new();
    // What is collected comes first, so that a first start has something to look at.
    for collect in &settings.collect {
        let name = format!("collect:{}", collect.name);
        match Scheduled::new(&collect.source, &collect.to, &collect.options) {
            Ok(scheduled) => jobs.push(Job {
                name,
                kind: "collect",
                when: When {
                    every: Some(collect.every),
                    on_change: false,
                },
                work: Box::new(Collecting(scheduled)),
            }),
            Err(why) => log.error(
                "options of what is to be collected are wrong",
                &[("job", &name), ("reason", &why)],
            ),
        }
    }
    let mut add = |name: String, kind, schedule: &Schedule, work: Box<dyn Work>| {
        if let Some(when) = when(schedule) {
            jobs.push(Job {
                name,
                kind,
                when,
                work,
            });
        }
    };
    let files = super::baselines(settings, app.data_folder());
    // The service holds the scheduler, which holds this.
    let of: Weak<App> = Arc::downgrade(app);
    let acts: ActsOf = Arc::new(move |since, differences| match of.upgrade() {
        Some(app) => app.acts_of(since, differences),
        None => vec![Vec::new(); differences.len()],
    });
    let baselines = Baselines {
        collected: files.collected,
        folder: files.folder,
        approvals: files.approvals,
        least: least(&settings.baselines.schedule),
        acts,
        by: format!("neph {}", env!("CARGO_PKG_VERSION")),
    };
    if !baselines.collected.is_empty() {
        let schedule = &settings.baselines.schedule;
        add("baselines".into(), "baselines", schedule, Box::new(baselines));
    }
    let files = super::posture(settings, app.data_folder());
    let posture = Posture {
        collected: files.collected,
        mutes: files.mutes,
        history: files.history,
        least: least(&settings.posture.schedule),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    if !posture.collected.is_empty() {
        add(
            "posture".into(),
            "posture",
            &settings.posture.schedule,
            Box::new(posture),
        );
    }
    for group in &settings.images {
        let own = group.clone();
        let images = Images {
            images: group.images.clone(),
            golden: group.golden.clone(),
            keys: group.keys.clone(),
            root: group.root.clone(),
            changes: group.changes.clone(),
            reader: Box::new(move || reader(&own)),
            least: least(&group.schedule),
        };
        let name = format!("images:{}", group.name);
        add(name, "images", &group.schedule, Box::new(images));
    }
    jobs
}

fn when(schedule: &Schedule) -> Option<When> {
    let when = When {
        every: schedule.every,
        on_change: schedule.on_change,
    };
    (when != When::default()).then_some(when)
}

fn least(schedule: &Schedule) -> Option<Severity> {
    match schedule.alerts.as_deref()? {
        "medium" => Some(Severity::Medium),
        "high" => Some(Severity::High),
        "critical" => Some(Severity::Critical),
        _ => Some(Severity::Low),
    }
}

fn reader(images: &neph_config::Images) -> Result<Reader, String> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| format!("`{}` cannot be read: {error}", path.display()))
    };
    let platform = match &images.platform {
        None => None,
        Some(text) => Some(
            Platform::parse(text)
                .ok_or_else(|| format!("`{text}` is no platform; write it as `linux/amd64`"))?,
        ),
    };
    let credentials = match (&images.username, &images.password) {
        (Some(user), Some(password)) => {
            let password = password.read().map_err(|error| error.to_string())?;
            Some((user.clone(), password))
        }
        _ => None,
    };
    Ok(Reader {
        options: ReadOptions {
            platform,
            ..ReadOptions::default()
        },
        access: Access {
            credentials,
            authorities: images.ca.as_deref().map(read).transpose()?,
            plain: images.plain_http,
        },
    })
}

/// `neph collect`.
struct Collecting(Scheduled);

impl Work for Collecting {
    fn watched(&self) -> Vec<std::path::PathBuf> {
        Vec::new()
    }

    fn look(&self, _: Timestamp) -> Result<Looked, String> {
        let report = self.0.collect()?;
        let told = report.problems.iter().take(PROBLEMS).map(problem_of);
        Ok(Looked::nothing(told.collect(), None))
    }
}
