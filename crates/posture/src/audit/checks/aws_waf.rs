//! Web application firewalls of AWS against requests that lead to the metadata address.
//!
//! <https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-baseline.html>

use serde_json::Value;

use crate::audit::at::{has, last, list, text, texts, word};
use crate::audit::check::{Check, Platform, Severity};
use crate::audit::collected::{Collected, Item};
use crate::audit::finding::Found;

/// The managed rules and the one group that they are in.
const GROUP: &str = "AWSManagedRulesCommonRuleSet";
const RULES_OF_GROUP: [&str; 4] = [
    "EC2MetaDataSSRF_BODY",
    "EC2MetaDataSSRF_COOKIE",
    "EC2MetaDataSSRF_URIPATH",
    "EC2MetaDataSSRF_QUERYARGUMENTS",
];

pub(crate) static RULES: Check = Check {
    id: "aws-waf-ssrf",
    title: "web ACLs block requests that carry the metadata address",
    row: "A7",
    techniques: &["T1552.005"],
    mitigations: &["M1037"],
    severity: Severity::Medium,
    platform: Platform::Aws,
    needs: &["aws:web-acl"],
    reads: &[],
    why: "A web application that fetches what a request names fetches the metadata address too. The common rule set knows its spellings, but \
          only where its rules block, and are not set to count.",
    ask: rules,
};

pub(crate) static ASSOCIATION: Check = Check {
    id: "aws-waf-association",
    title: "load balancers that face the internet are behind a web ACL that blocks the metadata address",
    row: "A7",
    techniques: &["T1552.005"],
    mitigations: &["M1037"],
    severity: Severity::Medium,
    platform: Platform::Aws,
    needs: &["aws:load-balancer", "aws:web-acl-resources"],
    reads: &["aws:web-acl"],
    why: "A web ACL protects nothing until it is associated with what takes the requests.",
    ask: association,
};

/// What a web ACL does with such requests.
enum State {
    Blocks,
    /// It does not, for this reason, which stands in this field.
    Open(String, String),
    /// It does for some requests only.
    Partly(String, String),
}

fn state(acl: &Value) -> State {
    let mut rules: Vec<&Value> = list(acl, "/Rules").iter().collect();
    rules.sort_by_key(|rule| rule.get("Priority").and_then(Value::as_i64).unwrap_or(0));
    let mut allowed_before: Option<&str> = None;
    let mut reason = (
        format!("it has no rule with the group `{GROUP}`"),
        "WebACL.Rules".to_owned(),
    );
    for rule in rules {
        let name = text(rule, "/Name");
        if has(rule, "/Action/Allow") {
            allowed_before = Some(name);
        }
        let group = rule
            .pointer("/Statement/ManagedRuleGroupStatement")
            .unwrap_or(&Value::Null);
        if text(group, "/VendorName") != "AWS" || text(group, "/Name") != GROUP {
            continue;
        }
        if has(rule, "/OverrideAction/Count") {
            reason = (
                format!("the rule `{name}` only counts what the group finds"),
                format!("Rules[{name}].OverrideAction"),
            );
            continue;
        }
        let excluded: Vec<&str> = list(group, "/ExcludedRules")
            .iter()
            .map(|rule| text(rule, "/Name"))
            .filter(|name| RULES_OF_GROUP.contains(name))
            .collect();
        let overridden: Vec<&str> = list(group, "/RuleActionOverrides")
            .iter()
            .filter(|one| !has(one, "/ActionToUse/Block"))
            .map(|one| text(one, "/Name"))
            .filter(|name| RULES_OF_GROUP.contains(name))
            .collect();
        let off: Vec<&str> = excluded.into_iter().chain(overridden).collect();
        if !off.is_empty() {
            reason = (
                format!("in the rule `{name}`, {} do not block", off.join(", ")),
                format!("Rules[{name}].Statement.ManagedRuleGroupStatement.RuleActionOverrides"),
            );
            continue;
        }
        if has(group, "/ScopeDownStatement") {
            return State::Partly(
                format!("the rule `{name}` looks at some requests only"),
                format!("Rules[{name}].Statement.ManagedRuleGroupStatement.ScopeDownStatement"),
            );
        }
        if let Some(before) = allowed_before {
            return State::Partly(
                format!("the rule `{before}` allows some requests before the group sees them"),
                format!("Rules[{before}].Action"),
            );
        }
        return State::Blocks;
    }
    State::Open(reason.0, reason.1)
}

fn acl_of(item: &Item) -> &Value {
    item.value.pointer("/WebACL").unwrap_or(&Value::Null)
}

fn rules(all: &Collected, found: &mut Found) {
    for item in all.items("aws:web-acl") {
        let acl = acl_of(item);
        let resource = text(acl, "/ARN");
        match state(acl) {
            State::Blocks => {
                found
                    .pass(
                        item,
                        resource,
                        format!("the group `{GROUP}` blocks requests with the metadata address"),
                    )
                    .seen(item, "WebACL.Rules", GROUP);
            }
            State::Partly(why, field) => {
                found.unknown(item, resource, why).seen(item, &field, "");
            }
            State::Open(why, field) => {
                found.fail(item, resource, why).seen(item, &field, "").mend(format!(
                    "# put this rule into the ACL (aws wafv2 get-web-acl, then aws wafv2 update-web-acl --name {} --id {} …):",
                    word(text(acl, "/Name")),
                    word(text(acl, "/Id"))
                ))
                .mend(format!(
                    "{{\"Name\":\"common\",\"Priority\":0,\"OverrideAction\":{{\"None\":{{}}}},\"Statement\":{{\"ManagedRuleGroupStatement\":\
                     {{\"VendorName\":\"AWS\",\"Name\":\"{GROUP}\"}}}},\"VisibilityConfig\":{{\"SampledRequestsEnabled\":true,\
                     \"CloudWatchMetricsEnabled\":true,\"MetricName\":\"common\"}}}}"
                ));
            }
        }
    }
}

/// The web ACL whose resources a file lists: merged into one object with it, or named in the file's name by its id, as `neph collect` does,
/// or by its own name at the end. Where several could be meant, none is.
fn acl_of_list<'a>(all: &'a Collected, item: &'a Item) -> Option<&'a Item> {
    let own = text(&item.value, "/WebACL/ARN");
    let file = last(&item.file);
    let stem = file.strip_suffix(".json").unwrap_or(file);
    let only = |is_meant: &dyn Fn(&Value) -> bool| {
        let mut meant = all
            .of_scope("aws:web-acl", &item.scope)
            .filter(|acl| is_meant(acl_of(acl)));
        meant.next().filter(|_| meant.next().is_none())
    };
    if !own.is_empty() {
        return only(&|acl| text(acl, "/ARN") == own);
    }
    let stem = stem
        .strip_prefix("wafv2-list-resources-for-web-acl")
        .unwrap_or(stem);
    let is_edge = |text: &str, at_end: bool| {
        let next = if at_end {
            text.chars().next_back()
        } else {
            text.chars().next()
        };
        next.is_none_or(|c| matches!(c, '-' | '_' | '.'))
    };
    let has_id = |acl: &Value| {
        let id = text(acl, "/Id");
        let mut cuts = stem.match_indices(id).filter(|_| !id.is_empty());
        cuts.any(|(at, _)| {
            let (before, after) = (stem.get(..at), stem.get(at + id.len()..));
            before.is_some_and(|part| is_edge(part, true)) && after.is_some_and(|part| is_edge(part, false))
        })
    };
    let is_named = |acl: &Value| {
        let name = text(acl, "/Name");
        let before = stem.strip_suffix(name).filter(|_| !name.is_empty());
        before.is_some_and(|before| is_edge(before, true))
    };
    only(&has_id).or_else(|| only(&is_named))
}

fn association(all: &Collected, found: &mut Found) {
    for item in all.items("aws:load-balancer") {
        let balancer = &item.value;
        // Web ACLs go with application load balancers alone.
        if text(balancer, "/Type") != "application" || text(balancer, "/Scheme") != "internet-facing" {
            continue;
        }
        let arn = text(balancer, "/LoadBalancerArn");
        let list = all
            .items("aws:web-acl-resources")
            .iter()
            .chain(all.items("aws:web-acl"))
            .find(|list| texts(&list.value, "/ResourceArns").contains(&arn));
        let resource = arn;
        let Some(list) = list else {
            if all.was_asked("aws:web-acl-resources", &item.scope) {
                found
                    .fail(item, resource, "no web ACL is associated with it")
                    .seen(item, "Scheme", "internet-facing")
                    .mend(format!(
                        "aws wafv2 associate-web-acl --region {} --web-acl-arn WEB_ACL_ARN --resource-arn {}",
                        word(&item.scope.region),
                        word(arn)
                    ));
            }
            continue;
        };
        let acl = match &*list.kind {
            "aws:web-acl" => Some(list),
            _ => acl_of_list(all, list),
        };
        let Some(acl) = acl else {
            found
                .unknown(
                    item,
                    resource,
                    "a web ACL is associated with it, but no file says which: keep its id in the name of the file, or both answers in one \
                     object (jq -s add)",
                )
                .seen(list, "ResourceArns", arn);
            continue;
        };
        let name = text(acl_of(acl), "/Name").to_owned();
        match state(acl_of(acl)) {
            State::Blocks => {
                found
                    .pass(
                        item,
                        resource,
                        format!("the web ACL `{name}` blocks the metadata address"),
                    )
                    .seen(list, "ResourceArns", arn);
            }
            State::Partly(why, field) => {
                found
                    .unknown(item, resource, format!("of the web ACL `{name}`: {why}"))
                    .seen(acl, &field, "");
            }
            State::Open(why, field) => {
                found
                    .fail(
                        item,
                        resource,
                        format!("its web ACL `{name}` does not block the metadata address: {why}"),
                    )
                    .seen(acl, &field, "")
                    .mend("# see the fix of `aws-waf-ssrf` for that web ACL");
            }
        }
    }
}
