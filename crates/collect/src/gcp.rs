//! Google Cloud: what `gcloud … list --format=json` prints, project by project. <https://cloud.google.com/compute/docs/reference/rest/v1>

mod login;

use std::collections::BTreeSet;

use neph_inventory::Cloud;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::bearer::Bearer;
use crate::http::{Client, Trust};
use crate::output::Output;
use crate::page::{self, Page, items_of, text_of};
use crate::problem::Problem;
use crate::run::{Content, Got, Place, Run, Task, Watch};
use crate::{CollectError, Report, Settings};

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// Which projects, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Projects; none: the one that the environment or the credentials name.
    pub projects: Vec<String>,
    /// Another address for all services.
    pub endpoint: Option<String>,
    /// Whether the account of the instance that this runs on may be used.
    pub is_instance: bool,
}

/// A list of the compute service.
struct List {
    /// The name of the file, and the words of the call.
    name: &'static str,
    /// The path below the project.
    path: &'static str,
    /// The name of the lists within an answer that goes through all places.
    within: Option<&'static str>,
}

const fn list(name: &'static str, path: &'static str, within: Option<&'static str>) -> List {
    List { name, path, within }
}

const LISTS: &[List] = &[
    list("compute-snapshots-list", "global/snapshots", None),
    list("compute-images-list", "global/images", None),
    list("compute-machine-images-list", "global/machineImages", None),
    list(
        "compute-instant-snapshots-list",
        "aggregated/instantSnapshots",
        Some("instantSnapshots"),
    ),
    list("compute-disks-list", "aggregated/disks", Some("disks")),
    list(
        "compute-instances-list",
        "aggregated/instances",
        Some("instances"),
    ),
    list(
        "compute-instance-templates-list",
        "aggregated/instanceTemplates",
        Some("instanceTemplates"),
    ),
    list("compute-firewall-rules-list", "global/firewalls", None),
    list(
        "compute-security-policies-list",
        "aggregated/securityPolicies",
        Some("securityPolicies"),
    ),
    list(
        "compute-backend-services-list",
        "aggregated/backendServices",
        Some("backendServices"),
    ),
];

const COMPUTE: &str = "compute.googleapis.com";
const IAM: &str = "iam.googleapis.com";
const RESOURCES: &str = "cloudresourcemanager.googleapis.com";

/// Asks projects for their snapshots, images, disks, instances, firewalls, clusters, roles and who has them.
///
/// # Errors
/// When there are no credentials or projects, or the folder cannot be filled.
pub fn collect(
    options: &Options,
    output: &Output,
    settings: &Settings,
    watch: &dyn Watch,
) -> Result<Report, CollectError> {
    let setup = |problem: Problem| CollectError::Setup(problem.to_string());
    let client = Client::new(settings, &Trust::default()).map_err(setup)?;
    let found = login::find(options.is_instance, settings).map_err(setup)?;
    let projects: Vec<String> = match options.projects.is_empty() {
        false => options.projects.clone(),
        true => found.project.into_iter().collect(),
    };
    if projects.is_empty() {
        return Err(CollectError::Setup(
            "which project? say it with `--project`".to_owned(),
        ));
    }
    if settings.refresh {
        output.forget(|call| {
            call.cloud == Cloud::Gcp && call.account.as_ref().is_some_and(|own| projects.contains(own))
        })?;
    }
    let access = Access {
        client,
        bearer: found.bearer,
        endpoint: options.endpoint.clone(),
    };
    let tasks = projects
        .iter()
        .flat_map(|project| access.project(project))
        .collect();
    let run = Run::new(output, watch);
    run.go(settings, tasks)?;
    Ok(run.report())
}

struct Access {
    client: Client,
    bearer: Bearer,
    endpoint: Option<String>,
}

impl Access {
    fn ask(&self, host: &str, path: &str, body: Option<&Value>) -> Result<Value, Problem> {
        let url = match &self.endpoint {
            Some(endpoint) => format!("{}{path}", endpoint.trim_end_matches('/')),
            None => format!("https://{host}{path}"),
        };
        self.bearer.json(&self.client, host, &url, body)
    }

    /// All items of a list; `take` gets them out of a page.
    fn pages(
        &self,
        host: &str,
        path: &str,
        take: impl Fn(&mut Value) -> Result<Vec<Value>, Problem>,
    ) -> Result<Got, Problem> {
        page::list(|marker| {
            let mark = if path.contains('?') { '&' } else { '?' };
            let more = marker
                .map(|marker| format!("{mark}pageToken={}", utf8_percent_encode(marker, ENCODED)))
                .unwrap_or_default();
            let mut answer = self.ask(host, &format!("{path}{more}"), None)?;
            let mut items = take(&mut answer)?;
            items.iter_mut().for_each(discreet);
            Ok(Page {
                items,
                next: text_of(&answer, "nextPageToken"),
            })
        })
    }

    fn project<'t>(&'t self, project: &str) -> Vec<Task<'t>> {
        let place = Place {
            cloud: Cloud::Gcp,
            account: project.to_owned(),
            region: None,
        };
        let id = utf8_percent_encode(project, ENCODED).to_string();
        let file = |name: &str| place.file(name, None, ".json");
        let mut tasks = Vec::new();
        for list in LISTS {
            let path = format!("/compute/v1/projects/{id}/{}?maxResults=500", list.path);
            let call = words(list.name);
            tasks.push(Task::new(&place, file(list.name), call, move || {
                self.pages(COMPUTE, &path, |answer| match list.within {
                    None => items_of(answer, "items"),
                    Some(within) => Ok(scattered(answer, within)),
                })
            }));
        }
        let path = format!("/compute/v1/projects/{id}");
        tasks.push(Task::new(
            &place,
            file("compute-project-info-describe"),
            "compute project-info describe",
            move || {
                let mut value = self.ask(COMPUTE, &path, None)?;
                discreet(&mut value);
                Ok(Got::whole(value))
            },
        ));
        let path = format!("/v1/projects/{id}/locations/-/clusters");
        tasks.push(Task::new(
            &place,
            file("container-clusters-list"),
            "container clusters list",
            move || {
                self.pages("container.googleapis.com", &path, |answer| {
                    items_of(answer, "clusters")
                })
            },
        ));
        let path = format!("/v1/projects/{id}:searchAllIamPolicies?pageSize=500");
        tasks.push(Task::new(
            &place,
            file("asset-search-all-iam-policies"),
            "asset search-all-iam-policies",
            move || {
                self.pages("cloudasset.googleapis.com", &path, |answer| {
                    items_of(answer, "results")
                })
            },
        ));
        let path = format!("/v1/projects/{id}/roles?view=FULL&pageSize=300");
        tasks.push(Task::new(
            &place,
            file("iam-roles-list"),
            "iam roles list",
            move || self.pages(IAM, &path, |answer| items_of(answer, "roles")),
        ));
        let attached = utf8_percent_encode(&format!("{RESOURCES}/projects/{project}"), ENCODED).to_string();
        let path = format!("/v2/policies/{attached}/denypolicies?pageSize=1000");
        tasks.push(Task::new(
            &place,
            file("iam-policies-list-denypolicies"),
            "iam policies list",
            move || self.denials(&path),
        ));
        let (of_policies, at) = (id.clone(), place.clone());
        tasks.push(
            Task::new(
                &place,
                file("projects-get-ancestors-iam-policy"),
                "projects get-ancestors-iam-policy",
                move || self.ancestors(&of_policies),
            )
            .then(move |value| self.roles(value, &at)),
        );
        tasks
    }

    /// Deny policies with their rules, which the list leaves out.
    fn denials(&self, path: &str) -> Result<Got, Problem> {
        let mut got = self.pages(IAM, path, |answer| items_of(answer, "policies"))?;
        if let Content::Json(Value::Array(policies)) = &mut got.content {
            for policy in policies {
                if let Some(name) = text_of(policy, "name") {
                    *policy = self.ask(IAM, &format!("/v2/{name}"), None)?;
                }
            }
        }
        Ok(got)
    }

    /// The policies of the project and of everything that it is in.
    fn ancestors(&self, project: &str) -> Result<Got, Problem> {
        let nothing = json!({});
        let mut answer = self.ask(
            RESOURCES,
            &format!("/v1/projects/{project}:getAncestry"),
            Some(&nothing),
        )?;
        let ancestors = items_of(&mut answer, "ancestor")?;
        let options = json!({"options": {"requestedPolicyVersion": 3}});
        let (mut found, mut missing, mut first) = (Vec::new(), 0, None);
        for ancestor in &ancestors {
            let text = |key: &str| {
                ancestor
                    .pointer(&format!("/resourceId/{key}"))
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            let (kind, id) = (text("type"), text("id"));
            let version = if kind == "folder" { "v2" } else { "v1" };
            let path = format!(
                "/{version}/{kind}s/{}:getIamPolicy",
                utf8_percent_encode(id, ENCODED)
            );
            match self.ask(RESOURCES, &path, Some(&options)) {
                Ok(policy) => found.push(json!({"id": id, "policy": policy, "type": kind})),
                Err(problem) => {
                    missing += 1;
                    first.get_or_insert(problem);
                }
            }
        }
        match first {
            Some(problem) if found.is_empty() => Err(problem),
            first => Ok(Got {
                items: found.len() as u64,
                content: Content::Json(Value::Array(found)),
                problem: first.map(|first| Problem::Partial {
                    missing,
                    of: ancestors.len() as u64,
                    first: first.to_string(),
                }),
            }),
        }
    }

    /// What the roles permit that somebody has.
    fn roles<'t>(&'t self, ancestors: &Value, place: &Place) -> Vec<Task<'t>> {
        let policies = ancestors.as_array().into_iter().flatten();
        let bindings = policies
            .filter_map(|one| one.pointer("/policy/bindings")?.as_array())
            .flatten();
        let names: BTreeSet<String> = bindings.filter_map(|binding| text_of(binding, "role")).collect();
        // Those of the project itself are in its own list.
        let wanted = names.into_iter().filter(|name| !name.starts_with("projects/"));
        wanted
            .map(|name| {
                let file = place.file("iam-roles-describe", Some(&name), ".json");
                let path: Vec<String> = name
                    .split('/')
                    .map(|part| utf8_percent_encode(part, ENCODED).to_string())
                    .collect();
                Task::new(place, file, "iam roles describe", move || {
                    self.ask(IAM, &format!("/v1/{}", path.join("/")), None)
                        .map(Got::whole)
                })
                .or_absent()
            })
            .collect()
    }
}

/// The call that lists objects of a kind, `compute#snapshot`, and the name of its file.
pub(crate) fn call_of(kind: &str) -> Option<(String, &'static str)> {
    let kind = kind.strip_prefix("compute#")?;
    let name = LISTS.iter().map(|list| list.name).find(|name| {
        let plural = name
            .trim_start_matches("compute-")
            .trim_end_matches("-list")
            .replace('-', "");
        // `compute#firewall` are firewall rules, `compute#securityPolicy` security policies.
        let singular = plural
            .trim_end_matches("rules")
            .trim_end_matches('s')
            .trim_end_matches("ie");
        kind.to_lowercase().trim_end_matches('y') == singular
    })?;
    Some((words(name), name))
}

/// `compute-machine-images-list` is `compute machine-images list`.
fn words(name: &str) -> String {
    format!(
        "compute {} list",
        name.trim_start_matches("compute-").trim_end_matches("-list")
    )
}

/// Items that stand under the zones and regions that they are in.
fn scattered(answer: &mut Value, within: &str) -> Vec<Value> {
    let places = answer.get_mut("items").and_then(Value::as_object_mut);
    let lists = places
        .into_iter()
        .flat_map(|places| places.iter_mut().map(|(_, place)| place));
    lists
        .filter_map(|place| place.get_mut(within).map(Value::take))
        .filter_map(|list| match list {
            Value::Array(items) => Some(items),
            _ => None,
        })
        .flatten()
        .collect()
}

/// Leaves out what often holds passwords and no reader needs: scripts and bootstrap settings of instances, keys of clusters.
fn discreet(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::Object(keys)) = object.get_mut("masterAuth") {
                keys.retain(|name, _| !matches!(name.as_str(), "password" | "clientKey"));
            }
            let is_secret = object.get("key").and_then(Value::as_str).is_some_and(|key| {
                let words = [
                    "script",
                    "user-data",
                    "kube-env",
                    "configure-sh",
                    "password",
                    "secret",
                    "token",
                ];
                words.iter().any(|word| key.to_lowercase().contains(word))
            });
            if is_secret {
                object.remove("value");
            }
            object.iter_mut().for_each(|(_, inner)| discreet(inner));
        }
        Value::Array(items) => items.iter_mut().for_each(discreet),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_left_out_and_settings_stay() {
        let mut value = json!([{"name": "vm", "metadata": {"items": [
            {"key": "startup-script", "value": "export PASSWORD=x"}, {"key": "disable-legacy-endpoints", "value": "true"}
        ]}}]);
        discreet(&mut value);
        assert_eq!(
            value[0]["metadata"]["items"],
            json!([{"key": "startup-script"}, {"key": "disable-legacy-endpoints", "value": "true"}])
        );
    }

    #[test]
    fn lists_of_places_come_together() {
        let mut answer = json!({"items": {"zones/a": {"disks": [{"name": 1}]}, "zones/b": {"warning": {}}, "zones/c": {"disks": [{"name": 2}]}}});
        assert_eq!(scattered(&mut answer, "disks").len(), 2);
    }
}
