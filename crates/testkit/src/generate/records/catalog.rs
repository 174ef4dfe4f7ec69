//! Templates of records. What stands in `<>` is filled in: a part of the event, a fragment, or random digits.

/// Names of users.
pub(super) const USERS: &[&str] = &[
    "alice",
    "bob",
    "carol",
    "deploy",
    "ci-runner",
    "backup",
    "ops-oncall",
];

/// Addresses of callers.
pub(super) const ADDRESSES: &[&str] = &[
    "198.51.100.7",
    "198.51.100.93",
    "203.0.113.41",
    "203.0.113.128",
    "192.0.2.14",
];

/// Files that are opened.
pub(super) const FILES: &[&str] = &[
    "/etc/passwd",
    "/etc/shadow",
    "/etc/ssh/sshd_config",
    "/var/lib/app/settings.yaml",
    "/usr/lib/x86_64-linux-gnu/libc.so.6",
];

/// What several templates have in them.
pub(super) const FRAGMENTS: &[(&str, &str)] = &[
    (
        "role",
        r#""eventVersion":"1.09","userIdentity":{"type":"AssumedRole","principalId":"AROA3NEPHOEXAMPLE:<user>","arn":"arn:aws:sts::<account>:assumed-role/Engineer/<user>","accountId":"<account>","accessKeyId":"ASIA<hex 16>","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROA3NEPHOEXAMPLE","arn":"arn:aws:iam::<account>:role/Engineer","accountId":"<account>","userName":"Engineer"},"attributes":{"creationDate":"2026-03-01T08:00:00Z","mfaAuthenticated":"false"}}},"eventTime":"<time>""#,
    ),
    (
        "person",
        r#""eventVersion":"1.08","userIdentity":{"type":"IAMUser","principalId":"AIDA3NEPHOEXAMPLE","arn":"arn:aws:iam::<account>:user/<user>","accountId":"<account>","accessKeyId":"AKIA<hex 16>","userName":"<user>"},"eventTime":"<time>""#,
    ),
    (
        "caller",
        r#""awsRegion":"eu-central-1","sourceIPAddress":"<address>","userAgent":"aws-cli/2.15.30 Python/3.11.8 Linux/6.8.0-1021-aws exe/x86_64.ubuntu.24""#,
    ),
    (
        "ids",
        r#""requestID":"<uuid>","eventID":"<uuid>","readOnly":<read>,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"<account>","eventCategory":"Management""#,
    ),
    (
        "read ids",
        r#""requestID":"<uuid>","eventID":"<uuid>","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"<account>","eventCategory":"Management""#,
    ),
    ("read", "false"),
    (
        "tls",
        r#""tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"ec2.eu-central-1.amazonaws.com"}"#,
    ),
    (
        "audit head",
        r#""kind":"Event","apiVersion":"audit.k8s.io/v1","level":"<level>","auditID":"<uuid>","stage":"ResponseComplete""#,
    ),
    ("level", "RequestResponse"),
    (
        "audit tail",
        r#""requestReceivedTimestamp":"<micros>","stageTimestamp":"<micros>","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"platform\" of ClusterRole \"platform-admin\" to Group \"platform\""}"#,
    ),
    (
        "account of service",
        r#""user":{"username":"system:serviceaccount:kube-system:<user>","uid":"<uuid>","groups":["system:serviceaccounts","system:serviceaccounts:kube-system","system:authenticated"],"extra":{"authentication.kubernetes.io/pod-name":["<user>-<hex 5>"],"authentication.kubernetes.io/pod-uid":["<uuid>"]}}"#,
    ),
    (
        "person of cluster",
        r#""user":{"username":"<user>@example.com","groups":["platform","system:authenticated"]}"#,
    ),
    (
        "beat",
        r#""@timestamp":"<millis>","@metadata":{"beat":"auditbeat","type":"_doc","version":"8.17.1"},"agent":{"ephemeral_id":"<uuid>","id":"<uuid>","name":"node-<host>","type":"auditbeat","version":"8.17.1"},"ecs":{"version":"8.0.0"},"host":{"name":"node-<host>"},"service":{"type":"auditd"}"#,
    ),
    (
        "people",
        r#""user":{"audit":{"id":"1000","name":"<user>"},"effective":{"group":{"id":"0","name":"root"},"id":"0","name":"root"},"filesystem":{"group":{"id":"0","name":"root"},"id":"0","name":"root"},"group":{"id":"0","name":"root"},"id":"0","name":"root","saved":{"group":{"id":"0","name":"root"},"id":"0","name":"root"}}"#,
    ),
    (
        "call ids",
        "items=2 ppid=<parent> pid=<pid> auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=3",
    ),
    (
        "call names",
        "\u{1d}ARCH=x86_64 AUID=\"<user>\" UID=\"root\" GID=\"root\" EUID=\"root\" SUID=\"root\" FSUID=\"root\" EGID=\"root\" SGID=\"root\" FSGID=\"root\"",
    ),
    (
        "path",
        "inode=<below 999999> dev=fd:01 mode=0100644 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0\u{1d}OUID=\"root\" OGID=\"root\"",
    ),
];

/// Calls of which one is taken for each event.
pub(super) const CALLS: &[(&str, &[&str])] = &[
    (
        "read call",
        &[
            r#""eventSource":"ec2.amazonaws.com","eventName":"DescribeInstances""#,
            r#""eventSource":"ec2.amazonaws.com","eventName":"DescribeVolumes""#,
            r#""eventSource":"ec2.amazonaws.com","eventName":"DescribeSecurityGroups""#,
            r#""eventSource":"ec2.amazonaws.com","eventName":"DescribeNetworkInterfaces""#,
            r#""eventSource":"ec2.amazonaws.com","eventName":"DescribeTags""#,
            r#""eventSource":"s3.amazonaws.com","eventName":"GetBucketLocation""#,
            r#""eventSource":"s3.amazonaws.com","eventName":"ListObjects""#,
            r#""eventSource":"sts.amazonaws.com","eventName":"GetCallerIdentity""#,
            r#""eventSource":"iam.amazonaws.com","eventName":"GetRole""#,
            r#""eventSource":"iam.amazonaws.com","eventName":"ListAttachedRolePolicies""#,
            r#""eventSource":"kms.amazonaws.com","eventName":"DescribeKey""#,
            r#""eventSource":"kms.amazonaws.com","eventName":"GenerateDataKey""#,
            r#""eventSource":"logs.amazonaws.com","eventName":"DescribeLogStreams""#,
            r#""eventSource":"monitoring.amazonaws.com","eventName":"GetMetricData""#,
            r#""eventSource":"monitoring.amazonaws.com","eventName":"DescribeAlarms""#,
            r#""eventSource":"autoscaling.amazonaws.com","eventName":"DescribeAutoScalingGroups""#,
            r#""eventSource":"elasticloadbalancing.amazonaws.com","eventName":"DescribeTargetHealth""#,
            r#""eventSource":"lambda.amazonaws.com","eventName":"GetFunction20150331v2""#,
            r#""eventSource":"rds.amazonaws.com","eventName":"DescribeDBInstances""#,
            r#""eventSource":"dynamodb.amazonaws.com","eventName":"DescribeTable""#,
            r#""eventSource":"ecs.amazonaws.com","eventName":"DescribeTasks""#,
            r#""eventSource":"eks.amazonaws.com","eventName":"DescribeCluster""#,
            r#""eventSource":"ssm.amazonaws.com","eventName":"DescribeParameters""#,
            r#""eventSource":"ssm.amazonaws.com","eventName":"GetParameter""#,
            r#""eventSource":"secretsmanager.amazonaws.com","eventName":"DescribeSecret""#,
            r#""eventSource":"sqs.amazonaws.com","eventName":"GetQueueAttributes""#,
            r#""eventSource":"tagging.amazonaws.com","eventName":"GetResources""#,
            r#""eventSource":"organizations.amazonaws.com","eventName":"ListAccounts""#,
        ],
    ),
    (
        "write call",
        &[
            r#""eventSource":"logs.amazonaws.com","eventName":"CreateLogStream""#,
            r#""eventSource":"ec2.amazonaws.com","eventName":"CreateTags""#,
            r#""eventSource":"ecs.amazonaws.com","eventName":"RegisterTaskDefinition""#,
            r#""eventSource":"ecs.amazonaws.com","eventName":"RunTask""#,
            r#""eventSource":"lambda.amazonaws.com","eventName":"UpdateFunctionCode20150331v2""#,
            r#""eventSource":"autoscaling.amazonaws.com","eventName":"UpdateAutoScalingGroup""#,
            r#""eventSource":"elasticloadbalancing.amazonaws.com","eventName":"RegisterTargets""#,
            r#""eventSource":"ssm.amazonaws.com","eventName":"UpdateInstanceInformation""#,
            r#""eventSource":"ec2.amazonaws.com","eventName":"CreateNetworkInterface""#,
            r#""eventSource":"ec2.amazonaws.com","eventName":"TerminateInstances""#,
            r#""eventSource":"dynamodb.amazonaws.com","eventName":"UpdateTable""#,
            r#""eventSource":"sqs.amazonaws.com","eventName":"CreateQueue""#,
        ],
    ),
    (
        "attack call",
        &[
            r#""eventSource":"cloudtrail.amazonaws.com","eventName":"StopLogging""#,
            r#""eventSource":"cloudtrail.amazonaws.com","eventName":"DeleteTrail""#,
            r#""eventSource":"cloudtrail.amazonaws.com","eventName":"UpdateTrail""#,
            r#""eventSource":"guardduty.amazonaws.com","eventName":"DeleteDetector""#,
            r#""eventSource":"iam.amazonaws.com","eventName":"CreateUser""#,
            r#""eventSource":"iam.amazonaws.com","eventName":"UpdateLoginProfile""#,
            r#""eventSource":"iam.amazonaws.com","eventName":"AttachUserPolicy""#,
            r#""eventSource":"ec2.amazonaws.com","eventName":"DeleteFlowLogs""#,
            r#""eventSource":"config.amazonaws.com","eventName":"StopConfigurationRecorder""#,
            r#""eventSource":"s3.amazonaws.com","eventName":"PutBucketPolicy""#,
            r#""eventSource":"ec2.amazonaws.com","eventName":"DisableEbsEncryptionByDefault""#,
            r#""eventSource":"route53.amazonaws.com","eventName":"DisassociateVPCFromHostedZone""#,
        ],
    ),
];

/// Events of CloudTrail, and how often each comes.
pub(super) const CLOUD_TRAIL: &[(u32, &str)] = &[
    (
        150,
        r#"{<person>,"eventSource":"ec2.amazonaws.com","eventName":"DescribeInstances",<caller>,"requestParameters":{"filterSet":{"items":[{"name":"instance-state-name","valueSet":{"items":[{"value":"running"}]}},{"name":"tag:team","valueSet":{"items":[{"value":"platform"}]}}]},"instancesSet":{}},"responseElements":null,<ids>,<tls>}"#,
    ),
    (
        20,
        r#"{<person>,"eventSource":"ec2.amazonaws.com","eventName":"RunInstances",<caller>,"requestParameters":{"instancesSet":{"items":[{"imageId":"ami-0<hex 16>","minCount":1,"maxCount":1,"keyName":"ops"}]},"instanceType":"t3.large","blockDeviceMapping":{},"availabilityZone":"eu-central-1a","monitoring":{"enabled":false},"disableApiTermination":false,"clientToken":"<uuid>","networkInterfaceSet":{"items":[{"deviceIndex":0,"subnetId":"subnet-0<hex 16>"}]}},"responseElements":{"requestId":"<uuid>","reservationId":"r-0<hex 16>","ownerId":"<account>","groupSet":{},"instancesSet":{"items":[{"instanceId":"i-0<hex 16>","imageId":"ami-0<hex 16>","bootMode":"uefi","instanceState":{"code":0,"name":"pending"},"privateDnsName":"ip-10-0-4-17.eu-central-1.compute.internal","keyName":"ops","amiLaunchIndex":0,"instanceType":"t3.large","placement":{"availabilityZone":"eu-central-1a","tenancy":"default"},"monitoring":{"state":"disabled"},"subnetId":"subnet-0<hex 16>","vpcId":"vpc-0<hex 16>","privateIpAddress":"10.0.4.17","stateReason":{"code":"pending","message":"pending"},"architecture":"x86_64","rootDeviceType":"ebs","rootDeviceName":"/dev/sda1","virtualizationType":"hvm","hypervisor":"xen","sourceDestCheck":true}]}},<ids>,<tls>}"#,
    ),
    (
        1,
        r#"{<person>,"eventSource":"iam.amazonaws.com","eventName":"CreateAccessKey",<caller>,"requestParameters":{"userName":"<user>"},"responseElements":{"accessKey":{"userName":"<user>","accessKeyId":"AKIA<hex 16>","status":"Active","createDate":"Mar 1, 2026 10:00:00 AM"}},<ids>}"#,
    ),
    (
        1,
        r#"{<person>,"eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","awsRegion":"eu-central-1","sourceIPAddress":"<address>","userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.0.0 Safari/537.36","requestParameters":null,"responseElements":{"ConsoleLogin":"Success"},"additionalEventData":{"LoginTo":"https://console.aws.amazon.com/console/home?state=hashArgs%23&isauthcode=true","MobileVersion":"No","MFAUsed":"No"},"eventID":"<uuid>","readOnly":false,"eventType":"AwsConsoleSignIn","managementEvent":true,"recipientAccountId":"<account>","eventCategory":"Management"}"#,
    ),
    (
        200,
        r#"{<person>,"eventSource":"kms.amazonaws.com","eventName":"Decrypt",<caller>,"requestParameters":{"encryptionContext":{"aws:s3:arn":"arn:aws:s3:::data-<account>/table/part-<below 9999>.parquet"},"encryptionAlgorithm":"SYMMETRIC_DEFAULT"},"responseElements":null,<ids>,"resources":[{"accountId":"<account>","type":"AWS::KMS::Key","ARN":"arn:aws:kms:eu-central-1:<account>:key/<uuid>"}],<tls>}"#,
    ),
    (
        250,
        r#"{<person>,"eventSource":"s3.amazonaws.com","eventName":"GetObject",<caller>,"requestParameters":{"bucketName":"data-<account>","Host":"data-<account>.s3.eu-central-1.amazonaws.com","key":"table/part-<below 9999>.parquet"},"responseElements":null,"additionalEventData":{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"<hex 64>","bytesTransferredOut":<below 9999999>},"requestID":"<hex 16>","eventID":"<uuid>","readOnly":true,"resources":[{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::data-<account>/table/part-1.parquet"},{"accountId":"<account>","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::data-<account>"}],"eventType":"AwsApiCall","managementEvent":false,"recipientAccountId":"<account>","eventCategory":"Data",<tls>}"#,
    ),
    (
        150,
        r#"{"eventVersion":"1.08","userIdentity":{"type":"AWSService","invokedBy":"ec2.amazonaws.com"},"eventTime":"<time>","eventSource":"sts.amazonaws.com","eventName":"AssumeRole","awsRegion":"eu-central-1","sourceIPAddress":"ec2.amazonaws.com","userAgent":"ec2.amazonaws.com","requestParameters":{"roleArn":"arn:aws:iam::<account>:role/node","roleSessionName":"i-0<hex 16>"},"responseElements":{"credentials":{"accessKeyId":"ASIA<hex 16>","sessionToken":"<hex 200>","expiration":"Mar 1, 2026, 4:00:00 PM"},"assumedRoleUser":{"assumedRoleId":"AROA3NEPHOEXAMPLE:i-0<hex 16>","arn":"arn:aws:sts::<account>:assumed-role/node/i-0<hex 16>"}},"resources":[{"accountId":"<account>","type":"AWS::IAM::Role","ARN":"arn:aws:iam::<account>:role/node"}],<ids>,"sharedEventID":"<uuid>"}"#,
    ),
    (
        1,
        r#"{<person>,"eventSource":"ec2.amazonaws.com","eventName":"ModifySnapshotAttribute",<caller>,"errorCode":"Client.UnauthorizedOperation","errorMessage":"You are not authorized to perform this operation. User: arn:aws:iam::<account>:user/<user> is not authorized to perform: ec2:ModifySnapshotAttribute","requestParameters":{"snapshotId":"snap-0<hex 16>","createVolumePermission":{"add":{"items":[{"userId":"<below 999999999>"}]}},"attributeType":"CREATE_VOLUME_PERMISSION"},"responseElements":null,<ids>,<tls>}"#,
    ),
    (
        600,
        r#"{<person>,<read call>,<caller>,"requestParameters":{"maxResults":<below 1000 max>,"filterSet":{},"resource":"<hex 12 resource>"},"responseElements":null,<read ids>,<tls>}"#,
    ),
    (
        40,
        r#"{<person>,<write call>,<caller>,"requestParameters":{"name":"<hex 12 resource>","resourceName":"app-<below 400 app>","tags":[{"key":"team","value":"platform"},{"key":"cost","value":"<below 90 cost>"}]},"responseElements":{"requestId":"<uuid request>"},<ids>,<tls>}"#,
    ),
    (
        1,
        r#"{<role>,<attack call>,<caller>,"requestParameters":{"name":"arn:aws:cloudtrail:eu-central-1:<account>:trail/main","userName":"<user>"},"responseElements":null,<ids>,<tls>}"#,
    ),
    (
        1,
        r#"{"eventVersion":"1.08","userIdentity":{"type":"Root","principalId":"<account>","arn":"arn:aws:iam::<account>:root","accountId":"<account>","accessKeyId":""},"eventTime":"<time>","eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","awsRegion":"us-east-1","sourceIPAddress":"<address>","userAgent":"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0","requestParameters":null,"responseElements":{"ConsoleLogin":"Success"},"additionalEventData":{"LoginTo":"https://console.aws.amazon.com/console/home","MobileVersion":"No","MFAUsed":"No"},"eventID":"<uuid>","readOnly":false,"eventType":"AwsConsoleSignIn","managementEvent":true,"recipientAccountId":"<account>","eventCategory":"Management"}"#,
    ),
];

/// Audit events of Kubernetes.
pub(super) const KUBERNETES_AUDIT: &[(u32, &str)] = &[
    (
        400,
        r#"{<audit head>,"requestURI":"/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/<user>?timeout=15s","verb":"update",<account of service>,"sourceIPs":["10.0.1.<host>"],"userAgent":"kube-controller-manager/v1.31.2 (linux/amd64) kubernetes/5864a46/leader-election","objectRef":{"resource":"leases","namespace":"kube-system","name":"<user>","apiGroup":"coordination.k8s.io","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},<audit tail>}"#,
    ),
    (
        300,
        r#"{<audit head>,"requestURI":"/api/v1/pods?allowWatchBookmarks=true&watch=true","verb":"watch",<account of service>,"sourceIPs":["10.0.1.<host>"],"userAgent":"kubelet/v1.31.2 (linux/amd64) kubernetes/5864a46","objectRef":{"resource":"pods","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},<audit tail>}"#,
    ),
    (
        1,
        r#"{<audit head>,"requestURI":"/api/v1/namespaces/shop/pods/shop-<hex 5>/exec?command=sh&container=app&stdin=true&stdout=true&tty=true","verb":"create",<person of cluster>,"sourceIPs":["<address>"],"userAgent":"kubectl/v1.31.0 (linux/amd64) kubernetes/9edcffc","objectRef":{"resource":"pods","namespace":"shop","name":"shop-<hex 5>","apiVersion":"v1","subresource":"exec"},"responseStatus":{"metadata":{},"code":101},<audit tail>}"#,
    ),
    (
        60,
        r#"{<audit head>,"requestURI":"/api/v1/namespaces/shop/pods?fieldManager=kubectl-client-side-apply","verb":"create",<person of cluster>,"sourceIPs":["<address>"],"userAgent":"kubectl/v1.31.0 (linux/amd64) kubernetes/9edcffc","objectRef":{"resource":"pods","namespace":"shop","name":"job-<hex 5>","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":201},"requestObject":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"job-<hex 5>","namespace":"shop","creationTimestamp":null,"labels":{"app":"job"}},"spec":{"volumes":[{"name":"data","emptyDir":{}}],"containers":[{"name":"job","image":"registry.example.com/shop/job:1.4.<below 90>","command":["/bin/job","--once"],"resources":{"limits":{"cpu":"500m","memory":"256Mi"}},"volumeMounts":[{"name":"data","mountPath":"/data"}],"imagePullPolicy":"IfNotPresent","securityContext":{"privileged":false,"runAsUser":1000}}],"restartPolicy":"Never","hostNetwork":false,"serviceAccountName":"job"},"status":{}},"responseObject":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"job-<hex 5>","namespace":"shop","uid":"<uuid>","resourceVersion":"<below 999999>"},"spec":{"containers":[{"name":"job","image":"registry.example.com/shop/job:1.4.1","terminationMessagePath":"/dev/termination-log"}],"restartPolicy":"Never","nodeName":"node-<host>"},"status":{"phase":"Pending","qosClass":"Burstable"}},<audit tail>}"#,
    ),
    (
        1,
        r#"{<audit head>,"requestURI":"/api/v1/namespaces/shop/secrets/database","verb":"get",<account of service>,"sourceIPs":["10.0.1.<host>"],"userAgent":"app/v0.0.0 (linux/amd64) kubernetes/$Format","objectRef":{"resource":"secrets","namespace":"shop","name":"database","apiVersion":"v1"},"responseStatus":{"metadata":{},"status":"Failure","message":"secrets \"database\" is forbidden","reason":"Forbidden","code":403},"requestReceivedTimestamp":"<micros>","stageTimestamp":"<micros>","annotations":{"authorization.k8s.io/decision":"forbid","authorization.k8s.io/reason":""}}"#,
    ),
];

/// Linux audit events from Auditbeat.
pub(super) const AUDITD_MANAGER: &[(u32, &str)] = &[
    (
        1,
        r#"{<beat>,"auditd":{"data":{"a0":"55d0c8a1","a1":"55d0c8b2","a2":"55d0c8c3","a3":"8","arch":"x86_64","argc":"3","exit":"0","syscall":"execve","tty":"pts0"},"message_type":"syscall","paths":[{"cap_fe":"0","cap_fi":"0","cap_fp":"0","cap_fver":"0","dev":"fd:01","inode":"<below 999999>","item":"0","mode":"0100755","name":"/usr/bin/curl","nametype":"NORMAL","ogid":"0","ouid":"0","rdev":"00:00"},{"cap_fe":"0","cap_fi":"0","cap_fp":"0","cap_fver":"0","dev":"fd:01","inode":"<below 999999>","item":"1","mode":"0100755","name":"/lib64/ld-linux-x86-64.so.2","nametype":"NORMAL","ogid":"0","ouid":"0","rdev":"00:00"}],"result":"success","sequence":<serial>,"session":"3","summary":{"actor":{"primary":"<user>","secondary":"root"},"how":"/usr/bin/curl","object":{"primary":"/usr/bin/curl","type":"file"}}},"event":{"action":"executed","category":["process"],"kind":"event","module":"auditd","outcome":"success","type":["start"]},"file":{"device":"00:00","gid":"0","group":"root","inode":"<below 999999>","mode":"0755","owner":"root","path":"/usr/bin/curl","uid":"0"},"process":{"args":["curl","-s","http://169.254.169.254/latest/meta-data/"],"executable":"/usr/bin/curl","name":"curl","parent":{"pid":<parent>},"pid":<pid>,"title":"curl -s http://169.254.169.254/latest/meta-data/","working_directory":"/home/<user>"},"related":{"user":["<user>","root"]},"tags":["exec"],<people>}"#,
    ),
    (
        1,
        r#"{<beat>,"auditd":{"data":{"a0":"ffffff9c","a1":"7ffd2c","a2":"0","a3":"0","arch":"x86_64","exit":"3","syscall":"openat","tty":"(none)"},"message_type":"syscall","paths":[{"dev":"fd:01","inode":"<below 999999>","item":"0","mode":"0100644","name":"<file>","nametype":"NORMAL","ogid":"0","ouid":"0","rdev":"00:00"}],"result":"success","sequence":<serial>,"session":"3","summary":{"actor":{"primary":"<user>","secondary":"root"},"how":"/usr/bin/cat","object":{"primary":"<file>","type":"file"}}},"event":{"action":"opened-file","category":["file"],"kind":"event","module":"auditd","outcome":"success","type":["info"]},"file":{"device":"00:00","gid":"0","group":"root","inode":"<below 999999>","mode":"0644","owner":"root","path":"<file>","uid":"0"},"process":{"executable":"/usr/bin/cat","name":"cat","parent":{"pid":<parent>},"pid":<pid>,"title":"cat <file>","working_directory":"/root"},"related":{"user":["<user>","root"]},"tags":["files"],<people>}"#,
    ),
    (
        1,
        r#"{<beat>,"auditd":{"data":{"a0":"5","a1":"7f11","a2":"10","arch":"x86_64","exit":"0","socket":{"addr":"<address>","family":"ipv4","port":"443"},"syscall":"connect","tty":"(none)"},"message_type":"syscall","result":"success","sequence":<serial>,"session":"3","summary":{"actor":{"primary":"<user>","secondary":"root"},"how":"/usr/bin/curl","object":{"primary":"<address>","secondary":"443","type":"socket"}}},"destination":{"ip":"<address>","port":"443"},"event":{"action":"connected-to","category":["network"],"kind":"event","module":"auditd","outcome":"success","type":["connection","start"]},"network":{"direction":"egress"},"process":{"executable":"/usr/bin/curl","name":"curl","parent":{"pid":<parent>},"pid":<pid>,"title":"curl https://<address>/"},"related":{"user":["<user>","root"]},"tags":["net"],<people>}"#,
    ),
    (
        1,
        r#"{<beat>,"auditd":{"data":{"acct":"<user>","grantors":"pam_unix","op":"PAM:authentication","terminal":"ssh"},"message_type":"user_auth","result":"fail","sequence":<serial>,"session":"unset","summary":{"actor":{"primary":"unset","secondary":"<user>"},"how":"/usr/sbin/sshd","object":{"primary":"ssh","secondary":"<address>","type":"user-session"}}},"event":{"action":"authenticated","category":["authentication"],"kind":"event","module":"auditd","outcome":"failure","type":["info"]},"network":{"direction":"ingress"},"process":{"executable":"/usr/sbin/sshd","pid":<pid>},"related":{"ip":["<address>"],"user":["<user>"]},"source":{"ip":"<address>"},"user":{"audit":{"id":"4294967295"},"effective":{"id":"1000","name":"<user>"},"id":"0","name":"root"}}"#,
    ),
];

/// Events of a Linux audit log.
pub(super) const AUDITD: &[(u32, &str)] = &[
    (
        1,
        "type=SYSCALL msg=audit(<stamp>): arch=c000003e syscall=59 success=yes exit=0 a0=55d0c8a1 a1=55d0c8b2 a2=55d0c8c3 a3=8 <call ids> comm=\"curl\" exe=\"/usr/bin/curl\" subj=unconfined key=\"exec\"<call names>\ntype=EXECVE msg=audit(<stamp>): argc=3 a0=\"curl\" a1=\"-s\" a2=\"http://169.254.169.254/latest/meta-data/\"\ntype=CWD msg=audit(<stamp>): cwd=\"/home/<user>\"\ntype=PATH msg=audit(<stamp>): item=0 name=\"/usr/bin/curl\" <path>\ntype=PATH msg=audit(<stamp>): item=1 name=\"/lib64/ld-linux-x86-64.so.2\" <path>\ntype=PROCTITLE msg=audit(<stamp>): proctitle=6375726C002D7300687474703A2F2F3136392E3235342E3136392E3235342F6C61746573742F6D6574612D646174612F\ntype=EOE msg=audit(<stamp>): ",
    ),
    (
        1,
        "type=SYSCALL msg=audit(<stamp>): arch=c000003e syscall=257 success=yes exit=3 a0=ffffff9c a1=7ffd2c a2=0 a3=0 <call ids> comm=\"cat\" exe=\"/usr/bin/cat\" subj=unconfined key=\"files\"<call names>\ntype=CWD msg=audit(<stamp>): cwd=\"/root\"\ntype=PATH msg=audit(<stamp>): item=0 name=\"<file>\" <path>\ntype=PROCTITLE msg=audit(<stamp>): proctitle=636174002F6574632F706173737764\ntype=EOE msg=audit(<stamp>): ",
    ),
    (
        1,
        "type=SYSCALL msg=audit(<stamp>): arch=c000003e syscall=42 success=yes exit=0 a0=5 a1=7f11 a2=10 a3=0 <call ids> comm=\"curl\" exe=\"/usr/bin/curl\" subj=unconfined key=\"net\"<call names>\ntype=SOCKADDR msg=audit(<stamp>): saddr=020001BBC63364070000000000000000\ntype=PROCTITLE msg=audit(<stamp>): proctitle=6375726C0068747470733A2F2F3139382E35312E3130302E372F\ntype=EOE msg=audit(<stamp>): ",
    ),
    (
        1,
        "type=USER_AUTH msg=audit(<stamp>): pid=<pid> uid=0 auid=4294967295 ses=4294967295 subj=unconfined msg='op=PAM:authentication grantors=? acct=\"<user>\" exe=\"/usr/sbin/sshd\" hostname=<address> addr=<address> terminal=ssh res=failed'\u{1d}UID=\"root\" AUID=\"unset\"",
    ),
];
