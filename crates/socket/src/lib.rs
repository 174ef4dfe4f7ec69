//! HTTP over sockets of this machine, as container engines offer it: what a [`ureq::Agent`] needs to ask one.
//!
//! An answer may go on for days, as a stream of events does; [`Hangup`] ends it from another thread.
#![cfg(unix)]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

/// An agent whose requests all go to the socket at this path, whatever their address says, and what ends them early.
pub fn agent(config: Config, path: &Path) -> (ureq::Agent, Hangup) {
    let hangup = Hangup::default();
    let connector = SocketConnector {
        path: path.to_owned(),
        hangup: hangup.clone(),
    };
    (ureq::Agent::with_parts(config, connector, Nowhere), hangup)
}

/// Ends the requests of an agent from another thread: what is under way fails, and no more are made.
#[derive(Clone, Debug, Default)]
pub struct Hangup(Arc<Mutex<Line>>);

#[derive(Debug, Default)]
struct Line {
    /// The connection that was opened last.
    stream: Weak<UnixStream>,
    is_over: bool,
}

impl Hangup {
    /// Ends the request that was begun last, and lets no other begin.
    pub fn hang_up(&self) {
        self.end(true);
    }

    /// Ends the request that was begun last. Others may follow.
    pub fn interrupt(&self) {
        self.end(false);
    }

    fn end(&self, is_over: bool) {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        line.is_over |= is_over;
        if let Some(stream) = line.stream.upgrade() {
            // A connection that the other side closed already needs no more.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn remember(&self, stream: &Arc<UnixStream>) -> Result<(), Error> {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if line.is_over {
            return Err(std::io::Error::from(ErrorKind::Interrupted).into());
        }
        line.stream = Arc::downgrade(stream);
        Ok(())
    }
}

/// Opens the socket, whatever the address of a request says.
#[derive(Debug)]
struct SocketConnector {
    path: PathBuf,
    hangup: Hangup,
}

impl Connector for SocketConnector {
    type Out = SocketTransport;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Self::Out>, Error> {
        let stream = Arc::new(UnixStream::connect(&self.path)?);
        self.hangup.remember(&stream)?;
        let buffers = LazyBuffers::new(
            details.config.input_buffer_size(),
            details.config.output_buffer_size(),
        );
        Ok(Some(SocketTransport { stream, buffers }))
    }
}

/// A connection to the socket.
#[derive(Debug)]
struct SocketTransport {
    stream: Arc<UnixStream>,
    buffers: LazyBuffers,
}

impl Transport for SocketTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        self.stream
            .set_write_timeout(timeout.not_zero().map(|left| *left))?;
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        (&*self.stream)
            .write_all(output)
            .map_err(|error| timed(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        self.stream
            .set_read_timeout(timeout.not_zero().map(|left| *left))?;
        let input = self.buffers.input_append_buf();
        let amount = loop {
            match (&*self.stream).read(input) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other.map_err(|error| timed(error, timeout))?,
            }
        };
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    /// Connections are used once: a socket of this machine is opened in microseconds.
    fn is_open(&mut self) -> bool {
        false
    }
}

fn timed(error: std::io::Error, timeout: NextTimeout) -> Error {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Error::Timeout(timeout.reason),
        _ => error.into(),
    }
}

/// A socket has no address of a network.
#[derive(Debug)]
struct Nowhere;

impl Resolver for Nowhere {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}
