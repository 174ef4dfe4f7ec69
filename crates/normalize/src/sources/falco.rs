//! Falco: alerts as JSON, as Falco prints them and as falcosidekick sends them on.
//!
//! <https://falco.org/docs/concepts/outputs/formatting/>, <https://falco.org/docs/reference/rules/supported-fields/>. An
//! alert names the rule and, in `output_fields`, the fields that the rule's output mentions; what is there becomes a
//! process, file or network event, so that other rules can look at what Falco saw. The stable id of a process is put
//! together from its host, pid and start time, where Falco prints them.

use std::sync::LazyLock;

use crate::convert;
use crate::mapping::{self, How, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::sources::{docker, sensor, web};
use crate::tree::{Map, Value};

pub(super) const INFO: SourceInfo = SourceInfo {
    name: "falco",
    aliases: &["falco_alerts"],
    title: "Falco alerts as JSON, also by syslog and falcosidekick",
    module: "falco",
    dataset: "falco.alerts",
    os: Some("linux"),
    mappings: &[ALERT, FIELDS],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

static ALERT_PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[ALERT]));

const ALERT: &[Mapping] = &[
    to(How::Date, "time", "@timestamp"),
    keep("uuid", "event.id"),
    keep("rule", "rule.name"),
    keep("priority", "log.level"),
    keep("output", "message"),
    keep("hostname", "host.name"),
    keep("hostname", "host.hostname"),
    keep("hostname", "host.id"),
    keep("source", "event.provider"),
    keep("tags", "tags"),
    keep("output_fields", "falco.output_fields"),
];

/// Falco's fields, whose keys hold dots; the rows are applied one by one.
const FIELDS: &[Mapping] = &[
    keep("proc.name", "process.name"),
    keep("proc.exepath", "process.executable"),
    keep("proc.exe", "process.executable"),
    keep("proc.cmdline", "process.command_line"),
    keep("proc.cwd", "process.working_directory"),
    to(How::Long, "proc.pid", "process.pid"),
    to(How::Long, "proc.vpid", "process.vpid"),
    keep("proc.exe_ino.ctime", "falco.exe_ctime"),
    keep("proc.pname", "process.parent.name"),
    keep("proc.pexepath", "process.parent.executable"),
    keep("proc.pexe", "process.parent.executable"),
    keep("proc.pcmdline", "process.parent.command_line"),
    to(How::Long, "proc.ppid", "process.parent.pid"),
    keep("proc.sname", "process.session_leader.name"),
    to(How::Long, "proc.sid", "process.session_leader.pid"),
    keep("proc.env", "process.env_vars"),
    keep("thread.cap_effective", "process.thread.capabilities.effective"),
    keep("thread.cap_permitted", "process.thread.capabilities.permitted"),
    keep("user.name", "user.name"),
    to(How::Text, "user.uid", "user.id"),
    keep("user.loginname", "user.audit.name"),
    to(How::Text, "user.loginuid", "user.audit.id"),
    keep("group.name", "group.name"),
    to(How::Text, "group.gid", "group.id"),
    keep("container.name", "container.name"),
    keep("container.privileged", "container.security_context.privileged"),
    keep("container.image.digest", "container.image.hash.all"),
    keep("k8s.ns.name", "orchestrator.namespace"),
    keep("k8smeta.ns.name", "orchestrator.namespace"),
    keep("k8s.pod.name", "orchestrator.resource.name"),
    keep("k8smeta.pod.name", "orchestrator.resource.name"),
    keep("fd.name", "falco.fd_name"),
    to(How::Ip, "fd.cip", "source.ip"),
    to(How::Long, "fd.cport", "source.port"),
    to(How::Ip, "fd.sip", "destination.ip"),
    to(How::Long, "fd.sport", "destination.port"),
    keep("fd.sip.name", "destination.domain"),
    keep("fd.l4proto", "network.transport"),
    keep("evt.type", "falco.evt_type"),
    keep("evt.hostname", "host.name"),
    // What the plugin for Kubernetes audit prints.
    keep("ka.user.name", "user.name"),
    keep("ka.verb", "event.action"),
    keep("ka.target.resource", "orchestrator.resource.type"),
    keep("ka.target.name", "orchestrator.resource.name"),
    keep("ka.target.namespace", "orchestrator.namespace"),
];

const DERIVED: &[Derived] = &[
    derived("event.kind", &[]),
    derived("event.category", &["output_fields"]),
    derived("event.type", &["output_fields"]),
    derived("event.action", &["output_fields"]),
    derived("event.severity", &["priority"]),
    derived("event.reason", &["rule"]),
    derived("process.entity_id", &["output_fields", "hostname"]),
    derived("process.parent.entity_id", &["output_fields", "hostname"]),
    derived("process.args", &["output_fields"]),
    derived("process.args_count", &["output_fields"]),
    derived("process.parent.args", &["output_fields"]),
    derived("process.parent.args_count", &["output_fields"]),
    derived("source.domain", &["output_fields"]),
    derived("process.interactive", &["output_fields"]),
    derived("process.entry_leader.entry_meta.type", &["output_fields"]),
    derived("process.entry_leader.same_as_process", &["output_fields"]),
    derived("container.id", &["output_fields"]),
    derived("container.image.name", &["output_fields"]),
    derived("container.image.tag", &["output_fields"]),
    derived("orchestrator.type", &["output_fields"]),
    derived("orchestrator.resource.type", &["output_fields"]),
    derived("file.path", &["output_fields"]),
    derived("file.name", &["output_fields"]),
    derived("file.directory", &["output_fields"]),
    derived("file.extension", &["output_fields"]),
    derived("source.address", &["output_fields"]),
    derived("destination.address", &["output_fields"]),
    derived("threat.technique.id", &["tags"]),
    derived("related.ip", &["output_fields"]),
    derived("related.user", &["output_fields"]),
];

fn detect(record: &Record<'_>) -> Confidence {
    let Some(object) = record.object else {
        return Confidence::No;
    };
    let texts = ["rule", "priority"]
        .iter()
        .all(|key| object.text_at_key(key).is_some());
    let fields = object.map_at("output_fields").is_some();
    match (
        texts && object.get("time").is_some(),
        fields,
        object.get("output").is_some(),
    ) {
        (true, true, _) => Confidence::Certain,
        // Output fields can be switched off.
        (true, false, true) => Confidence::Likely,
        _ => Confidence::No,
    }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some(object) = record.object else {
        return Err(Dropped::Malformed("it is no JSON object"));
    };
    let document = record.document();
    sensor::no_data_stream(document);
    let empty = record.arena.map();
    let fields = object.map_at("output_fields").unwrap_or(empty);
    ALERT_PLAN.apply(object, document);
    for row in FIELDS {
        // `<NA>` says that a field has no value, as does null.
        let value = fields
            .get(row.from)
            .filter(|value| !value.is_blank() && value.as_text() != Some("<NA>"));
        if let Some(value) = value.and_then(|value| mapping::converted(row.how, value, document)) {
            document.put_new(row.to, value);
        }
    }
    if document.at("@timestamp").is_none()
        && let Some(nanos) = fields.get("evt.time").and_then(Value::to_int)
        && let Some(date) = convert::date(Value::Int(nanos / 1_000_000), document)
    {
        document.put_text("@timestamp", date);
    }
    commands(document);
    container(fields, document);
    ids(fields, document);
    if let Some(terminal) = fields.get("proc.tty").and_then(Value::to_int) {
        document.put("process.interactive", Value::Bool(terminal != 0));
    }
    if let Some(user @ Value::Text(_)) = document.at("user.name") {
        document.append_new("related.user", user);
    }
    techniques(object, document);
    classify(object, fields, document);
    Ok(document)
}

/// The arguments of the command lines, which Falco joins by blanks.
fn commands<'a>(document: &'a Map<'a>) {
    for prefix in ["process", "process.parent"] {
        let Some(process) = document.map_at(prefix) else {
            continue;
        };
        let Some(line) = process.text_at_key("command_line") else {
            continue;
        };
        let arguments = sensor::arguments(line);
        process.put_texts("args", &arguments);
        process.set(
            "args_count",
            Value::Int(i64::try_from(arguments.len()).unwrap_or(i64::MAX)),
        );
        // The name is cut to 15 characters by the kernel.
        if let Some(executable) = process
            .text_at_key("executable")
            .filter(|path| path.starts_with('/'))
        {
            process.set(
                "name",
                Value::Text(executable.rsplit('/').next().unwrap_or(executable)),
            );
        }
    }
}

fn container<'a>(fields: &Map<'a>, document: &'a Map<'a>) {
    let text = |key: &str| fields.text_at_key(key).filter(|text| *text != "<NA>");
    if document.map_at("orchestrator").is_some() {
        document.put_text("orchestrator.type", "kubernetes");
        if text("k8s.pod.name")
            .or_else(|| text("k8smeta.pod.name"))
            .is_some()
        {
            document.put_text("orchestrator.resource.type", "pod");
        }
    }
    // The host is a container named so.
    let Some(id) = text("container.id").filter(|id| *id != "host") else {
        return;
    };
    document.put_text("container.id", id);
    document.put_text("process.entry_leader.entry_meta.type", "container");
    if let Some(pid) = fields.get("proc.vpid").and_then(Value::to_int) {
        document.put("process.entry_leader.same_as_process", Value::Bool(pid == 1));
    }
    let image = match (text("container.image.repository"), text("container.image.tag")) {
        (Some(name), Some(tag)) => Some(document.text(&[name, ":", tag].concat())),
        (name, _) => text("container.image").or(name),
    };
    if let Some(image) = image {
        docker::image(document, image);
    }
    if let Some(digest) = document.text_at("container.image.hash.all") {
        document.put_texts("container.image.hash.all", &[digest]);
    }
}

/// The stable ids of the process and its parent.
fn ids<'a>(fields: &Map<'a>, document: &'a Map<'a>) {
    let host = document.text_at("host.name").unwrap_or("");
    let number = |keys: &[&str]| keys.iter().find_map(|key| fields.get(key)?.to_int());
    for (pid, start, field) in [
        (
            &["proc.pid"][..],
            &["proc.pid.ts", "proc.start_ts"][..],
            "process.entity_id",
        ),
        (
            &["proc.ppid"][..],
            &["proc.ppid.ts"][..],
            "process.parent.entity_id",
        ),
    ] {
        if let (Some(pid), Some(start)) = (number(pid), number(start)) {
            document.put_text(field, document.text(&format!("{host}:{pid}:{start}")));
        }
    }
}

/// The techniques that the rule's tags name.
fn techniques<'a>(object: &Map<'a>, document: &'a Map<'a>) {
    let tags = object.get("tags").and_then(Value::as_list).unwrap_or(&[]);
    let is_technique = |tag: &&str| {
        tag.strip_prefix('T').is_some_and(|number| {
            number.len() >= 4 && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        })
    };
    let ids = tags.iter().filter_map(|tag| tag.as_text()).filter(is_technique);
    document.extend_new("threat.technique.id", ids.map(Value::Text));
}

fn classify<'a>(object: &Map<'a>, fields: &Map<'a>, document: &'a Map<'a>) {
    let text = |key: &str| fields.text_at_key(key).filter(|text| *text != "<NA>");
    let call = text("evt.type").unwrap_or("");
    let (category, nature, action) = match call {
        "execve" | "execveat" | "clone" | "fork" | "vfork" | "clone3" | "container" => {
            ("process", "start", "exec")
        }
        "procexit" => ("process", "end", "end"),
        "open" | "openat" | "openat2" | "creat" | "open_by_handle_at" => ("file", "change", "open"),
        "unlink" | "unlinkat" | "rmdir" => ("file", "deletion", "deletion"),
        "rename" | "renameat" | "renameat2" => ("file", "change", "rename"),
        "link" | "linkat" | "symlink" | "symlinkat" | "mkdir" | "mkdirat" => ("file", "creation", "creation"),
        "write" | "pwrite" | "chmod" | "fchmod" | "fchmodat" | "chown" | "fchownat" | "truncate" => {
            ("file", "change", "modification")
        }
        "connect" => ("network", "start", "connection_attempted"),
        "accept" | "accept4" => ("network", "start", "connection_accepted"),
        "sendto" | "sendmsg" | "recvfrom" | "recvmsg" | "listen" | "bind" => ("network", "info", call),
        "" if text("ka.verb").is_some() => ("configuration", "info", ""),
        "" if text("fd.sip").is_some() => ("network", "info", "connection"),
        _ => ("process", "info", call),
    };
    if category == "file"
        && let Some(path) = ["fs.path.name", "fd.name", "evt.arg.path", "evt.arg.name"]
            .iter()
            .find_map(|key| text(key))
    {
        sensor::file(document, path);
    }
    // `10.0.0.1:40000->169.254.169.254:80`, where the parts have no fields of their own.
    if category == "network"
        && document.at("destination.ip").is_none()
        && let Some((from, to)) = text("fd.name")
            .or_else(|| text("connection"))
            .and_then(|name| name.split_once("->"))
    {
        web::peer(document, "source", from);
        web::peer(document, "destination", to);
    }
    for field in ["source.ip", "destination.ip"] {
        if let Some(address) = document.at(field) {
            document.append_new("related.ip", address);
        }
    }
    let severity = match object
        .text_at_key("priority")
        .map(str::to_ascii_lowercase)
        .as_deref()
    {
        Some("emergency") => 0,
        Some("alert") => 1,
        Some("critical") => 2,
        Some("error") => 3,
        Some("warning") => 4,
        Some("notice") => 5,
        Some("informational" | "info") => 6,
        _ => 7,
    };
    if let Some(event) = document.child("event") {
        event.set("kind", Value::Text("alert"));
        event.set("severity", Value::Int(severity));
        event.put_texts("category", &[category]);
        event.put_texts("type", &[nature]);
        if !action.is_empty() {
            event.set("action", Value::Text(action));
        }
        if let Some(rule) = object.get("rule") {
            event.set("reason", rule);
        }
    }
}
