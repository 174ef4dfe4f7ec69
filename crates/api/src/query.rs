//! The query of a request against the parameters of its route: strings become what the schema says that they are.

use std::collections::BTreeMap;

use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use crate::problem::Problem;
use crate::route::{Route, SchemaOf};

/// Longest query that is read, in bytes.
const LONGEST: usize = 16 << 10;

/// A parameter.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    /// Its schema.
    pub(crate) schema: Value,
    /// What it is for.
    pub(crate) about: String,
    pub(crate) required: bool,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Bool,
    /// May be given several times, and with commas.
    List,
}

/// The parameters of a route, by name.
pub(crate) fn parameters(route: &Route, generator: &mut SchemaGenerator) -> BTreeMap<String, Parameter> {
    route
        .query
        .iter()
        .flat_map(|of| of_type(*of, generator))
        .collect()
}

fn of_type(of: SchemaOf, generator: &mut SchemaGenerator) -> Vec<(String, Parameter)> {
    let named = of(generator);
    let pointer = named.get("$ref").and_then(Value::as_str).unwrap_or("");
    let name = pointer.rsplit('/').next().unwrap_or("");
    let schema = generator
        .definitions()
        .get(name)
        .cloned()
        .unwrap_or_else(|| named.to_value());
    let required = |key: &str| {
        let list = schema.get("required").and_then(Value::as_array);
        list.is_some_and(|list| list.iter().any(|other| other == key))
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    let found = properties.into_iter().flatten().map(|(name, schema)| {
        let mut schema = schema.clone();
        let about = schema
            .as_object_mut()
            .and_then(|object| object.remove("description"));
        let parameter = Parameter {
            kind: kind(&schema),
            required: required(name),
            about: about
                .as_ref()
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            schema,
        };
        (name.clone(), parameter)
    });
    found.collect()
}

fn kind(schema: &Value) -> Kind {
    let types = match schema.get("type") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    match () {
        () if types.contains(&"array") => Kind::List,
        () if types.contains(&"integer") => Kind::Integer,
        () if types.contains(&"boolean") => Kind::Bool,
        () => Kind::Text,
    }
}

/// Reads the query of a request.
pub(crate) fn read(
    query: &str,
    parameters: &BTreeMap<String, Parameter>,
) -> Result<Map<String, Value>, Problem> {
    if query.len() > LONGEST {
        return Err(Problem::invalid(format!(
            "the query of the request is longer than {LONGEST} bytes"
        )));
    }
    let mut values = Map::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, text) = part.split_once('=').unwrap_or((part, ""));
        let (name, text) = (decode(name)?, decode(text)?);
        let Some(parameter) = parameters.get(&name) else {
            return Err(unknown(&name, parameters));
        };
        let value = match parameter.kind {
            Kind::Text => json!(text),
            Kind::Integer => match text.parse::<i64>() {
                Ok(number) => json!(number),
                Err(_) => {
                    return Err(Problem::invalid(format!(
                        "the parameter `{name}` must be a whole number, not `{text}`"
                    )));
                }
            },
            Kind::Bool => match text.as_str() {
                "" | "true" => json!(true),
                "false" => json!(false),
                _ => {
                    return Err(Problem::invalid(format!(
                        "the parameter `{name}` must be `true` or `false`, not `{text}`"
                    )));
                }
            },
            Kind::List => {
                let list = values
                    .entry(name)
                    .or_insert_with(|| Value::Array(Vec::new()))
                    .as_array_mut();
                if let Some(list) = list {
                    list.push(json!(text));
                }
                continue;
            }
        };
        if values.insert(name.clone(), value).is_some() {
            return Err(Problem::invalid(format!("the parameter `{name}` stands twice")));
        }
    }
    for (name, _) in parameters.iter().filter(|(_, parameter)| parameter.required) {
        if !values.contains_key(name) {
            return Err(Problem::invalid(format!("the parameter `{name}` is missing")));
        }
    }
    Ok(values)
}

fn unknown(name: &str, parameters: &BTreeMap<String, Parameter>) -> Problem {
    let similar = parameters
        .keys()
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    Problem::invalid(match similar {
        Some((_, known)) => format!("the parameter `{name}` is not known here; did you mean `{known}`?"),
        None => format!("the parameter `{name}` is not known here"),
    })
}

/// Takes `%XX` and `+` away.
pub(crate) fn decode(text: &str) -> Result<String, Problem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                match (digit(), digit()) {
                    (Some(high), Some(low)) => u8::try_from(high * 16 + low).unwrap_or(0),
                    _ => return Err(Problem::invalid("the query of the request is not well encoded")),
                }
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| Problem::invalid("the query of the request is not UTF-8"))
}
