//! Test tools: the spec runner, fixtures, generated logs, the naive interpreter.

pub mod generate;
pub mod naive;
pub mod spec;
