//! Logs of Linux systems that are lines of text behind a header.

pub(super) mod auth;
mod header;
pub(super) mod syslog;
