//! Finding files and reading them as text.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use walkdir::WalkDir;

use crate::builtin;
use crate::report::Failure;

/// Files larger than this are not read: the largest export of all of Elastic's rules is a tenth of it.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;

/// What paths lead to.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Files, and whether they were named themselves rather than found in a folder.
    pub(crate) files: Vec<(PathBuf, bool)>,
    /// What cannot be looked at.
    pub(crate) failures: Vec<Failure>,
    canonical: HashSet<PathBuf>,
}

/// The given files and all files of the given folders, each once, in the order of their paths.
pub(crate) fn find<P: AsRef<Path>>(paths: &[P]) -> Found {
    let mut found = Found::default();
    for path in paths {
        found.look(path.as_ref());
    }
    // Folders give them nearly in this order; comparing paths part by part takes long.
    found.files.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
}

impl Found {
    fn look(&mut self, path: &Path) {
        if let Some(inside) = builtin::inside(path) {
            return self.look_builtin(path, &inside);
        }
        let is_file = match std::fs::metadata(path) {
            Ok(metadata) => metadata.is_file(),
            Err(error) => return self.fail(path, error.to_string()),
        };
        if is_file {
            self.add(path, true, std::fs::canonicalize(path).ok());
            return;
        }
        if !path.is_dir() {
            return self.fail(path, "it is neither a file nor a folder".into());
        }
        // The folder of the last file, and where it really is.
        let mut folder: Option<(PathBuf, Option<PathBuf>)> = None;
        let walk = WalkDir::new(path).follow_links(true);
        // By file name: those of one folder have the same path before it.
        for entry in walk.sort_by(|a, b| a.path().as_os_str().cmp(b.path().as_os_str())) {
            match entry {
                Ok(entry) if entry.file_type().is_file() => {
                    let path = entry.path();
                    let canonical = match path.parent() {
                        Some(parent) if !entry.path_is_symlink() => {
                            // As bytes: paths are compared part by part.
                            let known = folder.as_ref().map(|(known, _)| known.as_os_str());
                            if known != Some(parent.as_os_str()) {
                                folder = Some((parent.to_owned(), std::fs::canonicalize(parent).ok()));
                            }
                            let real = folder.as_ref().and_then(|(_, real)| real.as_ref());
                            real.map(|real| real.join(entry.file_name()))
                        }
                        _ => std::fs::canonicalize(path).ok(),
                    };
                    self.add(path, false, canonical);
                }
                Ok(_) => {}
                Err(error) => {
                    let place = error.path().unwrap_or(path).to_owned();
                    let reason = match error.loop_ancestor() {
                        Some(ancestor) => format!("it is a link that leads back to `{}`", ancestor.display()),
                        None => error
                            .io_error()
                            .map_or_else(|| error.to_string(), ToString::to_string),
                    };
                    self.fail(&place, reason);
                }
            }
        }
    }

    fn look_builtin(&mut self, path: &Path, inside: &str) {
        for (path, given) in builtin::find(inside) {
            self.add(&path, given, None);
        }
        if !builtin::is_there(inside) {
            self.fail(path, "the built-in rules have no such file or folder".into());
        }
    }

    /// `canonical` is where the file really is, where that is known.
    fn add(&mut self, path: &Path, given: bool, canonical: Option<PathBuf>) {
        if self
            .canonical
            .insert(canonical.unwrap_or_else(|| path.to_owned()))
        {
            self.files.push((path.to_owned(), given));
        }
    }

    fn fail(&mut self, path: &Path, reason: String) {
        self.failures.push(Failure {
            path: path.to_owned(),
            reason,
        });
    }
}

/// The files that paths lead to, with the time and size of each: two that are equal stand for files that have not changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<PathBuf, (Option<SystemTime>, u64)>);

impl Snapshot {
    /// As it is now.
    pub fn take<P: AsRef<Path>>(paths: &[P]) -> Self {
        let files = find(paths).files.into_iter().map(|(path, _)| path);
        let state = |path: PathBuf| {
            let metadata = std::fs::metadata(&path).ok();
            let time = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
            (path, (time, metadata.map_or(0, |metadata| metadata.len())))
        };
        Self(files.map(state).collect())
    }
}

/// The text of a file, or why there is none.
pub(crate) fn read_text(path: &Path) -> Result<String, String> {
    if let Some(inside) = builtin::inside(path) {
        let text = builtin::text(&inside).map(str::to_owned);
        return text.ok_or_else(|| "the built-in rules have no such file".into());
    }
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > MAX_FILE_BYTES => {
            return Err(format!("it is larger than {} MiB", MAX_FILE_BYTES / 1024 / 1024));
        }
        Ok(_) => {}
        Err(error) => return Err(error.to_string()),
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(without_mark(text)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            Err(format!("it is not UTF-8 text: byte {at} cannot be read"))
        }
    }
}

/// Whether there is a file.
pub(crate) fn is_file(path: &Path) -> bool {
    match builtin::inside(path) {
        Some(inside) => builtin::text(&inside).is_some(),
        None => path.is_file(),
    }
}

/// A byte order mark is no part of any format; editors on Windows write it.
pub(crate) fn without_mark(text: String) -> String {
    text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)
}
