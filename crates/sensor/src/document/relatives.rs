//! What documents tell of those that a process descends from, kept as it was written: one shell starts many programs, and all of their
//! documents tell the same of it, and of who began its session.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::observation::{Context, ProcessId, SinceBoot};
use crate::process::{EntryKind, Kin, Program};

/// So many texts are kept, of some hundred bytes each and some thousand at most; beyond, all are made anew.
const MOST: usize = 512;

/// What somebody is to the process that a document tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Parent,
    Leader {
        /// It is the process itself.
        is_itself: bool,
        /// How the session came about, where it leads that.
        entry: Option<EntryKind>,
    },
}

/// An object as it was written.
#[derive(Clone, Debug)]
pub(super) struct Written(Arc<RawValue>);

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Texts by whom they tell of, as what.
#[derive(Debug, Default)]
pub(super) struct Relatives {
    written: RefCell<HashMap<(ProcessId, Role), Text>>,
}

/// A text, and what it was made of. Nothing is kept alive by it but the place in memory, so that nothing else can be there.
#[derive(Debug)]
struct Text {
    program: Weak<Program>,
    context: Weak<Context>,
    started: Option<SinceBoot>,
    contained: bool,
    written: Written,
}

impl Text {
    fn is_of(&self, kin: &Kin) -> bool {
        std::ptr::eq(self.program.as_ptr(), Arc::as_ptr(&kin.program))
            && std::ptr::eq(self.context.as_ptr(), Arc::as_ptr(&kin.context))
            && self.started == kin.started
            && self.contained == kin.container.is_some()
    }
}

impl Relatives {
    /// The object of somebody in a role, which `make` makes where it is not known. `None`: it cannot be written.
    pub(super) fn written<T: Serialize>(
        &self,
        kin: &Kin,
        role: Role,
        make: impl FnOnce() -> T,
    ) -> Option<Written> {
        let mut all = self.written.borrow_mut();
        if let Some(text) = all.get(&(kin.id, role)).filter(|text| text.is_of(kin)) {
            return Some(text.written.clone());
        }
        let written = Written(serde_json::value::to_raw_value(&make()).ok()?.into());
        if all.len() >= MOST {
            all.clear();
        }
        let text = Text {
            program: Arc::downgrade(&kin.program),
            context: Arc::downgrade(&kin.context),
            started: kin.started,
            contained: kin.container.is_some(),
            written: written.clone(),
        };
        all.insert((kin.id, role), text);
        Some(written)
    }

    /// Clocks or names have changed.
    pub(super) fn forget(&mut self) {
        self.written.get_mut().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(relatives: &Relatives, kin: &Kin, role: Role) -> String {
        let name = || String::from_utf8_lossy(kin.program.name()).into_owned();
        let written = relatives.written(kin, role, name).unwrap();
        serde_json::to_string(&written).unwrap()
    }

    #[test]
    fn who_becomes_another_is_written_anew() {
        let program = |path: &str| {
            Arc::new(Program {
                executable: path.into(),
                ..Program::default()
            })
        };
        let relatives = Relatives::default();
        let mut shell = Kin::unknown(ProcessId { pid: 7, start: 1 });
        shell.program = program("/bin/sh");
        assert_eq!(written(&relatives, &shell, Role::Parent), "\"sh\"");
        // It is not made again while nothing changed.
        let again = relatives.written(&shell, Role::Parent, || "another");
        assert_eq!(serde_json::to_string(&again).unwrap(), "\"sh\"");
        let entry = Role::Leader {
            is_itself: false,
            entry: None,
        };
        let leader = relatives.written(&shell, entry, || "leader");
        assert_eq!(serde_json::to_string(&leader).unwrap(), "\"leader\"");
        for turn in 0..100 {
            // The memory of the program before may be used for the next.
            shell.program = program(&format!("/bin/of-{turn}"));
            assert_eq!(
                written(&relatives, &shell, Role::Parent),
                format!("\"of-{turn}\"")
            );
        }
        shell.started = Some(SinceBoot(5));
        let known = relatives.written(&shell, Role::Parent, || "started");
        assert_eq!(serde_json::to_string(&known).unwrap(), "\"started\"");
    }

    #[test]
    fn only_so_many_are_kept() {
        let mut relatives = Relatives::default();
        for pid in 0..5_000 {
            written(
                &relatives,
                &Kin::unknown(ProcessId { pid, start: 1 }),
                Role::Parent,
            );
        }
        assert!(relatives.written.borrow().len() <= MOST);
        relatives.forget();
        assert!(relatives.written.borrow().is_empty());
    }
}
