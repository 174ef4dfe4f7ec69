//! Digests as OCI writes them (<https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests>).

use std::fmt;
use std::io::Read;

use ring::digest::{Context, SHA256, SHA512, digest};

/// A digest of content: `sha256:…` or `sha512:…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Digest {
    /// SHA-256, which everybody uses.
    Sha256([u8; 32]),
    /// SHA-512, which the specification registers too.
    Sha512([u8; 64]),
}

impl Digest {
    /// Reads `sha256:…`, in lower case as the specification wants it.
    pub fn parse(text: &str) -> Option<Self> {
        let (algorithm, hex) = text.split_once(':')?;
        match algorithm {
            "sha256" => Some(Self::Sha256(bytes_of(hex)?)),
            "sha512" => Some(Self::Sha512(bytes_of(hex)?)),
            _ => None,
        }
    }

    /// The SHA-256 of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::Sha256(sha256(bytes))
    }

    /// `sha256`
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "sha256",
            Self::Sha512(_) => "sha512",
        }
    }

    /// The digest's bytes in lower case, without the algorithm.
    pub fn hex(&self) -> String {
        match self {
            Self::Sha256(bytes) => hex(bytes),
            Self::Sha512(bytes) => hex(bytes),
        }
    }

    /// Whether some bytes have it.
    pub fn fits(&self, bytes: &[u8]) -> bool {
        let mut hasher = Hasher::like(Some(self));
        hasher.update(bytes);
        hasher.finish() == *self
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.algorithm(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no digest")))
    }
}

/// Bytes in hexadecimal, in lower case.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// The bytes that lower-case hexadecimal writes, if they are so many.
pub(crate) fn bytes_of<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let digits = hex.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// The SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    fixed(digest(&SHA256, bytes).as_ref())
}

/// The bytes of a digest, which the algorithm has made as many as they are.
fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap_or([0; N])
}

/// Makes a digest piece by piece. The library is the one that checks signatures: it is as fast in every build.
pub(crate) struct Hasher(Context);

impl Hasher {
    /// One that makes digests comparable with another; SHA-256 where there is none.
    pub(crate) fn like(other: Option<&Digest>) -> Self {
        Self(Context::new(match other {
            Some(Digest::Sha512(_)) => &SHA512,
            _ => &SHA256,
        }))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        let made = self.0.finish();
        match made.as_ref().len() {
            64 => Digest::Sha512(fixed(made.as_ref())),
            _ => Digest::Sha256(fixed(made.as_ref())),
        }
    }

    /// The digest's bytes, of one that makes SHA-256.
    pub(crate) fn finish_sha256(self) -> [u8; 32] {
        fixed(self.0.finish().as_ref())
    }
}

/// Passes on what it reads, and makes its digest and counts it on the way.
pub(crate) struct Hashing<R> {
    inner: R,
    hasher: Hasher,
    read: u64,
}

impl<R: Read> Hashing<R> {
    pub(crate) fn new(inner: R, hasher: Hasher) -> Self {
        Self {
            inner,
            hasher,
            read: 0,
        }
    }

    /// The digest of everything, and its length in bytes.
    pub(crate) fn finish(self) -> (Digest, u64) {
        (self.hasher.finish(), self.read)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(into)?;
        self.hasher.update(into.get(..count).unwrap_or_default());
        self.read += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_as_they_are_written() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), empty);
        assert_eq!(Digest::parse(empty), Some(Digest::of(b"")));
        let long = format!("sha512:{}", "ab".repeat(64));
        assert_eq!(Digest::parse(&long).map(|digest| digest.to_string()), Some(long));
        for wrong in [
            "",
            "sha256:",
            "sha256:E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "sha256:../../etc/passwd",
            "md5:d41d8cd98f00b204e9800998ecf8427e",
        ] {
            assert_eq!(Digest::parse(wrong), None, "{wrong}");
        }
    }
}
