//! TOML and JSON as values that know their places, for what people write: rules, overlays, lists, settings.
//!
//! [`toml::parse`] and [`json::parse`] read a text; whoever calls says under which code its mistakes are told. What is looked
//! for in the values, and which keys there may be, is the caller's.

pub mod json;
mod node;
pub mod toml;

pub use node::{Data, Entry, MAX_DEPTH, Node, Table};
