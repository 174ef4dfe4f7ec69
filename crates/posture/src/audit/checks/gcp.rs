//! Google Cloud: the metadata server of machines and nodes, Cloud Armor, public images, verified images.

use serde_json::Value;

use crate::audit::at::{has, is_true, last, list, text, texts, told, truth, word};
use crate::audit::check::{Check, Platform, Severity};
use crate::audit::collected::{Collected, Item};
use crate::audit::finding::Found;

const fn check(
    id: &'static str,
    title: &'static str,
    severity: Severity,
    needs: &'static [&'static str],
    reads: &'static [&'static str],
    why: &'static str,
    ask: fn(&Collected, &mut Found),
) -> Check {
    Check {
        id,
        title,
        row: "A6",
        techniques: &["T1552.005"],
        mitigations: &["M1042"],
        severity,
        platform: Platform::Gcp,
        needs,
        reads,
        why,
        ask,
    }
}

pub(crate) static LEGACY_ENDPOINTS: Check = check(
    "gcp-legacy-endpoints",
    "old endpoints of the metadata server are off",
    Severity::Medium,
    &["gcp:cluster"],
    &["gcp:compute#instance"],
    "The old endpoints answer without the header `Metadata-Flavor: Google`, which a forged request can seldom send.",
    legacy,
);

pub(crate) static WORKLOAD_METADATA: Check = check(
    "gcp-gke-workload-metadata",
    "node pools of GKE keep the node's metadata from pods",
    Severity::High,
    &["gcp:cluster"],
    &[],
    "Without the metadata server of GKE, every pod gets the credentials of its node.",
    |all, found| {
        for (item, cluster, pool) in pools(all) {
            let name = format!("gke {cluster}, pool {}", text(pool, "/name"));
            let mode = text(pool, "/config/workloadMetadataConfig/mode");
            let holds = mode == "GKE_METADATA" || is_true(&item.value, "/autopilot/enabled");
            let what = match holds {
                true => "pods ask the metadata server of GKE",
                false => "pods reach the metadata of their node",
            };
            let finding = found.judge(holds, item, name, what).seen(
                item,
                "nodePools.config.workloadMetadataConfig.mode",
                told(pool, "/config/workloadMetadataConfig/mode"),
            );
            if !holds {
                finding
                    .mend(format!(
                        "gcloud container clusters update {cluster} --location {} --workload-pool={}.svc.id.goog",
                        word(text(&item.value, "/location")),
                        word(&item.scope.account)
                    ))
                    .mend(format!(
                        "gcloud container node-pools update {} --cluster {cluster} --location {} --workload-metadata=GKE_METADATA",
                        word(text(pool, "/name")),
                        word(text(&item.value, "/location"))
                    ));
            }
        }
    },
);

pub(crate) static DEFAULT_ACCOUNT: Check = check(
    "gcp-default-account-full-scope",
    "machines do not have the default service account with access to everything",
    Severity::High,
    &["gcp:compute#instance"],
    &["gcp:cluster"],
    "What the metadata server hands out is then as good as the project's editor, unless somebody took that role away.",
    default_account,
);

pub(crate) static ARMOR: Check = Check {
    row: "A7",
    mitigations: &["M1037"],
    ..check(
        "gcp-armor-ssrf",
        "backend services that face the internet are behind rules of Cloud Armor against addresses in parameters",
        Severity::Medium,
        &["gcp:compute#backendService"],
        &["gcp:compute#securityPolicy"],
        "The rules against remote file inclusion deny requests whose parameters are URLs with an address, which is how the metadata address is asked for.",
        armor,
    )
};

pub(crate) static PUBLIC_IMAGE: Check = Check {
    row: "D5",
    techniques: &["T1525", "T1537"],
    mitigations: &["M1018", "M1026"],
    ..check(
        "gcp-image-public",
        "images and snapshots are not for everybody",
        Severity::Critical,
        &["gcp:resource-policy"],
        &[],
        "Everybody can then make a disk of it.",
        |all, found| {
            for item in all.items("gcp:resource-policy") {
                let resource = text(&item.value, "/resource");
                let kinds = ["/images/", "/snapshots/", "/machineImages/"];
                if !resource.starts_with("//compute.googleapis.com/")
                    || !kinds.iter().any(|kind| resource.contains(kind))
                {
                    continue;
                }
                let bindings = list(&item.value, "/policy/bindings");
                let open = bindings.iter().find(|binding| {
                    texts(binding, "/members")
                        .iter()
                        .any(|member| matches!(*member, "allUsers" | "allAuthenticatedUsers"))
                });
                let what = match open {
                    Some(binding) => format!("everybody has the role {} on it", text(binding, "/role")),
                    None => "nobody unknown has a role on it".to_owned(),
                };
                let finding = found.judge(open.is_none(), item, resource, what).seen(
                    item,
                    "policy.bindings",
                    told(&item.value, "/policy/bindings"),
                );
                if let Some(binding) = open {
                    let kind = match () {
                        () if resource.contains("/snapshots/") => "snapshots",
                        () if resource.contains("/machineImages/") => "machine-images",
                        () => "images",
                    };
                    for member in ["allUsers", "allAuthenticatedUsers"] {
                        if texts(binding, "/members").contains(&member) {
                            finding.mend(format!(
                                "gcloud compute {kind} remove-iam-policy-binding {} --member={member} --role={}",
                                word(last(resource)),
                                word(text(binding, "/role"))
                            ));
                        }
                    }
                }
            }
        },
    )
};

pub(crate) static BINARY_AUTHORIZATION: Check = Check {
    row: "D4",
    techniques: &["T1525"],
    mitigations: &["M1045", "M1047"],
    ..check(
        "gcp-gke-binary-authorization",
        "clusters of GKE verify where images come from",
        Severity::Medium,
        &["gcp:cluster"],
        &[],
        "Nothing else stands between an image that somebody pushed and the nodes that run it.",
        |all, found| {
            for item in all.items("gcp:cluster") {
                let name = text(&item.value, "/name");
                let mode = text(&item.value, "/binaryAuthorization/evaluationMode");
                let holds = is_true(&item.value, "/binaryAuthorization/enabled")
                    || !matches!(mode, "" | "DISABLED" | "EVALUATION_MODE_UNSPECIFIED");
                let what = if holds {
                    "images are verified"
                } else {
                    "images are not verified"
                };
                let finding = found.judge(holds, item, format!("gke {name}"), what).seen(
                    item,
                    "binaryAuthorization.evaluationMode",
                    told(&item.value, "/binaryAuthorization/evaluationMode"),
                );
                if !holds {
                    finding.mend(format!(
                        "gcloud container clusters update {} --location {} --binauthz-evaluation-mode=PROJECT_SINGLETON_POLICY_ENFORCE",
                        word(name),
                        word(text(&item.value, "/location"))
                    ));
                }
            }
        },
    )
};

fn pools(all: &Collected) -> impl Iterator<Item = (&Item, String, &Value)> {
    all.items("gcp:cluster").iter().flat_map(|item| {
        let cluster = word(text(&item.value, "/name"));
        list(&item.value, "/nodePools")
            .iter()
            .map(move |pool| (item, cluster.clone(), pool))
    })
}

fn legacy(all: &Collected, found: &mut Found) {
    for (item, cluster, pool) in pools(all) {
        let name = format!("gke {cluster}, pool {}", text(pool, "/name"));
        let metadata = pool.pointer("/config/metadata").unwrap_or(&Value::Null);
        let holds = is_true(metadata, "/disable-legacy-endpoints");
        let what = match holds {
            true => "old endpoints are off",
            false => "old endpoints are not turned off",
        };
        let finding = found.judge(holds, item, name, what).seen(
            item,
            "nodePools.config.metadata.disable-legacy-endpoints",
            told(metadata, "/disable-legacy-endpoints"),
        );
        if !holds {
            finding.mend("# metadata of a node pool cannot be changed: make a new one, move the pods, and delete this one").mend(format!(
                "gcloud container node-pools create NEW --cluster {cluster} --location {} --metadata disable-legacy-endpoints=true",
                word(text(&item.value, "/location"))
            ));
        }
    }
    // Of machines by themselves it is off unless somebody asked for it.
    for item in all.items("gcp:compute#instance") {
        let entries = list(&item.value, "/metadata/items");
        let Some(entry) = entries
            .iter()
            .find(|entry| text(entry, "/key") == "disable-legacy-endpoints")
        else {
            continue;
        };
        let holds = truth(entry, "/value") != Some(false);
        let name = text(&item.value, "/name");
        let what = if holds {
            "old endpoints are off"
        } else {
            "old endpoints are asked for"
        };
        let finding = found.judge(holds, item, name, what).seen(
            item,
            "metadata.disable-legacy-endpoints",
            told(entry, "/value"),
        );
        if !holds {
            finding.mend(format!(
                "gcloud compute instances add-metadata {} --zone {} --metadata disable-legacy-endpoints=TRUE",
                word(name),
                word(last(text(&item.value, "/zone")))
            ));
        }
    }
}

const EVERYTHING: &str = "https://www.googleapis.com/auth/cloud-platform";

fn default_account(all: &Collected, found: &mut Found) {
    for item in all.items("gcp:compute#instance") {
        let name = text(&item.value, "/name");
        // Nodes of clusters are told with their pools.
        if name.starts_with("gke-") && has(&item.value, "/labels/goog-gke-node") {
            continue;
        }
        let worst = list(&item.value, "/serviceAccounts").iter().find(|account| {
            text(account, "/email").ends_with("-compute@developer.gserviceaccount.com")
                && texts(account, "/scopes").contains(&EVERYTHING)
        });
        let what = match worst {
            Some(_) => "it has the default account with access to all of the cloud's interfaces",
            None => "it has an account of its own, a limited one, or none",
        };
        let emails: Vec<&str> = list(&item.value, "/serviceAccounts")
            .iter()
            .map(|account| text(account, "/email"))
            .collect();
        let finding = found.judge(worst.is_none(), item, name, what).seen(
            item,
            "serviceAccounts.email",
            emails.join(", "),
        );
        if worst.is_some() {
            let zone = word(last(text(&item.value, "/zone")));
            finding.seen(item, "serviceAccounts.scopes", EVERYTHING);
            finding
                .mend("# while the machine is stopped:")
                .mend(format!(
                    "gcloud compute instances set-service-account {} --zone {zone} --service-account OWN_ACCOUNT --scopes cloud-platform",
                    word(name)
                ));
        }
    }
    for (item, cluster, pool) in pools(all) {
        let account = text(pool, "/config/serviceAccount");
        let has_everything = texts(pool, "/config/oauthScopes").contains(&EVERYTHING);
        let is_default = matches!(account, "" | "default") && has_everything;
        let what = match is_default {
            true => "its nodes have the default account with access to all of the cloud's interfaces",
            false => "its nodes have an account of their own, or a limited one",
        };
        let name = format!("gke {cluster}, pool {}", text(pool, "/name"));
        let finding = found.judge(!is_default, item, name, what).seen(
            item,
            "nodePools.config.serviceAccount",
            told(pool, "/config/serviceAccount"),
        );
        if is_default {
            finding.mend(format!(
                "gcloud container node-pools create NEW --cluster {cluster} --location {} --service-account OWN_ACCOUNT",
                word(text(&item.value, "/location"))
            ));
        }
    }
}

/// Whether a policy denies requests with a URL of an address in a parameter: the rules 931xxx of OWASP's core rule set.
/// <https://cloud.google.com/armor/docs/waf-rules#remote_file_inclusion_rfi>
fn denies(policy: &Value) -> Result<String, String> {
    let mut reason =
        "it has no rule with the rules against remote file inclusion (`rfi-v33-stable`)".to_owned();
    for rule in list(policy, "/rules") {
        let written = text(rule, "/match/expr/expression");
        if !(written.contains("evaluatePreconfiguredWaf(") || written.contains("evaluatePreconfiguredExpr("))
            || !written.contains("rfi-")
        {
            continue;
        }
        let priority = rule.get("priority").and_then(Value::as_i64).unwrap_or(0);
        if is_true(rule, "/preview") {
            reason = format!("the rule {priority} is only previewed");
        } else if !text(rule, "/action").starts_with("deny") {
            reason = format!("the rule {priority} does not deny");
        } else if written.contains("931100") && written.contains("opt_out") {
            reason = format!("the rule {priority} leaves out 931100, which finds addresses");
        } else {
            return Ok(format!("the rule {priority} denies them"));
        }
    }
    Err(reason)
}

fn armor(all: &Collected, found: &mut Found) {
    for item in all.items("gcp:compute#backendService") {
        let scheme = text(&item.value, "/loadBalancingScheme");
        let protocol = text(&item.value, "/protocol");
        if !scheme.starts_with("EXTERNAL") || !matches!(protocol, "HTTP" | "HTTPS" | "HTTP2" | "H2C" | "GRPC")
        {
            continue;
        }
        let name = text(&item.value, "/name");
        let link = text(&item.value, "/securityPolicy");
        if link.is_empty() {
            found
                .fail(item, name, "no policy of Cloud Armor stands before it")
                .seen(item, "securityPolicy", "(not set)")
                .mend("gcloud compute security-policies create web")
                .mend(
                    "gcloud compute security-policies rules create 1000 --security-policy web --action deny-403 --expression \
                     \"evaluatePreconfiguredWaf('rfi-v33-stable', {'sensitivity': 2})\"",
                )
                .mend(format!("gcloud compute backend-services update {} --global --security-policy web", word(name)));
            continue;
        }
        let policy = all.items("gcp:compute#securityPolicy").iter().find(|policy| {
            text(&policy.value, "/selfLink") == link
                || text(&policy.value, "/name") == last(link) && policy.scope.fits(&item.scope)
        });
        let Some(policy) = policy else {
            let what = format!(
                "not collected: `gcloud compute security-policies describe {}`",
                last(link)
            );
            found
                .unknown(item, name, what)
                .seen(item, "securityPolicy", last(link));
            continue;
        };
        match denies(&policy.value) {
            Ok(why) => {
                found
                    .pass(item, name, format!("of its policy `{}`, {why}", last(link)))
                    .seen(policy, "rules", last(link));
            }
            Err(why) => {
                found
                    .fail(item, name, format!("its policy `{}` does not deny them: {why}", last(link)))
                    .seen(policy, "rules", told(&policy.value, "/rules"))
                    .mend(format!(
                        "gcloud compute security-policies rules create 1000 --security-policy {} --action deny-403 --expression \
                         \"evaluatePreconfiguredWaf('rfi-v33-stable', {{'sensitivity': 2}})\"",
                        word(last(link))
                    ));
            }
        }
    }
}
