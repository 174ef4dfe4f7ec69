//! The programs that processes of a log were, for the events of their children.
//!
//! Workers see single events, in any order, so what an event owes to earlier ones is put in front of it while the input is
//! read: in front of the start of a program stand the lines of the event that last told what its parent was.

use ahash::AHashMap;
use serde::{Deserialize, Serialize};

use crate::join::Context;

/// When so many processes are known, those that were not heard of since the last time are forgotten.
const MOST: usize = 16_384;

/// Lines of one event are kept up to this many bytes; a program with longer arguments is known by its first line.
const LONGEST: usize = 4096;

pub(in crate::sources) fn start() -> Box<dyn Context> {
    Box::new(Programs::default())
}

/// The lines of the event that tells what a process is, by host and process id.
#[derive(Default, Deserialize, Serialize)]
struct Programs {
    recent: AHashMap<Box<str>, Box<str>>,
    older: AHashMap<Box<str>, Box<str>>,
}

impl Context for Programs {
    fn before(&mut self, text: &str) -> Option<String> {
        let call = text
            .lines()
            .find(|line| line.contains("type=SYSCALL") || line.contains("type=1300 "))?;
        let pid = field(call, " pid=")?;
        let host = field(call, "node=").filter(|_| call.starts_with("node="));
        let is_start = text.contains("type=EXECVE") || text.contains("type=1309 ");
        let before = if is_start {
            field(call, " ppid=").and_then(|parent| self.get(host, parent).map(str::to_owned))
        } else {
            None
        };
        if field(call, " success=") != Some("no") {
            if is_start {
                self.set(host, pid, kept(text, call));
            } else if self.get(host, pid).is_none() {
                self.set(host, pid, kept(call, call));
            }
            if let Some(child) = child(call) {
                // A child is the program that its parent is, until it starts another.
                let known = self.get(host, pid).unwrap_or(call);
                let own = format!(" pid={pid} ");
                let lines = known.replacen(&own, &format!(" pid={child} "), 1);
                self.set(host, child, lines.into());
            }
        }
        before
    }

    fn save(&self) -> Vec<u8> {
        postcard::to_stdvec(self).unwrap_or_default()
    }

    fn restore(&mut self, saved: &[u8]) -> bool {
        postcard::from_bytes(saved).map(|saved| *self = saved).is_ok()
    }
}

/// The lines that are kept of an event.
fn kept(text: &str, call: &str) -> Box<str> {
    if text.len() <= LONGEST {
        text.into()
    } else {
        call.get(..LONGEST).unwrap_or(call).into()
    }
}

/// The process that a call has made, by its result.
fn child(call: &str) -> Option<&str> {
    let is_x86 = field(call, " arch=")? == "c000003e";
    let makes = match field(call, " syscall=")? {
        "fork" | "vfork" | "clone" | "clone3" | "435" => true,
        "56" | "57" | "58" => is_x86,
        "220" => !is_x86,
        _ => false,
    };
    field(call, " exit=")
        .filter(|exit| makes && exit.bytes().all(|byte| byte.is_ascii_digit()) && *exit != "0")
}

/// The value behind a key, up to the next blank.
fn field<'t>(line: &'t str, key: &str) -> Option<&'t str> {
    let start = line.find(key)? + key.len();
    let rest = line.get(start..)?;
    let end = rest.find([' ', '\u{1d}']).unwrap_or(rest.len());
    rest.get(..end).filter(|value| !value.is_empty())
}

impl Programs {
    fn get(&mut self, host: Option<&str>, pid: &str) -> Option<&str> {
        let key = key(host, pid);
        if let Some(lines) = self.older.remove(&key) {
            self.insert(key.clone(), lines);
        }
        self.recent.get(&key).map(|lines| &**lines)
    }

    fn set(&mut self, host: Option<&str>, pid: &str, lines: Box<str>) {
        let key = key(host, pid);
        self.older.remove(&key);
        self.insert(key, lines);
    }

    fn insert(&mut self, key: Box<str>, lines: Box<str>) {
        if self.recent.len() >= MOST {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(key, lines);
    }
}

fn key(host: Option<&str>, pid: &str) -> Box<str> {
    match host {
        Some(host) => format!("{pid}@{host}").into(),
        None => pid.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, Programs, field};
    use crate::join::{CONTEXT_END, Context as _};
    use crate::{Joiner, Normalizer};

    fn call(serial: u32, syscall: &str, pid: u32, ppid: u32, exit: u32, name: &str) -> String {
        format!(
            "type=SYSCALL msg=audit(1700000000.000:{serial}): arch=c000003e syscall={syscall} success=yes exit={exit} a0=0 items=0 ppid={ppid} pid={pid} auid=0 uid=0 comm=\"{name}\" exe=\"/bin/{name}\" key=(null)"
        )
    }

    fn start(serial: u32, pid: u32, ppid: u32, name: &str) -> String {
        format!(
            "{}\ntype=EXECVE msg=audit(1700000000.000:{serial}): argc=2 a0=\"{name}\" a1=\"-x\"",
            call(serial, "59", pid, ppid, 0, name)
        )
    }

    #[test]
    fn starts_have_the_event_of_their_parent_before_them() {
        let mut programs = Programs::default();
        let shell = start(1, 100, 1, "bash");
        assert_eq!(programs.before(&shell), None);
        assert_eq!(programs.before(&call(2, "57", 100, 1, 101, "bash")), None);
        assert_eq!(programs.before(&start(3, 102, 100, "ls")), Some(shell.clone()));
        // The child of a fork is the program of its parent.
        let child = shell.replace(" pid=100 ", " pid=101 ");
        assert_eq!(programs.before(&start(4, 103, 101, "id")), Some(child));
        // What is no start of a program needs none.
        assert_eq!(programs.before(&call(5, "42", 102, 100, 0, "ls")), None);
        assert_eq!(programs.before(&start(6, 104, 999, "ls")), None);
        assert_eq!(programs.before("type=USER_CMD msg=audit(1.0:7): pid=1"), None);
    }

    #[test]
    fn documents_say_what_their_parent_was() {
        let mut joiner = Joiner::new(None);
        let lines = [start(1, 100, 1, "bash"), start(2, 101, 100, "curl")].join("\n");
        let shells: [fn(&str) -> String; 2] = [str::to_owned, |line| {
            format!("{{\"message\":{}}}", sonic_rs::to_string(line).unwrap())
        }];
        for shell in shells {
            let mut records = Vec::new();
            for line in lines.lines() {
                assert!(joiner.push(shell(line).as_bytes(), ()));
            }
            joiner.finish();
            while let Some(joined) = joiner.next_joined() {
                records.push(joined.record);
            }
            assert_eq!(records.len(), 2);
            // Each record by itself, in any order.
            let mut normalizer = Normalizer::new(None).unwrap();
            let outcome = normalizer.push(&records[1]);
            let [made] = outcome.documents.as_slice() else {
                panic!("{outcome:?}")
            };
            let text = |path: &str| made.document.at(path).and_then(|value| value.as_text());
            assert_eq!(text("process.parent.executable"), Some("/bin/bash"));
            assert_eq!(text("process.parent.command_line"), Some("bash -x"));
            assert_eq!(text("process.executable"), Some("/bin/curl"));
            let original = text("event.original").unwrap();
            assert!(
                original.contains("curl") && !original.contains("bash") && !original.contains(CONTEXT_END)
            );
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut programs = Programs::default();
        for pid in 2..4 * u32::try_from(MOST).unwrap() {
            programs.before(&start(pid, pid, 1, "ls"));
        }
        assert!(programs.recent.len() + programs.older.len() <= 2 * MOST);
        assert_eq!(field("a b=c\u{1d}D", " b="), Some("c"));
    }
}
