//! Generated logs: large, deterministic, with known attacks in them.
//!
//! The same options give the same bytes on every machine and in every version of the toolchain, so nothing here uses a
//! random generator, a formatter or a map whose output may change between versions of a library.

mod day;
mod endpoint;
mod random;
mod records;
#[cfg(test)]
mod tests;
mod text;

pub use day::{DayOptions, GeneratedDay, day};
pub use endpoint::{Attack, EndpointOptions, Generated, endpoint};
pub use records::{GeneratedRecords, RecordKind, records};
