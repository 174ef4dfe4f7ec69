//! One alert, or the alerts of an incident, as a page of HTML that stands alone: nothing is loaded, nothing runs, and it prints well.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use neph_diag::is_invisible;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Longest text of one value, in bytes; a report is read by people.
const LONGEST: usize = 20_000;
/// Events of one step at most; how many more there are is said.
const EVENTS: usize = 50;
/// The same where an alert is one of many.
const EVENTS_OF_INCIDENT: usize = 10;
/// Values of one event, or entities of an alert, at most.
const VALUES: usize = 300;
/// Deepest tree of conditions that is drawn.
const DEEPEST: usize = 64;

const STYLE: &str = "body{font:14px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#17202a;background:#fff;overflow-wrap:anywhere}\
h1{font-size:1.4em;overflow-wrap:anywhere}h2{font-size:1.15em;border-bottom:1px solid #ccd;margin-top:1.6em;overflow-wrap:anywhere}h3{font-size:1em;margin:1.2em 0 .3em}\
table{border-collapse:collapse;width:100%;table-layout:fixed}.story td:nth-child(1){width:15em}.story td:nth-child(2),.story td:nth-child(4){width:7em}section{break-before:page}th,td{text-align:left;vertical-align:top;padding:2px 8px 2px 0;border-bottom:1px solid #dde;\
overflow-wrap:anywhere;font-weight:normal}th{width:16em;color:#56626e}code,pre{font:12px/1.5 monospace;white-space:pre-wrap;\
overflow-wrap:anywhere}pre{background:#f4f6f8;padding:6px}.step{border-left:3px solid #0b5cad;padding-left:1em;margin:1em 0;break-inside:avoid}\
ul.why{list-style:none;padding-left:1.2em}.holds{color:#18703a}.fails{color:#56626e}.dim{color:#56626e}@media print{body{margin:0;max-width:none}}";

/// The content security policy of a report: its own style, and nothing else.
pub fn report_policy() -> &'static str {
    static POLICY: OnceLock<String> = OnceLock::new();
    POLICY.get_or_init(|| {
        format!(
            "default-src 'none'; style-src 'sha256-{}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
            STANDARD.encode(Sha256::digest(STYLE.as_bytes()))
        )
    })
}

/// The report of an alert: `alert` as `GET /api/v1/alerts/{id}` gives it, with its document; `history` as `…/history`; `made` is the
/// time of now, in words.
pub fn report(alert: &Value, history: &Value, made: &str) -> String {
    page(
        &text(alert, "rule_name"),
        &html! {
            p.dim { "Nephoscope · alert " (text(alert, "id")) " · " (made) }
            h1 { (text(alert, "reason")) }
            (alert_of(alert, history, EVENTS))
        },
    )
}

/// The report of an incident: `incident` as `GET /api/v1/incidents/{id}` gives it, `alerts` the first of its alerts with their histories, as
/// for [`report`].
pub fn incident_report(incident: &Value, alerts: &[(Value, Value)], made: &str) -> String {
    let members = list(incident, "members");
    let count = incident.get("alerts").and_then(Value::as_u64).unwrap_or(0);
    let rules: Vec<String> = list(incident, "rules")
        .iter()
        .map(|rule| format!("{} ({})", text(rule, "name"), text(rule, "alerts")))
        .collect();
    let about: Vec<String> = list(incident, "about")
        .iter()
        .map(|entity| format!("{} {}", text(entity, "field"), text(entity, "value")))
        .collect();
    page(
        &text(incident, "reason"),
        &html! {
            p.dim { "Nephoscope · incident " (text(incident, "id")) " · " (made) }
            h1 { (text(incident, "reason")) }
            table {
                (row("Alerts", &format!("{count}, {} of them not closed", text(incident, "open"))))
                (row("Severity", &format!("{} ({})", text(incident, "severity"), text(incident, "risk_score"))))
                (row("From", &text(incident, "first")))
                (row("Until", &text(incident, "last")))
                (row("About", &about.join(", ")))
                (row("Rules", &rules.join(", ")))
                (row("Techniques", &texts(incident, "techniques")))
                (row("Tactics", &texts(incident, "tactics")))
            }
            h2 { "What happened" }
            table.story {
                @for member in members {
                    tr {
                        td { (text(member, "time")) }
                        td { (text(member, "severity")) }
                        td { (text(member, "reason")) br; span.dim { (text(member, "rule_name")) } }
                        td { (text(member, "status")) " " (text(member, "verdict")) }
                    }
                }
            }
            @if count > members.len() as u64 { p.dim { "and " (count - members.len() as u64) " more alerts" } }
            @for (alert, history) in alerts {
                section {
                    h2 { (text(alert, "time")) " · " (text(alert, "reason")) }
                    (alert_of(alert, history, EVENTS_OF_INCIDENT))
                }
            }
            @if count > alerts.len() as u64 { p.dim { "The first " (alerts.len()) " of " (count) " alerts are told whole." } }
        },
    )
}

fn page(title: &str, body: &Markup) -> String {
    // Frames are forbidden by the header alone: a policy of the page itself cannot say it.
    let policy = report_policy().replace(" frame-ancestors 'none';", "");
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    }
    .into_string()
}

/// Everything of an alert but its reason.
fn alert_of(alert: &Value, history: &Value, events: usize) -> Markup {
    let document = alert.get("document").unwrap_or(&Value::Null);
    let inner = document.pointer("/neph/alert").unwrap_or(&Value::Null);
    html! {
        table {
            (row("Rule", &format!("{} {}", text(alert, "rule_name"), text(alert, "rule_version"))))
            (row("Rule id", &text(alert, "rule_id")))
            (row("Severity", &format!("{} ({})", text(alert, "severity"), text(alert, "risk_score"))))
            (row("Time", &text(alert, "time")))
            (row("Events from", &text(alert, "first")))
            (row("Events until", &text(alert, "last")))
            (row("Stands for", &text(alert, "count")))
            (row("Techniques", &texts(alert, "techniques")))
            (row("Tactics", &texts(alert, "tactics")))
            (row("Status", &[text(alert, "status"), text(alert, "verdict"), text(alert, "close_reason")].join(" ")))
            (row("Assignee", &text(alert, "assignee")))
            (row("Withdrawn", &text(alert, "retracted")))
        }
        (entities(alert))
        h3 { "Evidence" }
        @for (number, step) in list(inner, "steps").iter().enumerate() { (step_of(number, step, events)) }
        (steps_of_history(history))
        @if let Some(description) = document.pointer("/rule/description").and_then(Value::as_str) {
            h3 { "What the rule finds" }
            pre { (harmless(description)) }
        }
        @if let Some(note) = document.get("kibana.alert.rule.note").and_then(Value::as_str) {
            h3 { "Guide" }
            pre { (harmless(note)) }
        }
    }
}

fn entities(alert: &Value) -> Markup {
    html! {
        @if !list(alert, "entities").is_empty() {
            h3 { "What it is about" }
            table { @for entity in list(alert, "entities").iter().take(VALUES) { (row(&text(entity, "field"), &text(entity, "value"))) } }
        }
    }
}

fn step_of(number: usize, step: &Value, most: usize) -> Markup {
    let events = list(step, "events");
    html! {
        div.step {
            p { strong { "Step " (number + 1) } " " code { (text(step, "query")) } }
            @for event in events.iter().take(most) {
                table {
                    (row("Time", &text(event, "time")))
                    @if let Some(origin) = event.get("origin") { (row("From", &format!("{} {}", text(origin, "source"), text(origin, "line")))) }
                    @if let Some(matched) = event.get("matched_fields").and_then(Value::as_object) {
                        @for (field, value) in matched.iter().take(VALUES) { (row(field, &plain(value))) }
                        @if matched.len() > VALUES { (row("…", &format!("{} more fields", matched.len() - VALUES))) }
                    }
                }
                @if let Some(why) = event.get("why") { ul.why { (why_of(why, 0)) } }
                @if let Some(original) = event.pointer("/document/event/original").and_then(Value::as_str) {
                    pre { (harmless(original)) }
                }
            }
            @if events.len() > most { p.dim { "and " (events.len() - most) " more events" } }
        }
    }
}

fn why_of(node: &Value, depth: usize) -> Markup {
    let holds = node.get("holds").and_then(Value::as_bool).unwrap_or_default();
    let parts: Vec<&Value> = match (node.get("all"), node.get("any"), node.get("not")) {
        (Some(Value::Array(parts)), ..) | (_, Some(Value::Array(parts)), _) => parts.iter().collect(),
        (.., Some(part)) => vec![part],
        _ => Vec::new(),
    };
    let word = match (node.get("all"), node.get("any"), node.get("not")) {
        (Some(_), ..) => "all of",
        (_, Some(_), _) => "any of",
        (.., Some(_)) => "not",
        _ => "",
    };
    html! {
        li {
            span class=(if holds { "holds" } else { "fails" }) { (if holds { "✓" } else { "✗" }) }
            " " (word)
            @if word.is_empty() {
                code { (text(node, "test")) }
                @for value in list(node, "values") { " " span.dim { (text(value, "field")) " = " (text(value, "value")) } }
            }
            @if !parts.is_empty() && depth < DEEPEST {
                ul.why { @for part in parts { (why_of(part, depth + 1)) } }
            }
        }
    }
}

fn steps_of_history(history: &Value) -> Markup {
    html! {
        @if !list(history, "entries").is_empty() {
            h3 { "History" }
            table {
                @for entry in list(history, "entries") {
                    (row(&text(entry, "at"), &format!("{} {} {}", text(entry, "who"), text(entry, "what"), details(entry))))
                }
            }
        }
    }
}

fn details(entry: &Value) -> String {
    let details = entry.get("details").unwrap_or(&Value::Null);
    let action = details
        .get("action")
        .filter(|action| action.is_object())
        .unwrap_or(details);
    let named = ["text", "verdict", "reason", "assignee"]
        .iter()
        .map(|key| text(action, key));
    named
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join(" · ")
}

fn row(name: &str, value: &str) -> Markup {
    html! {
        @if !value.trim().is_empty() {
            tr { th scope="row" { (harmless(name)) } td { (value) } }
        }
    }
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn texts(value: &Value, key: &str) -> String {
    list(value, key).iter().map(plain).collect::<Vec<_>>().join(", ")
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).map_or_else(String::new, plain)
}

/// A value as text.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => harmless(text),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => harmless(&other.to_string()),
    }
}

/// A text of strangers: what is invisible or changes the direction of the text is spelled out, as the pages of the console do
/// (<https://trojansource.codes>); markup is escaped where it is written.
fn harmless(text: &str) -> String {
    let end = text.floor_char_boundary(LONGEST);
    let mut shown = String::new();
    for character in text.get(..end).unwrap_or(text).chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            _ if is_invisible(character) => shown.extend(character.escape_unicode()),
            _ => shown.push(character),
        }
    }
    if end < text.len() {
        shown.push_str(&format!(" … {} bytes more", text.len() - end));
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hostile_values_stay_text() {
        let hostile = "<script>alert(1)</script>\u{202e}\"'><img src=x onerror=alert(1)>\u{1b}[31m";
        let alert = json!({
            "id": hostile, "reason": hostile, "rule_name": hostile, "severity": "high", "entities": [{"field": hostile, "value": hostile}],
            "document": {
                "rule": {"description": hostile}, "kibana.alert.rule.note": hostile,
                "neph": {"alert": {"steps": [{"query": hostile, "events": [{"time": "t", "matched_fields": {hostile: [hostile]},
                    "why": {"holds": true, "all": [{"holds": true, "test": hostile, "values": [{"field": hostile, "value": hostile}]}]},
                    "document": {"event": {"original": hostile}}}]}]}}
            }
        });
        let history =
            json!({"entries": [{"at": "now", "who": hostile, "what": "note", "details": {"text": hostile}}]});
        let page = report(&alert, &history, "now");
        assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
        assert!(!page.contains('\u{202e}') && !page.contains('\u{1b}'), "{page}");
        assert!(
            page.matches("&lt;script&gt;").count() >= 12,
            "every place shows it: {page}"
        );
    }

    #[test]
    fn an_incident_tells_its_story_and_hostile_values_stay_text() {
        let hostile = "<script>alert(1)</script>\u{202e}";
        let member = json!({"id": "1", "time": "t1", "severity": "high", "reason": hostile, "rule_name": hostile, "status": "open"});
        let incident = json!({"id": "1", "reason": hostile, "alerts": 1003, "open": 2, "members": [member], "rules": [{"id": "r", "name": hostile, "alerts": 3}],
            "about": [{"field": hostile, "value": hostile}], "techniques": [hostile], "tactics": [hostile]});
        let alert = json!({"reason": hostile, "time": "t1", "document": {"neph": {"alert": {"steps": [{"events": vec![json!({"time": "e"}); 30]}]}}}});
        let page = incident_report(&incident, &[(alert, Value::Null)], "now");
        assert!(!page.contains("<script") && !page.contains('\u{202e}'), "{page}");
        assert!(
            page.contains("and 1002 more alerts") && page.contains("and 20 more events"),
            "{page}"
        );
        assert!(page.matches("&lt;script&gt;").count() >= 9, "{page}");
    }

    #[test]
    fn a_deep_tree_and_a_long_value_are_cut() {
        let mut why = json!({"holds": true, "test": "x"});
        for _ in 0..500 {
            why = json!({"holds": true, "all": [why]});
        }
        let alert = json!({"reason": "r".repeat(1 << 20), "document": {"neph": {"alert": {"steps": [{"events": [{"why": why}]}]}}}});
        let page = report(&alert, &Value::Null, "now");
        assert!(
            page.len() < 40_000 && page.contains("bytes more"),
            "{}",
            page.len()
        );
    }

    #[test]
    fn the_policy_is_of_the_style_that_is_written() {
        let page = report(&json!({}), &Value::Null, "now");
        let style = page
            .split_once("<style>")
            .and_then(|(_, rest)| rest.split_once("</style>"))
            .map(|(style, _)| style);
        let hash = STANDARD.encode(Sha256::digest(style.expect("the page has a style").as_bytes()));
        assert!(report_policy().contains(&hash));
    }
}
