//! Which crate may use which: arrows point down only.

use super::Fault;
use super::repository::Repository;

/// Everything that stands above.
const ALL: &[&str] = &["*"];

/// Every crate, those that are planned included, with the crates of the workspace that it may use, from the ground up. A
/// crate uses only what stands above it in this list. Dev-dependencies are free: tests may look at anything.
const LAYERS: &[(&str, &[&str])] = &[
    ("diag", &[]),
    ("document", &["diag"]),
    ("attack", &[]),
    ("pack", &[]),
    ("socket", &[]),
    ("event", &["diag"]),
    ("plan", &["event", "diag"]),
    ("eql", &["plan", "event", "diag"]),
    ("kql", &["plan", "event", "diag"]),
    ("sigma", &["plan", "event", "diag"]),
    ("esql", &["plan", "event", "diag"]),
    ("engine", &["plan", "event"]),
    ("normalize", &["event"]),
    ("enrich", &["normalize"]),
    (
        "rules",
        &[
            "attack", "pack", "eql", "kql", "sigma", "esql", "engine", "plan", "event", "document", "diag",
        ],
    ),
    ("inventory", &["document", "diag"]),
    ("posture", &["inventory", "attack", "document", "diag"]),
    ("baseline", &["inventory", "attack", "document", "diag"]),
    ("images", &["inventory", "attack", "document", "diag"]),
    ("collect", &["inventory", "socket", "diag"]),
    ("config", &["document", "diag"]),
    ("store", &["event", "diag"]),
    (
        "schedule",
        &[
            "inventory",
            "posture",
            "baseline",
            "images",
            "store",
            "event",
            "diag",
        ],
    ),
    ("sensor", &["socket", "event", "diag"]),
    ("runtime", ALL),
    ("ingest", &["runtime", "sensor", "store", "event", "diag"]),
    (
        "outputs",
        &["config", "store", "kql", "engine", "plan", "event", "diag"],
    ),
    ("console", &["diag"]),
    ("api", ALL),
    ("cli", ALL),
    ("testkit", ALL),
    ("xtask", ALL),
];

pub(super) fn complete(repository: &Repository) -> Vec<Fault> {
    let known = |name: &str| LAYERS.iter().any(|(row, _)| *row == name);
    let mut faults = Vec::new();
    for member in repository.crates().iter().filter(|member| !known(&member.name)) {
        faults.push(Fault::new(
            manifest_of(&member.name),
            "the crate has no row in the layer table",
        ));
    }
    for (index, (row, allowed)) in LAYERS.iter().enumerate() {
        let named = allowed.iter().filter(|_| *allowed != ALL);
        for name in named.filter(|name| !above(index).any(|lower| lower == **name)) {
            faults.push(Fault::new(
                manifest_of(row),
                format!("the layer table lets it use `{name}`, which is not lower"),
            ));
        }
    }
    faults
}

pub(super) fn dependencies(repository: &Repository) -> Vec<Fault> {
    let mut faults = Vec::new();
    for member in repository.crates() {
        let Some(row) = LAYERS.iter().position(|(row, _)| *row == member.name) else {
            continue;
        };
        for used in workspace_dependencies(&member.manifest) {
            let allowed = LAYERS
                .get(row)
                .is_some_and(|(_, allowed)| *allowed == ALL || allowed.contains(&used.as_str()));
            if !(allowed && above(row).any(|lower| lower == used)) {
                faults.push(Fault::new(
                    manifest_of(&member.name),
                    format!("`{}` may not use `{used}`", member.name),
                ));
            }
        }
    }
    faults
}

fn above(row: usize) -> impl Iterator<Item = &'static str> {
    LAYERS.iter().take(row).map(|(name, _)| *name)
}

/// Names, without the prefix, of the workspace's crates among the dependencies and build-dependencies, for every target.
fn workspace_dependencies(manifest: &toml::Table) -> Vec<String> {
    let mut tables: Vec<&toml::Table> = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        tables.extend(targets.values().filter_map(toml::Value::as_table));
    }
    let mut names = Vec::new();
    for table in tables {
        for kind in ["dependencies", "build-dependencies"] {
            let listed = table.get(kind).and_then(toml::Value::as_table);
            for (name, dependency) in listed.into_iter().flatten() {
                let package = dependency
                    .get("package")
                    .and_then(toml::Value::as_str)
                    .unwrap_or(name);
                match package.strip_prefix("neph-") {
                    Some(short) => names.push(short.to_owned()),
                    None if package == "neph" => names.push("cli".to_owned()),
                    None => {}
                }
            }
        }
    }
    names
}

fn manifest_of(name: &str) -> String {
    format!("crates/{name}/Cargo.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_of_every_kind_are_seen() {
        let manifest = "[dependencies]\nneph-event.workspace = true\nserde = \"1\"\nx = { package = \"neph-plan\", path = \"\" }\n\
                        [dev-dependencies]\nneph-testkit.workspace = true\n\
                        [build-dependencies]\nneph-diag.workspace = true\n\
                        [target.'cfg(unix)'.dependencies]\nneph.workspace = true";
        let names = workspace_dependencies(&manifest.parse().unwrap());
        assert_eq!(names, ["event", "plan", "diag", "cli"]);
    }
}
