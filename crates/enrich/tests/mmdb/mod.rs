//! Writes small databases in MaxMind's format. <https://maxmind.github.io/MaxMind-DB/>

#![expect(
    clippy::indexing_slicing,
    reason = "clippy exempts test functions, but not the functions that they share"
)]

use std::net::Ipv4Addr;

use serde_json::{Value, json};

/// A database of IPv4 networks, none within another.
pub(crate) fn write(kind: &str, networks: &[(&str, Value)]) -> Vec<u8> {
    // Nodes of the search tree; a child is a node, an entry, or nothing.
    let mut nodes: Vec<[Child; 2]> = vec![[Child::Nothing; 2]];
    let mut data = Vec::new();
    for (network, value) in networks {
        let (address, length) = network.split_once('/').expect("a network");
        let bits = u32::from(address.parse::<Ipv4Addr>().expect("an address"));
        let length: u32 = length.parse().expect("a length");
        let entry = Child::Entry(data.len());
        encode(value, &mut data);
        let mut here = 0;
        for depth in 0..length {
            let side = usize::from(bits >> (31 - depth) & 1 == 1);
            if depth + 1 == length {
                nodes[here][side] = entry;
            } else if let Child::Node(next) = nodes[here][side] {
                here = next;
            } else {
                nodes.push([Child::Nothing; 2]);
                nodes[here][side] = Child::Node(nodes.len() - 1);
                here = nodes.len() - 1;
            }
        }
    }
    let mut out = Vec::new();
    for child in nodes.iter().flatten() {
        let number = match child {
            Child::Nothing => nodes.len(),
            Child::Node(number) => *number,
            Child::Entry(offset) => nodes.len() + 16 + offset,
        };
        out.extend(&u32::try_from(number).expect("small").to_be_bytes()[1..]);
    }
    out.extend([0; 16]);
    out.extend(data);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    let metadata = json!({
        "node_count": nodes.len(), "record_size": 24, "ip_version": 4, "database_type": kind, "languages": ["en"],
        "binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": 1, "description": {"en": kind},
    });
    encode(&metadata, &mut out);
    out
}

#[derive(Clone, Copy)]
enum Child {
    Nothing,
    Node(usize),
    Entry(usize),
}

fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::String(text) => {
            head(2, text.len(), out);
            out.extend(text.as_bytes());
        }
        Value::Number(number) => match number.as_u64() {
            Some(number) => {
                head(6, 4, out);
                out.extend(u32::try_from(number).expect("small").to_be_bytes());
            }
            None => {
                head(3, 8, out);
                out.extend(number.as_f64().expect("a number").to_be_bytes());
            }
        },
        Value::Object(entries) => {
            head(7, entries.len(), out);
            for (key, value) in entries {
                encode(&Value::String(key.clone()), out);
                match (key.as_str(), value.as_u64()) {
                    ("build_epoch", Some(number)) => {
                        head(9, 8, out);
                        out.extend(number.to_be_bytes());
                    }
                    ("record_size" | "ip_version", Some(number)) => small(number, out),
                    (key, Some(number)) if key.starts_with("binary_format") => small(number, out),
                    _ => encode(value, out),
                }
            }
        }
        Value::Array(elements) => {
            head(11, elements.len(), out);
            elements.iter().for_each(|element| encode(element, out));
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn small(number: u64, out: &mut Vec<u8>) {
    head(5, 2, out);
    out.extend(u16::try_from(number).expect("small").to_be_bytes());
}

/// The kind and size of a field. Kinds above seven have a second byte.
fn head(kind: u8, size: usize, out: &mut Vec<u8>) {
    let (first, second) = if kind <= 7 {
        (kind << 5, None)
    } else {
        (0, Some(kind - 7))
    };
    let size = u8::try_from(size).expect("small");
    out.push(first | size.min(29));
    out.extend(second);
    if size >= 29 {
        out.push(size - 29);
    }
}
