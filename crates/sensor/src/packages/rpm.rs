//! The database of RPM's packages, where it is one of SQLite: `rpmdb.sqlite`, as Fedora, RHEL 9 and openSUSE have it.
//!
//! <https://rpm-software-management.github.io/rpm/manual/format_header.html>: `Packages` holds the header of each package, `Basenames` tells in
//! which of them the name of a file stands. It is read without a lock and without its journal, so that nothing waits for it; what was
//! written in this very moment is found later.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::digest::Sum;
use super::index::aliases;
use super::{Owned, Package};

/// Where the database is.
pub(super) const PLACES: &[&str] = &["/usr/lib/sysimage/rpm/rpmdb.sqlite", "/var/lib/rpm/rpmdb.sqlite"];
/// Headers that are looked at for one name, at most: `README` stands in many, a program in a few.
const HEADERS: i64 = 32;
/// Bytes of a header, at most.
const HEADER: i64 = 64 << 20;

/// The database.
#[derive(Debug)]
pub(super) struct Database(Connection);

impl Database {
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let mut address = "file:".to_owned();
        address.extend(path.to_string_lossy().chars().flat_map(|char| match char {
            '?' | '#' | '%' => format!("%{:02x}", u32::from(char)).chars().collect::<Vec<_>>(),
            char => vec![char],
        }));
        address.push_str("?immutable=1");
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(address, flags)?;
        connection.pragma_update(None, "cache_size", -1024)?;
        Ok(Self(connection))
    }

    /// Whose file this is.
    pub(super) fn owner(&self, path: &[u8]) -> rusqlite::Result<Option<Owned>> {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let Ok(name) = std::str::from_utf8(name) else {
            return Ok(None);
        };
        let mut query = self.0.prepare_cached(
            "SELECT Packages.blob FROM Basenames JOIN Packages USING (hnum) \
             WHERE Basenames.key = ?1 AND length(Packages.blob) <= ?2 LIMIT ?3",
        )?;
        let mut rows = query.query((name, HEADER, HEADERS))?;
        let aliases = aliases(path);
        while let Some(row) = rows.next()? {
            let blob = row.get_ref(0)?.as_bytes().unwrap_or_default();
            if let Some(header) = Header::read(blob)
                && let Some(owned) = header.owns(&aliases)
            {
                return Ok(Some(owned));
            }
        }
        Ok(None)
    }
}

mod tag {
    pub(super) const NAME: u32 = 1000;
    pub(super) const VERSION: u32 = 1001;
    pub(super) const RELEASE: u32 = 1002;
    pub(super) const EPOCH: u32 = 1003;
    pub(super) const DIGESTS: u32 = 1035;
    pub(super) const FOLDER_OF_FILE: u32 = 1116;
    pub(super) const NAMES: u32 = 1117;
    pub(super) const FOLDERS: u32 = 1118;
    pub(super) const DIGEST_ALGORITHM: u32 = 5011;
}

/// The header of a package: its tags, with how many values each has and what these are read from.
struct Header<'b> {
    tags: HashMap<u32, (usize, &'b [u8])>,
}

impl<'b> Header<'b> {
    fn read(blob: &'b [u8]) -> Option<Self> {
        let (entries, rest) = number(blob)?;
        let (bytes, rest) = number(rest)?;
        let (entries, data) = rest.split_at_checked(entries.checked_mul(16)?)?;
        let data = data.get(..bytes)?;
        let (entries, _) = entries.as_chunks::<16>();
        let tags = entries.iter().filter_map(|entry| {
            let (tag, rest) = number(entry)?;
            let (_kind, rest) = number(rest)?;
            let (offset, rest) = number(rest)?;
            let (count, _) = number(rest)?;
            Some((u32::try_from(tag).ok()?, (count, data.get(offset..)?)))
        });
        Some(Self { tags: tags.collect() })
    }

    fn texts(&self, tag: u32) -> impl Iterator<Item = &'b [u8]> {
        let (count, data) = self.tags.get(&tag).copied().unwrap_or_default();
        data.split(|byte| *byte == 0).take(count)
    }

    fn text(&self, tag: u32) -> Option<String> {
        let text = self.texts(tag).next()?;
        Some(String::from_utf8_lossy(text.get(..1024).unwrap_or(text)).into_owned())
    }

    fn numbers(&self, tag: u32) -> impl Iterator<Item = usize> {
        let (count, mut data) = self.tags.get(&tag).copied().unwrap_or_default();
        (0..count).map_while(move |_| {
            let (value, rest) = number(data)?;
            data = rest;
            Some(value)
        })
    }

    /// What it says about the first of these paths that it has.
    fn owns(&self, paths: &[Vec<u8>]) -> Option<Owned> {
        let folders: Vec<&[u8]> = self.texts(tag::FOLDERS).collect();
        let mut files = self.texts(tag::NAMES).zip(self.numbers(tag::FOLDER_OF_FILE));
        let file = files.position(|(name, folder)| {
            let folder = folders.get(folder).copied().unwrap_or_default();
            paths.iter().any(|path| path.strip_prefix(folder) == Some(name))
        })?;
        // <https://www.rfc-editor.org/rfc/rfc9580#name-hash-algorithms>; MD5 where nothing is said.
        let make = match self.numbers(tag::DIGEST_ALGORITHM).next() {
            None | Some(1) => Some(Sum::Md5 as fn(Vec<u8>) -> Sum),
            Some(2) => Some(Sum::Sha1 as fn(Vec<u8>) -> Sum),
            Some(8) => Some(Sum::Sha256 as fn(Vec<u8>) -> Sum),
            Some(10) => Some(Sum::Sha512 as fn(Vec<u8>) -> Sum),
            Some(_) => None,
        };
        let digest = self.texts(tag::DIGESTS).nth(file).unwrap_or_default();
        let version = self.text(tag::VERSION)?;
        let version = match self.text(tag::RELEASE) {
            Some(release) => format!("{version}-{release}"),
            None => version,
        };
        Some(Owned {
            package: Package {
                name: self.text(tag::NAME)?,
                version: Some(match self.numbers(tag::EPOCH).next() {
                    Some(epoch) => format!("{epoch}:{version}"),
                    None => version,
                }),
                kind: "rpm",
            },
            sum: make.and_then(|make| Sum::from_hex(make, digest)),
        })
    }
}

/// A number of four bytes, the highest first, and what stands behind it.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_be_bytes(*number)).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// The header of a package with two files of one name, as RPM writes it.
    fn header() -> Vec<u8> {
        let (mut entries, mut data) = (Vec::new(), Vec::new());
        let mut put = |tag: u32, kind: u32, count: u32, value: &[u8]| {
            for number in [tag, kind, u32::try_from(data.len()).unwrap(), count] {
                entries.extend(number.to_be_bytes());
            }
            data.extend(value);
        };
        put(tag::NAME, 6, 1, b"demo\0");
        put(tag::VERSION, 6, 1, b"1.2\0");
        put(tag::RELEASE, 6, 1, b"3\0");
        put(tag::EPOCH, 4, 1, &[0, 0, 0, 4]);
        put(tag::FOLDERS, 8, 2, b"/opt/demo/\0/usr/bin/\0");
        put(tag::NAMES, 8, 2, b"demo\0demo\0");
        put(tag::FOLDER_OF_FILE, 4, 2, &[0, 0, 0, 0, 0, 0, 0, 1]);
        put(tag::DIGEST_ALGORITHM, 4, 1, &[0, 0, 0, 8]);
        let digests = format!("{}\0{}\0", "00".repeat(32), "ab".repeat(32));
        put(tag::DIGESTS, 8, 2, digests.as_bytes());
        let count = u32::try_from(entries.len() / 16).unwrap();
        let length = u32::try_from(data.len()).unwrap();
        [&count.to_be_bytes()[..], &length.to_be_bytes(), &entries, &data].concat()
    }

    #[test]
    fn a_header_tells_whose_file_it_is_and_a_broken_one_nothing() {
        let blob = header();
        let owned = |blob: &[u8], path: &str| Header::read(blob)?.owns(&aliases(path.as_bytes()));
        let found = owned(&blob, "/bin/demo").unwrap();
        assert_eq!(found.package.name, "demo");
        assert_eq!(found.package.version.as_deref(), Some("4:1.2-3"));
        assert_eq!(found.sum, Some(Sum::Sha256(vec![0xab; 32])));
        assert_eq!(
            owned(&blob, "/opt/demo/demo").unwrap().sum,
            Some(Sum::Sha256(vec![0; 32]))
        );
        assert!(owned(&blob, "/opt/demo").is_none());
        for length in 0..blob.len() {
            owned(&blob[..length], "/usr/bin/demo");
        }
        for at in 0..blob.len() {
            let mut broken = blob.clone();
            broken[at] ^= 0xff;
            owned(&broken, "/usr/bin/demo");
        }
    }

    #[test]
    fn a_database_that_rpm_made_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let spec = "Name: neph-demo\nVersion: 1.2\nRelease: 3\nSummary: x\nLicense: MIT\n%description\nx\n%install\n\
            mkdir -p %{buildroot}/usr/bin\ncp /bin/sh %{buildroot}/usr/bin/nephdemo\n%files\n/usr/bin/nephdemo\n";
        std::fs::write(path("demo.spec"), spec).unwrap();
        std::fs::create_dir_all(path("root/var/lib/rpm")).unwrap();
        let top = format!("_topdir {}", path("top").display());
        let built = Command::new("rpmbuild")
            .args([
                "--define",
                &top,
                "--define",
                "_build_id_links none",
                "--define",
                "__os_install_post %{nil}",
                "-bb",
            ])
            .arg(path("demo.spec"))
            .output();
        if !built.is_ok_and(|built| built.status.success()) {
            println!("skipped: there is no `rpmbuild` that works here");
            return;
        }
        let package = walk(&path("top/RPMS")).pop().unwrap();
        let root = path("root");
        let installed = Command::new("rpm")
            .args([
                "--define",
                "_dbpath /var/lib/rpm",
                "--define",
                "_db_backend sqlite",
                "--root",
            ])
            .arg(&root)
            .args(["-i", "--nodeps", "--noscripts"])
            .arg(package)
            .output()
            .unwrap();
        assert!(
            installed.status.success(),
            "{}",
            String::from_utf8_lossy(&installed.stderr)
        );
        let database = Database::open(&root.join("var/lib/rpm/rpmdb.sqlite")).unwrap();
        let owned = database.owner(b"/usr/bin/nephdemo").unwrap().unwrap();
        assert_eq!(owned.package.name, "neph-demo");
        assert_eq!(owned.package.version.as_deref(), Some("1.2-3"));
        let content = std::fs::read(root.join("usr/bin/nephdemo")).unwrap();
        let same = |content: &[u8]| owned.sum.as_ref().unwrap().is_of(content, 1 << 30).unwrap();
        assert_eq!(same(&content), Some(true));
        assert_eq!(same(b"changed"), Some(false));
        assert!(database.owner(b"/usr/bin/other").unwrap().is_none());
    }

    /// All files below a folder.
    fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(folder)
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        entries
            .flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] })
            .collect()
    }
}
