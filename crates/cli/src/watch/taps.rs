//! Where events go beside the rules: standard output, a file, another service.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use neph_outputs::{RANKS, ShipOptions, Shipper};
use neph_sensor::{Cause, Class, Lost};

use super::Args;
use super::sight::Sight;
use crate::exit::{Exit, Failure};
use crate::terminal::Terminal;

/// How long what was seen last may take to be brought away at the end; what is left stays in the buffer.
const LAST: Duration = Duration::from_secs(5);

/// The classes of the ranks by which a buffer gives records up.
const CLASSES: [Class; RANKS] = [Class::Exec, Class::Connect, Class::Open, Class::Fork, Class::Exit];

/// Where events go.
pub(super) struct Taps {
    prints: bool,
    record: Option<(PathBuf, File)>,
    shipper: Option<Shipper>,
}

impl Taps {
    pub(super) fn open(args: &Args) -> Result<Self, Failure> {
        let record = match &args.record {
            None => None,
            Some(path) => {
                // Arguments of programs may hold secrets.
                let mut options = OpenOptions::new();
                let file = options
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(path);
                Some((path.clone(), file.map_err(|source| unwritable(path, source))?))
            }
        };
        let shipper = match (&args.ship.ship, &args.ship.token_file) {
            (Some(url), Some(path)) => {
                let token = std::fs::read_to_string(path).map_err(|source| Failure::Read {
                    path: path.display().to_string(),
                    source,
                })?;
                let options = ShipOptions {
                    url: url.clone(),
                    token: token.trim().to_owned(),
                    authority: args.ship.ca.clone(),
                    host: args.sensor.host_name.clone().unwrap_or_else(host),
                    buffer: args.ship.buffer.clone(),
                    buffer_bytes: args.ship.buffer_size,
                };
                let shipper =
                    Shipper::start(&options).map_err(|error| Failure::Message(error.to_string()))?;
                Some(shipper)
            }
            _ => None,
        };
        Ok(Self {
            prints: args.events,
            record,
            shipper,
        })
    }

    /// Whether a service judges the events.
    pub(super) fn ships(&self) -> bool {
        self.shipper.is_some()
    }

    /// Takes events, one a line.
    pub(super) fn take(&mut self, lines: &[u8], sight: &mut Sight) -> Result<(), Failure> {
        if lines.is_empty() {
            return Ok(());
        }
        if let Some((path, file)) = &mut self.record {
            file.write_all(lines).map_err(|source| unwritable(path, source))?;
        }
        if self.prints {
            let mut out = std::io::stdout().lock();
            out.write_all(lines)?;
            out.flush()?;
        }
        if let Some(shipper) = &self.shipper {
            let shed = shipper
                .put(lines, rank)
                .map_err(|error| Failure::Message(format!("the buffer fails: {error}")))?;
            for (class, count) in CLASSES.into_iter().zip(shed).filter(|(_, count)| *count > 0) {
                let cause = Cause::Shed;
                sight.note_lost(Lost { class, cause, count });
            }
        }
        Ok(())
    }

    /// Lets what was seen last be brought away, and says what became of it.
    pub(super) fn finish(self, terminal: &Terminal) -> Exit {
        let Some(shipper) = self.shipper else {
            return Exit::Nothing;
        };
        let counts = shipper.stop(LAST);
        terminal.note_plain(&format!(
            "{} acknowledged by the service; {} bytes wait in the buffer",
            crate::input::plural(counts.sent, "event"),
            counts.waiting_bytes
        ));
        if counts.refused > 0 {
            let refused = crate::input::plural(counts.refused, "event");
            terminal.warning(&format!("the service refused {refused} for good"));
        }
        if let Some(error) = counts.error {
            terminal.warning(&format!("the service does not take more now: {error}"));
        }
        Exit::Nothing
    }
}

fn unwritable(path: &std::path::Path, source: std::io::Error) -> Failure {
    Failure::Write {
        path: path.display().to_string(),
        source,
    }
}

/// The name of this machine.
pub(crate) fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

/// How early an event is given up where there is little room; what is no event of a class never is before there is none.
fn rank(line: &[u8]) -> usize {
    let document: Option<serde_json::Value> = serde_json::from_slice(line).ok();
    let event = document.as_ref().and_then(|document| document.get("event"));
    let text = |key: &str| {
        event
            .and_then(|event| event.get(key)?.as_str())
            .unwrap_or_default()
    };
    match (text("dataset"), text("action")) {
        ("endpoint.events.network", "disconnect_received") => 3,
        ("endpoint.events.network", _) => 1,
        ("endpoint.events.file", _) => 2,
        ("endpoint.events.process", "fork") => 3,
        ("endpoint.events.process", "end") => 4,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_least_has_the_highest_rank() {
        let line = |dataset: &str, action: &str| {
            format!(r#"{{"event":{{"dataset":"endpoint.events.{dataset}","action":"{action}"}}}}"#)
        };
        let ranks = [
            ("process", "exec", Class::Exec),
            ("process", "already_running", Class::Exec),
            ("network", "connection_attempted", Class::Connect),
            ("file", "open", Class::Open),
            ("process", "fork", Class::Fork),
            ("process", "end", Class::Exit),
        ];
        for (dataset, action, class) in ranks {
            let rank = rank(line(dataset, action).as_bytes());
            assert_eq!(CLASSES[rank], class, "{dataset} {action}");
        }
        // What is about the sensor itself is kept as long as anything is, and what cannot be read, too.
        assert_eq!(
            rank(br#"{"event":{"dataset":"neph.sensor","action":"sensor_lost"}}"#),
            0
        );
        assert_eq!(rank(b"no document"), 0);
    }
}
