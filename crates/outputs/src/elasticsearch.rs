//! An index or data stream of Elasticsearch or OpenSearch, by `_bulk`
//! (<https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>).
//!
//! In an index a document has the alert's id, so that what changes replaces what was there. Data streams take no changes: there each
//! version of an alert is a document of its own, with the message's key as its id.

use std::collections::BTreeMap;

use neph_config::{Output, OutputKind};
use serde_json::{Value, json};

use crate::http::{Answer, Receiver};
use crate::{Form, Message, OpenError, Outcome, Transport};

/// Documents at once.
const BATCH: usize = 500;
/// Bytes of a request at most, where it holds more than one document.
const BODY: usize = 8 << 20;
/// Bytes of an answer that are read.
const ANSWER: u64 = 32 << 20;

pub(crate) struct Elasticsearch {
    receiver: Receiver,
    index: String,
    form: Form,
    /// Set when the index turned out to be a data stream.
    is_stream: bool,
}

impl Elasticsearch {
    pub(crate) fn open(output: &Output) -> Result<Self, OpenError> {
        let OutputKind::Elasticsearch {
            url,
            index,
            authorization,
            ca,
        } = &output.kind
        else {
            return Err(OpenError::Invalid(format!(
                "`{}` is no search cluster",
                output.name
            )));
        };
        let receiver = Receiver::new(
            &format!("{}/_bulk", url.trim_end_matches('/')),
            &BTreeMap::new(),
            authorization.as_ref(),
            ca.as_deref(),
            output.timeout,
            ANSWER,
        )?;
        Ok(Self {
            receiver,
            index: index.clone(),
            form: Form::of(&output.form),
            is_stream: false,
        })
    }

    /// The action and the document of a message.
    fn item(&self, message: &Message<'_>) -> String {
        let alone = message.group.is_none() && !message.test;
        let action = match (self.is_stream, alone) {
            (false, true) => json!({"index": {"_index": self.index, "_id": message.alert.alert.id}}),
            (false, false) => json!({"index": {"_index": self.index, "_id": message.key}}),
            (true, _) => json!({"create": {"_index": self.index, "_id": message.key}}),
        };
        format!("{action}\n{}\n", self.form.document(message))
    }

    /// Sends what goes into one request; gives as many outcomes as it sent, at least one.
    fn bulk(&mut self, messages: &[Message<'_>]) -> Vec<Outcome> {
        let mut body = String::new();
        let mut count = 0;
        for message in messages {
            let item = self.item(message);
            if count > 0 && body.len() + item.len() > BODY {
                break;
            }
            body.push_str(&item);
            count += 1;
        }
        let answer = match self.receiver.post("application/x-ndjson", None, body.as_bytes()) {
            Err(outcome) => return vec![outcome; count],
            Ok(answer) => answer,
        };
        if !(200..300).contains(&answer.status) {
            return match self.receiver.refused(&answer) {
                // One document too many or too large: the others may be taken by themselves.
                Outcome::Never { .. } if count > 1 => {
                    self.one_by_one(messages.get(..count).unwrap_or_default())
                }
                outcome => vec![outcome; count],
            };
        }
        let Some(items) = items(&answer) else {
            let why = "the answer is not that of a search cluster";
            return vec![Outcome::later(why); count];
        };
        if !self.is_stream && items.iter().any(is_for_streams) {
            self.is_stream = true;
            return self.bulk(messages.get(..count).unwrap_or_default());
        }
        let mut outcomes: Vec<Outcome> = items.iter().map(|item| self.outcome(item)).collect();
        outcomes.resize(
            count,
            Outcome::later("the answer does not speak of all documents"),
        );
        outcomes
    }

    fn one_by_one(&mut self, messages: &[Message<'_>]) -> Vec<Outcome> {
        messages
            .iter()
            .flat_map(|message| self.bulk(std::slice::from_ref(message)))
            .collect()
    }

    fn outcome(&self, item: &Item) -> Outcome {
        match item.status {
            200..300 => Outcome::Delivered,
            // With this id it was created before.
            409 => Outcome::Delivered,
            400..=499 if !matches!(item.status, 401 | 403 | 404 | 408 | 429) => {
                Outcome::never(self.receiver.harmless(&item.why))
            }
            _ => Outcome::later(self.receiver.harmless(&item.why)),
        }
    }
}

/// What became of a document.
struct Item {
    status: u64,
    why: String,
}

fn items(answer: &Answer) -> Option<Vec<Item>> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    let items = body.get("items")?.as_array()?;
    let item = |value: &Value| {
        let result = value.as_object()?.values().next()?;
        let error = result.get("error");
        let part = |name: &str| Some(error?.get(name)?.as_str()?.to_owned());
        let status = result.get("status").and_then(Value::as_u64)?;
        let said = [part("type"), part("reason")]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>();
        let why: String = format!("status {status}: {}", said.join(": "));
        Some(Item {
            status,
            why: why.chars().take(500).collect(),
        })
    };
    items.iter().map(item).collect()
}

/// Whether the target refused a document because data streams only take new ones.
fn is_for_streams(item: &Item) -> bool {
    item.status == 400 && item.why.contains("op_type of create")
}

impl Transport for Elasticsearch {
    fn send(&mut self, messages: &[Message<'_>]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(messages.len());
        while let Some(rest) = messages.get(outcomes.len()..).filter(|rest| !rest.is_empty()) {
            let done = self.bulk(rest);
            // What cannot be reached is not asked once more for the rest.
            let fails = done
                .iter()
                .all(|outcome| matches!(outcome, Outcome::Later { .. }));
            outcomes.extend(done);
            if fails {
                let last = outcomes.last().cloned();
                outcomes.resize(
                    messages.len(),
                    last.unwrap_or_else(|| Outcome::later("no answer")),
                );
            }
        }
        outcomes
    }

    fn batch(&self) -> usize {
        BATCH
    }
}
