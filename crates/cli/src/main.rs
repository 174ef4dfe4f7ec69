//! The binary `neph`: one file a command. Everything that a command does beyond reading its arguments and printing lives
//! in the crates below.

mod audit;
mod backfill;
mod baseline;
mod collect;
mod completions;
mod config;
mod coverage;
mod demo;
mod detect;
mod exit;
mod explain;
mod format;
mod image;
mod input;
mod normalize;
mod outputs;
mod query;
mod rules;
mod serve;
mod service;
mod sources;
mod status;
mod table;
mod terminal;
mod token;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::exit::Exit;
use crate::terminal::{Colour, Terminal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threat detection for clouds and containers: rules over logs, alerts that explain themselves.
#[derive(Debug, Parser)]
#[command(
    name = "neph",
    version,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 nothing found or no --fail-on given, 1 alerts found (with --fail-on), 2 usage or rule errors.\n\
                  Examples:   neph demo\n            neph detect logs/"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// When to colour the output; `auto` obeys NO_COLOR and colours terminals only.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    color: Colour,
}

#[derive(Debug, Subcommand)]
enum Command {
    Detect(detect::Args),
    Query(query::Args),
    Normalize(normalize::Args),
    Rules(rules::Args),
    Sources(sources::Args),
    Coverage(coverage::Args),
    Collect(collect::Args),
    Audit(audit::Args),
    Image(image::Args),
    Baseline(baseline::Args),
    Demo(demo::Args),
    Watch(watch::Args),
    Serve(serve::Args),
    Status(status::Args),
    Backfill(backfill::Args),
    Outputs(outputs::Args),
    Token(token::Args),
    Config(config::Args),
    Explain(explain::Args),
    Completions(completions::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let terminal = Terminal::new(cli.color);
    let outcome = match cli.command {
        Command::Detect(args) => detect::run(&args, &terminal),
        Command::Query(args) => query::run(&args, &terminal),
        Command::Normalize(args) => normalize::run(&args, &terminal),
        Command::Rules(args) => rules::run(&args, &terminal),
        Command::Sources(args) => sources::run(&args, &terminal),
        Command::Coverage(args) => coverage::run(&args, &terminal),
        Command::Collect(args) => collect::run(&args, &terminal),
        Command::Audit(args) => audit::run(&args, &terminal),
        Command::Image(args) => image::run(&args, &terminal),
        Command::Baseline(args) => baseline::run(&args, &terminal),
        Command::Demo(args) => demo::run(&args, &terminal),
        Command::Watch(args) => watch::run(&args, &terminal),
        Command::Serve(args) => serve::run(&args, &terminal),
        Command::Status(args) => status::run(&args, &terminal),
        Command::Backfill(args) => backfill::run(&args, &terminal),
        Command::Outputs(args) => outputs::run(&args, &terminal),
        Command::Token(args) => token::run(&args, &terminal),
        Command::Config(args) => config::run(&args, &terminal),
        Command::Explain(args) => explain::run(&args, &terminal),
        Command::Completions(args) => completions::run(&args),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if failure.is_closed_pipe() {
                return Exit::Nothing.into();
            }
            terminal.error(&failure.to_string());
            Exit::Errors.into()
        }
    }
}
