//! Sysmon for Windows. <https://learn.microsoft.com/sysinternals/downloads/sysmon#events>

use super::{COMMON, COMMON_DERIVED, Channel, Event, decode_long, detect_channel};
use crate::community_id;
use crate::convert;
use crate::domain;
use crate::java_text::hash_map_order;
use crate::mapping::{Mapping, keep};
use crate::source::{Derived, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "windows_sysmon",
    aliases: &[],
    title: "Sysmon for Windows",
    module: "windows",
    dataset: "windows.sysmon_operational",
    os: Some("windows"),
    mappings: &[COMMON, MOVES, NETWORK],
    derived: &[COMMON_DERIVED, DERIVED],
    detect: |record| detect_channel(record, Channel::Sysmon),
    start: || {
        Box::new(Stateless(|record| {
            super::normalize(record, Some(Channel::Sysmon))
        }))
    },
};

/// Fields that leave the event data.
pub(super) const MOVES: &[Mapping] = &[
    keep("winlog.event_data.RuleName", "rule.name"),
    keep("winlog.event_data.Hash", "winlog.event_data.Hashes"),
    keep("winlog.event_data.ProcessGuid", "process.entity_id"),
    keep("winlog.event_data.Image", "process.executable"),
    keep("winlog.event_data.SourceProcessGuid", "process.entity_id"),
    keep("winlog.event_data.SourceProcessGUID", "process.entity_id"),
    keep("winlog.event_data.SourceImage", "process.executable"),
    keep("winlog.event_data.Destination", "process.executable"),
    keep("winlog.event_data.CommandLine", "process.command_line"),
    keep("winlog.event_data.CurrentDirectory", "process.working_directory"),
    keep("winlog.event_data.ParentProcessGuid", "process.parent.entity_id"),
    keep("winlog.event_data.ParentImage", "process.parent.executable"),
    keep(
        "winlog.event_data.ParentCommandLine",
        "process.parent.command_line",
    ),
    keep("winlog.event_data.TargetFilename", "file.path"),
    keep("winlog.event_data.Device", "file.path"),
    keep("winlog.event_data.PipeName", "file.name"),
    keep("winlog.event_data.ImageLoaded", "file.path"),
    keep("winlog.event_data.Protocol", "network.transport"),
    keep("winlog.event_data.SourceHostname", "source.domain"),
    keep("winlog.event_data.DestinationHostname", "destination.domain"),
    keep("winlog.event_data.QueryName", "dns.question.name"),
    keep("winlog.event_data.QueryStatus", "sysmon.dns.status"),
];

/// Fields that are converted.
pub(super) const NETWORK: &[Mapping] = &[
    keep("winlog.event_data.SourceIp", "source.ip"),
    keep("winlog.event_data.DestinationIp", "destination.ip"),
];

const LONGS: &[(&str, &str)] = &[
    ("ProcessId", "process.pid"),
    ("SourceProcessId", "process.pid"),
    ("SourceThreadId", "process.thread.id"),
    ("ParentProcessId", "process.parent.pid"),
    ("SourcePort", "source.port"),
    ("DestinationPort", "destination.port"),
];

pub(super) const DERIVED: &[Derived] = &[
    derived(
        "process.pid",
        &["winlog.event_data.ProcessId", "winlog.event_data.SourceProcessId"],
    ),
    derived("process.parent.pid", &["winlog.event_data.ParentProcessId"]),
    derived("process.thread.id", &["winlog.event_data.SourceThreadId"]),
    derived("process.name", &["winlog.event_data.Image"]),
    derived("process.parent.name", &["winlog.event_data.ParentImage"]),
    derived("process.args", &["winlog.event_data.CommandLine"]),
    derived("process.args_count", &["winlog.event_data.CommandLine"]),
    derived("process.parent.args", &["winlog.event_data.ParentCommandLine"]),
    derived("process.hash.*", &["winlog.event_data.Hashes"]),
    derived("process.pe.*", &["winlog.event_data.Company"]),
    derived("file.hash.*", &["winlog.event_data.Hashes"]),
    derived("file.pe.*", &["winlog.event_data.Company"]),
    derived("file.code_signature.*", &["winlog.event_data.Signature"]),
    derived("file.name", &["winlog.event_data.TargetFilename"]),
    derived("file.directory", &["winlog.event_data.TargetFilename"]),
    derived("file.extension", &["winlog.event_data.TargetFilename"]),
    derived("source.port", &["winlog.event_data.SourcePort"]),
    derived("destination.port", &["winlog.event_data.DestinationPort"]),
    derived("network.protocol", &["winlog.event_data.DestinationPortName"]),
    derived("network.direction", &["winlog.event_data.Initiated"]),
    derived("network.type", &["winlog.event_data.SourceIsIpv6"]),
    derived(
        "network.community_id",
        &["winlog.event_data.SourceIp", "winlog.event_data.DestinationIp"],
    ),
    derived("dns.answers.*", &["winlog.event_data.QueryResults"]),
    derived("dns.resolved_ip", &["winlog.event_data.QueryResults"]),
    derived("dns.question.*", &["winlog.event_data.QueryName"]),
    derived(
        "registry.*",
        &["winlog.event_data.TargetObject", "winlog.event_data.Details"],
    ),
    derived("user.id", &["winlog.user.identifier"]),
    derived("user.name", &["winlog.event_data.User"]),
    derived("user.domain", &["winlog.event_data.User"]),
    derived("related.*", &[]),
    derived(
        "sysmon.file.*",
        &["winlog.event_data.Archived", "winlog.event_data.IsExecutable"],
    ),
];

pub(super) fn normalize(event: &Event<'_>) {
    let document = event.document;
    event.data.retain(|_, value| {
        let nothing = matches!(
            value,
            Value::Null | Value::Text("" | "-" | "{00000000-0000-0000-0000-000000000000}")
        );
        (!nothing).then_some(value)
    });
    document.put_text("ecs.version", "8.0.0");
    document.rename("winlog.level", "log.level");
    if let Some(time) = event
        .winlog
        .get("time_created")
        .and_then(|time| convert::date(time, document))
    {
        document.put_text("event.created", time);
        document.put_text("@timestamp", time);
    }
    if let Some(time) = event
        .text("UtcTime")
        .and_then(|time| convert::date(Value::Text(time), document))
    {
        document.put_text("@timestamp", time);
    }
    classify(event);
    match event.code {
        "255" => event.rename("ID", "error.code"),
        "25" => event.rename("Type", "message"),
        _ => {}
    }
    event.rename("Hash", "winlog.event_data.Hashes");
    hashes(event);
    event.rename_all(MOVES);
    for (name, field) in LONGS {
        event.long(name, field);
    }
    images(event);
    event.arguments();
    process_names(document);
    if let Some(path) = document.text_at("file.path").filter(|path| path.len() > 1) {
        event.file_parts(path);
    }
    network(event);
    dns(event);
    user(event);
    sysmon_fields(event);
    registry(event);
    if event.data.get("TargetProcessGUID").is_none()
        && let Some(id) = event.data.remove("TargetProcessGuid")
    {
        event.data.add("TargetProcessGUID", id);
    }
    event.forget(&[
        "ProcessId",
        "ParentProcessId",
        "SourceProcessId",
        "SourceThreadId",
        "SourceIp",
        "SourcePort",
        "SourcePortName",
        "DestinationIp",
        "DestinationPort",
        "DestinationPortName",
        "RuleName",
        "User",
        "Initiated",
        "SourceIsIpv6",
        "DestinationIsIpv6",
        "QueryStatus",
        "Archived",
        "IsExecutable",
        "QueryResults",
        "UtcTime",
        "Hash",
        "Hashes",
        "TargetObject",
    ]);
    event.winlog.remove("time_created");
    event.winlog.remove("level");
}

fn classify(event: &Event<'_>) {
    let (categories, types, action): (&[&str], &[&str], &str) = match event.code {
        "1" => (&["process"], &["start"], "Process creation"),
        "2" => (&["file"], &["change"], "A process changed a file creation time"),
        "3" => (
            &["network"],
            &["start", "connection", "protocol"],
            "Network connection",
        ),
        "4" => (&["process"], &["change"], "Sysmon service state changed"),
        "5" => (&["process"], &["end"], "Process terminated"),
        "6" => (&["driver"], &["start"], "Driver loaded"),
        "7" => (&["process"], &["change"], "Image loaded"),
        "8" => (&["process"], &["change"], "CreateRemoteThread"),
        "9" => (&["process"], &["access"], "RawAccessRead"),
        "10" => (&["process"], &["access"], "ProcessAccess"),
        "11" => (&["file"], &["creation"], "FileCreate"),
        "12" => (
            &["configuration", "registry"],
            &["change"],
            "RegistryEvent (Object create and delete)",
        ),
        "13" => (
            &["configuration", "registry"],
            &["change"],
            "RegistryEvent (Value Set)",
        ),
        "14" => (
            &["configuration", "registry"],
            &["change"],
            "RegistryEvent (Key and Value Rename)",
        ),
        "15" => (&["file"], &["access"], "FileCreateStreamHash"),
        "16" => (&["configuration"], &["change"], "ServiceConfigurationChange"),
        "17" => (&["file"], &["creation"], "PipeEvent (Pipe Created)"),
        "18" => (&["file"], &["access"], "PipeEvent (Pipe Connected)"),
        "19" => (
            &["process"],
            &["info"],
            "WmiEvent (WmiEventFilter activity detected)",
        ),
        "20" => (
            &["process"],
            &["change"],
            "WmiEvent (WmiEventConsumer activity detected)",
        ),
        "21" => (
            &["process"],
            &["access"],
            "WmiEvent (WmiEventConsumerToFilter activity detected)",
        ),
        "22" => (
            &["network"],
            &["connection", "protocol", "info"],
            "DNSEvent (DNS query)",
        ),
        "23" => (&["file"], &["deletion"], "FileDelete (File Delete archived)"),
        "24" => (&[], &["change"], "ClipboardChange (New content in the clipboard)"),
        "25" => (
            &["process"],
            &["change"],
            "ProcessTampering (Process image change)",
        ),
        "26" => (
            &["file"],
            &["deletion"],
            "FileDeleteDetected (File Delete logged)",
        ),
        "27" => (&["file"], &["creation"], "FileBlockExecutable"),
        "28" => (&["file"], &["deletion"], "FileBlockShredding"),
        "29" => (&["file"], &["creation"], "FileExecutableDetected"),
        "255" => (&["process"], &[], "Error"),
        _ => return,
    };
    if !categories.is_empty() {
        event.document.put_texts("event.category", categories);
    }
    if !types.is_empty() {
        event.document.put_texts("event.type", types);
    }
    if event.is(&["27", "255"]) {
        event.document.put_texts("event.outcome", &["failure"]);
    }
    event.document.put_text("event.action", action);
}

/// Sysmon knows four kinds of hashes.
const MAX_HASHES: usize = 16;

/// `SHA256=…,IMPHASH=…`: of the process or of the file, as the event id says.
fn hashes<'a>(event: &Event<'a>) {
    let document = event.document;
    let Some(text) = event.text("Hashes").or_else(|| event.text("Hash")) else {
        return;
    };
    let named = document.new_map();
    for (name, value) in text
        .split(',')
        .take(MAX_HASHES)
        .filter_map(|pair| pair.split_once('='))
    {
        named.set(name, Value::Text(value));
    }
    let owner = match event.code {
        "1" | "23" | "24" | "25" => Some(("process.hash", "process.pe.imphash")),
        "6" | "7" | "15" | "26" | "29" => Some(("file.hash", "file.pe.imphash")),
        _ => None,
    };
    let kept = document.new_map();
    for (name, value) in hash_map_order(named) {
        let Some(value) = value
            .as_text()
            .filter(|value| !value.bytes().all(|byte| byte == b'0'))
        else {
            continue;
        };
        let value = Value::Text(document.text(&value.to_lowercase()));
        document.append("related.hash", value);
        kept.set(document.text(&name.to_lowercase()), value);
    }
    if let Some((hash, imphash)) = owner {
        if let Some(value) = kept.remove("imphash") {
            document.put(imphash, value);
        }
        if !kept.is_empty() {
            document.put(hash, Value::Map(kept));
        }
    }
}

/// What the image says about itself: of the process, or of the library that event 7 is about.
fn images(event: &Event<'_>) {
    let of_file = event.code == "7";
    let pe = |name: &'static str, process: &'static str, file: &'static str| {
        (name, if of_file { file } else { process })
    };
    for (name, field) in [
        pe("Company", "process.pe.company", "file.pe.company"),
        pe("Description", "process.pe.description", "file.pe.description"),
        pe("FileVersion", "process.pe.file_version", "file.pe.file_version"),
        pe("Product", "process.pe.product", "file.pe.product"),
    ] {
        event.copy(name, field);
    }
    let (name, field) = pe(
        "OriginalFileName",
        "process.pe.original_file_name",
        "file.pe.original_file_name",
    );
    event.rename(name, field);
    event.copy("Signature", "file.code_signature.subject_name");
    event.copy("SignatureStatus", "file.code_signature.status");
    if event.text("Signed") == Some("true") {
        event
            .document
            .put("file.code_signature.signed", Value::Bool(true));
    }
    if event.text("SignatureStatus") == Some("Valid") {
        event.document.put("file.code_signature.valid", Value::Bool(true));
    }
}

fn process_names<'a>(document: &'a Map<'a>) {
    for path in ["process", "process.parent"] {
        if let Some(process) = document.map_at(path)
            && process.get("name").is_none()
            && let Some((_, name)) = process
                .text_at("executable")
                .and_then(|path| path.rsplit_once('\\'))
            && !name.is_empty()
        {
            process.set("name", Value::Text(name));
        }
    }
}

fn network<'a>(event: &Event<'a>) {
    let document = event.document;
    for row in NETWORK {
        let name = row.from.strip_prefix("winlog.event_data.").unwrap_or(row.from);
        if let Some(ip) = event.data.get(name).and_then(convert::ip) {
            document.put(row.to, ip);
        }
    }
    if event.code == "22" {
        document.put_text("network.protocol", "dns");
    } else {
        event.rename("DestinationPortName", "network.protocol");
        event.rename("SourcePortName", "network.protocol");
    }
    let flag = |name: &str, field: &'a str, yes: &'a str, no: &'a str| match event.text(name) {
        Some("true") => drop(document.put_text(field, yes)),
        Some("false") => drop(document.put_text(field, no)),
        _ => {}
    };
    flag("Initiated", "network.direction", "egress", "ingress");
    flag("SourceIsIpv6", "network.type", "ipv6", "ipv4");
    for field in ["source.ip", "destination.ip"] {
        if let Some(ip) = document.at(field) {
            document.append_new("related.ip", ip);
        }
    }
    community_id::set(document);
}

/// `type:  5 www.example.test;::ffff:198.51.100.7;` of a DNS query.
fn dns<'a>(event: &Event<'a>) {
    let document = event.document;
    if let Some(results) = event.text("QueryResults") {
        let mut answers: Vec<Value<'a>> = Vec::new();
        let mut addresses: Vec<Value<'a>> = Vec::new();
        let mut hosts: Vec<Value<'a>> = Vec::new();
        let answer = |kind: Option<&'a str>, data: Option<&'a str>| {
            let answer = document.new_map();
            if let Some(kind) = kind {
                answer.add("type", Value::Text(kind));
            }
            if let Some(data) = data {
                answer.add("data", Value::Text(data));
            }
            Value::Map(answer)
        };
        for result in results.split(';').filter(|result| !result.is_empty()) {
            if result.starts_with("type:") {
                let mut parts = result.split_whitespace().skip(1);
                let kind = parts.next().and_then(dns_type);
                let data = parts.next();
                answers.push(answer(kind, data));
                hosts.extend(data.map(Value::Text));
            } else {
                let address = match result.strip_prefix("::ffff:") {
                    Some(v4) if v4.parse::<std::net::Ipv4Addr>().is_ok() => v4,
                    _ => result,
                };
                addresses.extend(convert::ip(Value::Text(address)));
            }
        }
        for address in &addresses {
            let text = address.as_text().unwrap_or("");
            answers.push(answer(
                Some(if text.contains(':') { "AAAA" } else { "A" }),
                Some(text),
            ));
        }
        document.extend_new("related.hosts", hosts);
        document.extend_new("related.ip", addresses.iter().copied());
        if !answers.is_empty() {
            document.put("dns.answers", document.list(&answers));
        }
        if !addresses.is_empty() {
            document.put("dns.resolved_ip", document.list(&addresses));
        }
    }
    if let Some(name) = document.text_at("dns.question.name") {
        domain::set(name, "dns.question", document);
        document.append_new("related.hosts", Value::Text(name));
    }
}

fn dns_type(number: &str) -> Option<&'static str> {
    Some(match number {
        "1" => "A",
        "2" => "NS",
        "3" => "MD",
        "4" => "MF",
        "5" => "CNAME",
        "6" => "SOA",
        "7" => "MB",
        "8" => "MG",
        "9" => "MR",
        "10" => "NULL",
        "11" => "WKS",
        "12" => "PTR",
        "13" => "HINFO",
        "14" => "MINFO",
        "15" => "MX",
        "16" => "TXT",
        "17" => "RP",
        "18" => "AFSDB",
        "24" => "SIG",
        "25" => "KEY",
        "28" => "AAAA",
        "29" => "LOC",
        "30" => "NXT",
        "33" => "SRV",
        "35" => "NAPTR",
        "36" => "KX",
        "37" => "CERT",
        "39" => "DNAME",
        "41" => "OPT",
        "43" => "DS",
        "46" => "RRSIG",
        "47" => "NSEC",
        "48" => "DNSKEY",
        "49" => "DHCID",
        "249" => "TKEY",
        "250" => "TSIG",
        "251" => "IXFR",
        "252" => "AXFR",
        "255" => "ANY",
        "65281" => "WINS",
        "65282" => "WINSR",
        _ => return None,
    })
}

fn user(event: &Event<'_>) {
    event.document.copy("winlog.user.identifier", "user.id");
    event.account("User", "user.domain", "user.name");
    if let Some(name) = event
        .document
        .text_at("user.name")
        .or_else(|| event.text("_MemberUserName"))
    {
        event.related_user(name);
    }
}

fn sysmon_fields(event: &Event<'_>) {
    let document = event.document;
    if let Some(status) = document.text_at("sysmon.dns.status").and_then(dns_status) {
        document.put_text("sysmon.dns.status", status);
    }
    for (name, field) in [
        ("Archived", "sysmon.file.archived"),
        ("IsExecutable", "sysmon.file.is_executable"),
    ] {
        match event.text(name).map(str::to_lowercase).as_deref() {
            Some("true") => drop(document.put(field, Value::Bool(true))),
            Some("false") => drop(document.put(field, Value::Bool(false))),
            _ => {}
        }
    }
}

/// The commonest status codes of the DNS client.
/// <https://learn.microsoft.com/windows/win32/debug/system-error-codes--9000-11999->
fn dns_status(code: &str) -> Option<&'static str> {
    Some(match code {
        "0" => "SUCCESS",
        "5" => "ERROR_ACCESS_DENIED",
        "8" => "ERROR_NOT_ENOUGH_MEMORY",
        "13" => "ERROR_INVALID_DATA",
        "14" => "ERROR_OUTOFMEMORY",
        "123" => "ERROR_INVALID_NAME",
        "1214" => "ERROR_INVALID_NETNAME",
        "1223" => "ERROR_CANCELLED",
        "1460" => "ERROR_TIMEOUT",
        "4312" => "ERROR_OBJECT_NOT_FOUND",
        "9001" => "DNS_ERROR_RCODE_FORMAT_ERROR",
        "9002" => "DNS_ERROR_RCODE_SERVER_FAILURE",
        "9003" => "DNS_ERROR_RCODE_NAME_ERROR",
        "9004" => "DNS_ERROR_RCODE_NOT_IMPLEMENTED",
        "9005" => "DNS_ERROR_RCODE_REFUSED",
        "9501" => "DNS_INFO_NO_RECORDS",
        "9502" => "DNS_ERROR_BAD_PACKET",
        "9503" => "DNS_ERROR_NO_PACKET",
        "9504" => "DNS_ERROR_RCODE",
        "9505" => "DNS_ERROR_UNSECURE_PACKET",
        "9560" => "DNS_ERROR_INVALID_NAME_CHAR",
        "9701" => "DNS_ERROR_RECORD_DOES_NOT_EXIST",
        "9851" => "DNS_ERROR_NO_TCPIP",
        "9852" => "DNS_ERROR_NO_DNS_SERVERS",
        "10054" => "WSAECONNRESET",
        "10055" => "WSAENOBUFS",
        "10060" => "WSAETIMEDOUT",
        _ => return None,
    })
}

fn registry<'a>(event: &Event<'a>) {
    let Some(path) = event
        .text("TargetObject")
        .filter(|_| event.is(&["12", "13", "14"]))
    else {
        return;
    };
    let Some(registry) = event.document.child("registry") else {
        return;
    };
    registry.set("path", Value::Text(path));
    let (root, key) = path
        .split_once('\\')
        .map_or((path, None), |(root, key)| (root, Some(key)));
    if let Some(hive) = hive(root) {
        registry.set("hive", Value::Text(hive));
        if let Some(key) = key {
            registry.set("key", Value::Text(key));
        }
    }
    registry.set("value", Value::Text(super::base_name(path)));
    let Some(details) = event.text("Details") else {
        return;
    };
    let number = |prefix: &str| -> Option<i64> {
        let inside = details.get(prefix.len()..)?.strip_suffix(')')?;
        let matches = details.get(..prefix.len())?.eq_ignore_ascii_case(prefix);
        match inside.split_once('-') {
            Some((high, low)) if matches => {
                let (high, low) = (decode_long(Value::Text(high))?, decode_long(Value::Text(low))?);
                Some(high.checked_shl(32)? | low)
            }
            None if matches => decode_long(Value::Text(inside)),
            _ => None,
        }
    };
    let as_text = |number: i64| registry.text(&number.to_string());
    let (kind, text) = if let Some(value) = number("QWORD (") {
        ("SZ_QWORD", as_text(value))
    } else if let Some(value) = number("DWORD (") {
        ("SZ_DWORD", as_text(value))
    } else if details == "Binary Data" {
        ("REG_BINARY", details)
    } else {
        ("REG_SZ", details)
    };
    if let Some(data) = registry.child("data") {
        data.put_texts("strings", &[text]);
        data.set("type", Value::Text(kind));
    }
}

fn hive(name: &str) -> Option<&'static str> {
    Some(match name {
        "HKEY_CLASSES_ROOT" | "HKCR" => "HKCR",
        "HKEY_CURRENT_CONFIG" | "HKCC" => "HKCC",
        "HKEY_CURRENT_USER" | "HKCU" => "HKCU",
        "HKEY_DYN_DATA" | "HKDD" => "HKDD",
        "HKEY_LOCAL_MACHINE" | "HKLM" => "HKLM",
        "HKEY_PERFORMANCE_DATA" | "HKPD" => "HKPD",
        "HKEY_USERS" | "HKU" => "HKU",
        _ => return None,
    })
}
