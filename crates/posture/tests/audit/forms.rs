//! Forms of a report, mutes, and runs that are remembered.

use std::collections::BTreeSet;

use neph_posture::audit::{History, Mutes, Outcome, Report, Run, Selection, form, run};
use serde_json::Value;

use super::{collected, everything, report};

const AT: &str = "2026-11-22T10:00:00Z";

fn told() -> form::Told<'static> {
    form::Told {
        version: "0.1.0",
        at: AT.parse().unwrap(),
    }
}

fn mutes(text: &str) -> (Mutes, Vec<String>) {
    let (mutes, diagnostics) = Mutes::read(text, "2026-11-22".parse().unwrap());
    let told = diagnostics
        .iter()
        .map(|diagnostic| format!("{}: {}", diagnostic.code.name, diagnostic.message))
        .collect();
    (mutes, told)
}

const MUTES: &str = r#"
[[mute]]
check = "aws-imds-*"
resource = "i-open"
owner = "platform"
reason = "replaced next week"
expires = 2026-12-01

[[mute]]
check = "aws-imdsv1"
resource = "i-open"
owner = "platform"
reason = "over"
expires = 2026-11-01
"#;

#[test]
fn mutes_take_out_what_they_say_until_they_end() {
    let (list, told) = mutes(MUTES);
    assert_eq!(
        told,
        ["mute-over: `2026-11-01` is past, so that this mutes nothing any more"]
    );
    let mut report = report(&everything());
    let before = report.count(Outcome::Fail);
    report.mute(&list);
    let muted: BTreeSet<&str> = report.muted.iter().map(|(finding, _)| finding.check).collect();
    assert_eq!(muted, BTreeSet::from(["aws-imds-hop-limit", "aws-imds-tags"]));
    assert_eq!(report.count(Outcome::Fail), before - 2);
    let still = report
        .findings
        .iter()
        .any(|finding| finding.check == "aws-imdsv1" && finding.resource == "i-open");
    assert!(still, "a mute that is over mutes nothing");
}

#[test]
fn every_mistake_of_the_mutes_is_told_at_once() {
    let (list, told) = mutes(
        "[[mute]]\ncheck = \"aws-imdv1\"\nresource = \"i-1\"\nowner = \"\"\nreson = \"x\"\nexpires = \"soon\"\n[[mute]]\ncheck = \"aws-*\"\n[mutes]\n",
    );
    assert!(list.entries.is_empty());
    let expected = [
        "mute-check-unknown: there is no check `aws-imdv1`",
        "mute-value: `owner` is empty",
        "mute-key-unknown: a mute has no key `reson`",
        "mute-key-missing: a mute says no `reason`",
        "mute-value: `soon` is no date",
        "mute-key-missing: a mute says no `resource`",
        "mute-key-missing: a mute says no `expires`",
        "mute-key-unknown: the list of mutes has no key `mutes`",
    ];
    for line in expected {
        assert!(told.contains(&line.to_owned()), "{line}: {told:#?}");
    }
    assert_eq!(told.len(), 10, "{told:#?}");
    let (_, told) = mutes("[[mute]\n");
    assert!(
        told.iter().any(|line| line.starts_with("mutes-syntax")),
        "{told:?}"
    );
}

#[test]
fn what_is_new_is_what_no_run_before_knew() {
    let folder = tempfile::tempdir().unwrap();
    let selection = Selection {
        checks: vec!["aws-imds*".to_owned()],
        ..Selection::default()
    };
    let ask = |hops: u32| -> Report {
        let text = format!(
            r#"{{"Reservations": [{{"OwnerId": "1", "Instances": [{{"InstanceId": "i-1", "MetadataOptions": {{"HttpTokens": "optional", "HttpPutResponseHopLimit": {hops}, "HttpEndpoint": "enabled"}}}}]}}]}}"#
        );
        run(
            &collected(&[("aws/111122223333/eu-west-1/x.json", &text)]),
            &selection,
            &mut |_, _| {},
        )
    };
    assert!(
        History::read(&folder.path().join("none"))
            .unwrap()
            .runs()
            .is_empty()
    );
    let past = ask(1);
    Run::of(&past, "2026-11-01T00:00:00Z".parse().unwrap())
        .write(folder.path())
        .unwrap();
    let mut now = ask(2);
    let history = History::read(folder.path()).unwrap();
    now.compare(&history, "2026-11-15T00:00:00Z".parse().unwrap());
    assert_eq!(now.new.len(), 1);
    assert!(now.new.iter().next().unwrap().contains("aws-imds-hop-limit"));
    Run::of(&now, AT.parse().unwrap()).write(folder.path()).unwrap();
    // It stays new for as long as it was not known then, and is not new to who asks about later.
    let history = History::read(folder.path()).unwrap();
    assert_eq!(history.runs().len(), 2);
    let mut again = ask(2);
    again.compare(&history, "2026-11-15T00:00:00Z".parse().unwrap());
    assert_eq!(again.new.len(), 1);
    again.compare(&history, AT.parse().unwrap());
    assert!(again.new.is_empty());
    // Before there were runs, the first is what things began with.
    again.compare(&history, "2026-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(again.new.len(), 1);
    std::fs::write(
        folder.path().join("run-20260101T000000.000Z.json"),
        "{\"version\": 9}",
    )
    .unwrap();
    let error = History::read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("is no run of an audit"), "{error}");
}

#[test]
fn forms_hold_what_was_found() {
    let files = everything();
    let collected = collected(&files);
    let (list, _) = mutes(MUTES);
    let mut report = run(&collected, &Selection::default(), &mut |_, _| {});
    report.mute(&list);
    let failed = report.count(Outcome::Fail);
    let unknown = report.count(Outcome::Unknown);
    let json = serde_json::to_value(form::json(&report, &collected, &list, told())).unwrap();
    assert_eq!(json["summary"]["fail"], failed);
    assert_eq!(json["muted"][0]["by"]["owner"], "platform");
    let sarif = form::sarif(&report, &list, told());
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), failed + unknown + report.muted.len());
    let suppressed: Vec<&Value> = results
        .iter()
        .filter(|result| result.get("suppressions").is_some())
        .collect();
    assert_eq!(suppressed.len(), 2);
    let prints: BTreeSet<&str> = results
        .iter()
        .map(|result| result["partialFingerprints"]["nephAudit/v1"].as_str().unwrap())
        .collect();
    assert_eq!(
        prints.len(),
        results.len(),
        "each result has a fingerprint of its own"
    );
    let findings = form::ocsf(&report, told());
    assert_eq!(findings.len(), report.findings.len() + report.muted.len());
    for finding in &findings {
        assert_eq!(finding["type_uid"], 200_301);
        assert!(
            finding["finding_info"]["attacks"]
                .as_array()
                .is_some_and(|attacks| !attacks.is_empty())
        );
    }
    let html = form::html(&report, &collected, &list, told());
    assert!(html.contains("i-open") && html.contains("Content-Security-Policy"));
}

#[test]
fn text_of_strangers_becomes_no_markup() {
    let text = r#"{"Reservations": [{"Instances": [{"InstanceId": "<script>alert(1)</script>\u202e", "MetadataOptions": {"HttpTokens": "optional", "HttpEndpoint": "enabled"}}]}]}"#;
    let collected = collected(&[("aws/111122223333/eu-west-1/x.json", text)]);
    let report = run(&collected, &Selection::default(), &mut |_, _| {});
    let html = form::html(&report, &collected, &Mutes::default(), told());
    assert!(!html.contains("<script>") && !html.contains('\u{202e}') && html.contains("&lt;script&gt;"));
}
