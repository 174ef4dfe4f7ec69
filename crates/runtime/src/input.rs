//! From arguments to records.
//!
//! An argument is a file, a folder (read recursively; names that start with a dot are skipped and counted, links are
//! followed, loops reported), a pattern (`logs/**/*.json.gz`) or `-` for standard input. The same file named twice is
//! read once. With the feature `object-store` it is also the URL of an object or of what objects lie below
//! (`s3://bucket/prefix/`, `gs://…`, `az://…`), or a pattern of such; these are read in the order of their names.
//!
//! What a file holds is told by its bytes, never by its name:
//!
//! - **Compression**: gzip (any number of members), zstd, xz, zip (each entry is an input of its own), also one in the
//!   other. Everything streams; only a zip that cannot be read at random (standard input, a zip within another
//!   file) is laid down in a temporary file first.
//! - **Windows event logs**: `.evtx` files and exports of their events in XML, of which each event becomes one record.
//! - **Framing**: one JSON object a line; JSON objects printed over several lines or one after the other; an array of
//!   objects; Elasticsearch search responses and scroll pages; bulk files; `{"Records":[…]}` and `{"records":[…]}`
//!   files of cloud providers. Arrays stream: no document is ever held whole.
//! - **Joining**: lines of text logs that write one event over several become one record ([`ReadOptions::joiner`]).
//! - **Envelope**: a record that is a search hit (`{"_index":…,"_id":…,"_source":{…}}`, also one a line as export tools
//!   write it) becomes its source, with the id and the index that the hit states.
//!
//! **Order.** Inputs are numbered in the order of the arguments (folders and archives by name). With several inputs the
//! reader merges roughly by event time: it looks at the first record of each input, keeps up to
//! [`ReadOptions::open_inputs`] of them open, and reads on, a mebibyte at a time, in the one whose last record is the oldest.
//! An input whose records carry no readable time is read first, as a whole. A record's position (input number and
//! offset in the decompressed bytes) does not depend on any of this.
//!
//! **Following.** A live reader goes on at the ends of files. Files are known by their identity: one that was renamed or
//! deleted is read until nothing comes any more, a new one at its name and new files of folders are read from their start,
//! a truncated one from its start again; copies that rotation makes, compressed or not, are not read a second time.

mod chunk;
mod diagnose;
mod event_log;
mod feed;
mod find;
mod follow;
mod framer;
mod layers;
mod lines;
#[cfg(feature = "object-store")]
mod objects;
mod problem;
mod reader;
mod record;
mod sniff;
mod values;

pub use chunk::{Chunk, RecordPlace};
pub(crate) use chunk::{HeldLines, Mark, PlacedProblem};
pub use diagnose::diagnose;
pub use feed::Hand;
#[cfg(feature = "object-store")]
pub use objects::{ListedObject, list_objects};
pub use problem::{InputProblem, ProblemKind, ProblemLog};
pub use reader::{ChunkSource, ReadOptions, Reader};
pub use record::{Record, record_time};
