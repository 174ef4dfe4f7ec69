//! `neph baseline history`.

use std::collections::BTreeMap;
use std::io::Write;

use jiff::Timestamp;
use neph_baseline::{Brief, Class, History};
use serde_json::json;

use super::{FolderArgs, Format, when};
use crate::exit::{Exit, Failure};
use crate::table::{harmless, table};
use crate::terminal::Terminal;

/// List which baselines were taken and what comparisons found, or what was found first since some time
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  neph baseline history
  neph baseline history --new-since 7d --format json")]
pub(super) struct ListHistory {
    #[command(flatten)]
    folder: FolderArgs,
    /// List the differences that were found first since this time: `7d`, `12h`, a day, or a time.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    new_since: Option<Timestamp>,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(super) fn run(args: &ListHistory, terminal: &Terminal) -> Result<Exit, Failure> {
    let folder = &args.folder.folder;
    let history = History::read(folder).map_err(|source| Failure::Read {
        path: folder.display().to_string(),
        source,
    })?;
    for (path, why) in &history.refused {
        terminal.warning(&harmless(&format!("`{}` {why}", path.display())));
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match args.new_since {
        Some(since) => new_since(&mut out, &history, since, args.format)?,
        None => everything(&mut out, &history, args.format)?,
    }
    out.flush()?;
    Ok(Exit::Nothing)
}

fn everything(out: &mut impl Write, history: &History, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        let baselines: Vec<_> = history
            .baselines
            .iter()
            .map(|(taken, by, path)| json!({"taken": taken, "by": by, "file": path.display().to_string()}))
            .collect();
        writeln!(
            out,
            "{}",
            json!({"baselines": baselines, "comparisons": history.comparisons})
        )?;
        return Ok(());
    }
    let mut rows: Vec<(Timestamp, [String; 3])> = Vec::new();
    for (taken, by, path) in &history.baselines {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        rows.push((*taken, ["baseline".to_owned(), harmless(&name), harmless(by)]));
    }
    for kept in &history.comparisons {
        let found: Vec<String> = Class::ALL
            .into_iter()
            .filter_map(|class| {
                let of = || kept.differences.iter().filter(move |one| one.class == class);
                let (all, approved) = (
                    of().count(),
                    of().filter(|one| one.standing == "approved").count(),
                );
                let approved = if approved > 0 {
                    format!(" ({approved} approved)")
                } else {
                    String::new()
                };
                (all > 0).then(|| format!("{all} {}{approved}", class.name()))
            })
            .collect();
        let mut found = if found.is_empty() {
            "no difference".to_owned()
        } else {
            found.join(", ")
        };
        if kept.unknown > 0 {
            found.push_str(&format!("; {} unknown", kept.unknown));
        }
        let with = format!("with the baseline of {}: {found}", kept.baseline);
        rows.push((kept.compared, ["comparison".to_owned(), with, harmless(&kept.by)]));
    }
    rows.sort();
    let mut table = table(&["TIME", "WHAT", "OUTCOME", "BY"]);
    for (at, [what, outcome, by]) in rows {
        table.add_row([at.to_string(), what, outcome, by]);
    }
    writeln!(out, "{table}")?;
    Ok(())
}

fn new_since(
    out: &mut impl Write,
    history: &History,
    since: Timestamp,
    format: Format,
) -> Result<(), Failure> {
    let seen = history.first_seen();
    // What was told of it last, which says what became of it.
    let mut last: BTreeMap<&str, (&Brief, Timestamp)> = BTreeMap::new();
    for kept in &history.comparisons {
        for brief in &kept.differences {
            last.insert(&brief.id, (brief, kept.compared));
        }
    }
    let newest = history.comparisons.last().map(|kept| kept.compared);
    let mut found: Vec<(Timestamp, &Brief, bool)> = last
        .into_values()
        .filter_map(|(brief, at)| {
            let first = *seen.get(brief.id.as_str())?;
            (first >= since).then_some((first, brief, Some(at) == newest))
        })
        .collect();
    found.sort_by_key(|(first, brief, _)| (*first, brief.class, brief.record.clone()));
    if format == Format::Json {
        let list: Vec<_> = found
            .iter()
            .map(|(first, brief, still)| json!({"first_seen": first, "still": still, "difference": brief}))
            .collect();
        writeln!(out, "{}", json!({"since": since, "differences": list}))?;
        return Ok(());
    }
    let mut table = table(&[
        "FIRST FOUND",
        "DIFFERENCE",
        "KIND",
        "WHAT",
        "STANDING",
        "STILL",
        "ID",
    ]);
    for (first, brief, still) in &found {
        table.add_row([
            first.to_string(),
            brief.class.name().to_owned(),
            brief.kind.name().to_owned(),
            harmless(&brief.record),
            harmless(&brief.standing),
            if *still { "yes" } else { "no" }.to_owned(),
            harmless(brief.id.get(..8).unwrap_or(&brief.id)),
        ]);
    }
    if !found.is_empty() {
        writeln!(out, "{table}")?;
    }
    writeln!(out, "{} differences were found first since {since}", found.len())?;
    Ok(())
}
