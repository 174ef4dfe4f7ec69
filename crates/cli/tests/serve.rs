//! The service from outside: records in, alerts out, across restarts; its API and who may use it.

#![cfg(unix)]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly and says what it saw"
)]

mod running;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use neph_api::{Need, ROUTES, Route, Verb};
use neph_event::Instant;
use neph_rules::rule_tests::{Form, fill, fill_all, parse_scenario};
use neph_store::Role;
use running::{LITTLE_FREE, Running, wait_for};
use serde_json::{Value, json};

fn now() -> Instant {
    Instant::from_nanos(jiff::Timestamp::now().as_nanosecond())
}

/// A process event that the built-in rules tell of, so many seconds ago.
fn theft(number: u32, seconds: i128) -> (String, Value) {
    let at = now().saturating_sub_nanos(seconds * 1_000_000_000);
    let url = "http://169.254.169.254/latest/meta-data/iam/security-credentials/";
    let event = json!({
        "@timestamp": at.to_string(),
        "event": {"category": ["process"], "type": ["start"], "action": "exec"},
        "host": {"id": format!("h{number}"), "name": format!("web-{number}"), "os": {"type": "linux"}},
        "user": {"name": "www-data"},
        "process": {"name": "curl", "executable": "/usr/bin/curl", "args": ["curl", url],
            "command_line": format!("curl {url}")},
    });
    (format!("event-{number}"), event)
}

/// Sends what happens in a scenario of the demo, as of an hour ago; gives the rules that are to alert.
fn play(service: &Running, name: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../demo")
        .join(name);
    let text = std::fs::read_to_string(&path).expect("a scenario");
    let base = now().saturating_sub_nanos(3_600_000_000_000);
    let (scenario, _) = parse_scenario(&path, &text, Some(base));
    let scenario = scenario.expect("a scenario");
    let mut expected = BTreeSet::new();
    let phases = scenario.phases.iter().map(|phase| &phase.events);
    for (number, given) in std::iter::once(&scenario.history)
        .chain(phases)
        .flatten()
        .enumerate()
    {
        let at = given.at.unwrap_or(base);
        match &given.form {
            Form::Raw(Value::String(text)) => {
                let lines = fill(text, at, 0);
                let (status, body) = service.ask(
                    "POST",
                    "/ingest",
                    Some(&service.token),
                    Some(("text/plain", lines.as_bytes())),
                );
                assert!(
                    (200..300).contains(&status),
                    "{status} {}",
                    String::from_utf8_lossy(&body)
                );
            }
            Form::Raw(record) | Form::Ecs(record) => {
                let mut record = record.clone();
                fill_all(&mut record, at, 0);
                service.bulk(&[(format!("{name}-{number}"), record)]);
            }
            Form::File(_) => panic!("a scenario of the demo has no files"),
        }
    }
    for phase in &scenario.phases {
        expected.extend(phase.expect.iter().cloned());
    }
    expected
}

#[test]
fn attacks_that_are_sent_become_alerts_once_also_after_a_restart_and_a_crash() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let service = Running::start(&data, &[]);
    assert!(
        service.said().contains(&service.token),
        "the first start prints the token"
    );
    let expected = play(&service, "metadata-theft-linux.yaml");
    let names = wait_for("the alerts of the scenario", || {
        let names: BTreeSet<String> = service.alerts().into_iter().map(|(name, _)| name).collect();
        expected.is_subset(&names).then_some(names)
    });
    assert!(!names.is_empty());
    service.bulk(&[theft(1, 60)]);
    service.settle();
    let before = wait_for("the alert of the event", || {
        let alerts = service.alerts();
        (alerts.len() > names.len()).then_some(alerts)
    });
    let said = service.end();
    assert!(said.contains("the service has ended"), "{said}");

    // After an orderly end, and after a crash, nothing is told again, nor when a client repeats itself.
    let service = Running::start(&data, &[]);
    assert!(!service.said().contains("neph_"), "the token is told once");
    service.settle();
    assert_eq!(service.alerts(), before);
    service.bulk(&[theft(1, 60)]);
    service.settle();
    service.kill();
    let service = Running::start(&data, &[]);
    service.settle();
    assert_eq!(service.alerts(), before);
    service.bulk(&[theft(2, 30)]);
    wait_for("one more alert", || {
        (service.alerts().len() > before.len()).then_some(())
    });
    let ids: BTreeSet<String> = service.alerts().into_iter().map(|(_, id)| id).collect();
    assert_eq!(ids.len(), service.alerts().len());
    assert!(before.iter().all(|(_, id)| ids.contains(id)));
    service.end();
}

/// A request that the route takes as far as its role goes.
fn knock(service: &Running, route: &Route, token: Option<&str>) -> u16 {
    let path = route
        .path
        .split('/')
        .map(|part| if part.starts_with('{') { "none" } else { part })
        .collect::<Vec<_>>()
        .join("/");
    let body = route.body.map(|_| ("application/json", &b"{}"[..]));
    let method = route.verb.word().to_uppercase();
    service.ask(&method, &path, token, body).0
}

#[test]
fn every_route_lets_in_those_of_its_role_and_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let service = Running::start(&folder.path().join("data"), &[]);
    let roles = [
        Role::Ingest,
        Role::Viewer,
        Role::Analyst,
        Role::Engineer,
        Role::Admin,
    ];
    let tokens: Vec<(Role, String)> = roles
        .iter()
        .map(|role| {
            let (status, made) = service.send("POST", "/api/v1/tokens", &json!({"name": "t", "role": role}));
            assert_eq!(status, 200, "{made}");
            (*role, made["token"].as_str().expect("a token").to_owned())
        })
        .collect();
    let mut knocks = 0;
    for route in ROUTES.iter().flat_map(|routes| routes.iter()) {
        // A stream does not end.
        if route.path == "/api/v1/stream" {
            continue;
        }
        let Need::Role(need) = route.need else {
            // Who begins a session shows a token in the body, which an empty one has not.
            let status = knock(&service, route, None);
            assert!(
                status < 300 || (route.name == "session.begin" && status == 400),
                "{}: {status}",
                route.name
            );
            continue;
        };
        assert_eq!(
            knock(&service, route, None),
            401,
            "{} without a token",
            route.name
        );
        assert_eq!(
            knock(&service, route, Some("neph_0123_4567")),
            401,
            "{} with a wrong token",
            route.name
        );
        for (role, token) in &tokens {
            let status = knock(&service, route, Some(token));
            let refused = status == 403;
            assert_eq!(refused, *role < need, "{} as {role:?}: {status}", route.name);
            assert!(
                status != 401 && status < 500,
                "{} as {role:?}: {status}",
                route.name
            );
            knocks += 1;
        }
    }
    assert!(knocks > 100, "{knocks}");
    // What changes something stands in the audit log, with the refusals of the routes themselves.
    let audit = service.get("/api/v1/audit?limit=1000");
    let entries = audit["entries"].as_array().expect("entries");
    for route in ROUTES
        .iter()
        .flat_map(|routes| routes.iter())
        .filter(|route| route.verb != Verb::Get)
    {
        assert!(
            entries
                .iter()
                .any(|entry| entry["what"] == route.name && entry["from"] == "127.0.0.1"),
            "{} is not in the audit log",
            route.name
        );
    }
    let tokens = service.get("/api/v1/tokens").to_string();
    assert!(!tokens.contains(&service.token));
}

#[test]
fn alerts_are_searched_worked_on_undone_and_told_live() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let service = Running::start(&data, &[]);
    let sent: Vec<_> = (0..5).map(|number| theft(number, 60)).collect();
    service.bulk(&sent);
    let alerts = wait_for("alerts", || {
        service.settle();
        Some(service.alerts()).filter(|alerts| alerts.len() >= 5)
    });
    let all = alerts.len();

    // Pages follow one another without a gap.
    let mut ids = BTreeSet::new();
    let mut path = "/api/v1/alerts?limit=2".to_owned();
    loop {
        let page = service.get(&path);
        for alert in page["alerts"].as_array().expect("alerts") {
            assert!(ids.insert(alert["id"].as_str().expect("an id").to_owned()));
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/alerts?limit=2&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(ids.len(), all);
    assert_eq!(service.get("/api/v1/alerts?limit=1&total=true")["total"], all);

    let one = service.get("/api/v1/alerts?entity=host.name:web-3&limit=1");
    let id = one["alerts"][0]["id"]
        .as_str()
        .expect("an alert of the host")
        .to_owned();
    let whole = service.get(&format!("/api/v1/alerts/{id}"));
    assert_eq!(whole["document"]["host"]["name"], "web-3");
    let around = service.get(&format!("/api/v1/alerts/{id}/timeline"));
    assert!(around["total"].as_u64() > Some(0), "{around}");

    // All that a query finds are closed at once, and the action is undone.
    let close = json!({"query": {"status": ["open"]}, "action": {"type": "close", "verdict": "benign", "reason": "a test"}});
    let (status, done) = service.send("POST", "/api/v1/alerts/actions", &close);
    assert_eq!((status, &done["changed"]), (200, &json!(all)), "{done}");
    let facets = service.get("/api/v1/alerts/facets?facet=status&facet=verdict&facet=host.name");
    assert_eq!(
        facets["facets"]["status"],
        json!([{"value": "closed", "count": all}])
    );
    assert_eq!(
        facets["facets"]["verdict"],
        json!([{"value": "benign", "count": all}])
    );
    let (status, undone) = service.send(
        "POST",
        &format!("/api/v1/alerts/actions/{}/undo", done["action"]),
        &json!({}),
    );
    assert_eq!((status, &undone["restored"]), (200, &json!(all)), "{undone}");
    let note = json!({"ids": [id, "none"], "action": {"type": "note", "text": "seen"}});
    let (_, done) = service.send("POST", "/api/v1/alerts/actions", &note);
    assert_eq!(done["missing"], json!(["none"]));
    let history = service.get(&format!("/api/v1/alerts/{id}/history"));
    assert_eq!(history["entries"][0]["what"], "raised", "{history}");
    assert_eq!(history["entries"][0]["who"], "neph");
    let what: Vec<&str> = history["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .filter_map(|entry| entry["what"].as_str())
        .collect();
    assert!(
        ["close", "undo", "note"].iter().all(|done| what.contains(done)),
        "{history}"
    );

    for by in ["severity", "status"] {
        let told = service.get(&format!("/api/v1/alerts/histogram?by={by}&from=2h&buckets=25"));
        let buckets = told["buckets"].as_array().expect("buckets");
        assert_eq!(told["seconds"], 300, "{told}");
        assert!((24..=25).contains(&buckets.len()), "{told}");
        let count = |bucket: &Value| bucket["count"].as_u64().unwrap_or(0);
        assert_eq!(buckets.iter().map(count).sum::<u64>(), all as u64, "{told}");
        for bucket in buckets {
            let by = bucket["by"].as_object().expect("counts");
            assert_eq!(by.values().filter_map(Value::as_u64).sum::<u64>(), count(bucket));
        }
    }
    let (_, lines) = service.ask("GET", "/api/v1/alerts/export", Some(&service.token), None);
    let lines = String::from_utf8(lines).expect("text");
    assert_eq!(lines.lines().count(), all);
    assert!(
        lines
            .lines()
            .all(|line| serde_json::from_str::<Value>(line).is_ok())
    );

    // A client that comes back with the id of an event gets what changed since.
    let (_, begin) = live(&service, Some("0"), all);
    assert!(begin.iter().all(|(_, alert)| alert["rule_id"].is_string()));
    let last = begin.last().expect("an event").0.clone();
    let again = json!({"ids": [id], "action": {"type": "assign", "assignee": "me"}});
    service.send("POST", "/api/v1/alerts/actions", &again);
    let (_, after) = live(&service, Some(&last), 1);
    assert_eq!(
        (&after[0].1["id"], &after[0].1["assignee"]),
        (&json!(id), &json!("me"))
    );
    service.end();
}

/// Sends a request as it is written, and gives the answer so.
fn raw(service: &Running, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    use std::io::{Read as _, Write as _};
    let address = service.base.strip_prefix("http://").expect("an address");
    let mut stream = std::net::TcpStream::connect(address).expect("the service listens");
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer
}

#[test]
fn browsers_work_with_a_session_that_other_sites_cannot_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let service = Running::start(&folder.path().join("data"), &[]);
    let (_, made) = service.send(
        "POST",
        "/api/v1/tokens",
        &json!({"name": "page", "role": "analyst"}),
    );
    let (token, id) = (made["token"].as_str().expect("a token"), made["id"].clone());
    let json_body = ("Content-Type", "application/json");
    let status = |answer: &str| answer.split(' ').nth(1).and_then(|word| word.parse::<u16>().ok());
    let body = |answer: &str| -> Value {
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).expect("JSON")
    };
    for wrong in ["neph_0123_4567", "", token.trim_start_matches('n')] {
        let login = json!({"token": wrong}).to_string();
        let answer = raw(&service, "POST", "/api/v1/session", &[json_body], &login);
        assert_eq!(status(&answer), Some(401), "{answer}");
        assert!(!answer.to_ascii_lowercase().contains("set-cookie"));
    }
    let login = json!({"token": token}).to_string();
    // A form of another site cannot log anybody in.
    let form = ("Content-Type", "text/plain");
    assert_eq!(
        status(&raw(&service, "POST", "/api/v1/session", &[form], &login)),
        Some(400)
    );
    let answer = raw(&service, "POST", "/api/v1/session", &[json_body], &login);
    assert_eq!(status(&answer), Some(200), "{answer}");
    let cookie = answer
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .starts_with("set-cookie: ")
                .then(|| line.get(12..).unwrap_or_default())
        })
        .expect("a cookie");
    assert!(
        cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict"),
        "{cookie}"
    );
    assert!(!cookie.contains(token), "the token is not in it");
    let cookie = cookie.split(';').next().expect("a cookie").to_owned();
    let word = body(&answer)["csrf"].as_str().expect("a word").to_owned();
    let own = [("Cookie", cookie.as_str())];
    let shown = raw(&service, "GET", "/api/v1/session", &own, "");
    assert_eq!(body(&shown)["name"], "page");
    assert_eq!(body(&shown)["csrf"], word.as_str());
    assert_eq!(
        status(&raw(&service, "GET", "/api/v1/alerts", &own, "")),
        Some(200)
    );
    assert_eq!(
        status(&raw(&service, "GET", "/api/v1/tokens", &own, "")),
        Some(403),
        "its role holds"
    );
    let note = json!({"ids": ["none"], "action": {"type": "note", "text": "x"}}).to_string();
    let act =
        |headers: &[(&str, &str)]| status(&raw(&service, "POST", "/api/v1/alerts/actions", headers, &note));
    assert_eq!(
        act(&[own[0], json_body]),
        Some(403),
        "the cookie alone changes nothing"
    );
    assert_eq!(act(&[own[0], json_body, ("X-CSRF-Token", "x")]), Some(403));
    assert_eq!(act(&[own[0], json_body, ("X-CSRF-Token", &word)]), Some(200));
    assert_eq!(
        act(&[json_body, ("X-CSRF-Token", &word)]),
        Some(401),
        "nor does the word alone"
    );
    // After the end the cookie is worth nothing; another session ends with its token.
    let end = |headers: &[(&str, &str)]| raw(&service, "DELETE", "/api/v1/session", headers, "");
    assert_eq!(status(&end(&own)), Some(403));
    let ended = end(&[own[0], ("X-CSRF-Token", &word)]);
    assert!(ended.contains("Max-Age=0"), "{ended}");
    assert_eq!(
        status(&raw(&service, "GET", "/api/v1/alerts", &own, "")),
        Some(401)
    );
    let answer = raw(&service, "POST", "/api/v1/session", &[json_body], &login);
    let cookie = answer
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .starts_with("set-cookie: ")
                .then(|| line.get(12..).unwrap_or_default())
        })
        .expect("a cookie");
    let own = [("Cookie", cookie.split(';').next().expect("a cookie"))];
    assert_eq!(
        status(&raw(&service, "GET", "/api/v1/alerts", &own, "")),
        Some(200)
    );
    let path = format!("/api/v1/tokens/{}", id.as_str().expect("an id"));
    let (revoked, _) = service.send("DELETE", &path, &json!({}));
    assert_eq!(revoked, 200);
    wait_for("the end of the session", || {
        (status(&raw(&service, "GET", "/api/v1/alerts", &own, "")) == Some(401)).then_some(())
    });
    service.end();
}

#[test]
fn an_index_of_any_name_is_detected_on_and_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let service = Running::start(&data, &[]);
    let (id, event) = theft(7, 60);
    let body = format!("{{\"create\":{{\"_index\":\"logs-mine\",\"_id\":\"{id}\"}}}}\n{event}\n");
    let (status, _) = service.ask(
        "POST",
        "/_bulk",
        Some(&service.token),
        Some(("application/x-ndjson", body.as_bytes())),
    );
    assert_eq!(status, 200);
    wait_for("an alert", || {
        service.settle();
        (!service.alerts().is_empty()).then_some(())
    });
    let status = service.get("/api/v1/status");
    let names = status["names"].as_array().expect("names");
    let mine = names
        .iter()
        .find(|name| name["index"] == "logs-mine")
        .expect("the name");
    assert_eq!(
        (&mine["records"], &mine["rules_by_name"]),
        (&json!(1), &json!(0)),
        "{mine}"
    );
    assert!(mine["rules_by_content"].as_u64() > Some(100), "{mine}");
    let (_, metrics) = service.ask("GET", "/metrics", Some(&service.token), None);
    let metrics = String::from_utf8(metrics).expect("text");
    let line = metrics
        .lines()
        .find(|line| line.starts_with("neph_unnamed_records{"))
        .expect("a figure");
    assert!(
        line.contains("index=\"logs-mine\"") && line.ends_with(" 1"),
        "{line}"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_neph"))
        .args(["status", "--data"])
        .arg(&data)
        .output()
        .expect("the binary starts");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        told.contains("logs-mine") && told.contains("by content"),
        "{told}"
    );
    service.end();
}

/// Reads so many events of a live stream.
fn live(service: &Running, last: Option<&str>, count: usize) -> (u16, Vec<(String, Value)>) {
    use std::io::{BufRead as _, Write as _};
    let address = service.base.strip_prefix("http://").expect("an address");
    let mut stream = std::net::TcpStream::connect(address).expect("a connection");
    stream
        .set_read_timeout(Some(std::time::Duration::from_secs(60)))
        .expect("a time");
    let resume = last.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
    write!(
        stream,
        "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n{resume}\r\n",
        service.token
    )
    .expect("a request");
    let mut lines = std::io::BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next().expect("a status line");
    let mut events = Vec::new();
    let mut id = String::new();
    for line in lines {
        if let Some(text) = line.strip_prefix("id: ") {
            text.clone_into(&mut id);
        } else if let Some(text) = line.strip_prefix("data: ") {
            events.push((id.clone(), serde_json::from_str(text).expect("JSON")));
            if events.len() == count {
                break;
            }
        }
    }
    assert_eq!(events.len(), count);
    (
        first
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0),
        events,
    )
}

#[test]
fn hunts_rules_and_overlays_work_over_the_api() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let service = Running::start(&data, &[]);
    let sent: Vec<_> = (0..20).map(|number| theft(number, 60)).collect();
    service.bulk(&sent);
    service.bulk(&sent);
    service.settle();

    // What was sent twice is found once.
    let hunt = json!({"query": "process where process.name : \"CURL\"", "limit": 5, "fields": ["host.name", "process.name"]});
    let (status, found) = service.send("POST", "/api/v1/hunt", &hunt);
    assert_eq!(
        (status, &found["total"], &found["complete"]),
        (200, &json!(20), &json!(true)),
        "{found}"
    );
    assert_eq!(found["results"].as_array().map(Vec::len), Some(5));
    assert_eq!(
        found["values"]["process.name"],
        json!([{"value": "curl", "count": 20}])
    );
    let kql = json!({"language": "kql", "query": "host.name: web-7 and process.name: curl"});
    assert_eq!(service.send("POST", "/api/v1/hunt", &kql).1["total"], 1);
    let (status, wrong) = service.send(
        "POST",
        "/api/v1/hunt",
        &json!({"query": "process where proces.name = "}),
    );
    assert_eq!(status, 422, "{wrong}");
    assert_eq!(wrong["diagnostics"][0]["span"]["from"]["line"], 1, "{wrong}");

    let rules = service.get("/api/v1/rules");
    let rules = rules["rules"].as_array().expect("rules");
    assert!(rules.len() > 50, "{}", rules.len());
    let alert = service.get("/api/v1/alerts?limit=1&entity=host.name:web-7");
    let id = alert["alerts"][0]["rule_id"].as_str().expect("a rule").to_owned();
    let rule = service.get(&format!("/api/v1/rules/{id}"));
    assert!(rule["source"].as_str().is_some_and(|text| text.contains(&id)));
    assert!(rule["alerts"].as_u64() > Some(0), "{rule}");
    let (status, preview) = service.send("POST", &format!("/api/v1/rules/{id}/preview"), &json!({}));
    assert_eq!(status, 200, "{preview}");
    assert!(preview["alerts"].as_u64() > Some(0), "{preview}");
    let matrix = service.get("/api/v1/coverage");
    assert!(matrix["matrix"]["techniques"].as_array().map(Vec::len) > Some(20));

    // An exception is proposed, refused where it is wrong, written, and alerts stop without a restart.
    let text = format!("name: robots\nowner: me\nreason: a test\nselect:\n  ids: [{id}]\nenabled: false\n");
    let (status, proposal) = service.send("POST", "/api/v1/overlays/robots/proposal", &json!({"text": text}));
    assert_eq!(
        (status, &proposal["valid"], &proposal["rules"]),
        (200, &json!(true), &json!([id])),
        "{proposal}"
    );
    assert!(
        proposal["diff"]
            .as_str()
            .is_some_and(|diff| diff.contains("+enabled: false"))
    );
    let broken = json!({"text": "name: robots\nselect: 7\n"});
    let (status, refused) = service.send("PUT", "/api/v1/overlays/robots", &broken);
    assert_eq!(status, 422, "{refused}");
    assert!(
        refused["diagnostics"]
            .as_array()
            .is_some_and(|found| !found.is_empty()),
        "{refused}"
    );
    let (status, written) = service.send("PUT", "/api/v1/overlays/robots", &json!({"text": text}));
    assert_eq!(status, 200, "{written}");
    let (status, _) = service.send("PUT", "/api/v1/overlays/robots", &json!({"text": text}));
    assert_eq!(status, 409, "written by somebody else meanwhile");
    let (status, _) = service.send("PUT", "/api/v1/overlays/..%2Frobots", &json!({"text": text}));
    assert_eq!(status, 400);
    wait_for("the overlay to hold", || {
        let rule = service.get(&format!("/api/v1/rules/{id}"));
        (rule["state"] == "degraded").then_some(())
    });

    let (status, metrics) = service.ask("GET", "/metrics", Some(&service.token), None);
    let metrics = String::from_utf8(metrics).expect("text");
    assert_eq!(status, 200);
    assert!(
        metrics.contains("neph_received_records_total{protocol=")
            && metrics.contains("neph_pipeline_running 1"),
        "{metrics}"
    );
    service.end();
}

#[test]
fn the_commands_beside_the_service_work_while_it_runs_and_while_it_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let neph = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_neph"))
            .args(arguments)
            .arg("--data")
            .arg(&data)
            .current_dir(folder.path())
            .output()
            .expect("the binary starts");
        let text = String::from_utf8(output.stdout).expect("text");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text, said)
    };
    let service = Running::start(&data, &[]);
    service.bulk(&[theft(1, 60)]);
    service.settle();
    let rule = service.get("/api/v1/alerts?limit=1")["alerts"][0]["rule_id"]
        .as_str()
        .expect("a rule")
        .to_owned();

    let (code, token, said) = neph(&["token", "create", "vera", "--role", "viewer"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        service.ask("GET", "/api/v1/alerts", Some(token.trim()), None).0,
        200
    );
    let (_, list, _) = neph(&["token", "list", "--format", "json"]);
    let list: Value = serde_json::from_str(&list).expect("JSON");
    let vera = list["tokens"]
        .as_array()
        .expect("tokens")
        .iter()
        .find(|token| token["name"] == "vera")
        .expect("vera");
    let (code, ..) = neph(&["token", "revoke", vera["id"].as_str().expect("an id")]);
    assert_eq!(code, Some(0));
    assert_eq!(
        service.ask("GET", "/api/v1/alerts", Some(token.trim()), None).0,
        401
    );

    let (code, text, said) = neph(&["status", "--since", "7d"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        text.contains("The service runs since") && text.contains("bulk/"),
        "{text}"
    );
    let (code, text, said) = neph(&["backfill", &rule, "1h"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(text.contains("The service back-fills"), "{text}");
    wait_for("the back-fill", || {
        let told = service.get("/api/v1/backfills");
        (told["backfills"][0]["state"] == "done").then_some(())
    });
    service.end();

    let (code, text, said) = neph(&["status", "--format", "json"]);
    assert_eq!(code, Some(0), "{said}");
    let told: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (&told["running"], &told["sources"][0]["records"]),
        (&json!(false), &json!(1)),
        "{told}"
    );
    let (code, text, said) = neph(&["rules", "preview", &rule, "--last", "24h", "--format", "json"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        serde_json::from_str::<Value>(&text).expect("JSON")["alerts"],
        1,
        "{text}"
    );
    let (code, text, said) = neph(&["backfill", &rule, "1h", "--format", "json"]);
    assert_eq!(code, Some(0), "{said}");
    let told: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (&told["alerts"], &told["new_alerts"]),
        (&json!(1), &json!(0)),
        "{told}"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_neph"))
        .args([
            "query",
            "--lang",
            "kql",
            "--format",
            "ndjson",
            "--last",
            "24h",
            "process.name: curl",
            "--store",
        ])
        .arg(&data)
        .output()
        .expect("the binary starts");
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(
        text.lines().count(),
        1,
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_configuration_with_mistakes_is_refused_and_a_changed_one_is_taken_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let path = folder.path().join("service.toml");
    std::fs::write(&path, "[retention]\nevent = \"7d\"\n").expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_neph"))
        .args(["serve", "--config"])
        .arg(&path)
        .arg("--data")
        .arg(&data)
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean `events`?"));

    let secret = folder.path().join("secret");
    std::fs::write(&secret, "a-token-of-somebody\n").expect("a file");
    let followed = folder.path().join("followed.ndjson");
    std::fs::write(
        &path,
        format!(
            "{LITTLE_FREE}[[files]]\npaths = [\"followed.ndjson\"]\n[[syslog]]\nlisten = \"127.0.0.1:0\"\n"
        ),
    )
    .expect("a file");
    std::fs::write(&followed, format!("{}\n", theft(1, 60).1)).expect("a file");
    let service = Running::start(&data, &["--config", path.to_str().expect("text")]);
    assert_eq!(
        service
            .ask("GET", "/api/v1/me", Some("a-token-of-somebody"), None)
            .0,
        401
    );
    wait_for("the alert of the followed file", || {
        (!service.alerts().is_empty()).then_some(())
    });
    let token = "[[tokens]]\nname = \"somebody\"\nrole = \"viewer\"\nsecret = { file = \"secret\" }\n";
    std::fs::write(&path, token).expect("a file");
    service.signal("HUP");
    wait_for("the token", || {
        (service
            .ask("GET", "/api/v1/me", Some("a-token-of-somebody"), None)
            .0
            == 200)
            .then_some(())
    });
    // A mistake later does not end it.
    std::fs::write(&path, "[retention]\nevent = \"7d\"\n").expect("a file");
    service.signal("HUP");
    wait_for("the complaint", || {
        service.said().contains("the one before goes on").then_some(())
    });
    assert_eq!(service.ask("GET", "/healthz", None, None).0, 200);
    assert_eq!(service.ask("GET", "/readyz", None, None).0, 200);
    service.end();
}
