//! Role-based access control of Kubernetes: who may do what with which resources.
//!
//! <https://kubernetes.io/docs/reference/access-authn-authz/rbac/>
//!
//! RBAC only allows; there is no denial and no condition, so every answer is sure. Reads what
//! `kubectl get clusterroles,roles,clusterrolebindings,rolebindings -A -o json` prints.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use serde_json::Value;

use crate::inventory::Problems;

/// The group that the API server lets do everything, whatever roles say.
/// <https://kubernetes.io/docs/concepts/security/rbac-good-practices/#least-privilege>
pub const MASTERS: &str = "system:masters";

/// A rule of a role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rule {
    /// `get`, `create`, or `*`.
    pub verbs: Vec<String>,
    /// `""` for the core, `apps`, or `*`.
    pub groups: Vec<String>,
    /// `pods`, `pods/exec`, `*/scale`, or `*`.
    pub resources: Vec<String>,
    /// Only objects of these names; all where it is empty.
    pub names: Vec<String>,
    /// Paths that are no resources; `*` at the end stands for any rest.
    pub urls: Vec<String>,
}

/// A question to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// `create`
    pub verb: &'a str,
    /// The API group; `""` is the core.
    pub group: &'a str,
    /// `pods`, or `pods/exec` for a subresource.
    pub resource: &'a str,
    /// The object, where one is asked about. A role that names objects does not allow what has no name, such as `create`
    /// and a `list` of all.
    pub name: Option<&'a str>,
}

impl Rule {
    /// Whether the rule allows it. <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources>
    pub fn allows(&self, asked: &Attributes<'_>) -> bool {
        self.allows_kind(asked)
            && (self.names.is_empty()
                || asked
                    .name
                    .is_some_and(|name| self.names.iter().any(|own| own == name)))
    }

    /// Whether it would, for an object of the right name.
    fn allows_kind(&self, asked: &Attributes<'_>) -> bool {
        let has = |list: &[String], wanted: &str| list.iter().any(|own| own == "*" || own == wanted);
        has(&self.verbs, asked.verb) && has(&self.groups, asked.group) && self.has_resource(asked.resource)
    }

    fn has_resource(&self, wanted: &str) -> bool {
        let of_all = wanted.split_once('/').map(|(_, subresource)| subresource);
        self.resources.iter().any(|own| {
            own == "*"
                || own == wanted
                // `*/scale` is the subresource of all resources.
                || own.strip_prefix("*/").is_some_and(|subresource| Some(subresource) == of_all)
        })
    }

    /// Whether the rule allows a verb on a path that is no resource, `/metrics`.
    pub fn allows_url(&self, verb: &str, path: &str) -> bool {
        self.verbs.iter().any(|own| own == "*" || own == verb)
            && self.urls.iter().any(|own| match own.strip_suffix('*') {
                Some(start) => path.starts_with(start),
                None => own == path,
            })
    }
}

/// Who is bound.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A user by the name that authentication gives.
    User(String),
    /// A group.
    Group(String),
    /// A service account: namespace and name.
    ServiceAccount(String, String),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(name) => write!(f, "user {name}"),
            Self::Group(name) => write!(f, "group {name}"),
            Self::ServiceAccount(namespace, name) => write!(f, "serviceaccount {namespace}:{name}"),
        }
    }
}

impl Subject {
    /// Whether a request of this user name and these groups is the subject's.
    /// <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-subjects>
    pub fn is(&self, user: &str, groups: &[&str]) -> bool {
        match self {
            Self::User(name) => name == user,
            Self::Group(name) => groups.contains(&name.as_str()),
            Self::ServiceAccount(namespace, name) => {
                user.strip_prefix("system:serviceaccount:")
                    .and_then(|rest| rest.split_once(':'))
                    == Some((namespace.as_str(), name.as_str()))
            }
        }
    }
}

/// A role that subjects hold, in a namespace or everywhere.
#[derive(Clone, Debug)]
pub struct Binding {
    /// `clusterrolebinding NAME`, or `rolebinding NAMESPACE/NAME`.
    pub name: String,
    /// `clusterrole NAME`, or `role NAMESPACE/NAME`.
    pub role: String,
    /// Where it holds; `None` is everywhere.
    pub namespace: Option<String>,
    /// Who is bound.
    pub subjects: Vec<Subject>,
    /// The rules of the role.
    pub rules: Arc<Vec<Rule>>,
}

/// The access control of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// The file that it was read of, which stands for the cluster.
    pub name: String,
    /// All bindings.
    pub bindings: Vec<Binding>,
}

/// One way by which somebody may do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way<'a> {
    /// Who.
    pub subject: &'a Subject,
    /// By which binding.
    pub binding: &'a str,
    /// By which role.
    pub role: &'a str,
    /// Which of its rules, from 1.
    pub rule: usize,
    /// Where; `None` is everywhere.
    pub namespace: Option<&'a str>,
    /// Only these objects; all where it is empty.
    pub names: &'a [String],
}

impl Cluster {
    /// Everybody who may do it, and how. A resource that belongs to no namespace (`is_namespaced` is false) is not reached by
    /// bindings of namespaces.
    pub fn who_can<'a>(&'a self, asked: &Attributes<'_>, is_namespaced: bool) -> Vec<Way<'a>> {
        let mut ways = Vec::new();
        for binding in &self.bindings {
            if binding.namespace.is_some() && !is_namespaced {
                continue;
            }
            for (index, rule) in binding.rules.iter().enumerate() {
                // Names do not help with what is made anew: there is no name yet when the server decides.
                let open = rule.names.is_empty()
                    || !matches!(asked.verb, "create" | "deletecollection")
                    || asked.resource.contains('/');
                if !(rule.allows_kind(asked) && open) {
                    continue;
                }
                ways.extend(binding.subjects.iter().map(|subject| Way {
                    subject,
                    binding: &binding.name,
                    role: &binding.role,
                    rule: index + 1,
                    namespace: binding.namespace.as_deref(),
                    names: &rule.names,
                }));
            }
        }
        ways
    }

    /// Whether a user in these groups may do it in a namespace (`None`: the resource belongs to none, or all are asked for).
    pub fn allows(
        &self,
        user: &str,
        groups: &[&str],
        asked: &Attributes<'_>,
        namespace: Option<&str>,
    ) -> bool {
        groups.contains(&MASTERS)
            || self.bindings.iter().any(|binding| {
                (binding.namespace.is_none() || binding.namespace.as_deref() == namespace)
                    && binding.subjects.iter().any(|subject| subject.is(user, groups))
                    && binding.rules.iter().any(|rule| rule.allows(asked))
            })
    }

    /// Whether a user in these groups may do it with a path that is no resource; only bindings of the cluster count.
    pub fn allows_url(&self, user: &str, groups: &[&str], verb: &str, path: &str) -> bool {
        groups.contains(&MASTERS)
            || self.bindings.iter().any(|binding| {
                binding.namespace.is_none()
                    && binding.subjects.iter().any(|subject| subject.is(user, groups))
                    && binding.rules.iter().any(|rule| rule.allows_url(verb, path))
            })
    }
}

/// Whether a JSON value is a list of such objects, or one of them.
pub(crate) fn is_rbac(value: &Value) -> bool {
    let is_one = |value: &Value| {
        value
            .get("apiVersion")
            .and_then(Value::as_str)
            .is_some_and(|version| version.starts_with("rbac.authorization.k8s.io/"))
    };
    is_one(value)
        || value
            .get("items")
            .and_then(Value::as_array)
            .is_some_and(|items| items.iter().any(is_one))
}

#[derive(Default)]
struct Role {
    rules: Vec<Rule>,
    labels: BTreeMap<String, String>,
    /// Labels of the cluster roles whose rules it takes over.
    aggregates: Vec<Value>,
}

/// Reads objects of several files as one cluster.
pub(crate) fn read(name: &str, values: &[Value], problems: &mut Problems) -> Cluster {
    let mut items: Vec<&Value> = Vec::new();
    for value in values {
        match value.get("items").and_then(Value::as_array) {
            Some(list) => items.extend(list),
            None => items.push(value),
        }
    }
    let kind = |item: &Value| item.get("kind").and_then(Value::as_str).unwrap_or("").to_owned();
    let mut roles: BTreeMap<String, Role> = BTreeMap::new();
    for item in &items {
        if matches!(kind(item).as_str(), "ClusterRole" | "Role") {
            roles.insert(role_name(item, &kind(item)), role(item));
        }
    }
    // Only roles that somebody holds matter, each once.
    let mut resolved: BTreeMap<String, Arc<Vec<Rule>>> = BTreeMap::new();
    let mut cluster = Cluster {
        name: name.to_owned(),
        bindings: Vec::new(),
    };
    for item in items
        .into_iter()
        .filter(|item| matches!(kind(item).as_str(), "ClusterRoleBinding" | "RoleBinding"))
    {
        cluster
            .bindings
            .extend(binding(item, &roles, &mut resolved, problems));
    }
    cluster
}

fn at<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    let list = value.get(key).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn role_name(item: &Value, kind: &str) -> String {
    let name = at(item, "/metadata/name");
    match kind {
        "ClusterRole" => format!("clusterrole {name}"),
        _ => format!("role {}/{name}", at(item, "/metadata/namespace")),
    }
}

fn role(item: &Value) -> Role {
    let rules = item.get("rules").and_then(Value::as_array);
    let labels = item.pointer("/metadata/labels").and_then(Value::as_object);
    let selectors = item
        .pointer("/aggregationRule/clusterRoleSelectors")
        .and_then(Value::as_array);
    Role {
        rules: rules
            .into_iter()
            .flatten()
            .map(|rule| Rule {
                verbs: texts(rule, "verbs"),
                groups: texts(rule, "apiGroups"),
                resources: texts(rule, "resources"),
                names: texts(rule, "resourceNames"),
                urls: texts(rule, "nonResourceURLs"),
            })
            .collect(),
        labels: labels
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect(),
        aggregates: selectors.cloned().unwrap_or_default(),
    }
}

/// The rules of a role and of those that it aggregates. The controller writes the latter into the former, but manifests that
/// were never applied lack them. <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles>
fn all_rules(name: &str, roles: &BTreeMap<String, Role>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut known: HashSet<&Rule> = HashSet::new();
    let mut seen = BTreeSet::from([name]);
    let mut open = vec![name];
    // Each role is gone through once, so circles end.
    while let Some(role) = open.pop().and_then(|name| roles.get(name)) {
        // The controller has written rules of others into the role as well.
        rules.extend(role.rules.iter().filter(|rule| known.insert(*rule)).cloned());
        if role.aggregates.is_empty() {
            continue;
        }
        for (name, other) in roles.iter().filter(|(name, _)| name.starts_with("clusterrole ")) {
            let is_taken = role
                .aggregates
                .iter()
                .any(|selector| selects(selector, &other.labels));
            if is_taken && seen.insert(name) {
                open.push(name);
            }
        }
    }
    rules
}

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>
fn selects(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let wanted = selector.get("matchLabels").and_then(Value::as_object);
    let by_labels = wanted
        .into_iter()
        .flatten()
        .all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str());
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    by_labels
        && expressions.into_iter().flatten().all(|expression| {
            let own = labels.get(at(expression, "/key"));
            let values = texts(expression, "values");
            let listed = own.is_some_and(|own| values.contains(own));
            match at(expression, "/operator") {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => own.is_some(),
                "DoesNotExist" => own.is_none(),
                _ => false,
            }
        })
}

fn binding(
    item: &Value,
    roles: &BTreeMap<String, Role>,
    resolved: &mut BTreeMap<String, Arc<Vec<Rule>>>,
    problems: &mut Problems,
) -> Option<Binding> {
    let is_cluster = at(item, "/kind") == "ClusterRoleBinding";
    let (name, namespace) = (at(item, "/metadata/name"), at(item, "/metadata/namespace"));
    let name = match is_cluster {
        true => format!("clusterrolebinding {name}"),
        false => format!("rolebinding {namespace}/{name}"),
    };
    let role = match at(item, "/roleRef/kind") {
        "ClusterRole" => format!("clusterrole {}", at(item, "/roleRef/name")),
        _ => format!("role {namespace}/{}", at(item, "/roleRef/name")),
    };
    if !roles.contains_key(&role) {
        problems.add(format!("{name} refers to {role}, which is not in the file"));
        return None;
    }
    let rules = resolved
        .entry(role.clone())
        .or_insert_with(|| Arc::new(all_rules(&role, roles)));
    let rules = Arc::clone(rules);
    let subjects = item.get("subjects").and_then(Value::as_array);
    let subjects = subjects.into_iter().flatten().filter_map(|subject| {
        let name = at(subject, "/name").to_owned();
        match at(subject, "/kind") {
            "User" => Some(Subject::User(name)),
            "Group" => Some(Subject::Group(name)),
            "ServiceAccount" => {
                let own = at(subject, "/namespace");
                let home = if own.is_empty() { namespace } else { own };
                Some(Subject::ServiceAccount(home.to_owned(), name))
            }
            _ => None,
        }
    });
    Some(Binding {
        name,
        role,
        namespace: (!is_cluster).then(|| namespace.to_owned()),
        subjects: subjects.collect(),
        rules,
    })
}
