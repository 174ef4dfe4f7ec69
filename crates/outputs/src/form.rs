//! What an alert looks like to receivers: its ECS document with what became of it.

use serde_json::Value;

use crate::{Message, ocsf};

/// How alerts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The Elastic Common Schema.
    Ecs,
    /// OCSF Detection Finding.
    Ocsf,
}

impl Form {
    /// The form of a word of the configuration.
    pub fn of(word: &str) -> Self {
        match word {
            "ocsf" => Self::Ocsf,
            _ => Self::Ecs,
        }
    }

    /// The document of a message.
    pub fn document(self, message: &Message<'_>) -> Value {
        match self {
            Self::Ecs => ecs(message),
            Self::Ocsf => ocsf::finding(message),
        }
    }
}

fn ecs(message: &Message<'_>) -> Value {
    serde_json::from_slice(&message.alert.alert.document).unwrap_or_default()
}
