//! Where the fields of a plan's documents stand: known from the start, so that no path is taken apart and no key
//! looked for while documents are made.

use std::ops::Range;

use smallvec::SmallVec;

use super::present;
use crate::java_text;
use crate::tree::{Map, Value};

/// The fields of documents, and the objects that hold them.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Those of an object stand together, behind those of the objects inside of it.
    fields: Vec<Target>,
    /// Children before parents; the last is the document itself.
    objects: Vec<Object>,
    /// Whether a field and an object have one name, so that the one stands in the way of the other.
    tangled: bool,
}

/// An object of the document.
#[derive(Debug, Default)]
pub(super) struct Object {
    /// The fields of it, by number.
    fields: Range<usize>,
    /// The same with those of the objects inside.
    all: Range<usize>,
    /// Objects inside, by number.
    children: Vec<(&'static str, usize)>,
    /// How many entries it may have, and some that code adds later.
    room: usize,
}

/// A field.
#[derive(Debug)]
pub(super) struct Target {
    path: &'static str,
    key: &'static str,
    onto: Onto,
    /// Whether it is the Java text of its value.
    late: bool,
}

/// What happens to a value whose field has one in the document already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Onto {
    /// What stands there stays.
    Keep,
    /// It is replaced.
    Replace,
    /// It becomes a list that goes on with the value's elements.
    Append,
}

/// What stands under a key of a laid out document.
#[derive(Clone, Copy)]
pub(super) enum Item<'l, 'a> {
    Value(Value<'a>),
    /// The Java text of a value.
    Late(Value<'a>),
    Object(&'l Object),
}

/// Of an object with so many entries it is likely that code adds some more.
const LARGE: usize = 4;

/// Places for what code adds to a large object after its plan was applied.
const SPARE: usize = 8;

impl Layout {
    /// A layout of fields, which may be named more than once.
    pub(super) fn of(fields: impl Iterator<Item = &'static str>) -> Self {
        let mut paths: Vec<&'static str> = Vec::new();
        for path in fields {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        let mut layout = Self::default();
        layout.lay_out(&paths, "");
        layout
    }

    /// Numbers the fields and objects beneath a prefix, which is empty or ends with a dot, and gives the number of its
    /// own object.
    fn lay_out(&mut self, paths: &[&'static str], prefix: &str) -> usize {
        let (mut keys, mut inner): (Vec<&'static str>, Vec<&'static str>) = (Vec::new(), Vec::new());
        for path in paths {
            match path.strip_prefix(prefix).map(|rest| (rest, rest.split_once('.'))) {
                Some((_, Some((key, _)))) if !inner.contains(&key) => inner.push(key),
                Some((key, None)) => keys.push(key),
                _ => {}
            }
        }
        self.tangled |= keys.iter().any(|key| inner.contains(key));
        let start = self.fields.len();
        let children: Vec<_> = inner
            .into_iter()
            .map(|key| (key, self.lay_out(paths, &format!("{prefix}{key}."))))
            .collect();
        let first = self.fields.len();
        for path in paths {
            if let Some(key) = path.strip_prefix(prefix)
                && keys.contains(&key)
            {
                self.fields.push(Target {
                    path,
                    key,
                    onto: Onto::Keep,
                    late: false,
                });
            }
        }
        let entries = children.len() + self.fields.len() - first;
        self.objects.push(Object {
            fields: first..self.fields.len(),
            all: start..self.fields.len(),
            children,
            room: entries + if entries >= LARGE { SPARE } else { 1 },
        });
        self.objects.len() - 1
    }

    /// Says what happens where the document has something in the field already.
    pub(super) fn set_onto(&mut self, field: &str, onto: Onto) {
        for target in self.fields.iter_mut().filter(|target| target.path == field) {
            target.onto = onto;
        }
    }

    /// Has the field be the Java text of its value.
    pub(super) fn set_late(&mut self, field: &str) {
        for target in self.fields.iter_mut().filter(|target| target.path == field) {
            target.late = true;
        }
    }

    /// Number of fields.
    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    /// The number of a field.
    pub(super) fn number(&self, field: &str) -> Option<usize> {
        self.fields.iter().position(|target| target.path == field)
    }

    /// Whether a field is the Java text of its value.
    pub(super) fn is_late(&self, field: &str) -> bool {
        self.fields
            .iter()
            .any(|target| target.path == field && target.late)
    }

    /// The document as an object.
    pub(super) fn root(&self) -> Option<&Object> {
        self.objects.last()
    }

    /// What an object has.
    pub(super) fn items<'l, 'a>(
        &'l self,
        values: &'l [Value<'a>],
        object: &'l Object,
    ) -> impl Iterator<Item = (&'static str, Item<'l, 'a>)> {
        let within = |range: &Range<usize>| values.get(range.clone()).unwrap_or(&[]);
        let fields = self.fields.get(object.fields.clone()).unwrap_or(&[]);
        let own = fields
            .iter()
            .zip(within(&object.fields))
            .filter_map(|(field, value)| {
                let value = present(*value)?;
                let item = if field.late {
                    Item::Late(value)
                } else {
                    Item::Value(value)
                };
                Some((field.key, item))
            });
        let inner = object.children.iter().filter_map(move |(key, child)| {
            let child = self.objects.get(*child)?;
            let is_there = within(&child.all).iter().any(|value| present(*value).is_some());
            is_there.then_some((*key, Item::Object(child)))
        });
        own.chain(inner)
    }

    /// Adds values to a document. What happens where the document has something already is up to the field.
    pub(super) fn build<'a>(&self, values: &[Value<'a>], document: &'a Map<'a>) {
        if document.is_empty() && !self.tangled {
            return self.build_new(values, document);
        }
        for (field, value) in self.fields.iter().zip(values) {
            match (field.onto, present(*value)) {
                (Onto::Keep, Some(value)) => {
                    document.put_new(field.path, field.shown(value, document));
                }
                (Onto::Append, Some(Value::List(list))) => {
                    document.extend_new(field.path, list.iter().copied());
                }
                (_, Some(value)) => {
                    document.put(field.path, field.shown(value, document));
                }
                (_, None) => {}
            }
        }
    }

    /// Fills an empty document, objects inside before those round them.
    fn build_new<'a>(&self, values: &[Value<'a>], document: &'a Map<'a>) {
        let mut built: SmallVec<[Option<&'a Map<'a>>; 16]> = SmallVec::new();
        for (number, object) in self.objects.iter().enumerate() {
            let mut here: Option<&'a Map<'a>> = None;
            if number + 1 == self.objects.len() {
                document.make_room(object.room);
                here = Some(document);
            }
            let fields = self.fields.get(object.fields.clone()).unwrap_or(&[]);
            let values = values.get(object.fields.clone()).unwrap_or(&[]);
            for (field, value) in fields.iter().zip(values) {
                if let Some(value) = present(*value) {
                    here.get_or_insert_with(|| document.with_room(object.room))
                        .add(field.key, field.shown(value, document));
                }
            }
            for (key, child) in &object.children {
                if let Some(map) = built.get(*child).copied().flatten() {
                    here.get_or_insert_with(|| document.with_room(object.room))
                        .add(key, Value::Map(map));
                }
            }
            built.push(here);
        }
    }
}

impl Target {
    /// The value as it stands in the document.
    fn shown<'a>(&self, value: Value<'a>, at: &Map<'a>) -> Value<'a> {
        if self.late {
            Value::Text(java_text::write(value, at.text_writer(128)))
        } else {
            value
        }
    }
}
