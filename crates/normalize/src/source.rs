//! What a source is: how its records are recognised, and how they become documents.

use smallvec::SmallVec;

use crate::mapping::{Draft, Found, Mapping, Plan};
use crate::record::Record;
use crate::tree::{Arena, Map};

/// How sure a source is that a record is one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// It is something else.
    No,
    /// It has the shape; another source may know better.
    Likely,
    /// It carries marks that only this source has.
    Certain,
}

/// A source: a kind of vendor record.
#[derive(Debug)]
pub struct SourceInfo {
    /// The name that `--source` takes.
    pub name: &'static str,
    /// Other names that it takes.
    pub aliases: &'static [&'static str],
    /// One line: what the records are and who writes them.
    pub title: &'static str,
    /// `event.module` of its documents.
    pub module: &'static str,
    /// `event.dataset` and `data_stream.dataset` of its documents.
    pub dataset: &'static str,
    /// `host.os.type` of its documents, where the source exists on one kind of system only.
    pub os: Option<&'static str>,
    /// Which vendor path becomes which field; the same tables do the mapping.
    pub mappings: &'static [&'static [Mapping]],
    /// The fields that code derives from several paths, or that are constant.
    pub derived: &'static [&'static [Derived]],
    /// Whether a record is one of this source.
    pub detect: fn(&Record<'_>) -> Confidence,
    /// Makes the normaliser, with state of its own.
    pub start: fn() -> Box<dyn Source>,
}

impl SourceInfo {
    /// The fields that its documents can have, sorted; `prefix.*` stands for a subtree that the vendor names.
    pub fn fields(&self) -> Vec<&'static str> {
        let mapped = self.mappings.iter().copied().flatten().map(|row| row.to);
        let derived = self.derived.iter().copied().flatten().map(|row| row.field);
        let mut fields: Vec<&str> = mapped
            .chain(derived)
            .chain(EVERY_DOCUMENT.iter().copied())
            .collect();
        if self.os.is_some() {
            fields.push(OS_TYPE);
        }
        fields.sort_unstable();
        fields.dedup();
        fields
    }
}

/// What documents of sources have that exist on one kind of system only.
pub(crate) const OS_TYPE: &str = "host.os.type";

/// What every document has, whatever its source.
pub(crate) const EVERY_DOCUMENT: &[&str] = &[
    "data_stream.dataset",
    "ecs.version",
    "event.dataset",
    "event.module",
    "event.original",
];

/// The documents that a record becomes: nearly always one.
pub(crate) type Made<'a> = SmallVec<[&'a Map<'a>; 1]>;

/// Turns the records of one source into documents. What a record becomes must depend on this record alone, as records
/// are spread over workers; lines of a text log that belong together are one record before they come here, see
/// [`crate::Joining`].
pub trait Source: Send {
    /// Adds the documents that `record` becomes to `out`. A record that adds nothing and is no error was held back
    /// until others of its group come.
    ///
    /// # Errors
    /// Why the record becomes no document.
    fn normalize<'a>(&mut self, record: &Record<'a>, out: &mut Made<'a>) -> Result<(), Dropped>;

    /// Drafts the one document of `record`, where the source can; if not, [`normalize`](Self::normalize) is asked. What its
    /// [`plan`](Self::plan) takes of the record may have been found already.
    #[expect(private_interfaces, reason = "drafts are made and read in this crate alone")]
    fn draft<'a>(
        &mut self,
        _record: &Record<'a>,
        _found: Option<Found<'a>>,
    ) -> Option<Result<Draft<'a>, Dropped>> {
        None
    }

    /// What a source that [drafts](Self::draft) its documents takes of a record, so that it can be taken while the record is
    /// read.
    #[expect(private_interfaces, reason = "plans are applied in this crate alone")]
    fn plan(&self) -> Option<&'static Plan> {
        None
    }

    /// The paths of a record that are looked at whatever fields are wanted: to recognise it, and to choose what is made of
    /// it. A source that has such a list [drafts](Self::draft) its documents, and its tables name every path that a
    /// field comes from. Nothing where records are always read as a whole.
    fn always_reads(&self) -> Option<&'static [&'static str]> {
        None
    }

    /// Of the paths that are [always](Self::always_reads) looked at those of which it only matters whether there is a text:
    /// records of one kind may differ in them.
    fn looks_for(&self) -> &'static [&'static str] {
        &[]
    }

    /// Adds the documents of records that are still held back, when no more records come.
    fn finish<'a>(&mut self, _arena: &'a Arena, _out: &mut Made<'a>) {}
}

/// A source without state: a function from record to document.
pub(crate) struct Stateless(pub(crate) for<'a> fn(&Record<'a>) -> Result<&'a Map<'a>, Dropped>);

impl Source for Stateless {
    fn normalize<'a>(&mut self, record: &Record<'a>, out: &mut Made<'a>) -> Result<(), Dropped> {
        out.push((self.0)(record)?);
        Ok(())
    }
}

/// A source without state whose documents have fixed places.
pub(crate) struct Drafted {
    pub(crate) draft: for<'a> fn(&Record<'a>, Option<Found<'a>>) -> Result<Draft<'a>, Dropped>,
    /// See [`Source::plan`].
    pub(crate) plan: fn() -> &'static Plan,
    /// See [`Source::always_reads`].
    pub(crate) always_reads: &'static [&'static str],
    /// See [`Source::looks_for`].
    pub(crate) looks_for: &'static [&'static str],
}

impl Source for Drafted {
    fn normalize<'a>(&mut self, record: &Record<'a>, out: &mut Made<'a>) -> Result<(), Dropped> {
        out.push((self.draft)(record, None)?.onto(record.document()));
        Ok(())
    }

    fn draft<'a>(
        &mut self,
        record: &Record<'a>,
        found: Option<Found<'a>>,
    ) -> Option<Result<Draft<'a>, Dropped>> {
        // What an agent said is a document already.
        record.agent.is_none().then(|| (self.draft)(record, found))
    }

    fn plan(&self) -> Option<&'static Plan> {
        Some((self.plan)())
    }

    fn always_reads(&self) -> Option<&'static [&'static str]> {
        Some(self.always_reads)
    }

    fn looks_for(&self) -> &'static [&'static str] {
        self.looks_for
    }
}

/// Why a record of a known source becomes no document. These are decisions of the vendor's format, not failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Dropped {
    /// It is of a kind that carries no event (a digest, a heartbeat, another log type in the same stream).
    #[error("{0}")]
    NoEvent(&'static str),
    /// Parts that the source cannot do without are missing or of another type.
    #[error("not of the form of its source: {0}")]
    Malformed(&'static str),
}

/// A field that code sets, for `--explain` and for the list of fields.
#[derive(Clone, Copy, Debug)]
pub struct Derived {
    /// The field; `prefix.*` stands for a subtree.
    pub field: &'static str,
    /// The vendor paths that decide it; none for a constant.
    pub from: &'static [&'static str],
}

/// A derived field.
pub(crate) const fn derived(field: &'static str, from: &'static [&'static str]) -> Derived {
    Derived { field, from }
}
