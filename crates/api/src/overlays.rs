//! Overlays that are changed from outside: what is proposed is checked and shown as a difference of files; engineers write it.
//!
//! Such overlays stand in a folder of their own, one file each. The text is the truth: it is what was sent, word by word.

use std::path::{Path, PathBuf};

use neph_diag::has_errors;
use neph_rules::load_with;
use neph_store::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::App;
use crate::edits::{check, file_difference, hash, read, records, replace};
use crate::problem::Problem;
use crate::route::{Answer, Call, Route, Verb, schema_of};
use crate::scratch::Scratch;

pub(crate) static ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/overlays/{name}",
        Role::Viewer,
        "overlays.get",
        "The text of an overlay that was written here.",
        schema_of::<Text>,
        get,
    ),
    Route::post(
        "/api/v1/overlays/{name}/proposal",
        Role::Analyst,
        "overlays.propose",
        "What writing a text would change: the difference of the file, the rules it is for, and what is wrong with it.",
        schema_of::<Proposal>,
        propose,
    )
    .with_body(schema_of::<New>),
    Route::post(
        "/api/v1/overlays/{name}",
        Role::Engineer,
        "overlays.write",
        "Writes an overlay; the rules are read again at once.",
        schema_of::<Text>,
        write,
    )
    .with_verb(Verb::Put)
    .with_body(schema_of::<New>),
    Route::post(
        "/api/v1/overlays/{name}",
        Role::Engineer,
        "overlays.remove",
        "Takes an overlay away.",
        schema_of::<Removed>,
        remove,
    )
    .with_verb(Verb::Delete),
];

/// Longest text, in bytes.
const LONGEST: usize = 512 << 10;
/// What people call the file.
const WHAT: &str = "the overlay";

/// A text to be written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct New {
    /// The overlay, as YAML (`docs/overlays.md`).
    text: String,
    /// `hash` of the text that this one was made from; null where there was none.
    #[serde(default)]
    base: Option<String>,
}

/// The text of an overlay.
#[derive(Debug, Serialize, JsonSchema)]
struct Text {
    /// Its name.
    name: String,
    /// Its file.
    file: String,
    /// The text.
    text: String,
    /// A hash of the text.
    hash: String,
}

/// What writing would change.
#[derive(Debug, Serialize, JsonSchema)]
struct Proposal {
    /// The file.
    file: String,
    /// The difference, as `diff -u` writes it; empty where nothing changes.
    diff: String,
    /// `hash` of the text that is there; null where there is none.
    base: Option<String>,
    /// Whether it can be written.
    valid: bool,
    /// Ids of the rules that it is for.
    rules: Vec<String>,
    /// What is wrong or doubtful, with its place.
    diagnostics: Vec<Value>,
}

/// An overlay that was taken away.
#[derive(Debug, Serialize, JsonSchema)]
struct Removed {
    /// Its name.
    name: String,
}

/// The file of a name. The name is one of a few letters, so that it leads nowhere else.
fn file(app: &App, name: &str) -> Result<PathBuf, Problem> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) || name.starts_with('-') {
        return Err(Problem::invalid(
            "the name of an overlay is 1 to 64 lower-case letters, digits and `-`",
        ));
    }
    Ok(app.overlay_folder.join(format!("{name}.yml")))
}

fn get(call: &Call<'_>) -> Result<Answer, Problem> {
    let name = call.part("name");
    let path = file(call.app, name)?;
    let text = read(&path, WHAT)?.ok_or_else(|| Problem::missing("overlay", name))?;
    Answer::json(&Text {
        name: name.to_owned(),
        file: path.display().to_string(),
        hash: hash(&text),
        text,
    })
}

/// Holds a text against the rules, in the place of the one that is there.
fn judge(app: &App, path: &Path, new: &New) -> Result<Proposal, Problem> {
    if new.text.len() > LONGEST {
        return Err(Problem::invalid(format!(
            "the overlay is longer than {LONGEST} bytes"
        )));
    }
    let failed = |error: std::io::Error| Problem::failed(format!("the overlay cannot be checked: {error}"));
    let before = read(path, WHAT)?;
    let folder = Scratch::new(app).map_err(failed)?;
    let name = path.file_name().map(PathBuf::from).unwrap_or_default();
    let trial = folder.path().join(&name);
    std::fs::write(&trial, &new.text).map_err(failed)?;
    let shown = app.rules();
    let files = &shown.files;
    let mut options = files.options.clone();
    // The folder's other overlays count as they do now.
    let others = std::fs::read_dir(&app.overlay_folder)
        .into_iter()
        .flatten()
        .flatten();
    let others: Vec<PathBuf> = others
        .map(|entry| entry.path())
        .filter(|other| other != path && other.is_file())
        .collect();
    options.overlays.retain(|overlay| *overlay != app.overlay_folder);
    options.overlays.extend(others);
    options.overlays.push(trial.clone());
    let set = load_with(&files.paths, &options);
    let trial_name = trial.display().to_string();
    let told = set.report.beside.iter().find(|file| file.path == trial);
    let diagnostics = told.map_or(&[][..], |file| &file.diagnostics);
    let display = path.display().to_string();
    let rules = set
        .report
        .overlays
        .iter()
        .filter(|overlay| overlay.file == trial_name);
    let label = name.display().to_string();
    Ok(Proposal {
        diff: file_difference(&label, before.as_deref(), &new.text),
        base: before.as_deref().map(hash),
        valid: told.is_some() && !has_errors(diagnostics),
        rules: rules.flat_map(|overlay| overlay.rules.iter().cloned()).collect(),
        diagnostics: records(diagnostics, &display, &new.text),
        file: display,
    })
}

fn propose(call: &Call<'_>) -> Result<Answer, Problem> {
    let new: New = call.body()?;
    let path = file(call.app, call.part("name"))?;
    Answer::json(&judge(call.app, &path, &new)?)
}

fn write(call: &Call<'_>) -> Result<Answer, Problem> {
    let new: New = call.body()?;
    let name = call.part("name");
    let path = file(call.app, name)?;
    // One writer at a time: between the look and the rename nobody else writes.
    let _alone = call.app.writing();
    let mut proposal = judge(call.app, &path, &new)?;
    check(
        WHAT,
        (proposal.base.as_deref(), new.base.as_deref()),
        proposal.valid,
        &mut proposal.diagnostics,
    )?;
    call.about(format!("{name} {}", proposal.diff));
    replace(&path, new.text.as_bytes())
        .map_err(|error| Problem::failed(format!("the overlay cannot be written: {error}")))?;
    Answer::json(&Text {
        name: name.to_owned(),
        file: proposal.file,
        hash: hash(&new.text),
        text: new.text,
    })
}

fn remove(call: &Call<'_>) -> Result<Answer, Problem> {
    let name = call.part("name");
    let path = file(call.app, name)?;
    let _alone = call.app.writing();
    match std::fs::remove_file(&path) {
        Ok(()) => Answer::json(&Removed {
            name: name.to_owned(),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Problem::missing("overlay", name)),
        Err(error) => Err(Problem::failed(format!("the overlay cannot be removed: {error}"))),
    }
}
