//! What is collected of clouds becomes records, and records differences, approvals and alerts.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that fails may panic"
)]

mod aws;
mod clouds;
mod collected;
mod people;
