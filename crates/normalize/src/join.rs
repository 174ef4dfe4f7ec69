//! Lines that belong together become one record, in the order of the input, before anything else looks at them.
//!
//! Some text logs write one event over several lines: the records of an audit event share a serial and may be
//! interleaved with those of others, a daemon writes a call and its body one after the other, a table names its columns
//! once at its head. A [`Joiner`] sits between the reading of one input and the workers, so that workers need no
//! memory of other records and results do not depend on which worker gets which record.
//!
//! How a source uses it: its module states a [`Joining`] (its name, a mark, and a function that says what a line is,
//! by that line alone), and `sources.rs` lists it. The source then gets the lines of a group as one record whose
//! text has them one a line; a line that stayed alone comes alone, and so do lines whose group grew beyond its bounds,
//! so a source must read any number of lines. Lines are joined bare, as JSON strings, and as the `message` of objects
//! (`{"message": "<line>"}`); the joined record has the form of the first line, with all lines in its text.

mod state;

use std::collections::VecDeque;
use std::ops::Range;

use ahash::AHashMap;
use aho_corasick::packed::Searcher;
use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};
use sonic_rs::{JsonValueTrait, LazyValue};

use crate::sources::{context, joinings, position, sources};

/// A group of more bytes than this is handed on as far as it is; what follows of it is a group of its own.
const MAX_GROUP_BYTES: usize = 1 << 20;

/// When more bytes than this are held back, the oldest groups are handed on as they are.
const MAX_HELD_BYTES: usize = 16 << 20;

/// What a line is to the lines around it. A key tells groups of one source apart; it must be part of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'l> {
    /// It is of another format, or whole by itself.
    Alone,
    /// The first line of a group; an open group of the same key ends before it.
    First(&'l str),
    /// A line of a group, which it opens if there is none.
    More(&'l str),
    /// The last line of a group.
    Last(&'l str),
    /// A head that says how to read the rows behind it. It goes on by itself, and in front of each row.
    Head,
    /// A row that is read by the head before it. Without one it goes on by itself.
    Row,
}

/// How the lines of a source's text log belong together.
#[derive(Clone, Copy, Debug)]
pub struct Joining {
    /// The name of the source.
    pub source: &'static str,
    /// Texts of which one stands in every line that is not [`Part::Alone`], as long as JSON has no need to escape them.
    /// Objects without any are not opened. None means that lines inside of objects are not joined.
    pub marks: &'static [&'static str],
    /// What a line is, by this line alone. It is asked of each line of text, so it should say no early.
    pub part: for<'l> fn(&'l str) -> Part<'l>,
    /// A group is complete when so many further records of the input came without one of its lines, for logs whose
    /// groups have no last line, or lost it.
    pub patience: u64,
}

/// Ends what an earlier record says of a record, in front of it; see [`Context`].
pub(crate) const CONTEXT_END: char = '\u{1e}';

/// What the earlier records of an input say of later ones, for sources whose events are not told whole by one record: the
/// records of a process name its parent by number only. It is asked in the order of the input, before workers, which
/// must not remember anything.
pub(crate) trait Context: Send {
    /// Takes the text of a joined record; gives the text that is to stand in front of it, for its source to learn from. A
    /// line with [`CONTEXT_END`] ends it.
    fn before(&mut self, text: &str) -> Option<String>;

    /// What it remembers, for [`Self::restore`] in another process.
    fn save(&self) -> Vec<u8>;

    /// Remembers what [`Self::save`] gave; `false` if that is damaged.
    fn restore(&mut self, saved: &[u8]) -> bool;
}

/// A context that is made when the first record comes. A copy begins anew.
#[derive(Default)]
struct Started(Option<Box<dyn Context>>);

impl Clone for Started {
    fn clone(&self) -> Self {
        Self(None)
    }
}

impl std::fmt::Debug for Started {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "started" } else { "new" })
    }
}

/// A record of one or more lines. `T` is what the caller knows of each line, such as its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined<T> {
    /// The record.
    pub record: Vec<u8>,
    /// What belongs to its first line.
    pub first: T,
    /// Records of the input that it is made of.
    pub lines: u64,
}

/// Joins the lines of one input. Its memory is bounded.
#[derive(Clone, Debug)]
pub struct Joiner<T> {
    joinings: Vec<Joining>,
    /// One for each joining.
    contexts: Vec<Started>,
    /// Searches for the key of a wrapped line, and for the marks: for all at once, where the processor can.
    wrapped: Finder<'static>,
    marks: Vec<Finder<'static>>,
    all_marks: Option<Searcher>,
    groups: AHashMap<Key, Group<T>>,
    /// The groups by the record at which they were looked at last, oldest first; some have ended since.
    queue: VecDeque<Waiting>,
    heads: AHashMap<(usize, Shell), Vec<u8>>,
    ready: VecDeque<Joined<T>>,
    /// Records so far.
    records: u64,
    held_bytes: usize,
    opened: u64,
    unescaped: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
struct Key {
    joining: usize,
    shell: Shell,
    key: Box<str>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Waiting {
    looked_at: u64,
    number: u64,
    key: Key,
}

/// What stands around a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
enum Shell {
    /// Nothing.
    Bare,
    /// A JSON string.
    String,
    /// An object, as its `message`.
    Object,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Group<T> {
    /// Tells it from another of the same key.
    number: u64,
    record: Vec<u8>,
    /// Where the text begins, and where the next line goes: behind the text of the first.
    start: usize,
    end: usize,
    first: T,
    lines: u64,
    /// The record that brought its latest line.
    latest: u64,
}

/// A line inside of a record.
struct Line {
    shell: Shell,
    /// Its text in the record, escaped where the shell is JSON.
    content: Range<usize>,
}

impl<T> Joiner<T> {
    /// A joiner for the lines of every source or, where one is forced, of that source.
    pub fn new(source: Option<&str>) -> Self {
        let forced = source.map(|name| position(name).and_then(|index| sources().get(index)));
        let wanted = |joining: &&Joining| match forced {
            None => true,
            Some(info) => info.is_some_and(|info| info.name == joining.source),
        };
        Self::of(joinings().iter().filter(wanted).copied().collect())
    }

    /// A joiner of these joinings.
    pub fn of(joinings: Vec<Joining>) -> Self {
        let marks = || joinings.iter().flat_map(|joining| joining.marks);
        Self {
            contexts: joinings.iter().map(|_| Started::default()).collect(),
            wrapped: Finder::new("\"message\""),
            marks: marks().map(Finder::new).collect(),
            all_marks: Searcher::new(marks()),
            joinings,
            groups: AHashMap::new(),
            queue: VecDeque::new(),
            heads: AHashMap::new(),
            ready: VecDeque::new(),
            records: 0,
            held_bytes: 0,
            opened: 0,
            unescaped: String::new(),
        }
    }

    /// Whether no record of any input will be joined.
    pub fn joins_nothing(&self) -> bool {
        self.joinings.is_empty()
    }

    /// Whether lines wait for others.
    pub fn holds_lines(&self) -> bool {
        !self.groups.is_empty()
    }

    /// Takes the next record of the input. `false` says that it is complete as it is and not taken; else it, or
    /// what it completes, comes out of [`Self::next_joined`], now or later.
    pub fn push(&mut self, record: &[u8], first: T) -> bool {
        if self.joinings.is_empty() {
            return false;
        }
        self.records += 1;
        self.end_old_groups();
        let Some(line) = self.line(record) else {
            return false;
        };
        let Some(raw) = record
            .get(line.content.clone())
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
        else {
            return false;
        };
        let mut unescaped = std::mem::take(&mut self.unescaped);
        let text = if line.shell == Shell::Bare || !raw.contains('\\') {
            raw
        } else {
            unescape(raw, &mut unescaped);
            &unescaped
        };
        let parts = self
            .joinings
            .iter()
            .map(|joining| (joining.part)(text))
            .enumerate();
        let found = parts.into_iter().find(|(_, part)| *part != Part::Alone);
        let taken = found.is_some_and(|(joining, part)| self.take(joining, part, record, &line, first));
        self.unescaped = unescaped;
        taken
    }

    /// The next record that is complete.
    pub fn next_joined(&mut self) -> Option<Joined<T>> {
        self.ready.pop_front()
    }

    /// No more records come, or none for long: every group is complete.
    pub fn finish(&mut self) {
        while let Some(oldest) = self.queue.pop_front() {
            self.end_waiting(&oldest);
        }
    }

    /// The line that a record is, if a joining may want it.
    fn line(&self, record: &[u8]) -> Option<Line> {
        match record.first()? {
            b'"' => Some(Line {
                shell: Shell::String,
                content: 1..record.len().checked_sub(1).filter(|end| *end >= 1)?,
            }),
            // Nearly all objects are no wrapped lines, and it must cost little to see that.
            b'{' => {
                let behind = record.get(self.wrapped.find(record)?..)?;
                let is_marked = match &self.all_marks {
                    Some(marks) => marks.find(behind).is_some(),
                    None => self.marks.iter().any(|mark| mark.find(behind).is_some()),
                };
                is_marked.then(|| message(record))?
            }
            _ => Some(Line {
                shell: Shell::Bare,
                content: 0..record.len(),
            }),
        }
    }

    fn take(&mut self, joining: usize, part: Part<'_>, record: &[u8], line: &Line, first: T) -> bool {
        let shell = line.shell;
        let (key, starts, ends) = match part {
            Part::Alone => return false,
            Part::Head => {
                let content = record.get(line.content.clone()).unwrap_or_default();
                if content.len() <= MAX_GROUP_BYTES {
                    self.heads.insert((joining, shell), content.to_vec());
                }
                return false;
            }
            Part::Row => {
                let Some(head) = self.heads.get(&(joining, shell)) else {
                    return false;
                };
                let mut with_head = Vec::with_capacity(record.len() + head.len() + 2);
                with_head.extend_from_slice(record.get(..line.content.start).unwrap_or_default());
                with_head.extend_from_slice(head);
                with_head.extend_from_slice(line_break(shell));
                with_head.extend_from_slice(record.get(line.content.start..).unwrap_or_default());
                self.ready.push_back(Joined {
                    record: with_head,
                    first,
                    lines: 1,
                });
                return true;
            }
            Part::First(key) => (key, true, false),
            Part::More(key) => (key, false, false),
            Part::Last(key) => (key, false, true),
        };
        let key = Key {
            joining,
            shell,
            key: key.into(),
        };
        if starts {
            self.end(&key);
        }
        self.add(&key, record, line, first);
        if ends {
            self.end(&key);
        }
        true
    }

    fn add(&mut self, key: &Key, record: &[u8], line: &Line, first: T) {
        let full = |group: &Group<T>| group.record.len() + record.len() > MAX_GROUP_BYTES;
        if self.groups.get(key).is_some_and(full) {
            self.end(key);
        }
        if let Some(group) = self.groups.get_mut(key) {
            let content = record.get(line.content.clone()).unwrap_or_default();
            let added = line_break(line.shell).iter().chain(content).copied();
            let before = group.record.len();
            group.record.splice(group.end..group.end, added);
            let grown = group.record.len() - before;
            group.end += grown;
            self.held_bytes += grown;
            group.lines += 1;
            group.latest = self.records;
        } else {
            self.opened += 1;
            self.held_bytes += record.len();
            let group = Group {
                number: self.opened,
                record: record.to_vec(),
                start: line.content.start,
                end: line.content.end,
                first,
                lines: 1,
                latest: self.records,
            };
            self.groups.insert(key.clone(), group);
            self.queue.push_back(Waiting {
                looked_at: self.records,
                number: self.opened,
                key: key.clone(),
            });
        }
        while self.held_bytes > MAX_HELD_BYTES
            && let Some(oldest) = self.queue.pop_front()
        {
            self.end_waiting(&oldest);
        }
    }

    fn end(&mut self, key: &Key) {
        if let Some(group) = self.groups.remove(key) {
            self.held_bytes = self.held_bytes.saturating_sub(group.record.len());
            let record = self.in_context(key, group.record, group.start..group.end);
            self.ready.push_back(Joined {
                record,
                first: group.first,
                lines: group.lines,
            });
        }
    }

    /// The record with what earlier ones say of it in front of its text.
    fn in_context(&mut self, key: &Key, mut record: Vec<u8>, text: Range<usize>) -> Vec<u8> {
        let start = self
            .joinings
            .get(key.joining)
            .and_then(|joining| context(joining.source));
        let (Some(start), Some(started)) = (start, self.contexts.get_mut(key.joining)) else {
            return record;
        };
        let context = started.0.get_or_insert_with(start);
        let Some(raw) = record
            .get(text.clone())
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
        else {
            return record;
        };
        let before = if key.shell == Shell::Bare || !raw.contains('\\') {
            context.before(raw)
        } else {
            unescape(raw, &mut self.unescaped);
            context.before(&self.unescaped)
        };
        if let Some(before) = before {
            let before = format!("{before}\n{CONTEXT_END}\n");
            let written = match key.shell {
                Shell::Bare => before,
                Shell::String | Shell::Object => escaped(&before),
            };
            record.splice(text.start..text.start, written.into_bytes());
        }
        record
    }

    fn end_waiting(&mut self, waiting: &Waiting) {
        if self.number(&waiting.key) == Some(waiting.number) {
            self.end(&waiting.key);
        }
    }

    fn number(&self, key: &Key) -> Option<u64> {
        self.groups.get(key).map(|group| group.number)
    }

    /// Ends the groups whose patience is over. A group may wait behind one of a more patient source, but no longer than
    /// that one does.
    fn end_old_groups(&mut self) {
        while let Some(oldest) = self.queue.front() {
            let patience = self
                .joinings
                .get(oldest.key.joining)
                .map_or(0, |joining| joining.patience);
            if oldest.looked_at.saturating_add(patience) >= self.records {
                return;
            }
            let Some(mut oldest) = self.queue.pop_front() else {
                return;
            };
            let Some(group) = self
                .groups
                .get(&oldest.key)
                .filter(|group| group.number == oldest.number)
            else {
                continue;
            };
            if group.latest.saturating_add(patience) >= self.records {
                oldest.looked_at = group.latest;
                self.queue.push_back(oldest);
            } else {
                self.end(&oldest.key);
            }
        }
    }
}

/// What stands between two lines of a joined record.
fn line_break(shell: Shell) -> &'static [u8] {
    match shell {
        Shell::Bare => b"\n",
        Shell::String | Shell::Object => b"\\n",
    }
}

/// The `message` of an object, if it is a string.
fn message(record: &[u8]) -> Option<Line> {
    let value: LazyValue<'_> = sonic_rs::get(record, ["message"]).ok()?;
    let std::borrow::Cow::Borrowed(raw) = value.as_raw_cow() else {
        return None;
    };
    if !value.is_str() {
        return None;
    }
    let start = (raw.as_ptr() as usize).checked_sub(record.as_ptr() as usize)?;
    let content = start + 1..(start + raw.len()).checked_sub(1)?;
    // A text that was not borrowed from the record lies elsewhere.
    (record.get(start..content.end + 1)? == raw.as_bytes()).then_some(Line {
        shell: Shell::Object,
        content,
    })
}

/// The text of a JSON string without its quotes, as far as it is one.
fn unescape(raw: &str, out: &mut String) {
    out.clear();
    let quoted = format!("\"{raw}\"");
    match sonic_rs::from_str::<String>(&quoted) {
        Ok(text) => out.push_str(&text),
        Err(_) => out.push_str(raw),
    }
}

/// A text as it stands between the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = sonic_rs::to_string(text).unwrap_or_default();
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or("").to_owned()
}

#[cfg(test)]
mod tests;
