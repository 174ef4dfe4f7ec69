//! Any bytes as a segment of the event log: opening, reading, searching and mending never panic, blocks come in order and do
//! not overlap, and what was read before the log was mended is read afterwards too.
//!
//! Checksums would keep random bytes from getting far. So the bytes are taken as pieces, some of which become frames whose
//! checksums are right and whose contents are not.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use neph_event::Instant;
use neph_store::{Batch, Block, EventLog, Limits, Records, StoreError};

const RIGHT_BLOCKS: u8 = 1;
const RIGHT_SPAN: u8 = 2;
const RIGHT_BODY: u8 = 4;
const COMPRESSED: u8 = 8;
const FRAME: u8 = 16;
const CUT: u8 = 32;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("00000000000000000000.log"), segment(bytes)).expect("a file");

    let before = read(&EventLog::open_read_only(folder.path()).expect("it opens"));
    let limits = Limits {
        min_free_bytes: 0,
        ..Limits::default()
    };
    let (log, recovery) = EventLog::open(folder.path(), &limits, 0).expect("it is mended");
    let after = read(&log);
    // A reader stops where a frame may still be written; behind damage there may be more.
    assert!(after.starts_with(&before), "{recovery:?}");
    let everything = Instant::from_millis(i64::MIN)..Instant::from_millis(i64::MAX);
    let found: Vec<Block> = log.blocks_between(everything, None).filter_map(Result::ok).collect();
    assert_eq!(found, after);
    log.counts(0..log.end()).expect("it counts");

    let mut records = Records::default();
    records.push(b"next");
    let batch = Batch {
        stream: "fuzz".into(),
        received: Instant::from_millis(0),
        records,
    };
    let end = log.end();
    if end < u64::MAX / 2 {
        assert_eq!(log.append(batch).expect("it goes on"), end);
        assert_eq!(read(&log).len(), after.len() + 1);
    }
});

fn read(log: &EventLog) -> Vec<Block> {
    let mut blocks = log.blocks(0);
    let mut found: Vec<Block> = Vec::new();
    let mut end = 0;
    for block in blocks.by_ref() {
        match block {
            Ok(block) => {
                assert!(block.offset >= end, "blocks overlap");
                end = block.end();
                assert_eq!(block.records.iter().map(<[u8]>::len).sum::<usize>(), block.records.bytes.len());
                found.push(block);
            }
            Err(StoreError::Gap { from, to, .. }) => {
                assert!(from < to && to > end, "a gap that is none");
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(!blocks.wait(Duration::ZERO));
    found
}

fn segment(mut bytes: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut offset = 0_u64;
    while let Some((&[flags, first, second], rest)) = bytes.split_first_chunk::<3>() {
        bytes = rest;
        let mut take = |length: u8| {
            let (piece, rest) = bytes.split_at(usize::from(length).min(bytes.len()));
            bytes = rest;
            piece.to_vec()
        };
        let (directory, content) = (take(first), take(second));
        if flags & FRAME == 0 {
            file.extend_from_slice(&directory);
            continue;
        }
        let body = match flags & COMPRESSED {
            0 => content.clone(),
            _ => zstd::bulk::compress(&content, 1).expect("it compresses"),
        };
        let length = if flags & RIGHT_BODY == 0 { u32::from(second) * 7 } else { content.len() as u32 };
        let blocks = if flags & RIGHT_BLOCKS == 0 { u32::from(first) } else { 1 };
        let span = match flags & RIGHT_SPAN {
            0 => u64::from(second) << (first % 64),
            _ => last_number(&directory).max(1),
        };
        let mut header = b"NPF1".to_vec();
        for number in [directory.len() as u32, body.len() as u32, length, blocks] {
            header.extend_from_slice(&number.to_le_bytes());
        }
        header.extend_from_slice(&offset.to_le_bytes());
        header.extend_from_slice(&span.to_le_bytes());
        header.extend_from_slice(&crc32fast::hash(&directory).to_le_bytes());
        header.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
        header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
        let frame = [header, directory, body].concat();
        let kept = if flags & CUT == 0 { frame.len() } else { usize::from(first).min(frame.len()) };
        file.extend_from_slice(&frame[..kept]);
        offset = offset.saturating_add(span);
    }
    file
}

/// The number at the end of a directory: how many bytes of records its last block has.
fn last_number(directory: &[u8]) -> u64 {
    directory.last_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes).into())
}
