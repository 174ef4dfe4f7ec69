//! The database of Alpine's packages: `/lib/apk/db/installed`.
//!
//! <https://wiki.alpinelinux.org/wiki/Apk_spec#Installed_Database_V2>: a block a package, a letter a field; `F:` is a folder, `R:` a file in
//! it, and `Z:` the digest of that: `Q1` and the SHA-1 in base64.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::digest::Sum;
use super::index::{Index, PACKAGES, aliases};
use super::root::Root;
use super::{Owned, Package};

/// The database.
pub(super) const INSTALLED: &str = "lib/apk/db/installed";
/// Its bytes, at most.
const FILE: u64 = 24 << 20;

/// The database.
#[derive(Debug)]
pub(super) struct Database {
    index: Index,
    packages: Vec<Package>,
}

impl Database {
    pub(super) fn read(root: &Root) -> io::Result<Self> {
        let content = root.read(INSTALLED, FILE)?;
        let mut packages: Vec<Package> = Vec::new();
        let mut files = Vec::new();
        walk(&content, |item| match item {
            Item::Package(name) if packages.len() < PACKAGES => packages.push(Package {
                name,
                version: None,
                kind: "apk",
            }),
            Item::Version(version) => {
                if let Some(package) = packages.last_mut() {
                    package.version = Some(version);
                }
            }
            Item::File(path, _) => Index::add(&mut files, &path, packages.len().saturating_sub(1)),
            Item::Package(_) => {}
        });
        Ok(Self {
            index: Index::of(files),
            packages,
        })
    }

    pub(super) fn files(&self) -> usize {
        self.index.len()
    }

    /// Whose file this is.
    pub(super) fn owner(&self, root: &Root, path: &[u8]) -> Option<Owned> {
        let aliases = aliases(path);
        let may_be = aliases
            .iter()
            .any(|path| self.index.candidates(path).next().is_some());
        if !may_be {
            return None;
        }
        // The digest is not kept in memory, and the file is small.
        let content = root.read(INSTALLED, FILE).ok()?;
        let mut number = 0_usize;
        let mut found = None;
        walk(&content, |item| match item {
            Item::Package(_) => number += 1,
            Item::File(path, sum) if found.is_none() && aliases.contains(&path) => {
                found = Some((number.saturating_sub(1), sum));
            }
            _ => {}
        });
        let (number, sum) = found?;
        Some(Owned {
            package: self.packages.get(number)?.clone(),
            sum,
        })
    }
}

enum Item {
    Package(String),
    Version(String),
    File(Vec<u8>, Option<Sum>),
}

/// Goes through the database. A file is told once its digest is known, which stands behind it.
fn walk(content: &[u8], mut each: impl FnMut(Item)) {
    let text = |value: &[u8]| String::from_utf8_lossy(value.get(..1024).unwrap_or(value)).into_owned();
    let (mut folder, mut file): (&[u8], Option<Vec<u8>>) = (b"", None);
    for line in content.split(|byte| *byte == b'\n') {
        let (letter, value) = match line {
            [letter, b':', value @ ..] => (*letter, value),
            _ => (0, &b""[..]),
        };
        if letter == b'Z'
            && let Some(path) = file.take()
        {
            each(Item::File(path, sum(value)));
            continue;
        }
        if matches!(letter, 0 | b'P' | b'F' | b'R')
            && let Some(path) = file.take()
        {
            each(Item::File(path, None));
        }
        match letter {
            b'P' => each(Item::Package(text(value))),
            b'V' => each(Item::Version(text(value))),
            b'F' => folder = value,
            b'R' if folder.is_empty() => file = Some([b"/", value].concat()),
            b'R' => file = Some([b"/", folder, b"/", value].concat()),
            _ => {}
        }
    }
    if let Some(path) = file {
        each(Item::File(path, None));
    }
}

fn sum(value: &[u8]) -> Option<Sum> {
    let digits = value.strip_prefix(b"Q1")?;
    STANDARD
        .decode(digits)
        .ok()
        .filter(|sum| sum.len() == 20)
        .map(Sum::Sha1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_has_its_folder_and_digest() {
        let text = b"P:musl\nV:1.2.5-r0\nF:lib\nR:ld-musl.so.1\na:0:0:755\nZ:Q1qZk+NKcGgWq6PiVxeFDCbJzQ2J0=\nF:\nR:x\n\nP:b\nF:bin\nR:b\nR:c\n";
        let mut told = Vec::new();
        walk(text, |item| {
            told.push(match item {
                Item::Package(name) => name,
                Item::Version(version) => version,
                Item::File(path, sum) => format!("{} {}", String::from_utf8(path).unwrap(), sum.is_some()),
            });
        });
        assert_eq!(
            told,
            [
                "musl",
                "1.2.5-r0",
                "/lib/ld-musl.so.1 true",
                "/x false",
                "b",
                "/bin/b false",
                "/bin/c false"
            ]
        );
    }
}
