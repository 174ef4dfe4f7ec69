//! Whether a file was in the image of its container, by the layer that overlayfs writes to: what was added or changed since the container was
//! made lies there, under the same path. <https://docs.kernel.org/filesystems/overlayfs.html>

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use super::root::mount_of;

/// Containers whose layers are remembered, at most.
const CONTAINERS: usize = 4096;
/// Bytes of a list of mounts, at most.
const MOUNTS: u64 = 4 << 20;

/// The upper layers of containers.
#[derive(Debug, Default)]
pub(super) struct Uppers(HashMap<String, Upper>);

/// What the root of a container is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Upper {
    /// The number of the mount that is the root.
    mount: u64,
    /// The folder that is written to, as the host sees it; `None`: the root is no overlay.
    folder: Option<PathBuf>,
}

impl Uppers {
    /// Whether a file of a container, at this path, was in its image.
    pub(super) fn in_image(&mut self, id: &str, pid: u32, found: &OwnedFd, path: &[u8]) -> Option<bool> {
        if !self.0.contains_key(id) {
            let mounts = read(&format!("/proc/{pid}/mountinfo"))?;
            let upper = root_of(&mounts)?;
            if self.0.len() >= CONTAINERS {
                self.0.clear();
            }
            self.0.insert(id.to_owned(), upper);
        }
        let upper = self.0.get(id)?;
        if mount_of(found)? != upper.mount {
            // A volume, a file of the host, a file system in memory. Processes of a container may have mounts of their own.
            return Some(false);
        }
        let folder = upper.folder.as_ref()?;
        if !folder.is_dir() {
            return None;
        }
        let path = PathBuf::from(OsString::from_vec(path.get(1..)?.to_vec()));
        Some(folder.join(path).symlink_metadata().is_err())
    }
}

fn read(path: &str) -> Option<Vec<u8>> {
    use std::io::Read as _;
    let mut content = Vec::new();
    std::fs::File::open(path)
        .ok()?
        .take(MOUNTS)
        .read_to_end(&mut content)
        .ok()?;
    Some(content)
}

/// The mount at `/`, the one on top where there are several. proc_pid_mountinfo(5)
fn root_of(mounts: &[u8]) -> Option<Upper> {
    let mut roots = mounts.rsplit(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let mount = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        if fields.nth(3)? != b"/" {
            return None;
        }
        let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
        let is_overlay = fields.next()? == b"overlay";
        let options = fields.nth(1)?;
        let upper = options
            .split(|byte| *byte == b',')
            .find_map(|option| option.strip_prefix(b"upperdir="));
        Some(Upper {
            mount,
            folder: upper
                .filter(|upper| is_overlay && upper.starts_with(b"/"))
                .map(|upper| PathBuf::from(OsString::from_vec(unescaped(upper)))),
        })
    });
    roots.next()
}

/// Blanks and the like stand there as a backslash and three octal digits.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let octal = behind
            .first_chunk::<3>()
            .filter(|digits| *first == b'\\' && digits.iter().all(|digit| (b'0'..=b'7').contains(digit)))
            .and_then(|digits| {
                let value = digits
                    .iter()
                    .fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                u8::try_from(value).ok()
            });
        match octal {
            Some(byte) => {
                out.push(byte);
                rest = behind.get(3..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = behind;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layer_that_is_written_to_is_found() {
        let mounts = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            812 700 0:52 / / rw,relatime master:3 shared:5 - overlay overlay rw,lowerdir=/a:/b,upperdir=/var/lib/x\\040y\\134z/diff,workdir=/w\n\
            813 812 0:53 / /proc rw - proc proc rw\nrubbish\n\n";
        let expected = Upper {
            mount: 812,
            folder: Some(PathBuf::from("/var/lib/x y\\z/diff")),
        };
        assert_eq!(root_of(mounts), Some(expected));
        assert_eq!(
            root_of(b"1 0 0:1 / / rw - btrfs b rw,upperdir=/x")
                .unwrap()
                .folder,
            None
        );
        assert_eq!(root_of(b""), None);
        assert_eq!(unescaped(b"\\777\\12"), b"\\777\\12");
    }
}
