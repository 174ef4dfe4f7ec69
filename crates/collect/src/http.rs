//! Requests, asked again where that may help. Redirects are not followed, so that credentials go only to whom they are meant for.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use ureq::http::{HeaderMap, Request, Response};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use crate::Settings;
use crate::pace::{Paces, pause, retry_after};
use crate::problem::{Problem, quoted};

/// Larger answers are refused; a page of any of these interfaces is far smaller.
const MAX_ANSWER: u64 = 512 << 20;
/// Connecting takes no longer than this.
const CONNECT: Duration = Duration::from_secs(10);

/// What a server is trusted by, and how it knows us.
#[derive(Default)]
pub(crate) struct Trust {
    /// PEM of the authorities; without it those of the system.
    pub(crate) authorities: Option<Vec<u8>>,
    /// PEM of our certificates and their key.
    pub(crate) client: Option<(Vec<u8>, Vec<u8>)>,
    /// The server's certificate is not looked at, as the user asked for.
    pub(crate) is_blind: bool,
}

/// Asks servers.
pub(crate) struct Client {
    agent: ureq::Agent,
    tries: u32,
    paces: Paces,
    /// What no message may quote.
    secrets: Mutex<Vec<String>>,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// What an answer means.
#[derive(Debug)]
pub(crate) enum Meaning {
    /// It is one.
    Fine,
    /// Too many requests; asked again, and slower.
    Throttled(String),
    /// Something passes by; asked again.
    Later(String),
    /// Asking again does not help.
    Never(Problem),
}

impl Client {
    /// A client for servers that are trusted in the same way.
    pub(crate) fn new(settings: &Settings, trust: &Trust) -> Result<Self, Problem> {
        let config = config(settings, trust)?;
        Ok(Self::of(settings, config.into()))
    }

    /// A client whose requests all go to a socket of this machine.
    #[cfg(unix)]
    pub(crate) fn over_socket(settings: &Settings, path: &Path) -> Self {
        let config = base(settings).proxy(None).build();
        Self::of(settings, neph_socket::agent(config, path).0)
    }

    fn of(settings: &Settings, agent: ureq::Agent) -> Self {
        Self {
            agent,
            tries: settings.tries.max(1),
            paces: Paces::new(settings.rate),
            secrets: Mutex::default(),
        }
    }

    /// From now on no message quotes this.
    pub(crate) fn hide(&self, secret: &str) {
        if secret.len() >= 4 {
            self.secrets
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(secret.to_owned());
        }
    }

    /// Asks until there is an answer or it is clear that there will be none. `request` makes the request anew for each try, so that it
    /// can be signed anew; requests of one `lane` are spaced together.
    pub(crate) fn ask(
        &self,
        lane: &str,
        request: &dyn Fn() -> Result<Request<Vec<u8>>, Problem>,
        meaning: &dyn Fn(&Reply) -> Meaning,
    ) -> Result<Reply, Problem> {
        let mut failures = 0;
        loop {
            self.paces.wait(lane);
            let request = request()?;
            let (what, is_throttled, asked) = match self.once(request)? {
                Err(what) => (what, false, None),
                Ok(reply) => match meaning(&reply) {
                    Meaning::Fine => {
                        self.paces.faster(lane);
                        return Ok(reply);
                    }
                    Meaning::Never(problem) => return Err(self.harmless(problem)),
                    Meaning::Throttled(what) => (what, true, reply.retry_after()),
                    Meaning::Later(what) => (what, false, reply.retry_after()),
                },
            };
            failures += 1;
            if is_throttled {
                self.paces.slower(lane);
            }
            if failures >= self.tries {
                let tries = failures;
                return Err(self.harmless(match is_throttled {
                    true => Problem::Throttled { tries, what },
                    false => Problem::Unanswered { tries, what },
                }));
            }
            std::thread::sleep(pause(failures, asked));
        }
    }

    /// Asks for JSON, with the meaning that statuses usually have.
    pub(crate) fn json(
        &self,
        lane: &str,
        request: &dyn Fn() -> Result<Request<Vec<u8>>, Problem>,
    ) -> Result<Value, Problem> {
        let reply = self.ask(lane, request, &usual)?;
        reply.json()
    }

    /// One request. The inner error may pass by, the outer one does not.
    fn once(&self, request: Request<Vec<u8>>) -> Result<Result<Reply, String>, Problem> {
        let answer = match self.agent.run(request) {
            Ok(answer) => answer,
            Err(error) => return unanswered(&error).map(Err),
        };
        let (parts, mut body): (_, ureq::Body) = Response::into_parts(answer);
        match body.with_config().limit(MAX_ANSWER).read_to_vec() {
            Ok(body) => Ok(Ok(Reply {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body,
            })),
            Err(ureq::Error::BodyExceedsLimit(_)) => Err(Problem::Answer(format!(
                "it is larger than {} MiB",
                MAX_ANSWER >> 20
            ))),
            Err(error) => Ok(Err(format!(
                "the answer ended early: {}",
                quoted(&error.to_string())
            ))),
        }
    }

    /// The problem without any secret of ours.
    fn harmless(&self, problem: Problem) -> Problem {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let clean = |text: String| {
            let text = quoted(&text);
            secrets
                .iter()
                .fold(text, |text, secret| text.replace(secret.as_str(), "…"))
        };
        match problem {
            Problem::Denied(what) => Problem::Denied(clean(what)),
            Problem::Absent(what) => Problem::Absent(clean(what)),
            Problem::Throttled { tries, what } => Problem::Throttled {
                tries,
                what: clean(what),
            },
            Problem::Unanswered { tries, what } => Problem::Unanswered {
                tries,
                what: clean(what),
            },
            Problem::Refused(what) => Problem::Refused(clean(what)),
            Problem::Answer(what) => Problem::Answer(clean(what)),
            other => other,
        }
    }
}

/// What cannot get better by itself is the outer error.
fn unanswered(error: &ureq::Error) -> Result<String, Problem> {
    match error {
        ureq::Error::Timeout(_) => Ok("no answer in time".to_owned()),
        ureq::Error::HostNotFound => Ok("no address is known of the server".to_owned()),
        ureq::Error::BadUri(what) => Err(Problem::Refused(format!(
            "the address cannot be used: {}",
            quoted(what)
        ))),
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(Problem::Denied(quoted(&error.to_string())))
        }
        // A certificate that is not trusted will not be trusted in a second.
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) | ureq::Error::Pem(_) => Err(Problem::Refused(format!(
            "no secure connection: {}",
            quoted(&error.to_string())
        ))),
        ureq::Error::Io(inner) if inner.to_string().contains("certificate") => Err(Problem::Refused(
            format!("no secure connection: {}", quoted(&error.to_string())),
        )),
        other => Ok(quoted(&other.to_string())),
    }
}

impl Reply {
    fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get("Retry-After")?.to_str().ok()?;
        retry_after(value, SystemTime::now())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Value, Problem> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Problem::Answer(format!("it is not JSON: {error}")))
    }

    /// What an error says: the usual places in JSON, else the beginning of the text.
    pub(crate) fn said(&self) -> String {
        let places = [
            "/error/message",
            "/error_description",
            "/message",
            "/Message",
            "/error",
            "/badRequest/message",
            "/forbidden/message",
        ];
        let value = serde_json::from_slice::<Value>(&self.body).ok();
        let found = value.as_ref().and_then(|value| {
            places
                .iter()
                .find_map(|place| value.pointer(place).and_then(Value::as_str))
        });
        let said = match found {
            Some(text) => quoted(text),
            None => quoted(&String::from_utf8_lossy(
                self.body.get(..4096).unwrap_or(&self.body),
            )),
        };
        match said.as_str() {
            "" => format!("status {}", self.status),
            said => format!("status {}: {said}", self.status),
        }
    }
}

/// What statuses mean where an interface says nothing else.
pub(crate) fn usual(reply: &Reply) -> Meaning {
    match reply.status {
        200..=299 => Meaning::Fine,
        429 => Meaning::Throttled(reply.said()),
        408 | 425 | 500 | 502..=504 => Meaning::Later(reply.said()),
        401 | 403 => Meaning::Never(Problem::Denied(reply.said())),
        404 | 410 => Meaning::Never(Problem::Absent(reply.said())),
        300..=399 => Meaning::Never(Problem::Refused(format!(
            "{}, which sends elsewhere; redirects are not followed",
            reply.said()
        ))),
        _ => Meaning::Never(Problem::Refused(reply.said())),
    }
}

/// A request that asks for something.
pub(crate) fn get(url: &str, headers: &[(&str, &str)]) -> Result<Request<Vec<u8>>, Problem> {
    finish(Request::get(url), headers, Vec::new())
}

/// A request with a body.
pub(crate) fn post(url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Result<Request<Vec<u8>>, Problem> {
    finish(Request::post(url), headers, body)
}

fn finish(
    mut request: ureq::http::request::Builder,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<Request<Vec<u8>>, Problem> {
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
        .body(body)
        .map_err(|error| Problem::Refused(format!("the address cannot be used: {error}")))
}

fn base(settings: &Settings) -> ureq::config::ConfigBuilder<ureq::typestate::AgentScope> {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(settings.timeout))
        .timeout_connect(Some(CONNECT.min(settings.timeout)))
        .max_idle_connections_per_host(settings.jobs.max(1))
        .user_agent(concat!("neph/", env!("CARGO_PKG_VERSION")))
}

fn config(settings: &Settings, trust: &Trust) -> Result<ureq::config::Config, Problem> {
    let wrong = |what: &str, error: &dyn std::fmt::Display| Problem::Unreadable(format!("{what}: {error}"));
    let roots = match &trust.authorities {
        None => RootCerts::PlatformVerifier,
        Some(pem) => {
            let found =
                certificates(pem).map_err(|error| wrong("the certificates of the authorities", &error))?;
            RootCerts::Specific(Arc::new(found))
        }
    };
    let client = match &trust.client {
        None => None,
        Some((chain, key)) => {
            let chain = certificates(chain).map_err(|error| wrong("our certificate", &error))?;
            let key =
                PrivateKey::from_pem(key).map_err(|error| wrong("the key of our certificate", &error))?;
            Some(ClientCert::new_with_certs(&chain, key))
        }
    };
    let tls = TlsConfig::builder()
        .root_certs(roots)
        .client_cert(client)
        .disable_verification(trust.is_blind)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    Ok(base(settings).tls_config(tls).build())
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, String> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let found: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{error:?}"))?;
    match found.is_empty() {
        true => Err("there are none".to_owned()),
        false => Ok(found
            .iter()
            .map(|der| Certificate::from_der(der).to_owned())
            .collect()),
    }
}

/// A file that configuration names.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Problem> {
    std::fs::read(path).map_err(|error| Problem::Unreadable(format!("`{}`: {error}", path.display())))
}
