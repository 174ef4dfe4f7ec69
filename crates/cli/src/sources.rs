//! `neph sources`: what kinds of records are read, which fields they fill, and which rules need them.

use std::io::Write;
use std::path::PathBuf;

use neph_normalize::{SourceInfo, sources};
use neph_rules::Lang;
use neph_runtime::coverage::{Coverage, coverage};
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};
use crate::format::Format;
use crate::rules::{BesideArgs, rule_path};
use crate::table::table;
use crate::terminal::Terminal;

/// Fields without a source that are shown; `--format json` has all.
const SHOWN: usize = 40;

/// List the sources whose records are read, their fields, and which rules need them
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  neph sources\n  neph sources aws_cloudtrail\n  neph sources --rules rules/ --format json"
)]
pub(crate) struct Args {
    /// One source, with its fields.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Rule files or folders: say which rules each source serves, and which fields they read that nothing fills.
    #[arg(long, value_name = "PATH", value_parser = rule_path)]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    beside: BesideArgs,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    let shown: Vec<&SourceInfo> = match &args.name {
        None => sources().iter().collect(),
        Some(name) => {
            let is_named = |info: &&SourceInfo| info.name == name || info.aliases.contains(&name.as_str());
            vec![sources().iter().find(is_named).ok_or_else(|| {
                Failure::Message(format!("there is no source `{name}`; `neph sources` lists them"))
            })?]
        }
    };
    let found = if args.rules.is_empty() {
        None
    } else {
        let set = args.beside.load(&args.rules, Lang::English);
        terminal.note_plain(&set.report.counts().to_string());
        Some(coverage(&set.rules))
    };
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{}", json_of(&shown, found.as_ref(), args.name.is_none()))?,
        Format::Table if args.name.is_some() => one(&mut out, &shown, found.as_ref())?,
        Format::Table => all(&mut out, &shown, found.as_ref())?,
    }
    Ok(Exit::Nothing)
}

/// One source with its fields.
fn one(out: &mut impl Write, shown: &[&SourceInfo], found: Option<&Coverage>) -> std::io::Result<()> {
    for info in shown {
        writeln!(out, "{}: {}", info.name, info.title)?;
        if !info.aliases.is_empty() {
            writeln!(out, "also named {}", info.aliases.join(", "))?;
        }
        if !info.dataset.is_empty() {
            writeln!(
                out,
                "event.module {}, event.dataset {}",
                info.module, info.dataset
            )?;
        }
        let served = found.and_then(|found| found.sources.get(info.name));
        for field in info.fields() {
            let readers = served.map_or(0, |served| {
                served
                    .fields
                    .iter()
                    .filter(|(read, _)| is_within(read, field))
                    .map(|(_, rules)| rules)
                    .sum()
            });
            match readers {
                0 => writeln!(out, "  {field}")?,
                number => writeln!(out, "  {field}  (read {number} times by rules)")?,
            }
        }
        if let Some(served) = served {
            writeln!(out, "rules whose every field it fills: {}", served.complete.len())?;
            for name in &served.complete {
                writeln!(out, "  {name}")?;
            }
        }
    }
    Ok(())
}

/// Whether a field that rules read is this field of a source, or lies below it.
fn is_within(read: &str, field: &str) -> bool {
    match field.strip_suffix(".*") {
        Some(prefix) => read
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
        None => read == field,
    }
}

fn all(out: &mut impl Write, shown: &[&SourceInfo], found: Option<&Coverage>) -> std::io::Result<()> {
    let mut header = vec!["source", "records", "fields"];
    if found.is_some() {
        header.extend(["fields read", "rules it serves whole"]);
    }
    let mut list = table(&header);
    for info in shown {
        let mut row = vec![
            info.name.to_owned(),
            info.title.to_owned(),
            info.fields().len().to_string(),
        ];
        if info.module.is_empty() {
            row.truncate(2);
            row.push("-".into());
        }
        if let Some(found) = found {
            let served = found.sources.get(info.name);
            row.push(served.map_or(0, |served| served.fields.len()).to_string());
            row.push(served.map_or(0, |served| served.complete.len()).to_string());
        }
        list.add_row(row);
    }
    writeln!(out, "{list}")?;
    let Some(found) = found else { return Ok(()) };
    let mut folders = table(&["rules in", "rules", "every field filled", "", "by one source"]);
    for (folder, of) in &found.folders {
        let mut by: Vec<(&&str, &usize)> = of.by_source.iter().collect();
        by.sort_by_key(|(name, rules)| (std::cmp::Reverse(**rules), **name));
        let by: Vec<String> = by
            .into_iter()
            .take(8)
            .map(|(name, rules)| format!("{name} {rules}"))
            .collect();
        folders.add_row([
            folder.clone(),
            of.rules.to_string(),
            of.filled.to_string(),
            format!("{:.0} %", percent(of.filled, of.rules)),
            by.join(", "),
        ]);
    }
    writeln!(out, "\n{folders}")?;
    let filled: usize = found.folders.values().map(|of| of.filled).sum();
    writeln!(
        out,
        "{filled} of {} rules read only fields that some source fills ({:.1} %)",
        found.rules,
        percent(filled, found.rules)
    )?;
    if found.unfilled.is_empty() {
        return Ok(());
    }
    let mut unfilled: Vec<(&String, usize)> = found
        .unfilled
        .iter()
        .map(|(field, rules)| (field, rules.len()))
        .collect();
    unfilled.sort_by_key(|(field, rules)| (std::cmp::Reverse(*rules), *field));
    let mut fields = table(&["field that nothing fills", "rules"]);
    for (field, rules) in unfilled.iter().take(SHOWN) {
        fields.add_row([(*field).clone(), rules.to_string()]);
    }
    writeln!(out, "\n{fields}")?;
    if unfilled.len() > SHOWN {
        writeln!(out, "{} more; --format json has all", unfilled.len() - SHOWN)?;
    }
    Ok(())
}

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "numbers of rules are small")]
    let percent = part as f64 * 100.0 / whole as f64;
    percent
}

fn json_of(shown: &[&SourceInfo], found: Option<&Coverage>, is_whole: bool) -> Value {
    let list: Vec<Value> = shown
        .iter()
        .map(|info| {
            let mut object = json!({
                "name": info.name,
                "aliases": info.aliases,
                "title": info.title,
                "module": info.module,
                "dataset": info.dataset,
                "fields": if info.module.is_empty() { Vec::new() } else { info.fields() },
            });
            if let (Some(found), Value::Object(entries)) = (found, &mut object) {
                let served = found.sources.get(info.name).cloned().unwrap_or_default();
                entries.insert("read_by_rules".into(), json!(served.fields));
                entries.insert("rules_served_whole".into(), json!(served.complete));
            }
            object
        })
        .collect();
    let mut object = json!({"sources": list});
    if let (Some(found), Value::Object(entries), true) = (found, &mut object, is_whole) {
        let folders: serde_json::Map<String, Value> = found
            .folders
            .iter()
            .map(|(name, of)| {
                let value = json!({"rules": of.rules, "every_field_filled": of.filled, "by_one_source": of.by_source});
                (name.clone(), value)
            })
            .collect();
        entries.insert("rules".into(), json!(found.rules));
        entries.insert("folders".into(), Value::Object(folders));
        entries.insert("unfilled".into(), json!(found.unfilled));
    }
    object
}
