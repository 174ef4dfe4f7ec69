//! The thread that writes.

use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use rusqlite::Connection;

use crate::StoreError;

/// How many changes one transaction takes at most, so that none waits for long.
const TOGETHER: usize = 512;

/// A change that waits: runs inside the transaction, unless that could not begin, and yields what answers its caller once the
/// transaction's fate is known.
type Change = Box<dyn FnOnce(Result<&Connection, StoreError>) -> Answer + Send>;
/// Answers the caller: with the error if the transaction failed.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Hands changes to the thread; dropping it lets the thread finish what waits.
pub(super) struct Writer {
    changes: Option<Sender<Change>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Self {
        let (sender, receiver) = unbounded();
        let thread = std::thread::Builder::new()
            .name("neph-database".to_owned())
            .spawn(move || write_all(&connection, &receiver))
            .ok();
        Self {
            changes: Some(sender),
            thread,
        }
    }

    pub(super) fn run<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = bounded(1);
        self.hand_over(change, move |result| {
            // A caller that no longer waits needs no answer.
            sender.send(result).ok();
        })?;
        receiver.recv().unwrap_or(Err(CLOSING))
    }

    /// The same without waiting; `done` runs on the thread.
    pub(super) fn hand_over<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        done: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        let boxed: Change = Box::new(move |connection| {
            let result = connection.and_then(|connection| in_savepoint(connection, change));
            Box::new(move |committed| done(result.and_then(|value| committed.map(|()| value))))
        });
        let changes = self.changes.as_ref().ok_or(CLOSING)?;
        changes.send(boxed).map_err(|_| CLOSING)
    }
}

const CLOSING: StoreError = StoreError::ReadOnly {
    why: "its writer has stopped",
};

impl Drop for Writer {
    fn drop(&mut self) {
        self.changes = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn write_all(connection: &Connection, changes: &Receiver<Change>) {
    while let Ok(first) = changes.recv() {
        let mut waiting = vec![first];
        waiting.extend(changes.try_iter().take(TOGETHER - 1));
        let mut answers = Vec::with_capacity(waiting.len());
        let mut failed = connection
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(StoreError::from);
        for change in waiting {
            answers.push(change(failed.clone().map(|()| connection)));
            // On errors such as a full disk SQLite may roll back everything at once; what follows must not run alone
            // (<https://www.sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction>).
            if failed.is_ok() && connection.is_autocommit() {
                failed = Err(StoreError::ReadOnly {
                    why: "the transaction was rolled back",
                });
            }
        }
        let outcome = failed.and_then(|()| Ok(connection.execute_batch("COMMIT")?));
        if !connection.is_autocommit() {
            connection.execute_batch("ROLLBACK").ok();
        }
        for answer in answers {
            answer(outcome.clone());
        }
    }
}

fn in_savepoint<T>(
    connection: &Connection,
    change: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    connection.execute_batch("SAVEPOINT change")?;
    match change(connection) {
        Ok(value) => {
            connection.execute_batch("RELEASE change")?;
            Ok(value)
        }
        Err(error) => {
            // Where SQLite rolled back everything at once the savepoint is gone, too; what led to it is to be told.
            if !connection.is_autocommit() {
                connection.execute_batch("ROLLBACK TO change; RELEASE change")?;
            }
            Err(error)
        }
    }
}
