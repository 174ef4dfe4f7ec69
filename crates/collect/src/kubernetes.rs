//! Clusters: what `kubectl get … -A -o json` prints.
//!
//! The community's client reads objects into types of one version of the interface, and drops what that version does not know; here they are
//! kept as they come, and lists are all that is asked for.

mod kubeconfig;

use std::path::PathBuf;

use neph_inventory::Cloud;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use self::kubeconfig::{Access, Login};
use crate::http::{Client, Meaning, get, usual};
use crate::output::Output;
use crate::page::{self, Page, items_of};
use crate::problem::Problem;
use crate::run::{Content, Got, Place, Run, Task, Watch};
use crate::{CollectError, Report, Settings};

/// Items on a page.
const PAGE: u32 = 500;
/// A cluster is one server.
const LANE: &str = "kubernetes";

/// Groups of the interface, and the kinds of objects that are asked for. No secrets, and no settings but the one that says who is let in.
const KINDS: &[(&str, &[&str])] = &[
    (
        "api/v1",
        &["namespaces", "nodes", "pods", "services", "serviceaccounts"],
    ),
    (
        "apis/apps/v1",
        &["daemonsets", "deployments", "replicasets", "statefulsets"],
    ),
    ("apis/batch/v1", &["cronjobs", "jobs"]),
    ("apis/networking.k8s.io/v1", &["ingresses", "networkpolicies"]),
    (
        "apis/rbac.authorization.k8s.io/v1",
        &["clusterrolebindings", "clusterroles", "rolebindings", "roles"],
    ),
    (
        "apis/admissionregistration.k8s.io/v1",
        &[
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "validatingwebhookconfigurations",
        ],
    ),
];

/// What somebody without credentials is tried with.
const PROBES: &[&str] = &[
    "/version",
    "/api",
    "/api/v1/namespaces?limit=1",
    "/api/v1/pods?limit=1",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles?limit=1",
];

/// Which cluster, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Files of settings; none: where `kubectl` looks, and then the account of the pod that this runs in.
    pub kubeconfig: Option<PathBuf>,
    /// The context in them; else the current one.
    pub context: Option<String>,
    /// The name of the cluster's folder; else the context's.
    pub name: Option<String>,
    /// Whether it is tried what one may do without credentials.
    pub is_probed: bool,
}

/// Asks a cluster for its roles, workloads, nodes, networks and admission.
///
/// # Errors
/// When there is no such context, the cluster cannot be reached at all, or the folder cannot be filled.
pub fn collect(
    options: &Options,
    output: &Output,
    settings: &Settings,
    watch: &dyn Watch,
) -> Result<Report, CollectError> {
    let setup = |problem: Problem| CollectError::Setup(problem.to_string());
    let access =
        kubeconfig::find(options.kubeconfig.as_deref(), options.context.as_deref()).map_err(setup)?;
    let client = Client::new(settings, &access.trust).map_err(setup)?;
    let cluster = Cluster { client, access };
    let version = cluster.get("/version").map_err(|problem| CollectError::Begin {
        call: format!("kubectl version at `{}`", cluster.access.server),
        problem,
    })?;
    let place = Place {
        cloud: Cloud::Kubernetes,
        account: options
            .name
            .clone()
            .unwrap_or_else(|| cluster.access.name.clone()),
        region: None,
    };
    if settings.refresh {
        output.forget(|call| call.cloud == place.cloud && call.account.as_ref() == Some(&place.account))?;
    }
    let anonymous = match options.is_probed {
        true => Some(Client::new(settings, &cluster.access.without_client()).map_err(setup)?),
        false => None,
    };
    let cluster = &cluster;
    let file = |name: &str| place.file(name, None, ".json");
    let version = json!({ "serverVersion": version });
    let mut tasks = vec![Task::new(&place, file("version"), "kubectl version", move || {
        Ok(Got::whole(version))
    })];
    for (group, kinds) in KINDS {
        for kind in *kinds {
            let call = format!("kubectl get {kind} -A");
            tasks.push(Task::new(&place, file(kind), call, move || cluster.list(group, kind)).or_absent());
        }
    }
    // Who of an account of AWS is whom in the cluster.
    tasks.push(
        Task::new(
            &place,
            file("configmap-aws-auth"),
            "kubectl get configmap aws-auth -n kube-system",
            || {
                cluster
                    .get("/api/v1/namespaces/kube-system/configmaps/aws-auth")
                    .map(|mut object| {
                        tidy(&mut object, None);
                        Got::whole(object)
                    })
            },
        )
        .or_absent(),
    );
    if let Some(client) = &anonymous {
        tasks.push(Task::new(
            &place,
            file("anonymous"),
            "probe without credentials",
            move || probe(client, &cluster.access.server),
        ));
    }
    let run = Run::new(output, watch);
    run.go(settings, tasks)?;
    Ok(run.report())
}

struct Cluster {
    client: Client,
    access: Access,
}

impl Cluster {
    fn get(&self, path: &str) -> Result<Value, Problem> {
        let url = format!("{}{path}", self.access.server);
        let login = self.access.login()?;
        let header = match &login {
            Login::Nothing => None,
            Login::Header(value) => {
                self.client.hide(value.split(' ').next_back().unwrap_or_default());
                Some(("Authorization", value.as_str()))
            }
        };
        self.client.json(LANE, &|| get(&url, header.as_slice()))
    }

    /// All objects of a kind.
    fn list(&self, group: &str, kind: &str) -> Result<Got, Problem> {
        let mut own = None;
        let (items, problem) = page::all(|marker| {
            let mut path = format!("/{group}/{kind}?limit={PAGE}");
            if let Some(marker) = marker {
                path.push_str(&format!(
                    "&continue={}",
                    utf8_percent_encode(marker, NON_ALPHANUMERIC)
                ));
            }
            let mut answer = match self.get(&path) {
                // A marker is good for some minutes; here `Absent` is not that there are none.
                Err(Problem::Absent(what)) if marker.is_some() => {
                    return Err(Problem::Answer(format!("the list changed too long ago: {what}")));
                }
                other => other?,
            };
            let item = kind_of_items(&answer);
            let mut items = items_of(&mut answer, "items")?;
            for object in &mut items {
                tidy(object, item.as_ref());
            }
            own = own.take().or(item);
            let next = answer.pointer("/metadata/continue").and_then(Value::as_str);
            let next = next.filter(|next| !next.is_empty()).map(str::to_owned);
            Ok(Page { items, next })
        })?;
        let count = items.len() as u64;
        let list =
            json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}});
        Ok(Got {
            content: Content::Json(list),
            items: count,
            problem,
        })
    }
}

/// Objects of a list do not say what they are; the list does: `PodList` of `v1`.
fn kind_of_items(list: &Value) -> Option<(String, String)> {
    let version = list.get("apiVersion")?.as_str()?;
    let kind = list.get("kind")?.as_str()?.strip_suffix("List")?;
    Some((version.to_owned(), kind.to_owned()))
}

/// As `kubectl` prints an object: it says what it is, and nothing of who manages its fields.
fn tidy(object: &mut Value, kind: Option<&(String, String)>) {
    let Value::Object(fields) = object else {
        return;
    };
    if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
        metadata.remove("managedFields");
    }
    if let Some((version, kind)) = kind {
        let mut named = Map::new();
        named.insert("apiVersion".to_owned(), Value::String(version.clone()));
        named.insert("kind".to_owned(), Value::String(kind.clone()));
        for (name, value) in std::mem::take(fields) {
            named.entry(name).or_insert(value);
        }
        *fields = named;
    }
}

/// Which statuses somebody gets who says nothing about himself.
fn probe(client: &Client, server: &str) -> Result<Got, Problem> {
    let mut probes = Vec::new();
    for path in PROBES {
        let any = |reply: &crate::http::Reply| match usual(reply) {
            Meaning::Never(_) => Meaning::Fine,
            other => other,
        };
        let reply = client.ask(LANE, &|| get(&format!("{server}{path}"), &[]), &any)?;
        probes.push(json!({"path": path, "status": reply.status}));
    }
    Ok(Got::whole(json!({"server": server, "anonymous": probes})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_lists_say_what_they_are() {
        let list = json!({"kind": "PodList", "apiVersion": "v1", "items": []});
        let kind = kind_of_items(&list).unwrap();
        let mut pod = json!({"metadata": {"name": "p", "managedFields": [1]}, "spec": {}});
        tidy(&mut pod, Some(&kind));
        assert_eq!(
            pod,
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {}})
        );
        assert_eq!(pod.as_object().unwrap().keys().next().unwrap(), "apiVersion");
    }
}
