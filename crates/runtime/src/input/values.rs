//! Records that do not stand one a line: objects printed over several lines, arrays of objects, and arrays within an
//! outer document such as a search response.
//!
//! The scanner follows strings, braces and brackets only; whether a record is valid JSON is for the reader of the record
//! to say. It keeps a bounded state, so depth and length of documents do not matter.

use memchr::memchr3;

use super::framer::Limits;
use super::{Chunk, ProblemKind};

/// The members that lead from an outer document to its array of records.
pub(crate) type Wrapper = &'static [&'static str];

/// Keys of an outer document longer than this cannot be the one that is looked for.
const LONGEST_KEY: usize = 32;

/// A container around the records that is open.
#[derive(Clone, Debug)]
enum Outer {
    /// The array of records.
    Array,
    /// An object on the way to it: how far the wrapper's path is followed, and the key read last.
    Object {
        level: usize,
        key: Vec<u8>,
        value_expected: bool,
    },
}

#[derive(Clone, Debug)]
enum State {
    /// Between records.
    Outside,
    /// In a string of an outer object.
    OuterString { escaped: bool },
    /// In a value; `start` is set if it is kept as a record.
    Value(Value),
    /// In something that is no container where a record should start.
    Stray { start: usize, line: u64 },
}

/// How a step through the bytes ended.
enum Step {
    /// Go on here.
    On(usize),
    /// What comes here can only be told when more bytes are there.
    Wait(usize),
}

#[derive(Clone, Debug)]
struct Value {
    start: Option<usize>,
    line: u64,
    /// Blanks before the record on its line; `None` if it does not stand first on the line.
    column: Option<usize>,
    depth: usize,
    string: bool,
    escaped: bool,
    /// The record's further lines are indented deeper than its first.
    indented: Option<bool>,
    /// A line ended within a string, which no JSON allows: the record was cut.
    broken: bool,
}

/// The state of cutting a stream into JSON values.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    wrapper: Option<Wrapper>,
    outer: Vec<Outer>,
    state: State,
    line: u64,
    /// Blanks since the line began, while there was nothing else.
    column: Option<usize>,
    /// The current outer document has shown its array.
    found: bool,
    /// Up to where everything is done with, in the buffer.
    done: usize,
}

impl Values {
    pub(crate) fn new(wrapper: Option<Wrapper>) -> Self {
        Self {
            wrapper,
            outer: Vec::new(),
            state: State::Outside,
            line: 1,
            column: Some(0),
            found: false,
            done: 0,
        }
    }

    /// Takes the records that end in `bytes[from..]`; returns up to where it looked.
    pub(crate) fn scan(
        &mut self,
        bytes: &[u8],
        from: usize,
        chunk: &mut Chunk,
        limits: Limits,
        last: bool,
    ) -> usize {
        let mut at = from;
        while let Some(&byte) = bytes.get(at) {
            if chunk.spans.len() >= limits.records {
                break;
            }
            match &mut self.state {
                State::Outside => {
                    self.outside(byte, at, chunk);
                    at += 1;
                }
                State::OuterString { escaped } => {
                    match byte {
                        _ if *escaped => *escaped = false,
                        b'\\' => *escaped = true,
                        b'"' => self.state = State::Outside,
                        b'\n' => self.line += 1,
                        _ => {}
                    }
                    if let (
                        State::OuterString { .. },
                        Some(Outer::Object {
                            key,
                            value_expected: false,
                            ..
                        }),
                    ) = (&self.state, self.outer.last_mut())
                        && key.len() < LONGEST_KEY
                    {
                        key.push(byte);
                    }
                    at += 1;
                }
                State::Stray { start, line } => match byte {
                    b',' | b'\n' | b']' | b'}' | b'{' => {
                        let (start, line) = (*start, *line);
                        let token = bytes.get(start..at).unwrap_or_default().trim_ascii_end();
                        chunk.take_record(start, start + token.len(), line, (0, 0), limits.record);
                        self.state = State::Outside;
                    }
                    _ => at += 1,
                },
                State::Value(_) => match self.value(bytes, at, chunk, limits, last) {
                    Step::On(next) => at = next,
                    Step::Wait(next) => {
                        at = next;
                        break;
                    }
                },
            }
        }
        self.done = match &self.state {
            State::Value(Value {
                start: Some(start), ..
            })
            | State::Stray { start, .. } => *start,
            _ => at,
        };
        at
    }

    /// Takes one byte between records.
    fn outside(&mut self, byte: u8, at: usize, chunk: &mut Chunk) {
        let column = self.column;
        match byte {
            b'\n' => {
                self.line += 1;
                self.column = Some(0);
                return;
            }
            b' ' | b'\t' | b'\r' => {
                self.column = column.map(|column| column + 1);
                return;
            }
            _ => self.column = None,
        }
        let kept = Value {
            start: Some(at),
            line: self.line,
            column,
            depth: 1,
            string: false,
            escaped: false,
            indented: None,
            broken: false,
        };
        match (self.outer.last_mut(), byte) {
            (None | Some(Outer::Array), b',') | (None, b']' | b'}') => {}
            (None, b'{') if self.wrapper.is_some() => {
                self.found = false;
                self.outer.push(Outer::Object {
                    level: 0,
                    key: Vec::new(),
                    value_expected: false,
                });
            }
            (None, b'[') => self.outer.push(Outer::Array),
            (None | Some(Outer::Array), b'{' | b'[') => self.state = State::Value(kept),
            (Some(Outer::Array), b']') => {
                self.outer.pop();
            }
            (None | Some(Outer::Array), _) => {
                self.state = State::Stray {
                    start: at,
                    line: self.line,
                }
            }
            (
                Some(Outer::Object {
                    level,
                    key,
                    value_expected,
                }),
                _,
            ) => match byte {
                b'"' => self.state = State::OuterString { escaped: false },
                b':' => *value_expected = true,
                b',' => {
                    *value_expected = false;
                    key.clear();
                }
                b'}' => {
                    self.outer.pop();
                    if self.outer.is_empty() && !self.found {
                        let path = self.wrapper.unwrap_or_default().join(".");
                        let message = format!("the document holds no array `{path}` of records");
                        chunk.report(at, Some(self.line), ProblemKind::NoRecords, message);
                    }
                }
                b'{' | b'[' => {
                    let path = self.wrapper.unwrap_or_default();
                    let wanted = path
                        .get(*level)
                        .is_some_and(|name| name.as_bytes() == key.as_slice());
                    let next = *level + 1;
                    if wanted && byte == b'[' && next == path.len() {
                        self.found = true;
                        self.outer.push(Outer::Array);
                    } else if wanted && byte == b'{' && next < path.len() {
                        self.outer.push(Outer::Object {
                            level: next,
                            key: Vec::new(),
                            value_expected: false,
                        });
                    } else {
                        self.state = State::Value(Value { start: None, ..kept });
                    }
                }
                _ => {}
            },
        }
    }

    /// Goes on in a value from `at`.
    fn value(&mut self, bytes: &[u8], mut at: usize, chunk: &mut Chunk, limits: Limits, last: bool) -> Step {
        let State::Value(value) = &mut self.state else {
            return Step::On(at);
        };
        while let Some(&byte) = bytes.get(at) {
            if value.escaped {
                value.escaped = false;
                if byte != b'\n' {
                    at += 1;
                    continue;
                }
            }
            let mut byte = byte;
            if value.string {
                let rest = bytes.get(at..).unwrap_or_default();
                let Some(found) = memchr3(b'"', b'\\', b'\n', rest) else {
                    return Step::On(bytes.len());
                };
                at += found;
                byte = rest.get(found).copied().unwrap_or(b'\n');
            }
            match byte {
                b'"' => value.string = !value.string,
                b'\\' => value.escaped = value.string,
                b'\n' => {
                    value.broken |= value.string;
                    match value.cut_at(bytes, at, last) {
                        Some(true) => return Step::On(self.end(bytes, at, chunk, limits)),
                        Some(false) => self.line += 1,
                        None => return Step::Wait(at),
                    }
                }
                _ if value.string => {}
                b'{' | b'[' => value.depth += 1,
                b'}' | b']' => {
                    value.depth -= 1;
                    if value.depth == 0 {
                        return Step::On(self.end(bytes, at + 1, chunk, limits));
                    }
                }
                _ => {}
            }
            at += 1;
        }
        Step::On(at)
    }

    /// Ends the current value at `end`, and takes it if it is a record.
    fn end(&mut self, bytes: &[u8], end: usize, chunk: &mut Chunk, limits: Limits) -> usize {
        if let State::Value(Value {
            start: Some(start),
            line,
            ..
        }) = self.state
        {
            let text = bytes.get(start..end).unwrap_or_default().trim_ascii_end();
            chunk.take_record(start, start + text.len(), line, (0, 0), limits.record);
        }
        self.state = State::Outside;
        self.column = None;
        end
    }

    /// Takes what is left when the stream has ended.
    pub(crate) fn finish(&mut self, bytes: &[u8], chunk: &mut Chunk, limits: Limits) {
        let open = match &self.state {
            State::Value(Value { start: Some(_), .. }) => {
                self.end(bytes, bytes.len(), chunk, limits);
                false
            }
            State::Stray { start, line } => {
                let token = bytes.get(*start..).unwrap_or_default().trim_ascii_end();
                chunk.take_record(*start, start + token.len(), *line, (0, 0), limits.record);
                !self.outer.is_empty()
            }
            State::Outside => !self.outer.is_empty(),
            State::Value(_) | State::OuterString { .. } => true,
        };
        if open {
            let message = "the document ends before its array of records is closed";
            chunk.report(bytes.len(), Some(self.line), ProblemKind::CutShort, message);
        }
        self.outer.clear();
        self.state = State::Outside;
        self.done = bytes.len();
    }

    /// Everything before this is done with.
    pub(crate) fn pending(&self) -> usize {
        self.done
    }

    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// The buffer lost its first `bytes` bytes.
    pub(crate) fn shift(&mut self, bytes: usize) {
        self.done = self.done.saturating_sub(bytes);
        if let State::Value(Value {
            start: Some(start), ..
        })
        | State::Stray { start, .. } = &mut self.state
        {
            *start = start.saturating_sub(bytes);
        }
    }

    /// The current record is beyond the limit: forgets what is there of it and skips the rest.
    pub(crate) fn discard(&mut self, bytes: &[u8], chunk: &mut Chunk, limits: Limits) {
        match &mut self.state {
            State::Value(value) => {
                if let Some(start) = value.start.take() {
                    chunk.report_too_long(start, value.line, limits.record);
                }
            }
            State::Stray { start, line } => {
                chunk.report_too_long(*start, *line, limits.record);
                self.state = State::Outside;
            }
            State::Outside | State::OuterString { .. } => {}
        }
        self.done = bytes.len();
    }
}

impl Value {
    /// Whether the record was cut before the newline at `at`, because the next line starts another one: it has the
    /// brace in the column of this record's own, where further lines of it stand deeper (or are lost in a string).
    /// `None` where the next line is not there yet.
    fn cut_at(&mut self, bytes: &[u8], at: usize, last: bool) -> Option<bool> {
        let (Some(column), Some(_)) = (self.column, self.start) else {
            return Some(false);
        };
        let next = bytes.get(at + 1..).unwrap_or_default();
        let blanks = next
            .iter()
            .take(column + 1)
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        let Some(first) = next.get(blanks) else {
            return if last { Some(false) } else { None };
        };
        let indented = *self.indented.get_or_insert(blanks > column);
        Some(blanks == column && *first == b'{' && (indented || self.broken))
    }
}
