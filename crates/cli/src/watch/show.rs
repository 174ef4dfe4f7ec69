//! Alerts as they come, a few lines each, for people.

use std::io::{self, Write};

use anstyle::Style;
use jiff::tz::TimeZone;
use neph_event::Instant;
use neph_rules::{Alert, Told};
use serde_json::Value;

use crate::detect::Tell;
use crate::table::{harmless, severity_style};
use crate::terminal::{Terminal, paint};

/// Characters of a name of the process tree that are shown.
const LONGEST_NAME: usize = 40;

/// Prints alerts as they come.
pub(super) struct Live {
    terminal: Terminal,
}

impl Live {
    pub(super) fn new(terminal: Terminal) -> Self {
        Self { terminal }
    }

    fn show(&self, alert: &Alert) -> io::Result<()> {
        let colour = self.terminal.colour_out;
        let mut out = io::stdout().lock();
        let severity = format!("{:<8}", alert.severity.word());
        writeln!(
            out,
            "{}  {}  {}",
            alert.last.map_or_else(|| "-".to_owned(), local),
            paint(colour, severity_style(alert.severity.word()), &severity),
            paint(colour, Style::new().bold(), &harmless(&alert.rule_name)),
        )?;
        writeln!(out, "  {}", harmless(&alert.reason))?;
        if let Some(event) = last_event(alert) {
            for line in [tree(event), place(event)].into_iter().flatten() {
                writeln!(out, "  {}", paint(colour, Style::new().dimmed(), &line))?;
            }
        }
        out.flush()
    }
}

impl Tell for Live {
    fn tell(&mut self, told: Told) -> io::Result<()> {
        match told {
            Told::Raised(alert) => self.show(&alert),
            // That an alert stands for more is no news to who watches.
            Told::Updated(_) => Ok(()),
            Told::Retracted(alert) => writeln!(
                io::stdout().lock(),
                "retracted: `{}` ({}), because an event came late",
                harmless(&alert.rule_name),
                alert.id
            ),
        }
    }

    fn end(&mut self, _: Option<Value>) -> io::Result<()> {
        io::stdout().lock().flush()
    }
}

/// A time as the clock on the wall shows it.
fn local(time: Instant) -> String {
    let nanos = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    match jiff::Timestamp::from_nanosecond(nanos) {
        Ok(time) => time
            .to_zoned(TimeZone::system())
            .strftime("%H:%M:%S%.3f")
            .to_string(),
        Err(_) => time.to_string(),
    }
}

/// The document of the last event of an alert.
fn last_event(alert: &Alert) -> Option<&Value> {
    let steps = alert
        .document
        .get("neph")?
        .get("alert")?
        .get("steps")?
        .as_array()?;
    let events = steps
        .iter()
        .rev()
        .filter_map(|step| step.get("events")?.as_array()?.last());
    events.filter_map(|event| event.get("document")).next()
}

/// Who started whom, from the leader of the session down to the process, as far as it is known.
fn tree(event: &Value) -> Option<String> {
    let process = event.get("process")?;
    let parent = process.get("parent");
    let ancestors = [
        process.get("entry_leader"),
        process.get("session_leader"),
        parent.and_then(|parent| parent.get("parent")),
        parent,
        Some(process),
    ];
    let mut known: Vec<(String, String)> = Vec::new();
    for ancestor in ancestors.into_iter().flatten() {
        let Some(pid) = ancestor.get("pid").and_then(Value::as_u64) else {
            continue;
        };
        let name = ancestor.get("name").and_then(Value::as_str).unwrap_or("?");
        let name: String = harmless(name).chars().take(LONGEST_NAME).collect();
        let identity = ancestor.get("entity_id").and_then(Value::as_str);
        let identity = identity.map_or_else(|| pid.to_string(), str::to_owned);
        // One process may be several of these; the last place is its own.
        known.retain(|(other, _)| *other != identity);
        known.push((identity, format!("{name} {pid}")));
    }
    let names: Vec<String> = known.into_iter().map(|(_, name)| name).collect();
    (!names.is_empty()).then(|| names.join(" › "))
}

/// In which container, by whom, and where.
fn place(event: &Value) -> Option<String> {
    let text = |path: &[&str]| {
        let mut value = event;
        for key in path {
            value = value.get(key)?;
        }
        let value = value.as_str().or_else(|| value.as_array()?.first()?.as_str())?;
        Some(harmless(value))
    };
    let mut parts = Vec::new();
    if let Some(id) = text(&["container", "id"]) {
        let id: String = id.chars().take(12).collect();
        let name = text(&["container", "name"]).unwrap_or_else(|| "?".to_owned());
        let image = text(&["container", "image", "name"]).unwrap_or_else(|| "?".to_owned());
        let tag = text(&["container", "image", "tag"]).map(|tag| format!(":{tag}"));
        // Some name it with its tag already.
        let tag = tag.filter(|tag| !image.ends_with(tag)).unwrap_or_default();
        parts.push(format!("container {name} ({id}), image {image}{tag}"));
    }
    if let Some(pod) = text(&["orchestrator", "resource", "name"]) {
        parts.push(format!("pod {pod}"));
    }
    for (path, what) in [
        (&["user", "name"][..], "user"),
        (&["process", "executable"][..], "program"),
        (&["process", "working_directory"][..], "in"),
    ] {
        if let Some(value) = text(path) {
            parts.push(format!("{what} {value}"));
        }
    }
    (!parts.is_empty()).then(|| parts.join("  "))
}
