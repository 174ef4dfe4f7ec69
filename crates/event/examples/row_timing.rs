//! Times the reading of a row against the building of a whole JSON value, and what is done once with the built-in
//! schema: `cargo run --release --example row_timing`.
//!
//! The events are of the shape of an endpoint's process events, about 800 bytes each, and 15 fields are read.

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use neph_event::{Field, FieldType, Row, Schema, Slots};

const EVENTS: usize = 1000;
const ROUNDS: usize = 30;

fn event(number: usize) -> String {
    format!(
        concat!(
            r#"{{"@timestamp":"2026-03-01T12:{minute:02}:{second:02}.{number:06}Z","agent":{{"id":"0f3b52c1-76a1-4d0c","type":"endpoint","version":"9.2.0"}},"#,
            r#""data_stream":{{"dataset":"endpoint.events.process","namespace":"default","type":"logs"}},"ecs":{{"version":"8.10.0"}},"#,
            r#""event":{{"action":"exec","category":["process"],"kind":"event","type":["start"],"sequence":{number},"id":"MzQ1{number}"}},"#,
            r#""host":{{"hostname":"node-{host}","id":"host-{host}","ip":["10.0.{host}.7","fe80::{host}"],"os":{{"family":"debian","type":"linux"}}}},"#,
            r#""process":{{"args":["curl","-s","http://198.51.100.{host}/x.sh"],"args_count":3,"command_line":"curl -s \"http://198.51.100.{host}/x.sh\"","#,
            r#""entity_id":"e{number}","executable":"/usr/bin/curl","hash":{{"sha256":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}},"#,
            r#""name":"curl","pid":{pid},"parent":{{"entity_id":"p{number}","executable":"/usr/bin/bash","name":"bash","pid":{ppid}}}}},"#,
            r#""user":{{"id":"0","name":"root"}}}}"#
        ),
        minute = number / 60 % 60,
        second = number % 60,
        number = number,
        host = number % 200,
        pid = 1000 + number,
        ppid = 900 + number,
    )
}

fn slots() -> Slots {
    let mut slots = Slots::default();
    for (path, kind) in [
        ("@timestamp", FieldType::DateNanos),
        ("event.action", FieldType::Keyword),
        ("event.category", FieldType::Keyword),
        ("event.type", FieldType::Keyword),
        ("event.id", FieldType::Keyword),
        ("host.id", FieldType::Keyword),
        ("host.os.type", FieldType::Keyword),
        ("process.args", FieldType::Keyword),
        ("process.command_line", FieldType::Keyword),
        ("process.entity_id", FieldType::Keyword),
        ("process.executable", FieldType::Keyword),
        ("process.name", FieldType::Keyword),
        ("process.pid", FieldType::Long),
        ("process.parent.name", FieldType::Keyword),
        ("user.id", FieldType::Keyword),
    ] {
        slots.add(Field::new(path, kind));
    }
    slots
}

/// The fastest of all rounds over all events, for one event.
fn time(mut work: impl FnMut()) -> Duration {
    (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .min()
        .unwrap_or_default()
        / u32::try_from(EVENTS).unwrap_or(1)
}

fn main() {
    let events: Vec<String> = (0..EVENTS).map(event).collect();
    let bytes: usize = events.iter().map(String::len).sum();
    let slots = slots();
    let mut row = Row::default();
    let mut out = std::io::stdout();
    let mut say = |what: &str, took: Duration| {
        let _ = writeln!(
            out,
            "{what:<28} {:>6} ns an event of {} bytes",
            took.as_nanos(),
            bytes / EVENTS
        );
    };
    say(
        "Row::read",
        time(|| {
            for event in &events {
                let _ = black_box(row.read(&slots, event.as_bytes()));
            }
        }),
    );
    say(
        "Row::read_str",
        time(|| {
            for event in &events {
                let _ = black_box(row.read_str(&slots, event));
            }
        }),
    );
    let none = Slots::default();
    say(
        "Row::read, nothing wanted",
        time(|| {
            for event in &events {
                let _ = black_box(row.read_str(&none, event));
            }
        }),
    );
    say(
        "sonic_rs::Value",
        time(|| {
            for event in &events {
                let _ = black_box(sonic_rs::from_slice::<sonic_rs::Value>(event.as_bytes()));
            }
        }),
    );
    say(
        "skipping all",
        time(|| {
            for event in &events {
                let _ = black_box(sonic_rs::from_slice::<serde::de::IgnoredAny>(event.as_bytes()));
            }
        }),
    );
    say(
        "std UTF-8",
        time(|| {
            for event in &events {
                let _ = black_box(std::str::from_utf8(black_box(event.as_bytes())));
            }
        }),
    );

    let start = Instant::now();
    let schema = Schema::builtin();
    let _ = writeln!(
        out,
        "the built-in schema of {} fields takes {:?}",
        schema.fields().len(),
        start.elapsed()
    );
    let start = Instant::now();
    let names = schema.similar("process.comand_line");
    let _ = writeln!(
        out,
        "names like `process.comand_line` ({names:?}) take {:?}",
        start.elapsed()
    );
}
