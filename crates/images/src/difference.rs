//! One difference between an image and the golden one, and how bad it is by the place and the content of the file.

use serde::Serialize;

use crate::files::{File, Kind, shown};
use crate::roles::{self, Severity};

/// What an image is altered for at all, which every difference may be part of.
pub(crate) const IMPLANT: &str = "T1525";

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What kind: `file-added`, `tag-moved` …; one of [`KINDS`].
    pub kind: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The file, with a slash in front; the setting, of a configuration.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// What it is about, in words.
    pub what: String,
    /// What the golden image has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub golden: Option<String>,
    /// What this image has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// The layer that brought it, from 0 at the bottom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
    /// Techniques of ATT&CK that look like this.
    pub techniques: Vec<&'static str>,
    /// What the content shows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signs: Vec<&'static str>,
    /// SHA-256 of the file's content, for approvals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Who approved it, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved: Option<String>,
}

/// Every kind of difference with what it says.
pub const KINDS: &[(&str, &str)] = &[
    (
        "same-content",
        "the image is another one, but containers get the same",
    ),
    (
        "not-golden",
        "none of the digests of the golden list is the image's",
    ),
    ("no-golden", "the golden list says nothing about the repository"),
    ("entry-over", "the entry of the golden list has expired"),
    (
        "tag-moved",
        "the tag stands for another image than it did, with other content",
    ),
    (
        "layer-swapped",
        "a layer has other content, though it claims to come from the same command",
    ),
    ("platform-changed", "the image is for another system"),
    ("config-changed", "containers are started otherwise"),
    ("file-added", "a file that the golden image does not have"),
    ("file-removed", "a file is missing"),
    ("file-replaced", "a file has other content"),
    ("kind-changed", "a file became something else, such as a link"),
    ("link-changed", "a link leads elsewhere"),
    ("mode-changed", "the permissions are others"),
    ("owner-changed", "the owner is another"),
    ("became-executable", "a file can be executed that could not"),
    ("became-set-id", "executing the file changes who one is"),
    (
        "capabilities-changed",
        "executing the file gives other capabilities",
    ),
    ("attributes-changed", "the extended attributes are others"),
    (
        "foreign-executed",
        "a program ran in a container that its image does not hold",
    ),
    (
        "changed-executed",
        "a program ran in a container with other content than in its image",
    ),
    (
        "hostile-entry",
        "an archive of the image is built to mislead whoever reads it",
    ),
];

/// What a change of content means, while it is found out.
struct Meaning {
    severity: Severity,
    words: Vec<String>,
    techniques: Vec<&'static str>,
}

impl Meaning {
    fn at_least(&mut self, severity: Severity, words: impl Into<String>, techniques: &[&'static str]) {
        self.severity = self.severity.max(severity);
        self.words.push(words.into());
        for technique in techniques {
            if !self.techniques.contains(technique) {
                self.techniques.push(technique);
            }
        }
    }
}

/// What somebody wants to know of a file in one line.
pub(crate) fn told(file: &File) -> String {
    let mode = format!("{:04o} {}:{}", file.mode, file.uid, file.gid);
    match file.kind {
        Kind::File => {
            let sha256 = file.sha256.map_or_else(String::new, |sha256| crate::hex(&sha256));
            format!("sha256:{sha256}, {} bytes, {mode}", file.size)
        }
        Kind::Symlink => format!("link to `{}`", shown(&file.target)),
        Kind::CharacterDevice | Kind::BlockDevice => {
            format!(
                "{} ({}, {}), {mode}",
                file.kind.name(),
                file.device.0,
                file.device.1
            )
        }
        other => format!("{}, {mode}", other.name()),
    }
}

/// A file that is there and was not, or whose content is another. `first` is the program that containers run first.
pub(crate) fn of_content(
    path: &[u8],
    golden: Option<&File>,
    file: &File,
    first: Option<&[u8]>,
) -> Difference {
    let mut meaning = Meaning {
        severity: Severity::Low,
        words: Vec::new(),
        techniques: vec![IMPLANT],
    };
    let is_new = golden.is_none();
    let runs = file.is_executable() || file.signs.is_program() || file.signs.is_script();
    match golden {
        None => meaning.words.push("new".to_owned()),
        Some(_) => meaning.words.push("its content is another".to_owned()),
    }
    if first == Some(path) {
        meaning.at_least(Severity::High, "containers run it first", &["T1554"]);
    } else if roles::is_program_place(path) && runs && !is_new {
        meaning.at_least(Severity::High, "a program that is found by its name", &["T1554"]);
    } else if roles::is_library(path) && !is_new {
        meaning.at_least(
            Severity::High,
            "a library that programs load",
            &["T1554", "T1574.006"],
        );
    } else if runs {
        meaning.at_least(Severity::Medium, "it can be run", &[]);
    } else if roles::is_library(path) && file.signs.is_program() {
        meaning.at_least(Severity::Medium, "a library", &["T1574.006"]);
    }
    if let Some(role) = roles::role(path).filter(|_| file.kind != Kind::Directory) {
        meaning.at_least(role.severity, role.says, role.techniques);
    }
    web(path, golden, file, &mut meaning);
    if file.signs.is_like_dropper() && (runs || roles::role(path).is_some()) {
        meaning.at_least(
            Severity::High,
            "it does what droppers and remote shells do",
            &["T1059.004", "T1105"],
        );
    }
    if is_new {
        elevation(file, &mut meaning);
    }
    if matches!(file.kind, Kind::CharacterDevice | Kind::BlockDevice) {
        meaning.at_least(
            Severity::High,
            "a device file, by which hardware of the host is reached",
            &["T1611"],
        );
    }
    if meaning.severity == Severity::Low && roles::is_volatile(path) {
        meaning.severity = Severity::Info;
        meaning
            .words
            .push("every build leaves another one there".to_owned());
    }
    let signs = file.signs.told();
    Difference {
        kind: match golden {
            None => "file-added",
            Some(golden) if golden.kind != file.kind => "kind-changed",
            Some(_) if file.kind == Kind::Symlink => "link-changed",
            Some(_) => "file-replaced",
        },
        severity: meaning.severity,
        path: format!("/{}", shown(path)),
        what: meaning.words.join("; "),
        golden: golden.map(told),
        found: Some(told(file)),
        layer: Some(file.layer),
        techniques: meaning.techniques,
        signs,
        sha256: file.sha256.map(|sha256| crate::hex(&sha256)),
        approved: None,
    }
}

/// What servers of web pages would run.
fn web(path: &[u8], golden: Option<&File>, file: &File, meaning: &mut Meaning) {
    if file.kind != Kind::File && file.kind != Kind::Symlink {
        return;
    }
    let shell = file.signs.is_like_web_shell();
    let was_shell = golden.is_some_and(|golden| golden.signs.is_like_web_shell());
    let technique = &["T1505.003"];
    if roles::is_web_script(path) {
        let severity = match (golden.is_some(), shell, was_shell) {
            (_, true, false) => Severity::Critical,
            (false, ..) => Severity::High,
            (true, true, true) => Severity::High,
            (true, false, _) => Severity::Medium,
        };
        meaning.at_least(severity, "a script that a web server runs", technique);
        if shell {
            meaning.words.push("it does what web shells do".to_owned());
        }
    } else if roles::is_served(path) && file.signs.holds_php() && shell {
        meaning.at_least(
            Severity::Critical,
            "a web shell's code under a harmless name",
            technique,
        );
    } else if (roles::is_server_script(path) || roles::is_served(path)) && shell {
        meaning.at_least(Severity::High, "a script that does what web shells do", technique);
    }
}

/// Set-uid, set-gid and capabilities of a new file; changes of them are told apart from the content.
fn elevation(file: &File, meaning: &mut Meaning) {
    if file.is_set_id() {
        let who = if file.mode & 0o4000 != 0 {
            format!("user {}", file.uid)
        } else {
            format!("group {}", file.gid)
        };
        meaning.at_least(
            Severity::High,
            format!("it runs as {who}, whoever starts it"),
            &["T1548.001"],
        );
    }
    let capabilities = file.capabilities();
    if !capabilities.is_empty() {
        let words = format!("it gives {}", capabilities.join(", "));
        meaning.at_least(Severity::High, words, &["T1548.001"]);
    }
}

/// What is another of a file whose content is the same. A change of both is told with the content, and here as well.
pub(crate) fn of_attributes(path: &[u8], golden: &File, file: &File) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut say = |kind: &'static str,
                   severity: Severity,
                   what: String,
                   values: (String, String),
                   techniques: &[&'static str]| {
        let mut all = vec![IMPLANT];
        all.extend(techniques);
        found.push(Difference {
            kind,
            severity,
            path: format!("/{}", shown(path)),
            what,
            golden: Some(values.0),
            found: Some(values.1),
            layer: Some(file.layer),
            techniques: all,
            signs: file.signs.told(),
            sha256: file.sha256.map(|sha256| crate::hex(&sha256)),
            approved: None,
        });
    };
    let is_known = golden.kind == file.kind;
    let modes = (format!("{:04o}", golden.mode), format!("{:04o}", file.mode));
    let matters = roles::role(path)
        .map(|role| role.severity)
        .unwrap_or(Severity::Low);
    if file.is_set_id() && (golden.mode & 0o6000) != (file.mode & 0o6000) {
        let what = format!(
            "it runs as {}, whoever starts it",
            if file.mode & 0o4000 != 0 {
                format!("user {}", file.uid)
            } else {
                format!("group {}", file.gid)
            }
        );
        say("became-set-id", Severity::High, what, modes, &["T1548.001"]);
    } else if is_known && file.is_executable() && !golden.is_executable() {
        say(
            "became-executable",
            Severity::Medium,
            "it can be run, and could not".to_owned(),
            modes,
            &["T1222.002"],
        );
    } else if is_known && golden.mode != file.mode {
        let opened = file.mode & 0o002 != 0 && golden.mode & 0o002 == 0 && file.mode & 0o1000 == 0;
        let revealed = file.mode & 0o004 != 0 && golden.mode & 0o004 == 0 && matters > Severity::Low;
        let (severity, what) = if opened {
            (matters.max(Severity::Medium), "everybody may change it")
        } else if revealed {
            (Severity::Medium, "everybody may read it")
        } else {
            (Severity::Low, "the permissions are others")
        };
        say("mode-changed", severity, what.to_owned(), modes, &["T1222.002"]);
    }
    if is_known && (golden.uid, golden.gid) != (file.uid, file.gid) {
        let gives_away =
            golden.uid == 0 && file.uid != 0 && (file.is_executable() || matters > Severity::Low);
        let severity = if gives_away {
            Severity::Medium
        } else {
            Severity::Low
        };
        let values = (
            format!("{}:{}", golden.uid, golden.gid),
            format!("{}:{}", file.uid, file.gid),
        );
        say(
            "owner-changed",
            severity,
            "it belongs to another".to_owned(),
            values,
            &["T1222.002"],
        );
    }
    let capabilities = (golden.capabilities(), file.capabilities());
    if capabilities.0 != capabilities.1 {
        let severity = if capabilities.1.is_empty() {
            Severity::Low
        } else {
            Severity::High
        };
        let values = (capabilities.0.join(", "), capabilities.1.join(", "));
        say(
            "capabilities-changed",
            severity,
            "executing it gives other capabilities".to_owned(),
            values,
            &["T1548.001"],
        );
    } else if golden.xattrs != file.xattrs && is_known {
        let names = |file: &File| {
            let names: Vec<&str> = file.xattrs.iter().map(|(name, _)| name.as_str()).collect();
            names.join(", ")
        };
        let values = (names(golden), names(file));
        say(
            "attributes-changed",
            Severity::Low,
            "the extended attributes are others".to_owned(),
            values,
            &[],
        );
    }
    found
}

/// A file that is gone.
pub(crate) fn of_removal(path: &[u8], golden: &File) -> Difference {
    let role = roles::role(path).filter(|_| golden.kind != Kind::Directory);
    let mut techniques = vec![IMPLANT];
    let (severity, what) = match role {
        Some(role) => {
            techniques.extend(role.techniques);
            (Severity::Medium, format!("it is gone; {}", role.says))
        }
        None if roles::is_volatile(path) => (Severity::Info, "it is gone".to_owned()),
        None => (Severity::Low, "it is gone".to_owned()),
    };
    Difference {
        kind: "file-removed",
        severity,
        path: format!("/{}", shown(path)),
        what,
        golden: Some(told(golden)),
        found: None,
        layer: None,
        techniques,
        signs: Vec::new(),
        sha256: golden.sha256.map(|sha256| crate::hex(&sha256)),
        approved: None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_technique_is_one() {
        let sources = concat!(
            include_str!("difference.rs"),
            include_str!("compare.rs"),
            include_str!("drift.rs"),
            include_str!("verify.rs")
        );
        let ids = sources.split('"').filter(|word| {
            word.starts_with('T')
                && word
                    .get(1..)
                    .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        });
        let mut count = 0;
        for id in ids {
            count += 1;
            let technique = neph_attack::attack().technique(id);
            assert!(
                technique.is_some_and(|technique| technique.state == neph_attack::State::Current),
                "{id}"
            );
        }
        assert!(count > 20);
    }
}
