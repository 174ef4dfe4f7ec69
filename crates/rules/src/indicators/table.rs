//! Indicators as values in tables and lists, to ECS documents.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::Skipped;

/// Names of the column that holds the value.
const VALUE: [&str; 6] = [
    "value",
    "indicator",
    "ioc",
    "atomic",
    "observable",
    "indicator_value",
];
/// Names of the column that says what kind of value it is.
const KIND: [&str; 4] = ["type", "indicator_type", "ioc_type", "kind"];
/// Other columns, and the fields that they become.
const OTHERS: [(&str, &str); 9] = [
    ("description", "threat.indicator.description"),
    ("comment", "threat.indicator.description"),
    ("confidence", "threat.indicator.confidence"),
    ("provider", "threat.indicator.provider"),
    ("source", "threat.indicator.provider"),
    ("reference", "threat.indicator.reference"),
    ("first_seen", "threat.indicator.first_seen"),
    ("last_seen", "threat.indicator.last_seen"),
    ("tlp", "threat.indicator.marking.tlp"),
];

/// The rows of a CSV table with a header: either of names of fields (`threat.indicator.ip`), or with a column of values
/// and perhaps one of their types.
pub(super) fn csv(text: &str, skipped: &mut Skipped) -> Result<Vec<Map<String, Value>>, String> {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    let names: Vec<String> = header.iter().map(str::to_ascii_lowercase).collect();
    let position = |known: &[&str]| names.iter().position(|name| known.contains(&name.as_str()));
    let by_fields = names.iter().any(|name| name.starts_with("threat."));
    let value_column = position(&VALUE);
    if !by_fields && value_column.is_none() {
        let reason =
            "the first line names neither fields (`threat.indicator.ip`) nor a column of values (`value`)";
        return Err(reason.into());
    }
    let mut documents = Vec::new();
    for record in reader.records() {
        let Ok(record) = record else {
            *skipped.entry("it is not valid CSV".into()).or_default() += 1;
            continue;
        };
        let mut document = Map::new();
        if by_fields {
            for (name, cell) in header.iter().zip(&record) {
                if !name.is_empty() && !cell.is_empty() {
                    document.insert(name.to_owned(), json!(cell));
                }
            }
        } else {
            let cell = |column: Option<usize>| column.and_then(|column| record.get(column)).unwrap_or("");
            let Some(found) = of_value(cell(value_column), cell(position(&KIND))) else {
                *skipped
                    .entry("it is no value of a known kind".into())
                    .or_default() += 1;
                continue;
            };
            document = found;
            for (name, field) in OTHERS {
                let text = cell(position(&[name]));
                if !text.is_empty() {
                    document.insert(field.to_owned(), json!(text));
                }
            }
        }
        if document.is_empty() {
            *skipped.entry("it is empty".into()).or_default() += 1;
        } else {
            documents.push(document);
        }
    }
    Ok(documents)
}

/// One value a line; `#` begins a comment.
pub(super) fn lines(text: &str, skipped: &mut Skipped) -> Vec<Map<String, Value>> {
    let mut documents = Vec::new();
    for line in text.lines() {
        let value = line.trim();
        if value.is_empty() || value.starts_with('#') {
            continue;
        }
        match of_value(value, "") {
            Some(document) => documents.push(document),
            None => {
                *skipped
                    .entry("it is no value of a known kind".into())
                    .or_default() += 1
            }
        }
    }
    documents
}

/// The document of a value; without a kind it is told from the value. `None` where it is no such value.
pub(super) fn of_value(value: &str, kind: &str) -> Option<Map<String, Value>> {
    let value = value.trim();
    let kind = match kind.trim().to_ascii_lowercase().replace('_', "-").as_str() {
        "" => guess(value)?,
        "ip" | "ipv4" | "ipv6" | "ipv4-addr" | "ipv6-addr" | "address" | "cidr" | "ip-src" | "ip-dst" => {
            Kind::Address
        }
        "domain" | "domain-name" | "hostname" | "host" | "fqdn" => Kind::Domain,
        "url" | "uri" => Kind::Url,
        "email" | "email-addr" | "email-address" | "email-src" => Kind::Email,
        "md5" | "sha1" | "sha-1" | "sha256" | "sha-256" | "sha384" | "sha-384" | "sha512" | "sha-512"
        | "hash" | "file" | "filehash" => Kind::Hash(hash_name(value)?),
        "registry" | "registry-key" | "windows-registry-key" | "regkey" => Kind::Registry,
        "file-name" | "filename" => Kind::FileName,
        "file-path" | "filepath" => Kind::FilePath,
        _ => return None,
    };
    if value.is_empty() {
        return None;
    }
    let mut document = Map::new();
    let mut set = |field: &str, value: Value| document.insert(format!("threat.indicator.{field}"), value);
    set("name", json!(value));
    match kind {
        Kind::Address => {
            let is_v6 = value.parse::<IpAddr>().map(|address| address.is_ipv6());
            let is_v6 = is_v6.or_else(|_| value.parse::<IpNet>().map(|net| matches!(net, IpNet::V6(_))));
            set("type", json!(if is_v6.ok()? { "ipv6-addr" } else { "ipv4-addr" }));
            set("ip", json!(value));
        }
        Kind::Domain => {
            set("type", json!("domain-name"));
            set("url.domain", json!(value));
        }
        Kind::Url => {
            set("type", json!("url"));
            set("url.full", json!(value));
            set("url.original", json!(value));
        }
        Kind::Email => {
            set("type", json!("email-addr"));
            set("email.address", json!(value));
        }
        Kind::Hash(name) => {
            set("type", json!("file"));
            // Hashes are written in small letters in events, and compare exactly.
            set(&format!("file.hash.{name}"), json!(value.to_ascii_lowercase()));
        }
        Kind::Registry => {
            set("type", json!("windows-registry-key"));
            set("registry.path", json!(value));
        }
        Kind::FileName => {
            set("type", json!("file"));
            set("file.name", json!(value));
        }
        Kind::FilePath => {
            set("type", json!("file"));
            set("file.path", json!(value));
        }
    }
    Some(document)
}

#[derive(Clone, Copy)]
enum Kind {
    Address,
    Domain,
    Url,
    Email,
    Hash(&'static str),
    Registry,
    FileName,
    FilePath,
}

fn guess(value: &str) -> Option<Kind> {
    if value.parse::<IpAddr>().is_ok() || value.parse::<IpNet>().is_ok() {
        return Some(Kind::Address);
    }
    if let Some(name) = hash_name(value) {
        return Some(Kind::Hash(name));
    }
    if value.contains("://") {
        return Some(Kind::Url);
    }
    if value.starts_with("HKEY_") || value.starts_with("HKLM\\") || value.starts_with("HKCU\\") {
        return Some(Kind::Registry);
    }
    let has_space = value.contains(char::is_whitespace);
    match value.split_once('@') {
        Some((name, domain)) if !has_space && !name.is_empty() && domain.contains('.') => Some(Kind::Email),
        None if !has_space && value.contains('.') && !value.contains(['/', '\\']) => Some(Kind::Domain),
        _ => None,
    }
}

/// Which hash a text of hexadecimal digits is, by its length.
fn hash_name(value: &str) -> Option<&'static str> {
    if !value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    match value.len() {
        32 => Some("md5"),
        40 => Some("sha1"),
        64 => Some("sha256"),
        96 => Some("sha384"),
        128 => Some("sha512"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_of(value: &str) -> Option<String> {
        let document = of_value(value, "")?;
        let plain = ["threat.indicator.name", "threat.indicator.type"];
        let found = document.keys().find(|key| !plain.contains(&key.as_str()));
        found.map(|key| key.trim_start_matches("threat.indicator.").to_owned())
    }

    #[test]
    fn kinds_are_told_from_values() {
        for (value, field) in [
            ("198.51.100.7", Some("ip")),
            ("198.51.100.0/24", Some("ip")),
            ("2001:db8::1", Some("ip")),
            ("evil.example", Some("url.domain")),
            ("https://evil.example/a", Some("url.full")),
            ("who@evil.example", Some("email.address")),
            ("d41d8cd98f00b204e9800998ecf8427e", Some("file.hash.md5")),
            ("HKLM\\Software\\Evil", Some("registry.path")),
            ("just words", None),
        ] {
            assert_eq!(field_of(value).as_deref(), field, "{value}");
        }
        assert!(of_value("not an address", "ip").is_none());
        assert!(of_value("evil.example", "made-up").is_none());
    }

    #[test]
    fn tables_by_value_and_by_field() {
        let mut skipped = Skipped::new();
        let found = csv(
            "type,value,description\nip,198.51.100.7,\"a, b\"\n# a comment\nnone,x,\n",
            &mut skipped,
        );
        let found = found.expect("a table");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["threat.indicator.ip"], "198.51.100.7");
        assert_eq!(found[0]["threat.indicator.description"], "a, b");
        assert_eq!(skipped.values().sum::<u64>(), 1);
        let found = csv(
            "threat.indicator.ip,threat.feed.name\n198.51.100.7,mine\n",
            &mut skipped,
        );
        assert_eq!(found.expect("a table")[0]["threat.feed.name"], "mine");
        assert!(csv("a,b\n1,2\n", &mut skipped).is_err());
        assert_eq!(
            lines("# mine\n198.51.100.7\n\nevil.example\n", &mut skipped).len(),
            2
        );
    }
}
