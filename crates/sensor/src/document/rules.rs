//! Public and shipped rules over documents of the sensor: they load, and what they are written for is found, once.
//!
//! The public rules lie beside the project; without them a test says that it was skipped.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use neph_engine::{Matcher, OperatorConfig, Operators, Origin, Outcome, Program, Record};
use neph_rules::{AlertFlow, BUILTIN_LISTS, BUILTIN_RULES, LoadOptions, Rule, Told, load_with};

use crate::trial::Trial;

/// The files of an archive of public rules.
fn archive(name: &str, wanted: impl Fn(&str) -> bool) -> Option<tempfile::TempDir> {
    let shared = std::env::var_os("NEPH_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = shared.join("corpora").join(name);
    let Ok(file) = std::fs::File::open(&path) else {
        println!("skipped: {} is not there", path.display());
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut archive = tar::Archive::new(liblzma::read::XzDecoder::new(file));
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        if entry.header().entry_type().is_file() && wanted(&name) {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            std::fs::write(
                folder
                    .path()
                    .join(name.replace('/', "__").trim_start_matches("._")),
                text,
            )
            .unwrap();
        }
    }
    Some(folder)
}

/// Rules that are ready to run.
struct Ready {
    rules: Vec<Arc<Rule>>,
    program: Arc<Program>,
}

impl Ready {
    /// Those of a folder, all of which load.
    fn load(folder: &Path, lists: Vec<PathBuf>) -> Self {
        let options = LoadOptions {
            lists,
            ..LoadOptions::default()
        };
        let set = load_with(&[folder], &options);
        assert!(set.report.failures.is_empty(), "{:?}", set.report.failures);
        Self {
            rules: set.rules,
            program: Arc::new(set.program),
        }
    }

    /// The rules that alert on documents, with how often.
    fn alerts(&self, lines: &[String]) -> BTreeMap<&str, usize> {
        let plans: Vec<_> = self.rules.iter().filter_map(|rule| rule.plan.as_ref()).collect();
        let mut operators = Operators::new(&plans, &OperatorConfig::default());
        let mut flow = AlertFlow::new(self.rules.clone(), false);
        let mut matcher = Matcher::new(Arc::clone(&self.program));
        let (mut told, mut outcomes): (Vec<Told>, Vec<Outcome>) = (Vec::new(), Vec::new());
        for (position, line) in (0_u64..).zip(lines) {
            matcher.read(line.as_bytes()).unwrap();
            let origin = Origin {
                source: "sensor".into(),
                line: position + 1,
            };
            let record = Record {
                document: line.as_bytes(),
                id: None,
                index: None,
                position,
                origin: &origin,
            };
            let mut steps = Vec::new();
            matcher.matches(&record, |step| steps.push(step));
            steps
                .into_iter()
                .for_each(|step| operators.push(step, &mut outcomes));
        }
        operators.finish(&mut outcomes);
        outcomes
            .into_iter()
            .for_each(|outcome| flow.take(outcome, &mut told));
        flow.finish(&mut told);
        let mut found = BTreeMap::new();
        for one in told {
            if let Told::Raised(alert) = one {
                let rule = self.rules.iter().find(|rule| rule.id == alert.rule_id).unwrap();
                *found.entry(rule.name.as_str()).or_default() += 1;
            }
        }
        found
    }

    /// Each of these rules alerts once on what was done, and nothing alerts where nothing is expected.
    fn check(&self, expected: &[(&str, &[&str])]) {
        let attacks = attacks();
        assert_eq!(attacks.len(), expected.len());
        for ((name, lines), (of, rules)) in attacks.iter().zip(expected) {
            assert_eq!(name, of);
            let found = self.alerts(lines);
            println!("{name}: {found:?}");
            for rule in *rules {
                assert_eq!(found.get(rule), Some(&1), "{name}: {rule}; {found:?}\n{lines:#?}");
            }
            assert!(!rules.is_empty() || found.is_empty(), "{name}: {found:?}");
        }
    }
}

/// What somebody does who has a shell on the host, or in a container of it.
fn attacks() -> Vec<(&'static str, Vec<String>)> {
    let mut all = Vec::new();
    let mut add = |name, act: &dyn Fn(&mut Trial)| {
        let mut trial = Trial::new();
        trial.exec(100, 1, "/usr/sbin/nginx", &["nginx"]);
        trial.fork(100, 200);
        trial.exec(200, 100, "/bin/bash", &["bash"]);
        trial.fork(200, 300);
        act(&mut trial);
        trial.exit(300, 0);
        all.push((name, trial.lines()));
    };
    const URL: &str = "http://169.254.169.254/latest/meta-data/iam/security-credentials/";
    add("curl", &|trial| {
        trial.exec(300, 200, "/usr/bin/curl", &["curl", "-s", URL]);
        trial.connect(300, "169.254.169.254:80");
    });
    add("wget, by a link to busybox in a container", &|trial| {
        trial.exec_inside(300, 200, "/bin/wget", &["wget", "-qO-", URL]);
        trial.connect(300, "169.254.169.254:80");
    });
    add("python", &|trial| {
        trial.exec(
            300,
            200,
            "/usr/bin/python3",
            &[
                "python3",
                "-c",
                "import urllib.request as u;u.urlopen('http://'+a)",
            ],
        );
        trial.connect(300, "[::ffff:169.254.169.254]:80");
    });
    add("a static program", &|trial| {
        trial.exec(300, 200, "/tmp/x", &["./x"]);
        trial.connect(300, "169.254.169.254:80");
    });
    add("docker ps", &|trial| {
        trial.exec(300, 200, "/usr/bin/docker", &["docker", "ps", "-a"]);
        trial.connect_unix(300, "/var/run/docker.sock");
    });
    add("docker inspect", &|trial| {
        trial.exec(300, 200, "/usr/bin/docker", &["docker", "inspect", "web"]);
        trial.connect_unix(300, "/var/run/docker.sock");
    });
    add("curl to the socket", &|trial| {
        trial.exec(
            300,
            200,
            "/usr/bin/curl",
            &[
                "curl",
                "--unix-socket",
                "/var/run/docker.sock",
                "http://localhost/containers/json",
            ],
        );
        trial.connect_unix(300, "/var/run/docker.sock");
    });
    add("kubectl", &|trial| {
        trial.exec_inside(
            300,
            200,
            "/usr/local/bin/kubectl",
            &["kubectl", "get", "pods", "-A"],
        );
        trial.connect(300, "10.0.0.1:443");
    });
    add("token", &|trial| {
        trial.exec_inside(
            300,
            200,
            "/bin/cat",
            &["cat", "/var/run/secrets/kubernetes.io/serviceaccount/token"],
        );
        trial.open(300, "/run/secrets/kubernetes.io/serviceaccount/token");
    });
    add("benign", &|trial| {
        trial.exec(300, 200, "/usr/bin/ls", &["ls", "-l"]);
        trial.connect(300, "192.0.2.1:80");
    });
    all
}

const CONTACTED: &str = "Metadata Service Contacted by an Unusual Process";
const LISTED: &str = "Containers Listed on a Host by a User for the First Time";

#[test]
fn shipped_rules_find_attacks_once_and_nothing_else() {
    let shipped = Ready::load(Path::new(BUILTIN_RULES), vec![BUILTIN_LISTS.into()]);
    shipped.check(&[
        (
            "curl",
            &[
                CONTACTED,
                "Command Line Requests Credentials from the Metadata Service",
            ],
        ),
        ("wget, by a link to busybox in a container", &[CONTACTED]),
        ("python", &[CONTACTED]),
        ("a static program", &[CONTACTED]),
        ("docker ps", &[LISTED]),
        ("docker inspect", &[LISTED]),
        (
            "curl to the socket",
            &["Container Engine or Kubelet Asked by a Command Without Its Client"],
        ),
        (
            "kubectl",
            &["Containers Listed or Inspected by What Has No Business with Them"],
        ),
        (
            "token",
            &["Credentials of a Cloud or Cluster Read by a Program for the First Time"],
        ),
        ("benign", &[]),
    ]);
}

#[test]
fn rules_of_elastic_run_unchanged() {
    let folder = archive("rules-elastic.tar.xz", |name| {
        let folders = ["/linux/", "/cloud_defend/", "/cross-platform/"];
        name.ends_with(".toml") && folders.iter().any(|folder| name.contains(folder))
    });
    let Some(folder) = folder else { return };
    const REQUEST: &str = "Suspicious Instance Metadata Service (IMDS) API Request";
    let elastic = Ready::load(folder.path(), Vec::new());
    assert!(elastic.rules.len() > 450, "{}", elastic.rules.len());
    elastic.check(&[
        ("curl", &[REQUEST]),
        (
            "wget, by a link to busybox in a container",
            &[REQUEST, "File Download Detected via Defend for Containers"],
        ),
        ("python", &[REQUEST]),
        ("a static program", &[REQUEST]),
        ("docker ps", &[]),
        ("docker inspect", &[]),
        ("curl to the socket", &["Docker Socket Enumeration"]),
        (
            "kubectl",
            &["Direct Kubernetes API Request Detected via Defend for Containers"],
        ),
        ("token", &["Kubernetes Service Account Secret Access"]),
        ("benign", &[]),
    ]);
}

#[test]
fn rules_of_sigma_run_unchanged() {
    let folder = archive("rules-sigma.tar.xz", |name| {
        name.ends_with(".yml") && name.contains("rules/linux/")
    });
    let Some(folder) = folder else { return };
    let sigma = Ready::load(folder.path(), Vec::new());
    assert!(sigma.rules.len() > 200, "{}", sigma.rules.len());
    sigma.check(&[
        ("curl", &["Curl Usage on Linux"]),
        ("wget, by a link to busybox in a container", &[]),
        ("python", &[]),
        (
            "a static program",
            &["Potentially Suspicious Execution From Tmp Folder"],
        ),
        ("docker ps", &[]),
        ("docker inspect", &[]),
        ("curl to the socket", &["Curl Usage on Linux"]),
        ("kubectl", &[]),
        ("token", &[]),
        ("benign", &[]),
    ]);
}
