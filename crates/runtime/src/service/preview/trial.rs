//! Exceptions being tried on what was found.

use std::collections::HashSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use neph_engine::{Matcher, Origin, Program, Record, StepMatch};
use neph_event::{Field, FieldType, Instant};
use neph_plan::{EventQuery, FieldId, Plan, Query};
use neph_rules::rule_tests::{find_test_files, read_test_file};
use neph_rules::{Library, LoadOptions, Rule, RuleException};
use neph_store::{AlertQuery, AlertSort, Store, Verdict};

use crate::rule_tests::TestRunner;
use crate::service::backfill::over_steps;
use crate::service::book::{Book, index};
use crate::service::{ServiceError, ServiceOptions};
use crate::steps::Steps;

use super::{FIELDS, Preview, ProofOfPositives, ProposedException, gather, quoted, temporary};

/// Bytes of what events satisfy that are kept to try exceptions on.
const MOST_BYTES: usize = 256 << 20;

/// What the events of the past satisfy of a rule, in their order.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    steps: Vec<StepMatch>,
    bytes: usize,
}

impl Candidates {
    pub(super) fn keep(&mut self, steps: &Steps) {
        self.bytes += steps.iter().map(StepMatch::memory_bytes).sum::<usize>();
        match self.is_whole() {
            true => self.steps.extend(steps.iter().cloned()),
            false => self.steps = Vec::new(),
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.bytes <= MOST_BYTES
    }

    /// For each step which of the exceptions its event satisfies.
    fn excepted(&self, exceptions: &[RuleException]) -> Vec<Vec<usize>> {
        let plan = |exception: &RuleException| {
            let mut fields = exception.fields.clone();
            let time = FieldId(u32::try_from(fields.len()).unwrap_or(u32::MAX));
            fields.push(Field::new("@timestamp", FieldType::Date).into());
            let condition = exception.condition.clone();
            Plan {
                fields,
                time,
                tiebreaker: None,
                query: Query::Events(EventQuery { condition }),
                limits: Vec::new(),
                failing_indices: Vec::new(),
            }
        };
        let plans: Vec<Plan> = exceptions.iter().map(plan).collect();
        let mut matcher = Matcher::new(Arc::new(Program::compile(&plans).0));
        let mut of_step = |step: &StepMatch| {
            let mut satisfied = Vec::new();
            let origin = Origin {
                source: "".into(),
                line: 0,
            };
            let record = Record {
                document: step.event().document(),
                id: None,
                index: None,
                position: step.position(),
                origin: &origin,
            };
            if matcher.read(record.document).is_ok() {
                matcher.matches(&record, |found| satisfied.push(found.rule.0 as usize));
            }
            satisfied
        };
        self.steps.iter().map(&mut of_step).collect()
    }
}

/// Proposals being tried.
pub(super) struct Trial<'a> {
    pub(super) store: &'a Store,
    pub(super) rule: &'a Arc<Rule>,
    pub(super) own: &'a Book,
    pub(super) times: &'a Range<Instant>,
    pub(super) options: &'a ServiceOptions,
    pub(super) load: &'a LoadOptions,
    /// The overlay that switches the rule on.
    pub(super) enabling: PathBuf,
    pub(super) paths: &'a [PathBuf],
    pub(super) folder: &'a Path,
    pub(super) candidates: &'a Candidates,
    pub(super) library: &'a mut Library,
}

/// A proposal in the form of an overlay.
struct Proposed<'p> {
    field: &'static str,
    value: &'p str,
    text: String,
    path: PathBuf,
}

/// Alerts that were closed as true.
struct Truth {
    id: String,
    /// From outside of the interval: its document.
    outside: Option<Outside>,
}

/// What an alert from outside of the interval holds.
struct Outside {
    entities: Vec<(String, String)>,
    document: serde_json::Value,
}

impl Trial<'_> {
    pub(super) fn run(
        &mut self,
        proposals: &[(usize, String)],
        told: &HashSet<String>,
        preview: &mut Preview,
    ) -> Result<(), ServiceError> {
        let (proposed, exceptions) = self.exceptions(proposals)?;
        let truths = self.truths(told)?;
        let excepted = self.candidates.excepted(&exceptions);
        // What would be told without what some of the exceptions leave out.
        let left_with = |chosen: &[usize]| {
            let steps = self.candidates.steps.iter().zip(&excepted);
            let left = steps.filter(|(_, excepted)| !excepted.iter().any(|one| chosen.contains(one)));
            over_steps(self.own, self.times, self.options, left.map(|(step, _)| step))
        };
        let mut safe = Vec::new();
        for (number, one) in proposed.iter().enumerate() {
            let left = left_with(&[number]);
            let (tests, broken_tests) = self.tests(&one.path);
            let lost = truths.iter().filter(|truth| match &truth.outside {
                None => !left.contains(&truth.id),
                Some(alert) => alert.has(one.field, one.value),
            });
            let lost_alerts: Vec<String> = lost.map(|truth| truth.id.clone()).collect();
            let is_safe = broken_tests.is_empty() && lost_alerts.is_empty();
            if is_safe {
                safe.push(number);
            }
            let left = left.len() as u64;
            preview.exceptions.push(ProposedException {
                name: name_of(one.field, one.value),
                field: one.field.to_owned(),
                value: one.value.to_owned(),
                overlay: if is_safe { one.text.clone() } else { String::new() },
                removes: preview.alerts.saturating_sub(left),
                left,
                is_safe,
                proof: ProofOfPositives {
                    tests,
                    broken_tests,
                    true_alerts: truths.len() as u64,
                    lost_alerts,
                    outside: truths.iter().filter(|truth| truth.outside.is_some()).count() as u64,
                },
            });
        }
        preview
            .exceptions
            .sort_by_key(|one| (!one.is_safe, std::cmp::Reverse(one.removes)));
        if !safe.is_empty() {
            preview.left_with_all_safe = left_with(&safe).len() as u64;
        }
        Ok(())
    }

    /// The exceptions as they are read from overlays; those of which nothing comes are left out.
    fn exceptions<'p>(
        &mut self,
        proposals: &'p [(usize, String)],
    ) -> Result<(Vec<Proposed<'p>>, Vec<RuleException>), ServiceError> {
        let mut proposed = Vec::new();
        let mut load = self.load.clone();
        for (number, (field, value)) in proposals.iter().enumerate() {
            let field = FIELDS.get(*field).copied().unwrap_or_default();
            let text = self.overlay(field, value);
            let path = self.folder.join(format!("proposal-{number}.yml"));
            fs::write(&path, &text).map_err(temporary)?;
            load.overlays.push(path.clone());
            proposed.push(Proposed {
                field,
                value,
                text,
                path,
            });
        }
        let all = self.library.load(self.paths, &load);
        let place = all
            .rules
            .iter()
            .position(|rule| rule.id == self.rule.id)
            .map(index);
        let mut exceptions = Vec::new();
        proposed.retain(|one| {
            let new = all.exceptions.iter().find(|exception| {
                exception.name == name_of(one.field, one.value)
                    && place.is_some_and(|place| exception.rules.contains(&place))
            });
            exceptions.extend(new.cloned());
            new.is_some()
        });
        Ok((proposed, exceptions))
    }

    fn overlay(&self, field: &str, value: &str) -> String {
        format!(
            "name: {}\nowner: preview\nreason: {}\nselect:\n  ids: [{}]\nexceptions:\n  - name: {}\n    fields:\n      {}: {}\n",
            quoted(&format!("quieter {}", self.rule.name)),
            quoted(&format!("alerts from {} to {}", self.times.start, self.times.end)),
            quoted(&self.rule.id),
            quoted(&name_of(field, value)),
            quoted(field),
            quoted(value),
        )
    }

    /// Alerts of the rule that were closed as true.
    fn truths(&self, told: &HashSet<String>) -> Result<Vec<Truth>, ServiceError> {
        let query = AlertQuery {
            rules: vec![self.rule.id.clone()],
            verdicts: vec![Verdict::TruePositive],
            ..AlertQuery::default()
        };
        let mut truths = Vec::new();
        let mut after = None;
        loop {
            let page = self
                .store
                .db
                .search(&query, AlertSort::Time, true, after.as_ref(), 500)?;
            for alert in page.alerts {
                let id = alert.alert.id;
                let outside = match told.contains(&id) {
                    true => None,
                    false => {
                        let alert = self.store.db.alert(&id)?.alert;
                        Some(Outside {
                            document: serde_json::from_slice(&alert.document).unwrap_or_default(),
                            entities: alert.entities,
                        })
                    }
                };
                truths.push(Truth { id, outside });
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(truths),
            }
        }
    }

    /// How many tests beside the rule pass without an overlay, and which of them fail with it.
    fn tests(&self, overlay: &Path) -> (u64, Vec<String>) {
        let (paths, _) = find_test_files(&[&self.rule.origin.path]);
        let mut runner = TestRunner::default();
        let (mut tests, mut broken) = (0, Vec::new());
        for mut with in paths.iter().filter_map(|path| read_test_file(path).ok()) {
            // The rule may be switched off, which its tests do not care for.
            for case in &mut with.cases {
                case.setting.overlays.push(self.enabling.clone());
            }
            let before = runner.run(&with, |_| true);
            for case in &mut with.cases {
                case.setting.overlays.push(overlay.to_owned());
            }
            let after = runner.run(&with, |_| true);
            for (before, after) in before.iter().zip(&after).filter(|(before, _)| before.passed()) {
                tests += 1;
                if !after.passed() {
                    broken.push(before.name.clone());
                }
            }
        }
        (tests, broken)
    }
}

fn name_of(field: &str, value: &str) -> String {
    format!("{field} is {value}")
}

impl Outside {
    /// Whether the alert, or what it tells of one of its events, has the value.
    fn has(&self, field: &str, value: &str) -> bool {
        let mut has = self
            .entities
            .iter()
            .any(|(of, entity)| of == field && entity == value);
        let mut look = |document: &serde_json::Value| {
            gather(document, field, &mut |text| has |= text == value);
        };
        look(&self.document);
        let steps = self.document.pointer("/neph/alert/steps");
        for step in steps.and_then(|steps| steps.as_array()).into_iter().flatten() {
            let events = step.get("events").and_then(|events| events.as_array());
            for event in events.into_iter().flatten() {
                let parts = event.as_object().into_iter().flatten();
                parts.for_each(|(_, part)| look(part));
            }
        }
        has
    }
}
