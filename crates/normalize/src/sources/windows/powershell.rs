//! The two logs of PowerShell: the classic one (events 400, 403, 600, 800) and the operational one (4103 … 4106).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::{COMMON, COMMON_DERIVED, Channel, Event, detect_channel};
use crate::mapping::{Mapping, keep};
use crate::source::{Derived, SourceInfo, Stateless, derived};
use crate::tree::Value;

pub(in crate::sources) const CLASSIC: SourceInfo = SourceInfo {
    name: "windows_powershell",
    aliases: &[],
    title: "Windows PowerShell, classic log (events 400, 403, 600, 800)",
    module: "windows",
    dataset: "windows.powershell",
    os: Some("windows"),
    mappings: &[COMMON, MOVES, CLASSIC_MOVES],
    derived: &[COMMON_DERIVED, DERIVED],
    detect: |record| detect_channel(record, Channel::PowerShell),
    start: || {
        Box::new(Stateless(|record| {
            super::normalize(record, Some(Channel::PowerShell))
        }))
    },
};

pub(in crate::sources) const OPERATIONAL: SourceInfo = SourceInfo {
    name: "windows_powershell_operational",
    aliases: &[],
    title: "Windows PowerShell, operational log (events 4103 to 4106)",
    module: "windows",
    dataset: "windows.powershell_operational",
    os: Some("windows"),
    mappings: &[COMMON, MOVES, OPERATIONAL_MOVES],
    derived: &[COMMON_DERIVED, DERIVED],
    detect: |record| detect_channel(record, Channel::PowerShellOperational),
    start: || {
        Box::new(Stateless(|record| {
            super::normalize(record, Some(Channel::PowerShellOperational))
        }))
    },
};

/// Fields of both logs that leave the event data.
const MOVES: &[Mapping] = &[
    keep("winlog.event_data.HostApplication", "process.command_line"),
    keep("winlog.event_data.HostName", "process.title"),
    keep("winlog.event_data.EngineVersion", "powershell.engine.version"),
    keep("winlog.event_data.RunspaceId", "powershell.runspace_id"),
    keep(
        "winlog.event_data.HostVersion",
        "powershell.process.executable_version",
    ),
    keep("winlog.event_data.CommandLine", "powershell.command.value"),
    keep("winlog.event_data.CommandPath", "powershell.command.path"),
    keep("winlog.event_data.CommandName", "powershell.command.name"),
    keep("winlog.event_data.CommandType", "powershell.command.type"),
];

const CLASSIC_MOVES: &[Mapping] = &[
    keep("winlog.event_data.HostId", "process.entity_id"),
    keep("winlog.event_data.NewEngineState", "powershell.engine.new_state"),
    keep(
        "winlog.event_data.PreviousEngineState",
        "powershell.engine.previous_state",
    ),
    keep(
        "winlog.event_data.NewProviderState",
        "powershell.provider.new_state",
    ),
    keep("winlog.event_data.ProviderName", "powershell.provider.name"),
    keep("winlog.event_data.PipelineId", "powershell.pipeline_id"),
];

const OPERATIONAL_MOVES: &[Mapping] = &[
    keep("winlog.event_data.HostID", "process.entity_id"),
    keep("winlog.event_data.ShellID", "powershell.id"),
    keep("winlog.event_data.PipelineID", "powershell.pipeline_id"),
    keep("winlog.event_data.RunspaceID", "powershell.runspace_id"),
    keep(
        "winlog.event_data.ScriptBlockId",
        "powershell.file.script_block_id",
    ),
    keep(
        "winlog.event_data.ScriptBlockText",
        "powershell.file.script_block_text",
    ),
];

const DERIVED: &[Derived] = &[
    derived("event.sequence", &["winlog.event_data.SequenceNumber"]),
    derived(
        "powershell.sequence",
        &[
            "winlog.event_data.DetailSequence",
            "winlog.event_data.MessageNumber",
        ],
    ),
    derived(
        "powershell.total",
        &["winlog.event_data.DetailTotal", "winlog.event_data.MessageTotal"],
    ),
    derived(
        "powershell.command.invocation_details.*",
        &["winlog.event_data.Payload", "winlog.event_data.param3"],
    ),
    derived(
        "powershell.file.script_block_hash",
        &["winlog.event_data.ScriptBlockText"],
    ),
    derived(
        "powershell.file.script_block_signature",
        &["winlog.event_data.ScriptBlockText"],
    ),
    derived("process.args", &["winlog.event_data.HostApplication"]),
    derived("process.args_count", &["winlog.event_data.HostApplication"]),
    derived(
        "file.path",
        &["winlog.event_data.ScriptName", "winlog.event_data.Path"],
    ),
    derived(
        "file.name",
        &["winlog.event_data.ScriptName", "winlog.event_data.Path"],
    ),
    derived(
        "file.directory",
        &["winlog.event_data.ScriptName", "winlog.event_data.Path"],
    ),
    derived(
        "file.extension",
        &["winlog.event_data.ScriptName", "winlog.event_data.Path"],
    ),
    derived(
        "user.*",
        &[
            "winlog.event_data.User",
            "winlog.event_data.UserId",
            "winlog.user.identifier",
        ],
    ),
    derived("source.user.*", &["winlog.event_data.ConnectedUser"]),
    derived("destination.user.*", &["winlog.event_data.User"]),
    derived(
        "related.user",
        &["winlog.event_data.User", "winlog.event_data.UserId"],
    ),
];

/// The classic log.
pub(super) fn classic(event: &Event<'_>) {
    if event.code == "800" {
        if let Some(text) = event.text("param2") {
            key_values(event, text.split("\n\t"), &['\n', '\t', '\r']);
        }
    } else if let Some(text) = event.text("param3") {
        tabbed_values(event, text);
    }
    start(event, &[("400", "start"), ("403", "end")]);
    event.rename_all(CLASSIC_MOVES);
    event.rename_all(MOVES);
    event.account("UserId", "user.domain", "user.name");
    if let Some(name) = event.document.text_at("user.name") {
        event.related_user(name);
    }
    event.long("DetailTotal", "powershell.total");
    event.long("DetailSequence", "powershell.sequence");
    if event.code == "800" {
        invocation_details(event, "param3");
    }
    finish(
        event,
        &[
            "param1",
            "param2",
            "param3",
            "DetailTotal",
            "DetailSequence",
            "UserId",
        ],
    );
}

/// The operational log.
pub(super) fn operational(event: &Event<'_>) {
    if event.code == "4103"
        && let Some(text) = event.text("ContextInfo")
    {
        key_values(event, text.split('\n'), &[' ', '\n', '\t', '\r']);
    }
    event.data.rename_keys(|key| {
        let spaced = key.contains(char::is_whitespace);
        spaced.then(|| event.data.text(&key.split_whitespace().collect::<String>()))
    });
    start(event, &[("4105", "start"), ("4106", "end")]);
    event.rename_all(OPERATIONAL_MOVES);
    event.rename_all(MOVES);
    users(event);
    event.long("MessageNumber", "powershell.sequence");
    event.long("MessageTotal", "powershell.total");
    script_block(event);
    if event.code == "4103" {
        invocation_details(event, "Payload");
    }
    event.rename("Path", "winlog.event_data.ScriptName");
    finish(
        event,
        &[
            "User",
            "ConnectedUser",
            "ContextInfo",
            "Severity",
            "MessageTotal",
            "MessageNumber",
            "Payload",
        ],
    );
}

fn start(event: &Event<'_>, types: &[(&str, &'static str)]) {
    let document = event.document;
    document.put_text("ecs.version", "8.0.0");
    if let Some(level) = event.winlog.text_at("level") {
        document.put_text("log.level", level);
    }
    event.created();
    document.put_texts("event.category", &["process"]);
    let kind = types
        .iter()
        .find(|(code, _)| *code == event.code)
        .map_or("info", |(_, kind)| kind);
    document.put_texts("event.type", &[kind]);
    event.long("SequenceNumber", "event.sequence");
}

fn finish(event: &Event<'_>, done: &[&str]) {
    event.arguments();
    if let Some(path) = event.text("ScriptName").filter(|path| path.len() > 1) {
        event.file_parts(path);
    }
    event.rename("ScriptName", "file.path");
    event.forget(done);
    event.forget(&["SequenceNumber"]);
    event.winlog.remove("time_created");
    event.winlog.remove("level");
    event
        .data
        .retain(|_, value| (!matches!(value, Value::Null | Value::Text(""))).then_some(value));
}

/// More pairs than this are none: PowerShell writes a few dozen.
const MAX_PAIRS: usize = 500;

/// `Key = Value` parts into the event data, with the blanks round keys and values taken off.
fn key_values<'a>(event: &Event<'a>, parts: impl Iterator<Item = &'a str>, blank: &[char]) {
    for (key, value) in parts.take(MAX_PAIRS).filter_map(|part| part.split_once('=')) {
        let key = key.trim_matches(blank);
        if !key.is_empty() {
            event.data.set(key, Value::Text(value.trim_matches(blank)));
        }
    }
}

/// `\tKey=Value` entries, whose values may span lines and hold anything but a tab, a word and an equals sign.
fn tabbed_values<'a>(event: &Event<'a>, text: &'a str) {
    let mut current: Option<(&'a str, usize)> = None;
    let mut pairs = 0;
    for (tab, _) in text.match_indices('\t') {
        let Some((key, _)) = text.get(tab + 1..).and_then(|rest| rest.split_once('=')) else {
            continue;
        };
        let word = !key.is_empty()
            && key
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        if !word {
            continue;
        }
        if let Some((key, from)) = current {
            event
                .data
                .set(key, Value::Text(text.get(from..tab).unwrap_or("").trim()));
        }
        current = Some((key, tab + 1 + key.len() + 1));
        pairs += 1;
        if pairs == MAX_PAIRS {
            break;
        }
    }
    if let Some((key, from)) = current {
        event
            .data
            .set(key, Value::Text(text.get(from..).unwrap_or("").trim()));
    }
}

/// Who ran it; where somebody was connected, it is him, and the local account is the destination's.
fn users(event: &Event<'_>) {
    let document = event.document;
    document.copy("winlog.user.identifier", "user.id");
    event.account("User", "user.domain", "user.name");
    if let Some(name) = document.text_at("user.name") {
        event.related_user(name);
    }
    event.account("ConnectedUser", "source.user.domain", "source.user.name");
    if document.at("source.user").is_some() {
        if let Some(name) = document.text_at("source.user.name") {
            event.related_user(name);
        }
        for part in ["domain", "name"] {
            let path = |prefix: &str| document.text(&[prefix, part].join("."));
            document.rename(path("user"), path("destination.user"));
            document.copy(path("source.user"), path("user"));
        }
    }
}

const SIGNATURE_START: &str = "# SIG # Begin signature block";
const SIGNATURE_END: &str = "# SIG # End signature block";

/// The text of a script block, its signature, and a hash that does not depend on white space.
fn script_block(event: &Event<'_>) {
    let document = event.document;
    let Some(text) = document.text_at("powershell.file.script_block_text") else {
        return;
    };
    let text = text.trim();
    document.put_text("powershell.file.script_block_text", text);
    if let Some(signature) = text
        .strip_prefix(SIGNATURE_START)
        .and_then(|rest| rest.strip_suffix(SIGNATURE_END))
    {
        document.put_text(
            "powershell.file.script_block_signature",
            document.text(&signature.replace("\n# ", "")),
        );
    }
    let dense: String = text.split(|letter: char| letter.is_ascii_whitespace()).collect();
    let mut hasher = Sha1::new();
    // Elasticsearch's `fingerprint` processor hashes a zero byte before each value.
    hasher.update(b"\0");
    hasher.update(dense.as_bytes());
    document.put_text(
        "powershell.file.script_block_hash",
        document.text(&STANDARD.encode(hasher.finalize())),
    );
}

/// `ParameterBinding(Out-Default): name="InputObject"; value="…"`, one a line.
fn invocation_details<'a>(event: &Event<'a>, name: &str) {
    let Some(Value::Text(text)) = event.data.get(name) else {
        return;
    };
    let mut lines: Vec<&'a str> = text.split('\n').collect();
    while lines.len() > 1 && lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    let details: Vec<Value<'a>> = lines
        .into_iter()
        .map(|line| {
            let detail = event.document.new_map();
            match Detail::parse(line, event.code == "800") {
                None => detail.add("value", Value::Text(line)),
                Some(parsed) => {
                    detail.add("type", Value::Text(parsed.kind));
                    detail.add("related_command", Value::Text(parsed.command));
                    if let Some(name) = parsed.name {
                        detail.add("name", Value::Text(name));
                    }
                    detail.add("value", parsed.value.map_or(Value::Null, Value::Text));
                }
            }
            Value::Map(detail)
        })
        .collect();
    event.document.put(
        "powershell.command.invocation_details",
        event.document.list(&details),
    );
}

struct Detail<'a> {
    kind: &'a str,
    command: &'a str,
    name: Option<&'a str>,
    value: Option<&'a str>,
}

impl<'a> Detail<'a> {
    fn parse(line: &'a str, no_colon: bool) -> Option<Self> {
        let (kind, rest) = line.split_once('(')?;
        let (command, rest) = rest.split_once(')')?;
        let value = rest.strip_prefix(':')?.trim_start();
        if kind.is_empty() || command.is_empty() || (no_colon && kind.contains(':')) {
            return None;
        }
        if kind == "ParameterBinding" {
            let (name, value) = value.strip_prefix("name=")?.rsplit_once("value=")?;
            let name = name.trim_end().strip_suffix(';')?;
            return Some(Self {
                kind,
                command,
                name: Some(name),
                value: Some(value),
            });
        }
        Some(Self {
            kind,
            command,
            name: None,
            value: (!value.is_empty()).then_some(value),
        })
    }
}
