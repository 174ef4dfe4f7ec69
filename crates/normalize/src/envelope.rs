//! Wrappings: what carries records inside of it.
//!
//! A wrapping is taken off whatever source is asked for, so each source sees its records bare. One record may hold
//! many (`Records` of an S3 object), and wrappings nest (a queue message with a notification with an event).

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;

use crate::convert;
use crate::json;
use crate::record::Record;
use crate::sources::{docker, otlp};
use crate::tree::{Map, Value};

/// What a record holds inside.
#[derive(Debug)]
pub(crate) enum Inside<'a> {
    /// It is no wrapping.
    Nothing,
    /// These records, in order; `agent` goes with each of them.
    Records {
        records: Vec<Value<'a>>,
        agent: Option<&'a Map<'a>>,
    },
}

/// Looks into a record. Texts that are JSON are read, so that the result is an object or a line of text.
pub(crate) fn open<'a>(record: &Record<'a>) -> Inside<'a> {
    let Some(object) = record.object else {
        return container_line(record).unwrap_or(Inside::Nothing);
    };
    let records = |records: Vec<Value<'a>>| Inside::Records {
        records,
        agent: record.agent,
    };

    // OpenTelemetry: a request, then each of its log records.
    if let Some(list) = otlp::records(object) {
        return records(list);
    }
    if let Some((body, around)) = otlp::unwrap(object) {
        add_outer(around, record.agent);
        return Inside::Records {
            records: vec![body],
            agent: Some(around),
        };
    }
    for key in ["Records", "records", "logEvents", "Messages", "receivedMessages"] {
        if let Some(list) = object.get(key).and_then(Value::as_list) {
            return records(list.to_vec());
        }
    }
    if let Some(list) = answer(object) {
        return records(list);
    }
    if object.text_at("kind") == Some("EventList")
        && let Some(items) = object.get("items").and_then(Value::as_list)
    {
        return records(items.to_vec());
    }
    // What a container registry sends. https://distribution.github.io/distribution/about/notifications/
    if let Some(list) = object.get("events").and_then(Value::as_list)
        && !list.is_empty()
        && list
            .iter()
            .all(|event| event.as_map().is_some_and(docker::registry::is_event))
    {
        return records(list.to_vec());
    }
    // Amazon EventBridge. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html
    if object.get("detail-type").is_some()
        && let Some(detail @ Value::Map(_)) = object.get("detail")
    {
        return records(vec![detail]);
    }
    // Amazon SNS and SQS. https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
    if object.text_at("Type") == Some("Notification")
        && let Some(message @ Value::Text(_)) = object.get("Message")
    {
        return records(vec![message]);
    }
    let queued = (object.get("MessageId").is_some() && object.get("Body").is_some())
        || object.text_at("eventSource") == Some("aws:sqs");
    if queued && let Some(body @ Value::Text(_)) = object.get("Body").or_else(|| object.get("body")) {
        return records(vec![body]);
    }
    // CloudWatch Logs: an element of `logEvents`.
    // https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html
    if object.get("id").is_some()
        && object.get("timestamp").and_then(Value::to_int).is_some()
        && let Some(message @ Value::Text(_)) = object.get("message")
        && object.len() <= 4
    {
        return records(vec![message]);
    }
    // CloudTrail Lake and `LookupEvents`: the event as text.
    for key in ["CloudTrailEvent", "eventJson"] {
        if let Some(event @ Value::Text(_)) = object.get(key) {
            return records(vec![event]);
        }
    }
    match object.get("eventData") {
        Some(event @ Value::Map(inner)) if inner.get("eventVersion").is_some() => {
            return records(vec![event]);
        }
        Some(event @ Value::Text(text)) if text.trim_start().starts_with('{') => return records(vec![event]),
        _ => {}
    }
    if let Some(list) = carried(object) {
        return records(list);
    }
    // Google Pub/Sub, pushed or pulled. https://cloud.google.com/pubsub/docs/push#receive_push
    let push = object.map_at("message").unwrap_or(object);
    let message = ["messageId", "message_id", "publishTime"];
    if message.iter().any(|key| push.get(key).is_some())
        && let Some(list) = push.text_at("data").and_then(|data| unpacked(data, object))
    {
        return records(list);
    }
    container_output(record, object).unwrap_or_else(|| agent_message(object))
}

/// A line that a container printed, as Docker's `json-file` driver and shippers with its shape keep it.
/// <https://docs.docker.com/engine/logging/drivers/json-file/>
fn container_output<'a>(record: &Record<'a>, object: &'a Map<'a>) -> Option<Inside<'a>> {
    let line = object.get("log")?.as_text()?;
    if !matches!(object.text_at_key("stream"), Some("stdout" | "stderr")) {
        return None;
    }
    let agent = object.shallow_copy();
    agent.remove("log");
    if let Some(time) = agent.remove("time") {
        agent.set("@timestamp", time);
    }
    add_outer(agent, record.agent);
    Some(Inside::Records {
        records: vec![Value::Text(line.trim_end_matches(['\n', '\r']))],
        agent: Some(agent),
    })
}

/// A line that a container printed, as runtimes of Kubernetes keep it: `TIME stdout F line`.
/// <https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md>
fn container_line<'a>(record: &Record<'a>) -> Option<Inside<'a>> {
    let (time, rest) = record.text.split_once(' ')?;
    let (stream, rest) = rest.split_once(' ')?;
    let (flags, line) = rest.split_once(' ').unwrap_or((rest, ""));
    let known = time.get(10..11) == Some("T")
        && matches!(stream, "stdout" | "stderr")
        && matches!(flags.split(':').next(), Some("F" | "P"));
    if !known || convert::parse_instant(time).is_none() {
        return None;
    }
    let agent = record.agent.map_or_else(|| record.arena.map(), Map::shallow_copy);
    agent.set("@timestamp", Value::Text(time));
    agent.set("stream", Value::Text(stream));
    Some(Inside::Records {
        records: vec![Value::Text(line)],
        agent: Some(agent),
    })
}

/// The list of an API's answer.
fn answer<'a>(object: &Map<'a>) -> Option<Vec<Value<'a>>> {
    let first = |list: &'a [Value<'a>]| list.first()?.as_map();
    // Azure and Microsoft Graph. https://learn.microsoft.com/rest/api/monitor/activity-logs/list
    if let Some(list) = object.get("value").and_then(Value::as_list)
        && object
            .iter()
            .all(|(key, _)| key == "value" || key == "nextLink" || key.starts_with("@odata."))
    {
        return Some(list.to_vec());
    }
    // Google Cloud. https://cloud.google.com/logging/docs/reference/v2/rest/v2/entries/list
    if let Some(list) = object.get("entries").and_then(Value::as_list)
        && first(list).is_some_and(|entry| entry.get("logName").is_some() || entry.get("insertId").is_some())
    {
        return Some(list.to_vec());
    }
    // CloudTrail. https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
    if let Some(list) = object.get("Events").and_then(Value::as_list)
        && first(list).is_some_and(|event| event.get("CloudTrailEvent").is_some())
    {
        return Some(list.to_vec());
    }
    // CloudTrail Lake: rows of columns, each an object with one key.
    // https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_GetQueryResults.html
    if let Some(rows) = object.get("QueryResultRows").and_then(Value::as_list) {
        let events = rows.iter().filter_map(|row| {
            let row = row.as_list()?;
            let event = |column: &Value<'a>| column.as_map()?.get("eventJson");
            row.iter().find_map(event)
        });
        return Some(events.collect());
    }
    // GuardDuty. https://docs.aws.amazon.com/guardduty/latest/APIReference/API_GetFindings.html
    ["findings", "Findings", "logs"].iter().find_map(|key| {
        let list = object.get(key).and_then(Value::as_list)?;
        (object.len() <= 2 && !list.is_empty()).then(|| list.to_vec())
    })
}

/// What streams and functions of AWS carry: base64, compressed or not, or text in an object of their own.
fn carried<'a>(object: &'a Map<'a>) -> Option<Vec<Value<'a>>> {
    // https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html
    if let Some(message @ Value::Text(_)) = object.at("Sns.Message") {
        return Some(vec![message]);
    }
    // CloudWatch Logs and Kinesis to a function.
    // https://docs.aws.amazon.com/lambda/latest/dg/services-cloudwatchlogs.html
    // https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
    for path in ["awslogs.data", "kinesis.data"] {
        if let Some(data) = object.text_at(path) {
            return unpacked(data, object);
        }
    }
    // Firehose, and what `kinesis get-records` answers.
    // https://docs.aws.amazon.com/firehose/latest/dev/data-transformation.html
    let stream = ["recordId", "SequenceNumber", "approximateArrivalTimestamp"];
    let (alone, data) = match (object.text_at("data"), object.text_at("Data")) {
        (Some(data), _) | (None, Some(data)) => (object.len() == 1, data),
        (None, None) => return None,
    };
    if alone || stream.iter().any(|key| object.get(key).is_some()) {
        unpacked(data, object)
    } else {
        None
    }
}

/// Compressed data of more bytes than this is not taken out whole.
const MAX_UNPACKED_BYTES: u64 = 64 << 20;

/// The records in base64, gzip inside of it or not: one text, or one on each line.
fn unpacked<'a>(data: &str, at: &Map<'a>) -> Option<Vec<Value<'a>>> {
    let bytes = STANDARD.decode(data.trim()).ok()?;
    let bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut out = Vec::new();
        // What was written before a fault in the data is still of use.
        MultiGzDecoder::new(bytes.as_slice())
            .take(MAX_UNPACKED_BYTES)
            .read_to_end(&mut out)
            .ok()
            .or_else(|| (!out.is_empty()).then_some(0))?;
        out
    } else {
        bytes
    };
    let text = at.text(&String::from_utf8_lossy(&bytes));
    let whole = text.trim();
    let many = whole.contains('\n') && whole.lines().all(|line| line.is_empty() || line.ends_with('}'));
    Some(if many && !whole.starts_with("{\n") {
        let lines = whole.lines().filter(|line| !line.trim().is_empty());
        lines.map(Value::Text).collect()
    } else {
        vec![Value::Text(whole)]
    })
}

/// A document of a shipping agent (Filebeat, Logstash, Fluent Bit …): the raw record is its `message`.
fn agent_message<'a>(object: &'a Map<'a>) -> Inside<'a> {
    let Some(message @ Value::Text(_)) = object.get("message") else {
        return Inside::Nothing;
    };
    let alone = object.len() == 1;
    let shipped = [
        "agent",
        "log",
        "event",
        "@metadata",
        "input",
        "data_stream",
        "beat",
    ]
    .iter()
    .any(|key| object.get(key).is_some_and(|value| value.as_map().is_some()));
    if !alone && !shipped {
        return Inside::Nothing;
    }
    let agent = object.shallow_copy();
    agent.remove("message");
    Inside::Records {
        records: vec![message],
        agent: (!agent.is_empty()).then_some(agent),
    }
}

/// Where shippers put the line that they read, when they say nothing else of themselves: Vector, Logstash, rsyslog, loggers
/// that write to a collector; Fluent Bit's `tail`.
/// <https://vector.dev/docs/reference/configuration/sources/file/#output-data>
/// <https://docs.fluentbit.io/manual/data-pipeline/inputs/tail>
const LINES: [&str; 2] = ["message", "log"];

/// The line of an object that no source knows, with what stands around it as its agent.
pub(crate) fn shipped_line<'a>(outer: &Record<'a>) -> Option<Record<'a>> {
    let object = outer.object?;
    let key = LINES
        .into_iter()
        .find(|key| object.get(key).is_some_and(|line| line.as_text().is_some()))?;
    let line = object.get(key)?.as_text()?.trim_end_matches(['\n', '\r']);
    let agent = object.shallow_copy();
    agent.remove(key);
    add_outer(agent, outer.agent);
    record(outer, Value::Text(line), Some(agent))
}

/// Adds to what an inner wrapping says what only an outer one does.
fn add_outer<'a>(inner: &'a Map<'a>, outer: Option<&'a Map<'a>>) {
    let Some(outer) = outer else { return };
    outer
        .iter()
        .filter(|(key, _)| inner.get(key).is_none())
        .for_each(|(key, value)| inner.add(key, value));
}

/// How long the header before the JSON of a line may be.
const LONGEST_HEADER: usize = 512;

/// A line that is a header, as of syslog, and a JSON object.
pub(crate) fn behind_header<'a>(record: &Record<'a>) -> Option<Record<'a>> {
    let text = record.text;
    if record.object.is_some() || !text.trim_end().ends_with('}') {
        return None;
    }
    let start = text
        .find('{')
        .filter(|start| (1..=LONGEST_HEADER).contains(start))?;
    let object = json::parse(record.arena, text.get(start..)?).ok()?.as_map()?;
    Some(Record {
        object: Some(object),
        ..*record
    })
}

/// A value from inside a wrapping as a record. Text that begins as JSON, but is none, stays text.
pub(crate) fn record<'a>(
    outer: &Record<'a>,
    value: Value<'a>,
    agent: Option<&'a Map<'a>>,
) -> Option<Record<'a>> {
    let (arena, clock) = (outer.arena, outer.clock);
    match value {
        Value::Map(map) => Some(Record {
            arena,
            text: "",
            object: Some(map),
            agent,
            clock,
        }),
        Value::Text(text) => {
            let object = text
                .trim_start()
                .starts_with('{')
                .then(|| json::parse(arena, text).ok())
                .flatten()
                .and_then(Value::as_map);
            Some(Record {
                arena,
                text,
                object,
                agent,
                clock,
            })
        }
        _ => None,
    }
}
