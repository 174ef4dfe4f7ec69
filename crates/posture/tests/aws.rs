//! AWS's evaluation: what its documentation says of examples, and what holds of all policies.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails may panic"
)]
use std::sync::Arc;

use neph_posture::glob::{Case, Pattern, Segments};
use neph_posture::policy::aws::{
    Context, Document, Policies, Policy, Principal, PrincipalKind, Request, evaluate,
};
use neph_posture::{Decision, Verdict};
use proptest::prelude::*;
use serde_json::{Value, json};

const VOLUME: &str = "arn:aws:ec2:eu-west-1:111122223333:volume/vol-1";

fn user(name: &str) -> Principal {
    Principal {
        arn: format!("arn:aws:iam::111122223333:user/{name}"),
        account: "111122223333".to_owned(),
        kind: PrincipalKind::User,
    }
}

fn session(role: &str) -> Principal {
    Principal {
        arn: format!("arn:aws:sts::111122223333:assumed-role/{role}/s1"),
        account: "111122223333".to_owned(),
        kind: PrincipalKind::Session {
            role: format!("arn:aws:iam::111122223333:role/{role}"),
        },
    }
}

fn policy(statements: Value) -> Policy {
    let document = json!({"Version": "2012-10-17", "Statement": statements});
    Policy::new("policy p", Document::read(&document).unwrap())
}

fn allow(action: &str) -> Policy {
    policy(json!([{"Effect": "Allow", "Action": action, "Resource": "*"}]))
}

fn deny(action: &str) -> Policy {
    policy(json!([{"Effect": "Deny", "Action": action, "Resource": "*"}]))
}

fn of(identity: Vec<Policy>) -> Policies {
    Policies {
        identity,
        ..Policies::default()
    }
}

fn decide_as(
    principal: &Principal,
    policies: &Policies,
    action: &str,
    resource: &str,
    owner: Option<&str>,
    context: &Context,
) -> Decision {
    let resource = Pattern::literal(resource, Case::Kept);
    evaluate(
        policies,
        &Request {
            principal,
            action,
            resource: &resource,
            resource_account: owner,
            context,
        },
    )
}

fn decide(policies: &Policies, action: &str) -> Verdict {
    decide_as(&user("ann"), policies, action, VOLUME, None, &Context::complete()).verdict
}

#[test]
fn nothing_is_allowed_by_itself_and_denials_win() {
    assert_eq!(decide(&of(vec![]), "ec2:CreateSnapshot"), Verdict::Denied);
    assert_eq!(
        decide(&of(vec![allow("ec2:create*")]), "ec2:CreateSnapshot"),
        Verdict::Allowed
    );
    assert_eq!(
        decide(&of(vec![allow("*"), deny("ec2:*Snapshot")]), "ec2:CreateSnapshot"),
        Verdict::Denied
    );
    let but = policy(json!([{"Effect": "Allow", "NotAction": ["iam:*", "ec2:Delete*"], "Resource": "*"}]));
    assert_eq!(
        decide(&of(vec![but.clone()]), "ec2:CreateSnapshot"),
        Verdict::Allowed
    );
    assert_eq!(decide(&of(vec![but]), "ec2:DeleteSnapshot"), Verdict::Denied);
}

/// The intersections of the page on permissions boundaries:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html>
#[test]
fn boundaries_control_policies_and_sessions_intersect() {
    let with_boundary = |boundary| Policies {
        boundary: Some(boundary),
        ..of(vec![allow("ec2:*")])
    };
    assert_eq!(
        decide(&with_boundary(allow("ec2:Create*")), "ec2:CreateSnapshot"),
        Verdict::Allowed
    );
    assert_eq!(
        decide(&with_boundary(allow("s3:*")), "ec2:CreateSnapshot"),
        Verdict::Denied
    );
    // A boundary alone grants nothing.
    let alone = Policies {
        boundary: Some(allow("*")),
        ..Policies::default()
    };
    assert_eq!(decide(&alone, "ec2:CreateSnapshot"), Verdict::Denied);
    let controlled = |levels| Policies {
        service_control: levels,
        ..of(vec![allow("ec2:*")])
    };
    assert_eq!(
        decide(
            &controlled(vec![vec![allow("*")], vec![allow("ec2:*")]]),
            "ec2:CreateSnapshot"
        ),
        Verdict::Allowed
    );
    assert_eq!(
        decide(
            &controlled(vec![vec![allow("*")], vec![allow("s3:*")]]),
            "ec2:CreateSnapshot"
        ),
        Verdict::Denied
    );
    assert_eq!(
        decide(
            &controlled(vec![vec![allow("*"), deny("ec2:*")]]),
            "ec2:CreateSnapshot"
        ),
        Verdict::Denied
    );
    let in_session = |session| Policies {
        session: Some(session),
        ..of(vec![allow("ec2:*")])
    };
    assert_eq!(
        decide(&in_session(vec![allow("ec2:Describe*")]), "ec2:CreateSnapshot"),
        Verdict::Denied
    );
    assert_eq!(
        decide(
            &in_session(vec![allow("ec2:Describe*"), allow("*")]),
            "ec2:CreateSnapshot"
        ),
        Verdict::Allowed
    );
}

/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-single-account.html>:
/// in one account either side suffices, and implicit denials of a boundary limit a role but no user or session named itself.
#[test]
fn policies_of_resources_count_by_whom_they_name() {
    let queue = "arn:aws:sqs:eu-west-1:111122223333:q";
    let granting = |principal: Value| {
        Some(policy(
            json!([{"Effect": "Allow", "Principal": principal, "Action": "sqs:*", "Resource": "*"}]),
        ))
    };
    let check =
        |who: &Principal, resource: Option<Policy>, boundary: Option<Policy>, identity: Vec<Policy>| {
            let policies = Policies {
                resource,
                boundary,
                ..of(identity)
            };
            decide_as(
                who,
                &policies,
                "sqs:SendMessage",
                queue,
                Some("111122223333"),
                &Context::complete(),
            )
            .verdict
        };
    let ann = user("ann");
    assert_eq!(
        check(&ann, granting(json!({"AWS": ann.arn})), None, vec![]),
        Verdict::Allowed
    );
    assert_eq!(check(&ann, granting(json!("*")), None, vec![]), Verdict::Allowed);
    assert_eq!(
        check(&ann, granting(json!({"AWS": "111122223333"})), None, vec![]),
        Verdict::Denied
    );
    assert_eq!(
        check(
            &ann,
            granting(json!({"AWS": "arn:aws:iam::111122223333:root"})),
            None,
            vec![allow("sqs:*")]
        ),
        Verdict::Allowed
    );
    assert_eq!(
        check(
            &ann,
            granting(json!({"AWS": ann.arn})),
            Some(allow("s3:*")),
            vec![]
        ),
        Verdict::Allowed
    );
    let work = session("work");
    let role = json!({"AWS": "arn:aws:iam::111122223333:role/work"});
    assert_eq!(
        check(&work, granting(role.clone()), None, vec![]),
        Verdict::Allowed
    );
    assert_eq!(
        check(&work, granting(role), Some(allow("s3:*")), vec![]),
        Verdict::Denied
    );
    assert_eq!(
        check(
            &work,
            granting(json!({"AWS": work.arn})),
            Some(allow("s3:*")),
            vec![]
        ),
        Verdict::Allowed
    );
    assert_eq!(
        check(&work, granting(json!("*")), Some(allow("s3:*")), vec![]),
        Verdict::Allowed
    );
    assert_eq!(
        check(&ann, granting(json!("*")), Some(allow("s3:*")), vec![]),
        Verdict::Allowed
    );
    // A denial of the boundary counts whoever grants.
    assert_eq!(
        check(
            &ann,
            granting(json!({"AWS": ann.arn})),
            Some(deny("sqs:*")),
            vec![]
        ),
        Verdict::Denied
    );
    let but_bob = Some(policy(json!([
        {"Effect": "Deny", "NotPrincipal": {"AWS": ann.arn}, "Action": "*", "Resource": "*"}
    ])));
    assert_eq!(
        check(&ann, but_bob.clone(), None, vec![allow("*")]),
        Verdict::Allowed
    );
    assert_eq!(
        check(&user("bob"), but_bob, None, vec![allow("*")]),
        Verdict::Denied
    );
}

#[test]
fn across_accounts_both_sides_have_to_agree() {
    let theirs = "arn:aws:sqs:eu-west-1:999988887777:q";
    let check = |resource: Option<Policy>, identity: Vec<Policy>| {
        let policies = Policies {
            resource,
            ..of(identity)
        };
        decide_as(
            &user("ann"),
            &policies,
            "sqs:SendMessage",
            theirs,
            Some("999988887777"),
            &Context::complete(),
        )
        .verdict
    };
    let granting = Some(policy(
        json!([{"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "sqs:*", "Resource": "*"}]),
    ));
    assert_eq!(check(granting.clone(), vec![allow("sqs:*")]), Verdict::Allowed);
    assert_eq!(check(granting, vec![]), Verdict::Denied);
    assert_eq!(check(None, vec![allow("sqs:*")]), Verdict::Denied);
}

/// <https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html>: without the key's policy nothing is allowed.
#[test]
fn keys_need_their_own_policy() {
    let key = "arn:aws:kms:eu-west-1:111122223333:key/k";
    let check = |resource: Option<Policy>, identity: Vec<Policy>| {
        let policies = Policies {
            resource,
            ..of(identity)
        };
        decide_as(
            &user("ann"),
            &policies,
            "kms:Decrypt",
            key,
            None,
            &Context::complete(),
        )
        .verdict
    };
    let to_account = Some(policy(
        json!([{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "kms:*", "Resource": "*"}]),
    ));
    let to_ann = Some(policy(
        json!([{"Effect": "Allow", "Principal": {"AWS": user("ann").arn}, "Action": "kms:*", "Resource": "*"}]),
    ));
    assert_eq!(check(None, vec![allow("kms:*")]), Verdict::Denied);
    assert_eq!(check(to_account.clone(), vec![allow("kms:*")]), Verdict::Allowed);
    assert_eq!(check(to_account, vec![]), Verdict::Denied);
    assert_eq!(check(to_ann, vec![]), Verdict::Allowed);
}

#[test]
fn what_is_not_known_makes_the_answer_depend() {
    let tagged = policy(json!([{
        "Sid": "Own", "Effect": "Allow", "Action": "ec2:*", "Resource": "*",
        "Condition": {"StringEquals": {"ec2:ResourceTag/team": "dev"}, "Bool": {"aws:MultiFactorAuthPresent": "true"}}
    }]));
    let decision = decide_as(
        &user("ann"),
        &of(vec![tagged]),
        "ec2:CreateSnapshot",
        VOLUME,
        None,
        &Context::partial(),
    );
    assert_eq!(decision.verdict, Verdict::Depends);
    assert_eq!(decision.by, ["policy p → Own"]);
    assert_eq!(
        decision.provisos[0].to_string(),
        "if StringEquals ec2:ResourceTag/team = dev and Bool aws:MultiFactorAuthPresent = true"
    );
    let unless = policy(json!([
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "ec2:*", "Resource": "*", "Condition": {"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}}
    ]));
    let decision = decide_as(
        &user("ann"),
        &of(vec![unless]),
        "ec2:CreateSnapshot",
        VOLUME,
        None,
        &Context::partial(),
    );
    assert_eq!(
        decision.provisos[0].to_string(),
        "unless NotIpAddress aws:SourceIp = 203.0.113.0/24"
    );
}

#[test]
fn a_question_about_a_kind_of_resources_names_the_part() {
    let some = policy(json!([
        {"Effect": "Allow", "Action": "ec2:DeleteSnapshot", "Resource": "arn:aws:ec2:eu-west-1::snapshot/*"},
        {"Effect": "Deny", "Action": "ec2:DeleteSnapshot", "Resource": "arn:aws:ec2:*::snapshot/snap-0a"}
    ]));
    let all = Pattern::new("arn:aws:ec2:*::snapshot/*", Case::Kept, Segments::Within);
    let (ann, context) = (user("ann"), Context::partial());
    let mut request = Request {
        principal: &ann,
        action: "ec2:DeleteSnapshot",
        resource: &all,
        resource_account: None,
        context: &context,
    };
    let told = |request: &Request<'_>| -> Vec<String> {
        let decision = evaluate(&of(vec![some.clone()]), request);
        decision.provisos.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        told(&request),
        [
            "if the resource is `arn:aws:ec2:eu-west-1::snapshot/*`",
            "unless the resource is `arn:aws:ec2:*::snapshot/snap-0a`"
        ]
    );
    let volumes = Pattern::new("arn:aws:ec2:*:*:volume/*", Case::Kept, Segments::Within);
    request.resource = &volumes;
    assert_eq!(
        evaluate(&of(vec![some.clone()]), &request).verdict,
        Verdict::Denied
    );
}

#[test]
fn variables_are_filled_from_the_request() {
    let own = policy(
        json!([{"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::home/${aws:username}/*"}]),
    );
    let check = |user_name: &str, resource: &str| {
        let mut context = Context::complete();
        context.set("aws:username", [user_name]);
        decide_as(
            &user("x"),
            &of(vec![own.clone()]),
            "s3:GetObject",
            resource,
            None,
            &context,
        )
        .verdict
    };
    assert_eq!(check("ann", "arn:aws:s3:::home/ann/a"), Verdict::Allowed);
    assert_eq!(check("ann", "arn:aws:s3:::home/bob/a"), Verdict::Denied);
    // A name that looks like a pattern is none.
    assert_eq!(check("*", "arn:aws:s3:::home/bob/a"), Verdict::Denied);
}

fn statements() -> impl Strategy<Value = Vec<Value>> {
    let action = prop::sample::select(vec![
        "*",
        "ec2:*",
        "ec2:Create*",
        "ec2:CreateSnapshot",
        "EC2:create?napshot",
        "s3:*",
    ]);
    let resource = prop::sample::select(vec![
        "*",
        VOLUME,
        "arn:aws:ec2:*:*:volume/*",
        "arn:aws:ec2:*::snapshot/*",
        "arn:aws:s3:::b",
    ]);
    let condition = prop::sample::select(vec![
        json!({}),
        json!({"StringEquals": {"k": "a"}}),
        json!({"StringNotLike": {"k": "b*"}}),
        json!({"Null": {"j": "true"}}),
        json!({"ForAllValues:StringEquals": {"j": ["a", "b"]}}),
    ]);
    let one = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        action,
        resource,
        condition,
    )
        .prop_map(
            |(allows, not_action, not_resource, action, resource, condition)| {
                let mut statement =
                    json!({"Effect": if allows { "Allow" } else { "Deny" }, "Condition": condition});
                statement[if not_action { "NotAction" } else { "Action" }] = json!(action);
                statement[if not_resource { "NotResource" } else { "Resource" }] = json!([resource]);
                statement
            },
        );
    prop::collection::vec(one, 0..6)
}

fn contexts() -> impl Strategy<Value = Context> {
    let values = prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 0..3);
    (
        any::<bool>(),
        prop::option::of(values.clone()),
        prop::option::of(values),
    )
        .prop_map(|(complete, k, j)| {
            let mut context = if complete {
                Context::complete()
            } else {
                Context::partial()
            };
            for (key, values) in [("k", k), ("j", j)] {
                if let Some(values) = values {
                    context.set(key, values);
                }
            }
            context
        })
}

/// Ascending: what more allowing may only raise.
fn height(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Denied => 0,
        Verdict::Depends => 1,
        Verdict::Allowed => 2,
    }
}

fn verdict(statements: &[Value], context: &Context, resource: &Pattern) -> Verdict {
    let principal = user("ann");
    let request = Request {
        principal: &principal,
        action: "ec2:CreateSnapshot",
        resource,
        resource_account: None,
        context,
    };
    evaluate(&of(vec![policy(json!(statements))]), &request).verdict
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn an_allow_more_takes_nothing_away_and_a_deny_more_gives_nothing(
        base in statements(), more in statements(), context in contexts()
    ) {
        let volume = Pattern::literal(VOLUME, Case::Kept);
        let before = height(verdict(&base, &context, &volume));
        for effect in ["Allow", "Deny"] {
            let mut together = base.clone();
            together.extend(more.iter().filter(|statement| statement["Effect"] == effect).cloned());
            let after = height(verdict(&together, &context, &volume));
            let is_right = if effect == "Allow" { after >= before } else { after <= before };
            prop_assert!(is_right, "{} more: {} after {}", effect, after, before);
        }
        let mut denied = base;
        denied.push(json!({"Effect": "Deny", "Action": "*", "Resource": "*"}));
        prop_assert_eq!(verdict(&denied, &context, &volume), Verdict::Denied);
    }

    /// What is decided while little is known stays decided when more is known, and what is sure of a kind of resources is sure
    /// of each.
    #[test]
    fn knowing_more_only_settles_what_was_open(base in statements(), context in contexts(), k in prop::option::of("[abc]"), j in prop::collection::vec("[abc]", 0..3)) {
        let all = Pattern::new("arn:aws:ec2:*:*:volume/*", Case::Kept, Segments::Within);
        let volume = Pattern::literal(VOLUME, Case::Kept);
        let open = verdict(&base, &context, &all);
        let one = verdict(&base, &context, &volume);
        if open != Verdict::Depends {
            prop_assert_eq!(open, one);
        }
        let mut nothing = Context::partial();
        let least = verdict(&base, &nothing, &volume);
        nothing.set("k", k);
        nothing.set("j", j);
        let most = verdict(&base, &nothing, &volume);
        prop_assert!(most != Verdict::Depends);
        if least != Verdict::Depends {
            prop_assert_eq!(least, most);
        }
    }

    #[test]
    fn order_of_statements_does_not_matter(base in statements(), context in contexts()) {
        let volume = Pattern::literal(VOLUME, Case::Kept);
        let mut turned = base.clone();
        turned.reverse();
        prop_assert_eq!(verdict(&base, &context, &volume), verdict(&turned, &context, &volume));
    }

    #[test]
    fn no_document_makes_it_panic(text in "[{}\\[\\]\",:a-zA-Z*?$ ]{0,200}") {
        let _ = Document::read(&Value::String(text));
    }
}

#[test]
fn policies_are_shared_and_not_copied() {
    let one = allow("*");
    assert!(Arc::ptr_eq(&one.document, &one.clone().document));
}
