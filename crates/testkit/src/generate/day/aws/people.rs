//! What people do in AWS, at consoles and command lines.

use serde_json::{Value, json};

use super::{BROWSER, CLI, Caller, HOUR, Life, MINUTE, REGIONS, SECOND, ask, call, denied, instance_id};

/// What the start page of the console and that of EC2 ask.
const CONSOLE: &[(&str, &str)] = &[
    ("ec2", "DescribeRegions"),
    ("health", "DescribeEventAggregates"),
    ("ec2", "DescribeAccountAttributes"),
    ("ec2", "DescribeInstances"),
    ("ec2", "DescribeInstanceStatus"),
    ("ec2", "DescribeVolumes"),
    ("ec2", "DescribeSnapshots"),
    ("ec2", "DescribeKeyPairs"),
    ("ec2", "DescribeSecurityGroups"),
    ("ec2", "DescribeAddresses"),
    ("ec2", "DescribePlacementGroups"),
    ("elasticloadbalancing", "DescribeLoadBalancers"),
    ("autoscaling", "DescribeAutoScalingGroups"),
    ("monitoring", "DescribeAlarms"),
    ("ce", "GetCostAndUsage"),
    ("notifications", "ListNotificationEvents"),
];

/// What other pages ask.
const PAGES: &[&[(&str, &str)]] = &[
    &[
        ("s3", "ListBuckets"),
        ("s3", "GetBucketPublicAccessBlock"),
        ("s3", "GetBucketPolicyStatus"),
        ("s3", "GetBucketAcl"),
    ],
    &[
        ("lambda", "ListFunctions20150331"),
        ("lambda", "GetAccountSettings20160819"),
        ("logs", "DescribeLogGroups"),
    ],
    &[
        ("rds", "DescribeDBInstances"),
        ("rds", "DescribeDBClusters"),
        ("rds", "DescribeDBSnapshots"),
    ],
    &[
        ("ecs", "ListClusters"),
        ("ecs", "DescribeClusters"),
        ("ecs", "ListServices"),
        ("ecs", "DescribeServices"),
        ("ecs", "DescribeTasks"),
    ],
    &[
        ("ecr", "DescribeRepositories"),
        ("ecr", "DescribeImages"),
        ("ecr", "ListImages"),
    ],
    &[
        ("eks", "ListClusters"),
        ("eks", "DescribeCluster"),
        ("eks", "ListNodegroups"),
    ],
    &[
        ("iam", "ListRoles"),
        ("iam", "GetRole"),
        ("iam", "ListAttachedRolePolicies"),
        ("iam", "GetAccountSummary"),
    ],
    &[
        ("ec2", "DescribeImages"),
        ("ec2", "DescribeSubnets"),
        ("ec2", "DescribeVpcs"),
    ],
];

pub(super) fn live(life: &mut Life<'_>) {
    consoles(life);
    command_lines(life);
    newcomer(life);
    administration(life);
}

/// The accounts that somebody works in: the same few each day.
fn accounts_of(life: &Life<'_>, number: usize) -> Vec<String> {
    let all = &life.company.accounts;
    // Some help out elsewhere for a day.
    let day = usize::try_from(life.day).unwrap_or(0);
    let other = if number % 10 == day % 10 {
        number * 7 + 4 + day
    } else {
        number * 7 + 3
    };
    [number, other]
        .iter()
        .filter_map(|at| all.get(at % all.len()).cloned())
        .collect()
}

fn region_of(number: usize) -> &'static str {
    REGIONS.get(number % 5 % 2).copied().unwrap_or("eu-central-1")
}

fn consoles(life: &mut Life<'_>) {
    let company = life.company;
    for (number, person) in company.engineers.iter().enumerate() {
        if number % 3 == 2 {
            continue;
        }
        for account in accounts_of(life, number) {
            let time = life.at_work();
            let caller = Caller::person(person, &account, "PowerUserAccess", BROWSER);
            sign_in(life, time, &caller);
            let region = region_of(number);
            let mut time = ask(life, time + 3 * SECOND, &caller, region, SECOND, CONSOLE);
            for visit in 0..3 {
                // Nearly always it is what somebody looks at each day.
                let usual = PAGES.get((number + visit) % PAGES.len()).copied();
                let other = life.pick(PAGES).filter(|_| life.random.below(40) == 0);
                let page = other.or(usual).unwrap_or_default();
                time = ask(life, time + MINUTE, &caller, region, 2 * SECOND, page) + life.below(20 * MINUTE);
            }
        }
    }
}

fn sign_in(life: &mut Life<'_>, time: i64, caller: &Caller) {
    let mut by_portal = caller.clone();
    by_portal.extra = json!({"eventType": "AwsConsoleSignIn", "additionalEventData": {"MobileVersion": "No", "MFAUsed": "No"}});
    call(
        life,
        time,
        &by_portal,
        "us-east-1",
        (
            "signin",
            "ConsoleLogin",
            Value::Null,
            json!({"ConsoleLogin": "Success"}),
        ),
    );
}

fn command_lines(life: &mut Life<'_>) {
    let company = life.company;
    let newer = CLI.replace("2.17.9", &format!("2.{}.0", 18 + life.day));
    for (number, person) in company.engineers.iter().enumerate() {
        if number % 2 == 1 {
            continue;
        }
        for account in accounts_of(life, number) {
            let has_newer = number % 7 == usize::try_from(life.day).unwrap_or(0) % 7;
            let agent = if has_newer { newer.as_str() } else { CLI };
            let caller = Caller::person(person, &account, "PowerUserAccess", agent);
            let region = region_of(number);
            for _ in 0..2 {
                let time = life.at_work();
                call(
                    life,
                    time,
                    &caller,
                    region,
                    ("sts", "GetCallerIdentity", Value::Null, Value::Null),
                );
                let calls: &[(&str, &str)] = match life.random.below(6) {
                    0 => &[("s3", "ListBuckets")],
                    1 => &[("eks", "DescribeCluster")],
                    2 => &[("ecr", "GetAuthorizationToken")],
                    3 => &[("ssm", "DescribeInstanceInformation"), ("ssm", "GetParameter")],
                    4 => &[
                        ("logs", "DescribeLogGroups"),
                        ("logs", "DescribeLogStreams"),
                        ("logs", "GetLogEvents"),
                    ],
                    _ => &[("ec2", "DescribeInstances"), ("ec2", "DescribeInstanceStatus")],
                };
                ask(life, time + 2 * SECOND, &caller, region, 30 * SECOND, calls);
            }
            // A session on a machine, as most days.
            if number % 4 == 0 {
                let time = life.at_work();
                let target = json!({"target": instance_id(&format!("{account} web {}", number % 9))});
                call(
                    life,
                    time,
                    &caller,
                    region,
                    (
                        "ssm",
                        "StartSession",
                        target,
                        json!({"sessionId": format!("{}-0a1b", person.name)}),
                    ),
                );
            }
            // What was tried and is not allowed.
            if number % 6 == 0 {
                let time = life.at_work();
                denied(life, time, &caller, region, "iam", "ListUsers");
                denied(life, time + 40 * SECOND, &caller, region, "kms", "ListAliases");
            }
        }
    }
}

/// Each day somebody uses AWS for the first time.
fn newcomer(life: &mut Life<'_>) {
    let company = life.company;
    let Some(person) = company.staff.get(usize::try_from(life.day).unwrap_or(0) * 3) else {
        return;
    };
    let Some(account) = company.accounts.get(4) else {
        return;
    };
    let time = life.at_work();
    let caller = Caller::person(person, account, "ReadOnlyAccess", BROWSER);
    sign_in(life, time, &caller);
    let time = ask(life, time + 4 * SECOND, &caller, "eu-central-1", SECOND, CONSOLE);
    let time = ask(
        life,
        time + MINUTE,
        &caller,
        "eu-central-1",
        SECOND,
        PAGES.first().copied().unwrap_or_default(),
    );
    denied(
        life,
        time + MINUTE,
        &caller,
        "eu-central-1",
        "ce",
        "GetCostAndUsage",
    );
    let caller = Caller::person(person, account, "ReadOnlyAccess", CLI);
    let time = time + 40 * MINUTE;
    ask(
        life,
        time,
        &caller,
        "eu-central-1",
        40 * SECOND,
        &[
            ("sts", "GetCallerIdentity"),
            ("s3", "ListBuckets"),
            ("ec2", "DescribeInstances"),
        ],
    );
}

/// The rare work: snapshots before changes, a restored volume, a rule of a firewall, a password of Windows.
fn administration(life: &mut Life<'_>) {
    let company = life.company;
    let on_call: Vec<_> = company
        .engineers
        .iter()
        .enumerate()
        .filter(|(number, _)| number % 3 == 0)
        .collect();
    let turn = |life: &Life<'_>, shift: usize| {
        let number = (usize::try_from(life.day).unwrap_or(0) + shift * 5) % 20;
        on_call.get(number).copied()
    };
    // Snapshots by hand before a change, by those who do so each day and by one who has not yet.
    for shift in 0..4 {
        let Some((number, person)) = (if shift < 3 {
            on_call.get(shift).copied()
        } else {
            turn(life, 9)
        }) else {
            continue;
        };
        let Some(account) = accounts_of(life, number).into_iter().next() else {
            continue;
        };
        let caller = Caller::person(person, &account, "PowerUserAccess", BROWSER);
        let time = life.at_work();
        let volume = format!("vol-0{}", Life::hex_of(&format!("{account} db"), 16));
        let snapshot = format!("snap-0{}", life.hex(16));
        let request = json!({"volumeId": volume, "description": "before upgrade", "tagSpecificationSet": {"items": []}});
        let response = json!({"snapshotId": snapshot, "volumeId": volume, "status": "pending", "ownerId": account, "encrypted": true});
        call(
            life,
            time,
            &caller,
            region_of(number),
            ("ec2", "CreateSnapshot", request, response),
        );
        // One of them looks into an older state.
        if shift == 0 {
            let restored = format!("vol-0{}", life.hex(16));
            let request =
                json!({"snapshotId": snapshot, "zone": "eu-central-1a", "size": "100", "encrypted": true});
            let response = json!({"volumeId": restored, "snapshotId": snapshot, "status": "creating"});
            call(
                life,
                time + HOUR,
                &caller,
                region_of(number),
                ("ec2", "CreateVolume", request, response),
            );
            let request = json!({"volumeId": restored, "instanceId": instance_id(&format!("{account} db")), "device": "/dev/sdf"});
            call(
                life,
                time + HOUR + 5 * MINUTE,
                &caller,
                region_of(number),
                ("ec2", "AttachVolume", request.clone(), request),
            );
            let request = json!({"volumeId": restored, "force": false});
            call(
                life,
                time + 3 * HOUR,
                &caller,
                region_of(number),
                ("ec2", "DetachVolume", request.clone(), request),
            );
        }
        if shift == 1 {
            let request = json!({"dBInstanceIdentifier": "orders", "dBSnapshotIdentifier": format!("orders-before-{}", life.day)});
            call(
                life,
                time + MINUTE,
                &caller,
                region_of(number),
                ("rds", "CreateDBSnapshot", request.clone(), request),
            );
        }
    }
    // The address of an office or of a partner is let in; a machine is started or changed by hand.
    for shift in 0..5 {
        let Some((number, person)) = turn(life, shift) else {
            continue;
        };
        let Some(account) = accounts_of(life, number).into_iter().next() else {
            continue;
        };
        let caller = Caller::person(person, &account, "PowerUserAccess", BROWSER);
        let (time, region) = (life.at_work(), region_of(number));
        let group = format!("sg-0{}", Life::hex_of(&format!("{account} bastion"), 16));
        let request = json!({"groupId": group, "ipPermissions": {"items": [{"ipProtocol": "tcp", "fromPort": 443, "toPort": 443,
            "groups": {}, "ipRanges": {"items": [{"cidrIp": format!("203.0.113.{}/32", 10 + number), "description": person.name}]}, "ipv6Ranges": {}, "prefixListIds": {}}]}});
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
        let time = life.at_work();
        match shift {
            0 => {
                let request = json!({"instancesSet": {"items": [{"imageId": "ami-0c0ffee0c0ffee000", "minCount": 1, "maxCount": 1, "keyName": "ops"}]}, "instanceType": "t3.micro"});
                let response = json!({"instancesSet": {"items": [{"instanceId": format!("i-0{}", life.hex(16)), "imageId": "ami-0c0ffee0c0ffee000"}]}});
                call(
                    life,
                    time,
                    &caller,
                    region,
                    ("ec2", "RunInstances", request, response),
                );
            }
            1 => {
                let request = json!({"instanceId": instance_id(&format!("{account} windows"))});
                call(
                    life,
                    time,
                    &caller,
                    region,
                    ("ec2", "GetPasswordData", request, Value::Null),
                );
            }
            2 => {
                let request = json!({"ModifyInstanceMetadataOptionsRequest": {"InstanceId": instance_id(&format!("{account} web 1")), "HttpTokens": "required", "HttpPutResponseHopLimit": 2}});
                call(
                    life,
                    time,
                    &caller,
                    region,
                    ("ec2", "ModifyInstanceMetadataOptions", request, Value::Null),
                );
            }
            3 => {
                let request =
                    json!({"instanceId": instance_id(&format!("{account} web 2")), "attribute": "userData"});
                call(
                    life,
                    time,
                    &caller,
                    region,
                    ("ec2", "DescribeInstanceAttribute", request, Value::Null),
                );
            }
            _ => {
                let request = json!({"documentName": "AWS-RunShellScript", "targets": [{"key": "tag:role", "values": ["web"]}], "parameters": "HIDDEN_DUE_TO_SECURITY_REASONS"});
                call(
                    life,
                    time,
                    &caller,
                    region,
                    (
                        "ssm",
                        "SendCommand",
                        request,
                        json!({"command": {"commandId": life_id(number)}}),
                    ),
                );
            }
        }
    }
    // A shell on a task, an image pushed from a laptop to a repository for trials.
    if let (Some((number, person)), Some(account)) = (on_call.get(5).copied(), company.accounts.get(6)) {
        let caller = Caller::person(person, account, "PowerUserAccess", CLI);
        let (time, region) = (life.at_work(), region_of(number));
        let request =
            json!({"cluster": "shop", "task": life_id(3), "command": "/bin/sh", "interactive": true});
        call(
            life,
            time,
            &caller,
            region,
            ("ecs", "ExecuteCommand", request, Value::Null),
        );
        super::services::push(
            life,
            time + 20 * MINUTE,
            &caller,
            region,
            "playground/trials",
            "trial",
        );
    }
}

fn life_id(number: usize) -> String {
    Life::uuid_of(&number.to_string())
}
