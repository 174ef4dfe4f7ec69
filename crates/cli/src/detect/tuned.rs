//! What overlays, exceptions and suppression kept from becoming alerts.

use std::collections::BTreeMap;

use neph_rules::{AlertFlow, ExceptionSource, RuleException, Suppressed};
use serde_json::{Value, json};

use super::session::Active;
use crate::input::plural;
use crate::terminal::Terminal;

/// Events that exceptions kept from rules, by where the exceptions come from and their names.
#[derive(Default)]
pub(super) struct Past(BTreeMap<(ExceptionSource, String), u64>);

impl Past {
    pub(super) fn add(&mut self, exceptions: &[RuleException], excepted: &[u64]) {
        for (exception, count) in exceptions.iter().zip(excepted) {
            *self
                .0
                .entry((exception.source.clone(), exception.name.clone()))
                .or_default() += count;
        }
    }
}

/// Counts by overlay, by exception list and by rule.
pub(super) struct Tuned {
    pub(super) overlays: Vec<Value>,
    pub(super) lists: Vec<Value>,
    pub(super) suppressed: Vec<Value>,
    lines: Vec<String>,
}

impl Tuned {
    pub(super) fn new(active: &Active, past: &Past, flow: &AlertFlow) -> Self {
        let report = &active.report;
        // Exceptions that are gone by now count for their overlay or list.
        let mut by_source: BTreeMap<&ExceptionSource, (u64, Vec<Value>)> = BTreeMap::new();
        for ((source, _), excepted) in &past.0 {
            by_source.entry(source).or_default().0 += excepted;
        }
        for exception in &active.exceptions {
            let (_, each) = by_source.entry(&exception.source).or_default();
            let excepted = past.0.get(&(exception.source.clone(), exception.name.clone()));
            each.push(json!({
                "name": exception.name,
                "owner": exception.upkeep.owner,
                "reason": exception.upkeep.reason,
                "expires": exception.upkeep.expires,
                "rules": exception.rules.len(),
                "excepted": excepted.unwrap_or(&0),
            }));
        }
        let suppressed = flow.suppressed();
        let mut tuned = Self {
            overlays: Vec::new(),
            lists: Vec::new(),
            suppressed: Vec::new(),
            lines: Vec::new(),
        };
        for overlay in &report.overlays {
            let source = ExceptionSource::Overlay(overlay.name.clone());
            let (excepted, each) = by_source.remove(&source).unwrap_or_default();
            let by_overlay = |one: &&Suppressed| one.overlay.as_ref() == Some(&overlay.name);
            let alerts: u64 = suppressed.iter().filter(by_overlay).map(|one| one.count).sum();
            if excepted + alerts > 0 {
                tuned.lines.push(format!(
                    "overlay `{}`: {} excepted, {} suppressed",
                    overlay.name,
                    plural(excepted, "event"),
                    plural(alerts, "alert")
                ));
            }
            tuned.overlays.push(json!({
                "name": overlay.name,
                "file": overlay.file,
                "owner": overlay.upkeep.owner,
                "reason": overlay.upkeep.reason,
                "expires": overlay.upkeep.expires,
                "is_expired": overlay.upkeep.is_expired,
                "has_problems": overlay.has_problems,
                "rules": overlay.rules.len(),
                "excepted": excepted,
                "suppressed": alerts,
                "exceptions": each,
            }));
        }
        for (source, (excepted, each)) in by_source {
            let list = match source {
                ExceptionSource::ExceptionList(list) => list,
                // An overlay that was taken away while the rules ran.
                ExceptionSource::Overlay(name) => {
                    let line = format!(
                        "overlay `{name}`, gone by now: {} excepted",
                        plural(excepted, "event")
                    );
                    tuned.lines.push(line);
                    tuned
                        .overlays
                        .push(json!({"name": name, "is_gone": true, "excepted": excepted}));
                    continue;
                }
            };
            if excepted > 0 {
                tuned.lines.push(format!(
                    "exception list `{list}`: {} excepted",
                    plural(excepted, "event")
                ));
            }
            tuned
                .lists
                .push(json!({"list_id": list, "excepted": excepted, "items": each}));
        }
        for one in suppressed
            .iter()
            .filter(|one| one.overlay.is_none() && one.count > 0)
        {
            let rule = active.rules.iter().find(|rule| rule.id == one.rule_id);
            tuned.lines.push(format!(
                "rule `{}`: {} suppressed, as it asks for",
                rule.map_or(&one.rule_id, |rule| &rule.name),
                plural(one.count, "alert")
            ));
        }
        tuned.suppressed = suppressed
            .iter()
            .map(|one| json!({"rule_id": one.rule_id, "overlay": one.overlay, "count": one.count}))
            .collect();
        tuned
    }

    pub(super) fn report(&self, terminal: &Terminal) {
        for line in &self.lines {
            terminal.note_plain(line);
        }
    }
}
