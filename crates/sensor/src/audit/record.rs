//! Records of audit, as the kernel sends them, and the events that they make together.
//!
//! A record is `audit(SECONDS.MILLISECONDS:SERIAL): key=value …`; those of an event have its serial
//! (<https://github.com/linux-audit/audit-documentation/wiki>, `kernel/auditsc.c`). Values that others chose stand in double quotes, or,
//! where they hold bytes that could end them, in hexadecimal digits. Everything is kept as bytes, since names need not be UTF-8; that is why
//! this is not the reader of audit's log files, which makes text of them.

use std::collections::{BTreeMap, HashMap};

/// Kinds of records (`linux/audit.h`).
const SYSCALL: u16 = 1300;
const PATH: u16 = 1302;
const SOCKADDR: u16 = 1306;
const CWD: u16 = 1307;
const EXECVE: u16 = 1309;
const END: u16 = 1320;

/// Events that are waited for at most.
const OPEN: usize = 1_024;

/// Bytes of arguments that are kept of an event.
const ARGS: usize = crate::procfs::ARGS_KEPT;

/// Arguments that are kept of an event.
const ARGS_COUNT: u64 = 4_096;

/// An event, as far as records tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Call {
    /// Milliseconds since 1970.
    pub(crate) millis: u64,
    /// The number of the event.
    pub(crate) serial: u64,
    /// Fields of the record of the system call.
    pub(crate) fields: HashMap<Vec<u8>, Vec<u8>>,
    /// Names of files, by their place among the call's.
    pub(crate) names: BTreeMap<u32, Vec<u8>>,
    /// The working directory.
    pub(crate) cwd: Option<Vec<u8>>,
    /// The address that the call was given, as it lies in memory.
    pub(crate) address: Option<Vec<u8>>,
    /// Arguments of a program.
    pub(crate) args: Option<Arguments>,
}

/// Arguments of a program, of one or several records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// How many there are in truth.
    pub(crate) count: u64,
    /// How many bytes those have that records told, with the zero after each.
    pub(crate) bytes: u64,
    kept: BTreeMap<u64, Vec<u8>>,
    kept_bytes: usize,
}

impl Arguments {
    /// The arguments up to the first that is missing.
    pub(crate) fn list(&self) -> Vec<Vec<u8>> {
        let numbered = self.kept.iter().zip(0_u64..);
        numbered
            .take_while(|((at, _), number)| **at == *number)
            .map(|((_, arg), _)| arg.clone())
            .collect()
    }

    fn add(&mut self, at: u64, piece: &[u8], begins: bool) {
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        self.bytes = self
            .bytes
            .saturating_add(length)
            .saturating_add(u64::from(begins));
        if at >= ARGS_COUNT {
            return;
        }
        let room = ARGS.saturating_sub(self.kept_bytes);
        let kept = piece.get(..piece.len().min(room)).unwrap_or_default();
        // What comes behind something that was cut is not kept either, so that what is kept is the beginning.
        if room > 0 {
            self.kept_bytes += kept.len() + usize::from(begins);
            self.kept.entry(at).or_default().extend(kept);
        }
    }
}

impl Call {
    /// A field that is a number.
    pub(crate) fn number(&self, key: &str) -> Option<i64> {
        std::str::from_utf8(self.fields.get(key.as_bytes())?)
            .ok()?
            .parse()
            .ok()
    }

    /// A field that is a number that says who somebody is; the largest is nobody.
    pub(crate) fn id(&self, key: &str) -> Option<u32> {
        let id = u32::try_from(self.number(key)?).ok()?;
        (id != u32::MAX).then_some(id)
    }

    /// A field that somebody else chose.
    pub(crate) fn text(&self, key: &str) -> Option<Vec<u8>> {
        decoded(self.fields.get(key.as_bytes())?)
    }

    fn read(&mut self, kind: u16, body: &[u8]) {
        match kind {
            SYSCALL => self
                .fields
                .extend(fields(body).map(|(key, value)| (key.to_vec(), value.to_vec()))),
            CWD => {
                self.cwd = fields(body)
                    .find(|(key, _)| *key == b"cwd")
                    .and_then(|(_, value)| decoded(value))
            }
            SOCKADDR => {
                let value = fields(body).find(|(key, _)| *key == b"saddr");
                self.address = value.and_then(|(_, value)| hexadecimal(value));
            }
            PATH => {
                let all: HashMap<&[u8], &[u8]> = fields(body).collect();
                let item = all.get(&b"item"[..]).and_then(|item| unsigned(item));
                let name = all.get(&b"name"[..]).and_then(|name| decoded(name));
                if let (Some(item), Some(name)) = (item.and_then(|item| u32::try_from(item).ok()), name)
                    && item < 16
                {
                    self.names.insert(item, name);
                }
            }
            EXECVE => self.read_arguments(body),
            _ => {}
        }
    }

    /// `argc=2 a0="sh" a1=…`; one that is too long for a record is `a1_len=N a1[0]=… a1[1]=…`, over several.
    fn read_arguments(&mut self, body: &[u8]) {
        let args = self.args.get_or_insert_default();
        for (key, value) in fields(body) {
            if key == b"argc" {
                args.count = unsigned(value).unwrap_or(0);
                continue;
            }
            let Some(number) = key.strip_prefix(b"a") else {
                continue;
            };
            let (number, piece) = match number.iter().position(|byte| *byte == b'[') {
                Some(open) => {
                    let inner = number.get(open + 1..).and_then(|inner| inner.strip_suffix(b"]"));
                    let Some(piece) = inner.and_then(unsigned) else {
                        continue;
                    };
                    (number.get(..open).unwrap_or_default(), piece)
                }
                None => (number, 0),
            };
            if let (Some(at), Some(value)) = (unsigned(number), decoded(value)) {
                args.add(at, &value, piece == 0);
            }
        }
    }
}

/// Events of which not all records are there yet.
#[derive(Debug, Default)]
pub(crate) struct Joiner {
    open: BTreeMap<u64, Call>,
    /// Events that were given up because too many were open.
    pub(crate) given_up: u64,
    /// Records that could not be read.
    pub(crate) unreadable: u64,
}

impl Joiner {
    /// Takes a record, and gives the event that it completes.
    pub(crate) fn push(&mut self, kind: u16, payload: &[u8]) -> Option<Call> {
        if !matches!(kind, SYSCALL | PATH | SOCKADDR | CWD | EXECVE | END) {
            return None;
        }
        let Some((millis, serial, body)) = head(payload) else {
            self.unreadable += 1;
            return None;
        };
        if kind == END {
            return self.open.remove(&serial);
        }
        if !self.open.contains_key(&serial) && self.open.len() >= OPEN {
            self.open.pop_first();
            self.given_up += 1;
        }
        let call = self.open.entry(serial).or_insert_with(|| Call {
            millis,
            serial,
            ..Call::default()
        });
        call.read(kind, body);
        None
    }
}

/// Time, serial and what follows.
fn head(payload: &[u8]) -> Option<(u64, u64, &[u8])> {
    let payload = payload.split(|byte| *byte == 0).next().unwrap_or_default();
    let rest = payload.strip_prefix(b"audit(")?;
    let close = rest.iter().position(|byte| *byte == b')')?;
    let stamp = std::str::from_utf8(rest.get(..close)?).ok()?;
    let (time, serial) = stamp.split_once(':')?;
    let (seconds, millis) = time.split_once('.')?;
    let seconds: u64 = seconds.parse().ok()?;
    let millis = seconds.checked_mul(1_000)?.checked_add(millis.parse().ok()?)?;
    let body = rest.get(close + 1..)?;
    Some((
        millis,
        serial.parse().ok()?,
        body.strip_prefix(b":").unwrap_or(body),
    ))
}

/// `key=value` after `key=value`, a blank between them. Values in quotes hold no quotes, but they may hold blanks.
fn fields(body: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = body;
    std::iter::from_fn(move || {
        loop {
            let begin = rest.iter().position(|byte| !matches!(byte, b' ' | b'\n'))?;
            rest = rest.get(begin..)?;
            let end_of_key = rest.iter().position(|byte| matches!(byte, b'=' | b' '));
            let Some(end_of_key) = end_of_key.filter(|end| rest.get(*end) == Some(&b'=')) else {
                // A word without a value.
                let word = rest.iter().position(|byte| *byte == b' ')?;
                rest = rest.get(word..)?;
                continue;
            };
            let (key, value) = rest.split_at_checked(end_of_key)?;
            let value = value.get(1..)?;
            let length = match value.first() {
                Some(b'"') => value
                    .iter()
                    .skip(1)
                    .position(|byte| *byte == b'"')
                    .map(|at| at + 2),
                _ => value.iter().position(|byte| *byte == b' '),
            };
            let (value, behind) = value.split_at_checked(length.unwrap_or(value.len()))?;
            rest = behind;
            return Some((key, value));
        }
    })
}

/// A value that somebody chose: in quotes, or in hexadecimal digits. `(null)` and `(none)` are none.
fn decoded(value: &[u8]) -> Option<Vec<u8>> {
    match value.strip_prefix(b"\"") {
        Some(quoted) => Some(quoted.strip_suffix(b"\"").unwrap_or(quoted).to_vec()),
        None if value.starts_with(b"(") => None,
        None => Some(hexadecimal(value).unwrap_or_else(|| value.to_vec())),
    }
}

fn hexadecimal(value: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let (pairs, rest) = value.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

fn unsigned(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The event of records, each its kind and what follows its head.
    fn joined(records: &[(u16, &str)]) -> Call {
        let mut joiner = Joiner::default();
        for (kind, body) in records {
            let record = format!("audit(1700000000.123:456): {body}");
            assert_eq!(joiner.push(*kind, record.as_bytes()), None);
        }
        joiner.push(END, b"audit(1700000000.123:456): ").unwrap()
    }

    #[test]
    fn a_program_is_read_with_all_its_records() {
        let call = joined(&[
            (
                SYSCALL,
                r#"arch=c000003e syscall=59 success=yes exit=0 a0=55 items=2 ppid=10 pid=11 auid=4294967295 uid=33 euid=0 tty=pts3 ses=4294967295 comm="sh" exe="/usr/bin/dash" subj=unconfined key="neph""#,
            ),
            (EXECVE, r#"argc=3 a0="sh" a1="-c" a2=6563686F20E4"#),
            (CWD, r#"cwd="/a b""#),
            (
                PATH,
                r#"item=1 name="/lib64/ld-linux-x86-64.so.2" inode=1 nametype=NORMAL"#,
            ),
            (PATH, r#"item=0 name="/bin/sh" inode=1 nametype=NORMAL"#),
        ]);
        assert_eq!((call.millis, call.serial), (1_700_000_000_123, 456));
        assert_eq!(
            (call.number("pid"), call.id("uid"), call.id("auid")),
            (Some(11), Some(33), None)
        );
        assert_eq!(call.text("exe").unwrap(), b"/usr/bin/dash");
        assert_eq!(call.cwd.unwrap(), b"/a b");
        assert_eq!(call.names[&0], b"/bin/sh");
        let args = call.args.unwrap();
        assert_eq!(args.list(), [&b"sh"[..], b"-c", b"echo \xe4"]);
        assert_eq!((args.count, args.bytes), (3, 3 + 3 + 7));
    }

    #[test]
    fn an_argument_of_several_records_is_one() {
        let call = joined(&[
            (EXECVE, r#"argc=3 a0="x" a1_len=6 a1[0]="abc""#),
            (EXECVE, r#"a1[1]="def" a2="end""#),
        ]);
        let args = call.args.unwrap();
        assert_eq!(args.list(), [&b"x"[..], b"abcdef", b"end"]);
        assert_eq!(args.bytes, 2 + 7 + 4);
    }

    #[test]
    fn long_arguments_are_cut_and_their_length_is_true() {
        let piece = "y".repeat(7_000);
        let records: Vec<String> = (0..150).map(|at| format!(r#"a1[{at}]="{piece}""#)).collect();
        let mut all = vec![(EXECVE, r#"argc=3 a0="x" a1_len=1050000"#)];
        all.extend(records.iter().map(|record| (EXECVE, record.as_str())));
        all.push((EXECVE, r#"a2="z""#));
        let args = joined(&all).args.unwrap();
        assert_eq!(args.bytes, 2 + 1_050_001 + 2);
        let list = args.list();
        assert_eq!((list.len(), args.count), (2, 3));
        assert!(list[1].len() <= ARGS && list[1].len() > ARGS - 16);
    }

    #[test]
    fn events_that_never_end_are_given_up_and_counted() {
        let mut joiner = Joiner::default();
        for serial in 0..5_000 {
            joiner.push(SYSCALL, format!("audit(1.1:{serial}): pid=1").as_bytes());
        }
        assert_eq!(joiner.open.len(), OPEN);
        assert_eq!(joiner.given_up, 5_000 - OPEN as u64);
        joiner.push(SYSCALL, b"audit(1.x:1): pid=1");
        assert_eq!(joiner.unreadable, 1);
    }
}
