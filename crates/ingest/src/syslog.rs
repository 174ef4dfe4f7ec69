//! Syslog, RFC 5424 and 3164, over UDP, TCP and TLS.
//!
//! What is kept is the message as it came, with its priority and without its framing; the normaliser's source of syslog
//! reads the header. Streams are named by the sender's address, `syslog/192.0.2.7`. The protocol knows no acknowledgement: over
//! TCP a sender is slowed down by not being read, over UDP what there is no room for is lost, and counted.
//!
//! Neither is there any proof of who sends but a certificate over TLS; a listener can be told the networks that it takes
//! messages from.

pub(crate) mod frame;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rustls::ServerConfig;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

use crate::counts::{Counter, Protocol, Refused};
use crate::intake::{Gathered, Gathering, Intake};
use crate::limits::Reservation;
use crate::listener::{Connections, Shutdown, handshake};
use frame::{Cut, Framing, trimmed};

/// Bytes that are read at once, and made durable together.
const READ_BYTES: usize = 256 << 10;

/// Most bytes of datagrams that are made durable together, and for how long more are awaited.
const DATAGRAM_BYTES: usize = 1 << 20;
const DATAGRAM_TIME: Duration = Duration::from_millis(20);

/// The receive buffer that is asked of the system for datagrams: what comes in while the log is written waits there.
const SOCKET_BUFFER: usize = 8 << 20;

/// Longest datagram there can be.
const LONGEST_DATAGRAM: usize = 64 << 10;

/// Batches of datagrams that may wait for the log.
const WAITING_BATCHES: usize = 4;

/// A pause before a batch that could not be stored is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// Whose messages are taken.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// The networks that may send; if there are none, all may.
    pub networks: Vec<IpNet>,
}

impl Allowed {
    fn holds(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.is_empty() || self.networks.iter().any(|network| network.contains(&address))
    }
}

/// The counts of an address.
fn counter(intake: &Intake, address: IpAddr) -> Counter {
    intake
        .counts()
        .of(Protocol::Syslog, &Arc::from(address.to_canonical().to_string()))
}

/// Takes messages over TCP, with TLS or without, until it is time to stop.
///
/// # Errors
/// If the listener cannot tell its own address, which is when it is none.
pub async fn tcp(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    allowed: Allowed,
    intake: Intake,
    mut shutdown: Shutdown,
) -> io::Result<()> {
    listener.local_addr()?;
    let tls = tls.map(TlsAcceptor::from);
    let connections = Connections::new(intake.limits());
    loop {
        let (stream, address, place) = tokio::select! {
            () = shutdown.wanted() => return Ok(()),
            accepted = connections.accept(&listener) => accepted,
        };
        let counter = counter(&intake, address.ip());
        counter.request();
        if !allowed.holds(address.ip()) {
            counter.refused(Refused::Unauthenticated, 1);
            continue;
        }
        let (tls, intake, shutdown) = (tls.clone(), intake.clone(), shutdown.clone());
        tokio::spawn(async move {
            match tls {
                None => Stream::new(intake, address, counter).read(stream, shutdown).await,
                Some(tls) => match handshake(&tls, stream, intake.limits()).await {
                    Some((stream, _)) => Stream::new(intake, address, counter).read(stream, shutdown).await,
                    None => counter.refused(Refused::Unauthenticated, 1),
                },
            }
            drop(place);
        });
    }
}

/// A connection that is read.
struct Stream {
    intake: Intake,
    name: Arc<str>,
    counter: Counter,
    framing: Framing,
    /// What was read and not cut into messages yet.
    buffer: Vec<u8>,
}

impl Stream {
    fn new(intake: Intake, address: SocketAddr, counter: Counter) -> Self {
        let name = intake.stream(Protocol::Syslog, &address.ip().to_canonical().to_string());
        let framing = Framing::new(intake.limits().line_bytes);
        Self {
            intake,
            name,
            counter,
            framing,
            buffer: Vec::new(),
        }
    }

    async fn read(mut self, mut stream: impl AsyncRead + Unpin, mut shutdown: Shutdown) {
        let mut piece = vec![0; READ_BYTES];
        // Since when the message that is there in part is.
        let mut began = None;
        loop {
            let limits = self.intake.limits();
            let patience = began.map_or(limits.idle_time, |began: Instant| {
                limits.piece_time.saturating_sub(began.elapsed())
            });
            // What is not read while there is no room slows the sender down.
            let mut reservation = self.intake.in_flight().nothing();
            let read = tokio::select! {
                () = shutdown.wanted() => break,
                read = timeout(patience, stream.read(&mut piece)) => read,
            };
            let length = match read {
                Ok(Ok(length)) if length > 0 => length,
                _ => break,
            };
            self.counter.bytes(length);
            self.buffer
                .extend_from_slice(piece.get(..length).unwrap_or_default());
            tokio::select! {
                () = shutdown.wanted() => break,
                () = reservation.wait_for(self.buffer.len()) => {}
            }
            let had = self.buffer.len();
            let (gathered, goes_on) = self.cut();
            if !self.append(gathered, reservation, &mut shutdown).await || !goes_on {
                return;
            }
            began = match (self.buffer.is_empty(), began) {
                (true, _) => None,
                // Something was cut off, so that this is another message.
                (false, _) if self.buffer.len() < had => Some(Instant::now()),
                (false, began) => began.or_else(|| Some(Instant::now())),
            };
        }
        // The last message of a sender that frames by lines may lack its end.
        let mut last = Gathered::new(Arc::clone(&self.name));
        let rest = trimmed(&self.buffer);
        if rest.starts_with(b"<") {
            last.add(rest);
            let mut reservation = self.intake.in_flight().nothing();
            if reservation.try_grow(rest.len()) {
                self.append(last, reservation, &mut shutdown).await;
            } else {
                self.counter.refused(Refused::Dropped, 1);
            }
        } else if !rest.is_empty() {
            self.counter.refused(Refused::Malformed, 1);
        }
    }

    /// Cuts off what messages there are, and tells whether more can follow.
    fn cut(&mut self) -> (Gathered, bool) {
        let mut gathered = Gathered::new(Arc::clone(&self.name));
        let (mut done, mut goes_on) = (0, true);
        while let Some((cut, used)) = self.framing.cut(self.buffer.get(done..).unwrap_or_default()) {
            done += used;
            match cut {
                Some(Cut::Message(message)) => gathered.add(message),
                Some(Cut::TooLong) => self.counter.refused(Refused::TooLong, 1),
                Some(Cut::Malformed) => {
                    self.counter.refused(Refused::Malformed, 1);
                    goes_on = false;
                    break;
                }
                None => {}
            }
        }
        self.buffer.drain(..done.min(self.buffer.len()));
        (gathered, goes_on)
    }

    /// Appends, again and again until it succeeds or the service stops: what was read can be asked of nobody again.
    async fn append(&self, gathered: Gathered, reservation: Reservation, shutdown: &mut Shutdown) -> bool {
        let stored = store(&self.intake, vec![gathered], &self.counter, shutdown).await;
        drop(reservation);
        // While it is not read the sender is slowed down.
        tokio::select! {
            () = shutdown.wanted() => {}
            () = tokio::time::sleep(self.intake.pause()) => {}
        }
        stored
    }
}

/// Appends what was gathered. What cannot be stored is tried again until the service stops, and is lost then.
async fn store(intake: &Intake, gathered: Vec<Gathered>, counter: &Counter, shutdown: &mut Shutdown) -> bool {
    for mut stream in gathered {
        while stream.len() > 0 {
            let task = {
                let (intake, stream) = (intake.clone(), stream.clone());
                tokio::task::spawn_blocking(move || intake.append(stream))
            };
            let Ok(outcomes) = task.await else {
                counter.refused(Refused::Dropped, stream.len());
                return false;
            };
            let (mut left, mut all) = (Gathered::new(Arc::clone(&stream.stream)), stream.records.iter());
            for (count, outcome) in outcomes {
                let records = all.by_ref().take(count);
                match outcome.map_err(|unappended| unappended.reason) {
                    Ok(()) => counter.accepted(count, records.map(<[u8]>::len).sum()),
                    Err(Refused::TooLong) => counter.refused(Refused::TooLong, records.count()),
                    Err(_) => records.for_each(|record| left.add(record)),
                }
            }
            drop(all);
            stream = left;
            if stream.len() > 0 {
                tokio::select! {
                    () = shutdown.wanted() => {
                        counter.refused(Refused::Dropped, stream.len());
                        return false;
                    }
                    () = tokio::time::sleep(TRY_AGAIN) => {}
                }
            }
        }
    }
    true
}

/// Takes messages over UDP, one a datagram, until it is time to stop.
///
/// # Errors
/// If the socket cannot be set up.
pub async fn udp(
    socket: UdpSocket,
    allowed: Allowed,
    intake: Intake,
    mut shutdown: Shutdown,
) -> io::Result<()> {
    // The system gives what it allows.
    let _ = SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER);
    let (sender, mut batches) = tokio::sync::mpsc::channel::<(Vec<Gathered>, Reservation)>(WAITING_BATCHES);
    let writer = {
        let (intake, mut shutdown) = (intake.clone(), shutdown.clone());
        tokio::spawn(async move {
            while let Some((gathered, reservation)) = batches.recv().await {
                for stream in gathered {
                    let address = stream.stream.split_once('/').map_or("", |(_, address)| address);
                    let counter = intake.counts().of(Protocol::Syslog, &Arc::from(address));
                    store(&intake, vec![stream], &counter, &mut shutdown).await;
                }
                drop(reservation);
            }
        })
    };
    let mut datagram = vec![0; LONGEST_DATAGRAM];
    let mut is_stopping = false;
    while !is_stopping {
        let (mut gathering, mut bytes) = (Gathering::new(&intake, Protocol::Syslog), 0);
        let mut end: Option<Instant> = None;
        while bytes < DATAGRAM_BYTES {
            let received = tokio::select! {
                () = shutdown.wanted() => {
                    is_stopping = true;
                    break;
                }
                received = socket.recv_from(&mut datagram) => received,
                () = until(end) => break,
            };
            // An error is of one datagram, such as the refusal of an earlier answer.
            let Ok((length, address)) = received else { continue };
            let ip = address.ip().to_canonical();
            let counter = counter(&intake, ip);
            counter.request();
            counter.bytes(length);
            if !allowed.holds(ip) {
                counter.refused(Refused::Unauthenticated, 1);
                continue;
            }
            let message = trimmed(datagram.get(..length).unwrap_or_default());
            if message.is_empty() {
                counter.refused(Refused::Malformed, 1);
                continue;
            }
            let number = gathering.number(&ip.to_string(), 0);
            if let Some(stream) = gathering.stream(number) {
                stream.add(message);
            }
            bytes += message.len();
            end = end.or_else(|| Some(Instant::now() + DATAGRAM_TIME));
        }
        hand_on(&intake, gathering.finish(), bytes, &sender);
    }
    drop(sender);
    // A writer that has gone has nothing left to write.
    let _ = writer.await;
    Ok(())
}

/// Waits until a time, or for ever.
async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// Hands datagrams on to be stored; if there is no room they are lost, and counted.
fn hand_on(
    intake: &Intake,
    gathered: Vec<Gathered>,
    bytes: usize,
    sender: &tokio::sync::mpsc::Sender<(Vec<Gathered>, Reservation)>,
) {
    if gathered.is_empty() {
        return;
    }
    let mut reservation = intake.in_flight().nothing();
    let lost = if reservation.try_grow(bytes) {
        match sender.try_send((gathered, reservation)) {
            Ok(()) => return,
            Err(error) => error.into_inner().0,
        }
    } else {
        gathered
    };
    for stream in lost {
        let address = stream.stream.split_once('/').map_or("", |(_, address)| address);
        let counter = intake.counts().of(Protocol::Syslog, &Arc::from(address));
        counter.refused(Refused::Dropped, stream.len());
    }
}
