//! Snapshots: blobs of the pipeline's state, each with the offset of the log that it belongs to.
//!
//! A snapshot is a file `<offset>.snapshot`: a line that names the form, the length and the checksum of the blob, the blob.
//! It is written beside, synced, renamed, and the folder is synced, so that a file of that name is whole unless the disk
//! damaged it; then the one before is used.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::StoreError;
use crate::log::Offset;

const MAGIC: &[u8; 8] = b"NEPHSNP1";
const EXTENSION: &str = "snapshot";
/// How many are kept.
const KEPT: usize = 2;

/// The pipeline's state at an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Everything before it is in the state.
    pub offset: Offset,
    /// The state.
    pub blob: Vec<u8>,
}

/// A snapshot that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotNotice {
    /// The file.
    pub path: PathBuf,
    /// Why, lower case.
    pub why: String,
}

/// The folder of snapshots.
#[derive(Clone, Debug)]
pub struct Snapshots {
    folder: PathBuf,
}

impl Snapshots {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Keeps a snapshot, durable when it returns; older ones but the last go.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] or [`StoreError::Io`]; then those kept before are as they were.
    pub fn save(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let path = self.path(snapshot.offset);
        let beside = path.with_extension("part");
        let written = write_synced(&beside, &snapshot.blob);
        let renamed = written.and_then(|()| {
            fs::rename(&beside, &path).map_err(|error| StoreError::io("rename", &beside, error))
        });
        if let Err(error) = renamed {
            fs::remove_file(&beside).ok();
            return Err(error);
        }
        sync_folder(&self.folder)?;
        for (_, old) in self.files()?.into_iter().skip(KEPT) {
            fs::remove_file(&old).ok();
        }
        Ok(())
    }

    /// The newest snapshot that is whole and belongs to an offset up to `limit`, and notices of those that were passed over.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn newest(&self, limit: Offset) -> Result<(Option<Snapshot>, Vec<SnapshotNotice>), StoreError> {
        let mut notices = Vec::new();
        for (offset, path) in self.files()? {
            if offset > limit {
                let why = format!("it belongs to offset {offset}, and the log ends at {limit}");
                notices.push(SnapshotNotice { path, why });
                continue;
            }
            match read_checked(&path) {
                Ok(blob) => return Ok((Some(Snapshot { offset, blob }), notices)),
                Err(why) => notices.push(SnapshotNotice { path, why }),
            }
        }
        Ok((None, notices))
    }

    fn path(&self, offset: Offset) -> PathBuf {
        self.folder.join(format!("{offset:020}.{EXTENSION}"))
    }

    /// Newest first.
    fn files(&self) -> Result<Vec<(Offset, PathBuf)>, StoreError> {
        let failed = |error| StoreError::io("read", &self.folder, error);
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let offset = stem.and_then(|stem| stem.parse().ok());
            if let (Some(offset), true) = (offset, path.extension().is_some_and(|ext| ext == EXTENSION)) {
                files.push((offset, path));
            }
        }
        files.sort_unstable_by(|left, right| right.cmp(left));
        Ok(files)
    }
}

fn write_synced(path: &Path, blob: &[u8]) -> Result<(), StoreError> {
    let failed = |error| StoreError::io("write", path, error);
    let mut file = File::create(path).map_err(failed)?;
    file.write_all(MAGIC).map_err(failed)?;
    file.write_all(&(blob.len() as u64).to_le_bytes())
        .map_err(failed)?;
    file.write_all(&crc32fast::hash(blob).to_le_bytes())
        .map_err(failed)?;
    file.write_all(blob).map_err(failed)?;
    file.sync_all().map_err(failed)
}

fn read_checked(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = fs::read(path).map_err(|error| error.to_string())?;
    let damaged = || "it is damaged".to_owned();
    let rest = bytes.strip_prefix(MAGIC.as_slice()).ok_or_else(damaged)?;
    let (length, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
    let (checksum, blob) = rest.split_first_chunk().ok_or_else(damaged)?;
    if u64::from_le_bytes(*length) != blob.len() as u64
        || u32::from_le_bytes(*checksum) != crc32fast::hash(blob)
    {
        return Err(damaged());
    }
    let start = bytes.len() - blob.len();
    Ok(bytes.split_off(start))
}

/// Makes names in a folder durable.
#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::io("sync", folder, error);
    File::open(folder).map_err(failed)?.sync_all().map_err(failed)
}

/// Elsewhere the file system alone sees to that.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_folder: &Path) -> Result<(), StoreError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(offset: Offset) -> Snapshot {
        Snapshot {
            offset,
            blob: offset.to_string().repeat(100).into_bytes(),
        }
    }

    #[test]
    fn the_newest_whole_one_is_used_and_two_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::new(folder.path().to_owned());
        assert_eq!(snapshots.newest(100).unwrap(), (None, vec![]));
        for offset in [5, 10, 20] {
            snapshots.save(&snapshot(offset)).unwrap();
        }
        assert_eq!(snapshots.files().unwrap().len(), 2);
        assert_eq!(snapshots.newest(100).unwrap(), (Some(snapshot(20)), vec![]));
        // One that the log does not reach belongs to another log.
        let (found, notices) = snapshots.newest(15).unwrap();
        assert_eq!((found, notices.len()), (Some(snapshot(10)), 1));

        let newest = snapshots.path(20);
        let whole = fs::read(&newest).unwrap();
        for cut in [0, 3, 10, 19, 25, whole.len() - 1] {
            fs::write(&newest, &whole[..cut]).unwrap();
            let (found, notices) = snapshots.newest(100).unwrap();
            assert_eq!((found, notices.len()), (Some(snapshot(10)), 1), "cut at {cut}");
        }
        let mut flipped = whole.clone();
        flipped[30] ^= 1;
        fs::write(&newest, &flipped).unwrap();
        assert_eq!(snapshots.newest(100).unwrap().0, Some(snapshot(10)));
    }
}
