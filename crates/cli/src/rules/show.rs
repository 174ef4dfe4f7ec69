//! `neph rules show`: one rule whole.

use std::io::Write;
use std::path::PathBuf;

use neph_rules::catalogue::{Entry, entries, related};
use neph_rules::{Rule, describe};
use serde_json::{Value, json};

use super::list::state;
use super::{BUILTIN, BesideArgs, LangArgs, rule_path};
use crate::exit::{Exit, Failure};
use crate::format::Format;
use crate::table::{harmless, table};
use crate::terminal::Terminal;

/// So many related rules are named.
const RELATED: usize = 8;

/// Show one rule whole: what it says, the fields it reads and who fills them, its plan in words, its guide
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  neph rules show 4f855297-c8e0-4097-9d97-d653f7e471c4 rules/\n  neph rules show 'Credential' rules/   # the one rule with this in its name"
)]
pub(crate) struct Args {
    /// The rule's id, its name, or a part of the name that no other rule has.
    #[arg(value_name = "RULE")]
    rule: String,
    /// Rule files or folders of them; `builtin` stands for the rules that the binary carries.
    #[arg(value_name = "PATH", default_value = BUILTIN, value_parser = rule_path)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    beside: BesideArgs,
    #[command(flatten)]
    lang: LangArgs,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) fn run(args: &Args, _terminal: &Terminal) -> Result<Exit, Failure> {
    let set = args.beside.load(&args.paths, args.lang.lang());
    let all = entries(&set);
    let position = position(&all, &args.rule)?;
    let Some((entry, (_, rule))) = all.get(position).zip(set.all().get(position).copied()) else {
        return Err(Failure::Message(format!("no rule is called `{}`", args.rule)));
    };
    let others = related(entry, &all, RELATED);
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{}", object(entry, rule, &others))?,
        Format::Table => print(&mut out, entry, rule, &others)?,
    }
    Ok(Exit::Nothing)
}

fn position(all: &[Entry], wanted: &str) -> Result<usize, Failure> {
    let is = |text: Option<&str>| text.is_some_and(|text| text.eq_ignore_ascii_case(wanted));
    let exact = all
        .iter()
        .position(|entry| is(entry.rule_id.as_deref()) || is(entry.name.as_deref()));
    if let Some(position) = exact {
        return Ok(position);
    }
    let part = wanted.to_lowercase();
    let names = all
        .iter()
        .enumerate()
        .filter_map(|(position, entry)| Some((position, entry.name.as_deref()?)));
    let found: Vec<(usize, &str)> = names
        .filter(|(_, name)| name.to_lowercase().contains(&part))
        .collect();
    match found.as_slice() {
        [(position, _)] => Ok(*position),
        [] => Err(Failure::Message(format!(
            "no rule of the {} has the id or name `{wanted}`; `neph rules list` shows them",
            all.len()
        ))),
        many => {
            let names: Vec<String> = many.iter().take(5).map(|(_, name)| format!("`{name}`")).collect();
            Err(Failure::Message(format!(
                "{} rules have `{wanted}` in their names, for example {}",
                many.len(),
                names.join(", ")
            )))
        }
    }
}

fn object(entry: &Entry, rule: Option<&Rule>, others: &[&Entry]) -> Value {
    let mut object = json!(entry);
    let others: Vec<Value> = others
        .iter()
        .map(|other| json!({"rule_id": other.rule_id, "name": other.name, "techniques": other.techniques}))
        .collect();
    if let Value::Object(map) = &mut object {
        if let Some(rule) = rule {
            map.extend(describe::details(rule));
        }
        map.insert("related".into(), Value::Array(others));
    }
    object
}

fn print(out: &mut impl Write, entry: &Entry, rule: Option<&Rule>, others: &[&Entry]) -> std::io::Result<()> {
    let line = |text: &str| harmless(text);
    writeln!(
        out,
        "{}",
        line(entry.name.as_deref().unwrap_or("(without a name)"))
    )?;
    let severity = entry.severity.map_or("-", |severity| severity.word());
    let risk = entry
        .risk_score
        .map_or_else(String::new, |score| format!(" {score}"));
    let facts = [
        ("id", entry.rule_id.clone().unwrap_or_default()),
        ("state", state(entry.state).to_owned()),
        (
            "type",
            format!(
                "{} ({})",
                entry.kind.unwrap_or("-"),
                entry.language.as_deref().unwrap_or("-")
            ),
        ),
        ("severity", format!("{severity}{risk}")),
        ("file", entry.file.clone()),
        ("tactics", entry.tactics.join(", ")),
        ("techniques", entry.techniques.join(", ")),
        ("sources", entry.sources.join(", ")),
        ("tags", entry.tags.join(", ")),
    ];
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(out, "  {name:<11} {}", line(value))?;
    }
    for reason in &entry.reasons {
        writeln!(out, "  {:<11} {}", state(entry.state), line(reason))?;
    }
    let Some(rule) = rule else { return Ok(()) };
    writeln!(
        out,
        "  {:<11} every {}, from {} to {}",
        "schedule", rule.schedule.interval, rule.schedule.from, rule.schedule.to
    )?;
    section(out, "Description", &rule.description)?;
    section(out, "Query", &rule.query)?;
    let plan = describe::plan(rule);
    section(out, "Plan", &plan.join("\n"))?;
    let fields = describe::fields(rule);
    if !fields.is_empty() {
        let mut table = table(&["FIELD", "FILLED BY"]);
        for field in &fields {
            let sources = match field.sources.as_slice() {
                [] => "no known source".to_owned(),
                few if few.len() <= 4 => few.join(", "),
                many => format!(
                    "{} and {} more",
                    many.get(..3).unwrap_or(many).join(", "),
                    many.len() - 3
                ),
            };
            table.add_row([harmless(&field.name), harmless(&sources)]);
        }
        section(out, "Fields", &table.to_string())?;
    }
    section(out, "False positives", &rule.false_positives.join("\n"))?;
    section(out, "Guide", rule.note.as_deref().unwrap_or(""))?;
    section(out, "Setup", rule.setup.as_deref().unwrap_or(""))?;
    section(out, "References", &rule.references.join("\n"))?;
    let others: Vec<String> = others
        .iter()
        .map(|other| {
            let name = other.name.as_deref().unwrap_or("-");
            format!("{name} ({})", other.techniques.join(", "))
        })
        .collect();
    section(out, "Related", &others.join("\n"))
}

/// A headed part; nothing where the text is empty.
fn section(out: &mut impl Write, title: &str, text: &str) -> std::io::Result<()> {
    if text.trim().is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}")?;
    for line in text.trim_matches('\n').lines() {
        writeln!(out, "  {}", harmless(line))?;
    }
    Ok(())
}
