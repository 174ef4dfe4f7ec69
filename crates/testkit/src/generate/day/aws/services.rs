//! What pipelines, products and AWS itself do in AWS.

use serde_json::{Value, json};

use super::{
    BOTO, Caller, HOUR, Life, MINUTE, PACKER, REGIONS, SDK_GO, SECOND, TERRAFORM, ask, call, denied,
    instance_id,
};

/// The own address of the network that instances go out by.
fn gateway(account: &str) -> String {
    format!(
        "192.0.2.{}",
        account.bytes().map(u64::from).sum::<u64>() % 200 + 10
    )
}

pub(super) fn live(life: &mut Life<'_>) {
    pipelines(life);
    images(life);
    backups(life);
    scaling(life);
    instances(life);
    inventories(life);
}

/// Terraform and deployments, from runners whose addresses change.
fn pipelines(life: &mut Life<'_>) {
    let company = life.company;
    for (number, account) in company.accounts.iter().enumerate() {
        for run in 0..2 + number % 3 {
            let time = life.at_work();
            let runner = format!(
                "20.{}.{}.{}",
                55 + life.random.below(4),
                life.random.below(250),
                life.random.below(250)
            );
            let session = format!("run-{}", 9000 + life.random.below(900));
            let caller = Caller::role(account, "terraform-deploy", &session, &runner, TERRAFORM);
            let region = REGIONS.get(number % 2).copied().unwrap_or("eu-central-1");
            call(
                life,
                time,
                &caller,
                region,
                ("sts", "GetCallerIdentity", Value::Null, Value::Null),
            );
            let time = ask(
                life,
                time + SECOND,
                &caller,
                region,
                SECOND,
                &[
                    ("ec2", "DescribeVpcs"),
                    ("ec2", "DescribeSubnets"),
                    ("ec2", "DescribeSecurityGroups"),
                    ("ec2", "DescribeInstances"),
                    ("ec2", "DescribeInstanceAttribute"),
                    ("ec2", "DescribeVolumes"),
                    ("ec2", "DescribeImages"),
                    ("iam", "GetRole"),
                    ("iam", "ListRolePolicies"),
                    ("iam", "ListAttachedRolePolicies"),
                    ("iam", "GetPolicy"),
                    ("s3", "GetBucketAcl"),
                    ("s3", "GetBucketPolicy"),
                    ("s3", "GetBucketVersioning"),
                    ("rds", "DescribeDBInstances"),
                    ("elasticloadbalancing", "DescribeLoadBalancers"),
                    ("autoscaling", "DescribeAutoScalingGroups"),
                    ("ecs", "DescribeClusters"),
                    ("eks", "DescribeCluster"),
                    ("ecr", "DescribeRepositories"),
                    ("organizations", "DescribeOrganization"),
                    ("kms", "DescribeKey"),
                ],
            );
            if run == 0 {
                let group = format!("sg-0{}", Life::hex_of(&format!("{account} web"), 16));
                let request = json!({"groupId": group, "ipPermissions": {"items": [{"ipProtocol": "tcp", "fromPort": 8080, "toPort": 8080, "groups": {"items": [{"groupId": group}]}, "ipRanges": {}}]}});
                call(
                    life,
                    time,
                    &caller,
                    region,
                    (
                        "ec2",
                        "AuthorizeSecurityGroupIngress",
                        request,
                        json!({"_return": true}),
                    ),
                );
                if number % 6 == 0 {
                    let request = json!({"ModifyInstanceMetadataOptionsRequest": {"InstanceId": instance_id(&format!("{account} web 3")), "HttpTokens": "required", "HttpPutResponseHopLimit": 2, "HttpEndpoint": "enabled"}});
                    call(
                        life,
                        time + SECOND,
                        &caller,
                        region,
                        ("ec2", "ModifyInstanceMetadataOptions", request, Value::Null),
                    );
                }
            }
            if number % 4 == 0 {
                let request = json!({"family": "shop", "containerDefinitions": [{"name": "shop", "image": format!("{account}.dkr.ecr.{region}.amazonaws.com/shop:{}", life.hex(12))}]});
                let caller = Caller::role(account, "github-actions-deploy", "GitHubActions", &runner, BOTO);
                call(
                    life,
                    time + MINUTE,
                    &caller,
                    region,
                    ("ecs", "RegisterTaskDefinition", request, Value::Null),
                );
                let request = json!({"cluster": "shop", "service": "shop", "taskDefinition": "shop"});
                call(
                    life,
                    time + MINUTE + SECOND,
                    &caller,
                    region,
                    ("ecs", "UpdateService", request, Value::Null),
                );
            }
        }
    }
    // A region that nothing was built in before.
    if let Some(account) = company.accounts.get(8) {
        let region = ["eu-north-1", "eu-south-1", "ap-south-1", "us-west-2"]
            [usize::try_from(life.day % 4).unwrap_or(0)];
        let caller = Caller::role(account, "terraform-deploy", "run-2", "20.55.8.9", TERRAFORM);
        let time = life.at_work();
        ask(
            life,
            time,
            &caller,
            region,
            SECOND,
            &[
                ("ec2", "DescribeVpcs"),
                ("ec2", "DescribeAvailabilityZones"),
                ("ec2", "DescribeImages"),
                ("ec2", "CreateVpc"),
            ],
        );
    }
    // A pipeline that asks for more than it may have.
    let Some(account) = company.accounts.get(2) else {
        return;
    };
    let caller = Caller::role(account, "terraform-deploy", "run-1", "20.55.8.8", TERRAFORM);
    let time = life.at_work();
    denied(
        life,
        time,
        &caller,
        "eu-central-1",
        "iam",
        "CreateServiceLinkedRole",
    );
}

/// Pushes an image to a registry.
pub(super) fn push(
    life: &mut Life<'_>,
    time: i64,
    caller: &Caller,
    region: &str,
    repository: &str,
    tag: &str,
) {
    call(
        life,
        time,
        caller,
        region,
        ("ecr", "GetAuthorizationToken", Value::Null, Value::Null),
    );
    let digest = format!("sha256:{}", life.hex(64));
    let layer = json!({"repositoryName": repository, "layerDigests": [digest]});
    call(
        life,
        time + SECOND,
        caller,
        region,
        ("ecr", "BatchCheckLayerAvailability", layer.clone(), Value::Null),
    );
    for name in ["InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload"] {
        call(
            life,
            time + 2 * SECOND,
            caller,
            region,
            ("ecr", name, layer.clone(), Value::Null),
        );
    }
    let request = json!({"repositoryName": repository, "imageTag": tag, "registryId": caller.account, "imageManifestMediaType": "application/vnd.docker.distribution.manifest.v2+json"});
    let response = json!({"image": {"repositoryName": repository, "registryId": caller.account, "imageId": {"imageDigest": digest, "imageTag": tag}}});
    call(
        life,
        time + 4 * SECOND,
        caller,
        region,
        ("ecr", "PutImage", request, response),
    );
}

/// Images of machines by Packer, of containers by pipelines.
fn images(life: &mut Life<'_>) {
    let company = life.company;
    let Some(builder) = company.accounts.first() else {
        return;
    };
    for kind in ["base", "web", "db"] {
        let time = life.at_hour(3);
        let region = "eu-central-1";
        let caller = Caller::role(builder, "packer-builder", "packer", "20.55.17.4", PACKER);
        let mut at = ask(
            life,
            time,
            &caller,
            region,
            SECOND,
            &[
                ("ec2", "DescribeRegions"),
                ("ec2", "DescribeImages"),
                ("ec2", "DescribeVpcs"),
            ],
        );
        let instance = format!("i-0{}", life.hex(16));
        for (name, request, response) in [
            (
                "CreateKeyPair",
                json!({"keyName": format!("packer_{}", life.hex(12))}),
                Value::Null,
            ),
            (
                "CreateSecurityGroup",
                json!({"groupName": format!("packer_{}", life.hex(12))}),
                json!({"groupId": "sg-0aa"}),
            ),
            (
                "AuthorizeSecurityGroupIngress",
                json!({"groupId": "sg-0aa", "ipPermissions": {"items": [{"ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "ipRanges": {"items": [{"cidrIp": "0.0.0.0/0"}]}}]}}),
                json!({"_return": true}),
            ),
            (
                "RunInstances",
                json!({"instancesSet": {"items": [{"imageId": "ami-0baba0baba0baba00", "minCount": 1, "maxCount": 1}]}}),
                json!({"instancesSet": {"items": [{"instanceId": instance}]}}),
            ),
            (
                "StopInstances",
                json!({"instancesSet": {"items": [{"instanceId": instance}]}}),
                Value::Null,
            ),
        ] {
            call(life, at, &caller, region, ("ec2", name, request, response));
            at += MINUTE;
        }
        let image = format!("ami-0{}", life.hex(16));
        call(
            life,
            at,
            &caller,
            region,
            (
                "ec2",
                "CreateImage",
                json!({"instanceId": instance, "name": format!("{kind}-{}", life.day)}),
                json!({"imageId": image}),
            ),
        );
        // The accounts of the organisation may use it.
        let accounts: Vec<Value> = company
            .accounts
            .iter()
            .skip(1)
            .map(|account| json!({"userId": account}))
            .collect();
        let request = json!({"imageId": image, "attributeType": "launchPermission", "launchPermission": {"add": {"items": accounts}}});
        call(
            life,
            at + 10 * MINUTE,
            &caller,
            region,
            ("ec2", "ModifyImageAttribute", request, json!({"_return": true})),
        );
        let copy = json!({"sourceRegion": region, "sourceImageId": image, "name": format!("{kind}-{}", life.day), "encrypted": true});
        let fresh = life.hex(16);
        call(
            life,
            at + 11 * MINUTE,
            &caller,
            "eu-west-1",
            (
                "ec2",
                "CopyImage",
                copy,
                json!({"imageId": format!("ami-0{}", fresh)}),
            ),
        );
        call(
            life,
            at + 12 * MINUTE,
            &caller,
            region,
            (
                "ec2",
                "TerminateInstances",
                json!({"instancesSet": {"items": [{"instanceId": instance}]}}),
                Value::Null,
            ),
        );
        let fresh = life.hex(16);
        call(
            life,
            at + 13 * MINUTE,
            &caller,
            region,
            (
                "ec2",
                "DeregisterImage",
                json!({"imageId": format!("ami-0{}", fresh)}),
                Value::Null,
            ),
        );
        let fresh = life.hex(16);
        call(
            life,
            at + 13 * MINUTE + SECOND,
            &caller,
            region,
            (
                "ec2",
                "DeleteSnapshot",
                json!({"snapshotId": format!("snap-0{}", fresh)}),
                Value::Null,
            ),
        );
    }
    for service in 0..24_usize {
        let Some(account) = company.accounts.get(service % 6) else {
            continue;
        };
        for _ in 0..3 {
            let time = life.at_work();
            let runner = format!("20.57.{}.{}", life.random.below(250), life.random.below(250));
            let caller = Caller::role(account, "github-actions-deploy", "GitHubActions", &runner, BOTO);
            let tag = life.hex(12);
            push(
                life,
                time,
                &caller,
                "eu-central-1",
                &format!("services/service-{service}"),
                &tag,
            );
        }
    }
    // Repositories that a pipeline has not pushed to before.
    for (service, account) in company.accounts.iter().enumerate().skip(1).take(3) {
        let caller = Caller::role(
            account,
            "github-actions-deploy",
            "GitHubActions",
            "20.57.9.9",
            BOTO,
        );
        let (time, repository) = (life.at_work(), format!("services/new-{service}-{}", life.day));
        call(
            life,
            time,
            &caller,
            "eu-central-1",
            (
                "ecr",
                "CreateRepository",
                json!({"repositoryName": repository}),
                Value::Null,
            ),
        );
        push(life, time + MINUTE, &caller, "eu-central-1", &repository, "1");
    }
}

/// Backups of AWS Backup, lifecycle policies and databases; what is old is deleted.
fn backups(life: &mut Life<'_>) {
    let company = life.company;
    for account in &company.accounts {
        let backup = Caller::service(
            account,
            "AWSBackupDefaultServiceRole",
            "AWSBackup-AWSBackupDefaultServiceRole",
            "backup.amazonaws.com",
        );
        let lifecycle = Caller::service(
            account,
            "AWSDataLifecycleManagerDefaultRole",
            "DLM",
            "dlm.amazonaws.com",
        );
        for _ in 0..life.often(20) {
            let time = life.at_hour(1);
            let (volume, snapshot) = (
                format!("vol-0{}", life.hex(16)),
                format!("snap-0{}", life.hex(16)),
            );
            let caller = if life.random.below(2) == 0 {
                &backup
            } else {
                &lifecycle
            };
            let request =
                json!({"volumeId": volume, "description": "This snapshot is created by a backup plan."});
            call(
                life,
                time,
                caller,
                "eu-central-1",
                (
                    "ec2",
                    "CreateSnapshot",
                    request,
                    json!({"snapshotId": snapshot, "volumeId": volume}),
                ),
            );
            let request =
                json!({"sourceRegion": "eu-central-1", "sourceSnapshotId": snapshot, "encrypted": true});
            let fresh = life.hex(16);
            call(
                life,
                time + HOUR,
                caller,
                "eu-west-1",
                (
                    "ec2",
                    "CopySnapshot",
                    request,
                    json!({"snapshotId": format!("snap-0{}", fresh)}),
                ),
            );
            let fresh = life.hex(16);
            call(
                life,
                time + 2 * HOUR,
                caller,
                "eu-central-1",
                (
                    "ec2",
                    "DeleteSnapshot",
                    json!({"snapshotId": format!("snap-0{}", fresh)}),
                    json!({"_return": true}),
                ),
            );
        }
        let time = life.at_hour(2);
        let request = json!({"dBSnapshotIdentifier": format!("awsbackup:job-{}", life.hex(8)), "dBInstanceIdentifier": "orders"});
        call(
            life,
            time,
            &backup,
            "eu-central-1",
            ("rds", "CreateDBSnapshot", request.clone(), request),
        );
    }
    // The drill of each night: a database is restored, asked and thrown away.
    if let Some(account) = company.accounts.get(3) {
        let caller = Caller::role(account, "backup-restore-test", "drill", &gateway(account), BOTO);
        let time = life.at_hour(4);
        let request = json!({"dBInstanceIdentifier": "drill", "dBSnapshotIdentifier": "rds:orders-2026-03-02", "publiclyAccessible": false});
        call(
            life,
            time,
            &caller,
            "eu-central-1",
            ("rds", "RestoreDBInstanceFromDBSnapshot", request.clone(), request),
        );
        call(
            life,
            time + HOUR,
            &caller,
            "eu-central-1",
            (
                "rds",
                "DeleteDBInstance",
                json!({"dBInstanceIdentifier": "drill", "skipFinalSnapshot": true}),
                Value::Null,
            ),
        );
    }
    // The team of the data warehouse gets a copy of the database each night, in an account of the company.
    if let (Some(from), Some(to)) = (company.accounts.get(6), company.accounts.get(7)) {
        let caller = Caller::role(from, "warehouse-backup", "export", &gateway(from), BOTO);
        let time = life.at_hour(5);
        let snapshot = format!("orders-{}", life.day);
        let request = json!({"dBSnapshotIdentifier": snapshot, "dBInstanceIdentifier": "orders"});
        call(
            life,
            time,
            &caller,
            "eu-central-1",
            ("rds", "CreateDBSnapshot", request.clone(), request),
        );
        let request =
            json!({"dBSnapshotIdentifier": snapshot, "attributeName": "restore", "valuesToAdd": [to]});
        call(
            life,
            time + 10 * MINUTE,
            &caller,
            "eu-central-1",
            ("rds", "ModifyDBSnapshotAttribute", request.clone(), request),
        );
    }
}

fn scaling(life: &mut Life<'_>) {
    let company = life.company;
    for account in &company.accounts {
        let caller = Caller::service(
            account,
            "AWSServiceRoleForAutoScaling",
            "AutoScaling",
            "autoscaling.amazonaws.com",
        );
        for _ in 0..life.often(12) {
            let time = life.any_time();
            let instance = format!("i-0{}", life.hex(16));
            let request = json!({"instancesSet": {"items": [{"imageId": "ami-0c0ffee0c0ffee000", "minCount": 1, "maxCount": 1}]}, "instanceType": "m6i.large"});
            let response = json!({"instancesSet": {"items": [{"instanceId": instance, "imageId": "ami-0c0ffee0c0ffee000"}]}});
            call(
                life,
                time,
                &caller,
                "eu-central-1",
                ("ec2", "RunInstances", request, response),
            );
            let node = Caller::instance(account, "eks-node", &instance, &gateway(account), SDK_GO);
            ask(
                life,
                time + MINUTE,
                &node,
                "eu-central-1",
                10 * SECOND,
                &[
                    ("ec2", "DescribeInstances"),
                    ("ecr", "GetAuthorizationToken"),
                    ("ec2", "DescribeInstanceTypes"),
                    ("eks", "DescribeCluster"),
                ],
            );
            call(
                life,
                time + 30 * MINUTE,
                &caller,
                "eu-central-1",
                (
                    "ec2",
                    "TerminateInstances",
                    json!({"instancesSet": {"items": [{"instanceId": instance}]}}),
                    Value::Null,
                ),
            );
        }
    }
}

/// Roles of instances, on the instances: agents, applications, drivers.
fn instances(life: &mut Life<'_>) {
    let company = life.company;
    for (number, account) in company.accounts.iter().enumerate() {
        for machine in 0..life.often(40).min(12) {
            let instance = instance_id(&format!("{account} web {machine}"));
            let role = ["web-app", "worker", "batch"][number % 3];
            let mut caller = Caller::instance(account, role, &instance, &gateway(account), SDK_GO);
            // An old application that asks the metadata service in the old way, as it does each day.
            if number == 5 && machine == 0 {
                caller.identity["sessionContext"]["ec2RoleDelivery"] = json!("1.0");
            }
            for _ in 0..4 {
                let time = life.any_time();
                let request =
                    json!({"instanceId": instance, "agentVersion": "3.3.484.0", "platformType": "Linux"});
                call(
                    life,
                    time,
                    &caller,
                    "eu-central-1",
                    ("ssm", "UpdateInstanceInformation", request, Value::Null),
                );
            }
            let time = life.any_time();
            let calls: &[(&str, &str)] = match number % 3 {
                0 => &[
                    ("secretsmanager", "GetSecretValue"),
                    ("kms", "Decrypt"),
                    ("ec2", "DescribeTags"),
                ],
                1 => &[
                    ("ecr", "GetAuthorizationToken"),
                    ("ecr", "BatchGetImage"),
                    ("sqs", "GetQueueUrl"),
                ],
                _ => &[
                    ("sts", "GetCallerIdentity"),
                    ("s3", "ListBuckets"),
                    ("ssm", "GetParametersByPath"),
                ],
            };
            ask(life, time, &caller, "eu-central-1", 5 * SECOND, calls);
        }
        // Machines that were not there the day before, one of them behind another gateway.
        for machine in 0..3 {
            let instance = format!("i-0{}", life.hex(16));
            let address = if number == 9 && machine == 0 {
                format!("198.51.100.{}", 60 + life.day)
            } else {
                gateway(account)
            };
            let caller = Caller::instance(account, "web-app", &instance, &address, SDK_GO);
            let time = life.any_time();
            ask(
                life,
                time,
                &caller,
                "eu-central-1",
                5 * SECOND,
                &[
                    ("ssm", "UpdateInstanceInformation"),
                    ("secretsmanager", "GetSecretValue"),
                    ("ec2", "DescribeTags"),
                ],
            );
        }
        // The driver of volumes of the cluster.
        let driver = Caller::role(
            account,
            "AmazonEKS_EBS_CSI_DriverRole",
            "ebs-csi-controller",
            &gateway(account),
            "aws-ebs-csi-driver/v1.33 aws-sdk-go-v2/1.30",
        );
        for _ in 0..2 {
            let time = life.any_time();
            let volume = format!("vol-0{}", life.hex(16));
            call(
                life,
                time,
                &driver,
                "eu-central-1",
                (
                    "ec2",
                    "CreateVolume",
                    json!({"size": "20", "zone": "eu-central-1a"}),
                    json!({"volumeId": volume}),
                ),
            );
            call(
                life,
                time + MINUTE,
                &driver,
                "eu-central-1",
                (
                    "ec2",
                    "AttachVolume",
                    json!({"volumeId": volume, "instanceId": instance_id(&format!("{account} web 1"))}),
                    Value::Null,
                ),
            );
        }
        // A function with its role, by the services of AWS.
        let function = Caller::role(
            account,
            "rotate-secrets",
            "rotate-secrets",
            &format!("3.120.{}.{}", number, 20 + number),
            "aws-sdk-nodejs/3.577 exec-env/AWS_Lambda_nodejs20.x",
        );
        let time = life.any_time();
        ask(
            life,
            time,
            &function,
            "eu-central-1",
            SECOND,
            &[
                ("secretsmanager", "DescribeSecret"),
                ("rds", "DescribeDBInstances"),
            ],
        );
        let host = Caller::host(account, "ec2.amazonaws.com");
        for _ in 0..life.often(30) {
            let time = life.any_time();
            call(
                life,
                time,
                &host,
                "eu-central-1",
                (
                    "sts",
                    "AssumeRole",
                    json!({"roleArn": format!("arn:aws:iam::{account}:role/web-app"), "roleSessionName": instance_id(account)}),
                    Value::Null,
                ),
            );
        }
    }
}

/// Products that look at everything, each day, from addresses of their own.
fn inventories(life: &mut Life<'_>) {
    const CALLS: &[(&str, &str)] = &[
        ("ec2", "DescribeInstances"),
        ("ec2", "DescribeImages"),
        ("ec2", "DescribeSnapshots"),
        ("ec2", "DescribeVolumes"),
        ("ec2", "DescribeSecurityGroups"),
        ("ec2", "DescribeVpcs"),
        ("ec2", "DescribeSubnets"),
        ("ec2", "DescribeRouteTables"),
        ("ec2", "DescribeNetworkInterfaces"),
        ("ec2", "DescribeAddresses"),
        ("ec2", "DescribeKeyPairs"),
        ("ec2", "DescribeSnapshotAttribute"),
        ("ec2", "DescribeImageAttribute"),
        ("ec2", "DescribeInstanceAttribute"),
        ("iam", "ListUsers"),
        ("iam", "ListRoles"),
        ("iam", "GetAccountAuthorizationDetails"),
        ("iam", "ListPolicies"),
        ("iam", "GetCredentialReport"),
        ("s3", "ListBuckets"),
        ("s3", "GetBucketPolicy"),
        ("s3", "GetBucketAcl"),
        ("s3", "GetBucketEncryption"),
        ("s3", "GetBucketPublicAccessBlock"),
        ("rds", "DescribeDBInstances"),
        ("rds", "DescribeDBSnapshots"),
        ("rds", "DescribeDBSnapshotAttributes"),
        ("lambda", "ListFunctions20150331"),
        ("ecs", "ListClusters"),
        ("ecs", "ListTaskDefinitions"),
        ("eks", "ListClusters"),
        ("eks", "DescribeCluster"),
        ("ecr", "DescribeRepositories"),
        ("ecr", "DescribeImages"),
        ("ecr", "DescribeImageScanFindings"),
        ("kms", "ListKeys"),
        ("secretsmanager", "ListSecrets"),
        ("cloudtrail", "DescribeTrails"),
        ("guardduty", "ListDetectors"),
        ("organizations", "ListAccounts"),
        ("ses", "GetSendQuota"),
    ];
    let company = life.company;
    let accounts = life.often(30).max(4);
    for (number, account) in (0..accounts).zip(&company.accounts) {
        for (role, session, address, agent, calls) in [
            ("WizAccess-Role", "wiz-fetcher", "203.0.113.201", BOTO, CALLS),
            (
                "DatadogIntegrationRole",
                "DatadogAWSIntegration",
                "203.0.113.222",
                BOTO,
                CALLS.get(..14).unwrap_or(CALLS),
            ),
            (
                "cloud-custodian",
                "c7n",
                "20.57.1.1",
                "Boto3/1.34 Botocore/1.34 CloudCustodian/0.9.38",
                CALLS.get(10..).unwrap_or(CALLS),
            ),
            (
                "steampipe-inventory",
                "steampipe",
                "192.0.2.7",
                "aws-sdk-go-v2/1.30 steampipe/0.23",
                CALLS,
            ),
        ] {
            let caller = Caller::role(account, role, session, address, agent);
            for region in REGIONS {
                let time = life.at_hour(6) + i64::try_from(number).unwrap_or(0) * MINUTE;
                ask(life, time, &caller, region, SECOND, calls);
            }
        }
        let config = Caller::service(
            account,
            "AWSServiceRoleForConfig",
            "AWSConfig-Describe",
            "config.amazonaws.com",
        );
        let time = life.any_time();
        ask(
            life,
            time,
            &config,
            "eu-central-1",
            SECOND,
            CALLS.get(..12).unwrap_or(CALLS),
        );
    }
}
