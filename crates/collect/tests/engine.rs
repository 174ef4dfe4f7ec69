//! A collector against a server that throttles, fails, and answers with hostile names: what is written, what is told, what is asked again.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use neph_collect::import::{self, import};
use neph_collect::{CollectError, Output, OutputError, Settings, docker};
use neph_inventory::{Call, Collection, Folder, Limits};

type Answers = dyn Fn(&str, u32) -> (u16, String) + Send + Sync;

/// Answers by path and by how often it was asked before.
struct Engine {
    address: String,
    asked: Arc<Mutex<BTreeMap<String, u32>>>,
    told: Mutex<BTreeMap<String, u32>>,
}

impl Engine {
    fn start(answers: impl Fn(&str, u32) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
        let (answers, counts): (Arc<Answers>, _) = (Arc::new(answers), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, counts) = (Arc::clone(&answers), Arc::clone(&counts));
                std::thread::spawn(move || serve(&stream, &*answers, &counts));
            }
        });
        Self {
            address,
            asked,
            told: Mutex::default(),
        }
    }

    fn options(&self) -> docker::Options {
        docker::Options {
            host: format!("tcp://{}", self.address),
            certificates: None,
            name: None,
        }
    }

    /// How often each path was asked for since this was last called.
    fn asked(&self) -> BTreeMap<String, u32> {
        let now = self.asked.lock().unwrap().clone();
        let before = std::mem::replace(&mut *self.told.lock().unwrap(), now.clone());
        let since = now
            .into_iter()
            .map(|(path, count)| (path.clone(), count - before.get(&path).copied().unwrap_or(0)));
        since.filter(|(_, count)| *count > 0).collect()
    }
}

fn serve(stream: &TcpStream, answers: &Answers, counts: &Mutex<BTreeMap<String, u32>>) {
    let mut lines = BufReader::new(stream).lines();
    while let Some(Ok(first)) = lines.next() {
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        for line in lines.by_ref() {
            if line.unwrap_or_default().is_empty() {
                break;
            }
        }
        let before = {
            let mut counts = counts.lock().unwrap();
            let count = counts.entry(path.clone()).or_default();
            *count += 1;
            *count - 1
        };
        let (status, body) = answers(&path, before);
        let mut to = stream;
        // The client may have gone.
        let _ = write!(
            to,
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
    }
}

fn settings() -> Settings {
    Settings {
        jobs: 4,
        tries: 3,
        timeout: Duration::from_secs(10),
        ..Settings::default()
    }
}

/// An engine with two images and a container, named as no file may be.
fn usual(path: &str) -> (u16, String) {
    let body = match path {
        "/info" => r#"{"Name":"../../etc","ServerVersion":"27.1"}"#,
        "/version" => r#"{"ApiVersion":"1.46"}"#,
        "/networks" => "[]",
        "/volumes" => r#"{"Volumes":null}"#,
        "/images/json?all=1" => r#"[{"Id":"sha256:aa"},{"Id":"sha256:../bb"}]"#,
        "/containers/json?all=1" => r#"[{"Id":"c1"}]"#,
        "/containers/c1/json" => r#"{"Id":"c1","Name":"/web"}"#,
        "/containers/c1/changes" => "null",
        path if path.ends_with("/history") => r#"[{"CreatedBy":"COPY"}]"#,
        "/images/sha256%3Aaa/json" => r#"{"Id":"sha256:aa","RootFS":{}}"#,
        "/images/sha256%3A..%2Fbb/json" => r#"{"Id":"sha256:../bb","RootFS":{}}"#,
        _ => return (404, r#"{"message":"no such thing"}"#.to_owned()),
    };
    (200, body.to_owned())
}

fn rows(root: &Path) -> BTreeMap<String, Call> {
    let bytes = std::fs::read(root.join("collection.json")).unwrap();
    let collection = Collection::read(&bytes).unwrap();
    collection
        .calls
        .into_iter()
        .map(|call| (call.call.clone(), call))
        .collect()
}

fn files_below(root: &Path) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => open.push(entry.path()),
                false => found.push(entry.path().strip_prefix(root).unwrap().display().to_string()),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn throttled_and_failed_requests_are_sent_again_and_nothing_leaves_the_folder() {
    let engine = Engine::start(|path, before| match (path, before) {
        ("/images/json?all=1", 0) => (429, r#"{"message":"slow down"}"#.to_owned()),
        ("/images/json?all=1", 1) => (503, "<html>".to_owned()),
        _ => usual(path),
    });
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("collected");
    let output = Output::open(&root).unwrap();
    let report = docker::collect(&engine.options(), &output, &settings(), &()).unwrap();
    drop(output);
    assert_eq!(engine.asked()["/images/json?all=1"], 3);
    assert_eq!(report.problems, []);
    let total = report.total();
    assert_eq!((total.complete, total.partial, total.failed), (11, 0, 0));
    // Neither the host nor the image leads elsewhere.
    assert_eq!(
        files_below(place.path())
            .iter()
            .filter(|file| !file.starts_with("collected/"))
            .count(),
        0
    );
    let folder = Folder::open(&[root], &Limits::default());
    assert_eq!(folder.refused(), []);
    assert_eq!(folder.failed(), []);
    assert!(
        folder
            .files()
            .iter()
            .all(|file| file.name.starts_with("docker/_.._.._etc-")),
        "{:?}",
        folder.files()
    );
    assert!(
        folder
            .files()
            .iter()
            .any(|file| file.name.ends_with("container-c1-diff.json"))
    );
}

#[test]
fn what_fails_is_told_and_asked_again_and_what_is_complete_is_not() {
    let engine = Engine::start(|path, before| match path {
        "/networks" => (403, r#"{"message":"plugin says no\u001b[31m"}"#.to_owned()),
        "/images/sha256%3Aaa/json" if before < 3 => (500, "{}".to_owned()),
        path => usual(path),
    });
    let root = tempfile::tempdir().unwrap();
    let output = Output::open(root.path()).unwrap();
    let report = docker::collect(&engine.options(), &output, &settings(), &()).unwrap();
    let total = report.total();
    assert_eq!((total.complete, total.partial, total.failed), (9, 1, 1));
    let found = rows(root.path());
    assert_eq!(
        found["docker network inspect"].problem.as_deref(),
        Some("access denied: status 403: plugin says no [31m")
    );
    let partial = &found["docker image inspect"];
    assert!(!partial.complete && partial.items == 1, "{partial:?}");
    assert!(
        root.path().join(&partial.file).exists()
            && !root.path().join(&found["docker network inspect"].file).exists()
    );
    engine.asked();

    // Going on: only what was not complete.
    let mut later = settings();
    let report = docker::collect(&engine.options(), &output, &later, &()).unwrap();
    let total = report.total();
    assert_eq!(
        (report.kept, total.complete, total.partial, total.failed),
        (9, 1, 0, 1)
    );
    let asked = engine.asked();
    assert!(
        !asked
            .keys()
            .any(|path| path.ends_with("/history") || path == "/version"),
        "{asked:?}"
    );

    // From the start: what is not there any more has no file any more.
    later.refresh = true;
    let stale = root.path().join(&found["docker diff c1"].file);
    assert!(stale.exists());
    let engine = Engine::start(|path, _| match path {
        "/containers/json?all=1" => (200, "[]".to_owned()),
        path => usual(path),
    });
    let report = docker::collect(&engine.options(), &output, &later, &()).unwrap();
    assert_eq!(report.kept, 0);
    assert!(!stale.exists() && !rows(root.path()).contains_key("docker diff c1"));
}

#[test]
fn calls_can_be_left_out() {
    let engine = Engine::start(|path, _| usual(path));
    let root = tempfile::tempdir().unwrap();
    let output = Output::open(root.path()).unwrap();
    let mut settings = settings();
    settings.skip = vec!["docker history".to_owned(), "docker ps".to_owned()];
    docker::collect(&engine.options(), &output, &settings, &()).unwrap();
    let asked = engine.asked();
    assert!(
        !asked
            .keys()
            .any(|path| path.ends_with("/history") || path.starts_with("/containers")),
        "{asked:?}"
    );
}

#[test]
fn folders_that_cannot_be_filled_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let first = Output::open(root.path()).unwrap();
    assert!(matches!(Output::open(root.path()), Err(OutputError::Busy(_))));
    drop(first);
    std::fs::write(root.path().join("collection.json"), r#"{"version":7}"#).unwrap();
    assert!(matches!(
        Output::open(root.path()),
        Err(OutputError::Collection { .. })
    ));
    std::fs::write(root.path().join("collection.json"), "{").unwrap();
    assert!(matches!(
        Output::open(root.path()),
        Err(OutputError::Collection { .. })
    ));
}

#[cfg(unix)]
#[test]
fn links_within_the_folder_lead_nowhere() {
    let engine = Engine::start(|path, _| usual(path));
    let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::os::unix::fs::symlink(elsewhere.path(), root.path().join("docker")).unwrap();
    let output = Output::open(root.path()).unwrap();
    let found = docker::collect(&engine.options(), &output, &settings(), &());
    assert!(
        matches!(found, Err(CollectError::Output(OutputError::NoFolder(_)))),
        "{found:?}"
    );
    assert_eq!(files_below(elsewhere.path()), Vec::<String>::new());
}

#[test]
fn an_engine_that_is_not_there_is_told() {
    let root = tempfile::tempdir().unwrap();
    let output = Output::open(root.path()).unwrap();
    let options = |host: &str| docker::Options {
        host: host.to_owned(),
        certificates: None,
        name: None,
    };
    let mut settings = settings();
    settings.tries = 1;
    let error = docker::collect(&options("tcp://127.0.0.1:9"), &output, &settings, &()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("docker info at `tcp://127.0.0.1:9`: no answer after 1 tries:"),
        "{error}"
    );
    for host in ["", "npipe:////./pipe/docker", "tcp://"] {
        assert!(
            matches!(
                docker::collect(&options(host), &output, &settings, &()),
                Err(CollectError::Setup(_))
            ),
            "{host}"
        );
    }
}

#[test]
fn what_tools_printed_is_put_where_a_collector_would() {
    let from = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(from.path().join(name), text).unwrap();
    write(
        "page1.json",
        r#"{"Snapshots":[{"SnapshotId":"snap-1","OwnerId":"111122223333"}],"NextToken":"t"}"#,
    );
    write(
        "page2.json",
        r#"{"Snapshots":[{"SnapshotId":"snap-2","OwnerId":"111122223333"},{"SnapshotId":"snap-1","OwnerId":"111122223333"}]}"#,
    );
    write(
        "attributes.json",
        "{\"SnapshotId\":\"snap-1\",\"CreateVolumePermissions\":[]}\n{\"SnapshotId\":\"../snap\",\"CreateVolumePermissions\":[]}\n",
    );
    write(
        "marked.json",
        "\u{feff}{\"Images\":[{\"ImageId\":\"ami-1\",\"OwnerId\":\"111122223333\"}],\"NextToken\":\"more\"}",
    );
    write("nonsense.json", r#"{"some":"thing"}"#);
    write("broken.json", r#"{"Snapshots":["#);
    write(
        "bindings.json",
        r#"[{"Role":"admin","User":"a","Group":"","Project":"p","Domain":"","System":"","Inherited":false}]"#,
    );
    let root = tempfile::tempdir().unwrap();
    let output = Output::open(root.path()).unwrap();
    let options = import::Options {
        paths: vec![from.path().to_owned()],
        account: None,
        region: Some("eu-west-1".to_owned()),
    };
    let (report, left_out) = import(&options, &output, &()).unwrap();
    let why: BTreeMap<String, String> = left_out
        .iter()
        .map(|one| {
            (
                one.path.file_name().unwrap().to_string_lossy().into_owned(),
                one.why.clone(),
            )
        })
        .collect();
    // Nobody says whose the attributes and the roles are.
    assert_eq!(
        why.keys().collect::<Vec<_>>(),
        ["attributes.json", "bindings.json", "broken.json", "nonsense.json"]
    );
    assert!(why["attributes.json"].contains("`--account`"), "{why:?}");
    let found = rows(root.path());
    let snapshots = &found["ec2 describe-snapshots"];
    assert_eq!(
        (snapshots.file.as_str(), snapshots.items, snapshots.complete),
        ("aws/111122223333/eu-west-1/ec2-describe-snapshots.json", 2, true)
    );
    let images = &found["ec2 describe-images"];
    assert!(
        !images.complete && images.problem.as_deref().unwrap().contains("`NextToken`"),
        "{images:?}"
    );
    assert_eq!(report.total().partial, 1);

    let options = import::Options {
        account: Some("444455556666".to_owned()),
        ..options
    };
    let (_, left_out) = import(&options, &output, &()).unwrap();
    assert_eq!(left_out.len(), 2);
    let own: Vec<String> = files_below(root.path())
        .into_iter()
        .filter(|file| file.contains("describe-snapshot-attribute"))
        .collect();
    assert_eq!(own.len(), 2);
    assert!(
        own.iter()
            .all(|file| file.starts_with("aws/444455556666/eu-west-1/ec2-describe-snapshot-attribute/")),
        "{own:?}"
    );
}
