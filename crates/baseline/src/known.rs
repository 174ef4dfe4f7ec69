//! Of which scopes it is known what there is, so that what is absent there is gone and not merely unseen.

use std::collections::{BTreeMap, BTreeSet};

use crate::read::{Cover, within};
use crate::record::{Kind, Record};

type Names<'r> = BTreeSet<Option<&'r str>>;

/// Answers for each record whether a set of lists would have told it.
#[derive(Debug)]
pub(crate) struct Known<'r> {
    covers: BTreeMap<Kind, Vec<&'r Cover>>,
    /// The accounts and regions that there are of a kind.
    places: &'r Places<'r>,
    /// Answers that do not depend on more than this.
    asked: BTreeMap<(Kind, [Option<&'r str>; 3]), bool>,
}

/// The accounts and regions that records are of, by their kinds.
#[derive(Debug, Default)]
pub(crate) struct Places<'r>(BTreeMap<Kind, (Names<'r>, Names<'r>)>);

impl<'r> Places<'r> {
    pub(crate) fn of(records: impl Iterator<Item = &'r Record>) -> Self {
        let mut places = Self::default();
        for record in records {
            let (accounts, regions) = places.0.entry(record.kind).or_default();
            accounts.insert(record.account.as_deref());
            regions.insert(record.region.as_deref());
        }
        places
    }
}

impl<'r> Known<'r> {
    pub(crate) fn new(covers: &'r [Cover], places: &'r Places<'r>) -> Self {
        let mut by_kind: BTreeMap<Kind, Vec<&Cover>> = BTreeMap::new();
        for cover in covers {
            by_kind.entry(cover.kind).or_default().push(cover);
        }
        Self {
            covers: by_kind,
            places,
            asked: BTreeMap::new(),
        }
    }

    /// Whether a list that is whole would tell the record, and none that is broken might have.
    pub(crate) fn tells(&mut self, record: &'r Record) -> bool {
        let place = (
            record.kind,
            [
                record.account.as_deref(),
                record.region.as_deref(),
                within(record),
            ],
        );
        if let Some(answer) = self.asked.get(&place) {
            return *answer;
        }
        let covers = self.covers.get(&record.kind).map_or(&[][..], Vec::as_slice);
        let told = covers
            .iter()
            .any(|cover| cover.complete && self.fits(cover, record));
        let broken = covers
            .iter()
            .any(|cover| !cover.complete && Self::might_fit(cover, record));
        let answer = told && !broken;
        self.asked.insert(place, answer);
        answer
    }

    /// A list that does not say of which account or region it is, is of the only one that there is.
    fn fits(&self, cover: &Cover, record: &Record) -> bool {
        let one = (BTreeSet::new(), BTreeSet::new());
        let (accounts, regions) = self.places.0.get(&record.kind).unwrap_or(&one);
        let same = |told: &Option<Box<str>>, own: &Option<Box<str>>, all: &Names<'_>| {
            told == own || (told.is_none() && all.len() <= 1)
        };
        same(&cover.account, &record.account, accounts)
            && (!record.kind.is_regional() || same(&cover.region, &record.region, regions))
            && (cover.within.is_none() || cover.within.as_deref() == within(record))
    }

    fn might_fit(cover: &Cover, record: &Record) -> bool {
        let same = |told: Option<&str>, own: Option<&str>| told.is_none() || own.is_none() || told == own;
        same(cover.account.as_deref(), record.account.as_deref())
            && (!record.kind.is_regional() || same(cover.region.as_deref(), record.region.as_deref()))
            && same(cover.within.as_deref(), within(record))
    }
}
