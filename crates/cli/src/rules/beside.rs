//! What commands take beside rules: overlays, lists, mappings, indicators.

use std::path::PathBuf;

use neph_rules::{LoadOptions, RuleSet, load_with};

/// The arguments, for every command that loads rules.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Tuning")]
pub(crate) struct BesideArgs {
    /// Overlay file or folder of them, may be given several times: exceptions, severity, suppression, schedule and switches for rules that stay as
    /// they are.
    #[arg(long = "overlay", value_name = "PATH")]
    overlays: Vec<PathBuf>,
    /// File of a typed list (CSV, text, YAML) or folder of them, may be given several times; exceptions, overlays and Sigma's placeholders name them.
    #[arg(long, value_name = "PATH")]
    lists: Vec<PathBuf>,
    /// Mapping file for Sigma's fields and log sources or folder of them; may be given several times.
    #[arg(long, value_name = "PATH")]
    mappings: Vec<PathBuf>,
    /// Indicators for rules of type `threat_match`: file (NDJSON or JSON of ECS threat documents, STIX 2 bundle, CSV, text) or folder of them; may be given
    /// several times.
    #[arg(long, value_name = "PATH")]
    indicators: Vec<PathBuf>,
}

impl BesideArgs {
    /// The same for the loader.
    pub(crate) fn options(&self) -> LoadOptions {
        LoadOptions {
            overlays: self.overlays.clone(),
            lists: self.lists.clone(),
            mappings: self.mappings.clone(),
            indicators: self.indicators.clone(),
            now: None,
        }
    }

    /// Loads rules with them.
    pub(crate) fn load(&self, paths: &[PathBuf]) -> RuleSet {
        load_with(paths, &self.options())
    }
}
