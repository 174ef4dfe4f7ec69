//! Any text as a rule file in each of the formats: every rule that is found is in exactly one state.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &str)| {
    let (format, text) = input;
    let name = ["rule.toml", "rules.ndjson", "rule.json", "rule.eql"][usize::from(format) % 4];
    let set = neph_rules::load_text(Path::new(name), text.to_owned());
    let counts = set.report.counts();
    assert_eq!(counts.active + counts.degraded + counts.rejected, counts.rules);
    for file in &set.report.files {
        for diagnostic in &file.diagnostics {
            assert!(
                file.text.get(diagnostic.span.range()).is_some(),
                "span outside the file: {diagnostic:?}"
            );
        }
    }
});
