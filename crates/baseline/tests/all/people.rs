//! Approvals, golden images, who did it, alerts and history.

use jiff::civil::{Date, date};
use neph_attack::{State, attack};
use neph_baseline::{
    Actors, Approvals, Class, Comparison, Difference, Entry, History, Kept, MEANINGS, NewApproval, Severity,
    Standing, alert, approve, compare, review,
};
use neph_diag::{Diagnostic, has_errors};
use serde_json::{Value, json};

use crate::collected::{
    AMI, EBS, EBS_SHARES, baseline, compared, image, images, read, snapshot, snapshots, told, with,
};

const TODAY: Date = date(2026, 11, 22);

fn approvals(text: &str) -> Approvals {
    let (approvals, diagnostics) = Approvals::read(text, TODAY);
    assert!(!has_errors(&diagnostics), "{diagnostics:?}");
    approvals
}

fn problems(text: &str) -> Vec<String> {
    let (_, diagnostics) = Approvals::read(text, TODAY);
    let line = |one: &Diagnostic| {
        let line = text[..one.span.start as usize].lines().count().max(1);
        format!(
            "{line} {}: {}{}",
            one.code.name,
            one.message,
            one.help
                .first()
                .map_or(String::new(), |help| format!(" ({help})"))
        )
    };
    diagnostics.iter().map(line).collect()
}

/// One snapshot of each kind of difference.
fn differences() -> Comparison {
    let share =
        |id: &str, list: Value| json!({"CreateVolumePermissions": list, "SnapshotId": id}).to_string();
    let before = [
        (EBS, snapshots(&["snap-a", "snap-b", "snap-c"].map(snapshot))),
        (EBS_SHARES, share("snap-c", json!([]))),
        (AMI, images(&[])),
    ];
    let after = [
        (
            EBS,
            snapshots(&[
                with(
                    snapshot("snap-b"),
                    json!({"Tags": [{"Key": "Name", "Value": "nightly-db"}]}),
                ),
                snapshot("snap-c"),
                snapshot("snap-n"),
            ]),
        ),
        (EBS_SHARES, share("snap-c", json!([{"UserId": "999999999999"}]))),
        (AMI, images(&[image("ami-n")])),
    ];
    let found = compared(&before, &after);
    assert_eq!(
        told(&found),
        [
            "copied-out snap-c (unknown): sharing - -> 999999999999",
            "new snap-n: ",
            "new ami-n: ",
            "changed snap-b: tags Name=db, team=data -> Name=nightly-db",
            "gone snap-a: "
        ]
    );
    found
}

fn approved(text: &str) -> Vec<String> {
    let (found, approvals) = (differences(), approvals(text));
    let one = |difference: &Difference| {
        let standing = approvals.standing(difference, TODAY);
        (!matches!(standing, Standing::Open)).then(|| format!("{} {}", difference.record.id, standing.name()))
    };
    found.differences.iter().filter_map(one).collect()
}

#[test]
fn an_approval_fits_what_it_says_and_nothing_else() {
    let entry = |keys: &str| format!("[[approved]]\n{keys}\nowner = \"o\"\nexpires = 2026-11-22\n");
    for (keys, expected) in [
        ("id = \"snap-n\"", &["snap-n approved"][..]),
        ("id = [\"snap-?\"]\nclass = \"new\"", &["snap-n approved"]),
        ("name = \"nightly-*\"", &["snap-b approved"]),
        ("kind = \"aws-image\"", &["ami-n approved"]),
        (
            "kind = \"*-snapshot\"\nclass = [\"gone\", \"changed\"]",
            &["snap-b approved", "snap-a approved"],
        ),
        ("tags = { team = \"da*\" }\nclass = \"new\"", &["snap-n approved"]),
        ("tags = { team = \"ops\" }", &[]),
        ("account = \"111122223333\"\nregion = \"us-*\"", &[]),
        ("source = \"vol-0a0a\"\nchanges = \"tags\"", &["snap-b approved"]),
        (
            "account = \"1111*\"\nchanges = [\"tags\", \"name\"]",
            &["snap-b approved"],
        ),
        ("source = \"i-0a\"", &["ami-n approved"]),
    ] {
        assert_eq!(approved(&entry(keys)), expected, "{keys}");
    }
    let id = differences().differences[1].id.clone();
    assert_eq!(
        approved(&entry(&format!("difference = \"{id}\""))),
        ["snap-n approved"]
    );
}

#[test]
fn an_approval_whose_time_is_over_is_told_and_another_may_hold() {
    let over = "owner = \"o\"\n[[approved]]\nid = \"snap-n\"\nexpires = \"2026-11-21\"\n";
    assert_eq!(approved(over), ["snap-n expired"]);
    assert_eq!(
        problems(over),
        ["4 approvals-expired: this counted until `2026-11-21` and counts no more"]
    );
    let both = format!("{over}[[approved]]\nname = \"db\"\nclass = \"new\"\nexpires = 2027-01-01\n");
    assert_eq!(approved(&both), ["snap-n approved"]);
}

#[test]
fn everything_that_is_wrong_with_the_file_is_told_at_once() {
    let text = "\
ownr = \"x\"
[[approved]]
nmae = \"a\"
owner = \"o\"
expires = 2027-01-01
[[approved]]
id = 5
class = \"newer\"
expires = \"soon\"
[[approved]]
kind = \"aws-ebs\"
id = \"*\"
owner = \"o\"
expires = 2027-01-01
[[golden]]
content = \"x\"
owner = \"o\"
expires = 2027-01-01
[[account]]
id = \"1\"
is = \"friend\"
owner = \"o\"
expires = 2027-01-01
";
    assert_eq!(
        problems(text),
        [
            "1 approvals-key-unknown: the file has no key `ownr` (did you mean `owner`?)",
            "1 approvals-key-missing: an approval does not say what it is about (give an `id`, a `name`, a `kind`, an `account`, a `source`, `tags` or a `difference`)",
            "2 approvals-key-unknown: an approval has no key `nmae` (did you mean `name`?)",
            "5 approvals-key-missing: an entry has no `owner` (say who answers for it; `owner` at the top of the file holds for all entries)",
            "7 approvals-value: `id` is neither a string nor a list of strings",
            "8 approvals-value: `class` cannot be `newer` (did you mean `new`?)",
            "9 approvals-value: `expires` is no day (write it as `2027-03-31`)",
            "9 approvals-everything: this approves whatever is found",
            "11 approvals-value: `kind` cannot be `aws-ebs` (did you mean `aws-ebs-snapshot`?)",
            "14 approvals-key-missing: a golden image has neither `id` nor `name`",
            "21 approvals-value: `is` cannot be `friend` (it is one of `own`, `known`)",
        ]
    );
    assert_eq!(problems("[[approved]\nid = ").len(), 2);
    let twice = "owner = \"o\"\n[[approved]]\nid = \"a\"\nexpires = 2027-01-01\n[[approved]]\nid = \"a\"\nexpires = 2027-01-01\n";
    assert_eq!(
        problems(twice),
        ["4 approvals-shadowed: the same is approved twice"]
    );
}

#[test]
fn accounts_that_are_known_make_sharing_a_change() {
    let share = |list: Value| json!({"CreateVolumePermissions": list, "SnapshotId": "snap-c"}).to_string();
    let before = [
        (EBS, snapshots(&[snapshot("snap-c")])),
        (EBS_SHARES, share(json!([]))),
    ];
    let after = [
        (EBS, snapshots(&[snapshot("snap-c")])),
        (
            EBS_SHARES,
            share(json!([{"UserId": "999999999999"}, {"UserId": "222222222222"}])),
        ),
    ];
    let text = "owner = \"o\"\n[[account]]\nid = \"2222*\"\nis = \"own\"\nexpires = 2027-01-01\n\
                [[account]]\nid = \"999999999999\"\ncloud = \"aws\"\nis = \"known\"\nexpires = 2026-11-30\n";
    let on = |day: Date| {
        let found = compare(&baseline(&before), &read(&after), &approvals(text).accounts(day));
        (told(&found), found.differences[0].severity())
    };
    let changed = "sharing - -> 222222222222, 999999999999";
    assert_eq!(
        on(TODAY),
        (
            vec![format!("changed snap-c (known): {changed}")],
            Severity::Medium
        )
    );
    // When its time is over nobody knows the account any more.
    assert_eq!(
        on(date(2026, 12, 1)),
        (
            vec![format!("copied-out snap-c (unknown): {changed}")],
            Severity::High
        )
    );
}

#[test]
fn images_are_held_against_the_golden_list() {
    let text = "owner = \"image team\"\n\
        [[golden]]\nname = \"web-ami-*\"\nimage_owner = \"111122223333\"\nsource = \"i-0a\"\ncontent = \"snap-b\"\nexpires = 2027-01-01\n\
        [[golden]]\nid = \"ami-old\"\nexpires = 2026-11-01\n";
    let list = images(&[
        image("ami-good"),
        with(
            image("ami-other"),
            json!({"BlockDeviceMappings": [{"Ebs": {"SnapshotId": "snap-evil", "VolumeSize": 8}}]}),
        ),
        with(
            image("ami-foreign"),
            json!({"OwnerId": "999999999999", "SourceInstanceId": "i-evil"}),
        ),
        with(image("ami-test"), json!({"Name": "scratch"})),
        with(image("ami-old"), json!({"Name": "old"})),
        with(image("ami-failed"), json!({"Name": "x", "State": "failed"})),
    ]);
    let found = approvals(text).golden(&read(&[(AMI, list)]).records, TODAY);
    let told: Vec<String> = found
        .iter()
        .map(|one| {
            format!(
                "{} {}: {}",
                one.class.name(),
                one.record.id,
                one.why.as_deref().unwrap_or("")
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "golden-altered ami-foreign: its owner is `999999999999` instead of `111122223333`, and its source is `i-evil` instead of `i-0a`",
            "not-golden ami-old: its approval by image team counted until 2026-11-01",
            "golden-altered ami-other: its content is `snap-evil` instead of `snap-b`",
            "not-golden ami-test: no entry of the list is about it",
        ]
    );
    assert_eq!(
        approvals("").golden(&read(&[(AMI, images(&[image("ami-good")]))]).records, TODAY),
        []
    );
    let azure_only = "[[golden]]\nname = \"x\"\nkind = \"azure-*\"\nowner = \"o\"\nexpires = 2027-01-01\n";
    assert_eq!(
        approvals(azure_only).golden(&read(&[(AMI, images(&[image("ami-good")]))]).records, TODAY),
        []
    );
}

fn cloudtrail(id: &str, time: &str, action: &str, original: Value) -> Value {
    json!({
        "@timestamp": time, "event": {"id": id, "action": action, "outcome": "success", "original": original.to_string()},
        "user": {"name": "eve"}, "source": {"ip": "203.0.113.9", "address": "203.0.113.9"}, "user_agent": {"original": "aws-cli/2"},
        "aws.cloudtrail.user_identity.arn": "arn:aws:iam::111122223333:user/eve",
    })
}

#[test]
fn events_tell_who_did_it_when_and_from_where() {
    let found = differences();
    let since = "2026-11-01T00:00:00Z".parse().unwrap();
    let mut actors = Actors::new(&found.differences, since).unwrap();
    for event in [
        cloudtrail(
            "1",
            "2026-11-02T00:00:00Z",
            "DescribeSnapshots",
            json!({"snapshotId": "snap-n"}),
        ),
        cloudtrail(
            "2",
            "2026-11-02T01:00:00Z",
            "CreateSnapshot",
            json!({"responseElements": {"snapshotId": "snap-n"}}),
        ),
        cloudtrail(
            "3",
            "2026-11-02T02:00:00Z",
            "CreateTags",
            json!({"resourcesSet": {"items": [{"resourceId": "snap-n"}]}}),
        ),
        cloudtrail(
            "4",
            "2026-10-02T02:00:00Z",
            "CreateSnapshot",
            json!({"snapshotId": "snap-n"}),
        ),
        cloudtrail(
            "5",
            "2026-11-02T02:00:00Z",
            "DeleteSnapshot",
            json!({"snapshotId": "snap-a1"}),
        ),
        cloudtrail(
            "6",
            "2026-11-02T02:00:00Z",
            "DeleteSnapshot",
            json!({"snapshotId": "SNAP-A"}),
        ),
        cloudtrail(
            "7",
            "2026-11-03T02:00:00Z",
            "ModifySnapshotAttribute",
            json!({"snapshotId": "snap-c"}),
        ),
        with(
            cloudtrail(
                "8",
                "2026-11-04T02:00:00Z",
                "DeleteSnapshot",
                json!({"snapshotId": "snap-a"}),
            ),
            json!({"event": {"outcome": "failure", "action": "DeleteSnapshot", "original": "snap-a"}}),
        ),
    ] {
        actors.event(event.as_object().unwrap());
    }
    let acts = actors.finish(found.differences.len());
    let ids: Vec<Vec<&str>> = acts
        .iter()
        .map(|acts| acts.iter().filter_map(|act| act.event.as_deref()).collect())
        .collect();
    assert_eq!(ids, [vec!["7"], vec!["3", "2"], vec![], vec![], vec!["6"]]);
    let act = &acts[0][0];
    assert_eq!(
        (
            act.who.as_deref(),
            act.from.as_deref(),
            act.identity.as_deref(),
            act.agent.as_deref()
        ),
        (
            Some("eve"),
            Some("203.0.113.9"),
            Some("arn:aws:iam::111122223333:user/eve"),
            Some("aws-cli/2")
        )
    );
    let found_at = "2026-11-22T00:00:00Z".parse().unwrap();
    let told = alert(&found.differences[0], &acts[0], &Standing::Open, found_at);
    assert_eq!(
        told.reason,
        "EBS snapshot snap-c (db) copied out in 111122223333/eu-west-1: sharing + 999999999999; ModifySnapshotAttribute by eve from \
         203.0.113.9 at 2026-11-03T02:00:00Z"
    );
    assert_eq!(
        (told.id.as_str(), told.severity, told.at.to_string().as_str()),
        (
            found.differences[0].id.as_str(),
            Severity::High,
            "2026-11-03T02:00:00Z"
        )
    );
    let document = Value::Object(told.document);
    for (path, expected) in [
        ("/event/kind", json!("alert")),
        ("/rule/id", json!("baseline-snapshot-copied-out")),
        ("/threat/technique/id", json!(["T1537", "T1578"])),
        ("/threat/technique/subtechnique/id", json!(["T1578.001"])),
        ("/threat/tactic/id", json!(["TA0010", "TA0005"])),
        ("/user/name", json!("eve")),
        ("/source/ip", json!("203.0.113.9")),
        ("/cloud/account/id", json!("111122223333")),
        ("/kibana.alert.severity", json!("high")),
        (
            "/kibana.alert.ancestors",
            json!([{"id": "7", "type": "event", "depth": 0}]),
        ),
        ("/neph/baseline/changes/0/after", json!("999999999999")),
        ("/neph/alert/id", json!(told.id)),
    ] {
        assert_eq!(document.pointer(path), Some(&expected), "{path}");
    }
}

#[test]
fn calls_that_name_what_they_make_by_its_name_alone_are_found() {
    let disk = |name: &str| {
        json!([{"kind": "compute#snapshot", "id": "1", "name": name, "creationTimestamp": "2026-11-02T00:00:00Z", "status": "READY",
            "selfLink": format!("https://www.googleapis.com/compute/v1/projects/prod-1/global/snapshots/{name}")}])
        .to_string()
    };
    let file = "gcp/prod-1/compute-snapshots-list.json";
    let found = compared(&[(file, "[]".to_owned())], &[(file, disk("steal"))]);
    let mut actors = Actors::new(&found.differences, "2026-11-01T00:00:00Z".parse().unwrap()).unwrap();
    for (id, original) in [
        (
            "1",
            json!({"resourceName": "projects/prod-1/zones/z/disks/db", "request": {"name": "steal"}}),
        ),
        (
            "2",
            json!({"resourceName": "projects/other/zones/z/disks/db", "request": {"name": "steal"}}),
        ),
        (
            "3",
            json!({"resourceName": "projects/prod-1/zones/z/disks/db", "request": {"name": "stealing"}}),
        ),
        (
            "4",
            json!({"resourceName": "projects/prod-1/global/snapshots/steal-2"}),
        ),
    ] {
        actors.event(
            cloudtrail(
                id,
                "2026-11-02T00:00:00Z",
                "v1.compute.disks.createSnapshot",
                original,
            )
            .as_object()
            .unwrap(),
        );
    }
    let ids: Vec<Option<String>> = actors
        .finish(1)
        .remove(0)
        .into_iter()
        .map(|act| act.event)
        .collect();
    assert_eq!(ids, [Some("1".to_owned())]);
}

#[test]
fn every_technique_and_component_is_one_of_attack() {
    for meaning in &MEANINGS {
        for id in meaning.techniques {
            let technique = attack().technique(id).unwrap_or_else(|| panic!("{id}"));
            assert_eq!(technique.state, State::Current, "{id}");
        }
        assert!(
            attack().component(meaning.component).is_some(),
            "{}",
            meaning.component
        );
    }
    let found = differences();
    let mut classes: Vec<Class> = found.differences.iter().map(|one| one.class).collect();
    classes.sort_unstable();
    for difference in &found.differences {
        let id = difference.meaning().id;
        assert!(id.ends_with(difference.class.name()), "{id}");
        assert!(
            id.contains(if difference.record.id.starts_with("ami") {
                "image"
            } else {
                "snapshot"
            }),
            "{id}"
        );
    }
}

#[test]
fn what_is_approved_is_written_behind_what_people_wrote() {
    let written = "# ours\nowner = \"team\"   # all of it\n\n[[approved]]\nid = \"a\" # why\nexpires = 2027-01-01\n\n[[account]]\nid = \"1\"\nis = \"own\"\nexpires = 2027-01-01\n";
    let new = NewApproval {
        patterns: vec![
            ("id", vec!["snap-\"n".to_owned()]),
            ("class", vec!["new".to_owned(), "gone".to_owned()]),
            ("name", Vec::new()),
        ],
        tags: vec![("team".to_owned(), "data".to_owned())],
        owner: None,
        note: Some("see\nticket".to_owned()),
        expires: Some(date(2027, 3, 31)),
    };
    let text = approve(written, Entry::Approved, &new).unwrap();
    assert!(text.starts_with(written), "{text}");
    let (read, diagnostics) = Approvals::read(&text, TODAY);
    assert_eq!(diagnostics, []);
    let entry = read.approved.last().unwrap();
    assert_eq!(
        (entry.ids.as_slice(), entry.classes.as_slice()),
        (&["snap-\"n".to_owned()][..], &[Class::New, Class::Gone][..])
    );
    assert_eq!(
        (
            entry.sign.owner.as_str(),
            entry.sign.note.as_deref(),
            entry.sign.expires
        ),
        ("team", Some("see\nticket"), date(2027, 3, 31))
    );
    assert_eq!(
        approve("", Entry::Golden, &new).unwrap().lines().next(),
        Some("[[golden]]")
    );
    assert!(approve("approved = 1", Entry::Approved, &new).is_err());
    assert!(approve("approved = ", Entry::Approved, &new).is_err());
}

#[test]
fn history_tells_what_was_found_first_and_when() {
    let root = tempfile::tempdir().unwrap();
    let found = differences();
    let taken = baseline(&[(EBS, snapshots(&[snapshot("snap-a")]))]);
    let first = taken.keep(root.path()).unwrap();
    let second = taken.keep(root.path()).unwrap();
    assert_ne!(first, second);
    for (day, count) in [("2026-11-10", 2), ("2026-11-20", 5)] {
        let at = format!("{day}T00:00:00Z").parse().unwrap();
        let differences = found.differences.iter().take(count).map(|one| (one, "open"));
        Kept::new(at, "test", taken.taken, 0, differences)
            .save(root.path())
            .unwrap();
    }
    std::fs::write(root.path().join("x.baseline.jsonl"), "{}").unwrap();
    std::fs::write(root.path().join("x.comparison.json"), "{\"neph_comparison\":7}").unwrap();
    std::fs::write(root.path().join("approvals.toml"), "").unwrap();
    let history = History::read(root.path()).unwrap();
    assert_eq!(
        (
            history.baselines.len(),
            history.comparisons.len(),
            history.refused.len()
        ),
        (2, 2, 2)
    );
    let seen = history.first_seen();
    let days: Vec<String> = found
        .differences
        .iter()
        .map(|one| seen[one.id.as_str()].to_string())
        .collect();
    assert_eq!(days.iter().filter(|day| day.starts_with("2026-11-10")).count(), 2);
    assert_eq!(days.len(), 5);
    assert!(
        History::read(&root.path().join("nothing"))
            .unwrap()
            .comparisons
            .is_empty()
    );
}

#[test]
fn a_review_tells_each_thing_once() {
    let golden =
        "owner = \"o\"\n[[golden]]\nname = \"web-ami-good*\"\nsource = \"i-0a\"\nexpires = 2027-01-01\n";
    let before = baseline(&[(AMI, images(&[image("ami-old")]))]);
    let after = [(
        AMI,
        images(&[
            image("ami-old"),
            image("ami-good1"),
            with(image("ami-good2"), json!({"SourceInstanceId": "i-9"})),
            image("ami-bad"),
        ]),
    )];
    let told: Vec<String> = review(&before, &read(&after), &approvals(golden), TODAY)
        .findings
        .iter()
        .map(|one| {
            format!(
                "{} {} {}",
                one.difference.class.name(),
                one.difference.record.id,
                one.standing.name()
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "golden-altered ami-good2 open",
            "not-golden ami-bad open",
            "not-golden ami-old open",
            "new ami-good1 approved"
        ]
    );
    let plain = review(&before, &read(&after), &Approvals::default(), TODAY);
    assert_eq!(plain.findings.len(), 3);
}

#[test]
fn the_disks_of_a_new_image_stand_as_it_does() {
    let before = baseline(&[(AMI, images(&[])), (EBS, snapshots(&[]))]);
    let disk = with(
        snapshot("snap-b"),
        json!({"Description": "Created by CreateImage(i-0a) for ami-n"}),
    );
    let after = [
        (AMI, images(&[image("ami-n")])),
        (EBS, snapshots(&[disk, snapshot("snap-z")])),
    ];
    let golden = approvals("owner = \"o\"\n[[golden]]\nid = \"ami-n\"\nexpires = 2027-01-01\n");
    let found = review(&before, &read(&after), &golden, TODAY);
    let told: Vec<String> = found
        .findings
        .iter()
        .map(|one| format!("{} {}", one.difference.record.id, one.standing.name()))
        .collect();
    assert_eq!(told, ["snap-b approved", "snap-z open", "ami-n approved"]);
    let differences: Vec<Difference> = found.findings.into_iter().map(|one| one.difference).collect();
    assert_eq!(
        differences[0].why.as_deref(),
        Some("it is a disk of the image ami-n")
    );
    let mut actors = Actors::new(&differences, "2026-11-01T00:00:00Z".parse().unwrap()).unwrap();
    let made = cloudtrail(
        "1",
        "2026-11-02T00:00:00Z",
        "CreateImage",
        json!({"responseElements": {"imageId": "ami-n"}}),
    );
    // A database snapshot of the same name is another thing.
    let other = cloudtrail(
        "2",
        "2026-11-02T00:00:00Z",
        "CreateDBSnapshot",
        json!({"dBSnapshotIdentifier": "db", "account": "111122223333"}),
    );
    for event in [made, other] {
        actors.event(event.as_object().unwrap());
    }
    let acts: Vec<usize> = actors.finish(3).iter().map(Vec::len).collect();
    assert_eq!(acts, [1, 0, 1]);
}
