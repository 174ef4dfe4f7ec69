//! Decides requests to AWS and OpenStack that stand on standard input, one JSON object a line, and prints an answer a line:
//! `.ci/policy-peers.py` compares the answers with those of other evaluators.
//!
//! ```json
//! {"principal": "arn:aws:iam::111122223333:user/ann", "action": "ec2:CreateSnapshot", "resource": "arn:aws:ec2:eu-west-1:111122223333:volume/vol-1",
//!  "resource_account": "111122223333", "context": {"aws:username": ["ann"]}, "identity": [POLICY], "boundary": POLICY, "session": [POLICY],
//!  "resource_policy": POLICY, "scps": [[POLICY]], "rcps": [[POLICY]]}
//! {"openstack": {"assignments": [ASSIGNMENT], "rules": {"volume:create_snapshot": "role:member"}}}
//! ```

use std::io::{BufRead, Write};
use std::path::Path;

use neph_posture::entitlement::review;
use neph_posture::glob::{Case, Pattern};
use neph_posture::policy::aws::{
    Context, Document, DocumentError, Policies, Policy, Principal, PrincipalKind, Request, evaluate,
};
use neph_posture::{Inventory, Verdict};
use serde_json::{Value, json};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = match serde_json::from_str::<Value>(&line?) {
            Ok(case) if case.get("openstack").is_some() => snapshot_in_openstack(&case),
            Ok(case) => decide(&case).unwrap_or_else(|error| json!({"error": error.to_string()})),
            Err(error) => json!({"error": error.to_string()}),
        };
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

/// Whether the one user of the assignments may make a snapshot of a volume.
fn snapshot_in_openstack(case: &Value) -> Value {
    let text = |pointer: &str| case.pointer(pointer).map(Value::to_string).unwrap_or_default();
    let mut inventory = Inventory::new();
    // JSON is YAML as well.
    for (name, content) in [
        ("roles.json", text("/openstack/assignments")),
        ("cinder.yaml", text("/openstack/rules")),
    ] {
        if let Err(error) = inventory.add(Path::new(name), content.as_bytes()) {
            return json!({"error": error.to_string()});
        }
    }
    let found = review(&inventory, jiff::Timestamp::UNIX_EPOCH);
    let ways = found.iter().flat_map(|one| &one.ways);
    let verdicts = ways
        .filter(|way| way.action == "volume:create_snapshot")
        .map(|way| way.verdict);
    json!({"verdict": verdicts.min().unwrap_or(Verdict::Denied)})
}

fn policies(value: Option<&Value>) -> Result<Vec<Policy>, DocumentError> {
    let list = value.and_then(Value::as_array);
    let each = list.into_iter().flatten().enumerate();
    each.map(|(at, document)| {
        Ok(Policy::new(
            format!("policy {}", at + 1),
            Document::read(document)?,
        ))
    })
    .collect()
}

fn single(value: Option<&Value>) -> Result<Option<Policy>, DocumentError> {
    let document = value.filter(|value| !value.is_null());
    document
        .map(|document| Ok(Policy::new("policy", Document::read(document)?)))
        .transpose()
}

fn levels(value: Option<&Value>) -> Result<Vec<Vec<Policy>>, DocumentError> {
    let list = value.and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|level| policies(Some(level)))
        .collect()
}

fn principal(arn: &str) -> Principal {
    let mut segments = arn.split(':').skip(4);
    let account = segments.next().unwrap_or("").to_owned();
    let name = segments.next().unwrap_or("");
    let session = name
        .strip_prefix("assumed-role/")
        .and_then(|rest| rest.split('/').next());
    let kind = match session {
        _ if arn == "*" => PrincipalKind::Anonymous,
        _ if arn.ends_with(".amazonaws.com") => PrincipalKind::Service,
        Some(role) => PrincipalKind::Session {
            role: format!("arn:aws:iam::{account}:role/{role}"),
        },
        None if name == "root" => PrincipalKind::Root,
        None if name.starts_with("federated-user/") => PrincipalKind::Federated,
        None => PrincipalKind::User,
    };
    Principal {
        arn: arn.to_owned(),
        account,
        kind,
    }
}

fn decide(case: &Value) -> Result<Value, DocumentError> {
    let text = |key: &str| case.get(key).and_then(Value::as_str).unwrap_or("");
    let mut context = Context::complete();
    for (key, values) in case
        .get("context")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let values = values.as_array().into_iter().flatten().filter_map(Value::as_str);
        context.set(key, values);
    }
    let session = case.get("session").filter(|value| value.is_array());
    let decision = evaluate(
        &Policies {
            identity: policies(case.get("identity"))?,
            boundary: single(case.get("boundary"))?,
            session: session.map(|session| policies(Some(session))).transpose()?,
            resource: single(case.get("resource_policy"))?,
            service_control: levels(case.get("scps"))?,
            resource_control: levels(case.get("rcps"))?,
            possible_control: Vec::new(),
        },
        &Request {
            principal: &principal(text("principal")),
            action: text("action"),
            resource: &Pattern::literal(text("resource"), Case::Kept),
            resource_account: Some(text("resource_account")).filter(|account| !account.is_empty()),
            context: &context,
        },
    );
    Ok(json!(decision))
}
