//! Alerts leave the outbox once they are delivered, and not before; by file and by HTTP.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail loudly and says what it saw"
)]

mod receiving;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use neph_event::Instant;
use neph_outputs::{Outcome, Work};
use neph_store::{AlertChange, Commit};
use receiving::{Receiver, Reply, alert, configured, now, open, raise, settled, start, state, wait_for};
use serde_json::Value;

#[test]
fn a_file_gets_every_alert_also_behind_a_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let path = folder.path().join("alerts.ndjson");
    let outputs = configured(&format!(
        "[[outputs]]\nname = \"f\"\ntype = \"file\"\npath = {path:?}"
    ));
    let outputs = start(&store, folder.path(), &outputs, now);
    raise(&store, (0..1200).map(|number| alert(number, "a")), &["f"]);
    settled(&outputs, "f");
    std::fs::rename(&path, folder.path().join("alerts.1")).unwrap();
    raise(&store, (1200..1300).map(|number| alert(number, "a")), &["f"]);
    let done = settled(&outputs, "f");
    assert_eq!((done.counts.delivered, done.work), (1300, Work::Works));
    // Something else left half a line.
    std::fs::write(&path, "half").unwrap();
    raise(&store, [alert(1300, "a")], &["f"]);
    settled(&outputs, "f");
    let messages = |name: &str| -> Vec<String> {
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        let value = |line: &str| serde_json::from_str::<Value>(line).ok();
        let documents = text.lines().filter_map(value);
        documents
            .map(|document| document["message"].as_str().unwrap().to_owned())
            .collect()
    };
    let first: BTreeSet<String> = messages("alerts.1").into_iter().collect();
    assert_eq!(first.len(), 1200);
    assert_eq!(messages("alerts.ndjson"), ["alert 1300"]);
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("half\n{"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.path().join("alerts.1"))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }
    outputs.stop();
}

#[test]
fn a_receiver_that_fails_in_every_way_gets_each_alert_and_can_tell_repeats() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let receiver = Receiver::start(|number, _| match number % 9 {
        1 => Reply::Status(503, "", "busy".into()),
        3 => Reply::Status(429, "retry-after: 1\r\n", String::new()),
        5 => Reply::Reset,
        7 => Reply::Hang(Duration::from_millis(700)),
        _ => Reply::ok(),
    });
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "Bearer very-secret-token\n").unwrap();
    let outputs = configured(&format!(
        "[[outputs]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{}/in\"\nrate = 100000\ntimeout = \"300ms\"\n\
         headers = {{ X-Team = \"soc\" }}\nauthorization = {{ file = {secret:?} }}",
        receiver.url
    ));
    let outputs = start(&store, folder.path(), &outputs, now);
    raise(&store, (0..12).map(|number| alert(number, "a")), &["hook"]);
    let done = settled(&outputs, "hook");
    assert_eq!((done.counts.delivered, done.counts.dead), (12, 0));
    outputs.stop();
    let keys = receiver.keys();
    assert!(keys.len() >= 12, "{keys:?}");
    let once: BTreeSet<_> = keys.iter().collect();
    let expected: Vec<String> = (0..12).map(|number| format!("a-{number:06}:0")).collect();
    assert_eq!(once, expected.iter().collect());
    let asked = receiver.asked.lock().unwrap();
    assert!(asked.len() > 12);
    for request in asked.iter() {
        assert_eq!(request.path, "/in");
        assert_eq!(request.headers["authorization"], "Bearer very-secret-token");
        assert_eq!(request.headers["x-team"], "soc");
        assert_eq!(request.headers["content-type"], "application/json");
        assert!(request.json()["rule"]["id"].is_string());
    }
}

#[test]
fn what_nobody_takes_becomes_a_dead_letter_and_is_delivered_when_somebody_asks() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let well = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&well);
    let receiver = Receiver::start(move |_, _| match seen.load(Ordering::Relaxed) {
        true => Reply::ok(),
        false => Reply::Status(500, "", "the path very-secret-path is down".into()),
    });
    let outputs = configured(&format!(
        "[[outputs]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{}/very-secret-path\"\nretry = \"2s\"\nrate = 1000",
        receiver.url
    ));
    let outputs = start(&store, folder.path(), &outputs, now);
    raise(&store, (0..40).map(|number| alert(number, "a")), &["hook"]);
    let done = settled(&outputs, "hook");
    assert_eq!((done.counts.delivered, done.counts.dead), (0, 40));
    let error = done.counts.error.unwrap();
    assert_eq!(error, "status 500: the path … is down");
    let letters = store.db.dead_letters("hook", 0, 100).unwrap();
    assert_eq!(letters.len(), 40);
    let text = std::fs::read_to_string(folder.path().join("dead-letters/hook.ndjson")).unwrap();
    let ids: BTreeSet<String> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["ids"][0]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(ids.len(), 40);
    assert!(!text.contains("very-secret-path"));
    well.store(true, Ordering::Relaxed);
    assert_eq!(outputs.redeliver("hook").unwrap(), 40);
    let done = settled(&outputs, "hook");
    assert_eq!((done.counts.delivered, done.counts.dead), (40, 0));
    assert_eq!(done.work, Work::Works);
    assert_eq!(receiver.keys().len(), 40);
    outputs.stop();
}

#[test]
fn a_message_that_nobody_takes_holds_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let receiver = Receiver::start(|_, request| match request.key() {
        "a-000001:0" => Reply::Status(400, "", "no".into()),
        "a-000002:0" => Reply::Status(500, "", String::new()),
        _ => Reply::ok(),
    });
    let outputs = configured(&format!(
        "[[outputs]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{}\"\nretry = \"3s\"\nrate = 1000",
        receiver.url
    ));
    let outputs = start(&store, folder.path(), &outputs, now);
    raise(&store, (0..6).map(|number| alert(number, "a")), &["hook"]);
    wait_for("the others", || (receiver.keys().len() == 4).then_some(()));
    let done = settled(&outputs, "hook");
    assert_eq!((done.counts.delivered, done.counts.dead), (4, 2));
    outputs.stop();
}

#[test]
fn a_slow_output_holds_no_other_and_ends_within_its_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let receiver = Receiver::start(|_, _| Reply::Hang(Duration::from_secs(30)));
    let path = folder.path().join("alerts.ndjson");
    let outputs = configured(&format!(
        "[[outputs]]\nname = \"slow\"\ntype = \"webhook\"\nurl = \"{}\"\ntimeout = \"2s\"\n\
         [[outputs]]\nname = \"file\"\ntype = \"file\"\npath = {path:?}",
        receiver.url
    ));
    let outputs = start(&store, folder.path(), &outputs, now);
    raise(
        &store,
        (0..50).map(|number| alert(number, "a")),
        &["slow", "file"],
    );
    wait_for("the slow one to be asked", || {
        (!receiver.asked.lock().unwrap().is_empty()).then_some(())
    });
    assert_eq!(settled(&outputs, "file").counts.delivered, 50);
    let began = std::time::Instant::now();
    outputs.stop();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let counts = store.db.outbox_counts().unwrap();
    let slow = counts.iter().find(|counts| counts.output == "slow").unwrap();
    assert_eq!(slow.waiting, 50, "nothing of it is lost");
}

/// Milliseconds that the clock of the flood is ahead.
static AHEAD: AtomicI64 = AtomicI64::new(0);

fn clock() -> Instant {
    now().saturating_add_nanos(i128::from(AHEAD.load(Ordering::Relaxed)) * 1_000_000)
}

/// So many alerts are one flood: 5,000, or as many as the environment says.
fn flood() -> usize {
    std::env::var("NEPH_FLOOD").map_or(5_000, |number| number.parse().unwrap())
}

#[test]
fn a_flood_is_told_in_groups_and_the_counts_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let receiver = Receiver::start(|number, _| match number % 7 {
        3 => Reply::Status(502, "", String::new()),
        _ => Reply::ok(),
    });
    let text = format!(
        "[[outputs]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{}\"\nrate = 60",
        receiver.url
    );
    let rule = |number: usize| match number % 1000 {
        0 => "rare",
        _ => "loud",
    };
    let flood = flood();
    for begin in (0..flood).step_by(5000) {
        raise(
            &store,
            (begin..begin + 5000).map(|number| alert(number, rule(number))),
            &["hook"],
        );
    }
    let outputs = start(&store, folder.path(), &configured(&text), clock);
    // The process dies in the middle of it.
    wait_for("some", || (receiver.keys().len() > 5).then_some(()));
    outputs.stop();
    let outputs = start(&store, folder.path(), &configured(&text), clock);
    let done = wait_for("the flood to pass", || {
        AHEAD.fetch_add(2_000, Ordering::Relaxed);
        Some(state(&outputs, "hook")).filter(|state| state.counts.waiting == 0)
    });
    outputs.stop();
    assert_eq!((done.counts.delivered, done.counts.dead), (flood as u64, 0));
    let mut by_key: BTreeMap<String, Value> = BTreeMap::new();
    for request in receiver.taken.lock().unwrap().iter() {
        let again = by_key.insert(request.key().to_owned(), request.json());
        assert!(again.is_none_or(
            |before| before["neph"]["group"]["alerts"] == request.json()["neph"]["group"]["alerts"]
        ));
    }
    let count = |body: &Value| body["neph"]["group"]["alerts"].as_u64().unwrap_or(1);
    let told: u64 = by_key.values().map(count).sum();
    assert_eq!(told, flood as u64);
    // Whole minutes went by: the first two of the workers, and those in which groups were told.
    assert!(by_key.len() < 250, "{} messages", by_key.len());
    let loud: u64 = by_key
        .values()
        .filter(|body| body["rule"]["id"] == "loud")
        .map(count)
        .sum();
    assert_eq!(loud, (flood - flood / 1000) as u64);
}

#[test]
fn filters_leave_alerts_out_and_count_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let path = |name: &str| folder.path().join(name);
    let outputs = configured(&format!(
        "[[outputs]]\nname = \"severe\"\ntype = \"file\"\npath = {:?}\nseverity = \"critical\"\n\
         [[outputs]]\nname = \"rule\"\ntype = \"file\"\npath = {:?}\nrules = [\"b\"]\n\
         [[outputs]]\nname = \"query\"\ntype = \"file\"\npath = {:?}\nfilter = \"host.name : (web-1 or db-*) and not message : \\\"alert 4\\\"\"",
        path("severe"),
        path("rule"),
        path("query"),
    ));
    let outputs = start(&store, folder.path(), &outputs, now);
    let all = ["severe", "rule", "query"];
    raise(&store, (0..9).map(|number| alert(number, "a")), &all);
    raise(&store, [alert(100, "b")], &all);
    for (name, delivered) in [("severe", 0), ("rule", 1), ("query", 3)] {
        let done = settled(&outputs, name);
        assert_eq!(
            (done.counts.delivered, done.counts.left_out),
            (delivered, 10 - delivered),
            "{name}"
        );
    }
    outputs.stop();
}

#[test]
fn outputs_come_and_go_and_nothing_is_lost_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let path = folder.path().join("alerts.ndjson");
    let file = format!("[[outputs]]\nname = \"f\"\ntype = \"file\"\npath = {path:?}\n");
    let dead = "[[outputs]]\nname = \"gone\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:1/\"\n";
    let outputs = start(&store, folder.path(), &configured(&format!("{file}{dead}")), now);
    raise(&store, (0..3).map(|number| alert(number, "a")), &["f", "gone"]);
    settled(&outputs, "f");
    wait_for("a failure", || {
        (state(&outputs, "gone").work == Work::Fails).then_some(())
    });
    let error = state(&outputs, "gone").counts.error.unwrap();
    assert!(error.starts_with("cannot reach `127.0.0.1`"), "{error}");
    outputs.change(&configured(&file));
    let gone = state(&outputs, "gone");
    assert_eq!(
        (gone.work, gone.kind, gone.counts.waiting),
        (Work::Removed, None, 3)
    );
    // It comes back, elsewhere.
    let receiver = Receiver::start(|_, _| Reply::ok());
    outputs.change(&configured(&format!(
        "{file}{}",
        dead.replace("http://127.0.0.1:1/", &receiver.url)
    )));
    let done = settled(&outputs, "gone");
    assert_eq!((done.counts.delivered, done.work), (3, Work::Works));
    outputs.change(&[]);
    raise(&store, [alert(9, "a")], &["gone"]);
    assert_eq!(outputs.discard("gone").unwrap(), 1);
    assert!(
        outputs
            .states()
            .unwrap()
            .iter()
            .all(|state| state.counts.output != "gone")
    );
    assert!(outputs.test("gone", "ann").is_none());
}

#[test]
fn a_test_says_that_it_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let receiver = Receiver::start(|number, _| match number {
        0 => Reply::ok(),
        _ => Reply::Status(302, "location: http://elsewhere/\r\n", String::new()),
    });
    let outputs = configured(&format!(
        "[[outputs]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{}\"\nfilter = \"host.name : x\"",
        receiver.url
    ));
    let outputs = start(&store, folder.path(), &outputs, now);
    assert_eq!(outputs.test("hook", "ann"), Some(Outcome::Delivered));
    let sent = receiver.taken.lock().unwrap()[0].json();
    assert_eq!(sent["neph"]["test"], true);
    assert!(sent["message"].as_str().unwrap().contains("by ann"));
    let Some(Outcome::Later { why, .. }) = outputs.test("hook", "ann") else {
        panic!("a redirect is no success");
    };
    assert!(why.contains("redirects are not followed"), "{why}");
    assert_eq!(receiver.asked.lock().unwrap().len(), 2);
    outputs.stop();
}

#[test]
fn a_search_cluster_takes_documents_and_changes_by_their_ids() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let index: Arc<Mutex<BTreeMap<String, Value>>> = Arc::default();
    let kept = Arc::clone(&index);
    // Every third document finds the queue full at first, one is never taken.
    let refused: Mutex<BTreeSet<String>> = Mutex::default();
    let receiver = Receiver::start(move |_, request| {
        assert_eq!(request.path, "/base/_bulk");
        assert_eq!(request.headers["content-type"], "application/x-ndjson");
        let lines: Vec<Value> = request
            .body
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let mut items = Vec::new();
        for pair in lines.chunks(2) {
            let id = pair[0]["index"]["_id"].as_str().unwrap().to_owned();
            assert_eq!(pair[0]["index"]["_index"], "neph-alerts");
            let number: usize = id.rsplit('-').next().unwrap().parse().unwrap();
            let (status, error) = if number == 7 {
                (400, "mapper_parsing_exception")
            } else if number.is_multiple_of(3) && refused.lock().unwrap().insert(id.clone()) {
                (429, "es_rejected_execution_exception")
            } else {
                kept.lock().unwrap().insert(id, pair[1].clone());
                (201, "")
            };
            let mut item = serde_json::json!({"status": status});
            if status != 201 {
                item["error"] = serde_json::json!({"type": error, "reason": "so it is"});
            }
            items.push(serde_json::json!({"index": item}));
        }
        let body = serde_json::json!({"took": 1, "errors": true, "items": items});
        Reply::Status(200, "", body.to_string())
    });
    let outputs = configured(&format!(
        "[[outputs]]\nname = \"es\"\ntype = \"elasticsearch\"\nurl = \"{}/base/\"",
        receiver.url
    ));
    let outputs = start(&store, folder.path(), &outputs, now);
    raise(&store, (0..20).map(|number| alert(number, "a")), &["es"]);
    let done = settled(&outputs, "es");
    assert_eq!((done.counts.delivered, done.counts.dead), (19, 1));
    let letters = store.db.dead_letters("es", 0, 9).unwrap();
    assert_eq!(
        letters[0].error.as_deref(),
        Some("status 400: mapper_parsing_exception: so it is")
    );
    // What comes to stand for more replaces what was there.
    let mut more = alert(1, "a");
    more.reason = "more".to_owned();
    more.document = String::from_utf8(more.document)
        .unwrap()
        .replace("alert 1", "more")
        .into_bytes();
    let commit = Commit {
        now: now(),
        alerts: vec![AlertChange::Updated(more)],
        outputs: vec!["es".into()],
        ..Commit::default()
    };
    store.db.commit(commit).unwrap();
    settled(&outputs, "es");
    let index = index.lock().unwrap();
    assert_eq!(index.len(), 19);
    assert_eq!(index["a-000001"]["message"], "more");
    outputs.stop();
}

#[test]
fn a_data_stream_gets_each_version_as_a_document() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let created: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let kept = Arc::clone(&created);
    let receiver = Receiver::start(move |number, request| {
        let mut items = Vec::new();
        for line in request.body.lines().step_by(2) {
            let action: Value = serde_json::from_str(line).unwrap();
            items.push(match action.get("create") {
                None => serde_json::json!({"index": {"status": 400, "error": {"type": "illegal_argument_exception",
                    "reason": "only write ops with an op_type of create are allowed in data streams"}}}),
                Some(create) => {
                    let new = kept.lock().unwrap().insert(create["_id"].as_str().unwrap().to_owned());
                    serde_json::json!({"create": {"status": if new { 201 } else { 409 },
                        "error": {"type": "version_conflict_engine_exception", "reason": "document already exists"}}})
                }
            });
        }
        // The first answer to what was created gets lost.
        match number {
            1 => Reply::Reset,
            _ => Reply::Status(200, "", serde_json::json!({ "items": items }).to_string()),
        }
    });
    let outputs = configured(&format!(
        "[[outputs]]\nname = \"es\"\ntype = \"elasticsearch\"\nurl = \"{}\"\nindex = \"alerts-stream\"",
        receiver.url
    ));
    let outputs = start(&store, folder.path(), &outputs, now);
    raise(&store, (0..20).map(|number| alert(number, "a")), &["es"]);
    let done = settled(&outputs, "es");
    assert_eq!((done.counts.delivered, done.counts.dead), (20, 0));
    let created = created.lock().unwrap();
    assert_eq!(created.len(), 20);
    assert!(created.contains("a-000003:0"));
    outputs.stop();
}
