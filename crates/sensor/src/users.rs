//! Names of users and groups of the host, by number.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// How often it is looked whether a file has changed.
const AGE: Duration = Duration::from_secs(5);

/// Names that are kept of a file.
const MOST: usize = 100_000;

/// Names of one file of the form of passwd(5) or group(5).
#[derive(Debug)]
pub(crate) struct Names {
    path: PathBuf,
    names: HashMap<u32, Box<str>>,
    read: Option<Instant>,
    changed: Option<SystemTime>,
}

impl Names {
    /// Those of a file, which is read when a name is asked for.
    pub(crate) fn of(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            names: HashMap::new(),
            read: None,
            changed: None,
        }
    }

    /// Reads the file again if it has changed, and tells whether it has.
    pub(crate) fn refresh(&mut self) -> bool {
        if self.read.is_some_and(|read| read.elapsed() < AGE) {
            return false;
        }
        self.read = Some(Instant::now());
        let changed = fs::metadata(&self.path).and_then(|file| file.modified()).ok();
        if changed.is_none() || changed == self.changed {
            return false;
        }
        self.changed = changed;
        let text = fs::read(&self.path).unwrap_or_default();
        self.names.clear();
        for line in String::from_utf8_lossy(&text).lines().take(MOST) {
            let mut parts = line.split(':');
            let (Some(name), Some(number)) = (parts.next(), parts.nth(1)) else {
                continue;
            };
            if let Ok(number) = number.parse() {
                // The first of several names of a number is the one that everybody shows.
                self.names.entry(number).or_insert_with(|| name.into());
            }
        }
        true
    }

    /// The name of a number.
    pub(crate) fn get(&self, number: u32) -> Option<&str> {
        self.names.get(&number).map(AsRef::as_ref)
    }
}
