//! Where images are read from: folders and archives of either form, and registries, seen alike.

use std::io::Read;

use serde::Deserialize;

use crate::digest::Digest;
use crate::limits::{ImageError, Limits};
use crate::oci::{self, Descriptor, Document, IMAGE_NAME, Platform, REF_NAME};
use crate::reference::{Name, Place};
use crate::registry::Registry;
use crate::tree::{Tree, small};

/// How `cosign save` marks what it puts into a layout, and the marks of the image and its signatures.
const COSIGN_KIND: &str = "kind";
const COSIGN_IMAGE: &str = "dev.cosignproject.cosign/image";
const COSIGN_SIGNATURES: &str = "dev.cosignproject.cosign/sigs";
/// Indexes within indexes; more than one level is rare.
const DEPTH: usize = 4;

/// A blob: content that is named by its digest, or by a path where the form is older than digests.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub(crate) path: Option<String>,
    pub(crate) digest: Option<Digest>,
    pub(crate) size: Option<u64>,
    pub(crate) media_type: String,
}

impl Blob {
    fn of(descriptor: &Descriptor) -> Self {
        Self {
            path: None,
            digest: Some(descriptor.digest),
            size: Some(descriptor.size),
            media_type: descriptor.media_type.clone(),
        }
    }

    /// What it is called in messages.
    pub(crate) fn told(&self) -> String {
        match (&self.digest, &self.path) {
            (_, Some(path)) => format!("`{path}`"),
            (Some(digest), _) => format!("`{digest}`"),
            _ => "content".to_owned(),
        }
    }
}

/// An image that was found: what to read for it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) name: Name,
    /// The index that the image was chosen from.
    pub(crate) index: Option<Digest>,
    pub(crate) manifest: Option<Digest>,
    pub(crate) config: Option<Blob>,
    pub(crate) layers: Vec<Blob>,
}

/// Where images are.
#[derive(Debug)]
pub enum Source {
    /// A folder or an archive of images.
    Local(Local),
    /// The tar archive of a container's root.
    Root(std::path::PathBuf),
    /// A registry.
    Registry(Box<Registry>),
}

/// A folder or an archive of images.
#[derive(Debug)]
pub struct Local {
    tree: Tree,
    form: Form,
    which: Option<String>,
}

#[derive(Debug)]
enum Form {
    /// `index.json` and blobs (<https://github.com/opencontainers/image-spec/blob/main/image-layout.md>).
    Oci(Vec<Descriptor>),
    /// `manifest.json` of `docker save`.
    Docker(Vec<Saved>),
    /// `manifest.json` of one image, and blobs beside it, as `skopeo copy … dir:` writes it.
    Dir,
}

/// An image in `manifest.json` of `docker save`
/// (<https://github.com/moby/moby/blob/master/image/spec/v1.2.md>, "Combined Image JSON + Filesystem Changeset Format").
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default, deserialize_with = "oci::or_default")]
    layers: Vec<String>,
}

/// A document with its digest.
pub(crate) struct Fetched {
    pub(crate) digest: Digest,
    pub(crate) document: Document,
}

impl Local {
    fn open(path: &std::path::Path, which: Option<String>, limits: &Limits) -> Result<Self, ImageError> {
        let tree = Tree::open(path, limits)?;
        let form = match (
            tree.small("index.json", limits)?,
            tree.small("manifest.json", limits)?,
        ) {
            (Some(bytes), _) => {
                let index = oci::document("`index.json`", &bytes)?;
                let Some(manifests) = index.manifests else {
                    return Err(ImageError::Refused("`index.json` lists no images".to_owned()));
                };
                Form::Oci(manifests)
            }
            (None, Some(bytes)) => match serde_json::from_slice::<Vec<Saved>>(&bytes) {
                Ok(saved) => Form::Docker(saved),
                Err(error) => match oci::document("`manifest.json`", &bytes) {
                    Ok(document) if document.layers.is_some() => Form::Dir,
                    _ => return Err(ImageError::json("`manifest.json`")(error)),
                },
            },
            (None, None) => {
                let hint = match tree.file("repositories") {
                    Ok(Some(_)) => "; it has the form of Docker before 1.10, in which content has no digests",
                    _ => "; the exported root of a container is given as `root:FILE`",
                };
                return Err(ImageError::Missing(format!(
                    "`{}` holds no image: neither `index.json` (OCI) nor `manifest.json` (`docker save`) is in it{hint}",
                    path.display()
                )));
            }
        };
        Ok(Self { tree, form, which })
    }

    pub(crate) fn blob(&self, blob: &Blob) -> Result<Box<dyn Read + Send + '_>, ImageError> {
        let path = match (&blob.path, &blob.digest, &self.form) {
            (Some(path), ..) => path.clone(),
            (None, Some(digest), Form::Dir) => digest.hex(),
            (None, Some(digest), _) => format!("blobs/{}/{}", digest.algorithm(), digest.hex()),
            (None, None, _) => String::new(),
        };
        let missing = || ImageError::Missing(format!("{} is not in the archive or folder", blob.told()));
        self.tree.file(&path)?.ok_or_else(missing)
    }

    fn dir_manifest(&self, limits: &Limits) -> Result<Vec<u8>, ImageError> {
        let bytes = self.tree.small("manifest.json", limits)?;
        bytes.ok_or_else(|| ImageError::Missing("`manifest.json` is gone".to_owned()))
    }

    /// What `index.json` lists; attestations and signatures are no images.
    fn listed(&self) -> &[Descriptor] {
        match &self.form {
            Form::Oci(listed) => listed,
            _ => &[],
        }
    }
}

/// The name of what an index lists.
fn name_of(descriptor: &Descriptor) -> Name {
    let whole = descriptor.annotations.get(IMAGE_NAME);
    let short = descriptor.annotations.get(REF_NAME);
    let named = whole
        .or(short)
        .filter(|name| name.contains('/') || whole.is_some());
    named.and_then(|name| Name::parse(name)).unwrap_or_else(|| Name {
        repository: None,
        tag: short.cloned(),
        digest: None,
    })
}

/// Whether what somebody asked for (a tag, a name, a digest) is a name.
fn is_asked_for(name: &Name, short: Option<&str>, digest: Option<&Digest>, which: &str) -> bool {
    let as_digest = Digest::parse(which);
    (as_digest.is_some() && as_digest.as_ref() == digest)
        || short == Some(which)
        || name.tag.as_deref() == Some(which)
        || Name::parse(which).is_some_and(|asked| {
            asked.repository == name.repository
                && asked.tag.as_deref().unwrap_or("latest") == name.tag.as_deref().unwrap_or("latest")
        })
}

/// Signatures and attestations stand among the images of an index.
fn is_image(descriptor: &Descriptor) -> bool {
    let is_signature = descriptor.annotations.get(REF_NAME).is_some_and(|name| {
        name.starts_with("sha256-") && [".sig", ".att", ".sbom"].iter().any(|end| name.ends_with(end))
    });
    let is_kept_by_cosign = descriptor
        .annotations
        .get(COSIGN_KIND)
        .is_some_and(|kind| kind != COSIGN_IMAGE);
    let is_attestation = descriptor
        .annotations
        .get("vnd.docker.reference.type")
        .is_some_and(|kind| kind == "attestation-manifest");
    let is_unknown = descriptor
        .platform
        .as_ref()
        .is_some_and(|platform| platform.os == "unknown");
    !(is_signature || is_kept_by_cosign || is_attestation || is_unknown || descriptor.artifact_type.is_some())
        && (descriptor.media_type.is_empty()
            || oci::INDEXES.contains(&descriptor.media_type.as_str())
            || oci::MANIFESTS.contains(&descriptor.media_type.as_str()))
}

impl Source {
    /// Opens a folder or an archive. Registries are opened with [`Registry::open`].
    ///
    /// # Errors
    /// When it cannot be read, or holds no images.
    pub fn open(place: &Place, limits: &Limits) -> Result<Self, ImageError> {
        match place {
            Place::Local { path, which } => Local::open(path, which.clone(), limits).map(Self::Local),
            Place::Root(path) => Ok(Self::Root(path.clone())),
            Place::Registry(name) => Err(ImageError::Missing(format!("`{name}` is in a registry"))),
        }
    }

    /// The content of a blob, from its beginning.
    pub(crate) fn blob(&self, blob: &Blob) -> Result<Box<dyn Read + Send + '_>, ImageError> {
        match self {
            Self::Local(local) => local.blob(blob),
            Self::Registry(registry) => registry.blob(blob),
            Self::Root(path) => {
                let file = std::fs::File::open(path);
                Ok(Box::new(
                    file.map_err(ImageError::read(format!("`{}`", path.display())))?,
                ))
            }
        }
    }

    /// A manifest or an index by its digest, which is verified.
    pub(crate) fn document(&self, digest: &Digest, limits: &Limits) -> Result<Fetched, ImageError> {
        let bytes = match self {
            Self::Registry(registry) => registry.manifest(&digest.to_string(), limits)?,
            _ => {
                let blob = Blob {
                    path: None,
                    digest: Some(*digest),
                    size: None,
                    media_type: String::new(),
                };
                small(&blob.told(), self.blob(&blob)?, limits)?
            }
        };
        check(&format!("`{digest}`"), digest, &bytes)?;
        let document = oci::document(&format!("`{digest}`"), &bytes)?;
        Ok(Fetched {
            digest: *digest,
            document,
        })
    }

    /// A small blob by its digest, which is verified.
    pub(crate) fn small(&self, blob: &Blob, limits: &Limits) -> Result<Vec<u8>, ImageError> {
        let bytes = small(&blob.told(), self.blob(blob)?, limits)?;
        if let Some(digest) = &blob.digest {
            check(&blob.told(), digest, &bytes)?;
        }
        Ok(bytes)
    }

    /// The image that was asked for.
    pub(crate) fn find(&self, platform: Option<&Platform>, limits: &Limits) -> Result<Found, ImageError> {
        match self {
            Self::Root(path) => Ok(Found {
                name: Name::default(),
                index: None,
                manifest: None,
                config: None,
                layers: vec![Blob {
                    path: Some(path.display().to_string()),
                    digest: None,
                    size: None,
                    media_type: String::new(),
                }],
            }),
            Self::Registry(registry) => {
                let name = registry.name().clone();
                let asked = name
                    .digest
                    .map(|digest| digest.to_string())
                    .or(name.tag.clone())
                    .unwrap_or_else(|| "latest".to_owned());
                let bytes = registry.manifest(&asked, limits)?;
                let digest = Digest::of(&bytes);
                if let Some(pinned) = &name.digest {
                    check(&format!("the manifest of `{name}`"), pinned, &bytes)?;
                }
                let document = oci::document(&format!("the manifest of `{name}`"), &bytes)?;
                let first = Fetched {
                    digest: name.digest.unwrap_or(digest),
                    document,
                };
                self.choose(name, first, platform, limits)
            }
            Self::Local(local) => self.find_local(local, platform, limits),
        }
    }

    fn find_local(
        &self,
        local: &Local,
        platform: Option<&Platform>,
        limits: &Limits,
    ) -> Result<Found, ImageError> {
        match &local.form {
            Form::Dir => {
                let bytes = local.dir_manifest(limits)?;
                let document = oci::document("`manifest.json`", &bytes)?;
                let first = Fetched {
                    digest: Digest::of(&bytes),
                    document,
                };
                self.choose(Name::default(), first, platform, limits)
            }
            Form::Docker(saved) => find_saved(saved, local.which.as_deref()),
            Form::Oci(listed) => {
                let images: Vec<&Descriptor> = listed.iter().filter(|listed| is_image(listed)).collect();
                let fitting: Vec<&Descriptor> = match &local.which {
                    None => images.clone(),
                    Some(which) => listed
                        .iter()
                        .filter(|own| {
                            let short = own.annotations.get(REF_NAME).map(String::as_str);
                            is_asked_for(&name_of(own), short, Some(&own.digest), which)
                        })
                        .collect(),
                };
                let names = || {
                    let named = images.iter().map(|own| match name_of(own) {
                        name if name == Name::default() => format!("`{}`", own.digest),
                        name => format!("`{}`", name.to_string().trim_start_matches(':')),
                    });
                    named.collect::<Vec<_>>().join(", ")
                };
                // The same content under several names is one image.
                let mut digests: Vec<Digest> = fitting.iter().map(|own| own.digest).collect();
                digests.sort_unstable();
                digests.dedup();
                let chosen = match (fitting.as_slice(), digests.len()) {
                    ([], _) => {
                        let what = local.which.as_deref().unwrap_or("any image");
                        return Err(ImageError::Missing(format!(
                            "`{what}` is not in the layout; it has {}",
                            names()
                        )));
                    }
                    ([first, ..], 1) => *first,
                    _ => {
                        let wanted = platform.cloned().unwrap_or_else(Platform::own);
                        let of_platform = |own: &&&Descriptor| {
                            own.platform
                                .as_ref()
                                .is_some_and(|platform| platform.fits(&wanted))
                        };
                        let mut left = fitting.iter().filter(of_platform);
                        match (left.next(), left.next()) {
                            (Some(one), None) => *one,
                            _ => {
                                return Err(ImageError::Missing(format!(
                                    "the layout has several images: {}; name one behind a colon",
                                    names()
                                )));
                            }
                        }
                    }
                };
                let first = self.document(&chosen.digest, limits)?;
                self.choose(name_of(chosen), first, platform, limits)
            }
        }
    }

    /// Goes from an index to the manifest for a platform.
    fn choose(
        &self,
        name: Name,
        first: Fetched,
        platform: Option<&Platform>,
        limits: &Limits,
    ) -> Result<Found, ImageError> {
        let mut fetched = first;
        let mut index = None;
        for _ in 0..DEPTH {
            let Some(manifests) = &fetched.document.manifests else {
                return manifest(name, index, &fetched, limits);
            };
            index.get_or_insert(fetched.digest);
            let images: Vec<&Descriptor> = manifests.iter().filter(|own| is_image(own)).collect();
            let wanted = platform.cloned().unwrap_or_else(Platform::own);
            let fits = |own: &&&Descriptor| own.platform.as_ref().is_some_and(|own| own.fits(&wanted));
            let chosen = match images.as_slice() {
                [only] if platform.is_none() => *only,
                several => *several.iter().find(fits).ok_or_else(|| {
                    let there: Vec<String> = several
                        .iter()
                        .map(|own| {
                            own.platform
                                .as_ref()
                                .map_or_else(|| "one that is not said".to_owned(), Platform::to_string)
                        })
                        .collect();
                    ImageError::Missing(format!(
                        "there is no image for `{wanted}`, but for {}; choose with --platform",
                        there.join(", ")
                    ))
                })?,
            };
            fetched = self.document(&chosen.digest, limits)?;
        }
        Err(ImageError::Refused(format!(
            "more than {DEPTH} indexes lie within one another"
        )))
    }

    /// Descriptors and manifests that may hold signatures of an image: those that refer to it, and those of the tag `sha256-….sig`.
    pub(crate) fn companions(&self, of: &Digest, limits: &Limits) -> Result<Vec<Fetched>, ImageError> {
        let tag = format!("{}-{}", of.algorithm(), of.hex());
        match self {
            Self::Root(_) => Ok(Vec::new()),
            Self::Local(local) => {
                let mut found = Vec::new();
                for own in local.listed() {
                    let by_tag = own.annotations.get(REF_NAME).is_some_and(|name| {
                        let name = name.rsplit(':').next().unwrap_or(name);
                        name == tag || name.strip_prefix(&tag).is_some_and(|rest| rest == ".sig")
                    });
                    let by_tag = by_tag
                        || own
                            .annotations
                            .get(COSIGN_KIND)
                            .is_some_and(|kind| kind == COSIGN_SIGNATURES);
                    // Any manifest may refer to the image; only reading it tells.
                    let is_index = oci::INDEXES.contains(&own.media_type.as_str());
                    if own.digest == *of || (is_index && !by_tag) {
                        continue;
                    }
                    let fetched = self.document(&own.digest, limits)?;
                    let refers = fetched
                        .document
                        .subject
                        .as_ref()
                        .is_some_and(|subject| subject.digest == *of);
                    match &fetched.document.manifests {
                        // The index of those that refer to an image, where a registry cannot tell them.
                        Some(list) if by_tag => {
                            for inner in list.iter().take(limits.layers) {
                                found.push(self.document(&inner.digest, limits)?);
                            }
                        }
                        _ if by_tag || refers => found.push(fetched),
                        _ => {}
                    }
                }
                Ok(found)
            }
            Self::Registry(registry) => {
                let mut digests = Vec::new();
                for answer in [registry.referrers(of, limits)?, registry.optional(&tag, limits)?]
                    .into_iter()
                    .flatten()
                {
                    let index = oci::document("the list of what refers to the image", &answer)?;
                    digests.extend(index.manifests.into_iter().flatten().map(|own| own.digest));
                }
                let mut found = Vec::new();
                digests.sort_unstable();
                digests.dedup();
                for digest in digests.into_iter().take(limits.layers) {
                    found.push(self.document(&digest, limits)?);
                }
                if let Some(bytes) = registry.optional(&format!("{tag}.sig"), limits)? {
                    let document = oci::document("the manifest of the signatures", &bytes)?;
                    found.push(Fetched {
                        digest: Digest::of(&bytes),
                        document,
                    });
                }
                Ok(found)
            }
        }
    }
}

/// Whether content has the digest that it is referred to by.
pub(crate) fn check(what: &str, said: &Digest, bytes: &[u8]) -> Result<(), ImageError> {
    if said.fits(bytes) {
        return Ok(());
    }
    Err(ImageError::Altered {
        what: what.to_owned(),
        said: said.to_string(),
        found: Digest::of(bytes).to_string(),
    })
}

fn manifest(
    name: Name,
    index: Option<Digest>,
    fetched: &Fetched,
    limits: &Limits,
) -> Result<Found, ImageError> {
    let document = &fetched.document;
    let layers = document.layers.clone().unwrap_or_default();
    if layers.len() > limits.layers {
        return Err(ImageError::Refused(format!(
            "the image has {} layers, and the limit is {}",
            layers.len(),
            limits.layers
        )));
    }
    let Some(config) = &document.config else {
        return Err(ImageError::Refused(format!(
            "`{}` is no image: it has no configuration",
            fetched.digest
        )));
    };
    Ok(Found {
        name,
        index,
        manifest: Some(fetched.digest),
        config: Some(Blob::of(config)),
        layers: layers.iter().map(Blob::of).collect(),
    })
}

fn find_saved(saved: &[Saved], which: Option<&str>) -> Result<Found, ImageError> {
    let all_names = |one: &Saved| one.repo_tags.clone().unwrap_or_default();
    let fits = |one: &&Saved, which: &str| {
        let digest = digest_of_path(&one.config);
        all_names(one).iter().any(|tag| {
            tag == which
                || Name::parse(tag).is_some_and(|name| is_asked_for(&name, Some(tag), digest.as_ref(), which))
        }) || digest.is_some_and(|digest| Digest::parse(which) == Some(digest))
    };
    let fitting: Vec<&Saved> = match which {
        None => saved.iter().collect(),
        Some(which) => saved.iter().filter(|one| fits(one, which)).collect(),
    };
    let [one] = fitting.as_slice() else {
        let names: Vec<String> = saved
            .iter()
            .flat_map(all_names)
            .map(|name| format!("`{name}`"))
            .collect();
        let why = if fitting.is_empty() {
            "is not in the archive"
        } else {
            "is one of several in the archive"
        };
        return Err(ImageError::Missing(format!(
            "`{}` {why}; it has {}; name one behind a colon",
            which.unwrap_or("an image"),
            names.join(", ")
        )));
    };
    let tag = match which {
        Some(which) => all_names(one).into_iter().find(|tag| tag == which),
        None => None,
    };
    let tag = tag.or_else(|| all_names(one).into_iter().next());
    Ok(Found {
        name: tag.as_deref().and_then(Name::parse).unwrap_or_default(),
        index: None,
        manifest: None,
        config: Some(Blob {
            path: Some(one.config.clone()),
            digest: digest_of_path(&one.config),
            size: None,
            media_type: String::new(),
        }),
        layers: one
            .layers
            .iter()
            .map(|path| Blob {
                path: Some(path.clone()),
                // `blobs/sha256/…` is named by the digest of what it holds, `….tar` and `…/layer.tar` by something else.
                digest: digest_of_path(path).filter(|_| path.starts_with("blobs/")),
                size: None,
                media_type: String::new(),
            })
            .collect(),
    })
}

/// The digest that a name holds: `blobs/sha256/…` or `….json`.
fn digest_of_path(path: &str) -> Option<Digest> {
    let name = path.rsplit('/').next().unwrap_or(path);
    Digest::parse(&format!("sha256:{}", name.strip_suffix(".json").unwrap_or(name)))
}
