//! The fields to read, as a trie of path segments.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;

use crate::Field;

/// The place of a field in a [`Row`](crate::Row).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// The fields to read, as a trie of path segments.
#[derive(Clone, Debug)]
pub struct Slots {
    fields: Vec<Arc<Field>>,
    by_field: ahash::AHashMap<Arc<Field>, Slot>,
    nodes: Vec<Node>,
    /// Slots that take every value of the record ([`ANY_FIELD`](crate::ANY_FIELD)).
    everything: SmallVec<[Slot; 1]>,
    /// Tells this trie from all others that the process makes, for whoever remembers places in it.
    state: u64,
}

/// A place in the trie of [`Slots`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(u32);

/// The node for the whole record.
const ROOT: NodeId = NodeId(0);
/// What stands for a key that no path has, where there are slots that take everything.
const ELSEWHERE: NodeId = NodeId(1);

#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    children: Children,
    /// Slots whose path ends here: one for each type that some rule reads the path as.
    slots: SmallVec<[Slot; 1]>,
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            fields: Vec::new(),
            by_field: ahash::AHashMap::new(),
            nodes: vec![Node::default(), Node::default()],
            everything: SmallVec::new(),
            state: new_state(),
        }
    }
}

impl Slots {
    /// The slot of `field`; equal fields share one.
    pub fn add(&mut self, field: impl Into<Arc<Field>>) -> Slot {
        let field = field.into();
        if let Some(slot) = self.by_field.get(&field) {
            return *slot;
        }
        let slot = Slot(index(self.fields.len()));
        self.state = new_state();
        if *field.path == *crate::ANY_FIELD {
            self.everything.push(slot);
            self.by_field.insert(Arc::clone(&field), slot);
            self.fields.push(field);
            return slot;
        }
        let mut node = ROOT.0;
        for segment in field.path.split('.') {
            let next = index(self.nodes.len());
            let Some(here) = self.nodes.get_mut(node as usize) else {
                return slot;
            };
            node = match here
                .children
                .get(segment.as_bytes(), Marks::of(segment.as_bytes()))
            {
                Some(child) => child,
                None => {
                    here.children.insert(segment, next);
                    self.nodes.push(Node::default());
                    next
                }
            };
        }
        if let Some(here) = self.nodes.get_mut(node as usize) {
            here.slots.push(slot);
        }
        self.by_field.insert(Arc::clone(&field), slot);
        self.fields.push(field);
        slot
    }

    /// A slot of its own that no reading fills; whoever has its values gives them to the row
    /// ([`Row::copy`](crate::Row::copy)).
    pub fn add_unread(&mut self, field: impl Into<Arc<Field>>) -> Slot {
        let slot = Slot(index(self.fields.len()));
        self.fields.push(field.into());
        slot
    }

    /// Number of slots.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether nothing is read.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The field of a slot.
    pub fn field(&self, slot: Slot) -> Option<&Field> {
        self.fields.get(slot.0 as usize).map(AsRef::as_ref)
    }

    /// All fields, in the order of their slots.
    pub fn fields(&self) -> &[Arc<Field>] {
        &self.fields
    }

    /// The node that stands for the whole record.
    pub(crate) fn root(&self) -> Option<NodeId> {
        (!self.nodes.is_empty()).then_some(ROOT)
    }

    /// What is known at a place of the trie.
    #[inline(always)]
    pub(crate) fn node(&self, place: NodeId) -> Option<&Node> {
        self.nodes.get(place.0 as usize)
    }

    /// The number of this trie as it is; no other trie of the process has it, nor this one when it has grown.
    #[inline]
    pub(crate) fn state(&self) -> u64 {
        self.state
    }

    /// The node for a key of an object; `None` where nothing under the key is wanted.
    #[inline]
    pub(crate) fn child(&self, node: NodeId, key: &str) -> Option<NodeId> {
        self.child_marked(node, key.as_bytes(), Marks::of(key.as_bytes()))
    }

    /// The same for a key whose marks are known.
    #[inline(always)]
    pub(crate) fn child_marked(&self, node: NodeId, key: &[u8], marks: Marks) -> Option<NodeId> {
        match self.node(node)?.children.get(key, marks) {
            Some(child) => Some(NodeId(child)),
            None if marks.may_hold_dot() && key.contains(&b'.') => {
                self.child_by_path(node, key).or_else(|| self.elsewhere())
            }
            None => self.elsewhere(),
        }
    }

    /// The node for a key that no path has.
    #[inline(always)]
    fn elsewhere(&self) -> Option<NodeId> {
        (!self.everything.is_empty()).then_some(ELSEWHERE)
    }

    /// The slots that take a value which stands at a place.
    #[inline(always)]
    pub(crate) fn at(&self, node: NodeId) -> impl Iterator<Item = Slot> {
        let own = self.node(node).map_or(&[][..], Node::slots);
        own.iter().chain(&self.everything).copied()
    }

    /// Whether nothing under the node is wanted, so that arrays and objects there can be skipped.
    #[inline(always)]
    pub(crate) fn ends_at(&self, node: NodeId) -> bool {
        self.node(node).is_none_or(Node::is_leaf) && self.everything.is_empty()
    }

    /// A key may hold dots (`"process.name": …`): Elasticsearch reads it as the nested path.
    #[cold]
    fn child_by_path(&self, node: NodeId, key: &[u8]) -> Option<NodeId> {
        let mut here = node;
        for segment in key.split(|byte| *byte == b'.') {
            let children = &self.node(here)?.children;
            here = NodeId(children.get(segment, Marks::of(segment))?);
        }
        Some(here)
    }
}

/// A number that was not given before.
fn new_state() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

impl Node {
    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Whether nothing under this path is wanted.
    pub(crate) fn is_leaf(&self) -> bool {
        self.children.names.is_empty()
    }
}

fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// What tells keys apart at a glance: the length, the first eight bytes and the last eight, where a shorter key is filled
/// up with zeros in front and has no last bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    first: u64,
    last: u64,
    length: u64,
}

impl Marks {
    /// The marks of a key.
    #[inline]
    pub(crate) fn of(key: &[u8]) -> Self {
        match (key.first_chunk::<8>(), key.last_chunk::<8>()) {
            (Some(first), Some(last)) => Self {
                first: u64::from_be_bytes(*first),
                last: u64::from_be_bytes(*last),
                length: key.len() as u64,
            },
            _ => Self {
                first: key.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)),
                last: 0,
                length: key.len() as u64,
            },
        }
    }

    /// The marks of the key `text[start..end]`, which are read faster where there is text behind the key.
    #[inline(always)]
    pub(crate) fn within(text: &[u8], start: usize, end: usize) -> Self {
        let key = text.get(start..end).unwrap_or_default();
        match text.get(start..).and_then(<[u8]>::first_chunk::<8>) {
            Some(first) if (1..8).contains(&key.len()) => Self {
                first: u64::from_be_bytes(*first) >> (64 - 8 * key.len()),
                last: 0,
                length: key.len() as u64,
            },
            _ => Self::of(key),
        }
    }

    /// Whether the key may have a dot: certain for keys of up to 16 bytes.
    #[inline]
    fn may_hold_dot(self) -> bool {
        const ONES: u64 = 0x0101_0101_0101_0101;
        // A byte is zero where subtracting one borrows into its high bit.
        let dot = |word: u64| {
            let word = word ^ (ONES * u64::from(b'.'));
            word.wrapping_sub(ONES) & !word & (ONES << 7) != 0
        };
        self.length > 16 || dot(self.first) || dot(self.last)
    }

    #[inline]
    fn hash(self) -> usize {
        let mixed =
            (self.first ^ self.last.rotate_left(23) ^ self.length).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // The high half is the well mixed one.
        (mixed >> 32) as usize
    }
}

/// A map from keys to nodes: every key of every record is looked up, and most are not there.
#[derive(Clone, Debug, Default)]
struct Children {
    names: Vec<Box<str>>,
    /// Probed linearly; at least half of the places are free. Its length is a power of two, or zero.
    table: Vec<Option<Entry>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    marks: Marks,
    /// Position in the list of names.
    name: u32,
    node: u32,
}

impl Children {
    #[inline(always)]
    fn get(&self, key: &[u8], marks: Marks) -> Option<u32> {
        // An empty table makes the mask wrap, and the first look into it ends the search.
        let mask = self.table.len().wrapping_sub(1);
        let mut place = marks.hash() & mask;
        loop {
            let entry = self.table.get(place)?.as_ref()?;
            // The marks of a key of up to 16 bytes are all of it.
            if entry.marks == marks && (key.len() <= 16 || self.is_name(entry.name, key)) {
                return Some(entry.node);
            }
            place = (place + 1) & mask;
        }
    }

    fn is_name(&self, position: u32, key: &[u8]) -> bool {
        self.names
            .get(position as usize)
            .is_some_and(|name| name.as_bytes() == key)
    }

    fn insert(&mut self, key: &str, node: u32) {
        let mut entries: Vec<Entry> = self.table.iter().flatten().copied().collect();
        entries.push(Entry {
            marks: Marks::of(key.as_bytes()),
            name: index(self.names.len()),
            node,
        });
        self.names.push(key.into());
        let length = (entries.len() * 2).next_power_of_two();
        self.table.clear();
        self.table.resize(length, None);
        for entry in entries {
            let mut place = entry.marks.hash() & (length - 1);
            while self.table.get(place).is_some_and(Option::is_some) {
                place = (place + 1) & (length - 1);
            }
            if let Some(free) = self.table.get_mut(place) {
                *free = Some(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FieldType;

    fn slots_of(slots: &Slots, node: Option<NodeId>) -> &[Slot] {
        let node = node.and_then(|node| slots.node(node));
        node.map_or(&[], Node::slots)
    }

    #[test]
    fn keys_are_found_however_they_are_dotted() {
        let mut slots = Slots::default();
        let paths = [
            "a",
            "a.b",
            "a.bc.d",
            "process.name",
            "process.parent.name",
            "x.y.z.long_name_of_a_field",
            "é.ü",
        ];
        for path in paths {
            slots.add(Field::new(path, FieldType::Keyword));
        }
        let root = slots.root().unwrap();
        for (slot, path) in (0..).zip(paths) {
            assert_eq!(slots_of(&slots, slots.child(root, path)), [Slot(slot)], "{path}");
            let mut node = root;
            for segment in path.split('.') {
                node = slots.child(node, segment).unwrap();
            }
            assert_eq!(slots_of(&slots, Some(node)), [Slot(slot)], "{path}");
        }
        for unknown in [
            "",
            "b",
            "a.",
            ".a",
            "a.b.c",
            "process.nam",
            "process.parent.names",
            "x.y.z.long_name_of_b_field",
        ] {
            assert!(
                slots_of(&slots, slots.child(root, unknown)).is_empty(),
                "{unknown}"
            );
        }
        assert!(slots.child(slots.child(root, "a.b").unwrap(), "c").is_none());
    }

    #[test]
    fn equal_fields_share_a_slot_and_others_do_not() {
        let mut slots = Slots::default();
        let keyword = slots.add(Field::new("a", FieldType::Keyword));
        let long = slots.add(Field::new("a", FieldType::Long));
        assert_ne!(keyword, long);
        assert_eq!(slots.add(Field::new("a", FieldType::Keyword)), keyword);
        assert_eq!(slots.len(), 2);
        assert_eq!(slots.field(long).map(|field| field.kind), Some(FieldType::Long));
    }

    #[test]
    fn many_keys_of_one_object() {
        let mut slots = Slots::default();
        for number in 0..3000_u32 {
            slots.add(Field::new(format!("k{number}"), FieldType::Keyword));
        }
        let root = slots.root().unwrap();
        for number in 0..3000_u32 {
            let found = slots.child(root, &format!("k{number}"));
            assert_eq!(slots_of(&slots, found), [Slot(number)]);
            assert!(slots.child(root, &format!("q{number}")).is_none());
        }
    }
}
