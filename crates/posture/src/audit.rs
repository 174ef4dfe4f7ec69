//! Checks of collected settings against what the techniques need, and what comes of them.
//!
//! - [`Collected`]: what was collected, and files of infrastructure as code, as items of known kinds.
//! - [`Check`]: one question, with the techniques and mitigations that it is about; [`CHECKS`] lists them all.
//! - [`Finding`]: the answer for one resource: pass, fail, or unknown, with evidence and a fix.
//! - [`Report`]: all answers of a run, less what is muted ([`Mutes`]), against what was known before ([`History`]).
//! - [`form`]: a report as JSON, SARIF, OCSF and HTML.
//!
//! **Architecture invariant:** nothing here prints or reads a clock, so that a service can run it as a command can.

mod at;
mod check;
mod checks;
mod collected;
mod finding;
pub mod firewall;
pub mod form;
mod history;
mod kinds;
mod mutes;
mod report;

pub use check::{Check, Platform, Severity};
pub use checks::CHECKS;
pub use collected::{Collected, Item, Scope};
pub use finding::{Evidence, Finding, Outcome};
pub use history::{History, HistoryError, Run};
pub use mutes::{Mute, Mutes};
pub use report::{Report, Selection, run};
