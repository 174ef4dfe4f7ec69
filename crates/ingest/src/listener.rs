//! Connections: TLS, limits of number and time, and the end of service. The HTTP protocols, the syslog listener and the
//! service's own interface use the same.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::host::Names;
use crate::http::Peer;
use crate::limits::Limits;

/// How long open requests may take to end when the service stops.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// A pause after the system has refused a connection, for want of file descriptors say.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Says when to stop. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// Lets all that wait for [`Shutdown`] stop, when told so or dropped.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// A pair of a signal to stop and who waits for it.
pub fn shutdown() -> (Stopper, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Shutdown(receiver))
}

impl Stopper {
    /// Tells everyone to stop.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Waits until it is time to stop.
    pub async fn wanted(&mut self) {
        // Who could have told it is gone: that is the end too.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether it is time to stop.
    pub fn is_wanted(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

/// The files that TLS needs, in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority whose certificates clients must show, if they must show any.
    pub client_authority: Option<PathBuf>,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read, or holds nothing of the kind.
    #[error("cannot read {what} of `{}`: {why}", path.display())]
    File {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Certificate, key and authority do not go together.
    #[error("the certificate cannot be used: {0}")]
    Unusable(String),
}

impl TlsFiles {
    /// Reads the files.
    ///
    /// # Errors
    /// If one cannot be read, or they do not go together.
    pub fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let unusable = |error: &dyn std::fmt::Display| TlsError::Unusable(error.to_string());
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| TlsError::File {
            what: "the private key",
            path: self.key.clone(),
            why: error.to_string(),
        })?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?;
        let builder = match &self.client_authority {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(authority, "the certificates of the clients' authority")? {
                    roots.add(certificate).map_err(|error| unusable(&error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|error| unusable(&error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let chain = certificates(&self.certificate, "the certificate")?;
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|error| unusable(&error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn certificates(path: &Path, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |why: String| TlsError::File {
        what,
        path: path.to_owned(),
        why,
    };
    let read = CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
    let read: Result<Vec<_>, _> = read.collect();
    match read {
        Ok(certificates) if certificates.is_empty() => Err(failed("there is none".to_owned())),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// The connections of a listener, all together and of each address.
#[derive(Clone)]
pub(crate) struct Connections {
    all: Arc<Semaphore>,
    of_peers: Arc<Mutex<HashMap<IpAddr, usize>>>,
    most_of_peer: usize,
}

/// A place among the connections, until it is dropped.
pub(crate) struct Place {
    _one: OwnedSemaphorePermit,
    of_peers: Arc<Mutex<HashMap<IpAddr, usize>>>,
    peer: IpAddr,
}

impl Connections {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.connections)),
            of_peers: Arc::default(),
            most_of_peer: limits.connections_of_peer,
        }
    }

    /// The next connection for which there is a place; one too many of its address is closed at once.
    pub(crate) async fn accept(&self, listener: &TcpListener) -> (TcpStream, SocketAddr, Place) {
        loop {
            // Whoever has no place waits in the queue of the system.
            let Ok(one) = Arc::clone(&self.all).acquire_owned().await else {
                return std::future::pending().await;
            };
            match listener.accept().await {
                Ok((stream, address)) => {
                    if let Some(place) = self.place(one, address.ip()) {
                        // What is answered is short and awaited.
                        let _ = stream.set_nodelay(true);
                        return (stream, address, place);
                    }
                }
                Err(_) => sleep(AFTER_FAILURE).await,
            }
        }
    }

    fn place(&self, one: OwnedSemaphorePermit, peer: IpAddr) -> Option<Place> {
        let mut of_peers = self.of_peers.lock().unwrap_or_else(PoisonError::into_inner);
        let count = of_peers.entry(peer).or_default();
        if *count >= self.most_of_peer {
            return None;
        }
        *count += 1;
        Some(Place {
            _one: one,
            of_peers: Arc::clone(&self.of_peers),
            peer,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut of_peers = self.of_peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = of_peers.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                of_peers.remove(&self.peer);
            }
        }
    }
}

/// A connection after its handshake, and the hash of the certificate that the client has shown.
pub(crate) async fn handshake(
    tls: &TlsAcceptor,
    stream: TcpStream,
    limits: &Limits,
) -> Option<(tokio_rustls::server::TlsStream<TcpStream>, Option<Arc<str>>)> {
    let stream = timeout(limits.handshake_time, tls.accept(stream))
        .await
        .ok()?
        .ok()?;
    let (_, connection) = stream.get_ref();
    let shown = connection.peer_certificates().and_then(|chain| chain.first());
    let certificate = shown.map(|certificate| fingerprint(certificate));
    Some((stream, certificate))
}

fn fingerprint(certificate: &[u8]) -> Arc<str> {
    let digest = Sha256::digest(certificate);
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let text: String = digits
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .collect();
    text.into()
}

/// Serves a router over HTTP/1.1 until it is time to stop; then open requests are ended, for up to ten seconds. Each
/// request carries its [`Peer`] as an extension.
///
/// A client that is slow with its headers or its handshake is cut off, requests with too many or too long headers are
/// refused, and so are connections beyond the limits.
///
/// # Errors
/// If the listener cannot tell its own address, which is when it is none.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    limits: Limits,
    mut shutdown: Shutdown,
) -> io::Result<()> {
    let names = Names::new(listener.local_addr()?.ip().is_loopback(), &limits.hosts);
    let tls = tls.map(TlsAcceptor::from);
    let connections = Connections::new(&limits);
    let limits = Arc::new(limits);
    // All that is open holds one; when none is held any more, all has ended.
    let (open, mut all_closed) = watch::channel(());
    loop {
        let (stream, address, place) = tokio::select! {
            () = shutdown.wanted() => break,
            accepted = connections.accept(&listener) => accepted,
        };
        let (tls, router, limits) = (tls.clone(), router.clone(), Arc::clone(&limits));
        let (shutdown, open, names) = (shutdown.clone(), open.clone(), names.clone());
        tokio::spawn(async move {
            match tls {
                None => {
                    let peer = Peer {
                        address,
                        certificate: None,
                    };
                    connection(TokioIo::new(stream), peer, router, names, &limits, shutdown).await;
                }
                Some(tls) => {
                    if let Some((stream, certificate)) = handshake(&tls, stream, &limits).await {
                        let peer = Peer { address, certificate };
                        connection(TokioIo::new(stream), peer, router, names, &limits, shutdown).await;
                    }
                }
            }
            drop((place, open));
        });
    }
    drop((listener, open));
    // An error says that all have ended.
    let _ = timeout(LAST_REQUESTS, async {
        while all_closed.changed().await.is_ok() {}
    })
    .await;
    Ok(())
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin>(
    stream: TokioIo<S>,
    peer: Peer,
    router: Router,
    names: Names,
    limits: &Limits,
    mut shutdown: Shutdown,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let refused = names.refuse(&request);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        let mut router = router.clone();
        async move {
            if let Some(refused) = refused {
                return Ok(refused);
            }
            let answered = tower_service::Service::call(&mut router, request).await;
            answered.map_err(|never: Infallible| never)
        }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_headers(limits.headers)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(64 << 10));
    let mut connection = pin!(builder.serve_connection(stream, service));
    // What goes wrong with a connection is the client's to notice.
    let _ = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.wanted() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
}
