//! Windows event logs, and what their channels have in common.
//!
//! Every record is first brought into the form that Winlogbeat and Elastic agents ship (`winlog.channel`,
//! `winlog.event_id`, `winlog.event_data.*`), see [`forms`]; then the module of its channel puts the event data into
//! ECS, as Elastic's integrations do: what has a field leaves `winlog.event_data`, the rest stays.

pub(super) mod forms;
pub(super) mod powershell;
pub(super) mod security;
mod security_tables;
pub(super) mod sysmon;
pub(super) mod sysmon_linux;

use crate::convert;
use crate::mapping::{Mapping, keep};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value};

/// Records of any channel, each treated as its channel asks.
pub(super) const FORWARDED: SourceInfo = SourceInfo {
    name: "windows_forwarded",
    aliases: &["windows_winlogbeat", "windows_azure"],
    title: "Windows events of any channel: Winlogbeat, Elastic agents, NXLog, Azure Monitor, XML",
    module: "windows",
    dataset: "windows.forwarded",
    os: Some("windows"),
    mappings: &[COMMON],
    derived: &[COMMON_DERIVED],
    detect: |record| forms::detect(record, None),
    start: || Box::new(Stateless(|record| normalize(record, None))),
};

/// What all channels have in common.
pub(super) const COMMON: &[Mapping] = &[
    keep("winlog.level", "log.level"),
    keep("winlog.event_id", "event.code"),
    keep("winlog.provider_name", "event.provider"),
    keep("winlog.time_created", "@timestamp"),
];

/// What all channels have in common.
pub(super) const COMMON_DERIVED: &[Derived] = &[
    derived("winlog.*", &[]),
    derived("event.kind", &[]),
    derived("event.category", &["winlog.event_id"]),
    derived("event.type", &["winlog.event_id"]),
    derived("event.action", &["winlog.event_id"]),
    derived("host.os.family", &[]),
];

/// A channel that has rules of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Security,
    Sysmon,
    PowerShell,
    PowerShellOperational,
}

impl Channel {
    /// The channel that the winlog part of a document names.
    fn of(winlog: &Map<'_>) -> Option<Self> {
        let channel = winlog.text_at("channel").unwrap_or("");
        let named = |name: &str| channel.eq_ignore_ascii_case(name);
        let provider = winlog.text_at("provider_name").unwrap_or("");
        if named("microsoft-windows-sysmon/operational")
            || (channel.is_empty() && provider == "Microsoft-Windows-Sysmon")
        {
            Some(Self::Sysmon)
        } else if named("windows powershell") {
            Some(Self::PowerShell)
        } else if named("microsoft-windows-powershell/operational") {
            Some(Self::PowerShellOperational)
        } else if (named("security") || channel.is_empty()) && security::knows_provider(provider) {
            Some(Self::Security)
        } else {
            None
        }
    }
}

/// A record of any channel; `channel` where the source says it.
pub(super) fn normalize<'a>(record: &Record<'a>, channel: Option<Channel>) -> Result<&'a Map<'a>, Dropped> {
    let Some(document) = forms::winlog_document(record) else {
        return Err(Dropped::Malformed("it is no event of a Windows log"));
    };
    let Some(winlog) = document.map_at("winlog") else {
        return Err(Dropped::Malformed("`winlog` is no object"));
    };
    let event = Event::new(document, winlog, channel.is_none());
    match channel.or_else(|| Channel::of(winlog)) {
        Some(Channel::Sysmon) => sysmon::normalize(&event),
        Some(Channel::PowerShell) => powershell::classic(&event),
        Some(Channel::PowerShellOperational) => powershell::operational(&event),
        Some(Channel::Security) => security::normalize(&event),
        None => {}
    }
    event.finish();
    Ok(document)
}

/// A Windows event in the course of its normalisation.
#[derive(Clone, Copy)]
pub(super) struct Event<'a> {
    /// The whole document.
    pub(super) document: &'a Map<'a>,
    /// Its `winlog`.
    pub(super) winlog: &'a Map<'a>,
    /// Its `winlog.event_data`; an object of its own where there is none.
    pub(super) data: &'a Map<'a>,
    /// The event id as text.
    pub(super) code: &'a str,
    /// Whether it came among events of other channels.
    pub(super) forwarded: bool,
}

impl<'a> Event<'a> {
    fn new(document: &'a Map<'a>, winlog: &'a Map<'a>, forwarded: bool) -> Self {
        let data = winlog
            .get("event_data")
            .and_then(Value::as_map)
            .unwrap_or_else(|| winlog.new_map());
        let id = winlog.get("event_id").or_else(|| document.at("event.code"));
        let code = id.and_then(|id| convert::text(id, document)).unwrap_or("");
        if !code.is_empty() {
            document.put_text("event.code", code);
            winlog.set("event_id", Value::Text(code));
        }
        if let Some(number) = winlog.get("record_id").and_then(|id| convert::text(id, document)) {
            winlog.set("record_id", Value::Text(number));
        }
        document.put_text("event.kind", "event");
        Self {
            document,
            winlog,
            data,
            code,
            forwarded,
        }
    }

    /// Whether the event id is one of these.
    pub(super) fn is(&self, codes: &[&str]) -> bool {
        codes.contains(&self.code)
    }

    /// The text of an event data field, unless it is empty.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        convert::text(self.data.get(name)?, self.document).filter(|text| !text.is_empty())
    }

    /// The text of an event data field, unless it is empty or a dash, which stands for nothing.
    pub(super) fn said(&self, name: &str) -> Option<&'a str> {
        self.text(name).filter(|text| *text != "-")
    }

    /// Moves an event data field to a field that is not there yet.
    pub(super) fn rename(&self, name: &str, field: &'a str) {
        if self.text(name).is_some()
            && self.document.at(field).is_none()
            && let Some(value) = self.data.remove(name)
        {
            self.document.put(field, value);
        }
    }

    /// Moves event data fields, see [`rename`](Self::rename).
    pub(super) fn rename_all(&self, table: &'static [Mapping]) {
        for row in table {
            if let Some(name) = row.from.strip_prefix("winlog.event_data.") {
                self.rename(name, row.to);
            }
        }
    }

    /// Copies an event data field, replacing what is there.
    pub(super) fn copy(&self, name: &str, field: &'a str) {
        if self.text(name).is_some() {
            self.document.copy_from(self.data, name, field);
        }
    }

    /// Copies an event data field as an integer, decimal or hexadecimal.
    pub(super) fn long(&self, name: &str, field: &'a str) {
        if let Some(number) = self.data.get(name).and_then(decode_long) {
            self.document.put(field, Value::Int(number));
        }
    }

    /// The time at which Windows made the record becomes the time of the event.
    pub(super) fn created(&self) {
        if let Some(time) = self
            .winlog
            .get("time_created")
            .and_then(|time| convert::date(time, self.document))
        {
            self.document.put_text("@timestamp", time);
        }
    }

    /// `DOMAIN\name` of an event data field into two fields.
    pub(super) fn account(&self, name: &str, domain_field: &'a str, name_field: &'a str) {
        if let Some((domain, user)) = self.text(name).and_then(|account| account.split_once('\\'))
            && !user.contains('\\')
        {
            for (part, field) in [(domain, domain_field), (user, name_field)] {
                if !part.is_empty() {
                    self.document.put_text(field, part);
                }
            }
        }
    }

    /// Adds a user to `related.user`.
    pub(super) fn related_user(&self, name: &'a str) {
        if !name.is_empty() && name != "-" {
            self.document.append_new("related.user", Value::Text(name));
        }
    }

    /// Takes event data fields away.
    pub(super) fn forget(&self, names: &[&str]) {
        for name in names {
            self.data.remove(name);
        }
    }

    /// `process.args` of `process.command_line`, and the same for the parent.
    pub(super) fn arguments(&self) {
        for path in ["process", "process.parent"] {
            let Some(process) = self.document.map_at(path) else {
                continue;
            };
            let Some(line) = process.text_at("command_line") else {
                continue;
            };
            let arguments = split_command_line(line);
            process.set(
                "args_count",
                Value::Int(i64::try_from(arguments.len()).unwrap_or(i64::MAX)),
            );
            let arguments: Vec<Value<'a>> = arguments
                .iter()
                .map(|word| Value::Text(process.text(word)))
                .collect();
            process.set("args", process.list(&arguments));
        }
    }

    /// The name, the directory and the extension of a file.
    pub(super) fn file_parts(&self, path: &'a str) {
        if let Some((directory, name)) = path.rsplit_once('\\') {
            self.document.put_text("file.name", name);
            self.document.put_text("file.directory", directory);
            if let Some((_, extension)) = path.rsplit_once('.') {
                self.document.put_text("file.extension", extension);
            }
        }
    }

    /// What the agent looked up for a security id, and the end of all channels.
    fn finish(&self) {
        self.rename("_MemberUserName", "user.name");
        self.rename("_MemberDomain", "user.domain");
        if let Some(kind) = self.text("_MemberAccountType") {
            self.document.append_new("user.roles", Value::Text(kind));
            self.data.remove("_MemberAccountType");
        }
        if let Some(code) = self
            .document
            .at("error.code")
            .and_then(|code| convert::text(code, self.document))
        {
            self.document.put_text("error.code", code);
        }
        if self.data.is_empty() && self.winlog.get("event_data").is_some_and(Value::is_blank) {
            self.winlog.remove("event_data");
        }
        self.document.put_new("host.os.family", Value::Text("windows"));
    }
}

/// An integer as Java's `Long.decode` reads it: decimal, or hexadecimal behind `0x`.
pub(super) fn decode_long(value: Value<'_>) -> Option<i64> {
    let Some(text) = value.as_text() else {
        return value.to_int();
    };
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The last part of a path.
pub(super) fn base_name(path: &str) -> &str {
    path.rsplit_once('\\').map_or(path, |(_, name)| name)
}

/// Splits a command line into arguments as Windows programs do.
/// <https://learn.microsoft.com/cpp/c-language/parsing-c-command-line-arguments>, with the older rule for doubled
/// quotes: inside of quotes two of them are one and end the quoted part.
fn split_command_line(line: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut letters = line.chars().peekable();
    loop {
        while letters.next_if(|letter| matches!(letter, ' ' | '\t')).is_some() {}
        if letters.peek().is_none() {
            return arguments;
        }
        let mut argument = String::new();
        let mut quoted = false;
        let mut slashes = 0_usize;
        while let Some(letter) = letters.next() {
            match letter {
                '\\' => {
                    slashes += 1;
                    continue;
                }
                '"' => {
                    argument.extend(std::iter::repeat_n('\\', slashes / 2));
                    if slashes.is_multiple_of(2) {
                        if quoted && letters.next_if_eq(&'"').is_some() {
                            argument.push('"');
                        }
                        quoted = !quoted;
                    } else {
                        argument.push('"');
                    }
                    slashes = 0;
                    continue;
                }
                ' ' | '\t' if !quoted => break,
                _ => {}
            }
            argument.extend(std::iter::repeat_n('\\', slashes));
            slashes = 0;
            argument.push(letter);
        }
        argument.extend(std::iter::repeat_n('\\', slashes));
        arguments.push(argument);
    }
}

/// Whether a record is of a channel, see [`forms::detect`].
pub(super) fn detect_channel(record: &Record<'_>, channel: Channel) -> Confidence {
    forms::detect(record, Some(channel))
}

#[cfg(test)]
mod tests {
    use super::split_command_line;

    #[test]
    fn command_lines_split_as_windows_does() {
        let check = |line: &str, words: &[&str]| assert_eq!(split_command_line(line), words, "{line}");
        check("", &[]);
        check("  a  b\tc ", &["a", "b", "c"]);
        check(
            r#""C:\Program Files\x.exe" /c "say \"hi\"""#,
            &[r"C:\Program Files\x.exe", "/c", r#"say "hi""#],
        );
        check(r#"a\\b d"e f"g h"#, &[r"a\\b", "de fg", "h"]);
        check(r#"a\\\"b c d"#, &[r#"a\"b"#, "c", "d"]);
        check(r#"a\\\\"b c" d e"#, &[r"a\\b c", "d", "e"]);
        check(r#""""#, &[""]);
        check(r"dir\ ", &[r"dir\"]);
    }
}
