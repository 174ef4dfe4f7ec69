//! The entries of a tar archive, read as the container runtimes read them.
//!
//! The runtimes use Go's `archive/tar` (<https://pkg.go.dev/archive/tar>). Where readers of tar differ, files can be hidden from one of
//! them, so this one takes names, sizes and types as that one does, and refuses what it refuses. Headers are held in memory one at a time;
//! extended ones are bounded.

use std::io::{self, Read};

use tar::{EntryType, Header};

use crate::limits::{ImageError, Limits};
use crate::roles::Severity;

const BLOCK: usize = 512;
/// The largest extended header, as in Go's `maxSpecialFileSize`.
const EXTENDED: u64 = 1 << 20;
/// No file of any image is larger, and sums of sizes stay numbers.
const LARGEST: u64 = 1 << 60;
/// What the runtimes keep extended attributes under.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    File,
    HardLink,
    Symlink,
    CharacterDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// An entry's header.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Type,
    /// Permissions with set-uid, set-gid and the sticky bit.
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// Bytes of content.
    pub(crate) size: u64,
    /// The target of a link.
    pub(crate) link: Vec<u8>,
    pub(crate) xattrs: Vec<(String, Vec<u8>)>,
    pub(crate) device: (u32, u32),
}

/// What was strange, though it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Oddity {
    pub(crate) path: Vec<u8>,
    pub(crate) what: String,
    pub(crate) severity: Severity,
}

/// What extended headers say of the entry behind them.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    xattrs: Vec<(String, Vec<u8>)>,
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

/// Reads archives.
pub(crate) struct Walk<'r, R> {
    reader: &'r mut R,
    limits: &'r Limits,
    name: &'r str,
    pub(crate) oddities: Vec<Oddity>,
}

fn refused(name: &str, why: &str) -> ImageError {
    ImageError::Refused(format!("{name}: {why}"))
}

impl<'r, R: Read> Walk<'r, R> {
    /// `name` tells errors what is read.
    pub(crate) fn new(reader: &'r mut R, limits: &'r Limits, name: &'r str) -> Self {
        Self {
            reader,
            limits,
            name,
            oddities: Vec::new(),
        }
    }

    /// Goes through all entries; what is behind the last is read too. The closure gets the content of files and need not read it all.
    pub(crate) fn each(
        &mut self,
        mut on_entry: impl FnMut(Entry, &mut dyn Read) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        let mut extended = Extended::default();
        let mut block = [0_u8; BLOCK];
        loop {
            if !self.fill(&mut block)? {
                break;
            }
            if block.iter().all(|byte| *byte == 0) {
                if self.fill(&mut block)? && block.iter().any(|byte| *byte != 0) {
                    return Err(refused(self.name, "an empty block stands amid its entries"));
                }
                break;
            }
            let header = Header::from_byte_slice(&block);
            self.check_sum(header, &block)?;
            let size = header
                .entry_size()
                .map_err(|_| refused(self.name, "the size of an entry is no number"))?;
            match header.entry_type() {
                EntryType::XHeader => {
                    let bytes = self.special(size)?;
                    // Each takes the place of the one before, while the GNU names beside it stay.
                    let kept = (extended.long_path.take(), extended.long_link.take());
                    extended = self.pax(&bytes)?;
                    (extended.long_path, extended.long_link) = kept;
                }
                // The runtimes leave global headers out of account.
                EntryType::XGlobalHeader => drop(self.special(size)?),
                EntryType::GNULongName => extended.long_path = Some(until_nul(self.special(size)?)),
                EntryType::GNULongLink => extended.long_link = Some(until_nul(self.special(size)?)),
                kind => {
                    let own = std::mem::take(&mut extended);
                    self.entry(header, kind, size, own, &mut on_entry)?;
                }
            }
        }
        self.rest()
    }

    fn entry(
        &mut self,
        header: &Header,
        kind: EntryType,
        size: u64,
        extended: Extended,
        on_entry: &mut impl FnMut(Entry, &mut dyn Read) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        let number = |value: io::Result<u64>| value.map_err(|_| refused(self.name, "a field is no number"));
        let size = extended.size.unwrap_or(size);
        if size > LARGEST {
            return Err(refused(self.name, "the size of an entry is beyond any disk"));
        }
        let path = extended
            .long_path
            .or(extended.path)
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let link = extended.long_link.or(extended.link).unwrap_or_else(|| {
            header
                .link_name_bytes()
                .map_or_else(Vec::new, |link| link.into_owned())
        });
        if path.len() > self.limits.path || link.len() > self.limits.path {
            let why = format!("a path is longer than {} bytes", self.limits.path);
            return Err(refused(self.name, &why));
        }
        let kind = match kind {
            EntryType::Regular | EntryType::Continuous
                if path.ends_with(b"/") && header.as_bytes().get(156) == Some(&0) =>
            {
                Type::Directory
            }
            EntryType::Regular => Type::File,
            EntryType::Link => Type::HardLink,
            EntryType::Symlink => Type::Symlink,
            EntryType::Char => Type::CharacterDevice,
            EntryType::Block => Type::BlockDevice,
            EntryType::Directory => Type::Directory,
            EntryType::Fifo => Type::Fifo,
            EntryType::GNUSparse => {
                return Err(refused(
                    self.name,
                    "it holds a sparse file, which runtimes read in different ways",
                ));
            }
            other => {
                let what = format!(
                    "an entry of the unknown type {:#04x} was left out",
                    other.as_byte()
                );
                self.oddities.push(Oddity {
                    path,
                    what,
                    severity: Severity::Medium,
                });
                return self.skip(padded(size));
            }
        };
        // Go reads no content of these, whatever their size says.
        let content = if kind == Type::File { size } else { 0 };
        if content != size {
            let what = "the entry claims to have content, which its type cannot; readers of tar differ about what follows";
            self.oddities.push(Oddity {
                path: path.clone(),
                what: what.to_owned(),
                severity: Severity::Medium,
            });
        }
        let device = |value: io::Result<Option<u32>>| value.ok().flatten().unwrap_or(0);
        let entry = Entry {
            path,
            kind,
            mode: header
                .mode()
                .map_err(|_| refused(self.name, "a field is no number"))?
                & 0o7777,
            uid: match extended.uid {
                Some(uid) => uid,
                None => number(header.uid())?,
            },
            gid: match extended.gid {
                Some(gid) => gid,
                None => number(header.gid())?,
            },
            size: content,
            link,
            xattrs: extended.xattrs,
            device: (device(header.device_major()), device(header.device_minor())),
        };
        let mut taken = (&mut *self.reader).take(content);
        on_entry(entry, &mut taken)?;
        let left = taken.limit();
        self.skip(left + (padded(content) - content))
    }

    fn check_sum(&self, header: &Header, block: &[u8; BLOCK]) -> Result<(), ImageError> {
        let mut sum = 0_i64;
        let mut signed = 0_i64;
        for (index, byte) in block.iter().enumerate() {
            let byte = if (148..156).contains(&index) { b' ' } else { *byte };
            sum += i64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        match header.cksum() {
            Ok(said) if i64::from(said) == sum || i64::from(said) == signed => Ok(()),
            _ => Err(refused(
                self.name,
                "it is no tar archive, or it is damaged: the checksum of a header is wrong",
            )),
        }
    }

    /// Fills the block; `false` when the stream ended before it.
    fn fill(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, ImageError> {
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.reader.read(rest) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(self.cut_off()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ImageError::read(self.name)(error)),
            }
        }
        Ok(true)
    }

    fn cut_off(&self) -> ImageError {
        refused(self.name, "it ends within an entry: it was cut off")
    }

    fn skip(&mut self, count: u64) -> Result<(), ImageError> {
        let mut taken = (&mut *self.reader).take(count);
        let skipped = io::copy(&mut taken, &mut io::sink()).map_err(ImageError::read(self.name))?;
        if skipped < count {
            return Err(self.cut_off());
        }
        Ok(())
    }

    /// The content of an extended header.
    fn special(&mut self, size: u64) -> Result<Vec<u8>, ImageError> {
        if size > EXTENDED {
            return Err(refused(self.name, "an extended header is larger than 1 MiB"));
        }
        let mut bytes = Vec::new();
        let mut taken = (&mut *self.reader).take(size);
        taken
            .read_to_end(&mut bytes)
            .map_err(ImageError::read(self.name))?;
        let missing = size.saturating_sub(bytes.len() as u64);
        self.skip(missing + padded(size) - size)?;
        Ok(bytes)
    }

    /// Records of a pax header: `length key=value\n`, where the value may hold anything
    /// (<https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html>). The reader of the library splits at line ends, which binary
    /// capabilities may hold.
    fn pax(&self, bytes: &[u8]) -> Result<Extended, ImageError> {
        let damaged = || refused(self.name, "an extended header is damaged");
        let mut extended = Extended::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let space = rest.iter().position(|byte| *byte == b' ').ok_or_else(damaged)?;
            let length: usize = rest
                .get(..space)
                .and_then(|digits| std::str::from_utf8(digits).ok())
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(damaged)?;
            let record = rest.get(space + 1..length).ok_or_else(damaged)?;
            let record = record.strip_suffix(b"\n").ok_or_else(damaged)?;
            rest = rest.get(length..).ok_or_else(damaged)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(damaged)?;
            let (key, value) = (
                record.get(..equals).unwrap_or_default(),
                record.get(equals + 1..).unwrap_or_default(),
            );
            let number = || {
                let digits = std::str::from_utf8(value).ok();
                digits
                    .and_then(|digits| digits.parse::<u64>().ok())
                    .ok_or_else(damaged)
            };
            let text = || match value.contains(&0) {
                true => Err(damaged()),
                // An empty value takes back what was said.
                false => Ok((!value.is_empty()).then(|| value.to_vec())),
            };
            match key {
                b"path" => extended.path = text()?,
                b"linkpath" => extended.link = text()?,
                b"size" => extended.size = Some(number()?),
                b"uid" => extended.uid = Some(number()?),
                b"gid" => extended.gid = Some(number()?),
                key if key.starts_with(b"GNU.sparse.") => {
                    return Err(refused(
                        self.name,
                        "it holds a sparse file, which runtimes read in different ways",
                    ));
                }
                key => {
                    if let Some(name) = key.strip_prefix(XATTR).filter(|name| !is_of_host(name)) {
                        let name = String::from_utf8_lossy(name).into_owned();
                        extended.xattrs.retain(|(own, _)| *own != name);
                        extended.xattrs.push((name, value.to_vec()));
                    }
                }
            }
        }
        extended.xattrs.sort();
        Ok(extended)
    }

    /// Reads what is behind the last entry: padding, unless somebody put something there.
    fn rest(&mut self) -> Result<(), ImageError> {
        let mut buffer = [0_u8; 8192];
        let mut is_told = false;
        loop {
            let count = match self.reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ImageError::read(self.name)(error)),
            };
            let is_padding = buffer.iter().take(count).all(|byte| *byte == 0);
            if !is_padding && !is_told {
                is_told = true;
                self.oddities.push(Oddity {
                    path: Vec::new(),
                    what: "there are data behind the end of the archive, which no runtime reads".to_owned(),
                    severity: Severity::Medium,
                });
            }
        }
    }
}

/// Attributes that say how the machine stored the file that built the image, and nothing of the file.
fn is_of_host(name: &[u8]) -> bool {
    name == b"security.selinux" || name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}

fn padded(size: u64) -> u64 {
    size.saturating_add(BLOCK as u64 - 1) & !(BLOCK as u64 - 1)
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(path: &str, kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        header
    }

    fn archive(parts: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (path, kind, content) in parts {
            bytes.extend_from_slice(header(path, *kind, content.len() as u64).as_bytes());
            bytes.extend_from_slice(content);
            bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        }
        bytes.resize(bytes.len() + 2 * BLOCK, 0);
        bytes
    }

    type Read1 = (Vec<(Entry, Vec<u8>)>, Vec<Oddity>);

    fn read(bytes: &[u8]) -> Result<Read1, ImageError> {
        let mut reader = bytes;
        let limits = Limits::default();
        let mut walk = Walk::new(&mut reader, &limits, "the archive");
        let mut entries = Vec::new();
        walk.each(|entry, content| {
            let mut all = Vec::new();
            content.read_to_end(&mut all).unwrap();
            entries.push((entry, all));
            Ok(())
        })?;
        Ok((entries, walk.oddities))
    }

    #[test]
    fn names_and_attributes_of_extended_headers_count() {
        let capability = b"\x01\x00\x00\x02\x0a\x20=\x00";
        let key = b"SCHILY.xattr.security.capability=";
        let mut pax = b"18 path=long/name\n".to_vec();
        let length = 3 + key.len() + capability.len() + 1;
        pax.extend_from_slice(format!("{length} ").as_bytes());
        pax.extend_from_slice(key);
        pax.extend_from_slice(capability);
        pax.push(b'\n');
        let bytes = archive(&[
            ("x", EntryType::XHeader, &pax),
            ("short", EntryType::Regular, b"content"),
            ("L", EntryType::GNULongName, b"gnu/name\0"),
            ("other", EntryType::Regular, b""),
        ]);
        let (entries, oddities) = read(&bytes).unwrap();
        assert_eq!(entries[0].0.path, b"long/name");
        assert_eq!(entries[0].1, b"content");
        assert_eq!(
            entries[0].0.xattrs,
            [("security.capability".to_owned(), capability.to_vec())]
        );
        assert_eq!(entries[1].0.path, b"gnu/name");
        assert!(oddities.is_empty());
    }

    #[test]
    fn hostile_archives_are_refused_in_words() {
        let sparse = archive(&[("f", EntryType::GNUSparse, b"")]);
        let bomb = archive(&[
            ("x", EntryType::XHeader, &vec![b'1'; (1 << 20) + 1]),
            ("f", EntryType::Regular, b""),
        ]);
        let whole = archive(&[("f", EntryType::Regular, &[7; 2000])]);
        let mut damaged = whole.clone();
        damaged[0] = b'g';
        for (bytes, why) in [
            (&sparse[..], "sparse"),
            (&bomb, "larger than 1 MiB"),
            (&whole[..1500], "cut off"),
            (&whole[..100], "cut off"),
            (&damaged, "checksum"),
            (
                &archive(&[
                    ("x", EntryType::XHeader, b"99999999999 path=a\n"),
                    ("f", EntryType::Regular, b""),
                ]),
                "damaged",
            ),
        ] {
            let error = read(bytes).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn what_readers_differ_about_is_told() {
        let link = header("link", EntryType::Symlink, 512);
        let mut bytes = link.as_bytes().to_vec();
        bytes.extend_from_slice(header("file", EntryType::Regular, 0).as_bytes());
        bytes.resize(bytes.len() + 2 * BLOCK, 0);
        bytes.extend_from_slice(b"more");
        let (entries, oddities) = read(&bytes).unwrap();
        assert_eq!(entries.len(), 2);
        assert!(oddities[0].what.contains("claims to have content"));
        assert!(oddities[1].what.contains("behind the end"));
    }
}
