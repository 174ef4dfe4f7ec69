//! Signatures of Notation in envelopes of JWS
//! (<https://github.com/notaryproject/specifications/blob/main/specs/signature-envelope-jws.md>) and of COSE
//! (<https://github.com/notaryproject/specifications/blob/main/specs/signature-envelope-cose.md>, RFC 9052).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64URL};
use ciborium::Value as Cbor;
use jiff::Timestamp;
use serde_json::Value;

use crate::crypto::Jws;
use crate::digest::Digest;

/// The type of manifests that hold signatures.
pub(crate) const ARTIFACT: &str = "application/vnd.cncf.notary.signature";
/// Media types of envelopes.
pub(crate) const JOSE: &str = "application/jose+json";
pub(crate) const COSE: &str = "application/cose";
/// The tag of a message with one signature (RFC 9052, 4.2), and of a time (RFC 8949, 3.4.2).
const SIGN1: u64 = 18;
const TIME: u64 = 1;
/// Labels of headers (RFC 9052, 3.1; RFC 9360): algorithm, critical ones, type of the content, certificates.
const ALGORITHM: i64 = 1;
const CRITICAL: i64 = 2;
const CONTENT_TYPE: i64 = 3;
const CERTIFICATES: i64 = 33;
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

/// The image that the signed content is about.
fn target(payload: &[u8]) -> Result<Digest, String> {
    let content: Value =
        serde_json::from_slice(payload).map_err(|error| format!("the envelope holds no JSON: {error}"))?;
    let image = content.pointer("/targetArtifact/digest").and_then(Value::as_str);
    image
        .and_then(Digest::parse)
        .ok_or_else(|| "the envelope names no image".to_owned())
}

/// Reads an envelope of COSE.
pub(crate) fn cose(bytes: &[u8]) -> Result<Envelope, String> {
    let damaged = || "the envelope is damaged".to_owned();
    let read = |bytes: &[u8]| ciborium::from_reader::<Cbor, _>(bytes).map_err(|_| damaged());
    let message = match read(bytes)? {
        Cbor::Tag(SIGN1, message) => *message,
        message => message,
    };
    let parts = message.into_array().map_err(|_| damaged())?;
    let [
        Cbor::Bytes(protected),
        Cbor::Map(unprotected),
        Cbor::Bytes(payload),
        Cbor::Bytes(signature),
    ] = parts.as_slice()
    else {
        return Err(damaged());
    };
    let headers = read(protected)?.into_map().map_err(|_| damaged())?;
    let find = |map: &[(Cbor, Cbor)], wanted: &Cbor| {
        map.iter()
            .find(|(label, _)| label == wanted)
            .map(|(_, value)| value.clone())
    };
    let labelled = |label: i64| find(&headers, &Cbor::from(label));
    let algorithm = labelled(ALGORITHM)
        .and_then(|value| value.as_integer())
        .map(i128::from);
    let algorithm = match algorithm {
        Some(-7) => Jws::Es256,
        Some(-35) => Jws::Es384,
        Some(-37) => Jws::Ps256,
        Some(-38) => Jws::Ps384,
        Some(-39) => Jws::Ps512,
        Some(other) => return Err(format!("the algorithm {other} is not known")),
        None => return Err("the envelope does not say how it was signed".to_owned()),
    };
    if labelled(CONTENT_TYPE).as_ref().and_then(Cbor::as_text) != Some(PAYLOAD) {
        return Err("the envelope holds something else than what Notation signs".to_owned());
    }
    for name in labelled(CRITICAL)
        .and_then(|list| list.into_array().ok())
        .into_iter()
        .flatten()
    {
        let is_understood = match &name {
            Cbor::Text(name) => UNDERSTOOD.contains(&name.as_str()),
            name => [ALGORITHM, CRITICAL, CONTENT_TYPE]
                .iter()
                .any(|own| *name == Cbor::from(*own)),
        };
        if !is_understood {
            let name = name.as_text().unwrap_or("a header").to_owned();
            return Err(format!(
                "the envelope demands that `{name}` be understood, which it is not"
            ));
        }
    }
    let time = |name: &str| match find(&headers, &Cbor::from(name)) {
        None => Ok(None),
        Some(Cbor::Tag(TIME, seconds)) => {
            let seconds = seconds
                .as_integer()
                .and_then(|seconds| i64::try_from(seconds).ok());
            let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
            time.map(Some).ok_or_else(|| format!("`{name}` is no time"))
        }
        Some(_) => Err(format!("`{name}` is no time")),
    };
    let certificates = match find(unprotected, &Cbor::from(CERTIFICATES)) {
        Some(Cbor::Bytes(one)) => vec![one],
        Some(Cbor::Array(several)) => several
            .into_iter()
            .filter_map(|one| one.into_bytes().ok())
            .collect(),
        _ => Vec::new(),
    };
    if certificates.is_empty() {
        return Err("the envelope holds no certificate".to_owned());
    }
    // What is signed (RFC 9052, 4.4).
    let signed = Cbor::Array(vec![
        Cbor::from("Signature1"),
        Cbor::Bytes(protected.clone()),
        Cbor::Bytes(Vec::new()),
        Cbor::Bytes(payload.clone()),
    ]);
    let mut message = Vec::new();
    ciborium::into_writer(&signed, &mut message).map_err(|_| damaged())?;
    Ok(Envelope {
        message,
        signature: signature.clone(),
        algorithm,
        certificates,
        image: target(payload)?,
        signed_at: time("io.cncf.notary.signingTime")?,
        expires: time("io.cncf.notary.expiry")?,
    })
}

/// Reads an envelope of JWS.
pub(crate) fn jws(bytes: &[u8]) -> Result<Envelope, String> {
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
    let image = target(&decode(payload)?)?;
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
        image,
        signed_at: time("io.cncf.notary.signingTime")?,
        expires: time("io.cncf.notary.expiry")?,
    })
}
