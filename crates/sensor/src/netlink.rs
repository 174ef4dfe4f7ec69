//! Netlink sockets (netlink(7)), as far as the process connector and audit need them.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recvfrom, sendto,
    socket_with, sockopt,
};

/// Bytes of the header of a message.
pub(crate) const HEADER: usize = 16;

/// `NLM_F_REQUEST`: the message asks for something.
const REQUEST: u16 = 1;

/// `NLM_F_ACK`: whoever gets the message says whether it worked.
pub(crate) const ACKNOWLEDGE: u16 = 4;

/// Bytes that one datagram can have. Audit's are at most 8,970 (`MAX_AUDIT_MESSAGE_LENGTH`), the connector's below 100.
const DATAGRAM: usize = 16 << 10;

/// A socket, and where what it receives is put.
#[derive(Debug)]
pub(crate) struct Link {
    socket: OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
}

/// What receiving gave.
#[derive(Debug)]
pub(crate) enum Received<'a> {
    /// A datagram of the kernel.
    Datagram(&'a [u8]),
    /// The socket's buffer was full, and so many datagrams were dropped that nobody knows how many.
    Overrun,
    /// Nothing within the time.
    Nothing,
}

impl Link {
    /// Opens a socket that listens to the groups of a bit mask, with a buffer of so many bytes in the kernel.
    pub(crate) fn open(protocol: Protocol, groups: u32, buffer: usize) -> io::Result<Self> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(protocol),
        )?;
        // Without the privilege to go beyond `net.core.rmem_max`, that much has to do.
        if sockopt::set_socket_recv_buffer_size_force(&socket, buffer).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, buffer)?;
        }
        bind(&socket, &SocketAddrNetlink::new(0, groups))?;
        Ok(Self {
            socket,
            buffer: vec![0; DATAGRAM],
            sequence: 0,
        })
    }

    /// Leaves so little room in the kernel.
    #[cfg(test)]
    pub(crate) fn shrink(&self, buffer: usize) -> io::Result<()> {
        Ok(sockopt::set_socket_recv_buffer_size(&self.socket, buffer)?)
    }

    /// Sends a message to the kernel and returns its number.
    pub(crate) fn send(&mut self, kind: u16, flags: u16, payload: &[u8]) -> io::Result<u32> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = u32::try_from(HEADER + payload.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut message = Vec::with_capacity(HEADER + payload.len());
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend((REQUEST | flags).to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend(0_u32.to_ne_bytes());
        message.extend(payload);
        sendto(
            &self.socket,
            &message,
            SendFlags::empty(),
            &SocketAddrNetlink::new(0, 0),
        )?;
        Ok(self.sequence)
    }

    /// The next datagram of the kernel, if one comes within the time. What other processes send is passed over.
    pub(crate) fn receive(&mut self, wait: Duration) -> io::Result<Received<'_>> {
        if !wait.is_zero() {
            wait_for([Some(self), None], wait)?;
        }
        loop {
            match recvfrom(&self.socket, self.buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok((length, _, from)) => {
                    let kernel = from
                        .and_then(|from| SocketAddrNetlink::try_from(from).ok())
                        .is_some_and(|from| from.pid() == 0);
                    if kernel {
                        return Ok(Received::Datagram(self.buffer.get(..length).unwrap_or_default()));
                    }
                }
                Err(Errno::AGAIN) => return Ok(Received::Nothing),
                Err(Errno::NOBUFS) => return Ok(Received::Overrun),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Waits at most so long until one of the sockets has something.
pub(crate) fn wait_for(links: [Option<&Link>; 2], wait: Duration) -> io::Result<()> {
    let mut waiting: Vec<PollFd<'_>> = links
        .into_iter()
        .flatten()
        .map(|link| PollFd::new(&link.socket, PollFlags::IN))
        .collect();
    let timeout = Timespec {
        tv_sec: wait.as_secs().try_into().unwrap_or(1),
        tv_nsec: wait.subsec_nanos().into(),
    };
    match poll(&mut waiting, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// One message of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// What it is.
    pub(crate) kind: u16,
    /// The number of what it answers.
    pub(crate) sequence: u32,
    /// What it holds.
    pub(crate) payload: &'a [u8],
}

/// The messages of a datagram. What is cut off or has an impossible length ends them.
pub(crate) fn messages(datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(word(rest, 0)?)).ok()?;
        if length < HEADER || length > rest.len() {
            return None;
        }
        let message = message(rest.get(..length)?)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// The one message that a datagram is, whatever length its header tells: audit gives the length of some records without the header
/// (`kauditd_send_multicast_skb` in `kernel/audit.c`).
pub(crate) fn message(datagram: &[u8]) -> Option<Message<'_>> {
    Some(Message {
        kind: u16::from_ne_bytes(word(datagram, 4)?),
        sequence: u32::from_ne_bytes(word(datagram, 8)?),
        payload: datagram.get(HEADER..)?,
    })
}

/// `N` bytes from an offset on.
pub(crate) fn word<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
