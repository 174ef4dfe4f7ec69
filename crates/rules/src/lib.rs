//! Rule files and their load report, and the alerts that matches become.
//!
//! - [`load`]: files and folders of rules to a [`RuleSet`], with a [`LoadReport`] in which every rule is exactly one of
//!   active, degraded and rejected.
//! - [`Library`]: the same again and again while the files change.
//! - [`Rule`]: a rule as its file states it, with the plan that its query became.
//! - [`alert`]: a match of the engine and its rule to an alert, an ECS document that explains itself.
//! - [`grouping`]: what happens beyond a rule's `max_signals`.
//!
//! The formats are Sigma's (<https://github.com/SigmaHQ/sigma-specification>) and Elastic's: the TOML of <https://github.com/elastic/detection-rules> and Kibana's NDJSON export; and a
//! bare query in a file `*.eql`.
//!
//! **Architecture invariant:** everything wrong in a rule file is a diagnostic with a span of that file; nothing here
//! reads events; the only plans that run here choose among indicators.

pub mod alert;
mod alert_flow;
mod bare;
mod builtin;
pub mod catalogue;
mod check;
mod codes;
mod compile;
mod convert;
pub mod describe;
mod elastic;
mod embedded;
mod exceptions;
pub mod export;
mod file;
mod files;
mod filters;
pub mod grouping;
mod guide;
mod impossible;
mod indicators;
mod keys;
mod kuery;
mod library;
pub mod lists;
mod load;
pub mod matrix;
mod mutants;
mod overlay;
mod parallel;
mod report;
mod rule;
pub mod rule_tests;
mod schedule;
mod scope;
mod shared_text;
mod sigma;
mod suppression;
mod suppressor;
mod texts;
mod threat;
mod threat_match;
mod to_eql;
mod to_lucene_regex;
mod upkeep;
mod windows;
mod yaml_document;

pub use alert::{Alert, AlertBuilder, Document, alert_id};
pub use alert_flow::{AlertFlow, Suppressed, Told, unchanged};
pub use builtin::{BUILTIN, BUILTIN_DEMO, BUILTIN_LISTS, BUILTIN_RULES, builtin_files, is_builtin};
pub use codes::CODES;
pub use exceptions::{ExceptionListRef, ExceptionSource, RuleException};
pub use files::Snapshot;
pub use grouping::Grouping;
pub use indicators::{IndicatorFile, Indicators};
pub use library::{Library, Reuse};
pub use lists::{List, ListKind, Lists};
pub use load::{LoadOptions, RuleSet, load, load_text, load_text_with, load_with};
pub use mutants::{Mutant, mutants};
pub use overlay::OverlayReport;
pub use report::{Counts, Failure, IgnoredFile, LoadReport, Reason, RuleFile, RuleReport, RuleState};
pub use rule::{
    Metadata, Rule, RuleKind, RuleOrigin, RuleSeverity, SeverityMapping, Technique, Threat, ThreatItem,
    Tuning,
};
pub use schedule::{Schedule, parse_date_math, parse_interval};
pub use scope::{Belongs, IndexScope, Look};
pub use shared_text::SharedText;
pub use suppression::{GroupField, Suppression};
pub use texts::{Lang, RuleText, Texts};
pub use threat_match::{ThreatEntry, ThreatGroup, ThreatMatch};
pub use upkeep::Upkeep;
pub use windows::{Cardinality, Condition, NewTerms, Threshold};
