//! Which fields rules read, and which sources fill them.
//!
//! A rule that reads a field that no source fills can only match documents that come finished from elsewhere, such as those
//! of Elastic's endpoint; so the source `ecs`, which passes whatever it gets, fills nothing here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use neph_event::ANY_FIELD;
use neph_normalize::{SourceInfo, sources};
use neph_plan::Plan;
use neph_rules::Rule;

/// Fields that no source has to fill: where an event is stored, and the time that each has.
const OF_EVERY_EVENT: [&str; 4] = ["_id", "_index", "_made", "@timestamp"];

/// How a set of rules fares with the sources.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Number of rules.
    pub rules: usize,
    /// By source name: for each of its fields that rules read the number of rules.
    pub sources: BTreeMap<&'static str, SourceCoverage>,
    /// Fields that no source fills, with the names of the rules that read them.
    pub unfilled: BTreeMap<String, BTreeSet<String>>,
    /// By the folder that rules lie in.
    pub folders: BTreeMap<String, FolderCoverage>,
}

/// What a source is to the rules.
#[derive(Clone, Debug, Default)]
pub struct SourceCoverage {
    /// Fields that rules read and the source fills, with the number of rules.
    pub fields: BTreeMap<String, usize>,
    /// Names of the rules whose every field it fills.
    pub complete: BTreeSet<String>,
}

/// How the rules of one folder fare.
#[derive(Clone, Debug, Default)]
pub struct FolderCoverage {
    /// Number of rules.
    pub rules: usize,
    /// Rules whose every field some source fills.
    pub filled: usize,
    /// Rules whose every field one source fills, by source name.
    pub by_source: BTreeMap<&'static str, usize>,
}

/// The fields that a rule's query reads, beyond what every event has.
pub fn fields_of(plan: &Plan) -> BTreeSet<&str> {
    let read = plan.fields.iter().map(|field| &*field.path);
    read.filter(|path| !OF_EVERY_EVENT.contains(path) && *path != ANY_FIELD)
        .collect()
}

/// Whether a source fills a field: by its name, within a subtree that the vendor names, or as a part of it that is an object.
pub fn fills(info: &SourceInfo, field: &str) -> bool {
    info.fields()
        .iter()
        .any(|filled| match filled.strip_suffix(".*") {
            Some(prefix) => {
                field == prefix
                    || field
                        .strip_prefix(prefix)
                        .is_some_and(|rest| rest.starts_with('.'))
            }
            // `process.name.text` is the same value, analysed.
            None => *filled == field || field.strip_suffix(".text") == Some(*filled),
        })
}

/// Compares rules with all sources.
pub fn coverage(rules: &[Arc<Rule>]) -> Coverage {
    let own: Vec<&SourceInfo> = sources().iter().filter(|info| info.name != "ecs").collect();
    let mut coverage = Coverage {
        rules: rules.len(),
        ..Coverage::default()
    };
    // Thousands of rules read the same few hundred fields.
    let mut known: BTreeMap<String, Vec<bool>> = BTreeMap::new();
    for rule in rules {
        let Some(plan) = &rule.plan else { continue };
        let fields = fields_of(plan);
        let folder = coverage.folders.entry(folder_of(rule)).or_default();
        folder.rules += 1;
        let mut all = vec![true; own.len()];
        let mut is_filled = true;
        for field in fields {
            let by = known
                .entry(field.to_owned())
                .or_insert_with(|| own.iter().map(|info| fills(info, field)).collect());
            for ((info, fills), all) in own.iter().zip(by.iter()).zip(&mut all) {
                *all &= *fills;
                if *fills {
                    let source = coverage.sources.entry(info.name).or_default();
                    *source.fields.entry(field.to_owned()).or_default() += 1;
                }
            }
            if !by.contains(&true) {
                is_filled = false;
                let readers = coverage.unfilled.entry(field.to_owned()).or_default();
                readers.insert(rule.name.clone());
            }
        }
        folder.filled += usize::from(is_filled);
        for (info, _) in own.iter().zip(all).filter(|(_, all)| *all) {
            *folder.by_source.entry(info.name).or_default() += 1;
            let source = coverage.sources.entry(info.name).or_default();
            source.complete.insert(rule.name.clone());
        }
    }
    coverage
}

/// The folder of a rule's file; rules of exports go by the export's name.
fn folder_of(rule: &Rule) -> String {
    rule.origin.ruleset.clone()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::coverage;

    #[test]
    fn rules_are_compared_with_what_sources_fill() {
        let rule = |query: &str| {
            format!(
                "[rule]\nrule_id = \"r\"\nname = \"R\"\ndescription = \"d\"\nseverity = \"low\"\nrisk_score = 21\ntype = \"eql\"\nlanguage = \"eql\"\nquery = '''{query}'''\n"
            )
        };
        for (query, is_filled, by_cloudtrail) in [
            ("any where event.provider == \"x\"", true, true),
            (
                "any where aws.cloudtrail.flattened.request_parameters.a == \"x\"",
                true,
                true,
            ),
            (
                "any where event.provider == \"x\" and winlog.channel == \"y\"",
                true,
                false,
            ),
            (
                "any where event.provider == \"x\" and Ransomware.score > 3",
                false,
                false,
            ),
        ] {
            let set = neph_rules::load_text(Path::new("folder/r.toml"), rule(query));
            assert_eq!(set.rules.len(), 1, "{query}");
            let found = coverage(&set.rules);
            let folder = found.folders.values().next().unwrap();
            assert_eq!((folder.rules, folder.filled == 1), (1, is_filled), "{query}");
            assert_eq!(
                folder.by_source.contains_key("aws_cloudtrail"),
                by_cloudtrail,
                "{query}"
            );
            assert_eq!(
                found.unfilled.contains_key("Ransomware.score"),
                !is_filled,
                "{query}"
            );
        }
    }
}
