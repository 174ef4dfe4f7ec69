//! Audit logs of 1,200 Linux hosts, raw, as a shipper sends their lines.
//! <https://github.com/linux-audit/audit-documentation/wiki>

use super::{HOUR, Life, MINUTE, SECOND};

const FILE: &str = "/var/log/audit/audit.log";

/// Somebody who is logged in, and the program that another was started by.
#[derive(Clone, Copy)]
struct Scene<'a> {
    host: &'a str,
    /// The login; 4294967295 where there is none.
    login: u32,
    user: u32,
    parent: u64,
}

const NOBODY: u32 = u32::MAX;

/// A program is started.
fn start(life: &mut Life<'_>, time: i64, scene: Scene<'_>, program: &str, words: &[&str]) -> u64 {
    let pid = 2000 + life.random.below(60_000);
    let Scene {
        host,
        login,
        user,
        parent,
    } = scene;
    let serial = 1000 + u64::try_from(life.records.len()).unwrap_or(0);
    let stamp = format!("{}.{:03}:{serial}", time / SECOND, time % SECOND);
    let name: String = program
        .rsplit('/')
        .next()
        .unwrap_or(program)
        .chars()
        .take(15)
        .collect();
    let session = if login == NOBODY { NOBODY } else { 7 };
    let quoted: Vec<String> = words
        .iter()
        .enumerate()
        .map(|(number, word)| {
            if word.contains([' ', '"']) {
                format!("a{number}={}", hex(word))
            } else {
                format!("a{number}=\"{word}\"")
            }
        })
        .collect();
    let title = words.join("\0");
    let lines = [
        format!(
            "type=SYSCALL msg=audit({stamp}): arch=c000003e syscall=59 success=yes exit=0 a0=55d0c8a1 a1=55d0c8b2 a2=55d0c8c3 a3=8 items=2 ppid={parent} pid={pid} auid={login} uid={user} gid={user} euid={user} suid={user} fsuid={user} egid={user} sgid={user} fsgid={user} tty=(none) ses={session} comm=\"{name}\" exe=\"{program}\" subj=unconfined key=\"exec\""
        ),
        format!(
            "type=EXECVE msg=audit({stamp}): argc={} {}",
            words.len(),
            quoted.join(" ")
        ),
        format!("type=CWD msg=audit({stamp}): cwd=\"/\""),
        format!(
            "type=PATH msg=audit({stamp}): item=0 name=\"{program}\" inode=1234 dev=fd:01 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0"
        ),
        format!("type=PROCTITLE msg=audit({stamp}): proctitle={}", hex(&title)),
        format!("type=EOE msg=audit({stamp}): "),
    ];
    for line in lines {
        life.tell_line(time, "linux-auditd", host, FILE, &line);
    }
    pid
}

/// A program connects to an address.
fn connect(
    life: &mut Life<'_>,
    time: i64,
    scene: Scene<'_>,
    pid: u64,
    program: &str,
    address: [u8; 4],
    port: u16,
) {
    let Scene {
        host,
        login,
        user,
        parent,
    } = scene;
    let serial = 1000 + u64::try_from(life.records.len()).unwrap_or(0);
    let stamp = format!("{}.{:03}:{serial}", time / SECOND, time % SECOND);
    let name: String = program
        .rsplit('/')
        .next()
        .unwrap_or(program)
        .chars()
        .take(15)
        .collect();
    let [a, b, c, d] = address;
    let lines = [
        format!(
            "type=SYSCALL msg=audit({stamp}): arch=c000003e syscall=42 success=yes exit=0 a0=5 a1=7f11 a2=10 a3=0 items=0 ppid={parent} pid={pid} auid={login} uid={user} gid={user} euid={user} suid={user} fsuid={user} egid={user} sgid={user} fsgid={user} tty=(none) ses=7 comm=\"{name}\" exe=\"{program}\" subj=unconfined key=\"net\""
        ),
        format!(
            "type=SOCKADDR msg=audit({stamp}): saddr=0200{port:04X}{a:02X}{b:02X}{c:02X}{d:02X}0000000000000000"
        ),
        format!("type=EOE msg=audit({stamp}): "),
    ];
    for line in lines {
        life.tell_line(time, "linux-auditd", host, FILE, &line);
    }
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02X}")).collect()
}

const METADATA: [u8; 4] = [169, 254, 169, 254];

pub(super) fn live(life: &mut Life<'_>) {
    fleet(life);
    container_hosts(life);
    builders(life);
    fleeting(life);
    people(life);
    automation(life);
}

/// What every host does.
fn fleet(life: &mut Life<'_>) {
    for number in 0..life.often(1200).max(60) {
        let host = format!("web-{number:04}");
        let root = Scene {
            host: &host,
            login: NOBODY,
            user: 0,
            parent: 1,
        };
        let time = life.any_time();
        // Agents of the clouds ask the metadata service where they run; at boot, a good deal is asked.
        for (program, times) in [
            ("/usr/bin/amazon-ssm-agent", 2),
            ("/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent", 1),
        ] {
            if number % 3 == 0 {
                let pid = start(life, time, root, program, &[program]);
                for again in 0..times {
                    connect(life, time + again * MINUTE, root, pid, program, METADATA, 80);
                }
            }
        }
        if number % 3 == 1 {
            let program = "/usr/bin/google_guest_agent";
            let pid = start(life, time, root, program, &[program]);
            connect(life, time + SECOND, root, pid, program, METADATA, 80);
        }
        if number % 3 == 2 {
            let program = "/usr/bin/python3.10";
            let pid = start(
                life,
                time,
                root,
                program,
                &["/usr/bin/python3", "-u", "/usr/sbin/waagent", "-run-exthandlers"],
            );
            connect(life, time + SECOND, root, pid, program, METADATA, 80);
            connect(life, time + SECOND, root, pid, program, [168, 63, 129, 16], 80);
        }
        if number % 20 == 0 {
            let pid = start(
                life,
                time,
                root,
                "/usr/bin/python3.10",
                &["/usr/bin/python3", "/usr/bin/cloud-init", "init"],
            );
            connect(
                life,
                time + SECOND,
                root,
                pid,
                "/usr/bin/python3.10",
                METADATA,
                80,
            );
            // Images of AWS bring a tool that asks for one thing by curl.
            let scene = Scene { parent: pid, ..root };
            let pid = start(
                life,
                time + 2 * SECOND,
                scene,
                "/usr/bin/ec2-metadata",
                &["/bin/bash", "/usr/bin/ec2-metadata", "-z"],
            );
            let scene = Scene { parent: pid, ..root };
            let pid = start(
                life,
                time + 2 * SECOND,
                scene,
                "/usr/bin/curl",
                &[
                    "curl",
                    "-s",
                    "-f",
                    "http://169.254.169.254/latest/meta-data/placement/availability-zone",
                    "-H",
                    "X-aws-ec2-metadata-token: AQ==",
                ],
            );
            connect(
                life,
                time + 2 * SECOND + 100,
                scene,
                pid,
                "/usr/bin/curl",
                METADATA,
                80,
            );
        }
        for _ in 0..life.often(40).min(4) {
            let time = life.any_time();
            let words: &[&str] = match life.random.below(6) {
                0 => &["/usr/sbin/logrotate", "/etc/logrotate.conf"],
                1 => &["/usr/bin/apt-get", "-qq", "update"],
                2 => &["/usr/lib/sysstat/sa1", "1", "1"],
                3 => &["/usr/bin/systemctl", "status", "nginx"],
                4 => &["/usr/bin/curl", "-sf", "http://localhost:8080/health"],
                _ => &["/bin/sh", "-c", "run-parts --report /etc/cron.hourly"],
            };
            start(
                life,
                time,
                root,
                words.first().copied().unwrap_or_default(),
                words,
            );
        }
    }
}

/// Hosts with Docker: monitoring and people look at containers.
fn container_hosts(life: &mut Life<'_>) {
    for number in 0..life.often(200).max(20) {
        let host = format!("docker-{number:03}");
        for _ in 0..life.often(24).clamp(1, 3) {
            let time = life.any_time();
            let agent = Scene {
                host: &host,
                login: NOBODY,
                user: 997,
                parent: 812,
            };
            start(
                life,
                time,
                agent,
                "/usr/bin/docker",
                &["docker", "ps", "--format", "{{.Names}}"],
            );
            let check = Scene {
                host: &host,
                login: NOBODY,
                user: 0,
                parent: 901,
            };
            start(
                life,
                time + MINUTE,
                check,
                "/usr/bin/docker",
                &[
                    "/usr/bin/docker",
                    "inspect",
                    "--format",
                    "{{.State.Health.Status}}",
                    "shop",
                ],
            );
        }
        if number % 5 == 0 {
            let time = life.at_work();
            let scene = Scene {
                host: &host,
                login: 1010,
                user: 1010,
                parent: 4100,
            };
            start(life, time, scene, "/usr/bin/docker", &["docker", "ps", "-a"]);
            start(
                life,
                time + MINUTE,
                scene,
                "/usr/bin/docker",
                &["docker", "logs", "--tail", "100", "shop"],
            );
            start(
                life,
                time + 2 * MINUTE,
                scene,
                "/usr/bin/docker",
                &["docker", "compose", "up", "-d"],
            );
        }
    }
    for number in 0..life.often(60).max(5) {
        let host = format!("k8s-node-{number:02}");
        let scene = Scene {
            host: &host,
            login: NOBODY,
            user: 0,
            parent: 700,
        };
        let time = life.any_time();
        start(
            life,
            time,
            scene,
            "/usr/local/bin/crictl",
            &["crictl", "ps", "-q"],
        );
        start(
            life,
            time + SECOND,
            scene,
            "/usr/local/bin/crictl",
            &[
                "crictl",
                "--runtime-endpoint",
                "unix:///run/containerd/containerd.sock",
                "images",
            ],
        );
    }
}

/// Machines on which pipelines build.
fn builders(life: &mut Life<'_>) {
    for number in 0..12_u64 {
        let host = format!("runner-{number:02}");
        let scene = Scene {
            host: &host,
            login: NOBODY,
            user: 1001,
            parent: 1500,
        };
        for _ in 0..6 {
            let time = life.at_work();
            let tag = format!(
                "registry.corp.example/services/service-{}:{}",
                life.random.below(24),
                life.hex(12)
            );
            start(
                life,
                time,
                scene,
                "/usr/bin/docker",
                &[
                    "docker",
                    "login",
                    "registry.corp.example",
                    "-u",
                    "ci",
                    "--password-stdin",
                ],
            );
            start(
                life,
                time + 2 * SECOND,
                scene,
                "/usr/bin/docker",
                &["docker", "build", "-t", &tag, "--pull", "."],
            );
            start(
                life,
                time + 2 * MINUTE,
                scene,
                "/usr/bin/docker",
                &["docker", "push", &tag],
            );
            start(
                life,
                time + 3 * MINUTE,
                scene,
                "/usr/local/bin/aws",
                &[
                    "aws",
                    "ecs",
                    "update-service",
                    "--cluster",
                    "shop",
                    "--service",
                    "shop",
                    "--force-new-deployment",
                ],
            );
            start(
                life,
                time + 4 * MINUTE,
                scene,
                "/usr/bin/kubectl",
                &["kubectl", "-n", "shop", "rollout", "status", "deploy/service-1"],
            );
        }
        let time = life.at_work();
        start(
            life,
            time,
            scene,
            "/usr/local/bin/terraform",
            &["terraform", "apply", "-auto-approve", "plan.out"],
        );
        start(
            life,
            time + HOUR,
            scene,
            "/usr/bin/docker",
            &["docker", "system", "prune", "-af"],
        );
    }
}

/// Hosts that were not there the day before and will not be the day after: runners, nodes, machines of groups that scale.
fn fleeting(life: &mut Life<'_>) {
    for number in 0..20 {
        let host = format!("runner-{}", life.hex(8));
        let scene = Scene {
            host: &host,
            login: NOBODY,
            user: 1001,
            parent: 1500,
        };
        let time = life.at_work();
        let tag = format!("registry.corp.example/services/service-{number}:{}", life.hex(12));
        start(
            life,
            time,
            scene,
            "/usr/bin/docker",
            &["docker", "build", "-t", &tag, "."],
        );
        start(
            life,
            time + MINUTE,
            scene,
            "/usr/bin/docker",
            &["docker", "run", "--rm", &tag, "npm", "test"],
        );
        start(
            life,
            time + 2 * MINUTE,
            scene,
            "/usr/bin/docker",
            &["docker", "push", &tag],
        );
        start(
            life,
            time + 3 * MINUTE,
            scene,
            "/usr/bin/docker",
            &["docker", "ps", "-aq"],
        );
        start(
            life,
            time + 3 * MINUTE,
            scene,
            "/usr/bin/docker",
            &["docker", "image", "ls"],
        );
    }
    for _ in 0..15 {
        let host = format!("k8s-node-{}", life.hex(8));
        let scene = Scene {
            host: &host,
            login: NOBODY,
            user: 0,
            parent: 700,
        };
        let time = life.any_time();
        start(
            life,
            time,
            scene,
            "/usr/local/bin/crictl",
            &["crictl", "ps", "-q"],
        );
        start(life, time, scene, "/usr/local/bin/crictl", &["crictl", "images"]);
        let boot = Scene { parent: 1, ..scene };
        let pid = start(
            life,
            time,
            boot,
            "/usr/bin/bash",
            &["/bin/bash", "/etc/eks/bootstrap.sh", "shop"],
        );
        let script = Scene { parent: pid, ..scene };
        let pid = start(
            life,
            time + SECOND,
            script,
            "/usr/bin/curl",
            &[
                "curl",
                "-s",
                "-X",
                "PUT",
                "http://169.254.169.254/latest/api/token",
                "-H",
                "X-aws-ec2-metadata-token-ttl-seconds: 900",
            ],
        );
        connect(life, time + SECOND, script, pid, "/usr/bin/curl", METADATA, 80);
        let pid = start(
            life,
            time + SECOND,
            script,
            "/usr/bin/curl",
            &[
                "curl",
                "-s",
                "http://169.254.169.254/latest/dynamic/instance-identity/document",
            ],
        );
        connect(life, time + SECOND, script, pid, "/usr/bin/curl", METADATA, 80);
    }
    for _ in 0..15 {
        let host = format!("web-{}", life.hex(8));
        let scene = Scene {
            host: &host,
            login: NOBODY,
            user: 0,
            parent: 1,
        };
        let time = life.any_time();
        for (program, words) in [
            ("/usr/bin/amazon-ssm-agent", &["/usr/bin/amazon-ssm-agent"][..]),
            (
                "/usr/bin/python3.10",
                &[
                    "/usr/bin/python3",
                    "/usr/bin/cloud-init",
                    "modules",
                    "--mode=final",
                ],
            ),
        ] {
            let pid = start(life, time, scene, program, words);
            connect(life, time + SECOND, scene, pid, program, METADATA, 80);
        }
    }
    // Somebody looks at the containers of a host where they have not been.
    for number in 0..3_u32 {
        let host = format!("docker-{:03}", 50 + 7 * number + 3 * life.day);
        let user = 1200 + number + 10 * life.day;
        let scene = Scene {
            host: &host,
            login: user,
            user,
            parent: 4200,
        };
        let time = life.at_work();
        start(life, time, scene, "/usr/bin/docker", &["docker", "ps"]);
        start(
            life,
            time + MINUTE,
            scene,
            "/usr/bin/docker",
            &["docker", "exec", "-it", "shop", "sh"],
        );
    }
}

/// Engineers on machines for administration and on their own.
fn people(life: &mut Life<'_>) {
    for number in 0..24_u32 {
        let host = format!("bastion-{}", number % 3);
        let user = 1100 + number;
        let scene = Scene {
            host: &host,
            login: user,
            user,
            parent: 3000 + u64::from(number),
        };
        let time = life.at_work();
        let commands: &[&[&str]] = match number % 6 {
            0 => &[
                &["kubectl", "get", "pods", "-A"],
                &["kubectl", "-n", "shop", "logs", "service-1-abc"],
                &["kubectl", "get", "nodes", "-o", "wide"],
            ],
            1 => &[
                &["aws", "sts", "get-caller-identity"],
                &["aws", "ec2", "describe-instances", "--output", "table"],
            ],
            2 => &[
                &["ssh", "web-0001"],
                &["scp", "web-0001:/var/log/nginx/error.log", "."],
            ],
            3 => &[
                &[
                    "aws",
                    "ec2",
                    "create-snapshot",
                    "--volume-id",
                    "vol-0aa11bb22cc33dd44",
                    "--description",
                    "before upgrade",
                ],
                &["aws", "ec2", "describe-snapshots", "--owner-ids", "self"],
            ],
            4 => &[&["az", "vm", "list", "-o", "table"], &["az", "account", "show"]],
            _ => &[
                &["gcloud", "compute", "instances", "list"],
                &["gcloud", "auth", "list"],
            ],
        };
        for (pause, words) in (0..).zip(commands) {
            let program = format!("/usr/bin/{}", words.first().copied().unwrap_or_default());
            start(life, time + pause * 5 * MINUTE, scene, &program, words);
        }
    }
    // Somebody looks why a machine has the wrong role.
    let scene = Scene {
        host: "web-0003",
        login: 1104,
        user: 1104,
        parent: 5001,
    };
    let time = life.at_work();
    let pid = start(
        life,
        time,
        scene,
        "/usr/bin/curl",
        &[
            "curl",
            "-s",
            "http://169.254.169.254/latest/meta-data/instance-id",
        ],
    );
    connect(life, time + 50, scene, pid, "/usr/bin/curl", METADATA, 80);
}

/// Configuration management, backups, scanners of vulnerabilities.
fn automation(life: &mut Life<'_>) {
    for number in 0..life.often(1200).max(40) {
        let host = format!("web-{number:04}");
        let time = life.at_hour(4);
        let scene = Scene {
            host: &host,
            login: 990,
            user: 0,
            parent: 8000,
        };
        start(
            life,
            time,
            scene,
            "/usr/bin/python3.10",
            &[
                "/usr/bin/python3",
                "/root/.ansible/tmp/ansible-tmp-1/AnsiballZ_setup.py",
            ],
        );
        start(
            life,
            time + SECOND,
            scene,
            "/bin/sh",
            &["/bin/sh", "-c", "docker ps -q 2>/dev/null | wc -l"],
        );
        let pid = start(
            life,
            time + 2 * SECOND,
            scene,
            "/usr/bin/python3.10",
            &[
                "/usr/bin/python3",
                "/root/.ansible/tmp/ansible-tmp-2/AnsiballZ_ec2_metadata_facts.py",
            ],
        );
        if number % 10 == 0 {
            connect(
                life,
                time + 2 * SECOND,
                scene,
                pid,
                "/usr/bin/python3.10",
                METADATA,
                80,
            );
        }
    }
    for number in 0..6_u64 {
        let host = format!("backup-{number}");
        let scene = Scene {
            host: &host,
            login: NOBODY,
            user: 985,
            parent: 600,
        };
        let time = life.at_hour(1);
        start(
            life,
            time,
            scene,
            "/usr/bin/restic",
            &["restic", "backup", "/var/lib/docker/volumes"],
        );
        start(
            life,
            time + HOUR,
            scene,
            "/usr/local/bin/aws",
            &[
                "aws",
                "ec2",
                "create-snapshot",
                "--volume-id",
                "vol-0bb11bb22cc33dd44",
            ],
        );
        start(
            life,
            time + HOUR,
            scene,
            "/usr/bin/openstack",
            &[
                "openstack",
                "volume",
                "snapshot",
                "create",
                "--volume",
                "db",
                "nightly",
            ],
        );
    }
}
