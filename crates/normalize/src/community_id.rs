//! Community ID v1, a name for a network flow that all tools agree on.
//! <https://github.com/corelight/community-id-spec>

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::convert;
use crate::tree::{Map, Value};

/// Sets `network.community_id` where addresses, ports and transport of a document are known.
pub(crate) fn set<'a>(document: &'a Map<'a>) {
    let address = |path: &str| document.text_at(path)?.parse::<IpAddr>().ok();
    let port = |path: &str| u16::try_from(document.at(path)?.to_int()?).ok();
    let protocol = document
        .at("network.iana_number")
        .and_then(|number| convert::text(number, document)?.parse().ok())
        .or_else(|| protocol_number(document.text_at("network.transport")?));
    if let (Some(source), Some(destination), Some(protocol)) =
        (address("source.ip"), address("destination.ip"), protocol)
        && let (source_port, destination_port, swap) = match protocol {
            1 | 58 => icmp(
                protocol,
                port("icmp.type").unwrap_or(0),
                port("icmp.code").unwrap_or(0),
            ),
            _ => (port("source.port"), port("destination.port"), true),
        }
        && let Some(id) = of(source, destination, source_port, destination_port, protocol, swap)
    {
        document.put_new("network.community_id", Value::Text(document.text(&id)));
    }
}

fn protocol_number(name: &str) -> Option<u8> {
    Some(match name.to_ascii_lowercase().as_str() {
        "icmp" => 1,
        "igmp" => 2,
        "tcp" => 6,
        "udp" => 17,
        "ipv6-icmp" | "icmpv6" => 58,
        "sctp" => 132,
        _ => return None,
    })
}

/// What stands for the ports of ICMP: the type, and the type of the answer; messages without an answer have their code
/// instead, and are not the same flow as those the other way. Where no type is known it is zero, as in Elasticsearch.
fn icmp(protocol: u8, kind: u16, code: u16) -> (Option<u16>, Option<u16>, bool) {
    let pairs: &[(u16, u16)] = if protocol == 1 {
        &[(0, 8), (9, 10), (13, 14), (15, 16), (17, 18)]
    } else {
        &[
            (128, 129),
            (130, 131),
            (133, 134),
            (135, 136),
            (139, 140),
            (144, 145),
        ]
    };
    let answer = pairs.iter().find_map(|(a, b)| match kind {
        kind if kind == *a => Some(*b),
        kind if kind == *b => Some(*a),
        _ => None,
    });
    (Some(kind), Some(answer.unwrap_or(code)), answer.is_some())
}

/// The id of a flow; TCP, UDP, SCTP and ICMP flows have ports, other protocols are named by their addresses.
fn of(
    source: IpAddr,
    destination: IpAddr,
    source_port: Option<u16>,
    destination_port: Option<u16>,
    protocol: u8,
    swap: bool,
) -> Option<String> {
    let bytes = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let with_ports = matches!(protocol, 1 | 6 | 17 | 58 | 132);
    let (mut first, mut second) = (
        (bytes(source), source_port),
        (bytes(destination), destination_port),
    );
    if with_ports && (source_port.is_none() || destination_port.is_none()) {
        return None;
    }
    if swap && second < first {
        std::mem::swap(&mut first, &mut second);
    }
    let mut hasher = Sha1::new();
    // The seed is zero, as everywhere.
    hasher.update([0, 0]);
    hasher.update(&first.0);
    hasher.update(&second.0);
    hasher.update([protocol, 0]);
    if with_ports {
        hasher.update(first.1.unwrap_or(0).to_be_bytes());
        hasher.update(second.1.unwrap_or(0).to_be_bytes());
    }
    Some(format!("1:{}", STANDARD.encode(hasher.finalize())))
}

#[cfg(test)]
mod tests {
    use super::{icmp, of};

    #[test]
    fn ids_are_those_of_the_specification() {
        // The examples that the specification's baseline gives for a TCP and a UDP flow.
        let ip = |text: &str| text.parse().unwrap();
        let tcp = of(
            ip("128.232.110.120"),
            ip("66.35.250.204"),
            Some(34855),
            Some(80),
            6,
            true,
        )
        .unwrap();
        assert_eq!(tcp, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        let back = of(
            ip("66.35.250.204"),
            ip("128.232.110.120"),
            Some(80),
            Some(34855),
            6,
            true,
        )
        .unwrap();
        assert_eq!(back, tcp);
        // An echo request and its answer are one flow.
        let echo = |from: &str, to: &str, kind: u16| {
            let (type_, answer, swap) = icmp(1, kind, 0);
            of(ip(from), ip(to), type_, answer, 1, swap).unwrap()
        };
        let request = echo("192.168.0.89", "192.168.0.1", 8);
        assert_eq!(request, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
        assert_eq!(echo("192.168.0.1", "192.168.0.89", 0), request);
    }
}
