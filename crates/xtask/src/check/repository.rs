//! The files that the checks look at.

use std::path::{Path, PathBuf};

/// Folders that are not part of the project.
const OUTSIDE: &[&str] = &[".git", "target"];
/// Larger files are data; no check reads them.
const READABLE: u64 = 4 << 20;

/// The repository, with its text files in memory.
pub(super) struct Repository {
    files: Vec<File>,
    crates: Vec<Crate>,
}

/// A text file.
pub(super) struct File {
    /// Path from the repository's root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

/// A member of the workspace.
pub(super) struct Crate {
    /// Folder name, which is the crate's name without `neph-`.
    pub(super) name: String,
    pub(super) manifest: toml::Table,
}

impl Repository {
    /// Reads the repository that this program was built from.
    pub(super) fn open() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = root
            .ancestors()
            .nth(2)
            .ok_or("the repository's root is not above this crate")?;
        let mut files = Vec::new();
        let walk = walkdir::WalkDir::new(root).sort_by_file_name().into_iter();
        for entry in walk.filter_entry(|entry| !is_outside(root, entry.path())) {
            let entry = entry.map_err(|error| error.to_string())?;
            let small = entry
                .metadata()
                .is_ok_and(|metadata| metadata.is_file() && metadata.len() <= READABLE);
            // Files that are not text hold no words to check.
            if small && let Ok(text) = std::fs::read_to_string(entry.path()) {
                files.push(File {
                    path: relative(root, entry.path()),
                    text,
                });
            }
        }
        Self::of(files)
    }

    fn of(files: Vec<File>) -> Result<Self, String> {
        let mut crates = Vec::new();
        for file in &files {
            let folder = file
                .path
                .strip_prefix("crates/")
                .and_then(|rest| rest.strip_suffix("/Cargo.toml"));
            if let Some(name) = folder.filter(|name| !name.contains('/')) {
                let manifest = file
                    .text
                    .parse()
                    .map_err(|error| format!("{}: {error}", file.path))?;
                crates.push(Crate {
                    name: name.to_owned(),
                    manifest,
                });
            }
        }
        Ok(Self { files, crates })
    }

    /// A repository that is not there, to see that a check finds what is wrong with it.
    #[cfg(test)]
    pub(super) fn imagined(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        Self::of(files.iter().map(file).collect()).unwrap()
    }

    pub(super) fn files(&self) -> &[File] {
        &self.files
    }

    pub(super) fn crates(&self) -> &[Crate] {
        &self.crates
    }

    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Rust files of the workspace.
    pub(super) fn rust_files(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }
}

fn is_outside(root: &Path, path: &Path) -> bool {
    path.strip_prefix(root).is_ok_and(|inner| {
        inner
            .components()
            .next()
            .is_some_and(|first| OUTSIDE.iter().any(|name| first.as_os_str() == *name))
    })
}

fn relative(root: &Path, path: &Path) -> String {
    let inner: PathBuf = path.strip_prefix(root).unwrap_or(path).to_owned();
    inner.to_string_lossy().replace('\\', "/")
}
