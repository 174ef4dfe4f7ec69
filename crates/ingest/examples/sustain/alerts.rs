//! The planted events, and their alerts as they come by server-sent events.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Outcome, percentiles};

/// A planted event.
#[derive(Clone, Copy, Debug)]
struct Plant {
    sent: Instant,
    acknowledged: Option<Instant>,
    alerted: Option<Instant>,
    /// Of the alert's id, and whether there is another alert.
    id: u64,
    is_twice: bool,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Planted {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    plants: Vec<Plant>,
    /// Alerts of anything else, and how often the stream had to be opened again.
    others: u64,
    resets: u64,
}

impl Planted {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a further one.
    pub(crate) fn plant(&self, sent: Instant) -> u64 {
        let mut state = self.state();
        state.plants.push(Plant {
            sent,
            acknowledged: None,
            alerted: None,
            id: 0,
            is_twice: false,
        });
        state.plants.len() as u64 - 1
    }

    pub(crate) fn acknowledged(&self, number: u64) {
        if let Some(plant) = self.state().plants.get_mut(number as usize) {
            plant.acknowledged = Some(Instant::now());
        }
    }

    /// How many have no alert yet.
    pub(crate) fn waiting(&self) -> usize {
        let state = self.state();
        state
            .plants
            .iter()
            .filter(|plant| plant.alerted.is_none())
            .count()
    }

    fn told(&self, data: &str) {
        let mut state = self.state();
        let number = data.split_once("\"planted-").and_then(|(_, rest)| {
            let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next()?;
            digits.parse::<usize>().ok()
        });
        match number.and_then(|number| state.plants.get_mut(number)) {
            Some(plant) => {
                // An alert may be told again, when something of it changes.
                let id = data
                    .split_once("\"id\":\"")
                    .and_then(|(_, id)| id.split('"').next());
                let mut hasher = DefaultHasher::new();
                id.hash(&mut hasher);
                let id = hasher.finish();
                match plant.alerted {
                    None => (plant.alerted, plant.id) = (Some(Instant::now()), id),
                    Some(_) => plant.is_twice |= plant.id != id,
                }
            }
            None => state.others += 1,
        }
    }

    pub(crate) fn result(&self) -> serde_json::Value {
        let state = self.state();
        let times = |from: fn(&Plant) -> Option<Instant>| -> Vec<Duration> {
            let times = state
                .plants
                .iter()
                .filter_map(|plant| Some(plant.alerted?.saturating_duration_since(from(plant)?)));
            times.collect()
        };
        serde_json::json!({
            "planted": state.plants.len(),
            "without": state.plants.iter().filter(|plant| plant.alerted.is_none()).count(),
            "twice": state.plants.iter().filter(|plant| plant.is_twice).count(),
            "others": state.others,
            "resets": state.resets,
            "sent_to_alert": percentiles(times(|plant| Some(plant.sent))),
            "acknowledged_to_alert": percentiles(times(|plant| plant.acknowledged)),
        })
    }
}

/// Listens to changes of alerts until the program ends.
pub(crate) fn listen(address: &str, token: &str, planted: Arc<Planted>) -> Outcome<JoinHandle<()>> {
    let mut stream = TcpStream::connect(address)?;
    let head = format!(
        "GET /api/v1/stream HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\naccept: text/event-stream\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let mut reader = BufReader::with_capacity(256 << 10, stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    if !line.contains(" 200 ") {
        return Err(format!("the stream of alerts is not given: {}", line.trim()).into());
    }
    while !line.trim().is_empty() {
        line.clear();
        reader.read_line(&mut line)?;
    }
    Ok(std::thread::spawn(move || {
        // The connection ends with the service.
        let _ = read_events(&mut reader, &planted);
    }))
}

/// Reads events, which come in chunks.
fn read_events(reader: &mut BufReader<TcpStream>, planted: &Planted) -> Outcome<()> {
    let (mut line, mut text) = (String::new(), Vec::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let length = usize::from_str_radix(line.trim(), 16)?;
        let old = text.len();
        text.resize(old + length + 2, 0);
        reader.read_exact(text.get_mut(old..).unwrap_or_default())?;
        text.truncate(old + length);
        while let Some(end) = memchr::memmem::find(&text, b"\n\n") {
            let event: Vec<u8> = text.drain(..end + 2).collect();
            let event = String::from_utf8_lossy(&event);
            for line in event.lines() {
                if let Some(data) = line.strip_prefix("data: ") {
                    planted.told(data);
                } else if line == "event: reset" {
                    planted.state().resets += 1;
                }
            }
        }
    }
}
