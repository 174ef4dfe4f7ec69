//! Azure's roles: definitions, their assignments at scopes, and deny assignments.
//!
//! <https://learn.microsoft.com/azure/role-based-access-control/overview#how-azure-rbac-determines-if-a-user-has-access-to-a-resource>
//!
//! Reads what `az role definition list`, `az role assignment list --all`, the REST answers of the same and of
//! `denyAssignments`, and `az account management-group show --expand --recurse` print.

use std::collections::HashMap;

use serde_json::Value;

use crate::glob::{Case, Pattern, Segments};
use crate::inventory::Problems;
use crate::verdict::{Decision, Truth};

/// Everybody, in deny assignments.
/// <https://learn.microsoft.com/azure/role-based-access-control/deny-assignments#system-defined-principal>
const EVERYBODY: &str = "00000000-0000-0000-0000-000000000000";
/// Management groups nest six deep; more steps upwards mean a circle.
const MAX_LEVELS: usize = 16;

/// Actions that are granted together.
/// <https://learn.microsoft.com/azure/role-based-access-control/role-definitions>
#[derive(Clone, Debug, Default)]
pub struct Permission {
    actions: Vec<Pattern>,
    not_actions: Vec<Pattern>,
    data_actions: Vec<Pattern>,
    not_data_actions: Vec<Pattern>,
}

impl Permission {
    /// Whether it has an action. `NotActions` subtract from the `Actions` of this permission and deny nothing that others grant.
    pub fn has(&self, action: &str, is_data: bool) -> bool {
        let (actions, but) = match is_data {
            true => (&self.data_actions, &self.not_data_actions),
            false => (&self.actions, &self.not_actions),
        };
        let any = |list: &[Pattern]| list.iter().any(|own| own.matches(action, Case::Ignored));
        any(actions) && !any(but)
    }
}

/// A role.
#[derive(Clone, Debug)]
pub struct Role {
    /// `Disk Snapshot Contributor`
    pub name: String,
    /// What it grants.
    pub permissions: Vec<Permission>,
}

/// A role that somebody holds at a scope and below it.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Object id.
    pub principal: String,
    /// Name, where it was collected; else the object id.
    pub principal_name: String,
    /// `User`, `Group`, `ServicePrincipal`.
    pub principal_kind: String,
    /// Key of the role: the last part of its id, in lower case.
    role: String,
    /// The role's name, as far as it is known.
    pub role_name: String,
    /// `/subscriptions/…`
    pub scope: String,
    /// Its condition, in the language of attribute-based access.
    pub condition: Option<String>,
}

/// What nobody, or some, may do at a scope, whatever roles they hold.
#[derive(Clone, Debug)]
pub struct Denial {
    /// Its name.
    pub name: String,
    permissions: Vec<Permission>,
    scope: String,
    is_for_children: bool,
    /// Object ids and kinds.
    principals: Vec<(String, String)>,
    excluded: Vec<(String, String)>,
}

/// All that was collected of a directory.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    roles: HashMap<String, Role>,
    /// Assignments in their order.
    pub assignments: Vec<Assignment>,
    denials: Vec<Denial>,
    /// What each management group and subscription belongs to, in lower case.
    parents: HashMap<String, String>,
}

/// One way by which somebody may do something.
#[derive(Clone, Debug)]
pub struct Way<'a> {
    /// By which assignment.
    pub assignment: &'a Assignment,
    /// Whether, and on what it depends.
    pub truth: Truth,
}

impl Directory {
    /// Whether nothing was collected.
    pub fn is_empty(&self) -> bool {
        self.assignments.is_empty()
    }

    /// Everybody who may do it somewhere, and how; `is_data` is for actions on what resources hold.
    pub fn who_can(&self, action: &str, is_data: bool) -> Vec<Way<'_>> {
        let ways = self.assignments.iter().map(|assignment| Way {
            truth: self.grants(assignment, action, is_data).and(
                self.denied(assignment, &assignment.scope, action, is_data)
                    .negated(),
            ),
            assignment,
        });
        ways.filter(|way| !way.truth.is_no()).collect()
    }

    /// Decides whether a principal (by its object id) may do it to a resource.
    pub fn decide(&self, principal: &str, action: &str, is_data: bool, scope: &str) -> Decision {
        let mut truth = Truth::No;
        let mut by = Vec::new();
        for assignment in self
            .assignments
            .iter()
            .filter(|assignment| assignment.principal.eq_ignore_ascii_case(principal))
        {
            let granted = self
                .grants(assignment, action, is_data)
                .and(self.reaches(&assignment.scope, scope));
            let denied = self.denied(assignment, scope, action, is_data);
            let one = granted.and(denied.negated());
            if !one.is_no() {
                by.push(format!("role {} at {}", assignment.role_name, assignment.scope));
            }
            truth = truth.or(one);
        }
        if truth.is_no() {
            by.push(format!(
                "no role of `{principal}` has `{action}` there, or it is denied"
            ));
        }
        Decision::new(truth, by)
    }

    fn grants(&self, assignment: &Assignment, action: &str, is_data: bool) -> Truth {
        let Some(role) = self.roles.get(&assignment.role) else {
            return Truth::No;
        };
        let has: Truth = role
            .permissions
            .iter()
            .any(|permission| permission.has(action, is_data))
            .into();
        match &assignment.condition {
            Some(condition) => has.and(Truth::when(format!("its condition holds: {condition}"))),
            None => has,
        }
    }

    /// Whether a scope includes another.
    fn reaches(&self, above: &str, below: &str) -> Truth {
        let (above, mut place) = (key(above), key(below));
        for _ in 0..MAX_LEVELS {
            if above.is_empty()
                || place == above
                || place
                    .strip_prefix(&above)
                    .is_some_and(|rest| rest.starts_with('/'))
            {
                return Truth::Yes;
            }
            // Subscriptions stand below management groups, which their own paths do not tell.
            let of_subscription: String = place.split('/').take(3).collect::<Vec<_>>().join("/");
            match self
                .parents
                .get(&place)
                .or_else(|| self.parents.get(&of_subscription))
            {
                Some(parent) => place = parent.clone(),
                None => break,
            }
        }
        let is_group = |scope: &str| scope.contains("/managementgroups/");
        // Above the subscription nothing is known without the tree of management groups.
        if is_group(&above) && place.starts_with("/subscriptions/") {
            return Truth::when(format!("`{below}` stands below `{above}`"));
        }
        Truth::No
    }

    /// Whether what an assignment grants is denied at a scope.
    fn denied(&self, assignment: &Assignment, scope: &str, action: &str, is_data: bool) -> Truth {
        let mut truth = Truth::No;
        for denial in &self.denials {
            let has = denial
                .permissions
                .iter()
                .any(|permission| permission.has(action, is_data));
            let whom =
                named(&denial.principals, assignment).and(named(&denial.excluded, assignment).negated());
            if !has || whom.is_no() {
                continue;
            }
            let place = if key(&denial.scope) == key(scope) {
                Truth::Yes
            } else if denial.is_for_children && !self.reaches(&denial.scope, scope).is_no() {
                self.reaches(&denial.scope, scope)
            } else if !self.reaches(scope, &denial.scope).is_no() {
                Truth::when(format!(
                    "the resource is in `{}` (deny assignment {})",
                    denial.scope, denial.name
                ))
            } else {
                Truth::No
            };
            truth = truth.or(whom.and(place).as_one());
        }
        truth
    }
}

fn named(list: &[(String, String)], assignment: &Assignment) -> Truth {
    let is_one =
        |(id, _): &&(String, String)| id == EVERYBODY || id.eq_ignore_ascii_case(&assignment.principal);
    if list.iter().any(|entry| is_one(&entry)) {
        return Truth::Yes;
    }
    // Who belongs to a group is not collected; a group itself is not its members.
    let groups = list.iter().filter(|(_, kind)| kind.eq_ignore_ascii_case("Group"));
    groups
        .map(|(id, _)| Truth::when(format!("it belongs to group `{id}`")))
        .fold(Truth::No, Truth::or)
}

fn key(scope: &str) -> String {
    scope.trim_end_matches('/').to_ascii_lowercase()
}

/// What a file of Azure holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Definition,
    Assignment,
    Denial,
    ManagementGroup,
}

/// The body of an object: the REST interface has what matters in `properties`.
fn body(value: &Value) -> &Value {
    value
        .get("properties")
        .filter(|body| body.is_object())
        .unwrap_or(value)
}

/// The objects of an answer.
fn objects(value: &Value) -> Vec<&Value> {
    match value.get("value").unwrap_or(value) {
        Value::Array(items) => items.iter().collect(),
        single => vec![single],
    }
}

/// What a JSON value is, by its first object.
pub(crate) fn kind(value: &Value) -> Option<Kind> {
    let object = *objects(value).first()?;
    let inner = body(object);
    let is_there = |key: &str| inner.get(key).is_some();
    let is_group = object
        .get("type")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind.eq_ignore_ascii_case("Microsoft.Management/managementGroups"));
    if is_there("permissions") && is_there("assignableScopes") {
        Some(Kind::Definition)
    } else if is_there("roleDefinitionId") && is_there("principalId") && is_there("scope") {
        Some(Kind::Assignment)
    } else if is_there("denyAssignmentName") {
        Some(Kind::Denial)
    } else if is_group {
        Some(Kind::ManagementGroup)
    } else {
        None
    }
}

impl Directory {
    /// Takes over what a file holds.
    pub(crate) fn add(&mut self, kind: Kind, value: &Value) {
        for object in objects(value) {
            let inner = body(object);
            match kind {
                Kind::Definition => {
                    let role = Role {
                        name: text(inner, "roleName"),
                        permissions: permissions(inner),
                    };
                    self.roles
                        .insert(last(&text(object, "id"), &text(object, "name")), role);
                }
                Kind::Assignment => {
                    let id = text(inner, "principalId");
                    let condition = text(inner, "condition");
                    self.assignments.push(Assignment {
                        principal_name: Some(text(inner, "principalName"))
                            .filter(|name| !name.is_empty())
                            .unwrap_or_else(|| id.clone()),
                        principal: id,
                        principal_kind: text(inner, "principalType"),
                        role: last(&text(inner, "roleDefinitionId"), ""),
                        role_name: text(inner, "roleDefinitionName"),
                        scope: text(inner, "scope"),
                        condition: Some(condition).filter(|condition| !condition.trim().is_empty()),
                    });
                }
                Kind::Denial => self.denials.push(Denial {
                    name: text(inner, "denyAssignmentName"),
                    permissions: permissions(inner),
                    scope: text(inner, "scope"),
                    is_for_children: inner.get("doNotApplyToChildScopes").and_then(Value::as_bool)
                        != Some(true),
                    principals: principals(inner, "principals"),
                    excluded: principals(inner, "excludePrincipals"),
                }),
                Kind::ManagementGroup => self.tree(object, 0),
            }
        }
    }

    fn tree(&mut self, group: &Value, depth: usize) {
        let parent = key(&text(group, "id"));
        let children = group.get("children").and_then(Value::as_array);
        for child in children.into_iter().flatten() {
            self.parents.insert(key(&text(child, "id")), parent.clone());
            if depth < MAX_LEVELS {
                self.tree(child, depth + 1);
            }
        }
    }

    /// Fills the names of roles in, and tells of assignments whose role was not collected.
    pub(crate) fn finish(&mut self, problems: &mut Problems) {
        for assignment in &mut self.assignments {
            match self.roles.get(&assignment.role) {
                Some(role) => assignment.role_name.clone_from(&role.name),
                None => problems.add(format!(
                    "role `{}` is assigned at `{}`, but its definition was not collected: `az role definition list`",
                    if assignment.role_name.is_empty() { &assignment.role } else { &assignment.role_name },
                    assignment.scope
                )),
            }
        }
    }
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or("").to_owned()
}

/// The last part of an id, or the name where there is no id.
fn last(id: &str, name: &str) -> String {
    let end = id.rsplit('/').next().unwrap_or("");
    if end.is_empty() { name } else { end }.to_ascii_lowercase()
}

fn permissions(value: &Value) -> Vec<Permission> {
    let list = value.get("permissions").and_then(Value::as_array);
    let patterns = |value: &Value, key: &str| -> Vec<Pattern> {
        let list = value.get(key).and_then(Value::as_array);
        let texts = list.into_iter().flatten().filter_map(Value::as_str);
        texts
            .map(|text| Pattern::new(text, Case::Ignored, Segments::None))
            .collect()
    };
    list.into_iter()
        .flatten()
        .map(|permission| Permission {
            actions: patterns(permission, "actions"),
            not_actions: patterns(permission, "notActions"),
            data_actions: patterns(permission, "dataActions"),
            not_data_actions: patterns(permission, "notDataActions"),
        })
        .collect()
}

fn principals(value: &Value, key: &str) -> Vec<(String, String)> {
    let list = value.get(key).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|principal| {
            (
                text(principal, "id").to_ascii_lowercase(),
                text(principal, "type"),
            )
        })
        .collect()
}
