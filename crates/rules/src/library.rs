//! Rules that are loaded again and again while their files change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::file::Contents;
use crate::load::{LoadOptions, Loader, RuleSet};
use crate::shared_text::SharedText;

/// Loads rules again and again: what a rule file held is kept, and the file is read anew only when its text is another. What comes
/// out is what [`load_with`](crate::load_with) gives; only times that EQL counts from `now` stay those of when a file was read.
///
/// Rules of Sigma depend on more than their files. Where a mapping, a list, a filter or a correlation changes, all of them are
/// read anew; those that a filter or a correlation is about always are.
#[derive(Debug, Default)]
pub struct Library {
    files: BTreeMap<PathBuf, Kept>,
    /// What the rules of Sigma were compiled with, beside their files.
    beside: Option<Hash>,
    reuse: Reuse,
}

/// How many rule files a load read and how many it kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reuse {
    /// Files whose rules were read and compiled.
    pub read: usize,
    /// Files whose rules were kept of the load before.
    pub kept: usize,
}

/// SHA-256 of a text, or of several.
pub(crate) type Hash = [u8; 32];

/// What a file held.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) hash: Hash,
    /// Its text, which its rules share.
    pub(crate) text: SharedText,
    pub(crate) contents: Contents,
}

impl Library {
    /// Without any rules.
    pub fn new() -> Self {
        Self::default()
    }

    /// Loads all rules of these paths, as [`load_with`](crate::load_with) does.
    pub fn load<P: AsRef<Path>>(&mut self, paths: &[P], options: &LoadOptions) -> RuleSet {
        let mut kept = std::mem::take(self);
        let set = Loader::new(options).load(paths, Some(&mut kept));
        *self = kept;
        set
    }

    /// How much of the last load was kept.
    pub fn reuse(&self) -> Reuse {
        self.reuse
    }

    /// What the file of this path held when it had this text.
    pub(crate) fn find(&self, path: &Path, hash: &Hash) -> Option<&Kept> {
        self.files.get(path).filter(|kept| kept.hash == *hash)
    }

    /// Whether the rules of Sigma were compiled with the same beside their files.
    pub(crate) fn has_same_beside(&self, beside: &Hash) -> bool {
        self.beside.as_ref() == Some(beside)
    }

    /// Keeps these files and no others.
    pub(crate) fn replace(&mut self, files: BTreeMap<PathBuf, Kept>, beside: Option<Hash>, reuse: Reuse) {
        *self = Self { files, beside, reuse };
    }
}

/// The hash of a text.
pub(crate) fn hash_of(text: &str) -> Hash {
    Sha256::digest(text.as_bytes()).into()
}
