//! Inputs and the pipeline that runs rules over them.
//!
//! - [`input`]: from arguments (files, folders, patterns, standard input) to records: decompression, framing,
//!   unwrapping of exports, and a typed, counted problem for whatever could not be read.
//! - [`pipeline`]: one reader, any number of workers, one collector that restores the order; memory is bounded by the
//!   number of chunks under way.
//! - [`detect()`]: matches every record against all rules and runs their operators.
//! - [`detect_reloading()`]: the same with rules that change meanwhile; which records meet which of them depends on the
//!   moment of the change.
//! - [`kinds`]: what a rule can find in records of certain kinds, judged before there is one.
//! - [`rule_tests`]: runs the tests that stand beside rules.
//! - [`coverage`]: which fields rules read, and which sources fill them.
//! - [`service`]: rules that run continuously over the event log, and over its past.
//! - [`parse()`]: reads and parses every record and nothing else; the floor that speed is measured against.
//!
//! **Architecture invariant:** results depend on the inputs alone, never on the number of threads, the size of chunks or
//! the timing of reads; only what is given up for want of memory depends on where chunks end, too.

pub mod coverage;
mod crew;
mod detect;
mod events;
pub mod input;
mod keyed;
pub mod kinds;
mod parse;
pub mod pipeline;
mod profile;
mod reload;
pub mod rule_tests;
mod run;
pub mod service;
mod steps;
mod summary;

pub use detect::{Detection, RunProfile, detect, detect_reloading};
pub use events::prepare;
pub use parse::parse;
pub use profile::{ProfileReport, ProfiledRule, ProfiledTest, ProfiledTime, profile_report};
pub use reload::{NewRules, Reloads, Said};
pub use run::RunOptions;
pub use summary::{Progress, RunError, Skipped, Summary};
