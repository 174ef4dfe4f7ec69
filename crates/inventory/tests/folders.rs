//! What is found in folders, what is refused, and whose files are.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use neph_inventory::{Call, Cloud, Collection, CollectionError, Folder, Limits, Refusal, Scope};

fn write(root: &Path, name: &str, text: &str) -> PathBuf {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

fn call(file: &str, complete: bool) -> Call {
    Call {
        file: file.to_owned(),
        cloud: Cloud::Aws,
        account: Some("111122223333".to_owned()),
        region: Some("eu-west-1".to_owned()),
        call: "ec2 describe-snapshots".to_owned(),
        items: 0,
        at: "2026-11-22T08:00:00Z".parse().unwrap(),
        complete,
        problem: (!complete).then(|| "throttled".to_owned()),
    }
}

fn collection(calls: Vec<Call>) -> Collection {
    let mut collection = Collection::new("neph 0.1.0", "2026-11-22T08:00:00Z".parse().unwrap());
    collection.calls = calls;
    collection
}

#[test]
fn files_come_in_the_order_of_their_names_with_their_scopes() {
    let root = tempfile::tempdir().unwrap();
    write(
        root.path(),
        "aws/111122223333/eu-west-1/ec2-describe-snapshots.json",
        "{}",
    );
    write(root.path(), "azure/5a5a/snapshot-list.json", "[]");
    write(root.path(), "mine/444455556666/us-gov-east-1/x.json", "{}");
    write(root.path(), "shop/aws/prod/x.json", "{}");
    write(root.path(), "snapshots.json", "{}");
    write(root.path(), ".git/config", "");
    let twice = [
        root.path().to_owned(),
        root.path().join("mine"),
        root.path().to_owned(),
    ];
    let folder = Folder::open(&twice, &Limits::default());
    let told: Vec<(String, String)> = folder
        .files()
        .iter()
        .map(|file| (file.name.clone(), file.scope.to_string()))
        .collect();
    let expected = [
        (
            "aws/111122223333/eu-west-1/ec2-describe-snapshots.json",
            "aws/111122223333/eu-west-1",
        ),
        ("azure/5a5a/snapshot-list.json", "azure/5a5a"),
        (
            "mine/444455556666/us-gov-east-1/x.json",
            "aws/444455556666/us-gov-east-1",
        ),
        ("shop/aws/prod/x.json", "?"),
        ("snapshots.json", "?"),
    ];
    assert_eq!(
        told,
        expected.map(|(name, scope)| (name.to_owned(), scope.to_owned()))
    );
    assert!(folder.refused().is_empty());
}

#[test]
fn what_a_collector_says_goes_before_the_place() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "aws/999999999999/eu-west-1/a.json", "{}");
    let mut said = collection(vec![
        call("aws/999999999999/eu-west-1/a.json", true),
        call("aws/b.json", false),
    ]);
    said.calls[0].region = None;
    said.write(root.path()).unwrap();
    let folder = Folder::open(&[root.path().to_owned()], &Limits::default());
    let [file] = folder.files() else {
        panic!("one file")
    };
    assert_eq!(file.scope.to_string(), "aws/111122223333/eu-west-1");
    assert!(file.is_complete());
    let [failed] = folder.failed() else {
        panic!("one call without a file")
    };
    assert_eq!(failed.problem.as_deref(), Some("throttled"));
    let (_, read) = folder.collections().next().unwrap();
    assert_eq!(*read, said);
}

#[test]
fn a_collection_that_names_files_elsewhere_is_refused() {
    for (text, expected) in [
        (
            r#"{"version":2,"calls":"x"}"#.to_owned(),
            CollectionError::Version { found: 2 },
        ),
        (
            serde_json::to_string(&collection(vec![call("../../etc/passwd", true)])).unwrap(),
            CollectionError::Outside("../../etc/passwd".to_owned()),
        ),
        (
            serde_json::to_string(&collection(vec![call("/etc/passwd", true)])).unwrap(),
            CollectionError::Outside("/etc/passwd".to_owned()),
        ),
        (
            serde_json::to_string(&collection(vec![call("a", true), call("a", true)])).unwrap(),
            CollectionError::Twice("a".to_owned()),
        ),
    ] {
        assert_eq!(Collection::read(text.as_bytes()), Err(expected.clone()));
        let root = tempfile::tempdir().unwrap();
        let path = write(root.path(), "collection.json", &text);
        let folder = Folder::open(&[root.path().to_owned()], &Limits::default());
        let [refused] = folder.refused() else {
            panic!("one is refused")
        };
        assert_eq!(
            (&refused.path, &refused.why),
            (&path, &Refusal::Collection(expected))
        );
    }
    assert!(matches!(
        Collection::read(b"{\"version\":1"),
        Err(CollectionError::Form(_))
    ));
}

#[cfg(unix)]
#[test]
fn links_and_what_is_too_much_are_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let secret = write(outside.path(), "secret.json", "{}");
    write(root.path(), "large.json", &"x".repeat(11));
    write(root.path(), "one/two/three/deep.json", "{}");
    write(root.path(), "small.json", "{}");
    std::os::unix::fs::symlink(&secret, root.path().join("link.json")).unwrap();
    std::os::unix::fs::symlink(outside.path(), root.path().join("folder")).unwrap();
    let limits = Limits {
        file_bytes: 10,
        files: 10,
        depth: 2,
    };
    let folder = Folder::open(&[root.path().to_owned()], &limits);
    let names: Vec<&str> = folder.files().iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["small.json"]);
    let refused: Vec<(String, Refusal)> = folder
        .refused()
        .iter()
        .map(|one| {
            (
                one.path.strip_prefix(root.path()).unwrap().display().to_string(),
                one.why.clone(),
            )
        })
        .collect();
    assert_eq!(
        refused,
        [
            ("folder".to_owned(), Refusal::Link),
            ("large.json".to_owned(), Refusal::TooLarge { limit: 10 }),
            ("link.json".to_owned(), Refusal::Link),
            ("one/two/three".to_owned(), Refusal::TooDeep { limit: 2 }),
        ]
    );
    let few = Folder::open(&[root.path().to_owned()], &Limits { files: 0, ..limits });
    assert!(
        few.refused()
            .iter()
            .any(|one| one.why == Refusal::TooMany { limit: 0 })
    );
    let missing = Folder::open(&[root.path().join("nothing")], &limits);
    assert!(matches!(missing.refused(), [refused] if matches!(refused.why, Refusal::Unreadable(_))));
}

#[test]
fn a_file_named_by_itself_has_the_scope_of_its_place() {
    let root = tempfile::tempdir().unwrap();
    let path = write(
        root.path(),
        "openstack/prod/RegionOne/volume-snapshot-list.json",
        "[]",
    );
    let folder = Folder::open(&[path], &Limits::default());
    let expected = Scope {
        cloud: Some(Cloud::Openstack),
        account: Some("prod".to_owned()),
        region: Some("RegionOne".to_owned()),
    };
    assert_eq!(folder.files()[0].scope, expected);
    assert_eq!(folder.files()[0].name, "volume-snapshot-list.json");
}
