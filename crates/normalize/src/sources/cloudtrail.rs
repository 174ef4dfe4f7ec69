//! AWS CloudTrail events, Insights events and digests.
//!
//! Record: <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>.
//! Beyond what Elastic's integration sets: `cloud.provider`, `related.ip`, what an Insights event is about, and a category (with a type beside
//! `info` for snapshots and images) for the calls that it leaves without one.

use std::sync::LazyLock;

use ahash::AHashMap;

use crate::convert;
use crate::java_text;
use crate::mapping::{How, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::tree::{Map, Value};

pub(super) const INFO: SourceInfo = SourceInfo {
    name: "aws_cloudtrail",
    aliases: &[],
    title: "AWS CloudTrail: S3 objects, EventBridge, CloudWatch Logs, CloudTrail Lake, SQS and SNS messages",
    module: "aws",
    dataset: "aws.cloudtrail",
    os: None,
    mappings: &[ROOT, CLOUDTRAIL, IDENTITY, DIGEST],
    derived: &[DERIVED],
    detect,
    start: || Box::new(Stateless(normalize)),
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

fn is_digest(object: &Map<'_>) -> bool {
    ["awsAccountId", "digestEndTime", "digestS3Object"]
        .iter()
        .all(|key| object.get(key).is_some())
}

static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    let paths: Vec<&str> = LOOKS.iter().map(|(_, path)| *path).collect();
    Plan::with(
        &[ROOT, CLOUDTRAIL, IDENTITY],
        &[("cloud.provider", "aws"), ("event.kind", "event")],
        &paths,
    )
});
static DIGEST_PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[DIGEST]));

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
    Service,
    Resources,
    EventName,
    EventSource,
    DigestEnd,
    InsightName,
    InsightSource,
}

const LOOKS: &[(Look, &str)] = &[
    (Look::ErrorCode, "errorCode"),
    (Look::ErrorMessage, "errorMessage"),
    (Look::UserName, "userIdentity.userName"),
    (Look::UserArn, "userIdentity.arn"),
    (Look::TlsVersion, "tlsDetails.tlsVersion"),
    (Look::Request, "requestParameters"),
    (Look::Response, "responseElements"),
    (Look::Additional, "additionalEventData"),
    (Look::Service, "serviceEventDetails"),
    (Look::Resources, "resources"),
    (Look::EventName, "eventName"),
    (Look::EventSource, "eventSource"),
    (Look::DigestEnd, "digestEndTime"),
    (Look::InsightName, "insightDetails.eventName"),
    (Look::InsightSource, "insightDetails.eventSource"),
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
    derived("aws.cloudtrail.request_parameters", &["requestParameters"]),
    derived("aws.cloudtrail.response_elements", &["responseElements"]),
    derived("aws.cloudtrail.additional_eventdata", &["additionalEventData"]),
    derived("aws.cloudtrail.service_event_details", &["serviceEventDetails"]),
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
    if let Some(provider) = object.text_at("eventSource") {
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

fn normalize<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some(event) = record.object else {
        return Err(Dropped::Malformed("it is no JSON object"));
    };
    let document = record.document();
    event.prune_as_read();
    let looks = PLAN.apply(event, document);
    let look = |look: Look| looks.get(look as usize);
    if let Some(cloudtrail) = document.child("aws").and_then(|aws| aws.child("cloudtrail")) {
        if look(Look::DigestEnd).is_some() {
            DIGEST_PLAN.apply(event, document);
            digest_hash(event, document);
        }
        let part = |place: Look, name: &'static str| render(look(place)?, name, cloudtrail);
        let parts = Parts {
            request: part(Look::Request, "request_parameters"),
            response: part(Look::Response, "response_elements"),
            additional: part(Look::Additional, "additional_eventdata"),
        };
        part(Look::Service, "service_event_details");
        if let Some(resources) = look(Look::Resources) {
            cloudtrail.set("resources", unique_resources(resources, event));
        }
        identities(look(Look::UserName), &parts, document);
        if let Some(arn) = look(Look::UserArn).and_then(Value::as_text)
            && document.at("user.name").is_none()
            && let Some(name) = named_in_arn(arn)
        {
            document.put_text("user.name", name);
        }
        if look(Look::EventName).and_then(Value::as_text) == Some("ConsoleLogin") {
            console_login(&parts, cloudtrail);
        }
        let failed = look(Look::ErrorCode).or(look(Look::ErrorMessage)).is_some();
        let provider = look(Look::EventSource).and_then(Value::as_text).unwrap_or("");
        categorize(failed, provider, &parts, document);
        for (place, key) in [(Look::InsightName, "action"), (Look::InsightSource, "provider")] {
            if let Some(value @ Value::Text(_)) = look(place)
                && let Some(event) = document.child("event").filter(|event| event.get(key).is_none())
            {
                event.add(key, value);
            }
        }
        if cloudtrail.is_empty() {
            document.remove("aws");
        }
    }
    if let Some(version) = look(Look::TlsVersion).and_then(Value::as_text) {
        tls_version(version, document);
    }
    if let Some(address) = document.child("source").and_then(|source| source.get("ip")) {
        document.append_new("related.ip", address);
    }
    Ok(document)
}

/// The parts of an event that vary by call; each is kept as Java text and, unless very long, as an object.
struct Parts<'a> {
    request: Option<&'a Map<'a>>,
    response: Option<&'a Map<'a>>,
    additional: Option<&'a Map<'a>>,
}

/// Texts of this many UTF-16 units and more go without their flattened twin, as in the integration: it is the length
/// that a keyword of Elasticsearch can have.
const FLATTENED_LIMIT: usize = 32_766;

/// Writes a part as Java text and, unless very long, as an object, which is given back.
fn render<'a>(value: Value<'a>, name: &'static str, cloudtrail: &'a Map<'a>) -> Option<&'a Map<'a>> {
    let text = java_text::of(value, cloudtrail);
    cloudtrail.add(name, Value::Text(text));
    if text.len() >= FLATTENED_LIMIT && text.encode_utf16().count() >= FLATTENED_LIMIT {
        return None;
    }
    cloudtrail.child("flattened")?.set(name, value);
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
fn identities<'a>(caller: Option<Value<'a>>, parts: &Parts<'a>, document: &'a Map<'a>) {
    let text = |map: Option<&'a Map<'a>>, path: &str| -> Option<Value<'a>> {
        let value = convert::text(map?.at(path)?, document)?;
        (!value.is_empty()).then_some(Value::Text(value))
    };
    let user = text(parts.request, "userName");
    let new_user = text(parts.request, "newUserName");
    let caller = caller
        .and_then(|value| convert::text(value, document))
        .map(Value::Text);
    for name in [caller, user, new_user].into_iter().flatten() {
        document.append_new("related.user", name);
    }
    let fields = [
        ("user.target.name", user),
        ("user.changes.name", new_user),
        ("group.name", text(parts.request, "groupName")),
        ("group.id", text(parts.response, "group.groupId")),
        ("user.target.id", text(parts.response, "user.userId")),
    ];
    for (field, value) in fields {
        if let Some(value) = value {
            document.put(field, value);
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

fn console_login<'a>(parts: &Parts<'a>, cloudtrail: &'a Map<'a>) {
    let Some(additional) = parts.additional else {
        return;
    };
    let target = || cloudtrail.child("console_login")?.child("additional_eventdata");
    for (from, name) in [("MobileVersion", "mobile_version"), ("MFAUsed", "mfa_used")] {
        if let (Some(value), Some(target)) =
            (additional.get(from), additional.get(from).and_then(|_| target()))
        {
            target.set(name, Value::Bool(value.as_text() != Some("No")));
        }
    }
    if let (Some(value), Some(target)) = (
        additional.get("LoginTo"),
        additional.get("LoginTo").and_then(|_| target()),
    ) {
        target.set("login_to", value);
    }
}

fn digest_hash<'a>(event: &Map<'a>, document: &'a Map<'a>) {
    if event.text_at("previousDigestHashAlgorithm") == Some("SHA-256")
        && let Some(hash) = event.get("previousDigestSignature")
    {
        document.put("file.hash.sha256", hash);
        document.append_new("related.hash", hash);
    }
}

/// `TLSv1.2` is version `1.2` of protocol `tls`.
fn tls_version<'a>(text: &'a str, document: &'a Map<'a>) {
    if let Some((protocol, version)) = text.split_once('v')
        && let Some(tls) = document.child("tls")
    {
        tls.set("version_protocol", Value::Text(lowercase(protocol, tls)));
        tls.set("version", Value::Text(version));
    }
}

fn lowercase<'a>(text: &'a str, at: &Map<'a>) -> &'a str {
    match text {
        "TLS" => "tls",
        "Success" => "success",
        "Failure" => "failure",
        other => at.text(&other.to_lowercase()),
    }
}

/// Category, type and outcome.
fn categorize<'a>(failed: bool, provider: &str, parts: &Parts<'a>, document: &'a Map<'a>) {
    let Some(target) = document.child("event") else {
        return;
    };
    let mut outcome = if failed { "failure" } else { "success" };
    let action = target.get("action").and_then(Value::as_filled_text);
    if action == Some("ConsoleLogin")
        && let Some(login) = parts
            .response
            .and_then(|response| response.text_at("ConsoleLogin"))
    {
        outcome = lowercase(login, target);
    }
    target.set("outcome", Value::Text(outcome));
    let Some(action) = action else {
        target.set("type", Value::List(&[Value::Text("info")]));
        return;
    };
    match class_of(action) {
        Some((category, types)) => {
            target.put_texts("category", &[category]);
            target.put_texts("type", types);
        }
        None => {
            target.put_texts("category", &[category_of_unlisted(provider)]);
            match type_of_unlisted(action) {
                Some(kind) => target.put_texts("type", &["info", kind]),
                None => target.put_texts("type", &["info"]),
            };
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

/// Category and type of the calls that the integration knows.
fn class_of(action: &str) -> Option<(&'static str, &'static [&'static str])> {
    Some(match action {
        "AssumeRole" | "ConsoleLogin" => ("authentication", &["info"]),
        "CreateBucket" => ("file", &["creation"]),
        "DeleteBucket" => ("file", &["deletion"]),
        "CreateGroup" => ("iam", &["group", "creation"]),
        "DeleteGroup" => ("iam", &["group", "deletion"]),
        "AddUserToGroup"
        | "AttachGroupPolicy"
        | "DeleteGroupPolicy"
        | "DetachGroupPolicy"
        | "PutGroupPolicy"
        | "RemoveUserFromGroup"
        | "UpdateGroup" => ("iam", &["group", "change"]),
        "GetGroup" | "GetGroupPolicy" | "ListAttachedGroupPolicies" | "ListGroupPolicies" | "ListGroups" => {
            ("iam", &["group", "info"])
        }
        "CreateUser" => ("iam", &["user", "creation"]),
        "DeleteUser" => ("iam", &["user", "deletion"]),
        "AttachUserPolicy"
        | "ChangePassword"
        | "CreateAccessKey"
        | "CreateVirtualMFADevice"
        | "DeactivateMFADevice"
        | "DeleteAccessKey"
        | "DeleteSSHPublicKey"
        | "DeleteUserPermissionsBoundary"
        | "DeleteUserPolicy"
        | "DeleteVirtualMFADevice"
        | "DetachUserPolicy"
        | "EnableMFADevice"
        | "PutUserPermissionsBoundary"
        | "PutUserPolicy"
        | "TagUser"
        | "UntagUser"
        | "UpdateAccessKey"
        | "UpdateLoginProfile"
        | "UpdateSSHPublicKey"
        | "UpdateUser" => ("iam", &["user", "change"]),
        "GetUser"
        | "GetUserPolicy"
        | "ListAttachedUserPolicies"
        | "ListGroupsForUser"
        | "ListUserPolicies"
        | "ListUsers"
        | "ListUserTags" => ("iam", &["user", "info"]),
        "CreateKeyPair" => ("iam", &["admin", "creation"]),
        "SetDefaultPolicyVersion"
        | "SetSecurityTokenServicePreferences"
        | "UpdateAccountPasswordPolicy"
        | "UpdateRole" => ("iam", &["admin", "change"]),
        _ => return None,
    })
}
