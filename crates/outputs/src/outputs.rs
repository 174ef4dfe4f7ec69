//! All outputs of a service: their workers, how they stand, what is done to them by hand.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use neph_config::{Output, Places};
use neph_event::Instant;
use neph_store::{AlertRecord, Database, DeliveryKind, OutboxCounts, StoreError, StoredAlert};
use serde_json::json;

use crate::check::template_of;
use crate::deliver::{Desk, Hear, Surroundings, Worker};
use crate::filter::Filter;
use crate::transport::open;
use crate::{Message, Outcome};

/// What is to be told of an output, for the log of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// It fails, and did not before; it is tried again.
    Fails {
        /// The output.
        output: &'a str,
        /// What it met.
        error: &'a str,
    },
    /// It works again.
    Recovered {
        /// The output.
        output: &'a str,
    },
    /// Alerts became dead letters.
    GaveUp {
        /// The output.
        output: &'a str,
        /// How many.
        alerts: u64,
        /// What the last try met.
        error: &'a str,
    },
    /// Dead letters could not be written into their file; the database has them.
    Letters {
        /// The output.
        output: &'a str,
        /// Why.
        error: &'a str,
    },
    /// The store failed; it is tried again.
    Store {
        /// The output.
        output: &'a str,
        /// Why.
        error: &'a str,
    },
    /// The output cannot be started.
    Refused {
        /// The output.
        output: &'a str,
        /// Why.
        error: &'a str,
    },
}

/// What outputs work with.
#[derive(Clone)]
pub struct OutputOptions {
    /// The folder of dead letters.
    pub dead_letters: PathBuf,
    /// Where people see alerts: an alert's id goes behind it.
    pub link: Option<String>,
    /// What time it is.
    pub now: fn() -> Instant,
    /// Hears what happens.
    pub hear: Hear,
}

/// How an output stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputState {
    /// Its counts; the name among them.
    pub counts: OutboxCounts,
    /// What kind of output it is; none where the configuration has it no more.
    pub kind: Option<&'static str>,
    /// How it works.
    pub work: Work,
    /// When something was delivered last, since the service started.
    pub delivered_at: Option<Instant>,
    /// When it failed last, since the service started.
    pub error_at: Option<Instant>,
    /// When it is tried again, while it fails.
    pub next_try: Option<Instant>,
}

/// How an output works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// It delivers.
    Works,
    /// What it tried last failed; it is tried again.
    Fails,
    /// The configuration has it no more: what waits for it stays until it is there again or is discarded.
    Removed,
}

impl Work {
    /// `works`, `fails`, `removed`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Fails => "fails",
            Self::Removed => "removed",
        }
    }
}

/// A worker that runs.
struct Running {
    output: Output,
    desk: Arc<Desk>,
    /// Closed when the worker has ended.
    ended: Receiver<()>,
}

/// All outputs of a service.
pub struct Outputs {
    around: Surroundings,
    running: Mutex<Vec<Running>>,
}

impl Outputs {
    /// No outputs yet; [`Outputs::change`] brings them.
    pub fn new(db: Database, options: OutputOptions) -> Self {
        Self {
            around: Surroundings {
                db,
                folder: options.dead_letters,
                link: options.link,
                now: options.now,
                hear: options.hear,
            },
            running: Mutex::default(),
        }
    }

    fn running(&self) -> MutexGuard<'_, Vec<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes these the outputs: what is not among them ends, what is new or changed begins, what is the same goes on. What is tried
    /// again is tried at once, with files and secrets read anew.
    pub fn change(&self, outputs: &[Output]) {
        let same = |a: &Output, b: &Output| {
            let plain = |output: &Output| Output {
                places: Places::default(),
                ..output.clone()
            };
            plain(a) == plain(b)
        };
        let mut running = self.running();
        let (kept, ended): (Vec<_>, Vec<_>) = std::mem::take(&mut *running).into_iter().partition(|one| {
            outputs.iter().any(|output| same(output, &one.output)) && template_of(&one.output).is_none()
        });
        for one in &ended {
            one.desk.stop();
        }
        // Two workers of one output would send twice.
        for one in &ended {
            one.wait();
        }
        for one in &kept {
            self.hurry(one);
        }
        *running = kept;
        for output in outputs {
            if !running.iter().any(|one| one.output.name == output.name) {
                match self.start(output) {
                    Ok(started) => running.push(started),
                    Err(error) => (self.around.hear)(&Notice::Refused {
                        output: &output.name,
                        error: &error,
                    }),
                }
            }
        }
    }

    /// What fails is tried again now.
    fn hurry(&self, one: &Running) {
        let name = &one.output.name;
        // Where the database fails it is tried again in its time.
        if let Err(error) = self.around.db.hurry(name, (self.around.now)()) {
            (self.around.hear)(&Notice::Store {
                output: name,
                error: &error.to_string(),
            });
        }
        one.desk.wake();
    }

    fn start(&self, output: &Output) -> Result<Running, String> {
        let (filter, diagnostics) = Filter::new(output, (self.around.now)());
        let Some(filter) = filter else {
            let first = diagnostics.first().map(|diagnostic| diagnostic.message.clone());
            return Err(format!("its filter is wrong: {}", first.unwrap_or_default()));
        };
        let desk = Arc::new(Desk::default());
        let worker = Worker::new(output.clone(), filter, self.around.clone(), Arc::clone(&desk));
        let (alive, ended) = channel::<()>();
        std::thread::Builder::new()
            .name(format!("out-{}", output.name))
            .spawn(move || {
                worker.run();
                drop(alive);
            })
            .map_err(|error| format!("no thread for it: {error}"))?;
        Ok(Running {
            output: output.clone(),
            desk,
            ended,
        })
    }

    /// Ends all outputs. What is being sent is waited for, as long as the output's timeout is.
    pub fn stop(&self) {
        let ended = std::mem::take(&mut *self.running());
        for one in &ended {
            one.desk.stop();
        }
        for one in &ended {
            one.wait();
        }
    }

    /// How all outputs stand: those of the configuration, and those that are gone and left something.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn states(&self) -> Result<Vec<OutputState>, StoreError> {
        let mut all = self.around.db.outbox_counts()?;
        let running = self.running();
        for one in running.iter() {
            if !all.iter().any(|counts| counts.output == one.output.name) {
                all.push(OutboxCounts {
                    output: one.output.name.clone(),
                    ..OutboxCounts::default()
                });
            }
        }
        all.sort_by(|a, b| a.output.cmp(&b.output));
        let state = |mut counts: OutboxCounts| {
            let Some(one) = running.iter().find(|one| one.output.name == counts.output) else {
                return OutputState {
                    counts,
                    kind: None,
                    work: Work::Removed,
                    delivered_at: None,
                    error_at: None,
                    next_try: None,
                };
            };
            let now = one.desk.state().clone();
            if let Some((_, error)) = &now.error {
                counts.error = Some(error.clone());
            }
            OutputState {
                counts,
                kind: Some(one.output.kind.word()),
                work: if now.is_down { Work::Fails } else { Work::Works },
                delivered_at: now.delivered,
                error_at: now.error.map(|(at, _)| at),
                next_try: now.next_try,
            }
        };
        Ok(all.into_iter().map(state).collect())
    }

    /// Whether the configuration has an output of this name.
    pub fn has(&self, name: &str) -> bool {
        self.running().iter().any(|one| one.output.name == name)
    }

    /// Makes what was given up for an output due again; how many alerts.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn redeliver(&self, name: &str) -> Result<u64, StoreError> {
        let revived = self.around.db.revive(name, (self.around.now)())?;
        if let Some(one) = self.running().iter().find(|one| one.output.name == name) {
            self.hurry(one);
        }
        Ok(revived)
    }

    /// Takes away what was given up for an output, and what waits for it if the configuration has it no more; how many alerts.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn discard(&self, name: &str) -> Result<u64, StoreError> {
        self.around.db.discard(name, !self.has(name))
    }

    /// Sends an alert that says of itself that it is a test; none if there is no output of this name.
    pub fn test(&self, name: &str, who: &str) -> Option<Outcome> {
        let output = {
            let running = self.running();
            running.iter().find(|one| one.output.name == name)?.output.clone()
        };
        let now = (self.around.now)();
        let alert = test_alert(&output, who, now);
        let message = Message {
            key: alert.alert.id.clone(),
            kind: DeliveryKind::Raised,
            alert: &alert,
            group: None,
            link: None,
            sent: now,
            test: true,
        };
        // A connection of its own, so that the worker is not disturbed.
        let sent = match open(&output) {
            Ok(mut transport) => transport.send(std::slice::from_ref(&message)),
            Err(error) => vec![Outcome::never(error.to_string())],
        };
        Some(
            sent.into_iter()
                .next()
                .unwrap_or_else(|| Outcome::later("nothing is known of it")),
        )
    }
}

impl Running {
    fn wait(&self) {
        let patience = self.output.timeout.saturating_add(Duration::from_secs(1));
        let ended = self.ended.recv_timeout(patience);
        debug_assert!(
            ended != Err(RecvTimeoutError::Timeout),
            "a transport takes longer than its timeout"
        );
    }
}

fn test_alert(output: &Output, who: &str, now: Instant) -> AlertRecord {
    let id = format!("test-{}", now.as_nanos());
    let rule = "neph.test";
    let reason = format!(
        "this is a test of the output `{}` by {who}, and no alert",
        output.name
    );
    let severity = match output.severity.as_str() {
        "critical" => neph_store::Severity::Critical,
        "high" => neph_store::Severity::High,
        "medium" => neph_store::Severity::Medium,
        _ => neph_store::Severity::Low,
    };
    let document = json!({
        "@timestamp": now.to_string(),
        "event": {"kind": "alert", "id": id},
        "kibana": {"alert": {"severity": severity.word(), "risk_score": 0}},
        "message": reason,
        "neph": {"alert": {"id": id}, "test": true},
        "rule": {"id": rule, "name": "Test of an output"},
        "tags": ["test"],
    });
    AlertRecord::new(
        StoredAlert {
            id,
            rule_id: rule.to_owned(),
            rule_name: "Test of an output".to_owned(),
            rule_version: String::new(),
            severity,
            risk_score: 0,
            reason,
            time: now,
            first: None,
            last: None,
            count: 1,
            techniques: Vec::new(),
            tactics: Vec::new(),
            tags: vec!["test".to_owned()],
            entities: Vec::new(),
            document: document.to_string().into_bytes(),
        },
        now,
    )
}
