//! `neph rules test --mutate`: which parts of rules no test needs.

use std::io::Write;
use std::path::PathBuf;

use neph_diag::{SourceFile, render};
use neph_rules::rule_tests::read_test_file;
use neph_runtime::rule_tests::{MutatedRule, TestRunner};
use serde_json::json;

use super::Format;
use crate::exit::{Exit, Failure};
use crate::table::harmless;
use crate::terminal::Terminal;

pub(super) fn run(
    paths: &[PathBuf],
    unreadable: &[String],
    format: Format,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let mut unreadable = unreadable.to_vec();
    let mut rules: Vec<MutatedRule> = Vec::new();
    for path in paths {
        match read_test_file(path) {
            // Rules of one file share a runner; all of them would make it remember what nobody asks for again.
            Ok(file) => rules.extend(TestRunner::default().mutate(&file)),
            Err(reason) => unreadable.push(format!("`{}`: {reason}", path.display())),
        }
    }
    let mut out = std::io::stdout().lock();
    match format {
        Format::Text => print(&mut out, &rules, terminal)?,
        Format::Json => writeln!(out, "{}", json_of(&rules, &unreadable))?,
    }
    for reason in &unreadable {
        terminal.error(reason);
    }
    Ok(if !unreadable.is_empty() || rules.is_empty() {
        Exit::Errors
    } else if rules.iter().any(|rule| !rule.survivors.is_empty()) {
        Exit::Alerts
    } else {
        Exit::Nothing
    })
}

fn print(out: &mut impl Write, rules: &[MutatedRule], terminal: &Terminal) -> std::io::Result<()> {
    for rule in rules {
        let source = SourceFile {
            name: &rule.path,
            text: &rule.text,
        };
        for survivor in &rule.survivors {
            writeln!(
                out,
                "{}",
                render::text(&survivor.diagnostic, &source, terminal.colour_out)
            )?;
        }
    }
    for rule in rules {
        let mark = if rule.survivors.is_empty() { " " } else { "!" };
        writeln!(
            out,
            "{mark} {:>4} of {:>4}  {} attack, {} benign  {}",
            rule.killed(),
            rule.total,
            rule.attacks,
            rule.benign,
            harmless(&rule.name)
        )?;
    }
    let (killed, total) = sums(rules);
    writeln!(
        out,
        "{killed} of {total} parts of {} rules are needed by a test ({} %)",
        rules.len(),
        percent(killed, total)
    )
}

fn sums(rules: &[MutatedRule]) -> (usize, usize) {
    let killed = rules.iter().map(MutatedRule::killed).sum();
    (killed, rules.iter().map(|rule| rule.total).sum())
}

fn percent(part: usize, whole: usize) -> usize {
    (part * 100).checked_div(whole).unwrap_or(100)
}

fn json_of(rules: &[MutatedRule], unreadable: &[String]) -> serde_json::Value {
    let (killed, total) = sums(rules);
    let each: Vec<serde_json::Value> = rules
        .iter()
        .map(|rule| {
            let source = SourceFile {
                name: &rule.path,
                text: &rule.text,
            };
            let survivors: Vec<_> = rule
                .survivors
                .iter()
                .map(|survivor| render::record(&survivor.diagnostic, &source))
                .collect();
            json!({
                "rule_id": rule.id,
                "name": rule.name,
                "file": rule.path,
                "killed": rule.killed(),
                "total": rule.total,
                "attack_cases": rule.attacks,
                "benign_cases": rule.benign,
                "survivors": survivors,
            })
        })
        .collect();
    json!({"killed": killed, "total": total, "rules": each, "unreadable": unreadable})
}
