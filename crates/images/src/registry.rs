//! Registries (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md>), read only.
//!
//! Tokens as <https://distribution.github.io/distribution/spec/auth/token/> says. A password goes to the registry and to the server that it names
//! for tokens, by no weaker connection than the registry's own; redirects, which lead to stores of blobs, never get one.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::{Response, StatusCode, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use crate::digest::Digest;
use crate::limits::{ImageError, Limits};
use crate::oci::{INDEXES, MANIFESTS};
use crate::reference::{DOCKER_HUB, Name};
use crate::source::Blob;
use crate::tree::small;

/// How often a request is tried.
const TRIES: u32 = 4;
/// The longest that a registry may ask to wait.
const LONGEST: Duration = Duration::from_secs(30);
/// How long a connection or the first byte of an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How to get into a registry.
#[derive(Clone, Default)]
pub struct Access {
    /// Who asks, and the password.
    pub credentials: Option<(String, String)>,
    /// Certificates of authorities in PEM, instead of those that the system trusts.
    pub authorities: Option<Vec<u8>>,
    /// Whether to speak without TLS.
    pub plain: bool,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Access")
            .field("plain", &self.plain)
            .finish_non_exhaustive()
    }
}

/// A repository of a registry.
#[derive(Debug)]
pub struct Registry {
    agent: Agent,
    name: Name,
    /// `https://host/v2/path`
    base: String,
    access: Access,
    /// What the last answer to a challenge was: the value of `Authorization`.
    authorization: Mutex<Option<String>>,
}

impl Registry {
    /// Prepares to ask; nothing is sent yet.
    ///
    /// # Errors
    /// When the authorities are no certificates, or the name has no registry.
    pub fn open(name: Name, access: Access) -> Result<Self, ImageError> {
        let Some((host, path)) = name.split() else {
            return Err(ImageError::Missing(format!("`{name}` names no registry")));
        };
        let host = if host == DOCKER_HUB.0 { DOCKER_HUB.1 } else { host };
        let roots = match &access.authorities {
            None => RootCerts::PlatformVerifier,
            Some(pem) => {
                let certificates: Vec<Certificate<'static>> = parse_pem(pem)
                    .filter_map(|item| match item {
                        Ok(PemItem::Certificate(certificate)) => Some(certificate),
                        _ => None,
                    })
                    .collect();
                if certificates.is_empty() {
                    return Err(ImageError::Registry(
                        "the file of authorities holds no certificate".to_owned(),
                    ));
                }
                RootCerts::Specific(Arc::new(certificates))
            }
        };
        let tls = TlsConfig::builder()
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(5)
            .https_only(!access.plain)
            .tls_config(tls)
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .user_agent(concat!("neph/", env!("CARGO_PKG_VERSION")))
            .build();
        let scheme = if access.plain { "http" } else { "https" };
        Ok(Self {
            base: format!("{scheme}://{host}/v2/{path}"),
            agent: agent.into(),
            access,
            authorization: Mutex::new(None),
            name,
        })
    }

    /// The image that was asked for.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// A manifest or an index by tag or digest.
    pub(crate) fn manifest(&self, reference: &str, limits: &Limits) -> Result<Vec<u8>, ImageError> {
        self.optional(reference, limits)?.ok_or_else(|| {
            ImageError::Missing(format!("the registry has no `{reference}` of `{}`", self.name))
        })
    }

    /// A manifest or an index, if there is one.
    pub(crate) fn optional(&self, reference: &str, limits: &Limits) -> Result<Option<Vec<u8>>, ImageError> {
        self.small(&format!("{}/manifests/{reference}", self.base), limits)
    }

    /// The index of what refers to a manifest, if the registry tells.
    pub(crate) fn referrers(&self, of: &Digest, limits: &Limits) -> Result<Option<Vec<u8>>, ImageError> {
        self.small(&format!("{}/referrers/{of}", self.base), limits)
    }

    /// Content by its digest; a connection that breaks is taken up again where it broke.
    pub(crate) fn blob(&self, blob: &Blob) -> Result<Box<dyn Read + Send + '_>, ImageError> {
        let Some(digest) = &blob.digest else {
            return Err(ImageError::Missing("the content has no digest".to_owned()));
        };
        let url = format!("{}/blobs/{digest}", self.base);
        let answer = self.get(&url, 0)?;
        match answer.status() {
            StatusCode::OK => Ok(Box::new(Resuming {
                registry: self,
                url,
                body: answer.into_body().into_reader(),
                at: 0,
                size: blob.size,
                tries: TRIES,
            })),
            StatusCode::NOT_FOUND => Err(ImageError::Missing(format!(
                "the registry does not have the content `{digest}`"
            ))),
            status => Err(self.refused(status, answer)),
        }
    }

    fn small(&self, url: &str, limits: &Limits) -> Result<Option<Vec<u8>>, ImageError> {
        let answer = self.get(url, 0)?;
        match answer.status() {
            StatusCode::OK => small(
                &format!("the answer of `{}`", self.host()),
                answer.into_body().into_reader(),
                limits,
            )
            .map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(self.refused(status, answer)),
        }
    }

    fn host(&self) -> &str {
        self.name.split().map_or("", |(host, _)| host)
    }

    fn refused(&self, status: StatusCode, answer: Response<Body>) -> ImageError {
        let mut start = String::new();
        // What cannot be read is left out; the status says enough.
        let _ = answer
            .into_body()
            .into_reader()
            .take(300)
            .read_to_string(&mut start);
        let said: String = start
            .chars()
            .filter(|character| !character.is_control())
            .collect();
        let help = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.access.credentials.is_none() => {
                "; it may want `--username`"
            }
            _ => "",
        };
        ImageError::Registry(format!(
            "the registry `{}` answers {status}{help}: {said}",
            self.host()
        ))
    }

    /// Asks, again where that can help, and with a token where one is wanted.
    fn get(&self, url: &str, from: u64) -> Result<Response<Body>, ImageError> {
        let mut wait = Duration::from_millis(250);
        let mut challenged = false;
        let mut tries = 0;
        loop {
            tries += 1;
            let mut request = self.agent.get(url);
            // In one header, as some proxies keep only the last of several.
            request = request.header("Accept", [MANIFESTS, INDEXES].concat().join(", "));
            if from > 0 {
                request = request.header("Range", format!("bytes={from}-"));
            }
            let authorization = self
                .authorization
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            if let Some(value) = authorization {
                request = request.header("Authorization", value);
            }
            let pause = match request.call() {
                Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED && !challenged => {
                    // A token may also have run out.
                    challenged = true;
                    tries -= 1;
                    let value = self.answer(&answer)?;
                    *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
                    continue;
                }
                Ok(answer)
                    if answer.status().is_server_error()
                        || answer.status() == StatusCode::TOO_MANY_REQUESTS =>
                {
                    let asked = answer
                        .headers()
                        .get("Retry-After")
                        .and_then(|value| value.to_str().ok());
                    let asked = asked
                        .and_then(|seconds| seconds.trim().parse().ok())
                        .map(Duration::from_secs);
                    if tries >= TRIES {
                        return Err(self.refused(answer.status(), answer));
                    }
                    asked.unwrap_or(wait).min(LONGEST)
                }
                Ok(answer) => return Ok(answer),
                Err(error) if tries >= TRIES || !is_passing(&error) => {
                    let host = self.host();
                    return Err(ImageError::Registry(format!(
                        "cannot ask the registry `{host}`: {error}"
                    )));
                }
                Err(_) => wait,
            };
            std::thread::sleep(pause);
            wait *= 2;
        }
    }

    /// The value of `Authorization` that a challenge asks for.
    fn answer(&self, answer: &Response<Body>) -> Result<String, ImageError> {
        use base64::Engine as _;

        let fail = |why: String| {
            ImageError::Registry(format!("the registry `{}` wants credentials: {why}", self.host()))
        };
        let basic = self.access.credentials.as_ref().map(|(user, password)| {
            let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            format!("Basic {encoded}")
        });
        let challenges: Vec<&str> = answer
            .headers()
            .get_all("WWW-Authenticate")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let bearer = challenges.iter().find_map(|text| strip_word(text, "bearer"));
        let Some(parameters) = bearer else {
            return match challenges.iter().any(|text| strip_word(text, "basic").is_some()) {
                true => basic.ok_or_else(|| fail("give `--username`".to_owned())),
                false => Err(fail("it does not say which".to_owned())),
            };
        };
        let parameter = |name: &str| parameter(parameters, name);
        let realm = parameter("realm").ok_or_else(|| fail("it names no server for tokens".to_owned()))?;
        let uri: Uri = realm
            .parse()
            .map_err(|_| fail(format!("`{realm}` is no address")))?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if self.access.plain => {}
            _ => {
                return Err(fail(format!(
                    "its server for tokens, `{realm}`, is not reached by TLS"
                )));
            }
        }
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let path = self.name.split().map_or("", |(_, path)| path);
        let scope = parameter("scope").unwrap_or_else(|| format!("repository:{path}:pull"));
        let mut url = format!(
            "{realm}{}scope={}",
            if realm.contains('?') { '&' } else { '?' },
            encode(&scope)
        );
        if let Some(service) = parameter("service") {
            url.push_str(&format!("&service={}", encode(&service)));
        }
        let mut request = self.agent.get(url.as_str());
        if let Some(basic) = basic {
            request = request.header("Authorization", basic);
        }
        let answer = request
            .call()
            .map_err(|error| fail(format!("`{realm}` does not answer: {error}")))?;
        if answer.status() != StatusCode::OK {
            return Err(fail(format!("`{realm}` answers {}", answer.status())));
        }
        let mut bytes = Vec::new();
        let read = answer
            .into_body()
            .into_reader()
            .take(1 << 20)
            .read_to_end(&mut bytes);
        read.map_err(|error| fail(format!("`{realm}` does not answer: {error}")))?;
        let token: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let token = token
            .get("token")
            .or(token.get("access_token"))
            .and_then(serde_json::Value::as_str);
        match token {
            Some(token) => Ok(format!("Bearer {token}")),
            None => Err(fail(format!("`{realm}` gives no token"))),
        }
    }
}

/// Whether trying again can help.
fn is_passing(error: &ureq::Error) -> bool {
    matches!(
        error,
        ureq::Error::Io(_)
            | ureq::Error::Timeout(_)
            | ureq::Error::ConnectionFailed
            | ureq::Error::Protocol(_)
    )
}

/// What follows the word that a challenge begins with.
fn strip_word<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let (first, rest) = text.trim_start().split_at_checked(word.len())?;
    (first.eq_ignore_ascii_case(word) && (rest.is_empty() || rest.starts_with(' '))).then_some(rest)
}

/// A parameter of a challenge (RFC 9110, 11.2), in quotes or not.
fn parameter(text: &str, name: &str) -> Option<String> {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        let (key, behind) = rest.split_once('=')?;
        let (value, after) = match behind.strip_prefix('"') {
            Some(quoted) => {
                let mut value = String::new();
                let mut characters = quoted.char_indices();
                let end = loop {
                    match characters.next()? {
                        (_, '\\') => value.push(characters.next()?.1),
                        (at, '"') => break at + 1,
                        (_, other) => value.push(other),
                    }
                };
                (value, quoted.split_at_checked(end)?.1)
            }
            None => {
                let end = behind.find([',', ' ']).unwrap_or(behind.len());
                let (value, after) = behind.split_at_checked(end)?;
                (value.to_owned(), after)
            }
        };
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = after;
    }
}

/// A blob that is asked for again from where the connection broke.
struct Resuming<'r> {
    registry: &'r Registry,
    url: String,
    body: ureq::BodyReader<'static>,
    at: u64,
    size: Option<u64>,
    tries: u32,
}

impl Resuming<'_> {
    fn again(&mut self) -> io::Result<()> {
        let failed = |error: ImageError| io::Error::other(error.to_string());
        let answer = self.registry.get(&self.url, self.at).map_err(failed)?;
        let status = answer.status();
        let mut body = answer.into_body().into_reader();
        match status {
            StatusCode::PARTIAL_CONTENT => {}
            // It begins from the beginning.
            StatusCode::OK => {
                io::copy(&mut (&mut body).take(self.at), &mut io::sink())?;
            }
            status => return Err(io::Error::other(format!("the registry answers {status}"))),
        }
        self.body = body;
        Ok(())
    }
}

impl Read for Resuming<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let why = match self.body.read(into) {
                Ok(0) if !into.is_empty() && self.size.is_some_and(|size| self.at < size) => {
                    io::Error::from(io::ErrorKind::UnexpectedEof)
                }
                Ok(count) => {
                    self.at += count as u64;
                    return Ok(count);
                }
                Err(error) => error,
            };
            if self.tries == 0 {
                return Err(why);
            }
            self.tries -= 1;
            self.again()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let text = r#"Bearer realm="https://auth.example/token?a=b",service="registry, \"x\"", scope=pull"#;
        let rest = strip_word(text, "bearer").unwrap();
        assert_eq!(
            parameter(rest, "realm").unwrap(),
            "https://auth.example/token?a=b"
        );
        assert_eq!(parameter(rest, "service").unwrap(), "registry, \"x\"");
        assert_eq!(parameter(rest, "scope").unwrap(), "pull");
        assert_eq!(parameter(rest, "error"), None);
        assert_eq!(parameter(" realm=\"unclosed", "realm"), None);
        assert_eq!(strip_word("Basic", "basic"), Some(""));
        assert_eq!(strip_word("Basically", "basic"), None);
    }
}
