//! Records of vendors, recognised by their content and matched as the documents they become.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use neph_engine::{OperatorConfig, Outcome};
use neph_normalize::{Joiner, Joining, Part};
use neph_plan::Plan;
use neph_runtime::input::{ProblemKind, ReadOptions, Reader};
use neph_runtime::{Detection, RunError, RunOptions, detect};
use neph_testkit::generate::{RecordKind, records};
use serde_json::{Value, json};

use crate::plans::{any_of, compile};
use crate::{Folder, read_with};

/// What a test compares of a match: the line of its event, and some of its document.
type Seen = (String, u64, Value);

fn run(
    plans: &[Plan],
    input: &Path,
    read: ReadOptions,
    options: &RunOptions,
) -> (Vec<Seen>, Result<Detection, RunError>) {
    let (program, mut operators) = compile(plans, &OperatorConfig::default());
    let mut reader = Reader::new(&[input.to_path_buf()], read).unwrap();
    let mut seen = Vec::new();
    let detection = detect(
        &mut reader,
        &program,
        &mut operators,
        options,
        &mut |_| (),
        &mut |outcome| {
            let Outcome::Found(found) = outcome else {
                panic!("nothing is taken back in a batch")
            };
            let event = found.events[0].1.as_ref().unwrap();
            let document = serde_json::from_slice(event.document()).unwrap();
            seen.push((event.id().as_str().to_owned(), event.origin().line, document));
        },
    );
    (seen, detection)
}

fn cloudtrail(id: u64) -> Value {
    json!({
        "eventVersion": "1.08", "eventTime": "2026-01-01T00:00:00Z", "eventSource": "ec2.amazonaws.com",
        "eventName": "CreateSnapshot", "awsRegion": "r", "eventID": format!("{id}"), "eventType": "AwsApiCall",
        "userIdentity": {"type": "Root", "accountId": "111111111111"}, "recipientAccountId": "111111111111",
    })
}

fn ecs(id: u64) -> Value {
    json!({"@timestamp": "2026-01-01T00:00:00Z", "event": {"category": ["process"], "action": "exec", "id": format!("{id}")}})
}

fn kubernetes(id: u64) -> Value {
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": format!("{id}"),
        "stage": "ResponseComplete", "verb": "list", "requestURI": "/api/v1/pods", "user": {"username": "u"},
        "sourceIPs": ["10.0.0.1"], "objectRef": {"resource": "pods"},
        "stageTimestamp": "2026-01-01T00:00:00Z", "requestReceivedTimestamp": "2026-01-01T00:00:00Z",
    })
}

/// Records of all kinds in one file, in runs of changing length.
fn mixed() -> String {
    let mut text = String::new();
    for id in 0..400_u64 {
        let line = match (id / (1 + id / 40)) % 8 {
            0 => ecs(id).to_string(),
            1 => cloudtrail(id).to_string(),
            2 => json!({"Type": "Notification", "Message": cloudtrail(id).to_string()}).to_string(),
            3 => json!({"kind": "EventList", "items": [kubernetes(id), kubernetes(id + 1000)]}).to_string(),
            4 => "no source writes lines like this one".to_owned(),
            5 => json!({"event": {"action": "custom"}, "n": id}).to_string(),
            6 => {
                json!({"@timestamp": "2026-01-01T00:00:00Z", "event": {"action": "own"}, "n": id}).to_string()
            }
            _ => format!("{{\"event\":{{\"action\":\"exec\",\"id\":\"{id}\""),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[test]
fn what_a_record_is_depends_on_nothing_but_the_record() {
    let folder = Folder::new();
    let input = folder.write("mixed", mixed());
    let plans = [any_of(
        "event.action",
        &["exec", "CreateSnapshot", "list", "custom", "own"],
    )];
    let go = |threads, chunk_bytes| {
        let read = ReadOptions {
            chunk_bytes,
            ..ReadOptions::default()
        };
        let options = RunOptions {
            threads,
            ..RunOptions::default()
        };
        let (seen, detection) = run(&plans, &input, read, &options);
        (seen, detection.unwrap())
    };
    let (seen, detection) = go(1, 1 << 20);
    let summary = &detection.summary;
    let actions = seen.iter().fold(BTreeMap::new(), |mut counts, (_, _, document)| {
        let action = document["event"]["action"].as_str().unwrap().to_owned();
        *counts.entry(action).or_insert(0_u64) += 1;
        counts
    });
    let unrecognised = summary.problems.counts()[&ProblemKind::Unrecognised];
    assert_eq!(actions["exec"] + actions["own"], summary.events["ecs"]);
    assert_eq!(actions["CreateSnapshot"], summary.events["aws_cloudtrail"]);
    assert_eq!(actions["list"], summary.events["kubernetes_audit"]);
    assert!(actions.values().all(|count| *count >= 20), "{actions:?}");
    // Each list of events is one record; of what nothing recognises, objects are read and text is not.
    assert_eq!(summary.records + summary.refused, 400);
    assert_eq!(
        summary.records,
        seen.len() as u64 - actions["list"] / 2,
        "{actions:?}"
    );
    assert_eq!(
        summary.problems.counts().len(),
        2,
        "{:?}",
        summary.problems.counts()
    );
    assert_eq!(
        summary.problems.counts()[&ProblemKind::CutShort] + unrecognised,
        summary.refused + actions["custom"]
    );
    let sample = summary
        .problems
        .kept()
        .iter()
        .find(|problem| problem.kind == ProblemKind::Unrecognised);
    assert!(
        sample
            .unwrap()
            .message
            .contains("no source writes lines like this one")
    );
    for (threads, chunk_bytes) in [(1, 1), (2, 1000), (4, 30_000), (3, 777)] {
        let (other, other_detection) = go(threads, chunk_bytes);
        assert!(other == seen, "{threads} threads, chunks of {chunk_bytes}");
        assert_eq!(other_detection.matching, detection.matching);
        let other = other_detection.summary;
        assert_eq!(other.events, summary.events);
        assert_eq!((other.records, other.refused), (summary.records, summary.refused));
        assert_eq!(other.problems.kept(), summary.problems.kept());
    }
}

#[test]
fn alerts_keep_the_raw_record_and_its_place() {
    let folder = Folder::new();
    let record = cloudtrail(7).to_string();
    let input = folder.write("log", format!("\n{record}\n"));
    let plans = [any_of("event.action", &["CreateSnapshot"])];
    let (seen, _) = run(&plans, &input, ReadOptions::default(), &RunOptions::default());
    let [(_, line, document)] = seen.as_slice() else {
        panic!("{seen:?}")
    };
    assert_eq!(*line, 2);
    assert_eq!(document["event"]["original"], record);
    assert_eq!(document["event"]["dataset"], "aws.cloudtrail");
}

#[test]
fn a_forced_source_takes_every_record() {
    let folder = Folder::new();
    let input = folder.write("log", format!("{}\n{}\n", cloudtrail(1), ecs(2)));
    let plans = [any_of("event.action", &["CreateSnapshot", "exec"])];
    let with = |source: &str| {
        let options = RunOptions {
            source: Some(source.to_owned()),
            ..RunOptions::default()
        };
        run(&plans, &input, ReadOptions::default(), &options)
    };
    let (seen, detection) = with("ecs");
    assert_eq!(seen.len(), 1);
    assert_eq!(detection.unwrap().summary.events["ecs"], 2);
    let (seen, detection) = with("aws_cloudtrail");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].1, 1);
    assert!(!detection.unwrap().summary.events.contains_key("ecs"));
    assert!(matches!(with("no_such_source").1, Err(RunError::Source(_))));
}

#[test]
fn a_strict_run_ends_at_what_is_not_recognised() {
    let folder = Folder::new();
    let plans = [any_of("event.action", &["exec"])];
    let options = RunOptions {
        strict: true,
        ..RunOptions::default()
    };
    for (line, is_ended) in [
        ("free text", true),
        (r#"{"foreign":1}"#, true),
        (r#"{"@timestamp":"2026-01-01T00:00:00Z","own":1}"#, false),
    ] {
        let input = folder.write("log", format!("{}\n{line}\n", cloudtrail(1)));
        let (_, detection) = run(&plans, &input, ReadOptions::default(), &options);
        assert_eq!(matches!(detection, Err(RunError::Strict(_))), is_ended, "{line}");
    }
}

/// Lines `N: text` of one number are one record.
fn numbered() -> Joining {
    Joining {
        source: "numbered",
        marks: &[": "],
        part: |line| match line.split_once(": ") {
            Some((key, "end")) => Part::Last(key),
            Some((key, _)) => Part::More(key),
            None => Part::Alone,
        },
        patience: 250,
    }
}

#[test]
fn joined_records_do_not_depend_on_how_the_input_is_cut() {
    let folder = Folder::new();
    let mut text = String::new();
    for number in 0..3000_u64 {
        let key = number * 7919 % 97;
        match number % 11 {
            0 => text.push_str("a line alone\n"),
            _ if key % 4 == 1 => text.push_str(&format!("{{\"message\":\"{key}: {number}\",\"x\":1}}\n")),
            7 => text.push_str(&format!("{key}: end\n")),
            _ => text.push_str(&format!("{key}: {number}\n")),
        }
    }
    let input: PathBuf = folder.write("log", text);
    let go = |chunk_bytes| {
        let options = ReadOptions {
            chunk_bytes,
            joiner: Joiner::of(vec![numbered()]),
            ..ReadOptions::default()
        };
        read_with(&[&input], options).records
    };
    let whole = go(1 << 20);
    let lines: usize = whole.iter().map(|record| record.document.lines().count()).sum();
    let wrapped: usize = whole
        .iter()
        .map(|record| record.document.matches("\\n").count())
        .sum();
    assert_eq!(lines + wrapped, 3000);
    assert!(whole.len() > 300 && whole.len() < 2000, "{}", whole.len());
    assert!(
        whole
            .iter()
            .any(|record| record.document.starts_with('{') && record.document.contains("\\n"))
    );
    for chunk_bytes in [1, 100, 5000] {
        assert!(go(chunk_bytes) == whole, "chunks of {chunk_bytes}");
    }
}

/// Records of kinds that no rule is about are not read further than it takes to tell; what is found and counted is the same as
/// where every record is.
#[test]
fn passing_records_over_changes_nothing_but_the_time() {
    let mut generated = Vec::new();
    records(&mut generated, RecordKind::CloudTrail, 2_000_000, 5).unwrap();
    let generated = String::from_utf8(generated).unwrap();
    let mut text = String::new();
    for (number, line) in generated.lines().enumerate() {
        text.push_str(line);
        text.push('\n');
        let odd = match number % 400 {
            100 => line.replacen("\"userAgent\":\"", "\"userAgent\":\"TruffleHog\",\"x\":\"", 1),
            150 => line.replacen("\"eventName\"", "\"\\u0065ventName\"", 1),
            200 => line.replacen(':', "", 1),
            250 => line.get(..line.len() / 2).unwrap().to_owned(),
            300 => line.replacen("{", "{\"eventName\":\"DeleteTrail\",", 1),
            350 => kubernetes(number as u64).to_string(),
            399 => ecs(number as u64).to_string(),
            _ => continue,
        };
        text.push_str(&odd);
        text.push('\n');
    }
    let folder = Folder::new();
    let input = folder.write("records.ndjson", &text);
    let plans = [
        any_of("event.action", &["CreateSnapshot", "DeleteTrail", "RunInstances"]),
        any_of("event.category", &["process"]),
        any_of("user_agent.original", &["TruffleHog"]),
    ];
    let options = |profile, threads| RunOptions {
        profile,
        threads,
        ..RunOptions::default()
    };
    // What rules cost is counted where they see all records.
    let (expected, naive) = run(&plans, &input, ReadOptions::default(), &options(true, 1));
    let naive = naive.unwrap();
    assert_eq!(naive.matching.passed_over, 0);
    assert!(expected.len() > 10 && naive.summary.refused > 4);
    for threads in [1, 3] {
        let (seen, detection) = run(&plans, &input, ReadOptions::default(), &options(false, threads));
        let detection = detection.unwrap();
        assert!(seen == expected, "{threads} threads");
        let passed_over = detection.matching.passed_over;
        assert!(passed_over > detection.summary.records / 3, "{passed_over}");
        assert_eq!(detection.matching.records, naive.matching.records);
        assert_eq!(
            detection.matching.malformed_values,
            naive.matching.malformed_values
        );
        let counted = |detection: &Detection| {
            let summary = &detection.summary;
            (
                summary.records,
                summary.refused,
                summary.matches,
                summary.events.clone(),
                summary.dropped.clone(),
                summary.problems.total(),
            )
        };
        assert_eq!(counted(&detection), counted(&naive));
    }
}
