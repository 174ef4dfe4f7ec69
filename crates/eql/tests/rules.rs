//! Every public EQL rule parses and compiles with the built-in schema, and lints stay quiet where nothing is wrong.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail the test"
)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use neph_diag::{Severity, has_errors};
use neph_eql::{CompileOptions, compile};
use neph_event::{Instant, Schema};

/// On how many of a thousand public rules a lint may fire. Those that fire often were looked at: duplicate values,
/// wildcards that never expand and mixed operators in these rules are what the lint says.
const QUIET: &[(&str, usize)] = &[
    ("and-or-mixed", 40),
    ("case-sensitive", 80),
    ("constant-condition", 5),
    ("duplicate-value", 80),
    ("field-without-source", 10),
    ("literal-wildcard", 25),
    ("redundant-like", 80),
    ("regex-literal", 5),
    ("sequence-without-key", 5),
    ("sequence-without-maxspan", 15),
    ("type-never-matches", 5),
];

/// The rules of the shared corpus: name, query, and the overridden category field.
fn rules() -> Option<Vec<(String, String, Option<String>)>> {
    let given = std::env::var_os("NEPH_SHARED").map(PathBuf::from);
    let shared =
        given.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")));
    let path = shared.join("corpora/rules-elastic.tar.xz");
    let Ok(packed) = std::fs::File::open(&path) else {
        println!("skipped: {} is not there", path.display());
        return None;
    };
    let mut archive = tar::Archive::new(lzma_rust2::XzReader::new(packed, true));
    let mut rules = Vec::new();
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
        if rule.get("type").and_then(|kind| kind.as_str()) != Some("eql") {
            continue;
        }
        let string = |key: &str| rule.get(key).and_then(|value| value.as_str()).map(str::to_owned);
        rules.push((name, string("query").unwrap(), string("event_category_override")));
    }
    Some(rules)
}

#[test]
fn every_public_rule_compiles_and_lints_are_quiet() {
    let Some(rules) = rules() else { return };
    let mut fired: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut refused = Vec::new();
    for (name, query, category) in &rules {
        let mut options = CompileOptions::new(Schema::builtin(), Instant::from_millis(0));
        options.category_field = category.as_deref();
        let compiled = compile(query, &options);
        if compiled.plan.is_none() || has_errors(&compiled.diagnostics) {
            refused.push(name.clone());
        }
        for diagnostic in &compiled.diagnostics {
            let place = format!("{name}: `{}` {}", diagnostic.span.text(query), diagnostic.message);
            if diagnostic.severity() != Severity::Info {
                fired.entry(diagnostic.code.name).or_default().push(place);
            }
        }
    }
    println!("{} rules", rules.len());
    let show: usize = std::env::var("SHOW")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(0);
    for (code, places) in &fired {
        println!("{code}: {}", places.len());
        places.iter().take(show).for_each(|place| println!("    {place}"));
    }
    assert!(
        refused.is_empty(),
        "{} refused:\n{}",
        refused.len(),
        refused.join("\n")
    );
    for (code, thousandths) in QUIET {
        let count = fired.get(code).map_or(0, Vec::len);
        assert!(
            count * 1000 <= rules.len() * thousandths,
            "{code} fires {count} times on {} rules",
            rules.len()
        );
    }
    assert!(!rules.is_empty());
}

#[test]
fn the_rule_about_metadata_services_runs_as_it_stands_and_its_mixed_step_is_reported() {
    let given = std::env::var_os("NEPH_SHARED").map(PathBuf::from);
    let shared =
        given.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")));
    let Ok(page) = std::fs::read_to_string(shared.join("seeds/001_ffac455ac43ce0b4.txt")) else {
        println!("skipped: the page is not there");
        return;
    };
    let start = page.find("sequence by").unwrap();
    let end = page.get(start..).unwrap().find('\n').unwrap();
    let query = page.get(start..start + end).unwrap();
    let compiled = compile(
        query,
        &CompileOptions::new(Schema::builtin(), Instant::from_millis(0)),
    );
    let plan = compiled.plan.unwrap();
    let neph_plan::Query::Sequence(sequence) = &plan.query else {
        panic!("{:?}", plan.query)
    };
    assert_eq!(
        (sequence.stages.len(), sequence.maxspan),
        (2, Some(1_000_000_000))
    );
    assert!(sequence.stages.iter().all(|stage| stage.keys.len() == 2));
    let codes: Vec<&str> = compiled
        .diagnostics
        .iter()
        .map(|diagnostic| diagnostic.code.name)
        .collect();
    assert_eq!(codes, ["and-or-mixed"]);
    let fix = compiled.diagnostics.first().unwrap().fix.as_ref().unwrap();
    assert_eq!(
        (fix.edits.len(), fix.applicability),
        (4, neph_diag::Applicability::Sure)
    );
}
