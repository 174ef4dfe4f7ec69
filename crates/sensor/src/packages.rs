//! Which package brought an executable, whether it is still what that brought, and whether it was in the container's image at all.
//!
//! Whoever asks waits for two system calls, no more: what is known of a file is kept by its identity (device, inode and the times at which
//! it was changed), and what is not is found out by a thread of the lowest priority. So the first event of an executable may say nothing of
//! this, and later ones do.

mod apk;
mod digest;
mod dpkg;
mod index;
mod root;
mod rpm;
mod upper;

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FileType, Stat, fstat};
use serde_json::{Map, Value, json};

use digest::Sum;
use root::Root;

/// Executables that are remembered, at most.
const EXECUTABLES: usize = 16_384;
/// Executables that wait to be looked at, at most: each keeps a file open.
const WAITING: usize = 128;
/// Databases that are kept in memory, and the files that these have together, at most.
const DATABASES: (usize, usize) = (8, 600_000);
/// Containers of which a process is remembered, at most.
const CONTAINERS: usize = 4096;
/// Executables with more bytes are not held against their digests.
const BYTES: u64 = 512 << 20;
/// A database is asked whether it changed no more often than this.
const FRESH: Duration = Duration::from_secs(5);

/// Where a path leads from.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// From the root of the host.
    Host,
    /// From the root of a process in a container.
    Container {
        /// The container.
        id: &'a str,
        /// A process of it. If it does not run any more, another one is taken that was named before.
        pid: u32,
    },
}

/// A package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, as its own tools print it.
    pub version: Option<String>,
    /// `deb`, `rpm`, or `apk`.
    pub kind: &'static str,
}

/// What is known of an executable. `None`: that is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executable {
    /// Its package; `Some(None)`: it is of none.
    pub package: Option<Option<Package>>,
    /// It is not what its package brought.
    pub differs_from_package: Option<bool>,
    /// It was in the image of its container. What was added or changed since the start, or is on a volume, was not.
    pub in_image: Option<bool>,
}

impl Executable {
    /// What a document says of it, below `neph.sensor.executable`.
    pub fn members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
        match &self.package {
            Some(Some(package)) => {
                let Package { name, version, kind } = package;
                set(
                    "package",
                    json!({ "name": name, "version": version, "type": kind }),
                );
                set("in_package", json!(true));
            }
            Some(None) => drop(set("in_package", json!(false))),
            None => {}
        }
        for (name, value) in [
            ("differs_from_package", self.differs_from_package),
            ("in_image", self.in_image),
        ] {
            if let Some(value) = value {
                set(name, json!(value));
            }
        }
        members
    }
}

/// What a database says of a path.
#[derive(Debug)]
struct Owned {
    package: Package,
    sum: Option<Sum>,
}

/// The identity of a file, as long as it does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Identity {
    device: u64,
    inode: u64,
    changed: (i64, i64),
    written: (i64, i64),
    size: i64,
}

/// Knows where executables come from.
#[derive(Debug)]
pub struct Packages {
    host: Option<Root>,
    shared: Arc<Shared>,
    jobs: SyncSender<Job>,
    /// For each container a process of it whose root could be opened.
    processes: HashMap<Arc<str>, u32>,
}

#[derive(Debug, Default)]
struct Shared {
    known: Mutex<Known>,
    /// Executables that were not looked at, since too many waited. A later event asks again.
    unlooked: AtomicU64,
}

#[derive(Debug, Default)]
struct Known {
    executables: HashMap<Identity, Answer>,
    order: VecDeque<Identity>,
}

#[derive(Debug)]
enum Answer {
    Awaited,
    /// What was found, and in which container.
    Found(Arc<Executable>, Option<Arc<str>>),
}

/// An executable to be looked at.
#[derive(Debug)]
struct Job {
    identity: Identity,
    root: Option<Root>,
    found: OwnedFd,
    container: Option<(Arc<str>, u32)>,
}

impl Packages {
    /// Begins to look. Where no thread can be had, nothing will be known.
    pub fn start() -> Self {
        let (jobs, receiver) = sync_channel(WAITING);
        let shared = Arc::new(Shared::default());
        let worker = Worker {
            host: Root::at("/").ok(),
            shared: Arc::clone(&shared),
            databases: VecDeque::new(),
            uppers: upper::Uppers::default(),
        };
        // Without the thread every question stays open, which is what its answers say.
        let _ = std::thread::Builder::new()
            .name("packages".to_owned())
            .spawn(move || worker.work(&receiver));
        Self {
            host: Root::at("/").ok(),
            shared,
            jobs,
            processes: HashMap::new(),
        }
    }

    /// What is known of the executable at this path; nothing yet, where it is seen for the first time. Does not wait.
    pub fn of(&mut self, place: Place<'_>, path: &[u8]) -> Option<Arc<Executable>> {
        let (root, container) = match place {
            Place::Host => (None, None),
            Place::Container { id, pid } => {
                let (root, id, pid) = self.root_of(id, pid)?;
                (Some(root), Some((id, pid)))
            }
        };
        let found = root.as_ref().or(self.host.as_ref())?.find(path).ok()?;
        let stat = fstat(&found).ok()?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return None;
        }
        let identity = Identity::of(&stat);
        let mut known = self.shared.known();
        match known.executables.get(&identity) {
            Some(Answer::Awaited) => return None,
            Some(Answer::Found(executable, _)) => return Some(Arc::clone(executable)),
            None => {}
        }
        let job = Job {
            identity,
            root,
            found,
            container,
        };
        // Nothing is answered while what is known is held.
        match self.jobs.try_send(job) {
            Ok(()) => known.put(identity, Answer::Awaited),
            Err(_) => drop(self.shared.unlooked.fetch_add(1, Ordering::Relaxed)),
        }
        None
    }

    /// The root of a container, by a process of it that runs.
    fn root_of(&mut self, id: &str, pid: u32) -> Option<(Root, Arc<str>, u32)> {
        let open = |pid: u32| Root::at(&format!("/proc/{pid}/root")).ok();
        let known = self
            .processes
            .get_key_value(id)
            .map(|(id, pid)| (Arc::clone(id), *pid));
        if let Some(root) = open(pid) {
            // The first of a container lives longest, as a rule.
            let id = known.map_or_else(|| Arc::from(id), |(id, _)| id);
            if self.processes.len() >= CONTAINERS {
                self.processes.clear();
            }
            self.processes.entry(Arc::clone(&id)).or_insert(pid);
            return Some((root, id, pid));
        }
        // Most processes are gone by now; the one that the container was started with usually is not.
        let (id, pid) = known?;
        let root = open(pid).filter(|_| is_of(pid, &id));
        if root.is_none() {
            self.processes.remove(&id);
        }
        Some((root?, id, pid))
    }

    /// What was counted until now.
    pub fn counts(&self) -> PackageCounts {
        PackageCounts {
            known: self.shared.known().executables.len() as u64,
            unlooked: self.shared.unlooked.load(Ordering::Relaxed),
        }
    }
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackageCounts {
    /// Executables whose package is known at this moment, or that there is none.
    pub known: u64,
    /// Executables that were not looked at because too many waited.
    pub unlooked: u64,
}

impl PackageCounts {
    /// Adds what was counted later, from nothing on.
    pub(crate) fn add(&mut self, later: &Self) {
        self.known = later.known;
        self.unlooked += later.unlooked;
    }
}

/// Whether a process is of this container: its number may be another's by now.
fn is_of(pid: u32, container: &str) -> bool {
    let groups = std::fs::read(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    memchr::memmem::find(&groups, container.as_bytes()).is_some()
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn put(&mut self, identity: Identity, answer: Answer) {
        if self.executables.insert(identity, answer).is_none() {
            self.order.push_back(identity);
        }
        while self.order.len() > EXECUTABLES {
            if let Some(oldest) = self.order.pop_front() {
                self.executables.remove(&oldest);
            }
        }
    }

    /// Forgets what was found in a container, or on the host.
    fn forget(&mut self, container: Option<&str>) {
        self.executables.retain(
            |_, answer| !matches!(answer, Answer::Found(_, found_in) if found_in.as_deref() == container),
        );
        self.order
            .retain(|identity| self.executables.contains_key(identity));
    }
}

impl Identity {
    fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            changed: (stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or(0)),
            written: (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0)),
            size: stat.st_size,
        }
    }
}

/// The thread that looks.
struct Worker {
    host: Option<Root>,
    shared: Arc<Shared>,
    /// The databases that were used, the last one at the end.
    databases: VecDeque<Cached>,
    uppers: upper::Uppers,
}

/// The database of a root, as it was when it was read.
struct Cached {
    /// The container; `None`: the host.
    container: Option<Arc<str>>,
    identity: Option<Identity>,
    asked: Instant,
    database: Option<Database>,
}

enum Database {
    Dpkg(dpkg::Database),
    Apk(apk::Database),
    Rpm(rpm::Database),
}

impl Worker {
    fn work(mut self, jobs: &Receiver<Job>) {
        // On Linux this is of the thread alone, and everything else goes first. Where it is refused, the thread is like others.
        let _ = rustix::process::nice(19);
        while let Ok(job) = jobs.recv() {
            let executable = Arc::new(self.look(&job));
            let container = job.container.map(|(id, _)| id);
            let answer = Answer::Found(executable, container);
            self.shared.known().put(job.identity, answer);
        }
    }

    fn look(&mut self, job: &Job) -> Executable {
        let mut executable = Executable::default();
        let Some(path) = root::path_of(&job.found) else {
            return executable;
        };
        let host = self.host.take();
        if let Some(root) = job.root.as_ref().or(host.as_ref()) {
            if let Some((id, pid)) = &job.container {
                executable.in_image = self.uppers.in_image(id, *pid, &job.found, &path);
            }
            self.compare(root, job, &path, &mut executable);
        }
        self.host = host;
        executable
    }

    fn compare(&mut self, root: &Root, job: &Job, path: &[u8], executable: &mut Executable) {
        let container = job.container.as_ref().map(|(id, _)| &**id);
        let Some(database) = self.database(root, container) else {
            return;
        };
        let owned = match database {
            Database::Dpkg(database) => Ok(database.owner(root, path)),
            Database::Apk(database) => Ok(database.owner(root, path)),
            Database::Rpm(database) => database.owner(path),
        };
        // What cannot be read now says nothing about the file.
        let Ok(owned) = owned else { return };
        if let Some(Owned { sum: Some(sum), .. }) = &owned
            && !is_being_changed(root)
            && let Ok(file) = root::reopen(&job.found)
        {
            let same = sum.is_of(file, BYTES).ok().flatten();
            executable.differs_from_package = same.map(|same| !same);
        }
        executable.package = Some(owned.map(|owned| owned.package));
    }

    /// The database of a root, read again where it changed.
    fn database(&mut self, root: &Root, container: Option<&str>) -> Option<&Database> {
        let at = self
            .databases
            .iter()
            .position(|cached| cached.container.as_deref() == container);
        let cached = at.and_then(|at| self.databases.remove(at));
        let cached = match cached {
            Some(cached) if cached.asked.elapsed() < FRESH => cached,
            Some(mut cached) if identity(root) == cached.identity => {
                cached.asked = Instant::now();
                cached
            }
            before => {
                if before.is_some() {
                    // What was found out with it is found out again.
                    self.shared.known().forget(container);
                }
                Cached {
                    container: container.map(Arc::from),
                    // Before it is read, so that what changes meanwhile is seen the next time.
                    identity: identity(root),
                    asked: Instant::now(),
                    database: read(root, container.is_none()),
                }
            }
        };
        self.databases.push_back(cached);
        while self.databases.len() > 1
            && (self.databases.len() > DATABASES.0
                || self.databases.iter().map(Cached::files).sum::<usize>() > DATABASES.1)
        {
            self.databases.pop_front();
        }
        self.databases.back()?.database.as_ref()
    }
}

impl Cached {
    fn files(&self) -> usize {
        match &self.database {
            Some(Database::Dpkg(database)) => database.files(),
            Some(Database::Apk(database)) => database.files(),
            Some(Database::Rpm(_)) | None => 0,
        }
    }
}

/// The identity of the file that changes whenever a package does.
fn identity(root: &Root) -> Option<Identity> {
    let places = [dpkg::STATUS, apk::INSTALLED]
        .into_iter()
        .chain(rpm::PLACES.iter().copied());
    let found = places
        .into_iter()
        .find_map(|path| root.find(path.as_bytes()).ok())?;
    Some(Identity::of(&fstat(&found).ok()?))
}

fn read(root: &Root, is_host: bool) -> Option<Database> {
    if root.find(dpkg::STATUS.as_bytes()).is_ok() {
        return dpkg::Database::read(root).ok().map(Database::Dpkg);
    }
    if root.find(apk::INSTALLED.as_bytes()).is_ok() {
        return apk::Database::read(root).ok().map(Database::Apk);
    }
    // SQLite opens files by path and follows links, which below the root of a container would lead out of it.
    let mut places = rpm::PLACES
        .iter()
        .map(Path::new)
        .filter(|path| is_host && path.exists());
    rpm::Database::open(places.next()?).ok().map(Database::Rpm)
}

/// Whether dpkg is in the middle of unpacking a package: files are replaced before their digests are.
fn is_being_changed(root: &Root) -> bool {
    let names = root.names("var/lib/dpkg/tmp.ci", 3);
    names.is_ok_and(|names| names.iter().any(|name| name != "." && name != ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_out_again_is_not_the_first_to_be_forgotten() {
        let identity = |inode| Identity {
            device: 1,
            inode,
            changed: (0, 0),
            written: (0, 0),
            size: 0,
        };
        let found = || Answer::Found(Arc::default(), None);
        let mut known = Known::default();
        known.put(identity(0), found());
        known.forget(None);
        for inode in 1..EXECUTABLES as u64 {
            known.put(identity(inode), found());
        }
        known.put(identity(0), found());
        assert_eq!(known.executables.len(), EXECUTABLES);
        known.put(identity(EXECUTABLES as u64), found());
        assert!(known.executables.contains_key(&identity(0)));
        assert!(!known.executables.contains_key(&identity(1)));
        assert_eq!(known.order.len(), EXECUTABLES);
    }
}
