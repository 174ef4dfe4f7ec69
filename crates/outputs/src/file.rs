//! A file: a document a line, added to its end. A file that was moved away or removed is made again.

use std::fs::{File as Handle, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::stdout::lines;
use crate::{Form, Message, OpenError, Outcome, Transport};

/// Messages at once, which cost one sync.
const BATCH: usize = 500;

pub(crate) struct File {
    path: PathBuf,
    form: Form,
    handle: Handle,
}

impl File {
    pub(crate) fn open(path: &Path, form: Form) -> Result<Self, OpenError> {
        let handle = append_to(path).map_err(|source| OpenError::File {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            form,
            handle,
        })
    }

    fn add(&mut self, text: &[u8]) -> std::io::Result<()> {
        if !is_at(&self.handle, &self.path) {
            self.handle = append_to(&self.path)?;
        }
        add_lines(&mut self.handle, text)
    }
}

/// Opens a file to add to it; it is made, for its owner alone, where it is not there.
pub(crate) fn append_to(path: &Path) -> std::io::Result<Handle> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Adds lines that are durable when this returns. What could be written in part only is taken back; a last line that something else
/// left without its end is ended first.
pub(crate) fn add_lines(file: &mut Handle, text: &[u8]) -> std::io::Result<()> {
    let metadata = file.metadata()?;
    // A pipe or device has no end to look at or to go back to.
    if !metadata.is_file() {
        file.write_all(text)?;
        return file.flush();
    }
    let before = metadata.len();
    let written = end_line(file, before)
        .and_then(|()| file.write_all(text))
        .and_then(|()| file.sync_data());
    if written.is_err() {
        let _ = file.set_len(before);
    }
    written
}

fn end_line(file: &mut Handle, length: u64) -> std::io::Result<()> {
    let Some(last_at) = length.checked_sub(1) else {
        return Ok(());
    };
    file.seek(SeekFrom::Start(last_at))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    match last == *b"\n" {
        true => Ok(()),
        false => file.write_all(b"\n"),
    }
}

/// Whether the path still leads to the file.
#[cfg(unix)]
fn is_at(file: &Handle, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(own), Ok(there)) => place(own) == place(there),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_: &Handle, path: &Path) -> bool {
    path.exists()
}

impl Transport for File {
    fn send(&mut self, messages: &[Message<'_>]) -> Vec<Outcome> {
        let outcome = match self.add(&lines(self.form, messages)) {
            Ok(()) => Outcome::Delivered,
            Err(error) => Outcome::later(format!("cannot write to `{}`: {error}", self.path.display())),
        };
        vec![outcome; messages.len()]
    }

    fn batch(&self) -> usize {
        BATCH
    }
}
