//! Rust files.

use super::Fault;
use super::repository::Repository;

/// A file with more lines tells near its top why.
const LONG: usize = 1000;
/// The words that it tells it with.
const REASON: &str = "Long because ";

pub(super) fn size(repository: &Repository) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in repository.rust_files() {
        let lines = file.text.lines().count();
        let explained = file
            .text
            .lines()
            .take(40)
            .any(|line| line.starts_with("//") && line.contains(REASON));
        if lines > LONG && !explained {
            let message = format!("{lines} lines; split it, or say `{REASON}…` in a comment at the top");
            faults.push(Fault::new(&file.path, message));
        }
    }
    faults
}

pub(super) fn allowances(repository: &Repository) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in repository.rust_files() {
        for (index, line) in file.text.lines().enumerate() {
            let code = line.trim_start();
            if code.starts_with("#[allow") || code.starts_with("#![allow") {
                faults.push(Fault::new(
                    format!("{}:{}", file.path, index + 1),
                    "use `#[expect(…, reason = \"…\")]`",
                ));
            }
        }
    }
    faults
}
