//! The lists of address ranges that cloud providers publish.
//!
//! - AWS: <https://docs.aws.amazon.com/vpc/latest/userguide/aws-ip-ranges.html>
//! - Azure: <https://learn.microsoft.com/en-us/azure/virtual-network/service-tags-overview#service-tags-on-premises>
//! - Google: <https://support.google.com/a/answer/10026322>
//!
//! That an address belongs to a cloud says nothing of who uses it, and no ECS field means it. So it is written beneath
//! `neph.cloud_range`, where no vendor writes.

use ipnet::IpNet;
use neph_normalize::{Map, Value};
use serde::Deserialize;

use crate::LeftOut;
use crate::networks::Networks;

/// A range, as its list describes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CloudRange {
    network: IpNet,
    provider: &'static str,
    region: Option<String>,
    service: Option<String>,
}

/// Any of the lists.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    prefixes: Option<Vec<Prefix>>,
    #[serde(default)]
    ipv6_prefixes: Vec<Prefix>,
    #[serde(default)]
    values: Option<Vec<Tag>>,
}

/// An entry of the lists of AWS and Google.
#[derive(Deserialize)]
struct Prefix {
    ip_prefix: Option<String>,
    ipv6_prefix: Option<String>,
    #[serde(rename = "ipv4Prefix")]
    google_4: Option<String>,
    #[serde(rename = "ipv6Prefix")]
    google_6: Option<String>,
    region: Option<String>,
    scope: Option<String>,
    service: Option<String>,
}

/// A service tag of Azure.
#[derive(Deserialize)]
struct Tag {
    properties: TagProperties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TagProperties {
    region: Option<String>,
    system_service: Option<String>,
    address_prefixes: Vec<String>,
}

/// Reads a list of ranges; nothing where the text is none.
pub(crate) fn read(
    text: &str,
    networks: &mut Networks<Vec<CloudRange>>,
    left_out: &mut LeftOut,
) -> Option<Result<(), String>> {
    let head: String = text.chars().take(4096).collect();
    let looks_right = text.trim_start().starts_with('{')
        && (head.contains("\"prefixes\"") || head.contains("addressPrefixes") || head.contains("\"values\""));
    if !looks_right {
        return None;
    }
    let file: File = match serde_json::from_str(text) {
        Ok(file) => file,
        Err(error) => return Some(Err(error.to_string())),
    };
    let mut add = |text: &str, provider: &'static str, region: Option<&String>, service: Option<&String>| {
        let Ok(network) = text.parse::<IpNet>() else {
            return left_out.add(|| format!("`{text}` is no network"));
        };
        let filled = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
        let range = CloudRange {
            network: network.trunc(),
            provider,
            region: filled(region),
            service: filled(service),
        };
        let known = networks.entry(network);
        if !known.contains(&range) {
            known.push(range);
        }
    };
    if let Some(prefixes) = &file.prefixes {
        for prefix in prefixes.iter().chain(&file.ipv6_prefixes) {
            for text in [&prefix.ip_prefix, &prefix.ipv6_prefix].into_iter().flatten() {
                add(text, "aws", prefix.region.as_ref(), prefix.service.as_ref());
            }
            for text in [&prefix.google_4, &prefix.google_6].into_iter().flatten() {
                add(text, "gcp", prefix.scope.as_ref(), prefix.service.as_ref());
            }
        }
    }
    for Tag { properties } in file.values.iter().flatten() {
        for text in &properties.address_prefixes {
            let service = properties.system_service.as_ref();
            add(text, "azure", properties.region.as_ref(), service);
        }
    }
    Some(match file.prefixes.is_some() || file.values.is_some() {
        true => Ok(()),
        false => Err("it is a JSON object, but no list of address ranges".into()),
    })
}

/// Writes `neph.cloud_range.<side>`.
pub(crate) fn write<'a>(ranges: &[CloudRange], side: &'static str, document: &'a Map<'a>) {
    let Some(first) = ranges.first() else { return };
    let Some(all) = document.child("neph").and_then(|neph| neph.child("cloud_range")) else {
        return;
    };
    if all.get(side).is_some() {
        return;
    }
    let target = document.new_map();
    let text = |text: &str| Value::Text(document.text(text));
    target.add("provider", text(first.provider));
    target.add("network", text(&first.network.to_string()));
    // One range stands in a list several times: once for the region, and once for each service.
    let of_provider = || ranges.iter().filter(|range| range.provider == first.provider);
    if let Some(region) = of_provider().find_map(|range| range.region.as_deref()) {
        target.add("region", text(region));
    }
    for service in of_provider().filter_map(|range| range.service.as_deref()) {
        target.append_new("services", text(service));
    }
    all.set(side, Value::Map(target));
}
