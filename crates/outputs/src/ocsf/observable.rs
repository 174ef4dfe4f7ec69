//! What can be searched for in a finding, with where it stands.
//!
//! Kinds of values go by the attributes that hold them: <https://schema.ocsf.io/1.8.0/objects/observable>.

use serde_json::{Map, Value, json};

/// Most that are listed.
const MOST: usize = 100;

/// Deeper attributes are not looked at.
const DEEPEST: u32 = 12;

/// The observables of a finding, each value of a kind once.
pub(super) fn of(finding: &Map<String, Value>) -> Vec<Value> {
    let mut found = Vec::new();
    for key in ["evidences", "resources", "device"] {
        if let Some(value) = finding.get(key) {
            collect(value, key, "", DEEPEST, &mut found);
        }
    }
    found.truncate(MOST);
    let listed = found.into_iter().map(
        |Found {
             place,
             kind,
             name,
             value,
         }| { json!({"name": place, "type_id": kind, "type": name, "value": value}) },
    );
    listed.collect()
}

struct Found {
    place: String,
    kind: u32,
    name: &'static str,
    value: String,
}

fn collect(value: &Value, place: &str, of: &str, depth: u32, found: &mut Vec<Found>) {
    let Some(depth) = depth.checked_sub(1).filter(|_| found.len() < MOST) else {
        return;
    };
    match value {
        Value::Array(values) => {
            for (number, value) in values.iter().enumerate() {
                collect(value, &format!("{place}[{number}]"), of, depth, found);
            }
        }
        Value::Object(object) => {
            for (key, value) in object {
                // What is no attribute of the schema.
                if key == "data" {
                    continue;
                }
                let inner = format!("{place}.{key}");
                let kind = value.as_str().and_then(|text| Some((text, kind(of, key)?)));
                let Some((text, (kind, name))) = kind else {
                    collect(value, &inner, key, depth, found);
                    continue;
                };
                if !found
                    .iter()
                    .any(|other| other.kind == kind && other.value == text)
                {
                    found.push(Found {
                        place: inner,
                        kind,
                        name,
                        value: text.to_owned(),
                    });
                }
            }
        }
        _ => {}
    }
}

/// The kind of an attribute of an object.
fn kind(object: &str, attribute: &str) -> Option<(u32, &'static str)> {
    Some(match (object, attribute) {
        (_, "hostname") => (1, "Hostname"),
        (_, "ip") => (2, "IP Address"),
        (_, "mac") => (3, "MAC Address"),
        ("user", "name") => (4, "User Name"),
        (_, "email_addr") => (5, "Email Address"),
        (_, "url_string") => (6, "URL String"),
        ("file", "name") => (7, "File Name"),
        ("hashes", "value") => (8, "Hash"),
        ("process" | "parent_process", "name") => (9, "Process Name"),
        ("resources", "uid") => (10, "Resource UID"),
        (_, "cmd_line") => (13, "Command Line"),
        (_, "user_agent") => (16, "HTTP User-Agent"),
        ("file", "path") => (45, "File Path"),
        _ => return None,
    })
}
