//! Runs the calls of a collector: several at once, each written as soon as it is there, none asked twice.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use neph_inventory::{Call, Cloud};
use serde_json::Value;

use crate::name::segment;
use crate::output::{Output, OutputError};
use crate::problem::Problem;
use crate::{Report, Settings};

/// Sees how a run goes.
pub trait Watch: Sync {
    /// So many calls of those known so far are done; this one was the last.
    fn at(&self, done: u64, known: u64, call: &Call);
}

/// Nobody watches.
impl Watch for () {
    fn at(&self, _: u64, _: u64, _: &Call) {}
}

/// An answer.
pub(crate) struct Got {
    pub(crate) content: Content,
    pub(crate) items: u64,
    /// Why it is not whole.
    pub(crate) problem: Option<Problem>,
}

/// What goes into a file.
pub(crate) enum Content {
    Json(Value),
    Text(Vec<u8>),
}

impl Got {
    /// An answer that is whole, with as many items as its lists have.
    pub(crate) fn whole(value: Value) -> Self {
        Self {
            items: items(&value),
            content: Content::Json(value),
            problem: None,
        }
    }
}

/// Items of an answer: what its list has, or its lists together; an object without lists is one.
pub(crate) fn items(value: &Value) -> u64 {
    match value {
        Value::Array(list) => list.len() as u64,
        Value::Object(map) => {
            let mut lists = map.values().filter_map(Value::as_array).peekable();
            match lists.peek() {
                None => u64::from(!map.is_empty()),
                Some(_) => lists.map(|list| list.len() as u64).sum(),
            }
        }
        _ => 1,
    }
}

/// Whose a call is, and so where its file is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) cloud: Cloud,
    pub(crate) account: String,
    pub(crate) region: Option<String>,
}

impl Place {
    /// The file of a call; `name` is ours, `item` comes from an answer.
    pub(crate) fn file(&self, name: &str, item: Option<&str>, ending: &str) -> String {
        let mut file = format!("{}/{}/", self.cloud.name(), segment(&self.account));
        if let Some(region) = &self.region {
            file.push_str(&segment(region));
            file.push('/');
        }
        file.push_str(name);
        if let Some(item) = item {
            file.push('/');
            file.push_str(&segment(item));
        }
        file.push_str(ending);
        file
    }
}

type Ask<'t> = Box<dyn FnOnce() -> Result<Got, Problem> + Send + 't>;
type Then<'t> = Box<dyn FnOnce(&Value) -> Vec<Task<'t>> + Send + 't>;

/// A call to make, and what follows from its answer.
pub(crate) struct Task<'t> {
    place: Place,
    file: String,
    call: String,
    ask: Ask<'t>,
    then: Option<Then<'t>>,
    may_be_absent: bool,
}

impl<'t> Task<'t> {
    /// A call whose answer goes to a file.
    pub(crate) fn new(
        place: &Place,
        file: String,
        call: impl Into<String>,
        ask: impl FnOnce() -> Result<Got, Problem> + Send + 't,
    ) -> Self {
        Self {
            place: place.clone(),
            file,
            call: call.into(),
            ask: Box::new(ask),
            then: None,
            may_be_absent: false,
        }
    }

    /// That there is none is an answer. Elsewhere it says that the wrong thing was asked: a project that does not exist has no empty list.
    pub(crate) fn or_absent(mut self) -> Self {
        self.may_be_absent = true;
        self
    }

    /// What is to be asked for when the answer is there.
    pub(crate) fn then(mut self, then: impl FnOnce(&Value) -> Vec<Task<'t>> + Send + 't) -> Self {
        self.then = Some(Box::new(then));
        self
    }
}

/// Makes calls until there are none left.
pub(crate) struct Run<'a> {
    output: &'a Output,
    watch: &'a dyn Watch,
    report: Mutex<Report>,
}

struct Queue<'t> {
    waiting: VecDeque<Task<'t>>,
    under_way: usize,
    known: u64,
    done: u64,
    /// The folder cannot be written to: no sense in going on.
    broken: Option<OutputError>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(output: &'a Output, watch: &'a dyn Watch) -> Self {
        Self {
            output,
            watch,
            report: Mutex::default(),
        }
    }

    /// Makes the calls, and those that follow from them. What fails is written down, and the others go on.
    pub(crate) fn go<'t>(&self, settings: &Settings, tasks: Vec<Task<'t>>) -> Result<(), OutputError> {
        let tasks = wanted(settings, tasks);
        let known = tasks.len() as u64;
        let queue = Mutex::new(Queue {
            waiting: tasks.into(),
            under_way: 0,
            known,
            done: 0,
            broken: None,
        });
        let (queue, changed) = (&queue, &Condvar::new());
        std::thread::scope(|scope| {
            for _ in 0..settings.jobs.max(1) {
                scope.spawn(move || self.work(settings, queue, changed));
            }
        });
        self.output.save()?;
        match hold(queue).broken.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// What came of it.
    pub(crate) fn report(self) -> Report {
        self.report.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn work<'t>(&self, settings: &Settings, queue: &Mutex<Queue<'t>>, changed: &Condvar) {
        loop {
            let mut held = hold(queue);
            let task = loop {
                if held.broken.is_some() {
                    return;
                }
                match held.waiting.pop_front() {
                    Some(task) => break task,
                    None if held.under_way == 0 => return,
                    None => held = changed.wait(held).unwrap_or_else(PoisonError::into_inner),
                }
            };
            held.under_way += 1;
            drop(held);
            let outcome = self.make(task);
            let mut held = hold(queue);
            held.under_way -= 1;
            held.done += 1;
            match outcome {
                Ok((call, more)) => {
                    let more = wanted(settings, more);
                    held.known += more.len() as u64;
                    held.waiting.extend(more);
                    self.watch.at(held.done, held.known, &call);
                }
                Err(error) => held.broken = Some(error),
            }
            drop(held);
            changed.notify_all();
        }
    }

    /// Makes one call, unless it was made before.
    fn make<'t>(&self, task: Task<'t>) -> Result<(Call, Vec<Task<'t>>), OutputError> {
        if let Some((call, more)) = self.kept(&task) {
            self.report_mut().kept += 1;
            return Ok((
                call,
                task.then
                    .map(|then| more.map(|value| then(&value)).unwrap_or_default())
                    .unwrap_or_default(),
            ));
        }
        let outcome = (task.ask)();
        let mut call = Call {
            file: task.file,
            cloud: task.place.cloud,
            account: Some(task.place.account),
            region: task.place.region,
            call: task.call,
            items: 0,
            at: Timestamp::now(),
            complete: true,
            problem: None,
        };
        let mut more = Vec::new();
        let mut text = None;
        match outcome {
            Ok(got) => {
                call.items = got.items;
                call.complete = got.problem.is_none();
                call.problem = got.problem.map(|problem| problem.to_string());
                text = Some(match got.content {
                    Content::Text(bytes) => bytes,
                    Content::Json(value) => {
                        if let Some(then) = task.then {
                            more = then(&value);
                        }
                        let mut bytes = serde_json::to_vec_pretty(&value).unwrap_or_default();
                        bytes.push(b'\n');
                        bytes
                    }
                });
            }
            Err(Problem::Absent(_)) if task.may_be_absent => {}
            Err(problem) => {
                call.complete = false;
                call.problem = Some(problem.to_string());
            }
        }
        self.output.put(call.clone(), text.as_deref())?;
        self.report_mut().count(&call, text.is_some());
        Ok((call, more))
    }

    /// A call that was made before, and its answer where something follows from it.
    fn kept(&self, task: &Task<'_>) -> Option<(Call, Option<Value>)> {
        let call = self.output.complete(&task.file)?;
        if task.then.is_none() || call.items == 0 {
            return Some((call, None));
        }
        // What cannot be read any more is asked for again.
        let bytes = self.output.read(&task.file).ok()?;
        let value = serde_json::from_slice(&bytes).ok()?;
        Some((call, Some(value)))
    }

    fn report_mut(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The calls that are not left out.
fn wanted<'t>(settings: &Settings, mut tasks: Vec<Task<'t>>) -> Vec<Task<'t>> {
    tasks.retain(|task| {
        !settings
            .skip
            .iter()
            .any(|skipped| task.call.starts_with(skipped.as_str()))
    });
    tasks
}

fn hold<'q, 't>(queue: &'q Mutex<Queue<'t>>) -> MutexGuard<'q, Queue<'t>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
