//! `process.entity_id`: the same for a process whenever and by whichever sensor of the host it is told of.

use std::cell::RefCell;
use std::collections::HashMap;

use serde::{Serialize, Serializer};

use super::hash;
use crate::host::Host;
use crate::observation::ProcessId;

/// Digits of an id.
const DIGITS: usize = 32;

/// So many ids are remembered; beyond, all are forgotten and made anew.
const MOST: usize = 4_096;

/// An id, in hexadecimal digits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EntityId([u8; DIGITS]);

impl Serialize for EntityId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

/// Makes ids, and remembers them: a document names up to six processes, most of which the one before it named, too.
#[derive(Debug)]
pub(super) struct Entities {
    host: String,
    boot: String,
    made: RefCell<HashMap<ProcessId, EntityId>>,
}

impl Entities {
    /// Those of a host, as long as it runs.
    pub(super) fn of_host(host: &Host) -> Self {
        Self {
            host: host.id.clone(),
            boot: host.boot.clone(),
            made: RefCell::default(),
        }
    }

    /// That of a process.
    pub(super) fn of(&self, id: ProcessId) -> EntityId {
        let mut made = self.made.borrow_mut();
        if let Some(known) = made.get(&id) {
            return *known;
        }
        if made.len() >= MOST {
            made.clear();
        }
        let entity = self.make(id);
        made.insert(id, entity);
        entity
    }

    fn make(&self, id: ProcessId) -> EntityId {
        let parts = [
            self.host.as_bytes(),
            self.boot.as_bytes(),
            &id.pid.to_le_bytes(),
            &id.start.to_le_bytes(),
        ];
        let mut entity = EntityId::default();
        for (place, digit) in entity.0.iter_mut().zip(hash(&parts, DIGITS).bytes()) {
            *place = digit;
        }
        entity
    }
}
