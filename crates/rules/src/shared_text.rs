//! Texts that share their memory.

use std::ops::{Deref, Range};
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A text, or a part of one, that shares its memory with all others that were made of it: the query of a rule of Sigma is
/// most of its file.
#[derive(Clone)]
pub struct SharedText {
    whole: Arc<str>,
    start: u32,
    end: u32,
}

impl SharedText {
    /// A part of it, in bytes; none of it where there is no such part.
    pub fn part(&self, range: Range<usize>) -> Self {
        let start = self.start as usize;
        let end = start.saturating_add(range.end);
        let start = start.saturating_add(range.start);
        let is_part = end <= self.end as usize && self.whole.get(start..end).is_some();
        match (u32::try_from(start), u32::try_from(end)) {
            (Ok(start), Ok(end)) if is_part => Self {
                whole: Arc::clone(&self.whole),
                start,
                end,
            },
            _ => Self::default(),
        }
    }
}

impl Default for SharedText {
    fn default() -> Self {
        Self::from("")
    }
}

impl From<&str> for SharedText {
    /// A text of its own, of 4 GiB at most; what is behind them is left out.
    fn from(text: &str) -> Self {
        let end = text.floor_char_boundary(u32::MAX as usize);
        Self {
            whole: text.get(..end).unwrap_or_default().into(),
            start: 0,
            end: u32::try_from(end).unwrap_or(0),
        }
    }
}

impl From<String> for SharedText {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl Deref for SharedText {
    type Target = str;

    fn deref(&self) -> &str {
        self.whole
            .get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}

impl std::fmt::Debug for SharedText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl std::fmt::Display for SharedText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl PartialEq for SharedText {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Serialize for SharedText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_parts_of_parts() {
        let text = SharedText::from("title: é\nrest");
        let part = text.part(7..13);
        assert_eq!(&*part, "é\nres");
        assert_eq!(&*part.part(3..5), "re");
        assert_eq!(&*part.part(0..part.len()), &*part);
        for none in [20..21, 3..70, 8..9, 0..usize::MAX] {
            assert_eq!(&*part.part(none), "");
        }
        assert!(Arc::ptr_eq(&text.whole, &part.whole));
    }
}
