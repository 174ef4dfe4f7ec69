//! Folders of what the command-line tools of clouds printed: which files there are, whose they are, and their answers.
//!
//! - [`Folder`]: walks what it is given, within bounds, and knows for each file the [`Scope`] that its place tells.
//! - [`Collection`]: `collection.json`, in which a collector says which calls it made and how they went.
//! - [`answers`]: the items of answers, one after the other, so that the largest list needs the memory of one item.
//!
//! **Architecture invariant:** it reads files and knows nothing of what a call means; no credentials, no network, no clock.
//! **Architecture invariant:** links are not followed, and size, depth and number are bounded.

mod answer;
mod collection;
mod folder;
mod scope;

pub use answer::{AnswerError, Part, Shape, answers, whole_answers};
pub use collection::{COLLECTION_FILE, Call, Collection, CollectionError};
pub use folder::{File, Folder, Limits, Refusal, Refused};
pub use scope::{Cloud, Scope};
