//! Findings as alerts: ECS documents in the form in which rules make them.

use jiff::Timestamp;
use neph_attack::{attack, threat};
use serde_json::{Map, Value, json};

use crate::difference::{Difference, KINDS};
use crate::digest::Digest;
use crate::image::Image;
use crate::roles::Severity;
use crate::verify::{Verdict, Verification};

/// The alert of a difference that nobody approved. `asked` is how the image was named on the command line.
pub fn alert_of_difference(image: &Image, asked: &str, one: &Difference, found: Timestamp) -> Value {
    let place = if one.path.is_empty() {
        String::new()
    } else {
        format!(" `{}`", one.path)
    };
    let says = KINDS
        .iter()
        .find(|(kind, _)| *kind == one.kind)
        .map_or("", |(_, says)| says);
    let mut document = document(&Finding {
        image: Some(image),
        asked,
        kind: one.kind,
        says,
        severity: one.severity,
        reason: format!("{}:{place} {}", one.kind, one.what),
        techniques: &one.techniques,
        what_differs: &[
            &one.path,
            one.golden.as_deref().unwrap_or(""),
            one.found.as_deref().unwrap_or(""),
        ],
        found,
    });
    if one.path.starts_with('/') {
        let name = one.path.rsplit('/').next().unwrap_or(&one.path);
        let mut file = json!({"path": one.path, "name": name});
        if let (Some(sha256), Some(object)) = (&one.sha256, file.as_object_mut()) {
            object.insert("hash".into(), json!({"sha256": sha256}));
        }
        document.insert("file".into(), file);
    }
    put_image(&mut document, "difference", json!(one));
    document.into()
}

/// The alert of an image that is not verified. `image` is not known where its content could not be read as its manifest says.
pub fn alert_of_verdict(
    image: Option<&Image>,
    asked: &str,
    verification: &Verification,
    found: Timestamp,
) -> Value {
    let severity = match verification.verdict {
        Verdict::Verified => Severity::Info,
        Verdict::Expired => Severity::Medium,
        Verdict::Unsigned | Verdict::Untrusted => Severity::High,
        Verdict::Altered => Severity::Critical,
    };
    let kind = match verification.verdict {
        Verdict::Verified => "image-verified",
        Verdict::Unsigned => "image-unsigned",
        Verdict::Untrusted => "image-untrusted",
        Verdict::Expired => "image-signature-expired",
        Verdict::Altered => "image-altered",
    };
    let mut document = document(&Finding {
        image,
        asked,
        kind,
        says: "the image is not signed by somebody whose signature counts",
        severity,
        reason: format!("{kind}: {}", verification.why),
        techniques: verification.verdict.techniques(),
        what_differs: &[&verification.why],
        found,
    });
    put_image(&mut document, "verification", json!(verification));
    document.into()
}

fn put_image(document: &mut Map<String, Value>, key: &str, value: Value) {
    if let Some(own) = document
        .get_mut("neph")
        .and_then(|neph| neph.get_mut("image"))
        .and_then(Value::as_object_mut)
    {
        own.insert(key.to_owned(), value);
    }
}

struct Finding<'f> {
    image: Option<&'f Image>,
    asked: &'f str,
    kind: &'f str,
    says: &'f str,
    severity: Severity,
    reason: String,
    techniques: &'f [&'static str],
    /// Makes the id: the same finding has the same one whenever it is found.
    what_differs: &'f [&'f str],
    found: Timestamp,
}

fn document(finding: &Finding<'_>) -> Map<String, Value> {
    let name = finding
        .image
        .map_or_else(String::new, |image| image.name.to_string());
    let name = if name.is_empty() {
        finding.asked.to_owned()
    } else {
        name
    };
    let digest = finding.image.and_then(Image::digest);
    let mut parts = vec![
        name.clone(),
        digest.map_or_else(String::new, |digest| digest.to_string()),
        finding.kind.to_owned(),
    ];
    parts.extend(finding.what_differs.iter().map(|part| (*part).to_owned()));
    let id = Digest::of(parts.join("\n").as_bytes()).hex();
    let score = match finding.severity {
        Severity::Info => 1,
        Severity::Low => 21,
        Severity::Medium => 47,
        Severity::High => 73,
        Severity::Critical => 99,
    };
    let rule = format!("neph-image-{}", finding.kind.trim_start_matches("image-"));
    let at = finding.found.to_string();
    let (image_name, tag) = finding.image.map_or((None, None), |image| {
        (image.name.repository.clone(), image.name.tag.clone())
    });
    let mut image = Map::new();
    image.insert("name".into(), json!(image_name.unwrap_or(name)));
    if let Some(tag) = tag {
        image.insert("tag".into(), json!([tag]));
    }
    if let Some(digest) = digest {
        image.insert("hash".into(), json!({"all": [digest]}));
    }
    let mut tags = vec![
        "Data Source: Image (DS0007)".to_owned(),
        "Domain: Container".to_owned(),
    ];
    for tactic in attack().tactics() {
        let has = |id: &&str| {
            attack()
                .technique(id)
                .is_some_and(|own| own.tactics.contains(&tactic.short_name))
        };
        if finding.techniques.iter().any(has) {
            tags.push(format!("Tactic: {}", tactic.name));
        }
    }
    let mut out = Map::new();
    let mut set = |key: &str, value: Value| out.insert(key.to_owned(), value);
    set("@timestamp", json!(at));
    set("message", json!(finding.reason));
    set(
        "event",
        json!({
            "kind": "alert", "id": id, "severity": score, "risk_score": score, "start": at, "end": at, "reason": finding.reason,
            "category": ["configuration"], "type": ["change"], "action": finding.kind, "module": "neph", "dataset": "neph.image",
        }),
    );
    let rule_document = json!({
        "id": rule, "uuid": rule, "name": finding.says, "description": finding.says, "version": "1", "category": "Image", "ruleset": "image",
    });
    set("rule", rule_document);
    set("threat", threat(finding.techniques));
    set("tags", json!(tags));
    set("container", json!({"image": image}));
    for (key, value) in [
        ("uuid", json!(id)),
        ("status", json!("active")),
        ("workflow_status", json!("open")),
        ("depth", json!(1)),
        ("reason", json!(finding.reason)),
        (
            "severity",
            json!(if finding.severity == Severity::Info {
                "low"
            } else {
                finding.severity.name()
            }),
        ),
        ("risk_score", json!(score)),
        ("original_time", json!(at)),
        ("rule.name", json!(finding.says)),
        ("rule.rule_id", json!(rule)),
        ("rule.uuid", json!(rule)),
        ("rule.category", json!("Image")),
        ("rule.tags", json!(tags)),
    ] {
        set(&format!("kibana.alert.{key}"), value);
    }
    set(
        "neph",
        json!({"alert": {"id": id, "reason": finding.reason, "first": at, "last": at}, "image": {"asked": finding.asked}}),
    );
    out
}
