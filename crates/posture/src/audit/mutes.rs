//! Failures that somebody answers for: a TOML file with owner, reason and expiry of each.

use jiff::civil::Date;
use neph_diag::{Diagnostic, Span};
use neph_document::{Data, Table, toml};
use serde::Serialize;

use super::checks::CHECKS;
use super::finding::Finding;
use crate::codes;
use crate::glob::{Case, Pattern, Segments};

const KEYS: &[&str] = &["account", "check", "expires", "owner", "reason", "resource"];
const OUTER: &[&str] = &["mute"];
/// Names less alike than this are not suggested.
const ALIKE: f64 = 0.75;

/// The list.
#[derive(Clone, Debug, Default)]
pub struct Mutes {
    /// The entries in their order.
    pub entries: Vec<Mute>,
    today: Option<Date>,
}

/// Failures that somebody answers for.
#[derive(Clone, Debug, Serialize)]
pub struct Mute {
    /// Which checks.
    pub check: Pattern,
    /// Which resources.
    pub resource: Pattern,
    /// Of which account, project, cluster or host; of any where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Pattern>,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// The last day on which it counts.
    #[serde(serialize_with = "day")]
    pub expires: Date,
    /// Where the entry stands in the file.
    #[serde(skip)]
    pub span: Span,
}

fn day<S: serde::Serializer>(day: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(day)
}

impl Mutes {
    /// Reads a list; `today` is what expiry is held against.
    pub fn read(text: &str, today: Date) -> (Self, Vec<Diagnostic>) {
        let (root, diagnostics) = toml::parse(text, &codes::MUTES_SYNTAX);
        let mut reader = Reader {
            text,
            today,
            diagnostics,
        };
        let entries = reader.file(&root);
        reader.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        let today = Some(today);
        (Self { entries, today }, reader.diagnostics)
    }

    /// The number of the entry that mutes a finding.
    pub fn of(&self, finding: &Finding) -> Option<usize> {
        self.entries.iter().position(|mute| {
            self.today.is_none_or(|today| mute.expires >= today)
                && mute.check.matches(finding.check, Case::Kept)
                && mute.resource.matches(&finding.resource, Case::Kept)
                && mute
                    .account
                    .as_ref()
                    .is_none_or(|account| account.matches(&finding.scope.account, Case::Kept))
        })
    }
}

struct Reader<'t> {
    text: &'t str,
    today: Date,
    diagnostics: Vec<Diagnostic>,
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
        for entry in table
            .entries
            .iter()
            .filter(|entry| !known.contains(&entry.key.as_str()))
        {
            let name = &entry.key;
            let diagnostic = Diagnostic::new(
                &codes::MUTE_KEY_UNKNOWN,
                entry.key_span,
                format!("{whose} has no key `{name}`"),
            );
            self.diagnostics.push(match alike(name, known.iter().copied()) {
                Some(meant) => diagnostic.with_help(format!("did you mean `{meant}`?")),
                None => diagnostic.with_help(format!("its keys are `{}`", known.join("`, `"))),
            });
        }
    }

    fn file(&mut self, root: &Table) -> Vec<Mute> {
        self.unknown_keys(root, OUTER, "the list of mutes");
        let Some(list) = root.get("mute") else {
            return Vec::new();
        };
        let Data::List(items) = &list.data else {
            self.diagnostics.push(
                Diagnostic::new(&codes::MUTE_VALUE, list.span, "`mute` is no list of tables")
                    .with_help("begin each entry with `[[mute]]`"),
            );
            return Vec::new();
        };
        let mut entries = Vec::new();
        for item in items {
            match item.as_table() {
                Some(table) => entries.extend(self.entry(table, item.span)),
                None => self.say(&codes::MUTE_VALUE, item.span, "a mute is no table"),
            }
        }
        entries
    }

    fn entry(&mut self, table: &Table, place: Span) -> Option<Mute> {
        self.unknown_keys(table, KEYS, "a mute");
        let check = self.needed(table, "check", place);
        if let Some((written, at)) = &check {
            let pattern = Pattern::new(written, Case::Kept, Segments::None);
            if !CHECKS.iter().any(|check| pattern.matches(check.id, Case::Kept)) {
                let mut diagnostic = Diagnostic::new(
                    &codes::MUTE_CHECK_UNKNOWN,
                    *at,
                    format!("there is no check `{written}`"),
                );
                diagnostic = match alike(written, CHECKS.iter().map(|check| check.id)) {
                    Some(meant) => diagnostic.with_help(format!("did you mean `{meant}`?")),
                    None => diagnostic.with_help("`neph audit checks` lists them"),
                };
                self.diagnostics.push(diagnostic);
            }
        }
        let resource = self.needed(table, "resource", place);
        let owner = self.needed(table, "owner", place);
        let reason = self.needed(table, "reason", place);
        let expires = self.expiry(table, place);
        let account = table.get("account").and_then(|_| self.text(table, "account"));
        let pattern = |text: &str| Pattern::new(text, Case::Kept, Segments::None);
        Some(Mute {
            check: pattern(&check?.0),
            resource: pattern(&resource?.0),
            account: account.map(|(text, _)| pattern(&text)),
            owner: owner?.0,
            reason: reason?.0,
            expires: expires?,
            span: place,
        })
    }

    fn needed(&mut self, table: &Table, key: &str, place: Span) -> Option<(String, Span)> {
        if table.get(key).is_none() {
            self.say(&codes::MUTE_KEY_MISSING, place, format!("a mute says no `{key}`"));
            return None;
        }
        self.text(table, key)
    }

    fn text(&mut self, table: &Table, key: &str) -> Option<(String, Span)> {
        let node = table.get(key)?;
        match &node.data {
            Data::Text(text) if !text.trim().is_empty() => Some((text.clone(), node.span)),
            Data::Text(_) => {
                self.say(&codes::MUTE_VALUE, node.span, format!("`{key}` is empty"));
                None
            }
            _ => {
                self.say(&codes::MUTE_VALUE, node.span, format!("`{key}` is no string"));
                None
            }
        }
    }

    /// A date of TOML, or a string that is one.
    fn expiry(&mut self, table: &Table, place: Span) -> Option<Date> {
        let Some(node) = table.get("expires") else {
            self.diagnostics.push(
                Diagnostic::new(&codes::MUTE_KEY_MISSING, place, "a mute says no `expires`").with_help(
                    "what is muted for ever is forgotten: say the last day, `expires = 2027-01-31`",
                ),
            );
            return None;
        };
        let written = match &node.data {
            Data::Text(text) => text.clone(),
            _ => node.span.text(self.text).to_owned(),
        };
        match written.trim().parse::<Date>() {
            Ok(date) => {
                if date < self.today {
                    let message = format!("`{date}` is past, so that this mutes nothing any more");
                    self.diagnostics.push(
                        Diagnostic::new(&codes::MUTE_OVER, node.span, message)
                            .with_help("take it out, or have its owner look at it again"),
                    );
                }
                Some(date)
            }
            Err(_) => {
                self.say(&codes::MUTE_VALUE, node.span, format!("`{written}` is no date"));
                None
            }
        }
    }
}
