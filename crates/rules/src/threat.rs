//! The ATT&CK mapping of a rule: reading it, and whether it fits together.

use neph_diag::{Diagnostic, Span};

use crate::codes;
use crate::document::Table;
use crate::rule::{Technique, Threat, ThreatItem};

/// The framework whose ids have a known form.
const MITRE: &str = "MITRE ATT&CK";

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
    for (technique, place) in table.tables("technique") {
        let id = technique.trimmed("id");
        let page = format!("https://attack.mitre.org/techniques/{id}");
        checker.item("technique", technique, place, is_id(&id, "T"), &page);
        for (sub, place) in technique.tables("subtechnique") {
            let sub_id = sub.trimmed("id");
            let (parent, number) = sub_id.split_once('.').unwrap_or((&sub_id, ""));
            let form = is_id(parent, "T") && is_digits(number, 3);
            let page = format!("https://attack.mitre.org/techniques/{parent}/{number}");
            checker.item("sub-technique", sub, place, form, &page);
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
        let reference = table.trimmed("reference");
        if !reference.is_empty() && !id.is_empty() && reference.trim_end_matches('/') != page {
            let at = table.get("reference").map_or(place, |node| node.span);
            let message = format!("`{reference}` is not the page of `{id}`");
            self.diagnostics
                .push(Diagnostic::new(&codes::THREAT, at, message).with_help(format!("it is `{page}/`")));
        }
    }
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
