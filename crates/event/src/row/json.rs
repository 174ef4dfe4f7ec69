//! Reading of JSON text, token by token. Everything is checked, nothing is built: strings and numbers are handed out as
//! the text has them, and a value that nobody wants is skipped without a stack.
//!
//! It reads what RFC 8259 allows, with two liberties that Elasticsearch takes as well: a byte order mark in front is
//! passed over, and half of a surrogate pair (`\ud800`) stands for the replacement character.

use wide::u8x16;

use super::ReadError;
use super::specials::Specials;
use crate::slots::Marks;

/// Arrays and objects nested deeper than this are refused, as Elasticsearch's JSON reader does.
/// Source: `com.fasterxml.jackson.core.StreamReadConstraints.DEFAULT_MAX_DEPTH`
pub(crate) const MAX_DEPTH: u32 = 1000;

/// A position in a JSON text. What a method returns fits a register; texts and faults are asked for afterwards.
#[derive(Debug)]
pub struct Reader<'j> {
    text: &'j str,
    position: usize,
    /// The last string, without its quotes, or the last number.
    start: usize,
    end: usize,
    escaped: bool,
    /// Whether some string escapes what it need not.
    free: bool,
    fault: ReadError,
}

/// What a value begins with. Scalars are taken whole, of arrays and objects only the bracket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// null
    Null,
    /// true
    True,
    /// false
    False,
    /// A number without decimals and exponent.
    Integer,
    /// Any other number.
    Decimal,
    /// A string.
    String,
    /// The `[` of an array.
    Array,
    /// The `{` of an object.
    Object,
}

/// The text is at fault; [`Reader::fault`] says how.
#[derive(Debug)]
pub struct Stop;

impl<'j> Reader<'j> {
    /// A reader of a text, at its beginning.
    pub fn new(text: &'j str) -> Self {
        let position = if text.starts_with('\u{feff}') {
            '\u{feff}'.len_utf8()
        } else {
            0
        };
        Self {
            text,
            position,
            start: 0,
            end: 0,
            escaped: false,
            free: false,
            fault: ReadError::NotAnObject,
        }
    }

    /// The last string, as it stands between its quotes, or the last number.
    #[inline]
    pub fn raw(&self) -> &'j str {
        // Both ends stand at ASCII bytes, so there is always a text between them.
        self.text.get(self.start..self.end).unwrap_or_default()
    }

    /// The bytes of the last string.
    #[inline]
    pub(crate) fn bytes(&self) -> &'j [u8] {
        self.text.as_bytes().get(self.start..self.end).unwrap_or_default()
    }

    /// The marks of the last string, as a key.
    #[inline]
    pub(crate) fn marks(&self) -> Marks {
        Marks::within(self.text.as_bytes(), self.start, self.end)
    }

    /// Where the reader stands, in bytes from the beginning of the text.
    #[inline]
    pub fn position(&self) -> usize {
        self.position
    }

    /// The bytes between a position where the reader stood and the one where it stands.
    #[inline]
    pub fn since(&self, position: usize) -> &'j [u8] {
        self.text
            .as_bytes()
            .get(position..self.position)
            .unwrap_or_default()
    }

    /// The bytes of the text.
    #[inline(always)]
    pub(crate) fn bytes_of_all(&self) -> &'j [u8] {
        self.text.as_bytes()
    }

    /// Goes on from a position, behind bytes whose meaning is known.
    #[inline(always)]
    pub(crate) fn stand(&mut self, position: usize) {
        self.position = position;
    }

    /// What the next value begins with; `None` where there is none.
    #[inline]
    pub(crate) fn upcoming(&mut self) -> Option<u8> {
        self.next()
    }

    /// Whether the next value is an object.
    #[inline]
    pub fn is_at_object(&mut self) -> bool {
        self.next() == Some(b'{')
    }

    /// Whether the last string has escapes, so that it needs [`unescape`].
    #[inline]
    pub fn is_escaped(&self) -> bool {
        self.escaped
    }

    /// Whether a string so far has an escape that stands for a character which JSON also allows as it is, or by another escape: `\uXXXX`
    /// and `\/`.
    #[inline]
    pub(crate) fn has_free_escape(&self) -> bool {
        self.free
    }

    /// What stopped the reading.
    pub fn fault(self) -> ReadError {
        self.fault
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    #[cold]
    #[inline(never)]
    fn stop(&mut self, reason: &str) -> Stop {
        let reason = if self.position < self.text.len() {
            reason
        } else {
            "the text ends too early"
        };
        self.fault = ReadError::Json {
            offset: self.position,
            reason: reason.to_owned(),
        };
        Stop
    }

    #[cold]
    pub(crate) fn too_deep(&mut self) -> Stop {
        self.fault = ReadError::TooDeep;
        Stop
    }

    /// Moves to the next byte that is no white space, and gives it.
    #[inline(always)]
    fn next(&mut self) -> Option<u8> {
        loop {
            let byte = self.peek()?;
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.position += 1;
        }
    }

    /// Checks that nothing but white space follows.
    ///
    /// # Errors
    /// Something follows.
    pub fn end(&mut self) -> Result<(), Stop> {
        match self.next() {
            None => Ok(()),
            Some(_) => Err(self.stop("something follows the record")),
        }
    }

    /// The first token of a value.
    ///
    /// # Errors
    /// There is no value, or it is no JSON.
    #[inline(always)]
    pub fn token(&mut self) -> Result<Token, Stop> {
        match self.next() {
            Some(b'"') => self.string().map(|()| Token::String),
            Some(b'{') => {
                self.position += 1;
                Ok(Token::Object)
            }
            Some(b'[') => {
                self.position += 1;
                Ok(Token::Array)
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'n') => self.word("null", Token::Null),
            Some(b't') => self.word("true", Token::True),
            Some(b'f') => self.word("false", Token::False),
            _ => Err(self.stop("a value is expected")),
        }
    }

    /// Whether an object whose `{` was taken has a key; it is then taken, with the colon behind it, else the `}`.
    ///
    /// # Errors
    /// There is neither.
    #[inline]
    pub fn first_key(&mut self) -> Result<bool, Stop> {
        match self.next() {
            Some(b'"') => self.key(),
            Some(b'}') => {
                self.position += 1;
                Ok(false)
            }
            _ => Err(self.stop("a key or `}` is expected")),
        }
    }

    /// Whether an object has another key, behind one of its values; it is then taken, else the `}`.
    ///
    /// # Errors
    /// There is neither.
    #[inline(always)]
    pub fn next_key(&mut self) -> Result<bool, Stop> {
        match self.next() {
            Some(b',') => {
                self.position += 1;
                match self.next() {
                    Some(b'"') => self.key(),
                    _ => Err(self.stop("a key is expected")),
                }
            }
            Some(b'}') => {
                self.position += 1;
                Ok(false)
            }
            _ => Err(self.stop("`,` or `}` is expected")),
        }
    }

    #[inline(always)]
    fn key(&mut self) -> Result<bool, Stop> {
        self.string()?;
        match self.next() {
            Some(b':') => {
                self.position += 1;
                Ok(true)
            }
            _ => Err(self.stop("`:` is expected")),
        }
    }

    /// Whether an array whose `[` was taken has an element; if not, the `]` is taken.
    #[inline]
    pub fn first_element(&mut self) -> bool {
        let closed = self.next() == Some(b']');
        self.position += usize::from(closed);
        !closed
    }

    /// Whether an array has another element, behind one of it; if not, the `]` is taken.
    ///
    /// # Errors
    /// There is neither.
    #[inline]
    pub fn next_element(&mut self) -> Result<bool, Stop> {
        match self.next() {
            Some(byte @ (b',' | b']')) => {
                self.position += 1;
                Ok(byte == b',')
            }
            _ => Err(self.stop("`,` or `]` is expected")),
        }
    }

    /// Skips a value that stands `depth` arrays and objects deep.
    #[inline]
    pub(crate) fn skip(&mut self, depth: u32) -> Result<(), Stop> {
        match self.token()? {
            Token::Array => self.skip_container(depth + 1, false),
            Token::Object => self.skip_container(depth + 1, true),
            _ => Ok(()),
        }
    }

    /// Skips a value that stands `depth` arrays and objects deep, of `most` that there may be.
    ///
    /// # Errors
    /// It is no JSON, or nested too deep.
    #[inline]
    pub fn skip_within(&mut self, depth: u32, most: u32) -> Result<(), Stop> {
        self.skip(depth + MAX_DEPTH.saturating_sub(most))
    }

    /// Skips an array or object whose bracket was taken, and which is the `depth`th in one another.
    pub(crate) fn skip_container(&mut self, depth: u32, is_object: bool) -> Result<(), Stop> {
        let mut outer = Kinds::default();
        let mut object = is_object;
        let mut fresh = true;
        loop {
            if depth + outer.len > MAX_DEPTH {
                return Err(self.too_deep());
            }
            let another = match (object, fresh) {
                (true, true) => self.first_key()?,
                (true, false) => self.next_key()?,
                (false, true) => self.first_element(),
                (false, false) => self.next_element()?,
            };
            fresh = false;
            if !another {
                match outer.pop() {
                    Some(kind) => object = kind,
                    None => return Ok(()),
                }
                continue;
            }
            if let inner @ (Token::Array | Token::Object) = self.token()? {
                outer.push(object);
                object = inner == Token::Object;
                fresh = true;
            }
        }
    }

    fn word(&mut self, word: &str, token: Token) -> Result<Token, Stop> {
        for byte in word.bytes() {
            if self.peek() != Some(byte) {
                return Err(self.stop("a value is expected"));
            }
            self.position += 1;
        }
        Ok(token)
    }

    #[inline]
    fn digits(&mut self) -> Result<(), Stop> {
        let start = self.position;
        while let Some(b'0'..=b'9') = self.peek() {
            self.position += 1;
        }
        if self.position == start {
            Err(self.stop("a digit is expected"))
        } else {
            Ok(())
        }
    }

    fn number(&mut self) -> Result<Token, Stop> {
        self.start = self.position;
        if self.peek() == Some(b'-') {
            self.position += 1;
        }
        if self.peek() == Some(b'0') {
            self.position += 1;
            if let Some(b'0'..=b'9') = self.peek() {
                return Err(self.stop("a number has a leading zero"));
            }
        } else {
            self.digits()?;
        }
        let mut token = Token::Integer;
        if self.peek() == Some(b'.') {
            token = Token::Decimal;
            self.position += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            token = Token::Decimal;
            self.position += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.position += 1;
            }
            self.digits()?;
        }
        self.end = self.position;
        Ok(token)
    }

    /// Takes a string, whose quote is the next byte.
    #[inline(always)]
    fn string(&mut self) -> Result<(), Stop> {
        self.position += 1;
        self.rest_of_string()
    }

    /// Takes a string, whose quote was passed.
    #[inline(always)]
    pub(crate) fn rest_of_string(&mut self) -> Result<(), Stop> {
        self.start = self.position;
        self.escaped = false;
        let mut position = self.start;
        loop {
            position = plain_end(self.text.as_bytes(), position);
            match self.text.as_bytes().get(position) {
                Some(b'"') => {
                    self.end = position;
                    self.position = position + 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.escaped = true;
                    // Escapes often follow one another, and nearly all are of one character.
                    while let Some([b'\\', escaped]) =
                        self.text.as_bytes().get(position..).and_then(<[u8]>::first_chunk)
                        && is_simple_escape(*escaped)
                    {
                        position += 2;
                    }
                    if self.text.as_bytes().get(position) == Some(&b'\\') {
                        self.position = position;
                        self.escape()?;
                        position = self.position;
                    }
                }
                _ => {
                    self.position = position;
                    return Err(self.stop("a control character stands in a string"));
                }
            }
        }
    }

    /// Takes a string, whose quote was passed, in a text whose special characters were found before.
    #[inline(always)]
    pub(crate) fn rest_of_marked_string(&mut self, specials: &Specials) -> Result<(), Stop> {
        let end = specials.end(self.position);
        let Some(end) = end.filter(|end| self.text.as_bytes().get(*end) == Some(&b'"')) else {
            return self.rest_of_string();
        };
        self.start = self.position;
        self.escaped = specials.next(self.position) != end;
        self.end = end;
        self.position = end + 1;
        Ok(())
    }

    /// Takes an escape that is none of those that are common.
    #[cold]
    fn escape(&mut self) -> Result<(), Stop> {
        self.position += 1;
        self.free = true;
        match self.peek() {
            Some(b'/') => self.position += 1,
            Some(b'u') => {
                self.position += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.stop("`\\u` needs four hexadecimal digits"));
                    }
                    self.position += 1;
                }
            }
            _ => return Err(self.stop("there is no such escape")),
        }
        Ok(())
    }
}

/// Which of 16 bytes are quotes, backslashes or control characters.
#[inline(always)]
fn specials(chunk: u8x16) -> u32 {
    let special = chunk.simd_eq(u8x16::splat(b'"'))
        | chunk.simd_eq(u8x16::splat(b'\\'))
        | chunk.simd_eq(chunk.min(u8x16::splat(0x1f)));
    special.to_bitmask()
}

/// Whether a backslash and this stand for one character that has no other form that is as common.
#[inline(always)]
pub(super) fn is_simple_escape(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't')
}

/// Position of the next quote, backslash or control character, or of the end.
#[inline(always)]
fn plain_end(bytes: &[u8], start: usize) -> usize {
    let mut position = start;
    while let Some(chunk) = bytes.get(position..).and_then(<[u8]>::first_chunk::<16>) {
        let found = specials(u8x16::new(*chunk));
        if found != 0 {
            return position + found.trailing_zeros() as usize;
        }
        position += 16;
    }
    let rest = bytes.get(position..).unwrap_or_default();
    let plain = rest
        .iter()
        .take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20))
        .count();
    position + plain
}

/// Appends a string to `out`, its escapes resolved. The string has been checked.
pub fn unescape(raw: &str, out: &mut String) {
    // Bytes are copied 16 at once, and those from a backslash on taken back, which is less work than copying what stands between two
    // of them.
    let mut text = std::mem::take(out).into_bytes();
    text.reserve(raw.len() + BLOCK);
    let bytes = raw.as_bytes();
    let mut position = 0;
    while let Some(rest) = bytes.get(position..)
        && !rest.is_empty()
    {
        let (block, length) = match rest.first_chunk::<BLOCK>() {
            Some(block) => (*block, BLOCK),
            None => {
                let mut block = [0; BLOCK];
                block.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                (block, rest.len())
            }
        };
        let backslashes = u8x16::new(block).simd_eq(u8x16::splat(b'\\')).to_bitmask();
        let plain = (backslashes.trailing_zeros() as usize).min(length);
        text.extend_from_slice(&block);
        text.truncate(text.len() - BLOCK + plain);
        position += plain;
        let Some([b'\\', escaped]) = bytes.get(position..).and_then(<[u8]>::first_chunk) else {
            if plain == 0 {
                break;
            }
            continue;
        };
        position += 2;
        text.push(match escaped {
            b'b' => 0x8,
            b'f' => 0xc,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let behind = raw.get(position..).unwrap_or_default();
                let (char, rest) = unescape_unit(behind);
                position = bytes.len() - rest.len();
                text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            other => *other,
        });
    }
    // Texts were cut at signs of ASCII only, so that what is made of them is one.
    *out = String::from_utf8(text).unwrap_or_default();
}

/// So many bytes are copied at once.
const BLOCK: usize = 16;

/// The character of the hexadecimal digits behind a `\u`, together with a second such escape where the first is the
/// high half of a pair. A half without its other half becomes the replacement character.
fn unescape_unit(text: &str) -> (char, &str) {
    let (first, rest) = hex(text);
    if let 0xd800..0xdc00 = first
        && let Some(second) = rest.strip_prefix("\\u")
        && let (low @ 0xdc00..0xe000, behind) = hex(second)
    {
        let code = 0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00);
        return (
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
            behind,
        );
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), rest)
}

fn hex(text: &str) -> (u32, &str) {
    match text.split_at_checked(4) {
        Some((digits, rest)) => (u32::from_str_radix(digits, 16).unwrap_or(0xfffd), rest),
        None => (0xfffd, ""),
    }
}

/// Which of the open containers are objects. Only what is nested deeper than most things ever are needs memory.
#[derive(Default)]
struct Kinds {
    /// The innermost, in the lowest bits.
    last: u64,
    len: u32,
    /// Full words of those further out.
    outer: Vec<u64>,
}

impl Kinds {
    fn push(&mut self, kind: bool) {
        if self.len != 0 && self.len.is_multiple_of(64) {
            self.outer.push(self.last);
        }
        self.last = self.last << 1 | u64::from(kind);
        self.len += 1;
    }

    fn pop(&mut self) -> Option<bool> {
        self.len = self.len.checked_sub(1)?;
        let kind = self.last & 1 == 1;
        self.last >>= 1;
        if self.len != 0
            && self.len.is_multiple_of(64)
            && let Some(word) = self.outer.pop()
        {
            self.last = word;
        }
        Some(kind)
    }
}
