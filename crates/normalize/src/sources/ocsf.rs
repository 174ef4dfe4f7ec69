//! Events of the Open Cybersecurity Schema Framework, version 1.
//!
//! <https://schema.ocsf.io/>. The class of an event decides what becomes of its parts: who acted is the process of a file
//! or network event, but the parent of a process that was started. Events of OCSF belong to no data stream of Elastic's,
//! so their documents name none, and rules of any index pattern look at them.

use std::sync::LazyLock;

use crate::convert;
use crate::mapping::{How, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::sources::{docker, sensor, web};
use crate::tree::{Map, Value};

pub(super) const INFO: SourceInfo = SourceInfo {
    name: "ocsf",
    aliases: &["security_lake"],
    title: "OCSF 1.x events: processes, files, network, HTTP, DNS, authentication, API calls, findings",
    module: "ocsf",
    dataset: "ocsf.events",
    os: None,
    mappings: &[FIELDS],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[FIELDS]));

const FIELDS: &[Mapping] = &[
    to(How::Date, "time", "@timestamp"),
    to(How::Date, "time_dt", "@timestamp"),
    to(How::Date, "start_time", "event.start"),
    to(How::Date, "end_time", "event.end"),
    keep("message", "message"),
    keep("raw_data", "event.original"),
    keep("metadata.uid", "event.id"),
    keep("metadata.event_code", "event.code"),
    keep("metadata.product.name", "observer.product"),
    keep("metadata.product.vendor_name", "observer.vendor"),
    keep("metadata.version", "ocsf.version"),
    to(How::Long, "class_uid", "ocsf.class_uid"),
    keep("class_name", "ocsf.class_name"),
    keep("category_name", "ocsf.category_name"),
    keep("activity_name", "ocsf.activity_name"),
    to(How::Long, "type_uid", "ocsf.type_uid"),
    keep("unmapped", "ocsf.unmapped"),
    keep("api.operation", "event.action"),
    keep("api.service.name", "event.provider"),
    keep("api.response.error", "error.code"),
    keep("api.response.error_message", "error.message"),
    keep("api.request.uid", "http.request.id"),
    keep("api.request.data", "ocsf.api.request"),
    keep("api.response.data", "ocsf.api.response"),
    keep("resources", "ocsf.resources"),
    keep("cloud.provider", "cloud.provider"),
    keep("cloud.region", "cloud.region"),
    keep("cloud.account.uid", "cloud.account.id"),
    keep("cloud.account_uid", "cloud.account.id"),
    keep("cloud.account.name", "cloud.account.name"),
    keep("cloud.project_uid", "cloud.project.id"),
    keep("device.hostname", "host.name"),
    keep("device.uid", "host.id"),
    to(How::Ip, "device.ip", "host.ip"),
    keep("device.os.name", "host.os.name"),
    keep("device.instance_uid", "cloud.instance.id"),
    keep("src_endpoint.domain", "source.domain"),
    keep("src_endpoint.hostname", "source.domain"),
    to(How::Ip, "src_endpoint.ip", "source.ip"),
    keep("src_endpoint.ip", "source.address"),
    to(How::Long, "src_endpoint.port", "source.port"),
    keep("src_endpoint.mac", "source.mac"),
    keep("dst_endpoint.domain", "destination.domain"),
    keep("dst_endpoint.hostname", "destination.domain"),
    to(How::Ip, "dst_endpoint.ip", "destination.ip"),
    keep("dst_endpoint.ip", "destination.address"),
    to(How::Long, "dst_endpoint.port", "destination.port"),
    keep("connection_info.protocol_name", "network.transport"),
    to(How::Long, "traffic.bytes_in", "destination.bytes"),
    to(How::Long, "traffic.bytes_out", "source.bytes"),
    to(How::Long, "traffic.bytes", "network.bytes"),
    keep("http_request.http_method", "http.request.method"),
    keep("http_request.user_agent", "user_agent.original"),
    keep("http_request.referrer", "http.request.referrer"),
    keep("http_request.version", "http.version"),
    to(How::Long, "http_response.code", "http.response.status_code"),
    to(How::Long, "http_response.length", "http.response.body.bytes"),
    keep("query.hostname", "dns.question.name"),
    keep("query.type", "dns.question.type"),
    keep("rcode", "dns.response_code"),
    keep("auth_protocol", "ocsf.auth_protocol"),
    keep("status_detail", "event.reason"),
    keep("finding_info.title", "rule.name"),
    keep("finding.title", "rule.name"),
    keep("finding_info.uid", "ocsf.finding_info.uid"),
    keep("finding_info.desc", "message"),
    keep("finding_info.types", "ocsf.finding_info.types"),
    keep("evidences", "ocsf.evidences"),
    keep("attacks", "ocsf.attacks"),
    keep("actor.session.uid", "session.id"),
    keep("actor.invoked_by", "ocsf.actor.invoked_by"),
];

const DERIVED: &[Derived] = &[
    derived("event.kind", &["class_uid"]),
    derived("event.category", &["class_uid"]),
    derived("event.type", &["class_uid", "activity_id"]),
    derived("event.action", &["class_uid", "activity_name"]),
    derived("event.outcome", &["status_id", "status"]),
    derived("event.severity", &["severity_id"]),
    derived("host.os.type", &["device.os.type", "device.os.type_id"]),
    derived("user.id", &["actor.user.uid", "user.uid"]),
    derived("user.name", &["actor.user.name", "user.name"]),
    derived("user.email", &["actor.user.email_addr", "user.email_addr"]),
    derived("user.domain", &["actor.user.domain", "user.domain"]),
    derived("user.target.name", &["user.name"]),
    derived("user.target.id", &["user.uid"]),
    derived("process.entity_id", &["process.uid", "actor.process.uid"]),
    derived("process.pid", &["process.pid", "actor.process.pid"]),
    derived("process.name", &["process.name", "actor.process.name"]),
    derived(
        "process.executable",
        &["process.file.path", "actor.process.file.path"],
    ),
    derived(
        "process.command_line",
        &["process.cmd_line", "actor.process.cmd_line"],
    ),
    derived("process.args", &["process.cmd_line", "actor.process.cmd_line"]),
    derived(
        "process.args_count",
        &["process.cmd_line", "actor.process.cmd_line"],
    ),
    derived("process.working_directory", &["process.working_directory"]),
    derived("process.start", &["process.created_time"]),
    derived("process.user.name", &["process.user.name"]),
    derived("process.exit_code", &["exit_code"]),
    derived(
        "process.parent.entity_id",
        &["process.parent_process.uid", "actor.process.uid"],
    ),
    derived(
        "process.parent.pid",
        &["process.parent_process.pid", "actor.process.pid"],
    ),
    derived(
        "process.parent.name",
        &["process.parent_process.name", "actor.process.name"],
    ),
    derived(
        "process.parent.executable",
        &["process.parent_process.file.path", "actor.process.file.path"],
    ),
    derived(
        "process.parent.command_line",
        &["process.parent_process.cmd_line", "actor.process.cmd_line"],
    ),
    derived(
        "process.parent.args",
        &["process.parent_process.cmd_line", "actor.process.cmd_line"],
    ),
    derived("container.id", &["process.container.uid", "container.uid"]),
    derived(
        "process.parent.args_count",
        &["process.parent_process", "actor.process"],
    ),
    derived(
        "process.parent.working_directory",
        &["process.parent_process", "actor.process"],
    ),
    derived(
        "process.parent.start",
        &["process.parent_process", "actor.process"],
    ),
    derived(
        "process.parent.user.name",
        &["process.parent_process", "actor.process"],
    ),
    derived("container.runtime", &["process.container.runtime"]),
    derived("container.image.hash.all", &["process.container.image.name"]),
    derived("container.name", &["process.container.name", "container.name"]),
    derived(
        "container.image.name",
        &["process.container.image.name", "container.image.name"],
    ),
    derived(
        "container.image.tag",
        &["process.container.image.name", "container.image.name"],
    ),
    derived("file.path", &["file.path"]),
    derived("file.name", &["file.path"]),
    derived("file.directory", &["file.path"]),
    derived("file.extension", &["file.path"]),
    derived("url.original", &["http_request.url", "url"]),
    derived("neph.url.decoded", &["http_request.url", "url"]),
    derived("neph.url.hosts", &["http_request.url", "url"]),
    derived("url.extension", &["http_request.url", "url"]),
    derived("url.fragment", &["http_request.url", "url"]),
    derived("url.port", &["http_request.url", "url"]),
    derived("url.username", &["http_request.url", "url"]),
    derived("url.password", &["http_request.url", "url"]),
    derived("url.path", &["http_request.url", "url"]),
    derived("url.query", &["http_request.url", "url"]),
    derived("url.domain", &["http_request.url", "url"]),
    derived("url.scheme", &["http_request.url", "url"]),
    derived("network.direction", &["connection_info.direction"]),
    derived("threat.technique.id", &["attacks", "finding_info.attacks"]),
    derived("related.ip", &["src_endpoint.ip", "dst_endpoint.ip"]),
    derived("related.user", &["actor.user.name", "user.name"]),
];

fn detect(record: &Record<'_>) -> Confidence {
    let Some(object) = record.object else {
        return Confidence::No;
    };
    let class = object.get("class_uid").and_then(Value::to_int).is_some();
    let about = object
        .map_at("metadata")
        .is_some_and(|metadata| metadata.get("version").is_some() || metadata.get("product").is_some());
    match (
        class,
        about,
        object.get("category_uid").is_some() || object.get("type_uid").is_some(),
    ) {
        (true, true, true) => Confidence::Certain,
        (true, true, false) => Confidence::Likely,
        _ => Confidence::No,
    }
}

/// What a class of events is: its number, category in ECS, and what its activities are, from number 1 on.
type Class = (i64, &'static str, &'static [&'static str]);

/// <https://schema.ocsf.io/classes>
const CLASSES: &[Class] = &[
    (
        1001,
        "file",
        &[
            "creation", "access", "change", "deletion", "change", "change", "change", "change", "change",
            "change", "change", "change", "change", "access",
        ],
    ),
    (1002, "driver", &["start", "end"]),
    (1003, "process", &["access", "change"]),
    (1004, "process", &["access", "change", "change", "info"]),
    (1005, "library", &["start", "end"]),
    (
        1006,
        "configuration",
        &["creation", "change", "deletion", "start", "end", "start"],
    ),
    (1007, "process", &["start", "end", "access", "change", "change"]),
    (2001, "intrusion_detection", &["info", "info", "info"]),
    (2002, "vulnerability", &["info", "info", "info"]),
    (2003, "configuration", &["info", "info", "info"]),
    (2004, "intrusion_detection", &["info", "info", "info"]),
    (2005, "intrusion_detection", &["info", "info", "info"]),
    (
        3001,
        "iam",
        &[
            "creation", "change", "change", "change", "change", "deletion", "change", "change", "change",
            "change",
        ],
    ),
    (
        3002,
        "authentication",
        &["start", "end", "info", "info", "info", "info"],
    ),
    (3003, "session", &["start"]),
    (3004, "iam", &["creation", "access", "change", "deletion"]),
    (3005, "iam", &["change", "change", "change", "change"]),
    (
        3006,
        "iam",
        &["change", "change", "change", "change", "change", "change"],
    ),
    (
        4001,
        "network",
        &["start", "end", "end", "denied", "denied", "info", "start"],
    ),
    (
        4002,
        "web",
        &[
            "access", "access", "access", "access", "access", "access", "access", "access", "access",
        ],
    ),
    (4003, "network", &["info", "info", "info"]),
    (4005, "network", &["start", "end"]),
    (
        4007,
        "network",
        &["start", "end", "end", "denied", "denied", "info"],
    ),
    (6001, "web", &["creation", "access", "change", "deletion"]),
    (6002, "process", &["start", "end", "start", "start", "end"]),
    (6003, "api", &["creation", "access", "change", "deletion"]),
    (6005, "database", &["access", "change", "creation", "deletion"]),
];

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some(object) = record.object else {
        return Err(Dropped::Malformed("it is no JSON object"));
    };
    let Some(class) = object.get("class_uid").and_then(Value::to_int) else {
        return Err(Dropped::Malformed("it has no `class_uid`"));
    };
    let document = record.document();
    sensor::no_data_stream(document);
    PLAN.apply(object, document);
    people(class, object, document);
    processes(class, object, document);
    if let Some(path) = object.text_at("file.path") {
        sensor::file(document, path);
    }
    let url = ["http_request.url", "url"]
        .iter()
        .find_map(|path| match object.at(path)? {
            Value::Text(text) => Some(text),
            Value::Map(url) => url.text_at("url_string").or_else(|| url.text_at("path")),
            _ => None,
        });
    if let Some(url) = url {
        web::target(document, url);
    }
    for (path, field) in [
        ("http_request.url.hostname", "url.domain"),
        ("http_request.url.query_string", "url.query"),
    ] {
        if let Some(text) = object.text_at(path) {
            document.put_new(field, Value::Text(text));
        }
    }
    for field in ["source.ip", "destination.ip"] {
        if let Some(address) = document.at(field) {
            document.append_new("related.ip", address);
        }
    }
    if let Some(direction) = object.text_at("connection_info.direction") {
        let direction = match direction.to_ascii_lowercase().as_str() {
            "inbound" => "ingress",
            "outbound" => "egress",
            "lateral" => "internal",
            _ => "unknown",
        };
        document.put_text("network.direction", direction);
    }
    if let Some(provider) = document.at("cloud.provider").and_then(Value::as_text) {
        document.put_text("cloud.provider", document.text(&provider.to_ascii_lowercase()));
    }
    if let Some(system) = system(object) {
        document.put_text("host.os.type", system);
    }
    for path in ["attacks", "finding_info.attacks"] {
        techniques(object.at(path), document);
    }
    classify(class, object, document);
    Ok(document)
}

fn system(object: &Map<'_>) -> Option<&'static str> {
    let name = object
        .text_at("device.os.type")
        .unwrap_or("")
        .to_ascii_lowercase();
    match (
        name.as_str(),
        object.at("device.os.type_id").and_then(Value::to_int),
    ) {
        ("linux", _) | (_, Some(200)) => Some("linux"),
        ("windows", _) | (_, Some(100)) => Some("windows"),
        ("macos", _) | (_, Some(300)) => Some("macos"),
        _ => None,
    }
}

/// Who acted, and on whom.
fn people<'a>(class: i64, object: &Map<'a>, document: &'a Map<'a>) {
    let subject = object.map_at("user");
    let actor = object.map_at("actor.user");
    // Who logs on is the user of that event, whoever asked for it.
    let user = if matches!(class, 3002 | 3003) {
        subject.or(actor)
    } else {
        actor.or(subject)
    };
    let set = |user: &Map<'a>, rows: &[(&str, &'a str)]| {
        for (key, field) in rows {
            if let Some(text) = user.get(key).and_then(|value| convert::text(value, document))
                && !text.is_empty()
            {
                document.put_text(field, text);
            }
        }
    };
    if let Some(user) = user {
        let rows = [
            ("name", "user.name"),
            ("uid", "user.id"),
            ("email_addr", "user.email"),
            ("domain", "user.domain"),
        ];
        set(user, &rows);
        if let Some(name @ Value::Text(_)) = document.at("user.name") {
            document.append_new("related.user", name);
        }
    }
    if let (3001 | 3005 | 3006, Some(target)) = (class, subject) {
        set(target, &[("name", "user.target.name"), ("uid", "user.target.id")]);
    }
}

fn processes<'a>(class: i64, object: &Map<'a>, document: &'a Map<'a>) {
    let (subject, actor) = (object.map_at("process"), object.map_at("actor.process"));
    let (own, parent) = match subject {
        Some(subject) => (
            Some(subject),
            subject
                .map_at("parent_process")
                .or(actor.filter(|_| class == 1007)),
        ),
        None => (actor, actor.and_then(|actor| actor.map_at("parent_process"))),
    };
    let Some(own) = own else {
        return container(object.map_at("container"), document);
    };
    let Some(target) = document.child("process") else {
        return;
    };
    process(own, target);
    if let Some(code) = object.get("exit_code").and_then(Value::to_int) {
        target.set("exit_code", Value::Int(code));
    }
    if let Some(parent) = parent
        && let Some(target) = target.child("parent")
    {
        process(parent, target);
    }
    container(
        own.map_at("container").or_else(|| object.map_at("container")),
        document,
    );
}

fn process<'a>(described: &Map<'a>, target: &'a Map<'a>) {
    let path = described
        .text_at("file.path")
        .or_else(|| described.text_at("path"));
    let arguments = sensor::arguments(described.text_at("cmd_line").unwrap_or(""));
    sensor::command(target, path.unwrap_or(""), &arguments);
    for (key, field) in [
        ("name", "name"),
        ("cmd_line", "command_line"),
        ("uid", "entity_id"),
        ("working_directory", "working_directory"),
    ] {
        if let Some(text) = described.text_at(key) {
            target.set(field, Value::Text(text));
        }
    }
    if let Some(name) = described.text_at("user.name") {
        target.put_text("user.name", name);
    }
    if let Some(pid) = described.get("pid").and_then(Value::to_int) {
        target.set("pid", Value::Int(pid));
    }
    if let Some(start) = described
        .get("created_time")
        .and_then(|time| convert::date(time, target))
    {
        target.set("start", Value::Text(start));
    }
}

fn container<'a>(described: Option<&'a Map<'a>>, document: &'a Map<'a>) {
    let Some(described) = described else { return };
    for (key, field) in [
        ("uid", "container.id"),
        ("name", "container.name"),
        ("runtime", "container.runtime"),
    ] {
        if let Some(text) = described.text_at(key) {
            document.put_text(field, text);
        }
    }
    if let Some(image) = described.text_at("image.name") {
        docker::image(document, image);
    }
}

/// The techniques of a list of attacks.
fn techniques<'a>(attacks: Option<Value<'a>>, document: &'a Map<'a>) {
    let attacks = attacks.and_then(Value::as_list).unwrap_or(&[]);
    let ids = attacks.iter().filter_map(|attack| {
        let attack = attack.as_map()?;
        attack
            .text_at("sub_technique.uid")
            .or_else(|| attack.text_at("technique.uid"))
    });
    document.extend_new("threat.technique.id", ids.map(Value::Text));
}

fn classify<'a>(class: i64, object: &Map<'a>, document: &'a Map<'a>) {
    let activity = object.get("activity_id").and_then(Value::to_int).unwrap_or(0);
    let known = CLASSES.iter().find(|known| known.0 == class);
    let nature = known
        .and_then(|known| known.2.get(usize::try_from(activity - 1).ok()?))
        .copied()
        .unwrap_or("info");
    let status = object.text_at("status").map(str::to_ascii_lowercase);
    let outcome = match (object.get("status_id").and_then(Value::to_int), status.as_deref()) {
        (Some(1), _) | (None, Some("success")) => "success",
        (Some(2), _) | (None, Some("failure")) => "failure",
        _ => "unknown",
    };
    let Some(event) = document.child("event") else {
        return;
    };
    event.set(
        "kind",
        Value::Text(if (2000..3000).contains(&class) {
            "alert"
        } else {
            "event"
        }),
    );
    if let Some(known) = known {
        event.put_texts("category", &[known.1]);
    }
    event.put_texts("type", &[nature]);
    event.set("outcome", Value::Text(outcome));
    if let Some(severity) = object.get("severity_id").and_then(Value::to_int) {
        event.set("severity", Value::Int(severity));
    }
    // Rules name what starts and ends processes as sensors do.
    let action = match (class, activity) {
        (1007, 1) => Some("exec"),
        (1007, 2) => Some("end"),
        _ => event
            .text_at_key("action")
            .or_else(|| object.text_at("activity_name")),
    };
    if let Some(action) = action {
        event.set("action", Value::Text(action));
    }
}

#[cfg(test)]
mod tests;
