//! Which program a process was, so that the events of its children can say so.

use ahash::AHashMap;

use crate::tree::{Map, Value};

/// When so many processes are known, those that were not asked for since the last time are forgotten.
const MOST: usize = 32_768;

/// Arguments are kept up to this many bytes in all.
const LONGEST: usize = 4096;

/// What is known of a process.
#[derive(Clone, Debug, Default)]
pub(super) struct Program {
    name: Option<Box<str>>,
    executable: Option<Box<str>>,
    arguments: Box<[Box<str>]>,
    /// Whether all arguments were kept.
    whole: bool,
}

impl Program {
    /// What a document says of its process.
    pub(super) fn of(document: &Map<'_>, arguments: Option<&[&str]>) -> Self {
        let text = |path: &str| document.text_at(path).map(Box::from);
        let arguments = arguments.unwrap_or(&[]);
        let mut left = LONGEST;
        let kept: Box<[Box<str>]> = arguments
            .iter()
            .take_while(|argument| {
                let fits = argument.len() < left;
                left = left.saturating_sub(argument.len() + 1);
                fits
            })
            .map(|argument| Box::from(*argument))
            .collect();
        Self {
            name: text("process.name"),
            executable: text("process.executable"),
            whole: kept.len() == arguments.len(),
            arguments: kept,
        }
    }

    /// Puts what is known into an object; what is there already stays.
    pub(super) fn put<'a>(&self, target: &'a Map<'a>) {
        let new = |key: &'a str, value: Value<'a>| {
            target.put_new(key, value);
        };
        for (key, value) in [("name", &self.name), ("executable", &self.executable)] {
            if let Some(value) = value {
                new(key, Value::Text(target.text(value)));
            }
        }
        if self.arguments.is_empty() {
            return;
        }
        let words: Vec<Value<'a>> = self
            .arguments
            .iter()
            .map(|word| Value::Text(target.text(word)))
            .collect();
        new("args", target.list(&words));
        new(
            "command_line",
            Value::Text(target.text(&self.arguments.join(" "))),
        );
        if self.whole {
            new(
                "args_count",
                Value::Int(i64::try_from(words.len()).unwrap_or(i64::MAX)),
            );
        }
    }
}

/// Processes of hosts, by their ids. Nothing is made while none is known.
#[derive(Debug, Default)]
pub(super) struct Lineage {
    known: Option<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    recent: AHashMap<(Box<str>, i64), Program>,
    older: AHashMap<(Box<str>, i64), Program>,
}

impl Lineage {
    /// What is known of a process.
    pub(super) fn get(&mut self, host: &str, pid: i64) -> Option<&Program> {
        let known = self.known.as_mut()?;
        let key = (Box::from(host), pid);
        if let Some(program) = known.older.remove(&key) {
            known.insert(key.clone(), program);
        }
        known.recent.get(&key)
    }

    /// The process is this program from now on.
    pub(super) fn set(&mut self, host: &str, pid: i64, program: Program) {
        let key = (Box::from(host), pid);
        let known = self.known.get_or_insert_default();
        known.older.remove(&key);
        known.insert(key, program);
    }

    /// The process is this program, if nothing is known of it.
    pub(super) fn set_new(&mut self, host: &str, pid: i64, program: impl FnOnce() -> Program) {
        if self.get(host, pid).is_none() {
            self.set(host, pid, program());
        }
    }

    /// The process has ended. Its children may still name it, so it only counts as old.
    pub(super) fn forget(&mut self, host: &str, pid: i64) {
        let Some(known) = &mut self.known else { return };
        let key = (Box::from(host), pid);
        if let Some(program) = known.recent.remove(&key) {
            known.older.insert(key, program);
        }
    }
}

impl Generations {
    fn insert(&mut self, key: (Box<str>, i64), program: Program) {
        if self.recent.len() >= MOST {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(key, program);
    }
}

#[cfg(test)]
mod tests {
    use super::{Lineage, MOST, Program};

    #[test]
    fn what_is_asked_for_is_remembered() {
        let mut lineage = Lineage::default();
        let program = |name: &str| Program {
            name: Some(name.into()),
            ..Program::default()
        };
        lineage.set("h", 1, program("init"));
        for pid in 2..10 * i64::try_from(MOST).unwrap() {
            lineage.set("h", pid, program("other"));
            if pid % 1000 == 0 {
                assert!(lineage.get("h", 1).is_some());
            }
        }
        assert_eq!(lineage.get("h", 1).unwrap().name.as_deref(), Some("init"));
        assert!(lineage.get("h", 2).is_none());
        assert!(lineage.get("other", 1).is_none());
        let known = lineage.known.unwrap();
        assert!(known.recent.len() + known.older.len() <= 2 * MOST);
    }
}
