//! `cargo xtask check`: the house checks. Each is a test as well, so `cargo test` keeps them.

mod documents;
mod layers;
mod manifests;
mod repository;
mod sources;

use std::fmt;
use std::io::Write;

use repository::Repository;

/// Checks what no compiler does: layers, lints, file sizes, documents
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

    /// What a check says of an imagined repository.
    fn said(check: Check, files: &[(&str, &str)]) -> Vec<String> {
        check(&Repository::imagined(files))
            .iter()
            .map(Fault::to_string)
            .collect()
    }

    #[test]
    fn layers_point_down() {
        let event = "[dependencies]\nneph-diag.workspace = true\nneph-rules.workspace = true\n\
                     [dev-dependencies]\nneph-runtime.workspace = true";
        let files = [("crates/event/Cargo.toml", event), ("crates/odd/Cargo.toml", "")];
        assert_eq!(
            said(layers::dependencies, &files),
            ["crates/event/Cargo.toml: `event` may not use `rules`"]
        );
        assert_eq!(
            said(layers::complete, &files),
            ["crates/odd/Cargo.toml: the crate has no row in the layer table"]
        );
        let cli = "[dependencies]\nneph-runtime.workspace = true\nneph-testkit.workspace = true";
        let files = [("crates/cli/Cargo.toml", cli)];
        assert_eq!(
            said(layers::dependencies, &files),
            ["crates/cli/Cargo.toml: `cli` may not use `testkit`"]
        );
    }

    #[test]
    fn manifests_inherit() {
        let files = [
            ("Cargo.toml", "[workspace.lints.rust]\nunsafe_code = \"warn\""),
            (
                "Cargo.lock",
                "[[package]]\nname = \"x\"\nsource = \"registry+https://example.com/index\"",
            ),
            (
                "crates/diag/Cargo.toml",
                "[dependencies]\nserde = \"1\"\nb.workspace = true\n[lints]\nworkspace = true",
            ),
            ("crates/plan/Cargo.toml", "[lints.rust]\nunsafe_code = \"allow\""),
        ];
        let lints = said(manifests::lints, &files);
        assert_eq!(
            lints.first().unwrap(),
            "crates/plan/Cargo.toml: the crate does not inherit the workspace's lints"
        );
        assert_eq!(
            lints.get(1).unwrap(),
            "Cargo.toml: the lint `rust::unsafe_code` is not at `forbid`"
        );
        assert_eq!(
            said(manifests::origins, &files),
            [
                "crates/diag/Cargo.toml: the version of `serde` does not stand in the workspace's manifest",
                "Cargo.lock: `x` is not of crates.io",
            ]
        );
    }

    #[test]
    fn sources_are_short_and_allow_nothing() {
        let long = "//! A.\n".to_owned() + &"x\n".repeat(1000);
        let explained = "//! Long because it is a table.\n".to_owned() + &"x\n".repeat(1000);
        let files = [
            ("a.rs", long.as_str()),
            ("b.rs", &explained),
            ("c.rs", "\n  #[al\u{6c}ow(x)]\n"),
        ];
        assert_eq!(said(sources::size, &files).len(), 1);
        assert_eq!(
            said(sources::allowances, &files),
            ["c.rs:2: use `#[expect(…, reason = \"…\")]`"]
        );
    }

    #[test]
    fn documents_say_what_is() {
        let files = [
            ("crates/diag/Cargo.toml", ""),
            ("ARCHITECTURE.md", "`crates/gone/src`"),
            (
                "README.md",
                "<!-- ci: run -->\n```sh\ncargo run nowhere/at-all\n```\n",
            ),
        ];
        assert_eq!(
            said(documents::architecture, &files),
            [
                "ARCHITECTURE.md: `crates/diag` is not described",
                "ARCHITECTURE.md: `crates/gone/src` does not exist",
            ]
        );
        assert_eq!(
            said(documents::readme, &files),
            [
                "README.md: `nowhere/at-all` of the command is not there",
                "README.md: no command stands behind `<!-- ci: test -->`",
            ]
        );
    }

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
