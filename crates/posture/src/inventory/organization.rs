//! Control policies of an AWS organisation, and single policy documents.

use serde_json::Value;

use super::Inventory;
use crate::policy::aws::account::account_of;
use crate::policy::aws::{
    Account, Context, Document, Entity, EntityKind, Policies, Policy, Principal, PrincipalKind,
};

/// A service or resource control policy.
/// <https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps.html>
#[derive(Clone, Debug)]
pub(crate) struct Control {
    policy: Policy,
    is_of_resources: bool,
    /// Accounts that it is attached to itself.
    accounts: Vec<String>,
    is_at_root: bool,
    /// Whether it is attached where it cannot be told which accounts that reaches: to organisational units, or nothing is known.
    is_elsewhere: bool,
}

impl Inventory {
    /// `aws organizations describe-policy`, with the targets of `list-targets-for-policy` beside it where both were merged;
    /// `describe-organization`; and documents of the policy language themselves.
    pub(super) fn add_of_organization(&mut self, value: &Value) -> bool {
        if let Some(master) = value
            .pointer("/Organization/MasterAccountId")
            .and_then(Value::as_str)
        {
            self.management = Some(master.to_owned());
            return true;
        }
        if let Some(content) = value.pointer("/Policy/Content") {
            self.control(value, content);
            return true;
        }
        if value.get("Statement").is_some() {
            self.holder(value);
            return true;
        }
        false
    }

    fn control(&mut self, value: &Value, content: &Value) {
        let summary = |key: &str| {
            value
                .pointer(&format!("/Policy/PolicySummary/{key}"))
                .and_then(Value::as_str)
                .unwrap_or("")
        };
        let (name, kind) = (summary("Name"), summary("Type"));
        let path = format!("control policy {name}");
        let document = match Document::read(content) {
            Ok(document) => document,
            Err(error) => return self.problems.add(format!("{path}: {error}")),
        };
        let is_of_resources = match kind {
            "SERVICE_CONTROL_POLICY" => false,
            "RESOURCE_CONTROL_POLICY" => true,
            other => {
                return self.problems.add(format!(
                    "{path} is of the kind `{other}`, which decides about no requests"
                ));
            }
        };
        let targets = value.get("Targets").and_then(Value::as_array);
        let of_kind = |kind: &str| -> Vec<String> {
            let fits = |target: &&Value| target.get("Type").and_then(Value::as_str) == Some(kind);
            let ids = targets.into_iter().flatten().filter(fits);
            ids.filter_map(|target| Some(target.get("TargetId")?.as_str()?.to_owned()))
                .collect()
        };
        self.controls.push(Control {
            policy: Policy::new(path, document),
            is_of_resources,
            accounts: of_kind("ACCOUNT"),
            is_at_root: !of_kind("ROOT").is_empty(),
            is_elsewhere: targets.is_none() || !of_kind("ORGANIZATIONAL_UNIT").is_empty(),
        });
    }

    /// A document by itself: whoever holds it is a principal without a name.
    fn holder(&mut self, value: &Value) {
        let file = self.problems.file.clone();
        let document = match Document::read(value) {
            Ok(document) => document,
            Err(error) => return self.problems.add(error.to_string()),
        };
        if document
            .statements
            .iter()
            .any(|statement| statement.principal.is_some())
        {
            return self.problems.add(
                "is the policy of a resource, but does not say of which; keep what the tool printed whole",
            );
        }
        let name = format!("whoever holds {file}");
        self.accounts.push(Account {
            id: String::new(),
            entities: vec![Entity {
                principal: Principal {
                    arn: name.clone(),
                    account: String::new(),
                    kind: PrincipalKind::User,
                },
                name,
                kind: EntityKind::User,
                policies: Policies {
                    identity: vec![Policy::new("policy", document)],
                    ..Policies::default()
                },
                context: Context::partial(),
                assumed_by: Vec::new(),
                is_service_linked: false,
            }],
        });
    }
}

/// Gives the users and roles of an account the control policies that bind them.
/// <https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_evaluation.html>
pub(super) fn bind(account: &mut Account, controls: &[Control], management: Option<&str>) {
    if account.id.is_empty() || management == Some(account.id.as_str()) {
        return;
    }
    let pick = |is_of_resources: bool, fits: &dyn Fn(&Control) -> bool| -> Vec<Policy> {
        let picked = controls
            .iter()
            .filter(|control| control.is_of_resources == is_of_resources && fits(control));
        picked.map(|control| control.policy.clone()).collect()
    };
    let levels = |is_of_resources: bool| -> Vec<Vec<Policy>> {
        let root = pick(is_of_resources, &|control| control.is_at_root);
        let own = pick(is_of_resources, &|control| control.accounts.contains(&account.id));
        [root, own]
            .into_iter()
            .filter(|level| !level.is_empty())
            .collect()
    };
    let (services, resources) = (levels(false), levels(true));
    let mut possible = pick(false, &|control| control.is_elsewhere);
    possible.extend(pick(true, &|control| control.is_elsewhere));
    for policy in &mut possible {
        policy.is_attached = false;
    }
    // Service-linked roles are bound by neither.
    for entity in account
        .entities
        .iter_mut()
        .filter(|entity| !entity.is_service_linked)
    {
        debug_assert_eq!(account_of(&entity.principal.arn), entity.principal.account);
        entity.policies.service_control.clone_from(&services);
        entity.policies.resource_control.clone_from(&resources);
        entity.policies.possible_control.clone_from(&possible);
    }
}
