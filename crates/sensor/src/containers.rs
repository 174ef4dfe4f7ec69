//! Who a container is, by the id that its control group bears: its name, image, labels and pod.
//!
//! Engines and runtimes are asked over their sockets, and their events are listened to, so that a container that lived for 50 ms is known as
//! well as one that runs for days. All of that happens on threads of its own; whoever asks here never waits: what is not known yet is looked for, and
//! told as [`News`] once it is there.

mod container;
mod containerd;
mod cri;
mod engine;
mod files;
mod grpc;
mod known;
mod kubelet;
mod runtime;
mod sockets;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use container::{Container, Pod, Runtime};
pub(crate) use container::{Wanted, is_id};
use engine::Engine;
use known::Known;
use neph_socket::Hangup;
use sockets::{Interface, Socket};

/// News that wait to be taken, at most.
const NEWS: usize = 8192;
/// Containers that wait to be looked for, at most.
const QUESTIONS: usize = 4096;
/// New sockets are looked for this often.
const LOOK: Duration = Duration::from_secs(10);

/// How containers are found out about.
#[derive(Clone, Debug)]
pub struct ContainerOptions {
    /// Sockets of engines and runtimes; `None`: those at the usual places, also of users.
    pub sockets: Option<Vec<PathBuf>>,
    /// Folders in which engines and the kubelet keep what they know (storage of Podman and CRI-O, `/var/lib/docker`, bundles of containerd,
    /// `/var/log` and `/var/lib/kubelet`), asked where no socket tells of a container; `None`: the usual ones, also of users.
    pub storage: Option<Vec<PathBuf>>,
    /// Events of engines are told as well.
    pub events: bool,
    /// What is known of containers takes no more than so many bytes, about.
    pub memory: usize,
}

impl Default for ContainerOptions {
    fn default() -> Self {
        Self {
            sockets: None,
            storage: None,
            events: false,
            memory: 8 << 20,
        }
    }
}

/// What came to be known.
#[derive(Clone, Debug)]
pub enum News {
    /// A container that was asked for while it was not known, or not all of it was; the latter is told again once it is.
    Known(Arc<Container>),
    /// What an engine said happened: a record as `docker events --format json` prints it, without a newline.
    Event(Box<[u8]>),
    /// An engine answers, or does so no longer.
    Engine(EngineState),
}

/// Whether an engine answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineState {
    /// Where it is asked.
    pub socket: PathBuf,
    /// Known once it answered.
    pub runtime: Option<Runtime>,
    /// Why it does not; `None` where it does.
    pub problem: Option<String>,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerCounts {
    /// Containers known at this moment.
    pub known: u64,
    /// Bytes that this takes, about.
    pub memory: u64,
    /// Containers that were forgotten because the memory was full.
    pub forgotten: u64,
    /// Events of engines that were told.
    pub events: u64,
    /// News that were given up because nobody took them in time.
    pub lost_news: u64,
    /// Answers and events of engines that could not be read.
    pub unreadable: u64,
    /// Questions that were not asked because too many were under way.
    pub unasked: u64,
    /// Connections to engines that ended.
    pub disconnected: u64,
}

impl ContainerCounts {
    /// Adds what was counted later, from nothing on.
    pub(crate) fn add(&mut self, later: &Self) {
        self.known = later.known;
        self.memory = later.memory;
        self.forgotten += later.forgotten;
        self.events += later.events;
        self.lost_news += later.lost_news;
        self.unreadable += later.unreadable;
        self.unasked += later.unasked;
        self.disconnected += later.disconnected;
    }
}

/// Knows who containers are.
#[derive(Debug)]
pub struct Containers {
    shared: Arc<Shared>,
    news: Receiver<News>,
}

/// What the threads have together.
#[derive(Debug)]
struct Shared {
    options: ContainerOptions,
    known: Mutex<Known>,
    news: SyncSender<News>,
    /// To the thread that reads files.
    files: SyncSender<Wanted>,
    engines: Mutex<BTreeMap<PathBuf, Line>>,
    is_over: AtomicBool,
    /// Wakes threads that pause.
    pause: (Mutex<()>, Condvar),
    counts: Counting,
}

#[derive(Debug, Default)]
struct Counting {
    events: AtomicU64,
    lost_news: AtomicU64,
    unreadable: AtomicU64,
    unasked: AtomicU64,
    disconnected: AtomicU64,
}

/// The way to an engine's threads.
#[derive(Debug)]
struct Line {
    questions: Questions,
    hangups: Vec<Hangup>,
    /// The engine is of the host, and not of a user.
    is_of_host: bool,
    state: Option<EngineState>,
}

/// To the thread that asks.
#[derive(Debug)]
enum Questions {
    Engine(SyncSender<engine::Question>),
    Runtime(tokio::sync::mpsc::Sender<String>),
}

impl Questions {
    /// Has a container asked for. False: too many are asked for already.
    fn ask(&self, id: &str) -> bool {
        let id = id.to_owned();
        match self {
            Self::Engine(questions) => questions.try_send(engine::Question::Container(id)).is_ok(),
            Self::Runtime(questions) => questions.try_send(id).is_ok(),
        }
    }
}

impl Containers {
    /// Begins to find out about containers. Sockets that are not there yet are looked for again and again.
    pub fn start(options: &ContainerOptions) -> Self {
        let (sender, news) = sync_channel(NEWS);
        let (files, asked) = sync_channel(QUESTIONS);
        let shared = Arc::new(Shared {
            options: options.clone(),
            known: Mutex::new(Known::within(options.memory)),
            news: sender,
            files,
            engines: Mutex::default(),
            is_over: AtomicBool::new(false),
            pause: (Mutex::new(()), Condvar::new()),
            counts: Counting::default(),
        });
        let reading = Arc::clone(&shared);
        shared.spawn("container-files", move || files::work(&reading, &asked));
        // Sockets that are there already are asked at once.
        shared.look_for_engines();
        let looking = Arc::clone(&shared);
        shared.spawn("containers", move || {
            while looking.paused(LOOK) {
                looking.look_for_engines();
            }
        });
        Self { shared, news }
    }

    /// Who this is, if it is known. If not, it is looked for, and told by [`Containers::news`] as soon as it is known. Does not wait.
    pub fn of(&mut self, id: &str) -> Option<Arc<Container>> {
        self.find(id, || Wanted::by_id(id))
    }

    /// The same, where more is known of who is looked for than an id; it is told only if it is needed.
    pub(crate) fn find(&mut self, id: &str, wanted: impl FnOnce() -> Wanted) -> Option<Arc<Container>> {
        if !is_id(id) {
            return None;
        }
        let (container, is_open) = self.shared.known().look_up(id, Instant::now());
        if is_open {
            self.shared.ask(wanted());
        }
        container
    }

    /// What came to be known since this was last called, one at a time. Does not wait.
    pub fn news(&mut self) -> Option<News> {
        self.news.try_recv().ok()
    }

    /// The engines that were found, and whether they answer.
    pub fn engines(&self) -> Vec<EngineState> {
        let engines = self.shared.engines();
        engines.values().filter_map(|line| line.state.clone()).collect()
    }

    /// What was counted until now.
    pub fn counts(&self) -> ContainerCounts {
        let known = self.shared.known();
        let (count, memory) = known.size();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.shared.counts;
        ContainerCounts {
            known: count as u64,
            memory: memory as u64,
            forgotten: known.forgotten,
            events: load(&counts.events),
            lost_news: load(&counts.lost_news),
            unreadable: load(&counts.unreadable),
            unasked: load(&counts.unasked),
            disconnected: load(&counts.disconnected),
        }
    }
}

impl Drop for Containers {
    /// Ends the threads. They are not waited for, since an engine may keep one waiting as long as it likes.
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let mut engines = self.shared.engines();
        for line in engines.values() {
            line.hangups.iter().for_each(Hangup::hang_up);
        }
        engines.clear();
        drop(engines);
        self.shared.pause.1.notify_all();
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn engines(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Line>> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits so long. False: it is time to end.
    fn paused(&self, time: Duration) -> bool {
        let guard = self.pause.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whether time or the end came first is asked below.
        let _ = self.pause.1.wait_timeout_while(guard, time, |()| !self.is_over());
        !self.is_over()
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Starts a thread. Where none can be had, less is known, and the engine's state says why.
    fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> bool {
        std::thread::Builder::new()
            .name(name.to_owned())
            .stack_size(512 << 10)
            .spawn(work)
            .is_ok()
    }

    fn look_for_engines(self: &Arc<Self>) {
        for socket in sockets::find(self.options.sockets.as_deref()) {
            let mut engines = self.engines();
            if !engines.contains_key(&socket.path) && !self.is_over() {
                let line = match socket.interface {
                    Interface::Docker => Engine::start(self, socket.clone()),
                    Interface::Grpc => runtime::start(self, socket.clone()),
                };
                engines.insert(socket.path, line);
            }
        }
    }

    /// Asks all engines about a container, and has their files looked at.
    fn ask(&self, wanted: Wanted) {
        for line in self.engines().values() {
            if !line.questions.ask(&wanted.id) {
                self.counts.unasked.fetch_add(1, Ordering::Relaxed);
            }
        }
        if self.files.try_send(wanted).is_err() {
            self.counts.unasked.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether an engine of the host that is this one answers.
    fn is_answered_by(&self, runtime: Runtime) -> bool {
        let engines = self.engines();
        let of_host = engines.values().filter(|line| line.is_of_host);
        let mut states = of_host.filter_map(|line| line.state.as_ref());
        states.any(|state| state.runtime == Some(runtime) && state.problem.is_none())
    }

    fn learn(&self, container: Container) {
        let told = self.known().learn(container);
        if let Some(container) = told {
            self.tell(News::Known(container));
        }
    }

    fn tell(&self, news: News) {
        if self.news.try_send(news).is_err() {
            self.counts.lost_news.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Remembers and tells whether an engine answers, where that is new.
    fn state(&self, socket: &Socket, runtime: Option<Runtime>, problem: Option<String>) {
        let state = EngineState {
            socket: socket.path.clone(),
            runtime,
            problem,
        };
        let mut engines = self.engines();
        if let Some(line) = engines.get_mut(&socket.path)
            && line.state.as_ref() != Some(&state)
        {
            line.state = Some(state.clone());
            drop(engines);
            self.tell(News::Engine(state));
        }
    }
}
