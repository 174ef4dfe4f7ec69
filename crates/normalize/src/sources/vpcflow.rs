//! Amazon VPC flow logs of versions 2 to 8: text in the default or any custom format, and JSON.
//!
//! Record: <https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html>. A file in a custom format begins
//! with a line of field names; lines of a file without one are read by their number of fields, as Elastic's
//! integration does. Beyond what it sets: custom formats, JSON, `event.action`, `observer.ingress.interface.name`.

use std::net::IpAddr;

use crate::community_id;
use crate::convert;
use crate::join::{Joining, Part};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value};

pub(super) const INFO: SourceInfo = SourceInfo {
    name: "aws_vpcflow",
    aliases: &[],
    title: "Amazon VPC flow logs: text in default and custom formats, JSON, CloudWatch Logs",
    module: "aws",
    dataset: "aws.vpcflow",
    os: None,
    mappings: &[],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

/// The line of field names comes in front of each line of its file.
pub(super) const JOINING: Joining = Joining {
    source: "aws_vpcflow",
    marks: &[],
    part,
    patience: 0,
};

const DERIVED: &[Derived] = &[
    derived("@timestamp", &["end"]),
    derived("aws.vpcflow.*", &[]),
    derived("cloud.account.id", &["account_id"]),
    derived("cloud.availability_zone", &["az_id"]),
    derived("cloud.instance.id", &["instance_id"]),
    derived("cloud.provider", &[]),
    derived("cloud.region", &["region"]),
    derived("destination.address", &["dstaddr"]),
    derived("destination.ip", &["dstaddr"]),
    derived("destination.port", &["dstport"]),
    derived("event.action", &["action"]),
    derived("event.category", &[]),
    derived("event.end", &["end"]),
    derived("event.kind", &[]),
    derived("event.outcome", &["action"]),
    derived("event.start", &["start"]),
    derived("event.type", &[]),
    derived("network.bytes", &["bytes"]),
    derived("network.community_id", &["srcaddr", "dstaddr", "protocol"]),
    derived("network.direction", &["flow_direction"]),
    derived("network.iana_number", &["protocol"]),
    derived("network.packets", &["packets"]),
    derived("network.transport", &["protocol"]),
    derived("network.type", &["srcaddr"]),
    derived("observer.ingress.interface.name", &["interface_id"]),
    derived("related.ip", &["srcaddr", "dstaddr"]),
    derived("source.address", &["srcaddr"]),
    derived("source.bytes", &["bytes"]),
    derived("source.ip", &["srcaddr"]),
    derived("source.packets", &["packets"]),
    derived("source.port", &["srcport"]),
];

/// The fields that AWS documents, with underscores for hyphens, as JSON has them.
const FIELDS: &[&str] = &[
    "version",
    "account_id",
    "interface_id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "start",
    "end",
    "action",
    "log_status",
    "vpc_id",
    "subnet_id",
    "instance_id",
    "tcp_flags",
    "type",
    "pkt_srcaddr",
    "pkt_dstaddr",
    "region",
    "az_id",
    "sublocation_type",
    "sublocation_id",
    "pkt_src_aws_service",
    "pkt_dst_aws_service",
    "flow_direction",
    "traffic_path",
    "ecs_cluster_arn",
    "ecs_cluster_name",
    "ecs_container_instance_arn",
    "ecs_container_instance_id",
    "ecs_container_id",
    "ecs_second_container_id",
    "ecs_service_name",
    "ecs_task_definition_arn",
    "ecs_task_arn",
    "ecs_task_id",
    "reject_reason",
    "resource_id",
    "encryption_status",
];

/// The formats that are known by their number of fields.
const SIX: &[&str] = &[
    "instance_id",
    "interface_id",
    "srcaddr",
    "dstaddr",
    "pkt_srcaddr",
    "pkt_dstaddr",
];
const SEVENTEEN: &[&str] = &[
    "version",
    "interface_id",
    "account_id",
    "vpc_id",
    "subnet_id",
    "instance_id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "tcp_flags",
    "type",
    "pkt_srcaddr",
    "pkt_dstaddr",
    "action",
    "log_status",
];
const TWENTY_ONE: &[&str] = &[
    "version",
    "vpc_id",
    "subnet_id",
    "instance_id",
    "interface_id",
    "account_id",
    "type",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "pkt_srcaddr",
    "pkt_dstaddr",
    "protocol",
    "bytes",
    "packets",
    "start",
    "end",
    "action",
    "tcp_flags",
    "log_status",
];

/// More fields than any format has; what is longer is no flow.
const MOST_FIELDS: usize = 64;

fn by_count(count: usize) -> Option<&'static [&'static str]> {
    match count {
        6 => Some(SIX),
        14 => FIELDS.get(..14),
        17 => Some(SEVENTEEN),
        21 => Some(TWENTY_ONE),
        29 => FIELDS.get(..29),
        _ => None,
    }
}

/// The field of a name in a header line.
fn field(name: &str) -> Option<&'static str> {
    let matches = |known: &&&str| {
        known.len() == name.len()
            && known
                .bytes()
                .zip(name.bytes())
                .all(|(a, b)| a == b || (a == b'_' && b == b'-'))
    };
    FIELDS.iter().find(matches).copied()
}

/// The fields that a header line names.
fn header(text: &str) -> Option<Vec<&'static str>> {
    let mut fields = Vec::new();
    for name in text.split_ascii_whitespace() {
        if fields.len() >= MOST_FIELDS {
            return None;
        }
        fields.push(field(name.trim_start_matches("${").trim_end_matches('}'))?);
    }
    (fields.len() >= 3).then_some(fields)
}

fn detect(record: &Record<'_>) -> Confidence {
    if let Some(object) = record.object {
        let known = object.iter().filter(|(key, _)| field(key).is_some()).count();
        let flow = object.get("srcaddr").is_some() && object.get("dstaddr").is_some();
        return if flow && known >= 5 {
            Confidence::Certain
        } else {
            Confidence::No
        };
    }
    let text = record.text.trim();
    match text.split_once('\n') {
        Some((first, _)) if header(first).is_some() => Confidence::Certain,
        Some(_) => Confidence::No,
        None if header(text).is_some() => Confidence::Certain,
        None => flow(text),
    }
}

fn part(line: &str) -> Part<'_> {
    // Most lines are of other formats, and begin in another way or are longer.
    if !line.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '$' || first == '-') {
        return Part::Alone;
    }
    if header(line).is_some() {
        Part::Head
    } else if flow(line.trim()) == Confidence::No {
        Part::Alone
    } else {
        Part::Row
    }
}

/// The longest line that may be a flow.
const LONGEST_LINE: usize = 2048;

/// How much a line looks like a flow: by its interface, addresses, action and status.
fn flow(text: &str) -> Confidence {
    if text.len() > LONGEST_LINE || text.contains(['"', '=', '\n']) {
        return Confidence::No;
    }
    let (mut interface, mut action, mut status, mut addresses) = (false, false, false, 0_u32);
    for token in text.split(' ') {
        match token {
            "ACCEPT" | "REJECT" => action = true,
            "OK" | "NODATA" | "SKIPDATA" => status = true,
            _ if token.starts_with("eni-") => interface = true,
            _ if addresses < 2 && token.parse::<IpAddr>().is_ok() => addresses += 1,
            _ => {}
        }
    }
    match (interface, action, status) {
        (true, _, true) | (true, true, _) => Confidence::Certain,
        (true, _, _) if addresses == 2 => Confidence::Certain,
        (false, true, true) if addresses == 2 => Confidence::Likely,
        _ => Confidence::No,
    }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let flow = record.arena.map();
    if let Some(object) = record.object {
        for (key, value) in object.iter() {
            if let Some(name) = field(key)
                && let Some(text) = convert::text(whole(value), flow)
            {
                flow.set(name, Value::Text(text));
            }
        }
        if flow.is_empty() {
            return Err(Dropped::Malformed("it has none of the fields of a flow"));
        }
        return Ok(document(record, flow));
    }
    let text = record.text.trim();
    let (head, row) = text.split_once('\n').unwrap_or((text, ""));
    let named = header(head);
    if named.is_some() && row.is_empty() {
        return Err(Dropped::NoEvent("a line of field names"));
    }
    let row = if row.is_empty() { text } else { row };
    let count = row.split(' ').take(MOST_FIELDS + 1).count();
    let fields = match &named {
        Some(fields) if fields.len() == count => fields.as_slice(),
        _ => by_count(count).ok_or(Dropped::Malformed(
            "no format has this number of fields, and no line named them",
        ))?,
    };
    for (name, value) in fields.iter().copied().zip(row.split(' ')) {
        flow.add(name, Value::Text(value));
    }
    let document = document(record, flow);
    document.put_text("event.original", row);
    Ok(document)
}

/// JSON made from Parquet has numbers with a fraction.
fn whole(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Float(_) => value.to_int().map_or(value, Value::Int),
        other => other,
    }
}

fn document<'a>(record: &Record<'a>, flow: &'a Map<'a>) -> &'a Map<'a> {
    let document = record.document();
    flow.retain(|_, value| (value.as_text() != Some("-")).then_some(value));
    for (from, date) in [
        ("end", "@timestamp"),
        ("start", "event.start"),
        ("end", "event.end"),
    ] {
        if let Some(time) = flow
            .get(from)
            .and_then(|time| convert::date_or_seconds(time, document))
        {
            document.put_text(date, time);
        }
    }
    for (from, to) in [
        ("account_id", "cloud.account.id"),
        ("instance_id", "cloud.instance.id"),
        ("region", "cloud.region"),
        ("az_id", "cloud.availability_zone"),
        ("flow_direction", "network.direction"),
        ("protocol", "network.iana_number"),
        ("srcaddr", "source.address"),
        ("dstaddr", "destination.address"),
        ("interface_id", "observer.ingress.interface.name"),
    ] {
        document.copy_from(flow, from, to);
    }
    for (from, to) in [
        ("srcport", "source.port"),
        ("dstport", "destination.port"),
        ("packets", "source.packets"),
        ("packets", "network.packets"),
        ("bytes", "source.bytes"),
        ("bytes", "network.bytes"),
    ] {
        if let Some(number) = flow.get(from).and_then(Value::to_int) {
            document.put(to, Value::Int(number));
        }
    }
    let address = |name: &str| flow.get(name).and_then(convert::ip);
    if let Some(ip) = address("srcaddr") {
        document.put("source.ip", ip);
        let kind = if ip.as_text().is_some_and(|ip| ip.contains(':')) {
            "ipv6"
        } else {
            "ipv4"
        };
        document.put_text("network.type", kind);
    }
    if let Some(ip) = address("dstaddr") {
        document.put("destination.ip", ip);
    }
    if let (Some(source), Some(destination)) = (address("srcaddr"), address("dstaddr")) {
        document.append("related.ip", source);
        document.append("related.ip", destination);
    }
    if let Some(name) = flow.text_at("protocol").and_then(transport) {
        document.put_text("network.transport", name);
    }
    match flow.text_at("action") {
        Some("ACCEPT") => {
            document.put_text("event.outcome", "success");
            document.put_text("event.action", "accept");
        }
        Some("REJECT") => {
            document.put_text("event.outcome", "failure");
            document.put_text("event.action", "reject");
        }
        _ => {}
    }
    community_id::set(document);
    flags(flow);
    for key in [
        "srcaddr",
        "dstaddr",
        "srcport",
        "dstport",
        "protocol",
        "packets",
        "bytes",
        "start",
        "end",
        "region",
        "az_id",
        "flow_direction",
    ] {
        flow.remove(key);
    }
    for (from, to) in [
        ("sublocation_type", "sublocation.type"),
        ("sublocation_id", "sublocation.id"),
        ("pkt_src_aws_service", "pkt_src_service"),
        ("pkt_dst_aws_service", "pkt_dst_service"),
    ] {
        flow.rename(from, to);
    }
    document.put("aws.vpcflow", Value::Map(flow));
    document.put_text("cloud.provider", "aws");
    document.put_text("event.kind", "event");
    document.put_texts("event.category", &["network"]);
    document.put_texts("event.type", &["connection"]);
    document
}

fn flags<'a>(flow: &'a Map<'a>) {
    let Some(flags) = flow.get("tcp_flags").and_then(Value::to_int) else {
        return;
    };
    let names: Vec<&str> = ["fin", "syn", "rst", "psh", "ack", "urg"]
        .into_iter()
        .enumerate()
        .filter(|(bit, _)| flags >> bit & 1 == 1)
        .map(|(_, name)| name)
        .collect();
    flow.put_texts("tcp_flags_array", &names);
}

/// <https://www.iana.org/assignments/protocol-numbers/protocol-numbers.xhtml>
fn transport(number: &str) -> Option<&'static str> {
    Some(match number {
        "0" => "hopopt",
        "1" => "icmp",
        "2" => "igmp",
        "6" => "tcp",
        "8" => "egp",
        "17" => "udp",
        "47" => "gre",
        "50" => "esp",
        "58" => "ipv6-icmp",
        "112" => "vrrp",
        "132" => "sctp",
        _ => return None,
    })
}
