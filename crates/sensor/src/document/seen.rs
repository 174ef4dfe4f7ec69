//! What documents tell of connections and of files that were opened.

use std::net::SocketAddr;

use super::shapes::{Address, Document, End, FileFields, Network, SocketFields};
use super::text::Text;
use crate::observation::{Connect, Open, Outcome, Peer, Transport};
use crate::process::name_of;

/// To where it went, from where and how.
pub(super) fn connection<'a>(connect: &'a Connect, document: &mut Document<'a>) {
    let sensor = &mut document.neph.sensor;
    if let Outcome::Failed(error) = connect.outcome {
        sensor.error = error;
    }
    match &connect.peer {
        Peer::Ip { transport, address } => {
            let destination = end(*address);
            let (name, number) = match transport {
                Transport::Tcp => (Some("tcp"), None),
                Transport::Udp => (Some("udp"), None),
                Transport::Other(number) => (None, Some(number.to_string())),
                Transport::Unknown => (None, None),
            };
            document.network = Some(Network {
                transport: name,
                kind: Some(if destination.ip.is_some_and(|ip| ip.is_ipv4()) {
                    "ipv4"
                } else {
                    "ipv6"
                }),
                direction: "egress",
                iana_number: number,
            });
            document.destination = Some(destination);
            document.source = connect
                .local
                .filter(|local| !local.ip().is_unspecified() || local.port() != 0)
                .map(end);
        }
        Peer::Unix(path) => {
            let (is_abstract, path) = match path.strip_prefix(b"\0") {
                Some(name) => (true, name),
                None => (false, path.as_slice()),
            };
            sensor.socket = Some(SocketFields {
                path: Text(path),
                is_abstract,
            });
            document.network = Some(Network {
                transport: Some("unix"),
                kind: None,
                direction: "egress",
                iana_number: None,
            });
            document.destination = Some(End {
                address: Address::Path(Text(path)),
                ip: None,
                port: None,
            });
        }
    }
}

/// An address that was written as IPv6 and is one of IPv4 goes there.
fn end<'a>(address: SocketAddr) -> End<'a> {
    let ip = address.ip().to_canonical();
    End {
        address: Address::Ip(ip),
        ip: Some(ip),
        port: Some(address.port()),
    }
}

/// Which file it was.
pub(super) fn opened<'a>(open: &'a Open, document: &mut Document<'a>) {
    document.neph.sensor.writing = Some(open.writing);
    document.neph.sensor.error = open.failed;
    let name = name_of(&open.path);
    let directory = open.path.strip_suffix(name).map(|directory| match directory {
        b"/" => directory,
        longer => longer.strip_suffix(b"/").unwrap_or(longer),
    });
    let dot = name.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0);
    document.file = Some(FileFields {
        path: Text(&open.path),
        name: Text(name),
        directory: directory.filter(|directory| !directory.is_empty()).map(Text),
        extension: dot
            .and_then(|dot| name.get(dot + 1..))
            .filter(|extension| !extension.is_empty())
            .map(Text),
    });
}
