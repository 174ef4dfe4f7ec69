//! Sends generated logs of several sources by `_bulk` to a service for as long as is wished, as many clients would, with
//! numbered events among them that must alert, and measures the way from sending one to its alert:
//!
//! ```text
//! cargo run --release -p neph-ingest --example sustain -- --address HOST:PORT --token TOKEN [--seconds N] [--events N]
//!     [--rate EVENTS/S] [--connections N] [--batch N] [--plant-millis N] [--gzip] INDEX=WEIGHT=FILE.ndjson...
//! ```
//!
//! Bodies are made beforehand; of each only numbers and times are written anew before it is sent, so that every event has an
//! id of its own and happened just now. What is refused with 429 or 503 is sent again. Progress and the result are told as
//! lines of JSON. With `--write FILE` nothing is sent: the events that would be are written as a store exports them.
//! `bench/serve.py` runs it beside a service.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

mod alerts;
mod bodies;
mod sending;

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use alerts::Planted;
use bodies::{Corpus, Now};
use sending::Load;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What the command line says.
#[derive(Clone, Debug)]
struct Options {
    address: String,
    token: String,
    seconds: Option<f64>,
    events: Option<u64>,
    rate: f64,
    connections: usize,
    batch: usize,
    plant: Duration,
    gzip: bool,
    write: Option<String>,
    corpora: Vec<String>,
}

/// Alerts of planted events may come so long after the last was sent.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two lines of progress.
const TELLS: Duration = Duration::from_secs(1);

fn options() -> Outcome<Options> {
    let mut options = Options {
        address: String::new(),
        token: String::new(),
        seconds: None,
        events: None,
        rate: 0.0,
        connections: 8,
        batch: 1000,
        plant: Duration::from_millis(200),
        gzip: false,
        write: None,
        corpora: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("`{argument}` needs a value"));
        match argument.as_str() {
            "--address" => options.address = value()?,
            "--token" => options.token = value()?,
            "--seconds" => options.seconds = Some(value()?.parse()?),
            "--events" => options.events = Some(value()?.parse()?),
            "--rate" => options.rate = value()?.parse()?,
            "--connections" => options.connections = value()?.parse()?,
            "--batch" => options.batch = value()?.parse()?,
            "--plant-millis" => options.plant = Duration::from_millis(value()?.parse()?),
            "--gzip" => options.gzip = true,
            "--write" => options.write = Some(value()?),
            _ => options.corpora.push(argument),
        }
    }
    Ok(options)
}

fn main() -> Outcome<()> {
    let options = options()?;
    let corpora: Vec<Corpus> = options
        .corpora
        .iter()
        .map(|corpus| Corpus::read(corpus, options.batch))
        .collect::<Outcome<_>>()?;
    match &options.write {
        Some(path) => write(path, &options, corpora),
        None => send(&options, corpora),
    }
}

/// Writes the events that would be sent.
fn write(path: &str, options: &Options, mut corpora: Vec<Corpus>) -> Outcome<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let events = options.events.ok_or("`--write` needs `--events`")?;
    let rate = if options.rate > 0.0 {
        options.rate
    } else {
        50_000.0
    };
    let begin = Now::of_system();
    let mut written = 0;
    while written < events {
        let mut body = bodies::next(&mut corpora).ok_or("no events are given")?;
        let seconds = written as f64 / rate;
        body.stamp(&begin.later(seconds as i64), written);
        let corpus = corpora.get_mut(body.corpus).ok_or("no events are given")?;
        body.write_hits(&corpus.index, &mut out)?;
        written += body.events;
        corpus.give_back(body);
    }
    out.flush()?;
    println!("{}", serde_json::json!({ "events": written }));
    Ok(())
}

fn send(options: &Options, corpora: Vec<Corpus>) -> Outcome<()> {
    let planted = Arc::new(Planted::default());
    let load = Arc::new(Load::new(options.clone(), corpora, Arc::clone(&planted)));
    let listener = alerts::listen(&options.address, &options.token, Arc::clone(&planted))?;
    let began = Instant::now();
    let senders: Vec<_> = (0..options.connections)
        .map(|_| {
            let load = Arc::clone(&load);
            std::thread::spawn(move || load.run())
        })
        .collect();
    while senders.iter().any(|sender| !sender.is_finished()) {
        std::thread::sleep(TELLS);
        println!("{}", load.progress());
    }
    let seconds = began.elapsed().as_secs_f64();
    let mut problems = Vec::new();
    for sender in senders {
        match sender.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => problems.push(error.to_string()),
            Err(_) => problems.push("a sender failed".to_owned()),
        }
    }
    let waited = Instant::now();
    while planted.waiting() > 0 && waited.elapsed() < PATIENCE && !listener.is_finished() {
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut result = load.progress();
    if let Some(result) = result.as_object_mut() {
        result.insert("done".into(), true.into());
        result.insert("seconds".into(), seconds.into());
        let rate = load.acknowledged.load(Ordering::Relaxed) as f64 / seconds;
        result.insert("rate".into(), rate.into());
        result.insert("acknowledgement".into(), load.latencies());
        result.insert("alerts".into(), planted.result());
        result.insert("problems".into(), problems.into());
    }
    println!("{result}");
    Ok(())
}

/// Percentiles of times in milliseconds.
fn percentiles(mut times: Vec<Duration>) -> serde_json::Value {
    times.sort_unstable();
    let at = |part: f64| {
        let place = (times.len() as f64 * part) as usize;
        let time = times.get(place.min(times.len().saturating_sub(1)));
        time.map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    serde_json::json!({
        "count": times.len(), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999), "max": at(1.0),
    })
}
