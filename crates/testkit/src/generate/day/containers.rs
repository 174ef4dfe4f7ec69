//! Docker: the events and the log of the daemons of 200 hosts, and of the builders.
//! <https://docs.docker.com/reference/api/engine/version/v1.46/#tag/System/operation/SystemEvents>

use serde_json::json;

use super::{Life, MINUTE, SECOND};

/// An event of a daemon, as a shipper sends it.
fn event(
    life: &mut Life<'_>,
    time: i64,
    host: &str,
    kind: &str,
    action: &str,
    id: &str,
    attributes: &serde_json::Value,
) {
    let record = json!({
        "status": action,
        "id": id,
        "from": attributes["image"],
        "Type": kind,
        "Action": action,
        "Actor": {"ID": id, "Attributes": attributes},
        "scope": "local",
        "time": time / SECOND,
        "timeNano": time * 1_000_000,
    });
    life.tell_line(
        time,
        "docker-events",
        host,
        "/var/log/docker/events.json",
        &record.to_string(),
    );
}

/// A line of the log of a daemon that tells of its calls.
fn line(life: &mut Life<'_>, time: i64, host: &str, message: &str) {
    let stamp = super::iso(time);
    let stamp = format!("{}000000Z", stamp.trim_end_matches('Z'));
    life.tell_line(
        time,
        "docker-daemon",
        host,
        "/var/log/docker.log",
        &format!("time=\"{stamp}\" level=debug msg=\"{message}\""),
    );
}

pub(super) fn live(life: &mut Life<'_>) {
    for number in 0..life.often(200).max(10) {
        let host = format!("docker-{number:03}");
        // A monitoring agent looks at the list, an orchestrator asks for what it started.
        for _ in 0..life.often(5760 / 20).min(8) {
            let time = life.any_time();
            line(life, time, &host, "Calling GET /v1.44/containers/json?limit=0");
            line(
                life,
                time + 10,
                &host,
                "Calling GET /v1.44/containers/4c01db0b339c/stats?one-shot=1&stream=0",
            );
            line(life, time + SECOND, &host, "Calling GET /_ping");
        }
        for _ in 0..life.often(24).min(3) {
            let time = life.any_time();
            let id = life.hex(64);
            let attributes =
                json!({"image": "registry.corp.example/services/service-1:4f2a91c0b7de", "name": "shop"});
            for (pause, action) in (0..).zip(["create", "start", "health_status: healthy", "die", "destroy"])
            {
                event(
                    life,
                    time + pause * MINUTE,
                    &host,
                    "container",
                    action,
                    &id,
                    &attributes,
                );
            }
            let probe = json!({"image": "registry.corp.example/services/service-1:4f2a91c0b7de", "name": "shop", "execID": life.hex(64)});
            event(
                life,
                time + 90 * SECOND,
                &host,
                "container",
                "exec_create: /bin/sh -c curl -sf http://localhost:8080/health",
                &id,
                &probe,
            );
        }
        let image = json!({"name": "registry.corp.example/services/service-1:4f2a91c0b7de"});
        let time = life.at_work();
        event(
            life,
            time,
            &host,
            "image",
            "pull",
            "registry.corp.example/services/service-1:4f2a91c0b7de",
            &image,
        );
    }
    for number in 0..12_u64 {
        let host = format!("runner-{number:02}");
        for _ in 0..6 {
            let time = life.at_work();
            let tag = format!(
                "registry.corp.example/services/service-{}:{}",
                life.random.below(24),
                life.hex(12)
            );
            line(life, time, &host, "Calling HEAD /_ping");
            line(
                life,
                time,
                &host,
                &format!(
                    "Calling POST /v1.44/build?dockerfile=Dockerfile&rm=1&t={}&version=1",
                    tag.replace('/', "%2F").replace(':', "%3A")
                ),
            );
            line(
                life,
                time + 2 * MINUTE,
                &host,
                &format!(
                    "Calling POST /v1.44/images/{}/push?tag={}",
                    tag.split(':').next().unwrap_or_default(),
                    tag.rsplit(':').next().unwrap_or_default()
                ),
            );
            let id = format!("sha256:{}", life.hex(64));
            event(
                life,
                time + MINUTE,
                &host,
                "builder",
                "prune",
                "",
                &json!({"reclaimed": "0"}),
            );
            event(
                life,
                time + MINUTE,
                &host,
                "image",
                "tag",
                &id,
                &json!({"name": tag}),
            );
            event(
                life,
                time + 2 * MINUTE,
                &host,
                "image",
                "push",
                &tag,
                &json!({"name": tag.split(':').next()}),
            );
        }
    }
}
