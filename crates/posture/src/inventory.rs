//! Files that the command-line tools of the clouds wrote: what each is, is told by its content.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use neph_inventory::{AnswerError, COLLECTION_FILE, Folder, Limits, whole_answers};
use serde::Serialize;
use serde_json::Value;

use crate::policy::aws::{self, Account};
use crate::policy::{azure, gcp, kubernetes, openstack};

mod organization;
mod shares;

pub(crate) use organization::Control;
pub(crate) use shares::{Guarded, Share};

/// Files larger than this are refused.
const MAX_FILE: usize = 512 << 20;
/// More problems than these are counted and not told.
const MAX_PROBLEMS: usize = 1_000;

/// Why a file is not part of the inventory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// It is too large.
    #[error("is larger than {} MiB", MAX_FILE >> 20)]
    TooLarge,
    /// It is no answer, or a broken one.
    #[error("{0}")]
    Answer(#[from] AnswerError),
    /// It is no YAML file of rules.
    #[error("is not a file of rules: {0}")]
    Yaml(String),
    /// It is a file of rules, but nothing says of which service.
    #[error(
        "is a file of rules, but neither its name nor its folder says of which service: `cinder`, `nova`, `glance` or `keystone`"
    )]
    Service,
    /// It is JSON that no collector writes.
    #[error("is none of the files that are known: `neph audit entitlements --help` names them")]
    Unknown,
}

/// Something that is wrong with a file, or missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// What is wrong; lower case, no full stop.
    pub what: String,
}

/// Problems of the file that is being read.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    file: String,
    list: Vec<Problem>,
    more: usize,
}

impl Problems {
    pub(crate) fn add(&mut self, what: impl Into<String>) {
        let problem = Problem {
            file: self.file.clone(),
            what: what.into(),
        };
        if self.list.contains(&problem) {
            return;
        }
        if self.list.len() < MAX_PROBLEMS {
            self.list.push(problem);
        } else {
            self.more += 1;
        }
    }
}

/// All that was collected.
#[derive(Debug, Default)]
pub struct Inventory {
    pub(crate) accounts: Vec<Account>,
    pub(crate) controls: Vec<Control>,
    /// The account that manages the organisation, which control policies do not bind.
    pub(crate) management: Option<String>,
    pub(crate) shares: Vec<Share>,
    pub(crate) guarded: Vec<Guarded>,
    pub(crate) azure: azure::Directory,
    pub(crate) gcp: gcp::Hierarchy,
    pub(crate) openstack: openstack::Clouds,
    pub(crate) clusters: Vec<kubernetes::Cluster>,
    /// Objects of Kubernetes by the folder that they came from, which stands for the cluster.
    rbac: Vec<(String, Vec<Value>)>,
    problems: Problems,
    files: usize,
}

impl Inventory {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads files, and all files of folders in the order of their names; links within folders are not followed. What is no file
    /// of a collector is told with its reason, and the rest is taken over.
    pub fn read(paths: &[PathBuf]) -> (Self, Vec<(PathBuf, ReadError)>) {
        let mut inventory = Self::new();
        let mut refused = Vec::new();
        let collected = inventory.collected(paths);
        // What begins with a dot is no answer: collectors lock their folders by such a file.
        let is_hidden = |entry: &walkdir::DirEntry| {
            entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".")
        };
        for found in paths.iter().flat_map(|path| {
            let walk = walkdir::WalkDir::new(path).sort_by_file_name();
            walk.into_iter().filter_entry(|entry| !is_hidden(entry))
        }) {
            let (path, outcome) = match found {
                Ok(entry)
                    if entry.file_type().is_dir() || entry.depth() > 0 && !entry.file_type().is_file() =>
                {
                    continue;
                }
                Ok(entry) => {
                    let path = entry.into_path();
                    let bytes = bytes_of(&path);
                    let outcome = bytes.and_then(|bytes| inventory.add(&path, &bytes));
                    (path, outcome)
                }
                Err(error) => {
                    let path = error.path().unwrap_or(Path::new("")).to_owned();
                    let reason = error
                        .io_error()
                        .map_or_else(|| error.to_string(), ToString::to_string);
                    (path, Err(ReadError::Unreadable(reason)))
                }
            };
            // Collectors also keep what others read; that it is not for this is no news.
            let is_of_others = |error: &ReadError| match error {
                ReadError::Unknown => true,
                ReadError::Answer(_) | ReadError::Yaml(_) | ReadError::Service => {
                    path.extension().is_none_or(|ending| ending != "json")
                }
                _ => false,
            };
            match outcome {
                Err(error) if collected.contains(&path) && is_of_others(&error) => {}
                Err(error) => refused.push((path, error)),
                Ok(()) => {}
            }
        }
        inventory.finish();
        (inventory, refused)
    }

    /// The files that a collector wrote. Calls about permissions that it could not make whole are problems: what they would have told is
    /// unknown.
    fn collected(&mut self, paths: &[PathBuf]) -> BTreeSet<PathBuf> {
        let folder = Folder::open(paths, &Limits::default());
        let own = folder.files().iter().filter(|file| file.call.is_some());
        let partial = own
            .clone()
            .filter_map(|file| file.call.as_ref())
            .filter(|call| !call.complete);
        let words = ["iam ", "policy", "policies", "role", "rolebindings", "attribute"];
        for call in folder.failed().iter().chain(partial) {
            if words.iter().any(|word| call.call.contains(word)) {
                let why = call.problem.as_deref().unwrap_or("it has no file");
                self.problems.file.clone_from(&call.file);
                self.problems
                    .add(format!("`{}` is not complete: {why}", call.call));
            }
        }
        // That a collector wrote them is told by the record itself, which is no answer.
        let records = folder.collections().map(|(path, _)| path.join(COLLECTION_FILE));
        own.map(|file| file.path.clone()).chain(records).collect()
    }

    /// Takes a file over. Files may come in any order; [`Inventory::finish`] brings them together.
    ///
    /// # Errors
    /// When it is no file of a collector; what is wrong within one is a [`Problem`].
    pub fn add(&mut self, path: &Path, bytes: &[u8]) -> Result<(), ReadError> {
        if bytes.len() > MAX_FILE {
            return Err(ReadError::TooLarge);
        }
        if path
            .extension()
            .is_some_and(|ending| ending == "yaml" || ending == "yml")
        {
            return self.add_rules(path, bytes);
        }
        let answers = whole_answers(bytes)?;
        self.problems.file = path.display().to_string();
        let stem = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        let count = answers.len();
        // A loop in a shell prints several after one another.
        let known = answers
            .into_iter()
            .map(|answer| self.add_answer(answer, path, &stem))
            .filter(|is_known| *is_known)
            .count();
        match known {
            0 => return Err(ReadError::Unknown),
            known if known < count => {
                let others = count - known;
                self.problems
                    .add(format!("{others} of its {count} answers are none that are known"));
            }
            _ => {}
        }
        self.files += 1;
        Ok(())
    }

    /// Takes an answer over, unless it is none that is known.
    fn add_answer(&mut self, value: Value, path: &Path, stem: &str) -> bool {
        if aws::account::is_details(&value) {
            let account = aws::account::read(&value, &mut self.problems);
            self.accounts.push(account);
        } else if self.add_of_organization(&value) || self.add_share(&value, stem) {
        } else if let Some(kind) = azure::kind(&value) {
            self.azure.add(kind, &value);
        } else if let Some(kind) = openstack::kind(&value) {
            self.openstack.add(kind, &value, &mut self.problems);
        } else if let Some(kind) = gcp::kind(&value) {
            self.gcp.add(kind, &value, stem);
        } else if kubernetes::is_rbac(&value) {
            let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let cluster = folder.unwrap_or(path).display().to_string();
            match self.rbac.iter_mut().find(|(name, _)| *name == cluster) {
                Some((_, values)) => values.push(value),
                None => self.rbac.push((cluster, vec![value])),
            }
        } else if is_empty_list(&value) {
            // A tool that found nothing.
        } else {
            return false;
        }
        true
    }

    /// The policy file of a service of OpenStack, whose name or folder says which: `cinder/policy.yaml`, `nova-policy.yaml`.
    fn add_rules(&mut self, path: &Path, bytes: &[u8]) -> Result<(), ReadError> {
        let text = std::str::from_utf8(bytes).map_err(|error| ReadError::Yaml(error.to_string()))?;
        let rules: BTreeMap<String, Value> =
            serde_saphyr::from_str(text).map_err(|error| ReadError::Yaml(error.to_string()))?;
        let told = path.to_string_lossy().to_lowercase();
        let services = ["cinder", "nova", "glance", "keystone"].into_iter();
        let service = services
            .filter_map(|service| Some((told.rfind(service)?, service)))
            .max();
        let Some((_, service)) = service else {
            return Err(ReadError::Service);
        };
        self.problems.file = path.display().to_string();
        self.openstack.add_rules(service, &rules, &mut self.problems);
        self.files += 1;
        Ok(())
    }

    /// Brings together what stands in several files, and tells what is missing.
    pub fn finish(&mut self) {
        for (name, values) in std::mem::take(&mut self.rbac) {
            self.problems.file.clone_from(&name);
            let cluster = kubernetes::read(&name, &values, &mut self.problems);
            self.clusters.push(cluster);
        }
        self.problems.file.clear();
        self.azure.finish(&mut self.problems);
        self.gcp.finish(&mut self.problems);
        for account in &mut self.accounts {
            organization::bind(account, &self.controls, self.management.as_deref());
        }
    }

    /// Number of files that were taken over.
    pub fn files(&self) -> usize {
        self.files
    }

    /// What is wrong with them, or missing, and how much more there is that is not told.
    pub fn problems(&self) -> (&[Problem], usize) {
        (&self.problems.list, self.problems.more)
    }
}

/// No more than may be, so that a device or a file that grows ends too.
fn bytes_of(path: &Path) -> Result<Vec<u8>, ReadError> {
    let unreadable = |error: std::io::Error| ReadError::Unreadable(error.to_string());
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(bytes)
}

fn is_empty_list(value: &Value) -> bool {
    let list = value.get("items").or_else(|| value.get("value")).unwrap_or(value);
    list.as_array().is_some_and(Vec::is_empty)
}
