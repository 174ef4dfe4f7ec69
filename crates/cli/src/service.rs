//! The service from outside: its data folder, and its API for commands that work on one that runs.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use neph_config::Config;
use neph_event::Instant;
use serde_json::Value;

use crate::config;
use crate::exit::Failure;
use crate::terminal::Terminal;

/// The file of the data folder that holds the token of the first start.
pub(crate) const TOKEN: &str = "token";
/// The file of the data folder that says where the service that runs is reached.
pub(crate) const ADDRESS: &str = "address";
/// How long an answer may take, by default.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which service.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Service")]
pub(crate) struct ServiceArgs {
    /// The data folder of the service. [default: that of the configuration, else /var/lib/neph for root, else neph in the user's data folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The configuration that names the data folder. [default: neph.toml here, else /etc/neph/neph.toml, if there]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A service that runs elsewhere; its token is that of NEPH_TOKEN or --token-file.
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// The file that holds the token.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

impl ServiceArgs {
    /// The data folder.
    pub(crate) fn data(&self) -> Result<PathBuf, Failure> {
        if let Some(data) = &self.data {
            return Ok(data.clone());
        }
        let configured = match self.config.clone().or_else(config::usual) {
            Some(path) => config::load(&path)?.config.and_then(|config| config.data),
            None => None,
        };
        configured.map_or_else(default_data, Ok)
    }

    /// The configuration of the service; what counts without one where there is none.
    pub(crate) fn settings(&self, terminal: &Terminal) -> Result<Config, Failure> {
        let Some(path) = self.config.clone().or_else(config::usual) else {
            return Ok(Config::default());
        };
        let loaded = config::load(&path)?;
        loaded.show(terminal);
        loaded
            .config
            .ok_or_else(|| Failure::Message(format!("the configuration `{}` has mistakes", path.display())))
    }

    /// The API of the service: of the one named, else of the one that runs on the data folder.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let (base, data) = match &self.server {
            Some(server) => (server.trim_end_matches('/').to_owned(), None),
            None => {
                let data = self.data()?;
                let path = data.join(ADDRESS);
                let address = std::fs::read_to_string(&path).map_err(|_| {
                    Failure::Message(format!(
                        "no service runs on `{}`; `neph serve` starts one, --server names another",
                        data.display()
                    ))
                })?;
                (address.trim().to_owned(), Some(data))
            }
        };
        let token = self.token(data.as_deref())?;
        // The authorities are those that the system trusts.
        let tls = ureq::tls::TlsConfig::builder()
            .root_certs(ureq::tls::RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(tls)
            .timeout_global(Some(PATIENCE))
            .build();
        Ok(Client {
            base,
            token,
            agent: agent.into(),
        })
    }

    fn token(&self, data: Option<&Path>) -> Result<String, Failure> {
        let path = match (&self.token_file, std::env::var("NEPH_TOKEN"), data) {
            (Some(path), ..) => path.clone(),
            (None, Ok(token), _) if !token.trim().is_empty() => return Ok(token.trim().to_owned()),
            (None, _, Some(data)) => data.join(TOKEN),
            (None, _, None) => {
                return Err(Failure::Message(
                    "a token is needed: set NEPH_TOKEN, or name its file with --token-file".into(),
                ));
            }
        };
        let text = std::fs::read_to_string(&path).map_err(|source| Failure::Read {
            path: path.display().to_string(),
            source,
        })?;
        Ok(text.trim().to_owned())
    }
}

/// Which stretch of time.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Span {
    /// Events of so long a time before now (`7d`, `24h`), or since a weekday, a day or a time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub(crate) last: Option<String>,
}

impl Span {
    /// From then to now; seven days where nothing is said.
    pub(crate) fn range(&self) -> Result<Range<Instant>, Failure> {
        let now = neph_api::now();
        let text = self.last.as_deref().unwrap_or("7d");
        let from = neph_api::parse_when(text, now, &TimeZone::system()).filter(|from| *from < now);
        match from {
            Some(from) => Ok(from..now),
            None => Err(Failure::Message(format!(
                "`{text}` is no time gone by; write `7d`, a weekday, a day, or RFC 3339"
            ))),
        }
    }
}

/// Where the data are when nothing says it.
fn default_data() -> Result<PathBuf, Failure> {
    #[cfg(unix)]
    if std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        return Ok("/var/lib/neph".into());
    }
    let folder = |name: &str| {
        std::env::var_os(name)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    };
    let folder = folder("XDG_DATA_HOME")
        .or_else(|| Some(folder("HOME")?.join(".local/share")))
        .or_else(|| folder("LOCALAPPDATA"));
    match folder {
        Some(folder) => Ok(folder.join("neph")),
        None => Err(Failure::Message(
            "no data folder is known; name one with --data".into(),
        )),
    }
}

/// Asks a service.
pub(crate) struct Client {
    pub(crate) base: String,
    token: String,
    agent: ureq::Agent,
}

impl Client {
    pub(crate) fn get(&self, path: &str) -> Result<Value, Failure> {
        let request = self
            .agent
            .get(format!("{}{path}", self.base))
            .header("Authorization", format!("Bearer {}", self.token));
        self.read(request.call())
    }

    pub(crate) fn delete(&self, path: &str) -> Result<Value, Failure> {
        let request = self
            .agent
            .delete(format!("{}{path}", self.base))
            .header("Authorization", format!("Bearer {}", self.token));
        self.read(request.call())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("Authorization", format!("Bearer {}", self.token))
            .content_type("application/json");
        self.read(request.send(body.to_string()))
    }

    fn read(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, Failure> {
        let mut answer = answer.map_err(|error| {
            Failure::Message(format!("the service at `{}` does not answer: {error}", self.base))
        })?;
        let text = answer
            .body_mut()
            .with_config()
            .limit(1 << 30)
            .read_to_string()
            .map_err(|error| Failure::Message(format!("the service's answer cannot be read: {error}")))?;
        let value: Value = serde_json::from_str(&text)
            .map_err(|_| Failure::Message(format!("what answers at `{}` is no neph service", self.base)))?;
        if answer.status().is_success() {
            return Ok(value);
        }
        let detail = value
            .get("detail")
            .and_then(Value::as_str)
            .unwrap_or("the request was refused");
        Err(Failure::Message(detail.to_owned()))
    }
}

/// A part of a path as a URL has it.
pub(crate) fn escape(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    part.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}
