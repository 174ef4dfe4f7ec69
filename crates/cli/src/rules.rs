//! `neph rules`: work on rule files.

mod beside;
mod check;
mod convert;
mod list;
mod pick;
mod preview;
mod profile;
mod show;
mod stats;
mod test;
mod unpack;

pub(crate) use beside::{BUILTIN, BesideArgs, LangArgs, rule_path};
use std::collections::BTreeSet;

use neph_diag::{Diagnostic, Severity, has_errors};
use neph_rules::{LoadReport, RuleState};

use crate::exit::{Exit, Failure};
use crate::terminal::Terminal;

/// Check, test, list, show, count, preview, profile, convert and unpack rules
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Check(check::Args),
    Convert(convert::Args),
    List(list::Args),
    Preview(preview::Args),
    Profile(profile::Args),
    Show(show::Args),
    Stats(stats::Args),
    Test(test::Args),
    Unpack(unpack::Args),
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    match &args.command {
        Command::Check(args) => check::run(args, terminal),
        Command::Test(args) => test::run(args, terminal),
        Command::Convert(args) => convert::run(args, terminal),
        Command::List(args) => list::run(args, terminal),
        Command::Preview(args) => preview::run(args, terminal),
        Command::Profile(args) => profile::run(args, terminal),
        Command::Show(args) => show::run(args, terminal),
        Command::Stats(args) => stats::run(args, terminal),
        Command::Unpack(args) => unpack::run(args, terminal),
    }
}

/// Rules named in full in the notes of a load; the rest is counted, and `neph rules check` shows all.
const SHOWN: usize = 5;

/// Says on standard error which rules do not run, or not as written; of the rules
/// `untold` only what is wrong. Whether a file has a mistake of its author's.
pub(crate) fn report_load(report: &LoadReport, untold: &BTreeSet<&str>, terminal: &Terminal) -> bool {
    for failure in &report.failures {
        terminal.error(&format!(
            "cannot read `{}`: {}",
            failure.path.display(),
            failure.reason
        ));
    }
    for file in &report.indicators {
        for (reason, count) in &file.skipped {
            terminal.warning(&format!(
                "`{}`: {count} records are left out as indicators: {reason}",
                file.path.display()
            ));
        }
    }
    let broken_beside = report_beside(report, terminal);
    let mut wrong = 0_usize;
    let mut unsupported = 0_usize;
    let mut degraded = 0_usize;
    for rule in &report.rules {
        let name = rule.name.as_deref().or(rule.id.as_deref()).unwrap_or("?");
        match rule.state {
            RuleState::Active => {}
            RuleState::Degraded if rule.id.as_deref().is_some_and(|id| untold.contains(id)) => {}
            RuleState::Degraded => {
                degraded += 1;
                if degraded <= SHOWN {
                    let reasons: Vec<String> = rule.reasons.iter().map(ToString::to_string).collect();
                    terminal.warning(&format!("rule `{name}` is degraded: {}", reasons.join("; ")));
                }
            }
            RuleState::Rejected if rule.kind.is_some_and(|kind| !kind.is_supported()) => unsupported += 1,
            RuleState::Rejected => {
                wrong += 1;
                if wrong <= SHOWN {
                    let file = report.files.get(rule.file).map_or("?", |file| file.name.as_str());
                    let reason = rule
                        .diagnostics
                        .iter()
                        .find(|diagnostic| diagnostic.severity() == Severity::Error)
                        .map_or("it has no query that can run", |diagnostic| {
                            diagnostic.message.as_str()
                        });
                    terminal.error(&format!("rule `{name}` ({file}) is rejected: {reason}"));
                }
            }
        }
    }
    for (count, what) in [(wrong, "rejected"), (degraded, "degraded")] {
        if count > SHOWN {
            terminal.warning(&format!(
                "{count} rules are {what} in all; `neph rules check` shows them"
            ));
        }
    }
    if unsupported > 0 {
        terminal.warning(&format!("{unsupported} rules are of types that do not run yet"));
    }
    wrong > 0 || broken_beside || !report.failures.is_empty()
}

/// Says what is wrong with lists and overlays, or does not fit any more. Whether something is wrong.
fn report_beside(report: &LoadReport, terminal: &Terminal) -> bool {
    let mut broken = false;
    for file in &report.beside {
        let told = |diagnostic: &&Diagnostic| diagnostic.severity() > Severity::Info;
        let mut found: Vec<&Diagnostic> = file.diagnostics.iter().filter(told).collect();
        found.sort_by_key(|diagnostic| std::cmp::Reverse(diagnostic.severity()));
        for diagnostic in found.iter().take(SHOWN) {
            let message = format!("`{}`: {}", file.name, diagnostic.message);
            match diagnostic.severity() {
                Severity::Error => terminal.error(&message),
                _ => terminal.warning(&message),
            }
        }
        if found.len() > SHOWN {
            terminal.warning(&format!(
                "`{}`: {} problems in all; `neph rules check` shows them",
                file.name,
                found.len()
            ));
        }
        broken |= has_errors(&file.diagnostics);
    }
    broken
}
