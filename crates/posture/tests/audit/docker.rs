//! Docker daemons and what they run.

use super::{asked, report};
use neph_posture::audit::{Outcome, Severity};

pub(crate) const FILES: &[(&str, &str)] = &[
    (
        "docker/open/daemon.json",
        r#"{"hosts": ["fd://", "tcp://0.0.0.0:2375"], "insecure-registries": ["registry.example:5000", "127.0.0.0/8"]}"#,
    ),
    (
        "docker/shut/daemon.json",
        r#"{"hosts": ["unix:///var/run/docker.sock"], "log-driver": "journald"}"#,
    ),
    (
        "docker/certs/daemon.json",
        r#"{"hosts": ["tcp://10.0.0.5:2376"], "tls": true, "tlsverify": true, "tlscacert": "/etc/docker/ca.pem"}"#,
    ),
    (
        "docker/unit/docker.txt",
        "# /lib/systemd/system/docker.service\n[Service]\nExecStart=/usr/bin/dockerd -H fd://\n# /etc/systemd/system/docker.service.d/override.conf\n[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H fd:// \\\n  -H tcp://127.0.0.1:2375\n",
    ),
    (
        "docker/half/docker.service",
        "[Service]\nExecStart=/usr/bin/dockerd -H tcp://0.0.0.0:2376 --tls --tlscert=/c --tlskey=/k\n",
    ),
    (
        "docker/info/info.json",
        r#"{"ID": "X", "ServerVersion": "27.3.1", "Driver": "overlay2", "Warnings": ["[DEPRECATION NOTICE]: API is accessible on http://0.0.0.0:2375 without encryption.\n         Access to the remote API is equivalent to root access on the host."],
            "RegistryConfig": {"InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8"], "IndexConfigs": {"docker.io": {"Name": "docker.io", "Secure": true}}}}"#,
    ),
    (
        "docker/open/container-inspect.json",
        r#"[{"Id": "a", "Name": "/agent", "State": {"Status": "running"}, "HostConfig": {}, "Mounts": [{"Type": "bind", "Source": "/var/run/docker.sock", "Destination": "/var/run/docker.sock"}]},
            {"Id": "b", "Name": "/web", "State": {"Status": "running"}, "HostConfig": {}, "Mounts": [{"Type": "volume", "Source": "/var/lib/docker/volumes/x/_data", "Destination": "/data"}]}]"#,
    ),
    (
        "host/h/policy.json",
        r#"{"default": [{"type": "insecureAcceptAnything"}], "transports": {"docker-daemon": {"": [{"type": "insecureAcceptAnything"}]}}}"#,
    ),
    (
        "host/i/policy.json",
        r#"{"default": [{"type": "reject"}], "transports": {}}"#,
    ),
];

#[test]
fn apis_on_the_network_are_told_by_how_bad_they_are() {
    let report = report(FILES);
    let of = |account: &str| {
        let own = report
            .findings
            .iter()
            .filter(|finding| finding.check == "docker-api-open" && finding.scope.account == account);
        own.map(|finding| (finding.outcome, finding.severity, finding.resource.as_str()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        of("open"),
        [(Outcome::Fail, Severity::Critical, "API at 0.0.0.0:2375")]
    );
    assert_eq!(of("shut"), [(Outcome::Pass, Severity::Critical, "API")]);
    assert_eq!(
        of("certs"),
        [(Outcome::Pass, Severity::Critical, "API at 10.0.0.5:2376")]
    );
    assert_eq!(
        of("unit"),
        [(Outcome::Fail, Severity::Medium, "API at 127.0.0.1:2375")]
    );
    assert_eq!(
        of("half"),
        [(Outcome::Fail, Severity::Critical, "API at 0.0.0.0:2376")]
    );
    assert_eq!(
        of("info"),
        [(Outcome::Fail, Severity::Critical, "API at 0.0.0.0:2375")]
    );
    let unit = report
        .findings
        .iter()
        .find(|finding| finding.scope.account == "unit" && finding.outcome == Outcome::Fail)
        .unwrap();
    assert_eq!(unit.evidence[0].line, 7);
}

#[test]
fn overrides_take_back_what_stood_before() {
    let closed = "[Service]\nExecStart=/usr/bin/dockerd -H tcp://0.0.0.0:2375\n[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H fd://\n";
    assert_eq!(
        asked("docker-api-open", &[("docker/a/docker.service", closed)]),
        ["pass API"]
    );
    let socket = "[Socket]\nListenStream=/run/docker.sock\nListenStream=2375\n";
    assert_eq!(
        asked("docker-api-open", &[("docker/a/docker.socket", socket)]),
        ["fail API at 0.0.0.0:2375"]
    );
    // Flags of the unit and keys of the file are settings of one daemon.
    let files = [
        (
            "docker/a/docker.service",
            "[Service]\nExecStart=/usr/bin/dockerd -H tcp://0.0.0.0:2376\n",
        ),
        ("docker/a/daemon.json", r#"{"tlsverify": true}"#),
    ];
    assert_eq!(asked("docker-api-open", &files), ["pass API at 0.0.0.0:2376"]);
}

#[test]
fn sockets_and_registries_are_told() {
    let sockets = asked("docker-socket-mounted", FILES);
    assert!(
        sockets.contains(&"fail container agent".to_owned())
            && sockets.contains(&"pass container web".to_owned()),
        "{sockets:?}"
    );
    let registries = asked("docker-insecure-registry", FILES);
    assert!(
        registries.contains(&"fail registry registry.example:5000".to_owned()),
        "{registries:?}"
    );
    assert_eq!(
        registries.iter().filter(|line| line.starts_with("fail")).count(),
        1,
        "{registries:?}"
    );
    let policies = asked("host-image-policy", FILES);
    assert_eq!(
        policies
            .iter()
            .filter(|line| line.contains("policy.json"))
            .collect::<Vec<_>>(),
        ["fail containers/policy.json", "pass containers/policy.json"]
    );
}
