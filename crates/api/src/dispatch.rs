//! From a request to its route and back: who sends it, whether they may, limits, the audit log, headers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use axum::routing::{MethodFilter, on};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use neph_ingest::Peer;
use neph_store::AuditEntry;
use serde_json::Map;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use crate::app::App;
use crate::keys::Who;
use crate::live;
use crate::openapi;
use crate::problem::Problem;
use crate::query::{self, Parameter};
use crate::route::{Answer, Call, Need, Route, Verb};
use crate::routes::ROUTES;
use crate::session::Known;
use crate::when::now;

/// A body that has not come by then does not count.
const BODY_TIME: Duration = Duration::from_secs(30);
/// Longest target of an entry in the audit log, in bytes.
const TARGET: usize = 1000;

/// The routes of the API, with everything that holds for all of them.
pub fn router(app: &Arc<App>) -> Router {
    let mut generator = openapi::generator();
    let mut router: Router<Arc<App>> = Router::new();
    for route in ROUTES.iter().flat_map(|routes| routes.iter()) {
        let filter = match route.verb {
            Verb::Get => MethodFilter::GET,
            Verb::Post => MethodFilter::POST,
            Verb::Put => MethodFilter::PUT,
            Verb::Delete => MethodFilter::DELETE,
        };
        let parameters = Arc::new(query::parameters(route, &mut generator));
        let serve = move |State(app): State<Arc<App>>, path: RawPathParams, request: Request| {
            let parameters = Arc::clone(&parameters);
            async move { serve(app, route, &parameters, path, request).await }
        };
        router = router.route(route.path, on(filter, serve));
    }
    router
        .fallback(|| async { harden(Problem::no_route().response()) })
        .method_not_allowed_fallback(|| async { harden(Problem::no_method().response()) })
        .with_state(Arc::clone(app))
}

async fn serve(
    app: Arc<App>,
    route: &'static Route,
    parameters: &BTreeMap<String, Parameter>,
    path: RawPathParams,
    request: Request,
) -> Response<Body> {
    app.counts.requests.fetch_add(1, Ordering::Relaxed);
    let from = request
        .extensions()
        .get::<Peer>()
        .map_or_else(String::new, |peer| peer.address.ip().to_canonical().to_string());
    let outcome = attempt(&app, route, parameters, &path, request, &from).await;
    // What nobody read of a body stands in the way of the next request of the connection.
    let unread = route.verb != Verb::Get && (route.body.is_none() || outcome.is_err());
    let mut response = outcome.unwrap_or_else(|problem| problem.response());
    if unread {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if response.status().is_server_error() {
        app.counts.failures.fetch_add(1, Ordering::Relaxed);
    }
    harden(response)
}

async fn attempt(
    app: &Arc<App>,
    route: &'static Route,
    parameters: &BTreeMap<String, Parameter>,
    path: &RawPathParams,
    request: Request,
    from: &str,
) -> Result<Response<Body>, Problem> {
    let _under_way = app
        .requests
        .try_acquire()
        .map_err(|_| Problem::busy("too many requests are under way"))?;
    let (who, session) = who(app, route, request.headers().clone()).await?;
    let forwarded = request.headers().get("x-forwarded-proto");
    let is_secure = app.tls || forwarded.is_some_and(|by| by.as_bytes().eq_ignore_ascii_case(b"https"));
    let path: Vec<(String, String)> = path
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let query = query::read(request.uri().query().unwrap_or(""), parameters)?;
    let resume = request.headers().get("last-event-id");
    let resume = resume.and_then(|id| id.to_str().ok()).map(str::to_owned);
    let body = match route.body {
        Some(_) => body(app, request).await?,
        None => Bytes::new(),
    };
    let permit = match route.heavy {
        true => Some(
            Arc::clone(&app.searches)
                .try_acquire_owned()
                .map_err(|_| Problem::busy("too many searches are under way"))?,
        ),
        false => None,
    };
    let cancel = Arc::new(AtomicBool::new(false));
    let guard = Cancel(Arc::clone(&cancel));
    let work = {
        let (app, from) = (Arc::clone(app), from.to_owned());
        move || {
            let _permit = permit;
            let of = Sent {
                who: &who,
                session,
                is_secure,
                from: &from,
            };
            run(&app, route, of, path, query, body, cancel, resume)
        }
    };
    let task = tokio::task::spawn_blocking(work);
    let answer = match route.heavy {
        // The work itself looks at the flag, so it ends soon after.
        true => tokio::time::timeout(app.limits.query_time + Duration::from_secs(5), task)
            .await
            .map_err(|_| Problem::unavailable("the search took too long"))?,
        false => task.await,
    };
    let answer = answer.map_err(|_| Problem::failed("the request could not be worked on"))??;
    drop(guard);
    Ok(respond(answer))
}

/// Who sent a request, and how it came.
struct Sent<'s> {
    who: &'s Who,
    session: Option<Known>,
    is_secure: bool,
    from: &'s str,
}

/// Tells the work that nobody waits any more, when the request's future is dropped: the client went away, or its time is over.
struct Cancel(Arc<AtomicBool>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Who sends a request: by a token in a header, or else by the session of a browser.
async fn who(
    app: &Arc<App>,
    route: &'static Route,
    headers: HeaderMap,
) -> Result<(Who, Option<Known>), Problem> {
    let Need::Role(need) = route.need else {
        let nobody = Who {
            name: "".into(),
            role: neph_store::Role::Ingest,
        };
        return Ok((nobody, None));
    };
    let own = Arc::clone(app);
    let found = tokio::task::spawn_blocking(move || {
        if headers.contains_key(header::AUTHORIZATION) {
            return Ok(own.keys.of_headers(&headers).map(|who| (who, None)));
        }
        let Some(session) = own.sessions.find(&headers) else {
            return Ok(None);
        };
        let Some(who) = own.keys.verify(&session.token) else {
            return Ok(None);
        };
        session.guard(route.verb, &headers)?;
        Ok(Some((who, Some(session))))
    });
    let found = found
        .await
        .map_err(|_| Problem::failed("the request could not be worked on"))
        .flatten();
    let found = found.inspect_err(|_| {
        app.counts.refused.fetch_add(1, Ordering::Relaxed);
    })?;
    let (who, session) = found.ok_or_else(|| {
        app.counts.refused.fetch_add(1, Ordering::Relaxed);
        Problem::unknown_sender()
    })?;
    match who.role >= need {
        true => Ok((who, session)),
        false => {
            app.counts.refused.fetch_add(1, Ordering::Relaxed);
            let word = |role: neph_store::Role| serde_json::to_value(role).ok();
            let word = |role| {
                word(role)
                    .and_then(|word| word.as_str().map(str::to_owned))
                    .unwrap_or_default()
            };
            Err(Problem::forbidden(format!(
                "this needs the role `{}`, and the token has `{}`",
                word(need),
                word(who.role)
            )))
        }
    }
}

async fn body(app: &App, request: Request) -> Result<Bytes, Problem> {
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    // A form of another site's page cannot send this type without asking first, and nothing answers that it may.
    if !kind.is_some_and(|kind| {
        kind.split(';')
            .next()
            .is_some_and(|kind| kind.trim() == "application/json")
    }) {
        return Err(Problem::invalid(
            "the body must be JSON: `Content-Type: application/json`",
        ));
    }
    let limit = app.limits.body;
    let limited = Limited::new(request.into_body(), usize::try_from(limit).unwrap_or(usize::MAX));
    match tokio::time::timeout(BODY_TIME, limited.collect()).await {
        Err(_) => Err(Problem::too_slow()),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::too_large(limit)),
        Ok(Err(_)) => Err(Problem::invalid("the body could not be read")),
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "each is a part of the request, and they meet here only"
)]
fn run(
    app: &App,
    route: &Route,
    sent: Sent<'_>,
    path: Vec<(String, String)>,
    query: Map<String, serde_json::Value>,
    body: Bytes,
    cancel: Arc<AtomicBool>,
    resume: Option<String>,
) -> Result<Answer, Problem> {
    let Sent {
        who,
        session,
        is_secure,
        from,
    } = sent;
    let target = path
        .iter()
        .map(|(_, value)| value.as_str())
        .collect::<Vec<_>>()
        .join("/");
    let call = Call {
        app,
        who,
        path,
        query,
        body,
        cancel,
        resume,
        session,
        is_secure,
        target: Mutex::new(target),
    };
    let answer = (route.run)(&call);
    if route.is_audited() {
        let mut target = call.target.into_inner().unwrap_or_else(PoisonError::into_inner);
        if target.len() > TARGET {
            let end = target.floor_char_boundary(TARGET);
            target.truncate(end);
        }
        let outcome = match &answer {
            Ok(_) => "ok".to_owned(),
            Err(problem) => format!("{}: {}", problem.code, problem.detail),
        };
        app.store.db.audit(AuditEntry {
            at: now(),
            who: who.name.to_string(),
            from: from.to_owned(),
            what: route.name.to_owned(),
            target,
            outcome,
        })?;
    }
    answer
}

fn respond(answer: Answer) -> Response<Body> {
    let mut cookie = None;
    let (status, kind, body) = match answer {
        Answer::Cookie(status, body, set) => {
            cookie = HeaderValue::from_str(&set).ok();
            (status, "application/json", Body::from(body))
        }
        Answer::Body(status, kind, body) => (status, kind, Body::from(body)),
        Answer::Lines(pieces) => {
            let pieces = ReceiverStream::new(pieces).map(Ok::<_, std::convert::Infallible>);
            (StatusCode::OK, "application/x-ndjson", Body::from_stream(pieces))
        }
        Answer::Live(from) => {
            let stream = live::stream(from);
            (StatusCode::OK, "text/event-stream", Body::from_stream(stream))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    if kind.starts_with("text/html") {
        let policy = HeaderValue::from_static(neph_console::report_policy());
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Headers of every answer: it is data, of one client, for no page of others
/// (<https://cheatsheetseries.owasp.org/cheatsheets/REST_Security_Cheat_Sheet.html>).
fn harden(mut response: Response<Body>) -> Response<Body> {
    const HEADERS: [(HeaderName, &str); 6] = [
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}
