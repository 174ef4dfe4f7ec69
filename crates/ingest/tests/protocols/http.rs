use neph_ingest::{Protocol, Refused};

use crate::Service;

#[test]
fn records_of_all_forms_are_taken_and_bad_ones_are_named() {
    let service = Service::start();
    let (status, answer) = service.send("POST", "/ingest", b"{\"a\":1}\n{\"b\":\nplain line\n");
    assert_eq!(status, 200);
    assert_eq!(
        answer,
        "{\"accepted\":2,\"refused\":1,\"errors\":[{\"record\":2,\"error\":\"no JSON object\"}]}"
    );
    assert_eq!(
        service
            .send("POST", "/ingest?source=falco", b"{\"rule\":\"x\"}")
            .0,
        200
    );
    assert_eq!(
        service
            .send(
                "POST",
                "/ingest/k8s_audit",
                br#"{"kind":"EventList","items":[{"auditID":"1"}]}"#
            )
            .0,
        200
    );
    assert_eq!(service.send("POST", "/ingest", b"[1]").0, 400);
    assert_eq!(service.send("POST", "/ingest?source=../x", b"{}").0, 400);
    let expected = [
        ("http/tester", "{\"a\":1}"),
        ("http/tester", "plain line"),
        ("http/tester?source=falco", "{\"rule\":\"x\"}"),
        ("http/tester?source=k8s_audit", "{\"auditID\":\"1\"}"),
    ];
    assert_eq!(
        service.log.records(),
        expected.map(|(stream, record)| (stream.to_owned(), record.to_owned()))
    );
    assert_eq!(service.counted(Protocol::Http, Refused::Malformed), (4, 3));
}

#[test]
fn webhooks_may_have_their_token_in_the_url_and_nobody_else() {
    let service = Service::start();
    assert_eq!(
        service.ask("POST", "/ingest?token=s3cr3t", &[], b"{}").status,
        200
    );
    assert_eq!(service.ask("POST", "/ingest?token=wrong", &[], b"{}").status, 401);
    assert_eq!(
        service
            .ask("POST", "/ingest", &[("x-nephoscope-token", "s3cr3t")], b"{}")
            .status,
        200
    );
    assert_eq!(service.ask("POST", "/x/_bulk?token=s3cr3t", &[], b"").status, 401);
    assert_eq!(service.ask("POST", "/v1/logs?token=s3cr3t", &[], b"").status, 401);
    assert_eq!(
        service
            .ask("POST", "/services/collector?token=s3cr3t", &[], b"")
            .status,
        401
    );
}
