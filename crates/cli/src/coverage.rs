//! `neph coverage`: which techniques of ATT&CK the rules cover.

use std::io::Write;
use std::path::PathBuf;

use neph_rules::RuleState;
use neph_rules::matrix::{Matrix, PLATFORMS, Row};
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};
use crate::rules::{BUILTIN, BesideArgs, LangArgs, rule_path};
use crate::table::{harmless, table};
use crate::terminal::Terminal;

/// Show which techniques of ATT&CK the rules cover, on which sources, tested or not, and what is missing
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  neph coverage\n  neph coverage --format navigator > layer.json   # https://mitre-attack.github.io/attack-navigator/\n  neph coverage --rules builtin --rules own/ --platform Linux --format markdown"
)]
pub(crate) struct Args {
    /// Rule files or folders of them, or `builtin` for the rules that the binary carries; may be given several times.
    #[arg(long, value_name = "PATH", default_value = BUILTIN, value_parser = rule_path)]
    rules: Vec<PathBuf>,
    /// Show all techniques of this platform of ATT&CK (`IaaS`, `Containers`, `Linux`, `Windows` …) beside those that rules name; may
    /// be given several times.
    #[arg(long, value_name = "PLATFORM", default_values = PLATFORMS)]
    platform: Vec<String>,
    #[command(flatten)]
    beside: BesideArgs,
    #[command(flatten)]
    lang: LangArgs,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Tables for people.
    Table,
    /// One JSON object.
    Json,
    /// A layer for ATT&CK Navigator.
    Navigator,
    /// A table in Markdown.
    Markdown,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    let set = args.beside.load(&args.rules, args.lang.lang());
    for failure in &set.report.failures {
        terminal.error(&format!(
            "cannot read `{}`: {}",
            failure.path.display(),
            failure.reason
        ));
    }
    let matrix = Matrix::new(&set, &args.platform);
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Table => print(&mut out, &matrix)?,
        Format::Json => writeln!(out, "{}", json!(matrix))?,
        Format::Navigator => writeln!(out, "{:#}", layer(&matrix))?,
        Format::Markdown => markdown(&mut out, &matrix)?,
    }
    Ok(if set.report.failures.is_empty() {
        Exit::Nothing
    } else {
        Exit::Errors
    })
}

fn print(out: &mut impl Write, matrix: &Matrix) -> std::io::Result<()> {
    for (tactic, rows) in matrix.by_tactic() {
        let (covered, open): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| !row.rules.is_empty());
        writeln!(
            out,
            "{} ({}): {} of {} techniques have a rule",
            tactic.name,
            tactic.id,
            covered.len(),
            rows.len()
        )?;
        if !covered.is_empty() {
            let mut table = table(&["TECHNIQUE", "NAME", "RULES", "TESTED", "SOURCES", "MISSING"]);
            for row in &covered {
                table.add_row([
                    row.id.to_owned(),
                    row.name.to_owned(),
                    row.running().count().to_string(),
                    tested(row).to_string(),
                    harmless(&row.sources.join(" ")),
                    missing(row),
                ]);
            }
            writeln!(out, "{table}")?;
        }
        if !open.is_empty() {
            let ids: Vec<&str> = open.iter().map(|row| row.id).collect();
            writeln!(out, "no rule: {}", ids.join(" "))?;
        }
        writeln!(out)?;
    }
    summary(out, matrix)
}

fn summary(out: &mut impl Write, matrix: &Matrix) -> std::io::Result<()> {
    let (covered, sure, all) = matrix.counts();
    writeln!(
        out,
        "ATT&CK {}, {}: {covered} of {all} techniques and sub-techniques have a rule that runs, {sure} of them active and tested",
        matrix.attack,
        matrix.platforms.join(", ")
    )
}

/// How many of the rules that run have tests with attacks and with what looks like them.
fn tested(row: &Row) -> usize {
    let is_tested =
        |tests: &Option<(usize, usize)>| tests.is_some_and(|(attack, benign)| attack > 0 && benign > 0);
    row.running().filter(|rule| is_tested(&rule.tests)).count()
}

/// What is missing, with the reasons of rules that do not run as they are written.
fn missing(row: &Row) -> String {
    let mut told: Vec<String> = row.gap.iter().map(|gap| gap.told().to_owned()).collect();
    for rule in row.rules.iter().filter(|rule| rule.state != RuleState::Active) {
        told.push(format!("`{}`: {}", rule.name, rule.reasons.join("; ")));
    }
    harmless(&told.join("; "))
}

fn markdown(out: &mut impl Write, matrix: &Matrix) -> std::io::Result<()> {
    writeln!(out, "| tactic | technique | rules | tested | sources | missing |")?;
    writeln!(out, "| --- | --- | ---: | ---: | --- | --- |")?;
    for (tactic, rows) in matrix.by_tactic() {
        for row in rows {
            writeln!(
                out,
                "| {} | {} {} | {} | {} | {} | {} |",
                tactic.name,
                row.id,
                cell(row.name),
                row.running().count(),
                tested(row),
                cell(&row.sources.join(", ")),
                cell(&missing(row)),
            )?;
        }
    }
    writeln!(out)?;
    summary(out, matrix)
}

fn cell(text: &str) -> String {
    harmless(text).replace('|', "\\|")
}

/// A layer of ATT&CK Navigator, format 4.5:
/// <https://github.com/mitre-attack/attack-navigator/blob/master/layers/spec/v4.5/layerformat.md>
fn layer(matrix: &Matrix) -> Value {
    let mut techniques = Vec::new();
    for (tactic, rows) in matrix.by_tactic() {
        for row in rows {
            let names: Vec<&str> = row.rules.iter().map(|rule| rule.name.as_str()).collect();
            let comment = match row.gap {
                Some(gap) => format!("{}. {}", gap.told(), names.join("; ")),
                None => names.join("; "),
            };
            let mut metadata = vec![json!({"name": "tested rules", "value": tested(row).to_string()})];
            if !row.sources.is_empty() {
                metadata.push(json!({"name": "sources", "value": row.sources.join(", ")}));
            }
            techniques.push(json!({
                "techniqueID": row.id,
                "tactic": tactic.short_name,
                "score": row.running().count(),
                "comment": comment.trim(),
                "enabled": true,
                "metadata": metadata,
                "showSubtechniques": row.is_sub() || !row.rules.is_empty(),
            }));
        }
    }
    let most = matrix.techniques.iter().map(|row| row.running().count()).max();
    let major = matrix.attack.split('.').next().unwrap_or(matrix.attack);
    json!({
        "name": "Nephoscope: rules by technique",
        "description": "How many rules look for each technique, on which sources, and whether they are tested",
        "versions": {"attack": major, "navigator": "5.1.0", "layer": "4.5"},
        "domain": "enterprise-attack",
        "filters": {"platforms": matrix.platforms},
        "sorting": 3,
        "layout": {"layout": "side", "showID": true, "showName": true},
        "hideDisabled": false,
        "techniques": techniques,
        "gradient": {"colors": ["#ffe0e0", "#c8e6c9", "#2e7d32"], "minValue": 0, "maxValue": most.unwrap_or(0).max(1)},
        "legendItems": [
            {"label": "no rule", "color": "#ffe0e0"},
            {"label": "most rules", "color": "#2e7d32"},
        ],
    })
}
