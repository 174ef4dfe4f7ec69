//! JSON and SARIF: the shapes that programs rely on.

use neph_diag::render::{FileReport, Record, json, record, sarif};
use neph_diag::{Applicability, Code, Diagnostic, Edit, Registry, Severity, SourceFile, Span};
use proptest::prelude::*;
use serde_json::{Value, json};

static MIXED: Code = Code {
    name: "and-or-mixed",
    severity: Severity::Warning,
    summary: "`and` and `or` mixed",
    explanation: "# Mixed\n\nWrite `(`.",
};
static UNKNOWN: Code = Code {
    name: "unknown-field",
    severity: Severity::Error,
    summary: "no such field",
    explanation: "Look it up.",
};
static HINT: Code = Code {
    name: "hint",
    severity: Severity::Info,
    summary: "a hint",
    explanation: "Fine.",
};
static UNLISTED: Code = Code {
    name: "unlisted",
    severity: Severity::Error,
    summary: "x",
    explanation: "x",
};

const SOURCE: &str = "any where é == \"x\"\n  and b";

fn diagnostics() -> Vec<Diagnostic> {
    vec![
        Diagnostic::new(&UNKNOWN, Span::new(26, 27), "unknown field `b`").with_help("did you mean `a`?"),
        Diagnostic::new(&MIXED, Span::new(10, 18), "mixed")
            .with_label("here")
            .with_secondary(Span::new(26, 27), "and there")
            .with_fix(
                "put parentheses",
                vec![
                    Edit {
                        span: Span::new(10, 10),
                        replacement: "(".into(),
                    },
                    Edit {
                        span: Span::new(19, 19),
                        replacement: ")".into(),
                    },
                ],
                Applicability::Sure,
            ),
        Diagnostic::new(&UNLISTED, Span::new(900, 2000), "far off"),
    ]
}

#[test]
fn json_has_the_documented_shape() {
    let diagnostics = diagnostics();
    let report = FileReport {
        source: SourceFile {
            name: "dir/a b.eql",
            text: SOURCE,
        },
        diagnostics: &diagnostics,
    };
    let parsed: Value = serde_json::from_str(&json(&[report])).unwrap();
    assert_eq!(parsed.as_array().unwrap().len(), 3);
    assert_eq!(
        parsed[0],
        json!({
            "file": "dir/a b.eql",
            "code": "and-or-mixed",
            "severity": "warning",
            "message": "mixed",
            "span": {"start": 10, "end": 18, "from": {"line": 1, "column": 11}, "to": {"line": 1, "column": 18}},
            "label": "here",
            "labels": [{
                "span": {"start": 26, "end": 27, "from": {"line": 2, "column": 7}, "to": {"line": 2, "column": 8}},
                "message": "and there",
            }],
            "help": [],
            "fix": {
                "title": "put parentheses",
                "applicability": "sure",
                "edits": [
                    {"span": {"start": 10, "end": 10, "from": {"line": 1, "column": 11}, "to": {"line": 1, "column": 11}}, "replacement": "("},
                    {"span": {"start": 19, "end": 19, "from": {"line": 1, "column": 19}, "to": {"line": 1, "column": 19}}, "replacement": ")"},
                ],
            },
        })
    );
    assert_eq!(parsed[1]["help"], json!(["did you mean `a`?"]));
    assert_eq!(parsed[1]["fix"], Value::Null);
    let back: Vec<Record> = serde_json::from_value(parsed).unwrap();
    assert_eq!(back[0], record(&diagnostics[1], &report.source));
}

#[test]
fn sarif_names_rules_places_and_fixes() {
    let diagnostics = diagnostics();
    let report = FileReport {
        source: SourceFile {
            name: "dir/a b.eql",
            text: SOURCE,
        },
        diagnostics: &diagnostics,
    };
    let registry = Registry::new(&[&[&UNKNOWN, &HINT], &[&MIXED]]);
    let log: Value = serde_json::from_str(&sarif(&[report], &registry, "1.2.3")).unwrap();
    sarif_schema::check(&log);
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["rules"][0]["id"], "and-or-mixed");
    assert_eq!(
        run["tool"]["driver"]["rules"][0]["help"]["markdown"],
        "# Mixed\n\nWrite `(`."
    );
    assert_eq!(
        run["tool"]["driver"]["rules"][1]["defaultConfiguration"]["level"],
        "note"
    );
    let result = &run["results"][0];
    assert_eq!(
        (&result["ruleId"], &result["ruleIndex"], &result["level"]),
        (&json!("and-or-mixed"), &json!(0), &json!("warning"))
    );
    assert_eq!(
        result["locations"][0]["physicalLocation"],
        json!({
            "artifactLocation": {"uri": "dir/a%20b.eql"},
            "region": {"startLine": 1, "startColumn": 11, "endLine": 1, "endColumn": 18},
        })
    );
    assert_eq!(result["relatedLocations"][0]["message"]["text"], "and there");
    let replacement = &result["fixes"][0]["artifactChanges"][0]["replacements"][1];
    assert_eq!(
        replacement["deletedRegion"],
        json!({"startLine": 1, "startColumn": 19, "endLine": 1, "endColumn": 19})
    );
    assert_eq!(replacement["insertedContent"]["text"], ")");
    assert_eq!(
        run["results"][1]["message"]["text"],
        "unknown field `b`\nhelp: did you mean `a`?"
    );
    // A code that is not registered, at a place that is not in the text.
    let last = &run["results"][2];
    assert_eq!(last.get("ruleIndex"), None);
    assert_eq!(last["locations"][0]["physicalLocation"]["region"]["startLine"], 2);
}

proptest! {
    #[test]
    fn any_diagnostic_is_valid_sarif_and_json(
        name in "(?s).{1,12}",
        text in "(?s).{0,40}",
        spans in prop::collection::vec((0_u32..60, 0_u32..60, "(?s).{0,6}"), 1..5),
    ) {
        let (start, end, message) = spans[0].clone();
        let mut diagnostic = Diagnostic::new(&MIXED, Span { start, end }, message);
        for (start, end, message) in &spans[1..] {
            diagnostic = diagnostic.with_secondary(Span { start: *start, end: *end }, message.clone());
        }
        let edits = spans
            .iter()
            .skip(2)
            .map(|(start, end, text)| Edit { span: Span { start: *start, end: *end }, replacement: text.clone() })
            .collect();
        let diagnostics = [diagnostic.with_fix("do", edits, Applicability::Maybe)];
        let report = FileReport { source: SourceFile { name: &name, text: &text }, diagnostics: &diagnostics };
        let log: Value = serde_json::from_str(&sarif(&[report], &Registry::new(&[&[&MIXED]]), "0.0.0")).unwrap();
        sarif_schema::check(&log);
        let records: Vec<Record> = serde_json::from_str(&json(&[report])).unwrap();
        prop_assert_eq!(&records[0].message, &diagnostics[0].message);
    }
}

/// The rules of the SARIF 2.1.0 schema for every object that is written: which properties exist, which are required,
/// and what their values may be.
#[cfg(test)]
mod sarif_schema {
    use serde_json::Value;

    pub(crate) fn check(log: &Value) {
        object(log, &["version", "runs"], &["$schema"]);
        assert_eq!(log["version"], "2.1.0");
        let runs = log["runs"].as_array().unwrap();
        for run in runs {
            object(run, &["tool", "results", "columnKind"], &[]);
            assert!(["utf16CodeUnits", "unicodeCodePoints"].contains(&string(&run["columnKind"])));
            object(&run["tool"], &["driver"], &[]);
            let driver = &run["tool"]["driver"];
            object(driver, &["name", "rules"], &["semanticVersion"]);
            let rules = driver["rules"].as_array().unwrap();
            for (index, rule) in rules.iter().enumerate() {
                object(
                    rule,
                    &["id"],
                    &["shortDescription", "help", "defaultConfiguration"],
                );
                assert!(!rules[..index].contains(rule), "rules are unique");
                message(&rule["shortDescription"]);
                message(&rule["help"]);
                object(&rule["defaultConfiguration"], &[], &["level"]);
                level(&rule["defaultConfiguration"]["level"]);
            }
            for found in run["results"].as_array().unwrap() {
                result(found, rules);
            }
        }
    }

    fn result(result: &Value, rules: &[Value]) {
        object(
            result,
            &["message"],
            &[
                "ruleId",
                "ruleIndex",
                "level",
                "locations",
                "relatedLocations",
                "fixes",
            ],
        );
        message(&result["message"]);
        level(&result["level"]);
        if let Some(index) = result.get("ruleIndex") {
            assert_eq!(
                rules[usize::try_from(index.as_u64().unwrap()).unwrap()]["id"],
                result["ruleId"]
            );
        }
        for place in list(result, "locations")
            .iter()
            .chain(list(result, "relatedLocations"))
        {
            object(place, &["physicalLocation"], &["message"]);
            let physical = &place["physicalLocation"];
            object(physical, &["artifactLocation", "region"], &[]);
            artifact(&physical["artifactLocation"]);
            region(&physical["region"]);
        }
        for fix in list(result, "fixes") {
            object(fix, &["artifactChanges"], &["description", "properties"]);
            message(&fix["description"]);
            assert!(fix["properties"].is_object());
            let changes = fix["artifactChanges"].as_array().unwrap();
            assert!(!changes.is_empty());
            for change in changes {
                object(change, &["artifactLocation", "replacements"], &[]);
                artifact(&change["artifactLocation"]);
                let replacements = change["replacements"].as_array().unwrap();
                assert!(!replacements.is_empty());
                for replacement in replacements {
                    object(replacement, &["deletedRegion"], &["insertedContent"]);
                    region(&replacement["deletedRegion"]);
                    object(&replacement["insertedContent"], &["text"], &[]);
                }
            }
        }
    }

    fn object(value: &Value, required: &[&str], optional: &[&str]) {
        let object = value
            .as_object()
            .unwrap_or_else(|| panic!("not an object: {value}"));
        for name in required {
            assert!(object.contains_key(*name), "`{name}` is missing: {value}");
        }
        for name in object.keys() {
            assert!(
                required.contains(&name.as_str()) || optional.contains(&name.as_str()),
                "`{name}` in {value}"
            );
        }
    }

    fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
        value.get(name).map_or(&[], |list| list.as_array().unwrap())
    }

    fn string(value: &Value) -> &str {
        value.as_str().unwrap_or_else(|| panic!("not a string: {value}"))
    }

    fn message(value: &Value) {
        object(value, &["text"], &["markdown"]);
        string(&value["text"]);
    }

    fn level(value: &Value) {
        assert!(["none", "note", "warning", "error"].contains(&string(value)));
    }

    fn artifact(value: &Value) {
        object(value, &["uri"], &[]);
        let uri = string(&value["uri"]);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%:".contains(&byte);
        assert!(!uri.is_empty() && uri.bytes().all(allowed), "{uri}");
    }

    fn region(value: &Value) {
        object(value, &["startLine", "startColumn", "endLine", "endColumn"], &[]);
        let number = |name: &str| value[name].as_u64().unwrap();
        let start = (number("startLine"), number("startColumn"));
        let end = (number("endLine"), number("endColumn"));
        assert!(start.0 >= 1 && start.1 >= 1 && start <= end, "{value}");
    }
}
