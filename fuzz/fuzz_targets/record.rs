//! Any bytes as a record: reading never panics, agrees with serde_json on what is a JSON object, and the matcher takes
//! what was read.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use neph_engine::{Matcher, Origin, Program, Record};
use neph_eql::{CompileOptions, compile};
use neph_event::{Instant, Schema};

fuzz_target!(|bytes: &[u8]| {
    thread_local! {
        static PROGRAM: Arc<Program> = {
            let options = CompileOptions::new(Schema::builtin(), Instant::from_millis(0));
            let query = r#"sequence by host.id, ?user.id with maxspan=1m
                [process where process.pid > 1 and process.name : ("cu*", "wget") and length(process.command_line) > 3]
                [network where cidrMatch(destination.ip, "10.0.0.0/8") or destination.port == 80 or x.y regex "a.*"]"#;
            let plan = compile(query, &options).plan.expect("the query compiles");
            Arc::new(Program::compile([&plan]).0)
        };
    }
    let program = PROGRAM.with(Arc::clone);
    let mut matcher = Matcher::new(program);
    let read = matcher.read(bytes).is_ok();
    let origin = Origin {
        source: "fuzz".into(),
        line: 1,
    };
    matcher.matches(
        &Record {
            document: bytes,
            id: None,
            index: None,
            position: 0,
            origin: &origin,
        },
        drop,
    );
    // serde_json refuses numbers beyond f64 and nesting deeper than 128, which are read here; what it reads, is read.
    if let Ok(serde_json::Value::Object(_)) = serde_json::from_slice::<serde_json::Value>(bytes) {
        assert!(
            read,
            "a JSON object was refused: {:?}",
            String::from_utf8_lossy(bytes)
        );
    }
});
