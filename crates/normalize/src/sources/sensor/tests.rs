use super::arguments;
use crate::normalizer::Normalizer;

fn check(record: &str, source: &str, fields: &[(&str, &str)]) {
    let mut normalizer = Normalizer::new(None).unwrap();
    let outcome = normalizer.push(record.as_bytes());
    assert_eq!(outcome.documents.len(), 1, "{record}: {:?}", outcome.refused);
    let made = &outcome.documents[0];
    assert_eq!(made.source.name, source, "{record}");
    let document: serde_json::Value = serde_json::from_slice(&made.document.to_json()).unwrap();
    for (field, expected) in fields {
        let value = field.split('.').fold(&document, |value, key| &value[key]);
        let text = match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        assert_eq!(&text, expected, "{field} of {record}\n{document:#}");
    }
}

#[test]
fn quoted_arguments_are_one() {
    assert_eq!(
        arguments(r#"-c "cat /etc/passwd" x"#),
        ["-c", "cat /etc/passwd", "x"]
    );
    assert_eq!(arguments(r#"  a"b c" "d"#), ["a\"b", "c\"", "\"d"]);
    assert!(arguments("").is_empty());
}

#[test]
fn processes_of_tetragon_are_read() {
    check(
        r#"{"process_exec":{"process":{"exec_id":"bm9kZTox","pid":52699,"uid":0,"cwd":"/","binary":"/usr/bin/curl","arguments":"-H \"X-aws: a\" http://169.254.169.254/","flags":"execve rootcwd","start_time":"2026-11-21T22:03:57.700327580Z","auid":4294967295,"tty":34816,"pod":{"namespace":"default","name":"xwing","container":{"id":"containerd://551e1614","name":"ship","image":{"id":"docker.io/shop/web@sha256:8e86","name":"docker.io/shop/web:1.0"},"start_time":"2026-11-21T21:52:41Z","pid":49},"pod_labels":{"app.kubernetes.io/name":"xwing"}},"docker":"551e1614","parent_exec_id":"bm9kZTow","cap":{"effective":["CAP_SYS_ADMIN"]}},"parent":{"exec_id":"bm9kZTow","pid":52600,"uid":0,"cwd":"/","binary":"/bin/bash","arguments":"-c \"curl x\"","start_time":"2026-11-21T22:00:00Z"}},"node_name":"node-1","cluster_name":"prod","time":"2026-11-21T22:03:57.700326678Z"}"#,
        "tetragon",
        &[
            ("@timestamp", "2026-11-21T22:03:57.700Z"),
            ("event.category", "[\"process\"]"),
            ("event.type", "[\"start\"]"),
            ("event.action", "exec"),
            ("process.entity_id", "bm9kZTox"),
            ("process.parent.entity_id", "bm9kZTow"),
            ("process.name", "curl"),
            ("process.executable", "/usr/bin/curl"),
            (
                "process.args",
                "[\"curl\",\"-H\",\"X-aws: a\",\"http://169.254.169.254/\"]",
            ),
            ("process.args_count", "4"),
            ("process.parent.name", "bash"),
            ("process.parent.args", "[\"bash\",\"-c\",\"curl x\"]"),
            ("process.interactive", "true"),
            ("process.thread.capabilities.effective", "[\"CAP_SYS_ADMIN\"]"),
            ("process.entry_leader.entry_meta.type", "container"),
            ("process.entry_leader.same_as_process", "false"),
            ("container.id", "551e1614"),
            ("container.runtime", "containerd"),
            ("container.image.name", "docker.io/shop/web:1.0"),
            ("container.image.hash.all", "[\"sha256:8e86\"]"),
            ("orchestrator.namespace", "default"),
            ("orchestrator.resource.name", "xwing"),
            ("orchestrator.cluster.name", "prod"),
            ("kubernetes.labels.app_kubernetes_io/name", "xwing"),
            ("host.id", "node-1"),
            ("host.os.type", "linux"),
            ("user.id", "0"),
            ("data_stream", "null"),
            ("event.dataset", "tetragon.events"),
        ],
    );
    check(
        r#"{"process_exit":{"process":{"exec_id":"a","pid":1,"binary":"/bin/sh","parent_exec_id":"b"},"status":1,"signal":"SIGKILL","time":"2026-11-21T22:03:57Z"},"time":"2026-11-21T22:03:57Z"}"#,
        "tetragon",
        &[
            ("event.type", "[\"end\"]"),
            ("process.exit_code", "1"),
            ("process.end", "2026-11-21T22:03:57.000Z"),
            ("tetragon.signal", "SIGKILL"),
        ],
    );
}

#[test]
fn hooks_of_tetragon_are_what_they_watch() {
    check(
        r#"{"process_kprobe":{"process":{"exec_id":"a","pid":7,"binary":"/usr/bin/cat","arguments":"x"},"function_name":"fd_install","args":[{"int_arg":3},{"file_arg":{"path":"/run/secrets/kubernetes.io/serviceaccount/token.txt"}}],"action":"KPROBE_ACTION_POST","policy_name":"files"},"time":"2026-11-21T22:03:57Z"}"#,
        "tetragon",
        &[
            ("event.category", "[\"file\"]"),
            ("event.type", "[\"change\"]"),
            ("event.action", "open"),
            ("file.path", "/run/secrets/kubernetes.io/serviceaccount/token.txt"),
            ("file.name", "token.txt"),
            ("file.extension", "txt"),
            ("rule.name", "files"),
        ],
    );
    check(
        r#"{"process_kprobe":{"process":{"exec_id":"a","pid":7,"binary":"/usr/bin/curl","arguments":""},"function_name":"tcp_connect","args":[{"sock_arg":{"family":"AF_INET","type":"SOCK_STREAM","protocol":"IPPROTO_TCP","saddr":"10.0.0.9","daddr":"169.254.169.254","sport":40000,"dport":80}}]},"time":"2026-11-21T22:03:57Z"}"#,
        "tetragon",
        &[
            ("event.category", "[\"network\"]"),
            ("event.type", "[\"start\"]"),
            ("event.action", "connection_attempted"),
            ("destination.ip", "169.254.169.254"),
            ("destination.port", "80"),
            ("network.transport", "tcp"),
            ("network.direction", "egress"),
        ],
    );
    check(
        r#"{"process_kprobe":{"process":{"exec_id":"a","pid":7,"binary":"/usr/bin/unshare"},"function_name":"__x64_sys_setns","args":[{"int_arg":3}]},"time":"2026-11-21T22:03:57Z"}"#,
        "tetragon",
        &[
            ("event.category", "[\"process\"]"),
            ("event.type", "[\"info\"]"),
            ("event.action", "__x64_sys_setns"),
        ],
    );
}

const SHELL: &str = r#"{"hostname":"node-1","output":"22:03:57.148590892: Notice A shell was spawned in a container (user=root)","output_fields":{"container.id":"1aad3e5c9c8f","container.image.repository":"docker.io/shop/web","container.image.tag":"1.0","container.name":"k8s_web","evt.time":1795298637148590892,"evt.type":"execve","k8s.ns.name":"shop","k8s.pod.name":"web-1","proc.cmdline":"bash -il","proc.exepath":"/usr/bin/bash","proc.name":"bash","proc.pname":"runc","proc.pid":4711,"proc.pid.ts":1795298637000000000,"proc.tty":34816,"proc.vpid":9,"user.name":"root","user.uid":0,"user.loginuid":-1,"proc.pcmdline":"<NA>"},"priority":"Notice","rule":"Terminal shell in container","source":"syscall","tags":["T1059","container","mitre_execution"],"time":"2026-11-21T22:03:57.148590892Z"}"#;

#[test]
fn alerts_of_falco_are_read() {
    let fields = [
        ("@timestamp", "2026-11-21T22:03:57.148Z"),
        ("event.kind", "alert"),
        ("event.category", "[\"process\"]"),
        ("event.type", "[\"start\"]"),
        ("event.action", "exec"),
        ("event.severity", "5"),
        ("rule.name", "Terminal shell in container"),
        ("threat.technique.id", "[\"T1059\"]"),
        ("process.entity_id", "node-1:4711:1795298637000000000"),
        ("process.name", "bash"),
        ("process.args", "[\"bash\",\"-il\"]"),
        ("process.interactive", "true"),
        ("process.parent.name", "runc"),
        ("process.parent.command_line", "null"),
        ("process.entry_leader.entry_meta.type", "container"),
        ("container.id", "1aad3e5c9c8f"),
        ("container.image.name", "docker.io/shop/web:1.0"),
        ("orchestrator.namespace", "shop"),
        ("orchestrator.resource.name", "web-1"),
        ("user.name", "root"),
        ("user.id", "0"),
        ("host.name", "node-1"),
        ("host.os.type", "linux"),
        ("data_stream", "null"),
    ];
    check(SHELL, "falco", &fields);
    check(
        &format!("<13>Nov 21 22:03:57 node-1 falco: {SHELL}"),
        "falco",
        &fields,
    );
    check(
        r#"{"uuid":"a","output":"o","priority":"Warning","rule":"r","time":"2026-11-21T22:03:57Z","source":"syscall","output_fields":{"evt.type":"connect","fd.name":"10.0.0.9:40000->169.254.169.254:80","proc.name":"curl"},"hostname":"h"}"#,
        "falco",
        &[
            ("event.category", "[\"network\"]"),
            ("destination.ip", "169.254.169.254"),
            ("destination.port", "80"),
            ("source.ip", "10.0.0.9"),
        ],
    );
    check(
        r#"{"output":"o","priority":"Warning","rule":"Read sensitive file","time":"2026-11-21T22:03:57Z","output_fields":{"evt.type":"openat","fd.name":"/etc/shadow","proc.cmdline":"cat /etc/shadow","container.id":"host"}}"#,
        "falco",
        &[
            ("file.path", "/etc/shadow"),
            ("event.action", "open"),
            ("container.id", "null"),
        ],
    );
}
