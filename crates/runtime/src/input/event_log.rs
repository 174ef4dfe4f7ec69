//! Windows event logs, binary (`.evtx`) and as exported XML, as lines: a record a line.
//!
//! Binary: <https://learn.microsoft.com/windows/win32/wes/windows-event-log>, as the crate `evtx` reads it; the format is
//! in chunks that stand for themselves, so it streams and a damaged chunk costs no other. A record that cannot be read
//! becomes a line that says so, which is counted like any record that no source knows. XML: what `wevtutil`, Event Viewer
//! and PowerShell export, with or without a root element, on one line or many.

use std::io::{self, Read};
use std::sync::Arc;

use evtx::{EvtxChunkData, ParserSettings};
use memchr::memmem;

use super::framer::read_some;

/// What a binary log begins with.
pub(crate) const BINARY: &[u8] = b"ElfFile\0";

/// The header of the file, of which nothing is needed: chunks say themselves what they hold.
const HEADER_BYTES: usize = 4096;

const CHUNK_BYTES: usize = 64 << 10;
const CHUNK_MARK: &[u8] = b"ElfChnk\0";

/// A binary log as JSON, a record a line.
pub(crate) struct EventLog<R> {
    stream: R,
    settings: Arc<ParserSettings>,
    lines: Lines,
    header_read: bool,
    ended: bool,
    /// Whether the end came in the middle of a chunk.
    is_cut: bool,
}

/// Bytes that are ready to be read.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    taken: usize,
}

impl Lines {
    fn add(&mut self, line: &[u8]) {
        let clean = line.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte });
        self.bytes.extend(clean);
        self.bytes.push(b'\n');
    }

    /// Gives bytes that are ready, if there are any.
    fn give(&mut self, buffer: &mut [u8]) -> usize {
        let ready = self.bytes.get(self.taken..).unwrap_or_default();
        let count = ready.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), ready.get(..count)) {
            to.copy_from_slice(from);
        }
        self.taken += count;
        if self.taken >= self.bytes.len() {
            self.bytes.clear();
            self.taken = 0;
        }
        count
    }
}

impl<R: Read> EventLog<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self {
            stream,
            settings: Arc::new(ParserSettings::new().indent(false)),
            lines: Lines::default(),
            header_read: false,
            ended: false,
            is_cut: false,
        }
    }

    /// Reads the next chunk of the file.
    fn next(&mut self) -> io::Result<()> {
        if !self.header_read {
            self.header_read = true;
            let header = self.bytes(HEADER_BYTES)?;
            if header.len() < HEADER_BYTES {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let chunk = self.bytes(CHUNK_BYTES)?;
        let whole = chunk.len() == CHUNK_BYTES;
        if chunk.starts_with(CHUNK_MARK) {
            // What is left of a chunk that was cut may still hold whole records.
            let mut padded = chunk.clone();
            padded.resize(CHUNK_BYTES, 0);
            self.records(padded);
        } else if chunk.iter().any(|byte| *byte != 0) {
            self.damage("a chunk without its mark");
        }
        if !whole {
            self.ended = true;
            self.is_cut = chunk.iter().any(|byte| *byte != 0);
        }
        Ok(())
    }

    fn bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match read_some(&mut self.stream, bytes.get_mut(filled..).unwrap_or_default())? {
                0 => break,
                read => filled += read,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn records(&mut self, bytes: Vec<u8>) {
        let mut data = match EvtxChunkData::new(bytes, false) {
            Ok(data) => data,
            Err(error) => return self.damage(&error.to_string()),
        };
        let mut chunk = match data.parse(Arc::clone(&self.settings)) {
            Ok(chunk) => chunk,
            Err(error) => return self.damage(&error.to_string()),
        };
        for record in chunk.iter() {
            match record.and_then(evtx::EvtxRecord::into_json_bytes) {
                Ok(record) => self.lines.add(&record.data),
                Err(error) => damage(&mut self.lines, &error.to_string()),
            }
        }
    }

    fn damage(&mut self, why: &str) {
        damage(&mut self.lines, why);
    }
}

fn damage(lines: &mut Lines, why: &str) {
    lines.add(format!("damaged part of a Windows event log: {why}").as_bytes());
}

impl<R: Read> Read for EventLog<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match self.lines.give(buffer) {
                0 if std::mem::take(&mut self.is_cut) => return Err(io::ErrorKind::UnexpectedEof.into()),
                0 if self.ended => return Ok(0),
                0 => self.next()?,
                count => return Ok(count),
            }
        }
    }
}

/// Longest event in XML, in bytes; what is longer is passed over.
const LONGEST_EVENT: usize = 16 << 20;

/// Bytes of an export that are read at once.
const READ_BYTES: usize = 64 << 10;

/// Whether a stream that begins so is an export whose events are not one a line already.
pub(crate) fn is_export(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head.get(..head.len().min(16 << 10)).unwrap_or_default());
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let body = match text.strip_prefix("<?xml") {
        Some(rest) => rest.split_once("?>").map_or("", |(_, body)| body).trim_start(),
        None => text,
    };
    let is_event = |text: &str| text.starts_with("<Event>") || text.starts_with("<Event ");
    let first_line = body.lines().next().unwrap_or("");
    let over_lines = is_event(body) && first_line.matches("</Event>").count() != 1;
    body.starts_with("<Events>") || body.starts_with("<Events ") || over_lines
}

/// An export of events in XML, an event a line.
pub(crate) struct EventExport<R> {
    stream: R,
    /// Text that is no whole event yet, in UTF-8.
    text: Vec<u8>,
    /// How much of it was searched for the end of an event.
    searched: usize,
    lines: Lines,
    ended: bool,
}

impl<R: Read> EventExport<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self {
            stream,
            text: Vec::new(),
            searched: 0,
            lines: Lines::default(),
            ended: false,
        }
    }

    fn next(&mut self) -> io::Result<()> {
        let mut bytes = vec![0; READ_BYTES];
        let read = read_some(&mut self.stream, &mut bytes)?;
        bytes.truncate(read);
        if read == 0 {
            self.ended = true;
            return Ok(());
        }
        self.text.extend_from_slice(&bytes);
        self.events();
        Ok(())
    }

    /// Cuts out the events that are whole.
    fn events(&mut self) {
        let mut done = 0;
        loop {
            let text = self.text.get(done..).unwrap_or_default();
            let from = self.searched.saturating_sub(done + END.len());
            let Some(end) = text.get(from..).and_then(|text| memmem::find(text, END)) else {
                break;
            };
            let end = from + end + END.len();
            let event = text.get(..end).unwrap_or_default();
            if let Some(start) = start_of_event(event) {
                let mut line = Vec::with_capacity(event.len());
                one_line(event.get(start..).unwrap_or_default(), &mut line);
                self.lines.add(&line);
            }
            done += end;
            self.searched = done;
        }
        self.text.drain(..done);
        self.searched = self.text.len();
        if self.text.len() > LONGEST_EVENT {
            self.text.clear();
            self.searched = 0;
            self.lines.add(b"an event in XML that is too long, or has no end");
        }
    }
}

const END: &[u8] = b"</Event>";

fn start_of_event(text: &[u8]) -> Option<usize> {
    memmem::find_iter(text, b"<Event")
        .find(|start| matches!(text.get(start + 6), Some(b'>' | b' ' | b'\t' | b'\r' | b'\n')))
}

/// Puts an event on one line: breaks in its texts are written as references, those in its tags become blanks.
fn one_line(event: &[u8], out: &mut Vec<u8>) {
    let mut in_tag = false;
    for byte in event {
        match byte {
            b'<' => in_tag = true,
            b'>' => in_tag = false,
            _ => {}
        }
        match byte {
            b'\n' | b'\r' if in_tag => out.push(b' '),
            b'\n' => out.extend_from_slice(b"&#10;"),
            b'\r' => out.extend_from_slice(b"&#13;"),
            _ => out.push(*byte),
        }
    }
}

impl<R: Read> Read for EventExport<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match self.lines.give(buffer) {
                0 if self.ended => return Ok(0),
                0 => self.next()?,
                count => return Ok(count),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::{EventExport, EventLog, HEADER_BYTES, is_export};

    fn lines(text: &[u8]) -> Vec<String> {
        assert!(is_export(text));
        let mut out = String::new();
        EventExport::new(text).read_to_string(&mut out).unwrap();
        out.lines().map(str::to_owned).collect()
    }

    #[test]
    fn exports_become_lines() {
        let one =
            "<?xml version=\"1.0\"?><Events><Event xmlns='x'><System/></Event><Event><A/></Event></Events>";
        assert_eq!(
            lines(one.as_bytes()),
            ["<Event xmlns='x'><System/></Event>", "<Event><A/></Event>"]
        );
        let many = "<Events>\r\n<Event\n xmlns='x'>\n  <D>a\nb</D>\n</Event>\n</Events>";
        assert_eq!(
            lines(many.as_bytes()),
            ["<Event  xmlns='x'>&#10;  <D>a&#10;b</D>&#10;</Event>"]
        );
    }

    #[test]
    fn what_is_on_lines_stays_as_it_is() {
        for text in [
            "<Event><A/></Event>\n<Event><B/></Event>\n",
            "<Eventual/>",
            "<134>Oct 1 00:00:00 h p: m",
            "{}",
            "",
        ] {
            assert!(!is_export(text.as_bytes()), "{text}");
        }
    }

    /// Binary XML without templates, as it stands in a chunk.
    /// <https://github.com/libyal/libevtx/blob/main/documentation/Windows%20XML%20Event%20Log%20(EVTX).asciidoc>
    struct Binary {
        bytes: Vec<u8>,
    }

    impl Binary {
        /// The name of an element, an attribute, at the place where it is used first.
        fn name(&mut self, name: &str) {
            let here = u32::try_from(self.bytes.len() + 4).unwrap();
            self.bytes.extend(here.to_le_bytes());
            self.bytes.extend([0; 6]);
            self.text(name);
            self.bytes.extend([0; 2]);
        }

        fn text(&mut self, text: &str) {
            let units: Vec<u16> = text.encode_utf16().collect();
            self.bytes
                .extend(u16::try_from(units.len()).unwrap().to_le_bytes());
            self.bytes.extend(units.into_iter().flat_map(u16::to_le_bytes));
        }

        fn element(&mut self, name: &str, attribute: Option<(&str, &str)>, inside: impl FnOnce(&mut Self)) {
            self.bytes.push(if attribute.is_some() { 0x41 } else { 0x01 });
            let size_at = self.bytes.len();
            self.bytes.extend([0; 4]);
            self.name(name);
            if let Some((name, value)) = attribute {
                let list_at = self.bytes.len();
                self.bytes.extend([0; 4]);
                self.bytes.push(0x06);
                self.name(name);
                self.value(value);
                self.size(list_at);
            }
            self.bytes.push(0x02);
            inside(self);
            self.bytes.push(0x04);
            self.size(size_at);
        }

        fn value(&mut self, text: &str) {
            self.bytes.extend([0x05, 0x01]);
            self.text(text);
        }

        /// Writes how many bytes follow the four at a place.
        fn size(&mut self, at: usize) {
            let size = u32::try_from(self.bytes.len() - at - 4).unwrap();
            self.bytes.splice(at..at + 4, size.to_le_bytes());
        }
    }

    /// A log with one record.
    fn log(id: &str) -> Vec<u8> {
        let mut chunk = Binary {
            bytes: b"ElfChnk\0".to_vec(),
        };
        for number in [1_u64; 4] {
            chunk.bytes.extend(number.to_le_bytes());
        }
        chunk.bytes.extend(128_u32.to_le_bytes());
        chunk.bytes.extend(512_u32.to_le_bytes());
        chunk.bytes.resize(512, 0);
        chunk.bytes.extend([0x2a, 0x2a, 0, 0]);
        let size_at = chunk.bytes.len();
        chunk.bytes.extend([0; 4]);
        chunk.bytes.extend(1_u64.to_le_bytes());
        chunk.bytes.extend(133_000_000_000_000_000_u64.to_le_bytes());
        chunk.bytes.extend([0x0f, 1, 1, 0]);
        chunk.element("Event", None, |event| {
            event.element("System", None, |system| {
                system.element("Provider", Some(("Name", "p\nq")), |_| {});
                system.element("EventID", None, |element| element.value(id));
            });
        });
        chunk.bytes.push(0);
        let size = u32::try_from(chunk.bytes.len() + 4 - 512).unwrap();
        chunk.bytes.splice(size_at..size_at + 4, size.to_le_bytes());
        chunk.bytes.extend(size.to_le_bytes());
        let free = u32::try_from(chunk.bytes.len()).unwrap();
        chunk.bytes.splice(48..52, free.to_le_bytes());
        chunk.bytes.resize(64 << 10, 0);
        let mut log = super::BINARY.to_vec();
        log.resize(HEADER_BYTES, 0);
        log.extend(chunk.bytes);
        log
    }

    #[test]
    fn records_become_lines() {
        let mut two = log("7");
        two.extend_from_slice(log("8").get(HEADER_BYTES..).unwrap());
        let mut out = String::new();
        EventLog::new(two.as_slice()).read_to_string(&mut out).unwrap();
        let ids: Vec<String> = out
            .lines()
            .map(|line| {
                let record: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(
                    record["Event"]["System"]["Provider"]["#attributes"]["Name"],
                    "p\nq"
                );
                record["Event"]["System"]["EventID"].to_string()
            })
            .collect();
        assert_eq!(ids, ["\"7\"", "\"8\""], "{out}");

        // A log that is cut gives what it holds, and says that it is cut.
        let whole = log("7");
        let cut = whole.get(..HEADER_BYTES + 4096).unwrap();
        let mut out = Vec::new();
        let error = EventLog::new(cut).read_to_end(&mut out).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
        assert!(out.starts_with(b"{\"Event\""), "{out:?}");
    }

    #[test]
    fn damaged_logs_are_survived() {
        let whole = log("7");
        for at in (HEADER_BYTES..HEADER_BYTES + 1024).step_by(3) {
            for byte in [0, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged.splice(at..=at, [byte]);
                let mut out = Vec::new();
                EventLog::new(damaged.as_slice()).read_to_end(&mut out).unwrap();
            }
        }
    }

    #[test]
    fn damage_is_told() {
        let mut log = super::BINARY.to_vec();
        log.resize(HEADER_BYTES, 0);
        log.extend_from_slice(b"ElfChnk\0");
        log.resize(HEADER_BYTES + (64 << 10), 0xaa);
        log.extend_from_slice(&[7; 64 << 10]);
        log.extend_from_slice(&[0; 64 << 10]);
        let mut out = String::new();
        EventLog::new(log.as_slice()).read_to_string(&mut out).unwrap();
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines.len() >= 2, "{out}");
        assert!(
            lines
                .iter()
                .all(|line| line.starts_with("damaged part of a Windows event log")),
            "{out}"
        );
    }
}
