//! Objects of the tree.

use std::cell::Cell;

use ahash::AHashSet;
use bumpalo::Bump;

use super::Value;
use super::key::{has_byte, same_key, split_path};

/// A key and its value. In a cell, so that objects can be shared while they are filled.
type Entry<'a> = Cell<(&'a str, Value<'a>)>;

/// What stands in places that are not taken.
const fn vacant<'a>() -> (&'a str, Value<'a>) {
    ("", Value::Null)
}

/// An object: entries in the order in which they came.
///
/// A *path* is a dotted sequence of keys (`process.parent.pid`); keys that themselves hold dots are reached by
/// [`get`](Self::get) only.
#[derive(Debug)]
pub struct Map<'a> {
    bump: &'a Bump,
    /// The entries, and behind them room for more.
    places: Cell<&'a [Entry<'a>]>,
    /// How many places are taken.
    len: Cell<usize>,
    /// How many entries were ever added, removed ones included.
    inserted: Cell<usize>,
    /// Whether it is known that nothing inside was blank when it was read.
    filled: Cell<bool>,
}

impl<'a> Map<'a> {
    /// A new empty object.
    #[inline]
    pub(super) fn within(bump: &'a Bump) -> &'a Self {
        bump.alloc(Self {
            bump,
            places: Cell::new(&[]),
            len: Cell::new(0),
            inserted: Cell::new(0),
            filled: Cell::new(false),
        })
    }

    /// A new object of these entries.
    #[inline]
    pub(super) fn of(bump: &'a Bump, entries: &[(&'a str, Value<'a>)]) -> &'a Self {
        let places = bump.alloc_slice_copy(entries);
        bump.alloc(Self {
            bump,
            places: Cell::new(Cell::from_mut(places).as_slice_of_cells()),
            len: Cell::new(entries.len()),
            inserted: Cell::new(entries.len()),
            filled: Cell::new(false),
        })
    }

    /// A new empty object in the same arena, with room for so many entries.
    #[inline]
    pub(crate) fn with_room(&self, room: usize) -> &'a Self {
        let map = Self::within(self.bump);
        map.make_room(room);
        map
    }

    /// Gives an empty object room for so many entries: they are then written where they stay.
    #[inline]
    pub(crate) fn make_room(&self, room: usize) {
        if self.is_empty() {
            let places = self.bump.alloc_slice_fill_copy(room, vacant());
            self.places.set(Cell::from_mut(places).as_slice_of_cells());
        }
    }

    /// The entries.
    #[inline]
    fn entries(&self) -> &'a [Entry<'a>] {
        self.places.get().get(..self.len.get()).unwrap_or(&[])
    }

    /// Whether there is no entry.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len.get() == 0
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len.get()
    }

    /// How many entries were ever added.
    pub fn inserted(&self) -> usize {
        self.inserted.get()
    }

    /// The entries, in order. Entries that are added meanwhile are not met.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> + use<'a> {
        self.entries().iter().map(Cell::get)
    }

    #[inline]
    fn entry(&self, key: &str) -> Option<&'a Entry<'a>> {
        self.entries().iter().find(|entry| same_key(entry.get().0, key))
    }

    /// The value of `key`.
    #[inline]
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.entry(key).map(|entry| entry.get().1)
    }

    /// The value at a dotted path; nothing where a step is no object.
    pub fn at(&self, path: &str) -> Option<Value<'a>> {
        let (mut head, mut tail) = split_path(path);
        let mut value = self.get(head)?;
        while let Some(rest) = tail {
            (head, tail) = split_path(rest);
            value = value.as_map()?.get(head)?;
        }
        Some(value)
    }

    /// The string at a path, if it is one and not empty.
    pub fn text_at(&self, path: &str) -> Option<&'a str> {
        self.at(path)?.as_filled_text()
    }

    /// The string under a key that may hold dots, if it is one and not empty.
    pub fn text_at_key(&self, key: &str) -> Option<&'a str> {
        self.get(key)?.as_filled_text()
    }

    /// The object at a path.
    pub fn map_at(&self, path: &str) -> Option<&'a Map<'a>> {
        self.at(path)?.as_map()
    }

    /// Notes that nothing inside is blank: no null, no empty string, array or object at any depth.
    pub(crate) fn mark_filled(&self) {
        self.filled.set(true);
    }

    /// Adds an entry without looking whether the key is there already.
    #[inline]
    pub fn add(&self, key: &'a str, value: Value<'a>) {
        let len = self.len.get();
        if self.places.get().len() == len {
            self.grow();
        }
        if let Some(place) = self.places.get().get(len) {
            place.set((key, value));
            self.len.set(len + 1);
            self.inserted.set(self.inserted.get() + 1);
            self.filled.set(false);
        }
    }

    /// Moves the entries to where there is room for twice as many.
    #[cold]
    fn grow(&self) {
        let old = self.places.get();
        let places: &mut [_] = if old.is_empty() {
            self.bump.alloc([vacant(); 4])
        } else {
            let places = self.bump.alloc_slice_fill_copy(old.len() * 2 + 2, vacant());
            for (place, entry) in places.iter_mut().zip(old) {
                *place = entry.get();
            }
            places
        };
        self.places.set(Cell::from_mut(places).as_slice_of_cells());
    }

    /// Sets the value of `key`, replacing the one that is there.
    pub fn set(&self, key: &'a str, value: Value<'a>) {
        match self.entry(key) {
            Some(entry) => {
                entry.set((entry.get().0, value));
                self.filled.set(false);
            }
            None => self.add(key, value),
        }
    }

    /// Where the entry of `key` stands.
    #[inline]
    pub(crate) fn position(&self, key: &str) -> Option<usize> {
        self.entries()
            .iter()
            .position(|entry| same_key(entry.get().0, key))
    }

    /// An entry by where it stands.
    #[inline]
    pub(crate) fn nth(&self, position: usize) -> Option<(&'a str, Value<'a>)> {
        self.entries().get(position).map(Cell::get)
    }

    /// Gives the entry that stands somewhere another key and value.
    #[inline]
    pub(crate) fn set_nth(&self, position: usize, key: &'a str, value: Value<'a>) {
        if let Some(entry) = self.entries().get(position) {
            entry.set((key, value));
            self.filled.set(false);
        }
    }

    /// Takes the entry that stands somewhere out.
    pub(crate) fn remove_nth(&self, position: usize) -> Option<Value<'a>> {
        let entries = self.entries();
        let (_, value) = entries.get(position)?.get();
        for (to, from) in entries
            .iter()
            .skip(position)
            .zip(entries.iter().skip(position + 1))
        {
            to.set(from.get());
        }
        self.len.set(entries.len() - 1);
        Some(value)
    }

    /// The object under `key`, made where there is none; nothing where another kind of value stands there.
    pub fn child(&self, key: &'a str) -> Option<&'a Map<'a>> {
        match self.entry(key).map(|entry| (entry, entry.get().1)) {
            Some((_, Value::Map(map))) => Some(map),
            Some((entry, Value::Null)) => {
                let map = Self::within(self.bump);
                entry.set((key, Value::Map(map)));
                self.filled.set(false);
                Some(map)
            }
            Some(_) => None,
            None => {
                let map = Self::within(self.bump);
                self.add(key, Value::Map(map));
                Some(map)
            }
        }
    }

    /// Like [`child`](Self::child), with room for so many entries where it is made.
    pub(crate) fn child_with_room(&self, key: &'a str, room: usize) -> Option<&'a Map<'a>> {
        if self.entry(key).is_some() {
            return self.child(key);
        }
        let map = self.with_room(room);
        self.add(key, Value::Map(map));
        Some(map)
    }

    /// The object that holds the last key of `path`, made where needed, and that key.
    fn parent_of(&self, path: &'a str) -> Option<(&'a Map<'a>, &'a str)> {
        let (mut head, mut tail) = split_path(path);
        let mut here: Option<&'a Map<'a>> = None;
        while let Some(rest) = tail {
            here = Some(match here {
                None => self.child(head)?,
                Some(map) => map.child(head)?,
            });
            (head, tail) = split_path(rest);
        }
        Some((here?, head))
    }

    /// The object at a path, made where there is none; nothing where another kind of value stands in the way.
    pub(crate) fn child_at(&self, path: &'a str) -> Option<&'a Map<'a>> {
        match self.parent_of(path) {
            Some((map, key)) => map.child(key),
            None if split_path(path).1.is_none() => self.child(path),
            None => None,
        }
    }

    /// Sets the value at a path, making objects on the way. Gives false, and does nothing, where a step of the
    /// path holds something else than an object.
    pub fn put(&self, path: &'a str, value: Value<'a>) -> bool {
        if split_path(path).1.is_none() {
            self.set(path, value);
            return true;
        }
        let Some((map, key)) = self.parent_of(path) else {
            return false;
        };
        map.set(key, value);
        true
    }

    /// Like [`put`](Self::put), but only where nothing stands at the path.
    pub fn put_new(&self, path: &'a str, value: Value<'a>) -> bool {
        if split_path(path).1.is_none() {
            let vacant = self.entry(path).is_none();
            if vacant {
                self.add(path, value);
            }
            return vacant;
        }
        let Some((map, key)) = self.parent_of(path) else {
            return false;
        };
        let vacant = map.entry(key).is_none();
        if vacant {
            map.add(key, value);
        }
        vacant
    }

    /// Sets a string at a path.
    pub fn put_text(&self, path: &'a str, text: &'a str) -> bool {
        self.put(path, Value::Text(text))
    }

    /// Sets a list of strings at a path.
    pub fn put_texts(&self, path: &'a str, texts: &[&'a str]) -> bool {
        let list = self
            .bump
            .alloc_slice_fill_iter(texts.iter().map(|text| Value::Text(text)));
        self.put(path, Value::List(list))
    }

    /// Adds `value` to the list at a path: what stands there becomes the head of the list.
    pub fn append(&self, path: &'a str, value: Value<'a>) {
        self.append_if(path, value, |_| true);
    }

    /// Like [`append`](Self::append), but leaves the list as it is where it has the value.
    pub fn append_new(&self, path: &'a str, value: Value<'a>) {
        self.append_if(path, value, |old| !old.iter().any(|element| element.same(value)));
    }

    fn append_if(&self, path: &'a str, value: Value<'a>, wanted: impl FnOnce(&[Value<'a>]) -> bool) {
        let parent = self.parent_of(path);
        let (map, key) = match &parent {
            Some((map, key)) => (*map, *key),
            None if split_path(path).1.is_none() => (self, path),
            None => return,
        };
        let entry = map.entry(key);
        let single;
        let old = match entry.map(|entry| entry.get().1) {
            None | Some(Value::Null) => &[][..],
            Some(Value::List(list)) => list,
            Some(other) => {
                single = [other];
                &single[..]
            }
        };
        if !wanted(old) {
            return;
        }
        let list = self.bump.alloc_slice_fill_with(old.len() + 1, |position| {
            old.get(position).copied().unwrap_or(value)
        });
        match entry {
            Some(entry) => entry.set((entry.get().0, Value::List(list))),
            None => map.add(key, Value::List(list)),
        }
    }

    /// Adds values to the list at a path, each string once. For many values; a few can be added one by one.
    pub fn extend_new(&self, path: &'a str, values: impl IntoIterator<Item = Value<'a>>) {
        let mut list: Vec<Value<'a>> = match self.at(path) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::List(list)) => list.to_vec(),
            Some(single) => vec![single],
        };
        let mut known: AHashSet<&'a str> = list.iter().filter_map(|value| value.as_text()).collect();
        let before = list.len();
        list.extend(
            values
                .into_iter()
                .filter(|value| value.as_text().is_none_or(|text| known.insert(text))),
        );
        if list.len() > before {
            self.put(path, self.list(&list));
        }
    }

    /// Adds the entries of `other`, replacing those with the same key.
    pub fn merge(&self, other: &Map<'a>) {
        let mut known: AHashSet<&'a str> = self.iter().map(|(key, _)| key).collect();
        for (key, value) in other.iter() {
            if known.insert(key) {
                self.add(key, value);
            } else {
                self.set(key, value);
            }
        }
    }

    /// Takes the entry of `key` out.
    pub fn remove(&self, key: &str) -> Option<Value<'a>> {
        self.remove_nth(self.position(key)?)
    }

    /// Takes the value at a path out; objects on the way stay, also where they are empty now.
    pub fn take(&self, path: &str) -> Option<Value<'a>> {
        match path.rsplit_once('.') {
            None => self.remove(path),
            Some((parents, key)) => self.map_at(parents)?.remove(key),
        }
    }

    /// Moves the value at `from` to `to`, unless something stands there already. Gives whether it was moved.
    pub fn rename(&self, from: &str, to: &'a str) -> bool {
        if self.at(to).is_some() {
            return false;
        }
        let Some(value) = self.take(from) else {
            return false;
        };
        self.put(to, value)
    }

    /// Copies the value at `from` to `to`, replacing what stands there. Gives whether there was something.
    pub fn copy(&self, from: &str, to: &'a str) -> bool {
        match self.at(from) {
            Some(value) if !value.is_blank() => self.put(to, value),
            _ => false,
        }
    }

    /// Copies the value at `from` of another object to `to`, replacing what stands there. Gives whether there was
    /// something.
    pub fn copy_from(&self, other: &Map<'a>, from: &str, to: &'a str) -> bool {
        match other.at(from) {
            Some(value) if !value.is_blank() => self.put(to, value),
            _ => false,
        }
    }

    /// Keeps only the entries for which `keep` holds; `keep` may give a value in place of the old one.
    pub fn retain(&self, mut keep: impl FnMut(&'a str, Value<'a>) -> Option<Value<'a>>) {
        let entries = self.entries();
        let mut kept = entries.iter();
        let mut len = 0;
        for entry in entries {
            let (key, value) = entry.get();
            if let Some(value) = keep(key, value)
                && let Some(place) = kept.next()
            {
                place.set((key, value));
                len += 1;
            }
        }
        self.len.set(len);
    }

    /// Takes out the entries for which `take` holds.
    pub(crate) fn take_out(&self, mut take: impl FnMut(&'a str, Value<'a>) -> bool) {
        let entries = self.entries();
        let mut len = 0;
        for (position, entry) in entries.iter().enumerate() {
            let (key, value) = entry.get();
            if take(key, value) {
                continue;
            }
            if len < position
                && let Some(place) = entries.get(len)
            {
                place.set((key, value));
            }
            len += 1;
        }
        self.len.set(len);
    }

    /// Gives entries other keys, where `rename` has one for them.
    #[inline]
    pub fn rename_keys(&self, rename: impl Fn(&'a str) -> Option<&'a str>) {
        for entry in self.entries() {
            let (old, value) = entry.get();
            if let Some(key) = rename(old) {
                entry.set((key, value));
            }
        }
    }

    /// Whether it is known that nothing inside was blank when it was read, and that nothing was set here since.
    pub(crate) fn is_filled(&self) -> bool {
        self.filled.get()
    }

    /// `key` with underscores in place of a character of ASCII; nothing where it has none.
    #[inline(always)]
    pub(crate) fn underscored(&self, key: &str, character: u8) -> Option<&'a str> {
        has_byte(key, character).then(|| self.with_underscores(key, character))
    }

    #[inline(never)]
    fn with_underscores(&self, key: &str, character: u8) -> &'a str {
        let bytes = key.bytes();
        let bytes = bytes.map(|byte| if byte == character { b'_' } else { byte });
        let bytes = self.bump.alloc_slice_fill_iter(bytes);
        // One character of ASCII in place of another leaves the text one.
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Removes nulls, empty strings, empty arrays and empty objects, from the inside out.
    pub fn prune(&self) {
        if self.filled.get() {
            // Nothing was blank when it was read, and nothing was set here since: only what stands in objects inside
            // may have changed.
            let emptied = |map: &Map<'a>| {
                map.prune();
                map.is_empty()
            };
            let mut changed = false;
            for (_, value) in self.iter() {
                match value {
                    Value::Map(map) => changed |= emptied(map),
                    Value::List(list) => {
                        for map in list.iter().filter_map(|element| element.as_map()) {
                            changed |= emptied(map);
                        }
                    }
                    _ => {}
                }
            }
            if !changed {
                return;
            }
        }
        self.prune_entries(false);
    }

    /// Removes the entries that are blank when they are pruned, and writes only where something changes.
    fn prune_entries(&self, as_read: bool) {
        let entries = self.entries();
        let mut kept = entries.iter();
        let mut len = 0;
        for entry in entries {
            let is_here = |place: &Entry<'a>| std::ptr::eq(place, entry);
            match entry.get() {
                (_, Value::Null) => continue,
                (_, Value::Text("")) => continue,
                (key, Value::Map(map)) => {
                    if as_read {
                        map.prune_as_read();
                    } else {
                        map.prune();
                    }
                    if map.is_empty() {
                        continue;
                    }
                    match kept.next() {
                        Some(place) if !is_here(place) => place.set((key, Value::Map(map))),
                        _ => {}
                    }
                }
                (key, value @ Value::List(_)) => {
                    let Some(pruned) = prune(self.bump, value, as_read) else {
                        continue;
                    };
                    if let Some(place) = kept.next() {
                        place.set((key, pruned));
                    }
                }
                _ => match kept.next() {
                    Some(place) if !is_here(place) => place.set(entry.get()),
                    _ => {}
                },
            }
            len += 1;
        }
        self.len.set(len);
    }

    /// Like [`prune`](Self::prune), of an object that is as it was read: parts in which reading met nothing blank are
    /// not looked through.
    pub(crate) fn prune_as_read(&self) {
        if !self.filled.get() {
            self.prune_entries(true);
            self.filled.set(true);
        }
    }

    /// A new object with the same entries; objects inside are shared.
    pub fn shallow_copy(&self) -> &'a Map<'a> {
        let entries: Vec<_> = self.iter().collect();
        Self::of(self.bump, &entries)
    }

    /// A new object with the same entries and copies of the objects inside, except for those in arrays.
    pub fn deep_copy(&self) -> &'a Map<'a> {
        let copy = Self::within(self.bump);
        for (key, value) in self.iter() {
            copy.add(
                key,
                if let Value::Map(inner) = value {
                    Value::Map(inner.deep_copy())
                } else {
                    value
                },
            );
        }
        copy
    }

    /// A new empty object in the same arena.
    pub fn new_map(&self) -> &'a Map<'a> {
        Self::within(self.bump)
    }

    /// A copy of `text` in the arena.
    pub fn text(&self, text: &str) -> &'a str {
        self.bump.alloc_str(text)
    }

    /// A text that is written in place.
    pub(crate) fn text_writer(&self, capacity: usize) -> bumpalo::collections::String<'a> {
        bumpalo::collections::String::with_capacity_in(capacity, self.bump)
    }

    /// So many copies of a value in the arena.
    pub(crate) fn places<T: Copy>(&self, count: usize, value: T) -> &'a mut [T] {
        self.bump.alloc_slice_fill_copy(count, value)
    }

    /// A copy of `values`.
    pub(crate) fn slice<T: Copy>(&self, values: &[T]) -> &'a [T] {
        self.bump.alloc_slice_copy(values)
    }

    /// A list of `values` in the arena.
    pub fn list(&self, values: &[Value<'a>]) -> Value<'a> {
        Value::List(self.bump.alloc_slice_copy(values))
    }
}

/// A value without what is blank inside; nothing where nothing is left.
pub(super) fn prune<'a>(bump: &'a Bump, value: Value<'a>, as_read: bool) -> Option<Value<'a>> {
    let prune_map = |map: &Map<'a>| if as_read { map.prune_as_read() } else { map.prune() };
    match value {
        Value::Map(map) => {
            prune_map(map);
            (!map.is_empty()).then_some(value)
        }
        Value::List(list) => {
            let mut changed = false;
            for element in list {
                match element {
                    Value::Map(map) => prune_map(map),
                    Value::List(_) => changed = true,
                    _ => {}
                }
                changed |= element.is_blank();
            }
            if !changed {
                return (!list.is_empty()).then_some(value);
            }
            let kept: smallvec::SmallVec<[Value<'a>; 16]> = list
                .iter()
                .filter_map(|element| prune(bump, *element, as_read))
                .collect();
            (!kept.is_empty()).then(|| Value::List(bump.alloc_slice_copy(&kept)))
        }
        scalar => (!scalar.is_blank()).then_some(scalar),
    }
}
