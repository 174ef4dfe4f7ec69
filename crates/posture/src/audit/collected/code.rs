//! Files that are no JSON: manifests, Dockerfiles, Terraform, and what hosts print as text.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::{Collected, Scope};
use crate::audit::at::{has, text as at};

mod terraform;

pub(super) use terraform::resolve;

/// Services of OpenStack whose settings are read.
const SETTINGS: [&str; 4] = ["nova", "metadata_agent", "neutron", "glance-api"];

/// Whether a file may be one of those that are read here, by its name.
pub(super) fn is_read(path: &Path) -> bool {
    let Some(name) = path.file_name().map(|name| name.to_string_lossy().to_lowercase()) else {
        return false;
    };
    if is_dockerfile(&name) {
        return true;
    }
    match name.rsplit_once('.') {
        None => true,
        Some((_, ending)) => matches!(
            ending,
            "tf" | "yaml"
                | "yml"
                | "txt"
                | "rules"
                | "nft"
                | "v4"
                | "v6"
                | "conf"
                | "ini"
                | "service"
                | "socket"
        ),
    }
}

fn is_dockerfile(name: &str) -> bool {
    let is_word = |word: &str| word == "dockerfile" || word == "containerfile";
    let (first, rest) = name.split_once('.').unwrap_or((name, ""));
    let last = name.rsplit('.').next().unwrap_or("");
    // `Dockerfile.md` is a text about one.
    (is_word(first) || is_word(last)) && !matches!(rest, "md" | "txt" | "dockerignore" | "j2" | "tmpl")
}

/// Takes a file over; false where it is none that is known.
pub(super) fn take(into: &mut Collected, path: &Path, scope: &Scope, text: &str) -> bool {
    let shown = path.display().to_string();
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let (stem, ending) = name.rsplit_once('.').unwrap_or((&name, ""));
    if is_dockerfile(&name) {
        into.take_text(&shown, scope, "code:dockerfile", text);
        return true;
    }
    match ending {
        "tf" => return terraform::take(into, &shown, scope, text),
        "yaml" | "yml" => return take_yaml(into, &shown, scope, text, stem),
        _ => {}
    }
    let kind = match kind_of_text(text, &name, stem) {
        Some(kind) => kind,
        None => return false,
    };
    into.take_text(&shown, scope, kind, text);
    true
}

fn kind_of_text(text: &str, name: &str, stem: &str) -> Option<&'static str> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.clone().find(|line| !line.starts_with('#')).unwrap_or("");
    let is_table = |line: &str| matches!(line, "*filter" | "*nat" | "*mangle" | "*raw" | "*security");
    if text.lines().any(|line| is_table(line.trim())) {
        let says = |word: &str| text.lines().take(3).any(|line| line.contains(word));
        let is_v6 = says("ip6tables-save")
            || !says("iptables-save") && (name.contains("ip6") || name.ends_with("v6"));
        return Some(if is_v6 { "host:ip6tables" } else { "host:iptables" });
    }
    // A machine without rules prints no table at all.
    if text.trim().is_empty() && matches!(stem, "iptables-save" | "iptables") {
        return Some("host:iptables");
    }
    if text.trim().is_empty() && matches!(stem, "ip6tables-save" | "ip6tables") {
        return Some("host:ip6tables");
    }
    if [
        "table ip ",
        "table ip6 ",
        "table inet ",
        "table bridge ",
        "table netdev ",
        "table arp ",
    ]
    .iter()
    .any(|start| first.starts_with(start))
        || first == "flush ruleset"
    {
        return Some("host:nft-text");
    }
    if stem == "sys_vendor" || name == "sys_vendor" {
        return Some("host:vendor");
    }
    if SETTINGS.contains(&stem) && lines.any(|line| line.starts_with('[')) {
        return Some("openstack:config");
    }
    let is_unit = text
        .lines()
        .any(|line| matches!(line.trim(), "[Service]" | "[Socket]"));
    (is_unit && (text.contains("dockerd") || text.contains("docker.sock") || name.contains("docker")))
        .then_some("docker:unit")
}

/// Manifests of Kubernetes, several in a file, and compose files.
fn take_yaml(into: &mut Collected, shown: &str, scope: &Scope, text: &str, stem: &str) -> bool {
    let mut known = false;
    for (line, part) in documents(text) {
        let value: Value = match serde_saphyr::from_str(part) {
            Ok(value) => value,
            Err(error) => {
                // Templates that make manifests are none yet.
                if part.contains("apiVersion:") && !part.contains("{{") {
                    let reason = error.to_string();
                    let reason = reason.lines().next().unwrap_or("").to_owned();
                    into.problem(shown, format!("is not YAML: {reason}"));
                }
                continue;
            }
        };
        let is_manifest = !at(&value, "/apiVersion").is_empty() && !at(&value, "/kind").is_empty();
        if is_manifest {
            known = true;
            let values = match value.get("items").and_then(Value::as_array) {
                Some(items) => items.clone(),
                None => vec![value],
            };
            for value in values.into_iter().filter(|value| has(value, "/kind")) {
                let kind = format!("k8s:{}", at(&value, "/kind"));
                let item = std::iter::once((value, Arc::from(part), line));
                into.take_values(shown, scope, &kind, item);
            }
        } else if value.get("services").is_some_and(Value::is_object)
            && (stem.contains("compose") || has(&value, "/version"))
        {
            known = true;
            let item = std::iter::once((value, Arc::from(part), line));
            into.take_values(shown, scope, "code:compose", item);
        }
    }
    known
}

/// The documents of a YAML stream with their first lines.
fn documents(text: &str) -> Vec<(u32, &str)> {
    let mut found = Vec::new();
    let (mut start, mut first, mut offset, mut number) = (0, 1_u32, 0, 0_u32);
    for line in text.split_inclusive('\n') {
        number += 1;
        // A mark stands at the beginning of a line, where no text of a scalar can.
        let is_mark = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.trim().is_empty() || rest.starts_with([' ', '\t']));
        if is_mark {
            found.push((first, text.get(start..offset).unwrap_or("")));
            start = offset + 3;
            first = number;
        }
        offset += line.len();
    }
    found.push((first, text.get(start..).unwrap_or("")));
    found.retain(|(_, part)| !part.trim().is_empty());
    found
}
