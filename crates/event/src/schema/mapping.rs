//! Mapping files: what Elasticsearch knows of an index's fields, read into a [`Schema`].

use ahash::AHashMap;
use serde_json::{Map, Value as Json};

use super::{Exactness, FieldDef, Schema, kind_of};
use crate::{DateFormat, EventId, Field, FieldType, Value, ValueRef};

/// Why a mapping file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// The text is no JSON.
    #[error("the mapping is not valid JSON: {0}")]
    Invalid(#[from] serde_json::Error),
    /// Parts of the mapping have the wrong shape; each problem names its key.
    #[error("the mapping is not valid: {}", .0.join("; "))]
    Shape(Vec<String>),
}

pub(super) fn read(json: &str) -> Result<Schema, MappingError> {
    let root: Json = serde_json::from_str(json)?;
    let mut reader = Reader::default();
    let mut schema = Schema {
        fields: Vec::new(),
        strict: true,
        // A mapping has no version of its own; its hash tells one from another.
        version: EventId::of_bytes(json.as_bytes()).as_str().into(),
        category_field: "event.category".into(),
        timestamp_field: "@timestamp".into(),
        tiebreaker_field: None,
    };
    if let Some(root) = reader.object(&root, "the mapping") {
        for (key, field) in [
            ("event_category_field", &mut schema.category_field),
            ("timestamp_field", &mut schema.timestamp_field),
        ] {
            if let Some(name) = reader.text(root, key, "") {
                *field = name.into();
            }
        }
        schema.tiebreaker_field = reader.text(root, "tiebreaker_field", "").map(Into::into);
        reader.root(root);
    }
    reader.resolve_aliases();
    if !reader.problems.is_empty() {
        return Err(MappingError::Shape(reader.problems));
    }
    schema.fields = reader.fields.into_values().collect();
    schema.fields.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(schema)
}

#[derive(Default)]
struct Reader {
    fields: AHashMap<String, FieldDef>,
    /// Aliases and the paths that they stand for.
    aliases: Vec<(String, String)>,
    problems: Vec<String>,
}

impl Reader {
    fn root(&mut self, root: &Map<String, Json>) {
        let mappings = match root.get("mappings") {
            Some(mappings) => self.object(mappings, "mappings"),
            None => Some(root),
        };
        let Some(mappings) = mappings else { return };
        let mut found = self.index(mappings);
        if let Some(indices) = root
            .get("indices")
            .and_then(|indices| self.object(indices, "indices"))
        {
            for (index, properties) in indices {
                found = true;
                if let Some(properties) = self.object(properties, index) {
                    self.properties("", properties, false);
                }
            }
        }
        if found {
            return;
        }
        // The answer of `GET INDEX/_mapping` has one such object for each index.
        for mapping in root
            .values()
            .filter_map(|index| index.get("mappings"))
            .filter_map(Json::as_object)
        {
            found |= self.index(mapping);
        }
        if !found {
            self.problems.push("it has no `properties`".to_owned());
        }
    }

    /// Takes the mapping of one index, and says whether it has fields.
    fn index(&mut self, mapping: &Map<String, Json>) -> bool {
        let mut found = false;
        for section in ["properties", "runtime"] {
            if let Some(fields) = mapping
                .get(section)
                .and_then(|fields| self.object(fields, section))
            {
                found = true;
                self.properties("", fields, false);
            }
        }
        found
    }

    fn properties(&mut self, parent: &str, properties: &Map<String, Json>, nested: bool) {
        for (key, property) in properties {
            let name = if parent.is_empty() {
                key.clone()
            } else {
                format!("{parent}.{key}")
            };
            if key.split('.').any(str::is_empty) {
                self.problems
                    .push(format!("`{name}`: a part of the name is empty"));
            } else if let Some(property) = self.object(property, &name) {
                self.property(&name, property, nested);
            }
        }
    }

    fn property(&mut self, name: &str, property: &Map<String, Json>, nested: bool) {
        let children = match property.get("properties") {
            Some(children) => self.object(children, &format!("{name}.properties")),
            None => None,
        };
        let type_name = match self.text(property, "type", name) {
            Some(type_name) => type_name,
            None if children.is_some() => "object",
            None => {
                self.problems
                    .push(format!("`{name}`: it has neither `type` nor `properties`"));
                return;
            }
        };
        if type_name == "alias" {
            match self.text(property, "path", name) {
                Some(path) => self.aliases.push((name.into(), path.into())),
                None => self.problems.push(format!("`{name}`: the alias has no `path`")),
            }
            return;
        }
        let Some(mut def) = self.definition(name, type_name, property, name) else {
            return;
        };
        if let Some(fields) = property
            .get("fields")
            .and_then(|fields| self.object(fields, &format!("{name}.fields")))
        {
            self.sub_fields(&mut def, fields, nested);
        }
        self.add(def, nested);
        if let Some(children) = children {
            self.properties(name, children, nested || type_name == "nested");
        }
    }

    /// Takes the multi-fields of a field. They read the same path; the exact values of a text are those of its one
    /// keyword-like sub-field.
    fn sub_fields(&mut self, def: &mut FieldDef, fields: &Map<String, Json>, nested: bool) {
        let mut exact = Vec::new();
        for (key, property) in fields {
            let name = format!("{}.{key}", def.name);
            let Some(property) = self.object(property, &name) else {
                continue;
            };
            let Some(type_name) = self.text(property, "type", &name) else {
                self.problems.push(format!("`{name}`: it has no `type`"));
                continue;
            };
            let Some(sub) = self.definition(&name, type_name, property, &def.name) else {
                continue;
            };
            if sub.field.kind == FieldType::Keyword && sub.exactness == Exactness::Exact {
                exact.push(sub.field.clone());
            }
            self.add(sub, nested);
        }
        if def.field.kind == FieldType::Text
            && exact.len() == 1
            && let Some(field) = exact.pop()
        {
            def.field = field;
            def.exactness = Exactness::Exact;
        }
    }

    fn definition(
        &mut self,
        name: &str,
        type_name: &str,
        property: &Map<String, Json>,
        path: &str,
    ) -> Option<FieldDef> {
        let Some((kind, exactness)) = kind_of(type_name) else {
            self.problems
                .push(format!("`{name}.type`: `{type_name}` is not a field type"));
            return None;
        };
        let mut def = FieldDef::new(name.to_owned(), type_name.to_owned(), kind);
        def.exactness = exactness;
        def.field = Field::new(path, kind);
        if type_name == "flattened" {
            def.keys = Some(FieldType::Keyword);
        }
        if kind == FieldType::Keyword
            && property
                .get("normalizer")
                .is_some_and(|normalizer| !normalizer.is_null())
        {
            def.exactness = Exactness::Normalized;
        }
        if kind == FieldType::Keyword {
            def.field.ignore_above = self.ignore_above(name, property);
        }
        if kind.is_date() {
            def.field.formats = self.formats(name, property);
        }
        def.field.null_value = self.null_value(&def.field, name, property);
        if property.get("runtime").and_then(Json::as_bool) == Some(true) {
            def.fails_in_index = self.text(property, "index", name).map(Into::into);
        }
        if property.contains_key("script") {
            // What a script computes is not in the record.
            def.exactness = Exactness::Unsupported;
        }
        Some(def)
    }

    fn ignore_above(&mut self, name: &str, property: &Map<String, Json>) -> Option<u32> {
        let value = property.get("ignore_above")?;
        let number = match value {
            Json::String(text) => text.parse().ok(),
            other => other.as_u64(),
        };
        if number.is_none() {
            self.problems.push(format!(
                "`{name}.ignore_above`: `{value}` is not a number of characters"
            ));
        }
        number.and_then(|limit| u32::try_from(limit).ok())
    }

    /// The formats of a date: a text of alternatives, or an object that has one for each index.
    fn formats(&mut self, name: &str, property: &Map<String, Json>) -> Vec<DateFormat> {
        let mut formats = Vec::new();
        let texts: Vec<&Json> = match property.get("format") {
            None | Some(Json::Null) => Vec::new(),
            Some(Json::Object(by_index)) => by_index.values().collect(),
            Some(other) => vec![other],
        };
        for text in texts {
            match text.as_str().map(DateFormat::alternatives) {
                Some(Ok(alternatives)) => {
                    for format in alternatives {
                        if !formats.contains(&format) {
                            formats.push(format);
                        }
                    }
                }
                Some(Err(problem)) => self.problems.push(format!("`{name}.format`: {problem}")),
                None => self.problems.push(format!("`{name}.format`: it is not a text")),
            }
        }
        formats
    }

    /// The value that stands for null, as the field holds it.
    fn null_value(&mut self, field: &Field, name: &str, property: &Map<String, Json>) -> Option<Value> {
        let json = property.get("null_value")?;
        let written = json.to_string();
        let value = match json {
            Json::Null => return None,
            Json::Bool(value) => Some(ValueRef::Bool(*value)),
            Json::String(text) => Some(ValueRef::String(text)),
            Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(long), _, _) => Some(ValueRef::Long(long)),
                (_, Some(unsigned), _) => Some(ValueRef::Unsigned(unsigned)),
                (_, _, double) => double.map(ValueRef::Double),
            },
            Json::Array(_) | Json::Object(_) => None,
        };
        let typed = value.and_then(|value| field.typed(value, Some(&written)));
        if typed.is_none() {
            self.problems.push(format!(
                "`{name}.null_value`: `{written}` is not a value of the field's type"
            ));
        }
        typed.map(ValueRef::to_owned)
    }

    /// Adds a definition, or merges it into that of another index.
    fn add(&mut self, mut def: FieldDef, nested: bool) {
        if nested {
            // Elasticsearch keeps nested objects as documents of their own, which rules do not see.
            def.type_name = "nested".into();
            def.exactness = Exactness::Unsupported;
        }
        match self.fields.get_mut(&*def.name) {
            None => {
                self.fields.insert(def.name.to_string(), def);
            }
            Some(known) => merge(known, def),
        }
    }

    fn resolve_aliases(&mut self) {
        for (name, path) in std::mem::take(&mut self.aliases) {
            let Some(target) = self
                .fields
                .get(&path)
                .filter(|target| target.type_name.as_ref() != "object")
            else {
                self.problems
                    .push(format!("`{name}.path`: there is no field `{path}`"));
                continue;
            };
            let def = FieldDef {
                name: name.clone().into(),
                ..target.clone()
            };
            match self.fields.get_mut(&name) {
                None => {
                    self.fields.insert(name, def);
                }
                Some(known) => merge(known, def),
            }
        }
    }

    fn object<'j>(&mut self, json: &'j Json, key: &str) -> Option<&'j Map<String, Json>> {
        let object = json.as_object();
        if object.is_none() {
            self.problems.push(format!("`{key}`: it is not an object"));
        }
        object
    }

    /// The text at `key` of the object that stands at `parent`; null counts as absent.
    fn text<'j>(&mut self, object: &'j Map<String, Json>, key: &str, parent: &str) -> Option<&'j str> {
        match object.get(key)? {
            Json::Null => None,
            Json::String(text) => Some(text),
            _ => {
                let dot = if parent.is_empty() { "" } else { "." };
                self.problems
                    .push(format!("`{parent}{dot}{key}`: it is not a text"));
                None
            }
        }
    }
}

/// Merges what another index says of a field.
fn merge(known: &mut FieldDef, other: FieldDef) {
    if known.field.path != other.field.path
        || known.field.kind != other.field.kind
        || known.keys != other.keys
    {
        known.type_name = format!("{} and {}", known.type_name, other.type_name).into();
        known.exactness = Exactness::Unsupported;
    } else if known.exactness == Exactness::Exact {
        known.exactness = other.exactness;
    }
    // The weaker limit holds: a longer value is matched where any index would match it.
    known.field.ignore_above = known
        .field
        .ignore_above
        .zip(other.field.ignore_above)
        .map(|(a, b)| a.max(b));
    known.field.null_value = known.field.null_value.take().or(other.field.null_value);
    known.fails_in_index = known.fails_in_index.take().or(other.fails_in_index);
    unite(&mut known.field.formats, other.field.formats);
}

/// Adds the formats of another index; none at all stands for the default format.
fn unite(formats: &mut Vec<DateFormat>, mut more: Vec<DateFormat>) {
    if *formats == more {
        return;
    }
    for list in [&mut *formats, &mut more] {
        if list.is_empty() {
            list.push(DateFormat::default());
        }
    }
    for format in more {
        if !formats.contains(&format) {
            formats.push(format);
        }
    }
}
