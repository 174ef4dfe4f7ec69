//! The walk over a JSON text.

use smallvec::SmallVec;

use super::json::{MAX_DEPTH, Reader, Stop, Token, unescape};
use super::{ReadError, Row};
use crate::slots::Node;
use crate::{Slots, ValueRef};

/// Reads `json` into a row that is empty.
pub(super) fn read(row: &mut Row, slots: &Slots, json: &str) -> Result<(), ReadError> {
    let unescaped = std::mem::take(&mut row.unescaped);
    let mut walk = Walk {
        row,
        slots,
        json: Reader::new(json),
        unescaped,
    };
    let outcome = walk.record();
    walk.row.unescaped = walk.unescaped;
    outcome.map_err(|Stop| walk.json.fault())
}

struct Walk<'a, 'j> {
    row: &'a mut Row,
    slots: &'a Slots,
    json: Reader<'j>,
    /// A string whose escapes are resolved.
    unescaped: String,
}

impl<'a> Walk<'a, '_> {
    /// Walks the record. What is open is kept in a list, so that no depth exhausts the stack.
    fn record(&mut self) -> Result<(), Stop> {
        let (Token::Object, Some(root)) = (self.json.token()?, self.slots.root()) else {
            // The fault of a reader that met none is that there is no object.
            return Err(Stop);
        };
        if self.slots.ends_at(root) {
            self.json.skip_container(1, true)?;
            return self.json.end();
        }
        // The container that the walk is in, and those around it, each with its node and whether it is an object.
        let (mut node, mut object) = (root, true);
        let mut around: SmallVec<[(&Node, bool); 16]> = SmallVec::new();
        let mut fresh = true;
        loop {
            let another = match (object, fresh) {
                (true, true) => self.json.first_key()?,
                (true, false) => self.json.next_key()?,
                (false, true) => self.json.first_element(),
                (false, false) => self.json.next_element()?,
            };
            fresh = false;
            if !another {
                let Some(outer) = around.pop() else { break };
                (node, object) = outer;
                continue;
            }
            let depth = u32::try_from(around.len()).unwrap_or(u32::MAX).saturating_add(1);
            let target = match object {
                true => self.child(node),
                false => Some(node),
            };
            let Some(target) = target else {
                self.json.skip(depth)?;
                continue;
            };
            match self.json.token()? {
                Token::Object if self.slots.ends_at(target) => self.json.skip_container(depth + 1, true)?,
                Token::Object | Token::Array if depth >= MAX_DEPTH => return Err(self.json.too_deep()),
                inner @ (Token::Object | Token::Array) => {
                    around.push((node, object));
                    (node, object) = (target, inner == Token::Object);
                    fresh = true;
                }
                scalar => self.scalar(target, scalar),
            }
        }
        self.json.end()
    }

    /// The node for the key that was read last.
    #[inline(always)]
    fn child(&mut self, node: &Node) -> Option<&'a Node> {
        if self.json.is_escaped() {
            self.unescaped.clear();
            unescape(self.json.raw(), &mut self.unescaped);
            return self.slots.child(node, &self.unescaped);
        }
        self.slots
            .child_marked(node, self.json.bytes(), self.json.marks())
    }

    #[inline(always)]
    fn scalar(&mut self, node: &Node, token: Token) {
        match token {
            Token::Null => self.row.take_null(self.slots, node),
            Token::True => self.row.take_all(self.slots, node, ValueRef::Bool(true), None),
            Token::False => self.row.take_all(self.slots, node, ValueRef::Bool(false), None),
            Token::Integer | Token::Decimal => {
                let written = self.json.raw();
                self.row.take_all(
                    self.slots,
                    node,
                    number(written, token == Token::Integer),
                    Some(written),
                );
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
