//! Thousands of rules at once through the binary: the same bytes on any number of threads, and what each rule costs.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "clippy exempts test functions, but not the functions that they share"
)]

use std::fmt::Write as _;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use neph_testkit::generate::{EndpointOptions, endpoint};
use serde_json::Value;

fn neph(arguments: &[&str], paths: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neph"))
        .args(arguments)
        .args(paths)
        .output()
        .expect("the binary starts")
}

/// Sigma rules that ask for names, ends of paths, parts of command lines and regular expressions, of which some hold often
/// and most never do, and sequences over the same events.
fn rules(folder: &Path, number: usize) {
    let mut text = String::new();
    let programs = [
        "ls",
        "grep",
        "cat",
        "git",
        "curl",
        "python3.11",
        "kubectl",
        "nosuch",
    ];
    for rule in 0..number {
        let program = programs[rule % programs.len()];
        let condition = match rule % 5 {
            0 => format!("Image|endswith: '/{program}'\n    CommandLine|contains: 'v{rule}'"),
            1 => format!("CommandLine|contains: ['--flag-{rule}', 'token-{rule}']"),
            2 => format!("ParentImage|startswith: '/opt/tool-{rule}/'"),
            3 if rule % 50 == 3 => format!("CommandLine|re: '^{program} .*-x{rule}'"),
            _ if rule % 100 == 4 => format!("Image|endswith: '/{program}'"),
            _ => format!("User: 'user-{rule}'\n    Image|contains: 'bin'"),
        };
        write!(
            text,
            "title: rule {rule}\nid: 00000000-0000-4000-8000-{rule:012}\nstatus: test\nlogsource:\n  product: linux\n  \
             category: process_creation\ndetection:\n  selection:\n    {condition}\n  condition: selection\nlevel: low\n---\n"
        )
        .expect("a string takes text");
    }
    std::fs::write(folder.join("events.yml"), text.trim_end_matches("---\n")).expect("written");
    for (number, program) in programs.iter().enumerate() {
        let query = format!(
            "sequence by host.id with maxspan={}s [process where process.name == \"{program}\"] [network where true]",
            number + 1
        );
        std::fs::write(folder.join(format!("sequence-{number}.eql")), query).expect("written");
    }
}

fn events(folder: &Path, bytes: u64) -> PathBuf {
    let path = folder.join("events.ndjson");
    let mut out = BufWriter::new(File::create(&path).expect("a file"));
    let options = EndpointOptions {
        bytes,
        hosts: 50,
        ..EndpointOptions::default()
    };
    endpoint(&mut out, &options).expect("written");
    path
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules_folder = folder.path().join("rules");
    std::fs::create_dir(&rules_folder).expect("a folder");
    rules(&rules_folder, 2000);
    let input = events(folder.path(), 9 << 18);
    let run = |threads: &str| {
        let rules = rules_folder.display().to_string();
        let arguments = [
            "detect",
            "--format",
            "ndjson",
            "--threads",
            threads,
            "--rules",
            &rules,
        ];
        let output = neph(&arguments, &[&input]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    };
    let one = run("1");
    let alerts = one.iter().filter(|byte| **byte == b'\n').count();
    assert!(alerts > 200, "{alerts}");
    for threads in ["2", "4"] {
        let other = run(threads);
        assert!(
            other == one,
            "{threads} threads: {} bytes against {}",
            other.len(),
            one.len()
        );
    }
}

fn rule<'r>(report: &'r Value, name: &str) -> &'r Value {
    let rules = report["rules"].as_array().expect("rules");
    rules
        .iter()
        .find(|rule| rule["name"] == name)
        .expect("the rule is listed")
}

#[test]
fn the_profile_counts_and_names_what_is_costly() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("rules");
    std::fs::create_dir(&rules).expect("a folder");
    let write = |name: &str, query: &str| std::fs::write(rules.join(name), query).expect("written");
    write("slow.eql", "any where length(process.command_line) > 100000");
    write(
        "gated.eql",
        r#"process where process.name == "no-such-program" and process.command_line : "*zz*""#,
    );
    write("often.eql", r#"process where process.name == "ls""#);
    write(
        "pair.eql",
        r#"sequence by host.id [process where event.type == "start"] [network where false and true]"#,
    );
    let input = events(folder.path(), 1 << 20);
    let path = rules.display().to_string();
    let arguments = ["rules", "profile", "--threads", "2", "--rules", &path];
    let output = neph(&[&arguments[..], &["--format", "json"]].concat(), &[&input]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");

    // The counts are those of the events.
    let text = std::fs::read_to_string(&input).expect("text");
    let events: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let of = |category: &'static str| {
        events
            .iter()
            .filter(move |event| event["event"]["category"][0] == category)
    };
    assert_eq!(report["events"], events.len());
    let listings = of("process")
        .filter(|event| event["process"]["name"] == "ls")
        .count();
    let often = rule(&report, "often");
    assert_eq!(
        (&often["matches"], &often["step_matches"]),
        (&listings.into(), &listings.into())
    );
    let slow = rule(&report, "slow");
    assert_eq!(
        (&slow["evaluations"], &slow["matches"]),
        (&events.len().into(), &0.into())
    );
    assert_eq!(rule(&report, "gated")["evaluations"], 0);
    let starts = of("process")
        .filter(|event| event["event"]["type"][0] == "start")
        .count();
    let pair = rule(&report, "pair");
    assert_eq!(pair["step_matches"], starts);
    assert!(pair["state_bytes"].as_u64() > Some(1000), "{pair}");

    // What is evaluated for every event says why.
    assert_eq!(
        slow["reasons"],
        serde_json::json!(["expression on process.command_line, not gated"])
    );
    assert_eq!(rule(&report, "gated")["reasons"], serde_json::json!([]));
    let tests = report["tests"].as_array().expect("tests");
    let expression = tests.iter().find(|test| {
        let text = test["test"].as_str().expect("a text");
        text == "process.command_line in an expression"
    });
    let expression = expression.expect("the expression is listed");
    assert_eq!(
        (&expression["evaluations"], &expression["rules"]),
        (&events.len().into(), &1.into())
    );
    assert_eq!(expression["named_rules"][0], "slow");
    let shares: f64 = ["reading", "routing", "conditions", "state"]
        .iter()
        .map(|part| {
            report["time"][format!("{part}_seconds")]
                .as_f64()
                .expect("a number")
        })
        .sum();
    assert!((shares - report["time"]["total_seconds"].as_f64().expect("a number")).abs() < 1e-6);

    let table = neph(&[&arguments[..], &["--top", "2"]].concat(), &[&input]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.lines().all(|line| line.chars().count() <= 160), "{table}");
    assert!(
        table.contains("2 more rules") && table.contains("slow"),
        "{table}"
    );
}

#[test]
fn a_flood_of_keys_stays_within_the_memory_that_is_allowed_and_is_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("rules");
    std::fs::create_dir(&rules).expect("a folder");
    for number in 0..4 {
        let query = format!(
            "sequence by host.id, process.entity_id with maxspan={}m [process where true] [network where true]",
            number + 1
        );
        std::fs::write(rules.join(format!("rule-{number}.eql")), query).expect("written");
    }
    let path = folder.path().join("flood.ndjson");
    let mut text = String::new();
    for number in 0..40_000 {
        let (second, milli) = (number / 1000, number % 1000);
        writeln!(
            text,
            r#"{{"@timestamp":"2026-03-01T10:00:{second:02}.{milli:03}Z","event":{{"category":["process"],"kind":"event"}},"host":{{"id":"h{number}"}},"process":{{"entity_id":"e{number}"}}}}"#
        )
        .expect("a string takes text");
    }
    std::fs::write(&path, text).expect("written");
    let run = |mebibytes: &str| {
        let rules = rules.display().to_string();
        let arguments = [
            "detect",
            "--format",
            "json",
            "--threads",
            "2",
            "--memory",
            mebibytes,
            "--rules",
            &rules,
        ];
        let output = neph(&arguments, &[&path]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let sum = |key: &str| -> u64 {
            let rules = summary["summary"]["per_rule"].as_array().expect("rules");
            rules
                .iter()
                .map(|rule| rule[key].as_u64().expect("a number"))
                .sum()
        };
        (sum("evicted"), sum("peak_state_bytes"), sum("candidates"), said)
    };
    let (evicted, peak, candidates, said) = run("8");
    assert_eq!(candidates, 160_000);
    // A rule's peak is its own; all of them are never at theirs together, but each may have had its turn.
    assert!(
        evicted > 50_000 && peak < 4 * (9 << 20),
        "{evicted} evicted, {peak} bytes"
    );
    assert!(said.contains("were forgotten for want of memory"), "{said}");
    let (evicted, _, candidates, said) = run("2000");
    assert_eq!((evicted, candidates), (0, 160_000), "{said}");
}
