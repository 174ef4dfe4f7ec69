//! Development tasks, one file a task: `cargo xtask TASK`.

mod attack;
mod check;
mod generate;
mod own_fields;
mod schema;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Development tasks of this repository")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Check(check::Args),
    Generate(generate::Args),
    OwnFields(own_fields::Args),
    RefreshAttack(attack::Args),
    RefreshSchema(schema::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Check(args) => check::run(&args),
        Task::Generate(args) => generate::run(&args),
        Task::OwnFields(args) => own_fields::run(&args),
        Task::RefreshAttack(args) => attack::run(&args),
        Task::RefreshSchema(args) => schema::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "{problem}");
            ExitCode::FAILURE
        }
    }
}
