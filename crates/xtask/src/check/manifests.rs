//! What stands in the manifests and the lock file.

use toml::Value;

use super::Fault;
use super::repository::Repository;

/// The one crate that may hold `unsafe`, and so has its own lint table.
const UNSAFE_CRATE: &str = "sensor";

/// Every crate inherits the workspace's lints, which forbid `unsafe` among other things.
pub(super) fn lints(repository: &Repository) -> Vec<Fault> {
    let mut faults = Vec::new();
    for member in repository
        .crates()
        .iter()
        .filter(|member| member.name != UNSAFE_CRATE)
    {
        let inherits = member
            .manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"));
        if inherits != Some(&Value::Boolean(true)) {
            faults.push(Fault::new(
                format!("crates/{}/Cargo.toml", member.name),
                "the crate does not inherit the workspace's lints",
            ));
        }
    }
    let root: Option<toml::Table> = repository
        .file("Cargo.toml")
        .and_then(|file| file.text.parse().ok());
    let lints = root.as_ref().and_then(|root| root.get("workspace")?.get("lints"));
    let level = |tool: &str, lint: &str| lints?.get(tool)?.get(lint)?.as_str();
    for (tool, lint, wanted) in [
        ("rust", "unsafe_code", "forbid"),
        ("clippy", "unwrap_used", "deny"),
        ("clippy", "expect_used", "deny"),
        ("clippy", "panic", "deny"),
        ("clippy", "indexing_slicing", "deny"),
        ("clippy", "string_slice", "deny"),
        ("clippy", "allow_attributes", "deny"),
    ] {
        if level(tool, lint) != Some(wanted) {
            faults.push(Fault::new(
                "Cargo.toml",
                format!("the lint `{tool}::{lint}` is not at `{wanted}`"),
            ));
        }
    }
    faults
}

/// Versions stand in the workspace's manifest, and every locked package is of crates.io.
pub(super) fn origins(repository: &Repository) -> Vec<Fault> {
    let mut faults = Vec::new();
    for member in repository.crates() {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let listed = member.manifest.get(kind).and_then(Value::as_table);
            for (name, dependency) in listed.into_iter().flatten() {
                if dependency.get("workspace") != Some(&Value::Boolean(true)) {
                    faults.push(Fault::new(
                        format!("crates/{}/Cargo.toml", member.name),
                        format!("the version of `{name}` does not stand in the workspace's manifest"),
                    ));
                }
            }
        }
    }
    let lock: Option<toml::Table> = repository
        .file("Cargo.lock")
        .and_then(|file| file.text.parse().ok());
    let Some(packages) = lock.as_ref().and_then(|lock| lock.get("package")?.as_array()) else {
        faults.push(Fault::new(
            "Cargo.lock",
            "the lock file is missing or cannot be read",
        ));
        return faults;
    };
    for package in packages {
        let source = package.get("source").and_then(Value::as_str);
        if source.is_some_and(|source| source != "registry+https://github.com/rust-lang/crates.io-index") {
            let name = package.get("name").and_then(Value::as_str).unwrap_or("?");
            faults.push(Fault::new("Cargo.lock", format!("`{name}` is not of crates.io")));
        }
    }
    faults
}
