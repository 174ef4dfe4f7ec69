//! Folders and archives that hold images: files by their paths, opened any number of times.
//!
//! An archive is gone through once to learn where its files lie. One that is compressed as a whole is decompressed anew up to the file
//! that is wanted, so that neither memory nor disk has to hold it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::compression::{Budget, Compression, decompress};
use crate::entries::{Type, Walk};
use crate::files::shown;
use crate::limits::{ImageError, Limits};

/// Files by their paths.
#[derive(Debug)]
pub(crate) enum Tree {
    Folder(PathBuf),
    Archive(Archive),
}

/// A tar archive.
#[derive(Debug)]
pub(crate) struct Archive {
    path: PathBuf,
    files: BTreeMap<String, Place>,
    is_compressed: bool,
    limits: Limits,
}

#[derive(Clone, Debug)]
enum Place {
    At {
        from: u64,
        size: u64,
    },
    /// Old archives of `docker save` hold a layer once and links for its other uses.
    Link(String),
}

/// Counts where it is.
struct Position<'r> {
    inner: Box<dyn Read + Send + 'r>,
    at: std::rc::Rc<std::cell::Cell<u64>>,
}

impl Read for Position<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.at.set(self.at.get() + count as u64);
        Ok(count)
    }
}

impl Tree {
    /// Looks at a folder or an archive.
    pub(crate) fn open(path: &Path, limits: &Limits) -> Result<Self, ImageError> {
        let name = path.display().to_string();
        let metadata = std::fs::metadata(path).map_err(ImageError::read(format!("`{name}`")))?;
        if metadata.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        Archive::index(path, limits).map(Self::Archive)
    }

    /// Opens a file; `None` where there is none of the name.
    pub(crate) fn file(&self, name: &str) -> Result<Option<Box<dyn Read + Send + '_>>, ImageError> {
        match self {
            Self::Folder(folder) => open_inside(folder, name),
            Self::Archive(archive) => archive.file(name),
        }
    }

    /// A small file, whole.
    pub(crate) fn small(&self, name: &str, limits: &Limits) -> Result<Option<Vec<u8>>, ImageError> {
        let Some(reader) = self.file(name)? else {
            return Ok(None);
        };
        small(&format!("`{name}`"), reader, limits).map(Some)
    }
}

/// All of a document, which must be small.
pub(crate) fn small(what: &str, reader: impl Read, limits: &Limits) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    reader
        .take(limits.document + 1)
        .read_to_end(&mut bytes)
        .map_err(ImageError::read(what))?;
    if bytes.len() as u64 > limits.document {
        return Err(ImageError::Refused(format!(
            "{what} is larger than {} bytes, which no document of an image is",
            limits.document
        )));
    }
    Ok(bytes)
}

/// Opens a file of a folder; no link is followed, so that nothing outside is read.
fn open_inside(folder: &Path, name: &str) -> Result<Option<Box<dyn Read + Send + 'static>>, ImageError> {
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(ImageError::Refused(format!(
            "the name `{name}` leads out of its folder"
        )));
    }
    let mut path = folder.to_owned();
    for part in name.split('/') {
        path.push(part);
        match std::fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => {
                return Err(ImageError::Refused(format!(
                    "`{name}` is a link, and links are not followed"
                )));
            }
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(ImageError::read(format!("`{name}`"))(error)),
        }
    }
    let file = File::open(&path).map_err(ImageError::read(format!("`{name}`")))?;
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    match is_file {
        true => Ok(Some(Box::new(file))),
        false => Err(ImageError::Refused(format!("`{name}` is no plain file"))),
    }
}

impl Archive {
    fn index(path: &Path, limits: &Limits) -> Result<Self, ImageError> {
        let name = format!("`{}`", path.display());
        let file = File::open(path).map_err(ImageError::read(name.as_str()))?;
        // Only names are kept, and all content is gone through but not looked at: layers are judged when they are read.
        let budget = Budget::new(*limits);
        let (compression, inner) = decompress(file, &budget).map_err(ImageError::read(name.as_str()))?;
        let at = std::rc::Rc::new(std::cell::Cell::new(0_u64));
        let mut reader = Position {
            inner,
            at: std::rc::Rc::clone(&at),
        };
        let mut files: BTreeMap<String, Place> = BTreeMap::new();
        let mut walk = Walk::new(&mut reader, limits, &name);
        walk.each(|entry, _| {
            let own = shown(&entry.path).trim_start_matches("./").to_owned();
            let place = match entry.kind {
                Type::File => Place::At {
                    from: at.get(),
                    size: entry.size,
                },
                Type::Symlink => Place::Link(beside(&own, &shown(&entry.link))),
                Type::HardLink => Place::Link(shown(&entry.link).trim_start_matches("./").to_owned()),
                _ => return Ok(()),
            };
            if files.len() as u64 >= 100_000 {
                return Err(ImageError::Refused(format!(
                    "{name} holds more than 100000 files, which no archive of images does"
                )));
            }
            files.insert(own, place);
            Ok(())
        })?;
        Ok(Self {
            path: path.to_owned(),
            files,
            is_compressed: compression != Compression::None,
            limits: *limits,
        })
    }

    fn file(&self, name: &str) -> Result<Option<Box<dyn Read + Send + '_>>, ImageError> {
        let mut wanted = name;
        for _ in 0..4 {
            match self.files.get(wanted) {
                None => return Ok(None),
                Some(Place::Link(target)) => wanted = target,
                Some(Place::At { from, size }) => {
                    let told = || format!("`{}`", self.path.display());
                    let mut file = File::open(&self.path).map_err(ImageError::read(told()))?;
                    if !self.is_compressed {
                        file.seek(SeekFrom::Start(*from))
                            .map_err(ImageError::read(told()))?;
                        return Ok(Some(Box::new(file.take(*size))));
                    }
                    let (_, mut inner) =
                        decompress(file, &Budget::new(self.limits)).map_err(ImageError::read(told()))?;
                    io::copy(&mut (&mut inner).take(*from), &mut io::sink())
                        .map_err(ImageError::read(told()))?;
                    return Ok(Some(Box::new(inner.take(*size))));
                }
            }
        }
        Err(ImageError::Refused(format!(
            "`{name}` is a link to a link to a link"
        )))
    }
}

/// The path that a link's target names, seen from the link.
fn beside(link: &str, target: &str) -> String {
    let mut parts: Vec<&str> = link.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_a_folder_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("layout");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(folder.path().join("secret"), "secret").unwrap();
        std::fs::write(inside.join("file"), "content").unwrap();
        std::os::unix::fs::symlink("../secret", inside.join("link")).unwrap();
        let tree = Tree::open(&inside, &Limits::default()).unwrap();
        assert!(tree.file("file").unwrap().is_some());
        assert!(tree.file("none").unwrap().is_none());
        for name in ["link", "../secret", "a/../../secret"] {
            assert!(matches!(tree.file(name), Err(ImageError::Refused(_))), "{name}");
        }
    }

    #[test]
    fn links_are_seen_from_where_they_are() {
        assert_eq!(beside("abc/layer.tar", "../def/layer.tar"), "def/layer.tar");
        assert_eq!(beside("abc/layer.tar", "../../../../x"), "x");
    }
}
