//! Printing alerts as they come.

use std::io::{self, Write};

use anstyle::Style;
use neph_rules::{Alert, Told};
use serde_json::Value;

use super::Format;
use crate::table::{harmless, severity_style, table};
use crate::terminal::{Terminal, paint};

/// A table is laid out and printed after so many alerts, so that memory is bounded.
const PAGE: usize = 1000;

/// Prints alerts in one of the formats.
pub(crate) struct Printer {
    format: Format,
    why: bool,
    terminal: Terminal,
    page: Vec<Alert>,
    printed: u64,
    /// Room for an alert's text. Standard output looks for the end of a line in every piece that it is given, so an alert is one piece.
    line: Vec<u8>,
}

/// Tells of alerts as they come.
pub(crate) trait Tell {
    /// Tells of one.
    fn tell(&mut self, told: Told) -> io::Result<()>;

    /// Tells what is left, and the summary where the form holds one.
    fn end(&mut self, summary: Option<Value>) -> io::Result<()>;
}

impl Tell for Printer {
    fn tell(&mut self, told: Told) -> io::Result<()> {
        match told {
            Told::Raised(alert) => self.print(alert),
            Told::Updated(alert) => self.update(alert),
            Told::Retracted(alert) => self.retract(alert),
        }
    }

    fn end(&mut self, summary: Option<Value>) -> io::Result<()> {
        match self.format {
            Format::Table => self.flush_page(),
            Format::Ndjson => Ok(()),
            Format::Json => {
                let mut out = io::stdout().lock();
                if self.printed == 0 {
                    out.write_all(b"{\"alerts\":[")?;
                }
                writeln!(out, "],\"summary\":{}}}", summary.unwrap_or(Value::Null))
            }
        }
    }
}

impl Printer {
    pub(crate) fn new(format: Format, why: bool, terminal: Terminal) -> Self {
        Self {
            format,
            why,
            terminal,
            page: Vec::new(),
            printed: 0,
            line: Vec::new(),
        }
    }

    /// Tells that an alert counts more than when it was told, by the alert's document with a mark.
    fn update(&mut self, mut alert: Alert) -> io::Result<()> {
        if self.format == Format::Table {
            self.flush_page()?;
            let others = alert.document.get("kibana.alert.suppression.docs_count");
            return writeln!(
                io::stdout().lock(),
                "updated: alert {} of `{}` stands for {} more",
                alert.id,
                harmless(&alert.rule_name),
                text(others)
            );
        }
        mark(&mut alert, "updated");
        self.print(alert)
    }

    fn print(&mut self, alert: Alert) -> io::Result<()> {
        self.printed += 1;
        match self.format {
            Format::Table => {
                self.page.push(alert);
                if self.page.len() == PAGE {
                    self.flush_page()
                } else {
                    Ok(())
                }
            }
            Format::Ndjson => self.write(b"", &alert, b"\n"),
            Format::Json if self.printed == 1 => self.write(b"{\"alerts\":[\n", &alert, b""),
            Format::Json => self.write(b",\n", &alert, b""),
        }
    }

    /// Writes an alert's document between these.
    fn write(&mut self, before: &[u8], alert: &Alert, behind: &[u8]) -> io::Result<()> {
        self.line.clear();
        self.line.extend_from_slice(before);
        self.line.extend_from_slice(&alert.document.to_json());
        self.line.extend_from_slice(behind);
        io::stdout().lock().write_all(&self.line)
    }

    /// Tells that an alert does not hold any more, by the alert's document with a mark.
    fn retract(&mut self, mut alert: Alert) -> io::Result<()> {
        mark(&mut alert, "retracted");
        alert.document.change(|document| {
            document.insert("kibana.alert.workflow_status".into(), "closed".into());
            document.insert("kibana.alert.status".into(), "recovered".into());
        });
        if self.format == Format::Table {
            self.flush_page()?;
            return writeln!(
                io::stdout().lock(),
                "retracted: alert {} of `{}`, because an event came late",
                alert.id,
                alert.rule_name
            );
        }
        self.print(alert)
    }

    fn flush_page(&mut self) -> io::Result<()> {
        if self.page.is_empty() {
            return Ok(());
        }
        // Sequences are found later than single events; people read in the order of time.
        self.page.sort_by_key(|alert| alert.last);
        let mut rows = table(&["TIME", "SEVERITY", "RULE", "WHAT HAPPENED", "TECHNIQUES"]);
        for alert in &self.page {
            rows.add_row(vec![
                alert.last.map_or_else(|| "-".to_owned(), |time| time.to_string()),
                format!("{} {}", alert.severity.word(), alert.risk_score),
                harmless(&alert.rule_name),
                harmless(&alert.reason),
                techniques(alert),
            ]);
        }
        let mut out = io::stdout().lock();
        writeln!(out, "{rows}")?;
        if self.why {
            for alert in &self.page {
                self.explain(&mut out, alert)?;
            }
        }
        out.flush()?;
        self.page.clear();
        Ok(())
    }

    /// The events of an alert and why each condition held.
    fn explain(&self, out: &mut impl Write, alert: &Alert) -> io::Result<()> {
        let colour = self.terminal.colour_out;
        let bold = Style::new().bold();
        writeln!(
            out,
            "\n{} {}",
            paint(
                colour,
                severity_style(alert.severity.word()),
                &format!("[{}]", alert.severity.word())
            ),
            paint(colour, bold, &harmless(&alert.rule_name)),
        )?;
        writeln!(out, "  alert {}  rule {}", alert.id, alert.rule_id)?;
        writeln!(out, "  {}", harmless(&alert.reason))?;
        let own = alert.document.get("neph").and_then(|neph| neph.get("alert"));
        for step in list(own.and_then(|own| own.get("steps"))) {
            let number = step.get("step").and_then(Value::as_u64).unwrap_or(1);
            if step.get("missing").is_some() {
                writeln!(out, "  {number}. did not happen: {}", text(step.get("query")))?;
            }
            for event in list(step.get("events")) {
                let origin = event.get("origin");
                writeln!(
                    out,
                    "  {number}. {}  {}:{}  id {}",
                    text(event.get("time")),
                    text(origin.and_then(|origin| origin.get("source"))),
                    text(origin.and_then(|origin| origin.get("line"))),
                    text(event.get("id")),
                )?;
                if let Some(why) = event.get("why") {
                    self.node(out, why, 3, "")?;
                }
            }
        }
        Ok(())
    }

    fn node(&self, out: &mut impl Write, why: &Value, depth: usize, word: &str) -> io::Result<()> {
        let holds = why.get("holds").and_then(Value::as_bool).unwrap_or(false);
        let mark = if holds { "✓" } else { "✗" };
        let indent = "  ".repeat(depth);
        for (key, name) in [("all", "all of"), ("any", "any of")] {
            if let Some(parts) = why.get(key) {
                writeln!(out, "{indent}{mark} {word}{name}")?;
                for part in list(Some(parts)) {
                    // Of alternatives only the ones that held are of interest.
                    let skipped =
                        key == "any" && holds && part.get("holds").and_then(Value::as_bool) == Some(false);
                    if !skipped {
                        self.node(out, part, depth + 1, "")?;
                    }
                }
                return Ok(());
            }
        }
        if let Some(part) = why.get("not") {
            return match part.get("test") {
                Some(_) => self.test(out, part, mark, &indent, "not "),
                None => {
                    writeln!(out, "{indent}{mark} not")?;
                    self.node(out, part, depth + 1, "")
                }
            };
        }
        if why.get("constant").is_some() {
            return writeln!(out, "{indent}{mark} {word}always");
        }
        self.test(out, why, mark, &indent, word)
    }

    fn test(
        &self,
        out: &mut impl Write,
        test: &Value,
        mark: &str,
        indent: &str,
        word: &str,
    ) -> io::Result<()> {
        let mut line = format!("{indent}{mark} {word}{}", shortened(&text(test.get("test"))));
        let values: Vec<String> = list(test.get("values"))
            .iter()
            .map(|value| {
                let field = text(value.get("field"));
                match value.get("value") {
                    None | Some(Value::Null) => format!("{field} is missing"),
                    Some(value) => format!("{field} = {}", shortened(&harmless(&value.to_string()))),
                }
            })
            .collect();
        if !values.is_empty() {
            let dim = Style::new().dimmed();
            line.push_str("   ");
            line.push_str(&paint(
                self.terminal.colour_out,
                dim,
                &format!("← {}", values.join(", ")),
            ));
        }
        writeln!(out, "{line}")
    }
}

fn mark(alert: &mut Alert, word: &str) {
    alert.document.change(|document| {
        let neph = document.get_mut("neph");
        if let Some(Value::Object(own)) = neph.and_then(|neph| neph.get_mut("alert")) {
            own.insert(word.into(), true.into());
        }
    });
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => harmless(text),
        Some(other) => other.to_string(),
    }
}

/// Long lists and values are cut in the middle; the JSON forms hold all.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 120;
    let count = text.chars().count();
    if count <= LONGEST {
        return text.to_owned();
    }
    let head: String = text.chars().take(LONGEST * 2 / 3).collect();
    let tail: String = text.chars().skip(count - LONGEST / 4).collect();
    format!("{head} … {tail}")
}

/// The most exact ATT&CK ids of an alert.
fn techniques(alert: &Alert) -> String {
    let technique = alert
        .document
        .get("threat")
        .and_then(|threat| threat.get("technique"));
    let ids = |value: Option<&Value>| -> Vec<String> {
        match value.and_then(|value| value.get("id")) {
            Some(Value::Array(ids)) => ids.iter().map(|id| text(Some(id))).collect(),
            Some(id) => vec![text(Some(id))],
            None => Vec::new(),
        }
    };
    let fine = ids(technique.and_then(|technique| technique.get("subtechnique")));
    let coarse = ids(technique);
    let mut all: Vec<String> = coarse
        .into_iter()
        .filter(|id| !fine.iter().any(|fine| fine.starts_with(&format!("{id}."))))
        .collect();
    all.extend(fine);
    all.sort();
    all.dedup();
    all.join(" ")
}
