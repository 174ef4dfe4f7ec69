//! A small OpenStack, by its notifications, and projects in VK Cloud.
//! <https://docs.openstack.org/nova/latest/admin/notifications.html>
//! <https://cloud.vk.com/docs/en/tools-for-using-services/audit>

use serde_json::{Value, json};

use super::{HOUR, Life, MINUTE, iso};

fn notify(life: &mut Life<'_>, time: i64, user: &str, kind: &str, payload: Value) {
    let stamp = iso(time);
    let stamp = format!("{}000", stamp.trim_end_matches('Z').replace('T', " "));
    let publisher = if kind.starts_with("compute") {
        "compute.hv-1"
    } else if kind.starts_with("image") {
        "image.controller-1"
    } else {
        "volume.hv-1@ceph"
    };
    let record = json!({
        "message_id": life.uuid(),
        "publisher_id": publisher,
        "event_type": kind,
        "priority": "INFO",
        "payload": payload,
        "timestamp": stamp,
        "_context_user_name": user,
        "_context_user_id": Life::uuid_of(user).replace('-', ""),
        "_context_project_id": "5e0a9d6d3cc44b9ba5b4b1b2e2d1a7c0",
        "_context_project_name": "shop",
        "_context_remote_address": "10.20.0.17",
        "_context_request_id": format!("req-{}", Life::uuid_of(user)),
    });
    life.tell(time, "openstack", record);
}

fn vk(
    life: &mut Life<'_>,
    time: i64,
    user: &str,
    address: &str,
    (service, action, kind): (&str, &str, &str),
    more: Value,
) {
    let record = json!({
        "event_id": life.uuid(),
        "timestamp": iso(time),
        "action": action,
        "request_id": format!("req-{}", life.uuid()),
        "severity": "INFO",
        "source": {"id": service, "address": "10.14.2.7"},
        "subject": {"user_id": Life::uuid_of(user), "address": address, "project_id": "0c1f2e3d4b5a69788796a5b4c3d2e1f0", "metadata": {"email": format!("{user}@corp.example")}},
        "resource": {"id": life.uuid(), "type": kind, "metadata": more},
        "status": {"code": 200, "message": "OK"},
        "labels": {},
    });
    life.tell(time, "vkcloud", record);
}

pub(super) fn live(life: &mut Life<'_>) {
    for _ in 0..life.often(60).max(20) {
        let time = life.at_hour(1);
        let (volume, snapshot) = (life.uuid(), life.uuid());
        let payload = json!({"volume_id": volume, "snapshot_id": snapshot, "display_name": "nightly", "status": "available", "tenant_id": "5e0a9d6d3cc44b9ba5b4b1b2e2d1a7c0"});
        notify(
            life,
            time,
            "velero-backup",
            "snapshot.create.end",
            payload.clone(),
        );
        notify(
            life,
            time + 2 * HOUR,
            "velero-backup",
            "snapshot.delete.end",
            payload,
        );
        vk(
            life,
            time,
            "svc-backup",
            "10.14.0.9",
            ("cinder", "create-snapshot", "snapshot"),
            json!({"volume_id": volume}),
        );
    }
    let company = life.company;
    for (number, person) in company
        .engineers
        .iter()
        .enumerate()
        .filter(|(number, _)| number % 5 == 0)
    {
        let server = Life::uuid_of(&format!("server {number}"));
        let time = life.at_work();
        notify(
            life,
            time,
            &person.name,
            "compute.instance.exists",
            json!({"instance_id": server, "display_name": format!("lab-{number}"), "state": "active"}),
        );
        notify(
            life,
            time + MINUTE,
            &person.name,
            "compute.instance.reboot.end",
            json!({"instance_id": server, "display_name": format!("lab-{number}"), "state": "active"}),
        );
        if number == 0 {
            notify(
                life,
                time + HOUR,
                &person.name,
                "snapshot.create.end",
                json!({"volume_id": Life::uuid_of("db"), "snapshot_id": life_id(number), "display_name": "before"}),
            );
        }
        if number == 10 {
            notify(
                life,
                time + HOUR,
                &person.name,
                "image.create",
                json!({"id": life_id(number), "name": "lab", "owner": "5e0a9d6d3cc44b9ba5b4b1b2e2d1a7c0", "visibility": "private", "status": "active"}),
            );
        }
        let address = person.address.clone();
        vk(
            life,
            time,
            &person.name,
            &address,
            ("nova", "start-server", "server"),
            json!({"server_id": server}),
        );
        match number % 4 {
            0 => vk(
                life,
                time + HOUR,
                &person.name,
                &address,
                ("cinder", "create-snapshot", "snapshot"),
                json!({"volume_id": Life::uuid_of("data")}),
            ),
            1 => vk(
                life,
                time + HOUR,
                &person.name,
                &address,
                ("nova", "reboot-server", "server"),
                json!({"server_id": server}),
            ),
            _ => {}
        }
    }
    for _ in 0..8 {
        let time = life.at_work();
        vk(
            life,
            time,
            "terraform",
            "20.57.3.3",
            ("nova", "create-server", "server"),
            json!({"server_id": life_id(7)}),
        );
        vk(
            life,
            time + MINUTE,
            "terraform",
            "20.57.3.3",
            ("cinder", "create-volume", "volume"),
            json!({"volume_id": life_id(8)}),
        );
    }
}

fn life_id(number: usize) -> String {
    Life::uuid_of(&format!("thing {number}"))
}
