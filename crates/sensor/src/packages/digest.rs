//! Digests by which packages know their files.

use std::io::{self, Read};

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

/// A digest, and how it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sum {
    Md5(Vec<u8>),
    Sha1(Vec<u8>),
    Sha256(Vec<u8>),
    Sha512(Vec<u8>),
}

impl Sum {
    /// A digest from hexadecimal digits.
    pub(super) fn from_hex(make: fn(Vec<u8>) -> Self, text: &[u8]) -> Option<Self> {
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let (pairs, rest) = text.as_chunks::<2>();
        if pairs.is_empty() || !rest.is_empty() {
            return None;
        }
        let bytes: Option<Vec<u8>> = pairs
            .iter()
            .map(|[high, low]| u8::try_from(digit(high)? * 16 + digit(low)?).ok())
            .collect();
        Some(make(bytes?))
    }

    /// Whether this is the digest of what can be read; `None` where there is more than so many bytes.
    pub(super) fn is_of(&self, content: impl Read, limit: u64) -> io::Result<Option<bool>> {
        match self {
            Self::Md5(sum) => compare::<Md5>(sum, content, limit),
            Self::Sha1(sum) => compare::<Sha1>(sum, content, limit),
            Self::Sha256(sum) => compare::<Sha256>(sum, content, limit),
            Self::Sha512(sum) => compare::<Sha512>(sum, content, limit),
        }
    }
}

fn compare<D: Digest>(sum: &[u8], content: impl Read, limit: u64) -> io::Result<Option<bool>> {
    let mut digest = D::new();
    let mut content = content.take(limit + 1);
    let mut buffer = vec![0; 64 << 10];
    let mut total = 0_u64;
    loop {
        let read = match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        total += read as u64;
        digest.update(buffer.get(..read).unwrap_or_default());
    }
    Ok((total <= limit).then(|| digest.finalize().as_slice() == sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_held_against_its_digest() {
        let md5 = Sum::from_hex(Sum::Md5, b"900150983cd24fb0d6963f7d28e17f72").unwrap();
        assert_eq!(md5.is_of(&b"abc"[..], 100).unwrap(), Some(true));
        assert_eq!(md5.is_of(&b"abd"[..], 100).unwrap(), Some(false));
        assert_eq!(md5.is_of(&b"abc"[..], 2).unwrap(), None);
        let sha1 = Sum::from_hex(Sum::Sha1, b"a9993e364706816aba3e25717850c26c9cd0d89d").unwrap();
        assert_eq!(sha1.is_of(&b"abc"[..], 100).unwrap(), Some(true));
        assert_eq!(Sum::from_hex(Sum::Md5, b"9g"), None);
        assert_eq!(Sum::from_hex(Sum::Md5, b"900"), None);
        assert_eq!(Sum::from_hex(Sum::Md5, b""), None);
    }
}
