//! Images as people name them, read: files and registries alike.

use std::path::Path;

use crate::image::{Image, Options};
use crate::limits::ImageError;
use crate::reference::Place;
use crate::registry::{Access, Registry};
use crate::source::Source;

/// Told how many layers are done, of how many.
pub type Progress<'p> = &'p (dyn Fn(usize, usize) + Sync);

/// How images are read.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    /// What reading may cost, and which of several images is meant.
    pub options: Options,
    /// How to get into registries.
    pub access: Access,
}

impl Reader {
    /// Where an image is.
    ///
    /// # Errors
    /// When the name is none, or what it names cannot be opened.
    pub fn source(&self, named: &str) -> Result<Source, ImageError> {
        match Place::parse(named)? {
            Place::Registry(name) => {
                let registry = Registry::open(name, self.access.clone())?;
                Ok(Source::Registry(Box::new(registry)))
            }
            place => Source::open(&place, &self.options.limits),
        }
    }

    /// An image that others are held against: one that is read, or a document of one (`FILE.json`).
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn golden(&self, named: &str, progress: Progress<'_>) -> Result<Image, ImageError> {
        if named.ends_with(".json") && Path::new(named).is_file() {
            let bytes = std::fs::read(named)
                .map_err(|error| ImageError::Missing(format!("`{named}` cannot be read: {error}")))?;
            return Image::read_json(&format!("`{named}`"), &bytes);
        }
        Image::read(&self.source(named)?, &self.options, progress)
    }
}

/// What a list names as a golden image, seen from the list: an image of a registry is named as it is, everything else beside the list.
pub fn beside(list: &Path, named: &str) -> String {
    let path = |name: &str| {
        list.parent()
            .unwrap_or(Path::new(""))
            .join(name)
            .display()
            .to_string()
    };
    if named.starts_with("docker://") {
        return named.to_owned();
    }
    match named.split_once(':') {
        Some((prefix @ ("oci" | "root" | "dir" | "oci-archive" | "docker-archive"), rest)) => {
            format!("{prefix}:{}", path(rest))
        }
        _ => path(named),
    }
}
