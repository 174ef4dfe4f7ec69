//! What the service says of itself: lines on standard error, as text or JSON.

use std::fmt::{Display, Write as _};
use std::io::Write as _;

use neph_config::{Log as Settings, LogFormat, LogLevel};
use serde_json::{Map, Value};

/// Writes lines. Whatever clients had a say in stands in values, which are quoted, so that no line can be forged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    settings: Settings,
}

/// A name and a value of a line.
pub(crate) type Fact<'a> = (&'a str, &'a dyn Display);

impl Log {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings }
    }

    pub(crate) fn error(&self, message: &str, facts: &[Fact<'_>]) {
        self.write(LogLevel::Error, "error", message, facts);
    }

    pub(crate) fn warn(&self, message: &str, facts: &[Fact<'_>]) {
        self.write(LogLevel::Warn, "warn", message, facts);
    }

    pub(crate) fn info(&self, message: &str, facts: &[Fact<'_>]) {
        self.write(LogLevel::Info, "info", message, facts);
    }

    pub(crate) fn debug(&self, message: &str, facts: &[Fact<'_>]) {
        self.write(LogLevel::Debug, "debug", message, facts);
    }

    fn write(&self, level: LogLevel, word: &str, message: &str, facts: &[Fact<'_>]) {
        if level > self.settings.level {
            return;
        }
        let line = line(
            self.settings.format,
            &neph_api::now().to_string(),
            word,
            message,
            facts,
        );
        // Nothing can be done when standard error is gone.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

fn line(format: LogFormat, time: &str, level: &str, message: &str, facts: &[Fact<'_>]) -> String {
    match format {
        LogFormat::Json => {
            let mut object = Map::new();
            object.insert("time".into(), time.into());
            object.insert("level".into(), level.into());
            object.insert("message".into(), message.into());
            for (name, value) in facts {
                object.insert((*name).into(), Value::String(value.to_string()));
            }
            format!("{}\n", Value::Object(object))
        }
        LogFormat::Text => {
            let mut line = format!("{time} {level:5} {message}");
            for (name, value) in facts {
                let text = value.to_string();
                let plain = |character: char| character.is_alphanumeric() || "-_./:@%+".contains(character);
                match !text.is_empty() && text.chars().all(plain) {
                    true => {
                        let _ = write!(line, " {name}={text}");
                    }
                    false => {
                        let quoted: String = text.chars().flat_map(char::escape_default).collect();
                        let _ = write!(line, " {name}=\"{quoted}\"");
                    }
                }
            }
            line.push('\n');
            line
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_forge_lines() {
        let evil = "a\n2026-01-01 error all is lost\u{1b}[2J";
        let text = line(
            LogFormat::Text,
            "T",
            "info",
            "seen",
            &[("stream", &evil), ("count", &3)],
        );
        assert_eq!(
            text,
            "T info  seen stream=\"a\\n2026-01-01 error all is lost\\u{1b}[2J\" count=3\n"
        );
        let json = line(LogFormat::Json, "T", "info", "seen", &[("stream", &evil)]);
        assert_eq!(json.lines().count(), 1);
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["stream"], evil);
    }
}
