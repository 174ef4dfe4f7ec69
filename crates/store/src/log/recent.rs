//! Blocks that were just written, kept for whoever follows the log, so that they need not be read and decompressed.

use std::collections::VecDeque;

use super::frame::BlockInfo;
use super::{Block, Offset, Records};

/// Bytes of blocks that are kept at most.
const MOST: usize = 32 << 20;

/// Frames in the order of their offsets, maybe with others between them that are read from the file.
///
/// What does not fit is left out, rather than what came first: a reader that has fallen behind comes to the oldest of them
/// first. Whoever follows the log takes them along; to all others they are in the file.
#[derive(Default)]
pub(super) struct Recent {
    frames: VecDeque<Frame>,
    bytes: usize,
}

struct Frame {
    blocks: Vec<Block>,
    bytes: usize,
    offset: Offset,
    end: Offset,
}

impl Recent {
    pub(super) fn add(&mut self, mut offset: Offset, blocks: Vec<(BlockInfo, Records)>) {
        let sizes = blocks.iter().map(|(_, records)| size(records));
        let bytes = sizes.sum::<usize>();
        if self.bytes + bytes > MOST {
            return;
        }
        let begin = offset;
        let blocks = blocks.into_iter().map(|(info, records)| {
            let block = Block {
                offset,
                stream: info.stream,
                received: info.received,
                records,
            };
            offset = block.end();
            block
        });
        let blocks: Vec<Block> = blocks.collect();
        self.bytes += bytes;
        self.frames.push_back(Frame {
            blocks,
            bytes,
            offset: begin,
            end: offset,
        });
    }

    /// The blocks of the frame that begins at an offset, and where it ends, if they are here. Those before are let go.
    pub(super) fn take(&mut self, offset: Offset) -> Option<(Vec<Block>, Offset)> {
        while let Some(passed) = self.frames.pop_front_if(|frame| frame.end <= offset) {
            self.bytes = self.bytes.saturating_sub(passed.bytes);
        }
        let frame = self.frames.pop_front_if(|frame| frame.offset == offset)?;
        self.bytes = self.bytes.saturating_sub(frame.bytes);
        Some((frame.blocks, frame.end))
    }
}

fn size(records: &Records) -> usize {
    records.bytes.capacity() + records.ends.capacity() * size_of::<u32>()
}
