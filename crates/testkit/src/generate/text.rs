//! Text that is put together from ready pieces.

use neph_event::Instant;

/// A buffer of output.
#[derive(Debug, Default)]
pub(super) struct Text {
    pub(super) bytes: Vec<u8>,
    /// The second that was written last, as text up to its last digit.
    second: (i64, String),
}

impl Text {
    /// Appends the pieces.
    pub(super) fn put(&mut self, pieces: &[&str]) -> &mut Self {
        for piece in pieces {
            self.bytes.extend_from_slice(piece.as_bytes());
        }
        self
    }

    /// Appends a decimal number.
    pub(super) fn number(&mut self, mut number: u64) -> &mut Self {
        let start = self.bytes.len();
        loop {
            self.bytes.push(b'0' + (number % 10) as u8);
            number /= 10;
            if number == 0 {
                break;
            }
        }
        if let Some(digits) = self.bytes.get_mut(start..) {
            digits.reverse();
        }
        self
    }

    /// Appends a time in nanoseconds since the epoch, as ISO 8601 with nine decimals.
    pub(super) fn time(&mut self, nanos: i64) -> &mut Self {
        let (seconds, fraction) = (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000));
        if self.second.0 != seconds || self.second.1.is_empty() {
            let text = Instant { seconds, nanos: 0 }.to_string();
            self.second = (
                seconds,
                text.chars().take_while(|letter| *letter != '.').collect(),
            );
        }
        self.bytes.extend_from_slice(self.second.1.as_bytes());
        self.bytes.push(b'.');
        let mut scale = 100_000_000;
        while scale > 0 {
            self.bytes
                .push(b'0' + u8::try_from(fraction / scale % 10).unwrap_or(0));
            scale /= 10;
        }
        self.bytes.push(b'Z');
        self
    }
}
