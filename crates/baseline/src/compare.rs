//! How what there is differs from a baseline.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::accounts::{Accounts, Reach};
use crate::change::{Change, Field, changes};
use crate::file::{Baseline, hex};
use crate::known::{Known, Places};
use crate::read::Collected;
use crate::record::{Kind, Record};

/// What kind of difference it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A copy lies in another account or region, or a stranger or everybody may use it.
    CopiedOut,
    /// An image goes by the name or id of an approved one and is another.
    GoldenAltered,
    /// An image is none of those that are approved.
    NotGolden,
    /// It was not there.
    New,
    /// It is not what it was.
    Changed,
    /// It is not there any more.
    Gone,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::CopiedOut,
        Self::GoldenAltered,
        Self::NotGolden,
        Self::New,
        Self::Changed,
        Self::Gone,
    ];

    /// The name: `copied-out`.
    pub fn name(self) -> &'static str {
        match self {
            Self::CopiedOut => "copied-out",
            Self::GoldenAltered => "golden-altered",
            Self::NotGolden => "not-golden",
            Self::New => "new",
            Self::Changed => "changed",
            Self::Gone => "gone",
        }
    }

    /// The class of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Hash of the class, the record and what changed: the same difference has the same id whenever it is found.
    pub id: String,
    /// What kind of difference.
    pub class: Class,
    /// What it is about: as it is, or as it was where it is gone.
    pub record: Record,
    /// What changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// Who may use it that could not before, where that is so; the farthest of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reach: Option<Reach>,
    /// The image that was made with it, where it is one of the disks of a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_of: Option<Box<str>>,
    /// Why it is of its class, where that does not follow from what changed; a phrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Records about which a comparison says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unseen {
    /// The kind.
    pub kind: Kind,
    /// The account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Box<str>>,
    /// The region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<Box<str>>,
    /// How many.
    pub records: usize,
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The differences, the worst classes first.
    pub differences: Vec<Difference>,
    /// What the baseline has and what could not be collected now: not gone, unknown.
    pub unknown: Vec<Unseen>,
    /// What lies where the baseline did not look, and was there before it was taken: not new, unknown.
    pub not_compared: Vec<Unseen>,
    /// Records that are on both sides.
    pub same: usize,
    /// Records of which it is not known with whom they are shared, now or then.
    pub sharing_unknown: usize,
}

/// Compares what was collected with a baseline.
pub fn compare(before: &Baseline, after: &Collected, accounts: &Accounts) -> Comparison {
    let own = after.covers.iter().chain(&before.covers);
    let own: BTreeSet<&str> = own.filter_map(|cover| cover.account.as_deref()).collect();
    let places = Places::of(before.records.iter().chain(&after.records));
    let mut comparing = Comparing {
        before,
        after,
        own,
        accounts,
        now: Known::new(&after.covers, &places),
        then: Known::new(&before.covers, &places),
        out: Comparison::default(),
        unknown: BTreeMap::new(),
        not_compared: BTreeMap::new(),
    };
    comparing.all();
    comparing.out.unknown = listed(comparing.unknown);
    comparing.out.not_compared = listed(comparing.not_compared);
    let mut out = comparing.out;
    out.differences
        .sort_by(|one, other| (one.class, one.record.place()).cmp(&(other.class, other.record.place())));
    out
}

type Unseens<'r> = BTreeMap<(Kind, Option<&'r str>, Option<&'r str>), usize>;

fn listed(unseen: Unseens<'_>) -> Vec<Unseen> {
    let all = unseen.into_iter();
    all.map(|((kind, account, region), records)| Unseen {
        kind,
        account: account.map(Into::into),
        region: region.map(Into::into),
        records,
    })
    .collect()
}

fn place(record: &Record) -> (Kind, Option<&str>, Option<&str>) {
    (record.kind, record.account.as_deref(), record.region.as_deref())
}

struct Comparing<'r> {
    before: &'r Baseline,
    after: &'r Collected,
    /// The accounts that were looked at are one's own.
    own: BTreeSet<&'r str>,
    accounts: &'r Accounts,
    now: Known<'r>,
    then: Known<'r>,
    out: Comparison,
    unknown: Unseens<'r>,
    not_compared: Unseens<'r>,
}

impl<'r> Comparing<'r> {
    /// Both sides are sorted alike, so one pass over both finds what is where.
    fn all(&mut self) {
        let (mut old, mut new) = (
            self.before.records.iter().peekable(),
            self.after.records.iter().peekable(),
        );
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => one.place().cmp(&other.place()),
            };
            match order {
                Ordering::Less => old.next().into_iter().for_each(|record| self.absent(record)),
                Ordering::Greater => new.next().into_iter().for_each(|record| self.unheard_of(record)),
                Ordering::Equal => {
                    if let (Some(one), Some(other)) = (old.next(), new.next()) {
                        self.both(one, other);
                    }
                }
            }
        }
    }

    fn absent(&mut self, record: &'r Record) {
        if self.now.tells(record) {
            self.push(Class::Gone, record, Vec::new(), None, None);
        } else {
            *self.unknown.entry(place(record)).or_default() += 1;
        }
    }

    fn unheard_of(&mut self, record: &'r Record) {
        let shared = Change {
            field: Field::Sharing,
            before: None,
            after: self.shared_with(record),
        };
        let reach = self.reach(record, None);
        let changes = if shared.after.is_some() {
            vec![shared]
        } else {
            Vec::new()
        };
        let is_new = self.then.tells(record) || record.created.is_some_and(|at| at > self.before.taken);
        if let Some(of) = self.original(record) {
            let why = format!("it is a copy of {}", described(of));
            self.push(
                Class::CopiedOut,
                record,
                changes,
                Some(reach.unwrap_or(Reach::Own)),
                Some(why),
            );
        } else if !is_new {
            *self.not_compared.entry(place(record)).or_default() += 1;
        } else if matches!(reach, Some(Reach::Public | Reach::Unknown)) {
            let why = Some("it is new and shared".to_owned());
            self.push(Class::CopiedOut, record, changes, reach, why);
        } else {
            self.push(Class::New, record, changes, reach, None);
        }
    }

    fn both(&mut self, before: &'r Record, after: &'r Record) {
        self.out.same += 1;
        if before.public.is_none() != after.public.is_none()
            || before.shared.is_none() != after.shared.is_none()
        {
            self.out.sharing_unknown += 1;
        }
        let changes = changes(before, after);
        if changes.is_empty() {
            return;
        }
        let reach = self.reach(after, Some(before));
        let class = match reach {
            Some(Reach::Public | Reach::Unknown) => Class::CopiedOut,
            _ if is_exported(&changes) => Class::CopiedOut,
            _ => Class::Changed,
        };
        self.push(class, after, changes, reach, None);
    }

    fn shared_with(&self, record: &Record) -> Option<String> {
        let everybody = (record.public == Some(true)).then_some("everybody");
        let others = record.shared.iter().flatten().map(AsRef::as_ref);
        let names: Vec<&str> = everybody.into_iter().chain(others).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// How far those are who may use it and could not before.
    fn reach(&self, record: &Record, before: Option<&Record>) -> Option<Reach> {
        // What was not told before cannot be told to be new.
        let was_public = before.is_some_and(|before| before.public != Some(false));
        if record.public == Some(true) && !was_public {
            return Some(Reach::Public);
        }
        let earlier = match before {
            Some(before) => before.shared.as_ref()?,
            None => &Vec::new(),
        };
        let later = record.shared.iter().flatten();
        let added = later.filter(|with| !earlier.contains(with));
        let cloud = record.kind.cloud();
        added
            .map(|with| self.accounts.reach(cloud, with, &self.own))
            .max()
    }

    /// The record that this one is a copy of, where that is one of another account or region.
    fn original(&self, record: &Record) -> Option<&'r Record> {
        let of = record.copy_of.as_deref()?;
        let find = |records: &'r [Record]| {
            let at = records.binary_search_by(|other| other.place().cmp(&(record.kind, of)));
            at.ok().and_then(|at| records.get(at))
        };
        let original = find(&self.before.records).or_else(|| find(&self.after.records))?;
        let elsewhere = |one: &Option<Box<str>>, other: &Option<Box<str>>| matches!((one, other), (Some(one), Some(other)) if one != other);
        (elsewhere(&original.account, &record.account) || elsewhere(&original.region, &record.region))
            .then_some(original)
    }

    fn push(
        &mut self,
        class: Class,
        record: &Record,
        changes: Vec<Change>,
        reach: Option<Reach>,
        why: Option<String>,
    ) {
        self.out
            .differences
            .push(Difference::new(class, record, changes, reach, why));
    }
}

/// An address by which the content can be fetched was given out.
fn is_exported(changes: &[Change]) -> bool {
    let exported = |side: &Option<String>| side.as_deref().is_some_and(|text| text.ends_with("exported"));
    changes
        .iter()
        .any(|change| change.field == Field::Access && exported(&change.after) && !exported(&change.before))
}

fn described(record: &Record) -> String {
    let region = record.region.as_deref().map(|region| format!(" in {region}"));
    let account = record.account.as_deref().map(|account| format!(" of {account}"));
    format!(
        "{}{}{}",
        record.id,
        account.unwrap_or_default(),
        region.unwrap_or_default()
    )
}

impl Difference {
    pub(crate) fn new(
        class: Class,
        record: &Record,
        changes: Vec<Change>,
        reach: Option<Reach>,
        why: Option<String>,
    ) -> Self {
        let mut hash = Sha256::new();
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        part(class.name());
        part(record.kind.name());
        part(&record.id);
        // The same name given again is another thing.
        part(record.content.as_deref().unwrap_or(""));
        part(
            &record
                .created
                .map_or_else(String::new, |at: Timestamp| at.to_string()),
        );
        for change in &changes {
            part(change.field.name());
            part(change.before.as_deref().unwrap_or(""));
            part(change.after.as_deref().unwrap_or(""));
        }
        let digest = hash.finalize();
        Self {
            id: hex(digest.get(..16).unwrap_or_default()),
            class,
            record: record.clone(),
            changes,
            reach,
            part_of: None,
            why,
        }
    }
}
