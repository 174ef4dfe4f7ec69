//! `neph demo`: scenarios that the binary carries, and what the rules say of them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anstyle::Style;
use jiff::Timestamp;
use neph_diag::{SourceFile, has_errors, render};
use neph_event::Instant;
use neph_rules::rule_tests::{Scenario, parse_scenario};
use neph_rules::{BUILTIN_DEMO, Lang, builtin_files};
use neph_runtime::rule_tests::replay;
use serde_json::{Value, json};

use crate::detect::{Format, Printer, Tell};
use crate::exit::{Exit, Failure};
use crate::input::plural;
use crate::rules::{BUILTIN, BesideArgs, LangArgs, rule_path};
use crate::table::table;
use crate::terminal::{Terminal, paint};

/// Replay attacks that the binary carries, phase by phase, and show the alerts
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  neph demo\n  neph demo --list\n  neph demo snapshot-chain --why\n  neph demo --lang ru --now --format ndjson"
)]
pub(crate) struct Args {
    /// Names of scenarios, or files of own ones (`*.yaml`); all that the binary carries where none is named.
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// List the scenarios.
    #[arg(long)]
    list: bool,
    /// Let the attacks happen now, instead of at the times that the scenarios state.
    #[arg(long)]
    now: bool,
    /// Rule files or folders of them, or `builtin` for the rules that the binary carries; may be given several times.
    #[arg(long, value_name = "PATH", default_value = BUILTIN, value_parser = rule_path)]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    beside: BesideArgs,
    #[command(flatten)]
    lang: LangArgs,
    /// After the table show for each alert its events and why each condition held.
    #[arg(long)]
    why: bool,
    /// Form of the output; as JSON each alert says its scenario and phase under `neph.demo`.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    let lang = args.lang.lang();
    let scenarios = pick(args)?;
    if args.list {
        list(&scenarios, lang, args.format)?;
        return Ok(Exit::Nothing);
    }
    let mut set = args.beside.load(&args.rules, lang);
    let rules = std::mem::take(&mut set.rules);
    let program = Arc::new(set.program);
    let mut number = 0;
    let mut objects = Vec::new();
    for scenario in &scenarios {
        let text = scenario.text_in(lang);
        let phases = replay(&rules, &program, scenario).map_err(|failure| {
            Failure::Message(format!("{}:{}: {}", scenario.name, failure.line, failure.message))
        })?;
        if args.format == Format::Table {
            head(terminal, &text.title, &scenario.mission, &text.description)?;
        }
        for (position, (phase, played)) in scenario.phases.iter().zip(phases).enumerate() {
            let name = text.phases.get(position).unwrap_or(&phase.name);
            number += played.alerts.len();
            let mut printer = Printer::new(args.format, args.why, *terminal);
            if args.format == Format::Table {
                let bold = Style::new().bold();
                let line = format!("{}. {name}", position + 1);
                writeln!(
                    std::io::stdout().lock(),
                    "{} ({})",
                    paint(terminal.colour_out, bold, &line),
                    plural(played.events as u64, "event")
                )?;
            }
            for mut alert in played.alerts {
                alert.document.change(|document| {
                    if let Some(Value::Object(own)) = document.get_mut("neph") {
                        let phase = json!({"scenario": scenario.name, "phase": position + 1, "name": name});
                        own.insert("demo".into(), phase);
                    }
                });
                match args.format {
                    Format::Json => objects.push(alert.document.into_value()),
                    _ => printer.tell(neph_rules::Told::Raised(alert))?,
                }
            }
            if args.format == Format::Table {
                printer.end(None)?;
            }
        }
        if args.format == Format::Table {
            writeln!(std::io::stdout().lock())?;
        }
    }
    if args.format == Format::Json {
        writeln!(std::io::stdout().lock(), "{}", json!({"alerts": objects}))?;
    }
    let scenarios = plural(scenarios.len() as u64, "scenario");
    let told = format!(
        "{} of {} in {scenarios}",
        plural(number as u64, "alert"),
        plural(rules.len() as u64, "rule")
    );
    terminal.note_plain(&told);
    Ok(Exit::Nothing)
}

/// The scenarios that are wanted, by name.
fn pick(args: &Args) -> Result<Vec<Scenario>, Failure> {
    let now = Timestamp::now().as_millisecond();
    let base = args.now.then(|| Instant::from_millis(now));
    let mut found = Vec::new();
    for (path, text) in builtin_files(Path::new(BUILTIN_DEMO)) {
        found.push(read(path, text, base)?);
    }
    if args.scenarios.is_empty() {
        return Ok(found);
    }
    let mut wanted = Vec::new();
    for name in &args.scenarios {
        if name.ends_with(".yaml") || name.ends_with(".yml") {
            let text = std::fs::read_to_string(name).map_err(|source| Failure::Read {
                path: name.clone(),
                source,
            })?;
            wanted.push(read(name, &text, base)?);
        } else if let Some(scenario) = found.iter().find(|scenario| scenario.name == *name) {
            wanted.push(scenario.clone());
        } else {
            let names: Vec<&str> = found.iter().map(|scenario| scenario.name.as_str()).collect();
            let names = names.join(", ");
            return Err(Failure::Message(format!(
                "there is no scenario `{name}`; there are {names}"
            )));
        }
    }
    Ok(wanted)
}

/// Reads a scenario; what is wrong with it is told whole.
fn read(path: &str, text: &str, base: Option<Instant>) -> Result<Scenario, Failure> {
    let (scenario, diagnostics) = parse_scenario(Path::new(path), text, base);
    scenario.filter(|_| !has_errors(&diagnostics)).ok_or_else(|| {
        let source = SourceFile { name: path, text };
        let told: Vec<String> = diagnostics
            .iter()
            .map(|diagnostic| render::text(diagnostic, &source, false))
            .collect();
        Failure::Message(format!("`{path}` is no scenario\n{}", told.join("\n")))
    })
}

fn list(scenarios: &[Scenario], lang: Lang, format: Format) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if format != Format::Table {
        let of = |scenario: &Scenario| {
            let text = scenario.text_in(lang);
            json!({"name": scenario.name, "title": text.title, "mission": scenario.mission, "phases": text.phases})
        };
        let all: Vec<Value> = scenarios.iter().map(of).collect();
        return writeln!(out, "{}", Value::Array(all));
    }
    let mut rows = table(&["SCENARIO", "MISSION", "TITLE", "PHASES"]);
    for scenario in scenarios {
        rows.add_row([
            scenario.name.clone(),
            scenario.mission.join(" "),
            scenario.text_in(lang).title.clone(),
            scenario.phases.len().to_string(),
        ]);
    }
    writeln!(out, "{rows}")
}

fn head(terminal: &Terminal, title: &str, mission: &[String], description: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let style = Style::new().bold().underline();
    let title = paint(terminal.colour_out, style, title);
    writeln!(out, "{title} [{}]", mission.join(", "))?;
    if !description.is_empty() {
        writeln!(out, "{description}")?;
    }
    Ok(())
}
