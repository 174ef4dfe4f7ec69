//! How fast records become documents, beside how fast they are parsed (or, where they are lines of text, split) alone.
//! One core, on generated records, in one run.
//!
//! `cargo bench -p neph-normalize --bench speed`, with names of kinds behind `--` for these alone; `--profile` normalises
//! for some seconds and measures nothing else.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a bench prints its figures and may fail loudly"
)]

use std::borrow::Cow;
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use neph_event::{Field, FieldType, Row, Slots};
use neph_normalize::{Arena, Joiner, Normalizer, parse};
use neph_testkit::generate::{self, RecordKind};

/// What the binary allocates with, for the parsers as well.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Of each kind so many bytes are generated: more than the caches next to a core hold.
const BYTES: u64 = 4 << 20;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<&String> = wanted.iter().filter(|word| !word.starts_with("--")).collect();
    let profile = wanted.iter().any(|word| word == "--profile");
    println!(
        "Nanoseconds of CPU a record, best of rounds that take turns; shares are of the speed of each parser alone."
    );
    println!(
        "{:<17}{:>8}{:>7}{:>8}{:>8}{:>8}{:>8}{:>8}{:>11}{:>8}{:>8}{:>8}{:>10}{:>10}{:>9}{:>10}",
        "kind",
        "records",
        "bytes",
        "sonic",
        "serde",
        "tree",
        "words",
        "split",
        "normalise",
        "+rows",
        "wanted",
        "+text",
        "of sonic",
        "of serde",
        "of tree",
        "of split"
    );
    for (kind, name) in RecordKind::ALL {
        if names.is_empty() || names.iter().any(|wanted| *wanted == name) {
            let records = generated(kind);
            if profile {
                let mut normalizer = Normalizer::new(None).expect("no source was named");
                for _ in 0..200 {
                    normalise(&mut normalizer, &records);
                }
            } else {
                measure(name, kind == RecordKind::Auditd, &records);
            }
        }
    }
}

/// Records as the normaliser gets them: the lines of an audit event are one record.
fn generated(kind: RecordKind) -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    generate::records(&mut bytes, kind, BYTES, 1).expect("memory can be written");
    let mut joiner = Joiner::new(None);
    let mut records = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        if !joiner.push(line, ()) {
            records.push(line.to_vec());
        }
        records.extend(std::iter::from_fn(|| joiner.next_joined()).map(|joined| joined.record));
    }
    joiner.finish();
    records.extend(std::iter::from_fn(|| joiner.next_joined()).map(|joined| joined.record));
    records
}

/// Cuts the lines of a record at blanks and these words at equals signs: less than any reader of the log does.
fn words(record: &[u8]) -> usize {
    let text = std::str::from_utf8(record).unwrap_or_default();
    let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(128);
    for line in text.split('\n') {
        pairs.extend(line.split(' ').filter_map(|word| word.split_once('=')));
    }
    black_box(&pairs).len()
}

/// Splits a record of the audit log into the key-value pairs of its lines, those of one serial together. This is what
/// has to be done to know what the log says: values end at their quotes, which go; the message inside of a record has
/// pairs of its own; arguments, names and titles without quotes are hexadecimal. Nothing is named, typed or sorted out.
fn split(record: &[u8]) -> usize {
    let text = std::str::from_utf8(record).unwrap_or_default();
    let mut events: Vec<(&str, Vec<Pair<'_>>)> = Vec::with_capacity(1);
    for line in text.split('\n') {
        let Some((kind, rest)) = line.split_once(" msg=audit(") else {
            continue;
        };
        let Some((stamp, body)) = rest.split_once("):") else {
            continue;
        };
        if events.last().is_none_or(|(last, _)| *last != stamp) {
            events.push((stamp, Vec::with_capacity(96)));
        }
        if let Some((_, pairs)) = events.last_mut() {
            pairs.push(("type", Cow::Borrowed(kind)));
            split_pairs(body, kind.ends_with("EXECVE"), pairs);
        }
    }
    black_box(&events).iter().map(|(_, pairs)| pairs.len()).sum()
}

type Pair<'t> = (&'t str, Cow<'t, str>);

fn split_pairs<'t>(text: &'t str, has_arguments: bool, pairs: &mut Vec<Pair<'t>>) {
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('=') {
        let key = before.rsplit([' ', '\u{1d}']).next().unwrap_or(before);
        let quote = behind.chars().next().filter(|first| matches!(first, '"' | '\''));
        let value;
        (value, rest) = match quote {
            Some(quote) => behind
                .get(1..)
                .and_then(|inner| inner.split_once(quote))
                .unwrap_or((behind, "")),
            None => behind
                .find([' ', '\u{1d}'])
                .map_or((behind, ""), |end| behind.split_at(end)),
        };
        match key {
            "msg" if quote.is_some() => split_pairs(value, false, pairs),
            "proctitle" | "comm" | "exe" | "name" | "cwd" | "cmd" | "acct" | "data" | "key" | "saddr"
                if quote.is_none() =>
            {
                pairs.push((key, unhex(value)));
            }
            _ if has_arguments && quote.is_none() => pairs.push((key, unhex(value))),
            _ => pairs.push((key, Cow::Borrowed(value))),
        }
    }
}

/// Hexadecimal text as what it stands for; other text as it is.
fn unhex(text: &str) -> Cow<'_, str> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let pair = |pair: &[u8]| Some((digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?) as u8);
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(pair).collect();
    match bytes.map(String::from_utf8) {
        Some(Ok(text)) => Cow::Owned(text),
        _ => Cow::Borrowed(text),
    }
}

fn normalise(normalizer: &mut Normalizer, records: &[Vec<u8>]) {
    for record in records {
        black_box(normalizer.push(record).documents.len());
    }
}

/// Nanoseconds that this thread has run: other work on the machine does not count.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|field| field.parse().ok());
    nanos.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

/// What stands in for CPU time where the system does not tell it.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Rounds; each parser has its turn in each.
const ROUNDS: u32 = 10;

/// How long a turn takes at least: the system brings the time of a thread up to date every few milliseconds only.
const TURN: Duration = Duration::from_millis(100);

/// Whether it applies to the records, and what is done to each.
type Work<'w> = (bool, &'w mut dyn FnMut(&[u8]));

/// CPU time of one pass over all records.
fn turn(records: &[Vec<u8>], work: &mut dyn FnMut(&[u8])) -> Duration {
    let (start, mut passes) = (cpu_time(), 0);
    loop {
        records.iter().for_each(|record| work(record));
        passes += 1;
        let took = cpu_time() - start;
        if took >= TURN {
            return took / passes;
        }
    }
}

fn measure(name: &str, is_text: bool, records: &[Vec<u8>]) {
    let mut arena = Arena::default();
    let mut normalizer = Normalizer::new(None).expect("no source was named");
    let mut rows = Normalizer::new(None).expect("no source was named");
    let mut texts = Normalizer::new(None).expect("no source was named");
    let (slots, mut row, mut few) = (slots(), Row::default(), Row::default());
    let mut wanted = Normalizer::new(None).expect("no source was named");
    wanted.want(Some(
        slots
            .fields()
            .iter()
            .map(|field| field.path.to_string())
            .collect(),
    ));
    let mut sonic = |record: &[u8]| {
        black_box(sonic_rs::from_slice::<sonic_rs::Value>(record).ok());
    };
    let mut serde = |record: &[u8]| {
        black_box(serde_json::from_slice::<serde_json::Value>(record).ok());
    };
    let mut tree = |record: &[u8]| {
        arena.reset();
        let text = std::str::from_utf8(record).unwrap_or_default();
        black_box(parse(&arena, text).is_ok());
    };
    let mut words = |record: &[u8]| {
        black_box(words(record));
    };
    let mut split = |record: &[u8]| {
        black_box(split(record));
    };
    let mut normalise = |record: &[u8]| {
        black_box(normalizer.push(record).documents.len());
    };
    let mut with_rows = |record: &[u8]| {
        for made in rows.push(record).documents {
            row.read_from(&slots, made.document)
                .expect("documents can be read");
        }
        black_box(row.malformed());
    };
    let mut with_wanted = |record: &[u8]| {
        for made in wanted.push(record).documents {
            few.read_from(&slots, made.document)
                .expect("documents can be read");
        }
        black_box(few.malformed());
    };
    let mut with_text = |record: &[u8]| {
        for made in texts.push(record).documents {
            black_box(made.document.to_json());
        }
    };
    let mut work: [Work<'_>; 9] = [
        (!is_text, &mut sonic),
        (!is_text, &mut serde),
        (!is_text, &mut tree),
        (is_text, &mut words),
        (is_text, &mut split),
        (true, &mut normalise),
        (true, &mut with_rows),
        (true, &mut with_wanted),
        (true, &mut with_text),
    ];
    let mut best = [None::<Duration>; 9];
    for _ in 0..ROUNDS {
        for ((applies, work), best) in work.iter_mut().zip(&mut best) {
            if *applies {
                let took = turn(records, *work);
                *best = Some(best.map_or(took, |known| known.min(took)));
            }
        }
    }
    let each = best.map(|took| took.map(|took| took.as_nanos() as f64 / records.len() as f64));
    let [
        sonic,
        serde,
        tree,
        words,
        split,
        normalise,
        with_rows,
        with_wanted,
        with_text,
    ] = each;
    let time = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |time| format!("{time:.0}"));
    let share = |parser: Option<f64>| match (parser, normalise) {
        (Some(parser), Some(normalise)) => format!("{:.0}%", 100.0 * parser / normalise),
        _ => "-".to_owned(),
    };
    let bytes: usize = records.iter().map(Vec::len).sum();
    println!(
        "{name:<17}{:>8}{:>7}{:>8}{:>8}{:>8}{:>8}{:>8}{:>11}{:>8}{:>8}{:>8}{:>10}{:>10}{:>9}{:>10}",
        records.len(),
        bytes / records.len().max(1),
        time(sonic),
        time(serde),
        time(tree),
        time(words),
        time(split),
        time(normalise),
        time(with_rows),
        time(with_wanted),
        time(with_text),
        share(sonic),
        share(serde),
        share(tree),
        share(split),
    );
}

fn slots() -> Slots {
    let mut slots = Slots::default();
    for field in [
        "event.action",
        "event.outcome",
        "event.provider",
        "event.category",
        "event.type",
        "user.name",
        "source.ip",
        "process.name",
        "process.args",
        "aws.cloudtrail.request_parameters",
        "kubernetes.audit.verb",
        "host.os.type",
    ] {
        slots.add(Field::new(field, FieldType::Keyword));
    }
    slots
}
