//! Standard output: a document a line.

use std::io::Write;

use crate::{Form, Message, Outcome, Transport};

/// Messages at once.
const BATCH: usize = 500;

pub(crate) struct Stdout {
    form: Form,
}

impl Stdout {
    pub(crate) fn new(form: Form) -> Self {
        Self { form }
    }
}

/// Documents, a line each.
pub(crate) fn lines(form: Form, messages: &[Message<'_>]) -> Vec<u8> {
    let mut text = Vec::new();
    for message in messages {
        // Writing JSON into memory cannot fail.
        let _ = serde_json::to_writer(&mut text, &form.document(message));
        text.push(b'\n');
    }
    text
}

impl Transport for Stdout {
    fn send(&mut self, messages: &[Message<'_>]) -> Vec<Outcome> {
        let mut out = std::io::stdout().lock();
        let written = out
            .write_all(&lines(self.form, messages))
            .and_then(|()| out.flush());
        let outcome = match written {
            Ok(()) => Outcome::Delivered,
            Err(error) => Outcome::later(format!("cannot write to standard output: {error}")),
        };
        vec![outcome; messages.len()]
    }

    fn batch(&self) -> usize {
        BATCH
    }
}
