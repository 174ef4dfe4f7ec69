//! `neph detect`: rules over records, alerts out.

mod print;
mod save;
mod session;
mod tuned;
mod watch;

use std::io::Write;
use std::path::PathBuf;

use neph_runtime::RunError;
use neph_runtime::parse;

use crate::exit::{Exit, Failure};
use crate::input::{self, InputArgs};
use crate::terminal::Terminal;
pub(crate) use print::{Printer, Tell};
use save::Saver;
pub(crate) use session::{Loaded, RuleArgs, Way};

/// Run rules over logs and print the alerts
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  neph detect logs/                                # the built-in rules\n  neph detect --rules builtin --rules own/ logs/   # and your own\n  zcat events.ndjson.gz | neph detect --rules imds.toml --format ndjson -\n  neph detect --fail-on=high logs/                 # exit code 1 if an alert is at least high"
)]
pub(crate) struct Args {
    #[command(flatten)]
    rules: RuleArgs,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// After the table show for each alert its events and why each condition held.
    #[arg(long)]
    why: bool,
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

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    if args.parse_only {
        return parse_only(args, terminal);
    }
    let loaded = Loaded::new(&args.rules, args.live, &|_| true, terminal)?;
    if loaded.broken && args.strict {
        return Ok(Exit::Errors);
    }
    let rules = &args.rules;
    let saver = args.save_case.as_ref().map(|target| {
        Saver::new(
            target,
            &args.rule,
            loaded.rules(),
            &rules.rules,
            rules.beside.options(&rules.rules, rules.lang.lang()),
        )
    });
    let bar = args.input.progress(terminal);
    let way = Way {
        reader: args.input.reader(args.live)?,
        options: args.input.run_options(args.strict, terminal)?,
        printer: Box::new(Printer::new(args.format, args.why, *terminal)),
        bar: &bar,
        saver,
    };
    let Some(done) = loaded.run(rules, way, terminal)? else {
        return Ok(Exit::Errors);
    };
    input::report(&done.detection.summary, terminal);
    done.report(terminal);
    Ok(done.exit)
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
