//! Small queries for the tests of lints.

use neph_event::{Instant, Schema};

use crate::{CompileOptions, Compiled, compile};

/// A strict schema of a few fields with real names.
pub(crate) fn schema() -> Schema {
    Schema::from_mapping(
        r#"{"properties": {
            "@timestamp": {"type": "date"}, "event.category": {"type": "keyword"}, "host.os.type": {"type": "keyword"},
            "host.id": {"type": "keyword"}, "process.name": {"type": "keyword"}, "process.executable": {"type": "keyword"},
            "process.args": {"type": "keyword"}, "process.pid": {"type": "long"}, "file.path": {"type": "keyword"},
            "source.ip": {"type": "ip"}, "flag": {"type": "boolean"}, "url.path": {"type": "keyword"},
            "user.id": {"type": "keyword"}}}"#,
    )
    .unwrap()
}

pub(crate) fn compiled(query: &str) -> Compiled {
    let schema = schema();
    compile(query, &CompileOptions::new(&schema, Instant::from_millis(0)))
}

/// The diagnostics of one code, as `text under the span: message`.
pub(crate) fn found(query: &str, code: &str) -> Vec<String> {
    let compiled = compiled(query);
    assert!(compiled.plan.is_some(), "{query}: {:?}", compiled.diagnostics);
    let of_code = compiled
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.code.name == code);
    of_code
        .map(|diagnostic| format!("{}: {}", diagnostic.span.text(query), diagnostic.message))
        .collect()
}

/// The query after the fix of the one diagnostic of a code, and whether the fix is sure.
pub(crate) fn fixed(query: &str, code: &str) -> (String, bool) {
    let compiled = compiled(query);
    let mut of_code = compiled
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.code.name == code);
    let fix = of_code.next().unwrap().fix.clone().unwrap();
    assert!(of_code.next().is_none());
    let mut text = query.to_owned();
    for edit in fix.edits.iter().rev() {
        text.replace_range(edit.span.range(), &edit.replacement);
    }
    (text, fix.applicability == neph_diag::Applicability::Sure)
}
