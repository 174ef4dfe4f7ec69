//! Google Cloud's access control: roles bound to members on organisations, folders, projects and resources, and deny policies.
//!
//! <https://cloud.google.com/iam/docs/policies>, <https://cloud.google.com/iam/docs/deny-overview>
//!
//! Reads what `gcloud asset search-all-iam-policies`, `gcloud projects get-ancestors-iam-policy`, `gcloud … get-iam-policy`, `gcloud iam
//! roles list|describe` and `gcloud iam policies get --kind=denypolicies` print with `--format=json`.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use crate::glob::{Case, Pattern, Segments};
use crate::inventory::Problems;
use crate::verdict::{Decision, Truth};

mod roles;

/// Members that hold a role on something.
#[derive(Clone, Debug)]
pub struct Binding {
    /// What the role holds on, and on everything below it: `projects/shop`.
    pub resource: String,
    /// `roles/compute.admin`
    pub role: String,
    /// `user:ann@corp.example`, `serviceAccount:…`, `allUsers`.
    pub members: Vec<String>,
    /// The expression of its condition, in CEL.
    pub condition: Option<String>,
}

/// A rule of a deny policy.
#[derive(Clone, Debug)]
struct Denial {
    name: String,
    resource: String,
    principals: Vec<String>,
    but_principals: Vec<String>,
    permissions: Vec<Pattern>,
    but_permissions: Vec<Pattern>,
    condition: Option<String>,
}

/// All that was collected.
#[derive(Clone, Debug, Default)]
pub struct Hierarchy {
    /// Bindings in their order.
    pub bindings: Vec<Binding>,
    denials: Vec<Denial>,
    roles: HashMap<String, BTreeSet<String>>,
    /// Everything above a resource, as far as it was collected.
    ancestors: HashMap<String, Vec<String>>,
}

/// One way by which somebody may do something.
#[derive(Clone, Debug)]
pub struct Way<'a> {
    /// Who.
    pub member: &'a str,
    /// By which binding.
    pub binding: &'a Binding,
    /// Whether, and on what it depends.
    pub truth: Truth,
}

impl Hierarchy {
    /// Whether nothing was collected.
    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }

    /// Everybody who has a permission somewhere, and how. `now` settles conditions that only ask for the time.
    pub fn who_can(&self, permission: &str, now: jiff::Timestamp) -> Vec<Way<'_>> {
        let mut ways = Vec::new();
        for binding in &self.bindings {
            let granted = self.grants(binding, permission, now);
            if granted.is_no() {
                continue;
            }
            for member in binding
                .members
                .iter()
                .filter(|member| !member.starts_with("deleted:"))
            {
                let denied = self.denied(member, permission, &binding.resource, now);
                let truth = granted.clone().and(denied.negated());
                if !truth.is_no() {
                    ways.push(Way {
                        member,
                        binding,
                        truth,
                    });
                }
            }
        }
        ways
    }

    /// Decides whether a member has a permission on a resource.
    pub fn decide(&self, member: &str, permission: &str, resource: &str, now: jiff::Timestamp) -> Decision {
        let mut truth = Truth::No;
        let mut by = Vec::new();
        for binding in &self.bindings {
            let whom: Truth = binding
                .members
                .iter()
                .map(|own| includes(own, member))
                .fold(Truth::No, Truth::or);
            if whom.is_no() || !self.is_below(resource, &binding.resource) {
                continue;
            }
            let one = whom.and(self.grants(binding, permission, now));
            if !one.is_no() {
                by.push(format!("{} on {}", binding.role, binding.resource));
            }
            truth = truth.or(one);
        }
        let denied = self.denied(member, permission, resource, now);
        if denied.is_yes() {
            by = vec![format!("a deny policy takes `{permission}` away")];
        } else if by.is_empty() {
            by.push(format!(
                "no role of `{member}` has `{permission}` on `{resource}`"
            ));
        }
        Decision::new(truth.and(denied.negated()), by)
    }

    fn is_below(&self, resource: &str, above: &str) -> bool {
        resource == above
            || resource
                .strip_prefix(above)
                .is_some_and(|rest| rest.starts_with('/'))
            || self.ancestors.iter().any(|(own, ancestors)| {
                (resource == own
                    || resource
                        .strip_prefix(own.as_str())
                        .is_some_and(|rest| rest.starts_with('/')))
                    && ancestors.iter().any(|ancestor| ancestor == above)
            })
    }

    fn grants(&self, binding: &Binding, permission: &str, now: jiff::Timestamp) -> Truth {
        let has = match self.roles.get(&binding.role) {
            Some(permissions) => permissions.contains(permission),
            None => roles::has(&binding.role, permission).unwrap_or(false),
        };
        Truth::from(has).and(holds(binding.condition.as_deref(), now))
    }

    fn denied(&self, member: &str, permission: &str, resource: &str, now: jiff::Timestamp) -> Truth {
        // `compute.snapshots.create` is `compute.googleapis.com/snapshots.create` here.
        let long = permission.replacen('.', ".googleapis.com/", 1);
        let mut truth = Truth::No;
        for denial in &self.denials {
            let any = |list: &[Pattern]| list.iter().any(|own| own.matches(&long, Case::Kept));
            if !any(&denial.permissions) || any(&denial.but_permissions) {
                continue;
            }
            let listed = |list: &[String]| {
                list.iter()
                    .map(|own| is_principal(own, member))
                    .fold(Truth::No, Truth::or)
            };
            let whom = listed(&denial.principals).and(listed(&denial.but_principals).negated());
            let place = if self.is_below(resource, &denial.resource) {
                Truth::Yes
            } else if self.is_below(&denial.resource, resource) {
                Truth::when(format!(
                    "the resource is in `{}` (deny policy {})",
                    denial.resource, denial.name
                ))
            } else {
                Truth::No
            };
            truth = truth.or(whom
                .and(place)
                .and(holds(denial.condition.as_deref(), now))
                .as_one());
        }
        truth
    }

    /// Tells of bound roles whose permissions are not known.
    pub(crate) fn finish(&self, problems: &mut Problems) {
        let bound: BTreeSet<&str> = self
            .bindings
            .iter()
            .map(|binding| binding.role.as_str())
            .collect();
        for role in bound {
            if !self.roles.contains_key(role) && !roles::is_known(role) {
                problems.add(format!("what `{role}` permits was not collected: `gcloud iam roles describe {role} --format=json`"));
            }
        }
    }
}

/// Whether a member of a binding includes another.
fn includes(own: &str, member: &str) -> Truth {
    if own == member || own == "allUsers" || (own == "allAuthenticatedUsers" && member != "allUsers") {
        return Truth::Yes;
    }
    let (kind, name) = own.split_once(':').unwrap_or((own, ""));
    let is_person = member.starts_with("user:") || member.starts_with("serviceAccount:");
    match kind {
        "group" if is_person => Truth::when(format!("it belongs to group `{name}`")),
        "domain" => member
            .strip_prefix("user:")
            .and_then(|mail| mail.rsplit_once('@'))
            .is_some_and(|(_, domain)| domain == name)
            .into(),
        _ => Truth::No,
    }
}

/// Whether a principal identifier of a deny policy is a member.
/// <https://cloud.google.com/iam/docs/principal-identifiers#deny>
fn is_principal(own: &str, member: &str) -> Truth {
    if own == "principalSet://goog/public:all" {
        return Truth::Yes;
    }
    let (kind, name) = member.split_once(':').unwrap_or(("", member));
    let is_same = match kind {
        "user" => own.strip_prefix("principal://goog/subject/") == Some(name),
        "group" => own.strip_prefix("principalSet://goog/group/") == Some(name),
        "serviceAccount" => own
            .rsplit_once("/serviceAccounts/")
            .is_some_and(|(before, mail)| {
                before.starts_with("principal://iam.googleapis.com/projects/") && mail == name
            }),
        _ => own == member,
    };
    match own.strip_prefix("principalSet://goog/group/") {
        Some(group) if !is_same && kind != "group" => Truth::when(format!("it belongs to group `{group}`")),
        _ => is_same.into(),
    }
}

/// What a condition comes to: comparisons of the request's time alone are settled, all others are not known.
fn holds(condition: Option<&str>, now: jiff::Timestamp) -> Truth {
    let Some(expression) = condition else {
        return Truth::Yes;
    };
    let compact: String = expression
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect();
    let compared = ["<=", ">=", "<", ">"].iter().find_map(|operator| {
        let rest = compact.strip_prefix("request.time")?.strip_prefix(operator)?;
        let quoted = rest.strip_prefix("timestamp(")?.strip_suffix(')')?;
        let inner = quoted.trim_matches(['"', '\'']);
        let time: jiff::Timestamp = inner.parse().ok()?;
        Some(match *operator {
            "<=" => now <= time,
            ">=" => now >= time,
            "<" => now < time,
            _ => now > time,
        })
    });
    match compared {
        Some(truth) => truth.into(),
        None => Truth::when(format!("its condition holds: {expression}")),
    }
}

/// What a file of Google Cloud holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Policies with their resources.
    Search,
    /// A project's policy and those above it.
    Ancestors,
    /// One policy, without its resource.
    Policy,
    Roles,
    Denials,
}

fn objects(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        single => vec![single],
    }
}

pub(crate) fn kind(value: &Value) -> Option<Kind> {
    let object = *objects(value).first()?;
    let has = |pointer: &str| object.pointer(pointer).is_some();
    let named = |start: &str| {
        object
            .get("name")
            .and_then(Value::as_str)
            .is_some_and(|name| name.contains(start))
    };
    if has("/resource") && has("/policy/bindings") {
        Some(Kind::Search)
    } else if has("/id") && has("/type") && has("/policy") {
        Some(Kind::Ancestors)
    } else if has("/includedPermissions") && named("roles/") {
        Some(Kind::Roles)
    } else if named("/denypolicies/") {
        Some(Kind::Denials)
    } else if object.get("bindings").is_some_and(Value::is_array) && (has("/etag") || has("/version")) {
        Some(Kind::Policy)
    } else {
        None
    }
}

impl Hierarchy {
    /// Takes over what a file holds; `stem` is the file's name without its ending.
    pub(crate) fn add(&mut self, kind: Kind, value: &Value, stem: &str) {
        let mut above: Vec<String> = Vec::new();
        for object in objects(value) {
            match kind {
                Kind::Search => {
                    let resource = short(&text(object, "resource"));
                    let folders = texts(object, "folders");
                    let mut ancestors = vec![text(object, "organization")];
                    ancestors.extend(folders);
                    if !resource.starts_with("projects/") {
                        ancestors.push(text(object, "project"));
                    }
                    ancestors.retain(|ancestor| !ancestor.is_empty() && *ancestor != resource);
                    self.ancestors.insert(resource.clone(), ancestors);
                    self.policy(object.get("policy"), &resource);
                }
                Kind::Ancestors => {
                    let resource = format!("{}s/{}", text(object, "type"), text(object, "id"));
                    above.push(resource.clone());
                    self.policy(object.get("policy"), &resource);
                }
                Kind::Policy => self.policy(Some(object), &format!("projects/{stem}")),
                Kind::Roles => {
                    let permissions = texts(object, "includedPermissions").into_iter().collect();
                    self.roles.insert(text(object, "name"), permissions);
                }
                Kind::Denials => self.denial(object),
            }
        }
        // The answer begins with the project and goes up.
        for (at, resource) in above.iter().enumerate() {
            self.ancestors
                .insert(resource.clone(), above.iter().skip(at + 1).cloned().collect());
        }
    }

    fn policy(&mut self, policy: Option<&Value>, resource: &str) {
        let bindings = policy
            .and_then(|policy| policy.get("bindings"))
            .and_then(Value::as_array);
        for binding in bindings.into_iter().flatten() {
            let condition = binding.pointer("/condition/expression").and_then(Value::as_str);
            self.bindings.push(Binding {
                resource: resource.to_owned(),
                role: text(binding, "role"),
                members: texts(binding, "members"),
                condition: condition.map(str::to_owned),
            });
        }
    }

    fn denial(&mut self, policy: &Value) {
        let name = text(policy, "name");
        let (attached, id) = name.split_once("/denypolicies/").unwrap_or((&name, ""));
        let attached = percent_encoding::percent_decode_str(attached.trim_start_matches("policies/"))
            .decode_utf8_lossy();
        let resource = short(&attached);
        let rules = policy.get("rules").and_then(Value::as_array);
        for rule in rules
            .into_iter()
            .flatten()
            .filter_map(|rule| rule.get("denyRule"))
        {
            let patterns = |key: &str| -> Vec<Pattern> {
                texts(rule, key)
                    .iter()
                    .map(|text| Pattern::new(text, Case::Kept, Segments::None))
                    .collect()
            };
            let condition = rule
                .pointer("/denialCondition/expression")
                .and_then(Value::as_str);
            self.denials.push(Denial {
                name: id.to_owned(),
                resource: resource.clone(),
                principals: texts(rule, "deniedPrincipals"),
                but_principals: texts(rule, "exceptionPrincipals"),
                permissions: patterns("deniedPermissions"),
                but_permissions: patterns("exceptionPermissions"),
                condition: condition.map(str::to_owned),
            });
        }
    }
}

/// `//cloudresourcemanager.googleapis.com/projects/shop` is `projects/shop`; other services' names end in such a path too.
fn short(name: &str) -> String {
    let rest = name.trim_start_matches('/');
    let path = rest
        .split_once('/')
        .filter(|(host, _)| host.contains('.'))
        .map_or(rest, |(_, path)| path);
    path.to_owned()
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or("").to_owned()
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    let list = value.get(key).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
