//! What the routes work on.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use neph_enrich::Enrichment;
use neph_event::Instant;
use neph_rules::catalogue::{Entry, entries};
use neph_rules::matrix::Matrix;
use neph_rules::rule_tests::cases_beside;
use neph_rules::{LoadOptions, RuleSet};
use neph_runtime::service::{Service, ServiceOptions};
use neph_store::{SilenceLimits, Store};
use tokio::sync::Semaphore;

use crate::baselines::BaselineFiles;
use crate::keys::Keys;
use crate::known::Known;
use crate::live::Live;
use crate::posture::PostureFiles;
use crate::session::Sessions;
use crate::when::now;

/// Bounds of what clients may ask.
#[derive(Clone, Copy, Debug)]
pub struct AppLimits {
    /// The largest body, in bytes.
    pub body: u64,
    /// The longest search.
    pub query_time: Duration,
    /// Searches at once.
    pub searches: usize,
    /// Requests at once.
    pub requests: usize,
    /// Live streams at once.
    pub streams: usize,
}

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) requests: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) failures: AtomicU64,
}

/// Where rules come from.
#[derive(Clone, Debug)]
pub struct RuleFiles {
    /// Files and folders of rules.
    pub paths: Vec<PathBuf>,
    /// What stands beside them.
    pub options: LoadOptions,
}

/// The rules that are shown, with what takes long to find out of them.
pub(crate) struct Shown {
    pub(crate) set: Arc<RuleSet>,
    pub(crate) files: RuleFiles,
    entries: OnceLock<Vec<Listed>>,
    /// Matrices of coverage by their platforms; those that were asked for last.
    matrices: Mutex<Vec<(Vec<String>, Arc<Matrix>)>>,
}

/// A rule in the list.
pub(crate) struct Listed {
    pub(crate) entry: Entry,
    /// Cases of its tests that want an alert, and that want none.
    pub(crate) tests: Option<(usize, usize)>,
}

/// Matrices that are kept.
const MATRICES: usize = 4;

impl Shown {
    fn new(set: Arc<RuleSet>, files: RuleFiles) -> Self {
        Self {
            set,
            files,
            entries: OnceLock::new(),
            matrices: Mutex::default(),
        }
    }

    /// All rules that were found, in the order of [`RuleSet::all`].
    pub(crate) fn entries(&self) -> &[Listed] {
        self.entries.get_or_init(|| {
            let rules = entries(&self.set).into_iter().zip(self.set.all());
            let listed = rules.map(|(entry, (_, rule))| Listed {
                entry,
                tests: rule.and_then(cases_beside),
            });
            listed.collect()
        })
    }

    /// The coverage of these platforms.
    pub(crate) fn matrix(&self, platforms: Vec<String>) -> Arc<Matrix> {
        let mut kept = unpoisoned(&self.matrices);
        if let Some((_, matrix)) = kept.iter().find(|(own, _)| *own == platforms) {
            return Arc::clone(matrix);
        }
        let matrix = Arc::new(Matrix::new(&self.set, &platforms));
        if kept.len() >= MATRICES {
            kept.remove(0);
        }
        kept.push((platforms, Arc::clone(&matrix)));
        matrix
    }
}

/// What an application is made of.
pub struct AppParts {
    /// The store.
    pub store: Arc<Store>,
    /// Whose tokens are whose.
    pub keys: Arc<Keys>,
    /// What runs the rules.
    pub service: Service,
    /// How it runs them; previews run so, too.
    pub options: ServiceOptions,
    /// The rules, as they were loaded.
    pub rules: Arc<RuleSet>,
    /// From where.
    pub files: RuleFiles,
    /// The data folder; what is written through the API lies in folders of it.
    pub data: PathBuf,
    /// Bounds of what clients may ask.
    pub limits: AppLimits,
    /// When sources count as silent.
    pub silences: SilenceLimits,
    /// Whether the API is encrypted.
    pub tls: bool,
    /// Where baselines come from.
    pub baselines: BaselineFiles,
    /// Where what is checked against mitigations comes from.
    pub posture: PostureFiles,
}

/// What the routes work on.
pub struct App {
    pub(crate) store: Arc<Store>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) options: ServiceOptions,
    data: PathBuf,
    pub(crate) overlay_folder: PathBuf,
    pub(crate) known: Known,
    pub(crate) limits: AppLimits,
    pub(crate) counts: Counts,
    pub(crate) searches: Arc<Semaphore>,
    pub(crate) backfills: Arc<Semaphore>,
    pub(crate) requests: Semaphore,
    pub(crate) live: Live,
    pub(crate) started: Instant,
    pub(crate) silences: SilenceLimits,
    pub(crate) tls: bool,
    pub(crate) baselines: BaselineFiles,
    pub(crate) posture: PostureFiles,
    pub(crate) sessions: Sessions,
    pub(crate) intake: OnceLock<Arc<neph_ingest::Counts>>,
    pub(crate) outputs: OnceLock<Arc<neph_outputs::Outputs>>,
    pub(crate) scheduler: OnceLock<Arc<neph_schedule::Scheduler>>,
    service: Mutex<Option<Arc<Service>>>,
    rules: Mutex<Arc<Shown>>,
    writing: Mutex<()>,
}

impl App {
    /// An application.
    pub fn new(parts: AppParts) -> Arc<Self> {
        let live = Live::start(&parts.store, parts.limits.streams);
        Arc::new(Self {
            live,
            store: parts.store,
            keys: parts.keys,
            options: parts.options,
            overlay_folder: overlay_folder(&parts.data),
            data: parts.data,
            known: Known::default(),
            limits: parts.limits,
            counts: Counts::default(),
            searches: Arc::new(Semaphore::new(parts.limits.searches)),
            backfills: Arc::new(Semaphore::new(1)),
            requests: Semaphore::new(parts.limits.requests),
            started: now(),
            silences: parts.silences,
            tls: parts.tls,
            baselines: parts.baselines,
            posture: parts.posture,
            sessions: Sessions::default(),
            intake: OnceLock::new(),
            outputs: OnceLock::new(),
            scheduler: OnceLock::new(),
            service: Mutex::new(Some(Arc::new(parts.service))),
            rules: Mutex::new(Arc::new(Shown::new(parts.rules, parts.files))),
            writing: Mutex::default(),
        })
    }

    /// Lets other rules take the place of those that are shown.
    pub fn change_rules(&self, rules: Arc<RuleSet>, files: RuleFiles) {
        self.known.note_changes(&self.rules().set, &rules, now());
        *unpoisoned(&self.rules) = Arc::new(Shown::new(rules, files));
    }

    /// What runs the rules, while it does.
    pub fn service(&self) -> Option<Arc<Service>> {
        unpoisoned(&self.service).clone()
    }

    /// Takes what runs the rules out, to end it.
    pub fn take_service(&self) -> Option<Arc<Service>> {
        unpoisoned(&self.service).take()
    }

    /// The data folder.
    pub fn data_folder(&self) -> &Path {
        &self.data
    }

    pub(crate) fn rules(&self) -> Arc<Shown> {
        Arc::clone(&unpoisoned(&self.rules))
    }

    pub(crate) fn enrichment(&self) -> Option<Arc<Enrichment>> {
        self.options.run.enrichment.clone()
    }

    pub(crate) fn writing(&self) -> MutexGuard<'_, ()> {
        unpoisoned(&self.writing)
    }

    /// What is received, for the metrics.
    pub fn set_intake(&self, counts: Arc<neph_ingest::Counts>) {
        let _ = self.intake.set(counts);
    }

    /// Where alerts go.
    pub fn set_outputs(&self, outputs: Arc<neph_outputs::Outputs>) {
        let _ = self.outputs.set(outputs);
    }

    /// Ends live streams, so that the listener can close.
    pub fn close(&self) {
        self.live.close();
    }
}

/// The folder of overlays that are written through the API, in a data folder.
pub fn overlay_folder(data: &Path) -> PathBuf {
    data.join("overlays")
}

/// The folder of rules that are written through the API, in a data folder.
pub fn rule_folder(data: &Path) -> PathBuf {
    data.join("rules")
}

/// What a thread that ended badly left is whole: nothing is changed in steps.
pub(crate) fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
