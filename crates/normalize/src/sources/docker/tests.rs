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
fn events_of_docker_are_read() {
    check(
        r#"{"status":"exec_start: wget -qO- http://169.254.169.254/","id":"4f","from":"shop/web:1.0","Type":"container","Action":"exec_start: wget -qO- http://169.254.169.254/","Actor":{"ID":"4f","Attributes":{"execID":"9a","image":"shop/web:1.0","name":"web","com.shop.team":"a"}},"scope":"local","time":1795000000,"timeNano":1795000000123456789}"#,
        "docker_events",
        &[
            ("@timestamp", "2026-11-18T11:06:40.123Z"),
            ("event.action", "exec_start"),
            ("event.category", "[\"process\"]"),
            ("event.type", "[\"start\"]"),
            ("process.command_line", "wget -qO- http://169.254.169.254/"),
            ("process.name", "wget"),
            ("process.args", "[\"wget\",\"-qO-\",\"http://169.254.169.254/\"]"),
            ("container.id", "4f"),
            ("container.name", "web"),
            ("container.image.name", "shop/web:1.0"),
            ("container.image.tag", "[\"1.0\"]"),
            ("container.labels.com_shop_team", "a"),
            ("docker.event.exec_id", "9a"),
            ("host.os.type", "linux"),
        ],
    );
    check(
        r#"{"Type":"image","Action":"push","Actor":{"ID":"127.0.0.1:5000/acme/web:1.1","Attributes":{"name":"127.0.0.1:5000/acme/web"}},"scope":"local","time":1795289667}"#,
        "docker_events",
        &[
            ("container.image.name", "127.0.0.1:5000/acme/web:1.1"),
            ("container.image.tag", "[\"1.1\"]"),
            ("event.action", "push"),
            ("@timestamp", "2026-11-21T19:34:27.000Z"),
            ("event.outcome", "success"),
        ],
    );
    check(
        r#"{"Type":"image","Action":"tag","Actor":{"ID":"sha256:eb","Attributes":{"name":"acme/web:1"}},"timeNano":1795289667111860792}"#,
        "docker_events",
        &[
            ("container.image.hash.all", "[\"sha256:eb\"]"),
            ("container.image.name", "acme/web:1"),
            ("container.id", "null"),
        ],
    );
    check(
        r#"{"Type":"container","Action":"die","Actor":{"ID":"4f","Attributes":{"exitCode":"137","image":"a","name":"w"}},"timeNano":1795289667111860792}"#,
        "docker_events",
        &[
            ("process.exit_code", "137"),
            ("event.outcome", "null"),
            ("event.type", "[\"end\"]"),
        ],
    );
}

#[test]
fn calls_in_the_log_of_the_daemon_are_read() {
    check(
        r#"time="2026-11-21T19:33:53.553642887Z" level=debug msg="Calling GET /v1.41/containers/json?all=1""#,
        "docker_daemon",
        &[
            ("event.action", "ContainerList"),
            ("event.category", "[\"api\"]"),
            ("event.type", "[\"access\"]"),
            ("http.request.method", "GET"),
            ("url.original", "/v1.41/containers/json?all=1"),
            ("url.path", "/v1.41/containers/json"),
            ("url.query", "all=1"),
            ("docker.api.path", "/containers/json"),
            ("docker.api.version", "1.41"),
            ("event.outcome", "null"),
        ],
    );
    let joined = "time=\"2026-11-21T19:34:02.869892219Z\" level=debug msg=\"Calling POST /v1.41/containers/web/exec\"\n\
        time=\"2026-11-21T19:34:02.869961915Z\" level=debug msg=\"form data: {\\\"Cmd\\\":[\\\"sh\\\",\\\"-c\\\",\\\"curl 169.254.169.254\\\"],\\\"Privileged\\\":true,\\\"User\\\":\\\"root\\\"}\"";
    check(
        joined,
        "docker_daemon",
        &[
            ("event.action", "ContainerExec"),
            ("event.category", "[\"api\",\"process\"]"),
            ("event.type", "[\"creation\",\"start\"]"),
            ("container.name", "web"),
            ("process.args", "[\"sh\",\"-c\",\"curl 169.254.169.254\"]"),
            ("process.command_line", "sh -c curl 169.254.169.254"),
            ("process.user.name", "root"),
            ("container.security_context.privileged", "true"),
        ],
    );
    check(
        r#"time="2026-11-21T19:34:02.869892219Z" level=debug msg="handling POST request" form-data="{\"Image\":\"acme/web:1\",\"Cmd\":[\"id\"],\"HostConfig\":{\"Privileged\":true}}" method=POST module=api request-url="/v1.48/containers/create?name=x" vars="map[version:1.48]""#,
        "docker_daemon",
        &[
            ("event.action", "ContainerCreate"),
            ("container.name", "x"),
            ("container.image.name", "acme/web:1"),
            ("process.name", "id"),
            ("container.security_context.privileged", "true"),
        ],
    );
    check(
        r#"time="2026-11-21T19:34:02.869892219Z" level=debug msg="error response for GET request" error-response="No such image: x" method=GET module=api request-url="/v1.48/images/x/json" status=404 vars="map[]""#,
        "docker_daemon",
        &[
            ("event.outcome", "failure"),
            ("event.action", "ImageInspect"),
            ("container.image.name", "x"),
        ],
    );
    for (call, action, field, value) in [
        (
            "POST /v1.41/images/127.0.0.1:25000/acme/web/push?tag=1.1",
            "ImagePush",
            "container.image.name",
            "127.0.0.1:25000/acme/web:1.1",
        ),
        (
            "POST /v1.41/commit?author=&container=dbg&repo=local%2Fdbg&tag=tmp",
            "ImageCommit",
            "container.image.name",
            "local/dbg:tmp",
        ),
        (
            "POST /v1.41/commit?author=&container=dbg&repo=local%2Fdbg&tag=tmp",
            "ImageCommit",
            "container.name",
            "dbg",
        ),
        (
            "POST /images/create?fromImage=acme%2Fweb&tag=1.2",
            "ImageCreate",
            "container.image.name",
            "acme/web:1.2",
        ),
        (
            "POST /v1.41/build?t=127.0.0.1%3A25000%2Facme%2Fweb%3A1.2&target=",
            "ImageBuild",
            "container.image.name",
            "127.0.0.1:25000/acme/web:1.2",
        ),
        (
            "DELETE /v1.41/images/acme/base:latest?force=1",
            "ImageDelete",
            "container.image.tag",
            "[\"latest\"]",
        ),
        (
            "GET /v1.24/containers/4faa6f19f52b/json",
            "ContainerInspect",
            "container.id",
            "4faa6f19f52b",
        ),
        (
            "POST /v1.41/images/json/push",
            "ImagePush",
            "container.image.name",
            "json",
        ),
        (
            "GET /v1.41/containers/json",
            "ContainerList",
            "container.name",
            "null",
        ),
        ("HEAD /_ping", "SystemPing", "docker.api.path", "/_ping"),
        ("TRACE /odd", "TRACE /odd", "event.type", "[\"info\"]"),
    ] {
        let line = format!("time=\"2026-11-21T19:34:02.869892219Z\" level=debug msg=\"Calling {call}\"");
        check(
            &line,
            "docker_daemon",
            &[("event.action", action), (field, value)],
        );
    }
}

#[test]
fn what_authorization_plugins_see_is_read() {
    check(
        r#"{"User":"ops","UserAuthNMethod":"TLS","RequestMethod":"POST","RequestUri":"/v1.41/containers/web/exec","RequestBody":"eyJDbWQiOlsiaWQiXX0=","RequestHeaders":{"User-Agent":"Docker-Client/20.10"},"ResponseStatusCode":201}"#,
        "docker_authz",
        &[
            ("user.name", "ops"),
            ("event.action", "ContainerExec"),
            ("process.args", "[\"id\"]"),
            ("user_agent.original", "Docker-Client/20.10"),
            ("event.outcome", "success"),
        ],
    );
}

#[test]
fn podman_is_read() {
    check(
        r#"@ - - [21/Nov/2026:19:38:23 +0000] "GET /v4.0.0/libpod/containers/json HTTP/1.1" 200 1076 "" "curl/7.88.1""#,
        "podman_api",
        &[
            ("event.action", "ContainerList"),
            ("docker.api.path", "/containers/json"),
            ("user_agent.original", "curl/7.88.1"),
            ("http.response.status_code", "200"),
            ("event.outcome", "success"),
            ("source.address", "@"),
        ],
    );
    check(
        r#"time="2026-11-21T19:38:18Z" level=info msg="podman filtering at log level debug""#,
        "podman_api",
        &[
            ("message", "podman filtering at log level debug"),
            ("log.level", "info"),
            ("event.category", "null"),
        ],
    );
    check(
        r#"{"ID":"96b5","Image":"localhost/acme/base:1.0","Name":"db","Status":"exec","Time":"2026-11-21T19:38:00.280709038Z","Type":"container","Attributes":{"a.b":"c"}}"#,
        "podman_events",
        &[
            ("event.action", "exec"),
            ("event.category", "[\"process\"]"),
            ("container.name", "db"),
            ("container.image.tag", "[\"1.0\"]"),
            ("container.labels.a_b", "c"),
        ],
    );
    check(
        r#"{"PODMAN_EVENT":"commit","PODMAN_TYPE":"container","PODMAN_ID":"96b5","PODMAN_NAME":"db","PODMAN_IMAGE":"a:1","PODMAN_TIME":"2026-11-21T19:38:00Z","_HOSTNAME":"h"}"#,
        "podman_events",
        &[("event.type", "[\"creation\"]"), ("host.name", "h")],
    );
}

#[test]
fn output_of_containers_is_read_as_what_it_is() {
    check(
        r#"{"log":"198.51.100.7 - - [21/Nov/2026:19:36:56 +0000] \"GET / HTTP/1.1\" 200 8 \"-\" \"x\"\n","stream":"stdout","time":"2026-11-21T19:38:05.33Z"}"#,
        "apache_access",
        &[("@timestamp", "2026-11-21T19:36:56.000Z"), ("stream", "stdout")],
    );
    check(
        r#"{"log":"started\n","stream":"stderr","time":"2026-11-21T19:38:05.33Z"}"#,
        "kubernetes_container_logs",
        &[
            ("message", "started"),
            ("stream", "stderr"),
            ("@timestamp", "2026-11-21T19:38:05.330Z"),
        ],
    );
    check(
        "2026-11-21T19:38:05.330000000Z stdout F started",
        "kubernetes_container_logs",
        &[("message", "started"), ("@timestamp", "2026-11-21T19:38:05.330Z")],
    );
    check(
        r#"{"message":"hello","kubernetes":{"pod":{"name":"p"},"container":{"name":"c"},"labels":{"app_kubernetes_io/version":"1"}},"log":{"file":{"path":"/x"}}}"#,
        "kubernetes_container_logs",
        &[
            ("service.name", "c"),
            ("service.version", "1"),
            ("message", "hello"),
            ("kubernetes.pod.name", "p"),
        ],
    );
}

#[test]
fn containerd_is_read() {
    check(
        r#"time="2026-11-21T19:34:02.869892219Z" level=info msg="Exec for \"4faa6f19f52b04\" with command [sh -c id], tty true and stdin true""#,
        "docker_daemon",
        &[
            ("event.dataset", "containerd.log"),
            ("event.action", "Exec"),
            ("event.category", "[\"api\",\"process\"]"),
            ("event.type", "[\"start\"]"),
            ("container.id", "4faa6f19f52b04"),
            ("container.runtime", "containerd"),
            ("process.command_line", "sh -c id"),
        ],
    );
    check(
        r#"time="2026-11-21T19:34:02.869892219Z" level=info msg="PullImage \"docker.io/shop/web:1.0\"""#,
        "docker_daemon",
        &[
            ("container.image.tag", "[\"1.0\"]"),
            ("event.type", "[\"creation\"]"),
        ],
    );
    check(
        r#"2026-11-21 19:34:02.298219138 +0100 CET k8s.io /tasks/exec-started {"container_id":"4faa","exec_id":"9","pid":77}"#,
        "containerd_events",
        &[
            ("@timestamp", "2026-11-21T18:34:02.298Z"),
            ("event.action", "/tasks/exec-started"),
            ("event.category", "[\"process\"]"),
            ("container.id", "4faa"),
            ("process.pid", "77"),
            ("containerd.event.namespace", "k8s.io"),
        ],
    );
}

#[test]
fn events_of_podman_by_the_interface_of_docker_are_podmans() {
    check(
        r#"{"status":"start","id":"2f","from":"localhost/shop/web:1.0","Type":"container","Action":"start","Actor":{"ID":"2f","Attributes":{"a.b":"c","containerExitCode":"0","image":"localhost/shop/web:1.0","name":"short","podId":""}},"scope":"local","time":1795370551,"timeNano":1795370551886914235}"#,
        "docker_events",
        &[
            ("container.runtime", "podman"),
            ("container.name", "short"),
            ("container.labels.a_b", "c"),
            ("event.action", "start"),
        ],
    );
}

#[test]
fn notifications_of_a_registry_are_read() {
    check(
        r#"{"events":[{"id":"595934fb-16a0-4b6a-aca0-1b939e8db76c","timestamp":"2026-11-22T18:37:52.674385426Z","action":"push","target":{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":348,"digest":"sha256:aea0c203cf54b0de6b70eb3b27cbf6e3728cd331df9f65c8f286065362f44028","length":348,"repository":"shop/web","url":"http://127.0.0.1:5055/v2/shop/web/manifests/sha256:aea0c203cf54b0de6b70eb3b27cbf6e3728cd331df9f65c8f286065362f44028","tag":"1.0"},"request":{"id":"71f35860-d908-4474-b8be-e1d9d5b40e77","addr":"127.0.0.1:55378","host":"127.0.0.1:5055","method":"PUT","useragent":"containers/5.23.1 (github.com/containers/image)"},"actor":{"name":"ann"},"source":{"addr":"vm:5055","instanceID":"64c8ed6d-d474-4016-8908-3e49b3e5bb22"}}]}"#,
        "docker_registry",
        &[
            ("@timestamp", "2026-11-22T18:37:52.674Z"),
            ("event.action", "push"),
            ("event.type", "[\"creation\"]"),
            ("event.id", "595934fb-16a0-4b6a-aca0-1b939e8db76c"),
            ("container.image.name", "127.0.0.1:5055/shop/web:1.0"),
            ("container.image.tag", "[\"1.0\"]"),
            (
                "container.image.hash.all",
                "[\"sha256:aea0c203cf54b0de6b70eb3b27cbf6e3728cd331df9f65c8f286065362f44028\"]",
            ),
            ("source.ip", "127.0.0.1"),
            ("source.port", "55378"),
            ("user.name", "ann"),
            (
                "user_agent.original",
                "containers/5.23.1 (github.com/containers/image)",
            ),
            ("http.request.method", "PUT"),
        ],
    );
    // A blob has a digest, but is no image.
    check(
        r#"{"id":"9b","timestamp":"2026-11-22T18:37:52.748491941Z","action":"pull","target":{"mediaType":"application/octet-stream","size":409,"digest":"sha256:f3","length":409,"repository":"shop/web","url":"http://r/v2/shop/web/blobs/sha256:f3"},"request":{"id":"99","addr":"[2001:db8::1]:55406","host":"r","method":"GET","useragent":"x"},"actor":{},"source":{"addr":"vm:5055","instanceID":"64"}}"#,
        "docker_registry",
        &[
            ("event.type", "[\"access\"]"),
            ("docker.registry.digest", "sha256:f3"),
            ("container.image.name", "r/shop/web"),
            ("container.image.hash.all", "null"),
            ("source.ip", "2001:db8::1"),
            ("user.name", "null"),
        ],
    );
    check(
        r#"{"id":"06","timestamp":"2026-11-22T18:37:52.863380655Z","action":"delete","target":{"repository":"shop/web","tag":"1.0"},"request":{"id":"fa","addr":"127.0.0.1:55434","host":"127.0.0.1:5055","method":"DELETE","useragent":"curl/7.88.1"},"actor":{},"source":{"addr":"vm:5055","instanceID":"64"}}"#,
        "docker_registry",
        &[
            ("event.action", "delete"),
            ("event.type", "[\"deletion\"]"),
            ("container.image.name", "127.0.0.1:5055/shop/web:1.0"),
        ],
    );
}
