//! Who has which ability, by which way, on what, and on which conditions.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use crate::capability::{AwsAction, CAPABILITIES, Capability, Cloud};
use crate::glob::{Case, Pattern, Segments};
use crate::inventory::{Guarded, Inventory};
use crate::policy::aws::{
    self, Account, Document, Entity, EntityKind, Policies, Policy, Principal, PrincipalKind, Request,
};
use crate::policy::openstack::defaults::{ACTIONS, Action};
use crate::verdict::{Decision, Proviso, Truth, Verdict};

/// Somebody who has an ability.
#[derive(Clone, Debug, Serialize)]
pub struct Entitlement {
    /// Where.
    pub cloud: Cloud,
    /// Account, directory, cluster.
    pub scope: String,
    /// Who: an ARN, a name, a member.
    pub principal: String,
    /// What the principal is: `user`, `role`, `group`, `service account`, `everybody` …
    pub principal_kind: String,
    /// Who may become the principal, where it is a role.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assumed_by: Vec<String>,
    /// What the principal can do.
    #[serde(serialize_with = "id_of")]
    pub capability: &'static Capability,
    /// Whether for sure.
    pub verdict: Verdict,
    /// By which actions and ways, those that are sure first.
    pub ways: Vec<Way>,
}

fn id_of<S: serde::Serializer>(capability: &&'static Capability, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(capability.id)
}

/// One action that the principal may do.
#[derive(Clone, Debug, Serialize)]
pub struct Way {
    /// `ec2:CreateSnapshot`
    pub action: String,
    /// On which resources.
    pub on: String,
    /// What gives it: group, policy, statement; role, binding.
    pub by: Vec<String>,
    /// Whether for sure.
    pub verdict: Verdict,
    /// What it depends on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub provisos: Vec<Proviso>,
}

/// Whoever comes, known or not.
const EVERYBODY: &str = "everybody";

type Key = (Cloud, String, String, &'static str);

/// Gathers ways by principal and ability.
#[derive(Default)]
struct Gathering {
    found: BTreeMap<Key, Entitlement>,
}

/// Who somebody is.
struct Who<'a> {
    cloud: Cloud,
    scope: &'a str,
    principal: &'a str,
    kind: &'a str,
    assumed_by: &'a [String],
}

impl Gathering {
    fn add(&mut self, who: &Who<'_>, capability: &'static Capability, way: Way) {
        let key = (
            who.cloud,
            who.scope.to_owned(),
            who.principal.to_owned(),
            capability.id,
        );
        let entry = self.found.entry(key).or_insert_with(|| Entitlement {
            cloud: who.cloud,
            scope: who.scope.to_owned(),
            principal: who.principal.to_owned(),
            principal_kind: who.kind.to_owned(),
            assumed_by: who.assumed_by.to_vec(),
            capability,
            verdict: way.verdict,
            ways: Vec::new(),
        });
        entry.verdict = entry.verdict.min(way.verdict);
        entry.ways.push(way);
    }
}

/// Everybody who has one of the abilities, in order of cloud, scope, principal and ability. `now` settles conditions that only
/// ask for the time.
pub fn review(inventory: &Inventory, now: Timestamp) -> Vec<Entitlement> {
    let mut gathering = Gathering::default();
    for account in &inventory.accounts {
        for entity in &account.entities {
            of_entity(inventory, account, entity, &mut gathering);
        }
    }
    of_strangers(inventory, &mut gathering);
    of_shares(inventory, &mut gathering);
    of_azure(inventory, &mut gathering);
    of_gcp(inventory, now, &mut gathering);
    of_clusters(inventory, &mut gathering);
    of_openstack(inventory, &mut gathering);
    let mut found: Vec<Entitlement> = gathering.found.into_values().collect();
    for entitlement in &mut found {
        entitlement.ways.sort_by_key(|way| way.verdict);
    }
    found
}

/// The partition of an ARN: `aws`, `aws-cn`, `aws-us-gov`.
fn partition(arn: &str) -> &str {
    arn.strip_prefix("arn:")
        .and_then(|rest| rest.split(':').next())
        .unwrap_or("aws")
}

fn of_entity(inventory: &Inventory, account: &Account, entity: &Entity, gathering: &mut Gathering) {
    let who = Who {
        cloud: Cloud::Aws,
        scope: &account.id,
        principal: &entity.principal.arn,
        kind: match entity.kind {
            EntityKind::User => "user",
            EntityKind::Role if entity.is_service_linked => "service-linked role",
            EntityKind::Role => "role",
        },
        assumed_by: &entity.assumed_by,
    };
    let with_keys = with_keys_not_seen(entity);
    for capability in CAPABILITIES {
        for AwsAction(action, kinds) in capability.aws {
            let is_of_key = action.starts_with("kms:");
            let policies = if is_of_key { &with_keys } else { &entity.policies };
            let mut decision = on_all_kinds(entity, policies, action, kinds);
            for guarded in
                about(inventory, action).filter(|guarded| aws::is_about(&guarded.policy, &entity.principal))
            {
                let on = resource(&guarded.arn, &entity.principal);
                let with = with_its_policy(
                    guarded,
                    &entity.policies,
                    &entity.principal,
                    action,
                    &entity.context,
                );
                match (decision.verdict, with.verdict) {
                    (Verdict::Denied, Verdict::Denied) => {}
                    // What holds of all resources of the kind does not hold of this one.
                    (_, Verdict::Denied) => decision = but_for(decision, &on),
                    (Verdict::Denied, _) => gathering.add(&who, capability, way(action, on, with)),
                    // Keys are asked for one by one: only their own policies tell for sure.
                    _ if is_of_key => gathering.add(&who, capability, way(action, on, with)),
                    _ => {}
                }
            }
            if decision.verdict != Verdict::Denied {
                let on = match kinds.first() {
                    Some(kind) => resource(kind, &entity.principal),
                    None => "*".to_owned(),
                };
                gathering.add(&who, capability, way(action, on, decision));
            }
        }
    }
}

/// A decision about all resources of a kind, which does not hold of one of them.
fn but_for(decision: Decision, on: &str) -> Decision {
    let truth = match decision.verdict {
        Verdict::Depends => Truth::Maybe(decision.provisos),
        _ => Truth::Yes,
    };
    let this = Truth::when(format!("the resource is `{on}`, whose policy denies it"));
    Decision::new(truth.and(this.negated()), decision.by)
}

/// Keys whose policies were not collected may leave the choice to the account, as keys do that are made with the defaults.
/// <https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html>
fn with_keys_not_seen(entity: &Entity) -> Policies {
    let account = &entity.principal.account;
    let document =
        json!({"Statement": {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "kms:*"}});
    let mut policies = entity.policies.clone();
    policies.resource = Document::read(&document).ok().map(|document| Policy {
        path: "a key policy that leaves it to the account".to_owned(),
        document: Arc::new(document),
        is_attached: false,
    });
    policies
}

fn way(action: &str, on: String, decision: Decision) -> Way {
    Way {
        action: action.to_owned(),
        on,
        by: decision.by,
        verdict: decision.verdict,
        provisos: decision.provisos,
    }
}

fn resource(template: &str, principal: &Principal) -> String {
    let account = if principal.account.is_empty() {
        "*"
    } else {
        &principal.account
    };
    template
        .replace("{p}", partition(&principal.arn))
        .replace("{a}", account)
}

/// An action has to be allowed on each of the kinds of resources that it takes.
fn on_all_kinds(entity: &Entity, policies: &Policies, action: &str, kinds: &[&str]) -> Decision {
    let mut truth = Truth::Yes;
    let mut by: Vec<String> = Vec::new();
    let all = ["*"];
    let kinds = if kinds.is_empty() { &all } else { kinds };
    for kind in kinds {
        let written = resource(kind, &entity.principal);
        let segments = if written == "*" {
            Segments::None
        } else {
            Segments::Within
        };
        let pattern = Pattern::new(&written, Case::Kept, segments);
        let decision = aws::evaluate(
            policies,
            &Request {
                principal: &entity.principal,
                action,
                resource: &pattern,
                resource_account: None,
                context: &entity.context,
            },
        );
        let one = match decision.verdict {
            Verdict::Allowed => Truth::Yes,
            Verdict::Denied => return decision,
            Verdict::Depends => Truth::Maybe(decision.provisos),
        };
        truth = truth.and(one);
        for name in decision.by {
            if !by.contains(&name) {
                by.push(name);
            }
        }
    }
    Decision::new(truth, by)
}

/// Resources with policies that an action is about.
fn about<'i>(inventory: &'i Inventory, action: &str) -> impl Iterator<Item = &'i Guarded> {
    let service = action.split(':').next().unwrap_or("").to_owned();
    let is_of = move |guarded: &&Guarded| guarded.arn.split(':').nth(2) == Some(service.as_str());
    inventory.guarded.iter().filter(is_of)
}

fn with_its_policy(
    guarded: &Guarded,
    policies: &Policies,
    principal: &Principal,
    action: &str,
    context: &aws::Context,
) -> Decision {
    let policies = Policies {
        resource: Some(guarded.policy.clone()),
        ..policies.clone()
    };
    let pattern = Pattern::new(&resource(&guarded.arn, principal), Case::Kept, Segments::Within);
    let request = Request {
        principal,
        action,
        resource: &pattern,
        resource_account: guarded.account.as_deref(),
        context,
    };
    aws::evaluate(&policies, &request)
}

/// Principals of other accounts, services and everybody, whom policies of resources name.
fn of_strangers(inventory: &Inventory, gathering: &mut Gathering) {
    for guarded in &inventory.guarded {
        let mut names: Vec<(&str, bool)> = Vec::new();
        for principals in guarded
            .policy
            .document
            .statements
            .iter()
            .filter_map(|statement| statement.principal.as_ref())
        {
            if principals.everyone {
                names.push(("*", false));
            }
            names.extend(
                principals
                    .aws
                    .iter()
                    .filter(|name| *name != "*")
                    .map(|name| (name.as_str(), false)),
            );
            names.extend(principals.services.iter().map(|name| (name.as_str(), true)));
        }
        names.sort_unstable();
        names.dedup();
        for (name, is_service) in names {
            let is_own = inventory
                .accounts
                .iter()
                .any(|account| !account.id.is_empty() && name.contains(&account.id));
            if !is_own {
                of_stranger(guarded, name, is_service, gathering);
            }
        }
    }
}

fn of_stranger(guarded: &Guarded, name: &str, is_service: bool, gathering: &mut Gathering) {
    let (kind, told) = match (name, is_service) {
        ("*", _) => (PrincipalKind::Anonymous, "everybody"),
        (_, true) => (PrincipalKind::Service, "service"),
        // What the other account allows its own is its own affair; here counts what this side lets it do.
        (_, false) => (PrincipalKind::Anonymous, "other account"),
    };
    let principal = Principal {
        arn: name.to_owned(),
        account: String::new(),
        kind,
    };
    let who = Who {
        cloud: Cloud::Aws,
        scope: guarded.account.as_deref().unwrap_or(""),
        // A pattern of a list of those who are expected would take `*` for everybody who is named as well.
        principal: if name == "*" { EVERYBODY } else { name },
        kind: told,
        assumed_by: &[],
    };
    for capability in CAPABILITIES {
        for AwsAction(action, _) in capability.aws {
            if action.split(':').next() != guarded.arn.split(':').nth(2) {
                continue;
            }
            let context = aws::Context::partial();
            let decision = with_its_policy(guarded, &Policies::default(), &principal, action, &context);
            if decision.verdict != Verdict::Denied {
                let on = resource(&guarded.arn, &principal);
                gathering.add(&who, capability, way(action, on, decision));
            }
        }
    }
}

fn of_shares(inventory: &Inventory, gathering: &mut Gathering) {
    for share in &inventory.shares {
        let Some(capability) = Capability::of_id(share.capability) else {
            continue;
        };
        let (principal, kind) = match share.with.as_str() {
            "all" => (EVERYBODY, "everybody"),
            other if other.starts_with("arn:") => (other, "organisation"),
            other => (other, "other account"),
        };
        let is_own = inventory.accounts.iter().any(|account| account.id == principal);
        let who = Who {
            cloud: Cloud::Aws,
            scope: "",
            principal,
            kind: if is_own { "account" } else { kind },
            assumed_by: &[],
        };
        let way = Way {
            action: share.by.to_owned(),
            on: share.resource.clone(),
            by: vec![format!("{} of {}", share.by, share.resource)],
            verdict: Verdict::Allowed,
            provisos: Vec::new(),
        };
        gathering.add(&who, capability, way);
    }
}

fn of_azure(inventory: &Inventory, gathering: &mut Gathering) {
    if inventory.azure.is_empty() {
        return;
    }
    for capability in CAPABILITIES {
        for action in capability.azure {
            for found in inventory.azure.who_can(action.0, action.1) {
                let assignment = found.assignment;
                let who = Who {
                    cloud: Cloud::Azure,
                    scope: "",
                    principal: &assignment.principal_name,
                    kind: &assignment.principal_kind.to_lowercase(),
                    assumed_by: &[],
                };
                let by = vec![format!("role {} at {}", assignment.role_name, assignment.scope)];
                let decision = Decision::new(found.truth, by);
                gathering.add(
                    &who,
                    capability,
                    way(action.0, assignment.scope.clone(), decision),
                );
            }
        }
    }
}

fn of_gcp(inventory: &Inventory, now: Timestamp, gathering: &mut Gathering) {
    if inventory.gcp.is_empty() {
        return;
    }
    for capability in CAPABILITIES {
        for permission in capability.gcp {
            for found in inventory.gcp.who_can(permission, now) {
                let kind = match found.member.split_once(':') {
                    Some(("serviceAccount", _)) => "service account",
                    Some((kind, _)) => kind,
                    None => "everybody",
                };
                let who = Who {
                    cloud: Cloud::Gcp,
                    scope: "",
                    principal: found.member,
                    kind,
                    assumed_by: &[],
                };
                let by = vec![format!("{} on {}", found.binding.role, found.binding.resource)];
                let decision = Decision::new(found.truth, by);
                gathering.add(
                    &who,
                    capability,
                    way(permission, found.binding.resource.clone(), decision),
                );
            }
        }
    }
}

fn of_openstack(inventory: &Inventory, gathering: &mut Gathering) {
    for Action(id, service, rule, default) in ACTIONS {
        let Some(capability) = Capability::of_id(id) else {
            continue;
        };
        for found in inventory.openstack.who_can(service, rule, default) {
            let (kind, principal) = found
                .principal
                .split_once(' ')
                .unwrap_or(("user", &found.principal));
            let who = Who {
                cloud: Cloud::Openstack,
                scope: "",
                principal,
                kind,
                assumed_by: &[],
            };
            let by = vec![format!("roles {} in {}", found.roles.join(", "), found.scope)];
            let decision = Decision::new(found.truth, by);
            gathering.add(&who, capability, way(rule, found.scope.clone(), decision));
        }
    }
}

fn of_clusters(inventory: &Inventory, gathering: &mut Gathering) {
    for cluster in &inventory.clusters {
        for capability in CAPABILITIES {
            for action in capability.kubernetes {
                for found in cluster.who_can(&action.attributes(), action.3) {
                    let principal = found.subject.to_string();
                    let (kind, _) = principal.split_once(' ').unwrap_or(("user", ""));
                    let who = Who {
                        cloud: Cloud::Kubernetes,
                        scope: &cluster.name,
                        principal: &principal,
                        kind,
                        assumed_by: &[],
                    };
                    let place = match found.namespace {
                        Some(namespace) => format!("namespace {namespace}"),
                        None => "all namespaces".to_owned(),
                    };
                    let on = match found.names {
                        [] => place,
                        names => format!("{place}, only {}", names.join(", ")),
                    };
                    let by = vec![format!(
                        "{} → {} → rule {}",
                        found.binding, found.role, found.rule
                    )];
                    let told = format!("{} {}", action.0, action.2);
                    gathering.add(&who, capability, way(&told, on, Decision::new(Truth::Yes, by)));
                }
            }
        }
    }
}
