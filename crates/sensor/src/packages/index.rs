//! Which package a path is of: an index in memory, a few bytes a file, over what the database of the packages says.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Files that an index holds, at most; a host has some 300,000.
const FILES: usize = 500_000;
/// Packages that an index holds, at most.
pub(super) const PACKAGES: usize = 50_000;

/// Paths by their hashes. What is found is a guess to be held against the database, since hashes may be alike.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Hashes of paths, in order, with the number of the package.
    files: Vec<(u64, u32)>,
}

impl Index {
    /// The index over paths, with the number of the package of each.
    pub(super) fn of(mut files: Vec<(u64, u32)>) -> Self {
        files.sort_unstable();
        files.dedup();
        files.shrink_to_fit();
        Self { files }
    }

    /// Adds a path to what becomes an index.
    pub(super) fn add(files: &mut Vec<(u64, u32)>, path: &[u8], package: usize) {
        if files.len() < FILES
            && let Ok(package) = u32::try_from(package)
        {
            files.push((hash(path), package));
        }
    }

    /// The numbers of the packages that may have this path.
    pub(super) fn candidates(&self, path: &[u8]) -> impl Iterator<Item = usize> {
        let hash = hash(path);
        let from = self.files.partition_point(|(known, _)| *known < hash);
        let rest = self.files.get(from..).unwrap_or_default().iter();
        rest.take_while(move |(known, _)| *known == hash)
            .map(|(_, package)| *package as usize)
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }
}

fn hash(path: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// The names that a database may have for a path: since the folders below `/` became links to those below `/usr`, packages still bring
/// `/bin/ls`. The path itself comes first.
pub(super) fn aliases(path: &[u8]) -> Vec<Vec<u8>> {
    let merged = |rest: &[u8]| {
        let first = rest.split(|byte| *byte == b'/').nth(1).unwrap_or_default();
        matches!(first, b"bin" | b"sbin") || first.starts_with(b"lib")
    };
    let mut aliases = vec![path.to_vec()];
    match path.strip_prefix(b"/usr") {
        Some(rest) if merged(rest) => aliases.push(rest.to_vec()),
        None if merged(path) => aliases.push([b"/usr", path].concat()),
        _ => {}
    }
    // `/usr/sbin` is a link to `/usr/bin` in newer distributions.
    for alias in aliases.clone() {
        for (from, to) in [(&b"/bin/"[..], &b"/sbin/"[..]), (b"/usr/bin/", b"/usr/sbin/")] {
            if let Some(rest) = alias.strip_prefix(from) {
                aliases.push([to, rest].concat());
            }
        }
    }
    aliases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_the_names_of_before_folders_were_merged() {
        let shown = |path: &str| {
            let aliases = aliases(path.as_bytes());
            let shown: Vec<String> = aliases
                .into_iter()
                .map(|path| String::from_utf8(path).unwrap())
                .collect();
            shown.join(" ")
        };
        assert_eq!(shown("/usr/bin/ls"), "/usr/bin/ls /bin/ls /usr/sbin/ls /sbin/ls");
        assert_eq!(shown("/lib/x"), "/lib/x /usr/lib/x");
        assert_eq!(shown("/usr/share/x"), "/usr/share/x");
        assert_eq!(shown("/opt/bin/x"), "/opt/bin/x");
    }

    #[test]
    fn an_index_finds_what_was_added() {
        let mut files = Vec::new();
        for number in 0..10_000 {
            Index::add(&mut files, format!("/usr/bin/{number}").as_bytes(), number / 10);
        }
        let index = Index::of(files);
        for number in 0..10_000 {
            let path = format!("/usr/bin/{number}");
            assert!(
                index
                    .candidates(path.as_bytes())
                    .any(|package| package == number / 10)
            );
        }
        assert_eq!(index.candidates(b"/usr/bin/x").count(), 0);
        assert_eq!(index.len(), 10_000);
    }
}
