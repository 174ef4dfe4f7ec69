//! `cargo xtask refresh-schema`: makes the field table of the built-in schema out of public repositories.
//!
//! Only facts are taken: the names of fields, their types, and which integration fills them. Each repository is given
//! as a path to a clone, with `@REVISION` where its `HEAD` is not meant. What a repository has to offer is seen from
//! the files in it:
//!
//! - `generated/ecs/ecs_flat.yml` and `version`: the Elastic Common Schema;
//! - `**/PACKAGE/**/data_stream/STREAM/fields/*.yml`: integration packages, as `elastic/integrations`,
//!   `elastic/endpoint-package` and the archive `elastic/package-storage` hold them;
//! - `detection_rules/etc/non-ecs-schema.json` and `detection_rules/etc/beats_schemas/*.json.gz`: fields of Beats, and
//!   what the rules read beyond the packages.
//!
//! Rows that no repository at hand has come from `crates/event/data/supplement.tsv`.

mod read;
mod table;

use std::path::{Path, PathBuf};

pub(crate) use self::read::Repository;
use self::table::Table;

const FOLDER: &str = "crates/event/data";

/// Make the field table of the built-in schema anew.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Clones to read, as PATH or PATH@REVISION: elastic/ecs, elastic/integrations or elastic/package-storage,
    /// elastic/endpoint-package, elastic/detection-rules
    #[arg(required = true)]
    repositories: Vec<String>,
    /// The root of this repository
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

/// Reads the repositories and writes the table.
pub(crate) fn run(args: &Args) -> Result<(), String> {
    let mut table = Table::default();
    let repositories: Vec<Repository> = args
        .repositories
        .iter()
        .map(|argument| Repository::open(argument))
        .collect::<Result<_, _>>()?;
    // ECS comes first: packages refer to its fields.
    for repository in &repositories {
        read::ecs(repository, &mut table)?;
    }
    read::packages(&repositories, &mut table)?;
    for repository in &repositories {
        read::beats(repository, &mut table)?;
        read::rule_fields(repository, &mut table)?;
    }
    let supplement = args.root.join(FOLDER).join("supplement.tsv");
    table.supplement(&read_text(&supplement)?)?;
    let path = args.root.join(FOLDER).join("schema.tsv");
    std::fs::write(&path, table.render()?).map_err(|error| format!("{}: {error}", path.display()))
}

fn read_text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
