//! `cargo xtask check`: the house checks. Each is a test as well, so `cargo test` keeps them.

mod documents;
mod layers;
mod manifests;
mod repository;
mod sources;

use std::fmt;
use std::io::Write;

use repository::Repository;

/// Checks what no compiler does: layers, lints, file sizes, documents, words
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// A breach of a house rule.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    /// File, relative to the repository; with `:line` where that helps.
    place: String,
    message: String,
}

impl Fault {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

type Check = fn(&Repository) -> Vec<Fault>;

const CHECKS: &[(&str, Check)] = &[
    ("crates depend on lower layers only", layers::dependencies),
    ("the layer table names every crate", layers::complete),
    ("every crate has the workspace's lints", manifests::lints),
    (
        "dependencies come from crates.io and have their versions in one place",
        manifests::origins,
    ),
    ("no file is long without a reason", sources::size),
    (
        "lints are expected with a reason, never allowed",
        sources::allowances,
    ),
    ("ARCHITECTURE.md describes every crate", documents::architecture),
    ("README.md has its two commands", documents::readme),
    ("files speak of the product alone", documents::words),
];

pub(crate) fn run(_args: &Args) -> Result<(), String> {
    let repository = Repository::open()?;
    let mut out = std::io::stdout();
    let mut faults = 0;
    for (name, check) in CHECKS {
        let found = check(&repository);
        let _ = writeln!(
            out,
            "{} {name}",
            if found.is_empty() { "ok    " } else { "FAILED" }
        );
        for fault in &found {
            let _ = writeln!(out, "       {fault}");
        }
        faults += found.len();
    }
    if faults == 0 {
        Ok(())
    } else {
        Err(format!("{faults} breaches of the house rules"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_keeps_the_house_rules() {
        let repository = Repository::open().unwrap();
        let faults: Vec<String> = CHECKS
            .iter()
            .flat_map(|(name, check)| {
                check(&repository)
                    .into_iter()
                    .map(move |fault| format!("{name}: {fault}"))
            })
            .collect();
        assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    }
}
