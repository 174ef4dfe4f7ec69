//! Endpoint events in the shape of ECS, always the same ones.

/// A small generator of numbers (xorshift), so that every run sees the same events.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    pub(crate) fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list.get(self.below(list.len())).copied().unwrap_or_default()
    }
}

pub(crate) const NAMES: &[&str] = &[
    "bash",
    "sh",
    "systemd",
    "sshd",
    "cron",
    "python3",
    "python3.11",
    "node",
    "java",
    "nginx",
    "curl",
    "wget",
    "ls",
    "cat",
    "grep",
    "sed",
    "awk",
    "tar",
    "gzip",
    "dockerd",
    "containerd",
    "kubelet",
    "runc",
    "apt-get",
    "dpkg",
    "git",
    "make",
    "cc1",
    "ld",
    "rsync",
    "nc",
    "socat",
    "perl",
    "ruby",
    "php",
    "mysqld",
    "postgres",
    "redis-server",
    "chmod",
    "chown",
];

pub(crate) const ARGUMENTS: &[&str] = &[
    "--verbose",
    "-c",
    "-xzf",
    "/var/log/syslog",
    "/etc/passwd",
    "--config=/etc/app/config.yaml",
    "-o",
    "/tmp/output.bin",
    "https://example.org/packages/index.json",
    "http://169.254.169.254/latest/meta-data/",
    "-H",
    "'Accept: application/json'",
    "--no-progress",
    "/usr/share/doc/readme.txt",
    "base64",
    "-d",
    "--user",
    "root",
    "/dev/null",
    "--retry",
    "5",
];

const USERS: &[&str] = &["root", "www-data", "ubuntu", "postgres", "deploy", "nobody"];

/// So many records: processes, network connections, files and name look-ups, mixed.
pub(crate) fn generate(count: usize) -> Vec<Vec<u8>> {
    let mut numbers = Numbers::new(0x9e37_79b9_7f4a_7c15);
    (0..count)
        .map(|number| record(number, &mut numbers).into_bytes())
        .collect()
}

fn record(number: usize, n: &mut Numbers) -> String {
    let kind = n.pick(&["process", "process", "network", "file", "dns"]);
    let (category, action) = match kind {
        "network" => (
            "network",
            n.pick(&[
                "connection_attempted",
                "connection_accepted",
                "disconnect_received",
            ]),
        ),
        "dns" => ("network", "lookup_requested"),
        "file" => ("file", n.pick(&["creation", "rename", "deletion", "overwrite"])),
        _ => ("process", n.pick(&["exec", "fork", "end"])),
    };
    let event_type = match action {
        "exec" | "fork" | "connection_attempted" | "connection_accepted" => "start",
        "end" | "disconnect_received" => "end",
        "creation" => "creation",
        _ => "change",
    };
    let (name, parent) = (n.pick(NAMES), n.pick(NAMES));
    let words: Vec<&str> = (0..2 + n.below(6)).map(|_| n.pick(ARGUMENTS)).collect();
    let arguments: Vec<String> = std::iter::once(name)
        .chain(words.iter().copied())
        .map(|word| format!("\"{word}\""))
        .collect();
    let (host, user, pid) = (n.below(500), n.pick(USERS), n.below(32_768));
    let second = number / 50;
    let mut text = format!(
        concat!(
            r#"{{"@timestamp":"2026-03-01T{:02}:{:02}:{:02}.{:03}Z","agent":{{"id":"a{:07}","type":"endpoint","version":"8.17.3"}},"#,
            r#""data_stream":{{"dataset":"endpoint.events.{}","namespace":"default","type":"logs"}},"ecs":{{"version":"8.10.0"}},"#,
            r#""event":{{"action":"{}","category":["{}"],"type":["{}"],"kind":"event","module":"endpoint","dataset":"endpoint.events.{}","#,
            r#""id":"MzQ{:012}","sequence":{},"created":"2026-03-01T00:00:00.000Z","outcome":"unknown"}},"#,
            r#""host":{{"hostname":"node-{}","id":"h{:06}","name":"node-{}","architecture":"x86_64","ip":["10.{}.{}.{}","127.0.0.1","::1"],"#,
            r#""os":{{"family":"ubuntu","full":"Ubuntu 24.04.1","kernel":"6.8.0-52-generic","name":"Linux","platform":"ubuntu","type":"linux","version":"24.04.1"}}}},"#,
            r#""user":{{"id":"{}","name":"{}"}},"group":{{"id":"{}","name":"{}"}},"#,
            r#""process":{{"args":[{}],"args_count":{},"command_line":"{} {}","entity_id":"e{:016}","executable":"/usr/bin/{}","name":"{}","pid":{},"#,
            r#""hash":{{"md5":"{:032x}","sha256":"{:064x}"}},"working_directory":"/home/{}","#,
            r#""parent":{{"args":["{}"],"command_line":"{} -l","entity_id":"e{:016}","executable":"/usr/bin/{}","name":"{}","pid":{}}}}}"#,
        ),
        second / 3600 % 24,
        second / 60 % 60,
        second % 60,
        number % 1000,
        host,
        kind,
        action,
        category,
        event_type,
        kind,
        number,
        number,
        host,
        host,
        host,
        host % 256,
        number % 256,
        pid % 256,
        pid % 1000,
        user,
        pid % 1000,
        user,
        arguments.join(","),
        arguments.len(),
        name,
        words.join(" "),
        number,
        name,
        name,
        pid,
        number * 7919,
        number * 104_729,
        user,
        parent,
        parent,
        number / 3,
        parent,
        parent,
        pid / 2,
    );
    match kind {
        "network" => text.push_str(&format!(
            r#","source":{{"ip":"10.{}.0.{}","port":{}}},"destination":{{"ip":"{}.{}.169.254","port":{}}},"network":{{"direction":"egress","transport":"tcp","type":"ipv4"}}"#,
            host % 256, pid % 256, 1024 + pid, n.below(224), n.below(256), n.pick(&["22", "80", "443", "5432", "8443"]),
        )),
        "dns" => text.push_str(&format!(
            r#","dns":{{"question":{{"name":"host{}.{}","type":"A"}}}}"#,
            n.below(1000), n.pick(&["example.org", "cluster.local", "amazonaws.com"]),
        )),
        "file" => text.push_str(&format!(
            r#","file":{{"path":"/{}/f{}.{}","name":"f{}","extension":"{}","size":{}}}"#,
            n.pick(&["tmp", "etc", "home/ubuntu", "var/www/html"]), number, n.pick(&["sh", "so", "txt", "py"]), number,
            n.pick(&["sh", "so", "txt", "py"]), n.below(1 << 20),
        )),
        _ => {}
    }
    text.push('}');
    text
}
