//! Conditions on the objects of a list, each for itself.
//!
//! Rows are flat, so that which values stood in one object is no longer to be seen in them. The few queries that ask for
//! it read the document again, and hold each object at the path against the condition as if it were an event.

use neph_event::{Row, Slot, Slots};
use neph_plan::Objects;
use serde_json::Value;

use crate::nodes::{ConditionError, NodeId, Nodes, NodesBuilder};
use crate::scratch::Scratch;

/// Documents nested deeper than this are not looked into.
const MAX_DEPTH: u32 = 64;

/// A condition made ready to be held against the objects at a path.
#[derive(Debug)]
pub(crate) struct ObjectTest {
    path: Box<str>,
    slots: Slots,
    nodes: Nodes,
    condition: NodeId,
}

impl ObjectTest {
    pub(crate) fn new(objects: &Objects) -> Result<Self, ConditionError> {
        let mut slots = Slots::default();
        let map: Vec<Slot> = objects
            .fields
            .iter()
            .map(|field| slots.add(field.clone()))
            .collect();
        let mut nodes = NodesBuilder::default();
        let condition = nodes
            .add(&objects.condition, &map, &slots)
            .map_err(|(_, error)| error)?;
        Ok(Self {
            path: objects.path.clone(),
            slots,
            nodes: nodes.build(),
            condition,
        })
    }

    /// Whether an object of the document, given as JSON text, satisfies the condition.
    pub(crate) fn holds(&self, document: &[u8]) -> bool {
        let Ok(document) = serde_json::from_slice::<Value>(document) else {
            return false;
        };
        let mut row = Row::default();
        let mut scratch = Scratch::new(self.nodes.len(), self.slots.len());
        any_object(&document, &self.path, 0, &mut |object| {
            if row.read_from(&self.slots, object).is_err() {
                return false;
            }
            scratch.next_event();
            if self.nodes.reads_objects {
                scratch.set_document(object.to_string().as_bytes());
            }
            self.nodes.holds(self.condition, &row, &mut scratch)
        })
    }
}

/// Whether one of the objects at a path passes; keys may hold dots, and lists are their items.
fn any_object(value: &Value, path: &str, depth: u32, passes: &mut impl FnMut(&Value) -> bool) -> bool {
    if depth > MAX_DEPTH {
        return false;
    }
    match value {
        Value::Array(items) => items.iter().any(|item| any_object(item, path, depth + 1, passes)),
        Value::Object(_) if path.is_empty() => passes(value),
        Value::Object(map) => map.iter().any(|(key, inner)| {
            let Some(rest) = path.strip_prefix(key.as_str()) else {
                return false;
            };
            match (rest.is_empty(), rest.strip_prefix('.')) {
                (true, _) => any_object(inner, "", depth + 1, passes),
                (false, Some(rest)) => any_object(inner, rest, depth + 1, passes),
                (false, None) => false,
            }
        }),
        _ => false,
    }
}
