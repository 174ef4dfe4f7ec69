//! What the events of an alert show, as objects of OCSF.

use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::fields::{find, put, text, texts, whole};

/// Methods of HTTP that the schema names and logs have.
const METHODS: [&str; 9] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
];

/// Hashes with their numbers in the schema: <https://schema.ocsf.io/1.8.0/objects/fingerprint>.
const HASHES: [(&str, u64, &str); 4] = [
    ("md5", 1, "MD5"),
    ("sha1", 2, "SHA-1"),
    ("sha256", 3, "SHA-256"),
    ("sha512", 4, "SHA-512"),
];

/// The evidence of an event that an alert tells of.
pub(super) fn of(event: &Value) -> Value {
    let empty = Value::Null;
    let document = event.get("document").unwrap_or(&empty);
    let mut out = Map::new();
    put(&mut out, "uid", text(event, "id"));
    put(&mut out, "name", text(document, "event.action"));
    put(&mut out, "actor", actor(document));
    put(&mut out, "process", process(document, "process", true));
    put(&mut out, "user", user(document, "user.target"));
    put(
        &mut out,
        "src_endpoint",
        endpoint(document, &["source", "client"]),
    );
    put(
        &mut out,
        "dst_endpoint",
        endpoint(document, &["destination", "server"]),
    );
    put(&mut out, "connection_info", connection(document));
    put(
        &mut out,
        "file",
        file(document, "file.path", "file.name", "file.hash"),
    );
    put(&mut out, "url", url(document));
    put(&mut out, "http_request", request(document));
    put(&mut out, "query", query(document));
    put(&mut out, "api", api(document));
    put(&mut out, "container", container(document));
    put(&mut out, "resources", resources(document));
    // What shows that the rule's tests hold; the rest is named by the event's id.
    let mut data = Map::new();
    put(&mut data, "time", text(event, "time"));
    put(&mut data, "source", text(event, "origin.source"));
    put(&mut data, "line", whole(event, "origin.line"));
    put(
        &mut data,
        "matched_fields",
        event.get("matched_fields").cloned().unwrap_or_default(),
    );
    if !out.contains_key("process") {
        put(&mut data, "command_line", text(document, "process.command_line"));
    }
    put(&mut out, "data", data);
    Value::Object(out)
}

/// Who acted: the user, and what the process was started by.
fn actor(document: &Value) -> Map<String, Value> {
    let mut out = Map::new();
    put(&mut out, "user", user(document, "user"));
    put(&mut out, "process", process(document, "process.parent", false));
    out
}

fn user(document: &Value, at: &str) -> Map<String, Value> {
    let part = |name: &str| text(document, &format!("{at}.{name}"));
    let mut out = Map::new();
    put(&mut out, "name", part("name"));
    put(&mut out, "uid", part("id"));
    // The schema asks for one of both.
    if out.is_empty() {
        return out;
    }
    put(&mut out, "full_name", part("full_name"));
    put(&mut out, "domain", part("domain"));
    put(
        &mut out,
        "email_addr",
        part("email").filter(|email| is_email(email)),
    );
    let roles = texts(document, &format!("{at}.roles"));
    let groups = roles.into_iter().map(|role| {
        let mut group = Map::new();
        put(&mut group, "name", role);
        Value::Object(group)
    });
    put(&mut out, "groups", groups.collect::<Vec<_>>());
    out
}

/// A process, which the schema asks a number or an id of.
fn process(document: &Value, at: &str, with_parent: bool) -> Map<String, Value> {
    let part = |name: &str| text(document, &format!("{at}.{name}"));
    let mut out = Map::new();
    put(&mut out, "pid", whole(document, &format!("{at}.pid")));
    put(&mut out, "uid", part("entity_id"));
    if out.is_empty() {
        return out;
    }
    put(&mut out, "name", part("name"));
    put(&mut out, "cmd_line", part("command_line"));
    put(&mut out, "working_directory", part("working_directory"));
    let names = ["executable", "name", "hash"].map(|name| format!("{at}.{name}"));
    let [path, name, hash] = &names;
    if find(document, path).is_some() {
        put(&mut out, "file", file(document, path, name, hash));
    }
    if with_parent {
        put(&mut out, "user", user(document, "user"));
        put(
            &mut out,
            "parent_process",
            process(document, &format!("{at}.parent"), false),
        );
    }
    out
}

fn endpoint(document: &Value, names: &[&str]) -> Map<String, Value> {
    let first = |part: &str| {
        names
            .iter()
            .find_map(|name| text(document, &format!("{name}.{part}")))
    };
    let mut out = Map::new();
    put(&mut out, "ip", first("ip").filter(|ip| is_ip(ip)));
    put(&mut out, "hostname", first("domain"));
    if out.is_empty() {
        return out;
    }
    let port = first("port").and_then(|port| port.parse::<u16>().ok());
    put(&mut out, "port", port);
    put(&mut out, "mac", first("mac").filter(|mac| is_mac(mac)));
    out
}

fn connection(document: &Value) -> Map<String, Value> {
    let mut out = Map::new();
    put(&mut out, "protocol_name", text(document, "network.transport"));
    if out.is_empty() {
        return out;
    }
    let (id, name) = match text(document, "network.direction").as_deref() {
        Some("inbound" | "ingress") => (1, "Inbound"),
        Some("outbound" | "egress") => (2, "Outbound"),
        _ => (0, "Unknown"),
    };
    put(&mut out, "direction_id", id);
    put(&mut out, "direction", name);
    put(&mut out, "community_uid", text(document, "network.community_id"));
    out
}

fn file(document: &Value, path: &str, name: &str, hash: &str) -> Map<String, Value> {
    let mut out = Map::new();
    let path = text(document, path);
    let last = path.as_deref().and_then(|path| path.rsplit(['/', '\\']).next());
    let name = text(document, name).or_else(|| last.map(str::to_owned));
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return out;
    };
    put(&mut out, "name", name);
    put(&mut out, "type_id", 1);
    put(&mut out, "type", "Regular File");
    put(&mut out, "path", path);
    let hashes = HASHES.iter().filter_map(|(key, id, algorithm)| {
        let mut out = Map::new();
        put(&mut out, "value", text(document, &format!("{hash}.{key}"))?);
        put(&mut out, "algorithm_id", *id);
        put(&mut out, "algorithm", *algorithm);
        Some(Value::Object(out))
    });
    put(&mut out, "hashes", hashes.collect::<Vec<_>>());
    out
}

fn url(document: &Value) -> Map<String, Value> {
    let mut out = Map::new();
    let whole = text(document, "url.full").or_else(|| text(document, "url.original"));
    put(&mut out, "url_string", whole);
    put(&mut out, "path", text(document, "url.path"));
    if out.is_empty() {
        return out;
    }
    put(&mut out, "hostname", text(document, "url.domain"));
    put(&mut out, "scheme", text(document, "url.scheme"));
    put(&mut out, "query_string", text(document, "url.query"));
    let port = text(document, "url.port").and_then(|port| port.parse::<u16>().ok());
    put(&mut out, "port", port);
    out
}

fn request(document: &Value) -> Map<String, Value> {
    let mut out = Map::new();
    let method = text(document, "http.request.method").map(|method| method.to_ascii_uppercase());
    put(
        &mut out,
        "http_method",
        method.filter(|method| METHODS.contains(&method.as_str())),
    );
    put(&mut out, "user_agent", text(document, "user_agent.original"));
    put(&mut out, "version", text(document, "http.version"));
    put(&mut out, "referrer", text(document, "http.request.referrer"));
    out
}

fn query(document: &Value) -> Map<String, Value> {
    let mut out = Map::new();
    put(&mut out, "hostname", text(document, "dns.question.name"));
    if !out.is_empty() {
        put(&mut out, "type", text(document, "dns.question.type"));
        put(&mut out, "class", text(document, "dns.question.class"));
    }
    out
}

/// A call of the API of a cloud or a cluster.
fn api(document: &Value) -> Map<String, Value> {
    let mut out = Map::new();
    let of_api = ["cloud.provider", "orchestrator.type"];
    // What a process does on a machine of a cloud is no call.
    if !of_api.iter().any(|field| find(document, field).is_some()) || find(document, "process.name").is_some()
    {
        return out;
    }
    put(&mut out, "operation", text(document, "event.action"));
    if out.is_empty() {
        return out;
    }
    put(&mut out, "version", text(document, "orchestrator.api_version"));
    let mut response = Map::new();
    put(
        &mut response,
        "code",
        whole(document, "http.response.status_code"),
    );
    put(&mut response, "error", text(document, "error.code"));
    put(&mut response, "error_message", text(document, "error.message"));
    put(&mut out, "response", response);
    out
}

fn container(document: &Value) -> Map<String, Value> {
    let mut out = Map::new();
    put(&mut out, "uid", text(document, "container.id"));
    put(&mut out, "name", text(document, "container.name"));
    if out.is_empty() {
        return out;
    }
    put(&mut out, "runtime", text(document, "container.runtime"));
    put(&mut out, "orchestrator", text(document, "orchestrator.type"));
    put(&mut out, "image", image(document));
    out
}

fn image(document: &Value) -> Map<String, Value> {
    let mut out = Map::new();
    let name = text(document, "container.image.name");
    let tag = text(document, "container.image.tag");
    let digest = texts(document, "container.image.hash.all").into_iter().next();
    // The schema asks for an id: what the image is pulled by.
    let pulled = name.as_ref().map(|name| match &tag {
        Some(tag) => format!("{name}:{tag}"),
        None => name.clone(),
    });
    put(&mut out, "uid", digest.or(pulled));
    if !out.is_empty() {
        put(&mut out, "name", name);
        put(&mut out, "tag", tag);
    }
    out
}

/// What was acted on: a resource of a cluster, a machine, a container.
pub(super) fn resources(document: &Value) -> Vec<Value> {
    let mut out = Vec::new();
    let mut add =
        |kind: Option<String>, uid: Option<String>, name: Option<String>, more: &[(&str, Option<String>)]| {
            let mut resource = Map::new();
            put(&mut resource, "uid", uid);
            put(&mut resource, "name", name);
            if resource.is_empty() {
                return;
            }
            put(&mut resource, "type", kind);
            for (key, value) in more {
                put(&mut resource, key, value.clone());
            }
            out.push(Value::Object(resource));
        };
    let field = |path: &str| text(document, path);
    add(
        field("orchestrator.resource.type"),
        field("orchestrator.resource.id"),
        field("orchestrator.resource.name"),
        &[("namespace", field("orchestrator.namespace"))],
    );
    add(
        Some("Instance".to_owned()),
        field("cloud.instance.id"),
        field("cloud.instance.name"),
        &[],
    );
    add(
        Some("Host".to_owned()),
        field("host.id"),
        field("host.name").or_else(|| field("host.hostname")),
        &[("hostname", field("host.hostname").or_else(|| field("host.name")))],
    );
    add(
        Some("Container".to_owned()),
        field("container.id"),
        field("container.name"),
        &[("namespace", field("orchestrator.namespace"))],
    );
    out
}

/// The machine that all events are of.
pub(super) fn device(document: &Value) -> Map<String, Value> {
    let mut out = Map::new();
    put(&mut out, "uid", text(document, "host.id"));
    put(&mut out, "name", text(document, "host.name"));
    let hostname = text(document, "host.hostname").or_else(|| text(document, "host.name"));
    put(&mut out, "hostname", hostname);
    if out.is_empty() {
        return out;
    }
    put(&mut out, "type_id", 0);
    put(&mut out, "type", "Unknown");
    put(&mut out, "domain", text(document, "host.domain"));
    let ip = texts(document, "host.ip").into_iter().find(|ip| is_ip(ip));
    put(&mut out, "ip", ip);
    let family = text(document, "host.os.type").or_else(|| text(document, "host.os.family"));
    let (id, kind) = match family.as_deref() {
        Some("linux") => (200, "Linux"),
        Some("windows") => (100, "Windows"),
        Some("macos") => (300, "macOS"),
        _ => (0, "Unknown"),
    };
    let mut os = Map::new();
    put(&mut os, "name", text(document, "host.os.name").or(family));
    if !os.is_empty() {
        put(&mut os, "type_id", id);
        put(&mut os, "type", kind);
        put(&mut os, "version", text(document, "host.os.version"));
    }
    put(&mut out, "os", os);
    out
}

/// The cloud that all events are of.
pub(super) fn cloud(document: &Value) -> Map<String, Value> {
    let mut out = Map::new();
    let provider = text(document, "cloud.provider");
    put(&mut out, "provider", provider.clone());
    if out.is_empty() {
        return out;
    }
    put(&mut out, "region", text(document, "cloud.region"));
    put(&mut out, "zone", text(document, "cloud.availability_zone"));
    put(&mut out, "project_uid", text(document, "cloud.project.id"));
    if let Some(uid) = text(document, "cloud.account.id") {
        let (id, kind) = match provider.as_deref() {
            Some("aws") => (10, "AWS Account"),
            Some("gcp") => (99, "GCP Project"),
            Some("azure") => (99, "Azure Subscription"),
            _ => (99, "Cloud Account"),
        };
        let mut account = Map::new();
        put(
            &mut account,
            "name",
            text(document, "cloud.account.name").unwrap_or_else(|| uid.clone()),
        );
        put(&mut account, "uid", uid);
        put(&mut account, "type_id", id);
        put(&mut account, "type", kind);
        put(&mut out, "account", account);
    }
    out
}

fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

fn is_mac(text: &str) -> bool {
    let mut parts = text.split([':', '-']);
    let six = parts
        .by_ref()
        .take(6)
        .filter(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()));
    six.count() == 6 && parts.next().is_none()
}

/// One sign of mail with something on both sides.
fn is_email(text: &str) -> bool {
    let mut parts = text.split('@');
    let (name, domain) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    !name.is_empty()
        && domain.contains('.')
        && parts.next().is_none()
        && text.is_ascii()
        && !text.contains(' ')
}
