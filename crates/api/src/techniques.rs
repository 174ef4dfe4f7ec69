//! A technique of ATT&CK: what would prevent it, and how to check that here.

use neph_posture::capability::{CAPABILITIES, Capability};
use neph_store::Role;
use schemars::JsonSchema;
use serde::Serialize;

use crate::problem::Problem;
use crate::route::{Answer, Call, Route, schema_of};

pub(crate) static ROUTES: &[Route] = &[Route::get(
    "/api/v1/techniques/{id}",
    Role::Viewer,
    "techniques.get",
    "A technique of ATT&CK with its mitigations, and the commands that check them.",
    schema_of::<Told>,
    get,
)];

/// A technique.
#[derive(Debug, Serialize, JsonSchema)]
struct Told {
    /// Its id.
    id: &'static str,
    /// Its name.
    name: &'static str,
    /// Short names of the tactics that it serves.
    tactics: Vec<&'static str>,
    /// What would prevent it.
    mitigations: Vec<Mitigation>,
}

/// A mitigation.
#[derive(Debug, Serialize, JsonSchema)]
struct Mitigation {
    /// Its id.
    id: &'static str,
    /// Its name.
    name: &'static str,
    /// How to check it.
    checks: Vec<Check>,
}

/// How to check a mitigation.
#[derive(Debug, Serialize, JsonSchema)]
struct Check {
    /// What is looked at.
    what: String,
    /// The command.
    command: String,
}

fn get(call: &Call<'_>) -> Result<Answer, Problem> {
    let id = call.part("id");
    let attack = neph_attack::attack();
    let technique = attack
        .technique(id)
        .ok_or_else(|| Problem::missing("technique", id))?;
    // What stands with a technique holds for its sub-techniques, too, and the reverse only for those that name it.
    let concerns = |capability: &&Capability| {
        let names = |own: &str| own == id || id.strip_prefix(own).is_some_and(|rest| rest.starts_with('.'));
        capability.techniques.iter().any(|own| names(own))
    };
    let mitigation = |id: &&'static str| {
        let checks = CAPABILITIES
            .iter()
            .filter(concerns)
            .filter(|capability| capability.mitigations.contains(id));
        Some(Mitigation {
            id,
            name: attack.mitigation(id)?,
            checks: checks
                .map(|capability| Check {
                    what: format!("who can {}", capability.what),
                    command: format!(
                        "neph audit entitlements --capability {} collected/",
                        capability.id
                    ),
                })
                .collect(),
        })
    };
    Answer::json(&Told {
        id: technique.id,
        name: technique.name,
        tactics: technique.tactics.clone(),
        mitigations: technique.mitigations.iter().filter_map(mitigation).collect(),
    })
}
