//! Where the messages of a syslog stream begin and end.
//!
//! Both framings of RFC 6587, also mixed on one connection: a length before each message, which begins with a digit other
//! than zero (<https://www.rfc-editor.org/rfc/rfc6587#section-3.4.1>, <https://www.rfc-editor.org/rfc/rfc5425#section-4.3>), and
//! a line feed or a NUL behind each.

use memchr::memchr2;

/// Most digits of a length.
const MOST_DIGITS: usize = 9;

/// What was cut off the beginning of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut<'a> {
    /// A message, without its framing.
    Message(&'a [u8]),
    /// A message that is too long, of which this is left out; more of it may come.
    TooLong,
    /// A length that is none, or that nobody could mean. Nobody knows where the next message begins.
    Malformed,
}

/// Cuts a stream into messages.
#[derive(Debug)]
pub(crate) struct Framing {
    longest: usize,
    /// Bytes of a message that is too long, still to come.
    skipping: Skip,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skip {
    Nothing,
    Bytes(usize),
    ToLineEnd,
}

impl Framing {
    pub(crate) fn new(longest: usize) -> Self {
        Self {
            longest,
            skipping: Skip::Nothing,
        }
    }

    /// Cuts the first message off `buffer`: what it is, and how many bytes are done with. `None` where more must come.
    pub(crate) fn cut<'a>(&mut self, buffer: &'a [u8]) -> Option<(Option<Cut<'a>>, usize)> {
        if buffer.is_empty() {
            return None;
        }
        match self.skipping {
            Skip::Nothing => {}
            Skip::Bytes(left) => {
                let skipped = left.min(buffer.len());
                self.skipping = if skipped == left {
                    Skip::Nothing
                } else {
                    Skip::Bytes(left - skipped)
                };
                return Some((None, skipped));
            }
            Skip::ToLineEnd => {
                let end = memchr2(b'\n', 0, buffer);
                if end.is_some() {
                    self.skipping = Skip::Nothing;
                }
                return Some((None, end.map_or(buffer.len(), |end| end + 1)));
            }
        }
        match buffer.first() {
            Some(b'1'..=b'9') => self.counted(buffer),
            _ => self.delimited(buffer),
        }
    }

    /// A message behind its length. A line that only begins with a digit is a line.
    fn counted<'a>(&mut self, buffer: &'a [u8]) -> Option<(Option<Cut<'a>>, usize)> {
        let digits = buffer.iter().take_while(|byte| byte.is_ascii_digit()).count();
        match buffer.get(digits) {
            // No line may be so long, and what this is need not be known.
            _ if digits > self.longest => return self.delimited(buffer),
            None => return None,
            Some(b' ') if digits <= MOST_DIGITS => {}
            Some(b' ') => return Some((Some(Cut::Malformed), buffer.len())),
            Some(_) => return self.delimited(buffer),
        }
        let number = buffer
            .get(..digits)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let Some(length) = number.and_then(|number| number.parse::<usize>().ok()) else {
            return Some((Some(Cut::Malformed), buffer.len()));
        };
        let start = digits + 1;
        // `<` begins every message of syslog. Where it is missing this was a line that begins with a number.
        match buffer.get(start) {
            None => return None,
            Some(b'<') => {}
            Some(_) => return self.delimited(buffer),
        }
        if length > self.longest {
            let there = buffer.len().saturating_sub(start).min(length);
            if length > there {
                self.skipping = Skip::Bytes(length - there);
            }
            return Some((Some(Cut::TooLong), start + there));
        }
        let message = buffer.get(start..start + length)?;
        Some((Some(Cut::Message(trimmed(message))), start + length))
    }

    fn delimited<'a>(&mut self, buffer: &'a [u8]) -> Option<(Option<Cut<'a>>, usize)> {
        match memchr2(b'\n', 0, buffer) {
            Some(end) if end > self.longest => Some((Some(Cut::TooLong), end + 1)),
            Some(end) => {
                let message = trimmed(buffer.get(..end).unwrap_or_default());
                let cut = (!message.is_empty()).then_some(Cut::Message(message));
                Some((cut, end + 1))
            }
            None if buffer.len() > self.longest => {
                self.skipping = Skip::ToLineEnd;
                Some((Some(Cut::TooLong), buffer.len()))
            }
            None => None,
        }
    }
}

/// A message without the line end that some put behind it whatever the framing.
pub(crate) fn trimmed(message: &[u8]) -> &[u8] {
    let end = message
        .iter()
        .rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0));
    message.get(..end.map_or(0, |end| end + 1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts a text as a whole and byte by byte, which must come to the same.
    fn cut(text: &str, longest: usize) -> Vec<String> {
        let run = |step: usize| {
            let (mut framing, mut buffer, mut out) = (Framing::new(longest), Vec::new(), Vec::new());
            for piece in text.as_bytes().chunks(step) {
                buffer.extend_from_slice(piece);
                while let Some((cut, used)) = framing.cut(&buffer) {
                    match cut {
                        Some(Cut::Message(message)) => {
                            out.push(String::from_utf8_lossy(message).into_owned())
                        }
                        Some(Cut::TooLong) => out.push("too long".to_owned()),
                        Some(Cut::Malformed) => {
                            out.push("malformed".to_owned());
                            return out;
                        }
                        None => {}
                    }
                    assert!(used > 0);
                    buffer.drain(..used);
                }
            }
            if !buffer.is_empty() {
                out.push(format!("left {}", String::from_utf8_lossy(&buffer)));
            }
            out
        };
        let whole = run(text.len().max(1));
        assert_eq!(whole, run(1), "{text}");
        whole
    }

    #[test]
    fn both_framings_and_their_mixture() {
        assert_eq!(
            cut("<1>a\n<1>b\r\n\n<1>c\0<1>d", 10),
            ["<1>a", "<1>b", "<1>c", "left <1>d"]
        );
        assert_eq!(
            cut("5 <1>ab6 <1>a\nb4 <1>c<1>d\n", 10),
            ["<1>ab", "<1>a\nb", "<1>c", "<1>d"]
        );
        assert_eq!(cut("2026 was long\n5 <1>a\n", 20), ["2026 was long", "<1>a"]);
        assert_eq!(cut("12", 10), ["left 12"]);
    }

    #[test]
    fn long_and_wrong_ones() {
        assert_eq!(cut("12 <1>3456789014 <1>x", 10), ["too long", "<1>x"]);
        assert_eq!(cut("<1>4567890123\n<1>b\n", 10), ["too long", "<1>b"]);
        assert_eq!(cut("<1>456789\n<1>b\n", 10), ["<1>456789", "<1>b"]);
        assert_eq!(cut("99999999999999999999 <1>x\n", 100), ["malformed"]);
        assert_eq!(cut("9999999999", 100), ["left 9999999999"]);
        assert_eq!(cut("9999999999a\n5 <1>x\n", 100), ["9999999999a", "<1>x"]);
    }
}
