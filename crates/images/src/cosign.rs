//! Signatures of cosign: the payload of "simple signing" beside the image
//! (<https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>), and bundles of Sigstore
//! (<https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto>), with what the transparency log promised.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use x509_parser::pem::Pem;

use crate::digest::{Digest, hex, sha256};

/// Media type of the payload.
pub(crate) const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Beginning of the media types of bundles.
pub(crate) const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
/// What a statement of in-toto says when it is the signature of an image.
const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

/// A signature, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    /// What was signed.
    pub(crate) message: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    /// The certificate of the key, in DER, and those that lead to a root.
    pub(crate) certificate: Option<Vec<u8>>,
    pub(crate) others: Vec<Vec<u8>>,
    pub(crate) record: Option<Record>,
    /// The images that it is about.
    pub(crate) images: Vec<Digest>,
    /// SHA-256 of what the log recorded as the signed content.
    content: [u8; 32],
}

/// What the transparency log promised to record
/// (<https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md#properties>, "bundle").
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// The entry, in base64.
    body: String,
    /// Seconds since 1970.
    pub(crate) time: i64,
    index: i64,
    /// SHA-256 of the log's key.
    log: String,
    pub(crate) promise: Vec<u8>,
}

impl Record {
    /// What the log signed: the canonical form (RFC 8785) of four members.
    pub(crate) fn message(&self) -> Vec<u8> {
        format!(
            r#"{{"body":{},"integratedTime":{},"logID":{},"logIndex":{}}}"#,
            Value::from(self.body.as_str()),
            self.time,
            Value::from(self.log.as_str()),
            self.index
        )
        .into_bytes()
    }

    /// Whether the entry is about a signature, and not about some other one.
    pub(crate) fn is_about(&self, signed: &Signed, key: &[u8]) -> bool {
        let Some(entry) = decode(&self.body).and_then(|body| serde_json::from_slice::<Value>(&body).ok())
        else {
            return false;
        };
        let Some(spec) = entry.get("spec") else {
            return false;
        };
        let is_content = |at: &str| spec.pointer(at).and_then(Value::as_str) == Some(&hex(&signed.content));
        // The same signature may be written in base64 with other line ends.
        let is_signature = |value: Option<&Value>| {
            value.and_then(Value::as_str).and_then(decode).as_deref() == Some(signed.signature.as_slice())
        };
        let is_key = |value: Option<&Value>| {
            let pem = value.and_then(Value::as_str).and_then(decode).unwrap_or_default();
            Pem::iter_from_buffer(&pem)
                .flatten()
                .next()
                .is_some_and(|pem| Some(&pem.contents) == signed.certificate.as_ref() || pem.contents == key)
        };
        match entry.get("kind").and_then(Value::as_str) {
            Some("hashedrekord") => {
                is_content("/data/hash/value")
                    && is_signature(spec.pointer("/signature/content"))
                    && is_key(spec.pointer("/signature/publicKey/content"))
            }
            Some("dsse") => {
                let signatures = spec.get("signatures").and_then(Value::as_array);
                is_content("/payloadHash/value")
                    && signatures
                        .into_iter()
                        .flatten()
                        .any(|one| is_signature(one.get("signature")) && is_key(one.get("verifier")))
            }
            _ => false,
        }
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.trim()).ok()
}

/// Certificates in PEM, as annotations hold them; damaged ones are left out, and then the chain leads nowhere.
fn pems(text: Option<&String>) -> Vec<Vec<u8>> {
    let text = text.map_or(&[][..], |text| text.as_bytes());
    Pem::iter_from_buffer(text)
        .flatten()
        .map(|pem| pem.contents)
        .collect()
}

/// A signature beside an image: the payload, and the annotations of its layer.
pub(crate) fn simple(payload: Vec<u8>, annotations: &BTreeMap<String, String>) -> Result<Signed, String> {
    let signature = annotations.get("dev.cosignproject.cosign/signature");
    let signature = signature.ok_or("it has no signature in its annotations")?;
    let signature = decode(signature).ok_or("the signature is no base64")?;
    let document: Value =
        serde_json::from_slice(&payload).map_err(|error| format!("the payload is no JSON: {error}"))?;
    let kind = document
        .pointer("/critical/type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !matches!(
        kind,
        "cosign container image signature" | "atomic container signature"
    ) {
        return Err(format!(
            "the payload is of the type `{kind}`, which is no signature of an image"
        ));
    }
    let image = document
        .pointer("/critical/image/docker-manifest-digest")
        .and_then(Value::as_str);
    let image = image
        .and_then(Digest::parse)
        .ok_or("the payload names no image")?;
    let record = annotations.get("dev.sigstore.cosign/bundle").and_then(|text| {
        let bundle: Value = serde_json::from_str(text).ok()?;
        let payload = bundle.get("Payload")?;
        Some(Record {
            body: payload.get("body")?.as_str()?.to_owned(),
            time: payload.get("integratedTime")?.as_i64()?,
            index: payload.get("logIndex")?.as_i64()?,
            log: payload.get("logID")?.as_str()?.to_owned(),
            promise: decode(bundle.get("SignedEntryTimestamp")?.as_str()?)?,
        })
    });
    Ok(Signed {
        signature,
        certificate: pems(annotations.get("dev.sigstore.cosign/certificate"))
            .into_iter()
            .next(),
        others: pems(annotations.get("dev.sigstore.cosign/chain")),
        record,
        images: vec![image],
        content: sha256(&payload),
        message: payload,
    })
}

/// A signature in a bundle. `Ok(None)` says that it is about something else than being the image's signature, such as its list of parts.
pub(crate) fn bundle(bytes: &[u8]) -> Result<Option<Signed>, String> {
    let bundle: Value =
        serde_json::from_slice(bytes).map_err(|error| format!("the bundle is no JSON: {error}"))?;
    let text = |at: &str| bundle.pointer(at).and_then(Value::as_str);
    let envelope = "/dsseEnvelope";
    let kind =
        text(&format!("{envelope}/payloadType")).ok_or("the bundle holds no statement about an image")?;
    let payload = text(&format!("{envelope}/payload"))
        .and_then(decode)
        .ok_or("the statement is no base64")?;
    let signature = text(&format!("{envelope}/signatures/0/sig"))
        .and_then(decode)
        .ok_or("the bundle holds no signature")?;
    let statement: Value =
        serde_json::from_slice(&payload).map_err(|error| format!("the statement is no JSON: {error}"))?;
    if statement.get("predicateType").and_then(Value::as_str) != Some(SIGN) {
        return Ok(None);
    }
    let subjects = statement.get("subject").and_then(Value::as_array);
    let images = subjects.into_iter().flatten().filter_map(|subject| {
        let sha256 = subject.pointer("/digest/sha256").and_then(Value::as_str)?;
        Digest::parse(&format!("sha256:{sha256}"))
    });
    let raw = |at: &str| text(at).and_then(decode);
    let material = "/verificationMaterial";
    let mut chain: Vec<Vec<u8>> = bundle
        .pointer(&format!("{material}/x509CertificateChain/certificates"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|one| one.get("rawBytes").and_then(Value::as_str).and_then(decode))
        .collect();
    let certificate = raw(&format!("{material}/certificate/rawBytes"))
        .or_else(|| (!chain.is_empty()).then(|| chain.remove(0)));
    let entry = |at: &str| bundle.pointer(&format!("{material}/tlogEntries/0/{at}"));
    // Numbers of 64 bits are texts in the JSON of protocol buffers.
    let number = |at: &str| {
        let value = entry(at)?;
        value.as_i64().or_else(|| value.as_str()?.parse().ok())
    };
    let words = |at: &str| entry(at).and_then(Value::as_str);
    let record = || {
        Some(Record {
            body: words("canonicalizedBody")?.to_owned(),
            time: number("integratedTime")?,
            index: number("logIndex")?,
            log: hex(&decode(words("logId/keyId")?)?),
            promise: decode(words("inclusionPromise/signedEntryTimestamp")?)?,
        })
    };
    // What is signed is told from what it looks like: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
    let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    message.extend_from_slice(&payload);
    Ok(Some(Signed {
        message,
        signature,
        certificate,
        others: chain,
        record: record(),
        images: images.collect(),
        content: sha256(&payload),
    }))
}
