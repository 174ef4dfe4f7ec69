//! A small world for tests of the service: rules of every kind, events that keep them busy, and a store.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use neph_event::Instant;
use neph_rules::{LoadOptions, RuleSet, load_with};
use neph_runtime::service::{Service, ServiceOptions};
use neph_store::{AlertQuery, AlertSort, Batch, Records, Store, StoreOptions};

/// When the events begin: 2026-11-01T00:00:00Z.
pub(crate) const BEGIN: i64 = 1_793_491_200;

/// Numbers that look random and are the same every time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

pub(crate) fn at(seconds: i64) -> Instant {
    Instant {
        seconds: BEGIN + seconds,
        nanos: 0,
    }
}

pub(crate) fn rule(id: &str, kind: &str, more: &str) -> String {
    format!(
        "[rule]\nrule_id = \"{id}\"\nname = \"{id}\"\ndescription = \"d\"\nauthor = [\"a\"]\nlicense = \"x\"\nrisk_score = 50\nseverity = \"medium\"\n\
         index = [\"*\"]\nfrom = \"now-9m\"\ninterval = \"5m\"\ntype = \"{kind}\"\n{more}\n"
    )
}

/// One rule of each kind, by the names of their files.
pub(crate) fn rules() -> Vec<(&'static str, String)> {
    let eql = |query: &str| format!("language = \"eql\"\nquery = '''{query}'''");
    vec![
        (
            "event.toml",
            rule(
                "event",
                "eql",
                &eql("any where event.action == \"delete\" and user.name == \"u3\""),
            ),
        ),
        (
            "sequence.toml",
            rule(
                "sequence",
                "eql",
                &eql(
                    "sequence by user.name with maxspan=2m [any where event.action == \"fail\"] [any where event.action == \"login\"]",
                ),
            ),
        ),
        (
            "missing.toml",
            rule(
                "missing",
                "eql",
                &eql(
                    "sequence by user.name with maxspan=1m [any where event.action == \"start\"] ![any where event.action == \"stop\"]",
                ),
            ),
        ),
        (
            "threshold.toml",
            rule(
                "threshold",
                "threshold",
                "language = \"kuery\"\nquery = \"event.action: fail\"\n[rule.threshold]\nfield = [\"host.name\"]\nvalue = 6\n",
            ),
        ),
        (
            "new.toml",
            rule(
                "new",
                "new_terms",
                "language = \"kuery\"\nquery = \"event.action: login\"\n[rule.new_terms]\nfield = \"new_terms_fields\"\nvalue = [\"user.name\", \"host.name\"]\n[[rule.new_terms.history_window_start]]\nfield = \"history_window_start\"\nvalue = \"now-2h\"\n",
            ),
        ),
        (
            "suppressed.toml",
            rule(
                "suppressed",
                "eql",
                &format!(
                    "{}\n[rule.alert_suppression]\ngroup_by = [\"host.name\"]\nmissing_fields_strategy = \"suppress\"\nduration = {{ value = 10, unit = \"m\" }}\n",
                    eql("any where event.action == \"exec\"")
                ),
            ),
        ),
    ]
}

/// A folder with a store and rules.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new(rules: &[(&str, String)]) -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(world.rules()).unwrap();
        for (name, text) in rules {
            world.write(name, text);
        }
        world
    }

    pub(crate) fn rules(&self) -> PathBuf {
        self.folder.path().join("rules")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.rules().join(name), text).unwrap();
    }

    pub(crate) fn load(&self) -> RuleSet {
        let set = load_with(&[self.rules()], &LoadOptions::default());
        for rule in &set.report.rules {
            for found in rule
                .diagnostics
                .iter()
                .filter(|found| found.severity() == neph_diag::Severity::Error)
            {
                println!("{:?}: {}", rule.id, found.message);
            }
        }
        set
    }

    pub(crate) fn store(&self) -> Arc<Store> {
        Arc::new(Store::open(&self.data(), &StoreOptions::default()).unwrap().0)
    }

    pub(crate) fn start(&self, store: &Arc<Store>, options: ServiceOptions) -> Service {
        Service::start(Arc::clone(store), self.load(), options).unwrap()
    }
}

/// Quick commits and snapshots; time goes on only by what is appended.
pub(crate) fn options(threads: usize) -> ServiceOptions {
    let mut options = ServiceOptions {
        commit_every: Duration::from_millis(10),
        commit_blocks: 40,
        snapshot_every: Duration::from_millis(200),
        tick_every: Duration::from_secs(3600),
        mends: false,
        ..ServiceOptions::default()
    };
    options.run.threads = threads;
    options
}

/// Batches of events of two streams, in order of receipt; some come late, some twice, and some cannot be read.
pub(crate) fn batches(seed: u64, seconds: i64) -> Vec<Batch> {
    let mut random = Random(seed);
    let actions = [
        "fail", "login", "start", "stop", "exec", "delete", "read", "read", "read",
    ];
    let mut number = 0;
    let mut batches = Vec::new();
    let mut second = 0;
    while second < seconds {
        let span = 1 + i64::try_from(random.below(40)).unwrap();
        for stream in ["a", "b"] {
            let mut records = Records::default();
            for _ in 0..random.below(12) {
                number += 1;
                let late = if random.below(10) == 0 {
                    random.below(200)
                } else {
                    0
                };
                let time = second + i64::try_from(random.below(u64::try_from(span).unwrap())).unwrap();
                let time = (time - i64::try_from(late).unwrap()).max(0);
                let action = actions[usize::try_from(random.below(9)).unwrap()];
                let id = format!("{stream}{number}");
                let text = format!(
                    "{{\"_index\":\"logs\",\"_id\":\"{id}\",\"_source\":{{\"@timestamp\":\"{}\",\"event\":{{\"action\":\"{action}\"}},\"user\":{{\"name\":\"u{}\"}},\"host\":{{\"name\":\"h{}\"}},\"ecs\":{{\"version\":\"8.0.0\"}}}}}}",
                    at(time),
                    random.below(6),
                    random.below(4),
                );
                records.push(text.as_bytes());
                if random.below(12) == 0 {
                    records.push(text.as_bytes());
                }
                if random.below(40) == 0 {
                    records.push(b"{\"broken\":");
                }
            }
            second += span;
            batches.push(Batch {
                stream: stream.into(),
                received: at(second),
                records,
            });
        }
    }
    batches
}

/// A block that only tells that time went on.
pub(crate) fn tick(seconds: i64) -> Batch {
    Batch {
        stream: "neph/tick".into(),
        received: at(seconds),
        records: Records::default(),
    }
}

/// Appends batches in their order, with as few syncs as it takes.
pub(crate) fn append(store: &Store, batches: &[Batch]) {
    let (sender, done) = std::sync::mpsc::channel();
    for batch in batches {
        let sender = sender.clone();
        store
            .log
            .append_then(batch.clone(), move |result| sender.send(result).unwrap());
    }
    drop(sender);
    for result in done {
        result.unwrap();
    }
}

/// Rule and id of all alerts that stand, with how many others they stand for.
pub(crate) fn alerts(store: &Store) -> Vec<(String, String, u64)> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = store
            .db
            .search(&AlertQuery::default(), AlertSort::Time, true, after.as_ref(), 500)
            .unwrap();
        found.extend(
            page.alerts
                .into_iter()
                .map(|one| (one.alert.rule_id, one.alert.id, one.alert.count)),
        );
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    found.sort();
    found
}

/// How many alerts each rule has.
pub(crate) fn by_rule(alerts: &[(String, String, u64)]) -> Vec<(&str, usize)> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for (rule, _, _) in alerts {
        match counts.last_mut() {
            Some((last, count)) if last == rule => *count += 1,
            _ => counts.push((rule, 1)),
        }
    }
    counts
}

/// Removes the newest of the states that were written down: what a crash right after the last commit leaves.
pub(crate) fn lose_state(data: &Path, how_many: usize) {
    let mut files: Vec<PathBuf> = fs::read_dir(data.join("state"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in files.iter().rev().take(how_many) {
        fs::remove_file(file).unwrap();
    }
}
