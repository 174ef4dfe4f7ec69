//! The list of golden images: which digests and files repositories should have, and which differences somebody approved.
//! `docs/images.md` describes it.

use jiff::civil::Date;
use neph_diag::{Diagnostic, Span};
use neph_document::{Table, toml};

use crate::codes;
use crate::compare::{Sameness, compare, plain};
use crate::difference::{Difference, KINDS};
use crate::digest::Digest;
use crate::image::Image;
use crate::limits::ImageError;
use crate::reference::Name;
use crate::roles::Severity;
use crate::written::{Pattern, Reader};

/// The list.
#[derive(Clone, Debug, Default)]
pub struct Golden {
    /// Images that are meant.
    pub images: Vec<Entry>,
    /// Differences that are meant.
    pub approved: Vec<Approval>,
}

/// What images of a repository should be.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which repositories: `registry.example/shop/*`.
    pub repository: Pattern,
    /// Which tags; all, where it is not said.
    pub tag: Option<Pattern>,
    /// Digests of manifests, indexes or configurations.
    pub digests: Vec<Digest>,
    /// An image, or a document of `neph image manifest`, whose content they should have; as written.
    pub manifest: Option<String>,
    /// Whether tags may come to stand for another image, as long as the content is fine.
    pub moves: bool,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Why.
    pub note: Option<String>,
    /// The last day on which it counts.
    pub expires: Option<Date>,
    /// Where it stands in the list.
    pub span: Span,
}

/// Differences that somebody approved.
#[derive(Clone, Debug)]
pub struct Approval {
    /// Which files, with a slash in front, or settings (`env PATH`).
    pub paths: Vec<Pattern>,
    /// Of which repositories; of all, where it is not said.
    pub repository: Option<Pattern>,
    /// Which kinds of differences; all, where it is not said.
    pub kinds: Vec<String>,
    /// Only with this content.
    pub sha256: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Why.
    pub note: Option<String>,
    /// The last day on which it counts.
    pub expires: Option<Date>,
    /// Where it stands in the list.
    pub span: Span,
}

impl Golden {
    /// Reads a list.
    pub fn read(text: &str) -> (Self, Vec<Diagnostic>) {
        let (root, diagnostics) = toml::parse(text, &codes::SYNTAX);
        let mut reader = Reader { text, diagnostics };
        reader.keys(&root, &["approved", "image", "owner"], "the list");
        let owner = reader.text(&root, "owner").map(|(owner, _)| owner);
        let mut golden = Self::default();
        for (table, place) in reader.tables(&root, "image") {
            let Some(entry) = entry(&mut reader, table, place, owner.as_ref()) else {
                continue;
            };
            let tag = |entry: &Entry| entry.tag.as_ref().map(|tag| tag.text().to_owned());
            let is_twin = |other: &&Entry| {
                other.repository.text() == entry.repository.text() && tag(other) == tag(&entry)
            };
            if let Some(twin) = golden.images.iter().find(is_twin) {
                let message = format!("`{}` is said twice", entry.repository.text());
                let diagnostic = Diagnostic::new(&codes::SHADOWED, entry.span, message);
                reader
                    .diagnostics
                    .push(diagnostic.with_secondary(twin.span, "here it is said first"));
            }
            golden.images.push(entry);
        }
        for (table, place) in reader.tables(&root, "approved") {
            golden
                .approved
                .extend(approval(&mut reader, table, place, owner.as_ref()));
        }
        reader.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        (golden, reader.diagnostics)
    }

    /// Holds an image against the list. `load` reads what an entry names as its `manifest`.
    ///
    /// # Errors
    /// When what an entry names cannot be read.
    pub fn judge(
        &self,
        image: &Image,
        today: Date,
        load: &mut dyn FnMut(&str) -> Result<Image, ImageError>,
    ) -> Result<(Sameness, Vec<Difference>), ImageError> {
        let name = &image.name;
        let repository = name.repository.as_deref().unwrap_or("");
        let fits = |entry: &&Entry| {
            entry.repository.matches(repository)
                && entry
                    .tag
                    .as_ref()
                    .is_none_or(|tag| tag.matches(name.tag.as_deref().unwrap_or("latest")))
        };
        let all: Vec<&Entry> = self.images.iter().filter(fits).collect();
        if all.is_empty() {
            let what = match name.repository {
                Some(_) => "the golden list says nothing about this repository and tag",
                None => "the image has no name that the golden list could be asked for; say it with --as",
            };
            let found = Difference {
                path: name.to_string(),
                ..plain("no-golden", Severity::Medium, what)
            };
            return Ok((Sameness::Different, vec![found]));
        }
        let holds = |entry: &Entry| entry.expires.is_none_or(|last| today <= last);
        let mut entries: Vec<&Entry> = all.iter().copied().filter(|entry| holds(entry)).collect();
        let mut found = Vec::new();
        if entries.is_empty() {
            let last = all.iter().filter_map(|entry| entry.expires).max();
            let until = last.map_or_else(String::new, |last| last.to_string());
            found.push(Difference {
                path: name.to_string(),
                ..plain(
                    "entry-over",
                    Severity::Medium,
                    format!("the entry of the golden list counted until {until}"),
                )
            });
            entries = all;
        }
        let is_listed = |entry: &&Entry| image.digests().any(|digest| entry.digests.contains(&digest));
        if entries.iter().any(is_listed) {
            return Ok((Sameness::SameDigest, found));
        }
        let mut best: Option<(Sameness, Vec<Difference>)> = None;
        for entry in entries.iter() {
            let Some(manifest) = &entry.manifest else {
                continue;
            };
            let golden = load(manifest)?;
            let (sameness, mut differences) = compare(&golden, image);
            if entry.moves {
                differences.retain(|one| one.kind != "tag-moved");
            } else if sameness == Sameness::Different
                && !entry.digests.is_empty()
                && !differences.iter().any(|one| one.kind == "tag-moved")
            {
                differences.insert(0, self.unlisted(name, entry, image));
            }
            let worst = |found: &[Difference]| (found.iter().map(|one| one.severity).max(), found.len());
            if best
                .as_ref()
                .is_none_or(|(_, best)| worst(&differences) < worst(best))
            {
                best = Some((sameness, differences));
            }
        }
        let (sameness, differences) = match (best, entries.first()) {
            (Some(best), _) => best,
            (None, Some(entry)) => (Sameness::Different, vec![self.unlisted(name, entry, image)]),
            (None, None) => (Sameness::Different, Vec::new()),
        };
        found.extend(differences);
        for one in &mut found {
            one.approved = self.approval_of(one, repository, today);
        }
        // A layer is as good as what it brought.
        let is_bad = |one: &Difference| one.kind != "layer-swapped" && one.approved.is_none();
        let bad: Vec<Option<usize>> = found
            .iter()
            .filter(|one| is_bad(one))
            .map(|one| one.layer)
            .collect();
        for one in &mut found {
            if one.kind == "layer-swapped" && one.approved.is_none() && !bad.contains(&one.layer) {
                one.approved = Some("those who approved its files".to_owned());
            }
        }
        Ok((sameness, found))
    }

    fn unlisted(&self, name: &Name, entry: &Entry, image: &Image) -> Difference {
        let moved = name.tag.is_some() && !entry.moves;
        let (kind, what) = match moved {
            true => (
                "tag-moved",
                "the tag stands for an image that is none of the golden ones",
            ),
            false => ("not-golden", "the image is none of the golden ones"),
        };
        let digests: Vec<String> = entry.digests.iter().map(Digest::to_string).collect();
        let mut found = plain(kind, Severity::High, what);
        found.techniques.push("T1195.002");
        Difference {
            path: name.to_string(),
            golden: Some(digests.join(", ")),
            found: image.digest().map(|digest| digest.to_string()),
            ..found
        }
    }

    fn approval_of(&self, one: &Difference, repository: &str, today: Date) -> Option<String> {
        let fits = |approval: &&Approval| {
            approval.paths.iter().any(|path| path.matches(&one.path))
                && approval
                    .repository
                    .as_ref()
                    .is_none_or(|own| own.matches(repository))
                && (approval.kinds.is_empty() || approval.kinds.iter().any(|kind| kind == one.kind))
                && approval
                    .sha256
                    .as_ref()
                    .is_none_or(|own| one.sha256.as_ref() == Some(own))
                && approval.expires.is_none_or(|last| today <= last)
        };
        let approval = self.approved.iter().find(fits)?;
        let owner = approval.owner.as_deref().unwrap_or("somebody");
        Some(match &approval.note {
            Some(note) => format!("{owner}: {note}"),
            None => owner.to_owned(),
        })
    }
}

fn entry(reader: &mut Reader<'_>, table: &Table, place: Span, owner: Option<&String>) -> Option<Entry> {
    let whose = "a golden image";
    let known = [
        "digests",
        "expires",
        "manifest",
        "moves",
        "note",
        "owner",
        "repository",
        "tag",
    ];
    reader.keys(table, &known, whose);
    let repository = reader
        .needed(table, "repository", place, whose)
        .and_then(|(text, at)| reader.pattern(&text, at));
    let tag = reader
        .text(table, "tag")
        .and_then(|(text, at)| reader.pattern(&text, at));
    let mut digests = Vec::new();
    for (text, at) in reader.texts(table, "digests") {
        match Digest::parse(&text) {
            Some(digest) => digests.push(digest),
            None => {
                let diagnostic = Diagnostic::new(&codes::VALUE, at, format!("`{text}` is no digest"));
                reader
                    .diagnostics
                    .push(diagnostic.with_help("it is `sha256:` and 64 hexadecimal digits in lower case"));
            }
        }
    }
    let manifest = reader.text(table, "manifest").map(|(text, _)| text);
    if manifest.is_none() && table.get("digests").is_none() {
        reader.say(
            &codes::KEY_MISSING,
            place,
            "a golden image says neither `digests` nor `manifest`",
        );
    }
    Some(Entry {
        tag,
        digests,
        manifest,
        moves: reader.flag(table, "moves"),
        owner: reader
            .text(table, "owner")
            .map(|(text, _)| text)
            .or_else(|| owner.cloned()),
        note: reader.text(table, "note").map(|(text, _)| text),
        expires: reader.day(table, "expires").map(|(day, _)| day),
        span: place,
        repository: repository?,
    })
}

fn approval(reader: &mut Reader<'_>, table: &Table, place: Span, owner: Option<&String>) -> Option<Approval> {
    let whose = "an approval";
    reader.keys(
        table,
        &[
            "expires",
            "kinds",
            "note",
            "owner",
            "paths",
            "repository",
            "sha256",
        ],
        whose,
    );
    let paths = reader.patterns(table, "paths");
    if table.get("paths").is_none_or(neph_document::Node::is_blank) {
        reader.say(&codes::KEY_MISSING, place, "an approval says no `paths`");
    }
    let mut kinds = Vec::new();
    for (kind, at) in reader.texts(table, "kinds") {
        if KINDS.iter().any(|(name, _)| *name == kind) {
            kinds.push(kind);
        } else {
            let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
            let diagnostic = Diagnostic::new(
                &codes::VALUE,
                at,
                format!("there is no kind of difference `{kind}`"),
            );
            reader
                .diagnostics
                .push(diagnostic.with_help(format!("the kinds are `{}`", names.join("`, `"))));
        }
    }
    let sha256 = reader.text(table, "sha256").and_then(|(text, at)| {
        let hex = text.strip_prefix("sha256:").unwrap_or(&text).to_owned();
        let is_one = Digest::parse(&format!("sha256:{hex}")).is_some();
        if !is_one {
            reader.say(&codes::VALUE, at, format!("`{text}` is no SHA-256 of a file"));
        }
        is_one.then_some(hex)
    });
    let repository = reader
        .text(table, "repository")
        .and_then(|(text, at)| reader.pattern(&text, at));
    Some(Approval {
        kinds,
        sha256,
        repository,
        owner: reader
            .text(table, "owner")
            .map(|(text, _)| text)
            .or_else(|| owner.cloned()),
        note: reader.text(table, "note").map(|(text, _)| text),
        expires: reader.day(table, "expires").map(|(day, _)| day),
        span: place,
        paths: (!paths.is_empty()).then_some(paths)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told_at_once() {
        let text = r#"
[[image]]
repositry = "a/*"
digests = ["sha256:00"]

[[image]]
repository = "a/["
expires = "soon"

[[approved]]
paths = []
kinds = ["file-aded"]
"#;
        let (golden, diagnostics) = Golden::read(text);
        let told: Vec<&str> = diagnostics.iter().map(|one| one.message.as_str()).collect();
        assert!(golden.images.is_empty() && golden.approved.is_empty());
        for wanted in [
            "a golden image has no key `repositry`",
            "a golden image says no `repository`",
            "`sha256:00` is no digest",
            "`a/[` is no pattern",
            "`expires` is no day",
            "a golden image says neither `digests` nor `manifest`",
            "an approval says no `paths`",
            "there is no kind of difference `file-aded`",
        ] {
            assert!(told.contains(&wanted), "{wanted}: {told:?}");
        }
    }
}
