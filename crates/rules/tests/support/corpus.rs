//! The public rules, where they lie beside the project. They are other people's work: read from there, never copied here.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

fn shared() -> PathBuf {
    std::env::var_os("NEPH_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    )
}

/// The text files of an archive by their names; `None`, which is said, where it is not there.
pub(crate) fn archive(name: &str) -> Option<BTreeMap<String, String>> {
    let path = shared().join("corpora").join(name);
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    };
    let mut files = BTreeMap::new();
    let mut archive = tar::Archive::new(liblzma::read::XzDecoder::new(file));
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").to_string_lossy().into_owned();
        let mut text = String::new();
        if entry.header().entry_type().is_file() && entry.read_to_string(&mut text).is_ok() {
            files.insert(path.trim_start_matches("./").to_owned(), text);
        }
    }
    Some(files)
}

/// A folder with the files whose names `wanted` takes.
pub(crate) fn folder(files: &BTreeMap<String, String>, wanted: impl Fn(&str) -> bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files.iter().filter(|(name, _)| wanted(name)) {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    folder
}
