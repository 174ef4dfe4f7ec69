//! Which files are followed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use walkdir::WalkDir;

/// Folders in folders that are looked into.
const DEEPEST: usize = 16;

/// Most files that one path stands for.
const MOST_FILES: usize = 4096;

/// What names files: a file, a folder with all that is below, or a pattern.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Number of the group that it belongs to.
    pub(super) group: usize,
    below: PathBuf,
    pattern: Option<GlobMatcher>,
}

impl Wanted {
    pub(super) fn new(path: &Path, group: usize) -> Self {
        let text = path.to_string_lossy();
        let is_pattern = !path.exists() && text.contains(['*', '?', '[', '{']);
        let glob = is_pattern
            .then(|| GlobBuilder::new(&text).literal_separator(true).build().ok())
            .flatten();
        let Some(glob) = glob else {
            return Self {
                group,
                below: path.to_owned(),
                pattern: None,
            };
        };
        let literal = path
            .components()
            .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']));
        let below: PathBuf = literal.collect();
        Self {
            group,
            below: if below.as_os_str().is_empty() {
                PathBuf::from(".")
            } else {
                below
            },
            pattern: Some(glob.compile_matcher()),
        }
    }

    /// Whether it stands for a path, where there is such a file.
    pub(super) fn names(&self, path: &Path) -> bool {
        match &self.pattern {
            Some(pattern) => pattern.is_match(path),
            None => path.starts_with(&self.below),
        }
    }

    /// The files that there are now; names that begin with a dot are left out of folders.
    fn find(&self, out: &mut BTreeMap<PathBuf, usize>) {
        let mut found = 0;
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
            if fits && found < MOST_FILES && path.metadata().is_ok_and(|metadata| metadata.is_file()) {
                found += 1;
                out.entry(plain.to_owned()).or_insert(self.group);
            }
        }
    }
}

/// All files that there are now, each with the group that it belongs to.
pub(super) fn find(wanted: &[Wanted]) -> BTreeMap<PathBuf, usize> {
    let mut out = BTreeMap::new();
    for wanted in wanted {
        wanted.find(&mut out);
    }
    out
}
