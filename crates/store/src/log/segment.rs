//! One segment: a file of frames, named by the offset of its first.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::frame::{BlockInfo, HEADER, Header, MAGIC};
use super::{Block, Offset};
use crate::StoreError;

/// Bytes that are read at a time when a frame is looked for behind damage.
const SEARCHED: usize = 1 << 20;

/// The file of the segment that begins at an offset.
pub(super) fn path(folder: &Path, begin: Offset) -> PathBuf {
    folder.join(format!("{begin:020}.log"))
}

/// The segments of a folder: where each begins, and how long its file is, in order.
pub(super) fn list(folder: &Path) -> Result<Vec<(Offset, u64)>, StoreError> {
    let failed = |error| StoreError::io("read", folder, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let begin = name
            .to_str()
            .and_then(|name| name.strip_suffix(".log")?.parse().ok());
        if let Some(begin) = begin {
            match entry.metadata() {
                Ok(metadata) => found.push((begin, metadata.len())),
                // Retention of another process removed it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// A frame where it stands.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) position: u64,
    pub(super) header: Header,
    pub(super) infos: Vec<BlockInfo>,
}

/// What stands at a position.
pub(super) enum At<T> {
    /// A frame.
    Good(T),
    /// The header is good, and what it heads is not.
    BadBody(Header),
    /// No header.
    Bad,
    /// Nothing: the file ends here.
    End,
}

/// Reads frames of an open segment.
pub(super) struct SegmentFile {
    file: File,
    path: PathBuf,
}

impl SegmentFile {
    pub(super) fn open(folder: &Path, begin: Offset) -> Result<Self, StoreError> {
        let path = path(folder, begin);
        let file = File::open(&path).map_err(|error| StoreError::io("open", &path, error))?;
        Ok(Self { file, path })
    }

    pub(super) fn length(&self) -> Result<u64, StoreError> {
        let metadata = self.file.metadata();
        Ok(metadata.map_err(|error| self.failed(error))?.len())
    }

    fn failed(&self, error: io::Error) -> StoreError {
        StoreError::io("read", &self.path, error)
    }

    /// Up to `length` bytes at a position; fewer where the file ends.
    fn read(&mut self, position: u64, length: usize) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        self.file
            .seek(SeekFrom::Start(position))
            .and_then(|_| (&self.file).take(length as u64).read_to_end(&mut bytes))
            .map_err(|error| self.failed(error))?;
        Ok(bytes)
    }

    /// The directory of the frame at a position, whose file counts up to `limit`.
    pub(super) fn info(&mut self, position: u64, limit: u64) -> Result<At<Found>, StoreError> {
        if position >= limit {
            return Ok(At::End);
        }
        let bytes = self.read(position, HEADER)?;
        let Some(header) = bytes.first_chunk().and_then(Header::parse) else {
            return Ok(At::Bad);
        };
        if position.saturating_add(header.length()) > limit {
            return Ok(At::Bad);
        }
        let directory = self.read(position + HEADER as u64, header.directory as usize)?;
        Ok(match header.directory(&directory) {
            Some(infos) => At::Good(Found {
                position,
                header,
                infos,
            }),
            None => At::BadBody(header),
        })
    }

    /// The blocks of the frame at a position.
    pub(super) fn blocks(
        &mut self,
        position: u64,
        limit: u64,
    ) -> Result<At<(Header, Vec<Block>)>, StoreError> {
        let found = match self.info(position, limit)? {
            At::Good(found) => found,
            At::BadBody(header) => return Ok(At::BadBody(header)),
            At::Bad => return Ok(At::Bad),
            At::End => return Ok(At::End),
        };
        let header = found.header;
        let body = position + HEADER as u64 + u64::from(header.directory);
        let packed = self.read(body, header.packed as usize)?;
        Ok(match header.read_blocks(found.infos, &packed) {
            Some(blocks) => At::Good((header, blocks)),
            None => At::BadBody(header),
        })
    }

    /// Is the body of a frame what was written.
    fn is_whole(&mut self, found: &Found) -> Result<bool, StoreError> {
        let body = found.position + HEADER as u64 + u64::from(found.header.directory);
        let packed = self.read(body, found.header.packed as usize)?;
        Ok(found.header.is_body(&packed))
    }

    /// The position of the next frame that is whole, from `position` on, that begins at `least` or behind.
    pub(super) fn search(
        &mut self,
        position: u64,
        limit: u64,
        least: Offset,
    ) -> Result<Option<u64>, StoreError> {
        let mut start = position;
        while start < limit {
            let wanted = usize::try_from(limit - start).unwrap_or(SEARCHED).min(SEARCHED);
            let bytes = self.read(start, wanted)?;
            if bytes.len() < MAGIC.len() {
                return Ok(None);
            }
            for place in memchr::memmem::find_iter(&bytes, &MAGIC) {
                let candidate = start + place as u64;
                if let At::Good((header, _)) = self.blocks(candidate, limit)?
                    && header.offset >= least
                {
                    return Ok(Some(candidate));
                }
            }
            // The magic may lie across two reads.
            start += (bytes.len() - (MAGIC.len() - 1)) as u64;
        }
        Ok(None)
    }
}

/// What a segment's file holds.
pub(super) struct Scan {
    pub(super) frames: Vec<Found>,
    /// Offsets that cannot be read, between frames that can.
    pub(super) damaged: Vec<Range<Offset>>,
    /// Where the last good frame ends in the file.
    pub(super) good: u64,
    /// Length of the file.
    pub(super) length: u64,
}

impl Scan {
    /// Reads all frames from `position` on, where the one with the offset `next` is due. With `bodies`, bodies are checked too.
    pub(super) fn of(
        file: &mut SegmentFile,
        mut position: u64,
        mut next: Offset,
        bodies: bool,
    ) -> Result<Self, StoreError> {
        let mut scan = Self {
            frames: Vec::new(),
            damaged: Vec::new(),
            good: position,
            length: file.length()?,
        };
        loop {
            let found = file.info(position, scan.length)?;
            let whole = match &found {
                At::Good(found) if bodies => file.is_whole(found)?,
                _ => true,
            };
            match found {
                At::End => return Ok(scan),
                At::Good(found) if whole && found.header.offset >= next => {
                    if found.header.offset > next {
                        scan.damaged.push(next..found.header.offset);
                    }
                    next = found.header.end();
                    position += found.header.length();
                    scan.good = position;
                    scan.frames.push(found);
                }
                _ => match file.search(position + 1, scan.length, next)? {
                    Some(further) => position = further,
                    None => return Ok(scan),
                },
            }
        }
    }
}
