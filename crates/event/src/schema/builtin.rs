//! The shipped schema, read from the table that `cargo xtask refresh-schema` makes.

use std::sync::Arc;

use ahash::AHashMap;

use super::{Exactness, FieldDef, Schema, kind_of};
use crate::FieldType;

const TABLE: &str = include_str!("../../data/schema.tsv");

/// What our own sources fill beyond it: `field⇥type⇥datasets`, with the type `ecs` for a field that the table has.
/// `cargo xtask own-fields` makes it.
const OWN: &str = include_str!("../../data/own.tsv");

/// Reads the table. Its lines are `=⇥version`, `+⇥source⇥version` and `field⇥type⇥sources`, where sources are positions
/// in the list of sources before. The type is `[sub] TYPE [normalized] [keys=TYPE]`: `sub` for a multi-field, which
/// reads the path of its parent.
pub(super) fn read() -> Schema {
    let mut schema = Schema {
        fields: Vec::with_capacity(TABLE.len() / 48),
        strict: false,
        version: Box::default(),
        category_field: "event.category".into(),
        timestamp_field: "@timestamp".into(),
        tiebreaker_field: None,
    };
    let mut sources: Vec<&'static str> = Vec::new();
    // Fields that are filled together share one list.
    let mut lists: AHashMap<&'static str, Arc<[&'static str]>> = AHashMap::new();
    // There are few types, so each is understood once.
    let mut types: AHashMap<&'static str, FieldDef> = AHashMap::new();
    for line in TABLE.lines() {
        let mut columns = line.split('\t');
        match (columns.next(), columns.next(), columns.next()) {
            (Some("="), Some(version), _) => schema.version = version.into(),
            (Some("+"), Some(source), _) => sources.push(source),
            (Some(name), Some(words), Some(numbers)) => {
                let list = lists.entry(numbers).or_insert_with(|| {
                    let positions = numbers
                        .split(',')
                        .filter_map(|number| number.parse::<usize>().ok());
                    positions
                        .filter_map(|position| sources.get(position).copied())
                        .collect()
                });
                let mut def = types.entry(words).or_insert_with(|| definition(words)).clone();
                def.name = name.into();
                def.field.path = match name.rsplit_once('.') {
                    Some((parent, _)) if words.starts_with(SUB) => parent.into(),
                    _ => name.into(),
                };
                def.sources = Arc::clone(list);
                schema.fields.push(def);
            }
            _ => {}
        }
    }
    // The table is sorted; this makes sure of it, and costs one look at each row.
    schema.fields.sort_by(|a, b| a.name.cmp(&b.name));
    add_own(&mut schema.fields);
    schema
}

fn add_own(fields: &mut Vec<FieldDef>) {
    for line in OWN.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        let (Some(name), Some(words), Some(datasets)) = (columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        let sources: Arc<[&'static str]> = datasets.split(',').collect();
        match fields.binary_search_by(|def| (*def.name).cmp(name)) {
            Ok(position) => {
                if let Some(def) = fields.get_mut(position) {
                    def.sources = sources;
                }
            }
            Err(position) => {
                let mut def = definition(words);
                def.name = name.into();
                def.field.path = name.into();
                def.sources = sources;
                fields.insert(position, def);
            }
        }
    }
}

/// Begins the type of a multi-field.
const SUB: &str = "sub ";

/// The definition of a field of this type, without a name.
fn definition(words: &'static str) -> FieldDef {
    let mut def = FieldDef::new("", "", FieldType::Dynamic);
    for word in words.trim_start_matches(SUB).split(' ') {
        if word == "normalized" {
            def.exactness = Exactness::Normalized;
        } else if let Some(keys) = word.strip_prefix("keys=") {
            def.keys = Some(kind(keys).0);
        } else {
            def.type_name = word.into();
            (def.field.kind, def.exactness) = kind(word);
            if word == "flattened" {
                def.keys = Some(FieldType::Keyword);
            }
        }
    }
    def
}

/// The kind of a type, where dates keep their nanoseconds: sources write them, and nothing is stored that could drop them.
fn kind(type_name: &str) -> (FieldType, Exactness) {
    match kind_of(type_name) {
        Some((FieldType::Date, exactness)) => (FieldType::DateNanos, exactness),
        Some(known) => known,
        None => (FieldType::Dynamic, Exactness::Exact),
    }
}
