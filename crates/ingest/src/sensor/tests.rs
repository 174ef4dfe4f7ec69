//! The sensor of the service, on a made-up host: what comes to the log, and what to the ledger.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use neph_sensor::Mode;
use neph_store::{Batch, Gap, GapKind, SilenceLimits, Store, StoreError, StoreOptions};

use super::*;
use crate::intake::{Done, Sink};
use crate::listener::{Stopper, shutdown};
use crate::{Limits, Tokens};

/// What a sensor tells, one step a reading.
#[derive(Clone, Debug)]
enum Step {
    Lines(&'static str),
    Loses(Class, Cause, u64),
    Ends(&'static str),
    Runs,
    /// Reading it takes a while.
    Waits(Duration),
    /// It is time for the service to stop.
    Stop,
}

struct Told {
    steps: std::vec::IntoIter<Step>,
    abilities: Abilities,
    counts: Counts,
    notices: Vec<Notice>,
    /// What is still to be read after it was closed.
    left: Option<&'static str>,
    closed: bool,
    stopper: Arc<Stopper>,
}

impl Told {
    fn boxed(steps: Vec<Step>, left: Option<&'static str>, stopper: &Arc<Stopper>) -> Box<dyn Looks> {
        Box::new(Self {
            steps: steps.into_iter(),
            abilities: abilities(),
            counts: Counts::default(),
            notices: Vec::new(),
            left,
            closed: false,
            stopper: Arc::clone(stopper),
        })
    }
}

impl Looks for Told {
    fn abilities(&self) -> &Abilities {
        &self.abilities
    }

    fn counts(&self) -> &Counts {
        &self.counts
    }

    fn read(&mut self, _: Duration, lines: &mut Vec<u8>) -> usize {
        if self.closed {
            lines.extend(self.left.take().unwrap_or_default().as_bytes());
            return 1;
        }
        match self.steps.next().unwrap_or(Step::Stop) {
            Step::Lines(text) => lines.extend(text.as_bytes()),
            Step::Loses(class, cause, count) => *self.counts.lost.entry((class, cause)).or_default() += count,
            Step::Ends(why) => self.notices.push(Notice::Ended(why.to_owned())),
            Step::Runs => self.notices.push(Notice::Restarted(abilities())),
            Step::Waits(time) => std::thread::sleep(time),
            Step::Stop => self.stopper.stop(),
        }
        1
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    fn close(&mut self) {
        self.closed = true;
    }

    fn is_over(&self) -> bool {
        self.closed && self.left.is_none()
    }
}

fn abilities() -> Abilities {
    Abilities {
        mode: Mode::Ebpf,
        hooks: Vec::new(),
        unseen: Vec::new(),
        uncertain: Vec::new(),
        passed_over: Vec::new(),
    }
}

/// A log that takes nothing the first few times.
#[derive(Default)]
struct Log {
    records: Mutex<Vec<String>>,
    refuses: AtomicUsize,
}

impl Sink for Log {
    fn refuse(&self, _: &Batch, _: &StoreError) {}

    fn append(&self, batch: Batch, done: Done) {
        let is_busy = |left: usize| left.checked_sub(1);
        let tried = self
            .refuses
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_busy);
        if tried.is_ok() {
            return done(Err(StoreError::Behind));
        }
        let lines = batch
            .records
            .iter()
            .map(|line| String::from_utf8_lossy(line).into_owned());
        self.records.lock().unwrap().extend(lines);
        done(Ok(()));
    }
}

struct Host {
    store: Store,
    log: Arc<Log>,
    stopper: Arc<Stopper>,
    _folder: tempfile::TempDir,
}

impl Host {
    /// Runs what is made of a sensor until it is told to stop; gives what was told of it.
    fn run(
        refuses: usize,
        start: impl Fn(usize, &Arc<Stopper>) -> Result<Box<dyn Looks>, String>,
    ) -> (Self, Vec<SensorNews>) {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(folder.path(), &StoreOptions::default()).unwrap();
        let log = Arc::new(Log::default());
        log.refuses.store(refuses, Ordering::Relaxed);
        let counts = Arc::new(crate::Counts::new(10));
        let sink: Arc<dyn Sink> = log.clone();
        let intake = Intake::new(sink, Arc::new(Tokens::new([])), Limits::default(), counts);
        let (stopper, stop) = shutdown();
        let stopper = Arc::new(stopper);
        let (news, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let options = SensorOptions::new(Options::default(), "web-1".to_owned(), news);
        let rhythm = Rhythm {
            tell: Duration::from_millis(20),
            again: Duration::from_millis(40),
        };
        let sensing = Sensing::new(options, store.db.clone(), intake, stop, rhythm);
        let mut times = 0;
        sensing.run(|| {
            times += 1;
            start(times, &stopper)
        });
        let mut told = Vec::new();
        while let Ok(news) = heard.try_recv() {
            told.push(news);
        }
        let host = Self {
            store,
            log,
            stopper,
            _folder: folder,
        };
        (host, told)
    }

    fn records(&self) -> Vec<String> {
        self.log.records.lock().unwrap().clone()
    }

    fn losses(&self) -> Vec<Gap> {
        let end = now();
        let gaps = self
            .store
            .db
            .gaps(Moment::from_millis(0)..end, end, &SilenceLimits::default())
            .unwrap();
        gaps.into_iter().filter(|gap| gap.kind == GapKind::Loss).collect()
    }
}

#[test]
fn what_is_lost_stands_in_the_ledger_once_by_class_and_cause() {
    let pause = Step::Waits(Duration::from_millis(30));
    let steps = vec![
        Step::Lines("{\"a\":1}\n{\"a\":2}\n"),
        Step::Loses(Class::Exec, Cause::BufferFull, 5),
        pause.clone(),
        pause.clone(),
        Step::Loses(Class::Exec, Cause::BufferFull, 2),
        Step::Loses(Class::Exit, Cause::Shed, 9),
    ];
    // The log is busy three times; nothing is given up for that.
    let (host, told) = Host::run(3, |_, stopper| {
        Ok(Told::boxed(steps.clone(), Some("{\"a\":3}\n"), stopper))
    });
    assert_eq!(
        host.records(),
        [r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#],
        "each once, what was seen last, too"
    );
    let losses: Vec<(Option<u64>, String)> = host
        .losses()
        .into_iter()
        .map(|gap| {
            assert_eq!(gap.stream.as_deref(), Some("sensor/web-1"));
            (gap.records, gap.why)
        })
        .collect();
    let of = |class: &str, cause: &str| -> u64 {
        let why = format!("the sensor lost {class}: {cause}");
        losses
            .iter()
            .filter(|(_, told)| *told == why)
            .filter_map(|(count, _)| *count)
            .sum()
    };
    assert_eq!(
        (of("exec", "buffer_full"), of("exit", "shed")),
        (7, 9),
        "{losses:?}"
    );
    assert_eq!(losses.iter().filter_map(|(count, _)| *count).sum::<u64>(), 16);
    assert_eq!(told[0], SensorNews::Looks(abilities()));
    assert!(
        told.contains(&SensorNews::Lost(Class::Exec, Cause::BufferFull, 5)),
        "{told:?}"
    );
    assert!(
        told.contains(&SensorNews::Lost(Class::Exec, Cause::BufferFull, 2)),
        "{told:?}"
    );
    drop(host.stopper);
}

#[test]
fn the_time_in_which_nothing_is_seen_stands_in_the_ledger_while_it_lasts() {
    let pause = Step::Waits(Duration::from_millis(50));
    let steps = vec![
        Step::Ends("the kernel has enough"),
        pause.clone(),
        pause.clone(),
        Step::Runs,
        Step::Lines("{}\n"),
        Step::Ends("once more"),
        pause.clone(),
    ];
    let (host, told) = Host::run(0, |_, stopper| Ok(Told::boxed(steps.clone(), None, stopper)));
    let losses = host.losses();
    assert!(losses.iter().all(|gap| gap.records.is_none()));
    let length = |why: &str| -> i128 {
        let told = losses
            .iter()
            .filter(|gap| gap.why == format!("the sensor did not run: {why}"));
        told.map(|gap| gap.to.as_nanos() - gap.from.as_nanos()).sum()
    };
    // Also the second time, which had not ended when the service did.
    assert!(length("the kernel has enough") >= 100_000_000, "{losses:#?}");
    assert!(length("once more") >= 50_000_000, "{losses:#?}");
    // Nothing is told twice.
    let mut sorted = losses.clone();
    sorted.sort_by_key(|gap| gap.from);
    assert!(
        sorted.windows(2).all(|pair| pair[0].to <= pair[1].from),
        "{losses:#?}"
    );
    assert_eq!(
        told,
        [
            SensorNews::Looks(abilities()),
            SensorNews::Blind("the kernel has enough".to_owned()),
            SensorNews::Looks(abilities()),
            SensorNews::Blind("once more".to_owned()),
        ]
    );
}

#[test]
fn a_sensor_that_cannot_start_is_tried_again_and_the_time_until_then_is_told() {
    let (host, told) = Host::run(0, |times, stopper| match times {
        1 | 2 => Err("no rights".to_owned()),
        _ => Ok(Told::boxed(vec![Step::Lines("{\"a\":1}\n")], None, stopper)),
    });
    assert_eq!(host.records(), [r#"{"a":1}"#]);
    let length: i128 = host
        .losses()
        .iter()
        .map(|gap| gap.to.as_nanos() - gap.from.as_nanos())
        .sum();
    assert!(length >= 80_000_000, "{:#?}", host.losses());
    // The same reason is told once.
    assert_eq!(
        told,
        [
            SensorNews::Blind("no rights".to_owned()),
            SensorNews::Looks(abilities())
        ]
    );
}

#[test]
fn a_service_that_stops_before_there_is_a_sensor_says_so() {
    let (host, told) = Host::run(0, |_, stopper| {
        stopper.stop();
        Err("no rights".to_owned())
    });
    assert!(host.records().is_empty());
    assert_eq!(host.losses().len(), 1);
    assert_eq!(told, [SensorNews::Blind("no rights".to_owned())]);
}
