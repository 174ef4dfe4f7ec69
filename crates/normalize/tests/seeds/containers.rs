//! One whole record of each source of containers, sensors, web servers and exchange formats.

use serde_json::{Value, json};

/// Lines of text, each as a JSON string.
const LINES: &[&str] = &[
    "time=\"2026-11-21T19:34:02.869892219Z\" level=debug msg=\"Calling POST /v1.41/containers/create?name=a%20b\"\ntime=\"2026-11-21T19:34:02.869961915Z\" level=debug msg=\"form data: {\\\"Cmd\\\":[\\\"sh\\\",\\\"-c\\\",\\\"x\\\"],\\\"Image\\\":\\\"r:5000/a/b:1@sha256:00\\\",\\\"Env\\\":[\\\"A=1\\\"],\\\"HostConfig\\\":{\\\"Privileged\\\":true}}\"",
    "time=\"2026-11-21T19:34:02.869892219Z\" level=error msg=\"Handler for POST /v1.41/images/a/b:1/push returned error: no\" error=\"\\x41\\u00e9\\n\" module=api",
    "time=\"2026-11-21T19:34:02.869892219Z\" level=debug msg=\"{Action=json, LoginUID=1000, PID=21075}\"",
    "time=\"2026-11-21T19:34:02.869892219Z\" level=info msg=\"Exec for \\\"4faa6f19f52b04\\\" with command [sh -c id], tty true and stdin true\"",
    "2026-11-21 19:34:02.298219138 +0100 CET k8s.io /tasks/exec-started {\"container_id\":\"4faa\",\"exec_id\":\"9\",\"pid\":77,\"image\":\"a:1\"}",
    "@ - - [21/Nov/2026:19:38:23 +0000] \"GET /v4.0.0/libpod/containers/json HTTP/1.1\" 200 1076 \"\" \"curl/7.88.1\"",
    "time=\"2026-11-21T19:38:18Z\" level=info msg=\"podman filtering at log level debug\"",
    "2026-11-21T19:38:05.330000000Z stdout F started",
    "www.shop.test:443 198.51.100.7 - ops [21/Nov/2026:19:36:56 +0100] \"GET http://u:p@[::1]:8080/a.b?c=%2F#d HTTP/1.1\" 200 841 \"-\" \"x \\\"y\\\"\"",
    "198.51.100.7 - - [01/Feb/2026:00:00:00 +0000] \"GET / HTTP/2.0\" 200 3 \"-\" \"x\" 421 0.005 [shop-web-80] [] 10.1.2.3:8080 3 0.005 200 0a1b2c3d",
    "198.51.100.7 - - [21/Nov/2026:19:36:56 +0000] \"GET /api HTTP/1.1\" 200 17 \"-\" \"g\" 34 \"api@docker\" \"http://10.0.0.2:80\" 1ms",
    "[2026-11-21T19:36:56.123Z] \"GET /s HTTP/1.1\" 418 - via_upstream - \"-\" 0 135 4 4 \"-\" \"curl\" \"84\" \"httpbin:8000\" \"10.44.1.27:80\" outbound|8000||h 10.44.1.23:37652 10.0.45.184:8000 10.44.1.23:46520 - default",
    "1795289642.779    180 192.0.2.24 TCP_MISS/200 411 CONNECT shop.test:443 alice HIER_DIRECT/203.0.113.93 text/plain",
    "https 2026-11-21T19:36:56.186641Z app/shop/50 198.51.100.7:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 \"GET https://a:443/ HTTP/1.1\" \"curl\" E TLSv1.2 arn:x \"Root=1\" \"a\" \"arn\" 1 2026-11-21T19:36:56.364000Z \"forward\" \"-\" \"-\" \"10.0.0.1:80\" \"200\" \"-\" \"-\"",
    "2026-11-21T19:36:56.945958Z my-lb 198.51.100.7:2817 10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 29 \"GET http://a:80/ HTTP/1.1\" \"c\" - -",
    "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be b [06/Feb/2026:00:00:38 +0000] 198.51.100.7 r 3E REST.GET.OBJECT k \"GET /k HTTP/1.1\" 403 AccessDenied 113 - 7 - \"-\" \"S\" - h SigV4 E AuthHeader h TLSv1.2 - -",
    "#Fields: date time cs-uri-stem cs-uri-query sc-status cs-method c-ip s-ip cs(User-Agent) time-taken\n2026-11-21 19:36:56 /a b=c 500 PUT 198.51.100.7 ::1 A+B 15",
    "#Fields: date time x-edge-location c-ip cs-method cs(Host) cs-uri-stem sc-status cs-uri-query\n2026-11-21\t19:36:56\tLAX1\t198.51.100.7\tGET\td1.test\t/a.html\t200\tk=v",
];

pub(crate) fn seeds() -> Vec<Value> {
    let mut seeds: Vec<Value> = LINES.iter().map(|line| json!(line)).collect();
    seeds.extend([
        json!({"status": "exec_start: sh -c id", "id": "4f", "from": "a:1", "Type": "container", "Action": "exec_start: sh -c id",
            "Actor": {"ID": "4f", "Attributes": {"execID": "9a", "image": "r:5000/a:1", "name": "web", "a.b": "c", "exitCode": "1"}},
            "scope": "local", "time": 1_795_000_000, "timeNano": 1_795_000_000_123_456_789_i64}),
        json!({"Type": "image", "Action": "tag", "Actor": {"ID": "sha256:eb", "Attributes": {"name": "a:1"}}, "timeNano": 1}),
        json!({"User": "ops", "RequestMethod": "POST", "RequestUri": "/v1.41/containers/w/exec", "RequestBody": "eyJDbWQiOlsiaWQiXX0=",
            "RequestHeaders": {"User-Agent": "D"}, "ResponseStatusCode": 201, "Allow": true}),
        json!({"id": "5959", "timestamp": "2026-11-22T18:37:52.67Z", "action": "push", "target": {"mediaType": "application/vnd.oci.image.manifest.v1+json",
            "size": 348, "digest": "sha256:ae", "repository": "a/b", "url": "http://r:5000/v2/a/b/manifests/sha256:ae", "tag": "1"},
            "request": {"id": "71", "addr": "[::1]:55378", "host": "r:5000", "method": "PUT", "useragent": "c"}, "actor": {"name": "ann"},
            "source": {"addr": "vm:5000", "instanceID": "64"}}),
        json!({"ID": "96b5", "Image": "a:1", "Name": "db", "Status": "exec", "Time": "2026-11-21T19:38:00.28Z", "Type": "container", "Attributes": {"a.b": "c"}}),
        json!({"log": "x\n", "stream": "stdout", "time": "2026-11-21T19:38:05.33Z", "kubernetes": {"labels": {"app_kubernetes_io/name": "n"},
            "annotations": {"elastic_co/dataset": "d"}, "container": {"name": "c"}}}),
        json!({"output": "o", "priority": "Notice", "rule": "r", "time": "2026-11-21T22:03:57Z", "hostname": "h", "tags": ["T1059"],
            "output_fields": {"container.id": "1a", "container.image.repository": "a", "container.image.tag": "1", "evt.type": "connect",
                "fd.name": "10.0.0.9:1->[::1]:80", "proc.cmdline": "sh \"a b\"", "proc.exepath": "/bin/sh", "proc.pid": 1, "proc.pid.ts": 2, "proc.tty": 1}}),
        json!({"process_kprobe": {"process": {"exec_id": "a", "pid": 7, "binary": "/bin/cat", "arguments": "\"x y\" z", "start_time": "2026-11-21T22:03:57Z",
                "tty": 1, "docker": "d", "cap": {"effective": ["C"]}, "pod": {"namespace": "n", "name": "p", "pod_labels": {"a.b": "c"},
                "container": {"id": "containerd://d", "name": "c", "pid": 1, "image": {"id": "a@sha256:0", "name": "a:1"}}}},
            "parent": {"exec_id": "b", "binary": "/bin/sh"}, "function_name": "tcp_connect",
            "args": [{"sock_arg": {"family": "AF_INET", "protocol": "IPPROTO_TCP", "saddr": "::1", "daddr": "::2", "dport": 80}}]},
            "node_name": "n", "time": "2026-11-21T22:03:57Z"}),
        json!({"process_lsm": {"process": {"exec_id": "a", "binary": "b"}, "function_name": "file_open", "args": [{"file_arg": {"path": "/a/b.c"}}]}}),
        json!({"timestamp": 1_795_289_642_870_i64, "webaclId": "arn:aws:wafv2:r:1:regional/webacl/w/1", "action": "BLOCK", "terminatingRuleId": "t",
            "httpRequest": {"clientIp": "198.51.100.7", "headers": [{"name": "Host", "value": "h"}], "uri": "/f", "args": "u=1", "httpMethod": "GET"}}),
        json!({"ClientHost": "198.51.100.7", "DownstreamStatus": 401, "Duration": 1500, "RequestHost": "s", "RequestMethod": "GET",
            "RequestPath": "/a?b", "RequestProtocol": "HTTP/2.0", "StartUTC": "2026-11-21T19:36:56.5Z"}),
        json!({"start_time": "2026-11-21T19:36:56.123Z", "method": "GET", "path": "/x?y", "response_code": 200, "response_flags": "-",
            "authority": "a", "upstream_host": "10.2.2.2:80", "x_forwarded_for": "a, b", "duration": 4}),
        json!({"msec": "1795289642.779", "remote_addr": "198.51.100.7", "request_uri": "/a", "args": "b", "status": "503", "body_bytes_sent": "12", "request_time": "0.25"}),
        json!({"x-edge-location": "L", "date": "2026-11-21", "time": "19:36:56", "c-ip": "::1", "cs-uri-stem": "/a", "cs-uri-query": "b", "cs(User-Agent)": "a%2520b"}),
        json!({"class_uid": 1007, "category_uid": 1, "activity_id": 1, "time": 1, "metadata": {"version": "1.3.0"}, "device": {"os": {"type": "Linux"}},
            "actor": {"process": {"pid": 10, "cmd_line": "a b", "file": {"path": "/bin/a"}}, "user": {"name": "root", "uid": 0}},
            "process": {"pid": 11, "name": "c", "created_time": 1, "container": {"uid": "c", "image": {"name": "a:1"}}},
            "user": {"name": "u"}, "http_request": {"url": {"url_string": "http://a/b?c"}}, "attacks": [{"technique": {"uid": "T1"}}],
            "connection_info": {"direction": "Inbound"}, "file": {"path": "/a/b"}, "src_endpoint": {"ip": "::1"}, "cloud": {"provider": "AWS"}}),
        json!({"resourceLogs": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "s"}}]},
            "scopeLogs": [{"scope": {"name": "f"}, "logRecords": [{"timeUnixNano": "1795289642870072839", "severityText": "I",
                "body": {"kvlistValue": {"values": [{"key": "a", "value": {"arrayValue": {"values": [{"bytesValue": "aGk="}]}}}]}},
                "attributes": [{"key": "process.pid", "value": {"intValue": "7"}}]}]}]}]}),
    ]);
    seeds
}
