//! Connections over IP and to Unix sockets, and how they went.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use super::*;

/// Somebody who takes connections at this address, and at which port.
fn listening(address: &str) -> (TcpListener, u16) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A port of this host at which nobody takes connections.
fn closed() -> u16 {
    listening("127.0.0.1").1
}

fn tcp(address: &str, port: u16) -> Peer {
    Peer::Ip {
        transport: Transport::Tcp,
        address: SocketAddr::new(address.parse().unwrap(), port),
    }
}

#[test]
fn connections_and_how_they_went() {
    let Some(mut trial) = Trial::new() else { return };
    let (_listener, port) = listening("127.0.0.1");
    let (_listener6, port6) = listening("::1");
    let closed = closed();
    for (act, address, port, peer, outcome) in [
        (
            "tcp",
            "127.0.0.1",
            port,
            tcp("127.0.0.1", port),
            Outcome::Accepted,
        ),
        ("tcp", "::1", port6, tcp("::1", port6), Outcome::Accepted),
        (
            "tcp",
            "::ffff:127.0.0.1",
            port,
            tcp("127.0.0.1", port),
            Outcome::Accepted,
        ),
        (
            "tcp-later",
            "127.0.0.1",
            port,
            tcp("127.0.0.1", port),
            Outcome::Accepted,
        ),
        (
            "tcp",
            "127.0.0.1",
            closed,
            tcp("127.0.0.1", closed),
            Outcome::Failed(Some(111)),
        ),
        (
            "tcp-later",
            "127.0.0.1",
            closed,
            tcp("127.0.0.1", closed),
            Outcome::Failed(Some(111)),
        ),
        // A socket must be told that it may reach everybody before it does.
        (
            "tcp",
            "255.255.255.255",
            9,
            tcp("255.255.255.255", 9),
            Outcome::Failed(Some(101)),
        ),
    ] {
        let seen = trial.act(&[act, address, &port.to_string()]);
        let connects = connects(&seen);
        assert_eq!(connects.len(), 1, "{act} {address}: {connects:?}");
        assert_eq!(
            (&connects[0].peer, connects[0].outcome),
            (&peer, outcome),
            "{act} {address}"
        );
        assert_eq!(connects[0].process, last(&seen).process);
        assert_eq!(connects[0].thread, b"acts");
        assert_eq!(connects[0].context.uid, Some(0));
        if outcome == Outcome::Accepted {
            let local = connects[0].local.unwrap();
            let Peer::Ip { address, .. } = &connects[0].peer else {
                panic!("{peer:?}")
            };
            assert_eq!(local.ip(), address.ip());
            assert_ne!(local.port(), 0);
        }
        assert!(lost(&seen).is_empty());
    }

    let first = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let ports = [first, 2000, 2001];
    let seen = trial.act(&[
        "udp",
        "127.0.0.1",
        &ports[0].to_string(),
        &ports[1].to_string(),
        &ports[2].to_string(),
    ]);
    let told: Vec<(Peer, Outcome)> = connects(&seen)
        .into_iter()
        .map(|c| (c.peer.clone(), c.outcome))
        .collect();
    let udp = |port: u16| Peer::Ip {
        transport: Transport::Udp,
        address: SocketAddr::from(([127, 0, 0, 1], port)),
    };
    assert_eq!(told, ports.map(|port| (udp(port), Outcome::Attempted)));
}

#[test]
fn connections_are_told_when_the_call_returns_where_no_program_can_be_had_at_control_groups() {
    let Some(mut trial) = Trial::with(Options::default(), false, None) else {
        return;
    };
    let abilities = trial.reader.abilities();
    assert_eq!(abilities.unseen, []);
    assert_eq!(
        abilities
            .hooks
            .iter()
            .filter(|hook| hook.failed.is_some())
            .count(),
        1
    );
    let (_listener, port) = listening("127.0.0.1");
    let (_listener6, port6) = listening("::1");
    let closed = closed();
    for (act, address, port, outcome) in [
        ("tcp", "127.0.0.1", port, Outcome::Accepted),
        ("tcp", "::1", port6, Outcome::Accepted),
        ("tcp", "127.0.0.1", closed, Outcome::Failed(Some(111))),
        ("tcp-later", "127.0.0.1", port, Outcome::Attempted),
    ] {
        let seen = trial.act(&[act, address, &port.to_string()]);
        let connects = connects(&seen);
        assert_eq!(connects.len(), 1, "{act} {address}: {connects:?}");
        assert_eq!(
            (&connects[0].peer, connects[0].outcome),
            (&tcp(address, port), outcome),
            "{act} {address}"
        );
        assert_eq!(connects[0].process, last(&seen).process);
    }
}

#[test]
fn sockets_of_container_runtimes() {
    let Some(mut trial) = Trial::new() else { return };
    let socket = real(trial.folder.path().to_str().unwrap()) + "/docker.sock";
    let _listener = UnixListener::bind(&socket).unwrap();
    let _other = UnixListener::bind(trial.path("other.sock")).unwrap();
    let link = trial.path("innocent");
    symlink(&socket, &link).unwrap();
    for named in [&socket, "docker.sock", "./docker.sock", "innocent", &link] {
        let seen = trial.act(&["unix", named]);
        let connects = connects(&seen);
        assert_eq!(connects.len(), 1, "{named}");
        assert_eq!(
            connects[0].peer,
            Peer::Unix(socket.clone().into_bytes()),
            "{named}"
        );
        assert_eq!(connects[0].outcome, Outcome::Accepted);
        assert_eq!(connects[0].process, last(&seen).process);
    }
    let seen = trial.act(&["unix", &trial.path("other.sock")]);
    assert!(connects(&seen).is_empty());
    let seen = trial.act(&["unix", "/nowhere/containerd.sock"]);
    assert_eq!(
        connects(&seen)[0].peer,
        Peer::Unix(b"/nowhere/containerd.sock".to_vec())
    );
    assert_eq!(connects(&seen)[0].outcome, Outcome::Failed(Some(2)));
}
