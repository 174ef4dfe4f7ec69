//! Opening an input: from a file, an archive's entry, an object or standard input to decompressed bytes.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use encoding_rs_io::DecodeReaderBytes;
use rawzip::{CompressionMethod, FileReader, RangeReader, ZipArchive, ZipVerification};

use super::ProblemKind;
use super::event_log::{self, EventExport, EventLog};
use super::follow::{Followed, Known};
use super::framer::read_some;
#[cfg(feature = "object-store")]
use super::objects::Object;
use super::problem::Refusal;

/// Bytes read ahead to tell what a stream holds.
const HEAD: usize = 64 << 10;

/// Bytes read at once from compressed files.
const COMPRESSED_READ: usize = 128 << 10;

/// Compression within compression deeper than this is refused.
const DEEPEST: usize = 4;

/// Most memory that one xz stream may ask for, in KiB; `xz -9` asks for 64 MiB.
const XZ_MEMORY_KIB: u32 = 128 << 10;

/// Most bytes of an archive that must be laid down in a temporary file to be read.
const LARGEST_SPOOL: u64 = 16 << 30;

/// Where an input's bytes come from.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
    /// An entry of a zip archive.
    Entry(Arc<Entry>),
    /// An object of cloud storage.
    #[cfg(feature = "object-store")]
    Object(Arc<Object>),
}

impl Place {
    /// Bytes as they are stored, if that is known.
    pub(crate) fn size(&self) -> Option<u64> {
        match self {
            Self::File(path) => path
                .metadata()
                .ok()
                .filter(std::fs::Metadata::is_file)
                .map(|file| file.len()),
            #[cfg(feature = "object-store")]
            Self::Object(object) => Some(object.size()),
            Self::Stdin | Self::Entry(_) => None,
        }
    }

    /// Begins to fetch what will be opened soon, where that takes a while.
    pub(crate) fn prepare(&self) {
        #[cfg(feature = "object-store")]
        if let Self::Object(object) = self {
            object.prepare();
        }
    }
}

/// An entry of a zip archive, found by its central directory.
#[derive(Debug)]
pub(crate) struct Entry {
    archive: Arc<FileReader>,
    /// First byte and byte after the last of the compressed data.
    range: (u64, u64),
    method: CompressionMethod,
    expected: ZipVerification,
    /// How many layers of compression lie around the entry.
    layers: usize,
}

/// The beginning of a stream, and the rest of it.
pub(crate) struct Peeked {
    pub(crate) head: Vec<u8>,
    pub(crate) rest: Box<dyn Read + Send>,
    /// The head is all there is.
    pub(crate) ended: bool,
}

/// An entry's name, and where its bytes are or why it cannot be read.
pub(crate) type Listed = (String, Result<Place, Refusal>);

/// An opened input.
pub(crate) enum Opened {
    /// Decompressed bytes, and what keeping them open costs, in units of about a mebibyte.
    Stream(Peeked, usize),
    /// An archive's entries, with their names.
    Archive(Vec<Listed>),
}

/// How to open.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    /// Take what the first read gives instead of waiting for more.
    pub(crate) live: bool,
    /// Counts the bytes read from files and standard input, still compressed.
    pub(crate) stored_bytes: Arc<AtomicU64>,
    /// Where to note what is read of a file that is followed.
    pub(crate) known: Option<Known>,
}

/// Opens a place and takes compression off, layer by layer.
pub(crate) fn open(place: &Place, opening: &Opening) -> Result<Opened, Refusal> {
    let explained = |error: io::Error| explain(&error);
    let (mut stream, mut layers): (Box<dyn Read + Send>, usize) = match place {
        Place::Stdin => (counted(io::stdin(), opening), 0),
        Place::File(path) => {
            let file = File::open(path).map_err(explained)?;
            match &opening.known {
                Some(known) => (counted(Followed::new(file, known.clone()), opening), 0),
                None => (counted(file, opening), 0),
            }
        }
        Place::Entry(entry) => (entry.open(opening)?, entry.layers),
        #[cfg(feature = "object-store")]
        Place::Object(object) => (counted(object.reader(), opening), 0),
    };
    let mut cost = match place {
        #[cfg(feature = "object-store")]
        Place::Object(object) => object.cost(),
        _ => 0,
    };
    loop {
        let peeked = peek(stream, opening.live).map_err(explained)?;
        let Some(compression) = Compression::of(&peeked.head) else {
            return Ok(Opened::Stream(peeked, cost.max(1)));
        };
        layers += 1;
        if layers > DEEPEST {
            return Err((
                ProblemKind::Unsupported,
                format!("compressed more than {DEEPEST} times over"),
            ));
        }
        cost += compression.cost();
        let compressed = Cursor::new(peeked.head).chain(peeked.rest);
        stream = match compression {
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(
                COMPRESSED_READ,
                compressed,
            ))),
            Compression::Zstd => Box::new(zstd::Decoder::new(compressed).map_err(explained)?),
            Compression::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(
                BufReader::with_capacity(COMPRESSED_READ, compressed),
                true,
                XZ_MEMORY_KIB,
            )),
            // What stands for no character becomes U+FFFD; nothing else is lost.
            Compression::Utf16 => Box::new(DecodeReaderBytes::new(compressed)),
            Compression::EventLog => Box::new(EventLog::new(compressed)),
            Compression::EventExport => Box::new(EventExport::new(compressed)),
            Compression::Zip => {
                let archive = match place {
                    Place::File(path) if layers == 1 && is_regular(path) => {
                        File::open(path).map_err(explained)?
                    }
                    _ => spool(compressed)?,
                };
                return entries(archive, layers).map(Opened::Archive);
            }
        };
    }
}

/// Whether a file begins like a compressed one.
pub(crate) fn is_compressed(path: &Path) -> bool {
    let mut head = [0; 6];
    let read = File::open(path)
        .and_then(|mut file| file.read(&mut head))
        .unwrap_or(0);
    Compression::of(head.get(..read).unwrap_or_default()).is_some()
}

/// Whether a path leads to a plain file, which can be opened again and read at random.
pub(crate) fn is_regular(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file())
}

/// Says what an error while reading means for the input.
pub(crate) fn explain(error: &io::Error) -> Refusal {
    #[cfg(feature = "object-store")]
    if let Some(refusal) = super::objects::unfetched(error) {
        return refusal;
    }
    match error.kind() {
        io::ErrorKind::NotFound => (ProblemKind::Missing, "no such file".to_owned()),
        io::ErrorKind::UnexpectedEof => (
            ProblemKind::CutShort,
            "the compressed data ends early; a record that it cuts is lost".to_owned(),
        ),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => (
            ProblemKind::Corrupt,
            format!("the compressed data is corrupt: {error}"),
        ),
        // Errors of the operating system have a number, those of decoders have none.
        _ if error.raw_os_error().is_none() => (
            ProblemKind::Corrupt,
            format!("the compressed data is corrupt: {error}"),
        ),
        _ => (ProblemKind::Unreadable, format!("cannot be read: {error}")),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    Gzip,
    Zstd,
    Xz,
    Zip,
    /// No compression, but lines of UTF-8 all the same once it is read, as `>` of Windows PowerShell writes it.
    Utf16,
    EventLog,
    EventExport,
}

impl Compression {
    /// Tells a compression by the bytes it starts with.
    fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, 0x08, ..] => Some(Self::Gzip),
            // A frame, or a skippable frame before the first one (RFC 8878, 3.1).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0x00, ..] => Some(Self::Xz),
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Self::Zip),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some(Self::Utf16),
            _ if head.starts_with(event_log::BINARY) => Some(Self::EventLog),
            _ if event_log::is_export(head) => Some(Self::EventExport),
            _ => None,
        }
    }

    /// Memory of an open stream, in units of about a mebibyte.
    fn cost(self) -> usize {
        match self {
            Self::Gzip | Self::Zip | Self::Utf16 => 1,
            Self::EventLog | Self::EventExport => 2,
            Self::Zstd => 4,
            Self::Xz => 16,
        }
    }
}

struct Counted<R> {
    inner: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

fn counted(inner: impl Read + Send + 'static, opening: &Opening) -> Box<dyn Read + Send> {
    Box::new(Counted {
        inner,
        bytes: Arc::clone(&opening.stored_bytes),
    })
}

/// A stream that failed while its beginning was looked at, and says so again when it is read on.
struct Failed(Option<io::Error>);

impl Read for Failed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Reads the beginning of a stream. An error after the first byte is kept for the reader of the rest.
fn peek(mut stream: Box<dyn Read + Send>, live: bool) -> io::Result<Peeked> {
    let mut head = vec![0; HEAD];
    let mut filled = 0;
    while filled < HEAD {
        match read_some(&mut *stream, head.get_mut(filled..).unwrap_or_default()) {
            Ok(0) => {
                head.truncate(filled);
                return Ok(Peeked {
                    head,
                    rest: stream,
                    ended: true,
                });
            }
            Ok(read) => filled += read,
            Err(error) if filled == 0 => return Err(error),
            Err(error) => {
                head.truncate(filled);
                return Ok(Peeked {
                    head,
                    rest: Box::new(Failed(Some(error))),
                    ended: false,
                });
            }
        }
        if live && memchr::memchr(b'\n', head.get(..filled).unwrap_or_default()).is_some() {
            break;
        }
    }
    head.truncate(filled);
    Ok(Peeked {
        head,
        rest: stream,
        ended: false,
    })
}

/// Lays an archive down in a temporary file that has no name, since its directory stands at the end.
fn spool(archive: impl Read) -> Result<File, Refusal> {
    let cannot = |error: io::Error| {
        (
            ProblemKind::Unreadable,
            format!("cannot be laid down to be read: {error}"),
        )
    };
    let mut file = tempfile::tempfile().map_err(cannot)?;
    let mut limited = archive.take(LARGEST_SPOOL);
    let mut buffer = vec![0; COMPRESSED_READ];
    loop {
        let read = read_some(&mut limited, &mut buffer).map_err(|error| explain(&error))?;
        if read == 0 {
            break;
        }
        io::Write::write_all(&mut file, buffer.get(..read).unwrap_or_default()).map_err(cannot)?;
    }
    if limited.limit() == 0 {
        let message = format!("an archive within a stream of more than {LARGEST_SPOOL} bytes");
        return Err((ProblemKind::Unsupported, message));
    }
    Ok(file)
}

/// The entries of a zip archive, in the order of their names.
fn entries(file: File, layers: usize) -> Result<Vec<Listed>, Refusal> {
    let unread = |error: rawzip::Error| match error.kind() {
        rawzip::ErrorKind::MissingEndOfCentralDirectory => (
            ProblemKind::CutShort,
            "the zip archive ends before its directory".to_owned(),
        ),
        _ => (
            ProblemKind::Corrupt,
            format!("the zip archive is corrupt: {error}"),
        ),
    };
    let mut buffer = vec![0; rawzip::RECOMMENDED_BUFFER_SIZE];
    let located = ZipArchive::from_file(file, &mut buffer).map_err(unread)?;
    let mut found = Vec::new();
    let mut records = located.entries(&mut buffer);
    while let Some(record) = records.next_entry().map_err(unread)? {
        if record.is_dir() {
            continue;
        }
        let name = String::from_utf8_lossy(record.file_path().as_bytes()).into_owned();
        found.push((
            name,
            record.wayfinder(),
            record.compression_method(),
            record.flags().is_encrypted(),
        ));
    }
    let mut places = Vec::with_capacity(found.len());
    let mut located_entries = Vec::with_capacity(found.len());
    for (name, wayfinder, method, encrypted) in found {
        let entry = located
            .get_entry(wayfinder)
            .map(|entry| (entry.compressed_data_range(), entry.reader().claim_verifier()))
            .map_err(unread);
        located_entries.push((name, entry, method, encrypted));
    }
    let archive = Arc::new(located.into_inner());
    for (name, entry, method, encrypted) in located_entries {
        let place = match entry {
            _ if encrypted => Err((
                ProblemKind::Unsupported,
                "the archive's entry is encrypted".to_owned(),
            )),
            Ok((range, expected)) => Ok(Place::Entry(Arc::new(Entry {
                archive: Arc::clone(&archive),
                range,
                method,
                expected,
                layers,
            }))),
            Err(problem) => Err(problem),
        };
        places.push((name, place));
    }
    places.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(places)
}

impl Entry {
    fn open(&self, opening: &Opening) -> Result<Box<dyn Read + Send>, Refusal> {
        let (start, end) = self.range;
        let section = RangeReader::new(Arc::clone(&self.archive), start..end);
        // An archive within another file was counted when that was read.
        let counting = if self.layers == 1 {
            opening.clone()
        } else {
            Opening {
                stored_bytes: Arc::default(),
                ..opening.clone()
            }
        };
        let stored = BufReader::with_capacity(COMPRESSED_READ, counted(section, &counting));
        let stream: Box<dyn Read + Send> = match self.method {
            CompressionMethod::STORE => Box::new(stored),
            CompressionMethod::DEFLATE => Box::new(flate2::bufread::DeflateDecoder::new(stored)),
            CompressionMethod::ZSTD => {
                Box::new(zstd::Decoder::with_buffer(stored).map_err(|error| explain(&error))?)
            }
            CompressionMethod::XZ => {
                Box::new(lzma_rust2::XzReader::new_mem_limit(stored, true, XZ_MEMORY_KIB))
            }
            other => {
                let message = format!(
                    "the archive's entry is compressed by method {}, which is not read",
                    other.as_u16()
                );
                return Err((ProblemKind::Unsupported, message));
            }
        };
        Ok(Box::new(Verified {
            inner: stream,
            expected: self.expected,
            crc: flate2::Crc::new(),
            size: 0,
        }))
    }
}

/// Compares checksum and size of an archive's entry with what the directory claims, at its end.
struct Verified {
    inner: Box<dyn Read + Send>,
    expected: ZipVerification,
    crc: flate2::Crc,
    size: u64,
}

impl Read for Verified {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            let found = ZipVerification {
                crc: self.crc.sum(),
                uncompressed_size: self.size,
            };
            if let Err(error) = self.expected.valid(found) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string()));
            }
        }
        self.crc.update(buffer.get(..read).unwrap_or_default());
        self.size += read as u64;
        Ok(read)
    }
}
