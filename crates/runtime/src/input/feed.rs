//! Records that something hands over as it sees them, such as a sensor, instead of being read from an input.

use std::sync::Arc;

use memchr::memchr_iter;
use neph_event::Instant;

use super::{Chunk, ChunkSource, Reader};

/// Appends records, one a line, to what it is given; waits for some, but no longer than people wait to be told something. `None` when no
/// more come; else the time up to which everything is there, which is where time goes on to although nothing happens.
pub type Hand = Box<dyn FnMut(&mut Vec<u8>) -> Option<Instant> + Send>;

/// The chunks of what is handed over.
struct Feed {
    name: Arc<str>,
    hand: Hand,
    /// A buffer to use again.
    lines: Vec<u8>,
    offset: u64,
    line: u64,
}

impl Reader {
    /// Reads, as a stream, the records that `hand` hands over. `name` is what they are said to come from.
    pub fn of_feed(name: &str, hand: Hand) -> Self {
        let feed = Feed {
            name: name.into(),
            hand,
            lines: Vec::new(),
            offset: 0,
            line: 1,
        };
        Self::of(Box::new(feed), true)
    }
}

impl ChunkSource for Feed {
    fn next_chunk(&mut self, chunk: &mut Chunk) -> bool {
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear();
        let Some(until) = (self.hand)(&mut lines) else {
            return false;
        };
        if lines.last().is_some_and(|last| *last != b'\n') {
            lines.push(b'\n');
        }
        let ends: Vec<u32> = memchr_iter(b'\n', &lines)
            .map(|end| u32::try_from(end + 1).unwrap_or(u32::MAX))
            .collect();
        let bytes = lines.len() as u64;
        let offset = self.offset;
        self.lines = chunk.take_block(&self.name, offset, lines, &ends);
        for span in &mut chunk.spans {
            // The break is no part of the record, nor of what its id is made of.
            span.end = span.end.saturating_sub(1);
            let before = ends.partition_point(|end| *end <= span.start);
            span.line = self.line + before as u64;
        }
        chunk.until = Some(until);
        self.line += ends.len() as u64;
        self.offset += bytes;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant { seconds, nanos: 0 }
    }

    #[test]
    fn lines_are_records_with_their_numbers_and_time_goes_on_without_any() {
        let mut handed = ["{\"a\":1}\n\n{\"b\":2}\n", "", "{\"c\":3}"].into_iter();
        let mut seconds = 0;
        let mut reader = Reader::of_feed(
            "sensor",
            Box::new(move |lines| {
                lines.extend_from_slice(handed.next()?.as_bytes());
                seconds += 1;
                Some(at(seconds))
            }),
        );
        let mut chunk = Chunk::default();
        let mut read = Vec::new();
        while reader.next_chunk(&mut chunk) {
            let records = chunk.records().map(|record| {
                let record = record.unwrap();
                let text = String::from_utf8_lossy(record.document).into_owned();
                (text, record.line, record.position)
            });
            read.push((records.collect::<Vec<_>>(), chunk.until));
        }
        let record = |text: &str, line, position| (text.to_owned(), line, position);
        assert_eq!(
            read,
            [
                (
                    vec![record("{\"a\":1}", 1, 0), record("{\"b\":2}", 3, 9)],
                    Some(at(1))
                ),
                (vec![], Some(at(2))),
                (vec![record("{\"c\":3}", 4, 17)], Some(at(3))),
            ]
        );
    }
}
