//! Alerts of these tests, and what all forms are held against.

mod chats;
mod forms;
mod mails;
mod syslogs;
mod templates;

use std::time::Duration;

use neph_config::{Output, OutputKind, Places};
use neph_event::Instant;
use neph_store::{AlertRecord, DeliveryKind, Severity, StoredAlert};
use serde_json::{Value, json};

use crate::{Group, Message};

/// What a log may hold of somebody who knows where it ends up.
pub(crate) const EVIL: &str = "<!channel> <@U1> @here *b* _i_ `c` [t](http://e.example) <b>x</b> </code></script> \"}],\"x\":1 \\\\\" ] \u{1b}[31m\u{202e}\r\nBcc: a@b.example\n\n.\r\n<https://e.example|y> & {{ 1 }} \u{fdd0}1\u{fdd1} #tag /start ${jndi:x} 日本";

pub(crate) fn instant(millis: i64) -> Instant {
    Instant::from_millis(1_772_441_100_000 + millis)
}

/// An alert of a process on a host, with what is given put into it.
pub(crate) fn record(value: &str) -> AlertRecord {
    let event = json!({
        "@timestamp": instant(0).to_string(),
        "event": {"action": "exec", "category": ["process"], "dataset": "auditd.log", "id": "e1"},
        "host": {"id": "h1", "name": "web-1", "os": {"type": "linux"}, "ip": ["10.0.0.5"]},
        "user": {"name": value, "id": "33"},
        "process": {
            "pid": 4711, "entity_id": "p1", "name": "curl", "executable": "/usr/bin/curl",
            "command_line": format!("curl {value}"), "hash": {"sha256": "ab"},
            "parent": {"pid": 1, "name": "sh"},
        },
        "source": {"ip": ["203.0.113.9"], "port": 40000},
        "url": {"full": "http://169.254.169.254/latest/", "path": "/latest/"},
        "cloud": {"provider": "aws", "account": {"id": "111111111111"}, "region": "eu-1"},
    });
    let mut document = event.clone();
    let own = json!({
        "message": format!("`{value}` ran curl"),
        "event": {"kind": "alert", "id": "a1", "severity": 73, "dataset": "auditd.log"},
        "rule": {
            "id": "r1", "name": "Metadata Asked", "description": "Somebody asks.", "category": "Custom Query Rule",
            "author": ["N"], "license": "Apache-2.0", "reference": ["https://example.com/r"],
        },
        "threat": {
            "framework": "MITRE ATT&CK",
            "tactic": {"id": ["TA0006"], "name": ["Credential Access"]},
            "technique": {"id": ["T1552"], "name": ["Unsecured Credentials"],
                "subtechnique": {"id": ["T1552.005"], "name": ["Cloud Instance Metadata API"]}},
        },
        "kibana.alert.uuid": "a1",
        "kibana.alert.workflow_status": "open",
        "kibana.alert.rule.name": "Metadata Asked",
        "kibana.alert.rule.threat": [
            {"framework": "MITRE ATT&CK",
             "tactic": {"id": "TA0006", "name": "Credential Access", "reference": "https://attack.mitre.org/tactics/TA0006/"},
             "technique": [{"id": "T1552", "name": "Unsecured Credentials", "reference": "https://attack.mitre.org/techniques/T1552/",
                "subtechnique": [{"id": "T1552.005", "name": "Cloud Instance Metadata API",
                    "reference": "https://attack.mitre.org/techniques/T1552/005/"}]}]},
            {"framework": "MITRE ATT&CK", "tactic": {"id": "TA0007", "name": "Discovery", "reference": ""}},
        ],
        "neph": {"alert": {
            "steps": [{"step": 1, "query": "process where true", "events": [{
                "id": "e1", "origin": {"source": "audit.log", "line": 7}, "time": instant(0).to_string(),
                "matched_fields": {"process.name": ["curl"]}, "why": {"holds": true}, "document": event,
            }]}],
            "false_positives": ["Agents of the cloud."], "note": "## Look\n\nat it",
        }},
    });
    if let (Value::Object(document), Value::Object(own)) = (&mut document, own) {
        document.extend(own);
    }
    AlertRecord::new(
        StoredAlert {
            id: "a1".to_owned(),
            rule_id: "r1".to_owned(),
            rule_name: "Metadata Asked".to_owned(),
            rule_version: "3".to_owned(),
            severity: Severity::High,
            risk_score: 73,
            reason: format!("`{value}` ran curl"),
            time: instant(0),
            first: Some(instant(-5000)),
            last: Some(instant(0)),
            count: 1,
            techniques: vec!["T1552".to_owned(), "T1552.005".to_owned()],
            tactics: vec!["Credential Access".to_owned()],
            tags: vec!["Domain: Cloud".to_owned()],
            entities: vec![("host.name".to_owned(), "web-1".to_owned())],
            document: document.to_string().into_bytes(),
        },
        instant(800),
    )
}

pub(crate) fn message(record: &AlertRecord) -> Message<'_> {
    Message {
        key: "a1:1".to_owned(),
        kind: DeliveryKind::Raised,
        alert: record,
        group: None,
        link: Some("https://neph.example/alerts/a1".to_owned()),
        sent: instant(1000),
        test: false,
    }
}

pub(crate) fn group(value: &str) -> Group {
    Group {
        count: 812,
        updated: 3,
        retracted: 1,
        first: instant(0),
        last: instant(60_000),
        ids: vec!["a2".to_owned(), "a3".to_owned()],
        values: vec![
            (
                "host.name".to_owned(),
                vec![("web-1".to_owned(), 700), (value.to_owned(), 112)],
            ),
            ("user.name".to_owned(), vec![("www-data".to_owned(), 812)]),
        ],
    }
}

pub(crate) fn output(form: &str, kind: OutputKind) -> Output {
    Output {
        name: "out".to_owned(),
        form: form.to_owned(),
        timeout: Duration::from_secs(20),
        kind,
        places: Places::default(),
        severity: "low".to_owned(),
        rules: Vec::new(),
        filter: None,
        rate: None,
        retry: Duration::from_secs(60),
    }
}
