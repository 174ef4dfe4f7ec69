//! Layers read from streams into lists of their entries.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::compression::{Budget, decompress};
use crate::digest::{Digest, Hasher, Hashing};
use crate::entries::{Oddity, Type, Walk};
use crate::files::LayerEntries;
use crate::limits::{ImageError, Limits};
use crate::roles::Severity;
use crate::signs::Detector;

/// Bytes of content that are looked at at once.
const PIECE: usize = 128 << 10;

/// What is counted over all layers of an image.
pub(crate) struct Shared<'l> {
    pub(crate) limits: &'l Limits,
    budget: Budget,
    entries: AtomicU64,
}

impl<'l> Shared<'l> {
    pub(crate) fn new(limits: &'l Limits) -> Self {
        Self {
            limits,
            budget: Budget::new(*limits),
            entries: AtomicU64::new(0),
        }
    }
}

/// A layer that was read to its end.
#[derive(Debug)]
pub(crate) struct ReadLayer {
    pub(crate) content: LayerEntries,
    /// Digest and size of the blob as it is stored.
    pub(crate) blob: Digest,
    pub(crate) size: u64,
    /// Digest and size of the archive.
    pub(crate) diff_id: Digest,
    pub(crate) uncompressed: u64,
}

/// Reads a layer. `said` and `said_diff` are the digests that the blob and the archive in it should have, if they are known; they say
/// which kinds of digests are made.
pub(crate) fn read_layer(
    name: &str,
    mut blob: Box<dyn Read + Send + '_>,
    said: Option<&Digest>,
    said_diff: Option<&Digest>,
    shared: &Shared<'_>,
) -> Result<ReadLayer, ImageError> {
    let mut stored = Hashing::new(&mut blob, Hasher::like(said));
    let (content, diff_id, uncompressed) = {
        let (_, archive) = decompress(&mut stored, &shared.budget).map_err(ImageError::read(name))?;
        let mut archive = Hashing::new(archive, Hasher::like(said_diff));
        let content = read_entries(name, &mut archive, shared)?;
        // Decompression ends where its data end; what is behind them is part of the blob all the same.
        let (diff_id, uncompressed) = archive.finish();
        (content, diff_id, uncompressed)
    };
    io::copy(&mut stored, &mut io::sink()).map_err(ImageError::read(name))?;
    let (blob, size) = stored.finish();
    Ok(ReadLayer {
        content,
        blob,
        size,
        diff_id,
        uncompressed,
    })
}

fn read_entries(
    name: &str,
    archive: &mut impl Read,
    shared: &Shared<'_>,
) -> Result<LayerEntries, ImageError> {
    let mut content = LayerEntries::default();
    let mut walk = Walk::new(archive, shared.limits, name);
    let mut buffer = vec![0_u8; PIECE];
    walk.each(|mut entry, reader| {
        let before = shared.entries.fetch_add(1, Ordering::Relaxed);
        if before >= shared.limits.entries {
            return Err(ImageError::Refused(format!(
                "{name}: the image has more than {} entries (`--max-entries` lifts the limit)",
                shared.limits.entries
            )));
        }
        while entry.path.ends_with(b"/") {
            entry.path.pop();
        }
        if entry
            .path
            .split(|byte| *byte == b'/')
            .any(|part| part.len() > 255)
        {
            content.oddities.push(Oddity {
                path: entry.path.iter().take(300).copied().collect(),
                what: "the entry was left out: no file system holds so long a name".to_owned(),
                severity: Severity::Medium,
            });
            return Ok(());
        }
        if entry.kind != Type::File {
            content.entries.push((entry, None, Default::default()));
            return Ok(());
        }
        let mut hasher = Hasher::like(None);
        let mut detector = Detector::new(entry.path.strip_prefix(b"./").unwrap_or(&entry.path));
        let mut left = entry.size;
        while left > 0 {
            let count = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ImageError::read(name)(error)),
            };
            let piece = buffer.get(..count).unwrap_or_default();
            hasher.update(piece);
            detector.feed(piece);
            left -= count as u64;
        }
        content
            .entries
            .push((entry, Some(hasher.finish_sha256()), detector.finish()));
        Ok(())
    })?;
    content.oddities.append(&mut walk.oddities);
    Ok(content)
}
