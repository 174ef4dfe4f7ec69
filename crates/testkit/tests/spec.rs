//! Runs the spec suites: every case a test, named by its file and headings. `UPDATE=1` writes what is into the files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use neph_testkit::spec::{Case, Kind, Suite, run};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec");
    let mut files: Vec<PathBuf> = LANGUAGES
        .iter()
        .flat_map(|language| chapters(&root.join(language)))
        .collect();
    files.sort();

    let mut trials = Vec::new();
    let mut shown = String::new();
    // An empty folder must not pass for a suite that holds.
    for language in LANGUAGES {
        if chapters(&root.join(language)).is_empty() {
            trials.push(Trial::test(language, move || {
                Err(Failed::from(format!("there is no chapter on {language}")))
            }));
        }
    }
    for path in files {
        let part = |name: Option<&std::ffi::OsStr>| name.unwrap_or_default().to_string_lossy().into_owned();
        let folder = part(path.parent().and_then(Path::file_name));
        let file = match folder.as_str() {
            "eql" => part(path.file_stem()),
            folder => format!("{folder}/{}", part(path.file_stem())),
        };
        let suite = std::fs::read_to_string(&path)
            .map_err(|error| error.to_string())
            .and_then(|text| Suite::parse(text).map_err(|error| error.to_string()));
        match suite {
            Err(problem) => {
                trials.push(Trial::test(file, move || {
                    Err(Failed::from(format!("{}: {problem}", path.display())))
                }));
            }
            Ok(suite) if std::env::var_os("UPDATE").is_some() => {
                trials.push(Trial::test(file, move || update(&path, &suite)));
            }
            Ok(suite) => {
                shown.extend(shown_diagnostics(&suite));
                for case in suite.cases {
                    let shown = path.display().to_string();
                    trials.push(Trial::test(format!("{file}: {}", case.name), move || {
                        examine(&shown, &case)
                    }));
                }
            }
        }
    }
    if std::env::var_os("UPDATE").is_none() {
        trials.push(Trial::test("every code of EQL and KQL is shown", move || {
            every_code_is_shown(&shown)
        }));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The folders of chapters.
const LANGUAGES: [&str; 2] = ["eql", "kql"];

fn chapters(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}

/// What the chapters show of diagnostics.
fn shown_diagnostics(suite: &Suite) -> impl Iterator<Item = String> {
    suite
        .cases
        .iter()
        .flat_map(|case| &case.expectations)
        .filter(|expectation| expectation.kind == Kind::Diagnostics)
        .map(|expectation| expectation.text.clone())
}

/// A lint or error that no chapter shows is neither described nor tested.
fn every_code_is_shown(shown: &str) -> Result<(), Failed> {
    // A query of that size would fill the chapter.
    let unshowable = ["query-too-large"];
    let missing: Vec<&str> = neph_plan::codes::CODES
        .iter()
        .chain(neph_eql::CODES)
        .chain(neph_kql::CODES)
        .map(|code| code.name)
        .filter(|name| !unshowable.contains(name) && !shown.contains(&format!("[{name}]")))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Failed::from(format!("no chapter shows {}", missing.join(", "))))
    }
}

fn update(path: &Path, suite: &Suite) -> Result<(), Failed> {
    let updated = suite.updated()?;
    if updated != suite.text {
        std::fs::write(path, updated)?;
    }
    Ok(())
}

fn examine(file: &str, case: &Case) -> Result<(), Failed> {
    let outcomes = run(case).map_err(|failure| format!("{file}: {failure}"))?;
    let mut differences = String::new();
    for (expectation, actual) in case.expectations.iter().zip(outcomes) {
        if expectation.text != actual {
            let what = match expectation.kind {
                Kind::Matches => "matches",
                Kind::Diagnostics => "diagnostics",
                Kind::Fixed => "fixed query",
                Kind::Values => "values",
            };
            let line = expectation.lines.start + 1;
            differences.push_str(&format!(
                "{file}:{line}: {what} expected:\n{}but got:\n{actual}",
                expectation.text
            ));
        }
    }
    if differences.is_empty() {
        Ok(())
    } else {
        Err(Failed::from(differences))
    }
}
