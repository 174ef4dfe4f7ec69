//! What is an ECS document already, and passes as it is.
//!
//! Vendors and agents put `@timestamp`, `ecs.version` and more of ECS into records that are far from being ECS
//! documents. A document says what kind of event it is (`event.category`, `event.type`), or which module made it of
//! which data stream, as this crate's do. What an agent has prepared for an ingest pipeline to finish is none.

use neph_event::{Field, FieldType, Row, Slots};

use crate::record::Record;
use crate::source::{Confidence, Derived, Dropped, SourceInfo, Stateless};
use crate::tree::{Map, Value};

/// Documents that are ECS already. They are recognised before any source is asked.
pub(crate) const INFO: SourceInfo = SourceInfo {
    name: "ecs",
    aliases: &[],
    title: "ECS documents, as they are",
    module: "",
    dataset: "",
    os: None,
    mappings: &[],
    derived: &[NOTHING],
    detect: |_| Confidence::No,
    start: || Box::new(Stateless(as_it_is)),
};

const NOTHING: &[Derived] = &[];

fn as_it_is<'a>(record: &Record<'a>) -> Result<&'a Map<'a>, Dropped> {
    record.object.ok_or(Dropped::Malformed("it is no JSON object"))
}

/// The fields that tell; see [`is_ecs`].
pub const ECS_MARKS: [&str; 6] = [
    "@timestamp",
    "event.category",
    "event.type",
    "event.module",
    "data_stream.dataset",
    // Auditbeat numbers its events so; its ingest pipeline makes `event.sequence` of it.
    "auditd.sequence",
];

/// Whether an object is an ECS document, where `has` tells if it has a value in the field of [`ECS_MARKS`] at a position.
pub fn is_ecs(has: impl Fn(usize) -> bool) -> bool {
    let [time, category, kind, module, dataset, unfinished] = [0, 1, 2, 3, 4, 5].map(has);
    time && !unfinished && (category || kind || (module && dataset))
}

/// The fields of [`ECS_MARKS`], as they are to be read.
pub fn ecs_marks() -> impl Iterator<Item = Field> {
    ECS_MARKS
        .into_iter()
        .map(|path| Field::new(path, FieldType::Keyword))
}

/// Tells whether objects are ECS documents.
#[derive(Debug)]
pub(crate) struct Marks {
    slots: Slots,
    row: Row,
}

impl Default for Marks {
    fn default() -> Self {
        let mut slots = Slots::default();
        for field in ecs_marks() {
            slots.add(field);
        }
        Self {
            slots,
            row: Row::default(),
        }
    }
}

impl Marks {
    pub(crate) fn are_on<'a>(&mut self, object: &'a Map<'a>) -> bool {
        let Self { slots, row } = self;
        if object.get("@timestamp").is_none() {
            return false;
        }
        // Documents of Auditbeat are large and many, and it is plain that they are unfinished.
        let auditd = object.get("auditd").and_then(Value::as_map);
        if let Some(Value::Int(_)) = auditd.and_then(|auditd| auditd.get("sequence")) {
            return false;
        }
        if row.read_from(slots, Value::Map(object)).is_err() {
            return false;
        }
        let row = &*row;
        is_ecs(|position| {
            let slot = u32::try_from(position).map(neph_event::Slot);
            slot.is_ok_and(|slot| row.first(slot).is_some())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Marks;
    use crate::json;
    use crate::tree::Arena;

    #[test]
    fn documents_are_told_from_records() {
        for (expected, text) in [
            (true, r#"{"@timestamp":1,"event":{"category":["process"]}}"#),
            (true, r#"{"@timestamp":"t","event.type":"start"}"#),
            (
                true,
                r#"{"@timestamp":"t","event":{"module":"aws"},"data_stream":{"dataset":"aws.cloudtrail"}}"#,
            ),
            (false, r#"{"event":{"category":["process"]}}"#),
            (false, r#"{"@timestamp":null,"event":{"category":["process"]}}"#),
            (
                false,
                r#"{"@timestamp":"t","event":{"kind":"event"},"winlog":{}}"#,
            ),
            (
                false,
                r#"{"@timestamp":"t","event":{"category":["process"]},"auditd":{"sequence":7}}"#,
            ),
            (false, r#"{"@timestamp":"t","event":{"category":null,"type":[]}}"#),
        ] {
            let arena = Arena::default();
            let object = json::parse(&arena, text).unwrap().as_map().unwrap();
            assert_eq!(Marks::default().are_on(object), expected, "{text}");
        }
    }
}
