//! Images held against the list of those that are approved.

use jiff::civil::Date;

use super::{Approvals, Golden, Sign, any, any_kind, any_source};
use crate::compare::{Class, Difference};
use crate::record::{Kind, Record, State, What};

impl Golden {
    fn is_about(&self, record: &Record) -> bool {
        let named = any(&self.ids, Some(&record.id)) && any(&self.names, record.name.as_deref());
        named && any_kind(&self.kinds, record.kind)
    }

    /// What is not as the entry says.
    fn altered(&self, record: &Record) -> Vec<String> {
        let mut reasons = Vec::new();
        let mut need = |what: &str, patterns: &[String], own: Option<&str>, fits: bool| {
            if !fits {
                let told = own.map_or_else(
                    || format!("no {what} is told"),
                    |own| format!("its {what} is `{own}`"),
                );
                reasons.push(format!("{told} instead of `{}`", patterns.join("`, `")));
            }
        };
        let owner = record.belongs_to();
        need("owner", &self.image_owners, owner, any(&self.image_owners, owner));
        let source = record.source.as_deref().or(record.copy_of.as_deref());
        need("source", &self.sources, source, any_source(&self.sources, record));
        let content = record.content.as_deref();
        need("content", &self.contents, content, any(&self.contents, content));
        reasons
    }
}

impl Approvals {
    /// Images that are not on the list, or go by the name of one that is. Of clouds without entries nothing is said.
    pub fn golden(&self, records: &[Record], today: Date) -> Vec<Difference> {
        let has_entry = |kind: Kind| {
            let mut others = Kind::ALL.iter().filter(|other| other.cloud() == kind.cloud());
            self.golden
                .iter()
                .any(|entry| !entry.kinds.is_empty() && others.any(|other| any_kind(&entry.kinds, *other)))
                || self.golden.iter().any(|entry| entry.kinds.is_empty())
        };
        let kinds: Vec<Kind> = Kind::ALL
            .iter()
            .copied()
            // Galleries hold images and are none.
            .filter(|kind| kind.what() == What::Image && *kind != Kind::AzureGallery && has_entry(*kind))
            .collect();
        let images = records
            .iter()
            .filter(|record| kinds.contains(&record.kind) && record.state != State::Unusable);
        images.filter_map(|record| self.against(record, today)).collect()
    }

    /// Who approved an image, where somebody did and the time of that is not over.
    pub(crate) fn golden_sign(&self, record: &Record, today: Date) -> Option<&Sign> {
        let fits = |entry: &&Golden| {
            entry.is_about(record) && entry.altered(record).is_empty() && !entry.sign.is_over(today)
        };
        self.golden.iter().find(fits).map(|entry| &entry.sign)
    }

    fn against(&self, record: &Record, today: Date) -> Option<Difference> {
        let about: Vec<&Golden> = self
            .golden
            .iter()
            .filter(|entry| entry.is_about(record))
            .collect();
        let mut over: Option<&Sign> = None;
        let mut altered = Vec::new();
        for entry in &about {
            let reasons = entry.altered(record);
            match (reasons.is_empty(), entry.sign.is_over(today)) {
                (true, false) => return None,
                (true, true) => over = Some(&entry.sign),
                (false, _) => altered.push(reasons.join(", and ")),
            }
        }
        let (class, why) = match (over, altered.first()) {
            (Some(sign), _) => {
                let why = format!("its approval by {} counted until {}", sign.owner, sign.expires);
                (Class::NotGolden, why)
            }
            (None, Some(reasons)) => (Class::GoldenAltered, reasons.clone()),
            (None, None) => (Class::NotGolden, "no entry of the list is about it".to_owned()),
        };
        Some(Difference::new(class, record, Vec::new(), None, Some(why)))
    }
}
