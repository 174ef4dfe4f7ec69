//! Access logs of Amazon's load balancers and of S3, and the log of its web application firewall.

use std::sync::LazyLock;

use crate::mapping::{How, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless, derived};
use crate::sources::web;
use crate::tree::{Map, Value};
use crate::words::{self, Word, Words};

pub(in crate::sources) const ELB: SourceInfo = SourceInfo {
    name: "aws_elb",
    aliases: &["aws_alb", "aws_elb_logs"],
    title: "Access logs of AWS application and classic load balancers",
    module: "aws",
    dataset: "aws.elb_logs",
    os: None,
    mappings: &[ELB_FIELDS],
    derived: &[web::DERIVED, ELB_DERIVED],
    detect: detect_elb,
    start: || Box::new(Stateless(normalize_elb)),
};

pub(in crate::sources) const S3: SourceInfo = SourceInfo {
    name: "aws_s3access",
    aliases: &["aws_s3_access"],
    title: "Server access logs of Amazon S3",
    module: "aws",
    dataset: "aws.s3access",
    os: None,
    mappings: &[S3_FIELDS],
    derived: &[web::DERIVED, S3_DERIVED],
    detect: detect_s3,
    start: || Box::new(Stateless(normalize_s3)),
};

pub(in crate::sources) const WAF: SourceInfo = SourceInfo {
    name: "aws_waf",
    aliases: &[],
    title: "Log of the AWS web application firewall",
    module: "aws",
    dataset: "aws.waf",
    os: None,
    mappings: &[WAF_FIELDS],
    derived: &[web::DERIVED, WAF_DERIVED],
    detect: detect_waf,
    start: || Box::new(Stateless(normalize_waf)),
};

static ELB_PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[ELB_FIELDS]));
static S3_PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[S3_FIELDS]));
static WAF_PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[WAF_FIELDS]));

const ELB_FIELDS: &[Mapping] = &[
    to(How::Date, "time", "@timestamp"),
    keep("type", "aws.elb.type"),
    keep("elb", "aws.elb.name"),
    to(How::Long, "elb_status_code", "http.response.status_code"),
    to(
        How::Long,
        "target_status_code",
        "aws.elb.backend.http.response.status_code",
    ),
    to(How::Long, "received_bytes", "http.request.bytes"),
    to(How::Long, "sent_bytes", "http.response.bytes"),
    keep("user_agent", "user_agent.original"),
    keep("ssl_cipher", "tls.cipher"),
    keep("ssl_protocol", "aws.elb.ssl_protocol"),
    keep("target_group_arn", "aws.elb.target_group.arn"),
    keep("trace_id", "aws.elb.trace_id"),
    keep("domain_name", "destination.domain"),
    keep("chosen_cert_arn", "aws.elb.chosen_cert.arn"),
    keep("matched_rule_priority", "aws.elb.matched_rule_priority"),
    keep("actions_executed", "aws.elb.action_executed"),
    keep("redirect_url", "aws.elb.redirect_url"),
    keep("error_reason", "aws.elb.error.reason"),
    keep("classification", "aws.elb.classification"),
    keep("classification_reason", "aws.elb.classification_reason"),
];

const ELB_DERIVED: &[Derived] = &[
    derived("cloud.provider", &[]),
    derived("aws.elb.backend.ip", &["target:port"]),
    derived("aws.elb.backend.port", &["target:port"]),
    derived("tls.version", &["ssl_protocol"]),
    derived("tls.version_protocol", &["ssl_protocol"]),
];

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html>
const APPLICATION: &[&str] = &[
    "type",
    "time",
    "elb",
    "client:port",
    "target:port",
    "request_processing_time",
    "target_processing_time",
    "response_processing_time",
    "elb_status_code",
    "target_status_code",
    "received_bytes",
    "sent_bytes",
    "request",
    "user_agent",
    "ssl_cipher",
    "ssl_protocol",
    "target_group_arn",
    "trace_id",
    "domain_name",
    "chosen_cert_arn",
    "matched_rule_priority",
    "request_creation_time",
    "actions_executed",
    "redirect_url",
    "error_reason",
    "",
    "",
    "classification",
    "classification_reason",
];

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/access-log-collection.html>
const CLASSIC: &[&str] = &[
    "time",
    "elb",
    "client:port",
    "target:port",
    "request_processing_time",
    "target_processing_time",
    "response_processing_time",
    "elb_status_code",
    "target_status_code",
    "received_bytes",
    "sent_bytes",
    "request",
    "user_agent",
    "ssl_cipher",
    "ssl_protocol",
];

/// Whether a word begins as `2026-11-21T19:36:56.123456Z`.
fn is_time(word: Option<&Word<'_>>) -> bool {
    word.is_some_and(|word| {
        let text = word.text();
        text.get(4..5) == Some("-") && text.get(10..11) == Some("T") && text.ends_with('Z')
    })
}

fn elb_words(line: &str) -> Option<(Words<'_>, &'static [&'static str])> {
    let kind = line.split(' ').next()?;
    let application = matches!(kind, "http" | "https" | "h2" | "grpcs" | "ws" | "wss");
    if !application && kind.get(10..11) != Some("T") {
        return None;
    }
    let words = words::split(line)?;
    let quoted = |position: usize| matches!(words.get(position), Some(Word::Quoted(_)));
    if application {
        let known = words.len() >= 25 && is_time(words.get(1)) && quoted(12) && quoted(13);
        return known.then_some((words, APPLICATION));
    }
    let known = matches!(words.len(), 12 | 15)
        && is_time(words.first())
        && quoted(11)
        && (4..7).all(|position| {
            words
                .get(position)
                .is_some_and(|word| word.text().parse::<f64>().is_ok())
        });
    known.then_some((words, CLASSIC))
}

fn detect_elb(record: &Record<'_>) -> Confidence {
    if record.object.is_none() && elb_words(record.text).is_some() {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

fn normalize_elb<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some((words, names)) = elb_words(record.text) else {
        return Err(Dropped::Malformed("no line of a load balancer's access log"));
    };
    let columns = words::columns(record.arena, names, &words);
    let document = record.document();
    // A listener that speaks no HTTP writes `- - - `.
    if let Some(request) = columns
        .text_at_key("request")
        .filter(|request| !request.starts_with("- "))
    {
        web::request_line(document, request);
    }
    ELB_PLAN.apply(columns, document);
    document.put_text("cloud.provider", "aws");
    if let Some(address) = columns.text_at_key("client:port") {
        web::client(document, address);
    }
    if let Some(target) = columns.text_at_key("target:port") {
        let (host, port) = web::host_and_port(target);
        document.put_text("aws.elb.backend.ip", host);
        if let Some(port) = port {
            document.put_text("aws.elb.backend.port", document.text(&port.to_string()));
        }
    }
    if let Some(version) = columns
        .text_at_key("ssl_protocol")
        .and_then(|text| text.strip_prefix("TLSv"))
    {
        document.put_text("tls.version", version);
        document.put_text("tls.version_protocol", "tls");
    }
    web::finish(document);
    Ok(document)
}

const S3_FIELDS: &[Mapping] = &[
    keep("bucket_owner", "aws.s3access.bucket_owner"),
    keep("bucket", "aws.s3access.bucket"),
    keep("requester", "aws.s3access.requester"),
    keep("requester", "user.id"),
    keep("request_id", "event.id"),
    keep("operation", "event.action"),
    keep("operation", "aws.s3access.operation"),
    keep("key", "aws.s3access.key"),
    to(How::Long, "http_status", "http.response.status_code"),
    keep("error_code", "event.code"),
    keep("error_code", "aws.s3access.error_code"),
    to(How::Long, "bytes_sent", "http.response.body.bytes"),
    to(How::Long, "object_size", "aws.s3access.object_size"),
    keep("referrer", "http.request.referrer"),
    keep("user_agent", "user_agent.original"),
    keep("version_id", "aws.s3access.version_id"),
    keep("host_id", "aws.s3access.host_id"),
    keep("signature_version", "aws.s3access.signature_version"),
    keep("cipher_suite", "tls.cipher"),
    keep("authentication_type", "aws.s3access.authentication_type"),
    keep("host_header", "aws.s3access.host_header"),
];

const S3_DERIVED: &[Derived] = &[
    derived("@timestamp", &["time"]),
    derived("cloud.provider", &[]),
    derived("event.duration", &["total_time"]),
    derived("tls.version", &["tls_version"]),
    derived("tls.version_protocol", &["tls_version"]),
    derived("client.ip", &["remote_ip"]),
    derived("client.address", &["remote_ip"]),
    derived("client.user.id", &["requester"]),
];

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html>
const S3_COLUMNS: &[&str] = &[
    "bucket_owner",
    "bucket",
    "time",
    "remote_ip",
    "requester",
    "request_id",
    "operation",
    "key",
    "request",
    "http_status",
    "error_code",
    "bytes_sent",
    "object_size",
    "total_time",
    "turn_around_time",
    "referrer",
    "user_agent",
    "version_id",
    "host_id",
    "signature_version",
    "cipher_suite",
    "authentication_type",
    "host_header",
    "tls_version",
];

fn s3_words(line: &str) -> Option<Words<'_>> {
    let owner = line.split(' ').next()?;
    if owner.len() != 64 || !owner.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let words = words::split(line)?;
    let operation = words.get(6)?.text();
    let known = words.len() >= 18
        && matches!(words.get(2), Some(Word::Bracketed(_)))
        && operation.contains('.')
        && operation
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'.' | b'_' | b'3'));
    known.then_some(words)
}

fn detect_s3(record: &Record<'_>) -> Confidence {
    if record.object.is_none() && s3_words(record.text).is_some() {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

fn normalize_s3<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some(words) = s3_words(record.text) else {
        return Err(Dropped::Malformed("no line of an S3 access log"));
    };
    let columns = words::columns(record.arena, S3_COLUMNS, &words);
    let document = record.document();
    if let Some(request) = columns.text_at_key("request") {
        web::request_line(document, request);
    }
    S3_PLAN.apply(columns, document);
    if let Some(date) = columns
        .text_at_key("time")
        .and_then(|time| web::common_log_time(time, document))
    {
        document.put_text("@timestamp", date);
    }
    document.put_text("cloud.provider", "aws");
    web::duration(document, columns.get("total_time"), 1e6);
    if let Some(version) = columns
        .text_at_key("tls_version")
        .and_then(|text| text.strip_prefix("TLSv"))
    {
        document.put_text("tls.version", version);
        document.put_text("tls.version_protocol", "tls");
    }
    if let Some(address) = columns.text_at_key("remote_ip") {
        web::client(document, address);
        web::peer(document, "client", address);
    }
    if let Some(requester) = columns.text_at_key("requester") {
        document.put_text("client.user.id", requester);
        document.append_new("related.user", Value::Text(requester));
    }
    web::finish(document);
    Ok(document)
}

/// <https://docs.aws.amazon.com/waf/latest/developerguide/logging-fields.html>
const WAF_FIELDS: &[Mapping] = &[
    to(How::Date, "timestamp", "@timestamp"),
    keep("action", "event.action"),
    keep("terminatingRuleId", "rule.id"),
    keep("ruleGroupList", "aws.waf.rule_group_list"),
    keep("terminatingRuleId", "aws.waf.terminating_rule_id"),
    keep("terminatingRuleType", "rule.ruleset"),
    keep(
        "terminatingRuleMatchDetails",
        "aws.waf.terminating_rule_match_details",
    ),
    keep(
        "nonTerminatingMatchingRules",
        "aws.waf.non_terminating_matching_rules",
    ),
    keep("rateBasedRuleList", "aws.waf.rate_based_rule_list"),
    keep("webaclId", "aws.waf.arn"),
    keep("httpSourceName", "aws.waf.source.name"),
    keep("httpSourceId", "aws.waf.source.id"),
    keep("labels", "aws.waf.labels"),
    to(How::Long, "responseCodeSent", "http.response.status_code"),
    keep("httpRequest.httpMethod", "http.request.method"),
    keep("httpRequest.requestId", "http.request.id"),
    keep("httpRequest.country", "source.geo.country_iso_code"),
    keep("httpRequest.headers", "aws.waf.request.headers"),
    keep("ja3Fingerprint", "tls.client.ja3"),
];

const WAF_DERIVED: &[Derived] = &[
    derived("cloud.provider", &[]),
    derived("cloud.region", &["webaclId"]),
    derived("cloud.account.id", &["webaclId"]),
    derived("user_agent.original", &["httpRequest.headers"]),
    derived("http.request.referrer", &["httpRequest.headers"]),
    derived("url.domain", &["httpRequest.headers"]),
    derived("url.query", &["httpRequest.args"]),
    derived("http.version", &["httpRequest.httpVersion"]),
];

fn detect_waf(record: &Record<'_>) -> Confidence {
    let known = record.has(&["webaclId", "action", "httpRequest"]);
    if known {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

fn normalize_waf<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some(object) = record.object else {
        return Err(Dropped::Malformed("it is no JSON object"));
    };
    let document = record.document();
    WAF_PLAN.apply(object, document);
    document.put_text("cloud.provider", "aws");
    if let Some(arn) = object.text_at("webaclId") {
        let mut parts = arn.split(':').skip(3);
        for field in ["cloud.region", "cloud.account.id"] {
            if let Some(part) = parts.next().filter(|part| !part.is_empty()) {
                document.put_text(field, part);
            }
        }
    }
    let headers = object
        .at("httpRequest.headers")
        .and_then(Value::as_list)
        .unwrap_or(&[]);
    let header = |wanted: &str| {
        headers
            .iter()
            .filter_map(|header| header.as_map())
            .find_map(|header| {
                let name = header.text_at_key("name")?;
                name.eq_ignore_ascii_case(wanted)
                    .then(|| header.text_at_key("value"))?
            })
    };
    for (name, field) in [
        ("user-agent", "user_agent.original"),
        ("referer", "http.request.referrer"),
    ] {
        if let Some(value) = header(name) {
            document.put_text(field, value);
        }
    }
    if let Some(path) = object.text_at("httpRequest.uri") {
        let query = object.text_at("httpRequest.args");
        let asked = match query {
            Some(query) => document.text(&[path, "?", query].concat()),
            None => path,
        };
        web::target(document, asked);
    }
    if let Some(host) = header("host") {
        web::domain(document, host);
    }
    if let Some(protocol) = object.text_at("httpRequest.httpVersion") {
        web::version(document, protocol);
    }
    if let Some(address) = object.text_at("httpRequest.clientIp") {
        web::client(document, address);
    }
    web::finish(document);
    let outcome = match object.text_at("action") {
        Some("ALLOW") => ("allowed", "success"),
        Some("BLOCK") => ("denied", "failure"),
        _ => ("info", "unknown"),
    };
    if let Some(event) = document.child("event") {
        event.put_texts("type", &["access", outcome.0]);
        event.set("outcome", Value::Text(outcome.1));
    }
    Ok(document)
}
