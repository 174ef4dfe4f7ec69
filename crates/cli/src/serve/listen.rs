//! Everything that listens: the API with what is received by HTTP, and syslog.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use neph_api::{App, Keys};
use neph_config::{Config, Syslog, Tls, Transport};
use neph_ingest::{
    Bounded, Counts, Gate, Intake, Limits, Shutdown, Stopper, TlsFiles, serve, shutdown, syslog,
};
use neph_store::Store;
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::failed;
use super::log::Log;
use super::readers::Readers;
use crate::exit::Failure;

/// What listens.
pub(super) struct Listening {
    /// Where the API is reached on this machine.
    base: String,
    stopper: Stopper,
    tasks: Vec<JoinHandle<()>>,
    readers: Readers,
}

impl Listening {
    /// Opens all listeners; none is left open when one fails. What reads by itself does not begin yet.
    pub(super) fn start(
        runtime: &Runtime,
        settings: &Config,
        store: &Arc<Store>,
        data: &Path,
        keys: &Arc<Keys>,
        app: &Arc<App>,
        log: Log,
    ) -> Result<Self, Failure> {
        let limits = limits(settings);
        let counts = Arc::new(Counts::new(limits.senders));
        let gate: Arc<dyn Gate> = Arc::<Keys>::clone(keys);
        let lagging = Arc::clone(app);
        let sink = Bounded {
            sink: store.log.clone(),
            // While the service ends nothing is evaluated, and what comes still fits.
            waiting: Box::new(move || lagging.service().map_or(0, |service| service.lag_bytes())),
            most: settings.limits.lag,
        };
        let intake = Intake::new(Arc::new(sink), gate, limits.clone(), Arc::clone(&counts));
        app.set_intake(counts);
        let router = neph_console::attach(neph_api::router(app).merge(neph_ingest::router(&intake)));
        let (stopper, stop) = shutdown();
        let tls = tls(settings.api.tls.as_ref())?;
        let mut bound: Vec<SocketAddr> = Vec::new();
        let mut tasks = Vec::new();
        let _inside = runtime.enter();
        for address in &settings.api.listen {
            let listener = runtime
                .block_on(TcpListener::bind(address))
                .map_err(|error| cannot_listen(*address, &error))?;
            let own = listener.local_addr().unwrap_or(*address);
            bound.push(own);
            log.info("the API listens", &[("address", &own), ("tls", &tls.is_some())]);
            let (router, tls, limits, stop) = (router.clone(), tls.clone(), limits.clone(), stop.clone());
            tasks.push(runtime.spawn(async move {
                if let Err(error) = serve(listener, tls, router, limits, stop).await {
                    log.error("a listener ended", &[("address", &own), ("error", &error)]);
                }
            }));
        }
        for listener in &settings.syslog {
            tasks.push(open_syslog(runtime, listener, &intake, &stop, log)?);
        }
        let readers = Readers::new(runtime.handle().clone(), Arc::clone(store), intake, data, log);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let base = bound.first().map_or_else(String::new, |address| {
            format!("{scheme}://{}", reachable(*address))
        });
        Ok(Self {
            base,
            stopper,
            tasks,
            readers,
        })
    }

    /// Where the API is reached on this machine.
    pub(super) fn base(&self) -> String {
        self.base.clone()
    }

    /// What reads by itself.
    pub(super) fn readers(&mut self) -> &mut Readers {
        &mut self.readers
    }

    /// Takes nothing new, and lets what is under way end, for so long at most.
    pub(super) fn stop(self, runtime: &Runtime, patience: Duration) {
        self.stopper.stop();
        let reading = self.readers.stop();
        let all = async move {
            for task in self.tasks {
                let _ = task.await;
            }
            reading.await;
        };
        // Whoever is not answered by then sends again.
        let _ = runtime.block_on(async { tokio::time::timeout(patience, all).await });
    }
}

fn open_syslog(
    runtime: &Runtime,
    listener: &Syslog,
    intake: &Intake,
    stop: &Shutdown,
    log: Log,
) -> Result<JoinHandle<()>, Failure> {
    let address = listener.listen;
    let allowed = syslog::Allowed {
        networks: listener.allow.clone(),
    };
    let (intake, stop) = (intake.clone(), stop.clone());
    let fails = |error: std::io::Error| cannot_listen(address, &error);
    let task = match listener.transport {
        Transport::Udp => {
            let socket = runtime.block_on(UdpSocket::bind(address)).map_err(fails)?;
            let own = socket.local_addr().unwrap_or(address);
            log.info("syslog listens", &[("address", &own), ("transport", &"udp")]);
            runtime.spawn(async move {
                if let Err(error) = syslog::udp(socket, allowed, intake, stop).await {
                    log.error("a listener ended", &[("address", &own), ("error", &error)]);
                }
            })
        }
        Transport::Tcp | Transport::Tls => {
            let tls = tls(listener.tls.as_ref())?;
            let socket = runtime.block_on(TcpListener::bind(address)).map_err(fails)?;
            let own = socket.local_addr().unwrap_or(address);
            let transport = if tls.is_some() { "tls" } else { "tcp" };
            log.info("syslog listens", &[("address", &own), ("transport", &transport)]);
            runtime.spawn(async move {
                if let Err(error) = syslog::tcp(socket, tls, allowed, intake, stop).await {
                    log.error("a listener ended", &[("address", &own), ("error", &error)]);
                }
            })
        }
    };
    Ok(task)
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::Message(format!("cannot listen on `{address}`: {error}"))
}

/// What a client of this machine connects to.
fn reachable(address: SocketAddr) -> SocketAddr {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn tls(settings: Option<&Tls>) -> Result<Option<Arc<rustls::ServerConfig>>, Failure> {
    let Some(settings) = settings else {
        return Ok(None);
    };
    let files = TlsFiles {
        certificate: settings.certificate.clone(),
        key: settings.key.clone(),
        client_authority: settings.client_ca.clone(),
    };
    files.load().map(Some).map_err(|error| failed(&error))
}

fn limits(settings: &Config) -> Limits {
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let mut limits = Limits::default();
    limits.body_bytes = size(settings.limits.body);
    limits.record_bytes = size(settings.limits.record);
    limits.in_flight_bytes = size(settings.limits.pending);
    limits.connections = settings.limits.connections;
    limits.hosts = settings.api.hosts.as_slice().into();
    limits
}
