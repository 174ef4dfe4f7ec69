//! Syslog: RFC 5424 with structured data, over UDP (RFC 5426), TCP with counted octets (RFC 6587) or TLS (RFC 5425).
//!
//! The message is the alert's document as JSON in ASCII, shortened to what receivers must take; the structured data names what
//! receivers sort by. Syslog has no acknowledgements: over TCP and TLS each batch has a connection of its own, which is closed for
//! writing behind the last message, and counts as delivered when the receiver closed it too, or at least did not reset it.

use std::io::{self, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use neph_config::{Output, OutputKind};
use neph_store::{DeliveryKind, Severity};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::fields::text;
use crate::form::severity_word;
use crate::text::{shortened, visible};
use crate::{Form, Message, OpenError, Outcome, Transport, tls};

/// Bytes of a message over UDP that a receiver should take (RFC 5426, 3.2).
const DATAGRAM: usize = 2048;

/// The same over TCP and TLS (RFC 5425, 4.3.1).
const MESSAGE: usize = 8192;

/// Messages of one connection.
const BATCH: usize = 100;

/// Security and authorization messages (RFC 5424, 6.2.1).
const FACILITY: u8 = 10;

/// Characters of a parameter's value.
const VALUE: usize = 100;

/// How long a receiver may take to close a connection behind the last message.
const CLOSING: Duration = Duration::from_secs(2);

/// How long it may take until a host says that nobody listens.
const REFUSAL: Duration = Duration::from_millis(20);

/// Opens an output of this kind.
pub(crate) fn open(output: &Output) -> Result<Box<dyn Transport>, OpenError> {
    let invalid = |what: &str| OpenError::Invalid(format!("`{}` {what}", output.name));
    let OutputKind::Syslog {
        address,
        transport,
        ca,
    } = &output.kind
    else {
        return Err(invalid("is no syslog"));
    };
    let (host, _) = address
        .rsplit_once(':')
        .ok_or_else(|| invalid("has an address without a port"))?;
    let way = match transport.as_str() {
        "udp" => Way::Udp,
        "tls" => {
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let name =
                ServerName::try_from(host).map_err(|_| invalid("has an address without a name of a host"))?;
            Way::Tls(tls::client(ca.as_deref())?, name)
        }
        _ => Way::Tcp,
    };
    Ok(Box::new(Syslog {
        address: address.clone(),
        way,
        form: Form::of(&output.form),
        timeout: output.timeout,
        host: own_name(),
    }))
}

struct Syslog {
    address: String,
    way: Way,
    form: Form,
    timeout: Duration,
    host: String,
}

enum Way {
    Udp,
    Tcp,
    Tls(Arc<ClientConfig>, ServerName<'static>),
}

impl Transport for Syslog {
    fn send(&mut self, messages: &[Message<'_>]) -> Vec<Outcome> {
        let most = match self.way {
            Way::Udp => DATAGRAM,
            Way::Tcp | Way::Tls(..) => MESSAGE,
        };
        let lines: Vec<String> = messages.iter().map(|message| self.line(message, most)).collect();
        let sent = match self.way {
            Way::Udp => self.datagrams(&lines),
            Way::Tcp | Way::Tls(..) => self.stream(&lines),
        };
        let outcome = match sent {
            Ok(()) => Outcome::Delivered,
            Err(error) => Outcome::later(error.to_string()),
        };
        // A receiver knows repeats by their keys.
        vec![outcome; messages.len()]
    }

    fn batch(&self) -> usize {
        BATCH
    }
}

impl Syslog {
    /// The message of RFC 5424, in ASCII without control characters, of so many bytes at most.
    fn line(&self, message: &Message<'_>, most: usize) -> String {
        let alert = &message.alert.alert;
        let priority = match (message.kind, alert.severity) {
            _ if message.test => 6,
            (DeliveryKind::Retracted, _) | (_, Severity::Low) => 5,
            (_, Severity::Medium) => 4,
            (_, Severity::High) => 3,
            (_, Severity::Critical) => 2,
        };
        let head = format!(
            "<{}>1 {} {} neph {} {} {} ",
            FACILITY * 8 + priority,
            message.sent.truncated_to_millis(),
            self.host,
            std::process::id(),
            if message.group.is_some() {
                "group"
            } else {
                message.kind.word()
            },
            structured(message),
        );
        let document = self.form.within(message, most.saturating_sub(head.len()));
        head + &document
    }

    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let found: Vec<SocketAddr> = self.address.to_socket_addrs()?.collect();
        match found.is_empty() {
            true => Err(io::Error::other(format!("`{}` has no address", self.address))),
            false => Ok(found),
        }
    }

    fn datagrams(&self, lines: &[String]) -> io::Result<()> {
        let mut last = None;
        for address in self.addresses()? {
            match self.datagrams_to(address, lines) {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
    }

    fn datagrams_to(&self, address: SocketAddr, lines: &[String]) -> io::Result<()> {
        let own = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(own)?;
        socket.connect(address)?;
        socket.set_write_timeout(Some(self.timeout))?;
        for line in lines {
            socket.send(line.as_bytes())?;
        }
        // Hosts of which nobody listens on the port may say so.
        socket.set_read_timeout(Some(REFUSAL))?;
        match socket.recv(&mut [0; 1]) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Err(error),
            _ => Ok(()),
        }
    }

    fn stream(&self, lines: &[String]) -> io::Result<()> {
        // Bytes are counted, so that nothing in a message can begin another.
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend_from_slice(format!("{} ", line.len()).as_bytes());
            bytes.extend_from_slice(line.as_bytes());
        }
        let mut last = None;
        for address in self.addresses()? {
            match TcpStream::connect_timeout(&address, self.timeout) {
                Ok(stream) => return self.write(stream, &bytes),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
    }

    fn write(&self, mut stream: TcpStream, bytes: &[u8]) -> io::Result<()> {
        stream.set_write_timeout(Some(self.timeout))?;
        stream.set_read_timeout(Some(self.timeout))?;
        match &self.way {
            Way::Tls(config, name) => {
                let connection =
                    ClientConnection::new(Arc::clone(config), name.clone()).map_err(io::Error::other)?;
                let mut stream = StreamOwned::new(connection, stream);
                stream.write_all(bytes)?;
                stream.conn.send_close_notify();
                stream.flush()?;
                let socket = stream.sock.try_clone()?;
                until_closed(&socket, &mut stream, self.timeout)
            }
            Way::Tcp | Way::Udp => {
                stream.write_all(bytes)?;
                let socket = stream.try_clone()?;
                until_closed(&socket, &mut stream, self.timeout)
            }
        }
    }
}

/// Ends writing, and waits for the receiver's end of the connection.
fn until_closed(socket: &TcpStream, stream: &mut impl io::Read, timeout: Duration) -> io::Result<()> {
    socket.shutdown(Shutdown::Write)?;
    socket.set_read_timeout(Some(timeout.min(CLOSING)))?;
    let mut answer = [0; 256];
    // Receivers have nothing to say; one that talks without end is not listened to.
    for _ in 0..64 {
        match stream.read(&mut answer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                // It keeps the connection open, or ended it without the last words of TLS.
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::UnexpectedEof => {
                    return Ok(());
                }
                _ => return Err(error),
            },
        }
    }
    Ok(())
}

/// What receivers sort by. The number behind the name is that which RFC 5612 has for those who have none of their own.
fn structured(message: &Message<'_>) -> String {
    let alert = &message.alert.alert;
    let document = serde_json::from_slice(&alert.document).unwrap_or_default();
    let mut out = format!(
        "[origin software=\"neph\" swVersion=\"{}\"][neph@32473",
        env!("CARGO_PKG_VERSION")
    );
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            let value = parameter(&shortened(&visible(value), VALUE));
            out.push_str(&format!(" {name}=\"{value}\""));
        }
    };
    put("key", &message.key);
    put("kind", message.kind.word());
    match message.group {
        Some(group) => put("count", &group.count.to_string()),
        None => put("id", &alert.id),
    }
    if message.test {
        put("test", "true");
    }
    put("severity", severity_word(alert.severity));
    put("risk", &alert.risk_score.to_string());
    put("rule", &alert.rule_name);
    put("rule_id", &alert.rule_id);
    put("techniques", &alert.techniques.join(","));
    if message.group.is_none() {
        for (name, field) in [
            ("host", "host.name"),
            ("user", "user.name"),
            ("source", "source.ip"),
        ] {
            put(name, &text(&document, field).unwrap_or_default());
        }
    }
    put("link", message.link.as_deref().unwrap_or_default());
    out.push(']');
    out
}

/// A parameter's value: three characters are escaped (RFC 5424, 6.3.3), and what is not ASCII is written with its number, as old
/// receivers know no other encoding.
fn parameter(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\\' | ']' => out.extend(['\\', character]),
            _ if character.is_ascii() => out.push(character),
            _ => out.push_str(&format!("\\\\u{{{:x}}}", u32::from(character))),
        }
    }
    out
}

/// The name of this machine.
fn own_name() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    let name: String = name.chars().filter(char::is_ascii_graphic).take(255).collect();
    match name.is_empty() {
        true => "-".to_owned(),
        false => name,
    }
}
