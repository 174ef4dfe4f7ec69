//! The table of sources.

mod auditd_manager;
mod azure;
mod cloudtrail;
mod gcp_audit;
mod k8s_audit;

use crate::source::SourceInfo;

/// All sources, in the order in which they are asked.
static SOURCES: &[SourceInfo] = &[
    cloudtrail::INFO,
    k8s_audit::INFO,
    gcp_audit::INFO,
    azure::activity::INFO,
    auditd_manager::INFO,
];

/// All sources.
pub fn sources() -> &'static [SourceInfo] {
    SOURCES
}
