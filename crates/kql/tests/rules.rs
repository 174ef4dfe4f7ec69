//! Every public KQL rule parses and compiles with the built-in schema, and lints stay quiet where nothing is wrong.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail the test"
)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use neph_diag::{Severity, SourceFile, has_errors, render};
use neph_event::{Instant, Schema};
use neph_kql::{CompileOptions, Dialect, compile};

/// On how many of seven hundred public queries a lint may fire. Those that fire often were looked at.
const QUIET: &[(&str, usize)] = &[
    ("and-or-mixed", 10),
    ("field-without-source", 5),
    ("free-text", 0),
    ("literal-wildcard", 5),
    ("type-never-matches", 0),
    ("unknown-field", 0),
    ("wildcard-with-space", 5),
];

/// The KQL queries of the shared corpus with the names of their files.
fn queries() -> Option<Vec<(String, String)>> {
    let given = std::env::var_os("NEPH_SHARED").map(PathBuf::from);
    let shared =
        given.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")));
    let path = shared.join("corpora/rules-elastic.tar.xz");
    let Ok(packed) = std::fs::File::open(&path) else {
        println!("skipped: {} is not there", path.display());
        return None;
    };
    let mut archive = tar::Archive::new(lzma_rust2::XzReader::new(packed, true));
    let mut queries = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        if !name.ends_with(".toml") {
            continue;
        }
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        let file: toml::Table = text.parse().unwrap();
        let Some(rule) = file.get("rule").and_then(|rule| rule.as_table()) else {
            continue;
        };
        let string = |key: &str| rule.get(key).and_then(|value| value.as_str()).map(str::to_owned);
        if string("language").as_deref() == Some("kuery") {
            queries.push((name.clone(), string("query").unwrap()));
        }
        if let Some(query) = string("threat_query") {
            queries.push((name, query));
        }
    }
    Some(queries)
}

#[test]
fn every_public_query_compiles() {
    let Some(queries) = queries() else { return };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut refused = 0;
    for (name, query) in &queries {
        let options = CompileOptions::new(Dialect::Kql, Schema::builtin(), Instant::from_millis(0));
        let compiled = compile(query, &options);
        let mut codes: Vec<&str> = Vec::new();
        for diagnostic in &compiled.diagnostics {
            if diagnostic.severity() == Severity::Error || !codes.contains(&diagnostic.code.name) {
                let source = SourceFile { name, text: query };
                println!("{}", render::text(diagnostic, &source, false));
            }
            if !codes.contains(&diagnostic.code.name) {
                codes.push(diagnostic.code.name);
                *counts.entry(diagnostic.code.name).or_default() += 1;
            }
        }
        refused += usize::from(has_errors(&compiled.diagnostics) || compiled.plan.is_none());
    }
    println!("{} queries, {counts:?}", queries.len());
    assert!(queries.len() >= 700);
    assert_eq!(refused, 0);
    for (code, count) in counts {
        let allowed = QUIET
            .iter()
            .find(|(name, _)| *name == code)
            .map_or(0, |(_, most)| *most);
        assert!(count <= allowed, "{code} fires on {count} queries");
    }
}
