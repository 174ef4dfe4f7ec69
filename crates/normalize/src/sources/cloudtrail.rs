//! AWS CloudTrail events, Insights events and digests.
//!
//! Record: <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>.
//! Beyond what Elastic's integration sets: `cloud.provider`, `related.ip`, how an instance got its role's credentials
//! (`ec2_role_delivery`), what a service gave credentials to (`in_scope_of`), what an Insights event is about, and a
//! category (with a type beside `info` for snapshots and images) for the calls that it leaves without one.

use std::sync::LazyLock;

use ahash::AHashMap;

use crate::convert;
use crate::java_text;
use crate::mapping::{Draft, Extras, Found, How, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::source::{Confidence, Derived, Drafted, Dropped, SourceInfo, Stateless, derived};
use crate::tree::{Arena, KeyTable, Map, Value};

pub(super) const INFO: SourceInfo = SourceInfo {
    name: "aws_cloudtrail",
    aliases: &[],
    title: "AWS CloudTrail: S3 objects, EventBridge, CloudWatch Logs, CloudTrail Lake, SQS and SNS messages",
    module: "aws",
    dataset: "aws.cloudtrail",
    os: None,
    mappings: &[ROOT, CLOUDTRAIL, PARTS, IDENTITY, DIGEST],
    derived: &[DERIVED],
    detect,
    start: || {
        Box::new(Drafted {
            draft,
            plan: || &PLAN,
            always_reads: ALWAYS,
            looks_for: LOOKS_FOR,
        })
    },
};

/// Digest files lie beside log files and hold no events, so that they are skipped, unless CloudTrail was asked for by
/// name: then they get the document that the integration makes of them.
pub(super) const DIGESTS: SourceInfo = SourceInfo {
    name: "aws_cloudtrail_digest",
    aliases: &[],
    title: "AWS CloudTrail digest files, which hold no events and are skipped",
    module: "aws",
    dataset: "aws.cloudtrail",
    os: None,
    mappings: &[],
    derived: &[],
    detect: |record| match record.object {
        Some(object) if is_digest(object) => Confidence::Certain,
        _ => Confidence::No,
    },
    start: || Box::new(Stateless(|_| Err(Dropped::NoEvent("a digest holds no events")))),
};

/// What tells a record, and what chooses between the ways to read it.
const ALWAYS: &[&str] = &[
    "eventSource",
    "eventName",
    "userIdentity.type",
    "awsRegion",
    "eventVersion",
    "recipientAccountId",
    "eventType",
    "insightDetails",
    "awsAccountId",
    "digestEndTime",
    "digestS3Object",
];

/// Accounts are many, and so are regions.
const LOOKS_FOR: &[&str] = &["awsRegion", "eventVersion", "recipientAccountId"];

fn is_digest(object: &Map<'_>) -> bool {
    ["awsAccountId", "digestEndTime", "digestS3Object"]
        .iter()
        .all(|key| object.get(key).is_some())
}

static PLAN: LazyLock<Plan> = LazyLock::new(|| plan(&[ROOT, CLOUDTRAIL, PARTS, IDENTITY]));
static DIGEST_PLAN: LazyLock<Plan> = LazyLock::new(|| plan(&[ROOT, CLOUDTRAIL, PARTS, IDENTITY, DIGEST]));

fn plan(tables: &[&'static [Mapping]]) -> Plan {
    Plan::with(
        tables,
        Extras {
            constants: &[("cloud.provider", "aws"), ("event.kind", "event")],
            looks: &LOOKS.map(|(_, path)| path),
            sets: &SETS.map(|(_, field)| field),
            lists: &["related.user", "related.ip", "related.hash"],
            drafts: true,
        },
    )
}

/// What code looks at, in the order of [`LOOKS`].
#[derive(Clone, Copy)]
enum Look {
    ErrorCode,
    ErrorMessage,
    UserName,
    UserArn,
    TlsVersion,
    Request,
    Response,
    Additional,
    Resources,
    EventName,
    EventSource,
    DigestEnd,
    InsightName,
    InsightSource,
}

const LOOKS: [(Look, &str); 14] = [
    (Look::ErrorCode, "errorCode"),
    (Look::ErrorMessage, "errorMessage"),
    (Look::UserName, "userIdentity.userName"),
    (Look::UserArn, "userIdentity.arn"),
    (Look::TlsVersion, "tlsDetails.tlsVersion"),
    (Look::Request, "requestParameters"),
    (Look::Response, "responseElements"),
    (Look::Additional, "additionalEventData"),
    (Look::Resources, "resources"),
    (Look::EventName, "eventName"),
    (Look::EventSource, "eventSource"),
    (Look::DigestEnd, "digestEndTime"),
    (Look::InsightName, "insightDetails.eventName"),
    (Look::InsightSource, "insightDetails.eventSource"),
];

/// What code sets, in the order of [`SETS`].
#[derive(Clone, Copy)]
enum Set {
    Action,
    Provider,
    Category,
    Type,
    Outcome,
    RelatedUser,
    RelatedIp,
    RelatedHash,
    FileHash,
    TargetName,
    TargetId,
    ChangedName,
    GroupName,
    GroupId,
    TlsVersion,
    TlsProtocol,
    SourceIp,
    UserName,
    Resources,
    FlatRequest,
    FlatResponse,
    FlatAdditional,
    FlatService,
    MobileVersion,
    MfaUsed,
    LoginTo,
}

const SETS: [(Set, &str); 26] = [
    (Set::Action, "event.action"),
    (Set::Provider, "event.provider"),
    (Set::Category, "event.category"),
    (Set::Type, "event.type"),
    (Set::Outcome, "event.outcome"),
    (Set::RelatedUser, "related.user"),
    (Set::RelatedIp, "related.ip"),
    (Set::RelatedHash, "related.hash"),
    (Set::FileHash, "file.hash.sha256"),
    (Set::TargetName, "user.target.name"),
    (Set::TargetId, "user.target.id"),
    (Set::ChangedName, "user.changes.name"),
    (Set::GroupName, "group.name"),
    (Set::GroupId, "group.id"),
    (Set::TlsVersion, "tls.version"),
    (Set::TlsProtocol, "tls.version_protocol"),
    (Set::SourceIp, "source.ip"),
    (Set::UserName, "user.name"),
    (Set::Resources, "aws.cloudtrail.resources"),
    (Set::FlatRequest, "aws.cloudtrail.flattened.request_parameters"),
    (Set::FlatResponse, "aws.cloudtrail.flattened.response_elements"),
    (
        Set::FlatAdditional,
        "aws.cloudtrail.flattened.additional_eventdata",
    ),
    (Set::FlatService, "aws.cloudtrail.flattened.service_event_details"),
    (
        Set::MobileVersion,
        "aws.cloudtrail.console_login.additional_eventdata.mobile_version",
    ),
    (
        Set::MfaUsed,
        "aws.cloudtrail.console_login.additional_eventdata.mfa_used",
    ),
    (
        Set::LoginTo,
        "aws.cloudtrail.console_login.additional_eventdata.login_to",
    ),
];

/// Beneath the document's root.
const ROOT: &[Mapping] = &[
    to(How::Date, "eventTime", "@timestamp"),
    to(How::Date, "digestEndTime", "@timestamp"),
    to(How::Date, "@timestamp", "@timestamp"),
    keep("userIdentity.userName", "user.name"),
    keep("userIdentity.sessionContext.sessionIssuer.userName", "user.name"),
    keep("userIdentity.principalId", "user.id"),
    keep("userIdentity.accountId", "cloud.account.id"),
    keep("awsAccountId", "cloud.account.id"),
    keep("awsRegion", "cloud.region"),
    keep("eventSource", "event.provider"),
    to(How::Text, "eventName", "event.action"),
    keep("eventID", "event.id"),
    keep("sourceIPAddress", "source.address"),
    to(How::Ip, "sourceIPAddress", "source.ip"),
    keep("userAgent", "user_agent.original"),
    keep("digestS3Object", "file.path"),
    keep("tlsDetails.cipherSuite", "tls.cipher"),
    keep("tlsDetails.clientProvidedHostHeader", "tls.client.server_name"),
];

/// Beneath `aws.cloudtrail`.
const CLOUDTRAIL: &[Mapping] = &[
    keep("eventVersion", "aws.cloudtrail.event_version"),
    keep("eventCategory", "aws.cloudtrail.event_category"),
    keep("errorCode", "aws.cloudtrail.error_code"),
    keep("errorMessage", "aws.cloudtrail.error_message"),
    keep("requestID", "aws.cloudtrail.request_id"),
    keep("eventType", "aws.cloudtrail.event_type"),
    keep("apiVersion", "aws.cloudtrail.api_version"),
    keep("managementEvent", "aws.cloudtrail.management_event"),
    keep("readOnly", "aws.cloudtrail.read_only"),
    keep("recipientAccountId", "aws.cloudtrail.recipient_account_id"),
    keep("sharedEventID", "aws.cloudtrail.shared_event_id"),
    keep("sharedEventId", "aws.cloudtrail.shared_event_id"),
    keep("vpcEndpointId", "aws.cloudtrail.vpc_endpoint_id"),
    keep("vpcEndpointAccountId", "aws.cloudtrail.vpc_endpoint_account_id"),
    keep(
        "sessionCredentialFromConsole",
        "aws.cloudtrail.session_credential_from_console",
    ),
    keep("insightDetails", "aws.cloudtrail.flattened.insight_details"),
];

/// The parts of an event that vary by call: each as Java text and, unless very long, as an object.
const PARTS: &[Mapping] = &[
    to(
        How::JavaText,
        "requestParameters",
        "aws.cloudtrail.request_parameters",
    ),
    to(
        How::JavaText,
        "responseElements",
        "aws.cloudtrail.response_elements",
    ),
    to(
        How::JavaText,
        "additionalEventData",
        "aws.cloudtrail.additional_eventdata",
    ),
    to(
        How::JavaText,
        "serviceEventDetails",
        "aws.cloudtrail.service_event_details",
    ),
    keep("requestParameters", "aws.cloudtrail.flattened.request_parameters"),
    keep("responseElements", "aws.cloudtrail.flattened.response_elements"),
    keep(
        "additionalEventData",
        "aws.cloudtrail.flattened.additional_eventdata",
    ),
    keep(
        "serviceEventDetails",
        "aws.cloudtrail.flattened.service_event_details",
    ),
];

/// Beneath `aws.cloudtrail.user_identity`.
const IDENTITY: &[Mapping] = &[
    keep("userIdentity.type", "aws.cloudtrail.user_identity.type"),
    keep("userIdentity.arn", "aws.cloudtrail.user_identity.arn"),
    keep(
        "userIdentity.accessKeyId",
        "aws.cloudtrail.user_identity.access_key_id",
    ),
    keep(
        "userIdentity.invokedBy",
        "aws.cloudtrail.user_identity.invoked_by",
    ),
    keep(
        "userIdentity.sessionContext.attributes.mfaAuthenticated",
        "aws.cloudtrail.user_identity.session_context.mfa_authenticated",
    ),
    to(
        How::Date,
        "userIdentity.sessionContext.attributes.creationDate",
        "aws.cloudtrail.user_identity.session_context.creation_date",
    ),
    keep(
        "userIdentity.sessionContext.sessionIssuer.type",
        "aws.cloudtrail.user_identity.session_context.session_issuer.type",
    ),
    keep(
        "userIdentity.sessionContext.sessionIssuer.principalId",
        "aws.cloudtrail.user_identity.session_context.session_issuer.principal_id",
    ),
    keep(
        "userIdentity.sessionContext.sessionIssuer.arn",
        "aws.cloudtrail.user_identity.session_context.session_issuer.arn",
    ),
    keep(
        "userIdentity.sessionContext.sessionIssuer.accountId",
        "aws.cloudtrail.user_identity.session_context.session_issuer.account_id",
    ),
    keep(
        "userIdentity.sessionContext.ec2RoleDelivery",
        "aws.cloudtrail.user_identity.session_context.ec2_role_delivery",
    ),
    keep(
        "userIdentity.inScopeOf.issuerType",
        "aws.cloudtrail.user_identity.in_scope_of.issuer_type",
    ),
    keep(
        "userIdentity.inScopeOf.credentialsIssuedTo",
        "aws.cloudtrail.user_identity.in_scope_of.credentials_issued_to",
    ),
];

/// Of digest files only.
const DIGEST: &[Mapping] = &[
    keep("logFiles", "aws.cloudtrail.flattened.digest.log_files"),
    to(
        How::Date,
        "digestStartTime",
        "aws.cloudtrail.flattened.digest.start_time",
    ),
    to(
        How::Date,
        "digestEndTime",
        "aws.cloudtrail.flattened.digest.end_time",
    ),
    keep("digestS3Bucket", "aws.cloudtrail.flattened.digest.s3_bucket"),
    to(
        How::Date,
        "newestEventTime",
        "aws.cloudtrail.flattened.digest.newest_event_time",
    ),
    to(
        How::Date,
        "oldestEventTime",
        "aws.cloudtrail.flattened.digest.oldest_event_time",
    ),
    keep(
        "previousDigestS3Bucket",
        "aws.cloudtrail.flattened.digest.previous_s3_bucket",
    ),
    keep(
        "previousDigestHashAlgorithm",
        "aws.cloudtrail.flattened.digest.previous_hash_algorithm",
    ),
    keep(
        "publicKeyFingerprint",
        "aws.cloudtrail.flattened.digest.public_key_fingerprint",
    ),
    keep(
        "digestSignatureAlgorithm",
        "aws.cloudtrail.flattened.digest.signature_algorithm",
    ),
];

const DERIVED: &[Derived] = &[
    derived("cloud.provider", &[]),
    derived("user.name", &["userIdentity.arn"]),
    derived("event.action", &["insightDetails.eventName"]),
    derived("event.provider", &["insightDetails.eventSource"]),
    derived("event.kind", &[]),
    derived("event.category", &["eventName", "eventSource"]),
    derived("event.type", &["eventName"]),
    derived(
        "event.outcome",
        &["errorCode", "errorMessage", "responseElements.ConsoleLogin"],
    ),
    derived(
        "file.hash.sha256",
        &["previousDigestSignature", "previousDigestHashAlgorithm"],
    ),
    derived("related.hash", &["previousDigestSignature"]),
    derived("related.ip", &["sourceIPAddress"]),
    derived(
        "related.user",
        &[
            "userIdentity.userName",
            "requestParameters.userName",
            "requestParameters.newUserName",
        ],
    ),
    derived("group.id", &["responseElements.group.groupId"]),
    derived("group.name", &["requestParameters.groupName"]),
    derived("user.target.id", &["responseElements.user.userId"]),
    derived("user.target.name", &["requestParameters.userName"]),
    derived("user.changes.name", &["requestParameters.newUserName"]),
    derived("tls.version", &["tlsDetails.tlsVersion"]),
    derived("tls.version_protocol", &["tlsDetails.tlsVersion"]),
    derived(
        "aws.cloudtrail.flattened.request_parameters.*",
        &["requestParameters"],
    ),
    derived(
        "aws.cloudtrail.flattened.response_elements.*",
        &["responseElements"],
    ),
    derived(
        "aws.cloudtrail.flattened.additional_eventdata.*",
        &["additionalEventData"],
    ),
    derived(
        "aws.cloudtrail.flattened.service_event_details.*",
        &["serviceEventDetails"],
    ),
    derived("aws.cloudtrail.resources.*", &["resources"]),
    derived(
        "aws.cloudtrail.console_login.additional_eventdata.*",
        &["additionalEventData"],
    ),
];

fn detect(record: &Record<'_>) -> Confidence {
    let Some(object) = record.object else {
        return Confidence::No;
    };
    let has = |key: &str| object.get(key).is_some();
    if let Some(provider) = object.text_at_key("eventSource") {
        // Notifications of S3 and other services have these keys too; their `eventSource` is `aws:s3`.
        let ours =
            has("userIdentity") || has("awsRegion") || has("eventVersion") || has("recipientAccountId");
        if has("eventName") && ours && !provider.starts_with("aws:") {
            return Confidence::Certain;
        }
    }
    if is_digest(object) {
        return Confidence::Likely;
    }
    let insight = object.text_at("eventType") == Some("AwsCloudTrailInsight");
    if (insight || has("insightDetails")) && has("eventVersion") {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

fn draft<'a>(record: &Record<'a>, found: Option<Found<'a>>) -> Result<Draft<'a>, Dropped> {
    let Some(event) = record.object else {
        return Err(Dropped::Malformed("it is no JSON object"));
    };
    let mut draft = match found {
        Some(found) => found.draft(record.arena),
        None => PLAN.draft(event, record.arena),
    };
    if draft.looks().get(Look::DigestEnd as usize).is_some() {
        draft = DIGEST_PLAN.draft(event, record.arena);
        digest_hash(event, &mut draft);
    }
    let looks = draft.looks();
    let look = |look: Look| looks.get(look as usize);
    let is_short = !record.text.is_empty() && java_text::is_short(record.text.len());
    let mut part = |set| part(set, &mut draft, is_short);
    let parts = Parts {
        request: part(Set::FlatRequest),
        response: part(Set::FlatResponse),
        additional: part(Set::FlatAdditional),
    };
    part(Set::FlatService);
    if let Some(resources) = look(Look::Resources) {
        draft.set(Set::Resources as usize, unique_resources(resources, event));
    }
    identities(look(Look::UserName), &parts, &mut draft, event);
    if draft.get(Set::UserName as usize).is_none()
        && let Some(name) = look(Look::UserArn)
            .and_then(Value::as_text)
            .and_then(named_in_arn)
    {
        draft.set(Set::UserName as usize, Value::Text(name));
    }
    if look(Look::EventName).and_then(Value::as_text) == Some("ConsoleLogin") {
        console_login(&parts, &mut draft);
    }
    let failed = look(Look::ErrorCode).or(look(Look::ErrorMessage)).is_some();
    let provider = look(Look::EventSource).and_then(Value::as_text).unwrap_or("");
    categorize(failed, provider, &parts, &mut draft);
    for (place, field) in [
        (Look::InsightName, Set::Action),
        (Look::InsightSource, Set::Provider),
    ] {
        if let Some(value @ Value::Text(_)) = look(place) {
            draft.fill(field as usize, value);
        }
    }
    if let Some(version) = look(Look::TlsVersion).and_then(Value::as_text) {
        tls_version(version, &mut draft);
    }
    if let Some(address) = draft.get(Set::SourceIp as usize) {
        draft.set(Set::RelatedIp as usize, record.arena.list(&[address]));
    }
    Ok(draft)
}

/// The parts of an event that vary by call, where they are objects and not very long.
struct Parts<'a> {
    request: Option<&'a Map<'a>>,
    response: Option<&'a Map<'a>>,
    additional: Option<&'a Map<'a>>,
}

/// The object of a part; one whose text is very long is taken away.
fn part<'a>(set: Set, draft: &mut Draft<'a>, is_short: bool) -> Option<&'a Map<'a>> {
    let value = draft.get(set as usize)?;
    if !is_short && java_text::is_very_long(value, draft.arena()) {
        draft.set(set as usize, Value::Null);
        return None;
    }
    value.as_map()
}

/// The resources, each combination of name, account and type once, in the order of the `HashMap` in which the
/// integration collects them.
fn unique_resources<'a>(resources: Value<'a>, at: &Map<'a>) -> Value<'a> {
    let Some(list) = resources.as_list() else {
        return resources;
    };
    // Later resources replace earlier ones of the same key, at the place of the first.
    let mut places: AHashMap<&'a str, usize> = AHashMap::new();
    let mut unique: Vec<(&'a str, Value<'a>)> = Vec::new();
    for resource in list {
        let Some(resource) = resource.as_map() else {
            continue;
        };
        let renamed = at.new_map();
        for (key, value) in resource.iter() {
            let key = match key {
                "ARN" => "arn",
                "accountId" => "account_id",
                other => other,
            };
            renamed.add(key, value);
        }
        let part = |key: &str| {
            renamed
                .get(key)
                .and_then(|value| convert::text(value, at))
                .unwrap_or("")
        };
        let key = at.text(&[part("arn"), part("account_id"), part("type")].join("_"));
        let place = *places.entry(key).or_insert(unique.len());
        match unique.get_mut(place) {
            Some(known) => known.1 = Value::Map(renamed),
            None => unique.push((key, Value::Map(renamed))),
        }
    }
    let by_key = at.new_map();
    unique.into_iter().for_each(|(key, value)| by_key.add(key, value));
    let ordered: Vec<Value<'a>> = java_text::hash_map_order(by_key)
        .map(|(_, value)| value)
        .collect();
    at.list(&ordered)
}

/// Users and groups that the call is about.
fn identities<'a>(caller: Option<Value<'a>>, parts: &Parts<'a>, draft: &mut Draft<'a>, at: &Map<'a>) {
    let text = |value: Option<Value<'a>>| -> Option<Value<'a>> {
        let value = convert::text(value?, at)?;
        (!value.is_empty()).then_some(Value::Text(value))
    };
    let of = |map: Option<&'a Map<'a>>, key: &str| text(map?.get(key));
    let inside = |key: &str| parts.response?.get(key)?.as_map();
    let user = of(parts.request, "userName");
    let new_user = of(parts.request, "newUserName");
    let caller = caller.and_then(|value| convert::text(value, at)).map(Value::Text);
    draft.extend_new(
        Set::RelatedUser as usize,
        [caller, user, new_user].into_iter().flatten(),
    );
    let fields = [
        (Set::TargetName, user),
        (Set::ChangedName, new_user),
        (Set::GroupName, of(parts.request, "groupName")),
        (Set::GroupId, of(inside("group"), "groupId")),
        (Set::TargetId, of(inside("user"), "userId")),
    ];
    for (field, value) in fields {
        if let Some(value) = value {
            draft.set(field as usize, value);
        }
    }
}

/// Who an ARN names: the root user, a user with or without a path, or the role of a session. Records of the root user and
/// of sessions without their issuer have no name elsewhere, and rules that remember who did what would not see them.
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns>
fn named_in_arn(arn: &str) -> Option<&str> {
    let resource = arn.splitn(6, ':').nth(5)?;
    if resource == "root" {
        return Some(resource);
    }
    let (kind, path) = resource.split_once('/')?;
    let name = match kind {
        "assumed-role" => path.split('/').next(),
        "user" | "federated-user" => path.rsplit('/').next(),
        _ => None,
    };
    name.filter(|name| !name.is_empty())
}

fn console_login<'a>(parts: &Parts<'a>, draft: &mut Draft<'a>) {
    let Some(additional) = parts.additional else {
        return;
    };
    for (from, field) in [("MobileVersion", Set::MobileVersion), ("MFAUsed", Set::MfaUsed)] {
        if let Some(value) = additional.get(from) {
            draft.set(field as usize, Value::Bool(value.as_text() != Some("No")));
        }
    }
    if let Some(value) = additional.get("LoginTo") {
        draft.set(Set::LoginTo as usize, value);
    }
}

fn digest_hash<'a>(event: &Map<'a>, draft: &mut Draft<'a>) {
    if event.text_at("previousDigestHashAlgorithm") == Some("SHA-256")
        && let Some(hash) = event.get("previousDigestSignature")
    {
        draft.set(Set::FileHash as usize, hash);
        draft.extend_new(Set::RelatedHash as usize, [hash]);
    }
}

/// `TLSv1.2` is version `1.2` of protocol `tls`.
fn tls_version<'a>(text: &'a str, draft: &mut Draft<'a>) {
    if let Some((protocol, version)) = text.split_once('v') {
        let protocol = lowercase(protocol, draft.arena());
        draft.set(Set::TlsProtocol as usize, Value::Text(protocol));
        draft.set(Set::TlsVersion as usize, Value::Text(version));
    }
}

fn lowercase<'a>(text: &'a str, arena: &'a Arena) -> &'a str {
    match text {
        "TLS" => "tls",
        "Success" => "success",
        "Failure" => "failure",
        other => arena.text(&other.to_lowercase()),
    }
}

/// Category, type and outcome.
fn categorize<'a>(failed: bool, provider: &str, parts: &Parts<'a>, draft: &mut Draft<'a>) {
    let mut outcome = if failed { "failure" } else { "success" };
    let action = draft.get(Set::Action as usize).and_then(Value::as_filled_text);
    if action == Some("ConsoleLogin")
        && let Some(login) = parts
            .response
            .and_then(|response| response.text_at("ConsoleLogin"))
    {
        outcome = lowercase(login, draft.arena());
    }
    draft.set(Set::Outcome as usize, Value::Text(outcome));
    let Some(action) = action else {
        return draft.set_texts(Set::Type as usize, &["info"]);
    };
    match class_of(action) {
        Some((category, types)) => {
            draft.set_texts(Set::Category as usize, &[category]);
            draft.set_texts(Set::Type as usize, types);
        }
        None => {
            draft.set_texts(Set::Category as usize, &[category_of_unlisted(provider)]);
            match type_of_unlisted(action) {
                Some(kind) => draft.set_texts(Set::Type as usize, &["info", kind]),
                None => draft.set_texts(Set::Type as usize, &["info"]),
            }
        }
    }
}

fn category_of_unlisted(provider: &str) -> &'static str {
    match provider {
        "iam.amazonaws.com" => "iam",
        "sts.amazonaws.com" | "signin.amazonaws.com" => "authentication",
        _ => "configuration",
    }
}

/// What snapshots and images undergo; other calls stay `info`.
fn type_of_unlisted(action: &str) -> Option<&'static str> {
    if !["Snapshot", "Image"].iter().any(|word| action.contains(word)) {
        return None;
    }
    let verbs = |verbs: &[&str]| verbs.iter().any(|verb| action.starts_with(verb));
    if verbs(&["Create", "Copy", "Register", "Import", "Start", "Put", "Restore"]) {
        Some("creation")
    } else if verbs(&["Delete", "Deregister", "BatchDelete"]) {
        Some("deletion")
    } else if verbs(&[
        "Modify", "Reset", "Enable", "Disable", "Share", "Complete", "Export",
    ]) {
        Some("change")
    } else {
        None
    }
}

/// A category with types, and the calls that have them.
type Class = (&'static str, &'static [&'static str], &'static [&'static str]);

/// The calls that the integration knows.
const CLASSES: &[Class] = &[
    ("authentication", &["info"], &["AssumeRole", "ConsoleLogin"]),
    ("file", &["creation"], &["CreateBucket"]),
    ("file", &["deletion"], &["DeleteBucket"]),
    ("iam", &["group", "creation"], &["CreateGroup"]),
    ("iam", &["group", "deletion"], &["DeleteGroup"]),
    (
        "iam",
        &["group", "change"],
        &[
            "AddUserToGroup",
            "AttachGroupPolicy",
            "DeleteGroupPolicy",
            "DetachGroupPolicy",
            "PutGroupPolicy",
            "RemoveUserFromGroup",
            "UpdateGroup",
        ],
    ),
    (
        "iam",
        &["group", "info"],
        &[
            "GetGroup",
            "GetGroupPolicy",
            "ListAttachedGroupPolicies",
            "ListGroupPolicies",
            "ListGroups",
        ],
    ),
    ("iam", &["user", "creation"], &["CreateUser"]),
    ("iam", &["user", "deletion"], &["DeleteUser"]),
    (
        "iam",
        &["user", "change"],
        &[
            "AttachUserPolicy",
            "ChangePassword",
            "CreateAccessKey",
            "CreateVirtualMFADevice",
            "DeactivateMFADevice",
            "DeleteAccessKey",
            "DeleteSSHPublicKey",
            "DeleteUserPermissionsBoundary",
            "DeleteUserPolicy",
            "DeleteVirtualMFADevice",
            "DetachUserPolicy",
            "EnableMFADevice",
            "PutUserPermissionsBoundary",
            "PutUserPolicy",
            "TagUser",
            "UntagUser",
            "UpdateAccessKey",
            "UpdateLoginProfile",
            "UpdateSSHPublicKey",
            "UpdateUser",
        ],
    ),
    (
        "iam",
        &["user", "info"],
        &[
            "GetUser",
            "GetUserPolicy",
            "ListAttachedUserPolicies",
            "ListGroupsForUser",
            "ListUserPolicies",
            "ListUsers",
            "ListUserTags",
        ],
    ),
    ("iam", &["admin", "creation"], &["CreateKeyPair"]),
    (
        "iam",
        &["admin", "change"],
        &[
            "SetDefaultPolicyVersion",
            "SetSecurityTokenServicePreferences",
            "UpdateAccountPasswordPolicy",
            "UpdateRole",
        ],
    ),
];

/// The names of these calls, and the class of each by its number.
static CALLS: LazyLock<(KeyTable, Vec<&'static Class>)> = LazyLock::new(|| {
    let (mut names, mut classes) = (KeyTable::default(), Vec::new());
    for class in CLASSES {
        for name in class.2 {
            names.number(name);
            classes.push(class);
        }
    }
    (names, classes)
});

/// Category and type of the calls that the integration knows.
fn class_of(action: &str) -> Option<(&'static str, &'static [&'static str])> {
    let (names, classes) = &*CALLS;
    let (category, types, _) = classes.get(names.get(action)?)?;
    Some((category, types))
}
