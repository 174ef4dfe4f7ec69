//! The walk over a JSON text.

use smallvec::SmallVec;

use super::course::{Course, END, NOWHERE, START, What};
use super::json::{MAX_DEPTH, Reader, Stop, Token, unescape};
use super::specials::Specials;
use super::{ReadError, Row};
use crate::slots::NodeId;
use crate::{Slots, ValueRef};

/// Reads `json` into a row that is empty.
pub(super) fn read(row: &mut Row, slots: &Slots, json: &str) -> Result<(), ReadError> {
    let unescaped = std::mem::take(&mut row.room.unescaped);
    let mut course = row.course.take().unwrap_or_default();
    let mut walk = Walk {
        row,
        slots,
        json: Reader::new(json),
        unescaped,
    };
    // What is not in the row's text as a whole is copied value by value.
    let outcome = match walk.row.record.len() == json.len() && course.begin(slots) {
        true => {
            let mut specials = std::mem::take(&mut walk.row.room.specials);
            specials.mark(json.as_bytes());
            walk.row.is_record_ascii = specials.is_ascii();
            let outcome = walk.follow(&mut course, &specials);
            walk.row.room.specials = specials;
            outcome
        }
        false => walk.record(),
    };
    walk.row.room.unescaped = walk.unescaped;
    walk.row.has_free_escape = walk.json.has_free_escape();
    walk.row.course = Some(course);
    outcome.map_err(|Stop| walk.json.fault())
}

struct Walk<'a, 'j> {
    row: &'a mut Row,
    slots: &'a Slots,
    json: Reader<'j>,
    /// A string whose escapes are resolved.
    unescaped: String,
}

/// Containers around the one that the walk is in, each with its node, if something in it is wanted, and whether it is an object.
type Around = SmallVec<[(Option<NodeId>, bool); 16]>;

impl Walk<'_, '_> {
    /// Walks the record along the course of those before.
    fn follow(&mut self, course: &mut Course, specials: &Specials) -> Result<(), Stop> {
        let bytes = self.json.bytes_of_all();
        let (mut at, mut position, mut followed) = (START, self.json.position(), 0);
        loop {
            let strings;
            (at, position, strings) = plain_strings(self.row, course, specials, bytes, (at, position));
            followed += strings;
            let rest = bytes.get(position..).unwrap_or_default();
            let fits = course.place(at).and_then(|place| place.way.follow(rest));
            let what;
            (at, what, position) = match fits.or_else(|| course.other(at, rest)) {
                Some((to, what, length)) => {
                    followed += 1;
                    (to, what, position + length)
                }
                None => {
                    self.json.stand(position);
                    let Some(to) = self.step(course, at)? else { break };
                    let what = course.place(to).map_or(What::Nothing, |place| place.what);
                    (to, what, self.json.position())
                }
            };
            let Some(place) = course.place(at) else { break };
            self.json.stand(position);
            let token = match what {
                What::Nothing => break,
                What::Other => self.json.token()?,
                What::Plain | What::String => {
                    self.json.rest_of_marked_string(specials)?;
                    Token::String
                }
            };
            position = self.json.position();
            if let Some(node) = place.node {
                self.scalar(node, token);
            }
        }
        course.count(followed);
        Ok(())
    }

    /// Walks from behind the value at a place to the next scalar, or to the end, and has the course learn it. `None` where the
    /// rest of the record was walked, since the course has no room for it.
    fn step(&mut self, course: &mut Course, from: u32) -> Result<Option<u32>, Stop> {
        let began = self.json.position();
        let (mut container, mut fresh) = match from {
            START => {
                let (Token::Object, Some(root)) = (self.json.token()?, self.slots.root()) else {
                    // The fault of a reader that met none is that there is no object.
                    return Err(Stop);
                };
                match course.enter(NOWHERE, &[], true, Some(root)) {
                    Some(container) => (container, true),
                    None => return self.walk(Around::new(), (Some(root), true), true).map(|()| None),
                }
            }
            _ => (course.place(from).map_or(NOWHERE, |place| place.container), false),
        };
        loop {
            let Some(here) = course.container(container) else {
                self.json.end()?;
                course.learn(from, self.json.since(began), END);
                return Ok(Some(END));
            };
            if !self.goes_on(here.is_object, fresh)? {
                (container, fresh) = (here.parent, false);
                continue;
            }
            let (target, key) = match here.is_object {
                true => (here.node.and_then(|node| self.child(node)), self.json.bytes()),
                false => (here.node, &[][..]),
            };
            let next = match self.json.upcoming() {
                Some(open @ (b'{' | b'[')) => {
                    if here.depth >= MAX_DEPTH {
                        return Err(self.json.too_deep());
                    }
                    match course.enter(container, key, open == b'{', target) {
                        Some(inner) => {
                            self.json.stand(self.json.position() + 1);
                            (container, fresh) = (inner, true);
                            continue;
                        }
                        None => None,
                    }
                }
                Some(first @ (b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')) => {
                    let is_string = first == b'"';
                    let place = course.reach((container, key), is_string, target, self.slots);
                    place.map(|place| (place, is_string))
                }
                _ => return self.json.token().map(|_| None),
            };
            let Some((to, is_string)) = next else {
                let mut around = Around::new();
                let mut outer = here.parent;
                while let Some(container) = course.container(outer) {
                    around.push((container.node, container.is_object));
                    outer = container.parent;
                }
                around.reverse();
                let mut inside = (here.node, here.is_object);
                let fresh = self.value(target, &mut around, &mut inside)?;
                return self.walk(around, inside, fresh).map(|()| None);
            };
            self.json.stand(self.json.position() + usize::from(is_string));
            course.learn(from, self.json.since(began), to);
            return Ok(Some(to));
        }
    }

    /// Walks the record from token to token.
    fn record(&mut self) -> Result<(), Stop> {
        let (Token::Object, Some(root)) = (self.json.token()?, self.slots.root()) else {
            // The fault of a reader that met none is that there is no object.
            return Err(Stop);
        };
        if self.slots.ends_at(root) {
            self.json.skip_container(1, true)?;
            return self.json.end();
        }
        self.walk(Around::new(), (Some(root), true), true)
    }

    /// Walks from a place in a container to the end of the record; `fresh` before the first of its values. What is open is kept in
    /// a list, so that no depth exhausts the stack.
    fn walk(
        &mut self,
        mut around: Around,
        mut inside: (Option<NodeId>, bool),
        mut fresh: bool,
    ) -> Result<(), Stop> {
        loop {
            let (node, object) = inside;
            if !self.goes_on(object, fresh)? {
                let Some(outer) = around.pop() else { break };
                (inside, fresh) = (outer, false);
                continue;
            }
            let target = match object {
                true => node.and_then(|node| self.child(node)),
                false => node,
            };
            fresh = self.value(target, &mut around, &mut inside)?;
        }
        self.json.end()
    }

    /// Takes a value of the container that the walk is in, or goes into it; whether it did.
    #[inline(always)]
    fn value(
        &mut self,
        target: Option<NodeId>,
        around: &mut Around,
        inside: &mut (Option<NodeId>, bool),
    ) -> Result<bool, Stop> {
        let depth = u32::try_from(around.len()).unwrap_or(u32::MAX).saturating_add(1);
        let Some(target) = target else {
            self.json.skip(depth)?;
            return Ok(false);
        };
        match self.json.token()? {
            Token::Object if self.slots.ends_at(target) => self.json.skip_container(depth + 1, true)?,
            Token::Object | Token::Array if depth >= MAX_DEPTH => return Err(self.json.too_deep()),
            inner @ (Token::Object | Token::Array) => {
                around.push(*inside);
                *inside = (Some(target), inner == Token::Object);
                return Ok(true);
            }
            scalar => self.scalar(target, scalar),
        }
        Ok(false)
    }

    /// Whether a container has another value; its key was then taken, else its end.
    #[inline(always)]
    fn goes_on(&mut self, object: bool, fresh: bool) -> Result<bool, Stop> {
        match (object, fresh) {
            (true, true) => self.json.first_key(),
            (true, false) => self.json.next_key(),
            (false, true) => Ok(self.json.first_element()),
            (false, false) => self.json.next_element(),
        }
    }

    /// The node for the key that was read last.
    #[inline(always)]
    fn child(&mut self, node: NodeId) -> Option<NodeId> {
        if self.json.is_escaped() {
            self.unescaped.clear();
            unescape(self.json.raw(), &mut self.unescaped);
            return self.slots.child(node, &self.unescaped);
        }
        self.slots
            .child_marked(node, self.json.bytes(), self.json.marks())
    }

    #[inline(always)]
    fn scalar(&mut self, node: NodeId, token: Token) {
        match token {
            Token::Null => self.row.take_null(self.slots, node),
            Token::True => self.row.take_all(self.slots, node, ValueRef::Bool(true), None),
            Token::False => self.row.take_all(self.slots, node, ValueRef::Bool(false), None),
            Token::Integer | Token::Decimal => {
                let written = self.json.raw();
                let value = number(written, token == Token::Integer);
                self.row.take_all(self.slots, node, value, Some(written));
            }
            Token::String
                if self.json.is_escaped() && self.row.take_escaped(self.slots, node, self.json.raw()) => {}
            Token::String if self.json.is_escaped() => {
                self.unescaped.clear();
                unescape(self.json.raw(), &mut self.unescaped);
                self.row
                    .take_all(self.slots, node, ValueRef::String(&self.unescaped), None);
            }
            Token::String => self
                .row
                .take_all(self.slots, node, ValueRef::String(self.json.raw()), None),
            Token::Array | Token::Object => {}
        }
    }
}

/// Takes strings from behind a place on as long as each is a plain one without escapes, and the first way leads to it; where it then
/// stands, and how many they were. It is what most of a record is, so it is a function of its own, which needs few registers.
#[inline(never)]
fn plain_strings(
    row: &mut Row,
    course: &Course,
    specials: &Specials,
    bytes: &[u8],
    (mut at, mut position): (u32, usize),
) -> (u32, usize, u32) {
    let mut strings = 0;
    while let Some(place) = course.place(at)
        && let Some((to, start)) = place.way.to_plain(bytes, position)
    {
        let first = specials.next(start);
        let is_plain = bytes.get(first) == Some(&b'"');
        let end = if is_plain {
            Some(first)
        } else {
            specials.end(first)
        };
        let Some(end) = end.filter(|end| bytes.get(*end) == Some(&b'"')) else {
            break;
        };
        let Some(there) = course.place(to) else { break };
        if let Some(slot) = there.slot {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a record that is followed is shorter than 4 GiB"
            )]
            let (start, end) = (start as u32, end as u32);
            if is_plain {
                row.push_string(slot, start, end);
                for slot in &there.more {
                    row.push_string(*slot, start, end);
                }
            } else {
                row.push_escaped(
                    start,
                    end,
                    std::iter::once(slot).chain(there.more.iter().copied()),
                );
            }
        }
        (at, position) = (to, end + 1);
        strings += 1;
    }
    (at, position, strings)
}

/// The value of a number. An integer of more than 64 bits is the nearest double, as it is in Elasticsearch.
fn number(written: &str, integer: bool) -> ValueRef<'static> {
    if integer {
        if let Ok(long) = written.parse() {
            return ValueRef::Long(long);
        }
        if let Ok(unsigned) = written.parse() {
            return ValueRef::Unsigned(unsigned);
        }
    }
    // JSON's numbers are a part of those that this reads; one that is too large is infinite, which no field takes.
    ValueRef::Double(written.parse().unwrap_or(f64::INFINITY))
}
