//! Public and shipped rules over documents of the sensor: they load, and what they are written for is found, once.
//!
//! The public rules lie beside the project; without them a test says that it was skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use neph_engine::{Matcher, OperatorConfig, Operators, Origin, Outcome, Record};
use neph_rules::{AlertFlow, BUILTIN_LISTS, BUILTIN_RULES, LoadOptions, Rule, RuleSet, Told, load_with};

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

/// The alerts of rules on documents: how many of each rule.
fn alerts(set: &mut RuleSet, lines: &[String]) -> BTreeMap<String, usize> {
    let running = set.take_running();
    let rules: Vec<Arc<Rule>> = running.rules.iter().cloned().map(Arc::new).collect();
    let plans: Vec<_> = running
        .rules
        .iter()
        .filter_map(|rule| rule.plan.as_ref())
        .collect();
    let mut operators = Operators::new(&plans, &OperatorConfig::default());
    let mut flow = AlertFlow::new(rules, false);
    let mut matcher = Matcher::new(Arc::new(running.program));
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
            let rule = running
                .rules
                .iter()
                .find(|rule| rule.id == alert.rule_id)
                .unwrap();
            *found.entry(rule.name.clone()).or_default() += 1;
        }
    }
    found
}

fn shipped() -> RuleSet {
    let options = LoadOptions {
        lists: vec![BUILTIN_LISTS.into()],
        ..LoadOptions::default()
    };
    let set = load_with(&[BUILTIN_RULES], &options);
    assert!(set.report.failures.is_empty(), "{:?}", set.report.failures);
    set
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
        trial.open(300, "/var/run/secrets/kubernetes.io/serviceaccount/token");
    });
    add("benign", &|trial| {
        trial.exec(300, 200, "/usr/bin/ls", &["ls", "-l"]);
        trial.connect(300, "192.0.2.1:80");
    });
    all
}

#[test]
fn explore() {
    for (name, lines) in attacks() {
        println!("{name}: shipped {:#?}", alerts(&mut shipped(), &lines));
    }
    let elastic = archive("rules-elastic.tar.xz", |name| {
        name.ends_with(".toml")
            && (name.contains("/linux/")
                || name.contains("/cloud_defend/")
                || name.contains("/cross-platform/"))
    });
    let sigma = archive("rules-sigma.tar.xz", |name| {
        name.ends_with(".yml") && name.contains("rules/linux/")
    });
    for folder in [elastic, sigma].into_iter().flatten() {
        let load = || load_with(&[folder.path()], &LoadOptions::default());
        let set = load();
        println!(
            "{} rules, {} failures",
            set.rules.len(),
            set.report.failures.len()
        );
        for (name, lines) in attacks() {
            println!("{name}: {:#?}", alerts(&mut load(), &lines));
        }
    }
    let _: BTreeSet<u8> = BTreeSet::new();
}
