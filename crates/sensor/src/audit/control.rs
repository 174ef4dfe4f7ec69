//! What the audit system is asked to tell, and how it was before: `linux/audit.h`.
//!
//! Whatever is changed is put back when the sensor ends. Rules bear the key [`KEY`], so that it is seen whose they are.

use std::io;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink;

use crate::netlink::{ACKNOWLEDGE, Link, Received, message, word};
use crate::source::{Hook, SourceError};

/// The key of the sensor's rules, which stands in every record that comes of them.
pub(super) const KEY: &[u8] = b"neph";

const GET: u16 = 1000;
const SET: u16 = 1001;
const ADD_RULE: u16 = 1011;
const DELETE_RULE: u16 = 1012;
const LIST_RULES: u16 = 1013;
/// `NLMSG_ERROR`: an acknowledgement, or an error's number.
const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a list.
const DONE: u16 = 3;

/// Records that may wait in the kernel. Distributions set 8,192, too.
const BACKLOG: u32 = 8_192;

/// How long an answer of the kernel takes at most.
const ANSWER: Duration = Duration::from_millis(500);

/// Words of `struct audit_status` that are used.
const STATUS_WORDS: usize = 11;
const ENABLED: usize = 1;
const FAILURE: usize = 2;
const BACKLOG_LIMIT: usize = 5;
const LOST: usize = 6;
const BACKLOG_WAIT: usize = 9;

/// Bits of its first word: what is to be set.
const SET_ENABLED: u32 = 1;
const SET_BACKLOG_LIMIT: u32 = 0x10;
const SET_BACKLOG_WAIT: u32 = 0x20;

/// The socket over which audit is set, and what is to be put back.
#[derive(Debug)]
pub(super) struct Control {
    link: Link,
    before: [u32; STATUS_WORDS],
    rules: Vec<Vec<u8>>,
}

impl Control {
    /// Lets audit tell of programs and connections, and says what it agreed to.
    pub(super) fn take() -> Result<(Self, Vec<Hook>), SourceError> {
        let refused = |error| SourceError::refused("setting up audit", error);
        let mut link = Link::open(netlink::AUDIT, 0, 64 << 10).map_err(refused)?;
        let before = status(&mut link).map_err(refused)?;
        match (before.get(ENABLED), before.get(FAILURE)) {
            (Some(2), _) => {
                let locked =
                    "the rules of audit are locked until the next start of the host (`auditctl -e 2`)";
                return Err(SourceError::Unsupported(locked.to_owned()));
            }
            (_, Some(2)) => {
                let panics = "audit is set to stop the host when it loses a record (`auditctl -f 2`), which more records make more likely";
                return Err(SourceError::Unsupported(panics.to_owned()));
            }
            _ => {}
        }
        let mut control = Self {
            link,
            before,
            rules: Vec::new(),
        };
        let mut hooks = Vec::new();
        for wanted in Wanted::ALL {
            let added = control.add(&wanted);
            hooks.push(Hook {
                name: wanted.name.to_owned(),
                failed: added.err().map(|error| error.to_string()),
            });
        }
        if control.rules.is_empty() {
            let why = hooks.into_iter().find_map(|hook| hook.failed).unwrap_or_default();
            return Err(SourceError::Unsupported(format!("audit takes no rules: {why}")));
        }
        let mut status = [0; STATUS_WORDS];
        let wanted = [
            (0, SET_ENABLED | SET_BACKLOG_LIMIT | SET_BACKLOG_WAIT),
            (ENABLED, 1),
            (
                BACKLOG_LIMIT,
                BACKLOG.max(before.get(BACKLOG_LIMIT).copied().unwrap_or(0)),
            ),
            // Whoever makes a record never waits for room.
            (BACKLOG_WAIT, 0),
        ];
        for (at, value) in wanted {
            if let Some(word) = status.get_mut(at) {
                *word = value;
            }
        }
        control.request(SET, &bytes(&status)).map_err(refused)?;
        Ok((control, hooks))
    }

    /// Records that the kernel had no room for, since it started.
    pub(super) fn lost(&mut self) -> Option<u32> {
        status(&mut self.link).ok()?.get(LOST).copied()
    }

    /// Asks again for what somebody took away since (`auditctl -D`, or another sensor that put things back as it had found them), and
    /// says whether anything was.
    pub(super) fn renew(&mut self) -> bool {
        let mut renewed = false;
        // Each rule that is asked for, also in vain, is a record of audit; lists are none.
        for rule in self.missing().unwrap_or_else(|_| self.rules.clone()) {
            renewed |= self.request(ADD_RULE, &rule).is_ok();
        }
        let off = status(&mut self.link).is_ok_and(|status| status.get(ENABLED) == Some(&0));
        if off {
            let mut status = [0; STATUS_WORDS];
            status[0] = SET_ENABLED;
            status[ENABLED] = 1;
            renewed |= self.request(SET, &bytes(&status)).is_ok();
        }
        renewed
    }

    /// The rules that are not there any more.
    fn missing(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut missing = self.rules.clone();
        let number = self.link.send(LIST_RULES, 0, &[])?;
        loop {
            let Received::Datagram(datagram) = self.link.receive(ANSWER)? else {
                return Err(io::ErrorKind::TimedOut.into());
            };
            let Some(answer) = message(datagram).filter(|answer| answer.sequence == number) else {
                continue;
            };
            match answer.kind {
                LIST_RULES => missing.retain(|rule| !answer.payload.starts_with(rule)),
                ERROR => acknowledged(answer.payload)?,
                DONE => return Ok(missing),
                _ => {}
            }
        }
    }

    fn add(&mut self, wanted: &Wanted) -> io::Result<()> {
        let rule = wanted.rule().ok_or(io::ErrorKind::Unsupported)?;
        match self.request(ADD_RULE, &rule) {
            Ok(()) => {}
            // A sensor that was killed left it there.
            Err(error) if error.raw_os_error() == Some(Errno::EXIST.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        self.rules.push(rule);
        Ok(())
    }

    fn request(&mut self, kind: u16, payload: &[u8]) -> io::Result<()> {
        let number = self.link.send(kind, ACKNOWLEDGE, payload)?;
        loop {
            let Received::Datagram(datagram) = self.link.receive(ANSWER)? else {
                return Err(io::ErrorKind::TimedOut.into());
            };
            if let Some(answer) =
                message(datagram).filter(|answer| answer.sequence == number && answer.kind == ERROR)
            {
                return acknowledged(answer.payload);
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Nothing can be done about what cannot be put back.
        for rule in std::mem::take(&mut self.rules) {
            let _ = self.request(DELETE_RULE, &rule);
        }
        let mut status = self.before;
        status[0] = SET_ENABLED | SET_BACKLOG_LIMIT | SET_BACKLOG_WAIT;
        let _ = self.request(SET, &bytes(&status));
    }
}

fn status(link: &mut Link) -> io::Result<[u32; STATUS_WORDS]> {
    let number = link.send(GET, 0, &[])?;
    loop {
        let Received::Datagram(datagram) = link.receive(ANSWER)? else {
            return Err(io::ErrorKind::TimedOut.into());
        };
        let Some(answer) = message(datagram).filter(|answer| answer.sequence == number) else {
            continue;
        };
        if answer.kind == ERROR {
            acknowledged(answer.payload)?;
            continue;
        }
        let mut words = [0; STATUS_WORDS];
        for (index, value) in words.iter_mut().enumerate() {
            *value = word(answer.payload, index * 4).map_or(0, u32::from_ne_bytes);
        }
        return Ok(words);
    }
}

/// The payload of an acknowledgement begins with the error's number, negative.
fn acknowledged(payload: &[u8]) -> io::Result<()> {
    match word(payload, 0).map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code.saturating_abs())),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// A rule: these system calls of these processes.
struct Wanted {
    name: &'static str,
    /// `AUDIT_ARCH_…`; none: not on this processor.
    architecture: Option<u32>,
    calls: &'static [u32],
    /// A further field and its value.
    field: (u32, u32),
}

/// Fields of rules.
const ARCHITECTURE: u32 = 11;
const SUCCESS: u32 = 104;
const ADDRESS_FAMILY: u32 = 113;
const FILTER_KEY: u32 = 210;
const EQUAL: u32 = 0x4000_0000;

/// The processor's own system calls, and those of its programs of 32 bits: architecture, programs, connections.
#[cfg(target_arch = "x86_64")]
const OWN: (Option<u32>, &[u32], &[u32]) = (Some(0xc000_003e), &[59, 322], &[42]);
#[cfg(target_arch = "x86_64")]
const SMALL: (Option<u32>, &[u32], &[u32]) = (Some(0x4000_0003), &[11, 358], &[362]);
#[cfg(target_arch = "aarch64")]
const OWN: (Option<u32>, &[u32], &[u32]) = (Some(0xc000_00b7), &[221, 281], &[203]);
#[cfg(target_arch = "aarch64")]
const SMALL: (Option<u32>, &[u32], &[u32]) = (Some(0x4000_0028), &[11, 387], &[283]);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const OWN: (Option<u32>, &[u32], &[u32]) = (None, &[], &[]);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const SMALL: (Option<u32>, &[u32], &[u32]) = (None, &[], &[]);

impl Wanted {
    const ALL: [Self; 6] = [
        Self::of("programs", OWN.0, OWN.1, (SUCCESS, 1)),
        Self::of("connections over IPv4", OWN.0, OWN.2, (ADDRESS_FAMILY, 2)),
        Self::of("connections over IPv6", OWN.0, OWN.2, (ADDRESS_FAMILY, 10)),
        Self::of("programs of 32 bits", SMALL.0, SMALL.1, (SUCCESS, 1)),
        Self::of(
            "connections over IPv4 of programs of 32 bits",
            SMALL.0,
            SMALL.2,
            (ADDRESS_FAMILY, 2),
        ),
        Self::of(
            "connections over IPv6 of programs of 32 bits",
            SMALL.0,
            SMALL.2,
            (ADDRESS_FAMILY, 10),
        ),
    ];

    const fn of(
        name: &'static str,
        architecture: Option<u32>,
        calls: &'static [u32],
        field: (u32, u32),
    ) -> Self {
        Self {
            name,
            architecture,
            calls,
            field,
        }
    }

    /// `struct audit_rule_data`: on the way out of a call, always.
    fn rule(&self) -> Option<Vec<u8>> {
        const EXIT: u32 = 4;
        const ALWAYS: u32 = 2;
        let fields = [
            (ARCHITECTURE, self.architecture?),
            self.field,
            (FILTER_KEY, u32::try_from(KEY.len()).ok()?),
        ];
        let mut calls = [0_u32; 64];
        for call in self.calls {
            *calls.get_mut(usize::try_from(call / 32).ok()?)? |= 1 << (call % 32);
        }
        let list = |of: [u32; 3]| {
            let mut list = [0_u32; 64];
            list.iter_mut().zip(of).for_each(|(place, value)| *place = value);
            list
        };
        let mut rule = bytes(&[EXIT, ALWAYS, u32::try_from(fields.len()).ok()?]);
        rule.extend(bytes(&calls));
        rule.extend(bytes(&list(fields.map(|(field, _)| field))));
        rule.extend(bytes(&list(fields.map(|(_, value)| value))));
        rule.extend(bytes(&list([EQUAL; 3])));
        rule.extend(bytes(&[u32::try_from(KEY.len()).ok()?]));
        rule.extend(KEY);
        Some(rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rules_that_somebody_took_away_are_asked_for_again() {
        // `swapon`, which nobody else asks for, and nobody calls meanwhile.
        let call: &[u32] = if cfg!(target_arch = "aarch64") {
            &[224]
        } else {
            &[167]
        };
        let wanted = Wanted::of("a test's", OWN.0, call, (SUCCESS, 1));
        let mut link = Link::open(netlink::AUDIT, 0, 64 << 10).unwrap();
        let before = match status(&mut link) {
            Ok(before) => before,
            Err(error) => {
                println!("skipped: audit cannot be asked: {error}");
                return;
            }
        };
        let mut control = Control {
            link,
            before,
            rules: Vec::new(),
        };
        if let Err(error) = control.add(&wanted) {
            println!("skipped: audit takes no rules: {error}");
            return;
        }
        let rules = control.rules.clone();
        assert!(control.missing().unwrap().is_empty());
        control.request(DELETE_RULE, &rules[0]).unwrap();
        assert_eq!(control.missing().unwrap(), rules);
        assert!(control.renew());
        assert!(control.missing().unwrap().is_empty());
    }
}
