//! What snapshots and images there are, and how that differs from what there was.

mod accounts;
mod change;
mod compare;
mod file;
mod item;
mod known;
mod pattern;
mod read;
mod record;

pub use accounts::{Accounts, Reach};
pub use change::{Change, Field};
pub use compare::{Class, Comparison, Difference, Unseen, compare};
pub use file::{Baseline, BaselineError};
pub use read::{Collected, Cover, Problem};
pub use record::{Kind, Record, State, What};
