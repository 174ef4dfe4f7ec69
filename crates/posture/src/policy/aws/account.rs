//! The users and roles of an account with all their policies, as `aws iam get-account-authorization-details` prints them.
//!
//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html>

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::context::Context;
use super::document::{Document, Effect};
use super::evaluate::{Policies, Policy, Principal, PrincipalKind};
use crate::inventory::Problems;

/// The one policy of the cloud's own that is known without its document.
const ADMINISTRATOR: &str = ":policy/AdministratorAccess";

/// An account.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Twelve digits; empty where no ARN told them.
    pub id: String,
    /// Users and roles.
    pub entities: Vec<Entity>,
}

/// A user or a role.
#[derive(Clone, Debug)]
pub struct Entity {
    /// Its name.
    pub name: String,
    /// Which of both.
    pub kind: EntityKind,
    /// As whom it asks.
    pub principal: Principal,
    /// Its own policies, those of its groups, and its boundary.
    pub policies: Policies,
    /// What is known of every request that it makes.
    pub context: Context,
    /// Who may take the role, as its trust policy names them.
    pub assumed_by: Vec<String>,
    /// Whether only the cloud's own services can use it.
    pub is_service_linked: bool,
}

/// What an entity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntityKind {
    /// A user.
    User,
    /// A role.
    Role,
}

/// Whether a JSON value is such an answer.
pub(crate) fn is_details(value: &Value) -> bool {
    ["UserDetailList", "RoleDetailList", "GroupDetailList"]
        .iter()
        .any(|key| value.get(key).is_some_and(Value::is_array))
}

/// Reads the answer.
pub(crate) fn read(value: &Value, problems: &mut Problems) -> Account {
    let mut reader = Reader {
        managed: HashMap::new(),
        groups: HashMap::new(),
        problems,
    };
    reader.managed_policies(value);
    reader.groups(value);
    let mut account = Account::default();
    for user in list(value, "UserDetailList") {
        account.entities.extend(reader.user(user));
    }
    for role in list(value, "RoleDetailList") {
        account.entities.extend(reader.role(role));
    }
    let ids = account.entities.iter().map(|entity| &entity.principal.account);
    account.id = ids.clone().find(|id| !id.is_empty()).cloned().unwrap_or_default();
    account
}

struct Reader<'p> {
    /// Documents of managed policies by ARN.
    managed: HashMap<String, Arc<Document>>,
    /// Policies of groups by the group's name.
    groups: HashMap<String, Vec<Policy>>,
    problems: &'p mut Problems,
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

impl Reader<'_> {
    fn document(&mut self, value: &Value, whose: &str) -> Option<Arc<Document>> {
        match Document::read(value) {
            Ok(document) => Some(Arc::new(document)),
            Err(error) => {
                self.problems.add(format!("{whose}: {error}"));
                None
            }
        }
    }

    fn managed_policies(&mut self, value: &Value) {
        for policy in list(value, "Policies") {
            let arn = text(policy, "Arn").to_owned();
            let default = list(policy, "PolicyVersionList").iter().find(|version| {
                version.get("IsDefaultVersion").and_then(Value::as_bool) == Some(true)
                    || text(version, "VersionId") == text(policy, "DefaultVersionId")
            });
            let document = default.and_then(|version| version.get("Document"));
            let read = document.and_then(|document| self.document(document, &format!("policy `{arn}`")));
            if let Some(document) = read {
                self.managed.insert(arn, document);
            }
        }
    }

    fn attached(&mut self, arn: &str, path: String) -> Option<Policy> {
        let known = self.managed.get(arn).cloned();
        let document = known.or_else(|| {
            let is_administrator = arn.ends_with(ADMINISTRATOR) && arn.contains("::aws:");
            let allow_all = json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}});
            let document = is_administrator
                .then(|| self.document(&allow_all, arn))
                .flatten()?;
            self.managed.insert(arn.to_owned(), Arc::clone(&document));
            Some(document)
        });
        let Some(document) = document else {
            self.problems.add(format!(
                "policy `{arn}` is attached, but what it says is not in the file: collect without `--filter`"
            ));
            return None;
        };
        Some(Policy {
            path,
            document,
            is_attached: true,
        })
    }

    /// Inline and attached policies of a user, group or role; `before` is the way to it.
    fn policies(&mut self, value: &Value, inline_key: &str, before: &str) -> Vec<Policy> {
        let mut found = Vec::new();
        for inline in list(value, inline_key) {
            let name = text(inline, "PolicyName");
            let path = format!("{before}inline policy {name}");
            let document = inline.get("PolicyDocument");
            let read = document.and_then(|document| self.document(document, &path));
            found.extend(read.map(|document| Policy {
                path,
                document,
                is_attached: true,
            }));
        }
        for attached in list(value, "AttachedManagedPolicies") {
            let path = format!("{before}policy {}", text(attached, "PolicyName"));
            found.extend(self.attached(text(attached, "PolicyArn"), path));
        }
        found
    }

    fn groups(&mut self, value: &Value) {
        for group in list(value, "GroupDetailList") {
            let name = text(group, "GroupName").to_owned();
            let policies = self.policies(group, "GroupPolicyList", &format!("group {name} → "));
            self.groups.insert(name, policies);
        }
    }

    fn boundary(&mut self, value: &Value) -> Option<Policy> {
        let arn = text(value.get("PermissionsBoundary")?, "PermissionsBoundaryArn").to_owned();
        let name = arn.rsplit('/').next().unwrap_or(&arn);
        let path = format!("permissions boundary {name}");
        // A boundary that cannot be read may deny everything; it limits what it is read as, which is nothing.
        let unread = || Policy {
            path: path.clone(),
            document: Arc::default(),
            is_attached: true,
        };
        Some(self.attached(&arn, path.clone()).unwrap_or_else(unread))
    }

    fn user(&mut self, user: &Value) -> Option<Entity> {
        let (name, arn) = (text(user, "UserName").to_owned(), text(user, "Arn").to_owned());
        let account = account_of(&arn);
        if name.is_empty() || account.is_empty() {
            self.problems
                .add("a user of `UserDetailList` has no `UserName` or no `Arn`");
            return None;
        }
        let mut identity = self.policies(user, "UserPolicyList", "");
        for group in list(user, "GroupList").iter().filter_map(Value::as_str) {
            match self.groups.get(group) {
                Some(policies) => identity.extend(policies.iter().cloned()),
                None => self
                    .problems
                    .add(format!("group `{group}` of user `{name}` is not in the file")),
            }
        }
        let mut context = context(user, &arn, &account, "User", text(user, "UserId"));
        context.set("aws:username", [name.as_str()]);
        Some(Entity {
            kind: EntityKind::User,
            principal: Principal {
                arn,
                account,
                kind: PrincipalKind::User,
            },
            policies: Policies {
                identity,
                boundary: self.boundary(user),
                ..Policies::default()
            },
            context,
            assumed_by: Vec::new(),
            is_service_linked: false,
            name,
        })
    }

    fn role(&mut self, role: &Value) -> Option<Entity> {
        let (name, arn) = (text(role, "RoleName").to_owned(), text(role, "Arn").to_owned());
        let account = account_of(&arn);
        if name.is_empty() || account.is_empty() {
            self.problems
                .add("a role of `RoleDetailList` has no `RoleName` or no `Arn`");
            return None;
        }
        // The id of a session ends with the session's name, which a review does not know.
        let mut context = context(role, &arn, &account, "AssumedRole", "");
        context.set("aws:username", [""; 0]);
        let trust = role.get("AssumeRolePolicyDocument");
        let trust = trust.and_then(|trust| self.document(trust, &format!("trust policy of role {name}")));
        Some(Entity {
            kind: EntityKind::Role,
            principal: Principal {
                arn: arn.clone(),
                account,
                kind: PrincipalKind::Session { role: arn },
            },
            policies: Policies {
                identity: self.policies(role, "RolePolicyList", ""),
                boundary: self.boundary(role),
                ..Policies::default()
            },
            context,
            assumed_by: trust.as_deref().map(trusted).unwrap_or_default(),
            is_service_linked: text(role, "Path").starts_with("/aws-service-role/"),
            name,
        })
    }
}

/// The account of an ARN, `arn:aws:iam::111122223333:user/ann`.
pub(crate) fn account_of(arn: &str) -> String {
    let account = arn.split(':').nth(4).unwrap_or("");
    account.to_owned()
}

/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>
fn context(value: &Value, arn: &str, account: &str, kind: &str, id: &str) -> Context {
    let mut context = Context::partial();
    context.set("aws:PrincipalArn", [arn]);
    context.set("aws:PrincipalAccount", [account]);
    context.set("aws:PrincipalType", [kind]);
    context.set("aws:PrincipalIsAWSService", ["false"]);
    context.set("aws:PrincipalServiceName", [""; 0]);
    if !id.is_empty() {
        context.set("aws:userid", [id]);
    }
    for tag in list(value, "Tags") {
        context.set(
            &format!("aws:PrincipalTag/{}", text(tag, "Key")),
            [text(tag, "Value")],
        );
    }
    context
}

/// Whom the statements of a trust policy that allow name.
fn trusted(document: &Document) -> Vec<String> {
    let mut names = Vec::new();
    let allowing = document
        .statements
        .iter()
        .filter(|statement| statement.effect == Effect::Allow);
    for statement in allowing {
        let Some(principals) = &statement.principal else {
            continue;
        };
        if principals.negated {
            names.push("everybody but some".to_owned());
        } else if principals.everyone {
            names.push("*".to_owned());
        }
        if !principals.negated {
            let named = principals
                .aws
                .iter()
                .chain(&principals.services)
                .chain(&principals.others);
            names.extend(named.filter(|name| *name != "*").cloned());
        }
    }
    names.dedup();
    names
}
