//! Audit logs of eight projects of Google Cloud.
//! <https://cloud.google.com/logging/docs/reference/audit/auditlog/rest/Shared.Types/AuditLog>

use serde_json::{Value, json};

use super::{HOUR, Life, MINUTE, SECOND, iso};

const GCLOUD: &str = "google-cloud-sdk gcloud/482.0.0 command/gcloud.compute.instances.list invocation-id/1 environment/None interactive/True";
const BROWSER: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36,gzip(gfe)";
const TERRAFORM: &str = "google-api-go-client/0.5 Terraform/1.9.5 (+https://www.terraform.io) Terraform-Plugin-SDK/2.33.0 terraform-provider-google/5.39.0,gzip(gfe)";

/// Who calls, from where and by what.
#[derive(Clone, Copy)]
struct Caller<'a>(&'a str, &'a str, &'a str);

/// Service, method, resource and request.
type Call<'a> = (&'a str, &'a str, &'a str, Value);

fn call(
    life: &mut Life<'_>,
    time: i64,
    caller: Caller<'_>,
    project: &str,
    (service, method, resource, request): Call<'_>,
) {
    let is_read = method.contains(".list")
        || method.contains(".get")
        || method.contains("List")
        || method.contains("Get");
    let log = if is_read { "data_access" } else { "activity" };
    let Caller(principal, address, agent) = caller;
    let record = json!({
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "status": {},
            "authenticationInfo": {"principalEmail": principal},
            "requestMetadata": {"callerIp": address, "callerSuppliedUserAgent": agent, "requestAttributes": {"time": iso(time), "auth": {}}, "destinationAttributes": {}},
            "serviceName": format!("{service}.googleapis.com"),
            "methodName": method,
            "authorizationInfo": [{"resource": resource, "permission": method.trim_start_matches("v1.").trim_start_matches("beta."), "granted": true}],
            "resourceName": resource,
            "request": request,
        },
        "insertId": life.hex(12),
        "resource": {"type": "gce_instance", "labels": {"project_id": project, "zone": "europe-west3-a"}},
        "timestamp": iso(time),
        "severity": if is_read { "INFO" } else { "NOTICE" },
        "logName": format!("projects/{project}/logs/cloudaudit.googleapis.com%2F{log}"),
        "receiveTimestamp": iso(time + SECOND),
    });
    life.tell(time, "gcp-audit", record);
}

pub(super) fn live(life: &mut Life<'_>) {
    let company = life.company;
    for (number, project) in company.projects.iter().enumerate() {
        let zone = format!("projects/{project}/zones/europe-west3-a");
        // Schedules of snapshots, backups, autoscaling.
        for _ in 0..life.often(40) {
            let time = life.at_hour(2);
            let disk = format!("{zone}/disks/data-{}", life.random.below(40));
            let snapshot = format!("projects/{project}/global/snapshots/data-{}", life.hex(8));
            let schedule = Caller("system@google.com", "private", "GCE Snapshot Schedules");
            call(
                life,
                time,
                schedule,
                project,
                (
                    "compute",
                    "v1.compute.disks.createSnapshot",
                    &disk,
                    json!({"name": "daily", "@type": "type.googleapis.com/compute.disks.createSnapshot"}),
                ),
            );
            call(
                life,
                time + HOUR,
                schedule,
                project,
                ("compute", "v1.compute.snapshots.delete", &snapshot, json!({})),
            );
        }
        for _ in 0..life.often(20) {
            let time = life.any_time();
            let caller = format!(
                "service-{}@compute-system.iam.gserviceaccount.com",
                90_000 + number
            );
            let machine = format!("{zone}/instances/gke-{}", life.hex(8));
            call(
                life,
                time,
                Caller(&caller, "private", "GCE Managed Instance Group"),
                project,
                (
                    "compute",
                    "v1.compute.instances.insert",
                    &machine,
                    json!({"sourceInstanceTemplate": "gke"}),
                ),
            );
        }
        // Pipelines: images of containers and of machines, infrastructure.
        let pipeline = format!("terraform@{project}.iam.gserviceaccount.com");
        for _ in 0..3 {
            let (time, runner) = (
                life.at_work(),
                format!("20.57.{}.{}", life.random.below(250), life.random.below(250)),
            );
            let caller = Caller(&pipeline, &runner, TERRAFORM);
            let firewall = format!("projects/{project}/global/firewalls/web");
            call(
                life,
                time,
                caller,
                project,
                (
                    "compute",
                    "v1.compute.firewalls.patch",
                    &firewall,
                    json!({"name": "web", "sourceRanges": ["10.0.0.0/8"]}),
                ),
            );
            call(
                life,
                time + SECOND,
                caller,
                project,
                ("compute", "v1.compute.instances.list", &zone, json!({})),
            );
            call(
                life,
                time + 2 * SECOND,
                caller,
                project,
                (
                    "iam",
                    "google.iam.admin.v1.GetServiceAccount",
                    &format!("projects/{project}/serviceAccounts/web"),
                    json!({}),
                ),
            );
            let builder = format!("{}@cloudbuild.gserviceaccount.com", 90_000 + number);
            let image = format!(
                "projects/{project}/locations/europe/repositories/services/dockerImages/shop@sha256:{}",
                life.hex(64)
            );
            call(
                life,
                time + MINUTE,
                Caller(&builder, &runner, "docker/26.1.4 go/go1.21.11"),
                project,
                ("artifactregistry", "Docker-PutManifest", &image, json!({})),
            );
        }
        let packer = format!("packer@{project}.iam.gserviceaccount.com");
        let time = life.at_hour(3);
        let image = format!("projects/{project}/global/images/base-{}", life.day);
        call(
            life,
            time,
            Caller(
                &packer,
                "20.55.17.4",
                "Packer/1.11.1 (+https://www.packer.io/; go1.21.12; linux/amd64)",
            ),
            project,
            (
                "compute",
                "v1.compute.images.insert",
                &image,
                json!({"name": "base", "sourceDisk": "packer"}),
            ),
        );
        // People: the same look each day, and one of them makes a snapshot before a change.
        for (turn, person) in company.engineers.iter().skip(number * 4).take(4).enumerate() {
            let email = person.email();
            let browser = Caller(&email, &person.address, BROWSER);
            let time = life.at_work();
            for (pause, method) in [
                (0, "v1.compute.instances.list"),
                (1, "v1.compute.instances.aggregatedList"),
                (2, "v1.compute.disks.list"),
                (3, "v1.compute.snapshots.list"),
                (40, "v1.compute.images.list"),
            ] {
                call(
                    life,
                    time + pause * SECOND,
                    browser,
                    project,
                    ("compute", method, &zone, json!({})),
                );
            }
            let shell = Caller(&email, &person.address, GCLOUD);
            let time = life.at_work();
            call(
                life,
                time,
                shell,
                project,
                (
                    "container",
                    "google.container.v1.ClusterManager.GetCluster",
                    &format!("projects/{project}/locations/europe-west3/clusters/shop"),
                    json!({}),
                ),
            );
            if turn == 0 && number < 3 {
                let (time, disk) = (life.at_work(), format!("{zone}/disks/data-1"));
                call(
                    life,
                    time,
                    browser,
                    project,
                    (
                        "compute",
                        "v1.compute.disks.createSnapshot",
                        &disk,
                        json!({"name": format!("before-{}", life.day)}),
                    ),
                );
            }
            if turn == 1 {
                let (time, firewall) = (
                    life.at_work(),
                    format!("projects/{project}/global/firewalls/bastion"),
                );
                call(
                    life,
                    time,
                    shell,
                    project,
                    (
                        "compute",
                        "v1.compute.firewalls.patch",
                        &firewall,
                        json!({"name": "bastion", "sourceRanges": ["203.0.113.17/32"]}),
                    ),
                );
            }
            if turn == 2 {
                let (time, machine) = (life.at_work(), format!("{zone}/instances/web-1"));
                call(
                    life,
                    time,
                    shell,
                    project,
                    (
                        "compute",
                        "v1.compute.instances.setMetadata",
                        &machine,
                        json!({"metadata": {"items": [{"key": "ssh-keys"}]}}),
                    ),
                );
            }
        }
        // A product that looks at everything.
        let scanner = Caller(
            "wiz-connector@corp-core-prod.iam.gserviceaccount.com",
            "203.0.113.201",
            "google-api-python-client/2.1 gzip",
        );
        let time = life.at_hour(6);
        for round in 0..life.often(20) {
            for method in [
                "v1.compute.instances.aggregatedList",
                "v1.compute.snapshots.list",
                "v1.compute.images.list",
                "v1.compute.firewalls.list",
                "v1.compute.images.getIamPolicy",
                "v1.compute.snapshots.getIamPolicy",
            ] {
                call(
                    life,
                    time + i64::try_from(round).unwrap_or(0) * MINUTE,
                    scanner,
                    project,
                    ("compute", method, &zone, json!({})),
                );
            }
        }
    }
    // Somebody who has not made a snapshot here before.
    if let (Some(person), Some(project)) = (
        company.staff.get(200 + usize::try_from(life.day).unwrap_or(0)),
        company.projects.get(5),
    ) {
        let (time, email) = (life.at_work(), person.email());
        let disk = format!("projects/{project}/zones/europe-west3-a/disks/notebook");
        call(
            life,
            time,
            Caller(&email, &person.address, BROWSER),
            project,
            (
                "compute",
                "v1.compute.disks.createSnapshot",
                &disk,
                json!({"name": "mine"}),
            ),
        );
    }
}
