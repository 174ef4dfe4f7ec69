//! Azure: what `az … list` prints, subscription by subscription. <https://learn.microsoft.com/rest/api/azure/>

use std::sync::Arc;

use neph_inventory::Cloud;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::bearer::{Bearer, Token, printed};
use crate::http::{Client, Trust, get, post};
use crate::output::Output;
use crate::page::{self, Page, items_of, text_of};
use crate::problem::Problem;
use crate::run::{Content, Got, Place, Run, Task, Watch};
use crate::{CollectError, Report, Settings};

const MANAGEMENT: &str = "https://management.azure.com";
const AUTHORITY: &str = "https://login.microsoftonline.com";

/// Which subscriptions, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Subscriptions by their ids; none: all that the credentials see.
    pub subscriptions: Vec<String>,
    /// Another address of the management service, such as that of a sovereign cloud.
    pub endpoint: Option<String>,
    /// Another address of the service that hands out tokens.
    pub authority: Option<String>,
    /// Whether the identity of the machine that this runs on may be used.
    pub is_instance: bool,
}

/// Lists of a subscription: the words of the call, the path and the version of the interface.
const LISTS: &[(&str, &str, &str)] = &[
    ("snapshot list", "Microsoft.Compute/snapshots", "2023-10-02"),
    ("image list", "Microsoft.Compute/images", "2024-03-01"),
    ("disk list", "Microsoft.Compute/disks", "2023-10-02"),
    ("vm list", "Microsoft.Compute/virtualMachines", "2024-03-01"),
    (
        "vmss list",
        "Microsoft.Compute/virtualMachineScaleSets",
        "2024-03-01",
    ),
    ("sig list", "Microsoft.Compute/galleries", "2023-07-03"),
    (
        "restore-point collection list-all",
        "Microsoft.Compute/restorePointCollections",
        "2024-03-01",
    ),
    (
        "role assignment list",
        "Microsoft.Authorization/roleAssignments",
        "2022-04-01",
    ),
    (
        "role definition list",
        "Microsoft.Authorization/roleDefinitions",
        "2022-04-01",
    ),
    (
        "deny-assignment list",
        "Microsoft.Authorization/denyAssignments",
        "2022-04-01",
    ),
    (
        "network nsg list",
        "Microsoft.Network/networkSecurityGroups",
        "2023-11-01",
    ),
    (
        "network application-gateway list",
        "Microsoft.Network/applicationGateways",
        "2023-11-01",
    ),
    (
        "network application-gateway waf-policy list",
        "Microsoft.Network/ApplicationGatewayWebApplicationFirewallPolicies",
        "2023-11-01",
    ),
    (
        "network front-door waf-policy list",
        "Microsoft.Network/frontDoorWebApplicationFirewallPolicies",
        "2022-05-01",
    ),
    (
        "aks list",
        "Microsoft.ContainerService/managedClusters",
        "2024-05-01",
    ),
    ("acr list", "Microsoft.ContainerRegistry/registries", "2023-07-01"),
];

/// Asks subscriptions for their snapshots, images, galleries, disks, machines, roles, firewalls, clusters and registries.
///
/// # Errors
/// When there are no credentials or subscriptions, or the folder cannot be filled.
pub fn collect(
    options: &Options,
    output: &Output,
    settings: &Settings,
    watch: &dyn Watch,
) -> Result<Report, CollectError> {
    let setup = |problem: Problem| CollectError::Setup(problem.to_string());
    let client = Arc::new(Client::new(settings, &Trust::default()).map_err(setup)?);
    let base = options
        .endpoint
        .as_deref()
        .unwrap_or(MANAGEMENT)
        .trim_end_matches('/')
        .to_owned();
    let access = Access {
        bearer: login(options, &base, &client),
        client,
        base,
    };
    let listed = access
        .pages("/subscriptions?api-version=2022-12-01")
        .map_err(|problem| CollectError::Begin {
            call: "az account list".to_owned(),
            problem,
        })?;
    let Content::Json(Value::Array(listed)) = listed.content else {
        return Err(CollectError::Setup(
            "the list of subscriptions cannot be read".to_owned(),
        ));
    };
    let known: Vec<String> = listed
        .iter()
        .filter_map(|one| text_of(one, "subscriptionId"))
        .collect();
    let subscriptions = if options.subscriptions.is_empty() {
        known
    } else {
        options.subscriptions.clone()
    };
    if subscriptions.is_empty() {
        return Err(CollectError::Setup(
            "the credentials see no subscription".to_owned(),
        ));
    }
    let tenant = listed.iter().find_map(|one| text_of(one, "tenantId"));
    if settings.refresh {
        let is_meant = |account: &String| subscriptions.contains(account) || tenant.as_ref() == Some(account);
        output.forget(|call| call.cloud == Cloud::Azure && call.account.as_ref().is_some_and(is_meant))?;
    }
    let access = &access;
    let mut tasks: Vec<Task<'_>> = subscriptions
        .iter()
        .flat_map(|subscription| access.subscription(subscription))
        .collect();
    if let Some(tenant) = &tenant {
        // The groups that subscriptions are in, from the outermost, which is named like the tenant.
        let place = place(tenant);
        let path = format!(
            "/providers/Microsoft.Management/managementGroups/{}?api-version=2020-05-01&%24expand=children&%24recurse=true",
            encoded(tenant)
        );
        let file = place.file("account-management-group-show", None, ".json");
        tasks.push(Task::new(
            &place,
            file,
            "account management-group show",
            move || Ok(Got::whole(flat(access.get(&path)?))),
        ));
    }
    let run = Run::new(output, watch);
    run.go(settings, tasks)?;
    Ok(run.report())
}

fn place(account: &str) -> Place {
    Place {
        cloud: Cloud::Azure,
        account: account.to_owned(),
        region: None,
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
        .to_string()
        .replace("%2D", "-")
        .replace("%2E", ".")
        .replace("%5F", "_")
}

/// A token in the environment, an application's secret, the machine's identity if the caller says so, and at last `az`.
fn login(options: &Options, base: &str, client: &Arc<Client>) -> Bearer {
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let client = Arc::clone(client);
    if let Some(token) = env("AZURE_ACCESS_TOKEN") {
        return Bearer::new(move || Ok(Token::plain(&token)));
    }
    let audience = encoded(&format!("{MANAGEMENT}/"));
    if let (Some(tenant), Some(id), Some(secret)) = (
        env("AZURE_TENANT_ID"),
        env("AZURE_CLIENT_ID"),
        env("AZURE_CLIENT_SECRET"),
    ) {
        let authority = options
            .authority
            .clone()
            .or_else(|| env("AZURE_AUTHORITY_HOST"))
            .unwrap_or_else(|| AUTHORITY.to_owned());
        let url = format!(
            "{}/{}/oauth2/v2.0/token",
            authority.trim_end_matches('/'),
            encoded(&tenant)
        );
        let scope = match options.endpoint {
            Some(_) if base.starts_with("https://management.") => encoded(&format!("{base}/.default")),
            _ => encoded(&format!("{MANAGEMENT}/.default")),
        };
        client.hide(&secret);
        let body = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}&scope={scope}",
            encoded(&id),
            encoded(&secret)
        );
        return Bearer::new(move || {
            let request = || {
                post(
                    &url,
                    &[("Content-Type", "application/x-www-form-urlencoded")],
                    body.clone().into_bytes(),
                )
            };
            Token::of_answer(&client.json("token", &request)?)
        });
    }
    if options.is_instance {
        let url = format!(
            "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource={audience}"
        );
        return Bearer::new(move || {
            Token::of_answer(&client.json("metadata", &|| get(&url, &[("Metadata", "true")]))?)
        });
    }
    Bearer::new(|| {
        let text = printed("az", &["account", "get-access-token", "--output", "json"])?;
        let value: Value =
            serde_json::from_str(&text).map_err(|_| Problem::Denied("`az` printed no token".to_owned()))?;
        let secret = text_of(&value, "accessToken")
            .ok_or_else(|| Problem::Denied("`az` printed no token".to_owned()))?;
        Ok(Token::plain(&secret))
    })
}

struct Access {
    client: Arc<Client>,
    bearer: Bearer,
    base: String,
}

impl Access {
    fn get(&self, path: &str) -> Result<Value, Problem> {
        // Limits are counted for each subscription.
        let lane = path.split('/').nth(2).unwrap_or_default();
        self.bearer
            .json(&self.client, lane, &format!("{}{path}", self.base), None)
    }

    /// All pages of a list. The next is followed only at the same server: a token goes nowhere else.
    fn pages(&self, path: &str) -> Result<Got, Problem> {
        page::list(|next| {
            let path = match next {
                None => path.to_owned(),
                Some(next) => match next.split_once("://").and_then(|(_, rest)| rest.split_once('/')) {
                    Some((_, rest)) => format!("/{rest}"),
                    None => {
                        return Err(Problem::Answer(
                            "the address of the next page cannot be used".to_owned(),
                        ));
                    }
                },
            };
            let mut answer = self.get(&path)?;
            let items = items_of(&mut answer, "value")?;
            Ok(Page {
                items: items.into_iter().map(flat).collect(),
                next: text_of(&answer, "nextLink"),
            })
        })
    }

    fn subscription<'t>(&'t self, subscription: &str) -> Vec<Task<'t>> {
        let place = place(subscription);
        LISTS
            .iter()
            .map(|(call, path, version)| {
                let path = format!(
                    "/subscriptions/{}/providers/{path}?api-version={version}",
                    encoded(subscription)
                );
                let file = place.file(&call.replace(' ', "-"), None, ".json");
                let task = Task::new(&place, file, *call, move || self.pages(&path));
                let at = place.clone();
                match *call {
                    "sig list" => task.then(move |value| self.galleries(value, &at)),
                    "restore-point collection list-all" => {
                        task.then(move |value| self.restore_points(value, &at))
                    }
                    _ => task,
                }
            })
            .collect()
    }

    fn galleries<'t>(&'t self, galleries: &Value, place: &Place) -> Vec<Task<'t>> {
        below(galleries)
            .map(|id| {
                let file = place.file("sig-image-definition-list", Some(names(&id)), ".json");
                let (path, at) = (format!("{id}/images?api-version=2023-07-03"), place.clone());
                Task::new(place, file, "sig image-definition list", move || {
                    self.pages(&path)
                })
                .then(move |value| self.definitions(value, &at))
            })
            .collect()
    }

    fn definitions<'t>(&'t self, definitions: &Value, place: &Place) -> Vec<Task<'t>> {
        below(definitions)
            .map(|id| {
                let file = place.file("sig-image-version-list", Some(names(&id)), ".json");
                let path = format!("{id}/versions?api-version=2023-07-03");
                Task::new(place, file, "sig image-version list", move || self.pages(&path))
            })
            .collect()
    }

    fn restore_points<'t>(&'t self, collections: &Value, place: &Place) -> Vec<Task<'t>> {
        below(collections)
            .map(|id| {
                let file = place.file("restore-point-collection-show", Some(names(&id)), ".json");
                let path = format!("{id}?api-version=2024-03-01&%24expand=restorePoints");
                Task::new(place, file, "restore-point collection show", move || {
                    let mut value = flat(self.get(&path)?);
                    if let Some(Value::Array(points)) = value.get_mut("restorePoints") {
                        *points = std::mem::take(points).into_iter().map(flat).collect();
                    }
                    Ok(Got::whole(value))
                })
            })
            .collect()
    }
}

/// The ids of resources, in which only what an id may have is let through to an address.
fn below(list: &Value) -> impl Iterator<Item = String> {
    let ids = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| text_of(one, "id"));
    ids.filter(|id| id.starts_with('/') && !id.contains("..") && !id.contains(['?', '#', '%', '\\', ' ']))
}

/// The call that lists resources of the type that an id has, the name of its file, and whether there is a file for each of several.
pub(crate) fn call_of(id: &str) -> Option<(&'static str, String, bool)> {
    let id = id.to_lowercase();
    let (_, types) = id.rsplit_once("/providers/")?;
    let mut parts = types.split('/');
    let mut kind = parts.next()?.to_owned();
    for part in parts.step_by(2) {
        kind.push('/');
        kind.push_str(part);
    }
    let (call, is_each) = match kind.as_str() {
        "microsoft.compute/galleries/images" => ("sig image-definition list", true),
        "microsoft.compute/galleries/images/versions" => ("sig image-version list", true),
        "microsoft.management/managementgroups" => ("account management-group show", false),
        kind => {
            let listed = LISTS.iter().find(|(_, path, _)| path.eq_ignore_ascii_case(kind));
            (listed.map(|(call, _, _)| *call)?, false)
        }
    };
    Some((call, call.replace(' ', "-"), is_each))
}

/// What tells an id from others of its subscription: resource group and names.
fn names(id: &str) -> &str {
    let marker = "/resourceGroups/";
    let at = id.to_lowercase().find(&marker.to_lowercase());
    at.and_then(|at| id.get(at + marker.len()..)).unwrap_or(id)
}

/// As `az` prints a resource: its properties beside its name, and the group that its id tells.
fn flat(value: Value) -> Value {
    let Value::Object(mut object) = value else {
        return value;
    };
    if let Some(Value::Object(properties)) = object.remove("properties") {
        let mut whole: Map<String, Value> = object;
        for (name, inner) in properties {
            whole.entry(name).or_insert(inner);
        }
        object = whole;
    }
    let group = object.get("id").and_then(Value::as_str).and_then(|id| {
        let mut parts = id
            .split('/')
            .skip_while(|part| !part.eq_ignore_ascii_case("resourceGroups"));
        parts.nth(1).map(str::to_owned)
    });
    if let Some(group) = group {
        object.entry("resourceGroup").or_insert(Value::String(group));
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_told_as_the_tool_tells_them() {
        let id = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/snapshots/a";
        let found = flat(
            serde_json::json!({"id": id, "name": "a", "properties": {"diskSizeGB": 4, "name": "other"}}),
        );
        assert_eq!(
            found,
            serde_json::json!({"id": id, "name": "a", "diskSizeGB": 4, "resourceGroup": "rg"})
        );
        assert_eq!(names(id), "rg/providers/Microsoft.Compute/snapshots/a");
    }

    #[test]
    fn ids_that_lead_elsewhere_are_not_followed() {
        let list = serde_json::json!([{"id": "/a/../../b"}, {"id": "https://evil"}, {"id": "/ok/x"}, {"id": "/q?x=1"}]);
        assert_eq!(below(&list).collect::<Vec<_>>(), ["/ok/x"]);
    }
}
