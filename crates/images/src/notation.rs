//! Signatures of Notation in JWS envelopes
//! (<https://github.com/notaryproject/specifications/blob/main/specs/signature-envelope-jws.md>).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64URL};
use jiff::Timestamp;
use serde_json::Value;

use crate::crypto::Jws;
use crate::digest::Digest;

/// The type of manifests that hold signatures.
pub(crate) const ARTIFACT: &str = "application/vnd.cncf.notary.signature";
/// Media type of an envelope.
pub(crate) const JOSE: &str = "application/jose+json";
const PAYLOAD: &str = "application/vnd.cncf.notary.payload.v1+json";
/// Headers that are understood, so that they may be critical.
const UNDERSTOOD: &[&str] = &[
    "io.cncf.notary.signingScheme",
    "io.cncf.notary.expiry",
    "io.cncf.notary.authenticSigningTime",
];

/// An envelope, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) message: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    pub(crate) algorithm: Jws,
    /// In DER, the signer's first.
    pub(crate) certificates: Vec<Vec<u8>>,
    pub(crate) image: Digest,
    /// When the signer says to have signed; nobody else does.
    pub(crate) signed_at: Option<Timestamp>,
    pub(crate) expires: Option<Timestamp>,
}

/// Reads an envelope.
pub(crate) fn envelope(bytes: &[u8]) -> Result<Envelope, String> {
    let json = |error: serde_json::Error| format!("the envelope is no JSON: {error}");
    let outer: Value = serde_json::from_slice(bytes).map_err(json)?;
    let part = |name: &str| {
        let text = outer.get(name).and_then(Value::as_str);
        text.ok_or_else(|| format!("the envelope has no `{name}`"))
    };
    let (payload, protected) = (part("payload")?, part("protected")?);
    let decode = |text: &str| {
        BASE64URL
            .decode(text)
            .map_err(|_| "a part of the envelope is no base64".to_owned())
    };
    let header: Value = serde_json::from_slice(&decode(protected)?).map_err(json)?;
    let word = |name: &str| header.get(name).and_then(Value::as_str);
    let name = word("alg").unwrap_or_default();
    let algorithm = Jws::of_name(name).ok_or_else(|| format!("the algorithm `{name}` is not known"))?;
    if word("cty") != Some(PAYLOAD) {
        return Err("the envelope holds something else than what Notation signs".to_owned());
    }
    let critical = header.get("crit").and_then(Value::as_array);
    for name in critical.into_iter().flatten().filter_map(Value::as_str) {
        if !UNDERSTOOD.contains(&name) {
            return Err(format!(
                "the envelope demands that `{name}` be understood, which it is not"
            ));
        }
    }
    let time = |name: &str| match word(name) {
        None => Ok(None),
        Some(text) => text
            .parse::<Timestamp>()
            .map(Some)
            .map_err(|_| format!("`{name}` is no time")),
    };
    let content: Value = serde_json::from_slice(&decode(payload)?).map_err(json)?;
    let image = content.pointer("/targetArtifact/digest").and_then(Value::as_str);
    let certificates: Option<Vec<Vec<u8>>> =
        outer
            .pointer("/header/x5c")
            .and_then(Value::as_array)
            .map(|list| {
                list.iter()
                    .filter_map(|one| BASE64.decode(one.as_str()?).ok())
                    .collect()
            });
    Ok(Envelope {
        message: format!("{protected}.{payload}").into_bytes(),
        signature: decode(part("signature")?)?,
        algorithm,
        certificates: certificates
            .filter(|list| !list.is_empty())
            .ok_or("the envelope holds no certificate")?,
        image: image
            .and_then(Digest::parse)
            .ok_or("the envelope names no image")?,
        signed_at: time("io.cncf.notary.signingTime")?,
        expires: time("io.cncf.notary.expiry")?,
    })
}
