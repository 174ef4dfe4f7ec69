//! MITRE ATT&CK for Enterprise: which tactics, techniques, mitigations, data components and detection strategies there
//! are, by their ids and names.
//!
//! The table is made of MITRE's own data (<https://github.com/mitre/cti>) by `cargo xtask refresh-attack`; it holds ids,
//! names and which belongs to which, and none of the descriptions.
//!
//! © 2025 The MITRE Corporation. This work is reproduced and distributed with the permission of The MITRE Corporation.
//! (<https://attack.mitre.org/resources/legal-and-branding/terms-of-use/>)
//!
//! **Architecture invariant:** data alone; it knows no rule.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Value, json};

const TABLE: &str = include_str!("../data/attack.tsv");

/// What an adversary wants: a column of the matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tactic {
    /// `TA0006`
    pub id: &'static str,
    /// `Credential Access`
    pub name: &'static str,
    /// `credential-access`
    pub short_name: &'static str,
}

/// How an adversary gets it: a technique or a sub-technique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Technique {
    /// `T1552.005`
    pub id: &'static str,
    /// `Cloud Instance Metadata API`, without the technique that it is of.
    pub name: &'static str,
    /// Short names of the tactics that it serves.
    pub tactics: Vec<&'static str>,
    /// The platforms that it is known on: `IaaS`, `Containers`, `Linux` …
    pub platforms: Vec<&'static str>,
    /// Ids of the mitigations against it.
    pub mitigations: Vec<&'static str>,
    /// Whether it is still part of ATT&CK.
    pub state: State,
}

/// Whether something is still part of ATT&CK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is.
    Current,
    /// It was given up.
    Deprecated,
    /// Another took its place, where the id is known.
    Revoked(Option<&'static str>),
}

/// A way to detect techniques, which ATT&CK describes since version 18.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strategy {
    /// `DET0001`
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Ids of the techniques that it detects.
    pub techniques: Vec<&'static str>,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Attack {
    version: &'static str,
    tactics: Vec<Tactic>,
    techniques: BTreeMap<&'static str, Technique>,
    mitigations: BTreeMap<&'static str, &'static str>,
    components: BTreeMap<&'static str, &'static str>,
    sources: BTreeMap<&'static str, &'static str>,
    strategies: BTreeMap<&'static str, Strategy>,
}

/// ATT&CK, as the table has it. It is read once, when first asked for.
pub fn attack() -> &'static Attack {
    static ATTACK: LazyLock<Attack> = LazyLock::new(|| read(TABLE));
    &ATTACK
}

impl Attack {
    /// The version of ATT&CK.
    pub fn version(&self) -> &'static str {
        self.version
    }

    /// The tactics, in the order of the matrix.
    pub fn tactics(&self) -> &[Tactic] {
        &self.tactics
    }

    /// The tactic of an id.
    pub fn tactic(&self, id: &str) -> Option<&Tactic> {
        self.tactics.iter().find(|tactic| tactic.id == id)
    }

    /// The techniques and sub-techniques by their ids, those that are no more part of it included.
    pub fn techniques(&self) -> impl Iterator<Item = &Technique> {
        self.techniques.values()
    }

    /// The technique or sub-technique of an id.
    pub fn technique(&self, id: &str) -> Option<&Technique> {
        self.techniques.get(id)
    }

    /// The name of a mitigation, by its id.
    pub fn mitigation(&self, id: &str) -> Option<&'static str> {
        self.mitigations.get(id).copied()
    }

    /// The id of a data component, by its name.
    pub fn component(&self, name: &str) -> Option<&'static str> {
        let found = self.components.iter().find(|(_, own)| **own == name);
        found.map(|(id, _)| *id)
    }

    /// Names of data components.
    pub fn components(&self) -> impl Iterator<Item = &'static str> {
        self.components.values().copied()
    }

    /// The name of a data source, by its id. Version 18 keeps data sources as deprecated.
    pub fn source(&self, id: &str) -> Option<&'static str> {
        self.sources.get(id).copied()
    }

    /// The detection strategy of an id.
    pub fn strategy(&self, id: &str) -> Option<&Strategy> {
        self.strategies.get(id)
    }

    /// The detection strategies of a technique.
    pub fn strategies_of(&self, technique: &str) -> impl Iterator<Item = &Strategy> {
        let of = move |strategy: &&Strategy| strategy.techniques.contains(&technique);
        self.strategies.values().filter(of)
    }
}

impl Technique {
    /// The id of the technique that this one is part of; its own, where it is no sub-technique.
    pub fn parent(&self) -> &'static str {
        self.id.split('.').next().unwrap_or(self.id)
    }

    /// Its page.
    pub fn page(&self) -> String {
        format!(
            "https://attack.mitre.org/techniques/{}/",
            self.id.replace('.', "/")
        )
    }
}

/// The field `threat` of ECS for techniques by their ids: tactics, techniques and sub-techniques as lists beside each other
/// (<https://www.elastic.co/docs/reference/ecs/ecs-threat>). Ids that are not known are left out.
pub fn threat(ids: &[&str]) -> Value {
    let attack = attack();
    let known: Vec<&Technique> = ids.iter().filter_map(|id| attack.technique(id)).collect();
    let mut tactics: Vec<(&str, &str)> = Vec::new();
    let mut whole: Vec<(&str, &str)> = Vec::new();
    let mut finer: Vec<(&str, &str)> = Vec::new();
    for technique in known {
        let served = attack.tactics().iter();
        for tactic in served.filter(|tactic| technique.tactics.contains(&tactic.short_name)) {
            if !tactics.contains(&(tactic.id, tactic.name)) {
                tactics.push((tactic.id, tactic.name));
            }
        }
        if let Some(parent) = attack.technique(technique.parent())
            && !whole.contains(&(parent.id, parent.name))
        {
            whole.push((parent.id, parent.name));
        }
        if technique.id != technique.parent() && !finer.contains(&(technique.id, technique.name)) {
            finer.push((technique.id, technique.name));
        }
    }
    let lists = |items: &[(&str, &str)], what: &str| {
        let ids: Vec<&str> = items.iter().map(|(id, _)| *id).collect();
        let names: Vec<&str> = items.iter().map(|(_, name)| *name).collect();
        let pages: Vec<String> = ids
            .iter()
            .map(|id| format!("https://attack.mitre.org/{what}/{}/", id.replace('.', "/")))
            .collect();
        json!({"id": ids, "name": names, "reference": pages})
    };
    let mut technique = lists(&whole, "techniques");
    if let (Some(object), false) = (technique.as_object_mut(), finer.is_empty()) {
        object.insert("subtechnique".into(), lists(&finer, "techniques"));
    }
    json!({"framework": "MITRE ATT&CK", "tactic": lists(&tactics, "tactics"), "technique": technique})
}

/// Reads the table: a line is a kind, an id, a name, and what else the kind has, between tabs; lists have commas.
fn read(table: &'static str) -> Attack {
    let mut attack = Attack::default();
    let list = |column: Option<&'static str>| -> Vec<&'static str> {
        let items = column.unwrap_or_default().split(',');
        items.filter(|item| !item.is_empty()).collect()
    };
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        let (Some(kind), Some(id), Some(name)) = (columns.next(), columns.next(), columns.next()) else {
            continue;
        };
        match kind {
            "version" => attack.version = id,
            "tactic" => attack.tactics.push(Tactic {
                id,
                name,
                short_name: columns.next().unwrap_or_default(),
            }),
            "technique" => {
                let technique = Technique {
                    id,
                    name,
                    tactics: list(columns.next()),
                    platforms: list(columns.next()),
                    mitigations: list(columns.next()),
                    state: match columns.next().unwrap_or_default() {
                        "" => State::Current,
                        "deprecated" => State::Deprecated,
                        "revoked" => State::Revoked(None),
                        by => State::Revoked(Some(by)),
                    },
                };
                attack.techniques.insert(id, technique);
            }
            "mitigation" => {
                attack.mitigations.insert(id, name);
            }
            "component" => {
                attack.components.insert(id, name);
            }
            "source" => {
                attack.sources.insert(id, name);
            }
            "strategy" => {
                let techniques = list(columns.next());
                attack.strategies.insert(id, Strategy { id, name, techniques });
            }
            _ => {}
        }
    }
    attack
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_what_the_mission_is_about() {
        let attack = attack();
        assert!(attack.version().starts_with(|c: char| c.is_ascii_digit()));
        assert_eq!(attack.tactics().len(), 14);
        for (id, name, tactic) in [
            ("T1552.005", "Cloud Instance Metadata API", "credential-access"),
            ("T1578.001", "Create Snapshot", "defense-evasion"),
            ("T1525", "Implant Internal Image", "persistence"),
            ("T1613", "Container and Resource Discovery", "discovery"),
            ("T1580", "Cloud Infrastructure Discovery", "discovery"),
        ] {
            let technique = attack.technique(id).unwrap();
            assert_eq!((technique.name, technique.state), (name, State::Current));
            assert!(technique.tactics.contains(&tactic), "{id}");
            assert!(!technique.mitigations.is_empty(), "{id}");
            assert!(attack.strategies_of(id).next().is_some(), "{id}");
        }
        assert_eq!(attack.mitigation("M1047"), Some("Audit"));
        assert!(attack.component("Snapshot Creation").is_some());
        assert_eq!(attack.source("DS0020"), Some("Snapshot"));
        assert_eq!(attack.tactic("TA0006").unwrap().short_name, "credential-access");
    }

    #[test]
    fn what_belongs_together_is_there() {
        let attack = attack();
        let short: Vec<&str> = attack.tactics().iter().map(|tactic| tactic.short_name).collect();
        for technique in attack.techniques() {
            assert!(attack.technique(technique.parent()).is_some(), "{}", technique.id);
            if technique.state == State::Current {
                assert!(
                    technique.tactics.iter().all(|tactic| short.contains(tactic)),
                    "{}",
                    technique.id
                );
            }
            if let State::Revoked(Some(by)) = technique.state {
                assert!(attack.technique(by).is_some(), "{by}");
            }
            for mitigation in &technique.mitigations {
                assert!(attack.mitigation(mitigation).is_some(), "{mitigation}");
            }
        }
    }
}
