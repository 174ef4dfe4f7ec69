//! Amazon GuardDuty findings: S3 exports, EventBridge, CloudWatch Logs.
//!
//! Record: <https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_finding-format.html>. The whole finding stands
//! under `aws.guardduty` in snake case. Beyond what Elastic's integration sets: parts of newer findings that it does
//! not know, `source.ip` wherever a caller's address is one, and `event.category`.

mod parts;

use ahash::AHashSet;

use crate::convert;
use crate::record::Record;
use crate::reshape::reshape;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value};

pub(super) const INFO: SourceInfo = SourceInfo {
    name: "aws_guardduty",
    aliases: &[],
    title: "Amazon GuardDuty findings: S3 exports, EventBridge, CloudWatch Logs",
    module: "aws",
    dataset: "aws.guardduty",
    os: None,
    mappings: &[],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
};

const REMOTE: &[&str] = &[
    "service.action.awsApiCallAction.remoteIpDetails",
    "service.action.kubernetesApiCallAction.remoteIpDetails",
    "service.action.networkConnectionAction.remoteIpDetails",
    "service.action.rdsLoginAttemptAction.remoteIpDetails",
];
const PROBES: &[&str] = &["service.action.portProbeAction.portProbeDetails"];
const CONNECTION: &[&str] = &["service.action.networkConnectionAction"];
const CONTAINERS: &[&str] = &[
    "resource.ecsClusterDetails.taskDetails.containers",
    "resource.containerDetails",
];
const WORKLOAD: &[&str] = &["resource.kubernetesDetails.kubernetesWorkloadDetails"];
const THREATS: &[&str] = &["service.ebsVolumeScanDetails.scanDetections.threatDetectedByName.threatNames"];
const USERS: &[&str] = &[
    "resource.accessKeyDetails.principalId",
    "resource.accessKeyDetails.userName",
    "resource.kubernetesDetails.kubernetesUserDetails",
    "resource.rdsDbUserDetails.user",
];

const DERIVED: &[Derived] = &[
    derived("@timestamp", &["updatedAt"]),
    derived("aws.guardduty.*", &[]),
    derived("cloud.account.id", &["accountId"]),
    derived("cloud.instance.id", &["resource.instanceDetails.instanceId"]),
    derived("cloud.machine.type", &["resource.instanceDetails.instanceType"]),
    derived("cloud.provider", &["partition"]),
    derived("cloud.region", &["region"]),
    derived("cloud.service.name", &["service.serviceName"]),
    derived("container.id", CONTAINERS),
    derived("container.image.name", CONTAINERS),
    derived("container.name", CONTAINERS),
    derived("container.runtime", CONTAINERS),
    derived("container.security_context.privileged", CONTAINERS),
    derived("destination.address", CONNECTION),
    derived("dns.question.name", &["service.action.dnsRequestAction.domain"]),
    derived("event.action", &["service.action.actionType"]),
    derived("event.category", &["type"]),
    derived("event.created", &["createdAt"]),
    derived("event.end", &["service.eventLastSeen"]),
    derived("event.id", &["id"]),
    derived("event.kind", &[]),
    derived("event.provider", &["service.action.awsApiCallAction.serviceName"]),
    derived("event.severity", &["severity"]),
    derived("event.start", &["service.eventFirstSeen"]),
    derived("event.type", &[]),
    derived("file.hash.sha256", THREATS),
    derived("file.name", THREATS),
    derived("file.path", THREATS),
    derived("host.id", &["resource.instanceDetails.instanceId"]),
    derived("host.os.platform", &["resource.instanceDetails.platform"]),
    derived("host.type", &["resource.instanceDetails.instanceType"]),
    derived("message", &["description"]),
    derived(
        "network.direction",
        &["service.action.networkConnectionAction.connectionDirection"],
    ),
    derived(
        "network.transport",
        &[
            "service.action.networkConnectionAction.protocol",
            "service.action.dnsRequestAction.protocol",
        ],
    ),
    derived("orchestrator.cluster.name", &["resource.eksClusterDetails.name"]),
    derived("orchestrator.namespace", WORKLOAD),
    derived("orchestrator.resource.name", WORKLOAD),
    derived("orchestrator.resource.type", WORKLOAD),
    derived("orchestrator.type", &["resource.eksClusterDetails"]),
    derived("related.hash", THREATS),
    derived(
        "related.hosts",
        &[
            "service.action.awsApiCallAction.domainDetails.domain",
            "service.action.dnsRequestAction.domain",
        ],
    ),
    derived("related.ip", REMOTE),
    derived("related.user", USERS),
    derived("rule.category", &["type"]),
    derived("rule.name", &["type"]),
    derived("rule.ruleset", &["type"]),
    derived("source.address", REMOTE),
    derived("source.as.number", REMOTE),
    derived("source.as.organization.name", REMOTE),
    derived("source.geo.city_name", REMOTE),
    derived("source.geo.country_iso_code", REMOTE),
    derived("source.geo.country_name", REMOTE),
    derived("source.geo.location", REMOTE),
    derived("source.ip", &["service.action.kubernetesApiCallAction.sourceIPs"]),
    derived("source.port", CONNECTION),
    derived("source.port", PROBES),
    derived("user.id", USERS),
    derived("user.name", USERS),
    derived(
        "user.roles",
        &["resource.kubernetesDetails.kubernetesUserDetails.groups"],
    ),
];

fn detect(record: &Record<'_>) -> Confidence {
    let has = |keys: &[&str]| record.has(keys);
    let no_findings = record
        .object
        .and_then(|object| object.get("findings")?.as_list())
        .is_some_and(<[_]>::is_empty);
    if no_findings {
        return Confidence::Likely;
    }
    if !has(&["schemaVersion", "type", "service", "resource"]) {
        return Confidence::No;
    }
    let named = record.text_at("service.serviceName") == Some("guardduty");
    let arn = record
        .text_at("arn")
        .is_some_and(|arn| arn.contains(":guardduty:"));
    if named || arn || has(&["accountId", "severity", "partition"]) {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some(object) = record.object else {
        return Err(Dropped::Malformed("it is no JSON object"));
    };
    if object.get("findings").is_some() {
        return Err(Dropped::NoEvent("a list without findings"));
    }
    let document = record.document();
    let finding = reshape(object, parts::FINDING);
    severity(object, finding, document);
    for (from, to) in [
        ("updated_at", "@timestamp"),
        ("description", "message"),
        ("account_id", "cloud.account.id"),
        ("partition", "cloud.provider"),
        ("region", "cloud.region"),
        ("service.service_name", "cloud.service.name"),
        ("service.action.dns_request_action.domain", "dns.question.name"),
        ("service.action.type", "event.action"),
        ("created_at", "event.created"),
        ("service.event.first_seen", "event.start"),
        ("service.event.last_seen", "event.end"),
        ("id", "event.id"),
        (
            "service.action.aws_api_call_action.service_name",
            "event.provider",
        ),
        ("resource.instance_details.instance.id", "cloud.instance.id"),
        ("resource.instance_details.instance.id", "host.id"),
        ("resource.instance_details.instance.type", "cloud.machine.type"),
        ("resource.instance_details.instance.type", "host.type"),
        ("resource.instance_details.platform", "host.os.platform"),
        (
            "resource.container_details.security_context.privileged",
            "container.security_context.privileged",
        ),
        (
            "resource.kubernetes_details.kubernetes_workload_details.name_space",
            "orchestrator.namespace",
        ),
        (
            "resource.kubernetes_details.kubernetes_workload_details.name",
            "orchestrator.resource.name",
        ),
        (
            "resource.kubernetes_details.kubernetes_workload_details.type",
            "orchestrator.resource.type",
        ),
        ("resource.eks_cluster_details.name", "orchestrator.cluster.name"),
        (
            "resource.kubernetes_details.kubernetes_user_details.groups",
            "user.roles",
        ),
    ] {
        document.copy_from(finding, from, to);
    }
    if finding.at("resource.eks_cluster_details").is_some() {
        document.put_text("orchestrator.type", "kubernetes");
    }
    rule(finding, document);
    containers(finding, document);
    files(finding, document);
    network(finding, document);
    addresses(finding, document);
    users(finding, document);
    document.put_texts("event.kind", &["event"]);
    document.put_texts("event.type", &["info"]);
    document.put_texts("event.category", &["intrusion_detection"]);
    document.put("aws.guardduty", Value::Map(finding));
    document.prune();
    Ok(document)
}

fn severity<'a>(object: &Map<'a>, finding: &'a Map<'a>, document: &'a Map<'a>) {
    #[expect(clippy::cast_precision_loss, reason = "severities are small numbers")]
    let number = match object.get("severity") {
        Some(Value::Float(number)) => number,
        Some(Value::Int(number)) => number as f64,
        Some(Value::Text(text)) => match text.parse() {
            Ok(number) => number,
            Err(_) => return,
        },
        _ => return,
    };
    let word = match number {
        9.0..=10.0 => Some("Critical"),
        7.0..9.0 => Some("High"),
        4.0..7.0 => Some("Medium"),
        1.0..4.0 => Some("Low"),
        _ => None,
    };
    let severity = finding.new_map();
    severity.add("code", Value::Float(number));
    if let Some(word) = word {
        severity.add("value", Value::Text(word));
    }
    finding.set("severity", Value::Map(severity));
    if let Some(whole) = Value::Float(number).to_int() {
        document.put("event.severity", Value::Int(whole));
    }
}

/// `Discovery:Kubernetes/TorIPCaller` is a rule of `Discovery:Kubernetes`.
fn rule<'a>(finding: &Map<'a>, document: &'a Map<'a>) {
    let Some(name) = finding.text_at("type") else {
        return;
    };
    document.put_text("rule.name", name);
    let word = |text: &'a str| {
        let end = text
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .unwrap_or(text.len());
        text.split_at_checked(end).filter(|(word, _)| !word.is_empty())
    };
    if let Some((category, rest)) = word(name)
        && let Some((family, _)) = rest.strip_prefix(':').and_then(word)
        && let Some(ruleset) = name.get(..category.len() + 1 + family.len())
    {
        document.put_text("rule.category", category);
        document.put_text("rule.ruleset", ruleset);
    }
}

fn list_at<'a>(map: &Map<'a>, path: &str) -> &'a [Value<'a>] {
    map.at(path).and_then(Value::as_list).unwrap_or(&[])
}

fn maps_at<'a>(map: &Map<'a>, path: &str) -> impl Iterator<Item = &'a Map<'a>> {
    list_at(map, path).iter().filter_map(|element| element.as_map())
}

/// Adds the strings at a path of each object to the list of a field, each once.
fn gather<'a>(objects: impl Iterator<Item = &'a Map<'a>>, path: &str, field: &'a str, document: &'a Map<'a>) {
    document.extend_new(
        field,
        objects.filter_map(|object| object.text_at(path)).map(Value::Text),
    );
}

fn containers<'a>(finding: &Map<'a>, document: &'a Map<'a>) {
    let single = finding.map_at("resource.container_details");
    let of_task = || maps_at(finding, "resource.ecs_cluster_details.task_details.containers").chain(single);
    for (from, to) in [
        ("id", "container.id"),
        ("name", "container.name"),
        ("container_runtime", "container.runtime"),
        ("image.value", "container.image.name"),
    ] {
        gather(of_task(), from, to, document);
    }
}

fn files<'a>(finding: &Map<'a>, document: &'a Map<'a>) {
    let threats = "service.ebs_volume_scan_details.scan.detections.threat_detected_by_name.threat_names";
    let files = || maps_at(finding, threats).flat_map(|threat| maps_at(threat, "file_paths"));
    for (from, to) in [
        ("hash", "file.hash.sha256"),
        ("hash", "related.hash"),
        ("file.name", "file.name"),
        ("file.path", "file.path"),
    ] {
        gather(files(), from, to, document);
    }
}

fn network<'a>(finding: &Map<'a>, document: &'a Map<'a>) {
    let connection = "service.action.network_connection_action";
    let Some(action) = finding.map_at("service.action") else {
        return;
    };
    for path in [
        "network_connection_action.transport",
        "dns_request_action.protocol",
    ] {
        if let Some(protocol) = action.text_at(path) {
            let lower = document.text(&protocol.to_lowercase());
            document.append_new("network.transport", Value::Text(lower));
        }
    }
    for path in [
        "aws_api_call_action.domain_details.domain",
        "dns_request_action.domain",
    ] {
        if let Some(domain) = action.text_at(path) {
            document.append_new("related.hosts", Value::Text(domain));
        }
    }
    if let Some(connection) = finding.map_at(connection) {
        let direction = connection.text_at("connection_direction").map(str::to_lowercase);
        if let Some(direction) = &direction {
            document.put_text("network.direction", document.text(direction));
        }
        if let Some(port) = connection.at("local_port_details.port.value") {
            document.append_new("source.port", port);
        }
    }
    let ports = maps_at(action, "port_probe_action.port_probe_details")
        .filter_map(|probe| probe.at("local_port_details.port.value"));
    extend_numbers("source.port", ports, document);
}

/// Adds numbers to the list of a field, each once.
fn extend_numbers<'a>(field: &'a str, numbers: impl Iterator<Item = Value<'a>>, document: &'a Map<'a>) {
    let old = match document.at(field) {
        Some(Value::List(list)) => list.to_vec(),
        _ => Vec::new(),
    };
    let mut list: Vec<i64> = old.into_iter().chain(numbers).filter_map(Value::to_int).collect();
    let mut known = AHashSet::new();
    list.retain(|number| known.insert(*number));
    if !list.is_empty() {
        let list: Vec<Value<'a>> = list.into_iter().map(Value::Int).collect();
        document.put(field, document.list(&list));
    }
}

/// Addresses of callers and of the instance, and what the finding says about where the callers are.
fn addresses<'a>(finding: &Map<'a>, document: &'a Map<'a>) {
    let add = |field: &'a str, address: Option<Value<'a>>| {
        if let Some(address @ Value::Text(_)) = address {
            document.append_new(field, address);
        }
    };
    let interfaces = || maps_at(finding, "resource.instance_details.network_interfaces");
    let of_version_6 =
        interfaces().flat_map(|interface| list_at(interface, "ipv6_addresses").iter().copied());
    document.extend_new("related.ip", of_version_6.filter_map(convert::ip));
    gather(interfaces(), "private.ip_address", "related.ip", document);
    let private = interfaces().flat_map(|interface| maps_at(interface, "private.ip_addresses"));
    gather(private, "private.ip_address", "related.ip", document);
    gather(interfaces(), "public.ip", "related.ip", document);

    let Some(action) = finding.map_at("service.action") else {
        return;
    };
    const REMOTE: &str = "remote_ip_details.ip_address_v4";
    const LOCAL: &str = "local_ip_details.ip_address_v4";
    let api = action.map_at("aws_api_call_action");
    let cluster = action.map_at("kubernetes_api_call_action");
    let connection = action.map_at("network_connection_action");
    let login = action.map_at("rds_login_attempt_action");
    let probes = || maps_at(action, "port_probe_action.port_probe_details");
    let of = |map: Option<&'a Map<'a>>, path: &str| map.and_then(|map| map.at(path));

    add("related.ip", of(api, REMOTE));
    add("related.ip", of(cluster, REMOTE));
    let callers = cluster.map_or(&[][..], |cluster| list_at(cluster, "source_ips"));
    for field in ["related.ip", "source.ip"] {
        document.extend_new(field, callers.iter().copied().filter_map(convert::ip));
    }
    add("related.ip", of(connection, LOCAL));
    add("related.ip", of(connection, REMOTE));
    gather(probes(), LOCAL, "related.ip", document);
    gather(probes(), REMOTE, "related.ip", document);
    add("related.ip", of(login, REMOTE));

    add("source.address", of(api, REMOTE));
    add("source.address", of(cluster, REMOTE));
    match document.text_at("network.direction") {
        Some("inbound") => {
            add("source.address", of(connection, REMOTE));
            add("destination.address", of(connection, LOCAL));
        }
        Some("outbound") => {
            add("destination.address", of(connection, REMOTE));
            add("source.address", of(connection, LOCAL));
        }
        _ => {}
    }
    gather(probes(), REMOTE, "source.address", document);
    add("source.address", of(login, REMOTE));
    let remotes = || {
        let actions = [api, cluster, connection].into_iter().flatten();
        let all = actions.chain(probes()).chain(login);
        all.filter_map(|action| action.map_at("remote_ip_details"))
    };
    let numbers = remotes().filter_map(|remote| remote.at("organization.asn"));
    extend_numbers("source.as.number", numbers, document);
    for (from, to) in [
        ("organization.asnorg", "source.as.organization.name"),
        ("city.name", "source.geo.city_name"),
        ("country.code", "source.geo.country_iso_code"),
        ("country.name", "source.geo.country_name"),
    ] {
        gather(remotes(), from, to, document);
    }
    let places: Vec<Value<'a>> = remotes().filter_map(|remote| remote.at("geo_location")).collect();
    if !places.is_empty() {
        document.put("source.geo.location", document.list(&places));
    }
    gather(probes(), LOCAL, "source.address", document);
    if document.at("source.ip").is_none()
        && let Some(list @ Value::List(_)) = document.at("source.address")
        && let Some(addresses) = convert::ip(list)
    {
        document.put("source.ip", addresses);
    }
}

fn users<'a>(finding: &Map<'a>, document: &'a Map<'a>) {
    let key = "resource.access_key_details";
    let cluster = "resource.kubernetes_details.kubernetes_user_details";
    let text = |base: &str, path: &str| {
        let text = finding.map_at(base)?.text_at(path)?;
        Some(Value::Text(text))
    };
    let principal = text(key, "principal_id");
    let name = text(key, "user.name");
    let uid = text(cluster, "uid");
    let cluster_name = text(cluster, "user_name");
    let database = text("resource.rdsdb_user_details", "user");
    let owners = maps_at(finding, "resource.s3_bucket_details")
        .filter_map(|bucket| bucket.text_at("owner.id"))
        .map(Value::Text);
    let known = [principal, name, uid, cluster_name, database]
        .into_iter()
        .flatten();
    document.extend_new("related.user", known.chain(owners));
    for (field, values) in [
        ("user.id", [principal, uid, None]),
        ("user.name", [name, cluster_name, database]),
    ] {
        for value in values.into_iter().flatten() {
            document.append_new(field, value);
        }
    }
}
