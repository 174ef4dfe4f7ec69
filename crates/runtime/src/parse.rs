//! Reads and parses every record into a whole document, and does nothing with it: the floor that the speed of everything
//! else is measured against.

use crate::input::{Chunk, Reader};
use crate::pipeline::Worker;
use crate::run::{Outcome, RunOptions, Tally, drive};
use crate::{Progress, RunError, Summary};

/// Parses every record of the inputs.
///
/// # Errors
/// [`RunError::Strict`] at the first problem, if the options want it so; [`RunError::Thread`] if threads cannot be started.
pub fn parse(
    reader: &mut Reader,
    options: &RunOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, RunError> {
    let mut workers: Vec<Parser> = (0..options.threads.max(1)).map(|_| Parser).collect();
    drive(reader, &mut workers, options, progress, |()| 0)
}

struct Parser;

impl Worker for Parser {
    type Output = Outcome<()>;

    fn work(&mut self, chunk: &Chunk) -> Outcome<()> {
        let mut tally = Tally::default();
        for record in chunk.records() {
            let record = match record {
                Ok(record) => record,
                Err((position, problem)) => {
                    tally.refuse(position, problem);
                    continue;
                }
            };
            match sonic_rs::from_slice::<sonic_rs::Value>(record.document) {
                Ok(value) if sonic_rs::JsonValueTrait::is_object(&value) => tally.records += 1,
                Ok(_) => tally.refuse_record(chunk, &record, "the record is not a JSON object"),
                Err(error) => tally.refuse_record(chunk, &record, &error.to_string()),
            }
        }
        Outcome { tally, found: () }
    }
}
