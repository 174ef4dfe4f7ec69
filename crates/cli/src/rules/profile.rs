//! `neph rules profile`: what rules cost over logs, and why.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use neph_engine::{OperatorConfig, Operators};
use neph_plan::Plan;
use neph_runtime::{ProfileReport, RunOptions, detect, prepare, profile_report};

use super::{BUILTIN, BesideArgs, LangArgs, report_load, rule_path};
use crate::exit::{Exit, Failure};
use crate::format::Format;
use crate::input::{self, InputArgs};
use crate::table::{harmless, table};
use crate::terminal::Terminal;

/// Run rules over logs and tell what each costs: evaluations, matches, time and state, and why the costly ones cost much
///
/// Each test is timed, so the run is slower than `neph detect`; shares of time hold all the same.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  neph rules profile --rules rules logs/\n  neph rules profile --rules rules --top 50 events.ndjson\n  neph rules profile --rules rules --format json events.ndjson | jq '.rules[] | select(.reasons != [])'"
)]
pub(crate) struct Args {
    /// Rule files or folders of them, or `builtin` for the rules that the binary carries; may be given several times.
    #[arg(long, value_name = "PATH", default_value = BUILTIN, value_parser = rule_path)]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    beside: BesideArgs,
    #[command(flatten)]
    lang: LangArgs,
    /// Rules and tests that the tables show; JSON has all.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    top: usize,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    input: InputArgs,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    let set = args.beside.load(&args.rules, args.lang.lang());
    let broken = report_load(&set.report, &BTreeSet::new(), terminal);
    let rules = set.rules;
    if rules.is_empty() {
        return Err(Failure::Message(format!(
            "no rule can run: {}",
            set.report.counts()
        )));
    }
    let program = prepare(set.program);
    let plans: Vec<&Plan> = rules.iter().filter_map(|rule| rule.plan.as_ref()).collect();
    let mut operators = Operators::new(&plans, &OperatorConfig::default());
    let mut reader = args.input.reader(false)?;
    let bar = args.input.progress(terminal);
    let options = RunOptions {
        profile: true,
        ..args.input.run_options(false, terminal)?
    };
    let outcome = detect(
        &mut reader,
        &program,
        &mut operators,
        &options,
        &mut |progress| bar.show(progress),
        &mut |_| (),
    );
    bar.clear();
    let detection = outcome.map_err(|error| Failure::Message(error.to_string()))?;
    input::report(&detection.summary, terminal);
    let Some(report) = profile_report(&detection, &rules, &program) else {
        return Ok(Exit::Nothing);
    };
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{}", serde_json::json!(report))?,
        Format::Table => print(&mut out, &report, args.top)?,
    }
    Ok(if broken { Exit::Errors } else { Exit::Nothing })
}

fn print(out: &mut impl Write, report: &ProfileReport, top: usize) -> std::io::Result<()> {
    let time = &report.time;
    writeln!(
        out,
        "{} events, {:.2} s of processor time",
        report.events, time.total_seconds
    )?;
    for (what, seconds) in [
        ("reading", time.reading_seconds),
        ("routing", time.routing_seconds),
        ("conditions", time.conditions_seconds),
        ("state", time.state_seconds),
    ] {
        let share = if time.total_seconds > 0.0 {
            seconds / time.total_seconds
        } else {
            0.0
        };
        writeln!(out, "  {what:10} {:>6}", percent(share))?;
    }
    writeln!(out, "\n{}\n", rules(report, top))?;
    writeln!(out, "{}", tests(report, top))
}

fn rules(report: &ProfileReport, top: usize) -> comfy_table::Table {
    let mut table = table(&[
        "TIME",
        "EVALUATIONS",
        "STEPS HELD",
        "MATCHES",
        "STATE",
        "RULE",
        "WHY COSTLY",
    ]);
    for rule in report.rules.iter().take(top) {
        table.add_row([
            percent(rule.time_share),
            rule.evaluations.to_string(),
            rule.step_matches.to_string(),
            rule.matches.to_string(),
            indicatif::HumanBytes(rule.state_bytes as u64).to_string(),
            harmless(&rule.name),
            harmless(&rule.reasons.join("; ")),
        ]);
    }
    rest(&mut table, report.rules.len(), top, "rules");
    table
}

fn tests(report: &ProfileReport, top: usize) -> comfy_table::Table {
    let mut table = table(&["TIME", "EVALUATIONS", "HELD", "RULES", "TEST", "WHY COSTLY"]);
    for test in report.tests.iter().take(top) {
        table.add_row([
            percent(test.time_share),
            test.evaluations.to_string(),
            test.held.to_string(),
            test.rules.to_string(),
            harmless(&test.test),
            harmless(test.reason.as_deref().unwrap_or_default()),
        ]);
    }
    rest(&mut table, report.tests.len(), top, "tests");
    table
}

fn rest(table: &mut comfy_table::Table, number: usize, top: usize, what: &str) {
    if number > top {
        table.add_row([format!("{} more {what}", number - top)]);
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
