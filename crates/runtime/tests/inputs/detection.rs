//! Detection through the whole pipeline.
