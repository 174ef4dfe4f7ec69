//! Each check on inputs that it has to tell, and on look-alikes that it has to leave alone.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails may panic"
)]

use std::collections::BTreeMap;
use std::path::Path;

use neph_posture::audit::{CHECKS, Collected, Finding, Outcome, Platform, Report, Scope, Selection, run};

mod aws;
mod clouds;
mod code;
mod docker;
mod firewall;
mod forms;
mod kubernetes;

/// Reads files as if they lay at these paths.
pub(crate) fn collected(files: &[(&str, &str)]) -> Collected {
    let mut collected = Collected::default();
    for (name, text) in files {
        let path = Path::new(name);
        let mut parts = name.split('/');
        let platform = parts.next().and_then(Platform::of_name);
        let scope = match platform {
            Some(platform) => {
                let account = parts.next().unwrap_or("").to_owned();
                let has_region = matches!(platform, Platform::Aws | Platform::Openstack);
                Scope {
                    platform: Some(platform),
                    account,
                    region: if has_region {
                        parts.next().unwrap_or("").to_owned()
                    } else {
                        String::new()
                    },
                }
            }
            None => Scope {
                account: path.parent().unwrap().display().to_string(),
                ..Scope::default()
            },
        };
        collected.add(path, &scope, text.as_bytes());
    }
    collected.finish();
    collected
}

pub(crate) fn report(files: &[(&str, &str)]) -> Report {
    run(&collected(files), &Selection::default(), &mut |_, _| {})
}

/// The answers of one check, as `outcome resource`.
pub(crate) fn asked(check: &str, files: &[(&str, &str)]) -> Vec<String> {
    let selection = Selection {
        checks: vec![check.to_owned()],
        ..Selection::default()
    };
    assert_eq!(selection.checks().len(), 1, "{check}");
    let report = run(&collected(files), &selection, &mut |_, _| {});
    report
        .findings
        .iter()
        .map(|finding| format!("{} {}", finding.outcome.name(), finding.resource))
        .collect()
}

/// Each finding has evidence or says what is missing, and each failure a fix.
pub(crate) fn is_well_formed(finding: &Finding) {
    assert!(!finding.resource.is_empty(), "{finding:?}");
    assert!(
        !finding.what.is_empty() && !finding.what.ends_with('.'),
        "{finding:?}"
    );
    if finding.outcome == Outcome::Fail {
        assert!(!finding.fix.is_empty(), "{finding:?}");
        assert!(
            !finding.evidence.is_empty() || finding.check == "k8s-image-admission",
            "{finding:?}"
        );
    }
}

/// What all modules try, for the tests that go over all of it.
pub(crate) fn everything() -> Vec<(&'static str, &'static str)> {
    let mut files = Vec::new();
    files.extend(aws::FILES);
    files.extend(clouds::FILES);
    files.extend(code::FILES);
    files.extend(docker::FILES);
    files.extend(firewall::FILES);
    files.extend(kubernetes::FILES);
    files
}

#[test]
fn every_check_fails_something_and_passes_something() {
    let report = report(&everything());
    let mut seen: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for finding in &report.findings {
        is_well_formed(finding);
        let counts = seen.entry(finding.check).or_default();
        match finding.outcome {
            Outcome::Fail => counts.0 += 1,
            Outcome::Pass => counts.1 += 1,
            Outcome::Unknown => {}
        }
    }
    let lacking: Vec<String> = CHECKS
        .iter()
        .filter_map(|check| {
            let (failed, passed) = seen.get(check.id).copied().unwrap_or_default();
            (failed == 0 || passed == 0).then(|| format!("{}: {failed} failed, {passed} passed", check.id))
        })
        .collect();
    assert!(lacking.is_empty(), "{lacking:#?}");
}

#[test]
fn checks_name_techniques_and_mitigations_that_there_are() {
    let attack = neph_attack::attack();
    for check in CHECKS {
        assert!(
            !check.techniques.is_empty() && !check.mitigations.is_empty(),
            "{}",
            check.id
        );
        for id in check.techniques {
            let technique = attack.technique(id).unwrap();
            assert_eq!(technique.state, neph_attack::State::Current, "{}", check.id);
        }
        for id in check.mitigations {
            assert!(attack.mitigation(id).is_some(), "{}: {id}", check.id);
            // Each mitigation is one of those that MITRE names against one of the techniques.
            let is_theirs = check
                .techniques
                .iter()
                .any(|technique| attack.technique(technique).unwrap().mitigations.contains(id));
            assert!(is_theirs, "{}: {id}", check.id);
        }
        assert!(
            !check.title.ends_with('.') && check.why.ends_with('.'),
            "{}",
            check.id
        );
        assert!(!check.needs.is_empty() || !check.reads.is_empty(), "{}", check.id);
        // Every kind has a command that prints it.
        assert!(
            check
                .sources()
                .iter()
                .all(|source| !source.contains("k8s:") && !source.starts_with("aws:")),
            "{:?}",
            check.sources()
        );
        let is_plain = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        assert!(is_plain(check.id), "{}", check.id);
    }
    let mut ids: Vec<&str> = CHECKS.iter().map(|check| check.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), CHECKS.len());
}

#[test]
fn the_manual_lists_all_checks() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/audit.md");
    let manual = std::fs::read_to_string(path).unwrap();
    let table = neph_posture::audit::form::markdown(CHECKS);
    for line in table.lines() {
        assert!(
            manual.contains(line),
            "docs/audit.md lacks a line; `neph audit checks --format markdown` writes the table\n{line}"
        );
    }
    let listed = manual.split_once("## Checks").unwrap().1;
    let rows = listed.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(
        rows,
        CHECKS.len(),
        "docs/audit.md has rows of checks that there are not"
    );
}

#[test]
fn what_was_not_collected_is_unknown_and_nothing_else() {
    let report = report(&[(
        "aws/111122223333/eu-west-1/ec2-describe-instances.json",
        r#"{"Reservations": []}"#,
    )]);
    assert!(
        report
            .findings
            .iter()
            .all(|finding| finding.outcome == Outcome::Unknown)
    );
    let about = |check: &str| report.findings.iter().find(|finding| finding.check == check);
    assert!(
        about("aws-imdsv1").is_none(),
        "no instance is no failure and nothing missing"
    );
    let missing = about("aws-imds-account-default").unwrap();
    assert!(
        missing.what.contains("aws ec2 get-instance-metadata-defaults"),
        "{missing:?}"
    );
    assert_eq!(
        (missing.scope.account.as_str(), missing.scope.region.as_str()),
        ("111122223333", "eu-west-1")
    );
    // Nothing of other platforms was collected, so nothing is missing there.
    assert!(
        report
            .findings
            .iter()
            .all(|finding| finding.scope.platform == Some(Platform::Aws))
    );
}

#[test]
fn answers_that_a_loop_printed_after_one_another_are_all_read() {
    let file = "aws/111122223333/eu-west-1/ec2-describe-snapshot-attribute.json";
    let one = |id: &str, group: &str| {
        format!(
            "{{\n  \"SnapshotId\": \"{id}\",\n  \"CreateVolumePermissions\": [{{\"Group\": \"{group}\"}}]\n}}\n"
        )
    };
    let text = format!("\u{feff}{}{}", one("snap-1", "all"), one("snap-2", "all"));
    let all = collected(&[(file, &text)]);
    assert_eq!(all.problems().0, []);
    assert_eq!(all.items("aws:snapshot-attribute").len(), 2);
    // Of those behind a break nothing is known, so that the whole file says nothing.
    let text = text.strip_suffix("}]\n}\n").unwrap();
    let all = collected(&[(file, text)]);
    assert_eq!(all.items("aws:snapshot-attribute").len(), 0);
    assert!(
        all.problems().0[0].what.contains("ends in the middle"),
        "{:?}",
        all.problems()
    );
}

#[test]
fn files_that_are_damaged_or_hostile_are_told_and_harm_nothing() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_hcl = format!(
        "resource \"aws_instance\" \"a\" {{ x = {}1{} }}",
        "(".repeat(50_000),
        ")".repeat(50_000)
    );
    let negations = format!(
        "resource \"aws_instance\" \"a\" {{ x = {}true }}",
        "!".repeat(200_000)
    );
    let collected = collected(&[
        (
            "aws/111122223333/eu-west-1/ec2-describe-instances.json",
            r#"{"Reservations": [{"Instances": [{"InstanceId": "i-1""#,
        ),
        ("a/deep.json", &deep),
        ("a/deep.tf", &deep_hcl),
        ("a/not.tf", &negations),
        ("a/wrong.tf", "resource \"aws_instance\" { = }"),
        ("a/pod.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: [\n"),
        (
            "a/chart.yaml",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: {{ .Values.name }}}\n",
        ),
        ("a/package.json", r#"{"name": "x", "default": 1}"#),
        ("a/words.txt", "nothing of interest"),
    ]);
    let (problems, more) = collected.problems();
    let told: Vec<String> = problems
        .iter()
        .map(|problem| format!("{} {}", problem.file, problem.what))
        .collect();
    assert_eq!(more, 0);
    assert_eq!(told.len(), 6, "{told:#?}");
    assert!(
        told[0].contains("ends in the middle of an answer, at line 1"),
        "{told:#?}"
    );
    assert!(
        told[2].contains("is nested too deep") && told[3].contains("is nested too deep"),
        "{told:#?}"
    );
    assert!(told[4].contains("is not HCL: line 1"), "{told:#?}");
    for name in ["a/chart.yaml", "a/package.json", "a/words.txt"] {
        assert!(
            collected.unknown().iter().any(|unknown| unknown == name),
            "{name}"
        );
    }
    let report = run(&collected, &Selection::default(), &mut |_, _| {});
    assert!(
        report
            .findings
            .iter()
            .all(|finding| finding.outcome == Outcome::Unknown),
        "{:#?}",
        report.findings
    );
}

#[test]
fn what_is_selected_is_asked() {
    let of = |checks: &[&str], techniques: &[&str], mitigations: &[&str]| {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let selection = Selection {
            checks: owned(checks),
            techniques: owned(techniques),
            mitigations: owned(mitigations),
        };
        let nothing: Vec<String> = selection.nothing().into_iter().map(str::to_owned).collect();
        (selection.checks().len(), nothing)
    };
    assert_eq!(of(&[], &[], &[]).0, CHECKS.len());
    assert_eq!(of(&["aws-imds*"], &[], &[]).0, 4);
    assert_eq!(of(&["aws-imds*"], &["T1552"], &["M1042"]).0, 4);
    assert!(of(&[], &["T1552.005"], &[]).0 > 15);
    assert_eq!(of(&["aws-imds*"], &["T1613"], &[]), (0, Vec::new()));
    assert_eq!(of(&["aws-imdx"], &[], &["M9999"]).1, ["aws-imdx", "M9999"]);
}
