//! One frame: blocks that became durable together.
//!
//! ```text
//! header, 48 bytes, little endian
//!    0  magic "NPF1"
//!    4  length of the directory          8  length of the compressed body
//!   12  length of the body              16  number of blocks
//!   20  offset of the first block       28  offsets that the blocks span
//!   36  CRC-32 of the directory         40  CRC-32 of the compressed body
//!   44  CRC-32 of the 44 bytes before
//! directory
//!    number of streams; each: length, bytes
//!    blocks; each: number of the stream, received (seconds, nanoseconds), number of records, bytes of records
//! body, zstd
//!    the bytes of all records, then the length of each record as LEB128
//! ```
//!
//! The directory is not compressed, so that an index can be made without reading bodies.

use std::sync::Arc;

use neph_event::Instant;

use super::{Block, Offset, Records};

pub(super) const HEADER: usize = 48;
pub(super) const MAGIC: [u8; 4] = *b"NPF1";
/// Bytes of records that one batch may have.
pub(super) const MAX_BATCH: usize = 64 << 20;
/// Bytes of a stream's name that are kept.
pub(super) const MAX_STREAM: usize = 1024;
/// Blocks that one frame holds at most.
pub(super) const MAX_BLOCKS: usize = 1024;
/// The largest directory: all streams different, all names as long as may be.
const MAX_DIRECTORY: usize = 4 + MAX_BLOCKS * (MAX_STREAM + 2 + 24);
/// The largest body: as many records as bytes (an empty record takes its length alone, so there may be more; they are refused
/// when they are appended).
const MAX_BODY: usize = 2 * MAX_BATCH;
const LEVEL: i32 = 1;

/// What a block is, apart from its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BlockInfo {
    pub(super) stream: Arc<str>,
    pub(super) received: Instant,
    pub(super) records: u32,
    pub(super) bytes: u32,
}

impl BlockInfo {
    /// Offsets that the block takes.
    pub(super) fn span(&self) -> u64 {
        u64::from(self.bytes).max(1)
    }
}

/// A header whose checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) directory: u32,
    pub(super) packed: u32,
    pub(super) body: u32,
    pub(super) blocks: u32,
    pub(super) offset: Offset,
    pub(super) span: u64,
    pub(super) directory_sum: u32,
    pub(super) packed_sum: u32,
}

impl Header {
    pub(super) fn parse(bytes: &[u8; HEADER]) -> Option<Self> {
        let mut rest = Reader { bytes };
        let magic = rest.array::<4>()?;
        let header = Self {
            directory: rest.u32()?,
            packed: rest.u32()?,
            body: rest.u32()?,
            blocks: rest.u32()?,
            offset: rest.u64()?,
            span: rest.u64()?,
            directory_sum: rest.u32()?,
            packed_sum: rest.u32()?,
        };
        let (summed, _) = bytes.split_last_chunk::<4>()?;
        let good = magic == MAGIC
            && rest.u32()? == crc32fast::hash(summed)
            && header.directory as usize <= MAX_DIRECTORY
            && header.body as usize <= MAX_BODY
            && header.packed as usize <= MAX_BODY
            && header.offset.checked_add(header.span).is_some();
        good.then_some(header)
    }

    fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER);
        bytes.extend_from_slice(&MAGIC);
        for number in [self.directory, self.packed, self.body, self.blocks] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.offset, self.span] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.directory_sum, self.packed_sum] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let sum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The offset behind the frame.
    pub(super) fn end(&self) -> Offset {
        self.offset.saturating_add(self.span)
    }

    /// Bytes on disk, header included.
    pub(super) fn length(&self) -> u64 {
        HEADER as u64 + u64::from(self.directory) + u64::from(self.packed)
    }

    /// The blocks of a directory, if it is whole and says what the header says.
    pub(super) fn directory(&self, bytes: &[u8]) -> Option<Vec<BlockInfo>> {
        if bytes.len() != self.directory as usize || crc32fast::hash(bytes) != self.directory_sum {
            return None;
        }
        let mut rest = Reader { bytes };
        let mut streams: Vec<Arc<str>> = Vec::new();
        for _ in 0..rest.u16()? {
            let length = rest.u16()?;
            let name = rest.take(length.into())?;
            streams.push(std::str::from_utf8(name).ok()?.into());
        }
        let mut blocks = Vec::new();
        let mut span = 0_u64;
        for _ in 0..self.blocks {
            let stream = streams.get(usize::from(rest.u16()?))?.clone();
            let seconds = i64::from_le_bytes(rest.array()?);
            let nanos = rest.u32()?;
            let block = BlockInfo {
                stream,
                received: Instant { seconds, nanos },
                records: rest.u32()?,
                bytes: rest.u32()?,
            };
            span = span.checked_add(block.span())?;
            blocks.push(block);
        }
        (rest.bytes.is_empty() && span == self.span).then_some(blocks)
    }

    /// Is it the compressed body that the header was written for.
    pub(super) fn is_body(&self, packed: &[u8]) -> bool {
        packed.len() == self.packed as usize && crc32fast::hash(packed) == self.packed_sum
    }

    /// The blocks with their records, if the body is whole.
    pub(super) fn read_blocks(&self, infos: Vec<BlockInfo>, packed: &[u8]) -> Option<Vec<Block>> {
        if !self.is_body(packed) {
            return None;
        }
        let mut body = zstd::bulk::decompress(packed, self.body as usize).ok()?;
        let total: usize = infos.iter().map(|info| info.bytes as usize).sum();
        if body.len() != self.body as usize || total > body.len() {
            return None;
        }
        let lengths = body.split_off(total);
        let mut lengths = Reader { bytes: &lengths };
        let mut blocks = Vec::with_capacity(infos.len());
        let mut offset = self.offset;
        let mut used = 0;
        let single = infos.len() == 1;
        for info in infos {
            let mut ends = Vec::new();
            let mut end = 0_u32;
            for _ in 0..info.records {
                end = end.checked_add(lengths.varint()?)?;
                ends.push(end);
            }
            // A block of one record less could hide bytes.
            if end != info.bytes {
                return None;
            }
            let bytes = match single {
                true => std::mem::take(&mut body),
                false => body.get(used..used + info.bytes as usize)?.to_vec(),
            };
            used += info.bytes as usize;
            let span = info.span();
            blocks.push(Block {
                offset,
                stream: info.stream,
                received: info.received,
                records: Records { bytes, ends },
            });
            offset = offset.checked_add(span)?;
        }
        lengths.bytes.is_empty().then_some(blocks)
    }
}

/// The compressed part of a frame, which does not depend on where the frame will stand.
pub(super) struct Packed {
    /// What is in it, also uncompressed, for whoever follows the log.
    pub(super) blocks: Vec<(BlockInfo, Records)>,
    body: u32,
    packed: Vec<u8>,
}

impl Packed {
    /// Compresses blocks that go into one frame.
    pub(super) fn new(
        mut blocks: Vec<(BlockInfo, Records)>,
        compressor: &mut Compressor,
    ) -> std::io::Result<Self> {
        let mut lengths = Vec::new();
        for (_, records) in &blocks {
            let mut start = 0;
            for end in &records.ends {
                write_varint(end.saturating_sub(start), &mut lengths);
                start = *end;
            }
        }
        let mut body = match blocks.as_mut_slice() {
            [(_, only)] => std::mem::take(&mut only.bytes),
            several => {
                let total = several
                    .iter()
                    .map(|(_, records)| records.bytes.len())
                    .sum::<usize>();
                let mut body = Vec::with_capacity(total + lengths.len());
                for (_, records) in several {
                    body.extend_from_slice(&records.bytes);
                }
                body
            }
        };
        body.extend_from_slice(&lengths);
        let packed = compressor.compress(&body)?;
        let length = u32::try_from(body.len()).map_err(|_| std::io::ErrorKind::InvalidInput)?;
        if let [(_, only)] = blocks.as_mut_slice() {
            body.truncate(body.len() - lengths.len());
            only.bytes = body;
        }
        Ok(Self {
            blocks,
            body: length,
            packed,
        })
    }

    /// Writes the frame as it stands at an offset; gives its header.
    pub(super) fn write(&self, offset: Offset, out: &mut Vec<u8>) -> Header {
        let directory = write_directory(&self.blocks);
        let header = Header {
            directory: directory.len() as u32,
            packed: self.packed.len() as u32,
            body: self.body,
            blocks: self.blocks.len() as u32,
            offset,
            span: self.span(),
            directory_sum: crc32fast::hash(&directory),
            packed_sum: crc32fast::hash(&self.packed),
        };
        out.extend_from_slice(&header.write());
        out.extend_from_slice(&directory);
        out.extend_from_slice(&self.packed);
        header
    }

    /// Offsets that the blocks take.
    pub(super) fn span(&self) -> u64 {
        self.blocks.iter().map(|(info, _)| info.span()).sum()
    }

    /// About how many bytes on disk it takes.
    pub(super) fn length(&self) -> usize {
        HEADER + self.blocks.len() * 32 + self.packed.len()
    }
}

/// A compressor as frames use it, with the memory that it writes to.
pub(super) struct Compressor {
    zstd: zstd::bulk::Compressor<'static>,
    out: Vec<u8>,
}

impl Compressor {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            zstd: zstd::bulk::Compressor::new(LEVEL)?,
            out: Vec::new(),
        })
    }

    /// What is compressed, in memory of just that length.
    fn compress(&mut self, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        self.out.clear();
        self.out.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
        self.zstd.compress_to_buffer(bytes, &mut self.out)?;
        let packed = self.out.clone();
        // What one large batch needed is not held for ever.
        self.out.shrink_to(MOST_KEPT);
        Ok(packed)
    }
}

/// Bytes that a compressor keeps to write to.
const MOST_KEPT: usize = 2 << 20;

/// Bytes that the lengths of records take in a body.
pub(super) fn lengths_size(records: &Records) -> usize {
    records.ends.len() * 5
}

fn write_directory(blocks: &[(BlockInfo, Records)]) -> Vec<u8> {
    let mut streams: Vec<&str> = blocks.iter().map(|(info, _)| &*info.stream).collect();
    streams.sort_unstable();
    streams.dedup();
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&(streams.len() as u16).to_le_bytes());
    for stream in &streams {
        bytes.extend_from_slice(&(stream.len() as u16).to_le_bytes());
        bytes.extend_from_slice(stream.as_bytes());
    }
    for (info, _) in blocks {
        let number = streams.binary_search(&&*info.stream).unwrap_or(0) as u16;
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes.extend_from_slice(&info.received.seconds.to_le_bytes());
        bytes.extend_from_slice(&info.received.nanos.to_le_bytes());
        bytes.extend_from_slice(&info.records.to_le_bytes());
        bytes.extend_from_slice(&info.bytes.to_le_bytes());
    }
    bytes
}

fn write_varint(mut number: u32, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Numbers from the front of bytes; `None` where they end too soon.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn varint(&mut self) -> Option<u32> {
        let mut number = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(number).ok();
            }
        }
        None
    }
}
