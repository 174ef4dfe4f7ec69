//! Overlays upon rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use neph_diag::{Diagnostic, Span};
use neph_engine::RuleIndex;

use super::{Overlay, OverlayReport, Pin, Switch};
use crate::codes;
use crate::exceptions::{ExceptionSource, RuleException};
use crate::rule::Rule;

/// What has been set of a rule: by its position and a word for the setting, the overlay that did.
pub(crate) type Taken = BTreeMap<(usize, &'static str), String>;

/// What an overlay came to.
pub(crate) struct Applied {
    pub(crate) report: OverlayReport,
    pub(crate) exceptions: Vec<RuleException>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Positions of the rules that it switches on or off.
    pub(crate) switched: Vec<(usize, bool)>,
}

/// Applies an overlay to the rules that it selects. One whose time is over selects none.
pub(crate) fn apply(overlay: Overlay, file: &str, rules: &mut [Arc<Rule>], taken: &mut Taken) -> Applied {
    let mut applying = Applying {
        name: overlay.name.clone(),
        diagnostics: Vec::new(),
    };
    let mut exceptions = Vec::new();
    let mut switched = Vec::new();
    let mut selected = BTreeSet::new();
    if !overlay.upkeep.is_expired {
        selected = applying.select(&overlay, rules);
        for pin in &overlay.pins {
            applying.check(pin, rules);
        }
        for position in &selected {
            if let Some(rule) = rules.get_mut(*position) {
                applying.change(&overlay, *position, Arc::make_mut(rule), taken, &mut switched);
            }
        }
        let indices: Vec<RuleIndex> = selected
            .iter()
            .map(|position| RuleIndex(u32::try_from(*position).unwrap_or(u32::MAX)))
            .collect();
        exceptions = overlay
            .exceptions
            .into_iter()
            .map(|draft| RuleException {
                name: draft.name,
                source: ExceptionSource::Overlay(overlay.name.clone()),
                upkeep: draft.upkeep,
                fields: draft.fields,
                condition: draft.condition,
                rules: indices.clone(),
            })
            .collect();
    }
    let ids = selected.iter().filter_map(|position| rules.get(*position));
    Applied {
        report: OverlayReport {
            name: overlay.name,
            file: file.to_owned(),
            upkeep: overlay.upkeep,
            rules: ids.map(|rule| rule.id.clone()).collect(),
            exceptions: exceptions.len(),
            has_problems: !applying.diagnostics.is_empty(),
        },
        exceptions,
        diagnostics: applying.diagnostics,
        switched,
    }
}

struct Applying {
    name: String,
    diagnostics: Vec<Diagnostic>,
}

impl Applying {
    fn unfit(&mut self, place: Span, message: String, help: &str) {
        self.diagnostics
            .push(Diagnostic::new(&codes::OVERLAY_UNFIT, place, message).with_help(help));
    }

    /// The positions of the rules that any of the selectors names.
    fn select(&mut self, overlay: &Overlay, rules: &[Arc<Rule>]) -> BTreeSet<usize> {
        let mut selected = BTreeSet::new();
        let selectors: [Selector<'_>; 3] = [
            ("has the id", &overlay.ids, |rule, id| rule.id == *id),
            ("has the tag", &overlay.tags, |rule, tag| {
                rule.tags.iter().any(|own| own == tag)
            }),
            ("detects the technique", &overlay.techniques, detects),
        ];
        for (what, wanted, fits) in selectors {
            for (word, place) in wanted {
                let before = selected.len();
                let found = rules.iter().enumerate().filter(|(_, rule)| fits(rule, word));
                let mut some = false;
                for (position, _) in found {
                    some = true;
                    selected.insert(position);
                }
                if !some && selected.len() == before {
                    let message = format!("no rule {what} `{word}`");
                    let help =
                        "the rule may be gone or renamed, rejected, or not among those that are loaded";
                    self.unfit(*place, message, help);
                }
            }
        }
        selected
    }

    fn check(&mut self, pin: &Pin, rules: &[Arc<Rule>]) {
        let (id, place) = &pin.rule;
        let Some(rule) = rules.iter().find(|rule| rule.id == *id) else {
            let help = "the rule may be gone or renamed, rejected, or not among those that are loaded";
            return self.unfit(*place, format!("no rule has the id `{id}`"), help);
        };
        if let Some((wanted, place)) = &pin.version {
            let version = rule.version.map(|version| version.to_string());
            let is = version.or_else(|| rule.metadata.updated_date.clone());
            if is.as_deref() != Some(wanted.as_str()) {
                let is = is.map_or_else(
                    || "states none".to_owned(),
                    |is| format!("is of version `{is}` now"),
                );
                let message = format!(
                    "the overlay was checked against version `{wanted}` of `{}`, which {is}",
                    rule.name
                );
                self.unfit(
                    *place,
                    message,
                    "look at what changed in the rule, then bring `version` up to date",
                );
            }
        }
        let read: Vec<&str> = rule
            .plan
            .iter()
            .flat_map(|plan| &plan.fields)
            .map(|field| &*field.path)
            .collect();
        for (field, place) in &pin.reads {
            if !read.contains(&field.as_str()) {
                let message = format!("the rule `{}` does not read `{field}` any more", rule.name);
                self.unfit(
                    *place,
                    message,
                    "look at what changed in the rule, then bring `reads` up to date",
                );
            }
        }
    }

    fn change(
        &mut self,
        overlay: &Overlay,
        position: usize,
        rule: &mut Rule,
        taken: &mut Taken,
        switched: &mut Vec<(usize, bool)>,
    ) {
        let mut set = |what: &'static str, diagnostics: &mut Vec<Diagnostic>, name: &str| {
            if let Some(earlier) = taken.insert((position, what), overlay.name.clone()) {
                let message =
                    format!("{what} of `{name}` is set by the overlay `{earlier}` as well; this one holds");
                diagnostics.push(Diagnostic::new(&codes::OVERLAY_TWICE, Span::default(), message));
            }
        };
        let name = rule.name.clone();
        if let Some(severity) = overlay.severity {
            set("the severity", &mut self.diagnostics, &name);
            rule.severity = severity;
            rule.severity_mapping.clear();
        }
        if let Some(risk_score) = overlay.risk_score {
            set("the risk score", &mut self.diagnostics, &name);
            rule.risk_score = risk_score;
            rule.risk_score_mapping.clear();
        }
        if let Some(max_signals) = overlay.max_signals {
            set("`max_signals`", &mut self.diagnostics, &name);
            rule.max_signals = max_signals;
        }
        if let Some((written, nanos)) = &overlay.interval {
            set("the interval", &mut self.diagnostics, &name);
            rule.schedule.interval.clone_from(written);
            rule.schedule.interval_nanos = *nanos;
        }
        if let Some((written, nanos)) = &overlay.from {
            set("the look-back", &mut self.diagnostics, &name);
            rule.schedule.from.clone_from(written);
            rule.schedule.lookback_nanos = *nanos;
        }
        if overlay.interval.is_some() || overlay.from.is_some() {
            rule.apply_schedule();
        }
        if let Some(enabled) = overlay.enabled {
            set("whether it runs", &mut self.diagnostics, &name);
            rule.enabled = enabled;
            switched.push((position, enabled));
        }
        match &overlay.suppression {
            None => {}
            Some(Switch::Off) => {
                set("the suppression", &mut self.diagnostics, &name);
                rule.tuning.suppression = None;
            }
            Some(Switch::On(suppression)) => {
                let misfits = suppression.misfits(rule);
                if misfits.is_empty() {
                    set("the suppression", &mut self.diagnostics, &name);
                    let mut suppression = suppression.clone();
                    suppression.overlay = Some(overlay.name.clone());
                    for field in &mut suppression.group_by {
                        field.span = Span::default();
                    }
                    rule.tuning.suppression = Some(suppression);
                }
                for (place, message) in misfits {
                    let help = "its alerts are not suppressed by this overlay; name what the rule has";
                    self.unfit(place, message, help);
                }
            }
        }
        rule.tuning.overlays.push(self.name.clone());
    }
}

/// What is asked of a rule, the words that are asked for, and how.
type Selector<'o> = (&'static str, &'o [(String, Span)], Fits);

/// Whether a rule is selected by a word.
type Fits = fn(&Rule, &String) -> bool;

/// A technique stands for its sub-techniques as well.
fn detects(rule: &Rule, wanted: &String) -> bool {
    let below = format!("{wanted}.");
    let techniques = rule.threat.iter().flat_map(|threat| &threat.techniques);
    techniques
        .flat_map(|technique| std::iter::once(&technique.technique).chain(&technique.subtechniques))
        .any(|item| item.id == *wanted || item.id.starts_with(&below))
}
