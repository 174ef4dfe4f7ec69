//! Layers are tar archives, compressed or not; which, is told by their first bytes, as media types are not always true.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::{Limits, Stop};

/// The largest window of zstd that is given memory: 128 MiB, what `zstd -19 --long` needs (RFC 8878, 3.1.1.1.2).
const WINDOW: u32 = 27;
/// Bytes that are read at once.
const PIECE: usize = 128 << 10;

/// How something is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
    /// Something else that is known, and that no runtime takes for layers.
    Other(&'static str),
}

impl Compression {
    pub(crate) fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame; zstd:chunked begins with none, but may.
            [first, 0x2a, 0x4d, 0x18, ..] if first & 0xf0 == 0x50 => Self::Zstd,
            [b'B', b'Z', b'h', ..] => Self::Other("bzip2"),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Self::Other("xz"),
            _ => Self::None,
        }
    }
}

/// Counts what passes.
pub(crate) struct Counting<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// What is left of the bytes that the layers of an image may have together.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    left: Arc<AtomicU64>,
    limits: Limits,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            left: Arc::new(AtomicU64::new(limits.total)),
            limits,
        }
    }
}

/// Stops when a layer becomes too large, or too large for what it is compressed.
struct Bounded<R> {
    inner: R,
    compressed: Arc<AtomicU64>,
    out: u64,
    budget: Budget,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        let more = count as u64;
        self.out += more;
        let limits = &self.budget.limits;
        let took = self
            .budget
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(more)
            });
        if took.is_err() {
            return Err(Stop::error(format!(
                "it has more than {} bytes when it is decompressed, the limit for an image (`--max-size` lifts it)",
                limits.total
            )));
        }
        let compressed = self.compressed.load(Ordering::Relaxed).max(1);
        if self.out > limits.free && self.out / compressed > limits.ratio {
            return Err(Stop::error(format!(
                "decompression makes it more than {} times larger, as a bomb does (`--max-ratio` lifts the limit)",
                limits.ratio
            )));
        }
        Ok(count)
    }
}

/// What is in a compressed stream, within limits.
pub(crate) fn decompress<'r>(
    reader: impl Read + Send + 'r,
    budget: &Budget,
) -> io::Result<(Compression, Box<dyn Read + Send + 'r>)> {
    let compressed = Arc::new(AtomicU64::new(0));
    let counting = Counting {
        inner: reader,
        count: Arc::clone(&compressed),
    };
    let mut buffered = BufReader::with_capacity(PIECE, counting);
    let kind = Compression::of(buffered.fill_buf()?);
    let inner: Box<dyn Read + Send + 'r> = match kind {
        Compression::None => Box::new(buffered),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered)?;
            decoder.window_log_max(WINDOW)?;
            Box::new(decoder)
        }
        Compression::Other(name) => {
            return Err(Stop::error(format!(
                "it is compressed with {name}, which no runtime takes for layers"
            )));
        }
    };
    let bounded = Bounded {
        inner,
        compressed,
        out: 0,
        budget: budget.clone(),
    };
    Ok((kind, Box::new(bounded)))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read_all(bytes: &[u8], limits: Limits) -> io::Result<usize> {
        let (_, mut reader) = decompress(bytes, &Budget::new(limits))?;
        let mut all = Vec::new();
        reader.read_to_end(&mut all)
    }

    #[test]
    fn bombs_are_stopped() {
        let limits = Limits {
            free: 1 << 20,
            total: 8 << 20,
            ..Limits::default()
        };
        let zeros = vec![0_u8; 4 << 20];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&zeros).unwrap();
        let gzip = gzip.finish().unwrap();
        let zstd = zstd::encode_all(&zeros[..], 3).unwrap();
        for bomb in [&gzip, &zstd] {
            let error = read_all(bomb, limits).unwrap_err().to_string();
            assert!(error.contains("times larger"), "{error}");
        }
        let lifted = Limits {
            ratio: u64::MAX,
            ..limits
        };
        assert_eq!(read_all(&zstd, lifted).unwrap(), zeros.len());
        let error = read_all(&vec![1; 9 << 20], limits).unwrap_err().to_string();
        assert!(error.contains("more than 8388608 bytes"), "{error}");
    }

    #[test]
    fn several_members_are_one_stream() {
        let member = |text: &[u8]| {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(text).unwrap();
            gzip.finish().unwrap()
        };
        let two = [member(b"one"), member(b"two")].concat();
        assert_eq!(read_all(&two, Limits::default()).unwrap(), 6);
    }
}
