//! Documents: ECS and OCSF, over the life of an alert, whole and shortened.

use neph_store::{AlertState, DeliveryKind, Verdict};
use serde_json::{Value, json};

use super::{EVIL, group, instant, message, record};
use crate::{Form, Message};

fn redacted(mut value: Value) -> Value {
    if let Some(product) = value.pointer_mut("/metadata/product/version") {
        *product = "VERSION".into();
    }
    value
}

#[test]
fn an_alert_is_an_ecs_document_and_a_finding() {
    let record = record("www-data");
    let message = message(&record);
    insta::assert_json_snapshot!("ecs", Form::Ecs.document(&message));
    insta::assert_json_snapshot!("ocsf", redacted(Form::Ocsf.document(&message)));
}

#[test]
fn a_group_has_a_document_of_its_own() {
    let (record, group) = (record("www-data"), group("web-2"));
    let message = Message {
        key: "g1".to_owned(),
        group: Some(&group),
        ..message(&record)
    };
    insta::assert_json_snapshot!("ecs_group", Form::Ecs.document(&message));
    insta::assert_json_snapshot!("ocsf_group", redacted(Form::Ocsf.document(&message)));
}

#[test]
fn what_became_of_an_alert_is_told() {
    let mut record = record("www-data");
    let parts = |record: &neph_store::AlertRecord, kind: DeliveryKind, test: bool| {
        let message = Message {
            kind,
            test,
            ..message(record)
        };
        let (ecs, ocsf) = (Form::Ecs.document(&message), Form::Ocsf.document(&message));
        json!([
            ecs["kibana.alert.workflow_status"],
            ecs["kibana.alert.status"],
            ecs["neph"]["delivery"]["kind"],
            ocsf["activity_id"],
            ocsf["type_uid"],
            ocsf["status_id"],
            ocsf["status"],
            ocsf["is_alert"],
        ])
    };
    let raised = parts(&record, DeliveryKind::Raised, false);
    assert_eq!(
        raised,
        json!(["open", null, "raised", 1, 200_401, 1, "New", true])
    );
    record.state = AlertState::Acknowledged;
    record.assignee = Some("eve".to_owned());
    let updated = parts(&record, DeliveryKind::Updated, false);
    assert_eq!(
        updated,
        json!([
            "acknowledged",
            null,
            "updated",
            2,
            200_402,
            2,
            "In Progress",
            true
        ])
    );
    record.state = AlertState::Closed;
    record.verdict = Some(Verdict::FalsePositive);
    let closed = parts(&record, DeliveryKind::Updated, false);
    assert_eq!(
        closed,
        json!(["closed", null, "updated", 2, 200_402, 3, "Suppressed", true])
    );
    record.verdict = Some(Verdict::TruePositive);
    let ended = parts(&record, DeliveryKind::Updated, false);
    assert_eq!(
        ended,
        json!(["closed", null, "updated", 2, 200_402, 4, "Resolved", true])
    );
    record.retracted = Some(instant(9));
    let retracted = parts(&record, DeliveryKind::Retracted, false);
    assert_eq!(
        retracted,
        json!([
            "closed",
            "recovered",
            "retracted",
            3,
            200_403,
            99,
            "Withdrawn",
            false
        ])
    );
    assert_eq!(parts(&record, DeliveryKind::Raised, true)[7], false);
    let message = Message {
        test: true,
        ..message(&record)
    };
    let document = Form::Ecs.document(&message);
    assert_eq!(document["neph"]["delivery"]["test"], true);
    assert!(
        document["message"]
            .as_str()
            .unwrap()
            .starts_with("TEST, no alert: ")
    );
}

#[test]
fn documents_are_shortened_to_whole_json() {
    let filler = "é😀\"\n".repeat(100);
    for value in ["www-data", EVIL, &filler] {
        let mut record = record(value);
        let document: Value = serde_json::from_slice(&record.alert.document).unwrap();
        let mut document = document.as_object().unwrap().clone();
        let many: Vec<Value> = (0..40).map(|number| format!("{value} {number}").into()).collect();
        document.insert("related".to_owned(), json!({"user": many}));
        document.insert("tags".to_owned(), many.clone().into());
        record.alert.document = Value::Object(document).to_string().into_bytes();
        let group = group(value);
        for (form, group) in [
            (Form::Ecs, None),
            (Form::Ecs, Some(&group)),
            (Form::Ocsf, None),
            (Form::Ocsf, Some(&group)),
        ] {
            let message = Message {
                group,
                ..message(&record)
            };
            for most in [600, 1500, 2048, 8192, 1 << 24] {
                let text = form.within(&message, most);
                assert!(text.len() <= most, "{form:?} {most} {}", text.len());
                assert!(text.is_ascii() && !text.contains(char::is_control));
                let read: Value = serde_json::from_str(&text).unwrap();
                match form {
                    Form::Ecs => assert_eq!(read["rule"]["name"], "Metadata Asked", "{most} {text}"),
                    Form::Ocsf => assert_eq!(read["class_uid"], 2004, "{most} {text}"),
                }
            }
            let whole: Value = serde_json::from_str(&form.within(&message, 1 << 24)).unwrap();
            assert_eq!(whole, form.document(&message));
        }
    }
}

#[test]
fn a_document_that_cannot_be_read_is_told_all_the_same() {
    let mut record = record("x");
    for document in ["", "null", "[1]", "{\"threat\": 7, \"neph\": 1, \"event\": []}"] {
        record.alert.document = document.as_bytes().to_vec();
        let message = message(&record);
        for form in [Form::Ecs, Form::Ocsf] {
            let made = form.document(&message);
            assert_eq!(made["message"], "`x` ran curl");
        }
        crate::chat::slack(&message);
    }
}
