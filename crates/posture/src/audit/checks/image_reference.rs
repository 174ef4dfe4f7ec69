//! Names of container images: `registry.example/team/app:1.4@sha256:…`.
//!
//! <https://pkg.go.dev/github.com/distribution/reference>

/// A name that was taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reference<'t> {
    pub(crate) name: &'t str,
    pub(crate) tag: Option<&'t str>,
    pub(crate) digest: Option<&'t str>,
}

/// How firmly a name stands for one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Firmness {
    /// By digest: always the same.
    Pinned,
    /// By a tag, which can be moved.
    Tagged,
    /// By the tag `latest`, or none, which is the same.
    Latest,
}

impl<'t> Reference<'t> {
    pub(crate) fn of(written: &'t str) -> Self {
        let (rest, digest) = match written.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (written, None),
        };
        // A colon before the last slash belongs to the port of the registry.
        let start = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest.get(start..).and_then(|last| last.find(':')) {
            Some(at) => (rest.get(..start + at).unwrap_or(rest), rest.get(start + at + 1..)),
            None => (rest, None),
        };
        Self { name, tag, digest }
    }

    pub(crate) fn firmness(&self) -> Firmness {
        let is_digest = |digest: &str| {
            digest
                .split_once(':')
                .is_some_and(|(_, hex)| hex.len() >= 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
        };
        match (self.digest, self.tag) {
            (Some(digest), _) if is_digest(digest) => Firmness::Pinned,
            (_, None | Some("latest" | "")) => Firmness::Latest,
            (_, Some(_)) => Firmness::Tagged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let pinned = format!("ghcr.io/a/b:1.2@{digest}");
        for (written, name, tag, firmness) in [
            ("nginx", "nginx", None, Firmness::Latest),
            ("nginx:latest", "nginx", Some("latest"), Firmness::Latest),
            ("nginx:1.27", "nginx", Some("1.27"), Firmness::Tagged),
            ("localhost:5000/app", "localhost:5000/app", None, Firmness::Latest),
            (
                "localhost:5000/app:2",
                "localhost:5000/app",
                Some("2"),
                Firmness::Tagged,
            ),
            (&pinned, "ghcr.io/a/b", Some("1.2"), Firmness::Pinned),
            ("nginx@sha256:abc", "nginx", None, Firmness::Latest),
            ("", "", None, Firmness::Latest),
        ] {
            let found = Reference::of(written);
            assert_eq!(
                (found.name, found.tag, found.firmness()),
                (name, tag, firmness),
                "{written}"
            );
        }
    }
}
