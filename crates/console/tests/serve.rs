//! What browsers are given.

#![expect(clippy::expect_used, reason = "a test may fail loudly and says what it saw")]

use std::io::Read as _;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode, header};
use tower::ServiceExt as _;

async fn ask(path: &str, headers: &[(header::HeaderName, &str)]) -> Response<Body> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let request = request.body(Body::empty()).expect("the request is right");
    neph_console::router().oneshot(request).await.expect("it answers")
}

fn of(response: &Response<Body>, name: header::HeaderName) -> &str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().expect("the header is text"))
}

#[tokio::test]
async fn pages_come_with_a_strict_policy() {
    for path in [
        "/console",
        "/console/",
        "/console/alerts",
        "/console/alert/abc",
        "/console/app.js",
        "/console/lib/safe.js",
    ] {
        let response = ask(path, &[]).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let policy = of(&response, header::CONTENT_SECURITY_POLICY);
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        let kind = if path.ends_with(".js") {
            "text/javascript; charset=utf-8"
        } else {
            "text/html; charset=utf-8"
        };
        assert_eq!(of(&response, header::CONTENT_TYPE), kind, "{path}");
    }
}

#[tokio::test]
async fn files_that_are_missing_or_outside_are_not_found() {
    for path in [
        "/console/lib/none.js",
        "/console/../Cargo.toml.js",
        "/console/..%2f..%2fCargo.js",
        "/console/%2e%2e/src/lib.js",
    ] {
        assert_eq!(ask(path, &[]).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    // Without the ending of a file it is an address of the console, which shows that it has no such page.
    let response = ask("/console/..%2f..%2f..%2fetc%2fpasswd", &[]).await;
    let body = to_bytes(response.into_body(), 1 << 20)
        .await
        .expect("it has a body");
    assert!(body.starts_with(b"<!doctype html>"));
}

#[tokio::test]
async fn what_the_browser_has_is_not_sent_again_and_the_rest_is_packed() {
    let response = ask("/console/app.js", &[(header::ACCEPT_ENCODING, "gzip, br")]).await;
    assert_eq!(of(&response, header::CONTENT_ENCODING), "gzip");
    let tag = of(&response, header::ETAG).to_owned();
    let packed = to_bytes(response.into_body(), 1 << 20)
        .await
        .expect("it has a body");
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.as_ref())
        .read_to_string(&mut text)
        .expect("it is gzip");
    let plain = to_bytes(ask("/console/app.js", &[]).await.into_body(), 1 << 20)
        .await
        .expect("it has a body");
    assert_eq!(text.as_bytes(), plain.as_ref());
    let known = ask("/console/app.js", &[(header::IF_NONE_MATCH, &tag)]).await;
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
}
