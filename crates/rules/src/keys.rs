//! Every key of Elastic's rule format: its shape, and what is done with it.
//!
//! The names are those of <https://github.com/elastic/detection-rules> (TOML) and of Kibana's rule API and export
//! (<https://www.elastic.co/docs/api/doc/kibana/operation/operation-createrule>).

use crate::rule::RuleKind;

/// A key of a table.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) effect: Effect,
}

/// What a value must look like.
#[derive(Debug)]
pub(crate) enum Shape {
    Text,
    /// A list of strings.
    Texts,
    /// A string or a list of strings.
    TextOrTexts,
    Integer,
    Boolean,
    Table(&'static [Key]),
    Tables(&'static [Key]),
    /// A list of anything.
    List,
    /// A table with whatever keys.
    AnyTable,
    /// Anything; its inside is not looked at.
    Any,
}

/// What is done with a key.
#[derive(Debug)]
pub(crate) enum Effect {
    /// It is honoured, or carried to where it is shown.
    Honoured,
    /// As before, and it must be there.
    Required,
    /// Nothing depends on it.
    None,
    /// It asks for something that is not done yet; the text says what does not happen.
    Later(&'static str),
    /// It belongs to rules of these types only.
    Of(&'static [RuleKind]),
}

const fn key(name: &'static str, shape: Shape, effect: Effect) -> Key {
    Key { name, shape, effect }
}

use Effect::{Honoured, Later, Of, Required};
use Shape::{Any, AnyTable, Boolean, Integer, List, Table, Tables, Text, TextOrTexts, Texts};

/// The top of a TOML file.
pub(crate) const FILE: &[Key] = &[
    key("metadata", Table(METADATA), Honoured),
    key("rule", Table(RULE), Required),
    key("transform", Table(TRANSFORM), Honoured),
];

const METADATA: &[Key] = &[
    key("creation_date", Text, Honoured),
    key("updated_date", Text, Honoured),
    key("deprecation_date", Text, Honoured),
    key("maturity", Text, Honoured),
    key("integration", TextOrTexts, Honoured),
    key("min_stack_version", Text, Honoured),
    key("min_stack_comments", Text, Honoured),
    // Switches of the build of Elastic's own rule package.
    key("bypass_bbr_timing", Boolean, Effect::None),
    key("promotion", Boolean, Effect::None),
    key("extended_lookback", Boolean, Effect::None),
    key("maturity_comments", Text, Effect::None),
    key("query_schema_validation", Boolean, Effect::None),
    key("source_integration", Text, Effect::None),
    key("local_creation_date", Text, Effect::None),
    key("os_type_list", Texts, Effect::None),
    key("comments", Text, Effect::None),
];

/// The keys of a rule.
pub(crate) const RULE: &[Key] = &[
    key("rule_id", Text, Required),
    key("name", Text, Required),
    key("description", Text, Required),
    key("type", Text, Required),
    key("severity", Text, Required),
    key("risk_score", Integer, Required),
    key("query", Text, Honoured),
    key("language", Text, Honoured),
    key("index", Texts, Honoured),
    key("author", Texts, Honoured),
    key("license", Text, Honoured),
    key("version", Integer, Honoured),
    key("references", Texts, Honoured),
    key("tags", Texts, Honoured),
    key("false_positives", Texts, Honoured),
    key("note", Text, Honoured),
    key("setup", Text, Honoured),
    key("investigation_fields", Table(INVESTIGATION_FIELDS), Honoured),
    key("threat", Tables(THREAT), Honoured),
    key("from", Text, Honoured),
    key("to", Text, Honoured),
    key("interval", Text, Honoured),
    key("max_signals", Integer, Honoured),
    key("timestamp_override", Text, Honoured),
    key("timestamp_field", Text, Honoured),
    key("event_category_override", Text, Honoured),
    key("tiebreaker_field", Text, Honoured),
    key("building_block_type", Text, Honoured),
    key("enabled", Boolean, Honoured),
    key("timeline_id", Text, Honoured),
    key("timeline_title", Text, Honoured),
    key("severity_mapping", Tables(SEVERITY_MAPPING), Honoured),
    key("risk_score_mapping", Tables(RISK_SCORE_MAPPING), Honoured),
    key("rule_name_override", Text, Honoured),
    // Its keys are checked where it is read.
    key("alert_suppression", AnyTable, Honoured),
    key("exceptions_list", Tables(EXCEPTION_LIST), Honoured),
    // Each is looked at where it is lowered.
    key("filters", Any, Honoured),
    // Kibana's own data view of security is everything.
    key("data_view_id", Text, Honoured),
    key("timestamp_override_fallback_disabled", Boolean, Honoured),
    key("response_actions", Any, Later("responses are not carried out")),
    key(
        "actions",
        Any,
        Later("nobody is notified: notifications are not sent from a rule's `actions`"),
    ),
    // Other types'.
    key("saved_id", Text, Of(&[RuleKind::SavedQuery])),
    key("new_terms", Table(NEW_TERMS), Of(&[RuleKind::NewTerms])),
    key("new_terms_fields", Texts, Of(&[RuleKind::NewTerms])),
    key("history_window_start", Text, Of(&[RuleKind::NewTerms])),
    key("threshold", Table(THRESHOLD), Of(&[RuleKind::Threshold])),
    key("threat_index", Texts, Of(&[RuleKind::ThreatMatch])),
    key("threat_indicator_path", Text, Of(&[RuleKind::ThreatMatch])),
    key("threat_language", Text, Of(&[RuleKind::ThreatMatch])),
    key(
        "threat_mapping",
        Tables(THREAT_MAPPING),
        Of(&[RuleKind::ThreatMatch]),
    ),
    key("threat_query", Text, Of(&[RuleKind::ThreatMatch])),
    key("threat_filters", Any, Of(&[RuleKind::ThreatMatch])),
    key("concurrent_searches", Integer, Of(&[RuleKind::ThreatMatch])),
    key("items_per_search", Integer, Of(&[RuleKind::ThreatMatch])),
    key("anomaly_threshold", Integer, Of(&[RuleKind::MachineLearning])),
    key(
        "machine_learning_job_id",
        TextOrTexts,
        Of(&[RuleKind::MachineLearning]),
    ),
    // Kibana's book-keeping.
    key("id", Text, Effect::None),
    key("created_at", Text, Effect::None),
    key("created_by", Text, Effect::None),
    key("updated_at", Text, Effect::None),
    key("updated_by", Text, Effect::None),
    key("revision", Integer, Effect::None),
    key("immutable", Boolean, Effect::None),
    key("rule_source", Any, Effect::None),
    key("related_integrations", Any, Honoured),
    key("required_fields", Any, Honoured),
    key("output_index", Text, Effect::None),
    key("namespace", Text, Honoured),
    key("meta", Any, Honoured),
    key("throttle", Any, Effect::None),
    key("outcome", Text, Effect::None),
    key("alias_target_id", Text, Effect::None),
    key("alias_purpose", Text, Effect::None),
    key("execution_summary", Any, Effect::None),
];

/// An exception list that a rule names; the list stands beside the rule in an export.
const EXCEPTION_LIST: &[Key] = &[
    key("id", Text, Honoured),
    key("list_id", Text, Required),
    key("type", Text, Honoured),
    key("namespace_type", Text, Honoured),
];

const INVESTIGATION_FIELDS: &[Key] = &[key("field_names", Texts, Required)];

const NEW_TERMS: &[Key] = &[
    key("field", Text, Honoured),
    key("value", Texts, Required),
    key("history_window_start", Tables(HISTORY_WINDOW_START), Required),
];

const HISTORY_WINDOW_START: &[Key] = &[key("field", Text, Honoured), key("value", Text, Required)];

const THRESHOLD: &[Key] = &[
    key("field", TextOrTexts, Honoured),
    key("value", Integer, Required),
    key("cardinality", Tables(CARDINALITY), Honoured),
];

const CARDINALITY: &[Key] = &[key("field", Text, Required), key("value", Integer, Required)];

const THREAT_MAPPING: &[Key] = &[key("entries", Tables(THREAT_ENTRIES), Required)];

const THREAT_ENTRIES: &[Key] = &[
    key("field", Text, Required),
    key("type", Text, Honoured),
    key("value", Text, Required),
    key("negate", Boolean, Honoured),
];

const THREAT: &[Key] = &[
    key("framework", Text, Required),
    key("tactic", Table(THREAT_ITEM), Required),
    key("technique", Tables(TECHNIQUE), Honoured),
];

const THREAT_ITEM: &[Key] = &[
    key("id", Text, Required),
    key("name", Text, Required),
    key("reference", Text, Required),
];

const TECHNIQUE: &[Key] = &[
    key("id", Text, Required),
    key("name", Text, Required),
    key("reference", Text, Required),
    key("subtechnique", Tables(THREAT_ITEM), Honoured),
];

const SEVERITY_MAPPING: &[Key] = &[
    key("field", Text, Required),
    key("operator", Text, Required),
    key("value", Text, Required),
    key("severity", Text, Required),
];

const RISK_SCORE_MAPPING: &[Key] = &[
    key("field", Text, Required),
    key("operator", Text, Required),
    key("value", Text, Required),
    key("risk_score", Integer, Effect::None),
];

const TRANSFORM: &[Key] = &[
    key("investigate", Tables(INVESTIGATE), Honoured),
    key("osquery", Tables(OSQUERY), Honoured),
];

/// A search that an analyst can start from the alert.
const INVESTIGATE: &[Key] = &[
    key("label", Text, Required),
    key("description", Text, Honoured),
    key("providers", Any, Honoured),
    key("relativeFrom", Text, Honoured),
    key("relativeTo", Text, Honoured),
];

const OSQUERY: &[Key] = &[
    key("label", Text, Required),
    key("query", Text, Required),
    key("ecs_mapping", Any, Effect::None),
];

/// A list file.
pub(crate) const LIST: &[Key] = &[
    key("name", Text, Honoured),
    key("type", Text, Honoured),
    key("description", Text, Honoured),
    key("owner", Text, Honoured),
    key("expires", Any, Honoured),
    key("ignore_case", Boolean, Honoured),
    key("entries", List, Required),
];

/// The same in comments before plain entries.
pub(crate) const LIST_HEAD: &[Key] = &[
    key("name", Text, Honoured),
    key("type", Text, Honoured),
    key("description", Text, Honoured),
    key("owner", Text, Honoured),
    key("expires", Text, Honoured),
    key("ignore_case", Boolean, Honoured),
];

pub(crate) const LIST_ENTRY: &[Key] = &[
    key("value", Any, Required),
    key("comment", Any, Honoured),
    key("expires", Any, Honoured),
];

/// A test file.
pub(crate) const TESTS: &[Key] = &[
    key("rules", TextOrTexts, Honoured),
    key("rule", TextOrTexts, Honoured),
    key("base", Any, Honoured),
    key("source", Text, Honoured),
    key("overlays", TextOrTexts, Honoured),
    key("lists", TextOrTexts, Honoured),
    key("mappings", TextOrTexts, Honoured),
    key("indicators", TextOrTexts, Honoured),
    key("description", Text, Honoured),
    key("cases", Tables(CASE), Required),
];

/// A case of a test file.
const CASE: &[Key] = &[
    key("name", Any, Required),
    key("description", Text, Honoured),
    key("rules", TextOrTexts, Honoured),
    key("rule", TextOrTexts, Honoured),
    key("base", Any, Honoured),
    key("source", Text, Honoured),
    key("overlays", TextOrTexts, Honoured),
    key("lists", TextOrTexts, Honoured),
    key("mappings", TextOrTexts, Honoured),
    key("indicators", TextOrTexts, Honoured),
    key("history", List, Honoured),
    key("events", List, Required),
    key("expect", Any, Required),
];

/// A scenario of the demonstration.
pub(crate) const SCENARIO: &[Key] = &[
    key("title", Text, Required),
    key("mission", Texts, Honoured),
    key("description", Text, Honoured),
    key("base", Any, Honoured),
    key("source", Text, Honoured),
    key("history", List, Honoured),
    key("phases", Tables(PHASE), Required),
    key("ru", Table(SCENARIO_TEXT), Honoured),
    key("zh", Table(SCENARIO_TEXT), Honoured),
];

const PHASE: &[Key] = &[
    key("name", Text, Required),
    key("source", Text, Honoured),
    key("events", List, Required),
    key("expect", Texts, Honoured),
];

const SCENARIO_TEXT: &[Key] = &[
    key("title", Text, Honoured),
    key("description", Text, Honoured),
    key("phases", Texts, Honoured),
];

/// An event of a case.
pub(crate) const CASE_EVENT: &[Key] = &[
    key("at", Any, Honoured),
    key("ecs", Any, Honoured),
    key("raw", Any, Honoured),
    key("file", Text, Honoured),
    key("source", Text, Honoured),
    key("repeat", Integer, Honoured),
    key("every", Any, Honoured),
    key("note", Text, Honoured),
];

/// An alert that a case expects.
pub(crate) const CASE_EXPECT: &[Key] = &[
    key("rule", Text, Honoured),
    key("count", Integer, Honoured),
    key("at_least", Integer, Honoured),
    key("fields", Any, Honoured),
];

/// The top of a file of texts in other languages.
pub(crate) const TEXTS: &[Key] = &[
    // A rule of Sigma has no place for a guide but this.
    key("en", Table(TEXT), Honoured),
    key("ru", Table(TEXT), Honoured),
    key("zh", Table(TEXT), Honoured),
    // By ids of rules; the inside is checked where it is read.
    key("rules", AnyTable, Honoured),
];

/// The texts of one of several rules.
pub(crate) const TEXTS_OF_RULE: &[Key] = &[
    key("en", Table(TEXT), Honoured),
    key("ru", Table(TEXT), Honoured),
    key("zh", Table(TEXT), Honoured),
];

const TEXT: &[Key] = &[
    key("name", Text, Honoured),
    key("description", Text, Honoured),
    key("false_positives", Texts, Honoured),
    key("note", Text, Honoured),
];

/// An overlay.
pub(crate) const OVERLAY: &[Key] = &[
    key("name", Text, Honoured),
    key("description", Text, Honoured),
    key("owner", Text, Honoured),
    key("reason", Text, Honoured),
    key("expires", Any, Honoured),
    key("select", Table(SELECT), Required),
    key("pins", Tables(PIN), Honoured),
    key("exceptions", Tables(OVERLAY_EXCEPTION), Honoured),
    key("severity", Text, Honoured),
    key("risk_score", Integer, Honoured),
    key("suppression", Any, Honoured),
    key("schedule", Table(OVERLAY_SCHEDULE), Honoured),
    key("max_signals", Integer, Honoured),
    key("enabled", Boolean, Honoured),
];

const SELECT: &[Key] = &[
    key("ids", TextOrTexts, Honoured),
    key("tags", TextOrTexts, Honoured),
    key("techniques", TextOrTexts, Honoured),
];

const PIN: &[Key] = &[
    key("rule", Text, Required),
    key("version", Any, Honoured),
    key("reads", TextOrTexts, Honoured),
];

const OVERLAY_EXCEPTION: &[Key] = &[
    key("name", Text, Honoured),
    key("description", Text, Honoured),
    key("owner", Text, Honoured),
    key("reason", Text, Honoured),
    key("expires", Any, Honoured),
    key("when", Text, Honoured),
    key("language", Text, Honoured),
    // Its keys are names of fields.
    key("fields", AnyTable, Honoured),
];

const OVERLAY_SCHEDULE: &[Key] = &[key("interval", Text, Honoured), key("from", Text, Honoured)];

pub(crate) const SUPPRESSION: &[Key] = &[
    key("group_by", Texts, Honoured),
    key("duration", Any, Honoured),
    key("missing_fields_strategy", Text, Honoured),
];

/// An item of one of Kibana's exception lists. What is Kibana's book-keeping is not looked at.
pub(crate) const EXCEPTION_ITEM: &[Key] = &[
    key("item_id", Text, Honoured),
    key("list_id", Text, Required),
    key("name", Text, Honoured),
    key("description", Text, Honoured),
    key("type", Text, Honoured),
    key("namespace_type", Text, Honoured),
    key("entries", List, Required),
    key("os_types", Texts, Honoured),
    key("expire_time", Text, Honoured),
    key("comments", Any, Honoured),
    key("tags", Any, Honoured),
    key("meta", Any, Honoured),
    key("_version", Any, Honoured),
    key("id", Any, Honoured),
    key("created_at", Any, Honoured),
    key("created_by", Any, Honoured),
    key("updated_at", Any, Honoured),
    key("updated_by", Any, Honoured),
    key("tie_breaker_id", Any, Honoured),
];
