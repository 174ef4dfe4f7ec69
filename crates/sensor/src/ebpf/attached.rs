//! The programs, brought into the kernel. What cannot be attached there is named, and lowers what is seen.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aya::maps::{HashMap, Map, MapData, MapError, PerCpuArray, RingBuf};
use aya::programs::{CgroupAttachMode, CgroupSockAddr, ProgramError, RawTracePoint};
use aya::{Btf, Ebpf, EbpfLoader};

use crate::files::Files;
use crate::options::Options;
use crate::source::{Hook, Part, SourceError};

/// The programs, as `.ci/sensor-object.sh` compiles them.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../ebpf/sensor.bpf.o");

/// Classes and causes that the programs count, in their order.
pub(crate) const CLASSES: usize = 7;
pub(crate) const CAUSES: usize = 4;

/// What each processor counted: what was seen of each class, then what was lost of each by each cause.
pub(crate) type Counted = [u64; CLASSES + CLASSES * CAUSES];

/// Parts of the ring, in percent, that may be full for one more of a class to be told, in the order of the classes.
const ROOM: [u64; CLASSES] = [100, 90, 80, 80, 75, 70, 60];

/// From here on arguments are cut earlier.
const ROOM_OF_LONG_ARGUMENTS: u64 = 40;

/// Bytes of the ring: a fifth of what the sensor may use, at least this and at most that.
const RING: std::ops::RangeInclusive<u64> = 1 << 20..=64 << 20;

/// Programs that run, and what they write.
pub(crate) struct Attached {
    /// Keeps the programs in the kernel: they go with it.
    _programs: Ebpf,
    /// Their records.
    pub(crate) ring: RingBuf<MapData>,
    /// Their counts.
    pub(crate) counted: PerCpuArray<MapData, Counted>,
    /// What was to be attached.
    pub(crate) hooks: Vec<Hook>,
    /// What is not seen, since something could not be attached.
    pub(crate) unseen: Vec<Part>,
    /// Outcomes of connections are told as soon as they are known.
    pub(crate) outcomes: bool,
}

impl Attached {
    /// Brings the programs into the kernel; those of connections to the root of the control groups, if there is one.
    ///
    /// # Errors
    ///
    /// If that is not allowed, if the kernel does not tell its types (BTF), or if it does not tell of programs started.
    pub(crate) fn new(
        options: &Options,
        groups: Option<&Path>,
        calls: Option<u32>,
    ) -> Result<Self, SourceError> {
        let types =
            Btf::from_sys_fs().map_err(|error| unsupported("reading the types of the kernel", &error))?;
        let ring = ring_size(options.limits.memory);
        let room = ROOM.map(|percent| u64::from(ring) * percent / 100);
        let filter = options.cgroup.as_deref().map(Group::find).transpose()?;
        let (group, level) = filter.map_or((0, 0), |group| (group.id, group.level));
        let mut loader = EbpfLoader::new();
        if let Some(calls) = calls {
            loader.map_max_entries("calls", calls);
        }
        let mut programs = loader
            .btf(Some(&types))
            .map_max_entries("events", ring)
            .override_global("own_process", &std::process::id(), true)
            .override_global("filter_group", &group, true)
            .override_global("filter_level", &level, true)
            .override_global("room_of_class", &room, true)
            .override_global(
                "room_of_long_arguments",
                &(u64::from(ring) * ROOM_OF_LONG_ARGUMENTS / 100),
                true,
            )
            .load(OBJECT)
            .map_err(|error| unsupported("loading programs into the kernel", &error))?;

        fill(&mut programs, &options.files)
            .map_err(|error| unsupported("filling a table in the kernel", &error))?;
        let ring = map(&mut programs, "events")?;
        let counted = map(&mut programs, "counted")?;

        let mut hooks = Hooks {
            programs,
            hooks: Vec::new(),
        };
        if !hooks.tracepoint("program_started", "sched_process_exec") {
            let why = hooks.hooks.pop().and_then(|hook| hook.failed).unwrap_or_default();
            return Err(SourceError::Unsupported(format!(
                "the kernel does not tell of programs started: {why}"
            )));
        }
        let mut unseen = Vec::new();
        if !hooks.tracepoint("process_made", "sched_process_fork") {
            unseen.push(Part::Forks);
        }
        if !hooks.tracepoint("process_ended", "sched_process_exit") {
            unseen.push(Part::Exits);
        }
        let connections = hooks.connections(groups);
        let outcomes = hooks.tracepoint("state_changed", "inet_sock_set_state");
        if !outcomes && connections {
            unseen.push(Part::Outcomes);
        }
        let returned = if connections { "returned" } else { "returned_inet" };
        let calls = hooks.tracepoint(returned, "sys_exit");
        if !calls {
            unseen.extend([Part::UnixSockets, Part::Files, Part::Changes]);
            if !connections {
                unseen.push(Part::Connections);
            }
        }
        Ok(Self {
            _programs: hooks.programs,
            ring,
            counted,
            hooks: hooks.hooks,
            unseen,
            outcomes: connections && outcomes && calls,
        })
    }
}

/// Tells the programs what is looked for.
fn fill(programs: &mut Ebpf, files: &Files) -> Result<(), MapError> {
    let Some(table) = programs.map_mut("watched") else {
        return Err(MapError::ElementNotFound);
    };
    let mut table: HashMap<_, u64, u8> = HashMap::try_from(table)?;
    for (digest, value) in files.table() {
        table.insert(digest, value, 0)?;
    }
    Ok(())
}

/// The ring's size must be a power of two, and a multiple of the size of a page.
fn ring_size(memory: u64) -> u32 {
    let wished = (memory / 5).clamp(*RING.start(), *RING.end());
    u32::try_from(1u64 << wished.ilog2()).unwrap_or(1 << 24)
}

fn unsupported(what: &str, error: &dyn std::error::Error) -> SourceError {
    SourceError::Unsupported(format!("{what}: {}", told(error)))
}

/// An error with what caused it, but not the kernel's report on a program, which may have many thousand lines: its last line but one
/// names the reason.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default().to_owned();
    match lines.rfind(|line| !line.starts_with("processed ") && !line.starts_with("verification time")) {
        Some(reason) => format!("{first} … {reason}"),
        None => first,
    }
}

fn map<T>(programs: &mut Ebpf, name: &str) -> Result<T, SourceError>
where
    T: TryFrom<Map, Error = MapError>,
{
    let map = programs
        .take_map(name)
        .ok_or_else(|| SourceError::Unsupported(format!("the programs have no table `{name}`")))?;
    T::try_from(map).map_err(|error| unsupported("opening a table in the kernel", &error))
}

struct Hooks {
    programs: Ebpf,
    hooks: Vec<Hook>,
}

impl Hooks {
    /// Attaches a program at a raw tracepoint; says whether it runs.
    fn tracepoint(&mut self, program: &str, at: &str) -> bool {
        let attached = self.load(program).and_then(|program: &mut RawTracePoint| {
            program.load()?;
            program.attach(at).map(drop)
        });
        self.note(format!("raw tracepoint {at}"), attached)
    }

    /// Attaches the programs of connections at the root of the control groups; says whether those of connect(2) run.
    fn connections(&mut self, root: Option<&Path>) -> bool {
        let Some(root) = root else {
            self.hooks.push(Hook {
                name: "control group connect4".to_owned(),
                failed: Some("no control groups of version 2 are mounted".to_owned()),
            });
            return false;
        };
        let mut all = true;
        for (program, at) in [
            ("connect_v4", "connect4"),
            ("connect_v6", "connect6"),
            ("send_v4", "sendmsg4"),
            ("send_v6", "sendmsg6"),
        ] {
            // A link leaves other programs at the group in place, whatever its mode; the kernel refuses one that says so.
            let mode = CgroupAttachMode::default();
            let attached = File::open(root).map_err(ProgramError::IOError).and_then(|group| {
                let program: &mut CgroupSockAddr = self.load(program)?;
                program.load()?;
                program.attach(group, mode).map(drop)
            });
            let attached = self.note(format!("control group {at}"), attached);
            all &= attached || at.starts_with("sendmsg");
        }
        all
    }

    fn load<'a, T>(&'a mut self, program: &str) -> Result<&'a mut T, ProgramError>
    where
        &'a mut T: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
    {
        self.programs
            .program_mut(program)
            .ok_or(ProgramError::NotLoaded)?
            .try_into()
    }

    fn note(&mut self, name: String, attached: Result<(), ProgramError>) -> bool {
        let failed = attached.err().map(|error| told(&error));
        let works = failed.is_none();
        self.hooks.push(Hook { name, failed });
        works
    }
}

/// A control group of the second hierarchy, as programs in the kernel name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Group {
    id: u64,
    /// How many there are above it.
    level: u32,
}

impl Group {
    fn find(path: &Path) -> Result<Self, SourceError> {
        let refused = |error| SourceError::refused(format!("control group `{}`", path.display()), error);
        let path = fs::canonicalize(path).map_err(refused)?;
        let id = fs::metadata(&path).map_err(refused)?.ino();
        let root = group_root().filter(|root| path.starts_with(root));
        let below = root.and_then(|root| Some(path.strip_prefix(root).ok()?.components().count()));
        let level = below.and_then(|below| u32::try_from(below).ok()).ok_or_else(|| {
            SourceError::Unsupported(format!("`{}` is no control group of version 2", path.display()))
        })?;
        Ok(Self { id, level })
    }
}

/// Where the second hierarchy of control groups is mounted.
pub(crate) fn group_root() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    mounts.lines().find_map(|line| {
        // What the kind of file system is stands behind a hyphen, the place in the fifth column (proc(5)).
        let (before, behind) = line.split_once(" - ")?;
        behind
            .starts_with("cgroup2 ")
            .then(|| before.split(' ').nth(4).map(PathBuf::from))?
    })
}
