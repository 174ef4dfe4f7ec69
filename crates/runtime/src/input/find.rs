//! From arguments to a list of files.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use walkdir::WalkDir;

use super::ProblemKind;
use super::layers::Place;

/// What the arguments lead to.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Inputs in order, by name.
    pub(crate) places: Vec<(String, Place)>,
    /// What could not be followed, by name.
    pub(crate) problems: Vec<(String, ProblemKind, String)>,
    /// Files and folders left out because their names start with a dot.
    pub(crate) hidden: u64,
    /// Files left out because they were named before.
    pub(crate) repeated: u64,
    seen: HashSet<PathBuf>,
    stdin: bool,
    #[cfg(feature = "object-store")]
    buckets: super::objects::Buckets,
}

/// The kinds of object stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    /// Amazon S3, and what speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gs,
    /// Azure Blob Storage; its account is named by the environment.
    Az,
}

impl Scheme {
    const ALL: [Self; 3] = [Self::S3, Self::Gs, Self::Az];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gs => "gs",
            Self::Az => "az",
        }
    }
}

/// `s3://bucket/key`, taken apart. Keys stand as they are, without percent encoding, as the tools of the clouds take them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoreUrl<'a> {
    pub(crate) scheme: Scheme,
    pub(crate) bucket: &'a str,
    /// Empty for the whole bucket.
    pub(crate) key: &'a str,
}

impl<'a> StoreUrl<'a> {
    pub(crate) fn of(argument: &'a Path) -> Option<Self> {
        let (scheme, rest) = argument.to_str()?.split_once("://")?;
        let scheme = Scheme::ALL.into_iter().find(|known| known.as_str() == scheme)?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        Some(Self { scheme, bucket, key })
    }
}

/// Finds the inputs that `arguments` name.
pub(crate) fn find(arguments: &[PathBuf]) -> Found {
    let mut found = Found::default();
    for argument in arguments {
        found.argument(argument);
    }
    found
}

impl Found {
    fn argument(&mut self, path: &Path) {
        if let Some(url) = StoreUrl::of(path) {
            self.objects(path, &url);
            return;
        }
        let pattern = path.to_str().filter(|text| text.contains(['*', '?', '[', '{']));
        if path == Path::new("-") {
            if self.stdin {
                self.repeated += 1;
            } else {
                self.stdin = true;
                self.places.push(("-".to_owned(), Place::Stdin));
            }
            return;
        }
        match (path.metadata(), pattern) {
            (Ok(metadata), _) if metadata.is_dir() => self.folder(path, None),
            (Ok(_), _) => self.file(path),
            (Err(_), Some(pattern)) if path.symlink_metadata().is_err() => self.pattern(pattern),
            (Err(error), _) => self.refused(path, &error),
        }
    }

    #[cfg(feature = "object-store")]
    fn objects(&mut self, argument: &Path, url: &StoreUrl<'_>) {
        let listing = self.buckets.find(url);
        for (name, object) in listing.objects {
            if self.seen.insert(PathBuf::from(&name)) {
                self.places.push((name, Place::Object(object)));
            } else {
                self.repeated += 1;
            }
        }
        if let Some((kind, message)) = listing.problem {
            self.problems
                .push((argument.display().to_string(), kind, message));
        }
    }

    #[cfg(not(feature = "object-store"))]
    fn objects(&mut self, argument: &Path, _: &StoreUrl<'_>) {
        let message = "object stores are not read by this build; the feature `object-store` adds them";
        self.problems.push((
            argument.display().to_string(),
            ProblemKind::Unsupported,
            message.to_owned(),
        ));
    }

    fn pattern(&mut self, pattern: &str) {
        let glob = match GlobBuilder::new(pattern).literal_separator(true).build() {
            Ok(glob) => glob.compile_matcher(),
            Err(error) => {
                let message = format!("not a valid pattern: {}", error.kind());
                self.problems
                    .push((pattern.to_owned(), ProblemKind::NoMatch, message));
                return;
            }
        };
        // The walk starts at the last folder before the first sign of a pattern.
        let literal = pattern
            .find(['*', '?', '[', '{'])
            .and_then(|end| pattern.get(..end))
            .unwrap_or(pattern);
        let start = match literal.rfind('/') {
            Some(0) => "/",
            Some(end) => literal.get(..end).unwrap_or("."),
            None => ".",
        };
        let before = self.named();
        if Path::new(start).is_dir() {
            self.folder(Path::new(start), Some(&glob));
        }
        if self.named() == before {
            self.problems.push((
                pattern.to_owned(),
                ProblemKind::NoMatch,
                "no file fits the pattern".to_owned(),
            ));
        }
    }

    /// Walks a folder, in the order of names. With a pattern, a folder that fits it is taken as a whole.
    fn folder(&mut self, folder: &Path, pattern: Option<&GlobMatcher>) {
        let before = self.named();
        let mut hidden = 0;
        let root = folder.canonicalize().unwrap_or_default();
        let mut entered = HashSet::new();
        let mut loops = Vec::new();
        let walk = WalkDir::new(folder)
            .follow_links(true)
            .sort_by_file_name()
            .into_iter()
            .filter_entry(|entry| {
                if entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".") {
                    hidden += 1;
                    return false;
                }
                if !entry.file_type().is_dir() {
                    return true;
                }
                let Ok(canonical) = entry.path().canonicalize() else {
                    return true;
                };
                // The walk itself sees only links to folders that it is in, not to those above its start.
                if entry.depth() > 0 && root.starts_with(&canonical) {
                    loops.push((entry.path().to_path_buf(), canonical));
                    return false;
                }
                entered.insert(canonical)
            });
        for entry in walk {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) => {
                    // Walking from `.` puts `./` before names that the pattern does not have.
                    let path = entry.path();
                    let path = if folder == Path::new(".") {
                        path.strip_prefix(".").unwrap_or(path)
                    } else {
                        path
                    };
                    let fits = |glob: &GlobMatcher| path.ancestors().any(|above| glob.is_match(above));
                    if pattern.is_some_and(|glob| !fits(glob)) {
                        continue;
                    }
                    if entry.file_type().is_file() {
                        self.file(path);
                    } else {
                        let message =
                            "neither a file nor a folder; name it itself if it is to be read".to_owned();
                        self.problems
                            .push((path.display().to_string(), ProblemKind::NotAFile, message));
                    }
                }
                Err(error) => {
                    let path = error.path().unwrap_or(folder).to_path_buf();
                    match (error.loop_ancestor(), error.io_error()) {
                        (Some(above), _) => {
                            let message = format!("a link back to the folder {} above it", above.display());
                            self.problems
                                .push((path.display().to_string(), ProblemKind::Loop, message));
                        }
                        (None, Some(error)) => self.refused(&path, error),
                        (None, None) => {}
                    }
                }
            }
        }
        self.hidden += hidden;
        for (path, above) in loops {
            self.leads_back(&path, &above);
        }
        if pattern.is_none() && self.named() == before {
            let message = "the folder holds no files".to_owned();
            self.problems
                .push((folder.display().to_string(), ProblemKind::Empty, message));
        }
    }

    /// How much was found so far, for telling whether a step found anything.
    fn named(&self) -> u64 {
        (self.places.len() + self.problems.len()) as u64 + self.repeated
    }

    fn file(&mut self, path: &Path) {
        if let Ok(canonical) = path.canonicalize()
            && !self.seen.insert(canonical)
        {
            self.repeated += 1;
            return;
        }
        self.places
            .push((path.display().to_string(), Place::File(path.to_path_buf())));
    }

    fn leads_back(&mut self, path: &Path, above: &Path) {
        let message = format!("a link back to the folder `{}` above it", above.display());
        self.problems
            .push((path.display().to_string(), ProblemKind::Loop, message));
    }

    fn refused(&mut self, path: &Path, error: &io::Error) {
        let (kind, message) = match error.kind() {
            io::ErrorKind::NotFound if path.symlink_metadata().is_ok() => (
                ProblemKind::Missing,
                "a link to a file that does not exist".to_owned(),
            ),
            io::ErrorKind::NotFound => (ProblemKind::Missing, "no such file".to_owned()),
            io::ErrorKind::PermissionDenied => {
                (ProblemKind::Unreadable, format!("cannot be opened: {error}"))
            }
            _ if path.is_symlink() => (ProblemKind::Loop, "a link that leads back to itself".to_owned()),
            _ => (ProblemKind::Unreadable, format!("cannot be opened: {error}")),
        };
        self.problems.push((path.display().to_string(), kind, message));
    }
}
