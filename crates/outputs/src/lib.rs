//! Delivers alerts out of the store's outbox: to files, standard output, webhooks, chats, syslog, mail, and indices of
//! Elasticsearch and OpenSearch.
//!
//! Each output has a worker of its own, so a slow one holds no other. What is told is a [`Message`]: an alert, or a group of
//! alerts of one rule that are told together because the output may send no more. A [`Transport`] brings messages away and says
//! of each what became of it ([`Outcome`]).
//!
//! **Architecture invariant:** nothing leaves the outbox that was not delivered, left out by the output's own filter, or put
//! among the dead letters.

mod chat;
mod check;
mod codes;
mod deliver;
mod elasticsearch;
mod fields;
mod file;
mod filter;
mod flood;
mod form;
mod http;
mod letters;
mod mail;
mod message;
mod ocsf;
mod outputs;
mod pause;
mod ship;
mod stdout;
mod syslog;
mod template;
mod text;
mod tls;
mod told;
mod transport;
mod webhook;

pub use check::{Checked, TemplateFile, check, template_of};
pub use codes::CODES;
pub use deliver::Hear;
pub use form::Form;
pub use message::{Group, Message};
pub use outputs::{Notice, OutputOptions, OutputState, Outputs, Work};
pub use ship::{RANKS, ShipCounts, ShipError, ShipOptions, Shipper};
pub use transport::{OpenError, Outcome, Transport};

#[cfg(test)]
mod tests;
