//! Tetragon: JSON export of its events.
//!
//! <https://tetragon.io/docs/reference/grpc-api/>. `exec_id` is the stable id of a process, so lineage is
//! `process.entity_id` and `process.parent.entity_id`. Hooks become what they watch: files that are opened, connections,
//! privileges, modules; a hook that is none of these is a process event with the name of its function.

use std::sync::LazyLock;

use crate::convert;
use crate::mapping::{How, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::sources::{docker, sensor};
use crate::tree::{Map, Value};

pub(super) const INFO: SourceInfo = SourceInfo {
    name: "tetragon",
    aliases: &[],
    title: "Tetragon events as JSON: processes that start and end, hooks on files, connections and system calls",
    module: "tetragon",
    dataset: "tetragon.events",
    os: Some("linux"),
    mappings: &[FIELDS],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[FIELDS]));

/// By the names inside of an event; `process` and `parent` are filled by code, alike.
const FIELDS: &[Mapping] = &[
    keep("function_name", "tetragon.function_name"),
    keep("policy_name", "rule.name"),
    keep("policy_name", "tetragon.policy_name"),
    keep("action", "tetragon.action"),
    keep("return", "tetragon.return"),
    keep("args", "tetragon.args"),
    keep("message", "event.reason"),
    keep("tags", "rule.category"),
    keep("subsys", "tetragon.subsys"),
    keep("event", "tetragon.event"),
    keep("signal", "tetragon.signal"),
    keep("path", "dll.path"),
    to(How::Long, "status", "process.exit_code"),
    to(How::Date, "time", "process.end"),
];

const DERIVED: &[Derived] = &[
    derived("@timestamp", &["time"]),
    derived("event.kind", &[]),
    derived("event.category", &[]),
    derived("event.type", &[]),
    derived("event.action", &[]),
    derived("event.outcome", &[]),
    derived("host.name", &["node_name"]),
    derived("host.hostname", &["node_name"]),
    derived("host.id", &["node_name"]),
    derived("orchestrator.cluster.name", &["cluster_name"]),
    derived("orchestrator.type", &[]),
    derived("orchestrator.namespace", &[]),
    derived("orchestrator.resource.type", &[]),
    derived("orchestrator.resource.name", &[]),
    derived("kubernetes.namespace", &[]),
    derived("kubernetes.pod.name", &[]),
    derived("kubernetes.labels.*", &[]),
    derived("container.id", &[]),
    derived("container.name", &[]),
    derived("container.runtime", &[]),
    derived("container.image.name", &[]),
    derived("container.image.tag", &[]),
    derived("container.image.hash.all", &[]),
    derived("container.security_context.privileged", &[]),
    derived("process.entity_id", &[]),
    derived("process.pid", &[]),
    derived("process.name", &[]),
    derived("process.executable", &[]),
    derived("process.args", &[]),
    derived("process.args_count", &[]),
    derived("process.command_line", &[]),
    derived("process.working_directory", &[]),
    derived("process.start", &[]),
    derived("process.interactive", &[]),
    derived("process.thread.capabilities.permitted", &[]),
    derived("process.thread.capabilities.effective", &[]),
    derived("process.user.id", &[]),
    derived("process.parent.entity_id", &[]),
    derived("process.parent.pid", &[]),
    derived("process.parent.name", &[]),
    derived("process.parent.executable", &[]),
    derived("process.parent.args", &[]),
    derived("process.parent.args_count", &[]),
    derived("process.parent.command_line", &[]),
    derived("process.parent.working_directory", &[]),
    derived("process.parent.start", &[]),
    derived("process.parent.user.id", &[]),
    derived("process.parent.interactive", &[]),
    derived("process.parent.thread.capabilities.permitted", &[]),
    derived("process.parent.thread.capabilities.effective", &[]),
    derived("process.entry_leader.entry_meta.type", &[]),
    derived("process.entry_leader.entity_id", &[]),
    derived("process.entry_leader.same_as_process", &[]),
    derived("user.id", &[]),
    derived("user.name", &[]),
    derived("user.effective.id", &[]),
    derived("file.path", &["args"]),
    derived("file.name", &["args"]),
    derived("file.directory", &["args"]),
    derived("file.extension", &["args"]),
    derived("source.ip", &["args"]),
    derived("source.port", &["args"]),
    derived("destination.ip", &["args"]),
    derived("destination.port", &["args"]),
    derived("network.transport", &["args"]),
    derived("network.type", &["args"]),
    derived("network.direction", &["function_name"]),
    derived("related.ip", &["args"]),
    derived("tetragon.process.*", &[]),
];

const EVENTS: &[&str] = &[
    "process_exec",
    "process_exit",
    "process_kprobe",
    "process_tracepoint",
    "process_uprobe",
    "process_lsm",
    "process_loader",
    "process_usdt",
];

/// The event inside of a record and its name.
fn event<'a>(object: &Map<'a>) -> Option<(&'static str, &'a Map<'a>)> {
    EVENTS
        .iter()
        .find_map(|name| Some((*name, object.get(name)?.as_map()?)))
}

fn detect(record: &Record<'_>) -> Confidence {
    let known = record.object.and_then(event).is_some_and(|(_, event)| {
        event
            .get("process")
            .is_some_and(|process| process.as_map().is_some())
    });
    if known {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some((name, inside)) = record.object.and_then(event) else {
        return Err(Dropped::Malformed("it holds no event of a process"));
    };
    let document = record.document();
    sensor::no_data_stream(document);
    PLAN.apply(inside, document);
    if let Some(time) = record.at("time").and_then(|time| convert::date(time, document)) {
        document.put_text("@timestamp", time);
    }
    if let Some(node) = record.text_at("node_name") {
        for field in ["host.name", "host.hostname", "host.id"] {
            document.put_text(field, node);
        }
    }
    if let Some(cluster) = record.text_at("cluster_name") {
        document.put_text("orchestrator.cluster.name", cluster);
    }
    if let Some(described) = inside.map_at("process")
        && let Some(process) = document.child("process")
    {
        process_of(described, process);
        let parent = inside.map_at("parent");
        if let Some(parent) = parent
            && let Some(target) = process.child("parent")
        {
            process_of(parent, target);
        }
        if let Some(id) = described.text_at("parent_exec_id") {
            process.put_text("parent.entity_id", id);
        }
        user(described, document);
        pod(described, parent, document);
    }
    match name {
        "process_exec" => classify(document, &["process"], "start", "exec"),
        "process_exit" => classify(document, &["process"], "end", "end"),
        "process_loader" => classify(document, &["library"], "start", "load"),
        _ => hook(inside, name, document),
    }
    Ok(document)
}

fn classify<'a>(document: &'a Map<'a>, category: &[&'a str], nature: &'a str, action: &'a str) {
    let Some(event) = document.child("event") else {
        return;
    };
    event.set("kind", Value::Text("event"));
    event.put_texts("category", category);
    event.put_texts("type", &[nature]);
    event.set("action", Value::Text(action));
}

/// Fills `process` or `process.parent`.
fn process_of<'a>(described: &Map<'a>, process: &'a Map<'a>) {
    if let Some(id) = described.text_at("exec_id") {
        process.set("entity_id", Value::Text(id));
    }
    let binary = described.text_at("binary").unwrap_or("");
    let mut arguments = sensor::arguments(described.text_at("arguments").unwrap_or(""));
    // The name of the program is not among them.
    arguments.insert(0, binary.rsplit('/').next().unwrap_or(binary));
    sensor::command(process, binary, if binary.is_empty() { &[] } else { &arguments });
    if let Some(directory) = described.text_at("cwd") {
        process.set("working_directory", Value::Text(directory));
    }
    if let Some(pid) = described.get("pid").and_then(Value::to_int) {
        process.set("pid", Value::Int(pid));
    }
    if let Some(start) = described
        .get("start_time")
        .and_then(|time| convert::date(time, process))
    {
        process.set("start", Value::Text(start));
    }
    if let Some(uid) = described.get("uid").and_then(|uid| convert::text(uid, process)) {
        process.put_text("user.id", uid);
    }
    for kind in ["permitted", "effective"] {
        if let Some(capabilities @ Value::List(list)) = described.map_at("cap").and_then(|cap| cap.get(kind))
            && !list.is_empty()
            && let Some(target) = process
                .child("thread")
                .and_then(|thread| thread.child("capabilities"))
        {
            target.set(kind, capabilities);
        }
    }
    if let Some(terminal) = described.get("tty").and_then(|tty| convert::text(tty, process))
        && !terminal.is_empty()
    {
        process.set("interactive", Value::Bool(terminal != "0"));
    }
}

fn user<'a>(described: &Map<'a>, document: &'a Map<'a>) {
    if let Some(uid) = described.get("uid").and_then(|uid| convert::text(uid, document)) {
        document.put_text("user.id", uid);
    }
    if let Some(name) = described.text_at("user.name") {
        document.put_text("user.name", name);
    }
    let effective = described.at("process_credentials.euid");
    if let Some(uid) = effective.and_then(|uid| convert::text(uid, document)) {
        document.put_text("user.effective.id", uid);
    }
    for key in [
        "flags",
        "ns",
        "tid",
        "auid",
        "binary_properties",
        "cap",
        "process_credentials",
    ] {
        if let Some(value) = described.get(key).filter(|value| !value.is_blank())
            && let Some(kept) = document.child("tetragon").and_then(|kept| kept.child("process"))
        {
            kept.set(key, value);
        }
    }
}

/// The pod and container of a process.
fn pod<'a>(described: &Map<'a>, parent: Option<&'a Map<'a>>, document: &'a Map<'a>) {
    // Without Kubernetes there is the beginning of the id alone.
    if let Some(id) = described.text_at("docker") {
        document.put_text("container.id", id);
    }
    let Some(pod) = described.map_at("pod") else {
        return entry(described, parent, None, document);
    };
    document.put_text("orchestrator.type", "kubernetes");
    if let Some(namespace) = pod.text_at("namespace") {
        document.put_text("orchestrator.namespace", namespace);
        document.put_text("kubernetes.namespace", namespace);
    }
    if let Some(name) = pod.text_at("name") {
        document.put_text("orchestrator.resource.type", "pod");
        document.put_text("orchestrator.resource.name", name);
        document.put_text("kubernetes.pod.name", name);
    }
    if let Some(labels) = pod.map_at("pod_labels") {
        let out = document.new_map();
        for (name, value) in labels.iter() {
            out.add(document.text(&name.replace('.', "_")), value);
        }
        document.put("kubernetes.labels", Value::Map(out));
    }
    if let Some(container) = pod.map_at("container") {
        if let Some(id) = container.text_at("id") {
            let (runtime, id) = id.split_once("://").unwrap_or(("", id));
            document.put_text("container.id", id);
            if !runtime.is_empty() {
                document.put_text("container.runtime", runtime);
            }
        }
        if let Some(name) = container.text_at("name") {
            document.put_text("container.name", name);
        }
        if let Some(image) = container.text_at("image.name") {
            docker::image(document, image);
        }
        if let Some((_, digest)) = container.text_at("image.id").and_then(|id| id.rsplit_once('@')) {
            document.put_texts("container.image.hash.all", &[digest]);
        }
        if let Some(privileged @ Value::Bool(_)) = container.at("security_context.privileged") {
            document.put("container.security_context.privileged", privileged);
        }
    }
    let pid = pod.at("container.pid").and_then(Value::to_int);
    entry(described, parent, pid, document);
}

/// The first process of a container leads the others; `pid` is the process's own pid inside of the container.
fn entry<'a>(described: &Map<'a>, parent: Option<&Map<'a>>, pid: Option<i64>, document: &'a Map<'a>) {
    let in_container = described.get("docker").is_some() || described.get("pod").is_some();
    if !in_container {
        return;
    }
    let outside = parent.is_some_and(|parent| parent.get("docker").is_none() && parent.get("pod").is_none());
    let first = pid == Some(1) || (pid.is_none() && outside);
    let Some(leader) = document
        .child("process")
        .and_then(|process| process.child("entry_leader"))
    else {
        return;
    };
    leader.put_text("entry_meta.type", "container");
    leader.set("same_as_process", Value::Bool(first));
    if let Some(id) = described.text_at("exec_id").filter(|_| first) {
        leader.set("entity_id", Value::Text(id));
    }
}

/// Functions of the kernel and what they do to a file, beginning with the longer of two that begin alike.
const FILE_FUNCTIONS: &[(&str, &str, &str)] = &[
    ("unlink", "deletion", "deletion"),
    ("rmdir", "deletion", "deletion"),
    ("rename", "change", "rename"),
    ("chmod", "change", "modification"),
    ("chown", "change", "modification"),
    ("truncate", "change", "modification"),
    ("write", "change", "modification"),
    ("mkdir", "creation", "creation"),
    ("mknod", "creation", "creation"),
    ("link", "creation", "creation"),
    ("fd_install", "change", "open"),
    ("file_permission", "change", "open"),
    ("file_open", "change", "open"),
    ("open", "change", "open"),
    ("mmap", "access", "open"),
    ("mount", "change", "mount"),
];

fn hook<'a>(inside: &Map<'a>, name: &'static str, document: &'a Map<'a>) {
    let arguments = inside.get("args").and_then(Value::as_list).unwrap_or(&[]);
    let function = ["function_name", "event", "symbol", "path"]
        .iter()
        .find_map(|key| inside.text_at(key))
        .unwrap_or(name);
    let typed = |kinds: &[&str]| {
        arguments
            .iter()
            .filter_map(|argument| argument.as_map())
            .find_map(|argument| kinds.iter().find_map(|kind| argument.get(kind)))
    };
    if let Some(socket) = typed(&["sock_arg", "skb_arg", "sockaddr_arg"]).and_then(Value::as_map) {
        return connection(socket, function, document);
    }
    let path = typed(&["file_arg", "path_arg", "linux_binprm_arg"])
        .and_then(|value| value.as_map()?.text_at("path"))
        .or_else(|| {
            typed(&["string_arg"])?
                .as_text()
                .filter(|text| text.starts_with('/'))
        });
    let known = FILE_FUNCTIONS.iter().find(|(part, _, _)| function.contains(part));
    match (path, known) {
        (Some(path), Some((_, nature, action))) => {
            sensor::file(document, path);
            classify(document, &["file"], nature, action);
        }
        (path, _) => {
            if let Some(path) = path {
                sensor::file(document, path);
            }
            classify(document, &["process"], "info", function);
        }
    }
}

fn connection<'a>(socket: &Map<'a>, function: &'a str, document: &'a Map<'a>) {
    for (key, field) in [("saddr", "source.ip"), ("daddr", "destination.ip")] {
        if let Some(address) = socket.get(key).and_then(convert::ip) {
            document.put(field, address);
            document.append_new("related.ip", address);
        }
    }
    for (key, field) in [("sport", "source.port"), ("dport", "destination.port")] {
        if let Some(port) = socket.get(key).and_then(Value::to_int).filter(|port| *port > 0) {
            document.put(field, Value::Int(port));
        }
    }
    let kind = |name: &str| match name {
        "IPPROTO_TCP" => Some("tcp"),
        "IPPROTO_UDP" => Some("udp"),
        "IPPROTO_ICMP" => Some("icmp"),
        "AF_INET" => Some("ipv4"),
        "AF_INET6" => Some("ipv6"),
        _ => None,
    };
    for (key, field) in [("protocol", "network.transport"), ("family", "network.type")] {
        if let Some(text) = socket.text_at(key).and_then(kind) {
            document.put_text(field, text);
        }
    }
    let (nature, action, direction) = match function {
        name if name.contains("accept") => ("start", "connection_accepted", Some("ingress")),
        name if name.contains("connect") => ("start", "connection_attempted", Some("egress")),
        name if name.contains("close") || name.contains("destroy") => ("end", "disconnect_received", None),
        name => ("info", name, None),
    };
    if let Some(direction) = direction {
        document.put_text("network.direction", direction);
    }
    classify(document, &["network"], nature, action);
}
