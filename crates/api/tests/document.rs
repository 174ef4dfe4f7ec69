//! The OpenAPI document.

use std::collections::BTreeSet;
use std::path::Path;

use neph_api::{Need, ROUTES, Verb, openapi};

/// `UPDATE=1 cargo test -p neph-api --test document` writes the file anew.
#[test]
fn the_committed_document_is_the_one_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let made = format!("{}\n", serde_json::to_string_pretty(&openapi()).unwrap());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == made,
        "docs/openapi.json is out of date: UPDATE=1 cargo test -p neph-api --test document"
    );
}

#[test]
fn every_route_has_a_name_of_its_own_and_says_what_it_does() {
    let routes: Vec<_> = ROUTES.iter().flat_map(|routes| routes.iter()).collect();
    let names: BTreeSet<_> = routes.iter().map(|route| route.name).collect();
    assert_eq!(names.len(), routes.len());
    let places: BTreeSet<_> = routes.iter().map(|route| (route.verb, route.path)).collect();
    assert_eq!(places.len(), routes.len());
    for route in routes {
        assert!(route.about.ends_with('.'), "{}", route.name);
        // What anyone may do tells nothing of alerts, events or rules, and changes nothing.
        if route.need == Need::Nothing {
            // Who shows a token in the body changes nothing but what they may.
            assert!(
                route.verb == Verb::Get || route.name == "session.begin",
                "{}",
                route.name
            );
            assert!(
                ["health.live", "health.ready", "openapi.read", "session.begin"].contains(&route.name),
                "{} needs no token",
                route.name
            );
        }
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn walk(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(object) => {
                if let Some(serde_json::Value::String(to)) = object.get("$ref") {
                    found.push(to.clone());
                }
                object.values().for_each(|inner| walk(inner, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|inner| walk(inner, found)),
            _ => {}
        }
    }
    let document = openapi();
    let mut found = Vec::new();
    walk(&document, &mut found);
    assert!(found.len() > 20);
    for to in found {
        let pointer = to.strip_prefix('#').expect("a reference of its own");
        assert!(document.pointer(pointer).is_some(), "{to} leads nowhere");
    }
}
