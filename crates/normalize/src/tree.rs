//! The tree that records are read into and documents are built in.
//!
//! All of it lives in one [`Arena`] that is emptied between records: strings of the record are borrowed from its
//! text, a value that moves from the record into the document is copied as a pointer, and building an object costs
//! one bump of a pointer for each entry. Objects are lists of entries behind shared references, so that a mapping
//! may read one part of a record while it writes another.

use std::cell::Cell;

use ahash::AHashSet;
use bumpalo::Bump;

/// The memory of one record and of what it becomes.
#[derive(Debug, Default)]
pub struct Arena {
    bump: Bump,
}

impl Arena {
    /// Frees everything that was built, keeping the largest piece of memory for the next record.
    pub fn reset(&mut self) {
        self.bump.reset();
    }

    /// Bytes that the arena holds from the system.
    pub fn allocated_bytes(&self) -> usize {
        self.bump.allocated_bytes()
    }

    /// A new empty object.
    pub fn map(&self) -> &Map<'_> {
        new_map(&self.bump)
    }

    /// A copy of `text`.
    pub fn text(&self, text: &str) -> &str {
        self.bump.alloc_str(text)
    }

    /// A list of `values`.
    pub fn list<'a>(&'a self, values: &[Value<'a>]) -> Value<'a> {
        Value::List(self.bump.alloc_slice_copy(values))
    }
}

fn new_map(bump: &Bump) -> &Map<'_> {
    bump.alloc(Map {
        bump,
        first: Cell::new(None),
        last: Cell::new(None),
        inserted: Cell::new(0),
    })
}

/// A JSON value in an [`Arena`]. Objects are shared: a copy of the value is the same object.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// null
    Null,
    /// true or false
    Bool(bool),
    /// an integer of 64 bits
    Int(i64),
    /// an integer above `i64::MAX`
    Uint(u64),
    /// a floating number
    Float(f64),
    /// a string
    Text(&'a str),
    /// an array
    List(&'a [Value<'a>]),
    /// an object
    Map(&'a Map<'a>),
}

impl<'a> Value<'a> {
    /// The string, if it is one.
    pub fn as_text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The string, if it is one and not empty.
    pub fn as_filled_text(self) -> Option<&'a str> {
        self.as_text().filter(|text| !text.is_empty())
    }

    /// The object, if it is one.
    pub fn as_map(self) -> Option<&'a Map<'a>> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    pub fn as_list(self) -> Option<&'a [Value<'a>]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// The boolean, if it is one.
    pub fn as_bool(self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The value as an integer: a number cut to a whole one, or a string that spells a decimal integer.
    pub fn to_int(self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(value),
            Self::Uint(value) => i64::try_from(value).ok(),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "`as` saturates, and the fraction is meant to go"
            )]
            Self::Float(value) if value.is_finite() => Some(value as i64),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// Whether it is null, an empty string, an empty array or an empty object.
    pub fn is_blank(self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
            Self::List(list) => list.is_empty(),
            Self::Map(map) => map.is_empty(),
            _ => false,
        }
    }

    /// Whether both are the same scalar; arrays and objects are equal where they are the same place in memory.
    pub fn same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Uint(a), Self::Uint(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::List(a), Self::List(b)) => std::ptr::eq(a, b),
            (Self::Map(a), Self::Map(b)) => std::ptr::eq(a, b),
            _ => false,
        }
    }
}

#[derive(Debug)]
struct Entry<'a> {
    key: Cell<&'a str>,
    value: Cell<Value<'a>>,
    next: Cell<Option<&'a Entry<'a>>>,
}

/// An object: entries in the order in which they came.
///
/// A *path* is a dotted sequence of keys (`process.parent.pid`); keys that themselves hold dots are reached by
/// [`get`](Self::get) only.
#[derive(Debug)]
pub struct Map<'a> {
    bump: &'a Bump,
    first: Cell<Option<&'a Entry<'a>>>,
    last: Cell<Option<&'a Entry<'a>>>,
    /// How many entries were ever added, removed ones included.
    inserted: Cell<usize>,
}

impl<'a> Map<'a> {
    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.first.get().is_none()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// How many entries were ever added.
    pub fn inserted(&self) -> usize {
        self.inserted.get()
    }

    /// The entries, in order. Entries that are added meanwhile are met too.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> + use<'a> {
        let mut next = self.first.get();
        std::iter::from_fn(move || {
            let entry = next?;
            next = entry.next.get();
            Some((entry.key.get(), entry.value.get()))
        })
    }

    fn entry(&self, key: &str) -> Option<&'a Entry<'a>> {
        let mut next = self.first.get();
        while let Some(entry) = next {
            if same_key(entry.key.get(), key) {
                return Some(entry);
            }
            next = entry.next.get();
        }
        None
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.entry(key).map(|entry| entry.value.get())
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

    /// Adds an entry without looking whether the key is there already.
    pub fn add(&self, key: &'a str, value: Value<'a>) {
        let entry: &'a Entry<'a> = self.bump.alloc(Entry {
            key: Cell::new(key),
            value: Cell::new(value),
            next: Cell::new(None),
        });
        match self.last.get() {
            Some(last) => last.next.set(Some(entry)),
            None => self.first.set(Some(entry)),
        }
        self.last.set(Some(entry));
        self.inserted.set(self.inserted.get() + 1);
    }

    /// Sets the value of `key`, replacing the one that is there.
    pub fn set(&self, key: &'a str, value: Value<'a>) {
        match self.entry(key) {
            Some(entry) => entry.value.set(value),
            None => self.add(key, value),
        }
    }

    /// The object under `key`, made where there is none; nothing where another kind of value stands there.
    pub fn child(&self, key: &'a str) -> Option<&'a Map<'a>> {
        match self.entry(key).map(|entry| (entry, entry.value.get())) {
            Some((_, Value::Map(map))) => Some(map),
            Some((entry, Value::Null)) => {
                let map = new_map(self.bump);
                entry.value.set(Value::Map(map));
                Some(map)
            }
            Some(_) => None,
            None => {
                let map = new_map(self.bump);
                self.add(key, Value::Map(map));
                Some(map)
            }
        }
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
        let old = match self.at(path) {
            None | Some(Value::Null) => &[][..],
            Some(Value::List(list)) => list,
            Some(single) => self.bump.alloc_slice_copy(&[single]),
        };
        let last = old.len();
        let list = self
            .bump
            .alloc_slice_fill_with(last + 1, |position| old.get(position).copied().unwrap_or(value));
        self.put(path, Value::List(list));
    }

    /// Like [`append`](Self::append), but leaves the list as it is where it has the value.
    pub fn append_new(&self, path: &'a str, value: Value<'a>) {
        let known = match self.at(path) {
            Some(Value::List(list)) => list.iter().any(|element| element.same(value)),
            Some(single) => single.same(value),
            None => false,
        };
        if !known {
            self.append(path, value);
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
        let mut previous: Option<&'a Entry<'a>> = None;
        let mut next = self.first.get();
        while let Some(entry) = next {
            next = entry.next.get();
            if same_key(entry.key.get(), key) {
                match previous {
                    Some(previous) => previous.next.set(next),
                    None => self.first.set(next),
                }
                if next.is_none() {
                    self.last.set(previous);
                }
                return Some(entry.value.get());
            }
            previous = Some(entry);
        }
        None
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
        let mut last: Option<&'a Entry<'a>> = None;
        let mut next = self.first.get();
        self.first.set(None);
        while let Some(entry) = next {
            next = entry.next.get();
            let Some(value) = keep(entry.key.get(), entry.value.get()) else {
                continue;
            };
            entry.value.set(value);
            entry.next.set(None);
            match last {
                Some(last) => last.next.set(Some(entry)),
                None => self.first.set(Some(entry)),
            }
            last = Some(entry);
        }
        self.last.set(last);
    }

    /// Gives entries other keys, where `rename` has one for them.
    pub fn rename_keys(&self, rename: impl Fn(&'a str) -> Option<&'a str>) {
        let mut next = self.first.get();
        while let Some(entry) = next {
            next = entry.next.get();
            if let Some(key) = rename(entry.key.get()) {
                entry.key.set(key);
            }
        }
    }

    /// Removes nulls, empty strings, empty arrays and empty objects, from the inside out.
    pub fn prune(&self) {
        let bump = self.bump;
        self.retain(|_, value| prune(bump, value));
    }

    /// A new object with the same entries; objects inside are shared.
    pub fn shallow_copy(&self) -> &'a Map<'a> {
        let copy = new_map(self.bump);
        for (key, value) in self.iter() {
            copy.add(key, value);
        }
        copy
    }

    /// A new object with the same entries and copies of the objects inside, except for those in arrays.
    pub fn deep_copy(&self) -> &'a Map<'a> {
        let copy = new_map(self.bump);
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
        new_map(self.bump)
    }

    /// A copy of `text` in the arena.
    pub fn text(&self, text: &str) -> &'a str {
        self.bump.alloc_str(text)
    }

    /// A list of `values` in the arena.
    pub fn list(&self, values: &[Value<'a>]) -> Value<'a> {
        Value::List(self.bump.alloc_slice_copy(values))
    }
}

/// The first key of a path and the rest. Paths are short, so a plain loop beats any search.
fn split_path(path: &str) -> (&str, Option<&str>) {
    let dot = path.bytes().position(|byte| byte == b'.');
    match dot.and_then(|dot| Some((path.get(..dot)?, path.get(dot + 1..)?))) {
        Some((head, tail)) => (head, Some(tail)),
        None => (path, None),
    }
}

/// Whether two keys are equal; most that are not differ in length or in their last letter.
fn same_key(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.as_bytes().last() == b.as_bytes().last() && a == b
}

fn prune<'a>(bump: &'a Bump, value: Value<'a>) -> Option<Value<'a>> {
    match value {
        Value::Map(map) => {
            map.prune();
            (!map.is_empty()).then_some(value)
        }
        Value::List(list) => {
            let mut changed = false;
            for element in list {
                match element {
                    Value::Map(map) => map.prune(),
                    Value::List(_) => changed = true,
                    _ => {}
                }
                changed |= element.is_blank();
            }
            if !changed {
                return (!list.is_empty()).then_some(value);
            }
            let kept: smallvec::SmallVec<[Value<'a>; 16]> =
                list.iter().filter_map(|element| prune(bump, *element)).collect();
            (!kept.is_empty()).then(|| Value::List(bump.alloc_slice_copy(&kept)))
        }
        scalar => (!scalar.is_blank()).then_some(scalar),
    }
}
