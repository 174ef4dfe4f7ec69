//! Records that were sent to any index, and records without a time.

use neph_store::{Batch, Records};

use crate::LONG;
use crate::world::{World, alerts, append, at, options, tick};

/// A rule as it comes from Elastic: with index patterns.
fn rule(id: &str, index: &str, query: &str) -> String {
    format!(
        "[rule]\nrule_id = \"{id}\"\nname = \"{id}\"\ndescription = \"d\"\nauthor = [\"a\"]\nlicense = \"x\"\nrisk_score = 50\nseverity = \"medium\"\n\
         index = [{index}]\nfrom = \"now-9m\"\ninterval = \"5m\"\ntype = \"eql\"\nlanguage = \"eql\"\nquery = '''{query}'''\n"
    )
}

fn batch(stream: &str, second: i64, texts: &[String]) -> Batch {
    let mut records = Records::default();
    for text in texts {
        assert!(records.push(text.as_bytes()));
    }
    Batch {
        stream: stream.into(),
        received: at(second),
        records,
    }
}

fn sent_to(index: &str, id: &str, document: &str) -> String {
    format!("{{\"_index\":\"{index}\",\"_id\":\"{id}\",\"_source\":{document}}}")
}

fn started(second: i64) -> String {
    format!(
        "{{\"@timestamp\":\"{}\",\"event\":{{\"category\":[\"process\"],\"type\":[\"start\"]}},\"process\":{{\"name\":\"nc\"}},\"ecs\":{{\"version\":\"8.0.0\"}}}}",
        at(second)
    )
}

#[test]
fn no_name_of_an_index_switches_detection_off_and_those_that_no_rule_names_are_told() {
    let world = World::new(&[
        (
            "pack.toml",
            rule(
                "pack",
                "\"logs-endpoint.events.process*\", \"winlogbeat-*\"",
                "process where process.name == \"nc\"",
            ),
        ),
        (
            "own.toml",
            rule("own", "\"team-a-*\"", "process where process.name == \"nc\""),
        ),
        (
            "trail.toml",
            rule(
                "trail",
                "\"logs-aws.cloudtrail-*\", \"auditbeat-*\"",
                "any where event.action == \"CreateSnapshot\"",
            ),
        ),
    ]);
    let store = world.store();
    let service = world.start(&store, options(2));
    let indices = [
        "logs-mine",
        "logs-generic-default",
        "team-a-logs",
        "filebeat-8.15.0",
        "logs-endpoint.events.process-default",
        "logs-okta.system-default",
    ];
    for (number, index) in (0..).zip(indices) {
        let text = sent_to(index, index, &started(number));
        append(&store, &[batch("bulk", number, &[text])]);
    }
    // Raw records of a source, whoever ships them.
    let raw = serde_json::json!({"eventVersion": "1.08", "eventName": "CreateSnapshot", "eventSource": "ec2.amazonaws.com",
        "awsRegion": "r", "eventTime": at(30).to_string(), "eventID": "1", "eventType": "AwsApiCall",
        "userIdentity": {"type": "IAMUser", "userName": "u"}});
    let source = serde_json::json!({"@timestamp": at(31).to_string(), "message": raw.to_string(),
        "log": {"file": {"path": "trail.log"}}});
    let text = sent_to("filebeat-8.15.0", "raw", &source.to_string());
    append(&store, &[batch("bulk", 30, &[text]), tick(100), tick(200)]);
    assert!(service.wait_until_processed(LONG));
    let status = service.status();
    service.stop().unwrap();
    let found = alerts(&store);
    let of = |rule: &str| found.iter().filter(|one| one.0 == rule).count();
    assert_eq!(
        of("pack"),
        4,
        "all but those of another shipper and of another integration: {found:?}"
    );
    assert_eq!(of("own"), 1, "{found:?}");
    assert_eq!(of("trail"), 1, "raw records, whoever shipped them: {found:?}");
    let names = store.db.names(at(0)).unwrap();
    let of = |index: &str, is_made: bool| {
        let found = names
            .iter()
            .find(|name| name.total.index == index && name.total.is_made == is_made);
        let total = &found.unwrap_or_else(|| panic!("{index}: {names:?}")).total;
        (total.records, total.by_name, total.by_content, total.left_out)
    };
    assert_eq!(of("logs-mine", false), (1, 0, 2, 1));
    assert_eq!(of("team-a-logs", false), (1, 1, 2, 0));
    assert_eq!(of("filebeat-8.15.0", false), (1, 0, 0, 3));
    assert_eq!(of("filebeat-8.15.0", true), (1, 0, 2, 1));
    assert_eq!(of("logs-endpoint.events.process-default", false), (1, 1, 0, 2));
    let told = |name: &str| {
        let notices = status.notices.iter();
        notices.filter(|notice| notice.contains(name)).count()
    };
    assert_eq!(told("`logs-mine`"), 1, "{:?}", status.notices);
    assert_eq!(told("`logs-endpoint"), 0, "{:?}", status.notices);
}

#[test]
fn records_without_a_time_have_that_of_their_receipt() {
    let two = "sequence by user.name with maxspan=1m [any where event.action == \"fail\"] [any where event.action == \"login\"]";
    let late = "any where event.action == \"login\" and @timestamp > \"2026-11-01T00:00:15Z\"";
    let rules = [
        ("two.toml", rule("two", "\"*\"", two)),
        ("late.toml", rule("late", "\"*\"", late)),
    ];
    let event = |action: &str, user: &str, more: &str| {
        format!(
            "{{\"event\":{{\"action\":\"{action}\",\"category\":[\"authentication\"]}},\"user\":{{\"name\":\"{user}\"}}{more}}}"
        )
    };
    let fails = [
        event("fail", "u1", ""),
        event("fail", "u2", ",\"@timestamp\":\"yesterday\""),
        event("fail", "u3", ""),
    ];
    let logins = [
        event("login", "u1", ""),
        event("login", "u2", ",\"@timestamp\":null"),
    ];
    let batches = [
        batch("a", 10, &fails),
        batch("a", 20, &logins),
        // The client did not hear that it was received.
        batch("a", 21, &logins),
        // By receipt too long after the first.
        batch("a", 90, &[event("login", "u3", "")]),
        tick(2_000),
    ];
    let mut before = None;
    for threads in [1, 3] {
        let world = World::new(&rules);
        let store = world.store();
        let service = world.start(&store, options(threads));
        append(&store, &batches);
        assert!(service.wait_until_processed(LONG));
        assert_eq!(service.status().untimed, 8);
        service.stop().unwrap();
        let found = alerts(&store);
        let of = |rule: &str| found.iter().filter(|one| one.0 == rule).count();
        assert_eq!((of("two"), of("late")), (2, 3), "{found:?}");
        assert_eq!(before.get_or_insert_with(|| found.clone()), &found);
        let intervals = store.db.intervals(at(-100)..at(4_000)).unwrap();
        let untimed: u64 = intervals.iter().map(|interval| interval.total.untimed).sum();
        assert_eq!(untimed, 8);
        let alert = found.iter().find(|one| one.0 == "late").unwrap();
        let alert = store.db.alert(&alert.1).unwrap().alert;
        let document = String::from_utf8(alert.document).unwrap();
        assert!(document.contains("received"), "the event is marked: {document}");
    }
}

#[test]
fn lines_without_a_year_are_of_the_year_in_which_they_were_received() {
    let world = World::new(&[(
        "ssh.toml",
        rule("ssh", "\"*\"", "any where process.name == \"sshd\""),
    )]);
    let store = world.store();
    let service = world.start(&store, options(2));
    let line =
        "<38>Nov  1 00:05:00 web-1 sshd[411]: Failed password for root from 203.0.113.9 port 50022 ssh2";
    append(
        &store,
        &[
            batch("syslog/10.0.0.5", 302, &[line.to_owned()]),
            tick(400),
            tick(900),
        ],
    );
    assert!(service.wait_until_processed(LONG));
    let status = service.status();
    service.stop().unwrap();
    let found = alerts(&store);
    assert_eq!(found.len(), 1, "{status:?}");
    assert_eq!(store.db.alert(&found[0].1).unwrap().alert.first, Some(at(300)));
    assert_eq!(status.untimed, 0);
}
