//! Tells from the first bytes of a stream how its records are framed.

use super::ProblemKind;
use super::lines::action;
use super::problem::Refusal;
use super::values::Wrapper;

/// How records stand in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// One JSON object a line.
    Lines,
    /// A bulk action a line, most followed by a document on the next.
    Bulk,
    /// JSON values one after the other or in an array, within an outer document if a path is given.
    Values(Option<Wrapper>),
}

/// Documents around an array of records: Elasticsearch search responses and scroll pages
/// (<https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-search>), CloudTrail files
/// (<https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-examples.html>), Azure Monitor exports
/// (<https://learn.microsoft.com/azure/azure-monitor/essentials/resource-logs-schema>).
const WRAPPERS: [Wrapper; 3] = [&["hits", "hits"], &["Records"], &["records"]];

/// Formats that are known and not read, by the bytes that they start with.
const FOREIGN: [(&[u8], &str); 10] = [
    (b"PAR1", "a Parquet file"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\xd4\xc3\xb2\xa1", "a packet capture"),
    (b"\x0a\x0d\x0d\x0a", "a packet capture"),
    (b"BZh", "compressed with bzip2"),
    (b"\x04\x22\x4d\x18", "compressed with lz4"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"%PDF-", "a PDF document"),
];

/// Where a tar archive's header has its mark (POSIX.1-2017, pax, ustar interchange format).
const TAR_MARK: std::ops::Range<usize> = 257..262;

/// Records on one line each that are looked at before the stream is taken for one of lines.
const LINES_TO_TRUST: usize = 8;

/// Tells the framing from the first bytes of a stream; `ended` if they are all of it.
pub(crate) fn framing(head: &[u8], ended: bool) -> Result<Framing, Refusal> {
    let text = head
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(head)
        .trim_ascii_start();
    if text.is_empty() && ended {
        return Err((ProblemKind::Empty, "the input is empty".to_owned()));
    }
    if let Some(what) = not_text(head) {
        return Err(what);
    }
    match text.first() {
        Some(b'[') => {
            let inner = text.get(1..).unwrap_or_default().trim_ascii_start();
            let array = inner.first().is_none_or(|byte| matches!(byte, b'{' | b']'));
            Ok(if array {
                Framing::Values(None)
            } else {
                Framing::Lines
            })
        }
        Some(b'{') => {
            if let Some(wrapper) = WRAPPERS.into_iter().find(|path| leads_to_records(text, path)) {
                return Ok(Framing::Values(Some(wrapper)));
            }
            let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
            if action(line).is_some() {
                return Ok(Framing::Bulk);
            }
            Ok(layout(text))
        }
        _ => Ok(Framing::Lines),
    }
}

/// Says what the content is, if it is no text.
fn not_text(head: &[u8]) -> Option<Refusal> {
    if let Some((_, what)) = FOREIGN.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some((
            ProblemKind::Unsupported,
            format!("the content is {what}, which is not read"),
        ));
    }
    if head.get(TAR_MARK) == Some(b"ustar") {
        return Some((
            ProblemKind::Unsupported,
            "the content is a tar archive; unpack it first".to_owned(),
        ));
    }
    let sample = head.get(..8192).unwrap_or(head);
    let control = sample
        .iter()
        .filter(|byte| matches!(byte, 1..=8 | 0x0e..=0x1a | 0x1c..=0x1f))
        .count();
    let starts_as_json = matches!(head.trim_ascii_start().first(), Some(b'{' | b'['));
    let binary = !starts_as_json && (memchr::memchr(0, sample).is_some() || control * 10 > sample.len());
    binary.then(|| (ProblemKind::Binary, "the content is binary".to_owned()))
}

/// Whether the first object of `text` has an array of objects under `path`.
fn leads_to_records(text: &[u8], path: &[&str]) -> bool {
    let Some((name, rest)) = path.split_first() else {
        return false;
    };
    let mut members = Members::new(text);
    let mut first = true;
    while let Some((key, value)) = members.next() {
        if key == name.as_bytes() {
            if !rest.is_empty() {
                return value.first() == Some(&b'{') && leads_to_records(value, rest);
            }
            let Some(inner) = value.strip_prefix(b"[") else {
                return false;
            };
            return match inner.trim_ascii_start().first() {
                None | Some(b']') => true,
                Some(b'{') => {
                    !matches!(*name, "hits") || super::record::is_enveloped(inner.trim_ascii_start())
                }
                Some(_) => false,
            };
        }
        // Cloud providers' files have nothing else in them; an event may well have a field of this name further on.
        if first && matches!(*name, "Records" | "records") {
            return false;
        }
        first = false;
    }
    false
}

/// The members of an object, as far as they are there, with the text from the value on.
struct Members<'a> {
    rest: &'a [u8],
}

impl<'a> Members<'a> {
    fn new(object: &'a [u8]) -> Self {
        Self {
            rest: object.trim_ascii_start().strip_prefix(b"{").unwrap_or_default(),
        }
    }

    fn next(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let rest = self.rest.trim_ascii_start();
        let rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
        let inner = rest.strip_prefix(b"\"")?;
        let end = string_end(inner)?;
        let key = inner.get(..end)?;
        let value = inner
            .get(end + 1..)?
            .trim_ascii_start()
            .strip_prefix(b":")?
            .trim_ascii_start();
        self.rest = value.get(value_end(value)..).unwrap_or_default();
        Some((key, value))
    }
}

/// Where a string ends whose opening quote is gone: the place of the closing quote.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

/// Where a value ends, by its strings and brackets alone; the end of the text if it does not end in it.
fn value_end(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0_usize, 0_usize);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => match string_end(text.get(at + 1..).unwrap_or_default()) {
                Some(end) => at += end + 1,
                None => return text.len(),
            },
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// Whether records stand one a line. A record that is cut within its line must not be taken for one that goes on over
/// several, so only what is valid JSON up to there counts as such.
fn layout(text: &[u8]) -> Framing {
    let mut rest = text;
    for _ in 0..LINES_TO_TRUST {
        rest = rest.trim_ascii_start();
        rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
        if rest.first() != Some(&b'{') {
            return Framing::Lines;
        }
        match extent(rest) {
            Extent::Whole(end) => {
                let (record, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
                let next = after.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r'));
                if record.contains(&b'\n') || next.is_some_and(|byte| matches!(byte, b'{' | b',')) {
                    return Framing::Values(None);
                }
                if next.is_some_and(|byte| *byte != b'\n') {
                    return Framing::Lines;
                }
                rest = after;
            }
            Extent::Open => {
                return if rest.contains(&b'\n') {
                    Framing::Values(None)
                } else {
                    Framing::Lines
                };
            }
            Extent::Invalid => return Framing::Lines,
        }
    }
    Framing::Lines
}

enum Extent {
    /// A value that ends here.
    Whole(usize),
    /// Valid as far as the text goes.
    Open,
    Invalid,
}

/// What may come next in a JSON text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
}

/// How far the JSON value at the start of `text` goes, by the grammar of RFC 8259 (numbers and words are not looked into).
fn extent(text: &[u8]) -> Extent {
    let mut open: Vec<u8> = Vec::new();
    let mut expect = Expect::Value;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if byte.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let closes = match byte {
            b'}' => matches!(expect, Expect::KeyOrEnd | Expect::CommaOrEnd) && open.last() == Some(&b'{'),
            b']' => matches!(expect, Expect::ValueOrEnd | Expect::CommaOrEnd) && open.last() == Some(&b'['),
            _ => false,
        };
        if closes {
            open.pop();
            at += 1;
            if open.is_empty() {
                return Extent::Whole(at);
            }
            expect = Expect::CommaOrEnd;
            continue;
        }
        let value = matches!(expect, Expect::Value | Expect::ValueOrEnd);
        let key = matches!(expect, Expect::Key | Expect::KeyOrEnd);
        match byte {
            b'{' | b'[' if value => {
                // Nobody prints the value of a member so; the line before it was cut.
                let after_colon = expect == Expect::Value && open.last() == Some(&b'{');
                if after_colon && text.get(..at).is_some_and(|before| before.ends_with(b"\n")) {
                    return Extent::Invalid;
                }
                open.push(byte);
                expect = if byte == b'{' {
                    Expect::KeyOrEnd
                } else {
                    Expect::ValueOrEnd
                };
            }
            b'"' if value || key => {
                let inner = text.get(at + 1..).unwrap_or_default();
                let Some(end) = string_end(inner) else {
                    return if inner.contains(&b'\n') {
                        Extent::Invalid
                    } else {
                        Extent::Open
                    };
                };
                if inner.get(..end).unwrap_or_default().contains(&b'\n') {
                    return Extent::Invalid;
                }
                at += end + 1;
                expect = if key { Expect::Colon } else { Expect::CommaOrEnd };
            }
            b':' if expect == Expect::Colon => expect = Expect::Value,
            b',' if expect == Expect::CommaOrEnd => {
                expect = if open.last() == Some(&b'{') {
                    Expect::Key
                } else {
                    Expect::Value
                };
            }
            b'0'..=b'9' | b'-' | b't' | b'f' | b'n' if value => {
                let rest = text.get(at..).unwrap_or_default();
                let word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
                at += rest
                    .iter()
                    .take_while(|byte| word(byte))
                    .count()
                    .saturating_sub(1);
                expect = Expect::CommaOrEnd;
            }
            _ => return Extent::Invalid,
        }
        at += 1;
    }
    Extent::Open
}
