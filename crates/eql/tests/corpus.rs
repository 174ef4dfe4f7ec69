//! The cases of the shared corpus that need no engine: parsing, analysis, refusals, constant folding, and that every
//! query that is to be run compiles against its mapping.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests fail the test"
)]

use std::path::PathBuf;

use neph_diag::{Diagnostic, has_errors};
use neph_eql::{CompileOptions, compile, eval_constant, parse};
use neph_event::{Instant, Schema, Value};

fn shared() -> Option<PathBuf> {
    let given = std::env::var_os("NEPH_SHARED").map(PathBuf::from);
    let path =
        given.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")));
    let corpus = path.join("corpora/eql");
    if corpus.is_dir() {
        return Some(corpus);
    }
    println!("skipped: {} is not there", corpus.display());
    None
}

fn json(value: Option<&Value>) -> serde_json::Value {
    match value {
        None => serde_json::Value::Null,
        Some(Value::Bool(truth)) => (*truth).into(),
        Some(Value::Long(number)) => (*number).into(),
        Some(Value::Unsigned(number)) => (*number).into(),
        Some(Value::Double(number)) => (*number).into(),
        Some(other) => other.to_string().into(),
    }
}

fn texts(diagnostics: &[Diagnostic]) -> Vec<String> {
    diagnostics
        .iter()
        .map(|diagnostic| format!("{}: {}", diagnostic.code.name, diagnostic.message))
        .collect()
}

/// Byte offset of a `line:column:` prefix, which counts from 1.
fn place(query: &str, error: &str) -> Option<usize> {
    let mut parts = error.split(':');
    let line: usize = parts.next()?.parse().ok()?;
    let column: usize = parts.next()?.parse().ok()?;
    let before: usize = query.split_inclusive('\n').take(line - 1).map(str::len).sum();
    Some(before + column - 1)
}

/// What is wrong with the outcome of a case.
fn judge(case: &serde_json::Value, schemas: &std::path::Path) -> Option<String> {
    let query = case["query"].as_str()?;
    let expect = &case["expect"];
    if case["params"]["mode"] == "expression" {
        let folded = eval_constant(query);
        return match (&folded, expect.get("value")) {
            (Ok(value), Some(wanted)) if json(value.as_ref()) == *wanted => None,
            (Err(_), None) => None,
            (other, _) => Some(format!("folds to {other:?}")),
        };
    }
    if case["params"]["mode"] == "parse" {
        let (tree, diagnostics) = parse(query);
        let refused = tree.is_none() || has_errors(&diagnostics);
        if expect.get("parse").is_some() {
            return refused.then(|| format!("refused: {:?}", texts(&diagnostics)));
        }
        if refused {
            return None;
        }
    }
    let schema = match case["dataset"].as_str() {
        Some(dataset) => {
            let mapping =
                std::fs::read_to_string(schemas.join(format!("datasets/{dataset}.mapping.json"))).unwrap();
            Schema::from_mapping(&mapping).unwrap()
        }
        None => Schema::builtin().clone(),
    };
    let compiled = compile(query, &CompileOptions::new(&schema, Instant::from_millis(0)));
    let Some(error) = expect.get("error") else {
        let refused = compiled.plan.is_none() || has_errors(&compiled.diagnostics);
        return refused.then(|| format!("refused: {:?}", texts(&compiled.diagnostics)));
    };
    if compiled.plan.is_some() || !has_errors(&compiled.diagnostics) {
        return Some("not refused".to_owned());
    }
    let at = place(query, error.as_str()?)?;
    let spans = compiled
        .diagnostics
        .iter()
        .map(|diagnostic| diagnostic.span.range());
    let here = spans.clone().any(|span| span.contains(&at) || span.start == at);
    (!here).then(|| {
        format!(
            "reported elsewhere: {at} is in none of {:?} {:?}",
            spans.collect::<Vec<_>>(),
            texts(&compiled.diagnostics)
        )
    })
}

#[test]
fn every_case_is_parsed_analysed_and_folded_as_it_says() {
    let Some(corpus) = shared() else { return };
    let mut count = 0;
    let mut wrong = Vec::new();
    for file in ["cases.jsonl", "derived.jsonl"] {
        for line in std::fs::read_to_string(corpus.join(file)).unwrap().lines() {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            count += 1;
            if let Some(problem) = judge(&case, &corpus) {
                wrong.push(format!("{}: {} {problem}", case["id"], case["query"]));
            }
        }
    }
    println!("{count} cases, {} wrong", wrong.len());
    assert!(
        wrong.is_empty(),
        "{} of {count} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(count > 0);
}
