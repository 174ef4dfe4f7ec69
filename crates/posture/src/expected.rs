//! The list of those who are expected to have an ability, and how it differs from those who have it.
//!
//! The list is a TOML file that people keep: who may do what, who answers for that, who reviewed it and until when the review
//! counts. `docs/entitlements.md` describes it.

use jiff::civil::Date;
use neph_diag::{Diagnostic, Span};
use neph_document::{Data, Table, toml};
use serde::Serialize;

use crate::capability::{CAPABILITIES, Cloud};
use crate::codes;
use crate::entitlement::Entitlement;
use crate::glob::{Case, Pattern, Segments};

/// Keys of an entry.
const KEYS: &[&str] = &[
    "capabilities",
    "cloud",
    "expires",
    "note",
    "owner",
    "principal",
    "reviewed",
    "signed_off_by",
];
/// Keys of the file.
const OUTER: &[&str] = &["expected", "owner"];
/// Names less alike than this are not suggested.
const ALIKE: f64 = 0.75;

/// The list.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// The entries in their order.
    pub entries: Vec<Entry>,
}

/// Somebody who is expected to have abilities.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Who, as a pattern.
    pub principal: Pattern,
    /// What, as patterns of capabilities.
    pub capabilities: Vec<Pattern>,
    /// In which cloud; in any where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud: Option<Cloud>,
    /// Who answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Who agreed to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_off_by: Option<String>,
    /// When it was reviewed.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "day")]
    pub reviewed: Option<Date>,
    /// The last day on which the review counts.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "day")]
    pub expires: Option<Date>,
    /// Where the entry stands in the file.
    #[serde(skip)]
    pub span: Span,
}

fn day<S: serde::Serializer>(day: &Option<Date>, serializer: S) -> Result<S::Ok, S::Error> {
    day.map(|day| day.to_string()).serialize(serializer)
}

/// A difference between what is expected and what is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "finding")]
pub enum Finding<'a> {
    /// Somebody can do what no entry expects.
    NotExpected {
        /// Who, and what.
        entitlement: &'a Entitlement,
    },
    /// It is expected, but the review's time is over.
    ReviewOver {
        /// Who, and what.
        entitlement: &'a Entitlement,
        /// The entry.
        entry: &'a Entry,
    },
    /// It is expected, but nobody signed it off.
    NotSignedOff {
        /// The entry.
        entry: &'a Entry,
    },
    /// An entry that fits nobody any more: the entitlement is gone.
    Gone {
        /// The entry.
        entry: &'a Entry,
        /// Which of its capabilities nobody has.
        capabilities: Vec<&'a str>,
    },
}

impl Finding<'_> {
    /// `not-expected`
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotExpected { .. } => "not-expected",
            Self::ReviewOver { .. } => "review-over",
            Self::NotSignedOff { .. } => "not-signed-off",
            Self::Gone { .. } => "gone",
        }
    }
}

impl Entry {
    fn is_about(&self, entitlement: &Entitlement) -> bool {
        self.cloud.is_none_or(|cloud| cloud == entitlement.cloud)
            && self.principal.matches(&entitlement.principal, Case::Kept)
    }

    fn fits(&self, entitlement: &Entitlement) -> bool {
        let id = entitlement.capability.id;
        self.is_about(entitlement) && self.capabilities.iter().any(|own| own.matches(id, Case::Kept))
    }

    fn is_over(&self, today: Date) -> bool {
        self.expires.is_some_and(|last| last < today)
    }
}

impl Expected {
    /// How what is differs from what is expected. An entry whose review is over still explains whom it is about; of several
    /// entries one that holds is enough.
    pub fn compare<'a>(&'a self, found: &'a [Entitlement], today: Date) -> Vec<Finding<'a>> {
        let mut findings = Vec::new();
        for entitlement in found {
            let fitting: Vec<&Entry> = self
                .entries
                .iter()
                .filter(|entry| entry.fits(entitlement))
                .collect();
            if fitting.iter().any(|entry| !entry.is_over(today)) {
                continue;
            }
            findings.push(match fitting.first() {
                Some(entry) => Finding::ReviewOver { entitlement, entry },
                None => Finding::NotExpected { entitlement },
            });
        }
        for entry in &self.entries {
            let about: Vec<&Entitlement> = found
                .iter()
                .filter(|entitlement| entry.is_about(entitlement))
                .collect();
            let unused = entry.capabilities.iter().filter(|own| {
                !about
                    .iter()
                    .any(|entitlement| own.matches(entitlement.capability.id, Case::Kept))
            });
            let capabilities: Vec<&str> = unused.map(Pattern::text).collect();
            if !capabilities.is_empty() {
                findings.push(Finding::Gone { entry, capabilities });
            }
            if entry.signed_off_by.is_none() {
                findings.push(Finding::NotSignedOff { entry });
            }
        }
        findings
    }

    /// Reads a list; `today` is what dates are held against.
    pub fn read(text: &str, today: Date) -> (Self, Vec<Diagnostic>) {
        let (root, diagnostics) = toml::parse(text, &codes::SYNTAX);
        let mut reader = Reader {
            text,
            today,
            diagnostics,
            owner: None,
        };
        let entries = reader.file(&root);
        reader.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        (Self { entries }, reader.diagnostics)
    }
}

/// A list of what is, to begin a list of what is expected with: an entry for each principal, without a sign-off, which a person has to give.
pub fn draft(found: &[Entitlement]) -> String {
    let mut out = String::from(
        "# Who can do what. Review each entry, say who owns it and who signed it off, and delete what should not be.\nowner = \"\"\n",
    );
    let mut people: Vec<(Cloud, &str)> = Vec::new();
    for one in found {
        let who = (one.cloud, one.principal.as_str());
        if !people.contains(&who) {
            people.push(who);
        }
    }
    for (cloud, principal) in people {
        let own = found
            .iter()
            .filter(|one| (one.cloud, one.principal.as_str()) == (cloud, principal));
        let mut ids: Vec<String> = own.map(|one| basic_string(one.capability.id)).collect();
        ids.dedup();
        out.push_str(&format!(
            "\n[[expected]]\nprincipal = {}\ncloud = {}\ncapabilities = [{}]\nnote = \"\"\nsigned_off_by = \"\"\n",
            basic_string(principal),
            basic_string(cloud.name()),
            ids.join(", ")
        ));
    }
    out
}

/// A basic string of TOML; the escapes of JSON are those of TOML as well.
fn basic_string(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

struct Reader<'t> {
    text: &'t str,
    today: Date,
    diagnostics: Vec<Diagnostic>,
    /// Who answers for all entries that do not say.
    owner: Option<String>,
}

fn names_of_capabilities() -> impl Iterator<Item = &'static str> {
    CAPABILITIES.iter().map(|capability| capability.id)
}

/// The most alike of some names.
fn alike(written: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let scored = names.map(|name| (strsim::jaro_winkler(written, name), name));
    let best = scored.max_by(|one, other| one.0.total_cmp(&other.0))?;
    (best.0 > ALIKE).then_some(best.1)
}

impl Reader<'_> {
    fn say(&mut self, code: &'static neph_diag::Code, place: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::new(code, place, message));
    }

    fn unknown_keys(&mut self, table: &Table, known: &'static [&'static str], whose: &str) {
        for entry in &table.entries {
            let name = entry.key.as_str();
            if known.contains(&name) {
                continue;
            }
            let mut diagnostic = Diagnostic::new(
                &codes::KEY_UNKNOWN,
                entry.key_span,
                format!("{whose} has no key `{name}`"),
            );
            diagnostic = match alike(name, known.iter().copied()) {
                Some(meant) => diagnostic.with_help(format!("did you mean `{meant}`?")),
                None => diagnostic.with_help(format!("its keys are `{}`", known.join("`, `"))),
            };
            self.diagnostics.push(diagnostic);
        }
    }

    fn file(&mut self, root: &Table) -> Vec<Entry> {
        self.unknown_keys(root, OUTER, "the list");
        self.owner = self.text(root, "owner").map(|(owner, _)| owner);
        let Some(list) = root.get("expected") else {
            return Vec::new();
        };
        let Data::List(items) = &list.data else {
            self.diagnostics.push(
                Diagnostic::new(&codes::VALUE, list.span, "`expected` is no list of tables")
                    .with_help("begin each entry with `[[expected]]`"),
            );
            return Vec::new();
        };
        let mut entries: Vec<Entry> = Vec::new();
        for item in items {
            let Some(table) = item.as_table() else {
                self.say(&codes::VALUE, item.span, "an expected entitlement is no table");
                continue;
            };
            let Some(entry) = self.entry(table, item.span) else {
                continue;
            };
            let texts = |entry: &Entry| -> Vec<String> {
                entry
                    .capabilities
                    .iter()
                    .map(|pattern| pattern.text().to_owned())
                    .collect()
            };
            let twin = entries.iter().find(|other| {
                other.principal == entry.principal
                    && other.cloud == entry.cloud
                    && texts(other) == texts(&entry)
            });
            if let Some(twin) = twin {
                let message = format!(
                    "`{}` is expected twice with the same capabilities",
                    entry.principal.text()
                );
                self.diagnostics.push(
                    Diagnostic::new(&codes::SHADOWED, entry.span, message)
                        .with_secondary(twin.span, "here it is said first"),
                );
            }
            entries.push(entry);
        }
        entries
    }

    fn entry(&mut self, table: &Table, place: Span) -> Option<Entry> {
        self.unknown_keys(table, KEYS, "an expected entitlement");
        let principal = self.needed(table, "principal", place);
        let principal = principal.then(|| self.text(table, "principal")).flatten();
        let capabilities = self.needed(table, "capabilities", place);
        let capabilities = capabilities.then(|| self.capabilities(table)).flatten();
        let cloud = self.text(table, "cloud").and_then(|(name, at)| {
            let cloud = Cloud::of_name(&name);
            if cloud.is_none() {
                let message =
                    format!("`{name}` is none of `aws`, `azure`, `gcp`, `kubernetes` and `openstack`");
                self.say(&codes::VALUE, at, message);
            }
            cloud
        });
        let reviewed = self.date(table, "reviewed");
        let expires = self.date(table, "expires");
        if let Some((day, at)) = reviewed.filter(|(day, _)| *day > self.today) {
            self.say(&codes::DATES, at, format!("`{day}` is still to come"));
        }
        if let (Some((reviewed, first)), Some((expires, at))) = (reviewed, expires)
            && expires < reviewed
        {
            let message = format!("`{expires}` is before the review of `{reviewed}`");
            self.diagnostics
                .push(Diagnostic::new(&codes::DATES, at, message).with_secondary(first, "the review"));
        }
        let own = self.text(table, "owner").map(|(owner, _)| owner);
        let note = self.text(table, "note").map(|(note, _)| note);
        let signed_off_by = self.text(table, "signed_off_by").map(|(by, _)| by);
        let (principal, _) = principal?;
        Some(Entry {
            principal: Pattern::new(&principal, Case::Kept, Segments::None),
            capabilities: capabilities?,
            cloud,
            owner: own.or_else(|| self.owner.clone()),
            note,
            signed_off_by,
            reviewed: reviewed.map(|(day, _)| day),
            expires: expires.map(|(day, _)| day),
            span: place,
        })
    }

    fn needed(&mut self, table: &Table, key: &str, place: Span) -> bool {
        let is_there = table.get(key).is_some();
        if !is_there {
            self.say(
                &codes::KEY_MISSING,
                place,
                format!("an expected entitlement says no `{key}`"),
            );
        }
        is_there
    }

    /// The text of a key; empty ones say nothing and count as missing.
    fn text(&mut self, table: &Table, key: &str) -> Option<(String, Span)> {
        let node = table.get(key)?;
        match &node.data {
            Data::Text(text) if text.trim().is_empty() => None,
            Data::Text(text) => Some((text.clone(), node.span)),
            _ => {
                self.say(&codes::VALUE, node.span, format!("`{key}` is no string"));
                None
            }
        }
    }

    fn capabilities(&mut self, table: &Table) -> Option<Vec<Pattern>> {
        let node = table.get("capabilities")?;
        let Data::List(items) = &node.data else {
            self.say(&codes::VALUE, node.span, "`capabilities` is no list");
            return None;
        };
        let mut patterns = Vec::new();
        for item in items {
            let Data::Text(text) = &item.data else {
                self.say(&codes::VALUE, item.span, "`capabilities` holds what is no string");
                continue;
            };
            let pattern = Pattern::new(text, Case::Kept, Segments::None);
            if names_of_capabilities().any(|name| pattern.matches(name, Case::Kept)) {
                patterns.push(pattern);
                continue;
            }
            let message = format!("there is no capability `{text}`");
            let mut diagnostic = Diagnostic::new(&codes::CAPABILITY_UNKNOWN, item.span, message);
            if let Some(meant) = alike(text, names_of_capabilities()) {
                diagnostic = diagnostic.with_help(format!("did you mean `{meant}`?"));
            }
            self.diagnostics.push(diagnostic);
        }
        Some(patterns)
    }

    /// A day, as a date of TOML or in quotes.
    fn date(&mut self, table: &Table, key: &str) -> Option<(Date, Span)> {
        let node = table.get(key)?;
        let written = match &node.data {
            Data::Text(text) => text,
            Data::Date => node.span.text(self.text),
            _ => "",
        };
        // A time of day may follow, which does not matter for a review.
        let day = written.get(..10).and_then(|day| day.parse().ok());
        if day.is_none() {
            let place = node.span;
            self.diagnostics.push(
                Diagnostic::new(&codes::VALUE, place, format!("`{key}` is no day"))
                    .with_help("write it as `2027-03-31`"),
            );
        }
        Some((day?, node.span))
    }
}
