//! The documents of OCI images (<https://github.com/opencontainers/image-spec>) and of Docker's, which hold the same: indexes, manifests, configurations.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::limits::ImageError;

/// Media types of indexes.
pub(crate) const INDEXES: &[&str] = &[
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
/// Media types of manifests.
pub(crate) const MANIFESTS: &[&str] = &[
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
/// The annotation that holds a tag in an index.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation by which containerd and Docker name images whole.
pub(crate) const IMAGE_NAME: &str = "io.containerd.image.name";

/// What refers to content.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    #[serde(default)]
    pub(crate) size: u64,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) platform: Option<Platform>,
    #[serde(default)]
    pub(crate) artifact_type: Option<String>,
}

/// What an image is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Platform {
    /// `linux`
    #[serde(default)]
    pub os: String,
    /// `amd64`, as Go names it
    #[serde(default)]
    pub architecture: String,
    /// `v8`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Reads `linux/arm64/v8`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/').map(str::to_owned);
        let platform = Self {
            os: parts.next()?,
            architecture: parts.next()?,
            variant: parts.next(),
        };
        let is_whole = parts.next().is_none() && !platform.os.is_empty() && !platform.architecture.is_empty();
        is_whole.then_some(platform)
    }

    /// Linux on this machine's processor.
    pub fn own() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            other => other,
        };
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: None,
        }
    }

    pub(crate) fn fits(&self, wanted: &Self) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (wanted.variant.is_none() || self.variant == wanted.variant)
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(out, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// What is `null` counts as left out.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A manifest or an index; which, is told by what it holds.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document {
    #[serde(default)]
    pub(crate) schema_version: Option<u64>,
    #[serde(default)]
    pub(crate) media_type: Option<String>,
    #[serde(default)]
    pub(crate) artifact_type: Option<String>,
    /// Of an index.
    #[serde(default)]
    pub(crate) manifests: Option<Vec<Descriptor>>,
    /// Of a manifest.
    #[serde(default)]
    pub(crate) config: Option<Descriptor>,
    #[serde(default)]
    pub(crate) layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    pub(crate) subject: Option<Descriptor>,
}

/// Reads a manifest or an index. What has parts of both could be taken for either, and is refused (as CVE-2021-41190 taught).
pub(crate) fn document(what: &str, bytes: &[u8]) -> Result<Document, ImageError> {
    let document: Document = serde_json::from_slice(bytes).map_err(ImageError::json(what))?;
    let is_manifest = document.layers.is_some() || document.config.is_some();
    if document.manifests.is_some() && is_manifest {
        return Err(ImageError::Refused(format!(
            "{what} can be read as an index and as a manifest, so that tools differ on what it is"
        )));
    }
    let said = document.media_type.as_deref();
    let contradicts = match is_manifest {
        true => said.is_some_and(|said| INDEXES.contains(&said)),
        false => said.is_some_and(|said| MANIFESTS.contains(&said)),
    };
    if contradicts {
        return Err(ImageError::Refused(format!(
            "{what} is something else than it says to be"
        )));
    }
    if document.schema_version == Some(1) {
        return Err(ImageError::Refused(format!(
            "{what} has the form of Docker before 2017 (schema 1), in which content has no digests; push the image again"
        )));
    }
    Ok(document)
}

/// Settings of an image that containers get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Config {
    /// For what it is.
    #[serde(flatten)]
    pub platform: Platform,
    /// When it was built; RFC 3339.
    #[serde(default)]
    pub created: Option<String>,
    /// What is run.
    #[serde(default, deserialize_with = "or_default")]
    pub config: Settings,
    /// The layers by the digests of their archives.
    #[serde(default, deserialize_with = "or_default")]
    pub rootfs: RootFs,
    /// How it came to be.
    #[serde(default, deserialize_with = "or_default")]
    pub history: Vec<History>,
}

/// The layers by the digests of their archives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct RootFs {
    /// From the bottom up.
    #[serde(default, deserialize_with = "or_default")]
    pub diff_ids: Vec<Digest>,
}

/// A step of a build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct History {
    /// The command.
    #[serde(default)]
    pub created_by: Option<String>,
    /// Whether it brought no layer.
    #[serde(default)]
    pub empty_layer: bool,
}

/// What is run, as whom, with what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Settings {
    /// The account.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub user: String,
    /// The program and its first arguments.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_many")]
    pub entrypoint: Vec<String>,
    /// Further arguments, or the program where there is no entry point.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_many")]
    pub cmd: Vec<String>,
    /// `NAME=value`
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub env: Vec<String>,
    /// Where it runs.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub working_dir: String,
    /// `80/tcp`
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
    pub exposed_ports: BTreeMap<String, Value>,
    /// Directories that are kept outside.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
    pub volumes: BTreeMap<String, Value>,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// How it is asked to stop.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub stop_signal: String,
    /// What runs commands in the form of a text.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub shell: Vec<String>,
    /// What is run again and again to see whether it is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<BTreeMap<String, Value>>,
    /// Instructions for builds upon this image.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub on_build: Vec<String>,
}

/// Old tools wrote one text where others write a list.
fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Option::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Written::One(one)) => vec![one],
        Some(Written::Many(many)) => many,
    })
}
