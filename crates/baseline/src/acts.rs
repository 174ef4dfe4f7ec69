//! Who did it, when, and from where: audit events that name what a difference is about.
//!
//! Events are ECS documents, whoever made them. Which of them is about a snapshot or image is told by its id in the event: every
//! audit log names what a call made or changed, though each in a place of its own.

use std::collections::BTreeMap;

use aho_corasick::AhoCorasick;
use jiff::{SignedDuration, Timestamp};
use neph_inventory::Cloud;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::change::Field;
use crate::compare::{Class, Difference};
use crate::item::time;
use crate::record::Kind;

/// Most acts that are kept of a difference.
const MOST: usize = 5;
/// How far the making of a snapshot in a log may be from the time that the snapshot itself tells.
const ABOUT: SignedDuration = SignedDuration::from_mins(10);
/// Shorter names of what something was made of are not looked for.
const SOURCE: usize = 8;
/// Most that are remembered until the best are chosen.
const REMEMBERED: usize = 64;

/// A call that an audit log tells of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Act {
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Who did it: the name in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// By which identity, where the log has a fuller name for it: an ARN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// From which address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// With which program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The event's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// How well it explains the difference.
    #[serde(skip)]
    fits: u8,
}

/// What must be so besides a text that an event holds.
#[derive(Debug)]
enum Beside {
    Nothing,
    /// It holds the account too.
    Account(Box<str>),
    /// It happened about then, and its action explains the difference.
    At(Timestamp),
}

/// Looks for the acts behind differences.
#[derive(Debug)]
pub struct Actors {
    search: Option<AhoCorasick>,
    /// Of each text that is looked for: the difference, and what else must be so.
    wanted: Vec<(usize, Beside)>,
    /// Of each difference, what would explain it.
    words: Vec<&'static [&'static str]>,
    since: Timestamp,
    found: BTreeMap<usize, Vec<Act>>,
}

impl Actors {
    /// Looks for acts after `since`, when the baseline was taken.
    ///
    /// # Errors
    /// When there are more differences than can be looked for at once; in words.
    pub fn new(differences: &[Difference], since: Timestamp) -> Result<Self, String> {
        let mut texts: Vec<String> = Vec::new();
        let mut wanted = Vec::new();
        for (number, difference) in differences.iter().enumerate() {
            let record = &difference.record;
            texts.push(record.id.to_string());
            wanted.push((number, Beside::Nothing));
            // The disks of an image are made by the call that makes the image.
            if let Some(image) = &difference.part_of {
                texts.push(image.to_string());
                wanted.push((number, Beside::Nothing));
            }
            if let (Some(name), Some(account)) = (&record.name, &record.account)
                && goes_by_name(record.kind)
            {
                texts.push(format!("\"{name}\""));
                wanted.push((number, Beside::Account(account.clone())));
            }
            // Some logs name the disk that a snapshot was made of, and not the snapshot.
            if let (Some(source), Some(created)) = (&record.source, record.created)
                && difference.class == Class::New
                && source.len() >= SOURCE
            {
                texts.push(source.to_string());
                wanted.push((number, Beside::At(created)));
            }
        }
        let search = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(&texts)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            search: (!texts.is_empty()).then_some(search),
            wanted,
            words: differences.iter().map(explaining).collect(),
            since,
            found: BTreeMap::new(),
        })
    }

    /// Takes an ECS document.
    pub fn event(&mut self, document: &Map<String, Value>) {
        let Some(search) = &self.search else {
            return;
        };
        let get = |path: &str| at(document, path);
        let action = get("event.action");
        if get("event.outcome") == Some("failure") || action.is_none_or(is_reading) {
            return;
        }
        let when = get("@timestamp").and_then(time);
        if when.is_some_and(|when| when < self.since) {
            return;
        }
        let whole;
        let text = match get("event.original") {
            Some(text) => text,
            None => {
                whole = Value::Object(document.clone()).to_string();
                &whole
            }
        };
        let mut numbers: Vec<usize> = search
            .find_overlapping_iter(text)
            .filter(|found| stands_alone(text, found.start(), found.end()))
            .filter_map(|found| self.wanted.get(found.pattern().as_usize()))
            .filter(|(number, beside)| match beside {
                Beside::Nothing => true,
                Beside::Account(account) => text.contains(&**account),
                Beside::At(created) => {
                    let apart = when.map(|when| when.duration_since(*created).abs());
                    apart.is_some_and(|apart| apart <= ABOUT) && self.explains(*number, action)
                }
            })
            .map(|(number, _)| *number)
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            let act = Act {
                at: when,
                action: action.map(str::to_owned),
                who: first(
                    document,
                    &[
                        "user.name",
                        "user.email",
                        "user.id",
                        "client.user.name",
                        "client.user.email",
                    ],
                ),
                identity: first(
                    document,
                    &[
                        "aws.cloudtrail.user_identity.arn",
                        "user.email",
                        "azure.activitylogs.identity.claims_initiated_by_user.name",
                    ],
                ),
                from: first(
                    document,
                    &["source.ip", "source.address", "client.ip", "client.address"],
                ),
                agent: first(document, &["user_agent.original"]),
                event: first(document, &["event.id"]),
                fits: u8::from(self.explains(number, action)),
            };
            let acts = self.found.entry(number).or_default();
            acts.push(act);
            if acts.len() > REMEMBERED {
                best(acts);
            }
        }
    }

    fn explains(&self, number: usize, action: Option<&str>) -> bool {
        let said = action.unwrap_or("").to_ascii_lowercase();
        let words = self.words.get(number).copied().unwrap_or_default();
        words.iter().any(|word| said.contains(word))
    }

    /// The acts of each difference, those that explain it best first; of equal ones the latest.
    pub fn finish(self, differences: usize) -> Vec<Vec<Act>> {
        let mut found = self.found;
        let all = 0..differences;
        all.map(|number| {
            let mut acts = found.remove(&number).unwrap_or_default();
            best(&mut acts);
            acts
        })
        .collect()
    }
}

/// Calls of RDS and of Google Cloud that make something name it by its name alone.
fn goes_by_name(kind: Kind) -> bool {
    kind.cloud() == Cloud::Gcp || matches!(kind, Kind::AwsRdsSnapshot | Kind::AwsRdsClusterSnapshot)
}

fn best(acts: &mut Vec<Act>) {
    acts.sort_by_key(|act| std::cmp::Reverse((act.fits, act.at)));
    acts.dedup_by(|one, other| one.event.is_some() && one.event == other.event);
    acts.truncate(MOST);
}

/// Words that an action has which explains a difference, in small letters.
fn explaining(difference: &Difference) -> &'static [&'static str] {
    let shared = || {
        difference
            .changes
            .iter()
            .any(|change| change.field == Field::Sharing)
    };
    match difference.class {
        Class::Gone => &["delete", "deregister", "remove", "purge"],
        Class::CopiedOut if shared() => &[
            "modify",
            "share",
            "iampolicy",
            "member",
            "attribute",
            "permission",
        ],
        Class::CopiedOut => &["copy", "create", "getaccess", "begin"],
        Class::Changed if shared() => &[
            "modify",
            "share",
            "iampolicy",
            "member",
            "attribute",
            "permission",
        ],
        Class::Changed => &[
            "tag", "label", "modify", "update", "write", "patch", "set", "create",
        ],
        Class::New | Class::NotGolden | Class::GoldenAltered => &[
            "create", "copy", "import", "register", "write", "insert", "snapshot", "upload", "restore",
        ],
    }
}

/// Calls that only read change nothing: `DescribeSnapshots`, `Microsoft.Compute/snapshots/read`, `v1.compute.snapshots.list`.
fn is_reading(action: &str) -> bool {
    let lower = action.to_ascii_lowercase();
    // A shared access signature is made by a call that only seems to read.
    if lower.contains("getaccess") || lower.contains("beginget") {
        return false;
    }
    let last = lower.rsplit(['.', '/', ':']).next().unwrap_or(&lower);
    [
        "describe",
        "list",
        "get",
        "head",
        "aggregatedlist",
        "read",
        "lookup",
        "search",
    ]
    .iter()
    .any(|word| last.starts_with(word))
        || lower.ends_with("/read")
}

/// Whether what was found is not a part of a longer name.
fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let is_of_name =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    let before = text.get(..start).and_then(|before| before.chars().next_back());
    let after = text.get(end..).and_then(|after| after.chars().next());
    let quoted = text.get(start..end).is_some_and(|found| found.starts_with('"'));
    quoted || !(before.is_some_and(is_of_name) || after.is_some_and(is_of_name))
}

fn first(document: &Map<String, Value>, paths: &[&str]) -> Option<String> {
    paths
        .iter()
        .find_map(|path| at(document, path))
        .map(str::to_owned)
}

/// A text of a document, whose keys may be written with dots or as objects.
fn at<'d>(document: &'d Map<String, Value>, path: &str) -> Option<&'d str> {
    if let Some(value) = document.get(path) {
        return value.as_str().or_else(|| value.as_array()?.first()?.as_str());
    }
    let mut from = 0;
    while let Some(dot) = path.get(from..)?.find('.') {
        let (head, tail) = (path.get(..from + dot)?, path.get(from + dot + 1..)?);
        if let Some(Value::Object(inner)) = document.get(head)
            && let Some(found) = at(inner, tail)
        {
            return Some(found);
        }
        from += dot + 1;
    }
    None
}
