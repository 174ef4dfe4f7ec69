//! Bodies of `_bulk` that are made once and sent often.

use std::collections::VecDeque;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Outcome;

/// Digits of a number in a body.
const DIGITS: usize = 12;
/// Bytes of bodies that are made of one corpus at most.
const MOST: usize = 48 << 20;

/// A time as it stands in records: `2026-11-22T10:00:00` and the seconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    seconds: i64,
    text: [u8; 19],
    digits: [u8; 10],
}

impl Now {
    /// A second ago, so that no fraction that stays makes it a time to come.
    pub(crate) fn of_system() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::at(since.as_secs() as i64 - 1)
    }

    fn at(seconds: i64) -> Self {
        let shown = neph_event::Instant { seconds, nanos: 0 }.to_string();
        let (mut text, mut digits) = ([b'0'; 19], [b'0'; 10]);
        put(&mut text, shown.as_bytes());
        put(&mut digits, seconds.to_string().as_bytes());
        Self {
            seconds,
            text,
            digits,
        }
    }

    pub(crate) fn later(&self, seconds: i64) -> Self {
        Self::at(self.seconds + seconds)
    }
}

/// Copies as many bytes as there is room for.
fn put(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

fn put_at(text: &mut [u8], at: usize, from: &[u8]) {
    if let Some(to) = text.get_mut(at..) {
        put(to, from);
    }
}

/// Bodies of one index.
pub(crate) struct Corpus {
    pub(crate) index: String,
    /// How often a body of it is taken, beside the others.
    weight: u64,
    /// How often one was taken, by weight.
    due: u64,
    bodies: VecDeque<Body>,
}

/// Takes a body of the corpus whose turn it is. It is to be given back to that corpus.
pub(crate) fn next(corpora: &mut [Corpus]) -> Option<Body> {
    let ready = corpora.iter_mut().enumerate();
    let (place, next) = ready
        .filter(|(_, corpus)| !corpus.bodies.is_empty())
        .min_by_key(|(_, corpus)| corpus.due)?;
    // Twice the weight, half the time until the next turn.
    next.due += 1_000_000 / next.weight.max(1);
    let mut body = next.bodies.pop_front()?;
    body.corpus = place;
    Some(body)
}

/// One body, with an event more at its end that must alert, which is sent now and then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body {
    pub(crate) corpus: usize,
    pub(crate) text: Vec<u8>,
    /// Where the planted event begins.
    pub(crate) plain: usize,
    /// Events without it.
    pub(crate) events: u64,
    /// Where numbers stand, and those of the planted event.
    numbers: Vec<usize>,
    planted: Vec<usize>,
    /// Where times stand as text, and as seconds.
    times: Vec<usize>,
    stamps: Vec<usize>,
}

impl Corpus {
    /// Makes bodies of `INDEX=WEIGHT=FILE`.
    pub(crate) fn read(given: &str, batch: usize) -> Outcome<Self> {
        let mut parts = given.splitn(3, '=');
        let (Some(index), Some(weight), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(format!("`{given}` is not of the form INDEX=WEIGHT=FILE").into());
        };
        let text = std::fs::read(path)?;
        let lines: Vec<&[u8]> = text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .collect();
        let mut bodies = VecDeque::new();
        let mut bytes = 0;
        // A last batch that is shorter is left out, so that all count the same.
        for lines in lines.chunks_exact(batch.clamp(1, lines.len().max(1))) {
            let body = Body::new(index, lines);
            bytes += body.text.len();
            bodies.push_back(body);
            if bytes >= MOST {
                break;
            }
        }
        Ok(Self {
            index: index.to_owned(),
            weight: weight.parse()?,
            due: 0,
            bodies,
        })
    }

    pub(crate) fn give_back(&mut self, body: Body) {
        self.bodies.push_back(body);
    }
}

impl Body {
    fn new(index: &str, lines: &[&[u8]]) -> Self {
        let mut body = Self {
            events: lines.len() as u64,
            ..Self::default()
        };
        let zeros = "0".repeat(DIGITS);
        let action = format!("{{\"create\":{{\"_index\":\"{index}\",\"_id\":\"load-{zeros}\"}}}}\n");
        let number = action.find(&zeros).unwrap_or(0);
        for line in lines {
            body.numbers.push(body.text.len() + number);
            body.text.extend_from_slice(action.as_bytes());
            body.text.extend_from_slice(line);
            body.text.push(b'\n');
        }
        body.plain = body.text.len();
        let planted = format!(
            "{{\"create\":{{\"_index\":\"{index}\",\"_id\":\"planted-{zeros}\"}}}}\n\
             {{\"@timestamp\":\"2026-03-01T10:00:00.000Z\",\"ecs\":{{\"version\":\"8.17.0\"}},\
             \"event\":{{\"kind\":\"event\",\"category\":[\"process\"],\"type\":[\"start\"],\"action\":\"planted-by-load\"}},\
             \"host\":{{\"name\":\"planted-{zeros}\"}},\
             \"process\":{{\"name\":\"planted\",\"executable\":\"/opt/planted\",\"pid\":7}}}}\n"
        );
        let places = planted.match_indices(&zeros);
        body.planted = places.map(|(at, _)| body.plain + at).collect();
        body.text.extend_from_slice(planted.as_bytes());
        (body.times, body.stamps) = (times_in(&body.text), stamps_in(&body.text));
        body
    }

    /// Writes numbers from `first` on, and the time, over those that stand there.
    pub(crate) fn stamp(&mut self, now: &Now, first: u64) {
        for at in &self.times {
            put_at(&mut self.text, *at, now.text.get(..10).unwrap_or_default());
            put_at(&mut self.text, at + 11, now.text.get(11..).unwrap_or_default());
        }
        for at in &self.stamps {
            put_at(&mut self.text, *at, &now.digits);
        }
        for (at, number) in self.numbers.iter().zip(first..) {
            put_at(&mut self.text, *at, &digits(number));
        }
    }

    /// Numbers the planted event.
    pub(crate) fn plant(&mut self, number: u64) {
        for at in &self.planted {
            put_at(&mut self.text, *at, &digits(number));
        }
    }

    /// Writes the events, without the planted one, as hits of a search.
    pub(crate) fn write_hits(&self, index: &str, out: &mut impl Write) -> std::io::Result<()> {
        let text = self.text.get(..self.plain).unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n').skip(1).step_by(2);
        for (line, at) in lines.zip(&self.numbers) {
            let id = self.text.get(*at..at + DIGITS).unwrap_or_default();
            write!(out, "{{\"_index\":\"{index}\",\"_id\":\"load-")?;
            out.write_all(id)?;
            out.write_all(b"\",\"_source\":")?;
            out.write_all(line)?;
            out.write_all(b"}\n")?;
        }
        Ok(())
    }
}

fn digits(number: u64) -> [u8; DIGITS] {
    let mut digits = [b'0'; DIGITS];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

/// Where times such as `2026-03-01T10:00:00` or with a space stand in a text.
fn times_in(text: &[u8]) -> Vec<usize> {
    const FORM: &[u8; 19] = b"0000-00-00T00:00:00";
    let is_time = |bytes: &&[u8]| {
        bytes.iter().zip(FORM).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            b'T' => matches!(byte, b'T' | b' '),
            form => byte == form,
        })
    };
    let windows = text.windows(FORM.len()).enumerate();
    let times = windows.filter(|(_, bytes)| bytes.starts_with(b"20") && is_time(bytes));
    times.map(|(at, _)| at).collect()
}

/// Where the seconds of `audit(1772359200.123:1)` stand.
fn stamps_in(text: &[u8]) -> Vec<usize> {
    const BEFORE: &[u8] = b"audit(";
    let found = memchr::memmem::find_iter(text, BEFORE);
    found.map(|at| at + BEFORE.len()).collect()
}
