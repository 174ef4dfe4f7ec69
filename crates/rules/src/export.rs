//! Rules out: as Kibana's import takes them, one JSON object a line, and as TOML of
//! <https://github.com/elastic/detection-rules>.
//!
//! A rule of Elastic is taken from its file again, so that every key survives; keys that the TOML form writes in a way of
//! its own (`new_terms`, `threshold`) are turned into those of the API. A Sigma rule is converted to EQL.
//! <https://www.elastic.co/docs/api/doc/kibana/operation/operation-importrules>

use serde_json::{Map, Value, json};

use crate::codes;
use crate::convert;
use crate::file::Format;
use crate::report::{LoadReport, RuleReport};
use crate::rule::{Rule, RuleKind};
use neph_document::{Data, Node, Table};

/// Keys that the API requires of every rule, or that its exports always have, and what they are without a word of the rule.
fn defaults(rule: &Rule) -> Vec<(&'static str, Value)> {
    vec![
        ("version", json!(rule.version.unwrap_or(1))),
        ("immutable", json!(false)),
        ("enabled", json!(rule.enabled)),
        ("interval", json!(rule.schedule.interval)),
        ("from", json!(rule.schedule.from)),
        ("to", json!(rule.schedule.to)),
        ("max_signals", json!(rule.max_signals)),
        ("author", json!([])),
        ("tags", json!([])),
        ("references", json!([])),
        ("false_positives", json!([])),
        ("threat", json!([])),
        ("severity_mapping", json!([])),
        ("risk_score_mapping", json!([])),
        ("exceptions_list", json!([])),
        ("actions", json!([])),
        ("related_integrations", json!([])),
        ("required_fields", json!([])),
    ]
}

/// The rule as an object of Kibana's API.
///
/// # Errors
/// Says why the rule cannot be expressed there.
pub fn to_api(rule: &Rule, report: &RuleReport, load: &LoadReport) -> Result<Map<String, Value>, String> {
    let mut out = match rule.kind {
        RuleKind::Sigma | RuleKind::SigmaCorrelation => convert::to_eql(rule)?,
        _ => as_written(rule, report, load)?,
    };
    for (key, value) in defaults(rule) {
        if !out.contains_key(key) {
            out.insert(key.to_owned(), value);
        }
    }
    out.insert("immutable".into(), json!(false));
    Ok(out)
}

/// The rule as a TOML file. The metadata are the file's own.
///
/// # Errors
/// Says why the rule cannot be expressed.
pub fn to_toml(rule: &Rule, report: &RuleReport, load: &LoadReport) -> Result<String, String> {
    let mut object = match rule.kind {
        RuleKind::Sigma | RuleKind::SigmaCorrelation => convert::to_eql(rule)?,
        _ => as_written(rule, report, load)?,
    };
    object.retain(|_, value| !value.is_null() && *value != json!([]));
    let metadata = &rule.metadata;
    let date = |date: &Option<String>| date.as_ref().map(|date| date.replace('-', "/"));
    let mut table = toml::Table::new();
    let mut own = toml::Table::new();
    for (key, value) in [
        ("creation_date", date(&metadata.creation_date)),
        (
            "updated_date",
            date(&metadata.updated_date).or(date(&metadata.creation_date)),
        ),
        (
            "maturity",
            Some(maturity(metadata.maturity.as_deref()).to_owned()),
        ),
    ] {
        if let Some(value) = value {
            own.insert(key.into(), toml::Value::String(value));
        }
    }
    if !metadata.integration.is_empty() {
        let names = metadata.integration.iter().cloned().map(toml::Value::String);
        own.insert("integration".into(), toml::Value::Array(names.collect()));
    }
    table.insert("metadata".into(), toml::Value::Table(own));
    let inner = toml::Value::try_from(toml_keys(object))
        .map_err(|error| format!("it cannot be written as TOML: {error}"))?;
    table.insert("rule".into(), inner);
    toml::to_string_pretty(&table).map_err(|error| format!("it cannot be written as TOML: {error}"))
}

/// Sigma's words for how far a rule has come, in Elastic's.
fn maturity(word: Option<&str>) -> &str {
    match word {
        Some("stable" | "test") | None => "production",
        Some("experimental") => "development",
        Some("deprecated" | "unsupported") => "deprecated",
        Some(other) => other,
    }
}

/// The settings in the form of TOML files, which have tables for what the API has keys for.
fn toml_keys(mut object: Map<String, Value>) -> Map<String, Value> {
    if let (Some(fields), Some(start)) = (
        object.remove("new_terms_fields"),
        object.remove("history_window_start"),
    ) {
        let starts = json!([{"field": "history_window_start", "value": start}]);
        let table = json!({"field": "new_terms_fields", "value": fields, "history_window_start": starts});
        object.insert("new_terms".into(), table);
    }
    object
}

/// The rule's own keys, from its file.
fn as_written(rule: &Rule, report: &RuleReport, load: &LoadReport) -> Result<Map<String, Value>, String> {
    let unreadable = || "its file can no longer be read".to_owned();
    let file = load.files.get(report.file).ok_or_else(unreadable)?;
    let mut out = match Format::of(&file.path) {
        Some(Format::Toml) => {
            let (table, _) = neph_document::toml::parse(&file.text, &codes::SYNTAX);
            table.table("rule").map(object_of)
        }
        Some(Format::Eql) => Some(bare(rule)),
        Some(Format::Json | Format::Ndjson) => find(&file.text, rule).map(|table| object_of(&table)),
        Some(Format::Sigma) | None => None,
    }
    .ok_or_else(unreadable)?;
    if let Some(Value::Object(terms)) = out.remove("new_terms") {
        let start = terms
            .get("history_window_start")
            .and_then(|starts| starts.get(0)?.get("value"))
            .cloned();
        out.insert(
            "new_terms_fields".into(),
            terms.get("value").cloned().unwrap_or_default(),
        );
        out.insert("history_window_start".into(), start.unwrap_or_default());
    }
    if let Some(Value::Object(threshold)) = out.get_mut("threshold") {
        let fields: Vec<Value> = match threshold.remove("field") {
            Some(Value::String(field)) if field.is_empty() => Vec::new(),
            Some(Value::String(field)) => vec![Value::String(field)],
            Some(Value::Array(fields)) => fields,
            _ => Vec::new(),
        };
        threshold.insert("field".into(), Value::Array(fields));
        if !threshold.contains_key("cardinality") {
            threshold.insert("cardinality".into(), json!([]));
        }
    }
    // Searches that the TOML form keeps apart stand in the guide there.
    if let Some(note) = &rule.note {
        out.insert("note".into(), json!(note));
    }
    if !matches!(rule.kind, RuleKind::MachineLearning) && !out.contains_key("language") {
        out.insert("language".into(), json!(rule.language));
    }
    // Book-keeping of the stack that the rule was exported from.
    for key in [
        "id",
        "created_at",
        "created_by",
        "updated_at",
        "updated_by",
        "revision",
        "execution_summary",
        "outcome",
        "rule_source",
    ] {
        out.remove(key);
    }
    Ok(out)
}

/// The keys of a rule that is nothing but its query.
fn bare(rule: &Rule) -> Map<String, Value> {
    let keys = [
        ("rule_id", json!(rule.id)),
        ("name", json!(rule.name)),
        ("description", json!(rule.name)),
        ("type", json!(rule.kind.word())),
        ("language", json!(rule.language)),
        ("query", json!(rule.query)),
        ("severity", json!(rule.severity.word())),
        ("risk_score", json!(rule.risk_score)),
    ];
    keys.into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// The rule's object in a file of one or many.
fn find(text: &str, rule: &Rule) -> Option<Table> {
    let is_it = |table: &Table| table.text("rule_id") == Some(rule.id.as_str());
    let pick = |node: &Node| {
        let table = node.as_table()?;
        let inner = table
            .table("attributes")
            .filter(|_| table.text("type") == Some("security-rule"));
        let table = inner.unwrap_or(table);
        is_it(table).then(|| table.clone())
    };
    if let Ok(root) = neph_document::json::parse(text, 0, &codes::SYNTAX) {
        return pick(&root).or_else(|| root.items().iter().find_map(pick));
    }
    text.lines()
        .find_map(|line| pick(&neph_document::json::parse(line.trim(), 0, &codes::SYNTAX).ok()?))
}

fn object_of(table: &Table) -> Map<String, Value> {
    table
        .entries
        .iter()
        .filter(|entry| !matches!(entry.value.data, Data::Null))
        .map(|entry| (entry.key.clone(), value_of(&entry.value)))
        .collect()
}

fn value_of(node: &Node) -> Value {
    match &node.data {
        Data::Null | Data::Date => Value::Null,
        Data::Bool(truth) => json!(truth),
        Data::Integer(number) => json!(number),
        Data::Number(number) => json!(number),
        Data::Text(text) => json!(text),
        Data::List(items) => Value::Array(items.iter().map(value_of).collect()),
        Data::Table(table) => Value::Object(object_of(table)),
    }
}
