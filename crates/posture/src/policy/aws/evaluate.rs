//! One request against all policies that have a say in it.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html>

use std::sync::Arc;

use super::context::{Context, Filled};
use super::document::{Document, Effect, Principals, Statement};
use crate::glob::{Case, Pattern};
use crate::verdict::{Decision, Truth};

/// A policy and what it is called.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How one comes to it: `group admins → policy AdministratorAccess`.
    pub path: String,
    /// What it says.
    pub document: Arc<Document>,
    /// Whether it is known to be attached, or only may be.
    pub is_attached: bool,
}

impl Policy {
    /// A policy that is known to be attached.
    pub fn new(path: impl Into<String>, document: Document) -> Self {
        Self {
            path: path.into(),
            document: Arc::new(document),
            is_attached: true,
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The ARN; for services their name, `ec2.amazonaws.com`; `*` for somebody without an identity.
    pub arn: String,
    /// The account, twelve digits; empty for services and for somebody without an identity.
    pub account: String,
    /// What it is.
    pub kind: PrincipalKind,
}

/// What a principal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// An IAM user.
    User,
    /// A session of a role, with the role's ARN. A role itself, in a review, is any of its sessions.
    Session {
        /// The role.
        role: String,
    },
    /// A session of `GetFederationToken`.
    Federated,
    /// The root user of the account.
    Root,
    /// A service of the cloud.
    Service,
    /// Nobody known.
    Anonymous,
}

/// A request. The resource may be a whole kind of resources, as a pattern.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// `ec2:CreateSnapshot`
    pub action: &'a str,
    /// What it is about.
    pub resource: &'a Pattern,
    /// The account that the resource belongs to; `None` for the principal's own.
    pub resource_account: Option<&'a str>,
    /// What else is known.
    pub context: &'a Context,
}

/// All policies that have a say in a request.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    /// Of the user and its groups, or of the role.
    pub identity: Vec<Policy>,
    /// The permissions boundary, where there is one.
    pub boundary: Option<Policy>,
    /// Session policies, where the session was made with some.
    pub session: Option<Vec<Policy>>,
    /// The resource's own policy.
    pub resource: Option<Policy>,
    /// Service control policies, from the root of the organisation down: each level has to allow.
    pub service_control: Vec<Vec<Policy>>,
    /// Resource control policies likewise; the default one, which allows everything, need not be given.
    pub resource_control: Vec<Vec<Policy>>,
    /// Control policies of the organisation that may or may not apply: only what they deny counts, as an open question.
    pub possible_control: Vec<Policy>,
}

/// What one kind of policies says.
struct Said {
    truth: Truth,
    by: Vec<String>,
}

/// How a policy of a resource names the principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    /// Not at all.
    Not,
    /// As one of its account, which hands the choice on to the policies of that account.
    ByAccount,
    /// As the role of the session.
    ByRole,
    /// As one of everybody.
    AsAnyone,
    /// As itself.
    Itself,
}

/// Decides a request.
pub fn evaluate(policies: &Policies, request: &Request<'_>) -> Decision {
    let everything = |list: &[Policy], effect| say(list.iter(), effect, request, |_| Truth::Yes);
    let own_policies = policies
        .identity
        .iter()
        .chain(&policies.boundary)
        .chain(policies.session.iter().flatten());
    let guards = policies
        .service_control
        .iter()
        .chain(&policies.resource_control)
        .flatten();
    let guards = guards.chain(&policies.possible_control);
    let denied = say(own_policies.chain(guards), Effect::Deny, request, |_| Truth::Yes);
    let denied_by_resource = say(policies.resource.iter(), Effect::Deny, request, |statement| {
        (named(statement, request.principal) != Named::Not).into()
    });
    let denied = Said {
        truth: denied.truth.or(denied_by_resource.truth),
        by: [denied.by, denied_by_resource.by].concat(),
    };
    if denied.truth.is_yes() {
        return Decision::new(Truth::No, denied.by);
    }
    let mut missing = Vec::new();
    let mut need = |said: Said, what: &str| {
        if said.truth.is_no() {
            missing.push(format!("{what} does not allow it"));
        }
        said.truth
    };
    let mut guarded = Truth::Yes;
    for (levels, what) in [
        (&policies.service_control, "a service control policy"),
        (&policies.resource_control, "a resource control policy"),
    ] {
        for level in levels {
            guarded = guarded.and(need(everything(level, Effect::Allow), what));
        }
    }
    let identity = everything(&policies.identity, Effect::Allow);
    let boundary = match &policies.boundary {
        Some(boundary) => need(
            say(std::iter::once(boundary), Effect::Allow, request, |_| Truth::Yes),
            "the permissions boundary",
        ),
        None => Truth::Yes,
    };
    let session = match &policies.session {
        Some(session) => need(everything(session, Effect::Allow), "the session policy"),
        None => Truth::Yes,
    };
    let by_resource = |least: Named| {
        say(policies.resource.iter(), Effect::Allow, request, |statement| {
            (named(statement, request.principal) >= least).into()
        })
    };
    let is_own = request
        .resource_account
        .is_none_or(|account| account == request.principal.account);
    let has_no_identity = matches!(
        request.principal.kind,
        PrincipalKind::Service | PrincipalKind::Anonymous
    );
    let limits = boundary.and(session.clone());
    let (mut truth, mut by) = if has_no_identity {
        let anyone = by_resource(Named::AsAnyone);
        (anyone.truth, anyone.by)
    } else if !is_own || needs_resource_policy(request.action) {
        // Both sides have to say yes: the resource's account, and the principal's. Trust policies and key policies of the
        // same account do not need the second yes where they name the principal itself.
        let their = by_resource(Named::ByAccount);
        let ours = identity.truth.clone().and(limits.clone());
        let mut by = [their.by, identity.by].concat();
        let mut truth = their.truth.and(ours);
        if is_own {
            let itself = by_resource(Named::ByRole);
            by.extend(itself.by);
            truth = truth.or(itself.truth.and(limits));
        }
        (truth, by)
    } else {
        // Implicit denials of boundaries and session policies do not touch what the resource's policy grants to a user or
        // a session by its own ARN, but they limit what it grants to the role. What it grants to everybody is not granted to
        // the session by its ARN, so session policies limit it; of boundaries nothing of the kind is documented.
        let to_role = by_resource(Named::ByRole);
        let to_anyone = by_resource(Named::AsAnyone);
        let to_itself = by_resource(Named::Itself);
        let by = [identity.by, to_role.by].concat();
        let limited = identity.truth.or(to_role.truth).and(limits);
        (limited.or(to_anyone.truth.and(session)).or(to_itself.truth), by)
    };
    truth = truth.and(guarded).and(denied.truth.clone().negated());
    by.dedup();
    match &truth {
        Truth::Yes => Decision::new(truth, by),
        Truth::No => {
            if missing.is_empty() {
                missing.push(format!(
                    "no policy of `{}` allows `{}` on this",
                    request.principal.arn, request.action
                ));
            }
            Decision::new(truth, missing)
        }
        Truth::Maybe(_) => {
            by.extend(denied.by.into_iter().map(|by| format!("denied by {by}")));
            Decision::new(truth, by)
        }
    }
}

/// Whether a policy of a resource says anything about a principal.
pub(crate) fn is_about(policy: &Policy, principal: &Principal) -> bool {
    let statements = &policy.document.statements;
    statements
        .iter()
        .any(|statement| named(statement, principal) != Named::Not)
}

/// Actions whose resource's policy has to allow them, also within the account.
fn needs_resource_policy(action: &str) -> bool {
    let action = action.to_ascii_lowercase();
    action.starts_with("kms:")
        && !matches!(
            action.as_str(),
            "kms:createkey" | "kms:listkeys" | "kms:listaliases"
        )
        || action.starts_with("sts:assumerole")
}

/// What the statements of an effect say; `applies` tells whether a statement is about the principal.
fn say<'a>(
    policies: impl Iterator<Item = &'a Policy>,
    effect: Effect,
    request: &Request<'_>,
    applies: impl Fn(&Statement) -> Truth,
) -> Said {
    let mut said = Said {
        truth: Truth::No,
        by: Vec::new(),
    };
    let action = Pattern::literal(request.action, Case::Ignored);
    for policy in policies {
        for statement in policy
            .document
            .statements
            .iter()
            .filter(|statement| statement.effect == effect)
        {
            let mut truth = statement.matches(request, &action);
            if truth.is_no() {
                continue;
            }
            truth = truth.and(applies(statement));
            if !policy.is_attached {
                truth = truth.and(Truth::when(format!("{} is attached", policy.path)));
            }
            if truth.is_no() {
                continue;
            }
            let by = format!("{} → {}", policy.path, statement.name);
            if truth.is_yes() && !said.truth.is_yes() {
                // What decides for sure comes first.
                said.by.insert(0, by);
            } else {
                said.by.push(by);
            }
            said.truth = said.truth.or(truth.as_one());
        }
    }
    said
}

impl Statement {
    /// Whether the statement is about this action, on this resource, under these conditions.
    fn matches(&self, request: &Request<'_>, action: &Pattern) -> Truth {
        let listed = self.actions.values.iter().any(|pattern| pattern.covers(action));
        if listed == self.actions.negated {
            return Truth::No;
        }
        let mut truth = self.resource_matches(request);
        for condition in &self.conditions {
            if truth.is_no() {
                break;
            }
            truth = truth.and(condition.holds(request.context));
        }
        truth
    }

    fn resource_matches(&self, request: &Request<'_>) -> Truth {
        let Some(resources) = &self.resources else {
            return Truth::Yes;
        };
        let mut truth = Truth::No;
        for template in &resources.values {
            let one = match template.resource(request.context) {
                Ok(pattern) if pattern.covers(request.resource) => match has_wildcard_in_type(&template.text)
                {
                    true => Truth::when(format!("the cloud takes `{}`", template.text)),
                    false => Truth::Yes,
                },
                Ok(pattern) if pattern.meets(request.resource) => {
                    Truth::when(format!("the resource is `{}`", template.text))
                }
                Err(Filled::Unknown(_)) => Truth::when(format!("the resource is `{}`", template.text)),
                Ok(_) | Err(_) => Truth::No,
            };
            truth = truth.or(one);
        }
        if resources.negated { truth.negated() } else { truth }
    }
}

/// Whether the type of an ARN's resource is written with wildcards, `arn:aws:ec2:*:*:snap*ot/*`. That is no part of the language as
/// it is documented (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>), so what it does is left open. A
/// whole type may be `*`, and a last segment that ends with a wildcard has no type of its own.
fn has_wildcard_in_type(text: &str) -> bool {
    let mut segments = text.splitn(6, ':');
    if segments.nth(2) == Some("s3") {
        return false;
    }
    let kind = segments
        .nth(2)
        .and_then(|resource| resource.split_once(['/', ':']));
    kind.is_some_and(|(kind, _)| kind != "*" && kind.contains(['*', '?']))
}

/// How a statement of a resource's policy names a principal.
fn named(statement: &Statement, principal: &Principal) -> Named {
    let Some(principals) = &statement.principal else {
        return Named::Not;
    };
    let found = names(principals, principal);
    match (principals.negated, found) {
        (false, found) => found,
        (true, Named::Not) => Named::Itself,
        (true, _) => Named::Not,
    }
}

fn names(principals: &Principals, principal: &Principal) -> Named {
    if principals.everyone {
        return Named::AsAnyone;
    }
    if principal.kind == PrincipalKind::Service {
        return match principals.services.contains(&principal.arn) {
            true => Named::Itself,
            false => Named::Not,
        };
    }
    let mut best = Named::Not;
    for value in &principals.aws {
        let is_account = !principal.account.is_empty()
            && (*value == principal.account
                || value.strip_suffix(":root").and_then(|arn| arn.rsplit(':').next())
                    == Some(principal.account.as_str()));
        let one = if *value == principal.arn {
            match &principal.kind {
                PrincipalKind::Session { role } if role == value => Named::ByRole,
                _ => Named::Itself,
            }
        } else if matches!(&principal.kind, PrincipalKind::Session { role } if role == value) {
            Named::ByRole
        } else if is_account {
            match principal.kind {
                PrincipalKind::Root => Named::Itself,
                _ => Named::ByAccount,
            }
        } else {
            Named::Not
        };
        best = best.max(one);
    }
    if principals.others.contains(&principal.arn) {
        best = Named::Itself;
    }
    best
}
