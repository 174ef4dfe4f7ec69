//! The wire format of Protocol Buffers, read in place.
//!
//! <https://protobuf.dev/programming-guides/encoding/>

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Number(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// The bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoMessage;

/// The fields of a message, in their order.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

pub(super) fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

impl<'a> Fields<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for (position, byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f).checked_shl(u32::try_from(position).ok()? * 7)?;
            if byte & 0x80 == 0 {
                self.rest = self.rest.get(position + 1..)?;
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.number()?;
        let value = match key & 7 {
            0 => Value::Number(self.number()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            // Groups are of a time before these messages.
            _ => return None,
        };
        (key >> 3 > 0).then_some((key >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), NoMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field.ok_or(NoMessage))
    }
}

/// Adds a number to a message.
pub(super) fn put_number(out: &mut Vec<u8>, field: u64, value: u64) {
    put_varint(out, field << 3);
    put_varint(out, value);
}

/// Adds bytes, a text or a message to a message.
pub(super) fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut message = Vec::new();
        put_number(&mut message, 1, u64::MAX);
        put_bytes(&mut message, 2, b"abc");
        put_number(&mut message, 3, 0);
        let read: Result<Vec<_>, _> = fields(&message).collect();
        assert_eq!(
            read.unwrap(),
            [
                (1, Value::Number(u64::MAX)),
                (2, Value::Bytes(b"abc")),
                (3, Value::Number(0))
            ]
        );
        for cut in 1..message.len() {
            let read: Vec<_> = fields(&message[..cut]).collect();
            assert!(read.len() <= 3);
        }
        assert!(fields(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]).any(|field| field.is_err()));
        assert!(fields(&[0x0b]).any(|field| field.is_err()));
        assert!(fields(&[0x00, 0x00]).any(|field| field.is_err()));
    }
}
