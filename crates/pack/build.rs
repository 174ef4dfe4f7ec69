//! Lists the files of the pack, so that the compiler puts their texts into the binary.

use std::env;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Folders of the repository that make the pack.
const FOLDERS: [&str; 3] = ["demo", "lists", "rules"];

/// What in them belongs to it: rules, exceptions, texts, tests, lists, scenarios. Samples are inputs, not rules.
const ENDINGS: [&str; 6] = ["toml", "yml", "yaml", "json", "csv", "txt"];

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../..");
    let root = root.canonicalize()?;
    let mut files = Vec::new();
    for folder in FOLDERS {
        let folder = root.join(folder);
        println!("cargo::rerun-if-changed={}", folder.display());
        if folder.is_dir() {
            look(&folder, &mut files)?;
        }
    }
    let mut rows: Vec<(String, PathBuf)> = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&root).unwrap_or(&file);
        let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
        rows.push((parts.join("/"), file));
    }
    // They are looked up by halving.
    rows.sort();
    let mut list = String::from("&[\n");
    for (name, file) in rows {
        writeln!(list, "    ({name:?}, include_str!({file:?})),").map_err(io::Error::other)?;
    }
    list.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("files.rs"), list)
}

fn look(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if path.is_dir() {
            look(&path, files)?;
        } else if ending.is_some_and(|ending| ENDINGS.contains(&ending)) {
            files.push(path);
        }
    }
    Ok(())
}
