//! What differs between a record and the same one later, and what of that nobody did.

use serde::{Deserialize, Serialize};

use crate::record::{Kind, Record, State};

/// What can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// The content behind the same name.
    Content,
    /// Who may use it.
    Sharing,
    /// How it can be reached or exported.
    Access,
    /// Whether it is encrypted.
    Encryption,
    /// The key.
    Key,
    /// Whom it belongs to.
    Owner,
    /// What it was made of.
    Source,
    /// Its size.
    Size,
    /// The family by which the newest is asked for.
    Family,
    /// Its name.
    Name,
    /// Tags, labels or properties.
    Tags,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Content,
        Self::Sharing,
        Self::Access,
        Self::Encryption,
        Self::Key,
        Self::Owner,
        Self::Source,
        Self::Size,
        Self::Family,
        Self::Name,
        Self::Tags,
    ];

    /// The name: `tags`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Sharing => "sharing",
            Self::Access => "access",
            Self::Encryption => "encryption",
            Self::Key => "key",
            Self::Owner => "owner",
            Self::Source => "source",
            Self::Size => "size",
            Self::Family => "family",
            Self::Name => "name",
            Self::Tags => "tags",
        }
    }
}

/// One change. Lists are told by what was added and taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What changed.
    pub field: Field,
    /// What it was, or what was taken away.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<String>,
    /// What it is, or what was added.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<String>,
}

/// How records of the same place differ. What one of them does not tell is not compared, and what comes when something that was
/// being made is ready has not changed.
pub(crate) fn changes(before: &Record, after: &Record) -> Vec<Change> {
    let mut out = Changes {
        settles: before.state == State::Pending,
        list: Vec::new(),
    };
    out.told(
        Field::Content,
        before.content.as_deref(),
        after.content.as_deref(),
    );
    sharing(before, after, &mut out.list);
    out.told(Field::Access, before.access.as_deref(), after.access.as_deref());
    let word = |encrypted: Option<bool>| encrypted.map(|yes| if yes { "encrypted" } else { "not encrypted" });
    out.told(Field::Encryption, word(before.encrypted), word(after.encrypted));
    out.either(Field::Key, before.key.as_deref(), after.key.as_deref());
    out.told(Field::Owner, before.belongs_to(), after.belongs_to());
    out.told(Field::Source, before.source.as_deref(), after.source.as_deref());
    let size = |size: Option<u64>| {
        size.filter(|size| *size > 0 || !out.settles)
            .map(|size| size.to_string())
    };
    let sizes = (size(before.size), size(after.size));
    out.told(Field::Size, sizes.0.as_deref(), sizes.1.as_deref());
    out.either(Field::Family, before.family.as_deref(), after.family.as_deref());
    // The name of an EBS snapshot is one of its tags.
    if before.kind != Kind::AwsEbsSnapshot {
        out.either(Field::Name, before.name.as_deref(), after.name.as_deref());
    }
    if before.tags != after.tags {
        let (less, more) = sets(&before.tags, &after.tags);
        let shown = |tags: Vec<&(Box<str>, Box<str>)>| {
            joined(tags.iter().map(|(key, value)| match &**value {
                "" => key.to_string(),
                value => format!("{key}={value}"),
            }))
        };
        let (less, more) = (shown(less), shown(more));
        if !(out.settles && less.is_none()) {
            out.push(Field::Tags, less, more);
        }
    }
    out.list
}

struct Changes {
    /// Whether the earlier one was being made.
    settles: bool,
    list: Vec<Change>,
}

impl Changes {
    fn push(&mut self, field: Field, before: Option<String>, after: Option<String>) {
        self.list.push(Change { field, before, after });
    }

    /// What must be told on both sides to be compared.
    fn told(&mut self, field: Field, before: Option<&str>, after: Option<&str>) {
        if let (Some(before), Some(after)) = (before, after)
            && before != after
        {
            self.push(field, Some(before.to_owned()), Some(after.to_owned()));
        }
    }

    /// What is not there where it is not told.
    fn either(&mut self, field: Field, before: Option<&str>, after: Option<&str>) {
        if before != after && !(self.settles && before.is_none()) {
            self.push(field, before.map(str::to_owned), after.map(str::to_owned));
        }
    }
}

fn sharing(before: &Record, after: &Record, list: &mut Vec<Change>) {
    let mut less: Vec<&str> = Vec::new();
    let mut more: Vec<&str> = Vec::new();
    match (before.public, after.public) {
        (Some(false), Some(true)) => more.push("everybody"),
        (Some(true), Some(false)) => less.push("everybody"),
        _ => {}
    }
    if let (Some(earlier), Some(later)) = (&before.shared, &after.shared) {
        let (gone, came) = sets(earlier, later);
        less.extend(gone.into_iter().map(AsRef::as_ref));
        more.extend(came.into_iter().map(AsRef::as_ref));
    }
    if !(less.is_empty() && more.is_empty()) {
        let words = |names: Vec<&str>| joined(names.into_iter().map(str::to_owned));
        list.push(Change {
            field: Field::Sharing,
            before: words(less),
            after: words(more),
        });
    }
}

/// What is only in the one, and what is only in the other; both are sorted.
fn sets<'t, T: Ord>(one: &'t [T], other: &'t [T]) -> (Vec<&'t T>, Vec<&'t T>) {
    let only = |these: &'t [T], those: &[T]| {
        these
            .iter()
            .filter(|item| those.binary_search(item).is_err())
            .collect()
    };
    (only(one, other), only(other, one))
}

fn joined(words: impl Iterator<Item = String>) -> Option<String> {
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join(", "))
}
