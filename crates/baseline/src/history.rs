//! What was taken and compared in a folder: baselines, and what comparisons found.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::compare::{Class, Difference};
use crate::file::{Baseline, BaselineError, replace};
use crate::record::Kind;

/// How files of baselines end.
const BASELINE: &str = ".baseline.jsonl";
/// How files of comparisons end.
const COMPARISON: &str = ".comparison.json";
/// Files are not read further, in bytes.
const MAX_FILE: u64 = 1 << 30;
/// The form of comparisons that is written and read.
const VERSION: u32 = 1;

/// What a comparison found, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    neph_comparison: u32,
    /// When.
    pub compared: Timestamp,
    /// By which program.
    pub by: String,
    /// When the baseline was taken.
    pub baseline: Timestamp,
    /// Records of which nothing could be said.
    pub unknown: usize,
    /// The differences.
    pub differences: Vec<Brief>,
}

/// A difference, as far as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Brief {
    /// Its id.
    pub id: String,
    /// Its class.
    pub class: Class,
    /// What it is about.
    pub kind: Kind,
    /// The id of that.
    pub record: String,
    /// `open`, `approved` or `expired`.
    pub standing: String,
}

impl Kept {
    /// What a comparison found.
    pub fn new<'d>(
        compared: Timestamp,
        by: impl Into<String>,
        baseline: Timestamp,
        unknown: usize,
        differences: impl IntoIterator<Item = (&'d Difference, &'static str)>,
    ) -> Self {
        let brief = |(difference, standing): (&Difference, &str)| Brief {
            id: difference.id.clone(),
            class: difference.class,
            kind: difference.record.kind,
            record: difference.record.id.to_string(),
            standing: standing.to_owned(),
        };
        Self {
            neph_comparison: VERSION,
            compared,
            by: by.into(),
            baseline,
            unknown,
            differences: differences.into_iter().map(brief).collect(),
        }
    }

    /// Keeps it in a folder; gives the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, folder: &Path) -> std::io::Result<PathBuf> {
        let path = free(folder, self.compared, COMPARISON);
        replace(&path, &mut |file| {
            let mut out = std::io::BufWriter::new(file);
            serde_json::to_writer(&mut out, self).map_err(std::io::Error::from)?;
            out.write_all(b"\n")?;
            out.flush()
        })?;
        Ok(path)
    }

    fn read(path: &Path) -> Result<Self, BaselineError> {
        #[derive(Deserialize)]
        struct Form {
            neph_comparison: u64,
        }
        let mut text = Vec::new();
        std::fs::File::open(path)?.take(MAX_FILE).read_to_end(&mut text)?;
        let form = |error: serde_json::Error| BaselineError::Form(error.to_string());
        let version = serde_json::from_slice::<Form>(&text)
            .map_err(form)?
            .neph_comparison;
        if version != u64::from(VERSION) {
            return Err(BaselineError::Version(version));
        }
        serde_json::from_slice(&text).map_err(form)
    }
}

/// The folder of baselines and comparisons, in the order of time.
#[derive(Debug, Default)]
pub struct History {
    /// Baselines: when they were taken, by what, and their files.
    pub baselines: Vec<(Timestamp, String, PathBuf)>,
    /// Comparisons.
    pub comparisons: Vec<Kept>,
    /// Files that cannot be used.
    pub refused: Vec<(PathBuf, String)>,
}

impl History {
    /// Reads a folder; other files in it are left alone. A folder that is not there yet has no history.
    ///
    /// # Errors
    /// When the folder is there and cannot be listed.
    pub fn read(folder: &Path) -> std::io::Result<Self> {
        let mut history = Self::default();
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(history),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || !entry.file_type()?.is_file() {
                continue;
            }
            let outcome = if name.ends_with(BASELINE) {
                let peeked = std::fs::File::open(&path)
                    .map_err(BaselineError::from)
                    .and_then(Baseline::peek);
                peeked.map(|(taken, by)| history.baselines.push((taken, by, path.clone())))
            } else if name.ends_with(COMPARISON) {
                Kept::read(&path).map(|kept| history.comparisons.push(kept))
            } else {
                continue;
            };
            if let Err(error) = outcome {
                history.refused.push((path, error.to_string()));
            }
        }
        history.baselines.sort();
        history.comparisons.sort_by_key(|kept| kept.compared);
        history.refused.sort();
        Ok(history)
    }

    /// When each difference was found first.
    pub fn first_seen(&self) -> BTreeMap<&str, Timestamp> {
        let mut seen = BTreeMap::new();
        for kept in &self.comparisons {
            for brief in &kept.differences {
                seen.entry(brief.id.as_str()).or_insert(kept.compared);
            }
        }
        seen
    }
}

impl Baseline {
    /// Keeps it in a folder; gives the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep(&self, folder: &Path) -> std::io::Result<PathBuf> {
        let path = free(folder, self.taken, BASELINE);
        self.save(&path)?;
        Ok(path)
    }
}

/// A name of which there is no file yet.
fn free(folder: &Path, at: Timestamp, ending: &str) -> PathBuf {
    let time = at.strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
    let first = folder.join(format!("{time}{ending}"));
    let more = (2..10_000).map(|number| folder.join(format!("{time}-{number}{ending}")));
    std::iter::once(first.clone())
        .chain(more)
        .find(|path| matches!(path.try_exists(), Ok(false)))
        .unwrap_or(first)
}
