//! CloudTrail of thirty accounts.
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>

use serde_json::{Value, json};

use super::company::Person;
use super::{HOUR, Life, MINUTE, SECOND, iso_seconds};

mod people;
mod services;

const SOURCE: &str = "aws-cloudtrail";

const REGIONS: [&str; 3] = ["eu-central-1", "eu-west-1", "us-east-1"];

const CLI: &str = "aws-cli/2.17.9 md/awscrt#0.20.11 ua/2.0 os/macos#23.5.0 md/arch#arm64 lang/python#3.11.9 md/pyimpl#CPython cfg/retry-mode#standard md/installer#exe md/command#ec2.describe-instances";
const BROWSER: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";
const TERRAFORM: &str = "APN/1.0 HashiCorp/1.0 Terraform/1.9.5 (+https://www.terraform.io) terraform-provider-aws/5.61.0 (+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go-v2/1.30.3 ua/2.1 os/linux lang/go#1.22.5 md/GOOS#linux md/GOARCH#amd64 api/ec2#1.173.0";
const PACKER: &str = "APN/1.0 HashiCorp/1.0 packer-plugin-amazon/1.3.2 (+https://www.packer.io) aws-sdk-go/1.44.114 (go1.21.12; linux; amd64)";
const BOTO: &str = "Boto3/1.34.144 md/Botocore#1.34.144 ua/2.0 os/linux#5.10.0 md/arch#x86_64 lang/python#3.12.4 md/pyimpl#CPython cfg/retry-mode#legacy Botocore/1.34.144";
const SDK_GO: &str = "aws-sdk-go/1.53.10 (go1.22.3; linux; amd64) amazon-ssm-agent/3.3.484.0";

pub(super) fn live(life: &mut Life<'_>) {
    people::live(life);
    services::live(life);
}

/// Who calls, from where and by what.
#[derive(Clone, Debug)]
struct Caller {
    account: String,
    identity: Value,
    address: String,
    agent: String,
    /// Keys that its records have beside the usual ones.
    extra: Value,
}

impl Caller {
    /// Somebody in a role of the identity centre.
    fn person(person: &Person, account: &str, role: &str, agent: &str) -> Self {
        let role = format!(
            "AWSReservedSSO_{role}_{}",
            Life::hex_of(&format!("{role}{account}"), 16)
        );
        Self::role(account, &role, &person.email(), &person.address, agent)
    }

    /// A role of an account under the name of a session.
    fn role(account: &str, role: &str, session: &str, address: &str, agent: &str) -> Self {
        let id = format!(
            "AROA{}",
            Life::hex_of(&format!("{account}{role}"), 17).to_uppercase()
        );
        let key = format!(
            "ASIA{}",
            Life::hex_of(&format!("{account}{role}{session}"), 16).to_uppercase()
        );
        Self {
            account: account.to_owned(),
            identity: json!({
                "type": "AssumedRole",
                "principalId": format!("{id}:{session}"),
                "arn": format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"),
                "accountId": account,
                "accessKeyId": key,
                "sessionContext": {
                    "sessionIssuer": {
                        "type": "Role",
                        "principalId": id,
                        "arn": format!("arn:aws:iam::{account}:role/{role}"),
                        "accountId": account,
                        "userName": role,
                    },
                    "attributes": {"creationDate": "2026-03-03T05:00:00Z", "mfaAuthenticated": "false"},
                },
            }),
            address: address.to_owned(),
            agent: agent.to_owned(),
            extra: json!({}),
        }
    }

    /// The role of an instance, on that instance.
    fn instance(account: &str, role: &str, instance: &str, address: &str, agent: &str) -> Self {
        let mut caller = Self::role(account, role, instance, address, agent);
        if let Some(context) = caller.identity.pointer_mut("/sessionContext") {
            context["ec2RoleDelivery"] = json!("2.0");
        }
        caller
    }

    /// A role that a service of AWS has taken on.
    fn service(account: &str, role: &str, session: &str, host: &str) -> Self {
        let mut caller = Self::role(account, role, session, host, host);
        caller.identity["invokedBy"] = json!(host);
        caller
    }

    /// A service of AWS without a role.
    fn host(account: &str, host: &str) -> Self {
        Self {
            identity: json!({"type": "AWSService", "invokedBy": host}),
            ..Self::role(account, "-", "-", host, host)
        }
    }
}

/// What is called: service, name, request and response.
type Call<'a> = (&'a str, &'a str, Value, Value);

fn call(
    life: &mut Life<'_>,
    time: i64,
    caller: &Caller,
    region: &str,
    (service, name, request, response): Call<'_>,
) {
    tell(
        life,
        time,
        caller,
        region,
        (service, name, request, response),
        None,
    );
}

/// A call that was refused.
fn denied(life: &mut Life<'_>, time: i64, caller: &Caller, region: &str, service: &str, name: &str) {
    let error = Some(if service == "ec2" {
        "Client.UnauthorizedOperation"
    } else {
        "AccessDenied"
    });
    tell(
        life,
        time,
        caller,
        region,
        (service, name, Value::Null, Value::Null),
        error,
    );
}

fn tell(
    life: &mut Life<'_>,
    time: i64,
    caller: &Caller,
    region: &str,
    (service, name, request, response): Call<'_>,
    error: Option<&str>,
) {
    let is_read = [
        "Describe",
        "List",
        "Get",
        "BatchGet",
        "Lookup",
        "Head",
        "BatchCheck",
    ]
    .iter()
    .any(|verb| name.starts_with(verb));
    let mut record = json!({
        "eventVersion": "1.10",
        "userIdentity": caller.identity,
        "eventTime": iso_seconds(time),
        "eventSource": format!("{service}.amazonaws.com"),
        "eventName": name,
        "awsRegion": region,
        "sourceIPAddress": caller.address,
        "userAgent": caller.agent,
        "requestParameters": request,
        "responseElements": response,
        "requestID": life.uuid(),
        "eventID": life.uuid(),
        "readOnly": is_read,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": caller.account,
        "eventCategory": "Management",
    });
    if let Some(error) = error {
        record["errorCode"] = json!(error);
        record["errorMessage"] = json!(format!("User is not authorized to perform: {service}:{name}"));
    }
    if let (Some(record), Some(extra)) = (record.as_object_mut(), caller.extra.as_object()) {
        record.extend(extra.clone());
    }
    life.tell(time, SOURCE, record);
}

/// Several calls that ask without saying what for, one after the other.
fn ask(
    life: &mut Life<'_>,
    mut time: i64,
    caller: &Caller,
    region: &str,
    pause: i64,
    calls: &[(&str, &str)],
) -> i64 {
    for (service, name) in calls {
        call(
            life,
            time,
            caller,
            region,
            (service, name, json!({}), Value::Null),
        );
        time += 1 + life.below(pause);
    }
    time
}

fn instance_id(name: &str) -> String {
    format!("i-0{}", Life::hex_of(name, 16))
}
