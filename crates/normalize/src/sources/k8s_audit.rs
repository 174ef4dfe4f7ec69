//! Kubernetes audit events: log file, webhook, and the wrappings of EKS, AKS and GKE.
//!
//! Record: <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>. The whole event stands under
//! `kubernetes.audit`, with dots in the keys of annotations replaced. Beyond what Elastic's integration sets:
//! `@timestamp` from the event, `event.category` and `event.type` by verb, an outcome by response code where no
//! annotation says it, groups, the user who was impersonated, the path and the response code, and the cloud where the
//! event tells it.

use std::sync::LazyLock;

use super::azure::{self, platform};
use crate::convert;
use crate::json;
use crate::mapping::{Draft, Extras, Found, How, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, Made, Source, SourceInfo, derived};
use crate::tree::{Map, Value};

/// Audit events of AKS inside of its platform logs. Rules ask for them under both names, so that each becomes two
/// documents: a Kubernetes audit event and an Azure platform log.
pub(super) const AKS: SourceInfo = SourceInfo {
    name: "kubernetes_audit_aks",
    aliases: &[],
    title: "Kubernetes audit events of AKS, as Kubernetes audit and as Azure platform logs",
    module: "kubernetes",
    dataset: "kubernetes.audit_logs",
    os: None,
    mappings: &[FIELDS],
    derived: &[DERIVED, platform::DERIVED],
    detect: |record| match record.object {
        Some(object) if aks_log(object).is_some() => Confidence::Certain,
        _ => Confidence::No,
    },
    start: || Box::new(Aks),
};

struct Aks;

impl Source for Aks {
    fn normalize<'a>(&mut self, record: &Record<'a>, out: &mut Made<'a>) -> Result<(), Dropped> {
        let object = azure::record(record)?;
        // The event is read twice, because each document changes what it takes over.
        let twin = object.deep_copy();
        let text = aks_log(object).and_then(Value::as_text);
        out.push(normalize(record)?);
        if text.is_some() {
            let log = platform::document(record, twin);
            log.put_text("event.module", "azure");
            log.put_text("event.dataset", platform::DATASET);
            out.push(log);
        }
        Ok(())
    }
}

pub(super) const INFO: SourceInfo = SourceInfo {
    name: "kubernetes_audit",
    aliases: &[],
    title: "Kubernetes API server audit: log file, webhook event lists, EKS, AKS and GKE",
    module: "kubernetes",
    dataset: "kubernetes.audit_logs",
    os: None,
    mappings: &[FIELDS],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Audit),
};

struct Audit;

impl Source for Audit {
    fn normalize<'a>(&mut self, record: &Record<'a>, out: &mut Made<'a>) -> Result<(), Dropped> {
        out.push(normalize(record)?);
        Ok(())
    }

    fn draft<'a>(
        &mut self,
        record: &Record<'a>,
        found: Option<Found<'a>>,
    ) -> Option<Result<Draft<'a>, Dropped>> {
        let is_new = record.agent.is_none() && read_already(record).is_none();
        is_new.then(|| draft(record, found))
    }

    fn plan(&self) -> Option<&'static Plan> {
        Some(&PLAN)
    }

    fn always_reads(&self) -> Option<&'static [&'static str]> {
        Some(ALWAYS)
    }
}

/// What tells a record, and what is only in the wrappings of clouds.
const ALWAYS: &[&str] = &[
    "kubernetes",
    "category",
    "properties",
    "protoPayload",
    "insertId",
    "receiveTimestamp",
    "timestamp",
    "labels",
    "resource",
    "kind",
    "apiVersion",
    "verb",
    "auditID",
    "stage",
    "level",
    "requestURI",
    "objectRef",
    "responseStatus",
    "sourceIPs",
];

static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    Plan::with(
        &[FIELDS],
        Extras {
            constants: &[("orchestrator.type", "kubernetes"), ("event.kind", "event")],
            looks: &LOOKS.map(|(_, path)| path),
            sets: &SETS.map(|(_, field)| field),
            lists: &["related.user", "related.ip", "container.image.name"],
            drafts: true,
        },
    )
});

/// What code looks at, in the order of [`LOOKS`].
#[derive(Clone, Copy)]
enum Look {
    Verb,
    Code,
    Annotations,
    UserId,
    UserName,
    Impersonated,
    Request,
    Response,
    Uri,
    Extra,
    EntryPayload,
    EntryId,
    EntryReceived,
    EntryLabels,
}

/// What log entries of Google Cloud have.
const ENTRY_KEYS: [Look; 4] = [
    Look::EntryPayload,
    Look::EntryId,
    Look::EntryReceived,
    Look::EntryLabels,
];

const LOOKS: [(Look, &str); 14] = [
    (Look::Verb, "verb"),
    (Look::Code, "responseStatus.code"),
    (Look::Annotations, "annotations"),
    (Look::UserId, "user.uid"),
    (Look::UserName, "user.username"),
    (Look::Impersonated, "impersonatedUser.username"),
    (Look::Request, "requestObject"),
    (Look::Response, "responseObject"),
    (Look::Uri, "requestURI"),
    (Look::Extra, "user.extra"),
    (Look::EntryPayload, "protoPayload"),
    (Look::EntryId, "insertId"),
    (Look::EntryReceived, "receiveTimestamp"),
    (Look::EntryLabels, "labels"),
];

/// What code sets, in the order of [`SETS`].
#[derive(Clone, Copy)]
enum Set {
    Time,
    Category,
    Type,
    Outcome,
    Audit,
    Path,
    Provider,
    RelatedUser,
    RelatedIp,
    Image,
    SourceIp,
}

const SETS: [(Set, &str); 11] = [
    (Set::Time, "@timestamp"),
    (Set::Category, "event.category"),
    (Set::Type, "event.type"),
    (Set::Outcome, "event.outcome"),
    (Set::Audit, "kubernetes.audit"),
    (Set::Path, "url.path"),
    (Set::Provider, "cloud.provider"),
    (Set::RelatedUser, "related.user"),
    (Set::RelatedIp, "related.ip"),
    (Set::Image, "container.image.name"),
    (Set::SourceIp, "source.ip"),
];

const FIELDS: &[Mapping] = &[
    to(How::Date, "stageTimestamp", "@timestamp"),
    to(How::Date, "requestReceivedTimestamp", "@timestamp"),
    to(How::Date, "timestamp", "@timestamp"),
    keep("verb", "event.action"),
    keep("user.username", "user.name"),
    keep("user.uid", "user.id"),
    keep("user.groups", "user.roles"),
    keep("impersonatedUser.username", "user.effective.name"),
    keep("impersonatedUser.uid", "user.effective.id"),
    keep("impersonatedUser.groups", "user.effective.roles"),
    keep("userAgent", "user_agent.original"),
    keep("requestURI", "url.original"),
    to(How::Long, "responseStatus.code", "http.response.status_code"),
    to(How::Ip, "sourceIPs", "source.ip"),
    to(How::Ip, "sourceIPs", "client.ip"),
    keep("apiVersion", "orchestrator.api_version"),
    keep("objectRef.resource", "orchestrator.resource.type"),
    keep("objectRef.namespace", "orchestrator.namespace"),
    keep("objectRef.name", "orchestrator.resource.name"),
    keep("protoPayload.resourceName", "orchestrator.resource.name"),
    keep("resource.type", "orchestrator.resource.type"),
    keep("resource.labels.cluster_name", "orchestrator.cluster.name"),
    keep("resource.labels.project_id", "orchestrator.cluster.id"),
];

const DERIVED: &[Derived] = &[
    derived("kubernetes.audit.*", &["*"]),
    derived("orchestrator.type", &[]),
    derived("event.kind", &[]),
    derived("event.category", &["verb"]),
    derived("event.type", &["verb"]),
    derived("event.outcome", &["annotations", "responseStatus.code"]),
    derived(
        "related.user",
        &["user.username", "user.uid", "impersonatedUser.username"],
    ),
    derived("related.ip", &["sourceIPs"]),
    derived("container.image.name", &["requestObject.spec"]),
    derived("cloud.provider", &["user.extra"]),
    derived("url.path", &["requestURI"]),
];

fn detect(record: &Record<'_>) -> Confidence {
    let Some(object) = record.object else {
        return Confidence::No;
    };
    let (mut marks, mut verb, mut other_kind, mut version) = (0, false, false, false);
    for (key, value) in object.iter() {
        match key {
            "kubernetes"
                if value
                    .as_map()
                    .is_some_and(|inside| inside.map_at("audit").is_some()) =>
            {
                return Confidence::Certain;
            }
            "category" if aks_log(object).is_some() => return Confidence::Likely,
            // Entries of Google Cloud are audit entries of Google Cloud first.
            "protoPayload" if object.text_at("protoPayload.serviceName") == Some("k8s.io") => {
                return Confidence::Likely;
            }
            // Objects of kind `Event` in the API itself have another version and no verb.
            "kind" => other_kind = value.as_filled_text().is_some_and(|kind| kind != "Event"),
            "apiVersion" => {
                version = value
                    .as_text()
                    .is_some_and(|version| version.starts_with("audit.k8s.io"));
            }
            "verb" => verb = value.as_filled_text().is_some(),
            "auditID" | "stage" | "level" | "requestURI" | "objectRef" | "responseStatus" | "sourceIPs" => {
                marks += 1
            }
            _ => {}
        }
    }
    match marks {
        _ if other_kind => Confidence::No,
        _ if version => Confidence::Certain,
        3.. if verb => Confidence::Certain,
        2 if verb => Confidence::Likely,
        _ => Confidence::No,
    }
}

/// The audit event inside of a diagnostic record of AKS.
fn aks_log<'a>(object: &Map<'a>) -> Option<Value<'a>> {
    let category = object.text_at("category")?;
    category
        .starts_with("kube-audit")
        .then(|| object.at("properties.log"))?
}

/// The event that an agent read into its place already.
fn read_already<'a>(record: &Record<'a>) -> Option<&'a Map<'a>> {
    record.object?.map_at("kubernetes.audit")
}

pub(super) fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let document = match record.object {
        Some(object) if read_already(record).is_some() => object,
        _ => record.document(),
    };
    Ok(draft(record, None)?.onto(document))
}

fn draft<'a>(record: &Record<'a>, found: Option<Found<'a>>) -> Result<Draft<'a>, Dropped> {
    let Some(object) = record.object else {
        return Err(Dropped::Malformed("it is no JSON object"));
    };
    let around = match aks_log(object) {
        Some(log) if read_already(record).is_none() => Some(unwrap_aks(record, object, log)?),
        _ => None,
    };
    let audit = around.or_else(|| read_already(record)).unwrap_or(object);
    audit.prune_as_read();
    let has_entry_keys = |draft: &Draft<'a>| {
        let looks = draft.looks();
        ENTRY_KEYS.iter().any(|key| looks.get(*key as usize).is_some())
    };
    // What was found already is that of the record itself.
    let found = found.filter(|_| around.is_none());
    let mut draft = found.map_or_else(
        || PLAN.draft(audit, record.arena),
        |found| found.draft(record.arena),
    );
    let mut from_gke = false;
    if has_entry_keys(&draft) {
        from_gke = unwrap_gke(audit);
        draft = PLAN.draft(audit, record.arena);
    }
    let looks = draft.looks();
    for part in [Look::Request, Look::Response] {
        if let Some(part) = looks.get(part as usize).and_then(Value::as_map) {
            part.remove("metadata");
        }
    }
    draft.set(Set::Audit as usize, Value::Map(audit));
    if around.is_some()
        && let Some(time) = object.get("time").and_then(|time| convert::date(time, object))
    {
        draft.set(Set::Time as usize, Value::Text(time));
    }
    if let Some(uri) = looks.get(Look::Uri as usize).and_then(Value::as_filled_text) {
        let query = memchr::memchr(b'?', uri.as_bytes());
        let path = query.and_then(|query| uri.get(..query)).unwrap_or(uri);
        draft.set(Set::Path as usize, Value::Text(path));
    }
    // The authenticator of EKS says which role of AWS a user is.
    let from_eks = looks
        .get(Look::Extra as usize)
        .and_then(Value::as_map)
        .is_some_and(|extra| {
            extra
                .iter()
                .any(|(key, _)| matches!(key, "arn" | "canonicalArn" | "accessKeyId"))
        });
    let providers = [(from_eks, "aws"), (from_gke, "gcp"), (around.is_some(), "azure")];
    if let Some((_, provider)) = providers.iter().find(|(holds, _)| *holds) {
        draft.set(Set::Provider as usize, Value::Text(provider));
    }
    related(&mut draft);
    classify(&mut draft);
    Ok(draft)
}

/// AKS: the event is JSON text in `properties.log`; what is round it is kept beside the event.
fn unwrap_aks<'a>(record: &Record<'a>, object: &'a Map<'a>, log: Value<'a>) -> Result<&'a Map<'a>, Dropped> {
    let audit = match log {
        Value::Text(text) => json::parse(record.arena, text).ok().and_then(Value::as_map),
        other => other.as_map(),
    };
    let Some(audit) = audit else {
        return Err(Dropped::Malformed("`properties.log` is no JSON object"));
    };
    let around = object.shallow_copy();
    if let Some(properties) = object.map_at("properties") {
        let rest = properties.shallow_copy();
        rest.remove("log");
        around.set("properties", Value::Map(rest));
    }
    for (from, to) in [
        ("operationName", "operation_name"),
        ("resourceId", "resource_id"),
        ("serviceBuild", "service_build"),
        ("properties.containerID", "container_id"),
        ("properties.pod", "pod"),
        ("properties.stream", "stream"),
    ] {
        around.rename(from, to);
    }
    audit.set("aks_metadata", Value::Map(around));
    Ok(audit)
}

/// GKE: a log entry of Google Cloud, whose parts get the names that they have in an audit event. Whether it is one.
fn unwrap_gke<'a>(audit: &'a Map<'a>) -> bool {
    let entry = audit.map_at("protoPayload").is_some();
    for (from, to) in [
        ("insertId", "auditID"),
        ("receiveTimestamp", "requestReceivedTimestamp"),
        ("labels", "annotations"),
        ("protoPayload.status.code", "responseStatus.code"),
    ] {
        if audit.at(from).is_some() {
            audit.rename(from, to);
        }
    }
    if entry {
        audit.rename("timestamp", "stageTimestamp");
        if let Some(payload) = audit.map_at("protoPayload")
            && payload.get("status").is_some_and(Value::is_blank)
        {
            payload.remove("status");
        }
    }
    entry
}

fn related<'a>(draft: &mut Draft<'a>) {
    let looks = draft.looks();
    let users = [Look::UserId, Look::UserName, Look::Impersonated];
    let users = users.iter().filter_map(|look| looks.get(*look as usize));
    draft.extend_new(
        Set::RelatedUser as usize,
        users.filter(|user| user.as_text().is_some()),
    );
    match draft.get(Set::SourceIp as usize) {
        Some(Value::List(list)) => draft.extend_new(Set::RelatedIp as usize, list.iter().copied()),
        Some(ip) => draft.extend_new(Set::RelatedIp as usize, [ip]),
        None => {}
    }
    if let Some(request) = looks.get(Look::Request as usize).and_then(Value::as_map) {
        draft.extend_new(Set::Image as usize, images(request));
    }
}

/// The images that a pod, or a workload that makes pods, is asked to run.
pub(super) fn images<'a>(request: &'a Map<'a>) -> impl Iterator<Item = Value<'a>> {
    let spec = request.map_at("spec");
    let pods = [
        spec,
        spec.and_then(|spec| spec.map_at("template.spec")),
        spec.and_then(|spec| spec.map_at("jobTemplate.spec.template.spec")),
    ];
    pods.into_iter().flatten().flat_map(|pod| {
        let lists = ["containers", "initContainers", "ephemeralContainers"].map(|key| pod.get(key));
        let containers = lists.into_iter().flatten().filter_map(Value::as_list).flatten();
        containers.filter_map(|container| container.as_map()?.get("image"))
    })
}

fn classify(draft: &mut Draft<'_>) {
    let looks = draft.looks();
    let code = looks.get(Look::Code as usize).and_then(Value::to_int);
    let mut outcome = code.map(|code| {
        if matches!(code, 0 | 100..400) {
            "success"
        } else {
            "failure"
        }
    });
    if let Some(annotations) = looks.get(Look::Annotations as usize).and_then(Value::as_map) {
        match annotations.text_at_key("authorization.k8s.io/decision") {
            Some("allow") => outcome = Some("success"),
            Some("forbid") => outcome = Some("failure"),
            _ => {}
        }
        annotations.rename_keys(|key| match key {
            // These two stand in nearly every event.
            "authorization.k8s.io/decision" => Some("authorization_k8s_io/decision"),
            "authorization.k8s.io/reason" => Some("authorization_k8s_io/reason"),
            other => annotations.underscored(other, b'.'),
        });
    }
    if let Some(outcome) = outcome {
        draft.set(Set::Outcome as usize, Value::Text(outcome));
    }
    if let Some(verb) = looks.get(Look::Verb as usize).and_then(Value::as_text) {
        draft.set_texts(Set::Category as usize, &["configuration"]);
        draft.set_texts(
            Set::Type as usize,
            match verb {
                "get" | "list" | "watch" | "proxy" => &["access"],
                "create" | "connect" => &["creation"],
                "delete" | "deletecollection" => &["deletion"],
                "update" | "patch" => &["change"],
                _ => &["info"],
            },
        );
    }
}
