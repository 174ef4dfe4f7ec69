//! Runs with a clock that the test moves, and with the thread.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use neph_store::{AlertQuery, AlertRecord, AlertSort, AlertState, Seen, Severity, Store, StoreOptions};
use serde_json::json;

use super::*;
use crate::work::Looked;

/// What a test says is to be found.
#[derive(Default)]
struct World {
    open: Vec<(&'static str, Severity)>,
    answered: Vec<&'static str>,
    /// Places that cannot be seen.
    hidden: Vec<&'static str>,
    fails: Option<&'static str>,
    breaks: bool,
    looks: usize,
}

struct Of(Arc<Mutex<World>>, Vec<PathBuf>);

impl Work for Of {
    fn watched(&self) -> Vec<PathBuf> {
        self.1.clone()
    }

    fn look(&self, now: Timestamp) -> Result<Looked, String> {
        let mut world = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        world.looks += 1;
        assert!(!world.breaks, "as the test wants it");
        if let Some(why) = world.fails {
            return Err(why.into());
        }
        let hidden = world.hidden.clone();
        let seen = |(id, severity): &(&str, Severity)| Seen {
            id: (*id).into(),
            place: (*id).into(),
            title: format!("title of {id}"),
            severity: *severity,
        };
        Ok(Looked {
            open: world.open.iter().map(seen).collect(),
            answered: world.answered.iter().map(|id| (*id).to_owned()).collect(),
            is_gone: Box::new(move |place| !hidden.contains(&place)),
            tell: Box::new(move |ids| {
                let document = |id: &&str| json!({"@timestamp": now, "message": id, "event": {"id": id}, "rule": {"id": "r"}});
                ids.iter().map(document).collect()
            }),
            least: Some(Severity::Medium),
            problems: world
                .hidden
                .iter()
                .map(|place| format!("{place} is hidden"))
                .collect(),
            report: Some(json!({"looks": world.looks})),
        })
    }
}

struct Bench {
    folder: tempfile::TempDir,
    store: Store,
    time: Arc<Mutex<i64>>,
    world: Arc<Mutex<World>>,
    heard: Arc<Mutex<Vec<String>>>,
}

fn open(folder: &std::path::Path) -> Store {
    let limits = neph_store::Limits {
        min_free_bytes: 0,
        ..neph_store::Limits::default()
    };
    Store::open(folder, &StoreOptions { limits }).unwrap().0
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            store: open(&folder.path().join("data")),
            folder,
            time: Arc::new(Mutex::new(1_000_000)),
            world: Arc::default(),
            heard: Arc::default(),
        }
    }

    fn options(&self) -> Options {
        let (time, heard) = (Arc::clone(&self.time), Arc::clone(&self.heard));
        Options {
            db: self.store.db.clone(),
            outputs: Box::new(|| vec!["out".into()]),
            clock: Arc::new(move || Instant {
                seconds: *time.lock().unwrap(),
                nanos: 0,
            }),
            hear: Box::new(move |notice| {
                let text = match notice {
                    Notice::Ended { new, gone, why, .. } => format!("{new} new, {gone} gone; {why}"),
                    Notice::Failed { why, .. } => format!("failed: {why}"),
                    Notice::Store { error, .. } => format!("store: {error}"),
                };
                heard.lock().unwrap().push(text);
            }),
        }
    }

    fn job(&self, name: &str, every: Option<u64>, watched: Vec<PathBuf>) -> Job {
        Job {
            name: name.into(),
            kind: "posture",
            when: When {
                every: every.map(Duration::from_secs),
                on_change: !watched.is_empty(),
            },
            work: Box::new(Of(Arc::clone(&self.world), watched)),
        }
    }

    fn core(&self, jobs: Vec<Job>) -> Core {
        let mut core = Core::new(self.options());
        core.change(jobs);
        core
    }

    fn pass(&self, seconds: i64) {
        *self.time.lock().unwrap() += seconds;
    }

    fn finds(&self, open: &[(&'static str, Severity)]) {
        self.world.lock().unwrap().open = open.to_vec();
    }

    fn alerts(&self) -> Vec<AlertRecord> {
        let query = AlertQuery::default();
        let page = self
            .store
            .db
            .search(&query, AlertSort::Time, true, None, 100)
            .unwrap();
        let mut alerts = page.alerts;
        alerts.sort_by(|one, other| one.alert.id.cmp(&other.alert.id));
        alerts
    }

    fn ids(&self) -> Vec<String> {
        self.alerts().into_iter().map(|one| one.alert.id).collect()
    }

    fn last(&self, job: &str) -> JobRun {
        self.store.db.job_runs(job, 1).unwrap().remove(0)
    }
}

const HOUR: Option<u64> = Some(3600);

#[test]
fn what_is_new_is_told_once_and_what_is_gone_says_so() {
    let bench = Bench::new();
    let mut core = bench.core(vec![bench.job("posture", HOUR, Vec::new())]);
    bench.finds(&[
        ("a", Severity::High),
        ("b", Severity::Medium),
        ("mild", Severity::Low),
    ]);
    assert!(core.tick(), "the first run waits for nothing");
    assert!(!core.tick(), "and is the only one");
    assert_eq!(
        bench.ids(),
        ["a", "b"],
        "what is milder than asked for makes no alert"
    );
    let run = bench.last("posture");
    assert_eq!(
        (run.state, run.found, run.new, run.gone),
        (JobState::Done, 3, 3, 0)
    );
    let due = |bench: &Bench| bench.store.db.jobs().unwrap()[0].due.map(|due| due.seconds);
    assert_eq!(due(&bench), Some(1_003_600));
    // The same again.
    bench.pass(3599);
    assert!(!core.tick());
    bench.pass(1);
    assert!(core.tick());
    assert_eq!(bench.ids(), ["a", "b"]);
    let run = bench.last("posture");
    assert_eq!((run.found, run.new, run.gone), (3, 0, 0));
    let waiting = || {
        bench
            .store
            .db
            .due("out", bench.options().clock.as_ref()(), 100)
            .unwrap()
            .len()
    };
    assert_eq!(waiting(), 2, "each is delivered once");
    // One is mended, somebody answers for the other, and nobody can see the third.
    bench.finds(&[]);
    {
        let mut world = bench.world.lock().unwrap();
        world.answered = vec!["b"];
        world.hidden = vec!["mild"];
    }
    bench.pass(3600);
    assert!(core.tick());
    let run = bench.last("posture");
    assert_eq!((run.state, run.found, run.gone), (JobState::Partial, 0, 1));
    assert_eq!(run.why, "mild is hidden");
    let gone = |bench: &Bench| -> Vec<String> {
        let findings = bench.store.db.job_findings("posture").unwrap();
        let gone = findings.into_iter().filter(|one| one.gone.is_some());
        gone.map(|one| one.seen.id).collect()
    };
    assert_eq!(gone(&bench), ["a"]);
    let alerts = bench.alerts();
    assert_eq!(alerts[0].labels, ["gone"]);
    assert_eq!(
        alerts[0].state,
        AlertState::Open,
        "whether it mattered is for people to say"
    );
    assert!(alerts[1].labels.is_empty());
    // Somebody closes it, and it comes back.
    let close = neph_store::AlertAction::Close {
        verdict: neph_store::Verdict::TruePositive,
        reason: "mended".into(),
    };
    let ids = neph_store::Selection::Ids(vec!["a".into()]);
    bench.store.db.act(ids, close, "somebody", core.now()).unwrap();
    bench.finds(&[("a", Severity::High)]);
    bench.pass(3600);
    assert!(core.tick());
    let alerts = bench.alerts();
    assert_eq!((alerts[0].state, alerts[0].labels.len()), (AlertState::Open, 0));
    assert_eq!(bench.last("posture").new, 1);
    let findings = bench.store.db.job_findings("posture").unwrap();
    assert_eq!(
        (
            findings[0].seen.id.as_str(),
            findings[0].returns,
            findings[0].gone
        ),
        ("a", 1, None)
    );
    let notes = bench.store.db.alert_history("a").unwrap();
    let notes: Vec<&str> = notes.iter().map(|entry| entry.details.as_str()).collect();
    assert!(
        notes
            .iter()
            .any(|note| note.contains("does not find it any more")),
        "{notes:?}"
    );
    assert!(
        notes.iter().any(|note| note.contains("found it again")),
        "{notes:?}"
    );
    assert_eq!(bench.ids(), ["a", "b"], "it is the same alert");
}

#[test]
fn a_run_that_the_service_did_not_live_to_end_is_begun_again() {
    let mut bench = Bench::new();
    bench.finds(&[("a", Severity::High)]);
    let mut core = bench.core(vec![bench.job("posture", HOUR, Vec::new())]);
    assert!(core.tick());
    bench.pass(3600);
    // It ends between the alerts and the end of the run.
    bench.finds(&[("a", Severity::High), ("b", Severity::High)]);
    let now = core.now();
    bench.store.db.job_began("posture", "", now).unwrap();
    let document = json!({"@timestamp": "2026-01-01T00:00:00Z", "message": "b", "event": {"id": "b"}, "rule": {"id": "r"}});
    let alert = neph_store::StoredAlert::from_document(document.to_string().into_bytes()).unwrap();
    let commit = neph_store::Commit {
        now,
        alerts: vec![neph_store::AlertChange::Raised(alert)],
        ..neph_store::Commit::default()
    };
    bench.store.db.commit(commit).unwrap();
    drop(core);
    let folder = bench.folder.path().join("data");
    let elsewhere = bench.folder.path().join("elsewhere");
    drop(std::mem::replace(&mut bench.store, open(&elsewhere)));
    bench.store = open(&folder);
    let mut core = bench.core(vec![bench.job("posture", HOUR, Vec::new())]);
    let run = bench.last("posture");
    assert_eq!(run.state, JobState::Interrupted);
    bench.pass(1);
    assert!(core.tick(), "at once");
    assert!(!core.tick());
    assert_eq!(bench.ids(), ["a", "b"]);
    assert_eq!(
        bench.last("posture").new,
        1,
        "what was known before is known still"
    );
    // After another start nothing is due before its time.
    let mut core = bench.core(vec![bench.job("posture", HOUR, Vec::new())]);
    assert!(!core.tick());
    bench.pass(3600);
    assert!(core.tick());
}

#[test]
fn what_fails_is_told_once_and_tried_again() {
    let bench = Bench::new();
    bench.finds(&[("a", Severity::High)]);
    let mut core = bench.core(vec![bench.job("posture", HOUR, Vec::new())]);
    assert!(core.tick());
    bench.world.lock().unwrap().fails = Some("there is nothing");
    bench.pass(3600);
    assert!(core.tick());
    let run = bench.last("posture");
    assert_eq!(
        (run.state, run.why.as_str()),
        (JobState::Failed, "there is nothing")
    );
    assert!(bench.alerts()[0].labels.is_empty(), "nothing is known to be gone");
    bench.pass(600);
    assert!(core.tick(), "sooner than in an hour");
    bench.world.lock().unwrap().breaks = true;
    bench.pass(600);
    assert!(core.tick());
    assert!(bench.last("posture").why.contains("mistake in the program"));
    {
        let mut world = bench.world.lock().unwrap_or_else(PoisonError::into_inner);
        (world.breaks, world.fails) = (false, None);
    }
    bench.world.clear_poison();
    assert!(!core.tick());
    core.want(BTreeSet::from(["posture".to_owned()]));
    assert!(core.tick(), "whoever asks does not wait");
    assert_eq!(bench.last("posture").state, JobState::Done);
    let heard = bench.heard.lock().unwrap().clone();
    let expected = [
        "1 new, 0 gone; ",
        "failed: there is nothing",
        "failed: it broke off; this is a mistake in the program",
        "0 new, 0 gone; ",
    ];
    assert_eq!(heard, expected);
    let (_, report) = bench.store.db.job_report("posture").unwrap().unwrap();
    assert_eq!(
        report, br#"{"looks":5}"#,
        "what is shown is of the newest run that saw something"
    );
}

#[test]
fn files_are_waited_for_until_they_rest() {
    let bench = Bench::new();
    let collected = bench.folder.path().join("collected");
    std::fs::create_dir(&collected).unwrap();
    let mut core = bench.core(vec![bench.job("posture", None, vec![collected.clone()])]);
    assert!(core.tick());
    for _ in 0..5 {
        bench.pass(60);
        assert!(!core.tick(), "nothing changed");
    }
    std::fs::write(collected.join("a.json"), "[").unwrap();
    bench.pass(60);
    assert!(!core.tick(), "somebody may be writing still");
    std::fs::write(collected.join("a.json"), "[]").unwrap();
    bench.pass(60);
    assert!(!core.tick());
    bench.pass(60);
    assert!(core.tick());
    bench.pass(600);
    assert!(!core.tick());
    // What changed while the service was away is seen.
    drop(core);
    std::fs::write(collected.join("b.json"), "[]").unwrap();
    let mut core = bench.core(vec![bench.job("posture", None, vec![collected])]);
    assert!(!core.tick());
    bench.pass(60);
    assert!(core.tick());
}

#[test]
fn the_job_that_waits_longest_is_first() {
    let bench = Bench::new();
    let jobs = vec![
        bench.job("one", Some(100), Vec::new()),
        bench.job("other", Some(30), Vec::new()),
        bench.job("by-hand", None, Vec::new()),
    ];
    let mut core = bench.core(jobs);
    let mut order = Vec::new();
    let newest = |bench: &Bench| {
        let mut runs: Vec<JobRun> = ["one", "other", "by-hand"]
            .iter()
            .flat_map(|job| bench.store.db.job_runs(job, 100).unwrap())
            .collect();
        runs.sort_by_key(|run| run.id);
        runs.pop().unwrap().job
    };
    for _ in 0..100 {
        bench.pass(1);
        while core.tick() {
            order.push(newest(&bench));
        }
    }
    assert_eq!(order, ["one", "other", "other", "other", "other"]);
    bench.pass(30);
    while core.tick() {
        order.push(newest(&bench));
    }
    assert_eq!(order[5..], ["one", "other"], "one was due before");
    // Other jobs take their place; what is known of runs stays.
    core.change(vec![bench.job("one", Some(100), Vec::new())]);
    assert!(!core.tick());
    let names: Vec<String> = bench
        .store
        .db
        .jobs()
        .unwrap()
        .into_iter()
        .map(|job| job.name)
        .collect();
    assert_eq!(names, ["one"]);
}

/// Counts how many looks are under way at once.
struct Slow(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>);

impl Work for Slow {
    fn watched(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn look(&self, _: Timestamp) -> Result<Looked, String> {
        let Self(now, most, looks) = self;
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(30));
        now.fetch_sub(1, Ordering::SeqCst);
        looks.fetch_add(1, Ordering::SeqCst);
        Ok(Looked::nothing(Vec::new(), None))
    }
}

#[test]
fn the_thread_runs_one_job_at_a_time() {
    let bench = Bench::new();
    let (now, most, looks) = (Arc::default(), Arc::default(), Arc::default());
    let jobs = || {
        ["one", "other"].map(|name| Job {
            name: name.into(),
            kind: "posture",
            when: When {
                every: Some(Duration::from_secs(3600)),
                on_change: false,
            },
            work: Box::new(Slow(Arc::clone(&now), Arc::clone(&most), Arc::clone(&looks))),
        })
    };
    let scheduler = Scheduler::start(bench.options(), jobs().into()).unwrap();
    let patience = Stopwatch::now();
    let until = |count: usize| {
        while looks.load(Ordering::SeqCst) < count && patience.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(looks.load(Ordering::SeqCst), count);
    };
    until(2);
    for _ in 0..10 {
        assert!(scheduler.want("one") && scheduler.want("other"));
    }
    assert!(!scheduler.want("third"));
    while looks.load(Ordering::SeqCst) < 4 && patience.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    scheduler.change(jobs().into());
    scheduler.stop(Duration::from_secs(30));
    assert_eq!(most.load(Ordering::SeqCst), 1);
    let done = looks.load(Ordering::SeqCst);
    assert!((4..=6).contains(&done), "{done}");
    scheduler.want("one");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(looks.load(Ordering::SeqCst), done, "it has ended");
}
