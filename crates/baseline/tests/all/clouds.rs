//! The other clouds: what their tools print, what changes there, and what only looks so.

use crate::collected::{baseline, compared, read, told, with};
use neph_baseline::Kind;
use serde_json::{Value, json};

const SUBSCRIPTION: &str = "/subscriptions/0A0A-1B1B/resourceGroups/RG/providers/Microsoft.Compute";

fn list(items: &[Value]) -> String {
    format!("{:#}", Value::from(items))
}

fn disk_snapshot(name: &str) -> Value {
    json!({
        "creationData": {"createOption": "Copy", "sourceResourceId": format!("{SUBSCRIPTION}/disks/os"), "sourceUniqueId": "d1"},
        "diskSizeBytes": 32_213_303_296_u64, "diskSizeGB": 30, "diskState": "Unattached", "encryption":
        {"type": "EncryptionAtRestWithPlatformKey"}, "id": format!("{SUBSCRIPTION}/snapshots/{name}"), "incremental": true,
        "location": "westeurope", "name": name, "networkAccessPolicy": "DenyAll", "provisioningState": "Succeeded",
        "publicNetworkAccess": "Disabled", "resourceGroup": "RG", "sku": {"name": "Standard_ZRS", "tier": "Standard"},
        "tags": {"team": "data"}, "timeCreated": "2026-10-01T03:10:41.2030000+00:00", "type": "Microsoft.Compute/snapshots", "uniqueId": "u1",
    })
}

const AZ: &str = "azure/0a0a-1b1b/snapshot-list.json";

#[test]
fn azure_tells_exports_keys_and_replaced_snapshots() {
    let before = [(AZ, list(&["a", "b", "c", "d"].map(disk_snapshot)))];
    let after = list(&[
        with(
            disk_snapshot("a"),
            json!({"diskState": "ActiveSAS", "networkAccessPolicy": "AllowAll", "publicNetworkAccess": "Enabled"}),
        ),
        with(disk_snapshot("b"), json!({"uniqueId": "u2"})),
        with(
            disk_snapshot("c"),
            json!({"encryption": {"type": "EncryptionAtRestWithCustomerKey",
            "diskEncryptionSetId": format!("{SUBSCRIPTION}/diskEncryptionSets/x")}}),
        ),
    ]);
    let id = |name: &str| format!("{}/snapshots/{name}", SUBSCRIPTION.to_lowercase());
    assert_eq!(
        told(&compared(&before, &[(AZ, after)])),
        [
            format!(
                "copied-out {}: access DenyAll Disabled -> AllowAll Enabled exported",
                id("a")
            ),
            format!("changed {}: content u1 -> u2", id("b")),
            format!(
                "changed {}: encryption not encrypted -> encrypted; key - -> {}",
                id("c"),
                format!("{SUBSCRIPTION}/diskEncryptionSets/x").to_lowercase()
            ),
            format!("gone {}: ", id("d")),
        ]
    );
}

#[test]
fn azure_writes_the_same_in_several_ways() {
    let before = [(AZ, list(&["a", "b", "c", "d"].map(disk_snapshot)))];
    let upper = with(
        disk_snapshot("a"),
        json!({"id": format!("{SUBSCRIPTION}/snapshots/A").to_uppercase().replace("/SUBSCRIPTIONS", "/subscriptions"), "location": "West Europe",
            "resourceGroup": "rg", "systemData": {"x": 1}, "diskSizeBytes": 1}),
    );
    let own = disk_snapshot("b");
    let rest = {
        let mut properties = own.clone();
        let outer = properties.as_object_mut().unwrap();
        for key in ["id", "name", "location", "tags", "type", "sku", "resourceGroup"] {
            outer.remove(key);
        }
        json!({"id": own["id"], "name": "b", "location": "westeurope", "tags": {"team": "data"}, "type": own["type"], "properties": properties})
    };
    let settled = with(
        disk_snapshot("c"),
        json!({"completionPercent": 100.0, "timeCreated": "2026-10-01T03:10:41Z"}),
    );
    let after = [(
        AZ,
        format!(
            "{}\n{}",
            json!({"value": [upper, rest]}),
            list(&[settled, disk_snapshot("d")])
        ),
    )];
    let comparison = compared(&before, &after);
    assert_eq!(told(&comparison), Vec::<String>::new());
    assert_eq!(comparison.same, 4);
}

#[test]
fn galleries_images_and_restore_points_of_azure_are_read() {
    let gallery = |profile: Value| {
        json!({"id": format!("{SUBSCRIPTION}/galleries/G"), "name": "G", "location": "westeurope", "provisioningState": "Succeeded",
            "sharingProfile": profile, "type": "Microsoft.Compute/galleries"})
    };
    let version = |number: &str, date: &str| {
        json!({"id": format!("{SUBSCRIPTION}/galleries/G/images/I/versions/{number}"), "name": number, "location": "westeurope",
            "publishingProfile": {"publishedDate": date, "targetRegions": [{"name": "West Europe"}]},
            "storageProfile": {"source": {"id": format!("{SUBSCRIPTION}/images/base")}}, "provisioningState": "Succeeded"})
    };
    let image = json!({"id": format!("{SUBSCRIPTION}/images/base"), "name": "base", "location": "westeurope", "storageProfile":
        {"osDisk": {"diskSizeGb": 30, "managedDisk": {"id": format!("{SUBSCRIPTION}/disks/os")}, "osType": "Linux"}, "dataDisks": []}});
    let definition = json!({"id": format!("{SUBSCRIPTION}/galleries/G/images/I"), "name": "I", "identifier":
        {"offer": "o", "publisher": "p", "sku": "s"}, "osState": "Generalized", "osType": "Linux"});
    let point = json!({"id": format!("{SUBSCRIPTION}/restorePointCollections/C/restorePoints/r1"), "name": "r1",
        "timeCreated": "2026-10-01T03:10:41Z", "sourceMetadata": {"vmId": "vm-1"}, "provisioningState": "Succeeded"});
    let collection = json!({"id": format!("{SUBSCRIPTION}/restorePointCollections/C"), "name": "C", "restorePoints": [point]});
    let before = [
        (
            "azure/0a0a-1b1b/sig-list.json",
            list(&[gallery(json!({"permissions": "Private"}))]),
        ),
        (
            "azure/0a0a-1b1b/sig-image-version-list.json",
            list(&[
                version("1.0.0", "2026-10-01T00:00:00Z"),
                version("1.0.1", "2026-10-02T00:00:00Z"),
            ]),
        ),
        (
            "azure/0a0a-1b1b/sig-image-definition-list.json",
            list(std::slice::from_ref(&definition)),
        ),
        (
            "azure/0a0a-1b1b/image-list.json",
            list(std::slice::from_ref(&image)),
        ),
        (
            "azure/0a0a-1b1b/restore-point-collection-show.json",
            format!("{collection:#}"),
        ),
    ];
    let kinds: Vec<Kind> = baseline(&before)
        .records
        .iter()
        .map(|record| record.kind)
        .collect();
    assert_eq!(
        kinds,
        [
            Kind::AzureRestorePoint,
            Kind::AzureImage,
            Kind::AzureGallery,
            Kind::AzureGalleryImage,
            Kind::AzureGalleryVersion,
            Kind::AzureGalleryVersion
        ]
    );
    let mut after = before.clone();
    after[0].1 = list(&[gallery(json!({"permissions": "Community"}))]);
    after[1].1 = list(&[version("1.0.0", "2026-11-03T00:00:00Z")]);
    let gallery = format!("{}/galleries/g", SUBSCRIPTION.to_lowercase());
    assert_eq!(
        told(&compared(&before, &after)),
        [
            format!("copied-out {gallery} (public): sharing - -> everybody"),
            format!(
                "changed {gallery}/images/i/versions/1.0.0: content 2026-10-01T00:00:00Z -> 2026-11-03T00:00:00Z"
            ),
            format!("gone {gallery}/images/i/versions/1.0.1: "),
        ]
    );
    // The list of one image's versions says nothing of those of another.
    let mut other = before.clone();
    other[1].1 = list(&[]);
    assert_eq!(told(&compared(&before, &other)), Vec::<String>::new());
}

fn gcp(kind: &str, collection: &str, name: &str) -> Value {
    json!({
        "kind": format!("compute#{kind}"), "id": "4567890123456789012", "name": name, "status": "READY", "diskSizeGb": "10",
        "creationTimestamp": "2026-10-01T03:10:41.203-07:00", "labelFingerprint": "abc=", "labels": {"team": "data"},
        "selfLink": format!("https://www.googleapis.com/compute/v1/projects/prod-1/global/{collection}/{name}"),
        "sourceDisk": "https://www.googleapis.com/compute/v1/projects/prod-1/zones/europe-west4-a/disks/db", "storageBytes": "123",
        "storageBytesStatus": "UP_TO_DATE", "storageLocations": ["eu"],
    })
}

#[test]
fn google_cloud_tells_policies_replaced_images_and_families() {
    let snapshots = "gcp/prod-1/compute-snapshots-list.json";
    let images = "gcp/prod-1/compute-images-list.json";
    let policy = "gcp/prod-1/compute-images-get-iam-policy/web.json";
    let policies = "gcp/prod-1/compute-snapshots-get-iam-policy/a.json";
    let standard = json!({"kind": "compute#image", "id": "1", "name": "debian-13",
        "selfLink": "https://www.googleapis.com/compute/v1/projects/debian-cloud/global/images/debian-13", "status": "READY"});
    let before = [
        (snapshots, list(&["a", "b", "c"].map(|name| gcp("snapshot", "snapshots", name)))),
        (images, list(&[gcp("image", "images", "web"), standard])),
        (policy, json!({"etag": "ACAB"}).to_string()),
        (policies, json!({"bindings": [{"members": ["user:ann@corp.example"], "role": "roles/compute.viewer"}], "etag": "x", "version": 1}).to_string()),
    ];
    assert_eq!(read(&before).offered, 1);
    let after = [
        (
            snapshots,
            list(&[
                with(gcp("snapshot", "snapshots", "a"), json!({"storageBytes": "999", "labelFingerprint": "zzz=", "storageBytesStatus": "UPDATING",
                    "selfLink": "https://compute.googleapis.com/compute/beta/projects/prod-1/global/snapshots/a"})),
                with(gcp("snapshot", "snapshots", "b"), json!({"snapshotEncryptionKey": {"kmsKeyName": "projects/k/locations/eu/keyRings/r/cryptoKeys/k/cryptoKeyVersions/2"},
                    "labels": {}})),
                with(gcp("snapshot", "snapshots", "c"), json!({"creationTimestamp": "2026-10-01T10:10:41Z"})),
            ]),
        ),
        (images, list(&[with(gcp("image", "images", "web"), json!({"id": "99", "family": "golden"}))])),
        (policy, json!({"bindings": [{"members": ["allAuthenticatedUsers"], "role": "roles/compute.imageUser"}], "etag": "y"}).to_string()),
        (policies, json!({"bindings": [{"members": ["serviceAccount:x@prod-1.iam.gserviceaccount.com", "user:ann@corp.example"],
            "role": "roles/compute.viewer"}], "etag": "x", "version": 1}).to_string()),
    ];
    assert_eq!(
        told(&compared(&before, &after)),
        [
            "copied-out projects/prod-1/global/images/web (public): content 4567890123456789012 -> 99; sharing - -> everybody; family - -> golden",
            "changed projects/prod-1/global/snapshots/a (own): sharing - -> serviceAccount:x@prod-1.iam.gserviceaccount.com",
            "changed projects/prod-1/global/snapshots/b: encryption not encrypted -> encrypted; key - -> projects/k/locations/eu/keyrings/r/cryptokeys/k; tags team=data -> -",
        ]
    );
}

#[test]
fn instant_snapshots_and_machine_images_of_google_cloud_are_read() {
    let instant = with(
        gcp("instantSnapshot", "x", "i"),
        json!({"selfLink": "https://www.googleapis.com/compute/v1/projects/prod-1/zones/europe-west4-a/instantSnapshots/i"}),
    );
    let files = [
        ("gcp/prod-1/compute-instant-snapshots-list.json", list(&[instant])),
        (
            "gcp/prod-1/compute-machine-images-list.json",
            list(&[gcp("machineImage", "machineImages", "m")]),
        ),
    ];
    let told: Vec<(Kind, Option<Box<str>>)> = read(&files)
        .records
        .into_iter()
        .map(|record| (record.kind, record.region))
        .collect();
    assert_eq!(
        told,
        [
            (Kind::GcpInstantSnapshot, Some("europe-west4-a".into())),
            (Kind::GcpMachineImage, None)
        ]
    );
}

#[test]
fn openstack_tells_images_that_were_made_public_or_filled_anew() {
    let snapshot = |id: &str| {
        json!({"ID": id, "Name": "nightly", "Description": null, "Status": "available", "Size": 20, "Created At": "2026-10-01T03:10:41.000000",
            "Volume": "db-disk", "Properties": {"team": "data"}})
    };
    let backup = |id: &str| {
        json!({"ID": id, "Name": "b", "Description": null, "Status": "available", "Size": 20, "Incremental": false,
            "Created At": "2026-10-01T03:10:41.000000", "Availability Zone": "nova", "Volume": "v", "Container": "backups"})
    };
    let image = |id: &str| {
        json!({"ID": id, "Name": "web", "Disk Format": "raw", "Container Format": "bare", "Size": 100, "Checksum": "c1", "Status": "active",
            "Visibility": "shared", "Protected": false, "Project": "p1", "Hash Algorithm": "sha512", "Hash Value": "h1", "Tags": ["b", "a"]})
    };
    let member =
        |image: &str, project: &str| json!({"Image ID": image, "Member ID": project, "Status": "accepted"});
    let files = |snapshots: &[Value], backups: &[Value], images: &[Value], members: &[Value]| {
        [
            ("openstack/p1/MSK/volume-snapshot-list.json", list(snapshots)),
            ("openstack/p1/MSK/volume-backup-list.json", list(backups)),
            ("openstack/p1/MSK/image-list.json", list(images)),
            ("openstack/p1/MSK/image-member-list.json", list(members)),
        ]
    };
    let before = files(
        &[
            snapshot("s1"),
            with(snapshot("s2"), json!({"Status": "creating", "Properties": {}})),
        ],
        &[backup("b1"), backup("b2")],
        &[
            image("i1"),
            image("i2"),
            image("i3"),
            with(
                image("i4"),
                json!({"Status": "saving", "Hash Value": null, "Checksum": null, "Size": null}),
            ),
        ],
        &[member("i3", "p2")],
    );
    let after = files(
        &[
            with(
                snapshot("s1"),
                json!({"Status": "backing-up", "Created At": "2026-10-01T03:10:41Z", "Name": "nightly"}),
            ),
            snapshot("s2"),
        ],
        &[backup("b1")],
        &[
            with(image("i1"), json!({"Hash Value": "h2", "Tags": ["a", "b"]})),
            with(image("i2"), json!({"Visibility": "public"})),
            image("i3"),
            image("i4"),
        ],
        &[member("i3", "p2"), member("i3", "p9")],
    );
    assert_eq!(
        told(&compared(&before, &after)),
        [
            "copied-out i2 (public): sharing - -> everybody",
            "copied-out i3 (unknown): sharing - -> p9",
            "changed i1: content h1 -> h2",
            "gone b2: ",
        ]
    );
    let short = read(&[(
        "openstack/p1/MSK/volume-snapshot-list.json",
        list(&[json!({"ID": "s", "Name": "n", "Description": "", "Status": "x", "Size": 1})]),
    )]);
    assert_eq!(
        short.problems[0].what,
        "1 item of `openstack-snapshot` left out: it has no `Volume`, so list it with `--long`"
    );
}

#[test]
fn databases_and_recovery_points_of_aws_are_read() {
    let account = "aws/111122223333/eu-west-1";
    let rds = |name: &str, created: &str| {
        json!({"DBSnapshotIdentifier": name, "DBInstanceIdentifier": "db", "DbiResourceId": "db-ABC", "SnapshotCreateTime": created,
            "AllocatedStorage": 100, "Status": "available", "Encrypted": true, "KmsKeyId": "k", "TagList": [],
            "DBSnapshotArn": format!("arn:aws:rds:eu-west-1:111122223333:snapshot:{name}")})
    };
    let attributes = |name: &str, with: &[&str]| {
        json!({"DBSnapshotAttributesResult": {"DBSnapshotIdentifier": name, "DBSnapshotAttributes": [{"AttributeName": "restore", "AttributeValues": with}]}})
            .to_string()
    };
    let point = json!({"RecoveryPoints": [{"RecoveryPointArn": "arn:aws:ec2:eu-west-1::snapshot/snap-9", "BackupVaultName": "v",
        "ResourceArn": "arn:aws:ec2:eu-west-1:111122223333:volume/vol-1", "Status": "COMPLETED", "CreationDate": "2026-10-01T00:00:00Z", "IsEncrypted": false}]});
    let names = [
        "rds-describe-db-snapshots.json",
        "rds-describe-db-snapshot-attributes.json",
        "backup-list-recovery-points-by-backup-vault.json",
    ]
    .map(|name| format!("{account}/{name}"));
    let files = |snapshots: &[Value], shares: String| {
        [
            (names[0].as_str(), json!({"DBSnapshots": snapshots}).to_string()),
            (names[1].as_str(), shares),
            (names[2].as_str(), point.to_string()),
        ]
    };
    let day = "2026-10-01T03:10:41Z";
    let before = files(
        &[rds("a", day), rds("b", day), rds("c", day)],
        [attributes("a", &[]), attributes("b", &[])].join("\n"),
    );
    let after = files(
        &[
            rds("a", day),
            rds("b", "2026-11-03T00:00:00Z"),
            rds("c", "2026-10-01T03:10:41.203000+00:00"),
        ],
        [attributes("a", &["all"]), attributes("b", &[])].join("\n"),
    );
    let arn = "arn:aws:rds:eu-west-1:111122223333:snapshot:";
    assert_eq!(
        told(&compared(&before, &after)),
        [
            format!("copied-out {arn}a (public): sharing - -> everybody"),
            format!("changed {arn}b: content 2026-10-01T03:10:41Z -> 2026-11-03T00:00:00Z"),
        ]
    );
    assert_eq!(baseline(&before).records.len(), 4);
}

#[test]
fn lists_of_other_things_say_nothing_of_snapshots() {
    let before = [(
        crate::collected::EBS,
        crate::collected::snapshots(&[crate::collected::snapshot("snap-a")]),
    )];
    let redshift = json!({"Snapshots": [{"SnapshotIdentifier": "s", "ClusterIdentifier": "c"}]}).to_string();
    for (name, text) in [
        (
            "aws/111122223333/eu-west-1/redshift-describe-cluster-snapshots.json",
            redshift.clone(),
        ),
        ("aws/111122223333/eu-west-1/mine.json", redshift),
        (
            "aws/111122223333/eu-west-1/elasticache-describe-snapshots.json",
            json!({"Snapshots": []}).to_string(),
        ),
        (
            "aws/111122223333/eu-west-1/ec2-describe-volumes.json",
            json!({"Volumes": [{"VolumeId": "vol-1"}]}).to_string(),
        ),
    ] {
        let comparison = compared(&before, &[(name, text.clone())]);
        assert_eq!(
            (told(&comparison), comparison.unknown.len()),
            (Vec::new(), 1),
            "{name}"
        );
        assert_eq!(read(&[(name, text)]).other_files, 1, "{name}");
    }
}

#[test]
fn a_list_that_was_asked_for_otherwise_is_not_taken_for_empty() {
    let image = |id: &str| {
        json!({"ID": id, "Name": "web", "Disk Format": "raw", "Size": 100, "Checksum": "c1", "Status": "active", "Visibility": "private",
            "Project": "p1", "Tags": []})
    };
    let file = "openstack/p1/MSK/image-list.json";
    let short = list(&[json!({"ID": "i1", "Name": "web", "Status": "active"})]);
    let comparison = compared(
        &[(file, list(&[image("i1"), image("i2")]))],
        &[(file, short.clone())],
    );
    assert_eq!(told(&comparison), Vec::<String>::new());
    assert_eq!(comparison.unknown[0].records, 2);
    assert_eq!(
        read(&[(file, short)]).problems[0].what,
        "1 item of `openstack-image` left out: it is not as the call prints it, so list it with `--long -f json`"
    );
}

#[test]
fn the_first_whom_an_image_is_shared_with_is_told() {
    let image = |id: &str| {
        json!({"ID": id, "Name": "web", "Disk Format": "raw", "Size": 100, "Checksum": "c1", "Status": "active", "Visibility": "shared",
            "Project": "p1", "Tags": []})
    };
    let images = ("openstack/p1/MSK/image-list.json", list(&[image("i1")]));
    let member = list(&[json!({"Image ID": "i1", "Member ID": "p9", "Status": "pending"})]);
    let gcp_list = (
        "gcp/prod-1/compute-images-list.json",
        list(&[gcp("image", "images", "web")]),
    );
    let policy = |members: Value| {
        list(&[
            json!({"resource": "//compute.googleapis.com/projects/prod-1/global/images/web", "policy": {"bindings": [{"members": members, "role": "r"}]}}),
        ])
    };
    for (listed, file, none, one, expected) in [
        (
            &images,
            "openstack/p1/MSK/image-member-list.json",
            "[]".to_owned(),
            member.clone(),
            "copied-out i1 (unknown): sharing - -> p9",
        ),
        (
            &images,
            "openstack/p1/MSK/image-member-list/i1.json",
            "[]".to_owned(),
            member,
            "copied-out i1 (unknown): sharing - -> p9",
        ),
        (
            &gcp_list,
            "gcp/prod-1/asset-search-all-iam-policies.json",
            "[]".to_owned(),
            policy(json!(["allUsers"])),
            "copied-out projects/prod-1/global/images/web (public): sharing - -> everybody",
        ),
    ] {
        let before = [listed.clone(), (file, none)];
        assert_eq!(
            told(&compared(&before, &[listed.clone(), (file, one.clone())])),
            [expected],
            "{file}"
        );
        // Where nobody asked, nothing is known, and nothing is told.
        assert_eq!(
            told(&compared(
                std::slice::from_ref(listed),
                &[listed.clone(), (file, one)]
            )),
            Vec::<String>::new()
        );
    }
}
