//! What is seen on this host, what is not, and what is missing for it.

use std::io::Write;
use std::sync::Arc;

use neph_rules::Rule;
use neph_sensor::{Abilities, Mode, Part, Sensor, StartError};

use super::SensorArgs;
use super::outlook::{Outlook, file_lines};
use crate::exit::{Exit, Failure};

/// Capabilities (capabilities(7)) by their numbers, and what they are needed for.
const CAPABILITIES: [(u32, &str, &str); 8] = [
    (
        2,
        "CAP_DAC_READ_SEARCH",
        "which files the processes of others run",
    ),
    (
        12,
        "CAP_NET_ADMIN",
        "hooks of connections, and the process connector",
    ),
    (19, "CAP_SYS_PTRACE", "who the processes of others are"),
    (
        21,
        "CAP_SYS_ADMIN",
        "the control groups that hooks are attached to, on some kernels",
    ),
    (30, "CAP_AUDIT_CONTROL", "rules of the audit system"),
    (37, "CAP_AUDIT_READ", "records of the audit system"),
    (38, "CAP_PERFMON", "programs in the kernel that look at it"),
    (39, "CAP_BPF", "programs in the kernel"),
];

/// So many columns a terminal has at least.
const COLUMNS: usize = 80;

/// `neph watch --check`.
pub(super) fn run(args: &SensorArgs, rules: &[Arc<Rule>]) -> Result<Exit, Failure> {
    let (options, asked) = args.options_for(rules);
    let mut out = std::io::stdout().lock();
    let mut best: Option<Abilities> = None;
    let modes = options.mode.map_or(Mode::ALL.to_vec(), |mode| vec![mode]);
    for mode in modes {
        let mut options = options.clone();
        options.mode = Some(mode);
        match Sensor::start(&options) {
            Ok(sensor) => {
                writeln!(out, "{mode}: works")?;
                for line in abilities(sensor.abilities()) {
                    writeln!(out, "{}", below(&line))?;
                }
                best.get_or_insert_with(|| sensor.abilities().clone());
            }
            Err(error) => {
                let why: Vec<String> = error.tried.iter().map(|(_, error)| error.to_string()).collect();
                writeln!(out, "{mode}: does not work: {}", why.join("; "))?;
            }
        }
    }
    let missing = missing();
    if !missing.is_empty() {
        writeln!(out, "missing capabilities:")?;
        for (name, what) in missing {
            writeln!(out, "  {name}: {what}")?;
        }
    }
    let Some(best) = best else {
        return Ok(Exit::Errors);
    };
    writeln!(out, "rules, with {}:", best.mode)?;
    let mut lines = Outlook::new(rules, &best).lines(true);
    if !best.unseen.contains(&Part::Files) {
        lines.extend(file_lines(&asked, &options.files, true));
    }
    for line in lines {
        writeln!(out, "{}", below(&line))?;
    }
    Ok(Exit::Nothing)
}

/// What a sensor sees, in lines.
fn abilities(abilities: &Abilities) -> Vec<String> {
    let mut lines = Vec::new();
    let attached = abilities.hooks.iter().filter(|hook| hook.failed.is_none());
    let attached: Vec<&str> = attached.map(|hook| hook.name.as_str()).collect();
    if !attached.is_empty() {
        lines.push(format!("attached: {}", attached.join(", ")));
    }
    for hook in &abilities.hooks {
        if let Some(why) = &hook.failed {
            lines.push(format!("not attached: {}: {why}", hook.name));
        }
    }
    for (parts, what) in [
        (&abilities.unseen, "not seen"),
        (
            &abilities.uncertain,
            "seen only of processes that run for some milliseconds",
        ),
    ] {
        if !parts.is_empty() {
            let parts: Vec<&str> = parts.iter().map(|part| part.name()).collect();
            lines.push(format!("{what}: {}", parts.join(", ")));
        }
    }
    lines
}

/// What is said when looking begins.
pub(super) fn banner(seen: &Abilities) -> String {
    let mut lines = vec![format!("watching this host by {}", seen.mode)];
    lines.extend(abilities(seen).iter().map(|line| below(line)));
    let others = seen.passed_over.iter();
    lines.extend(others.map(|(mode, why)| below(&format!("not by {mode}: {why}"))));
    lines.join("\n")
}

/// A line that stands below another, of words that are parted by single spaces behind its own indentation. Where it is too long for
/// a terminal, it goes on in lines that stand further right.
pub(super) fn below(line: &str) -> String {
    let indentation = 2 + line.len() - line.trim_start().len();
    let mut text = String::new();
    let mut columns = 0;
    for word in line.split_whitespace() {
        let width = word.chars().count();
        if columns > 0 && columns + 1 + width <= COLUMNS {
            text.push(' ');
            columns += 1;
        } else {
            columns = match text.is_empty() {
                true => indentation,
                false => indentation + 4,
            };
            let end = if text.is_empty() { "" } else { "\n" };
            text.push_str(&format!("{end}{:columns$}", ""));
        }
        text.push_str(word);
        columns += width;
    }
    text
}

/// Why nothing can be seen, and what to do about it.
pub(super) fn refused(error: &StartError) -> Failure {
    let mut text = String::from("nothing can be seen of this host");
    for (mode, why) in &error.tried {
        text.push_str(&format!("\n  {mode}: {why}"));
    }
    let missing: Vec<&str> = missing().into_iter().map(|(name, _)| name).collect();
    if !missing.is_empty() {
        text.push_str(&format!(
            "\nthe kernel shows it only to who may look; missing: {}\ntype `sudo neph watch`, or run the unit `neph-watch.service`, which has no more rights than these",
            missing.join(", ")
        ));
    }
    Failure::Message(text)
}

/// The capabilities that this process lacks. None where the kernel does not say.
fn missing() -> Vec<(&'static str, &'static str)> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok());
    let Some(effective) = effective else {
        return Vec::new();
    };
    let lacking = |(number, ..): &&(u32, &str, &str)| effective >> number & 1 == 0;
    let missing = CAPABILITIES.iter().filter(lacking);
    missing.map(|(_, name, what)| (*name, *what)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_go_on_further_right_and_lose_no_word() {
        assert_eq!(below("not seen: files"), "  not seen: files");
        let names = ["control group connect4"; 9].join(", ");
        for (line, indentation) in [
            (format!("attached: {names}"), 2),
            (format!("  `{names}`: why"), 4),
        ] {
            let text = below(&line);
            let lines: Vec<&str> = text.lines().collect();
            assert!(
                lines.len() > 2 && lines.iter().all(|line| line.len() <= COLUMNS),
                "{text}"
            );
            let own = |line: &str| line.len() - line.trim_start().len();
            assert_eq!(own(lines[0]), indentation);
            assert!(
                lines[1..].iter().all(|line| own(line) == indentation + 4),
                "{text}"
            );
            assert!(text.split_whitespace().eq(line.split_whitespace()), "{text}");
        }
        // What cannot be broken is not.
        let long = "x".repeat(100);
        assert_eq!(
            below(&format!("a {long} b")),
            format!("  a\n      {long}\n      b")
        );
    }
}
