//! `neph rules test`: the tests beside rules.

mod mutate;

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use neph_diag::render;
use neph_diag::{SourceFile, has_errors};
use neph_rules::rule_tests::{TestFile, find_test_files, read_test_file};
use neph_runtime::rule_tests::{CaseReport, TestRunner};
use serde_json::json;

use super::{BUILTIN, rule_path};
use crate::exit::{Exit, Failure};
use crate::table::harmless;
use crate::terminal::{Terminal, paint};

/// Run the tests beside rules, `NAME.test.yaml`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  neph rules test rules/\n  neph rules test rules/linux/curl.toml --name 'benign*'\n  neph rules test --mutate rules/\n  neph rules test --junit report.xml rules/\n\nExit code 0 if all cases pass (with --mutate: if every part is needed), 1 if one fails, 2 if a file cannot be read or there is no case."
)]
pub(crate) struct Args {
    /// Test files, rule files with tests beside them, or folders; `builtin` stands for those that the binary carries.
    #[arg(value_name = "PATH", default_value = BUILTIN, value_parser = rule_path)]
    paths: Vec<PathBuf>,
    /// Run the cases of this name only; `*` stands for any text. May be given several times.
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,
    /// Take parts out of the rules, one at a time, and show those that no test needs: conditions, alternatives, values, fields of new
    /// terms, limits.
    #[arg(long, conflicts_with_all = ["name", "junit"])]
    mutate: bool,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Write a report in the form of JUnit to this file besides.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people: each failure with what explains it.
    Text,
    /// One JSON object: counts, and each case with its failures.
    Json,
}

/// A test file with what became of its cases.
struct Ran {
    file: TestFile,
    cases: Vec<CaseReport>,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    let (paths, failures) = find_test_files(&args.paths);
    let mut unreadable: Vec<String> = failures
        .iter()
        .map(|failure| format!("`{}`: {}", failure.path.display(), failure.reason))
        .collect();
    if args.mutate {
        return mutate::run(&paths, &unreadable, args.format, terminal);
    }
    let mut runner = TestRunner::default();
    let mut ran = Vec::new();
    for path in paths {
        match read_test_file(&path) {
            Ok(file) => {
                let cases = runner.run(&file, |name| is_wanted(&args.name, name));
                ran.push(Ran { file, cases });
            }
            Err(reason) => unreadable.push(format!("`{}`: {reason}", path.display())),
        }
    }
    if let Some(path) = &args.junit {
        std::fs::write(path, junit(&ran)).map_err(|source| Failure::Write {
            path: path.display().to_string(),
            source,
        })?;
    }
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Text => print(&mut out, &ran, terminal)?,
        Format::Json => writeln!(out, "{}", json_of(&ran, &unreadable))?,
    }
    for reason in &unreadable {
        terminal.error(reason);
    }
    let cases = || ran.iter().flat_map(|ran| &ran.cases);
    if cases().next().is_none() {
        terminal.error("there is no case to run");
    }
    let is_broken = ran.iter().any(|ran| has_errors(&ran.file.diagnostics));
    Ok(
        if is_broken || !unreadable.is_empty() || cases().next().is_none() {
            Exit::Errors
        } else if cases().any(|case| !case.passed()) {
            Exit::Alerts
        } else {
            Exit::Nothing
        },
    )
}

/// Whether a name fits one of the patterns; without any it does.
fn is_wanted(patterns: &[String], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| fits(pattern, name))
}

/// Whether a text is as a pattern says, in which `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn print(out: &mut impl Write, ran: &[Ran], terminal: &Terminal) -> std::io::Result<()> {
    let colour = terminal.colour_out;
    let style = |colour: AnsiColor| Style::new().bold().fg_color(Some(colour.into()));
    for Ran { file, cases } in ran {
        let name = file.path.display().to_string();
        let source = SourceFile {
            name: &name,
            text: &file.text,
        };
        for diagnostic in &file.diagnostics {
            writeln!(out, "{}", render::text(diagnostic, &source, colour))?;
        }
        for case in cases {
            let verdict = if case.passed() {
                paint(colour, style(AnsiColor::Green), "ok    ")
            } else {
                paint(colour, style(AnsiColor::Red), "FAILED")
            };
            writeln!(
                out,
                "{verdict} {name}: {} ({}, {}, {:.1?})",
                harmless(&case.name),
                count(case.events, "event"),
                count(case.alerts, "alert"),
                case.elapsed
            )?;
            for failure in &case.failures {
                writeln!(out, "  {name}:{}: {}", failure.line, harmless(&failure.message))?;
                for detail in &failure.details {
                    let text = harmless(detail);
                    let style = if detail.trim_start().starts_with('✗') {
                        Style::new().fg_color(Some(AnsiColor::Red.into()))
                    } else {
                        Style::new().dimmed()
                    };
                    writeln!(out, "    {}", paint(colour, style, &text))?;
                }
            }
        }
    }
    let cases: Vec<&CaseReport> = ran.iter().flat_map(|ran| &ran.cases).collect();
    let passed = cases.iter().filter(|case| case.passed()).count();
    let time: Duration = cases.iter().map(|case| case.elapsed).sum();
    writeln!(
        out,
        "{}: {passed} passed, {} failed, in {} ({time:.1?})",
        count(cases.len(), "case"),
        cases.len() - passed,
        count(ran.len(), "file"),
    )
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn json_of(ran: &[Ran], unreadable: &[String]) -> serde_json::Value {
    let mut cases = Vec::new();
    let mut problems = Vec::new();
    let (mut passed, mut failed) = (0, 0);
    for Ran { file, cases: reports } in ran {
        let name = file.path.display().to_string();
        let source = SourceFile {
            name: &name,
            text: &file.text,
        };
        problems.extend(
            file.diagnostics
                .iter()
                .map(|found| json!({"file": name, "diagnostic": render::record(found, &source)})),
        );
        for case in reports {
            *(if case.passed() { &mut passed } else { &mut failed }) += 1;
            let failures: Vec<serde_json::Value> = case
                .failures
                .iter()
                .map(|failure| json!({"line": failure.line, "message": failure.message, "details": failure.details}))
                .collect();
            cases.push(json!({
                "file": name,
                "line": case.line,
                "name": case.name,
                "passed": case.passed(),
                "events": case.events,
                "alerts": case.alerts,
                "seconds": case.elapsed.as_secs_f64(),
                "failures": failures,
            }));
        }
    }
    json!({
        "passed": passed,
        "failed": failed,
        "cases": cases,
        "diagnostics": problems,
        "unreadable": unreadable,
    })
}

/// The report in the form that build servers read: <https://github.com/testmoapp/junitxml>.
fn junit(ran: &[Ran]) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for Ran { file, cases } in ran {
        let name = escaped(&file.path.display().to_string());
        let errors = file.diagnostics.len();
        let failed = cases.iter().filter(|case| !case.passed()).count();
        let time: Duration = cases.iter().map(|case| case.elapsed).sum();
        // Writing into a string cannot fail.
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failed}\" errors=\"{errors}\" time=\"{:.6}\">",
            cases.len() + errors,
            time.as_secs_f64()
        );
        for found in &file.diagnostics {
            let _ = writeln!(
                xml,
                "    <testcase classname=\"{name}\" name=\"(file)\"><error message=\"{}\"/></testcase>",
                escaped(&found.message)
            );
        }
        for case in cases {
            let _ = write!(
                xml,
                "    <testcase classname=\"{name}\" name=\"{}\" time=\"{:.6}\"",
                escaped(&case.name),
                case.elapsed.as_secs_f64()
            );
            if case.passed() {
                xml.push_str("/>\n");
                continue;
            }
            xml.push_str(">\n");
            for failure in &case.failures {
                let _ = writeln!(
                    xml,
                    "      <failure message=\"{}\">{}</failure>",
                    escaped(&failure.message),
                    escaped(&failure.details.join("\n"))
                );
            }
            xml.push_str("    </testcase>\n");
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// Text as XML 1.0 may hold it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(char),
            char if char.is_control() || matches!(char, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn names_fit_patterns() {
        for (pattern, name, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*a", "a", false),
            ("*b*", "abc", true),
            ("*x*", "abc", false),
            ("a*b*c", "a-b-c", true),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
