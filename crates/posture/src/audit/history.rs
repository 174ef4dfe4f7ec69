//! Runs that are remembered: which failures there were, and when.
//!
//! A run is a file of its own in a folder, named by its time; nothing is ever changed. What is known at a time is what the runs until then
//! found, so "new since last week" needs no state but the folder.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::finding::{Finding, Outcome};
use super::report::Report;

/// The form that is written and read.
const VERSION: u32 = 1;
/// Larger files are no runs.
const LARGEST: u64 = 256 << 20;
/// More runs than these are not read; the newest are.
const MOST: usize = 2_000;

/// Why runs cannot be remembered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The folder or a file cannot be read or written.
    #[error("cannot use `{}`: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no run.
    #[error("`{}` is no run of an audit: {what}", path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// Why.
        what: String,
    },
}

/// A run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// The form, 1.
    version: u32,
    /// When it was.
    pub at: Timestamp,
    /// The checks that were asked.
    pub checks: BTreeSet<String>,
    /// Keys of the failures, muted ones included.
    pub failed: BTreeSet<String>,
    /// How many answers passed and are unknown.
    pub passed: usize,
    /// How many are unknown.
    pub unknown: usize,
}

/// The runs of a folder.
#[derive(Debug, Default)]
pub struct History {
    runs: Vec<Run>,
}

impl History {
    /// Reads the runs of a folder, in the order of their times; a folder that is not there has none.
    ///
    /// # Errors
    /// When the folder or a run in it cannot be read.
    pub fn read(folder: &Path) -> Result<Self, HistoryError> {
        let failed = |path: &Path, source| HistoryError::Io {
            path: path.to_owned(),
            source,
        };
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(folder, error)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| failed(folder, error))?.path();
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            if name.starts_with("run-") && name.ends_with(".json") {
                paths.push(path);
            }
        }
        paths.sort();
        let skipped = paths.len().saturating_sub(MOST);
        let mut runs = Vec::new();
        for path in paths.into_iter().skip(skipped) {
            let size = std::fs::metadata(&path)
                .map_err(|error| failed(&path, error))?
                .len();
            let form = |what: String| HistoryError::Form {
                path: path.clone(),
                what,
            };
            if size > LARGEST {
                return Err(form("it is too large".to_owned()));
            }
            let bytes = std::fs::read(&path).map_err(|error| failed(&path, error))?;
            let run: Run = serde_json::from_slice(&bytes).map_err(|error| form(error.to_string()))?;
            if run.version != VERSION {
                return Err(form(format!(
                    "it has the form {}, and only {VERSION} is known",
                    run.version
                )));
            }
            runs.push(run);
        }
        runs.sort_by_key(|run| run.at);
        Ok(Self { runs })
    }

    /// The runs, oldest first.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// What failed in any run until a time. Where there is none so old, the oldest run is what things began with.
    pub fn known_before(&self, time: Timestamp) -> BTreeSet<String> {
        let before = self.runs.iter().filter(|run| run.at <= time);
        let mut known: BTreeSet<String> = before.flat_map(|run| run.failed.iter().cloned()).collect();
        if !self.runs.iter().any(|run| run.at <= time) {
            known.extend(
                self.runs
                    .iter()
                    .take(1)
                    .flat_map(|run| run.failed.iter().cloned()),
            );
        }
        known
    }
}

impl Run {
    /// What is remembered of a report.
    pub fn of(report: &Report, at: Timestamp) -> Self {
        let failed = report
            .findings
            .iter()
            .chain(report.muted.iter().map(|(finding, _)| finding))
            .filter(|finding| finding.outcome == Outcome::Fail);
        Self {
            version: VERSION,
            at,
            checks: report.checks.iter().map(|check| check.id.to_owned()).collect(),
            failed: failed.map(Finding::key).collect(),
            passed: report.count(Outcome::Pass),
            unknown: report.count(Outcome::Unknown),
        }
    }

    /// Writes it into a folder, which is made if it is not there. A reader sees the whole file or none.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, HistoryError> {
        let name = format!("run-{}.json", self.at.strftime("%Y%m%dT%H%M%S%.3fZ"));
        let path = folder.join(&name);
        let part = folder.join(format!(".{name}.part"));
        let write = || -> std::io::Result<()> {
            std::fs::create_dir_all(folder)?;
            let mut file = std::fs::File::create(&part)?;
            serde_json::to_writer(&mut file, self).map_err(std::io::Error::from)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            std::fs::rename(&part, &path)
        };
        write().map_err(|source| HistoryError::Io {
            path: path.clone(),
            source,
        })?;
        Ok(path)
    }
}
