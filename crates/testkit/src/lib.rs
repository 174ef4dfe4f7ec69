//! Test tools: the spec runner, fixtures, generated logs, the naive interpreter.

pub mod naive;

pub mod generate;
