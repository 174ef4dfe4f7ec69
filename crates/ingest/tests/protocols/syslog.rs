use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket as StdUdpSocket};
use std::time::{Duration, Instant};

use neph_ingest::syslog::{Allowed, tcp, udp};
use neph_ingest::{Limits, Protocol, Refused};
use tokio::net::{TcpListener, UdpSocket};

use crate::{Mood, Service};

fn listen_tcp(service: &Service, allowed: Allowed) -> SocketAddr {
    let listener = service
        .runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    service.runtime.spawn(tcp(
        listener,
        None,
        allowed,
        service.intake.clone(),
        service.shutdown.clone(),
    ));
    address
}

fn listen_udp(service: &Service, allowed: Allowed) -> SocketAddr {
    let socket = service.runtime.block_on(UdpSocket::bind("127.0.0.1:0")).unwrap();
    let address = socket.local_addr().unwrap();
    service.runtime.spawn(udp(
        socket,
        allowed,
        service.intake.clone(),
        service.shutdown.clone(),
    ));
    address
}

fn stream(records: &[(String, String)]) -> Vec<&str> {
    assert!(
        records.iter().all(|(stream, _)| stream == "syslog/127.0.0.1"),
        "{records:?}"
    );
    records.iter().map(|(_, record)| record.as_str()).collect()
}

#[test]
fn messages_over_tcp_in_both_framings() {
    let service = Service::start();
    let address = listen_tcp(&service, Allowed::default());
    let modern = "<165>1 2026-11-22T07:00:00.000Z host app 12 ID1 [x@1 a=\"b\"] text\nwith a line feed";
    let mut client = TcpStream::connect(address).unwrap();
    client
        .write_all(b"<13>Nov 22 07:00:00 host prog[1]: first\n<13>Nov 22 07:00:01 host prog: sec")
        .unwrap();
    assert_eq!(service.log.wait_for(1).len(), 1);
    client.write_all(b"ond\r\n").unwrap();
    client
        .write_all(format!("{} {modern}", modern.len()).as_bytes())
        .unwrap();
    client
        .write_all(b"<13>Nov 22 07:00:02 host prog: last, without an end")
        .unwrap();
    drop(client);
    assert_eq!(
        stream(&service.log.wait_for(4)),
        [
            "<13>Nov 22 07:00:00 host prog[1]: first",
            "<13>Nov 22 07:00:01 host prog: second",
            modern,
            "<13>Nov 22 07:00:02 host prog: last, without an end",
        ]
    );
    assert_eq!(counted_at_last(&service, Refused::Malformed, (4, 0)), (4, 0));
}

#[test]
fn datagrams_are_messages() {
    let service = Service::start();
    let address = listen_udp(&service, Allowed::default());
    let client = StdUdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..500 {
        client
            .send_to(format!("<13>1 - h p - - - number {number}\n").as_bytes(), address)
            .unwrap();
        if number % 50 == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    client.send_to(b"\n", address).unwrap();
    let records = service.log.wait_for(500);
    assert_eq!(records.len(), 500);
    assert_eq!(stream(&records)[499], "<13>1 - h p - - - number 499");
    assert_eq!(counted_at_last(&service, Refused::Malformed, (500, 1)), (500, 1));
}

#[test]
fn a_sender_that_is_not_allowed_is_not_heard() {
    let service = Service::start();
    let allowed = Allowed {
        networks: vec!["192.0.2.0/24".parse().unwrap()],
    };
    let mut client = TcpStream::connect(listen_tcp(&service, allowed.clone())).unwrap();
    client.write_all(b"<13>x\n").unwrap();
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
    let udp = StdUdpSocket::bind("127.0.0.1:0").unwrap();
    udp.send_to(b"<13>x", listen_udp(&service, allowed)).unwrap();
    assert_eq!(
        counted_at_last(&service, Refused::Unauthenticated, (0, 2)),
        (0, 2)
    );
    assert_eq!(service.log.records(), []);
}

/// What is counted, as soon as it is this: counting comes behind what it counts.
fn counted_at_last(service: &Service, refused: Refused, wanted: (u64, u64)) -> (u64, u64) {
    let end = Instant::now() + Duration::from_secs(5);
    while service.counted(Protocol::Syslog, refused) != wanted && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    service.counted(Protocol::Syslog, refused)
}

#[test]
fn long_lines_slow_lines_and_wrong_lengths_are_counted() {
    let mut limits = Limits::default();
    limits.line_bytes = 1000;
    limits.piece_time = Duration::from_millis(300);
    limits.idle_time = Duration::from_millis(1500);
    let service = Service::with(limits, None);
    let address = listen_tcp(&service, Allowed::default());
    let mut client = TcpStream::connect(address).unwrap();
    client
        .write_all(
            format!(
                "<13>{}\n<13>short\n2000 <13>{}5 <13>x",
                "y".repeat(5000),
                "z".repeat(1996)
            )
            .as_bytes(),
        )
        .unwrap();
    assert_eq!(stream(&service.log.wait_for(2)), ["<13>short", "<13>x"]);
    assert_eq!(counted_at_last(&service, Refused::TooLong, (2, 2)), (2, 2));
    client.write_all(b"99999999999 <13>x\n").unwrap();
    assert!(
        matches!(client.read(&mut [0]), Ok(0) | Err(_)),
        "the connection goes on"
    );
    assert_eq!(counted_at_last(&service, Refused::Malformed, (2, 1)), (2, 1));
    // A line that never ends is not waited for; a connection without any is, for longer.
    for (text, least, most) in [("no end", 0, 1400), ("", 1400, 8000)] {
        let mut slow = TcpStream::connect(address).unwrap();
        slow.write_all(text.as_bytes()).unwrap();
        let began = Instant::now();
        assert!(matches!(slow.read(&mut [0]), Ok(0) | Err(_)));
        let took = began.elapsed().as_millis();
        assert!((least..most).contains(&took), "{text}: {took}");
    }
}

#[test]
fn nothing_of_tcp_is_lost_while_the_log_has_no_room_and_udp_counts_what_is() {
    let mut limits = Limits::default();
    limits.in_flight_bytes = 16 << 10;
    let service = Service::with(limits, None);
    service.log.set(Mood::IsFull);
    let (over_tcp, over_udp) = (
        listen_tcp(&service, Allowed::default()),
        listen_udp(&service, Allowed::default()),
    );
    let mut client = TcpStream::connect(over_tcp).unwrap();
    for number in 0..100 {
        client.write_all(format!("<13>{number}\n").as_bytes()).unwrap();
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(service.log.records(), []);
    let udp = StdUdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..200 {
        udp.send_to(&[b'u'; 4000], over_udp).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    let end = Instant::now() + Duration::from_secs(10);
    while service.counted(Protocol::Syslog, Refused::Dropped).1 == 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(service.counted(Protocol::Syslog, Refused::Dropped).1 > 0);
    service.log.set(Mood::Takes);
    let end = Instant::now() + Duration::from_secs(10);
    let of_tcp = || {
        service
            .log
            .records()
            .iter()
            .filter(|(_, record)| !record.starts_with('u'))
            .count()
    };
    while of_tcp() < 100 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(of_tcp(), 100);
    service.stop();
}
