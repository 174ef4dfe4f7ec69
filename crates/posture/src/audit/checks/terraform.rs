//! What Terraform will make: the metadata service of its machines, and images that are whatever is newest.

use serde_json::Value;

use crate::audit::at::{is_true, list, text, told};
use crate::audit::check::{Check, Platform, Severity};
use crate::audit::collected::{Collected, Item};
use crate::audit::finding::Found;

const fn check(
    id: &'static str,
    title: &'static str,
    row: &'static str,
    severity: Severity,
    why: &'static str,
    ask: fn(&Collected, &mut Found),
) -> Check {
    Check {
        id,
        title,
        row,
        techniques: &["T1552.005"],
        mitigations: &["M1042"],
        severity,
        platform: Platform::Code,
        needs: &[],
        reads: &["code:terraform"],
        why,
        ask,
    }
}

pub(crate) static IMDSV1: Check = check(
    "terraform-aws-imdsv1",
    "Terraform makes machines of AWS that require tokens for the metadata service",
    "A6",
    Severity::High,
    "What the plan leaves out comes back with each machine that is replaced.",
    imdsv1,
);

pub(crate) static HOP_LIMIT: Check = check(
    "terraform-aws-imds-hop-limit",
    "Terraform makes machines of AWS whose tokens do not leave them",
    "A6",
    Severity::Medium,
    "With a hop limit above 1, containers behind a bridge get tokens, and with them the credentials of the instance.",
    |all, found| {
        for item in machines(all) {
            let name = name_of(item);
            let Some(value) = item
                .value
                .pointer("/metadata_options/0/http_put_response_hop_limit")
            else {
                continue;
            };
            let field = "metadata_options.http_put_response_hop_limit";
            match value.as_i64() {
                Some(limit) => {
                    let what = match limit {
                        ..=1 => "tokens stay on the machine".to_owned(),
                        hops => format!("tokens go {hops} hops far, into containers behind a bridge"),
                    };
                    let finding = found.judge(limit <= 1, item, name, what).seen(item, field, limit);
                    if limit > 1 {
                        finding.mend("metadata_options { http_put_response_hop_limit = 1 }");
                    }
                }
                None => {
                    found
                        .unknown(item, name, "its value is settled when the plan is made")
                        .seen(item, field, expression(value));
                }
            }
        }
    },
);

pub(crate) static GKE_METADATA: Check = check(
    "terraform-gke-metadata",
    "Terraform makes node pools of GKE that keep the node's metadata from pods",
    "A6",
    Severity::High,
    "Without the metadata server of GKE, every pod gets the credentials of its node.",
    |all, found| {
        for kind in ["tf:google_container_node_pool", "tf:google_container_cluster"] {
            for item in all.items(kind) {
                let settings = item.value.pointer("/node_config/0").unwrap_or(&Value::Null);
                let is_autopilot = is_true(&item.value, "/enable_autopilot");
                // A cluster without nodes of its own says nothing.
                if settings.is_null() && (kind.ends_with("cluster") || is_autopilot) {
                    continue;
                }
                let mode = settings.pointer("/workload_metadata_config/0/mode");
                let written = mode.map(expression).unwrap_or_else(|| "(not set)".to_owned());
                let holds = written == "GKE_METADATA";
                let field = "node_config.workload_metadata_config.mode";
                if mode.is_some_and(|mode| !mode.is_string()) {
                    found
                        .unknown(item, name_of(item), "its value is settled when the plan is made")
                        .seen(item, field, written);
                    continue;
                }
                let what = match holds {
                    true => "pods ask the metadata server of GKE",
                    false => "pods reach the metadata of their node",
                };
                let finding = found
                    .judge(holds, item, name_of(item), what)
                    .seen(item, field, written);
                if !holds {
                    finding.mend("node_config { workload_metadata_config { mode = \"GKE_METADATA\" } }");
                }
            }
        }
    },
);

pub(crate) static MOST_RECENT: Check = Check {
    techniques: &["T1525"],
    mitigations: &["M1026"],
    ..check(
        "terraform-newest-image",
        "Terraform names the machine images that it makes machines of",
        "D5",
        Severity::Medium,
        "A filter that takes the newest image takes the one that an attacker put there last.",
        newest,
    )
};

pub(crate) static OWNERLESS: Check = Check {
    techniques: &["T1525"],
    mitigations: &["M1026"],
    ..check(
        "terraform-image-without-owner",
        "Terraform looks for machine images of named owners only",
        "D5",
        Severity::High,
        "Anybody can publish an image with a name that fits, and be newer.",
        ownerless,
    )
};

fn name_of(item: &Item) -> String {
    format!("{} {}", item.file, text(&item.value, "/$name"))
}

/// A value as it is written.
fn expression(value: &Value) -> String {
    match value.get("$expr") {
        Some(Value::String(written)) => written.clone(),
        _ => told(value, ""),
    }
}

fn machines(all: &Collected) -> impl Iterator<Item = &Item> {
    [
        "tf:aws_instance",
        "tf:aws_launch_template",
        "tf:aws_launch_configuration",
        "tf:aws_spot_instance_request",
    ]
    .into_iter()
    .flat_map(|kind| all.items(kind))
}

fn imdsv1(all: &Collected, found: &mut Found) {
    for item in machines(all) {
        let name = name_of(item);
        let options = item.value.pointer("/metadata_options/0").unwrap_or(&Value::Null);
        let field = "metadata_options.http_tokens";
        if text(options, "/http_endpoint") == "disabled" {
            found.pass(item, name, "the metadata service is off").seen(
                item,
                "metadata_options.http_endpoint",
                "disabled",
            );
            continue;
        }
        let tokens = options.pointer("/http_tokens").filter(|value| !value.is_null());
        match tokens {
            Some(Value::String(tokens)) => {
                let holds = tokens == "required";
                let what = match holds {
                    true => "tokens are required",
                    false => "the metadata service will answer without a token",
                };
                let finding = found.judge(holds, item, name, what).seen(item, field, tokens);
                if !holds {
                    finding.mend("metadata_options { http_tokens = \"required\" }");
                }
            }
            Some(other) => {
                found
                    .unknown(item, name, "its value is settled when the plan is made")
                    .seen(item, field, expression(other));
            }
            None if item.value.get("launch_template").is_some() => {
                found
                    .unknown(item, name, "its launch template says it")
                    .seen(item, field, "(not set)");
            }
            None => {
                let folder = |file: &str| {
                    file.rsplit_once('/')
                        .map_or(String::new(), |(folder, _)| folder.to_owned())
                };
                let own = folder(&item.file);
                let default = all
                    .items("tf:aws_ec2_instance_metadata_defaults")
                    .iter()
                    .find(|other| {
                        folder(&other.file) == own && text(&other.value, "/http_tokens") == "required"
                    });
                if let Some(default) = default {
                    found
                        .pass(
                            item,
                            name,
                            "tokens are required by the account's default, which is set beside it",
                        )
                        .seen(default, "http_tokens", "required");
                    continue;
                }
                found
                    .fail(
                        item,
                        name,
                        "it does not say that tokens are required, and neither does AWS by itself",
                    )
                    .seen(item, field, "(not set)")
                    .mend("metadata_options { http_tokens = \"required\" }");
            }
        }
    }
}

/// What takes the newest: the item, the field, its value, and whether it does.
fn newest(all: &Collected, found: &mut Found) {
    let mut say = |item: &Item, field: &str, value: String, takes: bool, fix: &str| {
        let what = match takes {
            true => "it takes whatever image is newest",
            false => "it names one image",
        };
        let finding = found
            .judge(!takes, item, name_of(item), what)
            .seen(item, field, value);
        if takes {
            finding.mend(fix);
        }
    };
    for kind in ["tf-data:aws_ami", "tf-data:openstack_images_image_v2"] {
        for item in all.items(kind) {
            let takes = is_true(&item.value, "/most_recent");
            let fix = "# name the image that was tested, and change it by a reviewed commit: image_id = \"ami-…\", or filter by the whole name";
            say(item, "most_recent", told(&item.value, "/most_recent"), takes, fix);
        }
    }
    for item in all.items("tf-data:aws_ssm_parameter") {
        let name = text(&item.value, "/name");
        let takes =
            name.starts_with("/aws/service/") && (name.contains("latest") || name.contains("/recommended"));
        if name.starts_with("/aws/service/") {
            say(
                item,
                "name",
                name.to_owned(),
                takes,
                "# name the version: the parameter's path with a release instead of `latest`, or `:VERSION` behind it",
            );
        }
    }
    for item in all.items("tf-data:google_compute_image") {
        let family = text(&item.value, "/family");
        let fix = "# name = \"IMAGE-vYYYYMMDD\" instead of family";
        say(
            item,
            "family",
            told(&item.value, "/family"),
            !family.is_empty() || is_true(&item.value, "/most_recent"),
            fix,
        );
    }
    for kind in [
        "tf:google_compute_instance",
        "tf:google_compute_instance_template",
    ] {
        for item in all.items(kind) {
            let pointers = ["/boot_disk/0/initialize_params/0/image", "/disk/0/source_image"];
            let image = pointers
                .iter()
                .map(|pointer| text(&item.value, pointer))
                .find(|image| !image.is_empty());
            let Some(image) = image else {
                continue;
            };
            say(
                item,
                "image",
                image.to_owned(),
                is_family(image),
                "# \"PROJECT/IMAGE-vYYYYMMDD\" instead of a family",
            );
        }
    }
    for kind in [
        "tf:azurerm_linux_virtual_machine",
        "tf:azurerm_windows_virtual_machine",
        "tf:azurerm_linux_virtual_machine_scale_set",
        "tf:azurerm_windows_virtual_machine_scale_set",
        "tf:azurerm_orchestrated_virtual_machine_scale_set",
        "tf:azurerm_virtual_machine",
    ] {
        for item in all.items(kind) {
            let block = if kind.ends_with("azurerm_virtual_machine") {
                "storage_image_reference"
            } else {
                "source_image_reference"
            };
            let Some(version) = item.value.pointer(&format!("/{block}/0/version")) else {
                continue;
            };
            let fix = "# version = \"22.04.202410020\": az vm image list --all lists them";
            say(
                item,
                &format!("{block}.version"),
                expression(version),
                version == "latest",
                fix,
            );
        }
    }
    for item in all.items("tf-data:azurerm_shared_image_version") {
        let name = text(&item.value, "/name");
        let takes = matches!(name, "latest" | "recent");
        say(item, "name", name.to_owned(), takes, "# name = \"1.2.3\"");
    }
}

/// `debian-cloud/debian-12` and `…/family/debian-12`; images of Google bear their day, `debian-12-bookworm-v20240910`.
fn is_family(image: &str) -> bool {
    if image.contains("/family/") || image.starts_with("family/") {
        return true;
    }
    if image.contains("/images/") {
        return false;
    }
    let is_dated = image
        .rsplit_once("-v")
        .is_some_and(|(_, day)| day.len() >= 8 && day.bytes().all(|byte| byte.is_ascii_digit()));
    image.ends_with("-cloud")
        || image
            .split_once('/')
            .is_some_and(|(project, _)| project.ends_with("-cloud"))
            && !is_dated
}

fn ownerless(all: &Collected, found: &mut Found) {
    for item in all.items("tf-data:aws_ami") {
        let owners = list(&item.value, "/owners");
        let has_expression = item.value.pointer("/owners/$expr").is_some();
        let filters: Vec<&str> = list(&item.value, "/filter")
            .iter()
            .map(|filter| text(filter, "/name"))
            .collect();
        let is_named = filters
            .iter()
            .any(|name| matches!(*name, "owner-id" | "owner-alias" | "image-id"));
        let holds = !owners.is_empty() || has_expression || is_named || !is_true(&item.value, "/most_recent");
        let what = match holds {
            true => "it says whose images it looks for",
            false => "it takes the newest image of anybody with a name that fits",
        };
        let finding =
            found
                .judge(holds, item, name_of(item), what)
                .seen(item, "owners", told(&item.value, "/owners"));
        if !holds {
            finding.mend("owners = [\"self\"]   # or \"amazon\", or the publisher's account");
        }
    }
}

/// Container images that Terraform names: the item, what names it, the field, and the image.
pub(super) fn images(all: &Collected) -> Vec<(&Item, String, String, String)> {
    let mut found = Vec::new();
    let mut take = |item, by: &str, field: &str, value: Option<&Value>| {
        let image = match value {
            Some(Value::String(image)) => image.clone(),
            Some(other) => match other.get("$expr").and_then(Value::as_str) {
                // A reference to what another resource makes is no name.
                Some(written) if written.starts_with('"') => written.trim_matches('"').to_owned(),
                _ => return,
            },
            None => return,
        };
        if !image.is_empty() {
            let item: &Item = item;
            found.push((item, by.to_owned(), field.to_owned(), image));
        }
    };
    for item in all.items("tf:aws_ecs_task_definition") {
        let name = text(&item.value, "/$name");
        let definitions = match item.value.get("container_definitions") {
            Some(Value::String(written)) => serde_json::from_str(written).unwrap_or(Value::Null),
            Some(other) => other.clone(),
            None => Value::Null,
        };
        for container in list(&definitions, "") {
            take(
                item,
                &format!("{name} container {}", text(container, "/name")),
                "container_definitions.image",
                container.get("image"),
            );
        }
    }
    for (kind, field) in [
        ("tf:docker_image", "name"),
        ("tf:docker_container", "image"),
        ("tf:aws_lambda_function", "image_uri"),
    ] {
        for item in all.items(kind) {
            take(item, text(&item.value, "/$name"), field, item.value.get(field));
        }
    }
    for item in all.items("tf:azurerm_container_group") {
        for container in list(&item.value, "/container") {
            take(
                item,
                text(&item.value, "/$name"),
                "container.image",
                container.get("image"),
            );
        }
    }
    for item in all.items_of("tf:google_cloud_run") {
        for pointer in [
            "/template/0/containers",
            "/template/0/spec/0/containers",
            "/template/0/template/0/containers",
        ] {
            for container in list(&item.value, pointer) {
                take(
                    item,
                    text(&item.value, "/$name"),
                    "containers.image",
                    container.get("image"),
                );
            }
        }
    }
    for item in all.items_of("tf:kubernetes_") {
        for pointer in [
            "/spec/0/template/0/spec/0",
            "/spec/0/job_template/0/spec/0/template/0/spec/0",
            "/spec/0",
        ] {
            for list_name in ["container", "init_container"] {
                for container in list(&item.value, &format!("{pointer}/{list_name}")) {
                    let by = format!(
                        "{} container {}",
                        text(&item.value, "/$name"),
                        text(container, "/name")
                    );
                    take(item, &by, "container.image", container.get("image"));
                }
            }
        }
    }
    found
}
