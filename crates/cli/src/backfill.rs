//! `neph backfill`: lets a rule see events of the past.

use std::io::Write;

use jiff::tz::TimeZone;
use neph_runtime::service::{ServiceOptions, backfill};
use neph_store::{Store, StoreError, StoreOptions};
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};
use crate::format::Format;
use crate::serve::Rules;
use crate::service::{Client, ServiceArgs};
use crate::table::harmless;
use crate::terminal::Terminal;

/// Let a rule see stored events of the past; alerts that are there already are not told again
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  neph backfill 4f855297-c8e0-4097-9d97-d653f7e471c4 7d\n  neph backfill '*' Friday Saturday\n  neph backfill my-rule 2026-11-20T08:00:00Z 2026-11-20T12:00:00Z --format json\n\nWhere the service runs, it is asked to do it, and goes on with it by itself; else it is done at once."
)]
pub(crate) struct Args {
    /// The rule's id; `*` for all rules.
    #[arg(value_name = "RULE")]
    rule: String,
    /// Events not before: a weekday, a day, a time (RFC 3339), or a time ago (`7d`).
    #[arg(value_name = "FROM")]
    from: String,
    /// Events before.
    #[arg(value_name = "TO", default_value = "now")]
    to: String,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    service: ServiceArgs,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    let now = neph_api::now();
    let when = |text: &str| {
        neph_api::parse_when(text, now, &TimeZone::system()).ok_or_else(|| {
            Failure::Message(format!(
                "`{text}` is no time; write a weekday, a day, RFC 3339, or a time ago such as `7d`"
            ))
        })
    };
    let (from, to) = (when(&args.from)?, when(&args.to)?);
    if from >= to {
        return Err(Failure::Message(format!(
            "`{}` is not before `{}`",
            args.from, args.to
        )));
    }
    if args.service.server.is_some() {
        return ask(args, &args.service.client()?, &from.to_string(), &to.to_string());
    }
    let data = args.service.data()?;
    let store = match Store::open(&data, &StoreOptions::default()) {
        Ok((store, _)) => store,
        Err(StoreError::InUse { .. }) => {
            return ask(args, &args.service.client()?, &from.to_string(), &to.to_string());
        }
        Err(error) => return Err(Failure::Message(error.to_string())),
    };
    let settings = args.service.settings(terminal)?;
    let (_, rules) = Rules::load(&settings, &data);
    let told = backfill(&store, rules, &args.rule, from..to, &ServiceOptions::default())
        .map_err(|error| Failure::Message(error.to_string()))?;
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{}", json!(told))?,
        Format::Table => writeln!(
            out,
            "Back-fill {}: {} records from {} to {}, {} alerts, {} of them new.",
            told.id, told.records, told.from, told.to, told.alerts, told.new_alerts
        )?,
    }
    Ok(Exit::Nothing)
}

fn ask(args: &Args, client: &Client, from: &str, to: &str) -> Result<Exit, Failure> {
    let started = client.post(
        "/api/v1/backfills",
        &json!({ "rule": args.rule, "from": from, "to": to }),
    )?;
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{started}")?,
        Format::Table => {
            let text = |key: &str| harmless(started.get(key).and_then(Value::as_str).unwrap_or("?"));
            writeln!(
                out,
                "The service back-fills {} from {} to {}; `neph status` tells how it goes.",
                text("rule"),
                text("from"),
                text("to")
            )?;
        }
    }
    Ok(Exit::Nothing)
}
