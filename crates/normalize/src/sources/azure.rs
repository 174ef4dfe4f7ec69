//! What the logs of Azure Monitor have in common.
//!
//! Record: <https://learn.microsoft.com/azure/azure-monitor/platform/resource-logs-schema>. Each source keeps the
//! whole record under its namespace and gives the common parts their ECS names.

pub(super) mod activity;
pub(super) mod audit;
pub(super) mod entra;
pub(super) mod graph;
pub(super) mod platform;
pub(super) mod risk;
pub(super) mod signin;

use std::net::IpAddr;
use std::sync::LazyLock;

use crate::convert;
use crate::json;
use crate::mapping::{How, Mapping, Plan, keep, to};
use crate::record::Record;
use crate::source::Dropped;
use crate::tree::{Map, Value};

static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::of(&[SHARED]));

/// The parts that all Azure records share; what is here leaves the source's namespace.
pub(super) const SHARED: &[Mapping] = &[
    to(How::Date, "time", "@timestamp"),
    keep("resourceId", "azure.resource.id"),
    to(How::Ip, "callerIpAddress", "source.ip"),
    to(How::Ip, "callerIpAddress", "client.ip"),
    keep("level", "log.level"),
    keep("location", "geo.name"),
    keep("correlationId", "azure.correlation_id"),
];

/// The camel-case keys that get snake-case names inside of a source's namespace.
pub(super) const SNAKE: &[(&str, &str)] = &[
    ("resultType", "result_type"),
    ("resultSignature", "result_signature"),
    ("operationName", "operation_name"),
    ("operationVersion", "operation_version"),
    ("tenantId", "tenant_id"),
    ("Level", "level"),
];

/// The record, ready to become the content of a namespace: parsed properties, no empty key.
pub(super) fn record<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    let Some(object) = record.object else {
        return Err(Dropped::Malformed("it is no JSON object"));
    };
    without_empty_keys(object);
    if let Some(Value::Text(text)) = object.get("properties")
        && let Ok(properties @ Value::Map(_)) = json::parse(record.arena, text)
    {
        object.set("properties", properties);
    }
    Ok(object)
}

/// Azure writes `"":""` into some records.
fn without_empty_keys(map: &Map<'_>) {
    if map.get("").is_some_and(Value::is_blank) {
        map.remove("");
    }
    map.iter()
        .filter_map(|(_, value)| value.as_map())
        .for_each(without_empty_keys);
}

/// Moves the shared parts out of `object`, which stands in the document under its namespace.
pub(super) fn lift_shared<'a>(object: &'a Map<'a>, document: &'a Map<'a>) {
    PLAN.apply(object, document);
    let no_address = document.at("source.ip").is_none();
    for key in [
        "time",
        "resourceId",
        "callerIpAddress",
        "level",
        "location",
        "correlationId",
    ] {
        if let Some(value) = object.remove(key)
            && key == "callerIpAddress"
            && no_address
            && !value.is_blank()
        {
            document.put("source.address", value);
        }
    }
    if let Some(ip) = document.at("source.ip") {
        document.append_new("related.ip", ip);
    }
    if let Some(duration) = object
        .remove("durationMs")
        .filter(|duration| !matches!(duration, Value::Null))
    {
        // Milliseconds as a number become nanoseconds; text stays as it is, as the integration leaves it.
        let nanos = match duration {
            Value::Int(millis) => millis.checked_mul(1_000_000).map_or(duration, Value::Int),
            other => other,
        };
        document.put("event.duration", nanos);
    }
    for (from, to) in SNAKE {
        object.rename(from, to);
    }
    finish(document);
}

/// What is the same for all Azure records, once the resource and the outcome are known.
pub(super) fn finish<'a>(document: &'a Map<'a>) {
    document.put_text("cloud.provider", "azure");
    document.put_text("event.kind", "event");
    if let Some(id) = document.text_at("azure.resource.id") {
        resource_id(id, document);
    }
    if let Some(outcome) = document.text_at("event.outcome") {
        document.put_text("event.outcome", document.text(&outcome.to_lowercase()));
    }
}

/// Moves `time` out of a record to `@timestamp`.
pub(super) fn time<'a>(object: &'a Map<'a>, document: &'a Map<'a>) {
    if let Some(time) = object.remove("time").and_then(|time| date(time, document)) {
        document.put_text("@timestamp", time);
    }
}

/// A date in ISO 8601 form, or as `11/3/2020 9:06:42 AM +00:00`; without an offset it is UTC.
pub(super) fn date<'a>(value: Value<'a>, at: &Map<'a>) -> Option<&'a str> {
    convert::date(value, at).or_else(|| {
        let text = value.as_text()?;
        let stamp = jiff::fmt::strtime::parse("%m/%d/%Y %I:%M:%S %p %:z", text)
            .and_then(|parts| parts.to_timestamp())
            .or_else(|_| {
                let civil = jiff::fmt::strtime::parse("%m/%d/%Y %I:%M:%S %p", text)?.to_datetime()?;
                Ok::<_, jiff::Error>(civil.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp())
            })
            .ok()?;
        convert::date(Value::Int(stamp.as_millisecond()), at)
    })
}

/// Milliseconds as nanoseconds; nothing for what is no number.
pub(super) fn nanoseconds(millis: Value<'_>) -> Option<Value<'_>> {
    Some(Value::Int(millis.to_int()?.checked_mul(1_000_000)?))
}

/// Sets the caller's address from the first of `paths` that has one.
pub(super) fn caller<'a>(object: &Map<'a>, paths: &[&str], document: &'a Map<'a>) {
    let Some(address) = paths.iter().find_map(|path| object.text_at(path)) else {
        return;
    };
    document.put_text("source.address", address);
    if address.parse::<IpAddr>().is_ok() {
        document.put_text("source.ip", address);
        document.put_text("client.ip", address);
        document.append_new("related.ip", Value::Text(address));
    }
}

/// A position as a key.
pub(super) fn number<'a>(position: usize, at: &Map<'a>) -> &'a str {
    at.text(&position.to_string())
}

/// `ops@example.test` as user and host name.
pub(super) fn split_address(text: &str) -> Option<(&str, &str)> {
    let (before, after) = text.split_once('@')?;
    let is_user = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let local = before.rsplit(|c: char| !is_user(c)).next()?;
    let end = after
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-')))
        .unwrap_or(after.len());
    let host = after.get(..end)?.trim_end_matches('-');
    (!local.is_empty() && host.starts_with(|c: char| c.is_ascii_alphanumeric())).then_some((local, host))
}

/// Splits a resource id: subscription, group, provider, name.
fn resource_id<'a>(id: &'a str, document: &'a Map<'a>) {
    for upper in [true, false] {
        let word = |word: &'static str| {
            if upper {
                word.to_uppercase()
            } else {
                word.to_owned()
            }
        };
        let subscription = after(id, &word("/subscriptions/")).and_then(|rest| split_guid(rest));
        if let Some((subscription, rest)) = subscription {
            document.put_text("azure.subscription_id", subscription);
            let Some(group_and_rest) = rest.strip_prefix(word("/resourceGroups/").as_str()) else {
                match rest.strip_prefix(word("/providers/").as_str()) {
                    Some(provider) => {
                        let typed = typed_provider(provider).map_or(provider, |(it, _)| it);
                        document.put_text("azure.resource.provider", typed);
                    }
                    None => mixed_case(rest, document),
                }
                return;
            };
            in_group(
                group_and_rest,
                &word("/providers/"),
                &word("/namespaces/"),
                &word("/authorizationRules/"),
                document,
            );
            return;
        }
    }
    for word in ["/providers/", "/PROVIDERS/"] {
        if let Some(provider) = after(id, word).filter(|provider| !provider.is_empty()) {
            document.put_text("azure.resource.provider", provider);
            return;
        }
    }
}

/// `/resourcegroups/GROUP/providers/PROVIDER/TYPE/NAME`, whose words are written in another way: the integration takes
/// all behind the word for the provider.
fn mixed_case<'a>(rest: &'a str, document: &'a Map<'a>) {
    let lower = rest.to_ascii_lowercase();
    let part = |word: &str| {
        let at = lower.find(word)?;
        rest.get(at + word.len()..)
    };
    if let Some(provider) = part("/providers/").filter(|provider| !provider.is_empty()) {
        document.put_text("azure.resource.provider", provider);
        if let Some((_, Some(name))) = typed_provider(provider) {
            document.put_text("azure.resource.name", name);
        }
    }
    if let Some(group) = part("/resourcegroups/") {
        let group = group.split_once('/').map_or(group, |(group, _)| group);
        document.put_text("azure.resource.group", group);
    }
}

/// `GROUP/providers/PROVIDER/TYPE/NAME`, where the last provider counts.
fn in_group<'a>(rest: &'a str, providers: &str, namespaces: &str, rules: &str, document: &'a Map<'a>) {
    let Some((group, provider)) = rest.rsplit_once(providers) else {
        document.put_text("azure.resource.group", rest);
        return;
    };
    document.put_text("azure.resource.group", group);
    if let Some((provider, namespace)) = provider.rsplit_once(namespaces)
        && let Some((namespace, rule)) = namespace.rsplit_once(rules)
    {
        document.put_text("azure.resource.provider", provider);
        document.put_text("azure.resource.namespace", namespace);
        document.put_text("azure.resource.authorization_rule", rule);
        return;
    }
    match typed_provider(provider) {
        Some((provider, Some(name))) => {
            document.put_text("azure.resource.provider", provider);
            document.put_text("azure.resource.name", name);
        }
        _ => {
            document.put_text("azure.resource.provider", provider);
        }
    }
}

/// `Microsoft.Compute/disks` and what follows behind the next slash.
fn typed_provider(text: &str) -> Option<(&str, Option<&str>)> {
    let slash = text.find('/')?;
    let kind = text.get(slash + 1..)?;
    match kind.find('/') {
        Some(end) => {
            let end = slash + 1 + end;
            Some((
                text.get(..end)?,
                text.get(end + 1..).filter(|name| !name.is_empty()),
            ))
        }
        None if kind.is_empty() => None,
        None => Some((text, None)),
    }
}

fn after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let at = text.find(word)?;
    text.get(at + word.len()..)
}

/// A leading `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, in braces or not.
fn split_guid(text: &str) -> Option<(&str, &str)> {
    let start = usize::from(text.starts_with('{'));
    let guid = text.get(start..start + 36)?;
    let fits = guid.bytes().enumerate().all(|(index, byte)| match index {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    let end = start + 36 + usize::from(text.get(start + 36..).is_some_and(|rest| rest.starts_with('}')));
    fits.then(|| Some((text.get(..end)?, text.get(end..)?)))?
}

#[cfg(test)]
mod tests {
    use super::resource_id;
    use crate::tree::Arena;

    #[test]
    fn resource_ids_fall_into_their_parts() {
        let check = |id: &str, fields: &[(&str, &str)]| {
            let arena = Arena::default();
            let document = arena.map();
            resource_id(arena.text(id), document);
            for (field, value) in fields {
                assert_eq!(document.text_at(field), Some(*value), "{field} of {id}");
            }
        };
        let guid = "00000000-0000-4000-8000-00000000000a";
        check(
            &format!("/subscriptions/{guid}/resourceGroups/shop/providers/Microsoft.Compute/disks/d1"),
            &[
                ("azure.subscription_id", guid),
                ("azure.resource.group", "shop"),
                ("azure.resource.provider", "Microsoft.Compute/disks"),
                ("azure.resource.name", "d1"),
            ],
        );
        check(
            &format!(
                "/SUBSCRIPTIONS/{guid}/RESOURCEGROUPS/SHOP/PROVIDERS/MICROSOFT.SQL/SERVERS/S/DATABASES/D"
            ),
            &[
                ("azure.resource.provider", "MICROSOFT.SQL/SERVERS"),
                ("azure.resource.name", "S/DATABASES/D"),
            ],
        );
        check(
            &format!(
                "/subscriptions/{guid}/resourceGroups/g/providers/Microsoft.EventHub/namespaces/n/authorizationRules/r"
            ),
            &[
                ("azure.resource.provider", "Microsoft.EventHub"),
                ("azure.resource.namespace", "n"),
                ("azure.resource.authorization_rule", "r"),
            ],
        );
        check(
            &format!("/subscriptions/{guid}/resourceGroups/g"),
            &[("azure.resource.group", "g")],
        );
        check(
            "/providers/Microsoft.Portal",
            &[("azure.resource.provider", "Microsoft.Portal")],
        );
    }
}
