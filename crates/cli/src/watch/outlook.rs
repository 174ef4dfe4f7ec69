//! What rules can find in what the sensor tells, which they cannot, and which files they ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use neph_rules::Rule;
use neph_runtime::kinds::{Kinds, RecordKind, Texts};
use neph_sensor::{Abilities, DocumentKind, Files, Looked, Part, Unwatchable};

use crate::input::plural;

/// Categories of what happens on a host, and what the sensor does not tell of them.
const BEYOND: [(&str, &str); 3] = [
    (
        "file",
        "files that are changed, renamed or deleted, or opened and named by no rule",
    ),
    (
        "process",
        "more of a process, such as hashes, signatures, variables or forks",
    ),
    (
        "network",
        "connections that are taken or end, or names that are looked up",
    ),
];

/// A file that a rule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The path, or a pattern of paths.
    pub(super) pattern: String,
    /// How far it is looked for.
    pub(super) looked: Result<Looked, Unwatchable>,
    /// Names of the rules.
    pub(super) rules: BTreeSet<String>,
}

/// What rules can find.
#[derive(Clone, Debug, Default)]
pub(super) struct Outlook {
    /// How many can find something.
    able: usize,
    /// How many are about other sources.
    elsewhere: usize,
    /// Names of those that cannot find anything, by what they would need.
    blind: BTreeMap<String, BTreeSet<String>>,
}

fn record_kind(kind: &DocumentKind) -> RecordKind {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    RecordKind {
        values: kind
            .values
            .iter()
            .map(|(name, values)| ((*name).to_owned(), owned(values)))
            .collect(),
        has: owned(&kind.has),
        lacks: owned(kind.lacks),
    }
}

/// The kinds of documents of a sensor that cannot see some parts.
fn kinds(unseen: &[Part]) -> Vec<RecordKind> {
    let seen = |kind: &&DocumentKind| kind.needs.is_none_or(|part| !unseen.contains(&part));
    neph_sensor::kinds()
        .iter()
        .filter(seen)
        .map(record_kind)
        .collect()
}

/// Tells whether a rule can find anything in what a sensor tells that sees all there is for one.
pub(super) fn of_hosts() -> impl Fn(&Rule) -> bool {
    let kinds = Kinds::new(kinds(&[]));
    move |rule| rule.plan.as_ref().is_none_or(|plan| kinds.can_find(plan))
}

/// Looks for the files that rules ask for by name, beside what is looked for already. What they ask for, in order.
pub(crate) fn add_files<'a>(rules: impl IntoIterator<Item = &'a Rule>, files: &mut Files) -> Vec<Asked> {
    let is_file = |kind: &&DocumentKind| kind.needs == Some(Part::Files);
    let all = neph_sensor::kinds();
    let opens = Kinds::new(all.iter().filter(is_file).map(record_kind).collect());
    let others = Kinds::new(
        all.iter()
            .filter(|kind| !is_file(kind))
            .map(record_kind)
            .collect(),
    );
    let mut asked: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for rule in rules {
        let Some(plan) = &rule.plan else { continue };
        let good = |pattern: &str| Files::looked(pattern).is_ok();
        for texts in opens.texts_of(&others, plan, "file.path", &good) {
            let patterns = match texts {
                Texts::OneOf(patterns) => patterns,
                Texts::Any => BTreeSet::from(["*".to_owned()]),
            };
            for pattern in patterns {
                asked.entry(pattern).or_default().insert(rule.name.clone());
            }
        }
    }
    asked
        .into_iter()
        .map(|(pattern, rules)| Asked {
            looked: files.add(&pattern),
            pattern,
            rules,
        })
        .collect()
}

impl Outlook {
    /// What rules can find with a sensor of these abilities.
    pub(super) fn new(rules: &[Arc<Rule>], seen: &Abilities) -> Self {
        let all = kinds(&[]);
        let with = |more: &mut dyn Iterator<Item = &'static str>| {
            let more = more.filter_map(DocumentKind::beyond);
            let more: Vec<RecordKind> = more.map(|kind| record_kind(&kind)).collect();
            Kinds::new(all.iter().cloned().chain(more).collect())
        };
        let mine = Kinds::new(kinds(&seen.unseen));
        let beyond = BEYOND.map(|(category, what)| (with(&mut std::iter::once(category)), what));
        let whole = with(&mut BEYOND.iter().map(|(category, _)| *category));
        let all = with(&mut std::iter::empty());
        let mut outlook = Self::default();
        for rule in rules {
            let Some(plan) = &rule.plan else { continue };
            let missing = if mine.can_find(plan) {
                outlook.able += 1;
                continue;
            } else if all.can_find(plan) {
                format!("what `{}` does not see: {}", seen.mode, names(&seen.unseen))
            } else if let Some((_, what)) = beyond.iter().find(|(kinds, _)| kinds.can_find(plan)) {
                (*what).to_owned()
            } else if whole.can_find(plan) {
                "several of these".to_owned()
            } else {
                outlook.elsewhere += 1;
                continue;
            };
            outlook
                .blind
                .entry(missing)
                .or_default()
                .insert(rule.name.clone());
        }
        outlook
    }

    /// In lines; with all names of rules that can find nothing, or how many there are.
    pub(super) fn lines(&self, is_whole: bool) -> Vec<String> {
        let mut lines = vec![format!(
            "{} can find something here; {} are about other sources",
            plural(self.able as u64, "rule"),
            self.elsewhere
        )];
        for (what, rules) in &self.blind {
            lines.push(format!(
                "{} cannot: not told are {what}",
                plural(rules.len() as u64, "rule")
            ));
            if is_whole {
                lines.extend(rules.iter().map(|rule| format!("  {rule}")));
            }
        }
        lines
    }
}

fn names(parts: &[Part]) -> String {
    let names: Vec<&str> = parts.iter().map(|part| part.name()).collect();
    names.join(", ")
}

/// Which files are looked for, in lines; with all that cannot be, or how many there are.
pub(super) fn file_lines(asked: &[Asked], files: &Files, is_whole: bool) -> Vec<String> {
    let mut lines = vec![format!(
        "{} of files and sockets are looked for",
        plural(files.len() as u64, "pattern")
    )];
    let refused: Vec<&Asked> = asked.iter().filter(|one| one.looked.is_err()).collect();
    if !refused.is_empty() {
        lines.push(format!(
            "{} of rules cannot be looked for",
            plural(refused.len() as u64, "pattern")
        ));
    }
    if is_whole {
        for one in refused {
            if let Err(why) = one.looked {
                let rules: Vec<&str> = one.rules.iter().map(String::as_str).collect();
                lines.push(format!(
                    "  `{}`: {why} (asked for by {})",
                    one.pattern,
                    rules.join(", ")
                ));
            }
        }
        let made = asked.iter().filter(|one| one.looked == Ok(Looked::Made));
        lines.extend(made.map(|one| {
            format!(
                "  `{}`: told when such a file is made, not each time it is opened",
                one.pattern
            )
        }));
    }
    lines
}
