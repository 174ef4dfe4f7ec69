//! Which processes are told of: all, or those of one control group.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::process::Process;

/// The control group whose processes are told of, as `/proc/PID/cgroup` names it; none: all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    below: Option<Vec<u8>>,
}

impl Scope {
    /// Of a folder of the hierarchy of version 2.
    pub(crate) fn of(cgroup: Option<&Path>) -> Self {
        let below = cgroup.map(|path| {
            let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
            let inner = mounts
                .lines()
                .filter(|line| line.contains(" - cgroup2 "))
                .filter_map(|line| line.split(' ').nth(4))
                .find_map(|mount| path.strip_prefix(mount).ok());
            let inner = inner.unwrap_or(&path).as_os_str().as_bytes();
            let inner = inner.strip_prefix(b"/").unwrap_or(inner);
            [b"/", inner].concat()
        });
        Self { below }
    }

    /// Whether a process is told of. One of which the group is not known is not.
    pub(crate) fn has(&self, process: &Process) -> bool {
        let Some(below) = &self.below else { return true };
        let cgroup = process.own.context.cgroup.as_deref().unwrap_or_default();
        match cgroup.strip_prefix(below.as_slice()) {
            Some(rest) => below == b"/" || rest.is_empty() || rest.starts_with(b"/"),
            None => false,
        }
    }
}
