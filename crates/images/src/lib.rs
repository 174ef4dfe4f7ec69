//! Container images: what is in them, how they differ from the ones that are meant, and who signed them.
//!
//! - [`Place`], [`Source`]: where images are: OCI layouts and archives, archives of `docker save`, exported roots, registries.
//! - [`Reader`]: images as people name them.
//! - [`Image`]: one read whole: configuration, layers, and every file with its digest; layers are streamed and verified.
//! - [`roles`], [`Signs`]: what places are for, and what content shows.
//! - [`compare`], [`Golden`], [`drift`]: how an image or a container differs from what is meant.
//! - [`verify()`], [`Keys`]: who signed it, and whether that counts.
//!
//! **Architecture invariant:** nothing of an image is written anywhere, and what is kept in memory is bounded: layers pass as streams.
//! **Architecture invariant:** no network but for registries that somebody named.

mod alert;
mod capability;
mod codes;
mod compare;
mod compression;
mod cosign;
mod crypto;
mod difference;
mod digest;
mod document;
mod drift;
mod entries;
mod files;
pub mod fuzzing;
mod golden;
mod image;
mod keys;
mod limits;
mod notation;
mod oci;
mod reader;
mod reading;
mod reference;
mod registry;
pub mod roles;
mod signs;
mod source;
mod tree;
mod verify;
mod written;

pub use alert::{alert_of_difference, alert_of_verdict};
pub use codes::CODES;
pub use compare::{Sameness, compare, hostile};
pub use difference::{Difference, KINDS};
pub use digest::{Digest, hex};
pub use drift::{Change, Changes, Executed, Ran, drift};
pub use files::{File, Files, Kind, shown};
pub use golden::{Approval, Entry, Golden};
pub use image::{Image, Layer, Options, Problem};
pub use keys::{Keys, Load};
pub use limits::{ImageError, Limits};
pub use oci::{Config, History, Platform, RootFs, Settings};
pub use reader::{Progress, Reader, beside};
pub use reference::{Name, Place};
pub use registry::{Access, Registry};
pub use signs::Signs;
pub use source::{Local, Source};
pub use verify::{Checked, Verdict, Verification, verify};
pub use written::Pattern;
