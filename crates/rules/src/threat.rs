//! The ATT&CK mapping of a rule: reading it, and whether it fits together.

use neph_attack::{State, Tactic, attack};
use neph_diag::{Diagnostic, Span};

use crate::codes;
use crate::rule::{Technique, Threat, ThreatItem};
use neph_document::{Node, Table};

/// The framework whose ids have a known form.
const MITRE: &str = "MITRE ATT&CK";

/// A name less alike than this is not suggested (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.85;

/// Reads `threat` of a rule's table.
pub(crate) fn read(rule: &Table, diagnostics: &mut Vec<Diagnostic>) -> Vec<Threat> {
    let mut threats: Vec<Threat> = Vec::new();
    for (table, place) in rule.tables("threat") {
        let threat = read_one(table);
        if threat.framework == MITRE {
            check(&threat, table, place, diagnostics);
        }
        if threats
            .iter()
            .any(|earlier| earlier.tactic.id == threat.tactic.id && !threat.tactic.id.is_empty())
        {
            let message = format!("the tactic `{}` is listed twice", threat.tactic.id);
            let help = "list all techniques under one entry of the tactic";
            diagnostics.push(
                Diagnostic::new(&codes::THREAT, item_place(table, "tactic", place), message).with_help(help),
            );
        }
        threats.push(threat);
    }
    check_tags(rule, &threats, diagnostics);
    threats
}

fn read_one(table: &Table) -> Threat {
    Threat {
        framework: table.trimmed("framework"),
        tactic: table.table("tactic").map(item).unwrap_or_default(),
        techniques: table
            .tables("technique")
            .map(|(technique, _)| Technique {
                technique: item(technique),
                subtechniques: technique
                    .tables("subtechnique")
                    .map(|(sub, _)| item(sub))
                    .collect(),
            })
            .collect(),
    }
}

fn item(table: &Table) -> ThreatItem {
    ThreatItem {
        id: table.trimmed("id"),
        name: table.trimmed("name"),
        reference: table.trimmed("reference"),
    }
}

fn check(threat: &Threat, table: &Table, place: Span, diagnostics: &mut Vec<Diagnostic>) {
    let mut checker = Checker { diagnostics };
    if let Some(tactic) = table.table("tactic") {
        let page = format!("https://attack.mitre.org/tactics/{}", threat.tactic.id);
        checker.item("tactic", tactic, place, is_id(&threat.tactic.id, "TA"), &page);
    }
    let tactic = attack().tactic(&threat.tactic.id);
    for (technique, place) in table.tables("technique") {
        let id = technique.trimmed("id");
        checker.serves(tactic, technique, place);
        let page = format!("https://attack.mitre.org/techniques/{id}");
        checker.item("technique", technique, place, is_id(&id, "T"), &page);
        for (sub, place) in technique.tables("subtechnique") {
            let sub_id = sub.trimmed("id");
            let (parent, number) = sub_id.split_once('.').unwrap_or((&sub_id, ""));
            let form = is_id(parent, "T") && is_digits(number, 3);
            let page = format!("https://attack.mitre.org/techniques/{parent}/{number}");
            checker.item("sub-technique", sub, place, form, &page);
            checker.serves(tactic, sub, place);
            if form && parent != id {
                let message = format!(
                    "the sub-technique `{sub_id}` stands under the technique `{id}`, not under its own"
                );
                let at = sub.get("id").map_or(place, |node| node.span);
                checker
                    .diagnostics
                    .push(Diagnostic::new(&codes::THREAT, at, message));
            }
        }
    }
}

struct Checker<'a> {
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Checker<'_> {
    /// What is missing was reported with the shape; only what is there is judged here.
    fn item(&mut self, what: &str, table: &Table, place: Span, form: bool, page: &str) {
        let id = table.trimmed("id");
        if !form && !id.is_empty() {
            let wanted = match what {
                "tactic" => "`TA` and four digits",
                "technique" => "`T` and four digits",
                _ => "the technique's id, a dot and three digits",
            };
            let at = table.get("id").map_or(place, |node| node.span);
            let message = format!("`{id}` is not the id of a {what}");
            self.diagnostics
                .push(Diagnostic::new(&codes::THREAT, at, message).with_help(format!("it is {wanted}")));
            return;
        }
        if !id.is_empty() {
            self.known(what, table, place, &id);
        }
        let reference = table.trimmed("reference");
        if !reference.is_empty() && !id.is_empty() && reference.trim_end_matches('/') != page {
            let at = table.get("reference").map_or(place, |node| node.span);
            let message = format!("`{reference}` is not the page of `{id}`");
            self.diagnostics
                .push(Diagnostic::new(&codes::THREAT, at, message).with_help(format!("it is `{page}/`")));
        }
    }

    /// Whether ATT&CK has it, and under this name.
    fn known(&mut self, what: &str, table: &Table, place: Span, id: &str) {
        let version = attack().version();
        let at = item_place(table, "id", place);
        let mut say = |message: String, help: &str| {
            let found = Diagnostic::new(&codes::THREAT, at, message);
            self.diagnostics.push(match help {
                "" => found,
                help => found.with_help(help.to_owned()),
            });
        };
        let name = match (attack().tactic(id), attack().technique(id)) {
            (Some(tactic), _) => tactic.name,
            (None, Some(technique)) => {
                match technique.state {
                    State::Current => {}
                    State::Deprecated => say(format!("ATT&CK {version} has given `{id}` up"), ""),
                    State::Revoked(None) => say(format!("ATT&CK {version} has taken `{id}` back"), ""),
                    State::Revoked(Some(by)) => say(
                        format!("ATT&CK {version} has taken `{id}` back"),
                        &format!("`{by}` took its place"),
                    ),
                }
                technique.name
            }
            (None, None) => {
                say(
                    format!("ATT&CK {version} has no {what} `{id}`"),
                    "look the id up, or see whether the rule follows another version",
                );
                return;
            }
        };
        let written = table.trimmed("name");
        if let Some(node) = table.get("name")
            && !written.is_empty()
            && written != name
        {
            let message = format!("the {what} `{id}` is called `{name}`");
            self.diagnostics
                .push(Diagnostic::new(&codes::THREAT, node.span, message));
        }
    }

    /// Whether a technique serves the tactic that it stands under.
    fn serves(&mut self, tactic: Option<&Tactic>, table: &Table, place: Span) {
        let id = table.trimmed("id");
        let (Some(tactic), Some(technique)) = (tactic, attack().technique(&id)) else {
            return;
        };
        if technique.state != State::Current || technique.tactics.contains(&tactic.short_name) {
            return;
        }
        let its: Vec<&str> = attack()
            .tactics()
            .iter()
            .filter(|tactic| technique.tactics.contains(&tactic.short_name))
            .map(|tactic| tactic.name)
            .collect();
        let message = format!("`{id}` is no technique of the tactic `{}`", tactic.name);
        self.diagnostics.push(
            Diagnostic::new(&codes::THREAT, item_place(table, "id", place), message)
                .with_help(format!("it is one of {}", its.join(", "))),
        );
    }
}

/// Tags that name something of ATT&CK, by what stands before the colon.
const TAGS: [&str; 4] = [
    "Mitigation",
    "Data Component",
    "Data Source ID",
    "Detection Strategy",
];

/// Says which tags name what ATT&CK does not have, or what belongs to none of the rule's techniques.
fn check_tags(rule: &Table, threats: &[Threat], diagnostics: &mut Vec<Diagnostic>) {
    let techniques: Vec<&str> = threats
        .iter()
        .flat_map(|threat| &threat.techniques)
        .flat_map(|technique| std::iter::once(&technique.technique).chain(&technique.subtechniques))
        .map(|item| item.id.as_str())
        .collect();
    for node in rule.get("tags").map_or(&[][..], Node::items) {
        let Some((kind, value)) = node.as_text().and_then(|tag| tag.split_once(": ")) else {
            continue;
        };
        if !TAGS.contains(&kind) {
            continue;
        }
        let value = value.trim();
        let version = attack().version();
        let unknown = format!("ATT&CK {version} has no {} `{value}`", kind.to_lowercase());
        let found = match kind {
            "Mitigation" => attack().mitigation(value).is_some(),
            "Data Source ID" => attack().source(value).is_some(),
            "Data Component" => attack().component(value).is_some(),
            _ => attack().strategy(value).is_some(),
        };
        let mut diagnostic = None;
        if !found {
            let similar = (kind == "Data Component")
                .then(|| similar_component(value))
                .flatten();
            let said = Diagnostic::new(&codes::THREAT, node.span, unknown);
            diagnostic = Some(match similar {
                Some(name) => said.with_help(format!("did you mean `{name}`?")),
                None => said,
            });
        } else if let Some(strategy) = attack().strategy(value).filter(|_| kind == "Detection Strategy")
            && !strategy.techniques.iter().any(|id| techniques.contains(id))
        {
            let message = format!("`{value}` detects none of the rule's techniques");
            let help = format!("it detects {}", strategy.techniques.join(", "));
            diagnostic = Some(Diagnostic::new(&codes::THREAT, node.span, message).with_help(help));
        }
        diagnostics.extend(diagnostic);
    }
}

fn similar_component(name: &str) -> Option<&'static str> {
    let scored = attack()
        .components()
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .filter(|(score, _)| *score > ALIKE);
    scored.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}

fn item_place(table: &Table, key: &str, place: Span) -> Span {
    table.get(key).map_or(place, |node| node.span)
}

fn is_id(id: &str, prefix: &str) -> bool {
    id.strip_prefix(prefix).is_some_and(|number| is_digits(number, 4))
}

fn is_digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
}
