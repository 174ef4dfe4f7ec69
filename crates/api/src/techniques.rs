//! A technique of ATT&CK: what would prevent it, how that is checked, and how it stood when it was checked last.

use neph_posture::audit::{CHECKS, Check as AuditCheck, History, Run};
use neph_posture::capability::{CAPABILITIES, Capability};
use neph_store::Role;
use schemars::JsonSchema;
use serde::Serialize;

use crate::app::App;
use crate::problem::Problem;
use crate::route::{Answer, Call, Route, schema_of};

pub(crate) static ROUTES: &[Route] = &[Route::get(
    "/api/v1/techniques/{id}",
    Role::Viewer,
    "techniques.get",
    "A technique of ATT&CK with its mitigations, the commands that check them, and what the last run of the checks found.",
    schema_of::<Told>,
    get,
)];

/// Resources that are named of one check.
const NAMED: usize = 100;

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
    /// Where the runs of checks are looked for.
    runs: String,
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
    /// What has to hold, or what is looked at.
    what: String,
    /// The command.
    command: String,
    /// When it was asked last; null where no run is known that asked it.
    asked: Option<String>,
    /// For how many resources it failed then.
    failures: usize,
    /// These, as `platform account region resource`; 100 at most.
    failed: Vec<String>,
}

/// The last run that asked a check, and the resources that failed.
fn last_of<'r>(runs: &'r [Run], check: &str) -> Option<(&'r Run, Vec<String>)> {
    let run = runs.iter().rev().find(|run| run.checks.contains(check))?;
    // A key is the check, then the place and the name of the resource.
    let failed = run.failed.iter().filter_map(|key| {
        let mut parts = key.split('\u{1f}');
        let is_of_it = parts.next() == Some(check);
        is_of_it.then(|| {
            parts
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(" ")
        })
    });
    Some((run, failed.collect()))
}

fn of_audit(check: &AuditCheck, runs: &[Run]) -> Check {
    let last = last_of(runs, check.id);
    let (asked, mut failed) = match last {
        Some((run, failed)) => (Some(run.at.to_string()), failed),
        None => (None, Vec::new()),
    };
    let failures = failed.len();
    failed.truncate(NAMED);
    Check {
        what: check.title.to_owned(),
        command: format!("neph audit run --check {} collected/", check.id),
        asked,
        failures,
        failed,
    }
}

fn of_capability(capability: &Capability) -> Check {
    Check {
        what: format!("who can {}", capability.what),
        command: format!(
            "neph audit entitlements --capability {} collected/",
            capability.id
        ),
        asked: None,
        failures: 0,
        failed: Vec::new(),
    }
}

/// The runs of checks that are remembered, oldest first, and their folder.
fn runs(app: &App) -> Result<(History, String), Problem> {
    let folder = &app.posture.history;
    let history = History::read(folder).map_err(|error| Problem::failed(error.to_string()))?;
    Ok((history, folder.display().to_string()))
}

fn get(call: &Call<'_>) -> Result<Answer, Problem> {
    let id = call.part("id");
    let attack = neph_attack::attack();
    let technique = attack
        .technique(id)
        .ok_or_else(|| Problem::missing("technique", id))?;
    let (history, runs) = runs(call.app)?;
    // What stands with a technique holds for its sub-techniques, too, and the reverse only for those that name it.
    let concerns = |techniques: &[&str]| {
        let names = |own: &str| own == id || id.strip_prefix(own).is_some_and(|rest| rest.starts_with('.'));
        techniques.iter().any(|own| names(own))
    };
    let mitigation = |id: &&'static str| {
        let audited = CHECKS
            .iter()
            .filter(|check| concerns(check.techniques) && check.mitigations.contains(id))
            .map(|check| of_audit(check, history.runs()));
        let reviewed = CAPABILITIES
            .iter()
            .filter(|capability| concerns(capability.techniques) && capability.mitigations.contains(id))
            .map(of_capability);
        Some(Mitigation {
            id,
            name: attack.mitigation(id)?,
            checks: audited.chain(reviewed).collect(),
        })
    };
    // Checks may verify a mitigation that ATT&CK names of the technique above.
    let mut named: Vec<&'static str> = technique.mitigations.clone();
    for own in CHECKS.iter().filter(|check| concerns(check.techniques)) {
        named.extend(own.mitigations);
    }
    named.sort_unstable();
    named.dedup();
    Answer::json(&Told {
        id: technique.id,
        name: technique.name,
        tactics: technique.tactics.clone(),
        mitigations: named.iter().filter_map(mitigation).collect(),
        runs,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_run_that_asked_counts() {
        let run = |at: &str, checks: &[&str], failed: &[&str]| -> Run {
            serde_json::from_value(json!({"version": 1, "at": at, "checks": checks, "failed": failed, "passed": 0, "unknown": 0}))
                .expect("it is a run")
        };
        let key = "aws-imds-v1\u{1f}aws\u{1f}1\u{1f}eu\u{1f}i-0abc";
        let runs = [
            run("2026-01-01T00:00:00Z", &["aws-imds-v1"], &[key]),
            run("2026-01-02T00:00:00Z", &["other"], &[]),
        ];
        let (last, failed) = last_of(&runs, "aws-imds-v1").expect("it was asked");
        assert_eq!(last.at, runs[0].at);
        assert_eq!(failed, ["aws 1 eu i-0abc"]);
        assert_eq!(last_of(&runs, "other").map(|(_, failed)| failed.len()), Some(0));
        assert!(last_of(&runs, "never").is_none());
    }
}
