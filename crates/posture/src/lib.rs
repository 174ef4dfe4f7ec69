//! Who can do what, by the policies that clouds and clusters hold, and whether that is expected.
//!
//! - [`Inventory`]: what the command-line tools of the clouds print, read from files.
//! - [`policy`]: what policies say, a module for each cloud. Answers are yes, no, or depend on what is named.
//! - [`capability`]: which abilities the techniques need, and which actions give them.
//! - [`entitlement`]: everybody who has an ability, by which way, on what.
//! - [`audit`]: checks of other collected settings, with evidence and fixes.
//! - [`expected`]: the list of those who should, with owners and sign-offs, and how the two differ.
//!
//! **Architecture invariant:** it reads files that it is given and nothing else; no credentials, no network, no clock.
//! **Architecture invariant:** what a policy leaves open is told as open, never guessed.

pub mod audit;
pub mod capability;
mod codes;
pub mod entitlement;
pub mod expected;
pub mod glob;
mod inventory;
pub mod policy;
mod verdict;

pub use codes::CODES;
pub use inventory::{Inventory, Problem, ReadError};
pub use verdict::{Decision, Proviso, Truth, Verdict};
