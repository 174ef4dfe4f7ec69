//! Bodies for chats. Values of logs stand in them as plain text: they mention nobody, link nowhere and change no layout.

use serde_json::{Map, Value, json};

use crate::Message;
use crate::text::{ascii_json, html, shortened};
use crate::told::Told;

/// Facts that a message shows.
const FACTS: usize = 20;

/// A round of the colour of a severity.
fn mark(severity: &str) -> &'static str {
    match severity {
        "critical" => "\u{1f534}",
        "high" => "\u{1f7e0}",
        "medium" => "\u{1f7e1}",
        _ => "\u{1f535}",
    }
}

/// For Slack, and what takes the same: Block Kit with its limits (50 blocks, 150 characters of a header, 3,000 of a text, ten fields of
/// 2,000 a section): <https://docs.slack.dev/reference/block-kit/blocks>. All but the link is `plain_text`, in which nothing is markup.
pub(crate) fn slack(message: &Message<'_>) -> Value {
    let told = Told::new(message);
    let plain = |text: &str, most: usize| json!({"type": "plain_text", "text": shortened(text, most), "emoji": false});
    let head = format!("{} [{}] {}", mark(told.severity), told.severity, told.title);
    let mut blocks = vec![
        json!({"type": "header", "text": plain(&head, 150)}),
        json!({"type": "section", "text": plain(&told.reason, 2900)}),
    ];
    let facts: Vec<Value> = told
        .facts
        .iter()
        .take(FACTS)
        .map(|(name, text)| plain(&format!("{name}: {text}"), 1900))
        .collect();
    blocks.extend(
        facts
            .chunks(10)
            .map(|fields| json!({"type": "section", "fields": fields})),
    );
    if let Some(link) = &told.link {
        let text = format!("<{}|Open the alert>", slack_escaped(link).replace('|', "%7C"));
        blocks.push(json!({"type": "section", "text": {"type": "mrkdwn", "text": text}}));
    }
    // What notifications show, and chats that know no blocks. These make mentions of `@`.
    let text = slack_escaped(&format!("{}: {}", head, told.reason)).replace('@', "@\u{200b}");
    json!({"text": shortened(&text, 2900), "blocks": blocks, "unfurl_links": false, "unfurl_media": false})
}

/// Slack's three control characters: <https://docs.slack.dev/messaging/formatting-message-text#escaping>.
fn slack_escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Bytes of a message that a webhook of Teams takes.
const TEAMS_BYTES: usize = 28 * 1024;

/// For Microsoft Teams: an Adaptive Card 1.4 in the message that a webhook of Workflows takes, of 28 KB at most:
/// <https://learn.microsoft.com/en-us/connectors/teams/?tabs=text1%2Cdotnet#adaptivecarditemschema>. Values stand in text runs, which
/// have no markup, other than text blocks: <https://learn.microsoft.com/en-us/adaptive-cards/authoring-cards/text-features>.
pub(crate) fn teams(message: &Message<'_>) -> Value {
    let mut told = Told::new(message);
    let mut most = 2000;
    loop {
        let card = teams_card(&told, most);
        if ascii_json(&card).len() <= TEAMS_BYTES || most < 50 {
            return card;
        }
        most /= 2;
        told.facts.truncate(FACTS / 2);
    }
}

fn teams_card(told: &Told, most: usize) -> Value {
    let run = |text: &str| json!({"type": "TextRun", "text": shortened(text, most)});
    let with = |text: &str, more: &[(&str, Value)]| {
        let mut run = run(text);
        if let Value::Object(object) = &mut run {
            object.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        }
        run
    };
    let block = |inlines: Vec<Value>| json!({"type": "RichTextBlock", "inlines": inlines});
    let colour = match told.severity {
        "critical" | "high" => "attention",
        "medium" => "warning",
        _ => "accent",
    };
    let head = [
        ("weight", json!("bolder")),
        ("size", json!("large")),
        ("color", json!(colour)),
    ];
    let mut body = vec![
        block(vec![with(&format!("[{}] {}", told.severity, told.title), &head)]),
        block(vec![run(&told.reason)]),
    ];
    let bold = [("weight", json!("bolder"))];
    let facts = told.facts.iter().take(FACTS);
    body.extend(facts.map(|(name, text)| block(vec![with(&format!("{name}: "), &bold), run(text)])));
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "msteams": {"width": "Full"},
    });
    if let (Some(link), Value::Object(card)) = (&told.link, &mut card) {
        let open = json!({"type": "Action.OpenUrl", "title": "Open the alert", "url": link});
        card.insert("actions".to_owned(), json!([open]));
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

/// Characters of a message of Telegram, counted as it counts them: in UTF-16. Its entities are not counted, here they are, so that it
/// is always less.
const TELEGRAM_UNITS: usize = 4096;

/// For Telegram's bots, `sendMessage` with HTML: <https://core.telegram.org/bots/api#sendmessage>. Values stand in `code`, in which
/// nothing becomes a link, a mention, a command or a tag.
pub(crate) fn telegram(message: &Message<'_>, chat: &str) -> Value {
    let told = Told::new(message);
    let code = |text: &str, most: usize| format!("<code>{}</code>", html(&shortened(text, most)));
    let mut text = format!(
        "{} <b>{}</b> {}\n{}",
        mark(told.severity),
        told.severity,
        code(&told.title, 200),
        code(&told.reason, 500),
    );
    let link = told
        .link
        .as_ref()
        .map(|link| format!("\n<a href=\"{}\">Open the alert</a>", html(link)));
    let units = |text: &str| text.encode_utf16().count();
    let room = TELEGRAM_UNITS.saturating_sub(link.as_deref().map_or(0, units));
    for (name, value) in told.facts.iter().take(FACTS) {
        let line = format!("\n{name}: {}", code(value, 200));
        // A character may be escaped to five; the text so far fits.
        if units(&text) + units(&line) > room {
            break;
        }
        text.push_str(&line);
    }
    if units(&text) > room {
        text = format!("<b>{}</b> {}", told.severity, code(&told.title, 100));
    }
    text.extend(link.filter(|link| units(link) <= TELEGRAM_UNITS / 2));
    let mut body = Map::new();
    body.insert("chat_id".to_owned(), chat.into());
    body.insert("text".to_owned(), text.into());
    body.insert("parse_mode".to_owned(), "HTML".into());
    body.insert("link_preview_options".to_owned(), json!({"is_disabled": true}));
    Value::Object(body)
}
