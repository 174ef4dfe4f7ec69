//! A failure as an alert: the ECS document that rules make too.

use neph_attack::{attack, threat};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::Told;
use crate::audit::check::{Check, Platform, Severity};
use crate::audit::finding::Finding;

/// The id of the alert of a finding: the same in all runs.
pub fn alert_id(finding: &Finding) -> String {
    let hash = Sha256::digest(finding.key().as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The alert of a failure, with the techniques that it makes possible and the mitigations that are missing.
pub fn alert(finding: &Finding, check: &Check, told: Told<'_>) -> Map<String, Value> {
    let id = alert_id(finding);
    let at = told.at.to_string();
    let place = finding.scope.to_string();
    let place = if place.is_empty() {
        place
    } else {
        format!(" in {place}")
    };
    let reason = format!("{}{place}: {}", finding.resource, finding.what);
    let name = format!("Mitigation missing: {}", check.title);
    let score = match finding.severity {
        Severity::Low => 21,
        Severity::Medium => 47,
        Severity::High => 73,
        Severity::Critical => 99,
    };
    let note = finding.fix.join("\n");
    let mitigations: Vec<Value> = check
        .mitigations
        .iter()
        .map(|id| json!({"id": id, "name": attack().mitigation(id)}))
        .collect();
    let mut tags = vec!["Use Case: Configuration Audit".to_owned()];
    tags.extend(check.mitigations.iter().map(|id| format!("Mitigation: {id}")));
    for tactic in attack().tactics() {
        let serves = |id: &&str| {
            attack()
                .technique(id)
                .is_some_and(|own| own.tactics.contains(&tactic.short_name))
        };
        if check.techniques.iter().any(serves) {
            tags.push(format!("Tactic: {}", tactic.name));
        }
    }
    let mut out = Map::new();
    let mut set = |key: &str, value: Value| out.insert(key.to_owned(), value);
    set("@timestamp", json!(at));
    set("message", json!(reason));
    set(
        "event",
        json!({
            "kind": "alert", "id": id, "severity": score, "risk_score": score, "start": at, "end": at, "reason": reason,
            "category": ["configuration"], "type": ["info"], "action": check.id, "outcome": "failure",
            "module": "neph", "dataset": "neph.audit",
        }),
    );
    set(
        "rule",
        json!({
            "id": check.id, "uuid": check.id, "name": name, "description": check.why, "version": "1", "category": "Audit", "ruleset": "audit",
        }),
    );
    set("threat", threat(check.techniques));
    set("tags", json!(tags));
    for (key, value) in place_of(finding) {
        set(key, value);
    }
    set("resource", json!({"id": finding.resource}));
    for (key, value) in [
        ("uuid", json!(id)),
        ("status", json!("active")),
        ("workflow_status", json!("open")),
        ("depth", json!(1)),
        ("reason", json!(reason)),
        ("severity", json!(finding.severity)),
        ("risk_score", json!(score)),
        ("original_time", json!(at)),
        ("rule.name", json!(name)),
        ("rule.rule_id", json!(check.id)),
        ("rule.uuid", json!(check.id)),
        ("rule.category", json!("Audit")),
        ("rule.note", json!(note)),
        ("rule.tags", json!(tags)),
    ] {
        set(&format!("kibana.alert.{key}"), value);
    }
    set(
        "neph",
        json!({
            "alert": {"id": id, "reason": reason, "first": at, "last": at, "note": note},
            "audit": {"finding": finding, "row": check.row, "mitigations": mitigations},
        }),
    );
    out
}

/// Where it is, in the fields of ECS.
fn place_of(finding: &Finding) -> Vec<(&'static str, Value)> {
    let scope = &finding.scope;
    let account = Some(&scope.account).filter(|account| !account.is_empty());
    let region = Some(&scope.region).filter(|region| !region.is_empty());
    let cloud = |key: &str| {
        let mut own = Map::new();
        own.insert(
            "provider".into(),
            json!(scope.platform.map_or("", Platform::name)),
        );
        if let Some(account) = account {
            own.insert(key.into(), json!({"id": account}));
        }
        if let Some(region) = region {
            own.insert("region".into(), json!(region));
        }
        vec![("cloud", Value::Object(own))]
    };
    match scope.platform {
        Some(Platform::Aws | Platform::Azure) => cloud("account"),
        Some(Platform::Gcp | Platform::Openstack) => cloud("project"),
        Some(Platform::Kubernetes) => account
            .map(|name| {
                (
                    "orchestrator",
                    json!({"type": "kubernetes", "cluster": {"name": name}}),
                )
            })
            .into_iter()
            .collect(),
        Some(Platform::Docker | Platform::Host) => account
            .map(|name| ("host", json!({"name": name})))
            .into_iter()
            .collect(),
        Some(Platform::Code) | None => {
            let file = finding.evidence.first();
            file.map(|one| ("file", json!({"path": one.file})))
                .into_iter()
                .collect()
        }
    }
}
