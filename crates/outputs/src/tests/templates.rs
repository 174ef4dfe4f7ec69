//! Templates: what they print, what cannot break out of them, and what is told of mistakes.

use serde_json::{Value, json};

use super::{EVIL, group, message, record};
use crate::template::Template;
use crate::{Form, Message};

fn made(template: &str, message: &Message<'_>) -> String {
    let template = Template::parse(template).unwrap_or_else(|wrong| panic!("{template}: {wrong:?}"));
    template.render(Form::Ecs, message).unwrap()
}

/// What is told of a template: the text at the place, and the message.
fn told(template: &str) -> Vec<(String, String)> {
    let wrong = Template::parse(template).err().unwrap_or_default();
    let place = |diagnostic: &neph_diag::Diagnostic| {
        let (start, end) = (diagnostic.span.start as usize, diagnostic.span.end as usize);
        template.get(start..end).unwrap().to_owned()
    };
    wrong
        .iter()
        .map(|diagnostic| (place(diagnostic), diagnostic.message.clone()))
        .collect()
}

#[test]
fn all_that_is_known_can_be_printed() {
    let record = record("www-data");
    let text = "{{ severity }} {{ rule.name }} v{{ rule.version }} {{ kind }} {{ count }} {{ alert.user.name }} {{ alert.event.id }}\n\
        {{ reason }} {{ link }} {{ techniques | join(\"+\") }} {{ time | time }} {{ time | time(\"%d.%m. %H:%M\") }}\n\
        {% for fact in facts %}{{ fact.name }}={{ fact.text }};{% endfor %}\n\
        {{ alert.url.full | defang }} {{ title | upper }} {{ alert.nothing.at.all }}{{ alert.nope | default(\"-\") }} {{ rule.note }}";
    let made_of_one = made(text, &message(&record));
    insta::assert_snapshot!("template", made_of_one);
    let group = group("web-2");
    let message = Message {
        group: Some(&group),
        ..message(&record)
    };
    let text = "{% if group %}{{ group.count }} of {{ rule.name }}: {% for value in group.values %}{{ value.field }}: {{ value.values[0].value }} {% endfor %}{% endif %}";
    assert_eq!(
        made(text, &message),
        "812 of Metadata Asked: host.name: web-1 user.name: www-data "
    );
}

#[test]
fn the_document_is_in_the_form_of_the_output() {
    let record = record("www-data");
    let template = Template::parse("{{ alert.class_uid }} {{ alert.finding_info.title }}").unwrap();
    let text = template.render(Form::Ocsf, &message(&record)).unwrap();
    assert_eq!(text, "2004 Metadata Asked");
}

#[test]
fn nothing_that_a_log_holds_changes_what_json_is_made_of() {
    let template = r#"{# a ticket #}{% set who = alert.user.name %}
{
    "text": "User {{ who }} of {{ rule.name | upper }}: {{ reason }}",
    "who": {{ who }},
    "same": {{ who | json }},
    "inside": "{{ who | json }}",
    "trusted": {{ who | safe }},
    "ip": {{ alert.source.ip }},
    "listed": "{{ alert.source.ip }}",
    "none": {{ alert.none }}, "empty": "{{ alert.none }}",
    "risk": {{ risk_score }}, "with quotes \" and {{ count }}": true,
    "{{ who }}": 1,
    {% set block %}block {{ who }}{% endset %}
    "block": "{{ block }}",
    "loud": "{{ block | upper }}",
    "facts": [{% for fact in facts %}{"title": {{ fact.name }}, "value": "{{ fact.text }}"}{% if not loop.last %},{% endif %}{% endfor %}]
}"#;
    for value in [
        "www-data",
        EVIL,
        "\"",
        "\\",
        "\", \"admin\": \"",
        "1, \"admin\": 2",
        "\"x\"",
        "null",
        "{{ 7 * 7 }}",
    ] {
        let record = record(value);
        let body: Value = serde_json::from_str(&made(template, &message(&record))).unwrap();
        // Signs of which no text has any are taken out.
        let plain = value.replace(['\u{fdd0}', '\u{fdd1}'], "\u{fffd}");
        let keys = body.as_object().unwrap().len();
        assert_eq!(keys, 15, "{value}: {body}");
        for key in ["who", "same"] {
            assert_eq!(body[key], json!(plain), "{key}");
        }
        assert_eq!(
            body["text"],
            json!(format!("User {plain} of METADATA ASKED: `{plain}` ran curl"))
        );
        assert_eq!(body["block"], json!(format!("block {plain}")));
        assert!(body["loud"].as_str().unwrap().starts_with("BLOCK "));
        assert_eq!(body[plain.as_str()], 1);
        assert_eq!(body["ip"], json!(["203.0.113.9"]));
        assert_eq!(body["listed"], "[\"203.0.113.9\"]");
        assert_eq!(
            (&body["none"], &body["empty"], &body["risk"]),
            (&Value::Null, &json!(""), &json!(73))
        );
        assert_eq!(body["with quotes \" and 1"], true);
        assert_eq!(body["facts"][0]["title"], "When");
    }
}

#[test]
fn text_stays_on_its_lines() {
    let record = record(EVIL);
    let text = made(
        "User: {{ alert.user.name }}\nReason: {{ reason }}\n",
        &message(&record),
    );
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.contains(['\u{1b}', '\u{202e}', '\r']));
    let lines = made(
        "{{ \"a\\nb\\r\\nc\" | lines }}|{{ \"a\\nb\" }}",
        &message(&record),
    );
    assert_eq!(lines, "a\nb\nc|a b");
}

#[test]
fn mistakes_are_told_with_their_places() {
    let long = " ".repeat(300_000);
    let templates = [
        "a\n{{ reason | shout }}",
        "{{ alert.user.name }} {{ rul.name }} {{ rul.id }} {{ lnk }}",
        "x {% for a in facts %}",
        "{{ reason }",
        "{{ time | time(\"%!\") }}",
        "{{ alert.user.name() }}",
        "{% include \"/etc/passwd\" %}",
        "{\"a\": {{ reason }}",
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% for a in range(9000) %}{{ reason * 900 }}{% endfor %}",
        &long,
    ];
    let mut all = String::new();
    for template in templates {
        let told = told(template);
        assert!(!told.is_empty(), "{template}");
        all.push_str(&format!(
            "{}\n",
            template.get(..100).unwrap_or(template).trim_end()
        ));
        for (place, message) in told {
            all.push_str(&format!("    at `{}`: {message}\n", place.trim_end()));
        }
    }
    insta::assert_snapshot!("template_mistakes", all);
}

#[test]
fn what_a_template_makes_is_bounded_for_every_alert() {
    let record = record(&"x".repeat(1 << 20));
    let template = Template::parse("{{ alert.user.name }}{{ alert.user.name }}").unwrap();
    let error = template.render(Form::Ecs, &message(&record)).unwrap_err();
    assert!(error.contains("more than 1048576 bytes"), "{error}");
}
