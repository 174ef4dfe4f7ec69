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

/// References from rule to rule go so deep, and no further one lets anybody pass.
const MAX_DEPTH: usize = 32;
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
            let mut asking = Asking {
                clouds: self,
                service,
                caller: Caller { roles: &roles, scope },
                known: BTreeMap::new(),
                depth: 0,
                is_circular: false,
            };
            let truth = asking.rule(name, Some(default));
            if !truth.is_no() && !asking.is_circular {
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
}

/// One question. A rule is decided once, however many others refer to it.
struct Asking<'a> {
    clouds: &'a Clouds,
    service: &'a str,
    caller: Caller<'a>,
    /// What rules come to; nothing yet while one is being decided.
    known: BTreeMap<String, Option<Truth>>,
    /// How deep references go at this moment.
    depth: usize,
    /// Whether a rule referred to itself, which fails the request in the service.
    is_circular: bool,
}

impl<'a> Asking<'a> {
    fn rule(&mut self, name: &str, default: Option<&str>) -> Truth {
        match self.known.get(name) {
            Some(Some(truth)) => return truth.clone(),
            Some(None) => {
                self.is_circular = true;
                return Truth::No;
            }
            None if self.depth >= MAX_DEPTH => return Truth::No,
            None => {}
        }
        self.depth += 1;
        self.known.insert(name.to_owned(), None);
        let own: Option<&'a Check> = self.clouds.rules.get(&(self.service.to_owned(), name.to_owned()));
        let truth = match (own, default.or_else(|| defaults::rule(name)).map(Check::read)) {
            (Some(check), _) => self.check(check),
            (None, Some(Ok(check))) => self.check(&check),
            // A rule that does not exist falls back to the one called `default`, and that to nobody.
            (None, _) if name != "default" => self.rule("default", None),
            (None, _) => Truth::No,
        };
        self.depth -= 1;
        self.known.insert(name.to_owned(), Some(truth.clone()));
        truth
    }

    fn check(&mut self, check: &Check) -> Truth {
        match check {
            Check::Everybody => Truth::Yes,
            Check::Nobody => Truth::No,
            Check::Not(check) => self.check(check).negated(),
            Check::Unknown(_) => Truth::No,
            // As in the services, what can no more matter is not asked: a rule that refers to itself there does no harm.
            Check::All(checks) => {
                let mut truth = Truth::Yes;
                for check in checks {
                    truth = truth.and(self.check(check));
                    if truth.is_no() {
                        break;
                    }
                }
                truth
            }
            Check::Any(checks) => {
                let mut truth = Truth::No;
                for check in checks {
                    truth = truth.or(self.check(check));
                    if truth.is_yes() {
                        break;
                    }
                }
                truth
            }
            Check::Role(role) => self.caller.roles.contains(&role.to_lowercase()).into(),
            Check::Rule(name) => self.rule(name, None),
            Check::Attribute(left, right) => self.attribute(left, right),
        }
    }

    /// A comparison of what is known of the caller (left) with a value or an attribute of the target (right).
    fn attribute(&mut self, left: &str, right: &str) -> Truth {
        let of_target = right.strip_prefix("%(").and_then(|rest| rest.strip_suffix(")s"));
        let (kind, name) = self
            .caller
            .scope
            .split_once(' ')
            .unwrap_or((self.caller.scope, ""));
        match (left, of_target) {
            // Whether a context is an administrator's is decided by a rule of its own.
            ("is_admin", None) => {
                let is_admin = self.rule("context_is_admin", None);
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
            if let Some(word) = check.unknown() {
                problems.add(format!(
                    "rule `{name}`: `{word}` is no check; it never holds, as in the service"
                ));
            }
            self.rules.insert((service.to_owned(), name.clone()), check);
        }
    }
}
