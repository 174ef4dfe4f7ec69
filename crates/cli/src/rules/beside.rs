//! What commands take beside rules: overlays, lists, mappings, indicators.

use std::path::PathBuf;

use neph_rules::{BUILTIN_LISTS, BUILTIN_RULES, Lang, LoadOptions, RuleSet, is_builtin, load_with};

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
    /// The same for the loader. The built-in lists go with the built-in rules; the user's of the same names go before.
    pub(crate) fn options(&self, rules: &[PathBuf], lang: Lang) -> LoadOptions {
        let builtin = rules.iter().any(|path| is_builtin(path));
        let lists = self.lists.iter().cloned();
        LoadOptions {
            overlays: self.overlays.clone(),
            lists: lists.chain(builtin.then(|| BUILTIN_LISTS.into())).collect(),
            mappings: self.mappings.clone(),
            indicators: self.indicators.clone(),
            now: None,
            lang,
        }
    }

    /// Loads rules with them.
    pub(crate) fn load(&self, paths: &[PathBuf], lang: Lang) -> RuleSet {
        load_with(paths, &self.options(paths, lang))
    }
}

/// What stands for the rules that the binary carries.
pub(crate) const BUILTIN: &str = "builtin";

/// The path that an argument means. A folder of the name `builtin` is `./builtin`.
pub(crate) fn rule_path(argument: &str) -> Result<PathBuf, String> {
    Ok(match argument {
        BUILTIN => BUILTIN_RULES.into(),
        path => path.into(),
    })
}

/// The language in which people are told.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct LangArgs {
    /// Language of names, descriptions and guides of rules that have them in it, and of the reasons of alerts. [default:
    /// the environment's NEPH_LANG, or en]
    #[arg(long, value_enum, value_name = "LANG")]
    lang: Option<Tongue>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Tongue {
    /// English
    En,
    /// Russian
    Ru,
    /// Chinese
    Zh,
}

impl LangArgs {
    /// The language that is asked for; a word of the environment that is none counts as English.
    pub(crate) fn lang(self) -> Lang {
        match self.lang {
            Some(Tongue::En) => Lang::English,
            Some(Tongue::Ru) => Lang::Russian,
            Some(Tongue::Zh) => Lang::Chinese,
            None => {
                let word = std::env::var("NEPH_LANG").unwrap_or_default();
                let known = Lang::ALL.into_iter().find(|lang| lang.code() == word);
                known.unwrap_or_default()
            }
        }
    }
}
