//! The activity log of twelve subscriptions, sign-ins and the audit log of Entra.
//! <https://learn.microsoft.com/azure/azure-monitor/platform/activity-log-schema>
//! <https://learn.microsoft.com/entra/identity/monitoring-health/reference-azure-monitor-sign-ins-log-schema>

use serde_json::{Value, json};

use super::company::Person;
use super::{HOUR, Life, MINUTE, SECOND, iso};

const TENANT: &str = "7c0f4b6e-3a35-4a5a-9d0f-6d1a2f6b8c11";

pub(super) fn live(life: &mut Life<'_>) {
    people(life);
    applications(life);
    directory(life);
}

/// Who calls: a person by name, an application by its id.
enum Caller<'a> {
    Person(&'a Person),
    Application(&'a str, &'a str),
}

impl Caller<'_> {
    fn identity(&self, scope: &str, action: &str) -> Value {
        let claims = match self {
            Self::Person(person) => json!({
                "aud": "https://management.core.windows.net/",
                "iss": format!("https://sts.windows.net/{TENANT}/"),
                "appid": "c44b4083-3bb0-49c1-b47d-974e53cbdf3c",
                "appidacr": "2",
                "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn": person.email(),
                "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name": person.email(),
                "http://schemas.microsoft.com/identity/claims/objectidentifier": Life::uuid_of(&person.name),
                "ipaddr": person.address,
                "idtyp": "user",
            }),
            Self::Application(id, _) => json!({
                "aud": "https://management.core.windows.net/",
                "iss": format!("https://sts.windows.net/{TENANT}/"),
                "appid": id,
                "appidacr": "2",
                "http://schemas.microsoft.com/identity/claims/objectidentifier": Life::uuid_of(id),
                "idtyp": "app",
            }),
        };
        let kind = if matches!(self, Self::Person(_)) {
            "User"
        } else {
            "ServicePrincipal"
        };
        json!({
            "authorization": {"scope": scope, "action": action, "evidence": {"role": "Contributor", "principalType": kind, "principalId": Life::uuid_of("role")}},
            "claims": claims,
        })
    }

    fn address(&self) -> &str {
        match self {
            Self::Person(person) => &person.address,
            Self::Application(_, address) => address,
        }
    }
}

/// A change or an action, as it begins and as it ends.
fn act(
    life: &mut Life<'_>,
    time: i64,
    caller: &Caller<'_>,
    resource: &str,
    operation: &str,
    properties: &Value,
) {
    let correlation = life.uuid();
    for (at, kind, signature) in [
        (time, "Start", "Started."),
        (time + 2 * SECOND, "Success", "Succeeded."),
    ] {
        let record = json!({
            "time": iso(at),
            "resourceId": resource.to_uppercase(),
            "operationName": operation.to_uppercase(),
            "category": "Administrative",
            "resultType": kind,
            "resultSignature": signature,
            "durationMs": 0,
            "callerIpAddress": caller.address(),
            "correlationId": correlation,
            "identity": caller.identity(resource, operation),
            "level": "Information",
            "properties": properties,
            "tenantId": TENANT,
        });
        life.tell(at, "azure-activity", record);
    }
}

fn resource(subscription: &str, group: &str, kind: &str, name: &str) -> String {
    format!("/subscriptions/{subscription}/resourceGroups/{group}/providers/{kind}/{name}")
}

fn people(life: &mut Life<'_>) {
    let company = life.company;
    // The same few make snapshots before changes; on some days it is somebody who has not yet.
    for (number, person) in company.engineers.iter().enumerate().skip(40) {
        let Some(subscription) = company.subscriptions.get(number % company.subscriptions.len()) else {
            continue;
        };
        let caller = Caller::Person(person);
        let machine = resource(
            subscription,
            "shop",
            "Microsoft.Compute/virtualMachines",
            &format!("web-{}", number % 4),
        );
        let time = life.at_work();
        match number % 7 {
            0 => act(
                life,
                time,
                &caller,
                &machine,
                "Microsoft.Compute/virtualMachines/restart/action",
                &json!({}),
            ),
            1 => act(
                life,
                time,
                &caller,
                &machine,
                "Microsoft.Compute/virtualMachines/runCommand/action",
                &json!({}),
            ),
            2 => {
                let rule = resource(
                    subscription,
                    "shop",
                    "Microsoft.Network/networkSecurityGroups",
                    "web/securityRules/office",
                );
                act(
                    life,
                    time,
                    &caller,
                    &rule,
                    "Microsoft.Network/networkSecurityGroups/securityRules/write",
                    &json!({}),
                );
            }
            3 => {
                let account = resource(
                    subscription,
                    "shop",
                    "Microsoft.Storage/storageAccounts",
                    "shopdata",
                );
                act(
                    life,
                    time,
                    &caller,
                    &account,
                    "Microsoft.Storage/storageAccounts/listKeys/action",
                    &json!({}),
                );
            }
            4 => {
                let registry = resource(
                    subscription,
                    "shop",
                    "Microsoft.ContainerRegistry/registries",
                    "corp",
                );
                act(
                    life,
                    time,
                    &caller,
                    &registry,
                    "Microsoft.ContainerRegistry/registries/listCredentials/action",
                    &json!({}),
                );
            }
            5 => {
                let cluster = resource(
                    subscription,
                    "shop",
                    "Microsoft.ContainerService/managedClusters",
                    "shop",
                );
                act(
                    life,
                    time,
                    &caller,
                    &cluster,
                    "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action",
                    &json!({}),
                );
            }
            _ => {
                let disk = resource(
                    subscription,
                    "shop",
                    "Microsoft.Compute/snapshots",
                    &format!("before-{}", life.day),
                );
                act(
                    life,
                    time,
                    &caller,
                    &disk,
                    "Microsoft.Compute/snapshots/write",
                    &json!({}),
                );
                act(
                    life,
                    time + 4 * HOUR,
                    &caller,
                    &disk,
                    "Microsoft.Compute/snapshots/delete",
                    &json!({}),
                );
            }
        }
    }
    let newcomer = company.staff.get(100 + usize::try_from(life.day).unwrap_or(0));
    if let (Some(person), Some(subscription)) = (newcomer, company.subscriptions.first()) {
        let time = life.at_work();
        let snapshot = resource(subscription, "lab", "Microsoft.Compute/snapshots", "mine");
        act(
            life,
            time,
            &Caller::Person(person),
            &snapshot,
            "Microsoft.Compute/snapshots/write",
            &json!({}),
        );
    }
    // A disk is fetched for a defect that only shows at home.
    if life.day % 7 == 2
        && let (Some(person), Some(subscription)) = (company.engineers.get(46), company.subscriptions.get(1))
    {
        let time = life.at_work();
        let disk = resource(subscription, "lab", "Microsoft.Compute/disks", "defect");
        act(
            life,
            time,
            &Caller::Person(person),
            &disk,
            "Microsoft.Compute/disks/beginGetAccess/action",
            &json!({}),
        );
        act(
            life,
            time + HOUR,
            &Caller::Person(person),
            &disk,
            "Microsoft.Compute/disks/endGetAccess/action",
            &json!({}),
        );
    }
}

fn applications(life: &mut Life<'_>) {
    const BACKUP: &str = "262044b1-e2ce-469f-a196-69ab7ada62d3";
    const TERRAFORM: &str = "5f3b1d0c-7a52-4b1e-9df1-0c2f6b7a9e01";
    const SCANNER: &str = "a1d7c7e2-9a50-4a3e-8a58-43c6a9d2f7b4";
    let company = life.company;
    for subscription in &company.subscriptions {
        for _ in 0..life.often(40) {
            let time = life.at_hour(1);
            let snapshot = resource(
                subscription,
                "backup",
                "Microsoft.Compute/restorePointCollections",
                &format!("AzureBackup_web/restorePoints/{}", life.hex(8)),
            );
            act(
                life,
                time,
                &Caller::Application(BACKUP, "20.50.1.9"),
                &snapshot,
                "Microsoft.Compute/restorePointCollections/restorePoints/write",
                &json!({}),
            );
            act(
                life,
                time + MINUTE,
                &Caller::Application(BACKUP, "20.50.1.9"),
                &snapshot,
                "Microsoft.Compute/restorePointCollections/restorePoints/delete",
                &json!({}),
            );
            let snapshot = resource(
                subscription,
                "backup",
                "Microsoft.Compute/snapshots",
                &format!("AzureBackup_{}", life.hex(8)),
            );
            act(
                life,
                time + MINUTE,
                &Caller::Application(BACKUP, "20.50.1.9"),
                &snapshot,
                "Microsoft.Compute/snapshots/write",
                &json!({}),
            );
            act(
                life,
                time + HOUR,
                &Caller::Application(BACKUP, "20.50.1.9"),
                &snapshot,
                "Microsoft.Compute/snapshots/delete",
                &json!({}),
            );
        }
        for _ in 0..3 {
            let (time, runner) = (
                life.at_work(),
                format!("20.55.{}.{}", life.random.below(250), life.random.below(250)),
            );
            let caller = Caller::Application(TERRAFORM, &runner);
            let rule = resource(
                subscription,
                "shop",
                "Microsoft.Network/networkSecurityGroups",
                "web/securityRules/https",
            );
            act(
                life,
                time,
                &caller,
                &rule,
                "Microsoft.Network/networkSecurityGroups/securityRules/write",
                &json!({}),
            );
            let machine = resource(
                subscription,
                "shop",
                "Microsoft.Compute/virtualMachines",
                &format!("web-{}", life.random.below(4)),
            );
            act(
                life,
                time + SECOND,
                &caller,
                &machine,
                "Microsoft.Compute/virtualMachines/write",
                &json!({}),
            );
            let image = resource(
                subscription,
                "images",
                "Microsoft.Compute/galleries",
                &format!("corp/images/base/versions/1.0.{}", life.day),
            );
            act(
                life,
                time + MINUTE,
                &caller,
                &image,
                "Microsoft.Compute/galleries/images/versions/write",
                &json!({}),
            );
            let account = resource(
                subscription,
                "shop",
                "Microsoft.Storage/storageAccounts",
                "shopdata",
            );
            act(
                life,
                time + MINUTE,
                &caller,
                &account,
                "Microsoft.Storage/storageAccounts/listKeys/action",
                &json!({}),
            );
        }
        for _ in 0..life.often(24) {
            let time = life.any_time();
            let registry = resource(
                subscription,
                "shop",
                "Microsoft.ContainerRegistry/registries",
                "corp",
            );
            act(
                life,
                time,
                &Caller::Application(SCANNER, "203.0.113.201"),
                &registry,
                "Microsoft.ContainerRegistry/registries/listCredentials/action",
                &json!({}),
            );
            let account = resource(
                subscription,
                "shop",
                "Microsoft.Storage/storageAccounts",
                "shopdata",
            );
            act(
                life,
                time + SECOND,
                &Caller::Application(SCANNER, "203.0.113.201"),
                &account,
                "Microsoft.Storage/storageAccounts/listKeys/action",
                &json!({}),
            );
        }
    }
}

/// Sign-ins, and changes of users and groups.
fn directory(life: &mut Life<'_>) {
    let company = life.company;
    let everybody = company
        .staff
        .iter()
        .chain(&company.engineers)
        .chain(&company.administrators);
    for (number, person) in everybody.enumerate() {
        if number % usize::try_from(life.sampled.min(10)).unwrap_or(1) != 0 {
            continue;
        }
        let time = life.at_work();
        let (application, id) = life
            .pick(&[
                (
                    "Office 365 Exchange Online",
                    "00000002-0000-0ff1-ce00-000000000000",
                ),
                ("Azure Portal", "c44b4083-3bb0-49c1-b47d-974e53cbdf3c"),
                ("Microsoft Azure CLI", "04b07795-8ddb-461a-bbee-02f9e1bf7b46"),
            ])
            .unwrap_or_default();
        let failed = life.random.below(25) == 0;
        let correlation = life.uuid();
        let record = json!({
            "time": iso(time),
            "resourceId": format!("/tenants/{TENANT}/providers/Microsoft.aadiam"),
            "operationName": "Sign-in activity",
            "operationVersion": "1.0",
            "category": "SignInLogs",
            "tenantId": TENANT,
            "resultType": if failed { "50126" } else { "0" },
            "resultSignature": "None",
            "durationMs": 0,
            "callerIpAddress": person.address,
            "correlationId": correlation,
            "identity": person.name,
            "Level": 4,
            "location": "DE",
            "properties": {
                "id": life.uuid(),
                "createdDateTime": iso(time),
                "userDisplayName": person.name,
                "userPrincipalName": person.email(),
                "userId": Life::uuid_of(&person.name),
                "appId": id,
                "appDisplayName": application,
                "ipAddress": person.address,
                "status": {"errorCode": if failed { 50126 } else { 0 }},
                "clientAppUsed": "Browser",
                "userAgent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Edg/126.0",
                "deviceDetail": {"operatingSystem": "Windows10", "browser": "Edge 126"},
                "location": {"city": "Hamburg", "state": "Hamburg", "countryOrRegion": "DE"},
                "isInteractive": true,
                "conditionalAccessStatus": "success",
                "authenticationRequirement": "multiFactorAuthentication",
            },
        });
        life.tell(time, "entra-signin", record);
    }
    for (number, person) in company.administrators.iter().enumerate() {
        for operation in ["Update user", "Add member to group", "Reset user password"] {
            let time = life.at_work();
            let target = company
                .staff
                .get(number * 31 + usize::try_from(life.day).unwrap_or(0))
                .map(Person::email)
                .unwrap_or_default();
            let record = json!({
                "time": iso(time),
                "resourceId": format!("/tenants/{TENANT}/providers/Microsoft.aadiam"),
                "operationName": operation,
                "operationVersion": "1.0",
                "category": "AuditLogs",
                "tenantId": TENANT,
                "resultSignature": "None",
                "durationMs": 0,
                "callerIpAddress": person.address,
                "correlationId": life.uuid(),
                "Level": 4,
                "properties": {
                    "id": format!("Directory_{}", life.uuid()),
                    "category": "UserManagement",
                    "activityDisplayName": operation,
                    "activityDateTime": iso(time),
                    "result": "success",
                    "loggedByService": "Core Directory",
                    "operationType": "Update",
                    "initiatedBy": {"user": {"id": Life::uuid_of(&person.name), "userPrincipalName": person.email(), "ipAddress": person.address}},
                    "targetResources": [{"id": Life::uuid_of(&target), "type": "User", "userPrincipalName": target, "modifiedProperties": []}],
                },
            });
            life.tell(time, "entra-audit", record);
        }
    }
}
