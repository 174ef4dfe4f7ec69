//! Memory stays bounded however large the input is. This test has a process of its own, whose memory it looks at.

use std::io::{self, Write};

use neph_runtime::input::{ReadOptions, Reader};
use neph_runtime::{RunOptions, parse};
use neph_testkit::generate::{EndpointOptions, endpoint};

/// Kibibytes of memory that this process holds now.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Sixty-four mebibytes as one array on one line, compressed: nothing of it may be held but the chunks under way.
#[test]
fn a_large_array_on_one_line_takes_no_more_than_its_chunks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("array.zst");
    let mut encoder = zstd::Encoder::new(std::fs::File::create(&path).unwrap(), 1).unwrap();
    encoder.write_all(b"{\"Records\":[").unwrap();
    let options = EndpointOptions {
        bytes: 64 << 20,
        ..EndpointOptions::default()
    };
    let mut wrapped = Commas { inner: &mut encoder };
    let generated = endpoint(&mut wrapped, &options).unwrap();
    encoder.write_all(b"{}]}").unwrap();
    encoder.finish().unwrap();

    let mut reader = Reader::new(&[path], ReadOptions::default()).unwrap();
    let before = resident();
    let mut greatest = 0;
    let summary = parse(
        &mut reader,
        &RunOptions {
            threads: 2,
            ..RunOptions::default()
        },
        &mut |_| {
            greatest = greatest.max(resident().unwrap_or(0));
        },
    );
    let summary = summary.unwrap();
    assert_eq!(summary.records, generated.events + 1);
    assert_eq!(summary.problems.total(), 0);
    if let Some(before) = before {
        let held = greatest.saturating_sub(before) >> 10;
        assert!(held < 40, "{held} MiB more than before");
    }
}

/// Puts a comma in the place of each line's end.
struct Commas<W> {
    inner: W,
}

impl<W: Write> Write for Commas<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let replaced: Vec<u8> = bytes
            .iter()
            .map(|byte| if *byte == b'\n' { b',' } else { *byte })
            .collect();
        self.inner.write_all(&replaced)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
