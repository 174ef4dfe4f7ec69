//! The sensor on this host. Where the kernel does not let us, tests say so and pass.

use std::process::Command;
use std::time::{Duration, Instant};

use neph_sensor::{Mode, Options, Sensor};
use serde_json::Value;

/// What a sensor tells until a document meets a condition, or the time is over.
fn until(sensor: &mut Sensor, mut met: impl FnMut(&Value) -> bool) -> Option<Value> {
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        let mut lines = Vec::new();
        sensor.read(Duration::from_millis(200), &mut lines).unwrap();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let document: Value = serde_json::from_slice(line).unwrap();
            if met(&document) {
                return Some(document);
            }
        }
    }
    None
}

#[test]
fn the_connector_sees_a_program_that_lives_for_a_moment_with_its_arguments() {
    let options = Options {
        mode: Some(Mode::Connector),
        ..Options::default()
    };
    let mut sensor = match Sensor::start(&options) {
        Ok(sensor) => sensor,
        Err(error) => return println!("skipped: {error}"),
    };
    let mut child = Command::new("sleep").arg("0.3").spawn().unwrap();
    let document = until(&mut sensor, |document| {
        document["process"]["pid"] == child.id() && document["event"]["action"] == "exec"
    });
    child.wait().unwrap();
    let document = document.expect("the program is told of");
    assert_eq!(document["process"]["args"], serde_json::json!(["sleep", "0.3"]));
}

#[test]
fn a_child_has_its_parents_and_lines_are_documents() {
    let options = Options {
        mode: Some(Mode::Connector),
        ..Options::default()
    };
    let mut sensor = match Sensor::start(&options) {
        Ok(sensor) => sensor,
        Err(error) => return println!("skipped: {error}"),
    };
    let mut child = Command::new("sh")
        .args(["-c", "sleep 0.2; true"])
        .spawn()
        .unwrap();
    let shell = child.id();
    let document = until(&mut sensor, |document| {
        document["process"]["parent"]["pid"] == shell && document["event"]["action"] == "exec"
    });
    child.wait().unwrap();
    let document = document.expect("the child is told of");
    assert_eq!(document["process"]["parent"]["name"], "sh");
    assert_eq!(document["process"]["name"], "sleep");
    assert_eq!(document["process"]["parent"]["args"][2], "sleep 0.2; true");
    assert_eq!(document["process"]["parent"]["parent"], Value::Null);
    let entity = document["process"]["entity_id"].as_str().unwrap();
    assert_eq!(entity.len(), 32);
    assert_ne!(document["process"]["parent"]["entity_id"], entity);
}
