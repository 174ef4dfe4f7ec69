//! Files as a process sees them: below its root, where no link leads out of it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, open, openat2};

/// The root of a process, or of the host.
#[derive(Debug)]
pub(super) struct Root(OwnedFd);

impl Root {
    /// The root at this path: `/`, or `/proc/PID/root`.
    pub(super) fn at(path: &str) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(open(path, flags, Mode::empty())?))
    }

    /// The file at this path, to be asked about, not to be read.
    pub(super) fn find(&self, path: &[u8]) -> io::Result<OwnedFd> {
        self.open(path, OFlags::PATH)
    }

    /// The content of a file, if it has no more bytes than this.
    pub(super) fn read(&self, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        let file = self.file(path)?;
        let mut content = Vec::new();
        file.take(limit + 1).read_to_end(&mut content)?;
        if content.len() as u64 > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(content)
    }

    /// A file to be read. What is none is refused, and opening it never waits.
    pub(super) fn file(&self, path: &str) -> io::Result<File> {
        let file = File::from(self.open(path.as_bytes(), OFlags::RDONLY | OFlags::NONBLOCK)?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// The names in a folder, at most so many.
    pub(super) fn names(&self, path: &str, most: usize) -> io::Result<Vec<String>> {
        let folder = self.open(path.as_bytes(), OFlags::RDONLY | OFlags::DIRECTORY)?;
        let entries = rustix::fs::Dir::read_from(&folder)?;
        let names = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned));
        Ok(names.take(most).collect())
    }

    /// Opens what is at a path. Absolute links lead to below this root, as they do for the process.
    fn open(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        Ok(openat2(
            &self.0,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )?)
    }
}

/// Opens for reading what was found.
pub(super) fn reopen(found: &OwnedFd) -> io::Result<File> {
    let path = own_path(found);
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(CWD, path, flags, Mode::empty())?))
}

/// The path of what was found, without links, in the tree of mounts in which it is; `None` if it has none (any more).
pub(super) fn path_of(found: &OwnedFd) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt as _;
    let path = std::fs::read_link(Path::new(&own_path(found))).ok()?;
    let path = path.into_os_string().into_vec();
    (path.starts_with(b"/") && !path.ends_with(b" (deleted)")).then_some(path)
}

/// The number of the mount in which something is.
pub(super) fn mount_of(found: &impl AsFd) -> Option<u64> {
    use rustix::fs::{AtFlags, StatxFlags, statx};
    let told = statx(found, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
    StatxFlags::from_bits_retain(told.stx_mask)
        .contains(StatxFlags::MNT_ID)
        .then_some(told.stx_mnt_id)
}

fn own_path(found: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", found.as_raw_fd())
}
