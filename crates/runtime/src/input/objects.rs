//! Objects of cloud storage: from URLs to objects, and from objects to bytes.
//!
//! Requests, signatures and retries are those of the crate [`object_store`]; credentials, endpoints and everything else
//! come from the environment variables that it reads (`AWS_…`, `GOOGLE_…`, `AZURE_…`). Nothing is contacted before a URL
//! is named.
//!
//! An object is read in parts, each a request of its own. So no connection waits for a slow reader, a part that fails is
//! asked for again by itself, and memory is bounded by the parts under way. That all parts are of one version of the
//! object is ensured by its entity tag.

use std::collections::HashMap;
use std::error::Error as _;
use std::fmt;
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::Receiver;
use futures_util::StreamExt as _;
use globset::GlobBuilder;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _, Result as StoreResult,
    RetryConfig,
};
use tokio::runtime::{Builder, Runtime};

use super::ProblemKind;
use super::find::{Scheme, StoreUrl};
use super::problem::Refusal;

/// Bytes of an object's first part: what is read to tell what it holds, and all of most objects of audit logs.
const FIRST_PART: u64 = 256 << 10;

/// Bytes of each later part; the next one is fetched while one is read.
const PART: u64 = 2 << 20;

/// After so many retries of one request, or so long, an error stands.
const RETRIES: usize = 5;
const RETRY_FOR: Duration = Duration::from_secs(60);

/// Characters of a store's own words in a message.
const MOST_WORDS: usize = 400;

/// A bucket, or a container, and what runs the requests to it.
#[derive(Debug)]
struct Bucket {
    store: Arc<dyn ObjectStore>,
    runtime: Arc<Runtime>,
}

/// The buckets that were named so far.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    runtime: Option<Arc<Runtime>>,
    open: HashMap<(Scheme, String), Arc<Bucket>>,
}

/// An object of a bucket.
#[derive(Debug)]
pub(crate) struct Object {
    bucket: Arc<Bucket>,
    path: Path,
    /// Bytes, as listed.
    size: u64,
    /// What changes when the object is replaced, as listed.
    version: String,
    /// The first part, if it was asked for beforehand.
    first: Mutex<Option<Receiver<StoreResult<Part>>>>,
}

/// What one request gave.
#[derive(Debug)]
struct Part {
    bytes: Cursor<Vec<u8>>,
    meta: ObjectMeta,
}

/// What a URL leads to: objects in the order of their names, and why there are no more of them if there should be.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) objects: Vec<(String, Arc<Object>)>,
    pub(crate) problem: Option<Refusal>,
}

/// An object of cloud storage, as it was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Its URL, which [`Reader`](super::Reader) takes.
    pub url: String,
    /// What changes when it is replaced: its entity tag, or size and time.
    pub version: String,
}

/// The objects that a URL leads to, in the order of their names, and why there are no more of them if there should be.
/// What stands below a prefix where there is nothing yet is nothing, and no problem.
pub fn list_objects(url: &str) -> (Vec<ListedObject>, Option<String>) {
    let Some(place) = StoreUrl::of(std::path::Path::new(url)) else {
        return (Vec::new(), Some("not the URL of an object store".to_owned()));
    };
    let listing = Buckets::default().find(&place);
    let is_empty = listing.objects.is_empty();
    let objects = listing.objects.into_iter().map(|(url, object)| ListedObject {
        url,
        version: object.version.clone(),
    });
    let problem = listing
        .problem
        .filter(|(kind, _)| !(is_empty && matches!(kind, ProblemKind::Missing | ProblemKind::NoMatch)));
    (objects.collect(), problem.map(|(_, message)| message))
}

impl Buckets {
    /// The object that a URL names, or else all objects below it; a key with the signs of a pattern, of which there is no
    /// object, is a pattern for keys.
    pub(crate) fn find(&mut self, url: &StoreUrl<'_>) -> Listing {
        let refused = |refusal| Listing {
            problem: Some(refusal),
            ..Listing::default()
        };
        let bucket = match self.bucket(url) {
            Ok(bucket) => bucket,
            Err(refusal) => return refused(refusal),
        };
        let path = match Path::parse(url.key) {
            Ok(path) => path,
            Err(error) => return refused((ProblemKind::Missing, format!("not a key of an object: {error}"))),
        };
        if !url.key.is_empty() && !url.key.ends_with('/') {
            match bucket.runtime.block_on(bucket.store.head(&path)) {
                Ok(meta) => return bucket.listing(url, vec![meta], None),
                Err(Error::NotFound { .. }) => {}
                Err(error) => return refused(refusal_of(&error)),
            }
        }
        let pattern = url.key.find(['*', '?', '[', '{']);
        let (below, glob) = match pattern.and_then(|at| url.key.get(..at)) {
            None => (path, None),
            Some(literal) => match GlobBuilder::new(url.key).literal_separator(true).build() {
                Ok(glob) => {
                    let folder = literal.rsplit_once('/').map_or("", |(folder, _)| folder);
                    (
                        Path::parse(folder).unwrap_or_default(),
                        Some(glob.compile_matcher()),
                    )
                }
                Err(error) => {
                    let message = format!("not a valid pattern: {}", error.kind());
                    return refused((ProblemKind::NoMatch, message));
                }
            },
        };
        let (mut found, problem) = bucket.below(&below);
        let kind = match &glob {
            None => (
                ProblemKind::Missing,
                "no such object, and none below it".to_owned(),
            ),
            Some(glob) => {
                found.retain(|meta| glob.is_match(meta.location.as_ref()));
                (ProblemKind::NoMatch, "no object fits the pattern".to_owned())
            }
        };
        let problem = problem.or_else(|| found.is_empty().then_some(kind));
        bucket.listing(url, found, problem)
    }

    fn bucket(&mut self, url: &StoreUrl<'_>) -> Result<Arc<Bucket>, Refusal> {
        let key = (url.scheme, url.bucket.to_owned());
        if let Some(bucket) = self.open.get(&key) {
            return Ok(Arc::clone(bucket));
        }
        let bucket = Arc::new(Bucket {
            runtime: self.runtime()?,
            store: connect(url).map_err(|error| refusal_of(&error))?,
        });
        self.open.insert(key, Arc::clone(&bucket));
        Ok(bucket)
    }

    fn runtime(&mut self) -> Result<Arc<Runtime>, Refusal> {
        if let Some(runtime) = &self.runtime {
            return Ok(Arc::clone(runtime));
        }
        // An error says that there is one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let built = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = Arc::new(built.map_err(|error| {
            let message = format!("no thread for requests can be started: {error}");
            (ProblemKind::Unreadable, message)
        })?);
        self.runtime = Some(Arc::clone(&runtime));
        Ok(runtime)
    }
}

/// The store of a URL, as the environment describes it. Nothing is sent yet.
fn connect(url: &StoreUrl<'_>) -> StoreResult<Arc<dyn ObjectStore>> {
    let retry = RetryConfig {
        max_retries: RETRIES,
        retry_timeout: RETRY_FOR,
        ..RetryConfig::default()
    };
    Ok(match url.scheme {
        Scheme::S3 => Arc::new(
            AmazonS3Builder::from_env()
                .with_bucket_name(url.bucket)
                .with_retry(retry)
                .build()?,
        ),
        Scheme::Gs => Arc::new(
            GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(url.bucket)
                .with_retry(retry)
                .build()?,
        ),
        Scheme::Az => Arc::new(
            MicrosoftAzureBuilder::from_env()
                .with_container_name(url.bucket)
                .with_retry(retry)
                .build()?,
        ),
    })
}

impl Bucket {
    /// All objects below a path, in the order of their names, and what ended the listing early.
    fn below(&self, path: &Path) -> (Vec<ObjectMeta>, Option<Refusal>) {
        let mut found = Vec::new();
        let mut stream = self.store.list(Some(path));
        let problem = loop {
            match self.runtime.block_on(stream.next()) {
                Some(Ok(meta)) => found.push(meta),
                Some(Err(error)) => {
                    let (kind, _) = refusal_of(&error);
                    break Some((kind, format!("cannot be listed to its end: {}", words(&error))));
                }
                None => break None,
            }
        };
        found.sort_by(|a, b| a.location.cmp(&b.location));
        // What consoles show as folders are empty objects above others.
        let names: Vec<String> = found.iter().map(|meta| meta.location.to_string()).collect();
        found.retain(|meta| {
            let inside = format!("{}/", meta.location);
            let next = names.get(names.partition_point(|name| *name < inside));
            let is_folder = meta.location == *path || next.is_some_and(|name| name.starts_with(&inside));
            meta.size > 0 || !is_folder
        });
        (found, problem)
    }

    fn listing(
        self: &Arc<Self>,
        url: &StoreUrl<'_>,
        found: Vec<ObjectMeta>,
        problem: Option<Refusal>,
    ) -> Listing {
        let objects = found.into_iter().map(|meta| {
            let name = format!("{}://{}/{}", url.scheme.as_str(), url.bucket, meta.location);
            let modified = meta.last_modified.timestamp_millis();
            let object = Object {
                bucket: Arc::clone(self),
                path: meta.location,
                size: meta.size,
                version: meta.e_tag.unwrap_or_else(|| format!("{} {modified}", meta.size)),
                first: Mutex::default(),
            };
            (name, Arc::new(object))
        });
        Listing {
            objects: objects.collect(),
            problem,
        }
    }
}

impl Object {
    /// Bytes, as listed.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Memory of the open object, in units of about a mebibyte, beside that of its decompression.
    pub(crate) fn cost(&self) -> usize {
        if self.size > FIRST_PART { 4 } else { 0 }
    }

    /// Asks for the first part, which will be wanted soon.
    pub(crate) fn prepare(&self) {
        if self.size > 0 {
            let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| self.ask(0, FIRST_PART, None));
        }
    }

    /// The object's bytes.
    pub(crate) fn reader(self: &Arc<Self>) -> ObjectReader {
        self.prepare();
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        ObjectReader {
            object: Arc::clone(self),
            part: None,
            coming: first.take(),
            received: 0,
        }
    }

    fn ask(&self, start: u64, length: u64, tag: Option<String>) -> Receiver<StoreResult<Part>> {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        // The task must not hold the runtime, which cannot be taken down from within.
        let store = Arc::clone(&self.bucket.store);
        let path = self.path.clone();
        let options = GetOptions {
            range: Some(GetRange::Bounded(start..start.saturating_add(length))),
            if_match: tag,
            ..GetOptions::default()
        };
        self.bucket.runtime.spawn(async move {
            let part = async {
                let result = store.get_opts(&path, options).await?;
                let meta = result.meta.clone();
                let bytes = Cursor::new(result.bytes().await?.into());
                Ok(Part { bytes, meta })
            };
            // A reader that is gone wants nothing.
            let _ = sender.send(part.await);
        });
        receiver
    }
}

/// Reads an object from its start.
pub(crate) struct ObjectReader {
    object: Arc<Object>,
    part: Option<Part>,
    /// The part behind this one, if it was asked for.
    coming: Option<Receiver<StoreResult<Part>>>,
    /// Bytes of all parts so far.
    received: u64,
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(part) = &mut self.part {
                let read = part.bytes.read(buffer)?;
                self.look_ahead();
                if read > 0 || buffer.is_empty() {
                    return Ok(read);
                }
            }
            let Some(coming) = self.coming.take() else {
                return Ok(0);
            };
            self.part = None;
            let part = match coming.recv() {
                Ok(Ok(part)) => part,
                Ok(Err(error)) => return Err(io::Error::other(Unfetched(refusal_of(&error)))),
                Err(_) => {
                    let message = "the request was given up".to_owned();
                    return Err(io::Error::other(Unfetched((ProblemKind::Unreadable, message))));
                }
            };
            self.received += part.bytes.get_ref().len() as u64;
            self.part = Some(part);
        }
    }
}

impl ObjectReader {
    /// Asks for the next part once half of this one is read; who looks at the beginning only reads less.
    fn look_ahead(&mut self) {
        let Some(part) = &self.part else { return };
        let length = part.bytes.get_ref().len() as u64;
        let is_wanted = part.bytes.position() > length / 2 && self.received < part.meta.size;
        if is_wanted && self.coming.is_none() {
            // Weak tags never match.
            let tag = part.meta.e_tag.clone().filter(|tag| !tag.starts_with("W/"));
            self.coming = Some(self.object.ask(self.received, PART, tag));
        }
    }
}

/// An error of a store on its way through the decoders.
#[derive(Debug, thiserror::Error)]
struct Unfetched(Refusal);

impl fmt::Display for Unfetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.1)
    }
}

/// What a store said, if the error is one of a store.
pub(crate) fn unfetched(error: &io::Error) -> Option<Refusal> {
    let inner = error.get_ref()?.downcast_ref::<Unfetched>()?;
    Some(inner.0.clone())
}

fn refusal_of(error: &Error) -> Refusal {
    match error {
        Error::NotFound { .. } => (ProblemKind::Missing, "no such object or bucket".to_owned()),
        Error::Precondition { .. } => (
            ProblemKind::Unreadable,
            "the object was replaced while it was read".to_owned(),
        ),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => (
            ProblemKind::Unreadable,
            format!("access is denied: {}", words(error)),
        ),
        _ => (
            ProblemKind::Unreadable,
            format!("cannot be fetched: {}", words(error)),
        ),
    }
}

/// An error's text and that of its first cause, on one line.
fn words(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause.and_then(|cause| cause.source()) {
        cause = Some(next);
    }
    if let Some(cause) = cause
        .map(ToString::to_string)
        .filter(|cause| !text.contains(cause.as_str()))
    {
        text = format!("{text}: {cause}");
    }
    let line: Vec<&str> = text.split_whitespace().collect();
    line.join(" ").chars().take(MOST_WORDS).collect()
}
