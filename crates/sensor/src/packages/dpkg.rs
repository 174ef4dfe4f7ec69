//! The database of Debian's packages: `/var/lib/dpkg`.
//!
//! <https://manpages.debian.org/bookworm/dpkg-dev/deb-md5sums.5.en.html>, dpkg-divert(1). A list names the files of a package, one a line;
//! `NAME.md5sums` has the digests of those that are no configuration, without a slash in front.

use std::collections::HashMap;
use std::io;

use super::digest::Sum;
use super::index::{Index, PACKAGES, aliases};
use super::root::Root;
use super::{Owned, Package};

const FOLDER: &str = "var/lib/dpkg/info";
/// The list of packages with their versions; it is written anew whenever one of them changes.
pub(super) const STATUS: &str = "var/lib/dpkg/status";
/// Bytes of a file of the database, at most.
const FILE: u64 = 24 << 20;
/// Bytes of all lists together, at most.
const LISTS: usize = 128 << 20;

/// The database.
#[derive(Debug)]
pub(super) struct Database {
    index: Index,
    packages: Vec<Entry>,
    diversions: Vec<Diversion>,
}

#[derive(Debug)]
struct Entry {
    /// What the names of its files begin with: its name, and its architecture where several may be installed.
    stem: String,
    version: Option<String>,
}

/// The file of other packages is not where they say.
#[derive(Debug)]
struct Diversion {
    from: Vec<u8>,
    to: Vec<u8>,
    /// The package whose file stands there instead; `None`: none of any.
    by: Option<String>,
}

impl Database {
    pub(super) fn read(root: &Root) -> io::Result<Self> {
        let versions = versions(&root.read(STATUS, FILE)?);
        let mut packages = Vec::new();
        let mut files = Vec::new();
        let mut total = 0;
        for name in root.names(FOLDER, 8 * PACKAGES)? {
            let Some(stem) = name.strip_suffix(".list").filter(|_| packages.len() < PACKAGES) else {
                continue;
            };
            let list = root.read(&format!("{FOLDER}/{name}"), FILE)?;
            total += list.len();
            if total > LISTS {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            for path in lines(&list) {
                Index::add(&mut files, path, packages.len());
            }
            packages.push(Entry {
                stem: stem.to_owned(),
                version: versions.get(plain(stem)).cloned(),
            });
        }
        let diversions = root.read("var/lib/dpkg/diversions", FILE).unwrap_or_default();
        Ok(Self {
            index: Index::of(files),
            packages,
            diversions: read_diversions(&diversions),
        })
    }

    pub(super) fn files(&self) -> usize {
        self.index.len()
    }

    /// Whose file this is.
    pub(super) fn owner(&self, root: &Root, path: &[u8]) -> Option<Owned> {
        aliases(path).iter().find_map(|path| {
            let to = self.diversions.iter().find(|diversion| diversion.to == *path);
            let from = self.diversions.iter().find(|diversion| diversion.from == *path);
            match (to, from) {
                (Some(to), _) => self.has(root, &to.from, |name| to.by.as_deref() != Some(name)),
                (None, Some(from)) => self.has(root, path, |name| from.by.as_deref() == Some(name)),
                (None, None) => self.has(root, path, |_| true),
            }
        })
    }

    /// The package that has this path in its list, of those that may.
    fn has(&self, root: &Root, path: &[u8], may: impl Fn(&str) -> bool) -> Option<Owned> {
        let entries = self
            .index
            .candidates(path)
            .filter_map(|number| self.packages.get(number));
        for entry in entries.filter(|entry| may(plain(&entry.stem))) {
            let list = root.read(&format!("{FOLDER}/{}.list", entry.stem), FILE).ok();
            if !list.is_some_and(|list| lines(&list).any(|line| line == path)) {
                continue;
            }
            let sums = root.read(&format!("{FOLDER}/{}.md5sums", entry.stem), FILE).ok();
            let sum = sums.and_then(|sums| {
                let line = lines(&sums).find(|line| line.get(34..) == path.get(1..))?;
                Sum::from_hex(Sum::Md5, line.get(..32)?)
            });
            return Some(Owned {
                package: Package {
                    name: plain(&entry.stem).to_owned(),
                    version: entry.version.clone(),
                    kind: "deb",
                },
                sum,
            });
        }
        None
    }
}

/// The name of a package, without the architecture.
fn plain(stem: &str) -> &str {
    stem.split_once(':').map_or(stem, |(name, _)| name)
}

fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
}

/// The version of each package, from the list of them.
fn versions(status: &[u8]) -> HashMap<String, String> {
    let mut versions = HashMap::new();
    let mut name = None;
    for line in status.split(|byte| *byte == b'\n') {
        let field = |field: &[u8]| {
            let value = line.strip_prefix(field)?.trim_ascii();
            std::str::from_utf8(value).ok().filter(|value| value.len() < 1024)
        };
        if line.is_empty() {
            name = None;
        } else if let Some(value) = field(b"Package:") {
            name = Some(value);
        } else if let Some(value) = field(b"Version:")
            && let Some(name) = name
            && versions.len() < PACKAGES
        {
            versions.insert(name.to_owned(), value.to_owned());
        }
    }
    versions
}

/// Three lines each: from where, to where, and by which package, or `:` where the administrator did it.
fn read_diversions(content: &[u8]) -> Vec<Diversion> {
    let lines: Vec<&[u8]> = lines(content).collect();
    let (each, _) = lines.as_chunks::<3>();
    let each = each.iter().take(10_000).map(|[from, to, by]| Diversion {
        from: from.to_vec(),
        to: to.to_vec(),
        by: Some(String::from_utf8_lossy(by).into_owned()).filter(|by| by != ":"),
    });
    each.collect()
}
