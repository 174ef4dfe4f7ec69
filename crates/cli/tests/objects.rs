//! Objects of cloud storage as inputs of the binary, from a server on this machine that speaks as the stores do.

#![expect(
    clippy::expect_used,
    reason = "clippy exempts test functions, but not the functions that they share"
)]

use std::path::Path;
use std::process::{Command, Output};

fn neph(folder: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neph"));
    let inherited = std::env::vars_os().map(|(name, _)| name);
    for name in inherited.filter(|name| {
        let name = name.to_string_lossy().to_lowercase();
        ["aws_", "google_", "azure_"]
            .iter()
            .any(|cloud| name.starts_with(cloud))
            || name.ends_with("_proxy")
    }) {
        command.env_remove(name);
    }
    command
        .current_dir(folder)
        .envs(environment.iter().copied())
        .args(arguments)
        .output()
        .expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(not(feature = "object-store"))]
#[test]
fn a_build_without_object_stores_says_so() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("a.ndjson"),
        "{\"@timestamp\":\"2026-01-01T00:00:00Z\"}\n",
    )
    .unwrap();
    let output = neph(
        folder.path(),
        &[],
        &[
            "query",
            "--format",
            "ndjson",
            "any where true",
            "s3://bucket/logs/",
            "a.ndjson",
        ],
    );
    let told = text(&output.stderr);
    assert!(
        told.contains("s3://bucket/logs/: object stores are not read by this build"),
        "{told}"
    );
    assert_eq!(
        text(&output.stdout).lines().count(),
        1,
        "the file is read all the same"
    );
}

#[cfg(not(feature = "object-store"))]
#[test]
fn a_service_without_object_stores_refuses_a_configuration_with_them() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("neph.toml"),
        "[[objects]]\nurl = \"s3://trails/AWSLogs/\"\n",
    )
    .unwrap();
    for arguments in [&["config", "check"][..], &["serve", "--data", "data"]] {
        let output = neph(folder.path(), &[], arguments);
        assert_ne!(output.status.code(), Some(0));
        let told = text(&output.stderr) + &text(&output.stdout);
        assert!(
            told.contains("this `neph` is built without object storage") && told.contains("neph.toml:2"),
            "{told}"
        );
    }
    assert!(!folder.path().join("data").exists());
}

#[cfg(feature = "object-store")]
mod stores {
    use std::collections::BTreeMap;
    use std::fmt::Write as _;
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::sync::{Arc, Mutex, PoisonError};
    use std::time::{Duration, Instant};

    use flate2::Compression;
    use flate2::read::GzEncoder;
    use serde_json::{Value, json};

    use super::{neph, text};

    /// How an object behaves that is not as it should be.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Fault {
        /// It is listed, but gone.
        Gone,
        /// So many requests for it fail.
        Fails(usize),
        /// Each request finds another version of it.
        Changes,
    }

    #[derive(Debug, Default)]
    struct Held {
        objects: BTreeMap<String, Vec<u8>>,
        faults: BTreeMap<String, Fault>,
        /// Requests, as `GET /path?query`, and the range they ask for.
        requests: Vec<(String, String)>,
    }

    /// A store of one bucket, `trails`, whose listings have two objects a page. It speaks enough of the protocols of S3 and
    /// Google Cloud Storage (`/bucket/key`, `list-type=2`) and of Azure (`comp=list`).
    struct Store {
        held: Arc<Mutex<Held>>,
        address: String,
    }

    impl Store {
        fn new(objects: &[(&str, &[u8])], faults: &[(&str, Fault)]) -> Self {
            let own = |(name, bytes): &(&str, &[u8])| ((*name).to_owned(), bytes.to_vec());
            let held = Arc::new(Mutex::new(Held {
                objects: objects.iter().map(own).collect(),
                faults: faults
                    .iter()
                    .map(|(name, fault)| ((*name).to_owned(), *fault))
                    .collect(),
                requests: Vec::new(),
            }));
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
            let address = format!("http://{}", listener.local_addr().expect("it has an address"));
            let shared = Arc::clone(&held);
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let held = Arc::clone(&shared);
                    // An error is a client that has gone.
                    std::thread::spawn(move || serve(&stream, &held));
                }
            });
            Self { held, address }
        }

        fn requests(&self) -> Vec<(String, String)> {
            let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.requests.clone()
        }

        fn put(&self, name: &str, bytes: &[u8]) {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.objects.insert(name.to_owned(), bytes.to_vec());
        }

        fn s3(&self) -> Vec<(&str, &str)> {
            vec![
                ("AWS_ENDPOINT_URL", &self.address),
                ("AWS_ACCESS_KEY_ID", "key"),
                ("AWS_SECRET_ACCESS_KEY", "secret"),
                ("AWS_ALLOW_HTTP", "true"),
            ]
        }
    }

    /// Text without its percent encoding.
    fn decoded(text: &str) -> String {
        let mut parts = text.split('%');
        let mut whole = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (code, rest) = part.split_at(2);
            whole.push(
                u8::from_str_radix(code, 16)
                    .expect("a code is hexadecimal")
                    .into(),
            );
            whole.push_str(rest);
        }
        whole
    }

    fn serve(stream: &TcpStream, held: &Mutex<Held>) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut writer = stream;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let mut words = line.split_whitespace();
            let method = words.next().unwrap_or_default().to_owned();
            let target = words.next().unwrap_or_default().to_owned();
            let mut headers = BTreeMap::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line)?;
                match line.trim_end().split_once(": ") {
                    Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
                    None => break,
                };
            }
            let (status, more, body) = {
                let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
                let range = headers.get("range").cloned().unwrap_or_default();
                held.requests.push((format!("{method} {target}"), range));
                held.answer(&target, &headers)
            };
            let length = body.len();
            write!(
                writer,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{more}\r\n"
            )?;
            if method != "HEAD" {
                writer.write_all(&body)?;
            }
        }
    }

    impl Held {
        /// The status line, more headers, and the body.
        fn answer(&mut self, target: &str, headers: &BTreeMap<String, String>) -> (String, String, Vec<u8>) {
            let plain = |status: &str| (status.to_owned(), String::new(), b"<Error/>".to_vec());
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let query: BTreeMap<&str, String> = query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (name, decoded(value)))
                .collect();
            let path = decoded(path.trim_start_matches("/account"));
            let Some(key) = path.strip_prefix("/trails") else {
                return plain("404 Not Found");
            };
            let key = key.trim_start_matches('/');
            if key.is_empty() {
                let body = self.list(&query).into_bytes();
                return (
                    "200 OK".to_owned(),
                    "Content-Type: application/xml\r\n".to_owned(),
                    body,
                );
            }
            let asked = self.requests.len();
            let mut tag = "\"v1\"".to_owned();
            match self.faults.get_mut(key) {
                Some(Fault::Gone) => return plain("404 Not Found"),
                Some(Fault::Fails(times)) if *times > 0 => {
                    *times -= 1;
                    return plain("500 Internal Server Error");
                }
                Some(Fault::Changes) => tag = format!("\"v{asked}\""),
                _ => {}
            }
            let Some(bytes) = self.objects.get(key) else {
                return plain("404 Not Found");
            };
            if headers.get("if-match").is_some_and(|wanted| *wanted != tag) {
                return plain("412 Precondition Failed");
            }
            let mut more = format!("ETag: {tag}\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n");
            let range = headers.get("range").or_else(|| headers.get("x-ms-range"));
            let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
            let Some((first, last)) = range else {
                return ("200 OK".to_owned(), more, bytes.clone());
            };
            let first: usize = first.parse().expect("ranges are numbers");
            let last: usize = last.parse().expect("ranges are numbers");
            let last = last.min(bytes.len() - 1);
            let _ = write!(more, "Content-Range: bytes {first}-{last}/{}\r\n", bytes.len());
            let part = bytes.get(first..=last).expect("the range lies in the object");
            ("206 Partial Content".to_owned(), more, part.to_vec())
        }

        /// A page of the objects below a prefix.
        fn list(&self, query: &BTreeMap<&str, String>) -> String {
            let get = |name: &str| query.get(name).cloned().unwrap_or_default();
            let azure = query.contains_key("comp");
            let after = if azure {
                get("marker")
            } else {
                get("continuation-token")
            };
            let prefix = get("prefix");
            let mut rest = self
                .objects
                .iter()
                .filter(|(key, _)| key.starts_with(&prefix) && **key > after);
            let page: Vec<_> = rest.by_ref().take(2).collect();
            let next = rest.next().and(page.last()).map(|(key, _)| key.as_str());
            let mut text = String::new();
            for (key, bytes) in &page {
                let size = bytes.len();
                let _ = if azure {
                    write!(
                        text,
                        "<Blob><Name>{key}</Name><Properties><Last-Modified>Thu, 01 Jan 2026 00:00:00 GMT</Last-Modified><Content-Length>{size}</Content-Length><Content-Type>text/plain</Content-Type><Etag>0x1</Etag></Properties></Blob>"
                    )
                } else {
                    write!(
                        text,
                        "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;v1&quot;</ETag><Size>{size}</Size></Contents>"
                    )
                };
            }
            let next = next.unwrap_or_default();
            if azure {
                format!(
                    "<EnumerationResults><Blobs>{text}</Blobs><NextMarker>{next}</NextMarker></EnumerationResults>"
                )
            } else if next.is_empty() {
                format!("<ListBucketResult>{text}</ListBucketResult>")
            } else {
                format!(
                    "<ListBucketResult>{text}<NextContinuationToken>{next}</NextContinuationToken></ListBucketResult>"
                )
            }
        }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut compressed = Vec::new();
        GzEncoder::new(bytes, Compression::fast())
            .read_to_end(&mut compressed)
            .expect("memory can be read");
        compressed
    }

    fn trail(ids: &[&str]) -> Vec<u8> {
        let records: Vec<Value> = ids
            .iter()
            .map(|id| {
                json!({
                    "eventVersion": "1.08", "eventTime": "2026-02-03T04:05:06Z", "eventSource": "ec2.amazonaws.com",
                    "eventName": "ModifySnapshotAttribute", "awsRegion": "eu-1", "eventID": id, "eventType": "AwsApiCall",
                    "recipientAccountId": "111111111111", "sourceIPAddress": "203.0.113.9",
                    "requestParameters": {"snapshotId": "snap-1"},
                    "userIdentity": {"type": "IAMUser", "userName": "eve", "accountId": "111111111111"},
                })
            })
            .collect();
        json!({"Records": records}).to_string().into_bytes()
    }

    /// Process events, one of them of interest, of so many bytes that they come in several parts.
    fn processes(bytes: usize) -> Vec<u8> {
        let mut lines = String::new();
        let mut number = 0;
        while lines.len() < bytes {
            number += 1;
            let name = if number == 9_000 { "curl" } else { "ls" };
            let _ = writeln!(
                lines,
                "{{\"@timestamp\":\"2026-02-03T05:00:00.{:06}Z\",\"event\":{{\"category\":\"process\",\"type\":\"start\",\"id\":\"p{number}\"}},\"process\":{{\"name\":\"{name}\"}},\"host\":{{\"name\":\"h\"}}}}",
                number
            );
        }
        lines.into_bytes()
    }

    const RULES: &str = "[rule]\nrule_id = \"snapshot\"\nname = \"Snapshot Shared\"\ndescription = \"d\"\nseverity = \"low\"\nrisk_score = 21\ntype = \"query\"\nlanguage = \"kuery\"\nquery = \"event.action: ModifySnapshotAttribute or process.name: curl\"\n";

    /// A folder with a rule, and `objects` as files below `logs`.
    fn site(objects: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let files = objects
            .iter()
            .map(|(name, bytes)| (format!("logs/{name}"), *bytes));
        for (name, bytes) in files.chain([("rules/r.toml".to_owned(), RULES.as_bytes())]) {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a file lies in a folder"))
                .expect("a folder can be made");
            std::fs::write(path, bytes).expect("a file can be written");
        }
        folder
    }

    fn json_of(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).expect("the output is JSON")
    }

    #[test]
    fn a_prefix_gives_the_alerts_of_the_files() {
        let processes = processes(4 << 20);
        let first = gzip(&trail(&["1", "2"]));
        let second = trail(&["3"]);
        let objects: &[(&str, &[u8])] = &[
            ("AWSLogs/a/1.json.gz", &first),
            ("AWSLogs/b/2.json", &second),
            ("AWSLogs/c/processes.ndjson", &processes),
        ];
        let site = site(objects);
        let elsewhere = trail(&["4"]);
        let mut stored = objects.to_vec();
        // A folder as consoles make it, and what only begins alike.
        stored.extend([("AWSLogs/a", &b""[..]), ("AWSLogs2/x.json", &elsewhere)]);
        let store = Store::new(&stored, &[("AWSLogs/b/2.json", Fault::Fails(2))]);
        let detect = |input: &str| {
            let arguments = ["detect", "--rules", "rules", "--format", "json", input];
            neph(site.path(), &store.s3(), &arguments)
        };
        let local = detect("logs/AWSLogs");
        let remote = detect("s3://trails/AWSLogs/");
        let alerts = |output: &std::process::Output| json_of(&output.stdout)["alerts"].clone();
        assert_eq!(
            alerts(&local).as_array().map(Vec::len),
            Some(4),
            "{}",
            text(&local.stderr)
        );
        let as_files = text(&remote.stdout).replace("s3://trails/AWSLogs", "logs/AWSLogs");
        assert_eq!(json_of(as_files.as_bytes())["alerts"], alerts(&local));
        assert!(text(&remote.stdout).contains("s3://trails/AWSLogs/a/1.json.gz"));
        let summary = &json_of(&remote.stdout)["summary"]["input"];
        assert_eq!(summary["inputs"], 3);
        let local_summary = &json_of(&local.stdout)["summary"]["input"];
        for same in ["inputs", "records", "bytes", "stored_bytes", "problem_counts"] {
            assert_eq!(summary[same], local_summary[same], "{same}");
        }
        let requests = store.requests();
        let pages = requests
            .iter()
            .filter(|(target, _)| target.contains("list-type=2"));
        assert_eq!(pages.count(), 2, "{requests:?}");
        let parts = requests
            .iter()
            .filter(|(target, range)| target.contains("processes.ndjson") && range.starts_with("bytes="));
        assert_eq!(parts.count(), 3, "{requests:?}");
    }

    #[test]
    fn what_cannot_be_read_is_told_and_the_rest_goes_on() {
        let good = trail(&["1"]);
        let cut = gzip(&processes(100_000));
        let cut = &cut[..cut.len() / 2];
        let large = processes(1 << 20);
        let store = Store::new(
            &[
                ("l/changing", &large),
                ("l/cut.gz", cut),
                ("l/empty", b""),
                ("l/gone", &good),
                ("l/good", &good),
                ("l/refused", &good),
            ],
            &[
                ("l/changing", Fault::Changes),
                ("l/gone", Fault::Gone),
                ("l/refused", Fault::Fails(usize::MAX)),
            ],
        );
        let site = site(&[]);
        let arguments = [
            "detect",
            "--rules",
            "rules",
            "--format",
            "json",
            "s3://trails/l",
            "s3://trails/none",
        ];
        let arguments = [&arguments[..], &["s3://trails/l/good", "s3://nowhere/l/"]].concat();
        let output = neph(site.path(), &store.s3(), &arguments);
        let report = json_of(&output.stdout);
        let input = &report["summary"]["input"];
        assert_eq!(report["alerts"].as_array().map(Vec::len), Some(1), "{input}");
        assert_eq!(
            input["problem_counts"],
            json!({"missing": 2, "unreadable": 3, "empty": 1, "cut-short": 1}),
            "{input}"
        );
        assert_eq!(input["skipped"]["repeated_files"], 1);
        let mut told: Vec<(&str, &str)> = Vec::new();
        for problem in input["problems"].as_array().unwrap() {
            told.push((
                problem["source"].as_str().unwrap(),
                problem["message"].as_str().unwrap(),
            ));
        }
        let message = |source: &str| {
            told.iter()
                .find(|(name, _)| *name == source)
                .map(|(_, message)| *message)
        };
        assert_eq!(
            message("s3://trails/l/changing"),
            Some("the object was replaced while it was read")
        );
        assert_eq!(message("s3://trails/l/gone"), Some("no such object or bucket"));
        assert_eq!(
            message("s3://trails/none"),
            Some("no such object, and none below it")
        );
        assert!(
            message("s3://trails/l/refused").unwrap().contains("500"),
            "{told:?}"
        );
        assert!(message("s3://nowhere/l/").unwrap().contains("404"), "{told:?}");
    }

    #[test]
    fn patterns_and_single_objects_are_read_by_query_and_normalize() {
        let (first, second) = (trail(&["1"]), trail(&["2"]));
        let store = Store::new(
            &[
                ("o/1/CloudTrail/a.json", &first),
                ("o/2/CloudTrail/b.json", &second),
                ("o/2/Config/c.json", &second),
            ],
            &[],
        );
        let site = site(&[]);
        let pattern = "s3://trails/o/*/CloudTrail/**";
        let query = [
            "query",
            "--format",
            "ndjson",
            "any where event.action == \"ModifySnapshotAttribute\"",
            pattern,
        ];
        let found = neph(site.path(), &store.s3(), &query);
        assert_eq!(text(&found.stdout).lines().count(), 2, "{}", text(&found.stderr));
        let object = neph(
            site.path(),
            &store.s3(),
            &["normalize", "s3://trails/o/2/CloudTrail/b.json"],
        );
        assert_eq!(
            text(&object.stdout).lines().count(),
            1,
            "{}",
            text(&object.stderr)
        );
        let none = neph(site.path(), &store.s3(), &["normalize", "s3://trails/o/*.gz"]);
        assert!(text(&none.stderr).contains("s3://trails/o/*.gz: no object fits the pattern"));
    }

    #[test]
    fn google_and_azure_are_read_alike() {
        let (first, second, third) = (gzip(&trail(&["1"])), trail(&["2"]), trail(&["3"]));
        let objects: &[(&str, &[u8])] = &[
            ("l/1.gz", &first),
            ("l/2", &second),
            ("l/3", &third),
            ("m", &third),
        ];
        let store = Store::new(objects, &[("l/2", Fault::Fails(1))]);
        let site = site(&[]);
        let azure = format!("{}/account", store.address);
        let google = [
            ("GOOGLE_BASE_URL", store.address.as_str()),
            ("GOOGLE_SKIP_SIGNATURE", "true"),
            ("GOOGLE_ALLOW_HTTP", "true"),
        ];
        let azure = [
            ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
            ("AZURE_STORAGE_ENDPOINT", azure.as_str()),
            ("AZURE_SKIP_SIGNATURE", "true"),
            ("AZURE_ALLOW_HTTP", "true"),
        ];
        for (url, environment) in [("gs://trails/l/", &google[..]), ("az://trails/l/", &azure[..])] {
            let output = neph(site.path(), environment, &["normalize", url]);
            assert_eq!(
                text(&output.stdout).lines().count(),
                3,
                "{url}: {}",
                text(&output.stderr)
            );
        }
        let unnamed = neph(site.path(), &[], &["normalize", "az://trails/l/"]);
        let told = text(&unnamed.stderr);
        assert!(
            told.contains("az://trails/l/: cannot be fetched: ") && told.contains("ccount"),
            "{told}"
        );
    }

    /// A service that runs in a folder with a configuration.
    struct Service {
        child: Child,
        base: String,
        token: String,
        said: std::path::PathBuf,
    }

    impl Service {
        fn start(folder: &Path, store: &Store) -> Self {
            let data = folder.join("data");
            let address = data.join("address");
            let _ = std::fs::remove_file(&address);
            let said = folder.join("said");
            let child = Command::new(env!("CARGO_BIN_EXE_neph"))
                .args([
                    "serve",
                    "--config",
                    "neph.toml",
                    "--data",
                    "data",
                    "--listen",
                    "127.0.0.1:0",
                ])
                .current_dir(folder)
                .envs(store.s3())
                .stdout(Stdio::null())
                .stderr(std::fs::File::create(&said).expect("a file can be made"))
                .spawn()
                .expect("the binary starts");
            let mut service = Self {
                child,
                base: String::new(),
                token: String::new(),
                said,
            };
            service.base = service.wait("the address", || {
                let text = std::fs::read_to_string(&address).ok()?;
                text.strip_suffix('\n').map(str::to_owned)
            });
            let token = std::fs::read_to_string(data.join("token")).expect("a token");
            service.token = token.trim().to_owned();
            service
        }

        fn said(&self) -> String {
            std::fs::read_to_string(&self.said).unwrap_or_default()
        }

        fn wait<T>(&self, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
            let began = Instant::now();
            loop {
                if let Some(answer) = ask() {
                    return answer;
                }
                assert!(
                    began.elapsed() < Duration::from_secs(120),
                    "waited in vain for {what}: {}",
                    self.said()
                );
                std::thread::sleep(Duration::from_millis(100));
            }
        }

        fn get(&self, path: &str) -> String {
            let request = ureq::get(format!("{}{path}", self.base));
            let request = request.header("Authorization", format!("Bearer {}", self.token));
            let mut answer = request.call().expect("an answer");
            answer.body_mut().read_to_string().expect("a text")
        }

        /// Waits for so many alerts, and then a little for more that should not come.
        fn expect_alerts(&self, count: usize) {
            let alerts = || {
                let page = json_of(self.get("/api/v1/alerts?limit=100").as_bytes());
                page.get("alerts").and_then(Value::as_array).map_or(0, Vec::len)
            };
            self.wait(&format!("{count} alerts"), || (alerts() >= count).then_some(()));
            std::thread::sleep(Duration::from_millis(1500));
            assert_eq!(alerts(), count);
        }

        fn end(mut self, signal: &str) {
            let id = self.child.id().to_string();
            let sent = Command::new("kill").args([signal, &id]).status();
            assert!(sent.expect("kill starts").success());
            self.child.wait().expect("a child");
        }
    }

    impl Drop for Service {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_service_reads_each_object_once_across_restarts_and_changes() {
        let first = gzip(&trail(&["1", "2"]));
        let store = Store::new(&[("AWSLogs/a/1.json.gz", &first)], &[]);
        let site = site(&[]);
        let configuration = |urls: &[&str]| {
            let mut text = "[retention]\nkeep_free = \"1MiB\"\n[rules]\npaths = [\"rules\"]\n".to_owned();
            for url in urls {
                let _ = writeln!(text, "[[objects]]\nurl = \"{url}\"\nevery = \"1s\"");
            }
            std::fs::write(site.path().join("neph.toml"), text).expect("a file can be written");
        };
        configuration(&["s3://trails/AWSLogs/"]);
        let service = Service::start(site.path(), &store);
        service.expect_alerts(2);
        store.put("AWSLogs/a/2.json", &trail(&["3"]));
        service.expect_alerts(3);
        let counted = "neph_received_records_total{protocol=\"object\",sender=\"s3://trails/AWSLogs/\"} 3";
        let metrics = service.get("/metrics");
        assert!(metrics.contains(counted), "{metrics}");
        assert!(
            service
                .get("/api/v1/status")
                .contains("object/s3://trails/AWSLogs/")
        );

        // A crash, and another order of the tables: what was read is not read again.
        service.end("-KILL");
        store.put("more/4.json", &trail(&["4"]));
        configuration(&["s3://trails/more/", "s3://trails/AWSLogs/"]);
        let service = Service::start(site.path(), &store);
        service.expect_alerts(4);

        // A prefix more while it runs, and one that cannot be read.
        store.put("late/5.json", &trail(&["5"]));
        configuration(&[
            "s3://trails/late/",
            "s3://nowhere/",
            "s3://trails/AWSLogs/",
            "s3://trails/more/",
        ]);
        service.expect_alerts(5);
        service.wait("the problem", || service.said().contains("nowhere").then_some(()));
        service.end("-TERM");

        let stored = neph_store::Store::open_read_only(&site.path().join("data")).expect("a store");
        let mut records = Vec::new();
        for block in stored.log.blocks(stored.log.begin()) {
            let block = block.expect("a block");
            records.extend(
                block
                    .records
                    .iter()
                    .map(|record| json_of(record)["eventID"].as_str().unwrap_or_default().to_owned()),
            );
        }
        records.sort();
        assert_eq!(records, ["1", "2", "3", "4", "5"]);
    }

    #[test]
    fn plain_http_is_spoken_only_when_it_is_allowed() {
        let store = Store::new(&[("l/1", &trail(&["1"]))], &[]);
        let site = site(&[]);
        let mut environment = store.s3();
        environment.retain(|(name, _)| *name != "AWS_ALLOW_HTTP");
        let output = neph(site.path(), &environment, &["normalize", "s3://trails/l/"]);
        assert_eq!(text(&output.stdout), "");
        assert!(
            text(&output.stderr).contains("s3://trails/l/: "),
            "{}",
            text(&output.stderr)
        );
        assert_eq!(store.requests(), []);
    }
}
