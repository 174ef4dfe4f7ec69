//! Clouds that no integration of Elastic reads: OpenStack, VK Cloud, Yandex Cloud.
//!
//! Their actions are words that are joined by dots, hyphens, underscores or blanks (`create-snapshot`,
//! `volume.create.end`, `create plan`), of which category and type follow.

pub(super) mod openstack;
pub(super) mod vkcloud;
pub(super) mod yandex;

use crate::json;
use crate::tree::{Arena, Map, Value};

/// The words of an action, in lower case.
fn words(action: &str) -> Vec<String> {
    action
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// `event.category` and `event.type` of an action of a service.
fn classify<'a>(service: &str, action: &str, document: &'a Map<'a>) {
    let words = words(action);
    let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    if has(&["login", "logout", "authenticate", "authentication"]) || words == ["check", "token"] {
        document.put_texts("event.category", &["authentication"]);
        let kind = if has(&["logout"]) { "end" } else { "start" };
        document.put_texts("event.type", &[kind]);
        return;
    }
    let category: &[&str] = match service.to_lowercase().as_str() {
        "iam" | "keystone" | "identity" => &["iam"],
        "trove" | "dbaas" | "database" => &["database", "configuration"],
        _ if has(&["keypair", "role", "user"]) => &["iam"],
        _ => &["configuration"],
    };
    document.put_texts("event.category", category);
    document.put_texts("event.type", &[kind_of(&words)]);
}

fn kind_of(words: &[String]) -> &'static str {
    const VERBS: &[(&str, &[&str])] = &[
        (
            "deletion",
            &[
                "delete",
                "deleted",
                "remove",
                "removed",
                "destroy",
                "terminate",
                "purge",
            ],
        ),
        (
            "change",
            &[
                "update", "updated", "reset", "set", "unset", "attach", "detach", "extend", "resize",
                "retype", "rename", "accept", "transfer", "activate", "disabled", "change", "patch",
                "unmanage", "start", "stop", "reboot", "rebuild", "restore", "action", "failover", "migrate",
                "upload", "prepare", "add",
            ],
        ),
        (
            "creation",
            &[
                "create",
                "created",
                "createimage",
                "createbackup",
                "os-volume_upload_image",
                "clone",
                "copy",
                "import",
                "manage",
                "backup",
                "snapshot",
                "publish",
                "checkpoint",
                "plan",
                "boot",
            ],
        ),
        (
            "access",
            &[
                "get",
                "list",
                "listing",
                "read",
                "show",
                "describe",
                "download",
                "send",
                "watch",
                "exec",
                "kubeconfig",
            ],
        ),
    ];
    let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    // `create-volume-transfer` and `clustertemplate-create` create something, whatever other words say.
    if has(&["create", "created", "import", "clone"]) {
        return "creation";
    }
    if has(&["get", "list", "listing", "read", "show"]) {
        return "access";
    }
    VERBS
        .iter()
        .find(|(_, verbs)| has(verbs))
        .map_or("info", |(kind, _)| kind)
}

/// Who did it, by id, name and mail address.
fn user<'a>(id: Option<&'a str>, name: Option<&'a str>, email: Option<&'a str>, document: &'a Map<'a>) {
    let local = || email?.split_once('@').map(|(local, _)| local);
    for (field, value) in [
        ("user.id", id),
        ("user.name", name.or_else(local)),
        ("user.email", email),
    ] {
        if let Some(value) = value {
            document.put_text(field, value);
            document.append_new("related.user", Value::Text(value));
        }
    }
}

/// The caller's address.
fn caller<'a>(address: &'a str, document: &'a Map<'a>) {
    document.put_text("source.address", address);
    if address.parse::<std::net::IpAddr>().is_ok() {
        document.put_text("source.ip", address);
        document.put_text("client.ip", address);
        document.append_new("related.ip", Value::Text(address));
    }
}

/// The method and the path of a call, and the project that OpenStack's paths name.
fn call<'a>(method: Option<&'a str>, uri: Option<&'a str>, document: &'a Map<'a>) {
    if let Some(method) = method {
        document.put_text("http.request.method", method);
    }
    let Some(uri) = uri else { return };
    document.put_text("url.original", uri);
    let (path, query) = match uri.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (uri, None),
    };
    document.put_text("url.path", path);
    if let Some(query) = query {
        document.put_text("url.query", query);
    }
    let is_project = |part: &&str| part.len() == 32 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(project) = path.split('/').take(4).find(is_project) {
        document.put_new("cloud.project.id", Value::Text(project));
    }
}

/// A body that is JSON text, read; an empty or other one stays away.
fn body<'a>(value: Option<Value<'a>>, arena: &'a Arena) -> Option<Value<'a>> {
    let body = match value? {
        Value::Text(text) if text.trim_start().starts_with(['{', '[']) => json::parse(arena, text).ok()?,
        other @ (Value::Map(_) | Value::List(_)) => other,
        _ => return None,
    };
    (!body.is_blank()).then_some(body)
}
