//! What clients of Elasticsearch ask before they send: who is there, of which version, with which licence, and whether
//! their templates and policies are set up. There is nothing to set up here, so they are told that it is.
//!
//! <https://www.elastic.co/docs/api/doc/elasticsearch/>

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};

use super::{Refusal, quoted};
use crate::counts::Refused;
use crate::intake::Intake;

/// The version that is told: clients refuse a server that is older than they are.
const VERSION: &str = "9.99.0";

/// A name and an id for what is one node of one cluster.
const CLUSTER: &str = "nephoscope";
const CLUSTER_ID: &str = "bmVwaG9zY29wZS1pbmdlc3Q";

pub(super) fn routes() -> Router<Intake> {
    let mut router = Router::new()
        .route("/", get(root))
        .route("/_license", get(license))
        .route("/_xpack", get(xpack))
        .route("/_cluster/health", get(health))
        .route("/_cluster/health/{*rest}", get(health))
        .route("/_cluster/state/{*rest}", get(state))
        .route("/_nodes", get(nodes))
        .route("/_nodes/{*rest}", get(nodes))
        .route("/_security/_authenticate", get(authenticated));
    // What clients set up before they write. It exists if they look, and is taken if they send it.
    for name in [
        "_ilm",
        "_index_template",
        "_component_template",
        "_template",
        "_ingest",
        "_logstash",
        "_data_stream",
        "_alias",
        "_plugins",
        "_opendistro",
        "_xpack",
        "_cluster/settings",
        "_security/privilege",
        "_security/role",
    ] {
        // `_xpack` and such alone have an answer of their own, or none.
        if !matches!(name, "_xpack") {
            router = router.route(&format!("/{name}"), any(set_up));
        }
        router = router.route(&format!("/{name}/{{*rest}}"), any(set_up));
    }
    router
}

/// A JSON answer, of the media type that the client asked for and with the header by which official clients know that they
/// speak to what they expect.
pub(super) fn answer(headers: &HeaderMap, status: StatusCode, body: impl Into<Body>) -> Response {
    const VENDOR: &str = "application/vnd.elasticsearch+json";
    let accepted = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media = match accepted.split(',').find(|media| media.trim().starts_with(VENDOR)) {
        Some(media) if media.contains("compatible-with=8") => {
            "application/vnd.elasticsearch+json;compatible-with=8"
        }
        Some(media) if media.contains("compatible-with=7") => {
            "application/vnd.elasticsearch+json;compatible-with=7"
        }
        Some(_) => "application/vnd.elasticsearch+json;compatible-with=9",
        None => "application/json",
    };
    let mut response = (status, body.into()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert("x-elastic-product", HeaderValue::from_static("Elasticsearch"));
    response
}

pub(super) fn refused(headers: &HeaderMap, refusal: &Refusal) -> Response {
    let kind = match refusal.reason {
        Refused::Unauthenticated => "security_exception",
        Refused::Busy => "es_rejected_execution_exception",
        Refused::Failed => "unavailable_shards_exception",
        Refused::TooLong => "content_too_long_exception",
        Refused::Malformed | Refused::Unsupported | Refused::Dropped => "illegal_argument_exception",
    };
    let error = format!("\"type\":\"{kind}\",\"reason\":{}", quoted(&refusal.message));
    let text = format!(
        "{{\"error\":{{\"root_cause\":[{{{error}}}],{error}}},\"status\":{}}}",
        refusal.status.as_u16()
    );
    answer(headers, refusal.status, text)
}

async fn root(headers: HeaderMap) -> Response {
    let text = format!(
        "{{\"name\":\"{CLUSTER}\",\"cluster_name\":\"{CLUSTER}\",\"cluster_uuid\":\"{CLUSTER_ID}\",\"version\":{{\"number\":\"{VERSION}\",\
         \"build_flavor\":\"default\",\"build_type\":\"docker\",\"build_hash\":\"0000000000000000000000000000000000000000\",\
         \"build_date\":\"2026-01-01T00:00:00.000Z\",\"build_snapshot\":false,\"lucene_version\":\"10.3.0\",\
         \"minimum_wire_compatibility_version\":\"8.19.0\",\"minimum_index_compatibility_version\":\"8.0.0\"}},\
         \"tagline\":\"You Know, for Search\"}}"
    );
    answer(&headers, StatusCode::OK, text)
}

async fn license(headers: HeaderMap) -> Response {
    let text = "{\"license\":{\"status\":\"active\",\"uid\":\"00000000-0000-0000-0000-000000000000\",\"type\":\"basic\",\
                \"issue_date_in_millis\":0,\"max_nodes\":1000,\"issued_to\":\"nephoscope\",\"issuer\":\"nephoscope\",\"start_date_in_millis\":-1}}";
    answer(&headers, StatusCode::OK, text)
}

async fn xpack(headers: HeaderMap) -> Response {
    let text = "{\"license\":{\"mode\":\"basic\",\"status\":\"active\",\"type\":\"basic\"},\"features\":{\
                \"ilm\":{\"available\":true,\"enabled\":true},\"logstash\":{\"available\":true,\"enabled\":true},\
                \"security\":{\"available\":true,\"enabled\":true}}}";
    answer(&headers, StatusCode::OK, text)
}

async fn health(headers: HeaderMap) -> Response {
    let text = format!(
        "{{\"cluster_name\":\"{CLUSTER}\",\"status\":\"green\",\"timed_out\":false,\"number_of_nodes\":1,\"number_of_data_nodes\":1,\
         \"active_primary_shards\":1,\"active_shards\":1,\"relocating_shards\":0,\"initializing_shards\":0,\"unassigned_shards\":0}}"
    );
    answer(&headers, StatusCode::OK, text)
}

async fn state(headers: HeaderMap) -> Response {
    let text = format!(
        "{{\"cluster_name\":\"{CLUSTER}\",\"cluster_uuid\":\"{CLUSTER_ID}\",\"version\":1,\"state_uuid\":\"{CLUSTER_ID}\"}}"
    );
    answer(&headers, StatusCode::OK, text)
}

async fn nodes(headers: HeaderMap) -> Response {
    // Clients that look for nodes find none but the one that they have.
    let text = format!(
        "{{\"_nodes\":{{\"total\":0,\"successful\":0,\"failed\":0}},\"cluster_name\":\"{CLUSTER}\",\"nodes\":{{}}}}"
    );
    answer(&headers, StatusCode::OK, text)
}

async fn authenticated(headers: HeaderMap) -> Response {
    let text = "{\"username\":\"sender\",\"roles\":[\"ingest\"],\"full_name\":null,\"email\":null,\"metadata\":{},\"enabled\":true,\
                \"authentication_realm\":{\"name\":\"nephoscope\",\"type\":\"token\"},\"authentication_type\":\"token\"}";
    answer(&headers, StatusCode::OK, text)
}

async fn set_up(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let text = match parts.method {
        Method::GET | Method::HEAD => "{}",
        _ => {
            super::body::drain(&parts.headers, body).await;
            "{\"acknowledged\":true}"
        }
    };
    answer(&parts.headers, StatusCode::OK, text)
}
