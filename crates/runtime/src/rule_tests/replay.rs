//! Scenarios of the demonstration, run through rules.

use std::path::Path;
use std::sync::Arc;

use neph_engine::Program;
use neph_rules::Rule;
use neph_rules::alert::Alert;
use neph_rules::rule_tests::{Given, Scenario};
use serde_json::Value;

use super::{CaseFailure, Event, alerts, events};

/// What a phase of a scenario came to.
#[derive(Clone, Debug)]
pub struct ReplayedPhase {
    /// Its events.
    pub events: usize,
    /// The alerts whose last event is one of them.
    pub alerts: Vec<Alert>,
}

/// Runs the events of a scenario through rules, whose program is made of their plans in their order, and gives the alerts of each phase.
///
/// # Errors
/// An event that cannot be read as the scenario gives it.
pub fn replay(
    rules: &[Arc<Rule>],
    program: &Arc<Program>,
    scenario: &Scenario,
) -> Result<Vec<ReplayedPhase>, CaseFailure> {
    let mut all: Vec<Event> = Vec::new();
    let read = |given: &[Given], all: &mut Vec<Event>| -> Result<usize, CaseFailure> {
        let before = all.len();
        for entry in given {
            events::read(entry, scenario.base, all)?;
        }
        Ok(all.len() - before)
    };
    read(&scenario.history, &mut all)?;
    let mut phases = Vec::new();
    for phase in &scenario.phases {
        let events = read(&phase.events, &mut all)?;
        phases.push(ReplayedPhase {
            events,
            alerts: Vec::new(),
        });
    }
    let first = |given: &[Given]| given.first().map_or(u64::MAX, |entry| entry.line);
    for alert in alerts(rules, program, Path::new(&scenario.name), &all) {
        let line = last_line(&alert);
        let began = scenario
            .phases
            .iter()
            .rposition(|phase| first(&phase.events) <= line);
        let is_history = alert.last.is_some_and(|last| last < scenario.base);
        if let Some(phase) = began
            .filter(|_| !is_history)
            .and_then(|phase| phases.get_mut(phase))
        {
            phase.alerts.push(alert);
        }
    }
    for phase in &mut phases {
        phase.alerts.sort_by_key(|alert| alert.last);
    }
    Ok(phases)
}

/// The greatest line of the scenario that the alert has an event from.
fn last_line(alert: &Alert) -> u64 {
    let steps = alert
        .document
        .get("neph")
        .and_then(|neph| neph.pointer("/alert/steps"));
    let steps = steps.and_then(Value::as_array).into_iter().flatten();
    let events = steps.filter_map(|step| step.get("events")?.as_array()).flatten();
    events
        .filter_map(|event| event.pointer("/origin/line")?.as_u64())
        .max()
        .unwrap_or(0)
}
