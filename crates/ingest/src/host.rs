//! The name by which a listener is asked.
//!
//! A page of another site can let its name lead to 127.0.0.1, and is then of the same origin as whatever listens there (DNS
//! rebinding). Its requests carry its name, so a listener that only this machine reaches takes requests by address, as
//! `localhost`, and by names that it was given. <https://www.rfc-editor.org/rfc/rfc9110#section-7.4>

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::uri::Authority;
use axum::http::{Request, Response, StatusCode, header};

/// The names that a listener answers to.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// Names beside addresses and `localhost`; nothing where any name will do.
    known: Option<Arc<[String]>>,
}

/// Why a request is not answered.
#[derive(Debug, PartialEq, Eq)]
enum Misdirected {
    /// It states no name, or two.
    Malformed,
    /// It is for somebody else.
    Other(String),
}

impl Names {
    /// The names of a listener: all where others reach it and nobody gave any.
    pub(crate) fn new(is_loopback: bool, given: &Arc<[String]>) -> Self {
        Self {
            known: (is_loopback || !given.is_empty()).then(|| Arc::clone(given)),
        }
    }

    /// The answer to a request that is for somebody else.
    pub(crate) fn refuse<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        let (status, error) = match self.look(request)? {
            Misdirected::Malformed => (
                StatusCode::BAD_REQUEST,
                "the request must name one host".to_owned(),
            ),
            Misdirected::Other(name) => (
                StatusCode::MISDIRECTED_REQUEST,
                format!(
                    "this service is not `{name}`; names that it answers to stand in `api.hosts` of the configuration"
                ),
            ),
        };
        let mut response = Response::new(Body::from(serde_json::json!({ "error": error }).to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        // What nobody read of a body stands in the way of the next request of the connection.
        for (name, value) in [
            (header::CONTENT_TYPE, "application/json"),
            (header::CONNECTION, "close"),
        ] {
            headers.insert(name, axum::http::HeaderValue::from_static(value));
        }
        Some(response)
    }

    fn look<B>(&self, request: &Request<B>) -> Option<Misdirected> {
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let host = hosts.next();
        if hosts.next().is_some() {
            return Some(Misdirected::Malformed);
        }
        let known = self.known.as_ref()?;
        let stated = host.map(|host| host.to_str().ok()?.parse::<Authority>().ok());
        let asked = request.uri().authority().cloned().map(Some);
        // Who states no name at all is no browser.
        for authority in [stated, asked].into_iter().flatten() {
            let Some(authority) = authority.filter(is_host_and_port) else {
                return Some(Misdirected::Malformed);
            };
            let name = authority.host().to_ascii_lowercase();
            if !is_of_this_machine(&name) && !known.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
                return Some(Misdirected::Other(name));
            }
        }
        None
    }
}

/// Whether there is nothing but a host and a port, if any.
fn is_host_and_port(authority: &Authority) -> bool {
    let rest = authority.as_str().strip_prefix(authority.host());
    rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with(':') && authority.port_u16().is_some()))
}

/// An address, which nobody can let lead elsewhere, or a name that always leads to the machine itself.
/// <https://www.rfc-editor.org/rfc/rfc6761#section-6.3>
fn is_of_this_machine(name: &str) -> bool {
    let bare = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(name);
    bare.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(names: &Names, uri: &str, hosts: &[&str]) -> Option<u16> {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header("host", *host);
        }
        let refused = names.refuse(&request.body(()).unwrap())?;
        Some(refused.status().as_u16())
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused_on_loopback() {
        let given: Arc<[String]> = Arc::new(["Neph.example".to_owned()]);
        let names = Names::new(true, &given);
        for host in [
            "127.0.0.1:9470",
            "localhost",
            "LOCALHOST:1",
            "a.localhost",
            "[::1]:9470",
            "192.0.2.1",
            "neph.EXAMPLE:443",
        ] {
            assert_eq!(ask(&names, "/", &[host]), None, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9470",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost.",
            "notlocalhost",
        ] {
            assert_eq!(ask(&names, "/", &[host]), Some(421), "{host}");
        }
        for hosts in [
            &["", "localhost"][..],
            &["localhost", "localhost"],
            &["a@localhost"],
            &["[::1].evil.example"],
            &["a b"],
            &[""],
        ] {
            assert_eq!(ask(&names, "/", hosts), Some(400), "{hosts:?}");
        }
        assert_eq!(ask(&names, "http://evil.example/", &["localhost"]), Some(421));
        assert_eq!(ask(&names, "/", &[]), None);
    }

    #[test]
    fn any_name_will_do_where_others_reach_the_listener() {
        let none: Arc<[String]> = Arc::new([]);
        let open = Names::new(false, &none);
        assert_eq!(ask(&open, "/", &["neph.example"]), None);
        assert_eq!(ask(&open, "/", &["a", "b"]), Some(400));
        let given: Arc<[String]> = Arc::new(["neph.example".to_owned()]);
        let named = Names::new(false, &given);
        assert_eq!(ask(&named, "/", &["neph.example"]), None);
        assert_eq!(ask(&named, "/", &["other.example"]), Some(421));
    }
}
