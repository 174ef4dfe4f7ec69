//! Drift: what a running container has become since it was started from its image, and what ran in it that the image does not hold.
//!
//! What changed comes from the exported root (`docker export`, `podman export`), or from what `docker diff`, `podman diff` and the API print; what
//! ran, from events in ECS.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde_json::Value;

use crate::compare::{compare, plain};
use crate::difference::{Difference, IMPLANT, of_content, of_removal};
use crate::files::{File, Kind, shown};
use crate::image::Image;
use crate::limits::ImageError;
use crate::roles::Severity;
use crate::signs::Signs;

/// What runtimes put into every container.
const RUNTIME: &[&str] = &[
    ".dockerenv",
    "dev",
    "etc/hostname",
    "etc/hosts",
    "etc/mtab",
    "etc/resolv.conf",
    "proc",
    "run/.containerenv",
    "run/secrets",
    "sys",
];
/// The longest line of events that is read, in bytes.
const LINE: u64 = 4 << 20;
/// Different programs that are remembered.
const PROGRAMS: usize = 100_000;

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// Its content or its attributes are others, or what is in it.
    Changed,
    /// It is gone.
    Deleted,
}

/// Changed paths, without a slash in front.
#[derive(Clone, Debug, Default)]
pub struct Changes(BTreeMap<String, Change>);

/// A program that ran.
#[derive(Clone, Debug, Default)]
pub struct Ran {
    /// How often.
    pub count: u64,
    /// When it first ran, as the event says it.
    pub first: String,
    /// With which command line then.
    pub command_line: String,
    /// SHA-256 of the program, where an event says it.
    pub sha256: Option<String>,
}

/// What ran in a container, by path.
#[derive(Clone, Debug, Default)]
pub struct Executed {
    /// By the path of the program inside the container.
    pub programs: BTreeMap<String, Ran>,
    /// Events of other containers, and such that start no program.
    pub others: u64,
    /// Lines that are no events.
    pub bad: u64,
}

impl Changes {
    /// Reads what `docker diff` or `podman diff` printed (`A /path`), `podman diff --format json`, or the answer of the API
    /// (<https://docs.docker.com/reference/api/engine/version/v1.47/#tag/Container/operation/ContainerChanges>).
    ///
    /// # Errors
    /// When it is none of these.
    pub fn read(bytes: &[u8]) -> Result<Self, ImageError> {
        let refused = |why: &str| ImageError::Refused(format!("the changes of the container: {why}"));
        let mut changes = BTreeMap::new();
        let mut put =
            |path: &str, change: Change| changes.insert(path.trim_start_matches('/').to_owned(), change);
        let text = std::str::from_utf8(bytes).map_err(|_| refused("they are no text"))?;
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Array(items)) => {
                for item in &items {
                    let path = item.get("Path").and_then(Value::as_str);
                    let change = match item.get("Kind").and_then(Value::as_u64) {
                        Some(0) => Some(Change::Changed),
                        Some(1) => Some(Change::Added),
                        Some(2) => Some(Change::Deleted),
                        _ => None,
                    };
                    let (Some(path), Some(change)) = (path, change) else {
                        return Err(refused("an item has no `Path` or no known `Kind`"));
                    };
                    put(path, change);
                }
            }
            Ok(Value::Object(object)) => {
                let kinds = [
                    ("added", Change::Added),
                    ("changed", Change::Changed),
                    ("deleted", Change::Deleted),
                ];
                if !kinds.iter().any(|(key, _)| object.contains_key(*key)) {
                    return Err(refused("the object has none of `added`, `changed` and `deleted`"));
                }
                for (key, change) in kinds {
                    for path in object.get(key).and_then(Value::as_array).into_iter().flatten() {
                        put(path.as_str().ok_or_else(|| refused("a path is no text"))?, change);
                    }
                }
            }
            Ok(Value::Null) => {}
            _ => {
                for line in text.lines().filter(|line| !line.trim().is_empty()) {
                    let (change, path) = match line.split_at_checked(2) {
                        Some(("A ", path)) => (Change::Added, path),
                        Some(("C ", path)) => (Change::Changed, path),
                        Some(("D ", path)) => (Change::Deleted, path),
                        _ => return Err(refused(&format!("`{line}` is no line of `docker diff`"))),
                    };
                    put(path, change);
                }
            }
        }
        Ok(Self(changes))
    }
}

/// A field of an event, nested or with its dots.
fn field<'v>(event: &'v Value, path: &str) -> Option<&'v Value> {
    event
        .get(path)
        .or_else(|| path.split('.').try_fold(event, |value, part| value.get(part)))
}

fn text<'v>(event: &'v Value, path: &str) -> Option<&'v str> {
    field(event, path).and_then(Value::as_str)
}

impl Executed {
    /// Reads events, a JSON object a line. `container` is the beginning of the container's id, of at least 12 characters; without it all
    /// events that have one count.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read(mut reader: impl BufRead, container: Option<&str>) -> Result<Self, ImageError> {
        let mut executed = Self::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            let count = std::io::Read::take(&mut reader, LINE)
                .read_until(b'\n', &mut line)
                .map_err(ImageError::read("the events"))?;
            if count == 0 {
                return Ok(executed);
            }
            if count as u64 == LINE {
                executed.bad += 1;
                // The rest of the line is left out as well.
                reader.skip_until(b'\n').map_err(ImageError::read("the events"))?;
                continue;
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match serde_json::from_slice::<Value>(&line) {
                Ok(event) if event.is_object() => executed.take(&event, container),
                _ => executed.bad += 1,
            }
        }
    }

    fn take(&mut self, event: &Value, container: Option<&str>) {
        let is_of_it = text(event, "container.id").is_some_and(|id| {
            container.is_none_or(|wanted| {
                wanted.len() >= 12 && id.starts_with(wanted)
                    || id == wanted
                    || wanted.starts_with(id) && id.len() >= 12
            })
        });
        let types = field(event, "event.type");
        let has = |word: &str| match types {
            Some(Value::Array(items)) => items.iter().any(|item| item.as_str() == Some(word)),
            Some(Value::String(own)) => own == word,
            _ => false,
        };
        let starts = types.is_none() || has("start") || has("info") || has("change");
        let (true, true, Some(path)) = (is_of_it, starts, text(event, "process.executable")) else {
            self.others += 1;
            return;
        };
        if self.programs.len() >= PROGRAMS && !self.programs.contains_key(path) {
            self.others += 1;
            return;
        }
        let ran = self.programs.entry(path.to_owned()).or_default();
        ran.count += 1;
        if ran.count == 1 {
            ran.first = text(event, "@timestamp").unwrap_or_default().to_owned();
            ran.command_line = text(event, "process.command_line").unwrap_or_default().to_owned();
        }
        if ran.sha256.is_none() {
            ran.sha256 = text(event, "process.hash.sha256").map(str::to_ascii_lowercase);
        }
    }
}

fn is_of_runtime(path: &str) -> bool {
    RUNTIME.iter().any(|own| {
        path.strip_prefix(own)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// What a container has become.
pub fn drift(image: &Image, root: Option<&Image>, changes: &Changes, executed: &Executed) -> Vec<Difference> {
    let mut found = Vec::new();
    if let Some(root) = root {
        let (_, differences) = compare(image, root);
        let about_files = differences.into_iter().filter(|one| one.path.starts_with('/'));
        found.extend(about_files.filter(|one| !is_of_runtime(one.path.trim_start_matches('/'))));
    }
    for (path, change) in &changes.0 {
        if is_of_runtime(path) || found.iter().any(|one| one.path.strip_prefix('/') == Some(path)) {
            continue;
        }
        found.extend(of_change(image, path, *change, changes));
    }
    // Which differences there are in content, by path, for the programs that ran.
    let altered: BTreeMap<String, Severity> =
        found.iter().map(|one| (one.path.clone(), one.severity)).collect();
    for (path, ran) in &executed.programs {
        found.extend(of_run(image, path, ran, &altered));
    }
    found.sort_by(|one, other| {
        other
            .severity
            .cmp(&one.severity)
            .then_with(|| one.path.cmp(&other.path))
    });
    found
}

/// What a line of `docker diff` says, which knows only paths.
fn of_change(image: &Image, path: &str, change: Change, changes: &Changes) -> Option<Difference> {
    let own = image.files.get(path.as_bytes());
    let inside = format!("{path}/");
    let is_directory = own.is_some_and(|own| own.kind == Kind::Directory)
        || changes
            .0
            .range(inside.clone()..)
            .next()
            .is_some_and(|(next, _)| next.starts_with(&inside));
    let unknown = File {
        kind: if is_directory { Kind::Directory } else { Kind::File },
        mode: 0,
        uid: 0,
        gid: 0,
        size: 0,
        sha256: None,
        target: Vec::new(),
        xattrs: Vec::new(),
        device: (0, 0),
        layer: 0,
        signs: Signs::default(),
    };
    let mut one = match (change, own) {
        // A directory changes with what is in it.
        (Change::Changed | Change::Added, _) if is_directory => return None,
        (Change::Deleted, Some(own)) => of_removal(path.as_bytes(), own),
        (Change::Deleted, None) => return None,
        (Change::Changed, Some(own)) => {
            let changed = File {
                signs: Signs::default(),
                sha256: None,
                ..own.clone()
            };
            of_content(
                path.as_bytes(),
                Some(own),
                &changed,
                image.entry_point().as_deref(),
            )
        }
        (Change::Changed | Change::Added, _) => of_content(path.as_bytes(), None, &unknown, None),
    };
    one.found = None;
    one.layer = None;
    Some(one)
}

fn of_run(image: &Image, path: &str, ran: &Ran, altered: &BTreeMap<String, Severity>) -> Option<Difference> {
    // The kernel tells of files that are gone, and of such that never had a name.
    let (plain_path, is_deleted) = match path.strip_suffix(" (deleted)") {
        Some(rest) => (rest, true),
        None => (path, false),
    };
    let in_memory = plain_path.starts_with("/memfd:") || plain_path.starts_with("memfd:");
    let times = match ran.count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    };
    let when = if ran.first.is_empty() {
        String::new()
    } else {
        format!(", first at {}", ran.first)
    };
    let how = if ran.command_line.is_empty() {
        String::new()
    } else {
        format!(": `{}`", ran.command_line)
    };
    let told = format!("it ran {times}{when}{how}");
    let held = image.files.follow(plain_path.as_bytes());
    let (kind, severity, what, techniques) = match &held {
        _ if in_memory => (
            "foreign-executed",
            Severity::Critical,
            "a program ran that is no file of the image, but only in memory",
            vec![IMPLANT, "T1620"],
        ),
        None => {
            let what = if is_deleted {
                "a program ran that the image does not hold, and was deleted"
            } else {
                "a program ran that the image does not hold"
            };
            let severity = if is_deleted {
                Severity::Critical
            } else {
                Severity::High
            };
            ("foreign-executed", severity, what, vec![IMPLANT, "T1105"])
        }
        Some((real, file)) => {
            let differs = match (&ran.sha256, file.sha256) {
                (Some(ran), Some(own)) => *ran != crate::hex(&own),
                _ => {
                    let name = format!("/{}", shown(real));
                    altered
                        .get(&name)
                        .is_some_and(|severity| *severity > Severity::Info)
                }
            };
            if !differs {
                return None;
            }
            (
                "changed-executed",
                Severity::Critical,
                "a program of the image ran with other content than the image's",
                vec![IMPLANT, "T1554"],
            )
        }
    };
    Some(Difference {
        path: path.to_owned(),
        golden: held.as_ref().map(|(_, file)| crate::difference::told(file)),
        found: Some(told),
        techniques,
        sha256: ran.sha256.clone(),
        ..plain(kind, severity, what)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read_in_each_form() {
        for text in [
            "C /etc\nA /etc/cron.d/x\nD /bin/a b\n",
            r#"{"changed":["/etc"],"added":["/etc/cron.d/x"],"deleted":["/bin/a b"]}"#,
            r#"[{"Path":"/etc","Kind":0},{"Path":"/etc/cron.d/x","Kind":1},{"Path":"/bin/a b","Kind":2}]"#,
        ] {
            let changes = Changes::read(text.as_bytes()).unwrap();
            assert_eq!(changes.0.get("etc/cron.d/x"), Some(&Change::Added));
            assert_eq!(changes.0.get("bin/a b"), Some(&Change::Deleted));
        }
        for wrong in ["X /etc", "{\"a\":1}", "[1]", "\u{0}"] {
            assert!(Changes::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
