//! OCSF Compliance Finding (class 2003) in the version 1.8 of the schema: <https://schema.ocsf.io/1.8.0/classes/compliance_finding>.

use neph_attack::attack;
use serde_json::{Value, json};

use super::Told;
use crate::audit::check::{Check, Platform, Severity};
use crate::audit::finding::{Finding, Outcome};
use crate::audit::report::Report;

const VERSION: &str = "1.8.0";
const CLASS: u64 = 2003;

/// One finding for each answer, muted ones as suppressed.
pub fn ocsf(report: &Report, told: Told<'_>) -> Vec<Value> {
    let open = report.findings.iter().map(|finding| (finding, false));
    let muted = report.muted.iter().map(|(finding, _)| (finding, true));
    open.chain(muted)
        .filter_map(|(finding, is_muted)| Some(event(report.check(finding.check)?, finding, is_muted, told)))
        .collect()
}

fn event(check: &Check, finding: &Finding, is_muted: bool, told: Told<'_>) -> Value {
    let (severity, severity_name) = match (finding.outcome, finding.severity) {
        (Outcome::Pass | Outcome::Unknown, _) => (1, "Informational"),
        (_, Severity::Low) => (2, "Low"),
        (_, Severity::Medium) => (3, "Medium"),
        (_, Severity::High) => (4, "High"),
        (_, Severity::Critical) => (5, "Critical"),
    };
    // What is unknown is neither: <https://schema.ocsf.io/1.8.0/objects/compliance>
    let (compliance, compliance_name) = match finding.outcome {
        Outcome::Pass => (1, "Pass"),
        Outcome::Fail => (3, "Fail"),
        Outcome::Unknown => (0, "Unknown"),
    };
    let (status, status_name) = match (is_muted, finding.outcome) {
        (true, _) => (3, "Suppressed"),
        (_, Outcome::Pass) => (4, "Resolved"),
        _ => (1, "New"),
    };
    let time = told.at.as_millisecond();
    let attacks: Vec<Value> = check
        .techniques
        .iter()
        .filter_map(|id| {
            let technique = attack().technique(id)?;
            let parent = attack().technique(technique.parent())?;
            let mut out = json!({
                "version": attack().version(),
                "technique": {"uid": parent.id, "name": parent.name, "src_url": parent.page()},
            });
            if let (true, Some(object)) = (technique.id != parent.id, out.as_object_mut()) {
                object.insert(
                    "sub_technique".to_owned(),
                    json!({"uid": technique.id, "name": technique.name, "src_url": technique.page()}),
                );
            }
            let tactics: Vec<Value> = technique
                .tactics
                .iter()
                .filter_map(|short| {
                    attack()
                        .tactics()
                        .iter()
                        .find(|tactic| tactic.short_name == *short)
                })
                .map(|tactic| json!({"uid": tactic.id, "name": tactic.name}))
                .collect();
            if let Some(object) = out.as_object_mut() {
                object.insert("tactics".to_owned(), Value::Array(tactics));
            }
            Some(out)
        })
        .collect();
    let requirements: Vec<String> = check
        .mitigations
        .iter()
        .map(|id| format!("{id} {}", attack().mitigation(id).unwrap_or_default()))
        .collect();
    let mut resource = json!({"uid": finding.resource, "name": finding.resource, "type": finding.scope.platform.map_or("file", Platform::name)});
    if let Some(object) = resource.as_object_mut() {
        if !finding.scope.region.is_empty() {
            object.insert("region".to_owned(), json!(finding.scope.region));
        }
        let details: Vec<Value> = finding
            .evidence
            .iter()
            .map(|one| json!({"file": one.file, "line": one.line, "field": one.field, "value": one.value}))
            .collect();
        object.insert("data".to_owned(), json!({ "evidence": details }));
    }
    let mut out = json!({
        "class_uid": CLASS, "class_name": "Compliance Finding", "category_uid": 2, "category_name": "Findings",
        "activity_id": 1, "activity_name": "Create", "type_uid": CLASS * 100 + 1, "type_name": "Compliance Finding: Create",
        "time": time, "severity_id": severity, "severity": severity_name, "status_id": status, "status": status_name,
        "message": format!("{}: {}", finding.resource, finding.what),
        "metadata": {
            "version": VERSION, "uid": format!("{}|{}", finding.key().replace('\u{1f}', "|"), time), "event_code": check.id,
            "product": {"name": "Nephoscope", "vendor_name": "Nephoscope", "version": told.version},
        },
        "finding_info": {
            "uid": finding.key().replace('\u{1f}', "|"), "title": check.title, "desc": check.why, "created_time": time, "attacks": attacks,
            "analytic": {"uid": check.id, "name": check.title, "type_id": 1, "type": "Rule"},
            "types": [check.platform.name()],
        },
        "compliance": {
            "status_id": compliance, "status": compliance_name, "control": check.id, "desc": check.title,
            "standards": ["MITRE ATT&CK"], "requirements": requirements, "status_details": [finding.what],
        },
        "resources": [resource],
    });
    let Some(object) = out.as_object_mut() else {
        return out;
    };
    if !finding.fix.is_empty() {
        object.insert("remediation".to_owned(), json!({"desc": finding.fix.join("\n")}));
    }
    let cloud = match finding.scope.platform {
        Some(Platform::Aws) => Some("AWS"),
        Some(Platform::Azure) => Some("Azure"),
        Some(Platform::Gcp) => Some("GCP"),
        Some(Platform::Openstack) => Some("OpenStack"),
        _ => None,
    };
    if let Some(provider) = cloud {
        let mut cloud = json!({"provider": provider});
        if let Some(object) = cloud.as_object_mut() {
            if !finding.scope.account.is_empty() {
                object.insert("account".to_owned(), json!({"uid": finding.scope.account}));
            }
            if !finding.scope.region.is_empty() {
                object.insert("region".to_owned(), json!(finding.scope.region));
            }
        }
        object.insert("cloud".to_owned(), cloud);
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("profiles".to_owned(), json!(["cloud"]));
        }
    }
    out
}
