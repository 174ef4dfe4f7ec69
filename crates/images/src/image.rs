//! An image, read whole: its configuration, layers and files, and what is wrong with it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Hasher, Hashing, hex};
use crate::files::{Files, Pile, shown};
use crate::limits::{ImageError, Limits};
use crate::oci::{Config, Platform};
use crate::reading::{ReadLayer, Shared, read_layer};
use crate::reference::Name;
use crate::roles::Severity;
use crate::source::{Blob, Found, Source};

/// A layer of an image.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Layer {
    /// The digest of what is stored, where the image's form has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The digest of the archive in it.
    pub diff_id: Digest,
    /// Bytes as stored.
    pub size: u64,
    /// Bytes of the archive.
    pub uncompressed: u64,
    /// The command that made it, if the image tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
}

/// Something strange about an image.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Problem {
    /// The layer, from 0 at the bottom.
    pub layer: usize,
    /// The path as the layer has it; empty where it is about the layer.
    pub path: String,
    /// What is strange.
    pub what: String,
    /// How bad it is.
    pub severity: Severity,
}

/// An image.
#[derive(Clone, Debug)]
pub struct Image {
    /// What it is called where it was found.
    pub name: Name,
    /// The digest of the index that it was chosen from.
    pub index: Option<Digest>,
    /// The digest of its manifest; archives of `docker save` have none.
    pub manifest: Option<Digest>,
    /// The digest of its configuration, which Docker calls the image's id.
    pub id: Option<Digest>,
    /// Its configuration.
    pub config: Config,
    /// From the bottom up.
    pub layers: Vec<Layer>,
    /// All files that containers see.
    pub files: Files,
    /// What is strange.
    pub problems: Vec<Problem>,
}

/// How an image is read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What it may cost.
    pub limits: Limits,
    /// Which image of several is meant; Linux on this machine's processor, where nothing is said.
    pub platform: Option<Platform>,
}

impl Image {
    /// Reads the image that was asked for: all layers, each digest verified. `progress` is told how many layers are done, of how many.
    ///
    /// # Errors
    /// When it cannot be read, is beyond a limit, or does not have the content that its manifest says.
    pub fn read(
        source: &Source,
        options: &Options,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Self, ImageError> {
        let found = source.find(options.platform.as_ref(), &options.limits)?;
        let mut id = found.config.as_ref().and_then(|blob| blob.digest);
        let config = match &found.config {
            None => Config::default(),
            Some(blob) => {
                let bytes = source.small(blob, &options.limits)?;
                id.get_or_insert_with(|| Digest::of(&bytes));
                serde_json::from_slice::<Config>(&bytes)
                    .map_err(ImageError::json(format!("the configuration {}", blob.told())))?
            }
        };
        let diff_ids = &config.rootfs.diff_ids;
        let is_root = matches!(source, Source::Root(_));
        if !is_root && diff_ids.len() != found.layers.len() {
            return Err(ImageError::Altered {
                what: "the list of layers".to_owned(),
                said: format!("{} layers by the configuration", diff_ids.len()),
                found: format!("{} layers by the manifest", found.layers.len()),
            });
        }
        let read = read_layers(source, &found, diff_ids, &options.limits, progress)?;
        let mut pile = Pile {
            is_root,
            ..Pile::default()
        };
        let mut layers = Vec::new();
        let mut commands = config.history.iter().filter(|step| !step.empty_layer);
        for (index, (layer, blob)) in read.into_iter().zip(&found.layers).enumerate() {
            layers.push(Layer {
                digest: blob.digest,
                diff_id: layer.diff_id,
                size: layer.size,
                uncompressed: layer.uncompressed,
                created_by: commands.next().and_then(|step| step.created_by.clone()),
            });
            pile.lay(index, layer.content);
        }
        let problems = pile.oddities.iter().map(|(layer, oddity)| Problem {
            layer: *layer,
            path: shown(&oddity.path).into_owned(),
            what: oddity.what.clone(),
            severity: oddity.severity,
        });
        Ok(Self {
            name: found.name,
            index: found.index,
            manifest: found.manifest,
            id,
            layers,
            problems: problems.collect(),
            files: pile.files,
            config,
        })
    }

    /// The digest that names it best: of the manifest, else of the configuration.
    pub fn digest(&self) -> Option<Digest> {
        self.manifest.or(self.id)
    }

    /// Every digest that may be written down for it.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        [self.manifest, self.index, self.id].into_iter().flatten()
    }

    /// The program that containers run first, and where the image has it.
    pub fn entry_point(&self) -> Option<Vec<u8>> {
        let settings = &self.config.config;
        let first = settings.entrypoint.first().or(settings.cmd.first())?;
        if first.contains('/') {
            let base = if first.starts_with('/') {
                ""
            } else {
                settings.working_dir.as_str()
            };
            return self
                .files
                .follow(format!("{base}/{first}").as_bytes())
                .map(|(path, _)| path);
        }
        let path = settings.env.iter().find_map(|pair| pair.strip_prefix("PATH="));
        path.unwrap_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .split(':')
            .find_map(|folder| self.files.follow(format!("{folder}/{first}").as_bytes()))
            .map(|(path, _)| path)
    }

    /// A digest of everything that a container gets, and of nothing else: two images with the same one are alike, however they were built and packed.
    pub fn content_digest(&self) -> Digest {
        let mut text = Vec::new();
        for (path, file) in self.files.iter() {
            text.extend_from_slice(path);
            let sha256 = file.sha256.map_or_else(String::new, |sha256| hex(&sha256));
            let line = format!(
                "\0{}\0{:o}\0{}\0{}\0{sha256}\0{:?}\0{:?}\0{:?}\n",
                file.kind.name(),
                file.mode,
                file.uid,
                file.gid,
                file.target,
                file.xattrs,
                file.device,
            );
            text.extend_from_slice(line.as_bytes());
        }
        Digest::of(&text)
    }
}

/// Reads all layers, several at once.
fn read_layers(
    source: &Source,
    found: &Found,
    diff_ids: &[Digest],
    limits: &Limits,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Vec<ReadLayer>, ImageError> {
    let shared = Shared::new(limits);
    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Result<ReadLayer, ImageError>)>> = Mutex::new(Vec::new());
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(blob) = found.layers.get(index) else {
                return;
            };
            let result = one_layer(source, blob, diff_ids.get(index), index, &shared);
            if result.is_err() {
                // The others need not be begun.
                next.store(found.layers.len(), Ordering::Relaxed);
            }
            results
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((index, result));
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, found.layers.len());
        }
    };
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(found.layers.len());
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn one_layer(
    source: &Source,
    blob: &Blob,
    said_diff: Option<&Digest>,
    index: usize,
    shared: &Shared<'_>,
) -> Result<ReadLayer, ImageError> {
    let name = format!("layer {index} ({})", blob.told());
    if blob.media_type.ends_with("+encrypted") {
        return Err(ImageError::Refused(format!("{name} is encrypted")));
    }
    let read = read_layer(&name, source.blob(blob)?, blob.digest.as_ref(), said_diff, shared);
    let altered = |what: &str, said: String, found: String| ImageError::Altered {
        what: what.to_owned(),
        said,
        found,
    };
    let read = match read {
        // Damage shows as an error of the compression or the archive first; the digest says whether it was the content that was altered.
        Err(error @ (ImageError::Read { .. } | ImageError::Refused(_))) => {
            return Err(match blob_differs(source, blob, shared.limits) {
                Some((said, found)) => altered(&name, said, found),
                None => error,
            });
        }
        other => other?,
    };
    if let Some(said) = &blob.digest
        && *said != read.blob
    {
        return Err(altered(&name, said.to_string(), read.blob.to_string()));
    }
    if let Some(said) = blob.size.filter(|said| *said != read.size) {
        return Err(altered(
            &name,
            format!("{said} bytes"),
            format!("{} bytes", read.size),
        ));
    }
    if let Some(said) = said_diff.filter(|said| **said != read.diff_id) {
        return Err(altered(
            &format!("the archive in {name}"),
            said.to_string(),
            read.diff_id.to_string(),
        ));
    }
    Ok(read)
}

/// The digest that a blob should have and the one that it has, where they differ.
fn blob_differs(source: &Source, blob: &Blob, limits: &Limits) -> Option<(String, String)> {
    use std::io::Read as _;

    let said = blob.digest?;
    let most = blob.size.unwrap_or(limits.total).saturating_add(1);
    let reader = source.blob(blob).ok()?.take(most);
    let mut hashing = Hashing::new(reader, Hasher::like(Some(&said)));
    std::io::copy(&mut hashing, &mut std::io::sink()).ok()?;
    let (found, _) = hashing.finish();
    (found != said).then(|| (said.to_string(), found.to_string()))
}
