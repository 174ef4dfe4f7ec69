//! The configuration file of the service, `neph.toml`.
//!
//! - [`Shape`]: what a table of the file may hold. One description serves the checks, the defaults, the JSON Schema
//!   ([`schema`]) and the commented example ([`example`]), so that they cannot say different things.
//! - [`read`]: a text to a [`Config`], with every mistake of the file at once.
//! - [`Secret`]: a password or token that stands in a file or an environment variable of its own.
//!
//! **Architecture invariant:** every mistake in the file is a diagnostic with a span; nothing here listens, connects or writes.

mod check;
mod codes;
mod example;
mod outputs;
mod scheduled;
mod schema;
mod secret;
mod settings;
mod shape;
mod shapes;
mod units;

pub use codes::CODES;
pub use example::example;
pub use outputs::{Output, OutputKind, Places};
pub use scheduled::{Baselines, Collect, Images, Posture, Schedule};
pub use schema::schema;
pub use secret::{Secret, SecretError};
pub use settings::{
    Api, Config, Files, Limits, Log, LogFormat, LogLevel, Objects, Read, Retention, Rules, Sensor, Silence,
    Stream, Syslog, Tls, Token, Transport, read,
};
pub use shape::{Key, Kind, Shape};
pub use units::{parse_duration, parse_size};
