//! Public keys and certificates, and what they say of a signature. The mathematics are `ring`'s, the chains `webpki`'s.

use std::time::Duration;

use jiff::Timestamp;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Object identifiers of key types (RFC 3279, RFC 5480, RFC 8410).
const EC: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";
const RSA: &str = "1.2.840.113549.1.1.1";
const ED25519: &str = "1.3.101.112";
/// Who identified the holder of a certificate of Fulcio, as plain text and as DER
/// (<https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md>).
const ISSUER: &str = "1.3.6.1.4.1.57264.1.1";
const ISSUER_DER: &str = "1.3.6.1.4.1.57264.1.8";
/// id-kp-codeSigning (RFC 5280, 4.2.1.12), encoded.
const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    P256,
    P384,
    Rsa,
    Ed25519,
}

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PublicKey {
    kind: Type,
    /// The point, the numbers of RSA in DER, or the 32 bytes.
    bytes: Vec<u8>,
    /// The whole key, as PEM and certificates hold it.
    spki: Vec<u8>,
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:?} key", self.kind)
    }
}

/// How a signature was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Any that cosign makes with the key.
    Cosign,
    /// One that a JWS names (RFC 7518, 3.1): `ES256`, `PS256` …
    Jws(Jws),
}

/// Algorithms of Notation's envelopes
/// (<https://github.com/notaryproject/specifications/blob/main/specs/signature-specification.md#signature-algorithm-requirements>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jws {
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
}

impl Jws {
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            _ => return None,
        })
    }
}

impl PublicKey {
    /// Reads a public key in PEM.
    pub(crate) fn read(pem: &[u8]) -> Result<Self, String> {
        let found = Pem::iter_from_buffer(pem).next();
        let Some(Ok(pem)) = found else {
            return Err("it holds no PEM text".to_owned());
        };
        match pem.label.as_str() {
            "PUBLIC KEY" => Self::of_spki(&pem.contents),
            "CERTIFICATE" => {
                let (_, certificate) = X509Certificate::from_der(&pem.contents)
                    .map_err(|_| "the certificate is damaged".to_owned())?;
                Self::of_spki(certificate.public_key().raw)
            }
            label if label.contains("PRIVATE") => {
                Err("it is a private key; keep it away from here, and name the public one".to_owned())
            }
            label => Err(format!("`{label}` is no public key")),
        }
    }

    /// Reads a key in DER, as certificates hold it.
    pub(crate) fn of_spki(der: &[u8]) -> Result<Self, String> {
        let (rest, info) =
            SubjectPublicKeyInfo::from_der(der).map_err(|_| "the key is damaged".to_owned())?;
        if !rest.is_empty() {
            return Err("the key is damaged".to_owned());
        }
        let curve = info
            .algorithm
            .parameters
            .as_ref()
            .and_then(|parameters| parameters.as_oid().ok())
            .map(|oid| oid.to_id_string());
        let kind = match (info.algorithm.algorithm.to_id_string().as_str(), curve.as_deref()) {
            (EC, Some(P256)) => Type::P256,
            (EC, Some(P384)) => Type::P384,
            (EC, Some(curve)) => {
                return Err(format!(
                    "keys on the curve {curve} are not known; P-256 and P-384 are"
                ));
            }
            (RSA, _) => Type::Rsa,
            (ED25519, _) => Type::Ed25519,
            (other, _) => return Err(format!("keys of the type {other} are not known")),
        };
        let bytes = info.subject_public_key.data.to_vec();
        Ok(Self {
            kind,
            bytes,
            spki: der.to_vec(),
        })
    }

    /// The key in DER.
    pub(crate) fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Whether a signature of a message is of this key.
    pub(crate) fn verify(&self, scheme: Scheme, message: &[u8], signed: &[u8]) -> bool {
        let algorithms: &[&'static dyn VerificationAlgorithm] = match (self.kind, scheme) {
            (Type::P256, Scheme::Cosign) => &[&signature::ECDSA_P256_SHA256_ASN1],
            // Cosign hashed with SHA-256 whatever the curve, and follows the curve since its third version.
            (Type::P384, Scheme::Cosign) => &[
                &signature::ECDSA_P384_SHA384_ASN1,
                &signature::ECDSA_P384_SHA256_ASN1,
            ],
            (Type::Ed25519, Scheme::Cosign) => &[&signature::ED25519],
            (Type::Rsa, Scheme::Cosign) => &[
                &signature::RSA_PKCS1_2048_8192_SHA256,
                &signature::RSA_PKCS1_2048_8192_SHA512,
                &signature::RSA_PSS_2048_8192_SHA256,
            ],
            (Type::P256, Scheme::Jws(Jws::Es256)) => &[&signature::ECDSA_P256_SHA256_FIXED],
            (Type::P384, Scheme::Jws(Jws::Es384)) => &[&signature::ECDSA_P384_SHA384_FIXED],
            (Type::Rsa, Scheme::Jws(Jws::Ps256)) => &[&signature::RSA_PSS_2048_8192_SHA256],
            (Type::Rsa, Scheme::Jws(Jws::Ps384)) => &[&signature::RSA_PSS_2048_8192_SHA384],
            (Type::Rsa, Scheme::Jws(Jws::Ps512)) => &[&signature::RSA_PSS_2048_8192_SHA512],
            _ => &[],
        };
        algorithms.iter().any(|algorithm| {
            UnparsedPublicKey::new(*algorithm, &self.bytes)
                .verify(message, signed)
                .is_ok()
        })
    }
}

/// All certificates of a PEM text, in DER.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut found = Vec::new();
    for item in Pem::iter_from_buffer(pem) {
        let item = item.map_err(|_| "the PEM text is damaged".to_owned())?;
        if item.label != "CERTIFICATE" {
            return Err(format!("`{}` is no certificate", item.label));
        }
        X509Certificate::from_der(&item.contents).map_err(|_| "a certificate is damaged".to_owned())?;
        found.push(item.contents);
    }
    if found.is_empty() {
        return Err("it holds no certificate".to_owned());
    }
    Ok(found)
}

/// What a certificate says of its holder.
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    pub(crate) key: Result<PublicKey, String>,
    /// Alternative names, and the subject.
    pub(crate) identities: Vec<String>,
    pub(crate) issuer: Option<String>,
}

/// Reads a certificate.
pub(crate) fn holder(der: &[u8]) -> Result<Holder, String> {
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|_| "the certificate is damaged".to_owned())?;
    let mut identities = Vec::new();
    let mut issuer = None;
    for extension in certificate.extensions() {
        if let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() {
            for name in &names.general_names {
                match name {
                    GeneralName::RFC822Name(name) | GeneralName::URI(name) | GeneralName::DNSName(name) => {
                        identities.push((*name).to_owned());
                    }
                    _ => {}
                }
            }
        }
        match extension.oid.to_id_string().as_str() {
            ISSUER => {
                issuer.get_or_insert_with(|| String::from_utf8_lossy(extension.value).into_owned());
            }
            // The newer form, which is the one to believe.
            ISSUER_DER => {
                if let [0x0c, length, text @ ..] = extension.value
                    && usize::from(*length) == text.len()
                {
                    issuer = Some(String::from_utf8_lossy(text).into_owned());
                }
            }
            _ => {}
        }
    }
    let subject = certificate.subject().to_string();
    if !subject.is_empty() {
        identities.push(subject);
    }
    Ok(Holder {
        key: PublicKey::of_spki(certificate.public_key().raw),
        identities,
        issuer,
    })
}

/// What a chain of certificates is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chain {
    /// It leads to a root, and holds at the time.
    Good,
    /// It leads to a root, but not at the time.
    Expired(String),
    /// It leads to no root.
    Bad(String),
}

/// Whether a certificate leads to one of some roots at a time, for signing code.
pub(crate) fn chain(leaf: &[u8], others: &[Vec<u8>], roots: &[Vec<u8>], at: Timestamp) -> Chain {
    let bad = |error: &webpki::Error| {
        Chain::Bad(
            match error {
                webpki::Error::UnknownIssuer => "it leads to none of the roots",
                webpki::Error::InvalidSignatureForPublicKey => "a signature in its chain is wrong",
                webpki::Error::RequiredEkuNotFoundContext(_) => "it is not for signing code",
                webpki::Error::CaUsedAsEndEntity => "it is that of an authority",
                webpki::Error::BadDer | webpki::Error::BadDerTime => "it is damaged",
                _ => "its chain breaks a rule of such chains",
            }
            .to_owned(),
        )
    };
    let roots: Vec<CertificateDer<'_>> = roots
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    let others: Vec<CertificateDer<'_>> = others
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    let anchors: Result<Vec<_>, _> = roots.iter().map(anchor_from_trusted_cert).collect();
    let anchors = match anchors {
        Ok(anchors) => anchors,
        Err(error) => return bad(&error),
    };
    let leaf = CertificateDer::from(leaf);
    let leaf = match EndEntityCert::try_from(&leaf) {
        Ok(leaf) => leaf,
        Err(error) => return bad(&error),
    };
    let seconds = u64::try_from(at.as_second()).unwrap_or(0);
    let checked = leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &anchors,
        &others,
        UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
        KeyUsage::required_if_present(CODE_SIGNING),
        None,
        None,
    );
    match checked {
        Ok(_) => Chain::Good,
        Err(webpki::Error::CertExpired { not_after, .. }) => {
            Chain::Expired(format!("it was valid until {}", day(not_after)))
        }
        Err(webpki::Error::CertNotValidYet { not_before, .. }) => {
            Chain::Expired(format!("it is valid from {}", day(not_before)))
        }
        Err(error) => bad(&error),
    }
}

fn day(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(|_| "a time beyond all".to_owned(), |time| time.to_string())
}
