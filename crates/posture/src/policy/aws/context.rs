//! What is known of a request, and the policy variables that are filled from it.

use std::collections::BTreeMap;

use super::document::{Piece, Template};
use crate::glob::{Pattern, Segments};

/// The context of a request: its keys and their values.
#[derive(Clone, Debug, Default)]
pub struct Context {
    values: BTreeMap<String, Vec<String>>,
    /// Whether a key without values is known to be absent; else nothing is known of it.
    is_complete: bool,
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<'a> {
    /// It is there with these values.
    Values(&'a [String]),
    /// It is not part of the request.
    Absent,
    /// Nothing is known of it.
    Unknown,
}

impl Context {
    /// A context of which everything is known: keys that are not set are absent.
    pub fn complete() -> Self {
        Self {
            values: BTreeMap::new(),
            is_complete: true,
        }
    }

    /// A context of which only the keys that are set are known.
    pub fn partial() -> Self {
        Self::default()
    }

    /// Sets a key; without values it is known to be absent.
    pub fn set(&mut self, key: &str, values: impl IntoIterator<Item = impl Into<String>>) {
        let values = values.into_iter().map(Into::into).collect();
        self.values.insert(key.to_ascii_lowercase(), values);
    }

    /// What is known of a key, which is given in lower case.
    pub fn get(&self, key: &str) -> Known<'_> {
        match self.values.get(key) {
            Some(values) if !values.is_empty() => Known::Values(values),
            Some(_) => Known::Absent,
            None if self.is_complete => Known::Absent,
            None => Known::Unknown,
        }
    }
}

/// What became of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// Its pieces, and whether each stands for itself.
    Pieces(Vec<(String, bool)>),
    /// A variable is absent and has no default, or has several values: nothing matches.
    Nothing,
    /// This variable is not known.
    Unknown(String),
}

impl Template {
    pub(crate) fn fill(&self, context: &Context) -> Filled {
        let mut pieces = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            let filled = match piece {
                Piece::Text(text) => (text.clone(), false),
                Piece::Literal(character) => (character.to_string(), true),
                Piece::Variable(key, default) => match (context.get(key), default) {
                    (Known::Values([single]), _) => (single.clone(), true),
                    (Known::Absent, Some(default)) => (default.clone(), true),
                    (Known::Unknown, _) => return Filled::Unknown(key.clone()),
                    (Known::Values(_) | Known::Absent, _) => return Filled::Nothing,
                },
            };
            pieces.push(filled);
        }
        Filled::Pieces(pieces)
    }

    /// The template as the pattern of a resource.
    pub(crate) fn resource(&self, context: &Context) -> Result<Pattern, Filled> {
        match self.fill(context) {
            Filled::Pieces(pieces) => Ok(Pattern::of_pieces(&pieces, Segments::Arn)),
            other => Err(other),
        }
    }
}
