//! Podman: its events, and the log of its API service.

pub(super) mod api_log;
pub(super) mod events;
