//! Azure: the metadata service of machines, web application firewalls, snapshots, galleries, registries.

use base64::Engine as _;
use serde_json::Value;

use crate::audit::at::{has, is_true, list, text, told, word};
use crate::audit::check::{Check, Platform, Severity};
use crate::audit::collected::{Collected, Item};
use crate::audit::finding::Found;

const MACHINES: &str = "azure:microsoft.compute/virtualmachines";
const SETS: &str = "azure:microsoft.compute/virtualmachinescalesets";
const GATEWAYS: &str = "azure:microsoft.network/applicationgateways";
const GATEWAY_POLICIES: &str = "azure:microsoft.network/applicationgatewaywebapplicationfirewallpolicies";
const FRONT_DOOR_POLICIES: &str = "azure:microsoft.network/frontdoorwebapplicationfirewallpolicies";

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
        platform: Platform::Azure,
        needs,
        reads,
        why,
        ask,
    }
}

pub(crate) static METADATA_PROTOCOL: Check = check(
    "azure-metadata-security-protocol",
    "machines answer on the metadata address to processes that may ask only",
    Severity::Medium,
    &[MACHINES],
    &[SETS],
    "Network security groups do not see packets to the metadata address, and the service cannot be turned off: without the metadata security protocol \
     every process gets tokens of the machine's identity.",
    metadata,
);

pub(crate) static USER_DATA: Check = check(
    "azure-user-data-secret",
    "user data of machines holds no secrets",
    Severity::High,
    &[],
    &[MACHINES],
    "User data is told by the metadata service to every process, without a token.",
    user_data,
);

pub(crate) static WAF: Check = Check {
    row: "A7",
    mitigations: &["M1037"],
    ..check(
        "azure-waf-ssrf",
        "web application firewalls block addresses in parameters",
        Severity::Medium,
        &[GATEWAY_POLICIES],
        &[FRONT_DOOR_POLICIES, GATEWAYS],
        "The rules against remote file inclusion (931xxx of OWASP's rule set) find URLs with an address in parameters, which is how the metadata \
         address is asked for; in detection mode they only log.",
        waf,
    )
};

pub(crate) static SNAPSHOT_NETWORK: Check = Check {
    row: "C6",
    techniques: &["T1537", "T1578.001"],
    mitigations: &["M1018", "M1037"],
    ..check(
        "azure-snapshot-network",
        "snapshots are not downloaded from everywhere",
        Severity::Medium,
        &["azure:microsoft.compute/snapshots"],
        &[],
        "Whoever may ask for a link to a snapshot then downloads the disk from any address.",
        snapshots,
    )
};

pub(crate) static GALLERY_PUBLIC: Check = Check {
    row: "D5",
    techniques: &["T1525", "T1537"],
    mitigations: &["M1018", "M1026"],
    ..check(
        "azure-gallery-public",
        "galleries of images are not public",
        Severity::High,
        &["azure:microsoft.compute/galleries"],
        &[],
        "Everybody can make machines of the images of a community gallery, and read what was baked into them.",
        |all, found| {
            for item in all.items("azure:microsoft.compute/galleries") {
                let name = text(&item.value, "/name");
                let permissions = text(&item.value, "/sharingProfile/permissions");
                let is_public = permissions == "Community";
                let what = match permissions {
                    "Community" => "everybody can use its images",
                    "Groups" => "its images are shared with subscriptions and tenants that it names",
                    _ => "its images are not shared",
                };
                let finding = found.judge(!is_public, item, name, what).seen(
                    item,
                    "sharingProfile.permissions",
                    told(&item.value, "/sharingProfile/permissions"),
                );
                if is_public {
                    finding.mend(format!(
                        "az sig share reset --resource-group {} --gallery-name {}",
                        word(text(&item.value, "/resourceGroup")),
                        word(name)
                    ));
                }
            }
        },
    )
};

pub(crate) static IMAGE_LATEST: Check = Check {
    row: "D5",
    techniques: &["T1525"],
    mitigations: &["M1026"],
    ..check(
        "azure-image-latest",
        "machines name the version of their image",
        Severity::Low,
        &[MACHINES],
        &[SETS],
        "With `latest` each machine that is made anew gets whatever was published last.",
        |all, found| {
            for (item, profile) in profiles(all) {
                let reference = profile
                    .pointer("/storageProfile/imageReference")
                    .unwrap_or(&Value::Null);
                let id = text(reference, "/id");
                let version = text(reference, "/version");
                // An image of a gallery without a version is its newest.
                let is_definition =
                    id.to_lowercase().contains("/galleries/") && !id.to_lowercase().contains("/versions/");
                if id.is_empty() && version.is_empty() {
                    continue;
                }
                let is_latest =
                    version == "latest" || is_definition || id.to_lowercase().ends_with("/versions/latest");
                let what = match is_latest {
                    true => "it is made of whatever version is newest",
                    false => "it names a version of its image",
                };
                let shown = if id.is_empty() { version } else { id };
                let finding = found
                    .judge(!is_latest, item, text(&item.value, "/name"), what)
                    .seen(item, "storageProfile.imageReference", shown);
                if is_latest {
                    finding.mend("# az vm image list --all --publisher P --offer O --sku S lists versions; name one where the machine is defined");
                    let exact = text(reference, "/exactVersion");
                    if !exact.is_empty() {
                        finding.mend(format!("# it is {exact} now"));
                    }
                }
            }
        },
    )
};

pub(crate) static REGISTRY_ANONYMOUS: Check = Check {
    row: "D4",
    techniques: &["T1525", "T1613"],
    mitigations: &["M1018", "M1045"],
    ..check(
        "azure-registry-open",
        "container registries ask who it is, and have no shared administrator",
        Severity::Medium,
        &["azure:microsoft.containerregistry/registries"],
        &[],
        "Anonymous pull gives images to everybody; the administrator's password may push and names nobody.",
        |all, found| {
            for item in all.items("azure:microsoft.containerregistry/registries") {
                let name = text(&item.value, "/name");
                let is_anonymous = is_true(&item.value, "/anonymousPullEnabled");
                let has_admin = is_true(&item.value, "/adminUserEnabled");
                let what = match (is_anonymous, has_admin) {
                    (true, true) => "everybody can pull, and there is a shared administrator",
                    (true, false) => "everybody can pull from it",
                    (false, true) => "it has a shared administrator who may push",
                    (false, false) => "it asks who it is",
                };
                let finding = found.judge(!is_anonymous && !has_admin, item, name, what);
                finding
                    .seen(
                        item,
                        "anonymousPullEnabled",
                        told(&item.value, "/anonymousPullEnabled"),
                    )
                    .seen(item, "adminUserEnabled", told(&item.value, "/adminUserEnabled"));
                if is_anonymous {
                    finding.mend(format!(
                        "az acr update --name {} --anonymous-pull-enabled false",
                        word(name)
                    ));
                }
                if has_admin {
                    finding.mend(format!(
                        "az acr update --name {} --admin-enabled false",
                        word(name)
                    ));
                }
            }
        },
    )
};

/// Machines, and sets of them, with what they are made of.
fn profiles(all: &Collected) -> impl Iterator<Item = (&Item, &Value)> {
    let machines = all.items(MACHINES).iter().map(|item| (item, &item.value));
    let sets = all.items(SETS).iter().map(|item| {
        (
            item,
            item.value
                .pointer("/virtualMachineProfile")
                .unwrap_or(&Value::Null),
        )
    });
    machines.chain(sets)
}

/// <https://learn.microsoft.com/azure/virtual-machines/metadata-security-protocol/overview>
fn metadata(all: &Collected, found: &mut Found) {
    for (item, profile) in profiles(all) {
        let name = text(&item.value, "/name");
        let settings = profile
            .pointer("/securityProfile/proxyAgentSettings")
            .unwrap_or(&Value::Null);
        let is_on = is_true(settings, "/enabled");
        let mode = match text(settings, "/imds/mode") {
            "" => text(settings, "/mode"),
            mode => mode,
        };
        let field = "securityProfile.proxyAgentSettings.imds.mode";
        let identity = text(&item.value, "/identity/type");
        let has_identity = !matches!(identity, "" | "None");
        // A profile of access rules enforces what it says there.
        let has_profile = has(settings, "/imds/inVMAccessControlProfileReferenceId")
            || has(settings, "/imds/inVmAccessControlProfileReferenceId");
        // Enforce is what it does where nothing is said.
        if is_on && (mode.is_empty() || mode.eq_ignore_ascii_case("enforce") || has_profile) {
            found
                .pass(item, name, "the metadata service asks which process it is")
                .seen(item, field, mode);
            continue;
        }
        let what = match (is_on, has_identity) {
            (true, _) => "the metadata service only records which process asks",
            (false, true) => "every process gets tokens of the machine's identity",
            (false, false) => {
                "every process reaches the metadata service; the machine has no identity whose tokens it could give"
            }
        };
        let finding = found
            .fail(item, name, what)
            .seen(item, field, told(settings, "/imds/mode"))
            .seen(item, "identity.type", told(&item.value, "/identity/type"));
        let command = match &*item.kind {
            SETS => "vmss",
            _ => "vm",
        };
        finding
            .mend(format!(
                "az {command} update --resource-group {} --name {} --set {}securityProfile.proxyAgentSettings.enabled=true \
                 {}securityProfile.proxyAgentSettings.imds.mode=Enforce",
                word(text(&item.value, "/resourceGroup")),
                word(name),
                if command == "vmss" { "virtualMachineProfile." } else { "" },
                if command == "vmss" { "virtualMachineProfile." } else { "" }
            ))
            .mend("# where the machine's system has no agent for it, a firewall on the machine: see `host-metadata-firewall`");
        if is_on || !has_identity {
            finding.at(Severity::Low);
        }
    }
}

/// Words before a value that make it a secret.
const SECRETS: [&str; 8] = [
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "access_key",
    "private key",
];

fn user_data(all: &Collected, found: &mut Found) {
    for (item, profile) in profiles(all) {
        let written = text(profile, "/userData");
        if written.is_empty() {
            continue;
        }
        let name = text(&item.value, "/name");
        let decoded = base64::engine::general_purpose::STANDARD.decode(written);
        let Some(plain) = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok()) else {
            found
                .unknown(item, name, "its user data is no text")
                .seen(item, "userData", "(not shown)");
            continue;
        };
        let telling = plain.lines().find_map(|line| {
            let lower = line.to_lowercase();
            let word = SECRETS.iter().find(|word| lower.contains(**word))?;
            if lower.contains("-----begin") {
                return Some(*word);
            }
            let (_, behind) = lower.split_once(*word)?;
            let value = behind.trim_start_matches(|next: char| {
                next.is_alphanumeric() || matches!(next, '_' | '-' | '"' | '\'')
            });
            let value = value
                .trim_start()
                .strip_prefix(['=', ':'])?
                .trim()
                .trim_matches(['"', '\'']);
            // A name of another place is no secret itself.
            (value.len() >= 6 && !value.starts_with(['$', '@', '{', '<'])).then_some(*word)
        });
        let what = match telling {
            Some(word) => format!("its user data has a value for `{word}`"),
            None => "nothing in its user data looks like a secret".to_owned(),
        };
        let finding = found
            .judge(telling.is_none(), item, name, what)
            .seen(item, "userData", "(not shown)");
        if telling.is_some() {
            finding
                .mend("# put it into a key vault that the machine's identity may read, change it, then")
                .mend(format!(
                    "az vm update --resource-group {} --name {} --user-data CLEAN_FILE",
                    word(text(&item.value, "/resourceGroup")),
                    word(name)
                ));
        }
    }
}

/// Why a policy does not block URLs with addresses, if it does not.
fn why_open(policy: &Value) -> Option<String> {
    let settings = policy.pointer("/policySettings").unwrap_or(&Value::Null);
    let state = match text(settings, "/state") {
        "" => text(settings, "/enabledState"),
        state => state,
    };
    if state.eq_ignore_ascii_case("disabled") {
        return Some("it is disabled".to_owned());
    }
    if !text(settings, "/mode").eq_ignore_ascii_case("prevention") {
        return Some("it detects, and does not prevent".to_owned());
    }
    let mut sets = list(policy, "/managedRules/managedRuleSets")
        .iter()
        .filter(|set| {
            let kind = text(set, "/ruleSetType").to_lowercase();
            matches!(
                kind.as_str(),
                "owasp" | "microsoft_defaultruleset" | "defaultruleset"
            )
        });
    let Some(set) = sets.next() else {
        return Some("it has no rule set of OWASP's or Microsoft's".to_owned());
    };
    for group in list(set, "/ruleGroupOverrides") {
        let name = text(group, "/ruleGroupName").to_uppercase();
        if !(name.contains("931") || name.contains("RFI")) {
            continue;
        }
        let off: Vec<&str> = list(group, "/rules")
            .iter()
            .filter(|rule| {
                let state = match text(rule, "/state") {
                    "" => text(rule, "/enabledState"),
                    state => state,
                };
                !state.eq_ignore_ascii_case("enabled") || text(rule, "/action").eq_ignore_ascii_case("log")
            })
            .map(|rule| text(rule, "/ruleId"))
            .collect();
        // A group without rules is off as a whole.
        if list(group, "/rules").is_empty() {
            return Some("its rules against remote file inclusion are off".to_owned());
        }
        if off.contains(&"931100") {
            return Some("its rule 931100, which finds addresses, is off".to_owned());
        }
    }
    None
}

fn waf(all: &Collected, found: &mut Found) {
    for (kind, command) in [
        (
            GATEWAY_POLICIES,
            "az network application-gateway waf-policy policy-setting update --policy-name",
        ),
        (
            FRONT_DOOR_POLICIES,
            "az network front-door waf-policy update --name",
        ),
    ] {
        for item in all.items(kind) {
            let name = text(&item.value, "/name");
            match why_open(&item.value) {
                None => {
                    found
                        .pass(item, name, "it blocks requests with addresses in parameters")
                        .seen(
                            item,
                            "policySettings.mode",
                            text(&item.value, "/policySettings/mode"),
                        );
                }
                Some(why) => {
                    found
                        .fail(item, name, why)
                        .seen(item, "policySettings", told(&item.value, "/policySettings"))
                        .seen(
                            item,
                            "managedRules.managedRuleSets",
                            told(&item.value, "/managedRules/managedRuleSets"),
                        )
                        .mend(format!(
                            "{command} {} --resource-group {} --mode Prevention",
                            word(name),
                            word(text(&item.value, "/resourceGroup"))
                        ));
                }
            }
        }
    }
    for item in all.items(GATEWAYS) {
        let name = text(&item.value, "/name");
        // Versions of `az` differ in how they write what the interface calls `IP`.
        let is_public = ["/frontendIPConfigurations", "/frontendIpConfigurations"]
            .iter()
            .flat_map(|places| list(&item.value, places))
            .map(|place| place.get("properties").unwrap_or(place))
            .any(|place| has(place, "/publicIPAddress") || has(place, "/publicIpAddress"));
        if !is_public {
            continue;
        }
        let policy = text(&item.value, "/firewallPolicy/id");
        let older = item
            .value
            .pointer("/webApplicationFirewallConfiguration")
            .unwrap_or(&Value::Null);
        let has_older = is_true(older, "/enabled") && text(older, "/firewallMode") == "Prevention";
        let what = match (policy.is_empty(), has_older) {
            (false, _) => "it has a firewall policy, which is judged by itself",
            (true, true) => "it has a web application firewall that prevents",
            (true, false) => "no web application firewall stands before it",
        };
        let finding = found
            .judge(!policy.is_empty() || has_older, item, name, what)
            .seen(item, "firewallPolicy.id", told(&item.value, "/firewallPolicy/id"));
        if policy.is_empty() && !has_older {
            finding.mend(format!(
                "az network application-gateway update --resource-group {} --name {} --set sku.tier=WAF_v2 firewallPolicy.id=POLICY_ID",
                word(text(&item.value, "/resourceGroup")),
                word(name)
            ));
        }
    }
}

fn snapshots(all: &Collected, found: &mut Found) {
    for item in all.items("azure:microsoft.compute/snapshots") {
        let name = text(&item.value, "/name");
        let has_link = text(&item.value, "/diskState") == "ActiveSAS";
        // Without the fields, snapshots are as open as they were when there were none.
        let is_open = matches!(text(&item.value, "/networkAccessPolicy"), "" | "AllowAll")
            && text(&item.value, "/publicNetworkAccess") != "Disabled";
        let what = match (is_open, has_link) {
            (true, true) => "there is a link now by which it is downloaded from anywhere",
            (true, false) => "links to it work from anywhere",
            (false, _) => "links to it do not work from everywhere",
        };
        let finding = found
            .judge(!is_open, item, name, what)
            .seen(
                item,
                "networkAccessPolicy",
                told(&item.value, "/networkAccessPolicy"),
            )
            .seen(
                item,
                "publicNetworkAccess",
                told(&item.value, "/publicNetworkAccess"),
            )
            .seen(item, "diskState", told(&item.value, "/diskState"));
        if is_open {
            let group = word(text(&item.value, "/resourceGroup"));
            if has_link {
                finding
                    .mend(format!(
                        "az snapshot revoke-access --resource-group {group} --name {}",
                        word(name)
                    ))
                    .at(Severity::High);
            }
            finding.mend(format!(
                "az snapshot update --resource-group {group} --name {} --network-access-policy DenyAll --public-network-access Disabled",
                word(name)
            ));
        }
    }
}
