//! Calls of the container API that Docker Engine and Podman speak.
//!
//! <https://docs.docker.com/reference/api/engine/version/v1.48/>,
//! <https://docs.podman.io/en/latest/_static/api.html>. A call is named by the operation of Docker's specification
//! (`ContainerList`, `ImagePush`), whatever its spelling: with or without a version, or under `libpod`.

use crate::source::{Derived, derived};
use crate::sources::{docker, web};
use crate::tree::{Map, Value};
use crate::url_parts;

/// What [`request`] and [`body`] set.
pub(in crate::sources) const DERIVED: &[Derived] = &[
    derived("event.action", &["method", "request"]),
    derived("event.category", &["method", "request"]),
    derived("event.type", &["method", "request"]),
    derived("http.request.method", &["method"]),
    derived("http.request.body.content", &["body"]),
    derived("url.original", &["request"]),
    derived("neph.url.decoded", &["request"]),
    derived("neph.url.hosts", &["request"]),
    derived("url.path", &["request"]),
    derived("url.extension", &["request"]),
    derived("url.fragment", &["request"]),
    derived("url.scheme", &["request"]),
    derived("url.domain", &["request"]),
    derived("url.port", &["request"]),
    derived("url.username", &["request"]),
    derived("url.password", &["request"]),
    derived("docker.api.exec_id", &["request"]),
    derived("url.query", &["request"]),
    derived("docker.api.path", &["request"]),
    derived("docker.api.version", &["request"]),
    derived("docker.api.body.*", &["body"]),
    derived("container.id", &["request"]),
    derived("container.name", &["request"]),
    derived("container.image.name", &["request", "body"]),
    derived("container.image.tag", &["request", "body"]),
    derived("container.image.hash.all", &["request", "body"]),
    derived("container.security_context.privileged", &["body"]),
    derived("process.args", &["body"]),
    derived("process.args_count", &["body"]),
    derived("process.command_line", &["body"]),
    derived("process.name", &["body"]),
    derived("host.os.type", &["body"]),
    derived("process.executable", &["body"]),
    derived("process.working_directory", &["body"]),
    derived("process.user.name", &["body"]),
    derived("process.env_vars", &["body"]),
];

/// An operation: its method, the first segment of its path, the last one (after the name of an object) and its names.
/// An empty last segment is a path of one segment; `*` is one that names an object and nothing more.
type Operation = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const OPERATIONS: &[Operation] = &[
    ("GET", "_ping", "", "SystemPing", "info"),
    ("HEAD", "_ping", "", "SystemPing", "info"),
    ("GET", "version", "", "SystemVersion", "access"),
    ("GET", "info", "", "SystemInfo", "access"),
    ("GET", "events", "", "SystemEvents", "access"),
    ("GET", "system", "df", "SystemDataUsage", "access"),
    ("POST", "auth", "", "SystemAuth", "access"),
    ("GET", "containers", "json", "ContainerList", "access"),
    ("GET", "containers", "*/json", "ContainerInspect", "access"),
    ("GET", "containers", "*/top", "ContainerTop", "access"),
    ("GET", "containers", "*/changes", "ContainerChanges", "access"),
    ("GET", "containers", "*/logs", "ContainerLogs", "access"),
    ("GET", "containers", "*/stats", "ContainerStats", "access"),
    ("GET", "containers", "*/export", "ContainerExport", "access"),
    ("GET", "containers", "*/archive", "ContainerArchive", "access"),
    (
        "HEAD",
        "containers",
        "*/archive",
        "ContainerArchiveInfo",
        "access",
    ),
    ("PUT", "containers", "*/archive", "PutContainerArchive", "change"),
    (
        "GET",
        "containers",
        "*/attach/ws",
        "ContainerAttachWebsocket",
        "access",
    ),
    ("POST", "containers", "create", "ContainerCreate", "creation"),
    ("POST", "containers", "prune", "ContainerPrune", "deletion"),
    ("POST", "containers", "*/start", "ContainerStart", "start"),
    ("POST", "containers", "*/restart", "ContainerRestart", "start"),
    ("POST", "containers", "*/unpause", "ContainerUnpause", "start"),
    ("POST", "containers", "*/stop", "ContainerStop", "end"),
    ("POST", "containers", "*/kill", "ContainerKill", "end"),
    ("POST", "containers", "*/pause", "ContainerPause", "end"),
    ("POST", "containers", "*/wait", "ContainerWait", "access"),
    ("POST", "containers", "*/attach", "ContainerAttach", "access"),
    ("POST", "containers", "*/resize", "ContainerResize", "change"),
    ("POST", "containers", "*/rename", "ContainerRename", "change"),
    ("POST", "containers", "*/update", "ContainerUpdate", "change"),
    ("POST", "containers", "*/exec", "ContainerExec", "creation"),
    ("DELETE", "containers", "*", "ContainerDelete", "deletion"),
    ("POST", "exec", "*/start", "ExecStart", "start"),
    ("POST", "exec", "*/resize", "ExecResize", "change"),
    ("GET", "exec", "*/json", "ExecInspect", "access"),
    ("GET", "images", "json", "ImageList", "access"),
    ("GET", "images", "search", "ImageSearch", "access"),
    ("GET", "images", "get", "ImageGetAll", "access"),
    ("GET", "images", "*/get", "ImageGet", "access"),
    ("GET", "images", "*/json", "ImageInspect", "access"),
    ("GET", "images", "*/history", "ImageHistory", "access"),
    ("POST", "images", "create", "ImageCreate", "creation"),
    ("POST", "images", "pull", "ImageCreate", "creation"),
    ("POST", "images", "import", "ImageCreate", "creation"),
    ("POST", "images", "load", "ImageLoad", "creation"),
    ("POST", "images", "prune", "ImagePrune", "deletion"),
    ("POST", "images", "*/push", "ImagePush", "access"),
    ("POST", "images", "*/tag", "ImageTag", "creation"),
    ("DELETE", "images", "*", "ImageDelete", "deletion"),
    ("DELETE", "images", "remove", "ImageDelete", "deletion"),
    ("POST", "build", "", "ImageBuild", "creation"),
    ("POST", "build", "prune", "BuildPrune", "deletion"),
    ("POST", "commit", "", "ImageCommit", "creation"),
    ("POST", "session", "", "Session", "access"),
    ("POST", "grpc", "", "Session", "access"),
    ("GET", "distribution", "*/json", "DistributionInspect", "access"),
    ("GET", "networks", "", "NetworkList", "access"),
    ("GET", "networks", "json", "NetworkList", "access"),
    ("GET", "networks", "*", "NetworkInspect", "access"),
    ("POST", "networks", "create", "NetworkCreate", "creation"),
    ("POST", "networks", "prune", "NetworkPrune", "deletion"),
    ("POST", "networks", "*/connect", "NetworkConnect", "change"),
    ("POST", "networks", "*/disconnect", "NetworkDisconnect", "change"),
    ("DELETE", "networks", "*", "NetworkDelete", "deletion"),
    ("GET", "volumes", "", "VolumeList", "access"),
    ("GET", "volumes", "json", "VolumeList", "access"),
    ("GET", "volumes", "*", "VolumeInspect", "access"),
    ("POST", "volumes", "create", "VolumeCreate", "creation"),
    ("POST", "volumes", "prune", "VolumePrune", "deletion"),
    ("DELETE", "volumes", "*", "VolumeDelete", "deletion"),
    ("GET", "plugins", "", "PluginList", "access"),
    ("POST", "plugins", "pull", "PluginPull", "creation"),
    ("GET", "swarm", "", "SwarmInspect", "access"),
    ("POST", "swarm", "init", "SwarmInit", "creation"),
    ("POST", "swarm", "join", "SwarmJoin", "change"),
    ("GET", "nodes", "", "NodeList", "access"),
    ("GET", "nodes", "*", "NodeInspect", "access"),
    ("GET", "services", "", "ServiceList", "access"),
    ("GET", "services", "*", "ServiceInspect", "access"),
    ("POST", "services", "create", "ServiceCreate", "creation"),
    ("POST", "services", "*/update", "ServiceUpdate", "change"),
    ("GET", "tasks", "", "TaskList", "access"),
    ("GET", "secrets", "", "SecretList", "access"),
    ("GET", "secrets", "*", "SecretInspect", "access"),
    ("POST", "secrets", "create", "SecretCreate", "creation"),
    ("GET", "configs", "", "ConfigList", "access"),
    ("GET", "configs", "*", "ConfigInspect", "access"),
    ("POST", "configs", "create", "ConfigCreate", "creation"),
];

/// A path without its version and the mark of Podman's own interface, and the version.
pub(in crate::sources) fn stripped(path: &str) -> (&str, Option<&str>) {
    let mut rest = path;
    let mut version = None;
    if let Some(behind) = path.strip_prefix("/v") {
        let (number, tail) = behind.split_once('/').unwrap_or((behind, ""));
        if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            version = Some(number);
            rest = path.get(path.len() - tail.len() - 1..).unwrap_or(path);
        }
    }
    if let Some(tail) = rest.strip_prefix("/libpod")
        && tail.starts_with('/')
    {
        rest = tail;
    }
    (rest, version)
}

/// The operation of a call, and the object that its path names.
fn operation<'p>(method: &str, path: &'p str) -> (Option<&'static Operation>, Option<&'p str>) {
    let path = path.trim_matches('/');
    let (first, tail) = path.split_once('/').unwrap_or((path, ""));
    let fits = |last: &str| match last.strip_prefix('*') {
        Some(verb) => tail.strip_suffix(verb).is_some_and(|object| !object.is_empty()),
        None => last == tail,
    };
    // An image may have any name, so that of a fixed path goes before `*`, and a longer end before a shorter one.
    let found = OPERATIONS
        .iter()
        .filter(|known| known.0 == method && known.1 == first && fits(known.2))
        .max_by_key(|known| (!known.2.starts_with('*'), known.2.len()));
    let object = found.and_then(|known| tail.strip_suffix(known.2.strip_prefix('*')?));
    (found, object.filter(|object| !object.is_empty()))
}

/// Sets what a call says: the request, its operation, and the container or image that it is about.
pub(in crate::sources) fn request<'a>(document: &'a Map<'a>, method: &'a str, asked: &'a str) {
    document.put_text("http.request.method", method);
    web::target(document, asked);
    let whole = document.at("url.path").and_then(Value::as_text).unwrap_or("");
    let (path, version) = stripped(whole);
    document.put_text("docker.api.path", path);
    if let Some(version) = version {
        document.put_text("docker.api.version", version);
    }
    let (found, object) = operation(method, path);
    let first = path.trim_start_matches('/').split('/').next().unwrap_or("");
    match (first, object) {
        ("containers", Some(object)) => docker::container(document, object),
        ("images" | "distribution", Some(object)) => docker::image(document, decoded(document, object)),
        ("exec", Some(object)) => {
            document.put_text("docker.api.exec_id", object);
        }
        _ => {}
    }
    queried(document, found.map_or("", |known| known.3));
    let (name, nature) = match found {
        Some(known) => (known.3, known.4),
        None => {
            let nature = match method {
                "GET" | "HEAD" => "access",
                "POST" => "change",
                "PUT" => "change",
                "DELETE" => "deletion",
                _ => "info",
            };
            (document.text(&[method, " /", first].concat()) as &str, nature)
        }
    };
    if let Some(event) = document.child("event") {
        event.set("kind", Value::Text("event"));
        event.set("action", Value::Text(name));
        event.put_texts("category", &["api"]);
        event.put_texts("type", &[nature]);
    }
}

/// What the query of a call names.
fn queried<'a>(document: &'a Map<'a>, operation: &str) {
    let Some(query) = document.at("url.query").and_then(Value::as_text) else {
        return;
    };
    let value = |wanted: &str| {
        query.split('&').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            (name == wanted && !value.is_empty()).then(|| decoded(document, value))
        })
    };
    let tagged = |name: &'a str| match value("tag") {
        Some(tag) if tag.starts_with("sha256:") => document.text(&[name, "@", tag].concat()),
        Some(tag) => document.text(&[name, ":", tag].concat()),
        None => name,
    };
    match operation {
        "ContainerCreate" => {
            if let Some(name) = value("name") {
                document.put_text("container.name", name);
            }
        }
        "ImageCommit" => {
            if let Some(name) = value("container") {
                docker::container(document, name);
            }
            if let Some(name) = value("repo") {
                docker::image(document, tagged(name));
            }
        }
        "ImageCreate" => {
            if let Some(name) = value("fromImage")
                .or_else(|| value("repo"))
                .or_else(|| value("reference"))
            {
                docker::image(document, tagged(name));
            }
        }
        "ImageTag" => {
            if let Some(name) = value("repo") {
                docker::image(document, tagged(name));
            }
        }
        "ImagePush" => {
            if let Some(name) = document.at("container.image.name").and_then(Value::as_text) {
                docker::image(document, tagged(name));
            }
        }
        "ImageBuild" => {
            if let Some(name) = value("t") {
                docker::image(document, name);
            }
        }
        _ => {}
    }
}

/// Sets what the body of a call says: the command of an exec or of a new container, and how that may run.
pub(in crate::sources) fn body<'a>(document: &'a Map<'a>, body: &'a Map<'a>) {
    let command = |key: &str| body.get(key).and_then(Value::as_list).unwrap_or(&[]);
    let operation = document.at("event.action").and_then(Value::as_text).unwrap_or("");
    match operation {
        "ContainerExec" => {
            docker::command(document, command("Cmd"));
            // The start that follows names the exec by an id that no line ties to its command.
            document.put_texts("event.category", &["api", "process"]);
            document.put_texts("event.type", &["creation", "start"]);
        }
        "ContainerCreate" => {
            let whole: Vec<Value<'a>> = command("Entrypoint")
                .iter()
                .chain(command("Cmd"))
                .copied()
                .collect();
            docker::command(document, &whole);
            if let Some(image) = body.text_at("Image").or_else(|| body.text_at("image")) {
                docker::image(document, image);
            }
        }
        // A body whose call is not known.
        "" => docker::command(document, command("Cmd")),
        _ => {}
    }
    let privileged = body
        .get("Privileged")
        .or_else(|| body.at("HostConfig.Privileged"));
    if let Some(privileged @ Value::Bool(_)) = privileged {
        document.put("container.security_context.privileged", privileged);
    }
    for (key, field) in [
        ("WorkingDir", "process.working_directory"),
        ("User", "process.user.name"),
    ] {
        if let Some(text) = body.text_at(key) {
            document.put_text(field, text);
        }
    }
    if let Some(variables @ Value::List(list)) = body.get("Env")
        && !list.is_empty()
    {
        document.put("process.env_vars", variables);
    }
    body.prune();
    if !body.is_empty() {
        document.put("docker.api.body", Value::Map(body));
    }
}

/// A text with its percent escapes resolved, where that gives text.
fn decoded<'a>(at: &'a Map<'a>, text: &'a str) -> &'a str {
    url_parts::decoded(text).map_or(text, |plain| at.text(&plain))
}
