//! Rules over a reader's records: what `neph detect` and `neph watch` have in common.

use std::collections::BTreeSet;
use std::io::Write;
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use neph_engine::{Emit, OperatorConfig, Operators, Outcome, Program, RuleIndex, RuleStatistics};
use neph_plan::Plan;
use neph_rules::{
    AlertFlow, Library, LoadReport, Rule, RuleException, RuleSet, RuleSeverity, Told, load_with,
};
use neph_runtime::input::Reader;
use neph_runtime::{Detection, Reloads, RunError, RunOptions, Said, detect_reloading, prepare};

use super::Saver;
use super::print::Tell;
use super::tuned::{Past, Tuned};
use super::watch::{Watch, watched};
use crate::exit::{Exit, Failure};
use crate::input::{self, Bar};
use crate::rules::{BUILTIN, BesideArgs, LangArgs, report_load, rule_path};
use crate::terminal::Terminal;

/// Which rules run, and what they may take.
#[derive(Debug, clap::Args)]
pub(crate) struct RuleArgs {
    /// Rule files or folders of them, or `builtin` for the rules that the binary carries; may be given several times.
    #[arg(long, value_name = "PATH", default_value = BUILTIN, value_parser = rule_path)]
    pub(super) rules: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) beside: BesideArgs,
    #[command(flatten)]
    pub(super) lang: LangArgs,
    /// End with exit code 1 if there is an alert, of at least this severity where one is given.
    #[arg(long, value_name = "SEVERITY", num_args = 0..=1, require_equals = true, default_missing_value = "low")]
    fail_on: Option<Severity>,
    /// Most memory that one rule may take for what it remembers (partial sequences, terms, counts), in MiB; what is given
    /// up beyond it is counted.
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    rule_memory: usize,
    /// Most memory that all rules may take together for what they remember, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    memory: usize,
}

/// Severities, for `--fail-on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

impl From<Severity> for RuleSeverity {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Low => Self::Low,
            Severity::Medium => Self::Medium,
            Severity::High => Self::High,
            Severity::Critical => Self::Critical,
        }
    }
}

/// Rules that were loaded, and can run.
pub(crate) struct Loaded {
    active: Active,
    program: Arc<Program>,
    /// What the files held, if they are watched while the rules run.
    library: Option<Library>,
    /// Whether a file has a mistake of its author's.
    pub(super) broken: bool,
}

/// Where records come from and alerts go.
pub(crate) struct Way<'a> {
    pub(crate) reader: Reader,
    pub(crate) options: RunOptions,
    pub(crate) printer: Box<dyn Tell>,
    pub(crate) bar: &'a Bar,
    pub(crate) saver: Option<Saver>,
}

/// What a run came to.
pub(crate) struct Done {
    pub(crate) detection: Detection,
    pub(crate) exit: Exit,
    /// Alerts that were told.
    pub(crate) alerts: u64,
    /// Never taken apart, nor is what ran: the process ends, which gives their memory back at once.
    active: ManuallyDrop<Active>,
    tuned: Tuned,
}

impl Loaded {
    /// Loads the rules, and says which do not run. `live`: they are watched for changes while they run.
    /// What is only doubtful about a rule is told if `told` says so.
    pub(crate) fn new(
        args: &RuleArgs,
        live: bool,
        told: &dyn Fn(&Rule) -> bool,
        terminal: &Terminal,
    ) -> Result<Self, Failure> {
        let mut library = live.then(Library::new);
        let (active, program) = Active::load(args, library.as_mut());
        let untold = active.rules.iter().filter(|rule| !told(rule));
        let untold: BTreeSet<&str> = untold.map(|rule| rule.id.as_str()).collect();
        let broken = report_load(&active.report, &untold, terminal);
        if active.rules.is_empty() {
            return Err(Failure::Message(format!(
                "no rule can run: {}",
                active.report.counts()
            )));
        }
        Ok(Self {
            active,
            program,
            library,
            broken,
        })
    }

    /// The rules.
    pub(crate) fn rules(&self) -> &[Arc<Rule>] {
        &self.active.rules
    }

    /// Runs them until there is nothing more to read. `None`: a problem with an input ended it, as was asked for, and was told.
    pub(crate) fn run(
        self,
        args: &RuleArgs,
        way: Way<'_>,
        terminal: &Terminal,
    ) -> Result<Option<Done>, Failure> {
        let Self {
            mut active,
            program,
            library,
            broken,
        } = self;
        let live = library.is_some();
        let program = ManuallyDrop::new(program);
        let mut operators = ManuallyDrop::new(active.operators(args, live));
        let Way {
            mut reader,
            options,
            printer,
            bar,
            saver,
        } = way;
        let mut alerts = Alerts {
            flow: AlertFlow::new(active.rules.clone(), live),
            told: Vec::new(),
            printer,
            fail_on: args.fail_on.map(Into::into),
            fail: false,
            number: 0,
            failure: None,
            saver,
        };
        let reloads = Reloads::default();
        let mut past = Past::default();
        let watch = library.map(|library| Watch::new(args, &active, library, &reloads, *terminal));
        let cancel = reader.cancel_flag();
        let outcome = watched(watch, || {
            detect_reloading(
                &mut reader,
                &program,
                &mut operators,
                &reloads,
                &options,
                &mut |progress| bar.show(progress),
                &mut |said| match said {
                    Said::Outcome(told) => {
                        bar.suspend(|| alerts.take(told));
                        // Nobody reads any more what is told.
                        if live && alerts.failure.is_some() {
                            cancel.store(true, std::sync::atomic::Ordering::Relaxed);
                        }
                    }
                    Said::Changed { with, same, excepted } => {
                        past.add(&active.exceptions, &excepted);
                        active = with;
                        bar.suspend(|| alerts.change_rules(active.rules.clone(), &same));
                    }
                },
            )
        });
        bar.clear();
        let detection = match outcome {
            Ok(detection) => detection,
            Err(RunError::Strict(problem)) => {
                alerts.finish();
                alerts.end(None)?;
                terminal.error(&problem.to_string());
                return Ok(None);
            }
            Err(error) => return Err(Failure::Message(error.to_string())),
        };
        alerts.finish();
        if let Some(saver) = alerts.saver.take() {
            saver.write(terminal)?;
        }
        past.add(&active.exceptions, &detection.excepted);
        let tuned = Tuned::new(&active, &past, &alerts.flow);
        let counts = active.report.counts();
        let summary = summary_json(&detection, &active.rules, &counts, &tuned);
        let (number, fail) = alerts.end(Some(summary))?;
        Ok(Some(Done {
            exit: match (broken, fail) {
                (true, _) => Exit::Errors,
                (false, true) => Exit::Alerts,
                (false, false) => Exit::Nothing,
            },
            alerts: number,
            detection,
            active: ManuallyDrop::new(active),
            tuned,
        }))
    }
}

impl Done {
    /// Says what the rules could not see, what was kept from becoming alerts, and how many there are.
    pub(crate) fn report(&self, terminal: &Terminal) {
        report_losses(&self.detection, &self.active.rules, terminal);
        self.tuned.report(terminal);
        let _ = writeln!(
            std::io::stderr().lock(),
            "{}; {}",
            input::plural(self.alerts, "alert"),
            self.active.report.counts()
        );
    }
}

/// The rules that run.
pub(super) struct Active {
    pub(super) rules: Vec<Arc<Rule>>,
    pub(super) report: LoadReport,
    pub(super) exceptions: Vec<RuleException>,
}

impl Active {
    /// The library has what was loaded before, if anything was.
    pub(super) fn load(args: &RuleArgs, library: Option<&mut Library>) -> (Self, Arc<Program>) {
        let options = args.beside.options(&args.rules, args.lang.lang());
        let set: RuleSet = match library {
            Some(library) => library.load(&args.rules, &options),
            None => load_with(&args.rules, &options),
        };
        let active = Self {
            rules: set.rules,
            report: set.report,
            exceptions: set.exceptions,
        };
        (active, prepare(set.program))
    }

    pub(super) fn operators(&self, args: &RuleArgs, live: bool) -> Operators {
        let plans: Vec<&Plan> = self.rules.iter().filter_map(|rule| rule.plan.as_ref()).collect();
        Operators::new(&plans, &operator_config(args, live, &self.rules))
    }
}

fn operator_config(args: &RuleArgs, live: bool, rules: &[Arc<Rule>]) -> OperatorConfig {
    let lateness = |rule: &Arc<Rule>| live.then(|| Duration::from_nanos(rule.schedule.lateness_nanos()));
    OperatorConfig {
        emit: if live { Emit::AtOnce } else { Emit::WhenFinal },
        lateness: rules.iter().map(lateness).collect(),
        rule_bytes: args.rule_memory << 20,
        total_bytes: args.memory << 20,
        ..OperatorConfig::default()
    }
}

/// From matches to printed alerts.
struct Alerts {
    flow: AlertFlow,
    told: Vec<Told>,
    printer: Box<dyn Tell>,
    fail_on: Option<RuleSeverity>,
    fail: bool,
    number: u64,
    /// The first failure to print; nothing is printed after it.
    failure: Option<std::io::Error>,
    saver: Option<Saver>,
}

impl Alerts {
    fn take(&mut self, outcome: Outcome) {
        self.flow.take(outcome, &mut self.told);
        self.print();
    }

    fn change_rules(&mut self, rules: Vec<Arc<Rule>>, same: &[(RuleIndex, RuleIndex)]) {
        self.flow.change_rules(rules, same, &mut self.told);
        self.print();
    }

    /// Nothing comes any more: prints what is left.
    fn finish(&mut self) {
        self.flow.finish(&mut self.told);
        self.print();
    }

    fn print(&mut self) {
        for told in self.told.drain(..) {
            if let Told::Raised(alert) = &told {
                self.number += 1;
                self.fail |= self.fail_on.is_some_and(|least| alert.severity >= least);
                if let Some(saver) = &mut self.saver {
                    saver.take(alert);
                }
            }
            if self.failure.is_none() {
                self.failure = self.printer.tell(told).err();
            }
        }
    }

    /// Gives the number of alerts, and whether one is severe enough to fail.
    fn end(mut self, summary: Option<serde_json::Value>) -> Result<(u64, bool), Failure> {
        if let Some(failure) = self.failure {
            return Err(failure.into());
        }
        self.printer.end(summary)?;
        Ok((self.number, self.fail))
    }
}

/// Says what the rules could not see: nothing is given up in silence.
fn report_losses(detection: &Detection, rules: &[Arc<Rule>], terminal: &Terminal) {
    let matching = &detection.matching;
    for (count, what) in [
        (
            matching.malformed_values,
            "values did not fit the type of their field and were not matched",
        ),
        (
            matching.without_time,
            "times an event without a readable time was left out of a rule about time",
        ),
        (
            matching.dropped_key_tuples,
            "tuples of join keys were beyond the limit of 10,000 for one event",
        ),
        (
            matching.untried_choices,
            "choices of values were beyond the limit of 10,000 for one expression",
        ),
    ] {
        if count > 0 {
            terminal.warning(&format!("{count} {what}"));
        }
    }
    for (rule, statistics) in rules.iter().zip(&detection.rules) {
        let RuleStatistics { late, evicted, .. } = *statistics;
        if late > 0 {
            terminal.warning(&format!(
                "rule `{}`: {late} events came too late for its schedule",
                rule.name
            ));
        }
        if evicted > 0 {
            terminal.warning(&format!(
                "rule `{}`: {evicted} events or terms were forgotten for want of memory; raise --rule-memory",
                rule.name
            ));
        }
    }
}

fn summary_json(
    detection: &Detection,
    rules: &[Arc<Rule>],
    counts: &neph_rules::Counts,
    tuned: &Tuned,
) -> serde_json::Value {
    let per_rule: Vec<serde_json::Value> = rules
        .iter()
        .zip(&detection.rules)
        .filter(|(_, statistics)| statistics.finished + statistics.candidates > 0)
        .map(|(rule, statistics)| {
            serde_json::json!({
                "rule_id": rule.id,
                "name": rule.name,
                "matches": statistics.finished,
                "candidates": statistics.candidates,
                "duplicates": statistics.duplicates,
                "late": statistics.late,
                "evicted": statistics.evicted,
                "retracted": statistics.retracted,
                "peak_state_bytes": statistics.peak_bytes,
            })
        })
        .collect();
    let matching = &detection.matching;
    serde_json::json!({
        "rules": counts,
        "input": input::summary_json(&detection.summary),
        "malformed_values": matching.malformed_values,
        "without_time": matching.without_time,
        "dropped_key_tuples": matching.dropped_key_tuples,
        "untried_choices": matching.untried_choices,
        "per_rule": per_rule,
        "overlays": tuned.overlays,
        "exception_lists": tuned.lists,
        "suppressed": tuned.suppressed,
    })
}
