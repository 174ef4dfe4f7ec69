//! `neph detect`: rules over records, alerts out.

mod print;
mod save;
mod tuned;
mod watch;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use neph_engine::{Emit, OperatorConfig, Operators, Outcome, Program, RuleIndex, RuleStatistics};
use neph_plan::Plan;
use neph_rules::{
    AlertFlow, Library, LoadReport, Rule, RuleException, RuleSet, RuleSeverity, Told, load_with,
};
use neph_runtime::RunError;
use neph_runtime::{Detection, Reloads, Said, detect_reloading, parse, prepare};

use crate::exit::{Exit, Failure};
use crate::input::{self, InputArgs};
use crate::rules::{BUILTIN, BesideArgs, LangArgs, report_load, rule_path};
use crate::terminal::Terminal;
pub(crate) use print::Printer;
use save::Saver;
use tuned::{Past, Tuned};
use watch::{Watch, watched};

/// Run rules over logs and print the alerts
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  neph detect logs/                                # the built-in rules\n  neph detect --rules builtin --rules own/ logs/   # and your own\n  zcat events.ndjson.gz | neph detect --rules imds.toml --format ndjson -\n  neph detect --fail-on=high logs/                 # exit code 1 if an alert is at least high"
)]
pub(crate) struct Args {
    /// Rule files or folders of them, or `builtin` for the rules that the binary carries; may be given several times.
    #[arg(long, value_name = "PATH", default_value = BUILTIN, value_parser = rule_path)]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    beside: BesideArgs,
    #[command(flatten)]
    lang: LangArgs,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// After the table show for each alert its events and why each condition held.
    #[arg(long)]
    why: bool,
    /// End with exit code 1 if there is an alert, of at least this severity where one is given.
    #[arg(long, value_name = "SEVERITY", num_args = 0..=1, require_equals = true, default_missing_value = "low")]
    fail_on: Option<Severity>,
    /// End at the first problem with an input, or if a rule cannot run, instead of going on with the rest.
    #[arg(long)]
    strict: bool,
    /// Treat the input as a stream: alerts come at once, each rule waits for late events as long as its schedule
    /// says, and files are followed as they grow, are rotated, truncated and made anew.
    #[arg(long, visible_alias = "follow")]
    live: bool,
    /// Write each alert as a test beside rules, with its events: to this folder, or into one file `NAME.test.yaml`.
    #[arg(long, value_name = "FOLDER|FILE", conflicts_with = "parse_only")]
    save_case: Option<PathBuf>,
    /// With --save-case: the alerts of this rule only, by id or name; may be given several times.
    #[arg(long, value_name = "RULE", requires = "save_case")]
    rule: Vec<String>,
    /// Only read and parse the records: the floor that the speed of everything else is measured against.
    #[arg(long)]
    parse_only: bool,
    /// Most memory that one rule may take for what it remembers (partial sequences, terms, counts), in MiB; what is given
    /// up beyond it is counted.
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    rule_memory: usize,
    /// Most memory that all rules may take together for what they remember, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    memory: usize,
    #[command(flatten)]
    input: InputArgs,
}

/// Forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// A table for people.
    Table,
    /// One JSON object: `alerts` and `summary`.
    Json,
    /// One alert, an ECS document, a line.
    Ndjson,
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

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    if args.parse_only {
        return parse_only(args, terminal);
    }
    let mut library = args.live.then(Library::new);
    let (mut active, program) = Active::load(args, library.as_mut());
    let broken = report_load(&active.report, terminal);
    if active.rules.is_empty() {
        return Err(Failure::Message(format!(
            "no rule can run: {}",
            active.report.counts()
        )));
    }
    if broken && args.strict {
        return Ok(Exit::Errors);
    }
    let mut operators = active.operators(args);
    let mut reader = args.input.reader(args.live)?;
    let bar = args.input.progress(terminal);
    let mut alerts = Alerts {
        flow: AlertFlow::new(active.rules.clone(), args.live),
        told: Vec::new(),
        printer: Printer::new(args.format, args.why, *terminal),
        fail_on: args.fail_on.map(Into::into),
        fail: false,
        number: 0,
        failure: None,
        saver: args.save_case.as_ref().map(|target| {
            Saver::new(
                target,
                &args.rule,
                &active.rules,
                &args.rules,
                args.beside.options(&args.rules, args.lang.lang()),
            )
        }),
    };
    let options = args.input.run_options(args.strict, terminal)?;
    let reloads = Reloads::default();
    let mut past = Past::default();
    let watch = library.map(|library| Watch::new(args, &active, library, &reloads, *terminal));
    let outcome = watched(watch, || {
        detect_reloading(
            &mut reader,
            &program,
            &mut operators,
            &reloads,
            &options,
            &mut |progress| bar.show(progress),
            &mut |said| match said {
                Said::Outcome(told) => bar.suspend(|| alerts.take(told)),
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
            return Ok(Exit::Errors);
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
    input::report(&detection.summary, terminal);
    report_losses(&detection, &active.rules, terminal);
    tuned.report(terminal);
    let _ = writeln!(
        std::io::stderr().lock(),
        "{}; {}",
        input::plural(number, "alert"),
        counts
    );
    Ok(match (broken, fail) {
        (true, _) => Exit::Errors,
        (false, true) => Exit::Alerts,
        (false, false) => Exit::Nothing,
    })
}

/// The rules that run.
struct Active {
    rules: Vec<Arc<Rule>>,
    report: LoadReport,
    exceptions: Vec<RuleException>,
}

impl Active {
    /// The library has what was loaded before, if anything was.
    fn load(args: &Args, library: Option<&mut Library>) -> (Self, Arc<Program>) {
        let options = args.beside.options(&args.rules, args.lang.lang());
        let set: RuleSet = match library {
            Some(library) => library.load(&args.rules, &options),
            None => load_with(&args.rules, &options),
        };
        let active = Self {
            rules: set.rules.into_iter().map(Arc::new).collect(),
            report: set.report,
            exceptions: set.exceptions,
        };
        (active, prepare(set.program))
    }

    fn operators(&self, args: &Args) -> Operators {
        let plans: Vec<&Plan> = self.rules.iter().filter_map(|rule| rule.plan.as_ref()).collect();
        Operators::new(&plans, &operator_config(args, &self.rules))
    }
}

fn parse_only(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut reader = args.input.reader(args.live)?;
    let bar = args.input.progress(terminal);
    let outcome = parse(
        &mut reader,
        &args.input.run_options(args.strict, terminal)?,
        &mut |progress| bar.show(progress),
    );
    bar.clear();
    match outcome {
        Ok(summary) => {
            if args.format != Format::Table {
                writeln!(
                    std::io::stdout().lock(),
                    "{}",
                    serde_json::json!({"summary": input::summary_json(&summary)})
                )?;
            }
            input::report(&summary, terminal);
            Ok(Exit::Nothing)
        }
        Err(RunError::Strict(problem)) => {
            terminal.error(&problem.to_string());
            Ok(Exit::Errors)
        }
        Err(error) => Err(Failure::Message(error.to_string())),
    }
}

fn operator_config(args: &Args, rules: &[Arc<Rule>]) -> OperatorConfig {
    let lateness = |rule: &Arc<Rule>| {
        args.live
            .then(|| Duration::from_nanos(rule.schedule.lateness_nanos()))
    };
    OperatorConfig {
        emit: if args.live { Emit::AtOnce } else { Emit::WhenFinal },
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
    printer: Printer,
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
