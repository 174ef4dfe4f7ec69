//! Files that people write and the API changes: what is there, what a change makes of it, and writing it without losing another's.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use neph_diag::{Diagnostic, SourceFile, has_errors, render};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use similar::TextDiff;

use crate::problem::Problem;
use crate::route::Call;

/// What changing a file does.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Edit {
    /// The file.
    file: String,
    /// The difference, as `diff -u` writes it.
    diff: String,
    /// A hash of the text that is there; null where there is none.
    base: Option<String>,
    /// Whether it can be written.
    valid: bool,
    /// What is wrong with the file, with its place.
    diagnostics: Vec<Value>,
    #[serde(skip)]
    #[schemars(skip)]
    text: String,
}

impl Edit {
    /// A text for a file, which holds `before` now; `label` names it in the difference.
    pub(crate) fn new(
        path: &Path,
        label: &str,
        before: Option<&str>,
        text: String,
        diagnostics: &[Diagnostic],
    ) -> Self {
        let file = path.display().to_string();
        Self {
            diff: file_difference(label, before, &text),
            base: before.map(hash),
            valid: !has_errors(diagnostics),
            diagnostics: records(diagnostics, &file, &text),
            file,
            text,
        }
    }

    /// Writes it, if the file is still the one with the hash `base`; `what` is what people call it.
    pub(crate) fn write(
        &mut self,
        call: &Call<'_>,
        path: &Path,
        base: Option<&str>,
        what: &str,
    ) -> Result<(), Problem> {
        check(
            what,
            (self.base.as_deref(), base),
            self.valid,
            &mut self.diagnostics,
        )?;
        call.about(self.diff.clone());
        let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        folder
            .and_then(|()| replace(path, self.text.as_bytes()))
            .map_err(|error| Problem::failed(format!("{what} cannot be written: {error}")))
    }
}

/// Whether what was shown may be written: the text that is there is the one that it was made from, and nothing is wrong.
pub(crate) fn check(
    what: &str,
    (there, base): (Option<&str>, Option<&str>),
    valid: bool,
    diagnostics: &mut Vec<Value>,
) -> Result<(), Problem> {
    if there != base {
        return Err(Problem::conflict(format!(
            "{what} is another than the one that was shown; propose again"
        )));
    }
    if !valid {
        let mut problem = Problem::text(format!("{what} has mistakes"), Vec::new());
        problem.diagnostics = std::mem::take(diagnostics);
        return Err(problem);
    }
    Ok(())
}

/// The text of a file, if there is one.
pub(crate) fn read(path: &Path, what: &str) -> Result<Option<String>, Problem> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Problem::failed(format!("{what} cannot be read: {error}"))),
    }
}

/// What tells a text from another.
pub(crate) fn hash(text: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The difference of a file, as `diff -u` writes it; empty where nothing changes.
pub(crate) fn file_difference(label: &str, before: Option<&str>, after: &str) -> String {
    difference(
        before.unwrap_or(""),
        after,
        &format!("a/{label}"),
        &format!("b/{label}"),
    )
}

/// The difference of two texts that go by these names.
pub(crate) fn difference(before: &str, after: &str, name: &str, other: &str) -> String {
    TextDiff::from_lines(before, after)
        .unified_diff()
        .header(name, other)
        .to_string()
}

/// Diagnostics of a text in the form of the wire.
pub(crate) fn records(diagnostics: &[Diagnostic], name: &str, text: &str) -> Vec<Value> {
    let source = SourceFile { name, text };
    let record = |found| serde_json::to_value(render::record(found, &source)).unwrap_or_default();
    diagnostics.iter().map(record).collect()
}

/// Writes beside the file, and puts it in its place at once: whoever reads it reads all or nothing.
pub(crate) fn replace(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}
