//! An image as a JSON document: what `neph image manifest` prints, and what may be kept as the golden one in place of the image itself.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::digest::{Digest, bytes_of, hex};
use crate::files::{File, Files, Kind, shown};
use crate::image::{Image, Layer, Problem};
use crate::limits::ImageError;
use crate::oci::{Config, History, Platform, RootFs, Settings};
use crate::reference::Name;
use crate::signs::Signs;

/// The version of the document's form.
const VERSION: u32 = 1;

/// The document.
#[derive(Debug, Deserialize, Serialize)]
struct Document {
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repository: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    /// Of the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<Digest>,
    /// Of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<Digest>,
    /// Of everything that a container gets, however it is packed.
    content: Digest,
    platform: Platform,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    config: Settings,
    layers: Vec<Layer>,
    problems: Vec<Problem>,
    files: Vec<FileDocument>,
}

/// A file in the document.
#[derive(Debug, Deserialize, Serialize)]
struct FileDocument {
    /// With a slash in front; bytes that are no UTF-8 are shown as `\xNN`.
    path: String,
    /// The path's bytes, where they are no UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path_base64: Option<String>,
    kind: String,
    /// In octal, as `0755`.
    mode: String,
    uid: u64,
    gid: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    capabilities: Vec<String>,
    /// Values in base64.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    xattrs: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<(u32, u32)>,
    layer: usize,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    signs: Vec<String>,
}

/// Bytes that are no text, for the field beside the one that shows them.
fn beside(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).is_err().then(|| BASE64.encode(bytes))
}

impl FileDocument {
    fn of(path: &[u8], file: &File) -> Self {
        let is_file = file.kind == Kind::File;
        let is_link = file.kind == Kind::Symlink;
        let is_device = matches!(file.kind, Kind::BlockDevice | Kind::CharacterDevice);
        Self {
            path: format!("/{}", shown(path)),
            path_base64: beside(path),
            kind: file.kind.name().to_owned(),
            mode: format!("{:04o}", file.mode),
            uid: file.uid,
            gid: file.gid,
            size: is_file.then_some(file.size),
            sha256: file.sha256.map(|sha256| hex(&sha256)),
            target: is_link.then(|| shown(&file.target).into_owned()),
            target_base64: beside(&file.target),
            capabilities: file.capabilities(),
            xattrs: file
                .xattrs
                .iter()
                .map(|(name, value)| (name.clone(), BASE64.encode(value)))
                .collect(),
            device: is_device.then_some(file.device),
            layer: file.layer,
            signs: file.signs.names().into_iter().map(str::to_owned).collect(),
        }
    }

    fn read(self) -> Option<(Vec<u8>, File)> {
        let bytes = |text: String, other: Option<String>| match other {
            Some(other) => BASE64.decode(other).ok(),
            None => Some(text.into_bytes()),
        };
        let path = self.path.strip_prefix('/').unwrap_or(&self.path).to_owned();
        let xattrs: Option<Vec<(String, Vec<u8>)>> = self
            .xattrs
            .into_iter()
            .map(|(name, value)| Some((name, BASE64.decode(value).ok()?)))
            .collect();
        let sha256 = match self.sha256 {
            Some(hex) => Some(bytes_of(&hex)?),
            None => None,
        };
        let file = File {
            kind: Kind::of_name(&self.kind)?,
            mode: u32::from_str_radix(&self.mode, 8).ok()?,
            uid: self.uid,
            gid: self.gid,
            size: self.size.unwrap_or(0),
            sha256,
            target: bytes(self.target.unwrap_or_default(), self.target_base64)?,
            xattrs: xattrs?,
            device: self.device.unwrap_or((0, 0)),
            layer: self.layer,
            signs: Signs::of_names(self.signs.iter().map(String::as_str)),
        };
        Some((bytes(path, self.path_base64)?, file))
    }
}

impl Image {
    /// The image as a JSON document.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_json(&self, out: &mut dyn std::io::Write) -> std::io::Result<()> {
        let document = Document {
            version: VERSION,
            repository: self.name.repository.clone(),
            tag: self.name.tag.clone(),
            digest: self.manifest,
            index: self.index,
            id: self.id,
            content: self.content_digest(),
            platform: self.config.platform.clone(),
            created: self.config.created.clone(),
            config: self.config.config.clone(),
            layers: self.layers.clone(),
            problems: self.problems.clone(),
            files: self
                .files
                .iter()
                .map(|(path, file)| FileDocument::of(path, file))
                .collect(),
        };
        serde_json::to_writer(out, &document).map_err(std::io::Error::from)
    }

    /// Reads the document of an image.
    ///
    /// # Errors
    /// When it is no such document.
    pub fn read_json(what: &str, bytes: &[u8]) -> Result<Self, ImageError> {
        let document: Document = serde_json::from_slice(bytes).map_err(ImageError::json(what))?;
        if document.version != VERSION {
            return Err(ImageError::Refused(format!(
                "{what} has the form {}, and only {VERSION} is known",
                document.version
            )));
        }
        let mut files = Files::default();
        for file in document.files {
            let told = file.path.clone();
            let Some((path, file)) = file.read() else {
                return Err(ImageError::Refused(format!(
                    "{what}: what it says of `{told}` is damaged"
                )));
            };
            files.by_path.insert(path, file);
        }
        let history = document.layers.iter().map(|layer| History {
            created_by: layer.created_by.clone(),
            empty_layer: false,
        });
        let image = Self {
            name: Name {
                repository: document.repository,
                tag: document.tag,
                digest: None,
            },
            index: document.index,
            manifest: document.digest,
            id: document.id,
            config: Config {
                platform: document.platform,
                created: document.created,
                config: document.config,
                rootfs: RootFs {
                    diff_ids: document.layers.iter().map(|layer| layer.diff_id).collect(),
                },
                history: history.collect(),
            },
            layers: document.layers,
            files,
            problems: document.problems,
        };
        // Who keeps such documents as golden ones wants to know when somebody edited one.
        let found = image.content_digest();
        if found != document.content {
            return Err(ImageError::Altered {
                what: what.to_owned(),
                said: document.content.to_string(),
                found: found.to_string(),
            });
        }
        Ok(image)
    }
}
