//! Requests to receivers over HTTP. Redirects are not followed, so that nothing is told to whom it was not meant for.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use neph_config::Secret;
use ureq::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use ureq::http::{HeaderName, HeaderValue, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::pause::retry_after;
use crate::{OpenError, Outcome, tls};

/// The header whose value is the same for the same message however often it is sent
/// (<https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header>).
pub(crate) const KEY: &str = "Idempotency-Key";
/// How hard bodies are compressed: the least, which takes a few milliseconds for a megabyte.
const LEVEL: i32 = 1;
/// How many times shorter a body may become.
const RATIO: usize = 100;
/// Characters of an answer that an error quotes.
const QUOTED: usize = 200;

/// A receiver.
pub(crate) struct Receiver {
    agent: ureq::Agent,
    url: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What no error may quote.
    secrets: Vec<String>,
    /// The largest answer that is read, in bytes; what is behind is left.
    answer: u64,
}

/// What a receiver answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) after: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

impl Receiver {
    pub(crate) fn new<'a>(
        url: &str,
        headers: impl IntoIterator<Item = (&'a String, &'a String)>,
        authorization: Option<&Secret>,
        authorities: Option<&Path>,
        timeout: Duration,
        answer: u64,
    ) -> Result<Self, OpenError> {
        let mut secrets = Vec::new();
        let mut named = Vec::new();
        for (name, value) in headers {
            named.push((header_name(name)?, header_value(name, value)?));
            // Some receivers take their tokens in headers of their own.
            secrets.push(value.clone());
        }
        if let Some(secret) = authorization {
            let value = secret.read()?;
            let mut header = header_value("Authorization", &value)?;
            header.set_sensitive(true);
            named.push((AUTHORIZATION, header));
            secrets.extend(value.split(' ').map(str::to_owned));
        }
        let url = parse_url(url)?;
        // Paths of webhooks are secrets, too.
        secrets.extend(url.path().split('/').map(str::to_owned));
        secrets.extend(url.query().map(str::to_owned));
        secrets.retain(|secret| secret.len() >= 8);
        let roots = match authorities {
            None => RootCerts::PlatformVerifier,
            Some(path) => {
                let found = tls::authorities(path)?;
                let found = found.iter().map(|der| Certificate::from_der(der).to_owned());
                RootCerts::Specific(Arc::new(found.collect()))
            }
        };
        let tls = TlsConfig::builder()
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .tls_config(tls)
            .timeout_global(Some(timeout))
            .user_agent(concat!("neph/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self {
            agent: agent.into(),
            url,
            headers: named,
            secrets,
            answer,
        })
    }

    /// Posts a body. What keeps it from being answered is to be tried again.
    pub(crate) fn post(&self, content_type: &str, key: Option<&str>, body: &[u8]) -> Result<Answer, Outcome> {
        self.send(content_type, key, None, body)
    }

    /// Sends a body compressed by zstd (RFC 8878), to a receiver that is known to take that.
    pub(crate) fn post_packed(&self, content_type: &str, body: &[u8]) -> Result<Answer, Outcome> {
        match zstd::bulk::compress(body, LEVEL) {
            // What becomes very long again looks like an attack to who unpacks it.
            Ok(packed) if body.len() / RATIO <= packed.len() => {
                self.send(content_type, None, Some("zstd"), &packed)
            }
            _ => self.send(content_type, None, None, body),
        }
    }

    fn send(
        &self,
        content_type: &str,
        key: Option<&str>,
        encoding: Option<&str>,
        body: &[u8],
    ) -> Result<Answer, Outcome> {
        let mut request = self.agent.post(&self.url);
        if let Some(encoding) = encoding {
            request = request.header(CONTENT_ENCODING, encoding);
        }
        if !self.headers.iter().any(|(name, _)| *name == CONTENT_TYPE) {
            request = request.header(CONTENT_TYPE, content_type);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(key) = key {
            request = request.header(KEY, key);
        }
        let mut answer = request.send(body).map_err(|error| self.unanswered(&error))?;
        let header = answer.headers().get("Retry-After");
        let after = header
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after(value, SystemTime::now()));
        let mut read = Vec::new();
        let status = answer.status().as_u16();
        // What was taken is taken, also where the rest of the answer does not come.
        if let Err(error) = answer
            .body_mut()
            .as_reader()
            .take(self.answer)
            .read_to_end(&mut read)
            && !(200..300).contains(&status)
        {
            let why = format!("status {status}, and the rest of the answer did not come: {error}");
            return Err(Outcome::later(self.harmless(&why)));
        }
        Ok(Answer {
            status,
            after,
            body: read,
        })
    }

    fn unanswered(&self, error: &ureq::Error) -> Outcome {
        let host = self.url.host().unwrap_or_default();
        let why = match error {
            ureq::Error::Timeout(_) => "no answer in time".to_owned(),
            ureq::Error::HostNotFound => "no address is known of it".to_owned(),
            other => other.to_string(),
        };
        Outcome::later(self.harmless(&format!("cannot reach `{host}`: {why}")))
    }

    /// What a status says that is no success; `what` quotes the answer.
    pub(crate) fn refused(&self, answer: &Answer) -> Outcome {
        let quoted: String = String::from_utf8_lossy(&answer.body)
            .chars()
            .map(|character| if character.is_control() { ' ' } else { character })
            .take(QUOTED)
            .collect();
        let quoted = quoted.trim();
        let mut why = format!("status {}", answer.status);
        if (300..400).contains(&answer.status) {
            why.push_str(", which sends elsewhere; redirects are not followed");
        } else if !quoted.is_empty() {
            why.push_str(&format!(": {quoted}"));
        }
        let why = self.harmless(&why);
        match is_for_ever(answer.status) {
            true => Outcome::Never { why },
            false => Outcome::Later {
                why,
                // Too many requests: the others would be, too.
                after: answer.after.or((answer.status == 429).then_some(Duration::ZERO)),
            },
        }
    }

    /// The text without any secret of this receiver.
    pub(crate) fn harmless(&self, text: &str) -> String {
        self.secrets
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "…"))
    }
}

/// Whether a status speaks of the message, so that sending it again cannot help. What credentials, addresses and limits are about
/// (RFC 9110, 15.5) can be mended at the receiver or in the configuration, and is tried again.
fn is_for_ever(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 401..=404 | 407..=410 | 421 | 423..=425 | 429)
}

/// A URL of HTTP.
pub(crate) fn parse_url(text: &str) -> Result<Uri, OpenError> {
    let invalid = |why: &str| OpenError::Invalid(format!("the URL cannot be used: {why}"));
    let url: Uri = text
        .parse()
        .map_err(|error: ureq::http::uri::InvalidUri| invalid(&error.to_string()))?;
    match (url.scheme_str(), url.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(url),
        _ => Err(invalid(
            "it must begin with `http://` or `https://` and name a host",
        )),
    }
}

/// The name of a header.
pub(crate) fn header_name(name: &str) -> Result<HeaderName, OpenError> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| OpenError::Invalid(format!("`{name}` is not the name of a header")))
}

/// The value of a header, which is not quoted: it may be secret.
pub(crate) fn header_value(name: &str, value: &str) -> Result<HeaderValue, OpenError> {
    HeaderValue::from_str(value).map_err(|_| {
        OpenError::Invalid(format!(
            "the value of the header `{name}` has characters that no header may have"
        ))
    })
}
