//! The keys that fields of the audit log usually have, in the order in which they come.
//!
//! The kernel writes the fields of a record in one order
//! (<https://github.com/torvalds/linux/blob/master/kernel/auditsc.c>), so what comes next need not be looked for, just
//! compared with what was expected. Fields that are not expected are found all the same.

use super::tokens::Mark;

/// A key that may come next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usual {
    /// What it looks like, with the byte before it and the equals sign behind it, and which bits these are.
    text: u128,
    mask: u128,
    pub(super) key: &'static str,
    pub(super) mark: Mark,
}

impl Usual {
    /// Whether a text begins with it, by the first sixteen bytes of the text.
    #[inline(always)]
    pub(super) const fn is_at(&self, text: u128) -> bool {
        (text ^ self.text) & self.mask == 0
    }
}

/// Keys with blanks before them.
const fn after_blanks<const COUNT: usize>(keys: [&'static str; COUNT]) -> [Usual; COUNT] {
    after(b' ', keys)
}

/// Keys of which the first has this byte before it, and each other one a blank.
const fn after<const COUNT: usize>(first: u8, keys: [&'static str; COUNT]) -> [Usual; COUNT] {
    let mut all = [Usual {
        text: 0,
        mask: u128::MAX,
        key: "",
        mark: Mark::of(""),
    }; COUNT];
    let mut at = 0;
    while at < COUNT {
        #[expect(clippy::indexing_slicing, reason = "it is computed by the compiler")]
        {
            all[at] = behind(if at == 0 { first } else { b' ' }, keys[at]);
        }
        at += 1;
    }
    all
}

#[expect(clippy::indexing_slicing, reason = "it is computed by the compiler")]
const fn behind(byte: u8, key: &'static str) -> Usual {
    let key_bytes = key.as_bytes();
    let mut text = [0; 16];
    let mut mask = [0; 16];
    text[0] = byte;
    mask[0] = u8::MAX;
    let mut at = 0;
    while at < key_bytes.len() {
        text[at + 1] = key_bytes[at];
        mask[at + 1] = u8::MAX;
        at += 1;
    }
    text[at + 1] = b'=';
    mask[at + 1] = u8::MAX;
    Usual {
        text: u128::from_le_bytes(text),
        mask: u128::from_le_bytes(mask),
        key,
        mark: Mark::of(key),
    }
}

/// The keys of records of a type.
pub(super) fn of(kind: &str) -> &'static [Usual] {
    match kind {
        "SYSCALL" => {
            &const {
                after_blanks([
                    "arch", "syscall", "per", "success", "exit", "a0", "a1", "a2", "a3", "items", "ppid",
                    "pid", "auid", "uid", "gid", "euid", "suid", "fsuid", "egid", "sgid", "fsgid", "tty",
                    "ses", "comm", "exe", "subj", "key",
                ])
            }
        }
        "PATH" => {
            &const {
                after_blanks([
                    "item",
                    "name",
                    "inode",
                    "dev",
                    "mode",
                    "ouid",
                    "ogid",
                    "rdev",
                    "obj",
                    "nametype",
                    "cap_fp",
                    "cap_fi",
                    "cap_fe",
                    "cap_fver",
                    "cap_frootid",
                ])
            }
        }
        "EXECVE" => {
            &const {
                after_blanks([
                    "argc", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "a10", "a11", "a12",
                    "a13", "a14", "a15",
                ])
            }
        }
        "CWD" => &const { after_blanks(["cwd"]) },
        "PROCTITLE" => &const { after_blanks(["proctitle"]) },
        "SOCKADDR" => &const { after_blanks(["saddr"]) },
        _ => &const { after_blanks(["pid", "uid", "auid", "ses", "subj", "msg"]) },
    }
}

/// The keys inside of a message of user space.
pub(super) const MESSAGE: &[Usual] = &after_blanks([
    "id", "grantors", "acct", "comm", "exe", "hostname", "addr", "terminal", "res",
]);

/// The keys of what the daemon interprets of records of a type, behind the separator that it writes before them.
pub(super) fn names(kind: &str) -> &'static [Usual] {
    match kind {
        "SYSCALL" => {
            &const {
                after(
                    b'\x1d',
                    [
                        "ARCH", "SYSCALL", "AUID", "UID", "GID", "EUID", "SUID", "FSUID", "EGID", "SGID",
                        "FSGID",
                    ],
                )
            }
        }
        "PATH" => &const { after(b'\x1d', ["OUID", "OGID"]) },
        _ => &const { after(b'\x1d', ["UID", "AUID", "ID"]) },
    }
}

#[cfg(test)]
mod tests {
    use super::{MESSAGE, names, of};
    use crate::sources::audit::tokens::{Letters, Raw, fields};

    /// Whatever is expected, the same is found.
    #[test]
    fn what_is_expected_changes_nothing() {
        let values = [
            "1",
            "\"a b\"",
            "'x=1 y=\"2\"'",
            "",
            "\"open",
            "?",
            "\"\\\"\"",
            "a,b",
            "\u{e4}",
        ];
        let mut state = 7_u32;
        let mut random = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % below
        };
        let lists = [of("SYSCALL"), of("PATH"), of("EXECVE"), of("USER_AUTH"), MESSAGE];
        let interpreted = [names("SYSCALL"), names("PATH"), names("USER_AUTH")];
        let mut found = 0;
        for _ in 0..20_000 {
            let mut text = String::new();
            for key in [
                "arch", "syscall", "a0", "item", "argc", "pid", "ses", "comm", "msg", "id", "ARCH", "AUID",
                "OUID", "UID",
            ] {
                if random(3) > 0 {
                    text.push_str(["", " ", "  ", "\u{1d}", "x", "\t"][random(6)]);
                    text.push_str([" ", " ", "\u{1d}"][random(3)]);
                    text.push_str(&format!("{key}={}", values[random(values.len())]));
                }
            }
            for letters in [Letters::Small, Letters::All] {
                let plain: Vec<Raw<'_>> = fields(&text, letters, &[]).collect();
                // Capitals are keys only where they are looked for.
                let interpreted = interpreted.iter().filter(|_| letters == Letters::All);
                for usual in lists.iter().chain(interpreted) {
                    assert_eq!(fields(&text, letters, usual).collect::<Vec<_>>(), plain, "{text}");
                    found += plain.len();
                }
            }
        }
        assert!(found > 1_000_000, "{found}");
    }
}
