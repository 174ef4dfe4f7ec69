//! Whether an image is signed by somebody whose signature counts. It tells, and keeps nobody from anything.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::cosign::{self, Signed};
use crate::crypto::{Chain, PublicKey, Scheme, chain, holder};
use crate::digest::Digest;
use crate::image::Image;
use crate::keys::{Authority, Keys, Terms};
use crate::limits::{ImageError, Limits};
use crate::notation;
use crate::source::{Blob, Fetched, Source};

/// Signatures of one image that are looked at; more are told of.
const SIGNATURES: usize = 256;

/// What a signature, or an image with all its signatures, is worth; the better the later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// There is no signature.
    Unsigned,
    /// There are signatures, but of nobody whose signature counts.
    Untrusted,
    /// Somebody whose signature counts signed, but not any more, or not yet.
    Expired,
    /// Somebody whose signature counts signed something else, or what was signed was altered since.
    Altered,
    /// Somebody whose signature counts signed it.
    Verified,
}

impl Verdict {
    /// `unsigned`, `untrusted`, `expired`, `altered`, `verified`
    pub fn name(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Untrusted => "untrusted",
            Self::Expired => "expired",
            Self::Altered => "altered",
            Self::Verified => "verified",
        }
    }

    /// Techniques of ATT&CK that an image with this verdict may be part of.
    pub fn techniques(self) -> &'static [&'static str] {
        match self {
            Self::Verified => &[],
            Self::Altered => &["T1525", "T1553"],
            _ => &["T1525", "T1204.003"],
        }
    }
}

/// A signature that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// `cosign`, `sigstore-bundle`, `notation`
    pub form: &'static str,
    /// What it is worth.
    pub verdict: Verdict,
    /// Why, in words.
    pub why: String,
    /// The key or the authority by its name in the set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Whom the certificate names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<String>,
    /// Who identified them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// When it was signed, where the transparency log or the signer tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_at: Option<String>,
    /// The manifest that holds it.
    pub manifest: Digest,
}

/// What an image with all its signatures is worth.
#[derive(Clone, Debug, Serialize)]
pub struct Verification {
    /// The best of what its signatures are worth.
    pub verdict: Verdict,
    /// Why, in words.
    pub why: String,
    /// All signatures.
    pub signatures: Vec<Checked>,
}

struct Outcome {
    verdict: Verdict,
    why: String,
    by: Option<String>,
}

impl Outcome {
    fn new(verdict: Verdict, why: impl Into<String>) -> Self {
        Self {
            verdict,
            why: why.into(),
            by: None,
        }
    }
}

/// Judges the signatures of an image that was read whole, so that its content is known to be what its manifest says.
///
/// # Errors
/// When the signatures cannot be read.
pub fn verify(
    source: &Source,
    image: &Image,
    keys: &Keys,
    now: Timestamp,
    limits: &Limits,
) -> Result<Verification, ImageError> {
    let targets: Vec<Digest> = [image.manifest, image.index].into_iter().flatten().collect();
    if targets.is_empty() {
        return Ok(Verification {
            verdict: Verdict::Unsigned,
            why: "this form of archive has no manifest, which is what is signed; use an OCI layout or a registry".to_owned(),
            signatures: Vec::new(),
        });
    }
    let judge = Judge {
        targets: &targets,
        repository: image.name.repository.as_deref(),
        keys,
        now,
    };
    let mut signatures = Vec::new();
    for target in &targets {
        for companion in source.companions(target, limits)? {
            judge.companion(source, &companion, limits, &mut signatures)?;
        }
    }
    signatures.sort_by_key(|one: &Checked| std::cmp::Reverse(one.verdict));
    Ok(match signatures.first() {
        None => Verification {
            verdict: Verdict::Unsigned,
            why: "there is no signature beside it".to_owned(),
            signatures,
        },
        Some(best) => Verification {
            verdict: best.verdict,
            why: best.why.clone(),
            signatures,
        },
    })
}

struct Judge<'k> {
    targets: &'k [Digest],
    repository: Option<&'k str>,
    keys: &'k Keys,
    now: Timestamp,
}

impl Judge<'_> {
    fn companion(
        &self,
        source: &Source,
        companion: &Fetched,
        limits: &Limits,
        into: &mut Vec<Checked>,
    ) -> Result<(), ImageError> {
        let document = &companion.document;
        let config = document.config.as_ref().map(|config| config.media_type.as_str());
        let is_notation = config == Some(notation::ARTIFACT)
            || document.artifact_type.as_deref() == Some(notation::ARTIFACT);
        for layer in document.layers.iter().flatten() {
            if into.len() >= SIGNATURES {
                return Ok(());
            }
            let form = match layer.media_type.as_str() {
                cosign::SIMPLE => "cosign",
                bundle if bundle.starts_with(cosign::BUNDLE) => "sigstore-bundle",
                _ if is_notation => "notation",
                _ => continue,
            };
            let blob = Blob {
                path: None,
                digest: Some(layer.digest),
                size: Some(layer.size),
                media_type: layer.media_type.clone(),
            };
            let mut checked = Checked {
                form,
                verdict: Verdict::Untrusted,
                why: String::new(),
                by: None,
                identities: Vec::new(),
                issuer: None,
                signed_at: None,
                manifest: companion.digest,
            };
            let outcome = match source.small(&blob, limits) {
                Err(error @ ImageError::Altered { .. }) => Outcome::new(Verdict::Altered, error.to_string()),
                Err(ImageError::Missing(why)) => Outcome::new(Verdict::Altered, why),
                Err(error) => return Err(error),
                Ok(bytes) => match form {
                    "cosign" => match cosign::simple(bytes, &layer.annotations) {
                        Ok(signed) => self.signed(&signed, &mut checked),
                        Err(why) => Outcome::new(Verdict::Untrusted, why),
                    },
                    "sigstore-bundle" => match cosign::bundle(&bytes) {
                        Ok(Some(signed)) => self.signed(&signed, &mut checked),
                        Ok(None) => continue,
                        Err(why) => Outcome::new(Verdict::Untrusted, why),
                    },
                    _ => {
                        let envelope = match layer.media_type.as_str() {
                            notation::JOSE => notation::jws(&bytes),
                            notation::COSE => notation::cose(&bytes),
                            other => Err(format!("envelopes of the type `{other}` are not known")),
                        };
                        match envelope {
                            Ok(envelope) => self.envelope(&envelope, &mut checked),
                            Err(why) => Outcome::new(Verdict::Untrusted, why),
                        }
                    }
                },
            };
            checked.verdict = outcome.verdict;
            checked.why = outcome.why;
            checked.by = outcome.by;
            into.push(checked);
        }
        Ok(())
    }

    fn signed(&self, signed: &Signed, checked: &mut Checked) -> Outcome {
        match &signed.certificate {
            Some(certificate) => self.by_certificate(signed, certificate, checked),
            None => self.by_key(signed, checked),
        }
    }

    /// Whether the image is one of those that a signature is about.
    fn about(&self, images: &[Digest]) -> Result<(), Outcome> {
        if images.iter().any(|image| self.targets.contains(image)) {
            return Ok(());
        }
        let names: Vec<String> = images.iter().map(Digest::to_string).collect();
        let why = format!(
            "the signature is genuine, but of another image: {}",
            names.join(", ")
        );
        Err(Outcome::new(Verdict::Altered, why))
    }

    /// When it was signed, if the log is asked for and vouches.
    fn recorded(
        &self,
        terms: &Terms,
        signed: &Signed,
        key: &PublicKey,
    ) -> Result<Option<Timestamp>, Outcome> {
        let Some(log) = &terms.log else {
            return Ok(None);
        };
        let Some(record) = &signed.record else {
            return Err(Outcome::new(
                Verdict::Untrusted,
                "no transparency log promises to have recorded it",
            ));
        };
        if !log.verify(Scheme::Cosign, &record.message(), &record.promise) {
            return Err(Outcome::new(
                Verdict::Untrusted,
                "the promise of the transparency log is not of the log that counts",
            ));
        }
        if !record.is_about(signed, key.spki()) {
            return Err(Outcome::new(
                Verdict::Altered,
                "the transparency log recorded another signature",
            ));
        }
        Ok(Timestamp::from_second(record.time).ok())
    }

    /// Whether a key or an authority may sign, at a time.
    fn allowed(&self, terms: &Terms, at: Timestamp) -> Result<(), Outcome> {
        let may = terms.repositories.is_empty()
            || self
                .repository
                .is_some_and(|name| terms.repositories.iter().any(|own| own.matches(name)));
        if !may {
            let why = match self.repository {
                Some(name) => format!("`{}` may not sign for `{name}`", terms.name),
                None => format!(
                    "`{}` may sign for some repositories only, and the image has no name; say it with --as",
                    terms.name
                ),
            };
            return Err(Outcome::new(Verdict::Untrusted, why));
        }
        let day = at.to_zoned(TimeZone::UTC).date();
        if let Some(last) = terms.valid_until.filter(|last| day > *last) {
            return Err(Outcome::new(
                Verdict::Expired,
                format!("`{}` counts until {last}", terms.name),
            ));
        }
        if let Some(first) = terms.valid_from.filter(|first| day < *first) {
            return Err(Outcome::new(
                Verdict::Expired,
                format!("`{}` counts from {first}", terms.name),
            ));
        }
        Ok(())
    }

    fn by_key(&self, signed: &Signed, checked: &mut Checked) -> Outcome {
        let mut best: Option<Outcome> = None;
        for key in &self.keys.keys {
            if !key.key.verify(Scheme::Cosign, &signed.message, &signed.signature) {
                continue;
            }
            let judged = || {
                self.about(&signed.images)?;
                let recorded = self.recorded(&key.terms, signed, &key.key)?;
                self.allowed(&key.terms, recorded.unwrap_or(self.now))?;
                Ok(recorded)
            };
            let mut outcome = match judged() {
                Ok(recorded) => {
                    checked.signed_at = recorded.map(|time| time.to_string());
                    Outcome::new(
                        Verdict::Verified,
                        format!("signed with the key `{}`", key.terms.name),
                    )
                }
                Err(outcome) => outcome,
            };
            outcome.by = Some(key.terms.name.clone());
            if best.as_ref().is_none_or(|best| best.verdict < outcome.verdict) {
                best = Some(outcome);
            }
        }
        best.unwrap_or_else(|| {
            let why = "none of the keys made it: somebody else signed, or what was signed was altered";
            Outcome::new(Verdict::Untrusted, why)
        })
    }

    fn by_certificate(&self, signed: &Signed, certificate: &[u8], checked: &mut Checked) -> Outcome {
        let holder = match holder(certificate) {
            Ok(holder) => holder,
            Err(why) => return Outcome::new(Verdict::Untrusted, why),
        };
        checked.identities = holder.identities.clone();
        checked.issuer = holder.issuer.clone();
        let key = match holder.key {
            Ok(key) => key,
            Err(why) => return Outcome::new(Verdict::Untrusted, why),
        };
        // Somebody may keep the key of a certificate in the set itself.
        if let Some(own) = self.keys.keys.iter().find(|own| own.key == key) {
            let mut outcome = self.by_key(signed, checked);
            if outcome.by.is_none() {
                outcome = Outcome::new(
                    Verdict::Altered,
                    "what was signed was altered, or the signature was",
                );
                outcome.by = Some(own.terms.name.clone());
            }
            return outcome;
        }
        let is_genuine = key.verify(Scheme::Cosign, &signed.message, &signed.signature);
        self.by_authority(certificate, &signed.others, checked, |authority| {
            if !is_genuine {
                return Err(Outcome::new(
                    Verdict::Altered,
                    "what was signed was altered, or the signature was",
                ));
            }
            self.about(&signed.images)?;
            self.recorded(&authority.terms, signed, &key)
        })
    }

    fn envelope(&self, envelope: &notation::Envelope, checked: &mut Checked) -> Outcome {
        let Some((certificate, others)) = envelope.certificates.split_first() else {
            return Outcome::new(Verdict::Untrusted, "the envelope holds no certificate");
        };
        let holder = match holder(certificate) {
            Ok(holder) => holder,
            Err(why) => return Outcome::new(Verdict::Untrusted, why),
        };
        checked.identities = holder.identities.clone();
        checked.issuer = holder.issuer.clone();
        let signed_at = envelope.signed_at.map(|time| time.to_string());
        let key = match holder.key {
            Ok(key) => key,
            Err(why) => return Outcome::new(Verdict::Untrusted, why),
        };
        let is_genuine = key.verify(
            Scheme::Jws(envelope.algorithm),
            &envelope.message,
            &envelope.signature,
        );
        let outcome = self.by_authority(certificate, others, checked, |authority| {
            if !is_genuine {
                return Err(Outcome::new(
                    Verdict::Altered,
                    "what was signed was altered, or the signature was",
                ));
            }
            self.about(&[envelope.image])?;
            if authority.terms.log.is_some() {
                return Err(Outcome::new(
                    Verdict::Untrusted,
                    "no transparency log promises to have recorded it",
                ));
            }
            match envelope.expires {
                Some(last) if last < self.now => Err(Outcome::new(
                    Verdict::Expired,
                    format!("the signer let it count until {last}"),
                )),
                _ => Ok(None),
            }
        });
        if checked.signed_at.is_none() {
            checked.signed_at = signed_at;
        }
        outcome
    }

    /// Judges a certificate by each authority; the best outcome counts. `further` says what is wrong beside the certificate, or when it was signed.
    fn by_authority(
        &self,
        certificate: &[u8],
        others: &[Vec<u8>],
        checked: &mut Checked,
        further: impl Fn(&Authority) -> Result<Option<Timestamp>, Outcome>,
    ) -> Outcome {
        let mut best: Option<Outcome> = None;
        let mut why_not = String::new();
        for authority in &self.keys.authorities {
            let name = &authority.terms.name;
            let all: Vec<Vec<u8>> = others.iter().chain(&authority.intermediates).cloned().collect();
            let further = further(authority);
            let at = match &further {
                Ok(Some(time)) => *time,
                _ => self.now,
            };
            let trust = chain(certificate, &all, &authority.roots, at);
            let judged = || -> Result<String, Outcome> {
                if let Chain::Bad(why) = &trust {
                    return Err(Outcome::new(
                        Verdict::Untrusted,
                        format!("the certificate is not of `{name}`: {why}"),
                    ));
                }
                if let Some(issuer) = authority
                    .issuer
                    .as_ref()
                    .filter(|issuer| checked.issuer.as_ref() != Some(*issuer))
                {
                    let found = checked.issuer.as_deref().unwrap_or("nobody");
                    let why = format!("the signer was identified by `{found}`, and not by `{issuer}`");
                    return Err(Outcome::new(Verdict::Untrusted, why));
                }
                let fits = |identity: &&String| authority.identities.iter().any(|own| own.matches(identity));
                let Some(identity) = checked.identities.iter().find(fits) else {
                    let why = format!(
                        "`{name}` vouches for {}, whose signature does not count",
                        quoted(&checked.identities)
                    );
                    return Err(Outcome::new(Verdict::Untrusted, why));
                };
                Ok(identity.clone())
            };
            let mut outcome = match (judged(), further) {
                // The chain says first whether the certificate is anybody's.
                (Err(outcome), _) | (_, Err(outcome)) => outcome,
                (Ok(identity), Ok(recorded)) => match (&trust, self.allowed(&authority.terms, at)) {
                    (_, Err(outcome)) => outcome,
                    (Chain::Expired(why), _) => {
                        let when = match recorded {
                            Some(time) => format!("at {time}, when it was signed"),
                            None => "now, and nothing proves that it was signed before".to_owned(),
                        };
                        Outcome::new(
                            Verdict::Expired,
                            format!("the certificate does not hold {when}: {why}"),
                        )
                    }
                    _ => {
                        if let Some(time) = recorded {
                            checked.signed_at = Some(time.to_string());
                        }
                        Outcome::new(
                            Verdict::Verified,
                            format!("signed by `{identity}`, for whom `{name}` vouches"),
                        )
                    }
                },
            };
            if matches!(trust, Chain::Bad(_)) {
                why_not.push_str(&format!("; {}", outcome.why));
                continue;
            }
            outcome.by = Some(name.clone());
            if best.as_ref().is_none_or(|best| best.verdict < outcome.verdict) {
                best = Some(outcome);
            }
        }
        best.unwrap_or_else(|| {
            let why = format!(
                "no authority of the set vouches for {}{why_not}",
                quoted(&checked.identities)
            );
            Outcome::new(Verdict::Untrusted, why)
        })
    }
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        "somebody without a name".to_owned()
    } else {
        names.join(", ")
    }
}
