//! The table of sources.

mod cloudtrail;

use crate::source::SourceInfo;

/// All sources, in the order in which they are asked.
static SOURCES: &[SourceInfo] = &[cloudtrail::INFO];

/// All sources.
pub fn sources() -> &'static [SourceInfo] {
    SOURCES
}
