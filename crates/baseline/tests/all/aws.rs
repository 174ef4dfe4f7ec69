//! What changes in an account of AWS, and what only looks so.

use crate::collected::{
    AMI, EBS, EBS_SHARES, baseline, compared, image, images, read, snapshot, snapshots, told, with,
};
use neph_baseline::{Accounts, Baseline, compare};
use serde_json::{Value, json};

fn permissions(of: &[(&str, Value)]) -> String {
    let answers = of.iter().map(|(id, list)| {
        format!(
            "{:#}\n",
            json!({"CreateVolumePermissions": list, "ProductCodes": [], "SnapshotId": id})
        )
    });
    answers.collect()
}

#[test]
fn each_class_of_difference_is_told() {
    let before = [
        (
            EBS,
            snapshots(&["snap-a", "snap-b", "snap-c", "snap-d", "snap-e"].map(snapshot)),
        ),
        (
            EBS_SHARES,
            permissions(&[
                ("snap-c", json!([])),
                ("snap-d", json!([{"UserId": "444455556666"}])),
            ]),
        ),
        (AMI, images(&[image("ami-a"), image("ami-b")])),
    ];
    let plain = with(
        snapshot("snap-b"),
        json!({"Encrypted": false, "KmsKeyId": null, "Tags": [{"Key": "team", "Value": "ops"}]}),
    );
    let new = with(snapshot("snap-new"), json!({"StartTime": "2026-11-02T00:00:00Z"}));
    let other = with(
        image("ami-b"),
        json!({"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": "snap-x",
        "VolumeSize": 9, "Encrypted": false}}]}),
    );
    let after = [
        (
            EBS,
            snapshots(&[
                plain,
                snapshot("snap-c"),
                snapshot("snap-d"),
                new,
                with(snapshot("snap-e"), json!({"VolumeSize": 9, "VolumeId": "vol-1"})),
            ]),
        ),
        (
            EBS_SHARES,
            permissions(&[
                ("snap-c", json!([{"Group": "all"}])),
                ("snap-d", json!([{"UserId": "999999999999"}])),
            ]),
        ),
        (
            AMI,
            images(&[with(image("ami-a"), json!({"Public": true})), other]),
        ),
    ];
    assert_eq!(
        told(&compared(&before, &after)),
        [
            "copied-out snap-c (public): sharing - -> everybody",
            "copied-out snap-d (unknown): sharing 444455556666 -> 999999999999",
            "copied-out ami-a (public): sharing - -> everybody",
            "new snap-new: ",
            "changed snap-b: encryption encrypted -> not encrypted; key arn:aws:kms:eu-west-1:111122223333:key/aaaa -> -; tags Name=db, team=data -> team=ops",
            "changed snap-e: source vol-0a0a -> vol-1; size 8 -> 9",
            "changed ami-b: content snap-b -> snap-x; size 8 -> 9",
            "gone snap-a: ",
        ]
    );
}

#[test]
fn what_nobody_did_raises_nothing() {
    let both: Vec<(Value, Value)> = [
        json!({"State": "completed", "Progress": "99%"}),
        json!({"StorageTier": "archive", "RestoreExpiryTime": "2026-11-02T00:00:00Z"}),
        json!({"CompletionTime": "2026-10-01T03:30:41.203000+00:00"}),
        json!({"StartTime": "2026-10-01T03:10:41Z"}),
        json!({"StartTime": "2026-10-01T05:10:41.5+02:00"}),
        json!({"StartTime": 1_790_824_241}),
        json!({"Tags": [{"Key": "team", "Value": "data"}, {"Key": "Name", "Value": "db"}]}),
        json!({"Tags": [{"Value": "data", "Key": "team"}, {"Key": "aws:backup:x", "Value": "y"}, {"Key": "Name", "Value": "db"}]}),
        json!({"Description": "This snapshot is created by the AWS Backup service."}),
        json!({"FullSnapshotSizeInBytes": 9_999_999}),
        json!({"SseType": "sse-kms", "FieldOfTomorrow": {"a": [1]}}),
        json!({"DataEncryptionKeyId": "x", "StateMessage": null, "OutpostArn": null}),
    ]
    .into_iter()
    .enumerate()
    .map(|(number, change)| {
        let item = snapshot(&format!("snap-{number:02}"));
        (item.clone(), with(item, change))
    })
    .collect();
    let pending = with(
        snapshot("snap-p"),
        json!({"State": "pending", "Progress": "", "Tags": null, "KmsKeyId": null, "VolumeSize": 0}),
    );
    let mut old: Vec<Value> = both.iter().map(|(old, _)| old.clone()).collect();
    let mut new: Vec<Value> = both.into_iter().map(|(_, new)| new).collect();
    old.push(pending);
    new.insert(3, snapshot("snap-p"));
    new.reverse();
    let cases: usize = old.len();
    let image_changes = [
        json!({"LastLaunchedTime": "2026-11-11T00:00:00Z", "DeprecationTime": "2028-09-01T10:00:00.000Z"}),
        json!({"FreeTierEligible": true, "ImageAllowed": true, "DeregistrationProtection": "disabled"}),
        json!({"Tags": []}),
        json!({"CreationDate": "2026-09-01T10:00:00Z"}),
    ];
    let old_images: Vec<Value> = (0..4).map(|number| image(&format!("ami-{number}"))).collect();
    let new_images: Vec<Value> = old_images
        .iter()
        .cloned()
        .zip(image_changes)
        .map(|(one, change)| with(one, change))
        .collect();
    // What one asks for again is told again.
    new.push(new[0].clone());
    let before = [(EBS, snapshots(&old)), (AMI, images(&old_images))];
    let after = [(EBS, snapshots(&new)), (AMI, images(&new_images))];
    let comparison = compared(&before, &after);
    assert_eq!(told(&comparison), Vec::<String>::new());
    assert_eq!(comparison.same, cases + 4);
    let problems = read(&after).problems;
    assert_eq!(problems, []);
}

#[test]
fn what_could_not_be_collected_is_unknown_and_not_gone() {
    let all = snapshots(&[snapshot("snap-a"), snapshot("snap-b")]);
    let before = [(EBS, all.clone()), (AMI, images(&[image("ami-a")]))];
    let cut = all[..all.len() - 20].to_owned();
    let paged = format!(
        "{:#}",
        json!({"Snapshots": [snapshot("snap-a")], "NextToken": "abc"})
    );
    let broken = format!(
        "{:#}",
        json!({"Snapshots": [snapshot("snap-a"), {"VolumeId": "vol-1"}]})
    );
    let elsewhere = "aws/111122223333/us-east-1/ec2-describe-snapshots.json";
    let images = (AMI, images(&[image("ami-a")]));
    for (after, unknown, what) in [
        (vec![images.clone()], 2, ""),
        (
            vec![(EBS, cut), images.clone()],
            2,
            "ends in the middle of an answer",
        ),
        (vec![(EBS, paged), images.clone()], 1, "is one page of several"),
        (
            vec![(EBS, broken), images.clone()],
            1,
            "1 item of `aws-ebs-snapshot` left out: it has no `SnapshotId`",
        ),
        (vec![(elsewhere, snapshots(&[])), images.clone()], 2, ""),
        (vec![(EBS, String::new()), images.clone()], 2, "is empty"),
        (
            vec![(EBS, "{}".to_owned()), images.clone()],
            2,
            "has no list of them, though it is named after `aws-ebs-snapshot`",
        ),
        (
            vec![(EBS, json!({"error": {"code": 403}}).to_string()), images.clone()],
            2,
            "has no list of them",
        ),
        (
            vec![
                (EBS, "An error occurred (RequestExpired)".to_owned()),
                images.clone(),
            ],
            2,
            "is not JSON",
        ),
    ] {
        let comparison = compared(&before, &after);
        assert_eq!(told(&comparison), Vec::<String>::new(), "{what}");
        let counted: usize = comparison.unknown.iter().map(|unseen| unseen.records).sum();
        assert_eq!(counted, unknown, "{what}");
        let problems = read(&after).problems;
        assert!(
            problems.iter().any(|problem| problem.what.contains(what)) || what.is_empty(),
            "{what}: {problems:?}"
        );
    }
    let empty = compared(&before, &[(EBS, snapshots(&[])), images]);
    assert_eq!(told(&empty), ["gone snap-a: ", "gone snap-b: "]);
}

#[test]
fn a_collector_that_failed_leaves_its_scope_unknown() {
    let before = [(EBS, snapshots(&[snapshot("snap-a")]))];
    let collection = |complete: bool| {
        json!({"version": 1, "by": "test", "began": "2026-11-02T00:00:00Z", "ended": "2026-11-02T00:00:00Z", "calls": [{
            "file": EBS, "cloud": "aws", "account": "111122223333", "region": "eu-west-1", "call": "ec2 describe-snapshots",
            "at": "2026-11-02T00:00:00Z", "complete": complete, "problem": (!complete).then_some("RequestLimitExceeded"),
        }]})
        .to_string()
    };
    let partial = [("collection.json", collection(false)), (EBS, snapshots(&[]))];
    assert_eq!(told(&compared(&before, &partial)), Vec::<String>::new());
    assert!(read(&partial).problems[0].what.contains("RequestLimitExceeded"));
    let absent = [("collection.json", collection(false))];
    assert_eq!(compared(&before, &absent).unknown[0].records, 1);
    let whole = [("collection.json", collection(true)), (EBS, snapshots(&[]))];
    assert_eq!(told(&compared(&before, &whole)), ["gone snap-a: "]);
}

#[test]
fn copies_to_other_regions_and_accounts_are_copied_out_also_where_nobody_looked_before() {
    let before = [
        (EBS, snapshots(&[snapshot("snap-a")])),
        (AMI, images(&[image("ami-a")])),
    ];
    let there = "aws/111122223333/us-east-1/ec2-describe-snapshots.json";
    let images_there = "aws/111122223333/us-east-1/ec2-describe-images.json";
    let other_account = "aws/444455556666/eu-west-1/ec2-describe-snapshots.json";
    let copy = |id: &str, owner: &str| {
        with(
            snapshot(id),
            json!({"Description": "[Copied snap-a from eu-west-1] nightly", "VolumeId": "vol-ffffffff", "OwnerId": owner}),
        )
    };
    let copied_image = with(
        image("ami-z"),
        json!({"SourceImageId": "ami-a", "SourceImageRegion": "eu-west-1"}),
    );
    let after = [
        before[0].clone(),
        before[1].clone(),
        (
            there,
            snapshots(&[copy("snap-x", "111122223333"), snapshot("snap-old")]),
        ),
        (images_there, images(&[copied_image])),
        (other_account, snapshots(&[copy("snap-y", "444455556666")])),
    ];
    let comparison = compared(&before, &after);
    assert_eq!(
        told(&comparison),
        [
            "copied-out snap-x (own): ",
            "copied-out snap-y (own): ",
            "copied-out ami-z (own): "
        ]
    );
    assert_eq!(
        comparison.differences[0].why.as_deref(),
        Some("it is a copy of snap-a of 111122223333 in eu-west-1")
    );
    // Where nobody looked before, what was there before is not new.
    let counted: usize = comparison.not_compared.iter().map(|unseen| unseen.records).sum();
    assert_eq!(counted, 1);
}

#[test]
fn files_in_wrong_places_are_told() {
    let rds = |region: &str| {
        json!({"DBSnapshots": [{"DBSnapshotIdentifier": "s1", "DBInstanceIdentifier": "db", "Status": "available", "Encrypted": true,
            "SnapshotCreateTime": "2026-10-01T00:00:00Z", "DBSnapshotArn": format!("arn:aws:rds:{region}:111122223333:snapshot:s1")}]})
        .to_string()
    };
    let file = "aws/111122223333/eu-west-1/rds-describe-db-snapshots.json";
    let wrong = read(&[(file, rds("us-east-1"))]);
    assert_eq!(wrong.records.len(), 0);
    assert_eq!(
        wrong.problems[0].what,
        "1 item of `aws-rds-snapshot` left out: it is of `us-east-1`, and the file of `eu-west-1`"
    );
    let twice = [
        (EBS, snapshots(&[snapshot("snap-a")])),
        (
            "aws/111122223333/us-east-1/x.json",
            snapshots(&[snapshot("snap-a")]),
        ),
    ];
    assert!(
        read(&twice).problems[0]
            .what
            .contains("is in lists of two regions, `eu-west-1` and `us-east-1`")
    );
    let differs = snapshots(&[
        snapshot("snap-a"),
        with(snapshot("snap-a"), json!({"VolumeSize": 9})),
    ]);
    assert!(
        read(&[(EBS, differs)]).problems[0]
            .what
            .contains("is told twice, and differently")
    );
}

#[test]
fn a_baseline_that_was_changed_is_refused() {
    let taken = baseline(&[(EBS, snapshots(&[snapshot("snap-a"), snapshot("snap-b")]))]);
    let mut bytes = Vec::new();
    taken.write(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4);
    let refused = |text: String| Baseline::read(text.as_bytes()).unwrap_err().to_string();
    assert!(refused(text.replace("data", "ops!")).contains("its checksum does not fit"));
    assert!(refused(text.replace("\"neph_baseline\":1", "\"neph_baseline\":2")).contains("of the form 2"));
    assert!(refused(format!("{}\n{}\n{}\n", lines[0], lines[1], lines[3])).contains("checksum"));
    assert!(
        refused(format!("{}\n{}\n{}\n", lines[0], lines[2], lines[1]))
            .contains("damaged at line 3: it is not in its order")
    );
    assert!(refused(text[..text.len() - 5].to_owned()).contains("ends before it is whole"));
    assert!(refused(format!("{}\n", lines[0])).contains("ends before it is whole"));
    assert!(refused(format!("{text}{text}")).contains("something follows"));
    assert!(refused(text.replace("\"size\":8", "\"sizes\":8")).contains("damaged at line 2: unknown field"));
    assert!(refused(String::new()).contains("is no baseline"));
    assert!(refused("[]".to_owned()).contains("ends before"));
}

#[test]
fn ids_of_differences_stay_and_differ() {
    let before = [(EBS, snapshots(&[snapshot("snap-a"), snapshot("snap-b")]))];
    let after = [(EBS, snapshots(&[]))];
    let (one, other) = (compared(&before, &after), compared(&before, &after));
    assert_eq!(one, other);
    let ids: std::collections::BTreeSet<&str> = one.differences.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids.len(), 2);
    assert!(ids.iter().all(|id| id.len() == 32));
}

#[test]
fn without_folders_the_answers_tell_the_account() {
    let before = [(
        "before.json",
        snapshots(&[snapshot("snap-a"), snapshot("snap-b")]),
    )];
    let after = [("after.json", snapshots(&[snapshot("snap-a")]))];
    assert_eq!(told(&compared(&before, &after)), ["gone snap-b: "]);
    assert_eq!(
        told(&compared(&before, &[("after.json", snapshots(&[]))])).len(),
        2
    );
    let accounts = Accounts::default();
    assert_eq!(compare(&baseline(&before), &read(&before), &accounts).same, 2);
}

#[test]
fn wherever_an_answer_is_cut_nothing_is_gone_and_nothing_panics() {
    let all = snapshots(&[snapshot("snap-a"), snapshot("snap-b"), snapshot("snap-c")]);
    let before = baseline(&[(EBS, all.clone())]);
    for cut in (0..all.len()).step_by(7) {
        let found = compare(
            &before,
            &read(&[(EBS, all[..cut].to_owned())]),
            &Accounts::default(),
        );
        assert_eq!((told(&found), found.unknown.len()), (Vec::new(), 1), "{cut}");
    }
    // Bytes that are something else: whatever is read, a list that is broken is not taken for whole.
    for at in (0..all.len()).step_by(11) {
        let mut text = all.clone();
        text.replace_range(at..=at, "}");
        let collected = read(&[(EBS, text)]);
        let found = compare(&before, &collected, &Accounts::default());
        let gone = found
            .differences
            .iter()
            .any(|one| one.class == neph_baseline::Class::Gone);
        assert!(
            !gone || collected.records.len() + collected.offered == 3,
            "{at}: {:?}",
            told(&found)
        );
    }
}

#[test]
fn whatever_is_read_differs_from_itself_in_nothing() {
    let texts = [
        snapshots(&[snapshot("snap-a"), with(snapshot("snap-b"), json!({"Description": "[Copied snap-a from us-east-1] x"}))]),
        images(&[image("ami-a"), image("ami-b")]),
        permissions(&[("snap-a", json!([{"UserId": "999999999999"}])), ("snap-b", json!([{"Group": "all"}]))]),
        json!([{"id": "/subscriptions/S/resourceGroups/G/providers/Microsoft.Compute/snapshots/x", "name": "x", "properties": {"diskSizeGB": 3}},
            {"kind": "compute#image", "selfLink": "https://x/projects/p/global/images/i", "id": 5, "labels": {"a": 1}},
            {"ID": "1", "Size": 1, "Description": null, "Volume": "v", "Status": "x"}])
        .to_string(),
    ];
    // A generator of our own, so that the run is the same each time.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        "\"",
        ",",
        ":",
        "null",
        "0",
        "-1e999",
        "\\u0000",
        "\u{202e}",
        "true",
        "/",
        "arn:aws:rds:::x",
        " ",
    ];
    for round in 0..400 {
        let mut text = texts[round % texts.len()].clone();
        for _ in 0..=random(4) {
            let from = text.floor_char_boundary(random(text.len()));
            let to = text
                .floor_char_boundary((from + random(6)).min(text.len()))
                .max(from);
            text.replace_range(from..to, pieces[random(pieces.len())]);
        }
        let files = [(EBS, text.clone()), ("loose.json", text)];
        let taken = baseline(&files);
        let found = compare(&taken, &read(&files), &Accounts::default());
        assert_eq!(told(&found), Vec::<String>::new(), "{}", files[0].1);
    }
}
