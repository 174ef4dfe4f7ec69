//! Overlays: what tunes rules whose files stay as they are.
//!
//! An overlay is one file for one purpose. It selects rules by id, tag or technique and says what is different for them:
//! exceptions, severity, risk, suppression, schedule, whether they run. It names who answers for it, why it is there and until
//! when. `docs/overlays.md` describes the form.
//!
//! What an overlay no longer fits is reported where it says so, never passed over: a rule that is not there any more, a step
//! that a rule no longer has, a version or a field that the overlay counts on.

mod apply;

use std::path::Path;
use std::sync::Arc;

use neph_diag::{Diagnostic, Span, has_errors};
use neph_event::{Field, Instant, Schema};
use neph_plan::{Condition, Query};
use serde::Serialize;

use crate::check::Findings;
use crate::codes;
use crate::compile::now;
use crate::embedded::Embedded;
use crate::exceptions::{self, Draft, Raw};
use crate::file;
use crate::keys;
use crate::lists::Lists;
use crate::rule::RuleSeverity;
use crate::schedule::{parse_date_math, parse_interval};
use crate::suppression::{self, Suppression};
use crate::upkeep::{self, Upkeep};
use crate::yaml_document;
use neph_document::{Data, Node, Table};

pub(crate) use apply::{Taken, apply};

/// An overlay, as the load report tells of it.
#[derive(Clone, Debug, Serialize)]
pub struct OverlayReport {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// Who answers for it, why, until when.
    #[serde(flatten)]
    pub upkeep: Upkeep,
    /// Ids of the rules that it changes.
    pub rules: Vec<String>,
    /// Exceptions that it states.
    pub exceptions: usize,
    /// Whether something in it is wrong or no longer fits; its file's diagnostics say what.
    pub has_problems: bool,
}

/// An overlay as it was read.
#[derive(Debug)]
pub(crate) struct Overlay {
    pub(crate) name: String,
    pub(crate) upkeep: Upkeep,
    pub(crate) ids: Vec<(String, Span)>,
    pub(crate) tags: Vec<(String, Span)>,
    pub(crate) techniques: Vec<(String, Span)>,
    pub(crate) pins: Vec<Pin>,
    pub(crate) exceptions: Vec<Draft>,
    pub(crate) severity: Option<RuleSeverity>,
    pub(crate) risk_score: Option<u8>,
    pub(crate) suppression: Option<Switch>,
    pub(crate) interval: Option<(String, u64)>,
    pub(crate) from: Option<(String, u64)>,
    pub(crate) max_signals: Option<u64>,
    pub(crate) enabled: Option<bool>,
}

/// Suppression is switched off, or as stated.
#[derive(Debug)]
pub(crate) enum Switch {
    Off,
    On(Suppression),
}

/// What an overlay counts on in a rule.
#[derive(Debug)]
pub(crate) struct Pin {
    pub(crate) rule: (String, Span),
    pub(crate) version: Option<(String, Span)>,
    pub(crate) reads: Vec<(String, Span)>,
}

/// What a file came to.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) overlays: Vec<Overlay>,
    /// Kibana's exception lists and their items, from an export.
    pub(crate) exceptions: Vec<Raw>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Reads the overlays of a file's text. `Err` says why it is no file of overlays at all.
pub(crate) fn read(path: &Path, text: &str, lists: &Lists, at: Instant) -> Result<Reading, String> {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let mut reading = Reading::default();
    let mut documents = Vec::new();
    match ending.map(str::to_ascii_lowercase).as_deref() {
        Some("yml" | "yaml") => {
            for (root, mut diagnostics) in yaml_document::parse(text) {
                reading.diagnostics.append(&mut diagnostics);
                documents.extend(root);
            }
        }
        Some("toml") => {
            let (table, mut diagnostics) = neph_document::toml::parse(text, &codes::SYNTAX);
            reading.diagnostics.append(&mut diagnostics);
            documents.push(Node {
                span: Span::default(),
                data: Data::Table(table),
            });
        }
        Some("json") => match neph_document::json::parse(text, 0, &codes::SYNTAX) {
            Ok(root) => documents.push(root),
            Err(error) => reading.diagnostics.push(*error),
        },
        // Exception lists as Kibana exports them.
        Some("ndjson" | "jsonl") => {
            let contents = file::read(path, file::Format::Ndjson, text)?;
            reading.exceptions = contents.exceptions;
            reading.diagnostics = contents.diagnostics;
            return Ok(reading);
        }
        _ => {
            return Err("its name does not end with `.yml`, `.yaml`, `.toml`, `.json` or `.ndjson`".into());
        }
    }
    for document in &documents {
        let Some(table) = document.as_table() else {
            let message = format!("an overlay is a table, but this is {}", document.kind());
            reading
                .diagnostics
                .push(Diagnostic::new(&codes::VALUE_TYPE, document.span, message));
            continue;
        };
        let mut reader = Reader {
            path,
            text,
            lists,
            at,
            diagnostics: Vec::new(),
        };
        let overlay = reader.overlay(table, document.span);
        reading.overlays.push(overlay);
        reading.diagnostics.append(&mut reader.diagnostics);
    }
    Ok(reading)
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    lists: &'a Lists,
    at: Instant,
    diagnostics: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn refuse(&mut self, place: Span, message: String, help: &str) {
        self.diagnostics
            .push(Diagnostic::new(&codes::VALUE, place, message).with_help(help));
    }

    fn overlay(&mut self, table: &Table, place: Span) -> Overlay {
        let mut findings = Findings::default();
        findings.check(table, place, "overlay", keys::OVERLAY, None);
        self.diagnostics.append(&mut findings.diagnostics);
        let stem = self
            .path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        let name = match table.trimmed("name") {
            name if name.is_empty() => stem.unwrap_or_default(),
            name => name,
        };
        let noun = format!("the overlay `{name}`");
        let upkeep = upkeep::read(table, self.text, &noun, self.at, &mut self.diagnostics);
        let select = table.table("select");
        let [ids, tags, techniques] = ["ids", "tags", "techniques"]
            .map(|key| select.map_or_else(Vec::new, |select| texts(select, key)));
        if select.is_some() && ids.is_empty() && tags.is_empty() && techniques.is_empty() {
            let place = table.get("select").map_or(place, |node| node.span);
            self.refuse(
                place,
                "the overlay selects no rule".into(),
                "name `ids`, `tags` or `techniques`",
            );
        }
        let exceptions = self.exceptions(table, &upkeep);
        let schedule = table.table("schedule");
        Overlay {
            ids,
            tags,
            techniques,
            pins: self.pins(table),
            exceptions,
            severity: self.severity(table),
            risk_score: self.risk_score(table),
            suppression: self.suppression(table),
            interval: schedule.and_then(|schedule| self.interval(schedule)),
            from: schedule.and_then(|schedule| self.from(schedule)),
            max_signals: self.max_signals(table),
            enabled: table.boolean("enabled"),
            name,
            upkeep,
        }
    }

    fn pins(&mut self, table: &Table) -> Vec<Pin> {
        let mut pins = Vec::new();
        for (pin, _) in table.tables("pins") {
            let Some(rule) = pin
                .get("rule")
                .and_then(|node| Some((node.as_text()?.to_owned(), node.span)))
            else {
                continue;
            };
            let version = pin.get("version").and_then(|node| {
                let text = yaml_document::written(node, self.text)?;
                Some((text.to_owned(), node.span))
            });
            pins.push(Pin {
                rule,
                version,
                reads: texts(pin, "reads"),
            });
        }
        pins
    }

    fn exceptions(&mut self, table: &Table, of: &Upkeep) -> Vec<Draft> {
        let mut drafts = Vec::new();
        for (position, (exception, place)) in table.tables("exceptions").enumerate() {
            let known = self.diagnostics.len();
            let name = match exception.trimmed("name") {
                name if name.is_empty() => format!("exception {}", position + 1),
                name => name,
            };
            let noun = format!("the exception `{name}`");
            let mut upkeep = upkeep::read(exception, self.text, &noun, self.at, &mut self.diagnostics);
            upkeep.owner = upkeep.owner.or_else(|| of.owner.clone());
            upkeep.reason = upkeep.reason.or_else(|| of.reason.clone());
            let (fields, condition) = match (exception.table("fields"), exception.get("when")) {
                (Some(pairs), None) => {
                    exceptions::pairs(pairs, self.text, self.lists, place, &mut self.diagnostics)
                }
                (None, Some(when)) => match self.when(when, exception.get("language")) {
                    Some(made) => made,
                    None => continue,
                },
                (both, _) => {
                    let says = if both.is_some() { "both" } else { "neither" };
                    let message = format!("the exception `{name}` says {says} of `when` and `fields`");
                    let help = "`when` is a condition in KQL or EQL, `fields` are fields and what they are; say one of them";
                    self.refuse(place, message, help);
                    continue;
                }
            };
            if !has_errors(self.diagnostics.get(known..).unwrap_or(&[])) && !upkeep.is_expired {
                drafts.push(Draft {
                    name,
                    upkeep,
                    fields,
                    condition,
                });
            }
        }
        drafts
    }

    /// A condition in KQL or EQL, and the fields that it reads.
    fn when(&mut self, when: &Node, language: Option<&Node>) -> Option<(Vec<Arc<Field>>, Condition)> {
        let query = when.as_text()?;
        let word = language.and_then(Node::as_text).unwrap_or("kuery");
        let (plan, mut diagnostics, front) = match word {
            "kuery" | "kql" => {
                let options = neph_kql::CompileOptions::new(neph_kql::Dialect::Kql, Schema::builtin(), now());
                let compiled = neph_kql::compile(query, &options);
                (compiled.plan, compiled.diagnostics, 0)
            }
            "eql" => {
                let front = "any where ";
                let options = neph_eql::CompileOptions::new(Schema::builtin(), now());
                let compiled = neph_eql::compile(&format!("{front}{query}"), &options);
                (compiled.plan, compiled.diagnostics, front.len())
            }
            other => {
                let place = language.map_or(when.span, |node| node.span);
                let help = "the languages of conditions are `kuery` (KQL) and `eql`";
                self.refuse(place, format!("`{other}` is not a language of conditions"), help);
                return None;
            }
        };
        let map = self.embedded(when, query);
        for diagnostic in &mut diagnostics {
            let back = |span: Span| {
                Span::new(
                    (span.start as usize).saturating_sub(front),
                    (span.end as usize).saturating_sub(front),
                )
            };
            let moved = diagnostic.clone().map_spans(back, |_| None);
            *diagnostic = map.place(moved);
        }
        self.diagnostics.append(&mut diagnostics);
        let plan = plan?;
        match plan.query {
            Query::Events(events) if plan.limits.is_empty() => Some((plan.fields, events.condition)),
            _ => {
                let help =
                    "an exception looks at one event: a condition, without a sequence and without pipes";
                self.refuse(when.span, "this is not a condition".into(), help);
                None
            }
        }
    }

    /// The way from a condition's offsets to the file's, where it is written out as it is.
    fn embedded(&self, node: &Node, value: &str) -> Embedded {
        let raw = node.span.text(self.text);
        match raw.find(value) {
            Some(at) => {
                let start = node.span.start as usize + at;
                Embedded::part(Span::new(start, start + value.len()))
            }
            None => Embedded::elsewhere(node.span),
        }
    }

    fn severity(&mut self, table: &Table) -> Option<RuleSeverity> {
        let node = table.get("severity")?;
        let word = node.as_text()?;
        let severity = RuleSeverity::from_word(word);
        if severity.is_none() {
            let help = "the severities are `low`, `medium`, `high` and `critical`";
            self.refuse(node.span, format!("`{word}` is not a severity"), help);
        }
        severity
    }

    fn risk_score(&mut self, table: &Table) -> Option<u8> {
        let number = table.integer("risk_score")?;
        let score = u8::try_from(number).ok().filter(|score| *score <= 100);
        if score.is_none() {
            let place = table.get("risk_score").map_or(Span::default(), |node| node.span);
            self.refuse(
                place,
                format!("the risk score {number} is outside 0 to 100"),
                "0 is none, 100 the worst",
            );
        }
        score
    }

    fn max_signals(&mut self, table: &Table) -> Option<u64> {
        let number = table.integer("max_signals")?;
        let count = u64::try_from(number).ok().filter(|count| *count > 0);
        if count.is_none() {
            let place = table.get("max_signals").map_or(Span::default(), |node| node.span);
            let message = format!("`max_signals` is {number}, but must be at least 1");
            self.refuse(
                place,
                message,
                "it is the number of alerts of one run that are raised singly",
            );
        }
        count
    }

    fn suppression(&mut self, table: &Table) -> Option<Switch> {
        let node = table.get("suppression")?;
        match &node.data {
            Data::Bool(false) => Some(Switch::Off),
            Data::Text(word) if word == "off" => Some(Switch::Off),
            Data::Table(_) => suppression::read(node, None, &mut self.diagnostics).map(Switch::On),
            _ => {
                let help = "a table with `group_by` and `duration`, or `off`";
                self.refuse(
                    node.span,
                    format!("a suppression is a table or `off`, but this is {}", node.kind()),
                    help,
                );
                None
            }
        }
    }

    fn interval(&mut self, schedule: &Table) -> Option<(String, u64)> {
        let node = schedule.get("interval")?;
        let text = node.as_text()?;
        let nanos = parse_interval(text);
        if nanos.is_none() {
            let help = "a number and one of `s`, `m`, `h`, `d`, for example `5m`";
            self.refuse(node.span, format!("`{text}` is not an interval"), help);
        }
        Some((text.to_owned(), nanos?))
    }

    fn from(&mut self, schedule: &Table) -> Option<(String, u64)> {
        let node = schedule.get("from")?;
        let text = node.as_text()?;
        let nanos = parse_date_math(text).filter(|distance| *distance < 0);
        if nanos.is_none() {
            let help = "`now` and a distance back, for example `now-9m` or `now-1h`";
            self.refuse(
                node.span,
                format!("`{text}` is not date math into the past"),
                help,
            );
        }
        Some((text.to_owned(), nanos?.unsigned_abs()))
    }
}

/// The texts of a list, or of a text that stands alone, with their places.
fn texts(table: &Table, key: &str) -> Vec<(String, Span)> {
    let Some(node) = table.get(key) else {
        return Vec::new();
    };
    let alone = node.as_text().map(|text| (text.trim().to_owned(), node.span));
    let items = node
        .items()
        .iter()
        .filter_map(|item| Some((item.as_text()?.trim().to_owned(), item.span)));
    items.chain(alone).collect()
}
