//! OpenStack: rules of oslo.policy, and the roles that users and groups hold in projects, domains and the system.
//!
//! <https://docs.openstack.org/oslo.policy/latest/admin/policy-yaml-file.html>
//!
//! Reads what `openstack role assignment list --names -f json` and `openstack implied role list -f json` print, and the policy files
//! of cinder, nova and glance, which override what stands in [`defaults`]. A question is always about something of the caller's
//! own project: what reaches further is the administrator's anyway.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::inventory::Problems;
use crate::verdict::Truth;

pub mod defaults;
mod rule;

pub use rule::{Check, RuleError};

/// Rules that refer to rules end here; a circle never holds.
const MAX_REFERENCES: usize = 32;
/// What Keystone is set up with: a role, and the one that it implies.
/// <https://docs.openstack.org/keystone/latest/admin/service-api-protection.html>
const IMPLIED: &[(&str, &str)] = &[("admin", "manager"), ("manager", "member"), ("member", "reader")];

/// A role that somebody holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// `user ann@Default` or `group ops@Default`.
    pub principal: String,
    /// The role.
    pub role: String,
    /// `project shop@Default`, `domain Default`, `system all`.
    pub scope: String,
}

/// All that was collected.
#[derive(Clone, Debug, Default)]
pub struct Clouds {
    /// Assignments in their order.
    pub assignments: Vec<Assignment>,
    implied: Vec<(String, String)>,
    /// Rules of policy files: service and name to the rule.
    rules: BTreeMap<(String, String), Check>,
}

/// One way by which somebody may do something.
#[derive(Clone, Debug)]
pub struct Way {
    /// Who.
    pub principal: String,
    /// Where.
    pub scope: String,
    /// With which roles, those that are implied included.
    pub roles: Vec<String>,
    /// Whether, and on what it depends.
    pub truth: Truth,
}

/// Who asks: roles that are held together in one scope.
struct Caller<'a> {
    roles: &'a BTreeSet<String>,
    scope: &'a str,
}

impl Clouds {
    /// Whether nothing was collected.
    pub fn is_empty(&self) -> bool {
        self.assignments.is_empty()
    }

    /// Everybody whom a rule of a service lets do it somewhere, and how. `default` is the rule where no policy file has one.
    pub fn who_can(&self, service: &str, name: &str, default: &str) -> Vec<Way> {
        let mut held: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
        for assignment in &self.assignments {
            let roles = held
                .entry((&assignment.principal, &assignment.scope))
                .or_default();
            self.imply(&assignment.role, roles);
        }
        let mut ways = Vec::new();
        for ((principal, scope), roles) in held {
            let caller = Caller { roles: &roles, scope };
            let truth = self.rule(service, name, Some(default), &caller, 0);
            if !truth.is_no() {
                ways.push(Way {
                    principal: principal.to_owned(),
                    scope: scope.to_owned(),
                    roles: roles.iter().cloned().collect(),
                    truth,
                });
            }
        }
        ways
    }

    /// A role and those that it implies; each is gone through once, so circles end.
    fn imply(&self, role: &str, roles: &mut BTreeSet<String>) {
        let mut open = vec![role.to_lowercase()];
        while let Some(role) = open.pop() {
            let own = self
                .implied
                .iter()
                .map(|(prior, implied)| (prior.as_str(), implied.as_str()));
            let all = own
                .chain(IMPLIED.iter().copied())
                .filter(|(prior, _)| *prior == role);
            open.extend(
                all.map(|(_, implied)| implied.to_owned())
                    .filter(|implied| !roles.contains(implied)),
            );
            roles.insert(role);
        }
    }

    fn rule(
        &self,
        service: &str,
        name: &str,
        default: Option<&str>,
        caller: &Caller<'_>,
        depth: usize,
    ) -> Truth {
        if depth >= MAX_REFERENCES {
            return Truth::No;
        }
        if let Some(check) = self.rules.get(&(service.to_owned(), name.to_owned())) {
            return self.check(service, check, caller, depth);
        }
        match default.or_else(|| defaults::rule(name)).map(Check::read) {
            Some(Ok(check)) => self.check(service, &check, caller, depth),
            // A rule that does not exist falls back to the one called `default`, and that to nobody.
            _ if name != "default" => self.rule(service, "default", None, caller, depth + 1),
            _ => Truth::No,
        }
    }

    fn check(&self, service: &str, check: &Check, caller: &Caller<'_>, depth: usize) -> Truth {
        let inner = |check: &Check| self.check(service, check, caller, depth);
        match check {
            Check::Everybody => Truth::Yes,
            Check::Nobody => Truth::No,
            Check::Not(check) => inner(check).negated(),
            Check::All(checks) => checks.iter().map(inner).fold(Truth::Yes, Truth::and),
            Check::Any(checks) => checks.iter().map(inner).fold(Truth::No, Truth::or),
            Check::Role(role) => caller.roles.contains(&role.to_lowercase()).into(),
            Check::Rule(name) => self.rule(service, name, None, caller, depth + 1),
            Check::Attribute(left, right) => self.attribute(service, left, right, caller, depth),
        }
    }

    /// A comparison of what is known of the caller (left) with a value or an attribute of the target (right).
    fn attribute(&self, service: &str, left: &str, right: &str, caller: &Caller<'_>, depth: usize) -> Truth {
        let of_target = right.strip_prefix("%(").and_then(|rest| rest.strip_suffix(")s"));
        let (kind, name) = caller.scope.split_once(' ').unwrap_or((caller.scope, ""));
        match (left, of_target) {
            // Whether a context is an administrator's is decided by a rule of its own.
            ("is_admin", None) => {
                let is_admin = self.rule(service, "context_is_admin", None, caller, depth + 1);
                if right.eq_ignore_ascii_case("true") {
                    is_admin
                } else {
                    is_admin.negated()
                }
            }
            ("system_scope", None) => (kind == "system" && name == right).into(),
            ("project_id" | "tenant_id", Some(target)) if is_project(target) => (kind == "project").into(),
            ("domain_id" | "project_domain_id", Some(_)) if kind == "system" => Truth::No,
            _ => Truth::when(format!("{left}:{right}")),
        }
    }
}

/// Attributes of a target that name the project that it belongs to.
fn is_project(target: &str) -> bool {
    matches!(
        target,
        "project_id" | "tenant_id" | "owner" | "target.project.id" | "project.id"
    )
}

/// What a file of OpenStack holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Assignments,
    Implied,
}

pub(crate) fn kind(value: &Value) -> Option<Kind> {
    let first = value.as_array()?.first()?;
    let has = |key: &str| first.get(key).is_some();
    if has("Role") && (has("User") || has("Group")) && has("Project") {
        Some(Kind::Assignments)
    } else if has("Prior Role Name") && has("Implied Role Name") {
        Some(Kind::Implied)
    } else {
        None
    }
}

impl Clouds {
    /// Takes over what a file holds.
    pub(crate) fn add(&mut self, kind: Kind, value: &Value, problems: &mut Problems) {
        let text = |item: &Value, key: &str| item.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        for item in value.as_array().into_iter().flatten() {
            if kind == Kind::Implied {
                let pair = (text(item, "Prior Role Name"), text(item, "Implied Role Name"));
                self.implied.push((pair.0.to_lowercase(), pair.1.to_lowercase()));
                continue;
            }
            let first = |keys: &[&str]| {
                let filled = keys.iter().map(|key| (key.to_lowercase(), text(item, key)));
                let named = filled.into_iter().find(|(_, name)| !name.is_empty());
                named.map(|(key, name)| format!("{key} {name}"))
            };
            match (first(&["User", "Group"]), first(&["Project", "Domain", "System"])) {
                (Some(principal), Some(scope)) => self.assignments.push(Assignment {
                    principal,
                    role: text(item, "Role"),
                    scope,
                }),
                _ => problems.add("a role assignment names nobody or nothing; collect with `--names`"),
            }
        }
    }

    /// Takes over the rules of a service's policy file.
    pub(crate) fn add_rules(
        &mut self,
        service: &str,
        rules: &BTreeMap<String, Value>,
        problems: &mut Problems,
    ) {
        for (name, rule) in rules {
            let written = rule
                .as_str()
                .map(str::to_owned)
                .unwrap_or_else(|| rule::of_lists(rule));
            let check = Check::read(&written).unwrap_or_else(|error| {
                problems.add(format!(
                    "rule `{name}`: {error}; it lets nobody pass, as in the service"
                ));
                Check::Nobody
            });
            self.rules.insert((service.to_owned(), name.clone()), check);
        }
    }
}
