//! What an authorization plugin of Docker Engine is asked, as plugins log it: the only place with the user of a call.
//! <https://docs.docker.com/engine/extend/plugins_authorization/>

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::api;
use crate::json;
use crate::mapping::{How, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value};

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "docker_authz",
    aliases: &[],
    title: "Calls of the Docker API as authorization plugins see them: with user, headers and answer",
    module: "docker",
    dataset: "docker.authz",
    os: None,
    mappings: &[FIELDS],
    derived: &[DERIVED, api::DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[FIELDS]));

const FIELDS: &[Mapping] = &[
    to(How::Date, "time", "@timestamp"),
    to(How::Date, "timestamp", "@timestamp"),
    to(How::Date, "Time", "@timestamp"),
    keep("User", "user.name"),
    keep("UserAuthNMethod", "docker.authz.user_authn_method"),
    to(How::Long, "ResponseStatusCode", "http.response.status_code"),
    keep("RequestHeaders.User-Agent", "user_agent.original"),
    keep("RequestHeaders.Content-Type", "http.request.mime_type"),
    keep("Msg", "event.reason"),
    keep("Err", "error.message"),
];

const DERIVED: &[Derived] = &[
    derived("event.kind", &[]),
    derived("event.outcome", &["ResponseStatusCode", "Allow"]),
    derived("related.user", &["User"]),
    derived("container.runtime", &[]),
];

fn detect(record: &Record<'_>) -> Confidence {
    let known = record.text_at("RequestMethod").is_some()
        && record
            .at("RequestUri")
            .or_else(|| record.at("RequestURI"))
            .is_some_and(|asked| asked.as_text().is_some());
    if known
        && record
            .object
            .is_some_and(|object| object.get("User").is_some() || object.get("RequestHeaders").is_some())
    {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some(object) = record.object else {
        return Err(Dropped::Malformed("it is no JSON object"));
    };
    let asked = object
        .text_at("RequestUri")
        .or_else(|| object.text_at("RequestURI"));
    let (Some(method), Some(asked)) = (object.text_at("RequestMethod"), asked) else {
        return Err(Dropped::Malformed("it names no call"));
    };
    let document = record.document();
    api::request(document, method, asked);
    PLAN.apply(object, document);
    document.put_text("container.runtime", "docker");
    if let Some(user @ Value::Text(_)) = document.at("user.name") {
        document.append_new("related.user", user);
    }
    if let Some(encoded) = object.text_at("RequestBody")
        && let Some(text) = STANDARD
            .decode(encoded)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
    {
        let text = document.text(&text);
        document.put_text("http.request.body.content", text);
        if let Some(body) = json::parse(record.arena, text).ok().and_then(Value::as_map) {
            api::body(document, body);
        }
    }
    let status = document.at("http.response.status_code").and_then(Value::to_int);
    let outcome = match (status, object.get("Allow").and_then(Value::as_bool)) {
        (_, Some(false)) => Some("failure"),
        (Some(status), _) if status >= 400 => Some("failure"),
        (Some(_), _) | (_, Some(true)) => Some("success"),
        _ => None,
    };
    if let Some(outcome) = outcome {
        document.put_text("event.outcome", outcome);
    }
    Ok(document)
}
