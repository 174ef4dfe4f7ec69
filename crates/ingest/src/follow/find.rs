//! Which files are followed.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use walkdir::WalkDir;

/// Folders in folders that are looked into.
const DEEPEST: usize = 16;

/// Most files that are followed.
const MOST_FILES: usize = 4096;

/// What names files: a file, a folder with all that is below, or a pattern.
#[derive(Debug)]
pub(super) struct Wanted {
    below: PathBuf,
    pattern: Option<GlobMatcher>,
}

impl Wanted {
    pub(super) fn new(path: &Path) -> Self {
        let text = path.to_string_lossy();
        let is_pattern = !path.exists() && text.contains(['*', '?', '[', '{']);
        let glob = is_pattern
            .then(|| GlobBuilder::new(&text).literal_separator(true).build().ok())
            .flatten();
        let Some(glob) = glob else {
            return Self {
                below: path.to_owned(),
                pattern: None,
            };
        };
        let literal = path
            .components()
            .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']));
        let below: PathBuf = literal.collect();
        Self {
            below: if below.as_os_str().is_empty() {
                PathBuf::from(".")
            } else {
                below
            },
            pattern: Some(glob.compile_matcher()),
        }
    }

    /// The files that there are now; names that begin with a dot are left out of folders.
    fn find(&self, out: &mut Vec<PathBuf>) {
        let is_hidden = |entry: &walkdir::DirEntry| {
            entry.depth() > 0 && entry.file_name().to_string_lossy().starts_with('.')
        };
        let walk = WalkDir::new(&self.below).max_depth(DEEPEST).sort_by_file_name();
        for entry in walk.into_iter().filter_entry(|entry| !is_hidden(entry)).flatten() {
            let path = entry.path();
            // `./x` is asked for as `x`.
            let plain = path.strip_prefix("./").unwrap_or(path);
            let fits = self
                .pattern
                .as_ref()
                .is_none_or(|pattern| pattern.is_match(plain));
            if fits && out.len() < MOST_FILES && path.metadata().is_ok_and(|metadata| metadata.is_file()) {
                out.push(plain.to_owned());
            }
        }
    }
}

/// All files that there are now.
pub(super) fn find(wanted: &[Wanted]) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for wanted in wanted {
        wanted.find(&mut out);
    }
    out.sort();
    out.dedup();
    out
}
