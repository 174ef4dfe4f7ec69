//! The console: the pages that analysts work with, served from the binary itself, and reports of alerts that can be handed on.
//!
//! The files under `assets` are the sources and what browsers get, word by word: plain ES modules, one style sheet, and one vendored
//! library (`assets/vendor/README.md`). A release binary carries them; a debug build reads them from the checkout, so that a change shows after
//! a reload of the page.
//!
//! - [`attach`]: puts the console into the service's router.
//! - [`report`], [`incident_report`]: an alert, and an incident, as a page of HTML that stands alone.
//!
//! **Architecture invariant:** pages use nothing but the API of the service, so whatever they do, commands can do. **Architecture
//! invariant:** nothing is asked of another host, and no text of an alert ever becomes markup or script.

mod report;

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Mutex, OnceLock, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::routing::get;
use rust_embed::RustEmbed;

pub use report::{incident_report, report, report_policy};

/// The page that all addresses of the console begin with; its script decides what it shows.
const PAGE: &str = "index.html";

#[derive(RustEmbed)]
#[folder = "assets"]
struct Assets;

/// The service's router with the console in it. Browsers that ask for `/` are led to the console; shippers, which ask for JSON there, get
/// what they ask for.
pub fn attach(service: Router) -> Router {
    service.merge(router()).layer(from_fn(home))
}

async fn home(request: Request, next: Next) -> Response<Body> {
    let accepts = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|accepts| accepts.to_str().ok());
    let is_browser = accepts.is_some_and(|accepts| accepts.starts_with("text/html"));
    if request.uri().path() == "/" && request.method() == Method::GET && is_browser {
        let mut response = answer(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", Body::empty());
        response
            .headers_mut()
            .insert(header::LOCATION, HeaderValue::from_static("/console/"));
        return response;
    }
    next.run(request).await
}

/// What scripts of a page may do: run from this service and talk to it, nothing else; inline scripts and styles never
/// (<https://www.w3.org/TR/CSP3/>).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'";

/// The pages and their files, under `/console`.
pub fn router() -> Router {
    Router::new()
        .route(
            "/console",
            get(|headers: HeaderMap| async move { serve(PAGE, &headers) }),
        )
        .route(
            "/console/",
            get(|headers: HeaderMap| async move { serve(PAGE, &headers) }),
        )
        .route(
            "/console/{*path}",
            get(|Path(path): Path<String>, headers: HeaderMap| async move { serve(&path, &headers) }),
        )
}

/// A file; the page itself where the path names none, unless it looks like a file that is missing.
fn serve(path: &str, headers: &HeaderMap) -> Response<Body> {
    let (path, file) = match Assets::get(path) {
        Some(file) => (path, file),
        None if path.rsplit('/').next().is_some_and(|name| kind(name).is_some()) => {
            return answer(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", Body::empty());
        }
        None => match Assets::get(PAGE) {
            Some(file) => (PAGE, file),
            None => return answer(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", Body::empty()),
        },
    };
    let hash: String = file
        .metadata
        .sha256_hash()
        .iter()
        .take(12)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let tag = format!("\"{hash}\"");
    let kind = kind(path).unwrap_or("application/octet-stream");
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|known| known.to_str().ok());
    if known.is_some_and(|known| {
        known
            .split(',')
            .any(|one| one.trim().trim_start_matches("W/") == tag)
    }) {
        return tagged(answer(StatusCode::NOT_MODIFIED, kind, Body::empty()), &tag);
    }
    let accepts = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|accepts| accepts.to_str().ok());
    let packed = accepts
        .is_some_and(|accepts| {
            accepts
                .split(',')
                .any(|one| one.trim().split(';').next() == Some("gzip"))
        })
        .then(|| gzip(&hash, &file.data))
        .flatten();
    let mut response = match packed {
        Some(packed) => {
            let mut response = answer(StatusCode::OK, kind, Body::from(packed));
            let _ = response
                .headers_mut()
                .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        }
        None => answer(StatusCode::OK, kind, Body::from(file.data.into_owned())),
    };
    let _ = response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    tagged(response, &tag)
}

/// The type of a file by its name.
fn kind(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    match extension {
        "html" => Some("text/html; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "txt" | "md" => Some("text/plain; charset=utf-8"),
        _ => None,
    }
}

/// A file packed; each is packed once while the service runs. There are as many as files in the binary.
fn gzip(hash: &str, data: &[u8]) -> Option<Vec<u8>> {
    static PACKED: OnceLock<Mutex<HashMap<String, Vec<u8>>>> = OnceLock::new();
    let mut packed = PACKED
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = packed.get(hash) {
        return Some(found.clone());
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).ok()?;
    let made = encoder.finish().ok()?;
    packed.insert(hash.to_owned(), made.clone());
    Some(made)
}

fn tagged(mut response: Response<Body>, tag: &str) -> Response<Body> {
    if let Ok(tag) = HeaderValue::from_str(tag) {
        let _ = response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn answer(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let headers: [(HeaderName, &'static str); 8] = [
        (header::CONTENT_TYPE, kind),
        // Asked for again each time, and answered from the browser's store while nothing changed.
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in headers {
        let _ = response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
