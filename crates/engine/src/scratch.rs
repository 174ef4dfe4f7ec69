//! What one thread remembers while it looks at one event: truths already known, texts already folded.

use std::fmt::Write as _;

use neph_event::{Row, Slot, ValueRef};
use neph_plan::Case;
use smallvec::SmallVec;

use crate::memo::{About, Known, Memo};
use crate::nodes::NodeId;
use crate::text::fold_into;

/// So many bytes of a buffer are kept from event to event; one enormous record must not hold memory for ever.
const KEPT: usize = 1 << 20;

/// Memory of one event. Going on to the next event costs nothing: entries carry the number of the event that they are
/// of, and older ones do not count.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    event: u32,
    /// For each node the event that its truth was found for, times two, plus the truth.
    truths: Vec<u32>,
    /// For each slot and folding case the folded values.
    folded: Vec<Folded>,
    text: String,
    /// Where a value that is no text is written out.
    written: String,
    /// The JSON text of the document, for the tests that need it.
    document: Vec<u8>,
    /// Choices of values that were not tried, because an event offered too many.
    pub(crate) untried_choices: u64,
    /// What was found for values of events before; none where only few events are looked at.
    memo: Option<Box<Memo>>,
}

#[derive(Clone, Debug, Default)]
struct Folded {
    event: u32,
    ranges: SmallVec<[(u32, u32); 1]>,
}

impl Scratch {
    pub(crate) fn new(nodes: usize, slots: usize) -> Self {
        Self {
            truths: vec![0; nodes],
            folded: vec![Folded::default(); slots * 2],
            ..Self::default()
        }
    }

    /// One that remembers what values of events before led to.
    pub(crate) fn remembering(nodes: usize, slots: usize) -> Self {
        Self {
            memo: Some(Box::new(Memo::new(slots))),
            ..Self::new(nodes, slots)
        }
    }

    /// Forgets everything about the event before.
    pub(crate) fn next_event(&mut self) {
        if let Some(memo) = &mut self.memo {
            memo.next_event();
        }
        for buffer in [&mut self.text, &mut self.written] {
            buffer.clear();
            if buffer.capacity() > KEPT {
                *buffer = String::new();
            }
        }
        self.event += 1;
        if self.event >= u32::MAX / 2 {
            self.event = 1;
            self.truths.fill(0);
            self.folded.iter_mut().for_each(|folded| folded.event = 0);
        }
    }

    /// Forgets what values of events before led to.
    pub(crate) fn forget_values(&mut self) {
        if let Some(memo) = &mut self.memo {
            memo.forget();
        }
    }

    #[cfg(test)]
    pub(crate) fn times_forgotten(&self) -> usize {
        self.memo.as_ref().map_or(0, |memo| memo.forgotten)
    }

    /// The number of a slot's values taken together, if they are remembered.
    #[inline]
    fn known(&mut self, row: &Row, slot: Slot) -> Option<Known> {
        self.memo.as_deref_mut()?.known(row, slot)
    }

    /// The waiters that a slot's values satisfy, if that is remembered.
    #[inline]
    pub(crate) fn waiters(&mut self, row: &Row, slot: Slot, about: About) -> Option<&[u32]> {
        let memo = self.memo.as_deref_mut()?;
        let known = memo.known(row, slot)?;
        memo.waiters(known, about)
    }

    /// Remembers the waiters that a slot's values satisfy.
    pub(crate) fn remember_waiters(&mut self, row: &Row, slot: Slot, about: About, waiters: &[u32]) {
        if let Some(memo) = &mut self.memo
            && let Some(known) = memo.known(row, slot)
        {
            memo.keep_waiters(known, about, waiters);
        }
    }

    /// The class of a slot's values, if that is remembered.
    #[inline]
    pub(crate) fn class(&mut self, row: &Row, slot: Slot) -> Option<u32> {
        let memo = self.memo.as_deref_mut()?;
        let known = memo.known(row, slot)?;
        memo.class(known, slot)
    }

    /// Remembers the class of a slot's values.
    pub(crate) fn remember_class(&mut self, row: &Row, slot: Slot, class: u32) {
        if let Some(memo) = &mut self.memo
            && let Some(known) = memo.known(row, slot)
        {
            memo.keep_class(known, slot, class);
        }
    }

    /// As [`Scratch::any_text`], for a test whose outcome is to be remembered for these values.
    pub(crate) fn any_text_for(
        &mut self,
        node: Option<NodeId>,
        row: &Row,
        slot: Slot,
        case: Case,
        test: impl FnMut(&str) -> bool,
    ) -> bool {
        let known = node.and_then(|node| Some((node, self.known(row, slot)?)));
        let Some((node, known)) = known else {
            return self.any_text(row, slot, case, test);
        };
        if let Some(truth) = self.memo.as_deref().and_then(|memo| memo.truth(known, node)) {
            return truth;
        }
        let truth = self.any_text(row, slot, case, test);
        if let Some(memo) = &mut self.memo {
            memo.keep_truth(known, node, truth);
        }
        truth
    }

    /// Keeps the text of the current event's document for the tests that need it.
    pub(crate) fn set_document(&mut self, document: &[u8]) {
        self.document.clear();
        self.document.extend_from_slice(document);
    }

    pub(crate) fn document(&self) -> &[u8] {
        &self.document
    }

    /// The truth of a node for this event, where it is known.
    pub(crate) fn truth(&self, node: NodeId) -> Option<bool> {
        let entry = *self.truths.get(node.0 as usize)?;
        (entry >> 1 == self.event).then_some(entry & 1 == 1)
    }

    pub(crate) fn remember(&mut self, node: NodeId, truth: bool) {
        if let Some(entry) = self.truths.get_mut(node.0 as usize) {
            *entry = self.event << 1 | u32::from(truth);
        }
    }

    /// Whether some value of the slot passes `test` as a text folded by `case`. Values that are no text (numbers of a
    /// dynamic field, versions) are tested in their text form.
    pub(crate) fn any_text(
        &mut self,
        row: &Row,
        slot: Slot,
        case: Case,
        mut test: impl FnMut(&str) -> bool,
    ) -> bool {
        let variant = match case {
            Case::Sensitive => {
                return row.values(slot).any(|value| match value {
                    ValueRef::String(text) | ValueRef::Version(text) => test(text),
                    other => {
                        self.written.clear();
                        // Writing to a string does not fail.
                        let _ = write!(self.written, "{other}");
                        test(&self.written)
                    }
                });
            }
            Case::AsciiInsensitive => 0,
            Case::Insensitive => 1,
        };
        let values = row.values(slot);
        if values.len() == 0 {
            return false;
        }
        let Some(folded) = self.folded.get_mut(slot.0 as usize * 2 + variant) else {
            return false;
        };
        if folded.event != self.event {
            folded.event = self.event;
            folded.ranges.clear();
            for value in values {
                let start = self.text.len();
                match value {
                    ValueRef::String(text) | ValueRef::Version(text) => fold_into(text, case, &mut self.text),
                    other => {
                        self.written.clear();
                        let _ = write!(self.written, "{other}");
                        fold_into(&self.written, case, &mut self.text);
                    }
                }
                let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
                folded.ranges.push((offset(start), offset(self.text.len())));
            }
        }
        let text = &self.text;
        folded
            .ranges
            .iter()
            .any(|(start, end)| text.get(*start as usize..*end as usize).is_some_and(&mut test))
    }
}

#[cfg(test)]
mod tests {
    use neph_event::{Field, FieldType, Slots};

    use super::*;

    #[test]
    fn nothing_is_remembered_from_one_event_to_the_next_even_where_the_count_starts_again() {
        let mut slots = Slots::default();
        let slot = slots.add(Field::new("a", FieldType::Keyword));
        let mut row = Row::default();
        let mut scratch = Scratch::new(1, slots.len());
        scratch.event = u32::MAX / 2 - 3;
        for number in 0..6 {
            let text = format!("X{number}");
            row.read(&slots, format!(r#"{{"a":"{text}"}}"#).as_bytes())
                .unwrap();
            scratch.next_event();
            assert_eq!(scratch.truth(NodeId(0)), None);
            scratch.remember(NodeId(0), number % 2 == 0);
            assert_eq!(scratch.truth(NodeId(0)), Some(number % 2 == 0));
            let expected = text.to_lowercase();
            assert!(scratch.any_text(&row, slot, Case::AsciiInsensitive, |folded| folded == expected));
        }
        assert!(scratch.event < 6);
    }
}
