//! ECS documents of what was seen, in the form in which Elastic's endpoint writes them.

use crate::host::Host;
use crate::observation::Observation;
use crate::options::Options;
use crate::source::Mode;

/// Writes documents.
#[derive(Debug)]
pub(crate) struct Writer {
    host: Host,
    mode: Mode,
}

impl Writer {
    pub(crate) fn new(options: &Options, mode: Mode) -> Self {
        Self {
            host: Host::read(&options.host),
            mode,
        }
    }

    /// Appends the documents of an observation, and returns how many.
    pub(crate) fn write(&mut self, observation: &Observation, lines: &mut Vec<u8>) -> usize {
        use serde_json::json;
        let wall = crate::clock::Wall::now();
        let time = |at| {
            let nanos = wall.of(at);
            jiff::Timestamp::from_nanosecond(nanos)
                .map(|t| t.to_string())
                .unwrap_or_default()
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut document = match observation {
            Observation::Exec(exec) => json!({
                "@timestamp": time(exec.at),
                "event": {"kind": "event", "category": ["process"], "type": ["start"], "action": "exec", "module": "endpoint", "dataset": "endpoint.events.process"},
                "data_stream": {"type": "logs", "dataset": "endpoint.events.process", "namespace": "default"},
                "process": {
                    "pid": exec.process.pid, "executable": text(&exec.executable),
                    "name": text(exec.executable.rsplit(|b| *b == b'/').next().unwrap_or_default()),
                    "args": exec.args.iter().flatten().map(|arg| text(arg)).collect::<Vec<_>>(),
                    "command_line": exec.args.iter().flatten().map(|arg| text(arg)).collect::<Vec<_>>().join(" "),
                }
            }),
            Observation::Exit { at, process, .. } => json!({
                "@timestamp": time(*at),
                "event": {"kind": "event", "category": ["process"], "type": ["end"], "action": "end", "module": "endpoint", "dataset": "endpoint.events.process"},
                "process": {"pid": process.pid}
            }),
            _ => return 0,
        };
        if let (Some(map), Ok(host)) = (document.as_object_mut(), serde_json::to_value(&self.host)) {
            map.insert("host".to_owned(), host);
            map.insert("neph".to_owned(), json!({"sensor": {"mode": self.mode.name()}}));
        }
        if serde_json::to_writer(&mut *lines, &document).is_ok() {
            lines.push(b'\n');
            return 1;
        }
        0
    }
}
