//! Answers of `aws`, in the form that its command-line tool prints.

use super::{asked, report};
use neph_posture::audit::Outcome;

pub(crate) const FILES: &[(&str, &str)] = &[
    (
        "aws/111122223333/eu-west-1/ec2-describe-instances.json",
        r#"{"Reservations": [{"ReservationId": "r-1", "OwnerId": "111122223333", "Instances": [
            {"InstanceId": "i-open", "State": {"Code": 16, "Name": "running"}, "Placement": {"AvailabilityZone": "eu-west-1a"},
             "MetadataOptions": {"State": "applied", "HttpTokens": "optional", "HttpPutResponseHopLimit": 2, "HttpEndpoint": "enabled", "InstanceMetadataTags": "enabled"}},
            {"InstanceId": "i-safe", "State": {"Name": "stopped"},
             "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1, "HttpEndpoint": "enabled", "InstanceMetadataTags": "disabled"}},
            {"InstanceId": "i-off", "State": {"Name": "running"},
             "MetadataOptions": {"HttpTokens": "optional", "HttpPutResponseHopLimit": 64, "HttpEndpoint": "disabled", "InstanceMetadataTags": "enabled"}},
            {"InstanceId": "i-gone", "State": {"Name": "terminated"}, "MetadataOptions": {"HttpTokens": "optional", "HttpEndpoint": "enabled"}},
            {"InstanceId": "i-old", "State": {"Name": "running"}}]}]}"#,
    ),
    (
        "aws/111122223333/eu-west-1/ec2-get-instance-metadata-defaults.json",
        r#"{"AccountLevel": {"ManagedBy": "account"}}"#,
    ),
    (
        "aws/111122223333/us-east-1/ec2-get-instance-metadata-defaults.json",
        r#"{"AccountLevel": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1, "ManagedBy": "account"}}"#,
    ),
    (
        "aws/111122223333/eu-west-1/ec2-describe-launch-template-versions.json",
        r#"{"LaunchTemplateVersions": [
            {"LaunchTemplateId": "lt-1", "LaunchTemplateName": "web", "VersionNumber": 1, "DefaultVersion": false, "LaunchTemplateData": {"ImageId": "ami-1", "MetadataOptions": {"HttpTokens": "optional"}}},
            {"LaunchTemplateId": "lt-1", "LaunchTemplateName": "web", "VersionNumber": 2, "DefaultVersion": true, "LaunchTemplateData": {"ImageId": "resolve:ssm:/golden/web:3", "MetadataOptions": {"HttpTokens": "required"}}},
            {"LaunchTemplateId": "lt-1", "LaunchTemplateName": "web", "VersionNumber": 3, "DefaultVersion": false, "LaunchTemplateData": {"ImageId": "resolve:ssm:/golden/web", "MetadataOptions": {"HttpTokens": "optional"}}},
            {"LaunchTemplateId": "lt-2", "LaunchTemplateName": "old", "VersionNumber": 1, "DefaultVersion": true, "LaunchTemplateData": {"ImageId": "ami-own"}},
            {"LaunchTemplateId": "lt-3", "LaunchTemplateName": "new", "VersionNumber": 1, "DefaultVersion": true, "LaunchTemplateData": {"ImageId": "ami-2023"}}]}"#,
    ),
    (
        "aws/111122223333/eu-west-1/autoscaling-describe-launch-configurations.json",
        r#"{"LaunchConfigurations": [
            {"LaunchConfigurationName": "old", "LaunchConfigurationARN": "arn:aws:autoscaling:eu-west-1:111122223333:launchConfiguration:x:launchConfigurationName/old", "ImageId": "ami-own"},
            {"LaunchConfigurationName": "good", "ImageId": "ami-1", "MetadataOptions": {"HttpTokens": "required"}}]}"#,
    ),
    (
        "aws/111122223333/eu-west-1/ec2-describe-images.json",
        r#"{"Images": [
            {"ImageId": "ami-own", "OwnerId": "111122223333", "Public": true, "Name": "web"},
            {"ImageId": "ami-2023", "OwnerId": "111122223333", "Public": false, "ImdsSupport": "v2.0"},
            {"ImageId": "ami-amazon", "OwnerId": "137112412989", "Public": true, "ImageOwnerAlias": "amazon"}]}"#,
    ),
    (
        "aws/111122223333/eu-west-1/ec2-describe-snapshots.json",
        r#"{"Snapshots": [{"SnapshotId": "snap-1", "OwnerId": "111122223333", "Encrypted": false, "VolumeId": "vol-1"}, {"SnapshotId": "snap-2", "OwnerId": "111122223333", "Encrypted": true}]}"#,
    ),
    (
        "aws/111122223333/eu-west-1/a.json",
        r#"{"SnapshotId": "snap-1", "CreateVolumePermissions": [{"Group": "all"}]}"#,
    ),
    (
        "aws/111122223333/eu-west-1/b.json",
        r#"{"SnapshotId": "snap-2", "CreateVolumePermissions": [{"UserId": "444455556666"}]}"#,
    ),
    (
        "aws/111122223333/eu-west-1/c.json",
        r#"{"SnapshotId": "snap-3", "CreateVolumePermissions": [{"UserId": "999999999999"}, {"UserId": "444455556666"}]}"#,
    ),
    (
        "aws/111122223333/eu-west-1/d.json",
        r#"{"SnapshotId": "snap-4", "CreateVolumePermissions": []}"#,
    ),
    (
        "aws/111122223333/eu-west-1/e.json",
        r#"{"ImageId": "ami-own", "LaunchPermissions": [{"Group": "all"}, {"UserId": "999999999999"}]}"#,
    ),
    (
        "aws/111122223333/eu-west-1/f.json",
        r#"{"ImageId": "ami-2023", "LaunchPermissions": [{"OrganizationArn": "arn:aws:organizations::1:organization/o-1"}]}"#,
    ),
    (
        "aws/111122223333/eu-west-1/g.json",
        r#"{"DBSnapshotAttributesResult": {"DBSnapshotIdentifier": "db-1", "DBSnapshotAttributes": [{"AttributeName": "restore", "AttributeValues": ["all"]}]}}"#,
    ),
    (
        "aws/111122223333/global/organizations-list-accounts.json",
        r#"{"Accounts": [{"Id": "111122223333", "Status": "ACTIVE"}, {"Id": "444455556666", "Status": "ACTIVE"}]}"#,
    ),
    (
        "aws/111122223333/eu-west-1/rds-describe-db-snapshots.json",
        r#"{"DBSnapshots": [{"DBSnapshotIdentifier": "db-1", "Encrypted": false}, {"DBSnapshotIdentifier": "db-2", "Encrypted": true}]}"#,
    ),
    (
        "aws/111122223333/eu-west-1/ec2-get-snapshot-block-public-access-state.json",
        r#"{"State": "unblocked", "ManagedBy": "account"}"#,
    ),
    (
        "aws/111122223333/us-east-1/ec2-get-snapshot-block-public-access-state.json",
        r#"{"State": "block-all-sharing"}"#,
    ),
    (
        "aws/111122223333/eu-west-1/ec2-get-image-block-public-access-state.json",
        r#"{"ImageBlockPublicAccessState": "unblocked", "ManagedBy": "account"}"#,
    ),
    (
        "aws/111122223333/us-east-1/ec2-get-image-block-public-access-state.json",
        r#"{"ImageBlockPublicAccessState": "block-new-sharing"}"#,
    ),
    (
        "aws/111122223333/eu-west-1/ec2-get-ebs-encryption-by-default.json",
        r#"{"EbsEncryptionByDefault": false}"#,
    ),
    (
        "aws/111122223333/us-east-1/ec2-get-ebs-encryption-by-default.json",
        r#"{"EbsEncryptionByDefault": true, "SseType": "sse-ebs"}"#,
    ),
    (
        "aws/111122223333/eu-west-1/ecr-describe-repositories.json",
        r#"{"repositories": [
            {"repositoryArn": "arn:aws:ecr:eu-west-1:111122223333:repository/web", "registryId": "111122223333", "repositoryName": "web", "imageTagMutability": "MUTABLE"},
            {"repositoryArn": "arn:aws:ecr:eu-west-1:111122223333:repository/api", "repositoryName": "api", "imageTagMutability": "IMMUTABLE"},
            {"repositoryArn": "arn:aws:ecr:eu-west-1:111122223333:repository/dev", "repositoryName": "dev", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION", "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "dev-*"}]}]}"#,
    ),
    (
        "aws/111122223333/eu-west-1/wafv2-get-web-acl-a1.json",
        r#"{"WebACL": {"Name": "guard", "Id": "a1", "ARN": "arn:aws:wafv2:eu-west-1:111122223333:regional/webacl/guard/a1", "DefaultAction": {"Allow": {}}, "Rules": [
            {"Name": "common", "Priority": 1, "Statement": {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": "AWSManagedRulesCommonRuleSet"}}, "OverrideAction": {"None": {}}}]}, "LockToken": "x"}"#,
    ),
    (
        "aws/111122223333/eu-west-1/wafv2-get-web-acl-b2.json",
        r#"{"WebACL": {"Name": "count", "Id": "b2", "ARN": "arn:aws:wafv2:eu-west-1:111122223333:regional/webacl/count/b2", "Rules": [
            {"Name": "common", "Priority": 1, "Statement": {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": "AWSManagedRulesCommonRuleSet"}}, "OverrideAction": {"Count": {}}}]}}"#,
    ),
    (
        "aws/111122223333/eu-west-1/elbv2-describe-load-balancers.json",
        r#"{"LoadBalancers": [
            {"LoadBalancerArn": "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/web/1", "Scheme": "internet-facing", "Type": "application"},
            {"LoadBalancerArn": "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/bare/2", "Scheme": "internet-facing", "Type": "application"},
            {"LoadBalancerArn": "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/inner/3", "Scheme": "internal", "Type": "application"},
            {"LoadBalancerArn": "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/net/tcp/4", "Scheme": "internet-facing", "Type": "network"}]}"#,
    ),
    (
        "aws/111122223333/eu-west-1/wafv2-list-resources-for-web-acl-a1.json",
        r#"{"ResourceArns": ["arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/web/1"]}"#,
    ),
];

#[test]
fn the_first_version_of_the_metadata_service_is_told() {
    let told = asked("aws-imdsv1", FILES);
    for expected in ["fail i-open", "unknown i-old", "pass i-off", "pass i-safe"] {
        assert!(told.contains(&expected.to_owned()), "{expected}: {told:?}");
    }
    assert!(!told.iter().any(|line| line.contains("i-gone")), "{told:?}");
    // Of the other region nobody asked.
    assert!(
        told.iter()
            .any(|line| line.starts_with("unknown all of aws/111122223333/us-east-1")),
        "{told:?}"
    );
}

#[test]
fn hops_and_tags_count_only_where_the_service_is_on() {
    let hops = asked("aws-imds-hop-limit", FILES);
    assert!(
        hops.contains(&"fail i-open".to_owned()) && hops.contains(&"pass i-off".to_owned()),
        "{hops:?}"
    );
    let tags = asked("aws-imds-tags", FILES);
    assert!(
        tags.contains(&"fail i-open".to_owned()) && tags.contains(&"pass i-off".to_owned()),
        "{tags:?}"
    );
}

#[test]
fn launch_templates_inherit_from_account_and_image() {
    let told = asked("aws-launch-template-imdsv1", FILES);
    // The account says nothing: what the image says counts, then nothing does.
    for expected in [
        "fail lt-1 (web), latest version",
        "pass lt-1 (web), default version",
        "fail lt-2 (old), default and latest version",
        "pass lt-3 (new), default and latest version",
    ] {
        assert!(told.contains(&expected.to_owned()), "{expected}: {told:#?}");
    }
    assert!(
        !told.iter().any(|line| line.contains("version 1")),
        "versions that nobody gets are left out: {told:?}"
    );
    // Without the account's default nobody knows.
    let template = FILES[3];
    let told = asked("aws-launch-template-imdsv1", &[template]);
    assert!(
        told.contains(&"unknown lt-2 (old), default and latest version".to_owned()),
        "{told:?}"
    );
    // With a default that requires tokens, silence is safe.
    let files = [
        template,
        (
            "aws/111122223333/eu-west-1/d.json",
            r#"{"AccountLevel": {"HttpTokens": "required"}}"#,
        ),
    ];
    let told = asked("aws-launch-template-imdsv1", &files);
    assert!(
        told.contains(&"pass lt-2 (old), default and latest version".to_owned()),
        "{told:?}"
    );
    assert!(
        told.contains(&"fail lt-1 (web), latest version".to_owned()),
        "{told:?}"
    );
}

#[test]
fn parameters_without_a_version_are_the_newest() {
    let told = asked("aws-launch-template-latest-image", FILES);
    assert!(
        told.contains(&"fail lt-1 (web), version 3".to_owned())
            && told.contains(&"pass lt-1 (web), version 2".to_owned()),
        "{told:?}"
    );
}

#[test]
fn web_acls_block_only_where_the_group_does() {
    let told = asked("aws-waf-ssrf", FILES);
    assert_eq!(
        told[0],
        "fail arn:aws:wafv2:eu-west-1:111122223333:regional/webacl/count/b2"
    );
    assert!(told.contains(&"pass arn:aws:wafv2:eu-west-1:111122223333:regional/webacl/guard/a1".to_owned()));
    let acl = |rule: &str| {
        format!(
            r#"{{"WebACL": {{"Name": "n", "Id": "i", "ARN": "arn:aws:wafv2:eu-west-1:1:regional/webacl/n/i", "Rules": [{rule}]}}}}"#
        )
    };
    let group = |more: &str| {
        format!(
            r#"{{"Name": "c", "Priority": 5, "OverrideAction": {{"None": {{}}}}, "Statement": {{"ManagedRuleGroupStatement": {{"VendorName": "AWS", "Name": "AWSManagedRulesCommonRuleSet"{more}}}}}}}"#
        )
    };
    let allow = r#"{"Name": "office", "Priority": 1, "Action": {"Allow": {}}, "Statement": {"IPSetReferenceStatement": {"ARN": "x"}}},"#;
    let late = r#",{"Name": "office", "Priority": 9, "Action": {"Allow": {}}, "Statement": {"IPSetReferenceStatement": {"ARN": "x"}}}"#;
    for (rules, expected) in [
        (group(""), "pass"),
        (group(r#","RuleActionOverrides": [{"Name": "EC2MetaDataSSRF_BODY", "ActionToUse": {"Count": {}}}]"#), "fail"),
        (group(r#","RuleActionOverrides": [{"Name": "EC2MetaDataSSRF_BODY", "ActionToUse": {"Block": {}}}]"#), "pass"),
        (group(r#","RuleActionOverrides": [{"Name": "SizeRestrictions_BODY", "ActionToUse": {"Count": {}}}]"#), "pass"),
        (group(r#","ExcludedRules": [{"Name": "EC2MetaDataSSRF_QUERYARGUMENTS"}]"#), "fail"),
        (group(r#","ScopeDownStatement": {"ByteMatchStatement": {}}"#), "unknown"),
        (format!("{allow}{}", group("")), "unknown"),
        (format!("{}{late}", group("")), "pass"),
        (String::new(), "fail"),
        (r#"{"Name": "x", "Priority": 0, "OverrideAction": {"None": {}}, "Statement": {"ManagedRuleGroupStatement": {"VendorName": "Other", "Name": "AWSManagedRulesCommonRuleSet"}}}"#.to_owned(), "fail"),
    ] {
        let text = acl(&rules);
        let told = asked("aws-waf-ssrf", &[("aws/1/eu-west-1/x.json", &text)]);
        assert_eq!(told, [format!("{expected} arn:aws:wafv2:eu-west-1:1:regional/webacl/n/i")], "{rules}");
    }
}

#[test]
fn load_balancers_need_a_web_acl_that_blocks() {
    let told = asked("aws-waf-association", FILES);
    let of = |name: &str| {
        told.iter()
            .find(|line| line.contains(name))
            .map(|line| line.split(' ').next().unwrap().to_owned())
    };
    assert_eq!(of("app/web"), Some("pass".to_owned()));
    assert_eq!(of("app/bare"), Some("fail".to_owned()));
    assert_eq!((of("app/inner"), of("net/tcp")), (None, None));
}

#[test]
fn the_web_acl_of_a_list_is_told_by_the_name_of_its_file() {
    let balancer = r#"{"LoadBalancers": [{"LoadBalancerArn": "arn:app/web", "Type": "application", "Scheme": "internet-facing"}]}"#;
    let group = r#"{"Name": "c", "Priority": 5, "OverrideAction": {"None": {}}, "Statement": {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": "AWSManagedRulesCommonRuleSet"}}}"#;
    let acl = |name: &str, id: &str, rules: &str| {
        format!(
            r#"{{"WebACL": {{"Name": "{name}", "Id": "{id}", "ARN": "arn:{name}", "Rules": [{rules}]}}}}"#
        )
    };
    // Names that stand in the name of every such file must not be taken for one.
    let (open, strict) = (
        acl("web", "0a1b2c3d-0000-4000-8000-000000000001", ""),
        acl("acl", "0a1b2c3d-0000-4000-8000-000000000002", group),
    );
    let verdict = |file: &str| {
        let folder = "aws/111122223333/eu-west-1";
        let list = format!("{folder}/{file}.json");
        let (one, other, third) = (
            format!("{folder}/b.json"),
            format!("{folder}/g1.json"),
            format!("{folder}/g2.json"),
        );
        let files = [
            (one.as_str(), balancer),
            (other.as_str(), open.as_str()),
            (third.as_str(), strict.as_str()),
            (list.as_str(), r#"{"ResourceArns": ["arn:app/web"]}"#),
        ];
        let told = asked("aws-waf-association", &files);
        told[0].split(' ').next().unwrap().to_owned()
    };
    let call = "wafv2-list-resources-for-web-acl";
    for (file, expected) in [
        (format!("{call}/0a1b2c3d-0000-4000-8000-000000000001"), "fail"),
        (format!("{call}/0a1b2c3d-0000-4000-8000-000000000002"), "pass"),
        (format!("{call}-0a1b2c3d-0000-4000-8000-000000000002"), "pass"),
        (format!("{call}-web"), "fail"),
        (format!("{call}-acl"), "pass"),
        (call.to_owned(), "unknown"),
        ("resources-of-the-acls".to_owned(), "unknown"),
    ] {
        assert_eq!(verdict(&file), expected, "{file}");
    }
}

#[test]
fn sharing_tells_the_public_the_unknown_and_ones_own_apart() {
    let public = asked("aws-snapshot-public", FILES);
    assert!(
        public.contains(&"fail snap-1".to_owned())
            && public.contains(&"fail database snapshot db-1".to_owned())
            && public.contains(&"pass snap-3".to_owned()),
        "{public:?}"
    );
    let shared = asked("aws-snapshot-shared", FILES);
    assert!(
        shared.contains(&"fail snap-3".to_owned())
            && shared.contains(&"pass snap-2".to_owned())
            && shared.contains(&"pass snap-1".to_owned()),
        "{shared:?}"
    );
    let images = asked("aws-image-shared", FILES);
    assert!(
        images.contains(&"fail ami-own".to_owned()) && images.contains(&"pass ami-2023".to_owned()),
        "{images:?}"
    );
    // Without the list of the organisation, strangers may be one's own.
    let alone = asked("aws-snapshot-shared", &[FILES[9]]);
    assert!(
        alone.contains(&"unknown snap-3".to_owned()),
        "{alone:?} {}",
        FILES[9].0
    );
    let owned = asked("aws-image-public", FILES);
    assert!(
        owned.contains(&"fail ami-own".to_owned()) && !owned.iter().any(|line| line.contains("ami-amazon")),
        "{owned:?}"
    );
}

#[test]
fn fixes_name_region_and_resource() {
    let report = report(FILES);
    let finding = report
        .findings
        .iter()
        .find(|finding| finding.check == "aws-imdsv1" && finding.outcome == Outcome::Fail)
        .unwrap();
    assert_eq!(
        finding.fix.last().unwrap(),
        "aws ec2 modify-instance-metadata-options --region eu-west-1 --instance-id i-open --http-tokens required --http-endpoint enabled"
    );
    let undo = report
        .findings
        .iter()
        .find(|finding| finding.check == "aws-snapshot-public" && finding.resource == "snap-1")
        .unwrap();
    assert_eq!(
        undo.fix,
        [
            "aws ec2 modify-snapshot-attribute --region eu-west-1 --snapshot-id snap-1 --attribute createVolumePermission --operation-type remove --group-names all"
        ]
    );
}
