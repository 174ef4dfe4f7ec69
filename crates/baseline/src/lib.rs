//! What snapshots and images there are, and how that differs from what there was.
//!
//! - [`Collected`]: snapshots and images as the tools of the clouds print them, each a [`Record`].
//! - [`Baseline`]: what there was at a time, as a file.
//! - [`compare`]: the [`Difference`]s between the two.
//! - [`Approvals`]: what people say about differences, golden images and accounts; [`approve()`] writes them.
//! - [`review()`]: all of that together.
//! - [`Actors`]: who did it, when and from where, out of audit events.
//! - [`alert()`]: the alert that a difference becomes which nobody approved.
//! - [`History`]: what was taken and compared.
//!
//! **Architecture invariant:** it prints nothing, reads no clock and knows no folder that it was not given.
//! **Architecture invariant:** what could not be collected is unknown, never gone.

mod accounts;
mod acts;
mod alert;
mod approvals;
mod approve;
mod change;
mod codes;
mod compare;
mod file;
mod history;
mod item;
mod known;
mod pattern;
mod read;
mod record;
mod review;
mod weigh;

pub use accounts::{Accounts, Reach};
pub use acts::{Act, Actors};
pub use alert::{Alert, alert};
pub use approvals::{Approvals, Approved, Golden, Sign, Standing};
pub use approve::{Entry, NewApproval, approve, replace_text};
pub use change::{Change, Field};
pub use codes::CODES;
pub use compare::{Class, Comparison, Difference, Unseen, compare};
pub use file::{Baseline, BaselineError};
pub use history::{Brief, History, Kept};
pub use read::{Collected, Cover, Problem};
pub use record::{Kind, Record, State, What};
pub use review::{Finding, Review, review};
pub use weigh::{MEANINGS, Meaning, Severity};
