//! Images that are not the same tomorrow: `latest`, tags that can be moved; and whether anything verifies what is run.

use std::collections::BTreeSet;

use serde_json::Value;

use super::image_reference::{Firmness, Reference};
use crate::audit::at::{list, text, told, word};
use crate::audit::check::{Check, Platform, Severity};
use crate::audit::collected::{Collected, Item};
use crate::audit::finding::{Found, Outcome};

pub(crate) static LATEST: Check = Check {
    id: "image-latest",
    title: "container images are named by more than `latest`",
    row: "D5",
    techniques: &["T1525"],
    mitigations: &["M1026", "M1045"],
    severity: Severity::Medium,
    platform: Platform::Code,
    needs: &[],
    reads: &[
        "code:dockerfile",
        "code:compose",
        "k8s:workload",
        "k8s:Pod",
        "code:terraform",
    ],
    why: "Whoever can push once replaces what runs everywhere at the next start, and nothing in the manifest shows it.",
    ask: |all, found| references(all, found, false),
};

pub(crate) static MUTABLE: Check = Check {
    id: "image-mutable-tag",
    title: "container images are named by their digest",
    row: "D5",
    techniques: &["T1525"],
    mitigations: &["M1026", "M1045"],
    severity: Severity::Low,
    platform: Platform::Code,
    needs: &[],
    reads: &[
        "code:dockerfile",
        "code:compose",
        "k8s:workload",
        "k8s:Pod",
        "code:terraform",
    ],
    why: "A tag can be moved to another image; a digest cannot.",
    ask: |all, found| references(all, found, true),
};

pub(crate) static REPOSITORY_MUTABLE: Check = Check {
    id: "aws-ecr-tag-mutable",
    title: "tags of ECR repositories cannot be moved",
    row: "D5",
    techniques: &["T1525"],
    mitigations: &["M1026", "M1045"],
    severity: Severity::Medium,
    platform: Platform::Aws,
    needs: &["aws:repository"],
    reads: &[],
    why: "Where tags can be moved, an image that is trusted by its tag can be replaced by whoever may push.",
    ask: |all, found| {
        for item in all.items("aws:repository") {
            let arn = text(&item.value, "/repositoryArn");
            let state = text(&item.value, "/imageTagMutability");
            let (holds, what) = match state {
                "IMMUTABLE" => (true, "its tags cannot be moved".to_owned()),
                "IMMUTABLE_WITH_EXCLUSION" => {
                    let but: Vec<&str> = list(&item.value, "/imageTagMutabilityExclusionFilters")
                        .iter()
                        .map(|filter| text(filter, "/filter"))
                        .collect();
                    let is_wide = but.contains(&"*");
                    (
                        !is_wide,
                        format!("its tags cannot be moved, but for {}", but.join(", ")),
                    )
                }
                _ => (false, "its tags can be moved to other images".to_owned()),
            };
            let finding = found.judge(holds, item, arn, what).seen(
                item,
                "imageTagMutability",
                told(&item.value, "/imageTagMutability"),
            );
            if !holds {
                finding.mend(format!(
                    "aws ecr put-image-tag-mutability --region {} --repository-name {} --image-tag-mutability IMMUTABLE",
                    word(&item.scope.region),
                    word(text(&item.value, "/repositoryName"))
                ));
            }
        }
    },
};

pub(crate) static TEMPLATE_LATEST: Check = Check {
    id: "aws-launch-template-latest-image",
    title: "launch templates name one machine image",
    row: "D5",
    techniques: &["T1525"],
    mitigations: &["M1026"],
    severity: Severity::Low,
    platform: Platform::Aws,
    needs: &["aws:launch-template-version"],
    reads: &[],
    why: "A parameter that is asked for its newest value at each launch lets whoever may write it choose the image of all machines to come.",
    ask: |all, found| {
        for item in all.items("aws:launch-template-version") {
            let data = item.value.pointer("/LaunchTemplateData").unwrap_or(&Value::Null);
            let image = text(data, "/ImageId");
            let number = item
                .value
                .get("VersionNumber")
                .and_then(Value::as_i64)
                .unwrap_or(0);
            if image.is_empty() {
                continue;
            }
            let resource = format!(
                "{} ({}), version {number}",
                text(&item.value, "/LaunchTemplateId"),
                text(&item.value, "/LaunchTemplateName")
            );
            // `resolve:ssm:NAME:5` names a version of the parameter; a label after the colon moves.
            let parameter = image.strip_prefix("resolve:ssm:");
            let is_firm = parameter.is_none_or(|parameter| {
                let version = parameter
                    .rsplit_once(':')
                    .filter(|_| !parameter.ends_with(':'))
                    .map(|(_, version)| version);
                version.is_some_and(|version| {
                    !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit())
                })
            });
            let what = match (parameter, is_firm) {
                (None, _) => "it names an image by its id",
                (_, true) => "it names a version of a parameter",
                (_, false) => "the image is whatever a parameter holds at the time of the launch",
            };
            let finding =
                found
                    .judge(is_firm, item, resource, what)
                    .seen(item, "LaunchTemplateData.ImageId", image);
            if !is_firm {
                finding.mend(format!(
                    "aws ec2 create-launch-template-version --launch-template-id {} --source-version {number} --launch-template-data \
                     '{{\"ImageId\":\"resolve:ssm:{}:VERSION\"}}'",
                    word(text(&item.value, "/LaunchTemplateId")),
                    parameter.unwrap_or("NAME").split(':').next().unwrap_or("NAME")
                ));
            }
        }
    },
};

pub(crate) static ADMISSION: Check = Check {
    id: "k8s-image-admission",
    title: "the cluster admits images only with a signature that is verified",
    row: "D4",
    techniques: &["T1525", "T1610"],
    mitigations: &["M1045", "M1047"],
    severity: Severity::Medium,
    platform: Platform::Kubernetes,
    needs: &["k8s:ValidatingWebhookConfiguration"],
    reads: &["k8s:ClusterPolicy"],
    why: "Nothing else stands between an image that somebody pushed and the nodes that run it.",
    ask: admission,
};

pub(crate) static HOST_POLICY: Check = Check {
    id: "host-image-policy",
    title: "container tools of the host accept signed images only",
    row: "D4",
    techniques: &["T1525"],
    mitigations: &["M1045"],
    severity: Severity::Low,
    platform: Platform::Host,
    needs: &[],
    reads: &["host:image-policy"],
    why: "Podman, Buildah, Skopeo and CRI-O take any image where their policy says `insecureAcceptAnything`.",
    ask: |all, found| {
        for item in all.items("host:image-policy") {
            let accepts = |rules: &[Value]| {
                rules
                    .iter()
                    .any(|rule| text(rule, "/type") == "insecureAcceptAnything")
            };
            let is_open = accepts(list(&item.value, "/default"));
            let what = match is_open {
                true => "images that no rule names are accepted without a signature",
                false => "images that no rule names are not accepted without a signature",
            };
            let finding = found.judge(!is_open, item, "containers/policy.json", what).seen(
                item,
                "default",
                told(&item.value, "/default"),
            );
            if is_open {
                finding.mend("# /etc/containers/policy.json: refuse by default, and name the keys of each registry that is used");
                finding.mend("{\"default\":[{\"type\":\"reject\"}],\"transports\":{\"docker\":{\"REGISTRY\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/etc/pki/KEY.pub\"}]}}}");
            }
        }
    },
};

/// An image that something names.
struct Named<'a> {
    item: &'a Item,
    /// What names it: `deployment web/api container app`.
    by: String,
    field: String,
    image: String,
    line: u32,
}

fn references(all: &Collected, found: &mut Found, by_digest: bool) {
    let mut named = of_dockerfiles(all);
    named.extend(of_compose(all));
    named.extend(of_kubernetes(all));
    named.extend(
        super::terraform::images(all)
            .into_iter()
            .map(|(item, by, field, image)| Named {
                item,
                by,
                field,
                line: item.line,
                image,
            }),
    );
    for one in named {
        let resource = match &*one.item.kind {
            kind if kind.starts_with("k8s:") && one.item.line == 0 => one.by.clone(),
            _ => format!("{} {}", one.item.file, one.by),
        };
        if one.image.contains('$') || one.image.contains("{{") {
            if !by_digest {
                let what = format!("what `{}` becomes is settled when it is used", one.image);
                found
                    .unknown(one.item, resource, what)
                    .seen_at(one.item, one.line, &one.field, &one.image);
            }
            continue;
        }
        let reference = Reference::of(&one.image);
        let firmness = reference.firmness();
        let (holds, what) = match (firmness, by_digest) {
            (Firmness::Latest, false) if reference.tag.is_none() => {
                (false, format!("`{}` has no tag, which is `latest`", one.image))
            }
            (Firmness::Latest, false) => (false, format!("`{}` is whatever was pushed last", one.image)),
            (_, false) => (true, format!("`{}` says more than `latest`", one.image)),
            (Firmness::Pinned, true) => (true, format!("`{}` is named by its digest", one.image)),
            // Told by the other check.
            (Firmness::Latest, true) => continue,
            (Firmness::Tagged, true) => (false, format!("the tag of `{}` can be moved", one.image)),
        };
        let finding = found
            .judge(holds, one.item, resource, what)
            .seen_at(one.item, one.line, &one.field, &one.image);
        if !holds {
            finding.mend(format!("# ask the registry for the digest of what you tested: skopeo inspect --format '{{{{.Digest}}}}' docker://{}", one.image));
            finding.mend(format!("{}:TAG@sha256:DIGEST", reference.name));
        }
    }
}

/// `FROM` and `COPY --from` of Dockerfiles. <https://docs.docker.com/reference/dockerfile/#from>
fn of_dockerfiles(all: &Collected) -> Vec<Named<'_>> {
    let mut found = Vec::new();
    for item in all.items("code:dockerfile") {
        let mut arguments: Vec<(String, String)> = Vec::new();
        let mut stages: BTreeSet<String> = BTreeSet::new();
        let mut is_inside = false;
        for (line, instruction) in instructions(&item.text) {
            let mut words = instruction.split_whitespace();
            let keyword = words.next().unwrap_or("").to_ascii_uppercase();
            let words: Vec<&str> = words.collect();
            match keyword.as_str() {
                // Arguments before the first stage are for `FROM`.
                "ARG" if !is_inside => {
                    for word in words {
                        if let Some((name, value)) = word.split_once('=') {
                            arguments.push((name.to_owned(), value.trim_matches(['"', '\'']).to_owned()));
                        }
                    }
                }
                "FROM" => {
                    is_inside = true;
                    let mut rest = words.iter().copied().filter(|word| !word.starts_with("--"));
                    let image = filled(rest.next().unwrap_or(""), &arguments);
                    let is_stage =
                        stages.contains(&image.to_lowercase()) || image == "scratch" || image.is_empty();
                    if let (Some(word), Some(name)) = (rest.next(), rest.next())
                        && word.eq_ignore_ascii_case("as")
                    {
                        stages.insert(name.to_lowercase());
                    }
                    if !is_stage {
                        found.push(Named {
                            item,
                            by: format!("FROM {image}"),
                            field: "FROM".to_owned(),
                            image,
                            line,
                        });
                    }
                }
                "COPY" | "ADD" => {
                    let from = words.iter().find_map(|word| word.strip_prefix("--from="));
                    let Some(image) = from.map(|from| filled(from, &arguments)) else {
                        continue;
                    };
                    let is_number = image.bytes().all(|byte| byte.is_ascii_digit());
                    // A stage, a stage's number, or a context that is given when it is built.
                    let is_image = image.contains(['/', ':', '@']) && !stages.contains(&image.to_lowercase());
                    if is_image && !is_number {
                        found.push(Named {
                            item,
                            by: format!("COPY --from={image}"),
                            field: "COPY --from".to_owned(),
                            image,
                            line,
                        });
                    }
                }
                _ => {}
            }
        }
    }
    found
}

/// Instructions with their first lines, continuations joined and comments left out.
fn instructions(text: &str) -> Vec<(u32, String)> {
    let escape = text
        .lines()
        .take_while(|line| line.starts_with('#'))
        .find_map(|line| {
            line.trim_start_matches(['#', ' '])
                .to_lowercase()
                .strip_prefix("escape=")
                .and_then(|rest| rest.chars().next())
        })
        .unwrap_or('\\');
    let mut found: Vec<(u32, String)> = Vec::new();
    let mut open: Option<(u32, String)> = None;
    let mut heredoc: Option<String> = None;
    for (index, line) in text.lines().enumerate() {
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        if let Some(end) = &heredoc {
            if line.trim() == end.as_str() {
                heredoc = None;
            }
            continue;
        }
        let trimmed = line.trim();
        if trimmed.starts_with('#') || trimmed.is_empty() && open.is_none() {
            continue;
        }
        let (first, mut joined) = open.take().unwrap_or((number, String::new()));
        match trimmed.strip_suffix(escape) {
            Some(part) => {
                joined.push_str(part);
                joined.push(' ');
                open = Some((first, joined));
            }
            None => {
                joined.push_str(trimmed);
                let is_script = ["RUN", "COPY", "ADD"]
                    .iter()
                    .any(|keyword| joined.to_ascii_uppercase().starts_with(keyword));
                if let Some((_, rest)) = joined.split_once("<<").filter(|_| is_script) {
                    let end: String = rest
                        .trim_start_matches(['-', '"', '\''])
                        .chars()
                        .take_while(|character| character.is_alphanumeric() || *character == '_')
                        .collect();
                    if !end.is_empty() {
                        heredoc = Some(end);
                    }
                }
                found.push((first, joined));
            }
        }
    }
    found.extend(open);
    found
}

/// Puts the defaults of arguments in; what has none stays as it is written.
fn filled(written: &str, arguments: &[(String, String)]) -> String {
    let mut out = written.trim_matches(['"', '\'']).to_owned();
    for (name, value) in arguments.iter().rev() {
        out = out.replace(&format!("${{{name}}}"), value);
        let plain = format!("${name}");
        if let Some(at) = out.find(&plain) {
            let next = out.get(at + plain.len()..).and_then(|rest| rest.chars().next());
            if !next.is_some_and(|next| next.is_alphanumeric() || next == '_') {
                out = out.replacen(&plain, value, 1);
            }
        }
    }
    // `${NAME:-default}`
    while let Some(start) = out.find("${")
        && let Some(end) = out
            .get(start..)
            .and_then(|rest| rest.find('}'))
            .map(|at| start + at)
        && let Some((_, default)) = out.get(start + 2..end).and_then(|inner| inner.split_once(":-"))
    {
        let default = default.to_owned();
        out.replace_range(start..=end, &default);
    }
    out
}

fn of_compose(all: &Collected) -> Vec<Named<'_>> {
    let mut found = Vec::new();
    for item in all.items("code:compose") {
        let services = item.value.get("services").and_then(Value::as_object);
        for (name, service) in services.into_iter().flatten() {
            let image = text(service, "/image");
            // What is built here is named here.
            if image.is_empty() || service.get("build").is_some() {
                continue;
            }
            found.push(Named {
                item,
                by: format!("service {name}"),
                field: format!("services.{name}.image"),
                image: filled(image, &[]),
                line: line_of(item, image),
            });
        }
    }
    found
}

/// The line of a YAML document on which an image is named.
fn line_of(item: &Item, image: &str) -> u32 {
    let names =
        |line: &str| line.trim_start_matches(['-', ' ']).starts_with("image:") && line.contains(image);
    let mut lines = item.text.lines();
    let found = lines
        .clone()
        .position(names)
        .or_else(|| lines.position(|line| line.contains(image)));
    match found {
        Some(index) => item.line + u32::try_from(index).unwrap_or(0),
        None => item.line,
    }
}

fn of_kubernetes(all: &Collected) -> Vec<Named<'_>> {
    let mut found = Vec::new();
    for (item, name, specification) in super::kubernetes_network::workloads(all) {
        for list_name in ["initContainers", "containers", "ephemeralContainers"] {
            for container in list(specification, &format!("/{list_name}")) {
                let image = text(container, "/image");
                if image.is_empty() {
                    continue;
                }
                found.push(Named {
                    item,
                    by: format!("{name} container {}", text(container, "/name")),
                    field: format!("{list_name}[{}].image", text(container, "/name")),
                    image: image.to_owned(),
                    line: line_of(item, image),
                });
            }
        }
    }
    found
}

/// Words in the names of webhooks and resources of those that verify signatures.
/// <https://docs.sigstore.dev/policy-controller/overview/>, <https://ratify.dev>, <https://sse-secure-systems.github.io/connaisseur/>
const VERIFIERS: [&str; 5] = [
    "policy.sigstore.dev",
    "connaisseur",
    "ratify",
    "imagepolicy",
    "portieris",
];

fn admission(all: &Collected, found: &mut Found) {
    for scope in all.scopes(Platform::Kubernetes) {
        let mut verifies: Option<(&Item, String, bool)> = None;
        for item in all.of_scope("k8s:ValidatingWebhookConfiguration", scope) {
            for webhook in list(&item.value, "/webhooks") {
                let name = text(webhook, "/name");
                let is_verifier = VERIFIERS.iter().any(|word| name.to_lowercase().contains(word));
                if is_verifier {
                    // One that fails open is none when it matters.
                    let is_closed = text(webhook, "/failurePolicy") != "Ignore";
                    if !verifies.as_ref().is_some_and(|(.., closed)| *closed) {
                        verifies = Some((item, format!("webhook {name}"), is_closed));
                    }
                }
            }
        }
        for kind in ["k8s:ClusterPolicy", "k8s:ImageValidatingPolicy"] {
            for item in all.of_scope(kind, scope) {
                let rules = list(&item.value, "/spec/rules");
                let verifying: Vec<&Value> = rules
                    .iter()
                    .filter(|rule| !list(rule, "/verifyImages").is_empty())
                    .collect();
                if verifying.is_empty() && kind == "k8s:ClusterPolicy" {
                    continue;
                }
                // The action of each rule goes before that of the policy.
                let outer = text(&item.value, "/spec/validationFailureAction");
                let acts = |rule: &&Value| {
                    let inner = list(rule, "/verifyImages")
                        .iter()
                        .map(|one| text(one, "/failureAction"))
                        .find(|action| !action.is_empty());
                    inner.unwrap_or(outer).eq_ignore_ascii_case("enforce")
                };
                let enforces = match kind {
                    "k8s:ClusterPolicy" => verifying.iter().any(acts),
                    _ => texts_contain(&item.value, "Deny"),
                };
                if !verifies.as_ref().is_some_and(|(.., closed)| *closed) {
                    verifies = Some((
                        item,
                        format!("policy {}", text(&item.value, "/metadata/name")),
                        enforces,
                    ));
                }
            }
        }
        let fix = [
            "# with Sigstore's policy controller, for example (helm install policy-controller sigstore/policy-controller), and a policy:",
            "{\"apiVersion\":\"policy.sigstore.dev/v1beta1\",\"kind\":\"ClusterImagePolicy\",\"metadata\":{\"name\":\"signed\"},\"spec\":{\"images\":\
             [{\"glob\":\"**\"}],\"authorities\":[{\"key\":{\"secretRef\":{\"name\":\"cosign-public-key\"}}}]}}",
        ];
        match verifies {
            Some((item, by, true)) => {
                found
                    .add(
                        Outcome::Pass,
                        scope,
                        "admission",
                        format!("signatures are verified by {by}"),
                    )
                    .seen(item, "metadata.name", text(&item.value, "/metadata/name"));
            }
            Some((item, by, false)) => {
                let finding = found.add(
                    Outcome::Fail,
                    scope,
                    "admission",
                    format!("{by} verifies signatures, but lets images in when it fails"),
                );
                finding
                    .seen(item, "failurePolicy", "Ignore")
                    .mend("# set failurePolicy: Fail, or the action of the policy to Enforce")
                    .at(Severity::Low);
            }
            None if all.was_asked("k8s:ValidatingWebhookConfiguration", scope) => {
                let finding = found.add(
                    Outcome::Fail,
                    scope,
                    "admission",
                    "nothing verifies signatures of images",
                );
                for line in fix {
                    finding.mend(line);
                }
            }
            // Told as not collected.
            None => {}
        }
    }
}

fn texts_contain(value: &Value, word: &str) -> bool {
    list(value, "/spec/validationActions")
        .iter()
        .any(|action| action == word)
}
