//! Vendor records into ECS documents, one module a source.
//!
//! [`Normalizer::push`] takes one record as it stood in the file or stream, whatever its vendor: it takes off
//! wrappings (S3 objects, event bus and queue messages, agent envelopes), recognises the source of each record
//! inside by its content, and gives the ECS documents, with the vendor namespaces that Elastic's integrations use.
//! A [`Document`] prints itself as JSON and is a serde deserializer, so that `neph_event::Row` reads its slots
//! without text in between.
//!
//! How to add a source: one module in `sources/` with its [`SourceInfo`], which names its mapping tables, and one
//! line in `sources.rs`. A text log that writes one event over several lines states a [`Joining`] besides, and gets
//! them from a [`Joiner`] as one record: sources remember nothing from record to record.
//!
//! **Architecture invariants:** a record is never guessed: what no source recognises is reported as such. No input
//! can panic or recurse without bound. There is no IO and no clock here. Documents live until the next record.

mod clock;
mod community_id;
mod convert;
mod document;
mod domain;
mod ecs;
mod envelope;
mod explain;
mod glance;
mod java_text;
mod join;
mod json;
mod logfmt;
mod mapping;
mod normalizer;
mod reading;
mod record;
mod reshape;
mod snake;
mod source;
mod sources;
mod tree;
mod url_parts;
mod wanted;
mod words;

pub use clock::{Clock, NoZone};
pub use document::Document;
pub use ecs::{ECS_MARKS, ecs_marks, is_ecs};
pub use explain::{Explanation, Provenance};
pub use glance::Glance;
pub use join::{Joined, Joiner, Joining, Part};
pub use json::{JsonError, parse};
pub use mapping::{How, Mapping};
pub use normalizer::{Counts, Enrich, Normalised, Normalizer, Outcome, Refusal, UnknownSource};
pub use record::Record;
pub use source::{Confidence, Derived, Dropped, Source, SourceInfo};
pub use sources::sources;
pub use tree::{Arena, Map, Value};
