use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{EndpointOptions, RecordKind, endpoint, records};

fn generate(options: &EndpointOptions) -> (Vec<u8>, super::Generated) {
    let mut bytes = Vec::new();
    let generated = endpoint(&mut bytes, options).unwrap();
    (bytes, generated)
}

fn small() -> EndpointOptions {
    EndpointOptions {
        bytes: 4 << 20,
        hosts: 20,
        attacks_per_million: 5000,
        ..EndpointOptions::default()
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
    let (first, generated) = generate(&small());
    assert_eq!(generate(&small()).0, first);
    assert_ne!(generate(&EndpointOptions { seed: 2, ..small() }).0, first);
    assert_eq!(generated.bytes, first.len() as u64);
    assert!(
        first.len() >= 4 << 20 && first.len() < (4 << 20) + (64 << 10),
        "{}",
        first.len()
    );
}

#[test]
fn every_line_is_an_ecs_document_of_the_stated_size() {
    let (bytes, generated) = generate(&small());
    let text = std::str::from_utf8(&bytes).unwrap();
    assert_eq!(text.lines().count() as u64, generated.events);
    let average = generated.bytes / generated.events;
    assert!((800..=1250).contains(&average), "{average} bytes an event");
    let mut categories = HashMap::<String, u64>::new();
    let mut ids = HashSet::new();
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["host"]["os"]["type"], "linux");
        assert!(event["host"]["id"].is_string() && event["process"]["parent"]["entity_id"].is_string());
        assert!(ids.insert(event["event"]["id"].as_str().unwrap().to_owned()));
        let category = event["event"]["category"][0].as_str().unwrap();
        let has = |path: &str| event.pointer(path).is_some();
        match category {
            "process" => assert!(has("/process/args/0") && has("/process/command_line")),
            "network" => assert!(has("/destination/ip") && has("/source/port")),
            other => assert!(other == "file" && has("/file/path")),
        }
        *categories.entry(category.to_owned()).or_default() += 1;
    }
    assert!(
        categories.values().all(|count| count * 10 > generated.events),
        "{categories:?}"
    );
}

#[test]
fn times_rise_but_for_a_small_jitter() {
    let (bytes, _) = generate(&small());
    let times: Vec<jiff::Timestamp> = std::str::from_utf8(&bytes)
        .unwrap()
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["@timestamp"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    let mut latest = times[0];
    let mut out_of_order = 0;
    for time in &times {
        assert!(latest.as_millisecond() - time.as_millisecond() <= 100);
        out_of_order += u32::from(*time < latest);
        latest = latest.max(*time);
    }
    assert!(out_of_order > 0 && latest.as_second() - times[0].as_second() > 20);
}

/// The attacks are counted by hand here, so that a rule that finds another number of them is wrong and not the data.
#[test]
fn each_attack_is_a_start_and_within_a_second_a_connection_from_the_same_parent() {
    let (bytes, generated) = generate(&small());
    let mut by_id = HashMap::new();
    let mut metadata_connections = 0;
    for line in std::str::from_utf8(&bytes).unwrap().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let asks = event
            .pointer("/destination/ip")
            .is_some_and(|ip| ip == "169.254.169.254");
        metadata_connections += usize::from(asks);
        by_id.insert(event["event"]["id"].as_str().unwrap().to_owned(), event);
    }
    assert!(generated.attacks.len() >= 10, "{}", generated.attacks.len());
    assert!(
        metadata_connections > generated.attacks.len(),
        "there must be harmless ones too"
    );
    for attack in &generated.attacks {
        let (process, network) = (&by_id[&attack.process], &by_id[&attack.network]);
        assert_eq!(process["event"]["action"], "exec");
        assert_eq!(network["event"]["action"], "connection_attempted");
        assert_eq!(network["destination"]["ip"], "169.254.169.254");
        assert_eq!(process["host"]["id"], network["host"]["id"]);
        assert_eq!(process["process"]["parent"], network["process"]["parent"]);
        let time =
            |event: &Value| -> jiff::Timestamp { event["@timestamp"].as_str().unwrap().parse().unwrap() };
        let gap = time(network).as_millisecond() - time(process).as_millisecond();
        assert!((1..1000).contains(&gap), "{gap} ms");
    }
}

#[test]
fn records_are_whole_and_those_of_their_source() {
    for (kind, source) in [
        (RecordKind::CloudTrail, "aws_cloudtrail"),
        (RecordKind::KubernetesAudit, "kubernetes_audit"),
        (RecordKind::AuditdManager, "auditd_manager"),
        (RecordKind::Auditd, "auditd"),
        (RecordKind::Sysmon, "ecs"),
        (RecordKind::SysmonAgent, "windows_sysmon"),
        (RecordKind::SysmonFlat, "windows_sysmon"),
        (RecordKind::Linux, "ecs"),
        (RecordKind::LinuxFlat, "sysmon_linux"),
    ] {
        let generate = |seed| {
            let mut bytes = Vec::new();
            let generated = records(&mut bytes, kind, 256 << 10, seed).unwrap();
            assert_eq!(generated.bytes, bytes.len() as u64);
            (bytes, generated)
        };
        let (bytes, generated) = generate(1);
        assert_eq!(generate(1).0, bytes);
        assert_ne!(generate(2).0, bytes);
        let text = std::str::from_utf8(&bytes).unwrap();
        // What stands in a template between angles is filled in.
        assert!(!text.contains('<') && !text.contains('>'), "{source}");
        let mut normalizer = neph_normalize::Normalizer::new(None).unwrap();
        let mut joiner = neph_normalize::Joiner::new(None);
        let mut whole: Vec<Vec<u8>> = Vec::new();
        for line in text.lines() {
            if !joiner.push(line.as_bytes(), ()) {
                whole.push(line.as_bytes().to_vec());
            }
        }
        joiner.finish();
        whole.extend(std::iter::from_fn(|| {
            joiner.next_joined().map(|joined| joined.record)
        }));
        assert_eq!(whole.len() as u64, generated.events, "{source}");
        for record in &whole {
            let outcome = normalizer.push(record);
            assert!(
                outcome.refused.is_empty(),
                "{source}: {}",
                String::from_utf8_lossy(record)
            );
            for made in &outcome.documents {
                assert_eq!(made.source.name, source);
            }
        }
        assert_eq!(normalizer.counts().documents.get(source), Some(&generated.events));
    }
}

fn lines(kind: RecordKind, bytes: u64) -> Vec<Value> {
    let mut text = Vec::new();
    records(&mut text, kind, bytes, 1).unwrap();
    let text = String::from_utf8(text).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What is measured over one form is to hold for the others.
#[test]
fn every_form_of_the_events_of_hosts_says_the_same() {
    let (documents, agent, flat) = (
        lines(RecordKind::Sysmon, 2 << 20),
        lines(RecordKind::SysmonAgent, 2 << 20),
        lines(RecordKind::SysmonFlat, 2 << 20),
    );
    let mut kinds = HashMap::<String, u64>::new();
    for ((document, agent), flat) in documents.iter().zip(&agent).zip(&flat) {
        let data = &agent["winlog"]["event_data"];
        assert_eq!(agent["winlog"]["event_id"], document["event"]["code"]);
        assert_eq!(
            flat["EventID"].to_string(),
            agent["winlog"]["event_id"].as_str().unwrap()
        );
        let image = flat.get("Image").unwrap_or(&flat["SourceImage"]);
        assert_eq!(document["process"]["executable"], *image);
        assert_eq!(
            document["process"]["command_line"],
            flat.get("CommandLine").cloned().unwrap_or_default()
        );
        for (name, value) in data.as_object().unwrap() {
            let known = flat[name].as_str().map_or(flat[name].to_string(), str::to_owned);
            assert_eq!(value.as_str(), Some(&*known), "{name}");
        }
        *kinds.entry(flat["EventID"].to_string()).or_default() += 1;
    }
    assert!(kinds.len() >= 7 && kinds["1"] > 100, "{kinds:?}");
    let average = (2 << 20) / documents.len();
    assert!((1900..=3000).contains(&average), "{average} bytes an event");

    let (documents, flat) = (
        lines(RecordKind::Linux, 2 << 20),
        lines(RecordKind::LinuxFlat, 2 << 20),
    );
    for (document, flat) in documents.iter().zip(&flat) {
        let process = &document["process"];
        assert_eq!(process["command_line"], flat["CommandLine"]);
        let words: Vec<&str> = process["args"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        if !words.iter().any(|word| word.contains(' ')) {
            assert_eq!(words.join(" "), flat["CommandLine"].as_str().unwrap());
        }
        assert_eq!(process["parent"]["executable"], flat["ParentImage"]);
    }
    let average = (2 << 20) / documents.len();
    assert!((650..=850).contains(&average), "{average} bytes an event");
}

#[test]
fn a_few_processes_are_those_of_attacks() {
    let all = lines(RecordKind::Linux, 16 << 20);
    let shells = all.iter().filter(|event| {
        let line = event["process"]["command_line"].as_str().unwrap();
        line.contains("/dev/tcp/") || line.contains("base64 -d") || line.contains("/etc/shadow")
    });
    let shells = shells.count();
    assert!(
        shells >= 2 && shells * 1000 < all.len(),
        "{shells} of {}",
        all.len()
    );
}
