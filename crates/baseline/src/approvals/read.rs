//! Reading the file of approvals, with everything that is wrong with it.

use jiff::civil::Date;
use neph_diag::{Applicability, Code, Diagnostic, Edit, Span};
use neph_document::{Data, Node, Table, toml};
use neph_inventory::Cloud;

use super::{Account, Approvals, Approved, Golden, Sign};
use crate::accounts::Reach;
use crate::change::Field;
use crate::codes;
use crate::compare::Class;
use crate::pattern::matches;
use crate::record::Kind;

const OUTER: &[&str] = &["account", "approved", "golden", "owner"];
const SIGN: &[&str] = &["expires", "note", "owner"];
const APPROVED: &[&str] = &[
    "account",
    "changes",
    "class",
    "difference",
    "expires",
    "id",
    "kind",
    "name",
    "note",
    "owner",
    "region",
    "source",
    "tags",
];
const GOLDEN: &[&str] = &[
    "content",
    "expires",
    "id",
    "image_owner",
    "kind",
    "name",
    "note",
    "owner",
    "source",
];
const ACCOUNT: &[&str] = &["cloud", "expires", "id", "is", "note", "owner"];
/// Names less alike than this are not suggested.
const ALIKE: f64 = 0.75;

impl Approvals {
    /// Reads a file; `today` is what dates are held against.
    pub fn read(text: &str, today: Date) -> (Self, Vec<Diagnostic>) {
        let (root, diagnostics) = toml::parse(text, &codes::SYNTAX);
        let mut reader = Reader {
            text,
            today,
            diagnostics,
            owner: None,
        };
        let approvals = reader.file(&root);
        reader.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        (approvals, reader.diagnostics)
    }
}

struct Reader<'t> {
    text: &'t str,
    today: Date,
    diagnostics: Vec<Diagnostic>,
    /// Who answers for all entries that do not say.
    owner: Option<String>,
}

fn alike<'n>(written: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let scored = names.map(|name| (strsim::jaro_winkler(written, name), name));
    let best = scored.max_by(|one, other| one.0.total_cmp(&other.0))?;
    (best.0 > ALIKE).then_some(best.1)
}

impl Reader<'_> {
    fn say(&mut self, code: &'static Code, place: Span, message: impl Into<String>, help: Option<String>) {
        let diagnostic = Diagnostic::new(code, place, message);
        self.diagnostics.push(match help {
            Some(help) => diagnostic.with_help(help),
            None => diagnostic,
        });
    }

    fn unknown_keys(&mut self, table: &Table, known: &'static [&'static str], whose: &str) {
        for entry in &table.entries {
            let name = entry.key.as_str();
            if known.contains(&name) {
                continue;
            }
            let message = format!("{whose} has no key `{name}`");
            let mut diagnostic = Diagnostic::new(&codes::KEY_UNKNOWN, entry.key_span, message);
            diagnostic = match alike(name, known.iter().copied()) {
                Some(meant) => diagnostic.with_help(format!("did you mean `{meant}`?")).with_fix(
                    format!("write `{meant}`"),
                    vec![Edit {
                        span: entry.key_span,
                        replacement: meant.to_owned(),
                    }],
                    Applicability::Maybe,
                ),
                None => diagnostic.with_help(format!("its keys are `{}`", known.join("`, `"))),
            };
            self.diagnostics.push(diagnostic);
        }
    }

    fn file(&mut self, root: &Table) -> Approvals {
        self.unknown_keys(root, OUTER, "the file");
        self.owner = self.text(root, "owner");
        let mut out = Approvals::default();
        for (table, span) in self.entries(root, "approved") {
            if let Some(entry) = self.approved(table, span) {
                let same = |other: &&Approved| {
                    let sign = entry.sign.clone();
                    Approved {
                        sign,
                        ..(*other).clone()
                    } == entry
                };
                if let Some(twin) = out.approved.iter().find(same) {
                    let first = twin.sign.span;
                    self.diagnostics.push(
                        Diagnostic::new(&codes::SHADOWED, span, "the same is approved twice")
                            .with_secondary(first, "here it is said first"),
                    );
                }
                out.approved.push(entry);
            }
        }
        for (table, span) in self.entries(root, "golden") {
            out.golden.extend(self.golden(table, span));
        }
        for (table, span) in self.entries(root, "account") {
            out.accounts.extend(self.account(table, span));
        }
        out
    }

    fn entries<'d>(&mut self, root: &'d Table, key: &str) -> Vec<(&'d Table, Span)> {
        let Some(node) = root.get(key) else {
            return Vec::new();
        };
        let Data::List(items) = &node.data else {
            let help = Some(format!("begin each entry with `[[{key}]]`"));
            self.say(
                &codes::VALUE,
                node.span,
                format!("`{key}` is {}, and no list of tables", node.kind()),
                help,
            );
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items {
            match item.as_table() {
                Some(table) => tables.push((table, item.span)),
                None => self.say(
                    &codes::VALUE,
                    item.span,
                    format!("an entry of `{key}` is no table"),
                    None,
                ),
            }
        }
        tables
    }

    fn approved(&mut self, table: &Table, span: Span) -> Option<Approved> {
        self.unknown_keys(table, APPROVED, "an approval");
        let sign = self.sign(table, span);
        let tags = self.tags(table);
        let entry = Approved {
            ids: self.patterns(table, "id"),
            names: self.patterns(table, "name"),
            kinds: self.kinds(table),
            accounts: self.patterns(table, "account"),
            regions: self.patterns(table, "region"),
            sources: self.patterns(table, "source"),
            tags,
            classes: self.classes(table),
            changes: self.changes(table),
            differences: self.patterns(table, "difference"),
            sign: sign?,
        };
        let about = [
            &entry.ids,
            &entry.names,
            &entry.kinds,
            &entry.accounts,
            &entry.sources,
            &entry.differences,
        ];
        if about.iter().all(|list| list.is_empty()) && entry.tags.is_empty() {
            let help = "give an `id`, a `name`, a `kind`, an `account`, a `source`, `tags` or a `difference`";
            self.say(
                &codes::KEY_MISSING,
                span,
                "an approval does not say what it is about",
                Some(help.to_owned()),
            );
            return None;
        }
        let is_star = |text: &String| text.chars().all(|character| character == '*');
        let says_little = about.iter().all(|list| list.iter().all(is_star));
        if says_little
            && entry
                .tags
                .iter()
                .all(|(key, value)| is_star(key) && is_star(value))
        {
            self.say(&codes::EVERYTHING, span, "this approves whatever is found", None);
        }
        Some(entry)
    }

    fn golden(&mut self, table: &Table, span: Span) -> Option<Golden> {
        self.unknown_keys(table, GOLDEN, "a golden image");
        let sign = self.sign(table, span);
        let entry = Golden {
            ids: self.patterns(table, "id"),
            names: self.patterns(table, "name"),
            kinds: self.kinds(table),
            image_owners: self.patterns(table, "image_owner"),
            sources: self.patterns(table, "source"),
            contents: self.patterns(table, "content"),
            sign: sign?,
        };
        if entry.ids.is_empty() && entry.names.is_empty() {
            self.say(
                &codes::KEY_MISSING,
                span,
                "a golden image has neither `id` nor `name`",
                None,
            );
            return None;
        }
        Some(entry)
    }

    fn account(&mut self, table: &Table, span: Span) -> Option<(Account, Sign)> {
        self.unknown_keys(table, ACCOUNT, "an account");
        let sign = self.sign(table, span);
        let ids = self.patterns(table, "id");
        if ids.is_empty() {
            self.say(&codes::KEY_MISSING, span, "an account has no `id`", None);
        }
        let cloud = self.word(table, "cloud", Cloud::ALL.map(Cloud::name).as_slice());
        let reach = self.word(table, "is", &["own", "known"]);
        if table.get("is").is_none() {
            let help = "write `is = \"own\"` for your organisation's, or `is = \"known\"`";
            self.say(
                &codes::KEY_MISSING,
                span,
                "an account does not say whose it is",
                Some(help.to_owned()),
            );
        }
        let reach = if reach? == "own" { Reach::Own } else { Reach::Known };
        let cloud = cloud.and_then(|name| Cloud::of_name(&name));
        (!ids.is_empty()).then_some((Account { ids, cloud, reach }, sign?))
    }

    fn sign(&mut self, table: &Table, span: Span) -> Option<Sign> {
        let owner = self.text(table, "owner").or_else(|| self.owner.clone());
        let note = self.text(table, "note");
        let expires = self.date(table);
        for (key, is_there) in [
            ("owner", owner.is_some()),
            ("expires", table.get("expires").is_some()),
        ] {
            if !is_there {
                let help = match key {
                    "owner" => "say who answers for it; `owner` at the top of the file holds for all entries",
                    _ => "say the last day on which it counts, such as `expires = 2027-03-31`",
                };
                self.say(
                    &codes::KEY_MISSING,
                    span,
                    format!("an entry has no `{key}`"),
                    Some(help.to_owned()),
                );
            }
        }
        let (expires, place) = expires?;
        if expires < self.today {
            self.say(
                &codes::EXPIRED,
                place,
                format!("this counted until `{expires}` and counts no more"),
                None,
            );
        }
        Some(Sign {
            owner: owner?,
            note,
            expires,
            span,
        })
    }

    /// The text of a key; empty ones say nothing and count as missing.
    fn text(&mut self, table: &Table, key: &str) -> Option<String> {
        debug_assert!(SIGN.contains(&key), "only these are texts");
        let node = table.get(key)?;
        match &node.data {
            Data::Text(text) => (!text.trim().is_empty()).then(|| text.clone()),
            _ => {
                self.say(
                    &codes::VALUE,
                    node.span,
                    format!("`{key}` is {}, and no string", node.kind()),
                    None,
                );
                None
            }
        }
    }

    /// A string, or a list of them.
    fn strings<'d>(&mut self, table: &'d Table, key: &str) -> Vec<(&'d str, Span)> {
        let Some(node) = table.get(key) else {
            return Vec::new();
        };
        let items: &[Node] = match &node.data {
            Data::List(items) => items,
            _ => std::slice::from_ref(node),
        };
        let mut texts = Vec::new();
        for item in items {
            match item.as_text().filter(|text| !text.trim().is_empty()) {
                Some(text) => texts.push((text, item.span)),
                None => {
                    let message = format!("`{key}` is neither a string nor a list of strings");
                    self.say(&codes::VALUE, item.span, message, None);
                }
            }
        }
        texts
    }

    fn patterns(&mut self, table: &Table, key: &str) -> Vec<String> {
        let texts = self.strings(table, key);
        texts.into_iter().map(|(text, _)| text.to_owned()).collect()
    }

    /// Patterns each of which must fit at least one of some names.
    fn of_names(&mut self, table: &Table, key: &str, names: &[&'static str]) -> Vec<String> {
        let mut out = Vec::new();
        for (text, place) in self.strings(table, key) {
            if names.iter().any(|name| matches(text, name)) {
                out.push(text.to_owned());
                continue;
            }
            let help = match alike(text, names.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("it is one of `{}`", names.join("`, `")),
            };
            self.say(
                &codes::VALUE,
                place,
                format!("`{key}` cannot be `{text}`"),
                Some(help),
            );
        }
        out
    }

    fn word(&mut self, table: &Table, key: &str, names: &[&'static str]) -> Option<String> {
        self.of_names(table, key, names).into_iter().next()
    }

    fn kinds(&mut self, table: &Table) -> Vec<String> {
        let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        self.of_names(table, "kind", &names)
    }

    fn changes(&mut self, table: &Table) -> Vec<String> {
        self.of_names(table, "changes", &Field::ALL.map(Field::name))
    }

    fn classes(&mut self, table: &Table) -> Vec<Class> {
        let written = self.of_names(table, "class", &Class::ALL.map(Class::name));
        let fit = |class: &Class| written.iter().any(|text| matches(text, class.name()));
        Class::ALL.into_iter().filter(fit).collect()
    }

    fn tags(&mut self, table: &Table) -> Vec<(String, String)> {
        let Some(node) = table.get("tags") else {
            return Vec::new();
        };
        let Some(tags) = node.as_table() else {
            let help = "write `tags = { team = \"backup\" }`";
            self.say(
                &codes::VALUE,
                node.span,
                "`tags` is no table",
                Some(help.to_owned()),
            );
            return Vec::new();
        };
        let mut out = Vec::new();
        for entry in &tags.entries {
            match entry.value.as_text() {
                Some(value) => out.push((entry.key.clone(), value.to_owned())),
                None => self.say(
                    &codes::VALUE,
                    entry.value.span,
                    "the value of a tag is no string",
                    None,
                ),
            }
        }
        out
    }

    /// A day, as a date of TOML or in quotes.
    fn date(&mut self, table: &Table) -> Option<(Date, Span)> {
        let node = table.get("expires")?;
        let written = match &node.data {
            Data::Text(text) => text,
            Data::Date => node.span.text(self.text),
            _ => "",
        };
        let day = written.get(..10).and_then(|day| day.parse().ok());
        if day.is_none() {
            let help = Some("write it as `2027-03-31`".to_owned());
            self.say(&codes::VALUE, node.span, "`expires` is no day", help);
        }
        Some((day?, node.span))
    }
}
