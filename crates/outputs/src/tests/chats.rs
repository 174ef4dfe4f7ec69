//! Bodies of chats: what they tell, within which limits, and that values stay values.

use serde_json::Value;

use super::{EVIL, group, message, record};
use crate::Message;
use crate::chat::{slack, teams, telegram};

/// Every text of a value.
fn texts(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| texts(value, out)),
        Value::Object(object) => object.values().for_each(|value| texts(value, out)),
        _ => {}
    }
}

fn all(value: &Value) -> String {
    let mut out = Vec::new();
    texts(value, &mut out);
    out.join("\n")
}

#[test]
fn each_chat_tells_what_where_who_why_and_the_technique() {
    let record = record("www-data");
    for body in [
        slack(&message(&record)),
        teams(&message(&record)),
        telegram(&message(&record), "-100"),
    ] {
        let told = all(&body);
        for part in [
            "high",
            "Metadata Asked",
            "ran curl",
            "web-1",
            "www-data",
            "203.0.113.9",
            "process.name = curl",
            "T1552.005 Cloud Instance Metadata API",
            "Credential Access",
            "73 of 100",
            "https://neph.example/alerts/a1",
            "aws / 111111111111 / eu-1",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
    insta::assert_json_snapshot!("slack", slack(&message(&record)));
    insta::assert_json_snapshot!("teams", teams(&message(&record)));
    insta::assert_json_snapshot!("telegram", telegram(&message(&record), "-100"));
}

#[test]
fn a_group_is_told_with_what_is_most_common() {
    let (record, group) = (record("www-data"), group("web-2"));
    let message = Message {
        group: Some(&group),
        ..message(&record)
    };
    for body in [slack(&message), teams(&message), telegram(&message, "1")] {
        let told = all(&body);
        for part in [
            "Metadata Asked (812 alerts)",
            "host.name: web-1 (700), web-2 (112)",
            "812 more alerts",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}

/// Values may be told only where nothing is markup.
#[test]
fn values_of_logs_mention_nobody_and_link_nowhere() {
    let mut record = record(EVIL);
    EVIL.clone_into(&mut record.alert.rule_name);
    let group = group(EVIL);
    for group in [None, Some(&group)] {
        let message = Message {
            group,
            ..message(&record)
        };
        // Slack: everything but the link is plain text; the text for notifications is escaped.
        let body = slack(&message);
        let mut marked = 0;
        for block in body["blocks"].as_array().unwrap() {
            let fields = block["fields"].as_array().cloned().unwrap_or_default();
            for text in fields.iter().chain(block.get("text")) {
                if text["type"] == "mrkdwn" {
                    marked += 1;
                    assert_eq!(text["text"], "<https://neph.example/alerts/a1|Open the alert>");
                } else {
                    assert_eq!(
                        (&text["type"], &text["emoji"]),
                        (&"plain_text".into(), &false.into())
                    );
                }
            }
        }
        assert_eq!(marked, 1);
        let text = body["text"].as_str().unwrap();
        assert!(!text.contains(['<', '>']) && !text.contains("@here"), "{text}");
        // Teams: text runs alone, and the one action is ours.
        let card = &teams(&message)["attachments"][0]["content"];
        for block in card["body"].as_array().unwrap() {
            assert_eq!(block["type"], "RichTextBlock");
            for run in block["inlines"].as_array().unwrap() {
                assert_eq!(run["type"], "TextRun");
                assert!(run.get("selectAction").is_none());
            }
        }
        assert_eq!(card["actions"].as_array().unwrap().len(), 1);
        // Telegram: outside of code stands what is ours.
        let body = telegram(&message, "1");
        let text = body["text"].as_str().unwrap();
        let mut outside = String::new();
        for part in text.split("</code>") {
            let (before, inside) = part.split_once("<code>").unwrap_or((part, ""));
            outside.push_str(before);
            assert!(!inside.contains(['<', '>', '"']), "{inside}");
        }
        for part in ["e.example", "@", "channel", "#tag", "/start"] {
            assert!(!outside.contains(part), "{outside}");
        }
        for body in [slack(&message), teams(&message), telegram(&message, "1")] {
            let told = all(&body);
            assert!(!told.contains(['\u{1b}', '\u{202e}', '\u{fdd0}', '\r']), "{told}");
        }
    }
}

#[test]
fn the_limits_of_the_chats_hold() {
    for value in ["x".repeat(100_000), "<&\"".repeat(40_000), "😀é".repeat(40_000)] {
        let mut record = record(&value);
        record.alert.rule_name.clone_from(&value);
        record.alert.techniques = vec![value.clone(); 50];
        let mut group = group(&value);
        group.values = vec![(value.clone(), vec![(value.clone(), 1); 50]); 60];
        for group in [None, Some(&group)] {
            let message = Message {
                group,
                ..message(&record)
            };
            let body = slack(&message);
            let blocks = body["blocks"].as_array().unwrap();
            assert!(blocks.len() <= 50);
            let length = |value: &Value| value.as_str().unwrap().chars().count();
            assert!(length(&body["text"]) <= 3000);
            assert!(length(&blocks[0]["text"]["text"]) <= 150);
            for block in blocks {
                let fields = block["fields"].as_array().cloned().unwrap_or_default();
                assert!(fields.len() <= 10);
                assert!(fields.iter().all(|field| length(&field["text"]) <= 2000));
                assert!(block.get("text").is_none_or(|text| length(&text["text"]) <= 3000));
            }
            assert!(teams(&message).to_string().len() <= 28 * 1024);
            let telegram = telegram(&message, "1");
            let text = telegram["text"].as_str().unwrap();
            assert!(text.encode_utf16().count() <= 4096);
            assert_eq!(text.matches("<code>").count(), text.matches("</code>").count());
            assert!(text.contains("https://neph.example/alerts/a1"));
        }
    }
}
