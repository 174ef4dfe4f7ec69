//! The instance metadata service of AWS: its first version, how far its answers go, and what it tells.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-options.html>

use serde_json::Value;

use crate::audit::at::{is_true, text, told, word};
use crate::audit::check::{Check, Platform, Severity};
use crate::audit::collected::{Collected, Item};
use crate::audit::finding::Found;

pub(crate) static IMDSV1: Check = Check {
    id: "aws-imdsv1",
    title: "instances answer on the metadata address with a session token only",
    row: "A6",
    techniques: &["T1552.005"],
    mitigations: &["M1042"],
    severity: Severity::High,
    platform: Platform::Aws,
    needs: &["aws:instance"],
    reads: &[],
    why: "The first version of the service answers any plain GET, which is all that most request forgeries can send. The second asks for a token \
          that a forged request cannot get.",
    ask: imdsv1,
};

pub(crate) static HOP_LIMIT: Check = Check {
    id: "aws-imds-hop-limit",
    title: "tokens of the metadata service do not leave the instance",
    row: "A6",
    techniques: &["T1552.005"],
    mitigations: &["M1042"],
    severity: Severity::Medium,
    platform: Platform::Aws,
    needs: &["aws:instance"],
    reads: &[],
    why: "With a hop limit above 1, containers behind a bridge get tokens, and with them the credentials of the instance.",
    ask: hop_limit,
};

pub(crate) static TAGS: Check = Check {
    id: "aws-imds-tags",
    title: "the metadata service does not tell the tags of instances",
    row: "A6",
    techniques: &["T1552.005"],
    mitigations: &["M1042"],
    severity: Severity::Low,
    platform: Platform::Aws,
    needs: &["aws:instance"],
    reads: &[],
    why: "Tags tell owners, environments and at times secrets; whoever reaches the metadata address reads them without any permission.",
    ask: tags,
};

pub(crate) static DEFAULTS: Check = Check {
    id: "aws-imds-account-default",
    title: "new instances of the account require tokens by default",
    row: "A6",
    techniques: &["T1552.005"],
    mitigations: &["M1042"],
    severity: Severity::Medium,
    platform: Platform::Aws,
    needs: &["aws:metadata-defaults"],
    reads: &[],
    why: "Whatever is launched without its own settings gets the default of account and region.",
    ask: defaults,
};

pub(crate) static TEMPLATE: Check = Check {
    id: "aws-launch-template-imdsv1",
    title: "launch templates require tokens for the metadata service",
    row: "A6",
    techniques: &["T1552.005"],
    mitigations: &["M1042"],
    severity: Severity::High,
    platform: Platform::Aws,
    needs: &["aws:launch-template-version"],
    reads: &["aws:metadata-defaults", "aws:image"],
    why: "Instances that are replaced come back as the template says, whatever was set on those before.",
    ask: templates,
};

pub(crate) static CONFIGURATION: Check = Check {
    id: "aws-launch-configuration-imdsv1",
    title: "launch configurations of auto scaling require tokens for the metadata service",
    row: "A6",
    techniques: &["T1552.005"],
    mitigations: &["M1042"],
    severity: Severity::High,
    platform: Platform::Aws,
    needs: &["aws:launch-configuration"],
    reads: &["aws:metadata-defaults"],
    why: "Launch configurations cannot be changed; what they launch keeps the first version of the service until they are replaced.",
    ask: configurations,
};

/// Instances that are there or can be started again.
fn instances(all: &Collected) -> impl Iterator<Item = (&Item, &str)> {
    all.items("aws:instance").iter().filter_map(|item| {
        let state = text(&item.value, "/State/Name");
        (!matches!(state, "terminated" | "shutting-down")).then_some((item, text(&item.value, "/InstanceId")))
    })
}

fn region(item: &Item) -> String {
    match item.scope.region.as_str() {
        "" | "global" => String::new(),
        region => format!(" --region {}", word(region)),
    }
}

fn is_off(options: &Value) -> bool {
    text(options, "/HttpEndpoint") == "disabled"
}

fn imdsv1(all: &Collected, found: &mut Found) {
    for (item, id) in instances(all) {
        let options = item.value.pointer("/MetadataOptions").unwrap_or(&Value::Null);
        let field = "MetadataOptions.HttpTokens";
        if is_off(options) {
            found.pass(item, id, "the metadata service is off").seen(
                item,
                "MetadataOptions.HttpEndpoint",
                "disabled",
            );
            continue;
        }
        match text(options, "/HttpTokens") {
            "required" => {
                found
                    .pass(item, id, "tokens are required")
                    .seen(item, field, "required");
            }
            "optional" => {
                found
                    .fail(item, id, "the metadata service answers without a token")
                    .seen(item, field, "optional")
                    .mend("# first see that CloudWatch's MetadataNoToken is 0, so that nothing still uses it")
                    .mend(format!(
                        "aws ec2 modify-instance-metadata-options{} --instance-id {} --http-tokens required --http-endpoint enabled",
                        region(item),
                        word(id)
                    ));
            }
            _ => {
                found
                    .unknown(item, id, "the answer does not tell whether tokens are required")
                    .seen(item, field, told(options, "/HttpTokens"));
            }
        }
    }
}

fn hop_limit(all: &Collected, found: &mut Found) {
    for (item, id) in instances(all) {
        let options = item.value.pointer("/MetadataOptions").unwrap_or(&Value::Null);
        let field = "MetadataOptions.HttpPutResponseHopLimit";
        if is_off(options) {
            found.pass(item, id, "the metadata service is off").seen(
                item,
                "MetadataOptions.HttpEndpoint",
                "disabled",
            );
            continue;
        }
        let Some(limit) = options
            .pointer("/HttpPutResponseHopLimit")
            .and_then(Value::as_i64)
        else {
            found.unknown(item, id, "the answer does not tell the hop limit");
            continue;
        };
        let what = match limit {
            ..=1 => "tokens stay on the instance".to_owned(),
            hops => format!("tokens go {hops} hops far, into containers behind a bridge"),
        };
        let finding = found.judge(limit <= 1, item, id, what).seen(item, field, limit);
        if limit > 1 {
            finding
                .mend("# containers that need credentials get their own (IAM roles for service accounts, task roles)")
                .mend(format!(
                    "aws ec2 modify-instance-metadata-options{} --instance-id {} --http-put-response-hop-limit 1",
                    region(item),
                    word(id)
                ));
        }
    }
}

fn tags(all: &Collected, found: &mut Found) {
    for (item, id) in instances(all) {
        let options = item.value.pointer("/MetadataOptions").unwrap_or(&Value::Null);
        let is_told = text(options, "/InstanceMetadataTags") == "enabled" && !is_off(options);
        let what = match is_told {
            true => "the metadata service tells the instance's tags",
            false => "the metadata service does not tell tags",
        };
        let finding = found.judge(!is_told, item, id, what).seen(
            item,
            "MetadataOptions.InstanceMetadataTags",
            told(options, "/InstanceMetadataTags"),
        );
        if is_told {
            finding.mend(format!(
                "aws ec2 modify-instance-metadata-options{} --instance-id {} --instance-metadata-tags disabled",
                region(item),
                word(id)
            ));
        }
    }
}

fn defaults(all: &Collected, found: &mut Found) {
    for item in all.items("aws:metadata-defaults") {
        let tokens = text(&item.value, "/AccountLevel/HttpTokens");
        let is_required = tokens == "required";
        let what = match is_required {
            true => "new instances require tokens",
            false => "new instances that do not say otherwise answer without tokens",
        };
        let finding = found
            .judge(is_required, item, "default of the region", what)
            .seen(
                item,
                "AccountLevel.HttpTokens",
                told(&item.value, "/AccountLevel/HttpTokens"),
            );
        if !is_required {
            finding.mend(format!(
                "aws ec2 modify-instance-metadata-defaults{} --http-tokens required --http-put-response-hop-limit 1",
                region(item)
            ));
        }
    }
}

/// What instances get that are launched without settings of their own: by the account, then by the image.
enum Inherited {
    Required(&'static str),
    Optional,
    Unknown,
}

fn inherited(all: &Collected, item: &Item, image: &str) -> Inherited {
    let mut levels = all.of_scope("aws:metadata-defaults", &item.scope);
    let level = levels.next().filter(|_| levels.next().is_none());
    let tokens = level.map(|level| text(&level.value, "/AccountLevel/HttpTokens"));
    match tokens {
        Some("required") => return Inherited::Required("by the account's default"),
        Some("optional") => return Inherited::Optional,
        _ => {}
    }
    let own = all
        .items("aws:image")
        .iter()
        .find(|found| text(&found.value, "/ImageId") == image && !image.is_empty());
    match own.map(|found| text(&found.value, "/ImdsSupport")) {
        Some("v2.0") => Inherited::Required("by the image's `ImdsSupport`"),
        // The account says nothing, and neither does the image.
        Some(_) if level.is_some() => Inherited::Optional,
        _ => Inherited::Unknown,
    }
}

fn templates(all: &Collected, found: &mut Found) {
    let items = all.items("aws:launch-template-version");
    for item in items {
        let id = text(&item.value, "/LaunchTemplateId");
        let number = item
            .value
            .get("VersionNumber")
            .and_then(Value::as_i64)
            .unwrap_or(0);
        // Versions never change; those that somebody gets without asking for them count.
        let is_latest = !items.iter().any(|other| {
            text(&other.value, "/LaunchTemplateId") == id
                && other
                    .value
                    .get("VersionNumber")
                    .and_then(Value::as_i64)
                    .unwrap_or(0)
                    > number
        });
        let is_default = is_true(&item.value, "/DefaultVersion");
        if !(is_default || is_latest) {
            continue;
        }
        let role = match (is_default, is_latest) {
            (true, true) => "default and latest",
            (true, false) => "default",
            _ => "latest",
        };
        let name = text(&item.value, "/LaunchTemplateName");
        let resource = format!("{id} ({name}), {role} version");
        let data = item.value.pointer("/LaunchTemplateData").unwrap_or(&Value::Null);
        let options = data.pointer("/MetadataOptions").unwrap_or(&Value::Null);
        judge(
            all,
            found,
            item,
            resource,
            options,
            text(data, "/ImageId"),
            "LaunchTemplateData.MetadataOptions",
            |finding| {
                finding
                .mend(format!(
                    "aws ec2 create-launch-template-version{} --launch-template-id {} --source-version {number} --launch-template-data \
                     '{{\"MetadataOptions\":{{\"HttpTokens\":\"required\",\"HttpPutResponseHopLimit\":1}}}}'",
                    region(item),
                    word(id)
                ))
                .mend(format!(
                    "aws ec2 modify-launch-template{} --launch-template-id {} --default-version NEW_VERSION",
                    region(item),
                    word(id)
                ));
            },
        );
    }
}

fn configurations(all: &Collected, found: &mut Found) {
    for item in all.items("aws:launch-configuration") {
        let name = text(&item.value, "/LaunchConfigurationName");
        let options = item.value.pointer("/MetadataOptions").unwrap_or(&Value::Null);
        judge(
            all,
            found,
            item,
            name.to_owned(),
            options,
            text(&item.value, "/ImageId"),
            "MetadataOptions",
            |finding| {
                finding
                .mend("# launch configurations cannot be changed: make a launch template and give it to the group")
                .mend(format!(
                    "aws autoscaling update-auto-scaling-group{} --auto-scaling-group-name GROUP --launch-template \
                     'LaunchTemplateId=NEW_TEMPLATE,Version=1'",
                    region(item)
                ));
            },
        );
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "what a template and a configuration differ in"
)]
fn judge(
    all: &Collected,
    found: &mut Found,
    item: &Item,
    resource: String,
    options: &Value,
    image: &str,
    field: &str,
    mend: impl Fn(&mut crate::audit::finding::Finding),
) {
    if is_off(options) {
        found.pass(item, resource, "the metadata service is off").seen(
            item,
            &format!("{field}.HttpEndpoint"),
            "disabled",
        );
        return;
    }
    let field = format!("{field}.HttpTokens");
    match text(options, "/HttpTokens") {
        "required" => {
            found
                .pass(item, resource, "tokens are required")
                .seen(item, &field, "required");
        }
        "optional" => {
            let finding = found
                .fail(
                    item,
                    resource,
                    "what it launches answers on the metadata address without a token",
                )
                .seen(item, &field, "optional");
            mend(finding);
        }
        _ => match inherited(all, item, image) {
            Inherited::Required(why) => {
                found
                    .pass(item, resource, format!("tokens are required {why}"))
                    .seen(item, &field, "(not set)");
            }
            Inherited::Optional => {
                let finding = found
                    .fail(
                        item,
                        resource,
                        "it does not say, and neither the account's default nor the image requires tokens",
                    )
                    .seen(item, &field, "(not set)");
                mend(finding);
            }
            Inherited::Unknown => {
                let missing = match all.was_asked("aws:metadata-defaults", &item.scope) {
                    true => "the image's `ImdsSupport` (`aws ec2 describe-images`)",
                    false => "`aws ec2 get-instance-metadata-defaults`",
                };
                found
                    .unknown(
                        item,
                        resource,
                        format!("it does not say whether tokens are required, so that account and image decide; not collected: {missing}"),
                    )
                    .seen(item, &field, "(not set)");
            }
        },
    }
}
