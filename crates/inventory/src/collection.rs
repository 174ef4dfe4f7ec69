//! `collection.json`: what a collector says about the calls that it made.

use std::io::Write as _;
use std::path::{Component, Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::scope::{Cloud, Scope};

/// The name of the file, in the outermost folder of what was collected.
pub const COLLECTION_FILE: &str = "collection.json";

/// The form that is written and read.
const VERSION: u32 = 1;

/// Which calls were made, and how they went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collection {
    /// The form, 1.
    pub version: u32,
    /// The program: `neph 0.1.0`.
    pub by: String,
    /// When the first call was made.
    pub began: Timestamp,
    /// When the last answer was there.
    pub ended: Timestamp,
    /// The calls; of one call there is one row.
    pub calls: Vec<Call>,
}

/// One call, and the file that its answer is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The file, relative to the folder, with `/` between its parts.
    pub file: String,
    /// The cloud.
    pub cloud: Cloud,
    /// The account, subscription, project, cluster or host.
    #[serde(default)]
    pub account: Option<String>,
    /// The region, or `global`.
    #[serde(default)]
    pub region: Option<String>,
    /// The call, as one would give it to the cloud's own command-line tool: `ec2 describe-snapshots`.
    pub call: String,
    /// How many items the answer has.
    #[serde(default)]
    pub items: u64,
    /// When the answer was there.
    pub at: Timestamp,
    /// Whether all of the answer is in the file. Where it is not, what is absent from the file is unknown, not gone.
    pub complete: bool,
    /// Why it is not, in words.
    #[serde(default)]
    pub problem: Option<String>,
}

/// Why a `collection.json` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CollectionError {
    /// It is not JSON of the form that is known.
    #[error("is no record of a collection: {0}")]
    Form(String),
    /// Another program wrote it in a form that is not known here.
    #[error("has the form {found}, and only {VERSION} is known")]
    Version {
        /// The form that it has.
        found: u64,
    },
    /// A call names a file that is not below the folder.
    #[error("names the file `{0}`, which is not in its folder")]
    Outside(String),
    /// A file stands for two calls.
    #[error("names the file `{0}` twice")]
    Twice(String),
}

impl Collection {
    /// A collection of the form that is written now.
    pub fn new(by: impl Into<String>, began: Timestamp) -> Self {
        Self {
            version: VERSION,
            by: by.into(),
            began,
            ended: began,
            calls: Vec::new(),
        }
    }

    /// Reads the text of a `collection.json`.
    ///
    /// # Errors
    /// When it is of another form, or names files that are not below its folder.
    pub fn read(bytes: &[u8]) -> Result<Self, CollectionError> {
        #[derive(Deserialize)]
        struct Form {
            version: u64,
        }
        let form = |error: serde_json::Error| CollectionError::Form(error.to_string());
        let found = serde_json::from_slice::<Form>(bytes).map_err(form)?.version;
        if found != u64::from(VERSION) {
            return Err(CollectionError::Version { found });
        }
        let collection: Self = serde_json::from_slice(bytes).map_err(form)?;
        let mut files = std::collections::BTreeSet::new();
        for call in &collection.calls {
            let inside = |component| matches!(component, Component::Normal(_));
            if call.file.is_empty() || !Path::new(&call.file).components().all(inside) {
                return Err(CollectionError::Outside(call.file.clone()));
            }
            if !files.insert(&call.file) {
                return Err(CollectionError::Twice(call.file.clone()));
            }
        }
        Ok(collection)
    }

    /// Writes it into a folder: readers see the file as it was or as it is, never a part of it.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        let part = folder.join(format!(".{COLLECTION_FILE}.part"));
        // A part that was left lying, or a link in its place, is not written into.
        if let Err(error) = std::fs::remove_file(&part)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut options = std::fs::OpenOptions::new();
        options.create_new(true).write(true);
        // It names accounts, for those who may see them.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&part)?;
        serde_json::to_writer_pretty(&mut file, self).map_err(std::io::Error::from)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        std::fs::rename(&part, folder.join(COLLECTION_FILE))
    }
}

impl Call {
    /// Whose the answer is.
    pub fn scope(&self) -> Scope {
        Scope {
            cloud: Some(self.cloud),
            account: self.account.clone(),
            region: self.region.clone(),
        }
    }
}
