//! How keyed state is written down, and read again by another process.
//!
//! State is written in *sections*, one for each rule, so that a rule that has changed loses its own only. Events, which many
//! sections hold at once, stand beside them, each once; sections name them by number. What can be computed is not written
//! but computed again, so that a section cannot contradict itself. A section that was damaged is refused, and nothing of it
//! is taken over.
//!
//! The form is postcard's (<https://postcard.jamesmunns.com/wire-format>): whoever keeps the bytes keeps [`VERSION`] with
//! them, and takes them back only if it is the same.

use std::any::Any;
use std::cell::RefCell;
use std::hash::Hash;
use std::io::Write;
use std::sync::Arc;

use ahash::{AHashMap, RandomState};
use neph_event::EventId;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::candidate::Meter;
use crate::{Event, Origin};

/// The form that state is written in; it changes with every change of what is written.
pub const VERSION: u8 = 2;

/// Why state cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error("the saved state cannot be used: {0}")]
pub struct BadState(String);

impl BadState {
    /// With what is wrong, lower case.
    pub fn of(why: &str) -> Self {
        Self(why.to_owned())
    }
}

impl From<postcard::Error> for BadState {
    fn from(error: postcard::Error) -> Self {
        Self(error.to_string())
    }
}

/// Writes sections of state. State must not change while sections of it are written.
#[derive(Debug, Default)]
pub struct StateWriter {
    events: Vec<Arc<Event>>,
    /// Their numbers, by address: they are held, so that no address comes twice.
    numbers: AHashMap<usize, u32>,
}

/// Reads sections of state.
#[derive(Debug)]
pub struct StateReader {
    events: Vec<Arc<Event>>,
}

/// What the section that is being written or read on this thread shares with others, and its parts among each other.
/// `serde` has no way to hand it down.
#[derive(Default)]
struct Scope {
    events: Vec<Arc<Event>>,
    numbers: AHashMap<usize, u32>,
    parts: AHashMap<usize, u32>,
    parts_read: Vec<Arc<dyn Any + Send + Sync>>,
    meter: Option<Arc<Meter>>,
}

thread_local! {
    static SCOPE: RefCell<Scope> = RefCell::default();
}

impl StateWriter {
    /// Writes a section.
    ///
    /// # Errors
    /// It holds something that cannot be written.
    pub fn write<T: Serialize + ?Sized>(&mut self, state: &T) -> Result<Vec<u8>, BadState> {
        SCOPE.replace(Scope {
            events: std::mem::take(&mut self.events),
            numbers: std::mem::take(&mut self.numbers),
            ..Scope::default()
        });
        let written = postcard::to_stdvec(state);
        let scope = SCOPE.take();
        self.events = scope.events;
        self.numbers = scope.numbers;
        Ok(written?)
    }

    /// The events of all sections, which another thread may write.
    pub fn into_events(self) -> StateEvents {
        StateEvents { events: self.events }
    }

    /// Writes the events of all sections.
    ///
    /// # Errors
    /// There are more than can be numbered.
    pub fn finish(self) -> Result<Vec<u8>, BadState> {
        let mut bytes = Vec::new();
        self.into_events().write(&mut bytes)?;
        Ok(bytes)
    }
}

/// Events that sections of state name by number.
#[derive(Debug)]
pub struct StateEvents {
    events: Vec<Arc<Event>>,
}

impl StateEvents {
    /// Writes them, piece by piece.
    ///
    /// # Errors
    /// There are more than can be numbered, or `out` takes no more.
    pub fn write(&self, out: impl Write) -> Result<(), BadState> {
        let mut sources: Vec<&str> = Vec::new();
        let mut numbers: AHashMap<&str, u32> = AHashMap::new();
        let mut events = Vec::with_capacity(self.events.len());
        for event in &self.events {
            let source = &*event.origin().source;
            let next = u32::try_from(sources.len()).map_err(|_| BadState::of("too many sources"))?;
            let number = *numbers.entry(source).or_insert_with(|| {
                sources.push(source);
                next
            });
            let id = event.given_id().map(EventId::as_str);
            events.push((Bytes(event.document()), id, number, event.origin().line));
        }
        postcard::to_io(&(sources, events), out)?;
        Ok(())
    }
}

impl StateReader {
    /// Reads the events of all sections.
    ///
    /// # Errors
    /// They are damaged.
    pub fn new(events: &[u8]) -> Result<Self, BadState> {
        type Written<'w> = (Vec<&'w str>, Vec<(&'w [u8], Option<&'w str>, u32, u64)>);
        let ((sources, written), rest): (Written<'_>, _) = postcard::take_from_bytes(events)?;
        if !rest.is_empty() {
            return Err(BadState::of("there is more than the events"));
        }
        let sources: Vec<Arc<str>> = sources.into_iter().map(Arc::from).collect();
        let mut events = Vec::with_capacity(written.len());
        for (document, id, source, line) in written {
            let source = sources.get(source as usize).map(Arc::clone);
            let source = source.ok_or_else(|| BadState::of("an event has no source"))?;
            let id = id.map(EventId::given);
            events.push(Arc::new(Event::new(document, id, Origin { source, line })));
        }
        Ok(Self { events })
    }

    /// Reads a section.
    ///
    /// # Errors
    /// It is damaged, or of something else.
    pub fn read<T: DeserializeOwned>(&mut self, section: &[u8]) -> Result<T, BadState> {
        self.read_metered(section, None)
    }

    /// Reads a section whose candidates are counted.
    pub(crate) fn read_metered<T: DeserializeOwned>(
        &mut self,
        section: &[u8],
        meter: Option<&Arc<Meter>>,
    ) -> Result<T, BadState> {
        SCOPE.replace(Scope {
            events: std::mem::take(&mut self.events),
            meter: meter.cloned(),
            ..Scope::default()
        });
        let read = postcard::take_from_bytes(section);
        self.events = SCOPE.take().events;
        let (state, rest) = read?;
        match rest {
            [] => Ok(state),
            _ => Err(BadState::of("there is more than the section")),
        }
    }
}

/// The meter of what is being read.
pub(crate) fn meter() -> Option<Arc<Meter>> {
    SCOPE.with_borrow(|scope| scope.meter.clone())
}

/// Bytes that are written at once.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self.0)
    }
}

fn number_of(event: &Arc<Event>) -> u32 {
    SCOPE.with_borrow_mut(|scope| {
        let next = u32::try_from(scope.events.len()).unwrap_or(u32::MAX);
        let number = *scope.numbers.entry(Arc::as_ptr(event) as usize).or_insert(next);
        if number == next {
            scope.events.push(Arc::clone(event));
        }
        number
    })
}

fn event_of<E: serde::de::Error>(number: u32) -> Result<Arc<Event>, E> {
    let event = SCOPE.with_borrow(|scope| scope.events.get(number as usize).map(Arc::clone));
    event.ok_or_else(|| E::custom("there is no such event"))
}

/// An event, by its number.
pub(crate) mod event {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(event: &Arc<Event>, to: S) -> Result<S::Ok, S::Error> {
        number_of(event).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Event>, D::Error> {
        event_of(u32::deserialize(from)?)
    }
}

/// Events with the numbers of their steps.
pub(crate) mod events {
    use super::*;

    pub(crate) fn serialize<'e, S: Serializer, C>(events: &'e C, to: S) -> Result<S::Ok, S::Error>
    where
        &'e C: IntoIterator<Item = &'e (u16, Arc<Event>)>,
    {
        let numbers: Vec<(u16, u32)> = events
            .into_iter()
            .map(|(step, event)| (*step, number_of(event)))
            .collect();
        numbers.serialize(to)
    }

    pub(crate) fn deserialize<'de, D, C>(from: D) -> Result<C, D::Error>
    where
        D: Deserializer<'de>,
        C: FromIterator<(u16, Arc<Event>)>,
    {
        let numbers = Vec::<(u16, u32)>::deserialize(from)?;
        let events = numbers.into_iter();
        events
            .map(|(step, number)| Ok((step, event_of(number)?)))
            .collect()
    }
}

/// Events with the numbers of their steps, some of which did not happen.
pub(crate) mod slots {
    use super::*;

    type Slots = Vec<(u16, Option<Arc<Event>>)>;

    pub(crate) fn serialize<S: Serializer>(slots: &Slots, to: S) -> Result<S::Ok, S::Error> {
        let numbers = slots
            .iter()
            .map(|(step, event)| (*step, event.as_ref().map(number_of)));
        numbers.collect::<Vec<_>>().serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Slots, D::Error> {
        let numbers = Vec::<(u16, Option<u32>)>::deserialize(from)?;
        let event = |(step, number): (u16, Option<u32>)| Ok((step, number.map(event_of).transpose()?));
        numbers.into_iter().map(event).collect()
    }
}

/// A part of a section that stands in several of its places: written where it comes first.
pub(crate) mod part {
    use super::*;

    pub(crate) fn serialize<T: Serialize, S: Serializer>(part: &Arc<T>, to: S) -> Result<S::Ok, S::Error> {
        let (number, is_new) = SCOPE.with_borrow_mut(|scope| {
            let next = u32::try_from(scope.parts.len()).unwrap_or(u32::MAX);
            let number = *scope.parts.entry(Arc::as_ptr(part) as usize).or_insert(next);
            (number, number == next)
        });
        (number, is_new.then_some(&**part)).serialize(to)
    }

    pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<Arc<T>, D::Error>
    where
        T: Deserialize<'de> + Any + Send + Sync,
        D: Deserializer<'de>,
    {
        let (number, new) = <(u32, Option<T>)>::deserialize(from)?;
        let known = SCOPE.with_borrow_mut(|scope| match new {
            Some(new) => {
                let new = Arc::new(new);
                scope
                    .parts_read
                    .push(Arc::clone(&new) as Arc<dyn Any + Send + Sync>);
                Some(new)
            }
            None => scope
                .parts_read
                .get(number as usize)
                .and_then(|part| Arc::clone(part).downcast().ok()),
        });
        known.ok_or_else(|| D::Error::custom("there is no such part"))
    }
}

/// Such parts in a row.
pub(crate) mod parts {
    use super::*;

    struct Written<'p, T>(&'p Arc<T>);

    impl<T: Serialize> Serialize for Written<'_, T> {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            part::serialize(self.0, to)
        }
    }

    #[derive(Deserialize)]
    #[serde(bound = "T: Deserialize<'de> + Any + Send + Sync")]
    struct Read<T>(#[serde(deserialize_with = "part::deserialize")] Arc<T>);

    pub(crate) fn serialize<'p, S, C, T>(parts: &'p C, to: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
        T: Serialize + 'p,
        &'p C: IntoIterator<Item = &'p Arc<T>>,
    {
        parts.into_iter().map(Written).collect::<Vec<_>>().serialize(to)
    }

    pub(crate) fn deserialize<'de, D, C, T>(from: D) -> Result<C, D::Error>
    where
        D: Deserializer<'de>,
        T: Deserialize<'de> + Any + Send + Sync,
        C: FromIterator<Arc<T>>,
    {
        let parts = Vec::<Read<T>>::deserialize(from)?;
        Ok(parts.into_iter().map(|part| part.0).collect())
    }
}

/// A hasher whose hashes may be kept beside it. Its seeds are random, so that nobody can foresee hashes, and are kept with a
/// hash of theirs: where the same seeds give other hashes (another processor, another version), what was kept is refused.
#[derive(Clone, Debug)]
pub(crate) struct KeptHasher {
    seeds: [u64; 4],
    state: RandomState,
}

impl KeptHasher {
    fn of(seeds: [u64; 4]) -> Self {
        let [a, b, c, d] = seeds;
        Self {
            seeds,
            state: RandomState::with_seeds(a, b, c, d),
        }
    }

    pub(crate) fn hash_one(&self, value: impl Hash) -> u64 {
        self.state.hash_one(value)
    }

    /// A hash of what is hashed elsewhere: numbers, text, and both in a row.
    fn probe(&self) -> u64 {
        let value = Some(neph_event::Value::String("probe".into()));
        self.hash_one((value.as_slice(), 1_u64, "probe"))
    }
}

impl Default for KeptHasher {
    fn default() -> Self {
        let random = RandomState::new();
        Self::of([1, 2, 3, 4].map(|number: u64| random.hash_one(number)))
    }
}

impl Serialize for KeptHasher {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (self.seeds, self.probe()).serialize(to)
    }
}

impl<'de> Deserialize<'de> for KeptHasher {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (seeds, probe) = <([u64; 4], u64)>::deserialize(from)?;
        let hasher = Self::of(seeds);
        match hasher.probe() == probe {
            true => Ok(hasher),
            false => Err(D::Error::custom("hashes are other ones here")),
        }
    }
}
