//! What command-line tools print, to who can do what, to how that differs from what is expected.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails may panic"
)]

use std::path::Path;

use neph_posture::entitlement::{Entitlement, review};
use neph_posture::expected::{Expected, draft};
use neph_posture::{Inventory, ReadError, Verdict};
use serde_json::{Value, json};

fn inventory(files: &[(&str, Value)]) -> Inventory {
    let mut inventory = Inventory::new();
    for (name, value) in files {
        inventory
            .add(Path::new(name), value.to_string().as_bytes())
            .unwrap();
    }
    inventory.finish();
    inventory
}

fn found(files: &[(&str, Value)]) -> Vec<Entitlement> {
    review(&inventory(files), "2026-11-01T00:00:00Z".parse().unwrap())
}

fn of<'a>(found: &'a [Entitlement], principal: &str, capability: &str) -> Option<&'a Entitlement> {
    found
        .iter()
        .find(|one| one.principal == principal && one.capability.id == capability)
}

/// `principal capability verdict`, for the capabilities that a test is about.
fn told(found: &[Entitlement], capability: &str) -> Vec<String> {
    let about = found.iter().filter(|one| one.capability.id == capability);
    about
        .map(|one| format!("{} {:?}", one.principal, one.verdict).to_lowercase())
        .collect()
}

fn document(statement: Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": [statement]})
}

fn details() -> Value {
    let arn = |kind: &str, name: &str| format!("arn:aws:iam::111122223333:{kind}/{name}");
    json!({
        "UserDetailList": [
            {"Path": "/", "UserName": "ann", "UserId": "AIDA1", "Arn": arn("user", "ann"), "GroupList": ["backup"], "AttachedManagedPolicies": [], "Tags": [{"Key": "team", "Value": "ops"}]},
            {"Path": "/", "UserName": "bob", "UserId": "AIDA2", "Arn": arn("user", "bob"), "GroupList": [], "AttachedManagedPolicies": [
                {"PolicyName": "AdministratorAccess", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}],
             "PermissionsBoundary": {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn("policy", "no-sharing")}},
            {"Path": "/", "UserName": "eve", "UserId": "AIDA3", "Arn": arn("user", "eve"), "GroupList": [], "AttachedManagedPolicies": [],
             "UserPolicyList": [{"PolicyName": "office", "PolicyDocument": document(json!({"Effect": "Allow", "Action": "ec2:CreateSnapshot", "Resource": "*",
                "Condition": {"StringEquals": {"aws:PrincipalTag/team": "ops"}}}))}], "Tags": [{"Key": "team", "Value": "dev"}]}
        ],
        "GroupDetailList": [
            {"GroupName": "backup", "Arn": arn("group", "backup"), "AttachedManagedPolicies": [], "GroupPolicyList": [
                {"PolicyName": "snapshots", "PolicyDocument": document(json!({"Sid": "Make", "Effect": "Allow", "Action": "ec2:CreateSnapshot", "Resource": [
                    "arn:aws:ec2:*:111122223333:volume/*", "arn:aws:ec2:*::snapshot/*"],
                    "Condition": {"StringEquals": {"aws:PrincipalTag/team": "ops"}}}))},
                {"PolicyName": "share", "PolicyDocument": document(json!({"Effect": "Allow", "Action": "ec2:ModifySnapshotAttribute", "Resource": "*",
                    "Condition": {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}}))}]}
        ],
        "RoleDetailList": [
            {"Path": "/aws-service-role/", "RoleName": "AWSServiceRoleForX", "RoleId": "AROA1", "Arn": arn("role", "aws-service-role/AWSServiceRoleForX"),
             "AssumeRolePolicyDocument": "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%22x.amazonaws.com%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D",
             "RolePolicyList": [], "AttachedManagedPolicies": [{"PolicyName": "images", "PolicyArn": arn("policy", "images")}]}
        ],
        "Policies": [
            {"PolicyName": "no-sharing", "Arn": arn("policy", "no-sharing"), "DefaultVersionId": "v2", "PolicyVersionList": [
                {"VersionId": "v1", "IsDefaultVersion": false, "Document": document(json!({"Effect": "Allow", "Action": "*", "Resource": "*"}))},
                {"VersionId": "v2", "IsDefaultVersion": true, "Document": document(json!({"Effect": "Allow", "NotAction": "ec2:Modify*Attribute", "Resource": "*"}))}]},
            {"PolicyName": "images", "Arn": arn("policy", "images"), "DefaultVersionId": "v1", "PolicyVersionList": [
                {"VersionId": "v1", "IsDefaultVersion": true, "Document": document(json!({"Effect": "Allow", "Action": "ec2:*Image*", "Resource": "*"}))}]}
        ]
    })
}

#[test]
fn an_account_is_read_whole() {
    let inventory = inventory(&[("iam.json", details())]);
    assert_eq!(inventory.problems().0, []);
    let found = review(&inventory, "2026-11-01T00:00:00Z".parse().unwrap());
    assert_eq!(
        told(&found, "snapshot-create"),
        [
            "arn:aws:iam::111122223333:user/ann allowed",
            "arn:aws:iam::111122223333:user/bob allowed"
        ],
        "the tag of eve is another one"
    );
    let ann = of(&found, "arn:aws:iam::111122223333:user/ann", "snapshot-create").unwrap();
    assert_eq!(ann.ways.len(), 1);
    assert_eq!(ann.ways[0].by, ["group backup → inline policy snapshots → Make"]);
    let share = of(&found, "arn:aws:iam::111122223333:user/ann", "snapshot-share").unwrap();
    assert_eq!(share.verdict, Verdict::Depends);
    assert_eq!(
        share.ways[0].provisos[0].to_string(),
        "if IpAddress aws:SourceIp = 203.0.113.0/24"
    );
    let bob = of(&found, "arn:aws:iam::111122223333:user/bob", "snapshot-share").unwrap();
    assert_eq!(bob.ways.len(), 1, "the boundary keeps the other from him");
    assert_eq!(bob.ways[0].action, "rds:ModifyDBSnapshotAttribute");
    let role = found
        .iter()
        .find(|one| one.principal_kind == "service-linked role" && one.capability.id == "image-create")
        .unwrap();
    assert_eq!(role.assumed_by, ["x.amazonaws.com"]);
}

#[test]
fn control_policies_bind_the_accounts_that_they_are_attached_to() {
    let control = |targets: Value| {
        let content =
            document(json!({"Effect": "Deny", "Action": "ec2:CreateSnapshot*", "Resource": "*"})).to_string();
        let mut value = json!({"Policy": {"PolicySummary": {"Name": "no-snapshots", "Type": "SERVICE_CONTROL_POLICY"}, "Content": content}});
        if !targets.is_null() {
            value["Targets"] = targets;
        }
        value
    };
    let full = json!({"Policy": {"PolicySummary": {"Name": "FullAWSAccess", "Type": "SERVICE_CONTROL_POLICY"},
        "Content": document(json!({"Effect": "Allow", "Action": "*", "Resource": "*"})).to_string()}, "Targets": [{"Type": "ACCOUNT", "TargetId": "111122223333"}]});
    let of_account = |control: Value| {
        let found = found(&[
            ("iam.json", details()),
            ("scp.json", control),
            ("full.json", full.clone()),
        ]);
        of(&found, "arn:aws:iam::111122223333:user/ann", "snapshot-create").map(|one| {
            (
                one.verdict,
                one.ways[0]
                    .provisos
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>(),
            )
        })
    };
    assert_eq!(
        of_account(control(json!([{"Type": "ACCOUNT", "TargetId": "111122223333"}]))),
        None
    );
    assert_eq!(
        of_account(control(json!([{"Type": "ACCOUNT", "TargetId": "999988887777"}]))),
        Some((Verdict::Allowed, vec![]))
    );
    let open = Some((
        Verdict::Depends,
        vec!["unless control policy no-snapshots is attached".to_owned()],
    ));
    assert_eq!(
        of_account(control(
            json!([{"Type": "ORGANIZATIONAL_UNIT", "TargetId": "ou-1"}])
        )),
        open
    );
    assert_eq!(of_account(control(Value::Null)), open);
}

#[test]
fn what_is_shared_and_what_resources_grant_is_told() {
    let push = document(
        json!({"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::999988887777:root"}, "Action": ["ecr:PutImage", "ecr:InitiateLayerUpload"]}),
    );
    let found = found(&[
        ("iam.json", details()),
        (
            "s1.json",
            json!({"SnapshotId": "snap-1", "CreateVolumePermissions": [{"Group": "all"}, {"UserId": "999988887777"}]}),
        ),
        (
            "i1.json",
            json!({"ImageId": "ami-1", "LaunchPermissions": [{"OrganizationArn": "arn:aws:organizations::1:organization/o-1"}]}),
        ),
        (
            "db.json",
            json!({"DBSnapshotAttributesResult": {"DBSnapshotIdentifier": "d1", "DBSnapshotAttributes": [
            {"AttributeName": "restore", "AttributeValues": ["all"]}]}}),
        ),
        (
            "ecr.json",
            json!({"registryId": "111122223333", "repositoryName": "web", "policyText": push.to_string()}),
        ),
    ]);
    assert_eq!(of(&found, "everybody", "snapshot-restore").unwrap().ways.len(), 2);
    assert!(of(&found, "999988887777", "snapshot-restore").is_some());
    assert!(
        of(
            &found,
            "arn:aws:organizations::1:organization/o-1",
            "image-export"
        )
        .is_some()
    );
    let other = of(&found, "arn:aws:iam::999988887777:root", "registry-push").unwrap();
    assert_eq!(other.ways[0].by, ["policy of repository web → statement 1"]);
    assert!(of(&found, "arn:aws:iam::111122223333:user/ann", "registry-push").is_none());
}

#[test]
fn policies_of_single_resources_take_away_and_keys_that_were_not_seen_stay_open() {
    let ann = "arn:aws:iam::111122223333:user/ann";
    let holder = |action: &str| {
        json!({"UserDetailList": [{"UserName": "ann", "Arn": ann, "UserPolicyList": [
            {"PolicyName": "p", "PolicyDocument": document(json!({"Effect": "Allow", "Action": action, "Resource": "*"}))}]}]})
    };
    let locked = document(json!({"Effect": "Deny", "Principal": {"AWS": ann}, "Action": "ecr:*"}));
    let found_push = found(&[
        ("iam.json", holder("ecr:*")),
        (
            "ecr.json",
            json!({"registryId": "111122223333", "repositoryName": "web", "policyText": locked.to_string()}),
        ),
    ]);
    let push = of(&found_push, ann, "registry-push").unwrap();
    assert_eq!(
        push.ways[0].provisos[0].to_string(),
        "unless the resource is `arn:aws:ecr:*:111122223333:repository/web`, whose policy denies it"
    );
    let open = found(&[("iam.json", holder("kms:Decrypt"))]);
    let key = of(&open, ann, "snapshot-decrypt").unwrap();
    assert_eq!(
        key.ways[0].provisos[0].to_string(),
        "if a key policy that leaves it to the account is attached"
    );
    let own = document(
        json!({"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "kms:*", "Resource": "*"}),
    );
    let seen = found(&[
        ("iam.json", holder("kms:Decrypt")),
        (
            "1234.json",
            json!({"PolicyName": "default", "Policy": own.to_string()}),
        ),
    ]);
    let key = of(&seen, ann, "snapshot-decrypt").unwrap();
    assert_eq!((key.verdict, key.ways.len()), (Verdict::Allowed, 2));
}

#[test]
fn roles_of_azure_hold_below_their_scope_and_denials_win() {
    let role = |id: &str, name: &str, permissions: Value| {
        json!({"id": format!("/subscriptions/s1/providers/Microsoft.Authorization/roleDefinitions/{id}"), "name": id,
        "roleName": name, "assignableScopes": ["/"], "permissions": [permissions]})
    };
    let assignment = |principal: &str, role: &str, scope: &str| {
        json!({"principalId": format!("id-{principal}"), "principalName": principal, "principalType": "User",
        "roleDefinitionId": format!("/providers/Microsoft.Authorization/roleDefinitions/{role}"), "scope": scope})
    };
    let mut files = vec![
        (
            "roles.json",
            json!([
                role(
                    "r1",
                    "Owner",
                    json!({"actions": ["*"], "notActions": [], "dataActions": [], "notDataActions": []})
                ),
                role(
                    "r2",
                    "Contributor",
                    json!({"actions": ["*"], "notActions": ["Microsoft.Authorization/*/Write"]})
                ),
                role(
                    "r3",
                    "Snapshot Reader",
                    json!({"actions": ["Microsoft.Compute/snapshots/read"]})
                ),
            ]),
        ),
        (
            "assignments.json",
            json!([
                assignment("ann", "R1", "/subscriptions/s1"),
                assignment("bob", "r2", "/subscriptions/s1/resourceGroups/shop"),
                assignment(
                    "eve",
                    "r3",
                    "/providers/Microsoft.Management/managementGroups/top"
                ),
                assignment("dan", "r9", "/subscriptions/s1"),
            ]),
        ),
    ];
    let first = inventory(&files);
    assert!(
        first.problems().0[0]
            .what
            .contains("`r9` is assigned at `/subscriptions/s1`")
    );
    let told_of = |files: &[(&str, Value)], capability: &str| told(&found(files), capability);
    assert_eq!(told_of(&files, "snapshot-create"), ["ann allowed", "bob allowed"]);
    assert_eq!(
        told_of(&files, "entitlement-change"),
        ["ann allowed"],
        "`NotActions` subtract"
    );
    assert_eq!(
        told_of(&files, "snapshot-list"),
        ["ann allowed", "bob allowed", "eve allowed"]
    );
    // Denied for everybody but ann in the resource group of bob, and for a group in the whole subscription.
    files.push(("deny.json", json!({"value": [{"properties": {"denyAssignmentName": "locked", "scope": "/subscriptions/s1/resourcegroups/SHOP",
        "permissions": [{"actions": ["Microsoft.Compute/*/write"]}], "principals": [{"id": "00000000-0000-0000-0000-000000000000", "type": "SystemDefined"}],
        "excludePrincipals": [{"id": "id-ann", "type": "User"}]}}]})));
    let found = found(&files);
    let bob = of(&found, "bob", "snapshot-create").unwrap();
    assert!(
        bob.ways.iter().all(|way| !way.action.ends_with("/write")),
        "{bob:?}"
    );
    assert_eq!(
        of(&found, "ann", "snapshot-create").unwrap().verdict,
        Verdict::Allowed
    );
}

#[test]
fn roles_of_google_cloud_reach_down_and_conditions_are_named() {
    let files = [
        (
            "search.json",
            json!([
                {"resource": "//cloudresourcemanager.googleapis.com/projects/shop", "project": "projects/1", "folders": ["folders/7"], "organization": "organizations/9",
                 "policy": {"bindings": [
                    {"role": "roles/compute.storageAdmin", "members": ["user:ann@corp.example", "deleted:user:old@corp.example?uid=1"]},
                    {"role": "roles/editor", "members": ["serviceAccount:ci@shop.iam.gserviceaccount.com"], "condition": {"expression": "request.time < timestamp('2026-01-01T00:00:00Z')"}},
                    {"role": "roles/compute.admin", "members": ["group:ops@corp.example"], "condition": {"expression": "resource.name.startsWith('projects/shop/zones/a')"}},
                    {"role": "projects/shop/roles/own", "members": ["allAuthenticatedUsers"]}]}},
            ]),
        ),
        (
            "own.json",
            json!({"name": "projects/shop/roles/own", "includedPermissions": ["compute.snapshots.list"]}),
        ),
        (
            "deny.json",
            json!({"name": "policies/cloudresourcemanager.googleapis.com%2Ffolders%2F7/denypolicies/no-images", "rules": [
            {"denyRule": {"deniedPrincipals": ["principalSet://goog/public:all"], "exceptionPrincipals": ["principalSet://goog/group/ops@corp.example"],
             "deniedPermissions": ["compute.googleapis.com/images.*"]}}]}),
        ),
    ];
    assert_eq!(inventory(&files).problems().0, []);
    let found = found(&files);
    assert_eq!(
        told(&found, "snapshot-create"),
        ["group:ops@corp.example depends", "user:ann@corp.example allowed"]
    );
    assert_eq!(
        told(&found, "image-create"),
        ["group:ops@corp.example depends", "user:ann@corp.example depends"]
    );
    let ann = of(&found, "user:ann@corp.example", "image-create").unwrap();
    assert_eq!(
        ann.ways[0].provisos[0].to_string(),
        "if it belongs to group `ops@corp.example`"
    );
    assert_eq!(
        of(&found, "allAuthenticatedUsers", "snapshot-list")
            .unwrap()
            .principal_kind,
        "everybody"
    );
}

fn cluster() -> Value {
    let object = |kind: &str, name: &str, more: Value| {
        let mut object =
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}});
        for (key, value) in more.as_object().unwrap() {
            if key == "metadata" {
                for (key, value) in value.as_object().unwrap() {
                    object["metadata"][key] = value.clone();
                }
            } else {
                object[key] = value.clone();
            }
        }
        object
    };
    let rule = |verbs: &[&str], groups: &[&str], resources: &[&str]| json!({"verbs": verbs, "apiGroups": groups, "resources": resources});
    json!({"apiVersion": "v1", "kind": "List", "items": [
        object("ClusterRole", "cluster-admin", json!({"rules": [rule(&["*"], &["*"], &["*"])]})),
        object("ClusterRole", "view", json!({"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to-view": "true"}}]}, "rules": []})),
        object("ClusterRole", "view-pods", json!({"metadata": {"labels": {"to-view": "true"}}, "rules": [rule(&["get", "list"], &[""], &["pods"])]})),
        object("ClusterRole", "exec", json!({"rules": [rule(&["create"], &[""], &["*/exec"])]})),
        object("Role", "one-secret", json!({"metadata": {"namespace": "shop"}, "rules": [
            {"verbs": ["get", "create"], "apiGroups": [""], "resources": ["secrets", "pods"], "resourceNames": ["db"]}]})),
        object("ClusterRoleBinding", "admins", json!({"roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}, "subjects": [{"kind": "Group", "name": "system:masters"}]})),
        object("ClusterRoleBinding", "anyone-views", json!({"roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": [{"kind": "Group", "name": "system:unauthenticated"}]})),
        object("RoleBinding", "shop-exec", json!({"metadata": {"namespace": "shop"}, "roleRef": {"kind": "ClusterRole", "name": "exec"}, "subjects": [{"kind": "ServiceAccount", "name": "ci"}]})),
        object("RoleBinding", "shop-secret", json!({"metadata": {"namespace": "shop"}, "roleRef": {"kind": "Role", "name": "one-secret"}, "subjects": [{"kind": "User", "name": "ann"}]})),
        object("RoleBinding", "shop-admin", json!({"metadata": {"namespace": "shop"}, "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}, "subjects": [{"kind": "User", "name": "bob"}]})),
        object("RoleBinding", "lost", json!({"metadata": {"namespace": "shop"}, "roleRef": {"kind": "Role", "name": "gone"}, "subjects": []})),
    ]})
}

#[test]
fn access_control_of_a_cluster_is_told_by_binding_and_rule() {
    let files = [("prod/rbac.json", cluster())];
    assert_eq!(
        inventory(&files).problems().0[0].what,
        "rolebinding shop/lost refers to role shop/gone, which is not in the file"
    );
    let found = found(&files);
    assert_eq!(
        told(&found, "container-list"),
        [
            "group system:masters allowed",
            "group system:unauthenticated allowed",
            "user bob allowed"
        ]
    );
    assert_eq!(
        told(&found, "container-exec"),
        [
            "group system:masters allowed",
            "serviceaccount shop:ci allowed",
            "user bob allowed"
        ]
    );
    let ann = of(&found, "user ann", "secret-read").unwrap();
    assert_eq!(ann.ways[0].on, "namespace shop, only db");
    assert_eq!(
        ann.ways[0].by,
        ["rolebinding shop/shop-secret → role shop/one-secret → rule 1"]
    );
    assert!(
        of(&found, "user ann", "container-create").is_none(),
        "what is made has no name yet"
    );
    assert!(
        of(&found, "user bob", "node-reach").is_none(),
        "nodes belong to no namespace"
    );
}

#[test]
fn roles_of_openstack_are_held_against_the_rules_of_its_services() {
    let assignment = |role: &str, user: &str, group: &str, project: &str, system: &str| json!({"Role": role, "User": user, "Group": group, "Project": project, "Domain": "", "System": system, "Inherited": false});
    let assignments = json!([
        assignment("admin", "root@Default", "", "", "all"),
        assignment("member", "ann@Default", "", "shop@Default", ""),
        assignment("reader", "", "audit@Default", "shop@Default", ""),
        assignment("backup_operator", "bob@Default", "", "shop@Default", ""),
    ]);
    let rules = "\"volume:create_snapshot\": \"rule:admin_or_owner and not role:reader\"
\"backup:create\": \"rule:backup\"
backup: role:Backup_Operator or user_id:%(user_id)s
\"volume:get_all_snapshots\": \"rule:get_all\"
get_all: \"rule:get_all\"
\"volume:create_transfer\": \"role:admin or (\"
";
    let mut inventory = Inventory::new();
    inventory
        .add(Path::new("roles.json"), assignments.to_string().as_bytes())
        .unwrap();
    let defaults = review(&inventory, "2026-11-01T00:00:00Z".parse().unwrap());
    assert_eq!(
        told(&defaults, "snapshot-create"),
        ["ann@default allowed", "root@default allowed"]
    );
    assert_eq!(
        told(&defaults, "snapshot-list"),
        [
            "ann@default allowed",
            "audit@default allowed",
            "root@default allowed"
        ]
    );
    assert_eq!(told(&defaults, "entitlement-change"), ["root@default allowed"]);
    inventory
        .add(Path::new("cinder/policy.yaml"), rules.as_bytes())
        .unwrap();
    assert!(
        inventory.problems().0[0]
            .what
            .starts_with("rule `volume:create_transfer`: the rule ends too early")
    );
    let found = review(&inventory, "2026-11-01T00:00:00Z".parse().unwrap());
    // The rule of snapshots keeps readers away, and members imply readers; bob is in the project and no reader.
    assert_eq!(
        told(&found, "snapshot-create"),
        [
            "ann@default depends",
            "audit@default depends",
            "bob@default allowed",
            "root@default depends"
        ]
    );
    assert_eq!(
        of(&found, "ann@Default", "snapshot-create").unwrap().ways[0].provisos[0].to_string(),
        "if user_id:%(user_id)s"
    );
    assert!(
        told(&found, "snapshot-list").is_empty(),
        "a rule that refers to itself lets nobody pass"
    );
    assert!(told(&found, "snapshot-share").is_empty());
    let unknown = inventory.add(Path::new("policy.yaml"), b"a: b");
    assert_eq!(unknown, Err(ReadError::Service));
    assert!(matches!(
        inventory.add(Path::new("cinder.yaml"), b"- a"),
        Err(ReadError::Yaml(_))
    ));
}

/// Each refers to the next twice, so that going through all ways would take for ever.
#[test]
fn references_are_followed_once() {
    let mut rules = serde_json::Map::new();
    let mut roles = Vec::new();
    for at in 0..200 {
        let name = if at == 0 {
            "volume:create_snapshot".to_owned()
        } else {
            format!("r{at}")
        };
        rules.insert(name, json!(format!("rule:r{0} or rule:r{0} or role:x", at + 1)));
        roles.push(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": format!("c{at}"), "labels": {"a": "1"}},
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "1"}}]}, "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": [format!("r{at}")]}]}));
    }
    roles.push(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "b"},
        "roleRef": {"kind": "ClusterRole", "name": "c7"}, "subjects": [{"kind": "User", "name": "ann"}]}));
    let mut inventory = inventory(&[
        (
            "roles.json",
            json!([{"Role": "X", "User": "ann@Default", "Group": "", "Project": "p", "Domain": "", "System": ""}]),
        ),
        ("prod/rbac.json", json!({"items": roles})),
    ]);
    inventory
        .add(
            Path::new("cinder.yml"),
            Value::Object(rules).to_string().as_bytes(),
        )
        .unwrap();
    let found = review(&inventory, "2026-11-01T00:00:00Z".parse().unwrap());
    assert_eq!(told(&found, "snapshot-create"), ["ann@default allowed"]);
}

#[test]
fn answers_that_stand_after_one_another_are_all_read() {
    let mut inventory = Inventory::new();
    let cluster = cluster().to_string();
    inventory
        .add(Path::new("prod/rbac.json"), format!("{cluster}\n[]\n").as_bytes())
        .unwrap();
    assert_eq!(inventory.problems().0, []);
    inventory
        .add(Path::new("prod/more.json"), b"{\"a\": 1}\n[]\n")
        .unwrap();
    let (problems, _) = inventory.problems();
    assert_eq!(problems[0].what, "1 of its 2 answers are none that are known");
    assert_eq!(inventory.files(), 2);
}

#[test]
fn files_that_no_collector_writes_are_refused() {
    let mut inventory = Inventory::new();
    for text in ["", "{", "[1, 2]", "{}", "\"x\"", "{\"a\": 1}"] {
        assert!(
            inventory.add(Path::new("f.json"), text.as_bytes()).is_err(),
            "{text}"
        );
    }
    let deep = "[".repeat(100_000);
    assert!(matches!(
        inventory.add(Path::new("f.json"), deep.as_bytes()),
        Err(ReadError::Answer(_))
    ));
    assert_eq!(inventory.files(), 0);
}

#[test]
fn what_is_and_what_is_expected_are_compared() {
    let today = "2026-11-01".parse().unwrap();
    let found = found(&[("prod/rbac.json", cluster())]);
    let expected = |text: &str| {
        let (expected, diagnostics) = Expected::read(text, today);
        assert_eq!(diagnostics, []);
        expected
    };
    let list = expected(
        r#"
owner = "platform team"

[[expected]]
principal = "group system:masters"
capabilities = ["*"]
signed_off_by = "j.doe"

[[expected]]
principal = "user bob"
cloud = "kubernetes"
capabilities = ["*"]
signed_off_by = "j.doe"
reviewed = 2026-01-01
expires = 2026-10-31

[[expected]]
principal = "serviceaccount shop:*"
capabilities = ["container-exec", "snapshot-create"]
"#,
    );
    let findings = list.compare(&found, today);
    let mut names: Vec<String> = findings
        .iter()
        .map(|finding| serde_json::to_value(finding).unwrap())
        .map(|finding| {
            let who = finding["entitlement"]["principal"]
                .as_str()
                .or(finding["entry"]["principal"].as_str());
            format!("{} {}", finding["finding"].as_str().unwrap(), who.unwrap())
        })
        .collect();
    names.dedup();
    assert_eq!(
        names,
        [
            "not-expected group system:unauthenticated",
            "not-expected user ann",
            "review-over user bob",
            "gone serviceaccount shop:*",
            "not-signed-off serviceaccount shop:*"
        ]
    );
    // A list that was made of what is explains all of it; only the sign-offs are missing.
    let own = expected(&draft(&found));
    let findings = own.compare(&found, today);
    assert!(
        findings.iter().all(|finding| finding.name() == "not-signed-off"),
        "{findings:?}"
    );
    assert_eq!(findings.len(), own.entries.len());
}

#[test]
fn mistakes_of_a_list_are_told_all_at_once() {
    let text = r#"
ownr = "x"

[[expected]]
principle = "user ann"
capabilities = ["snapshot-creat", 7]
cloud = "amazon"

[[expected]]
principal = "user bob"
capabilities = "all"
reviewed = 2030-01-01

[[expected]]
principal = "user eve"
capabilities = ["image-*"]
reviewed = "2026-05-01"
expires = 2026-04-01

[[expected]]
principal = "user eve"
capabilities = ["image-*"]
expires = "soon"
broken =
"#;
    let (_, diagnostics) = Expected::read(text, "2026-11-01".parse().unwrap());
    let lines: Vec<String> = diagnostics
        .iter()
        .map(|one| {
            format!(
                "{}: {} @ {}",
                one.code.name,
                one.message,
                one.span.text(text).lines().next().unwrap_or("")
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "expected-key-unknown: the list has no key `ownr` @ ownr",
            "expected-key-missing: an expected entitlement says no `principal` @ [[expected]]",
            "expected-key-unknown: an expected entitlement has no key `principle` @ principle",
            "expected-capability-unknown: there is no capability `snapshot-creat` @ \"snapshot-creat\"",
            "expected-value: `capabilities` holds what is no string @ 7",
            "expected-value: `amazon` is none of `aws`, `azure`, `gcp`, `kubernetes` and `openstack` @ \"amazon\"",
            "expected-value: `capabilities` is no list @ \"all\"",
            "expected-dates: `2030-01-01` is still to come @ 2030-01-01",
            "expected-dates: `2026-04-01` is before the review of `2026-05-01` @ 2026-04-01",
            "expected-shadowed: `user eve` is expected twice with the same capabilities @ [[expected]]",
            "expected-value: `expires` is no day @ \"soon\"",
            "expected-key-unknown: an expected entitlement has no key `broken` @ broken",
            "expected-syntax: this is not valid TOML: string values must be quoted, expected literal string @ ",
        ]
    );
    assert_eq!(diagnostics[2].help, ["did you mean `principal`?"]);
    assert_eq!(diagnostics[3].help, ["did you mean `snapshot-create`?"]);
}
