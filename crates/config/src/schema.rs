//! The JSON Schema of the file, for editors.

use neph_document::{Data, Node};
use serde_json::{Map, Value, json};

use crate::codes;
use crate::shape::{Key, Kind, Shape};
use crate::shapes::FILE;

/// The schema (<https://json-schema.org/draft/2020-12>) of the configuration file.
pub fn schema() -> Value {
    let mut schema = table(&FILE);
    if let Value::Object(object) = &mut schema {
        object.insert(
            "$schema".into(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        object.insert("title".into(), json!("neph.toml"));
    }
    schema
}

fn table(shape: &Shape) -> Value {
    let mut object = Map::new();
    object.insert("type".into(), json!("object"));
    object.insert("description".into(), json!(shape.about));
    let Some(variants) = &shape.variants else {
        object.extend(keys(shape.keys.iter()));
        return Value::Object(object);
    };
    let of = variants.of.iter().map(|(name, more)| {
        let mut variant = Map::new();
        variant.insert("description".into(), json!(more.about));
        variant.extend(keys(shape.keys.iter().chain(more.keys)));
        if let Some(Value::Object(properties)) = variant.get_mut("properties") {
            properties.insert(variants.key.to_owned(), json!({ "const": name }));
        }
        Value::Object(variant)
    });
    object.insert("oneOf".into(), of.collect());
    Value::Object(object)
}

fn keys<'a>(keys: impl Iterator<Item = &'a Key>) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in keys {
        let mut schema = kind(&key.kind);
        if let Value::Object(object) = &mut schema {
            object.insert("description".into(), json!(key.about));
            if let Some(default) = key.default {
                let (table, _) = neph_document::toml::parse(&format!("v = {default}"), &codes::SYNTAX);
                object.insert("default".into(), table.get("v").map_or(Value::Null, plain));
            }
        }
        properties.insert(key.name.to_owned(), schema);
        if key.required {
            required.push(json!(key.name));
        }
    }
    let mut object = Map::new();
    object.insert("properties".into(), Value::Object(properties));
    if !required.is_empty() {
        object.insert("required".into(), Value::Array(required));
    }
    object.insert("additionalProperties".into(), json!(false));
    object
}

fn kind(kind: &Kind) -> Value {
    match kind {
        Kind::Text | Kind::Path | Kind::Network => json!({ "type": "string", "minLength": 1 }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Integer(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Duration => json!({ "type": "string", "pattern": "^\\s*[0-9]+\\s*(ms|s|m|h|d|w)\\s*$" }),
        Kind::Size => json!({ "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "type": "string", "pattern": "^\\s*[0-9]+\\s*(|B|[KMGT]iB|[kKMGT]B)\\s*$" }
        ] }),
        Kind::Address => json!({ "type": "string", "pattern": "^.+:[0-9]+$" }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Secret => {
            let one = |key: &str| json!({ "type": "object", "properties": { key: { "type": "string" } }, "required": [key], "additionalProperties": false });
            json!({ "oneOf": [one("file"), one("env"), one("plain")] })
        }
        Kind::List(of) => json!({ "type": "array", "items": self::kind(of) }),
        Kind::Texts => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::Table(shape) => table(shape),
        Kind::Tables(shape) => json!({ "type": "array", "items": table(shape) }),
    }
}

/// The value of a default.
fn plain(node: &Node) -> Value {
    match &node.data {
        Data::Text(text) => json!(text),
        Data::Integer(number) => json!(number),
        Data::Bool(value) => json!(value),
        Data::List(items) => items.iter().map(plain).collect(),
        Data::Null | Data::Number(_) | Data::Date | Data::Table(_) => Value::Null,
    }
}
