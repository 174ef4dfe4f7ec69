//! Any text as an EQL query: it compiles or is refused with diagnostics whose spans lie inside the text; applying the
//! sure fixes and compiling again works likewise, and what compiles can be run by the engine or is refused by it in words.
#![no_main]

use libfuzzer_sys::fuzz_target;
use neph_diag::fix;
use neph_engine::Program;
use neph_eql::{CompileOptions, compile};
use neph_event::{Instant, Schema};

/// A field of each type. The shipped schema would spend the time on looking for names that are alike.
const MAPPING: &str = r#"{"properties": {
    "event.category": {"type": "keyword"}, "@timestamp": {"type": "date"}, "process.name": {"type": "keyword"},
    "pid": {"type": "long"}, "load": {"type": "double"}, "ok": {"type": "boolean"}, "ip": {"type": "ip"},
    "version": {"type": "version"}, "text": {"type": "text"}, "start": {"type": "date_nanos"}, "geo": {"type": "geo_point"}
}}"#;

fuzz_target!(|text: &str| {
    thread_local! {
        static SCHEMA: Schema = Schema::from_mapping(MAPPING).expect("the mapping is valid").with_strict(false);
    }
    SCHEMA.with(|schema| check(text, schema));
});

fn check(text: &str, schema: &Schema) {
    let options = CompileOptions::new(schema, Instant::from_millis(0));
    let compiled = compile(text, &options);
    for diagnostic in &compiled.diagnostics {
        assert!(
            text.get(diagnostic.span.range()).is_some(),
            "span outside the text: {diagnostic:?}"
        );
    }
    let fixes: Vec<_> = compiled
        .diagnostics
        .iter()
        .filter_map(|each| each.fix.clone())
        .collect();
    compile(&fix::apply(text, &fixes, true).text, &options);
    if let Some(plan) = &compiled.plan {
        let _ = Program::compile([plan]);
    }
    let _ = neph_eql::eval_constant(text);
}
