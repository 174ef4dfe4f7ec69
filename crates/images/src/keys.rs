//! The set of keys and authorities whose signatures count, with the times for which they do. `docs/images.md` describes it.

use jiff::civil::Date;
use neph_diag::{Diagnostic, Span};
use neph_document::{Table, toml};

use crate::codes;
use crate::crypto::{PublicKey, certificates};
use crate::written::{Pattern, Reader};

/// The set.
#[derive(Debug, Default)]
pub struct Keys {
    /// Public keys.
    pub(crate) keys: Vec<Key>,
    /// Authorities whose certificates count.
    pub(crate) authorities: Vec<Authority>,
}

/// What keys and authorities have alike.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) name: String,
    /// Which repositories it may sign; all, where it is not said.
    pub(crate) repositories: Vec<Pattern>,
    pub(crate) valid_from: Option<Date>,
    pub(crate) valid_until: Option<Date>,
    /// The key of the transparency log that must have recorded its signatures.
    pub(crate) log: Option<PublicKey>,
}

/// A key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) terms: Terms,
    pub(crate) key: PublicKey,
}

/// An authority.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) terms: Terms,
    /// Certificates in DER.
    pub(crate) roots: Vec<Vec<u8>>,
    pub(crate) intermediates: Vec<Vec<u8>>,
    /// Alternative names or subjects of certificates that count.
    pub(crate) identities: Vec<Pattern>,
    /// Who identified them.
    pub(crate) issuer: Option<String>,
}

/// Reads the files that a set names.
pub type Load<'l> = &'l mut dyn FnMut(&str) -> Result<Vec<u8>, std::io::Error>;

impl Keys {
    /// Reads a set. `load` reads the files that it names.
    pub fn read(text: &str, load: Load<'_>) -> (Self, Vec<Diagnostic>) {
        let (root, diagnostics) = toml::parse(text, &codes::SYNTAX);
        let mut reader = Reader { text, diagnostics };
        reader.keys(&root, &["authority", "key"], "the set of keys");
        let mut keys = Self::default();
        for (table, place) in reader.tables(&root, "key") {
            keys.keys.extend(key(&mut reader, table, place, load));
        }
        for (table, place) in reader.tables(&root, "authority") {
            keys.authorities
                .extend(authority(&mut reader, table, place, load));
        }
        if keys.keys.is_empty() && keys.authorities.is_empty() && reader.diagnostics.is_empty() {
            let diagnostic = Diagnostic::new(
                &codes::KEY_MISSING,
                Span::default(),
                "the set holds neither a `key` nor an `authority`",
            );
            reader
                .diagnostics
                .push(diagnostic.with_help("begin one with `[[key]]` or `[[authority]]`"));
        }
        reader.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        (keys, reader.diagnostics)
    }

    /// One public key without further terms.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn of_key(name: &str, pem: &[u8]) -> Result<Self, String> {
        let terms = Terms {
            name: name.to_owned(),
            repositories: Vec::new(),
            valid_from: None,
            valid_until: None,
            log: None,
        };
        let key = PublicKey::read(pem)?;
        Ok(Self {
            keys: vec![Key { terms, key }],
            authorities: Vec::new(),
        })
    }
}

fn terms(reader: &mut Reader<'_>, table: &Table, place: Span, whose: &str, load: Load<'_>) -> Option<Terms> {
    let name = reader.needed(table, "name", place, whose).map(|(name, _)| name);
    let (valid_from, valid_until) = reader.span(table, "valid_from", "valid_until");
    let repositories = reader.patterns(table, "repositories");
    let mut log = None;
    if let Some((file, at)) = reader.text(table, "transparency_key") {
        log = material(reader, &file, at, load).and_then(|pem| public_key(reader, &pem, at));
        // A set whose demand for a log is lost would trust more than it says.
        log.as_ref()?;
    }
    Some(Terms {
        name: name?,
        repositories,
        valid_from,
        valid_until,
        log,
    })
}

fn key(reader: &mut Reader<'_>, table: &Table, place: Span, load: Load<'_>) -> Option<Key> {
    let known = [
        "file",
        "name",
        "pem",
        "repositories",
        "transparency_key",
        "valid_from",
        "valid_until",
    ];
    reader.keys(table, &known, "a signing key");
    let terms = terms(reader, table, place, "a signing key", load);
    let (pem, at) = written(reader, table, place, "file", "pem", "a signing key", load)?;
    let key = public_key(reader, &pem, at);
    Some(Key {
        terms: terms?,
        key: key?,
    })
}

fn authority(reader: &mut Reader<'_>, table: &Table, place: Span, load: Load<'_>) -> Option<Authority> {
    let known = [
        "identities",
        "intermediates",
        "issuer",
        "name",
        "pem",
        "repositories",
        "roots",
        "transparency_key",
        "valid_from",
        "valid_until",
    ];
    reader.keys(table, &known, "an authority");
    let terms = terms(reader, table, place, "an authority", load);
    let identities = reader.patterns(table, "identities");
    if table.get("identities").is_none_or(neph_document::Node::is_blank) {
        let diagnostic = Diagnostic::new(&codes::KEY_MISSING, place, "an authority says no `identities`");
        reader
            .diagnostics
            .push(diagnostic.with_help("say whose certificates count; `**` stands for everybody's"));
    }
    let roots = written(reader, table, place, "roots", "pem", "an authority", load)
        .and_then(|(pem, at)| several(reader, &pem, at));
    let mut intermediates = Vec::new();
    if let Some((file, at)) = reader.text(table, "intermediates") {
        let pem = material(reader, &file, at, load)?;
        intermediates = several(reader, &pem, at)?;
    }
    let issuer = reader.text(table, "issuer").map(|(issuer, _)| issuer);
    Some(Authority {
        terms: terms?,
        roots: roots?,
        intermediates,
        identities: (!identities.is_empty()).then_some(identities)?,
        issuer,
    })
}

/// PEM in the file that a key names, or under another key.
fn written(
    reader: &mut Reader<'_>,
    table: &Table,
    place: Span,
    file: &'static str,
    inline: &'static str,
    whose: &str,
    load: Load<'_>,
) -> Option<(Vec<u8>, Span)> {
    match (reader.text(table, file), reader.text(table, inline)) {
        (Some((path, at)), None) => Some((material(reader, &path, at, load)?, at)),
        (None, Some((pem, at))) => Some((pem.into_bytes(), at)),
        (None, None) => {
            reader.say(
                &codes::KEY_MISSING,
                place,
                format!("{whose} says neither `{file}` nor `{inline}`"),
            );
            None
        }
        (Some(_), Some((_, at))) => {
            reader.say(
                &codes::VALUE,
                at,
                format!("{whose} says both `{file}` and `{inline}`"),
            );
            None
        }
    }
}

fn material(reader: &mut Reader<'_>, path: &str, at: Span, load: Load<'_>) -> Option<Vec<u8>> {
    match load(path) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            reader.say(
                &codes::KEY_MATERIAL,
                at,
                format!("`{path}` cannot be read: {error}"),
            );
            None
        }
    }
}

fn public_key(reader: &mut Reader<'_>, pem: &[u8], at: Span) -> Option<PublicKey> {
    match PublicKey::read(pem) {
        Ok(key) => Some(key),
        Err(why) => {
            reader.say(&codes::KEY_MATERIAL, at, why);
            None
        }
    }
}

fn several(reader: &mut Reader<'_>, pem: &[u8], at: Span) -> Option<Vec<Vec<u8>>> {
    match certificates(pem) {
        Ok(found) => Some(found),
        Err(why) => {
            reader.say(&codes::KEY_MATERIAL, at, why);
            None
        }
    }
}
