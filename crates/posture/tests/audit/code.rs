//! Dockerfiles, compose files, manifests and Terraform.

use super::{asked, report};

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

pub(crate) const FILES: &[(&str, &str)] = &[
    (
        "web/Dockerfile",
        "# syntax=docker/dockerfile:1\nARG VERSION=1.27\nARG TAG\nFROM golang:latest AS build\nRUN <<EOF\nFROM nobody\nEOF\nFROM --platform=linux/amd64 nginx:${VERSION}\n\
         COPY --from=build /a /b\nCOPY --from=busybox:latest /c /d\nFROM build AS again\nFROM scratch\nFROM registry.example:5000/team/base\nFROM alpine:$TAG\n\
         FROM \\\n  debian@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
    ),
    (
        "web/compose.yaml",
        "services:\n  web:\n    image: nginx\n    volumes:\n      - /var/run/docker.sock:/var/run/docker.sock:ro\n  db:\n    image: postgres:16.4\n  own:\n    build: .\n    image: own:latest\n  set:\n    image: ${IMAGE:-redis:latest}\n",
    ),
    (
        "deploy/app.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: api\n  namespace: web\nspec:\n  template:\n    spec:\n      initContainers:\n        - name: wait\n          image: busybox\n      containers:\n        - name: app\n          image: ghcr.io/a/b@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n---\napiVersion: batch/v1\nkind: CronJob\nmetadata: {name: nightly, namespace: web}\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers: [{name: job, image: 'tools:1.2'}]\n",
    ),
    (
        "infra/main.tf",
        r#"
variable "tokens" { default = "required" }
locals { edge = "nginx:latest" }
resource "aws_instance" "open" { ami = data.aws_ami.any.id }
resource "aws_instance" "optional" {
  metadata_options { http_tokens = "optional" }
}
resource "aws_instance" "safe" {
  metadata_options {
    http_tokens                 = var.tokens
    http_put_response_hop_limit = 1
  }
}
resource "aws_launch_template" "far" {
  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 3
  }
}
resource "aws_instance" "later" {
  metadata_options { http_tokens = module.settings.tokens }
}
data "aws_ami" "any" {
  most_recent = true
  filter {
    name   = "name"
    values = ["ubuntu-22.04-*"]
  }
}
data "aws_ami" "own" {
  most_recent = true
  owners      = ["self"]
}
data "aws_ami" "one" {
  owners = ["amazon"]
  filter {
    name   = "image-id"
    values = ["ami-0123456789abcdef0"]
  }
}
resource "google_compute_instance" "family" {
  boot_disk {
    initialize_params { image = "debian-cloud/debian-12" }
  }
}
resource "google_compute_instance" "dated" {
  boot_disk {
    initialize_params { image = "debian-cloud/debian-12-bookworm-v20240910" }
  }
}
resource "azurerm_linux_virtual_machine" "newest" {
  source_image_reference {
    publisher = "Canonical"
    version   = "latest"
  }
}
resource "google_container_node_pool" "open" {
  node_config { machine_type = "e2-medium" }
}
resource "google_container_node_pool" "shut" {
  node_config {
    workload_metadata_config { mode = "GKE_METADATA" }
  }
}
resource "aws_ecs_task_definition" "web" {
  container_definitions = jsonencode([{ name = "web", image = local.edge }, { name = "log", image = "fluent-bit:3.1" }])
}
"#,
    ),
];

fn starts(told: &[String], expected: &[&str]) {
    for line in expected {
        assert!(told.iter().any(|found| found == line), "{line}: {told:#?}");
    }
}

#[test]
fn dockerfiles_are_read_as_docker_reads_them() {
    let told = asked("image-latest", &FILES[..1]);
    starts(
        &told,
        &[
            "fail web/Dockerfile FROM golang:latest",
            "pass web/Dockerfile FROM nginx:1.27",
            "fail web/Dockerfile COPY --from=busybox:latest",
            "fail web/Dockerfile FROM registry.example:5000/team/base",
            "unknown web/Dockerfile FROM alpine:$TAG",
        ],
    );
    // Stages, scratch and what stands in a script are no images.
    assert_eq!(told.len(), 6, "{told:#?}");
    let pinned = asked("image-mutable-tag", &FILES[..1]);
    starts(
        &pinned,
        &[
            "fail web/Dockerfile FROM nginx:1.27",
            &format!("pass web/Dockerfile FROM debian@{DIGEST}"),
        ],
    );
}

#[test]
fn evidence_names_the_line() {
    let report = report(FILES);
    let line = |check: &str, resource: &str| {
        let found = report
            .findings
            .iter()
            .find(|finding| finding.check == check && finding.resource.ends_with(resource))
            .unwrap();
        found.evidence[0].line
    };
    assert_eq!(line("image-latest", "FROM golang:latest"), 4);
    assert_eq!(line("image-latest", "FROM registry.example:5000/team/base"), 13);
    assert_eq!(line("image-latest", "service web"), 3);
    assert_eq!(line("image-latest", "deployment web/api container wait"), 11);
    assert_eq!(line("image-mutable-tag", "cronjob web/nightly container job"), 24);
    assert_eq!(line("terraform-aws-imdsv1", "aws_instance.optional"), 5);
}

#[test]
fn compose_files_and_manifests_are_read() {
    let told = asked("image-latest", &FILES[1..3]);
    starts(
        &told,
        &[
            "fail web/compose.yaml service web",
            "pass web/compose.yaml service db",
            "fail web/compose.yaml service set",
            "fail deploy/app.yaml deployment web/api container wait",
            "pass deploy/app.yaml deployment web/api container app",
            "pass deploy/app.yaml cronjob web/nightly container job",
        ],
    );
    assert!(!told.iter().any(|line| line.contains("service own")), "{told:#?}");
    starts(
        &asked("docker-socket-mounted", &FILES[1..2]),
        &["fail web/compose.yaml service web"],
    );
}

#[test]
fn terraform_is_read_with_defaults_and_locals() {
    let told = asked("terraform-aws-imdsv1", &FILES[3..]);
    starts(
        &told,
        &[
            "fail infra/main.tf aws_instance.open",
            "fail infra/main.tf aws_instance.optional",
            "pass infra/main.tf aws_instance.safe",
            "pass infra/main.tf aws_launch_template.far",
            "unknown infra/main.tf aws_instance.later",
        ],
    );
    starts(
        &asked("terraform-aws-imds-hop-limit", &FILES[3..]),
        &[
            "fail infra/main.tf aws_launch_template.far",
            "pass infra/main.tf aws_instance.safe",
        ],
    );
    starts(
        &asked("terraform-newest-image", &FILES[3..]),
        &[
            "fail infra/main.tf data.aws_ami.any",
            "fail infra/main.tf data.aws_ami.own",
            "pass infra/main.tf data.aws_ami.one",
            "fail infra/main.tf google_compute_instance.family",
            "pass infra/main.tf google_compute_instance.dated",
            "fail infra/main.tf azurerm_linux_virtual_machine.newest",
        ],
    );
    starts(
        &asked("terraform-image-without-owner", &FILES[3..]),
        &[
            "fail infra/main.tf data.aws_ami.any",
            "pass infra/main.tf data.aws_ami.own",
            "pass infra/main.tf data.aws_ami.one",
        ],
    );
    starts(
        &asked("terraform-gke-metadata", &FILES[3..]),
        &[
            "fail infra/main.tf google_container_node_pool.open",
            "pass infra/main.tf google_container_node_pool.shut",
        ],
    );
    starts(
        &asked("image-latest", &FILES[3..]),
        &[
            "fail infra/main.tf aws_ecs_task_definition.web container web",
            "pass infra/main.tf aws_ecs_task_definition.web container log",
        ],
    );
}

#[test]
fn the_default_of_the_account_beside_it_counts() {
    let files = [
        ("infra/a.tf", "resource \"aws_instance\" \"a\" {}\n"),
        (
            "infra/defaults.tf",
            "resource \"aws_ec2_instance_metadata_defaults\" \"d\" { http_tokens = \"required\" }\n",
        ),
        ("other/b.tf", "resource \"aws_instance\" \"b\" {}\n"),
    ];
    starts(
        &asked("terraform-aws-imdsv1", &files),
        &["pass infra/a.tf aws_instance.a", "fail other/b.tf aws_instance.b"],
    );
}
