//! Where fields go that tables name, one field at a time: most records have a handful of the fields, and these come in one
//! pass over all fields anyway.

use super::Filling;
use crate::mapping::Mapping;
use crate::tree::{KeyTable, Map, Value};

/// Tables of fields, by the names that the fields have in records.
#[derive(Debug, Default)]
pub(super) struct Moves {
    keys: KeyTable,
    /// By number of the key: the object that the field goes to, and its key there.
    targets: Vec<(usize, &'static str)>,
    /// The objects beneath the document: the object that each is in, if it is not the document itself, and its key.
    objects: Vec<(Option<usize>, &'static str)>,
    /// By number of the object: room for its entries.
    rooms: Vec<usize>,
    /// Whether a field and an object may have one name.
    tangled: bool,
}

/// The objects of one document, as far as they were needed yet.
pub(super) type Objects<'a> = [Option<Filling<'a>>; MOST_OBJECTS];

/// Tables name at most so many objects; fields of further ones would be left out.
const MOST_OBJECTS: usize = 16;

/// Objects of more entries are likely to get some that no table names.
const SMALL: usize = 4;

/// Room for these.
const SPARE: usize = 5;

impl Moves {
    /// The tables, in their order.
    pub(super) fn of(tables: &[&'static [Mapping]]) -> Self {
        let mut moves = Self::default();
        for row in tables.iter().copied().flatten() {
            let (path, key) = row.to.rsplit_once('.').unwrap_or(("", row.to));
            let object = moves.object(path);
            if moves.keys.number(row.from) == moves.targets.len() {
                moves.targets.push((object, key));
            }
        }
        let entries = |number: usize| {
            let mut keys: Vec<&str> = Vec::new();
            let fields = moves.targets.iter().filter(|(object, _)| *object == number);
            let inner = moves.objects.iter().filter(|(parent, _)| *parent == Some(number));
            let all = fields.map(|(_, key)| key).chain(inner.map(|(_, key)| key));
            all.for_each(|key| {
                if !keys.contains(key) {
                    keys.push(key);
                }
            });
            keys.len() + if keys.len() > SMALL { SPARE } else { 1 }
        };
        let is_object = |(parent, key): &(usize, &str)| moves.objects.contains(&(Some(*parent), key));
        moves.tangled = moves.targets.iter().any(is_object);
        moves.rooms = (0..moves.objects.len()).map(entries).collect();
        moves
    }

    /// The number of the object at a path.
    fn object(&mut self, path: &'static str) -> usize {
        let (parent, key) = match path.rsplit_once('.') {
            Some((parent, key)) => (Some(self.object(parent)), key),
            None => (None, path),
        };
        let known = self.objects.iter().position(|object| *object == (parent, key));
        known.unwrap_or_else(|| {
            self.objects.push((parent, key));
            self.objects.len() - 1
        })
    }

    /// Whether the tables name no more objects than there is room for.
    #[cfg(test)]
    pub(super) fn fits(&self) -> bool {
        self.objects.len() <= MOST_OBJECTS
    }

    /// The number of a field, if a table names it.
    #[inline]
    pub(super) fn number(&self, key: &str) -> Option<usize> {
        self.keys.get(key)
    }

    /// Puts the value of a field where it belongs, replacing what stands there.
    #[inline]
    pub(super) fn put<'a>(
        &self,
        number: usize,
        value: Value<'a>,
        objects: &mut Objects<'a>,
        document: &'a Map<'a>,
    ) {
        let Some((object, key)) = self.targets.get(number) else {
            return;
        };
        let known = match objects.get(*object) {
            Some(Some(known)) => Some(*known),
            _ => self.made(*object, objects, document),
        };
        if let Some(object) = known {
            object.map.set(key, value);
        }
    }

    /// An object of the document, made where there is none.
    #[inline(never)]
    fn made<'a>(
        &self,
        number: usize,
        objects: &mut Objects<'a>,
        document: &'a Map<'a>,
    ) -> Option<Filling<'a>> {
        if let Some(Some(known)) = objects.get(number) {
            return Some(*known);
        }
        let (parent, key) = *self.objects.get(number)?;
        let parent = match parent {
            None => Filling {
                map: document,
                is_new: false,
            },
            Some(parent) => self.made(parent, objects, document)?,
        };
        let room = *self.rooms.get(number)?;
        let made = if parent.is_new && !self.tangled {
            let map = document.with_room(room);
            parent.map.add(key, Value::Map(map));
            Filling { map, is_new: true }
        } else {
            Filling::of(key, room, parent.map)?
        };
        *objects.get_mut(number)? = Some(made);
        Some(made)
    }
}

#[cfg(test)]
mod tests {
    use super::Moves;
    use crate::json;
    use crate::mapping::{Mapping, keep};
    use crate::tree::{Arena, Value};

    const TABLE: &[Mapping] = &[
        keep("uid", "user.id"),
        keep("gid", "user.group.id"),
        keep("ses", "session.id"),
    ];

    #[test]
    fn fields_go_where_the_table_says() {
        let arena = Arena::default();
        let read = |text| json::parse(&arena, text).unwrap().as_map().unwrap();
        let document = read(r#"{"user":{"id":"old","name":"u"},"session":7}"#);
        let moves = Moves::of(&[TABLE]);
        let mut objects = Default::default();
        for (key, value) in [("gid", "1"), ("uid", "2"), ("ses", "3"), ("other", "4")] {
            match moves.number(key) {
                Some(number) => moves.put(number, Value::Text(value), &mut objects, document),
                None => assert_eq!(key, "other"),
            }
        }
        assert_eq!(
            sonic_rs::to_string(document).unwrap(),
            r#"{"user":{"id":"2","name":"u","group":{"id":"1"}},"session":7}"#
        );
    }
}
