//! JSON that is written piece by piece.

use serde::Serialize;
use serde_json::Value;

use super::fields::is_blank;
use super::tree::{Text, Tree};

/// JSON as far as it is written.
#[derive(Debug, Default)]
pub(crate) struct Written(Vec<u8>);

impl Written {
    /// Nothing yet, of about so many bytes.
    pub(crate) fn with_room(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// What was written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Begins an item of a list or an entry of an object.
    fn begin(&mut self) {
        if !matches!(self.0.last(), None | Some(b'{' | b'[')) {
            self.0.push(b',');
        }
    }

    /// Ends a key.
    fn colon(&mut self) {
        self.0.push(b':');
    }

    /// Begins an entry of an object.
    pub(crate) fn key(&mut self, key: &str) {
        self.begin();
        self.value(key);
        self.colon();
    }

    /// Writes a value.
    pub(crate) fn value(&mut self, value: &(impl Serialize + ?Sized)) {
        // Memory takes all that is written, and keys are texts.
        serde_json::to_writer(&mut self.0, value).unwrap_or_default();
    }

    /// Writes a text that has nothing to escape.
    pub(crate) fn plain(&mut self, text: &str) {
        self.0.reserve(text.len() + 2);
        self.0.push(b'"');
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
    }

    /// Writes what was written before.
    pub(crate) fn raw(&mut self, json: &[u8]) {
        self.0.extend_from_slice(json);
    }

    /// Writes an object.
    pub(crate) fn object(&mut self, fill: impl FnOnce(&mut Self)) {
        self.0.push(b'{');
        fill(self);
        self.0.push(b'}');
    }

    /// Writes a list.
    pub(crate) fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        self.0.push(b'[');
        for item in items {
            self.begin();
            write(self, item);
        }
        self.0.push(b']');
    }

    /// Sets a key, unless the value says nothing.
    pub(crate) fn insert(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        if !is_blank(&value) {
            self.key(key);
            self.value(&value);
        }
    }

    /// Sets a key to a text, unless it says nothing.
    pub(crate) fn insert_text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.key(key);
            self.value(text);
        }
    }

    /// Sets a key to what `write` writes, unless that says nothing.
    pub(crate) fn insert_written(&mut self, key: &str, write: impl FnOnce(&mut Self)) {
        let before = self.0.len();
        self.key(key);
        let start = self.0.len();
        write(self);
        if matches!(self.0.get(start..), Some(b"" | b"{}" | b"[]" | b"\"\"" | b"null")) {
            self.0.truncate(before);
        }
    }

    /// Sets a key of a document.
    pub(crate) fn entry(&mut self, key: &Text<'_>, value: &Tree<'_>) {
        self.begin();
        key.write(self);
        self.colon();
        value.write(self);
    }

    /// Writes entries of an object that were written before.
    pub(crate) fn entries(&mut self, entries: &[u8]) {
        if !entries.is_empty() {
            self.begin();
            self.raw(entries);
        }
    }
}
