//! The shapes in which Windows events arrive, all brought into the one of Winlogbeat.

use ahash::{AHashMap, AHashSet};
use quick_xml::events::{BytesStart, Event as Xml};

use super::{Channel, security, sysmon_linux};
use crate::convert;
use crate::json;
use crate::record::Record;
use crate::source::Confidence;
use crate::tree::{Map, Value};

/// What a record looks like.
enum Form<'a> {
    /// A document of an agent: `winlog.*`.
    Winlog(&'a Map<'a>),
    /// `{"Event": {"System": …, "EventData": …}}`, as dumps of log files have it.
    Event(&'a Map<'a>),
    /// One flat object: NXLog, Azure Monitor, Log Analytics.
    Flat(&'a Map<'a>),
    /// The XML of an event.
    Xml(&'a str),
}

impl<'a> Form<'a> {
    fn of(record: &Record<'a>) -> Option<Self> {
        let Some(object) = record.object else {
            let text = record.text.trim_start();
            let xml = text.starts_with('<') && text.contains("<Event") && text.contains("<System>");
            return xml.then_some(Self::Xml(text));
        };
        if let Some(winlog) = object.get("winlog").and_then(Value::as_map) {
            let shaped = ["channel", "event_id", "provider_name", "event_data"]
                .iter()
                .any(|key| winlog.get(key).is_some());
            return shaped.then_some(Self::Winlog(object));
        }
        if let Some(event) = object.get("Event").and_then(Value::as_map)
            && event.get("System").is_some()
        {
            return Some(Self::Event(event));
        }
        let has = |key: &str| object.get(key).is_some();
        let provider = has("SourceName") || has("ProviderGuid") || has("Provider") || has("EventSourceName");
        let nxlog = object.text_at("SourceModuleType") == Some("im_msvistalog");
        if (has("EventID") && (has("Channel") || provider)) || nxlog {
            return Some(Self::Flat(object));
        }
        let properties = object.get("properties").and_then(Value::as_map)?;
        (properties
            .get("EventId")
            .or_else(|| properties.get("EventID"))
            .is_some()
            && (properties.get("Channel").is_some() || properties.get("RawXml").is_some()))
        .then_some(Self::Flat(properties))
    }
}

/// How sure it is that a record is a Windows event (of `channel`).
pub(super) fn detect(record: &Record<'_>, channel: Option<Channel>) -> Confidence {
    let Some(form) = Form::of(record).filter(|_| !sysmon_linux::is_linux(record)) else {
        return Confidence::No;
    };
    let name = match &form {
        Form::Winlog(document) => document.map_at("winlog").and_then(Channel::of),
        Form::Event(event) => channel_of(
            event.at("System.Channel").and_then(Value::as_text).unwrap_or(""),
            event
                .at("System.Provider.#attributes.Name")
                .and_then(Value::as_text)
                .unwrap_or(""),
        ),
        Form::Flat(object) => channel_of(
            object.text_at("Channel").unwrap_or(""),
            ["SourceName", "Provider", "EventSourceName", "ProviderName"]
                .iter()
                .find_map(|key| object.text_at(key))
                .unwrap_or(""),
        ),
        Form::Xml(text) => channel_of(
            between(text, "<Channel>", "</Channel>").unwrap_or(""),
            between(text, "<Provider Name=", "/>").map_or("", |rest| rest.trim_start_matches(['\'', '"'])),
        ),
    };
    match (channel, name) {
        (Some(wanted), Some(name)) if name == wanted => Confidence::Certain,
        (Some(_), _) => Confidence::No,
        (None, Some(_)) => Confidence::Likely,
        (None, None) => Confidence::Certain,
    }
}

fn channel_of(channel: &str, provider: &str) -> Option<Channel> {
    let named = |name: &str| channel.eq_ignore_ascii_case(name);
    if named("Microsoft-Windows-Sysmon/Operational") || provider.starts_with("Microsoft-Windows-Sysmon") {
        Some(Channel::Sysmon)
    } else if named("Windows PowerShell") {
        Some(Channel::PowerShell)
    } else if named("Microsoft-Windows-PowerShell/Operational") {
        Some(Channel::PowerShellOperational)
    } else if named("Security") && (provider.is_empty() || security::knows_provider(provider)) {
        Some(Channel::Security)
    } else {
        None
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    Some(rest.split_once(end)?.0)
}

/// The record as a document with `winlog`.
pub(super) fn winlog_document<'a>(record: &Record<'a>) -> Option<&'a Map<'a>> {
    match Form::of(record)? {
        Form::Winlog(document) => Some(document),
        Form::Event(event) => {
            let document = record.document();
            let system = event.get("System").and_then(Value::as_map)?;
            from_system(system, document);
            if let Some(data) = event.get("EventData").and_then(Value::as_map) {
                document.put("winlog.event_data", Value::Map(texts(data)));
            }
            if let Some(user) = event.get("UserData").and_then(Value::as_map) {
                // The one element inside has a name of its own.
                let inner = user
                    .iter()
                    .filter_map(|(_, value)| value.as_map())
                    .next()
                    .unwrap_or(user);
                inner.remove("#attributes");
                document.put("winlog.user_data", Value::Map(inner));
            }
            Some(document)
        }
        Form::Flat(object) => {
            let document = record.document();
            from_flat(record, object, document);
            Some(document)
        }
        Form::Xml(text) => {
            let document = record.document();
            from_xml(record, text, document).then_some(document)
        }
    }
}

/// Event data with every value as the text that agents ship. Values without a name are `param1`, `param2` …
fn texts<'a>(data: &'a Map<'a>) -> &'a Map<'a> {
    let out = data.new_map();
    for (key, value) in data.iter() {
        match (key, value) {
            ("#attributes", _) => {}
            ("Data", Value::Map(inner)) => {
                if let Some(text) = inner.get("#text") {
                    unnamed(text, out);
                }
            }
            ("Data", value) => unnamed(value, out),
            (_, Value::Null) => out.add(key, Value::Text("")),
            (_, value) => out.add(key, convert::text(value, data).map_or(value, Value::Text)),
        }
    }
    out
}

fn unnamed<'a>(value: Value<'a>, out: &'a Map<'a>) {
    let single = [value];
    let values = value.as_list().unwrap_or(&single);
    for (position, value) in values.iter().enumerate() {
        if let Some(text) = convert::text(*value, out) {
            out.add(out.text(&format!("param{}", position + 1)), Value::Text(text));
        }
    }
}

/// Levels of events, from 0 on. <https://learn.microsoft.com/windows/win32/wes/eventmanifestschema-leveltype-complextype>
const LEVELS: [&str; 6] = [
    "information",
    "critical",
    "error",
    "warning",
    "information",
    "verbose",
];

/// Keywords that Windows itself gives to events.
/// <https://learn.microsoft.com/dotnet/api/system.diagnostics.eventing.reader.standardeventkeywords>
const KEYWORDS: [(u64, &str); 6] = [
    (1 << 49, "WDI Context"),
    (1 << 50, "WDI Diag"),
    (1 << 51, "SQM"),
    (1 << 52, "Audit Failure"),
    (1 << 53, "Audit Success"),
    (1 << 55, "Classic"),
];

/// The level and the keywords of an event by their names.
fn named<'a>(system: &Map<'a>, document: &'a Map<'a>) {
    let level = system.get("Level").and_then(Value::to_int);
    if let Some(name) = level.and_then(|level| LEVELS.get(usize::try_from(level).ok()?)) {
        document.put_new("winlog.level", Value::Text(name));
    }
    let keywords = system
        .text_at("Keywords")
        .and_then(|text| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok());
    let names: Vec<Value<'a>> = KEYWORDS
        .iter()
        .filter(|(bit, _)| keywords.is_some_and(|keywords| keywords & bit != 0))
        .map(|(_, name)| Value::Text(name))
        .collect();
    if !names.is_empty() {
        document.put_new("winlog.keywords", document.list(&names));
    }
    for (bit, outcome) in [(1_u64 << 53, "success"), (1 << 52, "failure")] {
        if keywords.is_some_and(|keywords| keywords & bit != 0) {
            document.put_new("event.outcome", Value::Text(outcome));
        }
    }
}

/// Where the elements of `System` belong; attributes stand under `#attributes`.
const SYSTEM: &[(&str, &str)] = &[
    ("Provider.#attributes.Name", "winlog.provider_name"),
    ("Provider.#attributes.Guid", "winlog.provider_guid"),
    ("EventID.#text", "winlog.event_id"),
    ("EventID", "winlog.event_id"),
    ("Version", "winlog.version"),
    ("TimeCreated.#attributes.SystemTime", "winlog.time_created"),
    ("EventRecordID", "winlog.record_id"),
    ("Correlation.#attributes.ActivityID", "winlog.activity_id"),
    ("Execution.#attributes.ProcessID", "winlog.process.pid"),
    ("Execution.#attributes.ThreadID", "winlog.process.thread.id"),
    ("Channel", "winlog.channel"),
    ("Computer", "winlog.computer_name"),
    ("Security.#attributes.UserID", "winlog.user.identifier"),
    ("Security.#attributes.UserId", "winlog.user.identifier"),
];

fn from_system<'a>(system: &Map<'a>, document: &'a Map<'a>) {
    for (from, to) in SYSTEM {
        if let Some(value) = system
            .at(from)
            .filter(|value| !value.is_blank() && value.as_map().is_none())
        {
            document.put_new(to, value);
        }
    }
    named(system, document);
    place(document);
}

/// Fields of the document that do not depend on the channel.
fn place<'a>(document: &'a Map<'a>) {
    for (from, to) in [
        ("winlog.provider_name", "event.provider"),
        ("winlog.computer_name", "host.name"),
        ("winlog.time_created", "@timestamp"),
    ] {
        if let Some(value) = document.at(from) {
            document.put_new(to, value);
        }
    }
}

/// Where the keys of flat records belong; all others are event data.
const FLAT: &[(&str, &str)] = &[
    ("SourceName", "winlog.provider_name"),
    ("Provider", "winlog.provider_name"),
    ("ProviderName", "winlog.provider_name"),
    ("EventSourceName", "winlog.provider_name"),
    ("ProviderGuid", "winlog.provider_guid"),
    ("EventID", "winlog.event_id"),
    ("EventId", "winlog.event_id"),
    ("Channel", "winlog.channel"),
    ("Hostname", "winlog.computer_name"),
    ("Computer", "winlog.computer_name"),
    ("RecordNumber", "winlog.record_id"),
    ("EventRecordId", "winlog.record_id"),
    ("ActivityID", "winlog.activity_id"),
    ("Opcode", "winlog.opcode"),
    ("Task", "winlog.task"),
    ("Version", "winlog.version"),
    ("UserID", "winlog.user.identifier"),
    ("ExecutionProcessID", "winlog.process.pid"),
    ("ExecutionThreadID", "winlog.process.thread.id"),
    ("TimeGenerated", "winlog.time_created"),
    ("EventTime", "winlog.time_created"),
    ("TimeCreated", "winlog.time_created"),
    ("EventReceivedTime", "event.ingested"),
    ("TimeCollected", "event.ingested"),
    ("EventLevelName", "log.level"),
    ("Severity", "log.level"),
    ("Message", "message"),
];

/// Keys of the shippers that say nothing about the event.
const NOT_DATA: &[&str] = &[
    "Keywords",
    "SeverityValue",
    "OpcodeValue",
    "EventType",
    "SourceModuleName",
    "SourceModuleType",
    "TenantId",
    "SourceSystem",
    "ManagementGroupName",
    "EventOriginId",
    "SourceComputerId",
    "MG",
    "Type",
    "_ResourceId",
    "EventLevel",
    "Level",
    "Activity",
    "RawXml",
];

fn from_flat<'a>(record: &Record<'a>, object: &'a Map<'a>, document: &'a Map<'a>) {
    if let Some(raw) = object.text_at("RawXml")
        && from_xml(record, raw, document)
    {
        return;
    }
    let data = document.new_map();
    for (key, value) in object.iter() {
        if value.is_blank() {
            continue;
        }
        match FLAT.iter().find(|(from, _)| *from == key) {
            Some((_, to)) if value.as_map().is_none() => {
                document.put_new(to, value);
            }
            _ if key == "EventData" => event_data(record, value, data),
            _ if NOT_DATA.contains(&key) => {}
            _ => data.add(key, value),
        }
    }
    // NXLog keeps the process that wrote the record apart from the event data only for some channels.
    document.put("winlog.event_data", Value::Map(data));
    place(document);
}

/// Event data as an object, as JSON text or as XML.
fn event_data<'a>(record: &Record<'a>, value: Value<'a>, data: &'a Map<'a>) {
    let object = match value {
        Value::Map(map) => Some(map),
        Value::Text(text) if text.trim_start().starts_with('{') => {
            json::parse(record.arena, text).ok().and_then(Value::as_map)
        }
        Value::Text(text) => read_xml(text, data).and_then(|root| data_of(root, data)),
        _ => None,
    };
    if let Some(object) = object {
        data.merge(object);
    }
}

/// The XML of a whole event. <https://learn.microsoft.com/windows/win32/wes/eventschema-schema>
fn from_xml<'a>(record: &Record<'a>, text: &'a str, document: &'a Map<'a>) -> bool {
    let Some(event) = read_xml(text, record.arena.map()) else {
        return false;
    };
    let event = event.get("Event").and_then(Value::as_map).unwrap_or(event);
    let Some(system) = event.get("System").and_then(Value::as_map) else {
        return false;
    };
    from_system(system, document);
    if let Some(data) = event.get("EventData").and_then(Value::as_map)
        && let Some(data) = data_of(data, document)
    {
        document.put("winlog.event_data", Value::Map(data));
    }
    if let Some(Value::Map(user)) = event.get("UserData") {
        // The one element inside has a name of its own.
        let inner = user.iter().find_map(|(_, value)| value.as_map()).unwrap_or(user);
        inner.remove("#attributes");
        document.put("winlog.user_data", Value::Map(inner));
    }
    true
}

/// `<Data Name="…">…</Data>` elements as an object; those without a name are `param1`, `param2` …
fn data_of<'a>(root: &'a Map<'a>, at: &'a Map<'a>) -> Option<&'a Map<'a>> {
    let root = root.get("EventData").and_then(Value::as_map).unwrap_or(root);
    let single;
    let elements = match root.get("Data")? {
        Value::List(list) => list,
        other => {
            single = [other];
            &single[..]
        }
    };
    let data = at.new_map();
    let mut known: AHashSet<&'a str> = AHashSet::new();
    for (position, element) in elements.iter().enumerate() {
        let (name, value) = match element {
            Value::Map(map) => (
                map.at("#attributes.Name").and_then(Value::as_text),
                map.get("#text").unwrap_or(Value::Text("")),
            ),
            text => (None, *text),
        };
        let name = name.unwrap_or_else(|| at.text(&format!("param{}", position + 1)));
        if known.insert(name) {
            data.add(name, value);
        }
    }
    Some(data)
}

/// Elements nested deeper than this are refused.
const MAX_DEPTH: usize = 32;

/// An element that is open: its name, its children so far, its text.
#[derive(Default)]
struct Open<'a> {
    name: &'a str,
    children: Vec<(&'a str, Value<'a>)>,
    text: String,
}

impl<'a> Open<'a> {
    fn new(start: &BytesStart<'_>, at: &Map<'a>) -> Self {
        let name = at.text(&String::from_utf8_lossy(start.local_name().as_ref()));
        let attributes = at.new_map();
        for attribute in start.attributes().flatten() {
            if let Ok(value) = attribute.unescape_value() {
                let key = at.text(&String::from_utf8_lossy(attribute.key.local_name().as_ref()));
                attributes.add(key, Value::Text(at.text(&value)));
            }
        }
        let children = if attributes.is_empty() {
            Vec::new()
        } else {
            vec![("#attributes", Value::Map(attributes))]
        };
        Self {
            name,
            children,
            text: String::new(),
        }
    }

    /// The element as a value. Children of one name become a list.
    fn close(self, at: &Map<'a>) -> Value<'a> {
        if self.children.is_empty() {
            return Value::Text(at.text(&self.text));
        }
        let mut places: AHashMap<&'a str, usize> = AHashMap::new();
        let mut by_name: Vec<(&'a str, Vec<Value<'a>>)> = Vec::new();
        for (name, value) in self.children {
            let place = *places.entry(name).or_insert(by_name.len());
            match by_name.get_mut(place) {
                Some((_, values)) => values.push(value),
                None => by_name.push((name, vec![value])),
            }
        }
        let element = at.new_map();
        for (name, values) in by_name {
            let value = match values.as_slice() {
                [single] => *single,
                several => at.list(several),
            };
            element.add(name, value);
        }
        let text = self.text.trim();
        if !text.is_empty() {
            element.add("#text", Value::Text(at.text(text)));
        }
        Value::Map(element)
    }
}

/// XML as objects: children by name (a list where there are several), attributes under `#attributes`, text under
/// `#text` or, where an element holds nothing else, as its value.
fn read_xml<'a>(text: &str, at: &'a Map<'a>) -> Option<&'a Map<'a>> {
    let mut reader = quick_xml::Reader::from_str(text);
    let mut open: Vec<Open<'a>> = vec![Open::default()];
    loop {
        match reader.read_event().ok()? {
            Xml::Start(start) => {
                if open.len() > MAX_DEPTH {
                    return None;
                }
                open.push(Open::new(&start, at));
            }
            Xml::Empty(start) => {
                let element = Open::new(&start, at);
                let name = element.name;
                open.last_mut()?.children.push((name, element.close(at)));
            }
            Xml::Text(part) => open.last_mut()?.text.push_str(&part.decode().ok()?),
            Xml::CData(part) => open.last_mut()?.text.push_str(&part.decode().ok()?),
            Xml::GeneralRef(entity) => {
                let name = entity.decode().ok()?;
                let text = &mut open.last_mut()?.text;
                match entity.resolve_char_ref().ok().flatten() {
                    Some(letter) => text.push(letter),
                    None => text.push_str(quick_xml::escape::resolve_predefined_entity(&name).unwrap_or("")),
                }
            }
            Xml::End(_) => {
                let element = open.pop()?;
                let name = element.name;
                open.last_mut()?.children.push((name, element.close(at)));
            }
            Xml::Eof => {
                let root = open.pop().filter(|_| open.is_empty())?;
                return root.close(at).as_map();
            }
            _ => {}
        }
    }
}
