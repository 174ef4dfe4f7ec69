//! Sysmon for Linux: the events of Sysmon in the log of a Linux system, as XML behind a syslog header.
//!
//! Record: <https://github.com/microsoft/SysmonForLinux>; document:
//! <https://www.elastic.co/docs/reference/integrations/sysmon_linux>. Beyond it: names of processes, files and users,
//! which the integration looks for behind backslashes.

use super::{COMMON, COMMON_DERIVED, Event, forms, sysmon};
use crate::record::Record;
use crate::source::{Confidence, Dropped, SourceInfo, Stateless};
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "sysmon_linux",
    aliases: &[],
    title: "Sysmon for Linux: XML in the system log, or documents of Elastic agents",
    module: "sysmon_linux",
    dataset: "sysmon_linux.log",
    os: Some("linux"),
    mappings: &[COMMON, sysmon::MOVES, sysmon::NETWORK],
    derived: &[COMMON_DERIVED, sysmon::DERIVED],
    detect: |record| {
        if is_linux(record) {
            Confidence::Certain
        } else {
            Confidence::No
        }
    },
    start: || Box::new(Stateless(normalize)),
};

const NAME: &str = "Linux-Sysmon";

/// Whether a record is of this source, which looks like a Windows event otherwise.
pub(super) fn is_linux(record: &Record<'_>) -> bool {
    match record.object {
        Some(object) => {
            let named = |path: &str| object.text_at(path).is_some_and(|name| name.starts_with(NAME));
            named("winlog.channel")
                || named("winlog.provider_name")
                || named("winlog.event_data.provider_name")
                || named("Channel")
                || named("ProviderName")
        }
        None => xml(record.text).is_some_and(|xml| xml.contains(NAME)),
    }
}

/// The XML behind the header of a line.
fn xml(text: &str) -> Option<&str> {
    let start = memchr::memmem::find(text.as_bytes(), b"<Event>")
        .or_else(|| memchr::memmem::find(text.as_bytes(), b"<Event "))?;
    text.get(start..)
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let bare = match record.object {
        Some(_) => *record,
        None => Record {
            text: xml(record.text).unwrap_or(""),
            ..*record
        },
    };
    let Some(document) = forms::winlog_document(&bare) else {
        return Err(Dropped::Malformed("it is no event of Sysmon"));
    };
    let Some(winlog) = document.map_at("winlog") else {
        return Err(Dropped::Malformed("`winlog` is no object"));
    };
    let event = Event::new(document, winlog, false);
    // The program and the host as the header of the line had them.
    if let Some(name) = document.text_at("log.syslog.appname") {
        document.put_text("process.name", name);
    }
    if let Some(host) = document
        .text_at("log.syslog.hostname")
        .or_else(|| winlog.text_at("computer_name"))
    {
        document.put_text("host.hostname", host);
    }
    document.take("log.syslog");
    event.rename("provider_name", "event.provider");
    event.rename("opcode", "winlog.opcode");
    let version = event.data.remove("version").or_else(|| winlog.get("version"));
    if let Some(version) = version.and_then(Value::to_int) {
        winlog.set("version", Value::Int(version));
    }
    let user = event.said("User");
    sysmon::normalize(&event);
    document.put_text("event.action", "log");
    document.put_text("ecs.version", "8.11.0");
    if let Some(user) = user.filter(|user| !user.contains('\\')) {
        document.put_new("user.name", Value::Text(user));
        event.related_user(user);
    }
    for path in ["process", "process.parent"] {
        let Some(process) = document.map_at(path) else {
            continue;
        };
        if let Some(name) = process
            .text_at("executable")
            .and_then(|program| program.rsplit('/').next())
        {
            process.put_new("name", Value::Text(name));
        }
    }
    if let Some((directory, name)) = document
        .text_at("file.path")
        .and_then(|path| path.rsplit_once('/'))
    {
        document.put_text("file.name", name);
        document.put_text(
            "file.directory",
            if directory.is_empty() { "/" } else { directory },
        );
        if let Some((_, extension)) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) {
            document.put_text("file.extension", extension);
        }
    }
    Ok(document)
}
