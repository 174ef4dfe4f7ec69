//! System logs: `/var/log/syslog`, `/var/log/messages`, as Elastic's integration for systems reads them.
//!
//! Document: <https://www.elastic.co/docs/reference/integrations/system>.

use super::header::{self, Header};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "linux_syslog",
    aliases: &["syslog"],
    title: "System log: lines behind a syslog header",
    module: "system",
    dataset: "system.syslog",
    os: None,
    mappings: &[],
    derived: &[HEADER, DERIVED],
    detect: |record| match record.object {
        None if header::parse(record.text).is_some_and(|header| header.program.is_some()) => {
            Confidence::Likely
        }
        _ => Confidence::No,
    },
    start: || Box::new(Stateless(normalize)),
};

/// What headers say.
pub(super) const HEADER: &[Derived] = &[
    derived("@timestamp", &[]),
    derived("event.kind", &[]),
    derived("event.timezone", &[]),
    derived("host.hostname", &[]),
    derived("host.name", &[]),
    derived("log.syslog.priority", &[]),
    derived("message", &[]),
    derived("process.name", &[]),
    derived("process.pid", &[]),
];

const DERIVED: &[Derived] = &[
    derived("log.syslog.appname", &[]),
    derived("log.syslog.hostname", &[]),
    derived("log.syslog.msgid", &[]),
    derived("log.syslog.procid", &[]),
];

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some(header) = header::parse(record.text) else {
        return Err(Dropped::Malformed("it has no header of syslog"));
    };
    let document = record.document();
    document.put_text("event.kind", "event");
    put(&header, record, document);
    document.put_text("message", header.message);
    Ok(document)
}

/// What a header says, into the document.
pub(super) fn put<'a>(header: &Header<'a>, record: &Record<'a>, document: &'a Map<'a>) {
    if let Some(time) = header.time {
        let (stamp, zone) = header::stamp(time, record, document);
        document.put_new("event.timezone", Value::Text(zone));
        if let Some(stamp) = stamp {
            document.put_text("@timestamp", stamp);
        }
    }
    if let Some(priority) = header.priority {
        document.put("log.syslog.priority", Value::Int(priority));
    }
    if let Some(host) = header.host {
        document.put_text("host.hostname", host);
        document.put_new("host.name", Value::Text(host));
    }
    if let Some(program) = header.program {
        document.put_text("process.name", program);
    }
    if let Some(pid) = header.pid {
        document.put("process.pid", Value::Int(pid));
    }
}
