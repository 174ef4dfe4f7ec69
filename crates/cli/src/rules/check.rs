//! `neph rules check`: everything that is wrong with rule files or a query, at once.

use std::io::Write;
use std::path::{Path, PathBuf};

use neph_diag::render::{self, FileReport};
use neph_diag::{SourceFile, fix, has_errors};
use neph_rules::{Lang, LoadReport, RuleKind, RuleState};

use crate::exit::{Exit, Failure};
use crate::explain::registry;
use crate::query::QueryArgs;
use crate::rules::{BUILTIN, BesideArgs, rule_path};
use crate::terminal::Terminal;

/// A fix may uncover the next one; after so many rounds a file is left as it is.
const ROUNDS: usize = 8;

/// Check rule files, or one query, and report every problem at once
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  neph rules check rules/\n  neph rules check --fix my-rule.toml\n  neph rules check --lang eql --query 'process where process.name == \"*.exe\"'\n  neph rules check --lang kql --query 'source.ip: 10.*'\n\nExit code 2 if a rule is rejected or the query is refused. Without --mapping or --strict a query is not refused\nfor the types of its names and arguments, which a mapping says; such problems are shown all the same."
)]
pub(crate) struct Args {
    /// Rule files or folders of them; `builtin` stands for the rules that the binary carries.
    #[arg(value_name = "PATH", default_value = BUILTIN, value_parser = rule_path)]
    paths: Vec<PathBuf>,
    /// Check this query instead of files.
    #[arg(long, value_name = "QUERY", conflicts_with = "paths")]
    query: Option<String>,
    #[command(flatten)]
    language: QueryArgs,
    #[command(flatten)]
    beside: BesideArgs,
    /// Write the sure fixes into the files.
    #[arg(long, conflicts_with = "query")]
    fix: bool,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people: each problem under its line.
    Text,
    /// One JSON object: counts, and each rule with its state and diagnostics.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    if let Some(query) = &args.query {
        return check_query(query, args, terminal);
    }
    let mut report = args.beside.load(&args.paths, Lang::English).report;
    if args.fix && apply_fixes(&report, terminal)? {
        report = args.beside.load(&args.paths, Lang::English).report;
    }
    let files = report.file_reports();
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Text => {
            print_files(&mut out, &files, terminal)?;
            print_states(&mut out, &report)?;
        }
        Format::Json => writeln!(out, "{}", report.to_json())?,
        Format::Sarif => writeln!(
            out,
            "{}",
            render::sarif(&files, &registry(), env!("CARGO_PKG_VERSION"))
        )?,
    }
    let wrong = report
        .rules
        .iter()
        .any(|rule| rule.state == RuleState::Rejected && rule.kind.is_none_or(RuleKind::is_supported));
    // A file that holds no rule at all may still be wrong.
    let barren = |file: usize| !report.rules.iter().any(|rule| rule.file == file);
    let wrong = wrong
        || !report.failures.is_empty()
        || files
            .iter()
            .enumerate()
            .any(|(number, file)| barren(number) && has_errors(file.diagnostics));
    Ok(if wrong { Exit::Errors } else { Exit::Nothing })
}

fn print_files(out: &mut impl Write, files: &[FileReport<'_>], terminal: &Terminal) -> std::io::Result<()> {
    for file in files {
        for diagnostic in file.in_order() {
            writeln!(
                out,
                "{}",
                render::text(diagnostic, &file.source, terminal.colour_out)
            )?;
        }
    }
    let summary = render::summary(files);
    if summary.is_empty() {
        Ok(())
    } else {
        writeln!(out, "{summary}")
    }
}

fn print_states(out: &mut impl Write, report: &LoadReport) -> std::io::Result<()> {
    for rule in report
        .rules
        .iter()
        .filter(|rule| rule.state == RuleState::Degraded)
    {
        let name = rule.name.as_deref().or(rule.id.as_deref()).unwrap_or("?");
        for reason in &rule.reasons {
            writeln!(out, "degraded: `{name}`: {reason}")?;
        }
    }
    for file in &report.ignored {
        writeln!(out, "ignored: {}: {}", file.path.display(), file.reason)?;
    }
    for failure in &report.failures {
        writeln!(out, "unreadable: {}: {}", failure.path.display(), failure.reason)?;
    }
    writeln!(out, "{}", report.counts())
}

/// Writes the sure fixes into the files; whether any file changed.
fn apply_fixes(report: &LoadReport, terminal: &Terminal) -> Result<bool, Failure> {
    let mut changed = false;
    for file in &report.files {
        let mut text = file.text.to_string();
        let mut diagnostics = file.diagnostics.clone();
        let mut applied = 0;
        for _ in 0..ROUNDS {
            let fixes: Vec<_> = diagnostics
                .iter()
                .filter_map(|diagnostic| diagnostic.fix.clone())
                .collect();
            let outcome = fix::apply(&text, &fixes, true);
            if outcome.applied == 0 || outcome.text == text {
                break;
            }
            applied += outcome.applied;
            text = outcome.text;
            diagnostics = neph_rules::load_text(&file.path, text.clone())
                .report
                .files
                .into_iter()
                .flat_map(|file| file.diagnostics)
                .collect();
        }
        if applied > 0 {
            write_whole(&file.path, &text)?;
            terminal.note_plain(&format!("{}: {applied} fixed", file.name));
            changed = true;
        }
    }
    Ok(changed)
}

/// Replaces a file at once, so that a crash leaves either the old or the new text.
fn write_whole(path: &Path, text: &str) -> Result<(), Failure> {
    let failure = |source| Failure::Write {
        path: path.display().to_string(),
        source,
    };
    let beside = path.with_extension("neph-fix");
    std::fs::write(&beside, text).map_err(failure)?;
    let permissions = std::fs::metadata(path).map_err(failure)?.permissions();
    std::fs::set_permissions(&beside, permissions).map_err(failure)?;
    std::fs::rename(&beside, path).map_err(failure)
}

fn check_query(query: &str, args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    let diagnostics = args.language.compile(query)?.diagnostics;
    let source = SourceFile {
        name: "<query>",
        text: query,
    };
    let files = [FileReport {
        source,
        diagnostics: &diagnostics,
    }];
    let compiles = !has_errors(&diagnostics);
    let refused = args.language.refuses(&diagnostics);
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Text => {
            print_files(&mut out, &files, terminal)?;
            let verdict = match (refused, compiles) {
                (true, _) => "the query is refused",
                (false, true) => "the query compiles",
                (false, false) => {
                    "the query parses, but does not compile with the shipped schema; --mapping gives the types of your own"
                }
            };
            writeln!(out, "{verdict}")?;
        }
        Format::Json => {
            let records: Vec<render::Record> = diagnostics
                .iter()
                .map(|each| render::record(each, &source))
                .collect();
            let verdict = serde_json::json!({"ok": !refused, "compiles": compiles, "diagnostics": records});
            writeln!(out, "{verdict}")?;
        }
        Format::Sarif => writeln!(
            out,
            "{}",
            render::sarif(&files, &registry(), env!("CARGO_PKG_VERSION"))
        )?,
    }
    Ok(if refused { Exit::Errors } else { Exit::Nothing })
}
