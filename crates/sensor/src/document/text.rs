//! Values of documents: text of bytes that need not be UTF-8, times, and names of capabilities.

use std::cell::RefCell;

use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use crate::observation::SinceBoot;

/// Bytes as text: what is no UTF-8 becomes replacement characters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a>(pub(super) &'a [u8]);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.serialize_str(&String::from_utf8_lossy(self.0)),
        }
    }
}

/// Arguments, up to a number of bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Args<'a> {
    pub(super) args: &'a [Vec<u8>],
    pub(super) most: usize,
}

impl<'a> Args<'a> {
    fn kept(self) -> impl Iterator<Item = &'a [u8]> {
        let mut left = self.most;
        self.args.iter().map_while(move |arg| {
            let kept = arg.get(..arg.len().min(left))?;
            let whole = kept.len() == arg.len();
            let fits = left > 0 && (whole || !kept.is_empty());
            left = left.saturating_sub(arg.len() + 1);
            fits.then_some(kept)
        })
    }
}

impl Serialize for Args<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.kept().map(Text))
    }
}

/// Arguments in one text, a blank between them.
#[derive(Clone, Copy, Debug)]
pub(super) struct CommandLine<'a>(pub(super) Args<'a>);

impl Serialize for CommandLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts: Vec<&[u8]> = self.0.kept().collect();
        Text(&parts.join(&b' ')).serialize(serializer)
    }
}

/// A moment by the wall clock, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp(pub(super) i128);

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match jiff::Timestamp::from_nanosecond(self.0) {
            Ok(time) => serializer.serialize_str(digits(time, &mut { STAMP })),
            // No clock shows such a time, since they count 64 bits of nanoseconds.
            Err(_) => serializer.serialize_none(),
        }
    }
}

/// The form of a moment, with its digits still to be written.
const STAMP: [u8; 30] = *b"0000-00-00T00:00:00.000000000Z";

/// Writes the digits of a moment into its form. A document has up to eight of them, and general formatting takes longer for one than everything
/// else in its object.
fn digits(time: jiff::Timestamp, form: &mut [u8; 30]) -> &str {
    let moment = jiff::tz::Offset::UTC.to_datetime(time);
    let mut write = |end: usize, width: usize, number: i32| {
        let mut left = number.unsigned_abs();
        for digit in form.iter_mut().take(end).rev().take(width) {
            *digit = b'0' + u8::try_from(left % 10).unwrap_or(0);
            left /= 10;
        }
    };
    write(4, 4, moment.year().into());
    write(7, 2, moment.month().into());
    write(10, 2, moment.day().into());
    write(13, 2, moment.hour().into());
    write(16, 2, moment.minute().into());
    write(19, 2, moment.second().into());
    write(29, 9, moment.subsec_nanosecond());
    std::str::from_utf8(form).unwrap_or_default()
}

/// A number as a text, as ECS has ids of users.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number(pub(super) u32);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Capabilities by name (capabilities(7)).
#[derive(Clone, Copy, Debug)]
pub(super) struct Capabilities(pub(super) u64);

/// So many sets are kept as they were written.
const KEPT_SETS: usize = 16;

thread_local! {
    /// A host's programs have few different sets, whose names are up to a third of a document.
    static WRITTEN: RefCell<Vec<(u64, Box<RawValue>)>> = const { RefCell::new(Vec::new()) };
}

impl Serialize for Capabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WRITTEN.with_borrow_mut(|written| {
            if let Some((_, text)) = written.iter().find(|(set, _)| *set == self.0) {
                return text.serialize(serializer);
            }
            let names: Vec<_> = self.names().collect();
            let text = to_raw_value(&names).map_err(S::Error::custom)?;
            let outcome = text.serialize(serializer);
            if written.len() == KEPT_SETS {
                written.clear();
            }
            written.push((self.0, text));
            outcome
        })
    }
}

impl Capabilities {
    fn names(self) -> impl Iterator<Item = &'static str> {
        let names = CAPABILITIES.iter().enumerate();
        names
            .filter(move |(bit, _)| self.0 >> bit & 1 == 1)
            .map(|(_, name)| *name)
    }
}

/// In the order of their bits (`linux/capability.h`).
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// A moment, where it is known.
pub(super) fn moment(at: Option<SinceBoot>, wall: crate::clock::Wall) -> Option<Stamp> {
    at.map(|at| Stamp(wall.of(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_everybody_writes_them() {
        for nanoseconds in [
            0,
            1,
            999_999_999,
            951_782_400_000_000_000,
            1_700_000_000_123_456_789,
            1_709_251_199_999_999_999,
            i128::from(u64::MAX),
            i128::from(i64::MIN),
        ] {
            let time = jiff::Timestamp::from_nanosecond(nanoseconds).unwrap();
            assert_eq!(digits(time, &mut { STAMP }), format!("{time:.9}"));
        }
    }

    #[test]
    fn sets_of_capabilities_are_told_apart_however_many_there_are() {
        for round in 0..2 {
            for bit in 0..64 {
                let sets = [0, 1 << bit, !(1 << bit)].map(Capabilities);
                for set in sets {
                    let written = serde_json::to_value(set).unwrap();
                    let names: Vec<_> = (0..41).filter(|bit| set.0 >> bit & 1 == 1).collect();
                    let expected: Vec<_> = names.iter().map(|bit: &usize| CAPABILITIES[*bit]).collect();
                    assert_eq!(written, serde_json::json!(expected), "{round} {bit}");
                }
            }
        }
    }
}
