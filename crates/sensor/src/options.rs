//! What a sensor is asked to do.

use std::path::PathBuf;

use crate::cloud::CloudOptions;
use crate::containers::ContainerOptions;
use crate::files::Files;
use crate::source::Mode;

/// What a sensor is asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// How the kernel is to be asked; without it, the best way that works.
    pub mode: Option<Mode>,
    /// Only processes in this control group or below it are told of. A folder of the hierarchy of version 2, such as
    /// `/sys/fs/cgroup/system.slice`.
    pub cgroup: Option<PathBuf>,
    /// Tell also of the processes that run when the sensor starts (`event.action: already_running`). Who they are is read in any case.
    pub attach: bool,
    /// What documents say of the host.
    pub host: HostOptions,
    /// How it is found out who containers are; without, their ids alone are told.
    pub containers: Option<ContainerOptions>,
    /// Tell which package brought an executable, and whether it changed.
    pub packages: bool,
    /// How it is found out which instance of a cloud the host is.
    pub cloud: CloudOptions,
    /// Which files and Unix sockets are looked at, in the mode that sees them.
    pub files: Files,
    /// How much the sensor may use.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: None,
            cgroup: None,
            attach: true,
            host: HostOptions::default(),
            containers: Some(ContainerOptions::default()),
            packages: true,
            cloud: CloudOptions::default(),
            files: Files::default(),
            limits: Limits::default(),
        }
    }
}

/// What documents say of the host, where it is not to be what the host says of itself.
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// `host.name`.
    pub name: Option<String>,
    /// `host.id`, of which also `process.entity_id` is made.
    pub id: Option<String>,
}

/// How much a sensor may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes that its tables, queues and the buffers in the kernel may take together.
    pub memory: u64,
    /// Share of one core that it may use, over a minute: 0.25 is a quarter of a core. Above it, classes are given up, the last first.
    pub share: f64,
    /// Observations that may wait to become documents.
    pub waiting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 80 << 20,
            share: 0.25,
            waiting: 65_536,
        }
    }
}
