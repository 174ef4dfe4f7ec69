//! How people name images: `docker://registry/repository:tag@digest`, `oci:folder:tag`, an archive's path.

use std::path::PathBuf;

use crate::digest::Digest;
use crate::limits::ImageError;

/// The registry of names that name none, and where it really is.
pub(crate) const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// A name with what narrows it down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    /// `registry.example:5000/shop/app`; with the registry, and with `library/` where Docker adds it.
    pub repository: Option<String>,
    /// `1.4`
    pub tag: Option<String>,
    /// What the manifest must be.
    pub digest: Option<Digest>,
}

impl Name {
    /// Reads `registry/repository:tag@digest` as Docker does (<https://github.com/distribution/reference>).
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(Digest::parse(digest)?)),
            None => (text, None),
        };
        // A colon before the last slash is a port.
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        let is_tag = |tag: &str| {
            tag.len() <= 128
                && !tag.starts_with(['.', '-'])
                && tag
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
                && !tag.is_empty()
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return None;
        }
        let (registry, repository) = match path.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
                (first, rest.to_owned())
            }
            Some(_) => (DOCKER_HUB.0, path.to_owned()),
            None => (DOCKER_HUB.0, format!("library/{path}")),
        };
        let is_part = |part: &str| {
            part.starts_with(|first: char| first.is_ascii_alphanumeric())
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte))
        };
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        if !registry.bytes().all(is_host) || !repository.split('/').all(is_part) {
            return None;
        }
        Some(Self {
            repository: Some(format!("{registry}/{repository}")),
            tag: tag.map(str::to_owned),
            digest,
        })
    }

    /// The registry's host and the path in it.
    pub(crate) fn split(&self) -> Option<(&str, &str)> {
        self.repository.as_deref()?.split_once('/')
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.repository.as_deref().unwrap_or(""))?;
        if let Some(tag) = &self.tag {
            write!(out, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(out, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder or an archive, and which image of it: a tag, a name or a digest.
    Local {
        /// The folder or the archive.
        path: PathBuf,
        /// Which image of it.
        which: Option<String>,
    },
    /// The exported root of a container, a tar archive.
    Root(PathBuf),
    /// A registry.
    Registry(Name),
}

impl Place {
    /// Reads what somebody wrote on the command line.
    ///
    /// # Errors
    /// When nothing is there, or a name has mistakes.
    pub fn parse(text: &str) -> Result<Self, ImageError> {
        if let Some(name) = text.strip_prefix("docker://") {
            return match Name::parse(name) {
                Some(name) => Ok(Self::Registry(name)),
                None => Err(ImageError::Missing(format!("`{name}` is no name of an image"))),
            };
        }
        if let Some(path) = text.strip_prefix("root:") {
            return Ok(Self::Root(path.into()));
        }
        let prefixes = ["oci:", "oci-archive:", "docker-archive:", "dir:"];
        let stripped = prefixes
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix))
            .unwrap_or(text);
        // A path may hold colons and at signs; the longest one that is there counts.
        let cuts =
            std::iter::once(stripped.len()).chain(stripped.rmatch_indices([':', '@']).map(|(at, _)| at));
        for cut in cuts {
            let Some((path, rest)) = stripped.split_at_checked(cut) else {
                continue;
            };
            if !path.is_empty() && std::fs::metadata(path).is_ok() {
                let which = rest.strip_prefix([':', '@']).filter(|which| !which.is_empty());
                return Ok(Self::Local {
                    path: path.into(),
                    which: which.map(str::to_owned),
                });
            }
        }
        let help = match Name::parse(text) {
            Some(_) => format!("; if it is the name of an image in a registry, write `docker://{text}`"),
            None => String::new(),
        };
        Err(ImageError::Missing(format!(
            "there is no file or folder `{stripped}`{help}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_docker_reads_them() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, whole) in [
            ("nginx", "docker.io/library/nginx"),
            ("shop/app:1.4", "docker.io/shop/app:1.4"),
            ("localhost:5000/a/b:x", "localhost:5000/a/b:x"),
            ("registry.example/app", "registry.example/app"),
        ] {
            assert_eq!(Name::parse(text).unwrap().to_string(), whole);
        }
        let pinned = Name::parse(&format!("r.example/a:1@{digest}")).unwrap();
        assert_eq!(pinned.to_string(), format!("r.example/a:1@{digest}"));
        for wrong in [
            "",
            "Upper/case",
            "a:b c",
            "a@sha256:00",
            "r.example/../x",
            "a//b",
            "h.example/a?x",
        ] {
            assert_eq!(Name::parse(wrong), None, "{wrong}");
        }
    }
}
