//! What people approve: differences, golden images, and whose accounts are whose. `docs/baseline.md` describes the file.

mod golden;
mod read;

use jiff::civil::Date;
use neph_diag::Span;
use neph_inventory::Cloud;
use serde::Serialize;

use crate::accounts::{Accounts, Named, Reach};
use crate::compare::{Class, Difference};
use crate::pattern::matches;
use crate::record::{Kind, Record};

/// Who answers for an entry, why, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sign {
    /// Who answers for it.
    pub owner: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The last day on which it counts.
    #[serde(serialize_with = "day")]
    pub expires: Date,
    /// Where it stands in the file.
    #[serde(skip)]
    pub span: Span,
}

fn day<S: serde::Serializer>(day: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&day.to_string())
}

impl Sign {
    fn is_over(&self, today: Date) -> bool {
        self.expires < today
    }
}

/// Differences that are as they should be. Of each list one must fit; an empty one asks nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    /// Ids, as patterns.
    pub ids: Vec<String>,
    /// Names, as patterns.
    pub names: Vec<String>,
    /// Kinds, as patterns of their names.
    pub kinds: Vec<String>,
    /// Accounts, as patterns.
    pub accounts: Vec<String>,
    /// Regions, as patterns.
    pub regions: Vec<String>,
    /// What it was made of, as patterns.
    pub sources: Vec<String>,
    /// Tags with their values, as patterns; all of them must be there.
    pub tags: Vec<(String, String)>,
    /// Classes of differences.
    pub classes: Vec<Class>,
    /// Names of what may have changed; of a difference all changes must be among them.
    pub changes: Vec<String>,
    /// Ids of differences.
    pub differences: Vec<String>,
    /// Who says so.
    pub sign: Sign,
}

/// An image that machines may be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Golden {
    /// Its id, as a pattern.
    pub ids: Vec<String>,
    /// Its name, as a pattern.
    pub names: Vec<String>,
    /// Kinds, as patterns of their names.
    pub kinds: Vec<String>,
    /// Whom it must belong to, as patterns.
    pub image_owners: Vec<String>,
    /// What it must be made of, or a copy of, as patterns.
    pub sources: Vec<String>,
    /// What its content must be, as patterns.
    pub contents: Vec<String>,
    /// Who says so.
    pub sign: Sign,
}

/// The file, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Approvals {
    /// Approved differences.
    pub approved: Vec<Approved>,
    /// Golden images.
    pub golden: Vec<Golden>,
    accounts: Vec<(Account, Sign)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Account {
    ids: Vec<String>,
    cloud: Option<Cloud>,
    reach: Reach,
}

/// What became of a difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Standing {
    /// Nobody approved it.
    Open,
    /// Somebody did.
    Approved(Sign),
    /// Somebody did, and the time of that is over.
    Expired(Sign),
}

impl Standing {
    /// `open`, `approved`, `expired`
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved(_) => "approved",
            Self::Expired(_) => "expired",
        }
    }

    /// Whether it is still to be looked at.
    pub fn is_open(&self) -> bool {
        !matches!(self, Self::Approved(_))
    }
}

impl Approvals {
    /// Whose accounts are whose today.
    pub fn accounts(&self, today: Date) -> Accounts {
        let current = self.accounts.iter().filter(|(_, sign)| !sign.is_over(today));
        let list = current.flat_map(|(account, _)| {
            account.ids.iter().map(|id| Named {
                id: id.clone(),
                cloud: account.cloud,
                reach: account.reach,
            })
        });
        Accounts { list: list.collect() }
    }

    /// What became of a difference: one entry whose time is not over is enough.
    pub fn standing(&self, difference: &Difference, today: Date) -> Standing {
        let mut over = None;
        for entry in self.approved.iter().filter(|entry| entry.fits(difference)) {
            if !entry.sign.is_over(today) {
                return Standing::Approved(entry.sign.clone());
            }
            over = over.or(Some(&entry.sign));
        }
        over.map_or(Standing::Open, |sign| Standing::Expired(sign.clone()))
    }
}

/// One of the patterns fits the text; without patterns everything does.
fn any(patterns: &[String], text: Option<&str>) -> bool {
    patterns.is_empty() || text.is_some_and(|text| patterns.iter().any(|pattern| matches(pattern, text)))
}

/// What something was made of, or is a copy of.
fn any_source(patterns: &[String], record: &Record) -> bool {
    patterns.is_empty()
        || [&record.source, &record.copy_of]
            .into_iter()
            .flatten()
            .any(|source| any(patterns, Some(source)))
}

fn any_kind(patterns: &[String], kind: Kind) -> bool {
    any(patterns, Some(kind.name()))
}

impl Approved {
    fn fits(&self, difference: &Difference) -> bool {
        let record = &difference.record;
        let has_tag = |(key, value): &(String, String)| {
            let tags = &mut record.tags.iter();
            tags.any(|(own, text)| matches(key, own) && matches(value, text))
        };
        let mut changed = difference.changes.iter();
        (self.classes.is_empty() || self.classes.contains(&difference.class))
            && any(&self.differences, Some(&difference.id))
            && any(&self.ids, Some(&record.id))
            && any(&self.names, record.name.as_deref())
            && any_kind(&self.kinds, record.kind)
            && any(&self.accounts, record.account.as_deref())
            && any(&self.regions, record.region.as_deref())
            && any_source(&self.sources, record)
            && self.tags.iter().all(has_tag)
            && (self.changes.is_empty()
                || (!difference.changes.is_empty()
                    && changed.all(|change| any(&self.changes, Some(change.field.name())))))
    }
}
