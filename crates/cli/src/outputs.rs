//! `neph outputs`: where alerts go, and what did not arrive.

use std::io::Write;

use serde_json::{Value, json};

use crate::exit::{Exit, Failure};
use crate::format::Format;
use crate::service::{ServiceArgs, escape};
use crate::table::{harmless, table};
use crate::terminal::Terminal;

/// See how outputs stand, what they gave up, deliver it again, and test them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the outputs: what waits, what was delivered, what was given up, and why
    #[command(after_help = "Example: neph outputs list --format json")]
    List(ListArgs),
    /// List the alerts that an output gave up
    #[command(after_help = "Example: neph outputs dead soc-chat")]
    Dead(DeadArgs),
    /// Deliver again what an output gave up
    #[command(after_help = "Example: neph outputs redeliver soc-chat")]
    Redeliver(NameArgs),
    /// Take away what an output gave up, and what waits for one that the configuration has no more; the alerts stay
    #[command(after_help = "Example: neph outputs discard old-chat")]
    Discard(NameArgs),
    /// Send an alert to an output that says of itself that it is a test
    #[command(after_help = "Example: neph outputs test soc-chat")]
    Test(NameArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    service: ServiceArgs,
}

#[derive(Debug, clap::Args)]
struct DeadArgs {
    /// The output.
    name: String,
    /// How many at most.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only those behind this number.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    after: i64,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    service: ServiceArgs,
}

#[derive(Debug, clap::Args)]
struct NameArgs {
    /// The output.
    name: String,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    service: ServiceArgs,
}

impl NameArgs {
    /// Asks the service to do something.
    fn act(&self, what: &str) -> Result<Value, Failure> {
        let path = format!("/api/v1/outputs/{}/{what}", escape(&self.name));
        self.service.client()?.post(&path, &json!({}))
    }

    fn say(&self, answer: &Value, words: &str) -> Result<Exit, Failure> {
        let mut out = std::io::stdout().lock();
        match self.format {
            Format::Json => writeln!(out, "{answer}")?,
            Format::Table => {
                let alerts = answer.get("alerts").and_then(Value::as_u64).unwrap_or(0);
                writeln!(out, "{alerts} alerts {words}")?;
            }
        }
        Ok(Exit::Nothing)
    }
}

pub(crate) fn run(args: &Args, _terminal: &Terminal) -> Result<Exit, Failure> {
    match &args.command {
        Command::List(args) => list(args),
        Command::Dead(args) => dead(args),
        Command::Redeliver(args) => args.say(&args.act("redeliver")?, "are due again"),
        Command::Discard(args) => args.say(&args.act("discard")?, "are not delivered any more"),
        Command::Test(args) => test(args),
    }
}

fn list(args: &ListArgs) -> Result<Exit, Failure> {
    let answer = args.service.client()?.get("/api/v1/outputs")?;
    let mut out = std::io::stdout().lock();
    if args.format == Format::Json {
        writeln!(out, "{answer}")?;
        return Ok(Exit::Nothing);
    }
    let columns = [
        ("NAME", "name"),
        ("TYPE", "type"),
        ("STATE", "state"),
        ("WAITING", "waiting"),
        ("SINCE", "oldest"),
        ("DELIVERED", "delivered"),
        ("LEFT OUT", "left_out"),
        ("GIVEN UP", "dead"),
        ("LAST FAILURE", "error"),
    ];
    let mut rows = table(&columns.map(|(head, _)| head));
    for output in items(&answer, "outputs") {
        rows.add_row(columns.map(|(_, key)| text(output, key)));
    }
    writeln!(out, "{rows}")?;
    Ok(Exit::Nothing)
}

fn dead(args: &DeadArgs) -> Result<Exit, Failure> {
    let path = format!(
        "/api/v1/outputs/{}/dead?limit={}&after={}",
        escape(&args.name),
        args.limit,
        args.after
    );
    let answer = args.service.client()?.get(&path)?;
    let mut out = std::io::stdout().lock();
    if args.format == Format::Json {
        writeln!(out, "{answer}")?;
        return Ok(Exit::Nothing);
    }
    let columns = [
        ("NUMBER", "number"),
        ("ALERT", "alert"),
        ("RULE", "rule_name"),
        ("SEVERITY", "severity"),
        ("GIVEN UP", "dead"),
        ("TRIES", "attempts"),
        ("WHY", "error"),
    ];
    let mut rows = table(&columns.map(|(head, _)| head));
    for letter in items(&answer, "letters") {
        rows.add_row(columns.map(|(_, key)| text(letter, key)));
    }
    writeln!(out, "{rows}")?;
    if let Some(next) = answer.get("next").and_then(Value::as_i64) {
        writeln!(out, "there may be more: --after {next}")?;
    }
    Ok(Exit::Nothing)
}

fn test(args: &NameArgs) -> Result<Exit, Failure> {
    let answer = args.act("test")?;
    let delivered = answer.get("delivered").and_then(Value::as_bool) == Some(true);
    let mut out = std::io::stdout().lock();
    match (args.format, delivered) {
        (Format::Json, _) => writeln!(out, "{answer}")?,
        (Format::Table, true) => writeln!(out, "`{}` took the test", harmless(&args.name))?,
        (Format::Table, false) => {
            return Err(Failure::Message(format!(
                "`{}` did not take the test: {}",
                args.name,
                text(&answer, "error")
            )));
        }
    }
    Ok(match delivered {
        true => Exit::Nothing,
        false => Exit::Errors,
    })
}

fn items<'a>(answer: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    answer.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text(row: &Value, key: &str) -> String {
    match row.get(key) {
        Some(Value::String(text)) => harmless(text),
        None | Some(Value::Null) => "-".to_owned(),
        Some(other) => other.to_string(),
    }
}
