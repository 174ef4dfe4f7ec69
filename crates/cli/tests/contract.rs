//! The contract for programs: every case of the EQL corpus, run by the binary with nothing but its documented options.
//! The corpus lies beside the checkout (or where `NEPH_SHARED` says); without it the test says that it was skipped.

#![expect(
    clippy::expect_used,
    reason = "clippy exempts test functions, but not the functions that they share"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

fn corpus() -> Option<PathBuf> {
    let shared = std::env::var_os("NEPH_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    Some(shared.join("corpora/eql")).filter(|folder| folder.is_dir())
}

fn neph(arguments: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neph"))
        .args(arguments)
        .output()
        .expect("the binary starts")
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key)?.as_str().map(str::to_owned)
}

/// Runs a case; `Err` says what came instead of what is expected.
fn run(case: &Value, folder: &Path) -> Result<(), String> {
    let query = text(case, "query").expect("a case has a query");
    let (expect, params) = (&case["expect"], &case["params"]);
    let mut mapping = Vec::new();
    if let Some(dataset) = text(case, "dataset") {
        let file = folder.join("datasets").join(format!("{dataset}.mapping.json"));
        mapping = vec![
            "--mapping".to_owned(),
            file.display().to_string(),
            "--strict".to_owned(),
        ];
    }
    let is_expression = params["mode"] == "expression";
    if is_expression {
        let output = neph(&["query".into(), "--eval".into(), query]);
        return match expect.get("value") {
            Some(value) => {
                let printed: Option<Value> = serde_json::from_slice(&output.stdout).ok();
                same(&printed, &Some(value.clone()), &output)
            }
            None => same(&output.status.code(), &Some(2), &output),
        };
    }
    let refused = expect.get("error").is_some();
    if refused || expect.get("parse").is_some() || expect.get("analyze").is_some() {
        let mut arguments: Vec<String> = ["rules", "check", "--lang", "eql", "--query"]
            .map(str::to_owned)
            .to_vec();
        arguments.push(query);
        arguments.append(&mut mapping);
        let output = neph(&arguments);
        return same(&output.status.code(), &Some(if refused { 2 } else { 0 }), &output);
    }
    for end in ["head", "tail"] {
        let mut arguments: Vec<String> = ["query", "--lang", "eql", "--format", "json", "--fetch", end]
            .map(str::to_owned)
            .to_vec();
        arguments.extend(mapping.iter().cloned());
        for (option, param) in [
            ("--size", "size"),
            ("--max-samples-per-key", "max_samples_per_key"),
        ] {
            if let Some(number) = params.get(param).and_then(Value::as_u64) {
                arguments.extend([option.to_owned(), number.to_string()]);
            }
        }
        if let Some(field) = text(params, "tiebreaker_field") {
            arguments.extend(["--tiebreaker".to_owned(), field]);
        }
        if params["allow_partial_sequence_results"] == true {
            arguments.push("--allow-partial-sequence-results".into());
        }
        let dataset = text(case, "dataset").expect("a case that is searched has a dataset");
        let events = folder.join("datasets").join(format!("{dataset}.ndjson"));
        arguments.extend([query.clone(), events.display().to_string()]);
        let output = neph(&arguments);
        let printed: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        check(&printed, expect, &output).map_err(|reason| format!("--fetch {end}: {reason}"))?;
    }
    Ok(())
}

fn check(printed: &Value, expect: &Value, output: &Output) -> Result<(), String> {
    if let Some(events) = expect.get("events") {
        return same(printed, &json!({"events": events}), output);
    }
    let kind = if expect.get("sequences").is_some() {
        "sequences"
    } else {
        "samples"
    };
    let column = |name: &str| -> Value {
        let rows = printed.get(kind).and_then(Value::as_array);
        rows.map_or(Value::Null, |rows| {
            rows.iter().map(|row| row[name].clone()).collect()
        })
    };
    if let Some(keys) = expect.get("join_keys") {
        same(&column("join_keys"), keys, output)?;
    }
    match expect.get("samples_any_of").and_then(Value::as_array) {
        Some(allowed) if allowed.contains(&column("events")) => Ok(()),
        Some(_) => Err(format!("none of the allowed answers: {printed}")),
        None => same(&column("events"), &expect[kind], output),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(found: &T, expected: &T, output: &Output) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "expected {expected:?}, found {found:?}; standard error: {said}"
    ))
}

#[test]
fn every_case_of_the_corpus_holds_from_the_command_line() {
    let Some(folder) = corpus() else {
        println!("skipped: the EQL corpus is not there");
        return;
    };
    let mut cases: Vec<Value> = Vec::new();
    for file in ["cases.jsonl", "derived.jsonl"] {
        let lines = std::fs::read_to_string(folder.join(file)).expect("the corpus can be read");
        cases.extend(
            lines
                .lines()
                .map(|line| serde_json::from_str(line).expect("a case is JSON")),
        );
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut wrong = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(reason) = run(case, &folder) {
                wrong.push(format!("{}: {}\n  {reason}", case["id"], case["query"]));
            }
        }
        wrong
    };
    let wrong: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    assert!(
        wrong.is_empty(),
        "{} of {} cases are wrong:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    println!("{} cases hold", cases.len());
}
