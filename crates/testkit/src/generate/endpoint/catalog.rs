//! What runs on the generated hosts.

/// A program, how often it is started, and by which kind of parent.
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) executable: &'static str,
    /// Arguments, the program itself first; one of these lines is taken.
    pub(super) lines: &'static [&'static [&'static str]],
    /// Share of starts among the children of its parents.
    pub(super) weight: u32,
}

/// A process that starts others and lives long.
pub(super) struct Parent {
    pub(super) name: &'static str,
    pub(super) executable: &'static str,
    pub(super) line: &'static str,
    pub(super) user: (&'static str, &'static str),
    /// What its session was opened by (`process.entry_leader.entry_meta.type`).
    pub(super) entry: &'static str,
    pub(super) children: &'static [Program],
}

macro_rules! program {
    ($name:literal, $executable:literal, $weight:literal, $([$($argument:literal),+]),+) => {
        Program { name: $name, executable: $executable, lines: &[$(&[$($argument),+]),+], weight: $weight }
    };
}

const INTERACTIVE: &[Program] = &[
    program!(
        "ls",
        "/usr/bin/ls",
        30,
        ["ls", "-la"],
        ["ls", "--color=auto", "/var/log"]
    ),
    program!(
        "grep",
        "/usr/bin/grep",
        22,
        ["grep", "-rn", "timeout", "/etc/app"],
        ["grep", "-c", "ERROR"]
    ),
    program!(
        "cat",
        "/usr/bin/cat",
        18,
        ["cat", "/etc/hosts"],
        ["cat", "/proc/meminfo"]
    ),
    program!(
        "git",
        "/usr/bin/git",
        10,
        ["git", "status"],
        ["git", "fetch", "--prune", "origin"]
    ),
    program!("vim", "/usr/bin/vim", 4, ["vim", "deploy.yaml"]),
    program!("ps", "/usr/bin/ps", 8, ["ps", "aux"], ["ps", "-ef"]),
    program!("sudo", "/usr/bin/sudo", 4, ["sudo", "systemctl", "status", "app"]),
    program!(
        "curl",
        "/usr/bin/curl",
        3,
        ["curl", "-fsS", "https://registry.example.net/v2/"],
        ["curl", "-I", "https://www.example.org/"]
    ),
    program!(
        "python3.11",
        "/usr/bin/python3.11",
        4,
        ["python3", "manage.py", "check"],
        ["python3", "-m", "json.tool"]
    ),
    program!(
        "kubectl",
        "/usr/local/bin/kubectl",
        5,
        ["kubectl", "get", "pods", "-A"],
        ["kubectl", "logs", "-n", "shop", "web-0"]
    ),
];

const SCHEDULED: &[Program] = &[
    program!(
        "sh",
        "/usr/bin/dash",
        30,
        ["/bin/sh", "-c", "/usr/local/bin/rotate"],
        ["/bin/sh", "-c", "run-parts /etc/cron.hourly"]
    ),
    program!(
        "find",
        "/usr/bin/find",
        14,
        ["find", "/var/tmp", "-mtime", "+7", "-delete"]
    ),
    program!(
        "gzip",
        "/usr/bin/gzip",
        12,
        ["gzip", "-9", "/var/log/app/app.log.1"]
    ),
    program!(
        "rsync",
        "/usr/bin/rsync",
        6,
        ["rsync", "-a", "/srv/data/", "backup:/srv/data/"]
    ),
    program!("awk", "/usr/bin/mawk", 6, ["awk", "{print $1}", "/proc/loadavg"]),
    program!(
        "perl",
        "/usr/bin/perl",
        2,
        ["perl", "/usr/share/munin/plugins/load"]
    ),
];

const BUILDING: &[Program] = &[
    program!(
        "cc1",
        "/usr/lib/gcc/x86_64-linux-gnu/13/cc1",
        40,
        ["cc1", "-quiet", "-O2", "src/main.c", "-o", "/tmp/ccA1b2C3.s"]
    ),
    program!(
        "as",
        "/usr/bin/x86_64-linux-gnu-as",
        25,
        ["as", "--64", "-o", "main.o", "/tmp/ccA1b2C3.s"]
    ),
    program!(
        "ld",
        "/usr/bin/x86_64-linux-gnu-ld",
        8,
        ["ld", "-pie", "-o", "app", "main.o", "-lc"]
    ),
    program!(
        "node",
        "/usr/local/bin/node",
        12,
        ["node", "node_modules/.bin/tsc", "--noEmit"]
    ),
    program!("make", "/usr/bin/make", 9, ["make", "-j8", "all"]),
];

const CONTAINERS: &[Program] = &[
    program!(
        "runc",
        "/usr/sbin/runc",
        20,
        [
            "runc",
            "--root",
            "/run/containerd/runc/k8s.io",
            "exec",
            "--process",
            "/tmp/runc-process1"
        ]
    ),
    program!("pause", "/pause", 4, ["/pause"]),
    program!("nginx", "/usr/sbin/nginx", 10, ["nginx", "-g", "daemon off;"]),
    program!("sleep", "/usr/bin/sleep", 14, ["sleep", "30"]),
    program!(
        "healthcheck",
        "/app/healthcheck",
        30,
        ["/app/healthcheck", "--port", "8080"]
    ),
    program!(
        "postgres",
        "/usr/lib/postgresql/16/bin/postgres",
        6,
        ["postgres:", "autovacuum", "worker"]
    ),
];

const SERVICES: &[Program] = &[
    program!("systemd-udevd", "/usr/bin/udevadm", 6, ["(udev-worker)"]),
    program!(
        "sshd",
        "/usr/sbin/sshd",
        12,
        ["sshd:", "/usr/sbin/sshd", "-D", "[listener]"]
    ),
    program!(
        "amazon-ssm-agen",
        "/snap/amazon-ssm-agent/7983/amazon-ssm-agent",
        6,
        ["/snap/amazon-ssm-agent/7983/amazon-ssm-agent"]
    ),
    program!(
        "chronyd",
        "/usr/sbin/chronyd",
        6,
        ["/usr/sbin/chronyd", "-F", "1"]
    ),
    program!(
        "logrotate",
        "/usr/sbin/logrotate",
        8,
        ["/usr/sbin/logrotate", "/etc/logrotate.conf"]
    ),
];

/// The parents that every host has. Only those of interactive and scheduled sessions start attacks.
pub(super) const PARENTS: &[Parent] = &[
    Parent {
        name: "bash",
        executable: "/usr/bin/bash",
        line: "-bash",
        user: ("ubuntu", "1000"),
        entry: "sshd",
        children: INTERACTIVE,
    },
    Parent {
        name: "zsh",
        executable: "/usr/bin/zsh",
        line: "-zsh",
        user: ("deploy", "1001"),
        entry: "sshd",
        children: INTERACTIVE,
    },
    Parent {
        name: "cron",
        executable: "/usr/sbin/cron",
        line: "/usr/sbin/CRON -f",
        user: ("root", "0"),
        entry: "init",
        children: SCHEDULED,
    },
    Parent {
        name: "sh",
        executable: "/usr/bin/dash",
        line: "sh -c make -j8",
        user: ("build", "1002"),
        entry: "init",
        children: BUILDING,
    },
    Parent {
        name: "containerd-shim",
        executable: "/usr/bin/containerd-shim-runc-v2",
        line: "/usr/bin/containerd-shim-runc-v2 -namespace k8s.io -id 3f9c",
        user: ("root", "0"),
        entry: "container",
        children: CONTAINERS,
    },
    Parent {
        name: "systemd",
        executable: "/usr/lib/systemd/systemd",
        line: "/sbin/init",
        user: ("root", "0"),
        entry: "init",
        children: SERVICES,
    },
];

/// How many of [`PARENTS`], from the first, start attacks.
pub(super) const ATTACKING_PARENTS: u64 = 3;

/// Requests for credentials from the metadata service.
pub(super) const ATTACKS: &[Program] = &[
    program!(
        "curl",
        "/usr/bin/curl",
        6,
        [
            "curl",
            "-s",
            "http://169.254.169.254/latest/meta-data/iam/security-credentials/"
        ],
        [
            "curl",
            "-H",
            "Metadata: true",
            "http://169.254.169.254/metadata/instance?api-version=2021-02-01"
        ]
    ),
    program!(
        "wget",
        "/usr/bin/wget",
        3,
        ["wget", "-qO-", "http://169.254.169.254/latest/user-data"]
    ),
    program!(
        "python3.11",
        "/usr/bin/python3.11",
        2,
        [
            "python3",
            "-c",
            "import urllib.request as u;print(u.urlopen(next(iter(open('/tmp/.u')))).read())"
        ]
    ),
];

/// Where ordinary connections go: address and port.
pub(super) const DESTINATIONS: &[(&str, u64)] = &[
    ("10.0.0.2", 53),
    ("10.0.12.7", 5432),
    ("10.0.14.21", 6379),
    ("10.0.3.9", 9092),
    ("52.216.10.34", 443),
    ("104.18.32.7", 443),
    ("140.82.121.4", 22),
    ("151.101.2.132", 80),
];

/// What ordinary file events touch: folder and name before a number, and the extension.
pub(super) const FILES: &[(&str, &str, &str)] = &[
    ("/var/log/app", "app-", "log"),
    ("/tmp", "tmp-", "tmp"),
    ("/var/lib/docker/overlay2/9a7b/diff/srv", "part-", "json"),
    ("/home/ubuntu/src/build", "obj-", "o"),
    ("/var/spool/cron/crontabs", "tmp.", "new"),
    ("/var/lib/postgresql/16/main/base/16384", "rel-", "1"),
];
