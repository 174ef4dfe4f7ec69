//! The event model: what a rule can ask of a record.
//!
//! - [`Value`] / [`ValueRef`]: typed values and how they compare.
//! - [`Field`] and [`Schema`]: which fields exist, of which type, and how a raw JSON value becomes a typed one.
//! - [`Slots`] and [`Row`]: the fields that rules ask for, read out of one record in one pass. Fields are
//!   multi-valued; arrays of objects flatten as Elasticsearch does (`a: [{b: 1}, {b: 2}]` gives `a.b` = {1, 2}).
//! - [`Instant`] and [`DateFormat`]: points in time, and the texts that stand for them, date math included.
//! - [`EventId`]: the id of a record, given or derived from its bytes.
//!
//! **Architecture invariant:** this crate knows no rule, no language and does no IO.

mod date;
mod field;
mod id;
mod row;
mod schema;
mod slots;
mod time;
mod value;

pub use date::{
    DateFormat, DateMathError, DatePattern, DateReader, Rounding, parse_date, parse_date_math,
    parse_date_rounded,
};
pub use field::{ANY_FIELD, Field, FieldType};
pub use id::EventId;
pub use row::json;
pub use row::{ReadError, Row, Values};
pub use schema::{Exactness, FieldDef, MappingError, Schema};
pub use slots::{Slot, Slots};
pub use time::Instant;
pub use value::{Value, ValueRef, compare_versions};
