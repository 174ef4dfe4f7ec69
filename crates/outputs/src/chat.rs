//! Bodies for chats.

use serde_json::Value;

use crate::Message;

/// For Slack, and what takes the same.
pub(crate) fn slack(message: &Message<'_>) -> Value {
    let _ = message;
    Value::Null
}

/// For Microsoft Teams.
pub(crate) fn teams(message: &Message<'_>) -> Value {
    let _ = message;
    Value::Null
}

/// For Telegram's bots.
pub(crate) fn telegram(message: &Message<'_>, chat: &str) -> Value {
    let _ = (message, chat);
    Value::Null
}
