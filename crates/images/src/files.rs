//! The files of an image: what its layers make together.
//!
//! Layers are laid one upon another as the image specification says (<https://github.com/opencontainers/image-spec/blob/main/layer.md>):
//! a whiteout hides what lower layers brought, never what its own layer brings; a directory over a directory keeps what is in it; all
//! else takes the place of what was there. Links in the way to an entry are followed within the image, as containerd does.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;

use crate::digest::hex;
use crate::entries::{Entry, Oddity, Type};
use crate::roles::Severity;
use crate::signs::Signs;

/// Links followed on the way to one entry, as in Linux.
const HOPS: usize = 40;
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What aufs keeps for itself.
const AUFS: &[u8] = b".wh..wh.";

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A file with content.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
}

impl Kind {
    /// Every kind with its name.
    pub const ALL: &[(Self, &str)] = &[
        (Self::File, "file"),
        (Self::Directory, "directory"),
        (Self::Symlink, "symlink"),
        (Self::CharacterDevice, "character-device"),
        (Self::BlockDevice, "block-device"),
        (Self::Fifo, "fifo"),
    ];

    /// `file`, `directory`, `symlink` …
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("file", |(_, name)| name)
    }

    /// The kind of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, own)| *own == name)
            .map(|(kind, _)| *kind)
    }
}

/// A file of an image. Times are not kept: they differ whenever an image is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// What it is.
    pub kind: Kind,
    /// Permissions with set-uid (`0o4000`), set-gid and the sticky bit.
    pub mode: u32,
    /// The owner's number.
    pub uid: u64,
    /// The group's number.
    pub gid: u64,
    /// Bytes of content.
    pub size: u64,
    /// SHA-256 of the content, of files.
    pub sha256: Option<[u8; 32]>,
    /// Target of a symbolic link.
    pub target: Vec<u8>,
    /// Extended attributes by name, capabilities among them.
    pub xattrs: Vec<(String, Vec<u8>)>,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// The layer that brought it, from 0 at the bottom.
    pub layer: usize,
    /// What its content shows.
    pub signs: Signs,
}

impl File {
    /// Whether somebody may execute it.
    pub fn is_executable(&self) -> bool {
        self.kind == Kind::File && self.mode & 0o111 != 0
    }

    /// Whether executing it changes who one is.
    pub fn is_set_id(&self) -> bool {
        self.is_executable() && self.mode & 0o6000 != 0
    }

    /// The capabilities that executing it gives, by their names.
    pub fn capabilities(&self) -> Vec<String> {
        self.xattrs
            .iter()
            .find(|(name, _)| name == "security.capability")
            .map_or_else(Vec::new, |(_, value)| crate::capability::names(value))
    }
}

/// The files of an image by their paths, without a slash in front.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    pub(crate) by_path: BTreeMap<Vec<u8>, File>,
}

impl Files {
    /// All of them in the order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &File)> {
        self.by_path.iter().map(|(path, file)| (path.as_slice(), file))
    }

    /// The file at a path (without a slash in front).
    pub fn get(&self, path: &[u8]) -> Option<&File> {
        self.by_path.get(path)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_path.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }

    /// The file that a process inside gets at a path, links followed, and where it really is.
    pub fn follow(&self, path: &[u8]) -> Option<(Vec<u8>, &File)> {
        let (clean, _) = clean(path);
        let mut place = clean;
        for _ in 0..HOPS {
            let way = self.resolve(&place, true).ok()?;
            let file = self.by_path.get(&way.path)?;
            if file.kind != Kind::Symlink {
                return Some((way.path, file));
            }
            place = way.path;
        }
        None
    }

    /// Where an entry really goes. With `last`, a link at the very end is followed as well.
    fn resolve(&self, path: &[u8], last: bool) -> Result<Way, &'static str> {
        let mut rest: Vec<Cow<'_, [u8]>> = parts(path).map(Cow::Borrowed).collect();
        rest.reverse();
        let mut way = Way {
            path: Vec::new(),
            through_link: false,
            climbs: false,
        };
        let mut hops = 0;
        while let Some(part) = rest.pop() {
            match part.as_ref() {
                b".." => {
                    if way.path.is_empty() {
                        way.climbs = true;
                    }
                    let end = way.path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                    way.path.truncate(end);
                    continue;
                }
                b"." | b"" => continue,
                _ => {}
            }
            let before = way.path.len();
            if before > 0 {
                way.path.push(b'/');
            }
            way.path.extend_from_slice(&part);
            if rest.is_empty() && !last {
                break;
            }
            let Some(found) = self.by_path.get(&way.path) else {
                continue;
            };
            match found.kind {
                Kind::Directory => {}
                Kind::Symlink => {
                    hops += 1;
                    if hops > HOPS {
                        return Err("its way goes through links that go round in circles");
                    }
                    way.through_link = true;
                    way.path.truncate(if found.target.first() == Some(&b'/') {
                        0
                    } else {
                        before
                    });
                    let mut target: Vec<Cow<'_, [u8]>> = parts(&found.target)
                        .map(|part| Cow::Owned(part.to_vec()))
                        .collect();
                    target.reverse();
                    rest.append(&mut target);
                }
                _ if rest.is_empty() => {}
                _ => return Err("its way goes through what is no directory"),
            }
        }
        Ok(way)
    }

    /// Everything below a directory.
    fn below(&self, directory: &[u8]) -> Vec<Vec<u8>> {
        if directory.is_empty() {
            return self.by_path.keys().cloned().collect();
        }
        let (mut from, mut to) = (directory.to_vec(), directory.to_vec());
        from.push(b'/');
        // The character behind the slash.
        to.push(b'/' + 1);
        self.by_path
            .range::<[u8], _>((Bound::Included(&from[..]), Bound::Excluded(&to[..])))
            .map(|(path, _)| path.clone())
            .collect()
    }

    fn remove(&mut self, path: &[u8], itself: bool) {
        let is_directory = path.is_empty()
            || self
                .by_path
                .get(path)
                .is_some_and(|file| file.kind == Kind::Directory);
        if is_directory {
            for below in self.below(path) {
                self.by_path.remove(&below);
            }
        }
        if itself {
            self.by_path.remove(path);
        }
    }

    /// Directories on the way that no entry brought, as the runtimes make them.
    fn make_way(&mut self, path: &[u8], layer: usize) {
        for (end, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let Some(parent) = path
                .get(..end)
                .filter(|parent| !self.by_path.contains_key(*parent))
            else {
                continue;
            };
            self.by_path.insert(
                parent.to_vec(),
                File {
                    kind: Kind::Directory,
                    mode: 0o755,
                    uid: 0,
                    gid: 0,
                    size: 0,
                    sha256: None,
                    target: Vec::new(),
                    xattrs: Vec::new(),
                    device: (0, 0),
                    layer,
                    signs: Signs::default(),
                },
            );
        }
    }
}

struct Way {
    path: Vec<u8>,
    through_link: bool,
    /// It went up from the root, where it stays; whoever unpacks without care leaves the folder.
    climbs: bool,
}

fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
}

/// A path without a slash in front, without `.` and with `..` applied as `filepath.Clean` does it; and whether it leaves the root.
fn clean(path: &[u8]) -> (Vec<u8>, bool) {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut leaves = false;
    for part in parts(path) {
        match part {
            b".." => leaves |= kept.pop().is_none(),
            part => kept.push(part),
        }
    }
    (kept.join(&b'/'), leaves)
}

/// A path as people read it; bytes that are no UTF-8 become `\xNN`.
pub fn shown(path: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(path) {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    for chunk in path.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            out.push_str("\\x");
            out.push_str(&hex(&[*byte]));
        }
    }
    Cow::Owned(out)
}

/// What a layer holds: its entries with the digests and signs of their content.
#[derive(Clone, Debug, Default)]
pub(crate) struct LayerEntries {
    pub(crate) entries: Vec<(Entry, Option<[u8; 32]>, Signs)>,
    pub(crate) oddities: Vec<Oddity>,
}

/// Lays layers upon one another.
#[derive(Debug, Default)]
pub(crate) struct Pile {
    /// Whether names that begin with `.wh.` are only names: in the root of a container they are what somebody called a file.
    pub(crate) is_root: bool,
    pub(crate) files: Files,
    pub(crate) oddities: Vec<(usize, Oddity)>,
}

impl Pile {
    /// Lays a layer upon what is there.
    pub(crate) fn lay(&mut self, layer: usize, content: LayerEntries) {
        self.oddities
            .extend(content.oddities.into_iter().map(|oddity| (layer, oddity)));
        let (whiteouts, entries): (Vec<_>, Vec<_>) = content
            .entries
            .into_iter()
            .partition(|(entry, ..)| !self.is_root && name_of(&entry.path).starts_with(WHITEOUT));
        for (entry, ..) in &whiteouts {
            self.hide(layer, &entry.path);
        }
        let mut own: BTreeMap<Vec<u8>, Option<[u8; 32]>> = BTreeMap::new();
        let mut last: Option<(Vec<u8>, Vec<u8>)> = None;
        for (entry, sha256, signs) in entries {
            self.put(layer, entry, sha256, signs, &mut own, &mut last);
        }
    }

    fn odd(&mut self, layer: usize, path: &[u8], severity: Severity, what: impl Into<String>) {
        let oddity = Oddity {
            path: path.to_vec(),
            what: what.into(),
            severity,
        };
        self.oddities.push((layer, oddity));
    }

    /// Where an entry goes, if it may go there.
    fn place(&mut self, layer: usize, path: &[u8]) -> Option<Vec<u8>> {
        let (cleaned, leaves) = clean(path);
        if leaves {
            self.odd(
                layer,
                path,
                Severity::High,
                "the entry was left out: its path leads out of the image",
            );
            return None;
        }
        if path.split(|byte| *byte == b'/').any(|part| part == b"..") {
            self.odd(
                layer,
                path,
                Severity::Low,
                "the path of the entry goes up and down again",
            );
        }
        match self.files.resolve(&cleaned, false) {
            Err(why) => {
                self.odd(
                    layer,
                    path,
                    Severity::High,
                    format!("the entry was left out: {why}"),
                );
                None
            }
            Ok(way) => {
                if way.climbs {
                    self.odd(
                        layer,
                        path,
                        Severity::High,
                        "the way of the entry goes through a link that leads out of the image",
                    );
                } else if way.through_link {
                    let what = format!(
                        "the entry lies behind a link of the image; runtimes differ on where it goes, and containerd puts it to `{}`",
                        shown(&way.path)
                    );
                    self.odd(layer, path, Severity::Low, what);
                }
                Some(way.path)
            }
        }
    }

    fn hide(&mut self, layer: usize, path: &[u8]) {
        let name = name_of(path);
        let folder = path.strip_suffix(name).unwrap_or_default();
        if name == OPAQUE {
            // Resolved as if something lay in it, so that a link at its end is followed.
            if let Some(inside) = self.place(layer, &[folder, b"x"].concat()) {
                self.files.remove(
                    inside
                        .strip_suffix(b"x")
                        .map_or(&[][..], |path| path.strip_suffix(b"/").unwrap_or(path)),
                    false,
                );
            }
            return;
        }
        if name.starts_with(AUFS) {
            return;
        }
        let hidden = name.strip_prefix(WHITEOUT).unwrap_or_default();
        if matches!(hidden, b"" | b"." | b"..") {
            self.odd(
                layer,
                path,
                Severity::Medium,
                "the whiteout was left out: it hides no name",
            );
            return;
        }
        if let Some(place) = self.place(layer, &[folder, hidden].concat()) {
            self.files.remove(&place, true);
        }
    }

    fn put(
        &mut self,
        layer: usize,
        entry: Entry,
        sha256: Option<[u8; 32]>,
        signs: Signs,
        own: &mut BTreeMap<Vec<u8>, Option<[u8; 32]>>,
        last: &mut Option<(Vec<u8>, Vec<u8>)>,
    ) {
        // Entries of one directory follow one another; where it is, need be found only once.
        let name = name_of(&entry.path);
        let folder = entry.path.strip_suffix(name).unwrap_or_default();
        let is_plain = !matches!(name, b"" | b"." | b"..");
        let known = last
            .as_ref()
            .filter(|(of, _)| is_plain && of == folder)
            .map(|(_, inside)| [inside, name].concat());
        let Some(place) = known.or_else(|| self.place(layer, &entry.path)) else {
            return;
        };
        if place.is_empty() {
            // The root itself.
            return;
        }
        if is_plain && place.ends_with(name) {
            let inside = place.strip_suffix(name).unwrap_or_default().to_vec();
            *last = Some((folder.to_vec(), inside));
        }
        let Some(file) = self.file(layer, &entry, sha256, signs) else {
            return;
        };
        let is_directory = file.kind == Kind::Directory;
        if let Some(before) = own.get(&place).filter(|_| !is_directory)
            && *before != file.sha256
        {
            self.odd(
                layer,
                &entry.path,
                Severity::Medium,
                "the layer holds it twice with different content; the last one counts",
            );
        }
        let was_directory = match self.files.by_path.get(&place) {
            Some(before) => before.kind == Kind::Directory,
            None => {
                self.files.make_way(&place, layer);
                false
            }
        };
        if !(is_directory && was_directory) {
            self.files.remove(&place, true);
        }
        if file.kind == Kind::Symlink || (was_directory && !is_directory) {
            *last = None;
        }
        if !is_directory {
            own.insert(place.clone(), file.sha256);
        }
        self.files.by_path.insert(place, file);
    }

    fn file(&mut self, layer: usize, entry: &Entry, sha256: Option<[u8; 32]>, signs: Signs) -> Option<File> {
        let kind = match entry.kind {
            Type::File => Kind::File,
            Type::Directory => Kind::Directory,
            Type::Symlink => Kind::Symlink,
            Type::CharacterDevice => Kind::CharacterDevice,
            Type::BlockDevice => Kind::BlockDevice,
            Type::Fifo => Kind::Fifo,
            Type::HardLink => {
                // The target is a path of the archive. Both are one file from now on, so that its owner and mode count.
                let (target, leaves) = clean(&entry.link);
                let found = match leaves {
                    true => None,
                    false => self
                        .files
                        .resolve(&target, false)
                        .ok()
                        .and_then(|way| self.files.by_path.get(&way.path)),
                };
                let Some(found) = found.filter(|found| found.kind != Kind::Directory) else {
                    let what = format!(
                        "the hard link was left out: `{}` is no file of the image",
                        shown(&entry.link)
                    );
                    self.odd(layer, &entry.path, Severity::Medium, what);
                    return None;
                };
                return Some(File {
                    layer,
                    ..found.clone()
                });
            }
        };
        let is_device = matches!(kind, Kind::CharacterDevice | Kind::BlockDevice);
        if is_device {
            let what = format!(
                "the image holds a device file ({}, {})",
                entry.device.0, entry.device.1
            );
            self.odd(layer, &entry.path, Severity::Low, what);
        }
        Some(File {
            kind,
            // A link's own mode counts for nothing, and tools write different ones.
            mode: if kind == Kind::Symlink { 0o777 } else { entry.mode },
            uid: entry.uid,
            gid: entry.gid,
            size: entry.size,
            sha256,
            target: if kind == Kind::Symlink {
                entry.link.clone()
            } else {
                Vec::new()
            },
            xattrs: entry.xattrs.clone(),
            device: if is_device { entry.device } else { (0, 0) },
            layer,
            signs,
        })
    }
}

/// The last part of a path.
pub(crate) fn name_of(path: &[u8]) -> &[u8] {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}
