//! OpenStack and clouds made of it: the secret between the metadata services, images that others see, signatures of images.

use crate::audit::at::{text, word};
use crate::audit::check::{Check, Platform, Severity};
use crate::audit::collected::{Collected, Item};
use crate::audit::finding::{Found, Outcome};

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
        row: "D5",
        techniques: &["T1525"],
        mitigations: &["M1026"],
        severity,
        platform: Platform::Openstack,
        needs,
        reads,
        why,
        ask,
    }
}

pub(crate) static METADATA_SECRET: Check = Check {
    row: "A6",
    techniques: &["T1552.005"],
    mitigations: &["M1042"],
    ..check(
        "openstack-metadata-secret",
        "the metadata service knows its proxy by a secret",
        Severity::High,
        &[],
        &["openstack:config"],
        "Without the secret, whoever reaches the service names any instance in a header and gets that instance's metadata and user data.",
        secret,
    )
};

pub(crate) static IMAGE_VISIBLE: Check = check(
    "openstack-image-visible",
    "images of projects are not shown to all projects",
    Severity::Medium,
    &["openstack:image"],
    &[],
    "Every project can read a public or community image, and be led to start an image of an attacker's with a well-known name.",
    |all, found| {
        for item in all.items("openstack:image") {
            let id = text(&item.value, "/ID");
            let visibility = text(&item.value, "/Visibility");
            let is_open = matches!(visibility, "public" | "community");
            // Public images of a cloud are what everybody starts from; who may make them public is up to its operator.
            let what = match visibility {
                "community" => {
                    "every project that knows its id can use it, though nobody reviewed it".to_owned()
                }
                "public" => "every project sees it".to_owned(),
                other => format!("it is {other}"),
            };
            let finding = found.judge(!is_open, item, id, what);
            finding
                .seen(item, "Visibility", visibility)
                .seen(item, "Name", text(&item.value, "/Name"));
            if is_open {
                finding.mend(format!("openstack image set --private {}", word(id)));
            }
            if visibility == "public" {
                finding.at(Severity::Low);
            }
        }
    },
);

pub(crate) static IMAGE_SIGNATURE: Check = Check {
    row: "D4",
    mitigations: &["M1045"],
    ..check(
        "openstack-image-signature",
        "images bear signatures, and Nova verifies them",
        Severity::Medium,
        &[],
        &["openstack:image-details", "openstack:config"],
        "Without a signature that is verified, whoever can write to the store of images decides what is started.",
        signature,
    )
};

/// Values of an INI file by section and key; the last one of a key counts.
fn setting<'t>(text: &'t str, section: &str, key: &str) -> Option<(&'t str, u32)> {
    let mut inside = false;
    let mut found = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = name == section;
        } else if inside
            && !line.starts_with(['#', ';'])
            && let Some((own, value)) = line.split_once('=')
            && own.trim() == key
        {
            found = Some((value.trim(), u32::try_from(index + 1).unwrap_or(u32::MAX)));
        }
    }
    found
}

fn file_of(item: &Item) -> &str {
    crate::audit::at::last(&item.file)
}

/// <https://docs.openstack.org/nova/latest/admin/metadata-service.html>
fn secret(all: &Collected, found: &mut Found) {
    for item in all.items("openstack:config") {
        let (section, is_proxy) = match file_of(item) {
            "nova.conf" => ("neutron", false),
            "metadata_agent.ini" => ("DEFAULT", true),
            _ => continue,
        };
        let asks = setting(&item.text, section, "service_metadata_proxy");
        if !is_proxy && !asks.is_some_and(|(value, _)| value.eq_ignore_ascii_case("true")) {
            // Nova then takes no instance's name from anybody.
            continue;
        }
        let (value, line) = setting(&item.text, section, "metadata_proxy_shared_secret").unwrap_or(("", 0));
        let name = format!("{} {}", file_of(item), item.scope).trim_end().to_owned();
        let is_weak =
            value.is_empty() || value.len() < 12 || matches!(value, "METADATA_SECRET" | "secretsecretsecret");
        let what = match value {
            "" => "there is no shared secret",
            _ if is_weak => "the shared secret is short, or the one of a manual",
            _ => "there is a shared secret",
        };
        let finding = found.judge(!is_weak, item, name, what).seen_at(
            item,
            line,
            &format!("[{section}] metadata_proxy_shared_secret"),
            if value.is_empty() {
                "(not set)"
            } else {
                "(not shown)"
            },
        );
        if is_weak {
            finding
                .mend("# the same secret in both files, made by: openssl rand -hex 32")
                .mend("nova.conf: [neutron] service_metadata_proxy = true, metadata_proxy_shared_secret = SECRET")
                .mend("metadata_agent.ini: [DEFAULT] metadata_proxy_shared_secret = SECRET");
        }
    }
}

/// <https://docs.openstack.org/glance/latest/user/signature.html>
fn signature(all: &Collected, found: &mut Found) {
    let keys = [
        "img_signature",
        "img_signature_hash_method",
        "img_signature_key_type",
        "img_signature_certificate_uuid",
    ];
    for item in all.items("openstack:image-details") {
        let id = text(&item.value, "/id");
        let missing: Vec<&str> = keys
            .into_iter()
            .filter(|key| {
                text(&item.value, &format!("/{key}")).is_empty()
                    && text(&item.value, &format!("/properties/{key}")).is_empty()
            })
            .collect();
        let what = match missing.as_slice() {
            [] => "it bears a signature".to_owned(),
            missing => format!("it bears no whole signature: {} missing", missing.join(", ")),
        };
        let finding = found.judge(missing.is_empty(), item, id, what).seen(
            item,
            "properties",
            text(&item.value, "/name"),
        );
        if !missing.is_empty() {
            finding.mend(format!(
                "openstack image set --property img_signature=BASE64 --property img_signature_hash_method=SHA-256 --property \
                 img_signature_key_type=RSA-PSS --property img_signature_certificate_uuid=UUID {}",
                word(id)
            ));
        }
    }
    for item in all
        .items("openstack:config")
        .iter()
        .filter(|item| file_of(item) == "nova.conf")
    {
        let (value, line) = setting(&item.text, "glance", "verify_glance_signatures").unwrap_or(("false", 0));
        let holds = value.eq_ignore_ascii_case("true");
        let what = if holds {
            "Nova verifies signatures of images"
        } else {
            "Nova does not verify signatures of images"
        };
        let outcome = if holds { Outcome::Pass } else { Outcome::Fail };
        let finding = found.add(outcome, &item.scope, "nova", what).seen_at(
            item,
            line,
            "[glance] verify_glance_signatures",
            value,
        );
        if !holds {
            finding.mend("nova.conf: [glance] verify_glance_signatures = true");
        }
    }
}
