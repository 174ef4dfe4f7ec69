//! Tells the service manager how it goes (<https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>): a datagram to
//! the socket that it names.

use std::time::Duration;

/// The service manager, if there is one that wants to know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manager {
    socket: Option<String>,
    /// How often it wants to hear that the service is alive.
    watchdog: Option<Duration>,
}

impl Manager {
    /// From the environment.
    pub(crate) fn of_environment() -> Self {
        let own = |pid: String| pid.parse() == Ok(std::process::id());
        let meant = std::env::var("WATCHDOG_PID").map_or(true, own);
        let micros = std::env::var("WATCHDOG_USEC")
            .ok()
            .and_then(|text| text.parse().ok());
        Self {
            socket: std::env::var("NOTIFY_SOCKET")
                .ok()
                .filter(|path| !path.is_empty()),
            watchdog: micros.filter(|_| meant).map(Duration::from_micros),
        }
    }

    /// How often [`Manager::alive`] is to be called: twice within the time that the manager waits.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.watchdog.map(|time| time / 2)
    }

    pub(crate) fn ready(&self) {
        self.tell("READY=1\n");
    }

    pub(crate) fn alive(&self) {
        self.tell("WATCHDOG=1\n");
    }

    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1\n");
    }

    /// Nothing depends on whether it is heard.
    #[cfg(target_os = "linux")]
    fn tell(&self, message: &str) {
        use std::os::linux::net::SocketAddrExt as _;
        use std::os::unix::net::{SocketAddr, UnixDatagram};

        let Some(path) = &self.socket else { return };
        let address = match path.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(path),
        };
        if let (Ok(address), Ok(socket)) = (address, UnixDatagram::unbound()) {
            let _ = socket.send_to_addr(message.as_bytes(), &address);
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn tell(&self, _message: &str) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let manager = Manager {
            socket: Some(path.display().to_string()),
            watchdog: Some(Duration::from_secs(30)),
        };
        manager.ready();
        let mut heard = [0; 64];
        let length = socket.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"READY=1\n");
        assert_eq!(manager.pause(), Some(Duration::from_secs(15)));
        Manager::default().ready();
    }
}
