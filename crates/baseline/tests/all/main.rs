//! What is collected of clouds becomes records, and records differences, approvals and alerts.

mod aws;
mod clouds;
mod collected;
mod people;
