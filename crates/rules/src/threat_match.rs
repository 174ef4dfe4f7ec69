//! Rules of type `threat_match`: events whose values indicators name.
//!
//! `threat_query` and `threat_filters` choose among the indicators that are given, `threat_mapping` says which field of an
//! event is compared with which of an indicator: a list of groups, of which one must agree, each a list of entries that
//! must all agree in one indicator. An entry with `negate` must not agree.
//! <https://www.elastic.co/docs/solutions/security/detect-and-alert/create-detection-rule#create-indicator-rule>

use std::sync::Arc;

use neph_diag::{Diagnostic, Span};
use neph_engine::{Matcher, Origin, Program, Record};
use neph_event::{Exactness, Field, FieldType, Row, Schema, Slot, Slots};
use neph_plan::{
    Case, CellKind, Condition, FieldId, Key, Lookup, LookupColumn, LookupTable, Plan, Span as QuerySpan, Test,
};
use serde::Serialize;

use crate::codes;
use crate::indicators::Indicators;
use crate::report::Reason;
use crate::rule::Rule;
use crate::windows::{self, Settings};
use neph_document::{Node, Table};

/// Where an indicator stands in its document, unless the rule says otherwise.
const INDICATOR_PATH: &str = "threat.indicator";

/// Settings of a rule of type `threat_match`.
#[derive(Clone, Debug, Serialize)]
pub struct ThreatMatch {
    /// Which of the indicators count.
    pub query: String,
    /// The language of that query.
    pub language: String,
    /// Index patterns of the indicators, as written.
    pub index: Vec<String>,
    /// The object of an indicator's document that alerts are enriched with.
    pub indicator_path: String,
    /// The groups of entries.
    pub mapping: Vec<ThreatGroup>,
    /// The plan of `query`, with `threat_filters` and `threat_index` in it.
    #[serde(skip)]
    pub(crate) selection: Option<Plan>,
    /// The indicators that the tables of the groups point into.
    #[serde(skip)]
    pub(crate) indicators: Arc<Indicators>,
}

/// Entries that must all agree in one indicator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ThreatGroup {
    /// The entries.
    pub entries: Vec<ThreatEntry>,
    /// The values of the chosen indicators.
    #[serde(skip)]
    pub(crate) table: Arc<LookupTable>,
    /// The fields of the event, typed.
    #[serde(skip)]
    pub(crate) fields: Vec<Arc<Field>>,
}

/// A field of the event and the field of the indicator that it is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ThreatEntry {
    /// The field of the event.
    pub field: String,
    /// The field of the indicator.
    pub value: String,
    /// Whether they must not agree.
    pub negate: bool,
}

impl PartialEq for ThreatMatch {
    /// By what the rule says; which indicators there are is no part of it.
    fn eq(&self, other: &Self) -> bool {
        let entries = |threat: &Self| -> Vec<Vec<ThreatEntry>> {
            threat.mapping.iter().map(|group| group.entries.clone()).collect()
        };
        self.query == other.query
            && self.language == other.language
            && self.index == other.index
            && self.indicator_path == other.indicator_path
            && entries(self) == entries(other)
    }
}
impl Eq for ThreatMatch {}

/// Reads the settings; the plan of the query is added by whoever compiles it.
pub(crate) fn read(table: &Table, place: Span, diagnostics: &mut Vec<Diagnostic>) -> Option<Settings> {
    for key in ["threat_query", "threat_index", "threat_mapping"] {
        if table.get(key).is_none() {
            let message = format!("`{key}` is missing");
            let help =
                "a rule of type `threat_match` says which indicators count and which fields are compared";
            diagnostics.push(Diagnostic::new(&codes::KEY_MISSING, place, message).with_help(help));
        }
    }
    let mapping = table.entry("threat_mapping")?;
    let mut reader = Reader {
        diagnostics,
        fields: Vec::new(),
    };
    let groups: Vec<ThreatGroup> = mapping
        .value
        .items()
        .iter()
        .filter_map(|node| reader.group(node))
        .collect();
    let fields = reader.fields;
    if groups.is_empty() {
        let message = "`threat_mapping` compares nothing".to_owned();
        let help = "name a field of the event and a field of the indicator: `entries = [{ field = \"source.ip\", \
                    type = \"mapping\", value = \"threat.indicator.ip\" }]`";
        diagnostics.push(Diagnostic::new(&codes::VALUE, mapping.key_span, message).with_help(help));
        return None;
    }
    let path = table.trimmed("threat_indicator_path");
    Some(Settings::new(
        windows::Condition::ThreatMatch(Box::new(ThreatMatch {
            query: table.text("threat_query").unwrap_or("").to_owned(),
            language: table.text("threat_language").unwrap_or("kuery").to_owned(),
            index: table.texts("threat_index"),
            indicator_path: if path.is_empty() {
                INDICATOR_PATH.into()
            } else {
                path
            },
            mapping: groups,
            selection: None,
            indicators: Arc::default(),
        })),
        fields,
    ))
}

struct Reader<'a> {
    diagnostics: &'a mut Vec<Diagnostic>,
    /// The fields of events, in the order of the entries.
    fields: Vec<(String, Span)>,
}

impl Reader<'_> {
    fn group(&mut self, node: &Node) -> Option<ThreatGroup> {
        let mut entries = Vec::new();
        let mut fields = Vec::new();
        for (entry, place) in node.as_table()?.tables("entries") {
            let word = entry.trimmed("type");
            if !word.is_empty() && word != "mapping" {
                let place = entry.get("type").map_or(place, |node| node.span);
                let message = format!("`{word}` is not a type of entry");
                self.diagnostics.push(
                    Diagnostic::new(&codes::VALUE, place, message).with_help("the one type is `mapping`"),
                );
            }
            let (field, value) = (entry.trimmed("field"), entry.trimmed("value"));
            for (key, text) in [("field", &field), ("value", &value)] {
                if text.is_empty() && entry.get(key).is_some() {
                    let place = entry.get(key).map_or(place, |node| node.span);
                    let message = format!("`{key}` of an entry is empty");
                    self.diagnostics
                        .push(Diagnostic::new(&codes::VALUE, place, message).with_help("name a field"));
                }
            }
            if field.is_empty() || value.is_empty() {
                continue;
            }
            fields.push((field.clone(), entry.get("field").map_or(place, |node| node.span)));
            entries.push(ThreatEntry {
                field,
                value,
                negate: entry.boolean("negate").unwrap_or(false),
            });
        }
        if entries.is_empty() {
            return None;
        }
        // The real columns are known when the fields are.
        let columns: Vec<LookupColumn> = entries
            .iter()
            .map(|entry| column(entry, CellKind::Address))
            .collect();
        let Some(table) = LookupTable::new(&columns) else {
            let message =
                "every entry of the group is negated, so that no indicator could be found".to_owned();
            let help = "compare at least one field without `negate` in each group";
            self.diagnostics
                .push(Diagnostic::new(&codes::VALUE, node.span, message).with_help(help));
            return None;
        };
        self.fields.append(&mut fields);
        Some(ThreatGroup {
            entries,
            table: Arc::new(table),
            fields: Vec::new(),
        })
    }
}

fn column(entry: &ThreatEntry, kind: CellKind) -> LookupColumn {
    LookupColumn {
        kind,
        negated: entry.negate,
    }
}

/// How a field of an event compares with indicators: addresses as addresses, everything else as a whole text.
fn kind_of(field: &Field) -> CellKind {
    if field.kind == FieldType::Ip {
        return CellKind::Address;
    }
    let def = Schema::builtin().get(&field.path);
    let folds =
        field.kind == FieldType::Text || def.is_some_and(|def| def.exactness == Exactness::Normalized);
    CellKind::Text(if folds { Case::Insensitive } else { Case::Sensitive })
}

/// The condition that one group agrees. Its tables are empty until [`bind`] fills them, so that nothing agrees.
/// `keys` are the fields of all entries, in order.
pub(crate) fn condition(threat: &mut ThreatMatch, keys: &[Key], fields: &[Arc<Field>]) -> Condition {
    let mut keys = keys.iter();
    let mut groups = Vec::new();
    for group in &mut threat.mapping {
        let ids: Vec<FieldId> = keys
            .by_ref()
            .take(group.entries.len())
            .filter_map(|key| key.field)
            .collect();
        group.fields = ids
            .iter()
            .filter_map(|id| fields.get(id.0 as usize).cloned())
            .collect();
        let Some(table) = empty_table(group) else { continue };
        group.table = Arc::new(table);
        groups.push(Condition::leaf(
            Test::Lookup(Lookup {
                fields: ids,
                table: Arc::clone(&group.table),
            }),
            QuerySpan::default(),
        ));
    }
    Condition::any(groups)
}

fn empty_table(group: &ThreatGroup) -> Option<LookupTable> {
    let pairs = group.entries.iter().zip(&group.fields);
    let columns: Vec<LookupColumn> = pairs
        .map(|(entry, field)| column(entry, kind_of(field)))
        .collect();
    LookupTable::new(&columns)
}

/// Lets the query of indicators read networks where its schema has addresses: a network is no address, and as the value of
/// such a field it would be as good as missing.
pub(crate) fn admit_networks(selection: &mut Plan) {
    for field in &mut selection.fields {
        if field.kind == FieldType::Ip {
            *field = Field::new(field.path.clone(), FieldType::Dynamic).into();
        }
    }
}

/// Gives all rules of this type among `rules` the indicators that their queries choose. For each rule that has none the
/// reason is given, with the rule's position.
pub(crate) fn bind(rules: &mut [Arc<Rule>], indicators: &Arc<Indicators>) -> Vec<(usize, Reason)> {
    let mut bound = Vec::new();
    let is_bound = |rule: &Rule| matches!(rule.condition, windows::Condition::ThreatMatch(_));
    for (position, rule) in rules.iter_mut().enumerate().filter(|(_, rule)| is_bound(rule)) {
        let rule = Arc::make_mut(rule);
        if let windows::Condition::ThreatMatch(threat) = &mut rule.condition
            && let Some(plan) = &mut rule.plan
        {
            bound.push((position, &mut **threat, plan));
        }
    }
    if bound.is_empty() {
        return Vec::new();
    }
    let chosen = choose(&bound, indicators);
    let mut reasons = Vec::new();
    for ((position, threat, plan), chosen) in bound.into_iter().zip(chosen) {
        if chosen.is_empty() {
            let given = indicators.len() as u64;
            reasons.push((position, Reason::IndicatorsMissing { given }));
            continue;
        }
        threat.indicators = Arc::clone(indicators);
        for group in &mut threat.mapping {
            let Some(table) = filled(group, &chosen, indicators) else {
                continue;
            };
            let empty = std::mem::replace(&mut group.table, Arc::new(table));
            for condition in plan.query.conditions_mut() {
                condition.for_each_leaf_mut(&mut |leaf| {
                    if let Test::Lookup(lookup) = &mut leaf.test
                        && lookup.table == empty
                    {
                        lookup.table = Arc::clone(&group.table);
                    }
                });
            }
        }
    }
    reasons
}

/// The numbers of the indicators that each rule's query chooses; all queries run over an indicator at once.
fn choose(bound: &[(usize, &mut ThreatMatch, &mut Plan)], indicators: &Indicators) -> Vec<Vec<u32>> {
    let mut chosen = vec![Vec::new(); bound.len()];
    let plans: Vec<&Plan> = bound
        .iter()
        .filter_map(|(_, threat, _)| threat.selection.as_ref())
        .collect();
    // A rule whose indicator query does not compile is rejected before it comes here.
    debug_assert_eq!(plans.len(), bound.len());
    let (program, _) = Program::compile(plans);
    let mut matcher = Matcher::new(Arc::new(program));
    let origin = Origin {
        source: "".into(),
        line: 0,
    };
    for (number, indicator) in (0_u32..).zip(indicators.iter()) {
        if matcher.read(&indicator.document).is_err() {
            continue;
        }
        let record = Record {
            document: &indicator.document,
            id: Some(&indicator.id),
            index: indicator.index.as_deref(),
            position: u64::from(number),
            origin: &origin,
        };
        matcher.matches(&record, |found| {
            if let Some(chosen) = chosen.get_mut(found.rule.0 as usize) {
                chosen.push(number);
            }
        });
    }
    chosen
}

fn filled(group: &ThreatGroup, chosen: &[u32], indicators: &Indicators) -> Option<LookupTable> {
    let mut table = empty_table(group)?;
    let mut slots = Slots::default();
    // Values of indicators are read as written: a field of addresses would refuse networks.
    let columns: Vec<Slot> = group
        .entries
        .iter()
        .map(|entry| slots.add(Field::new(entry.value.as_str(), FieldType::Dynamic)))
        .collect();
    let mut row = Row::default();
    for number in chosen {
        let Some(indicator) = indicators.get(*number) else {
            continue;
        };
        if row.read(&slots, &indicator.document).is_err() {
            continue;
        }
        // An indicator takes part in a group where it has all of the group's fields.
        if columns.iter().any(|slot| row.values(*slot).len() == 0) {
            continue;
        }
        for (column, slot) in columns.iter().enumerate() {
            for value in row.values(*slot) {
                table.add(*number, column, &value.to_string());
            }
        }
    }
    Some(table)
}
